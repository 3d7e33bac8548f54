//! Every command ends, from every place and to every place, however many transfers are asked for; and with few threads.

#![expect(clippy::print_stdout, reason = "the table of cells is what these tests are read for")]
#![cfg(unix)]

use std::fs::{self, File};
use std::os::unix::fs::{FileExt as _, MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use modelops_bundle_tests::{BundleCommand, Registry, TestProject, bundle_binary, noise};

/// How long a command may take that takes a second or two.
const HANG: Duration = Duration::from_secs(60);

const CONCURRENCIES: [&str; 4] = ["1", "2", "8", "32"];

const MIB: u64 = 1 << 20;

/// Files of nothing, of a few bytes, of more than goes past the cache, and large ones. Most of each are zeros, so that
/// it takes little of the disk, but no two have the same bytes.
fn fill(project: &TestProject) {
    let sizes = (0..10).map(|at| 17_000_000 + at).chain([0, 1, 70_000, 16 * MIB, 80 * MIB]);
    for (at, size) in sizes.enumerate() {
        let file = File::create(project.path().join(format!("f{at:02}"))).unwrap();
        file.set_len(size).unwrap();
        let marks = [0, size / 2, size.saturating_sub(100_000)].into_iter().zip(0..);
        for (offset, mark) in marks.filter(|_| size > 1000) {
            let length = (size - offset).min(100_000) as usize;
            file.write_all_at(&noise(3 * at as u64 + mark, length), offset).unwrap();
        }
    }
}

/// Whether two folders hold the same files, their bytes compared.
fn assert_same(one: &Path, other: &Path, shown: &str) {
    let files = |folder: &Path| {
        let names = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name());
        let mut names: Vec<_> = names.filter(|name| !name.as_encoded_bytes().starts_with(b".")).collect();
        names.sort();
        names
    };
    assert_eq!(files(one), files(other), "{shown}");
    for name in files(one) {
        let (left, right) = (fs::read(one.join(&name)).unwrap(), fs::read(other.join(&name)).unwrap());
        assert!(left == right, "{} differs after `{shown}`", name.display());
    }
}

/// What was tried: the cells of a table, printed at the end.
#[derive(Default)]
struct Matrix {
    cells: Vec<String>,
}

impl Matrix {
    fn run(&mut self, folder: &Path, home: &Path, concurrency: &str, arguments: &[&str]) {
        let command = BundleCommand::new(home).args(arguments).args(["--concurrency", concurrency]);
        let output = command.current_dir(folder).time_limit(HANG).run().success();
        let took = output.took().as_millis();
        self.cells.push(format!("{concurrency:>2} {took:>5} ms  {}", arguments.join(" ")));
    }

    /// What a place can do: it is verified, pulled from, exported to `scratch`, and copied to another place.
    fn read_from(&mut self, project: &TestProject, place: &str, concurrency: &str) {
        let scratch = Scratch::new(project);
        let (home, reference) = (project.home(), format!("{place}:latest"));
        self.run(&scratch.path, home, concurrency, &["verify", &reference]);
        let pulled = scratch.folder("pulled");
        self.run(&pulled, home, concurrency, &["pull", &reference]);
        assert_same(project.path(), &pulled, &format!("pull {reference}"));
        self.run(&scratch.path, home, concurrency, &["export", &reference, "files.tar", "--files"]);
        let untarred = scratch.folder("untarred");
        let untar = BundleCommand::of_program("tar", home).args(["-xf", "../files.tar"]);
        let _ = untar.current_dir(&untarred).run().success();
        assert_same(project.path(), &untarred, &format!("export {reference} --files"));
        self.run(&scratch.path, home, concurrency, &["copy", &reference, "oci:copied:latest"]);
        self.run(&scratch.path, home, concurrency, &["export", "oci:copied:latest", "bundle.tar"]);
        let imported = scratch.folder("imported");
        self.run(&scratch.path, home, concurrency, &["import", "bundle.tar", "--dest", "imported"]);
        assert_same(project.path(), &imported, &format!("import of {reference}"));
    }
}

/// A folder that goes when it is dropped, so that the next cell has the room.
struct Scratch {
    path: PathBuf,
}

impl Scratch {
    fn new(project: &TestProject) -> Self {
        let path = project.home().join("scratch");
        fs::create_dir(&path).unwrap();
        Self { path }
    }

    fn folder(&self, name: &str) -> PathBuf {
        let path = self.path.join(name);
        fs::create_dir(&path).unwrap();
        path
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.path);
    }
}

/// Goes through every way that a bundle of this layout can take, and prints what was tried.
fn try_all(layout: &str) {
    let registry = Registry::get();
    let project = TestProject::new();
    fill(&project);
    let _ = project.run(&["init", "--layout", layout, "--ref", "oci:unused"]).success();
    let _ = project.run(&["add", "."]).success();
    let mut matrix = Matrix::default();
    for concurrency in CONCURRENCIES {
        let (home, path) = (project.home().to_owned(), project.path().to_owned());
        let folder = format!("oci:{}", home.join("layout").display());
        let archive = home.join("bundle.tar");
        let mut places = vec![folder.clone()];
        if let Some(registry) = &registry {
            places.push(format!("{}/matrix-{layout}-{concurrency}", registry.host()));
        }
        for place in &places {
            let _ = project.run(&["config", "set", "registry_ref", place]).success();
            matrix.run(&path, &home, concurrency, &["push"]);
        }
        let (tar, latest) = (archive.to_str().unwrap(), format!("{folder}:latest"));
        matrix.run(&path, &home, concurrency, &["export", &latest, tar]);
        places.push(format!("oci-archive:{tar}"));
        for place in &places {
            matrix.read_from(&project, place, concurrency);
        }
        let to = format!("oci:{}:latest", home.join("imported").display());
        matrix.run(&path, &home, concurrency, &["import", tar, "--to", &to]);
        fs::remove_dir_all(home.join("layout")).unwrap();
        fs::remove_dir_all(home.join("imported")).unwrap();
        fs::remove_file(&archive).unwrap();
    }
    println!("layout {layout}: {} cells\n{}", matrix.cells.len(), matrix.cells.join("\n"));
}

#[test]
fn everything_ends_in_layout_files() {
    try_all("files");
}

#[test]
fn everything_ends_in_layout_packed() {
    try_all("packed");
}

#[test]
fn no_number_of_threads_in_the_environment_ends_the_program() {
    let project = TestProject::new();
    project.write("a", "a");
    let _ = project.run(&["init", "--ref", "oci:remote"]).success();
    let _ = project.run(&["add", "."]).success();
    for value in ["0", "1", "x", "", "-1", "100000", "18446744073709551616"] {
        for variable in ["TOKIO_WORKER_THREADS", "RAYON_NUM_THREADS"] {
            let _ = project.command(["push"]).env(variable, value).run().success();
        }
    }
}

#[test]
fn few_threads_are_enough_or_an_error_says_so() {
    // Only root may become a user who has no other processes, and only for others the limit counts.
    if fs::metadata("/proc/self").unwrap().uid() != 0 {
        return;
    }
    let project = TestProject::new();
    for at in 0..3 {
        project.write(&format!("large{at}"), noise(at, 17_000_000));
    }
    let base = project.home().parent().unwrap();
    for (layout, user) in [("files", "54321"), ("packed", "54322")] {
        let reference = format!("oci:{}", project.home().join(layout).display());
        let _ = project.run(&["init", "--layout", layout, "--ref", &reference]).success();
        let _ = project.run(&["config", "set", "registry_ref", &reference]).success();
        let _ = project.run(&["config", "set", "layout", layout]).success();
        let _ = project.run(&["add", "."]).success();
        let _ = project.run(&["push"]).success();
        let mut codes = Vec::new();
        for limit in 1..=12 {
            let target = base.join(format!("{layout}-{limit}"));
            fs::create_dir(&target).unwrap();
            for folder in [base, project.home(), &target] {
                fs::set_permissions(folder, fs::Permissions::from_mode(0o777)).unwrap();
            }
            let output = BundleCommand::of_program("setpriv", &target)
                .args(["--reuid", user, "--clear-groups", "prlimit", &format!("--nproc={limit}")])
                .arg(bundle_binary())
                .args(["pull", &format!("{reference}:latest")])
                .current_dir(&target)
                .time_limit(HANG)
                .run()
                .code_among(&[0, 1]);
            assert!(!output.stderr().contains("panicked"), "{output}");
            let has_ended_well = output.stdout().contains("Pulled ");
            assert!(has_ended_well || output.stderr().contains("`ulimit -u`"), "{output}");
            if has_ended_well {
                assert!(fs::read(target.join("large2")).unwrap() == project.read("large2"), "{output}");
            }
            codes.push(has_ended_well);
        }
        assert!(codes.is_sorted() && codes.ends_with(&[true; 3]), "{layout}: {codes:?}");
    }
}

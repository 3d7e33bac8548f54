//! A dry run says what the run then does, in the same figures, and leaves everything as it was.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use modelops_bundle_tests::{Registry, TestProject, noise};
use serde_json::Value;

/// What may differ between the documents of a dry run and of the run: what only a run can know, and what it costs.
const NOT_COMPARED: [&str; 4] = ["digest", "dry_run", "index", "requests"];

/// Every file below a folder with its content, but for caches and locks.
fn read(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut files = BTreeMap::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        let Ok(entries) = fs::read_dir(&folder) else { continue };
        for entry in entries.map(Result::unwrap) {
            let path = entry.path();
            let own = folder.ends_with(".modelops-bundle");
            if own && ["cache", "lock", "lock.json", "staging"].contains(&entry.file_name().to_str().unwrap())
            {
                continue;
            }
            if path.is_dir() {
                folders.push(path.clone());
                files.insert(path, Vec::new());
            } else {
                files.insert(path.clone(), fs::read(&path).unwrap());
            }
        }
    }
    files
}

struct Case<'a> {
    project: &'a TestProject,
    storage: Option<PathBuf>,
}

impl Case<'_> {
    fn everything(&self) -> Vec<BTreeMap<PathBuf, Vec<u8>>> {
        let folders = [
            Some(self.project.path().to_owned()),
            Some(self.project.home().to_owned()),
            self.storage.clone(),
        ];
        folders.into_iter().flatten().map(|folder| read(&folder)).collect()
    }

    /// Runs dry, then really; both end with one of `codes`.
    #[track_caller]
    fn compare(&self, codes: &[i32], arguments: &[&str]) {
        let before = self.everything();
        let run = |more: &[&str]| {
            let arguments = [arguments, more].concat();
            self.project.command(arguments).input("secret\n").run().code_among(codes)
        };
        let dry = run(&["--json", "--dry-run"]);
        assert!(self.everything() == before, "{arguments:?} --dry-run changed something");
        let real = run(&["--json"]);
        let (mut dry, mut real) = (dry.json(), real.json());
        for document in [&mut dry, &mut real].into_iter().filter_map(Value::as_object_mut) {
            document.retain(|key, _| !NOT_COMPARED.contains(&key.as_str()));
        }
        assert_eq!(dry, real, "{arguments:?}");
    }
}

/// Everything that changes something, on one remote and in one layout.
fn try_all(remote: &str, layout: &str, storage: Option<PathBuf>) {
    let project = TestProject::new();
    let case = Case { project: &project, storage };
    project
        .write("src/model.py", "a = 1\n")
        .write("data/large", noise(1, 1 << 20))
        .write("data/twin", noise(1, 1 << 20));
    case.compare(&[0], &["init", "--ref", remote, "--layout", layout]);
    case.compare(&[0], &["init", "--tag", "main"]);
    case.compare(&[0], &["init", "--tag", "latest"]);
    case.compare(&[0], &["init", "../home/other", "--ref", "oci:../layout"]);
    case.compare(&[0], &["add", "src", "data"]);
    case.compare(&[0], &["push"]);
    case.compare(&[0], &["push"]);
    case.compare(&[0], &["push", "--bump", "auto"]);
    // What lies in what the remote has is not sent again.
    let mut changed = noise(1, 1 << 20);
    changed[700_000] ^= 1;
    project.write("data/large", &changed).write("src/new.py", "b = 2\n").remove("data/twin");
    case.compare(&[0], &["add", "."]);
    case.compare(&[4], &["push", "--tag", "0.1.0"]);
    case.compare(&[0], &["push", "--bump", "auto"]);
    case.compare(&[0], &["tag", "latest", "stable", "approved"]);
    case.compare(&[4], &["tag", "0.1.0", "1.0.0"]);
    case.compare(&[0], &["pull", "0.1.0", "--overwrite"]);
    case.compare(&[0], &["pull", ":latest", "--overwrite"]);
    case.compare(&[0], &["pull", ":latest"]);
    let empty = TestProject::new();
    empty.write("src/model.py", "a = 1\n");
    Case { project: &empty, storage: None }.compare(&[0], &["pull", &format!("{remote}:latest")]);
    let other = format!("{remote}-other");
    case.compare(&[0], &["copy", "latest", &other]);
    case.compare(&[0], &["copy", "latest", &other]);
    case.compare(&[0], &["export", "latest", "../home/bundle.tar"]);
    case.compare(&[0], &["export", "latest", "../home/files.tar", "--files"]);
    case.compare(&[0], &["import", "../home/bundle.tar", "--to", &format!("{remote}-import")]);
    case.compare(&[0], &["import", "../home/bundle.tar", "--dest", "../home/imported"]);
    case.compare(&[2], &["copy", "latest", "oci-archive:../home/bundle.tar"]);
    // Another place has nothing of it, but it may lie beside.
    case.compare(&[0], &["init", "--ref", &format!("{remote}-moved")]);
    project.write("src/later.py", noise(2, 100_000));
    case.compare(&[0], &["add", "src/later.py"]);
    case.compare(&[0], &["push"]);
    case.compare(&[0], &["push"]);
    case.compare(&[0], &["init", "--ref", remote]);
    case.compare(&[0, 3], &["push"]);
    case.compare(&[0, 3], &["delete", "stable"]);
    case.compare(&[0, 3], &["delete", "approved"]);
    case.compare(&[0], &["remove", "src/new.py", "--rm"]);
    case.compare(&[0], &["undo"]);
    case.compare(&[0], &["undo"]);
    case.compare(&[6], &["remove", "src/new.py"]);
    case.compare(&[0], &["config", "set", "symlinks", "never"]);
    case.compare(&[2], &["config", "set", "symlinks", "sometimes"]);
    case.compare(&[0], &["core", "extract", "../home/core.wasm"]);
    case.compare(&[0], &["man", "../home/man"]);
}

#[test]
fn a_dry_run_says_what_the_run_does_with_a_folder() {
    for layout in ["files", "packed"] {
        let folder = tempfile::tempdir().unwrap();
        try_all(
            &format!("oci:{}", folder.path().join("remote").display()),
            layout,
            Some(folder.path().to_owned()),
        );
    }
}

#[test]
fn a_dry_run_says_what_the_run_does_with_a_registry() {
    let Some(registry) = Registry::get() else { return };
    for layout in ["files", "packed"] {
        try_all(&format!("{}/{layout}", registry.host()), layout, Some(registry.storage()));
    }
}

#[test]
fn a_dry_run_of_a_login_keeps_nothing() {
    let Some(registry) = Registry::get() else { return };
    let project = TestProject::new();
    let case = Case { project: &project, storage: None };
    case.compare(&[0], &["login", registry.host(), "-u", "me", "--password-stdin"]);
    case.compare(&[0], &["logout", registry.host()]);
    case.compare(&[0], &["logout", registry.host()]);
    let settings = project.home().join(".config/modelops-bundle");
    fs::create_dir_all(&settings).unwrap();
    let environments = "environments:\n  lab:\n    registry: registry.example\n";
    fs::write(settings.join("config.yaml"), environments).unwrap();
    case.compare(&[0], &["init"]);
    case.compare(&[0], &["env", "switch", "lab"]);
}

#[cfg(unix)]
#[test]
fn a_dry_run_of_init_leaves_a_linked_gitignore_alone_too() {
    let project = TestProject::new();
    fs::write(project.home().join("rules"), "*.o\n").unwrap();
    std::os::unix::fs::symlink(project.home().join("rules"), project.path().join(".gitignore")).unwrap();
    let case = Case { project: &project, storage: None };
    case.compare(&[0], &["init"]);
    assert_eq!(fs::read_to_string(project.home().join("rules")).unwrap(), "*.o\n");
}

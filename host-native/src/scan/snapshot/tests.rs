use std::os::unix::fs::{PermissionsExt, symlink};
use std::time::Duration;

use bundle_core::digest::Digest;
use tempfile::TempDir;

use super::*;
use crate::project::tick::{Tick, device};

struct Fixture {
    _folder: TempDir,
    project: Project,
}

const LIST: ScanOptions = ScanOptions { symlinks: SymlinkPolicy::Inside, untracked: Untracked::List };

impl Fixture {
    fn new(files: &[&str]) -> Self {
        let folder = TempDir::new().unwrap();
        let project = Project::create(&folder.path().join("p")).unwrap();
        let fixture = Self { _folder: folder, project };
        for path in files {
            fixture.put(path, path);
        }
        fixture
    }

    fn put(&self, path: &str, content: &str) {
        let disk = self.project.root().join(path);
        std::fs::create_dir_all(disk.parent().unwrap()).unwrap();
        std::fs::write(disk, content).unwrap();
    }

    /// Waits until a change gets a later stamp than all that were made so far.
    fn wait_a_tick(&self) {
        let file = tempfile::tempfile_in(self.project.folder()).unwrap();
        let metadata = file.metadata().unwrap();
        let is_past = |tick: Tick| tick.is_after(&Stamp::of(&metadata), device(&metadata));
        while !Tick::now(&self.project).is_some_and(is_past) {
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    fn scan(&self, tracked: &[&str], extra: &[&str]) -> Result<Scan, ScanError> {
        scan(&self.project, &paths(tracked), &paths(extra), LIST, &crate::progress::Silent)
    }
}

fn paths(texts: &[&str]) -> ByPath<BundlePath> {
    ByPath::new(texts.iter().map(|text| text.parse().unwrap()).collect()).unwrap()
}

fn texts(paths: &[BundlePath]) -> Vec<&str> {
    paths.iter().map(BundlePath::as_str).collect()
}

#[test]
fn tells_what_is_there_and_what_is_not() {
    let fixture = Fixture::new(&["a.txt", "b/c.txt", "new.txt", "remote.txt"]);
    let run = fixture.project.root().join("b/c.txt");
    std::fs::set_permissions(&run, std::fs::Permissions::from_mode(0o755)).unwrap();
    let scan =
        fixture.scan(&["a.txt", "b/c.txt", "gone.txt"], &["a.txt", "later.txt", "remote.txt"]).unwrap();
    let files: Vec<_> =
        scan.files.iter().map(|file| (file.path.as_str(), file.digest, file.executable)).collect();
    let expected = [("a.txt", false), ("b/c.txt", true), ("remote.txt", false)];
    assert_eq!(
        files,
        expected.map(|(path, executable)| (path, Digest::of(path.as_bytes()), Some(executable)))
    );
    assert_eq!(texts(&scan.missing), ["gone.txt"]);
    assert_eq!(texts(&scan.untracked), ["new.txt"]);
    assert_eq!((scan.obstacles.len(), scan.refused.len()), (0, 0));
    assert_eq!(scan.hashed, Hashed { files: 3, bytes: 5 + 7 + 10 });
    assert!(matches!(scan.before(&"a.txt".parse().unwrap()), Before::Present(stamp) if stamp.size == 5));
    assert_eq!(scan.before(&"later.txt".parse().unwrap()), Before::Absent);
}

#[test]
fn an_unchanged_file_is_read_once() {
    let fixture = Fixture::new(&["a", "b"]);
    fixture.wait_a_tick();
    let first = fixture.scan(&["a", "b"], &[]).unwrap();
    let second = fixture.scan(&["a", "b"], &[]).unwrap();
    assert_eq!((first.hashed.files, second.hashed.files), (2, 0));
    assert_eq!(first.files, second.files);
    fixture.put("a", "A");
    let third = fixture.scan(&["a", "b"], &[]).unwrap();
    assert_eq!(third.hashed.files, 1);
    assert_eq!(third.files[0].digest, Digest::of(b"A"));
}

#[test]
fn a_change_right_after_a_scan_is_seen_though_time_and_size_stay() {
    for _ in 0..50 {
        let fixture = Fixture::new(&[]);
        fixture.put("a", "one");
        fixture.scan(&["a"], &[]).unwrap();
        fixture.put("a", "two");
        assert_eq!(fixture.scan(&["a"], &[]).unwrap().files[0].digest, Digest::of(b"two"));
    }
}

#[test]
fn a_changed_file_with_its_old_time_back_is_read_again() {
    let fixture = Fixture::new(&["a"]);
    fixture.wait_a_tick();
    fixture.scan(&["a"], &[]).unwrap();
    fixture.wait_a_tick();
    let disk = fixture.project.root().join("a");
    let time = disk.metadata().unwrap().modified().unwrap();
    std::fs::write(&disk, "b").unwrap();
    std::fs::File::options().write(true).open(&disk).unwrap().set_modified(time).unwrap();
    assert_eq!(fixture.scan(&["a"], &[]).unwrap().files[0].digest, Digest::of(b"b"));
}

#[test]
fn a_cache_that_cannot_be_written_is_done_without() {
    let fixture = Fixture::new(&["a"]);
    std::fs::write(fixture.project.cache_folder(), "no folder").unwrap();
    for _ in 0..2 {
        assert_eq!(fixture.scan(&["a"], &[]).unwrap().hashed.files, 1);
    }
}

#[test]
fn whatever_a_pull_would_destroy_is_an_obstacle() {
    let fixture = Fixture::new(&["file", "full/mine", "owned/tracked", "tracked-file"]);
    let root = fixture.project.root();
    std::fs::create_dir_all(root.join("empty/deep")).unwrap();
    symlink("/etc", root.join("out")).unwrap();
    let extra = ["empty", "file/x", "full", "out", "out-too/x", "owned", "tracked-file/x"];
    symlink("/etc", root.join("out-too")).unwrap();
    let scan = fixture.scan(&["owned/tracked", "tracked-file"], &extra).unwrap();
    assert_eq!(texts(&scan.obstacles), ["file/x", "full", "out", "out-too/x"]);
    assert_eq!(scan.refused.iter().map(|one| one.path.as_str()).collect::<Vec<_>>(), ["out", "out-too"]);
    // With that a pull that may overwrite can replace the link, though it was never read.
    let link = Stamp::of(&root.join("out").symlink_metadata().unwrap());
    assert_eq!(scan.before(&"out".parse().unwrap()), Before::Present(link));
}

#[test]
fn a_tracked_link_outwards_stops_the_scan() {
    let fixture = Fixture::new(&["a"]);
    symlink("/etc/passwd", fixture.project.root().join("link")).unwrap();
    assert_eq!(fixture.scan(&["a"], &[]).unwrap().refused.len(), 1);
    let error = fixture.scan(&["a", "link"], &[]).unwrap_err();
    assert!(error.to_string().starts_with("cannot read `link` (it is a link that leads out"), "{error}");
}

#[test]
fn a_link_has_the_content_of_its_target_and_facts_of_its_own() {
    let fixture = Fixture::new(&["a"]);
    let link = fixture.project.root().join("link");
    symlink("a", &link).unwrap();
    let scan = fixture.scan(&["a", "link"], &[]).unwrap();
    assert_eq!(scan.files[1].digest, Digest::of(b"a"));
    let own = Stamp::of(&link.symlink_metadata().unwrap());
    assert_eq!(scan.before(&"link".parse().unwrap()), Before::Present(own));
}

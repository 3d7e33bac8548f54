use std::collections::BTreeMap;
use std::io::{self, ErrorKind, Write as _};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

use bundle_core::name::path::BundlePath;
use tempfile::TempDir;

use super::*;
use crate::project::Rescued;
use crate::project::journal::{Before, Commit, Delete, OwnAfter, PrepareError, StateAfter, Write};
use crate::project::keeping::{Keeping, NewOperation, Policy, Purpose};
use crate::project::spot::CAN_EXCHANGE;
use crate::project::staging::{Mode, Staging};
use crate::project::stamp::Stamp;
use crate::project::undo::{Kind, Row, Store, Was};

/// The tree before the commit: paths, contents.
const OLD: &[(&str, &str)] = &[
    ("dir/deep/gone.txt", "gone"),
    ("fold/x.txt", "x"),
    ("keep.txt", "keep"),
    ("kept/gone.txt", "gone"),
    ("kept/stays.txt", "stays"),
    ("mod.txt", "old"),
    ("swap", "a file"),
];
const DELETES: &[&str] = &["dir/deep/gone.txt", "fold/x.txt", "kept/gone.txt", "swap"];
const WRITES: &[(&str, &str)] = &[
    ("fold", "now a file"),
    ("kept/more/one.txt", "one"),
    ("mod.txt", "newer"),
    ("new/deep/run.sh", "run"),
    ("new/two.txt", "two"),
    ("swap/new.txt", "below"),
];
const NEW: &[(&str, &str)] = &[
    ("fold", "now a file"),
    ("keep.txt", "keep"),
    ("kept/more/one.txt", "one"),
    ("kept/stays.txt", "stays"),
    ("mod.txt", "newer"),
    ("new/deep/run.sh", "run"),
    ("new/two.txt", "two"),
    ("swap/new.txt", "below"),
];

struct Fixture {
    _folder: TempDir,
    project: Project,
}

impl Fixture {
    fn new() -> Self {
        let folder = TempDir::new().unwrap();
        let project = Project::create(&folder.path().join("p")).unwrap();
        let fixture = Self { _folder: folder, project };
        for (path, content) in OLD {
            fixture.put(path, content);
        }
        std::fs::write(fixture.project.state_file(), "old state").unwrap();
        std::fs::write(fixture.project.in_folder("tracked"), "old tracked").unwrap();
        fixture
    }

    fn put(&self, path: &str, content: &str) {
        let disk = self.project.root().join(path);
        std::fs::create_dir_all(disk.parent().unwrap()).unwrap();
        std::fs::write(disk, content).unwrap();
    }

    fn lock(&self) -> ProjectLock {
        ProjectLock::acquire(&self.project, "pull", Duration::ZERO).unwrap()
    }

    fn before(&self, path: &str) -> Before {
        match self.project.root().join(path).symlink_metadata() {
            Ok(metadata) if !metadata.is_dir() => Before::Present(Stamp::of(&metadata)),
            _ => Before::Absent,
        }
    }

    fn prepare<'a>(&self, lock: &'a ProjectLock) -> Result<Commit<'a>, PrepareError> {
        self.prepare_these(lock, WRITES, DELETES)
    }

    fn prepare_these<'a>(
        &self,
        lock: &'a ProjectLock,
        writes: &[(&str, &str)],
        deletes: &[&str],
    ) -> Result<Commit<'a>, PrepareError> {
        self.prepare_keeping(lock, writes, deletes, &Keeping::default())
    }

    /// The same, of an operation that keeps what it takes away.
    fn prepare_kept<'a>(&self, lock: &'a ProjectLock, takes_back: Vec<u64>) -> Commit<'a> {
        let operation = NewOperation {
            kind: Kind::Pull,
            command: "pull".to_owned(),
            policy: Policy::Keep { limit: 100 },
            last_push: None,
            synced: None,
            brought: None,
            elsewhere: BTreeMap::new(),
            takes_back,
        };
        let paths = WRITES.iter().map(|(path, _)| *path).chain(DELETES.iter().copied());
        let taken: Vec<(BundlePath, Before)> =
            paths.map(|path| (path.parse().unwrap(), self.before(path))).collect();
        let taken = taken.iter().map(|(path, before)| (path, *before));
        let keeping = Keeping::plan(&self.project, operation, taken, Purpose::Apply).unwrap();
        self.prepare_keeping(lock, WRITES, DELETES, &keeping).unwrap()
    }

    /// What the store keeps is what [`WRITES`] and [`DELETES`] take away, and nothing else lies there.
    fn assert_kept(&self) {
        let store = Store::open(&self.project).unwrap().unwrap();
        let rows = store.rows().unwrap();
        let [Row::Whole(entry)] = rows.as_slice() else { panic!("{rows:?}") };
        assert_eq!(self.project.undo_folder().read_dir().unwrap().count(), 1);
        let changes = store.changes(entry).unwrap();
        let folder = self.project.undo_folder().join(entry.id.to_string());
        let kept = changes.files.iter().filter_map(|change| match &change.before {
            Was::Kept { name, .. } => {
                Some((change.path.to_string(), std::fs::read_to_string(folder.join(name)).unwrap()))
            }
            Was::Absent | Was::Elsewhere(_) => None,
        });
        let is_taken =
            |path: &str| DELETES.contains(&path) || WRITES.iter().any(|(written, _)| *written == path);
        let taken: Vec<_> = OLD.iter().copied().filter(|(path, _)| is_taken(path)).collect();
        assert_eq!(kept.collect::<BTreeMap<_, _>>(), tree_of(&taken));
        let own = changes.own.iter().map(|change| {
            let before = change.before.as_ref().map(|before| store.own_before(entry.id, before).unwrap());
            (change.file.as_str(), before)
        });
        let old = |text: &str| Some(text.as_bytes().to_vec());
        let expected = [("state.json", old("old state")), ("tracked.txt", old("old tracked"))];
        assert_eq!(own.collect::<Vec<_>>(), expected);
        let mode = self.project.undo_folder().metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o700);
    }

    fn prepare_keeping<'a>(
        &self,
        lock: &'a ProjectLock,
        writes: &[(&str, &str)],
        deletes: &[&str],
        keeping: &Keeping,
    ) -> Result<Commit<'a>, PrepareError> {
        let paths = writes.iter().map(|(path, _)| path.parse::<BundlePath>().unwrap()).collect();
        let staging = Staging::create_for(lock, &paths).unwrap();
        let write = |(path, content): &(&str, &str)| {
            let path: BundlePath = path.parse().unwrap();
            let (staged, mut file) =
                staging.stage(&path, Mode::of(Some(path.as_str().ends_with(".sh")))).unwrap();
            file.write_all(content.as_bytes()).unwrap();
            let expected_before = self.before(path.as_str());
            Write { path, staged, expected_before }
        };
        let delete = |path: &&str| Delete { path: path.parse().unwrap(), expected_before: self.before(path) };
        let then =
            StateAfter { state: Some(b"new state".to_vec()), synced: None, tracked: b"new tracked".to_vec() };
        let (writes, deletes) = (writes.iter().map(write).collect(), deletes.iter().map(delete).collect());
        Commit::prepare_keeping(lock, &staging, writes, deletes, &then.files(), keeping)
    }

    /// Applies the journal, but dies before the step number `step`; says whether it came that far.
    fn die_before(&self, step: usize) -> bool {
        let journal = Journal::read(&self.project).unwrap().unwrap();
        apply(&self.project, &journal, &NewFolders::default(), &mut dying_before(step)).is_err()
    }

    fn tree(&self) -> BTreeMap<String, String> {
        let mut tree = BTreeMap::new();
        read_tree(self.project.root(), "", &mut tree);
        tree
    }

    /// The folders of the tree.
    fn folders(&self) -> Vec<PathBuf> {
        let mut folders = vec![self.project.root().to_owned()];
        let mut at = 0;
        while at < folders.len() {
            let entries = folders[at].read_dir().unwrap().map(Result::unwrap);
            let below = entries.filter(|entry| entry.file_type().unwrap().is_dir());
            let below = below.map(|entry| entry.path()).filter(|path| !path.ends_with(".modelops-bundle"));
            folders.extend(below.collect::<Vec<_>>());
            at += 1;
        }
        folders.sort();
        folders
    }

    fn assert_new(&self) {
        assert_eq!(self.tree(), tree_of(NEW));
        assert!(!self.project.root().join("dir").exists());
        let mode = self.project.root().join("new/deep/run.sh").metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o100, 0o100);
        assert_eq!(std::fs::read(self.project.state_file()).unwrap(), b"new state");
        assert_eq!(std::fs::read(self.project.in_folder("tracked.txt")).unwrap(), b"new tracked");
        assert!(!self.project.in_folder("tracked").exists(), "the list has one name");
        assert!(!self.project.journal_file().exists() && !self.project.staging_folder().exists());
        assert_eq!(recover(&self.project, Duration::ZERO).unwrap(), Recovery::NothingToDo);
    }

    fn assert_old(&self) {
        assert_eq!(self.tree(), tree_of(OLD));
        assert_eq!(std::fs::read(self.project.state_file()).unwrap(), b"old state");
    }
}

/// A journal that promises a file, from where it is `staged`.
fn promising(staged: &str) -> String {
    let stamp = r#"{"size":0,"modified_ns":0,"changed_ns":0,"inode":0}"#;
    let write = format!(r#"{{"path":"x","staged":"{staged}","before":"absent","after":{stamp}}}"#);
    format!(r#"{{"version":3,"deletes":[],"writes":[{write}],"own_files":[]}}"#)
}

/// Fails at the step number `step` and at every later one.
fn dying_before(step: usize) -> impl FnMut(&'static str) -> io::Result<()> {
    let mut steps = 0;
    move |_| {
        steps += 1;
        if steps > step { Err(ErrorKind::Interrupted.into()) } else { Ok(()) }
    }
}

fn tree_of(files: &[(&str, &str)]) -> BTreeMap<String, String> {
    files.iter().map(|(path, content)| ((*path).to_owned(), (*content).to_owned())).collect()
}

fn read_tree(folder: &Path, prefix: &str, tree: &mut BTreeMap<String, String>) {
    for entry in folder.read_dir().unwrap().map(Result::unwrap) {
        let name = entry.file_name().into_string().unwrap();
        if name == ".modelops-bundle" {
            continue;
        }
        let path = format!("{prefix}{name}");
        if entry.file_type().unwrap().is_dir() {
            read_tree(&entry.path(), &format!("{path}/"), tree);
        } else {
            tree.insert(path, std::fs::read_to_string(entry.path()).unwrap_or_default());
        }
    }
}

#[test]
fn a_commit_changes_everything_at_once() {
    let fixture = Fixture::new();
    let lock = fixture.lock();
    let applied = fixture.prepare(&lock).unwrap().apply().unwrap();
    assert_eq!(applied, Applied::default());
    drop(lock);
    fixture.assert_new();
}

#[test]
fn a_crash_before_any_step_is_made_good() {
    let mut step = 0;
    loop {
        let fixture = Fixture::new();
        let lock = fixture.lock();
        let has_died = fixture.prepare(&lock).unwrap().apply_by_steps(&mut dying_before(step)).is_err();
        drop(lock);
        if has_died && fixture.project.journal_file().exists() {
            let recovery = recover(&fixture.project, Duration::ZERO).unwrap();
            assert_eq!(recovery, Recovery::Finished(Applied::default()), "step {step}");
        } else if has_died {
            assert_eq!(recover(&fixture.project, Duration::ZERO).unwrap(), Recovery::DiscardedStaging);
        }
        fixture.assert_new();
        if !has_died {
            break;
        }
        step += 1;
    }
    assert!(step > 12, "only {step} steps");
}

#[test]
fn a_crash_in_the_recovery_is_made_good_too() {
    for first in 0..8 {
        for second in 0..8 {
            let fixture = Fixture::new();
            let lock = fixture.lock();
            let commit = fixture.prepare(&lock).unwrap();
            assert!(commit.apply_by_steps(&mut dying_before(first)).is_err());
            drop(lock);
            assert!(fixture.die_before(second));
            let recovery = recover(&fixture.project, Duration::ZERO).unwrap();
            assert_eq!(recovery, Recovery::Finished(Applied::default()), "steps {first}, {second}");
            fixture.assert_new();
        }
    }
}

#[test]
fn a_crash_before_any_step_loses_nothing_that_is_kept() {
    for can_exchange in [true, false] {
        CAN_EXCHANGE.set(can_exchange);
        for step in 0.. {
            let fixture = Fixture::new();
            let lock = fixture.lock();
            let has_died =
                fixture.prepare_kept(&lock, Vec::new()).apply_by_steps(&mut dying_before(step)).is_err();
            drop(lock);
            recover(&fixture.project, Duration::ZERO).unwrap();
            fixture.assert_new();
            fixture.assert_kept();
            if !has_died {
                assert!(step > 20, "only {step} steps");
                break;
            }
        }
    }
    CAN_EXCHANGE.set(true);
}

#[test]
fn a_crash_in_the_recovery_loses_nothing_that_is_kept() {
    let steps = (10..30).step_by(3).flat_map(|first| (0..10).step_by(2).map(move |second| (first, second)));
    for (first, second) in steps {
        let fixture = Fixture::new();
        let lock = fixture.lock();
        let has_died =
            fixture.prepare_kept(&lock, Vec::new()).apply_by_steps(&mut dying_before(first)).is_err();
        drop(lock);
        if !has_died || !fixture.project.journal_file().exists() {
            continue;
        }
        fixture.die_before(second);
        recover(&fixture.project, Duration::ZERO).unwrap();
        fixture.assert_new();
        fixture.assert_kept();
    }
}

#[test]
fn an_operation_that_is_taken_back_goes_whole() {
    for step in 0.. {
        let fixture = Fixture::new();
        let old = fixture.project.undo_folder().join("7");
        std::fs::create_dir_all(&old).unwrap();
        let mut permissions = fixture.project.undo_folder().metadata().unwrap().permissions();
        permissions.set_mode(0o700);
        std::fs::set_permissions(fixture.project.undo_folder(), permissions).unwrap();
        std::fs::write(old.join("content"), "old").unwrap();
        let lock = fixture.lock();
        let has_died = fixture.prepare_kept(&lock, vec![7]).apply_by_steps(&mut dying_before(step)).is_err();
        drop(lock);
        recover(&fixture.project, Duration::ZERO).unwrap();
        fixture.assert_new();
        fixture.assert_kept();
        if !has_died {
            break;
        }
    }
}

/// A commit that takes the state away.
fn without_state(lock: &ProjectLock) -> Commit<'_> {
    let staging = Staging::create(lock).unwrap();
    let gone = OwnAfter { file: "state.json", content: None };
    let tracked = OwnAfter { file: "tracked.txt", content: Some(b"new tracked".to_vec()) };
    let own = [gone, tracked];
    Commit::prepare_keeping(lock, &staging, Vec::new(), Vec::new(), &own, &Keeping::default()).unwrap()
}

#[test]
fn a_file_of_ours_goes_or_stays() {
    for goes_on in [true, false] {
        for step in 0.. {
            let fixture = Fixture::new();
            let lock = fixture.lock();
            let broken = without_state(&lock).apply_by_steps(&mut dying_before(step)).err();
            drop(lock);
            let Some(broken) = broken else { break };
            if !goes_on && broken.came_to == CameTo::All {
                break;
            }
            if goes_on {
                recover(&fixture.project, Duration::ZERO).unwrap();
                assert!(!fixture.project.state_file().exists(), "step {step}");
                assert_eq!(std::fs::read(fixture.project.in_folder("tracked.txt")).unwrap(), b"new tracked");
            } else {
                roll_back_until(&fixture, &[], usize::MAX).unwrap();
                fixture.assert_old();
                assert!(!fixture.project.in_folder("tracked.txt").exists(), "step {step}");
            }
        }
    }
}

#[test]
fn what_cannot_be_kept_any_longer_is_moved_aside() {
    let fixture = Fixture::new();
    let outside = fixture.project.root().parent().unwrap().join("outside");
    std::fs::create_dir(&outside).unwrap();
    let lock = fixture.lock();
    let commit = fixture.prepare_kept(&lock, Vec::new());
    std::fs::remove_dir_all(fixture.project.undo_folder()).unwrap();
    symlink(&outside, fixture.project.undo_folder()).unwrap();
    let applied = commit.apply().unwrap();
    drop(lock);
    let aside: Vec<_> = applied.rescued.iter().map(|one| one.path.as_str()).collect();
    assert_eq!(aside, ["mod.txt", "dir/deep/gone.txt", "fold/x.txt", "kept/gone.txt", "swap"]);
    for rescued in &applied.rescued {
        let old = OLD.iter().find(|(path, _)| *path == rescued.path).unwrap().1;
        assert_eq!(std::fs::read_to_string(&rescued.now_at).unwrap(), old);
    }
    assert_eq!(outside.read_dir().unwrap().count(), 0);
    fixture.assert_new();
}

#[test]
fn what_is_taken_back_by_the_system_is_no_operation() {
    for step in 0.. {
        let fixture = Fixture::new();
        let lock = fixture.lock();
        let commit = fixture.prepare_kept(&lock, Vec::new());
        let broken = commit.apply_by_steps(&mut dying_before(step)).unwrap_err();
        if broken.came_to == CameTo::All {
            assert!(step > 10, "only {step} steps");
            break;
        }
        drop(lock);
        roll_back_until(&fixture, &[], usize::MAX).unwrap();
        fixture.assert_old();
        let store = Store::open(&fixture.project).unwrap().unwrap();
        assert_eq!(store.rows().unwrap(), []);
    }
}

#[test]
fn what_was_never_promised_is_cleared_away() {
    let fixture = Fixture::new();
    let lock = fixture.lock();
    let staging = Staging::create(&lock).unwrap();
    staging.stage_file(Mode::Plain).unwrap();
    // The pull is still alive.
    assert_eq!(recover(&fixture.project, Duration::ZERO).unwrap(), Recovery::NothingToDo);
    assert!(fixture.project.staging_folder().exists());
    drop(lock);
    assert_eq!(recover(&fixture.project, Duration::ZERO).unwrap(), Recovery::DiscardedStaging);
    assert!(!fixture.project.staging_folder().exists());
    fixture.assert_old();
}

#[test]
fn a_reader_waits_for_a_commit_and_then_says_who_is_at_it() {
    let fixture = Fixture::new();
    let lock = fixture.lock();
    let _ = fixture.prepare(&lock).unwrap();
    // And nobody clears away what was promised.
    assert_eq!(Staging::create(&lock).unwrap_err().kind(), ErrorKind::ResourceBusy);
    let error = recover(&fixture.project, Duration::from_millis(20)).unwrap_err();
    assert!(matches!(error, RecoverError::Lock { source: LockError::Held { .. } }), "{error}");
}

#[test]
fn what_the_user_did_after_the_crash_is_kept_aside() {
    let fixture = Fixture::new();
    let lock = fixture.lock();
    let _ = fixture.prepare(&lock).unwrap();
    drop(lock);
    fixture.put("mod.txt", "edited by hand");
    fixture.put("kept/gone.txt", "edited too");
    fixture.put("fold/mine.txt", "mine");
    fixture.put("new", "a file where a folder will be");
    let recovery = recover(&fixture.project, Duration::ZERO).unwrap();
    let Recovery::Finished(applied) = recovery else { panic!("{recovery:?}") };
    assert_eq!(applied.lost, []);
    let rescued: Vec<_> = applied.rescued.iter().map(|one| one.path.as_str()).collect();
    assert_eq!(rescued, ["kept/gone.txt", "fold", "mod.txt", "new"]);
    let read = |path: &str| std::fs::read_to_string(fixture.project.rescued_folder().join(path)).unwrap();
    assert_eq!(read("mod.txt"), "edited by hand");
    assert_eq!(read("kept/gone.txt"), "edited too");
    assert_eq!(read("fold/mine.txt"), "mine");
    assert_eq!(read("new"), "a file where a folder will be");
}

#[test]
fn an_edit_of_a_file_that_is_in_place_already_stays_there() {
    let fixture = Fixture::new();
    let lock = fixture.lock();
    let _ = fixture.prepare_these(&lock, &[("mod.txt", "newer"), ("z", "z")], &[]).unwrap();
    drop(lock);
    assert!(fixture.die_before(1));
    assert_eq!(fixture.tree()["mod.txt"], "newer");
    fixture.put("mod.txt", "edited by hand");
    assert_eq!(recover(&fixture.project, Duration::ZERO).unwrap(), Recovery::Finished(Applied::default()));
    assert_eq!((fixture.tree()["mod.txt"].as_str(), fixture.tree()["z"].as_str()), ("edited by hand", "z"));
}

#[test]
fn two_rescues_of_one_name_keep_both() {
    let fixture = Fixture::new();
    for content in ["first edit", "the second"] {
        fixture.put("mod.txt", "old");
        let lock = fixture.lock();
        let _ = fixture.prepare_these(&lock, &[("mod.txt", "newer")], &[]).unwrap();
        drop(lock);
        fixture.put("mod.txt", content);
        assert!(matches!(recover(&fixture.project, Duration::ZERO), Ok(Recovery::Finished(_))));
    }
    let rescued = fixture.project.rescued_folder();
    assert_eq!(std::fs::read_to_string(rescued.join("mod.txt")).unwrap(), "first edit");
    assert_eq!(std::fs::read_to_string(rescued.join("again-1/mod.txt")).unwrap(), "the second");
}

#[test]
fn staged_files_that_somebody_took_are_named_and_the_state_stays() {
    let fixture = Fixture::new();
    let lock = fixture.lock();
    let _ = fixture.prepare(&lock).unwrap();
    drop(lock);
    std::fs::remove_dir_all(fixture.project.staging_folder()).unwrap();
    let Recovery::Finished(applied) = recover(&fixture.project, Duration::ZERO).unwrap() else { panic!() };
    assert_eq!(applied.lost.len(), WRITES.len());
    assert_eq!(std::fs::read(fixture.project.state_file()).unwrap(), b"old state");
    assert_eq!(recover(&fixture.project, Duration::ZERO).unwrap(), Recovery::NothingToDo);
}

#[test]
fn changes_since_the_scan_stop_a_commit_before_it_begins() {
    let fixture = Fixture::new();
    let lock = fixture.lock();
    let staging = Staging::create(&lock).unwrap();
    let before = fixture.before("mod.txt");
    fixture.put("mod.txt", "edited by hand");
    fixture.put("new.txt", "in the way");
    let write = |path: &str, expected_before| {
        let (staged, _) = staging.stage_file(Mode::Plain).unwrap();
        Write { path: path.parse().unwrap(), staged, expected_before }
    };
    let writes = vec![
        write("mod.txt", before),
        write("new.txt", Before::Absent),
        write("kept", Before::Absent),
        write("ok", Before::Absent),
    ];
    let then = StateAfter { state: Some(Vec::new()), synced: None, tracked: Vec::new() };
    let error = Commit::prepare(&lock, &staging, writes, Vec::new(), &then).unwrap_err();
    let PrepareError::Changed { paths } = error else { panic!("{error}") };
    assert_eq!(paths.iter().map(BundlePath::as_str).collect::<Vec<_>>(), ["kept", "mod.txt", "new.txt"]);
    assert!(!fixture.project.journal_file().exists());
    assert_eq!(fixture.tree()["mod.txt"], "edited by hand");
}

#[test]
fn no_link_leads_a_commit_out_of_the_project() {
    let fixture = Fixture::new();
    let root = fixture.project.root();
    let outside = root.parent().unwrap().join("outside");
    std::fs::create_dir(&outside).unwrap();
    std::fs::write(outside.join("precious"), "precious").unwrap();
    symlink(&outside, root.join("out")).unwrap();
    symlink(".modelops-bundle", root.join("own")).unwrap();
    let lock = fixture.lock();
    for path in ["out/new.txt", "out/precious", "own/config.yaml"] {
        let error = fixture.prepare_these(&lock, &[(path, "x")], &[]).unwrap_err();
        assert!(matches!(error, PrepareError::Parent { .. }), "{path}: {error}");
        let error = fixture.prepare_these(&lock, &[], &[path]).unwrap_err();
        assert!(matches!(error, PrepareError::Parent { .. }), "{path}: {error}");
    }
    // A target that is itself a link is replaced or removed, never what it points to.
    symlink(outside.join("precious"), root.join("link")).unwrap();
    symlink(outside.join("precious"), root.join("link2")).unwrap();
    fixture.prepare_these(&lock, &[("link", "new")], &["link2"]).unwrap().apply().unwrap();
    assert!(root.join("link").symlink_metadata().unwrap().is_file());
    assert!(root.join("link2").symlink_metadata().is_err());
    assert_eq!(std::fs::read_to_string(outside.join("precious")).unwrap(), "precious");
    assert_eq!(outside.read_dir().unwrap().count(), 1);
}

#[test]
fn a_folder_that_became_a_link_outwards_after_the_crash_is_moved_aside() {
    let fixture = Fixture::new();
    let root = fixture.project.root();
    let outside = root.parent().unwrap().join("outside");
    std::fs::create_dir(&outside).unwrap();
    let lock = fixture.lock();
    let _ = fixture.prepare_these(&lock, &[("new/run.sh", "run")], &[]).unwrap();
    drop(lock);
    symlink(&outside, root.join("new")).unwrap();
    let Recovery::Finished(applied) = recover(&fixture.project, Duration::ZERO).unwrap() else { panic!() };
    assert_eq!(applied.rescued[0].path, "new");
    assert_eq!(fixture.tree()["new/run.sh"], "run");
    assert_eq!(outside.read_dir().unwrap().count(), 0);
}

#[test]
fn a_commit_goes_through_a_link_that_stays_inside() {
    let fixture = Fixture::new();
    symlink(fixture.project.root().join("kept"), fixture.project.root().join("alias")).unwrap();
    let lock = fixture.lock();
    fixture.prepare_these(&lock, &[("alias/new.txt", "x")], &[]).unwrap().apply().unwrap();
    assert_eq!(fixture.tree()["kept/new.txt"], "x");
}

#[test]
fn a_folder_that_came_to_stand_where_a_new_one_goes_keeps_what_is_in_it() {
    let fixture = Fixture::new();
    let lock = fixture.lock();
    let commit = fixture.prepare(&lock).unwrap();
    fixture.put("new/mine.txt", "mine");
    fixture.put("new/two.txt", "mine too");
    let applied = commit.apply().unwrap();
    let rescued: Vec<_> = applied.rescued.iter().map(|one| one.path.as_str()).collect();
    assert_eq!(rescued, ["new/two.txt"]);
    let tree = fixture.tree();
    let text = |path: &str| tree[path].as_str();
    assert_eq!((text("new/mine.txt"), text("new/two.txt"), text("new/deep/run.sh")), ("mine", "two", "run"));
    assert_eq!(tree.len(), NEW.len() + 1);
}

#[test]
fn what_an_earlier_release_promised_is_finished() {
    for version in 1..3 {
        let fixture = Fixture::new();
        let lock = fixture.lock();
        let _ = fixture.prepare_these(&lock, &[("mod.txt", "newer"), ("z", "z")], &[]).unwrap();
        drop(lock);
        let file = fixture.project.journal_file();
        let mut journal: serde_json::Value = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
        assert_eq!(journal["version"], 4);
        journal["version"] = version.into();
        for later in ["own_after", "own_gone", "keeping", "made", "across"] {
            journal.as_object_mut().unwrap().remove(later).unwrap();
        }
        std::fs::write(&file, journal.to_string()).unwrap();
        assert_eq!(
            recover(&fixture.project, Duration::ZERO).unwrap(),
            Recovery::Finished(Applied::default())
        );
        assert_eq!((fixture.tree()["mod.txt"].as_str(), fixture.tree()["z"].as_str()), ("newer", "z"));
        assert_eq!(std::fs::read(fixture.project.state_file()).unwrap(), b"new state");
    }
}

/// What [`Fixture::new`] makes and [`Fixture::prepare`] asks for: dies before a step of the commit, and says how far that
/// came.
fn broken_before(fixture: &Fixture, step: usize) -> Option<Broken> {
    let lock = fixture.lock();
    fixture.prepare(&lock).unwrap().apply_by_steps(&mut dying_before(step)).err()
}

fn roll_back_until(fixture: &Fixture, rescued: &[Rescued], step: usize) -> Result<RolledBack, RollBackError> {
    let journal = Journal::read(&fixture.project).unwrap().unwrap();
    let dying = &mut dying_before(step);
    roll_back(&fixture.project, &journal, rescued, WhenRefused::Wait, dying)
}

#[test]
fn what_cannot_be_finished_is_taken_back_from_any_step() {
    for can_exchange in [true, false] {
        CAN_EXCHANGE.set(can_exchange);
        let mut taken_back = 0;
        for step in 0.. {
            let fixture = Fixture::new();
            let folders = fixture.folders();
            let Some(broken) = broken_before(&fixture, step) else { break };
            if broken.came_to == CameTo::All {
                continue;
            }
            let back = roll_back_until(&fixture, &broken.applied.rescued, usize::MAX).unwrap();
            assert_eq!(back, RolledBack::default(), "step {step}");
            fixture.assert_old();
            assert_eq!(fixture.folders(), folders, "step {step}");
            assert!(!fixture.project.journal_file().exists() && !fixture.project.staging_folder().exists());
            taken_back += 1;
        }
        assert!(taken_back > 10, "only {taken_back} steps");
    }
    CAN_EXCHANGE.set(true);
}

#[test]
fn a_crash_while_it_is_taken_back_leaves_both_ways_open() {
    for can_exchange in [true, false] {
        CAN_EXCHANGE.set(can_exchange);
        for (first, second) in [3, 5, 8, 11].into_iter().flat_map(|first| (0..6).map(move |at| (first, at))) {
            for again in ["back", "on"] {
                let fixture = Fixture::new();
                let Some(broken) = broken_before(&fixture, first) else { continue };
                if broken.came_to == CameTo::All || roll_back_until(&fixture, &[], second).is_ok() {
                    continue;
                }
                if !fixture.project.journal_file().exists() {
                    continue;
                }
                if again == "back" {
                    let back = roll_back_until(&fixture, &[], usize::MAX).unwrap();
                    assert_eq!(back, RolledBack::default(), "steps {first}, {second}");
                    fixture.assert_old();
                } else {
                    let recovery = recover(&fixture.project, Duration::ZERO).unwrap();
                    let finished = Recovery::Finished(Applied::default());
                    assert_eq!(recovery, finished, "steps {first}, {second}");
                    fixture.assert_new();
                }
            }
        }
    }
    CAN_EXCHANGE.set(true);
}

#[test]
fn what_the_user_did_meanwhile_is_back_in_its_place_when_a_commit_is_taken_back() {
    let fixture = Fixture::new();
    let lock = fixture.lock();
    let commit = fixture.prepare(&lock).unwrap();
    fixture.put("mod.txt", "edited by hand");
    fixture.put("kept/gone.txt", "edited too");
    fixture.put("fold/mine.txt", "mine");
    let before = fixture.tree();
    let broken = commit.apply_by_steps(&mut dying_before(10)).unwrap_err();
    assert!(broken.applied.rescued.len() > 1, "{broken:?}");
    drop(lock);
    let back = roll_back_until(&fixture, &broken.applied.rescued, usize::MAX).unwrap();
    assert_eq!(back, RolledBack::default());
    assert_eq!(fixture.tree(), before);
}

#[test]
fn a_promise_that_can_never_be_kept_is_taken_back_by_the_next_command() {
    let fixture = Fixture::new();
    let lock = fixture.lock();
    let _ = fixture.prepare(&lock).unwrap();
    drop(lock);
    // Two deletes and the first write are done.
    assert!(fixture.die_before(5));
    let Some(_immutable) = Immutable::make(&fixture.project.root().join("mod.txt")) else { return };
    let recovery = recover(&fixture.project, Duration::ZERO).unwrap();
    let Recovery::Undone { reason, back } = recovery else { panic!("{recovery:?}") };
    assert!(reason.contains("cannot put `mod.txt` in place"), "{reason}");
    assert_eq!(back, RolledBack::default());
    fixture.assert_old();
    assert_eq!(recover(&fixture.project, Duration::ZERO).unwrap(), Recovery::NothingToDo);
}

#[test]
fn what_can_neither_be_finished_nor_taken_back_is_kept_aside_and_named() {
    let fixture = Fixture::new();
    let lock = fixture.lock();
    let _ = fixture.prepare_these(&lock, &[("kept/stays.txt", "new"), ("mod.txt", "newer")], &[]).unwrap();
    drop(lock);
    assert!(fixture.die_before(1));
    let Some(_first) = Immutable::make(&fixture.project.root().join("kept")) else { return };
    let Some(_second) = Immutable::make(&fixture.project.root().join("mod.txt")) else { return };
    let recovery = recover(&fixture.project, Duration::ZERO).unwrap();
    let Recovery::GivenUp { back, .. } = recovery else { panic!("{recovery:?}") };
    let [aside] = back.aside.as_slice() else { panic!("{back:?}") };
    assert_eq!((aside.path.as_str(), back.left.len()), ("kept/stays.txt", 0));
    assert_eq!(std::fs::read_to_string(&aside.now_at).unwrap(), "stays");
    assert_eq!(std::fs::read(fixture.project.state_file()).unwrap(), b"old state");
    assert_eq!(recover(&fixture.project, Duration::ZERO).unwrap(), Recovery::NothingToDo);
}

#[test]
fn a_journal_that_is_none_of_ours_is_refused() {
    let fixture = Fixture::new();
    for journal in [
        "{",
        "",
        "[]",
        r#"{"version":0,"deletes":[],"writes":[],"own_files":[]}"#,
        r#"{"version":2,"deletes":[],"writes":[],"own_files":[["state","."]]}"#,
        r#"{"version":2,"deletes":[],"writes":[],"own_files":[["state","lock"]]}"#,
        r#"{"version":2,"deletes":[],"writes":[],"own_files":[["state","config.yaml"]]}"#,
        r#"{"version":2,"deletes":[],"writes":[],"own_files":[[".","state.json"]]}"#,
        r#"{"version":1,"deletes":[],"writes":[],"own_files":[["state","../../x"]]}"#,
        r#"{"version":2,"deletes":[],"writes":[],"own_files":[["state","folder-0/x"]]}"#,
        &promising("../../x"),
        &promising("folder-0/../../x"),
        &promising("../x"),
        &promising("folder-0//x"),
    ] {
        std::fs::write(fixture.project.journal_file(), journal).unwrap();
        let Recovery::Refused { why, now_at } = recover(&fixture.project, Duration::ZERO).unwrap() else {
            panic!("{journal}")
        };
        assert!(matches!(why, Refusal::Damaged | Refusal::Name { .. }), "{journal}: {why}");
        assert_eq!(std::fs::read_to_string(now_at).unwrap(), journal);
        assert_eq!(recover(&fixture.project, Duration::ZERO).unwrap(), Recovery::NothingToDo);
    }
    fixture.assert_old();
}

#[test]
fn a_promise_of_a_later_release_is_left_to_it() {
    let fixture = Fixture::new();
    for journal in
        [r#"{"version":9,"deletes":[],"writes":[],"own_files":[]}"#, r#"{"version":9,"something":"else"}"#]
    {
        std::fs::write(fixture.project.journal_file(), journal).unwrap();
        let error = recover(&fixture.project, Duration::ZERO).unwrap_err();
        assert!(
            matches!(error, RecoverError::Journal { source: JournalError::Version { found: 9, .. } }),
            "{error}"
        );
        assert!(fixture.project.journal_file().exists());
    }
}

#[test]
fn a_journal_is_believed_only_with_what_it_staged() {
    let is_refused = |change: &dyn Fn(&Path)| {
        let fixture = Fixture::new();
        let lock = fixture.lock();
        let _ =
            fixture.prepare_these(&lock, &[("mod.txt", "newer"), ("new.txt", "new")], &["keep.txt"]).unwrap();
        drop(lock);
        change(&fixture.project.staging_folder());
        let recovery = recover(&fixture.project, Duration::ZERO).unwrap();
        if matches!(recovery, Recovery::Refused { .. }) {
            fixture.assert_old();
            assert!(!fixture.project.staging_folder().exists());
        }
        matches!(recovery, Recovery::Refused { .. })
    };
    let staged = |staging: &Path| staging.join("0");
    let replace_by_link = |file: &Path, target: &str| {
        std::fs::remove_file(file).unwrap();
        symlink(target, file).unwrap();
    };
    assert!(!is_refused(&|_| ()));
    assert!(is_refused(&|staging| std::fs::write(staged(staging), "other").unwrap()));
    assert!(is_refused(&|staging| std::fs::write(staged(staging), "longer than it was").unwrap()));
    assert!(is_refused(&|staging| replace_by_link(&staged(staging), "../../keep.txt")));
    assert!(is_refused(&|staging| replace_by_link(&staged(staging), "nowhere")));
    assert!(is_refused(&|staging| replace_by_link(&staging.join("state"), "../../keep.txt")));
    assert!(is_refused(&|staging| {
        std::fs::remove_file(staged(staging)).unwrap();
        std::fs::create_dir(staged(staging)).unwrap();
    }));
    // The same files, but in another place.
    assert!(is_refused(&|staging| {
        let elsewhere = staging.parent().unwrap().join("elsewhere");
        std::fs::rename(staging, &elsewhere).unwrap();
        symlink("elsewhere", staging).unwrap();
    }));
    // A copy with its times is as good: some file systems give new numbers to files.
    assert!(!is_refused(&|staging| {
        let file = staged(staging);
        let modified = file.metadata().unwrap().modified().unwrap();
        let content = std::fs::read(&file).unwrap();
        std::fs::remove_file(&file).unwrap();
        std::fs::write(&file, content).unwrap();
        std::fs::File::options().write(true).open(&file).unwrap().set_modified(modified).unwrap();
    }));
}

#[test]
fn what_is_rescued_goes_through_no_link() {
    let fixture = Fixture::new();
    let outside = fixture.project.root().parent().unwrap().join("outside");
    std::fs::create_dir(&outside).unwrap();
    symlink(&outside, fixture.project.rescued_folder()).unwrap();
    let lock = fixture.lock();
    let _ = fixture.prepare_these(&lock, &[("mod.txt", "newer")], &[]).unwrap();
    drop(lock);
    fixture.put("mod.txt", "edited");
    let Recovery::Finished(applied) = recover(&fixture.project, Duration::ZERO).unwrap() else { panic!() };
    assert_eq!(std::fs::read_to_string(&applied.rescued[0].now_at).unwrap(), "edited");
    assert!(applied.rescued[0].now_at.starts_with(fixture.project.root()));
    assert_eq!(std::fs::read_dir(&outside).unwrap().count(), 0);
}

#[test]
fn many_files_are_synced_at_once() {
    let fixture = Fixture::new();
    let paths: Vec<String> = (0..200).map(|n| format!("many/{n}/file")).collect();
    let writes: Vec<(&str, &str)> = paths.iter().map(|path| (path.as_str(), "x")).collect();
    let lock = fixture.lock();
    fixture.prepare_these(&lock, &writes, &[]).unwrap().apply().unwrap();
    assert_eq!(fixture.tree().len(), OLD.len() + 200);
}

/// An entry that not even root may change, until this is dropped.
struct Immutable(PathBuf);

impl Immutable {
    /// `None` where that cannot be made.
    fn make(path: &Path) -> Option<Self> {
        if !path.exists() {
            std::fs::create_dir(path).unwrap();
        }
        let made = set_immutable(path, true);
        if !made {
            println!("skipped: nothing can be made immutable here");
        }
        made.then(|| Self(path.to_owned()))
    }
}

impl Drop for Immutable {
    fn drop(&mut self) {
        set_immutable(&self.0, false);
    }
}

/// Without another process: one that starts holds, for an instant, the locks of all other tests.
#[cfg(target_os = "linux")]
fn set_immutable(path: &Path, is_immutable: bool) -> bool {
    let Ok(file) = std::fs::File::open(path) else { return false };
    let Ok(mut flags) = rustix::fs::ioctl_getflags(&file) else { return false };
    flags.set(rustix::fs::IFlags::IMMUTABLE, is_immutable);
    rustix::fs::ioctl_setflags(&file, flags).is_ok()
}

#[cfg(not(target_os = "linux"))]
fn set_immutable(_: &Path, _: bool) -> bool {
    false
}

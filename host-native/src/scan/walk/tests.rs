use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::symlink;

use tempfile::TempDir;

use super::*;

struct Tree {
    _folder: TempDir,
    root: PathBuf,
}

impl Tree {
    fn new(files: &[&str]) -> Self {
        let folder = TempDir::new().unwrap();
        let root = folder.path().canonicalize().unwrap().join("p");
        std::fs::create_dir(&root).unwrap();
        let tree = Self { _folder: folder, root };
        for path in files {
            tree.put(path);
        }
        tree
    }

    fn put(&self, path: &str) {
        let disk = self.root.join(path);
        std::fs::create_dir_all(disk.parent().unwrap()).unwrap();
        std::fs::write(disk, path).unwrap();
    }

    fn walk(&self, wanted: &[&str], symlinks: SymlinkPolicy, untracked: Untracked) -> Walked {
        let wanted: Vec<BundlePath> = wanted.iter().map(|path| path.parse().unwrap()).collect();
        let wanted: Vec<&BundlePath> = wanted.iter().collect();
        assert!(wanted.is_sorted());
        walk(&self.root, &wanted, WalkOptions { symlinks, untracked }, &|_| ()).unwrap()
    }
}

fn texts(paths: &[BundlePath]) -> Vec<&str> {
    let mut texts: Vec<_> = paths.iter().map(BundlePath::as_str).collect();
    texts.sort_unstable();
    texts
}

fn reasons(walked: &Walked) -> Vec<(&str, RefusalReason)> {
    let mut reasons: Vec<_> = walked.refused.iter().map(|one| (one.path.as_str(), one.reason)).collect();
    reasons.sort_unstable_by_key(|one| one.0);
    reasons
}

fn places(walked: &Walked) -> Vec<usize> {
    let mut places: Vec<_> = walked.files.iter().map(|file| file.wanted).collect();
    places.sort_unstable();
    places
}

#[test]
fn finds_what_it_looks_for_and_lists_the_rest() {
    let tree =
        Tree::new(&["a-b", "a.txt", "a/b", "a/c/d", "x", ".git/config", ".modelops-bundle/state.json"]);
    let walked =
        tree.walk(&["a-b", "a/b", "a/c/d", "gone", "z/gone"], SymlinkPolicy::Inside, Untracked::List);
    assert_eq!(places(&walked), [0, 1, 2]);
    assert_eq!(texts(&walked.untracked), ["a.txt", "x"]);
    let walked = tree.walk(&["a/c/d"], SymlinkPolicy::Inside, Untracked::Skip);
    assert_eq!((places(&walked), texts(&walked.untracked)), (vec![0], vec![]));
}

#[test]
fn large_folders_are_shared_out() {
    let names: Vec<String> = (0..3 * BATCH).map(|n| format!("f{n:05}")).collect();
    let tree = Tree::new(&names.iter().map(String::as_str).collect::<Vec<_>>());
    let (wanted, rest) = names.split_at(BATCH);
    let wanted: Vec<_> = wanted.iter().map(String::as_str).collect();
    let walked = tree.walk(&wanted, SymlinkPolicy::Inside, Untracked::List);
    assert_eq!(places(&walked), (0..BATCH).collect::<Vec<_>>());
    assert_eq!(texts(&walked.untracked), rest);
}

#[test]
fn ignored_folders_are_entered_only_for_what_is_tracked_there() {
    let tree = Tree::new(&[
        "out/a",
        "out/deep/b",
        "__pycache__/x.pyc",
        "src/x.log",
        "src/keep.log",
        "src/sub/y.log",
    ]);
    std::fs::write(tree.root.join(".modelopsignore"), "out/\n*.log\n").unwrap();
    std::fs::write(tree.root.join("src/.modelopsignore"), "!keep.log\n").unwrap();
    let walked = tree.walk(&["out/deep/b"], SymlinkPolicy::Inside, Untracked::List);
    assert_eq!(places(&walked), [0]);
    assert_eq!(texts(&walked.untracked), [".modelopsignore", "src/.modelopsignore", "src/keep.log"]);
    // out/a, __pycache__, src/x.log, src/sub/y.log.
    assert_eq!(walked.ignored_count, 4);
    assert_eq!(walked.ignored_entries, []);
    // A folder stands for what is in it, also where something in it is looked for.
    let walked = tree.walk(&["out/deep/b"], SymlinkPolicy::Inside, Untracked::NameIgnored);
    assert_eq!((walked.ignored_count, walked.ignored.len()), (4, 0));
    let mut named: Vec<_> =
        walked.ignored_entries.iter().map(|entry| (&*entry.path, entry.kind, &*entry.rule.text)).collect();
    named.sort_unstable_by_key(|entry| entry.0);
    assert_eq!(
        named,
        [
            ("__pycache__", EntryKind::Folder, "__pycache__/"),
            ("out", EntryKind::Folder, "out/"),
            ("src/sub/y.log", EntryKind::File, "*.log"),
            ("src/x.log", EntryKind::File, "*.log"),
        ]
    );
    let walked = tree.walk(&[], SymlinkPolicy::Inside, Untracked::ListIgnored);
    assert_eq!(
        texts(&walked.ignored),
        ["__pycache__/x.pyc", "out/a", "out/deep/b", "src/sub/y.log", "src/x.log"]
    );
}

#[test]
fn what_stands_where_something_else_belongs_is_told() {
    let tree = Tree::new(&["a", "folder/x"]);
    let walked = tree.walk(&["a", "a/b", "folder"], SymlinkPolicy::Inside, Untracked::List);
    assert_eq!(places(&walked), [0]);
    assert_eq!(walked.below_files, [(1, "a".to_owned())]);
    assert_eq!(walked.folders, [2]);
    assert_eq!(texts(&walked.untracked), ["folder/x"]);
}

#[test]
fn unusual_names_are_reported_and_never_dropped() {
    let tree = Tree::new(&["plain", "with space", "ünïcode", "new\nline", "back\\slash"]);
    std::fs::write(tree.root.join(OsStr::from_bytes(b"b\xffd")), "").unwrap();
    let fifo = rustix::fs::FileType::Fifo;
    let mode = rustix::fs::Mode::from_raw_mode(0o600);
    rustix::fs::mknodat(rustix::fs::CWD, tree.root.join("pipe"), fifo, mode, 0).unwrap();
    let walked = tree.walk(&[], SymlinkPolicy::Inside, Untracked::List);
    assert_eq!(texts(&walked.untracked), ["plain", "with space", "ünïcode"]);
    let expected = [
        ("back\\slash", RefusalReason::Name(PathFault::Backslash)),
        ("b\u{fffd}d", RefusalReason::NotUnicode),
        ("new\nline", RefusalReason::Name(PathFault::ControlCharacter)),
        ("pipe", RefusalReason::Special),
    ];
    assert_eq!(reasons(&walked), expected);
    let walked = tree.walk(&["pipe"], SymlinkPolicy::Inside, Untracked::Skip);
    assert_eq!(walked.unreadable[0].1.reason, RefusalReason::Special);
}

fn tree_of_links() -> Tree {
    let tree = Tree::new(&["real/file", "real/deep/x", "../outside/secret", ".git/config"]);
    for (link, target) in [
        ("absolute", tree.root.join("real/file").to_str().unwrap()),
        ("alias", "real"),
        ("dangling", "nowhere"),
        ("git", ".git"),
        ("out", "../outside"),
        ("out-file", "../outside/secret"),
        ("real/deep/up", ".."),
        ("relative", "real/file"),
        ("self", "self"),
        ("top", "."),
    ] {
        symlink(target, tree.root.join(link)).unwrap();
    }
    tree
}

#[test]
fn links_that_stay_inside_are_read_as_what_they_point_to() {
    let tree = tree_of_links();
    let walked = tree.walk(&["alias/deep/x", "relative"], SymlinkPolicy::Inside, Untracked::List);
    assert_eq!(places(&walked), [0, 1]);
    let relative = walked.files.iter().find(|file| file.wanted == 1).unwrap();
    assert_eq!(relative.content.size, "real/file".len() as u64);
    assert_ne!(relative.content.inode, relative.entry().inode);
    assert_eq!(relative.target(), Some(tree.root.join("real/file").as_path()));
    assert_eq!(texts(&walked.untracked), ["absolute", "alias/file", "real/deep/x", "real/file"]);
    let expected = [
        ("alias/deep/up", RefusalReason::CyclicLink),
        ("dangling", RefusalReason::DanglingLink),
        ("git", RefusalReason::OutsideLink),
        ("out", RefusalReason::OutsideLink),
        ("out-file", RefusalReason::OutsideLink),
        ("real/deep/up", RefusalReason::CyclicLink),
        ("self", RefusalReason::CyclicLink),
        ("top", RefusalReason::CyclicLink),
    ];
    assert_eq!(reasons(&walked), expected);
}

#[test]
fn the_other_policies_refuse_all_links_or_follow_all() {
    let tree = tree_of_links();
    let walked = tree.walk(&[], SymlinkPolicy::Never, Untracked::List);
    assert_eq!(texts(&walked.untracked), ["real/deep/x", "real/file"]);
    assert_eq!(walked.refused.len(), 10);
    assert!(walked.refused.iter().all(|one| one.reason == RefusalReason::Link));
    let walked = tree.walk(&["out/secret"], SymlinkPolicy::Always, Untracked::List);
    assert_eq!(places(&walked), [0]);
    assert!(texts(&walked.untracked).contains(&"out-file"));
    assert_eq!(reasons(&walked).len(), 6);
}

#[test]
fn links_between_folders_come_to_an_end() {
    let tree = Tree::new(&["a/x", "b/x", "c/x"]);
    for (link, target) in
        [("a/b", "../b"), ("a/c", "../c"), ("b/a", "../a"), ("b/c", "../c"), ("c/a", "../a"), ("c/b", "../b")]
    {
        symlink(target, tree.root.join(link)).unwrap();
    }
    let walked = tree.walk(&[], SymlinkPolicy::Inside, Untracked::List);
    assert_eq!(walked.untracked.len(), 15);
    assert!(walked.refused.iter().all(|one| one.reason == RefusalReason::CyclicLink));
}

#[test]
fn what_lies_below_a_refused_link_is_told() {
    let tree = tree_of_links();
    let walked = tree.walk(&["out/secret"], SymlinkPolicy::Inside, Untracked::Skip);
    assert_eq!(walked.below_files, [(0, "out".to_owned())]);
    assert!(walked.files.is_empty());
}

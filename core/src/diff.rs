//! The three-way comparison of a project, its remote and what they last agreed on: one [`Change`] per path.

use crate::digest::Digest;
use crate::path::BundlePath;
use crate::snapshot::{ByPath, File, HasPath, SyncedFile};

/// What became of one path.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Change {
    /// Both sides have the same content and mode.
    Unchanged,
    /// Only the project has it, and they never agreed on it.
    AddedLocal,
    /// Only the remote has it, and the project does not track it.
    AddedRemote,
    /// The project changed it since they last agreed.
    ModifiedLocal,
    /// The remote changed it since they last agreed.
    ModifiedRemote,
    /// The project tracks it and has deleted it.
    DeletedLocal,
    /// The remote has dropped it, and the project has not changed it.
    DeletedRemote,
    /// Both sides changed it, each in its own way.
    Conflict,
}

impl Change {
    /// Every change, in the order of their declaration.
    pub const ALL: [Self; 8] = [
        Self::Unchanged,
        Self::AddedLocal,
        Self::AddedRemote,
        Self::ModifiedLocal,
        Self::ModifiedRemote,
        Self::DeletedLocal,
        Self::DeletedRemote,
        Self::Conflict,
    ];

    /// The name that plumbing and JSON documents use.
    pub fn name(self) -> &'static str {
        match self {
            Self::Unchanged => "unchanged",
            Self::AddedLocal => "added_local",
            Self::AddedRemote => "added_remote",
            Self::ModifiedLocal => "modified_local",
            Self::ModifiedRemote => "modified_remote",
            Self::DeletedLocal => "deleted_local",
            Self::DeletedRemote => "deleted_remote",
            Self::Conflict => "conflict",
        }
    }
}

/// One path, and what became of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PathChange {
    /// The path.
    pub path: BundlePath,
    /// What became of it.
    pub change: Change,
}

/// The facts of a comparison.
#[derive(Clone, Copy, Debug)]
pub struct Sides<'a> {
    /// The files on disk that matter: those that are tracked, and for a pull those where the remote has one.
    pub local: &'a ByPath<File>,
    /// The files of the remote's bundle.
    pub remote: &'a ByPath<File>,
    /// What both last agreed on.
    pub base: &'a ByPath<SyncedFile>,
    /// The paths that the project tracks, on disk or not.
    pub tracked: &'a ByPath<BundlePath>,
}

/// One path of a comparison, with what each side says of it.
#[derive(Clone, Debug)]
pub(crate) struct Compared<'a> {
    pub(crate) path: &'a BundlePath,
    pub(crate) change: Change,
    pub(crate) local: Option<&'a File>,
    pub(crate) remote: Option<&'a File>,
    pub(crate) base: Option<&'a SyncedFile>,
}

/// Compares the sides; the result is ordered by path and leaves out what no side has any more.
#[must_use]
pub fn diff(sides: Sides<'_>) -> Vec<PathChange> {
    compare(sides)
        .map(|compared| PathChange { path: compared.path.clone(), change: compared.change })
        .collect()
}

/// Goes through all sides in one merge.
pub(crate) fn compare(sides: Sides<'_>) -> impl Iterator<Item = Compared<'_>> {
    let mut local = Cursor(sides.local);
    let mut remote = Cursor(sides.remote);
    let mut base = Cursor(sides.base);
    let mut tracked = Cursor(sides.tracked);
    std::iter::from_fn(move || {
        loop {
            let path =
                [local.path(), remote.path(), base.path(), tracked.path()].into_iter().flatten().min()?;
            let (local, remote, base) = (local.take(path), remote.take(path), base.take(path));
            let standing = if tracked.take(path).is_some() { Standing::Tracked } else { Standing::Untracked };
            let last = base.map(|base| Last { digest: base.digest, executable: base.executable });
            if let Some(change) = classify(local.map(Content::of), remote.map(Content::of), last, standing) {
                return Some(Compared { path, change, local, remote, base });
            }
        }
    })
}

struct Cursor<'a, T>(&'a [T]);

impl<'a, T: HasPath> Cursor<'a, T> {
    fn path(&self) -> Option<&'a BundlePath> {
        self.0.first().map(HasPath::path)
    }

    fn take(&mut self, path: &BundlePath) -> Option<&'a T> {
        let (first, rest) = self.0.split_first()?;
        if first.path() != path {
            return None;
        }
        self.0 = rest;
        Some(first)
    }
}

/// What of a file counts in a comparison.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Content {
    pub(crate) digest: Digest,
    pub(crate) executable: bool,
}

impl Content {
    fn of(file: &File) -> Self {
        Self { digest: file.digest, executable: file.executable }
    }
}

/// What counts of what both sides last agreed on.
#[derive(Clone, Copy)]
pub(crate) struct Last {
    pub(crate) digest: Digest,
    pub(crate) executable: Option<bool>,
}

/// Whether a project tracks a path.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Standing {
    Tracked,
    Untracked,
}

/// The table of the three-way rules.
pub(crate) fn classify(
    local: Option<Content>,
    remote: Option<Content>,
    base: Option<Last>,
    standing: Standing,
) -> Option<Change> {
    let is_base = |file: Content| {
        base.is_some_and(|base| {
            base.digest == file.digest
                && base.executable.is_none_or(|executable| executable == file.executable)
        })
    };
    Some(match (local, remote) {
        (Some(local), Some(remote)) if local == remote => Change::Unchanged,
        // Where the last mode is unknown and only modes differ, both are the base: the project's one is the news.
        (Some(_), Some(remote)) if is_base(remote) => Change::ModifiedLocal,
        (Some(local), Some(_)) if is_base(local) => Change::ModifiedRemote,
        (Some(_), Some(_)) => Change::Conflict,
        (Some(_), None) if base.is_none() => Change::AddedLocal,
        (Some(local), None) if is_base(local) => Change::DeletedRemote,
        (Some(_), None) => Change::Conflict,
        (None, Some(_)) if standing == Standing::Untracked => Change::AddedRemote,
        (None, Some(remote)) if base.is_some() && !is_base(remote) => Change::Conflict,
        (None, Some(_)) => Change::DeletedLocal,
        (None, None) if standing == Standing::Tracked && base.is_some() => Change::DeletedLocal,
        (None, None) => return None,
    })
}

#[cfg(test)]
pub(crate) mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::digest::Digest;
    use crate::tree::tests::any_tree;

    fn file(content: &str) -> File {
        File {
            path: "p".parse().unwrap(),
            digest: Digest::of(content.as_bytes()),
            size: content.len() as u64,
            executable: content.ends_with('!'),
        }
    }

    /// What a state file says of `files`.
    pub(crate) fn synced(files: &ByPath<File>) -> ByPath<SyncedFile> {
        let facts = files.iter().map(|file| SyncedFile {
            path: file.path.clone(),
            digest: file.digest,
            executable: Some(file.executable),
        });
        ByPath::new(facts.collect()).unwrap()
    }

    /// The paths of `files`.
    pub(crate) fn paths(files: &ByPath<File>) -> ByPath<BundlePath> {
        ByPath::new(files.iter().map(|file| file.path.clone()).collect()).unwrap()
    }

    #[test]
    fn the_table() {
        use Change::*;
        use Standing::*;
        // local, remote, last synced, tracked: the rows of the three-way rules, and their corners.
        for (local, remote, base, standing, change) in [
            (Some("a"), Some("a"), None, Tracked, Some(Unchanged)),
            (Some("a"), Some("a"), Some("b"), Untracked, Some(Unchanged)),
            (Some("a"), Some("b"), None, Tracked, Some(Conflict)),
            (Some("a"), Some("b"), None, Untracked, Some(Conflict)),
            (Some("a"), Some("b"), Some("a"), Tracked, Some(ModifiedRemote)),
            (Some("b"), Some("a"), Some("a"), Tracked, Some(ModifiedLocal)),
            (Some("a"), Some("b"), Some("c"), Tracked, Some(Conflict)),
            (Some("a"), None, None, Tracked, Some(AddedLocal)),
            (Some("a"), None, Some("a"), Tracked, Some(DeletedRemote)),
            (Some("a"), None, Some("b"), Tracked, Some(Conflict)),
            (None, Some("a"), None, Untracked, Some(AddedRemote)),
            (None, Some("a"), Some("a"), Untracked, Some(AddedRemote)),
            (None, None, None, Tracked, None),
            (None, None, Some("a"), Untracked, None),
            (None, Some("b"), Some("a"), Tracked, Some(Conflict)),
            (None, Some("a"), Some("a"), Tracked, Some(DeletedLocal)),
            (None, Some("a"), None, Tracked, Some(DeletedLocal)),
            (None, None, Some("a"), Tracked, Some(DeletedLocal)),
        ] {
            let (local, remote) = (local.map(file), remote.map(file));
            let base = base.map(|text| Last { digest: file(text).digest, executable: Some(false) });
            let (local, remote) = (local.as_ref().map(Content::of), remote.as_ref().map(Content::of));
            assert_eq!(classify(local, remote, base, standing), change);
        }
    }

    #[test]
    fn a_mode_is_a_change() {
        let plain = file("a");
        let executable = File { executable: true, ..plain.clone() };
        let change = |last: Option<bool>| {
            let base = Last { digest: plain.digest, executable: last };
            classify(Some(Content::of(&executable)), Some(Content::of(&plain)), Some(base), Standing::Tracked)
        };
        assert_eq!(change(Some(false)), Some(Change::ModifiedLocal));
        assert_eq!(change(Some(true)), Some(Change::ModifiedRemote));
        assert_eq!(change(None), Some(Change::ModifiedLocal));
    }

    proptest! {
        #[test]
        fn equal_sides_show_no_change(tree in any_tree(), base in any_tree()) {
            let sides = Sides { local: &tree, remote: &tree, base: &synced(&base), tracked: &paths(&tree) };
            prop_assert!(diff(sides).iter().all(|each| each.change == Change::Unchanged));
        }

        #[test]
        fn each_path_comes_once_in_order(local in any_tree(), remote in any_tree(), base in any_tree()) {
            let sides = Sides { local: &local, remote: &remote, base: &synced(&base), tracked: &paths(&base) };
            let changes = diff(sides);
            prop_assert!(changes.is_sorted_by(|a, b| a.path < b.path));
            for file in local.iter().chain(&remote) {
                prop_assert!(changes.iter().any(|change| change.path == file.path));
            }
        }
    }
}

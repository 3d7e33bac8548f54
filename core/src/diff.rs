//! The three-way comparison of a project, its remote and what they last agreed on: one [`Change`] per path.

use std::collections::BTreeSet;

use crate::digest::Digest;
use crate::file::{ByPath, File, HasPath, SyncedFile};
use crate::name::path::BundlePath;

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
    /// The remote has it, and the project has deleted it or no longer tracks it.
    DeletedLocal,
    /// The remote has dropped it, and the project has not changed it.
    DeletedRemote,
    /// Both sides changed it, each in its own way.
    Conflict,
}

/// Which way both sides changed a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ConflictKind {
    /// Both added it, with different content.
    AddedBoth,
    /// The project deleted it, and the remote changed it.
    DeletedHereEditedThere,
    /// Both changed its content.
    EditedBoth,
    /// The project changed it, and the remote deleted it.
    EditedHereDeletedThere,
    /// Something that the project does not track, or that stays, lies where the remote's file would be written.
    InTheWay,
    /// One side changed the content and the other one the mode alone.
    Mode,
    /// The project no longer tracks it, and the remote changed it.
    RemovedHereEditedThere,
}

impl ConflictKind {
    /// Every kind, in the order of their declaration.
    pub const ALL: [Self; 7] = [
        Self::AddedBoth,
        Self::DeletedHereEditedThere,
        Self::EditedBoth,
        Self::EditedHereDeletedThere,
        Self::InTheWay,
        Self::Mode,
        Self::RemovedHereEditedThere,
    ];

    /// The name that plumbing and JSON documents use.
    pub fn name(self) -> &'static str {
        match self {
            Self::AddedBoth => "added_both",
            Self::DeletedHereEditedThere => "deleted_here_edited_there",
            Self::EditedBoth => "edited_both",
            Self::EditedHereDeletedThere => "edited_here_deleted_there",
            Self::InTheWay => "in_the_way",
            Self::Mode => "mode",
            Self::RemovedHereEditedThere => "removed_here_edited_there",
        }
    }
}

/// The file in which git looks for what it is to ignore.
pub const GITIGNORE: &str = ".gitignore";

/// What that file holds where this tool has made it; untracked and unchanged, it counts as absent.
pub const GENERATED_GITIGNORE: &str = ".modelops-bundle/\n";

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
    pub(crate) tracking: Tracking,
}

impl Compared<'_> {
    /// Whether the project tracks it.
    pub(crate) fn is_tracked(&self) -> bool {
        self.tracking == Tracking::Tracked
    }

    /// Whether the project has it as a tracked file.
    pub(crate) fn is_tracked_file(&self) -> bool {
        self.is_tracked() && self.local.is_some()
    }

    /// Which kind of conflict it is, where it is one.
    pub(crate) fn conflict_kind(&self) -> ConflictKind {
        match (self.tracking, self.local, self.remote, self.base) {
            (Tracking::Untracked, ..) => ConflictKind::RemovedHereEditedThere,
            (_, None, ..) => ConflictKind::DeletedHereEditedThere,
            (_, Some(_), None, _) => ConflictKind::EditedHereDeletedThere,
            (_, Some(_), Some(_), None) => ConflictKind::AddedBoth,
            (_, Some(local), Some(remote), Some(base)) => {
                let (edited_here, edited_there) = (local.digest != base.digest, remote.digest != base.digest);
                if edited_here == edited_there { ConflictKind::EditedBoth } else { ConflictKind::Mode }
            }
        }
    }
}

/// Whether a project tracks a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tracking {
    Tracked,
    Untracked,
}

/// Compares the sides; the result is ordered by path and leaves out what no side has any more.
#[must_use]
pub fn diff(sides: Sides<'_>) -> Vec<PathChange> {
    compare(sides)
        .map(|compared| PathChange { path: compared.path.clone(), change: compared.change })
        .collect()
}

/// The part of a comparison in which there is something to decide.
///
/// Where the project tracks and has what the remote has, nothing is to be done, whatever was last synced. Leaving those
/// paths out changes no decision about the others as long as their number is known, and of a large project little else is
/// left.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Unsettled {
    local: ByPath<File>,
    remote: ByPath<File>,
    base: ByPath<SyncedFile>,
    tracked: ByPath<BundlePath>,
    settled: u64,
}

impl Unsettled {
    /// What is unsettled between `sides`, where the paths in `disputed` always are.
    pub fn of(sides: Sides<'_>, disputed: &ByPath<BundlePath>) -> Self {
        let split = |is_settled: &dyn Fn(&Merged<'_>) -> bool| {
            let (settled, unsettled): (Vec<_>, Vec<_>) = merge(sides).partition(is_settled);
            (settled.len() as u64, unsettled)
        };
        let is_settled = |merged: &Merged<'_>| {
            merged.row.has(Row::LOCAL_IS_REMOTE | Row::TRACKED) && disputed.at(merged.path).is_none()
        };
        let (mut settled, mut unsettled) = split(&is_settled);
        // Content that goes at one path counts as lost only where no other path keeps it.
        let is_one_sided = |row: Row| row.has(Row::LOCAL) != row.has(Row::REMOTE);
        let one_sided = unsettled.iter().filter(|merged| is_one_sided(merged.row));
        let going: BTreeSet<Digest> =
            one_sided.filter_map(|merged| merged.local.or(merged.remote)).map(|file| file.digest).collect();
        if !going.is_empty() {
            let goes = |merged: &Merged<'_>| merged.local.is_some_and(|file| going.contains(&file.digest));
            (settled, unsettled) = split(&|merged| is_settled(merged) && !goes(merged));
        }
        let (mut local, mut remote, mut base, mut tracked) = (vec![], vec![], vec![], vec![]);
        for merged in unsettled {
            local.extend(merged.local.cloned());
            remote.extend(merged.remote.cloned());
            base.extend(merged.base.cloned());
            if merged.row.has(Row::TRACKED) {
                tracked.push(merged.path.clone());
            }
        }
        // They are sorted and free of repetitions, as the sides are.
        Self {
            local: ByPath::keeping_first(local),
            remote: ByPath::keeping_first(remote),
            base: ByPath::keeping_first(base),
            tracked: ByPath::keeping_first(tracked),
            settled,
        }
    }

    /// How many paths were left out.
    pub fn settled(&self) -> u64 {
        self.settled
    }

    /// It, as the facts of a comparison.
    pub fn sides(&self) -> Sides<'_> {
        Sides { local: &self.local, remote: &self.remote, base: &self.base, tracked: &self.tracked }
    }
}

/// Classifies each path of the sides, and leaves out what no side has any more.
pub(crate) fn compare(sides: Sides<'_>) -> impl Iterator<Item = Compared<'_>> {
    merge(sides).filter_map(|Merged { path, row, local, remote, base }| {
        let tracking = if row.has(Row::TRACKED) { Tracking::Tracked } else { Tracking::Untracked };
        row.classify().map(|change| Compared { path, change, local, remote, base, tracking })
    })
}

/// The tracked paths that are neither on the disk nor in the remote's bundle.
pub(crate) fn vanished(sides: Sides<'_>) -> impl Iterator<Item = &BundlePath> {
    let is_nowhere = |row: Row| row.has(Row::TRACKED) && !row.has(Row::LOCAL) && !row.has(Row::REMOTE);
    merge(sides).filter(move |merged| is_nowhere(merged.row)).map(|merged| merged.path)
}

/// What each side says of one path.
struct Merged<'a> {
    path: &'a BundlePath,
    row: Row,
    local: Option<&'a File>,
    remote: Option<&'a File>,
    base: Option<&'a SyncedFile>,
}

/// Goes through all sides at once.
fn merge(sides: Sides<'_>) -> impl Iterator<Item = Merged<'_>> {
    let mut local = Cursor(sides.local);
    let mut remote = Cursor(sides.remote);
    let mut base = Cursor(sides.base);
    let mut tracked = Cursor(sides.tracked);
    std::iter::from_fn(move || {
        let path = [local.path(), remote.path(), base.path(), tracked.path()].into_iter().flatten().min()?;
        let (local, remote, base) = (local.take(path), remote.take(path), base.take(path));
        let is_tracked = tracked.take(path).is_some();
        let local = local.filter(|file| is_tracked || !is_generated(file));
        let row = Row::of(local, remote, base, is_tracked);
        Some(Merged { path, row, local, remote, base })
    })
}

/// Whether nobody has touched a file since this tool made it.
fn is_generated(file: &File) -> bool {
    file.path.as_str() == GITIGNORE && file.digest == Digest::of(GENERATED_GITIGNORE.as_bytes())
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

/// What is known of one path, as far as it counts: who has it, and what is equal to what.
///
/// There are few, so that a host with many paths can ask once for each of them (`wit/compare.wit`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Row(u8);

impl Row {
    /// The project has the file.
    pub const LOCAL: u8 = 1;
    /// The remote has it.
    pub const REMOTE: u8 = 1 << 1;
    /// Both have agreed on it before.
    pub const BASE: u8 = 1 << 2;
    /// The project tracks the path.
    pub const TRACKED: u8 = 1 << 3;
    /// The project's file has the content and mode of the remote's.
    pub const LOCAL_IS_REMOTE: u8 = 1 << 4;
    /// The project's file is what both last agreed on.
    pub const LOCAL_IS_BASE: u8 = 1 << 5;
    /// The remote's file is what both last agreed on.
    pub const REMOTE_IS_BASE: u8 = 1 << 6;

    /// Reads a row from its byte; `None` where it calls two files equal of which one is absent.
    pub fn from_byte(byte: u8) -> Option<Self> {
        let row = Self(byte);
        let needs = |equal, both| !row.has(equal) || row.has(both);
        let is_sound = byte < 1 << 7
            && needs(Self::LOCAL_IS_REMOTE, Self::LOCAL | Self::REMOTE)
            && needs(Self::LOCAL_IS_BASE, Self::LOCAL | Self::BASE)
            && needs(Self::REMOTE_IS_BASE, Self::REMOTE | Self::BASE);
        is_sound.then_some(row)
    }

    /// The row as its byte.
    pub fn byte(self) -> u8 {
        self.0
    }

    fn of(local: Option<&File>, remote: Option<&File>, base: Option<&SyncedFile>, tracked: bool) -> Self {
        let is_same = local.zip(remote).is_some_and(|(local, remote)| local.is_same_as(remote));
        let is_base = |file: Option<&File>| file.zip(base).is_some_and(|(file, base)| base.is_of(file));
        let bits = [
            (local.is_some(), Self::LOCAL),
            (remote.is_some(), Self::REMOTE),
            (base.is_some(), Self::BASE),
            (tracked, Self::TRACKED),
            (is_same, Self::LOCAL_IS_REMOTE),
            (is_base(local), Self::LOCAL_IS_BASE),
            (is_base(remote), Self::REMOTE_IS_BASE),
        ];
        Self(bits.into_iter().filter(|(is_so, _)| *is_so).fold(0, |byte, (_, bit)| byte | bit))
    }

    fn has(self, bits: u8) -> bool {
        self.0 & bits == bits
    }

    /// The table of the three-way rules; nothing where there is nothing to say of the path.
    ///
    /// What lies untracked at a path counts only where a file would be written, which a plan looks at.
    pub fn classify(self) -> Option<Change> {
        if !self.has(Self::TRACKED) {
            return self.has(Self::REMOTE).then(|| match self.has(Self::BASE) {
                false => Change::AddedRemote,
                true if self.has(Self::REMOTE_IS_BASE) => Change::DeletedLocal,
                true => Change::Conflict,
            });
        }
        Some(match (self.has(Self::LOCAL), self.has(Self::REMOTE)) {
            (true, true) if self.has(Self::LOCAL_IS_REMOTE) => Change::Unchanged,
            // Where the last synced mode is unknown and only modes differ, both are the base: the remote's one is the news.
            (true, true) if self.has(Self::LOCAL_IS_BASE) => Change::ModifiedRemote,
            (true, true) if self.has(Self::REMOTE_IS_BASE) => Change::ModifiedLocal,
            (true, true) => Change::Conflict,
            (true, false) if !self.has(Self::BASE) => Change::AddedLocal,
            (true, false) if self.has(Self::LOCAL_IS_BASE) => Change::DeletedRemote,
            (true, false) => Change::Conflict,
            (false, true) if self.has(Self::BASE) && !self.has(Self::REMOTE_IS_BASE) => Change::Conflict,
            (false, true) => Change::DeletedLocal,
            (false, false) => return None,
        })
    }
}

/// Every path that any side knows, in order, with its row.
pub fn rows(sides: Sides<'_>) -> impl Iterator<Item = (&BundlePath, Row)> {
    merge(sides).map(|merged| (merged.path, merged.row))
}

#[cfg(test)]
pub(crate) mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::bundle::tree::tests::any_tree;
    use crate::digest::Digest;
    use crate::file::synced;

    fn file(content: &str) -> File {
        File {
            path: "p".parse().unwrap(),
            digest: Digest::of(content.as_bytes()),
            size: content.len() as u64,
            executable: Some(content.ends_with('!')),
        }
    }

    /// The paths of `files`.
    pub(crate) fn paths(files: &ByPath<File>) -> ByPath<BundlePath> {
        ByPath::new(files.iter().map(|file| file.path.clone()).collect()).unwrap()
    }

    fn last(file: &File, executable: Option<bool>) -> SyncedFile {
        SyncedFile { path: file.path.clone(), digest: file.digest, executable }
    }

    #[test]
    fn a_row_does_not_contradict_itself() {
        for byte in [
            Row::LOCAL_IS_REMOTE | Row::LOCAL,
            Row::LOCAL_IS_BASE | Row::BASE,
            Row::REMOTE_IS_BASE | Row::REMOTE,
            1 << 7,
        ] {
            assert_eq!(Row::from_byte(byte), None);
        }
    }

    #[test]
    fn each_row_of_the_three_way_table_has_its_change() {
        use Change::*;
        let (tracked, untracked) = (true, false);
        // Local, remote, last synced, tracked: the rows of the three-way rules, and their corners.
        for (local, remote, base, standing, change) in [
            (Some("a"), Some("a"), None, tracked, Some(Unchanged)),
            (Some("a"), Some("a"), Some("b"), tracked, Some(Unchanged)),
            (Some("a"), Some("b"), None, tracked, Some(Conflict)),
            (Some("a"), Some("b"), Some("a"), tracked, Some(ModifiedRemote)),
            (Some("b"), Some("a"), Some("a"), tracked, Some(ModifiedLocal)),
            (Some("a"), Some("b"), Some("c"), tracked, Some(Conflict)),
            (Some("a"), None, None, tracked, Some(AddedLocal)),
            (Some("a"), None, Some("a"), tracked, Some(DeletedRemote)),
            (Some("a"), None, Some("b"), tracked, Some(Conflict)),
            (None, Some("a"), None, tracked, Some(DeletedLocal)),
            (None, Some("a"), Some("a"), tracked, Some(DeletedLocal)),
            (None, Some("b"), Some("a"), tracked, Some(Conflict)),
            (None, None, None, tracked, None),
            (None, None, Some("a"), tracked, None),
            (None, Some("a"), None, untracked, Some(AddedRemote)),
            (Some("a"), Some("a"), None, untracked, Some(AddedRemote)),
            (Some("a"), Some("b"), None, untracked, Some(AddedRemote)),
            (None, Some("a"), Some("a"), untracked, Some(DeletedLocal)),
            (Some("a"), Some("a"), Some("a"), untracked, Some(DeletedLocal)),
            (Some("b"), Some("a"), Some("a"), untracked, Some(DeletedLocal)),
            (None, Some("b"), Some("a"), untracked, Some(Conflict)),
            (Some("b"), Some("b"), Some("a"), untracked, Some(Conflict)),
            (None, None, Some("a"), untracked, None),
            (Some("a"), None, Some("a"), untracked, None),
            (Some("a"), None, None, untracked, None),
        ] {
            let (local, remote) = (local.map(file), remote.map(file));
            let base = base.map(|text| last(&file(text), Some(false)));
            let row = Row::of(local.as_ref(), remote.as_ref(), base.as_ref(), standing);
            assert_eq!(row.classify(), change, "{local:?} {remote:?} {base:?} {standing}");
            assert_eq!(Row::from_byte(row.byte()), Some(row));
        }
    }

    #[test]
    fn a_gitignore_that_nobody_has_touched_counts_as_absent_until_it_is_tracked() {
        let made = |text: &str| File { path: GITIGNORE.parse().unwrap(), ..file(text) };
        let list = |file: File| ByPath::new(vec![file]).unwrap();
        let (generated, own) = (list(made(GENERATED_GITIGNORE)), list(made("mine")));
        let (none, nothing) = (ByPath::default(), ByPath::default());
        let row = |local, tracked| {
            let sides = Sides { local, remote: &own, base: &nothing, tracked };
            rows(sides).next().unwrap().1
        };
        assert!(!row(&generated, &none).has(Row::LOCAL));
        assert!(row(&own, &none).has(Row::LOCAL));
        assert!(row(&generated, &paths(&generated)).has(Row::LOCAL));
    }

    #[test]
    fn a_mode_is_a_change() {
        let plain = file("a");
        let executable = File { executable: Some(true), ..plain.clone() };
        let change = |last: Option<bool>| {
            let base = self::last(&plain, last);
            Row::of(Some(&executable), Some(&plain), Some(&base), true).classify()
        };
        assert_eq!(change(Some(false)), Some(Change::ModifiedLocal));
        assert_eq!(change(Some(true)), Some(Change::ModifiedRemote));
        assert_eq!(change(None), Some(Change::ModifiedRemote));
    }

    #[test]
    fn a_mode_that_the_remote_does_not_know_is_no_change() {
        let unknown = File { executable: None, ..file("a") };
        for here in [false, true] {
            let local = File { executable: Some(here), ..file("a") };
            for last in [None, Some(false), Some(true)] {
                let base = self::last(&local, last);
                let row = Row::of(Some(&local), Some(&unknown), Some(&base), true);
                assert_eq!(row.classify(), Some(Change::Unchanged));
                let new = File { executable: None, ..file("b") };
                let local = File { executable: last, ..local.clone() };
                let row = Row::of(Some(&local), Some(&new), Some(&base), true);
                assert_eq!(row.classify(), Some(Change::ModifiedRemote));
            }
        }
    }

    proptest! {
        #[test]
        fn equal_sides_show_no_change(tree in any_tree(), base in any_tree()) {
            let sides = Sides { local: &tree, remote: &tree, base: &synced(&base), tracked: &paths(&tree) };
            prop_assert!(diff(sides).iter().all(|each| each.change == Change::Unchanged));
        }

        #[test]
        fn each_path_comes_once_in_order(local in any_tree(), remote in any_tree(), base in any_tree()) {
            let sides = Sides { local: &local, remote: &remote, base: &synced(&base), tracked: &paths(&local) };
            let changes = diff(sides);
            prop_assert!(changes.is_sorted_by(|a, b| a.path < b.path));
            for file in local.iter().chain(&remote) {
                prop_assert!(changes.iter().any(|change| change.path == file.path));
            }
        }
    }
}

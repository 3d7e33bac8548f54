//! The three-way rules as the design has them, written down once more as a plain table: what the tests of cells and the
//! simulation compare the program with. Nothing here is taken from the core.

/// A file of one side: its content, by any name that tells contents apart, and whether it is executable where that is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Side<'a> {
    pub(crate) content: &'a str,
    pub(crate) executable: Option<bool>,
}

impl Side<'_> {
    /// An unknown mode equals any.
    fn has_mode_of(self, other: Side<'_>) -> bool {
        self.executable.is_none() || other.executable.is_none() || self.executable == other.executable
    }

    fn is(self, other: Side<'_>) -> bool {
        self.content == other.content && self.has_mode_of(other)
    }
}

/// What lies on disk at a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Disk<'a> {
    Nothing,
    File(Side<'a>),
    /// A folder with untracked files, a pipe, a link.
    OtherKind,
}

/// All that is known of one path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Facts<'a> {
    pub(crate) tracked: bool,
    pub(crate) disk: Disk<'a>,
    pub(crate) remote: Option<Side<'a>>,
    pub(crate) base: Option<Side<'a>>,
}

/// The rows of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Row {
    Unchanged,
    AddedBoth,
    ModifiedRemote,
    ModifiedLocal,
    EditedBoth,
    /// `EditedBoth` where one side changed the content and the other one the mode alone.
    Mode,
    AddedLocal,
    DeletedRemote,
    EditedHereDeletedThere,
    /// Tracked, not on disk, and never synced.
    Missing,
    DeletedHere,
    DeletedHereEditedThere,
    /// Tracked, and neither here nor there.
    Gone,
    AddedRemote,
    Adoptable,
    InTheWay,
    RemovedHere,
    RemovedHereEditedThere,
    /// Not tracked, and not there.
    Nothing,
}

impl Row {
    pub(crate) const ALL: [Self; 19] = [
        Self::Unchanged,
        Self::AddedBoth,
        Self::ModifiedRemote,
        Self::ModifiedLocal,
        Self::EditedBoth,
        Self::Mode,
        Self::AddedLocal,
        Self::DeletedRemote,
        Self::EditedHereDeletedThere,
        Self::Missing,
        Self::DeletedHere,
        Self::DeletedHereEditedThere,
        Self::Gone,
        Self::AddedRemote,
        Self::Adoptable,
        Self::InTheWay,
        Self::RemovedHere,
        Self::RemovedHereEditedThere,
        Self::Nothing,
    ];

    /// The row that `facts` are in.
    pub(crate) fn of(facts: &Facts<'_>) -> Self {
        let Facts { tracked, disk, remote, base } = *facts;
        match (tracked, disk, remote, base) {
            (true, Disk::File(disk), Some(remote), _) if disk.is(remote) => Self::Unchanged,
            (true, Disk::File(_), Some(_), None) => Self::AddedBoth,
            (true, Disk::File(disk), Some(remote), Some(base)) => match (disk.is(base), remote.is(base)) {
                // With both the same content of the base, whose mode is unknown: the remote's mode is the news.
                (true, _) => Self::ModifiedRemote,
                (false, true) => Self::ModifiedLocal,
                (false, false) if changed_mode_alone(disk, base) || changed_mode_alone(remote, base) => {
                    Self::Mode
                }
                (false, false) => Self::EditedBoth,
            },
            (true, Disk::File(_), None, None) => Self::AddedLocal,
            (true, Disk::File(disk), None, Some(base)) if disk.is(base) => Self::DeletedRemote,
            (true, Disk::File(_), None, Some(_)) => Self::EditedHereDeletedThere,
            (true, _, Some(_), None) => Self::Missing,
            (true, _, Some(remote), Some(base)) if remote.is(base) => Self::DeletedHere,
            (true, _, Some(_), Some(_)) => Self::DeletedHereEditedThere,
            (true, _, None, _) => Self::Gone,
            (false, Disk::Nothing, Some(_), None) => Self::AddedRemote,
            (false, Disk::File(disk), Some(remote), None) if disk.is(remote) => Self::Adoptable,
            (false, _, Some(_), None) => Self::InTheWay,
            (false, _, Some(remote), Some(base)) if remote.is(base) => Self::RemovedHere,
            (false, _, Some(_), Some(_)) => Self::RemovedHereEditedThere,
            (false, _, None, _) => Self::Nothing,
        }
    }

    /// The change that `diff` and `status` name.
    pub(crate) fn change(self) -> Option<&'static str> {
        Some(match self {
            Self::Unchanged => "unchanged",
            Self::AddedLocal => "added_local",
            Self::AddedRemote | Self::Adoptable | Self::InTheWay => "added_remote",
            Self::ModifiedLocal => "modified_local",
            Self::ModifiedRemote => "modified_remote",
            Self::Missing | Self::DeletedHere | Self::RemovedHere => "deleted_local",
            Self::DeletedRemote => "deleted_remote",
            Self::AddedBoth
            | Self::EditedBoth
            | Self::Mode
            | Self::EditedHereDeletedThere
            | Self::DeletedHereEditedThere
            | Self::RemovedHereEditedThere => "conflict",
            Self::Gone | Self::Nothing => return None,
        })
    }

    /// The kind of a conflict, or of what is in the way.
    pub(crate) fn kind(self) -> Option<&'static str> {
        Some(match self {
            Self::AddedBoth => "added_both",
            Self::EditedBoth => "edited_both",
            Self::Mode => "mode",
            Self::EditedHereDeletedThere => "edited_here_deleted_there",
            Self::DeletedHereEditedThere => "deleted_here_edited_there",
            Self::RemovedHereEditedThere => "removed_here_edited_there",
            Self::InTheWay => IN_THE_WAY,
            _ => return None,
        })
    }
}

pub(crate) const IN_THE_WAY: &str = "in_the_way";

fn changed_mode_alone(side: Side<'_>, base: Side<'_>) -> bool {
    side.content == base.content && !side.has_mode_of(base)
}

/// How a pull is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Pull {
    pub(crate) mode: PullMode,
    pub(crate) restore_deleted: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PullMode {
    Merge,
    Safe,
    Exact,
    Overwrite,
}

/// What `--mine` or `--theirs` says of a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Settled {
    No,
    Mine,
    Theirs,
}

/// What becomes of one path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// It stays and nothing is said of it.
    Leave,
    /// It stays as it is here, and is named.
    Keep,
    Write,
    Delete,
    Adopt,
    Untrack,
    /// The pull stops at it, with this kind.
    Stop(Option<&'static str>),
}

/// The lists of a pull's document, and what becomes of the paths in each.
pub(crate) const LISTS: [(&str, Outcome); 5] = [
    ("written", Outcome::Write),
    ("deleted", Outcome::Delete),
    ("adopted", Outcome::Adopt),
    ("untracked", Outcome::Untrack),
    ("kept", Outcome::Keep),
];

/// What may become of one path: one outcome, but where the design leaves it open.
pub(crate) fn pulled(facts: &Facts<'_>, pull: Pull, settled: Settled) -> Vec<Outcome> {
    use Outcome::{Adopt, Delete, Keep, Leave, Stop, Untrack, Write};
    let row = Row::of(facts);
    let stop = Stop(row.kind());
    // A write where something of another kind lies is stopped in every way.
    let is_obstacle = facts.disk == Disk::OtherKind;
    let write = if is_obstacle { Stop(Some(IN_THE_WAY)) } else { Write };
    // What a pull that brings the remote's file does with an untracked one.
    let has_remote = |disk: Side<'_>| facts.remote.is_some_and(|remote| disk.is(remote));
    let take = |at_another: Outcome| match facts.disk {
        Disk::File(disk) if has_remote(disk) => Adopt,
        Disk::File(_) => at_another,
        Disk::Nothing | Disk::OtherKind => write,
    };
    let is_same = matches!(facts.disk, Disk::File(disk) if has_remote(disk));
    let is_merge = pull.mode == PullMode::Merge;
    let outcomes = match (row, settled, pull.mode) {
        (Row::Unchanged | Row::Nothing, _, _) => vec![Leave],
        (Row::Gone, _, _) => vec![Untrack],
        (Row::ModifiedRemote | Row::AddedRemote, _, _) => vec![write],
        (Row::Adoptable, _, _) => vec![Adopt],

        // The remote wins everywhere.
        (Row::AddedLocal, _, PullMode::Overwrite) => vec![Keep, Leave],
        (Row::DeletedRemote | Row::EditedHereDeletedThere, _, PullMode::Overwrite) => vec![Delete],
        (Row::InTheWay | Row::RemovedHere | Row::RemovedHereEditedThere, _, PullMode::Overwrite) => {
            vec![take(Write)]
        }
        (_, _, PullMode::Overwrite) => vec![write],

        (Row::AddedLocal, _, PullMode::Safe) => vec![Keep, Leave],
        (Row::AddedLocal, _, _) => vec![Keep],
        (Row::ModifiedLocal, _, PullMode::Merge) => vec![Keep],
        (Row::ModifiedLocal, _, _) => vec![Stop(None)],
        (Row::DeletedRemote, _, PullMode::Merge | PullMode::Exact) => vec![Delete],
        (Row::DeletedRemote, _, _) => vec![Stop(None)],

        (Row::Missing, Settled::Mine, _) if is_obstacle => vec![Stop(Some(IN_THE_WAY)), Keep],
        (Row::Missing, _, _) if pull.restore_deleted || is_merge => vec![write],
        // The Python tool's rule is told with a last synced version alone.
        (Row::Missing, _, PullMode::Safe) => vec![write, Keep],
        (Row::Missing, _, _) => vec![write],
        (Row::DeletedHere, _, _) if pull.restore_deleted => vec![write],
        // What lies there untracked is in the way, which can be settled.
        (Row::RemovedHere, Settled::Theirs, _) if pull.restore_deleted => vec![take(Write)],
        (Row::RemovedHere, Settled::Mine, _) if pull.restore_deleted && is_obstacle => {
            vec![Stop(Some(IN_THE_WAY)), Keep]
        }
        (Row::RemovedHere, Settled::Mine, _) if pull.restore_deleted => vec![take(Adopt)],
        (Row::RemovedHere, _, _) if pull.restore_deleted => vec![take(Stop(Some(IN_THE_WAY)))],
        (Row::DeletedHere | Row::RemovedHere, _, _) => vec![Keep],

        // What `--theirs` settles.
        (Row::EditedHereDeletedThere, Settled::Theirs, _) => vec![Delete],
        (Row::InTheWay | Row::RemovedHereEditedThere, Settled::Theirs, _) => vec![take(Write)],
        (_, Settled::Theirs, _) => vec![write],

        // What `--mine` settles.
        (Row::InTheWay, Settled::Mine, _) if is_obstacle => vec![Stop(Some(IN_THE_WAY)), Keep],
        (Row::InTheWay, Settled::Mine, _) => vec![Adopt],
        (Row::RemovedHereEditedThere, Settled::Mine, _) => vec![Keep, Adopt],
        (_, Settled::Mine, _) => vec![Keep],

        // A conflict of a file that is not here, where what was deleted is to come back: nothing would be lost.
        (Row::DeletedHereEditedThere | Row::RemovedHereEditedThere, _, _) if pull.restore_deleted => {
            vec![stop, take(Stop(Some(IN_THE_WAY)))]
        }
        (Row::DeletedHereEditedThere, _, _) if is_obstacle => vec![stop, Stop(Some(IN_THE_WAY))],
        (_, Settled::No, _) => vec![stop],
    };
    if pull.mode != PullMode::Exact {
        return outcomes;
    }
    // The project is to have the very tree: what stays otherwise stops it.
    let stops = |outcome: Outcome| match outcome {
        Keep => vec![Stop(None), stop],
        // As it is settled, though it is not what the bundle has.
        Adopt if row == Row::RemovedHere && settled == Settled::Mine && !is_same => {
            vec![Stop(Some(IN_THE_WAY))]
        }
        Adopt if row == Row::InTheWay || row == Row::RemovedHereEditedThere && settled == Settled::Mine => {
            vec![Stop(None), stop]
        }
        other => vec![other],
    };
    let mut outcomes: Vec<Outcome> = outcomes.into_iter().flat_map(stops).collect();
    outcomes.dedup();
    outcomes
}

/// What a push does with one path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pushed {
    Nothing,
    Send,
    Drop,
    Unseen,
    Untrack,
}

/// What a push that is not free does with a path of `row`; `tag_is_absent` where the tag names nothing.
pub(crate) fn pushed(row: Row, tag_is_absent: bool) -> Pushed {
    match row {
        Row::Unchanged | Row::Nothing => Pushed::Nothing,
        Row::ModifiedLocal | Row::AddedLocal => Pushed::Send,
        Row::DeletedRemote | Row::EditedHereDeletedThere if tag_is_absent => Pushed::Send,
        Row::DeletedHere | Row::RemovedHere => Pushed::Drop,
        Row::Gone => Pushed::Untrack,
        Row::AddedBoth
        | Row::ModifiedRemote
        | Row::EditedBoth
        | Row::Mode
        | Row::DeletedRemote
        | Row::EditedHereDeletedThere
        | Row::Missing
        | Row::DeletedHereEditedThere
        | Row::AddedRemote
        | Row::Adoptable
        | Row::InTheWay
        | Row::RemovedHereEditedThere => Pushed::Unseen,
    }
}

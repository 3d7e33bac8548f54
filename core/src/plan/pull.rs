//! How a pull brings the remote's bundle into the project: merged by file, all or nothing.

use std::collections::{BTreeMap, BTreeSet};

use crate::diff::{Change, Compared, ConflictKind, PathChange, Sides, compare, vanished};
use crate::digest::Digest;
use crate::file::{ByPath, File, known_mode};
use crate::name::path::BundlePath;

use super::drops::{DropGuard, MassDrop};

/// Which way a pull decides where the project differs from the bundle.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PullMode {
    /// Keeps what only the project changed, takes what only the remote changed, and stops at conflicts.
    #[default]
    Merge,
    /// As the Python tool does: stops at whatever the project changed.
    Safe,
    /// Stops unless the project then has the bundle's very tree.
    Exact,
    /// The remote wins.
    Overwrite,
}

impl PullMode {
    /// Every mode, in the order of their declaration.
    pub const ALL: [Self; 4] = [Self::Merge, Self::Safe, Self::Exact, Self::Overwrite];

    /// The name that settings use.
    pub fn name(self) -> &'static str {
        match self {
            Self::Merge => "merge",
            Self::Safe => "safe",
            Self::Exact => "exact",
            Self::Overwrite => "overwrite",
        }
    }
}

/// What becomes of files that the project deleted or no longer tracks and the remote has not changed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DeletedHere {
    /// They stay away.
    #[default]
    Leave,
    /// They come back.
    Restore,
}

/// What a user says of a pull.
#[derive(Clone, Copy, Debug)]
pub struct PullOptions<'a> {
    /// Which way it decides.
    pub mode: PullMode,
    /// What becomes of files that were deleted here.
    pub deleted: DeletedHere,
    /// Paths at which the project's version wins a conflict, and what lies in the way stays.
    pub mine: &'a ByPath<BundlePath>,
    /// Paths at which the remote's version wins.
    pub theirs: &'a ByPath<BundlePath>,
    /// Paths where something lies that is no readable file, or that need a folder where there is none. Nothing is written
    /// there, whatever the mode: what they hide cannot be weighed.
    pub obstacles: &'a ByPath<BundlePath>,
    /// Whether most of the files may be deleted.
    pub drops: DropGuard,
    /// How many settled paths the sides leave out: see [`Unsettled`](crate::diff::Unsettled).
    pub settled: u64,
}

/// The paths at which something lies of which nothing is known: `obstacles`, and those of `untracked` whose content is not
/// among the `local` files.
#[must_use]
pub fn hidden(
    local: &ByPath<File>,
    untracked: &ByPath<BundlePath>,
    obstacles: &ByPath<BundlePath>,
) -> ByPath<BundlePath> {
    let unknown = untracked.iter().filter(|path| local.at(path).is_none());
    unknown.chain(obstacles).cloned().collect()
}

/// A path that stops a pull.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Blocked {
    /// The path.
    pub path: BundlePath,
    /// What became of it.
    pub change: Change,
    /// The kind of conflict; none where the mode stops at a change that is none.
    pub kind: Option<ConflictKind>,
}

/// What a pull does: fetches `sources`, then puts all of `write` in place, removes all of `delete` and brings the list of
/// tracked paths up to date, or does nothing at all.
#[must_use = "a plan does nothing until a host carries it out"]
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PullPlan {
    /// The paths to put in place, with the remote's content; they are tracked then.
    pub write: ByPath<BundlePath>,
    /// Those of `write` that are to be executable: as the remote says; where it does not say, as the project's file is, else
    /// as it was when both last agreed.
    pub executable: ByPath<BundlePath>,
    /// The paths to remove, which are no longer tracked then.
    pub delete: ByPath<BundlePath>,
    /// Untracked files that the project tracks from then on as they are.
    pub adopt: ByPath<BundlePath>,
    /// Tracked paths that are nowhere any more.
    pub untrack: ByPath<BundlePath>,
    /// The paths at which the project stays different from the bundle.
    pub kept: Vec<PathChange>,
    /// What stands in the way; while there is anything here, every other list is empty.
    pub blocked: Vec<Blocked>,
    /// That it would delete most of the project's files, which nobody has said it may; every list is empty then.
    pub mass_drop: Option<MassDrop>,
    /// The content behind `write`, by digest; an empty file needs none.
    pub sources: Vec<Source>,
}

/// Where the content of a digest comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// The hash of its bytes.
    pub digest: Digest,
    /// How many bytes it has.
    pub size: u64,
    /// A file of the project that has these bytes already, so that nothing need be fetched.
    pub local: Option<BundlePath>,
}

impl PullPlan {
    /// Whether something stops the pull.
    pub fn is_refused(&self) -> bool {
        !self.blocked.is_empty() || self.mass_drop.is_some()
    }

    /// `files` of the remote's, with the modes that the plan gives to those it writes.
    #[must_use]
    pub fn with_modes(&self, files: ByPath<File>) -> ByPath<File> {
        let settle = |file: File| match self.write.at(&file.path) {
            Some(path) => File { executable: Some(self.executable.at(path).is_some()), ..file },
            None => file,
        };
        // The paths stay, and with them their order.
        ByPath::keeping_first(files.into_vec().into_iter().map(settle).collect())
    }

    /// Finds out which content a file of the project has already: the first one by path that has it.
    ///
    /// To be called again with all of the project's files where the plan was made without those that are settled
    /// ([`Unsettled`](crate::diff::Unsettled)).
    pub fn find_local(&mut self, local: &ByPath<File>) {
        if self.sources.is_empty() {
            return;
        }
        self.sources.iter_mut().for_each(|source| source.local = None);
        for file in local {
            if let Ok(at) = self.sources.binary_search_by_key(&file.digest, |source| source.digest)
                && let Some(source) = self.sources.get_mut(at)
            {
                source.local.get_or_insert_with(|| file.path.clone());
            }
        }
    }
}

/// What is to be done at a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    /// The project's file becomes the remote's.
    Write,
    /// The project's file goes.
    Delete,
    /// The project's file is tracked as it is.
    Adopt,
    /// The project stays different from the bundle.
    Keep,
    /// Both sides are the same.
    Leave,
    /// The pull stops.
    Block(Option<ConflictKind>),
}

/// A path with what is to be done there.
struct Decided<'a> {
    compared: Compared<'a>,
    step: Step,
}

impl Decided<'_> {
    /// Whether a file lies there once all is done.
    fn stands(&self) -> bool {
        match self.step {
            Step::Write | Step::Adopt => true,
            Step::Keep | Step::Leave => self.compared.local.is_some(),
            Step::Delete | Step::Block(_) => false,
        }
    }
}

/// Plans a pull. `sides.local` holds the tracked files on disk and whatever file lies where the remote has one.
pub fn plan_pull(sides: Sides<'_>, options: PullOptions<'_>) -> PullPlan {
    let mut decided: Vec<Decided<'_>> = compare(sides)
        .map(|compared| {
            let step = match decide(&compared, options) {
                Step::Write if options.obstacles.at(compared.path).is_some() => {
                    Step::Block(Some(ConflictKind::InTheWay))
                }
                step => step,
            };
            Decided { compared, step }
        })
        .collect();
    settle_nested(&mut decided, options);

    let mut plan = PullPlan::default();
    let mut written: Vec<&File> = Vec::new();
    let (mut executable, mut deleted, mut adopted) = (Vec::new(), Vec::new(), Vec::new());
    for Decided { compared, step } in &decided {
        let path = || compared.path.clone();
        match (step, compared.remote) {
            (Step::Write, Some(file)) => {
                written.push(file);
                if known_mode(file, compared.local, compared.base) == Some(true) {
                    executable.push(path());
                }
            }
            (Step::Delete, _) => deleted.push(path()),
            (Step::Adopt, _) => adopted.push(path()),
            (Step::Keep, _) => plan.kept.push(PathChange { path: path(), change: compared.change }),
            (Step::Block(kind), _) => {
                plan.blocked.push(Blocked { path: path(), change: compared.change, kind: *kind });
            }
            // Nothing is written that the remote does not have.
            (Step::Leave | Step::Write, _) => {}
        }
    }
    if !plan.blocked.is_empty() {
        return PullPlan { blocked: plan.blocked, ..PullPlan::default() };
    }
    if options.drops == DropGuard::Stop
        && let Some(mass_drop) = mass_drop(sides, &decided, options.settled)
    {
        return PullPlan { mass_drop: Some(mass_drop), ..PullPlan::default() };
    }
    plan.write = written.iter().map(|file| file.path.clone()).collect();
    plan.executable = executable.into_iter().collect();
    plan.delete = deleted.into_iter().collect();
    plan.adopt = adopted.into_iter().collect();
    plan.untrack = vanished(sides).cloned().collect();
    plan.sources = sources(&written);
    plan.find_local(sides.local);
    plan
}

/// What the rules say of one path.
fn decide(compared: &Compared<'_>, options: PullOptions<'_>) -> Step {
    let PullOptions { mode, deleted, .. } = options;
    match compared.change {
        Change::Unchanged => Step::Leave,
        Change::ModifiedRemote => Step::Write,
        Change::AddedRemote => bring_back(compared, options),
        Change::DeletedLocal => match mode {
            _ if deleted == DeletedHere::Restore => bring_back(compared, options),
            PullMode::Overwrite => bring_back(compared, options),
            // It was never here: that it is not is no deletion.
            PullMode::Merge | PullMode::Exact if compared.base.is_none() => Step::Write,
            PullMode::Exact => Step::Block(None),
            PullMode::Merge | PullMode::Safe => Step::Keep,
        },
        Change::AddedLocal => match mode {
            PullMode::Exact => Step::Block(None),
            PullMode::Merge | PullMode::Safe | PullMode::Overwrite => Step::Keep,
        },
        Change::ModifiedLocal => match mode {
            PullMode::Merge => Step::Keep,
            PullMode::Safe | PullMode::Exact => Step::Block(None),
            PullMode::Overwrite => Step::Write,
        },
        Change::DeletedRemote => match mode {
            PullMode::Safe => Step::Block(None),
            PullMode::Merge | PullMode::Exact | PullMode::Overwrite => Step::Delete,
        },
        Change::Conflict => settle(compared, compared.conflict_kind(), options),
    }
}

/// Brings the remote's file to where the project tracks none: nothing else that lies there is lost.
fn bring_back(compared: &Compared<'_>, options: PullOptions<'_>) -> Step {
    match compared.local.zip(compared.remote) {
        None => Step::Write,
        Some((local, remote)) if local.is_same_as(remote) => Step::Adopt,
        Some(_) => settle(compared, ConflictKind::InTheWay, options),
    }
}

/// Who wins a conflict, where somebody does.
fn settle(compared: &Compared<'_>, kind: ConflictKind, options: PullOptions<'_>) -> Step {
    let theirs = || match (compared.remote, compared.local) {
        // What is not tracked and has the content stays as it is.
        (Some(remote), Some(local)) if local.is_same_as(remote) => Step::Adopt,
        (Some(_), _) => Step::Write,
        (None, _) => Step::Delete,
    };
    match winner(compared.path, options) {
        Some(Winner::Theirs) => theirs(),
        Some(Winner::Mine) if options.mode == PullMode::Exact => Step::Block(Some(kind)),
        // From then on it is the project's version of the path, which it can only be where it is tracked.
        Some(Winner::Mine) if kind == ConflictKind::InTheWay => Step::Adopt,
        Some(Winner::Mine) => Step::Keep,
        None => Step::Block(Some(kind)),
    }
}

/// Whose version of a disputed path counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Winner {
    Mine,
    Theirs,
}

fn winner(path: &BundlePath, options: PullOptions<'_>) -> Option<Winner> {
    match options.mode {
        _ if options.mine.at(path).is_some() => Some(Winner::Mine),
        _ if options.theirs.at(path).is_some() => Some(Winner::Theirs),
        PullMode::Overwrite => Some(Winner::Theirs),
        PullMode::Merge | PullMode::Safe | PullMode::Exact => None,
    }
}

/// A file that stays cannot be the folder of one that comes, nor lie below it: one of them gives way, where it is settled
/// which; else both stop the pull.
fn settle_nested(decided: &mut [Decided<'_>], options: PullOptions<'_>) {
    let standing: BTreeMap<&str, usize> = decided
        .iter()
        .enumerate()
        .filter(|(_, one)| one.stands())
        .map(|(at, one)| (one.compared.path.as_str(), at))
        .collect();
    let pairs: Vec<(usize, usize)> = standing
        .values()
        .flat_map(|below| {
            let folders = decided.get(*below).into_iter().flat_map(|one| one.compared.path.folders());
            folders.filter_map(|folder| standing.get(folder)).map(|folder| (*folder, *below))
        })
        .collect();
    for (folder, below) in pairs {
        let [Some(one), Some(other)] = [decided.get(folder), decided.get(below)] else { continue };
        if !(one.stands() && other.stands()) {
            continue;
        }
        // Files that the project has do not contradict each other, and those of the remote do not either.
        let (stays, comes) = if one.step == Step::Write { (below, folder) } else { (folder, below) };
        let of = |at: usize| decided.get(at).and_then(|one| winner(one.compared.path, options));
        let (at, step) = match (of(stays), of(comes)) {
            (Some(Winner::Mine), _) | (None, Some(Winner::Mine)) => (vec![comes], Step::Keep),
            (Some(Winner::Theirs), _) | (None, Some(Winner::Theirs)) => (vec![stays], Step::Delete),
            (None, None) => (vec![stays, comes], Step::Block(Some(ConflictKind::InTheWay))),
        };
        for at in at {
            if let Some(one) = decided.get_mut(at) {
                one.step = step;
            }
        }
    }
}

/// That a pull would delete most of the project's files, whose content is in no file of the bundle.
fn mass_drop(sides: Sides<'_>, decided: &[Decided<'_>], settled: u64) -> Option<MassDrop> {
    let is_deleted = |one: &&Decided<'_>| one.step == Step::Delete;
    if !decided.iter().any(|one| is_deleted(&one)) {
        return None;
    }
    let elsewhere: BTreeSet<Digest> = sides.remote.iter().map(|file| file.digest).collect();
    let is_gone = |file: &&File| !elsewhere.contains(&file.digest);
    let deleted = decided.iter().filter(is_deleted).filter_map(|one| one.compared.local).filter(is_gone);
    let of = decided.iter().filter(|one| one.compared.is_tracked_file()).count() as u64 + settled;
    let left = decided.iter().filter(|one| one.stands()).count() as u64 + settled;
    MassDrop::of(deleted.count() as u64, of, left)
}

fn sources(written: &[&File]) -> Vec<Source> {
    let with_content = written.iter().filter(|file| file.size > 0);
    let source = |file: &&File| Source { digest: file.digest, size: file.size, local: None };
    let mut sources: Vec<Source> = with_content.map(source).collect();
    sources.sort_unstable_by_key(|source| source.digest);
    sources.dedup_by_key(|source| source.digest);
    sources
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;
    use crate::bundle::tree::tests::any_tree;
    use crate::diff::Unsettled;
    use crate::diff::tests::paths;
    use crate::file::{SyncedFile, synced};

    /// What carrying out `plan` makes of `local`: the reference that hosts are held to.
    fn apply(plan: &PullPlan, local: &ByPath<File>, remote: &ByPath<File>) -> ByPath<File> {
        let mut files: BTreeMap<_, _> = local.iter().map(|file| (file.path.clone(), file.clone())).collect();
        for path in &plan.delete {
            files.remove(path);
        }
        for path in &plan.write {
            let file = remote.at(path).unwrap();
            let source = plan.sources.iter().find(|source| source.digest == file.digest);
            assert_eq!(source.is_some(), file.size > 0);
            let executable = Some(plan.executable.at(path).is_some());
            files.insert(path.clone(), File { executable, ..file.clone() });
        }
        ByPath::new(files.into_values().collect()).unwrap()
    }

    fn one(content: &str) -> ByPath<File> {
        let file = File {
            path: "p".parse().unwrap(),
            digest: Digest::of(content.as_bytes()),
            size: content.len() as u64,
            executable: Some(false),
        };
        ByPath::new(vec![file]).unwrap()
    }

    #[test]
    fn an_untracked_path_hides_something_only_where_its_content_is_not_known() {
        let path = |text: &str| ByPath::from_iter([text.parse::<BundlePath>().unwrap()]);
        let (local, none) = (one("1"), ByPath::default());
        assert_eq!(hidden(&local, &path("p"), &none), none);
        assert_eq!(hidden(&local, &path("q"), &none), path("q"));
        assert_eq!(hidden(&local, &path("p"), &path("p")), path("p"));
    }

    /// Options without anything settled.
    fn options<'a>(mode: PullMode, none: &'a ByPath<BundlePath>) -> PullOptions<'a> {
        PullOptions {
            mode,
            deleted: DeletedHere::Leave,
            mine: none,
            theirs: none,
            obstacles: none,
            drops: DropGuard::Accept,
            settled: 0,
        }
    }

    /// What a plan does at its only path: w(rite), d(elete), a(dopt), k(eep), u(ntrack), b(lock), or nothing.
    fn step(plan: &PullPlan) -> char {
        let steps = [
            ('w', plan.write.len()),
            ('d', plan.delete.len()),
            ('a', plan.adopt.len()),
            ('k', plan.kept.len()),
            ('u', plan.untrack.len()),
            ('b', plan.blocked.len()),
        ];
        steps.into_iter().find(|(_, count)| *count == 1).map_or(' ', |(step, _)| step)
    }

    #[test]
    fn each_row_of_the_three_way_table_has_its_step_in_each_mode() {
        use Change::*;
        use ConflictKind::*;
        let (a, b, c, none) = (one("a"), one("b"), one("c"), ByPath::default());
        let (base_a, base_none) = (synced(&a), ByPath::<SyncedFile>::default());
        let (tracked, untracked) = (paths(&a), ByPath::default());
        // In mode merge, safe, exact and overwrite; then merge with deletions restored, settled as mine, as theirs.
        for (local, remote, base, tracked, change, kind, expected) in [
            (&a, &a, &base_none, &tracked, Some(Unchanged), None, "       "),
            (&a, &b, &base_none, &tracked, Some(Conflict), Some(AddedBoth), "bbbwbkw"),
            (&a, &b, &base_a, &tracked, Some(ModifiedRemote), None, "wwwwwww"),
            (&b, &a, &base_a, &tracked, Some(ModifiedLocal), None, "kbbwkkk"),
            (&b, &c, &base_a, &tracked, Some(Conflict), Some(EditedBoth), "bbbwbkw"),
            (&a, &none, &base_none, &tracked, Some(AddedLocal), None, "kkbkkkk"),
            (&a, &none, &base_a, &tracked, Some(DeletedRemote), None, "dbddddd"),
            (&b, &none, &base_a, &tracked, Some(Conflict), Some(EditedHereDeletedThere), "bbbdbkd"),
            (&none, &a, &base_none, &tracked, Some(DeletedLocal), None, "wkwwwww"),
            (&none, &a, &base_a, &tracked, Some(DeletedLocal), None, "kkbwwkk"),
            (&none, &b, &base_a, &tracked, Some(Conflict), Some(DeletedHereEditedThere), "bbbwbkw"),
            (&none, &none, &base_a, &tracked, None, None, "uuuuuuu"),
            (&none, &a, &base_none, &untracked, Some(AddedRemote), None, "wwwwwww"),
            (&a, &a, &base_none, &untracked, Some(AddedRemote), None, "aaaaaaa"),
            (&b, &a, &base_none, &untracked, Some(AddedRemote), Some(InTheWay), "bbbwbaw"),
            (&none, &a, &base_a, &untracked, Some(DeletedLocal), None, "kkbwwkk"),
            (&a, &a, &base_a, &untracked, Some(DeletedLocal), None, "kkbaakk"),
            (&b, &a, &base_a, &untracked, Some(DeletedLocal), None, "kkbwbkk"),
            (&b, &b, &base_a, &untracked, Some(Conflict), Some(RemovedHereEditedThere), "bbbabka"),
            (&a, &none, &base_a, &untracked, None, None, "       "),
        ] {
            let sides = Sides { local, remote, base, tracked };
            let found = crate::diff::diff(sides).first().map(|each| each.change);
            assert_eq!(found, change);
            let all = paths(&a);
            let merge = options(PullMode::Merge, &untracked);
            let restored =
                PullOptions { deleted: DeletedHere::Restore, ..options(PullMode::Merge, &untracked) };
            let mine = PullOptions { mine: &all, ..options(PullMode::Merge, &untracked) };
            let theirs = PullOptions { theirs: &all, ..options(PullMode::Merge, &untracked) };
            let modes = PullMode::ALL.map(|mode| options(mode, &untracked));
            for (options, expected) in modes.into_iter().chain([restored, mine, theirs]).zip(expected.chars())
            {
                let plan = plan_pull(sides, options);
                assert_eq!(step(&plan), expected, "{change:?} {kind:?} with {options:?}");
            }
            let plan = plan_pull(sides, merge);
            assert_eq!(plan.blocked.first().and_then(|blocked| blocked.kind), kind, "{change:?}");
        }
    }

    fn none_paths() -> ByPath<BundlePath> {
        ByPath::default()
    }

    #[test]
    fn content_on_one_side_and_the_mode_alone_on_the_other_is_a_conflict() {
        let with = |content, executable| {
            let file = File { executable: Some(executable), ..one(content)[0].clone() };
            ByPath::new(vec![file]).unwrap()
        };
        let base = synced(&with("a", false));
        for (local, remote) in [(with("b", false), with("a", true)), (with("a", true), with("b", false))] {
            let sides = Sides { local: &local, remote: &remote, base: &base, tracked: &paths(&local) };
            let plan = plan_pull(sides, options(PullMode::Merge, &none_paths()));
            assert_eq!(plan.blocked[0].kind, Some(ConflictKind::Mode));
        }
    }

    #[test]
    fn a_file_becomes_a_folder_and_a_folder_a_file() {
        let tree = |files: &[(&str, &str)]| {
            let file = |(path, content): &(&str, &str)| File {
                path: path.parse().unwrap(),
                digest: Digest::of(content.as_bytes()),
                size: content.len() as u64,
                executable: Some(false),
            };
            ByPath::new(files.iter().map(file).collect()).unwrap()
        };
        let (file, folder) = (tree(&[("f", "1")]), tree(&[("f/x", "2"), ("f/y", "3")]));
        let nothing = none_paths();
        for (local, remote) in [(&file, &folder), (&folder, &file)] {
            let clean = Sides { local, remote, base: &synced(local), tracked: &paths(local) };
            let plan = plan_pull(clean, options(PullMode::Merge, &nothing));
            assert_eq!((&plan.write, &plan.delete, plan.blocked.len()), (&paths(remote), &paths(local), 0));

            // What only the project has stays, and so nothing can come in its place.
            let own = Sides { base: &ByPath::default(), ..clean };
            let plan = plan_pull(own, options(PullMode::Merge, &nothing));
            assert!(plan.blocked.iter().all(|one| one.kind == Some(ConflictKind::InTheWay)), "{plan:?}");
            assert!(plan.blocked.len() >= 2);
            for settled in [paths(local), paths(remote)] {
                let mine = PullOptions { mine: &settled, ..options(PullMode::Merge, &nothing) };
                let plan = plan_pull(own, mine);
                assert_eq!((plan.write.len(), plan.delete.len(), plan.blocked.len()), (0, 0, 0));
                assert_eq!(plan.kept.len(), local.len() + remote.len(), "both are named");
                let theirs = PullOptions { theirs: &settled, ..options(PullMode::Merge, &nothing) };
                let plan = plan_pull(own, theirs);
                assert_eq!((&plan.write, &plan.delete), (&paths(remote), &paths(local)));
            }
            let plan = plan_pull(own, options(PullMode::Overwrite, &nothing));
            assert_eq!((&plan.write, &plan.delete), (&paths(remote), &paths(local)));
        }
    }

    #[test]
    fn most_of_a_project_is_not_deleted_unasked() {
        let tree = |count: usize, prefix: &str| {
            let file = |at: usize| File {
                path: format!("{prefix}{at:02}").parse().unwrap(),
                digest: Digest::of(&[at as u8]),
                size: 1,
                executable: Some(false),
            };
            ByPath::new((0..count).map(file).collect()).unwrap()
        };
        let (local, remote) = (tree(20, "f"), tree(9, "f"));
        let base = synced(&local);
        let (tracked, nothing) = (paths(&local), none_paths());
        let sides = Sides { local: &local, remote: &remote, base: &base, tracked: &tracked };
        let guarded = PullOptions { drops: DropGuard::Stop, ..options(PullMode::Merge, &nothing) };
        let plan = plan_pull(sides, guarded);
        assert_eq!(
            plan,
            PullPlan { mass_drop: Some(MassDrop { dropped: 11, of: 20 }), ..PullPlan::default() }
        );
        assert_eq!(plan_pull(sides, options(PullMode::Merge, &nothing)).delete.len(), 11);
        let fewer = tree(10, "f");
        assert_eq!(plan_pull(Sides { remote: &fewer, ..sides }, guarded).delete.len(), 10);
        let renamed = tree(20, "g");
        assert_eq!(plan_pull(Sides { remote: &renamed, ..sides }, guarded).delete.len(), 20);
        let empty = ByPath::default();
        assert!(plan_pull(Sides { remote: &empty, ..sides }, guarded).mass_drop.is_some());
    }

    #[test]
    fn a_file_of_unknown_mode_is_written_with_the_one_it_has_here() {
        let with = |content, executable| {
            let file = File { executable, ..one(content)[0].clone() };
            ByPath::new(vec![file]).unwrap()
        };
        for (remote, local, base, is_executable) in [
            (Some(true), Some(Some(false)), Some(Some(false)), true),
            (Some(false), Some(Some(true)), Some(Some(true)), false),
            (None, Some(Some(true)), Some(Some(true)), true),
            (None, Some(Some(false)), Some(None), false),
            (None, None, Some(Some(true)), true),
            (None, None, None, false),
        ] {
            let (local, remote) =
                (local.map_or_else(ByPath::default, |mode| with("a", mode)), with("b", remote));
            let base = base.map_or_else(ByPath::default, |mode| synced(&with("a", mode)));
            let sides = Sides { local: &local, remote: &remote, base: &base, tracked: &paths(&local) };
            let plan = plan_pull(sides, options(PullMode::Overwrite, &none_paths()));
            assert_eq!(plan.executable, if is_executable { plan.write.clone() } else { ByPath::default() });
            assert_eq!(plan.with_modes(remote)[0].executable, Some(is_executable));
        }
        let remote = with("a", None);
        assert_eq!(PullPlan::default().with_modes(remote.clone()), remote);
    }

    #[test]
    fn obstacles_block_what_would_be_written_in_every_mode() {
        let (local, remote, nothing) = (ByPath::default(), one("a"), none_paths());
        let tracked = paths(&remote);
        let base = synced(&remote);
        let sides = Sides { local: &local, remote: &remote, base: &ByPath::default(), tracked: &nothing };
        for mode in PullMode::ALL {
            let all = paths(&remote);
            let blocked = PullOptions { obstacles: &all, ..options(mode, &nothing) };
            for options in [blocked, PullOptions { theirs: &all, ..blocked }] {
                let plan = plan_pull(sides, options);
                assert_eq!(plan.blocked[0].kind, Some(ConflictKind::InTheWay));
                assert!(plan.write.is_empty() && plan.blocked.len() == 1);
            }
            // What stays deleted is not written.
            let deleted = plan_pull(Sides { base: &base, tracked: &tracked, ..sides }, blocked);
            let is_blocked = matches!(mode, PullMode::Exact | PullMode::Overwrite);
            assert_eq!(step(&deleted), if is_blocked { 'b' } else { 'k' }, "{mode:?}");
        }
    }

    #[test]
    fn content_that_is_here_is_not_fetched() {
        let local = one("a");
        let moved = File { path: "q".parse().unwrap(), ..local[0].clone() };
        let remote = ByPath::new(vec![local[0].clone(), moved]).unwrap();
        let plan = plan_pull(
            Sides { local: &local, remote: &remote, base: &synced(&local), tracked: &paths(&local) },
            options(PullMode::Merge, &none_paths()),
        );
        assert_eq!(plan.sources[0].local.as_ref().unwrap().as_str(), "p");
    }

    proptest! {
        #[test]
        fn what_is_settled_can_be_left_out(local in any_tree(), remote in any_tree(), base in any_tree(), tracked in any_tree(), obstacles in any_tree(), mine in any_tree()) {
            let (base, tracked, obstacles) = (synced(&base), paths(&tracked), paths(&obstacles));
            let sides = Sides { local: &local, remote: &remote, base: &base, tracked: &tracked };
            let (mine, nothing) = (paths(&mine), none_paths());
            for mode in PullMode::ALL {
                let all = PullOptions { mine: &mine, obstacles: &obstacles, ..options(mode, &nothing) };
                let unsettled = Unsettled::of(sides, &obstacles);
                let mut plan = plan_pull(unsettled.sides(), PullOptions { settled: unsettled.settled(), ..all });
                plan.find_local(&local);
                prop_assert_eq!(plan, plan_pull(sides, all));
            }
        }

        #[test]
        fn applying_makes_the_tree_equal(local in any_tree(), remote in any_tree(), base in any_tree()) {
            let (tracked, nothing) = (paths(&local), none_paths());
            let sides = Sides { local: &local, remote: &remote, base: &synced(&base), tracked: &tracked };
            let plan = plan_pull(sides, options(PullMode::Overwrite, &nothing));
            prop_assert!(plan.blocked.is_empty());
            let after = apply(&plan, &local, &remote);
            prop_assert!(after.nested().next().is_none());
            // What only the project has, and never was on the remote, stays where it can; all else is as on the remote.
            for file in &after {
                let is_own = remote.at(&file.path).is_none() && base.at(&file.path).is_none();
                prop_assert!(is_own || remote.at(&file.path) == Some(file));
            }
            prop_assert!(remote.iter().all(|file| after.at(&file.path) == Some(file)));
        }

        #[test]
        fn an_exact_pull_makes_the_very_tree_or_stops(local in any_tree(), remote in any_tree(), base in any_tree(), theirs in any_tree()) {
            let (tracked, nothing, theirs) = (paths(&local), none_paths(), paths(&theirs));
            let sides = Sides { local: &local, remote: &remote, base: &synced(&base), tracked: &tracked };
            let exact = PullOptions { theirs: &theirs, ..options(PullMode::Exact, &nothing) };
            let plan = plan_pull(sides, exact);
            if plan.blocked.is_empty() {
                prop_assert_eq!(apply(&plan, &local, &remote), remote);
            } else {
                prop_assert_eq!(plan.clone(), PullPlan { blocked: plan.blocked, ..PullPlan::default() });
            }
        }

        #[test]
        fn a_merge_loses_nothing_of_the_project(local in any_tree(), remote in any_tree(), base in any_tree()) {
            let base = synced(&base);
            let nothing = none_paths();
            let sides = Sides { local: &local, remote: &remote, base: &base, tracked: &paths(&local) };
            let plan = plan_pull(sides, options(PullMode::Merge, &nothing));
            for path in plan.write.iter().chain(&plan.delete) {
                let known = local.at(path).is_none_or(|file| {
                    base.at(path).is_some_and(|base| base.digest == file.digest)
                });
                prop_assert!(known, "only what was synced is replaced");
            }
            prop_assert!(apply(&plan, &local, &remote).nested().next().is_none());
        }

        #[test]
        fn nothing_to_do_between_equal_trees(tree in any_tree(), base in any_tree()) {
            let nothing = none_paths();
            let sides = Sides { local: &tree, remote: &tree, base: &synced(&base), tracked: &paths(&tree) };
            for mode in PullMode::ALL {
                prop_assert_eq!(plan_pull(sides, options(mode, &nothing)), PullPlan::default());
            }
        }
    }
}

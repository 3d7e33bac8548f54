//! How a pull makes the project equal to the remote's bundle, all or nothing.

use std::collections::BTreeSet;

use crate::diff::{Change, PathChange, Sides, compare};
use crate::digest::Digest;
use crate::path::BundlePath;
use crate::snapshot::{ByPath, File, known_mode};

/// Which way a pull decides what is in dispute.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PullMode {
    /// Stops where the project would lose something.
    #[default]
    Safe,
    /// Like [`Self::Safe`], and brings back what the project deleted.
    RestoreDeleted,
    /// The remote wins.
    Overwrite,
}

/// What a pull does: fetches `sources`, then puts all of `write` in place and removes all of `delete`, or neither.
#[must_use = "a plan does nothing until a host carries it out"]
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PullPlan {
    /// The paths to put in place, with the remote's content.
    pub write: ByPath<BundlePath>,
    /// Those of `write` that are to be executable: as the remote says; where it does not say, as the project's file is, else
    /// as it was when both last agreed.
    pub executable: ByPath<BundlePath>,
    /// The paths to remove.
    pub delete: ByPath<BundlePath>,
    /// What stands in the way; while there is anything here, every other list is empty.
    pub blocked: Vec<PathChange>,
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

enum Step {
    Write,
    Delete,
    Leave,
    Block,
}

/// Plans a pull. `sides.local` holds the tracked files on disk and whatever file lies where the remote has one.
///
/// `obstacles` are paths of the remote's where something lies that is no readable file, or that need a folder where
/// there is none. They block whatever the mode: what they hide cannot be weighed.
pub fn plan_pull(sides: Sides<'_>, mode: PullMode, obstacles: &ByPath<BundlePath>) -> PullPlan {
    let mut plan = PullPlan::default();
    let mut written: Vec<&File> = Vec::new();
    let mut executable: Vec<BundlePath> = Vec::new();
    let mut deleted: Vec<BundlePath> = Vec::new();
    let mut standing: Vec<BundlePath> = Vec::new();
    for compared in compare(sides) {
        let step = if compared.remote.is_some() && obstacles.at(compared.path).is_some() {
            Step::Block
        } else {
            decide(compared.change, compared.remote, mode)
        };
        match (step, compared.remote) {
            (Step::Write, Some(file)) => {
                written.push(file);
                if known_mode(file, compared.local, compared.base) == Some(true) {
                    executable.push(file.path.clone());
                }
            }
            (Step::Delete, _) => deleted.push(compared.path.clone()),
            (Step::Block, _) => {
                plan.blocked.push(PathChange { path: compared.path.clone(), change: compared.change });
            }
            (Step::Leave | Step::Write, _) => {
                if compared.local.is_some() {
                    standing.push(compared.path.clone());
                }
            }
        }
    }
    block_what_cannot_stand(&mut plan, &written, standing);
    if !plan.blocked.is_empty() {
        return PullPlan { blocked: plan.blocked, ..PullPlan::default() };
    }
    plan.write = written.iter().map(|file| file.path.clone()).collect();
    plan.executable = executable.into_iter().collect();
    plan.delete = deleted.into_iter().collect();
    plan.sources = sources(&written);
    plan.find_local(sides.local);
    plan
}

impl PullPlan {
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

/// What the rules say of one path: `overwrite` lets the remote win, `safe` stops where something would be lost.
fn decide(change: Change, remote: Option<&File>, mode: PullMode) -> Step {
    match (change, mode) {
        (Change::Unchanged | Change::AddedLocal, _) => Step::Leave,
        (Change::AddedRemote | Change::ModifiedRemote, _) => Step::Write,
        (Change::DeletedLocal, PullMode::Safe) => Step::Leave,
        (Change::DeletedLocal, _) => Step::Write,
        (_, PullMode::Overwrite) if remote.is_some() => Step::Write,
        (_, PullMode::Overwrite) => Step::Delete,
        (Change::ModifiedLocal | Change::DeletedRemote | Change::Conflict, _) => Step::Block,
    }
}

/// A file that stays cannot be the folder of one that comes, nor lie below it.
fn block_what_cannot_stand(plan: &mut PullPlan, written: &[&File], mut standing: Vec<BundlePath>) {
    standing.extend(written.iter().map(|file| file.path.clone()));
    let standing: ByPath<BundlePath> = standing.into_iter().collect();
    let in_the_way: BTreeSet<&BundlePath> =
        standing.nested().flat_map(|(folder, below)| [folder, below]).collect();
    let conflict = |path: &BundlePath| PathChange { path: path.clone(), change: Change::Conflict };
    plan.blocked.extend(in_the_way.into_iter().map(conflict));
    plan.blocked.sort_by(|a, b| a.path.cmp(&b.path));
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
    use crate::diff::Unsettled;
    use crate::diff::tests::paths;
    use crate::snapshot::{SyncedFile, synced};
    use crate::tree::tests::any_tree;

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
    fn modes_decide_what_is_in_dispute() {
        use Change::*;
        let (a, b, none) = (one("a"), one("b"), ByPath::default());
        let (base_a, base_none) = (synced(&a), ByPath::<SyncedFile>::default());
        let (tracked, untracked) = (paths(&a), ByPath::default());
        // Per mode: w(rite), d(elete), b(lock), or nothing.
        for (local, remote, base, tracked, change, expected) in [
            (&a, &a, &base_none, &tracked, Unchanged, "   "),
            (&a, &b, &base_a, &tracked, ModifiedRemote, "www"),
            (&none, &b, &base_none, &untracked, AddedRemote, "www"),
            (&b, &a, &base_a, &tracked, ModifiedLocal, "bbw"),
            (&a, &none, &base_a, &tracked, DeletedRemote, "bbd"),
            (&a, &none, &base_none, &tracked, AddedLocal, "   "),
            (&a, &b, &base_none, &untracked, Conflict, "bbw"),
            (&b, &none, &base_a, &tracked, Conflict, "bbd"),
            (&none, &b, &base_a, &tracked, Conflict, "bbw"),
            (&none, &a, &base_a, &tracked, DeletedLocal, " ww"),
            (&none, &none, &base_a, &tracked, DeletedLocal, "   "),
        ] {
            let sides = Sides { local, remote, base, tracked };
            assert_eq!(crate::diff::diff(sides)[0].change, change);
            for (mode, expected) in [PullMode::Safe, PullMode::RestoreDeleted, PullMode::Overwrite]
                .into_iter()
                .zip(expected.chars())
            {
                let plan = plan_pull(sides, mode, &ByPath::default());
                let found = match (plan.write.len(), plan.delete.len(), plan.blocked.len()) {
                    (1, 0, 0) => 'w',
                    (0, 1, 0) => 'd',
                    (0, 0, 1) => 'b',
                    _ => ' ',
                };
                assert_eq!(found, expected, "{change:?} in {mode:?}");
            }
        }
    }

    #[test]
    fn a_file_of_unknown_mode_is_written_with_the_one_it_has_here() {
        let with = |content, executable| {
            let file = File { executable, ..one(content)[0].clone() };
            ByPath::new(vec![file]).unwrap()
        };
        let none = ByPath::default();
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
            let plan = plan_pull(sides, PullMode::Overwrite, &none);
            assert_eq!(plan.executable, if is_executable { plan.write.clone() } else { ByPath::default() });
            assert_eq!(plan.with_modes(remote)[0].executable, Some(is_executable));
        }
        let remote = with("a", None);
        assert_eq!(PullPlan::default().with_modes(remote.clone()), remote);
    }

    #[test]
    fn obstacles_block_in_every_mode() {
        let (local, remote) = (ByPath::default(), one("a"));
        let sides =
            Sides { local: &local, remote: &remote, base: &ByPath::default(), tracked: &ByPath::default() };
        for mode in [PullMode::Safe, PullMode::RestoreDeleted, PullMode::Overwrite] {
            let plan = plan_pull(sides, mode, &paths(&remote));
            assert!(plan.write.is_empty() && plan.blocked.len() == 1);
        }
    }

    #[test]
    fn content_that_is_here_is_not_fetched() {
        let local = one("a");
        let moved = File { path: "q".parse().unwrap(), ..local[0].clone() };
        let remote = ByPath::new(vec![local[0].clone(), moved]).unwrap();
        let plan = plan_pull(
            Sides { local: &local, remote: &remote, base: &synced(&local), tracked: &paths(&local) },
            PullMode::Safe,
            &ByPath::default(),
        );
        assert_eq!(plan.sources[0].local.as_ref().unwrap().as_str(), "p");
    }

    proptest! {
        #[test]
        fn what_is_settled_can_be_left_out(local in any_tree(), remote in any_tree(), base in any_tree(), tracked in any_tree(), obstacles in any_tree()) {
            let (base, tracked, obstacles) = (synced(&base), paths(&tracked), paths(&obstacles));
            let sides = Sides { local: &local, remote: &remote, base: &base, tracked: &tracked };
            for mode in [PullMode::Safe, PullMode::RestoreDeleted, PullMode::Overwrite] {
                let unsettled = Unsettled::of(sides, &obstacles);
                let mut plan = plan_pull(unsettled.sides(), mode, &obstacles);
                plan.find_local(&local);
                prop_assert_eq!(plan, plan_pull(sides, mode, &obstacles));
            }
        }

        #[test]
        fn applying_makes_the_tree_equal(local in any_tree(), remote in any_tree(), base in any_tree()) {
            let tracked = paths(&local);
            let sides = Sides { local: &local, remote: &remote, base: &synced(&base), tracked: &tracked };
            let plan = plan_pull(sides, PullMode::Overwrite, &ByPath::default());
            prop_assume!(plan.blocked.is_empty());
            let after = apply(&plan, &local, &remote);
            prop_assert!(after.nested().next().is_none());
            // What only the project has, and never was on the remote, stays; all else is as on the remote.
            for file in &after {
                let is_own = remote.at(&file.path).is_none() && base.at(&file.path).is_none();
                prop_assert!(is_own || remote.at(&file.path) == Some(file));
            }
            prop_assert!(remote.iter().all(|file| after.at(&file.path) == Some(file)));
        }

        #[test]
        fn safe_loses_nothing(local in any_tree(), remote in any_tree(), base in any_tree()) {
            let base = synced(&base);
            let sides = Sides { local: &local, remote: &remote, base: &base, tracked: &paths(&local) };
            let plan = plan_pull(sides, PullMode::Safe, &ByPath::default());
            if !plan.blocked.is_empty() {
                prop_assert!(plan.write.is_empty() && plan.delete.is_empty() && plan.sources.is_empty());
            }
            prop_assert!(plan.delete.is_empty());
            for path in &plan.write {
                let known = local.at(path).is_none_or(|file| {
                    base.at(path).is_some_and(|base| base.digest == file.digest)
                });
                prop_assert!(known, "only what the remote once had is replaced");
            }
        }

        #[test]
        fn nothing_to_do_between_equal_trees(tree in any_tree(), base in any_tree()) {
            let sides = Sides { local: &tree, remote: &tree, base: &synced(&base), tracked: &paths(&tree) };
            prop_assert_eq!(plan_pull(sides, PullMode::Safe, &ByPath::default()), PullPlan::default());
        }
    }
}

//! How a push makes the remote's bundle equal to the project.

use std::collections::{BTreeMap, BTreeSet};

use crate::bundle::tree::tree_digest;
use crate::diff::{Change, PathChange, Sides, compare};
use crate::digest::Digest;
use crate::file::{ByPath, File};
use crate::name::path::BundlePath;
use crate::plan::drops::MassDrop;
use crate::plan::layout::Rewrite;

/// A blob smaller than this costs less to send than to ask about, in bytes.
const WORTH_ASKING: u64 = 64 * 1024;

/// Whether asking first if the remote has a blob of `size` bytes is likely to save more than the question costs.
#[must_use]
pub fn is_worth_asking(size: u64) -> bool {
    size >= WORTH_ASKING
}

/// What a push does: first `blobs`, then what [`seal`](super::seal::seal) makes of them, then the tag.
#[must_use = "a plan does nothing until a host carries it out"]
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PushPlan {
    /// The paths of the new bundle: every file that the project tracks and has.
    pub manifest: Vec<BundlePath>,
    /// The paths whose content the remote's bundle does not have.
    pub upload: Vec<BundlePath>,
    /// What of the bundle is dropped, and what stands against that.
    pub decision: PushDecision,
    /// The blobs behind `upload`, by digest.
    pub blobs: Vec<Upload>,
    /// The tree digest of the new bundle.
    pub tree: Digest,
}

impl PushPlan {
    /// Leaves out of what is sent for `local` the contents that the remote is known to have, by their digests.
    pub fn serve_from(&mut self, held: impl IntoIterator<Item = Digest>, local: &ByPath<File>) {
        let held: BTreeSet<Digest> = held.into_iter().collect();
        self.blobs.retain(|blob| !held.contains(&blob.digest));
        self.upload.retain(|path| local.at(path).is_none_or(|file| !held.contains(&file.digest)));
    }
}

/// A blob that a push brings to the remote.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Upload {
    /// The hash of its bytes.
    pub digest: Digest,
    /// How many bytes it has.
    pub size: u64,
    /// A file that has these bytes.
    pub path: BundlePath,
    /// Whether asking first if the remote has it is likely to save more than the question costs.
    pub ask_first: bool,
}

/// Whether there is anything in the remote's bundle that the project is not built on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Builds {
    /// There is not: the bundle is the last synced one, one that it follows, or none at all.
    On,
    /// The paths tell: see [`PushDecision::unseen`].
    #[default]
    ByPaths,
}

/// What a push may do.
#[must_use = "a decision does nothing until a host carries it out"]
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PushDecision {
    /// The paths that the push drops because the project deleted them or no longer tracks them.
    pub delete: Vec<BundlePath>,
    /// Tracked paths at which no file is: they are not tracked any more once it is pushed.
    pub untrack: Vec<BundlePath>,
    /// What others did to the remote's bundle and the push would undo: the push stops unless the user wants that.
    pub unseen: Vec<PathChange>,
    /// That most files would be dropped: the push stops unless the user wants that.
    pub mass_drop: Option<MassDrop>,
    /// Dropped paths whose content lies elsewhere in the project, untracked: the push stops until that is added.
    pub left_behind: Vec<LeftBehind>,
    /// Whether the new bundle differs from the remote's: if not, there is nothing to write.
    pub changed: bool,
}

impl PushDecision {
    /// Whether the push stops unless the user insists.
    pub fn is_refused(&self) -> bool {
        !self.unseen.is_empty() || self.mass_drop.is_some() || !self.left_behind.is_empty()
    }
}

/// A file that was moved, and of whose new name the project does not know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeftBehind {
    /// The path that is dropped.
    pub path: BundlePath,
    /// Where its content lies untracked.
    pub now_at: BundlePath,
}

/// What is known of a push beside its sides.
#[derive(Clone, Copy, Debug)]
pub struct PushFacts<'a> {
    /// Whether the remote's bundle is one that the project is built on.
    pub builds: Builds,
    /// What the layout means for the content that the remote has.
    pub rewrite: Rewrite,
    /// Files that the project does not track and that may hold the content of a dropped one.
    pub untracked: &'a ByPath<File>,
    /// How many settled paths the sides leave out: see [`Unsettled`](crate::diff::Unsettled).
    pub settled: u64,
}

/// Plans a push of `sides.local`, the files on disk that the project tracks.
pub fn plan_push(sides: Sides<'_>, facts: PushFacts<'_>) -> PushPlan {
    complete(decide_push(sides, facts), sides, facts.rewrite)
}

/// Decides what a push may do. What is settled between the sides may be left out of them
/// ([`Unsettled`](crate::diff::Unsettled)).
pub fn decide_push(sides: Sides<'_>, facts: PushFacts<'_>) -> PushDecision {
    let PushFacts { builds, rewrite, untracked, settled } = facts;
    let mut decision = PushDecision { changed: rewrite == Rewrite::Always, ..PushDecision::default() };
    let mut dropped: Vec<&File> = Vec::new();
    let mut moved: Vec<&File> = Vec::new();
    for compared in compare(sides) {
        // An untracked file is none of the bundle.
        let local = compared.local.filter(|_| compared.is_tracked_file());
        let is_same = match (local, compared.remote) {
            (Some(local), Some(remote)) => local.is_same_as(remote),
            (local, remote) => local.is_none() && remote.is_none(),
        };
        if is_same {
            continue;
        }
        decision.changed = true;
        // What became of it there since it was last synced.
        let is_news = match compared.change {
            Change::AddedRemote | Change::ModifiedRemote | Change::DeletedRemote | Change::Conflict => true,
            Change::DeletedLocal => compared.base.is_none(),
            Change::Unchanged | Change::AddedLocal | Change::ModifiedLocal => false,
        };
        if builds == Builds::ByPaths && is_news {
            decision.unseen.push(PathChange { path: compared.path.clone(), change: compared.change });
        } else if let (Some(remote), None) = (compared.remote, local) {
            decision.delete.push(compared.path.clone());
            if compared.is_tracked() {
                moved.push(remote);
            }
        }
        if let (Some(remote), None) = (compared.remote, local) {
            dropped.push(remote);
        }
    }
    let is_there = |path: &&BundlePath| sides.local.at(path).is_some();
    decision.untrack = sides.tracked.iter().filter(|path| !is_there(path)).cloned().collect();
    let kept: BTreeSet<Digest> = sides.local.iter().map(|file| file.digest).collect();
    decision.left_behind = left_behind(&moved, untracked);
    let lost = dropped.iter().filter(|file| !kept.contains(&file.digest)).count() as u64;
    let (of, left) = (sides.remote.len() as u64 + settled, sides.local.len() as u64 + settled);
    decision.mass_drop = MassDrop::of(lost, of, left);
    decision
}

/// Which dropped files lie elsewhere under a name that is not tracked. Empty files are all alike, and none is looked for.
fn left_behind(dropped: &[&File], untracked: &ByPath<File>) -> Vec<LeftBehind> {
    let by_digest: BTreeMap<Digest, &BundlePath> =
        untracked.iter().rev().filter(|file| file.size > 0).map(|file| (file.digest, &file.path)).collect();
    let find = |file: &&File| {
        let now_at = *by_digest.get(&file.digest)?;
        Some(LeftBehind { path: file.path.clone(), now_at: now_at.clone() })
    };
    dropped.iter().filter_map(find).collect()
}

/// The plan that a decision comes to: what has to be sent, and what the new bundle holds.
pub fn complete(decision: PushDecision, sides: Sides<'_>, rewrite: Rewrite) -> PushPlan {
    let lacking = lacking(sides, rewrite);
    let blobs: BTreeMap<Digest, Upload> = lacking
        .iter()
        .filter(|file| file.size > 0)
        .map(|file| {
            let ask_first = is_worth_asking(file.size);
            (file.digest, Upload { digest: file.digest, size: file.size, path: file.path.clone(), ask_first })
        })
        .collect();
    PushPlan {
        manifest: sides.local.iter().map(|file| file.path.clone()).collect(),
        upload: lacking.iter().map(|file| file.path.clone()).collect(),
        decision,
        blobs: blobs.into_values().collect(),
        tree: tree_digest(sides.local),
    }
}

/// The files of the project whose content has to be brought to the remote.
fn lacking<'a>(sides: Sides<'a>, rewrite: Rewrite) -> Vec<&'a File> {
    if rewrite != Rewrite::No {
        return sides.local.iter().collect();
    }
    // Most files lie where the remote has the same.
    let is_new =
        |(file, there): &(&File, Option<&File>)| there.is_none_or(|there| there.digest != file.digest);
    let new: Vec<&File> = sides.local.beside(sides.remote).filter(is_new).map(|(file, _)| file).collect();
    if new.is_empty() {
        return new;
    }
    let mut held: Vec<Digest> = sides.remote.iter().map(|file| file.digest).collect();
    held.sort_unstable();
    new.into_iter().filter(|file| held.binary_search(&file.digest).is_err()).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::bundle::tree::tests::any_tree;
    use crate::diff::Unsettled;
    use crate::diff::tests::paths;
    use crate::file::{ByPath, File, synced};

    fn tree(files: &[(&str, &str)]) -> ByPath<File> {
        let file = |(path, content): &(&str, &str)| File {
            path: path.parse().unwrap(),
            digest: Digest::of(content.as_bytes()),
            size: content.len() as u64,
            executable: Some(false),
        };
        ByPath::new(files.iter().map(file).collect()).unwrap()
    }

    fn plan(sides: Sides<'_>, builds: Builds, rewrite: Rewrite) -> PushPlan {
        let untracked = ByPath::default();
        plan_push(sides, PushFacts { builds, rewrite, untracked: &untracked, settled: 0 })
    }

    fn texts(paths: &[BundlePath]) -> Vec<&str> {
        paths.iter().map(BundlePath::as_str).collect()
    }

    #[test]
    fn sends_only_what_the_remote_lacks() {
        let remote = tree(&[("a", "1"), ("b", "2"), ("gone", "3")]);
        let local = tree(&[("a", "1"), ("b", "new"), ("copy", "new"), ("moved", "3"), ("nil", "")]);
        let base = synced(&remote);
        let tracked =
            ByPath::new(["a", "b", "copy", "gone", "moved", "nil"].map(|p| p.parse().unwrap()).to_vec());
        let sides = Sides { local: &local, remote: &remote, base: &base, tracked: &tracked.unwrap() };
        let plan = plan(sides, Builds::ByPaths, Rewrite::No);
        assert_eq!(texts(&plan.manifest), ["a", "b", "copy", "moved", "nil"]);
        assert_eq!(texts(&plan.upload), ["b", "copy", "nil"]);
        assert_eq!(texts(&plan.decision.delete), ["gone"]);
        assert_eq!(texts(&plan.decision.untrack), ["gone"]);
        assert_eq!(plan.blobs.len(), 1, "one blob for two files of the same content, none for an empty file");
        assert_eq!(plan.blobs[0].digest, Digest::of(b"new"));
        assert!(plan.decision.changed && plan.decision.unseen.is_empty());
    }

    #[test]
    fn names_what_others_did_unless_the_project_is_built_on_it() {
        let base =
            tree(&[("both", "1"), ("dropped", "1"), ("mine", "1"), ("theirs", "1"), ("untracked", "1")]);
        let remote = tree(&[("both", "2"), ("mine", "1"), ("theirs", "2"), ("untracked", "1"), ("new", "1")]);
        let local = tree(&[("both", "3"), ("dropped", "1"), ("mine", "2"), ("theirs", "1")]);
        let tracked = paths(&local);
        let sides = Sides { local: &local, remote: &remote, base: &synced(&base), tracked: &tracked };
        let decision = plan(sides, Builds::ByPaths, Rewrite::No).decision;
        let unseen: Vec<_> = decision.unseen.iter().map(|each| (each.path.as_str(), each.change)).collect();
        let expected = [
            ("both", Change::Conflict),
            ("dropped", Change::DeletedRemote),
            ("new", Change::AddedRemote),
            ("theirs", Change::ModifiedRemote),
        ];
        assert_eq!(unseen, expected);
        assert_eq!(texts(&decision.delete), ["untracked"]);

        let on = plan(sides, Builds::On, Rewrite::No).decision;
        assert_eq!((on.unseen.len(), texts(&on.delete)), (0, vec!["new", "untracked"]));

        let fresh = Sides { base: &ByPath::default(), ..sides };
        let decision = plan(fresh, Builds::ByPaths, Rewrite::No).decision;
        assert_eq!(decision.unseen.len(), 5, "whoever has synced nothing has seen nothing");
    }

    #[test]
    fn a_file_that_was_moved_and_not_added_is_named() {
        let remote = tree(&[("a", "1"), ("b", "2"), ("c", "3"), ("nil", "")]);
        let local = tree(&[("a", "1")]);
        let untracked = tree(&[("new/b", "2"), ("new/c", "3"), ("also", "2"), ("empty", "")]);
        // `c` is no longer tracked: that it lies on the disk is what its owner wants.
        let tracked = ByPath::new(["a", "b", "nil"].map(|p| p.parse().unwrap()).to_vec()).unwrap();
        let sides = Sides { local: &local, remote: &remote, base: &synced(&remote), tracked: &tracked };
        let facts = PushFacts { builds: Builds::On, rewrite: Rewrite::No, untracked: &untracked, settled: 0 };
        let decision = plan_push(sides, facts).decision;
        let expected = LeftBehind { path: "b".parse().unwrap(), now_at: "also".parse().unwrap() };
        assert_eq!(decision.left_behind, [expected]);
        assert_eq!(texts(&decision.delete), ["b", "c", "nil"]);
    }

    #[test]
    fn most_of_a_bundle_is_not_dropped_unasked() {
        let numbered = |range: std::ops::Range<u8>, folder: &str| {
            let file = |at: u8| File {
                path: format!("{folder}{at:02}").parse().unwrap(),
                digest: Digest::of(&[at]),
                size: 1,
                executable: Some(false),
            };
            ByPath::new(range.map(file).collect()).unwrap()
        };
        let remote = numbered(0..20, "f");
        for (local, is_mass) in [
            (numbered(0..9, "f"), true),
            (numbered(0..10, "f"), false),
            (numbered(0..20, "renamed/"), false),
            (numbered(30..50, "other/"), true),
            (ByPath::default(), true),
        ] {
            let tracked = paths(&remote);
            let sides = Sides { local: &local, remote: &remote, base: &synced(&remote), tracked: &tracked };
            let decision = plan(sides, Builds::On, Rewrite::No).decision;
            assert_eq!(decision.mass_drop.is_some(), is_mass, "{local:?}");
        }
    }

    #[test]
    fn another_layout_needs_everything_anew() {
        let tree = tree(&[("a", "1"), ("b", "2")]);
        let base = synced(&tree);
        let tracked = paths(&tree);
        let sides = Sides { local: &tree, remote: &tree, base: &base, tracked: &tracked };
        for (rewrite, changed, blobs) in
            [(Rewrite::Always, true, 2), (Rewrite::IfChanged, false, 2), (Rewrite::No, false, 0)]
        {
            let plan = plan(sides, Builds::ByPaths, rewrite);
            assert_eq!((plan.decision.changed, plan.blobs.len()), (changed, blobs));
        }
    }

    proptest! {
        #[test]
        fn nothing_to_do_between_equal_trees(tree in any_tree(), base in any_tree()) {
            let sides = Sides { local: &tree, remote: &tree, base: &synced(&base), tracked: &paths(&tree) };
            let plan = plan(sides, Builds::ByPaths, Rewrite::No);
            prop_assert!(plan.upload.is_empty() && plan.blobs.is_empty());
            prop_assert_eq!(plan.decision, PushDecision::default());
        }

        #[test]
        fn what_is_settled_can_be_left_out(local in any_tree(), remote in any_tree(), base in any_tree(), more in any_tree()) {
            // Local files are tracked ones.
            let tracked: ByPath<BundlePath> = local.iter().chain(&more).map(|file| file.path.clone()).collect();
            let base = synced(&base);
            let untracked = ByPath::default();
            let sides = Sides { local: &local, remote: &remote, base: &base, tracked: &tracked };
            for rewrite in [Rewrite::No, Rewrite::IfChanged, Rewrite::Always] {
                for builds in [Builds::On, Builds::ByPaths] {
                    let unsettled = Unsettled::of(sides, &ByPath::default());
                    let facts = PushFacts { builds, rewrite, untracked: &untracked, settled: 0 };
                    let decision = decide_push(unsettled.sides(), PushFacts { settled: unsettled.settled(), ..facts });
                    prop_assert_eq!(complete(decision, sides, rewrite), plan_push(sides, facts));
                }
            }
        }

        #[test]
        fn what_it_does_makes_the_remote_equal(local in any_tree(), remote in any_tree(), base in any_tree()) {
            let sides = Sides { local: &local, remote: &remote, base: &synced(&base), tracked: &paths(&local) };
            let plan = plan(sides, Builds::ByPaths, Rewrite::No);
            prop_assert_eq!(&plan.manifest, &paths(&local).into_vec());
            prop_assert_eq!(plan.decision.changed, local != remote);
            for file in &local {
                let is_sent = plan.blobs.iter().any(|blob| blob.digest == file.digest);
                let is_held = remote.iter().any(|other| other.digest == file.digest);
                prop_assert!(is_sent != is_held, "each blob is there in exactly one way");
            }
        }
    }
}

//! How a push makes the remote's bundle equal to the project.

use std::collections::{BTreeMap, BTreeSet};

use crate::diff::{Change, PathChange, Sides, compare};
use crate::digest::Digest;
use crate::layout::Rewrite;
use crate::path::BundlePath;
use crate::snapshot::{ByPath, File};
use crate::tree::tree_digest;

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
    /// The paths that the project deleted and the push drops.
    pub delete: Vec<BundlePath>,
    /// What others did to the remote since the project last agreed with it, and the push would undo.
    pub overwrite: Vec<PathChange>,
    /// Whether the user must say that he wants `overwrite` undone.
    ///
    /// A project that has agreed with its remote before knows what it builds on; one that never has is a new start,
    /// of which the user is only told.
    pub needs_force: bool,
    /// The blobs behind `upload`, by digest.
    pub blobs: Vec<Upload>,
    /// Whether the new bundle differs from the remote's: if not, there is nothing to write.
    pub changed: bool,
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

/// Whether a project has agreed with this remote before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum History {
    /// It has: it knows what it builds on.
    Shared,
    /// It never has: it is a new start.
    None,
}

impl History {
    /// As the facts of a comparison say.
    pub fn of(sides: Sides<'_>) -> Self {
        if sides.base.is_empty() { Self::None } else { Self::Shared }
    }
}

/// What a push may do.
#[must_use = "a decision does nothing until a host carries it out"]
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PushDecision {
    /// The paths that the project deleted and the push drops.
    pub delete: Vec<BundlePath>,
    /// What others did to the remote since the project last agreed with it, and the push would undo.
    pub overwrite: Vec<PathChange>,
    /// Whether the user must say that he wants `overwrite` undone.
    pub needs_force: bool,
    /// Whether the new bundle differs from the remote's.
    pub changed: bool,
}

/// Plans a push of `sides.local`, the files on disk that the project tracks; `rewrite` is what its layout means for
/// the content that the remote has.
pub fn plan_push(sides: Sides<'_>, rewrite: Rewrite) -> PushPlan {
    complete(decide_push(sides, History::of(sides), rewrite), sides, rewrite)
}

/// Decides what a push may do. What is settled between the sides may be left out of them
/// ([`Unsettled`](crate::diff::Unsettled)).
pub fn decide_push(sides: Sides<'_>, history: History, rewrite: Rewrite) -> PushDecision {
    let mut delete = Vec::new();
    let mut overwrite = Vec::new();
    let mut changed = rewrite == Rewrite::Always;
    for compared in compare(sides) {
        changed |= match (compared.local, compared.remote) {
            (Some(local), Some(remote)) => !local.is_same_as(remote),
            (local, remote) => local.is_some() || remote.is_some(),
        };
        match compared.change {
            Change::DeletedLocal => delete.push(compared.path.clone()),
            // What the project itself untracked is its own news, not that of others.
            Change::AddedRemote if is_base(&compared) => {}
            Change::AddedRemote | Change::ModifiedRemote | Change::DeletedRemote | Change::Conflict => {
                overwrite.push(PathChange { path: compared.path.clone(), change: compared.change });
            }
            Change::Unchanged | Change::AddedLocal | Change::ModifiedLocal => {}
        }
    }
    let needs_force = !overwrite.is_empty() && history == History::Shared;
    PushDecision { delete, overwrite, needs_force, changed }
}

/// The plan that a decision comes to: what has to be sent, and what the new bundle holds.
pub fn complete(decision: PushDecision, sides: Sides<'_>, rewrite: Rewrite) -> PushPlan {
    let serves_again = sides.remote.iter().filter(|_| rewrite == Rewrite::No);
    let mut held: Vec<Digest> = serves_again.map(|file| file.digest).collect();
    held.sort_unstable();
    let is_lacking = |file: &&File| held.binary_search(&file.digest).is_err();
    let lacking: Vec<_> = sides.local.iter().filter(is_lacking).collect();
    let blobs: BTreeMap<Digest, Upload> = lacking
        .iter()
        .filter(|file| file.size > 0)
        .map(|file| {
            let ask_first = is_worth_asking(file.size);
            (file.digest, Upload { digest: file.digest, size: file.size, path: file.path.clone(), ask_first })
        })
        .collect();
    let PushDecision { delete, overwrite, needs_force, changed } = decision;
    PushPlan {
        manifest: sides.local.iter().map(|file| file.path.clone()).collect(),
        upload: lacking.iter().map(|file| file.path.clone()).collect(),
        delete,
        needs_force,
        overwrite,
        blobs: blobs.into_values().collect(),
        changed,
        tree: tree_digest(sides.local),
    }
}

fn is_base(compared: &crate::diff::Compared<'_>) -> bool {
    compared.remote.zip(compared.base).is_some_and(|(remote, base)| remote.digest == base.digest)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::diff::Unsettled;
    use crate::diff::tests::paths;
    use crate::snapshot::{ByPath, File, synced};
    use crate::tree::tests::any_tree;

    fn tree(files: &[(&str, &str)]) -> ByPath<File> {
        let file = |(path, content): &(&str, &str)| File {
            path: path.parse().unwrap(),
            digest: Digest::of(content.as_bytes()),
            size: content.len() as u64,
            executable: Some(false),
        };
        ByPath::new(files.iter().map(file).collect()).unwrap()
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
        let plan = plan_push(
            Sides { local: &local, remote: &remote, base: &base, tracked: &tracked.unwrap() },
            Rewrite::No,
        );
        assert_eq!(texts(&plan.manifest), ["a", "b", "copy", "moved", "nil"]);
        assert_eq!(texts(&plan.upload), ["b", "copy", "nil"]);
        assert_eq!(texts(&plan.delete), ["gone"]);
        assert_eq!(plan.blobs.len(), 1, "one blob for two files of the same content, none for an empty file");
        assert_eq!(plan.blobs[0].digest, Digest::of(b"new"));
        assert!(plan.changed && plan.overwrite.is_empty());
    }

    #[test]
    fn names_what_others_did() {
        let base = tree(&[("mine", "1"), ("theirs", "1"), ("untracked", "1")]);
        let remote = tree(&[("mine", "1"), ("theirs", "2"), ("untracked", "1"), ("new", "1")]);
        let local = tree(&[("mine", "2"), ("theirs", "1")]);
        let tracked = paths(&local);
        let plan = plan_push(
            Sides { local: &local, remote: &remote, base: &synced(&base), tracked: &tracked },
            Rewrite::No,
        );
        let overwritten: Vec<_> =
            plan.overwrite.iter().map(|each| (each.path.as_str(), each.change)).collect();
        assert_eq!(overwritten, [("new", Change::AddedRemote), ("theirs", Change::ModifiedRemote)]);
        assert!(plan.needs_force);

        let fresh = plan_push(
            Sides { local: &local, remote: &remote, base: &ByPath::default(), tracked: &tracked },
            Rewrite::No,
        );
        assert!(!fresh.overwrite.is_empty() && !fresh.needs_force);
    }

    #[test]
    fn another_layout_needs_everything_anew() {
        let tree = tree(&[("a", "1"), ("b", "2")]);
        let base = synced(&tree);
        let tracked = paths(&tree);
        let plan = |rewrite| {
            plan_push(Sides { local: &tree, remote: &tree, base: &base, tracked: &tracked }, rewrite)
        };
        assert_eq!((plan(Rewrite::Always).changed, plan(Rewrite::Always).blobs.len()), (true, 2));
        assert_eq!((plan(Rewrite::IfChanged).changed, plan(Rewrite::IfChanged).blobs.len()), (false, 2));
        assert_eq!((plan(Rewrite::No).changed, plan(Rewrite::No).blobs.len()), (false, 0));
    }

    proptest! {
        #[test]
        fn nothing_to_do_between_equal_trees(tree in any_tree(), base in any_tree()) {
            let plan = plan_push(Sides { local: &tree, remote: &tree, base: &synced(&base), tracked: &paths(&tree) }, Rewrite::No);
            prop_assert!(!plan.changed && plan.upload.is_empty() && plan.blobs.is_empty());
            prop_assert!(plan.overwrite.is_empty() && plan.delete.is_empty());
        }

        #[test]
        fn what_is_settled_can_be_left_out(local in any_tree(), remote in any_tree(), base in any_tree(), tracked in any_tree()) {
            let (base, tracked) = (synced(&base), paths(&tracked));
            let sides = Sides { local: &local, remote: &remote, base: &base, tracked: &tracked };
            for rewrite in [Rewrite::No, Rewrite::IfChanged, Rewrite::Always] {
                let unsettled = Unsettled::of(sides, &ByPath::default());
                let decision = decide_push(unsettled.sides(), History::of(sides), rewrite);
                prop_assert_eq!(complete(decision, sides, rewrite), plan_push(sides, rewrite));
            }
        }

        #[test]
        fn what_it_does_makes_the_remote_equal(local in any_tree(), remote in any_tree(), base in any_tree()) {
            let plan = plan_push(Sides { local: &local, remote: &remote, base: &synced(&base), tracked: &paths(&local) }, Rewrite::No);
            prop_assert_eq!(&plan.manifest, &paths(&local).into_vec());
            prop_assert_eq!(plan.changed, local != remote);
            for file in &local {
                let is_sent = plan.blobs.iter().any(|blob| blob.digest == file.digest);
                let is_held = remote.iter().any(|other| other.digest == file.digest);
                prop_assert!(is_sent != is_held, "each blob is there in exactly one way");
            }
        }
    }
}

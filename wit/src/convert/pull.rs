//! Interface `pull`.

use bundle_core::file::ByPath;
use bundle_core::name::path::BundlePath;
use bundle_core::plan::drops::DropGuard;
use bundle_core::plan::pull::{Blocked, DeletedHere, PullMode, PullOptions, PullPlan, Source};

use crate::generated::exports::modelops::bundle::pull;

use super::types::{changes, texts};

/// The paths that a pull's options name.
pub(crate) struct PullPaths {
    pub(crate) mine: ByPath<BundlePath>,
    pub(crate) theirs: ByPath<BundlePath>,
    pub(crate) obstacles: ByPath<BundlePath>,
}

impl PullPaths {
    /// The options of a pull that leaves out `settled` paths.
    pub(crate) fn options(&self, options: pull::PullOptions, settled: u64) -> PullOptions<'_> {
        PullOptions {
            mode: options.mode.into(),
            deleted: if options.restore_deleted { DeletedHere::Restore } else { DeletedHere::Leave },
            mine: &self.mine,
            theirs: &self.theirs,
            obstacles: &self.obstacles,
            drops: if options.accept_deletions { DropGuard::Accept } else { DropGuard::Stop },
            settled,
        }
    }
}

impl From<pull::PullMode> for PullMode {
    fn from(mode: pull::PullMode) -> Self {
        match mode {
            pull::PullMode::Merge => Self::Merge,
            pull::PullMode::Safe => Self::Safe,
            pull::PullMode::Exact => Self::Exact,
            pull::PullMode::Overwrite => Self::Overwrite,
        }
    }
}

impl From<PullPlan> for pull::PullDecision {
    fn from(plan: PullPlan) -> Self {
        if plan.is_refused() {
            return Self::Refused(pull::PullRefusal {
                blocked: plan.blocked.into_iter().map(Into::into).collect(),
                mass_drop: plan.mass_drop.map(Into::into),
            });
        }
        Self::Plan(pull::PullPlan {
            write: texts(plan.write.into_vec()),
            executable: texts(plan.executable.into_vec()),
            delete: texts(plan.delete.into_vec()),
            adopt: texts(plan.adopt.into_vec()),
            untrack: texts(plan.untrack.into_vec()),
            kept: changes(plan.kept),
            sources: plan.sources.into_iter().map(Into::into).collect(),
        })
    }
}

impl From<Source> for pull::Source {
    fn from(Source { digest, size, local }: Source) -> Self {
        Self { digest: digest.into(), size, local: local.map(Into::into) }
    }
}

impl From<Blocked> for pull::Blocked {
    fn from(Blocked { path, change, kind }: Blocked) -> Self {
        Self { path: path.into(), change: change.into(), kind: kind.map(Into::into) }
    }
}

//! Interface `pull`.

use bundle_core::file::ByPath;
use bundle_core::name::path::BundlePath;
use bundle_core::plan::drops::DropGuard;
use bundle_core::plan::pull::{Blocked, DeletedHere, PullMode, PullOptions, PullPlan, Source};

use crate::component::generated::exports::modelops::bundle::pull;

use super::types::{changes, digest, mass_drop, optional_path, path};
use super::{Answer, each, fault};

pub(in crate::component) fn pull_options(options: PullOptions<'_>) -> pull::PullOptions {
    pull::PullOptions {
        mode: match options.mode {
            PullMode::Merge => pull::PullMode::Merge,
            PullMode::Safe => pull::PullMode::Safe,
            PullMode::Exact => pull::PullMode::Exact,
            PullMode::Overwrite => pull::PullMode::Overwrite,
        },
        restore_deleted: options.deleted == DeletedHere::Restore,
        accept_deletions: options.drops == DropGuard::Accept,
    }
}

pub(in crate::component) fn pull_plan(decision: pull::PullDecision) -> Answer<PullPlan> {
    match decision {
        pull::PullDecision::Plan(plan) => Ok(PullPlan {
            write: paths(plan.write)?,
            executable: paths(plan.executable)?,
            delete: paths(plan.delete)?,
            adopt: paths(plan.adopt)?,
            untrack: paths(plan.untrack)?,
            kept: changes(plan.kept)?,
            sources: each(plan.sources, source)?,
            ..PullPlan::default()
        }),
        pull::PullDecision::Refused(refusal) => {
            let plan = PullPlan {
                blocked: each(refusal.blocked, blocked)?,
                mass_drop: refusal.mass_drop.map(mass_drop),
                ..PullPlan::default()
            };
            if plan.is_refused() { Ok(plan) } else { Err(fault("it refuses a pull without a reason")) }
        }
    }
}

fn paths(list: Vec<String>) -> Answer<ByPath<BundlePath>> {
    Ok(each(list, path)?.into_iter().collect())
}

fn source(source: pull::Source) -> Answer<Source> {
    Ok(Source { digest: digest(&source.digest)?, size: source.size, local: optional_path(source.local)? })
}

fn blocked(pull::Blocked { path, change, kind }: pull::Blocked) -> Answer<Blocked> {
    Ok(Blocked { path: self::path(path)?, change: change.into(), kind: kind.map(Into::into) })
}

//! `status`.

use bundle_core::diff::{Change, PathChange, Sides, diff};
use bundle_core::file::{ByPath, File};
use bundle_core::plan::layout::Rewrite;
use bundle_core::plan::push::{Builds, PushFacts, plan_push};
use bundle_core::plan::standing::Standing;
use serde_json::{Value, json};

use super::project::Project;
use super::{Arguments, InMemory, Outcome};

/// Paths, each with what became of it.
pub(super) fn shown(changes: &[PathChange]) -> Vec<Value> {
    changes.iter().map(|each| json!({"path": each.path, "change": each.change.name()})).collect()
}

impl InMemory {
    pub(super) fn status(&self, who: usize, arguments: &Arguments<'_>) -> Outcome {
        let project = &self.projects[who];
        let asks = !arguments.has("--offline");
        let bundle = self.registry.open("latest").filter(|_| asks);
        let named = bundle.as_ref().map(|bundle| bundle.digest);
        let standing = asks.then(|| project.standing("latest", named, bundle.as_deref()));
        let remote = bundle.map_or_else(|| last_agreed(project), |bundle| bundle.files.clone());
        let scan = project.disk.scan(&project.tracked, &[]);
        let base = project.base();
        let sides = Sides { local: &scan.files, remote: &remote, base: &base, tracked: &project.tracked };
        let mut changes = diff(sides);
        changes.retain(|each| each.change != Change::Unchanged);
        let unseen = match standing {
            Some(standing) if !standing.is_free() => {
                let untracked = &ByPath::default();
                let (builds, rewrite) = (Builds::ByPaths, Rewrite::No);
                let facts = PushFacts { builds, rewrite, untracked, settled: 0 };
                plan_push(sides, facts).decision.unseen
            }
            _ => Vec::new(),
        };
        let (ahead, behind) = match standing {
            Some(Standing::Ancestor { ahead }) => (Some(ahead), Some(0)),
            Some(Standing::Descendant { behind }) => (Some(0), Some(behind)),
            Some(Standing::Same) => (Some(0), Some(0)),
            _ => (None, None),
        };
        Ok(json!({
            "ahead": ahead, "behind": behind, "changes": shown(&changes), "unseen": shown(&unseen),
        }))
    }
}

/// The files that both sides last agreed on, standing in for a remote that was not asked.
fn last_agreed(project: &Project) -> ByPath<File> {
    let base = project.base();
    let files = base.iter().map(|synced| File {
        path: synced.path.clone(),
        digest: synced.digest,
        size: 0,
        executable: synced.executable,
    });
    ByPath::keeping_first(files.collect())
}

//! `add` and `remove`.

use std::collections::BTreeSet;

use bundle_core::file::ByPath;
use bundle_core::name::path::BundlePath;
use bundle_core::plan::remove::lost_by_removal;
use serde_json::json;

use super::disk::select;
use super::project::{Commit, NewOperation, OwnFile};
use super::{Arguments, InMemory, NOT_FOUND, Outcome, conflict, failed};

impl InMemory {
    pub(super) fn add(&mut self, who: usize, arguments: &Arguments<'_>) -> Outcome {
        let project = &mut self.projects[who];
        let mut meant: BTreeSet<&BundlePath> = BTreeSet::new();
        for argument in &arguments.plain {
            let found = select(project.disk.files().keys(), argument);
            if found.is_empty() {
                return Err(failed(NOT_FOUND, "nothing on disk matches"));
            }
            meant.extend(found);
        }
        let is_new = |path: &&&BundlePath| project.tracked.at(path).is_none();
        let added: Vec<BundlePath> = meant.iter().filter(is_new).map(|path| (*path).clone()).collect();
        let document = json!({"added": added, "already_tracked": meant.len() - added.len()});
        if !added.is_empty() {
            let tracked: ByPath<BundlePath> = project.tracked.iter().cloned().chain(added).collect();
            let commit = Commit { own: vec![OwnFile::Tracked(tracked)], ..Commit::default() };
            project.commit(commit, Some(NewOperation::default()))?;
        }
        Ok(document)
    }

    pub(super) fn remove_tracked(&mut self, who: usize, arguments: &Arguments<'_>) -> Outcome {
        let project = &mut self.projects[who];
        let mut removed: ByPath<BundlePath> = ByPath::default();
        for argument in &arguments.plain {
            let found = select(&project.tracked, argument);
            if found.is_empty() {
                return Err(failed(NOT_FOUND, "nothing that is tracked matches"));
            }
            removed = removed.iter().chain(found).cloned().collect();
        }
        let deletes_files = arguments.has("--rm");
        let scan = project.disk.scan(&removed, &[]);
        if deletes_files && !arguments.has("--force") {
            let lost = lost_by_removal(&removed, &scan.files, &[], &project.base());
            if !lost.is_empty() {
                return Err(conflict("files were edited since they were last synced, or never were"));
            }
        }
        let there = scan.files.iter().map(|file| file.path.clone());
        let deletes: BTreeSet<BundlePath> = there.filter(|_| deletes_files).collect();
        let tracked = project.tracked.iter().filter(|path| removed.at(path).is_none()).cloned().collect();
        let own = vec![OwnFile::Tracked(tracked)];
        let commit = Commit { deletes: deletes.clone(), own, ..Commit::default() };
        let expired = project.commit(commit, Some(NewOperation::default()))?;
        Ok(json!({
            "removed": removed.into_vec(), "deleted": deletes, "expired": expired,
            "deleted_from_disk": deletes_files,
        }))
    }
}

//! `undo`.

use std::collections::{BTreeMap, BTreeSet};

use bundle_core::digest::Digest;
use bundle_core::name::path::BundlePath;
use bundle_core::plan::keep::HadIn;
use bundle_core::plan::undo::{CannotUndo, Change, Fault, Operation as Facts, choose, together};
use serde_json::{Value, json};

use super::disk::Content;
use super::project::{Commit, NewOperation, Operation, OwnFile, Project, SyncedDocument, Was};
use super::registry::Registry;
use super::{InMemory, NOT_FOUND, Outcome, Stopped, conflict, failed};

/// As many operations are taken back at once.
const COUNT: usize = 1;

/// What was at a path, and the place of the operation before which it was there.
type Former = (usize, Was);

impl InMemory {
    pub(super) fn undo(&mut self, who: usize) -> Outcome {
        let project = &self.projects[who];
        let facts: Vec<Facts> =
            project.operations.iter().map(|operation| facts(project, operation)).collect();
        let chosen = choose(&facts, COUNT).map_err(refused)?;
        let at = |at: &usize| (*at, &project.operations[*at]);
        let files = chosen.iter().map(at).flat_map(|(at, operation)| {
            let changes = operation.files.iter();
            changes.map(move |change| {
                let (before, after) = ((at, change.before), change.after);
                (change.path.clone(), Change { before, after })
            })
        });
        let own = chosen.iter().map(at).flat_map(|(_, operation)| {
            operation.own.iter().map(|file| (file.name(), Change { before: file.clone(), after: () }))
        });
        let mut commit = Commit { own: own_files(project, together(own)), ..Commit::default() };
        let mut edited = Vec::new();
        for (path, Change { before, after }) in together(files) {
            let now = project.disk.at(path.as_str());
            if now != after {
                edited.push(path.clone());
            }
            match (before, after) {
                // What came there since is nobody's business.
                ((_, Was::Absent), None) => {}
                ((_, Was::Absent), Some(_)) if now.is_none() => {}
                ((_, Was::Absent), Some(_)) => _ = commit.deletes.insert(path),
                (before, _) => _ = commit.writes.insert(path, bring_back(project, &self.registry, before)?),
            }
        }
        let takes_back = project.operations.iter().take(COUNT).map(|operation| operation.number).collect();
        let operation = NewOperation { is_undo: true, takes_back, ..NewOperation::default() };
        let document = document(project, &commit, &edited);
        let expired = self.projects[who].commit(commit, Some(operation))?;
        Ok(with_expired(document, &expired))
    }
}

fn facts(project: &Project, operation: &Operation) -> Facts {
    let is_pushed = operation.last_push != project.last_push();
    Facts { is_undo: operation.is_undo, fault: is_pushed.then_some(Fault::Pushed) }
}

fn refused(why: CannotUndo) -> Stopped {
    match why {
        CannotUndo::TooFew { .. } => failed(NOT_FOUND, "there is nothing to take back"),
        CannotUndo::Fault { .. } => conflict("a push came after it"),
    }
}

/// What the project's own files are to be. What tags named when they were last seen is no matter of these.
fn own_files(project: &Project, own: BTreeMap<&'static str, Change<OwnFile, ()>>) -> Vec<OwnFile> {
    let keep_seen = |file: OwnFile| match file {
        OwnFile::Synced(Some(document)) => {
            OwnFile::Synced(Some(SyncedDocument { seen: project.seen(), ..document }))
        }
        file => file,
    };
    own.into_values().map(|change| keep_seen(change.before)).collect()
}

/// The content that comes back: from where it is kept, else from the files of the project, else from the bundle that had it.
fn bring_back(project: &Project, registry: &Registry, (at, before): Former) -> Result<Content, Stopped> {
    let (content, had_in) = match before {
        Was::Absent => return Err(conflict("nothing was there")),
        Was::Kept(content) => return Ok(content),
        Was::Elsewhere(content, had_in) => (content, had_in),
    };
    let is_here = project.disk.files().values().any(|here| here.digest == content.digest);
    let operation = &project.operations[at];
    let bundle = if had_in == HadIn::New { operation.brought } else { operation.synced };
    let has = |bundle: Digest| {
        let bundle = registry.bundle(bundle);
        bundle.is_some_and(|bundle| bundle.files.iter().any(|file| file.digest == content.digest))
    };
    match bundle {
        _ if is_here => Ok(content),
        Some(bundle) if has(bundle) => Ok(content),
        Some(_) => Err(failed(NOT_FOUND, "the bundle that has it is not there")),
        None => Err(conflict("the earlier content of some files is not here")),
    }
}

fn document(project: &Project, commit: &Commit, edited: &[BundlePath]) -> Value {
    let written: Vec<&BundlePath> = commit.writes.keys().collect();
    let taken = commit.writes.keys().chain(&commit.deletes);
    let kept: BTreeSet<&BundlePath> = taken.filter(|path| project.disk.at(path.as_str()).is_some()).collect();
    json!({"written": written, "deleted": commit.deletes, "kept": kept, "edited": edited})
}

fn with_expired(mut document: Value, expired: &[String]) -> Value {
    document["expired"] = json!(expired);
    document
}

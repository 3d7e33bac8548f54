//! `pull`.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use bundle_core::diff::{Change, ConflictKind, PathChange, Sides};
use bundle_core::digest::Digest;
use bundle_core::file::{ByPath, File, SyncedFile, synced_here};
use bundle_core::name::path::BundlePath;
use bundle_core::plan::drops::DropGuard;
use bundle_core::plan::keep::{HadIn, LastSynced, had_elsewhere};
use bundle_core::plan::pull::{Blocked, DeletedHere, PullMode, PullOptions, PullPlan, plan_pull};
use serde_json::{Value, json};

use super::disk::{Content, Scan, paths, select};
use super::project::{Commit, NewOperation, OwnFile, Project, StateFile, SyncedBundle, SyncedDocument};
use super::registry::Bundle;
use super::status::shown;
use super::{Arguments, CONFLICT, INTEGRITY, InMemory, NOT_FOUND, Outcome, Stopped, USAGE, conflict, failed};

/// What a user says of a pull.
#[derive(Debug)]
struct Choices {
    mode: PullMode,
    deleted: DeletedHere,
    drops: DropGuard,
    mine: ByPath<BundlePath>,
    theirs: ByPath<BundlePath>,
}

impl Choices {
    fn of(arguments: &Arguments<'_>) -> Self {
        let mode = match () {
            () if arguments.has("--overwrite") => PullMode::Overwrite,
            () if arguments.has("--exact") => PullMode::Exact,
            () if arguments.has("--safe") => PullMode::Safe,
            () => PullMode::Merge,
        };
        let restores = arguments.has("--restore-deleted");
        Self {
            mode,
            deleted: if restores { DeletedHere::Restore } else { DeletedHere::Leave },
            drops: if arguments.has("--accept-deletions") { DropGuard::Accept } else { DropGuard::Stop },
            mine: ByPath::default(),
            theirs: ByPath::default(),
        }
    }
}

/// A pull that has been decided.
struct Prepared {
    plan: PullPlan,
    bundle: Rc<Bundle>,
    /// The bundle's files, with the modes that they have here.
    files: ByPath<File>,
    scan: Scan,
    base: ByPath<SyncedFile>,
}

impl Prepared {
    fn of(project: &Project, bundle: Rc<Bundle>, choices: &Choices) -> Self {
        let scan = project.disk.scan(&project.tracked, &paths(&bundle.files));
        let (files, base) = (bundle.files.clone(), project.base());
        let mut prepared = Self { plan: PullPlan::default(), bundle, files, scan, base };
        prepared.decide(project, choices);
        prepared
    }

    fn decide(&mut self, project: &Project, choices: &Choices) {
        let Self { files, scan, base, .. } = &*self;
        let sides = Sides { local: &scan.files, remote: files, base, tracked: &project.tracked };
        let Choices { mode, deleted, drops, mine, theirs } = choices;
        let (mode, deleted, drops) = (*mode, *deleted, *drops);
        let obstacles = &scan.obstacles;
        let options = PullOptions { mode, deleted, mine, theirs, obstacles, drops, settled: 0 };
        self.plan = plan_pull(sides, options);
        self.files = self.plan.with_modes(std::mem::take(&mut self.files));
    }

    /// Refuses it where it is not to be carried out.
    fn check(&self) -> Result<(), Stopped> {
        if !self.plan.blocked.is_empty() {
            let blocked = |one: &Blocked| {
                json!({
                    "path": one.path, "change": one.change.name(), "kind": one.kind.map(ConflictKind::name),
                })
            };
            let blocked: Vec<Value> = self.plan.blocked.iter().map(blocked).collect();
            return Err(Stopped::Failed { code: CONFLICT, error: json!({"blocked": blocked}) });
        }
        match self.plan.mass_drop {
            Some(drop) => Err(conflict(&format!("{drop:?}"))),
            None => Ok(()),
        }
    }

    fn writes(&self) -> BTreeMap<BundlePath, Content> {
        let content = |path: &BundlePath| {
            let file = self.files.at(path).unwrap();
            let executable = self.plan.executable.at(path).is_some();
            (path.clone(), Content { digest: file.digest, size: file.size, executable })
        };
        self.plan.write.iter().map(content).collect()
    }

    /// What is kept of it. One that changes neither a file nor what is tracked nor what was synced is none to take back.
    fn operation(&self, project: &Project) -> Option<NewOperation> {
        let PullPlan { write, delete, adopt, untrack, .. } = &self.plan;
        let is_there = project.bundle().is_some_and(|at| at.described.digest == self.bundle.digest);
        if is_there && [write, delete, adopt, untrack].into_iter().all(|paths| paths.is_empty()) {
            return None;
        }
        let taken = write.iter().chain(delete);
        // Nobody has looked whether the last synced bundle is still there.
        let had = had_elsewhere(taken, &self.scan.files, &self.files, &self.base, LastSynced::Unseen);
        let elsewhere: BTreeMap<BundlePath, HadIn> =
            had.into_iter().map(|(file, had_in)| (file.path.clone(), had_in)).collect();
        Some(NewOperation { brought: Some(self.bundle.digest), elsewhere, ..NewOperation::default() })
    }

    /// What the project's own files are to say; `tag` is what was pulled where that is a tag.
    fn own(&self, project: &Project, number: u64, tag: Option<&str>) -> Vec<OwnFile> {
        let Self { plan, bundle, files, scan, base } = self;
        let former = project.state.clone().unwrap_or_default();
        let last_synced = synced_here(files, &scan.files, base);
        let state = StateFile { number, pulled: Some(bundle.digest), last_synced, ..former }.written();
        let mut seen = project.seen();
        if let Some(tag) = tag {
            seen.insert(tag.to_owned(), bundle.digest);
        }
        let synced = SyncedDocument { state: number, bundle: Some(SyncedBundle::of(bundle)), seen };
        let goes = |path: &&BundlePath| plan.delete.at(path).is_some() || plan.untrack.at(path).is_some();
        let stay = project.tracked.iter().filter(|path| !goes(path));
        let tracked = stay.chain(&plan.write).chain(&plan.adopt).cloned().collect();
        vec![OwnFile::State(Some(state)), OwnFile::Synced(Some(synced)), OwnFile::Tracked(tracked)]
    }

    fn document(&self, reference: &str, expired: &[String]) -> Value {
        let PullPlan { write, delete, adopt, untrack, kept, .. } = &self.plan;
        let is_here = |path: &&BundlePath| self.scan.files.at(path).is_some();
        let replaced: Vec<&BundlePath> = write.iter().filter(is_here).collect();
        let is_left = |each: &&PathChange| {
            each.change == Change::DeletedLocal && self.scan.files.at(&each.path).is_none()
        };
        let left_deleted: Vec<&BundlePath> = kept.iter().filter(is_left).map(|each| &each.path).collect();
        json!({
            "ref": reference, "digest": self.bundle.digest, "written": write.to_vec(), "replaced": replaced,
            "deleted": delete.to_vec(), "adopted": adopt.to_vec(), "untracked": untrack.to_vec(),
            "kept": shown(kept), "expired": expired, "left_deleted": left_deleted,
        })
    }
}

impl InMemory {
    pub(super) fn pull(&mut self, who: usize, arguments: &Arguments<'_>) -> Outcome {
        let reference = arguments.plain[0];
        let bundle = self.registry.open(reference).ok_or_else(|| failed(NOT_FOUND, "there is no bundle"))?;
        let project = &self.projects[who];
        let mut choices = Choices::of(arguments);
        let mut prepared = Prepared::of(project, bundle, &choices);
        if arguments.values("--mine").chain(arguments.values("--theirs")).next().is_some() {
            choices.mine = settle(&prepared.plan, arguments, "--mine")?;
            choices.theirs = settle(&prepared.plan, arguments, "--theirs")?;
            prepared.decide(project, &choices);
        }
        prepared.check()?;
        self.fetch(who, &prepared)?;
        let number = self.next_state();
        let project = &mut self.projects[who];
        let tag = Some(reference).filter(|reference| reference.parse::<Digest>().is_err());
        let deletes: BTreeSet<BundlePath> = prepared.plan.delete.iter().cloned().collect();
        let own = prepared.own(project, number, tag);
        let commit = Commit { writes: prepared.writes(), deletes, own };
        let operation = prepared.operation(project);
        let expired = project.commit(commit, operation)?;
        Ok(prepared.document(reference, &expired))
    }

    /// Brings the content of what is written: from a file of the project where the plan says so.
    fn fetch(&self, who: usize, prepared: &Prepared) -> Result<(), Stopped> {
        for source in &prepared.plan.sources {
            let is_there = match &source.local {
                Some(path) => {
                    self.projects[who].disk.at(path.as_str()).is_some_and(|file| file.digest == source.digest)
                }
                None => self.registry.has_blob(source.digest),
            };
            if !is_there {
                return Err(failed(INTEGRITY, &format!("nobody has {}", source.digest)));
            }
        }
        Ok(())
    }
}

/// Those of the paths that stop a pull which `arguments` settle by `option`.
fn settle(plan: &PullPlan, arguments: &Arguments<'_>, option: &str) -> Result<ByPath<BundlePath>, Stopped> {
    let mut settled: Vec<BundlePath> = Vec::new();
    for argument in arguments.values(option) {
        let found = select(plan.blocked.iter().map(|one| &one.path), argument);
        if found.is_empty() {
            return Err(failed(USAGE, &format!("{option} {argument} settles nothing")));
        }
        settled.extend(found.into_iter().cloned());
    }
    Ok(settled.into_iter().collect())
}

//! `push`.

use std::collections::BTreeSet;
use std::rc::Rc;

use bundle_core::bundle::descriptor::Annotations;
use bundle_core::bundle::history::{Ancestor, History};
use bundle_core::bundle::layout::Layout;
use bundle_core::bundle::manifest::annotation;
use bundle_core::diff::{PathChange, Sides};
use bundle_core::digest::Digest;
use bundle_core::file::{ByPath, File, synced, total_size};
use bundle_core::name::path::BundlePath;
use bundle_core::plan::drops::MassDrop;
use bundle_core::plan::layout::{LayoutPolicy, Readers, Rewrite};
use bundle_core::plan::push::{Builds, PushFacts, PushPlan, plan_push};
use bundle_core::plan::seal::{EmptyBlob, Origin, SealRequest, seal};
use bundle_core::plan::standing::Standing;
use bundle_core::plan::tag::Mover;
use serde_json::{Value, json};

use super::project::{Project, StateFile, SyncedBundle, SyncedDocument};
use super::registry::{Bundle, Registry};
use super::status::shown;
use super::tag::Move;
use super::{Arguments, CONFLICT, InMemory, Life, MOVED, Outcome, Stopped, USAGE, conflict, failed};

/// What a user says of a push.
#[derive(Debug)]
struct Options<'a> {
    tags: Vec<&'a str>,
    force: bool,
    replace: bool,
    /// What each tag has to name: the inner one is none where that is nothing.
    expected: Option<Option<Digest>>,
}

impl<'a> Options<'a> {
    fn of(arguments: &Arguments<'a>) -> Self {
        let mut tags: Vec<&str> = arguments.values("--tag").collect();
        if tags.is_empty() {
            tags.push("latest");
        }
        // `absent` is no digest.
        let expected = arguments.values("--expect").next().map(|text| text.parse().ok());
        Self { tags, force: arguments.has("--force"), replace: arguments.has("--replace"), expected }
    }

    /// Whether nothing that others did stops the push.
    fn overrules_others(&self) -> bool {
        self.force || self.replace || self.expected.is_some()
    }

    /// Whether most of the bundle's files may be dropped.
    fn accepts_drops(&self) -> bool {
        self.force || self.replace
    }
}

/// Where a push goes, as it is before.
struct Destination<'a> {
    /// The bundle that the new one replaces.
    replaces: Option<Rc<Bundle>>,
    /// Where it replaces none, one that the project knows: its blobs can serve again.
    stock: Option<Rc<Bundle>>,
    /// Each tag to write, and what it names now.
    tags: Vec<(&'a str, Option<Digest>)>,
    /// Where the first of them stands to the project.
    standing: Standing,
    /// Bundles that further tags name and that the project is not known to be built on.
    further: Vec<Rc<Bundle>>,
}

impl<'a> Destination<'a> {
    fn of(registry: &Registry, project: &Project, options: &Options<'a>) -> Result<Self, Stopped> {
        let (first, others) = options.tags.split_first().unwrap();
        let replaces = registry.open(first);
        let named = replaces.as_ref().map(|bundle| bundle.digest);
        let stock = if named.is_none() { stock(registry, project) } else { None };
        let mut further = Vec::new();
        for tag in others {
            let Some(digest) = registry.tag(tag) else { continue };
            if Some(digest) != named && !project.standing(tag, Some(digest), None).is_free() {
                further.extend(registry.bundle(digest));
            }
        }
        let tags: Vec<_> = options.tags.iter().map(|tag| (*tag, registry.tag(tag))).collect();
        if let Some(expected) = options.expected
            && tags.iter().any(|(_, named)| *named != expected)
        {
            return Err(failed(MOVED, "the tag does not name what was expected"));
        }
        let standing = project.standing(first, named, replaces.as_deref());
        Ok(Self { replaces, stock, tags, standing, further })
    }

    /// Every bundle that loses a tag.
    fn bundles(&self) -> impl Iterator<Item = &Rc<Bundle>> {
        self.replaces.iter().chain(&self.further)
    }
}

/// A bundle that the project has pushed or pulled, and that is there.
fn stock(registry: &Registry, project: &Project) -> Option<Rc<Bundle>> {
    let state = project.state.as_ref()?;
    let synced = project.bundle().map(|bundle| bundle.described.digest);
    let known = [synced, state.pushed, state.pulled].into_iter().flatten();
    known.filter_map(|digest| registry.bundle(digest)).next()
}

/// A push that has been decided.
struct Prepared<'a> {
    plan: PushPlan,
    /// What it would undo, by the bundles that have it.
    unseen: Vec<Vec<PathChange>>,
    mass_drop: Option<MassDrop>,
    destination: Destination<'a>,
    files: ByPath<File>,
    readers: Readers,
    parent: Option<SyncedBundle>,
}

impl<'a> Prepared<'a> {
    fn of(project: &Project, destination: Destination<'a>) -> Result<Self, Stopped> {
        let scan = project.disk.scan(&project.tracked, &[]);
        if !scan.obstacles.is_empty() {
            return Err(conflict("something else stands at these tracked paths"));
        }
        let (files, nothing, base) = (scan.files, ByPath::default(), project.base());
        let replaces = destination.replaces.as_deref();
        let remote = replaces.map_or(&nothing, |bundle| &bundle.files);
        let sides = Sides { local: &files, remote, base: &base, tracked: &project.tracked };
        let readers = Readers::Ours.and(replaces.map(|bundle| bundle.readers).unwrap_or_default());
        let rewrite = rewrite(replaces, &files, readers);
        let builds = if destination.standing.is_free() { Builds::On } else { Builds::ByPaths };
        let facts = PushFacts { builds, rewrite, untracked: &ByPath::default(), settled: 0 };
        let mut plan = plan_push(sides, facts);
        let untracked = moved_candidates(project, &plan, remote);
        if !untracked.is_empty() {
            plan = plan_push(sides, PushFacts { untracked: &untracked, ..facts });
        }
        let mut unseen = vec![plan.decision.unseen.clone()];
        let mut mass_drop = plan.decision.mass_drop;
        for bundle in &destination.further {
            let by_paths = PushFacts { builds: Builds::ByPaths, ..facts };
            let decision = plan_push(Sides { remote: &bundle.files, ..sides }, by_paths).decision;
            mass_drop = mass_drop.or(decision.mass_drop);
            unseen.push(decision.unseen);
        }
        unseen.retain(|changes| !changes.is_empty());
        if let Some(stock) = &destination.stock {
            plan.serve_from(stock.files.iter().map(|file| file.digest), &files);
        }
        let parent = project.bundle().cloned();
        Ok(Self { plan, unseen, mass_drop, destination, files, readers, parent })
    }

    /// Refuses it where carrying it out would be refused.
    fn check(&self, registry: &Registry, options: &Options<'_>) -> Result<(), Stopped> {
        if let Some(changes) = self.unseen.first().filter(|_| !options.overrules_others()) {
            let error = json!({"unseen": shown(changes)});
            return Err(Stopped::Failed { code: CONFLICT, error });
        }
        if let Some(drop) = self.mass_drop.filter(|_| !options.accepts_drops()) {
            return Err(conflict(&format!("{drop:?}")));
        }
        let left_behind = &self.plan.decision.left_behind;
        if !left_behind.is_empty() && !options.accepts_drops() {
            return Err(conflict(&format!("{left_behind:?}")));
        }
        let target = match &self.destination.replaces {
            Some(bundle) if !self.plan.decision.changed => bundle.digest,
            // The new bundle has no digest yet.
            _ => Digest::EMPTY,
        };
        for (tag, planned) in &self.destination.tags {
            let (planned, mover) = (*planned, Mover::Push);
            Move { tag, planned, force: options.force, mover }.check(registry, target)?;
        }
        Ok(())
    }

    fn origin<'b>(&'b self, author: &'b str, created: &'b str) -> Origin<'b> {
        let parent = self.parent.as_ref().map(|parent| (&parent.described, &parent.history));
        let replaces = self.destination.tags.first().and_then(|(_, named)| *named);
        let (author, readers, tool) = (Some(author), self.readers, "modelops-bundle/test");
        Origin { parent, replaces, author, message: None, created, version: None, tool, readers }
    }

    fn document(&self, digest: Digest, is_new: bool) -> Value {
        let lost = |is_meant: &dyn Fn(&File) -> bool| -> BTreeSet<BundlePath> {
            let files = self.destination.bundles().flat_map(|bundle| &bundle.files);
            files.filter(|file| is_meant(file)).map(|file| file.path.clone()).collect()
        };
        let deleted = lost(&|file| self.files.at(&file.path).is_none());
        let replaced = lost(&|file| self.files.at(&file.path).is_some_and(|now| now.digest != file.digest));
        let unseen: Vec<PathChange> = self.unseen.iter().flatten().cloned().collect();
        let overwritten: BTreeSet<&BundlePath> = unseen.iter().map(|each| &each.path).collect();
        json!({
            "digest": digest, "tree": self.plan.tree, "changed": is_new, "deleted": deleted,
            "replaced": replaced, "overwritten": overwritten, "unseen": shown(&unseen),
        })
    }
}

/// What the layout of the next bundle means for the content of the one before.
fn rewrite(before: Option<&Bundle>, files: &ByPath<File>, readers: Readers) -> Rewrite {
    let current = before.map(|_| Layout::Files);
    let choice = LayoutPolicy::Auto.choose_after(current, readers, files.len() as u64, total_size(files));
    assert_eq!(choice.layout, Layout::Files, "few small files are blobs of their own");
    choice.rewrite
}

/// The untracked files that may hold the content of a file that the push drops: those that have the size of one.
fn moved_candidates(project: &Project, plan: &PushPlan, remote: &ByPath<File>) -> ByPath<File> {
    let is_tracked = |path: &&BundlePath| project.tracked.at(path).is_some();
    let dropped = plan.decision.delete.iter().filter(is_tracked);
    let sizes: BTreeSet<u64> =
        dropped.filter_map(|path| remote.at(path)).map(|file| file.size).filter(|size| *size > 0).collect();
    if sizes.is_empty() { ByPath::default() } else { project.disk.untracked(&project.tracked, &sizes) }
}

impl InMemory {
    pub(super) fn push(&mut self, who: usize, arguments: &Arguments<'_>, life: &mut Life) -> Outcome {
        let options = Options::of(arguments);
        let project = &self.projects[who];
        if project.tracked.is_empty() && project.base().is_empty() {
            return Err(failed(USAGE, "nothing is tracked, so there is nothing to push"));
        }
        let destination = Destination::of(&self.registry, project, &options)?;
        let prepared = Prepared::of(project, destination)?;
        prepared.check(&self.registry, &options)?;
        let (bundle, pushed) = self.send(who, &prepared);
        life.go_on()?;
        let is_changed = prepared.plan.decision.changed;
        for (tag, planned) in &prepared.destination.tags {
            if is_changed || *planned != Some(bundle.digest) {
                let (planned, mover) = (*planned, Mover::Push);
                let moving = Move { tag, planned, force: options.force, mover };
                moving.write(&mut self.registry, &bundle)?;
                life.go_on()?;
            }
        }
        self.agree(who, &prepared, &bundle, pushed, life)?;
        Ok(prepared.document(bundle.digest, is_changed))
    }

    /// Sends what makes the new bundle, and nothing where it is the one that is there; the result is also what the project
    /// remembers of it.
    fn send(&mut self, who: usize, prepared: &Prepared<'_>) -> (Rc<Bundle>, SyncedBundle) {
        if let Some(bundle) =
            prepared.destination.replaces.as_ref().filter(|_| !prepared.plan.decision.changed)
        {
            return (Rc::clone(bundle), SyncedBundle::of(bundle));
        }
        for blob in &prepared.plan.blobs {
            self.registry.send_blob(blob.digest);
        }
        let (author, created) = (format!("person {who}"), self.created());
        let origin = prepared.origin(&author, &created);
        let request =
            SealRequest { files: &prepared.files, replaces: None, origin, empty_blob: EmptyBlob::Taken };
        let sealed = seal(&request).unwrap();
        let bundle = Rc::new(Bundle::of(&sealed));
        self.registry.send_bundle(&bundle);
        (bundle, made(&origin, prepared.plan.tree, sealed.digest))
    }

    /// Writes down that the project and its remote agree on `bundle`.
    fn agree(
        &mut self,
        who: usize,
        prepared: &Prepared<'_>,
        bundle: &Bundle,
        pushed: SyncedBundle,
        life: &mut Life,
    ) -> Result<(), Stopped> {
        let number = self.next_state();
        let project = &mut self.projects[who];
        let former = project.state.take().unwrap_or_default();
        let last = if prepared.plan.decision.changed { Some(bundle.digest) } else { former.pushed };
        let last_synced = synced(&prepared.files);
        project.state = Some(StateFile { number, pushed: last, last_synced, ..former }.written());
        life.go_on()?;
        let mut seen = project.seen();
        seen.extend(prepared.destination.tags.iter().map(|(tag, _)| ((*tag).to_owned(), bundle.digest)));
        project.synced = Some(SyncedDocument { state: number, bundle: Some(pushed), seen });
        life.go_on()?;
        let untrack: ByPath<BundlePath> = prepared.plan.decision.untrack.iter().cloned().collect();
        project.tracked = project.tracked.iter().filter(|path| untrack.at(path).is_none()).cloned().collect();
        Ok(())
    }
}

/// The new bundle `digest`, as its manifest describes it.
fn made(origin: &Origin<'_>, tree: Digest, digest: Digest) -> SyncedBundle {
    let tree = tree.to_string();
    let said = [
        (annotation::CREATED, Some(origin.created)),
        (annotation::TREE, Some(&*tree)),
        (annotation::VERSION, origin.version),
        (annotation::AUTHORS, origin.author),
        (annotation::DESCRIPTION, origin.message),
    ];
    let said: Annotations =
        said.into_iter().filter_map(|(key, text)| Some((key.to_owned(), text?.to_owned()))).collect();
    let parent = origin.parent.map(|(parent, before)| (parent.clone(), before));
    SyncedBundle {
        described: Ancestor::of_manifest(digest, &said),
        history: History::after(parent, origin.replaces),
    }
}

//! Push: makes the remote's bundle equal to the project. [`look_and_pack`], or [`open_destination`] and a scan, gather the
//! facts, [`prepare`] has them decided, [`apply`] carries the decision out and changes nothing that was not decided.
//!
//! In layout `packed` content may be on its way before that, where nothing can be decided against it: blobs that no
//! manifest names change no bundle. All of this needs a runtime of several threads.

mod estimate;
mod held;
mod packed;
mod record;
mod version;

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use std::io;
use std::path::PathBuf;
use std::sync::mpsc::{Sender, channel};

use bundle_core::bundle::descriptor::{Descriptor, media_type};
use bundle_core::bundle::history::{Ancestor, History};
use bundle_core::bundle::index::{BundleIndex, version_of};
use bundle_core::bundle::layout::Layout;
use bundle_core::bundle::manifest::{MAX_EMBEDDED_INDEX_BYTES, annotation};
use bundle_core::diff::{Change, PathChange, Sides};
use bundle_core::digest::Digest;
use bundle_core::file::{ByPath, File, SyncedFile, synced, total_size};
use bundle_core::name::path::BundlePath;
use bundle_core::name::reference::{Place, Reference, Tag};
use bundle_core::pack::chunk_map::ChunkMap;
use bundle_core::pack::limits::PackLimits;
use bundle_core::pack::zstd::CompressionError;
use bundle_core::plan::drops::MassDrop;
use bundle_core::plan::early_send::{EarlyFacts, EarlySend};
use bundle_core::plan::layout::{LayoutChoice, LayoutPolicy, Readers, Rewrite};
use bundle_core::plan::push::{Builds, LeftBehind, PushFacts, PushPlan};
use bundle_core::plan::seal::{
    EmptyBlob, Extra, Origin, PackedSealRequest, SealRequest, Sealed, SealedManifest,
};
use bundle_core::plan::standing::Standing;
use bundle_core::plan::tag::{Mover, Occupant, TagDecision, TagFacts};
use bundle_core::plan::view::{Viewed, Views};
use bytes::Bytes;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use thiserror::Error;

pub use self::estimate::{Estimate, estimate};
use self::packed::Packs;
pub use self::record::UploadRecord;
pub use self::version::{Highest, PlanVersionError, PlannedVersion, find_highest, plan_version};
use crate::bundle::{Bundle, Context, OpenError, open, open_manifest};
use crate::component::CoreError;
use crate::component::answers::{FactsError, ManifestView, SealError};
use crate::project::index_cache::{self, PlainIndex};
use crate::project::state::{SettledState, StateError};
use crate::project::synced::SyncedBundle;
use crate::project::tracked::{TrackedError, write_tracked};
use crate::project::{Project, ProjectLock, State, Synced};
use crate::remote::{BlobSource, Condition, RemoteError, RemoteErrorKind, Version};
use crate::scan::{Found, Scan, ScanError, Untracked, find_untracked, scan_with};
use crate::threads::{Bridge, ThreadError, engine, start};
use crate::transfer::{
    Carried, Copied, Expected, Named, NamedKind, PackingError, PartlyTagged, TablesError, TagError, Tagging,
    Unconfirmed, UploadError, check_tag, look_up, lost_of, tag_digest, tells_damage, upload,
};
use crate::workspace::Workspace;

/// Name and version of this program, as bundles record it.
pub const TOOL: &str = concat!("modelops-bundle/", env!("CARGO_PKG_VERSION"));

/// Whether a user insists.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Force {
    /// What is in the way stays.
    #[default]
    No,
    /// It may be overwritten.
    Yes,
}

/// What becomes of a bundle that the project is not built on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Unbuilt {
    /// It stops the push.
    #[default]
    Stop,
    /// The project's tree replaces it, however much of it goes.
    Replace,
}

/// What a user says of a push.
#[derive(Clone, Copy, Debug, Default)]
pub struct PushOptions {
    /// Whether tags move whatever they name by then, and what the remote has lost is sent again.
    pub force: Force,
    /// What becomes of a bundle that the project is not built on.
    pub unbuilt: Unbuilt,
    /// What each tag has to name; a user who knows that has seen it.
    pub expected: Option<Expected>,
}

impl PushOptions {
    /// Whether nothing that others did stops the push.
    fn overrules_others(self) -> bool {
        self.force == Force::Yes || self.unbuilt == Unbuilt::Replace || self.expected.is_some()
    }

    /// Whether most of the bundle's files may be dropped.
    fn accepts_drops(self) -> bool {
        self.force == Force::Yes || self.unbuilt == Unbuilt::Replace
    }
}

/// A push that has been decided and not yet carried out.
#[derive(Debug)]
#[must_use = "nothing is sent before the push is applied"]
pub struct PreparedPush {
    /// What to do.
    pub plan: PushPlan,
    /// What it would undo, by the tags that name it.
    pub unseen: Vec<UnseenBundle>,
    /// Where it goes.
    pub destination: Destination,
    /// In which form the new bundle's files are to lie in the repository.
    pub layout: Layout,
    /// Which tools read the bundles of the place.
    pub readers: Readers,
    /// The files of the new bundle that are outside the project's view, and taken over as they are.
    pub carried: ByPath<File>,
    /// What the project holds.
    pub scan: Scan,
    /// What the new bundle is made from, by whom, and why.
    pub lineage: Lineage,
    /// The files of the new bundle, where they are not just those of the scan.
    joined: Option<ByPath<File>>,
}

impl PreparedPush {
    /// The files of the new bundle.
    pub fn files(&self) -> &ByPath<File> {
        self.joined.as_ref().unwrap_or(&self.scan.files)
    }
}

/// A bundle with changes that the project is not built on.
#[derive(Clone, Debug)]
pub struct UnseenBundle {
    /// The tag that names it.
    pub tag: Tag,
    /// Where the tag stands to the project.
    pub standing: Standing,
    /// The bundle.
    pub named: Ancestor,
    /// The changes, at the paths where the push would undo them.
    pub changes: Vec<PathChange>,
}

/// What a new bundle is made from, by whom, and why.
#[derive(Clone, Debug, Default)]
pub struct Lineage {
    /// The bundle that the project last synced.
    pub parent: Option<SyncedBundle>,
    /// Who pushes, where that is said.
    pub author: Option<String>,
    /// Why, where that is said.
    pub message: Option<String>,
}

impl Lineage {
    fn of(workspace: &Workspace) -> Self {
        Self { parent: workspace.synced.bundle.clone(), author: None, message: None }
    }
}

/// What a push came to.
#[derive(Clone, Debug)]
pub struct Pushed {
    /// The bundle's digest.
    pub digest: Digest,
    /// The index's digest.
    pub index: Digest,
    /// The tree digest.
    pub tree: Digest,
    /// Whether anything was written.
    pub changed: bool,
    /// What was sent of the project's files.
    pub uploaded: Copied,
    /// What of them the registry took from another repository of its own.
    pub mounted: Copied,
    /// The files whose content was among that.
    pub sent: Vec<BundlePath>,
    /// The tags that were written and were not seen to name the bundle.
    pub unconfirmed: Vec<Unconfirmed>,
}

/// Where a push goes, as it is before.
#[derive(Debug)]
pub struct Destination {
    /// The bundle that the new one replaces, if there is one.
    pub replaces: Option<Bundle>,
    /// Where it replaces none, a bundle of the same place that the project knows: its packs can serve again.
    pub stock: Option<Bundle>,
    /// Each tag to write, and what it names now.
    pub tags: Vec<(Tag, Option<Named>)>,
    /// Where the first of them stands to the project.
    pub standing: Standing,
    /// Bundles that further tags name and that the project is not known to be built on.
    pub further: Vec<Further>,
    /// The version to publish, if it is to be one: a tag that is not there yet, and is written before the others.
    pub version: Option<Tag>,
    /// What the place has lost or damaged of the bundle that the first tag names, its manifest among it, as far as that was
    /// looked at: then nothing of that bundle serves again.
    pub lost: BTreeSet<Digest>,
    /// What the user says of the push.
    pub options: PushOptions,
}

/// A bundle that a further tag of a push names.
#[derive(Debug)]
pub struct Further {
    tag: Tag,
    standing: Standing,
    bundle: Bundle,
}

impl Further {
    /// The bundle.
    pub fn bundle(&self) -> &Bundle {
        &self.bundle
    }
}

impl Destination {
    /// The bundle whose packs the new one builds on.
    fn with_packs(&self) -> Option<&Bundle> {
        if self.lost.is_empty() { self.replaces.as_ref().or(self.stock.as_ref()) } else { None }
    }

    /// The layout of the new bundle, of `files` files with `bytes` bytes, and whether all content is written anew.
    fn choose_layout(
        &self,
        context: Context<'_>,
        policy: LayoutPolicy,
        files: u64,
        bytes: u64,
        readers: Readers,
    ) -> Result<LayoutChoice, PushError> {
        let current = self.replaces.as_ref().map(|bundle| bundle.index_view.layout);
        let choice = context.core.choose_layout(policy, current, files, bytes, readers)?;
        // What is lost of the bundle before comes from here again, and which files it was of is not asked.
        Ok(if self.lost.is_empty() { choice } else { LayoutChoice { rewrite: Rewrite::Always, ..choice } })
    }
}

/// Looks at what `tags` name at the place of `reference`. The first one names the bundle that is compared with.
///
/// Where the push is forced, that bundle is looked at for what the place has lost or damaged of it, and need not be readable.
pub async fn open_destination(
    context: Context<'_>,
    workspace: &Workspace,
    reference: &Reference,
    tags: &[Tag],
    options: PushOptions,
) -> Result<Destination, PushError> {
    let Some((first, others)) = tags.split_first() else { return Err(PushError::NoTag) };
    let force = options.force;
    let Opened { bundle: replaces, digest, lost } = open_replaced(context, first, force).await?;
    let stock = match digest {
        None => find_stock(context, workspace, reference).await,
        Some(_) => None,
    };
    let others: Vec<(Tag, Option<Named>)> = stream::iter(others.to_vec())
        .map(async |tag: Tag| {
            let named = look_up(context, &tag).await?;
            Ok::<_, OpenError>((tag, named))
        })
        .buffered(context.concurrency)
        .try_collect()
        .await?;
    let standing = workspace.standing(context.core, reference, first, digest, replaces.as_ref())?;
    let mut further = Vec::new();
    for (tag, named) in &others {
        let Some(named) = named.as_ref().filter(|named| named.kind == NamedKind::Bundle) else { continue };
        if Some(named.digest) == digest
            || workspace.standing(context.core, reference, tag, Some(named.digest), None)?.is_free()
        {
            continue;
        }
        let opened = match open(context, &Version::Digest(named.digest)).await {
            Err(error) if options.overrules_others() && tells_damage(&error) => None,
            opened => opened?,
        };
        if let Some(bundle) = opened {
            let digest = Some(bundle.digest);
            let standing = workspace.standing(context.core, reference, tag, digest, Some(&bundle))?;
            further.push(Further { tag: tag.clone(), standing, bundle });
        }
    }
    let mut tags = vec![(first.clone(), digest.map(|digest| Named { digest, kind: NamedKind::Bundle }))];
    tags.extend(others);
    if let Some(expected) = options.expected {
        for (tag, named) in &tags {
            let found = named.as_ref().map(|named| named.digest);
            if found != expected.digest() {
                return Err(TagError::unexpected(tag.clone(), expected, found).into());
            }
        }
    }
    // Where it may not be there yet, the first write tells.
    if force == Force::No && context.remote.hides_tags() && is_known(workspace, reference) {
        return Err(PushError::Hidden { place: context.remote.place() });
    }
    Ok(Destination { replaces, stock, tags, standing, further, version: None, lost, options })
}

/// The bundle that a tag names, as far as it can be read.
struct Opened {
    bundle: Option<Bundle>,
    /// Its digest; none where the tag names nothing.
    digest: Option<Digest>,
    /// What is lost or damaged of it.
    lost: BTreeSet<Digest>,
}

/// Opens the bundle that `tag` names, which a push is to replace.
async fn open_replaced(context: Context<'_>, tag: &Tag, force: Force) -> Result<Opened, PushError> {
    let version = Version::Tag(tag.clone());
    let bundle = match open(context, &version).await {
        Err(error) if force == Force::Yes && tells_damage(&error) => {
            tracing::debug!(%error, %tag, "what the push replaces cannot be read");
            let digest = tag_digest(context, tag).await?;
            let mut lost: BTreeSet<Digest> = digest.into_iter().collect();
            if let Ok(Some(manifest)) = open_manifest(context, &version).await {
                lost = find_lost(context, &manifest.view).await?;
            }
            return Ok(Opened { bundle: None, digest, lost });
        }
        bundle => bundle?,
    };
    let lost = match &bundle {
        Some(bundle) if force == Force::Yes => find_lost(context, &bundle.manifest_view).await?,
        _ => BTreeSet::new(),
    };
    let digest = bundle.as_ref().map(|bundle| bundle.digest);
    Ok(Opened { bundle, digest, lost })
}

/// Which blobs of a bundle the place has lost or damaged, as far as it can tell: one request a blob at a registry, while a
/// folder is read.
async fn find_lost(context: Context<'_>, manifest: &ManifestView) -> Result<BTreeSet<Digest>, PushError> {
    let blobs: BTreeMap<Digest, &Descriptor> = manifest
        .layers
        .iter()
        .chain([&manifest.index])
        // Some registries take no empty blob, and no reader asks for one.
        .filter(|blob| blob.size > 0)
        .map(|blob| (blob.digest, blob))
        .collect();
    Ok(lost_of(context, blobs.into_values(), Force::Yes).await?)
}

/// Whether the project has pushed to or pulled from the place of `reference`.
fn is_known(workspace: &Workspace, reference: &Reference) -> bool {
    let state = &workspace.state;
    let last = state.synced_ref.clone().or_else(|| workspace.default_reference());
    state.last_push_digest.or(state.last_pull_digest).is_some()
        && last.is_some_and(|last| last.place == reference.place)
}

/// A bundle at the place of `reference` that the project has pushed or pulled.
async fn find_stock(context: Context<'_>, workspace: &Workspace, reference: &Reference) -> Option<Bundle> {
    let state = &workspace.state;
    let last = state.synced_ref.clone().or_else(|| workspace.default_reference())?;
    if last.place != reference.place {
        return None;
    }
    let (synced, _) = workspace.synced.lineage();
    for digest in [synced, state.last_push_digest, state.last_pull_digest].into_iter().flatten() {
        match open(context, &Version::Digest(digest)).await {
            Ok(Some(bundle)) => return Some(bundle),
            Ok(None) => {}
            // Without it more is sent, and nothing is wrong.
            Err(error) => tracing::debug!(%error, %digest, "a bundle that was synced cannot be opened"),
        }
    }
    None
}

/// Looks at what `tags` name at the place of `reference`, as [`open_destination`] does, and meanwhile at the project's
/// tracked files. Packs and sends what is new in them while they are read, where that is what the push will do in any
/// case; else they are only hashed.
///
/// A project that has to be told what it would undo is hashed first, so that nothing is sent before it was asked.
pub async fn look_and_pack<'a>(
    context: Context<'a>,
    lock: &'a ProjectLock,
    workspace: &Workspace,
    reference: &Reference,
    tags: &[Tag],
    options: PushOptions,
) -> Result<(Destination, Looked, SentAhead<'a>), PushError> {
    let scanning = workspace.scan_options(Untracked::Skip);
    let (project, tracked) = (&workspace.project, &workspace.tracked);
    let progress = context.progress.as_ref();
    let (mut opened, mut packs, mut choice) = (None, None, None);
    let scan = engine(|bridge| {
        std::thread::scope(|scope| {
            let open = move || bridge.wait(open_destination(context, workspace, reference, tags, options));
            let opening = start(scope, "open", open)?;
            let read = |found: &Found<'_>| {
                let destination = opening.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
                let destination = opened.insert(destination?);
                let before = destination.replaces.as_ref();
                let policy = workspace.config.layout;
                let (count, bytes) = (found.len() as u64, found.bytes());
                let readers = readers(workspace, before);
                let chosen = destination.choose_layout(context, policy, count, bytes, readers)?;
                let facts = EarlyFacts {
                    free: destination.standing.is_free() && destination.further.is_empty(),
                    insists: options.overrules_others(),
                    tags_free: refuse_tags(context, destination, Digest::EMPTY, options.force).is_ok(),
                    choice: *choice.insert(chosen),
                };
                match context.core.early_send(facts)? {
                    EarlySend::No(_) => Ok(found.hash_unknown(progress)?),
                    EarlySend::Yes => {
                        let before = destination.with_packs();
                        packs.insert(Packs::after(context, bridge, lock, before)).read(found)
                    }
                }
            };
            scan_with(project, tracked, &[], scanning, progress, read)
        })
    })?;
    let destination = opened.ok_or(ScanError::Unread)?;
    Ok((destination, Looked { scan, choice }, SentAhead(packs)))
}

/// What a project holds.
#[derive(Debug)]
pub struct Looked {
    scan: Scan,
    /// The layout of the new bundle, where that is chosen: it stays so, whatever sizes files turn out to have.
    choice: Option<LayoutChoice>,
}

impl From<Scan> for Looked {
    fn from(scan: Scan) -> Self {
        Self { scan, choice: None }
    }
}

/// Packs that went ahead of the decision: what is in them is needed whatever is decided, and nothing refers to them yet.
#[derive(Debug, Default)]
#[must_use = "packs that are on their way are not finished by themselves"]
pub struct SentAhead<'a>(Option<Packs<'a>>);

impl SentAhead<'_> {
    /// Whether something new is on its way already, so that there will be a bundle.
    pub fn has_begun(&self) -> bool {
        self.0.as_ref().is_some_and(Packs::has_new)
    }
}

/// Finds out what a push of what was found to `destination`, at the place of `reference`, would do.
pub fn prepare(
    context: Context<'_>,
    workspace: &Workspace,
    destination: Destination,
    looked: Looked,
) -> Result<PreparedPush, PushError> {
    let Looked { mut scan, choice } = looked;
    let replaces = destination.replaces.as_ref();
    let nothing = ByPath::default();
    let remote = replaces.map_or(&nothing, Bundle::files);
    let base = &workspace.state.last_synced;
    scan.recall_modes(&workspace.project, base, remote);
    let is_tracked = |path: &&BundlePath| workspace.tracked.at(path).is_some();
    let not_files: Vec<BundlePath> = scan.obstacles.iter().filter(is_tracked).cloned().collect();
    if !not_files.is_empty() {
        return Err(PushError::NotFiles { paths: not_files });
    }
    let whole = Sides { local: &scan.files, remote, base, tracked: &workspace.tracked };
    let viewed = Viewed::of(whole, Views::same(&workspace.state.view));
    let sides = viewed.sides(whole);
    let carried = carried_over(workspace, &destination, &viewed)?;
    let joined = with_carried(&scan.files, &carried);
    let files = joined.as_ref().unwrap_or(&scan.files);
    if !carried.is_empty()
        && let Some((folder, below)) = files.nested().next()
    {
        return Err(PushError::Nested { folder: folder.clone(), below: below.clone() });
    }
    let readers = readers(workspace, replaces);
    let choice = match choice {
        Some(choice) => choice,
        None => {
            let (count, bytes) = (files.len() as u64, total_size(files));
            destination.choose_layout(context, workspace.config.layout, count, bytes, readers)?
        }
    };
    let choice = match destination.with_packs().filter(|_| !carried.is_empty()) {
        // What is not here cannot be written in another form.
        Some(before) => LayoutChoice { layout: before.index_view.layout, rewrite: Rewrite::No },
        None => choice,
    };
    let builds = if destination.standing.is_free() { Builds::On } else { Builds::ByPaths };
    let facts = PushFacts { builds, rewrite: choice.rewrite, untracked: &nothing, settled: 0 };
    let mut plan = context.core.plan_push(sides, facts, &carried)?;
    let untracked = moved_candidates(workspace, &plan, remote)?;
    if !untracked.is_empty() {
        plan = context.core.plan_push(sides, PushFacts { untracked: &untracked, ..facts }, &carried)?;
    }
    let mut unseen = Vec::new();
    let mut changes = plan.decision.unseen.clone();
    if destination.standing.is_free() {
        changes.extend(Viewed::never_here(whole, &workspace.state.view));
    }
    if !changes.is_empty()
        && let (Some((tag, _)), Some(bundle)) = (destination.tags.first(), replaces)
    {
        let (standing, named) = (destination.standing, bundle.manifest_view.as_ancestor.clone());
        unseen.push(UnseenBundle { tag: tag.clone(), standing, named, changes });
    }
    for Further { tag, standing, bundle } in &destination.further {
        let by_paths = PushFacts { builds: Builds::ByPaths, ..facts };
        let further = Sides { remote: bundle.files(), ..whole };
        let viewed = Viewed::of(further, Views::same(&workspace.state.view));
        let decision = context.core.plan_push(viewed.sides(further), by_paths, &ByPath::default())?.decision;
        let mut changes = decision.unseen;
        changes.extend(outside_changes(viewed.carried(), &carried));
        changes.sort_by(|a, b| a.path.cmp(&b.path));
        plan.decision.mass_drop = plan.decision.mass_drop.or(decision.mass_drop);
        if !changes.is_empty() {
            let named = bundle.manifest_view.as_ancestor.clone();
            unseen.push(UnseenBundle { tag: tag.clone(), standing: *standing, named, changes });
        }
    }
    let stock = destination.stock.as_ref();
    if let Some(stock) = stock.filter(|stock| stock.index_view.layout == choice.layout) {
        plan.serve_from(stock.files().iter().map(|file| file.digest), files);
    }
    let lineage = Lineage::of(workspace);
    let layout = choice.layout;
    Ok(PreparedPush { plan, unseen, joined, carried, layout, readers, destination, scan, lineage })
}

/// The files outside the project's view, which the new bundle has as the one before; where the tag names none, as the last
/// synced one.
fn carried_over(
    workspace: &Workspace,
    destination: &Destination,
    viewed: &Viewed,
) -> Result<ByPath<File>, PushError> {
    if workspace.state.view.is_whole() {
        return Ok(ByPath::default());
    }
    if destination.replaces.is_some() {
        return match viewed.carried().len() {
            // What is lost of it is not here to be sent again.
            count if count > 0 && !destination.lost.is_empty() => Err(PushError::OutsideView { count }),
            _ => Ok(viewed.carried().clone()),
        };
    }
    let is_outside =
        |path: &BundlePath| !workspace.state.view.holds(path) && workspace.tracked.at(path).is_none();
    let outside = workspace.state.last_synced.iter().filter(|file| is_outside(&file.path)).count();
    let stock = destination.stock.as_ref().map(|stock| stock.files().only(is_outside)).unwrap_or_default();
    // Another bundle of the place may have other files there.
    let is_synced = |file: &&SyncedFile| stock.at(&file.path).is_some_and(|held| file.is_of(held));
    let synced = workspace.state.last_synced.iter().filter(|file| is_outside(&file.path));
    match synced.filter(is_synced).count() {
        found if found == outside && stock.len() == outside => Ok(stock),
        found => Err(PushError::OutsideView { count: outside.max(stock.len()) - found }),
    }
}

/// The files of the bundle that a push of `scan` would make: those of the project, and what lies outside its view.
pub fn next_files<'a>(
    workspace: &Workspace,
    destination: &Destination,
    scan: &'a Scan,
) -> Result<Cow<'a, ByPath<File>>, PushError> {
    let (view, base) = (&workspace.state.view, &workspace.state.last_synced);
    let nothing = ByPath::default();
    let remote = destination.replaces.as_ref().map_or(&nothing, Bundle::files);
    let sides = Sides { local: &scan.files, remote, base, tracked: &workspace.tracked };
    let viewed = Viewed::of(sides, Views::same(view));
    let joined = with_carried(&scan.files, &carried_over(workspace, destination, &viewed)?);
    Ok(joined.map_or(Cow::Borrowed(&scan.files), Cow::Owned))
}

/// What of a further tag's bundle lies outside the project's view and is not taken over as it is.
fn outside_changes(outside: &ByPath<File>, carried: &ByPath<File>) -> Vec<PathChange> {
    let is_kept = |file: &&File| carried.at(&file.path).is_some_and(|kept| kept.is_same_as(file));
    let change = |file: &File| PathChange {
        path: file.path.clone(),
        change: if carried.at(&file.path).is_some() { Change::ModifiedRemote } else { Change::AddedRemote },
    };
    let lost = outside.iter().filter(|file| !is_kept(file)).map(change);
    let is_new = |file: &&File| outside.at(&file.path).is_none();
    let back = carried.iter().filter(is_new);
    let back = back.map(|file| PathChange { path: file.path.clone(), change: Change::DeletedRemote });
    lost.chain(back).collect()
}

/// `files` and what is `carried` over, where anything is.
fn with_carried(files: &ByPath<File>, carried: &ByPath<File>) -> Option<ByPath<File>> {
    // What the project tracks itself comes before what would be taken over.
    (!carried.is_empty()).then(|| ByPath::keeping_first(files.iter().chain(carried).cloned().collect()))
}

/// The untracked files that may hold the content of a file that the push drops: those that have the size of one.
fn moved_candidates(
    workspace: &Workspace,
    plan: &PushPlan,
    remote: &ByPath<File>,
) -> Result<ByPath<File>, PushError> {
    let is_tracked = |path: &&BundlePath| workspace.tracked.at(path).is_some();
    let dropped = plan.decision.delete.iter().filter(is_tracked);
    let sizes: BTreeSet<u64> =
        dropped.filter_map(|path| remote.at(path)).map(|file| file.size).filter(|size| *size > 0).collect();
    if sizes.is_empty() {
        return Ok(ByPath::default());
    }
    let Workspace { project, tracked, config, .. } = workspace;
    Ok(find_untracked(project, tracked, config.symlinks, &sizes)?)
}

/// Which tools read what `workspace` pushes where the bundle `before` is.
fn readers(workspace: &Workspace, before: Option<&Bundle>) -> Readers {
    before.map_or(workspace.readers(), |bundle| workspace.readers().and(bundle.manifest_view.readers))
}

/// How large the packs of a bundle of `files` become.
fn limits(files: &ByPath<File>) -> PackLimits {
    PackLimits::of(files.len() as u64, total_size(files))
}

/// Refuses `prepared` where carrying it out would, as far as that is known before anything is sent.
///
/// # Errors
///
/// [`PushError::Unseen`], [`PushError::MassDrop`], [`PushError::LeftBehind`] and [`PushError::Tag`], and what asking the
/// core may end with.
pub fn check(context: Context<'_>, prepared: &PreparedPush) -> Result<(), PushError> {
    let (decision, options) = (&prepared.plan.decision, prepared.destination.options);
    if let Some(unseen) = prepared.unseen.first().filter(|_| !options.overrules_others()) {
        let here = prepared.lineage.parent.as_ref().map(|parent| Box::new(parent.described.clone()));
        let is_unedited = here.as_ref().and_then(|here| here.tree) == Some(prepared.plan.tree);
        return Err(PushError::Unseen { unseen: Box::new(unseen.clone()), here, is_unedited });
    }
    if let Some(drop) = decision.mass_drop.filter(|_| !options.accepts_drops()) {
        return Err(PushError::MassDrop { drop });
    }
    if !decision.left_behind.is_empty() && !options.accepts_drops() {
        return Err(PushError::LeftBehind { files: decision.left_behind.clone() });
    }
    let target = match &prepared.destination.replaces {
        Some(bundle) if !decision.changed => bundle.digest,
        // The new bundle has no digest yet; the empty digest stands in, which no manifest has.
        _ => Digest::EMPTY,
    };
    refuse_tags(context, &prepared.destination, target, options.force)
}

/// Carries out `prepared` for the project that `lock` holds; `created` is the wall clock, an RFC 3339 time in UTC.
///
/// Blobs go first, the index among them, then the manifest, and last the tags, so that none of those names what is not
/// there.
pub async fn apply(
    context: Context<'_>,
    lock: &ProjectLock,
    workspace: &mut Workspace,
    reference: &Reference,
    prepared: PreparedPush,
    ahead: SentAhead<'_>,
    created: &str,
) -> Result<Pushed, PushError> {
    // First of all: where this is refused, nothing is to have been sent.
    let bridge = Bridge::here()?;
    check(context, &prepared)?;
    let force = prepared.destination.options.force;
    let plan = &prepared.plan;
    let mut sent = None;
    let (documents, uploaded) = match (&prepared.destination.replaces, prepared.layout) {
        (Some(bundle), _) if !plan.decision.changed => (Documents::of(bundle), Carried::default()),
        (_, Layout::Files) => {
            // First, because it may refuse, and then nothing is to have been sent.
            let sealed = seal(context, &prepared, created, EmptyBlob::Taken)?;
            let uploaded = upload(context, &workspace.project, &plan.blobs).await?;
            sent = Some(uploaded.contents);
            let documents = write_documents(context, &prepared, created, sealed).await?;
            let chunk_map = ChunkMap::of_blobs(prepared.files().len());
            keep_index(context, &prepared, &chunk_map, &documents.digest);
            (documents, uploaded.sum)
        }
        (_, Layout::Packed) => {
            bridge.enter(|| push_packs(context, &bridge, lock, &prepared, ahead, created))?
        }
    };
    let (digest, files, scan_files) = (documents.digest, prepared.files(), &prepared.scan.files);
    let synced_ref = prepared.destination.tags.first().map(|(tag, _)| reference.with_tag(tag.clone()));
    let pushed = match &prepared.destination.replaces {
        Some(bundle) if !plan.decision.changed => SyncedBundle {
            described: bundle.manifest_view.as_ancestor.clone(),
            history: bundle.manifest_view.history.clone(),
        },
        _ => made(&prepared, created, digest),
    };
    let Workspace { project, state, synced, tracked, .. } = workspace;
    let before = synced.clone();
    synced.bundle = Some(pushed);
    let (writing, written) = channel();
    // On the disk by the time that the tags have been looked at, it needs only its name.
    let settle = || {
        // Nothing is ever sent: it ends where the tags are written, or are not going to be.
        let _ = written.recv();
        let pushed = if plan.decision.changed { Some(digest) } else { state.last_push_digest };
        let view = &state.view;
        let own =
            scan_files.iter().map(|file| &file.path).filter(|path| !view.holds(path)).cloned().collect();
        let is_news = agree(state, synced_ref, files, pushed, own);
        match state.digest.filter(|_| !is_news) {
            Some(stays) => Ok(After::Stays(stays)),
            None => state.settle(project).map(After::Settled),
        }
    };
    let moving = move_tags(context, &prepared.destination, plan, &documents, force, writing);
    let (settled, moved) = bridge.enter(|| bridge.beside(settle, moving))?;
    let Moved { any, unconfirmed } = match moved {
        Ok(moved) => moved,
        Err(PushError::PartlyTagged(partly)) => {
            // The bundle is there: the next push builds on it.
            for (tag, digest) in &partly.written {
                synced.saw(reference, tag, *digest);
            }
            put(project, settled?, &before, synced)?;
            return Err(partly.into());
        }
        Err(error) => return Err(error),
    };
    let changed = any || plan.decision.changed;
    context.remote.pushed();
    for (tag, _) in &prepared.destination.tags {
        synced.saw(reference, tag, digest);
    }
    put(project, settled?, &before, synced)?;
    if !plan.decision.untrack.is_empty() {
        let gone: BTreeSet<&BundlePath> = plan.decision.untrack.iter().collect();
        *tracked = tracked.iter().filter(|path| !gone.contains(path)).cloned().collect();
        write_tracked(project, tracked)?;
    }
    let sent = match (uploaded.sent.blobs, &sent) {
        (0, _) => Vec::new(),
        (_, Some(contents)) => sent_paths(plan, files, contents).cloned().collect(),
        (_, None) => plan.upload.clone(),
    };
    Ok(Pushed {
        digest: documents.digest,
        index: documents.index,
        tree: plan.tree,
        changed,
        uploaded: uploaded.sent,
        mounted: uploaded.mounted,
        sent,
        unconfirmed,
    })
}

/// The state once the tags are moved.
enum After {
    /// Its file, of this digest, says so already.
    Stays(Digest),
    /// It waits for its name.
    Settled(SettledState),
}

/// Puts in place what was last synced; `before` is what its file says now.
fn put(project: &Project, after: After, before: &Synced, synced: &Synced) -> Result<(), PushError> {
    let digest = match after {
        After::Stays(_) if before == synced => return Ok(()),
        After::Stays(digest) => digest,
        After::Settled(settled) => {
            let digest = settled.digest();
            settled.put(project)?;
            digest
        }
    };
    if let Err(error) = synced.write(project, digest) {
        // The next push looks at every path then.
        tracing::debug!(%error, "which bundle was last synced cannot be written");
    }
    Ok(())
}

/// What became of the tags of a push.
struct Moved {
    /// Whether any did not name the bundle before.
    any: bool,
    /// Those that were not seen to name it.
    unconfirmed: Vec<Unconfirmed>,
}

/// Has the tags name the bundle whose documents these are. `writing` is dropped where the processors are free for other work:
/// when all that is left is to wait for other pushes; at once where nobody is waited for.
async fn move_tags(
    context: Context<'_>,
    destination: &Destination,
    plan: &PushPlan,
    documents: &Documents,
    force: Force,
    writing: Sender<Infallible>,
) -> Result<Moved, PushError> {
    let writing = Some(writing).filter(|_| !context.remote.honours_conditions());
    let to_move: Vec<TagFacts> = destination
        .tags
        .iter()
        .map(|(tag, named)| (tag, named.as_ref().map(|named| named.digest)))
        .filter(|(_, planned)| plan.decision.changed || *planned != Some(documents.digest))
        .map(|(tag, planned)| TagFacts {
            tag: tag.clone(),
            planned,
            current: None,
            occupant: Occupant::default(),
            target: documents.digest,
            force: force == Force::Yes,
            mover: Mover::Push,
        })
        .collect();
    let any = destination.version.is_some() || !to_move.is_empty();
    let mut tagging = Tagging::default();
    let mut is_good = true;
    if let Some(version) = &destination.version {
        // A version cannot be taken back: it is not published where the push would end at the next tag.
        for facts in &to_move {
            check_tag(context, facts.clone()).await?;
        }
        is_good = tagging.publish(context, version, documents.digest, documents.manifest.clone()).await;
    }
    let mut ahead = to_move.into_iter();
    while is_good && let Some(facts) = ahead.next() {
        is_good = tagging.move_tag(context, facts, documents.manifest.clone()).await;
    }
    tagging.leave(ahead.map(|facts| facts.tag));
    drop(writing);
    match tagging.finish(context).await {
        Ok(unconfirmed) => Ok(Moved { any, unconfirmed }),
        Err(PartlyTagged { written, source, .. }) if written.is_empty() => Err(source.into()),
        Err(partly) => Err(partly.into()),
    }
}

/// The documents of a bundle that lie on the remote.
struct Documents {
    digest: Digest,
    index: Digest,
    manifest: Bytes,
}

impl Documents {
    fn of(bundle: &Bundle) -> Self {
        let index = bundle.manifest_view.index.digest;
        Self { digest: bundle.digest, index, manifest: bundle.manifest.clone() }
    }
}

/// Stops before the first byte is sent where a version is in the way, or what is no bundle.
fn refuse_tags(
    context: Context<'_>,
    destination: &Destination,
    target: Digest,
    force: Force,
) -> Result<(), PushError> {
    for (tag, named) in &destination.tags {
        let current = named.as_ref().map(|named| named.digest);
        let facts = TagFacts {
            tag: tag.clone(),
            planned: current,
            current,
            occupant: named.as_ref().map(|named| named.kind.occupant()).unwrap_or_default(),
            target,
            force: force == Force::Yes,
            mover: Mover::Push,
        };
        match context.core.decide_tag(&facts)? {
            TagDecision::Published(found) => {
                return Err(TagError::Published { tag: facts.tag, found }.into());
            }
            TagDecision::Foreign(found) => {
                return Err(TagError::foreign(facts.tag, found, named.clone()).into());
            }
            TagDecision::Moved(found) => {
                return Err(TagError::Moved { tag: facts.tag, planned: current, found }.into());
            }
            TagDecision::AlreadyThere | TagDecision::Named(_) | TagDecision::Write => {}
        }
    }
    Ok(())
}

/// Packs and sends what the remote lacks and is not on its way yet, in `ahead`, and then the documents.
fn push_packs<'a>(
    context: Context<'a>,
    bridge: &Bridge,
    lock: &'a ProjectLock,
    prepared: &PreparedPush,
    ahead: SentAhead<'a>,
    created: &str,
) -> Result<(Documents, Carried), PushError> {
    let packs = pack_rest(context, bridge, lock, prepared, ahead)?;
    let chunk_map = packs.chunk_map(prepared.files())?;
    let write_index = || {
        let sealed = seal_packed(context, prepared, &chunk_map, created)?;
        bridge.wait(sealed.send_blobs(context))?;
        Ok(sealed)
    };
    let (sealed, uploaded) = packs.finish(&chunk_map.packs, write_index)?;
    let digest = sealed.sealed.digest;
    let keep = || keep_index(context, prepared, &chunk_map, &digest);
    let ((), documents) = bridge.beside(keep, sealed.send_manifest(context))?;
    Ok((documents?, uploaded))
}

/// Packs what the remote lacks and is not on its way yet.
fn pack_rest<'a>(
    context: Context<'a>,
    bridge: &Bridge,
    lock: &'a ProjectLock,
    prepared: &PreparedPush,
    ahead: SentAhead<'a>,
) -> Result<Packs<'a>, PushError> {
    let files = prepared.files();
    let before = prepared.destination.with_packs();
    let mut packs = ahead.0.unwrap_or_else(|| Packs::after(context, bridge, lock, before));
    packs.add(files, &prepared.scan)?;
    packs.tidy(files, &prepared.carried, &prepared.scan)?;
    Ok(packs)
}

/// The documents of a bundle in layout `packed`.
struct PackedDocuments {
    index: Bytes,
    descriptor: Descriptor,
    sealed: SealedManifest,
}

fn seal_packed(
    context: Context<'_>,
    prepared: &PreparedPush,
    chunk_map: &ChunkMap,
    created: &str,
) -> Result<PackedDocuments, PushError> {
    let text = context.core.write_index(prepared.files(), chunk_map, carried(prepared))?;
    let index = Bytes::from(BundleIndex::compress(&text)?);
    drop(text);
    let descriptor = Descriptor::of(media_type::INDEX_V2, &index);
    let sealed = context.core.seal_packed(&PackedSealRequest {
        index_digest: descriptor.digest,
        index_size: descriptor.size,
        index_data: (index.len() <= MAX_EMBEDDED_INDEX_BYTES).then_some(&index[..]),
        packs: &chunk_map.packs,
        tree: prepared.plan.tree,
        origin: origin(prepared, created),
    })?;
    Ok(PackedDocuments { index, descriptor, sealed })
}

impl PackedDocuments {
    /// Sends what refers to packs, but is a blob itself: nothing need be there for it yet.
    async fn send_blobs(&self, context: Context<'_>) -> Result<(), PushError> {
        send_extras(context, &self.sealed.extras).await?;
        context.remote.push_blob(&self.descriptor, BlobSource::bytes(self.index.clone())).await?;
        Ok(())
    }

    /// Sends the manifest, once all that it names is there.
    async fn send_manifest(self, context: Context<'_>) -> Result<Documents, PushError> {
        let Self { descriptor, sealed, .. } = self;
        let manifest = Bytes::from(sealed.manifest);
        send_manifest(context, sealed.digest, manifest.clone()).await?;
        Ok(Documents { digest: sealed.digest, index: descriptor.digest, manifest })
    }
}

/// Spares the next command the reading of the index that the bundle `digest` has.
fn keep_index(context: Context<'_>, prepared: &PreparedPush, chunk_map: &ChunkMap, digest: &Digest) {
    let Some(project) = context.cache.filter(|_| carried(prepared).is_none()) else { return };
    let index = PlainIndex {
        version: version_of(prepared.layout),
        layout: prepared.layout,
        files: prepared.files(),
        chunk_map,
        tree: prepared.plan.tree,
    };
    index_cache::write(project, &context.core.digest(), digest, index);
}

/// The index of the bundle before, where it says something beyond files.
fn carried(prepared: &PreparedPush) -> Option<&str> {
    prepared.destination.replaces.as_ref()?.carried.as_deref()
}

async fn send_manifest(context: Context<'_>, digest: Digest, manifest: Bytes) -> Result<(), RemoteError> {
    let version = Version::Digest(digest);
    context.remote.push_manifest(&version, media_type::MANIFEST, manifest, Condition::Any).await
}

fn origin<'a>(prepared: &'a PreparedPush, created: &'a str) -> Origin<'a> {
    let Destination { version, tags, .. } = &prepared.destination;
    let mut named = version.iter().chain(tags.iter().map(|(tag, _)| tag));
    let version = named.find(|tag| bundle_core::plan::version::Version::of(tag).is_some());
    let first = tags.first().and_then(|(_, named)| named.as_ref());
    let Lineage { parent, author, message } = &prepared.lineage;
    Origin {
        parent: parent.as_ref().map(|parent| (&parent.described, &parent.history)),
        replaces: first.map(|named| named.digest),
        author: author.as_deref(),
        message: message.as_deref(),
        created,
        version: version.map(Tag::as_str),
        tool: TOOL,
        readers: prepared.readers,
    }
}

/// The new bundle `digest`, as its manifest describes it: that need not be read again.
fn made(prepared: &PreparedPush, created: &str, digest: Digest) -> SyncedBundle {
    let origin = origin(prepared, created);
    let tree = prepared.plan.tree.to_string();
    let said = [
        (annotation::CREATED, Some(origin.created)),
        (annotation::TREE, Some(&*tree)),
        (annotation::VERSION, origin.version),
        (annotation::AUTHORS, origin.author),
        (annotation::DESCRIPTION, origin.message),
    ];
    let said = said.into_iter().filter_map(|(key, text)| Some((key.to_owned(), text?.to_owned())));
    let described = Ancestor::of_manifest(digest, &said.collect());
    let parent = origin.parent.map(|(parent, before)| (parent.clone(), before));
    SyncedBundle { described, history: History::after(parent, origin.replaces) }
}

async fn write_documents(
    context: Context<'_>,
    prepared: &PreparedPush,
    created: &str,
    mut sealed: Sealed,
) -> Result<Documents, PushError> {
    if !send_extras(context, &sealed.extras).await? {
        sealed = seal(context, prepared, created, EmptyBlob::Refused)?;
        send_extras(context, &sealed.extras).await?;
    }
    let manifest = Bytes::from(sealed.manifest);
    context.remote.push_blob(&sealed.index_descriptor, BlobSource::bytes(sealed.index)).await?;
    send_manifest(context, sealed.digest, manifest.clone()).await?;
    Ok(Documents { digest: sealed.digest, index: sealed.index_descriptor.digest, manifest })
}

fn seal(
    context: Context<'_>,
    prepared: &PreparedPush,
    created: &str,
    empty_blob: EmptyBlob,
) -> Result<Sealed, SealError> {
    context.core.seal(&SealRequest {
        files: prepared.files(),
        replaces: carried(prepared).map(str::as_bytes),
        origin: origin(prepared, created),
        empty_blob,
    })
}

/// Sends the blobs that belong to no file; false where the remote refuses the empty one.
async fn send_extras(context: Context<'_>, extras: &[Extra]) -> Result<bool, PushError> {
    for extra in extras {
        let source = BlobSource::bytes(extra.content.clone());
        match context.remote.push_blob(&extra.descriptor, source).await {
            Err(error) if extra.descriptor.size == 0 && error.kind() == RemoteErrorKind::Other => {
                return Ok(false);
            }
            result => drop(result?),
        }
    }
    Ok(true)
}

/// The paths of `plan` whose content is among the blobs `contents` that are sent. An empty file has no blob that could be there
/// before.
pub fn sent_paths<'a>(
    plan: &'a PushPlan,
    files: &'a ByPath<File>,
    contents: &'a BTreeSet<Digest>,
) -> impl Iterator<Item = &'a BundlePath> {
    let is_sent = |file: &File| file.size == 0 || contents.contains(&file.digest);
    plan.upload.iter().filter(move |path| files.at(path).is_some_and(is_sent))
}

/// Puts into `state` that `files`, of which those at `own` lie outside the project's view, were last synced with
/// `synced_ref`; says whether that is news.
fn agree(
    state: &mut State,
    synced_ref: Option<Reference>,
    files: &ByPath<File>,
    pushed: Option<Digest>,
    own: Vec<BundlePath>,
) -> bool {
    let files = synced(files);
    let is_news = state.last_push_digest != pushed
        || state.synced_ref != synced_ref
        || state.view.own != own
        || state.last_synced != files;
    if is_news {
        state.last_push_digest = pushed;
        state.synced_ref = synced_ref;
        state.view.own = own;
        state.last_synced = files;
        state.timestamp = crate::clock::now().as_millisecond() as f64 / 1000.0;
    }
    is_news
}

impl UnseenBundle {
    /// Why the push stops; the project is at `here`.
    fn in_words(&self, here: Option<&Ancestor>) -> String {
        let Self { tag, standing, named, changes } = self;
        let count = changes.len();
        let has = if count == 1 { "a change".to_owned() } else { format!("{count} changes") };
        match standing {
            Standing::Descendant { behind } => {
                let here = here.map_or_else(|| "an earlier bundle".to_owned(), Ancestor::name);
                let bundles = if *behind == 1 { "1 bundle".to_owned() } else { format!("{behind} bundles") };
                format!("you are at {here}, {bundles} behind {tag}")
            }
            Standing::MovedBack { .. } => {
                format!("{tag} was moved back to {} since you saw it", named.name())
            }
            Standing::Absent | Standing::Same | Standing::Ancestor { .. } | Standing::Unrelated => {
                format!("{tag} has {has} that yours is not built on")
            }
        }
    }
}

/// Why a push failed.
#[derive(Debug, Error)]
pub enum PushError {
    /// The index could not be compressed.
    #[error("the index could not be compressed")]
    Compression(#[from] CompressionError),
    /// The core could not be asked.
    #[error(transparent)]
    Core(#[from] CoreError),
    /// The core refuses the files.
    #[error(transparent)]
    Facts(#[from] FactsError),
    /// The place does not show what its tags name, and the project knows that it is there.
    #[error("{place} does not show what its tags name, so that a push might undo what others did")]
    Hidden {
        /// The place.
        place: Place,
    },
    /// The bundle that the project last synced is not at that place, and the project has only a part of it.
    #[error("the project has only a part of its bundle, and {count} files of the rest are not at that place")]
    OutsideView {
        /// How many files.
        count: usize,
    },
    /// A file was packed, and it is not known where.
    #[error("`{path}` was packed, and it is not known where")]
    NoPlace {
        /// The file.
        path: String,
    },
    /// A file of the project and one outside its view cannot be in one bundle.
    #[error(
        "`{folder}` is a file, and `{below}` would need it to be a folder; one of them is outside the project's view"
    )]
    Nested {
        /// The file.
        folder: BundlePath,
        /// The path below it.
        below: BundlePath,
    },
    /// Something that is no file lies at tracked paths.
    #[error("something else stands at these tracked paths, or where their folders should be")]
    NotFiles {
        /// The paths.
        paths: Vec<BundlePath>,
    },
    /// No tag to push to.
    #[error("no tag to push to")]
    NoTag,
    /// Some of the tags were written, and then one was not.
    #[error(transparent)]
    PartlyTagged(#[from] PartlyTagged),
    /// The project's files could not be packed, or a pack not be sent.
    #[error(transparent)]
    Packing(#[from] PackingError),
    /// The remote's bundle cannot be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The remote failed.
    #[error(transparent)]
    Remote(#[from] RemoteError),
    /// The bundle cannot be written in this form.
    #[error(transparent)]
    Seal(#[from] SealError),
    /// All was pushed, and it could not be written down.
    #[error("pushed, but the project's state could not be written")]
    State(#[from] StateError),
    /// What the packs of the remote's bundle hold could not be found out.
    #[error(transparent)]
    Tables(#[from] TablesError),
    /// A tag was not written.
    #[error(transparent)]
    Tag(#[from] TagError),
    /// A tag names a bundle with changes that the project is not built on.
    #[error("{}", unseen.in_words(.here.as_deref()))]
    Unseen {
        /// What the push would undo.
        unseen: Box<UnseenBundle>,
        /// The bundle that the project is at, where that is known.
        here: Option<Box<Ancestor>>,
        /// Whether the project's files are those of that bundle.
        is_unedited: bool,
    },
    /// Most of the bundle's files would be dropped.
    #[error("the push would drop {} of the bundle's {} files, and nobody has said that it may", .drop.dropped, .drop.of)]
    MassDrop {
        /// How many.
        drop: MassDrop,
    },
    /// Files were moved, and the project does not know of their new names.
    #[error("the push would drop files whose content lies in the project under names that are not tracked")]
    LeftBehind {
        /// Which files, and where.
        files: Vec<LeftBehind>,
    },
    /// The list of tracked files could not be written.
    #[error("pushed, but the list of tracked files could not be written")]
    Tracked(#[from] TrackedError),
    /// The staging folder cannot be made.
    #[error("cannot write to {}", folder.display())]
    Staging {
        /// The folder.
        folder: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The project could not be looked at.
    #[error(transparent)]
    Scan(#[from] ScanError),
    /// There is no thread to push on.
    #[error("cannot push")]
    Threads(#[from] ThreadError),
    /// A blob was not sent.
    #[error(transparent)]
    Upload(#[from] UploadError),
}

//! The core's types to those of the contract and back, and nothing else.
//!
//! Texts become typed here: past this file no path and no digest is unchecked.

use std::error::Error;

use bundle_core::bundle::descriptor::Descriptor;
use bundle_core::bundle::foreign::{Foreign, ForeignKind};
use bundle_core::bundle::history::{Ancestor, History};
use bundle_core::bundle::index::{BundleIndex, IndexError};
use bundle_core::bundle::layout::Layout;
use bundle_core::bundle::manifest::{Manifest, ManifestError, annotation};
use bundle_core::bundle::resolve::{ResolveError, Resolved};
use bundle_core::canonical::MAX_SAFE_INTEGER;
use bundle_core::diff::{Change, ConflictKind, PathChange, Row, Sides};
use bundle_core::digest::Digest;
use bundle_core::file::{ByPath, File, HasPath, SyncedFile, total_size};
use bundle_core::name::path::BundlePath;
use bundle_core::name::reference::{Place, Reference, Tag};
use bundle_core::pack::chunk_map::ChunkMap;
use bundle_core::pack::table::{Pack, Run, TableRef};
use bundle_core::plan::delete::{DeleteDecision, DeleteFacts, DeleteUnit};
use bundle_core::plan::drops::{DropGuard, MassDrop};
use bundle_core::plan::fetch::{ByteRange, RangeSupport};
use bundle_core::plan::layout::{LayoutChoice, LayoutPolicy, Readers, Rewrite};
use bundle_core::plan::pull::{Blocked, DeletedHere, PullMode, PullOptions, PullPlan};
use bundle_core::plan::push::{Builds, LeftBehind, PushDecision, PushFacts, PushPlan};
use bundle_core::plan::repack::PackUse;
use bundle_core::plan::seal::{
    self, EmptyBlob, Origin, PackedSealRequest, SealError, SealRequest, Sealed, SealedManifest,
};
use bundle_core::plan::standing::{Standing, StandingFacts};
use bundle_core::plan::tag::{Mover, Occupant, TagDecision, TagFacts};
use bundle_core::plan::version::{Bump, Difference, Version, VersionDecision, VersionError, VersionFacts};
use bundle_core::wire::{Wire, WireError, decode_by_path, decode_chunked, decode_files, encode_chunked};

use crate::generated::exports::modelops::bundle::{bulk, bundle, diff, digest, plan, types};

/// A failure and its causes in one line.
pub(crate) fn text(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}

pub(crate) fn fault(text: String, error: &dyn Error) -> types::Fault {
    types::Fault { text, reason: self::text(error) }
}

// Facts: what every comparison takes.

/// The facts of a comparison, as the core takes them.
pub(crate) struct Facts {
    local: ByPath<File>,
    remote: ByPath<File>,
    base: ByPath<SyncedFile>,
    tracked: ByPath<BundlePath>,
}

impl Facts {
    pub(crate) fn new(
        local: Vec<types::File>,
        remote: Vec<types::File>,
        base: Vec<types::SyncedFile>,
        tracked: Vec<String>,
    ) -> Result<Self, types::FactsError> {
        Ok(Self {
            local: files(local)?,
            remote: files(remote)?,
            base: by_path(base.into_iter().map(synced_file))?,
            tracked: paths(tracked)?,
        })
    }

    pub(crate) fn decode(sides: &bulk::Sides) -> Result<Self, types::FactsError> {
        let files = |bytes: &[u8]| decode_files(bytes).map_err(wire_error);
        Ok(Self {
            local: files(&sides.local)?,
            remote: files(&sides.remote)?,
            base: decode(&sides.base)?,
            tracked: decode(&sides.tracked)?,
        })
    }

    /// The paths at which something lies of which nothing is known: `obstacles`, and those of `untracked` whose content is
    /// not among the local files.
    pub(crate) fn hidden(
        &self,
        untracked: &ByPath<BundlePath>,
        obstacles: &ByPath<BundlePath>,
    ) -> ByPath<BundlePath> {
        let unknown = untracked.iter().filter(|path| self.local.at(path).is_none());
        unknown.chain(obstacles).cloned().collect()
    }

    pub(crate) fn sides(&self) -> Sides<'_> {
        Sides { local: &self.local, remote: &self.remote, base: &self.base, tracked: &self.tracked }
    }
}

pub(crate) fn files(files: Vec<types::File>) -> Result<ByPath<File>, types::FactsError> {
    not_nested(by_path(files.into_iter().map(file))?)
}

fn not_nested(files: ByPath<File>) -> Result<ByPath<File>, types::FactsError> {
    if let Some((folder, below)) = files.nested().next() {
        return Err(types::FactsError::Nested((folder.to_string(), below.to_string())));
    }
    Ok(files)
}

pub(crate) fn decode<T: Wire + HasPath>(bytes: &[u8]) -> Result<ByPath<T>, types::FactsError> {
    decode_by_path(bytes).map_err(wire_error)
}

pub(crate) fn wire_error(error: WireError) -> types::FactsError {
    match error {
        WireError::Nested { folder, below } => types::FactsError::Nested((folder, below)),
        WireError::Path { text, fault } => types::FactsError::Path(self::fault(text, &fault)),
        WireError::Repeated { path } => types::FactsError::Repeated(path),
        WireError::Size { path } => types::FactsError::Size(path),
        WireError::Code
        | WireError::NotUtf8
        | WireError::Run { .. }
        | WireError::Truncated
        | WireError::Unsorted { .. } => types::FactsError::Other(text(&error)),
    }
}

pub(crate) fn paths(paths: Vec<String>) -> Result<ByPath<BundlePath>, types::FactsError> {
    by_path(paths.into_iter().map(path))
}

fn by_path<T: HasPath>(
    facts: impl Iterator<Item = Result<T, types::FactsError>>,
) -> Result<ByPath<T>, types::FactsError> {
    ByPath::new(facts.collect::<Result<_, _>>()?)
        .map_err(|repeated| types::FactsError::Repeated(repeated.path.into()))
}

fn file(file: types::File) -> Result<File, types::FactsError> {
    if file.size > MAX_SAFE_INTEGER {
        return Err(types::FactsError::Size(file.path));
    }
    let types::File { path, digest, size, executable } = file;
    Ok(File { path: self::path(path)?, digest: fact_digest(digest)?, size, executable })
}

fn synced_file(file: types::SyncedFile) -> Result<SyncedFile, types::FactsError> {
    let types::SyncedFile { path, digest, executable } = file;
    Ok(SyncedFile { path: self::path(path)?, digest: fact_digest(digest)?, executable })
}

fn path(path: String) -> Result<BundlePath, types::FactsError> {
    path.parse().map_err(|error| types::FactsError::Path(fault(path, &error)))
}

fn fact_digest(digest: String) -> Result<Digest, types::FactsError> {
    self::digest(digest).map_err(types::FactsError::Digest)
}

fn digest(digest: String) -> Result<Digest, types::Fault> {
    digest.parse().map_err(|error| fault(digest, &error))
}

pub(crate) fn optional_digest(digest: Option<String>) -> Result<Option<Digest>, types::Fault> {
    digest.map(self::digest).transpose()
}

fn texts(paths: Vec<BundlePath>) -> Vec<String> {
    paths.into_iter().map(Into::into).collect()
}

impl From<File> for types::File {
    fn from(file: File) -> Self {
        let File { path, digest, size, executable } = file;
        Self { path: path.into(), digest: digest.into(), size, executable }
    }
}

// Interface `digest`.

impl From<Resolved> for digest::Resolved {
    fn from(resolved: Resolved) -> Self {
        Self { digest: resolved.digest.into(), warning: resolved.warning }
    }
}

impl From<ResolveError> for digest::ResolveError {
    fn from(error: ResolveError) -> Self {
        let differing = |expected: Digest, actual: Digest| digest::Differing {
            expected: expected.into(),
            actual: actual.into(),
        };
        match error {
            ResolveError::Declared { text } => Self::Declared(text),
            ResolveError::DeclaredDiffers { expected, actual } => {
                Self::DeclaredDiffers(differing(expected, actual))
            }
            ResolveError::PinnedDiffers { expected, actual } => {
                Self::PinnedDiffers(differing(expected, actual))
            }
        }
    }
}

// Interface `bundle`.

impl From<Reference> for bundle::Reference {
    fn from(reference: Reference) -> Self {
        Self {
            place: match reference.place {
                Place::Repository { host, name } => {
                    bundle::Place::Repository(bundle::Repository { host, name })
                }
                Place::Layout { directory } => bundle::Place::Layout(directory),
                Place::Archive { file } => bundle::Place::Archive(file),
            },
            tag: reference.tag.map(|tag| tag.to_string()),
            digest: reference.digest.map(Into::into),
        }
    }
}

pub(crate) fn descriptor(descriptor: bundle::Descriptor) -> Result<Descriptor, bundle::IndexError> {
    let bundle::Descriptor { media_type, digest, size, title } = descriptor;
    let digest = self::digest(digest).map_err(bundle::IndexError::Field)?;
    let mut descriptor = Descriptor::new(&media_type, digest, size);
    descriptor.annotations.extend(title.map(|title| (annotation::TITLE.to_owned(), title)));
    Ok(descriptor)
}

pub(crate) fn descriptors(list: Vec<bundle::Descriptor>) -> Result<Vec<Descriptor>, bundle::IndexError> {
    list.into_iter().map(descriptor).collect()
}

impl From<Descriptor> for bundle::Descriptor {
    fn from(mut descriptor: Descriptor) -> Self {
        Self {
            title: descriptor.annotations.remove(annotation::TITLE),
            media_type: descriptor.media_type,
            digest: descriptor.digest.into(),
            size: descriptor.size,
        }
    }
}

pub(crate) fn manifest_view(
    manifest: Manifest,
    digest: Digest,
    index: Option<Vec<u8>>,
) -> Result<bundle::ManifestView, bundle::ManifestError> {
    let index_text = |stored: Vec<u8>| {
        let text = BundleIndex::text(&stored, &manifest.config.media_type);
        text.map_err(|error| bundle::ManifestError::IndexData(self::text(&error)))
    };
    Ok(bundle::ManifestView {
        readers: manifest.readers().into(),
        history: History::of_annotations(&manifest.annotations).into(),
        as_ancestor: Ancestor::of_manifest(digest, &manifest.annotations).into(),
        index_data: index.map(index_text).transpose()?,
        artifact_type: manifest.artifact_type,
        index: manifest.config.into(),
        layers: manifest.layers.into_iter().map(Into::into).collect(),
        annotations: manifest
            .annotations
            .into_iter()
            .map(|(key, value)| bundle::Annotation { key, value })
            .collect(),
    })
}

impl From<Ancestor> for bundle::Ancestor {
    fn from(ancestor: Ancestor) -> Self {
        let Ancestor { digest, tree, version, created, author, message } = ancestor;
        Self { digest: digest.into(), tree: tree.map(Into::into), version, created, author, message }
    }
}

impl From<History> for bundle::History {
    fn from(history: History) -> Self {
        Self {
            parents: history.parents.into_iter().map(Into::into).collect(),
            replaces: history.replaces.map(Into::into),
            ancestors: history.ancestors.into_iter().map(Into::into).collect(),
        }
    }
}

fn ancestor(ancestor: bundle::Ancestor) -> Result<Ancestor, types::Fault> {
    let bundle::Ancestor { digest, tree, version, created, author, message } = ancestor;
    let (digest, tree) = (self::digest(digest)?, optional_digest(tree)?);
    Ok(Ancestor { digest, tree, version, created, author, message })
}

fn history(history: bundle::History) -> Result<History, types::Fault> {
    Ok(History {
        parents: digests(history.parents)?,
        replaces: optional_digest(history.replaces)?,
        ancestors: history.ancestors.into_iter().map(ancestor).collect::<Result<_, _>>()?,
    })
}

fn digests(digests: Vec<String>) -> Result<Vec<Digest>, types::Fault> {
    digests.into_iter().map(digest).collect()
}

pub(crate) fn index_view(index: &BundleIndex) -> bundle::IndexView {
    let files = index.files();
    let runs =
        |entry: &bundle_core::bundle::index::Entry| entry.runs.iter().map(|run| (*run).into()).collect();
    bundle::IndexView {
        version: index.version().to_owned(),
        layout: index.layout.into(),
        tree: bundle_core::bundle::tree::tree_digest(&files).into(),
        total_size: total_size(&files),
        blobs: blobs(index),
        packs: index.packs.iter().cloned().map(Into::into).collect(),
        runs: match index.layout {
            Layout::Files => Vec::new(),
            Layout::Packed => index.entries.iter().map(runs).collect(),
        },
        layers: groups(index, "layers"),
        roles: groups(index, "roles"),
        files: files.into_vec().into_iter().map(Into::into).collect(),
    }
}

pub(crate) fn packed_index(index: &BundleIndex) -> bulk::PackedIndex {
    let files = index.files();
    bulk::PackedIndex {
        version: index.version().to_owned(),
        layout: index.layout.into(),
        tree: bundle_core::bundle::tree::tree_digest(&files).into(),
        total_size: total_size(&files),
        packs: index.packs.iter().cloned().map(Into::into).collect(),
        layers: groups(index, "layers"),
        roles: groups(index, "roles"),
        is_plain: index.is_plain(),
        files: encode_chunked(index.entries.iter().map(|entry| (&entry.file, &*entry.runs))),
    }
}

fn blobs(index: &BundleIndex) -> Vec<types::Blob> {
    let mut blobs: Vec<(Digest, u64)> = match index.layout {
        Layout::Files => index.entries.iter().map(|entry| (entry.file.digest, entry.file.size)).collect(),
        Layout::Packed => index.packs.iter().map(|pack| (pack.digest, pack.size)).collect(),
    };
    blobs.retain(|(_, size)| *size > 0);
    blobs.sort_unstable();
    blobs.dedup();
    blobs.into_iter().map(|(digest, size)| types::Blob { digest: digest.into(), size }).collect()
}

fn groups(index: &BundleIndex, field: &str) -> Vec<bundle::Group> {
    let group = |(name, members): (&str, Vec<&str>)| bundle::Group {
        name: name.to_owned(),
        members: members.into_iter().map(str::to_owned).collect(),
    };
    index.groups(field).into_iter().map(group).collect()
}

impl From<Layout> for types::Layout {
    fn from(layout: Layout) -> Self {
        match layout {
            Layout::Files => Self::Files,
            Layout::Packed => Self::Packed,
        }
    }
}

impl From<types::Layout> for Layout {
    fn from(layout: types::Layout) -> Self {
        match layout {
            types::Layout::Files => Self::Files,
            types::Layout::Packed => Self::Packed,
        }
    }
}

impl From<Pack> for types::Pack {
    fn from(pack: Pack) -> Self {
        Self {
            digest: pack.digest.into(),
            size: pack.size,
            chunks: pack.chunks,
            raw: pack.raw,
            toc_offset: pack.toc.offset,
            toc_size: pack.toc.size,
            toc_digest: pack.toc.digest.into(),
        }
    }
}

fn pack(pack: &types::Pack) -> Result<Pack, types::Fault> {
    let fault = |error: &dyn Error| fault(pack.digest.clone(), error);
    let toc = TableRef {
        offset: pack.toc_offset,
        size: pack.toc_size,
        digest: pack.toc_digest.parse().map_err(|error| fault(&error))?,
    };
    let digest = pack.digest.parse().map_err(|error| fault(&error))?;
    let checked = Pack { digest, size: pack.size, chunks: pack.chunks, raw: pack.raw, toc };
    checked.check().map_err(|error| fault(&error))?;
    Ok(checked)
}

fn packs(packs: &[types::Pack]) -> Result<Vec<Pack>, plan::SealError> {
    let packs: Result<_, _> = packs.iter().map(pack).collect();
    packs.map_err(plan::SealError::Pack)
}

impl From<Run> for types::Run {
    fn from(run: Run) -> Self {
        Self { pack: run.pack, first: run.first, count: run.count }
    }
}

impl From<ManifestError> for bundle::ManifestError {
    fn from(error: ManifestError) -> Self {
        match error {
            ManifestError::Field { field, reason } => {
                Self::Field(types::Fault { text: field.to_owned(), reason })
            }
            ManifestError::IndexData { digest } => Self::IndexData(digest.into()),
            ManifestError::Json(error) => Self::Json(text(&error)),
            ManifestError::NotABundle(foreign) => Self::NotABundle(foreign.into()),
            ManifestError::TooLarge { size } => Self::TooLarge(size as u64),
            ManifestError::TwoSizes { .. } => Self::Other(error.to_string()),
            ManifestError::Unsupported { media_type } => Self::Unsupported(media_type),
        }
    }
}

impl From<Foreign> for bundle::Foreign {
    fn from(foreign: Foreign) -> Self {
        let kind = match foreign.kind {
            ForeignKind::Artifact => bundle::ForeignKind::Artifact,
            ForeignKind::Attachment => bundle::ForeignKind::Attachment,
            ForeignKind::Document => bundle::ForeignKind::Document,
            ForeignKind::HelmChart => bundle::ForeignKind::HelmChart,
            ForeignKind::Image => bundle::ForeignKind::Image,
            ForeignKind::ImageIndex => bundle::ForeignKind::ImageIndex,
            ForeignKind::ImageSchema1 => bundle::ForeignKind::ImageSchema1,
            ForeignKind::NotJson => bundle::ForeignKind::NotJson,
        };
        Self { kind, says: foreign.says, subject: foreign.subject.map(Into::into) }
    }
}

impl From<IndexError> for bundle::IndexError {
    fn from(error: IndexError) -> Self {
        let reason = text(&error);
        match error {
            IndexError::Chunker => Self::Other(reason),
            IndexError::Compression(_) | IndexError::NotText => Self::Compression(reason),
            IndexError::Content { .. } => Self::Content(reason),
            IndexError::Digest { path, .. } => Self::Field(types::Fault { text: path, reason }),
            IndexError::EmptyDigest { path } | IndexError::Size { path } => {
                Self::Field(types::Fault { text: path.into(), reason })
            }
            IndexError::Json(_) => Self::Json(reason),
            IndexError::KeyDiffers { key, .. } | IndexError::Missing { key, .. } => {
                Self::Field(types::Fault { text: key, reason })
            }
            IndexError::Nested { folder, below } => Self::Nested((folder.into(), below.into())),
            IndexError::NotInLayers { path } => Self::NotInLayers(path.into()),
            IndexError::Pack(error) => Self::Pack(types::Fault { text: error.digest.to_string(), reason }),
            IndexError::PackNotInLayers { digest } => Self::NotInLayers(digest.into()),
            IndexError::Runs { path } => Self::Pack(types::Fault { text: path.into(), reason }),
            IndexError::Path { path, source } => Self::Path(fault(path, &source)),
            IndexError::Storage { path, .. } => Self::Storage(types::Fault { text: path.into(), reason }),
            IndexError::TooLarge { size } => Self::TooLarge(size as u64),
            IndexError::TwoSizes { digest } => Self::TwoSizes(digest.into()),
            IndexError::Version { version } => Self::Version(version),
        }
    }
}

// Interface `diff`.

pub(crate) fn row(byte: u8) -> Result<Row, types::FactsError> {
    let fault = || types::FactsError::Other(format!("the row {byte:#010b} contradicts itself"));
    Row::from_byte(byte).ok_or_else(fault)
}

pub(crate) fn change_code(change: Option<Change>) -> u8 {
    change.map_or(u8::MAX, |change| change as u8)
}

pub(crate) fn comparison(changes: Vec<PathChange>) -> diff::Comparison {
    diff::Comparison { changes: changes.into_iter().map(Into::into).collect() }
}

impl From<PathChange> for diff::PathChange {
    fn from(change: PathChange) -> Self {
        Self { path: change.path.into(), change: change.change.into() }
    }
}

impl From<Change> for diff::Change {
    fn from(change: Change) -> Self {
        match change {
            Change::Unchanged => Self::Unchanged,
            Change::AddedLocal => Self::AddedLocal,
            Change::AddedRemote => Self::AddedRemote,
            Change::ModifiedLocal => Self::ModifiedLocal,
            Change::ModifiedRemote => Self::ModifiedRemote,
            Change::DeletedLocal => Self::DeletedLocal,
            Change::DeletedRemote => Self::DeletedRemote,
            Change::Conflict => Self::Conflict,
        }
    }
}

// Interface `plan`.

impl From<PushPlan> for plan::PushPlan {
    fn from(plan: PushPlan) -> Self {
        let upload = |upload: bundle_core::plan::push::Upload| plan::Upload {
            digest: upload.digest.into(),
            size: upload.size,
            path: upload.path.into(),
            ask_first: upload.ask_first,
        };
        let PushDecision { delete, untrack, unseen, mass_drop, left_behind, changed } = plan.decision;
        Self {
            manifest: texts(plan.manifest),
            upload: texts(plan.upload),
            delete: texts(delete),
            untrack: texts(untrack),
            unseen: unseen.into_iter().map(Into::into).collect(),
            mass_drop: mass_drop.map(Into::into),
            left_behind: left_behind.into_iter().map(Into::into).collect(),
            blobs: plan.blobs.into_iter().map(upload).collect(),
            changed,
            tree: plan.tree.into(),
        }
    }
}

/// What a push starts from beside its sides.
pub(crate) fn push_facts(
    free: bool,
    rewrite: Rewrite,
    untracked: &ByPath<File>,
    settled: u64,
) -> PushFacts<'_> {
    let builds = if free { Builds::On } else { Builds::ByPaths };
    PushFacts { builds, rewrite, untracked, settled }
}

impl From<MassDrop> for plan::MassDrop {
    fn from(MassDrop { dropped, of }: MassDrop) -> Self {
        Self { dropped, of }
    }
}

impl From<LeftBehind> for plan::LeftBehind {
    fn from(LeftBehind { path, now_at }: LeftBehind) -> Self {
        Self { path: path.into(), now_at: now_at.into() }
    }
}

pub(crate) fn standing_facts<T>(
    facts: plan::StandingFacts,
    judge: impl FnOnce(&StandingFacts<'_>) -> T,
) -> Result<T, types::Fault> {
    let (named_ancestors, synced_ancestors) =
        (digests(facts.named_ancestors)?, digests(facts.synced_ancestors)?);
    Ok(judge(&StandingFacts {
        named: optional_digest(facts.named)?,
        named_ancestors: &named_ancestors,
        synced: optional_digest(facts.synced)?,
        synced_ancestors: &synced_ancestors,
        seen: optional_digest(facts.seen)?,
    }))
}

impl From<Standing> for plan::Standing {
    fn from(standing: Standing) -> Self {
        match standing {
            Standing::Absent => Self::Absent,
            Standing::Same => Self::Same,
            Standing::Ancestor { ahead } => Self::Ancestor(ahead),
            Standing::Descendant { behind } => Self::Descendant(behind),
            Standing::MovedBack { seen } => Self::MovedBack(seen.into()),
            Standing::Unrelated => Self::Unrelated,
        }
    }
}

impl From<PushDecision> for bulk::PushDecision {
    fn from(decision: PushDecision) -> Self {
        Self {
            delete: texts(decision.delete),
            untrack: texts(decision.untrack),
            unseen: decision.unseen.into_iter().map(Into::into).collect(),
            mass_drop: decision.mass_drop.map(Into::into),
            left_behind: decision.left_behind.into_iter().map(Into::into).collect(),
            changed: decision.changed,
        }
    }
}

/// The paths that a pull's options name.
pub(crate) struct PullPaths {
    pub(crate) mine: ByPath<BundlePath>,
    pub(crate) theirs: ByPath<BundlePath>,
    pub(crate) obstacles: ByPath<BundlePath>,
}

impl PullPaths {
    /// The options of a pull that leaves out `settled` paths.
    pub(crate) fn options(&self, options: plan::PullOptions, settled: u64) -> PullOptions<'_> {
        let (mode, restores) = match options.mode {
            plan::PullMode::Merge => (PullMode::Merge, options.restore_deleted),
            plan::PullMode::Safe => (PullMode::Safe, options.restore_deleted),
            plan::PullMode::Exact => (PullMode::Exact, options.restore_deleted),
            plan::PullMode::Overwrite => (PullMode::Overwrite, options.restore_deleted),
            plan::PullMode::RestoreDeleted => (PullMode::Safe, true),
        };
        PullOptions {
            mode,
            deleted: if restores { DeletedHere::Restore } else { DeletedHere::Leave },
            mine: &self.mine,
            theirs: &self.theirs,
            obstacles: &self.obstacles,
            drops: if options.accept_deletions { DropGuard::Accept } else { DropGuard::Stop },
            settled,
        }
    }
}

impl From<ConflictKind> for diff::ConflictKind {
    fn from(kind: ConflictKind) -> Self {
        match kind {
            ConflictKind::AddedBoth => Self::AddedBoth,
            ConflictKind::DeletedHereEditedThere => Self::DeletedHereEditedThere,
            ConflictKind::EditedBoth => Self::EditedBoth,
            ConflictKind::EditedHereDeletedThere => Self::EditedHereDeletedThere,
            ConflictKind::InTheWay => Self::InTheWay,
            ConflictKind::Mode => Self::Mode,
            ConflictKind::RemovedHereEditedThere => Self::RemovedHereEditedThere,
        }
    }
}

impl From<Blocked> for plan::Blocked {
    fn from(Blocked { path, change, kind }: Blocked) -> Self {
        Self { path: path.into(), change: change.into(), kind: kind.map(Into::into) }
    }
}

impl From<PullPlan> for plan::PullPlan {
    fn from(plan: PullPlan) -> Self {
        let source = |source: bundle_core::plan::pull::Source| plan::Source {
            digest: source.digest.into(),
            size: source.size,
            local: source.local.map(Into::into),
        };
        Self {
            write: texts(plan.write.into_vec()),
            executable: texts(plan.executable.into_vec()),
            delete: texts(plan.delete.into_vec()),
            adopt: texts(plan.adopt.into_vec()),
            untrack: texts(plan.untrack.into_vec()),
            kept: plan.kept.into_iter().map(Into::into).collect(),
            blocked: plan.blocked.into_iter().map(Into::into).collect(),
            mass_drop: plan.mass_drop.map(Into::into),
            sources: plan.sources.into_iter().map(source).collect(),
        }
    }
}

impl From<types::Readers> for Readers {
    fn from(readers: types::Readers) -> Self {
        match readers {
            types::Readers::Ours => Self::Ours,
            types::Readers::Python => Self::Python,
        }
    }
}

impl From<Readers> for types::Readers {
    fn from(readers: Readers) -> Self {
        match readers {
            Readers::Ours => Self::Ours,
            Readers::Python => Self::Python,
        }
    }
}

impl From<plan::LayoutPolicy> for LayoutPolicy {
    fn from(policy: plan::LayoutPolicy) -> Self {
        match policy {
            plan::LayoutPolicy::Auto => Self::Auto,
            plan::LayoutPolicy::Files => Self::Files,
            plan::LayoutPolicy::Packed => Self::Packed,
        }
    }
}

impl From<plan::Rewrite> for Rewrite {
    fn from(rewrite: plan::Rewrite) -> Self {
        match rewrite {
            plan::Rewrite::No => Self::No,
            plan::Rewrite::IfChanged => Self::IfChanged,
            plan::Rewrite::Always => Self::Always,
        }
    }
}

impl From<LayoutChoice> for plan::LayoutChoice {
    fn from(choice: LayoutChoice) -> Self {
        let rewrite = match choice.rewrite {
            Rewrite::No => plan::Rewrite::No,
            Rewrite::IfChanged => plan::Rewrite::IfChanged,
            Rewrite::Always => plan::Rewrite::Always,
        };
        Self { layout: choice.layout.into(), rewrite }
    }
}

impl From<plan::PackUse> for PackUse {
    fn from(pack: plan::PackUse) -> Self {
        Self { stored: pack.stored, used: pack.used, is_here: pack.is_here }
    }
}

impl From<plan::RangeSupport> for RangeSupport {
    fn from(support: plan::RangeSupport) -> Self {
        match support {
            plan::RangeSupport::Honoured => Self::Honoured,
            plan::RangeSupport::Ignored => Self::Ignored,
        }
    }
}

impl From<plan::ByteRange> for ByteRange {
    fn from(range: plan::ByteRange) -> Self {
        Self { start: range.start, end: range.end }
    }
}

impl From<ByteRange> for plan::ByteRange {
    fn from(range: ByteRange) -> Self {
        Self { start: range.start, end: range.end }
    }
}

/// Files in their order with their chunks, as lists.
pub(crate) fn placed_files(
    files: Vec<types::File>,
    runs: &[Vec<types::Run>],
    packs: &[types::Pack],
) -> Result<(ByPath<File>, ChunkMap), plan::SealError> {
    let order: Vec<String> = files.iter().map(|file| file.path.clone()).collect();
    let files = self::files(files).map_err(plan::SealError::Facts)?;
    let is_sorted = order.iter().zip(&files).all(|(given, file)| given == file.path.as_str());
    let mut chunk_map = ChunkMap::new(self::packs(packs)?);
    let is_known = |run: &types::Run| (run.pack as usize) < chunk_map.packs.len();
    if !is_sorted || !runs.iter().flatten().all(is_known) {
        let reason = "the files are out of order, or their chunks are in no pack";
        return Err(plan::SealError::Other(reason.to_owned()));
    }
    for runs in runs {
        let run = |run: &types::Run| Run { pack: run.pack, first: run.first, count: run.count };
        chunk_map.push(&runs.iter().map(run).collect::<Vec<_>>());
    }
    Ok((files, chunk_map))
}

/// The same, packed.
pub(crate) fn decode_chunked_files(
    files: &[u8],
    packs: &[types::Pack],
) -> Result<(ByPath<File>, ChunkMap), plan::SealError> {
    let error = |error| plan::SealError::Facts(wire_error(error));
    decode_chunked(files, self::packs(packs)?).map_err(error)
}

/// The bundle that a new one is made from, and the history of that.
pub(crate) struct Parent(Option<(Ancestor, History)>);

impl Parent {
    pub(crate) fn of(
        parent: Option<bundle::Ancestor>,
        before: Option<bundle::History>,
    ) -> Result<Self, plan::SealError> {
        let Some(parent) = parent else { return Ok(Self(None)) };
        let before = before.map(history).transpose().map_err(lineage_fault)?.unwrap_or_default();
        Ok(Self(Some((ancestor(parent).map_err(lineage_fault)?, before))))
    }

    fn as_ref(&self) -> Option<(&Ancestor, &History)> {
        self.0.as_ref().map(|(parent, before)| (parent, before))
    }
}

fn lineage_fault(fault: types::Fault) -> plan::SealError {
    plan::SealError::Facts(types::FactsError::Digest(fault))
}

pub(crate) fn seal(mut request: plan::SealRequest) -> Result<plan::Sealed, plan::SealError> {
    let files = files(std::mem::take(&mut request.files)).map_err(plan::SealError::Facts)?;
    let parent = Parent::of(request.parent.take(), request.parent_history.take())?;
    let request = SealRequest {
        files: &files,
        replaces: request.replaces.as_deref().map(str::as_bytes),
        origin: Origin {
            parent: parent.as_ref(),
            replaces: optional_digest(request.tag_names.take()).map_err(lineage_fault)?,
            author: request.author.as_deref(),
            message: request.message.as_deref(),
            created: &request.created,
            version: request.version.as_deref(),
            tool: &request.tool,
            readers: request.readers.map(Into::into).unwrap_or_default(),
        },
        empty_blob: if request.empty_blob { EmptyBlob::Taken } else { EmptyBlob::Refused },
    };
    Ok(seal::seal(&request)?.into())
}

pub(crate) fn seal_packed(
    mut request: plan::PackedSealRequest,
) -> Result<plan::SealedManifest, plan::SealError> {
    let fact = |digest| fact_digest(digest).map_err(plan::SealError::Facts);
    let packs = packs(&request.packs)?;
    let parent = Parent::of(request.parent.take(), request.parent_history.take())?;
    let SealedManifest { manifest, digest, extras } = seal::seal_packed(&PackedSealRequest {
        index_digest: fact(request.index_digest)?,
        index_size: request.index_size,
        index_data: request.index_data.as_deref(),
        packs: &packs,
        tree: fact(request.tree)?,
        origin: Origin {
            parent: parent.as_ref(),
            replaces: optional_digest(request.tag_names.take()).map_err(lineage_fault)?,
            author: request.author.as_deref(),
            message: request.message.as_deref(),
            created: &request.created,
            version: request.version.as_deref(),
            tool: &request.tool,
            readers: request.readers.map(Into::into).unwrap_or_default(),
        },
    })?;
    Ok(plan::SealedManifest {
        manifest,
        manifest_digest: digest.into(),
        extras: extras.into_iter().map(Into::into).collect(),
    })
}

impl From<seal::Extra> for plan::Extra {
    fn from(extra: seal::Extra) -> Self {
        Self { digest: extra.descriptor.digest.into(), content: extra.content }
    }
}

impl From<Sealed> for plan::Sealed {
    fn from(sealed: Sealed) -> Self {
        Self {
            index: sealed.index,
            index_type: sealed.index_descriptor.media_type,
            index_digest: sealed.index_descriptor.digest.into(),
            manifest: sealed.manifest,
            manifest_digest: sealed.digest.into(),
            tree: sealed.tree.into(),
            extras: sealed.extras.into_iter().map(Into::into).collect(),
        }
    }
}

impl From<SealError> for plan::SealError {
    fn from(error: SealError) -> Self {
        match error {
            SealError::Created { ref text } => {
                Self::Created(types::Fault { text: text.clone(), reason: error.to_string() })
            }
            SealError::ManifestTooLarge { size } => Self::ManifestTooLarge((
                size as u64,
                bundle_core::bundle::manifest::MAX_MANIFEST_BYTES as u64,
            )),
            SealError::Nested { folder, below } => Self::Facts(types::FactsError::Nested((folder, below))),
            SealError::IndexData { .. } | SealError::ChunkMap { .. } => Self::Other(error.to_string()),
            SealError::Replaces(error) => Self::Replaces(text(&error)),
            SealError::TooManyLayers { layers } => {
                Self::TooManyLayers((layers as u64, seal::MAX_LAYERS as u64))
            }
        }
    }
}

pub(crate) fn tag_facts(facts: plan::TagFacts) -> Result<TagFacts, types::Fault> {
    Ok(TagFacts {
        tag: facts.tag.parse().map_err(|error| fault(facts.tag, &error))?,
        planned: optional_digest(facts.planned)?,
        current: optional_digest(facts.current)?,
        occupant: occupant(facts.occupant),
        target: digest(facts.target)?,
        force: facts.force,
        mover: match facts.mover {
            Some(plan::Mover::Naming) => Mover::Naming,
            None | Some(plan::Mover::Push) => Mover::Push,
        },
    })
}

fn occupant(occupant: Option<plan::Occupant>) -> Occupant {
    match occupant {
        None | Some(plan::Occupant::Bundle) => Occupant::Bundle,
        Some(plan::Occupant::Foreign) => Occupant::Foreign,
    }
}

impl From<TagDecision> for plan::TagDecision {
    fn from(decision: TagDecision) -> Self {
        match decision {
            TagDecision::Write => Self::Write,
            TagDecision::AlreadyThere => Self::AlreadyThere,
            TagDecision::Foreign(digest) => Self::Foreign(digest.into()),
            TagDecision::Moved(now) => Self::Moved(now.map(Into::into)),
            TagDecision::Named(digest) => Self::Named(digest.into()),
            TagDecision::Published(digest) => Self::Published(digest.into()),
        }
    }
}

pub(crate) fn delete_facts(facts: plan::DeleteFacts) -> Result<DeleteFacts, types::Fault> {
    let tag = |text: String| text.parse().map_err(|error| fault(text, &error));
    Ok(DeleteFacts {
        tag: facts.tag.map(tag).transpose()?,
        tags: facts.tags.into_iter().map(tag).collect::<Result<_, _>>()?,
        occupant: occupant(facts.occupant),
        unit: match facts.unit {
            plan::DeleteUnit::Bundle => DeleteUnit::Bundle,
            plan::DeleteUnit::Tag => DeleteUnit::Tag,
        },
        force: facts.force,
    })
}

impl From<DeleteDecision> for plan::DeleteDecision {
    fn from(decision: DeleteDecision) -> Self {
        let texts = |tags: Vec<Tag>| tags.iter().map(ToString::to_string).collect();
        match decision {
            DeleteDecision::Bundle(with) => Self::Bundle(texts(with)),
            DeleteDecision::Foreign => Self::Foreign,
            DeleteDecision::NeedsForce(others) => Self::NeedsForce(texts(others)),
            DeleteDecision::Tag => Self::Tag,
        }
    }
}

pub(crate) fn version_facts(facts: plan::VersionFacts) -> Result<VersionFacts, plan::VersionError> {
    Ok(VersionFacts {
        highest: facts.highest.map(released).transpose().map_err(plan::VersionError::Highest)?,
        bump: match facts.bump {
            plan::Bump::Auto => Bump::Auto,
            plan::Bump::Patch => Bump::Patch,
            plan::Bump::Minor => Bump::Minor,
            plan::Bump::Major => Bump::Major,
        },
        difference: facts.difference.map(|plan::Difference { added, deleted, changed }| Difference {
            added,
            deleted,
            changed,
        }),
    })
}

fn released(text: String) -> Result<Version, types::Fault> {
    let tag = match text.parse::<Tag>() {
        Ok(tag) => tag,
        Err(error) => return Err(fault(text, &error)),
    };
    let version = Version::of(&tag).filter(Version::is_release);
    version.ok_or_else(|| types::Fault { text, reason: "it is not a released version".to_owned() })
}

impl From<VersionDecision> for plan::VersionDecision {
    fn from(decision: VersionDecision) -> Self {
        match decision {
            VersionDecision::Publish(version) => Self::Publish(version.to_string()),
            VersionDecision::Unchanged(version) => Self::Unchanged(version.to_string()),
        }
    }
}

impl From<VersionError> for plan::VersionError {
    fn from(error: VersionError) -> Self {
        match error {
            VersionError::Exhausted { highest } => Self::Exhausted(highest.to_string()),
            VersionError::Unknown { highest } => Self::Unknown(highest.to_string()),
        }
    }
}

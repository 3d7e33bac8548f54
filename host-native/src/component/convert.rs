//! The core's types to the generated ones and back, as the host needs them.
//!
//! What goes in is borrowed. What comes out is checked: a core from a file may answer anything.

use std::collections::BTreeMap;

use bundle_core::bundle::descriptor::Descriptor;
use bundle_core::bundle::foreign::{Foreign, ForeignKind};
use bundle_core::bundle::history::{Ancestor, History};
use bundle_core::bundle::layout::Layout;
use bundle_core::bundle::manifest::annotation;
use bundle_core::bundle::resolve::Resolved;
use bundle_core::diff::{Change, ConflictKind, PathChange, Sides};
use bundle_core::digest::Digest;
use bundle_core::file::{ByPath, File};
use bundle_core::name::path::BundlePath;
use bundle_core::name::reference::Tag;
use bundle_core::pack::table::{Pack, TableRef};
use bundle_core::plan::delete::{DeleteDecision, DeleteUnit};
use bundle_core::plan::drops::{DropGuard, MassDrop};
use bundle_core::plan::fetch::{ByteRange, RangeSupport};
use bundle_core::plan::layout::{LayoutChoice, LayoutPolicy, Readers, Rewrite};
use bundle_core::plan::pull::{self, Blocked, DeletedHere, PullMode, PullOptions, PullPlan};
use bundle_core::plan::push::{LeftBehind, PushDecision};
use bundle_core::plan::repack::PackUse;
use bundle_core::plan::seal::{self, Origin, Sealed, SealedManifest};
use bundle_core::plan::standing::Standing;
use bundle_core::plan::tag::{Mover, Occupant, TagDecision};
use bundle_core::plan::version::{Bump, Difference, Version, VersionDecision};
use bundle_core::wire::{decode_chunked, encode};

use super::CoreError;
use super::answers::{
    FactsError, Fault, IndexError, IndexView, ManifestError, ManifestView, ResolveError, SealError,
    VersionError,
};
use super::generated::exports::modelops::bundle::{bulk, bundle, diff, digest, plan, types};

type Answer<T> = Result<T, CoreError>;

/// Digests as texts, one after the other: they all have the same length.
pub(super) struct Texts(String);

impl Texts {
    const LENGTH: usize = 71;

    pub(super) fn of<'a>(digests: impl ExactSizeIterator<Item = &'a Digest>) -> Self {
        const HEX: &[u8; 16] = b"0123456789abcdef";
        let mut texts = String::with_capacity(Self::LENGTH * digests.len());
        for digest in digests {
            let mut hex = [0; 64];
            for (pair, byte) in hex.chunks_exact_mut(2).zip(digest.as_bytes()) {
                pair[0] = HEX[usize::from(byte >> 4)];
                pair[1] = HEX[usize::from(byte & 15)];
            }
            texts.push_str("sha256:");
            texts.push_str(std::str::from_utf8(&hex).unwrap_or_default());
        }
        Self(texts)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &str> {
        (0..self.0.len() / Self::LENGTH).map(|at| &self.0[Self::LENGTH * at..][..Self::LENGTH])
    }
}

/// The facts of a comparison as flat bytes: a hundred thousand records one by one would take several times as long
/// to cross as the comparison itself.
pub(super) struct PackedSides {
    local: Vec<u8>,
    remote: Vec<u8>,
    base: Vec<u8>,
    tracked: Vec<u8>,
}

impl PackedSides {
    pub(super) fn of(sides: Sides<'_>) -> Self {
        Self {
            local: encode(sides.local),
            remote: encode(sides.remote),
            base: encode(sides.base),
            tracked: encode(sides.tracked),
        }
    }

    pub(super) fn as_param(&self) -> bulk::Sides<'_> {
        bulk::Sides { local: &self.local, remote: &self.remote, base: &self.base, tracked: &self.tracked }
    }
}

pub(super) fn files<'a>(files: &'a ByPath<File>, digests: &'a Texts) -> Vec<types::FileParam<'a>> {
    let file = |(file, digest): (&'a File, &'a str)| types::FileParam {
        path: file.path.as_str(),
        digest,
        size: file.size,
        executable: file.executable,
    };
    files.iter().zip(digests.iter()).map(file).collect()
}

pub(super) fn descriptor_param<'a>(
    descriptor: &'a Descriptor,
    digest: &'a str,
) -> bundle::DescriptorParam<'a> {
    bundle::DescriptorParam {
        media_type: &descriptor.media_type,
        digest,
        size: descriptor.size,
        title: descriptor.annotations.get(annotation::TITLE).map(String::as_str),
    }
}

pub(super) fn descriptors<'a>(
    list: &'a [Descriptor],
    digests: &'a Texts,
) -> Vec<bundle::DescriptorParam<'a>> {
    list.iter().zip(digests.iter()).map(|(descriptor, digest)| descriptor_param(descriptor, digest)).collect()
}

/// The texts of the digests behind which an origin hides: what a bundle is made from.
pub(super) struct OriginTexts {
    parent: Vec<String>,
    parents: Vec<String>,
    replaces: Option<String>,
    ancestors: Vec<[Option<String>; 2]>,
    tag_names: Option<String>,
}

impl OriginTexts {
    pub(super) fn of(origin: Origin<'_>) -> Self {
        let text = |digest: Digest| digest.to_string();
        let texts = |ancestor: &Ancestor| [Some(text(ancestor.digest)), ancestor.tree.map(text)];
        let before = origin.parent.map(|(_, before)| before);
        Self {
            parent: origin.parent.into_iter().flat_map(|(parent, _)| texts(parent)).flatten().collect(),
            parents: before.into_iter().flat_map(|before| &before.parents).map(Digest::to_string).collect(),
            replaces: before.and_then(|before| before.replaces).map(text),
            ancestors: before.into_iter().flat_map(|before| &before.ancestors).map(texts).collect(),
            tag_names: origin.replaces.map(text),
        }
    }

    /// The digest of what the tag names.
    pub(super) fn tag_names(&self) -> Option<&str> {
        self.tag_names.as_deref()
    }

    /// The parents of the parent.
    pub(super) fn parents(&self) -> Vec<&str> {
        self.parents.iter().map(String::as_str).collect()
    }

    /// The ancestors of the parent, `before` which they are recorded.
    pub(super) fn ancestors<'a>(&'a self, before: Option<&'a History>) -> Vec<bundle::AncestorParam<'a>> {
        let ancestors = before.map_or(&[][..], |before| &before.ancestors);
        let texts = self.ancestors.iter();
        ancestors
            .iter()
            .zip(texts)
            .map(|(one, [digest, tree])| {
                ancestor_param(one, digest.as_deref().unwrap_or_default(), tree.as_deref())
            })
            .collect()
    }

    /// The parent itself.
    pub(super) fn parent<'a>(&'a self, parent: Option<&'a Ancestor>) -> Option<bundle::AncestorParam<'a>> {
        let digest = self.parent.first()?;
        Some(ancestor_param(parent?, digest, self.parent.get(1).map(String::as_str)))
    }

    /// Its history, from the lists of this.
    pub(super) fn history<'a>(
        &'a self,
        parents: &'a [&'a str],
        ancestors: &'a [bundle::AncestorParam<'a>],
    ) -> bundle::HistoryParam<'a> {
        bundle::HistoryParam { parents, replaces: self.replaces.as_deref(), ancestors }
    }
}

fn ancestor_param<'a>(
    ancestor: &'a Ancestor,
    digest: &'a str,
    tree: Option<&'a str>,
) -> bundle::AncestorParam<'a> {
    bundle::AncestorParam {
        digest,
        tree,
        version: ancestor.version.as_deref(),
        created: ancestor.created.as_deref(),
        author: ancestor.author.as_deref(),
        message: ancestor.message.as_deref(),
    }
}

/// Packs with the texts of their digests: of each pack, and of its table.
pub(super) fn packs<'a>(packs: &'a [Pack], digests: &'a Texts) -> Vec<types::PackParam<'a>> {
    let mut digests = digests.iter();
    let mut next = || digests.next().unwrap_or_default();
    let mut packed = Vec::with_capacity(packs.len());
    for pack in packs {
        let (digest, toc_digest) = (next(), next());
        packed.push(types::PackParam {
            digest,
            size: pack.size,
            chunks: pack.chunks,
            raw: pack.raw,
            toc_offset: pack.toc.offset,
            toc_size: pack.toc.size,
            toc_digest,
        });
    }
    packed
}

impl From<Readers> for types::Readers {
    fn from(readers: Readers) -> Self {
        match readers {
            Readers::Ours => Self::Ours,
            Readers::Python => Self::Python,
        }
    }
}

fn readers(readers: types::Readers) -> Readers {
    match readers {
        types::Readers::Ours => Readers::Ours,
        types::Readers::Python => Readers::Python,
    }
}

impl From<LayoutPolicy> for plan::LayoutPolicy {
    fn from(policy: LayoutPolicy) -> Self {
        match policy {
            LayoutPolicy::Auto => Self::Auto,
            LayoutPolicy::Files => Self::Files,
            LayoutPolicy::Packed => Self::Packed,
        }
    }
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

impl From<Rewrite> for plan::Rewrite {
    fn from(rewrite: Rewrite) -> Self {
        match rewrite {
            Rewrite::No => Self::No,
            Rewrite::IfChanged => Self::IfChanged,
            Rewrite::Always => Self::Always,
        }
    }
}

impl From<plan::LayoutChoice> for LayoutChoice {
    fn from(choice: plan::LayoutChoice) -> Self {
        let rewrite = match choice.rewrite {
            plan::Rewrite::No => Rewrite::No,
            plan::Rewrite::IfChanged => Rewrite::IfChanged,
            plan::Rewrite::Always => Rewrite::Always,
        };
        Self { layout: choice.layout.into(), rewrite }
    }
}

impl From<PackUse> for plan::PackUse {
    fn from(pack: PackUse) -> Self {
        Self { stored: pack.stored, used: pack.used, is_here: pack.is_here }
    }
}

impl From<RangeSupport> for plan::RangeSupport {
    fn from(support: RangeSupport) -> Self {
        match support {
            RangeSupport::Honoured => Self::Honoured,
            RangeSupport::Ignored => Self::Ignored,
        }
    }
}

impl From<ByteRange> for plan::ByteRange {
    fn from(range: ByteRange) -> Self {
        Self { start: range.start, end: range.end }
    }
}

impl From<plan::ByteRange> for ByteRange {
    fn from(range: plan::ByteRange) -> Self {
        Self { start: range.start, end: range.end }
    }
}

// Answers.

fn path(path: String) -> Answer<BundlePath> {
    BundlePath::try_from(path).map_err(|fault| CoreError::Answer { reason: format!("of a path, {fault}") })
}

fn optional_path(path: Option<String>) -> Answer<Option<BundlePath>> {
    path.map(self::path).transpose()
}

pub(super) fn digest(digest: &str) -> Answer<Digest> {
    digest.parse().map_err(|fault| CoreError::Answer { reason: format!("of a digest, {fault}") })
}

fn each<T, U>(list: Vec<T>, convert: impl Fn(T) -> Answer<U>) -> Answer<Vec<U>> {
    list.into_iter().map(convert).collect()
}

/// The changes of `paths`, from the codes that the component gives; one for each.
pub(super) fn classified(paths: &[&BundlePath], codes: &[u8]) -> Answer<Vec<PathChange>> {
    let fault = |reason: &str| CoreError::Answer { reason: reason.to_owned() };
    if paths.len() != codes.len() {
        return Err(fault("it does not classify each path"));
    }
    let mut changes = Vec::with_capacity(paths.len());
    for (path, code) in paths.iter().zip(codes).filter(|(_, code)| **code != u8::MAX) {
        let change = Change::ALL.get(usize::from(*code));
        let change = *change.ok_or_else(|| fault("a change has no such number"))?;
        changes.push(PathChange { path: (*path).clone(), change });
    }
    Ok(changes)
}

fn changes(list: Vec<diff::PathChange>) -> Answer<Vec<PathChange>> {
    each(list, |item| Ok(PathChange { path: path(item.path)?, change: item.change.into() }))
}

impl From<diff::Change> for Change {
    fn from(change: diff::Change) -> Self {
        match change {
            diff::Change::Unchanged => Self::Unchanged,
            diff::Change::AddedLocal => Self::AddedLocal,
            diff::Change::AddedRemote => Self::AddedRemote,
            diff::Change::ModifiedLocal => Self::ModifiedLocal,
            diff::Change::ModifiedRemote => Self::ModifiedRemote,
            diff::Change::DeletedLocal => Self::DeletedLocal,
            diff::Change::DeletedRemote => Self::DeletedRemote,
            diff::Change::Conflict => Self::Conflict,
        }
    }
}

impl From<diff::ConflictKind> for ConflictKind {
    fn from(kind: diff::ConflictKind) -> Self {
        match kind {
            diff::ConflictKind::AddedBoth => Self::AddedBoth,
            diff::ConflictKind::DeletedHereEditedThere => Self::DeletedHereEditedThere,
            diff::ConflictKind::EditedBoth => Self::EditedBoth,
            diff::ConflictKind::EditedHereDeletedThere => Self::EditedHereDeletedThere,
            diff::ConflictKind::InTheWay => Self::InTheWay,
            diff::ConflictKind::Mode => Self::Mode,
            diff::ConflictKind::RemovedHereEditedThere => Self::RemovedHereEditedThere,
        }
    }
}

fn mass_drop(plan::MassDrop { dropped, of }: plan::MassDrop) -> MassDrop {
    MassDrop { dropped, of }
}

pub(super) fn push_decision(decision: bulk::PushDecision) -> Answer<PushDecision> {
    let left_behind = |plan::LeftBehind { path, now_at }: plan::LeftBehind| {
        Ok(LeftBehind { path: self::path(path)?, now_at: self::path(now_at)? })
    };
    Ok(PushDecision {
        delete: each(decision.delete, path)?,
        untrack: each(decision.untrack, path)?,
        unseen: changes(decision.unseen)?,
        mass_drop: decision.mass_drop.map(mass_drop),
        left_behind: each(decision.left_behind, left_behind)?,
        changed: decision.changed,
    })
}

pub(super) fn pull_options(options: PullOptions<'_>) -> plan::PullOptions {
    plan::PullOptions {
        mode: match options.mode {
            PullMode::Merge => plan::PullMode::Merge,
            PullMode::Safe => plan::PullMode::Safe,
            PullMode::Exact => plan::PullMode::Exact,
            PullMode::Overwrite => plan::PullMode::Overwrite,
        },
        restore_deleted: options.deleted == DeletedHere::Restore,
        accept_deletions: options.drops == DropGuard::Accept,
    }
}

pub(super) fn pull_plan(plan: plan::PullPlan) -> Answer<PullPlan> {
    let source = |source: plan::Source| {
        Ok(pull::Source {
            digest: digest(&source.digest)?,
            size: source.size,
            local: optional_path(source.local)?,
        })
    };
    let blocked = |plan::Blocked { path, change, kind }: plan::Blocked| {
        Ok(Blocked { path: self::path(path)?, change: change.into(), kind: kind.map(Into::into) })
    };
    let set = |list| Ok::<_, CoreError>(each(list, path)?.into_iter().collect());
    Ok(PullPlan {
        write: set(plan.write)?,
        executable: set(plan.executable)?,
        delete: set(plan.delete)?,
        adopt: set(plan.adopt)?,
        untrack: set(plan.untrack)?,
        kept: changes(plan.kept)?,
        blocked: each(plan.blocked, blocked)?,
        mass_drop: plan.mass_drop.map(mass_drop),
        sources: each(plan.sources, source)?,
    })
}

pub(super) fn standing(standing: &plan::Standing) -> Answer<Standing> {
    Ok(match standing {
        plan::Standing::Absent => Standing::Absent,
        plan::Standing::Same => Standing::Same,
        plan::Standing::Ancestor(ahead) => Standing::Ancestor { ahead: *ahead },
        plan::Standing::Descendant(behind) => Standing::Descendant { behind: *behind },
        plan::Standing::MovedBack(seen) => Standing::MovedBack { seen: digest(seen)? },
        plan::Standing::Unrelated => Standing::Unrelated,
    })
}

fn ancestor(ancestor: bundle::AncestorResult) -> Answer<Ancestor> {
    let bundle::AncestorResult { digest, tree, version, created, author, message } = ancestor;
    let tree = tree.as_deref().map(self::digest).transpose()?;
    Ok(Ancestor { digest: self::digest(&digest)?, tree, version, created, author, message })
}

fn history(history: bundle::HistoryResult) -> Answer<History> {
    Ok(History {
        parents: each(history.parents, |text| digest(&text))?,
        replaces: history.replaces.as_deref().map(digest).transpose()?,
        ancestors: each(history.ancestors, ancestor)?,
    })
}

pub(super) fn sealed_manifest(sealed: plan::SealedManifest) -> Answer<SealedManifest> {
    Ok(SealedManifest {
        manifest: sealed.manifest,
        digest: digest(&sealed.manifest_digest)?,
        extras: each(sealed.extras, extra)?,
    })
}

fn extra(extra: plan::Extra) -> Answer<seal::Extra> {
    let digest = digest(&extra.digest)?;
    let descriptor = Descriptor::new(BYTES, digest, extra.content.len() as u64);
    Ok(seal::Extra { descriptor, content: extra.content })
}

pub(super) fn sealed(sealed: plan::Sealed) -> Answer<Sealed> {
    let index_digest = digest(&sealed.index_digest)?;
    Ok(Sealed {
        extras: each(sealed.extras, extra)?,
        index_descriptor: Descriptor::new(&sealed.index_type, index_digest, sealed.index.len() as u64),
        index: sealed.index,
        manifest: sealed.manifest,
        digest: digest(&sealed.manifest_digest)?,
        tree: digest(&sealed.tree)?,
    })
}

/// The contract does not say what an extra blob is: it is only to be there.
const BYTES: &str = "application/octet-stream";

pub(super) fn tag_decision(decision: plan::TagDecision) -> Answer<TagDecision> {
    Ok(match decision {
        plan::TagDecision::Write => TagDecision::Write,
        plan::TagDecision::AlreadyThere => TagDecision::AlreadyThere,
        plan::TagDecision::Foreign(named) => TagDecision::Foreign(digest(&named)?),
        plan::TagDecision::Moved(now) => TagDecision::Moved(now.as_deref().map(digest).transpose()?),
        plan::TagDecision::Named(named) => TagDecision::Named(digest(&named)?),
        plan::TagDecision::Published(named) => TagDecision::Published(digest(&named)?),
    })
}

pub(super) fn delete_decision(decision: plan::DeleteDecision) -> Answer<DeleteDecision> {
    let tags = |texts: Vec<String>| texts.iter().map(|text| tag(text)).collect::<Answer<Vec<Tag>>>();
    Ok(match decision {
        plan::DeleteDecision::Bundle(with) => DeleteDecision::Bundle(tags(with)?),
        plan::DeleteDecision::Foreign => DeleteDecision::Foreign,
        plan::DeleteDecision::NeedsForce(others) => DeleteDecision::NeedsForce(tags(others)?),
        plan::DeleteDecision::Tag => DeleteDecision::Tag,
    })
}

fn tag(text: &str) -> Answer<Tag> {
    text.parse().map_err(|_| CoreError::Answer { reason: format!("`{}` is no tag", text.escape_debug()) })
}

impl From<Occupant> for plan::Occupant {
    fn from(occupant: Occupant) -> Self {
        match occupant {
            Occupant::Bundle => Self::Bundle,
            Occupant::Foreign => Self::Foreign,
        }
    }
}

impl From<Mover> for plan::Mover {
    fn from(mover: Mover) -> Self {
        match mover {
            Mover::Naming => Self::Naming,
            Mover::Push => Self::Push,
        }
    }
}

impl From<DeleteUnit> for plan::DeleteUnit {
    fn from(unit: DeleteUnit) -> Self {
        match unit {
            DeleteUnit::Bundle => Self::Bundle,
            DeleteUnit::Tag => Self::Tag,
        }
    }
}

pub(super) fn version(text: &str) -> Answer<Version> {
    let version = text.parse().ok().and_then(|tag| Version::of(&tag));
    version.ok_or_else(|| CoreError::Answer { reason: format!("`{}` is no version", text.escape_debug()) })
}

impl From<Bump> for plan::Bump {
    fn from(bump: Bump) -> Self {
        match bump {
            Bump::Auto => Self::Auto,
            Bump::Patch => Self::Patch,
            Bump::Minor => Self::Minor,
            Bump::Major => Self::Major,
        }
    }
}

impl From<Difference> for plan::Difference {
    fn from(Difference { added, deleted, changed }: Difference) -> Self {
        Self { added, deleted, changed }
    }
}

pub(super) fn version_decision(decision: &plan::VersionDecision) -> Answer<VersionDecision> {
    Ok(match decision {
        plan::VersionDecision::Publish(next) => VersionDecision::Publish(version(next)?),
        plan::VersionDecision::Unchanged(highest) => VersionDecision::Unchanged(version(highest)?),
    })
}

pub(super) fn resolved(resolved: digest::Resolved) -> Answer<Resolved> {
    Ok(Resolved { digest: digest(&resolved.digest)?, warning: resolved.warning })
}

pub(super) fn manifest_view(view: bundle::ManifestView) -> Answer<ManifestView> {
    Ok(ManifestView {
        artifact_type: view.artifact_type,
        readers: readers(view.readers),
        history: history(view.history)?,
        as_ancestor: ancestor(view.as_ancestor)?,
        index: descriptor(view.index)?,
        index_data: view.index_data,
        layers: each(view.layers, descriptor)?,
        annotations: view.annotations.into_iter().map(|item| (item.key, item.value)).collect(),
    })
}

fn descriptor(descriptor: bundle::DescriptorResult) -> Answer<Descriptor> {
    let mut described = Descriptor::new(&descriptor.media_type, digest(&descriptor.digest)?, descriptor.size);
    described.annotations.extend(descriptor.title.map(|title| (annotation::TITLE.to_owned(), title)));
    Ok(described)
}

pub(super) fn index_view(view: bulk::PackedIndex) -> Answer<IndexView> {
    let fault = |error: &dyn std::error::Error| CoreError::Answer { reason: error.to_string() };
    let groups = |list: Vec<bundle::Group>| -> BTreeMap<_, _> {
        list.into_iter().map(|group| (group.name, group.members)).collect()
    };
    let packs = view.packs.iter().map(pack_answer).collect::<Answer<_>>()?;
    let (files, chunk_map) = decode_chunked(&view.files, packs).map_err(|error| fault(&error))?;
    Ok(IndexView {
        version: view.version,
        layout: view.layout.into(),
        files,
        chunk_map,
        tree: digest(&view.tree)?,
        total_size: view.total_size,
        layers: groups(view.layers),
        roles: groups(view.roles),
        is_plain: view.is_plain,
    })
}

fn pack_answer(pack: &types::PackResult) -> Answer<Pack> {
    let toc = TableRef { offset: pack.toc_offset, size: pack.toc_size, digest: digest(&pack.toc_digest)? };
    Ok(Pack { digest: digest(&pack.digest)?, size: pack.size, chunks: pack.chunks, raw: pack.raw, toc })
}

// Refusals.

impl From<types::Fault> for Fault {
    fn from(fault: types::Fault) -> Self {
        Self { text: fault.text, reason: fault.reason }
    }
}

impl From<types::FactsError> for FactsError {
    fn from(error: types::FactsError) -> Self {
        match error {
            types::FactsError::Path(fault) => Self::Path(fault.into()),
            types::FactsError::Digest(fault) => Self::Digest(fault.into()),
            types::FactsError::Size(path) => Self::Size { path },
            types::FactsError::Repeated(path) => Self::Repeated { path },
            types::FactsError::Nested((folder, below)) => Self::Nested { folder, below },
            types::FactsError::Other(reason) => Self::Other(reason),
        }
    }
}

impl From<bundle::ManifestError> for ManifestError {
    fn from(error: bundle::ManifestError) -> Self {
        match error {
            bundle::ManifestError::Json(reason) => Self::Json(reason),
            bundle::ManifestError::TooLarge(size) => Self::TooLarge { size },
            bundle::ManifestError::Field(fault) => Self::Field(fault.into()),
            bundle::ManifestError::NotABundle(foreign) => Self::NotABundle(foreign.into()),
            bundle::ManifestError::Unsupported(media_type) => Self::Unsupported { media_type },
            bundle::ManifestError::IndexData(reason) => Self::IndexData(reason),
            bundle::ManifestError::Other(reason) => Self::Other(reason),
        }
    }
}

impl From<bundle::Foreign> for Foreign {
    fn from(foreign: bundle::Foreign) -> Self {
        let kind = match foreign.kind {
            bundle::ForeignKind::Artifact => ForeignKind::Artifact,
            bundle::ForeignKind::Attachment => ForeignKind::Attachment,
            bundle::ForeignKind::Document => ForeignKind::Document,
            bundle::ForeignKind::HelmChart => ForeignKind::HelmChart,
            bundle::ForeignKind::Image => ForeignKind::Image,
            bundle::ForeignKind::ImageIndex => ForeignKind::ImageIndex,
            bundle::ForeignKind::ImageSchema1 => ForeignKind::ImageSchema1,
            bundle::ForeignKind::NotJson => ForeignKind::NotJson,
        };
        Self { kind, says: foreign.says, subject: foreign.subject.and_then(|digest| digest.parse().ok()) }
    }
}

impl From<bundle::IndexError> for IndexError {
    fn from(error: bundle::IndexError) -> Self {
        match error {
            bundle::IndexError::Json(reason) => Self::Json(reason),
            bundle::IndexError::TooLarge(size) => Self::TooLarge { size },
            bundle::IndexError::Compression(reason) => Self::Compression(reason),
            bundle::IndexError::Pack(fault) => Self::Pack(fault.into()),
            bundle::IndexError::Content(reason) => Self::Content(reason),
            bundle::IndexError::Field(fault) => Self::Field(fault.into()),
            bundle::IndexError::Path(fault) => Self::Path(fault.into()),
            bundle::IndexError::Nested((folder, below)) => Self::Nested { folder, below },
            bundle::IndexError::TwoSizes(digest) => Self::TwoSizes { digest },
            bundle::IndexError::Version(version) => Self::Version { version },
            bundle::IndexError::Storage(fault) => Self::Storage(fault.into()),
            bundle::IndexError::NotInLayers(path) => Self::NotInLayers { path },
            bundle::IndexError::Other(reason) => Self::Other(reason),
        }
    }
}

impl From<plan::SealError> for SealError {
    fn from(error: plan::SealError) -> Self {
        match error {
            plan::SealError::Facts(error) => Self::Facts(error.into()),
            plan::SealError::Replaces(reason) => Self::Replaces(reason),
            plan::SealError::TooManyLayers((layers, limit)) => Self::TooManyLayers { layers, limit },
            plan::SealError::ManifestTooLarge((size, limit)) => Self::ManifestTooLarge { size, limit },
            plan::SealError::Created(fault) => Self::Created(fault.into()),
            plan::SealError::Other(reason) => Self::Other(reason),
            plan::SealError::Pack(fault) => Self::Pack(fault.into()),
        }
    }
}

impl From<plan::VersionError> for VersionError {
    fn from(error: plan::VersionError) -> Self {
        match error {
            plan::VersionError::Exhausted(highest) => Self::Exhausted { highest },
            plan::VersionError::Highest(fault) => Self::Highest(fault.into()),
            plan::VersionError::Other(reason) => Self::Other(reason),
            plan::VersionError::Unknown(highest) => Self::Unknown { highest },
        }
    }
}

pub(super) fn resolve_error(error: digest::ResolveError) -> ResolveError {
    let differing =
        |differing: digest::Differing| Ok((digest(&differing.expected)?, digest(&differing.actual)?));
    match error {
        digest::ResolveError::Declared(text) => ResolveError::Declared { text },
        digest::ResolveError::DeclaredDiffers(digests) => match differing(digests) {
            Ok((expected, actual)) => ResolveError::DeclaredDiffers { expected, actual },
            Err(error) => ResolveError::Core(error),
        },
        digest::ResolveError::PinnedDiffers(digests) => match differing(digests) {
            Ok((expected, actual)) => ResolveError::PinnedDiffers { expected, actual },
            Err(error) => ResolveError::Core(error),
        },
        digest::ResolveError::Actual(reason)
        | digest::ResolveError::Pinned(reason)
        | digest::ResolveError::Other(reason) => ResolveError::Other(reason),
    }
}

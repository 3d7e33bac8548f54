//! Interface `types`: facts, and what every other interface speaks of.

use std::error::Error;

use bundle_core::bundle::descriptor::{ContentId, Descriptor};
use bundle_core::bundle::layout::Layout;
use bundle_core::diff::{Change, ConflictKind, PathChange, Sides};
use bundle_core::digest::Digest;
use bundle_core::file::{ByPath, File, HasPath, RepeatedPath, SyncedFile, TreeError};
use bundle_core::name::path::BundlePath;
use bundle_core::pack::table::{Pack, Run, TableRef};
use bundle_core::plan::drops::MassDrop;
use bundle_core::plan::layout::Readers;

use crate::generated::exports::modelops::bundle::types;

use super::with_causes;

pub(crate) fn fault(text: String, error: &dyn Error) -> types::Fault {
    types::Fault { text, reason: with_causes(error) }
}

pub(crate) fn part_fault(part: impl Into<String>, error: &dyn Error) -> types::PartFault {
    types::PartFault { part: part.into(), reason: with_causes(error) }
}

/// The facts of a comparison, as the core takes them.
pub(crate) struct Facts {
    pub(crate) local: ByPath<File>,
    pub(crate) remote: ByPath<File>,
    pub(crate) base: ByPath<SyncedFile>,
    pub(crate) tracked: ByPath<BundlePath>,
}

impl Facts {
    pub(crate) fn sides(&self) -> Sides<'_> {
        Sides { local: &self.local, remote: &self.remote, base: &self.base, tracked: &self.tracked }
    }
}

impl TryFrom<types::Sides> for Facts {
    type Error = types::FactsError;

    fn try_from(sides: types::Sides) -> Result<Self, types::FactsError> {
        Ok(Self {
            local: files(sides.local)?,
            remote: files(sides.remote)?,
            base: synced_files(sides.base)?,
            tracked: paths(sides.tracked)?,
        })
    }
}

pub(crate) fn files(files: Vec<types::File>) -> Result<ByPath<File>, types::FactsError> {
    Ok(ByPath::tree(files.into_iter().map(file).collect::<Result<_, _>>()?)?)
}

pub(crate) fn synced_files(files: Vec<types::SyncedFile>) -> Result<ByPath<SyncedFile>, types::FactsError> {
    by_path(files.into_iter().map(synced_file))
}

pub(crate) fn paths(paths: Vec<String>) -> Result<ByPath<BundlePath>, types::FactsError> {
    by_path(paths.into_iter().map(path))
}

fn by_path<T: HasPath>(
    facts: impl Iterator<Item = Result<T, types::FactsError>>,
) -> Result<ByPath<T>, types::FactsError> {
    Ok(ByPath::new(facts.collect::<Result<_, _>>()?)?)
}

pub(crate) fn file(file: types::File) -> Result<File, types::FactsError> {
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

pub(crate) fn fact_digest(digest: String) -> Result<Digest, types::FactsError> {
    self::digest(digest).map_err(types::FactsError::Digest)
}

pub(crate) fn digest(digest: String) -> Result<Digest, types::Fault> {
    digest.parse().map_err(|error| fault(digest, &error))
}

pub(crate) fn optional_digest(digest: Option<String>) -> Result<Option<Digest>, types::Fault> {
    digest.map(self::digest).transpose()
}

pub(crate) fn digests(digests: Vec<String>) -> Result<Vec<Digest>, types::Fault> {
    digests.into_iter().map(digest).collect()
}

pub(crate) fn texts(paths: Vec<BundlePath>) -> Vec<String> {
    paths.into_iter().map(Into::into).collect()
}

pub(crate) fn changes(changes: Vec<PathChange>) -> Vec<types::PathChange> {
    changes.into_iter().map(Into::into).collect()
}

impl From<TreeError> for types::FactsError {
    fn from(error: TreeError) -> Self {
        match error {
            TreeError::Nested { folder, below } => {
                Self::Nested(types::Nesting { folder: folder.into(), below: below.into() })
            }
            TreeError::Repeated(repeated) => repeated.into(),
            TreeError::Size { path } => Self::Size(path.into()),
        }
    }
}

impl From<RepeatedPath> for types::FactsError {
    fn from(repeated: RepeatedPath) -> Self {
        Self::Repeated(repeated.path.into())
    }
}

impl From<File> for types::File {
    fn from(file: File) -> Self {
        let File { path, digest, size, executable } = file;
        Self { path: path.into(), digest: digest.into(), size, executable }
    }
}

impl From<ContentId> for types::Blob {
    fn from(ContentId { digest, size }: ContentId) -> Self {
        Self { digest: digest.into(), size }
    }
}

impl TryFrom<types::Descriptor> for Descriptor {
    type Error = types::Fault;

    fn try_from(descriptor: types::Descriptor) -> Result<Self, types::Fault> {
        let types::Descriptor { media_type, digest, size, annotations } = descriptor;
        let mut described = Self::new(&media_type, self::digest(digest)?, size);
        described.annotations.extend(annotations.into_iter().map(|one| (one.key, one.value)));
        Ok(described)
    }
}

impl From<Descriptor> for types::Descriptor {
    fn from(descriptor: Descriptor) -> Self {
        let Descriptor { media_type, digest, size, annotations, data: _ } = descriptor;
        Self { media_type, digest: digest.into(), size, annotations: self::annotations(annotations) }
    }
}

pub(crate) fn annotations(annotations: impl IntoIterator<Item = (String, String)>) -> Vec<types::Annotation> {
    annotations.into_iter().map(|(key, value)| types::Annotation { key, value }).collect()
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

impl From<Pack> for types::Pack {
    fn from(pack: Pack) -> Self {
        let TableRef { offset, size, digest } = pack.toc;
        Self {
            digest: pack.digest.into(),
            size: pack.size,
            chunks: pack.chunks,
            uncompressed_size: pack.raw,
            table: types::TableRef { offset, size, digest: digest.into() },
            store: None,
        }
    }
}

fn pack(pack: &types::Pack) -> Result<Pack, types::PartFault> {
    let fault = |error: &dyn Error| part_fault(&pack.digest, error);
    if pack.store.is_some() {
        let reason = "this version knows no packs outside the bundle's repository".to_owned();
        return Err(types::PartFault { part: pack.digest.clone(), reason });
    }
    let types::TableRef { offset, size, ref digest } = pack.table;
    let toc = TableRef { offset, size, digest: digest.parse().map_err(|error| fault(&error))? };
    let digest = pack.digest.parse().map_err(|error| fault(&error))?;
    let checked = Pack { digest, size: pack.size, chunks: pack.chunks, raw: pack.uncompressed_size, toc };
    checked.check().map_err(|error| fault(&error))?;
    Ok(checked)
}

pub(crate) fn packs(packs: &[types::Pack]) -> Result<Vec<Pack>, types::PartFault> {
    packs.iter().map(pack).collect()
}

impl From<Run> for types::Run {
    fn from(Run { pack, first, count }: Run) -> Self {
        Self { pack, first, count }
    }
}

impl From<types::Run> for Run {
    fn from(types::Run { pack, first, count }: types::Run) -> Self {
        Self { pack, first, count }
    }
}

impl From<PathChange> for types::PathChange {
    fn from(change: PathChange) -> Self {
        Self { path: change.path.into(), change: change.change.into() }
    }
}

impl From<Change> for types::Change {
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

impl From<ConflictKind> for types::ConflictKind {
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

impl From<MassDrop> for types::MassDrop {
    fn from(MassDrop { dropped, of }: MassDrop) -> Self {
        Self { dropped, of }
    }
}

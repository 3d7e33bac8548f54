//! Interface `types`.

use bundle_core::bundle::descriptor::Descriptor;
use bundle_core::bundle::layout::Layout;
use bundle_core::diff::{Change, ConflictKind, PathChange};
use bundle_core::digest::Digest;
use bundle_core::file::{ByPath, File};
use bundle_core::name::path::BundlePath;
use bundle_core::pack::table::{Pack, TableRef};
use bundle_core::plan::drops::MassDrop;
use bundle_core::plan::layout::Readers;

use crate::component::answers::{FactsError, Fault};
use crate::component::generated::exports::modelops::bundle::types;

use super::{Answer, each, fault};

/// Digests as texts, one after the other: they all have the same length.
pub(in crate::component) struct Texts(String);

impl Texts {
    const LENGTH: usize = 71;

    pub(in crate::component) fn of<'a>(digests: impl ExactSizeIterator<Item = &'a Digest>) -> Self {
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

    pub(in crate::component) fn iter(&self) -> impl Iterator<Item = &str> {
        (0..self.0.len() / Self::LENGTH).map(|at| &self.0[Self::LENGTH * at..][..Self::LENGTH])
    }
}

pub(in crate::component) fn files<'a>(
    files: &'a ByPath<File>,
    digests: &'a Texts,
) -> Vec<types::FileParam<'a>> {
    let file = |(file, digest): (&'a File, &'a str)| types::FileParam {
        path: file.path.as_str(),
        digest,
        size: file.size,
        executable: file.executable,
    };
    files.iter().zip(digests.iter()).map(file).collect()
}

/// The annotations of each of some descriptors.
pub(in crate::component) fn annotations(list: &[Descriptor]) -> Vec<Vec<types::AnnotationParam<'_>>> {
    list.iter().map(annotations_of).collect()
}

fn annotations_of(descriptor: &Descriptor) -> Vec<types::AnnotationParam<'_>> {
    descriptor.annotations.iter().map(|(key, value)| types::AnnotationParam { key, value }).collect()
}

/// Descriptors with the texts of their digests, and their annotations.
pub(in crate::component) fn descriptors<'a>(
    list: &'a [Descriptor],
    digests: &'a Texts,
    annotations: &'a [Vec<types::AnnotationParam<'a>>],
) -> Vec<types::DescriptorParam<'a>> {
    let descriptor = |((descriptor, digest), annotations): ((&'a Descriptor, &'a str), &'a Vec<_>)| {
        let Descriptor { media_type, size, .. } = descriptor;
        types::DescriptorParam { media_type, digest, size: *size, annotations }
    };
    list.iter().zip(digests.iter()).zip(annotations).map(descriptor).collect()
}

/// Packs with the texts of their digests: of each pack, and of its table.
pub(in crate::component) fn packs<'a>(packs: &'a [Pack], digests: &'a Texts) -> Vec<types::PackParam<'a>> {
    let mut digests = digests.iter();
    let mut next = || digests.next().unwrap_or_default();
    let mut described = Vec::with_capacity(packs.len());
    for pack in packs {
        let (digest, toc_digest) = (next(), next());
        let TableRef { offset, size, .. } = pack.toc;
        described.push(types::PackParam {
            digest,
            size: pack.size,
            chunks: pack.chunks,
            uncompressed_size: pack.raw,
            table: types::TableRefParam { offset, size, digest: toc_digest },
            store: None,
        });
    }
    described
}

impl From<Readers> for types::Readers {
    fn from(readers: Readers) -> Self {
        match readers {
            Readers::Ours => Self::Ours,
            Readers::Python => Self::Python,
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

// Answers.

pub(super) fn path(path: String) -> Answer<BundlePath> {
    BundlePath::try_from(path).map_err(|error| fault(format!("of a path, {error}")))
}

pub(super) fn optional_path(path: Option<String>) -> Answer<Option<BundlePath>> {
    path.map(self::path).transpose()
}

pub(in crate::component) fn digest(digest: &str) -> Answer<Digest> {
    digest.parse().map_err(|error| fault(format!("of a digest, {error}")))
}

pub(super) fn optional_digest(digest: Option<&str>) -> Answer<Option<Digest>> {
    digest.map(self::digest).transpose()
}

pub(super) fn changes(list: Vec<types::PathChange>) -> Answer<Vec<PathChange>> {
    each(list, |item| Ok(PathChange { path: path(item.path)?, change: item.change.into() }))
}

impl From<types::Change> for Change {
    fn from(change: types::Change) -> Self {
        match change {
            types::Change::Unchanged => Self::Unchanged,
            types::Change::AddedLocal => Self::AddedLocal,
            types::Change::AddedRemote => Self::AddedRemote,
            types::Change::ModifiedLocal => Self::ModifiedLocal,
            types::Change::ModifiedRemote => Self::ModifiedRemote,
            types::Change::DeletedLocal => Self::DeletedLocal,
            types::Change::DeletedRemote => Self::DeletedRemote,
            types::Change::Conflict => Self::Conflict,
        }
    }
}

impl From<types::ConflictKind> for ConflictKind {
    fn from(kind: types::ConflictKind) -> Self {
        match kind {
            types::ConflictKind::AddedBoth => Self::AddedBoth,
            types::ConflictKind::DeletedHereEditedThere => Self::DeletedHereEditedThere,
            types::ConflictKind::EditedBoth => Self::EditedBoth,
            types::ConflictKind::EditedHereDeletedThere => Self::EditedHereDeletedThere,
            types::ConflictKind::InTheWay => Self::InTheWay,
            types::ConflictKind::Mode => Self::Mode,
            types::ConflictKind::RemovedHereEditedThere => Self::RemovedHereEditedThere,
        }
    }
}

pub(super) fn mass_drop(types::MassDrop { dropped, of }: types::MassDrop) -> MassDrop {
    MassDrop { dropped, of }
}

pub(super) fn descriptor(descriptor: types::DescriptorResult) -> Answer<Descriptor> {
    let mut described = Descriptor::new(&descriptor.media_type, digest(&descriptor.digest)?, descriptor.size);
    described.annotations.extend(descriptor.annotations.into_iter().map(|one| (one.key, one.value)));
    Ok(described)
}

pub(super) fn pack(pack: &types::PackResult) -> Answer<Pack> {
    if pack.store.is_some() {
        return Err(fault("a pack lies outside the bundle's repository"));
    }
    let types::TableRefResult { offset, size, digest: ref toc_digest } = pack.table;
    let toc = TableRef { offset, size, digest: digest(toc_digest)? };
    Ok(Pack {
        digest: digest(&pack.digest)?,
        size: pack.size,
        chunks: pack.chunks,
        raw: pack.uncompressed_size,
        toc,
    })
}

// Refusals.

impl From<types::Fault> for Fault {
    fn from(fault: types::Fault) -> Self {
        Self { text: fault.text, reason: fault.reason }
    }
}

impl From<types::PartFault> for Fault {
    fn from(fault: types::PartFault) -> Self {
        Self { text: fault.part, reason: fault.reason }
    }
}

impl From<types::FactsError> for FactsError {
    fn from(error: types::FactsError) -> Self {
        match error {
            types::FactsError::Path(fault) => Self::Path(fault.into()),
            types::FactsError::Digest(fault) => Self::Digest(fault.into()),
            types::FactsError::Size(path) => Self::Size { path },
            types::FactsError::Repeated(path) => Self::Repeated { path },
            types::FactsError::Nested(types::Nesting { folder, below }) => Self::Nested { folder, below },
            types::FactsError::Row => Self::Other("a row contradicts itself".to_owned()),
            types::FactsError::Wire(reason) | types::FactsError::Other(reason) => Self::Other(reason),
        }
    }
}

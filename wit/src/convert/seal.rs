//! Interface `seal`.

use bundle_core::bundle::descriptor::{Descriptor, media_type};
use bundle_core::bundle::history::{Ancestor, History};
use bundle_core::bundle::manifest::MAX_MANIFEST_BYTES;
use bundle_core::digest::Digest;
use bundle_core::file::{ByPath, File};
use bundle_core::pack::chunk_map::{ChunkMap, PlacedError};
use bundle_core::pack::table::Pack;
use bundle_core::plan::seal::{
    EmptyBlob, Extra, MAX_LAYERS, Origin, PackedSealRequest, SealError, SealRequest, Sealed, SealedManifest,
};

use crate::generated::exports::modelops::bundle::{seal, types};

use super::types::{fact_digest, file, files, optional_digest};
use super::with_causes;

pub(crate) fn seal(request: seal::SealRequest) -> Result<seal::Sealed, seal::SealError> {
    let files = files(request.files).map_err(seal::SealError::Facts)?;
    let (origin, parent) = (request.origin, &mut None);
    Ok(bundle_core::plan::seal::seal(&SealRequest {
        files: &files,
        replaces: request.replaces.as_deref(),
        origin: self::origin(&origin, parent)?,
        empty_blob: if request.empty_blob { EmptyBlob::Taken } else { EmptyBlob::Refused },
    })?
    .into())
}

pub(crate) fn seal_packed(request: seal::PackedSealRequest) -> Result<seal::SealedManifest, seal::SealError> {
    let fact = |digest| fact_digest(digest).map_err(seal::SealError::Facts);
    let packs = packs(&request.packs)?;
    let (origin, parent) = (request.origin, &mut None);
    Ok(bundle_core::plan::seal::seal_packed(&PackedSealRequest {
        index_digest: fact(request.index.digest)?,
        index_size: request.index.size,
        index_data: request.index.data.as_deref(),
        packs: &packs,
        tree: fact(request.tree)?,
        origin: self::origin(&origin, parent)?,
    })?
    .into())
}

/// When, as what and by whom a bundle is made; `parent` keeps what it is made from.
fn origin<'a>(
    origin: &'a seal::Origin,
    parent: &'a mut Option<(Ancestor, History)>,
) -> Result<Origin<'a>, seal::SealError> {
    let lineage = |fault| seal::SealError::Facts(types::FactsError::Digest(fault));
    if let Some(seal::Parent { bundle, history }) = origin.parent.clone() {
        *parent = Some((bundle.try_into().map_err(lineage)?, history.try_into().map_err(lineage)?));
    }
    Ok(Origin {
        parent: parent.as_ref().map(|(parent, before)| (parent, before)),
        replaces: optional_digest(origin.tag_names.clone()).map_err(lineage)?,
        author: origin.author.as_deref(),
        message: origin.message.as_deref(),
        created: &origin.created,
        version: origin.version.as_deref(),
        tool: &origin.tool,
        readers: origin.readers.into(),
    })
}

pub(crate) fn placed_files(
    placed: Vec<types::PlacedFile>,
    packs: &[types::Pack],
) -> Result<(ByPath<File>, ChunkMap), seal::SealError> {
    let one = |placed: types::PlacedFile| {
        let runs = match placed.location {
            types::Location::Pack(runs) => runs.into_iter().map(Into::into).collect(),
            types::Location::Registry => Vec::new(),
            types::Location::External(_) | types::Location::Other(_) => {
                return Err(seal::SealError::NoPack(placed.file.path));
            }
        };
        Ok((file(placed.file).map_err(seal::SealError::Facts)?, runs))
    };
    let placed = placed.into_iter().map(one).collect::<Result<_, _>>()?;
    Ok(ChunkMap::of_placed(placed, self::packs(packs)?)?)
}

pub(crate) fn packs(packs: &[types::Pack]) -> Result<Vec<Pack>, seal::SealError> {
    super::types::packs(packs).map_err(seal::SealError::Pack)
}

impl From<Extra> for seal::Document {
    fn from(extra: Extra) -> Self {
        Self { descriptor: extra.descriptor.into(), content: extra.content.into_bytes() }
    }
}

fn manifest(manifest: String, digest: Digest) -> seal::Document {
    let descriptor = Descriptor::new(media_type::MANIFEST, digest, manifest.len() as u64);
    seal::Document { descriptor: descriptor.into(), content: manifest.into_bytes() }
}

fn documents(extras: Vec<Extra>) -> Vec<seal::Document> {
    extras.into_iter().map(Into::into).collect()
}

impl From<Sealed> for seal::Sealed {
    fn from(sealed: Sealed) -> Self {
        Self {
            index: seal::Document {
                descriptor: sealed.index_descriptor.into(),
                content: sealed.index.into_bytes(),
            },
            manifest: manifest(sealed.manifest, sealed.digest),
            tree: sealed.tree.into(),
            extras: documents(sealed.extras),
        }
    }
}

impl From<SealedManifest> for seal::SealedManifest {
    fn from(sealed: SealedManifest) -> Self {
        Self { manifest: manifest(sealed.manifest, sealed.digest), extras: documents(sealed.extras) }
    }
}

impl From<PlacedError> for seal::SealError {
    fn from(error: PlacedError) -> Self {
        match error {
            PlacedError::NoPack { path } => Self::NoPack(path.into()),
            PlacedError::Tree(error) => Self::Facts(error.into()),
        }
    }
}

impl From<SealError> for seal::SealError {
    fn from(error: SealError) -> Self {
        let excess = |found: usize, limit: usize| types::Excess { found: found as u64, limit: limit as u64 };
        match error {
            SealError::Created { ref text } => {
                Self::Created(types::Fault { text: text.clone(), reason: error.to_string() })
            }
            SealError::ManifestTooLarge { size } => Self::ManifestTooLarge(excess(size, MAX_MANIFEST_BYTES)),
            SealError::Nested { folder, below } => {
                Self::Facts(types::FactsError::Nested(types::Nesting { folder, below }))
            }
            SealError::IndexData { digest } => Self::IndexData(digest.into()),
            SealError::ChunkMap { .. } => Self::Unplaced(error.to_string()),
            SealError::Replaces(error) => Self::Replaces(with_causes(&error)),
            SealError::TooManyLayers { layers } => Self::TooManyLayers(excess(layers, MAX_LAYERS)),
        }
    }
}

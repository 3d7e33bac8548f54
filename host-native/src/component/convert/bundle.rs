//! Interface `bundle`.

use bundle_core::bundle::foreign::{Foreign, ForeignKind};
use bundle_core::bundle::history::{Ancestor, History};

use crate::component::answers::{IndexError, ManifestError, ManifestView};
use crate::component::generated::exports::modelops::bundle::{bundle, types};

use super::types::{descriptor, digest, optional_digest};
use super::{Answer, each, text};

pub(in crate::component) fn manifest_view(view: bundle::ManifestView) -> Answer<ManifestView> {
    Ok(ManifestView {
        artifact_type: view.artifact_type,
        digest: digest(&view.digest)?,
        readers: view.readers.into(),
        history: history(view.history)?,
        as_ancestor: ancestor(view.as_ancestor)?,
        index: descriptor(view.index)?,
        index_data: view.index_data.map(text).transpose()?,
        layers: each(view.layers, descriptor)?,
        annotations: view.annotations.into_iter().map(|item| (item.key, item.value)).collect(),
    })
}

fn ancestor(ancestor: bundle::AncestorResult) -> Answer<Ancestor> {
    let bundle::AncestorResult { digest, tree, version, created, author, message } = ancestor;
    let tree = optional_digest(tree.as_deref())?;
    Ok(Ancestor { digest: self::digest(&digest)?, tree, version, created, author, message })
}

fn history(history: bundle::HistoryResult) -> Answer<History> {
    Ok(History {
        parents: each(history.parents, |text| digest(&text))?,
        replaces: optional_digest(history.replaces.as_deref())?,
        ancestors: each(history.ancestors, ancestor)?,
    })
}

// Refusals.

impl From<bundle::ManifestError> for ManifestError {
    fn from(error: bundle::ManifestError) -> Self {
        match error {
            bundle::ManifestError::Json(reason) => Self::Json(reason),
            bundle::ManifestError::TooLarge(size) => Self::TooLarge { size },
            bundle::ManifestError::Field(fault) => Self::Field(fault.into()),
            bundle::ManifestError::NotABundle(foreign) => Self::NotABundle(foreign.into()),
            bundle::ManifestError::Unsupported(media_type) => Self::Unsupported { media_type },
            bundle::ManifestError::IndexData(expected) => Self::IndexData(expected),
            bundle::ManifestError::Compression(reason) => Self::IndexData(reason),
            bundle::ManifestError::TwoSizes(digest) => {
                Self::Other(format!("the digest {digest} comes with two sizes"))
            }
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
            bundle::IndexError::Content(content) => Self::Content(content_differs(&content)),
            bundle::IndexError::Descriptor(fault) => Self::Field(fault.into()),
            bundle::IndexError::Field(fault) => Self::Field(fault.into()),
            bundle::IndexError::Path(fault) => Self::Path(fault.into()),
            bundle::IndexError::Nested(types::Nesting { folder, below }) => Self::Nested { folder, below },
            bundle::IndexError::TwoSizes(digest) => Self::TwoSizes { digest },
            bundle::IndexError::Version(version) => Self::Version { version },
            bundle::IndexError::Storage(fault) => Self::Storage(fault.into()),
            bundle::IndexError::NotInLayers(path) => Self::NotInLayers { path },
            bundle::IndexError::PackNotInLayers(digest) => Self::NotInLayers { path: digest },
            bundle::IndexError::Chunker => {
                Self::Other("its chunks were cut in a way that this version does not know".to_owned())
            }
            bundle::IndexError::Other(reason) => Self::Other(reason),
        }
    }
}

fn content_differs(bundle::ContentDiffers { expected, found }: &bundle::ContentDiffers) -> String {
    let name = |blob: &types::Blob| format!("{} with {} bytes", blob.digest, blob.size);
    format!("the index's bytes are {}, its descriptor says {}", name(found), name(expected))
}

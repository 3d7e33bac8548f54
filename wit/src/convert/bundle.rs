//! Interface `bundle`.

use std::collections::BTreeMap;

use bundle_core::bundle::descriptor::Descriptor;
use bundle_core::bundle::foreign::{Foreign, ForeignKind};
use bundle_core::bundle::groups::Layers;
use bundle_core::bundle::history::{Ancestor, History};
use bundle_core::bundle::index::{BundleIndex, Entry, IndexError};
use bundle_core::bundle::layout::Layout;
use bundle_core::bundle::manifest::{Manifest, ManifestError};
use bundle_core::bundle::tree::tree_digest;
use bundle_core::digest::Digest;
use bundle_core::file::total_size;
use bundle_core::name::reference::{Place, Reference};

use crate::generated::exports::modelops::bundle::{bundle, types};

use super::types::{annotations, digest, digests, fault, optional_digest};
use super::with_causes;

impl From<Reference> for bundle::ParsedReference {
    fn from(reference: Reference) -> Self {
        Self {
            location: match reference.place {
                Place::Repository { host, name } => {
                    bundle::BundleLocation::Registry(bundle::Repository { host, name })
                }
                Place::Layout { directory } => bundle::BundleLocation::Layout(directory),
                Place::Archive { file } => bundle::BundleLocation::Archive(file),
            },
            tag: reference.tag.map(|tag| tag.to_string()),
            digest: reference.digest.map(Into::into),
        }
    }
}

pub(crate) fn descriptor(descriptor: types::Descriptor) -> Result<Descriptor, bundle::IndexError> {
    descriptor.try_into().map_err(bundle::IndexError::Descriptor)
}

pub(crate) fn descriptors(list: Vec<types::Descriptor>) -> Result<Vec<Descriptor>, bundle::IndexError> {
    list.into_iter().map(descriptor).collect()
}

pub(crate) fn manifest_view(
    manifest: Manifest,
    digest: Digest,
    index: Option<Vec<u8>>,
) -> Result<bundle::ManifestView, bundle::ManifestError> {
    let index_text = |stored: Vec<u8>| match BundleIndex::text(&stored, &manifest.config.media_type) {
        Ok(text) => Ok(text.into_bytes()),
        Err(error) => Err(bundle::ManifestError::Compression(with_causes(&error))),
    };
    Ok(bundle::ManifestView {
        digest: digest.into(),
        readers: manifest.readers().into(),
        history: History::of_annotations(&manifest.annotations).into(),
        as_ancestor: Ancestor::of_manifest(digest, &manifest.annotations).into(),
        index_data: index.map(index_text).transpose()?,
        artifact_type: manifest.artifact_type,
        index: manifest.config.into(),
        layers: manifest.layers.into_iter().map(Into::into).collect(),
        annotations: annotations(manifest.annotations),
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

impl TryFrom<bundle::Ancestor> for Ancestor {
    type Error = types::Fault;

    fn try_from(ancestor: bundle::Ancestor) -> Result<Self, types::Fault> {
        let bundle::Ancestor { digest, tree, version, created, author, message } = ancestor;
        let (digest, tree) = (self::digest(digest)?, optional_digest(tree)?);
        Ok(Self { digest, tree, version, created, author, message })
    }
}

impl TryFrom<bundle::History> for History {
    type Error = types::Fault;

    fn try_from(history: bundle::History) -> Result<Self, types::Fault> {
        Ok(Self {
            parents: digests(history.parents)?,
            replaces: optional_digest(history.replaces)?,
            ancestors: history.ancestors.into_iter().map(TryInto::try_into).collect::<Result<_, _>>()?,
        })
    }
}

impl From<&BundleIndex> for bundle::IndexView {
    fn from(index: &BundleIndex) -> Self {
        let files = index.files();
        let layers = Layers::of(&owned_groups(index, "layers"));
        let placed = |entry: &Entry| types::PlacedFile {
            file: entry.file.clone().into(),
            location: match index.layout {
                Layout::Files => types::Location::Registry,
                Layout::Packed => types::Location::Pack(entry.runs.iter().map(|run| (*run).into()).collect()),
            },
            layer: u16::try_from(layers.number(&entry.file.path)).unwrap_or(u16::MAX),
        };
        Self {
            version: index.version().to_owned(),
            layout: index.layout.into(),
            tree: tree_digest(&files).into(),
            total_size: total_size(&files),
            blobs: index.blobs().into_iter().map(Into::into).collect(),
            packs: index.packs.iter().cloned().map(Into::into).collect(),
            files: index.entries.iter().map(placed).collect(),
            layers: groups(index, "layers"),
            roles: groups(index, "roles"),
            is_plain: index.is_plain(),
        }
    }
}

fn owned_groups(index: &BundleIndex, field: &str) -> BTreeMap<String, Vec<String>> {
    let groups = index.groups(field).into_iter();
    let owned = |members: Vec<&str>| members.into_iter().map(str::to_owned).collect();
    groups.map(|(name, members)| (name.to_owned(), owned(members))).collect()
}

pub(crate) fn groups(index: &BundleIndex, field: &str) -> Vec<bundle::Group> {
    let groups = owned_groups(index, field).into_iter();
    groups.map(|(name, members)| bundle::Group { name, members }).collect()
}

impl From<ManifestError> for bundle::ManifestError {
    fn from(error: ManifestError) -> Self {
        match error {
            ManifestError::Field { field, reason } => {
                Self::Field(types::PartFault { part: field.to_owned(), reason })
            }
            ManifestError::IndexData { digest } => Self::IndexData(digest.into()),
            ManifestError::Json(error) => Self::Json(with_causes(&error)),
            ManifestError::NotABundle(foreign) => Self::NotABundle(foreign.into()),
            ManifestError::TooLarge { size } => Self::TooLarge(size as u64),
            ManifestError::TwoSizes { digest } => Self::TwoSizes(digest.into()),
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
        let reason = with_causes(&error);
        let part = |part: String| types::PartFault { part, reason: reason.clone() };
        match error {
            IndexError::Chunker => Self::Chunker,
            IndexError::Compression(_) | IndexError::NotText => Self::Compression(reason),
            IndexError::Content { expected, found } => {
                Self::Content(bundle::ContentDiffers { expected: expected.into(), found: found.into() })
            }
            IndexError::Digest { path, .. } => Self::Field(part(path)),
            IndexError::EmptyDigest { path } | IndexError::Size { path } => Self::Field(part(path.into())),
            IndexError::Json(_) => Self::Json(reason),
            IndexError::KeyDiffers { key, .. } | IndexError::Missing { key, .. } => Self::Field(part(key)),
            IndexError::Nested { folder, below } => {
                Self::Nested(types::Nesting { folder: folder.into(), below: below.into() })
            }
            IndexError::NotInLayers { path } => Self::NotInLayers(path.into()),
            IndexError::Pack(error) => Self::Pack(part(error.digest.to_string())),
            IndexError::PackNotInLayers { digest } => Self::PackNotInLayers(digest.into()),
            IndexError::Runs { path } => Self::Pack(part(path.into())),
            IndexError::Path { path, source } => Self::Path(fault(path, &source)),
            IndexError::Storage { path, .. } => Self::Storage(part(path.into())),
            IndexError::TooLarge { size } => Self::TooLarge(size as u64),
            IndexError::TwoSizes { digest } => Self::TwoSizes(digest.into()),
            IndexError::Version { version } => Self::Version(version),
        }
    }
}

//! The manifest: an OCI image manifest whose config is the bundle index.
//!
//! <https://github.com/opencontainers/image-spec/blob/v1.1.0/manifest.md>

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::Deserialize;
use serde_json::{Value, json};
use thiserror::Error;

use crate::bundle::descriptor::{Annotations, Descriptor, media_type};
use crate::bundle::foreign::{self, Foreign, ForeignKind};
use crate::canonical::MAX_SAFE_INTEGER;
use crate::canonical::{self, JsonError};
use crate::digest::Digest;
use crate::plan::layout::Readers;

/// The largest manifest that is read or written, in bytes; registries stop there.
pub const MAX_MANIFEST_BYTES: usize = 4 * 1024 * 1024;

/// The largest index that travels inside its manifest, in bytes.
pub const MAX_EMBEDDED_INDEX_BYTES: usize = 128 * 1024;

/// Keys of the annotations that bundles use.
pub mod annotation {
    /// Who made the bundle.
    pub const AUTHORS: &str = "org.opencontainers.image.authors";
    /// When the bundle was made, an RFC 3339 time.
    pub const CREATED: &str = "org.opencontainers.image.created";
    /// The message that the bundle was made with.
    pub const DESCRIPTION: &str = "org.opencontainers.image.description";
    /// The bundle's ancestors, a JSON list, the nearest first; see [`History`](crate::bundle::history::History).
    pub const HISTORY: &str = "org.modelops.bundle.history";
    /// The digest of the bundle that it was made from; of several, with commas between them.
    pub const PARENT: &str = "org.modelops.bundle.parent";
    /// Which tools beside this one read the bundles of its place; see [`Readers`](crate::plan::layout::Readers).
    pub const READERS: &str = "org.modelops.bundle.readers";
    /// The digest of what the tag named before, where that is not the parent.
    pub const REPLACES: &str = "org.modelops.bundle.replaces";
    /// The path of the file that a layer is.
    pub const TITLE: &str = "org.opencontainers.image.title";
    /// Name and version of the writing tool.
    pub const TOOL: &str = "org.modelops.bundle.tool";
    /// The tree digest.
    pub const TREE: &str = "org.modelops.bundle.tree";
    /// The version that the bundle was published as.
    pub const VERSION: &str = "org.opencontainers.image.version";
}

/// What [`annotation::READERS`] says where the Python tool is one.
pub(crate) const PYTHON_READS: &str = "python";

/// A manifest, as far as it concerns a bundle.
#[derive(Clone, Debug, PartialEq)]
pub struct Manifest {
    /// What kind of artifact it is; the Python tool says nothing.
    pub artifact_type: Option<String>,
    /// Names the index, and may carry it.
    pub config: Descriptor,
    /// Every blob that the bundle needs in its repository.
    pub layers: Vec<Descriptor>,
    /// What else is said of the bundle.
    pub annotations: Annotations,
}

impl Manifest {
    /// Reads a bundle's manifest from its exact bytes.
    pub fn parse(json: &[u8]) -> Result<Self, ManifestError> {
        if json.len() > MAX_MANIFEST_BYTES {
            return Err(ManifestError::TooLarge { size: json.len() });
        }
        let value = match canonical::parse(json) {
            Ok(value) => value,
            Err(error) if foreign::mentions_bundles(json) => return Err(error.into()),
            Err(_) => return Err(Foreign::not_json().into()),
        };
        let field = |name: &'static str| value.get(name).filter(|value| !value.is_null());
        let foreign = Foreign::of(&value);
        if foreign.kind == ForeignKind::ImageIndex || !foreign::is_ours(&value) {
            return Err(foreign.into());
        }
        if field("schemaVersion").and_then(Value::as_u64) != Some(2) {
            return Err(ManifestError::Field { field: "schemaVersion", reason: "it is not 2".to_owned() });
        }
        if let Some(found) = field("mediaType")
            && found != media_type::MANIFEST
        {
            return Err(ManifestError::Field { field: "mediaType", reason: format!("it is {found}") });
        }
        let manifest = Self {
            artifact_type: read(field("artifactType"), "artifactType")?,
            config: read(field("config"), "config")?.ok_or_else(|| ManifestError::Field {
                field: "config",
                reason: "there is none".to_owned(),
            })?,
            layers: read(field("layers"), "layers")?.unwrap_or_default(),
            annotations: read(field("annotations"), "annotations")?.unwrap_or_default(),
        };
        manifest.check()?;
        Ok(manifest)
    }

    fn check(&self) -> Result<(), ManifestError> {
        let media_type = &self.config.media_type;
        if !matches!(media_type.as_str(), media_type::INDEX_V1 | media_type::INDEX_V2) {
            // It says that it is a bundle, so the index is one of a version that is not known here.
            return Err(ManifestError::Unsupported { media_type: media_type.clone() });
        }
        let mut sizes = BTreeMap::new();
        for blob in self.layers.iter().chain([&self.config]) {
            if blob.size > MAX_SAFE_INTEGER {
                return Err(ManifestError::Field {
                    field: "size",
                    reason: "it is greater than 2^53 - 1".to_owned(),
                });
            }
            if *sizes.entry(blob.digest).or_insert(blob.size) != blob.size {
                return Err(ManifestError::TwoSizes { digest: blob.digest });
            }
        }
        Ok(())
    }

    /// Who reads the bundles of its place: the Python tool does where it wrote this one, or one that this one follows.
    ///
    /// A version 1 index without `org.modelops.bundle.tool` was written by the Python tool, which sets none.
    pub fn readers(&self) -> Readers {
        let is_marked = self.annotations.get(annotation::READERS).is_some_and(|said| said == PYTHON_READS);
        let is_its_own = self.config.media_type == media_type::INDEX_V1
            && !self.annotations.contains_key(annotation::TOOL);
        if is_marked || is_its_own { Readers::Python } else { Readers::Ours }
    }

    /// The index as it lies in the repository, where the manifest carries it; its digest and size are checked.
    pub fn embedded_index(&self) -> Result<Option<Vec<u8>>, ManifestError> {
        let Some(data) = &self.config.data else {
            return Ok(None);
        };
        let fault = || ManifestError::IndexData { digest: self.config.digest };
        let index = BASE64.decode(data).map_err(|_| fault())?;
        if index.len() as u64 != self.config.size || Digest::of(&index) != self.config.digest {
            return Err(fault());
        }
        Ok(Some(index))
    }

    /// Puts `index`, whose descriptor the config is, into the manifest, where it is small enough.
    pub fn embed_index(&mut self, index: &[u8]) {
        if index.len() <= MAX_EMBEDDED_INDEX_BYTES {
            self.config.data = Some(BASE64.encode(index));
        }
    }

    /// Writes the manifest in canonical JSON.
    #[expect(clippy::indexing_slicing, reason = "the value is an object")]
    pub fn to_json(&self) -> String {
        let mut value = json!({
            "schemaVersion": 2,
            "mediaType": media_type::MANIFEST,
            "config": descriptor_json(&self.config),
            "layers": self.layers.iter().map(descriptor_json).collect::<Vec<_>>(),
            "annotations": self.annotations,
        });
        if let Some(artifact_type) = &self.artifact_type {
            value["artifactType"] = artifact_type.as_str().into();
        }
        canonical::to_string(&value)
    }
}

fn read<'a, T: Deserialize<'a>>(
    value: Option<&'a Value>,
    field: &'static str,
) -> Result<Option<T>, ManifestError> {
    value
        .map(T::deserialize)
        .transpose()
        .map_err(|error| ManifestError::Field { field, reason: error.to_string() })
}

#[expect(clippy::indexing_slicing, reason = "the value is an object")]
fn descriptor_json(descriptor: &Descriptor) -> Value {
    let mut value = json!({
        "mediaType": descriptor.media_type,
        "digest": descriptor.digest.to_string(),
        "size": descriptor.size,
    });
    if !descriptor.annotations.is_empty() {
        value["annotations"] = json!(descriptor.annotations);
    }
    if let Some(data) = &descriptor.data {
        value["data"] = data.as_str().into();
    }
    value
}

impl From<Foreign> for ManifestError {
    fn from(foreign: Foreign) -> Self {
        Self::NotABundle(foreign)
    }
}

/// Why a manifest is not one of a bundle.
#[derive(Debug, Error)]
pub enum ManifestError {
    /// A field has another type or value than the image-spec allows.
    #[error("the manifest's field `{field}` cannot be taken: {reason}")]
    Field {
        /// The field.
        field: &'static str,
        /// What is wrong with it.
        reason: String,
    },
    /// The index that it carries is not the one that it names.
    #[error("the index inside the manifest is not {digest}, which the manifest names")]
    IndexData {
        /// What the manifest names.
        digest: Digest,
    },
    /// It speaks of bundles, and is no JSON, repeats a key or nests too deep.
    #[error("the manifest is no JSON that bundles take")]
    Json(#[from] JsonError),
    /// It does not say that it is a bundle's.
    #[error("it is not a bundle but {0}")]
    NotABundle(Foreign),
    /// It is larger than [`MAX_MANIFEST_BYTES`].
    #[error("the manifest has {size} bytes, more than {MAX_MANIFEST_BYTES}")]
    TooLarge {
        /// Its size in bytes.
        size: usize,
    },
    /// One digest comes with two sizes.
    #[error("the digest {digest} comes with two sizes")]
    TwoSizes {
        /// The digest.
        digest: Digest,
    },
    /// A bundle of a later version.
    #[error("this version does not read bundles with an index of type `{media_type}`")]
    Unsupported {
        /// The type of its config.
        media_type: String,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    const PYTHON: &str = include_str!("../../../tests/fixtures/python-bundle/manifest.json");

    fn manifest() -> Manifest {
        Manifest {
            artifact_type: Some(media_type::BUNDLE.to_owned()),
            config: Descriptor::of(media_type::INDEX_V1, b"{}"),
            layers: vec![Descriptor::empty()],
            annotations: Annotations::from([(annotation::TREE.to_owned(), "t".to_owned())]),
        }
    }

    #[test]
    fn reads_what_the_python_tool_writes() {
        let manifest = Manifest::parse(PYTHON.as_bytes()).unwrap();
        assert_eq!(manifest.artifact_type, None);
        assert_eq!(manifest.layers.len(), 5);
        assert_eq!(manifest.layers[0].annotations[annotation::TITLE], "src/model.py");
        assert_eq!(manifest.embedded_index().unwrap(), None);
    }

    #[test]
    fn reads_what_it_writes() {
        let mut manifest = manifest();
        manifest.embed_index(b"{}");
        let json = manifest.to_json();
        assert_eq!(Manifest::parse(json.as_bytes()).unwrap(), manifest);
        assert_eq!(manifest.embedded_index().unwrap().unwrap(), b"{}");
        assert_eq!(canonical::to_string(&canonical::parse(json.as_bytes()).unwrap()), json);
    }

    #[test]
    fn a_large_index_does_not_travel_inside() {
        let index = vec![b' '; MAX_EMBEDDED_INDEX_BYTES + 1];
        let mut manifest = Manifest { config: Descriptor::of(media_type::INDEX_V1, &index), ..manifest() };
        manifest.embed_index(&index);
        assert_eq!(manifest.config.data, None);
    }

    #[test]
    fn refuses_what_is_no_bundle() {
        let edit = |change: fn(&mut Value)| {
            let mut value: Value = serde_json::from_str(&manifest().to_json()).unwrap();
            change(&mut value);
            Manifest::parse(value.to_string().as_bytes()).unwrap_err().to_string()
        };
        for (error, expected) in [
            (edit(|m| m["schemaVersion"] = 1.into()), "schemaVersion"),
            (edit(|m| m["mediaType"] = "text/html".into()), "mediaType"),
            (edit(|m| m["mediaType"] = media_type::IMAGE_INDEX.into()), "image index"),
            (edit(|m| m["manifests"] = json!([])), "image index"),
            (edit(|m| m["config"] = Value::Null), "config"),
            (
                edit(|m| m["config"]["mediaType"] = "application/vnd.oci.image.config.v1+json".into()),
                "does not read",
            ),
            (
                edit(|m| {
                    m["config"]["mediaType"] = "application/vnd.modelops.bundle.index.v3+cbor".into();
                }),
                "does not read",
            ),
            (edit(|m| m["config"]["digest"] = "sha256:../../x".into()), "config"),
            (edit(|m| m["config"]["size"] = (1u64 << 60).into()), "size"),
            (edit(|m| m["layers"][0]["size"] = 3.into()), "two sizes"),
            (edit(|m| m["layers"][0]["size"] = (-1).into()), "layers"),
            (edit(|m| m["annotations"] = json!([1])), "annotations"),
        ] {
            assert!(error.contains(expected), "{error}");
        }
        let too_large = " ".repeat(MAX_MANIFEST_BYTES + 1);
        for json in ["<html>", "{\"a\":1,\"a\":2}", &"[".repeat(1_000_000), &too_large] {
            assert!(Manifest::parse(json.as_bytes()).is_err());
        }
    }

    #[test]
    fn refuses_an_index_that_is_not_the_one_named() {
        let mut manifest = manifest();
        for data in ["e30", "e31=", "!", "e30ge30="] {
            manifest.config.data = Some(data.to_owned());
            assert!(matches!(manifest.embedded_index(), Err(ManifestError::IndexData { .. })), "{data}");
        }
    }
}

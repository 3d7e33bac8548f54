//! Descriptors: what names a blob by its media type, digest and size, and the media types that bundles use.
//!
//! <https://github.com/opencontainers/image-spec/blob/v1.1.0/descriptor.md>

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::digest::Digest;

/// Media types and artifact types, as they stand in manifests.
pub mod media_type {
    /// An OCI image manifest; a bundle is one.
    pub const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
    /// An OCI image index; a bundle is never one.
    pub const IMAGE_INDEX: &str = "application/vnd.oci.image.index.v1+json";
    /// The `artifactType` of a bundle's manifest.
    pub const BUNDLE: &str = "application/vnd.modelops.bundle.v1";
    /// The bundle index in layout `files`, as plain JSON.
    pub const INDEX_V1: &str = "application/vnd.modelops.bundle.index.v1+json";
    /// The bundle index in layout `packed`, as compressed JSON.
    pub const INDEX_V2: &str = "application/vnd.modelops.bundle.index.v2+json+zstd";
    /// A layer that is a pack of chunks.
    pub const PACK: &str = "application/vnd.modelops.bundle.pack.v1";
    /// A layer that is one file, as the Python tool and `oras` write it.
    pub const FILE_LAYER: &str = "application/vnd.oci.image.layer.v1.tar";
    /// The empty descriptor's type: two bytes, `{}`.
    pub const EMPTY: &str = "application/vnd.oci.empty.v1+json";
}

/// The two bytes that the OCI empty descriptor names.
pub const EMPTY_CONTENT: &[u8] = b"{}";

/// Annotations: sorted by key, because they are written in that order.
pub type Annotations = BTreeMap<String, String>;

/// Digest and size of some bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ContentId {
    /// Their hash.
    pub digest: Digest,
    /// How many there are.
    pub size: u64,
}

impl ContentId {
    /// Of these bytes.
    pub fn of(bytes: &[u8]) -> Self {
        Self { digest: Digest::of(bytes), size: bytes.len() as u64 }
    }
}

impl fmt::Display for ContentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} with {} bytes", self.digest, self.size)
    }
}

/// Names a blob, wherever it lies.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Descriptor {
    /// What the blob is; one of [`media_type`] or another tool's.
    pub media_type: String,
    /// The hash of its bytes.
    pub digest: Digest,
    /// How many bytes it has.
    pub size: u64,
    /// What else is said of it; a file layer has its path as `org.opencontainers.image.title`.
    #[serde(default, skip_serializing_if = "Annotations::is_empty")]
    pub annotations: Annotations,
    /// The blob itself in base64, where it is small enough to come along.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data: Option<String>,
}

impl Descriptor {
    /// Describes `content`.
    pub fn of(media_type: &str, content: &[u8]) -> Self {
        Self::new(media_type, Digest::of(content), content.len() as u64)
    }

    /// Describes a blob of which digest and size are known.
    pub fn new(media_type: &str, digest: Digest, size: u64) -> Self {
        Self { media_type: media_type.to_owned(), digest, size, annotations: Annotations::new(), data: None }
    }

    /// Digest and size of the blob.
    pub fn content(&self) -> ContentId {
        ContentId { digest: self.digest, size: self.size }
    }

    /// The OCI empty descriptor, which stands where a list of layers may not be empty.
    pub fn empty() -> Self {
        Self::of(media_type::EMPTY, EMPTY_CONTENT)
    }
}

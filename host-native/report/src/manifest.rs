//! The documents of `manifest`.

use serde::{Deserialize, Serialize};

/// The document of `manifest`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ManifestsReport {
    /// The place.
    #[serde(rename = "ref")]
    pub reference: String,
    /// Its bundles, the newest first.
    pub manifests: Vec<ManifestReport>,
    /// How many bundles there are beyond those that are listed.
    pub more: usize,
    /// HTTP requests made.
    pub requests: u64,
}

/// One bundle.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ManifestReport {
    /// The digest of its manifest; absent where a registry lists a tag whose manifest it has lost.
    pub digest: Option<String>,
    /// The tags that name it.
    pub tags: Vec<String>,
    /// When it was made, as it says itself.
    pub created: Option<String>,
    /// How many files it has; absent where it is no bundle.
    pub files: Option<usize>,
    /// Their bytes in all.
    pub size: Option<u64>,
    /// Its tree digest, as it says itself.
    pub tree: Option<String>,
    /// Why it cannot be read, where it is no bundle.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fault: Option<String>,
}

/// The document of `manifest --tags-only`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TagsReport {
    /// The place.
    #[serde(rename = "ref")]
    pub reference: String,
    /// Its tags.
    pub tags: Vec<String>,
    /// HTTP requests made.
    pub requests: u64,
}

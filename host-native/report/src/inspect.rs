//! The document of `inspect`.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use crate::{BlobsReport, VerifyReport};

/// The document of `inspect`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct InspectReport {
    /// The bundle, as it was named.
    #[serde(rename = "ref")]
    pub reference: String,
    /// Its fields stand beside `ref`; they are absent where there is no bundle yet that a push would replace, or where
    /// it cannot be read.
    #[serde(flatten)]
    pub bundle: Option<BundleReport>,
    /// With `--tags`, what the bundles of the place share.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tags: Option<SharingReport>,
    /// Where a push was asked about, what it would add.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub push: Option<EstimateReport>,
    /// With `--verify`, the document of `verify`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub verify: Option<VerifyReport>,
    /// HTTP requests made.
    pub requests: u64,
}

/// What is in the bundle.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct BundleReport {
    /// The digest of its manifest.
    pub digest: String,
    /// The tree digest of its files.
    pub tree: String,
    /// When it was made, as it says itself.
    pub created: Option<String>,
    /// The version that it was published as.
    pub version: Option<String>,
    /// What wrote it.
    pub tool: Option<String>,
    /// `files` or `packed`.
    pub layout: Cow<'static, str>,
    /// How many files it has.
    pub file_count: usize,
    /// The files' bytes.
    pub size: u64,
    /// What lies in the repository: the distinct blobs, the index among them; the manifest is not counted.
    pub stored: BlobsReport,
    /// The stored bytes as a part of the files' bytes; absent where those are none.
    pub ratio: Option<f64>,
    /// Absent in layout `files`, and where the tables of the packs cannot be read.
    pub packs: Option<PacksReport>,
    /// With `--files`, each file, by path.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub files: Option<Vec<BundleFileReport>>,
}

/// The packs of a bundle.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PacksReport {
    /// How many packs there are.
    pub count: usize,
    /// The chunks in them, whether or not the bundle needs them.
    pub chunks: u64,
    /// The packs' bytes, with their tables.
    pub size: u64,
    /// The chunks' uncompressed bytes.
    pub raw: u64,
    /// Bytes of frames that the bundle's files need.
    pub used: u64,
    /// Bytes of frames that they do not need.
    pub waste: u64,
    /// With `--packs`, each pack.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub each: Option<Vec<PackReport>>,
}

/// One pack.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PackReport {
    /// The pack's own digest.
    pub digest: String,
    /// Its chunks.
    pub chunks: u32,
    /// Its bytes, with its table.
    pub size: u64,
    /// Its chunks' uncompressed bytes.
    pub raw: u64,
    /// Bytes of frames that are needed.
    pub used: u64,
    /// Bytes of frames that are not.
    pub waste: u64,
}

/// One file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct BundleFileReport {
    /// Its path.
    pub path: String,
    /// Its bytes.
    pub size: u64,
    /// Whether it may be run.
    pub executable: Option<bool>,
    /// The layer that it belongs to, where the index says so.
    pub layer: Option<String>,
}

/// What the bundles of the place share.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SharingReport {
    /// How many bundles tags name there, this one among them.
    pub bundles: usize,
    /// The others, the newest first.
    pub others: Vec<OtherBundleReport>,
    /// The blobs of all of them, each counted once; manifests are not counted.
    pub held: BlobsReport,
    /// What they would have one by one.
    pub sum: BlobsReport,
    /// Tags that name no bundle that can be read.
    pub unreadable: Vec<String>,
}

/// Another bundle.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct OtherBundleReport {
    /// The digest of its manifest.
    pub digest: String,
    /// The tags that name it.
    pub tags: Vec<String>,
    /// When it was made, as it says itself.
    pub created: Option<String>,
    /// Its blobs.
    pub stored: BlobsReport,
    /// Those of them that this bundle has too.
    pub shared: BlobsReport,
}

/// What a push would add.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EstimateReport {
    /// The tag that it would be pushed to.
    pub tag: String,
    /// The layout of the new bundle.
    pub layout: Cow<'static, str>,
    /// Files that are not there yet.
    pub added: u64,
    /// Files that are there with other content.
    pub changed: u64,
    /// Files that would go.
    pub deleted: u64,
    /// Files where it would undo what others did.
    pub overwritten: usize,
    /// Blobs that would be sent; in layout `packed`, new packs.
    pub blobs: u64,
    /// In layout `packed`, chunks that no pack has yet.
    pub chunks: u64,
    /// The bytes of what is new.
    pub raw: u64,
    /// The same as they would be sent; the tables of new packs come on top.
    pub stored: u64,
}

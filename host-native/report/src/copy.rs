//! The document of `copy`.

use serde::{Deserialize, Serialize};

use crate::BlobsReport;

/// The document of `copy`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CopyReport {
    /// Where the bundles are from.
    pub source: String,
    /// Where they are, or would be, now.
    #[serde(rename = "ref")]
    pub reference: String,
    /// The bundles.
    pub bundles: Vec<CopiedReport>,
    /// Tags of `source` that name no bundle, and were left out.
    pub skipped: Vec<String>,
    /// Whether anything was, or would be, written.
    pub changed: bool,
    /// Blobs that DST had lost or damaged of what its tags name, and that are, or would be, sent again.
    pub mended: Vec<String>,
    /// What was, or would be, sent.
    pub uploaded: BlobsReport,
    /// What the registry took, or would take, from another repository of its own.
    pub mounted: BlobsReport,
    /// HTTP requests made, to both places.
    pub requests: u64,
    /// Whether nothing was written.
    pub dry_run: bool,
}

/// One bundle.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CopiedReport {
    /// Its digest.
    pub digest: String,
    /// The tree digest of its files.
    pub tree: String,
    /// The tags that name it at its new place.
    pub tags: Vec<String>,
    /// Whether one of those was, or would be, written.
    pub changed: bool,
}

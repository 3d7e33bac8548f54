//! The document of `import`.

use serde::{Deserialize, Serialize};

use crate::BlobsReport;

/// The document of `import`; with `--dest` it is that of `pull`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ImportReport {
    /// What names the bundle at its new place.
    #[serde(rename = "ref")]
    pub reference: String,
    /// The bundle's digest.
    pub digest: String,
    /// The tree digest of its files.
    pub tree: String,
    /// The archive.
    pub file: String,
    /// Whether anything was, or would be, written.
    pub changed: bool,
    /// What was, or would be, sent.
    pub uploaded: BlobsReport,
    /// What the registry took, or would take, from another repository of its own.
    pub mounted: BlobsReport,
    /// HTTP requests made.
    pub requests: u64,
    /// Whether it was only looked at.
    pub dry_run: bool,
}

//! The document of `export`.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// The document of `export`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ExportReport {
    /// The bundle, as it was named.
    #[serde(rename = "ref")]
    pub reference: String,
    /// Its digest.
    pub digest: String,
    /// The tree digest of its files.
    pub tree: String,
    /// The file that was, or would be, written.
    pub file: PathBuf,
    /// What that is.
    pub format: ExportFormat,
    /// The bundle's files.
    pub files: usize,
    /// Blobs in the archive, where it has any; the manifest is not counted.
    pub blobs: Option<u64>,
    /// The bytes of the blobs, or in a plain tar those of the files.
    pub bytes: u64,
    /// HTTP requests made.
    pub requests: u64,
    /// Whether nothing was written.
    pub dry_run: bool,
}

/// What is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ExportFormat {
    /// A tar of an OCI image layout.
    OciArchive,
    /// A plain tar of the files.
    Tar,
}

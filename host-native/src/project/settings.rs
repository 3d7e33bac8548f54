//! The kinds of settings that a project has, and what they are where nothing is set. Their file: [`super::config`].

use serde::{Deserialize, Serialize};

/// The size in bytes from which on a file goes to external storage, where nothing else is set: 50 MiB.
pub const DEFAULT_THRESHOLD_BYTES: u64 = 50 << 20;

/// How files get from the content store into a project.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LinkMode {
    /// The cheapest of the others that is safe and works.
    #[default]
    Auto,
    /// Plain copies.
    Copy,
    /// Further names of the stored file.
    Hardlink,
    /// Copies that share their blocks until one is written.
    Reflink,
    /// Links that point into the store.
    Symlink,
}

/// How a push lays out its blobs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Layout {
    /// Whichever is better for the files at hand.
    #[default]
    Auto,
    /// One blob a file.
    Files,
    /// Small files together in packs.
    Packed,
}

/// Which files go to which store.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Storage {
    /// Whether external storage is used.
    pub mode: StorageMode,
    /// The kind of external storage: `s3`, `gcs`, `azure`, `fs`, or empty for none.
    pub provider: String,
    /// The bucket, container or folder.
    pub container: String,
    /// What keys in it start with.
    pub prefix: String,
    /// The size in bytes from which on a file goes to external storage.
    pub threshold_bytes: u64,
    /// Globs of files that go to external storage whatever their size.
    pub force_blob_patterns: Vec<String>,
    /// Globs of files that stay in the registry whatever their size.
    pub force_oci_patterns: Vec<String>,
}

impl Default for Storage {
    fn default() -> Self {
        Self {
            mode: StorageMode::default(),
            provider: String::new(),
            container: String::new(),
            prefix: String::new(),
            threshold_bytes: DEFAULT_THRESHOLD_BYTES,
            force_blob_patterns: Vec::new(),
            force_oci_patterns: Vec::new(),
        }
    }
}

/// Whether external storage is used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum StorageMode {
    /// For large files.
    #[default]
    Auto,
    /// For every file.
    BlobOnly,
    /// Never.
    #[serde(alias = "oci-inline")]
    OciOnly,
}

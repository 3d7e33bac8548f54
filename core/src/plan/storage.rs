//! Where a file's bytes go: into the registry, or into an external store beside it.

use serde::{Deserialize, Serialize};

use crate::name::path::BundlePath;

/// The size from which a file goes to the external store, in bytes, where the configuration names none.
pub const DEFAULT_THRESHOLD_BYTES: u64 = 50 * 1024 * 1024;

/// How storage is chosen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum StorageMode {
    /// By patterns, then by size.
    #[default]
    Auto,
    /// Everything goes into the registry.
    #[serde(alias = "oci-inline")]
    OciOnly,
    /// Everything goes to the external store.
    BlobOnly,
}

/// What a project says about storage; the fields are those of its `config.yaml`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct StoragePolicy {
    /// How storage is chosen.
    pub mode: StorageMode,
    /// In mode `auto`, the size in bytes from which a file goes to the external store.
    pub threshold_bytes: u64,
    /// In mode `auto`, globs of what always goes into the registry; they come first.
    pub force_oci_patterns: Vec<String>,
    /// In mode `auto`, globs of what always goes to the external store.
    pub force_blob_patterns: Vec<String>,
    /// The kind of the external store; empty where there is none.
    pub provider: String,
    /// The store's bucket or container.
    pub container: String,
    /// What its keys start with.
    pub prefix: String,
}

impl Default for StoragePolicy {
    fn default() -> Self {
        Self {
            mode: StorageMode::default(),
            threshold_bytes: DEFAULT_THRESHOLD_BYTES,
            force_oci_patterns: Vec::new(),
            force_blob_patterns: Vec::new(),
            provider: String::new(),
            container: String::new(),
            prefix: String::new(),
        }
    }
}

/// Where one file's bytes go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Storage {
    /// Into the registry.
    Oci,
    /// To the external store.
    Blob,
    /// Into the registry, although the policy says otherwise: no external store is configured.
    OciForWantOfStore,
}

impl StoragePolicy {
    /// Decides where the file at `path` with `size` bytes goes.
    #[must_use]
    pub fn place(&self, path: &BundlePath, size: u64) -> Storage {
        let matches = |globs: &[String]| globs.iter().any(|glob| fast_glob::glob_match(glob, path.as_str()));
        let goes_out = match self.mode {
            StorageMode::OciOnly => false,
            StorageMode::BlobOnly => true,
            StorageMode::Auto if matches(&self.force_oci_patterns) => false,
            StorageMode::Auto => matches(&self.force_blob_patterns) || size >= self.threshold_bytes,
        };
        match (goes_out, self.provider.is_empty()) {
            (false, _) => Storage::Oci,
            (true, false) => Storage::Blob,
            (true, true) => Storage::OciForWantOfStore,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_come_before_size() {
        let policy = StoragePolicy {
            force_oci_patterns: vec!["config/**".to_owned()],
            force_blob_patterns: vec!["**/*.{h5,parquet}".to_owned(), "config/*".to_owned()],
            provider: "s3".to_owned(),
            ..StoragePolicy::default()
        };
        for (path, size, storage) in [
            ("config/huge.yaml", u64::MAX, Storage::Oci),
            ("data/a.h5", 1, Storage::Blob),
            ("a.parquet", 1, Storage::Blob),
            ("data/a.csv", DEFAULT_THRESHOLD_BYTES - 1, Storage::Oci),
            ("data/a.csv", DEFAULT_THRESHOLD_BYTES, Storage::Blob),
        ] {
            assert_eq!(policy.place(&path.parse().unwrap(), size), storage, "{path}");
        }
        let path = "data/a.h5".parse().unwrap();
        let without_store = StoragePolicy { provider: String::new(), ..policy.clone() };
        assert_eq!(without_store.place(&path, 1), Storage::OciForWantOfStore);
        let inline = StoragePolicy { mode: StorageMode::OciOnly, ..policy };
        assert_eq!(inline.place(&path, u64::MAX), Storage::Oci);
    }
}

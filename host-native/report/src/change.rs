//! Paths that differ, or cannot be compared.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

/// A path, and what became of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SeenChange {
    /// The path.
    pub path: String,
    /// What became of it.
    pub change: Cow<'static, str>,
}

/// One path that differs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ChangeReport<'a> {
    /// The path.
    #[serde(borrow)]
    pub path: Cow<'a, str>,
    /// How it differs, by a name of the three-way rules, such as `modified_local`.
    pub change: Cow<'static, str>,
    /// The project's file.
    pub local: Option<FileReport>,
    /// The remote's file; its size is unknown where only what was last agreed on is.
    pub remote: Option<FileReport>,
}

/// One side's file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FileReport {
    /// The digest of its content.
    pub digest: String,
    /// Its size in bytes.
    pub size: Option<u64>,
    /// Whether it may be run; absent where the bundle does not say.
    pub executable: Option<bool>,
}

/// One path that cannot be read.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct UnreadableReport {
    /// The path.
    pub path: String,
    /// Why not.
    pub reason: String,
}

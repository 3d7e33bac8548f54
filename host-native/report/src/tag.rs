//! The document of `tag`.

use serde::{Deserialize, Serialize};

/// The document of `tag`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TagReport {
    /// The bundle, as it was named.
    #[serde(rename = "ref")]
    pub reference: String,
    /// Its digest.
    pub digest: String,
    /// The tags that were to name it.
    pub tags: Vec<NamedTagReport>,
    /// Whether any of them was, or would be, written.
    pub changed: bool,
    /// HTTP requests made.
    pub requests: u64,
    /// Whether nothing was written.
    pub dry_run: bool,
}

/// One tag.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct NamedTagReport {
    /// Its name.
    pub tag: String,
    /// What it named before; absent where it is new.
    pub before: Option<String>,
    /// Whether it was, or would be, written.
    pub changed: bool,
}

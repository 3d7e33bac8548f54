//! The document of `delete`.

use serde::{Deserialize, Serialize};

/// The document of `delete`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DeleteReport {
    /// What was named.
    #[serde(rename = "ref")]
    pub reference: String,
    /// The bundle that it is, or was the name of; absent where a registry has lost its manifest.
    pub digest: Option<String>,
    /// The tags that are, or would be, gone.
    pub tags: Vec<String>,
    /// The tags that name the bundle still.
    pub others: Vec<String>,
    /// Whether the bundle itself is, or would be, gone.
    pub manifest: bool,
    /// HTTP requests made.
    pub requests: u64,
    /// Whether nothing was deleted.
    pub dry_run: bool,
}

//! The document of `repos`.

use serde::{Deserialize, Serialize};

/// The document of `repos`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ReposReport {
    /// The registry.
    pub host: String,
    /// The namespace that was asked for.
    pub namespace: Option<String>,
    /// The names of its repositories, sorted.
    pub repositories: Vec<String>,
    /// How many there are beyond those that are listed.
    pub more: usize,
    /// HTTP requests made.
    pub requests: u64,
}

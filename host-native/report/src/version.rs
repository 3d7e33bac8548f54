//! The bundle that a project is at.

use serde::{Deserialize, Serialize};

/// The bundle that a project is at.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AtReport {
    /// Its digest.
    pub digest: String,
    /// Its version, if it has one.
    pub version: Option<String>,
}

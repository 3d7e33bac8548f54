//! The document of `add`.

use serde::{Deserialize, Serialize};

/// The document of `add`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AddReport {
    /// Paths that were not tracked before.
    pub added: Vec<String>,
    /// How many of the files named were tracked already.
    pub already_tracked: usize,
    /// How many were skipped because of an ignore rule.
    pub ignored: u64,
    /// How many were left out because no bundle can hold them, or they cannot be read.
    pub left_out: usize,
    /// Whether it was only looked at.
    pub dry_run: bool,
}

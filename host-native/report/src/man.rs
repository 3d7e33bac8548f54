//! The document of `man`.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// The document of `man`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ManReport {
    /// The folder.
    pub folder: PathBuf,
    /// How many pages were, or would be, written.
    pub pages: usize,
    /// Whether nothing was written.
    pub dry_run: bool,
}

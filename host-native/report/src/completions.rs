//! The document of `completions`.

use serde::{Deserialize, Serialize};

/// The document of `completions`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CompletionsReport {
    /// The shell.
    pub shell: String,
    /// What it has to run.
    pub script: String,
}

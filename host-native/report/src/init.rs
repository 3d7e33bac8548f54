//! The document of `init`.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// The document of `init`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct InitReport {
    /// The project's top folder.
    pub root: PathBuf,
    /// Its remote, without a tag.
    #[serde(rename = "ref")]
    pub reference: String,
    /// The tag that counts where none is named.
    pub tag: String,
    /// Whether the folder was a project before.
    pub existed: bool,
    /// Whether `.gitignore` was, or would be, created or changed.
    pub gitignore_changed: bool,
    /// Whether nothing was made or changed.
    pub dry_run: bool,
}

//! The kinds of settings that a project has, and what they are where nothing is set. Their file: [`super::config`].

use serde::{Deserialize, Serialize};

/// How files get from the content store into a project.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LinkMode {
    /// The cheapest of the others that is safe and works.
    #[default]
    Auto,
    /// Plain copies.
    Copy,
    /// Further names of the stored file.
    Hardlink,
    /// Copies that share their blocks until one is written.
    Reflink,
    /// Links that point into the store.
    Symlink,
}

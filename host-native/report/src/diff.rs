//! The document of `diff`.

use serde::{Deserialize, Serialize};

use crate::{ChangeReport, UnreadableReport};

/// The document of `diff`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DiffReport<'a> {
    /// What is compared with: the old side.
    pub from: String,
    /// What is compared: the new side; `project` where it is the files on disk.
    pub to: String,
    /// Every path that differs. `local` is the new side, `remote` the old one.
    #[serde(borrow)]
    pub changes: Vec<DiffChange<'a>>,
    /// Tracked paths that cannot be read, and so are not compared; with `--patch` also those that differ and cannot be
    /// read, which have no patch.
    pub unreadable: Vec<UnreadableReport>,
    /// HTTP requests made, to both places.
    pub requests: u64,
}

/// One path that differs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DiffChange<'a> {
    /// The path, and the file of each side.
    #[serde(borrow, flatten)]
    pub change: ChangeReport<'a>,
    /// What makes the old file the new one, where that was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub patch: Option<String>,
}

//! The document of `remove`.

use serde::{Deserialize, Serialize};

/// The document of `remove`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RemoveReport {
    /// Paths that are no longer tracked.
    pub removed: Vec<String>,
    /// Those of them that are, or would be, deleted from disk.
    pub deleted: Vec<String>,
    /// Paths of which older content is not kept for `undo` any longer.
    pub expired: Vec<String>,
    /// Whether they were deleted from disk.
    pub deleted_from_disk: bool,
    /// Whether it was only looked at.
    pub dry_run: bool,
}

//! The document of `pull`, and of `import --dest`.

use serde::{Deserialize, Serialize};

use crate::{AtReport, SeenChange};

/// The document of `pull`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PullReport {
    /// The bundle, as it was named.
    #[serde(rename = "ref")]
    pub reference: String,
    /// Its digest.
    pub digest: String,
    /// The tree digest of its files.
    pub tree: String,
    /// What came, or would come.
    pub downloaded: DownloadedReport,
    /// Paths that are, or would be, put in place.
    pub written: Vec<String>,
    /// Those of them at which a file was, or would be, replaced.
    pub replaced: Vec<String>,
    /// Paths that are, or would be, removed.
    pub deleted: Vec<String>,
    /// Files that were not tracked, have the bundle's content and are, or would be, tracked as they are.
    pub adopted: Vec<String>,
    /// Paths that are, or would be, no longer tracked, since no file is there on either side.
    pub untracked: Vec<String>,
    /// The paths at which the project stays different from the bundle.
    pub kept: Vec<SeenChange>,
    /// Paths of which older content is not kept for `undo` any longer.
    pub expired: Vec<String>,
    /// Paths that the bundle has and that stay deleted here.
    pub left_deleted: Vec<String>,
    /// The tree digest of the files that the project tracks then.
    pub local_tree: String,
    /// The bundle that the project leaves behind, which the one that comes is not built on; absent where there is none.
    pub leaves: Option<AtReport>,
    /// HTTP requests made.
    pub requests: u64,
    /// Whether it was only looked at.
    pub dry_run: bool,
}

/// What came, or on a dry run would come, from the remote.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DownloadedReport {
    /// Files whose content came.
    pub files: u64,
    /// Blobs of which something came.
    pub blobs: u64,
    /// Bytes that came.
    pub bytes: u64,
}

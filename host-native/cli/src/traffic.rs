//! What goes over the wire, in documents and in words.

use serde::Serialize;

use super::ui::{bytes, counted};
use modelops_bundle::transfer::Copied;

/// A number of blobs.
#[derive(Clone, Copy, Serialize)]
pub(super) struct BlobsReport {
    /// How many.
    pub(super) blobs: u64,
    /// Their bytes.
    pub(super) bytes: u64,
}

impl From<Copied> for BlobsReport {
    fn from(Copied { blobs, bytes }: Copied) -> Self {
        Self { blobs, bytes }
    }
}

impl std::fmt::Display for BlobsReport {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}, {}", counted(self.blobs as usize, "blob"), bytes(self.bytes))
    }
}

/// What was, or would be, brought to a remote: `sent` says in words how much was sent; absent where nothing was.
pub(super) fn traffic(sent: Option<String>, mounted: BlobsReport) -> String {
    match (sent, mounted.blobs) {
        (None, 0) => "everything is there already".to_owned(),
        (None, _) => format!("nothing to send; {mounted} mounted from another repository"),
        (Some(sent), 0) => sent,
        (Some(sent), _) => format!("{sent}; {mounted} mounted from another repository"),
    }
}

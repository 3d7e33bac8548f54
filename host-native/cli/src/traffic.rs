//! What goes over the network, in words.

use super::ui::{bytes, counted};
use modelops_bundle::transfer::Copied;
use modelops_bundle_report::BlobsReport;

/// A number of blobs, for a document.
pub(super) fn blobs(Copied { blobs, bytes }: Copied) -> BlobsReport {
    BlobsReport { blobs, bytes }
}

/// A number of blobs, in words.
pub(super) fn blobs_in_words(amount: BlobsReport) -> String {
    format!("{}, {}", counted(amount.blobs as usize, "blob"), bytes(amount.bytes))
}

/// What was, or would be, sent; absent where that is nothing.
pub(super) fn sent_in_words(sent: BlobsReport) -> Option<String> {
    (sent.blobs > 0).then(|| blobs_in_words(sent))
}

/// What was, or would be, brought to a remote: `sent` says in words how much was sent; absent where nothing was.
pub(super) fn traffic(sent: Option<String>, mounted: BlobsReport) -> String {
    let mounted_blobs = blobs_in_words(mounted);
    match (sent, mounted.blobs) {
        (None, 0) => "everything is there already".to_owned(),
        (None, _) => format!("nothing to send; {mounted_blobs} mounted from another repository"),
        (Some(sent), 0) => sent,
        (Some(sent), _) => format!("{sent}; {mounted_blobs} mounted from another repository"),
    }
}

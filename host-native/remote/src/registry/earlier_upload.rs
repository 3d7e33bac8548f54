//! Uploads that an earlier run has left: they are taken up where they stopped.
//!
//! A registry is never trusted to have what was kept of it: it is asked, and where it knows nothing of an upload, or
//! refuses what that comes to, the blob is sent from its start.

use std::io::Read as _;
use std::path::Path;

use bundle_core::bundle::descriptor::Descriptor;
use bundle_core::digest::Digest;

use super::client::Client;
use super::session::{self, Asked, Session, WORTH_RESUMING_BYTES};
use crate::threads::on_disk;
use crate::unfinished::{Content, HEAD_BYTES};
use crate::{BlobContent, BlobSource};

/// The upload of a blob that an earlier run has left, as far as the registry has it.
pub(super) async fn take_up(
    client: &Client,
    what: &str,
    descriptor: &Descriptor,
    source: &BlobSource,
) -> Option<Session> {
    if descriptor.size < WORTH_RESUMING_BYTES || !client.kept.broke_off() {
        return None;
    }
    let session = find(client, descriptor, source).await?;
    let mut budget = client.budget();
    loop {
        let failure = match session::ask(client, what, &session, descriptor.size).await {
            Ok(Asked::Has(session)) => return Some(session),
            Ok(Asked::Nothing | Asked::Unknown) => return None,
            Err(failure) => failure,
        };
        if let Err(error) = budget.spend(failure).await {
            // If that holds for more than this upload, the next request says so.
            tracing::debug!(%error, "an upload of an earlier run cannot be asked about");
            return None;
        }
    }
}

/// Finds what was kept of the upload of a blob, by its digest, or by how it begins.
async fn find(client: &Client, descriptor: &Descriptor, source: &BlobSource) -> Option<Session> {
    let blob = Content::Blob(descriptor.digest);
    if let Some(url) = client.kept.take(&client.repository, &blob) {
        return Some(Session::of_earlier_run(url));
    }
    let BlobContent::OwnFile(path) = &source.content else { return None };
    let head = head(path).await?;
    let url = client.kept.take(&client.repository, &head)?;
    client.kept.rename(&head, &blob);
    Some(Session::of_earlier_run(url))
}

/// What a file begins with, where it has as much.
pub(super) async fn head(path: &Path) -> Option<Content> {
    let path = path.to_owned();
    let read = on_disk(move || {
        let mut head = Vec::with_capacity(HEAD_BYTES);
        std::fs::File::open(path).ok()?.take(HEAD_BYTES as u64).read_to_end(&mut head).ok()?;
        (head.len() == HEAD_BYTES).then(|| Content::Head(Digest::of(&head)))
    });
    read.await.ok().flatten()
}

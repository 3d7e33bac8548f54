//! Uploads that outlive a run: those under way are kept, and those that an earlier run has left are taken up.
//!
//! A registry is never trusted to have what was kept of it: it is asked, and where it knows nothing of an upload, or
//! refuses what that comes to, the blob is sent from its start.

use std::io::Read as _;
use std::path::Path;
use std::sync::Arc;

use bundle_core::bundle::descriptor::Descriptor;
use bundle_core::digest::Digest;
use bundle_core::name::reference::Place;

use super::address::{self, Repository};
use super::client::Client;
use super::upload::{self, Asked, Session, WORTH_RESUMING_BYTES};
use crate::threads::on_disk;
use crate::unfinished::{Content, HEAD_BYTES, Unfinished};
use crate::{BlobContent, BlobSource, RemoteOptions};

/// What is kept of the uploads to one repository.
#[derive(Debug)]
pub(super) struct Left {
    unfinished: Arc<dyn Unfinished>,
    place: Place,
}

impl Left {
    pub(super) fn new(repository: &Repository, options: &RemoteOptions) -> Self {
        let place = Place::Repository { host: repository.host.clone(), name: repository.name.clone() };
        Self { unfinished: Arc::clone(&options.unfinished), place }
    }

    /// Whether an earlier run broke off that had begun to send something large.
    pub(super) fn broke_off(&self) -> bool {
        self.unfinished.broke_off(&self.place)
    }

    /// Keeps an upload as it is now.
    pub(super) fn keep(&self, content: &Content, session: &Session) {
        self.unfinished.keep(&self.place, content, session.url.as_str(), session.offset);
    }

    /// The upload of a blob has become known by its digest.
    pub(super) fn rename(&self, from: &Content, to: &Content) {
        self.unfinished.rename(&self.place, from, to);
    }

    /// An upload is at its end.
    pub(super) fn forget(&self, content: &Content) {
        self.unfinished.forget(&self.place, content);
    }

    /// Nothing that is left is of use any more.
    pub(super) fn finish(&self) {
        self.unfinished.finish(&self.place);
    }

    /// The session that was kept of an upload of `content`, whatever has become of it.
    fn take(&self, repository: &Repository, content: &Content) -> Option<Session> {
        let url = self.unfinished.take(&self.place, content)?;
        // A `Location` that has just come was vouched for by the registry; for this one a file alone speaks, which may come
        // from anybody. So it leads to the registry itself or is dropped.
        let uploads = repository.uploads();
        let url = address::resolve(&uploads, &url).ok()?;
        (url.origin() == uploads.origin()).then(|| Session::left(url))
    }
}

/// The upload of a blob that an earlier run has left, as far as the registry has it.
pub(super) async fn take_up(
    client: &Client,
    what: &str,
    descriptor: &Descriptor,
    source: &BlobSource,
) -> Option<Session> {
    if descriptor.size < WORTH_RESUMING_BYTES || !client.left.broke_off() {
        return None;
    }
    let session = find(client, descriptor, source).await?;
    let mut budget = client.budget();
    loop {
        let failure = match upload::ask(client, what, &session, descriptor.size).await {
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
    if let Some(session) = client.left.take(&client.repository, &blob) {
        return Some(session);
    }
    let BlobContent::OwnFile(path) = &source.content else { return None };
    let head = head(path).await?;
    let session = client.left.take(&client.repository, &head)?;
    client.left.rename(&head, &blob);
    Some(session)
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

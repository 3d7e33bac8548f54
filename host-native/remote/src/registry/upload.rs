//! Sends a blob: opens an upload, puts all of it in one request, and goes on where it stopped when that breaks.
//!
//! <https://github.com/opencontainers/distribution-spec/blob/v1.1.0/spec.md#post-then-put>; what is left of a broken
//! upload, and what is too large for one request, goes in chunks (`#pushing-a-blob-in-chunks`).

use bundle_core::bundle::descriptor::Descriptor;
use bundle_core::digest::Digest;
use reqwest::header::{CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, LOCATION, RANGE};
use reqwest::{Method, Response, Url};

use super::address;
use super::call::{Call, Payload, text};
use super::client::Client;
use super::left;
use super::mount::{self, Opened};
use super::outgoing::Outgoing;
use super::retry::{Budget, Failure, PROGRESS_BYTES};
use super::{CONTENT_DIGEST, find};
use crate::error::{BlobError, RegistryError};
use crate::{BlobSource, Content, RemoteError, Stored, blob};

/// From where on a broken upload is worth the question how far it came.
pub(super) const WORTH_RESUMING_BYTES: u64 = 2 << 20;

/// The least that a registry wants a chunk to have.
const CHUNK_MIN_LENGTH: &str = "oci-chunk-min-length";

/// How far an upload has come.
#[derive(Debug)]
pub(super) enum Stage {
    /// The registry knows of none.
    Closed,
    /// It takes bytes.
    Open(Session),
    /// It took bytes, nobody knows how many.
    Broken(Session),
}

/// An upload that the registry has opened.
#[derive(Clone, Debug)]
pub(super) struct Session {
    /// Where its next request goes. The query may hold a signature.
    pub(super) url: Url,
    /// How many bytes the registry has of it.
    pub(super) offset: u64,
    /// The least that the registry wants a chunk to have; 0 where it does not say.
    least_chunk: u64,
    past: Past,
}

/// What an upload has been through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Past {
    /// It has just been opened.
    Opened,
    /// The registry was asked how far it came.
    Resumed,
    /// An earlier run has left it; the registry was asked as well.
    Left,
}

/// What a registry says of an upload.
#[derive(Debug)]
pub(super) enum Asked {
    /// It can go on there.
    Has(Session),
    /// It has nothing of it that counts.
    Nothing,
    /// It does not know it, or does not say.
    Unknown,
}

/// Sends a blob, from where it stopped or from the start, where it fails and may succeed later. Where an earlier run has
/// left an upload of it, that one goes on.
///
/// The first `counted` bytes of it went out before and are not counted again.
pub(super) async fn push(
    client: &Client,
    descriptor: &Descriptor,
    source: BlobSource,
    counted: u64,
    stage: Stage,
) -> Result<Stored, RemoteError> {
    let what = format!("the upload of {}", blob::name(descriptor));
    let (mut stage, mut left_bytes) = (stage, 0);
    if matches!(stage, Stage::Closed)
        && let Some(session) = left::take_up(client, &what, descriptor, &source).await
    {
        left_bytes = session.offset;
        stage = Stage::Open(session);
    }
    let outgoing = Outgoing::new(descriptor.clone(), source, counted);
    outgoing.begin_at(left_bytes);
    Upload { client, what, outgoing, stage, budget: client.budget(), kept: 0, asked: 0 }.finish().await
}

struct Upload<'a> {
    client: &'a Client,
    what: String,
    outgoing: Outgoing,
    stage: Stage,
    budget: Budget,
    /// How many bytes the registry was known to have when the tries were counted anew.
    kept: u64,
    /// How many bytes the last request was to carry.
    asked: u64,
}

impl Upload<'_> {
    async fn finish(mut self) -> Result<Stored, RemoteError> {
        loop {
            match self.go_on().await {
                Ok(stored) => {
                    if self.is_kept() {
                        self.client.left.forget(&self.content());
                    }
                    return Ok(stored);
                }
                Err(failure) => self.recover(failure).await?,
            }
        }
    }

    /// What a later run knows it by.
    fn content(&self) -> Content {
        Content::Blob(self.outgoing.descriptor().digest)
    }

    /// Whether a later run is to go on with it.
    fn is_kept(&self) -> bool {
        self.outgoing.descriptor().size >= WORTH_RESUMING_BYTES
    }

    /// It goes on there next.
    fn opened(&mut self, session: &Session) {
        if self.is_kept() {
            self.client.left.keep(&self.content(), session);
        }
        self.stage = Stage::Open(session.clone());
    }

    /// Sends what is left, from wherever that is.
    async fn go_on(&mut self) -> Result<Stored, Failure> {
        let size = self.outgoing.descriptor().size;
        if let Stage::Broken(session) = &self.stage {
            // With all bytes sent, perhaps only the answer got lost.
            let reached = session.offset.max(self.outgoing.position());
            let descriptor = self.outgoing.descriptor();
            if reached == size && find::find(self.client, descriptor).await.unwrap_or(false) {
                return Ok(Stored::Sent);
            }
            self.stage = match resume(self.client, &self.what, session, reached, size).await? {
                Some(session) => Stage::Open(session),
                None => Stage::Closed,
            };
        }
        let mut session = match &self.stage {
            Stage::Open(session) => session.clone(),
            Stage::Broken(_) | Stage::Closed => {
                match mount::open(self.client, &self.what, self.outgoing.descriptor()).await? {
                    Opened::Mounted => return Ok(Stored::Mounted),
                    Opened::Upload(session) => {
                        self.outgoing.begin_at(0);
                        session
                    }
                }
            }
        };
        self.opened(&session);
        if session.offset >= self.kept + PROGRESS_BYTES {
            self.kept = session.offset;
            self.budget.refill();
        }
        let largest = self.client.uploads.largest_request().max(session.least_chunk);
        if session.offset == 0 && size <= largest {
            self.asked = size;
            let all = Payload::Blob(self.outgoing.part(0..size));
            close(self.client, session.url, &self.what, self.outgoing.descriptor(), all).await?;
            return Ok(Stored::Sent);
        }
        while session.offset < size {
            session = self.send_chunk(session, largest).await?;
            self.opened(&session);
        }
        self.asked = 0;
        close(self.client, session.url, &self.what, self.outgoing.descriptor(), Payload::Nothing).await?;
        Ok(Stored::Sent)
    }

    /// Sends the next `largest` bytes, or what is left.
    async fn send_chunk(&mut self, session: Session, largest: u64) -> Result<Session, Failure> {
        let (start, size) = (session.offset, self.outgoing.descriptor().size);
        let end = size.min(start.saturating_add(largest));
        self.asked = end - start;
        let mut call = Call::new(Method::PATCH, session.url.clone(), &*self.what)
            .with_header(CONTENT_TYPE, "application/octet-stream")?
            .with_header(CONTENT_RANGE, &format!("{start}-{}", end - 1))?
            .with_header(CONTENT_LENGTH, &self.asked.to_string())?;
        call.payload = Payload::Blob(self.outgoing.part(start..end));
        let taken = self.client.attempt(&call).await?;
        self.client.refuse_web_page(taken.headers())?;
        Ok(Session { url: next(&call, &taken)?, offset: end, ..session })
    }

    /// Makes of a failure where the next try begins, and waits for it.
    ///
    /// # Errors
    ///
    /// Gives the failure's error back where another try makes no sense.
    async fn recover(&mut self, failure: Failure) -> Result<(), RemoteError> {
        let session = match std::mem::replace(&mut self.stage, Stage::Closed) {
            Stage::Closed => return self.budget.spend(failure).await,
            Stage::Open(session) | Stage::Broken(session) => session,
        };
        let past = session.past;
        match self.recover_from(failure, session).await {
            // Whatever an earlier run has left may be wrong in a way that a fresh upload is not.
            Err(error) if past == Past::Left && !super::retry::passes(&error) && !is_of_this_side(&error) => {
                tracing::debug!(%error, "an upload of an earlier run is given up");
                self.stage = Stage::Closed;
                Ok(())
            }
            recovered => recovered,
        }
    }

    async fn recover_from(&mut self, failure: Failure, session: Session) -> Result<(), RemoteError> {
        let status = match &failure.error {
            // What the blob is read from may be gone as well, and is called otherwise.
            RemoteError::Missing { what } if *what == self.what => Some(404),
            RemoteError::Registry(
                RegistryError::Elsewhere { status, .. } | RegistryError::Status { status, .. },
            ) => Some(*status),
            _ => None,
        };
        match status {
            Some(413) if self.client.uploads.note_too_large(self.asked, session.least_chunk) => {
                tracing::debug!(bytes = self.asked, "too large for one request");
                self.stage = Stage::Broken(session);
                Ok(())
            }
            // It said how far it came and does not take the rest.
            Some(400..=499) if session.past == Past::Resumed && !super::retry::passes(&failure.error) => {
                self.client.uploads.note_uploads_forgotten();
                self.budget.spend_on(failure).await
            }
            // It forgot what it opened.
            Some(404) => self.budget.spend_on(failure).await,
            // It has more or less of it than was thought.
            Some(416) => {
                self.stage = Stage::Broken(session);
                self.budget.spend_on(failure).await
            }
            _ => {
                self.stage = Stage::Broken(session);
                self.budget.spend(failure).await
            }
        }
    }
}

/// Whether what was to be sent is at fault.
fn is_of_this_side(error: &RemoteError) -> bool {
    matches!(error, RemoteError::Blob(BlobError::ChangedWhileRead { .. }) | RemoteError::Io { .. })
}

/// Opens an upload.
pub(super) async fn open(client: &Client, what: &str) -> Result<Session, Failure> {
    let call = Call::new(Method::POST, client.repository.uploads(), what).with_header(CONTENT_LENGTH, "0")?;
    let opened = client
        .attempt(&call)
        .await
        .map_err(|failure| Failure { error: refused(client, failure.error), ..failure })?;
    client.refuse_web_page(opened.headers())?;
    if opened.status().as_u16() != 202 {
        return Err(call.fault("the registry does not open one").into());
    }
    client.hidden.wrote();
    Ok(Session::opened(&call, &opened)?)
}

/// What the refusal of the first thing that is sent says of the repository.
pub(super) fn refused(client: &Client, error: RemoteError) -> RemoteError {
    let (host, name) = (client.repository.host.clone(), client.repository.name.clone());
    match error {
        RemoteError::Missing { .. } => RemoteError::Registry(RegistryError::NoRepository { host, name }),
        RemoteError::Registry(RegistryError::Status { status: 405 | 501, .. }) => {
            RemoteError::Registry(RegistryError::TakesNoPushes { host, name })
        }
        error => error,
    }
}

impl Session {
    /// What the `answer` to the first request of an upload says of it.
    pub(super) fn opened(call: &Call<'_>, answer: &Response) -> Result<Self, RemoteError> {
        let least_chunk = text(answer.headers(), CHUNK_MIN_LENGTH).and_then(|length| length.parse().ok());
        let least_chunk = least_chunk.unwrap_or_default();
        Ok(Self { url: next(call, answer)?, offset: 0, least_chunk, past: Past::Opened })
    }

    /// One that an earlier run has left, of which nothing else is known.
    pub(super) fn left(url: Url) -> Self {
        Self { url, offset: 0, least_chunk: 0, past: Past::Left }
    }
}

/// Asks how much the registry has of an upload of which `reached` bytes were sent and that may have `size` in all;
/// `None` where it is better begun anew.
pub(super) async fn resume(
    client: &Client,
    what: &str,
    session: &Session,
    reached: u64,
    size: u64,
) -> Result<Option<Session>, Failure> {
    if reached < WORTH_RESUMING_BYTES || !client.uploads.may_keep_uploads() {
        return Ok(None);
    }
    match ask(client, what, session, size).await? {
        Asked::Has(session) => Ok(Some(session)),
        Asked::Nothing => Ok(None),
        Asked::Unknown => {
            // One that had everything may be gone because it could not be finished.
            if reached < size {
                client.uploads.note_uploads_forgotten();
            }
            Ok(None)
        }
    }
}

/// Asks how much the registry has of an upload that may have `size` bytes in all.
///
/// <https://github.com/opencontainers/distribution-spec/blob/v1.1.0/spec.md#pushing-a-blob-in-chunks>, its last part.
pub(super) async fn ask(client: &Client, what: &str, session: &Session, size: u64) -> Result<Asked, Failure> {
    let mut call = Call::new(Method::GET, session.url.clone(), what);
    call.accepted = &[400, 404, 405, 410, 416, 501];
    let answer = client.attempt(&call).await?;
    let offset = match answer.status().as_u16() {
        202 | 204 => text(answer.headers(), RANGE).and_then(held),
        _ => None,
    };
    match offset {
        // `Range: 0-0` means nothing or one byte: count it as nothing.
        Some(0 | 1) => Ok(Asked::Nothing),
        Some(offset) if offset <= size => {
            tracing::debug!(offset, "an upload goes on where it stopped");
            let url = match text(answer.headers(), LOCATION) {
                Some(_) => next(&call, &answer)?,
                None => session.url.clone(),
            };
            let past = if session.past == Past::Left { Past::Left } else { Past::Resumed };
            Ok(Asked::Has(Session { url, offset, past, ..session.clone() }))
        }
        Some(_) | None => Ok(Asked::Unknown),
    }
}

/// How many bytes a `Range` of an upload says the registry has: `0-999`, as some write it `bytes=0-999`.
fn held(range: &str) -> Option<u64> {
    let (first, last) = range.trim().trim_start_matches("bytes=").split_once('-')?;
    if first != "0" {
        return None;
    }
    last.parse::<u64>().ok()?.checked_add(1)
}

/// Sends the last bytes of an upload to `url`, and says what they are the last of.
pub(super) async fn close(
    client: &Client,
    mut url: Url,
    what: &str,
    descriptor: &Descriptor,
    rest: Payload<'_>,
) -> Result<(), Failure> {
    // What else the query holds is the registry's own state and goes back as it came.
    url.query_pairs_mut().append_pair("digest", &descriptor.digest.to_string());
    let length = if matches!(rest, Payload::Nothing) { 0 } else { descriptor.size };
    let mut call = Call::new(Method::PUT, url, what)
        .with_header(CONTENT_TYPE, "application/octet-stream")?
        .with_header(CONTENT_LENGTH, &length.to_string())?;
    call.payload = rest;
    let stored = client.attempt(&call).await?;
    client.refuse_web_page(stored.headers())?;
    if stored.status().as_u16() == 202 {
        return Err(call.fault("the registry does not finish it").into());
    }
    let declared = text(stored.headers(), CONTENT_DIGEST).and_then(|digest| digest.parse::<Digest>().ok());
    match declared {
        Some(actual) if actual != descriptor.digest => {
            let (what, expected) = (blob::name(descriptor), descriptor.digest);
            Err(RemoteError::Blob(BlobError::Digest { what, expected, actual }).into())
        }
        _ => Ok(()),
    }
}

/// Where the next request of an upload goes.
pub(super) fn next(call: &Call<'_>, answer: &Response) -> Result<Url, RemoteError> {
    let location = text(answer.headers(), LOCATION).ok_or_else(|| call.fault("it leads nowhere"))?;
    // As seen from where the answer came: the request may have been redirected.
    address::resolve(answer.url(), location).map_err(|fault| call.misled(answer.url(), fault))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_registry_says_how_much_it_has() {
        for (range, bytes) in [
            ("0-999", Some(1000)),
            ("bytes=0-999", Some(1000)),
            ("0-0", Some(1)),
            ("5-999", None),
            ("0-", None),
            ("0--1", None),
            ("0-18446744073709551615", None),
            ("", None),
        ] {
            assert_eq!(held(range), bytes, "{range}");
        }
    }
}

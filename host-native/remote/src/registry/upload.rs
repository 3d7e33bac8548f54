//! Sends a blob: opens an upload, puts all of it in one request, and goes on where it stopped when that breaks.
//!
//! <https://github.com/opencontainers/distribution-spec/blob/v1.1.0/spec.md#post-then-put>; what is left of a broken
//! upload, and what is too large for one request, goes in chunks (`#pushing-a-blob-in-chunks`).

use bundle_core::bundle::descriptor::Descriptor;
use reqwest::Method;
use reqwest::header::{CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE};

use super::client::Client;
use super::earlier_upload;
use super::find;
use super::mount::{self, Opened};
use super::outgoing::Outgoing;
use super::request::{Payload, Request};
use super::retry::{Budget, Failure, PROGRESS_BYTES};
use super::session::{self, Past, Session, Stage, WORTH_RESUMING_BYTES};
use crate::error::{BlobError, RegistryError};
use crate::{BlobSource, Content, RemoteError, Stored, blob};

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
        && let Some(session) = earlier_upload::take_up(client, &what, descriptor, &source).await
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
                        self.client.kept.forget(&self.content());
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
            self.client.kept.keep(&self.content(), &session.url, session.offset);
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
            self.stage = match session::resume(self.client, &self.what, session, reached, size).await? {
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
        let largest = self.client.capabilities.largest_request().max(session.least_chunk);
        if session.offset == 0 && size <= largest {
            self.asked = size;
            let all = self.outgoing.part(0..size);
            let descriptor = self.outgoing.descriptor();
            session::close(self.client, session.url, &self.what, descriptor, Payload::Stream(&all)).await?;
            return Ok(Stored::Sent);
        }
        while session.offset < size {
            session = self.send_chunk(session, largest).await?;
            self.opened(&session);
        }
        self.asked = 0;
        session::close(self.client, session.url, &self.what, self.outgoing.descriptor(), Payload::Nothing)
            .await?;
        Ok(Stored::Sent)
    }

    /// Sends the next `largest` bytes, or what is left.
    async fn send_chunk(&mut self, session: Session, largest: u64) -> Result<Session, Failure> {
        let (start, size) = (session.offset, self.outgoing.descriptor().size);
        let end = size.min(start.saturating_add(largest));
        self.asked = end - start;
        let mut request = Request::new(Method::PATCH, session.url.clone(), &*self.what)
            .with_header(CONTENT_TYPE, "application/octet-stream")?
            .with_header(CONTENT_RANGE, &format!("{start}-{}", end - 1))?
            .with_header(CONTENT_LENGTH, &self.asked.to_string())?;
        let part = self.outgoing.part(start..end);
        request.payload = Payload::Stream(&part);
        let taken = self.client.attempt(&request).await?;
        self.client.refuse_web_page(taken.headers())?;
        Ok(Session { url: session::next(&request, &taken)?, offset: end, ..session })
    }

    /// Finds out where the next try begins after a failure, and waits for it.
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
            Err(error)
                if past == Past::EarlierRun && !super::retry::passes(&error) && !is_of_this_side(&error) =>
            {
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
            Some(413) if self.client.capabilities.note_too_large(self.asked, session.least_chunk) => {
                tracing::debug!(bytes = self.asked, "too large for one request");
                self.stage = Stage::Broken(session);
                Ok(())
            }
            // It said how far it came and does not take the rest.
            Some(400..=499) if session.past == Past::Resumed && !super::retry::passes(&failure.error) => {
                self.client.capabilities.note_uploads_forgotten();
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

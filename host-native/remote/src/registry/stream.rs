//! Sends a blob while it is still being written: opens an upload, streams what there is, then gives it its digest.
//!
//! <https://github.com/opencontainers/distribution-spec/blob/v1.1.0/spec.md#pushing-a-blob-in-chunks>: one chunk of
//! unknown length, as the Docker engine sends its layers, so that registries take it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use futures_util::{FutureExt as _, StreamExt as _, stream};
use reqwest::Method;
use reqwest::header::CONTENT_TYPE;

use super::client::Client;
use super::earlier_upload;
use super::file_pieces::{FilePieces, PIECE_BYTES};
use super::find;
use super::outgoing;
use super::request::{Body, Payload, Pieces, Request};
use super::retry::{self, Failure, PROGRESS_BYTES};
use super::session::{self, Session, Stage};
use super::upload;
use crate::error::{ConnectionError, RegistryError};
use crate::growing::GrowingFile;
use crate::unfinished::HEAD_BYTES;
use crate::{Content, RemoteError};

/// What errors call it: its digest is not known yet.
const WHAT: &str = "the upload of a growing blob";

/// Sends a blob that is still growing, from where it stopped when that breaks; as a whole where neither works.
pub(super) async fn push(client: &Client, file: GrowingFile) -> Result<(), RemoteError> {
    let (mut counted, mut stage) = (0, Stage::Closed);
    if client.capabilities.takes_streams() {
        let mut outgoing = Growing::new(file.clone());
        stage = match stream(client, &mut outgoing).await? {
            Streamed::Whole => return Ok(()),
            Streamed::UpTo(stage) => stage,
        };
        let descriptor = file.whole().await?;
        counted = outgoing.reported.load(Ordering::Relaxed);
        if let Some(head) = &outgoing.head {
            match stage {
                Stage::Closed => client.kept.forget(head),
                Stage::Open(_) | Stage::Broken(_) => {
                    client.kept.rename(head, &Content::Blob(descriptor.digest));
                }
            }
        }
        // Perhaps only the last answer got lost.
        if outgoing.sent() == descriptor.size && find::find(client, &descriptor).await.unwrap_or(false) {
            return Ok(());
        }
    }
    let descriptor = file.whole().await?;
    upload::push(client, &descriptor, file.into_source(), counted, stage).await.map(drop)
}

/// What became of a stream.
enum Streamed {
    /// The registry has the blob.
    Whole,
    /// It broke off; what is left goes in requests that have a length.
    UpTo(Stage),
}

/// Streams a blob, as long as the registry gets further with it.
///
/// # Errors
///
/// Whatever would fail alike in another way.
async fn stream(client: &Client, outgoing: &mut Growing) -> Result<Streamed, RemoteError> {
    let mut budget = client.budget();
    let mut session = None;
    loop {
        let failure = match go_on(client, outgoing, &mut session).await {
            Ok(()) => {
                if let Some(head) = &outgoing.head {
                    client.kept.forget(head);
                }
                return Ok(Streamed::Whole);
            }
            Err(failure) if is_final(&failure.error) => return Err(failure.error),
            Err(failure) => failure,
        };
        tracing::debug!(error = %failure.error, "the growing blob cannot be streamed to its end");
        if !retry::passes(&failure.error) {
            client.capabilities.note_streams_refused();
            return Ok(Streamed::UpTo(Stage::Closed));
        }
        let Some(broken) = session else { return Ok(Streamed::UpTo(Stage::Closed)) };
        if budget.spend(failure).await.is_err() {
            return Ok(Streamed::UpTo(Stage::Broken(broken)));
        }
        let resumed = match session::resume(client, WHAT, &broken, outgoing.sent(), u64::MAX).await {
            Ok(Some(resumed)) => resumed,
            Ok(None) => return Ok(Streamed::UpTo(Stage::Closed)),
            Err(_) => return Ok(Streamed::UpTo(Stage::Broken(broken))),
        };
        // A file that is whole has a length to be sent with; and what gets no further does not go this way.
        if outgoing.file.is_whole() || resumed.offset <= outgoing.start {
            return Ok(Streamed::UpTo(Stage::Open(resumed)));
        }
        if resumed.offset - outgoing.start >= PROGRESS_BYTES {
            budget.refill();
        }
        outgoing.start = resumed.offset;
        session = Some(resumed);
    }
}

/// Whether sending it in another way would fail alike.
fn is_final(error: &RemoteError) -> bool {
    matches!(
        error,
        RemoteError::Connection(
            ConnectionError::ProxySetting { .. }
                | ConnectionError::Tls { .. }
                | ConnectionError::WantsTls { .. }
        ) | RemoteError::Io { .. }
            | RemoteError::Login(_)
            | RemoteError::Registry(RegistryError::NoRepository { .. } | RegistryError::TakesNoPushes { .. })
    )
}

/// Sends what is left of the blob, and its digest.
async fn go_on(
    client: &Client,
    outgoing: &mut Growing,
    session: &mut Option<Session>,
) -> Result<(), Failure> {
    let open = match session {
        Some(session) => session,
        none => {
            let opened = session::open(client, WHAT).await?;
            if outgoing.file.length() >= HEAD_BYTES as u64 {
                outgoing.head = earlier_upload::head(outgoing.file.path()).await;
            }
            none.insert(opened)
        }
    };
    outgoing.keep(client, open);
    let mut request = Request::new(Method::PATCH, open.url.clone(), WHAT)
        .with_header(CONTENT_TYPE, "application/octet-stream")?;
    request.payload = Payload::Stream(&*outgoing);
    let taken = client.attempt(&request).await?;
    client.refuse_web_page(taken.headers())?;
    let descriptor = outgoing.file.whole().await?;
    let url = session::next(&request, &taken)?;
    open.url = url.clone();
    outgoing.keep(client, open);
    session::close(client, url, WHAT, &descriptor, Payload::Nothing).await
}

/// A growing blob on its way out.
#[derive(Debug)]
pub(super) struct Growing {
    file: GrowingFile,
    /// What a later run knows it by, where that is known.
    head: Option<Content>,
    /// The byte at which the next try begins.
    start: u64,
    /// The byte to which this try has come.
    sent: Arc<AtomicU64>,
    /// The furthest that any try has come.
    reported: Arc<AtomicU64>,
}

impl Growing {
    fn new(file: GrowingFile) -> Self {
        Self { file, head: None, start: 0, sent: Arc::default(), reported: Arc::default() }
    }

    /// Keeps its upload for a later run.
    fn keep(&self, client: &Client, session: &Session) {
        if let Some(head) = &self.head {
            client.kept.keep(head, &session.url, session.offset);
        }
    }
}

impl Body for Growing {
    fn sent(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }

    fn is_waiting(&self) -> bool {
        !self.file.is_whole() && self.sent() >= self.file.length()
    }

    fn commit_time(&self) -> Duration {
        let sent = self.sent();
        if self.file.is_whole() && sent >= self.file.length() {
            outgoing::commit_time(sent)
        } else {
            Duration::ZERO
        }
    }

    /// Streams the file as it grows, from where this try begins to its end.
    fn open(&self) -> BoxFuture<'_, Result<Pieces, RemoteError>> {
        async {
            self.sent.store(self.start, Ordering::Relaxed);
            let path = self.file.path();
            let cannot_read = |source| RemoteError::Io { action: "read", path: path.to_owned(), source };
            let input = FilePieces::open(path, self.start).await.map_err(cannot_read)?;
            let reading = Reading {
                file: self.file.clone(),
                input,
                position: self.start,
                sent: Arc::clone(&self.sent),
                reported: Arc::clone(&self.reported),
            };
            Ok(stream::try_unfold(reading, Reading::next).boxed())
        }
        .boxed()
    }
}

struct Reading {
    file: GrowingFile,
    input: FilePieces,
    position: u64,
    sent: Arc<AtomicU64>,
    reported: Arc<AtomicU64>,
}

impl Reading {
    async fn next(mut self) -> Result<Option<(Bytes, Self)>, std::io::Error> {
        let there = self.file.beyond(self.position).await.map_err(std::io::Error::other)?;
        let length = (there - self.position).min(PIECE_BYTES as u64) as usize;
        if length == 0 {
            return Ok(None);
        }
        let (piece, input) = self.input.next(length).await?;
        if piece.len() != length {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        self.input = input;
        self.position += length as u64;
        self.sent.store(self.position, Ordering::Relaxed);
        let reported = self.reported.fetch_max(self.position, Ordering::Relaxed);
        if self.position > reported {
            self.file.transferred.bytes(self.position - reported);
        }
        Ok(Some((piece, self)))
    }
}

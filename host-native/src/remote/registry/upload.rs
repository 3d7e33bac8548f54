//! Sends a blob: opens an upload, then puts all of it in one request.
//!
//! <https://github.com/opencontainers/distribution-spec/blob/v1.1.0/spec.md#post-then-put>

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bundle_core::descriptor::Descriptor;
use bundle_core::digest::Hasher;
use bytes::Bytes;
use futures_util::stream::BoxStream;
use futures_util::{StreamExt as _, stream};
use reqwest::header::{CONTENT_LENGTH, CONTENT_TYPE, LOCATION};
use reqwest::{Method, Response, Url};
use tokio_util::io::ReaderStream;

use super::address;
use super::call::{Call, Payload, text};
use super::client::Client;
use super::download;
use super::retry::Failure;
use crate::remote::{BlobContent, BlobSource, RemoteError, blob};

/// How much of a file is read and sent at a time.
pub(super) const PIECE_BYTES: usize = 512 << 10;

/// How many bytes a second a registry is trusted to check and store once it has them all.
const COMMIT_BYTES_PER_SECOND: u64 = 8 << 20;

/// Sends a blob, again from the start where it fails and may succeed later.
///
/// The first `counted` bytes of it went out before and are not counted again.
pub(super) async fn push(
    client: &Client,
    descriptor: &Descriptor,
    source: BlobSource,
    counted: u64,
) -> Result<(), RemoteError> {
    let outgoing = Outgoing::new(descriptor.clone(), source);
    outgoing.progress.reported.store(counted, Ordering::Relaxed);
    let mut budget = client.budget();
    loop {
        match put(client, &outgoing).await {
            Ok(()) => return Ok(()),
            Err(failure) => budget.spend(failure).await?,
        }
        // With all bytes sent, perhaps only the answer got lost.
        let all_sent = outgoing.sent() == outgoing.descriptor.size;
        if all_sent && download::find(client, &outgoing.descriptor).await.unwrap_or(false) {
            return Ok(());
        }
    }
}

async fn put(client: &Client, outgoing: &Outgoing) -> Result<(), Failure> {
    let what = format!("the upload of {}", blob::name(&outgoing.descriptor));
    let url = open(client, &what).await?;
    close(client, url, &what, &outgoing.descriptor, Payload::Blob(outgoing)).await
}

/// Opens an upload; says where its bytes go.
pub(super) async fn open(client: &Client, what: &str) -> Result<Url, Failure> {
    let call = Call::new(Method::POST, client.repository.uploads(), what).with_header(CONTENT_LENGTH, "0")?;
    let opened = client.attempt(&call).await?;
    if opened.status().as_u16() != 202 {
        return Err(call.fault("the registry does not open one").into());
    }
    Ok(next(&call, &opened)?)
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
    if stored.status().as_u16() == 202 {
        return Err(call.fault("the registry does not finish it").into());
    }
    Ok(())
}

/// Where the next request of an upload goes.
pub(super) fn next(call: &Call<'_>, answer: &Response) -> Result<Url, RemoteError> {
    let location = text(answer.headers(), LOCATION).ok_or_else(|| call.fault("it leads nowhere"))?;
    address::resolve(&call.url, location).map_err(|fault| call.fault(fault))
}

/// A blob on its way out.
#[derive(Debug)]
pub(super) struct Outgoing {
    descriptor: Descriptor,
    source: BlobSource,
    progress: Arc<Progress>,
}

#[derive(Debug, Default)]
struct Progress {
    /// Bytes sent in this try.
    sent: AtomicU64,
    /// The most bytes sent in any try.
    reported: AtomicU64,
    /// Why the body broke off.
    fault: Mutex<Option<RemoteError>>,
}

impl Outgoing {
    pub(super) fn new(descriptor: Descriptor, source: BlobSource) -> Self {
        Self { descriptor, source, progress: Arc::default() }
    }

    /// How many bytes this try has sent.
    pub(super) fn sent(&self) -> u64 {
        self.progress.sent.load(Ordering::Relaxed)
    }

    /// How much longer the registry may be silent: it has something to do once it has all bytes.
    pub(super) fn commit_time(&self) -> Duration {
        let size = self.descriptor.size;
        if self.sent() >= size { commit_time(size) } else { Duration::ZERO }
    }

    /// Why the body broke off, if the fault was on this side.
    pub(super) fn take_fault(&self) -> Option<RemoteError> {
        self.progress.fault.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Opens the source from the start. The stream breaks off before its last piece where the bytes are not what the
    /// descriptor says, so that they never become a complete request.
    pub(super) async fn open(
        &self,
    ) -> Result<BoxStream<'static, Result<Bytes, std::io::Error>>, RemoteError> {
        self.progress.sent.store(0, Ordering::Relaxed);
        let pieces = match &self.source.content {
            BlobContent::Bytes(bytes) => {
                blob::check_bytes(bytes, &self.descriptor)?;
                in_pieces(bytes.clone())
            }
            BlobContent::File(path) | BlobContent::OwnFile(path) => {
                let cannot_read = |source| RemoteError::Io { action: "read", path: path.clone(), source };
                let file = tokio::fs::File::open(path).await.map_err(cannot_read)?;
                if file.metadata().await.map_err(cannot_read)?.len() != self.descriptor.size {
                    return Err(RemoteError::ChangedWhileRead { path: path.clone() });
                }
                ReaderStream::with_capacity(file, PIECE_BYTES).boxed()
            }
            BlobContent::Remote(origin) => {
                let pieces = origin.read(&self.descriptor).await?;
                pieces.map(|piece| piece.map_err(std::io::Error::other)).boxed()
            }
        };
        let reading = Reading {
            pieces,
            length: 0,
            hasher: match self.source.content {
                // Nor is what another remote sends hashed twice.
                BlobContent::OwnFile(_) | BlobContent::Remote(_) => None,
                BlobContent::Bytes(_) | BlobContent::File(_) => Some(Hasher::new()),
            },
            descriptor: self.descriptor.clone(),
            source: self.source.clone(),
            progress: Arc::clone(&self.progress),
        };
        Ok(stream::try_unfold(reading, Reading::next).boxed())
    }
}

/// How long a registry may take to check and store so many bytes.
pub(super) fn commit_time(bytes: u64) -> Duration {
    Duration::from_secs(bytes / COMMIT_BYTES_PER_SECOND)
}

fn in_pieces(mut bytes: Bytes) -> BoxStream<'static, Result<Bytes, std::io::Error>> {
    let pieces = std::iter::from_fn(move || {
        (!bytes.is_empty()).then(|| Ok(bytes.split_to(bytes.len().min(PIECE_BYTES))))
    });
    stream::iter(pieces).boxed()
}

struct Reading {
    pieces: BoxStream<'static, Result<Bytes, std::io::Error>>,
    length: u64,
    /// None where the digest is known to be right.
    hasher: Option<Hasher>,
    descriptor: Descriptor,
    source: BlobSource,
    progress: Arc<Progress>,
}

impl Reading {
    async fn next(mut self) -> Result<Option<(Bytes, Self)>, std::io::Error> {
        let piece = match self.pieces.next().await {
            Some(Ok(piece)) => piece,
            Some(Err(error)) => return Err(self.broken(error)),
            None if self.length == self.descriptor.size => return Ok(None),
            None => return Err(self.changed()),
        };
        if let Some(hasher) = &mut self.hasher {
            hasher.update(&piece);
        }
        self.length += piece.len() as u64;
        let length = self.length;
        if length >= self.descriptor.size {
            let after = self.pieces.next().await;
            if let Some(Err(error)) = after {
                return Err(self.broken(error));
            }
            if after.is_some()
                || length > self.descriptor.size
                || self.hasher.take().is_some_and(|hasher| hasher.finish() != self.descriptor.digest)
            {
                return Err(self.changed());
            }
        }
        self.progress.sent.store(length, Ordering::Relaxed);
        let reported = self.progress.reported.fetch_max(length, Ordering::Relaxed);
        if length > reported {
            self.source.transferred.bytes(length - reported);
        }
        Ok(Some((piece, self)))
    }

    fn changed(&self) -> std::io::Error {
        if let BlobContent::File(path) | BlobContent::OwnFile(path) = &self.source.content {
            self.keep(RemoteError::ChangedWhileRead { path: path.clone() });
        }
        std::io::Error::other("the content changed")
    }

    fn broken(&self, source: std::io::Error) -> std::io::Error {
        match &self.source.content {
            BlobContent::Bytes(_) => {}
            BlobContent::File(path) | BlobContent::OwnFile(path) => {
                self.keep(RemoteError::Io { action: "read", path: path.clone(), source });
            }
            BlobContent::Remote(_) => {
                if let Ok(fault) = source.downcast::<RemoteError>() {
                    self.keep(fault);
                }
            }
        }
        std::io::Error::other("the content cannot be read")
    }

    fn keep(&self, fault: RemoteError) {
        *self.progress.fault.lock().unwrap_or_else(PoisonError::into_inner) = Some(fault);
    }
}

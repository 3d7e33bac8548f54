//! Sends a blob while it is still being written: opens an upload, streams what there is, then gives it its digest.
//!
//! <https://github.com/opencontainers/distribution-spec/blob/v1.1.0/spec.md#pushing-a-blob-in-chunks>: one chunk of
//! unknown length, as the Docker engine sends its layers, so that registries take it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures_util::stream::BoxStream;
use futures_util::{StreamExt as _, stream};
use reqwest::Method;
use reqwest::header::CONTENT_TYPE;
use tokio::fs::File;
use tokio::io::AsyncReadExt as _;

use super::call::{Call, Payload};
use super::client::Client;
use super::download;
use super::retry::{self, Failure};
use super::upload::{self, PIECE_BYTES};
use crate::remote::RemoteError;
use crate::remote::growing::GrowingFile;

/// Sends a blob that is still growing; as a whole, once it is, where that fails.
pub(super) async fn push(client: &Client, file: GrowingFile) -> Result<(), RemoteError> {
    let mut counted = 0;
    if client.takes_streams() {
        let outgoing = Growing { file: file.clone(), sent: Arc::default(), reported: Arc::default() };
        match stream(client, &outgoing).await {
            Ok(()) => return Ok(()),
            Err(Failure { error, .. }) if is_final(&error) => return Err(error),
            Err(Failure { error, .. }) => {
                tracing::debug!(%error, "the growing blob will be sent as a whole");
                if !retry::passes(&error) {
                    client.note_streams_refused();
                }
            }
        }
        let descriptor = file.whole().await?;
        counted = outgoing.reported.load(Ordering::Relaxed);
        // Perhaps only the last answer got lost.
        if outgoing.sent() == descriptor.size && download::find(client, &descriptor).await.unwrap_or(false) {
            return Ok(());
        }
    }
    let descriptor = file.whole().await?;
    upload::push(client, &descriptor, file.into_source(), counted).await
}

/// Whether sending it in another way would fail alike.
fn is_final(error: &RemoteError) -> bool {
    matches!(
        error,
        RemoteError::Denied { .. }
            | RemoteError::Io { .. }
            | RemoteError::Missing { .. }
            | RemoteError::Unauthorized { .. }
    )
}

async fn stream(client: &Client, outgoing: &Growing) -> Result<(), Failure> {
    let what = "the upload of a growing blob";
    let url = upload::open(client, what).await?;
    let mut call =
        Call::new(Method::PATCH, url, what).with_header(CONTENT_TYPE, "application/octet-stream")?;
    call.payload = Payload::Growing(outgoing);
    let taken = client.attempt(&call).await?;
    let descriptor = outgoing.file.whole().await?;
    let url = upload::next(&call, &taken)?;
    upload::close(client, url, what, &descriptor, Payload::Nothing).await
}

/// A growing blob on its way out.
#[derive(Debug)]
pub(super) struct Growing {
    file: GrowingFile,
    /// Bytes sent in this try.
    sent: Arc<AtomicU64>,
    /// The most bytes sent in any try.
    reported: Arc<AtomicU64>,
}

impl Growing {
    /// How many bytes were sent.
    pub(super) fn sent(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }

    /// Whether nothing can be sent because nothing more has been written.
    pub(super) fn is_waiting(&self) -> bool {
        !self.file.is_whole() && self.sent() >= self.file.length()
    }

    /// How much longer the registry may be silent: it has something to do once it has all bytes.
    pub(super) fn commit_time(&self) -> Duration {
        let sent = self.sent();
        if self.file.is_whole() && sent >= self.file.length() {
            upload::commit_time(sent)
        } else {
            Duration::ZERO
        }
    }

    /// Streams the file as it grows, to its end.
    pub(super) async fn open(
        &self,
    ) -> Result<BoxStream<'static, Result<Bytes, std::io::Error>>, RemoteError> {
        self.sent.store(0, Ordering::Relaxed);
        let path = self.file.path();
        let input = File::open(path).await;
        let input =
            input.map_err(|source| RemoteError::Io { action: "read", path: path.to_owned(), source })?;
        let (sent, reported) = (Arc::clone(&self.sent), Arc::clone(&self.reported));
        let reading = Reading { file: self.file.clone(), input, position: 0, sent, reported };
        Ok(stream::try_unfold(reading, Reading::next).boxed())
    }
}

struct Reading {
    file: GrowingFile,
    input: File,
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
        let mut piece = BytesMut::zeroed(length);
        self.input.read_exact(&mut piece).await?;
        self.position += length as u64;
        self.sent.store(self.position, Ordering::Relaxed);
        let reported = self.reported.fetch_max(self.position, Ordering::Relaxed);
        self.file.transferred.bytes(self.position.saturating_sub(reported).min(length as u64));
        Ok(Some((piece.freeze(), self)))
    }
}

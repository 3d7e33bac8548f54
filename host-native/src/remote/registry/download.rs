//! Finds and receives a blob, and goes on where it stopped when the connection breaks.
//!
//! The bytes are not verified here.

use std::sync::Arc;

use bundle_core::descriptor::Descriptor;
use bytes::{Buf as _, Bytes};
use futures_util::{StreamExt as _, stream};
use reqwest::header::{CONTENT_LENGTH, CONTENT_RANGE, RANGE};
use reqwest::{Method, Response};

use super::call::{Call, text};
use super::client::Client;
use super::retry::{Budget, Failure};
use crate::remote::error::harmless;
use crate::remote::{BlobStream, RemoteError, blob};

/// How far a download must get for a broken connection to count as the first one again.
const PROGRESS_BYTES: u64 = 1 << 20;

/// Asks for a blob and streams what comes.
///
/// # Errors
///
/// The request's own; the stream fails once a broken connection cannot be made up for.
pub(super) async fn start(client: Arc<Client>, descriptor: &Descriptor) -> Result<BlobStream, RemoteError> {
    let response = client.send(&call(&client, descriptor, 0)?).await?;
    let budget = client.budget();
    let mut download = Download {
        client,
        descriptor: descriptor.clone(),
        response: None,
        position: 0,
        skip: 0,
        failed_at: 0,
        budget,
    };
    download.begin(response)?;
    Ok(stream::try_unfold(download, |mut download| async move {
        Ok(download.next().await?.map(|piece| (piece, download)))
    })
    .boxed())
}

/// Whether the registry has a blob.
pub(super) async fn find(client: &Client, descriptor: &Descriptor) -> Result<bool, RemoteError> {
    let mut call =
        Call::new(Method::HEAD, client.repository.blob(&descriptor.digest), blob::name(descriptor));
    call.accepted = &[404];
    let response = client.send(&call).await?;
    if response.status().as_u16() == 404 {
        return Ok(false);
    }
    client.refuse_web_page(response.headers())?;
    match text(response.headers(), CONTENT_LENGTH).and_then(|length| length.parse().ok()) {
        Some(length) if length != descriptor.size => {
            Err(RemoteError::Size { what: blob::name(descriptor), expected: descriptor.size, actual: length })
        }
        _ => Ok(true),
    }
}

fn call(client: &Client, descriptor: &Descriptor, position: u64) -> Result<Call<'static>, RemoteError> {
    let mut call = Call::new(Method::GET, client.repository.blob(&descriptor.digest), blob::name(descriptor));
    if position > 0 {
        call.accepted = &[416];
        call = call.with_header(RANGE, &format!("bytes={position}-"))?;
    }
    Ok(call)
}

struct Download {
    client: Arc<Client>,
    descriptor: Descriptor,
    response: Option<Response>,
    /// How many bytes were passed on.
    position: u64,
    /// How many bytes of this answer came before.
    skip: u64,
    failed_at: u64,
    budget: Budget,
}

impl Download {
    async fn next(&mut self) -> Result<Option<Bytes>, RemoteError> {
        loop {
            match self.advance().await {
                Ok(piece) => return Ok(piece),
                // Only the end of the answer got lost.
                Err(_) if self.position == self.descriptor.size => return Ok(None),
                Err(failure) => {
                    if self.position - self.failed_at >= PROGRESS_BYTES {
                        self.budget.refill();
                    }
                    self.failed_at = self.position;
                    self.response = None;
                    self.budget.spend(failure).await?;
                }
            }
        }
    }

    async fn advance(&mut self) -> Result<Option<Bytes>, Failure> {
        if self.response.is_none() {
            let again = self.client.attempt(&call(&self.client, &self.descriptor, self.position)?).await?;
            self.begin(again)?;
        }
        while let Some(response) = &mut self.response {
            let Some(mut piece) = self.client.piece(response).await? else {
                break;
            };
            let known = self.skip.min(piece.len() as u64);
            self.skip -= known;
            piece.advance(usize::try_from(known).unwrap_or(piece.len()));
            if !piece.is_empty() {
                self.position += piece.len() as u64;
                return Ok(Some(piece));
            }
        }
        Ok(None)
    }

    /// Takes an answer that starts where we are, or at the beginning.
    fn begin(&mut self, response: Response) -> Result<(), RemoteError> {
        let status = response.status();
        let range = text(response.headers(), CONTENT_RANGE);
        let fits = match status.as_u16() {
            206 => starts_at(range.unwrap_or_default(), self.position, self.descriptor.size),
            416 => false,
            _ => true,
        };
        if !fits {
            return Err(RemoteError::ContentRange {
                what: blob::name(&self.descriptor),
                expected: self.position,
                found: harmless(range.unwrap_or(status.as_str())),
            });
        }
        self.skip = if status.as_u16() == 206 { 0 } else { self.position };
        self.response = Some(response);
        Ok(())
    }
}

/// Whether a `Content-Range` is the rest of a blob of `size` bytes from `position` on.
///
/// One that stops short of the end is refused: it could make a blob cost as many requests as it has bytes.
fn starts_at(header: &str, position: u64, size: u64) -> bool {
    let parsed = header.strip_prefix("bytes ").and_then(|range| {
        let (range, total) = range.split_once('/')?;
        let (first, last) = range.split_once('-')?;
        Some((first.parse::<u64>().ok()?, last.parse::<u64>().ok()?, total))
    });
    parsed.is_some_and(|(first, last, total)| {
        first == position && Some(last) == size.checked_sub(1) && (total == "*" || total.parse() == Ok(size))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_is_the_one_that_was_asked_for() {
        for right in ["bytes 3-9/10", "bytes 3-9/*"] {
            assert!(starts_at(right, 3, 10), "{right}");
        }
        for wrong in [
            "",
            "bytes 3-5/10",
            "bytes 0-9/10",
            "bytes 4-9/10",
            "bytes 3-10/11",
            "bytes 3-9/11",
            "bytes 3-10/*",
            "bytes 3-2/10",
            "bytes */10",
            "items 3-9/10",
            "bytes 3-9",
        ] {
            assert!(!starts_at(wrong, 3, 10), "{wrong}");
        }
    }
}

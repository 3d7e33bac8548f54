//! Receives a blob or a part of one, and goes on where it stopped when the connection breaks.
//!
//! The bytes are not verified here.

use std::ops::Range;
use std::sync::Arc;

use bundle_core::bundle::descriptor::Descriptor;
use bytes::{Buf as _, Bytes};
use futures_util::{StreamExt as _, stream};
use reqwest::header::{CONTENT_RANGE, RANGE};
use reqwest::{Method, Response};

use super::client::Client;
use super::content::{Content, Kind, encoding};
use super::request::{Request, text};
use super::retry::{Budget, Failure, PROGRESS_BYTES};
use crate::error::{BlobError, RegistryError};
use crate::text::harmless;
use crate::{BlobStream, RemoteError, blob};

/// Asks for a blob and streams what comes.
///
/// # Errors
///
/// The request's own; the stream fails once a broken connection cannot be made up for.
pub(super) async fn start(client: Arc<Client>, descriptor: &Descriptor) -> Result<BlobStream, RemoteError> {
    Download::new(client, descriptor, 0, None).stream().await
}

/// Asks for the bytes `range` of a blob and streams those, also where the registry sends the whole blob.
///
/// # Errors
///
/// As [`start`]; the stream fails also where it ends too early.
pub(super) async fn start_range(
    client: Arc<Client>,
    descriptor: &Descriptor,
    range: Range<u64>,
) -> Result<BlobStream, RemoteError> {
    Download::new(client, descriptor, range.start, Some(range.end)).stream().await
}

/// What is answered to the request for a part where that is what is refused: all but logins, what is not there and what may
/// be otherwise a moment later.
const PART_REFUSED: [u16; 14] = [400, 402, 403, 405, 406, 409, 411, 412, 413, 415, 416, 417, 422, 501];

struct Download {
    client: Arc<Client>,
    descriptor: Descriptor,
    content: Option<Content>,
    /// The byte of the blob that comes next.
    position: u64,
    /// The byte after the last one that is wanted; `None` for whatever comes.
    end: Option<u64>,
    /// How many bytes of this answer came before.
    skip: u64,
    failed_at: u64,
    /// Whether parts are asked for, or always the whole blob.
    asks: Asks,
    budget: Budget,
}

/// What a download asks for when it wants a part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Asks {
    Part,
    /// The registry's answers about parts make no sense, or it gives none.
    Whole,
}

impl Download {
    fn new(client: Arc<Client>, descriptor: &Descriptor, position: u64, end: Option<u64>) -> Self {
        let budget = client.budget();
        let asks = if client.capabilities.refuses_ranges() { Asks::Whole } else { Asks::Part };
        Self {
            client,
            descriptor: descriptor.clone(),
            content: None,
            position,
            end,
            skip: 0,
            failed_at: position,
            asks,
            budget,
        }
    }

    async fn stream(mut self) -> Result<BlobStream, RemoteError> {
        if self.end != Some(self.position) {
            while let Err(failure) = self.ask().await {
                self.recover(failure).await?;
            }
        }
        Ok(stream::try_unfold(self, |mut download| async move {
            Ok(download.next().await?.map(|piece| (piece, download)))
        })
        .boxed())
    }

    fn request(&self) -> Result<Request<'static>, RemoteError> {
        let (url, what) =
            (self.client.repository.blob(&self.descriptor.digest), blob::name(&self.descriptor));
        let mut request = Request::new(Method::GET, url, what);
        request.accepted = &[416];
        let last = self.end.map(|end| (end - 1).to_string());
        if self.asks == Asks::Part && (self.position > 0 || last.is_some()) {
            request.accepted = &PART_REFUSED;
            let range = format!("bytes={}-{}", self.position, last.unwrap_or_default());
            request = request.with_header(RANGE, &range)?;
        }
        Ok(request)
    }

    /// The byte of the blob after the last one that is wanted.
    fn end(&self) -> u64 {
        self.end.unwrap_or(self.descriptor.size)
    }

    async fn next(&mut self) -> Result<Option<Bytes>, RemoteError> {
        loop {
            if self.end == Some(self.position) {
                return Ok(None);
            }
            match self.advance().await {
                Ok(piece) => return Ok(piece),
                // Only the end of the answer got lost.
                Err(_) if self.position == self.end() => return Ok(None),
                Err(failure) => self.recover(failure).await?,
            }
        }
    }

    /// Waits before the next try, where another one makes sense.
    async fn recover(&mut self, failure: Failure) -> Result<(), RemoteError> {
        if self.position - self.failed_at >= PROGRESS_BYTES {
            self.budget.refill();
        }
        self.failed_at = self.position;
        self.content = None;
        match &failure.error {
            // Asked for once in the other way, which is no repetition.
            RemoteError::Registry(RegistryError::ContentRange { .. }) if self.asks == Asks::Part => {
                self.asks = Asks::Whole;
                self.client.capabilities.note_ranges_ignored();
                Ok(())
            }
            // Whatever is in the way may end an answer too early and not know it.
            RemoteError::Blob(BlobError::Size { expected, actual, .. }) if actual < expected => {
                self.budget.spend_on(failure).await
            }
            _ => self.budget.spend(failure).await,
        }
    }

    async fn ask(&mut self) -> Result<(), Failure> {
        let response = self.client.attempt(&self.request()?).await?;
        Ok(self.begin(response)?)
    }

    async fn advance(&mut self) -> Result<Option<Bytes>, Failure> {
        if self.content.is_none() {
            self.ask().await?;
        }
        while let Some(content) = &mut self.content {
            let Some(mut piece) = content.next().await? else {
                break;
            };
            let known = self.skip.min(piece.len() as u64);
            self.skip -= known;
            piece.advance(usize::try_from(known).unwrap_or(piece.len()));
            if let Some(end) = self.end {
                piece.truncate(usize::try_from(end - self.position).unwrap_or(piece.len()));
            }
            if !piece.is_empty() {
                self.position += piece.len() as u64;
                return Ok(Some(piece));
            }
        }
        let (expected, actual) = (self.end(), self.position);
        if actual < expected {
            return Err(RemoteError::Blob(BlobError::Size {
                what: blob::name(&self.descriptor),
                expected,
                actual,
            })
            .into());
        }
        // That a whole blob has more is noticed by whoever verifies it.
        Ok(None)
    }

    /// Takes an answer that starts where we are, or at the beginning.
    fn begin(&mut self, response: Response) -> Result<(), RemoteError> {
        let status = response.status();
        let range = text(response.headers(), CONTENT_RANGE);
        let is_encoded = encoding(response.headers()).is_some();
        let whole = 0..self.descriptor.size;
        let given = match status.as_u16() {
            // Nobody can tell of what it would be a part.
            206 if is_encoded => None,
            206 => {
                let wanted = self.position..self.end();
                given_range(range.unwrap_or_default(), &wanted, self.descriptor.size)
            }
            _ => status.is_success().then(|| whole.clone()),
        };
        if !status.is_success() && status.as_u16() != 416 {
            tracing::debug!(%status, "the registry gives no parts of blobs");
            self.client.capabilities.note_ranges_refused();
        }
        let Some(given) = given else {
            return Err(RemoteError::Registry(RegistryError::ContentRange {
                what: blob::name(&self.descriptor),
                expected: self.position,
                found: harmless(range.unwrap_or(status.as_str())),
            }));
        };
        // A registry may give any type to a blob, also this one to a page; but not to as many bytes as it has.
        let is_other_size = |length| length != given.end - given.start;
        if !is_encoded && response.content_length().is_some_and(is_other_size) {
            self.client.refuse_web_page(response.headers())?;
        }
        self.skip = self.position - given.start;
        if given == whole && self.end.is_some_and(|end| (self.position..end) != whole) {
            self.client.capabilities.note_ranges_ignored();
        }
        self.content = Some(self.client.http.content(response, &blob::name(&self.descriptor), Kind::Blob)?);
        Ok(())
    }
}

/// The bytes of a blob of `size` bytes that a `Content-Range` says to give, where `wanted` are among them.
///
/// One that stops short of the end is refused: it could make a blob cost as many requests as it has bytes. One that gives
/// more, up to the whole blob, costs no more than an answer without parts.
fn given_range(header: &str, wanted: &Range<u64>, size: u64) -> Option<Range<u64>> {
    let (range, total) = header.strip_prefix("bytes ")?.split_once('/')?;
    let (first, last) = range.split_once('-')?;
    let (first, last) = (first.parse::<u64>().ok()?, last.parse::<u64>().ok()?);
    let given = first..last.checked_add(1)?;
    let is_of_blob = given.end <= size && (total == "*" || total.parse() == Ok(size));
    let holds_wanted = given.start <= wanted.start && wanted.end <= given.end && !given.is_empty();
    (is_of_blob && holds_wanted).then_some(given)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_holds_what_was_asked_for() {
        for (right, given) in
            [("bytes 3-9/10", 3..10), ("bytes 3-9/*", 3..10), ("bytes 0-9/10", 0..10), ("bytes 1-9/*", 1..10)]
        {
            assert_eq!(given_range(right, &(3..10), 10), Some(given), "{right}");
        }
        assert_eq!(given_range("bytes 3-5/10", &(3..6), 10), Some(3..6));
        assert_eq!(given_range("bytes 0-9/10", &(3..6), 10), Some(0..10));
        for wrong in [
            "",
            "bytes 3-5/10",
            "bytes 4-9/10",
            "bytes 3-10/11",
            "bytes 3-9/11",
            "bytes 3-10/*",
            "bytes 0-18446744073709551615/*",
            "bytes 3-2/10",
            "bytes */10",
            "items 3-9/10",
            "bytes 3-9",
        ] {
            assert_eq!(given_range(wrong, &(3..10), 10), None, "{wrong}");
        }
    }
}

//! One upload at the registry: opened, asked about, and closed with the digest of the blob.
//!
//! <https://github.com/opencontainers/distribution-spec/blob/v1.1.0/spec.md#pushing-blobs>

use bundle_core::bundle::descriptor::Descriptor;
use bundle_core::digest::Digest;
use reqwest::header::{CONTENT_LENGTH, CONTENT_TYPE, LOCATION, RANGE};
use reqwest::{Method, Response, Url};

use super::address;
use super::client::Client;
use super::request::{CONTENT_DIGEST, Payload, Request, text};
use super::retry::Failure;
use crate::error::{BlobError, RegistryError};
use crate::{RemoteError, blob};

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
    pub(super) least_chunk: u64,
    pub(super) past: Past,
}

/// What an upload has been through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Past {
    /// It has just been opened.
    Opened,
    /// The registry was asked how far it came.
    Resumed,
    /// It is of an earlier run; the registry was asked as well.
    EarlierRun,
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

/// Opens an upload.
pub(super) async fn open(client: &Client, what: &str) -> Result<Session, Failure> {
    let request =
        Request::new(Method::POST, client.repository.uploads(), what).with_header(CONTENT_LENGTH, "0")?;
    let opened = client
        .attempt(&request)
        .await
        .map_err(|failure| Failure { error: refused(client, failure.error), ..failure })?;
    client.refuse_web_page(opened.headers())?;
    if opened.status().as_u16() != 202 {
        return Err(request.fault("the registry does not open one").into());
    }
    client.visibility.wrote();
    Ok(Session::opened(&request, &opened)?)
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
    pub(super) fn opened(request: &Request<'_>, answer: &Response) -> Result<Self, RemoteError> {
        let least_chunk = text(answer.headers(), CHUNK_MIN_LENGTH).and_then(|length| length.parse().ok());
        let least_chunk = least_chunk.unwrap_or_default();
        Ok(Self { url: next(request, answer)?, offset: 0, least_chunk, past: Past::Opened })
    }

    /// One of an earlier run, of which nothing else is known.
    pub(super) fn of_earlier_run(url: Url) -> Self {
        Self { url, offset: 0, least_chunk: 0, past: Past::EarlierRun }
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
    if reached < WORTH_RESUMING_BYTES || !client.capabilities.may_keep_uploads() {
        return Ok(None);
    }
    match ask(client, what, session, size).await? {
        Asked::Has(session) => Ok(Some(session)),
        Asked::Nothing => Ok(None),
        Asked::Unknown => {
            // One that had everything may be gone because it could not be finished.
            if reached < size {
                client.capabilities.note_uploads_forgotten();
            }
            Ok(None)
        }
    }
}

/// Asks how much the registry has of an upload that may have `size` bytes in all.
///
/// <https://github.com/opencontainers/distribution-spec/blob/v1.1.0/spec.md#pushing-a-blob-in-chunks>, its last part.
pub(super) async fn ask(client: &Client, what: &str, session: &Session, size: u64) -> Result<Asked, Failure> {
    let mut request = Request::new(Method::GET, session.url.clone(), what);
    request.accepted = &[400, 404, 405, 410, 416, 501];
    let answer = client.attempt(&request).await?;
    let offset = match answer.status().as_u16() {
        202 | 204 => text(answer.headers(), RANGE).and_then(held),
        _ => None,
    };
    match offset {
        // `Range: 0-0` is sent for 0 bytes and for 1 byte: count it as none.
        Some(0 | 1) => Ok(Asked::Nothing),
        Some(offset) if offset <= size => {
            tracing::debug!(offset, "an upload goes on where it stopped");
            let url = match text(answer.headers(), LOCATION) {
                Some(_) => next(&request, &answer)?,
                None => session.url.clone(),
            };
            let past = if session.past == Past::EarlierRun { Past::EarlierRun } else { Past::Resumed };
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
    let mut request = Request::new(Method::PUT, url, what)
        .with_header(CONTENT_TYPE, "application/octet-stream")?
        .with_header(CONTENT_LENGTH, &length.to_string())?;
    request.payload = rest;
    let stored = client.attempt(&request).await?;
    client.refuse_web_page(stored.headers())?;
    if stored.status().as_u16() == 202 {
        return Err(request.fault("the registry does not finish it").into());
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
pub(super) fn next(request: &Request<'_>, answer: &Response) -> Result<Url, RemoteError> {
    let location = text(answer.headers(), LOCATION).ok_or_else(|| request.fault("it leads nowhere"))?;
    // As seen from where the answer came: the request may have been redirected.
    address::resolve(answer.url(), location).map_err(|fault| request.bad_location(answer.url(), fault))
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

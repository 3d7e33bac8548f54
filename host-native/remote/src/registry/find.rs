//! Whether a registry has a blob.
//!
//! `HEAD` is asked first. What that cannot tell, because it is refused where blobs really lie or answered without a length, is
//! asked with a `GET` of one byte; what that cannot tell either counts as not there, and is sent.

use bundle_core::bundle::descriptor::Descriptor;
use reqwest::header::{CONTENT_LENGTH, CONTENT_RANGE, RANGE};
use reqwest::{Method, Response, Url};

use super::address;
use super::client::Client;
use super::content::encoding;
use super::request::{Request, text};
use crate::error::RegistryError;
use crate::{RemoteError, blob};

/// What one way of asking came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Presence {
    /// It is there, with the size that it should have.
    Present,
    /// It is not.
    Absent,
    /// This way of asking does not tell.
    Unknown,
}

/// Whether the registry has a blob.
///
/// # Errors
///
/// The request's own, where the registry itself fails.
pub(super) async fn find(client: &Client, descriptor: &Descriptor) -> Result<bool, RemoteError> {
    find_at(client, client.repository.blob(&descriptor.digest), descriptor).await
}

/// Whether the registry has a blob at `url`.
///
/// # Errors
///
/// As for [`find`].
pub(super) async fn find_at(client: &Client, url: Url, descriptor: &Descriptor) -> Result<bool, RemoteError> {
    let head = Request::new(Method::HEAD, url.clone(), blob::name(descriptor));
    let presence = match ask(client, head, descriptor).await? {
        Presence::Unknown => {
            let mut get = Request::new(Method::GET, url, blob::name(descriptor));
            if descriptor.size > 0 {
                get = get.with_header(RANGE, "bytes=0-0")?;
            }
            ask(client, get, descriptor).await?
        }
        presence => presence,
    };
    Ok(presence == Presence::Present)
}

async fn ask(
    client: &Client,
    mut request: Request<'_>,
    descriptor: &Descriptor,
) -> Result<Presence, RemoteError> {
    request.accepted = &[400, 403, 404, 405, 406, 416, 501];
    let mut budget = client.budget();
    loop {
        let failure = match client.attempt(&request).await {
            Ok(response) => return presence_of(client, &response, descriptor),
            Err(failure) => failure,
        };
        let tells_nothing = is_elsewhere(client, &failure.error) || client.is_hidden(&failure.error).await;
        match budget.spend(failure).await {
            Ok(()) => {}
            Err(error) if tells_nothing => {
                tracing::debug!(%error, "whether a blob is there cannot be asked in this way");
                return Ok(Presence::Unknown);
            }
            Err(error) => return Err(error),
        }
    }
}

fn presence_of(
    client: &Client,
    response: &Response,
    descriptor: &Descriptor,
) -> Result<Presence, RemoteError> {
    let headers = response.headers();
    match response.status().as_u16() {
        // Another host does not know what the registry knows.
        404 if client.auth.is_own(response.url()) => return Ok(Presence::Absent),
        206 => {
            let total = text(headers, CONTENT_RANGE).and_then(|range| range.rsplit_once('/'));
            let fits = total.is_some_and(|(_, total)| total == "*" || total.parse() == Ok(descriptor.size));
            return Ok(if fits { Presence::Present } else { Presence::Unknown });
        }
        200 => {}
        _ => return Ok(Presence::Unknown),
    }
    client.refuse_web_page(headers)?;
    if encoding(headers).is_some() {
        return Ok(Presence::Unknown);
    }
    match text(headers, CONTENT_LENGTH).and_then(|length| length.parse::<u64>().ok()) {
        Some(length) if length != descriptor.size => Ok(Presence::Unknown),
        _ => Ok(Presence::Present),
    }
}

/// Whether it is not the registry itself that fails, but where it leads.
fn is_elsewhere(client: &Client, error: &RemoteError) -> bool {
    let host = match error {
        RemoteError::Registry(RegistryError::Downgrade { .. } | RegistryError::Elsewhere { .. })
        | RemoteError::Protocol { .. } => {
            return true;
        }
        RemoteError::Connection(error) => error.host(),
        RemoteError::Registry(RegistryError::Status { host, .. }) => host,
        _ => return false,
    };
    host != address::authority(client.repository.base())
}

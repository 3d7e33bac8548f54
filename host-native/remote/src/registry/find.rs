//! Whether a registry has a blob.
//!
//! `HEAD` is asked first. What that cannot tell, because it is refused where blobs really lie or answered without a length, is
//! asked with a `GET` of one byte; what that cannot tell either counts as not there, and is sent.

use bundle_core::bundle::descriptor::Descriptor;
use reqwest::header::{CONTENT_LENGTH, CONTENT_RANGE, RANGE};
use reqwest::{Method, Response, Url};

use super::address;
use super::call::{Call, text};
use super::client::Client;
use super::content::encoding;
use crate::error::RegistryError;
use crate::{RemoteError, blob};

/// What one way of asking came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Heard {
    /// It is there, with the size that it should have.
    Present,
    /// It is not.
    Absent,
    /// This way of asking does not tell.
    Nothing,
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
    let head = Call::new(Method::HEAD, url.clone(), blob::name(descriptor));
    let heard = match ask(client, head, descriptor).await? {
        Heard::Nothing => {
            let mut get = Call::new(Method::GET, url, blob::name(descriptor));
            if descriptor.size > 0 {
                get = get.with_header(RANGE, "bytes=0-0")?;
            }
            ask(client, get, descriptor).await?
        }
        heard => heard,
    };
    Ok(heard == Heard::Present)
}

async fn ask(client: &Client, mut call: Call<'_>, descriptor: &Descriptor) -> Result<Heard, RemoteError> {
    call.accepted = &[400, 403, 404, 405, 406, 416, 501];
    let mut budget = client.budget();
    loop {
        let failure = match client.attempt(&call).await {
            Ok(response) => return hear(client, &response, descriptor),
            Err(failure) => failure,
        };
        let tells_nothing = is_elsewhere(client, &failure.error) || client.is_hidden(&failure.error).await;
        match budget.spend(failure).await {
            Ok(()) => {}
            Err(error) if tells_nothing => {
                tracing::debug!(%error, "whether a blob is there cannot be asked in this way");
                return Ok(Heard::Nothing);
            }
            Err(error) => return Err(error),
        }
    }
}

fn hear(client: &Client, response: &Response, descriptor: &Descriptor) -> Result<Heard, RemoteError> {
    let headers = response.headers();
    match response.status().as_u16() {
        // Another host does not know what the registry knows.
        404 if client.auth.is_own(response.url()) => return Ok(Heard::Absent),
        206 => {
            let total = text(headers, CONTENT_RANGE).and_then(|range| range.rsplit_once('/'));
            let fits = total.is_some_and(|(_, total)| total == "*" || total.parse() == Ok(descriptor.size));
            return Ok(if fits { Heard::Present } else { Heard::Nothing });
        }
        200 => {}
        _ => return Ok(Heard::Nothing),
    }
    client.refuse_web_page(headers)?;
    if encoding(headers).is_some() {
        return Ok(Heard::Nothing);
    }
    match text(headers, CONTENT_LENGTH).and_then(|length| length.parse::<u64>().ok()) {
        Some(length) if length != descriptor.size => Ok(Heard::Nothing),
        _ => Ok(Heard::Present),
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

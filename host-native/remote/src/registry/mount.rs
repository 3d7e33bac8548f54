//! Blobs that another repository of the same registry has: they are named there, not sent.
//!
//! <https://github.com/opencontainers/distribution-spec/blob/v1.1.0/spec.md#mounting-a-blob-from-another-repository>

use bundle_core::bundle::descriptor::Descriptor;
use reqwest::Method;
use reqwest::header::CONTENT_LENGTH;

use super::client::Client;
use super::find;
use super::request::Request;
use super::retry::{self, Failure};
use super::session::{self, Session};
use crate::RemoteError;
use crate::error::{LoginError, RegistryError};

/// What came of the first request for a blob.
#[derive(Debug)]
pub(super) enum Opened {
    /// The registry took it from the sibling.
    Mounted,
    /// Its bytes are to go there.
    Upload(Session),
}

/// Whether the sibling has a blob, which the registry is then likely to take from it.
pub(super) async fn is_at_sibling(client: &Client, descriptor: &Descriptor) -> Result<bool, RemoteError> {
    let Some(sibling) = client.sibling() else { return Ok(false) };
    let url = client.repository.blob_of(sibling, &descriptor.digest);
    match find::find_at(client, url, descriptor).await {
        Err(error) if is_refusal(&error) => Ok(false),
        found => found,
    }
}

/// Has a blob taken from the sibling, or opens an upload for it, with one request for both.
pub(super) async fn open(client: &Client, what: &str, descriptor: &Descriptor) -> Result<Opened, Failure> {
    if let Some(sibling) = client.sibling() {
        let url = client.repository.mount(&descriptor.digest, sibling);
        let request = Request::new(Method::POST, url, what).with_header(CONTENT_LENGTH, "0")?;
        match client.attempt(&request).await {
            Ok(answer) if answer.status().as_u16() == 201 => {
                client.visibility.wrote();
                return Ok(Opened::Mounted);
            }
            Ok(answer) if answer.status().as_u16() == 202 => {
                client.visibility.wrote();
                client.refuse_web_page(answer.headers())?;
                return Ok(Opened::Upload(Session::opened(&request, &answer)?));
            }
            Ok(_) => {}
            Err(failure) if retry::passes(&failure.error) => return Err(failure),
            // Who may push here need not be allowed to read there.
            Err(failure) if is_refusal(&failure.error) => {}
            Err(failure) => return Err(failure),
        }
        client.capabilities.note_mounts_refused();
    }
    session::open(client, what).await.map(Opened::Upload)
}

fn is_refusal(error: &RemoteError) -> bool {
    matches!(
        error,
        RemoteError::Login(LoginError::Denied { .. } | LoginError::Unauthorized { .. })
            | RemoteError::Missing { .. }
            | RemoteError::Registry(RegistryError::Redirected { .. } | RegistryError::Status { .. })
    )
}

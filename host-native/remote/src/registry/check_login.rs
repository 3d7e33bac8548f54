//! Whether a registry takes a login, asked of the registry itself.

use reqwest::Method;
use reqwest::header::{CONTENT_TYPE, HeaderMap};

use super::address;
use super::auth::{Known, Trust};
use super::client::Client;
use super::request::{Request, text};
use super::retry::passes;
use crate::error::RegistryError;
use crate::{CheckedLogin, RemoteError};

impl Client {
    /// Checks the credentials at the registry itself: nothing is read or written.
    pub(super) async fn check_login(&self) -> Result<CheckedLogin, RemoteError> {
        let request = Request::new(Method::GET, self.repository.base().clone(), "the login");
        let not_a_registry =
            || RemoteError::Registry(RegistryError::NotARegistry { host: self.repository.host.clone() });
        let response = self.send(&request).await.map_err(|error| match error {
            // Every registry answers there, if only by asking who it is.
            RemoteError::Missing { .. } => not_a_registry(),
            RemoteError::Registry(RegistryError::Status { status: 400..500, .. }) if !passes(&error) => {
                not_a_registry()
            }
            error => error,
        })?;
        self.refuse_web_page(response.headers())?;
        match &*self.auth.known.lock().await {
            Known::Nothing if !says_registry(response.headers()) => Err(not_a_registry()),
            Known::Nothing => Ok(CheckedLogin::NotAsked),
            Known::Basic(_) => Ok(CheckedLogin::Accepted { token_server: None, identity_token: None }),
            Known::Bearer(bearer) => {
                if self.auth.trust(&bearer.server) == Trust::Withheld {
                    return Err(self.authenticator().withheld(&bearer.server));
                }
                let host = address::authority(&bearer.server.realm);
                let is_own = host == address::authority(self.repository.base());
                let token_server = (!is_own).then_some(host);
                Ok(CheckedLogin::Accepted { token_server, identity_token: bearer.refresh.clone() })
            }
        }
    }
}

/// Whether an answer that asks for no login may be a registry's: most say so, and none answers with a text for people.
fn says_registry(headers: &HeaderMap) -> bool {
    let content_type = text(headers, CONTENT_TYPE).unwrap_or_default().trim_start().to_ascii_lowercase();
    headers.contains_key("docker-distribution-api-version")
        || content_type.is_empty()
        || content_type.contains("json")
}

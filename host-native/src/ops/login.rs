//! Login: tries credentials at a registry, and keeps them for later.

use std::fmt;

use thiserror::Error;

use crate::client::{Cancelled, Client};
use crate::credentials::server::Server;
use crate::credentials::{Credentials, CredentialsError, Kept, Store};
use crate::remote::registry::check_login;
use crate::remote::{CheckedLogin, Login, RemoteError};

/// How credentials are kept; there is nothing to choose yet.
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
pub struct LoginOptions {}

/// Credentials that a registry has taken, or that it asks nobody for.
#[must_use = "nothing is kept before it is applied"]
pub struct Planned<'a> {
    client: Client,
    store: &'a Store,
    server: Server,
    credentials: Credentials,
    checked: CheckedLogin,
}

/// Without the credentials.
impl fmt::Debug for Planned<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Planned").field("server", &self.server).finish_non_exhaustive()
    }
}

/// Plans to keep the credentials of `user` for the registry at `host` in `store`. They are tried first; a registry that gives
/// a token for them has that kept, which can be taken back and does less than a password.
///
/// # Errors
///
/// The registry refuses them, or cannot be reached.
pub async fn plan<'a>(
    client: &Client,
    store: &'a Store,
    host: &str,
    user: &str,
    password: String,
    _options: LoginOptions,
) -> Result<Planned<'a>, LoginError> {
    let given = Credentials::Password { user: user.to_owned(), password };
    let options = client.remote_options().clone().with_login(Login::As(given.clone()));
    let checking = async { Ok::<_, LoginError>(check_login(host, &options).await?) };
    let checked = client.unless_cancelled(checking).await?;
    let credentials = match &checked {
        CheckedLogin::Accepted { identity_token: Some(token), .. } => {
            Credentials::IdentityToken { user: user.to_owned(), token: token.clone() }
        }
        _ => given,
    };
    let (client, server) = (client.clone(), Server::new(host, ""));
    Ok(Planned { client, store, server, credentials, checked })
}

impl Planned<'_> {
    /// What the registry said.
    pub fn checked(&self) -> &CheckedLogin {
        &self.checked
    }

    /// Where the credentials would be kept.
    ///
    /// # Errors
    ///
    /// It cannot be found out.
    pub fn foresee(&self) -> Result<Kept, LoginError> {
        Ok(self.store.place(&self.server)?)
    }

    /// Keeps the credentials, and says where.
    ///
    /// # Errors
    ///
    /// They cannot be kept; what was kept before is as it was.
    pub async fn apply(self) -> Result<Kept, LoginError> {
        let Self { client, store, server, credentials, .. } = self;
        let saving = async { Ok::<_, LoginError>(store.save(&server, &credentials).await?) };
        client.unless_cancelled(saving).await
    }
}

/// Why nobody was logged in.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum LoginError {
    /// The client was cancelled.
    #[error(transparent)]
    Cancelled(#[from] Cancelled),
    /// The credentials cannot be kept.
    #[error(transparent)]
    Credentials(#[from] CredentialsError),
    /// The registry refuses them, or cannot be reached.
    #[error(transparent)]
    Remote(#[from] RemoteError),
}

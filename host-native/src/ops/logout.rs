//! Logout: forgets the credentials for a registry.

use thiserror::Error;

use crate::client::{Cancelled, Client};
use crate::credentials::server::Server;
use crate::credentials::{CredentialsError, Forgotten, Store};

/// Credentials that are about to be forgotten.
#[derive(Debug)]
#[must_use = "nothing is forgotten before it is applied"]
pub struct Planned<'a> {
    client: Client,
    store: &'a Store,
    server: Server,
}

/// Plans to forget the credentials for the registry at `host` that are in `store`.
pub fn plan<'a>(client: &Client, store: &'a Store, host: &str) -> Planned<'a> {
    Planned { client: client.clone(), store, server: Server::new(host, "") }
}

impl Planned<'_> {
    /// What would be forgotten.
    ///
    /// # Errors
    ///
    /// It cannot be found out.
    pub async fn foresee(&self) -> Result<Forgotten, LogoutError> {
        let looking = async { Ok::<_, LogoutError>(self.store.would_forget(&self.server).await?) };
        self.client.unless_cancelled(looking).await
    }

    /// Forgets them, and says where they were.
    ///
    /// # Errors
    ///
    /// They cannot be removed.
    pub async fn apply(self) -> Result<Forgotten, LogoutError> {
        let forgetting = async { Ok::<_, LogoutError>(self.store.forget(&self.server).await?) };
        self.client.unless_cancelled(forgetting).await
    }
}

/// Why credentials could not be forgotten.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum LogoutError {
    /// The client was cancelled.
    #[error(transparent)]
    Cancelled(#[from] Cancelled),
    /// They cannot be looked for, or not be removed.
    #[error(transparent)]
    Credentials(#[from] CredentialsError),
}

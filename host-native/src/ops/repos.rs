//! The repositories of a registry.

use thiserror::Error;

use crate::client::{Cancelled, Client};
use crate::remote::registry::catalog::{self, CatalogError};

/// How a registry's repositories are listed.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct ReposOptions {
    /// Only those below this name; all by default.
    pub namespace: Option<String>,
}

impl ReposOptions {
    /// Lists only those below this name.
    #[must_use]
    pub fn below(mut self, namespace: Option<String>) -> Self {
        self.namespace = namespace;
        self
    }
}

/// A registry that is about to be asked.
#[derive(Debug)]
#[must_use = "nothing is listed before it is applied"]
pub struct Planned {
    client: Client,
    host: String,
    options: ReposOptions,
}

/// What a registry has.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Done {
    /// The names of its repositories, sorted.
    pub names: Vec<String>,
    /// HTTP requests made.
    pub requests: u64,
}

/// Plans to list the repositories of the registry at `host`, a host name with an optional port.
pub fn plan(client: &Client, host: &str, options: ReposOptions) -> Planned {
    Planned { client: client.clone(), host: host.to_owned(), options }
}

impl Planned {
    /// Asks the registry.
    ///
    /// # Errors
    ///
    /// It lists its repositories to nobody or not to this user, cannot be reached, or the client was cancelled.
    pub async fn apply(self) -> Result<Done, ReposError> {
        let Self { client, host, options } = self;
        let namespace = options.namespace.as_deref();
        let listing =
            async { Ok::<_, ReposError>(catalog::list(&host, namespace, client.remote_options()).await?) };
        let found = client.unless_cancelled(listing).await?;
        Ok(Done { names: found.names.into_iter().collect(), requests: found.requests })
    }
}

/// Why repositories could not be listed.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ReposError {
    /// The client was cancelled.
    #[error(transparent)]
    Cancelled(#[from] Cancelled),
    /// The registry does not list them.
    #[error(transparent)]
    Catalog(#[from] CatalogError),
}

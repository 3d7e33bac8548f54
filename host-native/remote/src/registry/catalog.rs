//! The repositories of a registry, as far as it says which there are.
//!
//! Not part of the distribution-spec, but of the older Docker Registry API:
//! <https://distribution.github.io/distribution/spec/api/#listing-repositories>. Many registries refuse it, or answer it
//! only to their operators.

use std::collections::BTreeSet;

use serde::Deserialize;
use thiserror::Error;

use super::address::Repository;
use super::client::Client;
use super::pages::{self, List};
use crate::error::{LoginError, RegistryError};
use crate::text::harmless;
use crate::{RemoteError, RemoteOptions};

/// What a registry says of its repositories.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Catalog {
    /// The names of those that were wanted, sorted.
    pub names: BTreeSet<String>,
    /// HTTP requests made.
    pub requests: u64,
}

/// Lists the repositories of `host`; where `namespace` is given, that one and those below it.
///
/// # Errors
///
/// [`CatalogError::Closed`] where this user may not see the list, [`CatalogError::None`] where the registry has none.
pub async fn list(
    host: &str,
    namespace: Option<&str>,
    options: &RemoteOptions,
) -> Result<Catalog, CatalogError> {
    let client = Client::new(Repository::new(host, "", options.transport)?, options)?;
    let mut names = BTreeSet::new();
    let list = List {
        what: format!("the list of repositories of {host}"),
        first: client.repository.catalog(pages::PER_PAGE),
        ends_with: &[],
        names: page,
    };
    let take = |name: String| {
        let name = harmless(&name);
        if is_in(&name, namespace) {
            names.insert(name);
        }
    };
    list.read(&client, take).await.map_err(|error| refused(host, error))?;
    Ok(Catalog { names, requests: client.http.requests() })
}

fn refused(host: &str, error: RemoteError) -> CatalogError {
    match error {
        RemoteError::Login(LoginError::Denied { .. } | LoginError::Unauthorized { .. }) => {
            CatalogError::Closed { source: error, host: host.to_owned() }
        }
        RemoteError::Missing { .. }
        | RemoteError::Registry(RegistryError::Status { status: 400 | 405 | 501, .. }) => {
            CatalogError::None { host: host.to_owned() }
        }
        error => CatalogError::Remote(error),
    }
}

fn is_in(name: &str, namespace: Option<&str>) -> bool {
    let Some(namespace) = namespace else { return true };
    name.strip_prefix(namespace).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// Reads a page; a registry without repositories has `null` for a list.
fn page(body: &[u8]) -> Option<Vec<String>> {
    #[derive(Deserialize)]
    struct Page {
        repositories: Option<Vec<String>>,
    }
    serde_json::from_slice::<Page>(body).ok().map(|page| page.repositories.unwrap_or_default())
}

/// Why the repositories of a registry are not known.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum CatalogError {
    /// The registry does not tell this user.
    #[error("{host} does not say to this user which repositories it has")]
    Closed {
        /// The registry.
        host: String,
        /// What it says.
        source: RemoteError,
    },
    /// The registry tells nobody.
    #[error("{host} does not say which repositories it has")]
    None {
        /// The registry.
        host: String,
    },
    /// The registry failed.
    #[error(transparent)]
    Remote(#[from] RemoteError),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_namespace_ends_at_a_slash() {
        for (name, namespace, is_wanted) in [
            ("a/b", None, true),
            ("a/b", Some("a"), true),
            ("a/b", Some("a/b"), true),
            ("a/b/c", Some("a/b"), true),
            ("ab", Some("a"), false),
            ("b/a", Some("a"), false),
        ] {
            assert_eq!(is_in(name, namespace), is_wanted, "{name} {namespace:?}");
        }
    }

    #[test]
    fn reads_a_page() {
        assert_eq!(page(br#"{"repositories":["a","b/c"]}"#).unwrap(), ["a", "b/c"]);
        assert_eq!(page(br#"{"repositories":null}"#), Some(Vec::new()));
        assert_eq!(page(b"<html>"), None);
    }
}

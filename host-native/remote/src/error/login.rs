//! What can go wrong with authentication and rights.

use std::sync::Arc;

use thiserror::Error;

use super::registry::said;
use crate::credentials::{CredentialsError, Origin};

/// Why a registry refuses this user, or could not be told who that is.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum LoginError {
    /// The registry, or its token server, refuses the credentials.
    #[error("{host} does not take the password or token of `{user}`{}", said(message))]
    BadCredentials {
        /// The registry.
        host: String,
        /// The user's name; may be empty.
        user: String,
        /// Where the credentials come from.
        origin: Origin,
        /// What it says itself, made harmless; may be empty.
        message: String,
    },
    /// A registry wants a login, and the credentials cannot be looked up.
    #[error("{host} wants a login, and the credentials for it cannot be found out")]
    Credentials {
        /// The registry.
        host: String,
        /// Why.
        source: Arc<CredentialsError>,
    },
    /// The user is authenticated, and not authorized.
    #[error("{host} denies {right}{}", said(message))]
    Denied {
        /// The registry.
        host: String,
        /// The right that is lacking, in words.
        right: String,
        /// What it says itself, made harmless; may be empty.
        message: String,
    },
    /// The registry wants a login, and was given none or refuses it.
    #[error("{host} wants a login{}", said(message))]
    Unauthorized {
        /// The registry.
        host: String,
        /// What it says itself, made harmless; may be empty.
        message: String,
    },
    /// The credentials for a registry were not told to the token server that it names.
    #[error("the credentials for {host} were not sent to {token_server}, which it names as its token server")]
    Withheld {
        /// The registry.
        host: String,
        /// The token server.
        token_server: String,
    },
}

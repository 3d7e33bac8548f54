//! Credentials, and the places where other programs and [`login`](Store::save) keep them.
//!
//! The same places that Docker, Podman and their kin use: a file of the Docker format ([`config`]) and programs that keep
//! secrets for it ([`helper`]). What is looked for, and in which order, is in [`Store`]. What is sent where is not decided
//! here.

mod azure;
pub mod config;
pub mod error;
pub mod helper;
mod lock;
mod program;
pub mod server;
mod store;

use std::fmt;
use std::path::PathBuf;

pub use self::error::CredentialsError;
pub use self::store::{Environment, Forgotten, Kept, Store};

/// A user's name and what proves that it is him.
#[derive(Clone, PartialEq, Eq)]
pub enum Credentials {
    /// A password, or a token in its place.
    Password {
        /// The user's name.
        user: String,
        /// The password.
        password: String,
    },
    /// A token that the token server gives others for, an "identity token" of Docker.
    IdentityToken {
        /// The user's name, where it is known.
        user: String,
        /// The token.
        token: String,
    },
}

impl Credentials {
    /// The user's name; empty where a token alone is known.
    pub fn user(&self) -> &str {
        let (Self::Password { user, .. } | Self::IdentityToken { user, .. }) = self;
        user
    }

    /// What must never be shown.
    pub fn secret(&self) -> &str {
        let (Self::Password { password: secret, .. } | Self::IdentityToken { token: secret, .. }) = self;
        secret
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials").field("user", &self.user()).finish_non_exhaustive()
    }
}

/// Credentials, and where they were found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// What was found.
    pub credentials: Credentials,
    /// Where.
    pub origin: Origin,
}

/// Where credentials come from: who wants to change them has to go there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// The caller gave them, for this one purpose.
    Given,
    /// Two environment variables.
    Variables {
        /// The one with the user's name.
        user: &'static str,
        /// The one with the password.
        password: &'static str,
        /// Which registries they are for.
        audience: Audience,
    },
    /// An environment variable that holds what a file of credentials holds.
    Variable {
        /// Its name.
        name: &'static str,
    },
    /// A file.
    File {
        /// Which.
        path: PathBuf,
        /// Under which name: the registry's own or a repository's, in any spelling.
        key: String,
    },
    /// Azure's command line, for one of its registries.
    Azure {
        /// The registry's name there.
        registry: String,
    },
    /// A credential helper.
    Helper {
        /// Its program.
        program: String,
    },
}

/// Which registries credentials of the environment are for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Audience {
    /// Whichever asks.
    Anyone,
    /// The one that another variable names.
    One,
}

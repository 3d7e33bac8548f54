//! What can go wrong with what a registry answers.

use std::time::Duration;

use thiserror::Error;

use crate::text::spoken;

/// Why the response of a registry is of no use.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum RegistryError {
    /// The answer to a request for a part of a blob is about another part.
    #[error("{what} was asked for from byte {expected} on and answered with `{found}`")]
    ContentRange {
        /// The blob.
        what: String,
        /// The first byte that was asked for.
        expected: u64,
        /// What the answer says it holds.
        found: String,
    },
    /// The registry is not set up to delete anything.
    #[error("{host} does not delete bundles")]
    DeletesOff {
        /// The registry.
        host: String,
    },
    /// An answer over TLS leads to plain HTTP.
    #[error("{what}: {host} leads from https to {to}")]
    Downgrade {
        /// Who answered.
        host: String,
        /// What was asked for.
        what: String,
        /// Where it leads, without what may be a secret.
        to: String,
    },
    /// Another host, to which the registry led, refused.
    #[error("{what}: {registry} leads to {host}, which answered {status}{}", said(message))]
    Elsewhere {
        /// The registry.
        registry: String,
        /// The other host.
        host: String,
        /// What was asked for.
        what: String,
        /// The HTTP status code.
        status: u16,
        /// What it says itself, made harmless; may be empty.
        message: String,
    },
    /// An answer came in a content encoding that nobody asked for, and that cannot be undone.
    #[error("{what} came in the content encoding `{encoding}`, which nobody asked for")]
    Encoding {
        /// What was asked for.
        what: String,
        /// The encoding's name.
        encoding: String,
    },
    /// The registry knows no such repository, and makes none for this user.
    #[error("{host} takes no push to `{name}`: it has no such repository for this user")]
    NoRepository {
        /// The registry.
        host: String,
        /// The repository.
        name: String,
    },
    /// Something answered that does not speak the distribution API.
    #[error("{host} does not answer like a registry")]
    NotARegistry {
        /// The host.
        host: String,
    },
    /// What was to be sent is to be sent somewhere else.
    #[error("{what}: {host} answered {status} and points to {target}")]
    Redirected {
        /// The registry.
        host: String,
        /// What was to be sent.
        what: String,
        /// The HTTP status code.
        status: u16,
        /// Where to, without what may be a secret.
        target: String,
    },
    /// The registry answered with a status that is an error.
    #[error("{what}: {host} answered {status}{}{}", waits(*asked_wait), said(message))]
    Status {
        /// The registry.
        host: String,
        /// What was asked for.
        what: String,
        /// The HTTP status code.
        status: u16,
        /// The registry's own error codes, as the distribution-spec lists them.
        codes: Vec<String>,
        /// What it says itself, made harmless; may be empty.
        message: String,
        /// How long it asked to wait before the next try.
        asked_wait: Option<Duration>,
    },
    /// The registry is only read: it takes nothing new, from nobody.
    #[error("{host} takes no pushes to `{name}`")]
    TakesNoPushes {
        /// The registry.
        host: String,
        /// The repository.
        name: String,
    },
}

/// Whether a status may be another one a moment later.
pub(crate) fn is_passing(status: u16) -> bool {
    matches!(status, 408 | 429 | 500 | 502 | 503 | 504)
}

fn waits(asked: Option<Duration>) -> String {
    asked
        .filter(|asked| !asked.is_zero())
        .map_or_else(String::new, |asked| format!(" and asks to wait {}", spoken(asked)))
}

/// The words of a registry behind our own.
pub(super) fn said(message: &str) -> String {
    if message.is_empty() { String::new() } else { format!(": {message}") }
}

//! What a user should know of although nothing failed.

use std::fmt::{self, Debug};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::RemoteError;
use crate::credentials::CredentialsError;

/// Something to know about how a remote is reached.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Notice {
    /// The credentials could not be looked up. What anybody may read is read all the same.
    Anonymous {
        /// The registry.
        host: String,
        /// Why.
        why: Arc<CredentialsError>,
    },
    /// Credentials of the environment, which does not say which registry they are for, are told to this one.
    CredentialsForAnyone {
        /// The registry.
        host: String,
        /// The variable with the user's name.
        variable: &'static str,
    },
    /// A request failed and is made again.
    TryingAgain {
        /// Why it failed.
        why: Arc<RemoteError>,
        /// How long it waits before that.
        wait: Duration,
    },
    /// Another process holds the lock of a layout, and is waited for.
    Waiting {
        /// The lock's file.
        lock: PathBuf,
        /// The process, where the system says so.
        process: Option<u32>,
    },
}

/// Without help and without regard to a terminal: for a log.
impl fmt::Display for Notice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Anonymous { host, .. } => {
                write!(f, "{host} is asked without credentials: none can be found out")
            }
            Self::CredentialsForAnyone { host, variable } => {
                write!(f, "{variable} and its password go to {host}, which nobody named")
            }
            Self::TryingAgain { why, wait } => {
                write!(f, "{why}; it is tried again in {:.1} s", wait.as_secs_f64())
            }
            Self::Waiting { lock, .. } => write!(f, "waiting for the lock {}", lock.display()),
        }
    }
}

/// Whoever hears of it.
pub trait Notices: Debug + Send + Sync {
    /// Takes note. The same may come several times, from several connections.
    fn note(&self, notice: &Notice);
}

/// Hears nothing.
#[derive(Clone, Copy, Debug)]
pub struct Unheard;

impl Notices for Unheard {
    fn note(&self, _: &Notice) {}
}

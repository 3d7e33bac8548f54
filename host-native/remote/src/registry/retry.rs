//! When to try again: which failures pass, how long to wait, and how long to believe that bytes still move.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher as _, Hasher as _};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use super::proxy::ProxyFault;
use crate::error::is_passing;
use crate::error::{ConnectionError, RegistryError};
use crate::{Notice, Notices, RemoteError};

/// The wait before the first repetition; each next one is twice as long.
const FIRST_WAIT: Duration = Duration::from_millis(250);

/// The longest wait of our own choice.
const LONGEST_WAIT: Duration = Duration::from_secs(20);

/// The longest wait that a registry may ask for: what asks for more is not waited for at all.
const LONGEST_ASKED_WAIT: Duration = Duration::from_secs(60);

/// The user is told of the first wait, and of each one from this length on.
const NOTICED_WAIT: Duration = Duration::from_secs(5);

/// How often a connection is tried again where nobody listens: who mistyped a port is not kept waiting.
const REFUSED_RETRIES: u32 = 1;

/// How far a transfer must get for a failure to count as the first one again.
pub(super) const PROGRESS_BYTES: u64 = 1 << 20;

/// A failed try: why, and whether another one makes sense.
#[derive(Debug)]
pub(super) struct Failure {
    pub(super) error: RemoteError,
    /// How long the registry asked to wait.
    pub(super) asked_wait: Option<Duration>,
}

impl From<RemoteError> for Failure {
    fn from(error: RemoteError) -> Self {
        Self { error, asked_wait: None }
    }
}

/// How many more tries there are.
#[derive(Clone, Debug)]
pub(super) struct Budget {
    retries: u32,
    /// The most of them where no connection is made.
    refused_retries: u32,
    used: u32,
    /// Whether the user was told that something is tried again.
    is_told: bool,
    notices: Arc<dyn Notices>,
}

/// Whether a registry was there before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Known {
    /// It has answered: it may be starting anew.
    Answered,
    /// Nothing has come from it yet.
    Silent,
}

impl Budget {
    pub(super) fn new(retries: u32, known: Known, notices: Arc<dyn Notices>) -> Self {
        let refused_retries = if known == Known::Answered { retries } else { REFUSED_RETRIES };
        Self { retries, refused_retries, used: 0, is_told: false, notices }
    }

    /// Waits before the next try.
    ///
    /// # Errors
    ///
    /// Gives the failure's error back where it will not pass or there are no more tries.
    pub(super) async fn spend(&mut self, failure: Failure) -> Result<(), RemoteError> {
        if passes(&failure.error) { self.spend_on(failure).await } else { Err(failure.error) }
    }

    /// Waits before the next try, which is made in another way: so what does not pass may be gone as well.
    ///
    /// # Errors
    ///
    /// Gives the failure's error back where there are no more tries.
    pub(super) async fn spend_on(&mut self, failure: Failure) -> Result<(), RemoteError> {
        let retries = match failure.error {
            RemoteError::Connection(
                ConnectionError::Refused { .. } | ConnectionError::HostNotFound { .. },
            ) => self.retries.min(self.refused_retries),
            _ => self.retries,
        };
        if self.used >= retries || failure.asked_wait.is_some_and(|asked| asked > LONGEST_ASKED_WAIT) {
            return Err(failure.error);
        }
        let wait = wait(self.used, failure.asked_wait, random_share());
        self.used += 1;
        tracing::debug!(error = %failure.error, ?wait, "trying again");
        if !self.is_told || wait >= NOTICED_WAIT {
            self.is_told = true;
            self.notices.note(&Notice::TryingAgain { why: Arc::new(failure.error), wait });
        }
        tokio::time::sleep(wait).await;
        Ok(())
    }

    /// Starts over, since something was achieved.
    pub(super) fn refill(&mut self) {
        self.used = 0;
    }
}

/// Whether the fault may be gone a moment later.
pub(super) fn passes(error: &RemoteError) -> bool {
    match error {
        RemoteError::Connection(
            ConnectionError::Refused { .. }
            | ConnectionError::HostNotFound { .. }
            | ConnectionError::Stalled { .. }
            | ConnectionError::Unreachable { .. },
        ) => true,
        RemoteError::Connection(ConnectionError::Proxy { source, .. }) => {
            matches!(source, ProxyFault::NoTunnel | ProxyFault::Silent(_))
        }
        RemoteError::Registry(RegistryError::Status { status, .. }) => is_passing(*status),
        _ => false,
    }
}

/// The wait before repetition `used`, given a `share` between 0 and 1 that differs from client to client.
fn wait(used: u32, asked: Option<Duration>, share: f64) -> Duration {
    let own = FIRST_WAIT.saturating_mul(1 << used.min(16)).min(LONGEST_WAIT).mul_f64(0.5 + share / 2.0);
    own.max(asked.unwrap_or_default())
}

fn random_share() -> f64 {
    // The standard library seeds this from the system's randomness, which is more than a jitter needs.
    f64::from(RandomState::new().build_hasher().finish() as u32) / f64::from(u32::MAX)
}

/// Reads a `Retry-After` header: seconds or a date.
pub(super) fn retry_after(header: &str, now: SystemTime) -> Option<Duration> {
    if let Ok(seconds) = header.trim().parse() {
        return Some(Duration::from_secs(seconds));
    }
    let date = httpdate::parse_http_date(header.trim()).ok()?;
    Some(date.duration_since(now).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_retry_after() {
        let now = httpdate::parse_http_date("Fri, 31 Dec 1999 23:59:00 GMT").unwrap();
        for (header, wait) in [
            ("0", Some(0)),
            (" 120 ", Some(120)),
            ("1000000000", Some(1_000_000_000)),
            ("Fri, 31 Dec 1999 23:59:59 GMT", Some(59)),
            ("Thu, 31 Dec 1998 23:59:59 GMT", Some(0)),
            ("-1", None),
            ("soon", None),
            ("", None),
        ] {
            assert_eq!(retry_after(header, now), wait.map(Duration::from_secs), "{header}");
        }
    }

    #[test]
    fn waits_grow_and_stay_bounded() {
        assert_eq!(wait(0, None, 1.0), FIRST_WAIT);
        assert_eq!(wait(0, None, 0.0), FIRST_WAIT / 2);
        assert_eq!(wait(2, None, 1.0), FIRST_WAIT * 4);
        assert_eq!(wait(u32::MAX, None, 1.0), LONGEST_WAIT);
        assert_eq!(wait(0, Some(Duration::from_secs(7)), 1.0), Duration::from_secs(7));
        assert!((0.0..=1.0).contains(&random_share()));
    }
}

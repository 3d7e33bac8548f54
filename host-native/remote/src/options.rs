//! How a remote is reached.

use std::sync::Arc;
use std::time::Duration;

use bundle_core::name::reference::Place;

use crate::credentials::{Credentials, Store};
use crate::notice::{Notices, Unheard};
use crate::registry::proxy::Proxies;
use crate::tls::TlsOptions;
use crate::unfinished::{Unfinished, Unkept};

/// How a registry is talked to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Transport {
    /// HTTPS, except to this machine itself.
    #[default]
    Secure,
    /// Plain HTTP, whatever the host: the user said so.
    PlainHttp,
    /// HTTPS, to this machine itself as well: the user said how.
    Tls,
}

/// What a remote is opened for. Token servers are asked for the rights to it from the first request on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Intent {
    /// Deleting tags or bundles.
    Delete,
    /// Reading.
    #[default]
    Read,
    /// Giving further tags to what is there.
    Tag,
    /// Writing, perhaps to a repository that is not there yet. Some registries refuse to say what is in one of those: until
    /// something was written, a tag that is refused after a login counts as absent, and the first write decides.
    Write,
}

/// As whom requests are made.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub enum Login {
    /// Nobody in particular.
    #[default]
    Anonymous,
    /// Somebody.
    As(Credentials),
    /// Whoever the user's stored credentials for that registry are of; looked up when it first wants to know.
    Stored(Arc<Store>),
}

/// What a registry said to a login.
#[derive(Clone, PartialEq, Eq)]
pub enum CheckedLogin {
    /// It takes it.
    Accepted {
        /// The other host that was told the credentials, where it is not the registry's own.
        token_server: Option<String>,
        /// What can be kept in place of a password, where the registry gives such a thing.
        identity_token: Option<String>,
    },
    /// It does not want to know.
    NotAsked,
}

/// How to reach a remote; the defaults suit a person at a terminal.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct RemoteOptions {
    /// A place that is likely to have some of what will be pushed. Where it is a repository of the same registry, blobs are
    /// taken from there and not sent; none by default.
    pub beside: Option<Place>,
    /// What the remote is opened for; reading by default.
    pub intent: Intent,
    /// As whom requests are made; anonymous by default. Only the registry is told, and the token server that it names.
    pub login: Login,
    /// Who is told what a user should know of; nobody by default.
    pub notices: Arc<dyn Notices>,
    /// Through which proxies requests go; those of the environment by default.
    pub proxies: Arc<Proxies>,
    /// How often a request is repeated that may succeed later; 4 by default.
    pub retries: u32,
    /// For how long a registry may show a tag that was written as it was before; 5 seconds by default.
    pub shows_late_by: Duration,
    /// How long to wait without a byte moving; 30 seconds by default.
    pub timeout: Duration,
    /// Certificates and keys; those of the system by default.
    pub tls: TlsOptions,
    /// Whether plain HTTP is allowed.
    pub transport: Transport,
    /// Where uploads are kept that a later run is to go on with; nowhere by default.
    pub unfinished: Arc<dyn Unfinished>,
    /// What the program calls itself.
    pub user_agent: String,
}

impl RemoteOptions {
    /// Names a place that is likely to have some of what will be pushed.
    #[must_use]
    pub fn with_beside(self, beside: Option<Place>) -> Self {
        Self { beside, ..self }
    }

    /// Says what the remote is opened for.
    #[must_use]
    pub fn with_intent(self, intent: Intent) -> Self {
        Self { intent, ..self }
    }

    /// Says as whom requests are made.
    #[must_use]
    pub fn with_login(self, login: Login) -> Self {
        Self { login, ..self }
    }

    /// Says who is told what a user should know of.
    #[must_use]
    pub fn with_notices(self, notices: Arc<dyn Notices>) -> Self {
        Self { notices, ..self }
    }

    /// Says through which proxies requests go.
    #[must_use]
    pub fn with_proxies(self, proxies: Arc<Proxies>) -> Self {
        Self { proxies, ..self }
    }

    /// Says how often a request is repeated that may succeed later.
    #[must_use]
    pub fn with_retries(self, retries: u32) -> Self {
        Self { retries, ..self }
    }

    /// Says for how long a registry may show a tag that was written as it was before.
    #[must_use]
    pub fn with_shows_late_by(self, shows_late_by: Duration) -> Self {
        Self { shows_late_by, ..self }
    }

    /// Says how long to wait without a byte moving.
    #[must_use]
    pub fn with_timeout(self, timeout: Duration) -> Self {
        Self { timeout, ..self }
    }

    /// Sets certificates and keys.
    #[must_use]
    pub fn with_tls(self, tls: TlsOptions) -> Self {
        Self { tls, ..self }
    }

    /// Says whether plain HTTP is allowed.
    #[must_use]
    pub fn with_transport(self, transport: Transport) -> Self {
        Self { transport, ..self }
    }

    /// Says where uploads are kept that a later run is to go on with.
    #[must_use]
    pub fn with_unfinished(self, unfinished: Arc<dyn Unfinished>) -> Self {
        Self { unfinished, ..self }
    }

    /// Says what the program calls itself.
    #[must_use]
    pub fn with_user_agent(self, user_agent: impl Into<String>) -> Self {
        Self { user_agent: user_agent.into(), ..self }
    }
}

impl Default for RemoteOptions {
    fn default() -> Self {
        Self {
            beside: None,
            intent: Intent::default(),
            login: Login::default(),
            notices: Arc::new(Unheard),
            proxies: Arc::new(Proxies::of_process()),
            retries: 4,
            shows_late_by: Duration::from_secs(5),
            timeout: Duration::from_secs(30),
            tls: TlsOptions::default(),
            transport: Transport::default(),
            unfinished: Arc::new(Unkept),
            user_agent: concat!("modelops-bundle/", env!("CARGO_PKG_VERSION")).to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_not_printed() {
        let credentials = Credentials::Password { user: "me".to_owned(), password: "secret".to_owned() };
        let options = RemoteOptions { login: Login::As(credentials), ..RemoteOptions::default() };
        assert!(!format!("{options:?}").contains("secret"));
    }
}

//! What can go wrong on the way through a proxy.

use std::error::Error;

use thiserror::Error;

/// A variable that names no proxy. What it holds is not here: it may be a password.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("the environment variable {variable} names no proxy: {fault}")]
pub struct ProxyError {
    /// The variable.
    pub variable: &'static str,
    /// What is wrong with it.
    pub fault: &'static str,
}

/// Why a proxy is of no help.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ProxyFault {
    /// It does not let a request through.
    #[error("it refuses the request with status {0}")]
    Refused(u16),
    /// It makes no connection to that host.
    #[error("it makes no connection to that host")]
    NoTunnel,
    /// It cannot be talked to.
    #[error("it does not answer")]
    Silent(#[source] Box<dyn Error + Send + Sync>),
    /// It wants a login, or refuses the one that it was given.
    #[error("it wants a login")]
    WantsLogin,
}

impl ProxyFault {
    /// What is wrong where no connection came about through a proxy. The library tells it in words alone.
    pub(crate) fn of(error: Box<dyn Error + Send + Sync>) -> Self {
        let mut next: Option<&(dyn Error + 'static)> = Some(&*error);
        while let Some(cause) = next {
            let words = cause.to_string();
            if words.contains("proxy authorization required") {
                return Self::WantsLogin;
            }
            if words == "tunnel error: unsuccessful" {
                return Self::NoTunnel;
            }
            next = cause.source();
        }
        Self::Silent(error)
    }
}

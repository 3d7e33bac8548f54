//! What can go wrong on the way to a host.

use std::time::Duration;

use thiserror::Error;

use super::proxy::{ProxyError, ProxyFault};
use crate::tls::TlsFault;

/// Why a host gave no response.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ConnectionError {
    /// Nobody listens at that port.
    #[error("connection refused by {host}")]
    Refused {
        /// The host, with its port.
        host: String,
    },
    /// There is no host of that name, as far as this machine can find out.
    #[error("cannot find the host {host}")]
    HostNotFound {
        /// The host.
        host: String,
    },
    /// What lies between this machine and the host does not let requests through.
    #[error("cannot reach {host} through the proxy {proxy}")]
    Proxy {
        /// The host.
        host: String,
        /// The proxy, without user and password.
        proxy: String,
        /// Why.
        source: ProxyFault,
    },
    /// The environment names a proxy in a way that makes no sense.
    #[error("cannot reach {host}")]
    ProxySetting {
        /// The host.
        host: String,
        /// What is wrong, without what the variable holds.
        source: ProxyError,
    },
    /// No byte moved for a while.
    #[error("nothing came from {host} for {} s", after.as_secs_f32())]
    Stalled {
        /// The host.
        host: String,
        /// How long was waited.
        after: Duration,
    },
    /// The two sides find no encryption that both trust.
    #[error("no trusted connection to {host}: {fault}")]
    Tls {
        /// The host.
        host: String,
        /// Why.
        fault: TlsFault,
    },
    /// No connection, or one that broke.
    #[error("cannot talk to {host}")]
    Unreachable {
        /// The host.
        host: String,
        /// What the network says; holds no URL.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// What was spoken to in plain HTTP wants TLS.
    #[error("{host} speaks TLS, and was spoken to in plain HTTP")]
    WantsTls {
        /// The host.
        host: String,
    },
}

impl ConnectionError {
    /// The host, with its port.
    pub fn host(&self) -> &str {
        match self {
            Self::HostNotFound { host }
            | Self::Proxy { host, .. }
            | Self::ProxySetting { host, .. }
            | Self::Refused { host }
            | Self::Stalled { host, .. }
            | Self::Tls { host, .. }
            | Self::Unreachable { host, .. }
            | Self::WantsTls { host } => host,
        }
    }
}

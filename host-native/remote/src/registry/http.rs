//! Connections to hosts: plain or over TLS, directly or through a proxy, and why one gave no response.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use reqwest::{StatusCode, Url};
use rustls::ClientConfig;

use super::address::{self, Repository};
use super::proxy::{Proxies, ProxyFault};
use super::request::unreachable;
use crate::error::ConnectionError;
use crate::{RemoteError, RemoteOptions, TlsFault, TlsOptions};

/// The most of an error's body that is read.
pub(super) const MAX_ERROR_BYTES: u64 = 64 << 10;

/// The connections that requests to one registry need.
#[derive(Debug)]
pub(super) struct Http {
    /// The registry's own host, where its URL has one.
    own_host: Option<String>,
    /// For what needs no certificates: reading the system's takes longer than many a request.
    plain: reqwest::Client,
    /// For the registry's own host, made when it is first needed.
    secure: OnceLock<reqwest::Client>,
    /// For other hosts, where those are met differently.
    elsewhere: OnceLock<reqwest::Client>,
    /// How they are made.
    settings: ClientSettings,
    /// How long to wait without a byte moving.
    pub(super) timeout: Duration,
    requests: AtomicU64,
}

/// What every connection has in common.
#[derive(Debug)]
struct ClientSettings {
    user_agent: String,
    connect_timeout: Duration,
    proxies: Arc<Proxies>,
    tls: TlsOptions,
}

impl ClientSettings {
    fn builder(&self) -> reqwest::ClientBuilder {
        let proxies = Arc::clone(&self.proxies);
        // Where a variable names no proxy, no request is made: see `Http::client_for`.
        let proxy_for =
            move |url: &Url| proxies.proxy_for(url).ok().flatten().map(|proxy| proxy.url().clone());
        reqwest::Client::builder()
            .user_agent(&self.user_agent)
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never())
            .referer(false)
            .connect_timeout(self.connect_timeout)
            .http1_only()
            .proxy(reqwest::Proxy::custom(proxy_for))
    }

    /// What talks TLS to `host`.
    fn secure(
        &self,
        host: &str,
        tls: Result<ClientConfig, TlsFault>,
    ) -> Result<reqwest::Client, RemoteError> {
        let tls = tls.map_err(|fault| {
            RemoteError::Connection(ConnectionError::Tls { host: host.to_owned(), fault })
        })?;
        self.builder().tls_backend_preconfigured(tls).build().map_err(|error| unreachable(host, error))
    }
}

impl Http {
    pub(super) fn new(repository: &Repository, options: &RemoteOptions) -> Result<Self, RemoteError> {
        // Fails where the program has chosen a provider already, which then serves as well.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let settings = ClientSettings {
            user_agent: options.user_agent.clone(),
            connect_timeout: options.timeout,
            proxies: Arc::clone(&options.proxies),
            tls: options.tls.clone(),
        };
        let plain = settings.builder().tls_certs_only([]).build();
        let plain = plain.map_err(|error| unreachable(&repository.host, error))?;
        let secure = OnceLock::new();
        if repository.base().scheme() == "https" {
            // A machine without any certificate is told now.
            let _ = secure.set(settings.secure(&repository.host, settings.tls.for_registry())?);
        }
        Ok(Self {
            own_host: repository.base().host_str().map(str::to_owned),
            plain,
            secure,
            elsewhere: OnceLock::new(),
            settings,
            timeout: options.timeout,
            requests: AtomicU64::new(0),
        })
    }

    /// What talks to the host of `url`.
    pub(super) fn client_for(&self, url: &Url) -> Result<&reqwest::Client, RemoteError> {
        self.settings.proxies.proxy_for(url).map_err(|error| {
            RemoteError::Connection(ConnectionError::ProxySetting {
                host: address::authority(url),
                source: error.clone(),
            })
        })?;
        if url.scheme() == "http" {
            return Ok(&self.plain);
        }
        let tls = &self.settings.tls;
        // Our certificate is for the registry, and so is the user's word that it need not show one.
        let is_own = !tls.is_particular() || url.host_str() == self.own_host.as_deref();
        let cell = if is_own { &self.secure } else { &self.elsewhere };
        if let Some(client) = cell.get() {
            return Ok(client);
        }
        let config = if is_own { tls.for_registry() } else { tls.for_others() };
        let made = self.settings.secure(&address::authority(url), config)?;
        Ok(cell.get_or_init(|| made))
    }

    /// Why a request to `url` got no answer: for the proxy's sake, where it goes through one.
    pub(super) fn unanswered(&self, url: &Url, error: reqwest::Error) -> RemoteError {
        let host = address::authority(url);
        match self.settings.proxies.proxy_for(url) {
            Ok(Some(proxy)) if error.is_connect() && TlsFault::of(&error).is_none() => {
                RemoteError::Connection(ConnectionError::Proxy {
                    host,
                    proxy: proxy.to_string(),
                    source: ProxyFault::of(Box::new(error.without_url())),
                })
            }
            _ => unreachable(&host, error),
        }
    }

    /// What a proxy says in place of the host of `url`: what goes through it in plain HTTP, it may answer itself.
    pub(super) fn refused_by_proxy(&self, url: &Url, status: StatusCode) -> Option<RemoteError> {
        let proxy = self.settings.proxies.proxy_for(url).ok()?.filter(|_| url.scheme() == "http")?;
        let source = match status {
            StatusCode::PROXY_AUTHENTICATION_REQUIRED => ProxyFault::WantsLogin,
            StatusCode::FORBIDDEN => ProxyFault::Refused(status.as_u16()),
            _ => return None,
        };
        Some(RemoteError::Connection(ConnectionError::Proxy {
            host: address::authority(url),
            proxy: proxy.to_string(),
            source,
        }))
    }

    /// Counts a request that is about to be made.
    pub(super) fn count_request(&self) {
        self.requests.fetch_add(1, Ordering::Relaxed);
    }

    /// How many requests were made, redirects and logins included.
    pub(super) fn requests(&self) -> u64 {
        self.requests.load(Ordering::Relaxed)
    }

    /// Nothing has come from the host of `url` for too long.
    pub(super) fn stalled(&self, url: &Url) -> RemoteError {
        RemoteError::Connection(ConnectionError::Stalled {
            host: address::authority(url),
            after: self.timeout,
        })
    }
}

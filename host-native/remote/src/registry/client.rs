//! One request after another to one registry: login, redirects, time limits, repetitions, errors.
//!
//! What the requests are for is not known here.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use reqwest::header::{
    ACCEPT_ENCODING, AUTHORIZATION, CONTENT_LENGTH, CONTENT_TYPE, HeaderMap, HeaderValue, LOCATION,
    RETRY_AFTER, TRANSFER_ENCODING,
};
use reqwest::{Body, Method, Response, StatusCode, Url};
use rustls::ClientConfig;

use super::address::{self, Repository};
use super::auth::Auth;
use super::call::{Call, Payload, Said, said, text, unreachable};
use super::hidden::Hidden;
use super::learned::Learned;
use super::left::Left;
use super::login::Answered;
use super::mount;
use super::proxy::{Proxies, ProxyFault};
use super::retry::{self, Budget, Failure};
use super::token::Access;
use crate::error::is_passing;
use crate::error::{ConnectionError, RegistryError};
use crate::{Intent, Notices, RemoteError, RemoteOptions, TlsFault, TlsOptions};

/// How many redirects a request follows.
const MAX_REDIRECTS: u32 = 5;

/// The most of an error's body that is read.
pub(super) const MAX_ERROR_BYTES: u64 = 64 << 10;

/// How often a request is sent anew because of who asks: another request's token may be no better.
const MAX_LOGINS: u32 = 2;

/// The connection to a registry, for one repository.
#[derive(Debug)]
pub(super) struct Client {
    pub(super) repository: Repository,
    /// For what needs no certificates: reading the system's takes longer than many a request.
    plain: reqwest::Client,
    /// For the registry's own host, made when it is first needed.
    secure: OnceLock<reqwest::Client>,
    /// For other hosts, where those are met differently.
    elsewhere: OnceLock<reqwest::Client>,
    /// How they are made.
    settings: ClientSettings,
    pub(super) auth: Auth,
    /// What is asked of token servers.
    pub(super) access: Access,
    pub(super) intent: Intent,
    /// What is known of a repository to be written to.
    pub(super) hidden: Hidden,
    retries: u32,
    notices: Arc<dyn Notices>,
    pub(super) timeout: Duration,
    requests: AtomicU64,
    ignores_ranges: AtomicBool,
    refuses_ranges: AtomicBool,
    /// Whether the registry has answered anything.
    has_answered: AtomicBool,
    refuses_streams: AtomicBool,
    /// How the registry takes blobs.
    pub(super) uploads: Learned,
    /// The uploads of this run and of earlier ones.
    pub(super) left: Left,
    /// A repository of the same registry that may have what is pushed.
    sibling: Option<String>,
    refuses_mounts: AtomicBool,
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
        // Where a variable names no proxy, no request is made: see `Client::http`.
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

impl Client {
    pub(super) fn new(repository: Repository, options: &RemoteOptions) -> Result<Self, RemoteError> {
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
        let auth = Auth::new(&repository, options);
        let left = Left::new(&repository, options);
        let (retries, timeout) = (options.retries, options.timeout);
        let sibling = mount::sibling(&repository, options.beside.as_ref());
        Ok(Self {
            repository,
            plain,
            secure,
            elsewhere: OnceLock::new(),
            settings,
            auth,
            access: Access::Online,
            intent: options.intent,
            hidden: Hidden::default(),
            retries,
            notices: Arc::clone(&options.notices),
            timeout,
            requests: AtomicU64::new(0),
            ignores_ranges: AtomicBool::new(false),
            refuses_ranges: AtomicBool::new(false),
            has_answered: AtomicBool::new(false),
            refuses_streams: AtomicBool::new(false),
            uploads: Learned::new(),
            left,
            sibling,
            refuses_mounts: AtomicBool::new(false),
        })
    }

    /// The same client, which asks token servers for tokens to keep.
    pub(super) fn asking_for_identity_tokens(self) -> Self {
        Self { access: Access::Offline, ..self }
    }

    /// What talks to the host of `url`.
    pub(super) fn http(&self, url: &Url) -> Result<&reqwest::Client, RemoteError> {
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
        let is_own = !tls.is_particular() || url.host_str() == self.repository.base().host_str();
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

    /// Remembers that the registry sent a whole blob where a part was asked for.
    pub(super) fn note_ranges_ignored(&self) {
        self.ignores_ranges.store(true, Ordering::Relaxed);
    }

    /// Whether the registry is known to send whole blobs where parts are asked for.
    pub(super) fn ignores_ranges(&self) -> bool {
        self.ignores_ranges.load(Ordering::Relaxed)
    }

    /// Remembers that the registry refuses requests for parts of blobs.
    pub(super) fn note_ranges_refused(&self) {
        self.note_ranges_ignored();
        self.refuses_ranges.store(true, Ordering::Relaxed);
    }

    /// Whether the registry is known to refuse requests for parts of blobs.
    pub(super) fn refuses_ranges(&self) -> bool {
        self.refuses_ranges.load(Ordering::Relaxed)
    }

    /// Remembers that the registry does not take a blob of unknown length.
    pub(super) fn note_streams_refused(&self) {
        self.refuses_streams.store(true, Ordering::Relaxed);
    }

    /// Whether the registry may take a blob of unknown length.
    pub(super) fn takes_streams(&self) -> bool {
        !self.refuses_streams.load(Ordering::Relaxed)
    }

    /// A repository of the same registry from which a blob may be had without sending it.
    pub(super) fn sibling(&self) -> Option<&str> {
        self.sibling.as_deref().filter(|_| !self.refuses_mounts.load(Ordering::Relaxed))
    }

    /// Remembers that the registry lets nothing be taken from the sibling.
    pub(super) fn note_mounts_refused(&self) {
        self.refuses_mounts.store(true, Ordering::Relaxed);
    }

    /// A fresh count of tries.
    pub(super) fn budget(&self) -> Budget {
        let is_known = self.has_answered.load(Ordering::Relaxed);
        let known = if is_known { retry::Known::Answered } else { retry::Known::Silent };
        Budget::new(self.retries, known, Arc::clone(&self.notices))
    }

    /// Makes a request, again where it fails and may succeed later.
    pub(super) async fn send(&self, call: &Call<'_>) -> Result<Response, RemoteError> {
        let mut budget = self.budget();
        loop {
            match self.attempt(call).await {
                Ok(response) => return Ok(response),
                Err(failure) => budget.spend(failure).await?,
            }
        }
    }

    /// Makes a request once: logs in where asked to, and follows redirects.
    pub(super) async fn attempt(&self, call: &Call<'_>) -> Result<Response, Failure> {
        let mut url = call.url.clone();
        let mut logins = 0;
        let mut redirects = 0;
        let mut answer = None;
        loop {
            let sent = match answer.take() {
                Some(answer) => Some(answer),
                None => self.authorization(call, &url).await?,
            };
            let response = self.exchange(call, &url, sent.clone()).await?;
            let status = response.status();
            if status == StatusCode::UNAUTHORIZED && logins < MAX_LOGINS {
                match self.log_in(call, &url, response.headers(), sent.as_ref()).await? {
                    Answered::No => {}
                    Answered::Found(header) => {
                        logins += 1;
                        answer = Some(header);
                        continue;
                    }
                    Answered::Fetched(header) => {
                        logins = MAX_LOGINS;
                        answer = Some(header);
                        continue;
                    }
                }
            }
            if let Some(target) = self.redirect(call, &url, &response)? {
                redirects += 1;
                if redirects > MAX_REDIRECTS {
                    return Err(call.fault("it is redirected again and again").into());
                }
                url = target;
                continue;
            }
            if status.is_success() {
                refuse_two_lengths(call, response.headers())?;
                return Ok(response);
            }
            if call.accepted.contains(&status.as_u16()) {
                return Ok(response);
            }
            return Err(self.failure(call, &url, response, sent.as_ref()).await);
        }
    }

    /// Makes a single HTTP request and waits for the head of the answer.
    async fn exchange(
        &self,
        call: &Call<'_>,
        url: &Url,
        authorization: Option<HeaderValue>,
    ) -> Result<Response, RemoteError> {
        let mut request = self
            .http(url)?
            .request(call.method.clone(), url.clone())
            .headers(call.headers.clone())
            .header(ACCEPT_ENCODING, "identity");
        if let Some(authorization) = authorization {
            request = request.header(AUTHORIZATION, authorization);
        }
        match &call.payload {
            Payload::Nothing => {}
            Payload::Bytes(bytes) => request = request.body(bytes.clone()),
            Payload::Blob(part) => request = request.body(Body::wrap_stream(part.open().await?)),
            Payload::Growing(outgoing) => request = request.body(Body::wrap_stream(outgoing.open().await?)),
        }
        self.count_request();
        tracing::debug!(method = %call.method, url = address::redacted(url), "request");
        let answer = tokio::select! {
            answer = request.send() => answer.map_err(|error| self.unanswered(url, error)),
            () = self.stall(&call.payload) => Err(self.stalled(url)),
        };
        if answer.is_ok() {
            self.has_answered.store(true, Ordering::Relaxed);
        }
        // What broke the body explains more than the broken connection.
        match &call.payload {
            Payload::Blob(part) => answer.map_err(|error| part.take_fault().unwrap_or(error)),
            _ => answer,
        }
    }

    /// Comes back when nothing has moved for too long.
    async fn stall(&self, payload: &Payload<'_>) {
        loop {
            let sent = payload.sent();
            tokio::time::sleep(self.timeout).await;
            if payload.sent() == sent && !payload.waits_for_this_side() {
                return tokio::time::sleep(payload.commit_time()).await;
            }
        }
    }

    pub(super) fn stalled(&self, url: &Url) -> RemoteError {
        RemoteError::Connection(ConnectionError::Stalled {
            host: address::authority(url),
            after: self.timeout,
        })
    }

    /// Makes a request for a document and reads its body; repeats both together.
    pub(super) async fn document(
        &self,
        call: &Call<'_>,
        limit: u64,
    ) -> Result<(StatusCode, HeaderMap, Bytes), RemoteError> {
        let mut budget = self.budget();
        loop {
            let tried = async {
                let response = self.attempt(call).await?;
                self.refuse_web_page(response.headers())?;
                let (status, headers) = (response.status(), response.headers().clone());
                Ok::<_, Failure>((status, headers, self.body(response, limit, &call.what).await?))
            };
            match tried.await {
                Ok(document) => return Ok(document),
                Err(failure) => budget.spend(failure).await?,
            }
        }
    }

    /// Fails on an answer in HTML, which no registry gives: a web server or a login page of the network.
    pub(super) fn refuse_web_page(&self, headers: &HeaderMap) -> Result<(), RemoteError> {
        let content_type = text(headers, CONTENT_TYPE).unwrap_or_default();
        if content_type.trim_start().to_ascii_lowercase().starts_with("text/html") {
            return Err(RemoteError::Registry(RegistryError::NotARegistry {
                host: self.repository.host.clone(),
            }));
        }
        Ok(())
    }

    /// Where a request goes on, if it is redirected.
    ///
    /// What is sent goes on only with its method and body, and to nobody else.
    fn redirect(
        &self,
        call: &Call<'_>,
        asked: &Url,
        response: &Response,
    ) -> Result<Option<Url>, RemoteError> {
        let status = response.status().as_u16();
        if !matches!(status, 301 | 302 | 303 | 307 | 308) {
            return Ok(None);
        }
        let location =
            text(response.headers(), LOCATION).ok_or_else(|| call.fault("a redirect leads nowhere"))?;
        let target = address::resolve(asked, location).map_err(|fault| call.misled(asked, fault))?;
        let is_followed = matches!(call.method, Method::GET | Method::HEAD)
            || (matches!(status, 307 | 308) && address::same_origin(asked, &target));
        if is_followed {
            return Ok(Some(target));
        }
        Err(RemoteError::Registry(RegistryError::Redirected {
            host: address::authority(asked),
            what: call.what.clone(),
            status,
            target: address::redacted(&target),
        }))
    }

    /// What an answer that is an error means.
    async fn failure(
        &self,
        call: &Call<'_>,
        url: &Url,
        response: Response,
        sent: Option<&HeaderValue>,
    ) -> Failure {
        let (host, code) = (address::authority(url), response.status());
        let status = code.as_u16();
        let asked_wait = text(response.headers(), RETRY_AFTER)
            .and_then(|header| retry::retry_after(header, SystemTime::now()));
        let says_registry = response.headers().contains_key("docker-distribution-api-version");
        let body = self.body(response, MAX_ERROR_BYTES, "an error").await.unwrap_or_default();
        let Said { codes, message } = said(&body);
        let is_registrys = says_registry || !codes.is_empty();
        if let Some(error) = self.refused_by_proxy(url, code).filter(|_| !is_registrys) {
            return error.into();
        }
        let is_sent = call.method == Method::PUT;
        let error = match status {
            400 if url.scheme() == "http" && is_tls_servers_answer(&body) => {
                RemoteError::Connection(ConnectionError::WantsTls { host })
            }
            400..=499 if !self.auth.is_own(url) && !is_passing(status) => {
                let (registry, what) = (self.repository.host.clone(), call.what.clone());
                let message = self.auth.conceal(message, sent);
                RemoteError::Registry(RegistryError::Elsewhere { registry, host, what, status, message })
            }
            401 | 403 => self.refused(call, sent, code, message).await,
            // What is missing is not what was sent, but what that names.
            404 if !is_sent || codes.is_empty() || !names_a_blob(&codes) => {
                RemoteError::Missing { what: call.what.clone() }
            }
            _ => {
                let message = self.auth.conceal(message, sent);
                RemoteError::Registry(RegistryError::Status {
                    host,
                    what: call.what.clone(),
                    status,
                    codes,
                    message,
                    asked_wait,
                })
            }
        };
        Failure { error, asked_wait }
    }
}

/// Fails on an answer of two lengths: whoever is on the way may take it for two answers.
fn refuse_two_lengths(call: &Call<'_>, headers: &HeaderMap) -> Result<(), RemoteError> {
    if headers.contains_key(CONTENT_LENGTH) && headers.contains_key(TRANSFER_ENCODING) {
        return Err(call.fault("its answer has a length and is chunked as well"));
    }
    Ok(())
}

/// Whether a registry says that a blob is not there.
fn names_a_blob(codes: &[String]) -> bool {
    codes.iter().any(|code| code == "MANIFEST_BLOB_UNKNOWN" || code == "BLOB_UNKNOWN")
}

/// Whether a server that speaks TLS was spoken to without: many say so in words, which have this one in common.
fn is_tls_servers_answer(body: &[u8]) -> bool {
    body.windows(5).any(|word| word == b"HTTPS")
}

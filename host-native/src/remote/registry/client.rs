//! One request after another to one registry: login, redirects, time limits, repetitions, errors.
//!
//! What the requests are for is not known here.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use bytes::{Bytes, BytesMut};
use reqwest::header::{
    ACCEPT_ENCODING, AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue, LOCATION, RETRY_AFTER,
    WWW_AUTHENTICATE,
};
use reqwest::{Body, Method, Response, StatusCode, Url};

use super::address::{self, Repository};
use super::auth::{self, Answer, Auth};
use super::call::{Call, Payload, Said, check_encoding, said, text, unreachable};
use super::retry::{self, Budget, Failure};
use crate::remote::{RemoteError, RemoteOptions};

/// How many redirects a download follows.
const MAX_REDIRECTS: u32 = 5;

/// The most of an error's body that is read.
const MAX_ERROR_BYTES: u64 = 64 << 10;

/// The largest token that is taken.
const MAX_TOKEN_BYTES: u64 = 1 << 20;

/// The connection to a registry, for one repository.
#[derive(Debug)]
pub(super) struct Client {
    pub(super) repository: Repository,
    /// For what needs no certificates: reading the system's takes longer than many a request.
    plain: reqwest::Client,
    /// For everything else, made when it is first needed.
    secure: OnceLock<reqwest::Client>,
    /// How both are made.
    settings: ClientSettings,
    auth: Auth,
    retries: u32,
    timeout: Duration,
    requests: AtomicU64,
    ignores_ranges: AtomicBool,
    refuses_streams: AtomicBool,
}

/// What every connection has in common.
#[derive(Debug)]
struct ClientSettings {
    user_agent: String,
    connect_timeout: Duration,
    is_local: bool,
}

impl ClientSettings {
    fn builder(&self) -> reqwest::ClientBuilder {
        let builder = reqwest::Client::builder()
            .user_agent(&self.user_agent)
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never())
            .referer(false)
            .connect_timeout(self.connect_timeout)
            .http1_only();
        if self.is_local { builder.no_proxy() } else { builder }
    }
}

impl Client {
    pub(super) fn new(repository: Repository, options: &RemoteOptions) -> Result<Self, RemoteError> {
        // Fails where the program has chosen a provider already, which then serves as well.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let settings = ClientSettings {
            user_agent: options.user_agent.clone(),
            connect_timeout: options.timeout,
            // What is meant for this machine is nothing for a proxy.
            is_local: address::is_loopback(repository.base()),
        };
        let plain = settings.builder().tls_certs_only([]).build();
        let plain = plain.map_err(|error| unreachable(&repository.host, error))?;
        let secure = OnceLock::new();
        if repository.base().scheme() == "https" {
            // A machine without any certificate is told now.
            let made = settings.builder().build().map_err(|error| unreachable(&repository.host, error))?;
            let _ = secure.set(made);
        }
        let auth = Auth::new(&repository, options.credentials.clone(), options.transport);
        let (retries, timeout) = (options.retries, options.timeout);
        Ok(Self {
            repository,
            plain,
            secure,
            settings,
            auth,
            retries,
            timeout,
            requests: AtomicU64::new(0),
            ignores_ranges: AtomicBool::new(false),
            refuses_streams: AtomicBool::new(false),
        })
    }

    /// What talks to the host of `url`.
    fn http(&self, url: &Url) -> Result<&reqwest::Client, RemoteError> {
        if url.scheme() == "http" {
            return Ok(&self.plain);
        }
        if let Some(secure) = self.secure.get() {
            return Ok(secure);
        }
        let made = self.settings.builder().build();
        let made = made.map_err(|error| unreachable(&address::authority(url), error))?;
        Ok(self.secure.get_or_init(|| made))
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

    /// Remembers that the registry does not take a blob of unknown length.
    pub(super) fn note_streams_refused(&self) {
        self.refuses_streams.store(true, Ordering::Relaxed);
    }

    /// Whether the registry may take a blob of unknown length.
    pub(super) fn takes_streams(&self) -> bool {
        !self.refuses_streams.load(Ordering::Relaxed)
    }

    /// A fresh count of tries.
    pub(super) fn budget(&self) -> Budget {
        Budget::new(self.retries)
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

    /// Makes a request once: logs in where asked to, and follows redirects of downloads.
    pub(super) async fn attempt(&self, call: &Call<'_>) -> Result<Response, Failure> {
        let mut url = call.url.clone();
        let mut logins = 0;
        let mut redirects = 0;
        loop {
            let response = self.exchange(call, &url).await?;
            let status = response.status();
            if status == StatusCode::UNAUTHORIZED
                && logins == 0
                && self.log_in(&url, response.headers()).await?
            {
                logins += 1;
                continue;
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
                check_encoding(call, response.headers())?;
                return Ok(response);
            }
            if call.accepted.contains(&status.as_u16()) {
                return Ok(response);
            }
            return Err(self.failure(call, &url, response).await);
        }
    }

    /// Makes a single HTTP request and waits for the head of the answer.
    async fn exchange(&self, call: &Call<'_>, url: &Url) -> Result<Response, RemoteError> {
        let mut request = self
            .http(url)?
            .request(call.method.clone(), url.clone())
            .headers(call.headers.clone())
            .header(ACCEPT_ENCODING, "identity");
        if let Some(authorization) = self.auth.header(url) {
            request = request.header(AUTHORIZATION, authorization);
        }
        match &call.payload {
            Payload::Nothing => {}
            Payload::Bytes(bytes) => request = request.body(bytes.clone()),
            Payload::Blob(outgoing) => request = request.body(Body::wrap_stream(outgoing.open().await?)),
            Payload::Growing(outgoing) => request = request.body(Body::wrap_stream(outgoing.open().await?)),
        }
        self.requests.fetch_add(1, Ordering::Relaxed);
        tracing::debug!(method = %call.method, url = address::redacted(url), "request");
        let answer = tokio::select! {
            answer = request.send() => answer.map_err(|error| unreachable(&address::authority(url), error)),
            () = self.stall(&call.payload) => Err(self.stalled(url)),
        };
        // What broke the body explains more than the broken connection.
        match &call.payload {
            Payload::Blob(outgoing) => answer.map_err(|error| outgoing.take_fault().unwrap_or(error)),
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

    fn stalled(&self, url: &Url) -> RemoteError {
        RemoteError::Stalled { host: address::authority(url), after: self.timeout }
    }

    /// The next piece of an answer's body; `None` at its end.
    pub(super) async fn piece(&self, response: &mut Response) -> Result<Option<Bytes>, RemoteError> {
        match tokio::time::timeout(self.timeout, response.chunk()).await {
            Ok(Ok(piece)) => Ok(piece),
            Ok(Err(error)) => Err(unreachable(&address::authority(response.url()), error)),
            Err(_) => Err(self.stalled(response.url())),
        }
    }

    /// The whole body of an answer, if it has no more than `limit` bytes.
    pub(super) async fn body(
        &self,
        mut response: Response,
        limit: u64,
        what: &str,
    ) -> Result<Bytes, RemoteError> {
        let too_large = || RemoteError::TooLarge { what: what.to_owned(), limit };
        if response.content_length().is_some_and(|length| length > limit) {
            return Err(too_large());
        }
        let mut body = BytesMut::new();
        while let Some(piece) = self.piece(&mut response).await? {
            body.extend_from_slice(&piece);
            if body.len() as u64 > limit {
                return Err(too_large());
            }
        }
        Ok(body.freeze())
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
            return Err(RemoteError::NotARegistry { host: self.repository.host.clone() });
        }
        Ok(())
    }

    /// Answers a challenge; whether another try makes sense.
    async fn log_in(&self, url: &Url, headers: &HeaderMap) -> Result<bool, RemoteError> {
        let challenges = headers.get_all(WWW_AUTHENTICATE).iter().filter_map(|value| value.to_str().ok());
        let header = match self.auth.answer(url, challenges) {
            None => return Ok(false),
            // It was sent already and did not help.
            Some(Answer::Header(header)) if self.auth.header(url).as_ref() == Some(&header) => {
                return Ok(false);
            }
            Some(Answer::Header(header)) => header,
            Some(Answer::Token { url, authorization }) => self.token(&url, authorization).await?,
        };
        self.auth.keep(header);
        Ok(true)
    }

    async fn token(&self, url: &Url, authorization: Option<HeaderValue>) -> Result<HeaderValue, RemoteError> {
        let host = address::authority(url);
        let mut request = self.http(url)?.get(url.clone()).header(ACCEPT_ENCODING, "identity");
        if let Some(authorization) = authorization {
            request = request.header(AUTHORIZATION, authorization);
        }
        self.requests.fetch_add(1, Ordering::Relaxed);
        let response = tokio::time::timeout(self.timeout, request.send())
            .await
            .map_err(|_| self.stalled(url))?
            .map_err(|error| unreachable(&host, error))?;
        let what = "a token";
        if !response.status().is_success() {
            return Err(self.failure(&Call::new(Method::GET, url.clone(), what), url, response).await.error);
        }
        auth::bearer(&self.body(response, MAX_TOKEN_BYTES, what).await?, &host)
    }

    /// Where a download goes on, if it is redirected.
    fn redirect(
        &self,
        call: &Call<'_>,
        asked: &Url,
        response: &Response,
    ) -> Result<Option<Url>, RemoteError> {
        let moves = matches!(response.status().as_u16(), 301 | 302 | 303 | 307 | 308);
        if !moves || !matches!(call.method, Method::GET | Method::HEAD) {
            return Ok(None);
        }
        let location =
            text(response.headers(), LOCATION).ok_or_else(|| call.fault("a redirect leads nowhere"))?;
        address::resolve(asked, location).map(Some).map_err(|fault| call.fault(fault))
    }

    /// What an answer that is an error means.
    async fn failure(&self, call: &Call<'_>, url: &Url, response: Response) -> Failure {
        let (host, status) = (address::authority(url), response.status().as_u16());
        let asked_wait = text(response.headers(), RETRY_AFTER)
            .and_then(|header| retry::retry_after(header, SystemTime::now()));
        let body = self.body(response, MAX_ERROR_BYTES, "an error").await.unwrap_or_default();
        let Said { codes, message } = said(&body);
        let error = match status {
            401 => RemoteError::Unauthorized { host, message },
            403 => RemoteError::Denied { host, message },
            404 => RemoteError::Missing { what: call.what.clone() },
            _ => RemoteError::Status { host, what: call.what.clone(), status, codes, message },
        };
        Failure { error, asked_wait }
    }
}

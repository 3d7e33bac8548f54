//! One request after another to one registry: login, redirects, time limits, repetitions, errors.
//!
//! What the requests are for is not known here.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::SystemTime;

use bytes::Bytes;
use reqwest::header::{
    ACCEPT_ENCODING, AUTHORIZATION, CONTENT_LENGTH, CONTENT_TYPE, HeaderMap, HeaderValue, LOCATION,
    RETRY_AFTER, TRANSFER_ENCODING,
};
use reqwest::{Method, Response, StatusCode, Url};

use super::address::{self, Repository};
use super::auth::Auth;
use super::capabilities::Capabilities;
use super::http::{Http, MAX_ERROR_BYTES};
use super::kept_uploads::KeptUploads;
use super::login::{Authenticator, ChallengeAnswer};
use super::request::{ErrorBody, Payload, Request, error_body, text};
use super::retry::{self, Budget, Failure};
use super::token::Access;
use super::visibility::Visibility;
use crate::error::{ConnectionError, RegistryError, is_passing};
use crate::{Intent, Notices, RemoteError, RemoteOptions};

/// How many redirects a request follows.
const MAX_REDIRECTS: u32 = 5;

/// How often a request is sent anew with other credentials: another request's token may be no better.
const MAX_LOGINS: u32 = 2;

/// The connection to a registry, for one repository.
#[derive(Debug)]
pub(super) struct Client {
    pub(super) repository: Repository,
    pub(super) http: Http,
    pub(super) auth: Auth,
    /// What is asked of token servers.
    access: Access,
    pub(super) intent: Intent,
    /// What is known of a repository to be written to.
    pub(super) visibility: Visibility,
    /// What the registry can do.
    pub(super) capabilities: Capabilities,
    /// The uploads of this run and of earlier ones.
    pub(super) kept: KeptUploads,
    /// A repository of the same registry that may have what is pushed.
    sibling: Option<String>,
    retries: u32,
    notices: Arc<dyn Notices>,
    /// Whether the registry has answered anything.
    has_answered: AtomicBool,
}

impl Client {
    pub(super) fn new(repository: Repository, options: &RemoteOptions) -> Result<Self, RemoteError> {
        Ok(Self {
            http: Http::new(&repository, options)?,
            auth: Auth::new(&repository, options),
            access: Access::Online,
            intent: options.intent,
            visibility: Visibility::default(),
            capabilities: Capabilities::new(),
            kept: KeptUploads::new(&repository, options),
            sibling: repository.sibling(options.beside.as_ref()),
            retries: options.retries,
            notices: Arc::clone(&options.notices),
            has_answered: AtomicBool::new(false),
            repository,
        })
    }

    /// The same client, which asks token servers for tokens to keep.
    pub(super) fn asking_for_identity_tokens(self) -> Self {
        Self { access: Access::Offline, ..self }
    }

    /// A repository of the same registry from which a blob may be had without sending it.
    pub(super) fn sibling(&self) -> Option<&str> {
        self.sibling.as_deref().filter(|_| self.capabilities.may_mount())
    }

    /// What answers challenges.
    pub(super) fn authenticator(&self) -> Authenticator<'_> {
        Authenticator {
            http: &self.http,
            auth: &self.auth,
            repository: &self.repository,
            intent: self.intent,
            access: self.access,
        }
    }

    /// A fresh count of tries.
    pub(super) fn budget(&self) -> Budget {
        let is_known = self.has_answered.load(Ordering::Relaxed);
        let known = if is_known { retry::Known::Answered } else { retry::Known::Silent };
        Budget::new(self.retries, known, Arc::clone(&self.notices))
    }

    /// Makes a request, again where it fails and may succeed later.
    pub(super) async fn send(&self, request: &Request<'_>) -> Result<Response, RemoteError> {
        let mut budget = self.budget();
        loop {
            match self.attempt(request).await {
                Ok(response) => return Ok(response),
                Err(failure) => budget.spend(failure).await?,
            }
        }
    }

    /// Makes a request once: logs in where asked to, and follows redirects.
    pub(super) async fn attempt(&self, request: &Request<'_>) -> Result<Response, Failure> {
        let mut url = request.url.clone();
        let mut logins = 0;
        let mut redirects = 0;
        let mut answer = None;
        loop {
            let sent = match answer.take() {
                Some(answer) => Some(answer),
                None => self.authenticator().authorization(request, &url).await?,
            };
            let response = self.exchange(request, &url, sent.clone()).await?;
            let status = response.status();
            if status == StatusCode::UNAUTHORIZED && logins < MAX_LOGINS {
                match self.authenticator().log_in(request, &url, response.headers(), sent.as_ref()).await? {
                    ChallengeAnswer::No => {}
                    ChallengeAnswer::Found(header) => {
                        logins += 1;
                        answer = Some(header);
                        continue;
                    }
                    ChallengeAnswer::Fetched(header) => {
                        logins = MAX_LOGINS;
                        answer = Some(header);
                        continue;
                    }
                }
            }
            if let Some(target) = self.redirect(request, &url, &response)? {
                redirects += 1;
                if redirects > MAX_REDIRECTS {
                    return Err(request.fault("it is redirected again and again").into());
                }
                url = target;
                continue;
            }
            if status.is_success() {
                refuse_two_lengths(request, response.headers())?;
                return Ok(response);
            }
            if request.accepted.contains(&status.as_u16()) {
                return Ok(response);
            }
            return Err(self.failure(request, &url, response, sent.as_ref()).await);
        }
    }

    /// Makes a single HTTP request and waits for the head of the answer.
    async fn exchange(
        &self,
        request: &Request<'_>,
        url: &Url,
        authorization: Option<HeaderValue>,
    ) -> Result<Response, RemoteError> {
        let mut builder = self
            .http
            .client_for(url)?
            .request(request.method.clone(), url.clone())
            .headers(request.headers.clone())
            .header(ACCEPT_ENCODING, "identity");
        if let Some(authorization) = authorization {
            builder = builder.header(AUTHORIZATION, authorization);
        }
        match &request.payload {
            Payload::Nothing => {}
            Payload::Bytes(bytes) => builder = builder.body(bytes.clone()),
            Payload::Stream(body) => builder = builder.body(reqwest::Body::wrap_stream(body.open().await?)),
        }
        self.http.count_request();
        tracing::debug!(method = %request.method, url = address::redacted(url), "request");
        let answer = tokio::select! {
            answer = builder.send() => answer.map_err(|error| self.http.unanswered(url, error)),
            () = self.stall(&request.payload) => Err(self.http.stalled(url)),
        };
        if answer.is_ok() {
            self.has_answered.store(true, Ordering::Relaxed);
        }
        // What broke the body explains more than the broken connection.
        answer.map_err(|error| request.payload.take_fault().unwrap_or(error))
    }

    /// Comes back when nothing has moved for too long.
    async fn stall(&self, payload: &Payload<'_>) {
        loop {
            let sent = payload.sent();
            tokio::time::sleep(self.http.timeout).await;
            if payload.sent() == sent && !payload.waits_for_this_side() {
                return tokio::time::sleep(payload.commit_time()).await;
            }
        }
    }

    /// Makes a request for a document and reads its body; repeats both together.
    pub(super) async fn document(
        &self,
        request: &Request<'_>,
        limit: u64,
    ) -> Result<(StatusCode, HeaderMap, Bytes), RemoteError> {
        let mut budget = self.budget();
        loop {
            let tried = async {
                let response = self.attempt(request).await?;
                self.refuse_web_page(response.headers())?;
                let (status, headers) = (response.status(), response.headers().clone());
                Ok::<_, Failure>((status, headers, self.http.body(response, limit, &request.what).await?))
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
        request: &Request<'_>,
        asked: &Url,
        response: &Response,
    ) -> Result<Option<Url>, RemoteError> {
        let status = response.status().as_u16();
        if !matches!(status, 301 | 302 | 303 | 307 | 308) {
            return Ok(None);
        }
        let location =
            text(response.headers(), LOCATION).ok_or_else(|| request.fault("a redirect leads nowhere"))?;
        let target = address::resolve(asked, location).map_err(|fault| request.bad_location(asked, fault))?;
        let is_followed = matches!(request.method, Method::GET | Method::HEAD)
            || (matches!(status, 307 | 308) && address::same_origin(asked, &target));
        if is_followed {
            return Ok(Some(target));
        }
        Err(RemoteError::Registry(RegistryError::Redirected {
            host: address::authority(asked),
            what: request.what.clone(),
            status,
            target: address::redacted(&target),
        }))
    }

    /// What an answer that is an error means.
    async fn failure(
        &self,
        request: &Request<'_>,
        url: &Url,
        response: Response,
        sent: Option<&HeaderValue>,
    ) -> Failure {
        let (host, code) = (address::authority(url), response.status());
        let status = code.as_u16();
        let asked_wait = text(response.headers(), RETRY_AFTER)
            .and_then(|header| retry::retry_after(header, SystemTime::now()));
        let says_registry = response.headers().contains_key("docker-distribution-api-version");
        let body = self.http.body(response, MAX_ERROR_BYTES, "an error").await.unwrap_or_default();
        let ErrorBody { codes, message } = error_body(&body);
        let is_registrys = says_registry || !codes.is_empty();
        if let Some(error) = self.http.refused_by_proxy(url, code).filter(|_| !is_registrys) {
            return error.into();
        }
        let is_sent = request.method == Method::PUT;
        let error = match status {
            400 if url.scheme() == "http" && is_tls_servers_answer(&body) => {
                RemoteError::Connection(ConnectionError::WantsTls { host })
            }
            400..=499 if !self.auth.is_own(url) && !is_passing(status) => {
                let (registry, what) = (self.repository.host.clone(), request.what.clone());
                let message = self.auth.conceal(message, sent);
                RemoteError::Registry(RegistryError::Elsewhere { registry, host, what, status, message })
            }
            401 | 403 => self.authenticator().refused(request, sent, code, message).await,
            // What is missing is not what was sent, but what that names.
            404 if !is_sent || codes.is_empty() || !names_a_blob(&codes) => {
                RemoteError::Missing { what: request.what.clone() }
            }
            _ => {
                let message = self.auth.conceal(message, sent);
                RemoteError::Registry(RegistryError::Status {
                    host,
                    what: request.what.clone(),
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
fn refuse_two_lengths(request: &Request<'_>, headers: &HeaderMap) -> Result<(), RemoteError> {
    if headers.contains_key(CONTENT_LENGTH) && headers.contains_key(TRANSFER_ENCODING) {
        return Err(request.fault("its answer has a length and is chunked as well"));
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

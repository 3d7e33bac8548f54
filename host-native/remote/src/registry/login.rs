//! Logs in where a registry asks for it: tokens are fetched once for all requests that wait, and renewed ahead of their end.

use std::sync::Arc;
use std::time::Instant;

use reqwest::header::{
    ACCEPT_ENCODING, AUTHORIZATION, CONTENT_TYPE, DATE, HeaderMap, HeaderValue, WWW_AUTHENTICATE,
};
use reqwest::{Method, Response, StatusCode, Url};

use super::address::{self, Repository};
use super::auth::{Auth, Bearer, Challenge, Known, Trust};
use super::http::{Http, MAX_ERROR_BYTES};
use super::request::{ErrorBody, Request, error_body, text};
use super::scope::Scopes;
use super::secret_header::basic;
use super::token::{Access, Grant, Token, TokenServer, Tokens};
use crate::credentials::{Credentials, CredentialsError, Found};
use crate::error::{LoginError, RegistryError};
use crate::{Intent, RemoteError};

/// The largest token that is taken.
const MAX_TOKEN_BYTES: u64 = 1 << 20;

/// The answer to a challenge.
pub(super) enum ChallengeAnswer {
    /// It cannot be answered, or was already.
    No,
    /// Another request had the answer.
    Found(HeaderValue),
    /// This one fetched it: the last word.
    Fetched(HeaderValue),
}

/// Answers the challenges of one registry.
#[derive(Clone, Copy, Debug)]
pub(super) struct Authenticator<'a> {
    pub(super) http: &'a Http,
    pub(super) auth: &'a Auth,
    pub(super) repository: &'a Repository,
    pub(super) intent: Intent,
    /// What is asked of token servers.
    pub(super) access: Access,
}

impl<'a> Authenticator<'a> {
    /// The header for a request to `url`: none to any other origin than the registry's, nor before that asked for it.
    pub(super) async fn authorization(
        &self,
        request: &Request<'_>,
        url: &Url,
    ) -> Result<Option<HeaderValue>, RemoteError> {
        if !self.auth.is_own(url) {
            return Ok(None);
        }
        match &mut *self.auth.known.lock().await {
            Known::Nothing => Ok(None),
            Known::Basic(header) => Ok(Some(header.clone())),
            Known::Bearer(bearer) => {
                // A token without a name was for reading.
                self.credentials_for(request).await?;
                let needed = self.needed(request, url);
                if let Some(header) = bearer.tokens.find(&needed, Instant::now()) {
                    return Ok(Some(header.clone()));
                }
                self.renew(request, bearer, needed).await.map(Some)
            }
        }
    }

    /// Answers the challenge of a request that was refused with the header `refused`.
    pub(super) async fn log_in(
        &self,
        request: &Request<'_>,
        url: &Url,
        headers: &HeaderMap,
        refused: Option<&HeaderValue>,
    ) -> Result<ChallengeAnswer, RemoteError> {
        let challenges = headers.get_all(WWW_AUTHENTICATE).iter().filter_map(|value| value.to_str().ok());
        let Some(challenge) = self.auth.challenge(url, challenges) else { return Ok(ChallengeAnswer::No) };
        let mut known = self.auth.known.lock().await;
        let (server, scopes) = match challenge {
            Challenge::Bearer { server, scopes } => (server, scopes.join(&self.needed(request, url))),
            Challenge::Basic => {
                let found = self.auth.lookup().await.map_err(|why| self.no_credentials(why))?;
                let Some(header) = found.and_then(|found| self.auth.basic(&found.credentials)) else {
                    return Ok(ChallengeAnswer::No);
                };
                // It was sent already and did not help.
                if refused == Some(&header) {
                    return Ok(ChallengeAnswer::No);
                }
                *known = Known::Basic(header.clone());
                return Ok(ChallengeAnswer::Fetched(header));
            }
        };
        if !matches!(&*known, Known::Bearer(bearer) if bearer.server == server) {
            *known = Known::Bearer(Bearer { server, tokens: Tokens::default(), refresh: None });
        }
        let Known::Bearer(bearer) = &mut *known else { return Ok(ChallengeAnswer::No) };
        if let Some(refused) = refused {
            bearer.tokens.drop_refused(refused);
        }
        if let Some(header) = bearer.tokens.find(&scopes, Instant::now()) {
            return Ok(ChallengeAnswer::Found(header.clone()));
        }
        self.renew(request, bearer, scopes).await.map(ChallengeAnswer::Fetched)
    }

    /// The credentials for this request: where nothing will be written, there may be none.
    async fn credentials_for(&self, request: &Request<'_>) -> Result<Option<&'a Found>, RemoteError> {
        match request.method {
            Method::GET | Method::HEAD if self.intent == Intent::Read => Ok(self.auth.reader().await),
            _ => self.auth.lookup().await.map_err(|why| self.no_credentials(why)),
        }
    }

    fn no_credentials(&self, source: Arc<CredentialsError>) -> RemoteError {
        RemoteError::Login(LoginError::Credentials { host: self.repository.host.clone(), source })
    }

    fn needed(&self, request: &Request<'_>, url: &Url) -> Scopes {
        Scopes::needed(&self.repository.name, self.intent, &request.method, url)
    }

    /// What a request is a right to, in words.
    fn right(&self, request: &Request<'_>) -> String {
        let name = &self.repository.name;
        match request.method {
            _ if name.is_empty() => "access".to_owned(),
            Method::GET | Method::HEAD => format!("the right to pull from `{name}`"),
            Method::DELETE => format!("the right to delete from `{name}`"),
            _ => format!("the right to push to `{name}`"),
        }
    }

    /// Fetches a token and keeps it.
    async fn renew(
        &self,
        request: &Request<'_>,
        bearer: &mut Bearer,
        scopes: Scopes,
    ) -> Result<HeaderValue, RemoteError> {
        let found = self.credentials_for(request).await?;
        let token = self.token(bearer, &scopes, found, &self.right(request)).await?;
        if token.refresh.is_some() {
            bearer.refresh.clone_from(&token.refresh);
        }
        let header = token.header.clone();
        bearer.tokens.keep(scopes, token);
        Ok(header)
    }

    async fn token(
        &self,
        bearer: &Bearer,
        scopes: &Scopes,
        found: Option<&Found>,
        right: &str,
    ) -> Result<Token, RemoteError> {
        let server = &bearer.server;
        let trusted = self.auth.trust(server) == Trust::Trusted;
        let credentials = found.map(|found| &found.credentials).filter(|_| trusted);
        if let Some(Credentials::IdentityToken { token, .. }) = credentials {
            let token = bearer.refresh.as_deref().unwrap_or(token);
            let form = server.form(scopes, Grant::Refresh { token }, self.access);
            let response = self.post_for_token(server, form).await?;
            return self.granted(server, response, right).await;
        }
        let mut request = self.http.client_for(&server.realm)?.get(server.url(scopes, self.access));
        if let Some(authorization) = credentials.and_then(basic) {
            request = request.header(AUTHORIZATION, authorization);
        }
        let response = self.ask_for_token(server, "GET", request).await?;
        let is_post_wanted =
            matches!(response.status(), StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED);
        if let Some(Credentials::Password { user, password }) = credentials.filter(|_| is_post_wanted) {
            let form = server.form(scopes, Grant::Password { user, password }, self.access);
            let response = self.post_for_token(server, form).await?;
            return self.granted(server, response, right).await;
        }
        self.granted(server, response, right).await
    }

    async fn post_for_token(&self, server: &TokenServer, form: String) -> Result<Response, RemoteError> {
        let request = self.http.client_for(&server.realm)?.post(server.realm.clone());
        let request = request.header(CONTENT_TYPE, "application/x-www-form-urlencoded").body(form);
        self.ask_for_token(server, "POST", request).await
    }

    async fn ask_for_token(
        &self,
        server: &TokenServer,
        method: &str,
        request: reqwest::RequestBuilder,
    ) -> Result<Response, RemoteError> {
        self.http.count_request();
        tracing::debug!(method, url = address::redacted(&server.realm), "request for a token");
        let sent = request.header(ACCEPT_ENCODING, "identity").send();
        tokio::time::timeout(self.http.timeout, sent)
            .await
            .map_err(|_| self.http.stalled(&server.realm))?
            .map_err(|error| self.http.unanswered(&server.realm, error))
    }

    async fn granted(
        &self,
        server: &TokenServer,
        response: Response,
        right: &str,
    ) -> Result<Token, RemoteError> {
        let (host, status) = (address::authority(&server.realm), response.status());
        if status.is_success() {
            let date = text(response.headers(), DATE).map(str::to_owned);
            let body = self.http.body(response, MAX_TOKEN_BYTES, "a token").await?;
            return Token::read(&body, date.as_deref(), Instant::now(), &host);
        }
        let body = self.http.body(response, MAX_ERROR_BYTES, "an error").await.unwrap_or_default();
        let ErrorBody { codes, message } = error_body(&body);
        if let Some(error) = self.http.refused_by_proxy(&server.realm, status).filter(|_| codes.is_empty()) {
            return Err(error);
        }
        let message = self.auth.conceal(message, None);
        let is_bad_grant = codes.iter().any(|code| code == "invalid_grant");
        Err(match status.as_u16() {
            400 if is_bad_grant => self.unauthorized(Some(server), message, None),
            401 => self.unauthorized(Some(server), message, None),
            403 => self.unauthorized(Some(server), message, Some(right)),
            status => RemoteError::Registry(RegistryError::Status {
                host,
                what: "a token".to_owned(),
                status,
                codes,
                message,
                asked_wait: None,
            }),
        })
    }

    /// Why a request was refused that carried the header `sent`, or none.
    pub(super) async fn refused(
        &self,
        request: &Request<'_>,
        sent: Option<&HeaderValue>,
        status: StatusCode,
        message: String,
    ) -> RemoteError {
        let message = self.auth.conceal(message, sent);
        let right = self.right(request);
        match &*self.auth.known.lock().await {
            // The token server took the credentials, and the registry does not take its token: for want of a right.
            Known::Bearer(bearer) => self.unauthorized(Some(&bearer.server), message, Some(&right)),
            _ if status == StatusCode::FORBIDDEN => {
                RemoteError::Login(LoginError::Denied { host: self.repository.host.clone(), right, message })
            }
            _ => self.unauthorized(None, message, None),
        }
    }

    /// Why nothing came of a login: `lacking` a right, or for want of credentials that are taken.
    fn unauthorized(
        &self,
        server: Option<&TokenServer>,
        message: String,
        lacking: Option<&str>,
    ) -> RemoteError {
        let host = self.repository.host.clone();
        if let Some(why) = self.auth.lookup_failure() {
            return self.no_credentials(Arc::clone(why));
        }
        match (self.auth.known_credentials(), server, lacking) {
            (None, ..) => RemoteError::Login(LoginError::Unauthorized { host, message }),
            (Some(_), Some(server), _) if self.auth.trust(server) == Trust::Withheld => self.withheld(server),
            (Some(_), _, Some(right)) => {
                RemoteError::Login(LoginError::Denied { host, right: right.to_owned(), message })
            }
            (Some(found), ..) => RemoteError::Login(LoginError::BadCredentials {
                host,
                user: found.credentials.user().to_owned(),
                origin: found.origin.clone(),
                message,
            }),
        }
    }

    pub(super) fn withheld(&self, server: &TokenServer) -> RemoteError {
        RemoteError::Login(LoginError::Withheld {
            host: self.repository.host.clone(),
            token_server: address::authority(&server.realm),
        })
    }
}

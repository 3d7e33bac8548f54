//! Which `Authorization` a request gets: nothing at first, then what the registry's challenge asks for.
//!
//! Basic and bearer challenges (RFC 7617; the token flow by GET of the distribution project,
//! <https://distribution.github.io/distribution/spec/auth/token/>). Where credentials are stored is not known here.

use std::sync::{Mutex, PoisonError};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reqwest::Url;
use reqwest::header::HeaderValue;
use serde::Deserialize;

use super::address::{self, Repository};
use crate::remote::{Credentials, RemoteError, Transport};

/// What is known about how to log in at one registry.
#[derive(Debug)]
pub(super) struct Auth {
    origin: Url,
    scope: String,
    transport: Transport,
    credentials: Option<Credentials>,
    accepted: Mutex<Option<HeaderValue>>,
}

/// How a challenge can be answered.
#[derive(Debug)]
pub(super) enum Answer {
    /// With this header.
    Header(HeaderValue),
    /// With a token that is to be had there.
    Token {
        /// The token server's URL, with service and scope.
        url: Url,
        /// What to log in with there, if anything.
        authorization: Option<HeaderValue>,
    },
}

#[derive(Deserialize)]
struct TokenAnswer {
    token: Option<String>,
    access_token: Option<String>,
}

impl Auth {
    pub(super) fn new(
        repository: &Repository,
        credentials: Option<Credentials>,
        transport: Transport,
    ) -> Self {
        Self {
            origin: repository.base().clone(),
            scope: format!("repository:{}:pull", repository.name),
            transport,
            credentials,
            accepted: Mutex::new(None),
        }
    }

    /// The header for a request to `url`: none to any other origin than the registry's.
    pub(super) fn header(&self, url: &Url) -> Option<HeaderValue> {
        if !address::same_origin(url, &self.origin) {
            return None;
        }
        self.accepted.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Keeps a header for the requests to come.
    pub(super) fn keep(&self, header: HeaderValue) {
        *self.accepted.lock().unwrap_or_else(PoisonError::into_inner) = Some(header);
    }

    /// Finds an answer to the challenges that came from `url`; `None` where there is none.
    ///
    /// A bearer challenge goes first: a registry that gives tokens takes little else.
    pub(super) fn answer<'h>(&self, url: &Url, headers: impl Iterator<Item = &'h str>) -> Option<Answer> {
        if !address::same_origin(url, &self.origin) {
            return None;
        }
        let headers: Vec<&str> = headers.collect();
        let challenges: Vec<_> =
            headers.iter().filter_map(|h| http_auth::parse_challenges(h).ok()).flatten().collect();
        let of_scheme = |scheme| challenges.iter().find(move |c| c.scheme.eq_ignore_ascii_case(scheme));
        if let Some(bearer) = of_scheme("bearer") {
            let value = |name: &str| {
                let found = bearer.params.iter().find(|(key, _)| key.eq_ignore_ascii_case(name));
                found.map(|(_, value)| value.to_unescaped())
            };
            return self.token_request(
                &value("realm")?,
                value("service").as_deref(),
                value("scope").as_deref(),
            );
        }
        of_scheme("basic")?;
        let header = basic(self.credentials.as_ref().filter(|_| self.is_private(url))?)?;
        Some(Answer::Header(header))
    }

    fn token_request(&self, realm: &str, service: Option<&str>, scope: Option<&str>) -> Option<Answer> {
        let mut url = address::resolve(&self.origin, realm).ok()?;
        if let Some(service) = service {
            url.query_pairs_mut().append_pair("service", service);
        }
        url.query_pairs_mut().append_pair("scope", scope.unwrap_or(&self.scope));
        // A password is for the registry's host: any registry can name any other one as its token server.
        let is_own = url.host_str() == self.origin.host_str() && self.is_private(&url);
        let authorization = self.credentials.as_ref().filter(|_| is_own).and_then(basic);
        Some(Answer::Token { url, authorization })
    }

    /// Whether nobody can listen on the way there, or the user does not mind.
    fn is_private(&self, url: &Url) -> bool {
        url.scheme() == "https" || address::is_loopback(url) || self.transport == Transport::PlainHttp
    }
}

fn basic(credentials: &Credentials) -> Option<HeaderValue> {
    let pair = STANDARD.encode(format!("{}:{}", credentials.user, credentials.password));
    secret(&format!("Basic {pair}"))
}

fn secret(text: &str) -> Option<HeaderValue> {
    let mut header = HeaderValue::from_str(text).ok()?;
    header.set_sensitive(true);
    Some(header)
}

/// Reads a token server's answer.
pub(super) fn bearer(body: &[u8], host: &str) -> Result<HeaderValue, RemoteError> {
    let fault = |fault: &str| RemoteError::Protocol {
        what: format!("the token server {host}"),
        fault: fault.to_owned(),
    };
    let answer: TokenAnswer =
        serde_json::from_slice(body).map_err(|_| fault("its answer is not the JSON of a token"))?;
    let token = answer.token.or(answer.access_token).filter(|token| !token.is_empty());
    let token = token.ok_or_else(|| fault("its answer holds no token"))?;
    secret(&format!("Bearer {token}")).ok_or_else(|| fault("its token holds control characters"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn auth(host: &str, transport: Transport) -> Auth {
        let repository = Repository::new(host, "a/b", transport).unwrap();
        let credentials = Credentials { user: "me".to_owned(), password: "pw".to_owned() };
        Auth::new(&repository, Some(credentials), transport)
    }

    #[test]
    fn basic_only_where_nobody_listens() {
        let challenge = || [r#"Basic realm="x""#].into_iter();
        let url: Url = "https://r.example/v2/a/b/tags/list".parse().unwrap();
        let auth = auth("r.example", Transport::Secure);
        let Some(Answer::Header(header)) = auth.answer(&url, challenge()) else { panic!() };
        assert_eq!(header.to_str().unwrap(), "Basic bWU6cHc=");
        assert!(header.is_sensitive());
        for other in ["http://r.example/v2/", "https://r.example:444/", "https://x.example/"] {
            assert!(auth.answer(&other.parse().unwrap(), challenge()).is_none(), "{other}");
        }
    }

    #[test]
    fn a_token_is_asked_for_without_a_password_elsewhere() {
        let url: Url = "https://r.example/v2/a/b/tags/list".parse().unwrap();
        let auth = auth("r.example", Transport::Secure);
        for (realm, logs_in) in [
            ("https://r.example/token", true),
            ("https://auth.example/token?x=1", false),
            ("https://192.0.2.1/token", false),
        ] {
            let challenge = format!(r#"Bearer realm="{realm}",service="s",scope="repository:a/b:pull,push""#);
            let Some(Answer::Token { url, authorization }) = auth.answer(&url, [&*challenge].into_iter())
            else {
                panic!("{realm}")
            };
            assert!(url.as_str().starts_with(realm));
            assert!(url.as_str().ends_with("service=s&scope=repository%3Aa%2Fb%3Apull%2Cpush"), "{url}");
            assert_eq!(authorization.is_some(), logs_in, "{realm}");
        }
        for challenge in [r#"Bearer realm="http://auth.example/token""#, "Bearer", "Negotiate", "", ",,="] {
            assert!(auth.answer(&url, [challenge].into_iter()).is_none(), "{challenge}");
        }
    }

    #[test]
    fn a_kept_header_stays_at_its_origin() {
        let auth = auth("r.example", Transport::Secure);
        auth.keep(HeaderValue::from_static("Bearer t"));
        assert!(auth.header(&"https://r.example/x".parse().unwrap()).is_some());
        for other in ["http://r.example/x", "https://r.example:8443/x", "https://cdn.example/x"] {
            assert!(auth.header(&other.parse().unwrap()).is_none(), "{other}");
        }
    }

    #[test]
    fn reads_a_token() {
        assert_eq!(bearer(br#"{"token":"t"}"#, "h").unwrap(), "Bearer t");
        assert_eq!(bearer(br#"{"access_token":"t","expires_in":3}"#, "h").unwrap(), "Bearer t");
        for body in [&b"{}"[..], b"", b"<html>", br#"{"token":""}"#, br#"{"token":"a\nb"}"#] {
            assert!(bearer(body, "h").is_err());
        }
    }
}

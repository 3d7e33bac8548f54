//! A request, and what its response says: headers, and the body of an error.
//!
//! Nothing is sent here.

use std::fmt;
use std::io;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use futures_util::stream::BoxStream;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use reqwest::{Method, Url};
use serde::Deserialize;

use super::address::{self, BadLocation};
use crate::error::{ConnectionError, RegistryError};
use crate::text::harmless;
use crate::{RemoteError, TlsFault};

/// The digest that a registry gives to what it sends or takes.
pub(super) const CONTENT_DIGEST: &str = "docker-content-digest";

/// A request.
#[derive(Debug)]
pub(super) struct Request<'a> {
    pub(super) method: Method,
    pub(super) url: Url,
    pub(super) headers: HeaderMap,
    pub(super) payload: Payload<'a>,
    /// Statuses besides 2xx that are an answer and no error.
    pub(super) accepted: &'static [u16],
    /// What an error calls it.
    pub(super) what: String,
}

/// What a request carries.
#[derive(Debug)]
pub(super) enum Payload<'a> {
    Nothing,
    Bytes(Bytes),
    Stream(&'a dyn Body),
}

/// The pieces of a body that is sent as it is read.
pub(super) type Pieces = BoxStream<'static, Result<Bytes, io::Error>>;

/// A body that takes its time to be sent.
pub(super) trait Body: fmt::Debug + Send + Sync {
    /// Begins to read it, anew for each try.
    fn open(&self) -> BoxFuture<'_, Result<Pieces, RemoteError>>;

    /// How many bytes were sent.
    fn sent(&self) -> u64;

    /// Whether nothing can be sent because nothing more has been written here.
    fn is_waiting(&self) -> bool {
        false
    }

    /// How much longer the registry may be silent once it has everything.
    fn commit_time(&self) -> Duration;

    /// Why it broke off, if the fault was on this side.
    fn take_fault(&self) -> Option<RemoteError> {
        None
    }
}

impl Payload<'_> {
    /// How many bytes of what takes its time were sent.
    pub(super) fn sent(&self) -> u64 {
        match self {
            Self::Nothing | Self::Bytes(_) => 0,
            Self::Stream(body) => body.sent(),
        }
    }

    /// Whether nothing can be sent because nothing more has been written here.
    pub(super) fn waits_for_this_side(&self) -> bool {
        matches!(self, Self::Stream(body) if body.is_waiting())
    }

    /// How much longer the registry may be silent once it has everything.
    pub(super) fn commit_time(&self) -> Duration {
        match self {
            Self::Nothing | Self::Bytes(_) => Duration::ZERO,
            Self::Stream(body) => body.commit_time(),
        }
    }

    /// Why it broke off, if the fault was on this side.
    pub(super) fn take_fault(&self) -> Option<RemoteError> {
        match self {
            Self::Nothing | Self::Bytes(_) => None,
            Self::Stream(body) => body.take_fault(),
        }
    }
}

impl Request<'_> {
    pub(super) fn new(method: Method, url: Url, what: impl Into<String>) -> Self {
        Self {
            method,
            url,
            headers: HeaderMap::new(),
            payload: Payload::Nothing,
            accepted: &[],
            what: what.into(),
        }
    }

    /// Adds a header whose value is known to be one.
    pub(super) fn with_header(mut self, name: HeaderName, value: &str) -> Result<Self, RemoteError> {
        let value = HeaderValue::from_str(value).map_err(|_| RemoteError::Protocol {
            what: self.what.clone(),
            fault: format!("the header `{name}` cannot hold that value"),
        })?;
        self.headers.insert(name, value);
        Ok(self)
    }

    /// The answer of the host of `asked` leads to where nobody can go.
    pub(super) fn bad_location(&self, asked: &Url, fault: BadLocation) -> RemoteError {
        match fault {
            BadLocation::ToPlainHttp { to } => RemoteError::Registry(RegistryError::Downgrade {
                host: address::authority(asked),
                what: self.what.clone(),
                to,
            }),
            fault => self.fault(&fault.to_string()),
        }
    }

    /// The other side broke a rule.
    pub(super) fn fault(&self, fault: &str) -> RemoteError {
        RemoteError::Protocol { what: self.what.clone(), fault: fault.to_owned() }
    }
}

/// A header's value, where it is text.
pub(super) fn text(headers: &HeaderMap, name: impl reqwest::header::AsHeaderName) -> Option<&str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

/// Why a request to `host` had no answer: the network's own words without the URL, where there are no better ones.
pub(super) fn unreachable(host: &str, error: reqwest::Error) -> RemoteError {
    let host = host.to_owned();
    if let Some(fault) = TlsFault::of(&error) {
        return RemoteError::Connection(ConnectionError::Tls { host, fault });
    }
    // A URL may hold a signature.
    let source = Box::new(error.without_url());
    if chain(&*source).any(|cause| cause.to_string() == "dns error") {
        RemoteError::Connection(ConnectionError::HostNotFound { host })
    } else if source.is_connect() && chain(&*source).any(is_refused_connection) {
        RemoteError::Connection(ConnectionError::Refused { host })
    } else {
        RemoteError::Connection(ConnectionError::Unreachable { host, source })
    }
}

/// An error and all that lies behind it.
fn chain<'a>(
    error: &'a (dyn std::error::Error + 'static),
) -> impl Iterator<Item = &'a (dyn std::error::Error + 'static)> {
    std::iter::successors(Some(error), |error| error.source())
}

fn is_refused_connection(error: &(dyn std::error::Error + 'static)) -> bool {
    let error = error.downcast_ref::<io::Error>();
    error.is_some_and(|error| error.kind() == io::ErrorKind::ConnectionRefused)
}

/// The body of an error response: the registry's own codes and words.
pub(super) struct ErrorBody {
    pub(super) codes: Vec<String>,
    pub(super) message: String,
}

/// Reads the codes and words from the body of an error response.
pub(super) fn error_body(body: &[u8]) -> ErrorBody {
    #[derive(Deserialize)]
    struct Errors {
        #[serde(default)]
        errors: Vec<OneError>,
        /// How OAuth2 says it (RFC 6749, 5.2).
        error: Option<String>,
        error_description: Option<String>,
    }
    #[derive(Deserialize)]
    struct OneError {
        #[serde(default)]
        code: String,
        message: Option<String>,
    }
    let Ok(Errors { mut errors, error, error_description }) = serde_json::from_slice::<Errors>(body) else {
        return ErrorBody { codes: Vec::new(), message: String::new() };
    };
    errors.extend(error.map(|code| OneError { code, message: error_description }));
    let messages: Vec<&str> = errors.iter().filter_map(|error| error.message.as_deref()).take(3).collect();
    let codes = errors.iter().take(10).map(|error| harmless(&error.code)).collect();
    ErrorBody { codes, message: harmless(&messages.join("; ")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_a_registrys_own_words() {
        let body = br#"{"errors":[{"code":"DENIED","message":"no\u001b[1m","detail":{}},{"code":"X"}]}"#;
        let ErrorBody { codes, message } = error_body(body);
        assert_eq!((codes, &*message), (vec!["DENIED".to_owned(), "X".to_owned()], "no [1m"));
        let ErrorBody { codes, message } =
            error_body(br#"{"error":"invalid_grant","error_description":"wrong"}"#);
        assert_eq!((codes, &*message), (vec!["invalid_grant".to_owned()], "wrong"));
        for body in [&b"<html>"[..], b"", b"{}", br#"{"errors":null}"#, br#"{"errors":{"code":1}}"#] {
            assert!(error_body(body).codes.is_empty());
        }
    }
}

//! Questions about a registry itself, which change nothing on it: for a check of its health.

use std::time::{Duration, Instant, SystemTime};

use bundle_core::digest::Digest;
use reqwest::Method;
use reqwest::header::DATE;

use super::Registry;
use super::address::is_loopback;
use super::request::{Request, text};
use super::session;
use crate::error::{ConnectionError, RegistryError};
use crate::{Deletion, RemoteError, Version};

/// What a registry says when it is asked whether it is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ping {
    /// Whether the request was authenticated, as far as that is needed.
    pub is_open: bool,
    /// What its clock shows, in whole seconds.
    pub date: Option<SystemTime>,
    /// How long the answer took, a login included.
    pub took: Duration,
}

/// What became of an upload that was only opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProbedUpload {
    /// It is cancelled.
    Cancelled,
    /// The registry does not cancel: it forgets the upload when it wants to.
    LeftOpen,
}

impl Registry {
    /// Host and port.
    pub fn host(&self) -> &str {
        &self.client.repository.host
    }

    /// Whether it is on this machine.
    pub fn is_loopback(&self) -> bool {
        is_loopback(self.client.repository.base())
    }

    /// Whether what is sent is encrypted.
    pub fn is_encrypted(&self) -> bool {
        self.client.repository.base().scheme() == "https"
    }

    /// Asks whether the registry is there.
    ///
    /// # Errors
    ///
    /// Any [`RemoteError`] of a request; a response that wants a login is none.
    pub async fn ping(&self) -> Result<Ping, RemoteError> {
        let mut request = Request::new(Method::GET, self.client.repository.root(), "the registry's own page");
        request.accepted = &[401, 403];
        let start = Instant::now();
        let answer = self.client.send(&request).await?;
        self.client.refuse_web_page(answer.headers())?;
        let date = text(answer.headers(), DATE).and_then(|date| httpdate::parse_http_date(date).ok());
        Ok(Ping { is_open: answer.status().is_success(), date, took: start.elapsed() })
    }

    /// Opens an upload and cancels it.
    ///
    /// # Errors
    ///
    /// Any [`RemoteError`] of opening an upload.
    pub async fn probe_upload(&self) -> Result<ProbedUpload, RemoteError> {
        let what = "an upload";
        let mut budget = self.client.budget();
        let opened = loop {
            match session::open(&self.client, what).await {
                Ok(opened) => break opened,
                Err(failure) => budget.spend(failure).await?,
            }
        };
        let cancel = Request::new(Method::DELETE, opened.url, what);
        match self.client.attempt(&cancel).await {
            Ok(_) => Ok(ProbedUpload::Cancelled),
            Err(failure) => {
                tracing::debug!(error = %failure.error, "the upload is not cancelled");
                Ok(ProbedUpload::LeftOpen)
            }
        }
    }

    /// Whether the registry lists what refers to a manifest, such as signatures.
    ///
    /// # Errors
    ///
    /// Any [`RemoteError`] of a request.
    pub async fn lists_referrers(&self, digest: &Digest) -> Result<bool, RemoteError> {
        let mut request = Request::new(Method::GET, self.client.repository.referrers(digest), "referrers");
        request.accepted = &[400, 404, 405, 501];
        Ok(self.client.send(&request).await?.status().is_success())
    }

    /// Whether the registry deletes manifests.
    pub(super) async fn deletes_any(&self) -> Result<bool, RemoteError> {
        // Nothing has the digest of a text that is made up here and now.
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or(Duration::ZERO);
        let unique = format!("{}-{}", now.as_nanos(), std::process::id());
        self.deletes(Digest::of(unique.as_bytes())).await
    }

    /// What the registry deletes at a time, asked with a tag, and then a digest, that nothing has.
    pub(super) async fn try_deletion(&self) -> Result<Deletion, RemoteError> {
        // Nothing has the digest of a text that is made up here and now, nor a tag that is made of it.
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let absent = Digest::of(format!("{}-{}", now.as_nanos(), std::process::id()).as_bytes());
        let Ok(tag) = format!("absent-{}", absent.short()).parse() else {
            return Ok(Deletion::OnlyManifests);
        };
        match self.delete_manifest(&Version::Tag(tag)).await {
            Ok(Deletion::Done) | Err(RemoteError::Missing { .. }) => Ok(Deletion::Done),
            Ok(Deletion::OnlyManifests) => match self.delete_manifest(&Version::Digest(absent)).await {
                Ok(_) | Err(RemoteError::Missing { .. }) => Ok(Deletion::OnlyManifests),
                Err(error) => Err(error),
            },
            Err(error) => Err(error),
        }
    }

    /// Whether the registry deletes manifests, asked with the digest of one that is not there.
    ///
    /// # Errors
    ///
    /// Any [`RemoteError`] of a request but [`RegistryError::DeletesOff`].
    pub async fn deletes(&self, absent: Digest) -> Result<bool, RemoteError> {
        match self.delete_manifest(&Version::Digest(absent)).await {
            Ok(_) | Err(RemoteError::Missing { .. }) => Ok(true),
            Err(RemoteError::Registry(RegistryError::DeletesOff { .. })) => Ok(false),
            Err(error) => Err(error),
        }
    }
}

/// Whether somebody answers, and the two sides find no encryption that both trust.
pub fn is_about_tls(error: &RemoteError) -> bool {
    matches!(error, RemoteError::Connection(ConnectionError::Tls { .. } | ConnectionError::WantsTls { .. }))
}

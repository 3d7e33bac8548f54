//! A remote that is a repository on a registry, over the distribution API.
//!
//! <https://github.com/opencontainers/distribution-spec/blob/v1.1.0/spec.md>. Connections are made in `http.rs`; `client.rs`
//! makes a request, follows redirects and repeats it; `auth.rs` says who may be told which secret, `login.rs` fetches
//! tokens; what the registry has shown to be able to do is in `capabilities.rs`. A blob goes out through `upload.rs`, or
//! `stream.rs` while it grows, within a `session.rs`, or is taken from another repository (`mount.rs`); it comes in
//! through `download.rs`.

mod address;
mod auth;
mod capabilities;
pub mod catalog;
mod challenge;
mod check_login;
mod client;
mod content;
mod download;
mod earlier_upload;
mod file_pieces;
mod find;
mod hidden;
mod http;
mod kept_uploads;
mod login;
mod mount;
mod outgoing;
mod pages;
pub mod probe;
pub mod proxy;
mod request;
mod retry;
mod scope;
mod secret_header;
mod session;
mod stream;
mod token;
mod upload;
mod visibility;

use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use bundle_core::bundle::descriptor::{Descriptor, media_type};
use bundle_core::digest::Digest;
use bundle_core::name::reference::{Place, Tag};
use bundle_core::plan::fetch::RangeSupport;
use bytes::Bytes;
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use reqwest::header::{ACCEPT, CONTENT_TYPE, IF_MATCH, IF_NONE_MATCH};
use reqwest::{Method, Response};
use serde::Deserialize;

use self::address::Repository;
use self::client::Client;
use self::http::MAX_ERROR_BYTES;
use self::pages::List;
use self::request::{CONTENT_DIGEST, Payload, Request, error_body, text};
use self::session::Stage;
use super::growing::GrowingFile;
use super::text::harmless;
use super::{
    BlobSource, BlobStream, CheckedLogin, Condition, Deletion, FetchedManifest, MAX_MANIFEST_BYTES, Remote,
    RemoteError, RemoteOptions, Stored, Version,
};
use crate::error::{BlobError, RegistryError};

/// The manifests that we know by name; a registry may answer with another type where none of them is given.
const MANIFEST_TYPES: [&str; 4] = [
    media_type::MANIFEST,
    media_type::IMAGE_INDEX,
    "application/vnd.docker.distribution.manifest.v2+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
];

/// A repository on a registry.
#[derive(Clone, Debug)]
pub struct Registry {
    client: Arc<Client>,
    shows_late_by: Duration,
}

impl Registry {
    /// Names a repository; nothing is sent yet.
    ///
    /// # Errors
    ///
    /// [`RemoteError::Protocol`] where host and name make no URL, [`RemoteError::Connection`] where this machine cannot
    /// make connections, for example for want of any trusted certificate.
    pub fn new(host: &str, name: &str, options: &RemoteOptions) -> Result<Self, RemoteError> {
        let repository = Repository::new(host, name, options.transport)?;
        let client = Arc::new(Client::new(repository, options)?);
        Ok(Self { client, shows_late_by: options.shows_late_by })
    }

    async fn fetch_manifest(&self, which: &Version) -> Result<Option<FetchedManifest>, RemoteError> {
        let mut request =
            Request::new(Method::GET, self.client.repository.manifest(which), format!("manifest {which}"))
                .with_header(ACCEPT, &MANIFEST_TYPES.join(", "))?;
        request.accepted = &[404];
        let answer = match self.client.document(&request, MAX_MANIFEST_BYTES).await {
            Err(error) if matches!(which, Version::Tag(_)) && self.client.is_hidden(&error).await => {
                return Ok(None);
            }
            answer => answer,
        };
        let (status, headers, bytes) = answer?;
        if status.as_u16() == 404 {
            return Ok(None);
        }
        let declared = text(&headers, CONTENT_DIGEST).map(str::to_owned);
        let media_type = text(&headers, CONTENT_TYPE).map(|value| {
            let (media_type, _parameters) = value.split_once(';').unwrap_or((value, ""));
            harmless(media_type)
        });
        FetchedManifest::check(which, bytes, declared, media_type).map(Some)
    }

    async fn put_manifest(
        &self,
        which: &Version,
        media_type: &str,
        bytes: Bytes,
        condition: Condition,
    ) -> Result<(), RemoteError> {
        let (actual, what) = (Digest::of(&bytes), format!("manifest {which}"));
        if let Version::Digest(expected) = *which
            && expected != actual
        {
            return Err(RemoteError::Blob(BlobError::Digest { what, expected, actual }));
        }
        let mut request = Request::new(Method::PUT, self.client.repository.manifest(which), what.clone())
            .with_header(CONTENT_TYPE, media_type)?;
        request = match condition {
            Condition::Absent => request.with_header(IF_NONE_MATCH, "*")?,
            Condition::Any => request,
            Condition::Is(digest) => request.with_header(IF_MATCH, &format!("\"{digest}\""))?,
        };
        request.payload = Payload::Bytes(bytes);
        request.accepted = &[412];
        let response = self.send_manifest(&request).await?;
        self.client.refuse_web_page(response.headers())?;
        self.client.visibility.wrote();
        if response.status().as_u16() == 412 {
            return Err(RemoteError::ConditionFailed { tag: which.to_string(), found: None });
        }
        let declared = text(response.headers(), CONTENT_DIGEST).and_then(|text| text.parse().ok());
        match declared {
            Some(declared) if declared != actual => {
                Err(RemoteError::Blob(BlobError::Digest { what, expected: actual, actual: declared }))
            }
            _ => Ok(()),
        }
    }

    /// Sends a manifest, again where the registry does not see the blobs yet that it has just taken.
    async fn send_manifest(&self, request: &Request<'_>) -> Result<Response, RemoteError> {
        let mut waits = MISSED_BLOB_WAITS.iter();
        loop {
            let error = match self.client.send(request).await {
                Ok(response) => return Ok(response),
                Err(error) => error,
            };
            let wait = if misses_a_blob(&error) && self.client.visibility.has_written() {
                waits.next()
            } else {
                None
            };
            let Some(wait) = wait else {
                // With a condition it may be that which is refused, as the caller finds out.
                let has_condition =
                    [IF_MATCH, IF_NONE_MATCH].iter().any(|name| request.headers.contains_key(name));
                return Err(if has_condition { error } else { session::refused(&self.client, error) });
            };
            tracing::debug!(%error, "the registry does not see its own blobs yet");
            tokio::time::sleep(*wait).await;
        }
    }

    async fn delete_manifest(&self, which: &Version) -> Result<Deletion, RemoteError> {
        let mut request =
            Request::new(Method::DELETE, self.client.repository.manifest(which), format!("manifest {which}"));
        // What registries say that know no such thing as deleting a tag, or anything.
        request.accepted = &[400, 405, 501];
        let answer = self.client.send(&request).await?;
        match (which, answer.status().is_success()) {
            (_, true) => Ok(Deletion::Done),
            (Version::Tag(_), false) => Ok(Deletion::OnlyManifests),
            (Version::Digest(_), false) => Err(RemoteError::Registry(RegistryError::DeletesOff {
                host: self.client.repository.host.clone(),
            })),
        }
    }

    async fn list_tags(&self) -> Result<Vec<Tag>, RemoteError> {
        let mut tags = BTreeSet::new();
        let list = List {
            what: format!(
                "the list of tags of {}/{}",
                self.client.repository.host, self.client.repository.name
            ),
            first: self.client.repository.tags(pages::PER_PAGE),
            // There is no such repository yet.
            ends_with: &[404],
            names: page,
        };
        let take = |name: String| match name.parse() {
            Ok(tag) => drop(tags.insert(tag)),
            Err(_) => tracing::warn!(tag = harmless(&name), "left out a name that is no tag"),
        };
        match list.read(&self.client, take).await {
            Err(error) if self.client.hides_tags(&error) => Ok(Vec::new()),
            read => read.map(|()| tags.into_iter().collect()),
        }
    }

    /// Whether the registry knows the repository. One that it does not let the user look at counts as known, and one of which
    /// it says only that there is nothing: some say that of a repository without tags.
    async fn knows_repository(&self) -> Result<bool, RemoteError> {
        let mut request = Request::new(
            Method::GET,
            self.client.repository.tags(pages::PER_PAGE),
            format!("the repository {}", self.place()),
        );
        request.accepted = &[404];
        match self.client.send(&request).await {
            Err(error) if self.client.hides_tags(&error) => Ok(true),
            Ok(answer) if answer.status().as_u16() == 404 => {
                let body =
                    self.client.http.body(answer, MAX_ERROR_BYTES, "an error").await.unwrap_or_default();
                Ok(!error_body(&body).codes.iter().any(|code| code == "NAME_UNKNOWN"))
            }
            answer => answer.map(|_| true),
        }
    }
}

/// The waits before a manifest is sent again whose blobs the registry has taken and says to lack.
const MISSED_BLOB_WAITS: [Duration; 3] =
    [Duration::from_millis(250), Duration::from_secs(1), Duration::from_secs(3)];

/// Whether a registry refuses a manifest for want of a blob.
fn misses_a_blob(error: &RemoteError) -> bool {
    let RemoteError::Registry(RegistryError::Status { codes, .. }) = error else { return false };
    codes.iter().any(|code| code == "MANIFEST_BLOB_UNKNOWN" || code == "BLOB_UNKNOWN")
}

/// Checks credentials at the registry `host` itself: nothing is read or written there.
///
/// Where it has tokens to keep in place of a password, it is asked for one.
///
/// # Errors
///
/// [`LoginError::BadCredentials`](crate::LoginError::BadCredentials) where they are wrong, and whatever a request may end with.
pub async fn check_login(host: &str, options: &RemoteOptions) -> Result<CheckedLogin, RemoteError> {
    let repository = Repository::new(host, "", options.transport)?;
    Client::new(repository, options)?.asking_for_identity_tokens().check_login().await
}

/// Reads a page of tags; a repository without any has `null` for a list.
fn page(body: &[u8]) -> Option<Vec<String>> {
    #[derive(Deserialize)]
    struct Page {
        tags: Option<Vec<String>>,
    }
    serde_json::from_slice::<Page>(body).ok().map(|page| page.tags.unwrap_or_default())
}

impl Remote for Registry {
    fn manifest<'a>(
        &'a self,
        which: &'a Version,
    ) -> BoxFuture<'a, Result<Option<FetchedManifest>, RemoteError>> {
        self.fetch_manifest(which).boxed()
    }

    fn blob_unverified<'a>(
        &'a self,
        descriptor: &'a Descriptor,
    ) -> BoxFuture<'a, Result<BlobStream, RemoteError>> {
        download::start(Arc::clone(&self.client), descriptor).boxed()
    }

    fn blob_range_unverified<'a>(
        &'a self,
        descriptor: &'a Descriptor,
        range: Range<u64>,
    ) -> BoxFuture<'a, Result<BlobStream, RemoteError>> {
        download::start_range(Arc::clone(&self.client), descriptor, range).boxed()
    }

    fn range_support(&self) -> RangeSupport {
        if self.client.capabilities.ignores_ranges() { RangeSupport::Ignored } else { RangeSupport::Honoured }
    }

    fn has_blob<'a>(&'a self, descriptor: &'a Descriptor) -> BoxFuture<'a, Result<bool, RemoteError>> {
        find::find(&self.client, descriptor).boxed()
    }

    fn foresee_blob<'a>(&'a self, descriptor: &'a Descriptor) -> BoxFuture<'a, Result<Stored, RemoteError>> {
        async {
            if find::find(&self.client, descriptor).await? {
                return Ok(Stored::WasThere);
            }
            Ok(if mount::is_at_sibling(&self.client, descriptor).await? {
                Stored::Mounted
            } else {
                Stored::Sent
            })
        }
        .boxed()
    }

    fn push_blob<'a>(
        &'a self,
        descriptor: &'a Descriptor,
        source: BlobSource,
    ) -> BoxFuture<'a, Result<Stored, RemoteError>> {
        upload::push(&self.client, descriptor, source, 0, Stage::Closed).boxed()
    }

    fn push_growing_blob(&self, file: GrowingFile) -> BoxFuture<'_, Result<(), RemoteError>> {
        stream::push(&self.client, file).boxed()
    }

    fn may_have_blobs(&self) -> bool {
        self.client.kept.broke_off() || self.client.sibling().is_some()
    }

    fn pushed(&self) {
        self.client.kept.finish();
    }

    fn push_manifest<'a>(
        &'a self,
        which: &'a Version,
        media_type: &'a str,
        bytes: Bytes,
        condition: Condition,
    ) -> BoxFuture<'a, Result<(), RemoteError>> {
        self.put_manifest(which, media_type, bytes, condition).boxed()
    }

    fn delete<'a>(
        &'a self,
        which: &'a Version,
        _digest: Option<Digest>,
    ) -> BoxFuture<'a, Result<Deletion, RemoteError>> {
        self.delete_manifest(which).boxed()
    }

    fn deletion(&self) -> BoxFuture<'_, Result<Deletion, RemoteError>> {
        self.try_deletion().boxed()
    }

    fn tags(&self) -> BoxFuture<'_, Result<Vec<Tag>, RemoteError>> {
        self.list_tags().boxed()
    }

    /// Some registries honour them, and none says so.
    fn honours_conditions(&self) -> bool {
        false
    }

    fn is_there(&self) -> BoxFuture<'_, Result<bool, RemoteError>> {
        self.knows_repository().boxed()
    }

    fn hides_tags(&self) -> bool {
        self.client.visibility.has_refused()
    }

    fn shows_late_by(&self) -> Duration {
        self.shows_late_by
    }

    fn takes_deletions(&self) -> BoxFuture<'_, Result<bool, RemoteError>> {
        self.deletes_any().boxed()
    }

    fn requests(&self) -> u64 {
        self.client.http.requests()
    }

    fn place(&self) -> Place {
        let Repository { host, name, .. } = &self.client.repository;
        Place::Repository { host: host.clone(), name: name.clone() }
    }
}

#[cfg(test)]
mod tests;

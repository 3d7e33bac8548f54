//! Three remotes behind one trait: a repository on a registry, and an OCI image layout in a directory or, to be read
//! alone, in a tar archive.
//!
//! What is moved and in which order is not decided here; a remote obeys one request at a time and says what
//! happened. [`open`] picks the remote for a place, [`read_blob`] reads a blob and verifies it, [`RemoteError`] is
//! what may go wrong.

pub mod archive;
pub mod blob;
pub mod credentials;
pub mod disk;
pub mod error;
pub mod files;
pub mod growing;
mod image_layout;
pub mod layout;
pub mod notice;
pub mod registry;
pub mod sparse;
pub mod text;
mod threads;
mod tls;
pub mod unfinished;

use std::fmt;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use bundle_core::bundle::descriptor::Descriptor;
use bundle_core::bundle::resolve::{ResolveError, resolve};
use bundle_core::digest::Digest;
use bundle_core::name::reference::{Place, Reference, Tag};
use bundle_core::plan::fetch::RangeSupport;
use bytes::Bytes;
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;

use self::archive::Archive;
pub use self::blob::{
    BlobContent, BlobSource, BlobStream, RemoteBlob, Silent, Transferred, read_blob, read_small_blob,
};
pub use self::error::{
    ArchiveFault, BlobError, ConnectionError, LayoutError, LoginError, RegistryError, RemoteError,
    RemoteErrorKind,
};
use self::growing::GrowingFile;
use self::layout::Layout;
pub use self::notice::{Notice, Notices, Unheard};
use self::registry::Registry;
use self::registry::proxy::Proxies;
pub use self::tls::{TlsFault, TlsFileError, TlsOptions, Verification};
pub use self::unfinished::{Content, Unfinished, Unkept};
use crate::credentials::{Credentials, Store};

/// The largest manifest that is read or written: what registries commonly take.
pub const MAX_MANIFEST_BYTES: u64 = 4 << 20;

/// A place that holds tags, manifests and blobs.
pub trait Remote: Send + Sync {
    /// Reads a manifest; `None` where there is none of that name.
    ///
    /// Its bytes are hashed, and an error when they are not what was asked for by digest or what the remote itself
    /// declares.
    fn manifest<'a>(
        &'a self,
        which: &'a Version,
    ) -> BoxFuture<'a, Result<Option<FetchedManifest>, RemoteError>>;

    /// Streams a blob's bytes as they come, **not verified**: [`read_blob`] is the one caller.
    fn blob_unverified<'a>(
        &'a self,
        descriptor: &'a Descriptor,
    ) -> BoxFuture<'a, Result<BlobStream, RemoteError>>;

    /// Streams the bytes `range` of a blob as they come, **not verified**: whoever puts them together verifies the whole.
    ///
    /// The stream has exactly those bytes, or fails.
    fn blob_range_unverified<'a>(
        &'a self,
        descriptor: &'a Descriptor,
        range: Range<u64>,
    ) -> BoxFuture<'a, Result<BlobStream, RemoteError>>;

    /// Whether asking for parts of blobs saves anything, as far as is known.
    fn range_support(&self) -> RangeSupport {
        RangeSupport::Honoured
    }

    /// Whether the blob is there already, with the size it should have.
    fn has_blob<'a>(&'a self, descriptor: &'a Descriptor) -> BoxFuture<'a, Result<bool, RemoteError>>;

    /// What storing the blob would come to, as far as that can be told while nothing is written: whether a registry really
    /// lets another repository's blob be mounted shows only then.
    fn foresee_blob<'a>(&'a self, descriptor: &'a Descriptor) -> BoxFuture<'a, Result<Stored, RemoteError>> {
        async { Ok(if self.has_blob(descriptor).await? { Stored::WasThere } else { Stored::Sent }) }.boxed()
    }

    /// Looks whether a blob is whole, as far as that can be found out without fetching it: on a disk it is read, a registry is
    /// asked for its size. A blob that was found damaged counts as not there from then on, so that it is stored anew.
    fn examine_blob<'a>(
        &'a self,
        descriptor: &'a Descriptor,
    ) -> BoxFuture<'a, Result<BlobState, RemoteError>> {
        async { Ok(if self.has_blob(descriptor).await? { BlobState::Whole } else { BlobState::Lost }) }
            .boxed()
    }

    /// Stores a blob; `source` is hashed on the way, and nothing is stored when it is not what `descriptor` says.
    fn push_blob<'a>(
        &'a self,
        descriptor: &'a Descriptor,
        source: BlobSource,
    ) -> BoxFuture<'a, Result<Stored, RemoteError>>;

    /// Stores a blob that is still being written: while it grows where the remote can do that, else once it is whole.
    fn push_growing_blob(&self, file: GrowingFile) -> BoxFuture<'_, Result<(), RemoteError>> {
        async move {
            let descriptor = file.whole().await?;
            self.push_blob(&descriptor, file.into_source()).await.map(drop)
        }
        .boxed()
    }

    /// Whether a blob may turn out to be there without being sent, whole or in part, once its digest is known: where an
    /// earlier run broke off, or another repository of the same registry may have it. That of a blob that is sent while
    /// it grows is not known.
    fn may_have_blobs(&self) -> bool {
        false
    }

    /// All blobs that were to be stored are, and are named: what is still open of earlier uploads is of no use any more.
    fn pushed(&self) {}

    /// Stores a manifest, by its digest alone or under a tag.
    ///
    /// A layout honours `condition`; a registry is told of it and may ignore it, so that the tag is to be read
    /// before and after. [`RemoteError::ConditionFailed`] where it was honoured and does not hold.
    fn push_manifest<'a>(
        &'a self,
        which: &'a Version,
        media_type: &'a str,
        bytes: Bytes,
        condition: Condition,
    ) -> BoxFuture<'a, Result<(), RemoteError>>;

    /// Deletes the tag or the manifest that `which` names; `digest` is what the tag named when that was last looked at,
    /// where that is known.
    ///
    /// A manifest goes with every tag that names it; blobs stay. [`RemoteError::Missing`] where there is none of that
    /// name, [`RegistryError::DeletesOff`] where the remote deletes nothing at all.
    fn delete<'a>(
        &'a self,
        which: &'a Version,
        digest: Option<Digest>,
    ) -> BoxFuture<'a, Result<Deletion, RemoteError>>;

    /// What it deletes at a time, found out with names that nothing has; nothing is changed.
    ///
    /// [`RegistryError::DeletesOff`] where that is nothing at all.
    fn deletion(&self) -> BoxFuture<'_, Result<Deletion, RemoteError>> {
        async { Ok(Deletion::Done) }.boxed()
    }

    /// Lists the tags, sorted; none where the place does not exist yet. What is no valid tag is left out.
    fn tags(&self) -> BoxFuture<'_, Result<Vec<Tag>, RemoteError>>;

    /// Lists every manifest that the place names by digest, and the tag under which it does; none where a place, like a
    /// registry, lists tags alone, or does not exist yet.
    fn listed(&self) -> BoxFuture<'_, Result<Vec<Listed>, RemoteError>> {
        async { Ok(Vec::new()) }.boxed()
    }

    /// The digest that the place itself lists for a tag, whatever became of the manifest; none where there is no such tag, or
    /// where a place, like a registry, tells it only with the manifest.
    fn listed_digest<'a>(&'a self, _tag: &'a Tag) -> BoxFuture<'a, Result<Option<Digest>, RemoteError>> {
        async { Ok(None) }.boxed()
    }

    /// Whether the place is there at all, be it empty.
    fn is_there(&self) -> BoxFuture<'_, Result<bool, RemoteError>> {
        async { Ok(true) }.boxed()
    }

    /// For how long a tag that was written may still be shown as it was before.
    fn shows_late_by(&self) -> Duration {
        Duration::ZERO
    }

    /// Whether a tag is for certain left alone where the condition of its write does not hold.
    fn honours_conditions(&self) -> bool {
        true
    }

    /// Whether the place has refused to show what a tag names, to somebody whose login it takes: it may not be there yet, or
    /// may be written to and not read.
    fn hides_tags(&self) -> bool {
        false
    }

    /// Whether anything can be deleted at all, as far as can be told without deleting anything.
    fn takes_deletions(&self) -> BoxFuture<'_, Result<bool, RemoteError>> {
        async { Ok(true) }.boxed()
    }

    /// Finds out whether this machine lets it be written to, as far as can be told without writing.
    fn foresee_writing(&self) -> BoxFuture<'_, Result<(), RemoteError>> {
        async { Ok(()) }.boxed()
    }

    /// How many HTTP requests were made so far.
    fn requests(&self) -> u64;

    /// Where it is.
    fn place(&self) -> Place;
}

/// A manifest of a place that lists its manifests, and the tag that names it there.
pub type Listed = (Digest, Option<Tag>);

/// Which manifest of a place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Version {
    /// The one with this digest.
    Digest(Digest),
    /// The one that this tag points to now.
    Tag(Tag),
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Digest(digest) => digest.fmt(f),
            Self::Tag(tag) => tag.fmt(f),
        }
    }
}

/// How a blob came to be on a remote.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stored {
    /// The registry took it from another repository of its own.
    Mounted,
    /// Its bytes were sent.
    Sent,
    /// It was there.
    WasThere,
}

/// How a blob that should be at a place is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BlobState {
    /// Its bytes are others.
    Damaged,
    /// It is not there.
    Lost,
    /// It is there and whole, as far as that is known.
    Whole,
}

/// What became of a wish to delete.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Deletion {
    /// It is gone.
    Done,
    /// Nothing is gone: this remote deletes a manifest with all of its tags, and no tag alone.
    OnlyManifests,
}

/// What must hold for a tag to be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Condition {
    /// There is no such tag.
    Absent,
    /// Nothing.
    Any,
    /// It points to this manifest.
    Is(Digest),
}

impl Version {
    /// What names it whole, at `place`.
    #[must_use]
    pub fn at(&self, place: Place) -> Reference {
        match self {
            Self::Digest(digest) => Reference { place, tag: None, digest: Some(*digest) },
            Self::Tag(tag) => Reference { place, tag: Some(tag.clone()), digest: None },
        }
    }
}

/// A manifest, and what the remote said about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FetchedManifest {
    /// As it was stored, byte for byte.
    pub bytes: Bytes,
    /// The hash of [`bytes`](Self::bytes), computed here.
    pub digest: Digest,
    /// The digest that the remote declared, as it came; where it is a SHA-256, it is that of the bytes.
    pub declared_digest: Option<String>,
    /// The media type that the remote declared.
    pub media_type: Option<String>,
}

impl FetchedManifest {
    /// Hashes `bytes`, and takes them only as what was asked for and declared.
    fn check(
        which: &Version,
        bytes: Bytes,
        declared_digest: Option<String>,
        media_type: Option<String>,
    ) -> Result<Self, RemoteError> {
        let what = || format!("manifest {which}");
        let pinned = match which {
            Version::Digest(digest) => Some(*digest),
            Version::Tag(_) => None,
        };
        match resolve(Digest::of(&bytes), declared_digest.as_deref(), pinned) {
            Ok(resolved) => Ok(Self { bytes, digest: resolved.digest, declared_digest, media_type }),
            Err(
                ResolveError::DeclaredDiffers { expected, actual }
                | ResolveError::PinnedDiffers { expected, actual },
            ) => Err(RemoteError::Blob(BlobError::Digest { what: what(), expected, actual })),
            Err(error @ ResolveError::Declared { .. }) => {
                Err(RemoteError::Protocol { what: what(), fault: error.to_string() })
            }
        }
    }
}

/// How a registry is talked to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Transport {
    /// HTTPS, except to this machine itself.
    #[default]
    Secure,
    /// Plain HTTP, whatever the host: the user said so.
    PlainHttp,
    /// HTTPS, to this machine itself as well: the user said how.
    Tls,
}

/// What a remote is opened for. Token servers are asked for the rights to it from the first request on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Intent {
    /// Deleting tags or bundles.
    Delete,
    /// Reading.
    #[default]
    Read,
    /// Giving further tags to what is there.
    Tag,
    /// Writing, perhaps to a repository that is not there yet. Some registries refuse to say what is in one of those: until
    /// something was written, a tag that is refused after a login counts as absent, and the first write decides.
    Write,
}

/// Who asks.
#[derive(Clone, Debug, Default)]
pub enum Login {
    /// Nobody in particular.
    #[default]
    Anonymous,
    /// Somebody.
    As(Credentials),
    /// Whoever the user's stored credentials for that registry are of; looked up when it first wants to know.
    Stored(Arc<Store>),
}

/// What a registry said to a login.
#[derive(Clone, PartialEq, Eq)]
pub enum CheckedLogin {
    /// It takes it.
    Accepted {
        /// The other host that was told the credentials, where it is not the registry's own.
        token_server: Option<String>,
        /// What can be kept in place of a password, where the registry gives such a thing.
        identity_token: Option<String>,
    },
    /// It does not want to know.
    NotAsked,
}

impl fmt::Debug for dyn Remote + '_ {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Remote").field("place", &self.place()).finish_non_exhaustive()
    }
}

/// How to reach a remote; the defaults suit a person at a terminal.
#[derive(Clone, Debug)]
pub struct RemoteOptions {
    /// A place that is likely to have some of what will be pushed. Where it is a repository of the same registry, blobs are
    /// taken from there and not sent; none by default.
    pub beside: Option<Place>,
    /// What the remote is opened for; reading by default.
    pub intent: Intent,
    /// Who asks; anonymous by default. Only ever told to the registry, and to the token server that it names.
    pub login: Login,
    /// Who is told what a user should know of; nobody by default.
    pub notices: Arc<dyn Notices>,
    /// Through which proxies requests go; those of the environment by default.
    pub proxies: Arc<Proxies>,
    /// How often a request is repeated that may succeed later; 4 by default.
    pub retries: u32,
    /// For how long a registry may show a tag that was written as it was before; 5 seconds by default.
    pub shows_late_by: Duration,
    /// How long to wait without a byte moving; 30 seconds by default.
    pub timeout: Duration,
    /// Certificates and keys; those of the system by default.
    pub tls: TlsOptions,
    /// Whether plain HTTP is allowed.
    pub transport: Transport,
    /// Where uploads are kept that a later run is to go on with; nowhere by default.
    pub unfinished: Arc<dyn Unfinished>,
    /// What the program calls itself.
    pub user_agent: String,
}

impl Default for RemoteOptions {
    fn default() -> Self {
        Self {
            beside: None,
            intent: Intent::default(),
            login: Login::default(),
            notices: Arc::new(Unheard),
            proxies: Arc::new(Proxies::of_process()),
            retries: 4,
            shows_late_by: Duration::from_secs(5),
            timeout: Duration::from_secs(30),
            tls: TlsOptions::default(),
            transport: Transport::default(),
            unfinished: Arc::new(Unkept),
            user_agent: concat!("modelops-bundle/", env!("CARGO_PKG_VERSION")).to_owned(),
        }
    }
}

/// Picks the remote for a place; asks it nothing yet.
///
/// # Errors
///
/// [`RemoteError::Protocol`] for a registry name that makes no URL, [`ConnectionError::Unreachable`] where this machine
/// cannot make connections.
pub fn open(place: &Place, options: &RemoteOptions) -> Result<Box<dyn Remote>, RemoteError> {
    match place {
        Place::Repository { host, name } => Ok(Box::new(Registry::new(host, name, options)?)),
        Place::Layout { directory } => Ok(Box::new(Layout::telling(directory, Arc::clone(&options.notices)))),
        Place::Archive { file } => Ok(Box::new(Archive::new(file))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manifest_is_what_was_asked_for_and_declared() {
        let bytes = Bytes::from_static(b"{}");
        let (right, wrong) = (Digest::of(b"{}"), Digest::of(b"[]"));
        let tag = Version::Tag("v1".parse().unwrap());
        let check = |which: &Version, declared: &str| {
            FetchedManifest::check(which, bytes.clone(), Some(declared.to_owned()), None)
        };
        for declared in ["", "sha512:00", &right.to_string()] {
            assert_eq!(check(&tag, declared).unwrap().digest, right, "{declared}");
            assert!(check(&Version::Digest(wrong), declared).is_err());
        }
        assert!(matches!(check(&tag, &wrong.to_string()), Err(RemoteError::Blob(BlobError::Digest { .. }))));
        assert!(matches!(check(&tag, "nonsense"), Err(RemoteError::Protocol { .. })));
    }

    #[test]
    fn a_password_is_not_printed() {
        let credentials = Credentials::Password { user: "me".to_owned(), password: "secret".to_owned() };
        let options = RemoteOptions { login: Login::As(credentials), ..RemoteOptions::default() };
        assert!(!format!("{options:?}").contains("secret"));
    }
}

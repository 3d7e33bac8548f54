//! What a remote can be asked, whatever kind of place it is.

use std::fmt;
use std::ops::Range;
use std::time::Duration;

use bundle_core::bundle::descriptor::Descriptor;
use bundle_core::bundle::resolve::{ResolveError, resolve};
use bundle_core::digest::Digest;
use bundle_core::name::reference::{Place, Reference, Tag};
use bundle_core::plan::fetch::RangeSupport;
use bytes::Bytes;
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;

use crate::blob::{BlobSource, BlobStream};
use crate::error::{BlobError, RemoteError};
use crate::growing::GrowingFile;

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

    /// Streams a blob's bytes as they come, **not verified**: [`read_blob`](crate::read_blob) is the one caller.
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
    /// name, [`RegistryError::DeletesOff`](crate::RegistryError::DeletesOff) where the remote deletes nothing at all.
    fn delete<'a>(
        &'a self,
        which: &'a Version,
        digest: Option<Digest>,
    ) -> BoxFuture<'a, Result<Deletion, RemoteError>>;

    /// What it deletes at a time, found out with names that nothing has; nothing is changed.
    ///
    /// [`RegistryError::DeletesOff`](crate::RegistryError::DeletesOff) where that is nothing at all.
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
    pub(crate) fn check(
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

impl fmt::Debug for dyn Remote + '_ {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Remote").field("place", &self.place()).finish_non_exhaustive()
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
}

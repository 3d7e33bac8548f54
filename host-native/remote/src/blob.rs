//! Blobs in motion: where one to be sent comes from, and the check on one that arrives.
//!
//! [`read_blob`] is what callers use: a remote's own stream is not to be trusted. Where the bytes end up is not
//! known here.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use bundle_core::bundle::descriptor::Descriptor;
use bundle_core::digest::Hasher;
use bytes::{Bytes, BytesMut};
use futures_util::future::BoxFuture;
use futures_util::stream::BoxStream;
use futures_util::{FutureExt as _, StreamExt as _, stream};

use super::{Remote, RemoteError};
use crate::error::BlobError;

/// The bytes of a blob, piece by piece.
pub type BlobStream = BoxStream<'static, Result<Bytes, RemoteError>>;

/// Is told how many bytes went to a remote.
pub trait Transferred: Send + Sync {
    /// `count` more bytes went out. What is sent again after a failure is not counted again.
    fn bytes(&self, count: u64);

    /// The remote has the first `count` bytes of an earlier run, and they need not go out; 0 where they have to after
    /// all.
    fn had(&self, _count: u64) {}
}

/// Tells nobody.
#[derive(Clone, Copy, Debug, Default)]
pub struct Silent;

impl Transferred for Silent {
    fn bytes(&self, _count: u64) {}
}

/// Where the bytes of a blob come from; can be read again from the start for another try.
#[derive(Clone)]
pub struct BlobSource {
    pub(super) content: BlobContent,
    pub(super) transferred: Arc<dyn Transferred>,
}

/// What a [`BlobSource`] reads.
#[derive(Clone, Debug)]
pub enum BlobContent {
    /// Bytes in memory.
    Bytes(Bytes),
    /// A file, which is streamed and never held as a whole.
    File(PathBuf),
    /// The same, of this program's own: it was hashed when it was written, and nobody else writes to it.
    OwnFile(PathBuf),
    /// The same blob on another remote, streamed likewise.
    Remote(RemoteBlob),
}

/// A remote from which a blob is read, anew for each try.
#[derive(Clone)]
pub struct RemoteBlob(Arc<dyn Remote>);

impl RemoteBlob {
    /// Streams the blob, verified.
    pub(super) async fn read(&self, descriptor: &Descriptor) -> Result<BlobStream, RemoteError> {
        read_blob(&*self.0, descriptor).await
    }
}

impl fmt::Debug for RemoteBlob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RemoteBlob").finish_non_exhaustive()
    }
}

impl BlobSource {
    /// Takes bytes from memory, for what is small.
    pub fn bytes(bytes: impl Into<Bytes>) -> Self {
        Self { content: BlobContent::Bytes(bytes.into()), transferred: Arc::new(Silent) }
    }

    /// Streams a file.
    pub fn file(path: impl Into<PathBuf>) -> Self {
        Self { content: BlobContent::File(path.into()), transferred: Arc::new(Silent) }
    }

    /// Streams a file of this program's own, which was hashed when it was written.
    pub fn own_file(path: impl Into<PathBuf>) -> Self {
        Self { content: BlobContent::OwnFile(path.into()), transferred: Arc::new(Silent) }
    }

    /// Streams the blob from another remote that has it.
    pub fn remote(remote: Arc<dyn Remote>) -> Self {
        Self { content: BlobContent::Remote(RemoteBlob(remote)), transferred: Arc::new(Silent) }
    }

    /// Tells `transferred` as bytes go out.
    #[must_use]
    pub fn counted_by(self, transferred: Arc<dyn Transferred>) -> Self {
        Self { transferred, ..self }
    }
}

impl fmt::Debug for BlobSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BlobSource").field("content", &self.content).finish_non_exhaustive()
    }
}

/// Streams a blob and hashes it on the way.
///
/// The stream ends with an error when size or digest are not those of `descriptor`, and at most one piece after the
/// first byte too many: until it has ended well, what came is not the blob. Reads the size it is told and no more.
///
/// # Errors
///
/// As [`Remote::blob_unverified`]; the stream fails with a [`BlobError`] where the bytes are not those of `descriptor`.
pub fn read_blob<'a>(
    remote: &'a dyn Remote,
    descriptor: &'a Descriptor,
) -> BoxFuture<'a, Result<BlobStream, RemoteError>> {
    async move { Ok(verified(remote.blob_unverified(descriptor).await?, descriptor)) }.boxed()
}

/// Reads a whole blob into memory and verifies it.
///
/// # Errors
///
/// Refuses a descriptor of more than `limit` bytes before it asks for anything; else as [`read_blob`].
pub async fn read_small_blob(
    remote: &dyn Remote,
    descriptor: &Descriptor,
    limit: u64,
) -> Result<Bytes, RemoteError> {
    if descriptor.size > limit {
        return Err(RemoteError::Blob(BlobError::TooLarge { what: name(descriptor), limit }));
    }
    let mut pieces = read_blob(remote, descriptor).await?;
    // A size is only a promise: memory grows with what really comes.
    let mut content = BytesMut::new();
    while let Some(piece) = pieces.next().await {
        content.extend_from_slice(&piece?);
    }
    Ok(content.freeze())
}

/// How errors call a blob.
pub(super) fn name(descriptor: &Descriptor) -> String {
    format!("blob {}", descriptor.digest)
}

/// Fails when `bytes` are not what `descriptor` says.
pub(super) fn check_bytes(bytes: &[u8], descriptor: &Descriptor) -> Result<(), RemoteError> {
    let mut hasher = Hasher::new();
    hasher.update(bytes);
    compare(hasher, descriptor)
}

fn compare(hasher: Hasher, descriptor: &Descriptor) -> Result<(), RemoteError> {
    let length = hasher.length();
    if length != descriptor.size {
        return Err(RemoteError::Blob(BlobError::Size {
            what: name(descriptor),
            expected: descriptor.size,
            actual: length,
        }));
    }
    let actual = hasher.finish();
    if actual == descriptor.digest {
        return Ok(());
    }
    Err(RemoteError::Blob(BlobError::Digest { what: name(descriptor), expected: descriptor.digest, actual }))
}

/// Passes `pieces` on while they fit `descriptor`, and fails where they do not.
pub(super) fn verified(pieces: BlobStream, descriptor: &Descriptor) -> BlobStream {
    let check = Check { pieces, hasher: Hasher::new(), descriptor: descriptor.clone() };
    stream::try_unfold(Some(check), |check| async move {
        let Some(mut check) = check else { return Ok(None) };
        match check.pieces.next().await {
            Some(piece) => {
                let piece = piece?;
                check.hasher.update(&piece);
                check.not_too_long()?;
                Ok(Some((piece, Some(check))))
            }
            None => compare(check.hasher, &check.descriptor).map(|()| None),
        }
    })
    .boxed()
}

struct Check {
    pieces: BlobStream,
    hasher: Hasher,
    descriptor: Descriptor,
}

impl Check {
    fn not_too_long(&self) -> Result<(), RemoteError> {
        let (expected, actual) = (self.descriptor.size, self.hasher.length());
        if actual <= expected {
            return Ok(());
        }
        Err(RemoteError::Blob(BlobError::Size { what: name(&self.descriptor), expected, actual }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn through(pieces: &[&'static [u8]], descriptor: &Descriptor) -> Result<Vec<u8>, RemoteError> {
        let pieces: Vec<_> = pieces.iter().map(|piece| Ok(Bytes::from_static(piece))).collect();
        let mut checked = verified(stream::iter(pieces).boxed(), descriptor);
        let mut content = Vec::new();
        while let Some(piece) = checked.next().await {
            content.extend_from_slice(&piece?);
        }
        Ok(content)
    }

    #[tokio::test]
    async fn a_stream_passes_only_as_what_it_should_be() {
        let descriptor = Descriptor::of("x/y", b"content");
        assert_eq!(through(&[b"con", b"tent"], &descriptor).await.unwrap(), b"content");
        assert!(matches!(
            through(&[b"con"], &descriptor).await,
            Err(RemoteError::Blob(BlobError::Size { actual: 3, .. }))
        ));
        assert!(matches!(
            through(&[], &descriptor).await,
            Err(RemoteError::Blob(BlobError::Size { actual: 0, .. }))
        ));
        assert!(matches!(
            through(&[b"content", b"!", b"never read"], &descriptor).await,
            Err(RemoteError::Blob(BlobError::Size { actual: 8, .. }))
        ));
        assert!(matches!(
            through(&[b"c0ntent"], &descriptor).await,
            Err(RemoteError::Blob(BlobError::Digest { .. }))
        ));
        assert_eq!(through(&[], &Descriptor::of("x/y", b"")).await.unwrap(), b"");
    }
}

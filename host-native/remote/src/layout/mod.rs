//! A remote that is an OCI image layout: a directory, shared by whoever can write to it.
//!
//! What is in such a directory is the matter of `image_layout`, how files get to disk and back that of
//! `files.rs`. Blobs are never deleted here, and names only where that was asked for.

mod files;

use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;

use bundle_core::bundle::descriptor::Descriptor;
use bundle_core::digest::Digest;
use bundle_core::name::reference::{Place, Tag};
use bytes::Bytes;
use futures_util::future::BoxFuture;
use futures_util::{FutureExt as _, StreamExt as _};

use self::files::Directory;
use super::disk::cannot;
use super::image_layout::{self, Files as _};
use super::sparse;
use super::{
    BlobContent, BlobSource, BlobState, BlobStream, Condition, Deletion, FetchedManifest, Listed, Notices,
    Remote, RemoteBlob, RemoteError, Stored, Transferred, Unheard, Version, blob,
};
use crate::error::BlobError;
use crate::threads::on_disk;

/// How much of a file is read at a time.
const PIECE_BYTES: usize = 256 << 10;

/// An OCI image layout in a directory, which need not exist yet.
///
/// All of a write is on disk before its name is. Writers of tags wait for one another.
#[derive(Clone, Debug)]
pub struct Layout {
    directory: Arc<Directory>,
}

impl Layout {
    /// Names a layout; nothing is read or created yet.
    pub fn new(directory: impl Into<PathBuf>) -> Self {
        Self::telling(directory, Arc::new(Unheard))
    }

    /// The same, where `notices` hears of what is waited for.
    pub fn telling(directory: impl Into<PathBuf>, notices: Arc<dyn Notices>) -> Self {
        Self { directory: Arc::new(Directory::new(directory.into(), notices)) }
    }

    /// Whether anything is there yet: the first push makes it.
    pub fn exists(&self) -> bool {
        self.directory.is_layout()
    }

    /// Finds out whether something could be pushed, and leaves everything as it is.
    ///
    /// # Errors
    ///
    /// As a push would end: any [`RemoteError`] of a layout.
    pub async fn try_to_write(&self) -> Result<(), RemoteError> {
        self.blocking(Directory::try_to_write).await
    }

    /// Runs `work` where it may block.
    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Directory) -> Result<T, RemoteError> + Send + 'static,
    ) -> Result<T, RemoteError> {
        let directory = Arc::clone(&self.directory);
        on_disk(move || work(&directory)).await.map_err(|fault| RemoteError::Protocol {
            what: "a layout on disk".to_owned(),
            fault: fault.to_string(),
        })?
    }

    /// Stores a blob that comes from another remote, piece by piece.
    async fn receive(
        &self,
        descriptor: &Descriptor,
        origin: &RemoteBlob,
        transferred: &dyn Transferred,
    ) -> Result<(), RemoteError> {
        let mut file = self.blocking(Directory::new_blob).await?;
        let mut pieces = origin.read(descriptor).await?;
        while let Some(piece) = pieces.next().await {
            let piece = piece?;
            let length = piece.len() as u64;
            file = self
                .blocking(move |directory| {
                    sparse::append(file.as_file(), &piece).map_err(cannot("write", directory.root()))?;
                    Ok(file)
                })
                .await?;
            transferred.bytes(length);
        }
        // What has ended well is the blob.
        let digest = descriptor.digest;
        self.blocking(move |directory| {
            sparse::end(file.as_file()).map_err(cannot("write", file.path()))?;
            directory.keep_blob(file, &digest)
        })
        .await
    }
}

impl Remote for Layout {
    fn manifest<'a>(
        &'a self,
        which: &'a Version,
    ) -> BoxFuture<'a, Result<Option<FetchedManifest>, RemoteError>> {
        let which = which.clone();
        self.blocking(move |directory| image_layout::read_manifest(directory, &which)).boxed()
    }

    fn blob_unverified<'a>(
        &'a self,
        descriptor: &'a Descriptor,
    ) -> BoxFuture<'a, Result<BlobStream, RemoteError>> {
        self.blob_range_unverified(descriptor, 0..descriptor.size)
    }

    fn blob_range_unverified<'a>(
        &'a self,
        descriptor: &'a Descriptor,
        range: Range<u64>,
    ) -> BoxFuture<'a, Result<BlobStream, RemoteError>> {
        let descriptor = descriptor.clone();
        self.blocking(move |directory| image_layout::find_blob(directory, &descriptor)?.stream(range)).boxed()
    }

    fn has_blob<'a>(&'a self, descriptor: &'a Descriptor) -> BoxFuture<'a, Result<bool, RemoteError>> {
        let descriptor = descriptor.clone();
        self.blocking(move |directory| directory.holds(&descriptor)).boxed()
    }

    fn examine_blob<'a>(
        &'a self,
        descriptor: &'a Descriptor,
    ) -> BoxFuture<'a, Result<BlobState, RemoteError>> {
        let descriptor = descriptor.clone();
        self.blocking(move |directory| directory.examine(&descriptor)).boxed()
    }

    fn push_blob<'a>(
        &'a self,
        descriptor: &'a Descriptor,
        source: BlobSource,
    ) -> BoxFuture<'a, Result<Stored, RemoteError>> {
        async move {
            let wanted = descriptor.clone();
            let is_there = self.blocking(move |directory| {
                directory.prepare()?;
                directory.holds(&wanted)
            });
            if is_there.await? {
                return Ok(Stored::WasThere);
            }
            let (wanted, transferred) = (descriptor.clone(), source.transferred);
            match source.content {
                BlobContent::Bytes(bytes) => {
                    self.blocking(move |directory| {
                        blob::check_bytes(&bytes, &wanted)?;
                        directory.write_blob(&wanted, &mut &bytes[..], &*transferred, None)
                    })
                    .await?;
                }
                BlobContent::File(path) | BlobContent::OwnFile(path) => {
                    self.blocking(move |directory| {
                        let mut file = std::fs::File::open(&path).map_err(cannot("read", &path))?;
                        directory.write_blob(&wanted, &mut file, &*transferred, Some(&path))
                    })
                    .await?;
                }
                BlobContent::Remote(origin) => self.receive(descriptor, &origin, &*transferred).await?,
            }
            Ok(Stored::Sent)
        }
        .boxed()
    }

    fn push_manifest<'a>(
        &'a self,
        which: &'a Version,
        media_type: &'a str,
        bytes: Bytes,
        condition: Condition,
    ) -> BoxFuture<'a, Result<(), RemoteError>> {
        let (which, descriptor) = (which.clone(), Descriptor::of(media_type, &bytes));
        self.blocking(move |directory| {
            directory.prepare()?;
            // A manifest is small, so that it is read: of one that is damaged nothing else would tell.
            if directory.examine(&descriptor)? != BlobState::Whole {
                directory.write_blob(&descriptor, &mut &bytes[..], &super::Silent, None)?;
            }
            match which {
                Version::Digest(digest) if digest == descriptor.digest => Ok(()),
                Version::Digest(expected) => Err(RemoteError::Blob(BlobError::Digest {
                    what: "manifest".to_owned(),
                    expected,
                    actual: descriptor.digest,
                })),
                Version::Tag(tag) => write_tag(directory, &tag, &descriptor, &bytes, condition),
            }
        })
        .boxed()
    }

    fn delete<'a>(
        &'a self,
        which: &'a Version,
        digest: Option<Digest>,
    ) -> BoxFuture<'a, Result<Deletion, RemoteError>> {
        let which = which.clone();
        self.blocking(move |directory| delete_entries(directory, &which, digest)).boxed()
    }

    fn tags(&self) -> BoxFuture<'_, Result<Vec<Tag>, RemoteError>> {
        self.blocking(|directory| Ok(directory.index()?.tags())).boxed()
    }

    fn listed(&self) -> BoxFuture<'_, Result<Vec<Listed>, RemoteError>> {
        self.blocking(|directory| Ok(directory.index()?.manifests_and_tags())).boxed()
    }

    fn foresee_writing(&self) -> BoxFuture<'_, Result<(), RemoteError>> {
        self.blocking(Directory::foresee_writing).boxed()
    }

    fn listed_digest<'a>(&'a self, tag: &'a Tag) -> BoxFuture<'a, Result<Option<Digest>, RemoteError>> {
        let tag = tag.clone();
        self.blocking(move |directory| Ok(directory.find(&tag)?.map(|entry| entry.digest))).boxed()
    }

    fn is_there(&self) -> BoxFuture<'_, Result<bool, RemoteError>> {
        self.blocking(|directory| Ok(directory.root().is_dir())).boxed()
    }

    fn requests(&self) -> u64 {
        0
    }

    fn place(&self) -> Place {
        self.directory.place()
    }
}

/// Takes a manifest, or a tag of it, out of the index. The manifest's own bytes stay where they are.
fn delete_entries(
    directory: &Directory,
    which: &Version,
    digest: Option<Digest>,
) -> Result<Deletion, RemoteError> {
    let missing = || RemoteError::Missing { what: format!("manifest {which}") };
    if !directory.is_layout() {
        return Err(missing());
    }
    let _lock = directory.lock()?;
    let mut index = directory.index()?;
    match which {
        Version::Tag(tag) => {
            let found =
                index.find(tag).map_err(|fault| directory.bad_index(fault))?.ok_or_else(missing)?.digest;
            if digest.is_some_and(|digest| digest != found) {
                return Err(RemoteError::ConditionFailed { tag: tag.to_string(), found: Some(found) });
            }
            index.remove_tag(tag);
        }
        Version::Digest(digest) => {
            if !index.remove_manifest(digest) {
                return Err(missing());
            }
        }
    }
    directory.write_index(&index)?;
    Ok(Deletion::Done)
}

fn write_tag(
    directory: &Directory,
    tag: &Tag,
    descriptor: &Descriptor,
    manifest: &[u8],
    condition: Condition,
) -> Result<(), RemoteError> {
    let _lock = directory.lock()?;
    let mut index = directory.index()?;
    let found = index.find(tag).map_err(|fault| directory.bad_index(fault))?.map(|entry| entry.digest);
    let holds = match condition {
        Condition::Absent => found.is_none(),
        Condition::Any => true,
        Condition::Is(digest) => found == Some(digest),
    };
    if !holds {
        return Err(RemoteError::ConditionFailed { tag: tag.to_string(), found });
    }
    if found == Some(descriptor.digest) {
        return Ok(());
    }
    index.point(tag, descriptor, manifest);
    directory.write_index(&index)
}

#[cfg(test)]
mod tests;

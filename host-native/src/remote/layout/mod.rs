//! A remote that is an OCI image layout: a directory, shared by whoever can write to it.
//!
//! <https://github.com/opencontainers/image-spec/blob/v1.1.0/image-layout.md>. What `index.json` says is in
//! `index.rs`, how files get to disk and back in `files.rs`. Nothing is ever deleted here.

mod files;
mod index;

use std::io::{self, Read as _};
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;

use bundle_core::descriptor::Descriptor;
use bundle_core::digest::Digest;
use bundle_core::reference::Tag;
use bytes::Bytes;
use futures_util::future::BoxFuture;
use futures_util::{FutureExt as _, StreamExt as _};
use tokio::io::{AsyncReadExt as _, AsyncSeekExt as _};
use tokio_util::io::ReaderStream;

use self::files::Directory;
use self::index::Index;
use super::{
    BlobContent, BlobSource, BlobStream, Condition, FetchedManifest, MAX_MANIFEST_BYTES, Remote, RemoteError,
    Version, blob,
};

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
        Self { directory: Arc::new(Directory::new(directory.into())) }
    }

    /// Runs `work` where it may block.
    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Directory) -> Result<T, RemoteError> + Send + 'static,
    ) -> Result<T, RemoteError> {
        let directory = Arc::clone(&self.directory);
        tokio::task::spawn_blocking(move || work(&directory)).await.map_err(|fault| {
            RemoteError::Protocol { what: "a layout on disk".to_owned(), fault: fault.to_string() }
        })?
    }

    async fn read_range(
        &self,
        descriptor: &Descriptor,
        range: Range<u64>,
    ) -> Result<BlobStream, RemoteError> {
        let digest = descriptor.digest;
        let opened = self.blocking(move |directory| directory.open_blob(&digest)).await?;
        let Some(blob) = opened else {
            return Err(RemoteError::Missing { what: blob::name(descriptor) });
        };
        if blob.size != descriptor.size {
            let what = blob::name(descriptor);
            return Err(RemoteError::Size { what, expected: descriptor.size, actual: blob.size });
        }
        let path = blob.path;
        let mut file = tokio::fs::File::from_std(blob.file);
        file.seek(io::SeekFrom::Start(range.start)).await.map_err(files::cannot("read", &path))?;
        let content = file.take(range.end.saturating_sub(range.start));
        let pieces = ReaderStream::with_capacity(content, PIECE_BYTES);
        Ok(pieces.map(move |piece| piece.map_err(files::cannot("read", &path))).boxed())
    }
}

impl Remote for Layout {
    fn manifest<'a>(
        &'a self,
        which: &'a Version,
    ) -> BoxFuture<'a, Result<Option<FetchedManifest>, RemoteError>> {
        let which = which.clone();
        self.blocking(move |directory| read_manifest(directory, &which)).boxed()
    }

    fn blob_unverified<'a>(
        &'a self,
        descriptor: &'a Descriptor,
    ) -> BoxFuture<'a, Result<BlobStream, RemoteError>> {
        let whole = 0..descriptor.size;
        self.read_range(descriptor, whole).boxed()
    }

    fn blob_range_unverified<'a>(
        &'a self,
        descriptor: &'a Descriptor,
        range: Range<u64>,
    ) -> BoxFuture<'a, Result<BlobStream, RemoteError>> {
        self.read_range(descriptor, range).boxed()
    }

    fn has_blob<'a>(&'a self, descriptor: &'a Descriptor) -> BoxFuture<'a, Result<bool, RemoteError>> {
        let descriptor = descriptor.clone();
        self.blocking(move |directory| directory.holds(&descriptor)).boxed()
    }

    fn push_blob<'a>(
        &'a self,
        descriptor: &'a Descriptor,
        source: BlobSource,
    ) -> BoxFuture<'a, Result<(), RemoteError>> {
        let descriptor = descriptor.clone();
        self.blocking(move |directory| {
            directory.prepare()?;
            if directory.holds(&descriptor)? {
                return Ok(());
            }
            match &source.content {
                BlobContent::Bytes(bytes) => {
                    blob::check_bytes(bytes, &descriptor)?;
                    directory.write_blob(&descriptor, &mut &bytes[..], &*source.transferred, None)
                }
                BlobContent::File(path) | BlobContent::OwnFile(path) => {
                    let mut file = std::fs::File::open(path).map_err(files::cannot("read", path))?;
                    directory.write_blob(&descriptor, &mut file, &*source.transferred, Some(path))
                }
            }
        })
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
            if !directory.holds(&descriptor)? {
                directory.write_blob(&descriptor, &mut &bytes[..], &super::Silent, None)?;
            }
            match which {
                Version::Digest(digest) if digest == descriptor.digest => Ok(()),
                Version::Digest(expected) => Err(RemoteError::Digest {
                    what: "manifest".to_owned(),
                    expected,
                    actual: descriptor.digest,
                }),
                Version::Tag(tag) => write_tag(directory, &tag, &descriptor, &bytes, condition),
            }
        })
        .boxed()
    }

    fn tags(&self) -> BoxFuture<'_, Result<Vec<Tag>, RemoteError>> {
        self.blocking(|directory| Ok(Index::read(directory)?.tags())).boxed()
    }

    fn requests(&self) -> u64 {
        0
    }
}

fn read_manifest(directory: &Directory, which: &Version) -> Result<Option<FetchedManifest>, RemoteError> {
    let (digest, entry_type) = match which {
        Version::Digest(digest) => (*digest, None),
        Version::Tag(tag) => match Index::read(directory)?.find(tag)? {
            Some(entry) => (entry.digest, entry.media_type),
            None => return Ok(None),
        },
    };
    let Some(opened) = directory.open_blob(&digest)? else {
        return match which {
            Version::Digest(_) => Ok(None),
            Version::Tag(_) => Err(RemoteError::Missing { what: format!("manifest {digest}") }),
        };
    };
    let what = format!("manifest {which}");
    let mut content = Vec::new();
    let path = opened.path;
    opened
        .file
        .take(MAX_MANIFEST_BYTES + 1)
        .read_to_end(&mut content)
        .map_err(files::cannot("read", &path))?;
    if content.len() as u64 > MAX_MANIFEST_BYTES {
        return Err(RemoteError::TooLarge { what, limit: MAX_MANIFEST_BYTES });
    }
    let media_type = entry_type.or_else(|| index::text_field(&content, "mediaType"));
    FetchedManifest::check(which, content.into(), Some(digest.to_string()), media_type).map(Some)
}

fn write_tag(
    directory: &Directory,
    tag: &Tag,
    descriptor: &Descriptor,
    manifest: &[u8],
    condition: Condition,
) -> Result<(), RemoteError> {
    let _lock = directory.lock()?;
    let mut index = Index::read(directory)?;
    let found: Option<Digest> = index.find(tag)?.map(|entry| entry.digest);
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
    index.point(tag, descriptor, index::text_field(manifest, "artifactType"));
    index.write(directory)
}

#[cfg(test)]
mod tests;

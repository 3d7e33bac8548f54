//! A remote that is a tar archive of an OCI image layout: to be read, and written only as a whole.
//!
//! Nothing is unpacked: the headers are scanned once, in `contents.rs`, and blobs are read from where they lie. What
//! an image layout holds is the matter of `image_layout`; a new archive is made in `writer.rs`.

pub(crate) mod compression;
mod contents;
pub mod header;
mod writer;

use std::io::{Seek as _, SeekFrom};
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;

use bundle_core::bundle::descriptor::Descriptor;
use bundle_core::digest::Digest;
use bundle_core::name::reference::{Place, Tag};
use bytes::Bytes;
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use tokio::sync::OnceCell;

pub use self::compression::Compression;
use self::contents::{Contents, Extent};
pub use self::writer::ArchiveWriter;
use super::disk::{cannot, open_regular};
use super::image_layout::{
    self, FileSlice, Files, INDEX_FILE, Index, MARKER_FILE, MAX_INDEX_BYTES, MAX_MARKER_BYTES,
};
use super::{
    BlobSource, BlobStream, Condition, Deletion, FetchedManifest, Listed, Remote, RemoteError, Stored,
    Version,
};
use crate::error::{ArchiveError, ArchiveFault};
use crate::files::whole_file::{self, Links};
use crate::threads::on_disk;

/// The folder of an image layout in which blobs are, as entries name it.
const BLOB_FOLDER: &str = "blobs/sha256/";

/// A tar consists of blocks of so many bytes.
const BLOCK: usize = 512;

/// A tar archive of an OCI image layout.
#[derive(Clone, Debug)]
pub struct Archive {
    path: PathBuf,
    scanned: Arc<OnceCell<Arc<Scanned>>>,
}

impl Archive {
    /// Names an archive; nothing is read yet.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into(), scanned: Arc::default() }
    }

    /// Runs `work` on the scanned archive where it may block.
    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Scanned) -> Result<T, RemoteError> + Send + 'static,
    ) -> Result<T, RemoteError> {
        let path = self.path.clone();
        let scanned = self.scanned.get_or_try_init(|| in_thread(move || Scanned::new(path).map(Arc::new)));
        let scanned = Arc::clone(scanned.await?);
        in_thread(move || work(&scanned)).await
    }
}

async fn in_thread<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, RemoteError> + Send + 'static,
) -> Result<T, RemoteError> {
    on_disk(work).await.map_err(|fault| RemoteError::Protocol {
        what: "an archive on disk".to_owned(),
        fault: fault.to_string(),
    })?
}

/// An archive of which it is known what lies where.
#[derive(Debug)]
struct Scanned {
    path: PathBuf,
    contents: Contents,
}

impl Scanned {
    fn new(path: PathBuf) -> Result<Self, RemoteError> {
        let Some((file, length)) =
            open_regular(&path, |path| RemoteError::Archive(ArchiveError::NotAFile { path }))?
        else {
            return Err(RemoteError::Archive(ArchiveError::NoFile { path }));
        };
        let mut file = file;
        if let Some(format) = Compression::of(&mut file).map_err(cannot("read", &path))? {
            return Err(RemoteError::Archive(ArchiveError::Unreadable {
                path,
                source: ArchiveFault::Compressed { format },
            }));
        }
        let contents = match Contents::scan(file, length) {
            Ok(contents) => contents,
            Err(ArchiveFault::Read(source)) => return Err(cannot("read", &path)(source)),
            Err(source) => return Err(RemoteError::Archive(ArchiveError::Unreadable { path, source })),
        };
        if contents.is_foreign() {
            return Err(RemoteError::Archive(ArchiveError::Unreadable {
                path,
                source: ArchiveFault::NoLayout,
            }));
        }
        let archive = Self { path, contents };
        let marker = archive.read(archive.contents.marker, MARKER_FILE, MAX_MARKER_BYTES)?;
        if image_layout::is_marker(&marker)? {
            Ok(archive)
        } else {
            Err(archive.missing(format!("`{MARKER_FILE}`")))
        }
    }

    fn read(&self, extent: Option<Extent>, name: &str, limit: u64) -> Result<Vec<u8>, RemoteError> {
        let Some(extent) = extent else { return Err(self.missing(format!("`{name}`"))) };
        self.open(extent)?.read(name, limit)
    }

    /// Opens the archive where a file's content begins. The file may be another one by now: who reads it verifies it.
    fn open(&self, extent: Extent) -> Result<FileSlice, RemoteError> {
        let Extent { start, size } = extent;
        let mut file = whole_file::open(&self.path, Links::Follow).map_err(cannot("read", &self.path))?;
        file.seek(SeekFrom::Start(start)).map_err(cannot("read", &self.path))?;
        Ok(FileSlice { file, path: self.path.clone(), size })
    }
}

impl Files for Scanned {
    fn index(&self) -> Result<Index, RemoteError> {
        let content = self.read(self.contents.index, INDEX_FILE, MAX_INDEX_BYTES)?;
        Index::parse(&content).map_err(|fault| self.bad_index(fault))
    }

    fn open_blob(&self, digest: &Digest) -> Result<Option<FileSlice>, RemoteError> {
        self.contents.blobs.get(digest).map(|extent| self.open(*extent)).transpose()
    }

    fn missing(&self, what: String) -> RemoteError {
        RemoteError::Archive(ArchiveError::Unreadable {
            path: self.path.clone(),
            source: ArchiveFault::Missing { what },
        })
    }

    fn place(&self) -> Place {
        Place::Archive { file: self.path.display().to_string() }
    }
}

/// The answer to whoever wants to change an archive.
fn read_only<T>() -> Result<T, RemoteError> {
    Err(RemoteError::Unsupported {
        what: "changing an archive, which `export` writes as a whole,".to_owned(),
    })
}

impl Remote for Archive {
    fn manifest<'a>(
        &'a self,
        which: &'a Version,
    ) -> BoxFuture<'a, Result<Option<FetchedManifest>, RemoteError>> {
        let which = which.clone();
        self.blocking(move |archive| image_layout::read_manifest(archive, &which)).boxed()
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
        self.blocking(move |archive| image_layout::find_blob(archive, &descriptor)?.stream(range)).boxed()
    }

    fn has_blob<'a>(&'a self, descriptor: &'a Descriptor) -> BoxFuture<'a, Result<bool, RemoteError>> {
        let descriptor = descriptor.clone();
        self.blocking(move |archive| image_layout::holds(archive, &descriptor)).boxed()
    }

    fn push_blob<'a>(
        &'a self,
        _descriptor: &'a Descriptor,
        _source: BlobSource,
    ) -> BoxFuture<'a, Result<Stored, RemoteError>> {
        async { read_only() }.boxed()
    }

    fn push_manifest<'a>(
        &'a self,
        _which: &'a Version,
        _media_type: &'a str,
        _bytes: Bytes,
        _condition: Condition,
    ) -> BoxFuture<'a, Result<(), RemoteError>> {
        async { read_only() }.boxed()
    }

    fn delete<'a>(
        &'a self,
        _which: &'a Version,
        _digest: Option<Digest>,
    ) -> BoxFuture<'a, Result<Deletion, RemoteError>> {
        async { read_only() }.boxed()
    }

    fn tags(&self) -> BoxFuture<'_, Result<Vec<Tag>, RemoteError>> {
        self.blocking(|archive| Ok(archive.index()?.tags())).boxed()
    }

    fn listed(&self) -> BoxFuture<'_, Result<Vec<Listed>, RemoteError>> {
        self.blocking(|archive| Ok(archive.index()?.manifests_and_tags())).boxed()
    }

    fn listed_digest<'a>(&'a self, tag: &'a Tag) -> BoxFuture<'a, Result<Option<Digest>, RemoteError>> {
        let tag = tag.clone();
        self.blocking(move |archive| Ok(archive.find(&tag)?.map(|entry| entry.digest))).boxed()
    }

    fn requests(&self) -> u64 {
        0
    }

    fn place(&self) -> Place {
        Place::Archive { file: self.path.display().to_string() }
    }
}

#[cfg(test)]
mod tests;

//! What every OCI image layout holds, whatever it lies in: the marker, `index.json`, and blobs by their digest.
//!
//! <https://github.com/opencontainers/image-spec/blob/v1.1.0/image-layout.md>. [`super::layout`] has one in a folder,
//! [`super::archive`] in a tar; where a name leads there is their matter.

pub(crate) mod file_names;
mod index;

use std::fs::File;
use std::io::{BufRead as _, BufReader, Read as _, Seek as _, SeekFrom};
use std::ops::Range;
use std::path::PathBuf;

use bundle_core::bundle::descriptor::Descriptor;
use bundle_core::digest::{Digest, Hasher};
use bundle_core::name::reference::{Place, Tag};
use futures_util::StreamExt as _;
use serde_json::{Value, json};
use tokio::io::AsyncReadExt as _;
use tokio_util::io::ReaderStream;

pub(super) use self::file_names::{INDEX_FILE, MARKER_FILE};
pub(super) use self::index::{Entry, Index, IndexFault};
use super::disk::cannot;
use super::text::harmless;
use super::{BlobState, BlobStream, FetchedManifest, MAX_MANIFEST_BYTES, RemoteError, Version, blob};
use crate::error::{BlobError, LayoutError};

/// The largest list of manifests that is read.
pub(super) const MAX_INDEX_BYTES: u64 = 64 << 20;

/// The largest marker that is read.
pub(super) const MAX_MARKER_BYTES: u64 = 4096;

/// The version of the layout that we read and write.
const LAYOUT_VERSION: &str = "1.0.0";

/// How much of a blob is read at a time.
const PIECE_BYTES: usize = 256 << 10;

/// The files of an image layout.
pub(super) trait Files {
    /// What `index.json` says.
    fn index(&self) -> Result<Index, RemoteError>;

    /// Opens a blob; `None` where there is none.
    fn open_blob(&self, digest: &Digest) -> Result<Option<FileSlice>, RemoteError>;

    /// What it means that something is not there that has to be.
    fn missing(&self, what: String) -> RemoteError;

    /// Where it is.
    fn place(&self) -> Place;

    /// The error for an `index.json` that cannot be taken.
    fn bad_index(&self, IndexFault(fault): IndexFault) -> RemoteError {
        RemoteError::Layout(LayoutError::Index { place: self.place(), fault })
    }

    /// What `index.json` says of a tag.
    fn find(&self, tag: &Tag) -> Result<Option<Entry>, RemoteError> {
        self.index()?.find(tag).map_err(|fault| self.bad_index(fault))
    }
}

/// A slice of a file on disk, which is open where the slice begins.
#[derive(Debug)]
pub(super) struct FileSlice {
    pub(super) file: File,
    pub(super) path: PathBuf,
    pub(super) size: u64,
}

impl FileSlice {
    /// Reads all of it, if it is no more than `limit` bytes.
    pub(super) fn read(self, what: &str, limit: u64) -> Result<Vec<u8>, RemoteError> {
        let mut content = Vec::new();
        // One byte more than is taken tells that there is more.
        let most = self.size.min(limit + 1);
        self.file.take(most).read_to_end(&mut content).map_err(cannot("read", &self.path))?;
        if content.len() as u64 > limit {
            return Err(RemoteError::Blob(BlobError::TooLarge { what: what.to_owned(), limit }));
        }
        Ok(content)
    }

    /// The digest of all of it.
    fn digest(self) -> Result<Digest, RemoteError> {
        let mut hasher = Hasher::new();
        let mut reader = BufReader::with_capacity(PIECE_BYTES, self.file.take(self.size));
        loop {
            let piece = reader.fill_buf().map_err(cannot("read", &self.path))?;
            let length = piece.len();
            if length == 0 {
                return Ok(hasher.finish());
            }
            hasher.update(piece);
            reader.consume(length);
        }
    }

    /// Streams the bytes `range` of it, not verified.
    pub(super) fn stream(mut self, range: Range<u64>) -> Result<BlobStream, RemoteError> {
        if range.start > 0 {
            let start = i64::try_from(range.start).unwrap_or(i64::MAX);
            self.file.seek(SeekFrom::Current(start)).map_err(cannot("read", &self.path))?;
        }
        let length = range.end.min(self.size).saturating_sub(range.start);
        let content = tokio::fs::File::from_std(self.file).take(length);
        let pieces = ReaderStream::with_capacity(content, PIECE_BYTES);
        let path = self.path;
        Ok(pieces.map(move |piece| piece.map_err(cannot("read", &path))).boxed())
    }
}

/// Opens a blob that has to be there, with the size that it should have.
pub(super) fn find_blob(files: &impl Files, descriptor: &Descriptor) -> Result<FileSlice, RemoteError> {
    let what = blob::name(descriptor);
    match files.open_blob(&descriptor.digest)? {
        None => Err(files.missing(what)),
        Some(found) if found.size != descriptor.size => {
            Err(RemoteError::Blob(BlobError::Size { what, expected: descriptor.size, actual: found.size }))
        }
        Some(found) => Ok(found),
    }
}

/// Whether a blob of that name and size is there.
pub(super) fn holds(files: &impl Files, descriptor: &Descriptor) -> Result<bool, RemoteError> {
    Ok(files.open_blob(&descriptor.digest)?.is_some_and(|found| found.size == descriptor.size))
}

/// Reads a blob and compares it with its descriptor.
pub(super) fn examine(files: &impl Files, descriptor: &Descriptor) -> Result<BlobState, RemoteError> {
    let Some(found) = files.open_blob(&descriptor.digest)? else { return Ok(BlobState::Lost) };
    let is_whole = found.size == descriptor.size && found.digest()? == descriptor.digest;
    Ok(if is_whole { BlobState::Whole } else { BlobState::Damaged })
}

/// Reads a manifest; `None` where there is none of that name.
pub(super) fn read_manifest(
    files: &impl Files,
    which: &Version,
) -> Result<Option<FetchedManifest>, RemoteError> {
    let (digest, entry_type) = match which {
        Version::Digest(digest) => (*digest, None),
        Version::Tag(tag) => match files.find(tag)? {
            Some(entry) => (entry.digest, entry.media_type),
            None => return Ok(None),
        },
    };
    let Some(found) = files.open_blob(&digest)? else {
        return match which {
            Version::Digest(_) => Ok(None),
            Version::Tag(tag) => Err(RemoteError::Layout(LayoutError::LostManifest {
                place: files.place(),
                tag: tag.clone(),
                digest,
            })),
        };
    };
    let content = found.read(&format!("manifest {which}"), MAX_MANIFEST_BYTES)?;
    let media_type = entry_type.or_else(|| text_field(&content, "mediaType"));
    FetchedManifest::check(which, content.into(), Some(digest.to_string()), media_type).map(Some)
}

/// The bytes of the marker that we write.
pub(super) fn marker() -> String {
    json!({ "imageLayoutVersion": LAYOUT_VERSION }).to_string()
}

/// Whether `content` marks an image layout.
///
/// # Errors
///
/// [`RemoteError::Unsupported`] where it is of a version that we do not know.
pub(super) fn is_marker(content: &[u8]) -> Result<bool, RemoteError> {
    match text_field(content, "imageLayoutVersion") {
        Some(version) if version == LAYOUT_VERSION => Ok(true),
        Some(version) => Err(RemoteError::Unsupported {
            what: format!("version `{}` of the OCI image layout", harmless(&version)),
        }),
        None => Ok(false),
    }
}

/// A field at the top of a JSON object, where it is a text.
fn text_field(document: &[u8], field: &str) -> Option<String> {
    let document: Value = serde_json::from_slice(document).ok()?;
    document.get(field)?.as_str().map(str::to_owned)
}

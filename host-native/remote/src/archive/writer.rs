//! A new archive: an OCI image layout as a tar, the same bytes for the same bundle and tag, whoever writes it.
//!
//! Entries come in one order (marker, index, blobs by digest) and carry no time, owner or name. Where the content of
//! blobs comes from is not known here.

use std::path::{Path, PathBuf};

use bundle_core::bundle::descriptor::Descriptor;
use bundle_core::digest::Digest;
use bundle_core::name::reference::Tag;
use futures_util::StreamExt as _;
use tokio::io::AsyncWriteExt as _;

use super::header::{END, PLAIN_MODE, headers, padding};
use super::{BLOB_FOLDER, in_thread};
use crate::disk::{cannot, new_file, open_regular, put_in_place};
use crate::error::{ArchiveError, BlobError};
use crate::files::leftovers::NewFile;
use crate::image_layout::{INDEX_FILE, Index, MARKER_FILE, marker};
use crate::{BlobStream, RemoteError, blob};

/// How much is written at a time.
const PIECE_BYTES: usize = 256 << 10;

/// An archive that is being written; it gets its name at the end, and leaves nothing when it is dropped before.
#[derive(Debug)]
pub struct ArchiveWriter {
    target: PathBuf,
    /// Goes when it is dropped.
    file: NewFile,
    output: tokio::io::BufWriter<tokio::fs::File>,
    last: Option<Digest>,
}

impl ArchiveWriter {
    /// Begins an archive that is to be the file `target`, in which `tag` names the manifest `content`.
    ///
    /// # Errors
    ///
    /// [`ArchiveError::NotAFile`] where something else than a file is there; [`RemoteError::Io`].
    pub async fn create(
        target: &Path,
        tag: &Tag,
        manifest: &Descriptor,
        content: &[u8],
    ) -> Result<Self, RemoteError> {
        let mut index = Index::empty();
        index.point(tag, manifest, content);
        let target = target.to_owned();
        let (file, output, target) = in_thread(move || {
            open_regular(&target, |path| RemoteError::Archive(ArchiveError::NotAFile { path }))?;
            let folder = target.parent().filter(|folder| !folder.as_os_str().is_empty());
            let file = new_file(folder.unwrap_or(Path::new(".")))?;
            let output = file.as_file().try_clone().map_err(cannot("write", &target))?;
            Ok((file, output, target))
        })
        .await?;
        let mut output = tokio::fs::File::from_std(output);
        output.set_max_buf_size(PIECE_BYTES);
        let output = tokio::io::BufWriter::with_capacity(PIECE_BYTES, output);
        let mut archive = Self { target, file, output, last: None };
        archive.document(MARKER_FILE, marker().as_bytes()).await?;
        archive.document(INDEX_FILE, index.to_json().as_bytes()).await?;
        Ok(archive)
    }

    /// Adds a blob: `pieces` have to be its verified bytes.
    ///
    /// # Errors
    ///
    /// Blobs come in the order of their digests, each once: [`RemoteError::Protocol`] where one does not.
    pub async fn blob(&mut self, descriptor: &Descriptor, mut pieces: BlobStream) -> Result<(), RemoteError> {
        if self.last.replace(descriptor.digest).is_some_and(|last| last >= descriptor.digest) {
            let fault = "it is out of order in a new archive".to_owned();
            return Err(RemoteError::Protocol { what: blob::name(descriptor), fault });
        }
        let name = format!("{BLOB_FOLDER}{}", descriptor.digest.hex());
        self.put(&headers(&name, descriptor.size, PLAIN_MODE).map_err(cannot("write", &self.target))?)
            .await?;
        let mut written = 0;
        while let Some(piece) = pieces.next().await {
            let piece = piece?;
            written += piece.len() as u64;
            self.put(&piece).await?;
        }
        // The header says how far the content goes: an archive in which it goes elsewhere would be torn.
        if written != descriptor.size {
            let (what, expected) = (blob::name(descriptor), descriptor.size);
            return Err(RemoteError::Blob(BlobError::Size { what, expected, actual: written }));
        }
        self.put(padding(written)).await
    }

    /// Ends the archive and gives it its name, once all of it is on disk.
    ///
    /// # Errors
    ///
    /// [`RemoteError::Io`], and no archive of that name is there then that was not there before.
    pub async fn finish(mut self) -> Result<(), RemoteError> {
        self.put(&END).await?;
        self.output.flush().await.map_err(cannot("write", &self.target))?;
        let Self { target, file, output, .. } = self;
        drop(output);
        in_thread(move || put_in_place(file, &target)).await
    }

    async fn document(&mut self, name: &str, content: &[u8]) -> Result<(), RemoteError> {
        let size = content.len() as u64;
        self.put(&headers(name, size, PLAIN_MODE).map_err(cannot("write", &self.target))?).await?;
        self.put(content).await?;
        self.put(padding(size)).await
    }

    async fn put(&mut self, bytes: &[u8]) -> Result<(), RemoteError> {
        self.output.write_all(bytes).await.map_err(cannot("write", &self.target))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_than_eight_gibibytes_are_found_again() {
        use std::io::{Seek as _, SeekFrom, Write as _};
        let (size, content) = (super::super::header::MAX_USTAR_SIZE + 1, Digest::of(b"content"));
        // Where nothing is written a file takes no space.
        let mut file = tempfile::tempfile().unwrap();
        let name = |digest: Digest| format!("{BLOB_FOLDER}{}", digest.hex());
        file.write_all(&headers(&name(content), size, PLAIN_MODE).unwrap()).unwrap();
        file.seek(SeekFrom::Current(size as i64)).unwrap();
        file.write_all(&headers(&name(Digest::EMPTY), 0, PLAIN_MODE).unwrap()).unwrap();
        file.write_all(&END).unwrap();
        let length = file.stream_position().unwrap();
        file.rewind().unwrap();
        let contents = super::super::contents::Contents::scan(file, length).unwrap();
        assert_eq!(contents.blobs[&content].size, size);
        assert_eq!(contents.blobs.len(), 2);
    }
}

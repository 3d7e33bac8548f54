//! A new archive: an OCI image layout as a tar, the same bytes for the same bundle and tag, whoever writes it.
//!
//! Entries come in one order (marker, index, blobs by digest) and carry no time, owner or name. Where the content of
//! blobs comes from is not known here.

use std::path::{Path, PathBuf};

use bundle_core::descriptor::Descriptor;
use bundle_core::digest::Digest;
use bundle_core::reference::Tag;
use bytes::Bytes;
use futures_util::StreamExt as _;
use tar::{EntryType, Header};
use tempfile::NamedTempFile;
use tokio::io::AsyncWriteExt as _;

use super::{BLOB_FOLDER, BLOCK, in_thread};
use crate::remote::disk::{cannot, new_file, open_regular, put_in_place};
use crate::remote::image_layout::{INDEX_FILE, Index, MARKER_FILE, marker};
use crate::remote::{BlobStream, RemoteError, blob};

/// The most that a header's own field of eleven octal digits holds.
const MAX_USTAR_SIZE: u64 = (1 << 33) - 1;

/// How much is written at a time.
const PIECE_BYTES: usize = 256 << 10;

/// An archive that is being written; it gets its name at the end, and leaves nothing when it is dropped before.
#[derive(Debug)]
pub struct ArchiveWriter {
    target: PathBuf,
    /// Goes when it is dropped.
    file: NamedTempFile,
    output: tokio::io::BufWriter<tokio::fs::File>,
    last: Option<Digest>,
}

impl ArchiveWriter {
    /// Begins an archive that is to be the file `target`, in which `tag` names the manifest `content`.
    ///
    /// # Errors
    ///
    /// [`RemoteError::NotAFile`] where something else than a file is there; [`RemoteError::Io`].
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
            open_regular(&target, |path| RemoteError::NotAFile { path })?;
            let folder = target.parent().filter(|folder| !folder.as_os_str().is_empty());
            let file = new_file(folder.unwrap_or(Path::new(".")))?;
            let output = file.reopen().map_err(cannot("write", &target))?;
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
        self.put(&headers(&name, descriptor.size).map_err(cannot("write", &self.target))?).await?;
        let mut written = 0;
        while let Some(piece) = pieces.next().await {
            let piece = piece?;
            written += piece.len() as u64;
            self.put(&piece).await?;
        }
        // The header says how far the content goes: an archive in which it goes elsewhere would be torn.
        if written != descriptor.size {
            let (what, expected) = (blob::name(descriptor), descriptor.size);
            return Err(RemoteError::Size { what, expected, actual: written });
        }
        self.put(padding(written)).await
    }

    /// Ends the archive and gives it its name, once all of it is on disk.
    pub async fn finish(mut self) -> Result<(), RemoteError> {
        self.put(&[0; 2 * BLOCK]).await?;
        self.output.flush().await.map_err(cannot("write", &self.target))?;
        let Self { target, file, output, .. } = self;
        drop(output);
        in_thread(move || put_in_place(file, &target)).await
    }

    async fn document(&mut self, name: &str, content: &[u8]) -> Result<(), RemoteError> {
        let size = content.len() as u64;
        self.put(&headers(name, size).map_err(cannot("write", &self.target))?).await?;
        self.put(content).await?;
        self.put(padding(size)).await
    }

    async fn put(&mut self, bytes: &[u8]) -> Result<(), RemoteError> {
        self.output.write_all(bytes).await.map_err(cannot("write", &self.target))
    }
}

/// Zeros up to the end of the block that content of `size` bytes ends in.
fn padding(size: u64) -> &'static [u8] {
    const ZEROS: [u8; BLOCK] = [0; BLOCK];
    let used = (size % BLOCK as u64) as usize;
    if used == 0 { &[] } else { &ZEROS[used..] }
}

/// What stands before a file's content: a header, with an extended one before it where the size needs that.
fn headers(name: &str, size: u64) -> std::io::Result<Bytes> {
    let mut bytes = Vec::new();
    let fits = size <= MAX_USTAR_SIZE;
    if !fits {
        let record = pax_record("size", &size.to_string());
        bytes.extend(header("pax/size", EntryType::XHeader, record.len() as u64)?.as_bytes());
        bytes.extend(record.as_bytes());
        bytes.extend(padding(record.len() as u64));
    }
    // Behind an extended header it says nothing, in which readers agree.
    bytes.extend(header(name, EntryType::Regular, if fits { size } else { 0 })?.as_bytes());
    Ok(bytes.into())
}

fn header(name: &str, kind: EntryType, size: u64) -> std::io::Result<Header> {
    let mut header = Header::new_ustar();
    header.set_path(name)?;
    header.set_entry_type(kind);
    header.set_mode(0o644);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header.set_size(size);
    header.set_cksum();
    Ok(header)
}

/// A record of an extended header, which begins with its own length.
fn pax_record(key: &str, value: &str) -> String {
    let rest = format!(" {key}={value}\n");
    let mut length = rest.len();
    while length != rest.len() + length.to_string().len() {
        length = rest.len() + length.to_string().len();
    }
    format!("{length}{rest}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_counts_its_own_digits() {
        for (value, record) in [
            ("1", "9 size=1\n"),
            ("22", "11 size=22\n"),
            ("8589934592", "19 size=8589934592\n"),
            ("", "8 size=\n"),
        ] {
            assert_eq!(pax_record("size", value), record);
            assert!(record.starts_with(&record.len().to_string()));
        }
    }

    #[test]
    fn only_what_needs_it_has_an_extended_header() {
        let small = headers("a", MAX_USTAR_SIZE).unwrap();
        assert_eq!(small.len(), BLOCK);
        assert_eq!(&small[124..136], b"77777777777\0");
        let large = headers("a", MAX_USTAR_SIZE + 1).unwrap();
        assert_eq!((large.len(), large[156]), (3 * BLOCK, b'x'));
        assert_eq!(&large[2 * BLOCK + 124..2 * BLOCK + 136], b"00000000000\0");
    }

    #[test]
    fn more_than_eight_gibibytes_are_found_again() {
        use std::io::{Seek as _, SeekFrom, Write as _};
        let (size, content) = (MAX_USTAR_SIZE + 1, Digest::of(b"content"));
        // Where nothing is written a file takes no space.
        let mut file = tempfile::tempfile().unwrap();
        let name = |digest: Digest| format!("{BLOB_FOLDER}{}", digest.hex());
        file.write_all(&headers(&name(content), size).unwrap()).unwrap();
        file.seek(SeekFrom::Current(size as i64)).unwrap();
        file.write_all(&headers(&name(Digest::EMPTY), 0).unwrap()).unwrap();
        file.write_all(&[0; 2 * BLOCK]).unwrap();
        let length = file.stream_position().unwrap();
        file.rewind().unwrap();
        let contents = super::super::contents::Contents::scan(file, length).unwrap();
        assert_eq!(contents.blobs[&content].size, size);
        assert_eq!(contents.blobs.len(), 2);
    }
}

//! A file on its way out in pieces, each read in one go into memory that is neither cleared nor copied.

use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::path::Path;

use bytes::Bytes;
use futures_util::stream::BoxStream;
use futures_util::{StreamExt as _, stream};

use crate::threads::on_disk;

/// How much of a file is read and sent at a time.
pub(super) const PIECE_BYTES: usize = 512 << 10;

/// An open file, and where the next piece of it begins.
#[derive(Debug)]
pub(super) struct FilePieces {
    file: File,
    length: u64,
}

impl FilePieces {
    /// Opens the file at `path` where its byte `start` is.
    pub(super) async fn open(path: &Path, start: u64) -> io::Result<Self> {
        let path = path.to_owned();
        in_background(move || {
            let mut file = File::open(path)?;
            let length = file.metadata()?.len();
            file.seek(SeekFrom::Start(start))?;
            Ok(Self { file, length })
        })
        .await
    }

    /// How many bytes the file had when it was opened.
    pub(super) fn length(&self) -> u64 {
        self.length
    }

    /// The next bytes, fewer than `count` only at the end of the file.
    pub(super) async fn next(self, count: usize) -> io::Result<(Bytes, Self)> {
        in_background(move || {
            let mut piece = Vec::with_capacity(count);
            (&self.file).take(count as u64).read_to_end(&mut piece)?;
            Ok((Bytes::from(piece), self))
        })
        .await
    }

    /// All that follows, to the end of the file.
    pub(super) fn into_stream(self) -> BoxStream<'static, io::Result<Bytes>> {
        stream::try_unfold(self, |file| async move {
            let (piece, file) = file.next(PIECE_BYTES).await?;
            Ok((!piece.is_empty()).then_some((piece, file)))
        })
        .boxed()
    }
}

/// Runs `work` on a thread that may wait for the disk.
async fn in_background<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    on_disk(work).await.unwrap_or_else(|stopped| Err(io::Error::other(stopped)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn pieces_are_whole_up_to_the_end() {
        let folder = tempfile::TempDir::new().unwrap();
        let path = folder.path().join("file");
        let content: Vec<u8> = (0..3 * PIECE_BYTES / 2).map(|at| at as u8).collect();
        std::fs::write(&path, &content).unwrap();
        let file = FilePieces::open(&path, 1).await.unwrap();
        assert_eq!(file.length(), content.len() as u64);
        let (piece, file) = file.next(10).await.unwrap();
        assert_eq!(piece, &content[1..11]);
        let rest: Vec<Bytes> = file.into_stream().map(Result::unwrap).collect().await;
        assert_eq!(rest.iter().map(Bytes::len).collect::<Vec<_>>(), [PIECE_BYTES, PIECE_BYTES / 2 - 11]);
        assert_eq!(rest.concat(), content[11..]);
        assert!(FilePieces::open(&folder.path().join("none"), 0).await.is_err());
    }
}

//! Where a blob is written that is the content of one file: a large one by a thread of its own, so that it is
//! received and hashed while the disk is busy.

use std::fs;
use std::io;
use std::path::Path;

use bytes::Bytes;
use tokio::io::{AsyncWriteExt as _, BufWriter};
use tokio::sync::mpsc;
use tokio::task::{JoinHandle, spawn_blocking};

use super::direct::DirectWriter;

/// Bytes that are written at a time.
const PIECE: usize = 256 * 1024;

/// How many pieces, as they came, may wait for the disk: several files come at the same time, and a piece may have
/// 400 KiB.
const WAITING: usize = 4;

/// Takes the bytes of a file, in their order.
pub(super) enum Landing {
    /// Through the system's cache.
    Cached(BufWriter<tokio::fs::File>),
    /// Straight to the disk.
    Direct { pieces: mpsc::Sender<Bytes>, writing: JoinHandle<io::Result<()>> },
}

impl Landing {
    /// Begins with the empty file `target` at `path`, which is to have `size` bytes.
    pub(super) fn begin(path: &Path, target: fs::File, size: u64) -> io::Result<Self> {
        let Some(writer) = DirectWriter::open(path, size)? else {
            let mut target = tokio::fs::File::from_std(target);
            target.set_max_buf_size(PIECE);
            return Ok(Self::Cached(BufWriter::with_capacity(PIECE, target)));
        };
        let (pieces, receive) = mpsc::channel(WAITING);
        let writing = spawn_blocking(move || write_direct(writer, &target, receive));
        Ok(Self::Direct { pieces, writing })
    }

    /// Takes the next bytes.
    pub(super) async fn write(&mut self, piece: Bytes) -> io::Result<()> {
        match self {
            Self::Cached(target) => target.write_all(&piece).await,
            Self::Direct { pieces, writing } => match pieces.send(piece).await {
                Ok(()) => Ok(()),
                Err(_) => written(writing).await,
            },
        }
    }

    /// Waits until all of it is in the file.
    pub(super) async fn finish(self) -> io::Result<()> {
        match self {
            Self::Cached(mut target) => target.flush().await,
            Self::Direct { pieces, mut writing } => {
                drop(pieces);
                written(&mut writing).await
            }
        }
    }
}

/// What became of the writing.
async fn written(writing: &mut JoinHandle<io::Result<()>>) -> io::Result<()> {
    writing.await.map_err(io::Error::other)?
}

fn write_direct(
    mut writer: DirectWriter,
    target: &fs::File,
    mut pieces: mpsc::Receiver<Bytes>,
) -> io::Result<()> {
    let mut offset = 0;
    while let Some(piece) = pieces.blocking_recv() {
        writer.write(target, offset, &piece)?;
        offset += piece.len() as u64;
    }
    writer.flush(target)
}

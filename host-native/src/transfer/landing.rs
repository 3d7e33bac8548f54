//! Where a blob is written that is the content of one file: a large one past the system's cache, so that it is received
//! and hashed while the disk is busy.

use std::fs;
use std::io;
use std::mem;
use std::path::Path;

use bytes::Bytes;
use tokio::io::{AsyncWriteExt as _, BufWriter};
use tokio::task::JoinHandle;

use super::direct::DirectWriter;
use crate::threads::begin_on_disk;

/// Bytes that are written at a time through the cache.
const PIECE: usize = 256 * 1024;

/// How many bytes wait before they are written past it, while as many are on their way to the disk.
const WAITING: usize = 512 * 1024;

/// Takes the bytes of a file, in their order.
pub(super) enum Landing {
    /// A small one, through the system's cache.
    Cached(BufWriter<tokio::fs::File>),
    /// Block by block, where the system can straight to the disk.
    Direct(DirectLanding),
}

impl Landing {
    /// Begins with the empty file `target` at `path`, which is to have `size` bytes.
    pub(super) fn begin(path: &Path, target: fs::File, size: u64) -> io::Result<Self> {
        let writer = match DirectWriter::open(path, size)? {
            None => DirectWriter::cached(&target, size)?,
            writer => writer,
        };
        match writer {
            Some(writer) => Ok(Self::Direct(DirectLanding::new(Output { writer, target, length: 0 }))),
            None => {
                let mut target = tokio::fs::File::from_std(target);
                target.set_max_buf_size(PIECE);
                Ok(Self::Cached(BufWriter::with_capacity(PIECE, target)))
            }
        }
    }

    /// Takes the next bytes.
    pub(super) async fn write(&mut self, piece: Bytes) -> io::Result<()> {
        match self {
            Self::Cached(target) => target.write_all(&piece).await,
            Self::Direct(target) => target.write(piece).await,
        }
    }

    /// Waits until all of it is in the file.
    pub(super) async fn finish(self) -> io::Result<()> {
        match self {
            Self::Cached(mut target) => target.flush().await,
            Self::Direct(target) => target.finish().await,
        }
    }
}

/// Bytes on their way to a file. Each write is a piece of work of its own, so that no thread is taken while none is due.
pub(super) struct DirectLanding {
    output: Writing,
    waiting: Vec<Bytes>,
    bytes: usize,
}

/// Whoever has the file now.
enum Writing {
    Idle(Output),
    Busy(JoinHandle<io::Result<Output>>),
    /// A write has failed.
    Broken,
}

impl DirectLanding {
    fn new(output: Output) -> Self {
        Self { output: Writing::Idle(output), waiting: Vec::new(), bytes: 0 }
    }

    async fn write(&mut self, piece: Bytes) -> io::Result<()> {
        self.bytes += piece.len();
        self.waiting.push(piece);
        if self.bytes < WAITING {
            return Ok(());
        }
        let mut output = self.rested().await?;
        let pieces = mem::take(&mut self.waiting);
        self.bytes = 0;
        self.output = Writing::Busy(begin_on_disk(move || {
            output.write(&pieces)?;
            Ok(output)
        }));
        Ok(())
    }

    async fn finish(mut self) -> io::Result<()> {
        let mut output = self.rested().await?;
        let pieces = mem::take(&mut self.waiting);
        let last = begin_on_disk(move || {
            output.write(&pieces)?;
            output.writer.flush(&output.target)
        });
        last.await.map_err(io::Error::other)?
    }

    /// The file, once nothing is being written.
    async fn rested(&mut self) -> io::Result<Output> {
        match mem::replace(&mut self.output, Writing::Broken) {
            Writing::Idle(output) => Ok(output),
            Writing::Busy(writing) => writing.await.map_err(io::Error::other)?,
            Writing::Broken => Err(io::ErrorKind::BrokenPipe.into()),
        }
    }
}

/// A file, and how far it is written.
struct Output {
    writer: DirectWriter,
    target: fs::File,
    length: u64,
}

impl Output {
    fn write(&mut self, pieces: &[Bytes]) -> io::Result<()> {
        for piece in pieces {
            self.writer.write(&self.target, self.length, piece)?;
            self.length += piece.len() as u64;
        }
        Ok(())
    }
}

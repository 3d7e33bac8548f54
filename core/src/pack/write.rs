//! Packs as they are written: a frame for each chunk, then the table.

use std::borrow::Cow;

use super::chunk::ChunkHash;
use super::effort::{Effort, is_noise, pays};
use super::table::{Encoding, Frame, Pack, Table, TableRef};
use super::zstd::{CompressionError, Compressor};
use crate::digest::{Digest, Hasher};

/// How much of a file is read, cut and compressed at a time, in bytes: [`Patience`](super::effort::Patience) decides about as much at once.
pub const SEGMENT_BYTES: usize = 4 << 20;

/// A chunk as it goes into a pack.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredChunk {
    /// The hash of its raw bytes.
    pub hash: ChunkHash,
    /// How many bytes it has, raw.
    pub raw: u32,
    /// How they are stored.
    pub encoding: Encoding,
    /// What is stored.
    pub bytes: Vec<u8>,
}

/// Makes frames of chunks.
#[derive(Debug)]
pub struct FrameWriter {
    compressor: Compressor,
    buffer: Vec<u8>,
}

impl FrameWriter {
    /// Gets memory for the tables.
    pub fn new() -> Result<Self, CompressionError> {
        Ok(Self { compressor: Compressor::new()?, buffer: Vec::new() })
    }

    /// Makes a frame of a chunk.
    pub fn encode<'a>(
        &mut self,
        hash: ChunkHash,
        content: impl Into<Cow<'a, [u8]>>,
        effort: Effort,
    ) -> Result<StoredChunk, CompressionError> {
        let content = content.into();
        // A chunk has at most `MAX_CHUNK` bytes.
        let raw = content.len() as u32;
        if effort == Effort::Try && !is_noise(&content) {
            self.compressor.compress_into(&content, &mut self.buffer)?;
            if pays(content.len(), self.buffer.len()) {
                return Ok(StoredChunk { hash, raw, encoding: Encoding::Zstd, bytes: self.buffer.clone() });
            }
        }
        Ok(StoredChunk { hash, raw, encoding: Encoding::Raw, bytes: content.into_owned() })
    }
}

/// A pack on its way: what has been written of it so far.
#[derive(Debug, Default)]
pub struct PackWriter {
    hasher: Hasher,
    table: Table,
    raw: u64,
}

impl PackWriter {
    /// How many bytes its frames have.
    pub fn stored(&self) -> u64 {
        self.hasher.length()
    }

    /// How many chunks it has.
    pub fn chunks(&self) -> u32 {
        self.table.frames.len() as u32
    }

    /// The hash of one of its chunks.
    pub fn hash(&self, chunk: u32) -> Option<ChunkHash> {
        self.table.hash(chunk)
    }

    /// Adds a chunk, whose bytes the caller writes after what was written before. Says which of the pack's it is.
    pub fn add(&mut self, chunk: &StoredChunk) -> u32 {
        let at = self.chunks();
        let (offset, stored) = (self.stored(), chunk.bytes.len() as u32);
        let StoredChunk { hash, raw, encoding, .. } = *chunk;
        self.table.frames.push(Frame { hash, offset, stored, raw, encoding });
        self.raw += u64::from(raw);
        self.hasher.update(&chunk.bytes);
        at
    }

    /// Ends the pack with its table, whose stored bytes the caller writes last.
    pub fn finish(mut self) -> Result<FinishedPack, CompressionError> {
        let stored_table = self.table.store(&mut Compressor::new()?)?;
        let toc = TableRef {
            offset: self.stored(),
            size: stored_table.len() as u64,
            digest: Digest::of(&stored_table),
        };
        self.hasher.update(&stored_table);
        let (size, chunks) = (self.stored(), self.chunks());
        let pack = Pack { digest: self.hasher.finish(), size, chunks, raw: self.raw, toc };
        // A large push keeps hundreds of them.
        self.table.frames.shrink_to_fit();
        Ok(FinishedPack { pack, table: self.table, stored_table })
    }
}

/// A pack that is complete.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FinishedPack {
    /// What an index says of it.
    pub pack: Pack,
    /// Its chunks.
    pub table: Table,
    /// Its last bytes.
    pub stored_table: Vec<u8>,
}

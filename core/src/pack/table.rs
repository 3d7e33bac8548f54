//! Packs: many chunks in one blob, each as a frame of its own, and a table that says where each of them lies.
//!
//! A pack is frames, one after the other, then the table, itself one Zstandard frame. It never changes once it is
//! written. The table's content is `MOBTOC`, a zero byte and the version 1, the number of chunks as a u32, and then
//! column by column, for each chunk: the BLAKE3-256 of its raw bytes; the offset of its frame in the pack, a u64; its
//! stored size, a u32; its raw size, a u32; its encoding, one byte. Numbers are little-endian.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::canonical::MAX_SAFE_INTEGER;
use crate::digest::Digest;
use crate::pack::chunk::{ChunkHash, MAX_CHUNK};
use crate::pack::zstd::{self, CompressionError};

/// The most chunks of a pack that is read.
pub const MAX_PACK_CHUNKS: u32 = 1 << 20;

/// The least that a stored table has for each chunk, in bytes: half of a hash, which does not compress. Whoever claims
/// many chunks has to send as much.
const LEAST_PER_CHUNK: u64 = 16;

/// The most bytes that a stored table has.
const MAX_TABLE_BYTES: u64 = 64 << 20;

const MAGIC: [u8; 8] = *b"MOBTOC\0\x01";

/// What a table has of each chunk, in bytes.
const RECORD: usize = 32 + 8 + 4 + 4 + 1;

/// A pack, as an index names it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pack {
    /// The hash of all its bytes.
    pub digest: Digest,
    /// How many bytes it has.
    pub size: u64,
    /// How many chunks are in it.
    pub chunks: u32,
    /// How many bytes those have, raw.
    pub raw: u64,
    /// Where its table is.
    pub toc: TableRef,
}

/// Where the table of a pack is: at its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TableRef {
    /// Its first byte in the pack.
    pub offset: u64,
    /// How many bytes it has there.
    pub size: u64,
    /// The hash of those.
    pub digest: Digest,
}

impl Pack {
    /// Checks that its numbers can be true.
    pub fn check(&self) -> Result<(), PackError> {
        let ends = self.toc.offset.checked_add(self.toc.size);
        let raw = u64::from(self.chunks)..=u64::from(self.chunks) * MAX_CHUNK as u64;
        let fault = if self.size > MAX_SAFE_INTEGER || ends != Some(self.size) {
            "its table is not its end"
        } else if self.toc.size == 0 || self.toc.size > MAX_TABLE_BYTES {
            "its table is empty, or too large"
        } else if self.chunks == 0 || self.chunks > MAX_PACK_CHUNKS {
            "it has no chunks, or too many"
        } else if self.toc.size < LEAST_PER_CHUNK * u64::from(self.chunks) {
            "its table is too small for so many chunks"
        } else if !raw.contains(&self.raw) {
            "so many chunks cannot have so many bytes"
        } else {
            return Ok(());
        };
        Err(PackError { digest: self.digest, fault })
    }
}

/// Some consecutive chunks of one pack; a file is a list of these.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "[u32; 3]", into = "[u32; 3]")]
pub struct Run {
    /// Which of the index's packs.
    pub pack: u32,
    /// The first chunk.
    pub first: u32,
    /// How many there are.
    pub count: u32,
}

impl From<[u32; 3]> for Run {
    fn from([pack, first, count]: [u32; 3]) -> Self {
        Self { pack, first, count }
    }
}

impl From<Run> for [u32; 3] {
    fn from(run: Run) -> Self {
        [run.pack, run.first, run.count]
    }
}

/// Where one chunk is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ChunkPosition {
    /// Which of the index's packs.
    pub pack: u32,
    /// Which of that pack's chunks.
    pub chunk: u32,
}

/// Adds one more chunk to a file's runs.
pub fn extend_runs(runs: &mut Vec<Run>, place: ChunkPosition) {
    if let Some(last) = runs.last_mut()
        && last.pack == place.pack
        && last.first + last.count == place.chunk
    {
        last.count += 1;
        return;
    }
    runs.push(Run { pack: place.pack, first: place.chunk, count: 1 });
}

/// How the bytes of a chunk are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// As they are.
    Raw,
    /// As one Zstandard frame.
    Zstd,
}

/// One chunk of a pack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame {
    /// The hash of its raw bytes.
    pub hash: ChunkHash,
    /// The first byte of its frame in the pack.
    pub offset: u64,
    /// How many bytes its frame has.
    pub stored: u32,
    /// How many bytes it has, raw.
    pub raw: u32,
    /// How they are stored.
    pub encoding: Encoding,
}

impl Frame {
    /// The byte after its last one in the pack.
    pub fn end(&self) -> u64 {
        self.offset + u64::from(self.stored)
    }

    /// The raw bytes of the chunk, from those of its frame. Their hash is not looked at.
    pub fn decode<'a>(&self, stored: &'a [u8]) -> Result<Cow<'a, [u8]>, FrameError> {
        match self.encoding {
            Encoding::Raw => Ok(Cow::Borrowed(stored)),
            Encoding::Zstd => match zstd::decompress(stored, self.raw as usize) {
                Ok(content) => Ok(Cow::Owned(content)),
                Err(source) => Err(FrameError { hash: self.hash, source }),
            },
        }
    }
}

/// The table of a pack: its chunks, in their order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Table {
    /// The chunks; every frame follows the one before.
    pub frames: Vec<Frame>,
}

impl Table {
    /// The hash of one of the chunks.
    pub fn hash(&self, chunk: u32) -> Option<ChunkHash> {
        self.frames.get(chunk as usize).map(|frame| frame.hash)
    }

    /// Reads the table of `pack` from its bytes in the pack, of which the caller has checked the digest.
    pub fn parse(stored: &[u8], pack: &Pack) -> Result<Self, TableError> {
        pack.check()?;
        let count = pack.chunks as usize;
        let content = zstd::decompress(stored, MAGIC.len() + 4 + RECORD * count)?;
        Self::read(&content, count).ok_or(TableError::Damaged)?.check(pack)
    }

    fn read(mut content: &[u8], count: usize) -> Option<Self> {
        let bytes = &mut content;
        if *take::<8>(bytes)? != MAGIC || u32::from_le_bytes(*take(bytes)?) as usize != count {
            return None;
        }
        let mut column = |width: usize| {
            let (column, rest) = bytes.split_at_checked(width * count)?;
            *bytes = rest;
            Some(column)
        };
        let (hashes, offsets, stored, raw, encodings) =
            (column(32)?, column(8)?, column(4)?, column(4)?, column(1)?);
        let frame = |at: usize| {
            Some(Frame {
                hash: ChunkHash::from_bytes(*hashes.as_chunks().0.get(at)?),
                offset: u64::from_le_bytes(*offsets.as_chunks().0.get(at)?),
                stored: u32::from_le_bytes(*stored.as_chunks().0.get(at)?),
                raw: u32::from_le_bytes(*raw.as_chunks().0.get(at)?),
                encoding: match encodings.get(at)? {
                    0 => Encoding::Raw,
                    1 => Encoding::Zstd,
                    _ => return None,
                },
            })
        };
        // Of their number at once: collected one by one, they would take up to twice as much.
        let mut frames = Vec::with_capacity(count);
        for at in 0..count {
            frames.push(frame(at)?);
        }
        Some(Self { frames })
    }

    fn check(self, pack: &Pack) -> Result<Self, TableError> {
        let (mut end, mut raw) = (0_u64, 0_u64);
        for (at, frame) in self.frames.iter().enumerate() {
            let fits = match frame.encoding {
                Encoding::Raw => frame.stored == frame.raw,
                Encoding::Zstd => frame.stored < frame.raw,
            };
            if frame.offset != end || frame.raw == 0 || frame.raw as usize > MAX_CHUNK || !fits {
                return Err(TableError::Frame { at });
            }
            end = frame.end();
            raw += u64::from(frame.raw);
        }
        if end != pack.toc.offset || raw != pack.raw {
            return Err(TableError::Sums);
        }
        Ok(self)
    }

    /// The table as it is stored at the end of a pack.
    #[cfg(not(target_arch = "wasm32"))]
    pub(super) fn store(&self, compressor: &mut zstd::Compressor) -> Result<Vec<u8>, CompressionError> {
        let mut content = Vec::with_capacity(MAGIC.len() + 4 + RECORD * self.frames.len());
        content.extend_from_slice(&MAGIC);
        // A pack never has more than `MAX_PACK_CHUNKS`.
        content.extend_from_slice(&(self.frames.len() as u32).to_le_bytes());
        self.frames.iter().for_each(|frame| content.extend_from_slice(frame.hash.as_bytes()));
        self.frames.iter().for_each(|frame| content.extend_from_slice(&frame.offset.to_le_bytes()));
        self.frames.iter().for_each(|frame| content.extend_from_slice(&frame.stored.to_le_bytes()));
        self.frames.iter().for_each(|frame| content.extend_from_slice(&frame.raw.to_le_bytes()));
        self.frames.iter().for_each(|frame| content.push(u8::from(frame.encoding == Encoding::Zstd)));
        compressor.compress(&content)
    }
}

fn take<'a, const N: usize>(bytes: &mut &'a [u8]) -> Option<&'a [u8; N]> {
    let (array, rest) = bytes.split_first_chunk()?;
    *bytes = rest;
    Some(array)
}

/// What an index says of a pack cannot be true.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("the pack {digest} cannot be as the index says: {fault}")]
pub struct PackError {
    /// Its digest.
    pub digest: Digest,
    /// What cannot be.
    pub fault: &'static str,
}

/// A frame does not hold the chunk that it should.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("the chunk {hash} cannot be decoded")]
pub struct FrameError {
    /// The chunk.
    pub hash: ChunkHash,
    /// What the decoder says.
    pub source: CompressionError,
}

/// Why the table of a pack cannot be taken.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum TableError {
    /// It cannot be decoded.
    #[error("it cannot be decoded")]
    Compression(#[from] CompressionError),
    /// It is none of this version.
    #[error("it is no table that this version reads")]
    Damaged,
    /// A chunk overlaps another one, or leaves a gap, or has a size that it cannot have.
    #[error("its chunk {at} does not follow the one before, or has a size that it cannot have")]
    Frame {
        /// Which.
        at: usize,
    },
    /// The index says something of the pack that cannot be.
    #[error(transparent)]
    Pack(#[from] PackError),
    /// The chunks do not add up to what the index says of the pack.
    #[error("its chunks do not add up to the pack")]
    Sums,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pack::chunk::tests::noise;
    use crate::pack::effort::Effort;
    use crate::pack::write::{FinishedPack, FrameWriter, PackWriter};

    fn store(contents: &[Vec<u8>]) -> (Vec<u8>, FinishedPack) {
        let (mut frames, mut writer) = (FrameWriter::new().unwrap(), PackWriter::default());
        let mut bytes = Vec::new();
        for content in contents {
            let chunk = frames.encode(ChunkHash::of(content), content, Effort::Try).unwrap();
            writer.add(&chunk);
            bytes.extend_from_slice(&chunk.bytes);
        }
        let finished = writer.finish().unwrap();
        bytes.extend_from_slice(&finished.stored_table);
        (bytes, finished)
    }

    fn contents() -> Vec<Vec<u8>> {
        vec![vec![0; 50_000], noise(1, 20_000), b"short".to_vec(), noise(2, 1)]
    }

    #[test]
    fn a_pack_gives_back_its_chunks() {
        let (bytes, FinishedPack { pack, table, stored_table }) = store(&contents());
        assert_eq!((Digest::of(&bytes), bytes.len() as u64), (pack.digest, pack.size));
        let at = pack.toc.offset as usize;
        assert_eq!(&bytes[at..], stored_table);
        assert_eq!(Table::parse(&bytes[at..], &pack).unwrap(), table);
        let encodings: Vec<_> = table.frames.iter().map(|frame| frame.encoding).collect();
        assert_eq!(encodings, [Encoding::Zstd, Encoding::Raw, Encoding::Raw, Encoding::Raw]);
        for (frame, content) in table.frames.iter().zip(contents()) {
            let stored = &bytes[frame.offset as usize..frame.end() as usize];
            assert_eq!(*frame.decode(stored).unwrap(), content);
        }
    }

    #[test]
    fn known_bytes() {
        // Part of the format; that of compression is the library's, whose version is pinned.
        let (bytes, finished) = store(&[b"abc".to_vec()]);
        assert_eq!(&bytes[..3], b"abc");
        let table = zstd::decompress(&finished.stored_table, MAGIC.len() + 4 + RECORD).unwrap();
        let mut expected = b"MOBTOC\0\x01\x01\0\0\0".to_vec();
        expected.extend_from_slice(ChunkHash::of(b"abc").as_bytes());
        expected.extend_from_slice(b"\0\0\0\0\0\0\0\0\x03\0\0\0\x03\0\0\0\0");
        assert_eq!(table, expected);
    }

    #[test]
    fn a_table_that_lies_is_refused() {
        let (bytes, FinishedPack { pack, table, .. }) = store(&contents());
        let parse = |table: &Table, pack: &Pack| {
            let stored = table.store(&mut zstd::Compressor::new().unwrap()).unwrap();
            let toc = TableRef { size: stored.len() as u64, ..pack.toc };
            Table::parse(&stored, &Pack { size: toc.offset + toc.size, toc, ..pack.clone() })
        };
        assert!(parse(&table, &pack).is_ok());
        let frame_lies: [fn(&mut Frame); 6] = [
            |frame| frame.offset += 1,
            |frame| frame.offset -= 1,
            |frame| frame.stored += 1,
            |frame| frame.raw = 0,
            |frame| frame.raw = MAX_CHUNK as u32 + 1,
            |frame| frame.encoding = Encoding::Zstd,
        ];
        for (at, lie) in frame_lies.into_iter().enumerate() {
            let mut table = table.clone();
            lie(&mut table.frames[1]);
            assert!(matches!(parse(&table, &pack), Err(TableError::Frame { .. })), "lie {at}");
        }
        let mut longer = table.clone();
        longer.frames[0].raw += 1;
        assert_eq!(parse(&longer, &pack), Err(TableError::Sums));
        let pack_lies: [fn(&mut Pack); 4] = [
            |pack| pack.raw += 1,
            |pack| pack.chunks += 1,
            |pack| pack.chunks = 0,
            |pack| pack.toc.offset -= 1,
        ];
        for (at, lie) in pack_lies.into_iter().enumerate() {
            let mut pack = pack.clone();
            lie(&mut pack);
            assert!(parse(&table, &pack).is_err(), "lie {at}");
        }
        assert!(Table::parse(&bytes[..100], &pack).is_err());
        let huge = Pack { chunks: u32::MAX, ..pack };
        assert!(matches!(Table::parse(&bytes, &huge), Err(TableError::Pack(_))));
    }

    #[test]
    fn runs_grow_where_chunks_follow_each_other() {
        let mut runs = Vec::new();
        for (pack, chunk) in [(0, 5), (0, 6), (0, 8), (1, 9), (1, 10), (1, 10)] {
            extend_runs(&mut runs, ChunkPosition { pack, chunk });
        }
        let runs: Vec<[u32; 3]> = runs.into_iter().map(Into::into).collect();
        assert_eq!(runs, [[0, 5, 2], [0, 8, 1], [1, 9, 2], [1, 10, 1]]);
    }
}

//! Chunks: a file cut where its content says so, so that an insertion moves no more than the chunks around it.
//!
//! FastCDC as its authors published it in 2020 ("The Design of Fast Content-Defined Chunking for Data Deduplication
//! Based Storage Systems", IEEE TPDS 31/9), normalization level 1. Sizes, gear table and masks are part of the format:
//! the same content has the same chunks on every machine.

use std::fmt;

use fastcdc::v2020::{Normalization, cut, select_masks};

/// The least bytes of a chunk, unless it is the last one of its file. A file that is no larger is one chunk.
pub const MIN_CHUNK: usize = 16 * 1024;

/// What a chunk has on average, in bytes.
pub const AVG_CHUNK: usize = 64 * 1024;

/// The most bytes of a chunk.
pub const MAX_CHUNK: usize = 256 * 1024;

/// The name of the algorithm in an index.
pub const CHUNKER: &str = "fastcdc-2020";

/// The BLAKE3-256 of a chunk's raw bytes: its name among the chunks of all packs.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ChunkHash([u8; 32]);

impl ChunkHash {
    /// Hashes the raw bytes of a chunk.
    pub fn of(content: &[u8]) -> Self {
        Self(*blake3::hash(content).as_bytes())
    }

    /// Takes a hash that was computed before.
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The 32 bytes of the hash.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Display for ChunkHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", blake3::Hash::from_bytes(self.0).to_hex())
    }
}

impl fmt::Debug for ChunkHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ChunkHash({self})")
    }
}

/// How much of a file lies in a buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rest {
    /// All that is left of it.
    Whole,
    /// More is to come.
    Part,
}

/// Cuts chunks off the front of a file's bytes.
#[derive(Clone, Copy, Debug)]
pub struct Chunker {
    masks: [u64; 2],
}

impl Default for Chunker {
    fn default() -> Self {
        Self::new()
    }
}

impl Chunker {
    /// The one chunker of the format.
    pub fn new() -> Self {
        let (small, large) = select_masks(AVG_CHUNK, Normalization::Level1);
        Self { masks: [small, large] }
    }

    /// The length of the chunk at the front of `content`; `None` where more of the file must come first, or where
    /// there is nothing left of it.
    pub fn first(&self, content: &[u8], rest: Rest) -> Option<usize> {
        if content.is_empty() || (rest == Rest::Part && content.len() < MAX_CHUNK) {
            return None;
        }
        let [small, large] = self.masks;
        let (_fingerprint, length) =
            cut(content, MIN_CHUNK, AVG_CHUNK, MAX_CHUNK, small, large, small << 1, large << 1);
        Some(length)
    }

    /// The lengths of all chunks that can be cut off `content`; what they leave of it is the front of the next buffer.
    pub fn lengths(self, content: &[u8], rest: Rest) -> impl Iterator<Item = usize> {
        let mut left = content;
        std::iter::from_fn(move || {
            let length = self.first(left, rest)?;
            left = left.get(length..)?;
            Some(length)
        })
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Bytes that no compression makes fewer: xorshift64* by Vigna.
    pub(crate) fn noise(seed: u64, length: usize) -> Vec<u8> {
        let mut state = seed | 1;
        let mut next = || {
            state ^= state >> 12;
            state ^= state << 25;
            state ^= state >> 27;
            state.wrapping_mul(0x2545_f491_4f6c_dd1d).to_le_bytes()
        };
        let mut bytes: Vec<u8> =
            std::iter::repeat_with(&mut next).take(length.div_ceil(8)).flatten().collect();
        bytes.truncate(length);
        bytes
    }

    fn cuts(content: &[u8]) -> Vec<usize> {
        Chunker::new().lengths(content, Rest::Whole).collect()
    }

    #[test]
    fn known_boundaries() {
        // Part of the format: other boundaries would share nothing with the packs that exist.
        assert_eq!(cuts(&noise(1, 400_000)), [107_883, 65_467, 49_201, 96_571, 43_828, 37_050]);
        assert_eq!(cuts(&[0; 600_000]), [262_144, 262_144, 75_712]);
        assert_eq!(cuts(&[7; MIN_CHUNK]), [MIN_CHUNK]);
        assert_eq!(cuts(b"x"), [1]);
        assert_eq!(cuts(b""), [] as [usize; 0]);
    }

    #[test]
    fn known_hash() {
        // The test vector of BLAKE3 for no input at all.
        let hash = format!("{:?}", ChunkHash::of(b""));
        assert_eq!(hash, "ChunkHash(af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262)");
    }

    #[test]
    fn an_insertion_moves_only_what_is_around_it() {
        let before = noise(3, 4 << 20);
        let mut after = before.clone();
        after.splice(1_000_000..1_000_000, *b"a few bytes more");
        let hashes = |content: &[u8]| -> Vec<ChunkHash> {
            let mut at = 0;
            let mut hash = |length: usize| {
                at += length;
                ChunkHash::of(&content[at - length..at])
            };
            cuts(content).into_iter().map(&mut hash).collect()
        };
        let known = hashes(&before);
        let new = hashes(&after).iter().filter(|hash| !known.contains(hash)).count();
        assert!(new <= 3, "{new} of {} chunks are new", known.len());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]

        #[test]
        fn the_buffer_does_not_count(seed: u64, length in 0..2_000_000_usize, buffer in MAX_CHUNK..1_000_000) {
            let content = noise(seed, length);
            let (mut lengths, mut start, mut end) = (Vec::new(), 0, 0);
            while start < content.len() {
                end = content.len().min(end + buffer);
                let rest = if end == content.len() { Rest::Whole } else { Rest::Part };
                for length in Chunker::new().lengths(&content[start..end], rest) {
                    lengths.push(length);
                    start += length;
                }
            }
            prop_assert_eq!(&lengths, &cuts(&content));
            let (last, others) = lengths.split_last().unwrap_or((&0, &[]));
            prop_assert!(others.iter().all(|length| (MIN_CHUNK..=MAX_CHUNK).contains(length)));
            prop_assert!(*last <= MAX_CHUNK);
        }
    }
}

//! How large packs become.

use super::chunk::AVG_CHUNK;

/// How large a pack becomes, in bytes, as long as [`MAX_PACKS`] of them hold the bundle.
pub const PACK_BYTES: u64 = 64 << 20;

/// How many chunks a pack takes, as long as [`MAX_PACKS`] of them hold the bundle.
pub const PACK_CHUNKS: u64 = 64 << 10;

/// How many new packs a push makes at most: as many more may lie in the repository already.
pub const MAX_PACKS: u64 = 300;

/// How large packs become: as large as [`PACK_BYTES`] and [`PACK_CHUNKS`] say, or larger where [`MAX_PACKS`] of those
/// would not hold the bundle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PackLimits {
    bytes: u64,
    chunks: u64,
}

impl PackLimits {
    /// The limits for a bundle of so many files with so many bytes in all.
    pub fn of(files: u64, bytes: u64) -> Self {
        // Every file has one chunk at least, and on average one for each `AVG_CHUNK` bytes of it.
        let chunks = files.saturating_add(bytes / AVG_CHUNK as u64);
        Self {
            bytes: PACK_BYTES.max(bytes.div_ceil(MAX_PACKS)),
            chunks: PACK_CHUNKS.max(chunks.div_ceil(MAX_PACKS)),
        }
    }

    /// Whether a pack of so many bytes and chunks has room for a chunk of `next` bytes; an empty one always has.
    pub fn have_room(self, bytes: u64, chunks: u32, next: u64) -> bool {
        chunks == 0 || (bytes.saturating_add(next) <= self.bytes && u64::from(chunks) < self.chunks)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pack::chunk::MAX_CHUNK;

    #[test]
    fn packs_grow_only_where_there_would_be_too_many() {
        let usual = PackLimits::of(10_000, 40 << 20);
        assert!(usual.have_room(0, 0, u64::MAX));
        assert!(usual.have_room(PACK_BYTES - 10, 1, 10));
        assert!(!usual.have_room(PACK_BYTES - 9, 1, 10));
        assert!(!usual.have_room(1, PACK_CHUNKS as u32, 1));
        let huge = PackLimits::of(1, 600 * PACK_BYTES);
        assert!(huge.have_room(PACK_BYTES, 1, MAX_CHUNK as u64));
        assert!(PackLimits::of(40_000_000, 0).have_room(1, PACK_CHUNKS as u32, 1));
    }
}

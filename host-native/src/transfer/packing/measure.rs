//! What packing files would come to: they are read, cut and compressed as for a push, and nothing is kept of it.

use std::collections::BTreeSet;

use bundle_core::chunk::ChunkHash;
use bundle_core::pack::{Run, StoredChunk, extend_runs};
use bundle_core::placement::PackLimits;

use super::read::{self, Chunk};
use super::{PackBase, PackingError, ToPack};

/// Chunks that no pack has yet.
#[derive(Debug, Default)]
pub(crate) struct NewChunks {
    hashes: BTreeSet<ChunkHash>,
    /// How many packs they would fill.
    pub(crate) packs: u64,
    /// Their bytes, raw.
    pub(crate) raw: u64,
    /// Their bytes as packs would have them; tables are not counted.
    pub(crate) stored: u64,
    /// Bytes and chunks of the last of those packs.
    open: (u64, u32),
}

impl NewChunks {
    /// How many there are.
    pub(crate) fn count(&self) -> u64 {
        self.hashes.len() as u64
    }

    fn add(&mut self, chunk: &StoredChunk, limits: PackLimits) {
        if !self.hashes.insert(chunk.hash) {
            return;
        }
        let (bytes, chunks) = self.open;
        let stored = chunk.bytes.len() as u64;
        if chunks == 0 || !limits.have_room(bytes, chunks, stored) {
            self.packs += 1;
            self.open = (0, 0);
        }
        self.open = (self.open.0 + stored, self.open.1 + 1);
        self.raw += u64::from(chunk.raw);
        self.stored += stored;
    }
}

/// Adds to `new` what `base` does not have of `files`. Says for each file, in their order, what of it `base` has.
pub(crate) fn measure_files(
    base: &PackBase<'_>,
    files: &[ToPack],
    new: &mut NewChunks,
) -> Result<Vec<Vec<Run>>, PackingError> {
    let mut held = vec![Vec::new(); files.len()];
    // As every packing, it begins with a pack of its own.
    new.open = (0, 0);
    read::in_segments(files, base.known, &|_| (), |segment| {
        for chunk in segment.chunks {
            match (chunk, held.get_mut(segment.file)) {
                (Chunk::Known(place), Some(runs)) => extend_runs(runs, place),
                (Chunk::Known(_), None) => {}
                (Chunk::New(chunk), _) => new.add(&chunk, base.limits),
            }
        }
        Ok(())
    })?;
    Ok(held)
}

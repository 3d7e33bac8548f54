//! What packing files would come to: they are read, cut and compressed as for a push, and nothing is kept of it.

use std::collections::BTreeSet;

use bundle_core::bundle::descriptor::{Descriptor, media_type};
use bundle_core::pack::chunk::ChunkHash;
use bundle_core::pack::limits::PackLimits;
use bundle_core::pack::table::{Run, extend_runs};
use bundle_core::pack::write::{PackWriter, StoredChunk};
use bundle_core::pack::zstd::CompressionError;

use super::read::{self, Chunk};
use super::{PackBase, PackingError, ToPack};

/// Chunks that no pack has yet.
#[derive(Debug, Default)]
pub(crate) struct NewChunks {
    hashes: BTreeSet<ChunkHash>,
    /// The packs that they would fill.
    pub(crate) packs: Vec<Descriptor>,
    /// Their bytes, raw.
    pub(crate) raw: u64,
    /// The last of them, which has no table yet.
    open: Option<PackWriter>,
    /// The layer of what was added last.
    layer: usize,
}

impl NewChunks {
    /// How many there are.
    pub(crate) fn count(&self) -> u64 {
        self.hashes.len() as u64
    }

    fn add(&mut self, layer: usize, chunk: &StoredChunk, limits: PackLimits) -> Result<(), CompressionError> {
        if !self.hashes.insert(chunk.hash) {
            return Ok(());
        }
        let stored = chunk.bytes.len() as u64;
        let has_room = |pack: &PackWriter| limits.have_room(pack.stored(), pack.chunks(), stored);
        if layer != self.layer || self.open.as_ref().is_some_and(|pack| !has_room(pack)) {
            self.close()?;
            self.layer = layer;
        }
        self.open.get_or_insert_default().add(chunk);
        self.raw += u64::from(chunk.raw);
        Ok(())
    }

    fn close(&mut self) -> Result<(), CompressionError> {
        if let Some(pack) = self.open.take() {
            let pack = pack.finish()?.pack;
            self.packs.push(Descriptor::new(media_type::PACK, pack.digest, pack.size));
        }
        Ok(())
    }
}

/// Adds to `new` what `base` does not have of `files`. Says for each file, in their order, what of it `base` has.
pub(crate) fn measure_files(
    base: &PackBase<'_>,
    files: &[ToPack],
    new: &mut NewChunks,
) -> Result<Vec<Vec<Run>>, PackingError> {
    let mut held = vec![Vec::new(); files.len()];
    read::in_segments(files, base.known, &|_| (), |segment| {
        for chunk in segment.chunks {
            match (chunk, held.get_mut(segment.file)) {
                (Chunk::Known(place), Some(runs)) => extend_runs(runs, place),
                (Chunk::Known(_), None) => {}
                (Chunk::New(chunk), _) => {
                    let layer = files.get(segment.file).map_or(0, |file| file.layer);
                    new.add(layer, &chunk, base.limits)?;
                }
            }
        }
        Ok(())
    })?;
    // As every packing, the next one begins with a pack of its own.
    new.close()?;
    Ok(held)
}

//! Puts chunks into packs, one pack after the other, each in a file of its own until it is sent.

use std::fs::File;
use std::io::{self, BufWriter, Write as _};

use bundle_core::bundle::descriptor::{Descriptor, media_type};
use bundle_core::pack::chunk::ChunkHash;
use bundle_core::pack::chunk_map::ChunkPositions;
use bundle_core::pack::table::{ChunkPosition, Pack, Run, Table, extend_runs};
use bundle_core::pack::write::{PackWriter, StoredChunk};

use super::read::Chunk;
use super::{PackBase, PackingError};
use crate::progress::{Progress, Work};
use crate::project::staging::{Mode, StagedFile, Staging};
use crate::remote::growing::{Grower, GrowingFile, growing};

/// How much is gathered before it is written.
const BUFFER: usize = 256 << 10;

/// A pack that was begun and is to be sent.
#[derive(Debug)]
pub(super) struct Spooled {
    /// What there is of it so far.
    pub(super) growing: GrowingFile,
    /// Removes the file once the pack is sent.
    pub(super) staged: StagedFile,
}

/// The packs of one push, of which the last one still grows.
pub(super) struct Assembly<'a, F> {
    progress: &'a dyn Progress,
    staging: &'a Staging,
    base: &'a PackBase<'a>,
    places: ChunkPositions,
    finished: Vec<(Pack, Table)>,
    /// The layer of what was added last.
    layer: usize,
    open: Option<OpenPack>,
    keep_table: &'a dyn Fn(&Pack, &[u8]),
    hand_over: F,
}

struct OpenPack {
    writer: PackWriter,
    output: BufWriter<File>,
    /// How much of the file is written, as far as others know.
    known: u64,
    grower: Grower,
}

impl<'a, F: Fn(Spooled) -> Result<(), PackingError>> Assembly<'a, F> {
    /// No packs yet; each goes to `hand_over` as soon as it is begun, and its stored table to `keep_table` once it is
    /// complete.
    pub(super) fn new(
        progress: &'a dyn Progress,
        staging: &'a Staging,
        base: &'a PackBase<'a>,
        keep_table: &'a dyn Fn(&Pack, &[u8]),
        hand_over: F,
    ) -> Self {
        let places = ChunkPositions::default();
        Self {
            progress,
            staging,
            base,
            places,
            finished: Vec::new(),
            layer: 0,
            open: None,
            keep_table,
            hand_over,
        }
    }

    /// Adds the next chunks of a file to its runs, and those that are nowhere yet to a pack.
    pub(super) fn add(
        &mut self,
        layer: usize,
        chunks: Vec<Chunk>,
        runs: &mut Vec<Run>,
    ) -> Result<(), PackingError> {
        if layer != self.layer {
            self.close()?;
            self.layer = layer;
        }
        for chunk in chunks {
            let place = match chunk {
                Chunk::Known(place) => place,
                Chunk::New(chunk) => match self.find(&chunk.hash) {
                    Some(place) => place,
                    None => self.store(&chunk)?,
                },
            };
            extend_runs(runs, place);
        }
        Ok(())
    }

    /// Where this push has put a chunk already.
    fn find(&self, hash: &ChunkHash) -> Option<ChunkPosition> {
        self.places.find(hash, |ChunkPosition { pack, chunk }| {
            let of_push = (pack - self.base.next_pack) as usize;
            match self.finished.get(of_push) {
                Some((_, table)) => table.hash(chunk),
                None => self.open.as_ref()?.writer.hash(chunk),
            }
        })
    }

    fn store(&mut self, chunk: &StoredChunk) -> Result<ChunkPosition, PackingError> {
        let has_room = |pack: &OpenPack| {
            let (bytes, chunks) = (pack.writer.stored(), pack.writer.chunks());
            self.base.limits.have_room(bytes, chunks, chunk.bytes.len() as u64)
        };
        if self.open.as_ref().is_some_and(|pack| !has_room(pack)) {
            self.close()?;
        }
        // A bundle has a few hundred packs.
        let number = self.base.next_pack + self.finished.len() as u32;
        let open = match &mut self.open {
            Some(open) => open,
            none => {
                let (open, spooled) = OpenPack::create(self.staging).map_err(fault(self.staging))?;
                (self.hand_over)(spooled)?;
                none.insert(open)
            }
        };
        self.progress.expect(Work::Upload, chunk.bytes.len() as u64);
        open.write(&chunk.bytes).map_err(fault(self.staging))?;
        let place = ChunkPosition { pack: number, chunk: open.writer.add(chunk) };
        self.places.add(&chunk.hash, place);
        Ok(place)
    }

    fn close(&mut self) -> Result<(), PackingError> {
        let Some(OpenPack { writer, mut output, grower, .. }) = self.open.take() else { return Ok(()) };
        let finished = writer.finish()?;
        output
            .write_all(&finished.stored_table)
            .and_then(|()| output.flush())
            .map_err(fault(self.staging))?;
        self.progress.expect(Work::Upload, finished.stored_table.len() as u64);
        grower.finish(Descriptor::new(media_type::PACK, finished.pack.digest, finished.pack.size));
        (self.keep_table)(&finished.pack, &finished.stored_table);
        self.finished.push((finished.pack, finished.table));
        Ok(())
    }

    /// Ends the last pack, and gives all of them.
    pub(super) fn finish(mut self) -> Result<Vec<(Pack, Table)>, PackingError> {
        self.close()?;
        Ok(self.finished)
    }
}

impl OpenPack {
    fn create(staging: &Staging) -> io::Result<(Self, Spooled)> {
        let (path, file) = staging.stage_file(Mode::Plain)?;
        let (grower, growing) = growing(path.clone());
        let output = BufWriter::with_capacity(BUFFER, file);
        let open = Self { writer: PackWriter::default(), output, known: 0, grower };
        Ok((open, Spooled { growing, staged: StagedFile::new(path) }))
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.output.write_all(bytes)?;
        let written = self.writer.stored() + bytes.len() as u64 - self.output.buffer().len() as u64;
        if written > self.known {
            self.known = written;
            self.grower.grown_to(written);
        }
        Ok(())
    }
}

fn fault(staging: &Staging) -> impl Fn(io::Error) -> PackingError {
    let folder = staging.folder().to_owned();
    move |source| PackingError::Staging { folder: folder.clone(), source }
}

//! Puts chunks into packs, one pack after the other, each in a file of its own until it is sent.

use std::fs::File;
use std::io::{self, BufWriter, Write as _};

use bundle_core::digest::Digest;
use bundle_core::pack::{FinishedPack, PackWriter, Place, Run, StoredChunk, extend_runs};
use bundle_core::placement::ChunkPlaces;

use super::read::Chunk;
use super::{PackBase, PackingError};
use crate::project::staging::{Mode, StagedFile, Staging};

/// How much is gathered before it is written.
const BUFFER: usize = 256 << 10;

/// A pack that is complete and waits to be sent; its file goes with it.
#[derive(Debug)]
pub(super) struct Spooled {
    pub(super) digest: Digest,
    pub(super) size: u64,
    pub(super) file: StagedFile,
}

/// The packs of one push, of which the last one still grows.
pub(super) struct Assembly<'a, F> {
    staging: &'a Staging,
    base: &'a PackBase<'a>,
    places: ChunkPlaces<'a>,
    finished: Vec<FinishedPack>,
    /// The layer of what was added last.
    layer: usize,
    open: Option<OpenPack>,
    hand_over: F,
}

struct OpenPack {
    writer: PackWriter,
    staged: StagedFile,
    output: BufWriter<File>,
}

impl<'a, F: Fn(Spooled) -> Result<(), PackingError>> Assembly<'a, F> {
    /// No packs yet; each that is complete goes to `hand_over`.
    pub(super) fn new(staging: &'a Staging, base: &'a PackBase<'a>, hand_over: F) -> Self {
        let places = ChunkPlaces::beside(base.known);
        Self { staging, base, places, finished: Vec::new(), layer: 0, open: None, hand_over }
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
                Chunk::New(chunk) => match self.places.find(&chunk.hash) {
                    Some(place) => place,
                    None => self.store(&chunk)?,
                },
            };
            extend_runs(runs, place);
        }
        Ok(())
    }

    fn store(&mut self, chunk: &StoredChunk) -> Result<Place, PackingError> {
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
            none => none.insert(OpenPack::create(self.staging).map_err(fault(self.staging))?),
        };
        open.output.write_all(&chunk.bytes).map_err(fault(self.staging))?;
        let place = Place { pack: number, chunk: open.writer.add(chunk) };
        self.places.add(chunk.hash, place);
        Ok(place)
    }

    fn close(&mut self) -> Result<(), PackingError> {
        let Some(OpenPack { writer, staged, mut output }) = self.open.take() else { return Ok(()) };
        let finished = writer.finish()?;
        output
            .write_all(&finished.stored_table)
            .and_then(|()| output.flush())
            .map_err(fault(self.staging))?;
        let (digest, size) = (finished.pack.digest, finished.pack.size);
        (self.hand_over)(Spooled { digest, size, file: staged })?;
        self.finished.push(finished);
        Ok(())
    }

    /// Ends the last pack, and gives all of them.
    pub(super) fn finish(mut self) -> Result<Vec<FinishedPack>, PackingError> {
        self.close()?;
        Ok(self.finished)
    }
}

impl OpenPack {
    fn create(staging: &Staging) -> io::Result<Self> {
        let (path, file) = staging.stage_file(Mode::Plain)?;
        let output = BufWriter::with_capacity(BUFFER, file);
        Ok(Self { writer: PackWriter::default(), staged: StagedFile::new(path), output })
    }
}

fn fault(staging: &Staging) -> impl Fn(io::Error) -> PackingError {
    let folder = staging.folder().to_owned();
    move |source| PackingError::Staging { folder: folder.clone(), source }
}

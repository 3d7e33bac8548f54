//! The chunks that are wanted of packs, and where their bytes go.
//!
//! A large file is hundreds of thousands of chunks, so all of this is one list, and what is said of a pack or of a chunk
//! is a part of it.

use std::collections::BTreeSet;

use bundle_core::pack::{Place, Table};

use super::Assembled;
use crate::transfer::DownloadError;

/// One place in a file where the bytes of a chunk go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Destination {
    /// The chunk.
    pub(super) chunk: Place,
    /// Which of the files.
    pub(super) file: usize,
    /// The first byte in it.
    pub(super) offset: u64,
}

/// All destinations, in the order of the packs and their chunks.
#[derive(Debug)]
pub(super) struct Wanted(Vec<Destination>);

impl Wanted {
    /// Finds out where every chunk of `files` goes.
    ///
    /// # Errors
    ///
    /// Refuses a file whose chunks do not add up to its size.
    pub(super) fn of(files: &[Assembled<'_>], tables: &[Table]) -> Result<Self, DownloadError> {
        // First to count: a list that grows takes twice as much, and numbers that do not fit their files' sizes ask for none.
        let mut count = 0;
        for file in files {
            for_chunks(file, tables, |_, _| count += 1)?;
        }
        let mut all: Vec<Destination> = Vec::with_capacity(count);
        for (at, file) in files.iter().enumerate() {
            for_chunks(file, tables, |chunk, offset| all.push(Destination { chunk, file: at, offset }))?;
        }
        all.sort_unstable();
        Ok(Self(all))
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The files that something is wanted for.
    pub(super) fn files(&self) -> BTreeSet<usize> {
        self.0.iter().map(|destination| destination.file).collect()
    }

    /// Each chunk, once.
    pub(super) fn chunks(&self) -> impl Iterator<Item = Place> {
        by_chunk(&self.0).map(|(chunk, _)| chunk)
    }

    /// Where the bytes of a chunk go; nowhere if it is not wanted.
    pub(super) fn destinations(&self, chunk: Place) -> &[Destination] {
        let start = self.0.partition_point(|destination| destination.chunk < chunk);
        let rest = self.0.get(start..).unwrap_or_default();
        let end = rest.partition_point(|destination| destination.chunk == chunk);
        rest.get(..end).unwrap_or_default()
    }

    /// Takes chunks off the list.
    pub(super) fn remove(&mut self, chunks: &BTreeSet<Place>) {
        self.0.retain(|destination| !chunks.contains(&destination.chunk));
    }

    /// What is wanted of each pack, with its number.
    pub(super) fn by_pack(&self) -> Vec<(u32, &[Destination])> {
        let packs = self.0.chunk_by(|one, next| one.chunk.pack == next.chunk.pack);
        packs.filter_map(|pack| Some((pack.first()?.chunk.pack, pack))).collect()
    }
}

/// Each chunk of a part of the list, with the places where its bytes go.
pub(super) fn by_chunk(part: &[Destination]) -> impl Iterator<Item = (Place, &[Destination])> + Clone {
    let chunks = part.chunk_by(|one: &Destination, next: &Destination| one.chunk == next.chunk);
    chunks.filter_map(|chunk| Some((chunk.first()?.chunk, chunk)))
}

/// Gives every chunk of a file to `take`, with its offset in the file.
fn for_chunks(
    assembled: &Assembled<'_>,
    tables: &[Table],
    mut take: impl FnMut(Place, u64),
) -> Result<(), DownloadError> {
    let Assembled { file, runs } = assembled;
    let wrong = || DownloadError::content(file);
    let mut offset = 0;
    for run in *runs {
        for chunk in run.first..run.first + run.count {
            // The core has checked the runs against the index's packs, and those against their tables.
            let table = tables.get(run.pack as usize);
            let frame = table.and_then(|table| table.frames.get(chunk as usize)).ok_or_else(wrong)?;
            take(Place { pack: run.pack, chunk }, offset);
            offset += u64::from(frame.raw);
            if offset > file.size {
                return Err(wrong());
            }
        }
    }
    if offset == file.size { Ok(()) } else { Err(wrong()) }
}

#[cfg(test)]
mod tests {
    use bundle_core::chunk::ChunkHash;
    use bundle_core::digest::Digest;
    use bundle_core::pack::{Encoding, Frame, Run};
    use bundle_core::snapshot::File;

    use super::*;

    fn table(lengths: &[u32]) -> Table {
        let mut offset = 0_u64;
        let frame = |length: &u32| {
            let hash = ChunkHash::of(&offset.to_le_bytes());
            let frame = Frame { hash, offset, stored: *length, raw: *length, encoding: Encoding::Raw };
            offset = frame.end();
            frame
        };
        Table { frames: lengths.iter().map(frame).collect() }
    }

    fn file(size: u64) -> File {
        File { path: "x".parse().unwrap(), digest: Digest::EMPTY, size, executable: false }
    }

    #[test]
    fn every_place_of_a_chunk_is_found_and_taken_off() {
        let tables = [table(&[1, 2]), table(&[3, 4])];
        let run = |pack, first, count| Run { pack, first, count };
        let (two, one) = (file(13), file(3));
        let (runs_of_two, runs_of_one) = ([run(1, 0, 2), run(0, 0, 2), run(1, 0, 1)], [run(1, 0, 1)]);
        let files =
            [Assembled { file: &two, runs: &runs_of_two }, Assembled { file: &one, runs: &runs_of_one }];
        let mut wanted = Wanted::of(&files, &tables).unwrap();
        let place = |pack, chunk| Place { pack, chunk };
        let at = |chunk, file, offset| Destination { chunk, file, offset };
        let first = place(1, 0);
        assert_eq!(wanted.destinations(first), [at(first, 0, 0), at(first, 0, 10), at(first, 1, 0)]);
        assert!(wanted.chunks().eq([place(0, 0), place(0, 1), first, place(1, 1)]));
        assert_eq!(
            wanted.by_pack().iter().map(|(pack, all)| (*pack, all.len())).collect::<Vec<_>>(),
            [(0, 2), (1, 4)]
        );
        wanted.remove(&BTreeSet::from([first, place(0, 1)]));
        assert!(wanted.chunks().eq([place(0, 0), place(1, 1)]));
        assert!(wanted.destinations(first).is_empty());
        assert_eq!(wanted.files(), BTreeSet::from([0]));
    }

    #[test]
    fn chunks_that_do_not_add_up_are_refused() {
        let tables = [table(&[1, 2])];
        for (size, run) in [(4, (0, 0, 2)), (2, (0, 0, 2)), (3, (0, 0, 3)), (3, (1, 0, 2))] {
            let (file, (pack, first, count)) = (file(size), run);
            let runs = [Run { pack, first, count }];
            assert!(
                Wanted::of(&[Assembled { file: &file, runs: &runs }], &tables).is_err(),
                "{size} {run:?}"
            );
        }
    }
}

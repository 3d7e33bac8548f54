//! The chunks that are wanted of packs, and where their bytes go.
//!
//! A file is runs of chunks, and the same run may be needed again and again: what is kept is as much as the index says,
//! not as much as the files have.

use std::collections::BTreeSet;

use bundle_core::pack::table::{ChunkPosition, Table};

use super::Assembled;
use crate::transfer::DownloadError;

/// How many runs, or groups of them, make a group.
const GROUP: usize = 16;

/// One place in a file where the bytes of a chunk go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Destination {
    /// Which of the files.
    pub(super) file: usize,
    /// The first byte in it.
    pub(super) offset: u64,
}

/// Consecutive chunks of a pack that are a part of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Part {
    first: ChunkPosition,
    count: u32,
    /// Which of the files.
    file: u32,
    /// The offset in it of the first chunk's first byte.
    offset: u64,
}

impl Part {
    /// The place after its last chunk.
    fn end(&self) -> ChunkPosition {
        ChunkPosition { pack: self.first.pack, chunk: self.first.chunk + self.count }
    }
}

/// All that is wanted.
#[derive(Debug)]
pub(super) struct Wanted {
    /// In the order of their first chunks.
    parts: Vec<Part>,
    /// The furthest end in each group of parts, then of groups, and so on.
    reach: Vec<Vec<ChunkPosition>>,
    /// For each pack, the sum of the sizes of all chunks before each of its chunks.
    starts: Vec<Vec<u64>>,
    /// Chunks that are here already.
    given: BTreeSet<ChunkPosition>,
}

impl Wanted {
    /// Finds out where every chunk of `files` goes.
    ///
    /// # Errors
    ///
    /// Refuses a file whose chunks do not add up to its size.
    pub(super) fn of(files: &[Assembled<'_>], tables: &[Table]) -> Result<Self, DownloadError> {
        let starts: Vec<Vec<u64>> = tables.iter().map(starts).collect();
        let mut parts = Vec::with_capacity(files.iter().map(|file| file.runs.len()).sum());
        for (at, Assembled { file, runs }) in (0..).zip(files) {
            let wrong = || DownloadError::content(file);
            let mut offset = 0_u64;
            for run in *runs {
                let first = ChunkPosition { pack: run.pack, chunk: run.first };
                let part = Part { first, count: run.count, file: at, offset };
                // The core has checked the runs against the index's packs, and those against their tables.
                let length = length(&starts, &part).ok_or_else(wrong)?;
                offset = offset.checked_add(length).filter(|end| *end <= file.size).ok_or_else(wrong)?;
                parts.push(part);
            }
            if offset != file.size {
                return Err(wrong());
            }
        }
        parts.sort_unstable();
        Ok(Self { reach: reach(&parts), parts, starts, given: BTreeSet::new() })
    }

    pub(super) fn is_empty(&self) -> bool {
        self.parts.is_empty()
    }

    /// The files that something is wanted for.
    pub(super) fn files(&self) -> BTreeSet<usize> {
        let is_wanted = |part: &&Part| self.given.range(part.first..part.end()).count() < part.count as usize;
        self.parts.iter().filter(is_wanted).map(|part| part.file as usize).collect()
    }

    /// Each chunk that is wanted, once, in the order of the packs.
    pub(super) fn chunks(&self) -> impl Iterator<Item = ChunkPosition> {
        let mut next = ChunkPosition { pack: 0, chunk: 0 };
        let new = move |part: &Part| {
            let (from, end) = (next.max(part.first), part.end());
            next = next.max(end);
            (from.chunk..end.chunk).map(move |chunk| ChunkPosition { pack: from.pack, chunk })
        };
        self.parts.iter().flat_map(new).filter(|chunk| !self.given.contains(chunk))
    }

    /// Tells `take` every place where the bytes of a chunk go; there may be any number of them.
    pub(super) fn for_destinations<E>(
        &self,
        chunk: ChunkPosition,
        mut take: impl FnMut(Destination) -> Result<(), E>,
    ) -> Result<(), E> {
        let until = self.parts.partition_point(|part| part.first <= chunk);
        let Some(start) = self.start(chunk) else { return Ok(()) };
        let mut place = |part: &Part| match self.start(part.first) {
            Some(first) => {
                take(Destination { file: part.file as usize, offset: part.offset + start - first })
            }
            None => Ok(()),
        };
        self.look(self.reach.len(), 0, until, chunk, &mut place)
    }

    /// Gives the parts below a node that end after `chunk`, of those before `until`.
    fn look<E>(
        &self,
        level: usize,
        node: usize,
        until: usize,
        chunk: ChunkPosition,
        take: &mut dyn FnMut(&Part) -> Result<(), E>,
    ) -> Result<(), E> {
        let Some(below) = level.checked_sub(1) else {
            return match self.parts.get(node).filter(|part| node < until && part.end() > chunk) {
                Some(part) => take(part),
                None => Ok(()),
            };
        };
        if self.reach[below].get(node).is_none_or(|end| *end <= chunk) {
            return Ok(());
        }
        let width = GROUP.pow(u32::try_from(below).unwrap_or(u32::MAX));
        let children = (node * GROUP..(node + 1) * GROUP).take_while(|child| child * width < until);
        for child in children {
            self.look(below, child, until, chunk, take)?;
        }
        Ok(())
    }

    /// The sum of the sizes of all chunks of the pack before this one.
    fn start(&self, chunk: ChunkPosition) -> Option<u64> {
        self.starts.get(chunk.pack as usize)?.get(chunk.chunk as usize).copied()
    }

    /// Takes chunks off the list.
    pub(super) fn remove(&mut self, chunks: BTreeSet<ChunkPosition>) {
        self.given.extend(chunks);
    }

    /// The chunks that are wanted of each pack, with its number.
    pub(super) fn by_pack(&self) -> Vec<(u32, Vec<u32>)> {
        let mut packs: Vec<(u32, Vec<u32>)> = Vec::new();
        for ChunkPosition { pack, chunk } in self.chunks() {
            match packs.last_mut() {
                Some((last, chunks)) if *last == pack => chunks.push(chunk),
                _ => packs.push((pack, vec![chunk])),
            }
        }
        packs
    }
}

fn starts(table: &Table) -> Vec<u64> {
    let mut end = 0;
    let ends = table.frames.iter().map(|frame| {
        end += u64::from(frame.raw);
        end
    });
    std::iter::once(0).chain(ends).collect()
}

/// How many bytes a part has; nothing where there are no such chunks.
fn length(starts: &[Vec<u64>], part: &Part) -> Option<u64> {
    let starts = starts.get(part.first.pack as usize)?;
    let end = part.first.chunk.checked_add(part.count)?;
    Some(starts.get(end as usize)? - starts.get(part.first.chunk as usize)?)
}

/// The furthest ends, from the smallest groups to the one of all.
fn reach(parts: &[Part]) -> Vec<Vec<ChunkPosition>> {
    let furthest = |ends: &mut dyn Iterator<Item = ChunkPosition>| ends.max();
    let mut levels: Vec<Vec<ChunkPosition>> =
        vec![parts.chunks(GROUP).filter_map(|group| furthest(&mut group.iter().map(Part::end))).collect()];
    while let Some(last) = levels.last().filter(|last| last.len() > 1) {
        levels.push(last.chunks(GROUP).filter_map(|group| furthest(&mut group.iter().copied())).collect());
    }
    levels
}

#[cfg(test)]
mod tests {
    use bundle_core::digest::Digest;
    use bundle_core::file::File;
    use bundle_core::pack::chunk::ChunkHash;
    use bundle_core::pack::table::{Encoding, Frame, Run};

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
        File { path: "x".parse().unwrap(), digest: Digest::EMPTY, size, executable: Some(false) }
    }

    fn destinations(wanted: &Wanted, chunk: ChunkPosition) -> Vec<(usize, u64)> {
        let mut found = Vec::new();
        let take = |Destination { file, offset }| {
            found.push((file, offset));
            Ok::<_, ()>(())
        };
        wanted.for_destinations(chunk, take).unwrap();
        found.sort_unstable();
        found
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
        let place = |pack, chunk| ChunkPosition { pack, chunk };
        let first = place(1, 0);
        assert_eq!(destinations(&wanted, first), [(0, 0), (0, 10), (1, 0)]);
        assert_eq!(destinations(&wanted, place(1, 1)), [(0, 3)]);
        assert_eq!(destinations(&wanted, place(0, 1)), [(0, 8)]);
        assert!(wanted.chunks().eq([place(0, 0), place(0, 1), first, place(1, 1)]));
        assert_eq!(wanted.by_pack(), [(0, vec![0, 1]), (1, vec![0, 1])]);
        wanted.remove(BTreeSet::from([first, place(0, 1)]));
        assert!(wanted.chunks().eq([place(0, 0), place(1, 1)]));
        assert_eq!(wanted.files(), BTreeSet::from([0]));
    }

    #[test]
    fn runs_that_overlap_in_any_way_are_all_found() {
        let lengths: Vec<u32> = (1..=50).collect();
        let tables = [table(&[9]), table(&lengths), table(&[9])];
        // Pseudo-random, and long and short ones among each other.
        let run = |at: u32| {
            let first = at * 37 % 50;
            Run { pack: 1, first, count: 1 + at * 11 % (50 - first) }
        };
        let runs: Vec<Run> = (0..700).map(run).collect();
        let size = |run: &Run| (run.first..run.first + run.count).map(|at| u64::from(at + 1)).sum::<u64>();
        let whole = file(runs.iter().map(size).sum());
        let wanted = Wanted::of(&[Assembled { file: &whole, runs: &runs }], &tables).unwrap();
        for chunk in 0..50 {
            let (mut expected, mut offset) = (Vec::new(), 0);
            for run in &runs {
                for at in run.first..run.first + run.count {
                    if at == chunk {
                        expected.push((0, offset));
                    }
                    offset += u64::from(at + 1);
                }
            }
            assert_eq!(destinations(&wanted, ChunkPosition { pack: 1, chunk }), expected, "{chunk}");
        }
        assert!(destinations(&wanted, ChunkPosition { pack: 0, chunk: 0 }).is_empty());
        assert!(destinations(&wanted, ChunkPosition { pack: 2, chunk: 0 }).is_empty());
    }

    #[test]
    fn chunks_that_do_not_add_up_are_refused() {
        let tables = [table(&[1, 2])];
        for (size, run) in
            [(4, (0, 0, 2)), (2, (0, 0, 2)), (3, (0, 0, 3)), (3, (1, 0, 2)), (3, (0, 1, u32::MAX))]
        {
            let (file, (pack, first, count)) = (file(size), run);
            let runs = [Run { pack, first, count }];
            assert!(
                Wanted::of(&[Assembled { file: &file, runs: &runs }], &tables).is_err(),
                "{size} {run:?}"
            );
        }
    }
}

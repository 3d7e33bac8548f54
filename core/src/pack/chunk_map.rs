//! Where the files of a bundle lie in its packs.

use std::collections::BTreeMap;

use thiserror::Error;

use crate::file::{ByPath, File, TreeError};
use crate::name::path::BundlePath;
use crate::pack::chunk::ChunkHash;
use crate::pack::table::{ChunkPosition, Pack, Run, Table};

/// The packs of a bundle, and which of their chunks each of its files is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ChunkMap {
    /// The packs.
    pub packs: Vec<Pack>,
    runs: Vec<Run>,
    /// Where the runs of each file end.
    ends: Vec<u32>,
}

impl ChunkMap {
    /// No files yet, in these packs.
    pub fn new(packs: Vec<Pack>) -> Self {
        Self { packs, runs: Vec::new(), ends: Vec::new() }
    }

    /// That of so many files which lie in no packs.
    pub fn of_blobs(files: usize) -> Self {
        Self { ends: vec![0; files], ..Self::default() }
    }

    /// Files in any order, each with its runs of chunks in `packs`.
    pub fn of_placed(
        mut placed: Vec<(File, Vec<Run>)>,
        packs: Vec<Pack>,
    ) -> Result<(ByPath<File>, Self), PlacedError> {
        placed.sort_by(|(a, _), (b, _)| a.path.cmp(&b.path));
        let (mut files, mut chunk_map) = (Vec::with_capacity(placed.len()), Self::new(packs));
        for (file, runs) in placed {
            if runs.iter().any(|run| run.pack as usize >= chunk_map.packs.len()) {
                return Err(PlacedError::NoPack { path: file.path });
            }
            chunk_map.push(&runs);
            files.push(file);
        }
        Ok((ByPath::tree(files)?, chunk_map))
    }

    /// Adds the next file.
    pub fn push(&mut self, runs: &[Run]) {
        self.runs.extend_from_slice(runs);
        // As many runs fit into no index that is read.
        self.ends.push(self.runs.len() as u32);
    }

    /// How many files were added.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether none was.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// The chunks that the file at this place is, which is an empty list for an empty file; `None` where no file was
    /// added as this one.
    pub fn runs(&self, at: usize) -> Option<&[Run]> {
        let end = |at: usize| self.ends.get(at).map(|end| *end as usize);
        let start = match at.checked_sub(1) {
            Some(before) => end(before)?,
            None => 0,
        };
        self.runs.get(start..end(at)?)
    }

    /// Each of `files` with its chunks; `None` where those are not the files that were added, by their number.
    pub fn of_files<'a>(&'a self, files: &'a ByPath<File>) -> Option<Vec<(&'a File, &'a [Run])>> {
        if files.len() != self.len() {
            return None;
        }
        files.iter().enumerate().map(|(at, file)| Some((file, self.runs(at)?))).collect()
    }

    /// Leaves out the packs that no file needs, and numbers the others anew.
    #[must_use]
    pub fn compact(self) -> Self {
        let mut is_used = vec![false; self.packs.len()];
        for run in &self.runs {
            is_used.get_mut(run.pack as usize).into_iter().for_each(|is_used| *is_used = true);
        }
        let mut numbers = Vec::with_capacity(self.packs.len());
        let mut next = 0;
        for is_used in &is_used {
            numbers.push(next);
            next += u32::from(*is_used);
        }
        let packs = self.packs.into_iter().zip(&is_used).filter(|(_, is_used)| **is_used);
        // A run of no pack stays one, which whoever reads it refuses.
        let number = |pack: u32| numbers.get(pack as usize).copied().unwrap_or(u32::MAX);
        let renumbered = |run: Run| Run { pack: number(run.pack), ..run };
        Self {
            packs: packs.map(|(pack, _)| pack).collect(),
            runs: self.runs.into_iter().map(renumbered).collect(),
            ends: self.ends,
        }
    }

    /// How much of each pack its files need, given the packs' tables: bytes of frames, each counted once.
    pub fn used(&self, tables: &[Table]) -> Vec<u64> {
        let mut needed: Vec<Vec<bool>> = tables.iter().map(|table| vec![false; table.frames.len()]).collect();
        for run in &self.runs {
            let chunks = run.first as usize..(run.first + run.count) as usize;
            if let Some(needed) = needed.get_mut(run.pack as usize).and_then(|pack| pack.get_mut(chunks)) {
                needed.fill(true);
            }
        }
        let used = |(table, needed): (&Table, &Vec<bool>)| {
            let frames = table.frames.iter().zip(needed).filter(|(_, is_needed)| **is_needed);
            frames.map(|(frame, _)| u64::from(frame.stored)).sum()
        };
        tables.iter().zip(&needed).map(used).collect()
    }
}

/// Why files cannot be placed in packs.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum PlacedError {
    /// The chunks of a file are said to be in a pack that there is not.
    #[error("the chunks of `{path}` are in no pack")]
    NoPack {
        /// The file.
        path: BundlePath,
    },
    /// The files are no tree.
    #[error(transparent)]
    Tree(#[from] TreeError),
}

/// Every chunk of some packs, by its hash.
#[derive(Clone, Debug, Default)]
pub struct KnownChunks {
    sorted: Vec<(ChunkHash, ChunkPosition)>,
}

impl KnownChunks {
    /// The chunks of the packs with these numbers and tables.
    pub fn of<'a>(packs: impl IntoIterator<Item = (u32, &'a Table)>) -> Self {
        let mut sorted = Vec::new();
        for (pack, table) in packs {
            let place = |(at, frame): (usize, &crate::pack::table::Frame)| {
                // A table has at most `MAX_PACK_CHUNKS`.
                (frame.hash, ChunkPosition { pack, chunk: at as u32 })
            };
            sorted.extend(table.frames.iter().enumerate().map(place));
        }
        // Of two places of one chunk the first counts, on every machine.
        sorted.sort_unstable();
        sorted.dedup_by_key(|(hash, _)| *hash);
        Self { sorted }
    }

    /// Where a chunk is.
    pub fn find(&self, hash: &ChunkHash) -> Option<ChunkPosition> {
        let at = self.sorted.binary_search_by(|(known, _)| known.cmp(hash)).ok()?;
        self.sorted.get(at).map(|(_, place)| *place)
    }
}

/// Where a push has put its new chunks.
///
/// A file may have millions of chunks, so of each only the start of its hash is kept; the rest is in the tables of the
/// packs.
#[derive(Debug, Default)]
pub struct ChunkPositions(BTreeMap<u64, ChunkPosition>);

impl ChunkPositions {
    /// Where a chunk is; `hash_at` knows the hash of the chunk at a place.
    pub fn find(
        &self,
        hash: &ChunkHash,
        hash_at: impl Fn(ChunkPosition) -> Option<ChunkHash>,
    ) -> Option<ChunkPosition> {
        let place = *self.0.get(&start(hash))?;
        (hash_at(place)? == *hash).then_some(place)
    }

    /// Remembers where a new chunk was put. One whose hash starts as that of another one is not found again, which
    /// is not wrong.
    pub fn add(&mut self, hash: &ChunkHash, place: ChunkPosition) {
        self.0.entry(start(hash)).or_insert(place);
    }
}

fn start(hash: &ChunkHash) -> u64 {
    let (start, _) = hash.as_bytes().split_first_chunk().unwrap_or((&[0; 8], &[]));
    u64::from_be_bytes(*start)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::digest::Digest;
    use crate::pack::table::{Encoding, Frame, TableRef};

    fn hash(name: u8) -> ChunkHash {
        ChunkHash::from_bytes([name; 32])
    }

    fn pack(name: &str) -> Pack {
        let digest = Digest::of(name.as_bytes());
        Pack { digest, size: 2, chunks: 9, raw: 9, toc: TableRef { offset: 1, size: 1, digest } }
    }

    fn table(chunks: &[(u8, u32)]) -> Table {
        let mut offset = 0;
        let frame = |(name, stored): &(u8, u32)| {
            let frame =
                Frame { hash: hash(*name), offset, stored: *stored, raw: *stored, encoding: Encoding::Raw };
            offset = frame.end();
            frame
        };
        Table { frames: chunks.iter().map(frame).collect() }
    }

    #[test]
    fn placed_files_keep_their_chunks_when_they_are_sorted() {
        let file = |path: &str| File {
            path: path.parse().unwrap(),
            digest: Digest::EMPTY,
            size: 1,
            executable: None,
        };
        let run = |pack, first| Run { pack, first, count: 1 };
        let placed = vec![(file("b"), vec![run(0, 1)]), (file("a"), vec![run(0, 0), run(0, 2)])];
        let (files, chunk_map) = ChunkMap::of_placed(placed, vec![pack("p")]).unwrap();
        assert_eq!(files.iter().map(|file| file.path.as_str()).collect::<Vec<_>>(), ["a", "b"]);
        assert_eq!(chunk_map.runs(0), Some(&[run(0, 0), run(0, 2)][..]));
        assert_eq!(chunk_map.runs(1), Some(&[run(0, 1)][..]));
        let in_no_pack = ChunkMap::of_placed(vec![(file("a"), vec![run(1, 0)])], vec![pack("p")]);
        assert!(matches!(in_no_pack, Err(PlacedError::NoPack { path }) if path.as_str() == "a"));
        let twice = ChunkMap::of_placed(vec![(file("a"), vec![]), (file("a"), vec![])], vec![]);
        assert!(matches!(twice, Err(PlacedError::Tree(TreeError::Repeated(_)))));
    }

    #[test]
    fn packs_that_nobody_needs_are_left_out() {
        let mut chunk_map = ChunkMap::new(vec![pack("a"), pack("b"), pack("c")]);
        let run = |pack, first| Run { pack, first, count: 1 };
        chunk_map.push(&[run(2, 0), run(0, 3)]);
        chunk_map.push(&[]);
        chunk_map.push(&[run(2, 5)]);
        let compact = chunk_map.compact();
        assert_eq!(compact.packs, [pack("a"), pack("c")]);
        let runs: Vec<_> = (0..3).map(|at| compact.runs(at).unwrap().to_vec()).collect();
        assert_eq!(runs, [vec![run(1, 0), run(0, 3)], vec![], vec![run(1, 5)]]);
        assert_eq!(compact.runs(3), None);
    }

    #[test]
    fn files_that_were_not_added_have_no_chunks_at_all() {
        let file = |path: &str| File {
            path: path.parse().unwrap(),
            digest: Digest::of(path.as_bytes()),
            size: 1,
            executable: Some(false),
        };
        let files = ByPath::new(vec![file("a"), file("b")]).unwrap();
        let mut chunk_map = ChunkMap::new(vec![pack("a")]);
        assert_eq!((chunk_map.runs(0), chunk_map.of_files(&files)), (None, None));
        let runs = [Run { pack: 0, first: 0, count: 1 }];
        chunk_map.push(&runs);
        assert_eq!(
            (chunk_map.runs(0), chunk_map.runs(1), chunk_map.of_files(&files)),
            (Some(&runs[..]), None, None)
        );
        chunk_map.push(&[]);
        let placed = chunk_map.of_files(&files).unwrap();
        assert_eq!(placed.iter().map(|(_, runs)| runs.len()).collect::<Vec<_>>(), [1, 0]);
        chunk_map.push(&runs);
        assert_eq!(chunk_map.of_files(&files), None);
    }

    #[test]
    fn what_is_used_is_counted_once() {
        let tables = [table(&[(1, 10), (2, 20), (3, 30)]), table(&[(4, 5)])];
        let mut chunk_map = ChunkMap::new(vec![pack("a"), pack("b")]);
        chunk_map.push(&[Run { pack: 0, first: 0, count: 2 }]);
        chunk_map.push(&[Run { pack: 0, first: 1, count: 1 }]);
        assert_eq!(chunk_map.used(&tables), [30, 0]);
    }

    #[test]
    fn a_chunk_is_found_where_it_is_first() {
        let (one, other) = (table(&[(1, 1), (2, 1), (1, 1)]), table(&[(2, 1), (3, 1)]));
        let known = KnownChunks::of([(0, &one), (1, &other)]);
        let place = |pack, chunk| Some(ChunkPosition { pack, chunk });
        assert_eq!(
            [1, 2, 3, 4].map(|name| known.find(&hash(name))),
            [place(0, 0), place(0, 1), place(1, 1), None]
        );
    }

    #[test]
    fn a_new_chunk_is_found_by_all_of_its_hash() {
        let twin = |last: u8| {
            let mut bytes = [7; 32];
            bytes[31] = last;
            ChunkHash::from_bytes(bytes)
        };
        let hashes = [hash(1), twin(1), twin(2)];
        let mut places = ChunkPositions::default();
        for (chunk, hash) in (0..).zip(&hashes) {
            places.add(hash, ChunkPosition { pack: 5, chunk });
        }
        let find = |hash| places.find(&hash, |place| hashes.get(place.chunk as usize).copied());
        let place = |chunk| Some(ChunkPosition { pack: 5, chunk });
        assert_eq!([hash(1), hash(2), twin(1), twin(2)].map(find), [place(0), None, place(1), None]);
    }
}

//! Files that are hashed from their chunks as these come by, in whatever order that is.
//!
//! Each file waits for its next chunk. One that comes before its turn is not kept: the file asks for it once more, in
//! a later round. So nothing of a file is held but the state of its hash.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use bundle_core::digest::Hasher;
use bundle_core::file::{ByPath, File};
use bundle_core::name::path::BundlePath;
use bundle_core::pack::chunk_map::ChunkMap;
use bundle_core::pack::table::{ChunkPosition, Run};
use rayon::prelude::*;

use super::{Fault, FaultKind};

/// A chunk that came by: which of its pack's it is, and its bytes where they are right.
pub(super) type Chunk<'a> = (u32, Option<Cow<'a, [u8]>>);

/// All files of a bundle in layout `packed`.
pub(super) struct Contents<'a> {
    files: &'a ByPath<File>,
    chunk_map: &'a ChunkMap,
    /// Those that are not hashed to their end, by the chunk that each needs next.
    waiting: BTreeMap<ChunkPosition, Vec<Partial>>,
    /// Chunks that are not what they should be, or did not come.
    bad: BTreeSet<ChunkPosition>,
    /// How many chunks have come of each pack, from its first one on.
    seen: Vec<u32>,
    faults: Vec<Fault>,
    finished: u64,
}

/// A file of which something has been hashed, or nothing yet.
struct Partial {
    /// Which of the files.
    file: usize,
    /// Of which of its runs the next chunk is.
    run: usize,
    /// Which of that run's it is.
    chunk: u32,
    /// Of what came; there is none before the first chunk, because most files are still to begin.
    hasher: Option<Box<Hasher>>,
}

/// A file, and the chunks of a batch that follow on what was hashed of it.
struct Fed {
    partial: Partial,
    chunks: Vec<usize>,
}

impl<'a> Contents<'a> {
    /// The files, of which those are left out that need a pack which is not `readable`.
    pub(super) fn of(files: &'a ByPath<File>, chunk_map: &'a ChunkMap, readable: &[bool]) -> Self {
        let mut contents = Self {
            files,
            chunk_map,
            waiting: BTreeMap::new(),
            bad: BTreeSet::new(),
            seen: vec![0; chunk_map.packs.len()],
            faults: Vec::new(),
            finished: 0,
        };
        for (at, file) in files.iter().enumerate() {
            // Whether each of its packs is readable; none where a chunk is in no pack.
            let packs = |runs: &[Run]| {
                runs.iter().map(|run| readable.get(run.pack as usize).copied()).collect::<Option<Vec<bool>>>()
            };
            match chunk_map.runs(at).and_then(packs) {
                Some(readable) if readable.iter().all(|is_readable| *is_readable) => {
                    contents.go_on(Partial { file: at, run: 0, chunk: 0, hasher: None });
                }
                // What is wrong with the pack is told with it.
                Some(_) => {}
                None => contents.fault(file, "the index does not say where its chunks are".to_owned()),
            }
        }
        contents
    }

    /// Takes the next chunks of a pack, in its order.
    pub(super) fn take(&mut self, pack: u32, chunks: &[Chunk<'_>]) {
        let mut fed = Vec::new();
        // Files that need a later chunk of these too.
        let mut following: BTreeMap<u32, Vec<Fed>> = BTreeMap::new();
        for (at, (chunk, content)) in chunks.iter().enumerate() {
            let place = ChunkPosition { pack, chunk: *chunk };
            self.come(place);
            let new = self.waiting.remove(&place).unwrap_or_default().into_iter();
            let takers = new.map(|partial| Fed { partial, chunks: Vec::new() });
            let takers = takers.chain(following.remove(chunk).unwrap_or_default());
            if content.is_none() {
                // No file that needs it can be right.
                takers.for_each(drop);
                self.bad.insert(place);
                continue;
            }
            for mut taker in takers {
                while taker.partial.next(self.chunk_map) == Some(place) {
                    taker.chunks.push(at);
                    taker.partial.advance(self.chunk_map);
                }
                match taker.partial.next(self.chunk_map) {
                    Some(next) if next.pack == pack && next.chunk > *chunk => {
                        following.entry(next.chunk).or_default().push(taker);
                    }
                    _ => fed.push(taker),
                }
            }
        }
        fed.extend(following.into_values().flatten());
        let partials: Vec<Partial> = fed.into_par_iter().map(|fed| fed.hash(chunks)).collect();
        partials.into_iter().for_each(|partial| self.go_on(partial));
    }

    fn come(&mut self, place: ChunkPosition) {
        if let Some(seen) = self.seen.get_mut(place.pack as usize) {
            *seen = (*seen).max(place.chunk + 1);
        }
    }

    /// Has a file wait for its next chunk, or ends it.
    fn go_on(&mut self, partial: Partial) {
        match partial.next(self.chunk_map) {
            Some(next) if self.bad.contains(&next) => {}
            Some(next) => self.waiting.entry(next).or_default().push(partial),
            None => self.finish(partial),
        }
    }

    fn finish(&mut self, partial: Partial) {
        let (file, hasher) = (&self.files[partial.file], partial.hasher.unwrap_or_default());
        let (length, actual) = (hasher.length(), hasher.finish());
        self.finished += 1;
        let message = if length != file.size {
            format!("its chunks have {length} bytes, the index says {}", file.size)
        } else if actual != file.digest {
            format!("its chunks are {actual}, the index says {}", file.digest)
        } else {
            return;
        };
        self.fault(file, message);
    }

    fn fault(&mut self, file: &File, message: String) {
        let (what, paths) = (format!("file {}", file.path), vec![file.path.clone()]);
        self.faults.push(Fault { kind: FaultKind::File, what, message, paths });
    }

    /// Puts down that nothing more of a pack comes, which should have had `chunks`; says how many came.
    pub(super) fn end_pack(&mut self, pack: u32, chunks: u32) -> u32 {
        let seen = self.seen.get(pack as usize).copied().unwrap_or_default();
        self.bad.extend((seen..chunks).map(|chunk| ChunkPosition { pack, chunk }));
        seen
    }

    /// The chunks of each pack that must come once more, sorted.
    pub(super) fn wanted(&mut self) -> BTreeMap<u32, BTreeSet<u32>> {
        let bad = &self.bad;
        self.waiting.retain(|place, _| !bad.contains(place));
        let mut wanted: BTreeMap<u32, BTreeSet<u32>> = BTreeMap::new();
        for (place, partials) in &self.waiting {
            let chunks = wanted.entry(place.pack).or_default();
            for partial in partials {
                partial.ahead(self.chunk_map, |chunk| _ = chunks.insert(chunk));
            }
        }
        wanted
    }

    /// The chunks of a pack that are not what they should be.
    pub(super) fn bad_chunks(&self, pack: u32) -> Vec<u32> {
        let range = ChunkPosition { pack, chunk: 0 }..=ChunkPosition { pack, chunk: u32::MAX };
        self.bad.range(range).map(|place| place.chunk).collect()
    }

    /// The files that need a chunk of a pack that is not what it should be.
    pub(super) fn spoilt(&self, pack: u32) -> Vec<BundlePath> {
        let is_bad = |run: &Run| {
            let place = |chunk| ChunkPosition { pack, chunk };
            run.pack == pack
                && self.bad.range(place(run.first)..place(run.first + run.count)).next().is_some()
        };
        paths(self.files, self.chunk_map, is_bad)
    }

    /// The files that were hashed to their end and are wrong, and how many were.
    pub(super) fn finished(mut self) -> (Vec<Fault>, u64) {
        self.faults.sort_by(|a, b| a.paths.cmp(&b.paths));
        (self.faults, self.finished)
    }
}

/// The files of which one run at least is `meant`, in their order.
pub(super) fn paths(
    files: &ByPath<File>,
    chunk_map: &ChunkMap,
    meant: impl Fn(&Run) -> bool,
) -> Vec<BundlePath> {
    let is_meant = |at: &usize| chunk_map.runs(*at).is_some_and(|runs| runs.iter().any(&meant));
    (0..files.len()).filter(is_meant).map(|at| files[at].path.clone()).collect()
}

impl Partial {
    /// The next chunk.
    fn next(&self, chunk_map: &ChunkMap) -> Option<ChunkPosition> {
        let run = chunk_map.runs(self.file)?.get(self.run)?;
        Some(ChunkPosition { pack: run.pack, chunk: run.first + self.chunk })
    }

    fn advance(&mut self, chunk_map: &ChunkMap) {
        self.chunk += 1;
        let run = chunk_map.runs(self.file).and_then(|runs| runs.get(self.run));
        if run.is_some_and(|run| self.chunk == run.count) {
            (self.run, self.chunk) = (self.run + 1, 0);
        }
    }

    /// Names the next chunks that one reading of their pack gives in the right order.
    fn ahead(&self, chunk_map: &ChunkMap, mut name: impl FnMut(u32)) {
        let (mut skipped, mut last) = (self.chunk, None);
        let runs = chunk_map.runs(self.file).and_then(|runs| runs.get(self.run..));
        for run in runs.into_iter().flatten() {
            let (pack, end) = last.unwrap_or((run.pack, 0));
            if run.pack != pack || run.first < end {
                return;
            }
            (run.first + skipped..run.first + run.count).for_each(&mut name);
            (skipped, last) = (0, Some((pack, run.first + run.count)));
        }
    }
}

impl Fed {
    fn hash(mut self, chunks: &[Chunk<'_>]) -> Partial {
        let hasher = self.partial.hasher.get_or_insert_default();
        for at in self.chunks {
            if let Some((_, Some(content))) = chunks.get(at) {
                hasher.update(content);
            }
        }
        self.partial
    }
}

#[cfg(test)]
mod tests {
    use bundle_core::digest::Digest;
    use bundle_core::pack::table::{Pack, TableRef};

    use super::*;

    /// A file whose runs are those, of packs in which chunk `c` of pack `p` is the text `p.c;`.
    fn file(path: &str, runs: &[[u32; 3]]) -> (File, Vec<Run>) {
        let runs: Vec<Run> = runs.iter().copied().map(Run::from).collect();
        let chunks = runs.iter().flat_map(|run| (run.first..run.first + run.count).map(|at| (run.pack, at)));
        let content: String = chunks.map(|(pack, chunk)| format!("{pack}.{chunk};")).collect();
        let (digest, size) = (Digest::of(content.as_bytes()), content.len() as u64);
        (File { path: path.parse().unwrap(), digest, size, executable: Some(false) }, runs)
    }

    fn placed(files: Vec<(File, Vec<Run>)>) -> (ByPath<File>, ChunkMap) {
        let toc = TableRef { offset: 1, size: 1, digest: Digest::EMPTY };
        let pack = Pack { digest: Digest::EMPTY, size: 2, chunks: 5, raw: 5, toc };
        let mut chunk_map = ChunkMap::new(vec![pack; 3]);
        let files = files.into_iter().map(|(file, runs)| {
            chunk_map.push(&runs);
            file
        });
        (ByPath::new(files.collect()).unwrap(), chunk_map)
    }

    fn chunks<'a>(pack: u32, which: impl IntoIterator<Item = u32>, bad: &[ChunkPosition]) -> Vec<Chunk<'a>> {
        let content = |chunk| Some(Cow::Owned(format!("{pack}.{chunk};").into_bytes()));
        let chunk = |chunk| (chunk, content(chunk).filter(|_| !bad.contains(&ChunkPosition { pack, chunk })));
        which.into_iter().map(chunk).collect()
    }

    /// Passes every pack by, in batches of two chunks, then what is still wanted; says how often that was.
    fn pass_all(contents: &mut Contents<'_>, bad: &[ChunkPosition]) -> usize {
        for pack in 0..3 {
            for batch in chunks(pack, 0..5, bad).chunks(2) {
                contents.take(pack, batch);
            }
            assert_eq!(contents.end_pack(pack, 5), 5);
        }
        let mut rounds = 0;
        loop {
            let wanted = contents.wanted();
            if wanted.is_empty() {
                return rounds;
            }
            for (pack, which) in wanted {
                contents.take(pack, &chunks(pack, which, bad));
            }
            rounds += 1;
        }
    }

    #[test]
    fn files_are_hashed_in_whatever_order_their_chunks_come() {
        for (runs, rounds) in [
            (&[][..], 0),
            (&[[0, 0, 5]], 0),
            (&[[0, 2, 3], [1, 0, 5], [2, 0, 1]], 0),
            (&[[0, 1, 1], [0, 1, 1], [0, 1, 1], [0, 3, 1]], 0),
            (&[[0, 0, 2], [1, 0, 1], [0, 3, 2]], 1),
            (&[[2, 4, 1], [1, 1, 2], [1, 4, 1], [0, 0, 5]], 2),
            (&[[0, 4, 1], [0, 3, 1], [0, 2, 1]], 2),
        ] {
            let (files, chunk_map) = placed(vec![file("a", runs), file("b", &[[1, 3, 1]])]);
            let mut contents = Contents::of(&files, &chunk_map, &[true; 3]);
            assert_eq!(pass_all(&mut contents, &[]), rounds, "{runs:?}");
            assert_eq!(contents.finished(), (Vec::new(), 2), "{runs:?}");
        }
    }

    #[test]
    fn what_is_wrong_names_its_files() {
        let (mut wrong, runs) = file("wrong", &[[0, 0, 1]]);
        wrong.digest = Digest::of(b"other");
        let (files, chunk_map) = placed(vec![
            file("back", &[[1, 0, 1], [0, 3, 2]]),
            file("far", &[[2, 0, 1]]),
            file("good", &[[0, 0, 2]]),
            file("through", &[[0, 1, 3]]),
            (wrong, runs),
        ]);
        let mut contents = Contents::of(&files, &chunk_map, &[true, true, false]);
        pass_all(&mut contents, &[ChunkPosition { pack: 0, chunk: 3 }]);
        assert_eq!(contents.bad_chunks(0), [3]);
        assert!(contents.bad_chunks(1).is_empty());
        let names = |paths: Vec<BundlePath>| paths.iter().map(ToString::to_string).collect::<Vec<_>>();
        assert_eq!(names(contents.spoilt(0)), ["back", "through"]);
        let (faults, finished) = contents.finished();
        assert_eq!(finished, 2);
        assert_eq!(faults.iter().map(|fault| fault.what.as_str()).collect::<Vec<_>>(), ["file wrong"]);
    }

    #[test]
    fn a_file_without_a_location_is_not_passed_over() {
        let (files, mut chunk_map) = placed(vec![file("a", &[[0, 0, 1]]), file("nowhere", &[[7, 0, 1]])]);
        let faults = |chunk_map: &ChunkMap| {
            let mut contents = Contents::of(&files, chunk_map, &[true; 3]);
            pass_all(&mut contents, &[]);
            let (faults, _) = contents.finished();
            faults.iter().map(|fault| fault.what.clone()).collect::<Vec<_>>()
        };
        assert_eq!(faults(&chunk_map), ["file nowhere"]);
        chunk_map = ChunkMap::new(chunk_map.packs);
        assert_eq!(faults(&chunk_map), ["file a", "file nowhere"]);
    }

    #[test]
    fn chunks_that_did_not_come_are_bad() {
        let (files, chunk_map) = placed(vec![file("a", &[[0, 0, 2]]), file("b", &[[0, 2, 2]])]);
        let mut contents = Contents::of(&files, &chunk_map, &[true; 3]);
        contents.take(0, &chunks(0, 0..3, &[]));
        assert_eq!(contents.end_pack(0, 5), 3);
        assert!(contents.wanted().is_empty());
        assert_eq!((contents.bad_chunks(0), contents.spoilt(0)), (vec![3, 4], vec!["b".parse().unwrap()]));
        assert_eq!(contents.finished(), (Vec::new(), 1));
    }
}

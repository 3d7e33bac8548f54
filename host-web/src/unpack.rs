//! The files of a packed bundle, put together from their chunks: the page reads slices of packs, this decodes and
//! hashes them. A file is verified by its own digest, so nothing of a pack has to be believed.

use std::collections::VecDeque;

use bundle_core::bundle::index::Entry;
use bundle_core::digest::{Digest, Hasher};
use bundle_core::pack::table::{Frame, Run, Table, TableError};
use thiserror::Error;

use crate::bundle::Bundle;
use crate::view::{Content, PackSlice};

/// The most that is read of a pack at a time, in bytes; no frame has more.
const SLICE_BYTES: u64 = 4 << 20;

/// The files that are to be put together, those of one pack after the other, and the one that is on its way.
#[derive(Debug, Default)]
pub(crate) struct Unpacking {
    waiting: VecDeque<usize>,
    current: Option<FileUnpacking>,
}

/// A file on its way out of its packs.
///
/// Its chunks are looked up as they are needed: a hostile index can name more of them than fit into memory.
#[derive(Debug)]
struct FileUnpacking {
    /// Its position among the index's entries.
    file: usize,
    /// How many of its runs are done.
    runs: usize,
    /// How many chunks of the next run are done.
    chunks: usize,
    /// What has been hashed so far; nothing once a chunk could not be decoded.
    hasher: Option<Hasher>,
}

impl Unpacking {
    /// The files of `bundle` whose bytes have not been seen, and whose packs have. An empty file needs none.
    pub(crate) fn of(bundle: &Bundle) -> Self {
        let is_open = |run: &Run| matches!(bundle.tables.get(run.pack as usize), Some(Some(_)));
        let is_here = |entry: &Entry| {
            entry.file.size == 0 || (!entry.runs.is_empty() && entry.runs.iter().all(is_open))
        };
        let unseen = bundle.entries().enumerate().filter(|(_, (_, content))| *content == Content::Unseen);
        let mut files: Vec<_> = unseen
            .filter(|(_, (entry, _))| is_here(entry))
            .map(|(at, (entry, _))| (entry.runs.first().map(|run| (run.pack, run.first)), at))
            .collect();
        files.sort_unstable();
        Self { waiting: files.into_iter().map(|(_, at)| at).collect(), current: None }
    }

    /// Turns to the next file; false where none is left.
    pub(crate) fn turn_to_next(&mut self) -> bool {
        let start = |file| FileUnpacking { file, runs: 0, chunks: 0, hasher: Some(Hasher::new()) };
        self.current = self.waiting.pop_front().map(start);
        self.current.is_some()
    }

    /// The bytes that the file needs next; nothing once it has all, or cannot be decoded.
    pub(crate) fn next_slice(&self, bundle: &Bundle) -> Option<PackSlice> {
        let file = self.current.as_ref()?;
        file.hasher.as_ref()?;
        let (pack, frames) = file.next_frames(bundle)?;
        let offset = frames.first()?.offset;
        Some(PackSlice { pack, offset, size: frames.last()?.end() - offset })
    }

    /// Takes the bytes of [`next_slice`](Self::next_slice).
    pub(crate) fn take(&mut self, bundle: &Bundle, bytes: &[u8]) {
        if let Some(file) = &mut self.current {
            file.take(bundle, bytes);
        }
    }

    /// The file, and digest and size of what it turned out to hold where all of it could be decoded.
    pub(crate) fn finish(&mut self) -> Option<(usize, Option<(Digest, u64)>)> {
        let FileUnpacking { file, hasher, .. } = self.current.take()?;
        Some((file, hasher.map(|hasher| (hasher.length(), hasher.finish())).map(|(size, of)| (of, size))))
    }
}

impl FileUnpacking {
    /// The pack and the frames that come next: some neighbours.
    fn next_frames<'a>(&self, bundle: &'a Bundle) -> Option<(u32, &'a [Frame])> {
        let run = bundle.index.entries.get(self.file)?.runs.get(self.runs)?;
        let table = bundle.tables.get(run.pack as usize)?.as_ref()?;
        let first = run.first as usize;
        let frames = table.frames.get(first + self.chunks..first + run.count as usize)?;
        let start = frames.first()?.offset;
        let fitting = frames.iter().take_while(|frame| frame.end() - start <= SLICE_BYTES).count();
        Some((run.pack, frames.get(..fitting.max(1))?))
    }

    fn take(&mut self, bundle: &Bundle, bytes: &[u8]) {
        let Some((_, frames)) = self.next_frames(bundle) else { return };
        let expected = bundle.index.entries.get(self.file).map_or(0, |entry| entry.file.size);
        let hashed = self.hasher.take().and_then(|hasher| hash_frames(hasher, frames, bytes));
        // What is already too long is not read on.
        self.hasher = hashed.filter(|hasher| hasher.length() <= expected);
        self.chunks += frames.len();
        let run = bundle.index.entries.get(self.file).and_then(|entry| entry.runs.get(self.runs));
        if run.is_some_and(|run| self.chunks >= run.count as usize) {
            (self.runs, self.chunks) = (self.runs + 1, 0);
        }
    }
}

/// Decodes neighbouring frames, of which `bytes` are all.
fn hash_frames(mut hasher: Hasher, frames: &[Frame], bytes: &[u8]) -> Option<Hasher> {
    let start = frames.first()?.offset;
    for frame in frames {
        let at = usize::try_from(frame.offset - start).ok()?;
        let stored = bytes.get(at..at.checked_add(frame.stored as usize)?)?;
        hasher.update(&frame.decode(stored).ok()?);
    }
    Some(hasher)
}

/// Where the table of a pack lies in it.
pub(crate) fn table_slice(bundle: &Bundle, pack: u32) -> Option<PackSlice> {
    let table = bundle.index.packs.get(pack as usize)?.toc;
    Some(PackSlice { pack, offset: table.offset, size: table.size })
}

/// Takes the table of a pack whose bytes have the right digest; one that is not as the index says refuses the pack.
pub(crate) fn take_table(bundle: &mut Bundle, pack: u32, bytes: &[u8]) -> Result<(), PackTableError> {
    let at = pack as usize;
    let Some(named) = bundle.index.packs.get(at) else { return Err(PackTableError::NoPack) };
    let table = if Digest::of(bytes) == named.toc.digest {
        Table::parse(bytes, named).map_err(PackTableError::Table)
    } else {
        Err(PackTableError::Digest)
    };
    match table {
        Ok(table) => {
            if let Some(open) = bundle.tables.get_mut(at) {
                *open = Some(table);
            }
            Ok(())
        }
        Err(error) => {
            bundle.refuse_pack(at);
            Err(error)
        }
    }
}

/// Why the chunks of a pack cannot be found in it.
#[derive(Debug, Error)]
pub(crate) enum PackTableError {
    /// The table's bytes are not those that the index names.
    #[error("its table is not the one that the index names")]
    Digest,
    /// The bundle has no such pack.
    #[error("the bundle has no such pack")]
    NoPack,
    /// The table cannot be taken.
    #[error("its table cannot be read")]
    Table(#[source] TableError),
}

#[cfg(test)]
mod tests {
    use bundle_core::bundle::index::BundleIndex;
    use bundle_core::file::{ByPath, File};
    use bundle_core::pack::chunk::{ChunkHash, Chunker, Rest};
    use bundle_core::pack::chunk_map::ChunkMap;
    use bundle_core::pack::effort::Effort;
    use bundle_core::pack::write::{FrameWriter, PackWriter};
    use bundle_core::plan::seal::{PackedSealRequest, packed_index, seal_packed};

    use super::*;
    use crate::bundle::tests::ORIGIN;
    use crate::view::{LayoutName, Verdict};

    /// A packed bundle of which every pack is here.
    struct Packed {
        bundle: Bundle,
        packs: Vec<Vec<u8>>,
    }

    /// The contents of a bundle: one file of many chunks, small ones and an empty one.
    fn contents() -> Vec<(&'static str, Vec<u8>)> {
        // Numbers do not repeat as a whole, so that there are several chunks.
        let large: Vec<u8> =
            (0..60_000_u32).flat_map(|n| n.wrapping_mul(2_654_435_761).to_le_bytes()).collect();
        vec![
            ("a", b"first".to_vec()),
            ("b", b"second".to_vec()),
            ("large", large),
            ("nil", Vec::new()),
            ("z", b"last".to_vec()),
        ]
    }

    /// Packs the contents; each file begins a pack of its own where `one_each`.
    fn packed(one_each: bool) -> Packed {
        let (mut encoder, mut writer) = (FrameWriter::new().unwrap(), PackWriter::default());
        let (mut packs, mut bytes, mut named) = (Vec::new(), Vec::new(), Vec::new());
        let (mut files, mut all_runs) = (Vec::new(), Vec::new());
        for (path, content) in contents() {
            let (pack, first) = (named.len() as u32, writer.chunks());
            let mut rest = &content[..];
            for length in Chunker::new().lengths(&content, Rest::Whole) {
                let (chunk, after) = rest.split_at(length);
                rest = after;
                let chunk = encoder.encode(ChunkHash::of(chunk), chunk, Effort::Try).unwrap();
                writer.add(&chunk);
                bytes.extend_from_slice(&chunk.bytes);
            }
            let count = writer.chunks() - first;
            all_runs.push(if content.is_empty() { vec![] } else { vec![Run { pack, first, count }] });
            let (digest, size) = (Digest::of(&content), content.len() as u64);
            files.push(File { path: path.parse().unwrap(), digest, size, executable: Some(false) });
            if (one_each || path == "z") && writer.chunks() > 0 {
                let finished = std::mem::take(&mut writer).finish().unwrap();
                bytes.extend_from_slice(&finished.stored_table);
                packs.push(std::mem::take(&mut bytes));
                named.push(finished.pack);
            }
        }
        let mut chunk_map = ChunkMap::new(named.clone());
        all_runs.iter().for_each(|runs| chunk_map.push(runs));
        let files = ByPath::new(files).unwrap();
        let index = BundleIndex::compress(&packed_index(&files, &chunk_map, None).unwrap()).unwrap();
        let sealed = seal_packed(&PackedSealRequest {
            index_digest: Digest::of(&index),
            index_size: index.len() as u64,
            index_data: Some(&index),
            packs: &named,
            tree: bundle_core::bundle::tree::tree_digest(&files),
            origin: ORIGIN,
        })
        .unwrap();
        Packed { bundle: Bundle::open(sealed.manifest.as_bytes(), None, None).unwrap(), packs }
    }

    impl Packed {
        /// Shows one of its packs to the bundle.
        fn show(&mut self, at: usize) -> Verdict {
            let bytes = &self.packs[at];
            let name = format!("blobs/sha256/{}", self.bundle.index.packs[at].digest.hex());
            let check = self.bundle.check_content(&name, Digest::of(bytes), bytes.len() as u64);
            if check.verdict == Verdict::Verified {
                assert_eq!(check.packs, [at as u32]);
                let slice = table_slice(&self.bundle, at as u32).unwrap();
                take_table(&mut self.bundle, at as u32, &bytes[slice.offset as usize..]).unwrap();
            }
            check.verdict
        }

        /// Puts together what can be, and says how each file came out.
        fn unpack(&mut self) -> Vec<(String, Verdict)> {
            let mut unpacking = Unpacking::of(&self.bundle);
            let mut checks = Vec::new();
            while unpacking.turn_to_next() {
                while let Some(slice) = unpacking.next_slice(&self.bundle) {
                    assert!(slice.size <= SLICE_BYTES);
                    let bytes = &self.packs[slice.pack as usize];
                    let (start, end) = (slice.offset as usize, (slice.offset + slice.size) as usize);
                    unpacking.take(&self.bundle, &bytes[start..end]);
                }
                let (file, found) = unpacking.finish().unwrap();
                let check = self.bundle.keep_file(file, found).unwrap();
                checks.push((check.paths[0].clone(), check.verdict));
            }
            checks.sort();
            checks
        }

        fn overall(&self) -> Content {
            self.bundle.verification().overall
        }
    }

    #[test]
    fn a_packed_bundle_is_verified_once_all_its_files_were_put_together() {
        for one_each in [false, true] {
            let mut packed = packed(one_each);
            assert_eq!(packed.bundle.summary().layout, LayoutName::Packed);
            for at in 0..packed.packs.len() {
                assert_eq!(packed.overall(), Content::Unseen);
                assert_eq!(packed.show(at), Verdict::Verified);
            }
            // The packs are right, and what the files hold is not known yet.
            assert_eq!(packed.overall(), Content::Unseen);
            let verified: Vec<_> =
                contents().iter().map(|(path, _)| ((*path).to_owned(), Verdict::Verified)).collect();
            assert_eq!(packed.unpack(), verified);
            assert_eq!(packed.overall(), Content::Verified);
            assert_eq!(packed.unpack(), [], "what is known is not read again");
        }
    }

    #[test]
    fn files_of_a_pack_that_is_missing_or_another_one_stay_unchecked() {
        let mut packed = packed(true);
        let last = packed.packs.len() - 1;
        packed.packs[0][0] ^= 1;
        assert_eq!(packed.show(0), Verdict::Mismatch);
        (1..last).for_each(|at| assert_eq!(packed.show(at), Verdict::Verified));
        let paths: Vec<_> = packed.unpack().into_iter().map(|(path, _)| path).collect();
        assert_eq!(paths, ["b", "large", "nil"]);
        let verification = packed.bundle.verification();
        assert_eq!((verification.files.unseen, verification.files.mismatch), (2, 0));
        assert_eq!((verification.packs.unseen, verification.packs.mismatch), (1, 1));
        assert_eq!(verification.unseen_packs, [packed.bundle.pack_name(last)]);
        assert_eq!(verification.overall, Content::Mismatch, "the worst counts");
    }

    #[test]
    fn a_file_whose_chunks_are_others_does_not_match() {
        let mut packed = packed(false);
        packed.show(0);
        // After it was checked, the pack changes on the disk.
        let raw = packed.packs[0].windows(5).position(|window| window == b"first").unwrap();
        packed.packs[0][raw] ^= 1;
        let checks = packed.unpack();
        let wrong: Vec<_> = checks.iter().filter(|(_, verdict)| *verdict == Verdict::Mismatch).collect();
        assert_eq!(wrong.iter().map(|(path, _)| path.as_str()).collect::<Vec<_>>(), ["a"]);
        assert_eq!(packed.overall(), Content::Mismatch);
    }

    #[test]
    fn bytes_that_end_early_are_no_content() {
        let mut packed = packed(false);
        packed.show(0);
        let mut unpacking = Unpacking::of(&packed.bundle);
        while unpacking.turn_to_next() {
            if unpacking.next_slice(&packed.bundle).is_none() {
                continue;
            }
            unpacking.take(&packed.bundle, b"");
            assert_eq!(unpacking.next_slice(&packed.bundle), None);
            let (file, found) = unpacking.finish().unwrap();
            assert_eq!(found, None);
            assert_eq!(packed.bundle.keep_file(file, found).unwrap().verdict, Verdict::Mismatch);
        }
        assert_eq!(packed.overall(), Content::Mismatch);
    }

    #[test]
    fn a_table_that_is_not_the_named_one_refuses_the_pack() {
        let mut packed = packed(false);
        let bytes = packed.packs[0].clone();
        packed.bundle.check_content("pack", Digest::of(&bytes), bytes.len() as u64);
        assert!(take_table(&mut packed.bundle, 0, b"another").is_err());
        assert!(take_table(&mut packed.bundle, 1, b"").is_err());
        assert_eq!(packed.bundle.verification().packs.mismatch, 1);
        assert!(packed.unpack().iter().all(|(path, _)| path == "nil"));
    }
}

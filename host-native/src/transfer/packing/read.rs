//! Reads files in their order, takes their digests, and cuts and compresses what is new of them, on all processors.

use std::borrow::Cow;
use std::cell::RefCell;
use std::fs::File;
use std::io::{self, Read as _};
use std::ops::Range;
use std::path::PathBuf;
use std::sync::mpsc::{SyncSender, sync_channel};

use bundle_core::digest::{Digest, Hasher};
use bundle_core::pack::chunk::{ChunkHash, Chunker, MIN_CHUNK, Rest};
use bundle_core::pack::chunk_map::KnownChunks;
use bundle_core::pack::effort::{Effort, Patience};
use bundle_core::pack::table::ChunkPosition;
use bundle_core::pack::write::{FrameWriter, SEGMENT_BYTES, StoredChunk};
use rayon::prelude::*;

use super::PackingError;
use crate::project::stamp::{Stamp, is_executable};
use crate::scan::{HashError, Hashed, open_found};
use crate::threads::start;

/// How many small files are read together at most.
const FILES_TOGETHER: usize = 512;

/// How many batches may wait to be put into packs.
const WAITING: usize = 1;

/// A file to be packed.
#[derive(Clone, Debug)]
pub(crate) struct ToPack {
    /// Where it is.
    pub(crate) disk: PathBuf,
    /// How many bytes it had when it was seen; it may have others by now.
    pub(crate) size: u64,
    /// The digest that it must have, where it is known.
    pub(crate) expected: Option<Digest>,
    /// The number of its layer: files of two layers never share a pack.
    pub(crate) layer: usize,
}

/// One chunk of a file.
#[derive(Debug)]
pub(super) enum Chunk {
    /// A pack has it already.
    Known(ChunkPosition),
    /// Ready to be put into a pack, if no earlier one of this push was the same.
    New(StoredChunk),
}

/// The next part of a file.
#[derive(Debug)]
pub(super) struct Segment {
    /// Which of the files.
    pub(super) file: usize,
    pub(super) chunks: Vec<Chunk>,
    /// What the file was, after its last part.
    pub(super) end: Option<Hashed>,
}

/// Gives every part of every file to `take`, in order.
pub(super) fn in_segments(
    files: &[ToPack],
    known: &KnownChunks,
    read: &(dyn Fn(u64) + Sync),
    mut take: impl FnMut(Segment) -> Result<(), PackingError>,
) -> Result<(), PackingError> {
    let (send, receive) = sync_channel(WAITING);
    std::thread::scope(|scope| {
        let reader = Reader { known, chunker: Chunker::new(), read };
        let reading = start(scope, "read", move || reader.read_all(files, &send))?;
        let taken = receive.iter().flatten().try_for_each(&mut take);
        // Tells the reader that nobody takes any more.
        drop(receive);
        let read = reading.join().unwrap_or(Err(PackingError::Stopped));
        taken.and(read)
    })
}

struct Reader<'a> {
    known: &'a KnownChunks,
    chunker: Chunker,
    read: &'a (dyn Fn(u64) + Sync),
}

impl Reader<'_> {
    fn read_all(&self, files: &[ToPack], send: &SyncSender<Vec<Segment>>) -> Result<(), PackingError> {
        let mut next = 0;
        while let Some(file) = files.get(next) {
            if file.size > SEGMENT_BYTES as u64 {
                self.read_large(next, file, send)?;
                next += 1;
                continue;
            }
            let together = together(files, next);
            next = together.end;
            let segments: Result<Vec<_>, _> =
                together.into_par_iter().map(|at| self.read_small(at, &files[at])).collect();
            send.send(segments?).map_err(|_| PackingError::Stopped)?;
        }
        Ok(())
    }

    /// Reads a file that is held as a whole; once more from the start if it changed meanwhile.
    fn read_small(&self, at: usize, file: &ToPack) -> Result<Segment, PackingError> {
        if file.size >= MIN_CHUNK as u64 {
            return with_buffer(|content| {
                let hashed = self.read_whole(file, content)?;
                Ok(Segment { file: at, chunks: self.cut_in_turn(content)?, end: Some(hashed) })
            });
        }
        let mut content = Vec::new();
        let hashed = self.read_whole(file, &mut content)?;
        let chunks = match content.len() {
            // One chunk, which keeps the bytes if it is stored as it is.
            1..MIN_CHUNK => vec![self.chunk(content, Effort::Try)?],
            _ => self.cut_in_turn(&content)?,
        };
        Ok(Segment { file: at, chunks, end: Some(hashed) })
    }

    /// All chunks of a file, on this thread: others have files of their own to read.
    fn cut_in_turn(&self, content: &[u8]) -> Result<Vec<Chunk>, PackingError> {
        let (pieces, _) = pieces(self.chunker.lengths(content, Rest::Whole), content, Rest::Whole)?;
        pieces.into_iter().map(|piece| self.chunk(piece, Effort::Try)).collect()
    }

    /// Reads a file into `content`, and says what it is.
    fn read_whole(&self, file: &ToPack, content: &mut Vec<u8>) -> Result<Hashed, PackingError> {
        for _ in 0..2 {
            let hashed = self.try_read(file, content).map_err(fault(file))?;
            if let Some(hashed) = hashed.filter(|hashed| file.is_expected(hashed)) {
                return Ok(hashed);
            }
        }
        Err(file.changed().into())
    }

    /// Reads a file; `None` where it changes meanwhile.
    fn try_read(&self, file: &ToPack, content: &mut Vec<u8>) -> io::Result<Option<Hashed>> {
        let mut input = open_found(&file.disk)?;
        let before = input.metadata()?;
        let stamp = Stamp::of(&before);
        // One that has grown since is seen to have changed.
        if !before.is_file() || stamp.size > SEGMENT_BYTES as u64 {
            return Ok(None);
        }
        content.clear();
        // One byte more would be one too many.
        content.reserve_exact(stamp.size as usize + 1);
        let length = input.by_ref().take(stamp.size + 1).read_to_end(content)?;
        (self.read)(length as u64);
        if length as u64 != stamp.size || Stamp::of(&input.metadata()?) != stamp {
            return Ok(None);
        }
        Ok(Some(Hashed { digest: Digest::of(content), stamp, executable: is_executable(&before) }))
    }

    /// Reads a file that is too large to be held as a whole, and sends each part as it comes.
    fn read_large(
        &self,
        at: usize,
        file: &ToPack,
        send: &SyncSender<Vec<Segment>>,
    ) -> Result<(), PackingError> {
        let mut input = open_found(&file.disk).map_err(fault(file))?;
        let before = input.metadata().map_err(fault(file))?;
        let stamp = Stamp::of(&before);
        if !before.is_file() {
            return Err(file.changed().into());
        }
        let (mut hasher, mut patience) = (Hasher::new(), Patience::default());
        let mut content = Vec::new();
        loop {
            let carried = content.len();
            let rest = read_segment(&mut input, &mut content).map_err(fault(file))?;
            (self.read)((content.len() - carried) as u64);
            let effort = patience.next_effort();
            let (_, new) = content.split_at(carried);
            let ((), chunks) = rayon::join(|| hasher.update(new), || self.cut(&content, rest, effort));
            let (chunks, cut) = chunks?;
            // One that only grows would never end.
            if hasher.length() > stamp.size {
                return Err(file.changed().into());
            }
            if effort == Effort::Try {
                let (raw, stored) = sizes(&chunks);
                patience.learn(raw, stored);
            }
            content.drain(..cut);
            if rest == Rest::Part {
                let segment = Segment { file: at, chunks, end: None };
                send.send(vec![segment]).map_err(|_| PackingError::Stopped)?;
                continue;
            }
            let is_same = Stamp::of(&input.metadata().map_err(fault(file))?) == stamp;
            let is_whole = hasher.length() == stamp.size;
            let hashed = Hashed { digest: hasher.finish(), stamp, executable: is_executable(&before) };
            if !is_same || !is_whole || !file.is_expected(&hashed) {
                return Err(file.changed().into());
            }
            let segment = Segment { file: at, chunks, end: Some(hashed) };
            return send.send(vec![segment]).map_err(|_| PackingError::Stopped);
        }
    }

    /// Cuts what can be cut off `content`; says also how many bytes that was.
    fn cut(&self, content: &[u8], rest: Rest, effort: Effort) -> Result<(Vec<Chunk>, usize), PackingError> {
        let (pieces, end) = pieces(self.chunker.lengths(content, rest), content, rest)?;
        let chunks: Result<_, _> = pieces.into_par_iter().map(|piece| self.chunk(piece, effort)).collect();
        Ok((chunks?, end))
    }

    fn chunk<'c>(&self, content: impl Into<Cow<'c, [u8]>>, effort: Effort) -> Result<Chunk, PackingError> {
        let content = content.into();
        let hash = ChunkHash::of(&content);
        match self.known.find(&hash) {
            Some(place) => Ok(Chunk::Known(place)),
            None => Ok(Chunk::New(encode(hash, content, effort)?)),
        }
    }
}

impl ToPack {
    fn is_expected(&self, hashed: &Hashed) -> bool {
        self.expected.is_none_or(|expected| expected == hashed.digest)
    }

    fn changed(&self) -> HashError {
        HashError::ChangedWhileRead { path: self.disk.clone() }
    }
}

fn fault(file: &ToPack) -> impl Fn(io::Error) -> PackingError {
    |source| HashError::Read { path: file.disk.clone(), source }.into()
}

/// Cuts `content` into chunks of these lengths; says also how many bytes they are in all.
///
/// # Errors
///
/// Lengths that `content` does not have, or that leave something of the end of a file: a bundle would lack those bytes.
fn pieces(
    lengths: impl Iterator<Item = usize>,
    content: &[u8],
    rest: Rest,
) -> Result<(Vec<&[u8]>, usize), PackingError> {
    let (mut left, mut pieces) = (content, Vec::new());
    for length in lengths {
        let (piece, behind) = left.split_at_checked(length).ok_or(PackingError::Cut)?;
        pieces.push(piece);
        left = behind;
    }
    match rest {
        Rest::Whole if !left.is_empty() => Err(PackingError::Cut),
        Rest::Whole | Rest::Part => Ok((pieces, content.len() - left.len())),
    }
}

/// The small files from `start` on that are read together.
fn together(files: &[ToPack], start: usize) -> Range<usize> {
    let mut bytes = 0;
    let fits = |file: &&ToPack| {
        bytes += file.size;
        bytes <= SEGMENT_BYTES as u64
    };
    let rest = files.get(start..).unwrap_or_default().iter().take(FILES_TOGETHER);
    start..start + rest.take_while(fits).count().max(1)
}

/// Appends the next part of a file to `content`; whether it was the last one.
fn read_segment(input: &mut File, content: &mut Vec<u8>) -> io::Result<Rest> {
    let length = input.by_ref().take(SEGMENT_BYTES as u64).read_to_end(content)?;
    Ok(if length < SEGMENT_BYTES { Rest::Whole } else { Rest::Part })
}

fn sizes(chunks: &[Chunk]) -> (usize, usize) {
    let new = chunks.iter().filter_map(|chunk| match chunk {
        Chunk::Known(_) => None,
        Chunk::New(chunk) => Some((chunk.raw as usize, chunk.bytes.len())),
    });
    new.fold((0, 0), |sum, one| (sum.0 + one.0, sum.1 + one.1))
}

fn encode(hash: ChunkHash, content: Cow<'_, [u8]>, effort: Effort) -> Result<StoredChunk, PackingError> {
    thread_local! {
        static WRITER: RefCell<Option<FrameWriter>> = const { RefCell::new(None) };
    }
    WRITER.with_borrow_mut(|writer| {
        let writer = match writer {
            Some(writer) => writer,
            none => none.insert(FrameWriter::new()?),
        };
        Ok(writer.encode(hash, content, effort)?)
    })
}

/// Runs `work` with this thread's buffer.
fn with_buffer<T>(work: impl FnOnce(&mut Vec<u8>) -> T) -> T {
    thread_local! {
        static BUFFER: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
    }
    BUFFER.with_borrow_mut(work)
}

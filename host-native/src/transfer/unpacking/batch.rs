//! Frames as they come from a pack, gathered until there are enough to be worth all processors' while.

use std::borrow::Cow;
use std::iter::Peekable;
use std::mem;
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

use bundle_core::pack::table::{Frame, FrameError};
use rayon::prelude::*;

use crate::transfer::DownloadError;

/// How many bytes a batch has, stored or raw, before it is passed on.
const BATCH_BYTES: u64 = 2 << 20;

/// What a batch takes, and the piece that came last.
const BUFFER: usize = BATCH_BYTES as usize + (1 << 19);

/// What batches lie in, for the next batch once one is done with. An allocator would keep more of them, each for the
/// thread that asked for it.
#[derive(Clone, Debug, Default)]
pub(in crate::transfer) struct Buffers(Arc<Mutex<Vec<Vec<u8>>>>);

impl Buffers {
    /// One that holds `rest`: of its full size at once, since growing would copy and waste.
    fn take(&self, rest: &[u8]) -> Vec<u8> {
        let used = self.0.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let mut buffer = used.unwrap_or_else(|| Vec::with_capacity(BUFFER.max(rest.len())));
        buffer.clear();
        buffer.extend_from_slice(rest);
        buffer
    }

    fn give(&self, buffer: Vec<u8>) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(buffer);
    }
}

/// Frames that came, each with a note of whoever wants it.
#[derive(Debug)]
pub(in crate::transfer) struct Batch<'a, T> {
    stored: Vec<u8>,
    frames: Vec<Received<'a, T>>,
    buffers: Buffers,
}

impl<T> Drop for Batch<'_, T> {
    fn drop(&mut self) {
        self.buffers.give(mem::take(&mut self.stored));
    }
}

/// A frame, and where it lies in a batch.
#[derive(Debug)]
struct Received<'a, T> {
    frame: &'a Frame,
    range: Range<usize>,
    note: T,
}

/// The raw bytes of some chunks, each with its note.
#[derive(Debug)]
pub(super) struct Chunks<'a, T> {
    pub(super) chunks: Vec<(Cow<'a, [u8]>, T)>,
}

impl<T: Copy + Send + Sync> Batch<'_, T> {
    /// Decodes every frame. Whether it is its chunk shows when the whole file is verified.
    pub(super) fn decode(&self) -> Result<Chunks<'_, T>, DownloadError> {
        let chunks: Result<Vec<_>, FrameError> =
            self.frames.par_iter().map(|received| Ok((self.raw(received)?, received.note))).collect();
        Ok(Chunks { chunks: chunks.map_err(|source| DownloadError::Frame { source })? })
    }

    /// Decodes every frame, whether or not that succeeds, and takes what `look` makes of each; in their order.
    pub(in crate::transfer) fn map<'b, R: Send>(
        &'b self,
        look: impl Fn(&Frame, T, Result<Cow<'b, [u8]>, FrameError>) -> R + Sync,
    ) -> Vec<R> {
        let frames = self.frames.par_iter();
        frames.map(|received| look(received.frame, received.note, self.raw(received))).collect()
    }

    fn raw<'b>(&'b self, received: &'b Received<'_, T>) -> Result<Cow<'b, [u8]>, FrameError> {
        received.frame.decode(self.stored.get(received.range.clone()).unwrap_or_default())
    }
}

/// The bytes of one range of a pack, of which the frames that are wanted become batches.
pub(in crate::transfer) struct Gathering<'a, T> {
    /// The offset in the pack of the first byte of `stored`.
    start: u64,
    stored: Vec<u8>,
    frames: Vec<Received<'a, T>>,
    raw: u64,
    buffers: Buffers,
}

impl<T> Drop for Gathering<'_, T> {
    fn drop(&mut self) {
        self.buffers.give(mem::take(&mut self.stored));
    }
}

impl<'a, T> Gathering<'a, T> {
    /// Starts at this offset of the pack; batches lie in `buffers`.
    pub(in crate::transfer) fn new(start: u64, buffers: &Buffers) -> Self {
        let (buffers, stored) = (buffers.clone(), buffers.take(&[]));
        Self { start, stored, frames: Vec::new(), raw: 0, buffers }
    }

    /// Takes the next bytes.
    pub(in crate::transfer) fn add(&mut self, piece: &[u8]) {
        self.stored.extend_from_slice(piece);
    }

    /// The next batch, once there are enough frames for one; `wanted` are those that have not come yet.
    pub(in crate::transfer) fn batch(
        &mut self,
        wanted: &mut Peekable<impl Iterator<Item = (&'a Frame, T)>>,
    ) -> Option<Batch<'a, T>> {
        let end = self.start + self.stored.len() as u64;
        while self.raw < BATCH_BYTES {
            let Some((frame, note)) = wanted.next_if(|(frame, _)| frame.end() <= end) else {
                return self.skip_to(wanted.peek().map_or(end, |(frame, _)| frame.offset));
            };
            // Both lie in the buffer.
            let range = (frame.offset - self.start) as usize..(frame.end() - self.start) as usize;
            self.raw += u64::from(frame.raw);
            self.frames.push(Received { frame, range, note });
        }
        self.pass_on()
    }

    /// Lets go of what nobody wants before `offset`; what was gathered by then is a batch.
    fn skip_to(&mut self, offset: u64) -> Option<Batch<'a, T>> {
        if offset <= self.start + self.stored.len() as u64 {
            return None;
        }
        let batch = self.pass_on();
        self.start += self.stored.len() as u64;
        self.stored.clear();
        batch
    }

    /// The last batch of the range.
    pub(in crate::transfer) fn rest(
        &mut self,
        wanted: &mut Peekable<impl Iterator<Item = (&'a Frame, T)>>,
    ) -> Option<Batch<'a, T>> {
        self.batch(wanted).or_else(|| self.pass_on())
    }

    fn pass_on(&mut self) -> Option<Batch<'a, T>> {
        let end = self.frames.last()?.range.end;
        let rest = self.buffers.take(self.stored.get(end..).unwrap_or_default());
        self.stored.truncate(end);
        self.start += end as u64;
        self.raw = 0;
        Some(Batch {
            stored: mem::replace(&mut self.stored, rest),
            frames: mem::take(&mut self.frames),
            buffers: self.buffers.clone(),
        })
    }
}

//! Frames as they come from a pack, gathered until there are enough to be worth all processors' while.

use std::borrow::Cow;
use std::iter::Peekable;
use std::ops::Range;

use bundle_core::pack::{Frame, FrameError};
use rayon::prelude::*;

use super::Destination;
use crate::transfer::DownloadError;

/// How many bytes a batch has, stored or raw, before it is passed on.
const BATCH_BYTES: u64 = 4 << 20;

/// What a batch takes, and the piece that came last.
const BUFFER: usize = BATCH_BYTES as usize + (1 << 20);

/// Frames that came, and where their chunks go.
#[derive(Debug)]
pub(super) struct Batch<'a> {
    stored: Vec<u8>,
    frames: Vec<Received<'a>>,
}

/// A frame, where it lies in a batch, and where its chunk goes.
#[derive(Debug)]
struct Received<'a> {
    frame: &'a Frame,
    range: Range<usize>,
    destinations: &'a [Destination],
}

/// The raw bytes of some chunks, and where they go.
#[derive(Debug)]
pub(super) struct Chunks<'a> {
    pub(super) chunks: Vec<(Cow<'a, [u8]>, &'a [Destination])>,
}

impl Batch<'_> {
    /// Decodes every frame. Whether it is its chunk shows when the whole file is verified.
    pub(super) fn decode(&self) -> Result<Chunks<'_>, DownloadError> {
        let chunks: Result<Vec<_>, FrameError> =
            self.frames.par_iter().map(|received| self.decode_one(received)).collect();
        Ok(Chunks { chunks: chunks.map_err(|source| DownloadError::Frame { source })? })
    }

    fn decode_one<'b>(
        &'b self,
        received: &'b Received<'_>,
    ) -> Result<(Cow<'b, [u8]>, &'b [Destination]), FrameError> {
        let stored = self.stored.get(received.range.clone()).unwrap_or_default();
        Ok((received.frame.decode(stored)?, received.destinations))
    }
}

/// The bytes of one range of a pack, of which the frames that are wanted become batches.
pub(super) struct Gathering<'a> {
    /// The offset in the pack of the first byte of `stored`.
    start: u64,
    stored: Vec<u8>,
    frames: Vec<Received<'a>>,
    raw: u64,
}

impl<'a> Gathering<'a> {
    /// Starts at this offset of the pack.
    pub(super) fn new(start: u64) -> Self {
        Self { start, stored: new_buffer(&[]), frames: Vec::new(), raw: 0 }
    }

    /// Takes the next bytes.
    pub(super) fn add(&mut self, piece: &[u8]) {
        self.stored.extend_from_slice(piece);
    }

    /// The next batch, once there are enough frames for one; `wanted` are those that have not come yet.
    pub(super) fn batch(
        &mut self,
        wanted: &mut Peekable<impl Iterator<Item = (&'a Frame, &'a [Destination])>>,
    ) -> Option<Batch<'a>> {
        let end = self.start + self.stored.len() as u64;
        while self.raw < BATCH_BYTES {
            let (frame, destinations) = wanted.next_if(|(frame, _)| frame.end() <= end)?;
            // Both lie in the buffer.
            let range = (frame.offset - self.start) as usize..(frame.end() - self.start) as usize;
            self.raw += u64::from(frame.raw);
            self.frames.push(Received { frame, range, destinations });
        }
        self.pass_on()
    }

    /// The last batch of the range.
    pub(super) fn rest(
        &mut self,
        wanted: &mut Peekable<impl Iterator<Item = (&'a Frame, &'a [Destination])>>,
    ) -> Option<Batch<'a>> {
        self.batch(wanted).or_else(|| self.pass_on())
    }

    fn pass_on(&mut self) -> Option<Batch<'a>> {
        let end = self.frames.last()?.range.end;
        let rest = new_buffer(self.stored.get(end..).unwrap_or_default());
        self.stored.truncate(end);
        self.start += end as u64;
        self.raw = 0;
        Some(Batch {
            stored: std::mem::replace(&mut self.stored, rest),
            frames: std::mem::take(&mut self.frames),
        })
    }
}

/// A buffer for a batch that starts with `rest`: of its full size at once, since growing would copy and waste.
fn new_buffer(rest: &[u8]) -> Vec<u8> {
    let mut buffer = Vec::with_capacity(BUFFER.max(rest.len()));
    buffer.extend_from_slice(rest);
    buffer
}

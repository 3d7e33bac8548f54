//! Files that are put together: where each chunk goes, and whether the whole is right.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::mem;
use std::sync::{Arc, Mutex, PoisonError};

use bundle_core::digest::{Digest, Hasher};
use bundle_core::file::File;
use bundle_core::pack::chunk::MAX_CHUNK;
use bundle_core::pack::table::ChunkPosition;
use rayon::prelude::*;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::Assembled;
use super::batch::Chunks;
use super::settling::{Settling, Unsettled};
use super::site::{Plot, Site};
use super::wanted::{Destination, Wanted};
use crate::transfer::DownloadError;
use crate::transfer::direct::DirectWriter;
use crate::transfer::holes::write_or_skip;
use crate::transfer::positioned::{read_at, write_at};

/// How many files may go straight to the disk at the same time: each takes memory, and stays open.
const DIRECT_AT_ONCE: usize = 4;

/// How many pieces are written at a time at most: a chunk may go to any number of places.
const PIECES_AT_ONCE: usize = 1 << 16;

/// All files that are put together.
pub(super) struct Targets<'a> {
    site: &'a dyn Site,
    settling: Settling,
    direct: Arc<Semaphore>,
    targets: Vec<Target<'a>>,
}

/// One file, and how far it has got.
pub(super) struct Target<'a> {
    file: &'a File,
    progress: Mutex<Progress>,
}

#[derive(Default)]
struct Progress {
    /// Where it is, once something of it is there.
    plot: Option<Plot>,
    /// Of its first bytes.
    hasher: Hasher,
    /// What is written beyond those: the length of each stretch by its offset.
    ahead: BTreeMap<u64, u64>,
    unsettled: Unsettled,
    /// Takes what comes in its turn, where that goes straight to the disk.
    direct: Option<(DirectWriter, OwnedSemaphorePermit)>,
}

/// A piece of a file: where it goes, and its bytes.
type Piece<'a> = (u64, &'a [u8]);

impl<'a> Targets<'a> {
    /// Nothing of them is there yet.
    pub(super) fn of(site: &'a dyn Site, settling: Settling, files: &[Assembled<'a>]) -> Self {
        let target = |file: &Assembled<'a>| Target { file: file.file, progress: Mutex::default() };
        let direct = Arc::new(Semaphore::new(DIRECT_AT_ONCE));
        Self { site, settling, direct, targets: files.iter().map(target).collect() }
    }

    /// Writes chunks to all the places where they go, on all processors.
    pub(super) fn write(
        &self,
        chunks: &Chunks<'_, ChunkPosition>,
        wanted: &Wanted,
    ) -> Result<(), DownloadError> {
        let mut by_file: BTreeMap<usize, Vec<Piece<'_>>> = BTreeMap::new();
        let mut count = 0;
        for (content, chunk) in &chunks.chunks {
            wanted.for_destinations(*chunk, |Destination { file, offset }| {
                by_file.entry(file).or_default().push((offset, content));
                count += 1;
                if count % PIECES_AT_ONCE != 0 {
                    return Ok(());
                }
                self.write_pieces(mem::take(&mut by_file))
            })?;
        }
        self.write_pieces(by_file)
    }

    fn write_pieces(&self, by_file: BTreeMap<usize, Vec<Piece<'_>>>) -> Result<(), DownloadError> {
        let by_file: Vec<_> = by_file.into_iter().collect();
        by_file.into_par_iter().try_for_each(|(at, pieces)| self.targets[at].write(self, at, pieces))
    }

    /// Where the files are, in their order.
    ///
    /// # Errors
    ///
    /// Refuses a file of which something is missing.
    pub(super) fn finish(self) -> Result<Vec<Plot>, DownloadError> {
        self.targets.into_iter().map(Target::finish).collect()
    }
}

impl Target<'_> {
    fn write(&self, all: &Targets<'_>, at: usize, mut pieces: Vec<Piece<'_>>) -> Result<(), DownloadError> {
        let site = all.site;
        pieces.sort_unstable_by_key(|(offset, _)| *offset);
        let fault = |source| DownloadError::Staging { folder: site.name().to_owned(), source };
        if let [(0, content)] = pieces[..]
            && content.len() as u64 == self.file.size
        {
            return self.write_whole(site, at, content);
        }
        // Two batches may hold parts of one file.
        let mut progress = self.progress.lock().unwrap_or_else(PoisonError::into_inner);
        let (file, start) = progress.open(all, at, self.file).map_err(fault)?;
        let Progress { hasher, ahead, unsettled, direct, .. } = &mut *progress;
        // What is larger than a chunk has its length already.
        let write = if self.file.size > MAX_CHUNK as u64 { write_or_skip } else { write_at };
        let (in_turn, early) = pieces.split_at(in_turn(&pieces, hasher.length()));
        early.iter().for_each(|(offset, content)| join(ahead, *offset, content.len() as u64));
        let cached = if direct.is_some() { early } else { &pieces };
        let (written, ()) = rayon::join(
            || {
                if let Some((direct, _)) = direct {
                    in_turn.iter().try_for_each(|(offset, content)| direct.write(&file, *offset, content))?;
                }
                // What is to be read again is best kept in the cache.
                cached.iter().try_for_each(|(offset, content)| write(&file, content, start + *offset))
            },
            || in_turn.iter().for_each(|(_, content)| hasher.update(content)),
        );
        written.and_then(|()| catch_up(&file, start, hasher, ahead)).map_err(fault)?;
        all.settling.wrote(unsettled, &file, cached.iter().map(|(_, content)| content.len() as u64).sum());
        if hasher.length() == self.file.size
            && let Some((mut direct, _)) = direct.take()
        {
            direct.flush(&file).map_err(fault)?;
        }
        self.check(hasher)
    }

    /// Most files are one chunk: there is nothing to remember of it but where it is.
    fn write_whole(&self, site: &dyn Site, at: usize, content: &[u8]) -> Result<(), DownloadError> {
        if Digest::of(content) != self.file.digest {
            return Err(DownloadError::content(self.file));
        }
        let fault = |source| DownloadError::Staging { folder: site.name().to_owned(), source };
        let (plot, file) = site.begin(at, self.file).map_err(fault)?;
        write_at(&file, content, plot.start).map_err(fault)?;
        let mut progress = self.progress.lock().unwrap_or_else(PoisonError::into_inner);
        progress.plot = Some(plot);
        Ok(())
    }

    fn check(&self, hasher: &Hasher) -> Result<(), DownloadError> {
        if hasher.length() < self.file.size || hasher.clone().finish() == self.file.digest {
            return Ok(());
        }
        Err(DownloadError::content(self.file))
    }

    fn finish(self) -> Result<Plot, DownloadError> {
        let progress = self.progress.into_inner().unwrap_or_else(PoisonError::into_inner);
        let length = progress.hasher.length();
        // What was written in one go has been verified then.
        match progress.plot {
            Some(plot) if length == self.file.size || length == 0 && progress.ahead.is_empty() => Ok(plot),
            _ => Err(DownloadError::content(self.file)),
        }
    }
}

impl Progress {
    /// Opens what holds the file; it begins there at the offset that comes with it.
    fn open(&mut self, all: &Targets<'_>, at: usize, wanted: &File) -> io::Result<(fs::File, u64)> {
        if let Some(Plot { path, start }) = &self.plot {
            return Ok((fs::File::options().read(true).write(true).open(path)?, *start));
        }
        let (plot, file) = all.site.begin(at, wanted)?;
        let start = plot.start;
        // In an archive files lie wherever they may.
        if start == 0
            && let Ok(permit) = all.direct.clone().try_acquire_owned()
        {
            self.direct = DirectWriter::open(&plot.path, wanted.size)?.map(|direct| (direct, permit));
        }
        self.plot = Some(plot);
        Ok((file, start))
    }
}

/// How many of the pieces, which are in the order of their offsets, go on from `end` without a gap.
fn in_turn(pieces: &[Piece<'_>], mut end: u64) -> usize {
    let goes_on = |(offset, content): &&Piece<'_>| {
        let goes_on = *offset == end;
        end += content.len() as u64;
        goes_on
    };
    pieces.iter().take_while(goes_on).count()
}

/// Hashes what was written ahead of its time and has its turn now.
fn catch_up(
    file: &fs::File,
    start: u64,
    hasher: &mut Hasher,
    ahead: &mut BTreeMap<u64, u64>,
) -> io::Result<()> {
    let mut buffer = Vec::new();
    while let Some(length) = ahead.remove(&hasher.length()) {
        let end = hasher.length() + length;
        while hasher.length() < end {
            buffer.resize((end - hasher.length()).min(MAX_CHUNK as u64) as usize, 0);
            read_at(file, &mut buffer, start + hasher.length())?;
            hasher.update(&buffer);
        }
    }
    Ok(())
}

/// Adds a piece to stretches, to those that it touches.
fn join(stretches: &mut BTreeMap<u64, u64>, offset: u64, length: u64) {
    let after = stretches.remove(&(offset + length)).unwrap_or_default();
    match stretches.range_mut(..offset).next_back() {
        Some((start, before)) if start + *before == offset => *before += length + after,
        _ => _ = stretches.insert(offset, length + after),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_that_touch_are_one_stretch() {
        let mut stretches = BTreeMap::new();
        for (offset, length) in [(10, 5), (30, 5), (20, 10), (15, 4), (19, 1), (50, 1)] {
            join(&mut stretches, offset, length);
        }
        assert_eq!(stretches.into_iter().collect::<Vec<_>>(), [(10, 25), (50, 1)]);
    }
}

//! Files that are put together: where each chunk goes, and whether the whole is right.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use bundle_core::digest::{Digest, Hasher};
use bundle_core::snapshot::File;
use rayon::prelude::*;

use super::batch::Chunks;
use super::settling::{Settling, Unsettled};
use super::{Assembled, Destination};
use crate::project::staging::{Mode, Staging};
use crate::transfer::DownloadError;

/// All files of one pull.
pub(super) struct Targets<'a> {
    staging: &'a Staging,
    settling: Settling,
    targets: Vec<Target<'a>>,
}

/// One file, and how far it has got.
pub(super) struct Target<'a> {
    file: &'a File,
    progress: Mutex<Progress>,
}

#[derive(Default)]
struct Progress {
    /// Where it is staged, once something of it is there.
    staged: Option<PathBuf>,
    /// Of its first bytes.
    hasher: Hasher,
    /// What is written beyond those: the length of each piece by its offset.
    ahead: BTreeMap<u64, u64>,
    unsettled: Unsettled,
}

/// A piece of a file: where it goes, and its bytes.
type Piece<'a> = (u64, &'a [u8]);

impl<'a> Targets<'a> {
    /// Nothing of them is there yet.
    pub(super) fn of(staging: &'a Staging, settling: Settling, files: &[Assembled<'a>]) -> Self {
        let target = |file: &Assembled<'a>| Target { file: file.file, progress: Mutex::default() };
        Self { staging, settling, targets: files.iter().map(target).collect() }
    }

    /// Writes chunks to all the places where they go, on all processors.
    pub(super) fn write(&self, chunks: &Chunks<'_, &[Destination]>) -> Result<(), DownloadError> {
        let mut by_file: BTreeMap<usize, Vec<Piece<'_>>> = BTreeMap::new();
        for (content, destinations) in &chunks.chunks {
            for destination in *destinations {
                by_file.entry(destination.file).or_default().push((destination.offset, content));
            }
        }
        let by_file: Vec<_> = by_file.into_iter().collect();
        by_file.into_par_iter().try_for_each(|(at, pieces)| self.targets[at].write(self, pieces))
    }

    /// The staged files, in their order.
    ///
    /// # Errors
    ///
    /// Refuses a file of which something is missing.
    pub(super) fn finish(self) -> Result<Vec<PathBuf>, DownloadError> {
        self.targets.into_iter().map(Target::finish).collect()
    }
}

impl Target<'_> {
    fn write(&self, all: &Targets<'_>, mut pieces: Vec<Piece<'_>>) -> Result<(), DownloadError> {
        let staging = all.staging;
        pieces.sort_unstable_by_key(|(offset, _)| *offset);
        let fault = |source| DownloadError::Staging { folder: staging.folder().to_owned(), source };
        if let [(0, content)] = pieces[..]
            && content.len() as u64 == self.file.size
        {
            return self.write_whole(staging, content);
        }
        // Two batches may hold parts of one file.
        let mut progress = self.progress.lock().unwrap_or_else(PoisonError::into_inner);
        let file = progress.open(staging, self.file).map_err(fault)?;
        let Progress { hasher, ahead, unsettled, .. } = &mut *progress;
        let (written, hashed) = rayon::join(
            || pieces.iter().try_for_each(|(offset, content)| write_at(&file, content, *offset)),
            || {
                for (offset, content) in &pieces {
                    if *offset == hasher.length() {
                        hasher.update(content);
                    } else {
                        ahead.insert(*offset, content.len() as u64);
                    }
                }
            },
        );
        let () = hashed;
        written.and_then(|()| catch_up(&file, hasher, ahead)).map_err(fault)?;
        let bytes = pieces.iter().map(|(_, content)| content.len() as u64).sum();
        all.settling.wrote(unsettled, &file, bytes);
        self.check(hasher)
    }

    /// Most files are one chunk: there is nothing to remember of it but where it is.
    fn write_whole(&self, staging: &Staging, content: &[u8]) -> Result<(), DownloadError> {
        if Digest::of(content) != self.file.digest {
            return Err(DownloadError::content(self.file));
        }
        let fault = |source| DownloadError::Staging { folder: staging.folder().to_owned(), source };
        let (path, file) = staging.stage_file(Mode::of(self.file.executable)).map_err(fault)?;
        write_at(&file, content, 0).map_err(fault)?;
        let mut progress = self.progress.lock().unwrap_or_else(PoisonError::into_inner);
        progress.staged = Some(path);
        Ok(())
    }

    fn check(&self, hasher: &Hasher) -> Result<(), DownloadError> {
        if hasher.length() < self.file.size || hasher.clone().finish() == self.file.digest {
            return Ok(());
        }
        Err(DownloadError::content(self.file))
    }

    fn finish(self) -> Result<PathBuf, DownloadError> {
        let progress = self.progress.into_inner().unwrap_or_else(PoisonError::into_inner);
        let length = progress.hasher.length();
        // What was written in one go has been verified then.
        match progress.staged {
            Some(staged) if length == self.file.size || length == 0 && progress.ahead.is_empty() => {
                Ok(staged)
            }
            _ => Err(DownloadError::content(self.file)),
        }
    }
}

impl Progress {
    fn open(&mut self, staging: &Staging, wanted: &File) -> io::Result<fs::File> {
        if let Some(path) = &self.staged {
            return fs::File::options().read(true).write(true).open(path);
        }
        let (path, file) = staging.stage_file(Mode::of(wanted.executable))?;
        file.set_len(wanted.size)?;
        self.staged = Some(path);
        Ok(file)
    }
}

/// Hashes what was written ahead of its time and has its turn now.
fn catch_up(file: &fs::File, hasher: &mut Hasher, ahead: &mut BTreeMap<u64, u64>) -> io::Result<()> {
    let mut buffer = Vec::new();
    while let Some(length) = ahead.remove(&hasher.length()) {
        // No chunk is larger than `MAX_CHUNK`.
        buffer.resize(length as usize, 0);
        read_at(file, &mut buffer, hasher.length())?;
        hasher.update(&buffer);
    }
    Ok(())
}

#[cfg(unix)]
fn write_at(file: &fs::File, content: &[u8], offset: u64) -> io::Result<()> {
    std::os::unix::fs::FileExt::write_all_at(file, content, offset)
}

#[cfg(unix)]
fn read_at(file: &fs::File, content: &mut [u8], offset: u64) -> io::Result<()> {
    std::os::unix::fs::FileExt::read_exact_at(file, content, offset)
}

#[cfg(not(unix))]
fn write_at(mut file: &fs::File, content: &[u8], offset: u64) -> io::Result<()> {
    use std::io::{Seek as _, Write as _};
    file.seek(io::SeekFrom::Start(offset))?;
    file.write_all(content)
}

#[cfg(not(unix))]
fn read_at(mut file: &fs::File, content: &mut [u8], offset: u64) -> io::Result<()> {
    use std::io::{Read as _, Seek as _};
    file.seek(io::SeekFrom::Start(offset))?;
    file.read_exact(content)
}

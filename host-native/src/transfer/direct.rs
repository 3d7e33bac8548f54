//! Writes large files straight to the disk, past the system's cache (`O_DIRECT`).
//!
//! A commit has to wait for the disk anyway. On the way through the cache every byte needs a page first and is written
//! from there later, which costs more than half of what its hash costs; and what was in the cache makes room for a file
//! that nobody may read soon.

use std::fs;
use std::io;
use std::path::Path;

use super::holes::{punch, write_or_skip};
use super::positioned::write_at;
use crate::remote::sparse::is_zero;

/// From how many bytes on a file is written so. What is smaller is likely to be read soon, and cheap to cache.
const LARGE: u64 = 16 << 20;

/// How many bytes go to the disk at a time.
const BLOCK: usize = 1 << 20;

/// What addresses, in memory and in a file, have to be multiples of: no disk in use has larger sectors.
const ALIGNMENT: usize = 4096;

/// Gathers the bytes of a large file to whole blocks, and those go past the cache.
///
/// What fills no block goes through the cache, as does everything where the file system wants it so. Once
/// [`flush`](Self::flush) is done, all is in the file; that it stays there after a power cut takes a sync.
pub(super) struct DirectWriter {
    /// The file, open for writing past the cache; `None` once the file system has refused that.
    file: Option<fs::File>,
    block: Block,
    /// The offset in the file of the block's first byte, a multiple of [`BLOCK`].
    start: u64,
    /// The bytes of the block that are there and not yet in the file begin and end here.
    from: usize,
    to: usize,
}

impl DirectWriter {
    /// For the file at `path`, which is to have `size` bytes; their room on the disk is taken at once.
    ///
    /// `None` where it is too small to be worth it, or where the system has no such way.
    ///
    /// # Errors
    ///
    /// The disk has no room.
    pub(super) fn open(path: &Path, size: u64) -> io::Result<Option<Self>> {
        if size < LARGE {
            return Ok(None);
        }
        let Some(file) = open_direct(path) else { return Ok(None) };
        reserve(&file, size)?;
        Ok(Some(Self { file: Some(file), block: Block::new(), start: 0, from: 0, to: 0 }))
    }

    /// The same through the cache, for the empty file `target`; `None` where it is too small to have holes worth keeping.
    pub(super) fn cached(target: &fs::File, size: u64) -> io::Result<Option<Self>> {
        if size < BLOCK as u64 {
            return Ok(None);
        }
        target.set_len(size)?;
        Ok(Some(Self { file: None, block: Block::new(), start: 0, from: 0, to: 0 }))
    }

    /// Writes at an offset; `cached` is the same file, open for writing in the usual way.
    pub(super) fn write(&mut self, cached: &fs::File, offset: u64, mut content: &[u8]) -> io::Result<()> {
        if offset != self.start + self.to as u64 {
            self.flush(cached)?;
            self.to = (offset % BLOCK as u64) as usize;
            self.from = self.to;
            self.start = offset - self.to as u64;
        }
        while !content.is_empty() {
            let (now, later) = content.split_at(content.len().min(BLOCK - self.to));
            self.block.bytes_mut()[self.to..self.to + now.len()].copy_from_slice(now);
            self.to += now.len();
            content = later;
            if self.to == BLOCK {
                self.write_block(cached)?;
            }
        }
        Ok(())
    }

    /// Writes what is gathered.
    pub(super) fn flush(&mut self, cached: &fs::File) -> io::Result<()> {
        write_or_skip(cached, &self.block.bytes()[self.from..self.to], self.start + self.from as u64)?;
        self.from = self.to;
        Ok(())
    }

    /// Writes what is gathered of the block, which ends with it, and begins the next one.
    fn write_block(&mut self, cached: &fs::File) -> io::Result<()> {
        match self.file.as_ref().filter(|_| self.from == 0) {
            Some(file) if is_zero(self.block.bytes()) => punch(file, self.start, BLOCK as u64),
            Some(file) => match write_at(file, self.block.bytes(), self.start) {
                // A file system can be asked in vain, and say so only now.
                Err(error) if error.kind() == io::ErrorKind::InvalidInput => {
                    self.file = None;
                    self.flush(cached)?;
                }
                written => written?,
            },
            None => self.flush(cached)?,
        }
        self.start += BLOCK as u64;
        (self.from, self.to) = (0, 0);
        Ok(())
    }
}

/// Memory for one block, at an address that direct writes take.
struct Block {
    memory: Vec<u8>,
    first: usize,
}

impl Block {
    fn new() -> Self {
        let memory = vec![0; BLOCK + ALIGNMENT];
        let first = memory.as_ptr().align_offset(ALIGNMENT);
        Self { memory, first }
    }

    fn bytes(&self) -> &[u8] {
        &self.memory[self.first..self.first + BLOCK]
    }

    fn bytes_mut(&mut self) -> &mut [u8] {
        &mut self.memory[self.first..self.first + BLOCK]
    }
}

#[cfg(target_os = "linux")]
fn open_direct(path: &Path) -> Option<fs::File> {
    use rustix::fs::{Mode, OFlags, open};
    let flags = OFlags::WRONLY | OFlags::DIRECT | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    open(path, flags, Mode::empty()).ok().map(fs::File::from)
}

#[cfg(not(target_os = "linux"))]
fn open_direct(_path: &Path) -> Option<fs::File> {
    None
}

/// Makes a file as large as it is to be, with room on the disk for all of it where the file system can promise that.
#[cfg(target_os = "linux")]
fn reserve(file: &fs::File, size: u64) -> io::Result<()> {
    use rustix::fs::{FallocateFlags, fallocate};
    use rustix::io::Errno;
    match fallocate(file, FallocateFlags::empty(), 0, size) {
        // Where there is no room for all of it, it may have holes enough: that was looked at before.
        Err(Errno::OPNOTSUPP | Errno::NOSYS | Errno::INVAL | Errno::NOSPC) => file.set_len(size),
        reserved => Ok(reserved?),
    }
}

#[cfg(not(target_os = "linux"))]
fn reserve(file: &fs::File, size: u64) -> io::Result<()> {
    file.set_len(size)
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use tempfile::NamedTempFile;

    use super::*;

    /// Bytes that differ from block to block.
    fn content(length: usize) -> Vec<u8> {
        (0..length).map(|at| (at ^ at >> 8 ^ at >> 16) as u8).collect()
    }

    fn writer(file: &NamedTempFile, size: usize) -> DirectWriter {
        // The file systems of temporary folders differ; a writer that has been refused is tried too.
        let open = || DirectWriter::open(file.path(), size as u64).unwrap();
        open().unwrap_or_else(|| DirectWriter { file: None, block: Block::new(), start: 0, from: 0, to: 0 })
    }

    #[test]
    fn pieces_in_any_order_become_the_file() {
        let content = content(LARGE as usize + 12_345);
        let pieces =
            [0..7, 7..5_000_000, 5_000_000..5_000_001, 5_000_001..9_000_000, 9_000_000..content.len()];
        for order in [[0, 1, 2, 3, 4], [4, 3, 2, 1, 0], [1, 2, 0, 4, 3], [3, 4, 0, 1, 2]] {
            let file = NamedTempFile::new().unwrap();
            let mut writer = writer(&file, content.len());
            for at in order {
                let range = pieces[at].clone();
                writer.write(file.as_file(), range.start as u64, &content[range]).unwrap();
            }
            writer.flush(file.as_file()).unwrap();
            assert!(fs::read(file.path()).unwrap() == content, "{order:?}");
        }
    }

    #[test]
    fn what_the_file_system_refuses_goes_through_the_cache() {
        let content = content(LARGE as usize);
        let file = NamedTempFile::new().unwrap();
        let mut writer = writer(&file, content.len());
        writer.block.first += 1;
        writer.write(file.as_file(), 0, &content).unwrap();
        writer.flush(file.as_file()).unwrap();
        assert!(fs::read(file.path()).unwrap() == content);
    }

    #[test]
    fn holes_stay_holes() {
        let size = LARGE as usize + 3 * BLOCK / 2;
        let mut content = content(size);
        content[BLOCK..LARGE as usize].fill(0);
        for is_direct in [true, false] {
            let file = NamedTempFile::new().unwrap();
            let mut writer = match is_direct {
                true => writer(&file, size),
                false => DirectWriter::cached(file.as_file(), size as u64).unwrap().unwrap(),
            };
            for (at, piece) in content.chunks(700_000).enumerate() {
                writer.write(file.as_file(), 700_000 * at as u64, piece).unwrap();
            }
            writer.flush(file.as_file()).unwrap();
            assert!(fs::read(file.path()).unwrap() == content);
            #[cfg(target_os = "linux")]
            {
                use std::os::unix::fs::MetadataExt as _;
                let taken = file.as_file().metadata().unwrap().blocks() * 512;
                assert!(taken < 5 * BLOCK as u64, "{taken} bytes of the disk, direct: {is_direct}");
            }
        }
    }

    #[test]
    fn small_files_are_left_to_the_cache() {
        let mut file = NamedTempFile::new().unwrap();
        file.write_all(b"as it was").unwrap();
        assert!(DirectWriter::open(file.path(), LARGE - 1).unwrap().is_none());
        assert_eq!(fs::read(file.path()).unwrap(), b"as it was");
    }
}

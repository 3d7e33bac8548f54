//! Reads and writes at an offset, wherever others read and write in the same file.

use std::fs;
use std::io;

/// Writes all of `content` at an offset.
#[cfg(unix)]
pub(super) fn write_at(file: &fs::File, content: &[u8], offset: u64) -> io::Result<()> {
    std::os::unix::fs::FileExt::write_all_at(file, content, offset)
}

/// Fills `content` from an offset on.
#[cfg(unix)]
pub(super) fn read_at(file: &fs::File, content: &mut [u8], offset: u64) -> io::Result<()> {
    std::os::unix::fs::FileExt::read_exact_at(file, content, offset)
}

/// Writes all of `content` at an offset.
#[cfg(not(unix))]
pub(super) fn write_at(mut file: &fs::File, content: &[u8], offset: u64) -> io::Result<()> {
    use std::io::{Seek as _, Write as _};
    file.seek(io::SeekFrom::Start(offset))?;
    file.write_all(content)
}

/// Fills `content` from an offset on.
#[cfg(not(unix))]
pub(super) fn read_at(mut file: &fs::File, content: &mut [u8], offset: u64) -> io::Result<()> {
    use std::io::{Read as _, Seek as _};
    file.seek(io::SeekFrom::Start(offset))?;
    file.read_exact(content)
}

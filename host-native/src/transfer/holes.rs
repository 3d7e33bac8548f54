//! Holes: what is only zeros is not written to a new file, so that a file of which most is empty takes as little of the
//! disk as the one that it comes from.
//!
//! All of it is about files that have their full length already, and nothing at these places: a hole reads as zeros.

use std::fs;
use std::io;

use super::positioned::write_at;
use crate::remote::sparse::{BLOCK, is_zero};

/// Writes at an offset, or leaves a hole there.
pub(super) fn write_or_skip(file: &fs::File, content: &[u8], offset: u64) -> io::Result<()> {
    if content.len() < BLOCK || !is_zero(content) {
        return write_at(file, content, offset);
    }
    punch(file, offset, content.len() as u64);
    Ok(())
}

/// Gives back the room that was taken for a stretch of a file, if it was.
pub(super) fn punch(file: &fs::File, offset: u64, length: u64) {
    #[cfg(target_os = "linux")]
    {
        use rustix::fs::{FallocateFlags, fallocate};
        // Where it cannot be given back, the bytes are zeros all the same.
        let _ = fallocate(file, FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE, offset, length);
    }
    #[cfg(not(target_os = "linux"))]
    let _ = (file, offset, length);
}

/// Copies a file to a new one. Holes stay holes.
pub(super) fn copy(mut source: &fs::File, mut target: &fs::File) -> io::Result<()> {
    let entry = source.metadata()?;
    if !has_holes(&entry) {
        // The system has better ways, as a rule.
        return io::copy(&mut source, &mut target).map(drop);
    }
    target.set_len(entry.len())?;
    let mut piece = vec![0; 1 << 18];
    let mut offset = 0;
    loop {
        let count = io::Read::read(&mut source, &mut piece)?;
        if count == 0 {
            // Should it have become longer or shorter meanwhile.
            return target.set_len(offset);
        }
        write_or_skip(target, &piece[..count], offset)?;
        offset += count as u64;
    }
}

#[cfg(unix)]
fn has_holes(entry: &fs::Metadata) -> bool {
    use std::os::unix::fs::MetadataExt as _;
    entry.blocks() * 512 < entry.len()
}

#[cfg(not(unix))]
fn has_holes(_entry: &fs::Metadata) -> bool {
    false
}

#[cfg(test)]
mod tests {
    use tempfile::tempfile;

    use super::super::positioned::read_at;
    use super::*;

    #[test]
    fn a_copy_has_the_bytes_of_its_source_and_its_holes() {
        let (source, target) = (tempfile().unwrap(), tempfile().unwrap());
        source.set_len(9 << 20).unwrap();
        write_at(&source, b"here", 5 << 20).unwrap();
        copy(&source, &target).unwrap();
        assert_eq!(target.metadata().unwrap().len(), 9 << 20);
        let mut found = [1; 8];
        read_at(&target, &mut found, (5 << 20) - 2).unwrap();
        assert_eq!(&found, b"\0\0here\0\0");
        #[cfg(unix)]
        assert!(has_holes(&target.metadata().unwrap()) || !has_holes(&source.metadata().unwrap()));
    }
}

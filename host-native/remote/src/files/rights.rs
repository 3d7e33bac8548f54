//! Whether the system would let something be written, asked without writing. What only an attempt shows is not found.

use std::io;
use std::path::Path;

/// Refuses a folder in which this process may make no file, with the error that making one would give.
///
/// # Errors
///
/// That which making a file would give.
#[cfg(unix)]
pub fn check_folder(folder: &Path) -> io::Result<()> {
    use rustix::fs::{Access, access};
    use rustix::io::Errno;
    match access(folder, Access::WRITE_OK | Access::EXEC_OK) {
        Err(error @ (Errno::ACCESS | Errno::PERM | Errno::ROFS)) => Err(error.into()),
        // Some sandboxes answer no such question.
        Ok(()) | Err(_) => Ok(()),
    }
}

/// How many bytes may still be written to the file system of `folder`; `None` where it says nothing of its size.
///
/// # Errors
///
/// Whatever the system says.
#[cfg(unix)]
pub fn room(folder: impl std::os::fd::AsFd) -> io::Result<Option<u64>> {
    let found = rustix::fs::fstatvfs(folder)?;
    Ok((found.f_blocks > 0).then(|| found.f_bavail.saturating_mul(found.f_frsize)))
}

/// Elsewhere nothing is known ahead.
#[cfg(not(unix))]
pub(crate) fn room<T>(_: T) -> io::Result<Option<u64>> {
    Ok(None)
}

/// Elsewhere nothing is known ahead.
#[cfg(not(unix))]
pub(crate) fn check_folder(_: &Path) -> io::Result<()> {
    Ok(())
}

/// The folder `wanted`, or the nearest one above it that is there, in which it would be made.
pub fn nearest_folder(wanted: &Path) -> &Path {
    wanted.ancestors().find(|folder| folder.exists()).unwrap_or(wanted)
}

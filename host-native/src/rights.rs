//! Whether the system would let something be written, asked without writing. What only an attempt shows is not found.

use std::io;
use std::path::Path;

/// Refuses a folder in which this process may make no file, with the error that making one would give.
#[cfg(unix)]
pub(crate) fn check_folder(folder: &Path) -> io::Result<()> {
    use rustix::fs::{Access, access};
    use rustix::io::Errno;
    match access(folder, Access::WRITE_OK | Access::EXEC_OK) {
        Err(error @ (Errno::ACCESS | Errno::PERM | Errno::ROFS)) => Err(error.into()),
        // Some sandboxes answer no such question.
        Ok(()) | Err(_) => Ok(()),
    }
}

/// Elsewhere nothing is known ahead.
#[cfg(not(unix))]
pub(crate) fn check_folder(_: &Path) -> io::Result<()> {
    Ok(())
}

/// The folder `wanted`, or the nearest one above it that is there, in which it would be made.
pub(crate) fn nearest_folder(wanted: &Path) -> &Path {
    wanted.ancestors().find(|folder| folder.exists()).unwrap_or(wanted)
}

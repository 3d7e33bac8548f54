//! Files that are either there whole or not at all. No locking; see [`super::lock`] for that.

use std::fs::{DirBuilder, File};
use std::io::{self, Write};
use std::path::Path;

use tempfile::NamedTempFile;

/// Puts `content` at `path`: what was there stays until all of it is on the disk.
pub(crate) fn write_atomically(path: &Path, content: &[u8]) -> io::Result<()> {
    let folder = folder_of(path);
    let file = new_file_in(folder)?;
    settle(file, path, folder, content)
}

/// The same for what nobody but its owner may read, in a folder that is made where there is none.
pub(crate) fn write_private(path: &Path, content: &[u8]) -> io::Result<()> {
    let folder = folder_of(path);
    let mut builder = DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::DirBuilderExt;
        builder.mode(0o700);
    }
    builder.create(folder)?;
    let file = tempfile::Builder::new().prefix(".new-").tempfile_in(folder)?;
    settle(file, path, folder, content)
}

fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

fn settle(mut file: NamedTempFile, path: &Path, folder: &Path, content: &[u8]) -> io::Result<()> {
    file.write_all(content)?;
    file.as_file().sync_all()?;
    file.persist(path).map_err(|error| error.error)?;
    sync_folder(folder)
}

/// Like [`write_atomically`], for content that its reader checks: it may be lost or damaged in a power cut.
pub(crate) fn write_unsynced(path: &Path, pieces: &[&[u8]]) -> io::Result<()> {
    let mut file = new_file_in(path.parent().unwrap_or(Path::new(".")))?;
    for piece in pieces {
        file.write_all(piece)?;
    }
    file.persist(path).map_err(|error| error.error)?;
    Ok(())
}

/// Like [`write_unsynced`], for what nobody but its owner may read.
pub(crate) fn write_private_unsynced(path: &Path, content: &[u8]) -> io::Result<()> {
    let mut file = tempfile::Builder::new().prefix(".new-").tempfile_in(folder_of(path))?;
    file.write_all(content)?;
    file.persist(path).map_err(|error| error.error)?;
    Ok(())
}

/// Makes the names in `folder` survive a power cut.
pub(crate) fn sync_folder(folder: &Path) -> io::Result<()> {
    // Only Unix lets a folder be opened and synced.
    if cfg!(unix) { File::open(folder)?.sync_all() } else { Ok(()) }
}

fn new_file_in(folder: &Path) -> io::Result<NamedTempFile> {
    let mut builder = tempfile::Builder::new();
    builder.prefix(".new-");
    // A temporary file is private by default, but these become files for whoever the umask lets read them.
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        builder.permissions(std::fs::Permissions::from_mode(0o666));
    }
    builder.tempfile_in(folder)
}

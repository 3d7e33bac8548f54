//! Files that are either there whole or not at all. No locking; see [`super::lock`] for that.

use std::fs::{DirBuilder, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;

/// Puts `content` at `path`: what was there stays until all of it is on the disk.
pub(crate) fn write_atomically(path: &Path, content: &[u8]) -> io::Result<()> {
    settle(path, content)?.put().map(drop)
}

/// Brings `content` to the disk beside `path`, which it replaces once it is told to.
pub(crate) fn settle(path: &Path, content: &[u8]) -> io::Result<Settled> {
    Settled::of(new_file_in(folder_of(path))?, path, content)
}

/// Content that is on the disk and waits for its name; gone where it never gets that.
#[derive(Debug)]
#[must_use = "it has no name yet"]
pub(crate) struct Settled {
    file: NamedTempFile,
    path: PathBuf,
}

impl Settled {
    fn of(mut file: NamedTempFile, path: &Path, content: &[u8]) -> io::Result<Self> {
        file.write_all(content)?;
        file.as_file().sync_all()?;
        Ok(Self { file, path: path.to_owned() })
    }

    /// Gives it its name, also in case of a power cut.
    pub(crate) fn put(self) -> io::Result<File> {
        let file = self.file.persist(&self.path).map_err(|error| error.error)?;
        sync_folder(folder_of(&self.path))?;
        Ok(file)
    }
}

/// Like [`write_atomically`], for what nobody but its owner may read, in a folder that is made where there is none.
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
    Settled::of(file, path, content)?.put().map(drop)
}

fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
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

//! Files and folders that are there whole or not at all, also after a power cut.

use std::fs::{DirBuilder, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use super::leftovers::{Among, Readers, new_file};

/// Puts `content` at `path`, a file of the user's, where nobody but its owner may read it; its folder is made where there
/// is none. What was there stays until all of it is on the disk.
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
    let mut file = new_file(folder, Among::OwnFiles, Readers::Owner)?;
    file.write_all(content)?;
    file.as_file().sync_all()?;
    file.persist(path)?;
    sync_folder(folder)
}

fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Makes the names in `folder` survive a power cut, where its file system can do that.
///
/// # Errors
///
/// Whatever the system says.
pub fn sync_folder(folder: &Path) -> io::Result<()> {
    // Only Unix lets a folder be opened and synced.
    if !cfg!(unix) {
        return Ok(());
    }
    match File::open(folder).and_then(|folder| folder.sync_all()) {
        // A folder that others may only put files into cannot be opened.
        Err(error) if is_unable(&error) || error.kind() == io::ErrorKind::PermissionDenied => Ok(()),
        result => result,
    }
}

/// Makes `folder` and whatever is missing above it, with names that survive a power cut. Says which were made, the outermost
/// first; where one cannot be made, none stays.
///
/// # Errors
///
/// Whatever the system says.
pub fn make_folders(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut made = Vec::new();
    let result = make_missing(folder, &mut made);
    if result.is_err() {
        remove_folders(&made);
    }
    result.map(|()| made)
}

/// What [`make_folders`] would make, the outermost first.
pub(crate) fn missing_folders(folder: &Path) -> Vec<PathBuf> {
    let is_missing = |folder: &&Path| !folder.as_os_str().is_empty() && !folder.is_dir();
    let mut missing: Vec<_> = folder.ancestors().take_while(is_missing).map(Path::to_owned).collect();
    missing.reverse();
    missing
}

fn make_missing(folder: &Path, made: &mut Vec<PathBuf>) -> io::Result<()> {
    for folder in &missing_folders(folder) {
        match std::fs::create_dir(folder) {
            Ok(()) => made.push(folder.to_owned()),
            // Another process has made it meanwhile.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists && folder.is_dir() => {}
            Err(error) => return Err(error),
        }
        sync_folder(folder_of(folder))?;
    }
    Ok(())
}

/// Removes folders that [`make_folders`] made, unless something lies in them by now.
pub fn remove_folders(made: &[PathBuf]) {
    for folder in made.iter().rev() {
        let _ = std::fs::remove_dir(folder);
    }
}

/// Whether a file system says that it has no such thing, as some network file systems say of syncing a folder, and others
/// of modes.
pub fn is_unable(error: &io::Error) -> bool {
    #[cfg(unix)]
    {
        use rustix::io::Errno;
        let unable = [Errno::INVAL, Errno::NOTSUP, Errno::OPNOTSUPP, Errno::NOSYS, Errno::NOTTY];
        error.raw_os_error().is_some_and(|code| unable.iter().any(|errno| errno.raw_os_error() == code))
    }
    #[cfg(not(unix))]
    {
        error.kind() == io::ErrorKind::Unsupported
    }
}

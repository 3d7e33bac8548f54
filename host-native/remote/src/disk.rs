//! Files on disk that are whole under their name or not there at all, and errors that name the file.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use super::RemoteError;
use crate::files::durable::sync_folder;
use crate::files::leftovers::{self, Among, NewFile, Readers};
use crate::files::rights;
use crate::files::whole_file::{self, FileFault, Links};

/// Files of ours that are not finished start with this.
pub(super) const OWN_PREFIX: &str = ".modelops-bundle-";

/// Makes an I/O error into one that names the file.
pub(super) fn cannot(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> RemoteError {
    let path = path.to_owned();
    move |source| RemoteError::Io { action, path, source }
}

/// Makes a file in `folder` that has no name of its own yet, and goes when it is dropped before it gets one.
///
/// # Errors
///
/// [`RemoteError::Io`].
pub fn new_file(folder: &Path) -> Result<NewFile, RemoteError> {
    // What becomes of it is there to be shared: the umask decides, as for any other file.
    leftovers::new_file(folder, Among::OtherFiles, Readers::ByUmask).map_err(cannot("write", folder))
}

/// Refuses a folder in which no file could be made, and makes none.
///
/// # Errors
///
/// [`RemoteError::Io`], as making a file would give.
pub fn check_folder(folder: &Path) -> Result<(), RemoteError> {
    rights::check_folder(folder).map_err(cannot("write", folder))
}

/// Gives a file that is whole its name, once all of it is on disk.
///
/// # Errors
///
/// [`RemoteError::Io`].
pub fn put_in_place(file: NewFile, target: &Path) -> Result<(), RemoteError> {
    file.as_file().sync_all().map_err(cannot("write", target))?;
    file.persist(target).map_err(cannot("write", target))?;
    // The name itself is only safe once its directory is.
    match target.parent() {
        Some(parent) => sync_folder(parent).map_err(cannot("write", target)),
        None => Ok(()),
    }
}

/// Opens a regular file; `None` where nothing is of that name.
///
/// # Errors
///
/// `not_regular` makes the error where it is something else.
pub(crate) fn open_regular(
    path: &Path,
    not_regular: impl FnOnce(PathBuf) -> RemoteError,
) -> Result<Option<(File, u64)>, RemoteError> {
    let file = match whole_file::open(path, Links::Follow) {
        Ok(file) => file,
        Err(error) if is_absent(&error) => return Ok(None),
        Err(error) if FileFault::of(&error).is_some() => return Err(not_regular(path.to_owned())),
        Err(error) => return Err(cannot("read", path)(error)),
    };
    let length = file.metadata().map_err(cannot("read", path))?.len();
    Ok(Some((file, length)))
}

/// Whether an error says that nothing is there.
pub(super) fn is_absent(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

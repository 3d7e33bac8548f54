//! The project's own folder, and the folders in it, as handles: no link is followed to get into one.
//!
//! A project may have come from anybody, so what lies in its own folder is input. Were `cache` a link to somewhere else,
//! whatever is written to the cache would be written there. So each folder is opened from the handle of the one that it
//! lies in, files are written beside their name and get it by a rename, and a link at that name is replaced and not
//! written through.

use std::fs::File;
use std::io::{self, ErrorKind, Write as _};
use std::path::{Path, PathBuf};

use cap_fs_ext::{DirExt as _, FollowSymlinks, OpenOptionsFollowExt as _, OpenOptionsSyncExt as _};
use cap_std::ambient_authority;
use cap_std::fs::{Dir, OpenOptions};

use super::folder::{PROJECT_FOLDER, Project};
use super::parents::Missing;
use crate::leftovers::{Among, NewFile, new_file_by};
use crate::project::atomic::is_unable;
use crate::whole_file::{FileFault, check_regular, read_open};

/// Who may read a file that is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Access {
    /// Whoever the umask lets.
    Shared,
    /// Its owner alone.
    Private,
}

/// A folder of ours.
#[derive(Debug)]
pub(crate) struct OwnFolder {
    dir: Dir,
    /// Where it is, for messages and for who can only go by paths.
    path: PathBuf,
}

impl OwnFolder {
    /// The own folder of `project`.
    ///
    /// # Errors
    ///
    /// [`FileFault::Link`] where that is a link, and whatever the system says.
    pub(crate) fn of(project: &Project) -> io::Result<Self> {
        let root = Dir::open_ambient_dir(project.root(), ambient_authority())?;
        let root = Self { dir: root, path: project.root().to_owned() };
        root.below(PROJECT_FOLDER, Missing::Leave)?.ok_or_else(|| ErrorKind::NotFound.into())
    }

    /// The cache folder of `project`; `None` where it is not there, and `missing` says to leave it so.
    pub(crate) fn cache(project: &Project, missing: Missing) -> io::Result<Option<Self>> {
        Self::of(project)?.below("cache", missing)
    }

    /// Puts `pieces` at `name` in the cache folder of `project`, as [`Self::write_unsynced`] does.
    pub(crate) fn write_cache(project: &Project, name: &str, pieces: &[&[u8]]) -> io::Result<()> {
        let cache = Self::cache(project, Missing::Create)?.ok_or(ErrorKind::NotFound)?;
        cache.write_unsynced(name, pieces, Access::Shared)
    }

    /// The folder `name` in this one, as [`Self::cache`].
    pub(crate) fn below(&self, name: &str, missing: Missing) -> io::Result<Option<Self>> {
        let path = self.path.join(name);
        match self.dir.open_dir_nofollow(name) {
            Ok(dir) => Ok(Some(Self { dir, path })),
            Err(error) if error.kind() == ErrorKind::NotFound => {
                if missing == Missing::Leave {
                    return Ok(None);
                }
                match self.dir.create_dir(name) {
                    // Another process was quicker; what it made is opened as anything else.
                    Err(error) if error.kind() != ErrorKind::AlreadyExists => return Err(error),
                    _ => {}
                }
                let dir = self.dir.open_dir_nofollow(name).map_err(|error| self.fault(name, error))?;
                Ok(Some(Self { dir, path }))
            }
            Err(error) => Err(self.fault(name, error)),
        }
    }

    /// Another handle of it.
    pub(crate) fn try_clone(&self) -> io::Result<Self> {
        Ok(Self { dir: self.dir.try_clone()?, path: self.path.clone() })
    }

    /// The handle.
    pub(crate) fn dir(&self) -> &Dir {
        &self.dir
    }

    /// The handle alone.
    pub(crate) fn into_dir(self) -> Dir {
        self.dir
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Opens the regular file `name`, and waits for nobody.
    ///
    /// # Errors
    ///
    /// A [`FileFault`] where it is something else, and whatever the system says.
    pub(crate) fn open(&self, name: &str) -> io::Result<File> {
        let mut options = OpenOptions::new();
        options.read(true).nonblock(true).follow(FollowSymlinks::No);
        let file = self.dir.open_with(name, &options).map_err(|error| self.fault(name, error))?.into_std();
        check_regular(&file)?;
        Ok(file)
    }

    /// Opens the regular file `name` to be locked, and makes it where there is none; as [`Self::open`].
    pub(crate) fn open_lock(&self, name: &str) -> io::Result<File> {
        let mut options = OpenOptions::new();
        options.write(true).create(true).nonblock(true).follow(FollowSymlinks::No);
        let file = self.dir.open_with(name, &options).map_err(|error| self.fault(name, error))?.into_std();
        check_regular(&file)?;
        Ok(file)
    }

    /// Reads the file `name`, of at most `limit` bytes; as [`Self::open`].
    pub(crate) fn read(&self, name: &str, limit: u64) -> io::Result<Vec<u8>> {
        read_open(&self.open(name)?, limit)
    }

    /// Makes a file that has no name of its own yet, and goes when it is dropped before [`Self::put`] gives it one.
    pub(crate) fn new_file(&self, access: Access) -> io::Result<NewFile> {
        new_file_by(&self.path, Among::OwnFiles, |path| {
            let name = path.file_name().ok_or(ErrorKind::InvalidInput)?;
            let mut options = OpenOptions::new();
            options.read(true).write(true).create_new(true);
            #[cfg(unix)]
            {
                use cap_std::fs::OpenOptionsExt as _;
                options.mode(if access == Access::Shared { 0o666 } else { 0o600 });
            }
            #[cfg(not(unix))]
            let _ = access;
            Ok(self.dir.open_with(name, &options)?.into_std())
        })
    }

    /// Gives `file`, which [`Self::new_file`] made here, the name `name`.
    pub(crate) fn put(&self, file: NewFile, name: &str) -> io::Result<File> {
        let (file, mut path) = file.into_parts();
        let own = path.file_name().ok_or(ErrorKind::InvalidInput)?;
        self.dir.rename(own, &self.dir, name)?;
        path.disable_cleanup(true);
        Ok(file)
    }

    /// Puts `pieces` at `name` for whoever `access` lets read them. What a power cut makes of it is left open: for content
    /// that its reader checks.
    pub(crate) fn write_unsynced(&self, name: &str, pieces: &[&[u8]], access: Access) -> io::Result<()> {
        let mut file = self.new_file(access)?;
        for piece in pieces {
            file.write_all(piece)?;
        }
        self.put(file, name).map(drop)
    }

    /// Removes the entry `name`, a link itself and not what it points to; that there is none is fine.
    pub(crate) fn remove_file(&self, name: &str) -> io::Result<()> {
        match self.dir.remove_file(name) {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    /// Makes the names in it survive a power cut, where its file system can do that.
    pub(crate) fn sync(&self) -> io::Result<()> {
        // Only Unix lets a folder be synced.
        if !cfg!(unix) {
            return Ok(());
        }
        match self.dir.open(".").and_then(|folder| folder.sync_all()) {
            Err(error) if is_unable(&error) || error.kind() == ErrorKind::PermissionDenied => Ok(()),
            result => result,
        }
    }

    /// Why `name` could not be opened, by what lies there.
    fn fault(&self, name: &str, error: io::Error) -> io::Error {
        match self.dir.symlink_metadata(name) {
            Ok(found) if found.is_symlink() => FileFault::Link.into(),
            Ok(found) if !found.is_file() && !found.is_dir() => FileFault::NotRegular.into(),
            _ => error,
        }
    }
}

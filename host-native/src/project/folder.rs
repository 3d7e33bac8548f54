//! Where a project is, and where the files in its own folder lie. What is in those files: the modules beside this.

use std::io;
use std::path::{Path, PathBuf};

use thiserror::Error;

use super::atomic::make_folders;
use crate::whole_file::FileFault;

/// The folder that makes a folder a project.
pub const PROJECT_FOLDER: &str = ".modelops-bundle";

/// The name of each file of ours in that folder.
pub(crate) const CONFIG: &str = "config.yaml";
pub(crate) const STATE: &str = "state.json";
pub(crate) const SYNCED: &str = "synced.json";
pub(crate) const ENVIRONMENT: &str = "env";
pub(crate) const LOCK: &str = "lock";
pub(crate) const LOCK_HOLDER: &str = "lock.json";
pub(crate) const JOURNAL: &str = "journal.json";

/// The name of each file in the cache folder.
pub(crate) const DIGEST_CACHE: &str = "digests";
pub(crate) const INDEX_CACHE: &str = "index";
pub(crate) const STATE_CACHE: &str = "state";
pub(crate) const INTERRUPTED: &str = "interrupted";
pub(crate) const UPLOAD_RECORD: &str = "uploads.json";

/// The folders in that folder.
pub(crate) const STAGING: &str = "staging";
pub(crate) const RESCUED: &str = "rescued";
pub(crate) const CACHE: &str = "cache";
pub(crate) const UNDO: &str = "undo";
/// In the cache folder.
pub(crate) const TABLES: &str = "tables";

/// A project: a folder that holds [`PROJECT_FOLDER`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Project {
    root: PathBuf,
}

impl Project {
    /// Finds the project that `start` lies in: the nearest folder upwards that is one.
    pub fn find(start: &Path) -> Result<Self, FindError> {
        let fault = |source| FindError::Start { start: start.to_owned(), source };
        let start = start.canonicalize().map_err(fault)?;
        let Some(root) = start.ancestors().find(|folder| is_project(folder)) else {
            return Err(FindError::NoProject { start });
        };
        match refuse_link(root) {
            Ok(()) => Ok(Self { root: root.to_owned() }),
            Err(source) => Err(FindError::OwnFolder { folder: root.join(PROJECT_FOLDER), source }),
        }
    }

    /// Makes `folder` a project, and the folder itself if it is not there; leaves one that is a project as it is.
    pub fn create(folder: &Path) -> io::Result<Self> {
        make_folders(&folder.join(PROJECT_FOLDER))?;
        refuse_link(folder)?;
        Ok(Self { root: folder.canonicalize()? })
    }

    /// Looks at `folder`, which is there, as if it were a project that knows of nothing; makes nothing.
    pub fn imagine(folder: &Path) -> io::Result<Self> {
        Ok(Self { root: folder.canonicalize()? })
    }

    /// The project that [`create`](Self::create) would make of `folder`, which is absolute; nothing is made.
    pub fn to_be(folder: &Path) -> io::Result<Self> {
        let fault = || io::Error::from(io::ErrorKind::NotFound);
        let there = folder.ancestors().find(|folder| folder.exists()).ok_or_else(fault)?;
        if !there.is_dir() {
            return Err(io::ErrorKind::NotADirectory.into());
        }
        let root = there.canonicalize()?.join(folder.strip_prefix(there).map_err(io::Error::other)?);
        // A path that ends with a separator has another text.
        Ok(Self { root: root.components().collect() })
    }

    /// The top folder, absolute and free of links.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The project's own folder.
    pub fn folder(&self) -> PathBuf {
        self.root.join(PROJECT_FOLDER)
    }

    /// The settings; see [`super::config`].
    pub fn config_file(&self) -> PathBuf {
        self.in_folder(CONFIG)
    }

    /// What was last synced; see [`super::state`].
    pub fn state_file(&self) -> PathBuf {
        self.in_folder(STATE)
    }

    /// The name of the pinned environment.
    pub fn environment_file(&self) -> PathBuf {
        self.in_folder(ENVIRONMENT)
    }

    /// The file that a writer locks; see [`super::lock`].
    pub fn lock_file(&self) -> PathBuf {
        self.in_folder(LOCK)
    }

    /// Who holds the lock.
    pub fn lock_holder_file(&self) -> PathBuf {
        self.in_folder(LOCK_HOLDER)
    }

    /// The promise that a commit will be finished; see [`super::journal`].
    pub fn journal_file(&self) -> PathBuf {
        self.in_folder(JOURNAL)
    }

    /// Downloads that are not part of the project yet; see [`super::staging`].
    pub fn staging_folder(&self) -> PathBuf {
        self.in_folder(STAGING)
    }

    /// Says that the project is not complete yet; see [`super::new_project`].
    pub(crate) fn newborn_file(&self) -> PathBuf {
        self.in_folder("newborn")
    }

    /// Files of the user that stood where a commit had to go on.
    pub fn rescued_folder(&self) -> PathBuf {
        self.in_folder(RESCUED)
    }

    /// What operations took away; see [`super::undo`].
    pub fn undo_folder(&self) -> PathBuf {
        self.in_folder(UNDO)
    }

    /// What can be made again.
    pub fn cache_folder(&self) -> PathBuf {
        self.in_folder(CACHE)
    }

    /// Digests of files as they were last read; see [`crate::scan::digest_cache`].
    pub fn digest_cache_file(&self) -> PathBuf {
        self.cache_folder().join(DIGEST_CACHE)
    }

    /// What the core said of the last index; see [`super::index_cache`].
    pub fn index_cache_file(&self) -> PathBuf {
        self.cache_folder().join(INDEX_CACHE)
    }

    /// The state in a form that is read faster; see [`super::state_cache`].
    pub fn state_cache_file(&self) -> PathBuf {
        self.cache_folder().join(STATE_CACHE)
    }

    /// Which uploads are under way; see [`crate::push::UploadRecord`].
    pub fn upload_record_file(&self) -> PathBuf {
        self.cache_folder().join(UPLOAD_RECORD)
    }

    /// Tables of packs that were fetched or made; see [`crate::transfer`].
    pub fn tables_folder(&self) -> PathBuf {
        self.cache_folder().join(TABLES)
    }

    pub(crate) fn in_folder(&self, name: &str) -> PathBuf {
        self.root.join(PROJECT_FOLDER).join(name)
    }
}

/// Whether `folder` is a project, and no folder that a killed command was about to make one.
pub fn is_project(folder: &Path) -> bool {
    let project = Project { root: folder.to_owned() };
    project.folder().is_dir() && (!is_there(&project.newborn_file()) || project.has_come_alive())
}

/// Whether an entry has that name, whatever it is.
fn is_there(path: &Path) -> bool {
    path.symlink_metadata().is_ok()
}

/// What is written to our own folder must not land in another one.
pub(crate) fn refuse_link(root: &Path) -> io::Result<()> {
    match root.join(PROJECT_FOLDER).symlink_metadata()?.is_symlink() {
        true => Err(FileFault::Link.into()),
        false => Ok(()),
    }
}

impl Project {
    /// Whether something was synced, or is about to be.
    pub(crate) fn has_come_alive(&self) -> bool {
        is_there(&self.state_file()) || is_there(&self.journal_file())
    }
}

/// Why no project was found.
#[derive(Debug, Error)]
pub enum FindError {
    /// No folder upwards from `start` is a project.
    #[error("{} is not in a project: no folder upwards has a {PROJECT_FOLDER} folder", start.display())]
    NoProject {
        /// Where the search began.
        start: PathBuf,
    },
    /// The project's own folder is none to work in.
    #[error("cannot use {}", folder.display())]
    OwnFolder {
        /// That folder.
        folder: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The folder to start in cannot be entered.
    #[error("cannot enter {}", start.display())]
    Start {
        /// Where the search was to begin.
        start: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::*;

    #[test]
    fn is_found_from_below_and_only_there() {
        let folder = TempDir::new().unwrap();
        let made = Project::create(&folder.path().join("p")).unwrap();
        let deep = made.root().join("a/b");
        std::fs::create_dir_all(&deep).unwrap();
        assert_eq!(Project::find(&deep).unwrap(), made);
        assert_eq!(Project::create(made.root()).unwrap(), made);
        assert!(matches!(Project::find(folder.path()), Err(FindError::NoProject { .. })));
        assert!(matches!(Project::find(&deep.join("c")), Err(FindError::Start { .. })));
    }
}

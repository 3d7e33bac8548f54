//! Where a project is, and where the files in its own folder lie. What is in those files: the modules beside this.

use std::io;
use std::path::{Path, PathBuf};

use thiserror::Error;

use super::atomic::make_folders;

/// The folder that makes a folder a project.
pub const PROJECT_FOLDER: &str = ".modelops-bundle";

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
        let root = start.ancestors().find(|folder| is_project(folder));
        match root {
            Some(root) => Ok(Self { root: root.to_owned() }),
            None => Err(FindError::NoProject { start }),
        }
    }

    /// Makes `folder` a project, and the folder itself if it is not there; leaves one that is a project as it is.
    pub fn create(folder: &Path) -> io::Result<Self> {
        make_folders(&folder.join(PROJECT_FOLDER))?;
        Ok(Self { root: folder.canonicalize()? })
    }

    /// Looks at `folder`, which is there, as if it were a project that knows of nothing; makes nothing.
    pub fn imagine(folder: &Path) -> io::Result<Self> {
        Ok(Self { root: folder.canonicalize()? })
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
        self.in_folder("config.yaml")
    }

    /// What was last synced; see [`super::state`].
    pub fn state_file(&self) -> PathBuf {
        self.in_folder("state.json")
    }

    /// The name of the pinned environment.
    pub fn environment_file(&self) -> PathBuf {
        self.in_folder("env")
    }

    /// The file that a writer locks; see [`super::lock`].
    pub fn lock_file(&self) -> PathBuf {
        self.in_folder("lock")
    }

    /// Who holds the lock.
    pub fn lock_holder_file(&self) -> PathBuf {
        self.in_folder("lock.json")
    }

    /// The promise that a commit will be finished; see [`super::journal`].
    pub fn journal_file(&self) -> PathBuf {
        self.in_folder("journal.json")
    }

    /// Downloads that are not part of the project yet; see [`super::staging`].
    pub fn staging_folder(&self) -> PathBuf {
        self.in_folder("staging")
    }

    /// Says that the project is not complete yet; see [`super::new_project`].
    pub(crate) fn newborn_file(&self) -> PathBuf {
        self.in_folder("newborn")
    }

    /// Files of the user that stood where a commit had to go on.
    pub fn rescued_folder(&self) -> PathBuf {
        self.in_folder("rescued")
    }

    /// What can be made again.
    pub fn cache_folder(&self) -> PathBuf {
        self.in_folder("cache")
    }

    /// Digests of files as they were last read; see [`crate::scan::digest_cache`].
    pub fn digest_cache_file(&self) -> PathBuf {
        self.cache_folder().join("digests")
    }

    /// What the core said of the last index; see [`super::index_cache`].
    pub fn index_cache_file(&self) -> PathBuf {
        self.cache_folder().join("index")
    }

    /// The state in a form that is read faster; see [`super::state_cache`].
    pub fn state_cache_file(&self) -> PathBuf {
        self.cache_folder().join("state")
    }

    /// Which uploads are under way; see [`crate::push::UploadRecord`].
    pub fn upload_record_file(&self) -> PathBuf {
        self.cache_folder().join("uploads.json")
    }

    /// Tables of packs that were fetched or made; see [`crate::transfer`].
    pub fn tables_folder(&self) -> PathBuf {
        self.cache_folder().join("tables")
    }

    pub(crate) fn in_folder(&self, name: &str) -> PathBuf {
        self.root.join(PROJECT_FOLDER).join(name)
    }
}

/// Whether `folder` is a project, and no folder that a killed command was about to make one.
pub fn is_project(folder: &Path) -> bool {
    let project = Project { root: folder.to_owned() };
    project.folder().is_dir() && (!project.newborn_file().exists() || project.has_come_alive())
}

impl Project {
    /// Whether something was synced, or is about to be.
    pub(crate) fn has_come_alive(&self) -> bool {
        self.state_file().exists() || self.journal_file().exists()
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

//! How an operation comes into a project: it is found, locked, put in order after a crash, and read; or a folder becomes
//! one.

use std::io;
use std::path::{Path, PathBuf};

use bundle_core::file::{ByPath, File};
use bundle_core::name::reference::Reference;
use thiserror::Error;

use crate::project::cache_key::make_cache_key;
use crate::project::config::ConfigError;
use crate::project::folder::FindError;
use crate::project::git::{MAX_BYTES, ignores_project_folder};
use crate::project::lock::{LockError, Patience};
use crate::project::new_project::{BeginError, Birth, complete};
use crate::project::recovery::{RecoverError, Recovery, recover_locked};
use crate::project::{NewProject, Project, ProjectLock};
use crate::whole_file::{self, FileFault, Links};
use crate::workspace::{GENERATED_GITIGNORE, GITIGNORE, LoadError, Workspace};

/// A project that an operation holds the lock of.
#[derive(Debug)]
#[must_use = "dropped, it lets go of the lock, and of a project that was made for it"]
pub struct Entered {
    /// Where it is one only if the operation succeeds. Dropped first: what is taken away is taken away under the lock.
    new: Option<NewProject>,
    /// The lock.
    pub lock: ProjectLock,
    /// What the project's folder says.
    pub workspace: Workspace,
    /// What was found of an operation that a crash had broken off, and done about it.
    pub recovery: Recovery,
    /// What became of the project's `.gitignore`.
    pub gitignore: GitIgnore,
}

/// What became of a project's `.gitignore`, which has git ignore the project's own folder.
#[derive(Debug, Default)]
pub enum GitIgnore {
    /// It says so already, or is none of this operation's business.
    #[default]
    Stays,
    /// It was made, or has a further line.
    Changed,
    /// It is no regular file, or too large, and is left as it is.
    LeftAlone {
        /// The file.
        file: PathBuf,
        /// What is wrong with it.
        fault: io::Error,
    },
}

impl Entered {
    /// Enters the project that `folder` lies in; `purpose` tells others who holds its lock.
    ///
    /// # Errors
    ///
    /// There is no project, another process holds its lock for longer than `patience` lasts, or it cannot be read.
    pub fn find(folder: &Path, purpose: &str, patience: impl Patience) -> Result<Self, EnterError> {
        let project = Project::find(folder)?;
        Self::of(ProjectLock::acquire(&project, purpose, patience)?)
    }

    /// Enters the project that `lock` holds.
    ///
    /// # Errors
    ///
    /// It cannot be put in order, or not be read.
    pub fn of(lock: ProjectLock) -> Result<Self, EnterError> {
        let recovery = recover_locked(&lock)?;
        complete(&lock).map_err(|source| EnterError::Birth { source })?;
        let workspace = Workspace::load(lock.project().clone())?;
        Ok(Self { new: None, lock, workspace, recovery, gitignore: GitIgnore::default() })
    }

    /// Makes `folder` a project whose remote is at the place of `reference`, for `files` to come to it. It is one once it is
    /// [kept](Self::keep).
    ///
    /// # Errors
    ///
    /// The folder cannot be made or written to.
    pub fn make(
        folder: &Path,
        reference: &Reference,
        files: &ByPath<File>,
        lock: impl Fn(&Project) -> Result<ProjectLock, LockError>,
    ) -> Result<Self, EnterError> {
        let (new, lock) = NewProject::begin(folder, GITIGNORE, lock)?;
        make_cache_key();
        let mut entered = Self { new: Some(new), ..Self::of(lock)? };
        let config = &mut entered.workspace.config;
        config.set_value("registry_ref", reference.without_version().to_string().into())?;
        let tag = reference.tag.as_ref().unwrap_or(&config.default_tag).to_string();
        config.set_value("default_tag", tag.into())?;
        config.write(&entered.workspace.project)?;
        // Where the bundle brings one, that is the one.
        if files.iter().all(|file| file.path.as_str() != GITIGNORE) {
            entered.gitignore = ignore_in_git(entered.workspace.root())?;
        }
        Ok(entered)
    }

    /// Whether it was made by this operation.
    pub fn is_new(&self) -> bool {
        self.new.is_some()
    }

    /// The operation succeeded: a project that was made for it stays. Says whether the folder was none before.
    ///
    /// # Errors
    ///
    /// It cannot be marked as one.
    pub fn keep(self) -> Result<Birth, EnterError> {
        match self.new {
            Some(new) => new.keep().map_err(|source| EnterError::Birth { source }),
            None => Ok(Birth::Earlier),
        }
    }
}

/// Has git ignore the project's own folder in the project at `root`.
fn ignore_in_git(root: &Path) -> Result<GitIgnore, EnterError> {
    let file = root.join(GITIGNORE);
    match add_to_gitignore(root, &file) {
        Ok(gitignore) => Ok(gitignore),
        // Git follows no such link either. The project is as good without.
        Err(fault) if FileFault::of(&fault).is_some() => Ok(GitIgnore::LeftAlone { file, fault }),
        Err(source) => Err(EnterError::GitIgnore { file, source }),
    }
}

fn add_to_gitignore(root: &Path, file: &Path) -> io::Result<GitIgnore> {
    if ignores_project_folder(root)? {
        return Ok(GitIgnore::Stays);
    }
    let text = match whole_file::read(file, MAX_BYTES, Links::Refuse) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
        Err(error) => return Err(error),
    };
    let separator = if text.is_empty() || text.ends_with(b"\n") { "" } else { "\n" };
    whole_file::append(file, format!("{separator}{GENERATED_GITIGNORE}").as_bytes())?;
    Ok(GitIgnore::Changed)
}

/// Why an operation could not come into a project.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum EnterError {
    /// The folder cannot become a project.
    #[error(transparent)]
    Begin(#[from] BeginError),
    /// The project cannot be marked as one.
    #[error("cannot finish the new project")]
    Birth {
        /// What the system said.
        source: io::Error,
    },
    /// Its settings cannot be written.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// There is no project.
    #[error(transparent)]
    Find(#[from] FindError),
    /// Its `.gitignore` cannot be changed.
    #[error("cannot change {}", file.display())]
    GitIgnore {
        /// The file.
        file: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// It cannot be read.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// Another process holds its lock.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// It cannot be put in order after a crash.
    #[error(transparent)]
    Recover(#[from] RecoverError),
    /// A setting cannot be made.
    #[error(transparent)]
    Set(#[from] crate::project::config::SetError),
}

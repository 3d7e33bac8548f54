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
use crate::project::lock::LockError;
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

    /// Enters `folder`, which is a project once this is [kept](Self::keep), if it is none yet.
    ///
    /// # Errors
    ///
    /// The folder cannot be made or written to, or as [`Self::of`].
    pub fn begin(
        folder: &Path,
        lock: impl Fn(&Project) -> Result<ProjectLock, LockError>,
    ) -> Result<Self, EnterError> {
        let (new, lock) = NewProject::begin(folder, GITIGNORE, lock)?;
        make_cache_key();
        Ok(Self { new: Some(new), ..Self::of(lock)? })
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
        let mut entered = Self::begin(folder, lock)?;
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

    /// The operation succeeded: a project that was made for it stays.
    ///
    /// # Errors
    ///
    /// It cannot be marked as one.
    pub fn keep(self) -> Result<Kept, EnterError> {
        let birth = match self.new {
            Some(new) => new.keep().map_err(|source| EnterError::Birth { source })?,
            None => Birth::Earlier,
        };
        Ok(Kept { birth, workspace: self.workspace, gitignore: self.gitignore })
    }
}

/// A project that an operation has left.
#[derive(Debug)]
pub struct Kept {
    /// Whether the operation made it.
    pub birth: Birth,
    /// What its folder said when the operation came.
    pub workspace: Workspace,
    /// What became of its `.gitignore`.
    pub gitignore: GitIgnore,
}

/// Has git ignore the project's own folder in the project at `root`.
///
/// # Errors
///
/// The `.gitignore` cannot be read or written.
pub fn ignore_in_git(root: &Path) -> Result<GitIgnore, EnterError> {
    let add = |file: &Path, text: &[u8]| {
        let separator = if text.is_empty() || text.ends_with(b"\n") { "" } else { "\n" };
        whole_file::append(file, format!("{separator}{GENERATED_GITIGNORE}").as_bytes())
    };
    settle_gitignore(root, add)
}

/// What [`ignore_in_git`] would come to; changes nothing.
///
/// # Errors
///
/// As that, as far as it can be told.
pub fn foresee_ignoring(root: &Path) -> Result<GitIgnore, EnterError> {
    settle_gitignore(root, |_, _| Ok(()))
}

/// Finds out whether git ignores the project's own folder, and has `add` say so in the `.gitignore` with that text if not.
fn settle_gitignore(
    root: &Path,
    add: impl Fn(&Path, &[u8]) -> io::Result<()>,
) -> Result<GitIgnore, EnterError> {
    let file = root.join(GITIGNORE);
    let settle = || {
        if ignores_project_folder(root)? {
            return Ok(GitIgnore::Stays);
        }
        let text = match whole_file::read(&file, MAX_BYTES, Links::Refuse) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            read => read?,
        };
        add(&file, &text)?;
        Ok(GitIgnore::Changed)
    };
    match settle() {
        Ok(outcome) => Ok(outcome),
        // Git follows no such link either. The project is as good without.
        Err(fault) if FileFault::of(&fault).is_some() => Ok(GitIgnore::LeftAlone { file, fault }),
        Err(source) => Err(EnterError::GitIgnore { file, source }),
    }
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

//! Puts a project in order after a crash: finishes what was promised, clears away what was not.
//!
//! How a promise is kept is the matter of [`super::apply`].

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use thiserror::Error;

use super::apply::apply;
pub use super::apply::{Applied, ApplyError};
use super::folder::Project;
use super::journal::{Journal, JournalError};
use super::lock::{LockError, ProjectLock};
use super::new_folders::NewFolders;
use super::staging::clear;

/// What was found at the start of a command, and done about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Recovery {
    /// An earlier command died while it downloaded; what it had staged is gone.
    DiscardedStaging,
    /// An earlier command died while it changed the project; its work is finished.
    Finished(Applied),
    /// All was in order.
    NothingToDo,
}

/// Puts `project` in order after a crash; to be called at the start of every command that holds no lock.
///
/// When another process is in the middle of changing the project, this waits for it for as long as `patience`.
/// Without anything to do it costs two looks at the disk.
pub fn recover(project: &Project, patience: Duration) -> Result<Recovery, RecoverError> {
    let is_promised = project.journal_file().exists();
    if !is_promised && !project.staging_folder().exists() {
        return Ok(Recovery::NothingToDo);
    }
    let patience = if is_promised { patience } else { Duration::ZERO };
    match ProjectLock::acquire(project, "recovery", patience) {
        Ok(lock) => recover_locked(&lock),
        // Staged files of a pull that is still at work.
        Err(LockError::Held { .. }) if !is_promised => Ok(Recovery::NothingToDo),
        Err(source) => Err(RecoverError::Lock { source }),
    }
}

/// Like [`recover`], for a command that holds the lock.
pub fn recover_locked(lock: &ProjectLock) -> Result<Recovery, RecoverError> {
    let project = lock.project();
    if let Some(journal) = Journal::read(project).map_err(|source| RecoverError::Journal { source })? {
        let applied = apply(project, &journal, &NewFolders::default(), &mut |_| Ok(()));
        return applied.map(Recovery::Finished).map_err(|source| RecoverError::Apply { source });
    }
    let folder = project.staging_folder();
    if !folder.exists() {
        return Ok(Recovery::NothingToDo);
    }
    clear(&folder).map_err(|source| RecoverError::Discard { folder, source })?;
    Ok(Recovery::DiscardedStaging)
}

/// Why a project could not be put in order.
#[derive(Debug, Error)]
pub enum RecoverError {
    /// An interrupted change could not be finished.
    #[error("an earlier command was interrupted, and its changes cannot be finished")]
    Apply {
        /// Why not.
        source: ApplyError,
    },
    /// Files that an interrupted command left could not be removed.
    #[error("cannot clear {}", folder.display())]
    Discard {
        /// The staging folder.
        folder: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The journal of an interrupted command could not be read.
    #[error("an earlier command was interrupted, and its journal cannot be read")]
    Journal {
        /// Why not.
        source: JournalError,
    },
    /// The project could not be locked.
    #[error("an earlier command has not finished its changes")]
    Lock {
        /// Why not.
        source: LockError,
    },
}

#[cfg(test)]
#[cfg(unix)]
mod tests;

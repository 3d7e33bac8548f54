//! Puts a project in order after a crash: finishes what was promised, clears away what was not.
//!
//! How a promise is kept is the matter of [`super::apply`]. One that the system does not let be kept is taken back; a
//! project is never left waiting for an obstacle that may stay for good.

use std::error::Error as _;
use std::time::Duration;

use thiserror::Error;

pub use super::apply::{Applied, ApplyError};
use super::apply::{Broken, CameTo, apply};
use super::folder::Project;
use super::journal::{Journal, JournalError};
use super::lock::{LockError, Patience, ProjectLock};
use super::new_folders::NewFolders;
pub use super::roll_back::{RollBackError, RolledBack};
use super::roll_back::{WhenRefused, roll_back};
use super::staging::clear;

/// What was found at the start of a command, and done about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Recovery {
    /// An earlier command died while it downloaded; what it had staged is gone.
    DiscardedStaging,
    /// An earlier command died while it changed the project; its work is finished.
    Finished(Applied),
    /// The same, but its work can neither be finished nor be taken back as a whole.
    GivenUp {
        /// Why it cannot be finished.
        reason: String,
        /// What is not as it was.
        back: RolledBack,
    },
    /// All was in order.
    NothingToDo,
    /// An earlier command died while it changed the project, and its work cannot be finished: the project is as it was
    /// before.
    Undone {
        /// Why it cannot be finished.
        reason: String,
        /// What is not quite as it was.
        back: RolledBack,
    },
}

/// Puts `project` in order after a crash; to be called at the start of every command that holds no lock.
///
/// When another process is in the middle of changing the project, this waits for it for as long as `patience` lasts.
/// Without anything to do it costs two looks at the disk.
pub fn recover(project: &Project, patience: impl Patience) -> Result<Recovery, RecoverError> {
    let is_promised = project.journal_file().exists();
    if !is_promised && !project.staging_folder().exists() {
        return Ok(Recovery::NothingToDo);
    }
    let lock = match is_promised {
        true => ProjectLock::acquire(project, "recovery", patience),
        false => ProjectLock::acquire(project, "recovery", Duration::ZERO),
    };
    match lock {
        Ok(lock) => recover_locked(&lock),
        // Staged files of a pull that is still at work, or what this user may not clear away.
        Err(_) if !is_promised => Ok(Recovery::NothingToDo),
        Err(source) => Err(RecoverError::Lock { source }),
    }
}

/// Like [`recover`], for a command that holds the lock.
pub fn recover_locked(lock: &ProjectLock) -> Result<Recovery, RecoverError> {
    let project = lock.project();
    if let Some(journal) = Journal::read(project).map_err(|source| RecoverError::Journal { source })? {
        return match apply(project, &journal, &NewFolders::default(), &mut |_| Ok(())) {
            Ok(applied) => Ok(Recovery::Finished(applied)),
            // What is left behind harms nobody but for the journal, and that goes as soon as it can.
            Err(broken) if broken.came_to == CameTo::All => Ok(Recovery::Finished(broken.applied)),
            Err(broken) => back_out(project, &journal, broken),
        };
    }
    let folder = project.staging_folder();
    if !folder.exists() {
        return Ok(Recovery::NothingToDo);
    }
    // What cannot be cleared away is in the way of a pull, which says so, and of nothing else.
    Ok(if clear(&folder).is_ok() { Recovery::DiscardedStaging } else { Recovery::NothingToDo })
}

/// Takes back what cannot be finished; what cannot be taken back either is kept aside, so that the project can be used.
fn back_out(project: &Project, journal: &Journal, broken: Broken) -> Result<Recovery, RecoverError> {
    let Broken { cause, applied, .. } = broken;
    let reason = reason(&cause);
    let back = |when_refused| roll_back(project, journal, &applied.rescued, when_refused, &mut |_| Ok(()));
    if let Ok(back) = back(WhenRefused::Wait) {
        return Ok(Recovery::Undone { reason, back });
    }
    match back(WhenRefused::GiveUp) {
        Ok(back) => Ok(Recovery::GivenUp { reason, back }),
        Err(back) => Err(RecoverError::Apply { source: cause, back }),
    }
}

/// What went wrong, and all that lies behind it.
fn reason(error: &ApplyError) -> String {
    let mut reason = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        reason.push_str(": ");
        reason.push_str(&cause.to_string());
        source = cause.source();
    }
    reason
}

/// Why a project could not be put in order.
#[derive(Debug, Error)]
pub enum RecoverError {
    /// An interrupted change could not be finished.
    #[error("an earlier command was interrupted, and its changes can neither be finished nor be taken back")]
    Apply {
        /// Why they cannot be finished.
        source: ApplyError,
        /// Why they cannot be taken back.
        back: RollBackError,
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

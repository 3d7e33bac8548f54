//! Puts a project in order after a crash: finishes what was promised, clears away what was not.
//!
//! How a promise is kept is the matter of [`super::apply`]. One that the system does not let be kept is taken back; a
//! project is never left waiting for an obstacle that may stay for good.

use std::error::Error as _;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use thiserror::Error;

pub use super::apply::{Applied, ApplyError};
use super::apply::{Broken, CameTo, apply};
use super::folder::{JOURNAL, PROJECT_FOLDER, Project, STAGING};
use super::interrupted::set_aside as set_aside_pull;
use super::journal::{Journal, JournalError, Refusal};
use super::lock::{LockError, Patience, ProjectLock};
use super::new_folders::NewFolders;
use super::own_folder::OwnFolder;
use super::rescue::rescue;
pub use super::roll_back::{RollBackError, RolledBack};
use super::roll_back::{WhenRefused, roll_back};

/// What was found at the start of a command, and done about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Recovery {
    /// An earlier command died while it downloaded; what it had fetched waits for the next pull, and no file was changed.
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
    /// There was a journal that is none of this project's; it was moved out of the way, and nothing of it was done.
    Refused {
        /// Why it is not believed.
        why: Refusal,
        /// Where it is now.
        now_at: PathBuf,
    },
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
    let is_there = |path: PathBuf| path.symlink_metadata().is_ok();
    let is_promised = is_there(project.journal_file());
    if !is_promised && !is_there(project.staging_folder()) {
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
    // Told without opening anything: where the system opens no more files, there is no journal all the same.
    if project.journal_file().symlink_metadata().is_err_and(|error| error.kind() == io::ErrorKind::NotFound) {
        return Ok(discard_staging(project));
    }
    let believed = Journal::read(project).and_then(|journal| match journal {
        Some(journal) => journal.check_staged(project).map(|()| Some(journal)),
        None => Ok(None),
    });
    match believed {
        Ok(Some(journal)) => finish(project, &journal),
        Ok(None) => Ok(discard_staging(project)),
        Err(JournalError::Refused { path, why }) => {
            let now_at = set_aside(project).map_err(|source| RecoverError::SetAside { path, source })?;
            Ok(Recovery::Refused { why, now_at })
        }
        Err(source) => Err(RecoverError::Journal { source }),
    }
}

fn discard_staging(project: &Project) -> Recovery {
    let folder = project.staging_folder();
    // What cannot be cleared away is in the way of a pull, which says so, and of nothing else.
    let is_cleared = folder.symlink_metadata().is_ok() && set_aside_pull(project).is_ok();
    if is_cleared { Recovery::DiscardedStaging } else { Recovery::NothingToDo }
}

/// Keeps the promise, or takes back what was done of it.
fn finish(project: &Project, journal: &Journal) -> Result<Recovery, RecoverError> {
    match apply(project, journal, &NewFolders::default(), &mut |_| Ok(())) {
        Ok(applied) => Ok(Recovery::Finished(applied)),
        // What is left behind harms nobody but for the journal, and that goes as soon as it can.
        Err(broken) if broken.came_to == CameTo::All => Ok(Recovery::Finished(broken.applied)),
        Err(broken) => back_out(project, journal, broken),
    }
}

/// Moves a journal that is not believed to where it does no harm, and what lies in the staging folder with it: it may tell
/// somebody what has happened, and that may be what was replaced.
fn set_aside(project: &Project) -> io::Result<PathBuf> {
    let own = OwnFolder::of(project)?;
    let aside = |name: &str| rescue(project, own.dir(), &format!("{PROJECT_FOLDER}/{name}"));
    if project.staging_folder().symlink_metadata().is_ok() {
        let _ = aside(STAGING)?;
    }
    Ok(aside(JOURNAL)?.now_at)
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
    /// A journal that is not believed could not be moved out of the way.
    #[error("cannot set {} aside, which is not to be carried out", path.display())]
    SetAside {
        /// The journal's file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
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

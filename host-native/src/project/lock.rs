//! One writer at a time in a project. Readers need no lock; see [`super::recovery`] for the one exception.

use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::folder::Project;

/// How long a waiting writer sleeps between two tries.
const RETRY_AFTER: Duration = Duration::from_millis(25);

/// The lock of one project, held until it is dropped or its process ends.
#[derive(Debug)]
pub struct ProjectLock {
    project: Project,
    /// The system drops the lock with the file.
    _file: File,
}

impl ProjectLock {
    /// Takes the lock for `command`, waiting for another holder for as long as `patience`.
    pub fn acquire(project: &Project, command: &str, patience: Duration) -> Result<Self, LockError> {
        let path = project.lock_file();
        let fault = |source| LockError::File { path: path.clone(), source };
        let file = OpenOptions::new().create(true).truncate(false).write(true).open(&path).map_err(fault)?;
        let started = Instant::now();
        loop {
            match file.try_lock() {
                Ok(()) => break,
                Err(TryLockError::Error(source)) => return Err(fault(source)),
                Err(TryLockError::WouldBlock) => {}
            }
            let Some(left) = patience.checked_sub(started.elapsed()) else {
                return Err(LockError::Held { holder: Holder::read(project) });
            };
            std::thread::sleep(left.min(RETRY_AFTER));
        }
        // For other people's eyes only: without it the lock is as good.
        let holder = Holder { pid: std::process::id(), command: command.to_owned() };
        let _ = serde_json::to_vec(&holder).map(|json| std::fs::write(project.lock_holder_file(), json));
        Ok(Self { project: project.clone(), _file: file })
    }

    /// The project that it locks.
    pub fn project(&self) -> &Project {
        &self.project
    }
}

impl Drop for ProjectLock {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(self.project.lock_holder_file());
    }
}

/// Who holds a lock.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holder {
    /// Its process.
    pub pid: u32,
    /// What it is doing, as it named it.
    pub command: String,
}

impl Holder {
    fn read(project: &Project) -> Option<Self> {
        let json = std::fs::read(project.lock_holder_file()).ok()?;
        serde_json::from_slice(&json).ok()
    }
}

/// Why a project could not be locked.
#[derive(Debug, Error)]
pub enum LockError {
    /// The lock's file cannot be opened or locked.
    #[error("cannot lock {}", path.display())]
    File {
        /// The lock's file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Another process holds it.
    #[error("the project is in use by {}", name(.holder.as_ref()))]
    Held {
        /// Who that is, if it could be found out.
        holder: Option<Holder>,
    },
}

fn name(holder: Option<&Holder>) -> String {
    match holder {
        Some(Holder { pid, command }) => format!("`{}` (process {pid})", command.escape_debug()),
        None => "another process".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::*;

    #[test]
    fn a_second_writer_waits_or_says_who_holds_it() {
        let folder = TempDir::new().unwrap();
        let project = Project::create(folder.path()).unwrap();
        let held = ProjectLock::acquire(&project, "pull", Duration::ZERO).unwrap();
        let error = ProjectLock::acquire(&project, "push", Duration::from_millis(30)).unwrap_err();
        let expected = Holder { pid: std::process::id(), command: "pull".to_owned() };
        assert!(matches!(&error, LockError::Held { holder: Some(holder) } if *holder == expected), "{error}");

        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| ProjectLock::acquire(&project, "push", Duration::from_secs(10)));
            std::thread::sleep(Duration::from_millis(60));
            drop(held);
            assert!(waiting.join().unwrap().is_ok());
        });
        assert!(!project.lock_holder_file().exists());
    }
}

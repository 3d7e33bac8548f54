//! One writer at a time in a project. Readers need no lock; see [`super::recovery`] for the one exception.

use std::fs::File;
use std::io;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::folder::{LOCK, LOCK_HOLDER, Project};
use super::own_folder::{Access, OwnFolder};
use crate::file_lock::{Held, RETRY_AFTER, try_lock};
use crate::leftovers::Unfinished;
use crate::whole_file::excerpt;

/// A file with the name of a command in it is no longer.
const MAX_HOLDER_BYTES: u64 = 64 << 10;

/// The lock of one project, held until it is dropped or its process ends.
#[derive(Debug)]
pub struct ProjectLock {
    project: Project,
    /// Takes away who holds the lock, before that is given back.
    _told: Unfinished,
    _held: Held,
    _file: File,
}

impl ProjectLock {
    /// Takes the lock for `command`, waiting for another holder for as long as `patience` lasts.
    pub fn acquire(project: &Project, command: &str, mut patience: impl Patience) -> Result<Self, LockError> {
        let path = project.lock_file();
        let fault = |source| LockError::File { path: path.clone(), source };
        let folder = OwnFolder::of(project).map_err(fault)?;
        let file = folder.open_lock(LOCK).map_err(fault)?;
        let started = Instant::now();
        let held = loop {
            if let Some(held) = try_lock(&file, &path).map_err(fault)? {
                break held;
            }
            let holder = Holder::read(&folder);
            if !patience.lasts(holder.as_ref(), started.elapsed()) {
                return Err(LockError::Held { holder });
            }
            std::thread::sleep(RETRY_AFTER);
        };
        // For other people's eyes only: without it the lock is as good.
        let holder = Holder { pid: std::process::id(), command: command.to_owned() };
        let _ = serde_json::to_vec(&holder)
            .map(|json| folder.write_unsynced(LOCK_HOLDER, &[&json], Access::Shared));
        let told = Unfinished::new(move || _ = folder.remove_file(LOCK_HOLDER));
        Ok(Self { project: project.clone(), _told: told, _held: held, _file: file })
    }

    /// The project that it locks.
    pub fn project(&self) -> &Project {
        &self.project
    }
}

/// How long to wait for a lock.
pub trait Patience {
    /// Whether to wait on for `holder`, as far as that is known, after so much time; asked again and again.
    fn lasts(&mut self, holder: Option<&Holder>, waited: Duration) -> bool;
}

impl Patience for Duration {
    fn lasts(&mut self, _: Option<&Holder>, waited: Duration) -> bool {
        waited < *self
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
    fn read(folder: &OwnFolder) -> Option<Self> {
        let json = folder.read(LOCK_HOLDER, MAX_HOLDER_BYTES).ok()?;
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

/// A holder, as messages name it.
pub fn name(holder: Option<&Holder>) -> String {
    match holder {
        Some(Holder { pid, command }) => format!("`{}` (process {pid})", excerpt(command)),
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

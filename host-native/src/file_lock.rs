//! Locks between processes: the system's, and where a file system knows none, a file beside that names its holder.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use serde::{Deserialize, Serialize};

use crate::leftovers::machine;
use crate::project::atomic::is_unable;
use crate::whole_file::{self, Links};

/// How long a waiting process sleeps between two tries.
pub(crate) const RETRY_AFTER: Duration = Duration::from_millis(25);

/// How long [`lock`] waits for a holder that only a file tells of.
const PATIENCE: Duration = Duration::from_secs(60);

/// A file that says nothing of its holder for so long was left by a process that died as it made it.
const NAMELESS_FOR: Duration = Duration::from_secs(60);

/// A file that names a process is no longer.
const MAX_HOLDER_BYTES: u64 = 64 << 10;

/// Holds a lock until it is dropped, together with the file that was locked.
#[derive(Debug)]
#[must_use = "dropped at once, it holds nothing"]
pub(crate) struct Held {
    /// Where the system itself holds none.
    _named: Option<HolderFile>,
}

/// Locks `file`, which lies at `path`; `None` where another process holds it.
pub(crate) fn try_lock(file: &File, path: &Path) -> io::Result<Option<Held>> {
    match file.try_lock() {
        Ok(()) => Ok(Some(Held { _named: None })),
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(error)) if knows_no_locks(&error) => {
            let named = HolderFile::make(beside(path))?;
            Ok(named.map(|named| Held { _named: Some(named) }))
        }
        Err(TryLockError::Error(error)) => Err(error),
    }
}

/// The same, once nobody else holds it.
pub(crate) fn lock(file: &File, path: &Path) -> io::Result<Held> {
    match file.lock() {
        Err(error) if knows_no_locks(&error) => {}
        locked => return locked.map(|()| Held { _named: None }),
    }
    let started = Instant::now();
    loop {
        if let Some(held) = try_lock(file, path)? {
            return Ok(held);
        }
        if started.elapsed() > PATIENCE {
            let path = beside(path);
            let message = format!(
                "another process holds it; this file system knows no locks, so remove {} by hand if there is none",
                path.display()
            );
            return Err(io::Error::new(io::ErrorKind::ResourceBusy, message));
        }
        std::thread::sleep(RETRY_AFTER);
    }
}

/// Network file systems without a lock service say so in several ways.
fn knows_no_locks(error: &io::Error) -> bool {
    #[cfg(unix)]
    if error.raw_os_error() == Some(rustix::io::Errno::NOLCK.raw_os_error()) {
        return true;
    }
    is_unable(error)
}

/// The file that stands for a lock on `path` where there are none.
fn beside(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push("-held");
    name.into()
}

/// A file that is there as long as its maker holds the lock.
#[derive(Debug)]
struct HolderFile {
    path: PathBuf,
}

/// Which process holds a lock.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Process {
    machine: String,
    pid: u32,
}

impl HolderFile {
    /// `None` where another process holds the lock.
    fn make(path: PathBuf) -> io::Result<Option<Self>> {
        let mut file = match OpenOptions::new().write(true).create_new(true).open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                remove_if_left(&path)?;
                return Ok(None);
            }
            Err(error) => return Err(error),
        };
        let made = Self { path };
        let process = Process { machine: machine().to_owned(), pid: std::process::id() };
        file.write_all(&serde_json::to_vec(&process)?)?;
        Ok(Some(made))
    }
}

impl Drop for HolderFile {
    fn drop(&mut self) {
        // Where it stays, the next process finds that this one has ended.
        let _ = std::fs::remove_file(&self.path);
    }
}

/// Removes the file of a process that has ended without doing so; the next try makes it anew.
fn remove_if_left(path: &Path) -> io::Result<()> {
    let gone_is_fine = |error: io::Error| match error.kind() {
        io::ErrorKind::NotFound => Ok(()),
        _ => Err(error),
    };
    let content = match whole_file::read(path, MAX_HOLDER_BYTES, Links::Refuse) {
        Ok(content) => content,
        Err(error) => return gone_is_fine(error),
    };
    if !is_left(path, &content) {
        return Ok(());
    }
    // By a rename, which succeeds for one process alone. What comes along is looked at: another process may have come
    // first and hold the lock by now.
    let aside = leftover_name(path);
    if let Err(error) = std::fs::rename(path, &aside) {
        return gone_is_fine(error);
    }
    if whole_file::read(&aside, MAX_HOLDER_BYTES, Links::Refuse)? == content {
        std::fs::remove_file(&aside)
    } else {
        std::fs::rename(&aside, path)
    }
}

fn leftover_name(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(format!("-{}", std::process::id()));
    name.into()
}

fn is_left(path: &Path, content: &[u8]) -> bool {
    match serde_json::from_slice::<Process>(content) {
        // Of a process elsewhere nothing is known.
        Ok(process) => process.machine == machine() && has_ended(process.pid),
        Err(_) => path
            .metadata()
            .and_then(|found| found.modified())
            .is_ok_and(|at| SystemTime::now().duration_since(at).is_ok_and(|age| age > NAMELESS_FOR)),
    }
}

/// Whether there is no such process; where the system does not show its processes, there always is.
fn has_ended(pid: u32) -> bool {
    Path::new("/proc/self").exists() && !Path::new(&format!("/proc/{pid}")).exists()
}

#[cfg(test)]
#[cfg(target_os = "linux")]
mod tests {
    use super::*;

    #[test]
    fn a_file_stands_for_a_lock_until_its_process_has_ended() {
        let folder = tempfile::TempDir::new().unwrap();
        let path = folder.path().join("lock-held");
        let held = HolderFile::make(path.clone()).unwrap().unwrap();
        assert!(HolderFile::make(path.clone()).unwrap().is_none());
        drop(held);
        assert!(!path.exists());

        let by = |machine: &str, pid: u32| {
            let process = Process { machine: machine.to_owned(), pid };
            std::fs::write(&path, serde_json::to_vec(&process).unwrap()).unwrap();
            // The first try may clear it away, the second one makes it.
            [(); 2].map(|()| HolderFile::make(path.clone()).unwrap().map(std::mem::forget).is_some())
        };
        assert_eq!(by("elsewhere", 1), [false, false]);
        assert_eq!(by(machine(), std::process::id()), [false, false]);
        assert_eq!(by(machine(), u32::MAX), [false, true]);
        std::fs::write(&path, "").unwrap();
        assert!([(); 2].iter().all(|()| HolderFile::make(path.clone()).unwrap().is_none()));
    }
}

//! The lock beside a file of credentials, held from reading it to writing it, so that no change is lost.
//!
//! It never keeps anybody out for good: the file is replaced as a whole, so that going on without the lock costs another
//! program's entry at worst, while not going on costs this one's for certain.

use std::fs::{self, DirBuilder, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::files::whole_file::open_to_append;

/// How long another process may hold the lock: it reads and writes one small file.
const PATIENCE: Duration = Duration::from_secs(10);

/// How long to sleep between two tries.
const RETRY_AFTER: Duration = Duration::from_millis(10);

/// The lock of one file of credentials, held until it is dropped.
#[derive(Debug)]
#[must_use = "dropped, it is no lock any more"]
pub(super) struct ConfigLock {
    held: Held,
}

#[derive(Debug)]
enum Held {
    /// The system's lock on a file of this path, which is dropped with it or with the process.
    File { path: PathBuf, _file: File },
    /// A folder that is there as long as the lock is held: where the file system knows no locks.
    Folder(PathBuf),
    /// None could be had.
    Nothing,
}

/// What became of a try.
enum Tried {
    Held(Held),
    /// Another process has it.
    Taken,
    /// The file system knows no locks.
    Unsupported,
}

impl ConfigLock {
    /// Waits for the lock of the file at `config`, whose folder is made where it is not there.
    pub(super) async fn acquire(config: &Path) -> Self {
        Self::acquire_within(config, PATIENCE).await
    }

    async fn acquire_within(config: &Path, patience: Duration) -> Self {
        // Two links to one file have one lock.
        let config = config.canonicalize().unwrap_or_else(|_| config.to_owned());
        make_folder(&config);
        let path = beside(&config, ".lock");
        let started = Instant::now();
        while started.elapsed() < patience {
            match try_file(&path) {
                Ok(Tried::Held(held)) => return Self { held },
                Ok(Tried::Taken) => tokio::time::sleep(RETRY_AFTER).await,
                Ok(Tried::Unsupported) => {
                    let _ = fs::remove_file(&path);
                    return Self { held: folder(&beside(&config, ".locked"), patience).await };
                }
                // Who may not write there is told so when he writes the file itself.
                Err(_) => break,
            }
        }
        Self { held: Held::Nothing }
    }
}

impl Drop for ConfigLock {
    fn drop(&mut self) {
        match &self.held {
            // While it is still locked: who gets the lock of a file without a name tries again.
            Held::File { path, .. } if cfg!(unix) => _ = fs::remove_file(path),
            Held::Folder(path) => _ = fs::remove_dir(path),
            Held::File { .. } | Held::Nothing => {}
        }
    }
}

fn try_file(path: &Path) -> io::Result<Tried> {
    let file = open_to_append(path)?;
    match file.try_lock() {
        Ok(()) if is_at(&file, path) => Ok(Tried::Held(Held::File { path: path.to_owned(), _file: file })),
        Ok(()) | Err(TryLockError::WouldBlock) => Ok(Tried::Taken),
        Err(TryLockError::Error(_)) => Ok(Tried::Unsupported),
    }
}

/// Whether a file still has its name: the one who held it before has removed it.
#[cfg(unix)]
fn is_at(file: &File, path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt as _;
    let identity = |metadata: fs::Metadata| (metadata.dev(), metadata.ino());
    let there = fs::symlink_metadata(path).map(identity);
    file.metadata().map(identity).is_ok_and(|own| there.is_ok_and(|there| own == there))
}

/// Here nobody removes it.
#[cfg(not(unix))]
fn is_at(_: &File, _: &Path) -> bool {
    true
}

/// The lock of a file system without locks: only one of many can make a folder. One that stays there for as long as
/// `patience` was left behind.
async fn folder(path: &Path, patience: Duration) -> Held {
    let started = Instant::now();
    loop {
        match fs::create_dir(path) {
            Ok(()) => return Held::Folder(path.to_owned()),
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Held::Nothing,
            Err(_) if started.elapsed() < patience => tokio::time::sleep(RETRY_AFTER).await,
            Err(_) => {
                let _ = fs::remove_dir(path);
                return Held::Nothing;
            }
        }
    }
}

/// Makes the folder of a file, for its owner alone. Where that fails, writing the file says why.
fn make_folder(config: &Path) {
    let Some(folder) = config.parent().filter(|folder| !folder.as_os_str().is_empty()) else { return };
    let mut builder = DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::DirBuilderExt as _;
        builder.mode(0o700);
    }
    let _ = builder.create(folder);
}

fn beside(config: &Path, suffix: &str) -> PathBuf {
    let mut name = config.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHORT: Duration = Duration::from_millis(60);

    fn names(folder: &Path) -> Vec<String> {
        let mut names: Vec<String> = fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    #[tokio::test]
    async fn only_one_has_the_lock_and_nothing_is_left_of_it() {
        let folder = tempfile::tempdir().unwrap();
        let config = folder.path().join("new/config.json");
        let held = ConfigLock::acquire(&config).await;
        assert!(matches!(held.held, Held::File { .. }));
        // Without a lock after a while, rather than never.
        let second = ConfigLock::acquire_within(&config, SHORT).await;
        assert!(matches!(second.held, Held::Nothing));
        drop((held, second));
        let third = ConfigLock::acquire(&config).await;
        assert!(matches!(third.held, Held::File { .. }));
        drop(third);
        if cfg!(unix) {
            assert!(names(config.parent().unwrap()).is_empty());
        }
    }

    #[tokio::test]
    async fn a_lock_file_that_was_left_locks_nobody_out() {
        let folder = tempfile::tempdir().unwrap();
        let config = folder.path().join("config.json");
        fs::write(beside(&config, ".lock"), "left behind").unwrap();
        let held = ConfigLock::acquire(&config).await;
        assert!(matches!(held.held, Held::File { .. }));
    }

    #[cfg(unix)]
    #[tokio::test]
    async fn a_lock_file_that_leads_elsewhere_is_not_followed() {
        let folder = tempfile::tempdir().unwrap();
        let config = folder.path().join("config.json");
        std::os::unix::fs::symlink("elsewhere", beside(&config, ".lock")).unwrap();
        let held = ConfigLock::acquire(&config).await;
        assert!(matches!(held.held, Held::Nothing));
        drop(held);
        assert_eq!(names(folder.path()), ["config.json.lock"]);
    }

    #[cfg(unix)]
    #[tokio::test]
    async fn a_pipe_is_no_lock_and_stays() {
        use rustix::fs::{CWD, FileType, Mode, mknodat};
        let folder = tempfile::tempdir().unwrap();
        let config = folder.path().join("config.json");
        mknodat(CWD, beside(&config, ".lock"), FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
        let held = ConfigLock::acquire(&config).await;
        assert!(matches!(held.held, Held::Nothing));
        drop(held);
        assert_eq!(names(folder.path()), ["config.json.lock"]);
    }

    #[tokio::test]
    async fn a_folder_stands_for_the_lock_where_there_are_none() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("config.json.locked");
        let held = ConfigLock { held: folder(&path, SHORT).await };
        assert!(matches!(held.held, Held::Folder(_)) && path.is_dir());
        drop(held);
        assert!(!path.exists());
        fs::create_dir(&path).unwrap();
        assert!(matches!(folder(&path, SHORT).await, Held::Nothing), "it was left behind");
        assert!(matches!(folder(&path, SHORT).await, Held::Folder(_)), "and was removed");
    }
}

//! Locks between processes: the system's, and where a file system knows none, a file beside that names its holder.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use serde::{Deserialize, Serialize};

use super::durable::is_unable;
use super::leftovers::machine;
use super::whole_file::{self, Links};

/// How long a waiting process sleeps between two tries.
pub const RETRY_AFTER: Duration = Duration::from_millis(25);

/// How long a process waits before it says so: most locks are given back sooner.
pub const SILENT_FOR: Duration = Duration::from_millis(100);

/// How long [`lock`] waits. What is done under such a lock takes milliseconds.
const PATIENCE: Duration = Duration::from_secs(60);

/// A file that says nothing of its holder for so long was left by a process that died as it made it.
const NAMELESS_FOR: Duration = Duration::from_secs(60);

/// A file that names a process is no longer.
const MAX_HOLDER_BYTES: u64 = 64 << 10;

/// Holds a lock until it is dropped, together with the file that was locked.
#[derive(Debug)]
#[must_use = "dropped at once, it holds nothing"]
pub struct Held {
    /// Where the system itself holds none.
    _named: Option<HolderFile>,
}

/// Locks `file`, which lies at `path`; `None` where another process holds it.
///
/// # Errors
///
/// Whatever the system says.
pub fn try_lock(file: &File, path: &Path) -> io::Result<Option<Held>> {
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

/// The same, once nobody else holds it. Where that takes long, `waits` is told one time, and which process holds it where
/// the system says so.
///
/// # Errors
///
/// [`io::ErrorKind::ResourceBusy`] where it is not given back within [`PATIENCE`], and whatever the system says.
pub(crate) fn lock(file: &File, path: &Path, waits: impl FnOnce(Option<u32>)) -> io::Result<Held> {
    let started = Instant::now();
    let mut waits = Some(waits);
    loop {
        if let Some(held) = try_lock(file, path)? {
            return Ok(held);
        }
        let waited = started.elapsed();
        if waited > PATIENCE {
            return Err(io::Error::new(io::ErrorKind::ResourceBusy, held_by(file, path)));
        }
        if waited > SILENT_FOR
            && let Some(waits) = waits.take()
        {
            waits(holder(file));
        }
        std::thread::sleep(RETRY_AFTER);
    }
}

fn held_by(file: &File, path: &Path) -> String {
    match holder(file) {
        Some(process) => format!("process {process} holds it"),
        None if beside(path).exists() => format!(
            "another process holds it; this file system knows no locks, so remove {} by hand if there is none",
            beside(path).display()
        ),
        None => "another process holds it".to_owned(),
    }
}

/// The process that holds the lock of `file`, where the system says so, and it is one of those that this one can see.
fn holder(file: &File) -> Option<u32> {
    #[cfg(target_os = "linux")]
    {
        use std::os::unix::fs::MetadataExt as _;
        let wanted = file.metadata().ok()?.ino().to_string();
        let locks = std::fs::read_to_string("/proc/locks").ok()?;
        let held = locks.lines().filter(|line| !line.contains("->")).find_map(|line| {
            let mut fields = line.split_whitespace().skip(1);
            let (kind, process) = (fields.next()?, fields.nth(2)?);
            let inode = fields.next()?.rsplit(':').next()?;
            (kind == "FLOCK" && inode == wanted).then(|| process.parse::<u32>().ok())?
        });
        // Whoever took it may have left it to another process, and ended.
        held.filter(|process| Path::new(&format!("/proc/{process}")).exists())
    }
    #[cfg(not(target_os = "linux"))]
    {
        let _ = file;
        None
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
    fn who_waits_is_told_whom_for() {
        let folder = tempfile::TempDir::new().unwrap();
        let path = folder.path().join("lock");
        let open = || OpenOptions::new().append(true).create(true).open(&path).unwrap();
        let (first, second) = (open(), open());
        let held = lock(&first, &path, |_| panic!("nobody holds it")).unwrap();
        assert_eq!(holder(&second), Some(std::process::id()));
        let (tell, told) = std::sync::mpsc::channel();
        std::thread::scope(|scope| {
            let waiting =
                scope.spawn(|| lock(&second, &path, |process| tell.send(process).unwrap()).map(drop));
            assert_eq!(told.recv().unwrap(), Some(std::process::id()));
            first.unlock().unwrap();
            drop(held);
            waiting.join().unwrap().unwrap();
        });
    }

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

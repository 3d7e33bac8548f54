//! Reads files and takes their digests, on all processors, and notices when one changes meanwhile.

use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use bundle_core::digest::{Digest, Hasher};
use thiserror::Error;

use crate::project::stamp::{Stamp, is_executable};
use crate::threads::{processors, start};

/// The most that one processor reads at a time, in bytes.
const BUFFER: usize = 1 << 20;

/// A file to read, as it was when the walk saw it.
#[derive(Debug)]
pub(crate) struct Job {
    pub(crate) disk: PathBuf,
    pub(crate) stamp: Stamp,
}

/// What a file held, and its facts at that time: newer than those of the job if it had changed since.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hashed {
    /// The hash of its content.
    pub digest: Digest,
    /// Its facts while it was read.
    pub stamp: Stamp,
    /// Whether its owner may run it.
    pub executable: bool,
}

/// Reads the files of all `jobs`; the results are in the same order. Tells `read` about every piece.
pub(crate) fn hash_all(jobs: &[Job], read: &(dyn Fn(u64) + Sync)) -> Result<Vec<Hashed>, HashError> {
    let hashed = hash_jobs(jobs, OnFault::Stop, read)?;
    Ok(hashed.into_iter().map(|(_, hashed)| hashed).collect())
}

/// The same, passing over what cannot be read; each result has its place among the `jobs`.
pub(crate) fn hash_readable(
    jobs: &[Job],
    read: &(dyn Fn(u64) + Sync),
) -> Result<Vec<(usize, Hashed)>, HashError> {
    hash_jobs(jobs, OnFault::PassOver, read)
}

/// What to do about a file that cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum OnFault {
    PassOver,
    Stop,
}

fn hash_jobs(
    jobs: &[Job],
    on_fault: OnFault,
    read: &(dyn Fn(u64) + Sync),
) -> Result<Vec<(usize, Hashed)>, HashError> {
    // Large files first: a processor that began one late would keep the others waiting at the end.
    let mut order: Vec<usize> = (0..jobs.len()).collect();
    order.sort_unstable_by_key(|at| std::cmp::Reverse(jobs[*at].stamp.size));
    let next = AtomicUsize::new(0);
    let has_failed = AtomicBool::new(false);
    let results: Mutex<Vec<(usize, Hashed)>> = Mutex::new(Vec::with_capacity(jobs.len()));

    let work = || -> Result<(), HashError> {
        let mut buffer = Vec::new();
        let mut own = Vec::new();
        while let Some(at) = order.get(next.fetch_add(1, Ordering::Relaxed))
            && !has_failed.load(Ordering::Relaxed)
        {
            match hash_file(&jobs[*at], &mut buffer, read) {
                Ok(hashed) => own.push((*at, hashed)),
                Err(_) if on_fault == OnFault::PassOver => {}
                Err(error) => {
                    has_failed.store(true, Ordering::Relaxed);
                    return Err(error);
                }
            }
        }
        results.lock().unwrap_or_else(PoisonError::into_inner).append(&mut own);
        Ok(())
    };
    let workers = processors().min(jobs.len());
    std::thread::scope(|scope| -> Result<(), HashError> {
        // With fewer threads it only takes longer.
        let others: Vec<_> = (1..workers).map_while(|_| start(scope, "hash", work).ok()).collect();
        let mut outcome = work();
        for other in others {
            outcome = outcome.and(other.join().unwrap_or(Err(HashError::Stopped)));
        }
        outcome
    })?;
    let mut results = results.into_inner().unwrap_or_else(PoisonError::into_inner);
    results.sort_unstable_by_key(|(at, _)| *at);
    Ok(results)
}

/// Reads one file; once more from the start if it changed meanwhile.
fn hash_file(job: &Job, buffer: &mut Vec<u8>, read: &(dyn Fn(u64) + Sync)) -> Result<Hashed, HashError> {
    let path = &job.disk;
    let fault = |source| HashError::Read { path: path.clone(), source };
    for _ in 0..2 {
        let mut file = open_found(path).map_err(fault)?;
        let before = file.metadata().map_err(fault)?;
        if !before.is_file() {
            break;
        }
        let stamp = Stamp::of(&before);
        let digest = hash_open(&mut file, stamp.size, buffer, read).map_err(fault)?;
        let is_same = Stamp::of(&file.metadata().map_err(fault)?) == stamp;
        if let Some(digest) = digest.filter(|_| is_same) {
            return Ok(Hashed { digest, stamp, executable: is_executable(&before) });
        }
    }
    Err(HashError::ChangedWhileRead { path: path.clone() })
}

/// The digest of an open file, if it has `size` bytes.
fn hash_open(
    file: &mut File,
    size: u64,
    buffer: &mut Vec<u8>,
    read: &(dyn Fn(u64) + Sync),
) -> io::Result<Option<Digest>> {
    let room = usize::try_from(size).unwrap_or(BUFFER).saturating_add(1).min(BUFFER);
    if buffer.len() < room {
        buffer.resize(room, 0);
    }
    let mut hasher = Hasher::new();
    loop {
        match file.read(buffer) {
            Ok(0) => break,
            Ok(count) => {
                hasher.update(&buffer[..count]);
                read(count as u64);
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
        if hasher.length() > size {
            return Ok(None);
        }
    }
    Ok((hasher.length() == size).then(|| hasher.finish()))
}

/// Opens a file that the walk saw as one: should it be a link or a pipe by now, that is neither followed nor waited for.
pub(crate) fn open_found(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt;
        let flags = rustix::fs::OFlags::NOFOLLOW | rustix::fs::OFlags::NONBLOCK;
        options.custom_flags(flags.bits().cast_signed());
    }
    options.open(path)
}

/// Why files could not be read.
#[derive(Debug, Error)]
pub enum HashError {
    /// A file did not stay the same for as long as it takes to read it, twice.
    #[error("{} changed while it was read", path.display())]
    ChangedWhileRead {
        /// The file.
        path: PathBuf,
    },
    /// A file could not be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A thread that was reading has stopped.
    #[error("a reading thread stopped")]
    Stopped,
}

#[cfg(test)]
#[cfg(unix)]
mod tests {
    use std::io::Write;
    use std::sync::atomic::AtomicU64;

    use tempfile::TempDir;

    use super::*;

    fn job(path: &Path) -> Job {
        Job { disk: path.to_owned(), stamp: Stamp::of(&path.symlink_metadata().unwrap()) }
    }

    #[test]
    fn results_are_in_order_and_bytes_are_counted() {
        let folder = TempDir::new().unwrap();
        let contents: Vec<Vec<u8>> = [0, 1, 3 * BUFFER + 7, 5, BUFFER].map(|size| vec![7; size]).to_vec();
        let mut jobs = Vec::new();
        for (at, content) in contents.iter().enumerate() {
            let path = folder.path().join(at.to_string());
            std::fs::write(&path, content).unwrap();
            jobs.push(job(&path));
        }
        let bytes = AtomicU64::new(0);
        let hashed = hash_all(&jobs, &|count| _ = bytes.fetch_add(count, Ordering::Relaxed)).unwrap();
        let digests: Vec<_> = hashed.iter().map(|hashed| hashed.digest).collect();
        assert_eq!(digests, contents.iter().map(|content| Digest::of(content)).collect::<Vec<_>>());
        assert_eq!(bytes.into_inner(), contents.iter().map(|content| content.len() as u64).sum::<u64>());
        assert_eq!(hash_all(&[], &|_| ()).unwrap(), []);
    }

    #[test]
    fn a_file_that_keeps_changing_is_named() {
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("log");
        std::fs::write(&path, "x").unwrap();
        let grow = |_| {
            let mut file = OpenOptions::new().append(true).open(&path).unwrap();
            file.write_all(b"y").unwrap();
        };
        assert!(matches!(hash_all(&[job(&path)], &grow), Err(HashError::ChangedWhileRead { .. })));
        let once = AtomicBool::new(true);
        let grow_once = |count| {
            if once.swap(false, Ordering::Relaxed) {
                grow(count);
            }
        };
        let hashed = hash_all(&[job(&path)], &grow_once).unwrap();
        assert_eq!(hashed[0].digest, Digest::of(&std::fs::read(&path).unwrap()));
    }

    #[test]
    fn links_and_pipes_that_took_the_place_are_not_read() {
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("file");
        std::fs::write(&path, "x").unwrap();
        let job = job(&path);
        std::fs::remove_file(&path).unwrap();
        std::os::unix::fs::symlink("/etc/passwd", &path).unwrap();
        assert!(matches!(hash_all(std::slice::from_ref(&job), &|_| ()), Err(HashError::Read { .. })));
        std::fs::remove_file(&path).unwrap();
        rustix::fs::mknodat(
            rustix::fs::CWD,
            &path,
            rustix::fs::FileType::Fifo,
            rustix::fs::Mode::from_raw_mode(0o600),
            0,
        )
        .unwrap();
        assert!(matches!(hash_all(&[job], &|_| ()), Err(HashError::ChangedWhileRead { .. })));
    }
}

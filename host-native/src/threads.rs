//! Which work runs on which thread, and who may wait for whom. Nothing else in this crate starts a thread, enters the
//! runtime or leaves it.
//!
//! | work | where it runs | what it may wait for |
//! |---|---|---|
//! | remotes: requests, streams of bytes | async, on the runtime | sockets, timers, other futures, [`on_disk`] |
//! | one read, one write, one lock of a file | [`on_disk`], as `tokio::fs` | the disk, never other work of this process |
//! | the engine: scan, pack, unpack, hash, commit | [`engine`] and the threads that it [`start`]s | remotes, through its [`Bridge`]; its own threads |
//! | computing | rayon's pool | other computing |
//! | answering signals | a thread of the program's own, `cli/signals.rs` | signals; the work that it stops |
//! | showing how work gets on | a thread of the program's own, `cli/progress.rs` | time, the terminal |
//!
//! So nobody waits for a thread of the pool that they run on, one thread in each pool is enough to get on, and no pool
//! is sized by the number of transfers. The engine keeps the thread of the future that entered it: another thread of the
//! runtime has to serve its remotes meanwhile. In a runtime of one thread there is none, and [`engine`] refuses.

use std::error::Error as _;
use std::io;
use std::num::NonZero;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, sync_channel};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::thread::{Builder, Scope, available_parallelism};
use std::time::Duration;

pub(crate) use modelops_bundle_remote::threads::on_disk;
use thiserror::Error;
use tokio::runtime::{Handle, Runtime, RuntimeFlavor};
use tokio::task::{JoinHandle, block_in_place, spawn_blocking};

use crate::address_space;

/// More threads than this do not move bytes faster.
const MAX_WORKERS: usize = 16;

/// How many threads wait for disks at most. Slow disks that answer many requests at once are what more are good for.
const DISK_THREADS: usize = 16;

/// What has to be left for others: a thread that waits for disks, those that an engine starts, and the one that shows how
/// work gets on.
const RESERVE: usize = 6;

/// How long a thread that has ended may still count for the system.
const LINGERING: Duration = Duration::from_millis(5);

/// Threads that wait for disks stay: where no other can be started any more, they have all that comes.
const KEEP_ALIVE: Duration = Duration::from_secs(24 * 60 * 60);

/// Why work could not begin.
#[derive(Debug, Error)]
pub enum ThreadError {
    /// The system opens no more files for this program, and work begins with some.
    #[error("the system opens no more files")]
    NoFile {
        /// What it says.
        source: io::Error,
    },
    /// The system starts no more threads for this program.
    #[error("the system starts no more threads")]
    NoThread {
        /// What it says.
        source: io::Error,
    },
    /// The future runs on no runtime of tokio, or on one of a single thread.
    #[error("this needs a tokio runtime of several threads")]
    Runtime,
}

impl ThreadError {
    /// Why there is no runtime: it opens files before it starts threads.
    fn of_runtime(source: io::Error) -> Self {
        #[cfg(unix)]
        {
            use rustix::io::Errno;
            let is_of_files = |errno: Errno| source.raw_os_error() == Some(errno.raw_os_error());
            if is_of_files(Errno::MFILE) || is_of_files(Errno::NFILE) {
                return Self::NoFile { source };
            }
        }
        Self::NoThread { source }
    }
}

/// How many files runtimes open as they begin, with some for whoever begins at the same time.
const FIRST_FILES: usize = 10;

/// Whether the system opens the files without which no runtime begins: tokio does not say so, it panics.
///
/// # Errors
///
/// [`ThreadError::NoFile`].
pub fn check_files() -> Result<(), ThreadError> {
    let pipes: io::Result<Vec<_>> = (0..FIRST_FILES / 2).map(|_| io::pipe()).collect();
    pipes.map(drop).map_err(|source| ThreadError::NoFile { source })
}

/// As [`on_disk`], begun at once, whether or not somebody waits for it.
pub fn begin_on_disk<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> JoinHandle<T> {
    spawn_blocking(work)
}

/// Runs `work` on this thread, which is one of the runtime: as [`on_disk`], for work that borrows. It may compute, too.
pub(crate) fn on_disk_here<T>(work: impl FnOnce() -> T) -> T {
    match Handle::try_current().map(|runtime| runtime.runtime_flavor()) {
        Ok(RuntimeFlavor::MultiThread) => block_in_place(work),
        // It waits for the disk alone: others are held up, and nobody for good.
        _ => work(),
    }
}

/// Runs the engine on the thread of the future that calls it.
///
/// # Errors
///
/// [`ThreadError::Runtime`] where nobody else could serve the remotes that the engine waits for.
pub(crate) fn engine<T, E: From<ThreadError>>(work: impl FnOnce(&Bridge) -> Result<T, E>) -> Result<T, E> {
    let bridge = Bridge::here()?;
    bridge.enter(|| work(&bridge))
}

/// The way from the engine's threads to remotes.
#[derive(Clone, Debug)]
pub(crate) struct Bridge(Handle);

impl Bridge {
    /// For the future that calls it, which may want to know before it does anything else.
    ///
    /// # Errors
    ///
    /// As [`engine`].
    pub(crate) fn here() -> Result<Self, ThreadError> {
        let runtime = Handle::try_current().map_err(|_| ThreadError::Runtime)?;
        match runtime.runtime_flavor() {
            RuntimeFlavor::MultiThread => Ok(Self(runtime)),
            _ => Err(ThreadError::Runtime),
        }
    }

    /// Runs a part of the engine on the thread of the future that has made this.
    pub(crate) fn enter<T>(&self, work: impl FnOnce() -> T) -> T {
        block_in_place(work)
    }

    /// Waits for what a remote does; not for use on rayon's pool.
    pub(crate) fn wait<T>(&self, remote: impl Future<Output = T>) -> T {
        self.0.block_on(remote)
    }

    /// Waits for what a remote does, and does `work` on this thread meanwhile.
    ///
    /// # Errors
    ///
    /// There is no thread for it; nothing was done then.
    pub(crate) fn beside<W, R: Send>(
        &self,
        work: impl FnOnce() -> W,
        remote: impl Future<Output = R> + Send,
    ) -> Result<(W, R), ThreadError> {
        std::thread::scope(|scope| {
            let waiting = start(scope, "remote", move || self.wait(remote))?;
            let done = work();
            Ok((done, waiting.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))))
        })
    }
}

/// Starts a thread of the engine.
///
/// # Errors
///
/// The system starts no more; `work` is dropped then, and with it the ends of channels that others wait at.
pub fn start<'scope, T: Send + 'scope>(
    scope: &'scope Scope<'scope, '_>,
    name: &str,
    work: impl FnOnce() -> T + Send + 'scope,
) -> Result<Started<T>, ThreadError> {
    let (tell, told) = sync_channel(1);
    let work = move || _ = tell.send(catch_unwind(AssertUnwindSafe(work)));
    match Builder::new().name(name.to_owned()).spawn_scoped(scope, work) {
        Ok(_) => Ok(Started(told)),
        Err(source) => Err(ThreadError::NoThread { source }),
    }
}

/// A thread of the engine. Its scope waits for it, whether or not anybody else does.
#[derive(Debug)]
pub struct Started<T>(Receiver<std::thread::Result<T>>);

impl<T> Started<T> {
    /// Waits for what the work comes to. That the thread gives its memory back to the system is not waited for: after a
    /// while at work it takes milliseconds.
    ///
    /// # Errors
    ///
    /// What it panicked with.
    pub fn join(self) -> std::thread::Result<T> {
        self.0.recv().unwrap_or_else(|gone| Err(Box::new(gone)))
    }
}

/// How many threads can compute at the same time.
pub(crate) fn processors() -> usize {
    /// The system is asked for it in many small files.
    static KNOWN: OnceLock<usize> = OnceLock::new();
    *KNOWN.get_or_init(|| available_parallelism().map_or(1, NonZero::get))
}

/// Starts rayon's pool, for a program of its own: with fewer threads where the system starts no more.
///
/// `RAYON_NUM_THREADS` makes it smaller than the machine.
///
/// # Errors
///
/// Not a single thread can be started.
pub fn start_pool() -> Result<(), ThreadError> {
    let most = wanted("RAYON_NUM_THREADS", address_space::threads(processors()));
    // Found out first: rayon does not go on with fewer. What a runtime needs is found out where one is wanted.
    let count = match startable(most + 1) {
        (0, Some(source)) => return Err(ThreadError::NoThread { source }),
        (_, None) => most,
        // Few are left, and a runtime does more with them.
        (_, Some(_)) => 1,
    };
    let pool = rayon::ThreadPoolBuilder::new().num_threads(count);
    match pool.thread_name(|index| format!("compute {index}")).build_global() {
        Ok(()) => Ok(()),
        Err(error) => match error.source().and_then(|source| source.downcast_ref::<io::Error>()) {
            Some(source) => Err(ThreadError::NoThread { source: copy_of(source) }),
            // There is one already.
            None => Ok(()),
        },
    }
}

/// A runtime for remotes, with fewer threads where the system starts no more.
///
/// `TOKIO_WORKER_THREADS` makes it smaller than the machine.
///
/// # Errors
///
/// The system starts not even the two threads that it needs.
pub fn runtime() -> Result<Runtime, ThreadError> {
    let most = wanted("TOKIO_WORKER_THREADS", address_space::threads(processors().min(MAX_WORKERS)));
    // Found out first: tokio panics.
    let workers = match startable(most + RESERVE) {
        (started, None) => started - RESERVE,
        // One of them waits for disks.
        (started, Some(source)) if started < 2 => return Err(ThreadError::NoThread { source }),
        (started, Some(_)) => started.saturating_sub(RESERVE).max(1),
    };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(workers)
        .max_blocking_threads(if workers < most { 1 } else { DISK_THREADS })
        .thread_keep_alive(KEEP_ALIVE)
        .enable_all()
        .build()
        .map_err(ThreadError::of_runtime)?;
    // As long as there is one, what others cannot be started for comes to it.
    drop(runtime.spawn_blocking(|| ()));
    Ok(runtime)
}

/// How many threads a variable of the environment wants; what makes no sense, or is more than `most`, means `most`.
fn wanted(variable: &str, most: usize) -> usize {
    let wanted = std::env::var(variable).ok().and_then(|value| value.trim().parse().ok());
    wanted.filter(|count| (1..=most).contains(count)).unwrap_or(most)
}

/// How many threads can be started beside those that run, up to `count`; with what the system says where that is fewer.
fn startable(count: usize) -> (usize, Option<io::Error>) {
    let gate = Mutex::new(());
    let closed = gate.lock().unwrap_or_else(PoisonError::into_inner);
    let (started, refused) = std::thread::scope(|scope| {
        let mut started = Vec::with_capacity(count);
        let mut refused = None;
        while started.len() < count && refused.is_none() {
            match Builder::new().spawn_scoped(scope, || drop(gate.lock())) {
                Ok(thread) => started.push(thread),
                Err(error) => refused = Some(error),
            }
        }
        drop(closed);
        let count = started.len();
        started.into_iter().for_each(|thread| _ = thread.join());
        (count, refused)
    });
    if refused.is_some() {
        std::thread::sleep(LINGERING);
    }
    (started, refused)
}

fn copy_of(error: &io::Error) -> io::Error {
    error.raw_os_error().map_or_else(|| error.kind().into(), io::Error::from_raw_os_error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_engine_is_refused_where_nobody_serves_its_remotes() {
        let enter = || engine(|bridge| Ok::<_, ThreadError>(bridge.wait(async { 1 })));
        assert!(matches!(enter(), Err(ThreadError::Runtime)));
        let alone = tokio::runtime::Builder::new_current_thread().build().unwrap();
        assert!(matches!(alone.block_on(async { enter() }), Err(ThreadError::Runtime)));
        let several = tokio::runtime::Builder::new_multi_thread().worker_threads(1).build().unwrap();
        assert!(matches!(several.block_on(async { enter() }), Ok(1)));
        let task = several.spawn(async { engine(|bridge| Ok::<_, ThreadError>(bridge.wait(async { 1 }))) });
        assert!(matches!(several.block_on(task), Ok(Ok(1))));
    }

    #[test]
    fn what_borrows_waits_for_a_disk_on_any_thread() {
        let alone = tokio::runtime::Builder::new_current_thread().build().unwrap();
        assert_eq!(alone.block_on(async { on_disk_here(|| 1) }), 1);
        assert_eq!(on_disk_here(|| 1), 1);
    }

    #[test]
    fn work_and_waiting_go_on_at_the_same_time() {
        let runtime = runtime().unwrap();
        let (tell, told) = tokio::sync::oneshot::channel();
        let both = runtime.block_on(async { engine(|bridge| bridge.beside(|| tell.send(7), told)) });
        assert!(matches!(both, Ok((Ok(()), Ok(7)))));
    }

    #[test]
    fn a_thread_that_panicked_says_so_to_whoever_waits() {
        let outcome = std::thread::scope(|scope| {
            let good = start(scope, "good", || 1).unwrap();
            let bad = start(scope, "bad", || -> u8 { panic!("by intent") }).unwrap();
            (good.join(), bad.join())
        });
        assert_eq!(outcome.0.unwrap(), 1);
        assert_eq!(outcome.1.unwrap_err().downcast_ref::<&str>(), Some(&"by intent"));
    }

    #[test]
    fn threads_that_were_tried_are_counted() {
        assert_eq!(startable(3).0, 3);
    }
}

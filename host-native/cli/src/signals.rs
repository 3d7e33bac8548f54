//! Signals that ask the program to end: work stops, what it made beside the project is taken away, and words say how to go
//! on. A second signal ends the program on the spot.

use std::io;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use bundle_core::name::reference::Tag;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::args::Command;
use super::error::{CliError, Exit};
use super::ui::{Format, Ui};
use modelops_bundle::leftovers;
use modelops_bundle::project::Project;

/// How long work may take to end by itself once it was asked to.
const GRACE: Duration = Duration::from_millis(700);

/// How long the clearing up may take; a network file system may hang.
const CLEARING: Duration = Duration::from_secs(2);

/// A signal that asks for the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Signal {
    /// The terminal is gone.
    HangUp,
    /// Ctrl-C.
    Interrupt,
    /// Somebody asks in a friendly way.
    Terminate,
}

impl Signal {
    /// The exit code that shells know it by.
    fn exit(self) -> Exit {
        match self {
            Self::HangUp => Exit::HungUp,
            Self::Interrupt => Exit::Interrupted,
            Self::Terminate => Exit::Terminated,
        }
    }

    /// Its number.
    #[cfg(unix)]
    fn kind(self) -> tokio::signal::unix::SignalKind {
        use tokio::signal::unix::SignalKind;
        match self {
            Self::HangUp => SignalKind::hangup(),
            Self::Interrupt => SignalKind::interrupt(),
            Self::Terminate => SignalKind::terminate(),
        }
    }
}

/// What a running command and whoever may have to stop it know of each other.
#[derive(Debug, Default)]
pub(crate) struct Run {
    /// Cancelled once the command is to stop.
    token: CancellationToken,
    /// Told when some of the work has stopped, so that nobody need wait for the rest.
    has_stopped: Notify,
    /// Where the journal of the project lies that the command may change.
    journal: OnceLock<PathBuf>,
    /// The tags that were written.
    tags: Mutex<Vec<String>>,
}

impl Run {
    /// The command may change `project`.
    pub(crate) fn changes(&self, project: &Project) {
        // A command changes one project.
        let _ = self.journal.set(project.journal_file());
    }

    /// The command has written a tag, which stays.
    pub(crate) fn wrote_tag(&self, tag: &Tag) {
        self.tags.lock().unwrap_or_else(PoisonError::into_inner).push(tag.to_string());
    }

    /// The tags that were written by now.
    fn written_tags(&self) -> Vec<String> {
        self.tags.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Cancelled once the command is to stop.
    pub(crate) fn cancellation(&self) -> CancellationToken {
        self.token.clone()
    }

    /// Whether the command is to stop.
    pub(crate) fn is_to_stop(&self) -> bool {
        self.token.is_cancelled()
    }

    /// What comes of `work`; nothing where the command is to stop first.
    pub(crate) async fn unless_stopped<T>(&self, work: impl Future<Output = T>) -> Option<T> {
        self.token.run_until_cancelled(work).await
    }

    /// Stops the work of this thread, where the command is to stop.
    pub(crate) fn stop_here_if_asked(&self) {
        if self.is_to_stop() {
            self.stop_here();
        }
    }

    /// Does nothing more in this thread: whoever listens for signals clears up and ends the process.
    pub(crate) fn stop_here(&self) -> ! {
        self.has_stopped.notify_one();
        loop {
            std::thread::park();
        }
    }

    /// Whether changes were written down that the next command will finish.
    fn has_promised(&self) -> bool {
        self.journal.get().is_some_and(|journal| journal.exists())
    }
}

/// Listens for signals before anything is begun.
#[must_use = "a signal is answered once it is known what runs"]
pub(super) struct Early {
    tell: SyncSender<Arc<Shared>>,
    /// Tells once signals are caught; none where nobody could be started who does.
    is_listening: Option<Receiver<()>>,
}

/// Listens for signals while a command runs.
pub(super) struct Listener {
    shared: Arc<Shared>,
}

struct Shared {
    ui: Arc<Ui>,
    command: &'static str,
    go_on: &'static str,
    /// The same where tags were written.
    after_tags: &'static str,
    run: Arc<Run>,
    first: OnceLock<Signal>,
    /// Held by whoever ends the program.
    ending: Mutex<()>,
}

impl Early {
    /// Begins to listen, for as long as the process lives. Signals that whoever started it wants to be ignored, as `nohup`
    /// does, stay ignored.
    pub(super) fn listen() -> Self {
        let (tell, told) = sync_channel::<Arc<Shared>>(1);
        let (listening, is_listening) = sync_channel(1);
        let thread = std::thread::Builder::new().name("signals".to_owned()).spawn(move || {
            let signals = Signals::catch();
            let _ = listening.send(());
            // Where the system gives no way to listen, a signal ends the program as it does any other.
            if let (Ok((runtime, signals)), Ok(shared)) = (signals, told.recv()) {
                runtime.block_on(shared.serve(signals));
            }
        });
        Self { tell, is_listening: thread.is_ok().then_some(is_listening) }
    }

    /// Answers signals from here on.
    pub(super) fn answer(self, ui: Arc<Ui>, command: &Command, run: Arc<Run>) -> Listener {
        // From here on there is something to clear up.
        if let Some(is_listening) = &self.is_listening {
            let _ = is_listening.recv();
        }
        let (go_on, after_tags) = (command.how_to_go_on(), command.how_to_go_on_after_tags());
        let command = command.name();
        let (first, ending) = (OnceLock::new(), Mutex::new(()));
        let shared = Arc::new(Shared { ui, command, go_on, after_tags, run, first, ending });
        // Nobody is there to be told where no thread could be started.
        let _ = self.tell.send(Arc::clone(&shared));
        Listener { shared }
    }
}

impl Listener {
    /// Ends the program with what its command came to.
    pub(super) fn end(&self, result: Result<(), CliError>) -> ExitCode {
        let Err(error) = result else { return ExitCode::SUCCESS };
        match self.shared.first.get() {
            None => {
                self.shared.ui.error(&error);
                ExitCode::from(error.exit as u8)
            }
            Some(signal) => {
                let _ending = self.shared.ending();
                self.shared.stop(*signal)
            }
        }
    }
}

impl Shared {
    fn ending(&self) -> MutexGuard<'_, ()> {
        self.ending.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn serve(self: Arc<Self>, mut signals: Signals) {
        let first = signals.next().await;
        let _ = self.first.set(first);
        self.run.token.cancel();
        let second = tokio::select! {
            second = signals.next() => Some(second),
            () = self.run.has_stopped.notified() => None,
            () = tokio::time::sleep(GRACE) => None,
        };
        let Ok(_ending) = self.ending.try_lock() else {
            // The command ends by itself; where it cannot say so, nobody wants to hear it.
            tokio::time::sleep(CLEARING).await;
            std::process::exit(first.exit() as i32);
        };
        self.stop(second.unwrap_or(first));
    }

    /// Takes away what is not finished, says so, and ends the process.
    fn stop(self: &Arc<Self>, signal: Signal) -> ! {
        let (tell, is_done) = sync_channel(1);
        let shared = Arc::clone(self);
        let thread = std::thread::Builder::new().spawn(move || {
            shared.clear_up(signal);
            let _ = tell.send(());
        });
        match thread {
            // Disks and whoever reads the words may hang.
            Ok(_) if is_done.recv_timeout(CLEARING).is_ok() => {}
            Ok(_) => self.say_aside(signal),
            Err(_) => self.clear_up(signal),
        }
        std::process::exit(signal.exit() as i32)
    }

    fn clear_up(&self, signal: Signal) {
        leftovers::take_away();
        let error = self.words(signal);
        match signal {
            Signal::Interrupt => self.ui.interrupted(&error),
            Signal::HangUp | Signal::Terminate => self.ui.error(&error),
        }
    }

    fn words(&self, signal: Signal) -> CliError {
        let stopped = |go_on| CliError::stopped(signal.exit(), self.command, go_on);
        let tags = self.run.written_tags();
        if self.run.has_promised() {
            stopped("its files were being put in place: the next command in the project finishes that")
        } else if tags.is_empty() {
            stopped(self.go_on)
        } else {
            stopped(self.after_tags).after_writing(tags)
        }
    }

    /// Says it where a document cannot be printed, since nobody reads standard output.
    fn say_aside(self: &Arc<Self>, signal: Signal) {
        if self.ui.format() == Format::Text {
            return;
        }
        let (tell, is_done) = sync_channel(1);
        let shared = Arc::clone(self);
        let thread = std::thread::Builder::new().spawn(move || {
            shared.ui.error_aside(&shared.words(signal));
            let _ = tell.send(());
        });
        // Nobody may read that either.
        let _ = thread.map(|_| is_done.recv_timeout(GRACE));
    }
}

#[cfg(unix)]
struct Signals(Vec<(Signal, tokio::signal::unix::Signal)>);

#[cfg(unix)]
impl Signals {
    fn catch() -> io::Result<(tokio::runtime::Runtime, Self)> {
        use tokio::signal::unix::SignalKind;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let signals = {
            let _inside = runtime.enter();
            let ignored = ignored_signals();
            // Where a file may grow no more (`ulimit -f`) it would end the program: the write itself says what is wrong.
            let _ = tokio::signal::unix::signal(SignalKind::from_raw(rustix::process::Signal::XFSZ.as_raw()));
            [Signal::HangUp, Signal::Interrupt, Signal::Terminate]
                .into_iter()
                .filter(|signal| ignored >> (signal.kind().as_raw_value() - 1) & 1 == 0)
                .map(|signal| Ok((signal, tokio::signal::unix::signal(signal.kind())?)))
                .collect::<io::Result<_>>()?
        };
        Ok((runtime, Self(signals)))
    }

    async fn next(&mut self) -> Signal {
        std::future::poll_fn(|context| {
            for (signal, stream) in &mut self.0 {
                if stream.poll_recv(context).is_ready() {
                    return std::task::Poll::Ready(*signal);
                }
            }
            std::task::Poll::Pending
        })
        .await
    }
}

/// Signals that were ignored when the program started, one bit each, the lowest first; only Linux tells.
#[cfg(unix)]
fn ignored_signals() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_else(|_| String::new());
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0)
}

#[cfg(not(unix))]
struct Signals;

#[cfg(not(unix))]
impl Signals {
    fn catch() -> io::Result<(tokio::runtime::Runtime, Self)> {
        Ok((tokio::runtime::Builder::new_current_thread().enable_all().build()?, Self))
    }

    async fn next(&mut self) -> Signal {
        match tokio::signal::ctrl_c().await {
            Ok(()) => Signal::Interrupt,
            Err(_) => std::future::pending().await,
        }
    }
}

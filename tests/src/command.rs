//! Runs the program under test, with a cleared environment and a time limit.

use crate::bin::bundle_binary;
use std::ffi::OsStr;
use std::fmt;
use std::io::{Read, Write};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// How long a command may take unless the test says otherwise: far more than any needs.
const TIME_LIMIT: Duration = Duration::from_secs(120);

/// How often a running child is looked at.
const POLL: Duration = Duration::from_millis(2);

/// A run of the program, not started yet.
///
/// Its environment holds `PATH`, `HOME`, `TMPDIR`, that no progress is shown, and what [`env`](Self::env) adds, so that neither the
/// developer's settings nor his credentials reach a test.
#[derive(Debug)]
pub struct BundleCommand {
    command: Command,
    input: Vec<u8>,
    time_limit: Duration,
}

impl BundleCommand {
    /// The program under test, with `home` as the user's folder. Temporary files go to `home` as well.
    pub fn new(home: &Path) -> Self {
        Self::of_program(bundle_binary(), home)
    }

    /// Another program, run in the same way.
    pub fn of_program(program: impl AsRef<OsStr>, home: &Path) -> Self {
        let mut command = Command::new(program);
        command.env_clear().env("HOME", home).env("TMPDIR", home);
        // A slow machine would otherwise make a test say more.
        command.env("MODELOPS_BUNDLE_PROGRESS", "none");
        if let Some(path) = std::env::var_os("PATH") {
            command.env("PATH", path);
        }
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        Self { command, input: Vec::new(), time_limit: TIME_LIMIT }
    }

    /// Adds an argument.
    pub fn arg(mut self, argument: impl AsRef<OsStr>) -> Self {
        self.command.arg(argument);
        self
    }

    /// Adds arguments.
    pub fn args(mut self, arguments: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Self {
        self.command.args(arguments);
        self
    }

    /// Sets an environment variable.
    pub fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.command.env(name, value);
        self
    }

    /// Runs it in a folder.
    pub fn current_dir(mut self, folder: impl AsRef<Path>) -> Self {
        self.command.current_dir(folder);
        self
    }

    /// Gives it standard input; without this it is empty.
    pub fn input(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        self.input = bytes.into();
        self
    }

    /// Fails the test when it takes longer than this.
    pub fn time_limit(mut self, limit: Duration) -> Self {
        self.time_limit = limit;
        self
    }

    /// Runs it to its end.
    #[must_use = "check the exit code with .success() or .code(n)"]
    pub fn run(self) -> CommandOutput {
        self.spawn().wait()
    }

    /// Kills it, as `kill -9` does, when it has run for `delay`. It may have ended before: see
    /// [`CommandOutput::was_killed`].
    #[must_use = "ask whether it was killed"]
    pub fn run_killed_after(self, delay: Duration) -> CommandOutput {
        let mut running = self.spawn();
        let kill_at = Instant::now() + delay;
        while !running.has_ended() {
            let left = kill_at.saturating_duration_since(Instant::now());
            if left.is_zero() {
                running.kill();
                break;
            }
            thread::sleep(left.min(POLL));
        }
        running.wait()
    }

    /// Starts it and returns at once.
    pub fn spawn(mut self) -> RunningCommand {
        let shown = describe(&self.command);
        let mut child = self.command.spawn().unwrap_or_else(|error| panic!("cannot run `{shown}`: {error}"));
        // A thread each, so that no pipe can fill up while another is waited for.
        let mut stdin = child.stdin.take();
        let input = self.input;
        thread::spawn(move || {
            // A program need not read its input to the end.
            let _ = stdin.take().map(|mut stdin| stdin.write_all(&input));
        });
        let stdout = read_to_end(child.stdout.take());
        let stderr = read_to_end(child.stderr.take());
        RunningCommand {
            shown,
            child,
            stdout: Some(stdout),
            stderr: Some(stderr),
            started: Instant::now(),
            time_limit: self.time_limit,
            peak_memory: None,
        }
    }
}

/// A run that has started. Dropped before [`wait`](Self::wait), it is killed.
#[derive(Debug)]
pub struct RunningCommand {
    shown: String,
    child: Child,
    stdout: Option<JoinHandle<Vec<u8>>>,
    stderr: Option<JoinHandle<Vec<u8>>>,
    started: Instant,
    time_limit: Duration,
    peak_memory: Option<u64>,
}

impl RunningCommand {
    /// Its process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Whether it has ended.
    pub fn has_ended(&mut self) -> bool {
        self.child.try_wait().expect("a child can be asked whether it has ended").is_some()
    }

    /// Ends it at once, with no chance to tidy up. Does nothing when it has ended.
    pub fn kill(&mut self) {
        let _ = self.child.kill();
    }

    /// Waits for its end.
    #[must_use = "check the exit code with .success() or .code(n)"]
    pub fn wait(mut self) -> CommandOutput {
        let mut late = false;
        while !self.has_ended() {
            self.peak_memory = peak_memory(self.id()).or(self.peak_memory);
            if self.started.elapsed() > self.time_limit {
                late = true;
                self.kill();
                break;
            }
            thread::sleep(POLL);
        }
        let status = self.child.wait().expect("a child can be waited for");
        let output = CommandOutput {
            shown: std::mem::take(&mut self.shown),
            status,
            stdout: collect(self.stdout.take()),
            stderr: collect(self.stderr.take()),
            took: self.started.elapsed(),
            peak_memory: self.peak_memory,
        };
        assert!(!late, "took longer than {:?}\n{output}", self.time_limit);
        output
    }
}

impl Drop for RunningCommand {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// How a run ended and what it printed.
///
/// Whatever asks of it first says what exit code it expects; a surprise is shown with all the output.
#[derive(Debug)]
pub struct CommandOutput {
    shown: String,
    status: ExitStatus,
    stdout: Vec<u8>,
    stderr: Vec<u8>,
    took: Duration,
    peak_memory: Option<u64>,
}

impl CommandOutput {
    /// Checks that the exit code is 0.
    #[track_caller]
    pub fn success(self) -> Self {
        self.code(0)
    }

    /// Checks that the exit code is one of those expected.
    #[track_caller]
    pub fn code_among(self, expected: &[i32]) -> Self {
        let is_expected = self.status.code().is_some_and(|code| expected.contains(&code));
        assert!(is_expected, "expected one of the exit codes {expected:?}\n{self}");
        self
    }

    /// Checks the exit code.
    #[track_caller]
    pub fn code(self, expected: i32) -> Self {
        assert!(self.status.code() == Some(expected), "expected exit code {expected}\n{self}");
        self
    }

    /// The exit code, where it ended with one.
    pub fn exit_code(&self) -> Option<i32> {
        self.status.code()
    }

    /// Whether a signal ended it, rather than its own decision.
    pub fn was_killed(&self) -> bool {
        self.status.code().is_none()
    }

    /// Standard output.
    #[track_caller]
    pub fn stdout(&self) -> &str {
        str::from_utf8(&self.stdout).unwrap_or_else(|error| panic!("stdout is not UTF-8: {error}\n{self}"))
    }

    /// Standard output as it came.
    pub fn stdout_bytes(&self) -> &[u8] {
        &self.stdout
    }

    /// Standard error.
    #[track_caller]
    pub fn stderr(&self) -> &str {
        str::from_utf8(&self.stderr).unwrap_or_else(|error| panic!("stderr is not UTF-8: {error}\n{self}"))
    }

    /// Standard output as the one JSON document that it must be.
    #[track_caller]
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.stdout)
            .unwrap_or_else(|error| panic!("stdout is not one JSON document: {error}\n{self}"))
    }

    /// How long it took, from its start to its end.
    pub fn took(&self) -> Duration {
        self.took
    }

    /// The most memory that it held at a time, in bytes, as last seen while it ran; only Linux tells.
    pub fn peak_memory(&self) -> Option<u64> {
        self.peak_memory
    }
}

impl fmt::Display for CommandOutput {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(formatter, "$ {}\n{} after {:?}", self.shown, self.status, self.took)?;
        writeln!(formatter, "--- stdout\n{}", String::from_utf8_lossy(&self.stdout))?;
        write!(formatter, "--- stderr\n{}", String::from_utf8_lossy(&self.stderr))
    }
}

/// What the system says of a running process; nothing once it has ended.
fn peak_memory(process: u32) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    Some(1024 * peak.trim().strip_suffix(" kB")?.parse::<u64>().ok()?)
}

fn read_to_end(pipe: Option<impl Read + Send + 'static>) -> JoinHandle<Vec<u8>> {
    thread::spawn(move || {
        let mut bytes = Vec::new();
        if let Some(mut pipe) = pipe {
            // What came before an error is still worth showing.
            let _ = pipe.read_to_end(&mut bytes);
        }
        bytes
    })
}

fn collect(reader: Option<JoinHandle<Vec<u8>>>) -> Vec<u8> {
    reader.and_then(|reader| reader.join().ok()).unwrap_or_default()
}

fn describe(command: &Command) -> String {
    let program = Path::new(command.get_program());
    let mut shown = program.file_name().unwrap_or(command.get_program()).to_string_lossy().into_owned();
    for argument in command.get_args() {
        shown.push(' ');
        shown.push_str(&argument.to_string_lossy());
    }
    shown
}

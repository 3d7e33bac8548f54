//! How work gets on, on standard error: bars on a terminal, a line now and then elsewhere.
//!
//! Work that is done within a quarter of a second draws nothing.

use std::io::{self, IsTerminal as _, Write as _};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, Instant};

use clap::ValueEnum;
use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::signals::Run;
use super::ui::bytes;
use crate::progress::{Progress, Work};

/// How long work may take before it gets a bar.
const BAR_AFTER: Duration = Duration::from_millis(250);

/// How often bars are drawn, each second.
const DRAWINGS: u8 = 20;

/// How long work may take before it gets a line.
const FIRST_LINE_AFTER: Duration = Duration::from_secs(5);

/// How much time lies between two lines.
const BETWEEN_LINES: Duration = Duration::from_secs(10);

/// The variable that says how progress is shown where no option does.
const VARIABLE: &str = "MODELOPS_BUNDLE_PROGRESS";

/// How its value is read.
const IGNORE_CASE: bool = true;

/// All kinds of work, in the order in which they are shown.
const KINDS: [Work; 4] = [Work::Scan, Work::Hash, Work::Upload, Work::Download];

/// How progress is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum ProgressMode {
    /// Bars on a terminal, a line now and then elsewhere
    Auto,
    /// A line now and then
    Plain,
    /// Not at all
    None,
}

impl ProgressMode {
    /// What the environment asks for; what it says is not worth a failure.
    pub(crate) fn of_environment() -> Self {
        let said = std::env::var(VARIABLE).unwrap_or_default();
        Self::from_str(&said, IGNORE_CASE).unwrap_or(Self::Auto)
    }
}

/// What shows progress.
pub(crate) enum Board {
    /// Bars on a terminal.
    Bars(Bars),
    /// Lines.
    Lines(Lines),
    /// Nothing.
    Nothing,
}

impl Board {
    /// What `mode` means for this process's standard error. Lines of a log and bars do not go together.
    pub(crate) fn new(mode: ProgressMode, logs: bool) -> Self {
        let is_terminal =
            io::stderr().is_terminal() && std::env::var_os("TERM").is_none_or(|term| term != "dumb");
        match mode {
            ProgressMode::None => Self::Nothing,
            ProgressMode::Auto if is_terminal && !logs => Self::Bars(Bars::new()),
            ProgressMode::Auto | ProgressMode::Plain => Self::Lines(Lines::new()),
        }
    }

    /// Lets `say` write to the terminal without a bar in its way.
    pub(crate) fn aside(&self, say: impl FnOnce()) {
        match self {
            Self::Bars(bars) => bars.all.suspend(say),
            Self::Lines(_) | Self::Nothing => say(),
        }
    }

    /// Takes away what is drawn: the result follows.
    pub(crate) fn end(&self) {
        if let Self::Bars(bars) = self {
            bars.has_ended.store(true, Ordering::Relaxed);
            bars.kinds.iter().filter_map(|kind| kind.bar.get()).for_each(ProgressBar::finish_and_clear);
        }
    }
}

impl Progress for Board {
    fn expect(&self, work: Work, amount: u64) {
        match self {
            Self::Bars(bars) if bars.has_ended.load(Ordering::Relaxed) => {}
            Self::Bars(bars) => bars.kind(work).expect(amount),
            Self::Lines(lines) => _ = lines.kind(work).expected.fetch_add(amount, Ordering::Relaxed),
            Self::Nothing => {}
        }
    }

    fn advance(&self, work: Work, amount: u64) {
        match self {
            Self::Bars(bars) if bars.has_ended.load(Ordering::Relaxed) => {}
            Self::Bars(bars) => bars.kind(work).advance(&bars.all, work, amount),
            Self::Lines(lines) => lines.advance(work, amount),
            Self::Nothing => {}
        }
    }
}

/// A board for work that may have to stop: whoever tells how it gets on has come to a place where it can.
#[derive(Debug)]
pub(crate) struct Watched {
    pub(crate) board: Arc<Board>,
    pub(crate) run: Arc<Run>,
}

impl Progress for Watched {
    fn expect(&self, work: Work, amount: u64) {
        self.run.stop_here_if_asked();
        self.board.expect(work, amount);
    }

    fn advance(&self, work: Work, amount: u64) {
        self.run.stop_here_if_asked();
        self.board.advance(work, amount);
    }
}

/// A bar for each kind of work that takes long enough.
pub(crate) struct Bars {
    /// Whether there is nothing more to show.
    has_ended: AtomicBool,
    all: MultiProgress,
    kinds: [Bar; KINDS.len()],
}

#[derive(Default)]
struct Bar {
    begun: OnceLock<Instant>,
    expected: AtomicU64,
    done: AtomicU64,
    bar: OnceLock<ProgressBar>,
}

impl Bars {
    fn new() -> Self {
        let target = ProgressDrawTarget::stderr_with_hz(DRAWINGS);
        let all = MultiProgress::with_draw_target(target);
        Self { has_ended: AtomicBool::new(false), all, kinds: Default::default() }
    }

    fn kind(&self, work: Work) -> &Bar {
        &self.kinds[work as usize]
    }
}

impl Bar {
    fn expect(&self, amount: u64) {
        let expected = self.expected.fetch_add(amount, Ordering::Relaxed) + amount;
        self.begun.get_or_init(Instant::now);
        if let Some(bar) = self.bar.get() {
            bar.set_length(expected);
        }
    }

    fn advance(&self, all: &MultiProgress, work: Work, amount: u64) {
        let done = self.done.fetch_add(amount, Ordering::Relaxed) + amount;
        let begun = self.begun.get_or_init(Instant::now);
        if let Some(bar) = self.bar.get() {
            bar.set_position(done);
        } else if begun.elapsed() >= BAR_AFTER {
            self.bar.get_or_init(|| {
                let length = Some(self.expected.load(Ordering::Relaxed)).filter(|expected| *expected > 0);
                let bar = ProgressBar::with_draw_target(length, ProgressDrawTarget::hidden());
                let bar = all
                    .add(bar.with_style(style(work)).with_prefix(verb(work)).with_elapsed(begun.elapsed()));
                bar.set_position(done);
                bar
            });
        }
    }
}

fn style(work: Work) -> ProgressStyle {
    let template = match work {
        Work::Scan => "{prefix:<9} {human_pos} files",
        Work::Hash | Work::Upload | Work::Download => {
            "{prefix:<9} [{bar:24}] {binary_bytes} of {binary_total_bytes}, {binary_bytes_per_sec}, {eta} left"
        }
    };
    // The templates are known to be right; a test says so.
    ProgressStyle::with_template(template)
        .unwrap_or_else(|_| ProgressStyle::default_bar())
        .progress_chars("=> ")
}

fn verb(work: Work) -> &'static str {
    match work {
        Work::Scan => "scanning",
        Work::Hash => "reading",
        Work::Upload => "sending",
        Work::Download => "receiving",
    }
}

/// A line now and then.
pub(crate) struct Lines {
    begun: Instant,
    kinds: [Count; KINDS.len()],
    /// When the next line is due.
    next: Mutex<Instant>,
}

#[derive(Default)]
struct Count {
    begun: OnceLock<Instant>,
    expected: AtomicU64,
    done: AtomicU64,
}

impl Lines {
    fn new() -> Self {
        let begun = Instant::now();
        Self { begun, kinds: Default::default(), next: Mutex::new(begun + FIRST_LINE_AFTER) }
    }

    fn kind(&self, work: Work) -> &Count {
        &self.kinds[work as usize]
    }

    fn advance(&self, work: Work, amount: u64) {
        let kind = self.kind(work);
        kind.begun.get_or_init(Instant::now);
        kind.done.fetch_add(amount, Ordering::Relaxed);
        let now = Instant::now();
        if now < self.begun + FIRST_LINE_AFTER {
            return;
        }
        // Whoever holds it is writing the line.
        let Ok(mut next) = self.next.try_lock() else { return };
        if now < *next {
            return;
        }
        *next = now + BETWEEN_LINES;
        let lines = KINDS.into_iter().filter_map(|work| self.kind(work).line(work, now));
        // Nobody is there to be told that standard error is closed.
        let _ = writeln!(io::stderr(), "{}", lines.collect::<Vec<_>>().join("; "));
    }
}

impl Count {
    /// How this kind of work gets on, where it has begun and is not done.
    fn line(&self, work: Work, now: Instant) -> Option<String> {
        let begun = self.begun.get()?;
        let (done, expected) = (self.done.load(Ordering::Relaxed), self.expected.load(Ordering::Relaxed));
        if work == Work::Scan {
            return (self.expected.load(Ordering::Relaxed) == 0)
                .then(|| format!("{}: {done} files", verb(work)));
        }
        if done >= expected {
            return None;
        }
        let seconds = now.saturating_duration_since(*begun).as_secs_f64().max(0.001);
        let rate = done as f64 / seconds;
        let left = (expected - done) as f64 / rate.max(1.0);
        Some(format!(
            "{}: {} of {}, {}/s, {left:.0} s left",
            verb(work),
            bytes(done),
            bytes(expected),
            bytes(rate as u64)
        ))
    }
}

impl std::fmt::Debug for Board {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Bars(_) => "Bars",
            Self::Lines(_) => "Lines",
            Self::Nothing => "Nothing",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_has_its_place_and_a_template() {
        for (at, work) in KINDS.into_iter().enumerate() {
            assert_eq!(work as usize, at);
            let _ = style(work);
        }
    }

    #[test]
    fn a_line_says_how_much_and_how_long() {
        let count = Count::default();
        let begun = *count.begun.get_or_init(Instant::now);
        count.expected.store(3 << 20, Ordering::Relaxed);
        count.done.store(1 << 20, Ordering::Relaxed);
        let line = count.line(Work::Upload, begun + Duration::from_secs(2)).unwrap();
        assert_eq!(line, "sending: 1.0 MiB of 3.0 MiB, 512.0 KiB/s, 4 s left");
        count.done.store(3 << 20, Ordering::Relaxed);
        assert_eq!(count.line(Work::Upload, begun + Duration::from_secs(2)), None);
    }
}

//! How work gets on, on standard error: bars on a terminal, a line now and then elsewhere.
//!
//! Work that is done within a quarter of a second draws nothing.

use std::fmt;
use std::io::{self, IsTerminal as _, Write as _};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, Instant};

use clap::ValueEnum;
use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};

use super::signals::Run;
use super::ui::bytes;
use crate::progress::{Progress, Work};

/// How long work may take before it gets a bar.
const BAR_AFTER: Duration = Duration::from_millis(250);

/// How often bars are drawn, each second.
const DRAWINGS: u8 = 20;

/// How long work may take before it gets a line.
const FIRST_LINE_AFTER: Duration = Duration::from_secs(5);

/// How wide a bar is at most, and from which width on it says anything.
const MAX_BAR: usize = 40;
const MIN_BAR: usize = 8;

/// The longest time left that is told, in seconds.
const MAX_LEFT: f64 = 359_999.0;

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
            bars.kinds.iter().filter_map(OnceLock::get).for_each(ProgressBar::finish_and_clear);
        }
    }
}

impl Progress for Board {
    fn expect(&self, work: Work, amount: u64) {
        match self {
            Self::Bars(bars) if bars.has_ended.load(Ordering::Relaxed) => {}
            Self::Bars(bars) => bars.expect(work, amount),
            Self::Lines(lines) => _ = lines.counts.of(work).expected.fetch_add(amount, Ordering::Relaxed),
            Self::Nothing => {}
        }
    }

    fn advance(&self, work: Work, amount: u64) {
        match self {
            Self::Bars(bars) if bars.has_ended.load(Ordering::Relaxed) => {}
            Self::Bars(bars) => bars.advance(work, amount),
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

/// How far each kind of work is.
#[derive(Default)]
struct Counts([Count; KINDS.len()]);

impl Counts {
    fn of(&self, work: Work) -> &Count {
        &self.0[work as usize]
    }

    /// Whether more may come of it: what is read now is sent later, and nobody knows yet how much that will be.
    fn may_grow(&self, work: Work) -> bool {
        let reading = self.of(Work::Hash);
        work == Work::Upload && reading.done() < reading.expected()
    }
}

/// A bar for each kind of work that takes long enough.
pub(crate) struct Bars {
    /// Whether there is nothing more to show.
    has_ended: AtomicBool,
    all: MultiProgress,
    counts: Arc<Counts>,
    kinds: [OnceLock<ProgressBar>; KINDS.len()],
}

impl Bars {
    fn new() -> Self {
        let target = ProgressDrawTarget::stderr_with_hz(DRAWINGS);
        let all = MultiProgress::with_draw_target(target);
        let has_ended = AtomicBool::new(false);
        Self { has_ended, all, counts: Arc::default(), kinds: Default::default() }
    }

    fn expect(&self, work: Work, amount: u64) {
        let count = self.counts.of(work);
        let expected = count.expected.fetch_add(amount, Ordering::Relaxed) + amount;
        count.begun.get_or_init(Instant::now);
        if let Some(bar) = self.kinds[work as usize].get() {
            bar.set_length(expected);
        }
    }

    fn advance(&self, work: Work, amount: u64) {
        let count = self.counts.of(work);
        let done = count.done.fetch_add(amount, Ordering::Relaxed) + amount;
        let begun = count.begun.get_or_init(Instant::now);
        let bar = &self.kinds[work as usize];
        if let Some(bar) = bar.get() {
            bar.set_position(done);
        } else if begun.elapsed() >= BAR_AFTER {
            bar.get_or_init(|| {
                let length = Some(count.expected()).filter(|expected| *expected > 0);
                let bar = ProgressBar::with_draw_target(length, ProgressDrawTarget::hidden());
                let style = self.style(work);
                let bar = self.all.add(bar.with_style(style).with_elapsed(begun.elapsed()));
                bar.set_position(done);
                bar
            });
        }
    }

    /// One line, made anew for each drawing, since the terminal may have become narrower.
    fn style(&self, work: Work) -> ProgressStyle {
        let counts = Arc::clone(&self.counts);
        let line = move |state: &ProgressState, out: &mut dyn fmt::Write| {
            let (done, expected) = (state.pos(), state.len());
            let expected = expected.filter(|_| !counts.may_grow(work));
            // Nobody is there to be told that a line cannot be written.
            let _ = out.write_str(&line(work, done, expected, state.per_sec(), columns()));
        };
        // The template is known to be right; a test says so.
        ProgressStyle::with_template("{line}")
            .unwrap_or_else(|_| ProgressStyle::default_bar())
            .with_key("line", line)
    }
}

/// How many columns the terminal has.
fn columns() -> usize {
    terminal_size::terminal_size_of(io::stderr()).map_or(80, |(width, _)| usize::from(width.0))
}

/// How work gets on, in less than `columns`: a line that is longer breaks, and leaves its pieces when it is drawn anew.
fn line(work: Work, done: u64, expected: Option<u64>, rate: f64, columns: usize) -> String {
    let room = columns.saturating_sub(1);
    let verb = verb(work);
    if work == Work::Scan {
        return format!("{verb:<9} {done} files").chars().take(room).collect();
    }
    let per_second = format!("{}/s", bytes(rate as u64));
    let Some(expected) = expected.filter(|expected| *expected >= done) else {
        let parts = [format!(" {}", bytes(done)), format!(", {per_second}")];
        return fitting(&format!("{verb:<9}"), parts, room);
    };
    let left = Duration::from_secs_f64(((expected - done) as f64 / rate.max(1.0)).min(MAX_LEFT));
    let percent = 100 * u128::from(done) / u128::from(expected.max(1));
    let parts = [
        format!(" {percent:>3} %"),
        format!("  {} of {}", bytes(done), bytes(expected)),
        format!(", {per_second}"),
        format!(", {} left", time(left)),
    ];
    let text: usize = parts.iter().map(|part| part.chars().count()).sum();
    let bar = room.saturating_sub(verb_width() + 3 + text).min(MAX_BAR);
    if bar < MIN_BAR {
        return fitting(&format!("{verb:<9}"), parts, room);
    }
    let filled = (bar as u128 * u128::from(done) / u128::from(expected.max(1))) as usize;
    let bar = format!("{}{}", "=".repeat(filled), " ".repeat(bar - filled));
    format!("{verb:<9} [{bar}]{}", parts.concat())
}

/// A time for people, at most four columns wide.
fn time(left: Duration) -> String {
    match left.as_secs() {
        seconds @ 0..60 => format!("{seconds}s"),
        seconds @ 60..3600 => format!("{}m", seconds / 60),
        seconds => format!("{}h", seconds / 3600),
    }
}

/// As many of `parts` behind `start` as there is room for.
fn fitting(start: &str, parts: impl IntoIterator<Item = String>, room: usize) -> String {
    let mut line: String = start.chars().take(room).collect();
    for part in parts {
        if line.chars().count() + part.chars().count() > room {
            break;
        }
        line.push_str(&part);
    }
    line
}

/// The columns of the longest verb.
const fn verb_width() -> usize {
    9
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
    counts: Counts,
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
        Self { begun, counts: Counts::default(), next: Mutex::new(begun + FIRST_LINE_AFTER) }
    }

    fn advance(&self, work: Work, amount: u64) {
        let kind = self.counts.of(work);
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
        let lines = KINDS.into_iter().filter_map(|work| {
            let may_grow = self.counts.may_grow(work);
            self.counts.of(work).line(work, if may_grow { Total::MayGrow } else { Total::Known }, now)
        });
        // Nobody is there to be told that standard error is closed.
        let _ = writeln!(io::stderr(), "{}", lines.collect::<Vec<_>>().join("; "));
    }
}

/// Whether it is known how much there is to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Total {
    Known,
    MayGrow,
}

impl Count {
    fn done(&self) -> u64 {
        self.done.load(Ordering::Relaxed)
    }

    fn expected(&self) -> u64 {
        self.expected.load(Ordering::Relaxed)
    }

    /// How this kind of work gets on, where it has begun and is not done.
    fn line(&self, work: Work, total: Total, now: Instant) -> Option<String> {
        let begun = self.begun.get()?;
        let (done, expected) = (self.done(), self.expected());
        if work == Work::Scan {
            return (expected == 0).then(|| format!("{}: {done} files", verb(work)));
        }
        let seconds = now.saturating_duration_since(*begun).as_secs_f64().max(0.001);
        let rate = done as f64 / seconds;
        if total == Total::MayGrow && done > 0 {
            return Some(format!("{}: {}, {}/s", verb(work), bytes(done), bytes(rate as u64)));
        }
        if done >= expected {
            return None;
        }
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

impl fmt::Debug for Board {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
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
            // A template that is wrong would have no key to fill.
            let _ = Bars::new().style(work);
        }
        assert!(ProgressStyle::with_template("{line}").is_ok());
    }

    #[test]
    fn a_bar_fits_into_the_terminal() {
        for columns in [1, 10, 20, 40, 60, 80, 100, 200] {
            for (done, expected, rate) in [
                (0, Some(0), 0.0),
                (1, Some(u64::MAX), 1e18),
                (1023 << 20, Some(1 << 30), 1e9),
                (1 << 40, None, 1e6),
            ] {
                for work in KINDS {
                    let line = line(work, done, expected, rate, columns);
                    assert!(line.chars().count() < columns.max(2), "{columns}: {line}");
                }
            }
        }
        let text = |columns| line(Work::Upload, 1 << 20, Some(4 << 20), 1024.0 * 1024.0, columns);
        assert_eq!(
            text(80),
            "sending   [=====                ]  25 %  1.0 MiB of 4.0 MiB, 1.0 MiB/s, 3s left"
        );
        assert_eq!(text(40), "sending    25 %  1.0 MiB of 4.0 MiB");
        assert_eq!(line(Work::Upload, 1 << 20, None, 1024.0, 80), "sending   1.0 MiB, 1.0 KiB/s");
    }

    #[test]
    fn what_is_still_read_may_have_to_be_sent() {
        let counts = Counts::default();
        assert!(!counts.may_grow(Work::Upload));
        counts.of(Work::Hash).expected.store(2, Ordering::Relaxed);
        assert!(counts.may_grow(Work::Upload) && !counts.may_grow(Work::Download));
        counts.of(Work::Hash).done.store(2, Ordering::Relaxed);
        assert!(!counts.may_grow(Work::Upload));
    }

    #[test]
    fn a_line_says_how_much_and_how_long() {
        let count = Count::default();
        let begun = *count.begun.get_or_init(Instant::now);
        count.expected.store(3 << 20, Ordering::Relaxed);
        count.done.store(1 << 20, Ordering::Relaxed);
        let line = |total| count.line(Work::Upload, total, begun + Duration::from_secs(2));
        assert_eq!(line(Total::MayGrow).unwrap(), "sending: 1.0 MiB, 512.0 KiB/s");
        let line = line(Total::Known).unwrap();
        assert_eq!(line, "sending: 1.0 MiB of 3.0 MiB, 512.0 KiB/s, 4 s left");
        count.done.store(3 << 20, Ordering::Relaxed);
        assert_eq!(count.line(Work::Upload, Total::Known, begun + Duration::from_secs(2)), None);
    }
}

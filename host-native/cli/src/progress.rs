//! How work gets on, on standard error: bars on a terminal, a line now and then elsewhere.
//!
//! Work that is done within a quarter of a second draws nothing.

mod pace;
mod screen;

use std::io::{self, IsTerminal as _, Write as _};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, Once, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use bundle_core::name::reference::Tag;
use clap::ValueEnum;

use self::pace::Pace;
use self::screen::{Screen, Size};
use super::signals::Run;
use super::ui::{bytes, counted};
use modelops_bundle::progress::{Progress, Work};

/// How long work may take before it gets a bar.
const BAR_AFTER: Duration = Duration::from_millis(250);

/// How much time lies between two looks at how work gets on.
const TICK: Duration = Duration::from_millis(50);

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
#[derive(Debug)]
pub(crate) enum Board {
    /// Bars or lines.
    Shown(Arc<Shown>),
    /// Nothing.
    Nothing,
}

/// Whether something was taken away from the terminal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cleared {
    Bars,
    Nothing,
}

impl Board {
    /// What `mode` means for this process's standard error. Lines of a log and bars do not go together.
    pub(crate) fn new(mode: ProgressMode, logs: bool) -> Self {
        let is_terminal =
            io::stderr().is_terminal() && std::env::var_os("TERM").is_none_or(|term| term != "dumb");
        match mode {
            ProgressMode::None => Self::Nothing,
            ProgressMode::Auto if is_terminal && !logs => Self::shown(Face::Bars(Screen::default())),
            ProgressMode::Auto | ProgressMode::Plain => Self::shown(Face::Lines { next: FIRST_LINE_AFTER }),
        }
    }

    fn shown(face: Face) -> Self {
        Self::Shown(Arc::new(Shown {
            begun: Instant::now(),
            counts: Counts::default(),
            ticks: Once::new(),
            view: Mutex::new(View { face, kinds: Default::default() }),
        }))
    }

    /// Lets `say` write to the terminal without a bar in its way.
    pub(crate) fn aside(&self, say: impl FnOnce()) {
        let Self::Shown(shown) = self else { return say() };
        let mut view = shown.view();
        if let Face::Bars(screen) = &mut view.face {
            send(&screen.clear());
        }
        say();
    }

    /// Takes away what is drawn, for good: the result follows.
    pub(crate) fn end(&self) -> Cleared {
        let Self::Shown(shown) = self else { return Cleared::Nothing };
        let mut view = shown.view();
        let cleared = match &mut view.face {
            Face::Bars(screen) => screen.clear(),
            Face::Lines { .. } | Face::Ended => String::new(),
        };
        view.face = Face::Ended;
        send(&cleared);
        if cleared.is_empty() { Cleared::Nothing } else { Cleared::Bars }
    }
}

impl Progress for Board {
    fn expect(&self, work: Work, amount: u64) {
        self.count(work, |count| &count.expected, amount);
    }

    fn advance(&self, work: Work, amount: u64) {
        self.count(work, |count| &count.moved, amount);
    }

    fn skip(&self, work: Work, amount: u64) {
        self.count(work, |count| &count.skipped, amount);
    }
}

impl Board {
    fn count(&self, work: Work, figure: impl FnOnce(&Count) -> &AtomicU64, amount: u64) {
        let Self::Shown(shown) = self else { return };
        let count = shown.counts.of(work);
        let begun = count.begun.get_or_init(Instant::now);
        // Nobody knows how much a scan will find: it takes long where it still finds something after a while.
        if work == Work::Scan && begun.elapsed() >= BAR_AFTER {
            let _ = count.is_long.set(());
        }
        figure(count).fetch_add(amount, Ordering::Relaxed);
        shown.ticks.call_once(|| Shown::start(Arc::clone(shown)));
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

    fn skip(&self, work: Work, amount: u64) {
        self.run.stop_here_if_asked();
        self.board.skip(work, amount);
    }

    fn wrote_tag(&self, tag: &Tag) {
        self.run.wrote_tag(tag);
    }
}

/// How far each kind of work is.
#[derive(Debug, Default)]
struct Counts([Count; KINDS.len()]);

#[derive(Debug, Default)]
struct Count {
    begun: OnceLock<Instant>,
    /// Set for a scan that takes its time.
    is_long: OnceLock<()>,
    expected: AtomicU64,
    /// What was done by this run.
    moved: AtomicU64,
    /// What was there already.
    skipped: AtomicU64,
}

impl Counts {
    fn of(&self, work: Work) -> &Count {
        &self.0[work as usize]
    }

    /// How far `work` is at `now`; nothing where it has not begun.
    fn state(&self, work: Work, now: Instant) -> Option<State> {
        let count = self.of(work);
        let age = now.saturating_duration_since(*count.begun.get()?);
        let (moved, expected) = (count.moved(), count.expected());
        let done = moved.saturating_add(count.skipped.load(Ordering::Relaxed));
        let is_long = match work {
            Work::Scan => count.is_long.get().is_some() && !self.is_past_scan(),
            Work::Hash | Work::Upload | Work::Download => age >= BAR_AFTER && done < expected,
        };
        let total = if self.may_grow(work) { Total::MayGrow } else { Total::Known(expected) };
        Some(State { moved, done, total, is_long })
    }

    /// Whether more may come of it: what is read now is sent later, and nobody knows yet how much that will be.
    fn may_grow(&self, work: Work) -> bool {
        let reading = self.of(Work::Hash);
        work == Work::Upload && reading.moved() < reading.expected()
    }

    /// Whether other work has begun, for which all files had to be found.
    fn is_past_scan(&self) -> bool {
        KINDS.into_iter().any(|work| work != Work::Scan && self.of(work).begun.get().is_some())
    }
}

impl Count {
    fn moved(&self) -> u64 {
        self.moved.load(Ordering::Relaxed)
    }

    fn expected(&self) -> u64 {
        self.expected.load(Ordering::Relaxed)
    }
}

/// How far one kind of work is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct State {
    moved: u64,
    done: u64,
    total: Total,
    /// Whether it takes long enough to be shown.
    is_long: bool,
}

/// How much there is to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Total {
    Known(u64),
    MayGrow,
}

impl State {
    /// The total, where it is known and what is done fits into it.
    fn total(self) -> Option<u64> {
        match self.total {
            Total::Known(total) if total >= self.done => Some(total),
            Total::Known(_) | Total::MayGrow => None,
        }
    }

    fn is_done(self) -> bool {
        matches!(self.total, Total::Known(total) if self.done >= total)
    }

    /// How long it will take at `rate`; nothing where that says nothing.
    fn left(self, rate: Option<f64>) -> Option<Duration> {
        let (rate, total) = (rate.filter(|rate| *rate >= 1.0)?, self.total()?);
        let left = total - self.done;
        (left > 0).then(|| Duration::from_secs_f64((left as f64 / rate).ceil().min(MAX_LEFT)))
    }
}

/// How work is shown, by a thread that looks at it now and then.
#[derive(Debug)]
pub(crate) struct Shown {
    begun: Instant,
    counts: Counts,
    /// The thread has been started.
    ticks: Once,
    /// Held by whoever writes to the terminal.
    view: Mutex<View>,
}

#[derive(Debug)]
struct View {
    face: Face,
    kinds: [Kind; KINDS.len()],
}

#[derive(Debug)]
enum Face {
    /// Bars on a terminal.
    Bars(Screen),
    /// A line now and then; when the next one is due.
    Lines { next: Duration },
    /// There is nothing more to show.
    Ended,
}

/// What is remembered of a kind of work.
#[derive(Debug, Default)]
struct Kind {
    pace: Pace,
    /// Whether it has got a bar, which stays until all work is done.
    is_shown: bool,
}

impl Shown {
    /// Starts the thread; where there is none to be had, work goes on unseen.
    fn start(shown: Arc<Self>) {
        let ticking = std::thread::Builder::new().name("progress".to_owned()).spawn(move || {
            while shown.tick() {
                std::thread::sleep(TICK);
            }
        });
        drop(ticking);
    }

    fn view(&self) -> MutexGuard<'_, View> {
        self.view.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Shows how work gets on now; says whether there may be more to show later.
    fn tick(&self) -> bool {
        let now = Instant::now();
        let mut view = self.view();
        let View { face, kinds } = &mut *view;
        let at = now.saturating_duration_since(self.begun);
        let states = KINDS.into_iter().zip(kinds).filter_map(|(work, kind)| {
            let state = self.counts.state(work, now)?;
            kind.is_shown |= state.is_long;
            let rate = kind.pace.note(at, state.moved);
            Some((work, state, rate, kind.is_shown))
        });
        match face {
            Face::Bars(screen) => {
                let size = size();
                let is_past_scan = self.counts.is_past_scan();
                let lines = states
                    .filter(|(work, .., is_shown)| *is_shown && !(*work == Work::Scan && is_past_scan))
                    .map(|(work, state, rate, _)| bar(work, state, rate, size.columns));
                send(&screen.draw(lines.collect(), size));
            }
            Face::Lines { next } => {
                let lines: Vec<String> =
                    states.filter_map(|(work, state, rate, _)| phrase(work, state, rate)).collect();
                if at >= *next && !lines.is_empty() {
                    *next = at + BETWEEN_LINES;
                    send(&format!("{}\n", lines.join("; ")));
                }
            }
            Face::Ended => return false,
        }
        true
    }
}

/// Writes to standard error in one go.
fn send(text: &str) {
    if !text.is_empty() {
        // Nobody is there to be told that standard error is closed.
        let _ = io::stderr().write_all(text.as_bytes());
    }
}

/// How large the terminal is.
fn size() -> Size {
    let size = terminal_size::terminal_size_of(io::stderr());
    size.map_or(Size { columns: 80, rows: 24 }, |(columns, rows)| Size {
        columns: usize::from(columns.0),
        rows: usize::from(rows.0),
    })
}

/// How many columns the terminal has that words go to.
pub(crate) fn columns() -> usize {
    size().columns
}

/// How work gets on, in less than `columns`.
fn bar(work: Work, state: State, rate: Option<f64>, columns: usize) -> String {
    let room = columns.saturating_sub(1);
    let verb = verb(work);
    if work == Work::Scan {
        return format!("{verb:<9} {}", files(state.done)).chars().take(room).collect();
    }
    let start = format!("{verb:<9}");
    let per_second = rate.map(|rate| format!(", {}/s", bytes(rate as u64)));
    let Some(expected) = state.total() else {
        return fitting(&start, [format!(" {}", bytes(state.done))].into_iter().chain(per_second), room);
    };
    let percent = 100 * u128::from(state.done) / u128::from(expected.max(1));
    let mut parts =
        vec![format!(" {percent:>3} %"), format!("  {} of {}", bytes(state.done), bytes(expected))];
    if !state.is_done() {
        parts.extend(per_second);
        parts.extend(state.left(rate).map(|left| format!(", {} left", time(left))));
    }
    let text: usize = parts.iter().map(|part| part.chars().count()).sum();
    let bar = room.saturating_sub(verb_width() + 3 + text).min(MAX_BAR);
    if bar < MIN_BAR {
        return fitting(&start, parts, room);
    }
    let filled = (bar as u128 * u128::from(state.done) / u128::from(expected.max(1))) as usize;
    let bar = format!("{}{}", "=".repeat(filled), " ".repeat(bar - filled));
    format!("{start} [{bar}]{}", parts.concat())
}

/// How work gets on, for a line; nothing where it is done or there is nothing to say yet.
fn phrase(work: Work, state: State, rate: Option<f64>) -> Option<String> {
    let verb = verb(work);
    if work == Work::Scan {
        return state.is_long.then(|| format!("{verb}: {}", files(state.done)));
    }
    let per_second = rate.map_or_else(String::new, |rate| format!(", {}/s", bytes(rate as u64)));
    match state.total() {
        Some(total) if state.done < total => {
            let left = state.left(rate).map(|left| format!(", {} s left", left.as_secs()));
            let (done, total) = (bytes(state.done), bytes(total));
            Some(format!("{verb}: {done} of {total}{per_second}{}", left.unwrap_or_default()))
        }
        None if state.total == Total::MayGrow && state.done > 0 => {
            Some(format!("{verb}: {}{per_second}", bytes(state.done)))
        }
        Some(_) | None => None,
    }
}

fn files(count: u64) -> String {
    counted(usize::try_from(count).unwrap_or(usize::MAX), "file")
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

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    fn state(done: u64, total: Total) -> State {
        State { moved: done, done, total, is_long: true }
    }

    #[test]
    fn every_kind_has_its_place() {
        for (at, work) in KINDS.into_iter().enumerate() {
            assert_eq!(work as usize, at);
        }
    }

    #[test]
    fn a_bar_fits_into_the_terminal() {
        for columns in [1, 10, 20, 40, 60, 80, 100, 200] {
            for (done, total, rate) in [
                (0, Total::Known(0), Some(0.0)),
                (1, Total::Known(u64::MAX), Some(1e18)),
                (1023 * MIB, Total::Known(1024 * MIB), Some(1e9)),
                (1 << 40, Total::MayGrow, None),
            ] {
                for work in KINDS {
                    let line = bar(work, state(done, total), rate, columns);
                    assert!(line.chars().count() < columns.max(2), "{columns}: {line}");
                }
            }
        }
    }

    #[test]
    fn a_bar_says_how_much_how_fast_and_how_long() {
        let quarter = state(MIB, Total::Known(4 * MIB));
        let text = |columns| bar(Work::Upload, quarter, Some(MIB as f64), columns);
        assert_eq!(
            text(80),
            "sending   [=====                ]  25 %  1.0 MiB of 4.0 MiB, 1.0 MiB/s, 3s left"
        );
        assert_eq!(text(40), "sending    25 %  1.0 MiB of 4.0 MiB");
        assert_eq!(text(20), "sending    25 %");
        let growing = state(MIB, Total::MayGrow);
        assert_eq!(bar(Work::Upload, growing, Some(1024.0), 80), "sending   1.0 MiB, 1.0 KiB/s");
        // Nothing is said of a rate that is not known yet, nor of the time where nothing comes.
        assert!(bar(Work::Upload, quarter, None, 80).ends_with("]  25 %  1.0 MiB of 4.0 MiB"));
        assert!(bar(Work::Upload, quarter, Some(0.0), 80).ends_with(" of 4.0 MiB, 0 B/s"));
        let done = state(4 * MIB, Total::Known(4 * MIB));
        assert!(bar(Work::Upload, done, Some(1024.0), 80).ends_with("] 100 %  4.0 MiB of 4.0 MiB"));
        assert_eq!(bar(Work::Scan, state(1, Total::Known(0)), None, 80), "scanning  1 file");
        assert_eq!(bar(Work::Scan, state(2, Total::Known(0)), None, 80), "scanning  2 files");
    }

    #[test]
    fn the_time_left_is_never_none_while_something_is() {
        let nearly = state(4 * MIB - 1, Total::Known(4 * MIB));
        assert_eq!(nearly.left(Some(1e9)), Some(Duration::from_secs(1)));
        assert_eq!(nearly.left(None), None);
    }

    #[test]
    fn what_is_still_read_may_have_to_be_sent() {
        let counts = Counts::default();
        assert!(!counts.may_grow(Work::Upload));
        counts.of(Work::Hash).expected.store(2, Ordering::Relaxed);
        assert!(counts.may_grow(Work::Upload) && !counts.may_grow(Work::Download));
        counts.of(Work::Hash).moved.store(2, Ordering::Relaxed);
        assert!(!counts.may_grow(Work::Upload));
    }

    #[test]
    fn what_was_there_is_done_and_has_not_moved() {
        let counts = Counts::default();
        let count = counts.of(Work::Upload);
        let begun = *count.begun.get_or_init(Instant::now);
        count.expected.store(9, Ordering::Relaxed);
        count.skipped.store(5, Ordering::Relaxed);
        count.moved.store(1, Ordering::Relaxed);
        let at = |after| counts.state(Work::Upload, begun + after).unwrap();
        let expected = State { moved: 1, done: 6, total: Total::Known(9), is_long: true };
        assert_eq!(at(BAR_AFTER), expected);
        assert_eq!(at(Duration::ZERO), State { is_long: false, ..expected });
        assert_eq!(counts.state(Work::Download, begun), None);
    }

    #[test]
    fn a_scan_is_shown_until_other_work_begins() {
        let counts = Counts::default();
        let scan = counts.of(Work::Scan);
        let begun = *scan.begun.get_or_init(Instant::now);
        let is_long = || counts.state(Work::Scan, begun).unwrap().is_long;
        assert!(!is_long());
        scan.is_long.set(()).unwrap();
        assert!(is_long());
        counts.of(Work::Hash).begun.get_or_init(Instant::now);
        assert!(!is_long());
    }

    #[test]
    fn a_line_says_how_much_and_how_long() {
        let line = |done, total, rate| phrase(Work::Upload, state(done, total), rate);
        let rate = Some(512.0 * 1024.0);
        assert_eq!(line(MIB, Total::MayGrow, rate).unwrap(), "sending: 1.0 MiB, 512.0 KiB/s");
        let known = Total::Known(3 * MIB);
        assert_eq!(line(MIB, known, rate).unwrap(), "sending: 1.0 MiB of 3.0 MiB, 512.0 KiB/s, 4 s left");
        assert_eq!(line(MIB, known, None).unwrap(), "sending: 1.0 MiB of 3.0 MiB");
        assert_eq!(line(3 * MIB, known, rate), None);
        assert_eq!(phrase(Work::Scan, state(1, known), None).unwrap(), "scanning: 1 file");
    }
}

//! Runs the sides of a comparison in turn and takes their times.

use crate::memory;
use std::cell::Cell;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use xtask::command::describe;
use xtask::failure::{Context, Failure, Result};

/// What is timed.
pub(crate) enum Work {
    /// One command.
    One(Command),
    /// Commands one after another.
    InTurn(Vec<Command>),
    /// Commands side by side.
    AtOnce(Vec<Command>),
}

/// One side of a comparison.
pub(crate) struct Side<'a> {
    name: String,
    /// Puts everything in place for the run of this number, untimed, and says what is timed.
    prepare: Box<dyn FnMut(usize) -> Result<Work> + 'a>,
}

impl<'a> Side<'a> {
    /// A side whose runs are prepared by `prepare`, which is given the number of the run.
    pub(crate) fn new(name: impl Into<String>, prepare: impl FnMut(usize) -> Result<Work> + 'a) -> Self {
        Self { name: name.into(), prepare: Box::new(prepare) }
    }
}

/// What the runs of one side took.
#[derive(Clone, Debug)]
pub(crate) struct Times {
    /// Who ran.
    pub(crate) name: String,
    /// The runs that count, in order; never none.
    pub(crate) runs: Vec<Duration>,
    /// The most memory that one of its processes held in any run, in bytes.
    pub(crate) peak: Option<u64>,
}

impl Times {
    /// The middle one of the runs, or between the two in the middle.
    pub(crate) fn median(&self) -> Duration {
        let mut sorted = self.runs.clone();
        sorted.sort_unstable();
        let (half, last) = (sorted.len() / 2, sorted.len().saturating_sub(1) / 2);
        let at = |index: usize| sorted.get(index).copied().unwrap_or_default();
        (at(half) + at(last)) / 2
    }

    /// The shortest of the runs: the one that others on the machine disturbed least.
    pub(crate) fn shortest(&self) -> Duration {
        self.runs.iter().min().copied().unwrap_or_default()
    }
}

/// The order in which the sides run: another one each time, so that none has always the same one before it.
pub(crate) struct Order {
    state: Cell<u64>,
}

impl Order {
    /// The orders that follow from a seed.
    pub(crate) fn from_seed(seed: u64) -> Self {
        Self { state: Cell::new(seed) }
    }

    /// The numbers below `count`, in the next order.
    fn next(&self, count: usize) -> Vec<usize> {
        let mut order: Vec<usize> = (0..count).collect();
        for at in (1..count).rev() {
            order.swap(at, (self.random() % (at as u64 + 1)) as usize);
        }
        order
    }

    /// SplitMix64 by Steele, Lea and Flood.
    fn random(&self) -> u64 {
        let state = self.state.get().wrapping_add(0x9e37_79b9_7f4a_7c15);
        self.state.set(state);
        let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}

/// Runs the sides in turn, once for nothing and then as often as `runs` says, each time in another order, and returns
/// their times in the order in which the sides are given.
pub(crate) fn race(order: &Order, runs: usize, mut sides: Vec<Side<'_>>) -> Result<Vec<Times>> {
    let times = |side: &Side<'_>| Times { name: side.name.clone(), runs: Vec::new(), peak: None };
    let mut all: Vec<Times> = sides.iter().map(times).collect();
    for run in 0..=runs {
        for at in order.next(sides.len()) {
            let (Some(side), Some(times)) = (sides.get_mut(at), all.get_mut(at)) else { continue };
            let (took, peak) = time((side.prepare)(run)?)?;
            times.peak = times.peak.max(peak);
            if run > 0 {
                times.runs.push(took);
            }
        }
    }
    Ok(all)
}

fn time(work: Work) -> Result<(Duration, Option<u64>)> {
    match work {
        Work::One(command) => time_in_turn(vec![command]),
        Work::InTurn(commands) => time_in_turn(commands),
        Work::AtOnce(commands) => time_at_once(commands),
    }
}

fn time_in_turn(commands: Vec<Command>) -> Result<(Duration, Option<u64>)> {
    let (mut took, mut peak) = (Duration::ZERO, None);
    for mut command in commands {
        let started = Instant::now();
        let child = spawn(&mut command)?;
        // The watcher is told of the end only after the time has been taken.
        let (ended, held) = memory::watch(child.id(), || (finish(child, &command), started.elapsed()));
        ended.0?;
        took += ended.1;
        peak = peak.max(held);
    }
    Ok((took, peak))
}

fn time_at_once(mut commands: Vec<Command>) -> Result<(Duration, Option<u64>)> {
    let started = Instant::now();
    let children = commands.iter_mut().map(spawn).collect::<Vec<_>>();
    // All are waited for, even where one could not be started: none is to be left behind.
    let outcomes: Vec<Result> = children
        .into_iter()
        .zip(&commands)
        .map(|(child, command)| child.and_then(|child| finish(child, command)))
        .collect();
    let took = started.elapsed();
    outcomes.into_iter().collect::<Result>()?;
    Ok((took, None))
}

fn spawn(command: &mut Command) -> Result<Child> {
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    command.spawn().context(|| format!("cannot run `{}`", describe(command)))
}

fn finish(child: Child, command: &Command) -> Result {
    let output = child.wait_with_output().context(|| format!("cannot run `{}`", describe(command)))?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(Failure::step(format!("`{}` failed with {}\n{}", describe(command), output.status, said.trim_end())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_in_the_middle() {
        let times = |runs: &[u64]| Times {
            name: String::new(),
            runs: runs.iter().map(|run| Duration::from_millis(*run)).collect(),
            peak: None,
        };
        assert_eq!(times(&[9, 1, 2]).median(), Duration::from_millis(2));
        assert_eq!(times(&[9, 1, 2, 4]).median(), Duration::from_millis(3));
        assert_eq!(times(&[9, 1, 2, 4]).shortest(), Duration::from_millis(1));
    }

    #[test]
    fn a_seed_gives_the_same_orders_again_and_each_side_is_first_at_times() {
        let orders = |seed| {
            let order = Order::from_seed(seed);
            (0..40).map(|_| order.next(4)).collect::<Vec<_>>()
        };
        assert_eq!(orders(7), orders(7));
        assert_ne!(orders(7), orders(8));
        for mut order in orders(7) {
            order.sort_unstable();
            assert_eq!(order, [0, 1, 2, 3]);
        }
        let first: std::collections::BTreeSet<usize> = orders(7).iter().map(|order| order[0]).collect();
        assert_eq!(first.len(), 4);
    }

    #[cfg(unix)]
    #[test]
    fn the_first_run_does_not_count_and_a_failure_is_told() {
        let seen = std::cell::RefCell::new(Vec::new());
        let side = |name: &'static str| {
            let seen = &seen;
            Side::new(name, move |run| {
                seen.borrow_mut().push((name, run));
                Ok(Work::AtOnce(vec![Command::new("true"), Command::new("true")]))
            })
        };
        let times = race(&Order::from_seed(1), 2, vec![side("a"), side("b")]).unwrap();
        seen.borrow_mut().sort_by_key(|(name, run)| (*run, *name));
        assert_eq!(*seen.borrow(), [("a", 0), ("b", 0), ("a", 1), ("b", 1), ("a", 2), ("b", 2)]);
        assert_eq!(times.iter().map(|times| times.runs.len()).collect::<Vec<_>>(), [2, 2]);

        let failing = || {
            let mut command = Command::new("sh");
            command.args(["-c", "echo why >&2; exit 3"]);
            Ok(Work::One(command))
        };
        let failure = race(&Order::from_seed(1), 1, vec![Side::new("c", move |_| failing())]).unwrap_err();
        assert!(failure.to_string().contains("exit status: 3\nwhy"), "{failure}");
    }
}

//! How fast work gets on: the bytes that really came, over the last seconds.

use std::collections::VecDeque;
use std::time::Duration;

/// Over how long a rate is taken: one piece more or less does not move it, and a link that slows down does.
const WINDOW: Duration = Duration::from_secs(5);

/// How long what comes first says nothing of the link: it only fills buffers.
const FILLING: Duration = Duration::from_millis(500);

/// How long bytes have to come after that before anything is said of their rate.
const FIRST_AFTER: Duration = Duration::from_secs(1);

/// How much time lies between two samples.
const APART: Duration = Duration::from_millis(200);

/// The rate of one kind of work.
#[derive(Debug, Default)]
pub(super) struct Pace {
    /// When the first bytes came.
    begun: Option<Duration>,
    /// The oldest first. Until buffers are filled it is one, which moves along with the time.
    samples: VecDeque<Sample>,
}

#[derive(Clone, Copy, Debug)]
struct Sample {
    at: Duration,
    moved: u64,
}

impl Pace {
    /// Takes note that `moved` bytes have come by the time `at`, and gives the bytes a second, once there is a rate.
    pub(super) fn note(&mut self, at: Duration, moved: u64) -> Option<f64> {
        let sample = Sample { at, moved };
        if self.begun.is_none() && self.samples.back().is_some_and(|last| last.moved != moved) {
            self.begun = Some(at);
        }
        if self.begun.is_none_or(|begun| at < begun + FILLING) {
            self.samples.clear();
            self.samples.push_back(sample);
            return None;
        }
        if self.samples.back().is_none_or(|last| at >= last.at + APART) {
            self.samples.push_back(sample);
        }
        // One that is older than the window stays, so that the window is covered.
        while self.samples.get(1).is_some_and(|second| second.at + WINDOW <= at) {
            self.samples.pop_front();
        }
        let first = self.samples.front()?;
        let span = at.saturating_sub(first.at);
        (span >= FIRST_AFTER).then(|| moved.saturating_sub(first.moved) as f64 / span.as_secs_f64())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TICK: Duration = Duration::from_millis(50);

    /// What a pace says at each tick, where `moved` says how much has come after so many seconds.
    fn rates(seconds: u32, moved: impl Fn(f64) -> f64) -> Vec<(f64, Option<f64>)> {
        let mut pace = Pace::default();
        let ticks = (0..=seconds * 20).map(|tick| tick * TICK);
        ticks.map(|at| (at.as_secs_f64(), pace.note(at + TICK * 7, moved(at.as_secs_f64()) as u64))).collect()
    }

    #[test]
    fn a_rate_is_what_came_over_time_and_nothing_at_first() {
        for (second, rate) in rates(20, |second| 4e7 * second) {
            match rate {
                None => assert!(second < 1.7, "{second}"),
                Some(rate) => assert!(second >= 1.0 && (3.99e7..4.01e7).contains(&rate), "{second}: {rate}"),
            }
        }
        // What came before anybody looked has no part in it, nor has the time before something comes.
        let late = rates(20, |second| 1e12 + 1e6 * (second - 10.0).max(0.0));
        assert!(late.iter().all(|(_, rate)| rate.is_none_or(|rate| (0.9e6..1.1e6).contains(&rate))));
        assert!(late.iter().all(|(second, rate)| rate.is_none() || *second >= 11.0));
        assert!(late.iter().all(|(second, rate)| rate.is_some() || *second < 11.7));
        // Nor has what fills buffers within a moment.
        let filling = rates(20, |second| 1e6 * second + 5e7 * (second * 10.0).min(1.0));
        assert!(filling.iter().all(|(_, rate)| rate.is_none_or(|rate| (0.99e6..1.01e6).contains(&rate))));
    }

    #[test]
    fn a_rate_follows_a_link_within_some_seconds() {
        let slower = rates(20, |second| 1e7 * second.min(10.0) + 1e6 * (second - 10.0).max(0.0));
        assert!((slower[8 * 20].1.unwrap() - 1e7).abs() < 1e6);
        assert!((slower[16 * 20].1.unwrap() - 1e6).abs() < 1e5);
        let stalled = rates(20, |second| 1e7 * second.min(10.0));
        assert_eq!(stalled[16 * 20].1, Some(0.0));
    }
}

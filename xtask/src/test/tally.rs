//! Counts the tests from what they print.

use std::collections::{BTreeMap, BTreeSet};

/// What a test prints when it is not carried out, or not in full; see `tools::skip` in `tests/src`.
const SKIPPED: &str = "SKIPPED: ";

/// How many tests ran in all crates, and which of them were skipped.
#[derive(Default)]
pub(super) struct Tally {
    passed: usize,
    failed: usize,
    /// Why, by the name of the test.
    skipped: BTreeMap<String, BTreeSet<String>>,
    /// The test whose output is being shown, where it has passed.
    shown: Option<String>,
    shows_successes: bool,
}

impl Tally {
    /// Regards a line of what `cargo test -- --show-output` prints.
    pub(super) fn count(&mut self, line: &str) {
        match line {
            "successes:" | "failures:" => {
                self.shows_successes = line == "successes:";
                self.shown = None;
            }
            _ => {
                if let Some(name) =
                    line.strip_prefix("---- ").and_then(|rest| rest.strip_suffix(" stdout ----"))
                {
                    self.shown = self.shows_successes.then(|| name.to_owned());
                } else if let (Some(why), Some(name)) = (line.strip_prefix(SKIPPED), &self.shown) {
                    self.skipped.entry(name.clone()).or_default().insert(why.to_owned());
                } else if let Some(numbers) = line.strip_prefix("test result: ") {
                    self.add(numbers);
                    self.shown = None;
                }
            }
        }
    }

    /// Adds the numbers of `ok. 12 passed; 0 failed; …`.
    fn add(&mut self, numbers: &str) {
        for number in numbers.split_once(". ").map_or("", |(_, rest)| rest).split("; ") {
            match number.split_once(' ') {
                Some((passed, "passed")) => self.passed += passed.parse().unwrap_or(0),
                Some((failed, "failed")) => self.failed += failed.parse().unwrap_or(0),
                _ => {}
            }
        }
    }

    /// The tests that passed because they were carried out, and those that failed.
    pub(super) fn passed_and_failed(&self) -> (usize, usize) {
        (self.passed.saturating_sub(self.skipped.len()), self.failed)
    }

    /// A line for each reason, with the tests that were skipped for it, and how many tests these are.
    pub(super) fn skipped(&self) -> (Vec<String>, usize) {
        let mut tests: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for (name, reasons) in &self.skipped {
            for why in reasons {
                tests.entry(why).or_default().push(name);
            }
        }
        let lines = tests.iter().map(|(why, names)| format!("{why}: {}", names.join(", ")));
        (lines.collect(), self.skipped.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tally(text: &str) -> Tally {
        let mut tally = Tally::default();
        text.lines().for_each(|line| tally.count(line));
        tally
    }

    #[test]
    fn results_of_several_binaries_add_up() {
        let tally = tally(
            "running 12 tests\n\
             test result: ok. 12 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.10s\n\
             test result: FAILED. 3 passed; 1 failed; 0 ignored; 0 measured; 0 filtered out; finished in 2.00s",
        );
        assert_eq!(tally.passed_and_failed(), (15, 1));
        assert_eq!(tally.skipped(), (vec![], 0));
    }

    #[test]
    fn a_test_that_says_that_it_was_skipped_has_not_passed() {
        let tally = tally(
            "successes:\n\n---- a::one stdout ----\nSKIPPED: no fish\nSKIPPED: no fish\n\
             ---- a::two stdout ----\nSKIPPED: no fish\nSKIPPED: no zsh\n---- a::three stdout ----\nall well\n\n\
             successes:\n    a::one\n    a::two\n    a::three\n\nfailures:\n\n\
             ---- a::four stdout ----\nSKIPPED: no fish\n\nfailures:\n    a::four\n\n\
             test result: FAILED. 3 passed; 1 failed; 0 ignored; 0 measured; 0 filtered out; finished in 2.00s\n\
             SKIPPED: by nobody",
        );
        assert_eq!(tally.passed_and_failed(), (1, 1));
        let lines = ["no fish: a::one, a::two", "no zsh: a::two"].map(str::to_owned);
        assert_eq!(tally.skipped(), (lines.into(), 2));
    }
}

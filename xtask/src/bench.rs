//! `cargo xtask bench`: measures the program and its peers on this machine.

use crate::failure::{Failure, Result};

/// Runs the benchmarks that the options name, or all.
pub(crate) fn run(_options: &[&str]) -> Result {
    Err(Failure::step("there are no benchmarks yet"))
}

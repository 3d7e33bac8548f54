//! `cargo xtask vectors`: holds every host to the answers in `tests/vectors/`, and runs nothing else.
//!
//! Those answers are worked out from the rules, not written by the code that they check: nothing here makes them.

use crate::command::{cargo, run as run_command};
use crate::failure::{Failure, Result};
use crate::tools;

/// Runs the vectors through the native core, the component and Python.
pub(crate) fn run(options: &[&str]) -> Result {
    if let Some(option) = options.first() {
        return Err(Failure::usage(format!("`vectors` has no option `{option}`")));
    }
    tools::add_wasm_target()?;
    run_command(cargo().args([
        "test",
        "--workspace",
        "--locked",
        "--test",
        "it",
        "--",
        "vectors::",
        "embed::",
    ]))
}

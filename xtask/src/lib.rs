//! The project's own tasks: `cargo xtask demo | test | bench | fuzz | vectors`.
//!
//! Each subcommand is one file. [`tools`] finds or installs what a task needs, [`command`] runs processes
//! and shows them, [`places`] says where a tool lies; the test harness reads that last one too, so that a
//! plain `cargo test` finds what `cargo xtask test` installed.
//!
//! `cargo xtask bench` starts a crate of its own, beside this one in `bench/`, which uses the modules here.
//!
//! Nothing here is part of the product, and nothing here decides whether a test passes: the tests are in
//! `tests/`.

#![forbid(unsafe_code)]
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a developer's tool: what it prints is its result"
)]

pub mod command;
mod demo;
mod dependencies;
pub mod failure;
mod fuzz;
pub mod places;
pub mod scratch;
mod test;
mod tidy;
pub mod tools;
mod vectors;

use failure::Failure;
use std::process::ExitCode;

const USAGE: &str = "\
Usage: cargo xtask <TASK>

Tasks:
  demo     build the program and show it at work on a sample project, in a temporary folder
  test     get what the tests need, then format check, lints, build, every test, docs, repository checks
             --deny        run cargo-deny over the dependencies too, installing it if it is missing
             --only STEP   carry out one step of these alone
             --tools-only  get what the tests need and stop
  bench    measure, and compare with the peers that are on PATH; `cargo xtask bench --help` names the workloads
  fuzz     let libFuzzer look for inputs that make a reader of strangers' bytes panic, where nightly and cargo-fuzz are
             [TARGET] [SECONDS]  this one alone, and for how long
  vectors  hold every host to the answers in tests/vectors";

/// Runs the task that the arguments name; the exit code is 2 when they name none.
pub fn main(arguments: impl Iterator<Item = String>) -> ExitCode {
    let arguments: Vec<String> = arguments.collect();
    let options: Vec<&str> = arguments.iter().skip(1).map(String::as_str).collect();
    let outcome = match arguments.first().map(String::as_str) {
        Some("demo") => demo::run(&options),
        Some("test") => test::run(&options),
        Some("bench") => bench(&options),
        Some("fuzz") => fuzz::run(&options),
        Some("vectors") => vectors::run(&options),
        Some("help" | "--help" | "-h") => {
            println!("{USAGE}");
            Ok(())
        }
        Some(other) => Err(Failure::usage(format!("there is no task `{other}`"))),
        None => Err(Failure::usage("no task named")),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("\nxtask: {failure}");
            if failure.is_usage() {
                eprintln!("\n{USAGE}");
                return ExitCode::from(2);
            }
            ExitCode::FAILURE
        }
    }
}

/// Builds the bench and hands it the options. It is a crate of its own, so that a fresh machine has less to build before
/// the first task.
fn bench(options: &[&str]) -> failure::Result {
    let bench = ["run", "--quiet", "--locked", "--package", "modelops-bundle-bench", "--"];
    command::run(command::cargo().args(bench).args(options))
}

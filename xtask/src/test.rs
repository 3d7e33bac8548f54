//! `cargo xtask test`: all that must hold before a change goes in, stopping at the first failure.
//!
//! The browser and Python tests are Rust tests that start node and python, so `cargo test` is all of them.

use crate::command::{cargo, program, run as run_command, run_watched};
use crate::failure::{Failure, Result};
use crate::{places, tidy, tools};
use std::time::{Duration, Instant};

/// The crates that are also compiled for the web and for the component.
const WASM_PACKAGES: [&str; 3] = ["modelops-bundle-core", "modelops-bundle-wit", "modelops-bundle-web"];

/// Runs every check; see the task's usage for the options.
pub(crate) fn run(options: &[&str]) -> Result {
    let mut install_deny = false;
    let mut tools_only = false;
    for option in options {
        match *option {
            "--deny" => install_deny = true,
            "--tools-only" => tools_only = true,
            other => return Err(Failure::usage(format!("`test` has no option `{other}`"))),
        }
    }

    let mut steps = Steps::new();
    let toolbox = steps.run("tools", tools::prepare)?;
    if tools_only {
        for (variable, path) in &toolbox.variables {
            println!("    {variable}={}", path.display());
        }
        return Ok(());
    }
    steps.run("format", || run_command(cargo().args(["fmt", "--all", "--check"])))?;
    steps.run("repository", tidy::check)?;
    steps.run("lint", || {
        let clippy =
            ["clippy", "--workspace", "--all-targets", "--locked", "--quiet", "--", "-D", "warnings"];
        run_command(cargo().args(clippy))
    })?;
    steps.run("lint for wasm", || {
        let packages = WASM_PACKAGES.iter().flat_map(|package| ["--package", package]);
        run_command(cargo().arg("clippy").args(packages).args([
            "--target",
            "wasm32-unknown-unknown",
            "--locked",
            "--quiet",
            "--",
            "-D",
            "warnings",
        ]))
    })?;
    steps.run("build", || run_command(cargo().args(["build", "--workspace", "--locked", "--quiet"])))?;
    let mut tally = Tally::default();
    steps.run("test", || {
        // Some tests print a table of what they tried, which is there to be read.
        let test = ["test", "--workspace", "--locked", "--no-fail-fast", "--", "--show-output"];
        run_watched(cargo().args(test).envs(toolbox.variables), |line| {
            tally.count(line);
        })
    })?;
    steps.run("documentation", || {
        let doc = ["doc", "--workspace", "--no-deps", "--document-private-items", "--locked", "--quiet"];
        // These pages are for who works on the project, so a link to a private item is a good one.
        run_command(cargo().args(doc).env("RUSTDOCFLAGS", "-D warnings -A rustdoc::private_intra_doc_links"))
    })?;
    steps.run("dependencies", || check_dependencies(install_deny))?;
    steps.finish(&tally, &toolbox.missing);
    Ok(())
}

/// Checks licences, sources and bans with cargo-deny, where it is there or wanted.
fn check_dependencies(install_deny: bool) -> Result {
    let deny = if install_deny { Some(tools::install_cargo_deny()?) } else { tools::find_cargo_deny() };
    let Some(deny) = deny else {
        println!("    not checked: cargo-deny is not here; `cargo xtask test --deny` builds it");
        return Ok(());
    };
    // It reads the manifest of every dependency, those for other systems too, which no build has fetched.
    run_command(cargo().args(["fetch", "--locked", "--quiet"]))?;
    // Offline: the advisory database would have to be fetched, and is not part of these checks.
    run_command(program(deny).args([
        "--offline",
        "--log-level",
        "error",
        "check",
        "licenses",
        "bans",
        "sources",
    ]))
}

/// How many tests ran in all crates.
#[derive(Default)]
struct Tally {
    passed: u32,
    failed: u32,
}

impl Tally {
    /// Adds the numbers of a line `test result: ok. 12 passed; 0 failed; …`; others count nothing.
    fn count(&mut self, line: &str) {
        let Some((_, numbers)) = line.strip_prefix("test result: ").and_then(|rest| rest.split_once(". "))
        else {
            return;
        };
        for number in numbers.split("; ") {
            match number.split_once(' ') {
                Some((passed, "passed")) => self.passed += passed.parse().unwrap_or(0),
                Some((failed, "failed")) => self.failed += failed.parse().unwrap_or(0),
                _ => {}
            }
        }
    }
}

/// Names each step as it begins and tells how long it took.
struct Steps {
    started: Instant,
    done: usize,
}

impl Steps {
    fn new() -> Self {
        Self { started: Instant::now(), done: 0 }
    }

    fn run<T>(&mut self, name: &str, step: impl FnOnce() -> Result<T>) -> Result<T> {
        println!("==> {name}");
        let started = Instant::now();
        let outcome = step();
        let took = seconds(started.elapsed());
        match outcome {
            Ok(value) => {
                println!("    {name}: ok, {took}");
                self.done += 1;
                Ok(value)
            }
            Err(failure) => Err(Failure::step(format!("step `{name}` failed after {took}: {failure}"))),
        }
    }

    fn finish(self, tally: &Tally, missing: &[&str]) {
        let took = seconds(self.started.elapsed());
        if !missing.is_empty() && !places::must_not_skip() {
            println!("\nSkipped the tests that need: {}", missing.join(", "));
        }
        println!("\nAll {} steps passed in {took}; the tests of all crates:", self.done);
        // Alone on its line, as other programs look for it.
        println!("{} passed, {} failed", tally.passed, tally.failed);
    }
}

fn seconds(duration: Duration) -> String {
    format!("{:.1} s", duration.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_of_several_binaries_add_up() {
        let mut tally = Tally::default();
        for line in [
            "running 12 tests",
            "test result: ok. 12 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.10s",
            "test result: FAILED. 3 passed; 1 failed; 0 ignored; 0 measured; 0 filtered out; finished in 2.00s",
        ] {
            tally.count(line);
        }
        assert_eq!((tally.passed, tally.failed), (15, 1));
    }
}

//! `cargo xtask test`: all that must hold before a change goes in, stopping at the first failure.
//!
//! The browser and Python tests are Rust tests that start node and python, so `cargo test` is all of them.

mod tally;

use crate::command::{cargo, run as run_command, run_watched};
use crate::failure::{Failure, Result};
use crate::tools::{self, Toolbox};
use crate::{dependencies, places, tidy};
use std::time::{Duration, Instant};
use tally::Tally;

/// The crates that are also compiled for the web and for the component.
const WASM_PACKAGES: [&str; 3] = ["modelops-bundle-core", "modelops-bundle-wit", "modelops-bundle-web"];

/// One thing that must hold.
struct Step {
    name: &'static str,
    run: fn(&mut Run) -> Result,
}

/// Every step, in this order.
const STEPS: [Step; 9] = [
    Step { name: "tools", run: get_tools },
    Step { name: "format", run: |_| run_command(cargo().args(["fmt", "--all", "--check"])) },
    Step { name: "repository", run: |_| tidy::check() },
    Step { name: "lint", run: |_| lint() },
    Step { name: "lint for wasm", run: |_| lint_for_wasm() },
    Step {
        name: "build",
        run: |_| run_command(cargo().args(["build", "--workspace", "--locked", "--quiet"])),
    },
    Step { name: "test", run: run_tests },
    Step { name: "documentation", run: |_| build_documentation() },
    Step { name: "dependencies", run: |run| dependencies::check(run.options.install_deny) },
];

/// Runs every check; see the task's usage for the options.
pub(crate) fn run(options: &[&str]) -> Result {
    let options = Options::read(options)?;
    let started = Instant::now();
    let mut run = Run { options, toolbox: Toolbox::default(), tally: Tally::default() };
    let steps: Vec<&Step> = STEPS.iter().filter(|step| run.options.wants(step.name)).collect();
    for step in &steps {
        run.carry_out(step)?;
    }
    if run.options.tools_only {
        for (variable, path) in &run.toolbox.variables {
            println!("    {variable}={}", path.display());
        }
        return Ok(());
    }
    run.finish(steps.len(), started.elapsed());
    Ok(())
}

/// What the task's options say.
struct Options<'a> {
    install_deny: bool,
    tools_only: bool,
    only: Option<&'a str>,
}

impl<'a> Options<'a> {
    fn read(options: &[&'a str]) -> Result<Self> {
        let mut read = Self { install_deny: false, tools_only: false, only: None };
        let mut options = options.iter();
        while let Some(option) = options.next() {
            match *option {
                "--deny" => read.install_deny = true,
                "--tools-only" => read.tools_only = true,
                "--only" => {
                    let named = options.next().copied().unwrap_or_default();
                    if !STEPS.iter().any(|step| step.name == named) {
                        let names: Vec<&str> = STEPS.iter().map(|step| step.name).collect();
                        return Err(Failure::usage(format!("`--only` takes one of: {}", names.join(", "))));
                    }
                    read.only = Some(named);
                }
                other => return Err(Failure::usage(format!("`test` has no option `{other}`"))),
            }
        }
        Ok(read)
    }

    /// Whether a step is to be carried out; the tests want the tools as well.
    fn wants(&self, step: &str) -> bool {
        match (self.tools_only, self.only) {
            (true, _) => step == "tools",
            (false, None) => true,
            (false, Some(only)) => step == only || (step == "tools" && only == "test"),
        }
    }
}

/// A run of the steps, and what they find out for one another.
struct Run<'a> {
    options: Options<'a>,
    toolbox: Toolbox,
    tally: Tally,
}

impl Run<'_> {
    /// Carries out a step; names it as it begins and tells how long it took.
    fn carry_out(&mut self, step: &Step) -> Result {
        let name = step.name;
        println!("==> {name}");
        let started = Instant::now();
        let outcome = (step.run)(self);
        let took = seconds(started.elapsed());
        match outcome {
            Ok(()) => {
                println!("    {name}: ok, {took}");
                Ok(())
            }
            Err(failure) => Err(Failure::step(format!("step `{name}` failed after {took}: {failure}"))),
        }
    }

    fn finish(self, done: usize, took: Duration) {
        if !self.toolbox.missing.is_empty() && !places::must_not_skip() {
            println!("\nNot here: {}", self.toolbox.missing.join(", "));
        }
        let (reasons, skipped) = self.tally.skipped();
        if skipped > 0 {
            println!("\n{skipped} tests were skipped, whole or in part:");
            reasons.iter().for_each(|line| println!("    {line}"));
        }
        println!("\nAll {done} steps passed in {}", seconds(took));
        if !self.options.wants("test") {
            return;
        }
        println!("The tests of all crates:");
        let (passed, failed) = self.tally.passed_and_failed();
        // Alone on its line, as other programs look for it.
        println!("{passed} passed, {failed} failed");
    }
}

fn get_tools(run: &mut Run) -> Result {
    run.toolbox = tools::prepare()?;
    Ok(())
}

fn lint() -> Result {
    let clippy = ["clippy", "--workspace", "--all-targets", "--locked", "--quiet", "--", "-D", "warnings"];
    run_command(cargo().args(clippy))
}

fn lint_for_wasm() -> Result {
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
}

fn run_tests(run: &mut Run) -> Result {
    // Some tests print a table of what they tried, which is there to be read; those that are skipped say so.
    let test = ["test", "--workspace", "--locked", "--no-fail-fast", "--", "--show-output"];
    let variables = run.toolbox.variables.iter().map(|(name, path)| (name, path));
    run_watched(cargo().args(test).envs(variables), |line| run.tally.count(line))
}

fn build_documentation() -> Result {
    let doc = ["doc", "--workspace", "--no-deps", "--document-private-items", "--locked", "--quiet"];
    // These pages are for who works on the project, so a link to a private item is a good one.
    run_command(cargo().args(doc).env("RUSTDOCFLAGS", "-D warnings -A rustdoc::private_intra_doc_links"))
}

fn seconds(duration: Duration) -> String {
    format!("{:.1} s", duration.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_step_can_be_carried_out_alone() {
        let wanted = |options: &[&str]| {
            let options = Options::read(options).unwrap();
            STEPS.iter().map(|step| step.name).filter(|name| options.wants(name)).collect::<Vec<_>>()
        };
        assert_eq!(wanted(&[]).len(), STEPS.len());
        assert_eq!(wanted(&["--tools-only"]), ["tools"]);
        assert_eq!(wanted(&["--only", "repository"]), ["repository"]);
        assert_eq!(wanted(&["--only", "test"]), ["tools", "test"]);
        assert!(Options::read(&["--only"]).is_err());
        assert!(Options::read(&["--only", "nothing"]).is_err());
    }
}

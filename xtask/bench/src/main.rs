//! `cargo xtask bench`: measures the program against others that do the same work on this machine.
//!
//! Absolute times mean little on a machine that others use too, so every figure is a ratio between commands
//! run in turn ([`race`]), in an order that changes. A workload is one file of its name in [`workload`] and one entry in
//! [`WORKLOADS`]; it makes its rows, and [`report`] prints and writes them, with the [`conditions`]. [`arena`] is where all
//! of it happens, [`data`] makes the files, [`transfer`] moves them.
//!
//! Times are taken between the program and the registry; bytes are counted through [`wire`], in runs of their
//! own.

#![forbid(unsafe_code)]
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a developer's tool: what it prints is its result"
)]

mod arena;
mod clients;
mod conditions;
mod data;
mod growth;
mod memory;
mod peers;
mod race;
mod report;
mod server;
mod transfer;
mod versions;
mod wire;
mod workload;

use arena::{Arena, Scale};
use conditions::Conditions;
use report::{Report, Row};
use std::process::ExitCode;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use workload::{a, a100, b, c, d, decide, hashing, r, start, t};
use xtask::command::{cargo, run as run_command};
use xtask::failure::{Failure, Result};
use xtask::tools;

/// One set of measurements.
struct Workload {
    /// What it is called on the command line.
    name: &'static str,
    /// What is done, for who waits for it.
    about: &'static str,
    run: fn(&Arena) -> Result<Vec<Row>>,
}

/// Every workload, in the order in which they run.
const WORKLOADS: &[Workload] = &[
    Workload { name: "start", about: "the program does next to nothing", run: start::run },
    Workload { name: "a", about: "10,000 files of 4 KiB pushed and pulled, then pushed again", run: a::run },
    Workload {
        name: "a100",
        about: "100,000 files of 4 KiB: status, add, remove, and a push",
        run: a100::run,
    },
    Workload {
        name: "decide",
        about: "decisions over 100,000 files, in the component and without it",
        run: decide::run,
    },
    Workload { name: "hashing", about: "1 GiB hashed, as one file and as 16", run: hashing::run },
    Workload { name: "b", about: "one file of 1 GiB pushed and pulled, and of 4 GiB", run: b::run },
    Workload { name: "c", about: "200 files of 1.5 MiB pushed and pulled", run: c::run },
    Workload { name: "d", about: "one file of 1 GiB, then with insertions", run: d::run },
    Workload { name: "r", about: "two releases of a project, one over the other", run: r::run },
    Workload { name: "t", about: "64 MiB of CSV, then with rows changed and appended", run: t::run },
];

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    if arguments.iter().any(|argument| matches!(*argument, "help" | "--help" | "-h")) {
        print!("{}", usage());
        return ExitCode::SUCCESS;
    }
    match run(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("\nbench: {failure}");
            if failure.is_usage() {
                eprint!("\n{}", usage());
                return ExitCode::from(2);
            }
            ExitCode::FAILURE
        }
    }
}

/// How to call it, with every workload.
fn usage() -> String {
    let workloads: String = WORKLOADS.iter().map(|one| format!("  {:8} {}\n", one.name, one.about)).collect();
    format!(
        "\
Usage: cargo xtask bench [--quick | --large] [--seed NUMBER] [NAME...]

  --quick        small sizes, to see whether it works and not how fast
  --large        also what needs 48 GiB of disk
  --seed NUMBER  the order in which the sides of a comparison run, as an earlier run printed it

Workloads, all of them unless some are named:
{workloads}"
    )
}

/// Runs the workloads that the options name, or all.
fn run(options: &[&str]) -> Result {
    let Plan { scale, seed, workloads } = Plan::read(options)?;
    let seed = seed.unwrap_or_else(seed_of_now);
    tools::add_wasm_target()?;
    run_command(cargo().args(["build", "--release", "--locked", "--package", "modelops-bundle-cli"]))?;
    let (arena, conditions) = (Arena::new(scale, seed)?, Conditions::look(seed));
    println!("The order of sides follows from --seed {seed}");
    let mut report = Report::new(scale);
    let mut failed = Vec::new();
    for workload in workloads {
        let started = Instant::now();
        println!("==> {}: {}", workload.name, workload.about);
        match (workload.run)(&arena) {
            Ok(rows) => report.rows.extend(rows),
            // The figures of the others are worth having all the same.
            Err(failure) => {
                println!("    {failure}");
                failed.push(workload.name);
            }
        }
        println!("    {:.0} s", started.elapsed().as_secs_f64());
    }
    if scale == Scale::Quick {
        println!("\nThese are the small sizes; most targets are meant for the full ones.");
    }
    println!("\n{}", report.table());
    report.write(&arena.results_file(), &conditions)?;
    if failed.is_empty() {
        Ok(())
    } else {
        Err(Failure::step(format!("could not be measured: {}", failed.join(", "))))
    }
}

/// Another one each time.
fn seed_of_now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
    since.as_secs() * 1000 + u64::from(since.subsec_millis())
}

/// What the options say.
struct Plan {
    scale: Scale,
    seed: Option<u64>,
    workloads: Vec<&'static Workload>,
}

impl Plan {
    fn read(options: &[&str]) -> Result<Self> {
        let mut plan = Self { scale: Scale::Full, seed: None, workloads: Vec::new() };
        let mut options = options.iter();
        while let Some(option) = options.next() {
            match (*option, WORKLOADS.iter().find(|workload| workload.name == *option)) {
                ("--quick", _) => plan.scale = Scale::Quick,
                ("--large", _) => plan.scale = Scale::Large,
                ("--seed", _) => {
                    let seed = options.next().and_then(|seed| seed.parse().ok());
                    plan.seed = Some(seed.ok_or_else(|| Failure::usage("`--seed` takes a number"))?);
                }
                (_, Some(workload)) => plan.workloads.push(workload),
                (other, None) => return Err(Failure::usage(format!("`bench` knows no `{other}`"))),
            }
        }
        if plan.workloads.is_empty() {
            plan.workloads.extend(WORKLOADS);
        }
        Ok(plan)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn workloads_are_named_or_all() {
        let named = |options: &[&str]| -> Vec<&str> {
            Plan::read(options).unwrap().workloads.iter().map(|workload| workload.name).collect()
        };
        assert_eq!(named(&["--quick", "c", "start"]), ["c", "start"]);
        assert_eq!(named(&["--quick", "--seed", "7"]).len(), WORKLOADS.len());
        assert_eq!(Plan::read(&["--quick"]).unwrap().scale, Scale::Quick);
        assert_eq!(Plan::read(&["b", "--large"]).unwrap().scale, Scale::Large);
        assert_eq!(Plan::read(&["b", "--seed", "7"]).unwrap().seed, Some(7));
        for options in [&["nothing"][..], &["--seed"], &["--seed", "b"]] {
            assert!(Plan::read(options).err().is_some_and(|failure| failure.is_usage()), "{options:?}");
        }
    }

    #[test]
    fn the_help_names_every_workload() {
        let usage = usage();
        assert!(
            WORKLOADS.iter().all(|workload| usage.contains(&format!("\n  {:8} ", workload.name))),
            "{usage}"
        );
    }

    #[test]
    fn every_workload_is_a_file_of_its_name() {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src/workload");
        let mut files: Vec<String> = std::fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().path().file_stem().unwrap().to_str().unwrap().to_owned())
            .collect();
        files.sort();
        let mut names: Vec<&str> = WORKLOADS.iter().map(|workload| workload.name).collect();
        names.sort_unstable();
        assert_eq!(files, names);
    }
}

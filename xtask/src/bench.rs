//! `cargo xtask bench`: measures the program against others that do the same work on this machine.
//!
//! Absolute times mean little on a machine that others use too, so every figure is a ratio between commands
//! run in turn ([`race`]). A workload is one file here and one entry in [`WORKLOADS`]; it makes its rows, and
//! [`report`] prints and writes them. [`arena`] is where all of it happens, [`data`] makes the files.
//!
//! `cargo xtask bench [--quick | --large] [NAME…]` runs the workloads named, or all; `--quick` makes everything
//! smaller, to see whether it works and not how fast, and `--large` adds what needs much of a disk.
//!
//! Times are taken between the program and the registry; bytes are counted through [`wire`], in runs of their
//! own.

mod arena;
mod clients;
mod data;
mod decide;
mod growth;
mod hashing;
mod inserted;
mod large;
mod many;
mod memory;
mod peers;
mod race;
mod releases;
mod report;
mod server;
mod small;
mod start;
mod text;
mod tree;
mod versions;
mod wire;

use crate::command::{cargo, run as run_command};
use crate::failure::{Failure, Result};
use crate::tools;
use arena::{Arena, Scale};
use report::{Report, Row};
use std::time::Instant;

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
    Workload {
        name: "a",
        about: "10,000 files of 4 KiB pushed and pulled, then pushed again",
        run: small::run,
    },
    Workload {
        name: "a100",
        about: "100,000 files of 4 KiB: status, add, remove, and a push",
        run: tree::run,
    },
    Workload {
        name: "decide",
        about: "decisions over 100,000 files, in the component and without it",
        run: decide::run,
    },
    Workload { name: "hashing", about: "1 GiB hashed, as one file and as 16", run: hashing::run },
    Workload { name: "b", about: "one file of 1 GiB pushed and pulled, and of 4 GiB", run: large::run },
    Workload { name: "c", about: "200 files of 1.5 MiB pushed and pulled", run: many::run },
    Workload { name: "d", about: "one file of 1 GiB, then with insertions", run: inserted::run },
    Workload { name: "r", about: "two releases of a project, one over the other", run: releases::run },
    Workload { name: "t", about: "64 MiB of CSV, then with rows changed and appended", run: text::run },
];

/// Runs the workloads that the options name, or all.
pub(crate) fn run(options: &[&str]) -> Result {
    let (scale, workloads) = understand(options)?;
    tools::add_wasm_target()?;
    run_command(cargo().args(["build", "--release", "--locked", "--package", "modelops-bundle-cli"]))?;
    let arena = Arena::new(scale)?;
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
    report.write(&arena.results_file())?;
    if failed.is_empty() {
        Ok(())
    } else {
        Err(Failure::step(format!("could not be measured: {}", failed.join(", "))))
    }
}

fn understand(options: &[&str]) -> Result<(Scale, Vec<&'static Workload>)> {
    let (mut scale, mut workloads) = (Scale::Full, Vec::new());
    for option in options {
        match (*option, WORKLOADS.iter().find(|workload| workload.name == *option)) {
            ("--quick", _) => scale = Scale::Quick,
            ("--large", _) => scale = Scale::Large,
            (_, Some(workload)) => workloads.push(workload),
            (other, None) => {
                let names: Vec<_> = WORKLOADS.iter().map(|workload| workload.name).collect();
                return Err(Failure::usage(format!(
                    "`bench` knows no `{other}`, only --quick, --large and these: {}",
                    names.join(", ")
                )));
            }
        }
    }
    if workloads.is_empty() {
        workloads.extend(WORKLOADS);
    }
    Ok((scale, workloads))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn workloads_are_named_or_all() {
        let named = |options: &[&str]| -> Vec<&str> {
            understand(options).unwrap().1.iter().map(|workload| workload.name).collect()
        };
        assert_eq!(named(&["--quick", "c", "start"]), ["c", "start"]);
        assert_eq!(named(&["--quick"]).len(), WORKLOADS.len());
        assert_eq!(understand(&["--quick"]).unwrap().0, Scale::Quick);
        assert_eq!(understand(&["b", "--large"]).unwrap().0, Scale::Large);
        assert!(understand(&["nothing"]).err().is_some_and(|failure| failure.is_usage()));
    }
}

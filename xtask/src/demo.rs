//! `cargo xtask demo`: builds the program and shows it at work, from an empty folder to a pulled copy.
//!
//! Everything happens in one temporary folder that is removed at the end; nothing of the developer's
//! own settings is read or written.

use crate::command::{cargo, describe, root, run as run_command};
use crate::failure::{Context, Failure, Result};
use crate::scratch::Scratch;
use crate::tools;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

/// The sample project: path and content. A small epidemic model as a researcher would keep it.
const PROJECT: &[(&str, &str)] = &[
    ("src/model.py", MODEL),
    ("config/params.yaml", "population: 500000\nbeta: 0.32\nsigma: 0.19\ngamma: 0.10\ninitial_exposed: 25\n"),
    (
        "data/cases.csv",
        "week,reported\n2024-W01,12\n2024-W02,31\n2024-W03,77\n2024-W04,164\n2024-W05,298\n2024-W06,410\n",
    ),
    ("data/age_groups.csv", "group,share\n0-17,0.21\n18-49,0.42\n50-64,0.19\n65+,0.18\n"),
    ("README.md", "# District SEIR model\n\nRun `python src/model.py` to fit the reported cases.\n"),
];

const MODEL: &str = r#""""A deterministic SEIR model, stepped once a day."""

import csv
from pathlib import Path

HERE = Path(__file__).parent.parent


def parameters():
    lines = (HERE / "config/params.yaml").read_text().splitlines()
    return {name: float(value) for name, value in (line.split(": ") for line in lines)}


def simulate(days, population, beta, sigma, gamma, initial_exposed):
    s, e, i, r = population - initial_exposed, initial_exposed, 0.0, 0.0
    for day in range(days):
        infected, sick, well = beta * s * i / population, sigma * e, gamma * i
        s, e, i, r = s - infected, e + infected - sick, i + sick - well, r + well
        yield day, i


if __name__ == "__main__":
    with open(HERE / "data/cases.csv") as file:
        weeks = list(csv.DictReader(file))
    for day, infectious in simulate(7 * len(weeks), **parameters()):
        print(f"{day},{infectious:.1f}")
"#;

/// Builds the program and runs the tour.
pub(crate) fn run(options: &[&str]) -> Result {
    if let Some(option) = options.first() {
        return Err(Failure::usage(format!("`demo` has no option `{option}`")));
    }
    let started = Instant::now();
    println!("Building modelops-bundle; the first time takes some minutes.");
    tools::add_wasm_target()?;
    run_command(cargo().args(["build", "--release", "--locked", "--package", "modelops-bundle-cli"]))?;

    let scratch = Scratch::new("modelops-bundle-demo")?;
    let tour = Tour::new(scratch.path())?;
    tour.run()?;
    println!("\nDone in {:.1} s; nothing was left behind.", started.elapsed().as_secs_f64());
    Ok(())
}

/// The folders of one tour.
struct Tour {
    program: PathBuf,
    home: PathBuf,
    project: PathBuf,
    copy: PathBuf,
    remote: String,
}

impl Tour {
    fn new(folder: &Path) -> Result<Self> {
        let tour = Self {
            program: built_program(),
            home: folder.join("home"),
            project: folder.join("district-seir"),
            copy: folder.join("colleague"),
            remote: format!("oci:{}", folder.join("registry").display()),
        };
        for folder in [&tour.home, &tour.project, &tour.copy] {
            fs::create_dir(folder).context(|| format!("cannot make {}", folder.display()))?;
        }
        Ok(tour)
    }

    fn run(&self) -> Result {
        let (project, copy) = (self.project.as_path(), self.copy.as_path());
        say("A small epidemic model: code, settings and data.");
        for (path, content) in PROJECT {
            write(project, path, content)?;
        }

        say("Make it a bundle, kept in an OCI image layout: a folder that works like a registry.");
        self.step(project, &["init", "--ref", &self.remote])?;
        self.step(project, &["add", "."])?;
        self.step(project, &["push"])?;

        say("Change a parameter and add this week's cases.");
        write(project, "config/params.yaml", &PROJECT[1].1.replace("beta: 0.32", "beta: 0.29"))?;
        write(project, "data/cases.csv", &format!("{}2024-W07,455\n", PROJECT[2].1))?;
        self.step(project, &["status"])?;
        self.step(project, &["diff"])?;
        self.step(project, &["push"])?;
        self.step(project, &["manifest"])?;

        say("A colleague pulls it into an empty folder.");
        self.step(copy, &["init", "--ref", &self.remote])?;
        self.step(copy, &["pull"])?;

        let (ours, theirs) = (read_tree(project)?, read_tree(copy)?);
        if ours != theirs {
            return Err(Failure::step("the pulled files are not the pushed ones"));
        }
        say(&format!("The two folders hold the same {} files, byte for byte.", ours.len()));
        Ok(())
    }

    /// Shows and runs one command; any exit code but 0 ends the tour.
    fn step(&self, folder: &Path, arguments: &[&str]) -> Result {
        let mut command = Command::new(&self.program);
        command.args(arguments).current_dir(folder).stdin(Stdio::null());
        // The developer's own settings and credentials have no part in this.
        command.env_clear().env("HOME", &self.home).env("PATH", std::env::var_os("PATH").unwrap_or_default());
        let shown = describe(&command);
        println!("\n$ {shown}");
        let status = command.status().context(|| format!("cannot run `{shown}`"))?;
        if status.success() { Ok(()) } else { Err(Failure::step(format!("`{shown}` ended with {status}"))) }
    }
}

/// Where cargo puts the release binary.
fn built_program() -> PathBuf {
    let target = std::env::var_os("CARGO_TARGET_DIR")
        .map_or_else(|| root().join("target"), |folder| root().join(folder));
    target.join("release").join(format!("modelops-bundle{}", std::env::consts::EXE_SUFFIX))
}

fn say(text: &str) {
    println!("\n# {text}");
}

fn write(folder: &Path, path: &str, content: &str) -> Result {
    let path = folder.join(path);
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent).context(|| format!("cannot make {}", parent.display()))?;
    }
    fs::write(&path, content).context(|| format!("cannot write {}", path.display()))
}

/// Every file below a folder and its bytes, but for the bundle's own state.
fn read_tree(folder: &Path) -> Result<BTreeMap<PathBuf, Vec<u8>>> {
    let mut files = BTreeMap::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(current) = folders.pop() {
        for entry in fs::read_dir(&current).context(|| format!("cannot read {}", current.display()))? {
            let path = entry.context(|| format!("cannot read {}", current.display()))?.path();
            if path.ends_with(".modelops-bundle") {
                continue;
            }
            if path.is_dir() {
                folders.push(path);
            } else {
                let bytes = fs::read(&path).context(|| format!("cannot read {}", path.display()))?;
                files.insert(path.strip_prefix(folder).unwrap_or(&path).to_owned(), bytes);
            }
        }
    }
    Ok(files)
}

//! `cargo xtask fuzz [TARGET] [SECONDS]`: lets libFuzzer look for inputs that make a reader of strangers' bytes panic.
//!
//! Every run of the tests plays the corpus; this finds what belongs into it, and needs a nightly compiler and cargo-fuzz.

use crate::command::{program, quietly, root, run as run_command};
use crate::failure::{Context, Failure, Result};
use std::fs;

/// Where the programs and the corpus are.
const FOLDER: &str = "tests/fuzz";

/// How long each target is fuzzed unless something else is said.
const SECONDS: &str = "60";

/// Fuzzes one target, or each in turn.
pub(crate) fn run(options: &[&str]) -> Result {
    let targets = targets()?;
    let (wanted, seconds) = match options {
        [] => (None, SECONDS),
        [one] if is_number(one) => (None, *one),
        [one] => (Some(*one), SECONDS),
        [one, seconds] if is_number(seconds) => (Some(*one), *seconds),
        _ => return Err(Failure::usage("`fuzz` takes the name of a target and a number of seconds")),
    };
    if let Some(wanted) = wanted.filter(|wanted| !targets.iter().any(|target| target == wanted)) {
        let names = targets.join(", ");
        return Err(Failure::usage(format!("there is no target `{wanted}`, only these: {names}")));
    }
    check_tools()?;
    for target in targets.iter().filter(|target| wanted.is_none_or(|wanted| wanted == *target)) {
        fuzz(target, seconds)?;
    }
    Ok(())
}

fn is_number(text: &str) -> bool {
    text.parse::<u32>().is_ok()
}

/// The names of all targets: those of their programs.
fn targets() -> Result<Vec<String>> {
    let folder = root().join(FOLDER).join("fuzz_targets");
    let entries = fs::read_dir(&folder).context(|| format!("cannot read {}", folder.display()))?;
    let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    let mut names: Vec<String> =
        names.filter_map(|name| Some(name.strip_suffix(".rs")?.to_owned())).collect();
    names.sort();
    Ok(names)
}

/// Says what to install; nothing is installed unasked.
fn check_tools() -> Result {
    for (what, arguments, install) in [
        ("a nightly compiler", &["--version"][..], "rustup toolchain install nightly"),
        ("cargo-fuzz", &["fuzz", "--version"], "cargo install --locked cargo-fuzz"),
    ] {
        if quietly(nightly().args(arguments)).is_err() {
            return Err(Failure::step(format!("{what} is not here: `{install}` gets it")));
        }
    }
    Ok(())
}

/// The cargo of the nightly toolchain: that on `PATH` is rustup's, which knows how to choose.
fn nightly() -> std::process::Command {
    let mut command = program("cargo");
    command.env("RUSTUP_TOOLCHAIN", "nightly").env_remove("CARGO").env_remove("RUSTC");
    command
}

/// Fuzzes one target. What is found on the way stays in the target folder, and what panics in `artifacts`.
fn fuzz(target: &str, seconds: &str) -> Result {
    println!("==> {target}, {seconds} s");
    let found = root().join("target/fuzz").join(target);
    fs::create_dir_all(&found).context(|| format!("cannot make {}", found.display()))?;
    let seeds = root().join(FOLDER).join("corpus").join(target);
    run_command(
        nightly()
            .args(["fuzz", "run", "--fuzz-dir", FOLDER, target])
            .args([found, seeds])
            .args(["--", &format!("-max_total_time={seconds}")]),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_that_is_not_there_is_named() {
        assert!(targets().unwrap().contains(&"manifest".to_owned()));
        let failure = run(&["nothing"]).unwrap_err();
        assert!(failure.is_usage() && failure.to_string().contains("manifest"), "{failure}");
        assert!(run(&["manifest", "soon"]).unwrap_err().is_usage());
    }
}

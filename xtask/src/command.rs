//! Runs other programs: shown to the developer, or quietly for their output.

use crate::failure::{Context, Failure, Result};
use std::ffi::OsStr;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, ExitStatus, Output, Stdio};

/// The workspace's root folder.
pub fn root() -> &'static Path {
    let xtask = Path::new(env!("CARGO_MANIFEST_DIR"));
    xtask.parent().unwrap_or(xtask)
}

/// A program to be run in the workspace's root with no standard input.
pub fn program(name: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new(name);
    command.current_dir(root()).stdin(Stdio::null());
    without_our_own_package(&mut command);
    command
}

/// The cargo that started this task.
pub fn cargo() -> Command {
    program(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
}

/// Removes the variables with which cargo describes *this* package to us. Some build scripts rerun when
/// these change, so leaving them in would rebuild half the workspace whenever a developer alternates
/// between `cargo test` and `cargo xtask test`.
fn without_our_own_package(command: &mut Command) {
    for (name, _) in std::env::vars_os() {
        let Some(text) = name.to_str() else { continue };
        if text.starts_with("CARGO_PKG_") || text.starts_with("CARGO_MANIFEST_") {
            command.env_remove(name);
        }
    }
}

/// Runs a command with its output going to the developer's terminal; any exit code but 0 is a failure.
pub fn run(command: &mut Command) -> Result {
    let shown = describe(command);
    let status = command.status().context(|| format!("cannot run `{shown}`"))?;
    if status.success() { Ok(()) } else { Err(Failure::step(format!("`{shown}` failed with {status}"))) }
}

/// Like [`run`], and calls `see` with each line of standard output as it is shown.
pub(crate) fn run_watched(command: &mut Command, mut see: impl FnMut(&str)) -> Result {
    let shown = describe(command);
    let cannot = || format!("cannot run `{shown}`");
    let mut child = command.stdout(Stdio::piped()).spawn().context(cannot)?;
    if let Some(stdout) = child.stdout.take() {
        for line in BufReader::new(stdout).split(b'\n') {
            let line = line.context(cannot)?;
            let line = String::from_utf8_lossy(&line);
            println!("{line}");
            see(&line);
        }
    }
    judge(child.wait().context(cannot)?, &shown)
}

/// Runs a command quietly and returns its standard output; on failure the message holds the end of what it
/// printed.
pub fn read(command: &mut Command) -> Result<String> {
    let shown = describe(command);
    let output = command.output().context(|| format!("cannot run `{shown}`"))?;
    if !output.status.success() {
        return Err(Failure::step(format!("`{shown}` failed with {}{}", output.status, ending(&output))));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Runs a command quietly for its effect.
pub fn quietly(command: &mut Command) -> Result {
    read(command).map(drop)
}

fn judge(status: ExitStatus, shown: &str) -> Result {
    if status.success() { Ok(()) } else { Err(Failure::step(format!("`{shown}` failed with {status}"))) }
}

/// The command as a person would type it.
pub fn describe(command: &Command) -> String {
    let mut shown = Path::new(command.get_program())
        .file_name()
        .unwrap_or(command.get_program())
        .to_string_lossy()
        .into_owned();
    for argument in command.get_args() {
        let argument = argument.to_string_lossy();
        shown.push(' ');
        if argument.is_empty() || argument.contains([' ', '*', '"', '$', '\'']) {
            shown.push_str(&format!("'{argument}'"));
        } else {
            shown.push_str(&argument);
        }
    }
    shown
}

/// The last lines of what a failed command printed: enough to see why, short enough to read.
fn ending(output: &Output) -> String {
    const LINES: usize = 15;
    let mut all = String::from_utf8_lossy(&output.stdout).into_owned();
    all.push_str(&String::from_utf8_lossy(&output.stderr));
    let lines: Vec<&str> = all.lines().filter(|line| !line.trim().is_empty()).collect();
    lines[lines.len().saturating_sub(LINES)..].iter().map(|line| format!("\n    {line}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_described_as_it_would_be_typed() {
        let mut command = Command::new("/usr/bin/modelops-bundle");
        command.args(["add", "data/*.csv", "two words", "plain"]);
        assert_eq!(describe(&command), "modelops-bundle add 'data/*.csv' 'two words' plain");
    }

    #[cfg(unix)]
    #[test]
    fn a_failure_shows_what_the_program_said() {
        let failure = read(Command::new("sh").args(["-c", "echo first; echo why >&2; exit 3"])).unwrap_err();
        let text = failure.to_string();
        assert!(text.contains("exit status: 3") && text.contains("\n    why"), "{text}");
    }
}

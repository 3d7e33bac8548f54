//! Who makes a bundle: what the user says, else the name that git knows.

use std::path::Path;
use std::process::{Command, Stdio};

use crate::project::Config;

/// Names the author of what is pushed.
pub const AUTHOR_VARIABLE: &str = "MODELOPS_BUNDLE_AUTHOR";

/// The author of what is pushed from the project at `root`: the variable, else the setting, else git's `user.name`; never
/// an address. None where nobody says.
pub fn author(root: &Path, config: &Config) -> Option<String> {
    let said = std::env::var(AUTHOR_VARIABLE).ok().filter(|name| !name.trim().is_empty());
    let name = said.or_else(|| config.author.clone()).or_else(|| git_name(root))?;
    let name = name.lines().next().unwrap_or_default().trim();
    (!name.is_empty()).then(|| name.to_owned())
}

fn git_name(root: &Path) -> Option<String> {
    let mut git = Command::new("git");
    git.args(["config", "--get", "user.name"]).current_dir(root);
    let output = git.stdin(Stdio::null()).stderr(Stdio::null()).output().ok()?;
    let name = String::from_utf8(output.stdout).ok()?;
    output.status.success().then_some(name)
}

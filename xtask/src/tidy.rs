//! Rules about the repository itself that no compiler checks.

use crate::command::{program, read, root};
use crate::failure::{Context, Failure, Result};
use std::collections::BTreeSet;
use std::fs;

/// What may stand at the top level, beside names that begin with a dot or with `LICENSE`.
const TOP_LEVEL: &[&str] = &[
    "ARCHITECTURE.md",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "Cargo.lock",
    "Cargo.toml",
    "README.md",
    "clippy.toml",
    "core",
    "deny.toml",
    "host-native",
    "host-web",
    "rust-toolchain.toml",
    "rustfmt.toml",
    "tests",
    "wit",
    "xtask",
];

/// Marks of work left undone, or of a test switched off. Written in halves so that this file has none.
const UNFINISHED: &[&str] =
    &[concat!("TO", "DO"), concat!("FIX", "ME"), concat!("unimplemented", "!"), concat!("#[", "ignore")];

/// The kinds of file that count as source.
const SOURCE_ENDINGS: &[&str] =
    &[".css", ".html", ".js", ".mjs", ".py", ".rs", ".sh", ".toml", ".ts", ".wit", ".ci/run"];

/// Checks every rule and lists all that is wrong at once.
pub(crate) fn check() -> Result {
    let files = Repository::read()?;
    let mut faults = Vec::new();
    faults.extend(strangers_at_top_level(&files.paths));
    faults.extend(undeclared_tests(&files)?);
    faults.extend(unfinished_work(&files)?);
    faults.extend(second_versions(&files)?);
    if faults.is_empty() {
        return Ok(());
    }
    Err(Failure::step(faults.iter().map(|fault| format!("\n    {fault}")).collect::<String>()))
}

/// The files that git tracks or would track.
struct Repository {
    paths: Vec<String>,
}

impl Repository {
    fn read() -> Result<Self> {
        let listed = read(program("git").args([
            "ls-files",
            "-z",
            "--cached",
            "--others",
            "--exclude-standard",
            "--deduplicate",
        ]))?;
        let paths = listed
            .split('\0')
            .filter(|path| !path.is_empty() && root().join(path).is_file())
            .map(ToOwned::to_owned)
            .collect();
        Ok(Self { paths })
    }

    fn text(&self, path: &str) -> Result<String> {
        let bytes = fs::read(root().join(path)).context(|| format!("cannot read {path}"))?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    fn sources(&self) -> impl Iterator<Item = &str> {
        self.paths
            .iter()
            .map(String::as_str)
            .filter(|path| SOURCE_ENDINGS.iter().any(|ending| path.ends_with(ending)))
    }
}

fn strangers_at_top_level(paths: &[String]) -> Vec<String> {
    let names: BTreeSet<&str> = paths.iter().filter_map(|path| path.split('/').next()).collect();
    names
        .into_iter()
        .filter(|name| !name.starts_with('.') && !name.starts_with("LICENSE") && !TOP_LEVEL.contains(name))
        .map(|name| format!("{name} does not belong at the top level"))
        .collect()
}

/// A file of tests that `main.rs` does not declare is never compiled, and so never fails.
fn undeclared_tests(files: &Repository) -> Result<Vec<String>> {
    const FOLDER: &str = "tests/it/";
    let declared = files.text("tests/it/main.rs")?;
    Ok(files
        .paths
        .iter()
        .filter_map(|path| path.strip_prefix(FOLDER)?.strip_suffix(".rs"))
        .filter(|module| *module != "main" && !module.contains('/'))
        .filter(|module| !declared.lines().any(|line| line.trim() == format!("mod {module};")))
        .map(|module| format!("{FOLDER}main.rs does not declare `mod {module};`"))
        .collect())
}

fn unfinished_work(files: &Repository) -> Result<Vec<String>> {
    let mut faults = Vec::new();
    for path in files.sources() {
        for (number, line) in files.text(path)?.lines().enumerate() {
            if let Some(mark) = UNFINISHED.iter().find(|mark| line.contains(**mark)) {
                faults.push(format!("{path}:{} has {mark}", number + 1));
            }
        }
    }
    Ok(faults)
}

/// The version stands in the workspace's manifest and nowhere else: every other place reads it from there.
fn second_versions(files: &Repository) -> Result<Vec<String>> {
    let version = env!("CARGO_PKG_VERSION");
    let spelled_out = [format!("modelops-bundle/{version}"), format!("modelops-bundle {version}")];
    let mut faults = Vec::new();
    for path in &files.paths {
        if path.ends_with("/Cargo.toml") {
            let manifest = files.text(path)?;
            if !inherits_version(&manifest) {
                faults.push(format!("{path} has a version of its own; write `version.workspace = true`"));
            }
        }
        if !matches!(path.as_str(), "Cargo.lock" | "CHANGELOG.md") {
            let text = files.text(path)?;
            if spelled_out.iter().any(|spelling| text.contains(spelling)) {
                faults.push(format!("{path} spells out the version {version}"));
            }
        }
    }
    Ok(faults)
}

/// A package outside the workspace (a fuzzer, an example for embedders) cannot inherit, and says 0.0.0.
fn inherits_version(manifest: &str) -> bool {
    manifest
        .lines()
        .skip_while(|line| line.trim() != "[package]")
        .skip(1)
        .take_while(|line| !line.starts_with('['))
        .filter(|line| line.starts_with("version"))
        .all(|line| matches!(line.trim(), "version.workspace = true" | "version = \"0.0.0\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn top_level_names_are_listed() {
        let paths = ["core/src/lib.rs", ".ci/run", "LICENSE-MIT", "notes.txt"].map(str::to_owned);
        assert_eq!(strangers_at_top_level(&paths), ["notes.txt does not belong at the top level"]);
    }

    #[test]
    fn only_a_package_section_has_a_version_to_inherit() {
        assert!(inherits_version(
            "[package]\nversion.workspace = true\n\n[dependencies.x]\nversion = \"1\"\n"
        ));
        assert!(inherits_version("[package]\nname = \"fuzz\"\nversion = \"0.0.0\"\n"));
        assert!(!inherits_version("[package]\nversion = \"0.2.0\"\n"));
    }
}

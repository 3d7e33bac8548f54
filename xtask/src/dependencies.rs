//! Whether every dependency may come in: its licence, its source and its version, after `deny.toml`.
//!
//! cargo-deny reads the same file and says more, but takes minutes to build, so that most machines would go without.
//! What must hold everywhere is asked of cargo here; cargo-deny is run as well where it is.

use crate::command::{cargo, program, read, root, run};
use crate::failure::{Context, Failure, Result};
use crate::tools;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;

/// The only source that a package of `Cargo.lock` may name.
const CRATES_IO: &str = "registry+https://github.com/rust-lang/crates.io-index";

/// Checks all dependencies; with cargo-deny as well where it is there or wanted.
pub(crate) fn check(install_deny: bool) -> Result {
    let rules = text_of("deny.toml")?;
    let allowed = allowed_licences(&rules)?;
    // The dependencies for other systems count too, which no build has fetched.
    let tree = read(cargo().args([
        "tree",
        "--locked",
        "--quiet",
        "--workspace",
        "--all-features",
        "--target=all",
        "--prefix=none",
        "--no-dedupe",
        "--format={p}|{l}",
    ]))?;
    let packages: BTreeSet<&str> = tree.lines().filter(|line| !line.is_empty()).collect();
    let lock = text_of("Cargo.lock")?;
    let mut faults = wrong_licences(&packages, &allowed);
    faults.extend(wrong_sources(&lock));
    faults.extend(wildcards()?);
    if packages.is_empty() || !faults.is_empty() {
        let faults: String = faults.iter().map(|fault| format!("\n    {fault}")).collect();
        return Err(Failure::step(format!("of {} packages these may not come in:{faults}", packages.len())));
    }
    println!("    licences and sources of {} packages; {}", packages.len(), duplicates(&lock));
    match if install_deny { Some(tools::install_cargo_deny()?) } else { tools::find_cargo_deny() } {
        Some(deny) => run_cargo_deny(program(deny)),
        None => Ok(()),
    }
}

fn run_cargo_deny(mut deny: std::process::Command) -> Result {
    // It reads the manifest of every package itself.
    run(cargo().args(["fetch", "--locked", "--quiet"]))?;
    // Offline: the advisory database would have to be fetched, and is not part of these checks.
    run(deny.args(["--offline", "--log-level", "error", "check", "licenses", "bans", "sources"]))
}

fn text_of(path: &str) -> Result<String> {
    fs::read_to_string(root().join(path)).context(|| format!("cannot read {path}"))
}

/// The entries of the list `allow`, one a line.
fn allowed_licences(deny: &str) -> Result<BTreeSet<&str>> {
    let list = deny.lines().skip_while(|line| line.trim() != "allow = [").skip(1);
    let entries = list.take_while(|line| line.trim() != "]");
    let allowed: BTreeSet<&str> =
        entries.filter_map(|line| line.trim().strip_prefix('"')?.split('"').next()).collect();
    if allowed.is_empty() {
        return Err(Failure::step("deny.toml has no list `allow = [` with a licence on each line"));
    }
    Ok(allowed)
}

fn wrong_licences(packages: &BTreeSet<&str>, allowed: &BTreeSet<&str>) -> Vec<String> {
    let wrong = packages.iter().filter_map(|line| {
        let (package, licence) = line.rsplit_once('|').unwrap_or((line, ""));
        (!is_allowed(licence, allowed)).then(|| format!("{package}: its licence is `{licence}`"))
    });
    wrong.collect()
}

/// Whether an SPDX expression can be met with the allowed licences alone; one that cannot be read is not.
fn is_allowed(expression: &str, allowed: &BTreeSet<&str>) -> bool {
    // Older packages write a slash where `OR` is meant.
    let spaced = expression.replace('/', " OR ").replace('(', " ( ").replace(')', " ) ");
    let mut words = spaced.split_whitespace().peekable();
    any_of(&mut words, allowed) == Some(true) && words.next().is_none()
}

type Words<'a> = std::iter::Peekable<std::str::SplitWhitespace<'a>>;

fn any_of(words: &mut Words<'_>, allowed: &BTreeSet<&str>) -> Option<bool> {
    let mut is_met = all_of(words, allowed)?;
    while words.next_if_eq(&"OR").is_some() {
        is_met |= all_of(words, allowed)?;
    }
    Some(is_met)
}

fn all_of(words: &mut Words<'_>, allowed: &BTreeSet<&str>) -> Option<bool> {
    let mut is_met = licence(words, allowed)?;
    while words.next_if_eq(&"AND").is_some() {
        is_met &= licence(words, allowed)?;
    }
    Some(is_met)
}

fn licence(words: &mut Words<'_>, allowed: &BTreeSet<&str>) -> Option<bool> {
    match words.next()? {
        "(" => {
            let is_met = any_of(words, allowed)?;
            words.next_if_eq(&")").map(|_| is_met)
        }
        ")" | "OR" | "AND" | "WITH" => None,
        name if words.next_if_eq(&"WITH").is_some() => {
            Some(allowed.contains(format!("{name} WITH {}", words.next()?).as_str()))
        }
        name => Some(allowed.contains(name)),
    }
}

/// The packages of a lock file that come from anywhere but crates.io or this workspace, or without a checksum.
fn wrong_sources(lock: &str) -> Vec<String> {
    let mut faults = Vec::new();
    for package in lock.split("[[package]]").skip(1) {
        let name = field(package, "name").unwrap_or_default();
        match field(package, "source") {
            Some(CRATES_IO) if field(package, "checksum").is_none() => {
                faults.push(format!("{name}: Cargo.lock has no checksum for it"));
            }
            Some(CRATES_IO) | None => {}
            Some(source) => faults.push(format!("{name}: its source is {source}")),
        }
    }
    faults
}

/// The packages that a lock file has in more than one version: told, for each is compiled more than once.
fn duplicates(lock: &str) -> String {
    let mut versions: BTreeMap<&str, u32> = BTreeMap::new();
    for package in lock.split("[[package]]").skip(1) {
        *versions.entry(field(package, "name").unwrap_or_default()).or_default() += 1;
    }
    let names: Vec<&str> = versions.iter().filter(|(_, count)| **count > 1).map(|(name, _)| *name).collect();
    match names.is_empty() {
        true => "each in one version".to_owned(),
        false => format!("in several versions: {}", names.join(", ")),
    }
}

/// The value of a line `name = "value"`.
fn field<'a>(package: &'a str, name: &str) -> Option<&'a str> {
    let mut values = package.lines().filter_map(|line| line.strip_prefix(name)?.strip_prefix(" = \""));
    values.next()?.strip_suffix('"')
}

/// The dependencies of the workspace's manifests that any version would do for.
fn wildcards() -> Result<Vec<String>> {
    let listed = read(program("git").args(["ls-files", "-z", "--cached", "Cargo.toml", "*/Cargo.toml"]))?;
    let mut faults = Vec::new();
    for path in listed.split('\0').filter(|path| root().join(path).is_file()) {
        let manifest = text_of(path)?;
        faults.extend(
            manifest.lines().filter(|line| line.contains("\"*\"")).map(|line| format!("{path}: {line}")),
        );
    }
    Ok(faults)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_expression_is_met_by_allowed_licences_alone() {
        let allowed = BTreeSet::from(["MIT", "Unicode-3.0", "Apache-2.0 WITH LLVM-exception"]);
        for met in [
            "MIT",
            "GPL-3.0 OR MIT",
            "MIT/Apache-2.0",
            "Apache-2.0 / MIT",
            "(MIT OR Apache-2.0) AND Unicode-3.0",
            "Apache-2.0 WITH LLVM-exception OR GPL-3.0",
        ] {
            assert!(is_allowed(met, &allowed), "{met}");
        }
        for unmet in [
            "",
            "GPL-3.0",
            "MIT AND GPL-3.0",
            "(MIT OR Apache-2.0) AND GPL-3.0",
            "Apache-2.0",
            "MIT WITH other",
            "MIT OR",
            "(MIT",
            "MIT)",
            "MIT GPL-3.0",
        ] {
            assert!(!is_allowed(unmet, &allowed), "{unmet}");
        }
    }

    #[test]
    fn a_package_from_elsewhere_is_told() {
        let package =
            |name: &str, rest: &str| format!("[[package]]\nname = \"{name}\"\nversion = \"1.0.0\"\n{rest}\n");
        let source = format!("source = \"{CRATES_IO}\"\n");
        let lock = [
            package("ours", ""),
            package("good", &format!("{source}checksum = \"00\"")),
            package("bare", &source),
            package("git", "source = \"git+https://example.com/git\""),
        ];
        let faults = wrong_sources(&lock.concat());
        assert_eq!(
            faults,
            ["bare: Cargo.lock has no checksum for it", "git: its source is git+https://example.com/git"]
        );
        assert_eq!(duplicates(&lock.concat()), "each in one version");
        assert_eq!(duplicates(&lock.concat().repeat(2)), "in several versions: bare, git, good, ours");
    }

    #[test]
    fn the_allowed_licences_are_those_of_the_list() {
        let deny = "[licenses]\n# Some.\nallow = [\n    \"MIT\",\n    \"ISC\",\n]\nunused = \"GPL\"\n";
        assert_eq!(allowed_licences(deny).unwrap(), BTreeSet::from(["MIT", "ISC"]));
        assert!(allowed_licences("[licenses]\n").is_err());
    }
}

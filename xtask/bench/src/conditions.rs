//! What the figures were measured on: without it, those of two runs cannot be compared.

use crate::peers;
use crate::report::cores;
use serde_json::{Map, Value, json};
use std::path::Path;
use std::process::Command;
use xtask::command::{program, read};
use xtask::places;

/// Every program that a workload compares with, and how it tells its version.
const PEERS: [(&str, &str); 11] = [
    ("curl", "--version"),
    ("git", "--version"),
    ("kit", "version"),
    ("modctl", "version"),
    ("openssl", "version"),
    ("oras", "version"),
    ("python3", "--version"),
    ("regctl", "version"),
    ("rustc", "--version"),
    ("tar", "--version"),
    ("zstd", "--version"),
];

/// What the figures of a run were measured on.
pub(crate) struct Conditions {
    commit: Option<String>,
    /// Whether the commit is not all that was built.
    has_changes: Option<bool>,
    processor: Option<String>,
    system: Option<String>,
    peers: Map<String, Value>,
    seed: u64,
}

impl Conditions {
    /// Looks at the machine and asks every peer that is on it.
    pub(crate) fn look(seed: u64) -> Self {
        let git = |arguments: &[&str]| read(program("git").args(arguments)).ok();
        let asked = PEERS.iter().filter_map(|(name, argument)| {
            Some(((*name).to_owned(), version(&peers::find(name)?, argument).into()))
        });
        let mut peers: Map<String, Value> = asked.collect();
        if let Some(registry) = places::DOCKER_REGISTRY.find() {
            peers.insert(places::DOCKER_REGISTRY.name.to_owned(), version(&registry, "--version").into());
        }
        Self {
            commit: git(&["rev-parse", "HEAD"]).map(|commit| commit.trim().to_owned()),
            has_changes: git(&["status", "--porcelain"]).map(|changes| !changes.trim().is_empty()),
            processor: std::fs::read_to_string("/proc/cpuinfo").ok().and_then(|text| processor(&text)),
            system: read(program("uname").arg("-sr")).ok().map(|system| system.trim().to_owned()),
            peers,
            seed,
        }
    }

    /// All of it, for the file of results.
    pub(crate) fn json(&self) -> Value {
        json!({
            "commit": self.commit,
            "has_changes": self.has_changes,
            "processor": self.processor,
            "cores": cores(),
            "system": self.system,
            "peers": self.peers,
            "seed": self.seed,
        })
    }
}

/// The first line of what a program says of its version that holds a digit; nothing where it does not say.
fn version(path: &Path, argument: &str) -> Option<String> {
    let output = Command::new(path).arg(argument).output().ok()?;
    let said = String::from_utf8_lossy(&output.stdout);
    said.lines()
        .map(str::trim)
        .find(|line| line.contains(|c: char| c.is_ascii_digit()))
        .map(ToOwned::to_owned)
}

/// The name of the processor, as Linux tells it.
fn processor(cpuinfo: &str) -> Option<String> {
    let line = cpuinfo.lines().find(|line| line.starts_with("model name"))?;
    line.split_once(':').map(|(_, name)| name.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_processor_is_named() {
        let text = "processor\t: 0\nmodel name\t: Some CPU @ 2.00GHz\nmodel name\t: Some CPU @ 2.00GHz\n";
        assert_eq!(processor(text).as_deref(), Some("Some CPU @ 2.00GHz"));
        assert_eq!(processor("processor: 0\n"), None);
    }

    #[test]
    fn conditions_name_commit_seed_and_cores() {
        let json = Conditions::look(7).json();
        assert_eq!(json["seed"], 7);
        assert!(json["cores"].as_u64().is_some_and(|cores| cores > 0));
        for name in ["commit", "has_changes", "processor", "system", "peers"] {
            assert!(json.get(name).is_some(), "{name}");
        }
    }
}

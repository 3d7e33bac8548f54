//! Where the tools that the tests use are found.
//!
//! Looked up in this order: the tool's environment variable, then `target/tools/` where
//! `cargo xtask test` installs it, then `PATH`. The variables are for people who keep a tool elsewhere;
//! `cargo xtask test` sets them to what it found, and a plain `cargo test` does without.
//!
//! | tool | variable | below `target/tools/` |
//! |---|---|---|
//! | OCI registry 2.8 | `MODELOPS_TEST_DOCKER_REGISTRY` | `docker-registry/usr/bin/docker-registry` |
//! | OCI registry 3 | `MODELOPS_TEST_REGISTRY3` | `registry3/registry` |
//! | skopeo 1.9 | `MODELOPS_TEST_SKOPEO` | `skopeo/skopeo` |
//! | Chromium | `MODELOPS_TEST_CHROMIUM` | `chromium/chromium` |
//! | Node.js | `MODELOPS_TEST_NODE` | (`PATH` only) |
//! | Playwright and other npm packages | `MODELOPS_TEST_NODE_MODULES` | `node/node_modules` |
//! | Python with wasmtime and oras | `MODELOPS_TEST_PYTHON` | `python/bin/python` |
//! | zsh | `MODELOPS_TEST_ZSH` | `zsh/zsh` |
//! | fish | `MODELOPS_TEST_FISH` | `fish/fish` |
//! | wheels used as real input | `MODELOPS_TEST_WHEELS` | `wheels` |

use std::path::PathBuf;

/// How to find one tool.
#[derive(Debug)]
pub struct Place {
    /// What the tool is called, in messages.
    pub name: &'static str,
    /// The environment variable that overrides where it is.
    pub variable: &'static str,
    /// Its path below `target/tools/`, `/`-separated; empty when it is never installed there.
    pub installed: &'static str,
    /// What it is called on `PATH`; empty when one from there would not do.
    pub on_path: &'static [&'static str],
}

/// The registry that Debian packages; one binary.
pub const DOCKER_REGISTRY: Place = Place {
    name: "docker-registry",
    variable: "MODELOPS_TEST_DOCKER_REGISTRY",
    installed: "docker-registry/usr/bin/docker-registry",
    on_path: &["docker-registry"],
};

/// The next generation of the same registry; one binary.
pub const REGISTRY3: Place = Place {
    name: "registry 3",
    variable: "MODELOPS_TEST_REGISTRY3",
    installed: "registry3/registry",
    // What is called so on a machine may be of any generation, or another program altogether.
    on_path: &[],
};

/// Another program that reads and copies what lies in registries, layouts and archives.
pub const SKOPEO: Place = Place {
    name: "skopeo",
    variable: "MODELOPS_TEST_SKOPEO",
    installed: "skopeo/skopeo",
    on_path: &["skopeo"],
};

/// A browser.
pub const CHROMIUM: Place = Place {
    name: "chromium",
    variable: "MODELOPS_TEST_CHROMIUM",
    installed: "chromium/chromium",
    on_path: &["chromium", "chromium-browser", "google-chrome"],
};

/// The JavaScript engine that drives the browser.
pub const NODE: Place =
    Place { name: "node", variable: "MODELOPS_TEST_NODE", installed: "", on_path: &["node"] };

/// The folder of npm packages, for `NODE_PATH` or an absolute import.
pub const NODE_MODULES: Place = Place {
    name: "npm packages",
    variable: "MODELOPS_TEST_NODE_MODULES",
    installed: "node/node_modules",
    on_path: &[],
};

/// A Python that can import `wasmtime` and `oras`; the system's own need not, so it is not looked for.
pub const PYTHON: Place = Place {
    name: "python packages",
    variable: "MODELOPS_TEST_PYTHON",
    installed: "python/bin/python",
    on_path: &[],
};

/// A shell whose completions are tested.
pub const ZSH: Place =
    Place { name: "zsh", variable: "MODELOPS_TEST_ZSH", installed: "zsh/zsh", on_path: &["zsh"] };

/// Another one.
pub const FISH: Place =
    Place { name: "fish", variable: "MODELOPS_TEST_FISH", installed: "fish/fish", on_path: &["fish"] };

/// The folder of wheels that tests unpack as real input.
pub const WHEELS: Place =
    Place { name: "wheels", variable: "MODELOPS_TEST_WHEELS", installed: "wheels", on_path: &[] };

impl Place {
    /// Where the tool is, or nothing when it is not on this machine.
    pub fn find(&self) -> Option<PathBuf> {
        if let Some(path) = std::env::var_os(self.variable).filter(|value| !value.is_empty()) {
            return Some(PathBuf::from(path));
        }
        self.find_installed().or_else(|| on_path(self.on_path))
    }

    /// Where `cargo xtask test` installed the tool, or nothing when it did not.
    pub fn find_installed(&self) -> Option<PathBuf> {
        if self.installed.is_empty() {
            return None;
        }
        let path = tools_folder().join(self.installed);
        path.exists().then_some(path)
    }

    /// The folder below `target/tools/` that is this tool's own.
    pub(crate) fn folder_name(&self) -> &'static str {
        self.installed.split('/').next().unwrap_or_default()
    }
}

/// The folder where tools are installed. It stays in the workspace even when cargo builds elsewhere, so
/// that everyone who uses this checkout shares one copy.
pub fn tools_folder() -> PathBuf {
    crate::command::root().join("target/tools")
}

/// Whether this is a run whose tests must all be carried out: `CI` is set, and not to `false` or `0`.
pub fn must_not_skip() -> bool {
    std::env::var("CI").is_ok_and(|value| !matches!(value.as_str(), "" | "false" | "0"))
}

/// The first of the names that is a file in a folder of `PATH`.
pub fn on_path(names: &[&str]) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    names.iter().find_map(|name| {
        std::env::split_paths(&path)
            .map(|folder| folder.join(format!("{name}{}", std::env::consts::EXE_SUFFIX)))
            .find(|candidate| candidate.is_file())
    })
}

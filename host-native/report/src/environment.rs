//! The documents of `env`.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// The document of `env list`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EnvironmentsReport {
    /// The environment that the project is pinned to; absent where there is none, or no project.
    pub pinned: Option<String>,
    /// The environment that `init` pins a new project to.
    pub default: Option<String>,
    /// The namespace that `init` gives to a new project.
    pub namespace: Option<String>,
    /// Each environment, by name.
    pub environments: Vec<EnvironmentReport>,
}

/// One environment.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EnvironmentReport {
    /// Its name.
    pub name: String,
    /// Whether the project is pinned to it.
    pub pinned: bool,
    /// Where its projects are.
    pub registry: Option<String>,
    /// Where large files are.
    pub storage: Option<StoreReport>,
    /// The file that defines it.
    pub file: PathBuf,
}

/// The document of `env switch`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SwitchReport {
    /// The environment that the project is pinned to now, or on a dry run would be; absent with `--none`.
    pub environment: Option<String>,
    /// The one that it was pinned to.
    pub former_environment: Option<String>,
    /// The project's remote, without its tag.
    #[serde(rename = "ref")]
    pub reference: Option<String>,
    /// What that was.
    pub former_ref: Option<String>,
    /// Where the environment takes the Python tool, if that is another place: then pushes are refused until it is
    /// settled.
    pub python_ref: Option<String>,
    /// The project's external store; its fields are empty where there is none.
    pub storage: StoreReport,
    /// Whether it was only looked at.
    pub dry_run: bool,
}

/// An external store, as the settings `storage.*` name it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StoreReport {
    /// Its kind.
    pub provider: String,
    /// The bucket or container.
    pub container: String,
    /// What its keys start with.
    pub prefix: String,
}

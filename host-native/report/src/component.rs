//! The documents of `core`.

use std::borrow::Cow;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// The document of `core info`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ComponentReport {
    /// The component's digest; that of the file where --core names one.
    pub digest: String,
    /// Its size in bytes.
    pub size: u64,
    /// The contract that this program speaks.
    pub contract: String,
    /// What can be called.
    pub functions: Vec<FunctionReport>,
}

/// One function of the component.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FunctionReport {
    /// The interface that it is in.
    pub interface: String,
    /// Its name there.
    pub name: String,
    /// What it takes and gives, in WIT.
    pub signature: String,
}

/// The document of `core extract`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ExtractReport {
    /// The file that was, or would be, written, as it was named.
    pub file: PathBuf,
    /// The component's digest.
    pub digest: String,
    /// Its size in bytes.
    pub size: u64,
    /// Whether nothing was written.
    pub dry_run: bool,
}

/// The document of `core measure`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MeasureReport {
    /// How many files there were on each side.
    pub files: usize,
    /// What each decision takes.
    pub costs: Vec<CostReport>,
}

/// What one decision takes, in microseconds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CostReport {
    /// The decision.
    pub function: Cow<'static, str>,
    /// In the component.
    pub component_us: u64,
    /// By the same code called natively.
    pub native_us: u64,
}

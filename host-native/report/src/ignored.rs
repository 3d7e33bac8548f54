//! Ignore rules: a part of the document of `status`, and the document of `status --explain PATH`.

use serde::{Deserialize, Serialize};

/// Something that a rule leaves out.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct IgnoredReport {
    /// Its path; that of a folder, which stands for all in it, ends with a slash.
    pub path: String,
    /// The rule.
    #[serde(flatten)]
    pub rule: RuleReport,
}

/// An ignore rule.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RuleReport {
    /// Its text.
    pub rule: String,
    /// The ignore file that holds it, by its path in the project; `default` for one that applies in every project.
    pub source: String,
    /// Its line there.
    pub line: Option<usize>,
}

/// The document of `status --explain PATH`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ExplainReport {
    /// Each path, in the order in which they were named.
    pub explained: Vec<ExplainedPath>,
}

/// One path, and whether it is ignored.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ExplainedPath {
    /// The path in the project; `.` for its top folder.
    pub path: String,
    /// Whether it is tracked; then no rule matters.
    pub tracked: bool,
    /// Whether rules ignore it.
    pub ignored: bool,
    /// The rule that decides, where one is about it.
    #[serde(flatten)]
    pub rule: Option<RuleReport>,
}

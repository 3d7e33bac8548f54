//! The document of a command that failed.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use crate::SeenChange;

/// The document of a failure.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ErrorDocument<'a> {
    /// The failure.
    #[serde(borrow)]
    pub error: ErrorReport<'a>,
}

/// A failure.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ErrorReport<'a> {
    /// The exit code.
    pub code: u8,
    /// What it stands for, as a name.
    pub kind: Cow<'static, str>,
    /// What failed, and why.
    #[serde(borrow)]
    pub message: Cow<'a, str>,
    /// What to do next.
    #[serde(borrow)]
    pub hint: Option<Cow<'a, str>>,
    /// The paths that it is about.
    pub paths: Cow<'a, [String]>,
    /// What stops a pull, path by path; absent where nothing does.
    #[serde(default, skip_serializing_if = "<[BlockedReport]>::is_empty")]
    pub blocked: Cow<'a, [BlockedReport]>,
    /// What a push would undo; absent where there is nothing.
    #[serde(default, skip_serializing_if = "<[SeenChange]>::is_empty")]
    pub unseen: Cow<'a, [SeenChange]>,
    /// The tags that name their bundle although the command failed; absent where there are none.
    #[serde(default, skip_serializing_if = "<[String]>::is_empty")]
    pub tags_written: Cow<'a, [String]>,
    /// The tags that do not, as far as that is known; absent likewise.
    #[serde(default, skip_serializing_if = "<[String]>::is_empty")]
    pub tags_not_written: Cow<'a, [String]>,
}

/// A path that stops a pull.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct BlockedReport {
    /// The path.
    pub path: String,
    /// What became of it.
    pub change: Cow<'static, str>,
    /// The kind of conflict; null where the kind of pull stops at a change that is none.
    pub kind: Option<Cow<'static, str>>,
}

/// The document of a command that found or did something and failed all the same: the fields of its own document, and
/// those of the failure beside them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FailedReport<'a, R> {
    /// The document of the command.
    #[serde(flatten)]
    pub report: R,
    /// The failure.
    #[serde(borrow, flatten)]
    pub failure: ErrorDocument<'a>,
}

//! The document of `status`.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{AtReport, ChangeReport, IgnoredReport, SeenChange, UnreadableReport};

/// The document of `status`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StatusReport<'a> {
    /// The project's remote, without a tag.
    #[serde(rename = "ref")]
    pub reference: String,
    /// The tag that is compared with.
    pub tag: String,
    /// The environment that the project is pinned to; absent where there is none that the Python tool knows.
    pub environment: Option<PinnedReport>,
    /// What is known of the bundle there.
    pub remote: RemoteReport,
    /// The bundle that the project last synced; absent where it is not known.
    pub base: Option<AtReport>,
    /// How many bundles the project is ahead of the tag's; absent where that is not known.
    pub ahead: Option<u64>,
    /// How many bundles it is behind.
    pub behind: Option<u64>,
    /// The part of the bundle that the project takes part in; absent where that is all of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub view: Option<ViewReport>,
    /// What others did to the tag's bundle that the project is not built on: a push stops at it.
    pub unseen: Vec<SeenChange>,
    /// How many paths there are of each change.
    pub summary: BTreeMap<String, usize>,
    /// Every path that is not the same on both sides.
    #[serde(borrow)]
    pub changes: Vec<ChangeReport<'a>>,
    /// Up to ten paths that are.
    pub unchanged: Vec<String>,
    /// Tracked paths that cannot be read, and so are not compared.
    pub unreadable: Vec<UnreadableReport>,
    /// Files that are neither tracked nor ignored.
    #[serde(borrow)]
    pub untracked: Vec<Cow<'a, str>>,
    /// What ignore rules leave out; absent where nobody asked for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ignored: Option<Vec<IgnoredReport>>,
    /// HTTP requests made; absent where no remote was asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub requests: Option<u64>,
    /// The file that `--details NAME` names; absent without a name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub details: Option<ChangeReport<'a>>,
}

/// The remote's bundle.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RemoteReport {
    /// Whether there is one.
    pub state: RemoteState,
    /// The bundle's digest, where it is known.
    pub digest: Option<String>,
    /// What went wrong, where something did.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// What to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

/// What is known of the remote.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RemoteState {
    /// It answered, and has the bundle.
    Available,
    /// It answered, and has no such bundle.
    Empty,
    /// It was not asked.
    Offline,
    /// It did not answer.
    Unreachable,
    /// It answered, and has something there that is no bundle.
    NotABundle,
    /// It asks for credentials, or refuses those that it was given.
    AuthFailed,
    /// Something else went wrong.
    UnknownError,
}

/// Where a pinned environment takes the Python tool.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PinnedReport {
    /// Its name.
    pub name: String,
    /// The place, whatever the project's settings name.
    #[serde(rename = "ref")]
    pub reference: String,
    /// Whether that is the project's remote.
    pub agrees: bool,
}

/// The part of a bundle that a project takes part in.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ViewReport {
    /// Globs of the paths that are in it; where there are none, all paths are.
    pub include: Vec<String>,
    /// Globs of those that are not, whatever the others say.
    pub exclude: Vec<String>,
    /// Paths outside of it that the project tracks itself and has synced.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub own: Vec<String>,
}

//! The documents of `undo`.

use serde::{Deserialize, Serialize};

/// The document of `undo`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct UndoReport {
    /// The operations that are, or would be, taken back, newest first.
    pub undone: Vec<UndoneReport>,
    /// Paths that come back.
    pub written: Vec<String>,
    /// Paths that go.
    pub deleted: Vec<String>,
    /// Those paths of which the content that goes is kept.
    pub kept: Vec<String>,
    /// Paths that were edited since the operations left them.
    pub edited: Vec<String>,
    /// Paths of which older content is not kept any longer.
    pub expired: Vec<String>,
    /// HTTP requests made.
    pub requests: u64,
    /// Whether it was only looked at.
    pub dry_run: bool,
}

/// An operation that is taken back.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct UndoneReport {
    /// Its number.
    pub id: u64,
    /// What it was.
    pub command: String,
    /// When it was done.
    pub time: String,
}

/// The document of `undo --list`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct OperationsReport {
    /// Newest first.
    pub operations: Vec<OperationReport>,
}

/// One operation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct OperationReport {
    /// How many are taken back to take it back.
    pub number: usize,
    /// Its own number, which stays.
    pub id: u64,
    /// When it was done; `null` where that cannot be read, as all that follows.
    pub time: Option<String>,
    /// What it was.
    pub kind: Option<OperationKind>,
    /// The same in words.
    pub command: Option<String>,
    /// How many files it wrote.
    pub written: Option<usize>,
    /// How many files it deleted.
    pub deleted: Option<usize>,
    /// How many files it kept.
    pub kept: Option<usize>,
    /// How many bytes those have.
    pub kept_bytes: Option<u64>,
    /// Why it cannot be taken back; `null` where it can.
    pub fault: Option<String>,
}

/// What an operation was.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OperationKind {
    /// Files were tracked.
    Add,
    /// A bundle came from an archive.
    Import,
    /// A bundle came.
    Pull,
    /// Files were no longer tracked.
    Remove,
    /// Single files came.
    Restore,
    /// Operations were taken back.
    Undo,
}

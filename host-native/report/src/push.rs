//! The document of `push`.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use crate::{BlobsReport, SeenChange};

/// The document of `push`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PushReport {
    /// The project's remote, without a tag.
    #[serde(rename = "ref")]
    pub reference: String,
    /// The bundle's digest; absent on a dry run that would make a new one.
    pub digest: Option<String>,
    /// The index's digest; absent likewise.
    pub index: Option<String>,
    /// The tree digest of the bundle's files.
    pub tree: String,
    /// The tags that name, or would name, the bundle.
    pub tags: Vec<String>,
    /// With `--bump`, the version among `tags`: the one that is published, or that has this tree already.
    pub version: Option<String>,
    /// In which form the bundle's files lie, or would lie, in the repository: `files` or `packed`.
    pub layout: Cow<'static, str>,
    /// That of the bundle which it replaces; absent where there is none.
    pub layout_before: Option<Cow<'static, str>>,
    /// Whether anything was, or would be, written.
    pub changed: bool,
    /// What was, or would be, sent.
    pub uploaded: UploadedReport,
    /// What the registry took, or would take, from another repository of its own.
    pub mounted: BlobsReport,
    /// Paths of the bundle before that the new one does not have.
    pub deleted: Vec<String>,
    /// Paths of the bundle before that have other content in the new one.
    pub replaced: Vec<String>,
    /// Paths where it undoes what others did.
    pub overwritten: Vec<String>,
    /// What others did there.
    pub unseen: Vec<SeenChange>,
    /// HTTP requests made.
    pub requests: u64,
    /// Whether it was only looked at.
    pub dry_run: bool,
    /// Paths whose content is, or would be, sent.
    pub upload: Vec<String>,
}

/// What was, or on a dry run would be, sent of the project's files.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct UploadedReport {
    /// Files whose content was not there.
    pub files: usize,
    /// Blobs that were sent.
    pub blobs: u64,
    /// Their bytes.
    pub bytes: u64,
}

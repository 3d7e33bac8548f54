//! The document of `verify`.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

/// The document of `verify`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct VerifyReport {
    /// The bundle, as it was named.
    #[serde(rename = "ref")]
    pub reference: String,
    /// The bundle's digest; absent where its manifest cannot be read.
    pub digest: Option<String>,
    /// The tree digest of its files; absent where its index cannot be read.
    pub tree: Option<String>,
    /// Whether there is no fault.
    pub ok: bool,
    /// How much was read.
    pub checked: CheckedReport,
    /// Whatever is wrong.
    pub faults: Vec<FaultReport>,
    /// HTTP requests made.
    pub requests: u64,
}

/// How much was read and compared, whether or not it was right.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CheckedReport {
    /// Blobs, packs among them.
    pub blobs: u64,
    /// Packs.
    pub packs: u64,
    /// Chunks of packs.
    pub chunks: u64,
    /// Files.
    pub files: u64,
    /// Bytes of blobs.
    pub bytes: u64,
}

/// Something that is not as it should be.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FaultReport {
    /// `missing`, `damaged`, `manifest`, `index`, `tree`, `table`, `chunk` or `file`.
    pub kind: Cow<'static, str>,
    /// What it is about, such as `pack sha256:…`.
    pub what: String,
    /// What is wrong with it.
    pub message: String,
    /// The files that cannot be had because of it.
    pub paths: Vec<String>,
}

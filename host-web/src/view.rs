//! What a page is shown of a bundle: plain values, from which the TypeScript types of the package are generated.
//!
//! Texts are as they came. Whoever shows one must take it for text and nothing else, whatever it holds.

use serde::{Deserialize, Serialize};
use tsify::Tsify;

/// Whether something is what it was said to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Tsify)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// Nothing was said, so there is nothing to compare with.
    Undeclared,
    /// It is.
    Verified,
    /// It is not.
    Mismatch,
}

/// What a [`Check`] is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Tsify)]
#[serde(rename_all = "lowercase")]
pub enum Subject {
    /// The manifest's bytes, against the digest that the user asked for.
    Manifest,
    /// The index's bytes, against the manifest's config descriptor.
    Index,
    /// The tree digest of the index's files, against the manifest's annotation.
    Tree,
    /// The blobs of the index's files, against the manifest's layers.
    Layers,
}

/// One comparison and its outcome.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Tsify)]
#[serde(rename_all = "camelCase")]
pub struct Check {
    /// What was compared.
    pub subject: Subject,
    /// How it came out.
    pub verdict: Verdict,
    /// What was said.
    pub expected: Option<String>,
    /// What was found.
    pub actual: Option<String>,
    /// What is wrong, where two digests do not tell it.
    pub reason: Option<String>,
}

/// A bundle at a glance.
#[derive(Clone, Debug, PartialEq, Serialize, Tsify)]
#[serde(rename_all = "camelCase")]
pub struct Summary {
    /// The bundle's digest: the hash of the manifest's bytes.
    pub digest: String,
    /// The tree digest, computed from the index.
    pub tree: String,
    /// When the bundle was made.
    pub created: Option<String>,
    /// The version that it was published as.
    pub version: Option<String>,
    /// Name and version of the tool that wrote it.
    pub tool: Option<String>,
    /// In which form its files lie in their repository.
    pub layout: LayoutName,
    /// How many files it holds.
    pub file_count: u32,
    /// Their sizes in all, in bytes.
    pub total_size: f64,
    /// How many distinct blobs they need; an empty file needs none.
    pub blob_count: u32,
    /// The sizes of these blobs in all, in bytes.
    pub stored_size: f64,
    /// How many layers the manifest has.
    pub layer_count: u32,
    /// The groups of files that the index names, by name: each with its patterns.
    pub layers: Vec<Group>,
    /// The subsets of layers that the index names, by name: each with its layers.
    pub roles: Vec<Group>,
    /// The manifest's annotations, by key.
    pub annotations: Vec<Annotation>,
}

/// In which form a bundle's files lie in their repository.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Tsify)]
#[serde(rename_all = "lowercase")]
pub enum LayoutName {
    /// One blob a file.
    Files,
    /// Files cut into chunks, and chunks gathered in packs.
    Packed,
}

/// A named list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Tsify)]
pub struct Group {
    /// Its name.
    pub name: String,
    /// What it holds.
    pub members: Vec<String>,
}

/// One annotation of a manifest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Tsify)]
pub struct Annotation {
    /// Its key.
    pub key: String,
    /// Its value.
    pub value: String,
}

/// What is known of the bytes of something.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Tsify)]
#[serde(rename_all = "lowercase")]
pub enum Content {
    /// They have not been seen.
    Unseen,
    /// They are those that the index names.
    Verified,
    /// They are others.
    Mismatch,
}

/// One file of a bundle.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Tsify)]
pub struct Row {
    /// Where it lies.
    pub path: String,
    /// How many bytes it has.
    pub size: u64,
    /// The hash of its content.
    pub digest: String,
    /// Whether its owner may run it.
    pub executable: bool,
    /// The group that it belongs to.
    pub layer: Option<String>,
    /// What is known of its bytes.
    pub content: Content,
}

/// What [`Query`] orders the files by; files that are equal in it stay in the order of their paths.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Tsify)]
#[serde(rename_all = "lowercase")]
pub enum SortKey {
    /// Their paths' bytes.
    #[default]
    Path,
    /// Their sizes.
    Size,
    /// Their digests.
    Digest,
    /// Whether they may be run.
    Executable,
    /// The groups they belong to.
    Layer,
    /// What is known of their bytes.
    Content,
}

/// Asks for a part of the list of files.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Tsify)]
pub struct Query {
    /// Text that a file's path, layer or digest must hold, in upper or lower case; empty for every file.
    pub filter: String,
    /// What to order by.
    pub sort: SortKey,
    /// Whether to begin with the greatest.
    pub descending: bool,
    /// How many files to leave out before the first.
    pub first: u32,
    /// How many files to show at most.
    pub count: u32,
}

/// A part of the list of files.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Tsify)]
pub struct Rows {
    /// How many files there are that match the filter.
    pub matching: u32,
    /// Those asked for.
    pub rows: Vec<Row>,
}

/// How much is known of the bytes of files or packs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Tsify)]
pub struct ContentCounts {
    /// Those whose bytes have not been seen.
    pub unseen: u32,
    /// Those whose bytes are the ones that the index names.
    pub verified: u32,
    /// Those whose bytes are others.
    pub mismatch: u32,
}

/// How far a bundle is verified.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Tsify)]
#[serde(rename_all = "camelCase")]
pub struct Verification {
    /// The worst of everything: a mismatch where anything differs, unseen where anything was not checked.
    pub overall: Content,
    /// Its files.
    pub files: ContentCounts,
    /// Its packs; none in layout `files`.
    pub packs: ContentCounts,
    /// The names of the first packs that have not been seen.
    pub unseen_packs: Vec<String>,
}

/// A blob in which files lie.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Tsify)]
pub struct ContentBlob {
    /// The hash of its bytes.
    pub digest: String,
    /// How many there are.
    pub size: u64,
}

/// Some bytes of a pack.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Tsify)]
pub struct PackSlice {
    /// Which of the bundle's packs.
    pub pack: u32,
    /// The first byte.
    pub offset: u64,
    /// How many there are.
    pub size: u64,
}

/// What some bytes turned out to be. Undeclared: nothing of the bundle has their name or their digest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Tsify)]
pub struct FileCheck {
    /// What the bytes were called.
    pub name: String,
    /// How they compare.
    pub verdict: Verdict,
    /// The files that they were compared with.
    pub paths: Vec<String>,
    /// The packs that they were compared with.
    pub packs: Vec<u32>,
    /// What else of the bundle they were compared with, and what its packs are called.
    pub others: Vec<String>,
    /// Their hash.
    pub digest: String,
    /// How many there were.
    pub size: u64,
}

/// What must be known of a manifest before the bundle can be opened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Tsify)]
#[serde(rename_all = "camelCase")]
pub struct ManifestHead {
    /// The bundle's digest.
    pub digest: String,
    /// The digest of the index that it names.
    pub index_digest: String,
    /// Whether it carries that index.
    pub carries_index: bool,
}

/// What kind of document some bytes are, judged by their shape alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Tsify)]
#[serde(rename_all = "lowercase")]
pub enum DocumentKind {
    /// The manifest of an image or artifact.
    Manifest,
    /// A list of manifests: `index.json` of an OCI image layout.
    Layout,
    /// A bundle index.
    Index,
    /// Anything else.
    Other,
}

/// One manifest that an OCI image layout names.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Tsify)]
pub struct LayoutEntry {
    /// The digest of the manifest.
    pub digest: String,
    /// Its name.
    pub tag: Option<String>,
}

/// The greatest documents that are read, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Tsify)]
pub struct Limits {
    /// For a manifest, or the list of an OCI image layout.
    pub manifest: u32,
    /// For an index.
    pub index: u32,
}

//! What the core answers where the core crate has no type for it: views of documents, and refusals.
//!
//! They are those of the contract with typed paths and digests. A refusal holds what came from outside as it came;
//! its message shows it escaped.

use std::collections::BTreeMap;

use bundle_core::bundle::descriptor::{Annotations, Descriptor};
use bundle_core::bundle::foreign::Foreign;
use bundle_core::bundle::history::{Ancestor, History};
use bundle_core::bundle::layout::Layout;
use bundle_core::digest::Digest;
use bundle_core::file::{ByPath, File};
use bundle_core::pack::chunk_map::ChunkMap;
use bundle_core::plan::layout::Readers;
use thiserror::Error;

use super::CoreError;

/// A bundle's manifest, as far as it concerns a reader.
#[derive(Clone, Debug, PartialEq)]
pub struct ManifestView {
    /// The hash of the bytes that were read: the bundle's digest.
    pub digest: Digest,
    /// Its artifact type; the Python tool writes none.
    pub artifact_type: Option<String>,
    /// The index: fetch it, unless it came along.
    pub index: Descriptor,
    /// The index itself, where the manifest carries it; its digest and size were checked.
    pub index_data: Option<String>,
    /// Every blob that the bundle needs in its repository.
    pub layers: Vec<Descriptor>,
    /// What else is said of it, by key.
    pub annotations: Annotations,
    /// Which tools read the bundles of its place, as far as it says.
    pub readers: Readers,
    /// What the bundle was made from, as far as it says.
    pub history: History,
    /// The bundle as those that are made from it record it.
    pub as_ancestor: Ancestor,
}

/// A bundle's index, as far as it concerns a reader.
#[derive(Clone, Debug, PartialEq)]
pub struct IndexView {
    /// Version of the index format, `1.0` for layout `files`, `2.0` for layout `packed`.
    pub version: String,
    /// In which form the files lie in the repository.
    pub layout: Layout,
    /// The files, by path.
    pub files: ByPath<File>,
    /// In layout `packed`, where the chunks of each of them are.
    pub chunk_map: ChunkMap,
    /// Their tree digest.
    pub tree: Digest,
    /// Their sizes in all, in bytes.
    pub total_size: u64,
    /// Each layer's patterns, by its name.
    pub layers: BTreeMap<String, Vec<String>>,
    /// Each role's layers, by its name.
    pub roles: BTreeMap<String, Vec<String>>,
    /// Whether it says nothing beyond files that the next index would have to carry over.
    pub is_plain: bool,
}

/// A text from outside, and the rule that it breaks.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("`{}`: {reason}", text.escape_debug())]
pub struct Fault {
    /// The text, as it came.
    pub text: String,
    /// The rule, in words.
    pub reason: String,
}

/// The core cannot take a list of facts.
#[derive(Debug, Error)]
pub enum FactsError {
    /// The core failed.
    #[error(transparent)]
    Core(#[from] CoreError),
    /// A digest is not one.
    #[error("a file's digest cannot be taken")]
    Digest(#[source] Fault),
    /// One path would need another one, a file, to be a folder.
    #[error("`{}` is a file, and `{}` would need it to be a folder", folder.escape_debug(), below.escape_debug())]
    Nested {
        /// The file.
        folder: String,
        /// The path below it.
        below: String,
    },
    /// A reason that this version does not know.
    #[error("the core refuses the files: {}", .0.escape_debug())]
    Other(String),
    /// A path breaks a rule of the format.
    #[error("a path cannot be in a bundle")]
    Path(#[source] Fault),
    /// One list names a path twice.
    #[error("the path `{}` comes twice", path.escape_debug())]
    Repeated {
        /// The path.
        path: String,
    },
    /// A file is too large for its size to be written in JSON.
    #[error("the size of `{}` is greater than 2^53 - 1", path.escape_debug())]
    Size {
        /// The file.
        path: String,
    },
}

/// The core cannot take a manifest.
#[derive(Debug, Error)]
pub enum ManifestError {
    /// The core failed.
    #[error(transparent)]
    Core(#[from] CoreError),
    /// A field has another type or value than the image-spec allows.
    #[error("a field of the manifest cannot be taken")]
    Field(#[source] Fault),
    /// The index that it carries is not the one that it names.
    #[error("the index inside the manifest is not the one that the manifest names: {}", .0.escape_debug())]
    IndexData(String),
    /// It speaks of bundles, and is no JSON, or JSON that repeats a key or nests too deep.
    #[error("the manifest is no JSON that bundles take: {}", .0.escape_debug())]
    Json(String),
    /// It is the manifest of something else, which is no fault of it.
    #[error("it is not a bundle but {0}")]
    NotABundle(Foreign),
    /// A reason that this version does not know.
    #[error("the core refuses the manifest: {}", .0.escape_debug())]
    Other(String),
    /// It is larger than any that is read.
    #[error("the manifest has {size} bytes, more than any that is read")]
    TooLarge {
        /// Its size in bytes.
        size: u64,
    },
    /// A later tool's bundle.
    #[error("this version does not read bundles with an index of type `{}`", media_type.escape_debug())]
    Unsupported {
        /// The type of its config.
        media_type: String,
    },
}

/// The core cannot take an index.
#[derive(Debug, Error)]
pub enum IndexError {
    /// Its bytes in the repository cannot be decompressed.
    #[error("{}", .0.escape_debug())]
    Compression(String),
    /// Its bytes have another digest or size than its descriptor says.
    #[error("the index is not the one that the manifest names: {}", .0.escape_debug())]
    Content(String),
    /// The core failed.
    #[error(transparent)]
    Core(#[from] CoreError),
    /// A field has another type or value than the format allows.
    #[error("a field of the index cannot be taken")]
    Field(#[source] Fault),
    /// It is no JSON, or JSON that repeats a key or nests too deep.
    #[error("the index is no JSON that bundles take: {}", .0.escape_debug())]
    Json(String),
    /// One path would need another one, a file, to be a folder.
    #[error("`{}` is a file, and `{}` would need it to be a folder", folder.escape_debug(), below.escape_debug())]
    Nested {
        /// The file.
        folder: String,
        /// The path below it.
        below: String,
    },
    /// A file's blob, or a pack, is not among the manifest's layers, or with another size.
    #[error("the content of `{}` is not among the manifest's layers with the size that the index says", path.escape_debug())]
    NotInLayers {
        /// The file, or the pack's digest.
        path: String,
    },
    /// A reason that this version does not know.
    #[error("the core refuses the index: {}", .0.escape_debug())]
    Other(String),
    /// Something that it says of a pack, or of a file's chunks, cannot be true.
    #[error("what the index says of packs cannot be true")]
    Pack(#[source] Fault),
    /// A path breaks a rule of the format.
    #[error("a path of the index cannot be in a bundle")]
    Path(#[source] Fault),
    /// A file is stored in a way that this version does not read.
    #[error("a file of the index is stored in a way that this version does not read")]
    Storage(#[source] Fault),
    /// It is larger than any that is read.
    #[error("the index has {size} bytes, more than any that is read")]
    TooLarge {
        /// Its size in bytes.
        size: u64,
    },
    /// One digest comes with two sizes.
    #[error("the digest {} comes with two sizes", digest.escape_debug())]
    TwoSizes {
        /// The digest.
        digest: String,
    },
    /// A major version that this reader does not know.
    #[error("the index has version `{}`, which this version does not read", version.escape_debug())]
    Version {
        /// The version, as it came.
        version: String,
    },
}

/// The core cannot seal a bundle.
#[derive(Debug, Error)]
pub enum SealError {
    /// The core failed.
    #[error(transparent)]
    Core(#[from] CoreError),
    /// The clock was not given as an RFC 3339 time in UTC.
    #[error("the time of the bundle cannot be taken")]
    Created(#[source] Fault),
    /// The list of files cannot be taken.
    #[error(transparent)]
    Facts(FactsError),
    /// The manifest would be larger than registries take.
    #[error("the manifest would have {size} bytes, and registries stop at {limit}")]
    ManifestTooLarge {
        /// Its size in bytes.
        size: u64,
        /// The limit.
        limit: u64,
    },
    /// A reason that this version does not know.
    #[error("the core refuses to seal the bundle: {}", .0.escape_debug())]
    Other(String),
    /// What is said of a pack cannot be true.
    #[error("a pack of the bundle cannot be")]
    Pack(#[source] Fault),
    /// The index that is replaced cannot be read.
    #[error("the index of the bundle that is replaced cannot be read: {}", .0.escape_debug())]
    Replaces(String),
    /// Registries would refuse so many layers.
    #[error("it needs a layer for each of {layers} files or packs, and registries take {limit} safely")]
    TooManyLayers {
        /// How many it would need.
        layers: u64,
        /// The limit.
        limit: u64,
    },
}

/// A remote's answer to "give me this manifest" must not be used.
#[derive(Debug, Error)]
pub enum ResolveError {
    /// The core failed.
    #[error(transparent)]
    Core(#[from] CoreError),
    /// `Docker-Content-Digest` is no digest.
    #[error("the remote's digest `{}` is not one", text.escape_debug())]
    Declared {
        /// The header, as it came.
        text: String,
    },
    /// `Docker-Content-Digest` names other bytes than those that came.
    #[error("the remote says that the manifest is {expected}, but its bytes are {actual}")]
    DeclaredDiffers {
        /// What the header says.
        expected: Digest,
        /// The hash of the bytes.
        actual: Digest,
    },
    /// A reason that this version does not know.
    #[error("the core refuses the remote's answer: {}", .0.escape_debug())]
    Other(String),
    /// The bytes are not those that the reference pins.
    #[error("the reference names the manifest {expected}, but the remote sent {actual}")]
    PinnedDiffers {
        /// What the reference says.
        expected: Digest,
        /// The hash of the bytes.
        actual: Digest,
    },
}

/// The core names no next version.
#[derive(Debug, Error)]
pub enum VersionError {
    /// The core failed.
    #[error(transparent)]
    Core(#[from] CoreError),
    /// The number to be raised is the largest that there is.
    #[error("no version follows `{}`: a number of it is the largest that there is", highest.escape_debug())]
    Exhausted {
        /// The highest version.
        highest: String,
    },
    /// The highest version given is not a released version.
    #[error("the highest version cannot be taken")]
    Highest(#[source] Fault),
    /// A reason that this version does not know.
    #[error("the core names no next version: {}", .0.escape_debug())]
    Other(String),
    /// The changes are to say which one it is, and are not known.
    #[error("the files of the version `{}` are not known, so they cannot say what the next one is", highest.escape_debug())]
    Unknown {
        /// The highest version.
        highest: String,
    },
}

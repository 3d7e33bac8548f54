//! Opening a bundle, and telling its blobs: the one place where its documents are held against each other.
//!
//! [`open`] refuses documents that do not match; [`inspect`] opens them all the same, with the outcome of every check,
//! for a host that shows what is wrong. How the documents themselves are read is in `manifest.rs` and `index.rs`.

use thiserror::Error;

use crate::bundle::descriptor::{ContentId, Descriptor};
use crate::bundle::index::{BundleIndex, IndexError, check_layers};
use crate::bundle::manifest::{Manifest, ManifestError, annotation};
use crate::bundle::tree::tree_digest;
use crate::digest::Digest;

/// A bundle, as far as its documents are here.
#[derive(Clone, Debug, PartialEq)]
pub struct Opened {
    /// Its digest: the hash of the manifest's bytes.
    pub digest: Digest,
    /// Its manifest.
    pub manifest: Manifest,
    /// Its index, unless that is still needed.
    pub index: Option<BundleIndex>,
    /// The documents to come back with; empty once the bundle is open.
    pub still_needed: Vec<Descriptor>,
}

/// Opens a bundle from the exact bytes of its manifest and, unless the manifest carries it, of its index (`root`).
///
/// `pinned` is the digest in the reference, if it has one.
///
/// # Errors
///
/// Refuses documents that cannot be read or do not match: the manifest the pinned digest, the index the manifest's
/// config, or the manifest's layers what the index needs. A tree digest that the manifest declares is not compared.
pub fn open(manifest: &[u8], root: Option<&[u8]>, pinned: Option<Digest>) -> Result<Opened, OpenError> {
    let digest = Digest::of(manifest);
    check_pinned(digest, pinned).refuse()?;
    let (opened, found) = read(digest, manifest, root)?;
    if let Some((index, found)) = opened.index.as_ref().zip(found) {
        check_index(&opened.manifest, found).refuse()?;
        check_blobs(&opened.manifest, index).refuse()?;
    }
    Ok(opened)
}

/// Opens a bundle as [`open`] does, and says how its documents compare instead of refusing those that differ.
///
/// The checks of an index that is still needed are not among the outcomes.
///
/// # Errors
///
/// Refuses documents that cannot be read.
pub fn inspect(
    manifest: &[u8],
    root: Option<&[u8]>,
    pinned: Option<Digest>,
) -> Result<(Opened, Vec<Check>), OpenError> {
    let digest = Digest::of(manifest);
    let (opened, found) = read(digest, manifest, root)?;
    let mut checks = vec![Check { subject: Subject::Manifest, outcome: check_pinned(digest, pinned) }];
    if let Some((index, found)) = opened.index.as_ref().zip(found) {
        let manifest = &opened.manifest;
        checks.push(Check { subject: Subject::Index, outcome: check_index(manifest, found) });
        checks.push(Check { subject: Subject::Tree, outcome: check_tree(manifest, index) });
        checks.push(Check { subject: Subject::Layers, outcome: check_blobs(manifest, index) });
    }
    Ok((opened, checks))
}

/// Reads the documents that are here; with the index comes what its bytes are.
fn read(
    digest: Digest,
    manifest: &[u8],
    root: Option<&[u8]>,
) -> Result<(Opened, Option<ContentId>), OpenError> {
    let manifest = Manifest::parse(manifest)?;
    let embedded = manifest.embedded_index()?;
    let config = Descriptor { data: None, ..manifest.config.clone() };
    let Some(root) = root.or(embedded.as_deref()) else {
        return Ok((Opened { digest, manifest, index: None, still_needed: vec![config] }, None));
    };
    let found = ContentId::of(root);
    let text = BundleIndex::text(root, &config.media_type);
    let index = text.and_then(|text| BundleIndex::parse(text.as_bytes())).map_err(|source| {
        if config.content() == found {
            OpenError::Index(source)
        } else {
            OpenError::OtherIndex { expected: config.digest, source }
        }
    })?;
    Ok((Opened { digest, manifest, index: Some(index), still_needed: Vec::new() }, Some(found)))
}

/// What a [`Check`] is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subject {
    /// The manifest's bytes, against the digest in the reference.
    Manifest,
    /// The index's bytes, against the manifest's config.
    Index,
    /// The tree digest of the index's files, against the manifest's annotation.
    Tree,
    /// The blobs that the index needs, against the manifest's layers.
    Layers,
}

/// One comparison of a bundle's documents.
#[derive(Debug)]
pub struct Check {
    /// What was compared.
    pub subject: Subject,
    /// How it came out.
    pub outcome: Outcome,
}

/// How a [`Check`] came out.
#[derive(Debug)]
pub enum Outcome {
    /// There is nothing to compare with; the digest that was found.
    Undeclared(Digest),
    /// It is as declared; the digest, where the comparison is one of digests.
    Matches(Option<Digest>),
    /// It is not.
    Differs(OpenError),
}

impl Outcome {
    fn refuse(self) -> Result<(), OpenError> {
        match self {
            Self::Undeclared(_) | Self::Matches(_) => Ok(()),
            Self::Differs(error) => Err(error),
        }
    }
}

fn check_pinned(found: Digest, pinned: Option<Digest>) -> Outcome {
    match pinned {
        None => Outcome::Undeclared(found),
        Some(expected) if expected == found => Outcome::Matches(Some(found)),
        Some(expected) => Outcome::Differs(OpenError::PinnedDiffers { expected, found }),
    }
}

fn check_index(manifest: &Manifest, found: ContentId) -> Outcome {
    let expected = manifest.config.content();
    match expected == found {
        true => Outcome::Matches(Some(found.digest)),
        false => Outcome::Differs(OpenError::IndexDiffers { expected, found }),
    }
}

fn check_tree(manifest: &Manifest, index: &BundleIndex) -> Outcome {
    let found = tree_digest(&index.files());
    match manifest.annotations.get(annotation::TREE) {
        None => Outcome::Undeclared(found),
        Some(declared) if *declared == found.to_string() => Outcome::Matches(Some(found)),
        Some(declared) => Outcome::Differs(OpenError::TreeDiffers { expected: declared.clone(), found }),
    }
}

fn check_blobs(manifest: &Manifest, index: &BundleIndex) -> Outcome {
    match check_layers(index, &manifest.layers) {
        Ok(()) => Outcome::Matches(None),
        Err(source) => Outcome::Differs(OpenError::Layers(source)),
    }
}

/// What a blob is to a bundle.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Part {
    /// The manifest.
    Manifest,
    /// The index.
    Index,
    /// The content of a file, by its position among the index's entries.
    File(usize),
    /// A pack, by its position among the index's packs.
    Pack(usize),
    /// The table of a pack, by the pack's position.
    Table(usize),
}

/// Everything that a bundle names by digest.
///
/// One blob may be several parts: a file may be a copy of another one, or of a pack.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Parts {
    /// By digest, size and part.
    sorted: Vec<(Digest, u64, Part)>,
}

impl Parts {
    /// Gathers the parts of a bundle whose manifest has `manifest_size` bytes; those of an index that is still needed
    /// are not among them.
    pub fn of(opened: &Opened, manifest_size: u64) -> Self {
        let config = &opened.manifest.config;
        let mut sorted =
            vec![(opened.digest, manifest_size, Part::Manifest), (config.digest, config.size, Part::Index)];
        if let Some(index) = &opened.index {
            let files = index.entries.iter().enumerate();
            sorted.extend(files.map(|(at, entry)| (entry.file.digest, entry.file.size, Part::File(at))));
            for (at, pack) in index.packs.iter().enumerate() {
                sorted.push((pack.digest, pack.size, Part::Pack(at)));
                sorted.push((pack.toc.digest, pack.toc.size, Part::Table(at)));
            }
        }
        sorted.sort_unstable();
        Self { sorted }
    }

    /// What the blob with this digest and size is to the bundle; nothing where it is no part of it.
    pub fn told(&self, digest: Digest, size: u64) -> impl Iterator<Item = Part> {
        self.with_digest(digest).filter(move |(found, _)| *found == size).map(|(_, part)| part)
    }

    /// Everything that is said to have this digest, with the size that it is said to have.
    pub fn with_digest(&self, digest: Digest) -> impl Iterator<Item = (u64, Part)> {
        let first = self.sorted.partition_point(|(other, ..)| *other < digest);
        let rest = self.sorted.get(first..).unwrap_or_default();
        rest.iter().take_while(move |(other, ..)| *other == digest).map(|(_, size, part)| (*size, *part))
    }
}

/// Why a bundle cannot be opened, or what of it does not match.
#[derive(Debug, Error)]
pub enum OpenError {
    /// The index is the one that the manifest names, and cannot be read.
    #[error("the index cannot be read")]
    Index(#[source] IndexError),
    /// The index's bytes are not those that the manifest names.
    #[error(
        "the manifest names the index {} with {} bytes, and it is {} with {}",
        expected.digest, expected.size, found.digest, found.size
    )]
    IndexDiffers {
        /// What the manifest names.
        expected: ContentId,
        /// What the bytes are.
        found: ContentId,
    },
    /// The manifest's layers are not the blobs that the index needs.
    #[error("the manifest's layers are not what the index needs")]
    Layers(#[source] IndexError),
    /// The manifest cannot be read, or the index inside it is not the one that it names.
    #[error("the manifest cannot be read")]
    Manifest(#[from] ManifestError),
    /// The index is not the one that the manifest names, and cannot be read either.
    #[error("the index is not {expected}, which the manifest names, and cannot be read")]
    OtherIndex {
        /// The digest in the manifest.
        expected: Digest,
        /// What is wrong with it.
        source: IndexError,
    },
    /// The manifest is not the one that the reference pins.
    #[error("the reference names the manifest {expected}, and it is {found}")]
    PinnedDiffers {
        /// The digest in the reference.
        expected: Digest,
        /// The hash of the bytes.
        found: Digest,
    },
    /// The files of the index are not the tree that the manifest declares.
    #[error("the manifest declares the tree `{}`, and the index's files are {found}", expected.escape_default())]
    TreeDiffers {
        /// The annotation, as it came.
        expected: String,
        /// The tree digest of the index's files.
        found: Digest,
    },
}

#[cfg(test)]
mod tests;

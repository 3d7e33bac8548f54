//! Reads everything of a bundle and finds whatever is not as it should be.
//!
//! One fault does not end it: all of them are listed, with the files that suffer from them. How packs are read is in
//! `packs.rs`, how files are put together from their chunks, in bounded memory, in `contents.rs`.

mod contents;
mod packs;

use std::collections::BTreeMap;
use std::fmt;

use bundle_core::bundle::descriptor::Descriptor;
use bundle_core::bundle::layout::Layout;
use bundle_core::bundle::manifest::annotation;
use bundle_core::causes::with_causes;
use bundle_core::digest::Digest;
use bundle_core::name::path::BundlePath;
use bundle_core::plan::fetch::Disproportion;
use futures_util::future::BoxFuture;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use thiserror::Error;

use super::copy::read;
use crate::bundle::{Bundle, Context, OpenError, is_listed, open_index, open_manifest};
use crate::component::CoreError;
use crate::component::answers::{IndexError, ManifestError, ResolveError};
use crate::progress::Work;
use crate::remote::error::{ArchiveError, ArchiveFault, BlobError, LayoutError};
use crate::remote::{RemoteError, RemoteErrorKind, Version};
use crate::threads::ThreadError;

/// What was found when everything of a bundle was read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verification {
    /// The bundle's digest, where its manifest can be read.
    pub digest: Option<Digest>,
    /// The tree digest of its files, where its index can be read.
    pub tree: Option<Digest>,
    /// How much was read.
    pub checked: Checked,
    /// Whatever is not as it should be; nothing where all is well.
    pub faults: Vec<Fault>,
}

impl Verification {
    /// Whether everything is as it should be.
    pub fn is_good(&self) -> bool {
        self.faults.is_empty()
    }

    fn add(&mut self, more: Findings) {
        let Findings { checked, faults } = more;
        self.checked.blobs += checked.blobs;
        self.checked.packs += checked.packs;
        self.checked.chunks += checked.chunks;
        self.checked.files += checked.files;
        self.checked.bytes += checked.bytes;
        self.faults.extend(faults);
    }
}

/// How much was read and compared, whether or not it was right.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Checked {
    /// Blobs: packs, the index, and whatever else the manifest names.
    pub blobs: u64,
    /// Packs, which are among the blobs.
    pub packs: u64,
    /// Chunks in those.
    pub chunks: u64,
    /// Files whose content was compared with their digest.
    pub files: u64,
    /// The blobs' bytes that came.
    pub bytes: u64,
}

/// Something that is not as it should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Of what kind it is.
    pub kind: FaultKind,
    /// What it is about.
    pub what: String,
    /// What is wrong with it; holds text from elsewhere.
    pub message: String,
    /// The files that cannot be had because of it, sorted.
    pub paths: Vec<BundlePath>,
}

/// The kinds of faults.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FaultKind {
    /// A chunk is not the one that its pack's table says.
    Chunk,
    /// A blob or a document has another digest or size than it should.
    Damaged,
    /// The chunks of a file, each of them right, do not make the file.
    File,
    /// The index is the one that the manifest names, and cannot be taken.
    Index,
    /// The manifest cannot be taken.
    Manifest,
    /// A blob is not there.
    Missing,
    /// The table of a pack is not the one that the index names, or contradicts it.
    Table,
    /// The files are not those that the manifest's tree digest is of.
    Tree,
}

impl FaultKind {
    /// Its name, in lower case.
    pub fn name(self) -> &'static str {
        match self {
            Self::Chunk => "chunk",
            Self::Damaged => "damaged",
            Self::File => "file",
            Self::Index => "index",
            Self::Manifest => "manifest",
            Self::Missing => "missing",
            Self::Table => "table",
            Self::Tree => "tree",
        }
    }
}

impl Fault {
    fn of_blob(what: String, error: &RemoteError, paths: Vec<BundlePath>) -> Self {
        let kind = if is_missing(error) { FaultKind::Missing } else { FaultKind::Damaged };
        let message = without_subject(&with_causes(error), &what).to_owned();
        Self { kind, what, message, paths }
    }

    /// What the error that ended the opening of a document says about it; the error itself where that is no fault of
    /// the document.
    fn of_document(kind: FaultKind, what: String, error: OpenError) -> Result<Self, VerifyError> {
        match error {
            OpenError::Remote(error) => Ok(Self::of_blob(what, &damage(error)?, Vec::new())),
            error if is_damage(&error) => {
                Ok(Self { kind, what, message: with_causes(&error), paths: Vec::new() })
            }
            error => Err(error.into()),
        }
    }
}

/// A part of what was found.
#[derive(Debug, Default)]
struct Findings {
    checked: Checked,
    faults: Vec<Fault>,
}

/// Reads everything of the bundle that `version` names; `None` where there is none.
///
/// # Errors
///
/// Whatever hinders the reading itself, such as the network; what is wrong with the bundle is among the result's faults.
pub async fn verify(context: Context<'_>, version: &Version) -> Result<Option<Verification>, VerifyError> {
    let manifest = match open_manifest(context, version).await {
        Ok(Some(manifest)) => manifest,
        Ok(None) => return verify_lost(context, version).await,
        Err(error) => {
            let fault = Fault::of_document(FaultKind::Manifest, format!("manifest {version}"), error)?;
            return Ok(Some(Verification { faults: vec![fault], ..Verification::default() }));
        }
    };
    let (digest, view) = (manifest.digest, manifest.view.clone());
    match open_index(context, manifest).await {
        Ok(bundle) => {
            let verifying: BoxFuture<'_, _> = Box::pin(verify_bundle(context, Work::Download, &bundle));
            verifying.await.map(Some)
        }
        Err(error) => {
            let fault = Fault::of_document(FaultKind::Index, format!("index {}", view.index.digest), error)?;
            let mut found = Verification { digest: Some(digest), ..Verification::default() };
            found.faults.push(fault);
            // Which files the others are of is not known.
            let layers: BTreeMap<_, _> = view.layers.iter().map(|layer| (layer.digest, layer)).collect();
            context.progress.expect(Work::Download, layers.values().map(|layer| layer.size).sum());
            found.add(read_blobs(context, Work::Download, layers, None).await?);
            Ok(Some(found))
        }
    }
}

/// What is to be said of a name without a manifest: that it is lost, where the place still lists the name.
async fn verify_lost(context: Context<'_>, version: &Version) -> Result<Option<Verification>, VerifyError> {
    // Who may not look at the list sees no bundle of that name.
    if !is_listed(context.remote, version).await.unwrap_or_default() {
        return Ok(None);
    }
    let message = "it is listed, and is not there".to_owned();
    let what = format!("manifest {version}");
    let fault = Fault { kind: FaultKind::Missing, what, message, paths: Vec::new() };
    Ok(Some(Verification { faults: vec![fault], ..Verification::default() }))
}

/// Reads everything of a bundle whose documents are here, and counts that as `work`.
///
/// # Errors
///
/// As [`verify`].
pub async fn verify_bundle(
    context: Context<'_>,
    work: Work,
    bundle: &Bundle,
) -> Result<Verification, VerifyError> {
    bundle.check_claims(context.claims).map_err(VerifyError::Implausible)?;
    // What is remembered is not what lies there.
    let context = Context { cache: None, ..context };
    let (manifest, index) = (&bundle.manifest_view, &bundle.index_view);
    let mut found =
        Verification { digest: Some(bundle.digest), tree: Some(index.tree), ..Verification::default() };
    found.faults.extend(tree_fault(bundle));
    let blobs = manifest.layers.iter().chain([&manifest.index]);
    let mut blobs: BTreeMap<Digest, &Descriptor> = blobs.map(|blob| (blob.digest, blob)).collect();
    let packs = &index.chunk_map.packs;
    packs.iter().for_each(|pack| _ = blobs.remove(&pack.digest));
    let sizes = blobs.values().map(|blob| blob.size).chain(packs.iter().map(|pack| pack.size));
    context.progress.expect(work, sizes.sum());
    found.add(read_blobs(context, work, blobs, Some(bundle)).await?);
    match index.layout {
        // A file is its blob.
        Layout::Files => {
            let missing = found.faults.iter().filter(|fault| fault.kind == FaultKind::Missing);
            let missing: usize = missing.map(|fault| fault.paths.len()).sum();
            found.checked.files = index.files.len().saturating_sub(missing) as u64;
        }
        Layout::Packed => found.add(packs::verify_packs(context, work, bundle).await?),
    }
    Ok(found)
}

fn tree_fault(bundle: &Bundle) -> Option<Fault> {
    let actual = bundle.index_view.tree.to_string();
    // The Python tool writes none.
    let said = bundle.manifest_view.annotations.get(annotation::TREE).filter(|said| **said != actual)?;
    let message = format!("the manifest says `{}`, its files are {actual}", said.escape_debug());
    Some(Fault { kind: FaultKind::Tree, what: "tree digest".to_owned(), message, paths: Vec::new() })
}

/// Reads blobs to their end, several at a time; `bundle` says which files they are of.
async fn read_blobs(
    context: Context<'_>,
    work: Work,
    blobs: BTreeMap<Digest, &Descriptor>,
    bundle: Option<&Bundle>,
) -> Result<Findings, VerifyError> {
    let blobs: Vec<Descriptor> = blobs.into_values().cloned().collect();
    let read: Vec<(Descriptor, BlobRead)> = stream::iter(blobs)
        .map(async |blob: Descriptor| {
            let read = read_to_end(context, work, &blob).await?;
            context.progress.skip(work, blob.size.saturating_sub(read.bytes));
            Ok::<_, VerifyError>((blob, read))
        })
        .buffered(context.concurrency)
        .try_collect()
        .await?;
    let mut found = Findings::default();
    for (blob, BlobRead { bytes, fault }) in read {
        // What is not there was not checked.
        found.checked.blobs += u64::from(!fault.as_ref().is_some_and(is_missing));
        found.checked.bytes += bytes;
        let is_index = bundle.is_some_and(|bundle| bundle.manifest_view.index.digest == blob.digest);
        let name = format!("{} {}", if is_index { "index" } else { "blob" }, blob.digest);
        let files = bundle.into_iter().flat_map(Bundle::files);
        let affected = files.filter(|file| file.digest == blob.digest).map(|file| file.path.clone());
        found.faults.extend(fault.map(|error| Fault::of_blob(name, &error, affected.collect())));
    }
    Ok(found)
}

/// A blob that was read.
#[derive(Debug, Default)]
struct BlobRead {
    /// How many bytes of it came.
    bytes: u64,
    /// What is wrong with it.
    fault: Option<RemoteError>,
}

async fn read_to_end(context: Context<'_>, work: Work, blob: &Descriptor) -> Result<BlobRead, VerifyError> {
    let mut bytes = 0;
    let mut pieces = match read(context.remote, blob).await {
        Ok(pieces) => pieces,
        Err(error) => return Ok(BlobRead { bytes, fault: Some(damage(error)?) }),
    };
    while let Some(piece) = pieces.next().await {
        match piece {
            Ok(piece) => {
                bytes += piece.len() as u64;
                context.progress.advance(work, piece.len() as u64);
            }
            Err(error) => return Ok(BlobRead { bytes, fault: Some(damage(error)?) }),
        }
    }
    Ok(BlobRead { bytes, fault: None })
}

/// Passes on an error that tells of a blob's own fault.
fn damage(error: RemoteError) -> Result<RemoteError, VerifyError> {
    match error.kind() {
        RemoteErrorKind::Integrity => Ok(error),
        _ if is_missing(&error) => Ok(error),
        _ => Err(error.into()),
    }
}

/// Whether an error says that something is not there which is named elsewhere.
fn is_missing(error: &RemoteError) -> bool {
    match error {
        RemoteError::Archive(ArchiveError::Unreadable { source, .. }) => {
            matches!(source, ArchiveFault::Missing { .. })
        }
        error => matches!(
            error,
            RemoteError::Layout(LayoutError::LostManifest { .. }) | RemoteError::Missing { .. }
        ),
    }
}

/// Whether a bundle could not be opened because some of its documents are lost or damaged.
pub fn tells_damage(error: &OpenError) -> bool {
    match error {
        OpenError::Remote(error) => {
            is_missing(error)
                || matches!(error, RemoteError::Blob(BlobError::Digest { .. } | BlobError::Size { .. }))
        }
        error => is_damage(error),
    }
}

/// Whether a document is at fault, and neither this program nor what it knows of the format.
fn is_damage(error: &OpenError) -> bool {
    match error {
        OpenError::IndexText(_) => true,
        OpenError::Index(error) => {
            !matches!(error, IndexError::Core(_) | IndexError::Storage(_) | IndexError::Version { .. })
        }
        OpenError::Manifest(error) => !matches!(
            error,
            ManifestError::Core(_) | ManifestError::NotABundle(_) | ManifestError::Unsupported { .. }
        ),
        OpenError::NotABundle { .. } | OpenError::Remote(_) => false,
        OpenError::Resolve(error) => !matches!(error, ResolveError::Core(_)),
    }
}

/// What a message says of `what`, such as `blob sha256:…`, where it begins with that or with another noun for the same
/// digest: it is shown behind it.
fn without_subject<'a>(message: &'a str, what: &str) -> &'a str {
    let name = what.rsplit(' ').next().unwrap_or(what);
    match message.split_once(&format!("{name} ")) {
        Some((noun, rest)) if !noun.trim_end().contains(' ') => rest,
        _ => message,
    }
}

/// Why a bundle could not be verified, whatever it is like.
#[derive(Debug, Error)]
pub enum VerifyError {
    /// The core could not be asked.
    #[error(transparent)]
    Core(#[from] CoreError),
    /// What was named is no bundle, or none that this version reads.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The files are too large for what is stored of them: to read them could take days.
    #[error("the files claim to have {} bytes, and only {} are stored of them", .0.files, .0.stored)]
    Implausible(Disproportion),
    /// The remote failed.
    #[error(transparent)]
    Remote(#[from] RemoteError),
    /// A thread that was verifying has stopped.
    #[error("a verifying thread stopped")]
    Stopped,
    /// There is no thread to verify on.
    #[error("cannot verify")]
    Threads(#[from] ThreadError),
}

impl fmt::Display for FaultKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

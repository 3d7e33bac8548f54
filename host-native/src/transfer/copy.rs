//! Carries one bundle from a remote to another one or into an archive: every blob that its manifest names, then the
//! manifest itself.
//!
//! Only descriptors are looked at, so that it does not matter how the bundle lays out its files. Tags are not moved
//! here.

use std::collections::BTreeMap;
use std::sync::Arc;

use bundle_core::bundle::descriptor::{Descriptor, media_type};
use bundle_core::digest::Digest;
use bundle_core::name::reference::Tag;
use bytes::Bytes;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};

use super::Sending;
use crate::bundle::{Bundle, OpenedManifest};
use crate::component::answers::ManifestView;
use crate::output_file::OutputFile;
use crate::progress::{Progress, Work};
use crate::remote::archive::ArchiveWriter;
use crate::remote::{
    BlobSource, BlobStream, Condition, Remote, RemoteError, RemoteErrorKind, Stored, Version, read_blob,
    read_small_blob,
};

/// A blob of up to so many bytes is read ahead of its turn.
const READ_AHEAD_BYTES: u64 = 1 << 20;

/// What a bundle consists of where it lies.
#[derive(Clone, Debug)]
pub struct Parts {
    manifest: Descriptor,
    content: Bytes,
    blobs: BTreeMap<Digest, Descriptor>,
}

impl Parts {
    /// The parts of `bundle`: its manifest, and each blob that this names, one time.
    pub fn of(bundle: &Bundle) -> Self {
        Self::named(bundle.digest, &bundle.manifest, &bundle.manifest_view)
    }

    /// The same of a bundle of which only the manifest is here.
    pub fn of_manifest(manifest: &OpenedManifest) -> Self {
        let OpenedManifest { digest, bytes, view } = manifest;
        Self::named(*digest, bytes, view)
    }

    fn named(digest: Digest, content: &Bytes, view: &ManifestView) -> Self {
        Self {
            manifest: Descriptor::new(media_type::MANIFEST, digest, content.len() as u64),
            content: content.clone(),
            blobs: view.layers.iter().chain([&view.index]).map(|blob| (blob.digest, blob.clone())).collect(),
        }
    }

    /// The blobs that a reader asks for: some registries take no empty blob, and nobody will fetch it.
    pub(crate) fn needed_blobs(&self) -> impl Iterator<Item = &Descriptor> {
        self.blobs.values().filter(|blob| blob.size > 0)
    }

    /// Adds the blobs of another bundle.
    pub(crate) fn extend(&mut self, other: Self) {
        self.blobs.extend(other.blobs);
    }

    /// How many of the blobs `other` has too, and how many bytes those have.
    pub fn shared_with(&self, other: &Self) -> Copied {
        let shared = self.blobs.values().filter(|blob| other.blobs.contains_key(&blob.digest));
        shared.fold(Copied::default(), |sum, blob| sum.and(Copied::one(blob)))
    }

    /// How many blobs there are, and how many bytes they have; the manifest is not counted.
    pub fn sum(&self) -> Copied {
        self.blobs.values().fold(Copied::default(), |sum, blob| sum.and(Copied::one(blob)))
    }
}

/// Blobs that were carried, or would be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Copied {
    /// How many.
    pub blobs: u64,
    /// Their bytes.
    pub bytes: u64,
}

impl Copied {
    fn one(blob: &Descriptor) -> Self {
        Self { blobs: 1, bytes: blob.size }
    }

    pub(crate) fn and(self, other: Self) -> Self {
        Self { blobs: self.blobs + other.blobs, bytes: self.bytes + other.bytes }
    }
}

/// What came to a remote.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Carried {
    /// What was sent.
    pub sent: Copied,
    /// What the registry took from another repository of its own.
    pub mounted: Copied,
}

impl Carried {
    fn foreseen(blob: &Descriptor, stored: Stored) -> Self {
        match stored {
            Stored::Mounted => Self { mounted: Copied::one(blob), ..Self::default() },
            Stored::Sent => Self { sent: Copied::one(blob), ..Self::default() },
            Stored::WasThere => Self::default(),
        }
    }

    pub(crate) fn and(self, other: Self) -> Self {
        Self { sent: self.sent.and(other.sent), mounted: self.mounted.and(other.mounted) }
    }
}

/// What bringing `parts` to the remote `target` would come to.
pub async fn foresee(target: &dyn Remote, parts: &Parts, concurrency: usize) -> Result<Carried, RemoteError> {
    let blobs: Vec<Descriptor> = parts.blobs.values().cloned().collect();
    stream::iter(blobs)
        .map(async |blob: Descriptor| Ok(Carried::foreseen(&blob, target.foresee_blob(&blob).await?)))
        .buffer_unordered(concurrency)
        .try_fold(Carried::default(), async |sum, one| Ok(sum.and(one)))
        .await
}

/// Copies to `target` what it lacks of `parts`, and then the manifest, by its digest. Every byte is verified on its way.
///
/// # Errors
///
/// The first one ends it. What was copied by then stays on the target, where nothing refers to it yet.
pub async fn copy_to_remote(
    source: &Arc<dyn Remote>,
    target: &dyn Remote,
    parts: &Parts,
    concurrency: usize,
    progress: &Arc<dyn Progress>,
) -> Result<Carried, RemoteError> {
    progress.expect(Work::Upload, parts.blobs.values().map(|blob| blob.size).sum());
    let blobs: Vec<Descriptor> = parts.blobs.values().cloned().collect();
    let carried = stream::iter(blobs)
        .map(async |blob: Descriptor| copy_blob(source, target, &blob, progress).await)
        .buffer_unordered(concurrency)
        .try_fold(Carried::default(), async |sum, one| Ok(sum.and(one)))
        .await?;
    let version = Version::Digest(parts.manifest.digest);
    target.push_manifest(&version, media_type::MANIFEST, parts.content.clone(), Condition::Any).await?;
    Ok(carried)
}

async fn copy_blob(
    source: &Arc<dyn Remote>,
    target: &dyn Remote,
    blob: &Descriptor,
    progress: &Arc<dyn Progress>,
) -> Result<Carried, RemoteError> {
    let sending = Arc::new(Sending::new(progress));
    if target.has_blob(blob).await? {
        return Ok(sending.came_to(blob.size, Stored::WasThere));
    }
    let content = match blob.size {
        0 => BlobSource::bytes(Bytes::new()),
        _ => BlobSource::remote(Arc::clone(source)),
    };
    match target.push_blob(blob, content.counted_by(sending.clone())).await {
        // Some registries refuse an empty blob, and nobody will fetch it.
        Err(error) if blob.size == 0 && error.kind() == RemoteErrorKind::Other => Ok(Carried::default()),
        result => result.map(|stored| sending.came_to(blob.size, stored)),
    }
}

/// Writes `parts` to a new archive, the file `target`, in which `tag` names the bundle.
///
/// # Errors
///
/// The first one ends it; then nothing is left, and a file that was there is as it was.
pub async fn copy_to_archive(
    source: &dyn Remote,
    target: &OutputFile,
    tag: &Tag,
    parts: &Parts,
    concurrency: usize,
    progress: &Arc<dyn Progress>,
) -> Result<(), RemoteError> {
    progress.expect(Work::Download, parts.blobs.values().map(|blob| blob.size).sum());
    let Parts { manifest, content, blobs } = parts;
    let mut archive = ArchiveWriter::create(target.path(), tag, manifest, content).await?;
    let in_order = blobs.iter().chain([(&manifest.digest, manifest)]);
    let in_order: BTreeMap<Digest, Descriptor> =
        in_order.map(|(digest, blob)| (*digest, blob.clone())).collect();
    // An archive is written from its start to its end; what is small is fetched while others are written.
    let mut ahead = stream::iter(in_order.into_values())
        .map(async |blob: Descriptor| {
            let pieces = match blob.size {
                _ if blob.digest == manifest.digest => Some(whole(content.clone())),
                0 => None,
                1..=READ_AHEAD_BYTES => {
                    let content = read_small_blob(source, &blob, READ_AHEAD_BYTES).await?;
                    progress.advance(Work::Download, blob.size);
                    Some(whole(content))
                }
                _ => None,
            };
            Ok::<_, RemoteError>((blob, pieces))
        })
        .buffered(concurrency);
    while let Some((blob, pieces)) = ahead.try_next().await? {
        let pieces = match pieces {
            Some(pieces) => pieces,
            None => counted(read(source, &blob).await?, progress),
        };
        archive.blob(&blob, pieces).await?;
    }
    archive.finish().await
}

/// Streams a blob, verified. An empty one is known: some remotes do not keep it.
pub(super) async fn read(source: &dyn Remote, blob: &Descriptor) -> Result<BlobStream, RemoteError> {
    match (blob.size, blob.digest) {
        (0, Digest::EMPTY) => Ok(stream::empty().boxed()),
        _ => read_blob(source, blob).await,
    }
}

/// Tells how the stream gets on as it comes.
fn counted(pieces: BlobStream, progress: &Arc<dyn Progress>) -> BlobStream {
    let progress = Arc::clone(progress);
    pieces.inspect_ok(move |piece| progress.advance(Work::Download, piece.len() as u64)).boxed()
}

fn whole(content: Bytes) -> BlobStream {
    stream::once(async { Ok(content) }).boxed()
}

#[cfg(test)]
mod tests;

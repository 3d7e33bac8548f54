//! Brings the blobs of a push to the remote, several at a time, each streamed from its file.

use std::collections::BTreeSet;
use std::sync::Arc;

use bundle_core::bundle::descriptor::{Descriptor, media_type};
use bundle_core::digest::Digest;
use bundle_core::plan::push::Upload;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use thiserror::Error;

use super::{Carried, Sending};
use crate::bundle::Context;
use crate::progress::Work;
use crate::project::Project;
use crate::project::disk_path::to_disk;
use crate::remote::{BlobSource, RemoteError, Stored};

/// What came to the remote, and which contents of it were sent.
#[derive(Clone, Debug, Default)]
pub struct Sent {
    /// All of it.
    pub sum: Carried,
    /// The digests of the contents that were sent.
    pub contents: BTreeSet<Digest>,
}

/// Sends `blobs`, which are files of `project`; leaves out those that the remote turns out to have.
///
/// # Errors
///
/// The first one ends it. What was sent by then stays on the remote, where nothing refers to it yet.
pub async fn upload(context: Context<'_>, project: &Project, blobs: &[Upload]) -> Result<Sent, UploadError> {
    context.progress.expect(Work::Upload, blobs.iter().map(|blob| blob.size).sum());
    stream::iter(blobs.to_vec())
        .map(async |blob: Upload| Ok((blob.digest, upload_one(context, project, &blob).await?)))
        .buffer_unordered(context.concurrency)
        .try_fold(Sent::default(), async |mut sent, (digest, one)| {
            sent.sum = sent.sum.and(one);
            if one.sent.blobs > 0 {
                sent.contents.insert(digest);
            }
            Ok(sent)
        })
        .await
}

async fn upload_one(context: Context<'_>, project: &Project, blob: &Upload) -> Result<Carried, UploadError> {
    let fault = |source| UploadError { path: blob.path.to_string(), source };
    let descriptor = Descriptor::new(media_type::FILE_LAYER, blob.digest, blob.size);
    let sending = Arc::new(Sending::new(context.progress));
    if blob.ask_first && context.remote.has_blob(&descriptor).await.map_err(fault)? {
        return Ok(sending.came_to(blob.size, Stored::WasThere));
    }
    let source = BlobSource::file(to_disk(project.root(), &blob.path)).counted_by(sending.clone());
    let stored = context.remote.push_blob(&descriptor, source).await.map_err(fault)?;
    Ok(sending.came_to(blob.size, stored))
}

/// Why a file could not be sent.
#[derive(Debug, Error)]
#[error("cannot send `{path}`")]
pub struct UploadError {
    /// The file.
    pub path: String,
    /// What the remote says.
    pub source: RemoteError,
}

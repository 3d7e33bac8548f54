//! Reads files of a bundle into memory, several at a time, each verified.

use std::collections::BTreeMap;

use bundle_core::bundle::layout::Layout;
use bundle_core::digest::Digest;
use bundle_core::file::File;
use bytes::Bytes;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};

use super::DownloadError;
use super::download::{layer_of, layers_of};
use super::tables::load_tables;
use super::unpacking::{Assembled, packs_of, unpack_to_memory};
use crate::bundle::{Bundle, Context};
use crate::remote::error::BlobError;
use crate::remote::{RemoteError, read_small_blob};

/// The content of `files`, which are files of `bundle`, by its digest.
///
/// All of it is in memory at once: the caller chooses how much that is.
///
/// # Errors
///
/// Refuses a file of more than `limit` bytes before anything is asked for, and content that is not what the index says.
pub async fn read_files(
    context: Context<'_>,
    bundle: &Bundle,
    files: &[&File],
    limit: u64,
) -> Result<BTreeMap<Digest, Bytes>, DownloadError> {
    if let Some(file) = files.iter().find(|file| file.size > limit) {
        let source = RemoteError::Blob(BlobError::TooLarge { what: "its content".to_owned(), limit });
        return Err(DownloadError::Fetch { path: file.path.to_string(), source });
    }
    let wanted: BTreeMap<Digest, &File> = files.iter().map(|file| (file.digest, *file)).collect();
    // Nothing is stored of an empty file.
    let (empty, wanted): (Vec<&File>, Vec<&File>) = wanted.into_values().partition(|file| file.size == 0);
    let mut contents = match bundle.index_view.layout {
        Layout::Files => read_blobs(context, bundle, wanted, limit).await?,
        Layout::Packed => read_chunks(context, bundle, &wanted).await?,
    };
    contents.extend(empty.into_iter().map(|file| (file.digest, Bytes::new())));
    Ok(contents)
}

async fn read_blobs(
    context: Context<'_>,
    bundle: &Bundle,
    wanted: Vec<&File>,
    limit: u64,
) -> Result<BTreeMap<Digest, Bytes>, DownloadError> {
    let layers = &layers_of(bundle);
    stream::iter(wanted)
        .map(async |file| {
            let layer = layer_of(layers, file)?;
            let content = read_small_blob(context.remote, layer, limit).await;
            let fault = |source| DownloadError::Fetch { path: file.path.to_string(), source };
            Ok((file.digest, content.map_err(fault)?))
        })
        .buffer_unordered(context.concurrency)
        .try_collect()
        .await
}

async fn read_chunks(
    context: Context<'_>,
    bundle: &Bundle,
    wanted: &[&File],
) -> Result<BTreeMap<Digest, Bytes>, DownloadError> {
    let packs = &bundle.index_view.chunk_map.packs;
    let files: Result<Vec<Assembled<'_>>, DownloadError> =
        wanted.iter().map(|file| Assembled::of(bundle, &file.path)).collect();
    let files = files?;
    let tables = load_tables(context, packs, &packs_of(&files)).await?;
    let contents = unpack_to_memory(context, packs, &tables.tables, &files).await?;
    Ok(files.iter().map(|file| file.file.digest).zip(contents).collect())
}

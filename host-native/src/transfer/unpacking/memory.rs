//! Files that are put together in memory, for whoever wants to look at some small ones.

use bundle_core::digest::Digest;
use bundle_core::pack::table::{Pack, Table};
use bytes::Bytes;

use super::arrivals::{Arrivals, arrivals};
use super::wanted::Wanted;
use super::{Assembled, NamedBatch, fetch_all};
use crate::bundle::Context;
use crate::transfer::DownloadError;

/// The content of `files`, in their order, each verified. The caller has seen to it that their sizes are not too much.
pub(in crate::transfer) async fn unpack_to_memory(
    context: Context<'_>,
    packs: &[Pack],
    tables: &[Table],
    files: &[Assembled<'_>],
) -> Result<Vec<Bytes>, DownloadError> {
    let wanted = Wanted::of(files, tables)?;
    let mut contents: Vec<Vec<u8>> = files.iter().map(|file| vec![0; file.file.size as usize]).collect();
    let requests = wanted.by_pack();
    let (senders, arrivals) = arrivals(requests.len());
    let fetching = fetch_all(context, packs, tables, requests, senders);
    let (fetched, taken) = tokio::join!(fetching, take_all(&mut contents, &wanted, arrivals));
    // Where a frame could not be taken, fetching was only told to stop.
    taken.and(fetched)?;
    for (assembled, content) in files.iter().zip(&contents) {
        if Digest::of(content) != assembled.file.digest {
            return Err(DownloadError::content(assembled.file));
        }
    }
    Ok(contents.into_iter().map(Bytes::from).collect())
}

async fn take_all(
    contents: &mut [Vec<u8>],
    wanted: &Wanted,
    mut arrivals: Arrivals<NamedBatch<'_>>,
) -> Result<(), DownloadError> {
    while let Some(batch) = arrivals.next().await {
        for (content, chunk) in &batch.decode()?.chunks {
            wanted.for_destinations(*chunk, |place| {
                let start = place.offset as usize;
                // A chunk of another size than its table says makes another content, which shows at the end.
                let target = contents[place.file].get_mut(start..start + content.len());
                if let Some(target) = target {
                    target.copy_from_slice(content);
                }
                Ok::<_, DownloadError>(())
            })?;
        }
    }
    Ok(())
}

//! Puts files together from chunks: those that older files of the project still have, and those that packs have.
//!
//! What the packs have comes in batches of frames (`batch.rs`), each batch is decoded, written and hashed on all
//! processors (`target.rs`), while the next one comes. What lies between is bounded, whatever the size of the files.

mod arrivals;
pub(super) mod batch;
mod local;
mod memory;
mod settling;
pub(super) mod site;
mod target;
mod wanted;

use std::collections::BTreeSet;
use std::path::PathBuf;

use bundle_core::bundle::descriptor::{Descriptor, media_type};
use bundle_core::file::File;
use bundle_core::name::path::BundlePath;
use bundle_core::pack::table::{ChunkPosition, Pack, Run, Table};
use bundle_core::plan::fetch::ByteRange;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};

use self::arrivals::{Arrival, Arrivals, arrivals};
use self::batch::{Batch, Buffers, Gathering};
pub(super) use self::memory::unpack_to_memory;
use self::settling::settling;
use self::site::{Plot, Site};
use self::target::Targets;
use self::wanted::Wanted;
use super::tables::Tables;
use super::{DownloadError, Downloaded};
use crate::bundle::{Bundle, Context};
use crate::progress::Work;
use crate::remote::RemoteError;
use crate::remote::error::BlobError;
use crate::threads::{Bridge, start};

/// How many packs are read at the same time: files are hashed in their order, and what comes too early waits.
const PACKS_AT_ONCE: usize = 2;

/// A file that is put together, and the chunks that it is.
pub(super) struct Assembled<'a> {
    pub(super) file: &'a File,
    pub(super) runs: &'a [Run],
}

impl<'a> Assembled<'a> {
    /// The file at `path` of a bundle in layout `packed`.
    pub(super) fn of(bundle: &'a Bundle, path: &BundlePath) -> Result<Self, DownloadError> {
        let placed = || {
            let at = bundle.files().binary_search_by(|file| file.path.cmp(path)).ok()?;
            Some(Self { file: bundle.files().get(at)?, runs: bundle.index_view.chunk_map.runs(at)? })
        };
        placed().ok_or_else(|| DownloadError::NoPlace { path: path.to_string() })
    }
}

/// The packs that `files` have chunks in.
pub(super) fn packs_of(files: &[Assembled<'_>]) -> BTreeSet<u32> {
    files.iter().flat_map(|file| file.runs).map(|run| run.pack).collect()
}

/// An older file of the project that may share chunks with a new one.
pub(super) struct Older {
    pub(super) disk: PathBuf,
}

/// Files that were put together.
pub(super) struct Unpacked {
    /// Where they are, in their order.
    pub(super) plots: Vec<Plot>,
    /// Which of them something came for.
    pub(super) fetched: BTreeSet<usize>,
    /// What came.
    pub(super) downloaded: Downloaded,
}

/// Puts `files` together at `site`, each verified.
///
/// # Errors
///
/// The first one ends it.
pub(super) fn unpack(
    context: Context<'_>,
    bridge: &Bridge,
    site: &dyn Site,
    packs: &[Pack],
    tables: &Tables,
    files: &[Assembled<'_>],
    older: &[Older],
) -> Result<Unpacked, DownloadError> {
    let (settling, settler) = settling();
    let mut wanted = Wanted::of(files, &tables.tables)?;
    let targets = Targets::of(site, settling, files);
    local::take(older, &tables.tables, &mut wanted, &targets)?;
    let stored =
        |chunk: ChunkPosition| tables.tables[chunk.pack as usize].frames[chunk.chunk as usize].stored;
    context.progress.expect(Work::Download, wanted.chunks().map(|chunk| u64::from(stored(chunk))).sum());
    let (fetched, requests) = (wanted.files(), wanted.by_pack());
    let (senders, arrivals) = arrivals(requests.len());
    let (plots, downloaded) = std::thread::scope(|scope| {
        start(scope, "settle", || settler.run())?;
        let wanted = &wanted;
        let writing = start(scope, "unpack", move || {
            write_all(bridge, &targets, wanted, arrivals)?;
            targets.finish()
        })?;
        let fetching = fetch_all(context, packs, &tables.tables, requests, senders);
        let downloaded = bridge.wait(fetching);
        // Where writing failed, fetching was only told to stop; where fetching did, files lack something.
        match (writing.join().unwrap_or(Err(DownloadError::Stopped)), downloaded) {
            (Ok(plots), Ok(downloaded)) => Ok((plots, downloaded)),
            (_, Err(fault)) if !matches!(fault, DownloadError::Stopped) => Err(fault),
            (Err(fault), _) | (_, Err(fault)) => Err(fault),
        }
    })?;
    let downloaded = Downloaded { bytes: downloaded.bytes + tables.fetched, ..downloaded };
    Ok(Unpacked { plots, fetched, downloaded })
}

/// Frames, each with its chunk.
type NamedBatch<'a> = Batch<'a, ChunkPosition>;

fn write_all(
    bridge: &Bridge,
    targets: &Targets<'_>,
    wanted: &Wanted,
    mut arrivals: Arrivals<NamedBatch<'_>>,
) -> Result<(), DownloadError> {
    while let Some(batch) = bridge.wait(arrivals.next()) {
        // One way into the pool for all that is done with a batch.
        rayon::scope(|_| targets.write(&batch.decode()?, wanted))?;
    }
    Ok(())
}

/// Fetches what is wanted of several packs at a time; each has its own way to whoever takes it.
async fn fetch_all<'a>(
    context: Context<'_>,
    packs: &'a [Pack],
    tables: &'a [Table],
    requests: Vec<(u32, Vec<u32>)>,
    senders: Vec<Arrival<NamedBatch<'a>>>,
) -> Result<Downloaded, DownloadError> {
    let buffers = &Buffers::default();
    stream::iter(requests.into_iter().zip(senders))
        .map(async |((number, wanted), send)| {
            let (pack, table) = (&packs[number as usize], &tables[number as usize]);
            let bytes = fetch_pack(context, (number, pack), table, &wanted, buffers, &send).await?;
            Ok(Downloaded { files: 0, blobs: 1, bytes })
        })
        .buffer_unordered(context.concurrency.min(PACKS_AT_ONCE))
        .try_fold(Downloaded::default(), async |sum: Downloaded, one| {
            Ok(Downloaded { files: 0, blobs: sum.blobs + one.blobs, bytes: sum.bytes + one.bytes })
        })
        .await
}

/// Fetches the chunks that are wanted of a pack, in its order; says how many bytes came.
async fn fetch_pack<'a>(
    context: Context<'_>,
    (number, pack): (u32, &Pack),
    table: &'a Table,
    wanted: &[u32],
    buffers: &Buffers,
    send: &Arrival<NamedBatch<'a>>,
) -> Result<u64, DownloadError> {
    let fault = |source| DownloadError::Pack { pack: pack.digest, source };
    let named = |chunk: &u32| (&table.frames[*chunk as usize], ChunkPosition { pack: number, chunk: *chunk });
    let frames = wanted.iter().map(named);
    let spans: Vec<ByteRange> =
        frames.clone().map(|(frame, _)| ByteRange { start: frame.offset, end: frame.end() }).collect();
    let ranges = context.core.plan_ranges(&spans, context.remote.range_support())?;
    let descriptor = Descriptor::new(media_type::PACK, pack.digest, pack.size);
    let mut frames = frames.peekable();
    let mut received = 0;
    for range in ranges {
        let mut pieces =
            context.remote.blob_range_unverified(&descriptor, range.start..range.end).await.map_err(fault)?;
        let mut gathering = Gathering::new(range.start, buffers);
        while let Some(piece) = pieces.next().await {
            let piece = piece.map_err(fault)?;
            received += piece.len() as u64;
            context.progress.advance(Work::Download, piece.len() as u64);
            gathering.add(&piece);
            while let Some(batch) = gathering.batch(&mut frames) {
                send.send(batch).await.map_err(|_| DownloadError::Stopped)?;
            }
        }
        if let Some(batch) = gathering.rest(&mut frames) {
            send.send(batch).await.map_err(|_| DownloadError::Stopped)?;
        }
        // A folder's blob may end before its time.
        if frames.peek().is_some_and(|(frame, _)| frame.offset < range.end) {
            let what = format!("pack {}", pack.digest);
            return Err(fault(RemoteError::Blob(BlobError::Size {
                what,
                expected: range.end,
                actual: range.start + received,
            })));
        }
    }
    Ok(received)
}

//! The packs of a bundle, each read once as a whole: its digest, its table, its chunks, and the files that these are.
//!
//! Packs that share a file are read one after the other, so that the file can be hashed on the way; others at the same
//! time. What a file needs in another order than its packs have it is read once more, in parts.

use std::collections::{BTreeMap, BTreeSet};

use bundle_core::bundle::descriptor::{Descriptor, media_type};
use bundle_core::causes::with_causes;
use bundle_core::pack::chunk::ChunkHash;
use bundle_core::pack::chunk_map::ChunkMap;
use bundle_core::pack::table::{Pack, Table};
use bundle_core::plan::fetch::ByteRange;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use tokio::sync::mpsc;

use super::contents::{Contents, paths};
use super::{BlobRead, Fault, FaultKind, Findings, VerifyError, damage, is_missing};
use crate::bundle::{Bundle, Context};
use crate::progress::Work;
use crate::remote::error::BlobError;
use crate::remote::{RemoteError, read_blob};
use crate::threads::{engine, start};
use crate::transfer::tables::{TablesError, load_table};
use crate::transfer::unpacking::batch::{Batch, Buffers, Gathering};

/// How many packs are read at the same time; each holds some megabytes.
const PACKS_AT_ONCE: usize = 3;

/// How many batches may wait to be hashed.
const WAITING: usize = 1;

/// How many stretches of wrong chunks are named.
const NAMED_STRETCHES: usize = 10;

/// Frames of a pack as they come, each with its number.
struct Passage<'a> {
    pack: u32,
    batch: Batch<'a, u32>,
}

/// Reads every pack of a bundle in layout `packed`, and hashes its files.
pub(super) async fn verify_packs(
    context: Context<'_>,
    work: Work,
    bundle: &Bundle,
) -> Result<Findings, VerifyError> {
    let chunk_map = &bundle.index_view.chunk_map;
    let tables = read_tables(context, &chunk_map.packs).await?;
    let readable: Vec<bool> = tables.iter().map(Result::is_ok).collect();
    let mut contents = Contents::of(bundle.files(), chunk_map, &readable);
    let reads = pass_by(&mut contents, |send| read_all(context, work, chunk_map, &tables, send))?;
    let mut found = Findings::default();
    for (number, (pack, table)) in (0..).zip(chunk_map.packs.iter().zip(&tables)) {
        if table.is_ok() {
            found.checked.chunks += u64::from(contents.end_pack(number, pack.chunks));
        }
    }
    read_what_is_left(context, chunk_map, &tables, &mut contents).await?;
    for (number, (table, read)) in (0..).zip(tables.into_iter().zip(reads)) {
        // What is not there was not checked.
        let is_there = u64::from(!read.fault.as_ref().is_some_and(is_missing));
        found.checked.blobs += is_there;
        found.checked.packs += is_there;
        found.checked.bytes += read.bytes;
        found.faults.extend(pack_faults(bundle, &contents, number, table.err(), read.fault.as_ref()));
    }
    let (wrong, files) = contents.finished();
    found.checked.files += files;
    found.faults.extend(wrong);
    Ok(found)
}

/// The table of each pack, as it lies at the pack's end, or why it cannot be used.
async fn read_tables(
    context: Context<'_>,
    packs: &[Pack],
) -> Result<Vec<Result<Table, TablesError>>, VerifyError> {
    stream::iter(packs.to_vec())
        .map(async |pack: Pack| match load_table(context, &pack).await {
            Ok((table, _)) => Ok(Ok(table)),
            Err(TablesError::Fetch { pack, source }) => {
                Ok(Err(TablesError::Fetch { pack, source: damage(source)? }))
            }
            Err(refused) => Ok(Err(refused)),
        })
        .buffered(context.concurrency)
        .try_collect()
        .await
}

/// Decodes and hashes what `read` sends, while that goes on reading.
fn pass_by<'a, T, F: Future<Output = Result<T, VerifyError>>>(
    contents: &mut Contents<'_>,
    read: impl FnOnce(mpsc::Sender<Passage<'a>>) -> F,
) -> Result<T, VerifyError> {
    engine(|bridge| {
        let (send, mut receive) = mpsc::channel::<Passage<'a>>(WAITING);
        std::thread::scope(|scope| {
            let hashing = start(scope, "hash", move || {
                while let Some(Passage { pack, batch }) = receive.blocking_recv() {
                    let chunks = batch.map(|frame, chunk, content| {
                        (chunk, content.ok().filter(|content| ChunkHash::of(content) == frame.hash))
                    });
                    contents.take(pack, &chunks);
                }
            })?;
            let read = bridge.wait(read(send));
            let hashed = hashing.join().map_err(|_| VerifyError::Stopped);
            hashed.and(read)
        })
    })
}

/// Reads every pack as a whole; the results are in the order of the packs.
async fn read_all<'a>(
    context: Context<'_>,
    work: Work,
    chunk_map: &ChunkMap,
    tables: &'a [Result<Table, TablesError>],
    send: mpsc::Sender<Passage<'a>>,
) -> Result<Vec<BlobRead>, VerifyError> {
    let (send, buffers) = (&send, &Buffers::default());
    let reads: BTreeMap<u32, BlobRead> = stream::iter(chains(chunk_map))
        .map(async |chain| {
            let mut reads = Vec::with_capacity(chain.len());
            for number in chain {
                let (pack, table) = (&chunk_map.packs[number as usize], &tables[number as usize]);
                let table = table.as_ref().ok();
                let read = read_whole(context, work, (number, pack), table, buffers, send).await?;
                context.progress.skip(work, pack.size.saturating_sub(read.bytes));
                reads.push((number, read));
            }
            Ok::<_, VerifyError>(reads)
        })
        .buffer_unordered(context.concurrency.min(PACKS_AT_ONCE))
        .try_fold(BTreeMap::new(), async |mut all, reads| {
            all.extend(reads);
            Ok(all)
        })
        .await?;
    Ok(reads.into_values().collect())
}

/// The packs, those together that a file has chunks in.
fn chains(chunk_map: &ChunkMap) -> Vec<Vec<u32>> {
    /// The pack with the least number of a chain, given for each pack another one of it that is not greater.
    fn first(links: &[u32], mut pack: u32) -> u32 {
        while links[pack as usize] != pack {
            pack = links[pack as usize];
        }
        pack
    }
    let mut links: Vec<u32> = (0..chunk_map.packs.len() as u32).collect();
    for runs in (0..chunk_map.len()).filter_map(|at| chunk_map.runs(at)) {
        for pair in runs.windows(2).filter(|pair| pair[0].pack != pair[1].pack) {
            let (one, other) = (first(&links, pair[0].pack), first(&links, pair[1].pack));
            links[one.max(other) as usize] = one.min(other);
        }
    }
    let mut chains: BTreeMap<u32, Vec<u32>> = BTreeMap::new();
    for pack in 0..links.len() as u32 {
        chains.entry(first(&links, pack)).or_default().push(pack);
    }
    chains.into_values().collect()
}

/// Reads a pack to its end, whatever is wrong with it on the way.
async fn read_whole<'a>(
    context: Context<'_>,
    work: Work,
    (number, pack): (u32, &Pack),
    table: Option<&'a Table>,
    buffers: &Buffers,
    send: &mpsc::Sender<Passage<'a>>,
) -> Result<BlobRead, VerifyError> {
    let descriptor = Descriptor::new(media_type::PACK, pack.digest, pack.size);
    let mut read = BlobRead::default();
    let mut pieces = match read_blob(context.remote, &descriptor).await {
        Ok(pieces) => pieces,
        Err(error) => return Ok(BlobRead { fault: Some(damage(error)?), ..read }),
    };
    let mut frames = table.into_iter().flat_map(|table| table.frames.iter().zip(0..)).peekable();
    let mut gathering = Gathering::new(0, buffers);
    while let Some(piece) = pieces.next().await {
        let piece = match piece {
            Ok(piece) => piece,
            Err(error) => {
                read.fault = Some(damage(error)?);
                break;
            }
        };
        if table.is_some() {
            // What follows the frames is the table, which is here already.
            let room = usize::try_from(pack.toc.offset.saturating_sub(read.bytes)).unwrap_or(usize::MAX);
            gathering.add(piece.get(..room).unwrap_or(&piece));
        }
        read.bytes += piece.len() as u64;
        context.progress.advance(work, piece.len() as u64);
        while let Some(batch) = gathering.batch(&mut frames) {
            pass(send, number, batch).await?;
        }
    }
    if let Some(batch) = gathering.rest(&mut frames) {
        pass(send, number, batch).await?;
    }
    Ok(read)
}

async fn pass<'a>(
    send: &mpsc::Sender<Passage<'a>>,
    pack: u32,
    batch: Batch<'a, u32>,
) -> Result<(), VerifyError> {
    send.send(Passage { pack, batch }).await.map_err(|_| VerifyError::Stopped)
}

/// Reads parts of packs once more until every file is hashed to its end.
async fn read_what_is_left(
    context: Context<'_>,
    chunk_map: &ChunkMap,
    tables: &[Result<Table, TablesError>],
    contents: &mut Contents<'_>,
) -> Result<(), VerifyError> {
    loop {
        // Each round gives every file its next chunk at least: what is asked for comes, or fails.
        let wanted = contents.wanted();
        if wanted.is_empty() {
            return Ok(());
        }
        pass_by(contents, |send| read_parts(context, chunk_map, tables, wanted, send))?;
    }
}

async fn read_parts<'a>(
    context: Context<'_>,
    chunk_map: &ChunkMap,
    tables: &'a [Result<Table, TablesError>],
    wanted: BTreeMap<u32, BTreeSet<u32>>,
    send: mpsc::Sender<Passage<'a>>,
) -> Result<(), VerifyError> {
    let send = &send;
    stream::iter(wanted)
        .map(async |(number, chunks)| match &tables[number as usize] {
            Ok(table) => {
                read_part(context, number, &chunk_map.packs[number as usize], table, &chunks, send).await
            }
            // No file waits for a pack without a table.
            Err(_) => Err(VerifyError::Stopped),
        })
        .buffer_unordered(context.concurrency.min(PACKS_AT_ONCE))
        .try_collect()
        .await
}

async fn read_part<'a>(
    context: Context<'_>,
    number: u32,
    pack: &Pack,
    table: &'a Table,
    chunks: &BTreeSet<u32>,
    send: &mpsc::Sender<Passage<'a>>,
) -> Result<(), VerifyError> {
    let frames = chunks.iter().filter_map(|chunk| Some((table.frames.get(*chunk as usize)?, *chunk)));
    let spans: Vec<ByteRange> =
        frames.clone().map(|(frame, _)| ByteRange { start: frame.offset, end: frame.end() }).collect();
    let ranges = context.core.plan_ranges(&spans, context.remote.range_support())?;
    let descriptor = Descriptor::new(media_type::PACK, pack.digest, pack.size);
    let mut frames = frames.peekable();
    let buffers = &Buffers::default();
    for range in ranges {
        let mut pieces = context.remote.blob_range_unverified(&descriptor, range.start..range.end).await?;
        let mut gathering = Gathering::new(range.start, buffers);
        while let Some(piece) = pieces.next().await {
            gathering.add(&piece?);
            while let Some(batch) = gathering.batch(&mut frames) {
                pass(send, number, batch).await?;
            }
        }
        if let Some(batch) = gathering.rest(&mut frames) {
            pass(send, number, batch).await?;
        }
    }
    Ok(())
}

/// What is wrong with a pack, given what was wrong with its table and with the whole.
fn pack_faults(
    bundle: &Bundle,
    contents: &Contents<'_>,
    number: u32,
    table: Option<TablesError>,
    whole: Option<&RemoteError>,
) -> Vec<Fault> {
    let chunk_map = &bundle.index_view.chunk_map;
    let pack = &chunk_map.packs[number as usize];
    let spoilt = match &table {
        Some(_) => paths(bundle.files(), chunk_map, |run| run.pack == number),
        None => contents.spoilt(number),
    };
    let mut faults = Vec::new();
    if let Some(error) = whole {
        faults.push(Fault::of_blob(format!("pack {}", pack.digest), error, spoilt.clone()));
    }
    let bad = contents.bad_chunks(number);
    if !bad.is_empty() {
        let what = format!("{} of the pack {}", stretches(&bad), pack.digest);
        let message =
            format!("its content is not what the table of the pack names, which has {} chunks", pack.chunks);
        faults.push(Fault { kind: FaultKind::Chunk, what, message, paths: spoilt.clone() });
    }
    if let Some(error) = table.filter(|error| !is_said(error, whole)) {
        let (what, message) = (format!("table of the pack {}", pack.digest), with_causes(&error));
        faults.push(Fault { kind: FaultKind::Table, what, message, paths: spoilt });
    }
    faults
}

/// Whether what is wrong with the whole pack says already why its table is not there.
fn is_said(table: &TablesError, whole: Option<&RemoteError>) -> bool {
    match (table, whole) {
        (
            TablesError::Fetch { source: RemoteError::Blob(BlobError::Digest { .. }), .. }
            | TablesError::Refused { .. },
            _,
        ) => false,
        (TablesError::Fetch { source, .. }, Some(whole)) => is_missing(source) == is_missing(whole),
        (TablesError::Fetch { .. }, None) => false,
    }
}

/// Names sorted numbers, consecutive ones together.
fn stretches(chunks: &[u32]) -> String {
    let mut stretches: Vec<(u32, u32)> = Vec::new();
    for chunk in chunks {
        match stretches.last_mut() {
            Some((_, last)) if *last + 1 == *chunk => *last = *chunk,
            _ => stretches.push((*chunk, *chunk)),
        }
    }
    let name = |(first, last): &(u32, u32)| match first == last {
        true => first.to_string(),
        false => format!("{first}-{last}"),
    };
    let mut names: Vec<String> = stretches.iter().take(NAMED_STRETCHES).map(name).collect();
    if stretches.len() > NAMED_STRETCHES {
        names.push("…".to_owned());
    }
    format!("{} {}", if chunks.len() == 1 { "chunk" } else { "chunks" }, names.join(", "))
}

#[cfg(test)]
mod tests {
    use bundle_core::digest::Digest;
    use bundle_core::pack::table::{Run, TableRef};

    use super::*;

    #[test]
    fn packs_that_share_a_file_are_read_in_order() {
        let toc = TableRef { offset: 1, size: 1, digest: Digest::EMPTY };
        let pack = Pack { digest: Digest::EMPTY, size: 2, chunks: 1, raw: 1, toc };
        let mut chunk_map = ChunkMap::new(vec![pack; 6]);
        let run = |pack| Run { pack, first: 0, count: 1 };
        for packs in [&[0][..], &[5, 2], &[1, 4], &[], &[4, 5]] {
            chunk_map.push(&packs.iter().copied().map(run).collect::<Vec<_>>());
        }
        assert_eq!(chains(&chunk_map), [vec![0], vec![1, 2, 4, 5], vec![3]]);
    }

    #[test]
    fn chunks_are_named_together() {
        assert_eq!(stretches(&[4]), "chunk 4");
        assert_eq!(stretches(&[1, 2, 3, 7, 9, 10]), "chunks 1-3, 7, 9-10");
        let every_other: Vec<u32> = (0..40).map(|at| 2 * at).collect();
        assert_eq!(stretches(&every_other), "chunks 0, 2, 4, 6, 8, 10, 12, 14, 16, 18, …");
    }
}

//! What a pull would bring, without bringing it: what a dry run says.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Read as _};
use std::path::Path;

use bundle_core::bundle::layout::Layout;
use bundle_core::digest::Digest;
use bundle_core::pack::chunk::{ChunkHash, Chunker, Rest};
use bundle_core::pack::table::Frame;
use bundle_core::pack::write::SEGMENT_BYTES;
use bundle_core::plan::fetch::ByteRange;
use bundle_core::plan::pull::PullPlan;
use rayon::prelude::*;

use super::download::{Wanted, older_files, size_of};
use super::room::check_room;
use super::tables::{Tables, look_at_tables};
use super::unpacking::{Assembled, Older, packs_of};
use super::{DownloadError, Downloaded};
use crate::bundle::{Bundle, Context};
use crate::project::Project;
use crate::scan::open_found;
use crate::threads::engine;

/// What carrying out `plan` would bring, to a folder that is on the disk of `disk`. In layout `packed`, asks for tables of packs, keeps none of them, and reads the older
/// files of the project that have chunks of what would come.
///
/// # Errors
///
/// Where a table cannot be had, or where carrying it out would be refused before anything comes.
pub async fn forecast(
    context: Context<'_>,
    project: &Project,
    disk: &Path,
    bundle: &Bundle,
    plan: &PullPlan,
) -> Result<Downloaded, DownloadError> {
    bundle.check_claims(context.claims)?;
    let here: BTreeSet<Digest> =
        plan.sources.iter().filter(|source| source.local.is_some()).map(|source| source.digest).collect();
    let wanted = Wanted::by_digest(plan, bundle.files());
    check_room(disk, size_of(&wanted), context.claims)?;
    let absent: Vec<Vec<Wanted<'_>>> = wanted
        .into_iter()
        .filter(|(digest, files)| !here.contains(digest) && files.iter().any(|wanted| wanted.file.size > 0))
        .map(|(_, files)| files)
        .collect();
    if bundle.index_view.layout == Layout::Files {
        let files = absent.iter().map(|files| files.len() as u64).sum();
        let bytes = absent.iter().filter_map(|files| files.first()).map(|first| first.file.size).sum();
        return Ok(Downloaded { files, blobs: absent.len() as u64, bytes });
    }
    of_chunks(context, project, bundle, plan, &absent).await
}

async fn of_chunks(
    context: Context<'_>,
    project: &Project,
    bundle: &Bundle,
    plan: &PullPlan,
    absent: &[Vec<Wanted<'_>>],
) -> Result<Downloaded, DownloadError> {
    let firsts = absent.iter().filter_map(|files| files.first());
    let files: Result<Vec<Assembled<'_>>, DownloadError> =
        firsts.map(|wanted| Assembled::of(bundle, &wanted.file.path)).collect();
    let files = files?;
    let tables = look_at_tables(context, &bundle.index_view.chunk_map.packs, &packs_of(&files)).await?;
    let held = engine(|_| Ok::<_, DownloadError>(chunks_of(&older_files(project, plan, &files))))?;
    // By pack, in the order of the chunks in it.
    let mut lacking: BTreeMap<u32, BTreeSet<u32>> = BTreeMap::new();
    let mut sum = Downloaded { bytes: tables.fetched, ..Downloaded::default() };
    for (file, same) in files.iter().zip(absent) {
        let mut is_fetched = false;
        for run in file.runs {
            for chunk in run.first..run.first.saturating_add(run.count) {
                let hash =
                    frame_of(&tables, run.pack, chunk).ok_or_else(|| DownloadError::content(file.file))?.hash;
                if !held.contains(&hash) {
                    lacking.entry(run.pack).or_default().insert(chunk);
                    is_fetched = true;
                }
            }
        }
        sum.files += if is_fetched { same.len() as u64 } else { 0 };
    }
    for (pack, chunks) in lacking {
        // Each was found above.
        let frames = chunks.iter().filter_map(|chunk| frame_of(&tables, pack, *chunk));
        let spans: Vec<ByteRange> =
            frames.map(|frame| ByteRange { start: frame.offset, end: frame.end() }).collect();
        let ranges = context.core.plan_ranges(&spans, context.remote.range_support())?;
        sum.blobs += 1;
        sum.bytes += ranges.iter().map(|range| range.end - range.start).sum::<u64>();
    }
    Ok(sum)
}

fn frame_of(tables: &Tables, pack: u32, chunk: u32) -> Option<&Frame> {
    tables.tables.get(pack as usize)?.frames.get(chunk as usize)
}

/// The chunks that files of the project have; one that cannot be read has none.
fn chunks_of(older: &[Older]) -> BTreeSet<ChunkHash> {
    let mut chunks = BTreeSet::new();
    for file in older {
        if let Err(error) = add_chunks(file, &mut chunks) {
            tracing::debug!(file = %file.disk.display(), %error, "an older file cannot be read");
        }
    }
    chunks
}

fn add_chunks(file: &Older, chunks: &mut BTreeSet<ChunkHash>) -> io::Result<()> {
    let mut input = open_found(&file.disk)?;
    let (chunker, mut content) = (Chunker::new(), Vec::new());
    loop {
        let length = input.by_ref().take(SEGMENT_BYTES as u64).read_to_end(&mut content)?;
        let rest = if length < SEGMENT_BYTES { Rest::Whole } else { Rest::Part };
        let mut end = 0;
        let mut pieces = Vec::new();
        for length in chunker.lengths(&content, rest) {
            pieces.push(&content[end..end + length]);
            end += length;
        }
        chunks.par_extend(pieces.par_iter().map(|piece| ChunkHash::of(piece)));
        content.drain(..end);
        if rest == Rest::Whole {
            return Ok(());
        }
    }
}

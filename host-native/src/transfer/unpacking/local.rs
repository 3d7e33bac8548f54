//! Chunks that the project has already: in older versions of the files that come, or in files that go.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::io::{self, Read as _};

use bundle_core::pack::chunk::{ChunkHash, Chunker, Rest};
use bundle_core::pack::table::{ChunkPosition, Table};
use bundle_core::pack::write::SEGMENT_BYTES;
use rayon::prelude::*;

use super::Older;
use super::batch::Chunks;
use super::target::Targets;
use super::wanted::Wanted;
use crate::scan::open_found;
use crate::transfer::DownloadError;

/// Reads the older files, writes every chunk of theirs that is wanted, and takes it off the list.
///
/// A file that cannot be read, or is not what it was, only has fewer chunks to give: each is known by its hash.
pub(super) fn take(
    older: &[Older],
    tables: &[Table],
    wanted: &mut Wanted,
    targets: &Targets<'_>,
) -> Result<(), DownloadError> {
    if older.is_empty() || wanted.is_empty() {
        return Ok(());
    }
    let hash = |place: ChunkPosition| tables[place.pack as usize].frames[place.chunk as usize].hash;
    let mut places: Vec<(ChunkHash, ChunkPosition)> =
        wanted.chunks().map(|place| (hash(place), place)).collect();
    places.sort_unstable();
    let mut given = BTreeSet::new();
    for file in older {
        if given.len() == places.len() {
            break;
        }
        let read = take_from(file, &places, wanted, &mut given, targets)?;
        if let Err(error) = read {
            tracing::debug!(file = %file.disk.display(), %error, "an older file cannot be read");
        }
    }
    wanted.remove(given);
    Ok(())
}

/// Reads one file, and adds what it gave to `given`. The inner failure is one of reading it, the outer one of writing what
/// it gave.
fn take_from(
    file: &Older,
    places: &[(ChunkHash, ChunkPosition)],
    wanted: &Wanted,
    given: &mut BTreeSet<ChunkPosition>,
    targets: &Targets<'_>,
) -> Result<io::Result<()>, DownloadError> {
    let mut input = match open_found(&file.disk) {
        Ok(input) => input,
        Err(error) => return Ok(Err(error)),
    };
    let (chunker, mut content) = (Chunker::new(), Vec::new());
    loop {
        let read = input.by_ref().take(SEGMENT_BYTES as u64).read_to_end(&mut content);
        let rest = match read {
            Ok(length) if length < SEGMENT_BYTES => Rest::Whole,
            Ok(_) => Rest::Part,
            Err(error) => return Ok(Err(error)),
        };
        let mut end = 0;
        let mut pieces = Vec::new();
        for length in chunker.lengths(&content, rest) {
            pieces.push(&content[end..end + length]);
            end += length;
        }
        let hashes: Vec<ChunkHash> = pieces.par_iter().map(|piece| ChunkHash::of(piece)).collect();
        let mut found: Vec<(Cow<'_, [u8]>, ChunkPosition)> = Vec::new();
        for (piece, hash) in pieces.into_iter().zip(hashes) {
            let start = places.partition_point(|(wanted, _)| *wanted < hash);
            let same = places.iter().skip(start).take_while(|(wanted, _)| *wanted == hash);
            // An older file may have a chunk several times.
            for (_, place) in same.filter(|(_, place)| given.insert(*place)) {
                found.push((Cow::Borrowed(piece), *place));
            }
        }
        targets.write(&Chunks { chunks: found }, wanted)?;
        content.drain(..end);
        if rest == Rest::Whole {
            return Ok(Ok(()));
        }
    }
}

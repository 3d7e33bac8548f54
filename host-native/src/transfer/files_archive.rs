//! Writes the files of a bundle to a plain tar: the same bytes for the same files, whatever the layout and the place.
//!
//! How large each file is says where each header and each content goes, before any of it is here. So files are written
//! in the order in which they come, several at a time, straight to their place in the archive, and verified as in a pull.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, BufRead as _, Read as _};
use std::path::{Path, PathBuf};

use bundle_core::bundle::descriptor::Descriptor;
use bundle_core::bundle::layout::Layout;
use bundle_core::digest::{Digest, Hasher};
use bundle_core::file::File;
use bundle_core::pack::chunk_map::ChunkMap;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use thiserror::Error;

use super::DownloadError;
use super::download::{layer_of, layers_of};
use super::positioned::write_at;
use super::room::check_room;
use super::tables::load_tables;
use super::unpacking::site::{Plot, Site};
use super::unpacking::{Assembled, packs_of, unpack};
use crate::bundle::{Bundle, Context};
use crate::output_file::{Existing, OutputFile};
use crate::progress::Work;
use crate::remote::archive::header::{END, EXECUTABLE_MODE, PLAIN_MODE, headers, padding};
use crate::remote::disk::{check_folder, new_file, put_in_place};
use crate::remote::{RemoteError, read_blob};
use crate::threads::{engine, on_disk_here};

/// How much of an archive that is there is read at a time.
const PIECE_BYTES: usize = 256 << 10;

/// Writes the files of `bundle` to the new archive `target`, by path.
///
/// # Errors
///
/// The first one ends it; then nothing is left, and a file that was there is as it was.
pub async fn export_files(
    context: Context<'_>,
    bundle: &Bundle,
    output: &OutputFile,
    existing: Existing,
) -> Result<(), ExportError> {
    match foresee_export(context, bundle, output, existing)? {
        ExportTarget::HasIt => return Ok(()),
        ExportTarget::Free => {}
    }
    let archive = new_file(output.folder())?;
    let target = output.path();
    let fault = |source| DownloadError::Staging { folder: target.to_owned(), source };
    let starts = on_disk_here(|| write_headers(archive.as_file(), bundle.files())).map_err(fault)?;
    let mut entries: Vec<Entry<'_>> = Vec::new();
    for (at, (file, start)) in bundle.files().iter().zip(starts).enumerate() {
        match file.size {
            0 if file.digest == Digest::EMPTY => {}
            0 => return Err(DownloadError::content(file).into()),
            _ => entries.push(Entry { at, file, start }),
        }
    }
    match bundle.index_view.layout {
        Layout::Files => write_blobs(context, bundle, &entries, archive.as_file(), target).await?,
        Layout::Packed => {
            let site = Entries { entries: &entries, archive: archive.path(), target };
            write_chunks(context, bundle, &site).await?;
        }
    }
    Ok(on_disk_here(|| put_in_place(archive, target))?)
}

/// What lies where an archive is to be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExportTarget {
    /// Nothing, or what may be replaced.
    Free,
    /// The very bytes that would be written.
    HasIt,
}

/// Finds out whether the files of `bundle` could be written to `output`, as far as can be told ahead; fetches and writes
/// nothing.
pub fn foresee_export(
    context: Context<'_>,
    bundle: &Bundle,
    output: &OutputFile,
    existing: Existing,
) -> Result<ExportTarget, ExportError> {
    bundle.check_claims(context.claims).map_err(DownloadError::from)?;
    let path = output.path();
    if output.is_kept(existing) {
        let fault = |source| DownloadError::Staging { folder: path.to_owned(), source };
        return match on_disk_here(|| is_archive_of(path, bundle.files())).map_err(fault)? {
            true => Ok(ExportTarget::HasIt),
            false => Err(ExportError::Exists { path: path.to_owned() }),
        };
    }
    let sizes = bundle.files().iter().map(|file| file.size);
    check_room(output.folder(), sizes.fold(0, u64::saturating_add), context.claims)?;
    check_folder(output.folder())?;
    Ok(ExportTarget::Free)
}

/// Whether the file at `path` has the bytes of an archive of `files`; it is read once, as far as that is so.
fn is_archive_of(path: &Path, files: &[File]) -> io::Result<bool> {
    let mut archive = io::BufReader::with_capacity(PIECE_BYTES, fs::File::open(path)?);
    for file in files {
        if !goes_on_with(&mut archive, &headers_of(file)?)?
            || digest_of((&mut archive).take(file.size))? != file.digest
            || !goes_on_with(&mut archive, padding(file.size))?
        {
            return Ok(false);
        }
    }
    Ok(goes_on_with(&mut archive, &END)? && archive.fill_buf()?.is_empty())
}

fn goes_on_with(archive: &mut impl io::Read, expected: &[u8]) -> io::Result<bool> {
    let mut found = vec![0; expected.len()];
    match archive.read_exact(&mut found) {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
        read => read.map(|()| found == expected),
    }
}

fn digest_of(mut content: impl io::BufRead) -> io::Result<Digest> {
    let mut hasher = Hasher::new();
    loop {
        let piece = content.fill_buf()?;
        if piece.is_empty() {
            return Ok(hasher.finish());
        }
        hasher.update(piece);
        let length = piece.len();
        content.consume(length);
    }
}

fn headers_of(file: &File) -> io::Result<Vec<u8>> {
    let mode = if file.executable == Some(true) { EXECUTABLE_MODE } else { PLAIN_MODE };
    headers(file.path.as_str(), file.size, mode)
}

/// A file with content.
struct Entry<'a> {
    /// Its number in the bundle.
    at: usize,
    file: &'a File,
    /// The offset in the archive of its first byte.
    start: u64,
}

/// Writes all that is known before any content is here: headers, and zeros for the rest. Says where each content starts.
fn write_headers(archive: &fs::File, files: &[File]) -> io::Result<Vec<u64>> {
    let mut starts = Vec::with_capacity(files.len());
    let mut end = 0;
    for file in files {
        let headers = headers_of(file)?;
        write_at(archive, &headers, end)?;
        let start = end + headers.len() as u64;
        starts.push(start);
        end = start + file.size + padding(file.size).len() as u64;
    }
    archive.set_len(end + END.len() as u64)?;
    Ok(starts)
}

/// Fetches the blob of each content, several at a time, and writes it wherever it goes.
async fn write_blobs(
    context: Context<'_>,
    bundle: &Bundle,
    entries: &[Entry<'_>],
    archive: &fs::File,
    target: &Path,
) -> Result<(), DownloadError> {
    let layers = layers_of(bundle);
    let mut by_digest: BTreeMap<Digest, Vec<&Entry<'_>>> = BTreeMap::new();
    for entry in entries {
        by_digest.entry(entry.file.digest).or_default().push(entry);
    }
    let sizes = by_digest.values().filter_map(|copies| copies.first()).map(|first| first.file.size);
    context.progress.expect(Work::Download, sizes.sum());
    let copies: Vec<Vec<&Entry<'_>>> = by_digest.into_values().collect();
    stream::iter(0..copies.len())
        .map(async |at| {
            let copies = copies.get(at).map_or(&[][..], Vec::as_slice);
            write_blob(context, &layers, copies, archive, target).await
        })
        .buffer_unordered(context.concurrency)
        .try_collect()
        .await
}

async fn write_blob(
    context: Context<'_>,
    layers: &BTreeMap<Digest, &Descriptor>,
    copies: &[&Entry<'_>],
    archive: &fs::File,
    target: &Path,
) -> Result<(), DownloadError> {
    let Some(Entry { file, .. }) = copies.first() else { return Ok(()) };
    let layer = layer_of(layers, file)?;
    // What is longer would run into the next file.
    if layer.size != file.size {
        return Err(DownloadError::content(file));
    }
    let fault = |source| DownloadError::Fetch { path: file.path.to_string(), source };
    let mut pieces = read_blob(context.remote, layer).await.map_err(fault)?;
    let mut written = 0;
    while let Some(piece) = pieces.next().await {
        let piece = piece.map_err(fault)?;
        context.progress.advance(Work::Download, piece.len() as u64);
        on_disk_here(|| copies.iter().try_for_each(|copy| write_at(archive, &piece, copy.start + written)))
            .map_err(|source| DownloadError::Staging { folder: target.to_owned(), source })?;
        written += piece.len() as u64;
    }
    Ok(())
}

/// Puts each content together from chunks.
async fn write_chunks(
    context: Context<'_>,
    bundle: &Bundle,
    site: &Entries<'_>,
) -> Result<(), DownloadError> {
    let chunk_map = &bundle.index_view.chunk_map;
    let files: Result<Vec<Assembled<'_>>, DownloadError> =
        site.entries.iter().map(|entry| assembled(chunk_map, entry)).collect();
    let files = files?;
    let tables = load_tables(context, &chunk_map.packs, &packs_of(&files)).await?;
    engine(|bridge| unpack(context, bridge, site, &chunk_map.packs, &tables, &files, &[]))?;
    Ok(())
}

fn assembled<'a>(chunk_map: &'a ChunkMap, entry: &Entry<'a>) -> Result<Assembled<'a>, DownloadError> {
    let runs = chunk_map.runs(entry.at);
    let runs = runs.ok_or_else(|| DownloadError::NoPlace { path: entry.file.path.to_string() })?;
    Ok(Assembled { file: entry.file, runs })
}

/// The room of each entry in an archive.
struct Entries<'a> {
    entries: &'a [Entry<'a>],
    /// The archive while it has no name of its own.
    archive: &'a Path,
    /// The name that it gets.
    target: &'a Path,
}

impl Site for Entries<'_> {
    fn begin(&self, at: usize, _file: &File) -> io::Result<(Plot, fs::File)> {
        let entry = self.entries.get(at).ok_or(io::ErrorKind::NotFound)?;
        let file = fs::File::options().read(true).write(true).open(self.archive)?;
        Ok((Plot { path: self.archive.to_owned(), start: entry.start }, file))
    }

    fn name(&self) -> &Path {
        self.target
    }
}

/// Why there is no archive of a bundle's files.
#[derive(Debug, Error)]
pub enum ExportError {
    /// A content did not come, or could not be written.
    #[error(transparent)]
    Download(#[from] DownloadError),
    /// Another file is there, and stays.
    #[error("{} is there already, and stays as it is", path.display())]
    Exists {
        /// That file.
        path: PathBuf,
    },
    /// The archive could not be begun, or not get its name.
    #[error(transparent)]
    File(#[from] RemoteError),
}

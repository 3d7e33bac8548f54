//! Brings the content that a pull needs into staging, several blobs at a time, each verified on its way.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use bundle_core::bundle::descriptor::Descriptor;
use bundle_core::bundle::layout::Layout;
use bundle_core::digest::{Digest, Hasher};
use bundle_core::file::{ByPath, File};
use bundle_core::name::path::BundlePath;
use bundle_core::pack::chunk::MIN_CHUNK;
use bundle_core::pack::table::FrameError;
use bundle_core::plan::fetch::Disproportion;
use bundle_core::plan::pull::{PullPlan, Source};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use rayon::prelude::*;
use thiserror::Error;

use super::holes::{copy, write_or_skip};
use super::landing::Landing;
use super::room::check_room;
use super::tables::{TablesError, load_tables};
use super::unpacking::{Assembled, Older, packs_of, unpack};
use crate::bundle::{Bundle, Context};
use crate::component::CoreError;
use crate::progress::Work;
use crate::project::Project;
use crate::project::disk_path::to_disk;
use crate::project::interrupted::{Interrupted, LeftFile};
use crate::project::staging::{Mode, Staging};
use crate::remote::{RemoteError, read_blob};
use crate::threads::{ThreadError, engine, on_disk_here};

/// Bytes that are copied at a time.
const PIECE: usize = 256 * 1024;

/// What really came from the remote.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Downloaded {
    /// Files whose content came.
    pub files: u64,
    /// Blobs.
    pub blobs: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// Stages every file that `plan` writes; the result has a staged file for each of them, in the plan's order.
///
/// # Errors
///
/// The first one ends it; the project is as it was.
pub async fn download(
    context: Context<'_>,
    project: &Project,
    staging: &Staging,
    bundle: &Bundle,
    plan: &PullPlan,
) -> Result<(Vec<PathBuf>, Downloaded), DownloadError> {
    let wanted = Wanted::by_digest(plan, bundle.files());
    bundle.check_claims(context.claims)?;
    let left = Interrupted::of(project);
    // What is left is not needed twice: a file of it goes as soon as it is staged.
    let needed = size_of(&wanted).saturating_sub(left.bytes());
    check_room(staging.folder(), needed, context.claims)?;
    let sources: BTreeMap<Digest, &Source> =
        plan.sources.iter().map(|source| (source.digest, source)).collect();
    let mut staged = vec![PathBuf::new(); plan.write.len()];
    let mut absent = Vec::new();
    for (digest, files) in wanted {
        let local = sources.get(&digest).and_then(|source| source.local.as_ref());
        match stage_local(project, staging, &files, local)? {
            Some(path) => place(staging, &mut staged, &files, path)?,
            None => absent.push(files),
        }
    }
    if !left.files().is_empty() {
        absent = take_left(staging, &left, absent, &mut staged)?;
    }
    let downloaded = match bundle.index_view.layout {
        Layout::Files => download_blobs(context, staging, bundle, &absent, &mut staged).await?,
        Layout::Packed => {
            let older = |files: &[Assembled<'_>]| {
                let mut older = older_files(project, plan, files);
                // What was not whole may share chunks.
                let parts = left.files().iter().filter(|file| file.size > MIN_CHUNK as u64);
                older.extend(
                    parts.filter(|file| file.disk.exists()).map(|file| Older { disk: file.disk.clone() }),
                );
                older
            };
            download_chunks(context, staging, bundle, older, &absent, &mut staged).await?
        }
    };
    Ok((staged, downloaded))
}

/// How many bytes all of these files have.
pub(super) fn size_of(wanted: &BTreeMap<Digest, Vec<Wanted<'_>>>) -> u64 {
    wanted.values().flatten().map(|wanted| wanted.file.size).fold(0, u64::saturating_add)
}

/// Stages a file from one of the project that should have its content, or an empty one; `None` where it has to come.
fn stage_local(
    project: &Project,
    staging: &Staging,
    files: &[Wanted<'_>],
    local: Option<&BundlePath>,
) -> Result<Option<PathBuf>, DownloadError> {
    let Some(first) = files.first().filter(|first| first.file.size == 0 || local.is_some()) else {
        return Ok(None);
    };
    let (path, target) =
        staging.stage(&first.file.path, Mode::of(first.file.executable)).map_err(staging_fault(staging))?;
    let is_here = match local {
        Some(local) => on_disk_here(|| copy_verified(&to_disk(project.root(), local), &target, first.file))
            .map_err(staging_fault(staging))?,
        None => true,
    };
    if !is_here {
        // It has turned out to be another content.
        fs::remove_file(&path).map_err(staging_fault(staging))?;
    }
    Ok(is_here.then_some(path))
}

/// Stages what an interrupted pull has left whole of the `absent` contents; the result is what is still absent.
fn take_left<'a, 'left>(
    staging: &Staging,
    left: &'left Interrupted,
    absent: Vec<Vec<Wanted<'a>>>,
    staged: &mut [PathBuf],
) -> Result<Vec<Vec<Wanted<'a>>>, DownloadError> {
    let sizes: BTreeSet<u64> =
        absent.iter().filter_map(|files| files.first()).map(|one| one.file.size).collect();
    let candidates: Vec<&'left LeftFile> =
        left.files().iter().filter(|file| sizes.contains(&file.size)).collect();
    let whole: BTreeMap<Digest, &'left Path> = on_disk_here(|| {
        let digest = |file: &'left LeftFile| Some((hash_file(&file.disk).ok()?, file.disk.as_path()));
        candidates.into_par_iter().filter_map(digest).collect()
    });
    let mut still_absent = Vec::new();
    for files in absent {
        let found = files.first().and_then(|first| Some((first, *whole.get(&first.file.digest)?)));
        let Some((first, disk)) = found else {
            still_absent.push(files);
            continue;
        };
        let (path, target) = staging
            .stage(&first.file.path, Mode::of(first.file.executable))
            .map_err(staging_fault(staging))?;
        let is_whole = on_disk_here(|| copy_verified(disk, &target, first.file));
        if is_whole.map_err(staging_fault(staging))? {
            let _ = fs::remove_file(disk);
            place(staging, staged, &files, path)?;
        } else {
            fs::remove_file(&path).map_err(staging_fault(staging))?;
            still_absent.push(files);
        }
    }
    Ok(still_absent)
}

fn hash_file(disk: &Path) -> io::Result<Digest> {
    let mut hasher = Hasher::new();
    let (mut file, mut piece) = (fs::File::open(disk)?, vec![0; PIECE]);
    loop {
        let count = file.read(&mut piece)?;
        if count == 0 {
            return Ok(hasher.finish());
        }
        hasher.update(&piece[..count]);
    }
}

/// Puts down that `path` is the first of `files`, and copies it for the others.
fn place(
    staging: &Staging,
    staged: &mut [PathBuf],
    files: &[Wanted<'_>],
    path: PathBuf,
) -> Result<(), DownloadError> {
    let Some((first, others)) = files.split_first() else { return Ok(()) };
    for other in others {
        let (staged_copy, target) = staging
            .stage(&other.file.path, Mode::of(other.file.executable))
            .map_err(staging_fault(staging))?;
        on_disk_here(|| copy(&fs::File::open(&path)?, &target)).map_err(staging_fault(staging))?;
        staged[other.at] = staged_copy;
    }
    staged[first.at] = path;
    Ok(())
}

/// Fetches the blob of each content, several at a time.
async fn download_blobs(
    context: Context<'_>,
    staging: &Staging,
    bundle: &Bundle,
    absent: &[Vec<Wanted<'_>>],
    staged: &mut [PathBuf],
) -> Result<Downloaded, DownloadError> {
    let layers = layers_of(bundle);
    let sizes = absent.iter().filter_map(|files| files.first()).map(|first| first.file.size);
    context.progress.expect(Work::Download, sizes.sum());
    let mut paths = stream::iter(0..absent.len())
        .map(async |at| {
            let files: &[Wanted<'_>] = absent.get(at).map_or(&[], Vec::as_slice);
            let path = match files.first() {
                Some(first) => stage_blob(context, staging, first.file, &layers).await?,
                None => PathBuf::new(),
            };
            Ok::<_, DownloadError>((files, path))
        })
        .buffer_unordered(context.concurrency);
    let mut sum = Downloaded::default();
    while let Some((files, path)) = paths.try_next().await? {
        place(staging, staged, files, path)?;
        sum.files += files.len() as u64;
        sum.blobs += 1;
        sum.bytes += files.first().map_or(0, |first| first.file.size);
    }
    Ok(sum)
}

/// The blobs that the manifest names, by their digests.
pub(super) fn layers_of(bundle: &Bundle) -> BTreeMap<Digest, &Descriptor> {
    bundle.manifest_view.layers.iter().map(|layer| (layer.digest, layer)).collect()
}

/// The blob that is the content of `file`, in layout `files`.
pub(super) fn layer_of<'a>(
    layers: &BTreeMap<Digest, &'a Descriptor>,
    file: &File,
) -> Result<&'a Descriptor, DownloadError> {
    let layer = layers.get(&file.digest).copied();
    layer.ok_or_else(|| DownloadError::NoBlob { path: file.path.to_string() })
}

async fn stage_blob(
    context: Context<'_>,
    staging: &Staging,
    file: &File,
    layers: &BTreeMap<Digest, &Descriptor>,
) -> Result<PathBuf, DownloadError> {
    let layer = layer_of(layers, file)?;
    let (path, target) =
        staging.stage(&file.path, Mode::of(file.executable)).map_err(staging_fault(staging))?;
    fetch(context, layer, &path, target, &file.path, staging).await?;
    Ok(path)
}

/// Puts each content together from chunks.
async fn download_chunks(
    context: Context<'_>,
    staging: &Staging,
    bundle: &Bundle,
    older: impl FnOnce(&[Assembled<'_>]) -> Vec<Older>,
    absent: &[Vec<Wanted<'_>>],
    staged: &mut [PathBuf],
) -> Result<Downloaded, DownloadError> {
    let chunk_map = &bundle.index_view.chunk_map;
    // All files of one content are put together as the first of them.
    let firsts = absent.iter().filter_map(|files| files.first());
    let files: Result<Vec<Assembled<'_>>, DownloadError> =
        firsts.map(|wanted| Assembled::of(bundle, &wanted.file.path)).collect();
    let files = files?;
    let tables = load_tables(context, &chunk_map.packs, &packs_of(&files)).await?;
    let older = older(&files);
    let unpacked =
        engine(|bridge| unpack(context, bridge, staging, &chunk_map.packs, &tables, &files, &older))?;
    let mut downloaded = unpacked.downloaded;
    for (at, (files, plot)) in absent.iter().zip(unpacked.plots).enumerate() {
        place(staging, staged, files, plot.path)?;
        if unpacked.fetched.contains(&at) {
            downloaded.files += files.len() as u64;
        }
    }
    Ok(downloaded)
}

/// Files of the project that go or change, and may share chunks with what comes.
pub(super) fn older_files(project: &Project, plan: &PullPlan, files: &[Assembled<'_>]) -> Vec<Older> {
    // What is one chunk and has changed shares nothing.
    let has_chunks = |file: &&Assembled<'_>| file.file.size > MIN_CHUNK as u64;
    let replaced = files.iter().filter(has_chunks).map(|file| &file.file.path);
    let gone = plan.delete.iter().filter(|_| files.iter().any(|file| has_chunks(&file)));
    let older = replaced.chain(gone).map(|path| to_disk(project.root(), path));
    let is_older = |disk: &PathBuf| {
        fs::symlink_metadata(disk).is_ok_and(|entry| entry.is_file() && entry.len() > MIN_CHUNK as u64)
    };
    older.filter(is_older).map(|disk| Older { disk }).collect()
}

/// A file to be staged, and its place in the plan.
pub(super) struct Wanted<'a> {
    at: usize,
    pub(super) file: &'a File,
}

impl<'a> Wanted<'a> {
    pub(super) fn by_digest(plan: &PullPlan, files: &'a ByPath<File>) -> BTreeMap<Digest, Vec<Self>> {
        let mut wanted: BTreeMap<Digest, Vec<Self>> = BTreeMap::new();
        // What is written is some of the files, in their order.
        let mut files = files.iter();
        for (at, path) in plan.write.iter().enumerate() {
            if let Some(file) = files.find(|file| file.path == *path) {
                wanted.entry(file.digest).or_default().push(Self { at, file });
            }
        }
        wanted
    }
}

/// Writes a blob to the new file `target` at `staged`; the stream itself verifies it.
async fn fetch(
    context: Context<'_>,
    layer: &Descriptor,
    staged: &Path,
    target: fs::File,
    path: &BundlePath,
    staging: &Staging,
) -> Result<(), DownloadError> {
    let fault = |source| DownloadError::Fetch { path: path.to_string(), source };
    let mut pieces = read_blob(context.remote, layer).await.map_err(fault)?;
    let mut landing = Landing::begin(staged, target, layer.size).map_err(staging_fault(staging))?;
    while let Some(piece) = pieces.next().await {
        let piece = piece.map_err(fault)?;
        context.progress.advance(Work::Download, piece.len() as u64);
        landing.write(piece).await.map_err(staging_fault(staging))?;
    }
    landing.finish().await.map_err(staging_fault(staging))
}

/// Copies the file at `source` and says whether it was, and therefore the copy is, the content of `file`.
pub(crate) fn copy_verified(source: &Path, target: &fs::File, file: &File) -> io::Result<bool> {
    let mut source = match fs::File::open(source) {
        Ok(source) => source,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(error),
    };
    target.set_len(file.size)?;
    let mut hasher = Hasher::new();
    let mut piece = vec![0; PIECE];
    loop {
        let count = source.read(&mut piece)?;
        if count == 0 || hasher.length() > file.size {
            break;
        }
        write_or_skip(target, &piece[..count], hasher.length())?;
        hasher.update(&piece[..count]);
    }
    Ok(hasher.finish() == file.digest)
}

fn staging_fault(staging: &Staging) -> impl Fn(io::Error) -> DownloadError {
    let folder = staging.folder().to_owned();
    move |source| DownloadError::Staging { folder: folder.clone(), source }
}

impl From<Disproportion> for DownloadError {
    fn from(claim: Disproportion) -> Self {
        Self::Implausible(claim)
    }
}

impl DownloadError {
    pub(super) fn content(file: &File) -> Self {
        Self::Content { path: file.path.to_string() }
    }
}

/// Why the content of a pull is not here; the project is as it was.
#[derive(Debug, Error)]
pub enum DownloadError {
    /// A file's content did not come, or was not what it should be.
    #[error("cannot fetch `{path}`")]
    Fetch {
        /// The file.
        path: String,
        /// What the remote says.
        source: RemoteError,
    },
    /// The core could not be asked.
    #[error(transparent)]
    Core(#[from] CoreError),
    /// What came is not the content of a file.
    #[error("what came for `{path}` is not the content that the index says")]
    Content {
        /// The file.
        path: String,
    },
    /// A frame of a pack cannot be decoded.
    #[error("a pack is damaged")]
    Frame {
        /// Which chunk.
        source: FrameError,
    },
    /// A part of a pack did not come.
    #[error("cannot fetch a part of the pack {pack}")]
    Pack {
        /// The pack.
        pack: Digest,
        /// What the remote says.
        source: RemoteError,
    },
    /// A thread that was putting files together has stopped.
    #[error("an unpacking thread stopped")]
    Stopped,
    /// What packs hold could not be found out.
    #[error(transparent)]
    Tables(#[from] TablesError),
    /// There is no thread to put files together on.
    #[error("cannot put files together")]
    Threads(#[from] ThreadError),
    /// The disk has no room for the files.
    #[error("the files need {needed} bytes of {}, which has {free} left", folder.display())]
    NoRoom {
        /// Where they were to be written.
        folder: PathBuf,
        /// How many bytes they have.
        needed: u64,
        /// How many are left.
        free: u64,
    },
    /// The files are too large for what is stored of them.
    #[error("the files claim to have {} bytes, and only {} are stored of them", .0.files, .0.stored)]
    Implausible(Disproportion),
    /// The manifest names no blob for a file.
    #[error("the manifest names no blob that is the content of `{path}`")]
    NoBlob {
        /// The file.
        path: String,
    },
    /// The index does not say which chunks a file is.
    #[error("the index names no chunks for `{path}`")]
    NoPlace {
        /// The file.
        path: String,
    },
    /// The staging folder cannot be written.
    #[error("cannot write to {}", folder.display())]
    Staging {
        /// The folder.
        folder: PathBuf,
        /// What the system says.
        source: io::Error,
    },
}

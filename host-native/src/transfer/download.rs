//! Brings the content that a pull needs into staging, several blobs at a time, each verified on its way.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};

use bundle_core::descriptor::Descriptor;
use bundle_core::digest::{Digest, Hasher};
use bundle_core::path::BundlePath;
use bundle_core::plan::pull::{PullPlan, Source};
use bundle_core::snapshot::{ByPath, File};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use thiserror::Error;
use tokio::io::AsyncWriteExt as _;

use crate::bundle::{Bundle, Context};
use crate::project::Project;
use crate::project::disk_path::to_disk;
use crate::project::staging::{Mode, Staging};
use crate::remote::{RemoteError, read_blob};

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
    let sources: BTreeMap<Digest, &Source> =
        plan.sources.iter().map(|source| (source.digest, source)).collect();
    let layers: BTreeMap<Digest, &Descriptor> =
        bundle.manifest_view.layers.iter().map(|layer| (layer.digest, layer)).collect();
    let groups = wanted.into_iter().map(|(digest, files)| Group {
        files,
        local: sources.get(&digest).and_then(|source| source.local.as_ref()),
        layer: layers.get(&digest).copied(),
    });
    let results: Vec<(Vec<(usize, PathBuf)>, Downloaded)> = stream::iter(groups)
        .map(|group| stage_group(context, project, staging, group))
        .buffer_unordered(context.concurrency)
        .try_collect()
        .await?;
    let mut staged = vec![PathBuf::new(); plan.write.len()];
    let mut sum = Downloaded::default();
    for (paths, downloaded) in results {
        for (at, path) in paths {
            staged[at] = path;
        }
        sum.files += downloaded.files;
        sum.blobs += downloaded.blobs;
        sum.bytes += downloaded.bytes;
    }
    Ok((staged, sum))
}

/// A file to be staged, and its place in the plan.
struct Wanted<'a> {
    at: usize,
    file: &'a File,
}

impl<'a> Wanted<'a> {
    fn by_digest(plan: &PullPlan, files: &'a ByPath<File>) -> BTreeMap<Digest, Vec<Self>> {
        let mut wanted: BTreeMap<Digest, Vec<Self>> = BTreeMap::new();
        for (at, path) in plan.write.iter().enumerate() {
            if let Some(file) = files.at(path) {
                wanted.entry(file.digest).or_default().push(Self { at, file });
            }
        }
        wanted
    }
}

/// Files of one content.
struct Group<'a> {
    files: Vec<Wanted<'a>>,
    /// A file of the project that should have it.
    local: Option<&'a BundlePath>,
    /// The blob that is it.
    layer: Option<&'a Descriptor>,
}

async fn stage_group(
    context: Context<'_>,
    project: &Project,
    staging: &Staging,
    group: Group<'_>,
) -> Result<(Vec<(usize, PathBuf)>, Downloaded), DownloadError> {
    let Some((first, others)) = group.files.split_first() else {
        return Ok((Vec::new(), Downloaded::default()));
    };
    let (path, target) =
        staging.stage_file(Mode::of(first.file.executable)).map_err(staging_fault(staging))?;
    let mut downloaded = Downloaded::default();
    let is_here = match group.local {
        Some(local) => blocking(|| copy_verified(&to_disk(project.root(), local), &target, first.file))
            .map_err(staging_fault(staging))?,
        None => first.file.size == 0,
    };
    if !is_here {
        let layer = group.layer.ok_or_else(|| DownloadError::NoBlob { path: first.file.path.to_string() })?;
        fetch(context, layer, target, &first.file.path, staging).await?;
        downloaded = Downloaded { files: group.files.len() as u64, blobs: 1, bytes: first.file.size };
    }
    let mut staged = vec![(first.at, path)];
    for other in others {
        let (path, mut target) =
            staging.stage_file(Mode::of(other.file.executable)).map_err(staging_fault(staging))?;
        let original = &staged[0].1;
        blocking(|| io::copy(&mut fs::File::open(original)?, &mut target)).map_err(staging_fault(staging))?;
        staged.push((other.at, path));
    }
    Ok((staged, downloaded))
}

/// Writes a blob to `target`; the stream itself verifies it.
async fn fetch(
    context: Context<'_>,
    layer: &Descriptor,
    target: fs::File,
    path: &BundlePath,
    staging: &Staging,
) -> Result<(), DownloadError> {
    let fault = |source| DownloadError::Fetch { path: path.to_string(), source };
    // A local copy that turned out to be another content may have left its bytes there.
    target.set_len(0).map_err(staging_fault(staging))?;
    let mut target = tokio::fs::File::from_std(target);
    target.set_max_buf_size(PIECE);
    let mut target = tokio::io::BufWriter::with_capacity(PIECE, target);
    let mut pieces = read_blob(context.remote, layer).await.map_err(fault)?;
    while let Some(piece) = pieces.next().await {
        target.write_all(&piece.map_err(fault)?).await.map_err(staging_fault(staging))?;
    }
    target.flush().await.map_err(staging_fault(staging))
}

/// Copies the file at `source` and says whether it was, and therefore the copy is, the content of `file`.
fn copy_verified(source: &Path, mut target: &fs::File, file: &File) -> io::Result<bool> {
    let mut source = match fs::File::open(source) {
        Ok(source) => source,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(error),
    };
    let mut hasher = Hasher::new();
    let mut piece = vec![0; PIECE];
    loop {
        let count = source.read(&mut piece)?;
        if count == 0 || hasher.length() > file.size {
            break;
        }
        hasher.update(&piece[..count]);
        target.write_all(&piece[..count])?;
    }
    if hasher.finish() == file.digest {
        return Ok(true);
    }
    io::Seek::rewind(&mut target)?;
    Ok(false)
}

/// Runs what reads or writes whole files, without holding up other transfers where the runtime can help that.
fn blocking<T>(work: impl FnOnce() -> T) -> T {
    match tokio::runtime::Handle::current().runtime_flavor() {
        tokio::runtime::RuntimeFlavor::MultiThread => tokio::task::block_in_place(work),
        _ => work(),
    }
}

fn staging_fault(staging: &Staging) -> impl Fn(io::Error) -> DownloadError {
    let folder = staging.folder().to_owned();
    move |source| DownloadError::Staging { folder: folder.clone(), source }
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
    /// The manifest names no blob for a file.
    #[error("the manifest names no blob that is the content of `{path}`")]
    NoBlob {
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

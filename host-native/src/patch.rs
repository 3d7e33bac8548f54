//! Patches: how the files of two sides differ, as git writes it. What is compared with what is decided elsewhere.

mod unified;

use std::collections::BTreeMap;
use std::io::{self, Read as _};
use std::path::Path;

use bundle_core::digest::Digest;
use bundle_core::file::{ByPath, File};
use bundle_core::name::path::BundlePath;
use bytes::Bytes;
use rayon::prelude::*;
use thiserror::Error;

use self::unified::{Content, write_patch};
use crate::bundle::{Bundle, Context};
use crate::project::Project;
use crate::scan::{Scan, open_found};
use crate::threads::on_disk_here;
use crate::transfer::{DownloadError, read_files};

/// The largest file whose lines are compared, in bytes.
pub const MAX_SHOWN_BYTES: u64 = 8 << 20;

/// So many bytes of files are read at a time, of each side.
const GROUP_BYTES: u64 = 32 << 20;

/// When patches have so many bytes in all, what follows is too large to show.
const MAX_PATCHES_BYTES: usize = 256 << 20;

/// One side of a comparison, and where the content of its files is.
#[derive(Clone, Copy)]
pub enum Side<'a> {
    /// A bundle on a remote.
    Bundle {
        /// Whom to ask.
        context: Context<'a>,
        /// The bundle.
        bundle: &'a Bundle,
    },
    /// The files on disk.
    Project {
        /// Whose they are.
        project: &'a Project,
        /// What was found.
        scan: &'a Scan,
    },
}

impl<'a> Side<'a> {
    /// Its files.
    pub fn files(self) -> &'a ByPath<File> {
        match self {
            Self::Bundle { bundle, .. } => bundle.files(),
            Self::Project { scan, .. } => &scan.files,
        }
    }

    /// Fetches what of `files` has to be fetched.
    async fn ready(self, files: &[&File]) -> Result<Ready<'a>, PatchError> {
        Ok(match self {
            Self::Bundle { context, bundle } => {
                Ready::Fetched(read_files(context, bundle, files, MAX_SHOWN_BYTES).await?)
            }
            Self::Project { project, scan } => Ready::OnDisk { project, scan },
        })
    }
}

/// The content of files of one side, at hand.
enum Ready<'a> {
    Fetched(BTreeMap<Digest, Bytes>),
    OnDisk { project: &'a Project, scan: &'a Scan },
}

impl Ready<'_> {
    /// The content of `file`; nothing for a file that is not there.
    fn content(&self, file: Option<&File>) -> Result<Result<Bytes, UnreadFile>, PatchError> {
        let Some(file) = file else { return Ok(Ok(Bytes::new())) };
        match self {
            Self::Fetched(contents) => match contents.get(&file.digest) {
                Some(content) => Ok(Ok(content.clone())),
                None => Err(PatchError::NoContent { path: file.path.clone() }),
            },
            Self::OnDisk { project, scan } => Ok(read_found(&scan.disk(project, &file.path), file)),
        }
    }
}

/// The file at a path on both sides.
#[derive(Clone, Copy)]
struct Pair<'a> {
    path: &'a BundlePath,
    old: Option<&'a File>,
    new: Option<&'a File>,
}

impl<'a> Pair<'a> {
    fn has_same_content(&self) -> bool {
        self.old.map(|file| file.digest) == self.new.map(|file| file.digest)
    }

    fn is_small(&self) -> bool {
        self.sides().all(|file| file.size <= MAX_SHOWN_BYTES)
    }

    fn sides(&self) -> impl Iterator<Item = &'a File> + use<'a> {
        self.old.into_iter().chain(self.new)
    }
}

/// The patch of each of `paths`, which makes the file of `old` that of `new`, or why the file on disk cannot be read; in
/// the order of `paths`.
///
/// Binary files, and those of more than [`MAX_SHOWN_BYTES`], are only said to differ: such a patch cannot be applied.
pub async fn patches(
    old: Side<'_>,
    new: Side<'_>,
    paths: &[&BundlePath],
) -> Result<Vec<Result<String, UnreadFile>>, PatchError> {
    let (before, after) = (old.files(), new.files());
    let pairs: Vec<Pair<'_>> =
        paths.iter().map(|path| Pair { path, old: before.at(path), new: after.at(path) }).collect();
    let mut patches = Vec::with_capacity(pairs.len());
    let mut length = 0;
    let mut rest = &pairs[..];
    while let Some((group, others)) = split_group(rest) {
        rest = others;
        let is_shown =
            |pair: &&Pair<'_>| !pair.has_same_content() && pair.is_small() && length < MAX_PATCHES_BYTES;
        let shown = || group.iter().filter(is_shown);
        let old_files: Vec<&File> = shown().filter_map(|pair| pair.old).collect();
        let new_files: Vec<&File> = shown().filter_map(|pair| pair.new).collect();
        let (before, after) = (old.ready(&old_files).await?, new.ready(&new_files).await?);
        let write = |pair: &Pair<'_>| {
            Ok(match pair {
                pair if pair.has_same_content() => Ok(write_patch(pair, Content::Same)),
                pair if is_shown(&pair) => match (before.content(pair.old)?, after.content(pair.new)?) {
                    (Ok(old), Ok(new)) => Ok(write_patch(pair, Content::Bytes { old: &old, new: &new })),
                    (Err(unread), _) | (_, Err(unread)) => Err(unread),
                },
                _ => Ok(write_patch(pair, Content::TooLarge)),
            })
        };
        let written: Result<Vec<_>, PatchError> = on_disk_here(|| group.par_iter().map(write).collect());
        let written = written?;
        length += written.iter().flatten().map(String::len).sum::<usize>();
        patches.extend(written);
    }
    Ok(patches)
}

/// Splits off as many pairs as are read together: one at least, while there are any.
fn split_group<'a, 'b>(pairs: &'a [Pair<'b>]) -> Option<(&'a [Pair<'b>], &'a [Pair<'b>])> {
    let mut bytes = 0;
    let is_full = |pair: &Pair<'_>| {
        bytes +=
            if pair.is_small() { pair.sides().map(|file| file.size).max().unwrap_or_default() } else { 0 };
        bytes > GROUP_BYTES
    };
    let end = pairs.iter().position(is_full).unwrap_or(pairs.len()).max(1);
    pairs.split_at_checked(end)
}

/// Reads a file that the scan found, if it is still the same.
fn read_found(disk: &Path, file: &File) -> Result<Bytes, UnreadFile> {
    let fault = |error: io::Error| UnreadFile::System(error.kind());
    let found = open_found(disk).map_err(fault)?;
    if !found.metadata().map_err(fault)?.is_file() {
        return Err(UnreadFile::Changed);
    }
    let mut content = Vec::new();
    found.take(file.size + 1).read_to_end(&mut content).map_err(fault)?;
    if Digest::of(&content) == file.digest { Ok(content.into()) } else { Err(UnreadFile::Changed) }
}

/// Why a file on disk was not compared line by line; the others are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum UnreadFile {
    /// It is not what it was when it was first looked at.
    #[error("it changed while it was compared")]
    Changed,
    /// The system would not let it be read.
    #[error("it cannot be read: {0}")]
    System(io::ErrorKind),
}

/// Why files could not be compared line by line.
#[derive(Debug, Error)]
pub enum PatchError {
    /// Content of a bundle did not come, or was not what it should be.
    #[error(transparent)]
    Download(#[from] DownloadError),
    /// Content of a bundle was asked for, and is not among what came.
    #[error("the content of `{path}` did not come")]
    NoContent {
        /// The file.
        path: BundlePath,
    },
}

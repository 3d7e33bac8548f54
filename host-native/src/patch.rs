//! Patches: how the files of two sides differ, as git writes it. What is compared with what is decided elsewhere.

mod unified;

use std::collections::BTreeMap;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use bundle_core::digest::Digest;
use bundle_core::path::BundlePath;
use bundle_core::snapshot::{ByPath, File};
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

    async fn read(self, files: &[&File]) -> Result<BTreeMap<Digest, Bytes>, PatchError> {
        match self {
            Self::Bundle { context, bundle } => {
                Ok(read_files(context, bundle, files, MAX_SHOWN_BYTES).await?)
            }
            Self::Project { project, scan } => on_disk_here(|| {
                let files = files.iter();
                let read =
                    |file: &&File| Ok((file.digest, read_found(&scan.disk(project, &file.path), file)?));
                files.map(read).collect()
            }),
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

/// The patch of each of `paths`, which makes the file of `old` that of `new`; in the order of `paths`.
///
/// Binary files, and those of more than [`MAX_SHOWN_BYTES`], are only said to differ: such a patch cannot be applied.
pub async fn patches(old: Side<'_>, new: Side<'_>, paths: &[&BundlePath]) -> Result<Vec<String>, PatchError> {
    let (before, after) = (old.files(), new.files());
    let pairs: Vec<Pair<'_>> =
        paths.iter().map(|path| Pair { path, old: before.at(path), new: after.at(path) }).collect();
    let mut patches: Vec<String> = Vec::with_capacity(pairs.len());
    let mut length = 0;
    let mut rest = &pairs[..];
    while let Some((group, others)) = split_group(rest) {
        rest = others;
        let is_shown =
            |pair: &&Pair<'_>| !pair.has_same_content() && pair.is_small() && length < MAX_PATCHES_BYTES;
        let shown = || group.iter().filter(is_shown);
        let old_files: Vec<&File> = shown().filter_map(|pair| pair.old).collect();
        let new_files: Vec<&File> = shown().filter_map(|pair| pair.new).collect();
        let (before, after) = (old.read(&old_files).await?, new.read(&new_files).await?);
        let of = |contents: &BTreeMap<Digest, Bytes>, file: Option<&File>| {
            file.and_then(|file| contents.get(&file.digest)).cloned().unwrap_or_default()
        };
        let write = |pair: &Pair<'_>| {
            let (before, after) = (of(&before, pair.old), of(&after, pair.new));
            let content = match pair {
                pair if pair.has_same_content() => Content::Same,
                pair if is_shown(&pair) => Content::Bytes { old: &before, new: &after },
                _ => Content::TooLarge,
            };
            write_patch(pair, content)
        };
        let written: Vec<String> = on_disk_here(|| group.par_iter().map(write).collect());
        length += written.iter().map(String::len).sum::<usize>();
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
fn read_found(disk: &Path, file: &File) -> Result<Bytes, PatchError> {
    let fault = |source| PatchError::Read { path: disk.to_owned(), source };
    let found = open_found(disk).map_err(fault)?;
    if !found.metadata().map_err(fault)?.is_file() {
        return Err(PatchError::Changed { path: file.path.clone() });
    }
    let mut content = Vec::new();
    found.take(file.size + 1).read_to_end(&mut content).map_err(fault)?;
    if Digest::of(&content) != file.digest {
        return Err(PatchError::Changed { path: file.path.clone() });
    }
    Ok(content.into())
}

/// Why files could not be compared line by line.
#[derive(Debug, Error)]
pub enum PatchError {
    /// A file on disk is not what it was when it was first looked at.
    #[error("`{path}` changed while it was compared")]
    Changed {
        /// The file.
        path: BundlePath,
    },
    /// Content of a bundle did not come, or was not what it should be.
    #[error(transparent)]
    Download(#[from] DownloadError),
    /// A file on disk cannot be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
}

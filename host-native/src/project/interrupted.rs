//! What an interrupted pull had fetched: the next pull takes from it what it needs, and then it goes.
//!
//! It lies in the cache folder, since nothing depends on it. Whether a file there is whole is not written down anywhere: its
//! content tells.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::folder::{INTERRUPTED, Project};
use super::own_folder::OwnFolder;
use super::parents::Missing;
use super::staging::clear;

/// As many interrupted pulls are remembered.
const MAX_PULLS: usize = 8;

/// Nested deeper than this is nothing that a pull has made.
const MAX_DEPTH: usize = 256;

/// The file that tells a pull's staging folder from any other.
pub(super) const PULL_MARK: &str = "incoming";

/// Files that interrupted pulls have left.
#[derive(Debug, Default)]
pub(crate) struct Interrupted {
    files: Vec<LeftFile>,
}

/// One of them.
#[derive(Debug)]
pub(crate) struct LeftFile {
    /// Where it is.
    pub(crate) disk: PathBuf,
    /// How many bytes it has.
    pub(crate) size: u64,
}

impl Interrupted {
    /// Finds what pulls into `project` have left; nothing where that cannot be read.
    pub(crate) fn of(project: &Project) -> Self {
        let mut left = Self::default();
        if let Ok(Some(folder)) = open(project, Missing::Leave) {
            left.gather(folder.path(), 0);
        }
        left
    }

    fn gather(&mut self, folder: &Path, depth: usize) {
        let Ok(entries) = fs::read_dir(folder) else { return };
        for entry in entries.flatten() {
            let Ok(found) = entry.metadata() else { continue };
            if found.is_dir() && depth < MAX_DEPTH {
                self.gather(&entry.path(), depth + 1);
            } else if found.is_file() && found.len() > 0 {
                self.files.push(LeftFile { disk: entry.path(), size: found.len() });
            }
        }
    }

    /// The files.
    pub(crate) fn files(&self) -> &[LeftFile] {
        &self.files
    }

    /// How many bytes they have in all.
    pub(crate) fn bytes(&self) -> u64 {
        self.files.iter().fold(0, |sum, file| sum.saturating_add(file.size))
    }

    /// Removes everything that pulls into `project` have left. What cannot be removed harms nobody.
    pub(crate) fn clear(project: &Project) {
        let _ = clear(&project.in_folder("cache").join(INTERRUPTED));
    }
}

fn open(project: &Project, missing: Missing) -> io::Result<Option<OwnFolder>> {
    match OwnFolder::cache(project, missing)? {
        Some(cache) => cache.below(INTERRUPTED, missing),
        None => Ok(None),
    }
}

/// Moves the staging folder of a pull to where the next one finds it, or clears it where it is another's or cannot be moved.
pub(super) fn set_aside(project: &Project) -> io::Result<()> {
    let staging = project.staging_folder();
    if staging.join(PULL_MARK).symlink_metadata().is_err() || move_away(project, &staging).is_err() {
        return clear(&staging);
    }
    Ok(())
}

fn move_away(project: &Project, staging: &Path) -> io::Result<()> {
    let folder = open(project, Missing::Create)?.ok_or(io::ErrorKind::NotFound)?;
    let places: Vec<PathBuf> = (0..MAX_PULLS).map(|at| folder.path().join(at.to_string())).collect();
    let entry = |place: &PathBuf| place.symlink_metadata().and_then(|found| found.modified()).ok();
    let free = places.iter().find(|place| place.symlink_metadata().is_err());
    let Some(place) = free.or_else(|| places.iter().min_by_key(|place| entry(place))) else {
        return Err(io::ErrorKind::NotFound.into());
    };
    // The oldest one makes room.
    clear(place)?;
    fs::rename(staging, place)
}

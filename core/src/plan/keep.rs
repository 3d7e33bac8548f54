//! What an operation keeps of the content that it takes away, so that it can be undone, and how much room that has.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::digest::Digest;
use crate::file::{ByPath, File, SyncedFile};
use crate::name::path::BundlePath;

/// Whether the content of the last synced bundle can be had again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LastSynced {
    /// It was found in the remote just now.
    Found,
    /// Nobody has looked, or it was not there.
    #[default]
    Unseen,
}

/// The bundle that has content which is not kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HadIn {
    /// The one that the project was last synced with.
    LastSynced,
    /// The one that comes.
    New,
}

/// Those of the paths `taken`, whose content an operation replaces or deletes, of which it need not be kept: `new`, the
/// bundle that comes, has that content, or the last synced bundle has it at this path and is there.
///
/// `local` are the files as they were scanned. What is not among them is something else, and is kept.
pub fn had_elsewhere<'a>(
    taken: impl IntoIterator<Item = &'a BundlePath>,
    local: &'a ByPath<File>,
    new: &ByPath<File>,
    base: &ByPath<SyncedFile>,
    last_synced: LastSynced,
) -> Vec<(&'a File, HadIn)> {
    let new: BTreeSet<&Digest> = new.iter().map(|file| &file.digest).collect();
    let is_synced = |file: &File| {
        last_synced == LastSynced::Found
            && base.at(&file.path).is_some_and(|synced| synced.digest == file.digest)
    };
    let had_in = |file: &File| match new.contains(&file.digest) {
        true => Some(HadIn::New),
        false => is_synced(file).then_some(HadIn::LastSynced),
    };
    let taken = taken.into_iter().filter_map(|path| local.at(path));
    taken.filter_map(|file| Some((file, had_in(file)?))).collect()
}

/// How much is kept in all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bound {
    /// Operations.
    pub operations: usize,
    /// Bytes of content.
    pub bytes: u64,
}

/// How many of the operations that are kept stay, the newest of them, when one more comes that keeps `needed` bytes.
///
/// `kept` are the bytes of each, newest first.
///
/// # Errors
///
/// What comes does not fit even alone.
pub fn make_room(kept: &[u64], needed: u64, bound: Bound) -> Result<usize, TooMuch> {
    let Some(mut left) = bound.bytes.checked_sub(needed) else {
        return Err(TooMuch { needed, limit: bound.bytes });
    };
    let fits = |bytes: &&u64| match left.checked_sub(**bytes) {
        Some(rest) => {
            left = rest;
            true
        }
        None => false,
    };
    Ok(kept.iter().take(bound.operations.saturating_sub(1)).take_while(fits).count())
}

/// Content that cannot be kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("{needed} bytes would have to be kept, and at most {limit} are")]
pub struct TooMuch {
    /// How many bytes would have to be kept.
    pub needed: u64,
    /// How many are kept at most.
    pub limit: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(path: &str, content: &str) -> File {
        File {
            path: path.parse().unwrap(),
            digest: Digest::of(content.as_bytes()),
            size: content.len() as u64,
            executable: Some(false),
        }
    }

    #[test]
    fn content_that_can_be_had_again_is_not_kept() {
        let files = |files: &[(&str, &str)]| {
            ByPath::new(files.iter().map(|(path, content)| file(path, content)).collect()).unwrap()
        };
        let local = files(&[("edited", "mine"), ("moved", "same"), ("synced", "old")]);
        let new = files(&[("elsewhere", "same"), ("synced", "new")]);
        let base = crate::file::synced(&files(&[("edited", "old too"), ("synced", "old")]));
        let taken: Vec<BundlePath> =
            ["edited", "link", "moved", "synced"].map(|path| path.parse().unwrap()).to_vec();
        let had = |last_synced| -> Vec<(&str, HadIn)> {
            let had = had_elsewhere(&taken, &local, &new, &base, last_synced);
            had.into_iter().map(|(file, had_in)| (file.path.as_str(), had_in)).collect()
        };
        assert_eq!(had(LastSynced::Unseen), [("moved", HadIn::New)]);
        assert_eq!(had(LastSynced::Found), [("moved", HadIn::New), ("synced", HadIn::LastSynced)]);
    }

    #[test]
    fn the_newest_operations_stay_that_fit() {
        let bound = |operations, bytes| Bound { operations, bytes };
        assert_eq!(make_room(&[], 10, bound(20, 10)), Ok(0));
        assert_eq!(make_room(&[1, 2, 3], 4, bound(20, 10)), Ok(3));
        assert_eq!(make_room(&[1, 2, 3], 5, bound(20, 10)), Ok(2));
        // An older one that is smaller does not stay where a newer one goes: operations are taken back in their order.
        assert_eq!(make_room(&[9, 0], 5, bound(20, 10)), Ok(0));
        assert_eq!(make_room(&[0; 30], 0, bound(20, 10)), Ok(19));
        assert_eq!(make_room(&[1], 11, bound(20, 10)), Err(TooMuch { needed: 11, limit: 10 }));
        assert_eq!(make_room(&[u64::MAX, 1], u64::MAX, bound(20, u64::MAX)), Ok(0));
    }
}

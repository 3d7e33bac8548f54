//! What a removal of files from disk would lose.

use crate::file::{ByPath, File, SyncedFile};
use crate::name::path::BundlePath;

/// Why a file is nowhere else.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnlyHere {
    /// It was never synced.
    NeverSynced,
    /// It was edited since it was.
    Edited,
}

/// Those of the paths `removed` whose content was not synced as it is now, as `git rm` looks at what was committed.
///
/// `local` are the files as they were scanned, `unreadable` the paths at which something lies that is none.
pub fn lost_by_removal<'a>(
    removed: impl IntoIterator<Item = &'a BundlePath>,
    local: &ByPath<File>,
    unreadable: &[BundlePath],
    base: &ByPath<SyncedFile>,
) -> Vec<(&'a BundlePath, OnlyHere)> {
    let why = |path: &BundlePath| {
        let is_unreadable = unreadable.binary_search(path).is_ok();
        match (local.at(path), base.at(path)) {
            (None, _) if !is_unreadable => None,
            (_, None) => Some(OnlyHere::NeverSynced),
            (Some(file), Some(synced)) if file.digest == synced.digest => None,
            _ => Some(OnlyHere::Edited),
        }
    };
    removed.into_iter().filter_map(|path| Some((path, why(path)?))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::digest::Digest;

    #[test]
    fn only_what_was_synced_as_it_is_may_go() {
        let file = |path: &str, content: &str| File {
            path: path.parse().unwrap(),
            digest: Digest::of(content.as_bytes()),
            size: 1,
            executable: Some(false),
        };
        let local = ByPath::new(vec![file("edited", "b"), file("never", "c"), file("same", "a")]).unwrap();
        let base =
            ByPath::new(vec![file("edited", "a"), file("gone", "a"), file("pipe", "a"), file("same", "a")]);
        let base = crate::file::synced(&base.unwrap());
        let paths: Vec<BundlePath> =
            ["edited", "gone", "never", "pipe", "same"].map(|path| path.parse().unwrap()).to_vec();
        let lost = lost_by_removal(&paths, &local, &["pipe".parse().unwrap()], &base);
        let lost: Vec<_> = lost.into_iter().map(|(path, why)| (path.as_str(), why)).collect();
        assert_eq!(
            lost,
            [("edited", OnlyHere::Edited), ("never", OnlyHere::NeverSynced), ("pipe", OnlyHere::Edited)]
        );
    }
}

//! The folders that a pull brings: staged with the files in them, and then put in place by one rename each.
//!
//! That is much cheaper than a rename for each file, and no less safe: it is done only where the project has nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::ops::Bound::{Included, Unbounded};
use std::path::Path;

use bundle_core::file::ByPath;
use bundle_core::name::path::BundlePath;

use super::parents::Parents;

/// The longest path, in bytes, of a file that is staged below a folder: there it may be longer than where it goes.
const LONGEST: usize = 1024;

/// Folders of files to write, none in another, and where each is staged.
#[derive(Clone, Debug, Default)]
pub(crate) struct NewFolders {
    /// By their paths with a slash behind them.
    folders: BTreeMap<String, NewFolder>,
}

/// One of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct NewFolder {
    /// Where it goes in the project.
    pub(crate) path: BundlePath,
    /// Its name in the staging folder.
    pub(crate) staged: String,
}

impl NewFolders {
    /// The outermost folders of `files` that the project at `root` does not have.
    pub(crate) fn of(root: &Path, files: &ByPath<BundlePath>) -> io::Result<Self> {
        let mut parents = Parents::new(root)?;
        let mut new = Self::default();
        let mut standing: BTreeSet<&str> = BTreeSet::new();
        for file in files.iter().filter(|file| file.as_str().len() <= LONGEST) {
            if new.above(file).is_some() {
                continue;
            }
            for folder in file.folders() {
                if standing.contains(folder) {
                    continue;
                }
                let Ok(path) = folder.parse::<BundlePath>() else { break };
                if parents.is_absent(&path) {
                    let staged = format!("folder-{}", new.folders.len());
                    new.folders.insert(format!("{folder}/"), NewFolder { path, staged });
                    break;
                }
                standing.insert(folder);
            }
        }
        Ok(new)
    }

    /// All of them, by path.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &NewFolder> {
        self.folders.values()
    }

    /// Which of them `file` is staged in, and its path below that.
    pub(crate) fn above<'a>(&'a self, file: &'a BundlePath) -> Option<(&'a NewFolder, &'a str)> {
        let file = file.as_str();
        let (path, folder) = self.folders.range::<str, _>((Unbounded, Included(file))).next_back()?;
        let below = file.strip_prefix(path.as_str()).filter(|_| file.len() <= LONGEST)?;
        Some((folder, below))
    }
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::*;

    fn paths(paths: &[&str]) -> ByPath<BundlePath> {
        paths.iter().map(|path| path.parse::<BundlePath>().unwrap()).collect()
    }

    #[test]
    fn the_outermost_folders_that_are_not_there_are_new() {
        let root = TempDir::new().unwrap();
        std::fs::create_dir_all(root.path().join("old/deep")).unwrap();
        std::fs::write(root.path().join("file"), "").unwrap();
        let files = paths(&[
            "file/below",
            "new-too/x",
            "new/a",
            "new/deep/b",
            "new0",
            "old/a",
            "old/deep/new/c/d",
            "old/deep/x",
            "top",
        ]);
        let folders = NewFolders::of(root.path(), &files).unwrap();
        let new: Vec<&str> = folders.iter().map(|folder| folder.path.as_str()).collect();
        assert_eq!(new, ["new-too", "new", "old/deep/new"]);
        let above = |file: &str| {
            let file = file.parse().unwrap();
            folders.above(&file).map(|(folder, below)| (folder.path.to_string(), below.to_owned()))
        };
        let found = |folder: &str, below: &str| Some((folder.to_owned(), below.to_owned()));
        assert_eq!(above("new/deep/b"), found("new", "deep/b"));
        assert_eq!(above("new-too/x"), found("new-too", "x"));
        assert_eq!(above("old/deep/new/c/d"), found("old/deep/new", "c/d"));
        for file in ["file/below", "new0", "new", "new-to/x", "old/a", "old/deep/x", "top", "zzz/x"] {
            assert_eq!(above(file), None, "{file}");
        }
    }

    #[test]
    fn a_path_that_is_too_long_to_be_staged_in_its_folder_is_not() {
        let root = TempDir::new().unwrap();
        let long = format!("long/{}x", "a/".repeat(LONGEST / 2));
        let folders = NewFolders::of(root.path(), &paths(&[&long, "short/x"])).unwrap();
        assert_eq!(folders.iter().map(|folder| folder.path.as_str()).collect::<Vec<_>>(), ["short"]);
        let both = NewFolders::of(root.path(), &paths(&[&long, "long/x"])).unwrap();
        assert!(both.above(&long.parse().unwrap()).is_none());
        assert!(both.above(&"long/x".parse().unwrap()).is_some());
    }
}

//! What lies in somebody's folder.

use std::collections::{BTreeMap, BTreeSet};

use bundle_core::digest::Digest;
use bundle_core::file::{ByPath, File, HasPath as _};
use bundle_core::name::path::BundlePath;

/// A file, wherever it lies. Nobody looks at its content but by the digest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Content {
    pub(super) digest: Digest,
    pub(super) size: u64,
    pub(super) executable: bool,
}

impl Content {
    pub(super) fn at(self, path: &BundlePath) -> File {
        let Self { digest, size, executable } = self;
        File { path: path.clone(), digest, size, executable: Some(executable) }
    }
}

/// Files, and the folders that they lie in or have left.
#[derive(Debug, Default)]
pub(super) struct Disk {
    files: BTreeMap<BundlePath, Content>,
    folders: BTreeSet<String>,
}

/// What was found at the paths that were looked for.
#[derive(Debug)]
pub(super) struct Scan {
    pub(super) files: ByPath<File>,
    /// Paths that cannot be written without losing something that is no file of theirs.
    pub(super) obstacles: ByPath<BundlePath>,
}

impl Disk {
    pub(super) fn files(&self) -> &BTreeMap<BundlePath, Content> {
        &self.files
    }

    pub(super) fn at(&self, path: &str) -> Option<Content> {
        self.files.get(path).copied()
    }

    pub(super) fn is_folder(&self, path: &str) -> bool {
        self.folders.contains(path)
    }

    /// The files in a folder, and in those below.
    pub(super) fn below<'a>(&'a self, folder: &str) -> impl Iterator<Item = &'a BundlePath> {
        let folder = folder.to_owned();
        self.files.keys().filter(move |path| path.is_below(&folder))
    }

    /// Puts a file in place, where a folder may stand in which no file is left.
    pub(super) fn put(&mut self, path: &BundlePath, content: Content) {
        assert!(self.below(path.as_str()).next().is_none(), "files lie in the folder {path}");
        self.remove_folder(path.as_str());
        for folder in path.folders() {
            assert!(!self.files.contains_key(folder), "the folder {folder} of {path} is a file");
            self.folders.insert(folder.to_owned());
        }
        self.files.insert(path.clone(), content);
    }

    pub(super) fn take(&mut self, path: &str) -> Option<Content> {
        self.files.remove(path)
    }

    /// Removes a file, or a folder with all it holds.
    pub(super) fn remove(&mut self, path: &str) {
        if self.take(path).is_none() {
            self.files.retain(|file, _| !file.is_below(path));
            self.remove_folder(path);
        }
    }

    fn remove_folder(&mut self, path: &str) {
        let is_in = |folder: &str| folder.strip_prefix(path).is_some_and(|rest| rest.starts_with('/'));
        self.folders.retain(|folder| folder != path && !is_in(folder));
    }

    /// Removes a folder in which nothing is.
    pub(super) fn remove_emptied(&mut self, folder: &str) {
        let below = format!("{folder}/");
        let holds_folder = self.folders.iter().any(|other| other.starts_with(&below));
        if !holds_folder && self.below(folder).next().is_none() {
            self.folders.remove(folder);
        }
    }

    /// Looks at every path that is `tracked`, and at `extra` ones: those that a pull would write.
    pub(super) fn scan(&self, tracked: &ByPath<BundlePath>, extra: &[BundlePath]) -> Scan {
        let wanted: ByPath<BundlePath> = tracked.iter().chain(extra).cloned().collect();
        let file = |path: &BundlePath| self.files.get(path).map(|content| content.at(path));
        let files = wanted.iter().filter_map(file).collect();
        let obstacles = wanted.iter().filter(|path| self.is_obstacle(path, tracked)).cloned().collect();
        Scan { files: ByPath::keeping_first(files), obstacles }
    }

    fn is_obstacle(&self, path: &BundlePath, tracked: &ByPath<BundlePath>) -> bool {
        let is_untracked = |path: &BundlePath| tracked.at(path).is_none();
        let above = path.folders().find_map(|folder| self.files.get_key_value(folder));
        above.is_some_and(|(file, _)| is_untracked(file)) || self.below(path.as_str()).any(is_untracked)
    }

    /// The files that are not tracked and have one of these sizes.
    pub(super) fn untracked(&self, tracked: &ByPath<BundlePath>, sizes: &BTreeSet<u64>) -> ByPath<File> {
        let is_meant = |(path, content): &(&BundlePath, &Content)| {
            tracked.at(path).is_none() && sizes.contains(&content.size)
        };
        let found = self.files.iter().filter(is_meant).map(|(path, content)| content.at(path));
        ByPath::keeping_first(found.collect())
    }
}

/// Those of `paths` that `argument` means: the path itself, and all below where it is a folder's.
pub(super) fn select<'a>(
    paths: impl IntoIterator<Item = &'a BundlePath>,
    argument: &str,
) -> Vec<&'a BundlePath> {
    let is_meant = |path: &&BundlePath| path.as_str() == argument || path.is_below(argument);
    paths.into_iter().filter(is_meant).collect()
}

/// The paths of files.
pub(super) fn paths(files: &ByPath<File>) -> Vec<BundlePath> {
    files.iter().map(|file| file.path().clone()).collect()
}

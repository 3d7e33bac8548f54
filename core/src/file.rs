//! What a host saw: plain facts about files, held sorted by path bytes so that every comparison is one merge.

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::canonical::MAX_SAFE_INTEGER;
use crate::digest::Digest;
use crate::name::path::BundlePath;

/// One file, on either side of a comparison.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct File {
    /// Where it lies.
    pub path: BundlePath,
    /// The hash of its content.
    pub digest: Digest,
    /// How many bytes it has.
    pub size: u64,
    /// Its execute bit, the only part of a mode that a bundle keeps; unknown where a tool that records none wrote the bundle.
    pub executable: Option<bool>,
}

impl File {
    /// Whether both have the same content and mode, wherever they lie. An unknown mode equals any.
    pub fn is_same_as(&self, other: &Self) -> bool {
        self.digest == other.digest && modes_agree(self.executable, other.executable)
    }
}

/// Whether two modes can be the same: an unknown one equals any.
pub(crate) fn modes_agree(a: Option<bool>, b: Option<bool>) -> bool {
    a.zip(b).is_none_or(|(a, b)| a == b)
}

/// The mode that a file of the remote's has here: the remote's, where that is unknown the one it has in the project, else
/// the one it had when both last agreed.
pub(crate) fn known_mode(remote: &File, local: Option<&File>, base: Option<&SyncedFile>) -> Option<bool> {
    let here = || local.and_then(|file| file.executable);
    remote.executable.or_else(here).or_else(|| base?.executable)
}

/// What is remembered of a bundle's `files` once a pull has put them beside `local`: a mode that the bundle does not know
/// is the one that is known of it here.
#[must_use]
pub fn synced_here(
    files: &ByPath<File>,
    local: &ByPath<File>,
    base: &ByPath<SyncedFile>,
) -> ByPath<SyncedFile> {
    // Few modes are unknown, and no other path needs to be looked up.
    let mode = |file: &File| known_mode(file, local.at(&file.path), base.at(&file.path));
    let fact = |file: &File| SyncedFile {
        path: file.path.clone(),
        digest: file.digest,
        executable: file.executable.or_else(|| mode(file)),
    };
    // They are sorted and free of repetitions, as the files are.
    ByPath(files.iter().map(fact).collect())
}

/// What a project knew of one file when it last agreed with its remote.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct SyncedFile {
    /// Where it lay.
    pub path: BundlePath,
    /// The hash of its content then.
    pub digest: Digest,
    /// Its mode then; unknown where a tool that records none wrote the state.
    pub executable: Option<bool>,
}

impl SyncedFile {
    /// Whether `file` is what it was when it was last synced. An unknown mode equals any.
    pub fn is_of(&self, file: &File) -> bool {
        self.digest == file.digest && modes_agree(self.executable, file.executable)
    }
}

/// What a scan does with symbolic links.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SymlinkPolicy {
    /// Reads a link whose target resolves inside the project as the file it points to, and refuses any other.
    #[default]
    Inside,
    /// Refuses every link.
    Never,
    /// Reads whatever a link points to, also outside the project.
    Always,
}

/// Facts by path: sorted by path bytes, each path once, and no path the folder of another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ByPath<T>(Vec<T>);

/// Something that lies at a path.
pub trait HasPath {
    /// Where it lies.
    fn path(&self) -> &BundlePath;
}

impl HasPath for File {
    fn path(&self) -> &BundlePath {
        &self.path
    }
}

impl HasPath for SyncedFile {
    fn path(&self) -> &BundlePath {
        &self.path
    }
}

impl HasPath for BundlePath {
    fn path(&self) -> &BundlePath {
        self
    }
}

impl<T> Default for ByPath<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T: HasPath> ByPath<T> {
    /// Sorts `facts`; refuses a path that comes twice.
    ///
    /// What is already sorted costs one comparison a fact.
    pub fn new(mut facts: Vec<T>) -> Result<Self, RepeatedPath> {
        if !facts.is_sorted_by(|a, b| a.path() < b.path()) {
            facts.sort_by(|a, b| a.path().cmp(b.path()));
            let mut pairs = facts.iter().zip(facts.iter().skip(1));
            if let Some((repeated, _)) = pairs.find(|(one, next)| one.path() == next.path()) {
                return Err(RepeatedPath { path: repeated.path().clone() });
            }
        }
        Ok(Self(facts))
    }

    /// Sorts `facts`; of several at one path the first one stays.
    ///
    /// For facts that are made of sorted ones, so that there can be only one at each path.
    pub fn keeping_first(mut facts: Vec<T>) -> Self {
        if !facts.is_sorted_by(|a, b| a.path() < b.path()) {
            facts.sort_by(|a, b| a.path().cmp(b.path()));
            facts.dedup_by(|later, first| later.path() == first.path());
        }
        Self(facts)
    }

    /// The fact at `path`.
    pub fn at(&self, path: &BundlePath) -> Option<&T> {
        self.0.binary_search_by(|fact| fact.path().cmp(path)).ok().and_then(|at| self.0.get(at))
    }

    /// Each fact, with what `other` has at its path; both are gone through at once.
    pub fn beside<'a, U: HasPath>(
        &'a self,
        other: &'a ByPath<U>,
    ) -> impl Iterator<Item = (&'a T, Option<&'a U>)> {
        let mut rest = other.iter().peekable();
        self.0.iter().map(move |fact| {
            while rest.next_if(|next| next.path() < fact.path()).is_some() {}
            (fact, rest.next_if(|next| next.path() == fact.path()))
        })
    }

    /// Every pair of a path and another one that would have to be its folder.
    ///
    /// Such a tree cannot lie on any disk: `a` is a file in it and `a/b` too.
    pub fn nested(&self) -> impl Iterator<Item = (&BundlePath, &BundlePath)> {
        let mut last_folder = "";
        self.0.iter().map(HasPath::path).filter_map(move |path| {
            let folder = path.folders().last().unwrap_or_default();
            // Most neighbours share their folder, which then need not be looked up again.
            if folder == last_folder {
                return None;
            }
            last_folder = folder;
            path.folders().find_map(|folder| {
                let at = self.0.binary_search_by(|fact| fact.path().as_str().cmp(folder)).ok()?;
                Some((self.0.get(at)?.path(), path))
            })
        })
    }
}

impl ByPath<File> {
    /// The tree of these files, in any order; refuses what no index could hold and no disk could.
    pub fn tree(files: Vec<File>) -> Result<Self, TreeError> {
        if let Some(file) = files.iter().find(|file| file.size > MAX_SAFE_INTEGER) {
            return Err(TreeError::Size { path: file.path.clone() });
        }
        let files = Self::new(files)?;
        if let Some((folder, below)) = files.nested().next() {
            return Err(TreeError::Nested { folder: folder.clone(), below: below.clone() });
        }
        Ok(files)
    }
}

/// Why files cannot lie side by side in a tree.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum TreeError {
    /// One path would need another one, a file, to be a folder.
    #[error("`{folder}` is a file, and `{below}` would need it to be a folder")]
    Nested {
        /// The file.
        folder: BundlePath,
        /// The path below it.
        below: BundlePath,
    },
    /// A path comes twice.
    #[error(transparent)]
    Repeated(#[from] RepeatedPath),
    /// A file is too large for its size to be written in JSON.
    #[error("the size of `{path}` is greater than 2^53 - 1")]
    Size {
        /// The file.
        path: BundlePath,
    },
}

/// The set of these paths: one that comes twice is one.
impl FromIterator<BundlePath> for ByPath<BundlePath> {
    fn from_iter<I: IntoIterator<Item = BundlePath>>(paths: I) -> Self {
        let mut paths: Vec<BundlePath> = paths.into_iter().collect();
        if !paths.is_sorted_by(|a, b| a < b) {
            paths.sort();
            paths.dedup();
        }
        Self(paths)
    }
}

impl<T> ByPath<T> {
    /// The facts as a plain list.
    pub fn into_vec(self) -> Vec<T> {
        self.0
    }
}

impl<T> std::ops::Deref for ByPath<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        &self.0
    }
}

impl<'a, T> IntoIterator for &'a ByPath<T> {
    type Item = &'a T;
    type IntoIter = std::slice::Iter<'a, T>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.iter()
    }
}

/// How many bytes `files` have in all.
pub fn total_size(files: &ByPath<File>) -> u64 {
    files.iter().fold(0, |sum, file| sum.saturating_add(file.size))
}

/// What is remembered of `files` once both sides agree on them.
pub fn synced(files: &ByPath<File>) -> ByPath<SyncedFile> {
    let facts = files.iter().map(|file| SyncedFile {
        path: file.path.clone(),
        digest: file.digest,
        executable: file.executable,
    });
    // They are sorted and free of repetitions, as the files are.
    ByPath(facts.collect())
}

/// A file whose mode on disk is not the one that is known of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OddMode {
    /// Its place in the list of files.
    pub at: usize,
    /// The mode that is known of it, if one is.
    pub known: Option<bool>,
}

/// Those of `files`, as a disk shows them, whose modes are others than what is known of them: what both sides last agreed
/// on, else what the remote has. An executable file of which nothing is known is one of them.
///
/// Where the disk keeps no modes, these are nobody's changes: such a file has the mode that is known of it.
pub fn odd_modes(files: &ByPath<File>, base: &ByPath<SyncedFile>, remote: &ByPath<File>) -> Vec<OddMode> {
    // Few files are executable, and no other path needs to be looked up.
    let executable = |file: &&File| file.executable == Some(true);
    let here = files.iter().filter(executable).map(HasPath::path);
    let agreed = base.iter().filter(|file| file.executable == Some(true)).map(HasPath::path);
    let there = remote.iter().filter(executable).map(HasPath::path);
    let suspects: ByPath<BundlePath> = here.chain(agreed).chain(there).cloned().collect();
    let odd = suspects.iter().filter_map(|path| {
        let at = files.binary_search_by(|file| file.path.cmp(path)).ok()?;
        let agreed = base.at(path).and_then(|file| file.executable);
        let known = agreed.or_else(|| remote.at(path)?.executable);
        let shown = files.get(at)?.executable?;
        (known != Some(shown) && (shown || known.is_some())).then_some(OddMode { at, known })
    });
    odd.collect()
}

/// A list of facts names one path twice.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("the path `{path}` comes twice")]
pub struct RepeatedPath {
    /// The path.
    pub path: BundlePath,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tree_repeats_no_path_and_has_no_file_for_a_folder() {
        let file = |path: &str, size| File {
            path: path.parse().unwrap(),
            digest: Digest::EMPTY,
            size,
            executable: None,
        };
        let path = |text: &str| text.parse::<BundlePath>().unwrap();
        let sorted = ByPath::tree(vec![file("b/c", 1), file("a", MAX_SAFE_INTEGER)]).unwrap();
        assert_eq!(sorted.iter().map(|file| file.path.as_str()).collect::<Vec<_>>(), ["a", "b/c"]);
        for (files, fault) in [
            (vec![file("a", 1), file("a", 1)], TreeError::Repeated(RepeatedPath { path: path("a") })),
            (vec![file("a/b", 1), file("a", 1)], TreeError::Nested { folder: path("a"), below: path("a/b") }),
            (vec![file("a", MAX_SAFE_INTEGER + 1)], TreeError::Size { path: path("a") }),
        ] {
            assert_eq!(ByPath::tree(files), Err(fault));
        }
    }

    #[test]
    fn a_fact_stands_beside_the_other_one_at_its_path() {
        let paths =
            |paths: &[&str]| paths.iter().map(|path| path.parse().unwrap()).collect::<ByPath<BundlePath>>();
        let (some, others) = (paths(&["a", "b", "c/d", "e"]), paths(&["0", "b", "c", "c/d", "d", "f"]));
        let beside = |a: &ByPath<BundlePath>, b: &ByPath<BundlePath>| -> Vec<(String, bool)> {
            a.beside(b).map(|(path, other)| (path.to_string(), other == Some(path))).collect()
        };
        let expected = [("a", false), ("b", true), ("c/d", true), ("e", false)];
        assert_eq!(beside(&some, &others), expected.map(|(path, is_there)| (path.to_owned(), is_there)));
        for (a, b) in [(&some, &others), (&others, &some), (&some, &some), (&some, &ByPath::default())] {
            let looked_up: Vec<_> = a.iter().map(|path| (path.to_string(), b.at(path).is_some())).collect();
            assert_eq!(beside(a, b), looked_up);
        }
    }

    #[test]
    fn of_facts_at_one_path_the_first_stays_and_none_goes_with_it() {
        let fact = |path: &str, executable| SyncedFile {
            path: path.parse().unwrap(),
            digest: Digest::of(path.as_bytes()),
            executable: Some(executable),
        };
        let facts = vec![fact("b", true), fact("a", false), fact("b", false)];
        assert!(ByPath::new(facts.clone()).is_err());
        assert_eq!(ByPath::keeping_first(facts).into_vec(), [fact("a", false), fact("b", true)]);
    }

    #[test]
    fn a_mode_is_odd_where_it_is_not_what_was_agreed_or_else_what_the_remote_has() {
        let file = |path: &str, executable| File {
            path: path.parse().unwrap(),
            digest: Digest::of(path.as_bytes()),
            size: 1,
            executable: Some(executable),
        };
        let all =
            |executable| ByPath::new(["a", "b", "c", "d"].map(|path| file(path, executable)).into()).unwrap();
        let (plain, programs) = (all(false), all(true));
        let nothing = (ByPath::default(), ByPath::default());
        let odd = |files, base, remote| -> Vec<_> {
            odd_modes(files, base, remote).into_iter().map(|odd| (odd.at, odd.known)).collect()
        };
        assert_eq!(odd(&plain, &nothing.0, &nothing.1), []);
        assert_eq!(odd(&programs, &nothing.0, &nothing.1), [0, 1, 2, 3].map(|at| (at, None)));
        assert_eq!(odd(&plain, &nothing.0, &programs), [0, 1, 2, 3].map(|at| (at, Some(true))));
        // What was agreed counts before what the remote has by now, unless nobody wrote the mode down.
        let base = ["b", "c", "d"].map(|path| SyncedFile {
            path: path.parse().unwrap(),
            digest: Digest::of(b"before"),
            executable: match path {
                "b" => Some(false),
                "c" => None,
                _ => Some(true),
            },
        });
        let base = ByPath::new(base.into()).unwrap();
        assert_eq!(odd(&plain, &base, &programs), [(0, Some(true)), (2, Some(true)), (3, Some(true))]);
        assert_eq!(odd(&programs, &base, &plain), [(0, Some(false)), (1, Some(false)), (2, Some(false))]);
    }

    #[test]
    fn a_mode_that_a_bundle_does_not_know_stays_as_it_is() {
        let file =
            |executable| File { path: "p".parse().unwrap(), digest: Digest::EMPTY, size: 0, executable };
        let list = |executable| ByPath::new(vec![file(executable)]).unwrap();
        for (remote, local, base, expected) in [
            (Some(false), Some(Some(true)), Some(Some(true)), Some(false)),
            (None, Some(Some(true)), Some(Some(false)), Some(true)),
            (None, Some(Some(false)), Some(Some(true)), Some(false)),
            (None, None, Some(Some(true)), Some(true)),
            (None, None, Some(None), None),
            (None, None, None, None),
        ] {
            let local = local.map_or_else(ByPath::default, list);
            let base = base.map_or_else(ByPath::default, |mode| synced(&list(mode)));
            assert_eq!(synced_here(&list(remote), &local, &base), synced(&list(expected)));
        }
        assert!(file(None).is_same_as(&file(Some(true))) && file(Some(false)).is_same_as(&file(None)));
        assert!(!file(Some(false)).is_same_as(&file(Some(true))));
    }

    #[test]
    fn paths_become_a_set_in_order() {
        let paths =
            |texts: &[&str]| -> Vec<BundlePath> { texts.iter().map(|t| t.parse().unwrap()).collect() };
        let set: ByPath<BundlePath> = paths(&["b", "a", "b", "c"]).into_iter().collect();
        assert_eq!(set.into_vec(), paths(&["a", "b", "c"]));
    }
}

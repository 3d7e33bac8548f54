//! Which files the arguments of `add` and `remove` mean: paths, folders with all below them, and globs.
//!
//! A glob that matches a folder means all below it, as when a shell expands it.

use std::path::Path;

use bundle_core::ignore::EntryKind;
use bundle_core::path::BundlePath;
use bundle_core::snapshot::{ByPath, SymlinkPolicy};
use thiserror::Error;

use super::walk::{Refused, Untracked, WalkError, WalkOptions, walk};
use crate::project::Project;
use crate::project::disk_path::{DiskPathError, Place, resolve_argument, to_disk};
use crate::project::ignore_file::{IgnoreFileError, rules_of};

/// Whether ignored files are meant too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Force {
    /// They are.
    EvenIgnored,
    /// They are only counted.
    No,
}

/// What arguments mean.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selection {
    /// The files, sorted.
    pub paths: Vec<BundlePath>,
    /// How many files they mean that rules ignore, and that are not in `paths`.
    pub ignored: u64,
    /// Arguments that mean nothing that there is.
    pub unmatched: Vec<String>,
    /// What lies below the folders and globs that they name, but cannot be in a bundle.
    pub refused: Vec<Refused>,
}

/// Finds the files on disk that `arguments` mean for a user in the folder `cwd`, which is free of links.
pub fn select_on_disk(
    project: &Project,
    cwd: &Path,
    arguments: &[String],
    force: Force,
    symlinks: SymlinkPolicy,
) -> Result<Selection, SelectError> {
    let root = project.root();
    let patterns = parse_all(root, cwd, arguments, |argument| cwd.join(argument).symlink_metadata().is_ok())?;
    let mut matches = Matches::new(patterns);
    // A file that is named is looked for; folders and globs need a walk through everything.
    let named: Vec<BundlePath> =
        matches.patterns.iter().filter_map(|pattern| pattern.named_file(root)).collect();
    let mut wanted: Vec<&BundlePath> = named.iter().collect();
    wanted.sort_unstable();
    wanted.dedup();
    let untracked = match matches.patterns.iter().all(|pattern| pattern.named_file(root).is_some()) {
        true => Untracked::Skip,
        false => Untracked::ListIgnored,
    };
    let walked = walk(root, &wanted, WalkOptions { symlinks, untracked }, &|_| ())
        .map_err(|source| SelectError::Walk { source })?;
    if !walked.unreadable.is_empty() {
        let mut refused: Vec<_> = walked.unreadable.into_iter().map(|(_, refused)| refused).collect();
        refused.sort_by(|a, b| a.path.cmp(&b.path));
        return Err(SelectError::Refused { refused });
    }
    for file in &walked.files {
        let path = wanted[file.wanted];
        let folder = path.folders().last().unwrap_or_default();
        let rules = rules_of(root, folder).map_err(|source| SelectError::IgnoreFile { source })?;
        if force == Force::No && rules.is_ignored(path.as_str(), EntryKind::File) {
            matches.offer_ignored(path);
        } else {
            matches.offer_kept(path);
        }
    }
    for path in &walked.untracked {
        matches.offer_kept(path);
    }
    for path in &walked.ignored {
        match force {
            Force::EvenIgnored => matches.offer_kept(path),
            Force::No => matches.offer_ignored(path),
        }
    }
    let mut refused = walked.refused;
    refused.retain(|refused| matches.patterns.iter().any(|pattern| pattern.matches(&refused.path)));
    refused.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(Selection { refused, ..matches.finish() })
}

/// Finds those of the `tracked` paths that `arguments` mean for a user in the folder `cwd`, which is free of links.
pub fn select_tracked(
    project: &Project,
    cwd: &Path,
    arguments: &[String],
    tracked: &ByPath<BundlePath>,
) -> Result<Selection, SelectError> {
    let root = project.root();
    let is_path = |argument: &str| {
        let place = resolve_argument(root, cwd, Path::new(argument));
        place.is_ok_and(|place| tracked.binary_search_by(|path| path.as_str().cmp(place.as_str())).is_ok())
    };
    let mut matches = Matches::new(parse_all(root, cwd, arguments, is_path)?);
    for path in tracked {
        matches.offer_kept(path);
    }
    Ok(matches.finish())
}

/// One argument, understood.
#[derive(Debug)]
struct Pattern {
    argument: String,
    meaning: Meaning,
    has_matched: bool,
}

#[derive(Debug)]
enum Meaning {
    Glob(String),
    Place(Place),
}

impl Pattern {
    fn matches(&self, path: &str) -> bool {
        match &self.meaning {
            Meaning::Place(Place::Root) => true,
            Meaning::Place(Place::Below(place)) => {
                path.strip_prefix(place.as_str()).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
            }
            Meaning::Glob(glob) => {
                let folders = path.match_indices('/').map(|(at, _)| &path[..at]);
                folders.chain([path]).any(|path| fast_glob::glob_match(glob, path))
            }
        }
    }

    /// The path, if this names something that is no folder.
    fn named_file(&self, root: &Path) -> Option<BundlePath> {
        match &self.meaning {
            Meaning::Place(Place::Below(path)) if !to_disk(root, path).is_dir() => Some(path.clone()),
            Meaning::Place(_) | Meaning::Glob(_) => None,
        }
    }
}

/// What has been found for some patterns.
#[derive(Debug)]
struct Matches {
    patterns: Vec<Pattern>,
    paths: Vec<BundlePath>,
    ignored: u64,
}

impl Matches {
    fn new(patterns: Vec<Pattern>) -> Self {
        Self { patterns, paths: Vec::new(), ignored: 0 }
    }

    fn offer_kept(&mut self, path: &BundlePath) {
        if self.is_meant(path) {
            self.paths.push(path.clone());
        }
    }

    fn offer_ignored(&mut self, path: &BundlePath) {
        self.ignored += u64::from(self.is_meant(path));
    }

    fn is_meant(&mut self, path: &BundlePath) -> bool {
        let mut is_meant = false;
        for pattern in &mut self.patterns {
            if pattern.matches(path.as_str()) {
                pattern.has_matched = true;
                is_meant = true;
            }
        }
        is_meant
    }

    fn finish(mut self) -> Selection {
        self.paths.sort_unstable();
        let unmatched = self.patterns.into_iter().filter(|pattern| !pattern.has_matched);
        Selection {
            paths: self.paths,
            ignored: self.ignored,
            unmatched: unmatched.map(|pattern| pattern.argument).collect(),
            refused: Vec::new(),
        }
    }
}

/// Understands all `arguments`; one that `is_path` knows, or that holds no special character, is no glob.
fn parse_all(
    root: &Path,
    cwd: &Path,
    arguments: &[String],
    is_path: impl Fn(&str) -> bool,
) -> Result<Vec<Pattern>, SelectError> {
    let parse = |argument: &String| {
        let is_glob = argument.contains(['*', '?', '[', '{']) && !is_path(argument);
        let meaning = if is_glob {
            Meaning::Glob(parse_glob(root, cwd, argument)?)
        } else {
            parse_place(root, cwd, argument)?
        };
        Ok(Pattern { argument: argument.clone(), meaning, has_matched: false })
    };
    arguments.iter().map(parse).collect()
}

fn parse_place(root: &Path, cwd: &Path, argument: &str) -> Result<Meaning, SelectError> {
    let place = resolve_argument(root, cwd, Path::new(argument));
    place.map(Meaning::Place).map_err(|source| SelectError::Path { argument: argument.to_owned(), source })
}

/// Makes a glob that is relative to `cwd` one that is relative to the project.
fn parse_glob(root: &Path, cwd: &Path, argument: &str) -> Result<String, SelectError> {
    fast_glob::validate(argument).map_err(|source| SelectError::Glob {
        argument: argument.to_owned(),
        fault: format!("{source:?}"),
    })?;
    // The folders before the first special character are a path like any other, and may hold `..`.
    let special = argument.find(['*', '?', '[', '{', '\\']).unwrap_or(argument.len());
    let (folder, rest) =
        argument[..special].rfind('/').map_or(("", argument), |at| argument.split_at(at + 1));
    let place = resolve_argument(root, cwd, Path::new(if folder.is_empty() { "." } else { folder }));
    let place = place.map_err(|source| SelectError::Path { argument: argument.to_owned(), source })?;
    let mut glob = String::new();
    for c in place.as_str().chars() {
        if matches!(c, '*' | '?' | '[' | ']' | '{' | '}' | '!' | '\\') {
            glob.push('\\');
        }
        glob.push(c);
    }
    if !glob.is_empty() {
        glob.push('/');
    }
    Ok(glob + rest)
}

/// Why arguments could not be understood.
#[derive(Debug, Error)]
pub enum SelectError {
    /// A glob is malformed.
    #[error("`{argument}` is not a glob: {fault}")]
    Glob {
        /// The argument.
        argument: String,
        /// What is wrong with it.
        fault: String,
    },
    /// Ignore rules could not be read.
    #[error("cannot tell which files are ignored")]
    IgnoreFile {
        /// Why not.
        source: IgnoreFileError,
    },
    /// An argument cannot name anything in the project.
    #[error("`{argument}` names nothing that can be tracked")]
    Path {
        /// The argument.
        argument: String,
        /// Why not.
        source: DiskPathError,
    },
    /// Files that are named can be in no bundle.
    #[error("cannot track {}", .refused.iter().map(|one| format!("`{}` ({})", one.path.escape_debug(), one.reason)).collect::<Vec<_>>().join(", "))]
    Refused {
        /// Which, and why.
        refused: Vec<Refused>,
    },
    /// A folder could not be walked.
    #[error("cannot look through the project")]
    Walk {
        /// Which, and why.
        source: WalkError,
    },
}

#[cfg(test)]
#[cfg(unix)]
mod tests;

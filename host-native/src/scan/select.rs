//! Which files the arguments of `add` and `remove` mean on disk, or of those that are tracked. What an argument says:
//! [`arguments`].

mod arguments;

use std::ffi::OsString;
use std::path::Path;

use bundle_core::file::{ByPath, SymlinkPolicy};
use bundle_core::ignore::{EntryKind, IgnoreRules};
use bundle_core::name::path::BundlePath;
use thiserror::Error;

use self::arguments::{Arguments, Match};
use super::walk::{Refused, Untracked, WalkError, WalkOptions, walk_in};
use crate::project::Project;
use crate::project::disk_path::{DiskPathError, resolve_argument};
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
    /// Arguments that mean nothing that there is, or leave out nothing.
    pub unmatched: Vec<String>,
    /// Files that an argument names itself, and that rules ignore.
    pub ignored_by_name: Vec<BundlePath>,
    /// Globs that match ignored files alone.
    pub ignored_globs: Vec<String>,
    /// What lies below the folders and globs that they name, but cannot be in a bundle.
    pub refused: Vec<Refused>,
}

/// Finds the files on disk that `arguments` mean for a user in the folder `cwd`, which is free of links.
pub fn select_on_disk(
    project: &Project,
    cwd: &Path,
    arguments: &[OsString],
    force: Force,
    symlinks: SymlinkPolicy,
) -> Result<Selection, SelectError> {
    let root = project.root();
    let is_path = |argument: &str| cwd.join(argument).symlink_metadata().is_ok();
    let mut matches = Matches::new(Arguments::parse(root, cwd, arguments, is_path)?);
    // A file that is named is looked for; folders, globs and what they leave out need a walk through everything.
    let named = matches.arguments.named_files(root);
    let wanted: Vec<&BundlePath> = named.iter().collect();
    let untracked = if matches.arguments.are_all(&named) { Untracked::Skip } else { Untracked::ListIgnored };
    let areas = matches.arguments.areas();
    let enters = |folder: &str| areas.iter().any(|area| share_a_way(area, folder));
    let walked = walk_in(root, &wanted, WalkOptions { symlinks, untracked }, &enters, &|_| ())
        .map_err(|source| SelectError::Walk { source })?;
    let mut unreadable: Vec<Refused> = walked.unreadable.into_iter().map(|(_, refused)| refused).collect();
    let (named_itself, mut refused): (Vec<_>, Vec<_>) =
        walked.refused.into_iter().partition(|refused| matches.arguments.name(&refused.path));
    unreadable.extend(named_itself);
    if !unreadable.is_empty() {
        unreadable.sort_by(|a, b| a.path.cmp(&b.path));
        return Err(SelectError::Refused { refused: unreadable });
    }
    let mut rules = RulesByFolder { root, last: None };
    let mut files: Vec<&BundlePath> = walked.files.iter().map(|file| wanted[file.wanted]).collect();
    files.sort_unstable();
    for path in files {
        if force == Force::No && rules.ignore(path)? {
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
    refused.retain(|refused| matches.arguments.mean(&refused.path, Match::Kept));
    refused.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(Selection { refused, ..matches.finish() })
}

/// Whether one of two folders is, or lies in, the other; the top folder, which has no name, is everybody's.
fn share_a_way(one: &str, other: &str) -> bool {
    let is_in = |inner: &str, outer: &str| {
        outer.is_empty()
            || inner.strip_prefix(outer).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    is_in(one, other) || is_in(other, one)
}

/// Finds those of the `tracked` paths that `arguments` mean for a user in the folder `cwd`, which is free of links.
pub fn select_tracked(
    project: &Project,
    cwd: &Path,
    arguments: &[OsString],
    tracked: &ByPath<BundlePath>,
) -> Result<Selection, SelectError> {
    let root = project.root();
    let is_path = |argument: &str| {
        resolve_argument(root, cwd, Path::new(argument)).is_ok_and(|place| {
            let at = tracked.partition_point(|path| path.as_str() < place.as_str());
            let is_here = tracked.get(at).is_some_and(|path| path.as_str() == place.as_str());
            is_here
                || tracked
                    .iter()
                    .skip(at)
                    .take_while(|path| path.as_str().starts_with(place.as_str()))
                    .any(|path| path.is_below(place.as_str()))
        })
    };
    let mut matches = Matches::new(Arguments::parse(root, cwd, arguments, is_path)?);
    for path in tracked {
        matches.offer_kept(path);
    }
    Ok(matches.finish())
}

/// The ignore rules for files that are asked about by path: those of one folder are read once.
struct RulesByFolder<'a> {
    root: &'a Path,
    last: Option<(String, IgnoreRules)>,
}

impl RulesByFolder<'_> {
    fn ignore(&mut self, path: &BundlePath) -> Result<bool, SelectError> {
        let folder = path.folders().last().unwrap_or_default();
        let rules = match self.last.take_if(|(last, _)| last == folder) {
            Some((_, rules)) => rules,
            None => rules_of(self.root, folder).map_err(|source| SelectError::IgnoreFile { source })?,
        };
        let is_ignored = rules.is_ignored(path.as_str(), EntryKind::File);
        self.last = Some((folder.to_owned(), rules));
        Ok(is_ignored)
    }
}

/// What has been found for some arguments.
#[derive(Debug)]
struct Matches {
    arguments: Arguments,
    paths: Vec<BundlePath>,
    ignored: u64,
    ignored_by_name: Vec<BundlePath>,
}

impl Matches {
    fn new(arguments: Arguments) -> Self {
        Self { arguments, paths: Vec::new(), ignored: 0, ignored_by_name: Vec::new() }
    }

    fn offer_kept(&mut self, path: &BundlePath) {
        if self.arguments.mean(path.as_str(), Match::Kept) {
            self.paths.push(path.clone());
        }
    }

    fn offer_ignored(&mut self, path: &BundlePath) {
        if !self.arguments.mean(path.as_str(), Match::Ignored) {
            return;
        }
        self.ignored += 1;
        if self.arguments.name(path.as_str()) {
            self.ignored_by_name.push(path.clone());
        }
    }

    fn finish(mut self) -> Selection {
        self.paths.sort_unstable();
        Selection {
            paths: self.paths,
            ignored: self.ignored,
            ignored_by_name: self.ignored_by_name,
            ignored_globs: self.arguments.ignored_globs(),
            unmatched: self.arguments.unmatched(),
            refused: Vec::new(),
        }
    }
}

/// Why arguments could not be understood.
#[derive(Debug, Error)]
pub enum SelectError {
    /// An argument is empty, as where a shell's variable is.
    #[error("an argument is empty")]
    Empty,
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
    /// Every argument leaves out, and none says of what.
    #[error("`{argument}` only leaves out")]
    OnlyLeavesOut {
        /// One of them.
        argument: String,
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

//! What arguments of `add` and `remove` say: paths, folders with all below them, globs, and `!` before what to leave out.
//!
//! A glob that matches a folder means all below it, as when a shell expands it. There may be as many arguments as
//! files, when a shell expands one.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::Path;

use bundle_core::name::path::BundlePath;
use fast_glob::ErrorKind;

use super::SelectError;
use crate::project::disk_path::{DiskPathError, HERE, Place, resolve_argument, to_disk, with_slashes};

/// Signs that make an argument a glob, unless there is something of that very name.
const SPECIAL: [char; 4] = ['*', '?', '[', '{'];

/// Arguments, understood.
#[derive(Debug, Default)]
pub(super) struct Arguments {
    all: Vec<Argument>,
    /// Folders, as they are called in the project, outside of which no argument takes anything.
    areas: Vec<String>,
    /// By the place that they name, empty for the top folder.
    places: BTreeMap<String, Vec<usize>>,
    /// Globs that are relative to the project.
    globs: Vec<(String, usize)>,
}

#[derive(Debug)]
struct Argument {
    text: String,
    role: Role,
    has_matched: bool,
    /// Whether one of its files is not ignored.
    has_kept: bool,
}

/// What a file is that an argument may speak of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Match {
    /// One to be tracked.
    Kept,
    /// One that rules ignore.
    Ignored,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Role {
    Takes,
    LeavesOut,
}

impl Arguments {
    /// Understands `arguments` as a user in the folder `cwd` writes them; what `is_path` knows is neither glob nor `!`.
    pub(super) fn parse(
        root: &Path,
        cwd: &Path,
        arguments: &[OsString],
        is_path: impl Fn(&str) -> bool,
    ) -> Result<Self, SelectError> {
        let mut parsed = Self::default();
        for argument in arguments {
            let text = argument.to_str().ok_or_else(|| SelectError::Path {
                argument: argument.to_string_lossy().into_owned(),
                source: DiskPathError::NotUnicode { path: cwd.join(argument) },
            })?;
            let (role, meant) = match text.strip_prefix('!') {
                Some(left_out) if !is_path(text) => (Role::LeavesOut, left_out),
                _ => (Role::Takes, text),
            };
            if meant.is_empty() {
                return Err(SelectError::Empty);
            }
            let at = parsed.all.len();
            if meant.contains(SPECIAL) && !is_path(meant) {
                let (area, glob) = glob_in_project(root, cwd, meant)?;
                parsed.globs.push((glob, at));
                parsed.areas.extend(Some(area).filter(|_| role == Role::Takes));
            } else {
                let place = resolve(root, cwd, meant, meant)?;
                parsed.areas.extend(Some(place.as_str().to_owned()).filter(|_| role == Role::Takes));
                parsed.places.entry(place.as_str().to_owned()).or_default().push(at);
            }
            parsed.all.push(Argument { text: text.to_owned(), role, has_matched: false, has_kept: false });
        }
        match parsed.all.first() {
            Some(first) if parsed.all.iter().all(|argument| argument.role == Role::LeavesOut) => {
                Err(SelectError::OnlyLeavesOut { argument: first.text.clone() })
            }
            _ => Ok(parsed),
        }
    }

    /// Whether the file at `path` is taken, and not left out; every argument that speaks of it has then matched.
    pub(super) fn mean(&mut self, path: &str, found: Match) -> bool {
        let Self { all, places, globs, .. } = self;
        let (mut is_taken, mut is_left_out) = (false, false);
        let mut hear = |at: usize| {
            let Some(argument) = all.get_mut(at) else { return };
            argument.has_matched = true;
            argument.has_kept |= found == Match::Kept;
            match argument.role {
                Role::Takes => is_taken = true,
                Role::LeavesOut => is_left_out = true,
            }
        };
        let folders = || path.match_indices('/').map(|(at, _)| &path[..at]);
        if !places.is_empty() {
            let named = [""].into_iter().chain(folders()).chain([path]).filter_map(|place| places.get(place));
            named.flatten().for_each(|at| hear(*at));
        }
        for (glob, at) in globs {
            if folders().chain([path]).any(|path| fast_glob::glob_match(&*glob, path)) {
                hear(*at);
            }
        }
        is_taken && !is_left_out
    }

    /// Folders and files outside of which no argument takes anything; the top folder has an empty name.
    pub(super) fn areas(&self) -> Vec<String> {
        self.areas.clone()
    }

    /// Whether an argument names `path` itself, to take it.
    pub(super) fn name(&self, path: &str) -> bool {
        self.places.get(path).is_some_and(|arguments| self.any_takes(arguments))
    }

    /// The paths that are named and are no folders on disk, sorted.
    pub(super) fn named_files(&self, root: &Path) -> Vec<BundlePath> {
        let taken = self.places.iter().filter(|(_, arguments)| self.any_takes(arguments));
        let paths = taken.filter_map(|(place, _)| place.parse::<BundlePath>().ok());
        paths.filter(|path| !to_disk(root, path).is_dir()).collect()
    }

    /// Whether there are no other arguments than those that name `files`.
    pub(super) fn are_all(&self, files: &[BundlePath]) -> bool {
        self.globs.is_empty() && self.places.len() == files.len()
    }

    /// The globs that matched ignored files alone.
    pub(super) fn ignored_globs(&self) -> Vec<String> {
        let globs = self.globs.iter().filter_map(|(_, at)| self.all.get(*at));
        let ignored = globs.filter(|one| one.role == Role::Takes && one.has_matched && !one.has_kept);
        ignored.map(|argument| argument.text.clone()).collect()
    }

    /// The arguments that nothing was found for.
    pub(super) fn unmatched(self) -> Vec<String> {
        self.all.into_iter().filter(|argument| !argument.has_matched).map(|argument| argument.text).collect()
    }

    fn any_takes(&self, arguments: &[usize]) -> bool {
        arguments.iter().any(|at| self.all.get(*at).is_some_and(|argument| argument.role == Role::Takes))
    }
}

/// Where a user in the folder `cwd` points with `path`, as part of `argument`.
fn resolve(root: &Path, cwd: &Path, path: &str, argument: &str) -> Result<Place, SelectError> {
    resolve_argument(root, cwd, Path::new(path))
        .map_err(|source| SelectError::Path { argument: argument.to_owned(), source })
}

/// What is wrong with a glob.
fn fault_of_glob(error: &fast_glob::Error) -> String {
    match error.kind {
        ErrorKind::UnclosedBrace => "its `{` has no `}`",
        ErrorKind::UnclosedBracket => "its `[` has no `]`",
        ErrorKind::TrailingBackslash => "the `\\` at its end has nothing behind it",
        _ => return error.to_string(),
    }
    .to_owned()
}

/// Makes a glob that is relative to `cwd` one that is relative to the project; the folder outside of which it matches
/// nothing comes first.
fn glob_in_project(root: &Path, cwd: &Path, argument: &str) -> Result<(String, String), SelectError> {
    let glob = with_slashes(argument, HERE);
    fast_glob::validate(&*glob).map_err(|source| SelectError::Glob {
        argument: argument.to_owned(),
        fault: fault_of_glob(&source),
    })?;
    // The folders before the first special character are a path like any other, and may hold `..`.
    let special = glob.find(SPECIAL).into_iter().chain(glob.find('\\')).min().unwrap_or(glob.len());
    let (folder, rest) = glob[..special].rfind('/').map_or(("", &*glob), |at| glob.split_at(at + 1));
    let place = resolve(root, cwd, if folder.is_empty() { "." } else { folder }, argument)?;
    let mut in_project = String::new();
    for c in place.as_str().chars() {
        if matches!(c, '*' | '?' | '[' | ']' | '{' | '}' | '!' | '\\') {
            in_project.push('\\');
        }
        in_project.push(c);
    }
    if !in_project.is_empty() {
        in_project.push('/');
    }
    Ok((place.as_str().to_owned(), in_project + rest))
}

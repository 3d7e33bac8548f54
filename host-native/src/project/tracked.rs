//! The list of tracked paths: one POSIX path a line. What lies at those paths: [`crate::scan`].
//!
//! The Python tool reads the same list: it strips lines, and takes those that begin with `#` for comments. A path that
//! would not survive that is written as `./PATH/`, which names the same file and is no path of a bundle itself.

use std::io::{self, ErrorKind};
use std::path::PathBuf;

use bundle_core::file::{ByPath, HasPath, RepeatedPath};
use bundle_core::name::path::{BundlePath, PathFault};
use thiserror::Error;

use super::atomic::write_atomically;
use super::folder::Project;
use crate::whole_file::{self, Links, excerpt};

/// The file that holds the list, which is the only one that the Python tool reads.
pub(crate) const TRACKED_FILE: &str = "tracked.txt";

/// What earlier releases called it. It counts only where it is alone, and goes when the list is written.
pub(crate) const FORMER_FILE: &str = "tracked";

/// The longest list that is read, in bytes: as much as the text of the largest index.
const MAX_BYTES: u64 = bundle_core::bundle::index::MAX_INDEX_BYTES as u64;

/// The file that holds the project's list now.
fn tracked_file(project: &Project) -> PathBuf {
    let file = project.in_folder(TRACKED_FILE);
    let former = project.in_folder(FORMER_FILE);
    let is_there = |file: &PathBuf| file.symlink_metadata().is_ok();
    if !is_there(&file) && is_there(&former) { former } else { file }
}

/// Reads the list; a project without one tracks nothing.
pub fn read_tracked(project: &Project) -> Result<ByPath<BundlePath>, TrackedError> {
    let file = tracked_file(project);
    match whole_file::read(&file, MAX_BYTES, Links::Refuse) {
        Ok(bytes) => parse(&bytes, &file),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(ByPath::default()),
        Err(source) => Err(TrackedError::Read { file, source }),
    }
}

/// Replaces the list.
pub fn write_tracked(project: &Project, tracked: &ByPath<BundlePath>) -> Result<(), TrackedError> {
    write_atomically(project, TRACKED_FILE, &format_tracked(tracked))
        .map_err(|source| TrackedError::Write { file: project.in_folder(TRACKED_FILE), source })?;
    drop_former(project)
        .map_err(|source| TrackedError::Write { file: project.in_folder(FORMER_FILE), source })
}

/// Takes away the list of an earlier release, once there is one under the name of today.
///
/// Killed before this, a project has both, of which the new one counts.
pub(crate) fn drop_former(project: &Project) -> io::Result<()> {
    match std::fs::remove_file(project.in_folder(FORMER_FILE)) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// The list as its file holds it.
pub fn format_tracked(tracked: &ByPath<BundlePath>) -> Vec<u8> {
    let mut text = Vec::with_capacity(tracked.iter().map(|path| path.as_str().len() + 1).sum());
    for path in tracked {
        let (before, after) = if needs_marks(path.as_str()) { ("./", "/") } else { ("", "") };
        for part in [before, path.as_str(), after, "\n"] {
            text.extend_from_slice(part.as_bytes());
        }
    }
    text
}

/// Whether a line of just `path` would be read as something else, here or by the Python tool.
fn needs_marks(path: &str) -> bool {
    path.starts_with(['#', '\u{feff}']) || path.trim() != path
}

/// The path that a line names; no path of a bundle begins with `./` itself.
fn without_marks(line: &str) -> &str {
    match line.strip_prefix("./") {
        Some(path) => path.strip_suffix('/').unwrap_or(path),
        None => line,
    }
}

fn parse(bytes: &[u8], file: &std::path::Path) -> Result<ByPath<BundlePath>, TrackedError> {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let lines = bytes.iter().filter(|byte| **byte == b'\n').count();
    let mut paths = Vec::with_capacity(lines + 1);
    for (at, line) in bytes.split(|byte| *byte == b'\n').enumerate() {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        let Ok(text) = std::str::from_utf8(line) else {
            return Err(TrackedError::NotUnicode { file: file.to_owned(), line: at + 1 });
        };
        if text.trim().is_empty() || text.starts_with('#') {
            continue;
        }
        let fault =
            |fault| TrackedError::Line { file: file.to_owned(), line: at + 1, text: text.to_owned(), fault };
        paths.push(without_marks(text).parse().map_err(fault)?);
    }
    Ok(sorted_once(paths))
}

/// A path that is listed twice is tracked, no more.
fn sorted_once<T: HasPath>(mut facts: Vec<T>) -> ByPath<T> {
    facts.sort_by(|a, b| a.path().cmp(b.path()));
    facts.dedup_by(|a, b| a.path() == b.path());
    ByPath::new(facts).unwrap_or_else(|RepeatedPath { .. }| ByPath::default())
}

/// Why the list could not be read or written.
#[derive(Debug, Error)]
pub enum TrackedError {
    /// A line is no path of a bundle.
    #[error("{}, line {line}: `{}` cannot be tracked: {fault}", file.display(), excerpt(text))]
    Line {
        /// The list's file.
        file: PathBuf,
        /// The line, from 1.
        line: usize,
        /// What it says.
        text: String,
        /// The rule that it breaks.
        fault: PathFault,
    },
    /// A line is not UTF-8.
    #[error("{}, line {line} is not UTF-8", file.display())]
    NotUnicode {
        /// The list's file.
        file: PathBuf,
        /// The line, from 1.
        line: usize,
    },
    /// The file cannot be read.
    #[error("cannot read {}", file.display())]
    Read {
        /// The list's file.
        file: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The file cannot be written.
    #[error("cannot write {}", file.display())]
    Write {
        /// The list's file.
        file: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::*;

    fn project() -> (TempDir, Project) {
        let folder = TempDir::new().unwrap();
        let project = Project::create(folder.path()).unwrap();
        (folder, project)
    }

    #[test]
    fn reads_what_people_and_tools_write() {
        let (_folder, project) = project();
        assert!(read_tracked(&project).unwrap().is_empty());
        let text = "\u{feff}b.txt\r\n\r\n# why\na/x y\n  \nb.txt\na-b";
        std::fs::write(project.in_folder("tracked.txt"), text).unwrap();
        let paths: Vec<_> = read_tracked(&project).unwrap().iter().map(ToString::to_string).collect();
        assert_eq!(paths, ["a-b", "a/x y", "b.txt"]);
    }

    #[test]
    fn the_list_of_an_earlier_release_moves_when_it_is_written() {
        let (_folder, project) = project();
        std::fs::write(project.in_folder("tracked"), "old\n").unwrap();
        assert_eq!(read_tracked(&project).unwrap()[0].as_str(), "old");
        let tracked = ByPath::new(vec!["b".parse().unwrap(), "a".parse().unwrap()]).unwrap();
        write_tracked(&project, &tracked).unwrap();
        assert_eq!(std::fs::read(project.in_folder("tracked.txt")).unwrap(), b"a\nb\n");
        assert!(!project.in_folder("tracked").exists());
        // As after a kill between the two steps.
        std::fs::write(project.in_folder("tracked"), "old\n").unwrap();
        assert_eq!(read_tracked(&project).unwrap(), tracked);
    }

    #[test]
    fn what_is_written_is_read() {
        let (_folder, project) = project();
        let names = [
            "#1 results.csv",
            "#",
            " ",
            "  ",
            " leading",
            "trailing ",
            "\u{feff}marked",
            "\u{a0}",
            "\u{3000}x",
            "\"quoted\"",
            "'a'",
            "!not",
            "a #b",
            "folder/ ",
            "#d/e",
            " /x",
            "plain",
        ];
        let tracked: ByPath<BundlePath> = names.into_iter().map(|name| name.parse().unwrap()).collect();
        write_tracked(&project, &tracked).unwrap();
        assert_eq!(read_tracked(&project).unwrap(), tracked);
        // Neither stripping lines nor leaving out comments, as the Python tool does, takes anything from it.
        let text = std::fs::read_to_string(project.in_folder("tracked.txt")).unwrap();
        assert!(
            text.lines().all(|line| line.trim() == line && !line.is_empty() && !line.starts_with('#')),
            "{text}"
        );
        assert_eq!(text.lines().filter(|line| line.starts_with("./")).count(), 12, "{text}");
    }

    #[test]
    fn names_the_line_and_its_fault() {
        let (_folder, project) = project();
        std::fs::write(project.in_folder("tracked.txt"), "a\n../x\n").unwrap();
        let error = read_tracked(&project).unwrap_err();
        assert!(matches!(error, TrackedError::Line { line: 2, fault: PathFault::DotDotPart, .. }), "{error}");
        std::fs::write(project.in_folder("tracked.txt"), b"a\n././x\n").unwrap();
        assert!(matches!(read_tracked(&project), Err(TrackedError::Line { line: 2, .. })));
        std::fs::write(project.in_folder("tracked.txt"), b"a\n\xff\n").unwrap();
        assert!(matches!(read_tracked(&project), Err(TrackedError::NotUnicode { line: 2, .. })));
    }
}

//! The list of tracked paths: one POSIX path a line. What lies at those paths: [`crate::scan`].

use std::io::{self, ErrorKind};
use std::path::PathBuf;

use bundle_core::path::{BundlePath, PathFault};
use bundle_core::snapshot::{ByPath, HasPath, RepeatedPath};
use thiserror::Error;

use super::atomic::write_atomically;
use super::folder::Project;

/// The names that the list may have. Later Python releases use the second and do not read the first, so a project
/// that has it keeps it.
const FILE: &str = "tracked";
const TEXT_FILE: &str = "tracked.txt";

/// The file that holds the project's list, whether it exists or is yet to be written.
pub fn tracked_file(project: &Project) -> PathBuf {
    let text = project.in_folder(TEXT_FILE);
    if text.exists() { text } else { project.in_folder(FILE) }
}

/// Reads the list; a project without one tracks nothing.
pub fn read_tracked(project: &Project) -> Result<ByPath<BundlePath>, TrackedError> {
    let file = tracked_file(project);
    match std::fs::read(&file) {
        Ok(bytes) => parse(&bytes, &file),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(ByPath::default()),
        Err(source) => Err(TrackedError::Read { file, source }),
    }
}

/// Replaces the list.
pub fn write_tracked(project: &Project, tracked: &ByPath<BundlePath>) -> Result<(), TrackedError> {
    let file = tracked_file(project);
    write_atomically(&file, &format_tracked(tracked)).map_err(|source| TrackedError::Write { file, source })
}

/// The list as its file holds it.
pub fn format_tracked(tracked: &ByPath<BundlePath>) -> Vec<u8> {
    let mut text = Vec::with_capacity(tracked.iter().map(|path| path.as_str().len() + 1).sum());
    for path in tracked {
        text.extend_from_slice(path.as_str().as_bytes());
        text.push(b'\n');
    }
    text
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
        paths.push(text.parse().map_err(fault)?);
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
    #[error("{}, line {line}: `{}` cannot be tracked: {fault}", file.display(), text.escape_debug())]
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
        std::fs::write(project.in_folder("tracked"), text).unwrap();
        let paths: Vec<_> = read_tracked(&project).unwrap().iter().map(ToString::to_string).collect();
        assert_eq!(paths, ["a-b", "a/x y", "b.txt"]);
    }

    #[test]
    fn keeps_the_name_that_is_there() {
        let (_folder, project) = project();
        let tracked = ByPath::new(vec!["b".parse().unwrap(), "a".parse().unwrap()]).unwrap();
        write_tracked(&project, &tracked).unwrap();
        assert_eq!(std::fs::read(project.in_folder("tracked")).unwrap(), b"a\nb\n");
        std::fs::rename(project.in_folder("tracked"), project.in_folder("tracked.txt")).unwrap();
        write_tracked(&project, &ByPath::default()).unwrap();
        assert_eq!(std::fs::read(project.in_folder("tracked.txt")).unwrap(), b"");
        assert!(!project.in_folder("tracked").exists());
    }

    #[test]
    fn names_the_line_and_its_fault() {
        let (_folder, project) = project();
        std::fs::write(project.in_folder("tracked"), "a\n../x\n").unwrap();
        let error = read_tracked(&project).unwrap_err();
        assert!(matches!(error, TrackedError::Line { line: 2, fault: PathFault::DotDotPart, .. }), "{error}");
        std::fs::write(project.in_folder("tracked"), b"a\n\xff\n").unwrap();
        assert!(matches!(read_tracked(&project), Err(TrackedError::NotUnicode { line: 2, .. })));
    }
}

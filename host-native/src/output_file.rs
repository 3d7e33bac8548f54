//! A file that the user names to be written: where it really lies, and what is there.

use std::fs::{self, FileType};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use thiserror::Error;

use crate::leftovers::{Among, Readers, new_file};
use crate::project::atomic::sync_folder;

/// How many links may lead to a file, one behind the other: as many as systems commonly follow.
const MAX_LINKS: usize = 40;

/// Where a file is to be written: a place for a regular file, behind whatever links name it. What a link names is replaced,
/// and the link stays.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutputFile {
    path: PathBuf,
    found: Found,
}

/// What lies where a file is to be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found {
    /// A file, which would be replaced.
    File,
    /// Nothing.
    Nothing,
}

/// What becomes of a file that lies where another one is to be written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Existing {
    /// It is replaced.
    Goes,
    /// It stays, unless it has the content that would be written.
    #[default]
    Stays,
}

impl OutputFile {
    /// Looks at `named`, and writes nothing.
    ///
    /// # Errors
    ///
    /// Refuses folders, devices, pipes and sockets, and links to what a process has open: none of them can be replaced by a
    /// file that is whole.
    pub fn at(named: &Path) -> Result<Self, OutputError> {
        let fault = |source| OutputError::Look { path: named.to_owned(), source };
        let mut path = named.to_owned();
        for _ in 0..=MAX_LINKS {
            path = in_real_folder(&path).map_err(fault)?;
            if is_of_processes(&path) {
                return Err(OutputError::OpenFile { path: named.to_owned() });
            }
            let kind = match path.symlink_metadata() {
                Ok(found) => found.file_type(),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    return Ok(Self { path, found: Found::Nothing });
                }
                Err(error) => return Err(fault(error)),
            };
            if kind.is_file() {
                return Ok(Self { path, found: Found::File });
            }
            if !kind.is_symlink() {
                return Err(OutputError::NotAFile { path: named.to_owned(), kind: name_of(kind) });
            }
            let target = fs::read_link(&path).map_err(fault)?;
            path = path.parent().unwrap_or(Path::new("/")).join(target);
        }
        Err(OutputError::Links { path: named.to_owned() })
    }

    /// Where it lies, free of links.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The folder in which it lies.
    pub fn folder(&self) -> &Path {
        self.path.parent().unwrap_or(Path::new("/"))
    }

    /// Puts `content` there: what was there stays until all of it is on the disk.
    pub fn write(&self, content: &[u8]) -> io::Result<()> {
        let mut file = new_file(self.folder(), Among::OtherFiles, Readers::ByUmask)?;
        file.write_all(content)?;
        file.as_file().sync_all()?;
        file.persist(&self.path)?;
        sync_folder(self.folder())
    }

    /// What is there.
    pub fn found(&self) -> Found {
        self.found
    }

    /// Whether there is a file, which stays by `existing`.
    pub fn is_kept(&self, existing: Existing) -> bool {
        (self.found, existing) == (Found::File, Existing::Stays)
    }
}

/// The same file, named by its folder without links.
fn in_real_folder(path: &Path) -> io::Result<PathBuf> {
    let Some(name) = path.file_name() else { return path.canonicalize() };
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    Ok(folder.canonicalize()?.join(name))
}

/// Whether `path` is one of the names under which systems show what a process has open.
fn is_of_processes(path: &Path) -> bool {
    ["/proc", "/dev/fd"].iter().any(|folder| path.starts_with(folder))
}

fn name_of(kind: FileType) -> &'static str {
    #[cfg(unix)]
    {
        use std::os::unix::fs::FileTypeExt as _;
        if kind.is_fifo() {
            return "a pipe";
        }
        if kind.is_socket() {
            return "a socket";
        }
        if kind.is_block_device() || kind.is_char_device() {
            return "a device";
        }
    }
    if kind.is_dir() { "a folder" } else { "no file" }
}

/// Why a file cannot be written where it was named.
#[derive(Debug, Error)]
pub enum OutputError {
    /// Links that lead on and on.
    #[error("too many links lead from {}", path.display())]
    Links {
        /// What was named.
        path: PathBuf,
    },
    /// It cannot be looked at.
    #[error("cannot write {}", path.display())]
    Look {
        /// What was named.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Something else than a file is there.
    #[error("{} is {kind}, and only a file can be written", path.display())]
    NotAFile {
        /// What was named.
        path: PathBuf,
        /// What it is.
        kind: &'static str,
    },
    /// It stands for a file that a process has open.
    #[error("{} stands for what a process has open, and only a file can be written", path.display())]
    OpenFile {
        /// What was named.
        path: PathBuf,
    },
}

#[cfg(test)]
#[cfg(unix)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn a_link_stands_for_what_it_names_be_it_there_or_not() {
        let folder = tempfile::TempDir::new().unwrap();
        let root = folder.path().canonicalize().unwrap();
        fs::create_dir(root.join("large")).unwrap();
        fs::write(root.join("there"), "").unwrap();
        for (link, target) in
            [("a", "there"), ("b", "a"), ("new", "large/new"), ("loop", "loop"), ("pool", "large")]
        {
            symlink(target, root.join(link)).unwrap();
        }
        let at = |name: &str| OutputFile::at(&root.join(name));
        let expected = |name: &str, found| OutputFile { path: root.join(name), found };
        assert_eq!(at("there").unwrap(), expected("there", Found::File));
        assert_eq!(at("b").unwrap(), expected("there", Found::File));
        assert_eq!(at("new").unwrap(), expected("large/new", Found::Nothing));
        assert_eq!(at("pool/x").unwrap(), expected("large/x", Found::Nothing));
        assert!(matches!(at("loop"), Err(OutputError::Links { .. })));
        assert!(matches!(at("pool"), Err(OutputError::NotAFile { kind: "a folder", .. })));
        assert!(matches!(at("."), Err(OutputError::NotAFile { .. })));
        assert!(matches!(at("none/x"), Err(OutputError::Look { .. })));
        assert!(matches!(at("there/x"), Err(OutputError::Look { .. })));
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn devices_pipes_and_what_a_process_has_open_are_refused() {
        let folder = tempfile::TempDir::new().unwrap();
        for (link, target) in [("null", "/dev/null"), ("out", "/dev/stdout"), ("fd", "/proc/self/fd/1")] {
            symlink(target, folder.path().join(link)).unwrap();
        }
        let fifo = folder.path().join("fifo");
        let mode = rustix::fs::Mode::from_raw_mode(0o600);
        rustix::fs::mknodat(rustix::fs::CWD, &fifo, rustix::fs::FileType::Fifo, mode, 0).unwrap();
        for refused in ["null", "out", "fd", "fifo"].map(|name| folder.path().join(name)) {
            assert!(OutputFile::at(&refused).is_err(), "{}", refused.display());
        }
        for refused in ["/dev/null", "/dev/stdout", "/dev/fd/1", "/proc/self/fd/1"] {
            assert!(OutputFile::at(Path::new(refused)).is_err(), "{refused}");
        }
    }
}

//! Small files that are read whole: settings, lists, caches, credentials.
//!
//! Any of them may lie in a folder that came from somebody else, and so be a pipe that nobody writes to, a link to a
//! device without an end, or a file of a terabyte of nothing. So all of them are read here: never waited for, regular
//! files alone, and no more bytes than the caller has a use for, whatever the system says of their size.

use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, Read as _, Write as _};
use std::path::Path;

use thiserror::Error;

/// What to do about a link under the name of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Links {
    /// The user named the file, or keeps it elsewhere, as those who manage their settings with git do.
    Follow,
    /// The file is ours, and we make no links.
    Refuse,
}

/// Why a file is none to be read whole: the inner error of an [`io::Error`], so that it stands behind whatever could not
/// be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum FileFault {
    /// It is a link, where none is followed.
    #[error("it is a symbolic link, which is not followed here")]
    Link,
    /// It is a folder, a pipe, a device or a socket.
    #[error("it is not a regular file")]
    NotRegular,
    /// It has more bytes than such a file can have.
    #[error("it has more than {limit} bytes")]
    TooLong {
        /// How many it may have.
        limit: u64,
    },
}

impl FileFault {
    /// The fault behind `error`, if that is one.
    pub fn of(error: &io::Error) -> Option<Self> {
        error.get_ref()?.downcast_ref().copied()
    }
}

impl From<FileFault> for io::Error {
    fn from(fault: FileFault) -> Self {
        let kind = match fault {
            FileFault::Link | FileFault::NotRegular => ErrorKind::InvalidInput,
            FileFault::TooLong { .. } => ErrorKind::FileTooLarge,
        };
        Self::new(kind, fault)
    }
}

/// Reads the file at `path`, of at most `limit` bytes.
///
/// # Errors
///
/// A [`FileFault`] where it is not such a file, and whatever the system says.
pub fn read(path: &Path, limit: u64, links: Links) -> io::Result<Vec<u8>> {
    read_open(&open(path, links)?, limit)
}

/// The same, of a text in UTF-8.
///
/// # Errors
///
/// As [`read`], and [`ErrorKind::InvalidData`] where it is no UTF-8.
pub fn read_text(path: &Path, limit: u64, links: Links) -> io::Result<String> {
    text(read(path, limit, links)?)
}

/// The most characters of a file that a message quotes.
const EXCERPT_CHARS: usize = 80;

/// A piece of what a file says, short and in one line, to be quoted in a message.
pub fn excerpt(text: &str) -> String {
    let mut characters = text.chars();
    let mut short: String = characters.by_ref().take(EXCERPT_CHARS).flat_map(char::escape_debug).collect();
    if characters.next().is_some() {
        short.push('…');
    }
    short
}

/// What was read, as the text that it has to be.
pub(crate) fn text(bytes: Vec<u8>) -> io::Result<String> {
    String::from_utf8(bytes).map_err(|_| io::Error::new(ErrorKind::InvalidData, "it is not UTF-8"))
}

/// Adds `content` to the end of the regular file at `path`, or makes it where there is none; no link is followed.
///
/// # Errors
///
/// As [`read`].
pub fn append(path: &Path, content: &[u8]) -> io::Result<()> {
    open_to_append(path)?.write_all(content)
}

/// Opens the regular file at `path` to write behind its end, or to be locked, and makes it where there is none; no link
/// is followed.
///
/// # Errors
///
/// As [`read`].
pub fn open_to_append(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.append(true).create(true);
    open_with(path, options, Links::Refuse)
}

/// Opens the regular file at `path`, and waits for nobody.
///
/// # Errors
///
/// A [`FileFault`] where it is something else, and whatever the system says.
pub fn open(path: &Path, links: Links) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true);
    open_with(path, options, links)
}

fn open_with(path: &Path, mut options: OpenOptions, links: Links) -> io::Result<File> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt;
        let mut flags = rustix::fs::OFlags::NONBLOCK | rustix::fs::OFlags::NOCTTY;
        flags.set(rustix::fs::OFlags::NOFOLLOW, links == Links::Refuse);
        options.custom_flags(flags.bits().cast_signed());
    }
    let is_link = || links == Links::Refuse && path.symlink_metadata().is_ok_and(|found| found.is_symlink());
    // Elsewhere than on Unix a link is opened as what it points to.
    if !cfg!(unix) && is_link() {
        return Err(FileFault::Link.into());
    }
    let file = match options.open(path) {
        Ok(file) => file,
        Err(_) if is_link() => return Err(FileFault::Link.into()),
        // A socket, or a folder where the system does not open one.
        Err(error) if is_irregular(path) && error.kind() != ErrorKind::NotFound => {
            return Err(FileFault::NotRegular.into());
        }
        Err(error) => return Err(error),
    };
    check_regular(&file)?;
    Ok(file)
}

fn is_irregular(path: &Path) -> bool {
    path.metadata().is_ok_and(|found| !found.is_file())
}

/// Refuses what is open and no regular file.
///
/// # Errors
///
/// [`FileFault::NotRegular`], and whatever the system says.
pub fn check_regular(file: &File) -> io::Result<()> {
    if file.metadata()?.is_file() { Ok(()) } else { Err(FileFault::NotRegular.into()) }
}

/// Reads what is open, of at most `limit` bytes.
///
/// # Errors
///
/// [`FileFault::TooLong`], and whatever the system says.
pub fn read_open(file: &File, limit: u64) -> io::Result<Vec<u8>> {
    let expected = file.metadata()?.len();
    if expected > limit {
        return Err(FileFault::TooLong { limit }.into());
    }
    let mut content = Vec::new();
    content.try_reserve_exact(usize::try_from(expected).unwrap_or(usize::MAX).saturating_add(1))?;
    // One byte more than may be there tells that there is more.
    file.take(limit + 1).read_to_end(&mut content)?;
    if content.len() as u64 > limit { Err(FileFault::TooLong { limit }.into()) } else { Ok(content) }
}

#[cfg(test)]
#[cfg(unix)]
mod tests {
    use std::os::unix::fs::symlink;

    use tempfile::TempDir;

    use super::*;

    fn fault(result: &io::Result<Vec<u8>>) -> Option<FileFault> {
        result.as_ref().err().and_then(FileFault::of)
    }

    #[test]
    fn a_message_quotes_little_of_a_file() {
        assert_eq!(excerpt("a\tb\u{1b}"), "a\\tb\\u{1b}");
        assert_eq!(excerpt(&"ä".repeat(80)), "ä".repeat(80));
        assert_eq!(excerpt(&"ä".repeat(8_000_000)), "ä".repeat(80) + "…");
    }

    #[test]
    fn only_a_regular_file_of_bounded_length_is_read() {
        let folder = TempDir::new().unwrap();
        let at = |name: &str| folder.path().join(name);
        std::fs::write(at("file"), "12345").unwrap();
        std::fs::create_dir(at("folder")).unwrap();
        symlink("file", at("link")).unwrap();
        symlink("nowhere", at("dangling")).unwrap();
        symlink("/dev/zero", at("endless")).unwrap();
        rustix::fs::mknodat(
            rustix::fs::CWD,
            at("pipe"),
            rustix::fs::FileType::Fifo,
            rustix::fs::Mode::RUSR,
            0,
        )
        .unwrap();
        let _socket = std::os::unix::net::UnixListener::bind(at("socket")).unwrap();
        File::create(at("sparse")).unwrap().set_len(1 << 40).unwrap();

        let read = |name: &str, links| read(&at(name), 5, links);
        assert_eq!(read("file", Links::Refuse).unwrap(), b"12345");
        assert_eq!(read("link", Links::Follow).unwrap(), b"12345");
        assert_eq!(fault(&super::read(&at("file"), 4, Links::Refuse)), Some(FileFault::TooLong { limit: 4 }));
        assert_eq!(fault(&read("sparse", Links::Refuse)), Some(FileFault::TooLong { limit: 5 }));
        for name in ["folder", "pipe", "socket"] {
            assert_eq!(fault(&read(name, Links::Refuse)), Some(FileFault::NotRegular), "{name}");
            assert_eq!(fault(&read(name, Links::Follow)), Some(FileFault::NotRegular), "{name}");
        }
        for name in ["link", "dangling", "endless"] {
            assert_eq!(fault(&read(name, Links::Refuse)), Some(FileFault::Link), "{name}");
        }
        assert_eq!(fault(&read("endless", Links::Follow)), Some(FileFault::NotRegular));
        assert_eq!(read("dangling", Links::Follow).unwrap_err().kind(), ErrorKind::NotFound);
        assert_eq!(read("nowhere", Links::Refuse).unwrap_err().kind(), ErrorKind::NotFound);
    }
}

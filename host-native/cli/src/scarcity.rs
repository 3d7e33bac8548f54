//! What the system has run out of, or does not offer: told by its errors, whatever was being done, and what helps.

use std::error::Error;
use std::io;

use super::ui::bytes;
use modelops_bundle::address_space;

/// What was lacking.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scarcity {
    /// Memory that a process may have.
    AddressSpace,
    /// Room on a disk.
    Disk,
    /// The length that a file may have.
    FileSize,
    /// Files that a process may have open.
    OpenFiles,
    /// Files that all processes may have open.
    OpenFilesOfAll,
    /// Names that a file system takes.
    Names,
    /// The user's share of a disk.
    Quota,
    /// Writing at all.
    Writing,
}

impl Scarcity {
    /// What the system lacked where it is what lies behind `error`.
    pub(super) fn behind(error: &(dyn Error + 'static)) -> Option<Self> {
        causes(error).filter_map(|cause| cause.downcast_ref::<io::Error>()).find_map(Self::of)
    }

    fn of(error: &io::Error) -> Option<Self> {
        let Some(code) = error.raw_os_error() else { return Self::of_kind(error) };
        #[cfg(unix)]
        {
            use rustix::io::Errno;
            let scarcities = [
                (Errno::DQUOT, Self::Quota),
                (Errno::FBIG, Self::FileSize),
                (Errno::MFILE, Self::OpenFiles),
                (Errno::NAMETOOLONG, Self::Names),
                (Errno::NFILE, Self::OpenFilesOfAll),
                (Errno::NOMEM, Self::AddressSpace),
                (Errno::NOSPC, Self::Disk),
                (Errno::ROFS, Self::Writing),
            ];
            let found = scarcities.into_iter().find(|(errno, _)| errno.raw_os_error() == code);
            found.map(|(_, scarcity)| scarcity)
        }
        #[cfg(not(unix))]
        {
            let _ = code;
            Self::of_kind(error)
        }
    }

    /// By what kind an error is of; one that says more in words of ours is no error of the system's.
    fn of_kind(error: &io::Error) -> Option<Self> {
        match error.kind() {
            _ if error.get_ref().is_some() => None,
            io::ErrorKind::FileTooLarge => Some(Self::FileSize),
            io::ErrorKind::InvalidFilename => Some(Self::Names),
            io::ErrorKind::OutOfMemory => Some(Self::AddressSpace),
            io::ErrorKind::QuotaExceeded => Some(Self::Quota),
            io::ErrorKind::ReadOnlyFilesystem => Some(Self::Writing),
            io::ErrorKind::StorageFull => Some(Self::Disk),
            _ => None,
        }
    }

    /// What to do about it.
    pub(super) fn remedy(self) -> String {
        match self {
            Self::AddressSpace => match address_space::limit() {
                Some(limit) => format!(
                    "this process may have {} of address space (`ulimit -v`): allow more, or none at all",
                    bytes(limit)
                ),
                None => "the system has no more memory: end other programs".to_owned(),
            },
            Self::Disk => "the disk is full: make room there, or name another place".to_owned(),
            Self::FileSize => match largest_file() {
                Some(limit) => format!(
                    "this process may write files of at most {} (`ulimit -f`): allow more",
                    bytes(limit)
                ),
                None => "the file system there holds no file as large: name another place".to_owned(),
            },
            Self::OpenFiles => match most_open_files() {
                Some(limit) => {
                    format!("this process may have {limit} files open at a time (`ulimit -n`): allow more, or lower --concurrency")
                }
                None => "this process may have no more files open (`ulimit -n`): allow more".to_owned(),
            },
            Self::Names => "this file system takes no such name: most take 255 bytes at most".to_owned(),
            Self::OpenFilesOfAll => "the whole system opens no more files: end other programs".to_owned(),
            Self::Quota => {
                "your share of that disk is used up (`quota`): make room there, or name another place"
                    .to_owned()
            }
            Self::Writing => {
                "the file system is mounted to be read only: have it mounted otherwise, or work in another place"
                    .to_owned()
            }
        }
    }
}

/// An error and all that lies behind it, the outermost first.
pub(super) fn causes<'a>(
    error: &'a (dyn Error + 'static),
) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    let mut next = Some(error);
    std::iter::from_fn(move || {
        let error = next?;
        next = error.source();
        Some(error)
    })
}

fn largest_file() -> Option<u64> {
    #[cfg(unix)]
    return rustix::process::getrlimit(rustix::process::Resource::Fsize).current;
    #[cfg(not(unix))]
    return None;
}

fn most_open_files() -> Option<u64> {
    #[cfg(unix)]
    return rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
    #[cfg(not(unix))]
    return None;
}

#[cfg(test)]
#[cfg(unix)]
mod tests {
    use super::*;
    use modelops_bundle::project::state::StateError;

    #[test]
    fn what_lies_behind_an_error_is_found_however_deep_and_only_where_the_system_says_so() {
        let full = || io::Error::from_raw_os_error(rustix::io::Errno::NOSPC.raw_os_error());
        assert_eq!(Scarcity::behind(&full()), Some(Scarcity::Disk));
        let wrapped = StateError::Read { file: "x".into(), source: full() };
        assert_eq!(Scarcity::behind(&wrapped), Some(Scarcity::Disk));
        let ours = io::Error::from(modelops_bundle::whole_file::FileFault::TooLong { limit: 1 });
        assert_eq!(Scarcity::behind(&ours), None);
    }
}

//! An entry of a folder that is open, and the moves that a commit makes with such entries.

use std::io::{self, ErrorKind};

use cap_std::fs::{Dir, OpenOptions};

use super::modes::set_permissions;
use super::rescue::remove_empty_tree;
use super::stamp::Stamp;

/// A name in a folder that is open; whether anything has that name is another question.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Spot<'a> {
    pub(crate) folder: &'a Dir,
    pub(crate) name: &'a str,
}

/// What lies at a spot: a link itself, not its target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Found {
    /// Anything but a folder.
    File(Stamp),
    Folder,
}

impl<'a> Spot<'a> {
    pub(crate) fn new(folder: &'a Dir, name: &'a str) -> Self {
        Self { folder, name }
    }

    /// What lies there.
    pub(crate) fn look(self) -> io::Result<Option<Found>> {
        match self.folder.symlink_metadata(self.name) {
            Ok(found) if found.is_dir() => Ok(Some(Found::Folder)),
            Ok(found) => Ok(Some(Found::File(Stamp::of_entry(&found)))),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Moves what lies there to `target`, in place of what lies there.
    pub(crate) fn rename(self, target: Spot<'_>) -> io::Result<()> {
        self.folder.rename(self.name, target.folder, target.name)
    }

    /// Lets what lies here and what lies at `other` change places, in one step.
    ///
    /// That is [`ErrorKind::Unsupported`] or [`ErrorKind::InvalidInput`] where the file system cannot do it.
    pub(crate) fn exchange(self, other: Spot<'_>) -> io::Result<()> {
        #[cfg(test)]
        if !CAN_EXCHANGE.get() {
            return Err(ErrorKind::Unsupported.into());
        }
        #[cfg(target_os = "linux")]
        {
            use rustix::fs::{RenameFlags, renameat_with};
            let exchange = RenameFlags::EXCHANGE;
            Ok(renameat_with(self.folder, self.name, other.folder, other.name, exchange)?)
        }
        #[cfg(not(target_os = "linux"))]
        {
            let _ = other;
            Err(ErrorKind::Unsupported.into())
        }
    }

    /// Keeps what lies here at `kept` too, or there alone where it can have one name only.
    pub(crate) fn keep_at(self, kept: Spot<'_>) -> io::Result<()> {
        if self.look()? != Some(Found::Folder) && self.link(kept).is_ok() {
            return Ok(());
        }
        match self.rename(kept) {
            // Some file systems let no folder be moved; one without files in it is made again as easily.
            Err(error)
                if error.kind() == ErrorKind::CrossesDevices
                    && remove_empty_tree(self.folder, self.name)? =>
            {
                Ok(())
            }
            other => other,
        }
    }

    fn link(self, kept: Spot<'_>) -> io::Result<()> {
        match self.folder.hard_link(self.name, kept.folder, kept.name) {
            // From an earlier try that did not come further.
            Err(error) if error.kind() == ErrorKind::AlreadyExists && self.look()? == kept.look()? => Ok(()),
            other => other,
        }
    }

    /// Copies the file that lies here to `target`; the copy is known by its time once it is whole, and not before.
    pub(crate) fn copy(self, target: Spot<'_>) -> io::Result<()> {
        target.remove()?;
        let mut from = self.folder.open(self.name)?.into_std();
        let new = OpenOptions::new().write(true).create_new(true).clone();
        let mut to = target.folder.open_with(target.name, &new)?.into_std();
        io::copy(&mut from, &mut to)?;
        let metadata = from.metadata()?;
        set_permissions(&to, metadata.permissions())?;
        to.sync_all()?;
        to.set_modified(metadata.modified()?)
    }

    /// The same of whatever file lies here: of a link itself, not of its target.
    pub(crate) fn copy_as_it_is(self, target: Spot<'_>) -> io::Result<()> {
        let found = self.folder.symlink_metadata(self.name)?;
        if !found.is_symlink() {
            return self.copy(target);
        }
        target.remove()?;
        let leads_to = self.folder.read_link_contents(self.name)?;
        #[cfg(unix)]
        {
            use cap_std::fs::MetadataExt as _;
            use rustix::fs::{AtFlags, Timespec, Timestamps, symlinkat, utimensat};
            symlinkat(&leads_to, target.folder, target.name)?;
            let modified = Timespec { tv_sec: found.mtime(), tv_nsec: found.mtime_nsec() };
            let times = Timestamps { last_access: modified, last_modification: modified };
            Ok(utimensat(target.folder, target.name, &times, AtFlags::SYMLINK_NOFOLLOW)?)
        }
        #[cfg(not(unix))]
        {
            let _ = (found, leads_to);
            Err(ErrorKind::Unsupported.into())
        }
    }

    /// Lets what lies here be at `target` too, as a second name where there can be one, else as a copy.
    pub(crate) fn link_or_copy(self, target: Spot<'_>) -> io::Result<()> {
        self.folder.hard_link(self.name, target.folder, target.name).or_else(|_| self.copy_as_it_is(target))
    }

    /// Removes the file that lies here, if one does.
    pub(crate) fn remove(self) -> io::Result<()> {
        match self.folder.remove_file(self.name) {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }
}

/// Whether a move failed because it would lead to another file system, or out of a mount.
pub(crate) fn crosses(error: &io::Error) -> bool {
    error.kind() == ErrorKind::CrossesDevices
}

/// Whether an exchange failed because the file system, or the system, knows no such thing.
pub(crate) fn cannot_exchange(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::InvalidInput | ErrorKind::Unsupported)
}

#[cfg(test)]
thread_local! {
    /// Lets a test see what happens on a file system that lets no names change places.
    pub(crate) static CAN_EXCHANGE: std::cell::Cell<bool> = const { std::cell::Cell::new(true) };
}

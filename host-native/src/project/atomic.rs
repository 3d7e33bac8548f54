//! Files that are either there whole or not at all. No locking; see [`super::lock`] for that.

use std::fs::File;
use std::io::{self, Write};

use super::folder::Project;
use super::own_folder::{Access, OwnFolder};
use crate::leftovers::NewFile;
pub(crate) use modelops_bundle_remote::files::durable::{is_unable, sync_folder};
pub use modelops_bundle_remote::files::durable::{make_folders, remove_folders};

/// Puts `content` at `name` in the own folder of `project`: what was there stays until all of it is on the disk.
pub(crate) fn write_atomically(project: &Project, name: &'static str, content: &[u8]) -> io::Result<()> {
    settle(OwnFolder::of(project)?, name, content)?.put().map(drop)
}

/// Brings `content` to the disk beside `name` in `folder`, which it replaces once it is told to.
pub(crate) fn settle(folder: OwnFolder, name: &'static str, content: &[u8]) -> io::Result<Settled> {
    let mut file = folder.new_file(Access::Shared)?;
    file.write_all(content)?;
    file.as_file().sync_all()?;
    Ok(Settled { file, folder, name })
}

/// Content that is on the disk and waits for its name; gone where it never gets that.
#[derive(Debug)]
#[must_use = "it has no name yet"]
pub(crate) struct Settled {
    file: NewFile,
    folder: OwnFolder,
    name: &'static str,
}

impl Settled {
    /// Gives it its name, also in case of a power cut.
    pub(crate) fn put(self) -> io::Result<File> {
        let file = self.folder.put(self.file, self.name)?;
        self.folder.sync()?;
        Ok(file)
    }
}

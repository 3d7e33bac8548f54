//! Carries out what a journal promises: at once, or the rest of it after a crash.
//!
//! Steps are in an order that works from any state an earlier try can have left: deletions, then folders that became
//! empty, then new files, then the project's own files, then the journal itself. Whatever stands in the way and is
//! not what the journal expects is the user's: it is moved aside, never lost. When this runs: [`super::journal`] and
//! [`super::recovery`].

use std::collections::BTreeSet;
use std::io::{self, ErrorKind};
use std::path::PathBuf;

use bundle_core::path::BundlePath;
use cap_std::ambient_authority;
use cap_std::fs::Dir;
use thiserror::Error;

use super::atomic::sync_folder;
use super::folder::{PROJECT_FOLDER, Project};
use super::journal::{Before, Delete, Journal, Promise};
use super::new_folders::{NewFolder, NewFolders};
use super::parents::{Missing, ParentError, Parents, split};
use super::rescue::{Rescued, place, remove_empty_tree, rescue};
use super::staging::clear;
use super::stamp::Stamp;
use super::tracked::{TRACKED_FILE, drop_former};

/// From how many folders on one sync of the whole file system is cheaper than one for each.
#[cfg(target_os = "linux")]
const SYNC_AT_ONCE_ABOVE: usize = 64;

/// What a commit came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Applied {
    /// Files of the user that were moved aside.
    pub rescued: Vec<Rescued>,
    /// Files that were promised, but whose staged content somebody took away. When there are any, the record of what
    /// was synced is left as it was.
    pub lost: Vec<BundlePath>,
}

/// Called with what is about to be done; an error there ends it all, as a crash would.
pub(crate) type BeforeStep<'a> = &'a mut dyn FnMut(&'static str) -> io::Result<()>;

/// Does what `journal` says, or the rest of it. `new_folders` are those that have just been staged, whole; after a crash
/// nobody knows whether they still are, and each file goes for itself.
pub(crate) fn apply(
    project: &Project,
    journal: &Journal,
    new_folders: &NewFolders,
    before_step: BeforeStep<'_>,
) -> Result<Applied, ApplyError> {
    let fault = |source| ApplyError::Folder { folder: project.folder(), source };
    let root = Parents::new(project.root()).map_err(fault)?;
    let staging = open_staging(project).map_err(fault)?;
    let mut work = Work {
        project,
        journal,
        parents: root,
        staging,
        touched: BTreeSet::new(),
        applied: Applied::default(),
        before_step,
    };
    for delete in &journal.deletes {
        work.delete(delete)?;
    }
    work.remove_emptied_folders()?;
    let mut placed = BTreeSet::new();
    for folder in new_folders.iter() {
        if work.place_folder(folder)? {
            placed.insert(folder.staged.as_str());
        }
    }
    let is_placed =
        |write: &&Promise| write.staged.split_once('/').is_some_and(|(folder, _)| placed.contains(folder));
    for write in journal.writes.iter().filter(|write| !is_placed(write)) {
        work.write(write)?;
    }
    work.sync().map_err(fault)?;
    work.finish().map_err(fault)?;
    Ok(work.applied)
}

fn open_staging(project: &Project) -> io::Result<Dir> {
    let folder = project.staging_folder();
    std::fs::create_dir_all(&folder)?;
    Dir::open_ambient_dir(folder, ambient_authority())
}

struct Work<'a> {
    project: &'a Project,
    journal: &'a Journal,
    parents: Parents,
    staging: Dir,
    /// Folders whose names changed.
    touched: BTreeSet<String>,
    applied: Applied,
    before_step: BeforeStep<'a>,
}

impl Work<'_> {
    fn delete(&mut self, delete: &Delete) -> Result<(), ApplyError> {
        let Delete { path, expected_before } = delete;
        let fault = |source| ApplyError::Delete { path: path.clone(), source };
        let (folder, name) = split(path.as_str());
        let parent = match self.parents.of(path, Missing::Leave) {
            Ok(Some(parent)) => parent,
            // The new file that replaced the folder, or what the user has put there since: no folder, no file in it.
            Ok(None) => return Ok(()),
            Err(error) if error.obstacle().is_some() => return Ok(()),
            Err(source) => {
                return Err(ApplyError::Parent { path: path.clone(), source });
            }
        };
        let Some(found) = look(parent, name).map_err(fault)? else {
            return Ok(());
        };
        match found {
            // The folder of new files that replaced the file.
            Found::Folder => return Ok(()),
            Found::File(stamp) if is_expected(expected_before, &stamp) => {
                (self.before_step)("delete").map_err(fault)?;
                parent.remove_file(name).map_err(fault)?;
            }
            // Where upper and lower case are one, the name may already be that of a new file.
            Found::File(stamp)
                if self.journal.writes.iter().any(|write| write.after.is_same_content(&stamp)) =>
            {
                return Ok(());
            }
            Found::File(_) => {
                (self.before_step)("rescue").map_err(fault)?;
                self.applied.rescued.push(rescue(self.project, parent, path.as_str()).map_err(fault)?);
            }
        }
        self.touched.insert(folder.to_owned());
        Ok(())
    }

    fn remove_emptied_folders(&mut self) -> Result<(), ApplyError> {
        let journal = self.journal;
        let folders: BTreeSet<&str> =
            journal.deletes.iter().flat_map(|delete| delete.path.folders()).collect();
        // A folder sorts before what lies in it, so backwards is inside out.
        for folder in folders.into_iter().rev().filter(|folder| !journal.writes_below(folder)) {
            let (above, name) = split(folder);
            self.parents.forget();
            let Ok(Some(parent)) = self.parents.open(above, Missing::Leave) else {
                continue;
            };
            let fault = |source| ApplyError::Folder { folder: folder.into(), source };
            (self.before_step)("remove folder").map_err(fault)?;
            // That it is gone, a link, or holds something is no fault: it stays then.
            if parent.remove_dir(name).is_ok() {
                self.touched.insert(above.to_owned());
                self.touched.remove(folder);
            }
        }
        self.parents.forget();
        Ok(())
    }

    /// Puts a folder in place with all that is in it; says whether that was possible. Where it is not, its files go
    /// one by one, which says what stands in the way.
    fn place_folder(&mut self, folder: &NewFolder) -> Result<bool, ApplyError> {
        let (above, name) = split(folder.path.as_str());
        let Ok(Some(parent)) = self.parents.open(above, Missing::Leave) else {
            return Ok(false);
        };
        let fault = |source| ApplyError::Write { path: folder.path.clone(), source };
        if look(parent, name).map_err(fault)?.is_some() {
            return Ok(false);
        }
        (self.before_step)("place folder").map_err(fault)?;
        // Over an empty folder that has come there by now it succeeds too, over anything else it fails.
        if self.staging.rename(&folder.staged, parent, name).is_err() {
            return Ok(false);
        }
        self.touched.insert(above.to_owned());
        Ok(true)
    }

    fn write(&mut self, write: &Promise) -> Result<(), ApplyError> {
        let fault = |source| ApplyError::Write { path: write.path.clone(), source };
        let (folder, name) = split(write.path.as_str());
        let is_staged = look(&self.staging, &write.staged).map_err(fault)?.is_some();
        if !is_staged {
            return self.check_written(write);
        }
        self.clear_way(&write.path)?;
        let parent_fault = |source| ApplyError::Parent { path: write.path.clone(), source };
        let Some(parent) = self.parents.of(&write.path, Missing::Create).map_err(parent_fault)? else {
            return Err(fault(ErrorKind::NotFound.into()));
        };
        match look(parent, name).map_err(fault)? {
            Some(Found::Folder) => {
                (self.before_step)("clear folder").map_err(fault)?;
                if !remove_empty_tree(parent, name).map_err(fault)? {
                    self.applied
                        .rescued
                        .push(rescue(self.project, parent, write.path.as_str()).map_err(fault)?);
                }
            }
            Some(Found::File(stamp)) if !is_of_commit(write, &stamp) => {
                (self.before_step)("rescue").map_err(fault)?;
                self.applied.rescued.push(rescue(self.project, parent, write.path.as_str()).map_err(fault)?);
            }
            None | Some(Found::File(_)) => {}
        }
        (self.before_step)("write").map_err(fault)?;
        place(&self.staging, &write.staged, parent, name).map_err(fault)?;
        self.touched.insert(folder.to_owned());
        Ok(())
    }

    /// An earlier try has put it in place, unless somebody took it away before that.
    fn check_written(&mut self, write: &Promise) -> Result<(), ApplyError> {
        let found = match self.parents.of(&write.path, Missing::Leave) {
            Ok(Some(parent)) => look(parent, split(write.path.as_str()).1)
                .map_err(|source| ApplyError::Write { path: write.path.clone(), source })?,
            Ok(None) | Err(_) => None,
        };
        let is_lost = match found {
            None => write.before == Before::Absent,
            Some(Found::File(stamp)) => is_expected(&write.before, &stamp),
            Some(Found::Folder) => false,
        };
        if is_lost {
            self.applied.lost.push(write.path.clone());
        }
        Ok(())
    }

    /// Moves aside what has come to stand where a folder above `path` has to be.
    fn clear_way(&mut self, path: &BundlePath) -> Result<(), ApplyError> {
        loop {
            let Err(error) = self.parents.of(path, Missing::Leave) else {
                return Ok(());
            };
            let fault = |source| ApplyError::Write { path: path.clone(), source };
            // The journal lies in the project's own folder, and would go with it.
            let obstacle = error.obstacle().filter(|folder| *folder != PROJECT_FOLDER).map(str::to_owned);
            let Some(obstacle) = obstacle else {
                return Err(ApplyError::Parent { path: path.clone(), source: error });
            };
            let (above, _) = split(&obstacle);
            let parent_fault = |source| ApplyError::Parent { path: path.clone(), source };
            let Some(parent) = self.parents.open(above, Missing::Leave).map_err(parent_fault)? else {
                return Ok(());
            };
            (self.before_step)("rescue").map_err(fault)?;
            self.applied.rescued.push(rescue(self.project, parent, &obstacle).map_err(fault)?);
            self.touched.insert(above.to_owned());
            self.parents.forget();
        }
    }

    fn sync(&self) -> io::Result<()> {
        let root = self.project.root();
        #[cfg(target_os = "linux")]
        if self.touched.len() > SYNC_AT_ONCE_ABOVE {
            return Ok(rustix::fs::syncfs(std::fs::File::open(root)?)?);
        }
        for folder in &self.touched {
            match sync_folder(&root.join(folder)) {
                Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        Ok(())
    }

    fn finish(&mut self) -> io::Result<()> {
        if self.applied.lost.is_empty() {
            for (staged, name) in &self.journal.own_files {
                (self.before_step)("own file")?;
                match std::fs::rename(
                    self.project.staging_folder().join(staged),
                    self.project.in_folder(name),
                ) {
                    Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
                    _ => {}
                }
            }
            // A journal of an earlier release puts the list under its former name.
            if self.journal.own_files.iter().any(|(_, name)| name == TRACKED_FILE) {
                (self.before_step)("former list")?;
                drop_former(self.project)?;
            }
            sync_folder(&self.project.folder())?;
        }
        (self.before_step)("drop journal")?;
        std::fs::remove_file(self.project.journal_file())?;
        sync_folder(&self.project.folder())?;
        (self.before_step)("clear staging")?;
        clear(&self.project.staging_folder())
    }
}

enum Found {
    /// Anything but a folder; a link itself, not its target.
    File(Stamp),
    Folder,
}

fn look(folder: &Dir, name: &str) -> io::Result<Option<Found>> {
    match folder.symlink_metadata(name) {
        Ok(found) if found.is_dir() => Ok(Some(Found::Folder)),
        Ok(found) => Ok(Some(Found::File(Stamp::of_entry(&found)))),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

fn is_expected(before: &Before, found: &Stamp) -> bool {
    matches!(before, Before::Present(stamp) if stamp.is_same_content(found))
}

/// Whether `found` is what is to be replaced, or a copy of the new file that a crash kept from being ticked off.
fn is_of_commit(write: &Promise, found: &Stamp) -> bool {
    is_expected(&write.before, found) || write.after.has_same_time_and_size(found)
}

/// Why a promised change could not be made yet; the next command tries again.
#[derive(Debug, Error)]
pub enum ApplyError {
    /// A file could not be removed.
    #[error("cannot remove `{path}`")]
    Delete {
        /// The file.
        path: BundlePath,
        /// What the system said.
        source: io::Error,
    },
    /// A folder could not be changed or synced.
    #[error("cannot finish the changes in {}", folder.display())]
    Folder {
        /// The folder.
        folder: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The folder of a target could not be opened.
    #[error("cannot reach `{path}`")]
    Parent {
        /// The target.
        path: BundlePath,
        /// What is wrong with its folder.
        source: ParentError,
    },
    /// A file could not be put in place.
    #[error("cannot put `{path}` in place")]
    Write {
        /// The file.
        path: BundlePath,
        /// What the system said.
        source: io::Error,
    },
}

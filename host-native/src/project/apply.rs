//! Carries out what a journal promises: at once, or the rest of it after a crash.
//!
//! Steps are in an order that works from any state an earlier try can have left: deletions, then new files, then the
//! project's own files, and once all that is done, what can be done without: folders that became empty, what was kept,
//! the journal itself. What a step takes out of its place is kept in staging until then, so that
//! [`super::roll_back`] can put it back where a later step is refused. Whatever stands in the way and is not what the
//! journal expects is the user's: it is moved aside, never lost. When this runs: [`super::journal`] and
//! [`super::recovery`].

use std::collections::BTreeSet;
use std::io::{self, ErrorKind};
use std::path::PathBuf;

use bundle_core::name::path::BundlePath;
use cap_std::fs::Dir;
use thiserror::Error;

use super::atomic::sync_folder;
use super::folder::{PROJECT_FOLDER, Project, STAGING};
use super::journal::{Before, Delete, Journal, Promise};
use super::keep::{has_begun, is_lasting, keep, keep_aside};
use super::kept::Kept;
use super::new_folders::{NewFolder, NewFolders};
use super::own_folder::OwnFolder;
use super::parents::{Missing, ParentError, Parents, split};
use super::rescue::{Rescued, is_empty_tree, remove_empty_tree, rescue};
use super::spot::{Found, Spot, cannot_exchange, crosses};
use super::staging::clear;
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

/// A journal that was not carried out to its end.
#[derive(Debug)]
pub(crate) struct Broken {
    pub(crate) cause: ApplyError,
    /// What was done before that.
    pub(crate) applied: Applied,
    pub(crate) came_to: CameTo,
}

/// How far a journal was carried out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CameTo {
    /// Some of it has not happened.
    Part,
    /// All of it has happened, but not what comes after: the journal is still there.
    All,
}

/// Does what `journal` says, or the rest of it. `new_folders` are those that have just been staged, whole; after a crash
/// nobody knows whether they still are, and each file goes for itself.
pub(crate) fn apply(
    project: &Project,
    journal: &Journal,
    new_folders: &NewFolders,
    before_step: BeforeStep<'_>,
) -> Result<Applied, Broken> {
    let mut came_to = CameTo::Part;
    let mut applied = Applied::default();
    let done = Work::begin(project, journal, &mut applied, before_step).and_then(|mut work| {
        // Then the content of an earlier try is being kept, and nothing else is left to do.
        if !has_begun(project, journal).unwrap_or(false) {
            work.carry_out(new_folders)?;
        }
        came_to = CameTo::All;
        work.finish()
    });
    match done {
        Ok(()) => Ok(applied),
        Err(cause) => Err(Broken { cause, applied, came_to }),
    }
}

/// The folder of what is staged, opened through no link.
pub(super) fn open_staging(project: &Project) -> io::Result<Parents> {
    let staging = OwnFolder::of(project)?.below(STAGING, Missing::Create)?.ok_or(ErrorKind::NotFound)?;
    let folder = staging.path().to_owned();
    Ok(Parents::at(staging.into_dir(), &folder))
}

/// Makes the names in `folders` survive a power cut.
pub(super) fn sync_folders(project: &Project, folders: &BTreeSet<String>) -> io::Result<()> {
    let root = project.root();
    #[cfg(target_os = "linux")]
    if folders.len() > SYNC_AT_ONCE_ABOVE {
        return Ok(rustix::fs::syncfs(std::fs::File::open(root)?)?);
    }
    for folder in folders {
        match sync_folder(&root.join(folder)) {
            // It went, and a file may have taken the place of a folder above it.
            Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {}
            Err(error) => return Err(error),
            Ok(()) => {}
        }
    }
    Ok(())
}

struct Work<'a> {
    project: &'a Project,
    journal: &'a Journal,
    parents: Parents,
    staging: Parents,
    /// Folders whose names changed.
    touched: BTreeSet<String>,
    /// Folders in which something may lie that could not be kept in staging.
    beside: BTreeSet<String>,
    applied: &'a mut Applied,
    before_step: BeforeStep<'a>,
}

impl<'a> Work<'a> {
    fn begin(
        project: &'a Project,
        journal: &'a Journal,
        applied: &'a mut Applied,
        before_step: BeforeStep<'a>,
    ) -> Result<Self, ApplyError> {
        let fault = |source| ApplyError::Folder { folder: project.folder(), source };
        let parents = Parents::new(project.root()).map_err(fault)?;
        let staging = open_staging(project).map_err(fault)?;
        let beside = journal.across.iter().cloned().collect();
        Ok(Self {
            project,
            journal,
            parents,
            staging,
            touched: BTreeSet::new(),
            beside,
            applied,
            before_step,
        })
    }

    fn carry_out(&mut self, new_folders: &NewFolders) -> Result<(), ApplyError> {
        for (at, delete) in self.journal.deletes.iter().enumerate() {
            self.delete(at, delete)?;
        }
        let mut placed = BTreeSet::new();
        for folder in new_folders.iter() {
            if self.place_folder(folder)? {
                placed.insert(folder.staged.as_str());
            }
        }
        let is_placed =
            |write: &Promise| write.staged.split_once('/').is_some_and(|(folder, _)| placed.contains(folder));
        for (at, write) in self.journal.writes.iter().enumerate().filter(|(_, write)| !is_placed(write)) {
            self.write(at, write)?;
        }
        let fault = |source| ApplyError::Folder { folder: self.project.root().to_owned(), source };
        sync_folders(self.project, &self.touched).map_err(fault)?;
        self.touched.clear();
        if self.applied.lost.is_empty() { self.place_own_files() } else { Ok(()) }
    }

    fn delete(&mut self, at: usize, delete: &Delete) -> Result<(), ApplyError> {
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
        let target = Spot::new(&parent, name);
        match target.look().map_err(fault)? {
            // It is gone already, or there is the folder of new files that replaced it.
            None | Some(Found::Folder) => return Ok(()),
            Some(Found::File(stamp)) if expected_before.is(&stamp) => {
                (self.before_step)("delete").map_err(fault)?;
                self.take_away(at, target, folder).map_err(fault)?;
            }
            // Where upper and lower case are one, the name may already be that of a new file.
            Some(Found::File(stamp))
                if self.journal.writes.iter().any(|write| write.after.is_same_content(&stamp)) =>
            {
                return Ok(());
            }
            Some(Found::File(_)) => self.rescue(&parent, path.as_str()).map_err(fault)?,
        }
        self.touched.insert(folder.to_owned());
        Ok(())
    }

    /// Keeps what is to be deleted until the commit is over: in staging, or beside its place where it cannot go there.
    fn take_away(&mut self, at: usize, target: Spot<'_>, folder: &str) -> io::Result<()> {
        let kept = Kept::Deleted(at);
        let staging = self.staging.top();
        match target.rename(Spot::new(&staging, &kept.in_staging())) {
            Err(error) if crosses(&error) => {
                self.beside.insert(folder.to_owned());
                target.rename(Spot::new(target.folder, &kept.beside()))
            }
            other => other,
        }
    }

    fn rescue(&mut self, parent: &Dir, path: &str) -> io::Result<()> {
        (self.before_step)("rescue")?;
        self.applied.rescued.push(rescue(self.project, parent, path)?);
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
        let target = Spot::new(&parent, name);
        if target.look().map_err(fault)?.is_some() {
            return Ok(false);
        }
        (self.before_step)("place folder").map_err(fault)?;
        let staging = self.staging.top();
        // Over an empty folder that has come there by now it succeeds too, over anything else it fails.
        if Spot::new(&staging, &folder.staged).rename(target).is_err() {
            return Ok(false);
        }
        self.touched.insert(above.to_owned());
        Ok(true)
    }

    fn write(&mut self, at: usize, write: &Promise) -> Result<(), ApplyError> {
        let fault = |source| ApplyError::Write { path: write.path.clone(), source };
        let parent_fault = |source| ApplyError::Parent { path: write.path.clone(), source };
        let (folder, name) = split(write.path.as_str());
        let (staged_in, staged_name) = split(&write.staged);
        let Some(staged_in) = self.staging.open(staged_in, Missing::Leave).map_err(parent_fault)? else {
            return self.check_written(write);
        };
        let staged = Spot::new(&staged_in, staged_name);
        match staged.look().map_err(fault)? {
            None => return self.check_written(write),
            // An earlier try has let them change places.
            Some(found) if !write.is_new(&found) => return Ok(()),
            Some(_) => {}
        }
        self.clear_way(&write.path)?;
        let Some(parent) = self.parents.of(&write.path, Missing::Create).map_err(parent_fault)? else {
            return Err(fault(ErrorKind::NotFound.into()));
        };
        let target = Spot::new(&parent, name);
        let found = target.look().map_err(fault)?;
        self.touched.insert(folder.to_owned());
        match found {
            None => self.put(at, staged, target).map_err(fault),
            // A whole copy of an earlier try.
            Some(found) if write.is_new(&found) => Ok(()),
            Some(Found::File(stamp)) if write.before.is(&stamp) => {
                self.replace(at, staged, target).map_err(fault)
            }
            Some(Found::Folder) if is_empty_tree(&parent, name).map_err(fault)? => {
                self.replace(at, staged, target).map_err(fault)
            }
            Some(_) => {
                self.rescue(&parent, write.path.as_str()).map_err(fault)?;
                self.put(at, staged, target).map_err(fault)
            }
        }
    }

    /// Puts a staged file where nothing is.
    fn put(&mut self, at: usize, staged: Spot<'_>, target: Spot<'_>) -> io::Result<()> {
        (self.before_step)("write")?;
        match staged.rename(target) {
            Err(error) if crosses(&error) => {
                let name = Kept::Replaced(at).copy_beside();
                self.copy_near(at, staged, target, &name)?;
                Spot::new(target.folder, &name).rename(target)
            }
            other => other,
        }
    }

    /// Lets a staged file and what it replaces change places, or keeps that elsewhere.
    fn replace(&mut self, at: usize, staged: Spot<'_>, target: Spot<'_>) -> io::Result<()> {
        (self.before_step)("write")?;
        let staging = self.staging.top();
        let kept = Kept::Replaced(at);
        match staged.exchange(target) {
            Err(error) if cannot_exchange(&error) => {
                target.keep_at(Spot::new(&staging, &kept.in_staging()))?;
                (self.before_step)("write over")?;
                staged.rename(target)
            }
            Err(error) if crosses(&error) => self.replace_across(at, staged, target),
            other => other,
        }
    }

    /// The same where a move from staging is refused.
    fn replace_across(&mut self, at: usize, staged: Spot<'_>, target: Spot<'_>) -> io::Result<()> {
        let kept = Kept::Replaced(at);
        let (copy, beside) = (kept.copy_beside(), kept.beside());
        self.copy_near(at, staged, target, &copy)?;
        let copy = Spot::new(target.folder, &copy);
        match copy.exchange(target) {
            Err(error) if cannot_exchange(&error) || crosses(&error) => {
                target.keep_at(Spot::new(target.folder, &beside))?;
                (self.before_step)("write over")?;
                copy.rename(target)
            }
            other => other,
        }
    }

    /// Copies a staged file to the folder that it goes to, unless an earlier try has.
    fn copy_near(&mut self, at: usize, staged: Spot<'_>, target: Spot<'_>, name: &str) -> io::Result<()> {
        let copy = Spot::new(target.folder, name);
        let Some(write) = self.journal.writes.get(at) else { return Err(ErrorKind::NotFound.into()) };
        let is_whole = copy.look()?.is_some_and(|found| write.is_new(&found));
        self.beside.insert(split(write.path.as_str()).0.to_owned());
        (self.before_step)("copy")?;
        if is_whole { Ok(()) } else { staged.copy(copy) }
    }

    /// An earlier try has put it in place, unless somebody took it away before that.
    fn check_written(&mut self, write: &Promise) -> Result<(), ApplyError> {
        let fault = |source| ApplyError::Write { path: write.path.clone(), source };
        let (_, name) = split(write.path.as_str());
        let is_lost = match self.parents.of(&write.path, Missing::Leave) {
            Ok(None) | Err(_) => write.before == Before::Absent,
            Ok(Some(parent)) => match Spot::new(&parent, name).look().map_err(fault)? {
                None => write.before == Before::Absent,
                Some(Found::File(stamp)) => write.before.is(&stamp),
                Some(Found::Folder) => is_empty_tree(&parent, name).map_err(fault)?,
            },
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
            self.rescue(&parent, &obstacle).map_err(fault)?;
            self.touched.insert(above.to_owned());
            self.parents.forget();
        }
    }

    fn place_own_files(&mut self) -> Result<(), ApplyError> {
        let fault = |source| ApplyError::Folder { folder: self.project.folder(), source };
        let staging = self.staging.top();
        let own = self.parents.own_folder().map_err(fault)?;
        for (at, (staged, name)) in self.journal.own_files.iter().enumerate() {
            let (staged, target) = (Spot::new(&staging, staged), Spot::new(&own, name));
            if !self.journal.own_waits(at, staged).map_err(fault)? {
                continue;
            }
            (self.before_step)("own file").map_err(fault)?;
            match target.look().map_err(fault)? {
                None => staged.rename(target).map_err(fault)?,
                Some(_) => replace_own(Kept::Own(at), staged, target).map_err(fault)?,
            }
        }
        for (kept, name) in self.journal.own_gone() {
            let target = Spot::new(&own, name);
            if target.look().map_err(fault)?.is_some() {
                (self.before_step)("own file goes").map_err(fault)?;
                target.rename(Spot::new(&staging, &kept.in_staging())).map_err(fault)?;
            }
        }
        sync_folder(&self.project.folder()).map_err(fault)
    }

    fn finish(&mut self) -> Result<(), ApplyError> {
        self.remove_emptied_folders()?;
        self.keep()?;
        self.remove_what_lies_beside();
        let fault = |source| ApplyError::Folder { folder: self.project.folder(), source };
        // A journal of an earlier release puts the list under its former name.
        let has_list = self.journal.own_files.iter().any(|(_, name)| name == TRACKED_FILE);
        let is_placed = self.project.in_folder(TRACKED_FILE).symlink_metadata().is_ok();
        if has_list && is_placed && self.applied.lost.is_empty() {
            (self.before_step)("former list").map_err(fault)?;
            drop_former(self.project).map_err(fault)?;
        }
        sync_folders(self.project, &self.touched).map_err(fault)?;
        drop_journal(self.project, self.before_step).map_err(fault)
    }

    /// Keeps what can be taken back. Where the store has become none of ours, all of that is moved aside.
    fn keep(&mut self) -> Result<(), ApplyError> {
        let Self { project, journal, parents, staging, .. } = self;
        match keep(project, journal, parents, staging, self.before_step) {
            Err(error) if is_lasting(&error) => {
                self.applied.rescued.extend(keep_aside(project, journal, parents, staging));
                Ok(())
            }
            other => {
                other.map_err(|source| ApplyError::Folder { folder: self.project.undo_folder(), source })
            }
        }
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

    /// Removes what could not be kept in staging. What stays harms nobody.
    fn remove_what_lies_beside(&mut self) {
        for (path, kept) in self.journal.kept() {
            let (folder, _) = split(path.as_str());
            if !self.beside.contains(folder) {
                continue;
            }
            if let Ok(Some(parent)) = self.parents.open(folder, Missing::Leave) {
                for name in [kept.beside(), kept.copy_beside()] {
                    let _ = Spot::new(&parent, &name).remove();
                    // A folder without files, which one replaced.
                    let _ = remove_empty_tree(&parent, &name);
                }
            }
        }
    }
}

/// Puts one of the project's own files in place, and keeps the one before.
fn replace_own(kept: Kept, staged: Spot<'_>, target: Spot<'_>) -> io::Result<()> {
    match staged.exchange(target) {
        Err(error) if cannot_exchange(&error) => {
            target.keep_at(Spot::new(staged.folder, &kept.in_staging()))?;
            staged.rename(target)
        }
        other => other,
    }
}

/// Drops the journal, of which nothing is left to be done, and then what was staged and kept for it.
pub(super) fn drop_journal(project: &Project, before_step: BeforeStep<'_>) -> io::Result<()> {
    before_step("drop journal")?;
    std::fs::remove_file(project.journal_file())?;
    sync_folder(&project.folder())?;
    before_step("clear staging")?;
    clear(&project.staging_folder())
}

/// Why a promised change could not be made.
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

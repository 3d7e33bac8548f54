//! Takes back what was done of a journal, where the rest of it is refused: the project is then as it was before.
//!
//! Each step looks at what lies where, so it works from any state that [`super::apply`], or an earlier try of this, can
//! have left, and either of them may follow. What comes is moved back to staging, what was there is moved back to its
//! place; no content is read or written.

use std::collections::BTreeSet;
use std::io::{self, ErrorKind};
use std::sync::Arc;

use bundle_core::name::path::BundlePath;
use cap_std::fs::Dir;
use thiserror::Error;

use super::apply::{BeforeStep, drop_journal, open_staging, sync_folders};
use super::folder::Project;
use super::journal::{Before, Delete, Journal, Promise};
use super::kept::{Kept, find_old};
use super::parents::{Missing, ParentError, Parents, split};
use super::rescue::{Rescued, put_back, remove_empty_tree, rescue, rescue_as};
use super::spot::{Found, Spot, cannot_exchange, crosses};

/// What to do where something cannot be put back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum WhenRefused {
    /// Keep the journal, for another try.
    Wait,
    /// Keep what was there aside, and let it be.
    GiveUp,
}

/// What is not as it was, after all was tried.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RolledBack {
    /// What could not be put back, and where it is now.
    pub aside: Vec<Rescued>,
    /// What could not be put back, since nobody knows what was there.
    pub left: Vec<String>,
}

/// Takes back what was done of `journal`; `rescued` is what was moved aside for it in this run.
///
/// # Errors
///
/// What cannot be put back: with [`WhenRefused::Wait`] the journal then stays, and nothing is lost.
pub(crate) fn roll_back(
    project: &Project,
    journal: &Journal,
    rescued: &[Rescued],
    when_refused: WhenRefused,
    before_step: BeforeStep<'_>,
) -> Result<RolledBack, RollBackError> {
    let fault = |source| RollBackError { path: project.folder().display().to_string(), source };
    let mut work = Work {
        project,
        journal,
        parents: Parents::new(project.root()).map_err(fault)?,
        staging: open_staging(project).map_err(fault)?,
        touched: BTreeSet::new(),
        rescued,
        before_step,
    };
    let faults = work.all();
    let mut rolled_back = RolledBack::default();
    match (faults.into_iter().next(), when_refused) {
        (Some(first), WhenRefused::Wait) => return Err(first),
        (Some(_), WhenRefused::GiveUp) => work.move_aside(&mut rolled_back)?,
        (None, _) => {}
    }
    let unmoved = rescued.iter().filter(|one| one.now_at.symlink_metadata().is_ok());
    rolled_back.aside.extend(unmoved.cloned());
    sync_folders(project, &work.touched).map_err(fault)?;
    drop_journal(project, work.before_step).map_err(fault)?;
    Ok(rolled_back)
}

struct Work<'a> {
    project: &'a Project,
    journal: &'a Journal,
    parents: Parents,
    staging: Parents,
    /// Folders whose names changed.
    touched: BTreeSet<String>,
    /// What was moved aside in this run.
    rescued: &'a [Rescued],
    before_step: BeforeStep<'a>,
}

impl Work<'_> {
    /// Goes on behind whatever cannot be put back, and says what that is.
    fn all(&mut self) -> Vec<RollBackError> {
        let journal = self.journal;
        let fault = |path: &str, source| RollBackError { path: path.to_owned(), source };
        let mut faults = Vec::new();
        for (kept, name) in journal.own_gone() {
            faults.extend(self.own_gone(kept, name).map_err(|source| fault(name, source)).err());
        }
        for (at, (staged, name)) in journal.own_files.iter().enumerate().rev() {
            faults.extend(self.own_file(at, staged, name).map_err(|source| fault(name, source)).err());
        }
        for (at, write) in journal.writes.iter().enumerate().rev() {
            faults.extend(self.write(at, write).map_err(|source| fault(write.path.as_str(), source)).err());
        }
        for folder in journal.made.iter().rev() {
            faults.extend(self.made(folder).map_err(|source| fault(folder.as_str(), source)).err());
        }
        // Before what was deleted, since the folder of that may be among these.
        for one in self.rescued.iter().rev() {
            faults.extend(self.rescued(one).map_err(|source| fault(&one.path, source)).err());
        }
        for (at, delete) in journal.deletes.iter().enumerate().rev() {
            faults
                .extend(self.delete(at, delete).map_err(|source| fault(delete.path.as_str(), source)).err());
        }
        faults
    }

    fn own_gone(&mut self, kept: Kept, name: &str) -> io::Result<()> {
        let (staging, own) = (self.staging.top(), self.parents.own_folder()?);
        let kept = kept.in_staging();
        let (kept, target) = (Spot::new(&staging, &kept), Spot::new(&own, name));
        if kept.look()?.is_none() || target.look()?.is_some() {
            return Ok(());
        }
        (self.before_step)("put back own file")?;
        kept.rename(target)
    }

    fn own_file(&mut self, at: usize, staged: &str, name: &str) -> io::Result<()> {
        let staging = self.staging.top();
        let own = self.parents.own_folder()?;
        let (staged, target) = (Spot::new(&staging, staged), Spot::new(&own, name));
        let is_new = |found: &Found| self.journal.is_own_new(at, found);
        if !target.look()?.as_ref().is_some_and(is_new) {
            return Ok(());
        }
        (self.before_step)("put back own file")?;
        let kept = Kept::Own(at).in_staging();
        let kept = Spot::new(&staging, &kept);
        match find_old([staged, kept], is_new)? {
            Some(old) => restore(old, staged, target),
            None => target.rename(staged),
        }
    }

    fn write(&mut self, at: usize, write: &Promise) -> io::Result<()> {
        let (folder, name) = split(write.path.as_str());
        // What was replaced needs its folder, whatever has become of that.
        let missing = if write.before == Before::Absent { Missing::Leave } else { Missing::Create };
        let Some(parent) = self.parent(&write.path, missing)? else { return Ok(()) };
        let target = Spot::new(&parent, name);
        let found = target.look()?;
        let is_new = found.as_ref().is_some_and(|found| write.is_new(found));
        let spots = WriteSpots::open(&mut self.staging, at, write)?;
        let old = spots.old(&parent, write)?;
        let is_before = matches!(found, Some(Found::File(stamp)) if write.before.is(&stamp));
        match (found, old) {
            // It has not come this far, or was put back already.
            _ if is_before => {}
            (None, None) => {}
            (Some(_), None) if !is_new => {}
            (Some(_), None) if write.before != Before::Absent && !self.is_aside(&write.path) => {
                return Err(ErrorKind::NotFound.into());
            }
            (Some(_), None) => {
                (self.before_step)("take back")?;
                take_back(target, spots.staged(), write)?;
            }
            (None, Some(old)) => {
                (self.before_step)("put back")?;
                old.rename(target)?;
            }
            (Some(_), Some(old)) => {
                if !is_new {
                    (self.before_step)("rescue")?;
                    let _ = rescue(self.project, &parent, write.path.as_str())?;
                }
                (self.before_step)("put back")?;
                restore(old, spots.staged(), target)?;
            }
        }
        self.touched.insert(folder.to_owned());
        Spot::new(&parent, &spots.copy).remove()
    }

    /// Whether what was at `path` was moved aside, and comes back from there.
    fn is_aside(&self, path: &BundlePath) -> bool {
        self.rescued.iter().any(|rescued| rescued.path == path.as_str())
    }

    /// Removes a folder that was made for new files, unless something else is in it by now.
    fn made(&mut self, folder: &BundlePath) -> io::Result<()> {
        self.parents.forget();
        let (above, name) = split(folder.as_str());
        let Some(parent) = self.parent(folder, Missing::Leave)? else { return Ok(()) };
        if Spot::new(&parent, name).look()? != Some(Found::Folder) {
            return Ok(());
        }
        (self.before_step)("remove folder")?;
        if remove_empty_tree(&parent, name)? {
            self.touched.insert(above.to_owned());
        }
        Ok(())
    }

    fn delete(&mut self, at: usize, delete: &Delete) -> io::Result<()> {
        let (folder, name) = split(delete.path.as_str());
        let kept = Kept::Deleted(at);
        let (in_staging, beside) = (kept.in_staging(), kept.beside());
        let staging = self.staging.top();
        let in_staging = Spot::new(&staging, &in_staging);
        let missing = if in_staging.look()?.is_some() { Missing::Create } else { Missing::Leave };
        let Some(parent) = self.parent(&delete.path, missing)? else { return Ok(()) };
        let target = Spot::new(&parent, name);
        let Some(old) = find_old([in_staging, Spot::new(&parent, &beside)], |_| false)? else {
            return Ok(());
        };
        if target.look()?.is_some() {
            (self.before_step)("rescue")?;
            let _ = rescue(self.project, &parent, delete.path.as_str())?;
        }
        (self.before_step)("put back")?;
        old.rename(target)?;
        self.touched.insert(folder.to_owned());
        Ok(())
    }

    fn rescued(&mut self, rescued: &Rescued) -> io::Result<()> {
        let (folder, _) = split(&rescued.path);
        let Some(parent) = self.parents.open(folder, Missing::Leave).map_err(plain)? else { return Ok(()) };
        (self.before_step)("put back")?;
        match put_back(self.project, rescued, &parent) {
            // It stays aside, and that is said.
            Err(error) if matches!(error.kind(), ErrorKind::AlreadyExists | ErrorKind::NotFound) => Ok(()),
            other => other,
        }
    }

    /// The folder of `path`; none where it is not there, or something else is where it was.
    fn parent(&mut self, path: &BundlePath, missing: Missing) -> io::Result<Option<Arc<Dir>>> {
        match self.parents.of(path, missing) {
            Err(error) if error.obstacle().is_some() && missing == Missing::Leave => Ok(None),
            other => other.map_err(plain),
        }
    }

    /// Moves what is still kept to where the user finds it.
    ///
    /// # Errors
    ///
    /// What cannot be moved: it lies in staging, which therefore must stay, and the journal with it.
    fn move_aside(&mut self, rolled_back: &mut RolledBack) -> Result<(), RollBackError> {
        for (at, delete) in self.journal.deletes.iter().enumerate() {
            let fault = |source| RollBackError { path: delete.path.to_string(), source };
            let name = Kept::Deleted(at).in_staging();
            let staging = self.staging.top();
            let kept = Spot::new(&staging, &name);
            if kept.look().map_err(fault)?.is_some() {
                let rescued = rescue_as(self.project, kept, delete.path.as_str()).map_err(fault)?;
                rolled_back.aside.push(rescued);
            }
        }
        for (at, write) in self.journal.writes.iter().enumerate() {
            let fault = |source| RollBackError { path: write.path.to_string(), source };
            let spots = WriteSpots::open(&mut self.staging, at, write).map_err(fault)?;
            match find_old(spots.in_staging(), |found| write.is_new(found)).map_err(fault)? {
                Some(old) => {
                    let rescued = rescue_as(self.project, old, write.path.as_str()).map_err(fault)?;
                    rolled_back.aside.push(rescued);
                }
                None if self.is_new_in_place(write) => rolled_back.left.push(write.path.to_string()),
                None => {}
            }
        }
        Ok(())
    }

    fn is_new_in_place(&mut self, write: &Promise) -> bool {
        let Ok(Some(parent)) = self.parent(&write.path, Missing::Leave) else { return false };
        let target = Spot::new(&parent, split(write.path.as_str()).1);
        target.look().is_ok_and(|found| found.is_some_and(|found| write.is_new(&found)))
    }
}

/// Where what a write replaced can be.
pub(super) struct WriteSpots {
    /// The folder in staging of the file that comes, and its name there.
    staged: Option<(Arc<Dir>, String)>,
    top: Arc<Dir>,
    kept: String,
    beside: String,
    copy: String,
}

impl WriteSpots {
    pub(super) fn open(staging: &mut Parents, at: usize, write: &Promise) -> io::Result<Self> {
        let (folder, name) = split(&write.staged);
        // A folder that was staged whole and is in place now takes its files again.
        let staged = staging.open(folder, Missing::Create).map_err(plain)?;
        let kept = Kept::Replaced(at);
        Ok(Self {
            staged: staged.map(|folder| (folder, name.to_owned())),
            top: staging.top(),
            kept: kept.in_staging(),
            beside: kept.beside(),
            copy: kept.copy_beside(),
        })
    }

    fn staged(&self) -> Spot<'_> {
        match &self.staged {
            Some((folder, name)) => Spot::new(folder, name),
            None => Spot::new(&self.top, &self.kept),
        }
    }

    pub(super) fn in_staging(&self) -> [Spot<'_>; 2] {
        [self.staged(), Spot::new(&self.top, &self.kept)]
    }

    pub(super) fn old<'a>(&'a self, parent: &'a Dir, write: &Promise) -> io::Result<Option<Spot<'a>>> {
        let spots = self.in_staging().into_iter().chain([Spot::new(parent, &self.beside)]);
        let old = find_old(spots, |found| write.is_new(found))?;
        // The copy may be a part of what comes, as long as it has not changed places with what was there.
        let is_copy = |found: &Found| match found {
            Found::File(stamp) => !write.before.is(stamp),
            Found::Folder => false,
        };
        if old.is_some() { Ok(old) } else { find_old([Spot::new(parent, &self.copy)], is_copy) }
    }
}

/// Lets `old` be at `target` again; what is there goes to where `old` is, or to `staged`.
fn restore(old: Spot<'_>, staged: Spot<'_>, target: Spot<'_>) -> io::Result<()> {
    if target.look()?.is_none() {
        return old.rename(target);
    }
    match old.exchange(target) {
        Err(error) if cannot_exchange(&error) => {
            target.rename(staged)?;
            old.rename(target)
        }
        other => other,
    }
}

/// Moves a new file back to staging; where that is on another file system, it is still there.
fn take_back(target: Spot<'_>, staged: Spot<'_>, write: &Promise) -> io::Result<()> {
    match target.rename(staged) {
        Err(error) if crosses(&error) && staged.look()?.is_some_and(|found| write.is_new(&found)) => {
            target.remove()
        }
        other => other,
    }
}

fn plain(error: ParentError) -> io::Error {
    let kind = match &error {
        ParentError::Open { source, .. } => source.kind(),
        ParentError::LeavesProject { .. } | ParentError::NotAFolder { .. } => ErrorKind::NotADirectory,
    };
    io::Error::new(kind, error)
}

/// What cannot be put back as it was.
#[derive(Debug, Error)]
#[error("cannot put back `{}`", path.escape_debug())]
pub struct RollBackError {
    /// What it is.
    pub path: String,
    /// What the system said.
    pub source: io::Error,
}

//! The commit of a pull or a removal: all of its changes, or none of them.
//!
//! [`Commit::prepare`] checks that nothing has changed since the project was scanned and that the system lets all of it
//! be done, then writes down what is to be done; from then on it will be done, by [`Commit::apply`] or, after a crash,
//! by [`super::recovery`], which is the same code, but goes file by file where a commit places new folders whole. What
//! the system refuses all the same is taken back, by [`super::roll_back`]. Every step may be repeated. What to change is
//! decided elsewhere.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::io;
use std::path::{Path, PathBuf};

use bundle_core::file::ByPath;
use bundle_core::name::path::BundlePath;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::apply::{Applied, ApplyError, BeforeStep, Broken, CameTo, apply};
use super::atomic::{Settled, settle, write_atomically};
use super::folder::{JOURNAL, Project, STAGING, STATE, SYNCED};
use super::keeping::{Keeping, Promised};
use super::kept::Kept;
use super::lock::ProjectLock;
use super::new_folders::NewFolders;
use super::own_folder::OwnFolder;
use super::parents::{Missing, ParentError, Parents, split};
use super::reach::{Change, Reach, ReachError, look_ahead};
use super::roll_back::{RollBackError, RolledBack, WhenRefused, roll_back};
use super::spot::{Found, Spot};
use super::staging::{Staging, sync_files};
use super::stamp::Stamp;
use super::tracked::{FORMER_FILE, TRACKED_FILE};
use super::undo::OWN_FILES;
use crate::whole_file::{FileFault, excerpt};

/// Version 1 knew no files that are staged in folders, version 2 kept nothing of what it replaced, version 3 kept it only
/// until the commit was over.
const VERSION: u32 = 4;

/// The longest journal that is read, in bytes. A file takes a few times what it takes in an index.
const MAX_BYTES: u64 = 4 * bundle_core::bundle::index::MAX_INDEX_BYTES as u64;

/// What lay at a path when the project was scanned, itself and not what a link points to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Before {
    /// Nothing, or a folder.
    Absent,
    /// Anything else.
    Present(Stamp),
}

/// A file to put in place.
#[derive(Clone, Debug)]
pub struct Write {
    /// Where it goes.
    pub path: BundlePath,
    /// The staged file, from [`Staging::stage`], with its mode.
    pub staged: PathBuf,
    /// What it replaces.
    pub expected_before: Before,
}

/// A file to remove.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Delete {
    /// Where it lies.
    pub path: BundlePath,
    /// What it is.
    pub expected_before: Before,
}

/// What the project's own files are to hold once everything else is in place.
#[derive(Clone, Debug)]
pub struct StateAfter {
    /// The content of the state file, where it changes; see [`super::State::to_json`].
    pub state: Option<Vec<u8>>,
    /// The content of the file beside it, where it changes; see [`super::Synced::to_json`].
    pub synced: Option<Vec<u8>>,
    /// The content of the list of tracked files; see [`super::tracked::format_tracked`].
    pub tracked: Vec<u8>,
}

impl StateAfter {
    /// The same, file by file.
    pub(crate) fn files(&self) -> Vec<OwnAfter> {
        let changed = |file, content: &Option<Vec<u8>>| {
            content.clone().map(|content| OwnAfter { file, content: Some(content) })
        };
        // The state comes before what belongs to it: in between, which bundle was last synced is only unknown.
        let synced = [changed(STATE, &self.state), changed(SYNCED, &self.synced)];
        let tracked = OwnAfter { file: TRACKED_FILE, content: Some(self.tracked.clone()) };
        synced.into_iter().flatten().chain([tracked]).collect()
    }
}

/// What one of the project's own files is to be.
#[derive(Clone, Debug)]
pub(crate) struct OwnAfter {
    /// One of [`OWN_FILES`].
    pub(crate) file: &'static str,
    /// Its content; `None` where it is to go.
    pub(crate) content: Option<Vec<u8>>,
}

/// A promise: what is written here happens.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Journal {
    version: u32,
    pub(crate) deletes: Vec<Delete>,
    /// By path.
    pub(crate) writes: Vec<Promise>,
    /// Names in the staging folder, and where each goes in the project's folder.
    pub(crate) own_files: Vec<(String, String)>,
    /// What each of those is; those of earlier releases are not known again once they are in place.
    #[serde(default)]
    pub(crate) own_after: Vec<Stamp>,
    /// Those of the project's own files that go.
    #[serde(default)]
    pub(crate) own_gone: Vec<String>,
    /// What is kept of all that goes, once everything else has happened.
    #[serde(default)]
    pub(crate) keeping: Option<Promised>,
    /// The outermost folders that are made for new files, by path.
    #[serde(default)]
    pub(crate) made: Vec<BundlePath>,
    /// Folders that staged files cannot simply be moved to.
    #[serde(default)]
    pub(crate) across: Vec<String>,
}

/// What a journal of any version says of itself.
#[derive(Deserialize)]
struct Version {
    version: u32,
}

/// A write that was promised.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Promise {
    pub(crate) path: BundlePath,
    /// Where the file is in the staging folder: a name, or the path below a staged folder.
    pub(crate) staged: String,
    pub(crate) before: Before,
    pub(crate) after: Stamp,
}

impl Promise {
    /// Whether `found` is the new file, or a whole copy of it, and not what it replaces.
    pub(crate) fn is_new(&self, found: &Found) -> bool {
        matches!(found, Found::File(stamp) if self.after.has_same_time_and_size(stamp) && !self.before.is(stamp))
    }
}

impl Promise {
    /// Whether the new file is at its place.
    fn is_placed(&self, targets: &mut Parents) -> bool {
        let parent = targets.of(&self.path, Missing::Leave).ok().flatten();
        let name = split(self.path.as_str()).1;
        let found = parent.and_then(|parent| Spot::new(&parent, name).look().ok().flatten());
        found.is_some_and(|found| self.is_new(&found))
    }
}

impl Before {
    /// Whether `found` is what lay there.
    pub(crate) fn is(&self, found: &Stamp) -> bool {
        matches!(self, Self::Present(stamp) if stamp.is_same_content(found))
    }
}

/// A commit that has been written down and not yet carried out.
#[derive(Debug)]
#[must_use = "a prepared commit happens at the latest when the next command starts"]
pub struct Commit<'a> {
    lock: &'a ProjectLock,
    journal: Journal,
    /// Just staged, whole.
    new_folders: NewFolders,
}

impl<'a> Commit<'a> {
    /// Checks the targets, makes everything staged last, and writes the journal.
    ///
    /// After an error nothing has changed, and nothing will. The staging folder belongs to the commit from here on.
    pub fn prepare(
        lock: &'a ProjectLock,
        staging: &Staging,
        writes: Vec<Write>,
        deletes: Vec<Delete>,
        then: &StateAfter,
    ) -> Result<Self, PrepareError> {
        Self::prepare_keeping(lock, staging, writes, deletes, &then.files(), &Keeping::default())
    }

    /// The same, for an operation of which `keeping` keeps what can be taken back.
    pub(crate) fn prepare_keeping(
        lock: &'a ProjectLock,
        staging: &Staging,
        mut writes: Vec<Write>,
        mut deletes: Vec<Delete>,
        own: &[OwnAfter],
        keeping: &Keeping,
    ) -> Result<Self, PrepareError> {
        let project = lock.project();
        writes.sort_by(|a, b| a.path.cmp(&b.path));
        deletes.sort_by(|a, b| a.path.cmp(&b.path));
        check_targets(project, &writes, &deletes, staging.new_folders())?;
        let Reach { made, across } = reach(staging, project, &writes, &deletes)?;
        let own_files = stage_own_files(project, staging, own)?;
        let files: Vec<&Path> = writes.iter().map(|write| write.staged.as_path()).collect();
        let fault = |source| PrepareError::Staging { folder: staging.folder().to_owned(), source };
        sync_files(staging.folder(), files.into_iter()).map_err(fault)?;

        let promises = writes.into_par_iter().map(|write| promise(staging, write));
        let writes = promises.collect::<Result<Vec<_>, _>>()?;
        let own_after = own_files.iter().map(|(staged, _)| stamp_of(&staging.folder().join(staged)));
        let own_after = own_after.collect::<Result<_, _>>()?;
        let own_gone =
            own.iter().filter(|own| own.content.is_none()).map(|own| own.file.to_owned()).collect();
        let keeping = keeping.stage(project, &writes, &deletes, own).map_err(fault)?;
        let version = VERSION;
        let journal =
            Journal { version, deletes, writes, own_files, own_after, own_gone, keeping, made, across };
        let json = serde_json::to_vec(&journal).map_err(|source| PrepareError::Format { source })?;
        let path = project.journal_file();
        if let Err(source) = write_atomically(project, JOURNAL, &json) {
            // It may have its name already: a promise that was reported as broken must not be kept.
            let _ = std::fs::remove_file(&path);
            return Err(PrepareError::Journal { path, source });
        }
        Ok(Self { lock, journal, new_folders: staging.new_folders().clone() })
    }

    /// Carries the commit out, or takes back what was done of it where the system refuses a part.
    pub fn apply(self) -> Result<Applied, CommitError> {
        self.apply_by_steps(&mut |_| Ok(())).or_else(|broken| self.back_out(broken))
    }

    /// Carries it out, telling `before_step` of each step; takes nothing back.
    pub(crate) fn apply_by_steps(&self, before_step: BeforeStep<'_>) -> Result<Applied, Broken> {
        apply(self.lock.project(), &self.journal, &self.new_folders, before_step)
    }

    fn back_out(&self, broken: Broken) -> Result<Applied, CommitError> {
        let Broken { cause, applied, came_to } = broken;
        if came_to == CameTo::All {
            // The next command clears away what is left.
            return Ok(applied);
        }
        let project = self.lock.project();
        match roll_back(project, &self.journal, &applied.rescued, WhenRefused::Wait, &mut |_| Ok(())) {
            Ok(back) => Err(CommitError::Undone { source: cause, back }),
            Err(back) => Err(CommitError::Stuck { source: cause, back }),
        }
    }
}

impl Journal {
    /// Whether new files go into `folder`.
    pub(crate) fn writes_below(&self, folder: &str) -> bool {
        let below = format!("{folder}/");
        let at = self.writes.partition_point(|write| write.path.as_str() < below.as_str());
        self.writes.get(at).is_some_and(|write| write.path.as_str().starts_with(&below))
    }

    /// What it takes out of its place, by the names under which that is kept.
    pub(crate) fn kept(&self) -> impl Iterator<Item = (&BundlePath, Kept)> {
        let deletes = self.deletes.iter().enumerate();
        let writes = self.writes.iter().enumerate();
        let deletes = deletes.map(|(at, delete)| (&delete.path, Kept::Deleted(at)));
        deletes.chain(writes.map(|(at, write)| (&write.path, Kept::Replaced(at))))
    }

    /// Whether the own file number `at`, which is `staged`, has still to be put in place.
    pub(crate) fn own_waits(&self, at: usize, staged: Spot<'_>) -> io::Result<bool> {
        let found = staged.look()?;
        Ok(found.is_some_and(|found| self.own_after.get(at).is_none() || self.is_own_new(at, &found)))
    }

    /// Those of the project's own files that go, and by which name each is kept until the commit is over.
    pub(crate) fn own_gone(&self) -> impl Iterator<Item = (Kept, &str)> {
        let gone = self.own_gone.iter().enumerate();
        gone.map(|(at, name)| (Kept::Own(self.own_files.len() + at), name.as_str()))
    }

    /// Whether `found` is the new content of the own file number `at`.
    pub(crate) fn is_own_new(&self, at: usize, found: &Found) -> bool {
        let after = self.own_after.get(at);
        matches!((found, after), (Found::File(found), Some(after)) if after.is_same_content(found))
    }

    /// Reads the journal of `project`, if there is one.
    pub(crate) fn read(project: &Project) -> Result<Option<Self>, JournalError> {
        let path = project.journal_file();
        let read = OwnFolder::of(project).and_then(|folder| folder.read(JOURNAL, MAX_BYTES));
        let json = match read {
            Ok(json) => json,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(JournalError::of(path, source)),
        };
        let Ok(Version { version }) = serde_json::from_slice(&json) else {
            return Err(JournalError::Refused { path, why: Refusal::Damaged });
        };
        if version > VERSION {
            return Err(JournalError::Version { path, found: version });
        }
        match serde_json::from_slice::<Self>(&json) {
            Ok(journal) if journal.version > 0 => match journal.foreign_name() {
                Some(name) => Err(JournalError::Refused { path, why: Refusal::Name { name } }),
                None => Ok(Some(journal)),
            },
            Ok(_) | Err(_) => Err(JournalError::Refused { path, why: Refusal::Damaged }),
        }
    }

    /// A name that no journal of ours has.
    fn foreign_name(&self) -> Option<String> {
        let staged = self.writes.iter().map(|write| &write.staged).filter(|name| !is_staged_path(name));
        let own = self.own_files.iter().flat_map(|(staged, name)| {
            let staged = (!is_plain_name(staged)).then_some(staged);
            staged.or_else(|| (!is_own_name(name)).then_some(name))
        });
        let gone = self.own_gone.iter().filter(|name| !is_own_name(name));
        staged.chain(own).chain(gone).next().cloned()
    }

    /// Refuses a journal that names what it did not stage. It may come from another machine, or be made up, and what lies
    /// in the staging folder may be anything. Inode numbers are not compared: some file systems give new ones.
    pub(crate) fn check_staged(&self, project: &Project) -> Result<(), JournalError> {
        let path = project.journal_file();
        let open = OwnFolder::of(project).and_then(|own| own.below(STAGING, Missing::Leave));
        let staging = match open {
            Ok(Some(staging)) => staging,
            // What was staged is gone, and so nothing else is taken for it.
            Ok(None) => return Ok(()),
            Err(source) => {
                return Err(match FileFault::of(&source) {
                    Some(fault) => JournalError::Refused { path, why: Refusal::Staging(fault) },
                    None => JournalError::Read { path: project.staging_folder(), source },
                });
            }
        };
        let refused = |staged: &str| {
            Err(JournalError::Refused {
                path: path.clone(),
                why: Refusal::NotStaged { name: staged.to_owned() },
            })
        };
        let mut targets = Parents::new(project.root())
            .map_err(|source| JournalError::Read { path: project.root().to_owned(), source })?;
        for write in &self.writes {
            let is_ours = match staging.dir().symlink_metadata(&write.staged) {
                Ok(found) => {
                    let stamp = Stamp::of_entry(&found);
                    // A link may be what an undo puts back; nothing is ever written through it.
                    let is_new = !found.is_dir() && write.is_new(&Found::File(stamp));
                    // An earlier try may have let them change places.
                    is_new || write.before.is(&stamp) || write.is_placed(&mut targets)
                }
                Err(error) => is_absence(&error),
            };
            if !is_ours {
                return refused(&write.staged);
            }
        }
        for (staged, _) in &self.own_files {
            match staging.dir().symlink_metadata(staged) {
                Ok(found) if found.is_file() => {}
                Err(error) if is_absence(&error) => {}
                _ => return refused(staged),
            }
        }
        Ok(())
    }
}

fn is_absence(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

fn is_plain_name(name: &str) -> bool {
    !name.is_empty()
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b))
        && !name.starts_with('.')
}

/// Whether a commit brings a file of ours by this name.
fn is_own_name(name: &str) -> bool {
    OWN_FILES.contains(&name) || name == FORMER_FILE
}

/// Whether `path` is a plain name, or one and behind it a path below that, which may be called as no file at the top may.
fn is_staged_path(path: &str) -> bool {
    match path.split_once('/') {
        Some((folder, _)) => is_plain_name(folder) && path.parse::<BundlePath>().is_ok(),
        None => is_plain_name(path),
    }
}

fn promise(staging: &Staging, write: Write) -> Result<Promise, PrepareError> {
    let after = stamp_of(&write.staged)?;
    let below = write.staged.strip_prefix(staging.folder()).ok();
    let parts = below.and_then(|below| below.iter().map(OsStr::to_str).collect::<Option<Vec<_>>>());
    match parts.map(|parts| parts.join("/")).filter(|staged| is_staged_path(staged)) {
        Some(staged) => Ok(Promise { staged, path: write.path, before: write.expected_before, after }),
        None => Err(PrepareError::NotStaged { path: write.path, staged: write.staged }),
    }
}

fn stamp_of(staged: &Path) -> Result<Stamp, PrepareError> {
    let fault = |source| PrepareError::Staging { folder: staged.to_owned(), source };
    Ok(Stamp::of(&staged.symlink_metadata().map_err(fault)?))
}

/// Finds out whether the system lets everything be written and deleted.
fn reach(
    staging: &Staging,
    project: &Project,
    writes: &[Write],
    deletes: &[Delete],
) -> Result<Reach, PrepareError> {
    let mut changes = Vec::with_capacity(writes.len() + deletes.len());
    for write in writes {
        let replaces = write.expected_before != Before::Absent;
        changes.push(Change { path: &write.path, takes_away: replaces, staged: Some(&write.staged) });
    }
    changes.extend(deletes.iter().map(|delete| Change {
        path: &delete.path,
        takes_away: true,
        staged: None,
    }));
    look_ahead(project, staging.folder(), staging.new_folders(), &changes)
        .map_err(|source| PrepareError::Refused { source })
}

/// Finds out whether the system would let a commit write and delete these paths of `project`, where nothing is staged;
/// `before` is what lies at a path.
pub(crate) fn foresee_reach(
    project: &Project,
    writes: &ByPath<BundlePath>,
    deletes: &ByPath<BundlePath>,
    before: impl Fn(&BundlePath) -> Before,
) -> Result<(), PrepareError> {
    let root = project.root();
    let fault = |source| PrepareError::Root { root: root.to_owned(), source };
    let new_folders = NewFolders::of(root, writes).map_err(fault)?;
    let write = |path| Change { path, takes_away: before(path) != Before::Absent, staged: None };
    let delete = |path| Change { path, takes_away: true, staged: None };
    let changes: Vec<Change<'_>> = writes.iter().map(write).chain(deletes.iter().map(delete)).collect();
    let own = project.folder();
    let home = if own.is_dir() { own.as_path() } else { root };
    look_ahead(project, home, &new_folders, &changes).map_err(|source| PrepareError::Refused { source })?;
    Ok(())
}

fn stage_own_files(
    project: &Project,
    staging: &Staging,
    own: &[OwnAfter],
) -> Result<Vec<(String, String)>, PrepareError> {
    let mut files = Vec::new();
    for OwnAfter { file, content } in own {
        let Some(content) = content else { continue };
        let name = file.split('.').next().unwrap_or(file);
        let fault = |source| PrepareError::Staging { folder: staging.folder().join(name), source };
        let folder = OwnFolder::of(project).and_then(|own| own.below(STAGING, Missing::Create));
        let settled = folder.and_then(|folder| settle(folder.ok_or(io::ErrorKind::NotFound)?, name, content));
        settled.and_then(Settled::put).map_err(fault)?;
        files.push((name.to_owned(), (*file).to_owned()));
    }
    Ok(files)
}

/// Refuses when anything is not as the scan saw it, or stands where a folder has to be.
fn check_targets(
    project: &Project,
    writes: &[Write],
    deletes: &[Delete],
    new_folders: &NewFolders,
) -> Result<(), PrepareError> {
    let is_deleted = |path: &str| deletes.binary_search_by(|delete| delete.path.as_str().cmp(path)).is_ok();
    let fault = |path: &BundlePath| {
        let path = path.clone();
        |source| PrepareError::Look { path, source }
    };
    let root = project.root();
    let mut parents =
        Parents::new(root).map_err(|source| PrepareError::Root { root: root.to_owned(), source })?;
    let still_new: BTreeSet<&BundlePath> =
        new_folders.iter().map(|folder| &folder.path).filter(|folder| parents.is_absent(folder)).collect();
    // Where there is no folder, there is no file in it.
    let is_free = |write: &&Write| {
        write.expected_before == Before::Absent
            && new_folders.above(&write.path).is_some_and(|(folder, _)| still_new.contains(&folder.path))
    };
    let mut changed = Vec::new();
    let targets = writes.iter().filter(|write| !is_free(write));
    let targets = targets.map(|write| (&write.path, &write.expected_before));
    for (path, before) in targets.chain(deletes.iter().map(|delete| (&delete.path, &delete.expected_before)))
    {
        let found = match parents.of(path, Missing::Leave) {
            Ok(None) => None,
            Ok(Some(parent)) => match parent.symlink_metadata(split(path.as_str()).1) {
                Ok(found) => Some(found),
                Err(error) if error.kind() == io::ErrorKind::NotFound => None,
                Err(error) => return Err(fault(path)(error)),
            },
            Err(error) if error.obstacle().is_some_and(is_deleted) => None,
            Err(source) => {
                return Err(PrepareError::Parent { path: path.clone(), source });
            }
        };
        let as_expected = match (before, &found) {
            (Before::Absent, None) => true,
            (Before::Absent, Some(found)) if found.is_dir() => {
                has_only_deleted(root, path.as_str(), &is_deleted).map_err(fault(path))?
            }
            (Before::Present(stamp), Some(found)) => !found.is_dir() && *stamp == Stamp::of_entry(found),
            (Before::Present(_), None) | (Before::Absent, Some(_)) => false,
        };
        if !as_expected {
            changed.push(path.clone());
        }
    }
    if changed.is_empty() { Ok(()) } else { Err(PrepareError::Changed { paths: changed }) }
}

/// Whether the folder `folder` will be empty once the deletes are done.
fn has_only_deleted(root: &Path, folder: &str, is_deleted: &dyn Fn(&str) -> bool) -> io::Result<bool> {
    for entry in std::fs::read_dir(root.join(folder))? {
        let entry = entry?;
        let Ok(name) = entry.file_name().into_string() else {
            return Ok(false);
        };
        let path = format!("{folder}/{name}");
        let goes = if entry.file_type()?.is_dir() {
            has_only_deleted(root, &path, is_deleted)?
        } else {
            is_deleted(&path)
        };
        if !goes {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Why a commit was not begun; nothing was changed.
#[derive(Debug, Error)]
pub enum PrepareError {
    /// Files changed after the project was scanned.
    #[error("{} changed since the project was scanned", .paths.iter().map(|path| format!("`{path}`")).collect::<Vec<_>>().join(", "))]
    Changed {
        /// These.
        paths: Vec<BundlePath>,
    },
    /// The journal cannot be put into JSON.
    #[error("cannot write the journal as JSON")]
    Format {
        /// What the serializer said.
        source: serde_json::Error,
    },
    /// The journal cannot be written.
    #[error("cannot write {}", path.display())]
    Journal {
        /// The journal's file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A target cannot be looked at.
    #[error("cannot look at `{path}`")]
    Look {
        /// The target.
        path: BundlePath,
        /// What the system said.
        source: io::Error,
    },
    /// A file to write was not staged.
    #[error("{} was to become `{path}`, but does not lie in the staging folder", staged.display())]
    NotStaged {
        /// The target.
        path: BundlePath,
        /// What was to be put there.
        staged: PathBuf,
    },
    /// The folder of a target is none to write in.
    #[error("cannot write `{path}`")]
    Parent {
        /// The target.
        path: BundlePath,
        /// What is wrong with its folder.
        source: ParentError,
    },
    /// The system would not let it all be done.
    #[error("the project cannot be changed as the bundle asks")]
    Refused {
        /// What it refuses.
        source: ReachError,
    },
    /// The project's top folder cannot be opened.
    #[error("cannot open {}", root.display())]
    Root {
        /// The top folder.
        root: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Staged files cannot be written or synced.
    #[error("cannot make {} ready", folder.display())]
    Staging {
        /// The file or folder.
        folder: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

/// Why a commit was not carried out.
#[derive(Debug, Error)]
pub enum CommitError {
    /// A part was refused, and what was done before it cannot be taken back yet; the next command tries again.
    #[error("a part of the changes was refused, and what was done before it cannot be taken back")]
    Stuck {
        /// What was refused.
        source: ApplyError,
        /// What cannot be taken back.
        back: RollBackError,
    },
    /// A part was refused; the project is as it was.
    #[error("a part of the changes was refused; all of them were taken back")]
    Undone {
        /// What was refused.
        source: ApplyError,
        /// What is not quite as it was.
        back: RolledBack,
    },
}

/// Why a journal is not believed.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Refusal {
    /// It does not hold a journal.
    #[error("it is damaged")]
    Damaged,
    /// It is no file of ours.
    #[error("{0}")]
    File(FileFault),
    /// It names a file that is not in the folder where it should be.
    #[error("it names a file `{}`, which no journal does", excerpt(name))]
    Name {
        /// The name.
        name: String,
    },
    /// What is called as the staging folder is none of ours.
    #[error("its staging folder is not ours: {0}")]
    Staging(FileFault),
    /// What it names in the staging folder is not what was staged for it.
    #[error("it promises a file `{}` that is not the one that was staged for it", excerpt(name))]
    NotStaged {
        /// The name in the staging folder.
        name: String,
    },
}

/// Why a journal could not be read.
#[derive(Debug, Error)]
pub enum JournalError {
    /// The system would not let it be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// The journal's file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// It is no journal of this project, and nothing of it may be carried out.
    #[error("{} is not carried out: {why}", path.display())]
    Refused {
        /// The journal's file.
        path: PathBuf,
        /// Why not.
        why: Refusal,
    },
    /// Another release wrote it.
    #[error("{} is of version {found}, this program knows version {VERSION}", path.display())]
    Version {
        /// The journal's file.
        path: PathBuf,
        /// Its version.
        found: u32,
    },
}

impl JournalError {
    fn of(path: PathBuf, source: io::Error) -> Self {
        match FileFault::of(&source) {
            Some(fault) => Self::Refused { path, why: Refusal::File(fault) },
            None => Self::Read { path, source },
        }
    }
}

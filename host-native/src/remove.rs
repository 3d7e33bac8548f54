//! Remove: has a project no longer track files, and takes them off the disk where that is wanted.
//!
//! Both happen as a pull does: what the system would not let go is found before anything changes, and what it refuses all
//! the same is taken back.

use std::collections::BTreeSet;
use std::io;

use bundle_core::file::ByPath;
use bundle_core::name::path::BundlePath;
use bundle_core::plan::remove::{OnlyHere, lost_by_removal};
use thiserror::Error;

use crate::progress::Progress;
use crate::project::journal::{Before, Commit, CommitError, Delete, PrepareError, StateAfter, foresee_reach};
use crate::project::keeping::Keeping;
use crate::project::parents::{Missing, ParentError, Parents, split};
use crate::project::recovery::Applied;
use crate::project::staging::Staging;
use crate::project::stamp::Stamp;
use crate::project::tracked::{TrackedError, format_tracked};
use crate::project::{Project, ProjectLock};
use crate::scan::{ScanError, Untracked, scan_readable};
use crate::track::{TrackError, track};
use crate::workspace::Workspace;

/// What becomes of the files that a project no longer tracks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Disk {
    /// They stay where they are.
    Keep,
    /// They are deleted.
    Delete,
}

/// A removal that has been looked at and not yet carried out.
#[derive(Debug)]
#[must_use = "nothing is removed before it is carried out"]
pub struct Removal {
    /// What the project tracks then.
    tracked: ByPath<BundlePath>,
    deletes: Vec<Delete>,
    disk: Disk,
}

impl Removal {
    /// Looks whether `paths`, which `workspace` tracks, can be removed.
    ///
    /// # Errors
    ///
    /// What would be in the way.
    pub fn plan(workspace: &Workspace, paths: &[BundlePath], disk: Disk) -> Result<Self, RemoveError> {
        let removed: BTreeSet<&BundlePath> = paths.iter().collect();
        let tracked = workspace.tracked.iter().filter(|path| !removed.contains(path)).cloned().collect();
        let deletes = match disk {
            Disk::Keep => Vec::new(),
            Disk::Delete => find(&workspace.project, paths)?,
        };
        let at: ByPath<BundlePath> = deletes.iter().map(|delete| delete.path.clone()).collect();
        foresee_reach(&workspace.project, &ByPath::default(), &at, |_| Before::Absent)?;
        Ok(Self { tracked, deletes, disk })
    }

    /// What goes from the disk, and what is there.
    pub fn taken(&self) -> impl Iterator<Item = (&BundlePath, Before)> + Clone {
        self.deletes.iter().map(|delete| (&delete.path, delete.expected_before))
    }

    /// Carries it out in the project that `lock` holds; `keeping` was planned for what it takes.
    pub fn apply(self, lock: &ProjectLock, keeping: &Keeping) -> Result<Applied, RemoveError> {
        let Self { tracked, deletes, disk } = self;
        if disk == Disk::Keep {
            return Ok(track(lock, &tracked, keeping)?);
        }
        let staging = Staging::create(lock)
            .map_err(|source| PrepareError::Staging { folder: lock.project().staging_folder(), source })?;
        let after = StateAfter { state: None, synced: None, tracked: format_tracked(&tracked) };
        let commit = Commit::prepare_keeping(lock, &staging, Vec::new(), deletes, &after.files(), keeping)?;
        Ok(commit.apply()?)
    }
}

/// Refuses to delete files of which the content is nowhere else: those that were edited since they were last synced, or
/// never were.
pub fn check_loss(
    workspace: &Workspace,
    paths: &[BundlePath],
    progress: &dyn Progress,
) -> Result<(), RemoveError> {
    let removed: ByPath<BundlePath> = paths.iter().cloned().collect();
    let options = workspace.scan_options(Untracked::Skip);
    let scan = scan_readable(&workspace.project, &removed, options, progress)?;
    let mut unreadable: Vec<BundlePath> =
        scan.unreadable.iter().filter_map(|refused| refused.path.parse().ok()).collect();
    unreadable.sort_unstable();
    let lost = lost_by_removal(&removed, &scan.files, &unreadable, &workspace.state.last_synced);
    if lost.is_empty() {
        return Ok(());
    }
    Err(RemoveError::OnlyHere { files: lost.into_iter().map(|(path, why)| (path.clone(), why)).collect() })
}

/// The files among `paths` that are on the disk.
fn find(project: &Project, paths: &[BundlePath]) -> Result<Vec<Delete>, RemoveError> {
    let root = project.root();
    let mut parents =
        Parents::new(root).map_err(|source| PrepareError::Root { root: root.to_owned(), source })?;
    let mut found = Vec::new();
    for path in paths {
        let folder = match parents.of(path, Missing::Leave) {
            Ok(Some(folder)) => folder,
            // Below a file there is nothing.
            Ok(None) | Err(ParentError::NotAFolder { .. }) => continue,
            Err(source) => return Err(RemoveError::Reached { path: path.clone(), source }),
        };
        match folder.symlink_metadata(split(path.as_str()).1) {
            // A folder is no file that was tracked.
            Ok(entry) if entry.is_dir() => {}
            Ok(entry) => found.push(Delete {
                path: path.clone(),
                expected_before: Before::Present(Stamp::of_entry(&entry)),
            }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(source) => return Err(PrepareError::Look { path: path.clone(), source }.into()),
        }
    }
    Ok(found)
}

/// Why files were not removed.
#[derive(Debug, Error)]
pub enum RemoveError {
    /// The system refused a part of the changes.
    #[error(transparent)]
    Commit(#[from] CommitError),
    /// Nothing was begun.
    #[error(transparent)]
    Prepare(#[from] PrepareError),
    /// Content of the files is nowhere else; nothing was changed.
    #[error("files were edited since they were last synced, or never were; nothing was changed")]
    OnlyHere {
        /// These, and why.
        files: Vec<(BundlePath, OnlyHere)>,
    },
    /// The files cannot be compared with what was synced.
    #[error(transparent)]
    Scan(#[from] ScanError),
    /// A file is reached through a link out of the project, or not at all: it is somebody else's.
    #[error("`{path}` cannot be deleted")]
    Reached {
        /// The file.
        path: BundlePath,
        /// What is wrong with its folder.
        source: ParentError,
    },
    /// The list of tracked files cannot be written.
    #[error(transparent)]
    Tracked(#[from] TrackedError),
}

impl From<TrackError> for RemoveError {
    fn from(error: TrackError) -> Self {
        match error {
            TrackError::Commit(error) => error.into(),
            TrackError::Prepare(error) => error.into(),
            TrackError::Tracked(error) => error.into(),
        }
    }
}

//! Tracks files, or no longer does: an operation as any other, which can be taken back.

use bundle_core::file::ByPath;
use bundle_core::name::path::BundlePath;
use thiserror::Error;

use crate::project::ProjectLock;
use crate::project::journal::{Commit, CommitError, PrepareError, StateAfter};
use crate::project::keeping::Keeping;
use crate::project::recovery::Applied;
use crate::project::staging::Staging;
use crate::project::tracked::{TrackedError, format_tracked, write_tracked};

/// Replaces the list of tracked files of the project that `lock` holds.
pub fn track(
    lock: &ProjectLock,
    tracked: &ByPath<BundlePath>,
    keeping: &Keeping,
) -> Result<Applied, TrackError> {
    if keeping.is_nothing() {
        write_tracked(lock.project(), tracked)?;
        return Ok(Applied::default());
    }
    let staging = Staging::create(lock)
        .map_err(|source| PrepareError::Staging { folder: lock.project().staging_folder(), source })?;
    let after = StateAfter { state: None, synced: None, tracked: format_tracked(tracked) };
    let commit = Commit::prepare_keeping(lock, &staging, Vec::new(), Vec::new(), &after.files(), keeping)?;
    Ok(commit.apply()?)
}

/// Why the list was not replaced.
#[derive(Debug, Error)]
pub enum TrackError {
    /// The system refused a part of the changes.
    #[error(transparent)]
    Commit(#[from] CommitError),
    /// Nothing was begun.
    #[error(transparent)]
    Prepare(#[from] PrepareError),
    /// The list cannot be written.
    #[error(transparent)]
    Tracked(#[from] TrackedError),
}

//! Pull: makes the project equal to the remote's bundle, all or nothing. [`prepare`] has it decided; [`apply`] stages
//! every byte, verified, and then commits.

use bundle_core::diff::{PathChange, Sides};
use bundle_core::path::BundlePath;
use bundle_core::plan::pull::{PullMode, PullPlan};
use bundle_core::portable::{FileSystem, Unfit, unfit};
use bundle_core::reference::Reference;
use bundle_core::snapshot::{ByPath, File, synced_here};
use thiserror::Error;

use crate::bundle::{Bundle, Context};
use crate::component::answers::FactsError;
use crate::project::disk_path::to_disk;
use crate::project::file_system::file_system;
use crate::project::journal::{
    Before, Commit, CommitError, Delete, PrepareError, StateAfter, Write, foresee_reach,
};
use crate::project::keeping::Keeping;
use crate::project::recovery::Applied;
use crate::project::staging::Staging;
use crate::project::stamp::is_executable;
use crate::project::tracked::format_tracked;
use crate::project::{Project, ProjectLock};
use crate::scan::{Refused, Scan};
use crate::transfer::{DownloadError, Downloaded, download};
use crate::workspace::Workspace;

/// A pull that has been decided and not yet carried out.
#[derive(Debug)]
#[must_use = "nothing changes before the pull is applied"]
pub struct PreparedPull {
    /// What to do.
    pub plan: PullPlan,
    /// The bundle that comes.
    pub bundle: Bundle,
    /// What the project holds.
    pub scan: Scan,
}

/// What a pull came to.
#[derive(Debug)]
pub struct Pulled {
    /// What really came from the remote.
    pub downloaded: Downloaded,
    /// What happened to the project's files.
    pub applied: Applied,
    /// Files that came and that the disk does not show to be executable, although they are.
    pub without_mode: Vec<BundlePath>,
}

/// Finds out what pulling `bundle` would do; `scan` is of the tracked files and of whatever lies at the bundle's paths.
pub fn prepare(
    context: Context<'_>,
    workspace: &Workspace,
    mut bundle: Bundle,
    mut scan: Scan,
    mode: PullMode,
) -> Result<PreparedPull, PullError> {
    check_names(bundle.files(), file_system(&workspace.project))?;
    let base = workspace.base_for_pull();
    scan.recall_modes(&workspace.project, &base, bundle.files());
    let sides =
        Sides { local: &scan.files, remote: bundle.files(), base: &base, tracked: &workspace.tracked };
    let obstacles: ByPath<BundlePath> = scan.obstacles.iter().cloned().collect();
    let plan = context.core.plan_pull(sides, mode, &obstacles)?;
    bundle.index_view.files = plan.with_modes(std::mem::take(&mut bundle.index_view.files));
    Ok(PreparedPull { plan, bundle, scan })
}

/// Refuses a bundle of whose `files` `file_system` cannot hold every name.
fn check_names(files: &ByPath<File>, file_system: FileSystem) -> Result<(), PullError> {
    let unfit = unfit(files.iter().map(|file| &file.path), file_system);
    if unfit.is_empty() { Ok(()) } else { Err(PullError::Names { unfit }) }
}

/// Finds out whether the system would let `prepared` be carried out in `project`, as far as can be told ahead.
pub fn foresee(project: &Project, prepared: &PreparedPull) -> Result<(), PullError> {
    let PreparedPull { plan, scan, .. } = prepared;
    Ok(foresee_reach(project, &plan.write, &plan.delete, |path| scan.before(path))?)
}

/// What `prepared` takes from its place, and what is there.
pub fn taken(prepared: &PreparedPull) -> impl Iterator<Item = (&BundlePath, Before)> + Clone {
    let PreparedPull { plan, scan, .. } = prepared;
    plan.write.iter().chain(&plan.delete).map(|path| (path, scan.before(path)))
}

/// Carries out `prepared` in the project that `lock` holds; the bundle came from `reference`, and `keeping` was planned for
/// what is [`taken`].
pub async fn apply(
    context: Context<'_>,
    workspace: &Workspace,
    lock: &ProjectLock,
    reference: &Reference,
    prepared: &PreparedPull,
    keeping: &Keeping,
) -> Result<Pulled, PullError> {
    let PreparedPull { plan, bundle, scan } = prepared;
    if !plan.blocked.is_empty() {
        return Err(PullError::blocked(prepared));
    }
    let staging = Staging::create_for(lock, &plan.write)
        .map_err(|source| DownloadError::Staging { folder: lock.project().staging_folder(), source })?;
    let (staged, downloaded) = match download(context, &workspace.project, &staging, bundle, plan).await {
        Ok(downloaded) => downloaded,
        Err(error) => {
            // What went wrong first is what counts; the next command clears what stays.
            let _ = staging.discard();
            return Err(error.into());
        }
    };
    let writes = plan.write.iter().zip(staged).map(|(path, staged)| Write {
        path: path.clone(),
        staged,
        expected_before: scan.before(path),
    });
    let deletes =
        plan.delete.iter().map(|path| Delete { path: path.clone(), expected_before: scan.before(path) });
    let after = after(workspace, reference, prepared)?;
    let (writes, deletes) = (writes.collect(), deletes.collect());
    let commit = Commit::prepare_keeping(lock, &staging, writes, deletes, &after.files(), keeping)?;
    let applied = commit.apply()?;
    let without_mode = without_mode(&workspace.project, prepared);
    Ok(Pulled { downloaded, applied, without_mode })
}

/// The executable files among those that were put in place and do not show it.
fn without_mode(project: &Project, prepared: &PreparedPull) -> Vec<BundlePath> {
    let executable = |path: &&BundlePath| prepared.plan.executable.at(path).is_some();
    // A file that somebody has taken away meanwhile has no mode to lack.
    let shows_none = |path: &&BundlePath| {
        to_disk(project.root(), path).symlink_metadata().is_ok_and(|now| !is_executable(&now))
    };
    prepared.plan.write.iter().filter(executable).filter(shows_none).cloned().collect()
}

/// What the project's own folder is to say once the files are in place.
fn after(
    workspace: &Workspace,
    reference: &Reference,
    prepared: &PreparedPull,
) -> Result<StateAfter, PullError> {
    let files = prepared.bundle.files();
    let mut state = workspace.state.clone();
    state.last_pull_digest = Some(prepared.bundle.digest);
    state.last_synced = synced_here(files, &prepared.scan.files, &workspace.state.last_synced);
    state.synced_ref = Some(reference.clone());
    state.timestamp = crate::clock::now().as_millisecond() as f64 / 1000.0;

    let is_deleted = |path: &BundlePath| prepared.plan.delete.binary_search(path).is_ok();
    let mut tracked: Vec<BundlePath> =
        workspace.tracked.iter().filter(|path| !is_deleted(path)).cloned().collect();
    tracked.extend(files.iter().map(|file| file.path.clone()));
    tracked.sort();
    tracked.dedup();
    let tracked = format_tracked(&tracked.into_iter().collect());
    let state = state.to_json().map_err(|source| PullError::State { source })?;
    Ok(StateAfter { state: Some(state), tracked })
}

/// Why a pull failed.
#[derive(Debug, Error)]
pub enum PullError {
    /// The project would lose something; nothing was changed.
    #[error("the project has changes that the pull would undo; nothing was changed")]
    Blocked {
        /// What stands in the way.
        changes: Vec<PathChange>,
        /// Links and the like that stand where folders should be: why some of `changes` cannot be made.
        barriers: Vec<Refused>,
    },
    /// The system refused a part of the changes.
    #[error(transparent)]
    Commit(#[from] CommitError),
    /// The core refuses the files.
    #[error(transparent)]
    Facts(#[from] FactsError),
    /// The content is not here; nothing was changed.
    #[error(transparent)]
    Download(#[from] DownloadError),
    /// The project's file system cannot hold names of the bundle; nothing was changed.
    #[error("names in the bundle cannot be written here; nothing was changed")]
    Names {
        /// Which, and why.
        unfit: Vec<Unfit>,
    },
    /// The commit was not begun; nothing was changed.
    #[error(transparent)]
    Prepare(#[from] PrepareError),
    /// What was synced cannot be put into JSON.
    #[error("cannot write down what was pulled")]
    State {
        /// What the serializer says.
        source: serde_json::Error,
    },
}

impl PullError {
    /// Why `prepared`, which is blocked, is not carried out.
    pub fn blocked(prepared: &PreparedPull) -> Self {
        let changes = prepared.plan.blocked.clone();
        let is_above = |barrier: &&Refused| changes.iter().any(|each| each.path.is_below(&barrier.path));
        let barriers = prepared.scan.barriers.iter().filter(is_above).cloned().collect();
        Self::Blocked { changes, barriers }
    }
}

#[cfg(test)]
mod tests {
    use bundle_core::digest::Digest;
    use bundle_core::portable::{Spelling, System};

    use super::*;

    #[test]
    fn names_are_refused_where_they_cannot_be_written() {
        let file = |path: &str| File {
            path: path.parse().unwrap(),
            digest: Digest::of(b""),
            size: 0,
            executable: Some(false),
        };
        let files = ByPath::new(["A", "a", "nul.txt", "plain"].map(file).to_vec()).unwrap();
        let refused = |system, spelling| match check_names(&files, FileSystem { system, spelling }) {
            Err(PullError::Names { unfit }) => unfit.iter().map(|one| one.path.to_string()).collect(),
            Err(other) => panic!("{other}"),
            Ok(()) => Vec::new(),
        };
        assert_eq!(refused(System::Posix, Spelling::Exact), Vec::<String>::new());
        assert_eq!(refused(System::Posix, Spelling::Folded), ["a"]);
        assert_eq!(refused(System::Windows, Spelling::Folded), ["a", "nul.txt"]);
    }
}

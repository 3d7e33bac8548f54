//! Pull: brings the remote's bundle into the project, merged by file, all or nothing. [`prepare`] has it decided; [`apply`] stages
//! every byte, verified, and then commits.

use bundle_core::diff::{ConflictKind, Sides};
use bundle_core::digest::Digest;
use bundle_core::file::{ByPath, File, synced_here};
use bundle_core::name::file_names::{FileSystem, Unfit, unfit};
use bundle_core::name::path::BundlePath;
use bundle_core::name::reference::Reference;
use bundle_core::plan::drops::{DropGuard, MassDrop};
use bundle_core::plan::pull::{Blocked, DeletedHere, PullMode, PullOptions, PullPlan};
use bundle_core::plan::view::{View, Viewed, Views};
use thiserror::Error;

use crate::bundle::{Bundle, Context};
use crate::component::answers::FactsError;
use crate::project::disk_path::to_disk;
use crate::project::file_system::file_system;
use crate::project::interrupted::Interrupted;
use crate::project::journal::{
    Before, Commit, CommitError, Delete, PrepareError, StateAfter, Write, foresee_reach,
};
use crate::project::keeping::Keeping;
use crate::project::recovery::Applied;
use crate::project::staging::Staging;
use crate::project::stamp::is_executable;
use crate::project::synced::SyncedBundle;
use crate::project::tracked::format_tracked;
use crate::project::{Project, ProjectLock};
use crate::scan::{Refused, Scan};
use crate::transfer::{DownloadError, Downloaded, download};
use crate::workspace::Workspace;

/// What a user says of a pull.
#[derive(Clone, Debug, Default)]
pub struct PullChoices {
    /// Which way it decides.
    pub mode: PullMode,
    /// What becomes of files that were deleted here.
    pub deleted: DeletedHere,
    /// Paths at which the project's version wins.
    pub mine: ByPath<BundlePath>,
    /// Paths at which the remote's version wins.
    pub theirs: ByPath<BundlePath>,
    /// Whether most of the files may be deleted.
    pub drops: DropGuard,
    /// The part of bundles that the project takes part in from now on, where that changes.
    pub view: Option<View>,
}

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
    /// What it takes part in from now on, where that changes.
    pub view: Option<View>,
}

/// What a pull came to.
#[derive(Debug, Default)]
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
    choices: &PullChoices,
) -> Result<PreparedPull, PullError> {
    let view = choices.view.as_ref().unwrap_or(&workspace.state.view);
    let paths = bundle.files().iter().map(|file| &file.path);
    check_names(paths.filter(|path| view.holds(path)), file_system(&workspace.project))?;
    let base = &workspace.state.last_synced;
    scan.recall_modes(&workspace.project, base, bundle.files());
    let obstacles: ByPath<BundlePath> = scan.obstacles.iter().cloned().collect();
    let plan = plan(context, workspace, &bundle, &scan, &obstacles, choices)?;
    bundle.index_view.files = plan.with_modes(std::mem::take(&mut bundle.index_view.files));
    let view = choices.view.clone();
    Ok(PreparedPull { plan, bundle, scan, view })
}

fn plan(
    context: Context<'_>,
    workspace: &Workspace,
    bundle: &Bundle,
    scan: &Scan,
    obstacles: &ByPath<BundlePath>,
    choices: &PullChoices,
) -> Result<PullPlan, FactsError> {
    let base = &workspace.state.last_synced;
    let sides = Sides { local: &scan.files, remote: bundle.files(), base, tracked: &workspace.tracked };
    let PullChoices { mode, deleted, mine, theirs, drops, view } = choices;
    let before = &workspace.state.view;
    let views = Views { before, after: view.as_ref().unwrap_or(before) };
    let viewed = Viewed::of(sides, views);
    let sides = viewed.sides(sides);
    let (mode, deleted, drops) = (*mode, *deleted, *drops);
    context.core.plan_pull(sides, PullOptions { mode, deleted, mine, theirs, obstacles, drops, settled: 0 })
}

impl PreparedPull {
    /// Decides anew about what has been looked at, where the user has settled what stopped it.
    pub fn settle(
        self,
        context: Context<'_>,
        workspace: &Workspace,
        choices: &PullChoices,
    ) -> Result<Self, PullError> {
        let Self { mut bundle, scan, view, .. } = self;
        let obstacles: ByPath<BundlePath> = scan.obstacles.iter().cloned().collect();
        let plan = plan(context, workspace, &bundle, &scan, &obstacles, choices)?;
        bundle.index_view.files = plan.with_modes(std::mem::take(&mut bundle.index_view.files));
        Ok(Self { plan, bundle, scan, view })
    }

    /// The files that the project tracks once it is carried out: the tree digest of these is that of the project.
    pub fn files_after(&self, workspace: &Workspace) -> ByPath<File> {
        let Self { plan, bundle, scan, .. } = self;
        let is_here = |file: &&File| {
            let is_tracked = || workspace.tracked.at(&file.path).is_some();
            plan.write.at(&file.path).is_none()
                && plan.delete.at(&file.path).is_none()
                && (plan.adopt.at(&file.path).is_some() || is_tracked())
        };
        let stay = scan.files.iter().filter(is_here).cloned();
        let come = bundle.files().iter().filter(|file| plan.write.at(&file.path).is_some()).cloned();
        // A file that comes takes the place of the one that was there.
        ByPath::keeping_first(stay.chain(come).collect())
    }
}

/// Refuses a bundle of whose `paths` `file_system` cannot hold every name.
fn check_names<'a>(
    paths: impl Iterator<Item = &'a BundlePath> + Clone,
    file_system: FileSystem,
) -> Result<(), PullError> {
    let unfit = unfit(paths, file_system);
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
    let PreparedPull { plan, bundle, scan, .. } = prepared;
    prepared.check()?;
    let changes_files = !(plan.write.is_empty() && plan.delete.is_empty());
    if !changes_files && after(workspace, reference, prepared)?.is_none() {
        Interrupted::clear(&workspace.project);
        return Ok(Pulled::default());
    }
    let staging = Staging::create_for(lock, &plan.write)
        .map_err(|source| DownloadError::Staging { folder: lock.project().staging_folder(), source })?;
    let (staged, downloaded) = match download(context, &workspace.project, &staging, bundle, plan).await {
        Ok(downloaded) => downloaded,
        Err(error) => {
            // What went wrong first is what counts.
            let _ = staging.leave(&workspace.project);
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
    let stays = || StateAfter { state: None, synced: None, tracked: format_tracked(&workspace.tracked) };
    // Not before the files are here: of a large project it is a large text.
    let after = after(workspace, reference, prepared)?.unwrap_or_else(stays);
    let (writes, deletes) = (writes.collect(), deletes.collect());
    let commit = Commit::prepare_keeping(lock, &staging, writes, deletes, &after.files(), keeping)?;
    let applied = commit.apply()?;
    Interrupted::clear(&workspace.project);
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

/// What the project's own folder is to say once the files are in place; nothing where it says that already. The whole bundle
/// is last synced then, also at paths that stay as they are.
fn after(
    workspace: &Workspace,
    reference: &Reference,
    prepared: &PreparedPull,
) -> Result<Option<StateAfter>, PullError> {
    let PreparedPull { plan, bundle, scan, view: new_view } = prepared;
    let mut state = workspace.state.clone();
    state.last_pull_digest = Some(bundle.digest);
    state.last_synced = synced_here(bundle.files(), &scan.files, &workspace.state.last_synced);
    state.synced_ref = Some(reference.clone());

    let mut synced = workspace.synced.clone();
    let view = &bundle.manifest_view;
    synced.bundle = Some(SyncedBundle { described: view.as_ancestor.clone(), history: view.history.clone() });
    let before = std::mem::take(&mut state.view.own);
    if let Some(view) = new_view {
        state.view = view.clone();
    }
    if let Some(tag) = &reference.tag {
        synced.saw(reference, tag, bundle.digest);
    }
    let goes = |path: &&BundlePath| plan.delete.at(path).is_some() || plan.untrack.at(path).is_some();
    let stay = workspace.tracked.iter().filter(|path| !goes(path));
    let tracked: ByPath<BundlePath> = stay.chain(&plan.write).chain(&plan.adopt).cloned().collect();
    // Outside the view, what is here counts as synced where it came with this pull or an earlier one, or is the same.
    let is_own = |path: &&BundlePath| {
        let is_same =
            || scan.files.at(path).zip(bundle.files().at(path)).is_some_and(|(a, b)| a.is_same_as(b));
        let comes = || plan.write.at(path).is_some() || plan.adopt.at(path).is_some();
        // What stays although the bundle has another file was settled.
        let stays = || plan.kept.iter().any(|each| each.path == **path);
        !state.view.holds(path) && (before.contains(path) || comes() || is_same() || stays())
    };
    let own: Vec<BundlePath> = tracked.iter().filter(is_own).cloned().collect();
    state.view.own = own;
    if state == workspace.state && synced == workspace.synced && tracked == workspace.tracked {
        return Ok(None);
    }
    state.timestamp = crate::clock::now().as_millisecond() as f64 / 1000.0;
    let fault = |source| PullError::State { source };
    let state = state.to_json().map_err(fault)?;
    let synced = synced.to_json(Digest::of(&state)).map_err(fault)?;
    Ok(Some(StateAfter { state: Some(state), synced: Some(synced), tracked: format_tracked(&tracked) }))
}

/// Why a pull failed.
#[derive(Debug, Error)]
pub enum PullError {
    /// The project would lose something; nothing was changed.
    #[error("{}; nothing was changed", why(.blocked))]
    Blocked {
        /// What stands in the way.
        blocked: Vec<Blocked>,
        /// Links and the like that stand where folders should be: why some of it cannot be made.
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
    /// Most of the project's files would be deleted; nothing was changed.
    #[error("the pull would delete {} of the {} files here, and nobody has said that it may", .drop.dropped, .drop.of)]
    MassDrop {
        /// How many.
        drop: MassDrop,
    },
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

/// What stops a pull, in words.
fn why(blocked: &[Blocked]) -> &'static str {
    let is_conflict = |one: &Blocked| one.kind.is_some_and(|kind| kind != ConflictKind::InTheWay);
    let is_in_the_way = |one: &Blocked| one.kind == Some(ConflictKind::InTheWay);
    match (blocked.iter().any(is_conflict), blocked.iter().any(is_in_the_way)) {
        (true, false) => "both sides changed the same files",
        (false, true) => "files would have to be written where something else lies",
        (true, true) => "both sides changed the same files, and something lies where others would be written",
        (false, false) => {
            "the project differs from the bundle, and this kind of pull takes only what is equal"
        }
    }
}

impl PreparedPull {
    /// Refuses it where it is not to be carried out.
    pub fn check(&self) -> Result<(), PullError> {
        let blocked = &self.plan.blocked;
        if !blocked.is_empty() {
            let is_above = |barrier: &&Refused| blocked.iter().any(|one| one.path.is_below(&barrier.path));
            let barriers = self.scan.barriers.iter().filter(is_above).cloned().collect();
            return Err(PullError::Blocked { blocked: blocked.clone(), barriers });
        }
        match self.plan.mass_drop {
            Some(drop) => Err(PullError::MassDrop { drop }),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use bundle_core::name::file_names::{Spelling, System};

    use super::*;

    // README: "A pull to such a system or drive refuses them before it writes anything."
    #[test]
    fn names_are_refused_where_they_cannot_be_written() {
        let file = |path: &str| File {
            path: path.parse().unwrap(),
            digest: Digest::of(b""),
            size: 0,
            executable: Some(false),
        };
        let files = ByPath::new(["A", "a", "nul.txt", "plain"].map(file).to_vec()).unwrap();
        let refused = |system, spelling| match check_names(
            files.iter().map(|file| &file.path),
            FileSystem { system, spelling },
        ) {
            Err(PullError::Names { unfit }) => unfit.iter().map(|one| one.path.to_string()).collect(),
            Err(other) => panic!("{other}"),
            Ok(()) => Vec::new(),
        };
        assert_eq!(refused(System::Posix, Spelling::Exact), Vec::<String>::new());
        assert_eq!(refused(System::Posix, Spelling::Folded), ["a"]);
        assert_eq!(refused(System::Windows, Spelling::Folded), ["a", "nul.txt"]);
    }
}

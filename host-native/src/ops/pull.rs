//! Pull: brings a bundle into a project, merged by file, all or nothing.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use bundle_core::file::{ByPath, File};
use bundle_core::name::path::BundlePath;
use bundle_core::name::reference::Reference;
use bundle_core::plan::keep::{HadIn, LastSynced, had_elsewhere};
use bundle_core::plan::pull::PullMode;
use bundle_core::plan::view::View;
use thiserror::Error;

use crate::bundle::{Bundle, Context, OpenError, open, version_of};
use crate::client::{Cancelled, Client};
use crate::component::LoadError;
use crate::entry::{EnterError, Entered, Kept};
use crate::project::Project;
use crate::project::disk_path::to_disk;
use crate::project::folder::FindError;
use crate::project::journal::Before;
use crate::project::keeping::{Keep, KeepError, Keeping, NewOperation, Policy, Purpose};
use crate::project::new_project::{BeginError, NewProject};
use crate::project::undo::{BundleAt, Elsewhere, Kind};
use crate::pull::{self, PreparedPull, PullChoices, PullError, Pulled, taken};
use crate::remote::{Intent, Remote, RemoteError};
use crate::scan::select::SelectError;
use crate::scan::{Scan, ScanError, Untracked, select_tracked};
use crate::transfer::{Downloaded, forecast};
use crate::workspace::Workspace;

/// How a bundle is pulled.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct PullOptions {
    /// Which way is decided, and which part of the bundle the project takes part in.
    pub choices: PullChoices,
    /// Paths and globs of conflicts in which the project's file stays, and those in which the bundle's file comes.
    pub settled: Settled,
    /// Whether what is taken away is kept for an undo.
    pub keep: Keep,
    /// How much is kept, in bytes; as the project's settings say by default.
    pub undo_limit: Option<u64>,
    /// What the operation is, and what it is called, where it can be taken back; a pull by default.
    pub told_as: Option<(Kind, String)>,
}

impl PullOptions {
    /// Decides in this way.
    #[must_use]
    pub fn choices(mut self, choices: PullChoices) -> Self {
        self.choices = choices;
        self
    }

    /// Settles conflicts.
    #[must_use]
    pub fn settled(mut self, settled: Settled) -> Self {
        self.settled = settled;
        self
    }

    /// Keeps what is taken away, or not; `limit` says how much in place of the project's settings.
    #[must_use]
    pub fn keep(mut self, keep: Keep, limit: Option<u64>) -> Self {
        (self.keep, self.undo_limit) = (keep, limit);
        self
    }

    /// Is told as this operation where it can be taken back.
    #[must_use]
    pub fn told_as(mut self, kind: Kind, command: String) -> Self {
        self.told_as = Some((kind, command));
        self
    }
}

/// Which conflicts are settled, and which way.
#[derive(Clone, Debug, Default)]
pub struct Settled {
    /// Paths and globs at which the project's file stays.
    pub mine: Vec<OsString>,
    /// Paths and globs at which the bundle's file comes.
    pub theirs: Vec<OsString>,
    /// The folder that they are told from.
    pub relative_to: PathBuf,
}

/// Where a bundle is pulled to.
#[derive(Debug)]
pub enum Target {
    /// A project, which is locked.
    Project(Box<Entered>),
    /// A folder that is in no project, and becomes one once there is something to pull into it.
    Folder(PathBuf),
}

impl Target {
    /// The project that `folder` lies in, or that folder where it lies in none or is not there.
    ///
    /// # Errors
    ///
    /// The project cannot be locked or read.
    pub fn at(client: &Client, folder: &Path) -> Result<Self, EnterError> {
        if !folder.exists() {
            return Ok(Self::Folder(folder.to_owned()));
        }
        match client.enter(folder, "pull") {
            Ok(entered) => Ok(Self::Project(Box::new(entered))),
            Err(EnterError::Find(FindError::NoProject { .. })) => Ok(Self::Folder(folder.to_owned())),
            Err(error) => Err(error),
        }
    }
}

/// A pull that has been decided.
#[derive(Debug)]
#[must_use = "nothing changes before the pull is applied"]
pub struct Planned {
    client: Client,
    remote: Box<dyn Remote>,
    reference: Reference,
    place: Place,
    prepared: PreparedPull,
    options: PullOptions,
}

/// Where a bundle is pulled to, as it was looked at.
#[derive(Debug)]
enum Place {
    /// A project, which is locked.
    Project(Box<Entered>),
    /// A folder that is to become the project that it was looked at as.
    Folder(Box<Workspace>),
}

impl Place {
    fn look_at(target: Target) -> Result<Self, PullingError> {
        Ok(match target {
            Target::Project(entered) => Self::Project(entered),
            Target::Folder(folder) => Self::Folder(Box::new(imagine(&folder)?)),
        })
    }

    fn workspace(&self) -> &Workspace {
        match self {
            Self::Project(entered) => &entered.workspace,
            Self::Folder(workspace) => workspace,
        }
    }
}

/// What a pull would come to.
#[derive(Debug)]
#[non_exhaustive]
pub struct Foreseen {
    /// What would come from the remote.
    pub downloaded: Downloaded,
    /// Paths of which older content would not be kept for an undo any longer.
    pub expired: Vec<String>,
    /// Why nothing of the pull could be taken back, where something stands in the way of that.
    pub not_kept: Option<KeepError>,
}

/// What a pull came to.
#[derive(Debug)]
#[non_exhaustive]
pub struct Done {
    /// What came of it.
    pub pulled: Pulled,
    /// The project, which the pull may have made.
    pub project: Kept,
    /// Paths of which older content is not kept for an undo any longer.
    pub expired: Vec<String>,
    /// Why nothing of the pull can be taken back, where something stands in the way of that.
    pub not_kept: Option<KeepError>,
    /// HTTP requests made.
    pub requests: u64,
}

/// Plans to pull the bundle of `reference` into `target`.
///
/// ```no_run
/// use modelops_bundle::client::Client;
/// use modelops_bundle::ops::pull::{self, PullOptions, Target};
///
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// let client = Client::default();
/// let reference = "registry.example/team/model:v1.0.0".parse()?;
/// let target = Target::at(&client, "model".as_ref())?;
/// let planned = pull::plan(&client, &reference, target, PullOptions::default()).await?;
/// println!("{} files come", planned.prepared().plan.write.len());
/// planned.apply().await?;
/// # Ok(())
/// # }
/// ```
///
/// # Errors
///
/// There is no such bundle, the project would lose something that nobody has given up, or the remote fails.
pub async fn plan(
    client: &Client,
    reference: &Reference,
    target: Target,
    options: PullOptions,
) -> Result<Planned, PullingError> {
    let remote = client.open(reference, Intent::Read)?;
    let bundle = {
        let context = client.context(remote.as_ref())?;
        let context = match &target {
            Target::Project(entered) => context.with_cache(&entered.workspace.project),
            // It is no project yet, and has no cache.
            Target::Folder(_) => context,
        };
        let opening = async { Ok::<_, PullingError>(open(context, &version_of(reference)).await?) };
        client.unless_cancelled(opening).await?
    };
    let bundle = bundle.ok_or_else(|| PullingError::NoBundle { reference: reference.clone() })?;
    plan_opened(client, reference, remote, bundle, target, options)
}

/// The same for a bundle that was opened at `remote`, the place of `reference`, and perhaps verified: it is the one that comes,
/// whatever `reference` names by now.
///
/// # Errors
///
/// As [`plan`].
pub fn plan_opened(
    client: &Client,
    reference: &Reference,
    remote: Box<dyn Remote>,
    bundle: Bundle,
    target: Target,
    options: PullOptions,
) -> Result<Planned, PullingError> {
    let place = Place::look_at(target)?;
    let prepared = prepare(client.context(remote.as_ref())?, place.workspace(), bundle, &options)?;
    let (client, reference) = (client.clone(), reference.clone());
    Ok(Planned { client, remote, reference, place, prepared, options })
}

/// The project that `folder`, which may not be there, would be.
fn imagine(folder: &Path) -> Result<Workspace, PullingError> {
    NewProject::foresee(folder)?;
    let to_be = std::path::absolute(folder).and_then(|folder| Project::to_be(&folder));
    let project = to_be.map_err(|source| BeginError::Folder { folder: folder.to_owned(), source })?;
    Ok(Workspace::load(project).map_err(EnterError::from)?)
}

/// Has it decided what pulling `bundle` would do.
///
/// # Errors
///
/// The project would lose something that nobody has given up, or cannot be looked at.
pub fn prepare(
    context: Context<'_>,
    workspace: &Workspace,
    bundle: Bundle,
    options: &PullOptions,
) -> Result<PreparedPull, PullingError> {
    let mut choices = options.choices.clone();
    let view = choices.view.as_ref().unwrap_or(&workspace.state.view);
    if choices.mode == PullMode::Exact && !view.is_whole() {
        return Err(PullingError::ExactPart);
    }
    if let Some(view) = &choices.view {
        check_view(view, bundle.files())?;
    }
    let paths = bundle.files().iter().map(|file| &file.path);
    let extra: Vec<BundlePath> = paths.filter(|path| view.holds(path)).cloned().collect();
    let found = match workspace.root().exists() {
        true => workspace.look(&extra, Untracked::Skip, context.progress.as_ref())?,
        false => Scan::nothing(),
    };
    let mut prepared = pull::prepare(context, workspace, bundle, found, &choices)?;
    let Settled { mine, theirs, relative_to } = &options.settled;
    if !(mine.is_empty() && theirs.is_empty()) {
        let blocked = prepared.plan.blocked.iter().map(|one| one.path.clone()).collect();
        let settle = |arguments: &[OsString], side| settle(workspace, relative_to, arguments, &blocked, side);
        choices.mine = settle(mine, Side::Mine)?;
        choices.theirs = settle(theirs, Side::Theirs)?;
        prepared = prepared.settle(context, workspace, &choices)?;
    }
    prepared.check()?;
    Ok(prepared)
}

/// Refuses a part of a bundle of which a glob means no file.
fn check_view(view: &View, files: &ByPath<File>) -> Result<(), PullingError> {
    let means_nothing = |glob: &&String| {
        let alone = View { include: vec![(*glob).clone()], ..View::default() };
        !files.iter().any(|file| alone.holds(&file.path))
    };
    let globs: Vec<String> = view.include.iter().filter(means_nothing).cloned().collect();
    if globs.is_empty() { Ok(()) } else { Err(PullingError::NothingIncluded { globs }) }
}

/// Those of the `blocked` paths that `arguments` mean.
fn settle(
    workspace: &Workspace,
    relative_to: &Path,
    arguments: &[OsString],
    blocked: &ByPath<BundlePath>,
    side: Side,
) -> Result<ByPath<BundlePath>, PullingError> {
    if arguments.is_empty() {
        return Ok(ByPath::default());
    }
    let selection = select_tracked(&workspace.project, relative_to, arguments, blocked)?;
    if !selection.unmatched.is_empty() {
        return Err(PullingError::NothingSettled { side, unmatched: selection.unmatched });
    }
    Ok(selection.paths.into_iter().collect())
}

impl Planned {
    /// What was decided.
    pub fn prepared(&self) -> &PreparedPull {
        &self.prepared
    }

    /// The project, as it is before.
    pub fn workspace(&self) -> &Workspace {
        self.place.workspace()
    }

    /// HTTP requests made so far.
    pub fn requests(&self) -> u64 {
        self.remote.requests()
    }

    /// What would come from the remote, and what would no longer be kept; changes nothing.
    ///
    /// # Errors
    ///
    /// The system would not let it be carried out, or the remote fails.
    pub async fn foresee(&self) -> Result<Foreseen, PullingError> {
        let (workspace, prepared) = (self.place.workspace(), &self.prepared);
        let context = self.client.context(self.remote.as_ref())?.with_cache(&workspace.project);
        let (keeping, not_kept) = match &self.place {
            Place::Project(_) => {
                keeping(workspace, prepared, &self.reference, &self.options, Purpose::Foresee)?
            }
            Place::Folder(_) => (Keeping::default(), None),
        };
        let root = workspace.root();
        let disk = root.ancestors().find(|above| above.exists()).unwrap_or(root);
        if disk == root {
            pull::foresee(&workspace.project, prepared)?;
        }
        let PreparedPull { plan, bundle, .. } = prepared;
        let looking = async {
            let coming = forecast(context, &workspace.project, disk, bundle, plan).await;
            Ok::<_, PullingError>(coming.map_err(PullError::from)?)
        };
        let downloaded = self.client.unless_cancelled(looking).await?;
        Ok(Foreseen { downloaded, expired: keeping.expired().to_vec(), not_kept })
    }

    /// Carries it out. All files are fetched and verified before the first one is put in place; once that has begun, it is
    /// finished, by the next operation if this one dies.
    ///
    /// # Errors
    ///
    /// The project or the remote has changed meanwhile, the system or the remote fails, or the client was cancelled.
    pub async fn apply(self) -> Result<Done, PullingError> {
        let Self { client, remote, reference, place, prepared, options } = self;
        let context = client.context(remote.as_ref())?;
        let (entered, prepared) = match place {
            Place::Project(entered) => (*entered, prepared),
            // Nobody held a lock when it was decided.
            Place::Folder(workspace) => {
                let lock = |project: &Project| client.lock(project, "init");
                let entered = Entered::make(workspace.root(), &reference, prepared.bundle.files(), lock)?;
                let prepared = prepare(context, &entered.workspace, prepared.bundle, &options)?;
                (entered, prepared)
            }
        };
        let carried_out = carry_out(&client, context, &entered, &reference, prepared, &options).await?;
        let CarriedOut { pulled, keeping, not_kept } = carried_out;
        let (expired, project) = (keeping.expired().to_vec(), entered.keep()?);
        Ok(Done { pulled, expired, not_kept, project, requests: remote.requests() })
    }
}

/// Carries out what was decided for the project that is entered.
async fn carry_out(
    client: &Client,
    context: Context<'_>,
    entered: &Entered,
    reference: &Reference,
    prepared: PreparedPull,
    options: &PullOptions,
) -> Result<CarriedOut, PullingError> {
    let (lock, workspace) = (&entered.lock, &entered.workspace);
    let context = context.with_cache(&workspace.project);
    // A folder that becomes a project has had nothing to go back to, but for files that lay there.
    let is_there = |(_, before): (&BundlePath, Before)| before != Before::Absent;
    let (keeping, not_kept) = match entered.is_new() && !taken(&prepared).any(is_there) {
        true => (Keeping::default(), None),
        false => keeping(workspace, &prepared, reference, options, Purpose::Apply)?,
    };
    let pulling = async {
        let pulled = pull::apply(context, workspace, lock, reference, &prepared, &keeping).await;
        Ok::<_, PullingError>(pulled?)
    };
    let pulled = client.unless_cancelled(pulling).await?;
    Ok(CarriedOut { pulled, keeping, not_kept })
}

/// What came of a pull, before the project is left.
struct CarriedOut {
    pulled: Pulled,
    keeping: Keeping,
    not_kept: Option<KeepError>,
}

/// What is kept of a pull. One that changes neither a file nor what is tracked nor what was synced is none to take back; one
/// that takes nothing away goes on where nothing can be kept, and says why not.
fn keeping(
    workspace: &Workspace,
    prepared: &PreparedPull,
    reference: &Reference,
    options: &PullOptions,
    purpose: Purpose,
) -> Result<(Keeping, Option<KeepError>), PullingError> {
    let PreparedPull { plan, bundle, .. } = prepared;
    let lists = [&plan.write, &plan.delete, &plan.adopt, &plan.untrack];
    let is_there = workspace.synced.bundle.as_ref().is_some_and(|at| at.described.digest == bundle.digest);
    let is_seen = prepared.view.as_ref().is_none_or(|view| view.is_like(&workspace.state.view));
    if is_there && is_seen && lists.into_iter().all(|paths| paths.is_empty()) {
        return Ok((Keeping::default(), None));
    }
    let policy = Policy::of(options.undo_limit.unwrap_or(workspace.config.undo_limit), options.keep);
    let told_as = || (Kind::Pull, format!("pull {reference}"));
    let (kind, command) = options.told_as.clone().unwrap_or_else(told_as);
    let operation = NewOperation {
        brought: Some(BundleAt { reference: reference.without_version().to_string(), digest: bundle.digest }),
        elsewhere: elsewhere(workspace, prepared),
        ..workspace.operation(kind, command, policy)
    };
    Ok(Keeping::plan_where_needed(&workspace.project, operation, taken(prepared), purpose)?)
}

/// What the pull takes away and a bundle has, so that it need not be kept.
fn elsewhere(workspace: &Workspace, prepared: &PreparedPull) -> BTreeMap<BundlePath, Elsewhere> {
    let PreparedPull { plan, bundle, scan, .. } = prepared;
    let paths = plan.write.iter().chain(&plan.delete);
    let base = &workspace.state.last_synced;
    // Nobody has looked whether the last synced bundle is still there.
    let had = had_elsewhere(paths, &scan.files, bundle.files(), base, LastSynced::Unseen);
    // A link is more than the content that it leads to.
    let is_link = |file: &File| to_disk(workspace.root(), &file.path).is_symlink();
    let is_content = |(file, _): &(&File, HadIn)| !is_link(file);
    let entry = |(file, had_in): (&File, HadIn)| {
        let File { path, digest, size, executable } = file.clone();
        (path, Elsewhere { digest, size, executable, had_in })
    };
    had.into_iter().filter(is_content).map(entry).collect()
}

/// Which side wins a conflict.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// The project's.
    Mine,
    /// The bundle's.
    Theirs,
}

/// Why a bundle could not be pulled; nothing was changed, unless it says otherwise.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum PullingError {
    /// The folder cannot become a project.
    #[error(transparent)]
    Begin(#[from] BeginError),
    /// The client was cancelled.
    #[error(transparent)]
    Cancelled(#[from] Cancelled),
    /// The project cannot be entered.
    #[error(transparent)]
    Enter(#[from] EnterError),
    /// All of the bundle was wanted for a project that takes part in a part of it.
    #[error("all of the bundle is wanted, and the project takes part in a part")]
    ExactPart,
    /// What would be taken away cannot be kept.
    #[error(transparent)]
    Keep(#[from] KeepError),
    /// The core cannot be used.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// There is no such bundle.
    #[error("there is no bundle {reference}")]
    NoBundle {
        /// What was named.
        reference: Reference,
    },
    /// No file of the bundle is in the part that was named.
    #[error("no file of the bundle is meant")]
    NothingIncluded {
        /// The globs that mean nothing.
        globs: Vec<String>,
    },
    /// No conflict is where one was to be settled.
    #[error("no conflict is at these paths")]
    NothingSettled {
        /// Which side was to win.
        side: Side,
        /// The paths and globs.
        unmatched: Vec<String>,
    },
    /// What was named is no bundle, or none that this version reads.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The pull stops, or failed.
    #[error(transparent)]
    Pull(#[from] PullError),
    /// The remote failed.
    #[error(transparent)]
    Remote(#[from] RemoteError),
    /// The project cannot be looked at.
    #[error(transparent)]
    Scan(#[from] ScanError),
    /// The paths of conflicts cannot be understood.
    #[error(transparent)]
    Select(#[from] SelectError),
}

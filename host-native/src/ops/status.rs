//! Status: how a project and its remote compare.

use std::thread::scope;

use bundle_core::diff::{PathChange, Sides};
use bundle_core::digest::Digest;
use bundle_core::file::{ByPath, File};
use bundle_core::name::reference::Reference;
use bundle_core::plan::layout::Rewrite;
use bundle_core::plan::push::{Builds, PushFacts};
use bundle_core::plan::standing::Standing;
use bundle_core::plan::view::{Viewed, Views};
use rayon::prelude::*;
use thiserror::Error;

use crate::bundle::{Bundle, OpenError, open, version_of};
use crate::client::{Cancelled, Client};
use crate::component::answers::FactsError;
use crate::component::{Core, CoreError, LoadError};
use crate::remote::{Intent, Remote, RemoteError};
use crate::scan::{Scan, ScanError, ScanOptions, Untracked, scan_readable};
use crate::threads::{Bridge, ThreadError, start};
use crate::workspace::Workspace;

/// Whether the remote is asked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Asks {
    /// It is.
    #[default]
    Remote,
    /// It is not: the project is compared with what was last synced.
    Nobody,
}

/// How a project is looked at.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct StatusOptions {
    /// Whether the remote is asked.
    pub asks: Asks,
    /// What is done with files that are not tracked.
    pub untracked: Untracked,
}

impl Default for StatusOptions {
    fn default() -> Self {
        Self { asks: Asks::default(), untracked: Untracked::List }
    }
}

impl StatusOptions {
    /// Asks the remote, or not.
    #[must_use]
    pub fn asking(mut self, asks: Asks) -> Self {
        self.asks = asks;
        self
    }

    /// What is done with files that are not tracked.
    #[must_use]
    pub fn untracked(mut self, untracked: Untracked) -> Self {
        self.untracked = untracked;
        self
    }
}

/// A look that is about to be taken.
#[derive(Debug)]
#[must_use = "nothing is looked at before it is applied"]
pub struct Planned<'a> {
    client: Client,
    workspace: &'a Workspace,
    reference: Reference,
    remote: Option<Box<dyn Remote>>,
    options: StatusOptions,
}

/// How a project and its remote compare.
#[derive(Debug)]
#[non_exhaustive]
pub struct Done {
    /// What the remote answered.
    pub answer: Answer,
    /// Where the tag stands to the project; unknown where the remote did not say what it names.
    pub standing: Option<Standing>,
    /// What others did to the tag's bundle that the project is not built on: a push stops at it.
    pub unseen: Vec<PathChange>,
    /// What the project holds.
    pub scan: Scan,
    /// The files that it is compared with: the remote's, or those that were last synced, whose sizes are not known.
    pub files: ByPath<File>,
    /// Every path on either side, and how the sides compare there; not those that cannot be read.
    pub changes: Vec<PathChange>,
    /// HTTP requests made; unknown where no remote was asked.
    pub requests: Option<u64>,
}

/// What a remote answered.
#[derive(Debug)]
#[non_exhaustive]
pub enum Answer {
    /// The tag names this bundle.
    Bundle(Digest),
    /// There is no such tag.
    Nothing,
    /// It was not asked.
    NotAsked,
    /// It cannot be used.
    Failed(OpenError),
}

/// Plans to compare the project of `workspace` with the bundle that `reference` names.
///
/// # Errors
///
/// The place cannot be opened.
pub fn plan<'a>(
    client: &Client,
    workspace: &'a Workspace,
    reference: &Reference,
    options: StatusOptions,
) -> Result<Planned<'a>, StatusError> {
    let remote = match options.asks {
        Asks::Remote => Some(client.open(reference, Intent::Read)?),
        Asks::Nobody => None,
    };
    Ok(Planned { client: client.clone(), workspace, reference: reference.clone(), remote, options })
}

impl Planned<'_> {
    /// Looks at the project and asks the remote meanwhile. A remote that cannot be used is no error: [`Answer::Failed`] says
    /// what is wrong with it.
    ///
    /// # Errors
    ///
    /// The project cannot be looked at, the runtime has a single thread, or the client was cancelled.
    pub async fn apply(self) -> Result<Done, StatusError> {
        let (found, answer) = self.client.unless_cancelled(self.look()).await?;
        let (standing, answer, bundle) = self.weigh(answer)?;
        let files = match bundle {
            Some(bundle) => bundle.index_view.files,
            None => last_synced(self.workspace),
        };
        let core = self.client.core()?;
        let compared = compare(core, self.workspace, found, &files, standing)?;
        let requests = self.remote.as_ref().map(|remote| remote.requests());
        let Compared { scan, changes, unseen } = compared;
        Ok(Done { answer, standing, unseen, scan, files, changes, requests })
    }

    /// What the project holds, and what the remote says.
    async fn look(&self) -> Result<(Scan, Option<Result<Option<Bundle>, OpenError>>), StatusError> {
        let Self { client, workspace, .. } = self;
        let options = ScanOptions { symlinks: workspace.config.symlinks, untracked: self.options.untracked };
        let (project, progress) = (&workspace.project, client.progress());
        let look = || scan_readable(project, &workspace.tracked, options, progress.as_ref());
        let bridge = Bridge::here()?;
        let Some(remote) = &self.remote else { return Ok((bridge.enter(look)?, None)) };
        let context = client.context(remote.as_ref())?.with_cache(project);
        let version = version_of(&self.reference);
        let (found, answer) = bridge.enter(|| {
            scope(|scope| {
                let looking = start(scope, "look", look)?;
                let answer = bridge.wait(open(context, &version));
                Ok::<_, StatusError>((looking.join(), answer))
            })
        })?;
        let found = found.unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
        Ok((found, Some(answer)))
    }

    /// Where the tag stands to the project, and the bundle to compare with.
    fn weigh(
        &self,
        answer: Option<Result<Option<Bundle>, OpenError>>,
    ) -> Result<(Option<Standing>, Answer, Option<Bundle>), StatusError> {
        let bundle = match answer {
            None => return Ok((None, Answer::NotAsked, None)),
            Some(Err(error)) => return Ok((None, Answer::Failed(error), None)),
            Some(Ok(bundle)) => bundle,
        };
        let digest = bundle.as_ref().map(|bundle| bundle.digest);
        let core = self.client.core()?;
        let stands = |tag| self.workspace.standing(core, &self.reference, tag, digest, bundle.as_ref());
        let standing = self.reference.tag.as_ref().map(stands).transpose()?;
        Ok((standing, digest.map_or(Answer::Nothing, Answer::Bundle), bundle))
    }
}

/// What comes of a comparison.
struct Compared {
    scan: Scan,
    changes: Vec<PathChange>,
    unseen: Vec<PathChange>,
}

fn compare(
    core: &Core,
    workspace: &Workspace,
    mut scan: Scan,
    files: &ByPath<File>,
    standing: Option<Standing>,
) -> Result<Compared, StatusError> {
    let base = &workspace.state.last_synced;
    scan.recall_modes(&workspace.project, base, files);
    let whole = Sides { local: &scan.files, remote: files, base, tracked: &workspace.tracked };
    let viewed = Viewed::of(whole, Views::same(&workspace.state.view));
    let sides = viewed.sides(whole);
    let mut changes = core.diff(sides)?;
    leave_out_unreadable(&mut changes, &scan);
    let unseen = match standing {
        Some(standing) if !standing.is_free() => {
            let none = ByPath::default();
            let facts =
                PushFacts { builds: Builds::ByPaths, rewrite: Rewrite::No, untracked: &none, settled: 0 };
            core.plan_push(sides, facts, &none)?.decision.unseen
        }
        _ => Vec::new(),
    };
    Ok(Compared { scan, changes, unseen })
}

/// Leaves out what cannot be read: nobody knows what it holds.
pub fn leave_out_unreadable(changes: &mut Vec<PathChange>, scan: &Scan) {
    let mut unreadable = scan.unreadable.iter().map(|refused| refused.path.as_str()).peekable();
    changes.retain(|each| {
        while unreadable.next_if(|path| *path < each.path.as_str()).is_some() {}
        unreadable.next_if_eq(&each.path.as_str()).is_none()
    });
}

/// The files that were last synced, standing in for a remote that did not say.
fn last_synced(workspace: &Workspace) -> ByPath<File> {
    let files = workspace.state.last_synced.par_iter().map(|synced| File {
        path: synced.path.clone(),
        digest: synced.digest,
        size: 0,
        executable: synced.executable,
    });
    ByPath::keeping_first(files.collect())
}

/// Why a project could not be compared.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum StatusError {
    /// The client was cancelled.
    #[error(transparent)]
    Cancelled(#[from] Cancelled),
    /// The core could not be asked.
    #[error(transparent)]
    Core(#[from] CoreError),
    /// The core refuses the files.
    #[error(transparent)]
    Facts(#[from] FactsError),
    /// The core cannot be used.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// The place cannot be opened.
    #[error(transparent)]
    Remote(#[from] RemoteError),
    /// The project cannot be looked at.
    #[error(transparent)]
    Scan(#[from] ScanError),
    /// The system starts no more threads, or the runtime has a single one.
    #[error(transparent)]
    Threads(#[from] ThreadError),
}

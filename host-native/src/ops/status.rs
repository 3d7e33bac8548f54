//! Status: how a project and its remote compare.

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
use crate::remote::{Intent, RemoteError};
use crate::scan::{Scan, ScanError, Untracked};
use crate::threads::{Bridge, ThreadError};
use crate::workspace::Workspace;

/// How a project is looked at.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct StatusOptions {
    /// What is done with files that are not tracked.
    pub untracked: Untracked,
}

impl Default for StatusOptions {
    fn default() -> Self {
        Self { untracked: Untracked::List }
    }
}

impl StatusOptions {
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
pub fn plan<'a>(
    client: &Client,
    workspace: &'a Workspace,
    reference: &Reference,
    options: StatusOptions,
) -> Planned<'a> {
    Planned { client: client.clone(), workspace, reference: reference.clone(), options }
}

impl Planned<'_> {
    /// Looks at the project and asks the remote meanwhile. A remote that cannot be used is no error: [`Answer::Failed`] says
    /// what is wrong with it.
    ///
    /// # Errors
    ///
    /// The place cannot be opened, the project cannot be looked at, the runtime has a single thread, or the client was
    /// cancelled.
    pub async fn apply(self) -> Result<Done, StatusError> {
        let Self { client, workspace, reference, .. } = &self;
        let remote = client.open(reference, Intent::Read)?;
        let context = client.context(remote.as_ref())?.with_cache(&workspace.project);
        let (bridge, version) = (Bridge::here()?, version_of(reference));
        let asking = client.unless_cancelled(async { Ok::<_, StatusError>(open(context, &version).await) });
        let (found, answer) = bridge.enter(|| bridge.beside(|| self.look(), asking))?;
        let found = found?;
        let bundle = match answer? {
            Err(error) => return self.compare(found, Answer::Failed(error), None, Some(remote.requests())),
            Ok(bundle) => bundle,
        };
        let digest = bundle.as_ref().map(|bundle| bundle.digest);
        let answer = digest.map_or(Answer::Nothing, Answer::Bundle);
        self.compare(found, answer, Some(bundle), Some(remote.requests()))
    }

    /// Looks at the project alone, and compares it with what was last synced; needs no runtime.
    ///
    /// # Errors
    ///
    /// The project cannot be looked at.
    pub fn apply_offline(self) -> Result<Done, StatusError> {
        let found = self.look()?;
        self.compare(found, Answer::NotAsked, None, None)
    }

    fn look(&self) -> Result<Scan, ScanError> {
        self.workspace.look_readable(self.options.untracked, self.client.progress().as_ref())
    }

    /// Compares with the bundle that the remote has, if it said which one, or else with what was last synced.
    fn compare(
        &self,
        found: Scan,
        answer: Answer,
        said: Option<Option<Bundle>>,
        requests: Option<u64>,
    ) -> Result<Done, StatusError> {
        let core = self.client.core()?;
        let standing = match &said {
            Some(bundle) => self.standing(core, bundle.as_ref())?,
            None => None,
        };
        let files = match said.flatten() {
            Some(bundle) => bundle.index_view.files,
            None => last_synced(self.workspace),
        };
        let Compared { scan, changes, unseen } = compare(core, self.workspace, found, &files, standing)?;
        Ok(Done { answer, standing, unseen, scan, files, changes, requests })
    }

    /// Where the tag, which names `bundle`, stands to the project.
    fn standing(&self, core: &Core, bundle: Option<&Bundle>) -> Result<Option<Standing>, CoreError> {
        let digest = bundle.map(|bundle| bundle.digest);
        let stands = |tag| self.workspace.standing(core, &self.reference, tag, digest, bundle);
        self.reference.tag.as_ref().map(stands).transpose()
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

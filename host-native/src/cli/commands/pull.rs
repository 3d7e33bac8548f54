//! `pull`: makes the project equal to the remote's bundle.

use std::collections::BTreeSet;
use std::io::{self, Write};

use bundle_core::digest::Digest;
use bundle_core::path::BundlePath;
use bundle_core::plan::pull::PullMode;
use bundle_core::reference::Reference;
use clap::Args;
use serde::Serialize;

use super::diff::find;
use super::init::{absolute, make_project};
use crate::cli::args::Execution;
use crate::cli::error::{CliError, Exit};
use crate::cli::session::{DEFAULT_TAG, Session, configured, look, understand};
use crate::cli::ui::{Report, bytes, counted, shown};
use crate::project::folder::FindError;
use crate::project::{Project, ProjectLock};
use crate::pull::{PreparedPull, PullError, Pulled, apply, prepare};
use crate::scan::Untracked;
use crate::workspace::Workspace;

/// Make the project equal to the remote's bundle
///
/// All or nothing: where the project has changes that the pull would undo, it lists them and changes nothing. With a
/// REF in a folder that is in no project, makes it one.
#[derive(Debug, Args)]
pub(crate) struct PullArgs {
    /// The bundle: a reference, or a tag or digest of the project's own remote
    #[arg(value_name = "REF")]
    reference: Option<String>,
    /// Let the remote win where the project has changes
    #[arg(long)]
    overwrite: bool,
    /// Bring back tracked files that were deleted here
    #[arg(long)]
    restore_deleted: bool,
    /// Show what would be pulled, and change nothing
    #[arg(short = 'n', long)]
    dry_run: bool,
}

/// The document of `pull`.
#[derive(Serialize)]
struct PullReport {
    #[serde(rename = "ref")]
    reference: String,
    digest: Digest,
    tree: Digest,
    downloaded: DownloadedReport,
    /// Paths that are, or would be, put in place.
    written: Vec<String>,
    /// Paths that are, or would be, removed.
    deleted: Vec<String>,
    /// Paths that the bundle has and that stay deleted here.
    left_deleted: Vec<String>,
    /// HTTP requests made.
    requests: u64,
    dry_run: bool,
}

/// What came, or on a dry run would come, from the remote.
#[derive(Serialize)]
struct DownloadedReport {
    files: u64,
    blobs: u64,
    bytes: u64,
}

impl Report for PullReport {
    fn write_text(&self, out: &mut dyn Write) -> io::Result<()> {
        let (wrote, deleted) =
            if self.dry_run { ("would write", "would delete") } else { ("wrote", "deleted") };
        for path in &self.written {
            writeln!(out, "{wrote} {}", shown(path))?;
        }
        for path in &self.deleted {
            writeln!(out, "{deleted} {}", shown(path))?;
        }
        if self.written.is_empty() && self.deleted.is_empty() {
            writeln!(out, "Nothing to pull: the project has what {} has", self.reference)?;
        } else {
            let verb = if self.dry_run { "Would pull" } else { "Pulled" };
            let DownloadedReport { blobs, bytes: size, .. } = self.downloaded;
            let blobs = counted(blobs as usize, "blob");
            writeln!(out, "{verb} {}: {blobs}, {}", self.reference, bytes(size))?;
        }
        if !self.left_deleted.is_empty() {
            let files = counted(self.left_deleted.len(), "file");
            writeln!(out, "{files} deleted here and not brought back: see --restore-deleted")?;
        }
        writeln!(out, "  bundle {}", self.digest)?;
        writeln!(out, "  tree   {}", self.tree)
    }
}

pub(crate) fn run(session: &Session<'_>, args: &PullArgs) -> Result<(), CliError> {
    let entered = enter(session, args)?;
    let workspace = entered.as_ref().map(|(_, workspace)| workspace);
    let reference = reference(session, args, workspace)?;
    let core = session.core()?;
    let remote = session.remote(&reference)?;
    let context = session.context(&core, remote.as_ref());
    let runtime = session.runtime()?;
    let bundle = runtime.block_on(find(context, &reference))?;
    // A folder becomes a project only once there is something to pull into it.
    let (lock, workspace) = match entered {
        Some(entered) => entered,
        None => make_project(session, &session.cwd, &reference)?,
    };
    let extra: Vec<BundlePath> = bundle.files().iter().map(|file| file.path.clone()).collect();
    let found = look(&workspace, &extra, Untracked::Skip)?;
    let mode = match (args.overwrite, args.restore_deleted) {
        (true, _) => PullMode::Overwrite,
        (false, true) => PullMode::RestoreDeleted,
        (false, false) => PullMode::Safe,
    };
    let prepared = prepare(context, &workspace, bundle, found, mode)?;
    if !prepared.plan.blocked.is_empty() {
        return Err(PullError::Blocked { changes: prepared.plan.blocked }.into());
    }
    let mut report = planned(&reference, &prepared);
    if Execution::of(args.dry_run) == Execution::Apply {
        let pulled = runtime.block_on(apply(context, &workspace, &lock, &reference, &prepared))?;
        session.tell_applied(&pulled.applied);
        done(&mut report, &pulled);
    }
    report.requests = remote.requests();
    session.ui.report(&report)
}

/// The project that the user is in; none where one is to be made.
fn enter(session: &Session<'_>, args: &PullArgs) -> Result<Option<(ProjectLock, Workspace)>, CliError> {
    match Project::find(&session.cwd) {
        Ok(project) => session.lock(project, "pull").map(Some),
        Err(FindError::NoProject { .. }) if args.reference.is_some() && !args.dry_run => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// The bundle that is meant; a reference that names only a place means the default tag there.
fn reference(
    session: &Session<'_>,
    args: &PullArgs,
    workspace: Option<&Workspace>,
) -> Result<Reference, CliError> {
    let default = workspace.and_then(Workspace::default_reference);
    let reference = match (&args.reference, workspace) {
        (Some(text), _) => absolute(understand(text, default.as_ref())?, &session.cwd)?,
        (None, Some(workspace)) => configured(workspace)?,
        // Without a project there is a reference: else `enter` had refused.
        (None, None) => return Err(CliError::new(Exit::Usage, "no bundle is named")),
    };
    if reference.tag.is_some() || reference.digest.is_some() {
        return Ok(reference);
    }
    let tag = workspace.map(|workspace| workspace.config.default_tag.clone());
    Ok(reference.with_tag(tag.map_or_else(|| DEFAULT_TAG.parse(), Ok)?))
}

fn planned(reference: &Reference, prepared: &PreparedPull) -> PullReport {
    let PreparedPull { plan, bundle, scan } = prepared;
    let is_left =
        |path: &&BundlePath| scan.files.at(path).is_none() && plan.write.binary_search(path).is_err();
    let fetched = || plan.sources.iter().filter(|source| source.local.is_none());
    let digests: BTreeSet<Digest> = fetched().map(|source| source.digest).collect();
    let is_fetched =
        |path: &&BundlePath| bundle.files().at(path).is_some_and(|file| digests.contains(&file.digest));
    PullReport {
        reference: reference.to_string(),
        digest: bundle.digest,
        tree: bundle.index_view.tree,
        downloaded: DownloadedReport {
            files: plan.write.iter().filter(is_fetched).count() as u64,
            blobs: fetched().count() as u64,
            bytes: fetched().map(|source| source.size).sum(),
        },
        written: plan.write.iter().map(ToString::to_string).collect(),
        deleted: plan.delete.iter().map(ToString::to_string).collect(),
        left_deleted: bundle
            .files()
            .iter()
            .map(|file| &file.path)
            .filter(is_left)
            .map(ToString::to_string)
            .collect(),
        requests: 0,
        dry_run: true,
    }
}

fn done(report: &mut PullReport, pulled: &Pulled) {
    let sum = pulled.downloaded;
    report.downloaded = DownloadedReport { files: sum.files, blobs: sum.blobs, bytes: sum.bytes };
    report.dry_run = false;
}

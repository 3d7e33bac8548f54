//! `pull`: makes the project equal to the remote's bundle.

use std::io::{self, Write};
use std::path::Path;

use bundle_core::digest::Digest;
use bundle_core::path::BundlePath;
use bundle_core::plan::keep::{LastSynced, had_elsewhere};
use bundle_core::plan::pull::PullMode;
use bundle_core::reference::{Reference, Tag};
use bundle_core::snapshot::File;
use clap::Args;
use serde::Serialize;

use super::diff::find;
use super::init::{Entered, make_project};
use crate::bundle::{Bundle, Context};
use crate::cli::args::Execution;
use crate::cli::error::CliError;
use crate::cli::keeping::{self, Keep, elsewhere, operation};
use crate::cli::session::{Session, at_tag, look, wanted_bundle};
use crate::cli::ui::{Report, bytes, counted, list};
use crate::project::Project;
use crate::project::disk_path::to_disk;
use crate::project::folder::FindError;
use crate::project::journal::Before;
use crate::project::keeping::Keeping;
use crate::project::new_project::NewProject;
use crate::project::undo::{Kind, SyncedBundle};
use crate::pull::{self, PreparedPull, PullError, Pulled, apply, prepare, taken};
use crate::scan::Untracked;
use crate::transfer::{Downloaded, forecast};
use crate::workspace::Workspace;

/// Make the project equal to the remote's bundle
///
/// All or nothing: where the project has changes that the pull would undo, it lists them and changes nothing. With a
/// REF in a folder that is in no project, makes it one.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n\
\x20 modelops-bundle pull\n\
\x20 modelops-bundle pull registry.example/team/seir:v1.0.0\n\
\x20 modelops-bundle pull :latest --dry-run")]
pub(crate) struct PullArgs {
    /// The bundle: a reference, or a tag or digest of the project's own remote
    #[arg(value_name = "REF")]
    reference: Option<String>,
    /// The bundle of this tag, at the project's own remote
    #[arg(short, long, value_name = "TAG", conflicts_with = "reference")]
    tag: Option<Tag>,
    /// Let the remote win where the project has changes
    #[arg(long)]
    overwrite: bool,
    /// Bring back tracked files that were deleted here
    #[arg(long)]
    restore_deleted: bool,
    /// Keep nothing for `undo` of what is replaced or deleted
    #[arg(long)]
    no_keep: bool,
    /// Show what would be pulled, and change nothing
    #[arg(short = 'n', long)]
    dry_run: bool,
}

/// The document of `pull`.
#[derive(Serialize)]
pub(super) struct PullReport {
    /// The bundle, as it was named.
    #[serde(rename = "ref")]
    reference: String,
    /// Its digest.
    digest: Digest,
    /// The tree digest of its files.
    tree: Digest,
    /// What came, or would come.
    downloaded: DownloadedReport,
    /// Paths that are, or would be, put in place.
    written: Vec<String>,
    /// Those of them at which a file is replaced.
    replaced: Vec<String>,
    /// Paths that are, or would be, removed.
    deleted: Vec<String>,
    /// Paths of which older content is not kept for `undo` any longer.
    expired: Vec<String>,
    /// Paths that the bundle has and that stay deleted here.
    left_deleted: Vec<String>,
    /// HTTP requests made.
    requests: u64,
    /// Whether it was only looked at.
    dry_run: bool,
}

/// What came, or on a dry run would come, from the remote.
#[derive(Serialize)]
struct DownloadedReport {
    /// Files whose content came.
    files: u64,
    /// Blobs of which something came.
    blobs: u64,
    /// Bytes that came.
    bytes: u64,
}

impl From<Downloaded> for DownloadedReport {
    fn from(Downloaded { files, blobs, bytes }: Downloaded) -> Self {
        Self { files, blobs, bytes }
    }
}

impl Report for PullReport {
    fn is_account(&self) -> bool {
        !self.dry_run
    }

    fn write_text(&self, out: &mut dyn Write) -> io::Result<()> {
        let (wrote, deleted) =
            if self.dry_run { ("would write", "would delete") } else { ("wrote", "deleted") };
        list(out, wrote, &self.written)?;
        list(out, deleted, &self.deleted)?;
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

/// What is pulled, and how.
pub(super) struct Incoming {
    pub(super) reference: Reference,
    pub(super) bundle: Bundle,
    pub(super) mode: PullMode,
    /// What the operation is called, and what of it is kept.
    pub(super) operation: (Reference, Kind, String, Keep),
}

pub(crate) fn run(session: &Session<'_>, args: &PullArgs) -> Result<(), CliError> {
    let entered = enter(session, args)?;
    let workspace = entered.as_ref().map(|entered| &entered.workspace);
    let reference = match (&args.tag, workspace) {
        (Some(tag), Some(workspace)) => at_tag(workspace, tag)?,
        _ => wanted_bundle(session, args.reference.as_deref(), workspace)?,
    };
    let core = session.core()?;
    let remote = session.remote(&reference)?;
    let context = session.context(&core, remote.as_ref());
    let runtime = session.runtime()?;
    let cached = workspace.map_or(context, |workspace| context.with_cache(&workspace.project));
    let bundle = runtime.block_on(find(cached, &reference))?;
    let mode = match (args.overwrite, args.restore_deleted) {
        (true, _) => PullMode::Overwrite,
        (false, true) => PullMode::RestoreDeleted,
        (false, false) => PullMode::Safe,
    };
    let command = format!("pull {reference}");
    let operation = (reference.clone(), Kind::Pull, command, Keep::of(args.no_keep));
    let incoming = Incoming { reference, bundle, mode, operation };
    let report = match (entered, Execution::of(args.dry_run)) {
        (Some(entered), Execution::DryRun) => {
            let disk = entered.workspace.project.root();
            runtime.block_on(foresee(session, context, &entered.workspace, disk, incoming))?
        }
        (None, Execution::DryRun) => {
            NewProject::foresee(&session.cwd)?;
            let workspace = Workspace::load(Project::imagine(&session.cwd)?)?;
            runtime.block_on(foresee(session, context, &workspace, &session.cwd, incoming))?
        }
        (Some(entered), Execution::Apply) => {
            runtime.block_on(pull_into(session, context, entered, incoming))?
        }
        // A folder becomes a project only once there is something to pull into it.
        (None, Execution::Apply) => {
            let entered = make_project(session, &session.cwd, &incoming.reference, incoming.bundle.files())?;
            runtime.block_on(pull_into(session, context, entered, incoming))?
        }
    };
    session.ui.report(&report)
}

/// Pulls a bundle that was opened into a project that is locked.
pub(super) async fn pull_into(
    session: &Session<'_>,
    context: Context<'_>,
    entered: Entered,
    incoming: Incoming,
) -> Result<PullReport, CliError> {
    let (lock, workspace) = (&entered.lock, &entered.workspace);
    let context = context.with_cache(&workspace.project);
    let reference = incoming.reference.clone();
    let operation = incoming.operation.clone();
    let (mut report, prepared) = plan_into(session, context, workspace, incoming)?;
    let keeping = match entered.is_new() {
        true => Keeping::default(),
        false => keeping(session, workspace, &prepared, operation, Execution::Apply)?,
    };
    let pulled = apply(context, workspace, lock, &reference, &prepared, &keeping).await?;
    report.expired = keeping.expired().to_vec();
    session.tell_applied(&pulled.applied);
    session.warn_of_lost_modes(&pulled.without_mode);
    done(&mut report, &pulled);
    report.requests = context.remote.requests();
    entered.keep(session)?;
    Ok(report)
}

/// Finds out what a pull would do, and changes nothing.
pub(super) fn plan_into(
    session: &Session<'_>,
    context: Context<'_>,
    workspace: &Workspace,
    incoming: Incoming,
) -> Result<(PullReport, PreparedPull), CliError> {
    let Incoming { reference, bundle, mode, .. } = incoming;
    let extra: Vec<BundlePath> = bundle.files().iter().map(|file| file.path.clone()).collect();
    let found = look(workspace, &extra, Untracked::Skip, session.ui.progress().as_ref())?;
    let prepared = prepare(context, workspace, bundle, found, mode)?;
    if !prepared.plan.blocked.is_empty() {
        return Err(PullError::blocked(&prepared).into());
    }
    let mut report = planned(&reference, &prepared);
    report.requests = context.remote.requests();
    Ok((report, prepared))
}

/// What pulling would do to a folder on the disk of `disk`, in the figures that it would then report.
pub(super) async fn foresee(
    session: &Session<'_>,
    context: Context<'_>,
    workspace: &Workspace,
    disk: &Path,
    incoming: Incoming,
) -> Result<PullReport, CliError> {
    // What is known of packs is used, and nothing kept.
    let context = context.with_cache(&workspace.project);
    let operation = incoming.operation.clone();
    let (mut report, prepared) = plan_into(session, context, workspace, incoming)?;
    if workspace.project.folder().is_dir() {
        let keeping = keeping(session, workspace, &prepared, operation, Execution::DryRun)?;
        report.expired = keeping.expired().to_vec();
    }
    pull::foresee(&workspace.project, &prepared)?;
    let PreparedPull { plan, bundle, .. } = &prepared;
    report.downloaded =
        forecast(context, &workspace.project, disk, bundle, plan).await.map_err(PullError::from)?.into();
    report.requests = context.remote.requests();
    Ok(report)
}

/// The project that the user is in; none where one is to be made.
fn enter(session: &Session<'_>, args: &PullArgs) -> Result<Option<Entered>, CliError> {
    match Project::find(&session.cwd) {
        Ok(project) => session.lock(&project, "pull").map(Entered::existing).map(Some),
        Err(FindError::NoProject { .. }) if args.reference.is_some() => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// What is kept of a pull. One that changes neither a file nor what is tracked is none to take back.
fn keeping(
    session: &Session<'_>,
    workspace: &Workspace,
    prepared: &PreparedPull,
    (incoming, kind, command, keep): (Reference, Kind, String, Keep),
    execution: Execution,
) -> Result<Keeping, CliError> {
    let PreparedPull { plan, bundle, scan } = prepared;
    let is_tracked = |file: &File| workspace.tracked.at(&file.path).is_some();
    if plan.write.is_empty() && plan.delete.is_empty() && bundle.files().iter().all(is_tracked) {
        return Ok(Keeping::default());
    }
    let mut operation = operation(workspace, kind, command, keep)?;
    let reference = incoming.without_version().to_string();
    operation.brought = Some(SyncedBundle { reference, digest: bundle.digest });
    let paths = plan.write.iter().chain(&plan.delete);
    let base = &workspace.state.last_synced;
    // Nobody has looked whether the last synced bundle is still there.
    let had = had_elsewhere(paths, &scan.files, bundle.files(), base, LastSynced::Unseen);
    // A link is more than the content that it leads to.
    let is_link = |file: &File| to_disk(workspace.root(), &file.path).is_symlink();
    let had = had.into_iter().filter(|(file, _)| !is_link(file));
    operation.elsewhere = had.map(|(file, had_in)| elsewhere(file, had_in)).collect();
    keeping::plan(session, &workspace.project, operation, taken(prepared), execution)
}

fn planned(reference: &Reference, prepared: &PreparedPull) -> PullReport {
    let PreparedPull { plan, bundle, scan } = prepared;
    // What is written is some of the bundle's files, in their order.
    let mut writes = plan.write.iter().peekable();
    let is_left = |path: &&BundlePath| writes.next_if_eq(path).is_none() && scan.files.at(path).is_none();
    PullReport {
        reference: reference.to_string(),
        digest: bundle.digest,
        tree: bundle.index_view.tree,
        downloaded: Downloaded::default().into(),
        written: plan.write.iter().map(ToString::to_string).collect(),
        replaced: plan
            .write
            .iter()
            .filter(|path| scan.before(path) != Before::Absent)
            .map(ToString::to_string)
            .collect(),
        deleted: plan.delete.iter().map(ToString::to_string).collect(),
        expired: Vec::new(),
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
    report.downloaded = pulled.downloaded.into();
    report.dry_run = false;
}

//! `pull`: brings the remote's bundle into the project.

use std::ffi::OsString;
use std::io::{self, Write};
use std::path::Path;

use bundle_core::diff::{Change, PathChange};
use bundle_core::file::{ByPath, File};
use bundle_core::name::path::BundlePath;
use bundle_core::name::reference::{Reference, Tag};
use bundle_core::plan::drops::DropGuard;
use bundle_core::plan::keep::{LastSynced, had_elsewhere};
use bundle_core::plan::pull::{DeletedHere, PullMode};
use bundle_core::plan::view::View;
use clap::Args;

use super::diff::find;
use super::init::{Entered, make_project};
use crate::args::Execution;
use crate::documents::{at, at_in_words, seen};
use crate::error::{CliError, Exit};
use crate::keeping::{self, Keep, elsewhere, operation};
use crate::session::{Session, at_tag, look, wanted_bundle};
use crate::ui::{Report, bytes, counted, list, shown};
use modelops_bundle::bundle::{Bundle, Context};
use modelops_bundle::project::Project;
use modelops_bundle::project::disk_path::to_disk;
use modelops_bundle::project::folder::FindError;
use modelops_bundle::project::journal::Before;
use modelops_bundle::project::keeping::Keeping;
use modelops_bundle::project::new_project::NewProject;
use modelops_bundle::project::undo::{BundleAt, Kind};
use modelops_bundle::pull::{self, PreparedPull, PullChoices, PullError, Pulled, apply, prepare, taken};
use modelops_bundle::scan::{Untracked, select_tracked};
use modelops_bundle::transfer::{Downloaded, forecast};
use modelops_bundle::workspace::Workspace;
use modelops_bundle_report::{AtReport, DownloadedReport, PullReport};

/// Bring the remote's bundle into the project, file by file
///
/// Takes what changed there and keeps what changed here. Where both sides changed a file, it lists that and changes
/// nothing: settle it with --mine or --theirs. With a REF in a folder that is in no project, makes it one.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n\
\x20 modelops-bundle pull\n\
\x20 modelops-bundle pull registry.example/team/seir:v1.0.0\n\
\x20 modelops-bundle pull :latest --dry-run\n\
\x20 modelops-bundle pull --mine src/model.py --theirs 'data/**'")]
pub(crate) struct PullArgs {
    /// The bundle: a reference, or a tag or digest of the project's own remote
    #[arg(value_name = "REF")]
    reference: Option<String>,
    /// The bundle of this tag, at the project's own remote
    #[arg(short, long, value_name = "TAG", conflicts_with = "reference")]
    tag: Option<Tag>,
    #[command(flatten)]
    choices: ChoiceArgs,
    /// Show what would be pulled, and change nothing
    #[arg(short = 'n', long)]
    dry_run: bool,
}

/// What a user says of how files come into a project.
#[derive(Clone, Debug, Args)]
pub(crate) struct ChoiceArgs {
    /// Keep the project's version of these conflicting files
    #[arg(long, value_name = "PATH|GLOB", num_args = 1.., conflicts_with = "overwrite")]
    mine: Vec<OsString>,
    /// Take the remote's version of these conflicting files
    #[arg(long, value_name = "PATH|GLOB", num_args = 1.., conflicts_with = "overwrite")]
    theirs: Vec<OsString>,
    /// Let the remote win wherever the project differs
    #[arg(long)]
    overwrite: bool,
    /// Take what changed there and keep what changed here, whatever the setting `pull` says
    #[arg(long, conflicts_with_all = ["overwrite", "safe", "exact"])]
    merge: bool,
    /// Stop where anything changed here, as the Python tool does
    #[arg(long, conflicts_with_all = ["overwrite", "exact"])]
    safe: bool,
    /// Stop unless the project then has the bundle's very files
    #[arg(long, conflicts_with = "overwrite")]
    exact: bool,
    /// Bring back files that were deleted or removed here
    #[arg(long)]
    restore_deleted: bool,
    /// Delete files here even where that is most of them
    #[arg(long)]
    accept_deletions: bool,
    /// Take part in these files of the bundle alone, from now on; '**' means all
    #[arg(long, value_name = "PATH|GLOB", num_args = 1..)]
    include: Vec<String>,
    /// Take no part in these files, from now on; others' pushes and yours leave them as they are
    #[arg(long, value_name = "PATH|GLOB", num_args = 1..)]
    exclude: Vec<String>,
    /// Keep nothing for `undo` of what is replaced or deleted
    #[arg(long)]
    no_keep: bool,
}

impl ChoiceArgs {
    /// The first of these options that is said, if any is.
    pub(super) fn first(&self) -> Option<&'static str> {
        let said = [
            ("--mine", !self.mine.is_empty()),
            ("--theirs", !self.theirs.is_empty()),
            ("--overwrite", self.overwrite),
            ("--merge", self.merge),
            ("--safe", self.safe),
            ("--exact", self.exact),
            ("--restore-deleted", self.restore_deleted),
            ("--accept-deletions", self.accept_deletions),
            ("--include", !self.include.is_empty()),
            ("--exclude", !self.exclude.is_empty()),
            ("--no-keep", self.no_keep),
        ];
        said.into_iter().find(|(_, is_said)| *is_said).map(|(option, _)| option)
    }

    /// The same, for a project whose setting `pull` is `setting`.
    pub(super) fn choices(&self, setting: PullMode) -> Result<PullChoices, CliError> {
        Ok(PullChoices {
            mode: match self {
                Self { overwrite: true, .. } => PullMode::Overwrite,
                Self { merge: true, .. } => PullMode::Merge,
                Self { exact: true, .. } => PullMode::Exact,
                Self { safe: true, .. } => PullMode::Safe,
                _ => setting,
            },
            deleted: if self.restore_deleted { DeletedHere::Restore } else { DeletedHere::Leave },
            drops: if self.accept_deletions { DropGuard::Accept } else { DropGuard::Stop },
            view: self.view()?,
            ..PullChoices::default()
        })
    }

    /// What is to be settled, and which way.
    pub(super) fn settled(&self) -> Settled {
        Settled { mine: self.mine.clone(), theirs: self.theirs.clone() }
    }

    /// Whether anything is kept of what is taken away.
    pub(super) fn keep(&self) -> Keep {
        Keep::of(self.no_keep)
    }

    /// The part of the bundle that the user wants, where it is said.
    fn view(&self) -> Result<Option<View>, CliError> {
        if self.include.is_empty() && self.exclude.is_empty() {
            return Ok(None);
        }
        for glob in self.include.iter().chain(&self.exclude) {
            if glob.is_empty() || glob.starts_with(['/', '!']) || glob.contains("..") {
                let message = format_args!("`{}` means no files of a bundle", shown(glob));
                return Err(CliError::new(Exit::Usage, message).hint(
                    "name them as the bundle does, from the top of the project, as in --include 'data/**'",
                ));
            }
        }
        let plain = |globs: &[String]| {
            let plain = |glob: &String| glob.strip_prefix("./").unwrap_or(glob).to_owned();
            globs.iter().map(plain).collect()
        };
        Ok(Some(View { include: plain(&self.include), exclude: plain(&self.exclude), own: Vec::new() }))
    }
}

/// What came from the remote, for a document.
fn downloaded(Downloaded { files, blobs, bytes }: Downloaded) -> DownloadedReport {
    DownloadedReport { files, blobs, bytes }
}

impl Report for PullReport {
    fn is_account(&self) -> bool {
        !self.dry_run
    }

    fn write_text(&self, out: &mut dyn Write) -> io::Result<()> {
        let (wrote, deleted) =
            if self.dry_run { ("would write", "would delete") } else { ("wrote", "deleted") };
        if let Some(left) = &self.leaves {
            let name = at_in_words(left);
            writeln!(out, "The project was at {name}, which {} is not built on", self.reference)?;
        }
        list(out, wrote, &self.written)?;
        list(out, deleted, &self.deleted)?;
        list(out, if self.dry_run { "would track" } else { "tracked" }, &self.adopted)?;
        let deleted_here = self.left_deleted.len();
        let own = self.kept.len() - deleted_here.min(self.kept.len());
        if self.written.is_empty() && self.deleted.is_empty() && self.adopted.is_empty() {
            if self.kept.is_empty() {
                writeln!(out, "Nothing to pull: the project has what {} has", self.reference)?;
            } else {
                writeln!(out, "Nothing to pull from {}", self.reference)?;
            }
        } else {
            let verb = if self.dry_run { "Would pull" } else { "Pulled" };
            let DownloadedReport { blobs, bytes: size, .. } = self.downloaded;
            let blobs = counted(blobs as usize, "blob");
            writeln!(out, "{verb} {}: {blobs}, {}", self.reference, bytes(size))?;
        }
        if own > 0 {
            let kept = if self.dry_run { "would keep" } else { "kept" };
            writeln!(out, "{kept} yours: {}", counted(own, "file"))?;
        }
        if deleted_here > 0 {
            let files = counted(deleted_here, "file");
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
    pub(super) choices: PullChoices,
    /// What the user wants to be settled, and which way.
    pub(super) settled: Settled,
    /// What the operation is called, and what of it is kept.
    pub(super) operation: (Reference, Kind, String, Keep),
}

/// What a user says about conflicts: paths and globs.
#[derive(Default)]
pub(super) struct Settled {
    mine: Vec<OsString>,
    theirs: Vec<OsString>,
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
    let setting = workspace.map(|workspace| workspace.config.pull).unwrap_or_default();
    let (choices, settled) = (args.choices.choices(setting)?, args.choices.settled());
    let command = format!("pull {reference}");
    let operation = (reference.clone(), Kind::Pull, command, args.choices.keep());
    let incoming = Incoming { reference, bundle, choices, settled, operation };
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
    // A folder that becomes a project has had nothing to go back to, but for files that lay there.
    let is_there = |(_, before): (&BundlePath, Before)| before != Before::Absent;
    let keeping = match entered.is_new() && !taken(&prepared).any(is_there) {
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
    let Incoming { reference, bundle, mut choices, settled, .. } = incoming;
    let view = choices.view.as_ref().unwrap_or(&workspace.state.view);
    if choices.mode == PullMode::Exact && !view.is_whole() {
        return Err(CliError::new(
            Exit::Usage,
            "--exact means all of the bundle, and the project takes part in a part",
        )
        .hint("leave --exact out, or pull all of it with --include '**'; nothing was changed"));
    }
    if let Some(view) = &choices.view {
        let means_nothing = |glob: &&String| {
            let alone = View { include: vec![(*glob).clone()], ..View::default() };
            !bundle.files().iter().any(|file| alone.holds(&file.path))
        };
        let unmatched: Vec<String> = view.include.iter().filter(means_nothing).cloned().collect();
        if !unmatched.is_empty() {
            return Err(CliError::new(Exit::NotFound, "no file of the bundle is meant by --include")
                .paths(unmatched)
                .hint("name files as the bundle does, from the top of the project; nothing was changed"));
        }
    }
    let paths = bundle.files().iter().map(|file| &file.path);
    let extra: Vec<BundlePath> = paths.filter(|path| view.holds(path)).cloned().collect();
    let found = look(workspace, &extra, Untracked::Skip, session.ui.progress().as_ref())?;
    let mut prepared = prepare(context, workspace, bundle, found, &choices)?;
    if !(settled.mine.is_empty() && settled.theirs.is_empty()) {
        let blocked = prepared.plan.blocked.iter().map(|one| one.path.clone()).collect();
        choices.mine = settle(session, workspace, &settled.mine, &blocked, "--mine")?;
        choices.theirs = settle(session, workspace, &settled.theirs, &blocked, "--theirs")?;
        prepared = prepared.settle(context, workspace, &choices)?;
    }
    prepared.check()?;
    let mut report = planned(context, workspace, &reference, &prepared)?;
    report.requests = context.remote.requests();
    Ok((report, prepared))
}

/// Those of the `blocked` paths that `arguments`, of the option `option`, mean.
fn settle(
    session: &Session<'_>,
    workspace: &Workspace,
    arguments: &[OsString],
    blocked: &ByPath<BundlePath>,
    option: &str,
) -> Result<ByPath<BundlePath>, CliError> {
    if arguments.is_empty() {
        return Ok(ByPath::default());
    }
    let selection = select_tracked(&workspace.project, &session.cwd, arguments, blocked)?;
    if !selection.unmatched.is_empty() {
        let message = format_args!("{option} settles nothing there: no conflict is at these paths");
        return Err(CliError::new(Exit::Usage, message)
            .paths(selection.unmatched)
            .hint("see the conflicts with --dry-run; nothing was changed"));
    }
    Ok(selection.paths.into_iter().collect())
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
    let foreseen = forecast(context, &workspace.project, disk, bundle, plan).await;
    report.downloaded = downloaded(foreseen.map_err(PullError::from)?);
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

/// What is kept of a pull. One that changes neither a file nor what is tracked nor what was synced is none to take back.
fn keeping(
    session: &Session<'_>,
    workspace: &Workspace,
    prepared: &PreparedPull,
    (incoming, kind, command, keep): (Reference, Kind, String, Keep),
    execution: Execution,
) -> Result<Keeping, CliError> {
    let PreparedPull { plan, bundle, scan, .. } = prepared;
    let lists = [&plan.write, &plan.delete, &plan.adopt, &plan.untrack];
    let is_there = workspace.synced.bundle.as_ref().is_some_and(|at| at.described.digest == bundle.digest);
    let view = prepared.view.as_ref();
    let is_seen = view.is_none_or(|view| view.is_like(&workspace.state.view));
    if is_there && is_seen && lists.into_iter().all(|paths| paths.is_empty()) {
        return Ok(Keeping::default());
    }
    let mut operation = operation(workspace, kind, command, keep)?;
    let reference = incoming.without_version().to_string();
    operation.brought = Some(BundleAt { reference, digest: bundle.digest });
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

fn planned(
    context: Context<'_>,
    workspace: &Workspace,
    reference: &Reference,
    prepared: &PreparedPull,
) -> Result<PullReport, CliError> {
    let PreparedPull { plan, bundle, scan, .. } = prepared;
    let texts = |paths: &ByPath<BundlePath>| paths.iter().map(ToString::to_string).collect();
    let is_left =
        |each: &&PathChange| each.change == Change::DeletedLocal && scan.files.at(&each.path).is_none();
    let was_there = |path: &&BundlePath| scan.before(path) != Before::Absent;
    Ok(PullReport {
        reference: reference.to_string(),
        digest: bundle.digest.to_string(),
        tree: bundle.index_view.tree.to_string(),
        downloaded: downloaded(Downloaded::default()),
        written: texts(&plan.write),
        replaced: plan.write.iter().filter(was_there).map(ToString::to_string).collect(),
        deleted: texts(&plan.delete),
        adopted: texts(&plan.adopt),
        untracked: texts(&plan.untrack),
        expired: Vec::new(),
        kept: plan.kept.iter().map(seen).collect(),
        left_deleted: plan.kept.iter().filter(is_left).map(|each| each.path.to_string()).collect(),
        local_tree: if plan.kept.is_empty() && prepared.view.is_none() && workspace.state.view.is_whole() {
            bundle.index_view.tree
        } else {
            context.core.tree(&prepared.files_after(workspace))?
        }
        .to_string(),
        leaves: leaves(workspace, bundle),
        requests: 0,
        dry_run: true,
    })
}

/// The bundle that the project is at, where `bundle` is not built on it.
fn leaves(workspace: &Workspace, bundle: &Bundle) -> Option<AtReport> {
    let bundle_here = &workspace.synced.bundle.as_ref()?.described;
    let history = &bundle.manifest_view.history;
    let is_kept = bundle_here.digest == bundle.digest || history.digests().contains(&bundle_here.digest);
    (!is_kept).then(|| at(bundle_here))
}

fn done(report: &mut PullReport, pulled: &Pulled) {
    report.downloaded = downloaded(pulled.downloaded);
    report.dry_run = false;
}

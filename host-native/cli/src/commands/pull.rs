//! `pull`: brings the remote's bundle into the project.

use std::ffi::OsString;
use std::io::{self, Write};

use bundle_core::diff::{Change, PathChange};
use bundle_core::file::ByPath;
use bundle_core::name::path::BundlePath;
use bundle_core::name::reference::{Place, Reference, Tag};
use bundle_core::plan::drops::DropGuard;
use bundle_core::plan::pull::{DeletedHere, PullMode};
use bundle_core::plan::view::View;
use clap::Args;

use super::init::tell_gitignore;
use crate::args::Execution;
use crate::documents::{at, at_in_words, seen};
use crate::error::{CliError, Exit};
use crate::keeping::{keep, limit, tell_expired, tell_not_kept};
use crate::session::{Runtime, Session, at_tag, wanted_bundle};
use crate::ui::{Report, bytes, counted, list, shown};
use modelops_bundle::bundle::Bundle;
use modelops_bundle::client::Client;
use modelops_bundle::entry::Kept;
use modelops_bundle::ops::pull::{self, Done, Foreseen, Planned, PullOptions, Settled, Target};
use modelops_bundle::project::Project;
use modelops_bundle::project::folder::FindError;
use modelops_bundle::project::journal::Before;
use modelops_bundle::project::new_project::Birth;
use modelops_bundle::project::undo::Kind;
use modelops_bundle::pull::{PreparedPull, PullChoices};
use modelops_bundle::transfer::Downloaded;
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
    fn choices(&self, setting: PullMode) -> Result<PullChoices, CliError> {
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

    /// How a pull into the project of `workspace` goes, which is told as `told_as` where it can be taken back.
    pub(super) fn options(
        &self,
        session: &Session<'_>,
        workspace: Option<&Workspace>,
        (kind, command): (Kind, String),
    ) -> Result<PullOptions, CliError> {
        let setting = workspace.map(|workspace| workspace.config.pull).unwrap_or_default();
        let (mine, theirs) = (self.mine.clone(), self.theirs.clone());
        let settled = Settled { mine, theirs, relative_to: session.cwd.clone() };
        let options = PullOptions::default().choices(self.choices(setting)?).settled(settled);
        Ok(options.keep(keep(self.no_keep), limit()?).told_as(kind, command))
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

pub(crate) fn run(session: &Session<'_>, args: &PullArgs) -> Result<(), CliError> {
    let target = enter(session, args)?;
    let workspace = match &target {
        Target::Project(entered) => Some(&entered.workspace),
        Target::Folder(_) => None,
    };
    let reference = match (&args.tag, workspace) {
        (Some(tag), Some(workspace)) => at_tag(workspace, tag)?,
        _ => wanted_bundle(session, args.reference.as_deref(), workspace)?,
    };
    let told_as = (Kind::Pull, format!("pull {reference}"));
    let options = args.choices.options(session, workspace, told_as)?;
    let (client, runtime) = (session.client()?, session.runtime()?);
    let planned = runtime.block_on(pull::plan(&client, &reference, target, options))?;
    let execution = Execution::of(args.dry_run);
    session.ui.report(&carry_out(session, &runtime, &client, &reference, planned, execution)?)
}

/// Carries out a pull, or finds out what that would come to.
pub(super) fn carry_out(
    session: &Session<'_>,
    runtime: &Runtime<'_>,
    client: &Client,
    reference: &Reference,
    planned: Planned,
    execution: Execution,
) -> Result<PullReport, CliError> {
    runtime.block_on(async {
        let mut report = report(client, reference, &planned)?;
        match execution {
            Execution::DryRun => {
                let Foreseen { downloaded: coming, expired, not_kept, .. } = planned.foresee().await?;
                tell_not_kept(session, not_kept);
                tell_expired(session, &expired);
                (report.downloaded, report.expired) = (downloaded(coming), expired);
                report.requests = planned.requests();
            }
            Execution::Apply => {
                let mut done = planned.apply().await?;
                tell(session, &mut done);
                report.downloaded = downloaded(done.pulled.downloaded);
                (report.expired, report.requests, report.dry_run) = (done.expired, done.requests, false);
            }
        }
        Ok(report)
    })
}

/// Says what a pull came to beside its files.
fn tell(session: &Session<'_>, done: &mut Done) {
    tell_not_kept(session, done.not_kept.take());
    tell_expired(session, &done.expired);
    session.tell_applied(&done.pulled.applied);
    session.warn_of_lost_modes(&done.pulled.without_mode);
    let Kept { birth, workspace, gitignore, .. } = &done.project;
    tell_gitignore(session, gitignore);
    if *birth == Birth::Now {
        session.ui.note(format_args!("new project in {}", workspace.root().display()));
        let remote = workspace.config.registry_ref.as_ref().map(|remote| &remote.place);
        if let Some(Place::Archive { .. }) = remote {
            session.ui.note(
                "its remote is the archive, which is only read: name another one before you push, with \
                 `modelops-bundle config set registry_ref REF`",
            );
        }
    }
}

/// The project that the user is in, or else the folder that is to become one.
fn enter(session: &Session<'_>, args: &PullArgs) -> Result<Target, CliError> {
    match Project::find(&session.cwd) {
        Ok(project) => Ok(Target::Project(Box::new(session.enter(&project, "pull")?))),
        Err(FindError::NoProject { .. }) if args.reference.is_some() => {
            Ok(Target::Folder(session.cwd.clone()))
        }
        Err(error) => Err(error.into()),
    }
}

fn report(client: &Client, reference: &Reference, planned: &Planned) -> Result<PullReport, CliError> {
    let (workspace, prepared) = (planned.workspace(), planned.prepared());
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
            client.core()?.tree(&prepared.files_after(workspace))?
        }
        .to_string(),
        leaves: leaves(workspace, bundle),
        requests: planned.requests(),
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

//! `remove`: has a project no longer track files.

use std::ffi::OsString;
use std::io::{self, Write};

use clap::Args;

use crate::args::Execution;
use crate::error::{CliError, Exit};
use crate::keeping::{about, keep, operation, plan};
use crate::session::Session;
use crate::ui::{Report, counted, list};
use modelops_bundle::project::undo::Kind;
use modelops_bundle::remove::{Disk, Removal, check_loss};
use modelops_bundle::scan::select_tracked;
use modelops_bundle_report::RemoveReport;

/// No longer track files
///
/// They stay on disk unless --rm is given, which deletes all of them or none; the next push drops them from the bundle. Arguments are those of `add`: globs
/// may be quoted, and `!` leaves out.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n\
\x20 modelops-bundle remove data/old.csv\n\
\x20 modelops-bundle remove '**/*.tmp' --rm --dry-run")]
pub(crate) struct RemoveArgs {
    /// Files, folders and globs
    #[arg(value_name = "PATH", required = true)]
    paths: Vec<OsString>,
    /// Delete them from disk too
    #[arg(long)]
    rm: bool,
    /// With --rm, delete files too that were edited since they were last synced, or never were
    #[arg(short, long, requires = "rm")]
    force: bool,
    /// With --rm, keep nothing for `undo` of what is deleted
    #[arg(long, requires = "rm")]
    no_keep: bool,
    /// Show what would be untracked, and change nothing
    #[arg(short = 'n', long)]
    dry_run: bool,
}

impl Report for RemoveReport {
    fn is_account(&self) -> bool {
        !self.dry_run
    }

    fn write_text(&self, out: &mut dyn Write) -> io::Result<()> {
        let verb = match (self.dry_run, self.deleted_from_disk) {
            (false, false) => "no longer tracking",
            (false, true) => "deleted",
            (true, false) => "would no longer track",
            (true, true) => "would delete",
        };
        list(out, verb, &self.removed)?;
        let removed = if self.dry_run { "would be removed" } else { "removed" };
        writeln!(out, "{} {removed}", counted(self.removed.len(), "file"))
    }
}

pub(crate) fn run(session: &Session<'_>, args: &RemoveArgs) -> Result<(), CliError> {
    let (lock, workspace) = session.locked_workspace("remove")?;
    let selection = select_tracked(&workspace.project, &session.cwd, &args.paths, &workspace.tracked)?;
    if !selection.unmatched.is_empty() {
        return Err(CliError::new(Exit::NotFound, "nothing that is tracked matches")
            .paths(selection.unmatched)
            .hint("see what is tracked with `modelops-bundle status --files`; nothing was changed"));
    }
    let disk = if args.rm { Disk::Delete } else { Disk::Keep };
    let removal = Removal::plan(&workspace, &selection.paths, disk)?;
    if disk == Disk::Delete && !args.force {
        check_loss(&workspace, &selection.paths, session.ui.progress().as_ref())?;
    }
    let removed: Vec<String> = selection.paths.iter().map(ToString::to_string).collect();
    let deleted = removal.taken().map(|(path, _)| path.to_string()).collect();
    let command = about(if args.rm { "remove --rm" } else { "remove" }, &removed);
    let operation = operation(&workspace, Kind::Remove, command, keep(args.no_keep))?;
    let execution = Execution::of(args.dry_run);
    let keeping = plan(session, &workspace.project, operation, removal.taken(), execution)?;
    if execution == Execution::Apply {
        session.tell_applied(&removal.apply(&lock, &keeping)?);
    }
    session.ui.report(&RemoveReport {
        removed,
        deleted,
        expired: keeping.expired().to_vec(),
        deleted_from_disk: args.rm,
        dry_run: args.dry_run,
    })
}

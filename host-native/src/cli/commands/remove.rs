//! `remove`: has a project no longer track files.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::io::{self, Write};
use std::sync::Arc;

use bundle_core::path::BundlePath;
use cap_std::fs::Dir;
use clap::Args;
use serde::Serialize;

use crate::cli::args::Execution;
use crate::cli::error::{CliError, Exit};
use crate::cli::session::Session;
use crate::cli::ui::{Report, counted, list, shown};
use crate::project::parents::{Missing, ParentError, Parents, split};
use crate::project::tracked::write_tracked;
use crate::scan::select_tracked;

/// No longer track files
///
/// They stay on disk unless --rm is given; the next push drops them from the bundle. Arguments are those of `add`: globs
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
    /// Show what would be untracked, and change nothing
    #[arg(short = 'n', long)]
    dry_run: bool,
}

/// The document of `remove`.
#[derive(Serialize)]
struct RemoveReport {
    /// Paths that are no longer tracked.
    removed: Vec<String>,
    /// Whether they were deleted from disk.
    deleted_from_disk: bool,
    /// Whether it was only looked at.
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
    let (_lock, workspace) = session.locked_workspace("remove")?;
    let selection = select_tracked(&workspace.project, &session.cwd, &args.paths, &workspace.tracked)?;
    if !selection.unmatched.is_empty() {
        return Err(CliError::new(Exit::NotFound, "nothing that is tracked matches")
            .paths(selection.unmatched)
            .hint("see what is tracked with `modelops-bundle status --files`; nothing was changed"));
    }
    let mut parents = Parents::new(workspace.root())?;
    if args.rm {
        check_folders(&mut parents, &selection.paths)?;
    }
    if Execution::of(args.dry_run) == Execution::Apply {
        let removed: BTreeSet<_> = selection.paths.iter().collect();
        let kept: Vec<_> = workspace.tracked.iter().filter(|path| !removed.contains(path)).cloned().collect();
        write_tracked(&workspace.project, &kept.into_iter().collect())?;
        if args.rm {
            delete(&mut parents, &selection.paths)?;
        }
    }
    session.ui.report(&RemoveReport {
        removed: selection.paths.iter().map(ToString::to_string).collect(),
        deleted_from_disk: args.rm,
        dry_run: args.dry_run,
    })
}

/// Refuses to delete what is reached through a link out of the project: it is somebody else's.
fn check_folders(parents: &mut Parents, paths: &[BundlePath]) -> Result<(), CliError> {
    for path in paths {
        if let Err(error) = folder_of(parents, path) {
            let message = format_args!("{} cannot be deleted: {error}", shown(path.as_str()));
            return Err(CliError::new(Exit::Failure, message)
                .hint("leave out --rm to no longer track it and nothing more; nothing was changed"));
        }
    }
    Ok(())
}

fn delete(parents: &mut Parents, paths: &[BundlePath]) -> Result<(), CliError> {
    for path in paths {
        let fault = |error: &(dyn std::error::Error + 'static)| {
            let what = format_args!("no longer tracked, but {} cannot be deleted", shown(path.as_str()));
            CliError::because_of(Exit::Failure, what, error)
        };
        let Some(folder) = folder_of(parents, path).map_err(|error| fault(&error))? else { continue };
        match folder.remove_file(split(path.as_str()).1) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(fault(&error)),
            _ => {}
        }
    }
    Ok(())
}

/// The folder that `path` lies in, if it does: below a file there is nothing.
fn folder_of(parents: &mut Parents, path: &BundlePath) -> Result<Option<Arc<Dir>>, ParentError> {
    match parents.of(path, Missing::Leave) {
        Err(ParentError::NotAFolder { .. }) => Ok(None),
        found => found,
    }
}

//! `remove`: has a project no longer track files.

use std::collections::BTreeSet;
use std::fs;
use std::io::{self, Write};

use bundle_core::snapshot::ByPath;
use clap::Args;
use serde::Serialize;

use crate::cli::args::Execution;
use crate::cli::error::{CliError, Exit};
use crate::cli::session::Session;
use crate::cli::ui::{Report, counted, shown};
use crate::project::disk_path::to_disk;
use crate::project::tracked::write_tracked;
use crate::scan::select_tracked;

/// No longer track files
///
/// They stay on disk unless --rm is given; the next push drops them from the bundle.
#[derive(Debug, Args)]
pub(crate) struct RemoveArgs {
    /// Files, folders and globs
    #[arg(value_name = "PATH", required = true)]
    paths: Vec<String>,
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
    fn write_text(&self, out: &mut dyn Write) -> io::Result<()> {
        let verb = match (self.dry_run, self.deleted_from_disk) {
            (false, false) => "no longer tracking",
            (false, true) => "deleted",
            (true, false) => "would no longer track",
            (true, true) => "would delete",
        };
        for path in &self.removed {
            writeln!(out, "{verb} {}", shown(path))?;
        }
        writeln!(out, "{} removed", counted(self.removed.len(), "file"))
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
    if Execution::of(args.dry_run) == Execution::Apply {
        let removed: BTreeSet<_> = selection.paths.iter().collect();
        let kept: Vec<_> = workspace.tracked.iter().filter(|path| !removed.contains(path)).cloned().collect();
        write_tracked(&workspace.project, &ByPath::new(kept).unwrap_or_default())?;
        if args.rm {
            for path in &selection.paths {
                let disk = to_disk(workspace.root(), path);
                match fs::remove_file(&disk) {
                    Err(error) if error.kind() != io::ErrorKind::NotFound => {
                        return Err(CliError::new(
                            Exit::Failure,
                            format_args!(
                                "no longer tracked, but {} cannot be deleted: {error}",
                                disk.display()
                            ),
                        ));
                    }
                    _ => {}
                }
            }
        }
    }
    session.ui.report(&RemoveReport {
        removed: selection.paths.iter().map(ToString::to_string).collect(),
        deleted_from_disk: args.rm,
        dry_run: args.dry_run,
    })
}

//! `add`: has a project track files.

use std::ffi::OsString;
use std::io::{self, Write};

use clap::Args;
use serde::Serialize;

use crate::cli::args::Execution;
use crate::cli::error::{CliError, Exit};
use crate::cli::session::Session;
use crate::cli::ui::{Report, counted, list, shown};
use crate::project::tracked::write_tracked;
use crate::scan::{Force, select_on_disk};

/// Track files
///
/// Folders are taken with all that lies below them; globs may hold `**` and `{a,b}` and may be quoted; what an argument
/// behind `!` names is left out, wherever it stands. What ignore rules cover is skipped and counted.
#[derive(Debug, Args)]
pub(crate) struct AddArgs {
    /// Files, folders and globs
    #[arg(value_name = "PATH", required = true)]
    paths: Vec<OsString>,
    /// Take ignored files too
    #[arg(short, long)]
    force: bool,
    /// Show what would be tracked, and change nothing
    #[arg(short = 'n', long)]
    dry_run: bool,
}

/// The document of `add`.
#[derive(Serialize)]
struct AddReport {
    /// Paths that were not tracked before.
    added: Vec<String>,
    /// How many of the files named were tracked already.
    already_tracked: usize,
    /// How many were skipped because of an ignore rule.
    ignored: u64,
    /// How many were left out because no bundle can hold them, or they cannot be read.
    left_out: usize,
    /// Whether it was only looked at.
    dry_run: bool,
}

impl Report for AddReport {
    fn write_text(&self, out: &mut dyn Write) -> io::Result<()> {
        let verb = if self.dry_run { "would track" } else { "tracking" };
        list(out, verb, &self.added)?;
        writeln!(
            out,
            "{} added, {} already tracked",
            counted(self.added.len(), "file"),
            self.already_tracked
        )?;
        if self.ignored > 0 {
            writeln!(out, "{} ignored by ignore rules (.modelopsignore + defaults)", self.ignored)?;
        }
        if self.left_out > 0 {
            writeln!(out, "{} left out, since they cannot be tracked: see the warnings", self.left_out)?;
        }
        Ok(())
    }
}

pub(crate) fn run(session: &Session<'_>, args: &AddArgs) -> Result<(), CliError> {
    let (_lock, workspace) = session.locked_workspace("add")?;
    let force = if args.force { Force::EvenIgnored } else { Force::No };
    let selection =
        select_on_disk(&workspace.project, &session.cwd, &args.paths, force, workspace.config.symlinks)?;
    if !selection.unmatched.is_empty() {
        return Err(CliError::new(Exit::NotFound, "nothing on disk matches").paths(selection.unmatched).hint(
            "check the spelling; a glob without `**/` means the folder that you are in, and a folder without files has \
             nothing to track; nothing was changed",
        ));
    }
    for refused in &selection.refused {
        session.ui.warning(format_args!("{} cannot be tracked: {}", shown(&refused.path), refused.reason));
    }
    let is_new = |path: &&_| workspace.tracked.at(path).is_none();
    let added: Vec<_> = selection.paths.iter().filter(is_new).cloned().collect();
    let report = AddReport {
        added: added.iter().map(ToString::to_string).collect(),
        already_tracked: selection.paths.len() - added.len(),
        ignored: selection.ignored,
        left_out: selection.refused.len(),
        dry_run: args.dry_run,
    };
    if Execution::of(args.dry_run) == Execution::Apply && !added.is_empty() {
        let mut tracked = workspace.tracked.into_vec();
        tracked.extend(added);
        write_tracked(&workspace.project, &tracked.into_iter().collect())?;
    }
    session.ui.report(&report)
}

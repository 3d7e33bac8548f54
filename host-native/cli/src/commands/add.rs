//! `add`: has a project track files.

use std::ffi::OsString;
use std::io::{self, Write};

use bundle_core::file::ByPath;
use bundle_core::name::path::BundlePath;
use clap::Args;

use crate::args::Execution;
use crate::error::{CliError, Exit};
use crate::keeping::{about, operation, plan};
use crate::session::Session;
use crate::ui::{Report, counted, list, shown};
use modelops_bundle::project::keeping::Keep;
use modelops_bundle::project::undo::Kind;
use modelops_bundle::scan::{Force, Selection, select_on_disk};
use modelops_bundle::track::track;
use modelops_bundle_report::AddReport;

/// Track files
///
/// Folders are taken with all that lies below them; globs may hold `**` and `{a,b}` and may be quoted; what an argument
/// behind `!` names is left out, wherever it stands. What ignore rules cover is skipped and counted.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n\
\x20 modelops-bundle add src data params.yaml\n\
\x20 modelops-bundle add 'models/**/*.{py,yaml}' '!models/old'\n\
\x20 modelops-bundle add --force results/run.log")]
pub(crate) struct AddArgs {
    /// Files, folders and globs
    #[arg(value_name = "PATH", required = true)]
    paths: Vec<OsString>,
    /// Take ignored files too
    #[arg(short, long)]
    force: bool,
    /// Fail where a file below what is named cannot be tracked, and change nothing
    #[arg(long)]
    strict: bool,
    /// Show what would be tracked, and change nothing
    #[arg(short = 'n', long)]
    dry_run: bool,
}

impl Report for AddReport {
    fn is_account(&self) -> bool {
        !self.dry_run
    }

    fn write_text(&self, out: &mut dyn Write) -> io::Result<()> {
        let (verb, added) =
            if self.dry_run { ("would track", "would be added") } else { ("tracking", "added") };
        list(out, verb, &self.added)?;
        let files = counted(self.added.len(), "file");
        writeln!(out, "{files} {added}, {} already tracked", self.already_tracked)?;
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
    let (lock, workspace) = session.locked_workspace("add")?;
    let force = if args.force { Force::EvenIgnored } else { Force::No };
    let selection =
        select_on_disk(&workspace.project, &session.cwd, &args.paths, force, workspace.config.symlinks)?;
    if !selection.unmatched.is_empty() {
        return Err(CliError::new(Exit::NotFound, "nothing on disk matches").paths(selection.unmatched).hint(
            "check the spelling; a glob without `**/` means the folder that you are in, and a folder without files has \
             nothing to track; nothing was changed",
        ));
    }
    refuse_ignored(&selection, &workspace.tracked)?;
    if args.strict && !selection.refused.is_empty() {
        return Err(CliError::cannot_track(&selection.refused));
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
        let operation = operation(&workspace, Kind::Add, about("add", &report.added), Keep::AsSet)?;
        let keeping = plan(session, &workspace.project, operation, std::iter::empty(), Execution::Apply)?;
        let mut tracked = workspace.tracked.into_vec();
        tracked.extend(added);
        session.tell_applied(&track(&lock, &tracked.into_iter().collect(), &keeping)?);
    }
    session.ui.report(&report)
}

/// A file that is named is meant; that it is skipped would not be noticed among many.
fn refuse_ignored(selection: &Selection, tracked: &ByPath<BundlePath>) -> Result<(), CliError> {
    let named = selection.ignored_by_name.iter().filter(|path| tracked.at(path).is_none());
    let ignored: Vec<String> =
        named.map(ToString::to_string).chain(selection.ignored_globs.iter().cloned()).collect();
    if ignored.is_empty() {
        return Ok(());
    }
    Err(CliError::new(Exit::Failure, "these are ignored by ignore rules (.modelopsignore + defaults)")
        .paths(ignored)
        .hint(
            "take them all the same with --force, or leave them out; `modelops-bundle status --explain PATH` says which \
             rule it is; nothing was changed",
        ))
}

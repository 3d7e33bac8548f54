//! `undo`: takes back the last operations.

use std::io::{self, Write};

use bundle_core::name::reference::Reference;
use bundle_core::plan::undo::Fault;
use clap::Args;

use super::diff::find;
use crate::args::Execution;
use crate::error::CliError;
use crate::keeping::{keep, policy, purpose, tell_expired};
use crate::session::Session;
use crate::ui::{Report, bytes, counted, list, shown};
use modelops_bundle::project::ProjectLock;
use modelops_bundle::project::undo::{Entry, Kind, Row};
use modelops_bundle::scan::Untracked;
use modelops_bundle::undo::{BegunUndo, PreparedUndo, fault, foresee, operations, prepare};
use modelops_bundle_report::{OperationKind, OperationReport, OperationsReport, UndoReport, UndoneReport};

/// Take back the last operation: pull, import, add, remove or undo
///
/// Files that it replaced or deleted come back, files that it wrote go, and what is tracked and was synced is as it was
/// before. What goes now is kept itself, also where it was edited since: an undo of an undo does again what that took back.
/// What was pushed stays in the remote: no undo goes back to before a push.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n\
\x20 modelops-bundle undo --list\n\
\x20 modelops-bundle undo --dry-run\n\
\x20 modelops-bundle undo 2")]
pub(crate) struct UndoArgs {
    /// Take back the N newest operations, as one
    #[arg(value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..))]
    count: u16,
    /// List the operations that are kept, newest first
    #[arg(short, long, conflicts_with_all = ["dry_run", "no_keep", "count"])]
    list: bool,
    /// Keep nothing of what goes: then this cannot be taken back
    #[arg(long)]
    no_keep: bool,
    /// Show what would be done, and change nothing
    #[arg(short = 'n', long)]
    dry_run: bool,
}

impl Report for UndoReport {
    fn is_account(&self) -> bool {
        !self.dry_run
    }

    fn write_text(&self, out: &mut dyn Write) -> io::Result<()> {
        let (wrote, deleted) =
            if self.dry_run { ("would bring back", "would delete") } else { ("brought back", "deleted") };
        list(out, wrote, &self.written)?;
        list(out, deleted, &self.deleted)?;
        let verb = if self.dry_run { "Would take back" } else { "Took back" };
        for undone in &self.undone {
            writeln!(out, "{verb} `{}`", shown(&undone.command))?;
        }
        if !self.edited.is_empty() && !self.kept.is_empty() && !self.dry_run {
            let files = counted(self.edited.len(), "file");
            writeln!(out, "{files} edited since: `modelops-bundle undo` brings that back")?;
        }
        Ok(())
    }
}

impl Report for OperationsReport {
    fn write_text(&self, out: &mut dyn Write) -> io::Result<()> {
        if self.operations.is_empty() {
            writeln!(out, "There is nothing to take back")?;
        }
        for operation in &self.operations {
            let OperationReport { number, time, command, fault, .. } = operation;
            let time = time.as_deref().map_or("-", |time| time.split('.').next().unwrap_or(time));
            let command = command.as_deref().unwrap_or("damaged");
            write!(out, "{number:>2}  {}  {}", shown(&time.replace('T', " ")), shown(command))?;
            if let (Some(written), Some(deleted), Some(kept), Some(size)) =
                (operation.written, operation.deleted, operation.kept, operation.kept_bytes)
            {
                write!(out, ": {written} written, {deleted} deleted, {kept} kept ({})", bytes(size))?;
            }
            match fault {
                Some(fault) => writeln!(out, "; {}", shown(fault))?,
                None => writeln!(out)?,
            }
        }
        Ok(())
    }
}

pub(crate) fn run(session: &Session<'_>, args: &UndoArgs) -> Result<(), CliError> {
    if args.list {
        return list_operations(session);
    }
    let (lock, workspace) = session.locked_workspace("undo")?;
    let execution = Execution::of(args.dry_run);
    let purpose = purpose(execution);
    let policy = policy(&workspace.config, keep(args.no_keep))?;
    let prepared = prepare(&workspace, usize::from(args.count), policy, purpose, |paths| {
        let found = workspace.look(paths, Untracked::Skip, session.ui.progress().as_ref());
        Ok::<_, CliError>(found?.files)
    })?;
    tell_expired(session, prepared.expired());
    let mut report = report(&prepared, execution);
    match execution {
        Execution::DryRun => foresee(&workspace.project, &prepared)?,
        Execution::Apply => report.requests = apply(session, &lock, prepared)?,
    }
    session.ui.report(&report)
}

/// Carries it out, and says how many requests that took.
fn apply(session: &Session<'_>, lock: &ProjectLock, prepared: PreparedUndo) -> Result<u64, CliError> {
    let mut undo = BegunUndo::begin(lock, prepared)?;
    let mut requests = 0;
    for origin in undo.bundles() {
        let reference = format!("{}@{}", origin.reference, origin.digest).parse::<Reference>()?;
        let (core, remote) = (session.core()?, session.remote(&reference)?);
        let context = session.context(&core, remote.as_ref()).with_cache(lock.project());
        session.runtime()?.block_on(async {
            let bundle = find(context, &reference).await?;
            Ok::<_, CliError>(undo.fetch(context, &origin, bundle).await?)
        })?;
        requests += remote.requests();
    }
    session.tell_applied(&undo.finish()?);
    Ok(requests)
}

fn report(prepared: &PreparedUndo, execution: Execution) -> UndoReport {
    let undone = prepared.undone.iter().map(|Entry { id, command, time, .. }| UndoneReport {
        id: *id,
        command: command.clone(),
        time: time.clone(),
    });
    UndoReport {
        undone: undone.collect(),
        written: prepared.written().map(ToString::to_string).collect(),
        deleted: prepared.deleted().map(ToString::to_string).collect(),
        kept: prepared.kept().into_iter().map(ToString::to_string).collect(),
        edited: prepared.edited.iter().map(ToString::to_string).collect(),
        expired: prepared.expired().to_vec(),
        requests: 0,
        dry_run: execution == Execution::DryRun,
    }
}

fn list_operations(session: &Session<'_>) -> Result<(), CliError> {
    let workspace = session.workspace()?;
    let rows = operations(&workspace.project)?;
    let operation = |(at, row): (usize, &Row)| {
        let fault = fault(&workspace, row).map(|fault| in_words(fault, row));
        let number = at + 1;
        match row {
            Row::Damaged { id, .. } => OperationReport {
                number,
                id: *id,
                time: None,
                kind: None,
                command: None,
                written: None,
                deleted: None,
                kept: None,
                kept_bytes: None,
                fault,
            },
            Row::Whole(entry) => OperationReport {
                number,
                id: entry.id,
                time: Some(entry.time.clone()),
                kind: Some(reported(entry.kind)),
                command: Some(entry.command.clone()),
                written: Some(entry.written),
                deleted: Some(entry.deleted),
                kept: Some(entry.kept),
                kept_bytes: Some(entry.kept_bytes),
                fault,
            },
        }
    };
    session.ui.report(&OperationsReport { operations: rows.iter().enumerate().map(operation).collect() })
}

fn reported(kind: Kind) -> OperationKind {
    match kind {
        Kind::Add => OperationKind::Add,
        Kind::Import => OperationKind::Import,
        Kind::Pull => OperationKind::Pull,
        Kind::Remove => OperationKind::Remove,
        Kind::Restore => OperationKind::Restore,
        Kind::Undo => OperationKind::Undo,
    }
}

fn in_words(fault: Fault, row: &Row) -> String {
    match (fault, row) {
        (_, Row::Damaged { why, .. }) => why.clone(),
        (Fault::Damaged, _) => "damaged".to_owned(),
        (Fault::NotKept, _) => "nothing of it was kept".to_owned(),
        (Fault::Pushed, _) => "before a push".to_owned(),
    }
}

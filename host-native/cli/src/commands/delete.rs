//! `delete`: takes a tag or a bundle away from a remote.

use std::io::{self, Write};

use bundle_core::name::reference::{Place, Reference};
use clap::Args;
use serde::Serialize;

use crate::args::Execution;
use crate::error::{CliError, Exit};
use crate::session::{Needs, Session, refuse_archive};
use crate::ui::Report;
use modelops_bundle::ops::delete::{self, DeleteOptions, Done, Planned};
use modelops_bundle::transfer::{Deleted, NamedKind};
use modelops_bundle::workspace::Workspace;
use modelops_bundle_report::DeleteReport;

/// Delete a tag, or a bundle with its tags
///
/// A tag goes alone where the registry can do that; some delete only a whole bundle with every tag that names it, which
/// needs --force where there are others. The blobs stay until the registry collects what nothing refers to; in an OCI
/// layout they stay for good.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n\
\x20 modelops-bundle delete stable --dry-run\n\
\x20 modelops-bundle delete registry.example/team/seir:old")]
pub(crate) struct DeleteArgs {
    /// What is to go: a reference with a tag or a digest, or a tag or digest of the project's own remote
    #[arg(value_name = "REF")]
    reference: String,
    /// Delete other tags of the bundle too, where it cannot be done without, and what is no bundle
    #[arg(short, long)]
    force: bool,
    /// Show what would be done, and change nothing
    #[arg(short = 'n', long)]
    dry_run: bool,
}

/// The document, and what only people read.
#[derive(Serialize)]
#[serde(transparent)]
struct DeleteOutcome {
    report: DeleteReport,
    #[serde(skip)]
    place: Place,
    /// What the digest is of.
    #[serde(skip)]
    noun: &'static str,
}

impl Report for DeleteOutcome {
    fn is_account(&self) -> bool {
        !self.report.dry_run
    }

    fn write_text(&self, out: &mut dyn Write) -> io::Result<()> {
        let DeleteReport { reference, digest, tags, others, dry_run, .. } = &self.report;
        let verb = if *dry_run { "Would delete" } else { "Deleted" };
        writeln!(out, "{verb} {reference}")?;
        if let Some(digest) = digest {
            writeln!(out, "  {} {digest}", self.noun)?;
        }
        for tag in tags {
            writeln!(out, "  tag    {tag}")?;
        }
        match (&self.place, others.is_empty()) {
            (_, false) => writeln!(out, "{} still: it stays", counted_names(others)),
            (Place::Layout { .. }, true) => writeln!(out, "Its blobs stay in the layout"),
            (_, true) => writeln!(out, "Its blobs stay until the registry collects them"),
        }
    }
}

fn counted_names(tags: &[String]) -> String {
    let verb = if tags.len() == 1 { "names it" } else { "name it" };
    format!("{} {verb}", tags.join(", "))
}

pub(crate) fn run(session: &Session<'_>, args: &DeleteArgs) -> Result<(), CliError> {
    let workspace = session.workspace_for(&args.reference, Needs::Place)?;
    let default = workspace.as_ref().and_then(Workspace::default_reference);
    let reference = session.reference(&args.reference, default.as_ref())?;
    refuse_unclear(&reference)?;
    let options = if args.force { DeleteOptions::forced() } else { DeleteOptions::default() };
    let (client, execution) = (session.client()?, Execution::of(args.dry_run));
    let outcome = session.runtime()?.block_on(async {
        let planned = delete::plan(&client, &reference, options).await?;
        let mut outcome = outcome(&reference, &planned);
        match execution {
            Execution::DryRun => outcome.take(&planned.foresee().await?, planned.requests()),
            Execution::Apply => {
                let Done { deleted, requests, .. } = planned.apply().await?;
                outcome.take(&deleted, requests);
                outcome.report.dry_run = false;
            }
        }
        Ok::<_, CliError>(outcome)
    })?;
    session.ui.report(&outcome)
}

impl DeleteOutcome {
    /// Takes in what goes, or went.
    fn take(&mut self, deleted: &Deleted, requests: u64) {
        let report = &mut self.report;
        report.tags = deleted.tags.iter().map(ToString::to_string).collect();
        report.others.retain(|tag| !report.tags.contains(tag));
        report.manifest = deleted.manifest;
        report.requests = requests;
    }
}

fn outcome(reference: &Reference, planned: &Planned) -> DeleteOutcome {
    let report = DeleteReport {
        reference: reference.to_string(),
        digest: planned.digest().map(|digest| digest.to_string()),
        tags: Vec::new(),
        others: planned.tags().iter().map(ToString::to_string).collect(),
        manifest: false,
        requests: planned.requests(),
        dry_run: true,
    };
    let noun = match planned.kind() {
        NamedKind::Bundle => "bundle",
        NamedKind::Foreign(_) | NamedKind::Unreadable => "manifest",
    };
    DeleteOutcome { report, place: reference.place.clone(), noun }
}

fn refuse_unclear(reference: &Reference) -> Result<(), CliError> {
    refuse_archive(reference)?;
    match (&reference.tag, &reference.digest) {
        (None, None) => {
            Err(CliError::new(Exit::Usage, format_args!("{reference} names no tag and no digest"))
                .hint("say which one is to go: REF:TAG or REF@DIGEST"))
        }
        (Some(_), Some(_)) => {
            Err(CliError::new(Exit::Usage, format_args!("{reference} names a tag and a digest"))
                .hint("name the tag, or else the bundle with all of its tags"))
        }
        _ => Ok(()),
    }
}

//! `tag`: gives a bundle further names.

use std::io::{self, Write};

use bundle_core::name::reference::{Reference, Tag};
use clap::Args;

use crate::args::{Execution, ExpectedArg};
use crate::error::CliError;
use crate::session::{Needs, Session, refuse_archive, wanted_bundle};
use crate::ui::Report;
use modelops_bundle::ops::tag::{self, Done, Moves, Planned, PlannedTag, TagOptions};
use modelops_bundle_report::{NamedTagReport, TagReport};

/// Give a bundle further tags
///
/// Nothing is sent but the manifest. A tag that names another bundle, an image or another artifact is moved only with --force, or
/// where it names what --expect says. All of them are looked at before the first one is written.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n\
\x20 modelops-bundle tag v1.0.0 stable approved\n\
\x20 modelops-bundle tag @sha256:DIGEST keep")]
pub(crate) struct TagArgs {
    /// The bundle: a reference, or a tag or digest of the project's own remote
    #[arg(value_name = "REF")]
    reference: String,
    /// The tags, at the same place
    #[arg(value_name = "NEW", required = true)]
    names: Vec<String>,
    /// Move tags that name another bundle, published versions too, and tags of what is no bundle
    #[arg(short, long)]
    force: bool,
    /// Move the tags only where they name this bundle, or nothing; no published version moves so
    #[arg(long, value_name = "DIGEST|absent", conflicts_with = "force")]
    expect: Option<ExpectedArg>,
    /// Show what would be done, and change nothing
    #[arg(short = 'n', long)]
    dry_run: bool,
}

impl Report for TagReport {
    fn is_account(&self) -> bool {
        !self.dry_run
    }

    fn write_text(&self, out: &mut dyn Write) -> io::Result<()> {
        for NamedTagReport { tag, before, changed } in &self.tags {
            match (changed, before) {
                (false, _) => writeln!(out, "{tag} names it already")?,
                (true, None) => writeln!(out, "{tag} is new")?,
                (true, Some(before)) => writeln!(out, "{tag} named {before}")?,
            }
        }
        let verb = if self.dry_run { "Would tag" } else { "Tagged" };
        writeln!(out, "{verb} {}", self.reference)?;
        writeln!(out, "  bundle {}", self.digest)
    }
}

pub(crate) fn run(session: &Session<'_>, args: &TagArgs) -> Result<(), CliError> {
    let workspace = session.workspace_for(&args.reference, Needs::Bundle)?;
    let reference = wanted_bundle(session, Some(&args.reference), workspace.as_ref())?;
    refuse_archive(&reference)?;
    let mut names = Vec::new();
    for name in &args.names {
        let name: Tag = name.strip_prefix(':').unwrap_or(name).parse()?;
        if !names.contains(&name) {
            names.push(name);
        }
    }
    let moves = match (args.force, args.expect) {
        (true, _) => Moves::Forced,
        (false, Some(ExpectedArg(expected))) => Moves::Expected(expected),
        (false, None) => Moves::Free,
    };
    let (client, execution) = (session.client()?, Execution::of(args.dry_run));
    let report = session.runtime()?.block_on(async {
        let planned = tag::plan(&client, &reference, names, TagOptions::moving(moves)).await?;
        let mut report = report(&reference, &planned);
        match execution {
            Execution::DryRun => {
                planned.foresee().await?;
                report.requests = planned.requests();
            }
            Execution::Apply => {
                let Done { unconfirmed, requests, .. } = planned.apply().await?;
                session.warn_of_unconfirmed(&unconfirmed);
                (report.requests, report.dry_run) = (requests, false);
            }
        }
        Ok::<_, CliError>(report)
    })?;
    session.ui.report(&report)
}

fn report(reference: &Reference, planned: &Planned) -> TagReport {
    let named = |tag: PlannedTag| NamedTagReport {
        tag: tag.tag.to_string(),
        changed: tag.before != Some(planned.digest()),
        before: tag.before.map(|digest| digest.to_string()),
    };
    let tags: Vec<NamedTagReport> = planned.tags().map(named).collect();
    TagReport {
        reference: reference.to_string(),
        digest: planned.digest().to_string(),
        changed: tags.iter().any(|tag| tag.changed),
        tags,
        requests: planned.requests(),
        dry_run: true,
    }
}

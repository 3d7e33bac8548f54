//! `copy`: brings bundles from one place to another as they are.

use std::io::{self, Write};

use bundle_core::name::reference::Reference;
use clap::Args;

use crate::args::{Execution, ExpectedArg};
use crate::error::{CliError, Exit};
use crate::session::{Needs, Session, refuse_archive};
use crate::subject::subject;
use crate::traffic::{blobs, sent_in_words, traffic};
use crate::ui::Report;
use modelops_bundle::bundle::Bundle;
use modelops_bundle::ops::copy::{self, CopyOptions, Done, Planned, Selection, Skipped};
use modelops_bundle::push::Force;
use modelops_bundle::transfer::{Copied, Delivery};
use modelops_bundle::workspace::Workspace;
use modelops_bundle_report::{CopiedReport, CopyReport};

/// Copy a bundle between registries, layouts and archives
///
/// The copy has the same digest. What DST has is not sent, what another repository of its registry has is only named there
/// (mounted), and every byte that is sent is verified on its way. Its tag is that of DST, else that of SRC; it stays as it is
/// where it names another bundle there. An archive is written with `export`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n\
\x20 modelops-bundle copy v1.0.0 registry.example/archive/seir\n\
\x20 modelops-bundle copy registry.example/team/seir oci:/backup/seir --all-tags")]
pub(crate) struct CopyArgs {
    /// The bundle: a reference, a tag or digest of the project's own remote, a FILE.tar or the folder of an OCI layout
    #[arg(value_name = "SRC")]
    source: String,
    /// Where it is to go: a reference, or a tag of the project's own remote
    #[arg(value_name = "DST")]
    target: String,
    /// Copy every bundle of SRC that has a tag, with all of its tags
    #[arg(long)]
    all_tags: bool,
    /// Move tags whatever they name, and send again what DST has lost or damaged of what it has
    #[arg(short, long)]
    force: bool,
    /// Write the tag only where it names this bundle, or nothing
    #[arg(long, value_name = "DIGEST|absent", conflicts_with_all = ["all_tags", "force"])]
    expect: Option<ExpectedArg>,
    /// Show what would be done, and change nothing
    #[arg(short = 'n', long)]
    dry_run: bool,
}

impl Report for CopyReport {
    fn is_account(&self) -> bool {
        !self.dry_run
    }

    fn write_text(&self, out: &mut dyn Write) -> io::Result<()> {
        let Self { source, reference, uploaded, mounted, .. } = self;
        let traffic = traffic(sent_in_words(*uploaded), *mounted);
        match (self.changed, self.dry_run) {
            (false, _) => writeln!(out, "Nothing to copy: {reference} has it already")?,
            (true, true) => writeln!(out, "Would copy {source} to {reference}: {traffic}")?,
            (true, false) => writeln!(out, "Copied {source} to {reference}: {traffic}")?,
        }
        for bundle in &self.bundles {
            writeln!(out, "  bundle {}  {}", bundle.digest, bundle.tags.join(", "))?;
        }
        Ok(())
    }
}

pub(crate) fn run(session: &Session<'_>, args: &CopyArgs) -> Result<(), CliError> {
    let needs = if args.all_tags { Needs::Place } else { Needs::Bundle };
    let workspace = match session.workspace_for(&args.source, needs)? {
        None => session.workspace_for(&args.target, Needs::Place)?,
        found => found,
    };
    let default = workspace.as_ref().and_then(Workspace::default_reference);
    let target = session.reference(&args.target, default.as_ref())?;
    refuse_target(&target, args)?;
    let source = if args.all_tags {
        every_tag_of(session, &args.source, default.as_ref())?
    } else {
        subject(session, Some(&args.source), workspace.as_ref())?
    };
    let selection = if args.all_tags { Selection::AllTags } else { Selection::One };
    let force = if args.force { Force::Yes } else { Force::No };
    let expected = args.expect.map(|ExpectedArg(expected)| expected);
    let options = CopyOptions::default().force(force).expecting(expected);
    let (client, execution) = (session.client()?, Execution::of(args.dry_run));
    let report = session.runtime()?.block_on(async {
        let planned = copy::plan(&client, &source, &target, selection, options).await?;
        for (tag, why) in planned.skipped() {
            let why = if *why == Skipped::Lost { NO_MANIFEST } else { NO_BUNDLE };
            session.ui.warning(format_args!("the tag `{tag}` {why} and is left out"));
        }
        session.tell_mended(&target, &planned.lost());
        let mut report = report(&source, &target, &planned, execution);
        let carried = match execution {
            Execution::DryRun => {
                let carried = planned.foresee().await?;
                report.requests = planned.requests();
                carried
            }
            Execution::Apply => {
                let Done { carried, unconfirmed, requests, .. } = planned.apply().await?;
                session.warn_of_unconfirmed(&unconfirmed);
                report.requests = requests;
                carried
            }
        };
        (report.uploaded, report.mounted) = (blobs(carried.sent), blobs(carried.mounted));
        Ok::<_, CliError>(report)
    })?;
    session.ui.report(&report)
}

fn report(source: &Reference, target: &Reference, planned: &Planned, execution: Execution) -> CopyReport {
    let bundles: Vec<CopiedReport> =
        planned.bundles().map(|(bundle, delivery)| copied(bundle, delivery)).collect();
    CopyReport {
        source: source.to_string(),
        reference: target.to_string(),
        changed: bundles.iter().any(|bundle| bundle.changed),
        bundles,
        skipped: planned.skipped().iter().map(|(tag, _)| tag.to_string()).collect(),
        mended: planned.lost().iter().map(ToString::to_string).collect(),
        uploaded: blobs(Copied::default()),
        mounted: blobs(Copied::default()),
        requests: planned.requests(),
        dry_run: execution == Execution::DryRun,
    }
}

fn refuse_target(target: &Reference, args: &CopyArgs) -> Result<(), CliError> {
    refuse_archive(target)?;
    if target.digest.is_some() {
        return Err(CliError::new(Exit::Usage, "a bundle has its digest wherever it goes")
            .hint("leave out the part from `@` on"));
    }
    if args.all_tags && target.tag.is_some() {
        return Err(CliError::new(Exit::Usage, "--all-tags copies each tag under its own name")
            .hint("name the place without a tag"));
    }
    Ok(())
}

/// The place all of whose tags are meant.
fn every_tag_of(
    session: &Session<'_>,
    text: &str,
    default: Option<&Reference>,
) -> Result<Reference, CliError> {
    let source = session.reference(text, default)?;
    if source.tag.is_some() || source.digest.is_some() {
        return Err(CliError::new(
            Exit::Usage,
            "--all-tags copies all of a place, and SRC names one bundle of it",
        )
        .hint("name the place without tag and digest"));
    }
    Ok(source)
}

/// Why a tag that names nothing which could be copied is left out.
const NO_MANIFEST: &str = "names a manifest that is not there";
const NO_BUNDLE: &str = "names no bundle";

fn copied(bundle: &Bundle, delivery: &Delivery) -> CopiedReport {
    CopiedReport {
        digest: bundle.digest.to_string(),
        tree: bundle.index_view.tree.to_string(),
        tags: delivery.tags.iter().map(|(tag, _)| tag.to_string()).collect(),
        changed: delivery.changes(),
    }
}

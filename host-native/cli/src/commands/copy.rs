//! `copy`: brings bundles from one place to another as they are.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Write};
use std::sync::Arc;

use bundle_core::digest::Digest;
use bundle_core::name::reference::{Reference, Tag};
use clap::Args;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};

use super::diff::find;
use crate::args::{Execution, ExpectedArg};
use crate::error::{CliError, Exit};
use crate::session::{Needs, Session, refuse_archive};
use crate::subject::subject;
use crate::traffic::{blobs, sent_in_words, traffic};
use crate::ui::Report;
use modelops_bundle::bundle::{Bundle, Context, OpenError, open};
use modelops_bundle::push::Force;
use modelops_bundle::remote::{Remote, Version};
use modelops_bundle::transfer::{Delivery, claim, deliver, find_lost, foresee_deliveries, tag_digest};
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
    let core = session.core()?;
    let from: Arc<dyn Remote> = Arc::from(session.remote(&source)?);
    let to = session.remote_to_copy_to(&target, &source.place)?;
    let (reading, writing) = (session.context(&core, &*from), session.context(&core, to.as_ref()));
    let execution = Execution::of(args.dry_run);
    let force = if args.force { Force::Yes } else { Force::No };
    let expected = args.expect.map(|ExpectedArg(expected)| expected);
    let mut report = session.runtime()?.block_on(async {
        let (bundles, skipped) = if args.all_tags {
            tagged(reading).await?
        } else {
            let tag = target.tag.clone().or_else(|| source.tag.clone()).ok_or_else(no_tag)?;
            (vec![(find(reading, &source).await?, vec![tag])], Vec::new())
        };
        if bundles.is_empty() {
            return Err(CliError::no_bundle(&source));
        }
        for (tag, why) in &skipped {
            session.ui.warning(format_args!("the tag `{tag}` {why} and is left out"));
        }
        let mut deliveries = Vec::new();
        for (bundle, tags) in &bundles {
            deliveries.push(claim(writing, bundle, tags, force, expected).await?);
        }
        find_lost(&mut deliveries, writing, force).await?;
        let mended: BTreeSet<Digest> = deliveries.iter().flat_map(|one| &one.lost).copied().collect();
        session.tell_mended(&target, &mended);
        let carried = match execution {
            Execution::DryRun => {
                if deliveries.iter().any(Delivery::changes) {
                    to.foresee_writing().await?;
                }
                foresee_deliveries(&deliveries, writing).await?
            }
            Execution::Apply => {
                let delivered = deliver(&deliveries, &from, writing).await?;
                session.warn_of_unconfirmed(&delivered.unconfirmed);
                delivered.carried
            }
        };
        let bundles: Vec<CopiedReport> =
            bundles.iter().zip(&deliveries).map(|((bundle, _), delivery)| copied(bundle, delivery)).collect();
        Ok(CopyReport {
            source: source.to_string(),
            reference: target.to_string(),
            changed: bundles.iter().any(|bundle| bundle.changed),
            bundles,
            skipped: skipped.iter().map(|(tag, _)| tag.to_string()).collect(),
            mended: mended.iter().map(ToString::to_string).collect(),
            uploaded: blobs(carried.sent),
            mounted: blobs(carried.mounted),
            requests: 0,
            dry_run: execution == Execution::DryRun,
        })
    })?;
    report.requests = from.requests() + to.requests();
    session.ui.report(&report)
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

fn no_tag() -> CliError {
    CliError::new(Exit::Usage, "no tag is named for the copy").hint("name one behind DST, as DST:TAG")
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

/// What there is to copy of a place: each bundle with its tags, and the tags that name none, with the reason.
type Tagged = (Vec<(Bundle, Vec<Tag>)>, Vec<(Tag, &'static str)>);

/// Every bundle of a place that has a tag, with its tags, and the tags that name something else.
async fn tagged(context: Context<'_>) -> Result<Tagged, CliError> {
    let named: Vec<(Tag, Option<Digest>)> = stream::iter(context.remote.tags().await?)
        .map(async |tag| {
            let digest = tag_digest(context, &tag).await?;
            Ok::<_, CliError>((tag, digest))
        })
        .buffered(context.concurrency)
        .try_collect()
        .await?;
    let (mut bundles, mut skipped) = (Vec::new(), Vec::new());
    let mut grouped: BTreeMap<Digest, Vec<Tag>> = BTreeMap::new();
    for (tag, digest) in named {
        match digest {
            Some(digest) => grouped.entry(digest).or_default().push(tag),
            None => skipped.push((tag, NO_MANIFEST)),
        }
    }
    for (digest, tags) in grouped {
        match open(context, &Version::Digest(digest)).await {
            Ok(Some(bundle)) => bundles.push((bundle, tags)),
            Ok(None) => skipped.extend(tags.into_iter().map(|tag| (tag, NO_MANIFEST))),
            Err(OpenError::NotABundle { .. }) => {
                skipped.extend(tags.into_iter().map(|tag| (tag, NO_BUNDLE)));
            }
            Err(error) => {
                let tag = tags.into_iter().next();
                let reference = Reference { place: context.remote.place(), tag, digest: None };
                return Err(CliError::from(error).about(&reference));
            }
        }
    }
    Ok((bundles, skipped))
}

fn copied(bundle: &Bundle, delivery: &Delivery) -> CopiedReport {
    CopiedReport {
        digest: bundle.digest.to_string(),
        tree: bundle.index_view.tree.to_string(),
        tags: delivery.tags.iter().map(|(tag, _)| tag.to_string()).collect(),
        changed: delivery.changes(),
    }
}

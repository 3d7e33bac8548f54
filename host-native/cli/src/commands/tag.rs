//! `tag`: gives a bundle further names.

use std::io::{self, Write};

use bundle_core::digest::Digest;
use bundle_core::name::reference::{Reference, Tag};
use bundle_core::plan::tag::{Mover, Occupant, TagFacts};
use clap::Args;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use serde::Serialize;

use crate::args::{Execution, ExpectedArg};
use crate::error::CliError;
use crate::session::{Needs, Session, refuse_archive, version_of, wanted_bundle};
use crate::ui::Report;
use modelops_bundle::bundle::{Context, OpenedManifest, open_manifest};
use modelops_bundle::remote::Intent;
use modelops_bundle::transfer::{TagError, check_tag, move_tags, tag_digest};

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

/// The document of `tag`.
#[derive(Serialize)]
struct TagReport {
    /// The bundle, as it was named.
    #[serde(rename = "ref")]
    reference: String,
    /// Its digest.
    digest: Digest,
    /// The tags that were to name it.
    tags: Vec<NamedReport>,
    /// Whether any of them was, or would be, written.
    changed: bool,
    /// HTTP requests made.
    requests: u64,
    /// Whether nothing was written.
    dry_run: bool,
}

/// One tag.
#[derive(Serialize)]
struct NamedReport {
    /// Its name.
    tag: String,
    /// What it named before; absent where it is new.
    before: Option<Digest>,
    /// Whether it was, or would be, written.
    changed: bool,
}

impl Report for TagReport {
    fn is_account(&self) -> bool {
        !self.dry_run
    }

    fn write_text(&self, out: &mut dyn Write) -> io::Result<()> {
        for NamedReport { tag, before, changed } in &self.tags {
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
    let core = session.core()?;
    let remote = session.remote_for(&reference, Intent::Tag)?;
    let context = session.context(&core, remote.as_ref());
    let execution = Execution::of(args.dry_run);
    let (manifest, planned) = session.runtime()?.block_on(async {
        let manifest = open_manifest(context, &version_of(&reference)?).await?;
        let manifest = manifest.ok_or_else(|| CliError::no_bundle(&reference))?;
        let planned = plan(context, &manifest, names, args).await?;
        if execution == Execution::Apply {
            session.warn_of_unconfirmed(&move_tags(context, &planned, &manifest.bytes).await?);
        } else if planned.iter().any(|facts| facts.planned != Some(manifest.digest)) {
            remote.foresee_writing().await?;
        }
        Ok::<_, CliError>((manifest, planned))
    })?;
    session.ui.report(&report(&reference, &manifest, &planned, execution, remote.requests()))
}

/// What each tag names now, once it is known that all of them may be written.
async fn plan(
    context: Context<'_>,
    manifest: &OpenedManifest,
    names: Vec<Tag>,
    args: &TagArgs,
) -> Result<Vec<TagFacts>, TagError> {
    let (force, expected) = (args.force, args.expect.map(|ExpectedArg(expected)| expected));
    stream::iter(names)
        .map(async |tag| {
            let planned = tag_digest(context, &tag).await?;
            if let Some(expected) = expected.filter(|expected| expected.digest() != planned) {
                return Err(TagError::unexpected(tag, expected, planned));
            }
            let mover = if expected.is_some() { Mover::Push } else { Mover::Naming };
            let (target, occupant) = (manifest.digest, Occupant::default());
            let facts = TagFacts { tag, planned, current: None, occupant, target, force, mover };
            check_tag(context, facts.clone()).await?;
            Ok(facts)
        })
        .buffered(context.concurrency)
        .try_collect()
        .await
}

fn report(
    reference: &Reference,
    manifest: &OpenedManifest,
    planned: &[TagFacts],
    execution: Execution,
    requests: u64,
) -> TagReport {
    let named = |facts: &TagFacts| NamedReport {
        tag: facts.tag.to_string(),
        before: facts.planned,
        changed: facts.planned != Some(manifest.digest),
    };
    let tags: Vec<NamedReport> = planned.iter().map(named).collect();
    TagReport {
        reference: reference.to_string(),
        digest: manifest.digest,
        changed: tags.iter().any(|tag| tag.changed),
        tags,
        requests,
        dry_run: execution == Execution::DryRun,
    }
}

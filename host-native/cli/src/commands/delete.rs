//! `delete`: takes a tag or a bundle away from a remote.

use std::io::{self, Write};

use bundle_core::digest::Digest;
use bundle_core::name::reference::{Place, Reference, Tag};
use clap::Args;
use serde::Serialize;

use crate::args::Execution;
use crate::error::{CliError, Exit};
use crate::session::{Needs, Session, refuse_archive, version_of};
use crate::ui::Report;
use modelops_bundle::push::Force;
use modelops_bundle::remote::Intent;
use modelops_bundle::transfer::{NamedKind, delete, find_doomed, plan_delete};
use modelops_bundle::workspace::Workspace;

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

/// The document of `delete`.
#[derive(Serialize)]
struct DeleteReport {
    /// What was named.
    #[serde(rename = "ref")]
    reference: String,
    /// The bundle that it is, or was the name of; absent where a registry has lost its manifest.
    digest: Option<Digest>,
    /// The tags that are, or would be, gone.
    tags: Vec<String>,
    /// The tags that name the bundle still.
    others: Vec<String>,
    /// Whether the bundle itself is, or would be, gone.
    manifest: bool,
    /// HTTP requests made.
    requests: u64,
    /// Whether nothing was deleted.
    dry_run: bool,
    #[serde(skip)]
    place: Place,
    /// What `digest` is of.
    #[serde(skip)]
    noun: &'static str,
}

impl Report for DeleteReport {
    fn is_account(&self) -> bool {
        !self.dry_run
    }

    fn write_text(&self, out: &mut dyn Write) -> io::Result<()> {
        let verb = if self.dry_run { "Would delete" } else { "Deleted" };
        writeln!(out, "{verb} {}", self.reference)?;
        if let Some(digest) = self.digest {
            writeln!(out, "  {} {digest}", self.noun)?;
        }
        for tag in &self.tags {
            writeln!(out, "  tag    {tag}")?;
        }
        match (&self.place, self.others.is_empty()) {
            (_, false) => writeln!(out, "{} still: it stays", counted_names(&self.others)),
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
    let core = session.core()?;
    let remote = session.remote_for(&reference, Intent::Delete)?;
    let context = session.context(&core, remote.as_ref());
    let force = if args.force { Force::Yes } else { Force::No };
    let execution = Execution::of(args.dry_run);
    let version = version_of(&reference)?;
    let (doomed, deleted) = session.runtime()?.block_on(async {
        let doomed = find_doomed(context, version).await?;
        let doomed = doomed.ok_or_else(|| CliError::no_bundle(&reference))?;
        let deleted = match execution {
            Execution::Apply => delete(context, &doomed, force).await?,
            Execution::DryRun => {
                let deleted = plan_delete(context, &doomed, force).await?;
                remote.foresee_writing().await?;
                deleted
            }
        };
        Ok::<_, CliError>((doomed, deleted))
    })?;
    let names = |tags: Vec<Tag>| tags.iter().map(ToString::to_string).collect();
    let is_left = |tag: &Tag| !deleted.tags.contains(tag);
    session.ui.report(&DeleteReport {
        reference: reference.to_string(),
        digest: doomed.digest,
        others: names(doomed.tags.into_iter().filter(is_left).collect()),
        tags: names(deleted.tags.clone()),
        manifest: deleted.manifest,
        requests: remote.requests(),
        dry_run: execution == Execution::DryRun,
        place: reference.place,
        noun: match doomed.kind {
            NamedKind::Bundle => "bundle",
            NamedKind::Foreign(_) | NamedKind::Unreadable => "manifest",
        },
    })
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

//! `manifest`: which bundles a place has, and which tags name them.

use std::io::{self, Write};

use bundle_core::name::reference::{Reference, Tag};
use clap::Args;
use serde::Serialize;

use crate::documents::short;
use crate::error::CliError;
use crate::session::{Needs, Session, configured_or_named};
use crate::ui::{Report, bytes, counted, shown};
use modelops_bundle::ops::list::{self, Done, ListOptions, ListedFault, ListedManifest, Tags};
use modelops_bundle::remote::Version;
use modelops_bundle::workspace::Workspace;
use modelops_bundle_report::{ManifestReport, ManifestsReport, TagsReport};

/// As many bundles are listed where nothing else is said.
const LISTED: usize = 20;

/// List the bundles of a remote and the tags that name them
///
/// Newest first; tags of one bundle stand together. Costs one request a tag, and several run at the same time.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n\
\x20 modelops-bundle manifest\n\
\x20 modelops-bundle manifest registry.example/team/seir --full")]
pub(crate) struct ManifestArgs {
    /// The place, or one bundle: a reference, or a tag or digest of the project's own remote
    #[arg(value_name = "REF")]
    reference: Option<String>,
    /// List the names of the tags alone, with a single request
    #[arg(long)]
    tags_only: bool,
    /// Show whole digests and every annotation
    #[arg(long)]
    full: bool,
    /// List them all
    #[arg(long)]
    all: bool,
    /// List at most N bundles
    #[arg(short = 'n', value_name = "N", default_value_t = LISTED)]
    limit: usize,
}

impl Report for TagsReport {
    fn write_text(&self, out: &mut dyn Write) -> io::Result<()> {
        self.tags.iter().try_for_each(|tag| writeln!(out, "{tag}"))
    }
}

/// The document, and what only people read.
#[derive(Serialize)]
#[serde(transparent)]
struct Listing {
    report: ManifestsReport,
    /// With `--full`, the annotations of each bundle that is listed.
    #[serde(skip)]
    annotations: Option<Vec<ManifestAnnotations>>,
}

/// The annotations of a manifest, by key.
type ManifestAnnotations = Vec<(String, String)>;

impl Report for Listing {
    fn write_text(&self, out: &mut dyn Write) -> io::Result<()> {
        let ManifestsReport { reference, manifests, more, .. } = &self.report;
        if manifests.is_empty() {
            return writeln!(out, "{reference} has no bundles");
        }
        for (at, manifest) in manifests.iter().enumerate() {
            let digest = manifest.digest.as_deref().map_or("(unknown)", |digest| {
                if self.annotations.is_some() { digest } else { short(digest) }
            });
            let tags =
                if manifest.tags.is_empty() { "(no tag)".to_owned() } else { manifest.tags.join(", ") };
            write!(out, "{digest}  {tags}")?;
            match (&manifest.fault, manifest.files, manifest.size) {
                (Some(fault), ..) => writeln!(out, "  {}", shown(fault))?,
                (None, files, size) => {
                    let created = manifest.created.as_deref().unwrap_or("-");
                    let files = counted(files.unwrap_or_default(), "file");
                    writeln!(out, "  {}  {files}, {}", shown(created), bytes(size.unwrap_or_default()))?;
                }
            }
            for (key, value) in self.annotations.iter().filter_map(|all| all.get(at)).flatten() {
                writeln!(out, "    {}: {}", shown(key), shown(value))?;
            }
        }
        if *more > 0 {
            writeln!(out, "and {more} more: see --all or -n")?;
        }
        Ok(())
    }
}

pub(crate) fn run(session: &Session<'_>, args: &ManifestArgs) -> Result<(), CliError> {
    let (reference, wanted) = place(session, args.reference.as_deref())?;
    let name = reference.without_version().to_string();
    if let Some(version) = wanted.as_ref().filter(|_| args.tags_only) {
        let report = TagsReport { reference: name, tags: vec![version.to_string()], requests: 0 };
        return session.ui.report(&report);
    }
    // The default tag of a project's remote names no one bundle that is meant.
    let listed = if wanted.is_some() { reference } else { reference.without_version() };
    let planned = list::plan(&session.client()?, &listed, ListOptions::default())?;
    let runtime = session.runtime()?;
    if args.tags_only {
        let Tags { tags, requests, .. } = runtime.block_on(planned.tags())?;
        let tags = tags.iter().map(ToString::to_string).collect();
        return session.ui.report(&TagsReport { reference: name, tags, requests });
    }
    let Done { mut manifests, requests, .. } = runtime.block_on(planned.apply())?;
    let limit = if args.all { usize::MAX } else { args.limit };
    let more = manifests.len().saturating_sub(limit);
    manifests.truncate(limit);
    let annotations = manifests.iter().map(|listed| listed.annotations.clone().into_iter().collect());
    let annotations = args.full.then(|| annotations.collect());
    let manifests = manifests.into_iter().map(manifest).collect();
    let report = ManifestsReport { reference: name, manifests, more, requests };
    session.ui.report(&Listing { report, annotations })
}

/// One manifest, for a document.
fn manifest(listed: ListedManifest) -> ManifestReport {
    let fault = |fault| match fault {
        ListedFault::Manifest(error) => CliError::from(error).message().to_owned(),
        ListedFault::Open(error) => CliError::from(error).message().to_owned(),
        ListedFault::Remote(error) => CliError::from(error).message().to_owned(),
        fault => fault.to_string(),
    };
    ManifestReport {
        digest: listed.digest.map(|digest| digest.to_string()),
        tags: listed.tags.iter().map(Tag::to_string).collect(),
        created: listed.created,
        files: listed.files,
        size: listed.size,
        tree: listed.tree,
        fault: listed.fault.map(fault),
    }
}

/// The place to list, and the one version of it if one is named.
fn place(session: &Session<'_>, text: Option<&str>) -> Result<(Reference, Option<Version>), CliError> {
    let Some(text) = text else {
        return Ok((configured_or_named(&session.workspace()?)?, None));
    };
    let workspace = session.workspace_for(text, Needs::Place)?;
    let default = workspace.as_ref().and_then(Workspace::default_reference);
    let reference = session.reference(text, default.as_ref())?;
    let wanted = match (&reference.digest, &reference.tag) {
        (Some(digest), _) => Some(Version::Digest(*digest)),
        (None, Some(tag)) => Some(Version::Tag(tag.clone())),
        (None, None) => None,
    };
    Ok((reference, wanted))
}

//! `manifest`: which bundles a place has, and which tags name them.

use std::collections::BTreeMap;
use std::io::{self, Write};

use bundle_core::bundle::descriptor::media_type;
use bundle_core::bundle::foreign::attachments_of;
use bundle_core::bundle::manifest::annotation;
use bundle_core::digest::Digest;
use bundle_core::name::reference::{Reference, Tag};
use clap::Args;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use serde::Serialize;

use crate::error::CliError;
use crate::session::{Needs, Session, configured_or_named};
use crate::ui::{Report, bytes, counted, shown};
use modelops_bundle::bundle::{
    Context, OpenError, OpenedManifest, is_listed, open_index, read_view, resolve,
};
use modelops_bundle::remote::{RemoteError, RemoteErrorKind, Version};
use modelops_bundle::workspace::Workspace;

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

/// The document of `manifest`.
#[derive(Serialize)]
struct ManifestsReport {
    /// The place.
    #[serde(rename = "ref")]
    reference: String,
    /// Its bundles, the newest first.
    manifests: Vec<ManifestReport>,
    /// How many bundles there are beyond those that are listed.
    more: usize,
    /// HTTP requests made.
    requests: u64,
    #[serde(skip)]
    full: bool,
}

/// One bundle.
#[derive(Serialize)]
struct ManifestReport {
    /// The digest of its manifest; absent where a registry lists a tag whose manifest it has lost.
    digest: Option<Digest>,
    /// The tags that name it.
    tags: Vec<String>,
    /// When it was made, as it says itself.
    created: Option<String>,
    /// How many files it has; absent where it is no bundle.
    files: Option<usize>,
    /// Their bytes in all.
    size: Option<u64>,
    /// Its tree digest, as it says itself.
    tree: Option<String>,
    /// Why it cannot be read, where it is no bundle.
    #[serde(skip_serializing_if = "Option::is_none")]
    fault: Option<String>,
    #[serde(skip)]
    annotations: Vec<(String, String)>,
    /// Whether the manifest is not there.
    #[serde(skip)]
    is_lost: bool,
}

/// The document of `manifest --tags-only`.
#[derive(Serialize)]
struct TagsReport {
    /// The place.
    #[serde(rename = "ref")]
    reference: String,
    /// Its tags.
    tags: Vec<String>,
    /// HTTP requests made.
    requests: u64,
}

impl Report for TagsReport {
    fn write_text(&self, out: &mut dyn Write) -> io::Result<()> {
        self.tags.iter().try_for_each(|tag| writeln!(out, "{tag}"))
    }
}

impl Report for ManifestsReport {
    fn write_text(&self, out: &mut dyn Write) -> io::Result<()> {
        if self.manifests.is_empty() {
            return writeln!(out, "{} has no bundles", self.reference);
        }
        for manifest in &self.manifests {
            let digest = manifest.digest.map_or_else(
                || "(unknown)".to_owned(),
                |digest| if self.full { digest.to_string() } else { digest.short() },
            );
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
            if self.full {
                for (key, value) in &manifest.annotations {
                    writeln!(out, "    {}: {}", shown(key), shown(value))?;
                }
            }
        }
        if self.more > 0 {
            writeln!(out, "and {} more: see --all or -n", self.more)?;
        }
        Ok(())
    }
}

pub(crate) fn run(session: &Session<'_>, args: &ManifestArgs) -> Result<(), CliError> {
    let (reference, wanted) = place(session, args.reference.as_deref())?;
    let core = session.core()?;
    let remote = session.remote(&reference)?;
    let context = session.context(&core, remote.as_ref());
    let name = reference.without_version().to_string();
    session.runtime()?.block_on(async {
        let versions = match &wanted {
            Some(version) => vec![version.clone()],
            None if args.tags_only => remote.tags().await?.into_iter().map(Version::Tag).collect(),
            None => {
                let untagged = remote.listed().await?.into_iter().filter(|(_, tag)| tag.is_none());
                let tagged = remote.tags().await?.into_iter().map(Version::Tag);
                tagged.chain(untagged.map(|(digest, _)| Version::Digest(digest))).collect()
            }
        };
        if versions.is_empty() && !remote.is_there().await? {
            return Err(CliError::no_place(&reference));
        }
        if args.tags_only {
            let tags = versions.iter().map(ToString::to_string).collect();
            return session.ui.report(&TagsReport { reference: name, tags, requests: remote.requests() });
        }
        let mut manifests = list(context, versions).await?;
        if let Some(version) = &wanted
            && manifests.iter().all(|manifest| manifest.is_lost)
            && !is_listed(remote.as_ref(), version).await?
        {
            return Err(CliError::no_bundle(&reference));
        }
        let limit = if args.all { usize::MAX } else { args.limit };
        let more = manifests.len().saturating_sub(limit);
        manifests.truncate(limit);
        let requests = remote.requests();
        session.ui.report(&ManifestsReport { reference: name, manifests, more, requests, full: args.full })
    })
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

/// Reads the manifests of `versions`, one request each, and groups them; newest first.
async fn list(context: Context<'_>, versions: Vec<Version>) -> Result<Vec<ManifestReport>, CliError> {
    let read: Vec<(Version, ManifestReport)> = stream::iter(versions)
        .map(async |version| {
            let report = read(context, &version).await?;
            Ok::<_, CliError>((version, report))
        })
        .buffered(context.concurrency)
        .try_collect()
        .await?;
    // Tags of unknown manifests may be of different ones.
    let mut grouped: BTreeMap<(Option<Digest>, Option<String>), ManifestReport> = BTreeMap::new();
    for (version, report) in read {
        let unknown = report.digest.is_none().then(|| version.to_string());
        let manifest = grouped.entry((report.digest, unknown)).or_insert(report);
        if let Version::Tag(tag) = version {
            manifest.tags.push(Tag::to_string(&tag));
        }
    }
    let mut manifests: Vec<_> = grouped.into_values().collect();
    manifests.sort_by(|a, b| b.created.cmp(&a.created).then_with(|| a.tags.cmp(&b.tags)));
    Ok(manifests)
}

/// Reads one manifest that the place lists. One that is lost or damaged is listed as that: it must not hide the others.
async fn read(context: Context<'_>, version: &Version) -> Result<ManifestReport, CliError> {
    let mut report = ManifestReport {
        digest: None,
        tags: Vec::new(),
        created: None,
        files: None,
        size: None,
        tree: None,
        fault: None,
        annotations: Vec::new(),
        is_lost: false,
    };
    let fetched = match context.remote.manifest(version).await {
        Ok(Some(fetched)) => fetched,
        Ok(None) | Err(RemoteError::LostManifest { .. }) => {
            report.digest = listed_digest(context, version).await?;
            report.fault = Some("manifest missing".to_owned());
            report.is_lost = true;
            return Ok(report);
        }
        Err(error) if error.kind() == RemoteErrorKind::Integrity => {
            report.digest = listed_digest(context, version).await?;
            report.fault = Some(CliError::from(error).message().to_owned());
            return Ok(report);
        }
        Err(error) => return Err(error.into()),
    };
    let digest = resolve(context.core, version, &fetched)?;
    report.digest = Some(digest);
    // What is no bundle is listed as such.
    if let Version::Tag(tag) = version
        && let Some(subject) = attachments_of(tag)
    {
        report.fault = Some(format!("signatures or other attachments of {}", subject.short()));
        return Ok(report);
    }
    match read_view(context.core, &fetched.bytes) {
        Ok(view) => {
            let annotation = |key: &str| view.annotations.get(key).cloned();
            report.created = annotation(annotation::CREATED);
            report.tree = annotation(annotation::TREE);
            report.annotations = view.annotations.clone().into_iter().collect();
            match amount(context, OpenedManifest { digest, bytes: fetched.bytes, view }).await {
                Ok((files, size)) => (report.files, report.size) = (Some(files), Some(size)),
                Err(error) => report.fault = Some(CliError::from(error).message().to_owned()),
            }
        }
        Err(error) => report.fault = Some(CliError::from(error).message().to_owned()),
    }
    Ok(report)
}

/// The digest that `version` is or names, as far as that is known without the manifest.
async fn listed_digest(context: Context<'_>, version: &Version) -> Result<Option<Digest>, CliError> {
    match version {
        Version::Digest(digest) => Ok(Some(*digest)),
        Version::Tag(tag) => Ok(context.remote.listed_digest(tag).await?),
    }
}

/// How many files a bundle has, and how many bytes in all.
async fn amount(context: Context<'_>, manifest: OpenedManifest) -> Result<(usize, u64), OpenError> {
    if manifest.view.index.media_type == media_type::INDEX_V1 {
        let layers = manifest.view.layers.iter();
        let titled = layers.filter(|layer| layer.annotations.contains_key(annotation::TITLE));
        return Ok(titled.fold((0, 0), |(files, size), layer| (files + 1, size + layer.size)));
    }
    // Only the index knows; a small one has come along.
    let bundle = open_index(context, manifest).await?;
    Ok((bundle.files().len(), bundle.index_view.total_size))
}

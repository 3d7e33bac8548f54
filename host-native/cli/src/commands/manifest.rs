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

use crate::documents::short;
use crate::error::CliError;
use crate::session::{Needs, Session, configured_or_named};
use crate::ui::{Report, bytes, counted, shown};
use modelops_bundle::bundle::{
    Context, OpenError, OpenedManifest, is_listed, open_index, read_view, resolve,
};
use modelops_bundle::component::answers::ManifestView;
use modelops_bundle::remote::{RemoteError, RemoteErrorKind, Version};
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

/// A bundle that was read, and what else is known of it.
struct ListedManifest {
    report: ManifestReport,
    digest: Option<Digest>,
    annotations: ManifestAnnotations,
    /// Whether the manifest is not there.
    is_lost: bool,
}

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
        let (manifests, annotations): (Vec<_>, Vec<_>) =
            manifests.into_iter().map(|listed| (listed.report, listed.annotations)).unzip();
        let report = ManifestsReport { reference: name, manifests, more, requests };
        session.ui.report(&Listing { report, annotations: args.full.then_some(annotations) })
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
async fn list(context: Context<'_>, versions: Vec<Version>) -> Result<Vec<ListedManifest>, CliError> {
    let read: Vec<(Version, ListedManifest)> = stream::iter(versions)
        .map(async |version| {
            let listed = read(context, &version).await?;
            Ok::<_, CliError>((version, listed))
        })
        .buffered(context.concurrency)
        .try_collect()
        .await?;
    // Tags of unknown manifests may be of different ones.
    let mut grouped: BTreeMap<(Option<Digest>, Option<String>), ListedManifest> = BTreeMap::new();
    for (version, listed) in read {
        let unknown = listed.digest.is_none().then(|| version.to_string());
        let manifest = grouped.entry((listed.digest, unknown)).or_insert(listed);
        if let Version::Tag(tag) = version {
            manifest.report.tags.push(Tag::to_string(&tag));
        }
    }
    let mut manifests: Vec<_> = grouped.into_values().collect();
    manifests.sort_by(|ListedManifest { report: a, .. }, ListedManifest { report: b, .. }| {
        b.created.cmp(&a.created).then_with(|| a.tags.cmp(&b.tags))
    });
    Ok(manifests)
}

/// Reads one manifest that the place lists. One that is lost or damaged is listed as that: it must not hide the others.
async fn read(context: Context<'_>, version: &Version) -> Result<ListedManifest, CliError> {
    let fetched = match context.remote.manifest(version).await {
        Ok(Some(fetched)) => fetched,
        Ok(None) | Err(RemoteError::LostManifest { .. }) => {
            let digest = listed_digest(context, version).await?;
            let fault = "manifest missing".to_owned();
            return Ok(ListedManifest { is_lost: true, ..ListedManifest::faulty(digest, fault) });
        }
        Err(error) if error.kind() == RemoteErrorKind::Integrity => {
            let digest = listed_digest(context, version).await?;
            return Ok(ListedManifest::faulty(digest, CliError::from(error).message().to_owned()));
        }
        Err(error) => return Err(error.into()),
    };
    let digest = resolve(context.core, version, &fetched)?;
    // What is no bundle is listed as such.
    if let Version::Tag(tag) = version
        && let Some(subject) = attachments_of(tag)
    {
        let fault = format!("signatures or other attachments of {}", subject.short());
        return Ok(ListedManifest::faulty(Some(digest), fault));
    }
    let view = match read_view(context.core, &fetched.bytes) {
        Ok(view) => view,
        Err(error) => {
            return Ok(ListedManifest::faulty(Some(digest), CliError::from(error).message().to_owned()));
        }
    };
    let mut listed = ListedManifest::of(digest, &view);
    match amount(context, OpenedManifest { digest, bytes: fetched.bytes, view }).await {
        Ok((files, size)) => (listed.report.files, listed.report.size) = (Some(files), Some(size)),
        Err(error) => listed.report.fault = Some(CliError::from(error).message().to_owned()),
    }
    Ok(listed)
}

impl ListedManifest {
    /// One that no more is known of than why it cannot be read.
    fn faulty(digest: Option<Digest>, fault: String) -> Self {
        let report = ManifestReport {
            digest: digest.map(|digest| digest.to_string()),
            tags: Vec::new(),
            created: None,
            files: None,
            size: None,
            tree: None,
            fault: Some(fault),
        };
        Self { report, digest, annotations: Vec::new(), is_lost: false }
    }

    /// What a manifest says itself.
    fn of(digest: Digest, view: &ManifestView) -> Self {
        let annotation = |key: &str| view.annotations.get(key).cloned();
        let report = ManifestReport {
            digest: Some(digest.to_string()),
            tags: Vec::new(),
            created: annotation(annotation::CREATED),
            files: None,
            size: None,
            tree: annotation(annotation::TREE),
            fault: None,
        };
        let annotations = view.annotations.clone().into_iter().collect();
        Self { report, digest: Some(digest), annotations, is_lost: false }
    }
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

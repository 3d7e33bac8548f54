//! `inspect`: what is in a bundle, how it lies in its place, and what a push would add to it.

use std::io::{self, Write};

use bundle_core::bundle::index::BundleIndex;
use bundle_core::bundle::layout::Layout;
use bundle_core::bundle::manifest::annotation;
use bundle_core::digest::Digest;
use bundle_core::name::reference::{Place, Reference, Tag};
use clap::Args;
use serde::Serialize;

use super::verify::{VerifyReport, verdict};
use crate::error::{CliError, Exit};
use crate::session::{Needs, Session, look};
use crate::subject::subject;
use crate::ui::{Report, bytes, counted, shown};
use modelops_bundle::bundle::{Bundle, Context, OpenError, open, version_of};
use modelops_bundle::inspect::{Other, Sharing, UsedPack, sharing, used_packs};
use modelops_bundle::progress::Work;
use modelops_bundle::push::{Estimate, PushOptions, estimate, open_destination, prepare};
use modelops_bundle::scan::{Scan, Untracked};
use modelops_bundle::transfer::{Copied, Parts, Verification, verify, verify_bundle};
use modelops_bundle::workspace::Workspace;

/// So many lines of a list are shown where nothing else is said.
const LISTED: usize = 20;

/// Show what is in a bundle
///
/// Without a REF it is the bundle of the project's own remote, and what a push of the project as it is now would add to
/// it; nothing is sent.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n\
\x20 modelops-bundle inspect\n\
\x20 modelops-bundle inspect v1.0.0 --files\n\
\x20 modelops-bundle inspect seir.tar --verify")]
pub(crate) struct InspectArgs {
    /// The bundle: a reference, a tag or digest of the project's own remote, a FILE.tar or the folder of an OCI layout
    #[arg(value_name = "REF")]
    reference: Option<String>,
    /// List the packs, and how much of each the bundle needs
    #[arg(long)]
    packs: bool,
    /// List the other bundles of the place, and what they share with this one; one request a tag
    #[arg(long)]
    tags: bool,
    /// List the files
    #[arg(long)]
    files: bool,
    /// Read everything of the bundle and compare it with its digests, as `verify` does
    #[arg(long)]
    verify: bool,
    /// Show what a push of the project would add there; with REF, which is to name a tag
    #[arg(long)]
    push: bool,
    /// List everything; the JSON document always does
    #[arg(long)]
    all: bool,
    /// List at most N packs, bundles and files each
    #[arg(short = 'n', value_name = "N", default_value_t = LISTED)]
    limit: usize,
}

/// The document of `inspect`.
#[derive(Serialize)]
struct InspectReport {
    /// The bundle, as it was named.
    #[serde(rename = "ref")]
    reference: String,
    /// Its fields stand beside `ref`; they are absent where there is no bundle yet that a push would replace, or where
    /// it cannot be read.
    #[serde(flatten)]
    bundle: Option<BundleReport>,
    /// With `--tags`, what the bundles of the place share.
    #[serde(skip_serializing_if = "Option::is_none")]
    tags: Option<SharingReport>,
    /// Where a push was asked about, what it would add.
    #[serde(skip_serializing_if = "Option::is_none")]
    push: Option<PushReport>,
    /// With `--verify`, the document of `verify`.
    #[serde(skip_serializing_if = "Option::is_none")]
    verify: Option<VerifyReport>,
    /// HTTP requests made.
    requests: u64,
    #[serde(skip)]
    limit: usize,
}

/// What is in the bundle.
#[derive(Serialize)]
struct BundleReport {
    /// The digest of its manifest.
    digest: Digest,
    /// The tree digest of its files.
    tree: Digest,
    /// When it was made, as it says itself.
    created: Option<String>,
    /// The version that it was published as.
    version: Option<String>,
    /// What wrote it.
    tool: Option<String>,
    /// `files` or `packed`.
    layout: &'static str,
    /// How many files it has.
    file_count: usize,
    /// The files' bytes.
    size: u64,
    /// What lies in the repository: the distinct blobs, the index among them; the manifest is not counted.
    stored: AmountReport,
    /// The stored bytes as a part of the files' bytes; absent where those are none.
    ratio: Option<f64>,
    /// Absent in layout `files`, and where the tables of the packs cannot be read.
    packs: Option<PacksReport>,
    /// With `--files`, each file, by path.
    #[serde(skip_serializing_if = "Option::is_none")]
    files: Option<Vec<FileReport>>,
}

/// Some blobs.
#[derive(Clone, Copy, Serialize)]
struct AmountReport {
    /// How many.
    blobs: u64,
    /// Their bytes.
    bytes: u64,
}

/// The packs of a bundle.
#[derive(Serialize)]
struct PacksReport {
    /// How many packs there are.
    count: usize,
    /// The chunks in them, whether or not the bundle needs them.
    chunks: u64,
    /// The packs' bytes, with their tables.
    size: u64,
    /// The chunks' bytes, raw.
    raw: u64,
    /// Bytes of frames that the bundle's files need.
    used: u64,
    /// Bytes of frames that they do not need.
    waste: u64,
    /// With `--packs`, each pack.
    #[serde(skip_serializing_if = "Option::is_none")]
    each: Option<Vec<PackReport>>,
}

/// One pack.
#[derive(Serialize)]
struct PackReport {
    /// The pack's own digest.
    digest: Digest,
    /// Its chunks.
    chunks: u32,
    /// Its bytes, with its table.
    size: u64,
    /// Its chunks' bytes, raw.
    raw: u64,
    /// Bytes of frames that are needed.
    used: u64,
    /// Bytes of frames that are not.
    waste: u64,
}

/// One file.
#[derive(Serialize)]
struct FileReport {
    /// Its path.
    path: String,
    /// Its bytes.
    size: u64,
    /// Whether it may be run.
    executable: Option<bool>,
    /// The layer that it belongs to, where the index says so.
    layer: Option<String>,
}

/// What the bundles of the place share.
#[derive(Serialize)]
struct SharingReport {
    /// How many bundles tags name there, this one among them.
    bundles: usize,
    /// The others, the newest first.
    others: Vec<OtherReport>,
    /// The blobs of all of them, each counted once; manifests are not counted.
    held: AmountReport,
    /// What they would have one by one.
    sum: AmountReport,
    /// Tags that name no bundle that can be read.
    unreadable: Vec<String>,
}

/// Another bundle.
#[derive(Serialize)]
struct OtherReport {
    /// The digest of its manifest.
    digest: Digest,
    /// The tags that name it.
    tags: Vec<String>,
    /// When it was made, as it says itself.
    created: Option<String>,
    /// Its blobs.
    stored: AmountReport,
    /// Those of them that this bundle has too.
    shared: AmountReport,
}

/// What a push would add.
#[derive(Serialize)]
struct PushReport {
    /// The tag that it would be pushed to.
    tag: String,
    /// The layout of the new bundle.
    layout: &'static str,
    /// Files that are not there yet.
    added: u64,
    /// Files that are there with other content.
    changed: u64,
    /// Files that would go.
    deleted: u64,
    /// Files where it would undo what others did.
    overwritten: usize,
    /// Blobs that would be sent; in layout `packed`, new packs.
    blobs: u64,
    /// In layout `packed`, chunks that no pack has yet.
    chunks: u64,
    /// The bytes of what is new.
    raw: u64,
    /// The same as they would be sent; the tables of new packs come on top.
    stored: u64,
}

impl From<Copied> for AmountReport {
    fn from(copied: Copied) -> Self {
        Self { blobs: copied.blobs, bytes: copied.bytes }
    }
}

impl std::fmt::Display for AmountReport {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} in {}", bytes(self.bytes), counted(self.blobs as usize, "blob"))
    }
}

impl Report for InspectReport {
    fn write_text(&self, out: &mut dyn Write) -> io::Result<()> {
        let missing = if self.bundle.is_none() && self.verify.is_none() { ": no bundle yet" } else { "" };
        writeln!(out, "{}{missing}", shown(&self.reference))?;
        if let Some(bundle) = &self.bundle {
            bundle.write_text(out, self.limit)?;
        }
        if let Some(tags) = &self.tags {
            tags.write_text(out, self.limit)?;
        }
        if let Some(push) = &self.push {
            push.write_text(out)?;
        }
        if let Some(verify) = &self.verify {
            writeln!(out, "\nVerification:")?;
            verify.write_text(out)?;
        }
        Ok(())
    }
}

impl BundleReport {
    fn write_text(&self, out: &mut dyn Write, limit: usize) -> io::Result<()> {
        writeln!(out, "  digest   {}", self.digest)?;
        writeln!(out, "  tree     {}", self.tree)?;
        for (name, text) in [("created", &self.created), ("version", &self.version), ("tool", &self.tool)] {
            if let Some(text) = text {
                writeln!(out, "  {name:<8} {}", shown(text))?;
            }
        }
        writeln!(out, "  layout   {}", self.layout)?;
        writeln!(out, "  files    {}, {}", self.file_count, bytes(self.size))?;
        write!(out, "  stored   {}", self.stored)?;
        match self.ratio {
            Some(ratio) if ratio <= 1.0 => writeln!(out, ", {:.1} % of the files", ratio * 100.0)?,
            // What describes small files is more than they are.
            Some(_) | None => writeln!(out)?,
        }
        if let Some(packs) = &self.packs {
            packs.write_text(out, limit)?;
        }
        if let Some(files) = &self.files {
            writeln!(out, "\nFiles:")?;
            files.iter().take(limit).try_for_each(|file| file.write_text(out))?;
            write_more(out, files.len(), limit)?;
        }
        Ok(())
    }
}

impl PacksReport {
    fn write_text(&self, out: &mut dyn Write, limit: usize) -> io::Result<()> {
        let Self { count, chunks, size, raw, used, waste, each } = self;
        let chunks = counted(*chunks as usize, "chunk");
        let (size, raw) = (bytes(*size), bytes(*raw));
        let (used, waste) = (bytes(*used), bytes(*waste));
        writeln!(out, "  packs    {count} with {chunks}: {size}, {raw} raw; {used} needed, {waste} waste")?;
        let Some(each) = each else { return Ok(()) };
        writeln!(out, "\nPacks:")?;
        for pack in each.iter().take(limit) {
            let chunks = counted(pack.chunks as usize, "chunk");
            let (size, raw) = (bytes(pack.size), bytes(pack.raw));
            let (used, waste) = (bytes(pack.used), bytes(pack.waste));
            writeln!(
                out,
                "  {}  {chunks}: {size}, {raw} raw; {used} needed, {waste} waste",
                pack.digest.short()
            )?;
        }
        write_more(out, each.len(), limit)
    }
}

impl FileReport {
    fn write_text(&self, out: &mut dyn Write) -> io::Result<()> {
        let mode = if self.executable == Some(true) { ", executable" } else { "" };
        let layer = self.layer.as_ref().map(|layer| format!(", layer {}", shown(layer))).unwrap_or_default();
        writeln!(out, "  {}  {}{mode}{layer}", shown(&self.path), bytes(self.size))
    }
}

impl SharingReport {
    fn write_text(&self, out: &mut dyn Write, limit: usize) -> io::Result<()> {
        let bundles = counted(self.bundles, "bundle");
        writeln!(out, "\nTags: {bundles} with {}, one by one {}", self.held, self.sum)?;
        for other in self.others.iter().take(limit) {
            let created = other.created.as_deref().unwrap_or("-");
            let (short, tags) = (other.digest.short(), other.tags.join(", "));
            writeln!(
                out,
                "  {short}  {tags}  {}  shares {} of {}",
                shown(created),
                other.shared,
                other.stored
            )?;
        }
        write_more(out, self.others.len(), limit)?;
        match self.unreadable.is_empty() {
            true => Ok(()),
            false => writeln!(out, "  no bundle that can be read: {}", self.unreadable.join(", ")),
        }
    }
}

impl PushReport {
    fn write_text(&self, out: &mut dyn Write) -> io::Result<()> {
        let Self { added, changed, deleted, .. } = self;
        writeln!(out, "\nA push to {}, layout {}:", self.tag, self.layout)?;
        writeln!(out, "  files    {added} added, {changed} changed, {deleted} deleted")?;
        if self.overwritten > 0 {
            writeln!(out, "  undoes   what others did to {}", counted(self.overwritten, "file"))?;
        }
        let sent = AmountReport { blobs: self.blobs, bytes: self.stored };
        if self.chunks == 0 {
            return writeln!(out, "  sends    {sent}");
        }
        let (chunks, raw) = (counted(self.chunks as usize, "new chunk"), bytes(self.raw));
        writeln!(out, "  sends    {sent}: {chunks}, {raw} raw")
    }
}

fn write_more(out: &mut dyn Write, count: usize, limit: usize) -> io::Result<()> {
    match count.saturating_sub(limit) {
        0 => Ok(()),
        more => writeln!(out, "  and {more} more: see --all or -n"),
    }
}

pub(crate) fn run(session: &Session<'_>, args: &InspectArgs) -> Result<(), CliError> {
    let workspace = match (&args.reference, args.push) {
        (Some(text), false) => session.workspace_for(text, Needs::Bundle)?,
        _ => Some(session.workspace()?),
    };
    let reference = subject(session, args.reference.as_deref(), workspace.as_ref())?;
    let core = session.core()?;
    let remote = session.remote(&reference)?;
    let context = session.context(&core, remote.as_ref());
    let push = Push::wanted(session, args, workspace.as_ref(), &reference)?;
    let (mut report, found) = session.runtime()?.block_on(async {
        let (push, bundle) = match push {
            Some(push) => {
                let (push, bundle) = push.estimate(context, &reference).await?;
                (Some(push), Ok(bundle))
            }
            None => (None, open(context, &version_of(&reference)).await),
        };
        gather(context, args, workspace.as_ref(), &reference, push, bundle).await
    })?;
    report.requests = remote.requests();
    match found.and_then(|found| verdict(&reference, &found)) {
        None => session.ui.report(&report),
        Some(failure) => Err(session.ui.report_failed(&report, failure)),
    }
}

/// A push that is asked about: of what, and where to.
struct Push<'a> {
    workspace: &'a Workspace,
    tag: Tag,
    scan: Scan,
}

impl<'a> Push<'a> {
    fn wanted(
        session: &Session<'_>,
        args: &InspectArgs,
        workspace: Option<&'a Workspace>,
        reference: &Reference,
    ) -> Result<Option<Self>, CliError> {
        let Some(workspace) = workspace.filter(|_| args.push || args.reference.is_none()) else {
            return Ok(None);
        };
        let Some(tag) = reference.tag.clone() else {
            return Err(
                CliError::new(Exit::Usage, "a push goes to a tag").hint("name one instead of a digest")
            );
        };
        let is_archive = matches!(reference.place, Place::Archive { .. });
        let has_nothing = workspace.tracked.is_empty() && workspace.state.last_synced.is_empty();
        if !args.push && (is_archive || has_nothing) {
            return Ok(None);
        }
        Ok(Some(Self {
            workspace,
            tag,
            scan: look(workspace, &[], Untracked::Skip, session.ui.progress().as_ref())?,
        }))
    }

    /// What the push would add, and to which bundle.
    async fn estimate(
        self,
        context: Context<'_>,
        reference: &Reference,
    ) -> Result<(PushReport, Option<Bundle>), CliError> {
        let Self { workspace, tag, scan } = self;
        let tags = std::slice::from_ref(&tag);
        let destination =
            open_destination(context, workspace, reference, tags, PushOptions::default()).await?;
        let prepared = prepare(context, workspace, destination, scan.into())?;
        let found = estimate(context, &workspace.project, &prepared).await?;
        let Estimate { added, changed, deleted, blobs, chunks, raw, stored, .. } = found;
        let report = PushReport {
            tag: tag.to_string(),
            layout: layout_name(prepared.layout),
            added,
            changed,
            deleted,
            overwritten: prepared.plan.decision.unseen.len(),
            blobs,
            chunks,
            raw,
            stored,
        };
        Ok((report, prepared.destination.replaces))
    }
}

async fn gather(
    context: Context<'_>,
    args: &InspectArgs,
    workspace: Option<&Workspace>,
    reference: &Reference,
    push: Option<PushReport>,
    opened: Result<Option<Bundle>, OpenError>,
) -> Result<(InspectReport, Option<Verification>), CliError> {
    let bundle = match opened {
        // What is wrong with it is what verifying tells.
        Err(_) if args.verify => None,
        opened => opened?,
    };
    if bundle.is_none() && push.is_none() && !args.verify {
        return Err(CliError::no_bundle(reference));
    }
    let found = match (&bundle, args.verify) {
        (_, false) => None,
        (Some(bundle), true) => Some(verify_bundle(context, Work::Download, bundle).await?),
        (None, true) => {
            let found = verify(context, &version_of(reference)).await?;
            Some(found.ok_or_else(|| CliError::no_bundle(reference))?)
        }
    };
    let name = reference.to_string();
    let mut report = InspectReport {
        reference: name.clone(),
        bundle: None,
        tags: None,
        push,
        verify: found.as_ref().map(|found| VerifyReport::of(name, found, context.remote.requests())),
        requests: 0,
        limit: if args.all { usize::MAX } else { args.limit },
    };
    if let Some(bundle) = &bundle {
        report.bundle = Some(describe(context, args, workspace, reference, bundle).await?);
        if args.tags {
            report.tags = Some(SharingReport::of(sharing(context, bundle).await?));
        }
    }
    Ok((report, found))
}

async fn describe(
    context: Context<'_>,
    args: &InspectArgs,
    workspace: Option<&Workspace>,
    reference: &Reference,
    bundle: &Bundle,
) -> Result<BundleReport, CliError> {
    let is_own = |workspace: &&Workspace| {
        workspace.default_reference().is_some_and(|default| default.place == reference.place)
    };
    let project = workspace.filter(is_own).map(|workspace| &workspace.project);
    let (manifest, index) = (&bundle.manifest_view, &bundle.index_view);
    let packs = match index.layout {
        Layout::Files => None,
        Layout::Packed => {
            match used_packs(project.map_or(context, |project| context.with_cache(project)), bundle).await {
                Err(_) if args.verify => None,
                packs => Some(PacksReport::of(&packs?, args.packs)),
            }
        }
    };
    let stored = Parts::of(bundle).sum();
    let annotation = |key: &str| manifest.annotations.get(key).cloned();
    Ok(BundleReport {
        digest: bundle.digest,
        tree: index.tree,
        created: annotation(annotation::CREATED),
        version: annotation(annotation::VERSION),
        tool: annotation(annotation::TOOL),
        layout: layout_name(index.layout),
        file_count: index.files.len(),
        size: index.total_size,
        stored: stored.into(),
        ratio: ratio(stored.bytes, index.total_size),
        packs,
        files: if args.files { Some(files(bundle)?) } else { None },
    })
}

fn layout_name(layout: Layout) -> &'static str {
    match layout {
        Layout::Files => "files",
        Layout::Packed => "packed",
    }
}

/// To four digits: more would only look exact.
fn ratio(stored: u64, size: u64) -> Option<f64> {
    (size > 0).then(|| (stored as f64 / size as f64 * 10_000.0).round() / 10_000.0)
}

fn files(bundle: &Bundle) -> Result<Vec<FileReport>, CliError> {
    let Some(text) = &bundle.carried else {
        // An index that says nothing beyond files names no layers either.
        let report = |file: &bundle_core::file::File| FileReport {
            path: file.path.to_string(),
            size: file.size,
            executable: file.executable,
            layer: None,
        };
        return Ok(bundle.files().iter().map(report).collect());
    };
    let index = BundleIndex::parse(text.as_bytes()).map_err(OpenError::from)?;
    let report = |entry: &bundle_core::bundle::index::Entry| FileReport {
        path: entry.file.path.to_string(),
        size: entry.file.size,
        executable: entry.file.executable,
        layer: entry.other.get("layer").and_then(|layer| layer.as_str()).map(str::to_owned),
    };
    Ok(index.entries.iter().map(report).collect())
}

impl PacksReport {
    fn of(packs: &[UsedPack], lists_each: bool) -> Self {
        let each = packs.iter().map(PackReport::of);
        Self {
            count: packs.len(),
            chunks: packs.iter().map(|used| u64::from(used.pack.chunks)).sum(),
            size: packs.iter().map(|used| used.pack.size).sum(),
            raw: packs.iter().map(|used| used.pack.raw).sum(),
            used: packs.iter().map(|used| used.used).sum(),
            waste: packs.iter().map(UsedPack::waste).sum(),
            each: lists_each.then(|| each.collect()),
        }
    }
}

impl PackReport {
    fn of(used: &UsedPack) -> Self {
        let (pack, waste) = (&used.pack, used.waste());
        let (digest, chunks, size, raw) = (pack.digest, pack.chunks, pack.size, pack.raw);
        Self { digest, chunks, size, raw, used: used.used, waste }
    }
}

impl SharingReport {
    fn of(sharing: Sharing) -> Self {
        let Sharing { others, held, sum, unreadable } = sharing;
        Self {
            bundles: others.len() + 1,
            others: others.into_iter().map(OtherReport::of).collect(),
            held: held.into(),
            sum: sum.into(),
            unreadable: unreadable.iter().map(ToString::to_string).collect(),
        }
    }
}

impl OtherReport {
    fn of(other: Other) -> Self {
        let Other { digest, tags, created, blobs, shared } = other;
        let tags = tags.iter().map(ToString::to_string).collect();
        Self { digest, tags, created, stored: blobs.into(), shared: shared.into() }
    }
}

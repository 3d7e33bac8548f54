//! `inspect`: what is in a bundle, how it lies in its place, and what a push would add to it.

use std::io::{self, Write};

use bundle_core::bundle::index::BundleIndex;
use bundle_core::bundle::layout::Layout;
use bundle_core::bundle::manifest::annotation;
use bundle_core::name::reference::{Place, Reference, Tag};
use clap::Args;
use serde::Serialize;

use super::verify::{verdict, verified};
use crate::documents::short;
use crate::error::{CliError, Exit};
use crate::session::{Needs, Session};
use crate::subject::subject;
use crate::traffic::blobs;
use crate::ui::{Report, bytes, counted, shown};
use modelops_bundle::bundle::{Bundle, Context, OpenError, open, version_of};
use modelops_bundle::inspect::{Other, Sharing, UsedPack, sharing, used_packs};
use modelops_bundle::progress::Work;
use modelops_bundle::push::{Estimate, PushOptions, estimate, open_destination, prepare};
use modelops_bundle::scan::{Scan, Untracked};
use modelops_bundle::transfer::{Parts, Verification, verify, verify_bundle};
use modelops_bundle::workspace::Workspace;
use modelops_bundle_report::{
    BlobsReport, BundleFileReport, BundleReport, EstimateReport, InspectReport, OtherBundleReport,
    PackReport, PacksReport, SharingReport,
};

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

/// The document, and how much of its lists people read.
#[derive(Serialize)]
#[serde(transparent)]
struct Inspected {
    report: InspectReport,
    #[serde(skip)]
    limit: usize,
}

fn in_words(amount: BlobsReport) -> String {
    format!("{} in {}", bytes(amount.bytes), counted(amount.blobs as usize, "blob"))
}

impl Report for Inspected {
    fn write_text(&self, out: &mut dyn Write) -> io::Result<()> {
        let InspectReport { reference, bundle, tags, push, verify, .. } = &self.report;
        let missing = if bundle.is_none() && verify.is_none() { ": no bundle yet" } else { "" };
        writeln!(out, "{}{missing}", shown(reference))?;
        if let Some(bundle) = bundle {
            write_bundle(bundle, out, self.limit)?;
        }
        if let Some(tags) = tags {
            write_sharing(tags, out, self.limit)?;
        }
        if let Some(push) = push {
            write_push(push, out)?;
        }
        if let Some(verify) = verify {
            writeln!(out, "\nVerification:")?;
            verify.write_text(out)?;
        }
        Ok(())
    }
}

fn write_bundle(bundle: &BundleReport, out: &mut dyn Write, limit: usize) -> io::Result<()> {
    writeln!(out, "  digest   {}", bundle.digest)?;
    writeln!(out, "  tree     {}", bundle.tree)?;
    for (name, text) in [("created", &bundle.created), ("version", &bundle.version), ("tool", &bundle.tool)] {
        if let Some(text) = text {
            writeln!(out, "  {name:<8} {}", shown(text))?;
        }
    }
    writeln!(out, "  layout   {}", bundle.layout)?;
    writeln!(out, "  files    {}, {}", bundle.file_count, bytes(bundle.size))?;
    write!(out, "  stored   {}", in_words(bundle.stored))?;
    match bundle.ratio {
        Some(ratio) if ratio <= 1.0 => writeln!(out, ", {:.1} % of the files", ratio * 100.0)?,
        // What describes small files is more than they are.
        Some(_) | None => writeln!(out)?,
    }
    if let Some(packs) = &bundle.packs {
        write_packs(packs, out, limit)?;
    }
    if let Some(files) = &bundle.files {
        writeln!(out, "\nFiles:")?;
        files.iter().take(limit).try_for_each(|file| write_file(file, out))?;
        write_more(out, files.len(), limit)?;
    }
    Ok(())
}

fn write_packs(packs: &PacksReport, out: &mut dyn Write, limit: usize) -> io::Result<()> {
    let PacksReport { count, chunks, size, raw, used, waste, each } = packs;
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
            short(&pack.digest)
        )?;
    }
    write_more(out, each.len(), limit)
}

fn write_file(file: &BundleFileReport, out: &mut dyn Write) -> io::Result<()> {
    let mode = if file.executable == Some(true) { ", executable" } else { "" };
    let layer = file.layer.as_ref().map(|layer| format!(", layer {}", shown(layer))).unwrap_or_default();
    writeln!(out, "  {}  {}{mode}{layer}", shown(&file.path), bytes(file.size))
}

fn write_sharing(sharing: &SharingReport, out: &mut dyn Write, limit: usize) -> io::Result<()> {
    let bundles = counted(sharing.bundles, "bundle");
    writeln!(out, "\nTags: {bundles} with {}, one by one {}", in_words(sharing.held), in_words(sharing.sum))?;
    for other in sharing.others.iter().take(limit) {
        let created = other.created.as_deref().unwrap_or("-");
        let (digest, tags) = (short(&other.digest), other.tags.join(", "));
        let (shared, stored) = (in_words(other.shared), in_words(other.stored));
        writeln!(out, "  {digest}  {tags}  {}  shares {shared} of {stored}", shown(created))?;
    }
    write_more(out, sharing.others.len(), limit)?;
    match sharing.unreadable.is_empty() {
        true => Ok(()),
        false => writeln!(out, "  no bundle that can be read: {}", sharing.unreadable.join(", ")),
    }
}

fn write_push(push: &EstimateReport, out: &mut dyn Write) -> io::Result<()> {
    let EstimateReport { added, changed, deleted, .. } = push;
    writeln!(out, "\nA push to {}, layout {}:", push.tag, push.layout)?;
    writeln!(out, "  files    {added} added, {changed} changed, {deleted} deleted")?;
    if push.overwritten > 0 {
        writeln!(out, "  undoes   what others did to {}", counted(push.overwritten, "file"))?;
    }
    let sent = in_words(BlobsReport { blobs: push.blobs, bytes: push.stored });
    if push.chunks == 0 {
        return writeln!(out, "  sends    {sent}");
    }
    let (chunks, raw) = (counted(push.chunks as usize, "new chunk"), bytes(push.raw));
    writeln!(out, "  sends    {sent}: {chunks}, {raw} raw")
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
    let (mut inspected, found) = session.runtime()?.block_on(async {
        let (push, bundle) = match push {
            Some(push) => {
                let (push, bundle) = push.estimate(context, &reference).await?;
                (Some(push), Ok(bundle))
            }
            None => (None, open(context, &version_of(&reference)).await),
        };
        gather(context, args, workspace.as_ref(), &reference, push, bundle).await
    })?;
    inspected.report.requests = remote.requests();
    match found.and_then(|found| verdict(&reference, &found)) {
        None => session.ui.report(&inspected),
        Some(failure) => Err(session.ui.report_failed(&inspected, failure)),
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
            scan: workspace.look(&[], Untracked::Skip, session.ui.progress().as_ref())?,
        }))
    }

    /// What the push would add, and to which bundle.
    async fn estimate(
        self,
        context: Context<'_>,
        reference: &Reference,
    ) -> Result<(EstimateReport, Option<Bundle>), CliError> {
        let Self { workspace, tag, scan } = self;
        let tags = std::slice::from_ref(&tag);
        let destination =
            open_destination(context, workspace, reference, tags, PushOptions::default()).await?;
        let prepared = prepare(context, workspace, destination, scan.into())?;
        let found = estimate(context, &workspace.project, &prepared).await?;
        let Estimate { added, changed, deleted, blobs, chunks, raw, stored, .. } = found;
        let report = EstimateReport {
            tag: tag.to_string(),
            layout: layout_name(prepared.layout).into(),
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
    push: Option<EstimateReport>,
    opened: Result<Option<Bundle>, OpenError>,
) -> Result<(Inspected, Option<Verification>), CliError> {
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
        verify: found.as_ref().map(|found| verified(name, found, context.remote.requests())),
        requests: 0,
    };
    if let Some(bundle) = &bundle {
        report.bundle = Some(describe(context, args, workspace, reference, bundle).await?);
        if args.tags {
            report.tags = Some(shared(sharing(context, bundle).await?));
        }
    }
    let limit = if args.all { usize::MAX } else { args.limit };
    Ok((Inspected { report, limit }, found))
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
                packs => Some(packs_report(&packs?, args.packs)),
            }
        }
    };
    let stored = Parts::of(bundle).sum();
    let annotation = |key: &str| manifest.annotations.get(key).cloned();
    Ok(BundleReport {
        digest: bundle.digest.to_string(),
        tree: index.tree.to_string(),
        created: annotation(annotation::CREATED),
        version: annotation(annotation::VERSION),
        tool: annotation(annotation::TOOL),
        layout: layout_name(index.layout).into(),
        file_count: index.files.len(),
        size: index.total_size,
        stored: blobs(stored),
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

fn files(bundle: &Bundle) -> Result<Vec<BundleFileReport>, CliError> {
    let Some(text) = &bundle.carried else {
        // An index that says nothing beyond files names no layers either.
        let report = |file: &bundle_core::file::File| BundleFileReport {
            path: file.path.to_string(),
            size: file.size,
            executable: file.executable,
            layer: None,
        };
        return Ok(bundle.files().iter().map(report).collect());
    };
    let index = BundleIndex::parse(text.as_bytes()).map_err(OpenError::from)?;
    let report = |entry: &bundle_core::bundle::index::Entry| BundleFileReport {
        path: entry.file.path.to_string(),
        size: entry.file.size,
        executable: entry.file.executable,
        layer: entry.other.get("layer").and_then(|layer| layer.as_str()).map(str::to_owned),
    };
    Ok(index.entries.iter().map(report).collect())
}

fn packs_report(packs: &[UsedPack], lists_each: bool) -> PacksReport {
    let each = packs.iter().map(pack_report);
    PacksReport {
        count: packs.len(),
        chunks: packs.iter().map(|used| u64::from(used.pack.chunks)).sum(),
        size: packs.iter().map(|used| used.pack.size).sum(),
        raw: packs.iter().map(|used| used.pack.raw).sum(),
        used: packs.iter().map(|used| used.used).sum(),
        waste: packs.iter().map(UsedPack::waste).sum(),
        each: lists_each.then(|| each.collect()),
    }
}

fn pack_report(used: &UsedPack) -> PackReport {
    let (pack, waste) = (&used.pack, used.waste());
    let (digest, chunks, size, raw) = (pack.digest.to_string(), pack.chunks, pack.size, pack.raw);
    PackReport { digest, chunks, size, raw, used: used.used, waste }
}

fn shared(sharing: Sharing) -> SharingReport {
    let Sharing { others, held, sum, unreadable } = sharing;
    SharingReport {
        bundles: others.len() + 1,
        others: others.into_iter().map(other_bundle).collect(),
        held: blobs(held),
        sum: blobs(sum),
        unreadable: unreadable.iter().map(ToString::to_string).collect(),
    }
}

fn other_bundle(other: Other) -> OtherBundleReport {
    let tags = other.tags.iter().map(ToString::to_string).collect();
    let (stored, shared) = (blobs(other.blobs), blobs(other.shared));
    OtherBundleReport { digest: other.digest.to_string(), tags, created: other.created, stored, shared }
}

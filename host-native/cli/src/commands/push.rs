//! `push`: makes the remote's bundle equal to the project.

use std::collections::BTreeSet;
use std::io::{self, Write};
use std::sync::Arc;

use bundle_core::bundle::layout::Layout;
use bundle_core::file::File;
use bundle_core::name::file_names::{FileSystem, Unfit, unfit};
use bundle_core::name::path::BundlePath;
use bundle_core::name::reference::Tag;
use bundle_core::plan::layout::MAX_FILES_FOR_PYTHON;
use bundle_core::plan::version::{Bump, Version};
use clap::Args;

use crate::args::{BumpArg, Execution, ExpectedArg};
use crate::documents::seen;
use crate::error::{CliError, Exit, settle_places, two_places};
use crate::kept_settings::tell_passed_over;
use crate::session::{Session, configured, refuse_archive};
use crate::traffic::{blobs, traffic};
use crate::ui::{Report, bytes, counted, list, shown};
use modelops_bundle::author::author;
use modelops_bundle::bundle::Bundle;
use modelops_bundle::clock::creation_time;
use modelops_bundle::push::{
    Destination, Estimate, Force, Further, PlannedVersion, PreparedPush, PushOptions, Pushed, SentAhead,
    Unbuilt, UnseenBundle, UploadRecord, apply, check, estimate, find_highest, look_and_pack, next_files,
    open_destination, plan_version, prepare, sent_paths,
};
use modelops_bundle::scan::Untracked;
use modelops_bundle::threads::begin_on_disk;
use modelops_bundle::transfer::Copied;
use modelops_bundle_report::{PushReport, UploadedReport};

/// As many names that some system cannot hold are warned of one by one.
const WARNED_NAMES: usize = 10;

/// Make the remote's bundle equal to the project
///
/// Sends what the remote lacks, then moves the tag, if it still names what it named when the push began. Files that
/// were deleted here are dropped there.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n\
\x20 modelops-bundle push\n\
\x20 modelops-bundle push --tag v1.0.0 --tag latest\n\
\x20 modelops-bundle push --bump auto --dry-run")]
pub(crate) struct PushArgs {
    /// The tag to push to, once or several times; the project's default tag otherwise
    #[arg(short, long = "tag", value_name = "TAG")]
    tags: Vec<String>,
    /// Publish a version too, one after the highest among the remote's tags; the first one is 0.1.0
    ///
    /// `auto` compares with the highest version: deletions make a major version, additions a minor one, other changes a
    /// patch. Where nothing differs from it, nothing is written.
    #[arg(long, value_name = "KIND")]
    bump: Option<BumpArg>,
    /// Let this tree become the bundle whatever the tag names, for CI: undo what others changed, and drop what is not here
    #[arg(long)]
    replace: bool,
    /// Like --replace; also move a tag that somebody moves meanwhile, and send again what the remote has lost or damaged
    #[arg(short, long)]
    force: bool,
    /// Push only where the tag names this bundle, or nothing; it then counts as seen
    #[arg(long, value_name = "DIGEST|absent")]
    expect: Option<ExpectedArg>,
    /// Show what would be pushed, and send nothing
    #[arg(short = 'n', long)]
    dry_run: bool,
}

impl Report for PushReport {
    fn is_account(&self) -> bool {
        !self.dry_run
    }

    fn write_text(&self, out: &mut dyn Write) -> io::Result<()> {
        let tags = self.tags.join(", ");
        if !self.changed {
            writeln!(out, "Nothing to push: {} has this tree already, as {tags}", self.reference)?;
        } else if self.dry_run {
            list(out, "would send", &self.upload)?;
            list(out, "would drop", &self.deleted)?;
            writeln!(out, "Would push to {}, tag {tags}: {}", self.reference, traffic_in_words(self))?;
        } else {
            list(out, "dropped", &self.deleted)?;
            writeln!(out, "Pushed to {}, tag {tags}: {}", self.reference, traffic_in_words(self))?;
        }
        if let Some(digest) = &self.digest {
            writeln!(out, "  bundle {digest}")?;
        }
        writeln!(out, "  tree   {}", self.tree)
    }
}

/// What was, or would be, sent and mounted, in words.
fn traffic_in_words(report: &PushReport) -> String {
    let UploadedReport { files, blobs, bytes: size } = report.uploaded;
    let sent = || {
        let (files, blobs) = (counted(files, "file"), counted(blobs as usize, "blob"));
        format!("{files} in {blobs}, {}", bytes(size))
    };
    traffic((blobs > 0).then(sent), report.mounted)
}

pub(crate) fn run(session: &Session<'_>, args: &PushArgs) -> Result<(), CliError> {
    let ((lock, mut workspace), core) = session.core_beside(|| session.locked_workspace("push"))?;
    let reference = configured(&workspace)?;
    refuse_archive(&reference)?;
    if let Some(pinned) =
        session.pinned(&workspace.project, &workspace.config).filter(|pinned| !pinned.agrees)
    {
        return Err(CliError::new(Exit::Conflict, two_places(&pinned))
            .hint(format!("{}; nothing was sent", settle_places(&pinned))));
    }
    let tags = tags(args, reference.tag.as_ref())?;
    let bump = args.bump.map(Bump::from);
    if bump.is_some() {
        refuse_versions(&tags)?;
    }
    if workspace.tracked.is_empty() && workspace.state.last_synced.is_empty() {
        return Err(CliError::new(Exit::Usage, "nothing is tracked, so there is nothing to push")
            .hint("track files with `modelops-bundle add PATH`"));
    }
    // What is not UTF-8 is no number either, and must not count as not set.
    let source_date_epoch =
        std::env::var_os("SOURCE_DATE_EPOCH").map(|text| text.to_string_lossy().into_owned());
    let created = creation_time(source_date_epoch.as_deref())
        .map_err(|error| CliError::new(Exit::Usage, format_args!("SOURCE_DATE_EPOCH: {error}")))?;
    let last = workspace.state.synced_ref.as_ref().map(|last| last.place.clone());
    let record = Arc::new(UploadRecord::read(&lock));
    let remote = session.remote_to_push(&reference, last.as_ref(), record)?;
    let context = session.context(&core, remote.as_ref()).with_cache(lock.project());
    let options = PushOptions {
        force: if args.force { Force::Yes } else { Force::No },
        unbuilt: if args.replace { Unbuilt::Replace } else { Unbuilt::Stop },
        expected: args.expect.map(|ExpectedArg(expected)| expected),
    };
    let execution = Execution::of(args.dry_run);
    let is_named = execution == Execution::Apply && source_date_epoch.is_none();
    let report = session.runtime()?.block_on(async {
        let look_here = || workspace.look(&[], Untracked::Skip, session.ui.progress().as_ref());
        let (destination, found, ahead) = match (execution, bump) {
            (_, Some(bump)) => {
                let mut destination =
                    open_destination(context, &workspace, &reference, &tags, options).await?;
                // Nothing is sent before it is known whether there is anything to publish.
                let mut found = look_here()?;
                if let Some(bundle) = &destination.replaces {
                    found.recall_modes(&workspace.project, &workspace.state.last_synced, bundle.files());
                }
                let highest = find_highest(context).await?;
                let files = next_files(&workspace, &destination, &found)?;
                match plan_version(context, highest, &files, bump)? {
                    PlannedVersion::Publish(tag) => destination.version = Some(tag),
                    PlannedVersion::Unchanged { tag, bundle } => {
                        let place = reference.without_version().to_string();
                        return Ok(published(place, &tag, &bundle, execution, remote.requests()));
                    }
                }
                (destination, found.into(), SentAhead::default())
            }
            (Execution::DryRun, None) => {
                let destination = open_destination(context, &workspace, &reference, &tags, options).await?;
                (destination, look_here()?.into(), SentAhead::default())
            }
            (Execution::Apply, None) => {
                look_and_pack(context, &lock, &workspace, &reference, &tags, options).await?
            }
        };
        let ask_for_author = || {
            let (root, config) = (workspace.root().to_owned(), workspace.config.clone());
            begin_on_disk(move || author(&root, &config))
        };
        // It may have to be asked of git, beside what is left to decide where it is known that it will be needed.
        let asked = (is_named && ahead.has_begun()).then(ask_for_author);
        let mut prepared = prepare(context, &workspace, destination, found)?;
        check(context, &prepared)?;
        if is_named && prepared.plan.decision.changed {
            prepared.lineage.author = asked.unwrap_or_else(ask_for_author).await.unwrap_or_default();
        }
        warn_of_what_is_undone(session, &prepared);
        tell_lost(session, &prepared);
        warn_of_names(session, &prepared);
        warn_of_layout(session, &prepared);
        if prepared.plan.decision.changed {
            tell_passed_over(session, &workspace.config, prepared.files());
        }
        let mut report = planned(&reference.without_version().to_string(), &prepared);
        if execution == Execution::DryRun {
            if report.changed {
                remote.foresee_writing().await?;
            }
            let foreseen = estimate(context, lock.project(), &prepared).await?;
            estimated(&mut report, &prepared, &foreseen);
        }
        if execution == Execution::Apply {
            let pushed = apply(context, &lock, &mut workspace, &reference, prepared, ahead, &created).await?;
            session.warn_of_unconfirmed(&pushed.unconfirmed);
            done(&mut report, &pushed);
        }
        report.requests = remote.requests();
        Ok::<_, CliError>(report)
    })?;
    session.ui.report(&report)
}

fn tags(args: &PushArgs, default: Option<&Tag>) -> Result<Vec<Tag>, CliError> {
    let mut tags: Vec<Tag> = args.tags.iter().map(|tag| tag.parse()).collect::<Result<_, _>>()?;
    if tags.is_empty() {
        tags.extend(default.cloned());
    }
    Ok(tags)
}

/// What `--bump` writes beside the version has to be a tag that can move.
fn refuse_versions(tags: &[Tag]) -> Result<(), CliError> {
    let Some(tag) = tags.iter().find(|tag| Version::of(tag).is_some()) else { return Ok(()) };
    let message = format_args!(
        "--bump chooses the version, so that the tag `{tag}`, which is one, cannot be pushed too"
    );
    Err(CliError::new(Exit::Usage, message)
        .hint("name the tag that is to follow the versions, as in --tag latest; or push without --bump"))
}

/// The report of a push that found its tree to be published.
fn published(
    reference: String,
    tag: &Tag,
    bundle: &Bundle,
    execution: Execution,
    requests: u64,
) -> PushReport {
    PushReport {
        reference,
        digest: Some(bundle.digest.to_string()),
        index: Some(bundle.manifest_view.index.digest.to_string()),
        tree: bundle.index_view.tree.to_string(),
        tags: vec![tag.to_string()],
        version: Some(tag.to_string()),
        layout: bundle.index_view.layout.name().into(),
        layout_before: Some(bundle.index_view.layout.name().into()),
        changed: false,
        uploaded: UploadedReport { files: 0, blobs: 0, bytes: 0 },
        mounted: blobs(Copied::default()),
        deleted: Vec::new(),
        replaced: Vec::new(),
        overwritten: Vec::new(),
        unseen: Vec::new(),
        requests,
        dry_run: execution == Execution::DryRun,
        upload: Vec::new(),
    }
}

/// Warns of changes by others that this push undoes, bundle by bundle.
fn warn_of_what_is_undone(session: &Session<'_>, prepared: &PreparedPush) {
    for UnseenBundle { tag, named, changes, .. } in &prepared.unseen {
        session.ui.warning(format_args!(
            "this undoes {} of {tag} that this project is not built on; the bundle before may be dropped by this registry: \
             `modelops-bundle tag @{} keep` keeps it",
            counted(changes.len(), "change"),
            named.digest
        ));
    }
}

/// Says that the place has lost or damaged some of the bundle, which is sent again.
fn tell_lost(session: &Session<'_>, prepared: &PreparedPush) {
    let lost = &prepared.destination.lost;
    if let Some(first) = lost.first() {
        session.ui.warning(format_args!(
            "the remote has lost {} of the bundle that this replaces, or has them damaged, {first} among them: all of its content \
             is sent again",
            counted(lost.len(), "blob")
        ));
    }
}

/// Some systems could not pull what is pushed here.
fn warn_of_names(session: &Session<'_>, prepared: &PreparedPush) {
    if !prepared.plan.decision.changed {
        return;
    }
    let unfit = unfit(prepared.files().iter().map(|file| &file.path), FileSystem::ANY);
    for Unfit { path, reason } in unfit.iter().take(WARNED_NAMES) {
        session.ui.warning(format_args!("{} cannot be pulled everywhere: {reason}", shown(path.as_str())));
    }
    if let Some(more) = unfit.len().checked_sub(WARNED_NAMES).filter(|more| *more > 0) {
        session.ui.warning(format_args!("{} more cannot be pulled everywhere", counted(more, "file")));
    }
}

/// Another layout is another matter for whoever reads the bundle, or pushes to it next.
fn warn_of_layout(session: &Session<'_>, prepared: &PreparedPush) {
    let before = prepared.destination.replaces.as_ref().map(|bundle| bundle.index_view.layout);
    if !prepared.plan.decision.changed || before.is_none_or(|before| before == prepared.layout) {
        return;
    }
    match prepared.layout {
        Layout::Packed if prepared.files().len() as u64 <= MAX_FILES_FOR_PYTHON => {
            session.ui.warning(
                "the bundle goes from layout `files` to `packed`: the Python tool and other OCI tools cannot read it any \
                 more; `modelops-bundle config set layout files` before a push keeps it",
            );
        }
        Layout::Packed => session.ui.warning(format_args!(
            "the bundle goes from layout `files` to `packed`, because it has more than {MAX_FILES_FOR_PYTHON} files: the \
             Python tool and other OCI tools cannot read it any more",
        )),
        Layout::Files => session.ui.note(
            "the bundle goes from layout `packed` to `files`: every OCI tool can read it, and all files are sent anew",
        ),
    }
}

fn planned(reference: &str, prepared: &PreparedPush) -> PushReport {
    let plan = &prepared.plan;
    let replaces = prepared.destination.replaces.as_ref();
    let decision = &plan.decision;
    let stays = replaces.filter(|_| !decision.changed);
    // A further tag that names something else is to be written even where the tree is the same.
    let Destination { tags, version, .. } = &prepared.destination;
    let moves_a_tag = version.is_some()
        || stays.is_none_or(|bundle| {
            tags.iter().any(|(_, named)| named.as_ref().is_none_or(|named| named.digest != bundle.digest))
        });
    PushReport {
        reference: reference.to_owned(),
        digest: stays.map(|bundle| bundle.digest.to_string()),
        index: stays.map(|bundle| bundle.manifest_view.index.digest.to_string()),
        tree: plan.tree.to_string(),
        tags: version.iter().chain(tags.iter().map(|(tag, _)| tag)).map(ToString::to_string).collect(),
        version: version.as_ref().map(ToString::to_string),
        layout: stays.map_or(prepared.layout, |bundle| bundle.index_view.layout).name().into(),
        layout_before: replaces.map(|bundle| bundle.index_view.layout.name().into()),
        changed: decision.changed || moves_a_tag,
        uploaded: UploadedReport {
            files: plan.upload.len(),
            blobs: plan.blobs.len() as u64,
            bytes: plan.blobs.iter().map(|blob| blob.size).sum(),
        },
        mounted: blobs(Copied::default()),
        deleted: dropped(prepared),
        replaced: replaced(prepared),
        overwritten: undone(prepared),
        unseen: prepared.unseen.iter().flat_map(|unseen| &unseen.changes).map(seen).collect(),
        requests: 0,
        dry_run: true,
        upload: Vec::new(),
    }
}

/// The paths of the bundle before that the new one does not have.
fn dropped(prepared: &PreparedPush) -> Vec<String> {
    named_of(prepared, |_, now| now.is_none())
}

/// The paths of the bundle before that have other content in the new one.
fn replaced(prepared: &PreparedPush) -> Vec<String> {
    named_of(prepared, |file, now| now.is_some_and(|now| now.digest != file.digest))
}

/// Those files of the bundles before that are meant, beside what the new one has at their paths.
fn named_of(prepared: &PreparedPush, is_meant: impl Fn(&File, Option<&File>) -> bool) -> Vec<String> {
    let Destination { replaces, further, .. } = &prepared.destination;
    let bundles = replaces.iter().chain(further.iter().map(Further::bundle));
    let files = bundles.flat_map(|bundle| bundle.files().beside(prepared.files()));
    let files = files.filter(|(file, now)| is_meant(file, *now));
    let paths: BTreeSet<&BundlePath> = files.map(|(file, _)| &file.path).collect();
    paths.into_iter().map(ToString::to_string).collect()
}

/// The paths at which the push undoes what others did.
fn undone(prepared: &PreparedPush) -> Vec<String> {
    let changes = prepared.unseen.iter().flat_map(|unseen| &unseen.changes);
    let paths: BTreeSet<&BundlePath> = changes.map(|each| &each.path).collect();
    paths.into_iter().map(ToString::to_string).collect()
}

/// Adds what would be sent.
fn estimated(report: &mut PushReport, prepared: &PreparedPush, foreseen: &Estimate) {
    let Estimate { blobs: count, contents, mounted, stored, .. } = foreseen;
    report.upload = match prepared.layout {
        _ if *count == 0 => Vec::new(),
        Layout::Files => {
            let sent = sent_paths(&prepared.plan, prepared.files(), contents);
            sent.map(ToString::to_string).collect()
        }
        Layout::Packed => prepared.plan.upload.iter().map(ToString::to_string).collect(),
    };
    report.uploaded = UploadedReport { files: report.upload.len(), blobs: *count, bytes: *stored };
    report.mounted = blobs(*mounted);
}

fn done(report: &mut PushReport, pushed: &Pushed) {
    report.digest = Some(pushed.digest.to_string());
    report.index = Some(pushed.index.to_string());
    report.changed = pushed.changed;
    report.uploaded = UploadedReport {
        files: pushed.sent.len(),
        blobs: pushed.uploaded.blobs,
        bytes: pushed.uploaded.bytes,
    };
    report.mounted = blobs(pushed.mounted);
    report.upload = pushed.sent.iter().map(ToString::to_string).collect();
    report.dry_run = false;
}

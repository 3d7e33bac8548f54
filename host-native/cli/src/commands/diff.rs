//! `diff`: which files differ, and how.

use std::io::{self, Write};

use bundle_core::diff::{Change, PathChange, Sides};
use bundle_core::file::{ByPath, File, SyncedFile, synced};
use bundle_core::name::path::BundlePath;
use bundle_core::name::reference::{Reference, Tag};
use bundle_core::plan::view::{Viewed, Views};
use clap::Args;
use serde::Serialize;

use super::status::{Sizes, change_reports};
use crate::documents::unreadable;
use crate::error::CliError;
use crate::session::{Needs, Session, at_tag, configured_or_named};
use crate::subject::only_bundle;
use crate::ui::{Report, Surface, bytes, counted, shown, shown_text};
use modelops_bundle::bundle::{Bundle, Context, OpenError, open, version_of};
use modelops_bundle::component::answers::ManifestError;
use modelops_bundle::ops::status::leave_out_unreadable;
use modelops_bundle::patch::{Side, patches};
use modelops_bundle::scan::Untracked;
use modelops_bundle::workspace::Workspace;
use modelops_bundle_report::{DiffChange, DiffReport, FileReport, UnreadableReport};

/// Show which files differ
///
/// Without a REF, between the remote's bundle and the project; with one, between that bundle and the project; with
/// two, between the first bundle and the second.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n\
\x20 modelops-bundle diff\n\
\x20 modelops-bundle diff v1.0.0 latest --stat\n\
\x20 modelops-bundle diff v1.0.0 --patch > changes.patch")]
pub(crate) struct DiffArgs {
    /// Bundles: references, or tags and digests of the project's own remote
    #[arg(value_name = "REF", num_args = 0..=2)]
    references: Vec<String>,
    /// Compare the project with the bundle of this tag, at its own remote
    #[arg(short, long, value_name = "TAG", conflicts_with = "references")]
    tag: Option<Tag>,
    /// Show how many bytes each file has on both sides
    #[arg(long)]
    stat: bool,
    /// Show what differs in them, as a patch that `git apply` and `patch -p1` take
    ///
    /// Binary files, and files of more than 8 MiB, are only said to differ. On a terminal, control characters are shown
    /// and not obeyed; elsewhere everything is as it is in the files.
    #[arg(short, long)]
    patch: bool,
}

/// The document, and what a person asked to see of it.
#[derive(Serialize)]
#[serde(transparent)]
struct Differences<'a> {
    report: DiffReport<'a>,
    #[serde(skip)]
    shows: Shows,
}

/// What a person asked to see, and where.
struct Shows {
    stat: bool,
    patch: bool,
    surface: Surface,
}

/// How a file of the old side became that of the new one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Added,
    Deleted,
    Changed,
    ModeChanged,
}

impl Kind {
    fn of(DiffChange { change, .. }: &DiffChange<'_>) -> Self {
        match (&change.local, &change.remote) {
            (Some(_), None) => Self::Added,
            (None, Some(_)) => Self::Deleted,
            (Some(new), Some(old)) if new.digest == old.digest => Self::ModeChanged,
            _ => Self::Changed,
        }
    }

    fn letter(self) -> char {
        match self {
            Self::Added => 'A',
            Self::Deleted => 'D',
            Self::Changed => 'M',
            Self::ModeChanged => 'X',
        }
    }
}

fn write_change(one: &DiffChange<'_>, out: &mut dyn Write, shows: &Shows) -> io::Result<()> {
    write!(out, "{} {}", Kind::of(one).letter(), shown(&one.change.path))?;
    if shows.stat {
        let size = |file: &Option<FileReport>| size_of(file).map_or_else(|| "-".to_owned(), bytes);
        write!(out, "  {} -> {}", size(&one.change.remote), size(&one.change.local))?;
    }
    writeln!(out)
}

fn size_of(file: &Option<FileReport>) -> Option<u64> {
    file.as_ref().and_then(|file| file.size)
}

impl Report for Differences<'_> {
    fn write_text(&self, out: &mut dyn Write) -> io::Result<()> {
        if self.shows.stat || !self.shows.patch {
            self.write_list(out)?;
        }
        let patches = || self.report.changes.iter().filter_map(|change| change.patch.as_deref());
        if self.shows.stat && patches().next().is_some() {
            writeln!(out)?;
        }
        patches().try_for_each(|patch| match self.shows.surface {
            Surface::Terminal => write!(out, "{}", shown_text(patch)),
            Surface::Other => out.write_all(patch.as_bytes()),
        })
    }
}

impl Differences<'_> {
    fn write_list(&self, out: &mut dyn Write) -> io::Result<()> {
        let changes = &self.report.changes;
        changes.iter().try_for_each(|change| write_change(change, out, &self.shows))?;
        let count = changes.len();
        if count == 0 {
            return writeln!(out, "No differences");
        }
        write!(out, "{} differ{}", counted(count, "file"), if count == 1 { "s" } else { "" })?;
        if self.shows.stat {
            let of = |kinds: &[Kind]| changes.iter().filter(|one| kinds.contains(&Kind::of(one))).count();
            let (added, deleted) = (of(&[Kind::Added]), of(&[Kind::Deleted]));
            let changed = of(&[Kind::Changed, Kind::ModeChanged]);
            let old: u64 = changes.iter().filter_map(|one| size_of(&one.change.remote)).sum();
            let new: u64 = changes.iter().filter_map(|one| size_of(&one.change.local)).sum();
            let (old, new) = (bytes(old), bytes(new));
            write!(out, ": {added} added, {deleted} deleted, {changed} changed, {old} -> {new}")?;
        }
        writeln!(out)
    }
}

pub(crate) fn run(session: &Session<'_>, args: &DiffArgs) -> Result<(), CliError> {
    let core = session.core()?;
    let runtime = session.runtime()?;
    let compare = async |from: &Reference, to: &str, old: Side<'_>, new: Side<'_>, changes: &[PathChange]| {
        let paths: Vec<&BundlePath> = if args.patch { differing(changes) } else { Vec::new() };
        let patches = patches(old, new, &paths).await?;
        let reports = change_reports(changes, new.files(), old.files(), Sizes::Known);
        let mut unreadable = match new {
            Side::Project { scan, .. } => unreadable(&scan.unreadable),
            Side::Bundle { .. } => Vec::new(),
        };
        // One for each that differs, or none at all.
        let patches = patches.into_iter().map(Some).chain(std::iter::repeat_with(|| None));
        let changes = reports.into_iter().zip(patches).map(|(change, patch)| {
            let patch = patch.and_then(|patch| match patch {
                Ok(patch) => Some(patch),
                Err(fault) => {
                    let (path, reason) = (change.path.to_string(), fault.to_string());
                    unreadable.push(UnreadableReport { path, reason });
                    None
                }
            });
            DiffChange { change, patch }
        });
        let changes = changes.collect();
        unreadable.sort_by(|one, other| one.path.cmp(&other.path));
        let report = DiffReport {
            from: from.to_string(),
            to: to.to_owned(),
            changes,
            unreadable,
            requests: requests(old, new),
        };
        let shows = Shows { stat: args.stat, patch: args.patch, surface: session.ui.surface() };
        let found = Differences { report, shows };
        session.ui.report(&found)?;
        let reasons = found.report.unreadable.iter().map(|one| (one.path.as_str(), one.reason.as_str()));
        if reasons.len() == 0 { Ok(()) } else { Err(CliError::not_compared(reasons)) }
    };
    if let [old, new] = args.references.as_slice() {
        let workspace = match session.workspace_for(old, Needs::Bundle)? {
            None => session.workspace_for(new, Needs::Bundle)?,
            found => found,
        };
        let default = workspace.as_ref().and_then(Workspace::default_reference);
        let understood = |text: &str| whole(session, session.reference(text, default.as_ref())?);
        let (old, new) = (understood(old)?, understood(new)?);
        let (old_remote, new_remote) = (session.remote(&old)?, session.remote(&new)?);
        let old_context = session.context(&core, old_remote.as_ref());
        let new_context = session.context(&core, new_remote.as_ref());
        return runtime.block_on(async {
            let (from, to) = (find(old_context, &old).await?, find(new_context, &new).await?);
            let (base, tracked) = (synced(from.files()), paths(from.files(), to.files()));
            let changes = core.diff(two_sides(&from, &to, &base, &tracked))?;
            let from = Side::Bundle { context: old_context, bundle: &from };
            let to = Side::Bundle { context: new_context, bundle: &to };
            compare(&old, &new.to_string(), from, to, &changes).await
        });
    }
    let workspace = session.workspace()?;
    let reference = match (args.references.first(), &args.tag) {
        (_, Some(tag)) => at_tag(&workspace, tag)?,
        (Some(text), None) => {
            let default = workspace.default_reference();
            whole(session, session.reference(text, default.as_ref())?)?
        }
        (None, None) => configured_or_named(&workspace)?,
    };
    let remote = session.remote(&reference)?;
    let context = session.context(&core, remote.as_ref());
    runtime.block_on(async {
        let from = find(context, &reference).await?;
        let mut found = workspace.look_readable(Untracked::Skip, session.ui.progress().as_ref())?;
        found.recall_modes(&workspace.project, &workspace.state.last_synced, from.files());
        let sides = Sides {
            local: &found.files,
            remote: from.files(),
            base: &workspace.state.last_synced,
            tracked: &workspace.tracked,
        };
        let view = &workspace.state.view;
        let viewed = Viewed::of(sides, Views::same(view));
        let mut changes = core.diff(viewed.sides(sides))?;
        leave_out_unreadable(&mut changes, &found);
        let from = Side::Bundle { context, bundle: &from };
        let to = Side::Project { project: &workspace.project, scan: &found };
        compare(&reference, "project", from, to, &changes).await
    })
}

/// How many requests both sides have cost.
fn requests(old: Side<'_>, new: Side<'_>) -> u64 {
    let of = |side| match side {
        Side::Bundle { context, .. } => context.remote.requests(),
        Side::Project { .. } => 0,
    };
    of(old) + of(new)
}

fn differing(changes: &[PathChange]) -> Vec<&BundlePath> {
    changes.iter().filter(|each| each.change != Change::Unchanged).map(|each| &each.path).collect()
}

/// A reference that names its bundle.
fn whole(session: &Session<'_>, reference: Reference) -> Result<Reference, CliError> {
    match (&reference.tag, &reference.digest) {
        (None, None) => only_bundle(session, &reference, &Tag::latest()),
        _ => Ok(reference),
    }
}

/// Opens a bundle that must be there.
pub(crate) async fn find(context: Context<'_>, reference: &Reference) -> Result<Bundle, CliError> {
    match open(context, &version_of(reference)).await {
        Ok(bundle) => bundle.ok_or_else(|| CliError::no_bundle(reference)),
        Err(error @ OpenError::Manifest(ManifestError::NotABundle(_))) => {
            Err(CliError::from(error).about(reference))
        }
        Err(error) => Err(error.into()),
    }
}

/// Two bundles as the sides of a comparison in which only the new one has changed.
fn two_sides<'a>(
    from: &'a Bundle,
    to: &'a Bundle,
    base: &'a ByPath<SyncedFile>,
    tracked: &'a ByPath<BundlePath>,
) -> Sides<'a> {
    Sides { local: to.files(), remote: from.files(), base, tracked }
}

fn paths(one: &ByPath<File>, other: &ByPath<File>) -> ByPath<BundlePath> {
    one.iter().chain(other).map(|file| file.path.clone()).collect()
}

#[cfg(test)]
mod tests {
    use modelops_bundle_report::ChangeReport;

    use super::*;

    #[test]
    fn a_terminal_is_not_told_what_to_do_by_a_file() {
        let patch = "--- a/x\n+++ b/x\n@@ -0,0 +1 @@\n+\ta\u{1b}[2Jb\r\n";
        let change =
            ChangeReport { path: "x".into(), change: "added_local".into(), local: None, remote: None };
        let report = DiffReport {
            from: String::new(),
            to: String::new(),
            changes: vec![DiffChange { change, patch: Some(patch.to_owned()) }],
            unreadable: Vec::new(),
            requests: 0,
        };
        let shows = Shows { stat: false, patch: true, surface: Surface::Terminal };
        let mut found = Differences { report, shows };
        let text = |found: &Differences<'_>| {
            let mut out = Vec::new();
            found.write_text(&mut out).unwrap();
            String::from_utf8(out).unwrap()
        };
        assert_eq!(text(&found), "--- a/x\n+++ b/x\n@@ -0,0 +1 @@\n+\ta\\u{1b}[2Jb\\u{d}\n");
        found.shows.surface = Surface::Other;
        assert_eq!(text(&found), patch);
    }
}

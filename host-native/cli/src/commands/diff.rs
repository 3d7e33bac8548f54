//! `diff`: which files differ, and how.

use std::io::{self, Write};

use bundle_core::diff::{Change, PathChange, Sides};
use bundle_core::file::{ByPath, File, SyncedFile, synced};
use bundle_core::name::path::BundlePath;
use bundle_core::name::reference::{Reference, Tag};
use bundle_core::plan::view::{Viewed, Views};
use clap::Args;
use serde::Serialize;

use super::status::{
    ChangeReport, FileReport, Sizes, UnreadableReport, change_reports, leave_out_unreadable,
};
use crate::error::CliError;
use crate::session::{Needs, Session, at_tag, configured_or_named, look_at_readable};
use crate::subject::only_bundle;
use crate::ui::{Report, Surface, bytes, counted, shown, shown_text};
use modelops_bundle::bundle::{Bundle, Context, OpenError, open, version_of};
use modelops_bundle::component::answers::ManifestError;
use modelops_bundle::patch::{Side, patches};
use modelops_bundle::scan::Untracked;
use modelops_bundle::workspace::Workspace;

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

/// The document of `diff`.
#[derive(Serialize)]
struct DiffReport<'a> {
    /// What is compared with: the old side.
    from: String,
    /// What is compared: the new side; `project` where it is the files on disk.
    to: String,
    /// Every path that differs. `local` is the new side, `remote` the old one.
    changes: Vec<DiffChange<'a>>,
    /// Tracked paths that cannot be read, and so are not compared; with `--patch` also those that differ and cannot be
    /// read, which have no patch.
    unreadable: Vec<UnreadableReport>,
    /// HTTP requests made, to both places.
    requests: u64,
    #[serde(skip)]
    shows: Shows,
}

/// One path that differs.
#[derive(Serialize)]
struct DiffChange<'a> {
    #[serde(flatten)]
    change: ChangeReport<'a>,
    /// What makes the old file the new one, where that was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    patch: Option<String>,
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

impl DiffChange<'_> {
    fn kind(&self) -> Kind {
        match (&self.change.local, &self.change.remote) {
            (Some(_), None) => Kind::Added,
            (None, Some(_)) => Kind::Deleted,
            (Some(new), Some(old)) if new.digest == old.digest => Kind::ModeChanged,
            _ => Kind::Changed,
        }
    }

    fn write_text(&self, out: &mut dyn Write, shows: &Shows) -> io::Result<()> {
        let letter = match self.kind() {
            Kind::Added => 'A',
            Kind::Deleted => 'D',
            Kind::Changed => 'M',
            Kind::ModeChanged => 'X',
        };
        write!(out, "{letter} {}", shown(self.change.path))?;
        if shows.stat {
            let size = |file: &Option<FileReport>| size_of(file).map_or_else(|| "-".to_owned(), bytes);
            write!(out, "  {} -> {}", size(&self.change.remote), size(&self.change.local))?;
        }
        writeln!(out)
    }
}

fn size_of(file: &Option<FileReport>) -> Option<u64> {
    file.as_ref().and_then(|file| file.size)
}

impl Report for DiffReport<'_> {
    fn write_text(&self, out: &mut dyn Write) -> io::Result<()> {
        if self.shows.stat || !self.shows.patch {
            self.write_list(out)?;
        }
        let patches = || self.changes.iter().filter_map(|change| change.patch.as_deref());
        if self.shows.stat && patches().next().is_some() {
            writeln!(out)?;
        }
        patches().try_for_each(|patch| match self.shows.surface {
            Surface::Terminal => write!(out, "{}", shown_text(patch)),
            Surface::Other => out.write_all(patch.as_bytes()),
        })
    }
}

impl DiffReport<'_> {
    fn write_list(&self, out: &mut dyn Write) -> io::Result<()> {
        self.changes.iter().try_for_each(|change| change.write_text(out, &self.shows))?;
        let count = self.changes.len();
        if count == 0 {
            return writeln!(out, "No differences");
        }
        write!(out, "{} differ{}", counted(count, "file"), if count == 1 { "s" } else { "" })?;
        if self.shows.stat {
            let of = |kinds: &[Kind]| self.changes.iter().filter(|one| kinds.contains(&one.kind())).count();
            let (added, deleted) = (of(&[Kind::Added]), of(&[Kind::Deleted]));
            let changed = of(&[Kind::Changed, Kind::ModeChanged]);
            let old: u64 = self.changes.iter().filter_map(|one| size_of(&one.change.remote)).sum();
            let new: u64 = self.changes.iter().filter_map(|one| size_of(&one.change.local)).sum();
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
            Side::Project { scan, .. } => UnreadableReport::of(&scan.unreadable),
            Side::Bundle { .. } => Vec::new(),
        };
        // One for each that differs, or none at all.
        let patches = patches.into_iter().map(Some).chain(std::iter::repeat_with(|| None));
        let changes = reports.into_iter().zip(patches).map(|(change, patch)| {
            let patch = patch.and_then(|patch| match patch {
                Ok(patch) => Some(patch),
                Err(fault) => {
                    unreadable
                        .push(UnreadableReport { path: change.path.to_owned(), reason: fault.to_string() });
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
            shows: Shows { stat: args.stat, patch: args.patch, surface: session.ui.surface() },
        };
        session.ui.report(&report)?;
        let reasons = report.unreadable.iter().map(|one| (one.path.as_str(), one.reason.as_str()));
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
        let mut found = look_at_readable(&workspace, Untracked::Skip, session.ui.progress().as_ref())?;
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
    use super::*;

    #[test]
    fn a_terminal_is_not_told_what_to_do_by_a_file() {
        let patch = "--- a/x\n+++ b/x\n@@ -0,0 +1 @@\n+\ta\u{1b}[2Jb\r\n";
        let change = ChangeReport { path: "x", change: "added_local", local: None, remote: None };
        let mut report = DiffReport {
            from: String::new(),
            to: String::new(),
            changes: vec![DiffChange { change, patch: Some(patch.to_owned()) }],
            unreadable: Vec::new(),
            requests: 0,
            shows: Shows { stat: false, patch: true, surface: Surface::Terminal },
        };
        let text = |report: &DiffReport<'_>| {
            let mut out = Vec::new();
            report.write_text(&mut out).unwrap();
            String::from_utf8(out).unwrap()
        };
        assert_eq!(text(&report), "--- a/x\n+++ b/x\n@@ -0,0 +1 @@\n+\ta\\u{1b}[2Jb\\u{d}\n");
        report.shows.surface = Surface::Other;
        assert_eq!(text(&report), patch);
    }
}

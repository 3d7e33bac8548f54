//! `status`: how the project and its remote compare.

mod ignored;

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::path::PathBuf;

use bundle_core::diff::{Change, PathChange};
use bundle_core::file::{ByPath, File};
use bundle_core::name::reference::Reference;
use bundle_core::plan::standing::Standing;
use bundle_core::plan::view::View;
use clap::Args;
use serde::Serialize;

use self::ignored::{explain, ignored, rule_in_words};
use crate::documents::{at, at_in_words, seen, unreadable};
use crate::error::{CliError, Exit, settle_places, two_places};
use crate::program::as_typed;
use crate::session::{Session, configured};
use crate::ui::{Report, counted, shown};
use modelops_bundle::bundle::OpenError;
use modelops_bundle::environment::Pinned;
use modelops_bundle::ops::status::{self, Answer, Done, StatusOptions};
use modelops_bundle::project::State;
use modelops_bundle::remote::{RemoteError, RemoteErrorKind};
use modelops_bundle::scan::{RefusalReason, Scan, Untracked};
use modelops_bundle::workspace::Workspace;
use modelops_bundle_report::{
    ChangeReport, FileReport, IgnoredReport, PinnedReport, RemoteReport, RemoteState, StatusReport,
    UnreadableReport, ViewReport,
};

/// As many unchanged paths are named, not only counted.
const NAMED_UNCHANGED: usize = 10;

/// As many changes are listed where nobody asked for all of them.
const LISTED: usize = 50;

/// Show what differs between the project and its remote
///
/// Compares the files on disk with the remote's bundle and with what both last agreed on. An unreachable remote is
/// named, and the comparison is then with what was last agreed on. With PATHs, it is said which ignore rule decides about
/// each of them, and nothing else.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n\
\x20 modelops-bundle status\n\
\x20 modelops-bundle status --files --details\n\
\x20 modelops-bundle status --offline --json\n\
\x20 modelops-bundle status --explain results/run.log")]
pub(crate) struct StatusArgs {
    /// List every tracked file, unchanged ones too
    #[arg(short, long)]
    files: bool,
    /// List untracked files
    #[arg(short, long)]
    untracked: bool,
    /// List untracked files, and nothing else; the remote is not asked
    #[arg(long, conflicts_with_all = ["files", "details"])]
    untracked_only: bool,
    /// List what ignore rules leave out too; a folder stands for all in it
    #[arg(long)]
    include_ignored: bool,
    /// Say why: the digests of files that differ, and the rule behind everything ignored
    #[arg(long)]
    explain: bool,
    /// Say of these paths alone which ignore rule decides about them; the remote is not asked
    #[arg(value_name = "PATH", requires = "explain",
        conflicts_with_all = ["files", "untracked", "untracked_only", "include_ignored", "details"])]
    paths: Vec<PathBuf>,
    /// Show digests and sizes: of every file that differs, or of the file NAME alone
    #[arg(short, long, value_name = "NAME", num_args = 0..=1)]
    details: Option<Option<String>>,
    /// Do not ask the remote; compare with what was last agreed on
    #[arg(long)]
    offline: bool,
}

/// Where a project stands to what the tag names.
struct Place {
    standing: Option<Standing>,
    unseen: Vec<PathChange>,
}

fn state_in_words(state: RemoteState) -> &'static str {
    match state {
        RemoteState::Available => "available",
        RemoteState::Empty => "empty",
        RemoteState::NotABundle => "not a bundle",
        RemoteState::Offline => "not asked",
        RemoteState::Unreachable => "unreachable",
        RemoteState::AuthFailed => "auth failed",
        RemoteState::UnknownError => "cannot be used",
    }
}

/// The environment that a project is pinned to, for a document.
fn pinned_report(pinned: &Pinned) -> PinnedReport {
    PinnedReport {
        name: pinned.environment.as_str().to_owned(),
        reference: pinned.place.to_string(),
        agrees: pinned.agrees,
    }
}

/// The document, and what only people read.
#[derive(Serialize)]
#[serde(transparent)]
struct Overview<'a> {
    report: StatusReport<'a>,
    #[serde(skip)]
    shows: Shows<'a>,
    /// What stands in for the remote's bundle in the comparison, where it does not come from the remote.
    #[serde(skip)]
    stand_in: Option<String>,
}

/// What a person asked to see.
#[derive(Default)]
struct Shows<'a> {
    details: bool,
    untracked: bool,
    only_untracked: bool,
    /// The rule behind everything ignored.
    rules: bool,
    /// Every unchanged path, where they were asked for.
    unchanged: Vec<&'a str>,
}

impl Report for Overview<'_> {
    fn write_text(&self, out: &mut dyn Write) -> io::Result<()> {
        let report = &self.report;
        if self.shows.only_untracked {
            report.untracked.iter().try_for_each(|path| writeln!(out, "{}", shown(path)))?;
            return self.write_ignored(out);
        }
        if let Some(named) = &report.details {
            return write_change(named, out, true);
        }
        write!(
            out,
            "Remote {}, tag {}: {}",
            report.reference,
            report.tag,
            state_in_words(report.remote.state)
        )?;
        match &report.remote.digest {
            Some(digest) => writeln!(out, ", {digest}")?,
            None => writeln!(out)?,
        }
        if let Some(ViewReport { include, exclude, .. }) = &report.view {
            let list =
                |globs: &[String]| globs.iter().map(|glob| shown(glob).to_string()).collect::<Vec<_>>();
            let only = if include.is_empty() { "all".to_owned() } else { list(include).join(", ") };
            let without = if exclude.is_empty() {
                String::new()
            } else {
                format!(" without {}", list(exclude).join(", "))
            };
            writeln!(out, "  the project takes part in {only}{without}")?;
        }
        if let Some(line) = self.place() {
            writeln!(out, "  {line}")?;
        }
        if let Some(message) = &report.remote.message {
            writeln!(out, "  {}", shown(message))?;
        }
        if let Some(hint) = &report.remote.hint {
            writeln!(out, "  hint: {}", shown(hint))?;
        }
        if let Some(stand_in) = &self.stand_in {
            writeln!(out, "  compared with {}", shown(stand_in))?;
        }
        if !report.changes.is_empty() {
            writeln!(out, "\nChanges:")?;
        }
        let listed = if self.shows.unchanged.is_empty() && !self.shows.details { LISTED } else { usize::MAX };
        for change in report.changes.iter().take(listed) {
            write_change(change, out, self.shows.details)?;
        }
        if let Some(more) = report.changes.len().checked_sub(listed).filter(|more| *more > 0) {
            writeln!(out, "  and {more} more: see --files")?;
        }
        if !report.unreadable.is_empty() {
            writeln!(out, "\nCannot be read, and so not compared; a push or a pull would refuse:")?;
        }
        for UnreadableReport { path, reason } in &report.unreadable {
            writeln!(out, "  {}: {reason}", shown(path))?;
        }
        let unchanged = report.summary.get(Change::Unchanged.name()).copied().unwrap_or_default();
        if unchanged > 0 {
            let all = &self.shows.unchanged;
            if all.is_empty() {
                let more = if report.unchanged.len() < unchanged { ", …" } else { "" };
                let named: Vec<_> = report.unchanged.iter().map(|path| shown(path).to_string()).collect();
                writeln!(out, "\n{unchanged} unchanged: {}{more}", named.join(", "))?;
            } else {
                writeln!(out, "\nUnchanged:")?;
                for path in all {
                    writeln!(out, "  {}", shown(path))?;
                }
            }
        }
        if !report.untracked.is_empty() {
            if self.shows.untracked {
                writeln!(out, "\nUntracked:")?;
                for path in &report.untracked {
                    writeln!(out, "  {}", shown(path))?;
                }
            } else {
                let files = counted(report.untracked.len(), "untracked file");
                let add = as_typed("`modelops-bundle add`");
                writeln!(out, "\n{files}: see --untracked, or track with {add}")?;
            }
        }
        self.write_ignored(out)?;
        if report.changes.is_empty() && unchanged == 0 && report.unreadable.is_empty() {
            writeln!(out, "\nNothing is tracked yet: {}", as_typed("`modelops-bundle add PATH`"))?;
        }
        Ok(())
    }
}

impl Overview<'_> {
    /// Where the project is, as against the tag.
    fn place(&self) -> Option<String> {
        let report = &self.report;
        let at = at_in_words(report.base.as_ref()?);
        let unseen = match report.unseen.len() {
            0 => String::new(),
            count => format!("; {} there that yours is not built on", counted(count, "change")),
        };
        let bundles = |count: u64| counted(usize::try_from(count).unwrap_or(usize::MAX), "bundle");
        Some(match (report.ahead, report.behind) {
            (Some(0), Some(0)) => format!("you are at {at}, which it is"),
            (Some(ahead), _) if ahead > 0 => format!("you are at {at}, {} ahead of it", bundles(ahead)),
            (_, Some(behind)) if behind > 0 => {
                format!("you are at {at}, {} behind it{unseen}", bundles(behind))
            }
            _ => format!("you are at {at}{unseen}"),
        })
    }

    fn write_ignored(&self, out: &mut dyn Write) -> io::Result<()> {
        let Some(ignored) = self.report.ignored.as_ref().filter(|ignored| !ignored.is_empty()) else {
            return Ok(());
        };
        writeln!(out, "\nIgnored:")?;
        for IgnoredReport { path, rule } in ignored {
            match self.shows.rules {
                true => writeln!(out, "  {}: {}", shown(path), rule_in_words(rule))?,
                false => writeln!(out, "  {}", shown(path))?,
            }
        }
        Ok(())
    }
}

/// What is said of each path that differs; `local` is the new side, `remote` the old one.
pub(crate) fn change_reports<'a>(
    changes: &'a [PathChange],
    local: &ByPath<File>,
    remote: &ByPath<File>,
    sizes: Sizes,
) -> Vec<ChangeReport<'a>> {
    let (mut local, mut remote) = (local.iter().peekable(), remote.iter().peekable());
    let differing = changes.iter().filter(|each| each.change != Change::Unchanged);
    differing
        .map(|each| {
            // All three are in the order of their paths.
            while local.next_if(|file| file.path < each.path).is_some() {}
            while remote.next_if(|file| file.path < each.path).is_some() {}
            ChangeReport {
                path: each.path.as_str().into(),
                change: each.change.name().into(),
                local: local
                    .next_if(|file| file.path == each.path)
                    .map(|file| file_report(file, Sizes::Known)),
                remote: remote.next_if(|file| file.path == each.path).map(|file| file_report(file, sizes)),
            }
        })
        .collect()
}

/// One side's file, for a document.
fn file_report(file: &File, sizes: Sizes) -> FileReport {
    let size = (sizes == Sizes::Known).then_some(file.size);
    FileReport { digest: file.digest.to_string(), size, executable: file.executable }
}

/// The one path that is called `name`, changed or not.
fn find_named<'a>(
    name: &str,
    changes: &'a [PathChange],
    local: &ByPath<File>,
    remote: &ByPath<File>,
    sizes: Sizes,
) -> Result<ChangeReport<'a>, CliError> {
    let each = changes.iter().find(|each| each.path.as_str() == name).ok_or_else(|| {
        CliError::new(Exit::NotFound, format_args!("no tracked file is called {}", shown(name)))
            .hint("name it by its path in the project, as `modelops-bundle status --files` lists it")
    })?;
    Ok(ChangeReport {
        path: each.path.as_str().into(),
        change: each.change.name().into(),
        local: local.at(&each.path).map(|file| file_report(file, Sizes::Known)),
        remote: remote.at(&each.path).map(|file| file_report(file, sizes)),
    })
}

fn write_change(one: &ChangeReport<'_>, out: &mut dyn Write, details: bool) -> io::Result<()> {
    writeln!(out, "  {:<16} {}", one.change, shown(&one.path))?;
    if details {
        for (side, file) in [("local", &one.local), ("remote", &one.remote)] {
            if let Some(FileReport { digest, size, executable }) = file {
                let size = size.map_or_else(|| "?".to_owned(), |size| size.to_string());
                let mode = if *executable == Some(true) { ", executable" } else { "" };
                writeln!(out, "    {side:<6} {digest}, {size} bytes{mode}")?;
            }
        }
    }
    Ok(())
}

/// Whether the remote's sizes are known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sizes {
    Known,
    Unknown,
}

impl StatusArgs {
    fn names_ignored(&self) -> bool {
        self.include_ignored || self.explain
    }
}

pub(crate) fn run(session: &Session<'_>, args: &StatusArgs) -> Result<(), CliError> {
    if !args.paths.is_empty() {
        return session.ui.report(&explain(&session.workspace()?, &session.cwd, &args.paths)?);
    }
    let client = session.client()?;
    let (workspace, core) = rayon::join(|| session.workspace(), || client.core());
    let (workspace, _) = (workspace?, core?);
    let reference = configured(&workspace)?;
    let untracked = if args.names_ignored() { Untracked::NameIgnored } else { Untracked::List };
    let planned =
        status::plan(&client, &workspace, &reference, StatusOptions::default().untracked(untracked));
    let looked = match args.offline || args.untracked_only {
        true => planned.apply_offline()?,
        false => session.runtime()?.block_on(planned.apply())?,
    };
    let sizes = if matches!(looked.answer, Answer::Bundle(_)) { Sizes::Known } else { Sizes::Unknown };
    let Done { answer, standing, unseen, scan: found, files, changes, requests, .. } = looked;
    let stand_in = if sizes == Sizes::Known { None } else { last_synced(&workspace) };
    let remote = remote_report(&workspace, &reference, answer);
    let place = Place { standing, unseen };
    let unread = found.refused.iter().filter(|refused| matches!(refused.reason, RefusalReason::System(_)));
    for refused in unread {
        session.ui.warning(format_args!("{} is passed over: {}", shown(&refused.path), refused.reason));
    }
    let pinned = session.pinned(&workspace.project, &workspace.config);
    if let Some(pinned) = pinned.as_ref().filter(|pinned| !pinned.agrees) {
        session.ui.warning(format_args!("{}; {}", two_places(pinned), settle_places(pinned)));
    }
    let named = args.details.as_ref().and_then(Option::as_deref);
    let named = named.map(|name| find_named(name, &changes, &found.files, &files, sizes)).transpose()?;
    let mut report = report(&workspace, &reference, remote, &place, &changes, &found, &files, sizes, args);
    report.details = named;
    report.requests = requests;
    report.environment = pinned.as_ref().map(pinned_report);
    let overview = Overview { report, shows: shows(&changes, args), stand_in };
    let printed = session.ui.report(&overview);
    // The program ends here: to give back several hundred thousand small texts one by one would only take time.
    std::mem::forget(overview);
    std::mem::forget((workspace, found, files, changes));
    printed
}

/// What the answer says of the remote.
fn remote_report(workspace: &Workspace, reference: &Reference, answer: Answer) -> RemoteReport {
    let (state, digest, error) = match answer {
        Answer::Bundle(digest) => (RemoteState::Available, Some(digest.to_string()), None),
        // Nobody has deleted anything where nothing was pushed.
        Answer::Nothing => (RemoteState::Empty, None, None),
        Answer::Failed(error) => (state_of(&error), None, Some(CliError::from(error))),
        _ => (RemoteState::Offline, None, None),
    };
    let message = error.as_ref().map(|error| error.message().to_owned());
    let hint = match state {
        RemoteState::Empty => {
            let was_there =
                reference.tag.as_ref().is_some_and(|tag| workspace.synced.seen(reference, tag).is_some());
            let is_gone = if was_there {
                "the tag is not there any more"
            } else {
                "there is no bundle of this tag there"
            };
            Some(as_typed(&format!("{is_gone}: `modelops-bundle push` makes it")).into_owned())
        }
        _ => error.and_then(CliError::into_hint),
    };
    RemoteReport { state, digest, message, hint }
}

/// The bundle that the project was last made equal to, or was sent as, in words.
fn last_synced(workspace: &Workspace) -> Option<String> {
    let State { last_pull_digest, last_push_digest, synced_ref, .. } = &workspace.state;
    let digest = match (last_push_digest, last_pull_digest) {
        (Some(push), Some(pull)) if push != pull => None,
        (push, pull) => push.or(*pull),
    };
    if workspace.state.last_synced.is_empty() {
        return None;
    }
    let place = synced_ref.as_ref().map(|last| format!(", {last}")).unwrap_or_default();
    let short = digest.map(|digest| format!(", {}", digest.short())).unwrap_or_default();
    Some(format!("what was last pushed or pulled{place}{short}"))
}

fn state_of(error: &OpenError) -> RemoteState {
    match error {
        OpenError::Remote(RemoteError::Connection(_)) => RemoteState::Unreachable,
        OpenError::Remote(error) if error.kind() == RemoteErrorKind::Authentication => {
            RemoteState::AuthFailed
        }
        OpenError::NotABundle { .. } => RemoteState::NotABundle,
        OpenError::Remote(_)
        | OpenError::IndexText(_)
        | OpenError::Index(_)
        | OpenError::Manifest(_)
        | OpenError::Resolve(_) => RemoteState::UnknownError,
    }
}

#[expect(clippy::too_many_arguments, reason = "a report is made of all that was found")]
fn report<'a>(
    workspace: &Workspace,
    reference: &Reference,
    remote: RemoteReport,
    place: &Place,
    changes: &'a [PathChange],
    found: &'a Scan,
    files: &ByPath<File>,
    sizes: Sizes,
    args: &StatusArgs,
) -> StatusReport<'a> {
    let mut summary = BTreeMap::<&str, usize>::new();
    for change in changes {
        *summary.entry(change.change.name()).or_default() += 1;
    }
    StatusReport {
        reference: reference.without_version().to_string(),
        tag: reference.tag.as_ref().map(ToString::to_string).unwrap_or_default(),
        environment: None,
        remote,
        base: workspace.synced.bundle.as_ref().map(|bundle| at(&bundle.described)),
        ahead: match place.standing {
            Some(Standing::Ancestor { ahead }) => Some(ahead),
            Some(Standing::Same | Standing::Descendant { .. }) => Some(0),
            _ => None,
        },
        behind: match place.standing {
            Some(Standing::Descendant { behind }) => Some(behind),
            Some(Standing::Same | Standing::Ancestor { .. }) => Some(0),
            _ => None,
        },
        view: Some(&workspace.state.view).filter(|view| !view.is_whole()).map(view_report),
        unseen: place.unseen.iter().map(seen).collect(),
        summary: summary.into_iter().map(|(change, count)| (change.to_owned(), count)).collect(),
        changes: change_reports(changes, &found.files, files, sizes),
        unchanged: unchanged(changes).take(NAMED_UNCHANGED).map(str::to_owned).collect(),
        unreadable: unreadable(&found.unreadable),
        untracked: found.untracked.iter().map(|path| path.as_str().into()).collect(),
        ignored: args.names_ignored().then(|| found.ignored.iter().map(ignored).collect()),
        requests: None,
        details: None,
    }
}

/// The part of the bundle that a project takes part in, for a document.
fn view_report(View { include, exclude, own }: &View) -> ViewReport {
    let own = own.iter().map(ToString::to_string).collect();
    ViewReport { include: include.clone(), exclude: exclude.clone(), own }
}

/// The paths that are the same on both sides.
fn unchanged(changes: &[PathChange]) -> impl Iterator<Item = &str> {
    changes.iter().filter(|each| each.change == Change::Unchanged).map(|each| each.path.as_str())
}

fn shows<'a>(changes: &'a [PathChange], args: &StatusArgs) -> Shows<'a> {
    Shows {
        details: args.details.is_some() || args.explain,
        rules: args.explain,
        only_untracked: args.untracked_only,
        untracked: args.untracked,
        unchanged: if args.files { unchanged(changes).collect() } else { Vec::new() },
    }
}

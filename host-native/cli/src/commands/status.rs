//! `status`: how the project and its remote compare.

mod ignored;

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::path::PathBuf;

use bundle_core::diff::{Change, PathChange, Sides};
use bundle_core::digest::Digest;
use bundle_core::file::{ByPath, File};
use bundle_core::name::reference::Reference;
use bundle_core::plan::layout::Rewrite;
use bundle_core::plan::push::{Builds, PushFacts};
use bundle_core::plan::standing::Standing;
use bundle_core::plan::view::{View, Viewed, Views};
use clap::Args;
use rayon::prelude::*;
use serde::Serialize;

use self::ignored::{IgnoredReport, explain};
use super::pull::SeenChange;
use crate::error::{CliError, Exit, settle_places, two_places};
use crate::program::as_typed;
use crate::session::{Session, configured, look_at_readable};
use crate::ui::{Report, counted, shown};
use modelops_bundle::bundle::{Bundle, Context, OpenError, open, version_of};
use modelops_bundle::environment::Pinned;
use modelops_bundle::project::State;
use modelops_bundle::remote::{RemoteError, RemoteErrorKind};
use modelops_bundle::scan::{RefusalReason, Refused, Scan, Untracked};
use modelops_bundle::threads::start;
use modelops_bundle::workspace::Workspace;

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

/// The bundle that a project is at.
#[derive(Serialize)]
struct AtReport {
    /// Its digest.
    digest: Digest,
    /// Its version, if it has one.
    version: Option<String>,
}

/// Where a project stands to what the tag names.
struct Place {
    standing: Option<Standing>,
    unseen: Vec<PathChange>,
}

/// What is known of the remote.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum RemoteState {
    /// It answered, and has the bundle.
    Available,
    /// It answered, and has no such bundle.
    Empty,
    /// It was not asked.
    Offline,
    /// It did not answer.
    Unreachable,
    /// It answered, and has something there that is no bundle.
    NotABundle,
    /// It wants to know who asks, or refuses.
    AuthFailed,
    /// Something else went wrong.
    UnknownError,
}

impl RemoteState {
    fn words(self) -> &'static str {
        match self {
            Self::Available => "available",
            Self::Empty => "empty",
            Self::NotABundle => "not a bundle",
            Self::Offline => "not asked",
            Self::Unreachable => "unreachable",
            Self::AuthFailed => "auth failed",
            Self::UnknownError => "cannot be used",
        }
    }
}

/// The document of `status`.
#[derive(Serialize)]
struct StatusReport<'a> {
    /// The project's remote, without a tag.
    #[serde(rename = "ref")]
    reference: String,
    /// The tag that is compared with.
    tag: String,
    /// The environment that the project is pinned to; absent where there is none that the Python tool knows.
    environment: Option<PinnedReport>,
    /// What is known of the bundle there.
    remote: RemoteReport,
    /// The bundle that the project last synced; absent where it is not known.
    base: Option<AtReport>,
    /// How many bundles the project is ahead of the tag's; absent where that is not known.
    ahead: Option<u64>,
    /// How many bundles it is behind.
    behind: Option<u64>,
    /// The part of the bundle that the project takes part in; absent where that is all of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    view: Option<View>,
    /// What others did to the tag's bundle that the project is not built on: a push stops at it.
    unseen: Vec<SeenChange>,
    /// How many paths there are of each change.
    summary: BTreeMap<&'static str, usize>,
    /// Every path that is not the same on both sides.
    changes: Vec<ChangeReport<'a>>,
    /// Up to ten paths that are.
    unchanged: Vec<String>,
    /// Tracked paths that cannot be read, and so are not compared.
    unreadable: Vec<UnreadableReport>,
    /// Files that are neither tracked nor ignored.
    untracked: Vec<String>,
    /// What ignore rules leave out; absent where nobody asked for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    ignored: Option<Vec<IgnoredReport>>,
    /// HTTP requests made; absent where no remote was asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    requests: Option<u64>,
    /// The file that `--details NAME` names; absent without a name.
    #[serde(skip_serializing_if = "Option::is_none")]
    details: Option<ChangeReport<'a>>,
    #[serde(skip)]
    shows: Shows,
}

/// Where a pinned environment takes the Python tool.
#[derive(Serialize)]
struct PinnedReport {
    /// Its name.
    name: String,
    /// The place, whatever the project's settings name.
    #[serde(rename = "ref")]
    reference: String,
    /// Whether that is the project's remote.
    agrees: bool,
}

impl From<Pinned> for PinnedReport {
    fn from(pinned: Pinned) -> Self {
        Self {
            name: pinned.environment.as_str().to_owned(),
            reference: pinned.place.to_string(),
            agrees: pinned.agrees,
        }
    }
}

/// The remote's bundle.
#[derive(Serialize)]
struct RemoteReport {
    /// Whether there is one.
    state: RemoteState,
    /// The bundle's digest, where it is known.
    digest: Option<Digest>,
    /// What went wrong, where something did.
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<String>,
    /// What to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    hint: Option<String>,
    /// With what the project is compared where that is not the remote's bundle.
    #[serde(skip)]
    stand_in: Option<String>,
}

/// One path that cannot be read.
#[derive(Serialize)]
pub(crate) struct UnreadableReport {
    /// The path.
    pub(crate) path: String,
    /// Why not.
    pub(crate) reason: String,
}

impl UnreadableReport {
    pub(crate) fn of(refused: &[Refused]) -> Vec<Self> {
        let report = |one: &Refused| Self { path: one.path.clone(), reason: one.reason.to_string() };
        refused.iter().map(report).collect()
    }
}

/// Leaves out what cannot be read: nobody knows what it holds.
pub(crate) fn leave_out_unreadable(changes: &mut Vec<PathChange>, found: &Scan) {
    let mut unreadable = found.unreadable.iter().map(|refused| refused.path.as_str()).peekable();
    changes.retain(|each| {
        while unreadable.next_if(|path| *path < each.path.as_str()).is_some() {}
        unreadable.next_if_eq(&each.path.as_str()).is_none()
    });
}

/// One path that differs.
#[derive(Serialize)]
pub(crate) struct ChangeReport<'a> {
    /// The path.
    pub(crate) path: &'a str,
    /// How it differs, by a name of the three-way rules, such as `modified_local`.
    pub(crate) change: &'static str,
    /// The project's file.
    pub(crate) local: Option<FileReport>,
    /// The remote's file; its size is unknown where only what was last agreed on is.
    pub(crate) remote: Option<FileReport>,
}

/// One side's file.
#[derive(Serialize)]
pub(crate) struct FileReport {
    /// The digest of its content.
    pub(crate) digest: Digest,
    /// Its size in bytes.
    pub(crate) size: Option<u64>,
    /// Whether it may be run; absent where the bundle does not say.
    pub(crate) executable: Option<bool>,
}

/// What a person asked to see.
#[derive(Default)]
struct Shows {
    details: bool,
    untracked: bool,
    only_untracked: bool,
    /// The rule behind everything ignored.
    rules: bool,
    /// Every unchanged path, where they were asked for.
    unchanged: Vec<String>,
}

impl Report for StatusReport<'_> {
    fn write_text(&self, out: &mut dyn Write) -> io::Result<()> {
        if self.shows.only_untracked {
            self.untracked.iter().try_for_each(|path| writeln!(out, "{}", shown(path)))?;
            return self.write_ignored(out);
        }
        if let Some(named) = &self.details {
            return named.write_text(out, true);
        }
        write!(out, "Remote {}, tag {}: {}", self.reference, self.tag, self.remote.state.words())?;
        match self.remote.digest {
            Some(digest) => writeln!(out, ", {digest}")?,
            None => writeln!(out)?,
        }
        if let Some(View { include, exclude, .. }) = &self.view {
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
        if let Some(message) = &self.remote.message {
            writeln!(out, "  {}", shown(message))?;
        }
        if let Some(hint) = &self.remote.hint {
            writeln!(out, "  hint: {}", shown(hint))?;
        }
        if let Some(stand_in) = &self.remote.stand_in {
            writeln!(out, "  compared with {}", shown(stand_in))?;
        }
        if !self.changes.is_empty() {
            writeln!(out, "\nChanges:")?;
        }
        let listed = if self.shows.unchanged.is_empty() && !self.shows.details { LISTED } else { usize::MAX };
        for change in self.changes.iter().take(listed) {
            change.write_text(out, self.shows.details)?;
        }
        if let Some(more) = self.changes.len().checked_sub(listed).filter(|more| *more > 0) {
            writeln!(out, "  and {more} more: see --files")?;
        }
        if !self.unreadable.is_empty() {
            writeln!(out, "\nCannot be read, and so not compared; a push or a pull would refuse:")?;
        }
        for UnreadableReport { path, reason } in &self.unreadable {
            writeln!(out, "  {}: {reason}", shown(path))?;
        }
        let unchanged = self.summary.get(Change::Unchanged.name()).copied().unwrap_or_default();
        if unchanged > 0 {
            let named = if self.shows.unchanged.is_empty() { &self.unchanged } else { &self.shows.unchanged };
            let more = if named.len() < unchanged { ", …" } else { "" };
            if self.shows.unchanged.is_empty() {
                let named: Vec<_> = named.iter().map(|path| shown(path).to_string()).collect();
                writeln!(out, "\n{unchanged} unchanged: {}{more}", named.join(", "))?;
            } else {
                writeln!(out, "\nUnchanged:")?;
                for path in named {
                    writeln!(out, "  {}", shown(path))?;
                }
            }
        }
        if !self.untracked.is_empty() {
            if self.shows.untracked {
                writeln!(out, "\nUntracked:")?;
                for path in &self.untracked {
                    writeln!(out, "  {}", shown(path))?;
                }
            } else {
                let files = counted(self.untracked.len(), "untracked file");
                let add = as_typed("`modelops-bundle add`");
                writeln!(out, "\n{files}: see --untracked, or track with {add}")?;
            }
        }
        self.write_ignored(out)?;
        if self.changes.is_empty() && unchanged == 0 && self.unreadable.is_empty() {
            writeln!(out, "\nNothing is tracked yet: {}", as_typed("`modelops-bundle add PATH`"))?;
        }
        Ok(())
    }
}

impl StatusReport<'_> {
    /// Where the project is, as against the tag.
    fn place(&self) -> Option<String> {
        let AtReport { digest, version } = self.base.as_ref()?;
        let at = version.as_ref().map_or_else(|| digest.short(), |version| shown(version).to_string());
        let unseen = match self.unseen.len() {
            0 => String::new(),
            count => format!("; {} there that yours is not built on", counted(count, "change")),
        };
        let bundles = |count: u64| counted(usize::try_from(count).unwrap_or(usize::MAX), "bundle");
        Some(match (self.ahead, self.behind) {
            (Some(0), Some(0)) => format!("you are at {at}, which it is"),
            (Some(ahead), _) if ahead > 0 => format!("you are at {at}, {} ahead of it", bundles(ahead)),
            (_, Some(behind)) if behind > 0 => {
                format!("you are at {at}, {} behind it{unseen}", bundles(behind))
            }
            _ => format!("you are at {at}{unseen}"),
        })
    }

    fn write_ignored(&self, out: &mut dyn Write) -> io::Result<()> {
        let Some(ignored) = self.ignored.as_ref().filter(|ignored| !ignored.is_empty()) else {
            return Ok(());
        };
        writeln!(out, "\nIgnored:")?;
        for IgnoredReport { path, rule } in ignored {
            match self.shows.rules {
                true => writeln!(out, "  {}: {rule}", shown(path))?,
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
                path: each.path.as_str(),
                change: each.change.name(),
                local: local
                    .next_if(|file| file.path == each.path)
                    .map(|file| FileReport::of(file, Sizes::Known)),
                remote: remote.next_if(|file| file.path == each.path).map(|file| FileReport::of(file, sizes)),
            }
        })
        .collect()
}

impl FileReport {
    fn of(file: &File, sizes: Sizes) -> Self {
        let size = (sizes == Sizes::Known).then_some(file.size);
        Self { digest: file.digest, size, executable: file.executable }
    }
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
        path: each.path.as_str(),
        change: each.change.name(),
        local: local.at(&each.path).map(|file| FileReport::of(file, Sizes::Known)),
        remote: remote.at(&each.path).map(|file| FileReport::of(file, sizes)),
    })
}

impl ChangeReport<'_> {
    fn write_text(&self, out: &mut dyn Write, details: bool) -> io::Result<()> {
        writeln!(out, "  {:<16} {}", self.change, shown(self.path))?;
        if details {
            for (side, file) in [("local", &self.local), ("remote", &self.remote)] {
                if let Some(FileReport { digest, size, executable }) = file {
                    let size = size.map_or_else(|| "?".to_owned(), |size| size.to_string());
                    let mode = if *executable == Some(true) { ", executable" } else { "" };
                    writeln!(out, "    {side:<6} {digest}, {size} bytes{mode}")?;
                }
            }
        }
        Ok(())
    }
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
    let (workspace, core) = session.core_beside(|| session.workspace())?;
    let reference = configured(&workspace)?;
    let untracked = if args.names_ignored() { Untracked::NameIgnored } else { Untracked::List };
    let look_here = || look_at_readable(&workspace, untracked, session.ui.progress().as_ref());
    let (mut found, answer, requests) = if args.offline || args.untracked_only {
        (look_here()?, None, None)
    } else {
        let remote = session.remote(&reference)?;
        let context = session.context(&core, remote.as_ref()).with_cache(&workspace.project);
        let (found, answer) = std::thread::scope(|scope| {
            let looking = start(scope, "look", look_here)?;
            let answer = ask(session, context, &reference);
            Ok::<_, CliError>((looking.join(), answer))
        })?;
        let found = found.unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
        (found, Some(answer?), Some(remote.requests()))
    };
    let standing = match &answer {
        Some(Ok(bundle)) => {
            let digest = bundle.as_ref().map(|bundle| bundle.digest);
            let tag = reference.tag.as_ref();
            tag.map(|tag| workspace.standing(&core, &reference, tag, digest, bundle.as_ref())).transpose()?
        }
        _ => None,
    };
    let (remote, files, sizes) = weigh(&workspace, &reference, answer);
    let base = &workspace.state.last_synced;
    found.recall_modes(&workspace.project, base, &files);
    let whole = Sides { local: &found.files, remote: &files, base, tracked: &workspace.tracked };
    let viewed = Viewed::of(whole, Views::same(&workspace.state.view));
    let sides = viewed.sides(whole);
    let mut changes = core.diff(sides)?;
    leave_out_unreadable(&mut changes, &found);
    let unseen = match standing {
        Some(standing) if !standing.is_free() => {
            let none = ByPath::default();
            let facts =
                PushFacts { builds: Builds::ByPaths, rewrite: Rewrite::No, untracked: &none, settled: 0 };
            core.plan_push(sides, facts, &none)?.decision.unseen
        }
        _ => Vec::new(),
    };
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
    report.environment = pinned.map(PinnedReport::from);
    let printed = session.ui.report(&report);
    // The program ends here: to give back several hundred thousand small texts one by one would only take time.
    std::mem::forget(report);
    std::mem::forget((workspace, found, files, changes));
    printed
}

fn ask(
    session: &Session<'_>,
    context: Context<'_>,
    reference: &Reference,
) -> Result<Result<Option<Bundle>, OpenError>, CliError> {
    let version = version_of(reference);
    Ok(session.runtime()?.block_on(open(context, &version)))
}

/// What the answer says of the remote, and the files to compare with.
fn weigh(
    workspace: &Workspace,
    reference: &Reference,
    answer: Option<Result<Option<Bundle>, OpenError>>,
) -> (RemoteReport, ByPath<File>, Sizes) {
    let (state, error) = match answer {
        Some(Ok(Some(bundle))) => {
            let remote = RemoteReport {
                state: RemoteState::Available,
                digest: Some(bundle.digest),
                message: None,
                hint: None,
                stand_in: None,
            };
            return (remote, bundle.index_view.files, Sizes::Known);
        }
        // Nobody has deleted anything where nothing was pushed.
        Some(Ok(None)) => (RemoteState::Empty, None),
        Some(Err(error)) => (state_of(&error), Some(CliError::from(error))),
        None => (RemoteState::Offline, None),
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
    let remote = RemoteReport { state, digest: None, message, hint, stand_in: last_synced(workspace) };
    (remote, last_agreed(workspace), Sizes::Unknown)
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
        OpenError::Remote(
            RemoteError::ConnectionRefused { .. }
            | RemoteError::HostNotFound { .. }
            | RemoteError::Proxy { .. }
            | RemoteError::ProxySetting { .. }
            | RemoteError::Stalled { .. }
            | RemoteError::Tls { .. }
            | RemoteError::Unreachable { .. }
            | RemoteError::WantsTls { .. },
        ) => RemoteState::Unreachable,
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

/// The files that both sides last agreed on, standing in for a remote that was not asked.
fn last_agreed(workspace: &Workspace) -> ByPath<File> {
    let files = workspace.state.last_synced.par_iter().map(|synced| File {
        path: synced.path.clone(),
        digest: synced.digest,
        size: 0,
        executable: synced.executable,
    });
    ByPath::keeping_first(files.collect())
}

#[expect(clippy::too_many_arguments, reason = "a report is made of all that was found")]
fn report<'a>(
    workspace: &Workspace,
    reference: &Reference,
    remote: RemoteReport,
    place: &Place,
    changes: &'a [PathChange],
    found: &Scan,
    files: &ByPath<File>,
    sizes: Sizes,
    args: &StatusArgs,
) -> StatusReport<'a> {
    let mut summary = BTreeMap::new();
    for change in changes {
        *summary.entry(change.change.name()).or_default() += 1;
    }
    let unchanged =
        || changes.iter().filter(|each| each.change == Change::Unchanged).map(|each| each.path.to_string());
    StatusReport {
        reference: reference.without_version().to_string(),
        tag: reference.tag.as_ref().map(ToString::to_string).unwrap_or_default(),
        environment: None,
        remote,
        base: workspace.synced.bundle.as_ref().map(|bundle| AtReport {
            digest: bundle.described.digest,
            version: bundle.described.version.clone(),
        }),
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
        view: Some(&workspace.state.view).filter(|view| !view.is_whole()).cloned(),
        unseen: place.unseen.iter().map(SeenChange::from).collect(),
        summary,
        changes: change_reports(changes, &found.files, files, sizes),
        unchanged: unchanged().take(NAMED_UNCHANGED).collect(),
        unreadable: UnreadableReport::of(&found.unreadable),
        untracked: found.untracked.iter().map(ToString::to_string).collect(),
        ignored: args.names_ignored().then(|| found.ignored.iter().map(IgnoredReport::from).collect()),
        requests: None,
        details: None,
        shows: Shows {
            details: args.details.is_some() || args.explain,
            rules: args.explain,
            only_untracked: args.untracked_only,
            untracked: args.untracked,
            unchanged: if args.files { unchanged().collect() } else { Vec::new() },
        },
    }
}

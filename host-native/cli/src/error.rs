//! What a command says when it fails: what, why and what next, and the exit code that goes with it.
//!
//! Help is written here and nowhere else. Each error of the library is matched in full, so that a new one asks for
//! its words.

use std::collections::BTreeSet;
use std::error::Error;
use std::fmt::{self, Write as _};
use std::io;
use std::path::Path;
use std::time::Duration;

use bundle_core::bundle::foreign::{Foreign, ForeignKind};
use bundle_core::diff::{ConflictKind, PathChange};
use bundle_core::digest::Digest;
use bundle_core::name::path::{BundlePath, PathFault};
use bundle_core::name::reference::{Place, Reference, ReferenceError, Tag};
use bundle_core::plan::fetch::Disproportion;
use bundle_core::plan::pull::Blocked;
use bundle_core::plan::push::LeftBehind;
use bundle_core::plan::standing::Standing;
use modelops_bundle_report::{BlockedReport, ErrorDocument, ErrorReport, SeenChange};

use super::args::Command;
use super::documents::seen;
use super::program::as_typed;
use super::scarcity::{Scarcity, causes};
use super::ui::{bytes, counted, shown};
use modelops_bundle::address_space::{self, Shortage};
use modelops_bundle::bundle::OpenError;
use modelops_bundle::client::Cancelled;
use modelops_bundle::component::answers::{
    FactsError, IndexError, ManifestError, ResolveError, SealError, VersionError,
};
use modelops_bundle::component::{self, CallError, CoreError};
use modelops_bundle::credentials::config::ConfigPlace;
use modelops_bundle::credentials::server::Server;
use modelops_bundle::credentials::{CredentialsError, Origin};
use modelops_bundle::entry::EnterError;
use modelops_bundle::environment::{EnvironmentError, Pinned};
use modelops_bundle::health::Finding;
use modelops_bundle::ops;
use modelops_bundle::output_file::OutputError;
use modelops_bundle::patch::PatchError;
use modelops_bundle::project::config::{ConfigError, SetError};
use modelops_bundle::project::disk_path::DiskPathError;
use modelops_bundle::project::folder::FindError;
use modelops_bundle::project::journal::{CommitError, PrepareError};
use modelops_bundle::project::keeping::KeepError;
use modelops_bundle::project::lock::LockError;
use modelops_bundle::project::new_project::BeginError;
use modelops_bundle::project::reach::ReachError;
use modelops_bundle::project::recovery::RecoverError;
use modelops_bundle::project::settings::SETTINGS;
use modelops_bundle::project::state::StateError;
use modelops_bundle::project::tracked::TrackedError;
use modelops_bundle::project::undo::BundleAt;
use modelops_bundle::pull::PullError;
use modelops_bundle::push::{PlanVersionError, PushError, UnseenBundle};
use modelops_bundle::remote::error::{
    ArchiveError, ArchiveFault, BlobError, ConnectionError, LayoutError, LoginError, RegistryError,
};
use modelops_bundle::remote::registry::catalog::CatalogError;
use modelops_bundle::remote::registry::proxy::ProxyFault;
use modelops_bundle::remote::text::spoken;
use modelops_bundle::remote::{Notice, RemoteError, RemoteErrorKind, TlsFault, TlsFileError};
use modelops_bundle::remove::RemoveError;
use modelops_bundle::scan::select::SelectError;
use modelops_bundle::scan::{RefusalReason, Refused, ScanError};
use modelops_bundle::threads::ThreadError;
use modelops_bundle::track::TrackError;
use modelops_bundle::transfer::{
    DeleteError, DownloadError, ExportError, Fault, PackingError, PartlyTagged, TablesError, TagError,
    UploadError, VerifyError, tells_damage,
};
use modelops_bundle::undo::UndoError;
use modelops_bundle::whole_file::FileFault;
use modelops_bundle::workspace::LoadError;

/// How a command ended. The numbers are part of the interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    /// Anything that has no number of its own.
    Failure = 1,
    /// The command line or an input cannot be understood.
    Usage = 2,
    /// Something would be lost; nothing was changed.
    Conflict = 3,
    /// The tag moved, or a version exists.
    Moved = 4,
    /// Who asks is not known or not allowed to.
    Authentication = 5,
    /// There is no such bundle, project or file.
    NotFound = 6,
    /// No useful answer from the network.
    Network = 7,
    /// Bytes are not what they should be.
    Integrity = 8,
    /// The terminal was closed.
    HungUp = 129,
    /// Ctrl-C.
    Interrupted = 130,
    /// Somebody asked for the end.
    Terminated = 143,
}

impl Exit {
    fn name(self) -> &'static str {
        match self {
            Self::Failure => "failure",
            Self::Usage => "usage",
            Self::Conflict => "conflict",
            Self::Moved => "tag_moved",
            Self::Authentication => "authentication",
            Self::NotFound => "not_found",
            Self::Network => "network",
            Self::Integrity => "integrity",
            Self::HungUp => "hung_up",
            Self::Interrupted => "interrupted",
            Self::Terminated => "terminated",
        }
    }
}

/// A failure, in words.
#[derive(Debug)]
pub(crate) struct CliError {
    pub(crate) exit: Exit,
    message: String,
    hint: Option<String>,
    /// What the system has run out of, where that is the cause: whatever was being done, the remedy is the same.
    scarcity: Option<Scarcity>,
    paths: Vec<String>,
    /// What stops a pull, path by path.
    blocked: Vec<BlockedPath>,
    /// What a push would undo.
    unseen: Vec<SeenChange>,
    /// The tags that were written before it failed.
    written: Vec<String>,
    /// The tags that were to be written, and were not.
    left: Vec<String>,
    /// Whether a report has said it all to a machine.
    pub(crate) is_reported: bool,
}

/// A path that stops a pull, as a document and as a kind.
#[derive(Debug)]
struct BlockedPath {
    report: BlockedReport,
    kind: Option<ConflictKind>,
}

impl BlockedPath {
    fn of(one: &Blocked) -> Self {
        let report = BlockedReport {
            path: one.path.to_string(),
            change: one.change.name().into(),
            kind: one.kind.map(|kind| kind.name().into()),
        };
        Self { report, kind: one.kind }
    }

    /// What is said behind the path.
    fn words(&self) -> &'static str {
        match self.kind {
            Some(ConflictKind::AddedBoth) => ": added on both sides",
            Some(ConflictKind::DeletedHereEditedThere) => ": deleted here, changed there",
            Some(ConflictKind::EditedBoth) => ": changed on both sides",
            Some(ConflictKind::EditedHereDeletedThere) => ": changed here, deleted there",
            Some(ConflictKind::InTheWay) => ": in the way",
            Some(ConflictKind::Mode) => ": its content was changed on one side and its mode on the other",
            Some(ConflictKind::RemovedHereEditedThere) => ": no longer tracked here, changed there",
            None => "",
        }
    }
}

/// A wait that a registry asks for and nobody sits through.
const LONG_WAIT: Duration = Duration::from_secs(60);

/// The most characters of a message: its paths are listed on their own.
const LONGEST_MESSAGE: usize = 4000;

/// More paths than these are counted, not listed, where people read.
const LISTED_PATHS: usize = 20;

impl CliError {
    pub(crate) fn new(exit: Exit, message: impl fmt::Display) -> Self {
        let mut message = as_typed(&without_system_numbers(&message.to_string())).into_owned();
        // Some errors of libraries quote whole values of a file.
        if let Some((end, _)) = message.char_indices().nth(LONGEST_MESSAGE) {
            message.truncate(end);
            message.push('…');
        }
        let (paths, written, left) = (Vec::new(), Vec::new(), Vec::new());
        let (blocked, unseen) = (Vec::new(), Vec::new());
        Self {
            exit,
            message,
            hint: None,
            scarcity: None,
            paths,
            blocked,
            unseen,
            written,
            left,
            is_reported: false,
        }
    }

    /// A signal ended `command`, and `go_on` says what can be done.
    pub(crate) fn stopped(exit: Exit, command: &str, go_on: &str) -> Self {
        let why = match exit {
            Exit::HungUp => "its terminal was closed",
            Exit::Terminated => "it was asked to end",
            _ => "it was interrupted",
        };
        Self::new(exit, format_args!("{command} was stopped: {why}")).hint(go_on)
    }

    /// The same, when `written` were written already.
    #[must_use]
    pub(crate) fn after_writing(self, written: Vec<String>) -> Self {
        let names = if written.len() == 1 { "names" } else { "name" };
        let message = format!("{}; {} {names} the bundle already", self.message, written.join(", "));
        Self { message, written, ..self }
    }

    /// Ctrl-C in place of a password.
    pub(crate) fn password_interrupted() -> Self {
        Self::stopped(Exit::Interrupted, "login", NOTHING_HALF_DONE)
    }

    /// The message of `error` with all that lies behind it.
    fn of(exit: Exit, error: &(dyn Error + 'static)) -> Self {
        let mut message = String::new();
        for cause in causes(error) {
            let text = cause.to_string();
            // Some errors repeat what they come from.
            if !message.ends_with(&text) {
                message.push_str(if message.is_empty() { "" } else { ": " });
                message.push_str(&text);
            }
        }
        let scarcity = Scarcity::behind(error);
        Self { hint: scarcity.map(Scarcity::remedy), scarcity, ..Self::new(exit, message) }
    }

    /// The same of what is said in `what`, and failed by `error`.
    pub(crate) fn because_of(exit: Exit, what: impl fmt::Display, error: &(dyn Error + 'static)) -> Self {
        let cause = Self::of(exit, error);
        Self { message: Self::new(exit, format_args!("{what}: {}", cause.message)).message, ..cause }
    }

    /// What to do about it; only the state that things are in, where the system has run out of something.
    #[must_use]
    pub(crate) fn hint(self, hint: impl Into<String>) -> Self {
        let hint = as_typed(&hint.into()).into_owned();
        let hint = match self.scarcity {
            None => hint,
            // What was not done stays said.
            Some(scarcity) => match hint.rsplit("; ").next().filter(|last| last.starts_with("no")) {
                Some(undone) => format!("{}; {undone}", scarcity.remedy()),
                None => scarcity.remedy(),
            },
        };
        Self { hint: Some(hint), ..self }
    }

    /// More to say in the hint than what to do.
    fn hint_also(self, more: &str) -> Self {
        let more = as_typed(more);
        let hint = self.hint.map_or_else(|| more.clone().into_owned(), |hint| format!("{hint}; {more}"));
        Self { hint: Some(hint), ..self }
    }

    /// A report has told a machine of it.
    pub(crate) fn reported(self) -> Self {
        Self { is_reported: true, ..self }
    }

    #[must_use]
    pub(crate) fn paths(mut self, paths: impl IntoIterator<Item = String>) -> Self {
        self.paths = paths.into_iter().collect();
        self
    }

    fn blocked(self, blocked: &[Blocked]) -> Self {
        let paths = blocked.iter().map(|one| one.path.to_string()).collect();
        Self { paths, blocked: blocked.iter().map(BlockedPath::of).collect(), ..self }
    }

    fn unseen(self, changes: &[PathChange]) -> Self {
        let paths = changes.iter().map(|each| each.path.to_string()).collect();
        Self { paths, unseen: changes.iter().map(seen).collect(), ..self }
    }

    /// Content was on its way to a remote: where the network is at fault, the next push goes on from there.
    fn after_sending(self) -> Self {
        if self.exit != Exit::Network {
            return self;
        }
        let hint = self.hint.as_deref().map(|hint| format!("{hint}; then "));
        Self { hint: Some(format!("{}{PUSH_GOES_ON}", hint.unwrap_or_default())), ..self }
    }

    fn refused(self, refused: &[Refused]) -> Self {
        self.because(refused.iter().map(|one| (one.path.as_str(), &one.reason)))
    }

    /// Names paths, the first of them with what is wrong with each.
    fn because<'a, R: fmt::Display>(self, reasons: impl Iterator<Item = (&'a str, R)> + Clone) -> Self {
        let listed = reasons.clone().take(LISTED_PATHS);
        let listed: Vec<String> = listed.map(|(path, reason)| format!("{}: {reason}", shown(path))).collect();
        Self { message: format!("{}: {}", self.message, listed.join("; ")), ..self }
            .paths(reasons.map(|(path, _)| path.to_owned()))
    }

    pub(crate) fn document(&self) -> ErrorDocument<'_> {
        let Self { exit, message, hint, paths, blocked, unseen, written, left, .. } = self;
        ErrorDocument {
            error: ErrorReport {
                code: *exit as u8,
                kind: exit.name().into(),
                message: message.into(),
                hint: hint.as_deref().map(Into::into),
                paths: paths.into(),
                blocked: blocked.iter().map(|one| one.report.clone()).collect(),
                unseen: unseen.into(),
                tags_written: written.into(),
                tags_not_written: left.into(),
            },
        }
    }
}

/// Leaves out what Rust puts behind the words of the system: a number that says nothing more.
fn without_system_numbers(message: &str) -> String {
    let mut parts = message.split(" (os error ");
    let mut plain = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        match part.split_once(')') {
            Some((number, rest)) if number.bytes().all(|b| b.is_ascii_digit()) => plain.push_str(rest),
            _ => plain.extend([" (os error ", part]),
        }
    }
    plain
}

impl fmt::Display for CliError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "error: {}", shown(&self.message))?;
        let words = self.blocked.iter().map(BlockedPath::words).chain(std::iter::repeat(""));
        for (path, words) in self.paths.iter().zip(words).take(LISTED_PATHS) {
            writeln!(f, "  {}{words}", shown(path))?;
        }
        if let Some(more) = self.paths.len().checked_sub(LISTED_PATHS).filter(|more| *more > 0) {
            writeln!(f, "  and {more} more")?;
        }
        if let Some(hint) = &self.hint {
            writeln!(f, "hint: {}", shown(hint))?;
        }
        Ok(())
    }
}

impl From<Shortage> for CliError {
    fn from(error: Shortage) -> Self {
        Self::of(Exit::Failure, &error).hint("allow more, or none at all; nothing was changed")
    }
}

impl From<io::Error> for CliError {
    fn from(error: io::Error) -> Self {
        Self::of(Exit::Failure, &error)
            .hint("check the paths that are named, their permissions and the free space")
    }
}

impl Command {
    /// Its name, as the user writes it.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Init(_) => "init",
            Self::Add(_) => "add",
            Self::Remove(_) => "remove",
            Self::Status(_) => "status",
            Self::Diff(_) => "diff",
            Self::Push(_) => "push",
            Self::Pull(_) => "pull",
            Self::Undo(_) => "undo",
            Self::Manifest(_) => "manifest",
            Self::Inspect(_) => "inspect",
            Self::Verify(_) => "verify",
            Self::Tag(_) => "tag",
            Self::Copy(_) => "copy",
            Self::Delete(_) => "delete",
            Self::Repos(_) => "repos",
            Self::Health(_) => "health",
            Self::Export(_) => "export",
            Self::Import(_) => "import",
            Self::Login(_) => "login",
            Self::Logout(_) => "logout",
            Self::Config(_) => "config",
            Self::Env(_) => "env",
            Self::Core(_) => "core",
            Self::Completions(_) => "completions",
            Self::Man(_) => "man",
            Self::Dev(_) => "dev",
            Self::Python(command) => command.name(),
        }
    }

    /// What to do where it was stopped before it was done.
    pub(crate) fn how_to_go_on(&self) -> &'static str {
        match self {
            Self::Push(_) => PUSH_GOES_ON,
            Self::Pull(_) => "no file was changed; pull again",
            Self::Export(_) => "nothing half-written was left; export again, which begins anew",
            Self::Import(args) if args.dest.is_some() => "no file was changed; import again",
            Self::Import(_) | Self::Copy(_) => {
                "run it again to go on: what the target has by now is not copied again"
            }
            Self::Tag(_) | Self::Delete(_) => {
                "see with `modelops-bundle manifest` what the tags name now, and run it again"
            }
            Self::Init(_)
            | Self::Add(_)
            | Self::Remove(_)
            | Self::Undo(_)
            | Self::Config(_)
            | Self::Env(_)
            | Self::Dev(_)
            | Self::Login(_)
            | Self::Logout(_)
            | Self::Core(_)
            | Self::Man(_) => NOTHING_HALF_DONE,
            Self::Status(_)
            | Self::Diff(_)
            | Self::Manifest(_)
            | Self::Inspect(_)
            | Self::Verify(_)
            | Self::Repos(_)
            | Self::Health(_)
            | Self::Python(_)
            | Self::Completions(_) => "it changes nothing; run it again",
        }
    }
}

impl Command {
    /// The same where tags were written by then.
    pub(crate) fn how_to_go_on_after_tags(&self) -> &'static str {
        match self {
            Self::Push(_) => {
                "that stays; push again, without --bump and before anything is edited, so that the project knows it"
            }
            other => other.how_to_go_on(),
        }
    }
}

const NOTHING_HALF_DONE: &str = "run it again: nothing is left half done";

const PUSH_GOES_ON: &str = "push again to go on: what the remote has by now is not sent again";

const AFTER_INTERRUPTION: &str = "nothing is lost: run the command again once that is mended";

impl CliError {
    /// The message, without hint and paths.
    pub(crate) fn message(&self) -> &str {
        &self.message
    }
}

impl From<ReferenceError> for CliError {
    fn from(error: ReferenceError) -> Self {
        Self::of(Exit::Usage, &error).hint(reference_hint(&error))
    }
}

fn reference_hint(error: &ReferenceError) -> String {
    let hint = match error {
        ReferenceError::Credentials => {
            "write HOST/NAME alone, since a reference is kept and shown; `modelops-bundle login HOST` is told who you are"
        }
        ReferenceError::Path { path } => {
            return format!("write a folder as oci:{path}, and an archive as oci-archive:{path}");
        }
        ReferenceError::FolderAsUrl { folder } => return format!("write the folder as oci:{folder}"),
        ReferenceError::Scheme { scheme } if scheme == "oci-archive" => "write a file as oci-archive:FILE",
        ReferenceError::Scheme { .. } => "write HOST/NAME; plain HTTP is asked for with --plain-http",
        ReferenceError::Repository { name } => repository_hint(name),
        ReferenceError::Tag { .. } => "choose another tag",
        ReferenceError::Digest(_) => "a digest is `sha256:` and 64 lower-case hex digits",
        ReferenceError::ControlCharacter
        | ReferenceError::Host { .. }
        | ReferenceError::NoDirectory
        | ReferenceError::NoHost { .. } => {
            "a reference is HOST[:PORT]/NAME[:TAG][@DIGEST], oci:DIR[:TAG] or oci-archive:FILE[:TAG]"
        }
    };
    hint.to_owned()
}

/// What to do about a repository's name that breaks the grammar.
fn repository_hint(name: &str) -> &'static str {
    if name.chars().any(char::is_uppercase) {
        "repository names are written in lower case"
    } else if name.is_empty() {
        "name the repository behind the host, as in HOST/NAME"
    } else if is_with_empty_part(name) {
        "leave out the `/` that stands beside nothing"
    } else if name.len() > 255 {
        "a repository name has at most 255 characters"
    } else {
        "a repository's name looks like team/model-1"
    }
}

impl From<RemoteError> for CliError {
    fn from(error: RemoteError) -> Self {
        let exit = match error.kind() {
            RemoteErrorKind::Authentication => Exit::Authentication,
            RemoteErrorKind::Integrity => Exit::Integrity,
            RemoteErrorKind::Moved => Exit::Moved,
            RemoteErrorKind::Network => Exit::Network,
            RemoteErrorKind::NotFound => Exit::NotFound,
            // `Other`.
            _ => Exit::Failure,
        };
        let hint = match &error {
            RemoteError::Login(LoginError::BadCredentials { host, origin, .. }) => {
                return Self::of(exit, &error).hint(refused_credentials_hint(host, origin));
            }
            RemoteError::Login(LoginError::Unauthorized { host, .. }) => {
                return Self::of(exit, &error).hint(format!(
                    "log in with `modelops-bundle login {host}`; with `-u USER --password-stdin` in scripts"
                ));
            }
            RemoteError::Connection(ConnectionError::Tls { fault, .. }) => tls_hint(fault),
            RemoteError::Connection(ConnectionError::Proxy { host, source, .. }) => {
                return Self::of(exit, &error).hint(proxy_hint(host, source));
            }
            RemoteError::Connection(ConnectionError::ProxySetting { .. }) => {
                "set it to a URL such as http://HOST:PORT, or unset it; hosts that NO_PROXY lists are reached without one"
            }
            RemoteError::Connection(
                ConnectionError::HostNotFound { host } | ConnectionError::Unreachable { host, .. },
            ) if is_no_host(host) => {
                return Self::of(exit, &error).hint(format!(
                    "`{host}` is taken for the registry's host, which comes first: write HOST/NAME, such as \
                     docker.io/{host}/NAME"
                ));
            }
            RemoteError::Login(LoginError::Credentials { source, .. }) => credentials_hint(source),
            RemoteError::Login(LoginError::Denied { .. }) => {
                "ask the registry's owner for that right, or log in as another user"
            }
            RemoteError::Connection(ConnectionError::Refused { .. }) => {
                "check the port, and whether the registry is running; nothing listens there now"
            }
            RemoteError::Connection(ConnectionError::HostNotFound { .. }) => {
                "check the spelling of the host's name, the network and its name server"
            }
            RemoteError::Registry(RegistryError::Downgrade { .. }) => {
                "whoever ends TLS before the registry has to tell it so: the proxy there has to set the header \
                 `X-Forwarded-Proto: https`, or the registry its own address"
            }
            RemoteError::Registry(RegistryError::Elsewhere { status: 401 | 403, .. }) => {
                "the address that the registry gave is not taken there: it may have run out, this machine's clock may be \
                 wrong, or something in between may change requests; try again, and else tell who runs the registry"
            }
            RemoteError::Registry(RegistryError::Elsewhere { .. }) => {
                "that host keeps the registry's content: try again, and else tell who runs the registry"
            }
            RemoteError::Registry(RegistryError::NoRepository { .. }) => {
                "have the repository made there first, check its name, or log in as a user who may push to it"
            }
            RemoteError::Registry(RegistryError::TakesNoPushes { .. }) => {
                "it is only read, or passes on what another registry has: push to that one, or to one of your own"
            }
            RemoteError::Registry(RegistryError::Redirected { .. }) => {
                "a push is not sent on to another address: name the registry by that address, if it is the right one"
            }
            RemoteError::Connection(ConnectionError::WantsTls { .. }) => {
                "leave out --plain-http, and name the authority that signed its certificate with --ca-file FILE; \
                 a registry on this machine is spoken to in TLS only with that"
            }
            RemoteError::Login(LoginError::Withheld { .. }) => {
                "a token server on another host is told credentials only over TLS, by name, and only where nobody can \
                 tamper with what the registry says: leave out --insecure and --plain-http"
            }
            RemoteError::Connection(ConnectionError::Unreachable { host, source }) => {
                return Self::unreachable(exit, host, source.as_ref());
            }
            RemoteError::Connection(ConnectionError::Stalled { .. }) => {
                "try again, or wait longer with --timeout SECONDS"
            }
            RemoteError::Registry(RegistryError::NotARegistry { .. }) => {
                "check the host's name and port; a proxy or a web page may be answering"
            }
            RemoteError::Registry(RegistryError::Status { asked_wait: Some(wait), .. })
                if *wait >= LONG_WAIT =>
            {
                return Self::of(exit, &error)
                    .hint(format!("run the command again after the {} that it asked for", spoken(*wait)));
            }
            RemoteError::Registry(RegistryError::Status { status: 501, .. }) => {
                "-vv shows the requests and their answers"
            }
            RemoteError::Registry(RegistryError::Status { status, .. })
                if *status >= 500 || *status == 429 =>
            {
                "the registry is busy or unwell: try again later, or with more --retries"
            }
            RemoteError::Registry(RegistryError::Status { .. }) | RemoteError::Protocol { .. } => {
                "-vv shows the requests and their answers"
            }
            RemoteError::Blob(BlobError::Digest { .. } | BlobError::Size { .. })
            | RemoteError::Registry(RegistryError::ContentRange { .. }) => {
                "what came is not what was stored: it was damaged or tampered with, and was not used"
            }
            RemoteError::Registry(RegistryError::Encoding { .. }) => {
                "a proxy or a cache on the way changes what it passes on: it has to leave everything below /v2/ as it is"
            }
            RemoteError::Archive(ArchiveError::Unreadable {
                path,
                source: ArchiveFault::Compressed { format },
            }) => {
                let undo = format!("undo that first: `{} {}`", format.undone_by(), path.display());
                return Self::of(exit, &error).hint(undo);
            }
            RemoteError::Archive(ArchiveError::Unreadable { source: ArchiveFault::NoLayout, .. }) => {
                "a plain tar of files, as `modelops-bundle export --files` writes it, is unpacked with `tar -xf`"
            }
            RemoteError::Archive(ArchiveError::Unreadable { source: ArchiveFault::NotATar, .. }) => {
                "name an archive that `modelops-bundle export` wrote, or an `oci-archive` of another tool"
            }
            RemoteError::Archive(ArchiveError::Unreadable { .. }) => {
                "the file is damaged, or no archive that `modelops-bundle export` wrote; nothing of it was used"
            }
            RemoteError::Layout(LayoutError::Index { .. }) => {
                "the layout is damaged, or lists more than any does: copy it again from its source; nothing of it was used"
            }
            RemoteError::Archive(ArchiveError::NoFile { .. }) => "check the path",
            RemoteError::Archive(ArchiveError::NotAFile { .. }) => "name a file",
            RemoteError::Blob(BlobError::TooLarge { .. }) => {
                "no program that keeps to the formats writes one of that size: ask whoever runs that place; nothing of it was used"
            }
            RemoteError::ConditionFailed { .. } => "pull, look at what changed, and push again",
            RemoteError::Blob(BlobError::ChangedWhileRead { .. }) => {
                "run the command again when the file is no longer being written"
            }
            RemoteError::Layout(LayoutError::LostManifest { place, tag, .. }) => {
                return Self::of(exit, &error).hint(again(&Reference {
                    place: place.clone(),
                    tag: Some(tag.clone()),
                    digest: None,
                }));
            }
            RemoteError::Missing { .. } => {
                "the registry may have collected it: `modelops-bundle push --force`, in a project that has the files, sends \
                 again what is lost"
            }
            RemoteError::Io { action: "read", .. } => "check the path and its permissions",
            RemoteError::Io { .. } => "check the path, its permissions and the free space",
            RemoteError::Layout(LayoutError::NotALayout { .. }) => "name another folder, or an empty one",
            RemoteError::Layout(LayoutError::OutsideLayout { .. }) => {
                "a layout holds regular files only; copy it again from its source"
            }
            RemoteError::Registry(RegistryError::DeletesOff { .. }) => DELETES_OFF,
            RemoteError::Unsupported { .. } => "use a registry or an `oci:` folder",
            _ => return Self::of(exit, &error),
        };
        Self::of(exit, &error).hint(hint)
    }
}

/// Why a registry may delete nothing: both are answered in the same way.
const DELETES_OFF: &str = "it is only read, as a docker-registry with `storage.maintenance.readonly` is, or whoever runs it has \
                           to allow it: a docker-registry by `storage.delete.enabled: true`";

/// Whether there is a `/` too many in a repository's name.
fn is_with_empty_part(name: &str) -> bool {
    !name.is_empty() && name.split('/').any(str::is_empty)
}

/// Whether a host is one in form alone: a name without a dot or a port is mostly the first part of a repository's name.
fn is_no_host(host: &str) -> bool {
    host != "localhost" && !host.contains(['.', ':'])
}

fn tls_hint(fault: &TlsFault) -> &'static str {
    match fault {
        TlsFault::AuthoritiesFile { .. } => {
            "SSL_CERT_FILE and SSL_CERT_DIR name files of certificates in PEM form: mend them, or unset them"
        }
        TlsFault::Authority => {
            "name this very certificate with --ca-file FILE, or make the server one that says CA:FALSE"
        }
        TlsFault::Expired { .. } => {
            "ask whoever runs it to renew the certificate, and check the clock of this machine"
        }
        TlsFault::IdentityWanted => {
            "show it a certificate that it trusts, with --cert FILE and --key FILE: ask whoever runs it for one"
        }
        TlsFault::Name { .. } => {
            "name the host as its certificate does, or ask whoever runs it for a certificate with this name"
        }
        TlsFault::NobodyTrusted => {
            "install the system's certificates (ca-certificates), or name the authority that signed the registry's with \
             --ca-file FILE"
        }
        TlsFault::NotYet => "check the clock of this machine",
        TlsFault::NoTls => {
            "check the port; a registry without TLS needs --plain-http, and none of --ca-file, --cert and --insecure"
        }
        TlsFault::UnknownAuthority => {
            "name the authority that signed the registry's certificate, or that certificate itself, with --ca-file FILE"
        }
        _ => "ask whoever runs it for a certificate and a version of TLS that are up to date",
    }
}

fn proxy_hint(host: &str, fault: &ProxyFault) -> String {
    let past = format!("hosts that NO_PROXY lists are reached without a proxy: NO_PROXY={host}");
    match fault {
        ProxyFault::WantsLogin => {
            format!("put user and password into the proxy's URL, http://USER:PASSWORD@HOST:PORT; {past}")
        }
        ProxyFault::Refused(_) | ProxyFault::NoTunnel => {
            format!("ask whoever runs the proxy to let it through; {past}")
        }
        _ => format!("check HTTPS_PROXY, HTTP_PROXY and ALL_PROXY; {past}"),
    }
}

/// What to do about credentials that were refused: where they are, since a login elsewhere would not count.
fn refused_credentials_hint(host: &str, origin: &Origin) -> String {
    let log_in = format!("log in anew with `modelops-bundle login {host}`");
    match origin {
        Origin::Given => {
            "check the user and the password; a registry may want a token in place of it".to_owned()
        }
        Origin::Variables { user, password, .. } => format!(
            "they come from the environment variables {user} and {password}, which go before every login: set them \
             right, or unset them and {log_in}"
        ),
        Origin::Variable { name } => format!(
            "they come from the environment variable {name}, which goes before every login: set it right, or unset it \
             and {log_in}"
        ),
        Origin::File { path, key } if Server::new(host, "").is_named_by(key) => {
            format!("they come from `{}`: {log_in}", path.display())
        }
        Origin::File { path, key } => format!(
            "they come from `{}`, where `{key}` goes before what a login keeps: mend that entry, or take it out and \
             {log_in}",
            path.display()
        ),
        Origin::Azure { registry } => format!(
            "they come from `az acr login --name {registry}`: run `az login` as a user who may use that registry, or {log_in}"
        ),
        Origin::Helper { program } => format!("they come from the credential helper `{program}`: {log_in}"),
    }
}

impl CliError {
    /// No connection. The innermost cause says why; what lies around it only says that somebody tried.
    fn unreachable(exit: Exit, host: &str, cause: &(dyn Error + Send + Sync + 'static)) -> Self {
        let mut innermost: &dyn Error = cause;
        while let Some(deeper) = innermost.source() {
            innermost = deeper;
        }
        let error = Self::new(exit, format_args!("cannot talk to {host}: {innermost}"));
        if host.contains(['.', ':']) || host == "localhost" {
            error.hint(
                "check the host's name, the port and the network; a registry without TLS needs --plain-http",
            )
        } else {
            error.hint(format!(
                "`{host}` was taken for the registry's host, with which a reference begins, as in docker.io/{host}/NAME"
            ))
        }
    }
}

fn credentials_hint(error: &CredentialsError) -> &'static str {
    match error {
        CredentialsError::Azure { .. } => {
            "run `az login`, or `modelops-bundle login HOST` with a token; see what `az` itself says with -vv"
        }
        CredentialsError::Config { place: ConfigPlace::File(_), .. } => {
            "mend the file, or move it away and log in anew"
        }
        CredentialsError::Config { place: ConfigPlace::Variable(_), .. } => {
            "set it to what Docker's file holds, such as {\"auths\":{\"HOST\":{\"auth\":\"…\"}}}, or unset it"
        }
        CredentialsError::Environment { .. } => "set both of them, or none",
        CredentialsError::Helper { .. }
        | CredentialsError::HelperAnswer { .. }
        | CredentialsError::HelperSilent { .. } => {
            "see what the helper itself says with -vv, or run it by hand: `echo HOST | docker-credential-NAME get`"
        }
        CredentialsError::HelperMissing { .. } => {
            "install it, or take its name out of `credsStore` and `credHelpers` in that file"
        }
        CredentialsError::Io { .. } => "check the path, its permissions and the free space",
        CredentialsError::NoHome => "name a file in the environment variable REGISTRY_AUTH_FILE",
        _ => "see what the program says with -vv",
    }
}

/// An error with all that lies behind it, without help.
pub(crate) fn in_one_line(error: &(dyn Error + 'static)) -> String {
    CliError::of(Exit::Failure, error).message
}

/// A notice, in words; none where it needs no saying, since the user named the registry himself.
pub(crate) fn notice_words(notice: &Notice, is_named: impl Fn(&str) -> bool) -> Option<String> {
    match notice {
        Notice::Anonymous { host, why } => {
            let cause = CliError::of(Exit::Authentication, why.as_ref());
            let hint = credentials_hint(why);
            Some(format!(
                "{host} wants a login, and the credentials for it cannot be found out: {}; what anybody may read is \
                 read without any\nhint: {hint}",
                shown(&cause.message)
            ))
        }
        Notice::CredentialsForAnyone { host, .. } if is_named(host) => None,
        Notice::CredentialsForAnyone { host, variable } => Some(format!(
            "{variable} and its password go to {}, which you did not name: the project's settings do; \
             MODELOPS_BUNDLE_REGISTRY=HOST says which registry they are for",
            shown(host)
        )),
        Notice::TryingAgain { why, wait } => {
            let cause = CliError::of(Exit::Network, why.as_ref());
            let seconds = wait.as_secs_f64();
            Some(format!("{}; it is tried again in {seconds:.1} s", shown(&cause.message)))
        }
        Notice::Waiting { lock, process } => {
            let who =
                process.map_or_else(|| "another process".to_owned(), |process| format!("process {process}"));
            Some(format!("waiting for {who} to finish, which holds {}", shown(&lock.display().to_string())))
        }
        other => Some(shown(&other.to_string()).to_string()),
    }
}

impl From<CredentialsError> for CliError {
    fn from(error: CredentialsError) -> Self {
        let exit = match &error {
            // Nobody was refused.
            CredentialsError::Io { .. } | CredentialsError::NoHome => Exit::Failure,
            _ => Exit::Authentication,
        };
        Self::of(exit, &error).hint(credentials_hint(&error))
    }
}

impl From<TlsFileError> for CliError {
    fn from(error: TlsFileError) -> Self {
        let hint = match &error {
            TlsFileError::Content { .. } => {
                "the file must begin with a line such as -----BEGIN CERTIFICATE-----"
            }
            _ => "check the path that --ca-file, --cert or --key names",
        };
        Self::of(Exit::Usage, &error).hint(hint)
    }
}

impl From<CoreError> for CliError {
    fn from(error: CoreError) -> Self {
        let hint = match (&error, address_space::limit()) {
            (CoreError::Stopped { .. }, Some(limit)) => format!(
                "this process may have {} of address space (`ulimit -v`): allow more, or none at all",
                bytes(limit)
            ),
            _ => "this is a fault of the component: compare `modelops-bundle core info`".to_owned(),
        };
        Self::of(Exit::Failure, &error).hint(hint)
    }
}

impl From<component::LoadError> for CliError {
    fn from(error: component::LoadError) -> Self {
        let hint = match &error {
            component::LoadError::Engine { .. } => {
                "this system does not let the program run compiled components; where `ulimit -v` is set, allow more"
            }
            component::LoadError::Contract { .. }
            | component::LoadError::Imports { .. }
            | component::LoadError::NoComponent { .. } => {
                "name a component that `modelops-bundle core extract` wrote, or another that fulfils its contract"
            }
            component::LoadError::Read { .. } => "check the path that --core names",
        };
        Self::of(Exit::Failure, &error).hint(hint)
    }
}

impl From<CallError> for CliError {
    fn from(error: CallError) -> Self {
        match error {
            CallError::Core(error) => error.into(),
            CallError::Input(_) | CallError::Refused(_) => Self::of(Exit::Usage, &error)
                .hint("the fields are those of the contract, in snake_case; `modelops-bundle core info` lists the functions"),
            CallError::UnknownFunction { .. } => {
                Self::of(Exit::Usage, &error).hint("`modelops-bundle core info` lists the functions")
            }
        }
    }
}

impl From<FactsError> for CliError {
    fn from(error: FactsError) -> Self {
        match error {
            FactsError::Core(error) => error.into(),
            FactsError::Nested { .. } => Self::of(Exit::Failure, &error)
                .hint("one of them has to go: untrack it with `modelops-bundle remove`"),
            FactsError::Digest(_)
            | FactsError::Other(_)
            | FactsError::Path(_)
            | FactsError::Repeated { .. }
            | FactsError::Size { .. } => Self::of(Exit::Failure, &error).hint(OWN_FAULT),
        }
    }
}

const OWN_FAULT: &str = "run the command again; if it fails in the same way, it is a fault of this program, which is to be reported";

const UNTOUCHED: &str = "the bundle is damaged, or means harm; nothing of it was used";

impl From<ManifestError> for CliError {
    fn from(error: ManifestError) -> Self {
        match error {
            ManifestError::Core(error) => error.into(),
            ManifestError::NotABundle(ref foreign) => {
                Self::of(Exit::Failure, &error).hint(way_to_get(foreign, None))
            }
            ManifestError::Unsupported { .. } => {
                Self::of(Exit::Failure, &error).hint("get a later version of this program")
            }
            ManifestError::Field(_)
            | ManifestError::IndexData(_)
            | ManifestError::Json(_)
            | ManifestError::Other(_)
            | ManifestError::TooLarge { .. } => Self::of(Exit::Integrity, &error).hint(UNTOUCHED),
        }
    }
}

/// Which program gets what is not a bundle, in a command that can be typed.
fn way_to_get(foreign: &Foreign, reference: Option<&Reference>) -> String {
    let name = reference.map_or_else(|| "REF".to_owned(), ToString::to_string);
    let on_disk = reference.and_then(OnDisk::of);
    match (foreign.kind, on_disk) {
        (ForeignKind::Image | ForeignKind::ImageIndex | ForeignKind::ImageSchema1, None) => {
            format!("images are for container tools: `docker pull {name}`; `skopeo copy` moves them")
        }
        (ForeignKind::Image | ForeignKind::ImageIndex | ForeignKind::ImageSchema1, Some(disk)) => format!(
            "images are for container tools: `skopeo copy {} docker://HOST/NAME:TAG` brings it to a registry",
            disk.skopeo
        ),
        (ForeignKind::HelmChart, None) => format!("charts are for Helm: `helm pull {}`", helm(reference)),
        (ForeignKind::HelmChart, Some(disk)) => format!(
            "charts are for Helm, which takes them from a registry: `oras cp --from-oci-layout {} HOST/NAME:TAG` brings it \
             there",
            disk.oras
        ),
        (ForeignKind::Artifact | ForeignKind::Attachment, None) => {
            format!("`oras pull {name}` gets its files, `oras cp` copies it")
        }
        (ForeignKind::Artifact | ForeignKind::Attachment, Some(disk)) => format!(
            "`oras pull --oci-layout {}` gets its files, `oras cp --from-oci-layout` copies it",
            disk.oras
        ),
        (ForeignKind::Document | ForeignKind::NotJson, _) => {
            "name a repository and tag that `modelops-bundle push` wrote".to_owned()
        }
    }
}

/// What Helm calls a chart in a repository.
fn helm(reference: Option<&Reference>) -> String {
    match reference {
        Some(Reference { place, tag: Some(tag), digest: None }) => format!("oci://{place} --version {tag}"),
        Some(reference) => format!("oci://{reference}"),
        None => "oci://HOST/NAME --version TAG".to_owned(),
    }
}

/// What other tools call something in a layout or an archive.
struct OnDisk {
    /// `oci:DIR:TAG` or `oci-archive:FILE:TAG`; it takes no digest.
    skopeo: String,
    /// `DIR:TAG` or `DIR@DIGEST`, behind an option that says it is on disk; archives as well.
    oras: String,
}

impl OnDisk {
    fn of(reference: &Reference) -> Option<Self> {
        let (transport, path) = match &reference.place {
            Place::Repository { .. } => return None,
            Place::Layout { directory } => ("oci", directory),
            Place::Archive { file } => ("oci-archive", file),
        };
        let tag = reference.tag.as_ref().map(|tag| format!(":{tag}")).unwrap_or_default();
        let digest = reference.digest.filter(|_| tag.is_empty());
        let digest = digest.map(|digest| format!("@{digest}")).unwrap_or_default();
        Some(Self { skopeo: format!("{transport}:{path}{tag}"), oras: format!("{path}{tag}{digest}") })
    }
}

impl From<IndexError> for CliError {
    fn from(error: IndexError) -> Self {
        match error {
            IndexError::Core(error) => error.into(),
            IndexError::Storage(_) | IndexError::Version { .. } => Self::of(Exit::Failure, &error)
                .hint("get a later version of this program; nothing was changed"),
            IndexError::Compression(_)
            | IndexError::Content(_)
            | IndexError::Field(_)
            | IndexError::Json(_)
            | IndexError::Nested { .. }
            | IndexError::NotInLayers { .. }
            | IndexError::Other(_)
            | IndexError::Pack(_)
            | IndexError::Path(_)
            | IndexError::TooLarge { .. }
            | IndexError::TwoSizes { .. } => Self::of(Exit::Integrity, &error).hint(UNTOUCHED),
        }
    }
}

impl From<SealError> for CliError {
    fn from(error: SealError) -> Self {
        match error {
            SealError::Core(error) => error.into(),
            SealError::Facts(error) => error.into(),
            SealError::TooManyLayers { .. } | SealError::ManifestTooLarge { .. } => {
                Self::of(Exit::Failure, &error).hint(
                    "layout `packed` has no such limit: `modelops-bundle init --layout packed`, or `auto`",
                )
            }
            SealError::Created(_) | SealError::Other(_) | SealError::Pack(_) | SealError::Replaces(_) => {
                Self::of(Exit::Failure, &error).hint(OWN_FAULT)
            }
        }
    }
}

impl From<ResolveError> for CliError {
    fn from(error: ResolveError) -> Self {
        match error {
            ResolveError::Core(error) => error.into(),
            ResolveError::Declared { .. }
            | ResolveError::DeclaredDiffers { .. }
            | ResolveError::Other(_)
            | ResolveError::PinnedDiffers { .. } => Self::of(Exit::Integrity, &error)
                .hint("the registry, or something before it, does not tell the truth"),
        }
    }
}

impl From<OpenError> for CliError {
    fn from(error: OpenError) -> Self {
        match error {
            OpenError::IndexText(_) => Self::of(Exit::Integrity, &error).hint(UNTOUCHED),
            OpenError::Index(error) => error.into(),
            OpenError::Manifest(error) => error.into(),
            OpenError::NotABundle { ref reference, ref foreign } => {
                Self::of(Exit::Failure, &error).hint(way_to_get(foreign, Some(reference)))
            }
            OpenError::Remote(error) => error.into(),
            OpenError::Resolve(error) => error.into(),
        }
    }
}

impl From<UploadError> for CliError {
    fn from(error: UploadError) -> Self {
        let UploadError { path, source } = error;
        let cause = Self::from(source);
        Self { message: format!("cannot send `{path}`: {}", cause.message), paths: vec![path], ..cause }
    }
}

impl From<ExportError> for CliError {
    fn from(error: ExportError) -> Self {
        match error {
            ExportError::Download(error) => error.into(),
            ExportError::Exists { path } => Self::exists(&path),
            ExportError::File(error) => error.into(),
        }
    }
}

impl From<DownloadError> for CliError {
    fn from(error: DownloadError) -> Self {
        match error {
            DownloadError::Fetch { path, source } => {
                let cause = Self::from(source);
                let message = format!("cannot fetch `{path}`: {}; nothing was changed", cause.message);
                Self { message, paths: vec![path], ..cause }
            }
            DownloadError::Content { .. } | DownloadError::Frame { .. } => Self::of(Exit::Integrity, &error)
                .hint(
                    "what came was damaged or tampered with: nothing of it was used, and nothing was changed",
                ),
            DownloadError::Core(error) => error.into(),
            DownloadError::NoRoom { folder, needed, free } => Self::new(
                Exit::Failure,
                format_args!(
                    "the files need {} in {}, and {} are free there",
                    bytes(needed),
                    folder.display(),
                    bytes(free)
                ),
            )
            .hint("make room; where most of the files are holes, say --any-size; nothing was changed"),
            DownloadError::Implausible(claim) => Self::implausible(claim),
            DownloadError::NoBlob { .. } | DownloadError::NoPlace { .. } => {
                Self::of(Exit::Integrity, &error).hint(UNTOUCHED)
            }
            DownloadError::Pack { pack, source } => {
                let cause = Self::from(source);
                let message = format!("cannot fetch the pack {pack}: {}; nothing was changed", cause.message);
                Self { message, ..cause }
            }
            DownloadError::Stopped => Self::of(Exit::Failure, &error).hint(OWN_FAULT),
            DownloadError::Threads(error) => error.into(),
            DownloadError::Tables(error) => error.into(),
            DownloadError::Staging { .. } => {
                Self::of(Exit::Failure, &error).hint("check permissions and free space; nothing was changed")
            }
        }
    }
}

impl From<PatchError> for CliError {
    fn from(error: PatchError) -> Self {
        match error {
            PatchError::Download(error) => error.into(),
            PatchError::NoContent { ref path } => {
                Self::of(Exit::Integrity, &error).paths([path.to_string()]).hint(SEND_AGAIN)
            }
        }
    }
}

impl CliError {
    /// What was compared was reported, and these were not.
    pub(crate) fn not_compared<'a>(reasons: impl Iterator<Item = (&'a str, &'a str)> + Clone) -> Self {
        let message = format!("{} could not be compared", counted(reasons.clone().count(), "tracked file"));
        let error = Self::new(Exit::Failure, message).because(reasons).hint(
            "all else was compared; check permissions and links, or untrack them with `modelops-bundle remove`",
        );
        Self { is_reported: true, ..error }
    }
}

impl From<PackingError> for CliError {
    fn from(error: PackingError) -> Self {
        match error {
            PackingError::Compression(_) | PackingError::Cut | PackingError::Stopped => {
                Self::of(Exit::Failure, &error).hint(OWN_FAULT)
            }
            PackingError::Threads(error) => error.into(),
            PackingError::Read(error) => Self::of(Exit::Failure, &error)
                .hint("run the command again when the file is no longer being written; no tag was moved"),
            PackingError::Staging { .. } => {
                Self::of(Exit::Failure, &error).hint("check permissions and free space; no tag was moved")
            }
            PackingError::Upload { digest, source } => {
                let cause = Self::from(source);
                Self { message: format!("cannot send the pack {digest}: {}", cause.message), ..cause }
            }
        }
    }
}

impl From<TablesError> for CliError {
    fn from(error: TablesError) -> Self {
        match error {
            TablesError::Fetch { pack, source } => {
                let cause = Self::from(source);
                let message = format!("cannot fetch the table of the pack {pack}: {}", cause.message);
                Self { message, ..cause }
            }
            TablesError::Refused { .. } => Self::of(Exit::Integrity, &error).hint(UNTOUCHED),
        }
    }
}

impl From<VerifyError> for CliError {
    fn from(error: VerifyError) -> Self {
        match error {
            VerifyError::Core(error) => error.into(),
            VerifyError::Open(error) => error.into(),
            VerifyError::Remote(error) => error.into(),
            VerifyError::Implausible(claim) => Self::implausible(claim),
            VerifyError::Stopped => Self::of(Exit::Failure, &error).hint(OWN_FAULT),
            VerifyError::Threads(error) => error.into(),
        }
    }
}

impl CliError {
    fn implausible(claim: Disproportion) -> Self {
        let (files, stored) = (bytes(claim.files), bytes(claim.stored));
        Self::new(
            Exit::Failure,
            format_args!("the bundle claims files of {files}, and only {stored} are stored of them"),
        )
        .hint(
            "it may be made to fill disks; if you know that its files are that large, say --any-size; nothing was changed",
        )
    }
}

impl From<ThreadError> for CliError {
    fn from(error: ThreadError) -> Self {
        let hint = match &error {
            ThreadError::NoFile { .. } => "allow more files to be open (`ulimit -n`); nothing was changed",
            ThreadError::NoThread { .. } => {
                "raise the limit on processes and threads (`ulimit -u`, or that of the container), or end other programs; \
                 nothing was changed"
            }
            ThreadError::Runtime => "nothing was changed",
        };
        Self::of(Exit::Failure, &error).hint(hint)
    }
}

impl CliError {
    /// All was done that was asked for, and then standard output could not be written.
    pub(crate) fn unprinted(error: &io::Error) -> Self {
        let what = "the command is done, but its result cannot be written to standard output";
        Self::because_of(Exit::Failure, what, error).hint_also(
            "what it changed stays changed: see `modelops-bundle status`; give its output another place",
        )
    }

    /// Nothing is of that name.
    pub(crate) fn no_bundle(reference: &Reference) -> Self {
        let place = reference.without_version();
        let error = Self::new(Exit::NotFound, format_args!("there is no bundle {reference}"));
        match &reference.tag {
            Some(tag) if reference.digest.is_none() && looks_like_a_file(tag.as_str()) => error.hint(format!(
                "`{tag}` was taken for a tag: a file that is there is named as oci-archive:{tag}; \
                 `modelops-bundle manifest {place}` lists the tags"
            )),
            _ => error.hint(format!(
                "`modelops-bundle manifest {place}` lists what there is; a project's first `modelops-bundle push` makes it"
            )),
        }
    }

    /// There is nothing at all at a place.
    pub(crate) fn no_place(reference: &Reference) -> Self {
        let place = &reference.place;
        match place {
            Place::Repository { host, .. } => Self::new(Exit::NotFound, format_args!("there is no repository {place}"))
                .hint(format!(
                    "check the name: `modelops-bundle repos {host}` lists those of a registry that tells; the first push \
                     makes one"
                )),
            Place::Layout { directory } => {
                Self::new(Exit::NotFound, format_args!("there is no folder {directory}"))
                    .hint("check the path; the first push makes a folder")
            }
            Place::Archive { file } => Self::new(Exit::NotFound, format_args!("there is no file {file}"))
                .hint("check the path"),
        }
    }

    /// An archive was to be changed.
    pub(crate) fn read_only_archive(place: &Place) -> Self {
        Self::new(
            Exit::Usage,
            format_args!("{place} is an archive, which is written as a whole and then only read"),
        )
        .hint(
            "name a registry or a folder, for a project with `modelops-bundle config set registry_ref REF`; \
             `modelops-bundle export` writes archives",
        )
    }

    /// The same failure, of what `reference` names.
    #[must_use]
    pub(crate) fn about(self, reference: &Reference) -> Self {
        Self { message: format!("{reference}: {}", self.message), ..self }
    }
}

/// Whether a text that may be a tag has the ending of a file.
fn looks_like_a_file(tag: &str) -> bool {
    let ending = tag.rsplit_once('.').map_or("", |(_, ending)| ending);
    (1..=5).contains(&ending.len()) && ending.bytes().any(|b| b.is_ascii_alphabetic())
}

impl CliError {
    /// What was found out about one aspect of a place, in words.
    pub(crate) fn of_finding(finding: Finding) -> Self {
        let (message, hint) = match finding {
            Finding::Failed(error) => return Self::from(error),
            Finding::NoBundle(version) => {
                return Self::new(Exit::NotFound, format_args!("it has no bundle {version}"))
                    .hint("`modelops-bundle manifest` lists what there is");
            }
            Finding::Admitted => ("it lets you in", ""),
            Finding::DoesNotApply => ("a place on disk has no such thing", ""),
            Finding::UploadLeftOpen => (
                "it takes an upload, and does not cancel one: the one of this check goes when the registry clears up",
                "nothing has to be done",
            ),
            Finding::UploadTaken => ("an upload was opened and cancelled", ""),
            Finding::Read => ("what is there can be read", ""),
            Finding::DeletedTag => ("a tag was written and deleted", ""),
            Finding::DeletedManifest => (
                "what was written could be deleted, but not a tag without its bundle",
                "`modelops-bundle delete` of a tag takes the whole bundle there, with all of its tags",
            ),
            Finding::DeletesOff => ("it deletes nothing", DELETES_OFF),
            Finding::DeletesOn => ("it deletes, as far as it says of a bundle that is not there", ""),
            Finding::Encrypted => ("encrypted, with a certificate that is trusted", ""),
            Finding::Latency(took) => {
                let message = format!("an answer takes {:.1} ms", took.as_secs_f64() * 1e3);
                return Self::new(Exit::Failure, message).hint(
                    "many small requests will be slow: a registry that is nearer, or more --concurrency",
                );
            }
            Finding::NoBlob => ("no blob is known of which a part could be asked for", "see with --write"),
            Finding::NoDate => ("its answers carry no time", ""),
            Finding::NoReferrers => (
                "it does not list what refers to a bundle, such as signatures",
                "this program does not need it; tools that do fall back to tags",
            ),
            Finding::NothingYet => ("there is nothing yet: the first push makes it", ""),
            Finding::PlainLoopback => ("plain HTTP, which does not leave this machine", ""),
            Finding::PlainNetwork => (
                "plain HTTP: whoever is on the way can read and change what is sent",
                "let the registry have a certificate, and leave out --plain-http",
            ),
            Finding::Ranges => ("it sends parts of blobs", ""),
            Finding::RangesIgnored => (
                "it sends whole blobs where a part is asked for",
                "pulls of packed bundles fetch more than they need; a proxy in between may be at fault",
            ),
            Finding::Referrers => ("it lists what refers to a bundle", ""),
            Finding::Reached => ("it is there", ""),
            Finding::Skew(seconds) => {
                let message =
                    format!("its clock and the one here are {} apart", counted(seconds as usize, "second"));
                return Self::new(Exit::Failure, message)
                    .hint("set this machine's clock, for example by NTP");
            }
            Finding::Unasked => ("not asked, because something else failed", ""),
            Finding::Unwanted => ("not asked, because of --read-only", ""),
            Finding::Writable => ("files can be written", ""),
            Finding::WrittenAsWhole => ("an archive is written as a whole, by `modelops-bundle export`", ""),
        };
        let words = Self::new(Exit::Failure, message);
        if hint.is_empty() { words } else { words.hint(hint) }
    }

    /// The hint alone.
    pub(crate) fn into_hint(self) -> Option<String> {
        self.hint
    }

    /// Something failed that is needed, and a report says what.
    pub(crate) fn unhealthy(exit: Exit, place: &str) -> Self {
        Self::new(exit, format_args!("{place} cannot be used as it is"))
    }
}

impl From<DeleteError> for CliError {
    fn from(error: DeleteError) -> Self {
        match error {
            DeleteError::Core(error) => error.into(),
            DeleteError::Off => Self::of(Exit::Failure, &error).hint(DELETES_OFF),
            DeleteError::NoManifest { .. } => Self::of(Exit::Failure, &error)
                .hint("give the tag a bundle first, by a push to it, and delete that; nothing was deleted"),
            DeleteError::Open(error) => error.into(),
            DeleteError::Foreign { .. } => Self::of(Exit::Conflict, &error).hint(
                "delete it all the same with --force, or with the tool that made it; nothing was deleted",
            ),
            DeleteError::OtherTags { .. } => Self::of(Exit::Conflict, &error)
                .hint("let those tags go too with --force; nothing was deleted"),
            DeleteError::Remote(error) => error.into(),
            DeleteError::StillThere { .. } => {
                Self::of(Exit::Failure, &error).hint("ask who runs the registry; it may be slow to forget")
            }
        }
    }
}

impl From<CatalogError> for CliError {
    fn from(error: CatalogError) -> Self {
        let elsewhere = "its web page or its own tools may list them; `modelops-bundle manifest HOST/NAME` shows \
                         what is in one that you know";
        match error {
            CatalogError::Closed { .. } => Self::of(Exit::Authentication, &error)
                .hint(format!("log in as someone who may see the whole registry; {elsewhere}")),
            CatalogError::Remote(error) => error.into(),
            _ => Self::of(Exit::Failure, &error).hint(elsewhere),
        }
    }
}

/// How a bundle that is damaged comes to be whole again, where its place is not known.
const SEND_AGAIN: &str = "send it again: `modelops-bundle push --force` in a project that has the files, or \
                          `modelops-bundle copy SRC DST --force` from where it is whole";

/// How a bundle that is damaged at its place comes to be whole there again.
fn again(reference: &Reference) -> String {
    let place = &reference.place;
    let named = match &reference.tag {
        Some(tag) => format!("{place}:{tag}"),
        None => format!("{place}:TAG"),
    };
    let send = format!(
        "`modelops-bundle push --force` in a project that has the files, or `modelops-bundle copy SRC {named} --force` from \
         where it is whole"
    );
    let forget = format!("`modelops-bundle delete {named}` takes the tag away");
    match place {
        Place::Layout { .. } => format!("send again what is lost or damaged: {send}; {forget}"),
        Place::Repository { .. } => format!(
            "send again what is lost: {send}; what a registry has and has damaged it keeps, so that this has to go to another \
             repository; {forget}"
        ),
        Place::Archive { .. } => "export it again from where it is whole".to_owned(),
    }
}

impl CliError {
    /// A bundle was found to be damaged before anything was done with it.
    pub(crate) fn damaged(reference: &str, faults: &[Fault]) -> Self {
        let mut message = format!("{reference} is damaged");
        if let Some(fault) = faults.first() {
            message.push_str(&format!(": {}: {}", fault.what, fault.message));
        }
        let more = faults.len().saturating_sub(1);
        if more > 0 {
            message.push_str(&format!("; and {more} more"));
        }
        let paths: BTreeSet<&BundlePath> = faults.iter().flat_map(|fault| &fault.paths).collect();
        Self::new(Exit::Integrity, message).paths(paths.into_iter().map(ToString::to_string)).hint(UNTOUCHED)
    }

    /// A bundle has faults, and a report says which.
    pub(crate) fn faulty(reference: &Reference, faults: &[Fault]) -> Self {
        let message = format_args!("{reference} is damaged: {}", counted(faults.len(), "fault"));
        let paths: BTreeSet<&BundlePath> = faults.iter().flat_map(|fault| &fault.paths).collect();
        Self::new(Exit::Integrity, message)
            .paths(paths.into_iter().map(ToString::to_string))
            .hint(again(reference))
    }
}

impl From<Cancelled> for CliError {
    fn from(error: Cancelled) -> Self {
        Self::of(Exit::Interrupted, &error)
    }
}

impl From<ops::status::StatusError> for CliError {
    fn from(error: ops::status::StatusError) -> Self {
        use ops::status::StatusError;
        match error {
            StatusError::Cancelled(error) => error.into(),
            StatusError::Core(error) => error.into(),
            StatusError::Facts(error) => error.into(),
            StatusError::Load(error) => error.into(),
            StatusError::Remote(error) => error.into(),
            StatusError::Scan(error) => error.into(),
            StatusError::Threads(error) => error.into(),
            error => Self::of(Exit::Failure, &error),
        }
    }
}

impl From<ops::list::ListError> for CliError {
    fn from(error: ops::list::ListError) -> Self {
        use ops::list::ListError;
        match error {
            ListError::Cancelled(error) => error.into(),
            ListError::Load(error) => error.into(),
            ListError::NoBundle { reference } => Self::no_bundle(&reference),
            ListError::NoPlace { reference } => Self::no_place(&reference),
            ListError::Open(error) => error.into(),
            ListError::Remote(error) => error.into(),
            error => Self::of(Exit::Failure, &error),
        }
    }
}

impl From<ops::repos::ReposError> for CliError {
    fn from(error: ops::repos::ReposError) -> Self {
        use ops::repos::ReposError;
        match error {
            ReposError::Cancelled(error) => error.into(),
            ReposError::Catalog(error) => error.into(),
            error => Self::of(Exit::Failure, &error),
        }
    }
}

impl From<ops::export::ExportingError> for CliError {
    fn from(error: ops::export::ExportingError) -> Self {
        use ops::export::ExportingError;
        match error {
            ExportingError::Cancelled(error) => error.into(),
            ExportingError::Exists { file } => Self::exists(&file),
            ExportingError::Export(error) => error.into(),
            ExportingError::Load(error) => error.into(),
            ExportingError::NoBundle { reference } => Self::no_bundle(&reference),
            ExportingError::Open(error) => error.into(),
            ExportingError::Output(error) => error.into(),
            ExportingError::Remote(error) => error.into(),
            error => Self::of(Exit::Failure, &error),
        }
    }
}

impl From<ops::copy::CopyError> for CliError {
    fn from(error: ops::copy::CopyError) -> Self {
        use ops::copy::CopyError;
        match error {
            CopyError::Cancelled(error) => error.into(),
            CopyError::Load(error) => error.into(),
            CopyError::NoBundle { reference } => Self::no_bundle(&reference),
            CopyError::NoTag => {
                Self::new(Exit::Usage, "no tag is named for the copy").hint("name one behind DST, as DST:TAG")
            }
            CopyError::Open(error) => error.into(),
            CopyError::OpenOne { reference, source } => Self::from(source).about(&reference),
            CopyError::Partly(error) => error.into(),
            CopyError::Remote(error) => error.into(),
            CopyError::Tag(error) => error.into(),
            error => Self::of(Exit::Failure, &error),
        }
    }
}

impl From<EnterError> for CliError {
    fn from(error: EnterError) -> Self {
        match error {
            EnterError::Begin(error) => error.into(),
            EnterError::Birth { source } => source.into(),
            EnterError::Config(error) => error.into(),
            EnterError::Find(error) => error.into(),
            EnterError::GitIgnore { file, source } => Self::gitignore(&file, &source),
            EnterError::Load(error) => error.into(),
            EnterError::Lock(error) => error.into(),
            EnterError::Recover(error) => error.into(),
            EnterError::Set(error) => error.into(),
            error => Self::of(Exit::Failure, &error),
        }
    }
}

impl From<ops::pull::PullingError> for CliError {
    fn from(error: ops::pull::PullingError) -> Self {
        use ops::pull::{PullingError, Side};
        match error {
            PullingError::Begin(error) => error.into(),
            PullingError::Cancelled(error) => error.into(),
            PullingError::Enter(error) => error.into(),
            PullingError::ExactPart => Self::new(
                Exit::Usage,
                "--exact means all of the bundle, and the project takes part in a part",
            )
            .hint("leave --exact out, or pull all of it with --include '**'; nothing was changed"),
            PullingError::Keep(error) => error.into(),
            PullingError::Load(error) => error.into(),
            PullingError::NoBundle { reference } => Self::no_bundle(&reference),
            PullingError::NothingIncluded { globs } => {
                Self::new(Exit::NotFound, "no file of the bundle is meant by --include")
                    .paths(globs)
                    .hint("name files as the bundle does, from the top of the project; nothing was changed")
            }
            PullingError::NothingSettled { side, unmatched } => {
                let option = if side == Side::Mine { "--mine" } else { "--theirs" };
                let message = format_args!("{option} settles nothing there: no conflict is at these paths");
                Self::new(Exit::Usage, message)
                    .paths(unmatched)
                    .hint("see the conflicts with --dry-run; nothing was changed")
            }
            PullingError::Open(error) => error.into(),
            PullingError::Pull(error) => error.into(),
            PullingError::Remote(error) => error.into(),
            PullingError::Scan(error) => error.into(),
            PullingError::Select(error) => error.into(),
            error => Self::of(Exit::Failure, &error),
        }
    }
}

impl From<ops::health::HealthError> for CliError {
    fn from(error: ops::health::HealthError) -> Self {
        use ops::health::HealthError;
        match error {
            HealthError::Cancelled(error) => error.into(),
            HealthError::Remote(error) => error.into(),
            error => Self::of(Exit::Failure, &error),
        }
    }
}

impl From<ops::login::LoginError> for CliError {
    fn from(error: ops::login::LoginError) -> Self {
        use ops::login::LoginError;
        match error {
            LoginError::Cancelled(error) => error.into(),
            LoginError::Credentials(error) => error.into(),
            LoginError::Remote(error) => error.into(),
            error => Self::of(Exit::Failure, &error),
        }
    }
}

impl From<ops::logout::LogoutError> for CliError {
    fn from(error: ops::logout::LogoutError) -> Self {
        use ops::logout::LogoutError;
        match error {
            LogoutError::Cancelled(error) => error.into(),
            LogoutError::Credentials(error) => error.into(),
            error => Self::of(Exit::Failure, &error),
        }
    }
}

impl From<ops::verify::VerifyError> for CliError {
    fn from(error: ops::verify::VerifyError) -> Self {
        use ops::verify::VerifyError;
        match error {
            VerifyError::Cancelled(error) => error.into(),
            VerifyError::Core(error) => error.into(),
            VerifyError::Load(error) => error.into(),
            VerifyError::NoBundle { reference } => Self::no_bundle(&reference),
            VerifyError::Open(error) => error.into(),
            VerifyError::Remote(error) => error.into(),
            VerifyError::Verify(error) => error.into(),
            error => Self::of(Exit::Failure, &error),
        }
    }
}

impl From<ops::tag::TaggingError> for CliError {
    fn from(error: ops::tag::TaggingError) -> Self {
        use ops::tag::TaggingError;
        match error {
            TaggingError::Cancelled(error) => error.into(),
            TaggingError::Load(error) => error.into(),
            TaggingError::NoBundle { reference } => Self::no_bundle(&reference),
            TaggingError::Open(error) => error.into(),
            TaggingError::Partly(error) => error.into(),
            TaggingError::Remote(error) => error.into(),
            TaggingError::Tag(error) => error.into(),
            error => Self::of(Exit::Failure, &error),
        }
    }
}

impl From<ops::delete::DeletionError> for CliError {
    fn from(error: ops::delete::DeletionError) -> Self {
        use ops::delete::DeletionError;
        match error {
            DeletionError::Cancelled(error) => error.into(),
            DeletionError::Delete(error) => error.into(),
            DeletionError::Load(error) => error.into(),
            DeletionError::Nothing { reference } => Self::no_bundle(&reference),
            DeletionError::Remote(error) => error.into(),
            error => Self::of(Exit::Failure, &error),
        }
    }
}

impl From<TagError> for CliError {
    fn from(error: TagError) -> Self {
        match error {
            TagError::Chosen { .. } => Self::of(Exit::Moved, &error)
                .hint("run the command again: it takes the version after that; no tag was moved"),
            TagError::Core(error) => error.into(),
            TagError::Moved { .. } => Self::of(Exit::Moved, &error).hint(
                "someone else wrote it: look at what changed, pull and push again, or run this again; the tag was left alone",
            ),
            TagError::Overtaken { pushed, .. } => Self::of(Exit::Moved, &error).hint(format!(
                "your bundle is there as {pushed}; look at what the tag names now, then pull and push, or run this again with --force"
            )),
            TagError::Unexpected { .. } => Self::of(Exit::Moved, &error)
                .hint("look at what it names with `modelops-bundle manifest`; it was left alone"),
            TagError::Published { .. } => Self::of(Exit::Moved, &error)
                .hint("choose a new version; a published one is moved only with `modelops-bundle tag --force`"),
            TagError::Foreign { .. } => Self::of(Exit::Conflict, &error)
                .hint("name another tag, or take this one with --force; nothing was changed"),
            TagError::Taken { .. } => Self::of(Exit::Moved, &error)
                .hint("name another tag, or move this one with --force; nothing was copied"),
            TagError::Open(error) => error.into(),
        }
    }
}

impl From<PartlyTagged> for CliError {
    fn from(error: PartlyTagged) -> Self {
        Self::partly_tagged(error, "run it again: what is there by now is not written again")
    }
}

impl CliError {
    /// Some tags may have been written, others were not; `go_on` says what to do once that can be done.
    fn partly_tagged(error: PartlyTagged, go_on: &str) -> Self {
        if error.written.is_empty() {
            return error.source.into();
        }
        let said = error.to_string();
        let PartlyTagged { written, left, source } = error;
        let cause = Self::from(source);
        let digests: BTreeSet<Digest> = written.iter().map(|(_, digest)| *digest).collect();
        let written: Vec<String> = written.iter().map(|(tag, _)| tag.to_string()).collect();
        let one = digests.first().filter(|_| digests.len() == 1);
        let bundle = one.map_or_else(|| "bundles".to_owned(), |digest| format!("bundle {digest}"));
        let is_one = written.len() == 1;
        let (names, stays) = if is_one { ("names", "stays") } else { ("name", "stay") };
        let published = format!("{} {names} your {bundle}, and {stays}", written.join(", "));
        let hint = match (cause.exit, &cause.hint) {
            (Exit::Moved, _) => {
                format!("{published}; pull, look at what changed, and push to the other tag again")
            }
            (_, Some(hint)) => format!("{published}; {hint}; then {go_on}"),
            (_, None) => format!("{published}; {go_on}"),
        };
        let left = left.iter().map(ToString::to_string).collect();
        let message = format!("{said}: {}", cause.message);
        Self { message, written, left, ..cause }.with_hint(&hint)
    }

    /// Has this hint in place of any.
    fn with_hint(self, hint: &str) -> Self {
        Self { hint: Some(as_typed(hint).into_owned()), ..self }
    }
}

const NEEDS_PULL: &str = "pushing needs the right to pull too, since a push looks first at what it would undo: ask the \
                          registry's owner for it, or log in as another user";

impl From<PushError> for CliError {
    fn from(error: PushError) -> Self {
        match error {
            PushError::Compression(_) => Self::of(Exit::Failure, &error).hint(OWN_FAULT),
            PushError::Core(error) => error.into(),
            PushError::Facts(error) => error.into(),
            PushError::Hidden { .. } => Self::of(Exit::Authentication, &error).hint(format!(
                "{NEEDS_PULL}; --force makes the place anew where it was deleted; nothing was sent"
            )),
            PushError::NoPlace { .. } => Self::of(Exit::Failure, &error).hint(OWN_FAULT),
            PushError::OutsideView { .. } => Self::of(Exit::NotFound, &error).hint(
                "copy the bundle there first with `modelops-bundle copy`, or pull all of it with --include '**'; nothing was sent",
            ),
            PushError::Open(OpenError::NotABundle { ref reference, .. }) => {
                let message = Self::of(Exit::Failure, &error).message;
                let hint = format!("push to another tag with --tag TAG, or {}", take_over(reference));
                Self::new(Exit::Failure, message).hint(hint)
            }
            PushError::Open(error) if tells_damage(&error) => Self::from(error).hint(
                "what the tag names is damaged: `modelops-bundle push --force` puts a whole bundle in its place; nothing was sent",
            ),
            PushError::Nested { .. } => Self::of(Exit::Conflict, &error)
                .hint("rename one of them, or pull all of the bundle with --include '**'; nothing was sent"),
            PushError::NotFiles { ref paths } => Self::of(Exit::Conflict, &error)
                .paths(paths.iter().map(ToString::to_string))
                .hint(
                    "put the files back, or let the bundle drop them with `modelops-bundle remove PATH`; the tag was left alone",
                ),
            PushError::NoTag => Self::of(Exit::Usage, &error).hint("name one with --tag"),
            PushError::Open(OpenError::Remote(ref denied @ RemoteError::Login(LoginError::Denied { .. }))) => {
                Self::of(Exit::Authentication, denied).hint(NEEDS_PULL)
            }
            PushError::Open(error) => error.into(),
            PushError::PartlyTagged(partly) => {
                let first = partly.written.first().map(|(tag, _)| tag.to_string()).unwrap_or_default();
                let left: Vec<&str> = partly.left.iter().map(Tag::as_str).collect();
                let go_on = format!("`modelops-bundle tag {first} {}` makes up for the rest", left.join(" "));
                Self::partly_tagged(partly, &go_on)
            }
            PushError::Packing(error) => Self::from(error).after_sending(),
            PushError::Remote(error) => error.into(),
            PushError::Scan(error) => error.into(),
            PushError::Seal(error) => error.into(),
            PushError::State(_) => {
                Self::of(Exit::Failure, &error).hint("check permissions and free space, and push again")
            }
            PushError::Staging { .. } => {
                Self::of(Exit::Failure, &error).hint("check permissions and free space; nothing was sent")
            }
            PushError::Tables(error) => error.into(),
            PushError::Tag(error) => error.into(),
            PushError::Threads(error) => error.into(),
            PushError::Unseen { ref unseen, ref here, is_unedited } => {
                let UnseenBundle { tag, standing, changes, .. } = &**unseen;
                let hint = match standing {
                    Standing::Descendant { .. } => {
                        // Who has edits of their own wants them to be where the tag goes.
                        let here = here.as_ref().filter(|_| is_unedited).map(|here| {
                            here.version.clone().unwrap_or_else(|| format!("@{}", here.digest))
                        });
                        let back = here.map(|here| {
                            format!("; to make {tag} name where you are, `modelops-bundle tag {here} {tag} --force`")
                        });
                        format!("pull to go forward, and push again{}; nothing was sent", back.unwrap_or_default())
                    }
                    Standing::MovedBack { .. } => format!(
                        "ask who moved it; --replace pushes all the same, and then {tag} names yours; nothing was sent"
                    ),
                    Standing::Absent | Standing::Same | Standing::Ancestor { .. } | Standing::Unrelated => {
                        "pull first, and push again; --replace undoes them; nothing was sent".to_owned()
                    }
                };
                Self::of(Exit::Conflict, &error).unseen(changes).hint(hint)
            }
            PushError::MassDrop { .. } => Self::of(Exit::Conflict, &error).hint(
                "track what is missing with `modelops-bundle add`; --replace drops them; the tag was left alone",
            ),
            PushError::LeftBehind { ref files } => {
                let names: Vec<String> = files.iter().map(|file| quoted(file.now_at.as_str())).collect();
                let reasons = files.iter().map(|file| (file.path.as_str(), MovedTo(file)));
                let hint = format!(
                    "track the new names: `modelops-bundle add {}`; --replace drops the old ones all the same; the tag was left alone",
                    names.join(" ")
                );
                Self::of(Exit::Conflict, &error).because(reasons).hint(hint)
            }
            PushError::Tracked(error) => error.into(),
            PushError::Upload(error) => Self::from(error).after_sending(),
        }
    }
}

/// Where a file lies that was moved.
#[derive(Clone, Copy)]
struct MovedTo<'a>(&'a LeftBehind);

impl fmt::Display for MovedTo<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "lies at {}", shown(self.0.now_at.as_str()))
    }
}

/// A path as a shell takes it for one word.
fn quoted(path: &str) -> String {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/._-+".contains(&byte);
    if path.bytes().all(is_plain) { path.to_owned() } else { format!("'{}'", path.replace('\'', "'\\''")) }
}

/// How a tag becomes free that something of another tool has.
fn take_over(reference: &Reference) -> String {
    format!("take this one away: `modelops-bundle delete {reference} --force`, and push again")
}

impl From<PlanVersionError> for CliError {
    fn from(error: PlanVersionError) -> Self {
        match error {
            PlanVersionError::Core(error) => error.into(),
            PlanVersionError::Facts(error) => error.into(),
            PlanVersionError::Open { source: OpenError::NotABundle { ref reference, .. }, .. } => {
                let hint = format!(
                    "--bump counts on from it: publish the version that you choose with --tag VERSION, or {}",
                    take_over(reference)
                );
                Self::of(Exit::Failure, &error).hint(hint)
            }
            PlanVersionError::Open { tag, source } => {
                let cause = Self::from(source);
                let message = format!("cannot open the highest version, `{tag}`: {}", cause.message);
                Self { message, ..cause }
            }
            PlanVersionError::Remote(error) => error.into(),
            PlanVersionError::Version(error) => error.into(),
        }
    }
}

impl From<VersionError> for CliError {
    fn from(error: VersionError) -> Self {
        match error {
            VersionError::Core(error) => error.into(),
            VersionError::Exhausted { .. } => {
                Self::of(Exit::Failure, &error).hint("raise another number, or name the version with --tag")
            }
            VersionError::Highest(_) | VersionError::Other(_) => {
                Self::of(Exit::Failure, &error).hint("name the version yourself with --tag, without --bump")
            }
            VersionError::Unknown { .. } => Self::of(Exit::NotFound, &error)
                .hint("the remote lists the tag and has no bundle for it: say --bump patch, minor or major"),
        }
    }
}

impl From<PullError> for CliError {
    fn from(error: PullError) -> Self {
        match error {
            PullError::Blocked { ref blocked, ref barriers } if !barriers.is_empty() => {
                let reasons = barriers.iter().map(|one| (one.path.as_str(), one.reason));
                let message = "something stands where the pull has to write; nothing was changed";
                Self::new(Exit::Conflict, message).because(reasons).blocked(blocked).hint(
                    "a pull writes through no link out of the project, whatever `symlinks` in the settings says: put a \
                     folder there; with `symlinks: never`, links inside the project stop it too",
                )
            }
            PullError::Blocked { ref blocked, .. } => {
                let is_settled_by_name = blocked.iter().all(|one| one.kind.is_some());
                Self::of(Exit::Conflict, &error).blocked(blocked).hint(if is_settled_by_name {
                    "keep yours with --mine PATH, take the other with --theirs PATH; a folder or a link in the way has to be \
                     moved by you"
                } else {
                    "push what is yours first; --overwrite lets the remote win, and what it takes can be brought back with `undo`"
                })
            }
            PullError::MassDrop { .. } => Self::of(Exit::Conflict, &error).hint(
                "look at what is gone with `modelops-bundle diff`; --accept-deletions goes on; nothing was changed",
            ),
            PullError::Commit(error) => error.into(),
            PullError::Facts(error) => error.into(),
            PullError::Download(error) => error.into(),
            PullError::Names { ref unfit } => {
                let reasons = unfit.iter().map(|one| (one.path.as_str(), &one.reason));
                Self::of(Exit::Failure, &error).because(reasons).hint(
                    "pull it on another system or drive, or have these files renamed where it is pushed",
                )
            }
            PullError::Prepare(error) => error.into(),
            PullError::State { .. } => Self::of(Exit::Failure, &error).hint(OWN_FAULT),
        }
    }
}

impl From<PrepareError> for CliError {
    fn from(error: PrepareError) -> Self {
        match error {
            PrepareError::Refused { source } => source.into(),
            other => Self::of_prepare(&other),
        }
    }
}

impl CliError {
    fn of_prepare(error: &PrepareError) -> Self {
        match error {
            PrepareError::Changed { paths } => {
                let paths: Vec<String> = paths.iter().map(ToString::to_string).collect();
                Self::new(
                    Exit::Conflict,
                    "files changed while the command was under way; nothing was changed by it",
                )
                .paths(paths)
                .hint("run the command again when nothing else writes to the project")
            }
            PrepareError::Format { .. }
            | PrepareError::Journal { .. }
            | PrepareError::Look { .. }
            | PrepareError::NotStaged { .. }
            | PrepareError::Refused { .. }
            | PrepareError::Root { .. }
            | PrepareError::Staging { .. } => {
                Self::of(Exit::Failure, error).hint("check permissions and free space; nothing was changed")
            }
            PrepareError::Parent { .. } => Self::of(Exit::Conflict, error)
                .hint("a link or a file stands where a folder has to be: move it away; nothing was changed"),
        }
    }
}

impl From<RemoveError> for CliError {
    fn from(error: RemoveError) -> Self {
        match error {
            RemoveError::Commit(error) => error.into(),
            RemoveError::Prepare(error) => error.into(),
            RemoveError::OnlyHere { ref files } => {
                let paths: Vec<String> = files.iter().map(|(path, _)| path.to_string()).collect();
                Self::of(Exit::Conflict, &error).paths(paths).hint(
                    "push them first, leave out --rm to no longer track them and nothing more, or delete them all the same \
                     with --force; nothing was changed",
                )
            }
            RemoveError::Scan(error) => error.into(),
            RemoveError::Reached { .. } => Self::of(Exit::Failure, &error)
                .hint("leave out --rm to no longer track it and nothing more; nothing was changed"),
            RemoveError::Tracked(error) => error.into(),
        }
    }
}

impl From<TrackError> for CliError {
    fn from(error: TrackError) -> Self {
        match error {
            TrackError::Commit(error) => error.into(),
            TrackError::Prepare(error) => error.into(),
            TrackError::Tracked(error) => error.into(),
        }
    }
}

impl From<KeepError> for CliError {
    fn from(error: KeepError) -> Self {
        match &error {
            KeepError::Store { folder, .. } => Self::of(Exit::Failure, &error).hint(format!(
                "{} has to be a folder that you may write in: move it away, or go on with --no-keep; nothing was changed",
                folder.display()
            )),
            KeepError::TooMuch { source } => Self::new(
                Exit::Conflict,
                format_args!(
                    "what would be replaced or deleted has {}, and `undo` keeps at most {}; nothing was changed",
                    bytes(source.needed),
                    bytes(source.limit)
                ),
            )
            .hint("go on with --no-keep, which cannot be taken back, or raise `undo_limit` in the settings"),
        }
    }
}

impl From<UndoError> for CliError {
    fn from(error: UndoError) -> Self {
        let named = |paths: &[BundlePath]| paths.iter().map(ToString::to_string).collect::<Vec<_>>();
        match error {
            UndoError::Commit(error) => error.into(),
            UndoError::Prepare(error) => error.into(),
            UndoError::Keep(error) => error.into(),
            UndoError::Download(error) => error.into(),
            UndoError::Damaged(ref damaged) => Self::of(Exit::Integrity, &error).hint(format!(
                "nothing of it is believed: look at .modelops-bundle/undo/{} and remove it, if you can do without; nothing \
                 was changed",
                damaged.id
            )),
            UndoError::InTheWay { ref paths } => Self::of(Exit::Conflict, &error)
                .paths(named(paths))
                .hint("move away what stands there, and run the command again"),
            UndoError::Lost { ref paths } => Self::of(Exit::Conflict, &error)
                .paths(named(paths))
                .hint("a bundle has it: `modelops-bundle pull` the version that you want back, by its tag or digest"),
            UndoError::NotKept { .. } => Self::of(Exit::Conflict, &error)
                .hint("pull the version that you want back, by its tag or digest; nothing was changed"),
            UndoError::Pushed { .. } => {
                let instead = match error.instead() {
                    Some(BundleAt { reference, digest }) => {
                        format!("`modelops-bundle pull {reference}@{digest}` brings back the bundle before it")
                    }
                    None => "pull the version that you want back, by its tag or digest".to_owned(),
                };
                Self::of(Exit::Conflict, &error).hint(format!("{instead}; nothing was changed"))
            }
            UndoError::Store { ref folder, .. } => Self::of(Exit::Failure, &error)
                .hint(format!("{} has to be a folder of yours; nothing was changed", folder.display())),
            UndoError::TooFew { .. } => Self::of(Exit::NotFound, &error)
                .hint("`modelops-bundle undo --list` shows what there is; nothing was changed"),
        }
    }
}

impl From<CommitError> for CliError {
    fn from(error: CommitError) -> Self {
        match &error {
            CommitError::Stuck { back, .. } => {
                let back = Self::of(Exit::Failure, back);
                Self::of(Exit::Failure, &error).hint_also(&format!(
                    "{}; mend that: the next command then finishes the change or takes it back",
                    back.message
                ))
            }
            CommitError::Undone { back, .. } => {
                let mut hint =
                    "the project is as it was: mend what the system refuses, and run the command again"
                        .to_owned();
                for rescued in &back.aside {
                    let _ = write!(hint, "; your {} is at {}", rescued.path, rescued.now_at.display());
                }
                Self::of(Exit::Failure, &error).hint_also(&hint)
            }
        }
    }
}

impl From<RecoverError> for CliError {
    fn from(error: RecoverError) -> Self {
        Self::of(Exit::Failure, &error).hint(AFTER_INTERRUPTION)
    }
}

impl From<ReachError> for CliError {
    fn from(error: ReachError) -> Self {
        match &error {
            ReachError::Look { .. } | ReachError::Path { .. } => {
                Self::of(Exit::Failure, &error).hint("check permissions; nothing was changed")
            }
            ReachError::Refused { refused } => {
                let reasons = refused.iter().map(|(path, refusal)| (path.as_str(), refusal));
                Self::new(
                    Exit::Conflict,
                    "the system would not let the project be changed; nothing was changed",
                )
                .because(reasons)
                .hint("make these paths writable, or unmount what lies there, and run the command again")
            }
            ReachError::Room { .. } => {
                Self::of(Exit::Failure, &error).hint("make room there; nothing was changed")
            }
        }
    }
}

impl From<LockError> for CliError {
    fn from(error: LockError) -> Self {
        let hint = match &error {
            LockError::Held { .. } => "wait until it has ended; the lock goes with its process",
            LockError::File { source, .. } if FileFault::of(source).is_some() => {
                "remove it, and look where it came from: the lock is a file that this program makes"
            }
            LockError::File { .. } => "check the permissions of `.modelops-bundle/`",
        };
        Self::of(Exit::Failure, &error).hint(hint)
    }
}

impl From<OutputError> for CliError {
    fn from(error: OutputError) -> Self {
        let hint = match &error {
            OutputError::Links { .. } => "name the file itself",
            OutputError::Look { .. } => "check the path and its permissions",
            OutputError::NotAFile { kind: "a folder", .. } => "name a file in it",
            OutputError::NotAFile { .. } | OutputError::OpenFile { .. } => {
                "write to a file, and send that on from there"
            }
        };
        Self::of(Exit::Failure, &error).hint(hint)
    }
}

impl CliError {
    /// What a command is to write is there already.
    /// A `.gitignore` that cannot be changed.
    pub(crate) fn gitignore(file: &Path, error: &io::Error) -> Self {
        Self::because_of(Exit::Failure, format_args!("cannot change {}", file.display()), error)
            .hint("let the file be read and written, or have it ignore `.modelops-bundle/` yourself")
    }

    pub(crate) fn exists(file: &Path) -> Self {
        Self::new(Exit::Conflict, format_args!("{} is there already, and stays as it is", file.display()))
            .hint("name another file, or replace this one with --force")
    }
}

impl From<BeginError> for CliError {
    fn from(error: BeginError) -> Self {
        match error {
            BeginError::Folder { .. } => Self::of(Exit::Failure, &error)
                .hint("name a folder, or one to be made, in a place that you may write to"),
            BeginError::Lock(error) => error.into(),
        }
    }
}

impl From<FindError> for CliError {
    fn from(error: FindError) -> Self {
        let hint = match &error {
            FindError::OwnFolder { .. } => {
                "nothing is written through a link: put the folder itself there, or work in the project that it is part of"
            }
            FindError::NoProject { .. } => {
                "make one with `modelops-bundle init`, or get a bundle with `modelops-bundle pull REF`"
            }
            FindError::Start { .. } => {
                "name a folder that is there and that you may enter, with -C or without"
            }
        };
        Self::of(Exit::NotFound, &error).hint(hint)
    }
}

impl From<LoadError> for CliError {
    fn from(error: LoadError) -> Self {
        match error {
            LoadError::Config(error) => error.into(),
            LoadError::State(error) => error.into(),
            LoadError::Tracked(error) => error.into(),
        }
    }
}

impl From<ConfigError> for CliError {
    fn from(error: ConfigError) -> Self {
        let hint = match &error {
            ConfigError::Reference { source, .. } => format!("{}, in that file", reference_hint(source)),
            ConfigError::Read { .. } => {
                "it has to be a regular file of settings that you may read".to_owned()
            }
            ConfigError::Write { .. } => "check its permissions".to_owned(),
            ConfigError::Key { .. } | ConfigError::Size { .. } | ConfigError::Yaml { .. } => {
                "mend the file by hand".to_owned()
            }
        };
        Self::of(Exit::Failure, &error).hint(hint)
    }
}

impl From<StateError> for CliError {
    fn from(error: StateError) -> Self {
        let hint = match &error {
            StateError::Parse { .. } => {
                "move the file away to start without a memory of what was synced; your files are not touched"
            }
            StateError::Read { .. } => "it has to be a regular file that you may read",
            StateError::Write { .. } => "check the permissions of its folder and the free space",
            StateError::Format { .. } => OWN_FAULT,
        };
        Self::of(Exit::Failure, &error).hint(hint)
    }
}

impl From<TrackedError> for CliError {
    fn from(error: TrackedError) -> Self {
        let hint = match &error {
            TrackedError::Line { .. } | TrackedError::NotUnicode { .. } => {
                "mend the list by hand: one relative path a line"
            }
            TrackedError::Read { .. } => "it has to be a regular file that you may read",
            TrackedError::Write { .. } => "check the permissions of its folder and the free space",
        };
        Self::of(Exit::Failure, &error).hint(hint)
    }
}

impl From<SetError> for CliError {
    fn from(error: SetError) -> Self {
        match &error {
            // What the file is called does not matter here: the value is not in it.
            SetError::Refused { source } => match source.as_ref() {
                ConfigError::Key { key, source, .. } => {
                    Self::new(Exit::Usage, format_args!("`{key}` does not take this value: {source}")).hint(
                        "`modelops-bundle config list` shows the values that count now; nothing was changed",
                    )
                }
                ConfigError::Reference { source, .. } => source.clone().into(),
                other => Self::of(Exit::Usage, other),
            },
            SetError::EmptyKey
            | SetError::Format { .. }
            | SetError::NotNested { .. }
            | SetError::Size { .. }
            | SetError::Value { .. } => Self::of(Exit::Usage, &error).hint(
                "`modelops-bundle config list` shows the settings and their values; nothing was changed",
            ),
        }
    }
}

impl CliError {
    /// There is no setting of this name.
    pub(crate) fn unknown_setting(key: &str) -> Self {
        let keys: Vec<&str> = SETTINGS.iter().map(|setting| setting.key).collect();
        Self::new(Exit::Usage, format_args!("there is no setting `{key}`"))
            .hint(format!("the settings are {}", keys.join(", ")))
    }
}

/// What is wrong where the pinned environment and the settings of a project name two places.
pub(crate) fn two_places(pinned: &Pinned) -> String {
    let Pinned { environment, place, .. } = pinned;
    format!(
        "the project is pinned to the environment {}, which takes the Python tool to {place}, and its own settings name \
         another remote",
        environment.as_str()
    )
}

/// How to settle that, both ways.
pub(crate) fn settle_places(pinned: &Pinned) -> String {
    format!(
        "go where the environment takes the Python tool with `modelops-bundle init --ref {}`, or stay with the settings \
         and end the pin with `modelops-bundle env switch --none`",
        pinned.place
    )
}

impl From<EnvironmentError> for CliError {
    fn from(error: EnvironmentError) -> Self {
        match error {
            EnvironmentError::Set(error) => error.into(),
            EnvironmentError::Name { .. } => Self::of(Exit::Usage, &error)
                .hint("a name consists of letters, digits, `.`, `_` and `-`; see `modelops-bundle env list`"),
            EnvironmentError::Namespace { .. }
            | EnvironmentError::Registry { .. }
            | EnvironmentError::Relative { .. }
            | EnvironmentError::Yaml { .. } => Self::of(Exit::Failure, &error).hint("mend the file by hand"),
            EnvironmentError::Place { .. } => Self::of(Exit::Usage, &error)
                .hint("name the project's place there with `modelops-bundle init --ref REF`"),
            EnvironmentError::Read { .. } | EnvironmentError::Write { .. } => {
                Self::of(Exit::Failure, &error).hint("check its permissions")
            }
            EnvironmentError::Unknown { ref known, .. } if known.is_empty() => {
                Self::of(Exit::NotFound, &error)
                    .hint("define it in `modelops-bundle/config.yaml` in your folder for settings")
            }
            EnvironmentError::Unknown { ref known, .. } => {
                Self::of(Exit::NotFound, &error).hint(format!("there are {}", known.join(", ")))
            }
        }
    }
}

impl From<ScanError> for CliError {
    fn from(error: ScanError) -> Self {
        match &error {
            ScanError::Refused { refused } => Self::new(Exit::Failure, "tracked files cannot be read")
                .refused(refused)
                .hint("untrack them with `modelops-bundle remove`, or put files in their place"),
            ScanError::Hash { .. }
            | ScanError::Obstacle { .. }
            | ScanError::Repeated { .. }
            | ScanError::Unread
            | ScanError::Walk { .. } => Self::of(Exit::Failure, &error)
                .hint("check permissions, and whether something writes to the project"),
        }
    }
}

impl From<SelectError> for CliError {
    fn from(error: SelectError) -> Self {
        match &error {
            SelectError::Empty => Self::of(Exit::Usage, &error)
                .hint("write `.` for the folder that you are in; nothing was changed"),
            SelectError::Glob { .. } => Self::of(Exit::Usage, &error)
                .hint("put `\\` before a special character that stands for itself; nothing was changed"),
            SelectError::OnlyLeavesOut { .. } => {
                Self::of(Exit::Usage, &error).hint("say of what, as in `. '!**/*.tmp'`; nothing was changed")
            }
            SelectError::Path { source, .. } => {
                let hint = match source {
                    DiskPathError::Fault { fault: PathFault::Reserved, .. } => {
                        "git and this program keep their own files there, and of those only .modelops-bundle/registry.yaml \
                         can be tracked; nothing was changed"
                    }
                    DiskPathError::Fault { .. } | DiskPathError::NotUnicode { .. } => {
                        "give it a name that every system can write; nothing was changed"
                    }
                    DiskPathError::Outside { .. } => {
                        "a project tracks what lies in its own folder: copy it there; nothing was changed"
                    }
                };
                Self::of(Exit::Usage, &error).hint(hint)
            }
            SelectError::Refused { refused } => Self::cannot_track(refused),
            SelectError::IgnoreFile { .. } | SelectError::Walk { .. } => Self::of(Exit::Failure, &error)
                .hint("check the permissions of that file or folder; nothing was changed"),
        }
    }
}

impl CliError {
    /// Files were to be tracked that can be in no bundle.
    pub(crate) fn cannot_track(refused: &[Refused]) -> Self {
        let is_name = |one: &Refused| {
            matches!(one.reason, RefusalReason::Name(_) | RefusalReason::NotUnicode | RefusalReason::Special)
        };
        let hint = if !refused.iter().all(is_name) {
            "links may point to files inside the project, by the setting `symlinks`; nothing was tracked"
        } else {
            "rename or remove them, or leave them out with `!PATH`; nothing was tracked"
        };
        Self::new(Exit::Failure, "these cannot be tracked").refused(refused).hint(hint)
    }
}

impl From<DiskPathError> for CliError {
    fn from(error: DiskPathError) -> Self {
        Self::of(Exit::Usage, &error)
            .hint("name a path in the project's own folder, as `modelops-bundle status --files` lists it")
    }
}

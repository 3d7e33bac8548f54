//! What can go wrong at a remote, as facts.
//!
//! Hints for people are written where people are spoken to; [`RemoteError::kind`] is what an exit code is made of.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bundle_core::digest::Digest;
use bundle_core::name::reference::{Place, Tag};
use thiserror::Error;

use super::archive::ArchiveError;
use super::registry::proxy::{ProxyError, ProxyFault};
use super::tls::TlsFault;
use crate::credentials::{CredentialsError, Origin};

/// Why a remote did not do what it was asked.
///
/// No variant ever holds a credential, a query string or a control character of a registry's answer.
#[derive(Debug, Error)]
pub enum RemoteError {
    /// The file is no archive, or a damaged one.
    #[error("`{}` cannot be read as an archive", path.display())]
    Archive {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: ArchiveError,
    },
    /// The registry, or its token server, does not believe who asks.
    #[error("{host} does not take the password or token of `{user}`{}", said(message))]
    BadCredentials {
        /// The registry.
        host: String,
        /// The user's name; may be empty.
        user: String,
        /// Where the credentials come from.
        origin: Origin,
        /// What it says itself, made harmless; may be empty.
        message: String,
    },
    /// The answer to a request for a part of a blob is about another part.
    #[error("{what} was asked for from byte {expected} on and answered with `{found}`")]
    ContentRange {
        /// The blob.
        what: String,
        /// The first byte that was asked for.
        expected: u64,
        /// What the answer says it holds.
        found: String,
    },
    /// The file is not, or no longer, what its descriptor says.
    #[error("`{}` changed while it was read", path.display())]
    ChangedWhileRead {
        /// The file.
        path: PathBuf,
    },
    /// What a tag points to is not what the writer took for granted; nothing was changed.
    #[error("the tag `{tag}` does not point to what was expected")]
    ConditionFailed {
        /// The tag.
        tag: String,
        /// What it points to, where the remote says so.
        found: Option<Digest>,
    },
    /// Nobody listens at that port.
    #[error("connection refused by {host}")]
    ConnectionRefused {
        /// The host, with its port.
        host: String,
    },
    /// A registry wants to know who asks, and that cannot be found out.
    #[error("{host} wants a login, and the credentials for it cannot be found out")]
    Credentials {
        /// The registry.
        host: String,
        /// Why.
        source: Arc<CredentialsError>,
    },
    /// The registry is not set up to delete anything.
    #[error("{host} does not delete bundles")]
    DeletesOff {
        /// The registry.
        host: String,
    },
    /// The registry knows who asks and refuses.
    #[error("{host} denies {right}{}", said(message))]
    Denied {
        /// The registry.
        host: String,
        /// The right that is lacking, in words.
        right: String,
        /// What it says itself, made harmless; may be empty.
        message: String,
    },
    /// Bytes do not have the digest by which they were asked for.
    #[error("{}", other_digest(what, expected, actual))]
    Digest {
        /// What the bytes are of.
        what: String,
        /// The digest that was asked for or declared.
        expected: Digest,
        /// The digest of the bytes.
        actual: Digest,
    },
    /// An answer over TLS leads to plain HTTP.
    #[error("{what}: {host} leads from https to {to}")]
    Downgrade {
        /// Who answered.
        host: String,
        /// What was asked for.
        what: String,
        /// Where it leads, without what may be a secret.
        to: String,
    },
    /// Another host, to which the registry led, refused.
    #[error("{what}: {registry} leads to {host}, which answered {status}{}", said(message))]
    Elsewhere {
        /// The registry.
        registry: String,
        /// The other host.
        host: String,
        /// What was asked for.
        what: String,
        /// The HTTP status code.
        status: u16,
        /// What it says itself, made harmless; may be empty.
        message: String,
    },
    /// An answer came in a content encoding that nobody asked for, and that cannot be undone.
    #[error("{what} came in the content encoding `{encoding}`, which nobody asked for")]
    Encoding {
        /// What was asked for.
        what: String,
        /// The encoding's name.
        encoding: String,
    },
    /// There is no host of that name, as far as this machine can find out.
    #[error("cannot find the host {host}")]
    HostNotFound {
        /// The host.
        host: String,
    },
    /// A file of a layout, or one to be sent, could not be read or written.
    #[error("cannot {action} `{}`", path.display())]
    Io {
        /// A plain verb: `read`, `write`, `lock`.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// A tag names a manifest that is not there.
    #[error("the tag `{tag}` of {place} names the manifest {digest}, which is not there")]
    LostManifest {
        /// The layout or the archive.
        place: Place,
        /// The tag.
        tag: Tag,
        /// The manifest.
        digest: Digest,
    },
    /// What was asked for by digest is not there.
    #[error("{what} is not there")]
    Missing {
        /// What was asked for.
        what: String,
    },
    /// There is no file of that name.
    #[error("there is no file `{}`", path.display())]
    NoArchive {
        /// The name.
        path: PathBuf,
    },
    /// The registry knows no such repository, and makes none for who asks.
    #[error("{host} takes no push to `{name}`: it has no such repository for this user")]
    NoRepository {
        /// The registry.
        host: String,
        /// The repository.
        name: String,
    },
    /// Something answered that does not speak the distribution API.
    #[error("{host} does not answer like a registry")]
    NotARegistry {
        /// The host.
        host: String,
    },
    /// The directory is there and is no OCI image layout.
    #[error("`{}` holds files and is not an OCI image layout", path.display())]
    NotALayout {
        /// The directory.
        path: PathBuf,
    },
    /// What is to be a file is something else: a folder, a pipe, a device.
    #[error("`{}` is not a regular file", path.display())]
    NotAFile {
        /// The file.
        path: PathBuf,
    },
    /// A file in a layout lies, through a link, somewhere else, or is not a regular file.
    #[error("`{}` is not a regular file inside its layout", path.display())]
    OutsideLayout {
        /// The file.
        path: PathBuf,
    },
    /// The other side broke the rules of the API or of the layout.
    #[error("{what}: {fault}")]
    Protocol {
        /// What was asked of whom.
        what: String,
        /// Which rule.
        fault: String,
    },
    /// The list of a layout or an archive is none, or too long.
    #[error("{place}, {}: {fault}", super::image_layout::INDEX_FILE)]
    Index {
        /// The layout or the archive.
        place: Place,
        /// What is wrong with it.
        fault: String,
    },
    /// What lies between this machine and the host does not let requests through.
    #[error("cannot reach {host} through the proxy {proxy}")]
    Proxy {
        /// The host.
        host: String,
        /// The proxy, without user and password.
        proxy: String,
        /// Why.
        source: ProxyFault,
    },
    /// The environment names a proxy in a way that makes no sense.
    #[error("cannot reach {host}")]
    ProxySetting {
        /// The host.
        host: String,
        /// What is wrong, without what the variable holds.
        source: ProxyError,
    },
    /// What was to be sent is to be sent somewhere else.
    #[error("{what}: {host} answered {status} and points to {target}")]
    Redirected {
        /// The registry.
        host: String,
        /// What was to be sent.
        what: String,
        /// The HTTP status code.
        status: u16,
        /// Where to, without what may be a secret.
        target: String,
    },
    /// Bytes are fewer or more than announced.
    #[error("{what} should have {expected} bytes and has {actual}{}", if *actual > *expected { " or more" } else { "" })]
    Size {
        /// What the bytes are of.
        what: String,
        /// How many were announced.
        expected: u64,
        /// How many came; reading stops soon after the announced size.
        actual: u64,
    },
    /// No byte moved for a while.
    #[error("nothing came from {host} for {} s", after.as_secs_f32())]
    Stalled {
        /// The host.
        host: String,
        /// How long was waited.
        after: Duration,
    },
    /// The registry answered with a status that is an error.
    #[error("{what}: {host} answered {status}{}{}", waits(*asked_wait), said(message))]
    Status {
        /// The registry.
        host: String,
        /// What was asked for.
        what: String,
        /// The HTTP status code.
        status: u16,
        /// The registry's own error codes, as the distribution-spec lists them.
        codes: Vec<String>,
        /// What it says itself, made harmless; may be empty.
        message: String,
        /// How long it asked to wait before the next try.
        asked_wait: Option<Duration>,
    },
    /// The registry is only read: it takes nothing new, from nobody.
    #[error("{host} takes no pushes to `{name}`")]
    TakesNoPushes {
        /// The registry.
        host: String,
        /// The repository.
        name: String,
    },
    /// The two sides find no encryption that both trust.
    #[error("no trusted connection to {host}: {fault}")]
    Tls {
        /// The host.
        host: String,
        /// Why.
        fault: TlsFault,
    },
    /// More bytes than this program takes for such a thing.
    #[error("{what} is larger than {limit} bytes")]
    TooLarge {
        /// What was asked for.
        what: String,
        /// The most that is taken.
        limit: u64,
    },
    /// No connection, or one that broke.
    #[error("cannot talk to {host}")]
    Unreachable {
        /// The host.
        host: String,
        /// What the network says; holds no URL.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The registry wants to know who asks, and was not told or does not believe it.
    #[error("{host} wants a login{}", said(message))]
    Unauthorized {
        /// The registry.
        host: String,
        /// What it says itself, made harmless; may be empty.
        message: String,
    },
    /// What was spoken to in plain HTTP wants TLS.
    #[error("{host} speaks TLS, and was spoken to in plain HTTP")]
    WantsTls {
        /// The host.
        host: String,
    },
    /// The credentials for a registry were not told to the token server that it names.
    #[error("the credentials for {host} were not sent to {token_server}, which it names as its token server")]
    Withheld {
        /// The registry.
        host: String,
        /// The token server.
        token_server: String,
    },
    /// This kind of place cannot do this.
    #[error("{what} is not supported")]
    Unsupported {
        /// What.
        what: String,
    },
}

/// The kinds of failure that a caller tells apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RemoteErrorKind {
    /// Who asks is unknown or not allowed to.
    Authentication,
    /// Bytes or sizes are not what they should be.
    Integrity,
    /// A tag points elsewhere than expected.
    Moved,
    /// No useful answer: unreachable, stalled, failing, or not a registry at all.
    Network,
    /// What was asked for does not exist.
    NotFound,
    /// Anything else, mostly on this side.
    Other,
}

impl RemoteError {
    /// Sorts the error into the kinds that a caller tells apart.
    pub fn kind(&self) -> RemoteErrorKind {
        match self {
            Self::BadCredentials { .. }
            | Self::Credentials { .. }
            | Self::Denied { .. }
            | Self::Unauthorized { .. }
            | Self::Withheld { .. } => RemoteErrorKind::Authentication,
            Self::Archive {
                source: ArchiveError::Compressed { .. } | ArchiveError::NoLayout | ArchiveError::NotATar,
                ..
            } => RemoteErrorKind::Other,
            Self::Archive { .. }
            | Self::ContentRange { .. }
            | Self::Digest { .. }
            | Self::Encoding { .. }
            | Self::Index { .. }
            | Self::OutsideLayout { .. }
            | Self::Size { .. }
            | Self::TooLarge { .. } => RemoteErrorKind::Integrity,
            Self::ConditionFailed { .. } => RemoteErrorKind::Moved,
            Self::Elsewhere { status: 404 | 410, .. } => RemoteErrorKind::NotFound,
            Self::ConnectionRefused { .. }
            | Self::Elsewhere { .. }
            | Self::HostNotFound { .. }
            | Self::NotARegistry { .. }
            | Self::Proxy { .. }
            | Self::ProxySetting { .. }
            | Self::Stalled { .. }
            | Self::Tls { .. }
            | Self::Unreachable { .. }
            | Self::WantsTls { .. } => RemoteErrorKind::Network,
            Self::Status { status, .. } if is_passing(*status) => RemoteErrorKind::Network,
            Self::LostManifest { .. }
            | Self::Missing { .. }
            | Self::NoArchive { .. }
            | Self::NoRepository { .. } => RemoteErrorKind::NotFound,
            Self::ChangedWhileRead { .. }
            | Self::DeletesOff { .. }
            | Self::Downgrade { .. }
            | Self::Io { .. }
            | Self::NotAFile { .. }
            | Self::NotALayout { .. }
            | Self::Protocol { .. }
            | Self::Redirected { .. }
            | Self::Status { .. }
            | Self::TakesNoPushes { .. }
            | Self::Unsupported { .. } => RemoteErrorKind::Other,
        }
    }
}

impl RemoteError {
    /// Whether it tells that a manifest is lost or damaged which something names.
    pub fn tells_unreadable(&self) -> bool {
        matches!(self, Self::LostManifest { .. }) || self.kind() == RemoteErrorKind::Integrity
    }
}

/// Whether a status may be another one a moment later.
pub(super) fn is_passing(status: u16) -> bool {
    matches!(status, 408 | 429 | 500 | 502 | 503 | 504)
}

/// Names a digest once where `what` holds it already.
fn other_digest(what: &str, expected: &Digest, actual: &Digest) -> String {
    if what.ends_with(&expected.to_string()) {
        format!("{what} has the bytes of {actual}")
    } else {
        format!("{what} should be {expected} and is {actual}")
    }
}

fn waits(asked: Option<Duration>) -> String {
    asked
        .filter(|asked| !asked.is_zero())
        .map_or_else(String::new, |asked| format!(" and asks to wait {}", spoken(asked)))
}

/// A time for people, in a unit that suits it.
pub fn spoken(time: Duration) -> String {
    let seconds = time.as_secs();
    for (unit, size) in [("days", 86_400), ("hours", 3_600), ("minutes", 60)] {
        if seconds >= 2 * size {
            return format!("{} {unit}", seconds / size);
        }
    }
    format!("{seconds} s")
}

fn said(message: &str) -> String {
    if message.is_empty() { String::new() } else { format!(": {message}") }
}

/// Whether a terminal does what a character says instead of showing it: control characters, and those that set the
/// direction of text or break its lines (Unicode UAX #9, UAX #14).
pub fn is_obeyed(c: char) -> bool {
    let is_direction =
        matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    c.is_control() || is_direction || matches!(c, '\u{2028}' | '\u{2029}')
}

/// Makes foreign text fit for a terminal and a log: no control characters, one line, at most 300 characters.
pub(crate) fn harmless(text: &str) -> String {
    text.chars().map(|c| if is_obeyed(c) { ' ' } else { c }).take(300).collect::<String>().trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn foreign_text_is_made_harmless() {
        assert_eq!(harmless("a\u{1b}[31mb\r\nc\u{202e}"), "a [31mb  c");
        assert_eq!(harmless(&"x".repeat(1000)).len(), 300);
    }

    #[test]
    fn one_digest_is_named_once() {
        let (expected, actual) = (Digest::of(b"x"), Digest::of(b"y"));
        let error = |what: String| RemoteError::Digest { what, expected, actual }.to_string();
        assert_eq!(error(format!("blob {expected}")), format!("blob {expected} has the bytes of {actual}"));
        assert_eq!(
            error("manifest v1".to_owned()),
            format!("manifest v1 should be {expected} and is {actual}")
        );
    }

    #[test]
    fn a_wait_is_said_in_a_unit_that_suits_it() {
        for (seconds, words) in [
            (1, "1 s"),
            (119, "119 s"),
            (3600, "60 minutes"),
            (7200, "2 hours"),
            (1_000_000_000, "11574 days"),
        ] {
            assert_eq!(spoken(Duration::from_secs(seconds)), words);
        }
    }

    #[test]
    fn only_a_passing_status_is_the_network() {
        let status = |status| RemoteError::Status {
            host: "h".to_owned(),
            what: "w".to_owned(),
            status,
            codes: Vec::new(),
            message: String::new(),
            asked_wait: None,
        };
        assert_eq!(status(503).kind(), RemoteErrorKind::Network);
        assert_eq!(status(400).kind(), RemoteErrorKind::Other);
    }
}

//! What can go wrong at a remote, as facts, by the kind of place at which it does.
//!
//! Hints for people are written where people are spoken to; [`RemoteError::kind`] is what an exit code is made of.

mod archive;
mod blob;
mod connection;
mod layout;
mod login;
pub mod proxy;
mod registry;

use std::io;
use std::path::PathBuf;

use bundle_core::digest::Digest;
use thiserror::Error;

pub use self::archive::{ArchiveError, ArchiveFault};
pub use self::blob::BlobError;
pub use self::connection::ConnectionError;
pub use self::layout::LayoutError;
pub use self::login::LoginError;
pub use self::registry::RegistryError;
pub(crate) use self::registry::is_passing;

/// Why a remote did not do what it was asked.
///
/// No variant ever holds a credential, a query string or a control character of a registry's answer.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum RemoteError {
    /// An archive could not be read or written.
    #[error(transparent)]
    Archive(#[from] ArchiveError),
    /// Bytes are not what they should be.
    #[error(transparent)]
    Blob(#[from] BlobError),
    /// What a tag points to is not what the writer took for granted; nothing was changed.
    #[error("the tag `{tag}` does not point to what was expected")]
    ConditionFailed {
        /// The tag.
        tag: String,
        /// What it points to, where the remote says so.
        found: Option<Digest>,
    },
    /// A host gave no response.
    #[error(transparent)]
    Connection(#[from] ConnectionError),
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
    /// An image layout could not be read or written.
    #[error(transparent)]
    Layout(#[from] LayoutError),
    /// The registry refuses this user, or could not be told who that is.
    #[error(transparent)]
    Login(#[from] LoginError),
    /// What was asked for by digest is not there.
    #[error("{what} is not there")]
    Missing {
        /// What was asked for.
        what: String,
    },
    /// The other side broke the rules of the API or of the layout.
    #[error("{what}: {fault}")]
    Protocol {
        /// What was asked of whom.
        what: String,
        /// Which rule.
        fault: String,
    },
    /// The response of a registry is of no use.
    #[error(transparent)]
    Registry(#[from] RegistryError),
    /// This kind of place cannot do this.
    #[error("{what} is not supported")]
    Unsupported {
        /// What.
        what: String,
    },
}

/// The kinds of failure that a caller tells apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum RemoteErrorKind {
    /// Authentication failed, or the user is not authorized.
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
            Self::Archive(error) => error.kind(),
            Self::Blob(error) => error.kind(),
            Self::ConditionFailed { .. } => RemoteErrorKind::Moved,
            Self::Connection(_) => RemoteErrorKind::Network,
            Self::Layout(error) => error.kind(),
            Self::Login(_) => RemoteErrorKind::Authentication,
            Self::Missing { .. } => RemoteErrorKind::NotFound,
            Self::Registry(error) => error.kind(),
            Self::Io { .. } | Self::Protocol { .. } | Self::Unsupported { .. } => RemoteErrorKind::Other,
        }
    }

    /// Whether it tells that a manifest is lost or damaged which something names.
    pub fn tells_unreadable(&self) -> bool {
        matches!(self, Self::Layout(LayoutError::LostManifest { .. }))
            || self.kind() == RemoteErrorKind::Integrity
    }
}

impl ArchiveError {
    fn kind(&self) -> RemoteErrorKind {
        match self {
            Self::NotAFile { .. }
            | Self::Unreadable {
                source: ArchiveFault::Compressed { .. } | ArchiveFault::NoLayout | ArchiveFault::NotATar,
                ..
            } => RemoteErrorKind::Other,
            Self::NoFile { .. } => RemoteErrorKind::NotFound,
            Self::Unreadable { .. } => RemoteErrorKind::Integrity,
        }
    }
}

impl BlobError {
    fn kind(&self) -> RemoteErrorKind {
        match self {
            Self::ChangedWhileRead { .. } => RemoteErrorKind::Other,
            Self::Digest { .. } | Self::Size { .. } | Self::TooLarge { .. } => RemoteErrorKind::Integrity,
        }
    }
}

impl LayoutError {
    fn kind(&self) -> RemoteErrorKind {
        match self {
            Self::Index { .. } | Self::OutsideLayout { .. } => RemoteErrorKind::Integrity,
            Self::LostManifest { .. } => RemoteErrorKind::NotFound,
            Self::NotALayout { .. } => RemoteErrorKind::Other,
        }
    }
}

impl RegistryError {
    fn kind(&self) -> RemoteErrorKind {
        match self {
            Self::ContentRange { .. } | Self::Encoding { .. } => RemoteErrorKind::Integrity,
            Self::Elsewhere { status: 404 | 410, .. } | Self::NoRepository { .. } => {
                RemoteErrorKind::NotFound
            }
            Self::Elsewhere { .. } | Self::NotARegistry { .. } => RemoteErrorKind::Network,
            Self::Status { status, .. } if is_passing(*status) => RemoteErrorKind::Network,
            Self::DeletesOff { .. }
            | Self::Downgrade { .. }
            | Self::Redirected { .. }
            | Self::Status { .. }
            | Self::TakesNoPushes { .. } => RemoteErrorKind::Other,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_passing_status_is_the_network() {
        let status = |status| RegistryError::Status {
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

//! Three remotes behind one trait: a repository on a registry, and an OCI image layout in a directory or, to be read
//! alone, in a tar archive.
//!
//! What is moved and in which order is not decided here; a remote obeys one request at a time and says what
//! happened. [`open`] picks the remote for a place, [`read_blob`] reads a blob and verifies it, [`RemoteError`] is
//! what may go wrong.

pub mod archive;
pub mod blob;
pub mod credentials;
pub mod disk;
pub mod error;
pub mod files;
pub mod growing;
mod image_layout;
pub mod layout;
pub mod notice;
mod options;
pub mod registry;
mod remote;
pub mod sparse;
pub mod text;
mod threads;
mod tls;
pub mod unfinished;

use std::sync::Arc;

use bundle_core::name::reference::Place;

use self::archive::Archive;
pub use self::blob::{
    BlobContent, BlobSource, BlobStream, RemoteBlob, Silent, Transferred, read_blob, read_small_blob,
};
pub use self::error::{
    ArchiveError, ArchiveFault, BlobError, ConnectionError, LayoutError, LoginError, RegistryError,
    RemoteError, RemoteErrorKind,
};
use self::layout::Layout;
pub use self::notice::{Notice, Notices, Unheard};
pub use self::options::{CheckedLogin, Intent, Login, RemoteOptions, Transport};
use self::registry::Registry;
pub use self::remote::{
    BlobState, Condition, Deletion, FetchedManifest, Listed, MAX_MANIFEST_BYTES, Remote, Stored, Version,
};
pub use self::tls::{TlsFault, TlsFileError, TlsOptions, Verification};
pub use self::unfinished::{Content, Unfinished, Unkept};

/// Picks the remote for a place; asks it nothing yet.
///
/// # Errors
///
/// [`RemoteError::Protocol`] for a registry name that makes no URL, [`ConnectionError::Unreachable`] where this machine
/// cannot make connections.
pub fn open(place: &Place, options: &RemoteOptions) -> Result<Box<dyn Remote>, RemoteError> {
    match place {
        Place::Repository { host, name } => Ok(Box::new(Registry::new(host, name, options)?)),
        Place::Layout { directory } => Ok(Box::new(Layout::telling(directory, Arc::clone(&options.notices)))),
        Place::Archive { file } => Ok(Box::new(Archive::new(file))),
    }
}

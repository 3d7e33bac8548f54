//! A client of OCI registries, and of OCI image layouts in a directory or in a tar archive, behind one trait.
//!
//! [`open`] picks the [`Remote`] for a place: a repository of a registry over the distribution API ([`registry`]), a
//! directory ([`layout`]), or a tar archive that is only read ([`archive`]). A remote reads, writes, lists and deletes
//! manifests, tags and blobs, one request at a time, and says what happened; what is to be moved, and in which order,
//! is for the caller to decide. [`read_blob`] verifies what it reads. What may go wrong is a [`RemoteError`], sorted by
//! the kind of place. Logins come from the same files and helpers that Docker and Podman use ([`credentials`]).
//!
//! The tags of a repository, and the manifest of each:
//!
//! ```no_run
//! use std::time::Duration;
//!
//! use bundle_core::name::reference::Reference;
//! use modelops_bundle_remote::{RemoteOptions, Version, open};
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let reference: Reference = "registry.example/team/model".parse()?;
//! let options = RemoteOptions::default().with_timeout(Duration::from_secs(10));
//! let remote = open(&reference.place, &options)?;
//! for tag in remote.tags().await? {
//!     // `None` where the tag was deleted meanwhile.
//!     if let Some(manifest) = remote.manifest(&Version::Tag(tag.clone())).await? {
//!         println!("{tag} {} {} bytes", manifest.digest, manifest.bytes.len());
//!     }
//! }
//! # Ok(())
//! # }
//! ```
//!
//! Everything is asynchronous and runs on a tokio runtime; what has to wait for a disk does so on its blocking threads.
//! Nothing here prints, and nothing knows of projects.

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
pub mod threads;
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

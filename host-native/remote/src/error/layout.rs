//! What can go wrong with an image layout, in a directory or in an archive.

use std::path::PathBuf;

use bundle_core::digest::Digest;
use bundle_core::name::reference::{Place, Tag};
use thiserror::Error;

use crate::image_layout::file_names::INDEX_FILE;

/// Why an image layout, in a directory or in an archive, could not be read or written.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum LayoutError {
    /// The list of a layout or an archive is none, or too long.
    #[error("{place}, {INDEX_FILE}: {fault}")]
    Index {
        /// The layout or the archive.
        place: Place,
        /// What is wrong with it.
        fault: String,
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
    /// The directory is there and is no OCI image layout.
    #[error("`{}` holds files and is not an OCI image layout", path.display())]
    NotALayout {
        /// The directory.
        path: PathBuf,
    },
    /// A file in a layout lies, through a link, somewhere else, or is not a regular file.
    #[error("`{}` is not a regular file inside its layout", path.display())]
    OutsideLayout {
        /// The file.
        path: PathBuf,
    },
}

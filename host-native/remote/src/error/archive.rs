//! What can go wrong with an archive.

use std::io;
use std::path::PathBuf;

use thiserror::Error;

use crate::archive::compression::Compression;

/// Why an archive could not be read or written.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ArchiveError {
    /// The file is no archive, or a damaged one.
    #[error("`{}` cannot be read as an archive", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: ArchiveFault,
    },
    /// There is no file of that name.
    #[error("there is no file `{}`", path.display())]
    NoFile {
        /// The name.
        path: PathBuf,
    },
    /// What is to be a file is something else: a folder, a pipe, a device.
    #[error("`{}` is not a regular file", path.display())]
    NotAFile {
        /// The file.
        path: PathBuf,
    },
}

/// Why a file is no archive of an image layout, or none that is taken.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ArchiveFault {
    /// Somebody has compressed the file as a whole.
    #[error("it is compressed with {format}")]
    Compressed {
        /// How.
        format: Compression,
    },
    /// An entry has content that some readers skip and others take for entries.
    #[error("the entry `{}` has content and is of a kind that has none", name.escape_debug())]
    Content {
        /// The entry.
        name: String,
    },
    /// An extended header breaks the rules of its format.
    #[error("an extended header is damaged")]
    Extension,
    /// A global header gives every entry a name or a size.
    #[error("a global header overrides names or sizes")]
    GlobalOverride,
    /// A header's checksum or size is wrong, or it stands behind half of the mark that ends an archive.
    #[error("there is no whole header before byte {position}")]
    Header {
        /// The end of the block, in bytes from the start of the file.
        position: u64,
    },
    /// An extended header or a long name is larger than any that is read.
    #[error("an extended header is larger than {limit} bytes")]
    LargeExtension {
        /// The most that is read.
        limit: u64,
    },
    /// Something that the image layout has to hold is not there.
    #[error("it does not hold {what}")]
    Missing {
        /// What is missing.
        what: String,
    },
    /// It does not begin as a tar does.
    #[error("it is not a tar")]
    NotATar,
    /// Nothing in it is part of an image layout.
    #[error("it is a tar, but not one of an OCI image layout")]
    NoLayout,
    /// What is to be a file of the image layout is a link, a folder or the like.
    #[error("the entry `{}` is not a plain file", name.escape_debug())]
    NotAFile {
        /// The entry.
        name: String,
    },
    /// The file cannot be read.
    #[error("reading failed")]
    Read(#[source] io::Error),
    /// Two entries have one name.
    #[error("the entry `{}` comes twice", name.escape_debug())]
    Repeated {
        /// The name.
        name: String,
    },
    /// Two extended headers say the same of one entry.
    #[error("an extended header is repeated")]
    RepeatedExtension,
    /// An entry is stored without its holes.
    #[error("the entry `{}` is a sparse file", name.escape_debug())]
    Sparse {
        /// The entry.
        name: String,
    },
    /// There are more blobs than are kept in mind.
    #[error("it holds more than {limit} blobs")]
    TooManyBlobs {
        /// The most.
        limit: usize,
    },
    /// Something follows the end of the archive.
    #[error("something follows the end of the archive")]
    Trailing,
    /// The file ends before the archive does.
    #[error("it is cut off")]
    Truncated,
    /// A header and its extended header say different sizes.
    #[error("the entry `{}` comes with two sizes", name.escape_debug())]
    TwoSizes {
        /// The entry.
        name: String,
    },
}

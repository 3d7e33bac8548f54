//! What a project looks like on disk: tracked files with their digests, and whatever else lies there.
//!
//! A scan walks ([`walk`]), takes digests from the last time where a file has not changed ([`digest_cache`]) and reads
//! the rest ([`hash`]). It changes nothing but its cache. What follows from what it found is decided in `bundle_core`.

pub mod digest_cache;
mod entries;
pub mod hash;
mod links;
pub mod select;
pub mod snapshot;
pub mod walk;

pub(crate) use hash::open_found;
pub use hash::{HashError, Hashed};
pub use select::{Force, Selection, select_on_disk, select_tracked};
pub use snapshot::{Found, Scan, ScanError, ScanOptions, find_untracked, scan, scan_readable, scan_with};
pub use walk::{IgnoredEntry, RefusalReason, Refused, Untracked};

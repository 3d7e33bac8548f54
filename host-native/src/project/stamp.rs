//! What tells whether an entry on disk is still the one that was seen, without reading it.

use std::fs::Metadata;
#[cfg(not(unix))]
use std::time::UNIX_EPOCH;

use serde::{Deserialize, Serialize};

/// Facts of one entry on disk that change when it is written or replaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stamp {
    /// Its size in bytes.
    pub size: u64,
    /// When its content changed, in nanoseconds since 1970.
    pub modified_ns: i64,
    /// When its content or its inode changed, in nanoseconds since 1970; 0 where the system keeps no such time.
    pub changed_ns: i64,
    /// The number of its inode; 0 where the system has none.
    pub inode: u64,
}

impl Stamp {
    /// How many bytes [`to_bytes`](Self::to_bytes) gives.
    pub(crate) const BYTES: usize = 32;

    /// The facts in `metadata`.
    #[cfg(unix)]
    pub fn of(metadata: &Metadata) -> Self {
        use std::os::unix::fs::MetadataExt;
        Self {
            size: metadata.size(),
            modified_ns: nanoseconds(metadata.mtime(), metadata.mtime_nsec()),
            changed_ns: nanoseconds(metadata.ctime(), metadata.ctime_nsec()),
            inode: metadata.ino(),
        }
    }

    /// The facts in `metadata`.
    #[cfg(not(unix))]
    pub fn of(metadata: &Metadata) -> Self {
        let modified = metadata.modified().ok().and_then(|time| time.duration_since(UNIX_EPOCH).ok());
        let modified_ns = modified.map_or(0, |since| i64::try_from(since.as_nanos()).unwrap_or(i64::MAX));
        Self { size: metadata.len(), modified_ns, changed_ns: 0, inode: 0 }
    }

    /// The facts in what a folder handle found.
    pub(crate) fn of_entry(metadata: &cap_std::fs::Metadata) -> Self {
        #[cfg(unix)]
        {
            use cap_std::fs::MetadataExt;
            Self {
                size: metadata.size(),
                modified_ns: nanoseconds(metadata.mtime(), metadata.mtime_nsec()),
                changed_ns: nanoseconds(metadata.ctime(), metadata.ctime_nsec()),
                inode: metadata.ino(),
            }
        }
        #[cfg(not(unix))]
        {
            let modified =
                metadata.modified().ok().and_then(|t| t.into_std().duration_since(UNIX_EPOCH).ok());
            let modified_ns = modified.map_or(0, |since| i64::try_from(since.as_nanos()).unwrap_or(i64::MAX));
            Self { size: metadata.len(), modified_ns, changed_ns: 0, inode: 0 }
        }
    }

    /// The facts as they lie in caches.
    pub(crate) fn to_bytes(self) -> [u8; Self::BYTES] {
        let mut bytes = [0; Self::BYTES];
        bytes[..8].copy_from_slice(&self.size.to_le_bytes());
        bytes[8..16].copy_from_slice(&self.modified_ns.to_le_bytes());
        bytes[16..24].copy_from_slice(&self.changed_ns.to_le_bytes());
        bytes[24..].copy_from_slice(&self.inode.to_le_bytes());
        bytes
    }

    /// The same back.
    pub(crate) fn from_bytes(bytes: &[u8; Self::BYTES]) -> Self {
        let number = |at: usize| {
            let mut number = [0; 8];
            number.copy_from_slice(&bytes[at..at + 8]);
            number
        };
        Self {
            size: u64::from_le_bytes(number(0)),
            modified_ns: i64::from_le_bytes(number(8)),
            changed_ns: i64::from_le_bytes(number(16)),
            inode: u64::from_le_bytes(number(24)),
        }
    }

    /// Whether both are of one entry whose content did not change in between.
    ///
    /// The time of change is left out: a rename moves it on some systems.
    pub fn is_same_content(&self, other: &Self) -> bool {
        self.has_same_time_and_size(other) && self.inode == other.inode
    }

    /// Whether both may be of one content, also where it was copied with its times.
    pub(crate) fn has_same_time_and_size(&self, other: &Self) -> bool {
        self.size == other.size && self.modified_ns == other.modified_ns
    }
}

#[cfg(unix)]
fn nanoseconds(seconds: i64, ns: i64) -> i64 {
    seconds.saturating_mul(1_000_000_000).saturating_add(ns)
}

/// Whether the owner may run a file with this `metadata`; never so where modes do not say that.
pub fn is_executable(metadata: &Metadata) -> bool {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        metadata.permissions().mode() & 0o100 != 0
    }
    #[cfg(not(unix))]
    {
        let _ = metadata;
        false
    }
}

//! A moment on the clock that stamps files: what was last changed before it cannot change unseen any more.

use std::fs::Metadata;

use super::Project;
use super::own_folder::{Access, OwnFolder};
use super::parents::Missing;
use super::stamp::Stamp;

/// On another file system than the cache, times may be as coarse as two seconds and set by another clock.
const FOREIGN_MARGIN_NS: i64 = 60_000_000_000;

/// A moment on the clock that stamps the project's files.
///
/// A file that changes after this moment gets a later stamp than one that was last changed before it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Tick {
    ns: i64,
    device: u64,
}

impl Tick {
    /// Reads the clock, by way of a new file in the cache folder of `project`; none where that cannot be written.
    pub(crate) fn now(project: &Project) -> Option<Self> {
        let cache = OwnFolder::cache(project, Missing::Create).ok()??;
        let file = cache.new_file(Access::Private).ok()?;
        let metadata = file.as_file().metadata().ok()?;
        Some(Self { ns: Stamp::of(&metadata).modified_ns, device: device(&metadata) })
    }

    /// Whether a later change of a file is sure to show in its stamp, which now is `stamp`.
    pub(crate) fn is_after(&self, stamp: &Stamp, on_device: u64) -> bool {
        let before = self.before(on_device);
        stamp.modified_ns < before && stamp.changed_ns < before
    }

    /// The same for a file of which it is known that its last change gave it its name, and nothing else.
    pub(crate) fn is_after_writing(&self, stamp: &Stamp, on_device: u64) -> bool {
        stamp.modified_ns < self.before(on_device)
    }

    /// What is stamped earlier than this was stamped before the moment.
    fn before(&self, on_device: u64) -> i64 {
        let margin = if on_device == self.device { 0 } else { FOREIGN_MARGIN_NS };
        self.ns.saturating_sub(margin)
    }
}

/// The device that holds an entry; 0 where the system does not say.
#[cfg(unix)]
pub(crate) fn device(metadata: &Metadata) -> u64 {
    std::os::unix::fs::MetadataExt::dev(metadata)
}

#[cfg(not(unix))]
pub(crate) fn device(_: &Metadata) -> u64 {
    0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_in_the_same_tick_is_not_trusted() {
        let tick = Tick { ns: 100_000_000_000, device: 1 };
        let at = tick.ns;
        let stamp = |modified_ns, changed_ns| Stamp { size: 5, modified_ns, changed_ns, inode: 9 };
        assert!(tick.is_after(&stamp(at - 1, at - 1), 1));
        assert!(!tick.is_after(&stamp(at, at - 1), 1));
        assert!(!tick.is_after(&stamp(at - 1, at), 1));
        assert!(!tick.is_after(&stamp(at - 1, at - 1), 2));
        assert!(tick.is_after_writing(&stamp(at - 1, at), 1));
        assert!(!tick.is_after_writing(&stamp(at, at), 1));
    }
}

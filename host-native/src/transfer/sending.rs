//! Tells how a blob on its way to a remote gets on.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::{Carried, Copied};
use crate::progress::{Progress, Work};
use crate::remote::{Stored, Transferred};

/// One blob on its way.
pub(super) struct Sending {
    progress: Arc<dyn Progress>,
    sent: AtomicU64,
    /// How many bytes the remote had of an earlier run.
    had: AtomicU64,
}

impl Sending {
    pub(super) fn new(progress: &Arc<dyn Progress>) -> Self {
        Self { progress: Arc::clone(progress), sent: AtomicU64::new(0), had: AtomicU64::new(0) }
    }

    /// The rest of its `size` bytes need not be sent.
    pub(super) fn skip(&self, size: u64) {
        let done = self.sent.load(Ordering::Relaxed) + self.had.load(Ordering::Relaxed);
        self.progress.skip(Work::Upload, size.saturating_sub(done));
    }

    /// What a blob of `size` bytes came to, now that it is there.
    pub(super) fn came_to(&self, size: u64, stored: Stored) -> Carried {
        match stored {
            Stored::Sent => {
                let bytes = size.saturating_sub(self.had.load(Ordering::Relaxed));
                Carried { sent: Copied { blobs: 1, bytes }, ..Carried::default() }
            }
            Stored::Mounted => {
                self.skip(size);
                Carried { mounted: Copied { blobs: 1, bytes: size }, ..Carried::default() }
            }
            Stored::WasThere => {
                self.skip(size);
                Carried::default()
            }
        }
    }
}

impl Transferred for Sending {
    fn bytes(&self, count: u64) {
        self.sent.fetch_add(count, Ordering::Relaxed);
        self.progress.advance(Work::Upload, count);
    }

    fn had(&self, count: u64) {
        let before = self.had.swap(count, Ordering::Relaxed);
        match count.checked_sub(before) {
            Some(more) => self.progress.skip(Work::Upload, more),
            None => self.progress.expect(Work::Upload, before - count),
        }
    }
}

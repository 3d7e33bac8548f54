//! Tells how a blob on its way to a remote gets on.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::progress::{Progress, Work};
use crate::remote::Transferred;

/// One blob on its way.
pub(super) struct Sending {
    progress: Arc<dyn Progress>,
    sent: AtomicU64,
}

impl Sending {
    pub(super) fn new(progress: &Arc<dyn Progress>) -> Self {
        Self { progress: Arc::clone(progress), sent: AtomicU64::new(0) }
    }

    /// The rest of its `size` bytes need not be sent.
    pub(super) fn skip(&self, size: u64) {
        self.progress.advance(Work::Upload, size.saturating_sub(self.sent.load(Ordering::Relaxed)));
    }
}

impl Transferred for Sending {
    fn bytes(&self, count: u64) {
        self.sent.fetch_add(count, Ordering::Relaxed);
        self.progress.advance(Work::Upload, count);
    }
}

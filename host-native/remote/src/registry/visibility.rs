//! What has been seen of a repository that a registry may not speak of.

use std::sync::atomic::{AtomicBool, Ordering};

/// Whether a repository that is to be written to was refused to be spoken of, and whether it is there by now.
#[derive(Debug, Default)]
pub(super) struct Visibility {
    refused: AtomicBool,
    written: AtomicBool,
}

impl Visibility {
    /// Remembers that something was written: from then on a refusal is one.
    pub(super) fn wrote(&self) {
        self.written.store(true, Ordering::Relaxed);
    }

    /// Whether something was written.
    pub(super) fn has_written(&self) -> bool {
        self.written.load(Ordering::Relaxed)
    }

    /// Remembers that it was refused to be spoken of.
    pub(super) fn was_refused(&self) {
        self.refused.store(true, Ordering::Relaxed);
    }

    /// Whether it was refused to be spoken of.
    pub(super) fn has_refused(&self) -> bool {
        self.refused.load(Ordering::Relaxed)
    }

    /// Whether it may not be there yet.
    pub(super) fn may_be_absent(&self) -> bool {
        !self.has_written()
    }
}

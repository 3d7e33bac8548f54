//! What a registry has shown about how it takes blobs; good for as long as the connection to it.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// The sizes of chunks that are tried one after the other, from the largest.
const CHUNK_BYTES: [u64; 4] = [64 << 20, 16 << 20, 4 << 20, 1 << 20];

/// What is known about uploads to a registry; nothing is taken for granted at first.
#[derive(Debug)]
pub(super) struct Learned {
    forgets_uploads: AtomicBool,
    largest_request: AtomicU64,
}

impl Learned {
    pub(super) fn new() -> Self {
        Self { forgets_uploads: AtomicBool::new(false), largest_request: AtomicU64::new(u64::MAX) }
    }

    /// Remembers that an upload that broke off cannot be continued.
    pub(super) fn note_uploads_forgotten(&self) {
        self.forgets_uploads.store(true, Ordering::Relaxed);
    }

    /// Whether an upload that broke off may be continued.
    pub(super) fn may_keep_uploads(&self) -> bool {
        !self.forgets_uploads.load(Ordering::Relaxed)
    }

    /// The most bytes that go into one request.
    pub(super) fn largest_request(&self) -> u64 {
        self.largest_request.load(Ordering::Relaxed)
    }

    /// Remembers that a request of `bytes` bytes was too large; whether a smaller one can be tried, of `least` at least.
    pub(super) fn note_too_large(&self, bytes: u64, least: u64) -> bool {
        let Some(next) = CHUNK_BYTES.into_iter().find(|chunk| *chunk < bytes) else { return false };
        self.largest_request.fetch_min(next, Ordering::Relaxed);
        self.largest_request().max(least) < bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_become_smaller_while_they_are_too_large() {
        let learned = Learned::new();
        assert_eq!(learned.largest_request(), u64::MAX);
        for (refused, next) in [(1 << 40, 64 << 20), (64 << 20, 16 << 20), (5 << 20, 4 << 20)] {
            assert!(learned.note_too_large(refused, 0));
            assert_eq!(learned.largest_request(), next);
        }
        // Another transfer's older and larger request says nothing new.
        assert!(learned.note_too_large(64 << 20, 0));
        assert_eq!(learned.largest_request(), 4 << 20);
        assert!(!learned.note_too_large(4 << 20, 4 << 20), "the registry wants chunks of no less");
        assert!(!learned.note_too_large(1 << 20, 0));
    }
}

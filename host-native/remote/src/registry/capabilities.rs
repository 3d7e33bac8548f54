//! What a registry can do, as it has shown so far; good for as long as the connection to it.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// The sizes of chunks that are tried one after the other, from the largest.
const CHUNK_BYTES: [u64; 4] = [64 << 20, 16 << 20, 4 << 20, 1 << 20];

/// What a registry is known to be able to do; at first, it is thought to be able to do everything.
#[derive(Debug)]
pub(super) struct Capabilities {
    forgets_uploads: AtomicBool,
    ignores_ranges: AtomicBool,
    largest_request: AtomicU64,
    refuses_mounts: AtomicBool,
    refuses_ranges: AtomicBool,
    refuses_streams: AtomicBool,
}

impl Capabilities {
    pub(super) fn new() -> Self {
        Self {
            forgets_uploads: AtomicBool::new(false),
            ignores_ranges: AtomicBool::new(false),
            largest_request: AtomicU64::new(u64::MAX),
            refuses_mounts: AtomicBool::new(false),
            refuses_ranges: AtomicBool::new(false),
            refuses_streams: AtomicBool::new(false),
        }
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

    /// Remembers that the registry sent a whole blob where a part was asked for.
    pub(super) fn note_ranges_ignored(&self) {
        self.ignores_ranges.store(true, Ordering::Relaxed);
    }

    /// Whether the registry is known to send whole blobs where parts are asked for.
    pub(super) fn ignores_ranges(&self) -> bool {
        self.ignores_ranges.load(Ordering::Relaxed)
    }

    /// Remembers that the registry refuses requests for parts of blobs.
    pub(super) fn note_ranges_refused(&self) {
        self.note_ranges_ignored();
        self.refuses_ranges.store(true, Ordering::Relaxed);
    }

    /// Whether the registry is known to refuse requests for parts of blobs.
    pub(super) fn refuses_ranges(&self) -> bool {
        self.refuses_ranges.load(Ordering::Relaxed)
    }

    /// Remembers that the registry does not take a blob of unknown length.
    pub(super) fn note_streams_refused(&self) {
        self.refuses_streams.store(true, Ordering::Relaxed);
    }

    /// Whether the registry may take a blob of unknown length.
    pub(super) fn takes_streams(&self) -> bool {
        !self.refuses_streams.load(Ordering::Relaxed)
    }

    /// Remembers that nothing can be mounted from the sibling.
    pub(super) fn note_mounts_refused(&self) {
        self.refuses_mounts.store(true, Ordering::Relaxed);
    }

    /// Whether blobs may be mounted from the sibling.
    pub(super) fn may_mount(&self) -> bool {
        !self.refuses_mounts.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_become_smaller_while_they_are_too_large() {
        let capabilities = Capabilities::new();
        assert_eq!(capabilities.largest_request(), u64::MAX);
        for (refused, next) in [(1 << 40, 64 << 20), (64 << 20, 16 << 20), (5 << 20, 4 << 20)] {
            assert!(capabilities.note_too_large(refused, 0));
            assert_eq!(capabilities.largest_request(), next);
        }
        // Another transfer's older and larger request says nothing new.
        assert!(capabilities.note_too_large(64 << 20, 0));
        assert_eq!(capabilities.largest_request(), 4 << 20);
        assert!(!capabilities.note_too_large(4 << 20, 4 << 20), "the registry wants chunks of no less");
        assert!(!capabilities.note_too_large(1 << 20, 0));
    }
}

//! Begins to bring large files to the disk while the rest of them is on its way: a commit then waits for less.

use std::fs;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

/// How much of a file is written between two times that it is asked to the disk, in bytes.
const STEP: u64 = 64 << 20;

/// Takes files that have grown.
pub(super) struct Settling(SyncSender<fs::File>);

/// How much of one file has been written since it was last asked to the disk.
#[derive(Default)]
pub(super) struct Unsettled(u64);

/// Where files are asked to the disk: one thread's work, which ends when the other end is gone.
pub(super) struct Settler(Receiver<fs::File>);

/// Both ends.
pub(super) fn settling() -> (Settling, Settler) {
    let (send, receive) = sync_channel(1);
    (Settling(send), Settler(receive))
}

impl Settling {
    /// So many more bytes were written to `file`.
    pub(super) fn wrote(&self, unsettled: &mut Unsettled, file: &fs::File, bytes: u64) {
        unsettled.0 += bytes;
        if unsettled.0 < STEP {
            return;
        }
        // Where the disk is behind already, it has enough to do.
        if file.try_clone().is_ok_and(|file| self.0.try_send(file).is_ok()) {
            unsettled.0 = 0;
        }
    }
}

impl Settler {
    /// Works until nobody can ask any more.
    pub(super) fn run(self) {
        for file in self.0 {
            // The commit does it for good, and says so if it fails.
            let _ = file.sync_data();
        }
    }
}

//! Where this crate waits for disks. Nothing else in it starts a thread, enters the runtime or leaves it.

use tokio::task::{JoinError, spawn_blocking};

/// Runs `work` on a thread of the runtime that may wait for a disk. It must wait for nothing else: the thread may be the
/// only one.
///
/// # Errors
///
/// The work panicked, or the runtime shuts down.
pub async fn on_disk<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, JoinError> {
    spawn_blocking(work).await
}

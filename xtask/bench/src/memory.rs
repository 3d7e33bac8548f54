//! How much memory another process holds at most.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

/// How often a process is looked at. The system keeps the largest size itself, so only growth in the last
/// moment of a process can be missed.
const INTERVAL: Duration = Duration::from_millis(5);

/// Does `wait` and returns beside its outcome the largest resident size of the process meanwhile, in bytes;
/// none where the system does not tell it or the process was too short.
pub(crate) fn watch<T>(process: u32, wait: impl FnOnce() -> T) -> (T, Option<u64>) {
    let has_ended = AtomicBool::new(false);
    thread::scope(|scope| {
        let watcher = scope.spawn(|| {
            let mut peak = None;
            while !has_ended.load(Ordering::Acquire) {
                // First, so that a short process is left alone.
                thread::park_timeout(INTERVAL);
                peak = peak.max(largest_resident(process));
            }
            peak
        });
        let outcome = wait();
        has_ended.store(true, Ordering::Release);
        watcher.thread().unpark();
        (outcome, watcher.join().unwrap_or_default())
    })
}

/// What the system says, on Linux; a process that has ended holds nothing any more and says nothing.
fn largest_resident(process: u32) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kibibytes * 1024)
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn what_was_held_counts_after_it_is_given_back() {
        const SIZE: usize = 64 << 20;
        let (_, peak) = watch(std::process::id(), || {
            drop(std::hint::black_box(vec![1_u8; SIZE]));
            thread::sleep(INTERVAL * 4);
        });
        assert!(peak.is_some_and(|peak| peak > SIZE as u64), "{peak:?}");
    }
}

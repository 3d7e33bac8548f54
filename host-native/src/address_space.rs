//! How much address space the system lets this process have (`ulimit -v`), and how it is shared out where that is little.
//!
//! Programs commonly reserve far more than they touch, which costs nothing until there is a limit: then what one part has
//! reserved, another one lacks.

use thiserror::Error;

/// Up to so much, in bytes, the components take no more than they need: several run at the same time, and each would take
/// more than 4 GiB.
const AMPLE_BYTES: u64 = 64 << 30;

/// What a thread may take with all that it does: its stack, and the memory of a component twice, since that moves as it
/// grows.
const THREAD_BYTES: u64 = 128 << 20;

/// What the program needs besides its own code to do anything: the memory of a component, its code, stacks of threads and
/// some data.
const NEEDED_BYTES: u64 = 128 << 20;

/// The allocator reserves no more of the limit at a time than one part in so many.
const PIECES: u64 = 16;

/// The least and the most, in bytes, that the allocator can reserve at a time.
const PIECE_BYTES: std::ops::Range<u64> = 32 << 20..1 << 30;

const MIB: u64 = 1 << 20;

/// The most address space that this process may have, in bytes, where the system limits it.
pub fn limit() -> Option<u64> {
    #[cfg(unix)]
    return rustix::process::getrlimit(rustix::process::Resource::As).current;
    #[cfg(not(unix))]
    return None;
}

/// The same where that is so little that it has to be shared out.
pub(crate) fn scarce() -> Option<u64> {
    limit().filter(|limit| *limit < AMPLE_BYTES)
}

/// How many of `most` threads there is address space for; one in any case.
pub(crate) fn threads(most: usize) -> usize {
    let room = scarce().map_or(u64::MAX, |limit| (limit / THREAD_BYTES).max(1));
    most.min(usize::try_from(room).unwrap_or(usize::MAX))
}

/// How much an allocator may reserve at a time, in bytes, where it has to be kept from taking all: 0 where it takes what is
/// asked for. Nothing where it may do as it likes.
///
/// Allocates nothing.
pub fn allocator_piece() -> Option<u64> {
    let piece = scarce()? / PIECES;
    match piece {
        _ if piece < PIECE_BYTES.start => Some(0),
        _ if piece < PIECE_BYTES.end => Some(piece),
        _ => Some(PIECE_BYTES.end),
    }
}

/// There is too little address space for anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error(
    "the limit of address space, `ulimit -v`, is {} MiB; {} MiB are needed",
    limit / MIB,
    needed.div_ceil(MIB)
)]
pub struct Shortage {
    /// How much there is, in bytes.
    pub limit: u64,
    /// How much is needed, in bytes.
    pub needed: u64,
}

/// Whether the program can do anything with the address space that it has; to be asked before it begins.
///
/// # Errors
///
/// [`Shortage`] where it cannot.
pub fn check() -> Result<(), Shortage> {
    let Some(limit) = limit() else { return Ok(()) };
    let Some(taken) = taken() else { return Ok(()) };
    let needed = taken + NEEDED_BYTES;
    if limit < needed { Err(Shortage { limit, needed }) } else { Ok(()) }
}

/// What this process has by now, in bytes: mostly its code. Only Linux says so.
fn taken() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let size = status.lines().find_map(|line| line.strip_prefix("VmSize:"))?;
    Some(1024 * size.trim().strip_suffix(" kB")?.parse::<u64>().ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shortage_says_what_there_is_and_what_is_needed() {
        let shortage = Shortage { limit: 100 * MIB, needed: 200 * MIB + 1 };
        assert_eq!(
            shortage.to_string(),
            "the limit of address space, `ulimit -v`, is 100 MiB; 201 MiB are needed"
        );
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn what_is_taken_is_known() {
        assert!(taken().unwrap() > MIB);
    }
}

//! The allocator of the program, and what it and that of C may keep for themselves.

use std::ffi::{c_int, c_long};

use mimalloc::MiMalloc;

/// A project is a hundred thousand small texts: an allocator that is good at those saves a fifth of a `status`. Without
/// huge pages it touches half the memory and is no slower.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

/// How long freed memory is kept for the next who needs some, in milliseconds: a second, which is usual, makes a push of a
/// hundred thousand files hold half as much again.
const KEEP_FREED_MS: c_long = 50;

/// The number of that setting; the crate has no name for it.
const PURGE_DELAY: c_int = 15;

/// The number of the setting for how many KiB of address space are reserved at a time.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
const ARENA_RESERVE: c_int = 23;

/// Run by the loader ahead of `main`: the first thing that is allocated reserves a GiB of address space for good.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
#[expect(unsafe_code, reason = "the loader is told by a section's name")]
#[used]
// SAFETY: the section holds addresses of functions, which the loader calls one by one.
#[unsafe(link_section = ".init_array")]
static AHEAD_OF_MAIN: extern "C" fn() = spare_address_space;

/// Keeps both allocators from reserving what others need. C's own one, of which little is asked, would reserve 64 MiB for
/// every thread, which takes longer than the thread does to start; the other one holds back where the system limits that.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
extern "C" fn spare_address_space() {
    let piece = modelops_bundle::address_space::allocator_piece();
    #[expect(unsafe_code, reason = "the allocators' settings are behind C functions")]
    // SAFETY: they only store numbers, and there is no other thread yet.
    unsafe {
        libc::mallopt(libc::M_ARENA_MAX, 1);
        if let Some(piece) = piece {
            libmimalloc_sys::mi_option_set(ARENA_RESERVE, (piece >> 10) as c_long);
        }
    }
}

/// Tells the allocator how long to keep what was freed.
pub(crate) fn keep_freed_shortly() {
    #[expect(unsafe_code, reason = "the allocator's settings are behind a C function")]
    // SAFETY: it only stores a number, and does nothing where the setting is unknown.
    unsafe {
        libmimalloc_sys::mi_option_set(PURGE_DELAY, KEEP_FREED_MS);
    }
}

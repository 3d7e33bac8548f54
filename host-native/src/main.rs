//! The program `modelops-bundle`. All of it is in the library, under `cli`.

use std::ffi::{c_int, c_long};
use std::process::ExitCode;

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

fn main() -> ExitCode {
    #[expect(unsafe_code, reason = "the allocator's settings are behind a C function")]
    // SAFETY: it only stores a number, and does nothing where the setting is unknown.
    unsafe {
        libmimalloc_sys::mi_option_set(PURGE_DELAY, KEEP_FREED_MS);
    }
    modelops_bundle::cli::main()
}

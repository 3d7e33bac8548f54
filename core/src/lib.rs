//! The decisions of modelops-bundle.
//!
//! Bytes and facts come in as arguments, decisions go out as values. Nothing here reads a file, a clock, a socket or
//! an environment, and nothing prints. The crate in `wit/` gives it the face of a WASM component; hosts may also call
//! it natively for bulk work on bytes. Start at [`bundle`] for what a bundle is, at [`diff`] for how two sides
//! compare, at [`plan`] for what is to be done about it.

#![forbid(unsafe_code)]
// A panic would end the component as a trap without a message.
#![cfg_attr(
    not(test),
    deny(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)
)]

pub mod bundle;
pub mod canonical;
pub mod causes;
pub mod diff;
pub mod digest;
pub mod file;
pub mod ignore;
pub mod name;
pub mod pack;
pub mod plan;
pub mod wire;

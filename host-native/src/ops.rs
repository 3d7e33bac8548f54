//! The operations, one a file: `plan` looks and decides and changes nothing, `apply` does what was planned. Nothing here
//! prints.

pub mod delete;
pub mod tag;
pub mod verify;

//! The operations, one a file: `plan` looks and decides and changes nothing, `apply` does what was planned. Nothing here
//! prints.

pub mod copy;
pub mod delete;
pub mod export;
pub mod health;
pub mod list;
pub mod login;
pub mod logout;
pub mod pull;
pub mod push;
pub mod repos;
pub mod status;
pub mod tag;
pub mod verify;

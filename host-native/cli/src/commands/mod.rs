//! One file a command: its arguments, whose text is the help, and what it does with the library.

pub(crate) mod add;
pub(crate) mod completions;
pub(crate) mod config;
pub(crate) mod copy;
pub(crate) mod core;
pub(crate) mod delete;
pub(crate) mod diff;
pub(crate) mod env;
pub(crate) mod export;
pub(crate) mod health;
pub(crate) mod import;
pub(crate) mod init;
pub(crate) mod inspect;
pub(crate) mod login;
pub(crate) mod logout;
pub(crate) mod man;
pub(crate) mod manifest;
pub(crate) mod pull;
pub(crate) mod push;
pub(crate) mod python;
pub(crate) mod remove;
pub(crate) mod repos;
pub(crate) mod status;
pub(crate) mod tag;
pub(crate) mod undo;
pub(crate) mod verify;

//! modelops-bundle as a library: the native host of a core that decides.
//!
//! A project's files and a remote's bundle come in as facts ([`scan`], [`bundle`]), the core ([`component`]) says what
//! is to be done, and this crate does it: [`push`], [`pull`]. The program of the same name is [`cli`], a thin layer
//! over the rest.

pub mod bundle;
pub mod cli;
pub mod clock;
pub mod component;
pub mod project;
pub mod pull;
pub mod push;
pub mod remote;
pub mod scan;
pub mod transfer;
pub mod workspace;

//! The core's types to those of the contract and back, and nothing else: one file an interface.
//!
//! Texts become typed here: past this module no path and no digest is unchecked. Rules are the core's.

pub(crate) mod bundle;
pub(crate) mod compare;
pub(crate) mod digest;
pub(crate) mod pack;
pub(crate) mod pull;
pub(crate) mod push;
pub(crate) mod seal;
pub(crate) mod tag;
pub(crate) mod types;
pub(crate) mod undo;
pub(crate) mod version;
pub(crate) mod wire;

pub(crate) use bundle_core::causes::with_causes;

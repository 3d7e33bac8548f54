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

use std::error::Error;

/// A failure and its causes in one line.
pub(crate) fn text(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}

//! The core's types to the generated ones and back, as the host needs them: one file an interface.
//!
//! What goes in is borrowed. What comes out is checked: a core from a file may answer anything.

pub(super) mod bundle;
pub(super) mod compare;
pub(super) mod digest;
mod pack;
pub(super) mod pull;
pub(super) mod push;
pub(super) mod seal;
pub(super) mod tag;
pub(super) mod types;
pub(super) mod version;
pub(super) mod wire;

use super::CoreError;

type Answer<T> = Result<T, CoreError>;

fn fault(reason: impl Into<String>) -> CoreError {
    CoreError::Answer { reason: reason.into() }
}

fn each<T, U>(list: Vec<T>, convert: impl Fn(T) -> Answer<U>) -> Answer<Vec<U>> {
    list.into_iter().map(convert).collect()
}

/// A document that is text.
pub(super) fn text(document: Vec<u8>) -> Answer<String> {
    String::from_utf8(document).map_err(|_| fault("a document is not UTF-8"))
}

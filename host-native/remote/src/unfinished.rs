//! Uploads that a run may leave unfinished, and a later one goes on with.
//!
//! Where they are kept is not known here: whoever opens a remote hands in an [`Unfinished`]. By default nothing is
//! kept. What becomes of an upload that was kept is decided in `registry/earlier_upload.rs`.

use std::fmt;

use bundle_core::digest::Digest;
use bundle_core::name::reference::Place;

/// As many bytes at the start of a blob tell it from others where its digest is not known yet.
pub const HEAD_BYTES: usize = 1 << 20;

/// What an upload is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Content {
    /// The blob with this digest.
    Blob(Digest),
    /// A blob of this program's own that is still being written; this is the hash of its first [`HEAD_BYTES`] bytes.
    Head(Digest),
}

/// Keeps the uploads that are under way, so that a later run finds those that this one leaves.
///
/// A URL may hold a signature: nobody but its owner may read it, and no log or error shows it.
pub trait Unfinished: Send + Sync + fmt::Debug {
    /// Whether an earlier run broke off that had begun to send something large to `place`.
    fn broke_off(&self, place: &Place) -> bool;

    /// The URL of an upload to `place` that an earlier run has left. Each is given out once, and no more once several runs
    /// have got no further with it.
    fn take(&self, place: &Place, content: &Content) -> Option<String>;

    /// An upload to `place`, of which the remote has `reached` bytes, goes on at `url`; replaces what was kept of it.
    fn keep(&self, place: &Place, content: &Content, url: &str, reached: u64);

    /// What was kept as `from` is an upload of `to`.
    fn rename(&self, place: &Place, from: &Content, to: &Content);

    /// An upload to `place` has come to its end.
    fn forget(&self, place: &Place, content: &Content);

    /// All that was to be done at `place` is done, and what is left there is of no use any more.
    fn finish(&self, place: &Place);
}

/// Keeps nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct Unkept;

impl Unfinished for Unkept {
    fn broke_off(&self, _place: &Place) -> bool {
        false
    }

    fn take(&self, _place: &Place, _content: &Content) -> Option<String> {
        None
    }

    fn keep(&self, _place: &Place, _content: &Content, _url: &str, _reached: u64) {}

    fn rename(&self, _place: &Place, _from: &Content, _to: &Content) {}

    fn forget(&self, _place: &Place, _content: &Content) {}

    fn finish(&self, _place: &Place) {}
}

//! How work that takes its time gets on: a small trait that whoever does the work tells, and the silent one.
//!
//! Nothing is drawn here; see `cli/progress.rs` for that.

use bundle_core::name::reference::Tag;

/// What is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Work {
    /// Looking for files; counted in files.
    Scan,
    /// Reading files of this machine, of the project or an archive that is checked; counted in bytes.
    Hash,
    /// Bytes that go to a remote.
    Upload,
    /// Bytes that come from one.
    Download,
}

/// Is told how work gets on, from several threads.
pub trait Progress: Send + Sync {
    /// So much more of it turned out to be there.
    fn expect(&self, work: Work, amount: u64);

    /// So much more of it is done.
    fn advance(&self, work: Work, amount: u64);

    /// So much more of it need not be done, since it was there already: it counts as done, and not for how fast work is.
    fn skip(&self, work: Work, amount: u64);

    /// A tag was written: whoever is stopped from here on has published something.
    fn wrote_tag(&self, _tag: &Tag) {}
}

/// Tells nobody.
#[derive(Clone, Copy, Debug, Default)]
pub struct Silent;

impl Progress for Silent {
    fn expect(&self, _work: Work, _amount: u64) {}

    fn advance(&self, _work: Work, _amount: u64) {}

    fn skip(&self, _work: Work, _amount: u64) {}
}

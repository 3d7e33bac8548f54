//! Whether the content of a push may go ahead of its decision, while the project's files are still being read.
//!
//! What goes ahead is never wrong, since nothing refers to it before the decision. It may be wasted: so it goes only where
//! nothing can stop the push any more, and where it is known in which form content will be stored.

use crate::bundle::layout::Layout;
use crate::plan::layout::{LayoutChoice, Rewrite};

/// What is known of a push before the project's files are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EarlyFacts {
    /// Whether the project is built on every bundle that a tag of the push names.
    pub free: bool,
    /// Whether the user has said that what others did is replaced.
    pub insists: bool,
    /// Whether every tag may be written, as far as is known.
    pub tags_free: bool,
    /// The layout of the new bundle.
    pub choice: LayoutChoice,
}

/// Whether content may go ahead.
#[must_use]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EarlySend {
    /// It may.
    Yes,
    /// It waits for the decision.
    No(Wait),
}

/// Why content waits for the decision.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wait {
    /// What others did could stop the push.
    Unseen,
    /// A tag may not be written.
    Tags,
    /// Each file is a blob of its own: which ones the remote lacks is known once all are hashed.
    Files,
    /// All content would be written anew, and it is not known whether a file has changed at all.
    Unchanged,
}

/// Decides whether content may go ahead.
pub fn early_send(facts: EarlyFacts) -> EarlySend {
    let EarlyFacts { free, insists, tags_free, choice } = facts;
    if !(free || insists) {
        EarlySend::No(Wait::Unseen)
    } else if !tags_free {
        EarlySend::No(Wait::Tags)
    } else if choice.layout == Layout::Files {
        EarlySend::No(Wait::Files)
    } else if choice.rewrite == Rewrite::IfChanged {
        EarlySend::No(Wait::Unchanged)
    } else {
        EarlySend::Yes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_goes_ahead_only_where_nothing_can_stop_the_push() {
        let choice = LayoutChoice { layout: Layout::Packed, rewrite: Rewrite::No };
        let sure = EarlyFacts { free: true, insists: false, tags_free: true, choice };
        assert_eq!(early_send(sure), EarlySend::Yes);
        assert_eq!(early_send(EarlyFacts { free: false, insists: true, ..sure }), EarlySend::Yes);
        assert_eq!(early_send(EarlyFacts { free: false, ..sure }), EarlySend::No(Wait::Unseen));
        assert_eq!(early_send(EarlyFacts { tags_free: false, ..sure }), EarlySend::No(Wait::Tags));
        let with =
            |layout, rewrite| early_send(EarlyFacts { choice: LayoutChoice { layout, rewrite }, ..sure });
        assert_eq!(with(Layout::Packed, Rewrite::Always), EarlySend::Yes);
        assert_eq!(with(Layout::Packed, Rewrite::IfChanged), EarlySend::No(Wait::Unchanged));
        assert_eq!(with(Layout::Files, Rewrite::No), EarlySend::No(Wait::Files));
    }
}

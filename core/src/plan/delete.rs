//! Whether a name or a bundle may be deleted, where a remote may be unable to take away one without the other.

use super::tag::Occupant;
use crate::name::reference::Tag;

/// What a remote deletes at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeleteUnit {
    /// A bundle, with every tag that names it.
    Bundle,
    /// A single tag: the bundle and its other tags stay.
    Tag,
}

/// What is known of a bundle before it, or a tag of it, is deleted.
#[derive(Clone, Debug)]
pub struct DeleteFacts {
    /// The tag that the user wants to be gone; nothing where that is the bundle itself.
    pub tag: Option<Tag>,
    /// Every tag that names the bundle.
    pub tags: Vec<Tag>,
    /// What kind of manifest it is.
    pub occupant: Occupant,
    /// What the remote deletes at a time.
    pub unit: DeleteUnit,
    /// Whether the user said that tags may go that were not named, and what is no bundle.
    pub force: bool,
}

/// What may be deleted.
#[must_use]
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DeleteDecision {
    /// The bundle, and with it these tags besides the one that was named.
    Bundle(Vec<Tag>),
    /// Nothing: it is something of another tool, and the user has not said that it may go.
    Foreign,
    /// Nothing: these tags, which nobody named, would go too, and the user has not said that they may.
    NeedsForce(Vec<Tag>),
    /// The one tag.
    Tag,
}

/// Decides what may be deleted.
pub fn decide_delete(facts: &DeleteFacts) -> DeleteDecision {
    if facts.occupant == Occupant::Foreign && !facts.force {
        return DeleteDecision::Foreign;
    }
    if facts.unit == DeleteUnit::Tag && facts.tag.is_some() {
        return DeleteDecision::Tag;
    }
    let mut others: Vec<Tag> =
        facts.tags.iter().filter(|tag| Some(*tag) != facts.tag.as_ref()).cloned().collect();
    others.sort();
    others.dedup();
    if others.is_empty() || facts.force {
        DeleteDecision::Bundle(others)
    } else {
        DeleteDecision::NeedsForce(others)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_goes_that_was_not_named() {
        use DeleteDecision::{Bundle, NeedsForce, Tag as One};
        let tags = |names: &[&str]| names.iter().map(|name| name.parse().unwrap()).collect::<Vec<Tag>>();
        for (tag, all, unit, force, expected) in [
            (Some("a"), &["a"][..], DeleteUnit::Tag, false, One),
            (Some("a"), &["a", "b"], DeleteUnit::Tag, false, One),
            (Some("a"), &["a"], DeleteUnit::Bundle, false, Bundle(tags(&[]))),
            (Some("a"), &["c", "a", "b", "b"], DeleteUnit::Bundle, false, NeedsForce(tags(&["b", "c"]))),
            (Some("a"), &["c", "a", "b"], DeleteUnit::Bundle, true, Bundle(tags(&["b", "c"]))),
            (None, &[], DeleteUnit::Tag, false, Bundle(tags(&[]))),
            (None, &["a"], DeleteUnit::Tag, false, NeedsForce(tags(&["a"]))),
            (None, &["a"], DeleteUnit::Bundle, true, Bundle(tags(&["a"]))),
        ] {
            let tag = tag.map(|tag| tag.parse().unwrap());
            let facts = DeleteFacts { tag, tags: tags(all), occupant: Occupant::Bundle, unit, force };
            assert_eq!(decide_delete(&facts), expected, "{facts:?}");
            let foreign = DeleteFacts { occupant: Occupant::Foreign, ..facts };
            let expected = if force { expected } else { DeleteDecision::Foreign };
            assert_eq!(decide_delete(&foreign), expected, "{foreign:?}");
        }
    }
}

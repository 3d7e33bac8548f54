//! Whether a tag may be moved: decided just before it is written, from what it named when the plan was made.

use crate::digest::Digest;
use crate::name::reference::Tag;
use crate::plan::version::Version;

/// What a tag names before it is moved or deleted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Occupant {
    /// A bundle, or something that says it is one.
    #[default]
    Bundle,
    /// Something of another tool: see [`crate::bundle::foreign`].
    Foreign,
}

/// Which operation writes a tag.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mover {
    /// One that names an existing bundle: `tag` and `copy`. It moves no tag that names something else, unless forced.
    Naming,
    /// A push. A tag follows it, but a published version never does.
    #[default]
    Push,
}

/// What a tag named at three moments.
#[derive(Clone, Debug)]
pub struct TagFacts {
    /// The tag.
    pub tag: Tag,
    /// What it named when the plan was made.
    pub planned: Option<Digest>,
    /// What it names now.
    pub current: Option<Digest>,
    /// What kind of manifest `current` is.
    pub occupant: Occupant,
    /// What it is to name.
    pub target: Digest,
    /// Whether the user said that it may move whatever it names.
    pub force: bool,
    /// Which operation writes it.
    pub mover: Mover,
}

/// Whether a tag may be written.
#[must_use]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TagDecision {
    /// Write it.
    Write,
    /// It names the new bundle already.
    AlreadyThere,
    /// It names something of another tool, which nobody has said may lose it.
    Foreign(Digest),
    /// It moved since the plan was made: what it names now, if it still exists.
    Moved(Option<Digest>),
    /// It names another bundle, which nobody has said may lose it.
    Named(Digest),
    /// It is a version that exists, and versions do not move: what it names.
    Published(Digest),
}

/// Decides whether a tag may be written.
pub fn decide_tag(facts: &TagFacts) -> TagDecision {
    let is_version = Version::of(&facts.tag).is_some();
    match facts.current {
        Some(current) if current == facts.target => TagDecision::AlreadyThere,
        Some(current) if is_version && facts.mover == Mover::Push && facts.occupant == Occupant::Bundle => {
            if facts.force || Some(current) == facts.planned {
                TagDecision::Published(current)
            } else {
                TagDecision::Moved(Some(current))
            }
        }
        _ if facts.force => TagDecision::Write,
        Some(current) if facts.occupant == Occupant::Foreign => TagDecision::Foreign(current),
        current if current != facts.planned => TagDecision::Moved(current),
        Some(current) if is_version => TagDecision::Published(current),
        Some(current) if facts.mover == Mover::Naming => TagDecision::Named(current),
        _ => TagDecision::Write,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moves_only_what_it_knows() {
        let digest = |content: &str| Digest::of(content.as_bytes());
        let (old, new, other) = (digest("old"), digest("new"), digest("other"));
        for (tag, planned, current, force, expected) in [
            ("latest", None, None, false, TagDecision::Write),
            ("latest", Some(old), Some(old), false, TagDecision::Write),
            ("latest", Some(old), Some(new), false, TagDecision::AlreadyThere),
            ("latest", Some(old), Some(other), false, TagDecision::Moved(Some(other))),
            ("latest", Some(old), None, false, TagDecision::Moved(None)),
            ("latest", None, Some(other), false, TagDecision::Moved(Some(other))),
            ("latest", None, Some(other), true, TagDecision::Write),
            ("v1.2.3", None, None, false, TagDecision::Write),
            ("v1.2.3", Some(old), Some(old), false, TagDecision::Published(old)),
            ("1.2.3-rc.1", Some(old), Some(old), false, TagDecision::Published(old)),
            ("1.2.3", Some(old), Some(old), true, TagDecision::Published(old)),
            ("1.2.3", Some(old), Some(other), false, TagDecision::Moved(Some(other))),
            ("1.2", Some(old), Some(old), false, TagDecision::Write),
        ] {
            let occupant = Occupant::Bundle;
            let tag: Tag = tag.parse().unwrap();
            let facts = TagFacts { tag, planned, current, occupant, target: new, force, mover: Mover::Push };
            assert_eq!(decide_tag(&facts), expected, "{facts:?}");
            // Whoever names an existing bundle moves nothing that names another one, unless that is said.
            let naming = match expected {
                _ if force => TagDecision::Write,
                TagDecision::Write => current.map_or(TagDecision::Write, TagDecision::Named),
                other => other,
            };
            let facts = TagFacts { mover: Mover::Naming, ..facts };
            assert_eq!(decide_tag(&facts), naming, "{facts:?}");
        }
    }

    #[test]
    fn what_another_tool_has_named_keeps_its_tag() {
        let digest = |content: &str| Digest::of(content.as_bytes());
        let (image, bundle) = (digest("image"), digest("bundle"));
        for (planned, current, force, expected) in [
            (Some(image), Some(image), false, TagDecision::Foreign(image)),
            (None, Some(image), false, TagDecision::Foreign(image)),
            (Some(image), Some(image), true, TagDecision::Write),
            (Some(image), None, false, TagDecision::Moved(None)),
            (None, None, false, TagDecision::Write),
        ] {
            let tag = "docker".parse().unwrap();
            let occupant = Occupant::Foreign;
            let mover = Mover::Push;
            let facts = TagFacts { tag, planned, current, occupant, target: bundle, force, mover };
            assert_eq!(decide_tag(&facts), expected, "{planned:?} {current:?} {force}");
        }
    }
}

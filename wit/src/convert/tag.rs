//! Interface `tag`.

use bundle_core::digest::Digest;
use bundle_core::name::reference::Tag;
use bundle_core::plan::delete::{DeleteDecision, DeleteFacts, DeleteUnit};
use bundle_core::plan::standing::{Standing, StandingFacts};
use bundle_core::plan::tag::{Mover, Occupant, TagDecision, TagFacts};

use crate::generated::exports::modelops::bundle::{tag, types};

use super::types::{digest, digests, fault, optional_digest};

pub(crate) fn standing(facts: tag::StandingFacts) -> Result<tag::Standing, types::Fault> {
    let (named_ancestors, synced_ancestors) =
        (digests(facts.named_ancestors)?, digests(facts.synced_ancestors)?);
    Ok(bundle_core::plan::standing::standing(&StandingFacts {
        named: optional_digest(facts.named)?,
        named_ancestors: &named_ancestors,
        synced: optional_digest(facts.synced)?,
        synced_ancestors: &synced_ancestors,
        seen: optional_digest(facts.seen)?,
    })
    .into())
}

impl From<Standing> for tag::Standing {
    fn from(standing: Standing) -> Self {
        let distance = |bundles| tag::Distance { bundles };
        match standing {
            Standing::Absent => Self::Absent,
            Standing::Same => Self::Same,
            Standing::Ancestor { ahead } => Self::Ancestor(distance(ahead)),
            Standing::Descendant { behind } => Self::Descendant(distance(behind)),
            Standing::MovedBack { seen } => Self::MovedBack(tag::MovedBack { seen: seen.into() }),
            Standing::Unrelated => Self::Unrelated,
        }
    }
}

fn tag(text: String) -> Result<Tag, types::Fault> {
    text.parse().map_err(|error| fault(text, &error))
}

impl TryFrom<tag::TagFacts> for TagFacts {
    type Error = types::Fault;

    fn try_from(facts: tag::TagFacts) -> Result<Self, types::Fault> {
        Ok(Self {
            tag: tag(facts.tag)?,
            planned: optional_digest(facts.planned)?,
            current: optional_digest(facts.current)?,
            occupant: facts.occupant.into(),
            target: digest(facts.target)?,
            force: facts.force,
            mover: match facts.mover {
                tag::Mover::Naming => Mover::Naming,
                tag::Mover::Push => Mover::Push,
            },
        })
    }
}

impl From<tag::Occupant> for Occupant {
    fn from(occupant: tag::Occupant) -> Self {
        match occupant {
            tag::Occupant::Bundle => Self::Bundle,
            tag::Occupant::Foreign => Self::Foreign,
        }
    }
}

impl From<TagDecision> for tag::TagDecision {
    fn from(decision: TagDecision) -> Self {
        let named = |digest: Digest| tag::Named { digest: digest.into() };
        match decision {
            TagDecision::Write => Self::Write,
            TagDecision::AlreadyThere => Self::AlreadyThere,
            TagDecision::Foreign(digest) => Self::Foreign(named(digest)),
            TagDecision::Moved(now) => Self::Moved(tag::Moved { now: now.map(Into::into) }),
            TagDecision::Named(digest) => Self::Named(named(digest)),
            TagDecision::Published(digest) => Self::Published(named(digest)),
        }
    }
}

impl TryFrom<tag::DeleteFacts> for DeleteFacts {
    type Error = types::Fault;

    fn try_from(facts: tag::DeleteFacts) -> Result<Self, types::Fault> {
        Ok(Self {
            tag: facts.tag.map(tag).transpose()?,
            tags: facts.tags.into_iter().map(tag).collect::<Result<_, _>>()?,
            occupant: facts.occupant.into(),
            unit: match facts.unit {
                tag::DeleteUnit::Bundle => DeleteUnit::Bundle,
                tag::DeleteUnit::Tag => DeleteUnit::Tag,
            },
            force: facts.force,
        })
    }
}

impl From<DeleteDecision> for tag::DeleteDecision {
    fn from(decision: DeleteDecision) -> Self {
        let other_tags =
            |tags: Vec<Tag>| tag::OtherTags { tags: tags.iter().map(ToString::to_string).collect() };
        match decision {
            DeleteDecision::Bundle(others) => Self::Bundle(other_tags(others)),
            DeleteDecision::Foreign => Self::Foreign,
            DeleteDecision::NeedsForce(others) => Self::NeedsForce(other_tags(others)),
            DeleteDecision::Tag => Self::Tag,
        }
    }
}

//! Interface `tag`.

use bundle_core::name::reference::Tag;
use bundle_core::plan::delete::{DeleteDecision, DeleteUnit};
use bundle_core::plan::standing::Standing;
use bundle_core::plan::tag::{Mover, Occupant, TagDecision};

use crate::component::generated::exports::modelops::bundle::tag;

use super::types::{digest, optional_digest};
use super::{Answer, fault};

pub(in crate::component) fn standing(standing: &tag::Standing) -> Answer<Standing> {
    Ok(match standing {
        tag::Standing::Absent => Standing::Absent,
        tag::Standing::Same => Standing::Same,
        tag::Standing::Ancestor(ahead) => Standing::Ancestor { ahead: ahead.bundles },
        tag::Standing::Descendant(behind) => Standing::Descendant { behind: behind.bundles },
        tag::Standing::MovedBack(back) => Standing::MovedBack { seen: digest(&back.seen)? },
        tag::Standing::Unrelated => Standing::Unrelated,
    })
}

pub(in crate::component) fn tag_decision(decision: tag::TagDecision) -> Answer<TagDecision> {
    Ok(match decision {
        tag::TagDecision::Write => TagDecision::Write,
        tag::TagDecision::AlreadyThere => TagDecision::AlreadyThere,
        tag::TagDecision::Foreign(named) => TagDecision::Foreign(digest(&named.digest)?),
        tag::TagDecision::Moved(moved) => TagDecision::Moved(optional_digest(moved.now.as_deref())?),
        tag::TagDecision::Named(named) => TagDecision::Named(digest(&named.digest)?),
        tag::TagDecision::Published(named) => TagDecision::Published(digest(&named.digest)?),
    })
}

pub(in crate::component) fn delete_decision(decision: tag::DeleteDecision) -> Answer<DeleteDecision> {
    let tags = |texts: Vec<String>| texts.iter().map(|text| tag(text)).collect::<Answer<Vec<Tag>>>();
    Ok(match decision {
        tag::DeleteDecision::Bundle(with) => DeleteDecision::Bundle(tags(with.tags)?),
        tag::DeleteDecision::Foreign => DeleteDecision::Foreign,
        tag::DeleteDecision::NeedsForce(others) => DeleteDecision::NeedsForce(tags(others.tags)?),
        tag::DeleteDecision::Tag => DeleteDecision::Tag,
    })
}

fn tag(text: &str) -> Answer<Tag> {
    text.parse().map_err(|_| fault(format!("`{}` is no tag", text.escape_debug())))
}

impl From<Occupant> for tag::Occupant {
    fn from(occupant: Occupant) -> Self {
        match occupant {
            Occupant::Bundle => Self::Bundle,
            Occupant::Foreign => Self::Foreign,
        }
    }
}

impl From<Mover> for tag::Mover {
    fn from(mover: Mover) -> Self {
        match mover {
            Mover::Naming => Self::Naming,
            Mover::Push => Self::Push,
        }
    }
}

impl From<DeleteUnit> for tag::DeleteUnit {
    fn from(unit: DeleteUnit) -> Self {
        match unit {
            DeleteUnit::Bundle => Self::Bundle,
            DeleteUnit::Tag => Self::Tag,
        }
    }
}

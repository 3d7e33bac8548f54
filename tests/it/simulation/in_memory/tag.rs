//! `tag`, and how any command moves a tag.

use std::rc::Rc;

use bundle_core::digest::Digest;
use bundle_core::plan::tag::{Mover, Occupant, TagDecision, TagFacts, decide_tag};
use serde_json::json;

use super::registry::{Bundle, Registry};
use super::{Arguments, InMemory, MOVED, NOT_FOUND, Outcome, Stopped, failed};

/// A tag that is to be moved.
#[derive(Clone, Copy, Debug)]
pub(super) struct Move<'a> {
    pub(super) tag: &'a str,
    /// What it named when that was planned.
    pub(super) planned: Option<Digest>,
    pub(super) force: bool,
    pub(super) mover: Mover,
}

impl Move<'_> {
    /// Whether the tag has to be written to name `target`.
    pub(super) fn check(self, registry: &Registry, target: Digest) -> Result<bool, Stopped> {
        let Self { tag, planned, force, mover } = self;
        let tag = tag.parse().unwrap();
        let current = registry.tag(self.tag);
        let occupant = Occupant::Bundle;
        match decide_tag(&TagFacts { tag, planned, current, occupant, target, force, mover }) {
            TagDecision::Write => Ok(true),
            TagDecision::AlreadyThere => Ok(false),
            decision => {
                Err(failed(MOVED, &format!("the tag {} is not to be written: {decision:?}", self.tag)))
            }
        }
    }

    /// Has the tag name `bundle`.
    pub(super) fn write(self, registry: &mut Registry, bundle: &Rc<Bundle>) -> Result<(), Stopped> {
        if self.check(registry, bundle.digest)? {
            registry.move_tag(self.tag, bundle);
        }
        Ok(())
    }
}

impl InMemory {
    pub(super) fn tag(&mut self, arguments: &Arguments<'_>) -> Outcome {
        let [reference, tag] = arguments.plain[..] else { panic!("{arguments:?}") };
        let bundle = self.registry.open(reference).ok_or_else(|| failed(NOT_FOUND, "there is no bundle"))?;
        let planned = self.registry.tag(tag);
        let naming = Move { tag, planned, force: false, mover: Mover::Naming };
        naming.write(&mut self.registry, &bundle)?;
        let named = json!({"tag": tag, "before": planned, "changed": planned != Some(bundle.digest)});
        Ok(json!({"ref": reference, "digest": bundle.digest, "tags": [named]}))
    }
}

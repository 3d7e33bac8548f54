//! Interface `push`.

use bundle_core::plan::early_send::{EarlyFacts, EarlySend, Wait};
use bundle_core::plan::layout::{LayoutChoice, LayoutPolicy, Rewrite};
use bundle_core::plan::push::{LeftBehind, PushDecision};

use crate::component::generated::exports::modelops::bundle::{push, wire};

use super::types::{changes, mass_drop, path};
use super::{Answer, each, fault};

impl From<LayoutPolicy> for push::LayoutPolicy {
    fn from(policy: LayoutPolicy) -> Self {
        match policy {
            LayoutPolicy::Auto => Self::Auto,
            LayoutPolicy::Files => Self::Files,
            LayoutPolicy::Packed => Self::Packed,
        }
    }
}

impl From<Rewrite> for push::Rewrite {
    fn from(rewrite: Rewrite) -> Self {
        match rewrite {
            Rewrite::No => Self::No,
            Rewrite::IfChanged => Self::IfChanged,
            Rewrite::Always => Self::Always,
        }
    }
}

impl From<push::LayoutChoice> for LayoutChoice {
    fn from(choice: push::LayoutChoice) -> Self {
        let rewrite = match choice.rewrite {
            push::Rewrite::No => Rewrite::No,
            push::Rewrite::IfChanged => Rewrite::IfChanged,
            push::Rewrite::Always => Rewrite::Always,
        };
        Self { layout: choice.layout.into(), rewrite }
    }
}

impl From<LayoutChoice> for push::LayoutChoice {
    fn from(choice: LayoutChoice) -> Self {
        Self { layout: choice.layout.into(), rewrite: choice.rewrite.into() }
    }
}

impl From<EarlyFacts> for push::EarlyFacts {
    fn from(facts: EarlyFacts) -> Self {
        let EarlyFacts { free, insists, tags_free, choice } = facts;
        Self { free, insists, tags_free, choice: choice.into() }
    }
}

impl From<push::EarlyDecision> for EarlySend {
    fn from(decision: push::EarlyDecision) -> Self {
        match decision {
            push::EarlyDecision::Yes => Self::Yes,
            push::EarlyDecision::No(push::Wait::Unseen) => Self::No(Wait::Unseen),
            push::EarlyDecision::No(push::Wait::Tags) => Self::No(Wait::Tags),
            push::EarlyDecision::No(push::Wait::Files) => Self::No(Wait::Files),
            push::EarlyDecision::No(push::Wait::Unchanged) => Self::No(Wait::Unchanged),
        }
    }
}

pub(in crate::component) fn push_decision(decision: wire::WirePushDecision) -> Answer<PushDecision> {
    match decision {
        wire::WirePushDecision::Plan(plan) => push_changes(plan),
        wire::WirePushDecision::Refused(wire::RefusedChanges { plan, reasons }) => {
            let decision = PushDecision {
                unseen: changes(reasons.unseen)?,
                mass_drop: reasons.mass_drop.map(mass_drop),
                left_behind: each(reasons.left_behind, left_behind)?,
                ..push_changes(plan)?
            };
            if decision.is_refused() {
                Ok(decision)
            } else {
                Err(fault("it refuses a push without a reason"))
            }
        }
    }
}

fn push_changes(plan: wire::PushChanges) -> Answer<PushDecision> {
    Ok(PushDecision {
        delete: each(plan.delete, path)?,
        untrack: each(plan.untrack, path)?,
        changed: plan.changed,
        ..PushDecision::default()
    })
}

fn left_behind(push::LeftBehind { path, now_at }: push::LeftBehind) -> Answer<LeftBehind> {
    Ok(LeftBehind { path: self::path(path)?, now_at: self::path(now_at)? })
}

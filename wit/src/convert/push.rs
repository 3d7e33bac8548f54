//! Interface `push`.

use bundle_core::plan::early_send::{EarlyFacts, EarlySend, Wait};
use bundle_core::plan::layout::{LayoutChoice, LayoutPolicy, Rewrite};
use bundle_core::plan::push::{Builds, LeftBehind, PushDecision, PushPlan, Upload};

use crate::generated::exports::modelops::bundle::{push, wire};

use super::types::{changes, texts};

impl From<PushPlan> for push::PushDecision {
    fn from(plan: PushPlan) -> Self {
        let is_refused = plan.decision.is_refused();
        let (decided, reasons) = changes_and_reasons(plan.decision);
        let wire::PushChanges { delete, untrack, changed } = decided;
        let plan = push::PushPlan {
            files: texts(plan.manifest),
            missing: texts(plan.upload),
            uploads: plan.blobs.into_iter().map(Into::into).collect(),
            delete,
            untrack,
            changed,
            tree: plan.tree.into(),
        };
        if is_refused { Self::Refused(push::RefusedPush { plan, reasons }) } else { Self::Plan(plan) }
    }
}

/// What a push does, and what stands against it.
pub(crate) fn changes_and_reasons(decision: PushDecision) -> (wire::PushChanges, push::PushRefusal) {
    let PushDecision { delete, untrack, unseen, mass_drop, left_behind, changed } = decision;
    let reasons = push::PushRefusal {
        unseen: changes(unseen),
        mass_drop: mass_drop.map(Into::into),
        left_behind: left_behind.into_iter().map(Into::into).collect(),
    };
    (wire::PushChanges { delete: texts(delete), untrack: texts(untrack), changed }, reasons)
}

pub(crate) fn builds(free: bool) -> Builds {
    if free { Builds::On } else { Builds::ByPaths }
}

impl From<Upload> for push::Upload {
    fn from(Upload { digest, size, path, ask_first }: Upload) -> Self {
        Self { digest: digest.into(), size, path: path.into(), ask_first }
    }
}

impl From<LeftBehind> for push::LeftBehind {
    fn from(LeftBehind { path, now_at }: LeftBehind) -> Self {
        Self { path: path.into(), now_at: now_at.into() }
    }
}

impl From<push::LayoutPolicy> for LayoutPolicy {
    fn from(policy: push::LayoutPolicy) -> Self {
        match policy {
            push::LayoutPolicy::Auto => Self::Auto,
            push::LayoutPolicy::Files => Self::Files,
            push::LayoutPolicy::Packed => Self::Packed,
        }
    }
}

impl From<push::Rewrite> for Rewrite {
    fn from(rewrite: push::Rewrite) -> Self {
        match rewrite {
            push::Rewrite::No => Self::No,
            push::Rewrite::IfChanged => Self::IfChanged,
            push::Rewrite::Always => Self::Always,
        }
    }
}

impl From<LayoutChoice> for push::LayoutChoice {
    fn from(choice: LayoutChoice) -> Self {
        let rewrite = match choice.rewrite {
            Rewrite::No => push::Rewrite::No,
            Rewrite::IfChanged => push::Rewrite::IfChanged,
            Rewrite::Always => push::Rewrite::Always,
        };
        Self { layout: choice.layout.into(), rewrite }
    }
}

impl From<push::LayoutChoice> for LayoutChoice {
    fn from(choice: push::LayoutChoice) -> Self {
        Self { layout: choice.layout.into(), rewrite: choice.rewrite.into() }
    }
}

impl From<push::EarlyFacts> for EarlyFacts {
    fn from(facts: push::EarlyFacts) -> Self {
        let push::EarlyFacts { free, insists, tags_free, choice } = facts;
        Self { free, insists, tags_free, choice: choice.into() }
    }
}

impl From<EarlySend> for push::EarlyDecision {
    fn from(decision: EarlySend) -> Self {
        match decision {
            EarlySend::Yes => Self::Yes,
            EarlySend::No(Wait::Unseen) => Self::No(push::Wait::Unseen),
            EarlySend::No(Wait::Tags) => Self::No(push::Wait::Tags),
            EarlySend::No(Wait::Files) => Self::No(push::Wait::Files),
            EarlySend::No(Wait::Unchanged) => Self::No(push::Wait::Unchanged),
        }
    }
}

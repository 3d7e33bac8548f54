//! Interface `undo`.

use bundle_core::file::{ByPath, File, SyncedFile};
use bundle_core::name::path::BundlePath;
use bundle_core::plan::keep::{Bound, HadIn, LastSynced, TooMuch, had_elsewhere};
use bundle_core::plan::remove::{OnlyHere, lost_by_removal};
use bundle_core::plan::undo::{CannotUndo, Fault, Operation};

use crate::generated::exports::modelops::bundle::{types, undo};

use super::types::{files, paths, synced_files};

impl From<undo::Operation> for Operation {
    fn from(operation: undo::Operation) -> Self {
        Self { is_undo: operation.is_undo, fault: operation.fault.map(Into::into) }
    }
}

impl From<undo::UndoFault> for Fault {
    fn from(fault: undo::UndoFault) -> Self {
        match fault {
            undo::UndoFault::Damaged => Self::Damaged,
            undo::UndoFault::NotKept => Self::NotKept,
            undo::UndoFault::Pushed => Self::Pushed,
        }
    }
}

impl From<Fault> for undo::UndoFault {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Damaged => Self::Damaged,
            Fault::NotKept => Self::NotKept,
            Fault::Pushed => Self::Pushed,
        }
    }
}

impl From<CannotUndo> for undo::UndoError {
    fn from(error: CannotUndo) -> Self {
        match error {
            CannotUndo::TooFew { there } => Self::TooFew(there as u64),
            CannotUndo::Fault { at, fault } => {
                // A list that fits into a component has no more.
                Self::Fault(undo::FaultyOperation { at: at as u32, fault: fault.into() })
            }
        }
    }
}

impl From<undo::KeptLimit> for Bound {
    fn from(limit: undo::KeptLimit) -> Self {
        Self { operations: limit.operations as usize, bytes: limit.bytes }
    }
}

impl From<TooMuch> for types::Excess {
    fn from(TooMuch { needed, limit }: TooMuch) -> Self {
        Self { found: needed, limit }
    }
}

pub(crate) fn files_elsewhere(
    facts: undo::TakenFacts,
) -> Result<Vec<undo::FileElsewhere>, types::FactsError> {
    let (taken, local): (ByPath<BundlePath>, ByPath<File>) = (paths(facts.taken)?, files(facts.local)?);
    let (new, base): (ByPath<File>, ByPath<SyncedFile>) = (files(facts.new)?, synced_files(facts.base)?);
    let last_synced = if facts.has_last_synced { LastSynced::Found } else { LastSynced::Unseen };
    let elsewhere = |(file, had_in): (&File, HadIn)| undo::FileElsewhere {
        path: file.path.clone().into(),
        had_in: match had_in {
            HadIn::LastSynced => undo::HadIn::LastSynced,
            HadIn::New => undo::HadIn::New,
        },
    };
    Ok(had_elsewhere(&taken, &local, &new, &base, last_synced).into_iter().map(elsewhere).collect())
}

pub(crate) fn lost_files(facts: undo::RemovalFacts) -> Result<Vec<undo::LostFile>, types::FactsError> {
    let (removed, unreadable) = (paths(facts.removed)?, paths(facts.unreadable)?);
    let (local, base) = (files(facts.local)?, synced_files(facts.base)?);
    let lost = |(path, why): (&BundlePath, OnlyHere)| undo::LostFile {
        path: path.clone().into(),
        why: match why {
            OnlyHere::Edited => undo::OnlyHere::Edited,
            OnlyHere::NeverSynced => undo::OnlyHere::NeverSynced,
        },
    };
    Ok(lost_by_removal(&removed, &local, &unreadable, &base).into_iter().map(lost).collect())
}

//! Interface `compare`.

use bundle_core::diff::{PathChange, Row};

use crate::generated::exports::modelops::bundle::{compare, types};

impl From<Vec<PathChange>> for compare::Comparison {
    fn from(changes: Vec<PathChange>) -> Self {
        Self { changes: super::types::changes(changes) }
    }
}

impl TryFrom<compare::Row> for Row {
    type Error = types::FactsError;

    fn try_from(row: compare::Row) -> Result<Self, types::FactsError> {
        let bits = [
            (compare::Row::LOCAL, Self::LOCAL),
            (compare::Row::REMOTE, Self::REMOTE),
            (compare::Row::BASE, Self::BASE),
            (compare::Row::TRACKED, Self::TRACKED),
            (compare::Row::LOCAL_IS_REMOTE, Self::LOCAL_IS_REMOTE),
            (compare::Row::LOCAL_IS_BASE, Self::LOCAL_IS_BASE),
            (compare::Row::REMOTE_IS_BASE, Self::REMOTE_IS_BASE),
        ];
        let set = bits.into_iter().filter(|(flag, _)| row.contains(*flag));
        Self::from_byte(set.fold(0, |byte, (_, bit)| byte | bit)).ok_or(types::FactsError::Row)
    }
}

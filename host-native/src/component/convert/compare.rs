//! Interface `compare`.

use bundle_core::diff::Row;

use crate::component::generated::exports::modelops::bundle::compare;

impl From<Row> for compare::Row {
    fn from(row: Row) -> Self {
        let flags = [
            (Row::LOCAL, Self::LOCAL),
            (Row::REMOTE, Self::REMOTE),
            (Row::BASE, Self::BASE),
            (Row::TRACKED, Self::TRACKED),
            (Row::LOCAL_IS_REMOTE, Self::LOCAL_IS_REMOTE),
            (Row::LOCAL_IS_BASE, Self::LOCAL_IS_BASE),
            (Row::REMOTE_IS_BASE, Self::REMOTE_IS_BASE),
        ];
        let set = flags.into_iter().filter(|(bit, _)| row.byte() & bit != 0);
        set.fold(Self::empty(), |flags, (_, flag)| flags | flag)
    }
}

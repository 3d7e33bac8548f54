//! Interface `pack`.

use bundle_core::plan::fetch::{ByteRange, RangeSupport};
use bundle_core::plan::repack::PackUse;

use crate::component::generated::exports::modelops::bundle::pack;

impl From<PackUse> for pack::PackUse {
    fn from(pack: PackUse) -> Self {
        Self { compressed_size: pack.stored, used: pack.used, is_here: pack.is_here }
    }
}

impl From<RangeSupport> for pack::RangeSupport {
    fn from(support: RangeSupport) -> Self {
        match support {
            RangeSupport::Honoured => Self::Honoured,
            RangeSupport::Ignored => Self::Ignored,
        }
    }
}

impl From<ByteRange> for pack::ByteRange {
    fn from(range: ByteRange) -> Self {
        Self { start: range.start, end: range.end }
    }
}

impl From<pack::ByteRange> for ByteRange {
    fn from(range: pack::ByteRange) -> Self {
        Self { start: range.start, end: range.end }
    }
}

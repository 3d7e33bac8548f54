//! Interface `pack`.

use bundle_core::plan::fetch::{ByteRange, RangeSupport};
use bundle_core::plan::repack::PackUse;

use crate::generated::exports::modelops::bundle::pack;

impl From<pack::PackUse> for PackUse {
    fn from(pack: pack::PackUse) -> Self {
        Self { stored: pack.compressed_size, used: pack.used, is_here: pack.is_here }
    }
}

impl From<pack::RangeSupport> for RangeSupport {
    fn from(support: pack::RangeSupport) -> Self {
        match support {
            pack::RangeSupport::Honoured => Self::Honoured,
            pack::RangeSupport::Ignored => Self::Ignored,
        }
    }
}

impl From<pack::ByteRange> for ByteRange {
    fn from(range: pack::ByteRange) -> Self {
        Self { start: range.start, end: range.end }
    }
}

impl From<ByteRange> for pack::ByteRange {
    fn from(range: ByteRange) -> Self {
        Self { start: range.start, end: range.end }
    }
}

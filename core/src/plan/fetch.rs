//! How the chunks that a pull needs come out of a pack: in how many requests, and of which of its bytes.

/// How many bytes may come for nothing to save a request.
const GAP_BYTES: u64 = 128 * 1024;

/// The most requests for one pack.
pub const MAX_RANGES: usize = 64;

/// Files that have no more bytes than this are taken, whatever is stored of them.
pub const PLAUSIBLE_BYTES: u64 = 16 << 30;

/// How many times as many bytes as are stored of them larger files may have: zeros alone compress further.
pub const MAX_PROPORTION: u64 = 4096;

/// What a bundle claims that is more than what is stored of it makes plausible.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Disproportion {
    /// How many bytes its files have.
    pub files: u64,
    /// How many bytes its blobs have.
    pub stored: u64,
}

/// Whether files that have so many bytes can be expected of blobs that have so many: a few kilobytes may claim to be more
/// than any disk holds, and would have to be hashed for hours to find out.
pub fn check_proportion(
    files: impl IntoIterator<Item = u64>,
    blobs: impl IntoIterator<Item = u64>,
) -> Result<(), Disproportion> {
    let (files, stored) = (saturating_sum(files), saturating_sum(blobs));
    let is_plausible = files <= PLAUSIBLE_BYTES || files / MAX_PROPORTION <= stored;
    if is_plausible { Ok(()) } else { Err(Disproportion { files, stored }) }
}

fn saturating_sum(sizes: impl IntoIterator<Item = u64>) -> u64 {
    sizes.into_iter().fold(0, u64::saturating_add)
}

/// Some consecutive bytes of a pack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ByteRange {
    /// The first byte.
    pub start: u64,
    /// The byte after the last one.
    pub end: u64,
}

/// What a remote does when it is asked for a part of a blob.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RangeSupport {
    /// Sends it, as far as is known.
    #[default]
    Honoured,
    /// Sends the whole blob.
    Ignored,
}

/// Decides which ranges of a pack to ask for, given the frames that are needed, in the order of the pack.
///
/// Frames that lie close together are asked for at once, with what is between them; and where the remote sends the
/// whole pack in any case, once for all.
#[must_use]
pub fn plan_ranges(frames: &[ByteRange], support: RangeSupport) -> Vec<ByteRange> {
    let mut gap = match support {
        RangeSupport::Honoured => GAP_BYTES,
        RangeSupport::Ignored => u64::MAX,
    };
    loop {
        let ranges = merged(frames, gap);
        if ranges.len() <= MAX_RANGES {
            return ranges;
        }
        gap = gap.saturating_mul(2);
    }
}

fn merged(frames: &[ByteRange], gap: u64) -> Vec<ByteRange> {
    let mut ranges: Vec<ByteRange> = Vec::new();
    for frame in frames {
        match ranges.last_mut() {
            Some(last) if frame.start.saturating_sub(last.end) <= gap => last.end = last.end.max(frame.end),
            _ => ranges.push(*frame),
        }
    }
    ranges
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bundle_claims_no_more_than_what_is_stored_makes_plausible() {
        const GIB: u64 = 1 << 30;
        assert_eq!(check_proportion([5 * GIB, 11 * GIB], []), Ok(()));
        assert_eq!(check_proportion([20 * GIB], [5 << 20]), Ok(()));
        let refused = Disproportion { files: 20 * GIB, stored: 4 << 20 };
        assert_eq!(check_proportion([20 * GIB], [3 << 20, 1 << 20]), Err(refused));
        assert_eq!(check_proportion([u64::MAX, 1], [1]), Err(Disproportion { files: u64::MAX, stored: 1 }));
    }

    fn range(start: u64, end: u64) -> ByteRange {
        ByteRange { start, end }
    }

    #[test]
    fn what_lies_close_together_is_asked_for_at_once() {
        let far = 3 * GAP_BYTES;
        let frames =
            [range(0, 10), range(10, 20), range(20 + GAP_BYTES, 21 + GAP_BYTES), range(far, far + 1)];
        let honoured = plan_ranges(&frames, RangeSupport::Honoured);
        assert_eq!(honoured, [range(0, 21 + GAP_BYTES), range(far, far + 1)]);
        assert_eq!(plan_ranges(&frames, RangeSupport::Ignored), [range(0, far + 1)]);
        assert_eq!(plan_ranges(&[], RangeSupport::Ignored), []);
    }

    #[test]
    fn requests_are_bounded() {
        let frames: Vec<_> = (0..1000).map(|at| range(at * 4 * GAP_BYTES, at * 4 * GAP_BYTES + 1)).collect();
        let ranges = plan_ranges(&frames, RangeSupport::Honoured);
        assert!(ranges.len() <= MAX_RANGES);
        assert!(
            frames.iter().all(|frame| ranges.iter().any(|r| r.start <= frame.start && frame.end <= r.end))
        );
    }
}

//! How much is done to make chunks smaller: bytes that look like noise, and large files that do not shrink, are given up on.

use crate::pack::chunk::MIN_CHUNK;

/// Below this many bytes there is too little to tell by, and a try costs little.
const FEWEST: usize = 1 << 10;

/// Above this many bytes there may be repetitions that are worth finding; large files are given up on by
/// [`Patience`].
const MOST: usize = MIN_CHUNK;

/// What Pearson's chi-squared statistic of noise lies between: with 255 degrees of freedom its mean is 255 and its
/// standard deviation 23. Bytes that count up lie below. Where a share of the bytes repeats others once, the mean grows
/// by twice that share: noise that comes twice has 510 and lies above. Noise of which less than a quarter is such a
/// repetition passes mostly, and that is not won.
const LEAST_STATISTIC: u64 = 160;
const GREATEST_STATISTIC: u64 = 384;

/// Whether the values of the bytes are spread as those of noise are, so that a compressor can be expected to win next to
/// nothing.
///
/// The test is that of Knuth, The Art of Computer Programming, volume 2, section 3.3.1, on both sides. It is made
/// with integers only, and so says the same everywhere.
pub(crate) fn is_noise(bytes: &[u8]) -> bool {
    if !(FEWEST..=MOST).contains(&bytes.len()) {
        return false;
    }
    let length = bytes.len() as u64;
    let squares: u64 = counts(bytes).iter().map(|count| u64::from(*count).pow(2)).sum();
    // The statistic is 256 * squares / length - length.
    let statistic = 256 * squares;
    (length * (length + LEAST_STATISTIC)..=length * (length + GREATEST_STATISTIC)).contains(&statistic)
}

/// How often each value comes.
#[expect(clippy::indexing_slicing, reason = "tables have a place for each byte")]
fn counts(bytes: &[u8]) -> [u32; 256] {
    // In turn into four tables: a processor waits for a count that it has only just written.
    let mut tables = [[0_u32; 256]; 4];
    let mut fours = bytes.chunks_exact(4);
    for four in &mut fours {
        for (table, byte) in tables.iter_mut().zip(four) {
            table[usize::from(*byte)] += 1;
        }
    }
    for byte in fours.remainder() {
        tables[0][usize::from(*byte)] += 1;
    }
    std::array::from_fn(|value| tables.iter().map(|table| table[value]).sum())
}

/// How much is done to make chunks smaller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effort {
    /// Each is compressed, and stored so where that pays; but not what looks like noise.
    Try,
    /// Each is stored as it is.
    None,
}

/// Reading what is compressed costs time too: a sixteenth must be won.
pub(crate) fn pays(raw: usize, stored: usize) -> bool {
    stored < raw && stored <= raw - raw / 16
}

/// Gives up, for longer and longer, on compressing a large file that does not become smaller.
///
/// What it says depends on the file's segments and on nothing else.
#[derive(Clone, Copy, Debug, Default)]
pub struct Patience {
    /// How many segments are stored as they are before the next try.
    pause: u32,
    /// How many were, before the last try.
    last_pause: u32,
}

impl Patience {
    /// The longest pause between two tries, in segments.
    const LONGEST_PAUSE: u32 = 15;

    /// What to do with the next segment.
    pub fn next_effort(&mut self) -> Effort {
        if self.pause == 0 {
            return Effort::Try;
        }
        self.pause -= 1;
        Effort::None
    }

    /// Learns what became of the new chunks of a segment that was tried: their bytes raw, and as stored.
    pub fn learn(&mut self, raw: usize, stored: usize) {
        if raw == 0 || pays(raw, stored) {
            *self = Self::default();
            return;
        }
        self.last_pause = (2 * self.last_pause + 1).min(Self::LONGEST_PAUSE);
        self.pause = self.last_pause;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pack::chunk::ChunkHash;
    use crate::pack::chunk::tests::noise;
    use crate::pack::table::Encoding;
    use crate::pack::write::FrameWriter;

    #[test]
    fn noise_is_known_from_what_can_be_compressed() {
        for length in [FEWEST, 4096, 5003, MOST] {
            let found = (1..=200).filter(|seed| is_noise(&noise(seed << 32, length))).count();
            assert!(found >= 199, "{found} of 200 with {length} bytes");
        }
        let half = noise(1, 2048);
        let counting: Vec<u8> = (0..4096).map(|at: u32| at as u8).collect();
        let numbers: Vec<u8> = (0..512).flat_map(|n| (1.0 / f64::from(n + 1)).to_le_bytes()).collect();
        let hex: Vec<u8> =
            noise(2, 2048).iter().flat_map(|byte| format!("{byte:02x}").into_bytes()).collect();
        for (what, bytes) in [
            ("zeros", vec![0; 4096]),
            ("counting", counting),
            ("numbers", numbers),
            ("hexadecimal digits", hex),
            ("noise that comes twice", [&half[..], &half[..]].concat()),
            ("half noise, half zeros", [half, vec![0; 2048]].concat()),
        ] {
            assert!(!is_noise(&bytes), "{what}");
        }
    }

    #[test]
    fn what_is_too_short_or_too_long_is_tried() {
        for length in [0, 1, FEWEST - 1, MOST + 1, 1 << 20] {
            assert!(!is_noise(&noise(3, length)), "{length}");
        }
    }

    #[test]
    fn what_does_not_shrink_is_tried_less_and_less() {
        let mut patience = Patience::default();
        let mut pauses = Vec::new();
        for _ in 0..7 {
            assert_eq!(patience.next_effort(), Effort::Try);
            patience.learn(100, 99);
            pauses.push(patience.pause);
            for _ in 0..patience.pause {
                assert_eq!(patience.next_effort(), Effort::None);
            }
        }
        assert_eq!(pauses, [1, 3, 7, 15, 15, 15, 15]);
        patience.learn(100, 50);
        assert_eq!(patience.next_effort(), Effort::Try);
        let random = noise(9, 20_000);
        let mut writer = FrameWriter::new().unwrap();
        let hash = ChunkHash::of(&random);
        assert_eq!(writer.encode(hash, &random, Effort::Try).unwrap().encoding, Encoding::Raw);
        assert_eq!(writer.encode(hash, &[0; 20_000], Effort::Try).unwrap().encoding, Encoding::Zstd);
        assert_eq!(writer.encode(hash, &[0; 20_000], Effort::None).unwrap().encoding, Encoding::Raw);
    }
}

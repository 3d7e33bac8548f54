//! Zstandard frames (RFC 8878), one at a time, of known size.
//!
//! Frames are written by the C library, which a component cannot hold: there, a decoder in Rust reads them. Every frame
//! says how large its content is, so that nothing has to be believed while it is decoded.

use thiserror::Error;

/// The level at which everything is compressed. Part of the format: the same content gives the same bytes.
#[cfg(not(target_arch = "wasm32"))]
const LEVEL: i32 = 3;

/// What every frame begins with.
const MAGIC: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];

/// The most that a frame may look back, in bytes, where its content is not longer than that: what every decoder must be
/// able to.
const WINDOW: u64 = 8 << 20;

/// Compresses, again and again with the same tables.
#[cfg(not(target_arch = "wasm32"))]
pub struct Compressor {
    context: zstd::bulk::Compressor<'static>,
}

#[cfg(not(target_arch = "wasm32"))]
impl Compressor {
    /// Gets memory for the tables.
    pub fn new() -> Result<Self, CompressionError> {
        Ok(Self { context: zstd::bulk::Compressor::new(LEVEL).map_err(CompressionError::of)? })
    }

    /// Compresses `content` into one frame that says how large it is.
    pub fn compress(&mut self, content: &[u8]) -> Result<Vec<u8>, CompressionError> {
        self.context.compress(content).map_err(CompressionError::of)
    }

    /// Compresses `content` into `frame`, which is emptied first.
    pub fn compress_into(&mut self, content: &[u8], frame: &mut Vec<u8>) -> Result<(), CompressionError> {
        frame.clear();
        frame.reserve(zstd::zstd_safe::compress_bound(content.len()));
        self.context.compress_to_buffer(content, frame).map(drop).map_err(CompressionError::of)
    }
}

#[cfg(not(target_arch = "wasm32"))]
impl std::fmt::Debug for Compressor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Compressor").finish_non_exhaustive()
    }
}

/// Puts `content` into one frame as it is.
pub fn store(content: &[u8]) -> Vec<u8> {
    const BLOCK: usize = 128 << 10;
    // A single segment, whose size has eight bytes.
    let mut frame = [&MAGIC[..], &[0xe0]].concat();
    frame.extend_from_slice(&(content.len() as u64).to_le_bytes());
    let (mut rest, mut is_last) = (content, false);
    while !is_last {
        let (block, after) = rest.split_at(rest.len().min(BLOCK));
        is_last = after.is_empty();
        let [low, middle, high, _] = (((block.len() as u32) << 3) | u32::from(is_last)).to_le_bytes();
        frame.extend_from_slice(&[low, middle, high]);
        frame.extend_from_slice(block);
        rest = after;
    }
    frame
}

/// Decodes a frame whose content has `size` bytes; `frame` is that frame and nothing else.
pub fn decompress(frame: &[u8], size: usize) -> Result<Vec<u8>, CompressionError> {
    let mut content = vec![0; size];
    decompress_into(frame, &mut content)?;
    Ok(content)
}

/// Decodes a frame whose content has at most `limit` bytes.
pub fn decompress_up_to(frame: &[u8], limit: usize) -> Result<Vec<u8>, CompressionError> {
    let size = content_size(frame)?;
    match usize::try_from(size) {
        Ok(size) if size <= limit => decompress(frame, size),
        _ => Err(CompressionError::TooLarge { size, limit }),
    }
}

/// Decodes a frame whose content fills `content`; `frame` is that frame and nothing else.
pub fn decompress_into(frame: &[u8], content: &mut [u8]) -> Result<(), CompressionError> {
    let expected = content.len() as u64;
    let says = content_size(frame)?;
    if says != expected {
        return Err(CompressionError::Size { expected, found: says });
    }
    let found = decode(frame, content)? as u64;
    if found == expected { Ok(()) } else { Err(CompressionError::Size { expected, found }) }
}

#[cfg(not(target_arch = "wasm32"))]
fn decode(frame: &[u8], content: &mut [u8]) -> Result<usize, CompressionError> {
    if zstd::zstd_safe::find_frame_compressed_size(frame) != Ok(frame.len()) {
        return Err(CompressionError::followed());
    }
    zstd::bulk::decompress_to_buffer(frame, content).map_err(CompressionError::of)
}

#[cfg(target_arch = "wasm32")]
fn decode(frame: &[u8], content: &mut [u8]) -> Result<usize, CompressionError> {
    use ruzstd::decoding::{BlockDecodingStrategy, FrameDecoder};
    let mut source = frame;
    let mut decoder = FrameDecoder::new();
    decoder.set_max_window_size((content.len() as u64).max(WINDOW));
    decoder.init(&mut source).map_err(CompressionError::of)?;
    let limit = BlockDecodingStrategy::UptoBytes(content.len() + 1);
    let is_whole = decoder.decode_blocks(&mut source, limit).map_err(CompressionError::of)?;
    if !is_whole || !source.is_empty() {
        return Err(CompressionError::followed());
    }
    let decoded = decoder.collect().ok_or_else(CompressionError::followed)?;
    if let Some(content) = content.get_mut(..decoded.len()) {
        content.copy_from_slice(&decoded);
    }
    Ok(decoded.len())
}

/// How large the content of a frame says that it is (RFC 8878, section 3.1.1.1).
fn content_size(frame: &[u8]) -> Result<u64, CompressionError> {
    let fault = || CompressionError::Damaged { reason: "it is no frame that says its size".to_owned() };
    let (magic, rest) = frame.split_first_chunk().ok_or_else(fault)?;
    let (descriptor, rest) = rest.split_first().ok_or_else(fault)?;
    let is_single_segment = descriptor & 0x20 != 0;
    let window = usize::from(!is_single_segment);
    let dictionary = match descriptor & 3 {
        3 => 4,
        other => usize::from(other),
    };
    let (length, more) = match descriptor >> 6 {
        0 => (usize::from(is_single_segment), 0),
        1 => (2, 256),
        2 => (4, 0),
        _ => (8, 0),
    };
    let field = rest.get(window + dictionary..).and_then(|rest| rest.get(..length)).ok_or_else(fault)?;
    if *magic != MAGIC || length == 0 {
        return Err(fault());
    }
    let mut size = [0; 8];
    size.iter_mut().zip(field).for_each(|(byte, from)| *byte = *from);
    let size = u64::from_le_bytes(size).saturating_add(more);
    // No frame need look further back than its content is long, and no decoder need hold more than that.
    match rest.first().filter(|_| !is_single_segment) {
        Some(window) if window_size(*window) > size.max(WINDOW) => {
            Err(CompressionError::Damaged { reason: "its window is larger than its content".to_owned() })
        }
        _ => Ok(size),
    }
}

/// What a window descriptor says (RFC 8878, section 3.1.1.1.2).
fn window_size(descriptor: u8) -> u64 {
    let base = 1 << (10 + (descriptor >> 3));
    base + base / 8 * u64::from(descriptor & 7)
}

/// Why a frame cannot be made or decoded.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum CompressionError {
    /// It is no frame, or a broken one.
    #[error("it is no whole compressed frame: {reason}")]
    Damaged {
        /// What the decoder says.
        reason: String,
    },
    /// Its content has another size than was said.
    #[error("it holds {found} bytes instead of {expected}")]
    Size {
        /// What was said.
        expected: u64,
        /// What it says itself, or holds.
        found: u64,
    },
    /// Its content is larger than anything that is decoded.
    #[error("it would hold {size} bytes, more than {limit}")]
    TooLarge {
        /// How large it says that it is.
        size: u64,
        /// The limit.
        limit: usize,
    },
}

impl CompressionError {
    fn of(error: impl std::fmt::Display) -> Self {
        Self::Damaged { reason: error.to_string() }
    }

    fn followed() -> Self {
        Self::Damaged { reason: "something follows the frame, or its end is missing".to_owned() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pack::chunk::tests::noise;

    #[test]
    fn what_is_compressed_comes_back() {
        let mut compressor = Compressor::new().unwrap();
        for content in [vec![], vec![7], vec![0; 300_000], noise(5, 70_000)] {
            let frame = compressor.compress(&content).unwrap();
            assert_eq!(decompress(&frame, content.len()).unwrap(), content);
            assert_eq!(decompress_up_to(&frame, content.len()).unwrap(), content);
            let mut again = vec![1, 2, 3];
            compressor.compress_into(&content, &mut again).unwrap();
            assert_eq!(again, frame);
            let stored = store(&content);
            assert!(stored.len() >= content.len());
            assert_eq!(decompress(&stored, content.len()).unwrap(), content);
        }
    }

    #[test]
    fn a_frame_that_is_not_of_the_expected_size_is_refused() {
        let content = vec![9; 100_000];
        let frame = Compressor::new().unwrap().compress(&content).unwrap();
        assert!(matches!(decompress(&frame, 99_999), Err(CompressionError::Size { .. })));
        assert!(matches!(decompress_up_to(&frame, 99_999), Err(CompressionError::TooLarge { .. })));
        for length in 0..frame.len() {
            assert!(decompress(&frame[..length], content.len()).is_err(), "{length}");
        }
        let twice = [&frame[..], &frame[..]].concat();
        assert!(decompress(&twice, content.len()).is_err());
        let trailed = [&frame[..], b"x"].concat();
        assert!(decompress(&trailed, content.len()).is_err());
        assert!(decompress(b"", 0).is_err());
        for (size, length) in [(0, 1), (200, 1), (300, 2), (70_000, 4)] {
            let frame = Compressor::new().unwrap().compress(&vec![0; size]).unwrap();
            assert_eq!(content_size(&frame), Ok(size as u64));
            // The first two bits of the descriptor say in how many bytes the size is written.
            assert_eq!(1 << (frame[4] >> 6), length, "{size} bytes of content");
        }
        assert!(decompress(b"no frame at all", 1).is_err());
        // A window of 2 GiB for five bytes, and one of 8 MiB.
        let wide =
            |window| [&[0x28, 0xb5, 0x2f, 0xfd, 0x80, window, 5, 0, 0, 0, 41, 0, 0][..], b"hello"].concat();
        assert!(matches!(decompress(&wide(21 << 3), 5), Err(CompressionError::Damaged { .. })));
        assert_eq!(decompress(&wide(13 << 3), 5).unwrap(), b"hello");
        // A frame that claims 2 GiB of content, single segment.
        let bomb = [0x28, 0xb5, 0x2f, 0xfd, 0xa0, 0, 0, 0, 0x80, 0x02, 0, 0];
        assert!(matches!(decompress_up_to(&bomb, 1 << 20), Err(CompressionError::TooLarge { .. })));
    }
}

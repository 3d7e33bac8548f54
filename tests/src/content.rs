//! Content of files: the same for the same seed, on every machine.

/// Bytes that no compression makes fewer: xorshift64* by Vigna.
pub fn noise(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        state ^= state >> 12;
        state ^= state << 25;
        state ^= state >> 27;
        state.wrapping_mul(0x2545_f491_4f6c_dd1d).to_le_bytes()
    };
    let mut bytes = vec![0; length];
    for piece in bytes.chunks_mut(8) {
        piece.copy_from_slice(&next()[..piece.len()]);
    }
    bytes
}

/// Lines of text, each another one, that become a good deal smaller when they are compressed.
pub fn text(length: usize) -> Vec<u8> {
    let lines = (0_u32..).flat_map(|at| format!("line {at} of a long report, {}\n", at % 97).into_bytes());
    lines.take(length).collect()
}

//! Files whose stretches of zeros are holes, which take no room on a disk.

use std::fs::File;
use std::io::{self, Seek as _, SeekFrom, Write as _};

/// What is compared at a time, and the least that can be a hole.
pub const BLOCK: usize = 4096;

/// Whether all bytes are zero. Of other content only the first bytes are looked at, as a rule.
pub fn is_zero(content: &[u8]) -> bool {
    const ZEROS: [u8; BLOCK] = [0; BLOCK];
    content.first() == Some(&0) && content.chunks(BLOCK).all(|block| *block == ZEROS[..block.len()])
}

/// Appends to a file, or leaves a hole of the same length: then the file is whole only after [`end`].
pub(super) fn append(mut file: &File, content: &[u8]) -> io::Result<()> {
    match i64::try_from(content.len()) {
        Ok(length) if content.len() >= BLOCK && is_zero(content) => {
            file.seek(SeekFrom::Current(length)).map(drop)
        }
        _ => file.write_all(content),
    }
}

/// Lets a file be as long as what was appended to it.
pub(super) fn end(mut file: &File) -> io::Result<()> {
    let length = file.stream_position()?;
    file.set_len(length)
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use tempfile::tempfile;

    use super::*;

    #[test]
    fn only_zeros_are_zero() {
        for length in [1, 2, BLOCK, BLOCK + 1, 3 * BLOCK] {
            let mut content = vec![0; length];
            assert!(is_zero(&content), "{length}");
            for at in [0, length / 2, length - 1] {
                content[at] = 1;
                assert!(!is_zero(&content), "{at} of {length}");
                content[at] = 0;
            }
        }
        assert!(!is_zero(&[]));
    }

    #[test]
    fn what_is_appended_is_read_again_and_zeros_take_no_room() {
        let file = tempfile().unwrap();
        let zeros = vec![0; 4 << 20];
        let pieces = [&zeros[..], b"here", &zeros, b"\0\0", &zeros];
        for piece in pieces {
            append(&file, piece).unwrap();
        }
        end(&file).unwrap();
        let (mut reader, mut found) = (&file, Vec::new());
        reader.seek(SeekFrom::Start(0)).unwrap();
        reader.read_to_end(&mut found).unwrap();
        assert!(found == pieces.concat());
        #[cfg(target_os = "linux")]
        {
            use std::os::unix::fs::MetadataExt as _;
            assert!(file.metadata().unwrap().blocks() * 512 < 1 << 20);
        }
    }
}

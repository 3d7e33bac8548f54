//! Whether a file that is to be an archive was compressed by somebody, told by its first bytes.

use std::fmt;
use std::io::{self, Read, Seek, SeekFrom};

/// How many first bytes tell.
const LONGEST_MARK: u64 = 6;

/// A way to compress a file as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compression {
    /// bzip2.
    Bzip2,
    /// gzip, RFC 1952.
    Gzip,
    /// LZ4, its frame format.
    Lz4,
    /// xz.
    Xz,
    /// Zstandard, RFC 8878.
    Zstd,
}

impl Compression {
    const ALL: [Self; 5] = [Self::Bzip2, Self::Gzip, Self::Lz4, Self::Xz, Self::Zstd];

    /// Tells how `file` is compressed, and leaves it at its start.
    pub(super) fn of(file: &mut (impl Read + Seek)) -> io::Result<Option<Self>> {
        let mut start = Vec::new();
        file.by_ref().take(LONGEST_MARK).read_to_end(&mut start)?;
        file.seek(SeekFrom::Start(0))?;
        Ok(Self::ALL.into_iter().find(|format| start.starts_with(format.mark())))
    }

    fn mark(self) -> &'static [u8] {
        match self {
            Self::Bzip2 => b"BZh",
            Self::Gzip => b"\x1f\x8b",
            Self::Lz4 => b"\x04\x22\x4d\x18",
            Self::Xz => b"\xfd7zXZ\0",
            Self::Zstd => b"\x28\xb5\x2f\xfd",
        }
    }

    /// The usual program that undoes it, as it is called with a file.
    pub fn undone_by(self) -> &'static str {
        match self {
            Self::Bzip2 => "bunzip2",
            Self::Gzip => "gunzip",
            Self::Lz4 => "unlz4",
            Self::Xz => "unxz",
            Self::Zstd => "unzstd",
        }
    }
}

impl fmt::Display for Compression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Bzip2 => "bzip2",
            Self::Gzip => "gzip",
            Self::Lz4 => "lz4",
            Self::Xz => "xz",
            Self::Zstd => "zstd",
        })
    }
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;

    #[test]
    fn each_format_is_told_by_its_first_bytes_and_a_tar_is_none() {
        for format in Compression::ALL {
            let mut file = Cursor::new([format.mark(), b"more"].concat());
            assert_eq!(Compression::of(&mut file).unwrap(), Some(format));
            assert_eq!(file.position(), 0);
        }
        for other in [&b"oci-layout\0\0"[..], b"", b"\x1f", b"BZ"] {
            assert_eq!(Compression::of(&mut Cursor::new(other)).unwrap(), None);
        }
    }
}

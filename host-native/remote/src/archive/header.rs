//! What stands before a file's content in a tar of ours, and behind it: the same bytes for the same file everywhere.
//!
//! Headers are ustar, with an extended one of pax where a name or a size needs that
//! (<https://pubs.opengroup.org/onlinepubs/9799919799/utilities/pax.html>). They carry no time and no owner.

use std::io;

use bundle_core::digest::Digest;
use tar::{EntryType, Header};

use super::BLOCK;

/// The most that a header's own field of eleven octal digits holds.
pub(super) const MAX_USTAR_SIZE: u64 = (1 << 33) - 1;

/// The longest name that a header's own field holds, in bytes.
const MAX_USTAR_NAME: usize = 100;

/// The mode of files that nobody runs.
pub const PLAIN_MODE: u32 = 0o644;

/// The mode of files that whoever may read them may run.
pub const EXECUTABLE_MODE: u32 = 0o755;

/// What ends an archive.
pub const END: [u8; 2 * BLOCK] = [0; 2 * BLOCK];

/// What stands before a file's content: a header, with an extended one before it where the name or the size needs that.
///
/// # Errors
///
/// The name or the size is more than the format takes.
pub fn headers(name: &str, size: u64, mode: u32) -> io::Result<Vec<u8>> {
    let mut records = String::new();
    // The fields of a header are ASCII.
    let name_fits = name.len() <= MAX_USTAR_NAME && name.is_ascii();
    if !name_fits {
        records.push_str(&pax_record("path", name));
    }
    let size_fits = size <= MAX_USTAR_SIZE;
    if !size_fits {
        records.push_str(&pax_record("size", &size.to_string()));
    }
    let mut bytes = Vec::new();
    if !records.is_empty() {
        let kind = if size_fits { "pax/path" } else { "pax/size" };
        bytes.extend(header(kind, EntryType::XHeader, records.len() as u64, PLAIN_MODE)?.as_bytes());
        bytes.extend(records.as_bytes());
        bytes.extend(padding(records.len() as u64));
    }
    // Readers that know no extended headers get every file, if under another name.
    let short =
        if name_fits { name.to_owned() } else { format!("long/{}", Digest::of(name.as_bytes()).hex()) };
    // Behind an extended header the size says nothing, in which readers agree.
    let size = if size_fits { size } else { 0 };
    bytes.extend(header(&short, EntryType::Regular, size, mode)?.as_bytes());
    Ok(bytes)
}

/// Zeros up to the end of the block that content of `size` bytes ends in.
pub fn padding(size: u64) -> &'static [u8] {
    const ZEROS: [u8; BLOCK] = [0; BLOCK];
    let used = (size % BLOCK as u64) as usize;
    if used == 0 { &[] } else { &ZEROS[used..] }
}

fn header(name: &str, kind: EntryType, size: u64, mode: u32) -> io::Result<Header> {
    let mut header = Header::new_ustar();
    header.set_path(name)?;
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header.set_size(size);
    header.set_cksum();
    Ok(header)
}

/// A record of an extended header, which begins with its own length.
fn pax_record(key: &str, value: &str) -> String {
    let rest = format!(" {key}={value}\n");
    let mut length = rest.len();
    while length != rest.len() + length.to_string().len() {
        length = rest.len() + length.to_string().len();
    }
    format!("{length}{rest}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_counts_its_own_digits() {
        for (value, record) in [
            ("1", "9 size=1\n"),
            ("22", "11 size=22\n"),
            ("8589934592", "19 size=8589934592\n"),
            ("", "8 size=\n"),
        ] {
            assert_eq!(pax_record("size", value), record);
            assert!(record.starts_with(&record.len().to_string()));
        }
    }

    #[test]
    fn only_what_needs_it_has_an_extended_header() {
        let small = headers("a", MAX_USTAR_SIZE, PLAIN_MODE).unwrap();
        assert_eq!(small.len(), BLOCK);
        assert_eq!(&small[124..136], b"77777777777\0");
        let large = headers("a", MAX_USTAR_SIZE + 1, PLAIN_MODE).unwrap();
        assert_eq!((large.len(), large[156]), (3 * BLOCK, b'x'));
        assert_eq!(&large[2 * BLOCK + 124..2 * BLOCK + 136], b"00000000000\0");

        let hundred = "d/".repeat(50);
        assert_eq!(headers(&format!("{}x", &hundred[..99]), 0, PLAIN_MODE).unwrap().len(), BLOCK);
        for name in [format!("{hundred}x"), "gr\u{fc}n".to_owned()] {
            let bytes = headers(&name, 7, EXECUTABLE_MODE).unwrap();
            assert_eq!((bytes.len(), bytes[156]), (3 * BLOCK, b'x'));
            let record = String::from_utf8_lossy(&bytes[BLOCK..2 * BLOCK]).into_owned();
            assert!(record.contains(&format!(" path={name}\n")), "{record}");
            let last = &bytes[2 * BLOCK..];
            assert!(last.starts_with(b"long/") && &last[100..108] == b"0000755\0");
            assert_eq!(&last[124..136], b"00000000007\0");
        }
    }
}

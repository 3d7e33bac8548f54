use std::io::{Cursor, SeekFrom};

use super::*;

/// An entry with a checksum that is right.
fn entry_of(name: &str, kind: EntryType, content: &[u8], change: impl FnOnce(&mut Header)) -> Vec<u8> {
    let mut header = Header::new_gnu();
    header.as_mut_bytes()[..name.len()].copy_from_slice(name.as_bytes());
    header.set_entry_type(kind);
    header.set_mode(0o644);
    header.set_size(content.len() as u64);
    change(&mut header);
    header.set_cksum();
    let mut bytes = header.as_bytes().to_vec();
    bytes.extend(content);
    bytes.resize(bytes.len().next_multiple_of(BLOCK), 0);
    bytes
}

fn entry(name: &str, kind: EntryType, content: &[u8]) -> Vec<u8> {
    entry_of(name, kind, content, |_| {})
}

fn file(name: &str, content: &[u8]) -> Vec<u8> {
    entry(name, EntryType::Regular, content)
}

fn pax(kind: EntryType, records: &[(&str, &str)]) -> Vec<u8> {
    let records: String = records
        .iter()
        .map(|(key, value)| {
            // None of them is shorter than 10 or longer than 99.
            let length = key.len() + value.len() + 5;
            format!("{length} {key}={value}\n")
        })
        .collect();
    entry("pax", kind, records.as_bytes())
}

fn scan(entries: &[Vec<u8>]) -> Result<Contents, ArchiveFault> {
    let mut bytes = entries.concat();
    bytes.resize(bytes.len() + 2 * BLOCK, 0);
    scan_bytes(&bytes)
}

fn scan_bytes(bytes: &[u8]) -> Result<Contents, ArchiveFault> {
    Contents::scan(Cursor::new(bytes), bytes.len() as u64)
}

fn blob_name(content: &[u8]) -> String {
    format!("{BLOB_FOLDER}{}", Digest::of(content).hex())
}

const X_FILE: &str = "blobs/sha256/2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881";

#[test]
fn finds_what_is_there_and_where() {
    let bytes = [
        entry("blobs/", EntryType::Directory, b""),
        file("./index.json", b"{}"),
        file("notes.txt", &[b'n'; 1000]),
        file(X_FILE, b"x"),
        file("oci-layout", b"marker"),
        entry("latest", EntryType::Symlink, b""),
    ];
    let contents = scan(&bytes).unwrap();
    let all = bytes.concat();
    let content = |extent: Option<Extent>| {
        let Extent { start, size } = extent.unwrap();
        &all[start as usize..(start + size) as usize]
    };
    assert_eq!(content(contents.index), b"{}");
    assert_eq!(content(contents.marker), b"marker");
    assert_eq!(content(contents.blobs.get(&Digest::of(b"x")).copied()), b"x");
    assert_eq!(contents.blobs.len(), 1);
}

#[test]
fn other_names_are_no_blobs() {
    let names = [
        format!("/{X_FILE}"),
        format!("../{X_FILE}"),
        format!("x/../{X_FILE}"),
        format!("././{X_FILE}"),
        format!("{X_FILE}/"),
        X_FILE.to_uppercase(),
        X_FILE.replace('/', "\\"),
        X_FILE[..70].to_owned(),
        "blobs/sha256/../../index.json".to_owned(),
        "blobs/sha512/x".to_owned(),
        "/index.json".to_owned(),
    ];
    let contents = scan(&names.map(|name| file(&name, b"x"))).unwrap();
    assert!(contents.blobs.is_empty() && contents.index.is_none());
}

#[test]
fn a_cut_is_seen_wherever_it_is() {
    let mut bytes =
        [pax(EntryType::XHeader, &[("comment", "c")]), file(X_FILE, b"x"), file("index.json", &[b' '; 600])]
            .concat();
    bytes.resize(bytes.len() + 2 * BLOCK, 0);
    for length in 0..bytes.len() {
        let fault = scan_bytes(&bytes[..length]).unwrap_err();
        // Of a few bytes of a name nobody can tell what they are of.
        let is_unknown = length < 100 && matches!(fault, ArchiveFault::NotATar);
        assert!(is_unknown || matches!(fault, ArchiveFault::Truncated), "{length}: {fault}");
    }
    assert!(scan_bytes(&bytes).is_ok());
}

#[test]
fn a_text_is_no_tar() {
    for text in [&b"just a line\n"[..], &[b'x'; 5000]] {
        assert!(matches!(scan_bytes(text), Err(ArchiveFault::NotATar)));
    }
    assert!(matches!(scan_bytes(b""), Err(ArchiveFault::Truncated)));
}

#[test]
fn a_damaged_header_is_seen() {
    let mut bytes = file(X_FILE, b"x");
    bytes.resize(4 * BLOCK, 0);
    for at in 0..BLOCK {
        bytes[at] ^= 0x11;
        assert!(scan_bytes(&bytes).is_err(), "byte {at}");
        bytes[at] ^= 0x11;
    }
    // One empty block is half of an end.
    bytes.drain(2 * BLOCK..3 * BLOCK);
    bytes.extend(file("index.json", b"{}"));
    assert!(matches!(scan_bytes(&bytes), Err(ArchiveFault::Header { .. })));
}

#[test]
fn nothing_follows_the_end() {
    let mut bytes = file(X_FILE, b"x");
    bytes.resize(bytes.len() + 20 * BLOCK, 0);
    assert!(scan_bytes(&bytes).is_ok(), "padding is usual");
    bytes.extend(file("index.json", b"{}"));
    assert!(matches!(scan_bytes(&bytes), Err(ArchiveFault::Trailing)));
    let mut bytes = file(X_FILE, b"x");
    bytes.resize(bytes.len() + 3 * BLOCK + MAX_PADDING_BYTES as usize, 0);
    assert!(matches!(scan_bytes(&bytes), Err(ArchiveFault::Trailing)));
}

#[test]
fn extensions_name_and_measure_the_next_entry() {
    let named = pax(EntryType::XHeader, &[("mtime", "1.5"), ("path", X_FILE)]);
    let long = entry("././@LongLink", EntryType::GNULongName, format!("{X_FILE}\0").as_bytes());
    for name in [named, long] {
        let contents = scan(&[name, file("shortened", b"x"), file("other", b"y")]).unwrap();
        assert_eq!(contents.blobs.keys().collect::<Vec<_>>(), [&Digest::of(b"x")]);
    }
    let content = [b'c'; 700];
    for said in [0, 700, CLIPPED_SIZE] {
        let sized = pax(EntryType::XHeader, &[("size", "700")]);
        let file =
            entry_of(&blob_name(&content), EntryType::Regular, &content, |header| header.set_size(said));
        let contents = scan(&[sized, file]).unwrap();
        assert_eq!(contents.blobs[&Digest::of(&content)].size, 700);
    }
    // In binary, as GNU tar writes large sizes.
    let binary = |size: [u8; 12]| {
        let file = entry_of(X_FILE, EntryType::Regular, b"x", |header| {
            header.as_mut_bytes()[SIZE_FIELD].copy_from_slice(&size);
        });
        scan(&[file])
    };
    assert!(binary([0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]).is_ok());
    for wrong in [
        [0x80, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 1],
        [0x81, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1],
        [0xff; 12],
        [0x80, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff],
        [0x80, 0, 0, 0, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff],
        *b"-0000000001\0",
        *b"00000000008\0",
        [0; 12],
    ] {
        assert!(binary(wrong).is_err(), "{wrong:?}");
    }
}

#[test]
fn what_readers_could_see_differently_is_refused() {
    let x = || file(X_FILE, b"x");
    let local = |records: &[(&str, &str)]| pax(EntryType::XHeader, records);
    let global = |records: &[(&str, &str)]| pax(EntryType::XGlobalHeader, records);
    let long_name = || entry("././@LongLink", EntryType::GNULongName, b"name\0");
    let refused: Vec<(Vec<Vec<u8>>, &str)> = vec![
        (vec![x(), x()], "comes twice"),
        (vec![x(), file(&format!("./{X_FILE}"), b"x")], "comes twice"),
        (vec![file("index.json", b"{}"), file("index.json", b"[]")], "comes twice"),
        (vec![local(&[("path", X_FILE)]), file("a", b"x"), x()], "comes twice"),
        (vec![entry(X_FILE, EntryType::Symlink, b"")], "not a plain file"),
        (vec![entry(X_FILE, EntryType::Link, b"")], "not a plain file"),
        (vec![entry("index.json", EntryType::Fifo, b"")], "not a plain file"),
        (vec![entry("oci-layout", EntryType::Directory, b"")], "not a plain file"),
        (vec![entry(X_FILE, EntryType::Continuous, b"x")], "not a plain file"),
        (vec![local(&[("GNU.sparse.major", "1")]), x()], "not a plain file"),
        (vec![entry("a", EntryType::GNUSparse, b"x")], "sparse"),
        (vec![entry("a", EntryType::Symlink, b"x")], "has content"),
        (vec![entry("a", EntryType::Link, &[0; BLOCK])], "has content"),
        (vec![entry("a/", EntryType::Directory, b"x")], "has content"),
        (vec![local(&[("size", "2")]), x()], "two sizes"),
        (vec![local(&[("path", "a")]), local(&[("path", "b")]), x()], "repeated"),
        (vec![local(&[("path", "a"), ("path", "b")]), x()], "repeated"),
        (vec![local(&[("path", "a")]), long_name(), x()], "repeated"),
        (vec![long_name(), long_name(), x()], "repeated"),
        (vec![global(&[("path", X_FILE)]), file("a", b"x")], "global"),
        (vec![global(&[("size", "1")]), x()], "global"),
        (vec![entry("pax", EntryType::XHeader, b"9 path=a\n\n"), x()], "damaged"),
        (vec![entry("pax", EntryType::XHeader, b"99 path=a\n"), x()], "damaged"),
        (vec![entry("pax", EntryType::XHeader, b"+9 path=a\n"), x()], "damaged"),
        (vec![entry("pax", EntryType::XHeader, b"0 path=a\n"), x()], "damaged"),
        (vec![entry("pax", EntryType::XHeader, b"10 size=-1\n"), x()], "damaged"),
        (vec![entry("pax", EntryType::XHeader, b"\n"), x()], "damaged"),
        (vec![local(&[("size", "9223372036854775808")]), file(X_FILE, b"")], "cut off"),
    ];
    for (entries, words) in refused {
        let fault = scan(&entries).unwrap_err().to_string();
        assert!(fault.contains(words), "{fault}, expected {words}");
    }
    assert!(scan(&[global(&[("comment", "of a git archive")]), x()]).is_ok());
}

#[test]
fn no_extension_is_larger_than_what_is_read() {
    for kind in [EntryType::XHeader, EntryType::XGlobalHeader, EntryType::GNULongName, EntryType::GNULongLink]
    {
        let large = entry("x", kind, &vec![b' '; MAX_EXTENSION_BYTES as usize + 1]);
        assert!(matches!(scan(&[large]), Err(ArchiveFault::LargeExtension { .. })));
    }
}

/// One entry again and again, without the memory that it would take.
struct Endless {
    block: Vec<u8>,
    length: u64,
    position: u64,
}

impl Read for Endless {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let at = (self.position % BLOCK as u64) as usize;
        let count = buffer.len().min(BLOCK - at);
        if self.position + 2 * BLOCK as u64 >= self.length {
            buffer[..count].fill(0);
        } else {
            buffer[..count].copy_from_slice(&self.block[at..at + count]);
        }
        self.position += count as u64;
        Ok(count)
    }
}

impl Seek for Endless {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        if let SeekFrom::Current(step) = to {
            self.position = self.position.saturating_add_signed(step);
        }
        Ok(self.position)
    }
}

#[test]
fn many_empty_entries_cost_no_memory() {
    let length = 100_002 * BLOCK as u64;
    let archive = Endless { block: file("empty", b""), length, position: 0 };
    let contents = Contents::scan(archive, length).unwrap();
    assert!(contents.blobs.is_empty());

    let mut contents = Contents::default();
    let fault = (0_u64..).find_map(|number| {
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&number.to_le_bytes());
        let name = Name::Blob(Digest::from_sha256(bytes));
        contents.insert(&name, Extent { start: 0, size: 0 }).err()
    });
    assert!(matches!(fault, Some(ArchiveFault::TooManyBlobs { .. })));
}

//! What a tar holds of an image layout, and where in the file: found by its headers alone, without unpacking.
//!
//! The format is ustar with the extensions of pax
//! (<https://pubs.opengroup.org/onlinepubs/9799919799/utilities/pax.html>) and GNU tar
//! (<https://www.gnu.org/software/tar/manual/html_node/Standard.html>). Where two readers of tars could see two
//! different things, the archive is refused.

use std::collections::BTreeMap;
use std::io::{self, Read, Seek};

use bundle_core::digest::Digest;
use tar::{EntryType, Header};

use super::{BLOB_FOLDER, BLOCK};
use crate::error::ArchiveFault;
use crate::image_layout::file_names::{INDEX_FILE, MARKER_FILE};

/// The most blobs that an archive may hold: each one costs some memory.
const MAX_BLOBS: usize = 1 << 18;

/// The largest extended header or long name that is read.
const MAX_EXTENSION_BYTES: u64 = 1 << 20;

/// The most bytes of padding behind the end of an archive.
const MAX_PADDING_BYTES: u64 = 1 << 20;

/// What some writers put into a header for a size that it cannot hold.
const CLIPPED_SIZE: u64 = 0o77_777_777_777;

const SIZE_FIELD: std::ops::Range<usize> = 124..136;

/// Where a file's content lies in the archive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Extent {
    pub(super) start: u64,
    pub(super) size: u64,
}

/// The files of an image layout in an archive.
#[derive(Debug, Default)]
pub(super) struct Contents {
    pub(super) marker: Option<Extent>,
    pub(super) index: Option<Extent>,
    pub(super) blobs: BTreeMap<Digest, Extent>,
    /// How many entries there are besides.
    others: u64,
}

impl Contents {
    /// Scans an archive of `length` bytes from its start to its end, one time.
    pub(super) fn scan(archive: impl Read + Seek, length: u64) -> Result<Self, ArchiveFault> {
        let mut scan = Scan {
            archive: io::BufReader::with_capacity(64 << 10, archive),
            position: 0,
            length,
            contents: Self::default(),
        };
        scan.entries()?;
        scan.padding()?;
        Ok(scan.contents)
    }

    /// Whether there are entries, and none of them belongs to an image layout.
    pub(super) fn is_foreign(&self) -> bool {
        self.others > 0 && self.marker.is_none() && self.index.is_none() && self.blobs.is_empty()
    }

    /// Notes a file of the layout; says whether there was one of that name before.
    fn insert(&mut self, name: &Name, extent: Extent) -> Result<bool, ArchiveFault> {
        let before = match name {
            Name::Marker => self.marker.replace(extent),
            Name::Index => self.index.replace(extent),
            Name::Blob(digest) => self.blobs.insert(*digest, extent),
        };
        if self.blobs.len() > MAX_BLOBS {
            return Err(ArchiveFault::TooManyBlobs { limit: MAX_BLOBS });
        }
        Ok(before.is_some())
    }
}

/// A name that means something in an image layout.
enum Name {
    Marker,
    Index,
    Blob(Digest),
}

impl Name {
    /// Understands an entry's name. Any other name is passed by, wherever it would lead.
    fn parse(name: &[u8]) -> Option<Self> {
        let name = std::str::from_utf8(name).ok()?;
        match name.strip_prefix("./").unwrap_or(name) {
            MARKER_FILE => Some(Self::Marker),
            INDEX_FILE => Some(Self::Index),
            name => {
                let hex = name.strip_prefix(BLOB_FOLDER)?;
                format!("sha256:{hex}").parse().ok().map(Self::Blob)
            }
        }
    }
}

struct Scan<R: Read + Seek> {
    archive: io::BufReader<R>,
    position: u64,
    length: u64,
    contents: Contents,
}

/// What extensions say of the entry that comes next.
#[derive(Default)]
struct Extensions {
    pax: Option<Pax>,
    long_name: Option<Vec<u8>>,
    long_link: bool,
}

impl<R: Read + Seek> Scan<R> {
    /// Goes through the entries until the two empty blocks that end an archive.
    fn entries(&mut self) -> Result<(), ArchiveFault> {
        let mut extensions = Extensions::default();
        while let Some(header) = self.header()? {
            let size = size_field(&header).ok_or(ArchiveFault::Header { position: self.position })?;
            let repeated = match header.entry_type() {
                EntryType::XHeader => {
                    let pax = Pax::parse(&self.extension(size)?)?;
                    extensions.pax.replace(pax).is_some()
                }
                EntryType::XGlobalHeader => {
                    if Pax::parse(&self.extension(size)?)? != Pax::default() {
                        return Err(ArchiveFault::GlobalOverride);
                    }
                    false
                }
                EntryType::GNULongName => {
                    let name = self.extension(size)?;
                    extensions.long_name.replace(name).is_some()
                }
                EntryType::GNULongLink => {
                    self.extension(size)?;
                    std::mem::replace(&mut extensions.long_link, true)
                }
                kind => {
                    self.entry(&header, kind, size, std::mem::take(&mut extensions))?;
                    false
                }
            };
            if repeated {
                return Err(ArchiveFault::RepeatedExtension);
            }
        }
        Ok(())
    }

    /// Reads the next header, if it is whole and there is one.
    fn header(&mut self) -> Result<Option<Header>, ArchiveFault> {
        let position = self.position;
        // The end of an empty file, or of a piece of a tar, is missing; a short text never had one.
        if position == 0 && (1..BLOCK as u64).contains(&self.length) {
            return Err(self.judge_short_file());
        }
        let block = self.block()?;
        if block.iter().all(|byte| *byte == 0) {
            return if self.block()?.iter().all(|byte| *byte == 0) {
                Ok(None)
            } else {
                Err(ArchiveFault::Header { position })
            };
        }
        let header = Header::from_byte_slice(&block).clone();
        let mut right = header.clone();
        right.set_cksum();
        match (header.cksum(), right.cksum()) {
            (Ok(found), Ok(expected)) if found == expected => Ok(Some(header)),
            _ if position == 0 && header.as_ustar().is_none() && header.as_gnu().is_none() => {
                Err(ArchiveFault::NotATar)
            }
            _ => Err(ArchiveFault::Header { position }),
        }
    }

    /// Judges a file that is too short for a header: what is left of a tar begins with a name and the zeros behind it.
    fn judge_short_file(&mut self) -> ArchiveFault {
        let mut content = Vec::new();
        match (&mut self.archive).take(BLOCK as u64).read_to_end(&mut content) {
            Err(error) => read_fault(error),
            Ok(_) if content.contains(&0) => ArchiveFault::Truncated,
            Ok(_) => ArchiveFault::NotATar,
        }
    }

    /// Takes note of an entry, and passes its content by.
    fn entry(
        &mut self,
        header: &Header,
        kind: EntryType,
        size: u64,
        extensions: Extensions,
    ) -> Result<(), ArchiveFault> {
        let pax = extensions.pax.unwrap_or_default();
        let name = match (extensions.long_name, pax.path) {
            (Some(_), Some(_)) => return Err(ArchiveFault::RepeatedExtension),
            (Some(name), None) => name.split(|byte| *byte == 0).next().unwrap_or_default().to_vec(),
            (None, Some(name)) => name,
            (None, None) => header.path_bytes().into_owned(),
        };
        let refuse =
            |fault: fn(String) -> ArchiveFault| Err(fault(String::from_utf8_lossy(&name).into_owned()));
        let size = match pax.size {
            None => size,
            Some(real) if size == real || size == 0 || size == CLIPPED_SIZE => real,
            Some(_) => return refuse(|name| ArchiveFault::TwoSizes { name }),
        };
        // What of the file follows its header, and how much, is for such an entry written in the content itself.
        if kind.is_gnu_sparse() {
            return refuse(|name| ArchiveFault::Sparse { name });
        }
        if size > 0 && has_no_content(kind) {
            return refuse(|name| ArchiveFault::Content { name });
        }
        let extent = Extent { start: self.position, size };
        self.skip(size)?;
        let Some(known) = Name::parse(&name) else {
            self.contents.others += 1;
            return Ok(());
        };
        if kind != EntryType::Regular || pax.is_sparse {
            return refuse(|name| ArchiveFault::NotAFile { name });
        }
        if self.contents.insert(&known, extent)? {
            return refuse(|name| ArchiveFault::Repeated { name });
        }
        Ok(())
    }

    /// Reads the content of an extension.
    fn extension(&mut self, size: u64) -> Result<Vec<u8>, ArchiveFault> {
        if size > MAX_EXTENSION_BYTES {
            return Err(ArchiveFault::LargeExtension { limit: MAX_EXTENSION_BYTES });
        }
        let end = self.content_end(size)?;
        let mut content = Vec::new();
        (&mut self.archive).take(size).read_to_end(&mut content).map_err(read_fault)?;
        let padding = end - self.position - size;
        self.position = end;
        self.archive.seek_relative(padding as i64).map_err(read_fault)?;
        if content.len() as u64 == size { Ok(content) } else { Err(ArchiveFault::Truncated) }
    }

    fn skip(&mut self, size: u64) -> Result<(), ArchiveFault> {
        let end = self.content_end(size)?;
        // No file has more bytes than this can hold.
        let step = i64::try_from(end - self.position).map_err(|_| ArchiveFault::Truncated)?;
        self.archive.seek_relative(step).map_err(read_fault)?;
        self.position = end;
        Ok(())
    }

    /// Where the block ends that content of `size` bytes ends in.
    fn content_end(&self, size: u64) -> Result<u64, ArchiveFault> {
        let padded = size.checked_next_multiple_of(BLOCK as u64);
        let end = padded.and_then(|padded| self.position.checked_add(padded));
        end.filter(|end| *end <= self.length).ok_or(ArchiveFault::Truncated)
    }

    fn block(&mut self) -> Result<[u8; BLOCK], ArchiveFault> {
        let end = self.content_end(BLOCK as u64)?;
        let mut block = [0; BLOCK];
        self.archive.read_exact(&mut block).map_err(read_fault)?;
        self.position = end;
        Ok(block)
    }

    /// Checks that nothing follows the end of the archive but zeros: another reader may go on behind it.
    fn padding(&mut self) -> Result<(), ArchiveFault> {
        if self.length - self.position > MAX_PADDING_BYTES {
            return Err(ArchiveFault::Trailing);
        }
        let mut rest = Vec::new();
        (&mut self.archive).take(MAX_PADDING_BYTES).read_to_end(&mut rest).map_err(read_fault)?;
        if rest.iter().all(|byte| *byte == 0) { Ok(()) } else { Err(ArchiveFault::Trailing) }
    }
}

fn read_fault(source: io::Error) -> ArchiveFault {
    match source.kind() {
        io::ErrorKind::UnexpectedEof => ArchiveFault::Truncated,
        _ => ArchiveFault::Read(source),
    }
}

/// Whether some readers take entries of this kind to have no content, whatever their size says.
fn has_no_content(kind: EntryType) -> bool {
    kind.is_hard_link()
        || kind.is_symlink()
        || kind.is_character_special()
        || kind.is_block_special()
        || kind.is_dir()
        || kind.is_fifo()
}

/// The size in a header, in octal or, by GNU's extension, in binary; `None` for what no file has.
fn size_field(header: &Header) -> Option<u64> {
    let field = &header.as_bytes()[SIZE_FIELD];
    let (first, rest) = field.split_first()?;
    // The highest bit says that it is binary; negative numbers and those beyond 64 bits are no sizes.
    if first & 0x80 != 0 && (*first != 0x80 || rest.iter().take(rest.len() - 8).any(|byte| *byte != 0)) {
        return None;
    }
    header.entry_size().ok()
}

/// What an extended header says that concerns us.
#[derive(Debug, Default, PartialEq, Eq)]
struct Pax {
    path: Option<Vec<u8>>,
    size: Option<u64>,
    is_sparse: bool,
}

impl Pax {
    /// Reads the records `LENGTH KEY=VALUE\n`, where the length is that of the whole record.
    fn parse(mut records: &[u8]) -> Result<Self, ArchiveFault> {
        let mut pax = Self::default();
        while !records.is_empty() {
            let (key, value, rest) = record(records).ok_or(ArchiveFault::Extension)?;
            let repeated = match key {
                b"path" => pax.path.replace(value.to_vec()).is_some(),
                b"size" => pax.size.replace(number(value).ok_or(ArchiveFault::Extension)?).is_some(),
                _ => {
                    pax.is_sparse |= key.starts_with(b"GNU.sparse.");
                    false
                }
            };
            if repeated {
                return Err(ArchiveFault::RepeatedExtension);
            }
            records = rest;
        }
        Ok(pax)
    }
}

/// Splits off the first record: its key, its value, and what follows it.
fn record(records: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    let space = records.iter().position(|byte| *byte == b' ')?;
    let length = usize::try_from(number(&records[..space])?).ok()?;
    let (record, rest) = records.split_at_checked(length)?;
    let record = record.get(space + 1..)?.strip_suffix(b"\n")?;
    let equals = record.iter().position(|byte| *byte == b'=')?;
    Some((&record[..equals], &record[equals + 1..], rest))
}

/// Reads a number of decimal digits and nothing else.
fn number(text: &[u8]) -> Option<u64> {
    let is_number = !text.is_empty() && text.iter().all(u8::is_ascii_digit);
    std::str::from_utf8(text).ok().filter(|_| is_number)?.parse().ok()
}

#[cfg(test)]
mod tests;

//! Digests of files as they were last read, so that an unchanged file need not be read again.
//!
//! Only a cache: a missing, damaged or foreign one is empty, and that one cannot be written is no fault. The format is
//! flat, for speed: a header with a checksum, then one record a file, sorted by path.

use bundle_core::digest::Digest;

use crate::project::Project;
use crate::project::folder::DIGEST_CACHE;
use crate::project::own_folder::OwnFolder;
use crate::project::parents::Missing;
use crate::project::stamp::Stamp;

/// The name of the format, and its version as the last byte.
const MAGIC: [u8; 8] = *b"mobdigs\x01";
const HEADER: usize = MAGIC.len() + 4;
const STAMP: usize = Stamp::BYTES;
const DIGEST: usize = 32;
/// A larger file is no cache of ours.
const MAX_BYTES: u64 = 4 << 30;

/// What the cache held when it was read.
#[derive(Debug, Default)]
pub struct DigestCache {
    bytes: Vec<u8>,
}

impl DigestCache {
    /// Reads the cache of `project`.
    pub fn read(project: &Project) -> Self {
        let cache = OwnFolder::cache(project, Missing::Leave).ok().flatten();
        let bytes = cache.and_then(|cache| cache.read(DIGEST_CACHE, MAX_BYTES).ok()).unwrap_or_default();
        let is_whole = bytes.get(..MAGIC.len()) == Some(&MAGIC)
            && bytes.get(MAGIC.len()..HEADER) == Some(&checksum(bytes.get(HEADER..).unwrap_or_default()));
        Self { bytes: if is_whole { bytes } else { Vec::new() } }
    }

    /// Goes through the cache alongside paths that are asked for in order.
    pub fn in_order(&self) -> Cursor<'_> {
        Cursor { rest: self.bytes.get(HEADER..).unwrap_or_default(), record: None }
    }
}

/// A place in the cache that only moves forward.
#[derive(Debug)]
pub struct Cursor<'a> {
    rest: &'a [u8],
    record: Option<Record<'a>>,
}

#[derive(Clone, Copy, Debug)]
struct Record<'a> {
    path: &'a [u8],
    stamp: Stamp,
    digest: Digest,
}

impl Cursor<'_> {
    /// The digest of the file at `path`, if its facts are still `stamp`.
    ///
    /// Every path must sort after the one before.
    pub fn digest(&mut self, path: &str, stamp: &Stamp) -> Option<Digest> {
        while self.record.is_none_or(|record| record.path < path.as_bytes()) {
            self.record = Some(next_record(&mut self.rest)?);
        }
        self.record
            .filter(|record| record.path == path.as_bytes() && record.stamp == *stamp)
            .map(|record| record.digest)
    }
}

fn next_record<'a>(rest: &mut &'a [u8]) -> Option<Record<'a>> {
    let (length, after) = rest.split_first_chunk::<2>()?;
    let (path, after) = after.split_at_checked(usize::from(u16::from_le_bytes(*length)))?;
    let (stamp, after) = after.split_first_chunk::<STAMP>()?;
    let (digest, after) = after.split_first_chunk::<DIGEST>()?;
    *rest = after;
    Some(Record { path, stamp: Stamp::from_bytes(stamp), digest: Digest::from_sha256(*digest) })
}

/// Makes the next cache; records must come in order.
#[derive(Debug)]
pub struct NewCache {
    records: Vec<u8>,
}

impl NewCache {
    /// An empty one, with room for `files`.
    pub fn with_room_for(files: usize) -> Self {
        Self { records: Vec::with_capacity(files * 128) }
    }

    /// Adds what is known of the file at `path`.
    pub fn add(&mut self, path: &str, stamp: &Stamp, digest: &Digest) {
        // No path of a bundle is longer; see `bundle_core::name::path::MAX_PATH_BYTES`.
        let Ok(length) = u16::try_from(path.len()) else {
            return;
        };
        self.records.extend_from_slice(&length.to_le_bytes());
        self.records.extend_from_slice(path.as_bytes());
        self.records.extend_from_slice(&stamp.to_bytes());
        self.records.extend_from_slice(digest.as_bytes());
    }

    /// Puts it in the place of the old one, if that can be.
    pub fn write(self, project: &Project) {
        let pieces: [&[u8]; 3] = [&MAGIC, &checksum(&self.records), &self.records];
        if let Err(error) = OwnFolder::write_cache(project, DIGEST_CACHE, &pieces) {
            tracing::debug!(%error, "the digest cache cannot be written");
        }
    }
}

fn checksum(records: &[u8]) -> [u8; 4] {
    crc32fast::hash(records).to_le_bytes()
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::*;

    fn stamp(modified_ns: i64, changed_ns: i64) -> Stamp {
        Stamp { size: 5, modified_ns, changed_ns, inode: 9 }
    }

    fn cached() -> (TempDir, Project) {
        let folder = TempDir::new().unwrap();
        let project = Project::create(folder.path()).unwrap();
        let mut cache = NewCache::with_room_for(2);
        cache.add("a/b", &stamp(1, 2), &Digest::of(b"1"));
        cache.add("c", &stamp(3, 4), &Digest::of(b"2"));
        cache.write(&project);
        (folder, project)
    }

    #[test]
    fn answers_only_for_the_same_facts() {
        let (_folder, project) = cached();
        let cache = DigestCache::read(&project);
        let mut cursor = cache.in_order();
        assert_eq!(cursor.digest("a", &stamp(1, 2)), None);
        assert_eq!(cursor.digest("a/b", &stamp(1, 2)), Some(Digest::of(b"1")));
        assert_eq!(cursor.digest("b", &stamp(1, 2)), None);
        assert_eq!(cursor.digest("c", &stamp(3, 5)), None);
        assert_eq!(cursor.digest("d", &stamp(3, 4)), None);
    }

    #[test]
    fn a_damaged_cache_is_an_empty_one() {
        let (_folder, project) = cached();
        let good = std::fs::read(project.digest_cache_file()).unwrap();
        for at in 0..good.len() {
            let mut bad = good.clone();
            bad[at] ^= 1;
            std::fs::write(project.digest_cache_file(), &bad).unwrap();
            assert_eq!(DigestCache::read(&project).in_order().digest("a/b", &stamp(1, 2)), None, "byte {at}");
        }
        for length in [0, 5, HEADER, good.len() - 1] {
            std::fs::write(project.digest_cache_file(), &good[..length]).unwrap();
            assert_eq!(DigestCache::read(&project).in_order().digest("c", &stamp(3, 4)), None);
        }
    }
}

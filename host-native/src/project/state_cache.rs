//! The project's state in a form that is read in a tenth of the time; it matters from some ten thousand files on.
//!
//! Only a cache, and only of one `state.json`: the one with the stamp that it names. A missing, damaged or foreign one is
//! none, and that one cannot be written is no fault.

use bundle_core::digest::Digest;
use bundle_core::file::ByPath;
use bundle_core::wire::{decode_by_path, encode};

use super::folder::{Project, STATE_CACHE};
use super::own_folder::OwnFolder;
use super::parents::Missing;
use super::stamp::Stamp;
use super::state::State;

/// The name of the format, and its version as the last byte.
const MAGIC: [u8; 8] = *b"mobstat\x02";
const CHECKSUM: usize = 4;
const DIGEST: usize = 32;
/// Magic, checksum, stamp, digest of the file, length of the header.
const PREFIX: usize = MAGIC.len() + CHECKSUM + Stamp::BYTES + DIGEST + 4;
/// A larger file is no cache of ours.
const MAX_BYTES: u64 = 1 << 30;

/// What the state file with this stamp holds.
pub(super) fn read(project: &Project, stamp: &Stamp) -> Option<State> {
    let bytes = OwnFolder::cache(project, Missing::Leave).ok()??.read(STATE_CACHE, MAX_BYTES).ok()?;
    let (prefix, rest) = bytes.split_at_checked(PREFIX)?;
    let stamp_at = MAGIC.len() + CHECKSUM;
    if prefix[..MAGIC.len()] != MAGIC || prefix[stamp_at..stamp_at + Stamp::BYTES] != stamp.to_bytes() {
        return None;
    }
    if prefix[MAGIC.len()..stamp_at] != crc32fast::hash(bytes.get(stamp_at..)?).to_le_bytes() {
        return None;
    }
    let length = u32::from_le_bytes(prefix[PREFIX - 4..].try_into().ok()?);
    let (header, files) = rest.split_at_checked(length as usize)?;
    let header = State::from_json(header).ok()?;
    let digest = prefix.get(stamp_at + Stamp::BYTES..PREFIX - 4)?.try_into().ok()?;
    let digest = Some(Digest::from_sha256(digest));
    Some(State { last_synced: decode_by_path(files).ok()?, digest, ..header })
}

/// A state that can be kept once its file has a stamp.
#[derive(Debug)]
pub(super) struct Packed {
    digest: Digest,
    header: Vec<u8>,
    files: Vec<u8>,
}

impl Packed {
    /// Packs `state`, whose file has this digest; none where it has more than can be kept.
    pub(super) fn of(state: &State, digest: Digest) -> Option<Self> {
        let header = State { last_synced: ByPath::default(), ..state.clone() }.to_json().ok()?;
        u32::try_from(header.len()).ok()?;
        Some(Self { digest, header, files: encode(&state.last_synced) })
    }

    /// Keeps it as what the state file with this stamp holds.
    pub(super) fn keep(&self, project: &Project, stamp: &Stamp) {
        let length = (self.header.len() as u32).to_le_bytes();
        let pieces: [&[u8]; 5] =
            [&stamp.to_bytes(), self.digest.as_bytes(), &length, &self.header, &self.files];
        let mut hasher = crc32fast::Hasher::new();
        pieces.iter().for_each(|piece| hasher.update(piece));
        let checksum = hasher.finalize().to_le_bytes();
        let pieces: Vec<&[u8]> = [&MAGIC[..], &checksum].into_iter().chain(pieces).collect();
        if let Err(error) = OwnFolder::write_cache(project, STATE_CACHE, &pieces) {
            tracing::debug!(%error, "the state cannot be kept");
        }
    }
}

#[cfg(test)]
mod tests {
    use bundle_core::file::SyncedFile;
    use tempfile::TempDir;

    use super::*;

    #[test]
    fn holds_for_one_file_and_only_whole() {
        let folder = TempDir::new().unwrap();
        let project = Project::create(folder.path()).unwrap();
        let file = |path: &str, executable| SyncedFile {
            path: path.parse().unwrap(),
            digest: Digest::of(path.as_bytes()),
            executable,
        };
        let state = State {
            last_push_digest: Some(Digest::of(b"x")),
            last_synced: ByPath::new(vec![file("a/b", None), file("c", Some(true))]).unwrap(),
            timestamp: 1.5,
            ..State::default()
        };
        let stamp = Stamp { size: 1, modified_ns: 2, changed_ns: 3, inode: 4 };
        assert_eq!(read(&project, &stamp), None);
        let digest = Digest::of(b"the file");
        Packed::of(&state, digest).unwrap().keep(&project, &stamp);
        assert_eq!(read(&project, &stamp), Some(State { digest: Some(digest), ..state }));
        assert_eq!(read(&project, &Stamp { changed_ns: 4, ..stamp }), None);
        let good = std::fs::read(project.state_cache_file()).unwrap();
        for at in 0..good.len() {
            let mut bad = good.clone();
            bad[at] ^= 1;
            std::fs::write(project.state_cache_file(), &bad).unwrap();
            assert_eq!(read(&project, &stamp), None, "byte {at}");
            std::fs::write(project.state_cache_file(), &good[..at]).unwrap();
            assert_eq!(read(&project, &stamp), None, "length {at}");
        }
    }
}

//! What the core said of the index of the last bundle, so that it need not be fetched and read again.
//!
//! Only a cache: a missing, damaged or foreign one is empty, and that one cannot be written is no fault. It holds for
//! one manifest and one core, and for the user who wrote it: see [`super::cache_key`]. An index that says more than which files there are is not kept.

use std::collections::BTreeMap;

use bundle_core::bundle::layout::Layout;
use bundle_core::digest::Digest;
use bundle_core::file::{ByPath, File, total_size};
use bundle_core::pack::chunk_map::ChunkMap;
use bundle_core::pack::table::Pack;
use bundle_core::wire::{decode_chunked, encode_chunked};
use serde::{Deserialize, Serialize};

use super::Project;
use super::cache_key::CacheKey;
use super::folder::INDEX_CACHE;
use super::own_folder::OwnFolder;
use super::parents::Missing;
use crate::component::answers::IndexView;

/// The name of the format, and its version as the last byte.
const MAGIC: [u8; 8] = *b"mobindx\x02";
const DIGEST: usize = 32;
/// Magic, seal, digests of core and manifest, length of the header.
const PREFIX: usize = MAGIC.len() + CacheKey::SEAL + 2 * DIGEST + 4;
/// A larger file is no cache of ours.
const MAX_BYTES: u64 = 1 << 30;

#[derive(Serialize, Deserialize)]
struct Header {
    version: String,
    packed: bool,
    tree: Digest,
    packs: Vec<Pack>,
}

/// What the core with the digest `core` said of the index of the bundle `bundle`.
pub fn read(project: &Project, core: &Digest, bundle: &Digest) -> Option<IndexView> {
    read_with(&CacheKey::read()?, project, core, bundle)
}

fn read_with(key: &CacheKey, project: &Project, core: &Digest, bundle: &Digest) -> Option<IndexView> {
    let bytes = OwnFolder::cache(project, Missing::Leave).ok()??.read(INDEX_CACHE, MAX_BYTES).ok()?;
    let (prefix, rest) = bytes.split_at_checked(PREFIX)?;
    let names = [&core.as_bytes()[..], bundle.as_bytes()].concat();
    let names_at = MAGIC.len() + CacheKey::SEAL;
    if prefix[..MAGIC.len()] != MAGIC || prefix[names_at..names_at + 2 * DIGEST] != names[..] {
        return None;
    }
    if prefix[MAGIC.len()..names_at] != key.seal(&[bytes.get(names_at..)?]) {
        return None;
    }
    let length = u32::from_le_bytes(prefix[PREFIX - 4..].try_into().ok()?);
    let (header, files) = rest.split_at_checked(length as usize)?;
    let header: Header = serde_json::from_slice(header).ok()?;
    let (files, chunk_map) = decode_chunked(files, header.packs).ok()?;
    Some(IndexView {
        version: header.version,
        layout: if header.packed { Layout::Packed } else { Layout::Files },
        total_size: total_size(&files),
        files,
        chunk_map,
        tree: header.tree,
        layers: BTreeMap::new(),
        roles: BTreeMap::new(),
        is_plain: true,
    })
}

/// What an index says that says nothing beyond files.
#[derive(Clone, Copy, Debug)]
pub struct PlainIndex<'a> {
    /// The version of its format.
    pub version: &'a str,
    /// In which form the files lie in the repository.
    pub layout: Layout,
    /// The files.
    pub files: &'a ByPath<File>,
    /// In layout `packed`, where the chunks of each of them are.
    pub chunk_map: &'a ChunkMap,
    /// Their tree digest.
    pub tree: Digest,
}

/// Keeps what the core with the digest `core` said of the index of the bundle `bundle`, if that is all.
pub fn keep(project: &Project, core: &Digest, bundle: &Digest, view: &IndexView) {
    if view.is_plain && view.layers.is_empty() && view.roles.is_empty() {
        let IndexView { version, layout, files, chunk_map, tree, .. } = view;
        let index = PlainIndex { version, layout: *layout, files, chunk_map, tree: *tree };
        write(project, core, bundle, index);
    }
}

/// Keeps what the core with the digest `core` will say of `index`, which is that of the bundle `bundle`.
pub fn write(project: &Project, core: &Digest, bundle: &Digest, index: PlainIndex<'_>) {
    if let Some(key) = CacheKey::read_or_make() {
        write_with(&key, project, core, bundle, index);
    }
}

fn write_with(key: &CacheKey, project: &Project, core: &Digest, bundle: &Digest, index: PlainIndex<'_>) {
    let header = Header {
        version: index.version.to_owned(),
        packed: index.layout == Layout::Packed,
        tree: index.tree,
        packs: index.chunk_map.packs.clone(),
    };
    let Ok(header) = serde_json::to_vec(&header) else { return };
    let Ok(length) = u32::try_from(header.len()) else { return };
    let Some(placed) = index.chunk_map.of_files(index.files) else { return };
    let files = encode_chunked(placed.into_iter());
    let length = length.to_le_bytes();
    let pieces: [&[u8]; 5] = [core.as_bytes(), bundle.as_bytes(), &length, &header, &files];
    let seal = key.seal(&pieces);
    let pieces: Vec<&[u8]> = [&MAGIC[..], &seal].into_iter().chain(pieces).collect();
    if let Err(error) = OwnFolder::write_cache(project, INDEX_CACHE, &pieces) {
        tracing::debug!(%error, "what an index says cannot be kept");
    }
}

#[cfg(test)]
mod tests {
    use bundle_core::bundle::tree::tree_digest;
    use tempfile::TempDir;

    use super::*;

    fn view() -> IndexView {
        let file =
            File { path: "a/b".parse().unwrap(), digest: Digest::of(b"1"), size: 1, executable: Some(true) };
        let files = ByPath::new(vec![file]).unwrap();
        let mut chunk_map = ChunkMap::default();
        chunk_map.push(&[]);
        IndexView {
            version: "1.0".to_owned(),
            layout: Layout::Files,
            tree: tree_digest(&files),
            total_size: 1,
            files,
            chunk_map,
            layers: BTreeMap::new(),
            roles: BTreeMap::new(),
            is_plain: true,
        }
    }

    #[test]
    fn holds_for_one_bundle_and_one_core() {
        let folder = TempDir::new().unwrap();
        let project = Project::create(folder.path()).unwrap();
        let (core, bundle) = (Digest::of(b"core"), Digest::of(b"bundle"));
        let key = CacheKey::of([7; 32]);
        let read = |core: &Digest, bundle: &Digest| read_with(&key, &project, core, bundle);
        assert_eq!(read(&core, &bundle), None);
        let kept = view();
        let IndexView { version, layout, files, chunk_map, tree, .. } = &kept;
        let index = PlainIndex { version, layout: *layout, files, chunk_map, tree: *tree };
        write_with(&key, &project, &core, &bundle, index);
        assert_eq!(read(&core, &bundle), Some(view()));
        assert_eq!(read(&bundle, &bundle), None);
        assert_eq!(read(&core, &core), None);
        // One that somebody else made is none, however whole it is.
        assert_eq!(read_with(&CacheKey::of([8; 32]), &project, &core, &bundle), None);
        let good = std::fs::read(project.index_cache_file()).unwrap();
        for at in 0..good.len() {
            let mut bad = good.clone();
            bad[at] ^= 1;
            std::fs::write(project.index_cache_file(), &bad).unwrap();
            assert_eq!(read(&core, &bundle), None, "byte {at}");
            std::fs::write(project.index_cache_file(), &good[..at]).unwrap();
            assert_eq!(read(&core, &bundle), None, "length {at}");
        }
    }

    #[test]
    fn what_has_to_be_carried_over_is_not_kept() {
        let folder = TempDir::new().unwrap();
        let project = Project::create(folder.path()).unwrap();
        let roles = BTreeMap::from([("all".to_owned(), vec!["code".to_owned()])]);
        for view in [IndexView { is_plain: false, ..view() }, IndexView { roles, ..view() }] {
            keep(&project, &Digest::EMPTY, &Digest::EMPTY, &view);
        }
        assert!(!project.index_cache_file().exists());
    }
}

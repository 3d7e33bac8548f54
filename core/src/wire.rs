//! Facts as flat bytes: how a host hands many of them to the component at once.
//!
//! A list of a hundred thousand records costs several allocations for each when it crosses into a component; one
//! block of bytes costs one copy. The layouts are part of the contract (`wit/wire.wit`); numbers are little-endian.

use thiserror::Error;

use crate::canonical::MAX_SAFE_INTEGER;
use crate::digest::Digest;
use crate::file::{ByPath, File, HasPath, SyncedFile};
use crate::name::path::{BundlePath, PathFault};
use crate::pack::chunk_map::ChunkMap;
use crate::pack::table::{Pack, Run};

/// What has a wire form.
pub trait Wire: Sized {
    /// The fewest bytes that one takes.
    const LEAST_BYTES: usize;

    /// Appends it to `bytes`.
    fn encode(&self, bytes: &mut Vec<u8>);

    /// Takes it from the front of `bytes`.
    fn decode(bytes: &mut &[u8]) -> Result<Self, WireError>;
}

/// Encodes a list, one item after the other.
pub fn encode<'a, T: Wire + 'a>(items: impl IntoIterator<Item = &'a T>) -> Vec<u8> {
    let items = items.into_iter();
    // Room for what most items take, so that the bytes move seldom.
    let mut bytes = Vec::with_capacity(items.size_hint().0 * 80);
    for item in items {
        item.encode(&mut bytes);
    }
    bytes
}

/// Decodes a list up to its end.
pub fn decode<T: Wire>(mut bytes: &[u8]) -> Result<Vec<T>, WireError> {
    // More than there are, and none of it is touched in vain.
    let mut items = Vec::with_capacity(bytes.len() / T::LEAST_BYTES);
    while !bytes.is_empty() {
        items.push(T::decode(&mut bytes)?);
    }
    Ok(items)
}

/// Decodes a list of facts by path.
pub fn decode_by_path<T: Wire + HasPath>(bytes: &[u8]) -> Result<ByPath<T>, WireError> {
    ByPath::new(decode(bytes)?).map_err(|repeated| WireError::Repeated { path: repeated.path.into() })
}

/// Path: its length as a u32, its UTF-8.
impl Wire for BundlePath {
    const LEAST_BYTES: usize = 4;

    fn encode(&self, bytes: &mut Vec<u8>) {
        let text = self.as_str().as_bytes();
        // A path has at most 4,096 bytes.
        bytes.extend_from_slice(&(text.len() as u32).to_le_bytes());
        bytes.extend_from_slice(text);
    }

    fn decode(bytes: &mut &[u8]) -> Result<Self, WireError> {
        let text = std::str::from_utf8(take_bytes(bytes)?).map_err(|_| WireError::NotUtf8)?;
        text.parse().map_err(|fault| WireError::Path { text: text.to_owned(), fault })
    }
}

/// File: its path, the 32 bytes of its digest, its size as a u64, its mode.
impl Wire for File {
    const LEAST_BYTES: usize = BundlePath::LEAST_BYTES + 32 + 8 + 1;

    fn encode(&self, bytes: &mut Vec<u8>) {
        self.path.encode(bytes);
        bytes.extend_from_slice(self.digest.as_bytes());
        bytes.extend_from_slice(&self.size.to_le_bytes());
        encode_mode(self.executable, bytes);
    }

    fn decode(bytes: &mut &[u8]) -> Result<Self, WireError> {
        let path = BundlePath::decode(bytes)?;
        let digest = Digest::from_sha256(take_array(bytes)?);
        let size = u64::from_le_bytes(take_array(bytes)?);
        check_size(size, path.as_str().as_bytes())?;
        Ok(Self { path, digest, size, executable: decode_mode(bytes)? })
    }
}

/// Synced file: its path, the 32 bytes of its digest, its mode.
impl Wire for SyncedFile {
    const LEAST_BYTES: usize = BundlePath::LEAST_BYTES + 32 + 1;

    fn encode(&self, bytes: &mut Vec<u8>) {
        self.path.encode(bytes);
        bytes.extend_from_slice(self.digest.as_bytes());
        encode_mode(self.executable, bytes);
    }

    fn decode(bytes: &mut &[u8]) -> Result<Self, WireError> {
        let path = BundlePath::decode(bytes)?;
        let digest = Digest::from_sha256(take_array(bytes)?);
        Ok(Self { path, digest, executable: decode_mode(bytes)? })
    }
}

/// A mode is one byte: 0 for a plain file, 1 for an executable one, 2 where it is unknown.
fn encode_mode(executable: Option<bool>, bytes: &mut Vec<u8>) {
    bytes.push(executable.map_or(2, u8::from));
}

fn decode_mode(bytes: &mut &[u8]) -> Result<Option<bool>, WireError> {
    match take_array(bytes)? {
        [0] => Ok(Some(false)),
        [1] => Ok(Some(true)),
        [2] => Ok(None),
        _ => Err(WireError::Code),
    }
}

/// Encodes files with their chunks: each file, the number of its runs, and of each run its pack, first chunk and count;
/// all of those are u32.
pub fn encode_chunked<'a>(files: impl ExactSizeIterator<Item = (&'a File, &'a [Run])>) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(files.len() * 96);
    for (file, runs) in files {
        file.encode(&mut bytes);
        // As many runs fit into no index that is read.
        bytes.extend_from_slice(&(runs.len() as u32).to_le_bytes());
        for run in runs {
            for number in <[u32; 3]>::from(*run) {
                bytes.extend_from_slice(&number.to_le_bytes());
            }
        }
    }
    bytes
}

/// Decodes files with their chunks, which lie in `packs`.
pub fn decode_chunked(mut bytes: &[u8], packs: Vec<Pack>) -> Result<(ByPath<File>, ChunkMap), WireError> {
    let (mut files, mut chunk_map, mut runs) = (Vec::new(), ChunkMap::new(packs), Vec::new());
    while !bytes.is_empty() {
        let file = File::decode(&mut bytes)?;
        // What comes sorted stays as it is, so that the runs stay beside their files.
        if files.last().is_some_and(|last: &File| last.path >= file.path) {
            return Err(WireError::Unsorted { path: file.path.into() });
        }
        runs.clear();
        for _ in 0..u32::from_le_bytes(take_array(&mut bytes)?) {
            let [pack, first, count] = [
                u32::from_le_bytes(take_array(&mut bytes)?),
                u32::from_le_bytes(take_array(&mut bytes)?),
                u32::from_le_bytes(take_array(&mut bytes)?),
            ];
            if pack as usize >= chunk_map.packs.len() {
                return Err(WireError::Run { path: file.path.into() });
            }
            runs.push(Run { pack, first, count });
        }
        chunk_map.push(&runs);
        files.push(file);
    }
    let files = ByPath::new(files).map_err(|repeated| WireError::Repeated { path: repeated.path.into() })?;
    Ok((files, chunk_map))
}

/// Decodes files, of which none is the folder of another.
pub fn decode_files(bytes: &[u8]) -> Result<ByPath<File>, WireError> {
    let files: ByPath<File> = decode_by_path(bytes)?;
    if let Some((folder, below)) = files.nested().next() {
        return Err(WireError::Nested { folder: folder.to_string(), below: below.to_string() });
    }
    Ok(files)
}

fn take_bytes<'a>(bytes: &mut &'a [u8]) -> Result<&'a [u8], WireError> {
    let length = u32::from_le_bytes(take_array(bytes)?) as usize;
    let (text, rest) = bytes.split_at_checked(length).ok_or(WireError::Truncated)?;
    *bytes = rest;
    Ok(text)
}

fn check_size(size: u64, path: &[u8]) -> Result<(), WireError> {
    if size <= MAX_SAFE_INTEGER {
        return Ok(());
    }
    Err(WireError::Size { path: String::from_utf8_lossy(path).into_owned() })
}

fn take_array<const N: usize>(bytes: &mut &[u8]) -> Result<[u8; N], WireError> {
    let (array, rest) = bytes.split_first_chunk().ok_or(WireError::Truncated)?;
    *bytes = rest;
    Ok(*array)
}

/// Why bytes are no wire form of facts.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum WireError {
    /// A mode is none of those that there are.
    #[error("a mode has a number that means nothing")]
    Code,
    /// A path is not UTF-8.
    #[error("a path is not UTF-8")]
    NotUtf8,
    /// A path breaks a rule of bundles.
    #[error("the path `{}` cannot be in a bundle", text.escape_default())]
    Path {
        /// The path, as it came.
        text: String,
        /// The rule.
        #[source]
        fault: PathFault,
    },
    /// One path is the folder of another.
    #[error("`{folder}` is a file, and `{below}` would need it to be a folder")]
    Nested {
        /// The file.
        folder: String,
        /// The path below it.
        below: String,
    },
    /// One path comes twice.
    #[error("the path `{path}` comes twice")]
    Repeated {
        /// The path.
        path: String,
    },
    /// A file's chunks are said to be in a pack that there is not.
    #[error("the chunks of `{}` are in no pack", path.escape_default())]
    Run {
        /// The file.
        path: String,
    },
    /// A file's size is greater than JSON holds exactly.
    #[error("the size of `{}` is greater than 2^53 - 1", path.escape_default())]
    Size {
        /// The file.
        path: String,
    },
    /// The bytes end in the middle of something.
    #[error("the encoded facts end too early")]
    Truncated,
    /// A path comes after one that sorts behind it.
    #[error("the path `{}` is out of order", path.escape_default())]
    Unsorted {
        /// The path.
        path: String,
    },
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::bundle::tree::tests::any_tree;
    use crate::file::synced;
    use crate::pack::table::TableRef;

    #[test]
    fn the_layout_is_fixed() {
        let path = "a/b".parse().unwrap();
        let file = File { path, digest: Digest::of(b""), size: 0x0102, executable: Some(true) };
        let mut expected = b"\x03\0\0\0a/b".to_vec();
        expected.extend_from_slice(Digest::of(b"").as_bytes());
        expected.extend_from_slice(b"\x02\x01\0\0\0\0\0\0\x01");
        assert_eq!(encode([&file]), expected);
    }

    #[test]
    fn refuses_a_file_that_is_a_folder() {
        let files = |paths: &[&str]| {
            let file = |path: &&str| File {
                path: path.parse().unwrap(),
                digest: Digest::EMPTY,
                size: 0,
                executable: None,
            };
            encode(&paths.iter().map(file).collect::<Vec<_>>())
        };
        for (paths, is_nested) in [
            (&["a", "a-b", "a/b"][..], true),
            (&["a/b", "a-b", "a"], true),
            (&["a", "a-b", "a-b/c", "b"], true),
            (&["a", "ab/c", "b"], false),
            (&["a-b/c", "a/b", "a/bc"], false),
        ] {
            let refused = decode_files(&files(paths));
            assert_eq!(matches!(refused, Err(WireError::Nested { .. })), is_nested, "{paths:?}");
        }
    }

    #[test]
    fn bytes_that_are_no_facts_are_refused() {
        let digest = [7; 32];
        let file = |path: &[u8], rest: &[u8]| {
            let length = (path.len() as u32).to_le_bytes();
            decode::<File>(&[&length, path, &digest, rest].concat()).unwrap_err()
        };
        let plain = [0; 9];
        assert_eq!(
            file(b"../x", &plain),
            WireError::Path { text: "../x".to_owned(), fault: PathFault::DotDotPart }
        );
        assert_eq!(file(b"\xff", &plain), WireError::NotUtf8);
        assert_eq!(file(b"a", &[0, 0, 0, 0, 0, 0, 0, 0, 9]), WireError::Code);
        assert_eq!(file(b"a", &[0, 0, 0, 0, 0, 0, 0, 0, 3]), WireError::Code);
        assert!(matches!(file(b"a", &[0xff; 9]), WireError::Size { .. }));
        assert_eq!(file(b"a", &[0; 8]), WireError::Truncated);
        assert_eq!(decode::<BundlePath>(b"\xff\xff\xff\xffa").unwrap_err(), WireError::Truncated);
        let twice = encode(["a", "a"].map(|path| path.parse::<BundlePath>().unwrap()).iter());
        assert!(matches!(decode_by_path::<BundlePath>(&twice), Err(WireError::Repeated { .. })));
    }

    proptest! {
        #[test]
        fn comes_back_as_it_was(tree in any_tree()) {
            prop_assert_eq!(decode_by_path(&encode(&tree)), Ok(tree.clone()));
            let base = synced(&tree);
            prop_assert_eq!(decode_by_path(&encode(&base)), Ok(base));
        }

        #[test]
        fn placed_files_come_back(tree in any_tree()) {
            let toc = TableRef { offset: 1, size: 1, digest: Digest::EMPTY };
            let pack = Pack { digest: Digest::EMPTY, size: 2, chunks: 1, raw: 1, toc };
            let mut chunk_map = ChunkMap::new(vec![pack]);
            for at in 0..tree.len() as u32 {
                let run = |first| Run { pack: 0, first, count: at };
                chunk_map.push(&(0..at % 3).map(run).collect::<Vec<_>>());
            }
            let bytes = encode_chunked(chunk_map.of_files(&tree).unwrap().into_iter());
            prop_assert_eq!(decode_chunked(&bytes, chunk_map.packs.clone()), Ok((tree, chunk_map)));
        }

        #[test]
        fn any_bytes_are_taken_or_refused(bytes: Vec<u8>) {
            let _ = decode_chunked(&bytes, Vec::new());
            let _ = decode::<File>(&bytes);
            let _ = decode::<SyncedFile>(&bytes);
        }
    }
}

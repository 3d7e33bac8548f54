//! Facts as flat bytes: how a host hands many of them to the component at once.
//!
//! A list of a hundred thousand records costs several allocations for each when it crosses into a component; one
//! block of bytes costs one copy. The layouts are part of the contract (`wit/bulk.wit`); numbers are little-endian.

use thiserror::Error;

use crate::descriptor::MAX_SAFE_INTEGER;
use crate::digest::Digest;
use crate::pack::{Pack, Run};
use crate::path::{BundlePath, PathFault};
use crate::placement::Placement;
use crate::snapshot::{ByPath, File, HasPath, SyncedFile};

/// Something that has a packed form.
pub trait Packed: Sized {
    /// The fewest bytes that one takes.
    const LEAST_BYTES: usize;

    /// Appends it to `bytes`.
    fn pack(&self, bytes: &mut Vec<u8>);

    /// Takes it from the front of `bytes`.
    fn unpack(bytes: &mut &[u8]) -> Result<Self, PackedError>;
}

/// Packs a list, one after the other.
pub fn pack<'a, T: Packed + 'a>(items: impl IntoIterator<Item = &'a T>) -> Vec<u8> {
    let items = items.into_iter();
    // Room for what most items take, so that the bytes move seldom.
    let mut bytes = Vec::with_capacity(items.size_hint().0 * 80);
    for item in items {
        item.pack(&mut bytes);
    }
    bytes
}

/// Unpacks a list up to its end.
pub fn unpack<T: Packed>(mut bytes: &[u8]) -> Result<Vec<T>, PackedError> {
    // More than there are, and none of it is touched in vain.
    let mut items = Vec::with_capacity(bytes.len() / T::LEAST_BYTES);
    while !bytes.is_empty() {
        items.push(T::unpack(&mut bytes)?);
    }
    Ok(items)
}

/// Unpacks a list of facts by path.
pub fn unpack_by_path<T: Packed + HasPath>(bytes: &[u8]) -> Result<ByPath<T>, PackedError> {
    ByPath::new(unpack(bytes)?).map_err(|repeated| PackedError::Repeated { path: repeated.path.into() })
}

/// Path: its length as a u32, its UTF-8.
impl Packed for BundlePath {
    const LEAST_BYTES: usize = 4;

    fn pack(&self, bytes: &mut Vec<u8>) {
        let text = self.as_str().as_bytes();
        // A path has at most 4,096 bytes.
        bytes.extend_from_slice(&(text.len() as u32).to_le_bytes());
        bytes.extend_from_slice(text);
    }

    fn unpack(bytes: &mut &[u8]) -> Result<Self, PackedError> {
        let text = std::str::from_utf8(take_bytes(bytes)?).map_err(|_| PackedError::NotUtf8)?;
        text.parse().map_err(|fault| PackedError::Path { text: text.to_owned(), fault })
    }
}

/// File: its path, the 32 bytes of its digest, its size as a u64, its mode.
impl Packed for File {
    const LEAST_BYTES: usize = BundlePath::LEAST_BYTES + 32 + 8 + 1;

    fn pack(&self, bytes: &mut Vec<u8>) {
        self.path.pack(bytes);
        bytes.extend_from_slice(self.digest.as_bytes());
        bytes.extend_from_slice(&self.size.to_le_bytes());
        pack_mode(self.executable, bytes);
    }

    fn unpack(bytes: &mut &[u8]) -> Result<Self, PackedError> {
        let path = BundlePath::unpack(bytes)?;
        let digest = Digest::from_sha256(take_array(bytes)?);
        let size = u64::from_le_bytes(take_array(bytes)?);
        check_size(size, path.as_str().as_bytes())?;
        Ok(Self { path, digest, size, executable: unpack_mode(bytes)? })
    }
}

/// Synced file: its path, the 32 bytes of its digest, its mode.
impl Packed for SyncedFile {
    const LEAST_BYTES: usize = BundlePath::LEAST_BYTES + 32 + 1;

    fn pack(&self, bytes: &mut Vec<u8>) {
        self.path.pack(bytes);
        bytes.extend_from_slice(self.digest.as_bytes());
        pack_mode(self.executable, bytes);
    }

    fn unpack(bytes: &mut &[u8]) -> Result<Self, PackedError> {
        let path = BundlePath::unpack(bytes)?;
        let digest = Digest::from_sha256(take_array(bytes)?);
        Ok(Self { path, digest, executable: unpack_mode(bytes)? })
    }
}

/// A mode is one byte: 0 for a plain file, 1 for an executable one, 2 where it is unknown.
fn pack_mode(executable: Option<bool>, bytes: &mut Vec<u8>) {
    bytes.push(executable.map_or(2, u8::from));
}

fn unpack_mode(bytes: &mut &[u8]) -> Result<Option<bool>, PackedError> {
    match take_array(bytes)? {
        [0] => Ok(Some(false)),
        [1] => Ok(Some(true)),
        [2] => Ok(None),
        _ => Err(PackedError::Code),
    }
}

/// Packs files with their chunks: each file, the number of its runs, and of each run its pack, first chunk and count;
/// all of those are u32.
pub fn pack_placed<'a>(files: impl ExactSizeIterator<Item = (&'a File, &'a [Run])>) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(files.len() * 96);
    for (file, runs) in files {
        file.pack(&mut bytes);
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

/// Unpacks files with their chunks, which lie in `packs`.
pub fn unpack_placed(mut bytes: &[u8], packs: Vec<Pack>) -> Result<(ByPath<File>, Placement), PackedError> {
    let (mut files, mut placement, mut runs) = (Vec::new(), Placement::new(packs), Vec::new());
    while !bytes.is_empty() {
        let file = File::unpack(&mut bytes)?;
        // What comes sorted stays as it is, so that the runs stay beside their files.
        if files.last().is_some_and(|last: &File| last.path >= file.path) {
            return Err(PackedError::Unsorted { path: file.path.into() });
        }
        runs.clear();
        for _ in 0..u32::from_le_bytes(take_array(&mut bytes)?) {
            let [pack, first, count] = [
                u32::from_le_bytes(take_array(&mut bytes)?),
                u32::from_le_bytes(take_array(&mut bytes)?),
                u32::from_le_bytes(take_array(&mut bytes)?),
            ];
            if pack as usize >= placement.packs.len() {
                return Err(PackedError::Run { path: file.path.into() });
            }
            runs.push(Run { pack, first, count });
        }
        placement.push(&runs);
        files.push(file);
    }
    let files =
        ByPath::new(files).map_err(|repeated| PackedError::Repeated { path: repeated.path.into() })?;
    Ok((files, placement))
}

/// Unpacks files, of which none is the folder of another.
pub fn unpack_files(bytes: &[u8]) -> Result<ByPath<File>, PackedError> {
    let files: ByPath<File> = unpack_by_path(bytes)?;
    if let Some((folder, below)) = files.nested().next() {
        return Err(PackedError::Nested { folder: folder.to_string(), below: below.to_string() });
    }
    Ok(files)
}

fn take_bytes<'a>(bytes: &mut &'a [u8]) -> Result<&'a [u8], PackedError> {
    let length = u32::from_le_bytes(take_array(bytes)?) as usize;
    let (text, rest) = bytes.split_at_checked(length).ok_or(PackedError::Truncated)?;
    *bytes = rest;
    Ok(text)
}

fn check_size(size: u64, path: &[u8]) -> Result<(), PackedError> {
    if size <= MAX_SAFE_INTEGER {
        return Ok(());
    }
    Err(PackedError::Size { path: String::from_utf8_lossy(path).into_owned() })
}

fn take_array<const N: usize>(bytes: &mut &[u8]) -> Result<[u8; N], PackedError> {
    let (array, rest) = bytes.split_first_chunk().ok_or(PackedError::Truncated)?;
    *bytes = rest;
    Ok(*array)
}

/// Why bytes are no packed facts.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum PackedError {
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
    #[error("the packed facts end too early")]
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
    use crate::pack::TableRef;
    use crate::snapshot::synced;
    use crate::tree::tests::any_tree;

    #[test]
    fn the_layout_is_fixed() {
        let path = "a/b".parse().unwrap();
        let file = File { path, digest: Digest::of(b""), size: 0x0102, executable: Some(true) };
        let mut expected = b"\x03\0\0\0a/b".to_vec();
        expected.extend_from_slice(Digest::of(b"").as_bytes());
        expected.extend_from_slice(b"\x02\x01\0\0\0\0\0\0\x01");
        assert_eq!(pack([&file]), expected);
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
            pack(&paths.iter().map(file).collect::<Vec<_>>())
        };
        for (paths, is_nested) in [
            (&["a", "a-b", "a/b"][..], true),
            (&["a/b", "a-b", "a"], true),
            (&["a", "a-b", "a-b/c", "b"], true),
            (&["a", "ab/c", "b"], false),
            (&["a-b/c", "a/b", "a/bc"], false),
        ] {
            let refused = unpack_files(&files(paths));
            assert_eq!(matches!(refused, Err(PackedError::Nested { .. })), is_nested, "{paths:?}");
        }
    }

    #[test]
    fn refuses_what_is_none() {
        let digest = [7; 32];
        let file = |path: &[u8], rest: &[u8]| {
            let length = (path.len() as u32).to_le_bytes();
            unpack::<File>(&[&length, path, &digest, rest].concat()).unwrap_err()
        };
        let plain = [0; 9];
        assert_eq!(
            file(b"../x", &plain),
            PackedError::Path { text: "../x".to_owned(), fault: PathFault::DotDotPart }
        );
        assert_eq!(file(b"\xff", &plain), PackedError::NotUtf8);
        assert_eq!(file(b"a", &[0, 0, 0, 0, 0, 0, 0, 0, 9]), PackedError::Code);
        assert_eq!(file(b"a", &[0, 0, 0, 0, 0, 0, 0, 0, 3]), PackedError::Code);
        assert!(matches!(file(b"a", &[0xff; 9]), PackedError::Size { .. }));
        assert_eq!(file(b"a", &[0; 8]), PackedError::Truncated);
        assert_eq!(unpack::<BundlePath>(b"\xff\xff\xff\xffa").unwrap_err(), PackedError::Truncated);
        let twice = pack(["a", "a"].map(|path| path.parse::<BundlePath>().unwrap()).iter());
        assert!(matches!(unpack_by_path::<BundlePath>(&twice), Err(PackedError::Repeated { .. })));
    }

    proptest! {
        #[test]
        fn comes_back_as_it_was(tree in any_tree()) {
            prop_assert_eq!(unpack_by_path(&pack(&tree)), Ok(tree.clone()));
            let base = synced(&tree);
            prop_assert_eq!(unpack_by_path(&pack(&base)), Ok(base));
        }

        #[test]
        fn placed_files_come_back(tree in any_tree()) {
            let toc = TableRef { offset: 1, size: 1, digest: Digest::EMPTY };
            let pack = Pack { digest: Digest::EMPTY, size: 2, chunks: 1, raw: 1, toc };
            let mut placement = Placement::new(vec![pack]);
            for at in 0..tree.len() as u32 {
                let run = |first| Run { pack: 0, first, count: at };
                placement.push(&(0..at % 3).map(run).collect::<Vec<_>>());
            }
            let bytes = pack_placed(placement.of_files(&tree).unwrap().into_iter());
            prop_assert_eq!(unpack_placed(&bytes, placement.packs.clone()), Ok((tree, placement)));
        }

        #[test]
        fn any_bytes_are_taken_or_refused(bytes: Vec<u8>) {
            let _ = unpack_placed(&bytes, Vec::new());
            let _ = unpack::<File>(&bytes);
            let _ = unpack::<SyncedFile>(&bytes);
        }
    }
}

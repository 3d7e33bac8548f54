//! Facts as flat bytes: how a host hands many of them to the component at once.
//!
//! A list of a hundred thousand records costs several allocations for each when it crosses into a component; one
//! block of bytes costs one copy. The layouts are part of the contract (`wit/bulk.wit`); numbers are little-endian.

use std::cmp::Ordering;

use thiserror::Error;

use crate::descriptor::MAX_SAFE_INTEGER;
use crate::diff::{Change, Content, Last, PathChange, Sides, Standing, classify, diff};
use crate::digest::Digest;
use crate::path::{self, BundlePath, PathFault};
use crate::snapshot::{ByPath, File, HasPath, SyncedFile};

/// Something that has a packed form.
pub trait Packed: Sized {
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
    let mut items = Vec::new();
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
    fn pack(&self, bytes: &mut Vec<u8>) {
        pack_text(self.as_str(), bytes);
    }

    fn unpack(bytes: &mut &[u8]) -> Result<Self, PackedError> {
        let text = std::str::from_utf8(take_bytes(bytes)?).map_err(|_| PackedError::NotUtf8)?;
        text.parse().map_err(|fault| PackedError::Path { text: text.to_owned(), fault })
    }
}

/// File: its path, the 32 bytes of its digest, its size as a u64, its mode.
impl Packed for File {
    fn pack(&self, bytes: &mut Vec<u8>) {
        self.path.pack(bytes);
        bytes.extend_from_slice(self.digest.as_bytes());
        bytes.extend_from_slice(&self.size.to_le_bytes());
        pack_mode(Some(self.executable), bytes);
    }

    fn unpack(bytes: &mut &[u8]) -> Result<Self, PackedError> {
        let path = BundlePath::unpack(bytes)?;
        let digest = Digest::from_sha256(take_array(bytes)?);
        let size = u64::from_le_bytes(take_array(bytes)?);
        check_size(size, path.as_str().as_bytes())?;
        let executable = unpack_mode(bytes)?.ok_or(PackedError::Code)?;
        Ok(Self { path, digest, size, executable })
    }
}

/// Synced file: its path, the 32 bytes of its digest, its mode.
impl Packed for SyncedFile {
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

/// Change of a path: the path, the change's place in [`Change::ALL`] as one byte.
impl Packed for PathChange {
    fn pack(&self, bytes: &mut Vec<u8>) {
        self.path.pack(bytes);
        bytes.push(self.change as u8);
    }

    fn unpack(bytes: &mut &[u8]) -> Result<Self, PackedError> {
        let path = BundlePath::unpack(bytes)?;
        let [code] = take_array(bytes)?;
        let change = *Change::ALL.get(usize::from(code)).ok_or(PackedError::Code)?;
        Ok(Self { path, change })
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

/// Compares packed sides; the answer is that of [`diff`] on the same facts, packed.
///
/// Sorted sides are compared where they lie, without a copy: inside a component, where each allocation counts, that is
/// several times as fast as unpacking four lists first.
pub fn diff_packed(local: &[u8], remote: &[u8], base: &[u8], tracked: &[u8]) -> Result<Vec<u8>, PackedError> {
    if let Some(changes) = diff_sorted(local, remote, base, tracked)? {
        return Ok(changes);
    }
    let (local, remote) = (unpack_files(local)?, unpack_files(remote)?);
    let (base, tracked) = (unpack_by_path(base)?, unpack_by_path(tracked)?);
    Ok(pack(&diff(Sides { local: &local, remote: &remote, base: &base, tracked: &tracked })))
}

/// Unpacks files, of which none is the folder of another.
pub fn unpack_files(bytes: &[u8]) -> Result<ByPath<File>, PackedError> {
    let files: ByPath<File> = unpack_by_path(bytes)?;
    if let Some((folder, below)) = files.nested().next() {
        return Err(PackedError::Nested { folder: folder.to_string(), below: below.to_string() });
    }
    Ok(files)
}

/// Compares packed sides in one pass; nothing where a side turns out not to be sorted.
fn diff_sorted(
    local: &[u8],
    remote: &[u8],
    base: &[u8],
    tracked: &[u8],
) -> Result<Option<Vec<u8>>, PackedError> {
    let mut changes = Vec::with_capacity(local.len().max(remote.len()));
    let (mut local, mut remote) = (Cursor::start(local, Shape::File)?, Cursor::start(remote, Shape::File)?);
    let (mut base, mut tracked) = (Cursor::start(base, Shape::Synced)?, Cursor::start(tracked, Shape::Path)?);
    let (mut local_folders, mut remote_folders) = (Folders::default(), Folders::default());
    let mut previous: &[u8] = b"";
    while let Some(path) = next_path([&local, &remote, &base, &tracked]) {
        // Out of order, or twice: either shows in what comes next, whichever side it is of.
        if order(previous, path).is_ge() {
            return Ok(None);
        }
        previous = path;
        let text = std::str::from_utf8(path).map_err(|_| PackedError::NotUtf8)?;
        path::check(text).map_err(|fault| PackedError::Path { text: text.to_owned(), fault })?;
        let (local, remote) = (local.take(path)?, remote.take(path)?);
        let (base, tracked) = (base.take(path)?, tracked.take(path)?);
        if local.is_some() {
            local_folders.refuse_file_as_folder(text)?;
        }
        if remote.is_some() {
            remote_folders.refuse_file_as_folder(text)?;
        }
        let content = |record: Record<'_>| Content {
            digest: record.digest,
            executable: record.executable == Some(true),
        };
        let last = base.map(|base| Last { digest: base.digest, executable: base.executable });
        let standing = if tracked.is_some() { Standing::Tracked } else { Standing::Untracked };
        if let Some(change) = classify(local.map(content), remote.map(content), last, standing) {
            pack_text(text, &mut changes);
            changes.push(change as u8);
        }
    }
    Ok(Some(changes))
}

/// One item of a packed list, still in its bytes; its path is not checked yet.
#[derive(Clone, Copy)]
struct Record<'a> {
    path: &'a [u8],
    digest: Digest,
    executable: Option<bool>,
}

/// What the items of a packed list are.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Shape {
    File,
    Synced,
    Path,
}

/// Goes through a packed list.
struct Cursor<'a> {
    first: Option<Record<'a>>,
    rest: &'a [u8],
    shape: Shape,
}

impl<'a> Cursor<'a> {
    fn start(bytes: &'a [u8], shape: Shape) -> Result<Self, PackedError> {
        let mut cursor = Self { first: None, rest: bytes, shape };
        cursor.advance()?;
        Ok(cursor)
    }

    fn advance(&mut self) -> Result<(), PackedError> {
        self.first = None;
        if self.rest.is_empty() {
            return Ok(());
        }
        let bytes = &mut self.rest;
        let mut record = Record { path: take_bytes(bytes)?, digest: Digest::EMPTY, executable: None };
        if self.shape != Shape::Path {
            record.digest = Digest::from_sha256(take_array(bytes)?);
        }
        if self.shape == Shape::File {
            check_size(u64::from_le_bytes(take_array(bytes)?), record.path)?;
        }
        if self.shape != Shape::Path {
            record.executable = unpack_mode(bytes)?;
        }
        if self.shape == Shape::File && record.executable.is_none() {
            return Err(PackedError::Code);
        }
        self.first = Some(record);
        Ok(())
    }

    fn take(&mut self, path: &[u8]) -> Result<Option<Record<'a>>, PackedError> {
        let taken = self.first.filter(|record| is_same(record.path, path));
        if taken.is_some() {
            self.advance()?;
        }
        Ok(taken)
    }
}

/// The first path that any side still has. Mostly all of them have the same, and that takes no ordering to see.
fn next_path<'a>(sides: [&Cursor<'a>; 4]) -> Option<&'a [u8]> {
    let mut firsts = sides.into_iter().filter_map(|side| side.first).map(|record| record.path);
    let mut path = firsts.next()?;
    for other in firsts {
        if !is_same(path, other) && order(other, path).is_lt() {
            path = other;
        }
    }
    Some(path)
}

/// The paths of a sorted list that later ones may still lie below: each starts with the one before.
#[derive(Default)]
struct Folders<'a>(Vec<&'a str>);

impl<'a> Folders<'a> {
    /// Takes the next path; refuses one that lies below another.
    fn refuse_file_as_folder(&mut self, path: &'a str) -> Result<(), PackedError> {
        // In a sorted list, paths that start alike stand together: what this one does not start with is done with.
        while self.0.pop_if(|folder| !path.starts_with(*folder)).is_some() {}
        if let Some(folder) = self.0.iter().find(|folder| path[folder.len()..].starts_with('/')) {
            return Err(PackedError::Nested { folder: (*folder).to_owned(), below: path.to_owned() });
        }
        self.0.push(path);
        Ok(())
    }
}

/// Whether two paths are equal, eight bytes at a time: the comparison that WASM code gets from its compiler goes byte
/// by byte.
fn is_same(a: &[u8], b: &[u8]) -> bool {
    a.len() == b.len() && order(a, b).is_eq()
}

/// How two paths are ordered by their bytes; see [`is_same`].
fn order(a: &[u8], b: &[u8]) -> Ordering {
    let ((a_words, a_rest), (b_words, b_rest)) = (a.as_chunks::<8>(), b.as_chunks::<8>());
    let words = a_words.iter().zip(b_words).map(|(a, b)| u64::from_be_bytes(*a).cmp(&u64::from_be_bytes(*b)));
    if let Some(unequal) = words.into_iter().find(|order| order.is_ne()) {
        return unequal;
    }
    if a_words.len() == b_words.len() {
        return a_rest.cmp(b_rest);
    }
    let common = 8 * a_words.len().min(b_words.len());
    a[common..].cmp(&b[common..])
}

fn pack_text(path: &str, bytes: &mut Vec<u8>) {
    // A path has at most 4,096 bytes.
    bytes.extend_from_slice(&(path.len() as u32).to_le_bytes());
    bytes.extend_from_slice(path.as_bytes());
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
    /// A byte that stands for one of a few things stands for none of them.
    #[error("a mode or a change has a number that means nothing")]
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
    /// A file's size is greater than JSON holds exactly.
    #[error("the size of `{}` is greater than 2^53 - 1", path.escape_default())]
    Size {
        /// The file.
        path: String,
    },
    /// The bytes end in the middle of something.
    #[error("the packed facts end too early")]
    Truncated,
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::diff::tests::{paths, synced};
    use crate::tree::tests::any_tree;

    #[test]
    fn the_layout_is_fixed() {
        let path: BundlePath = "a/b".parse().unwrap();
        let file = File { path: path.clone(), digest: Digest::of(b""), size: 0x0102, executable: true };
        let mut expected = b"\x03\0\0\0a/b".to_vec();
        expected.extend_from_slice(Digest::of(b"").as_bytes());
        expected.extend_from_slice(b"\x02\x01\0\0\0\0\0\0\x01");
        assert_eq!(pack([&file]), expected);
        for (change, code) in Change::ALL.into_iter().zip(0u8..) {
            assert_eq!(
                pack([&PathChange { path: path.clone(), change }]),
                [b"\x03\0\0\0a/b", &[code][..]].concat()
            );
        }
    }

    #[test]
    fn refuses_a_file_that_is_a_folder() {
        let files = |paths: &[&str]| {
            let file = |path: &&str| File {
                path: path.parse().unwrap(),
                digest: Digest::EMPTY,
                size: 0,
                executable: false,
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
            let refused = diff_packed(&files(paths), &[], &[], &[]);
            assert_eq!(matches!(refused, Err(PackedError::Nested { .. })), is_nested, "{paths:?}");
            assert_eq!(diff_packed(&[], &files(paths), &[], &[]).is_err(), is_nested);
        }
        assert!(diff_packed(&files(&["a"]), &files(&["a/b"]), &[], &[]).is_ok());
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
        assert_eq!(file(b"a", &[0, 0, 0, 0, 0, 0, 0, 0, 2]), PackedError::Code);
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
        fn orders_as_texts_are(a in "[ab]{0,20}", b in "[ab]{0,20}", common in "[ab/]{0,20}") {
            let (a, b) = (format!("{common}{a}"), format!("{common}{b}"));
            prop_assert_eq!(order(a.as_bytes(), b.as_bytes()), a.cmp(&b));
            prop_assert_eq!(is_same(a.as_bytes(), b.as_bytes()), a == b);
        }

        #[test]
        fn compares_as_the_unpacked(local in any_tree(), remote in any_tree(), base in any_tree(), rotate: usize) {
            let (last, tracked) = (synced(&base), paths(&base));
            let sides = Sides { local: &local, remote: &remote, base: &last, tracked: &tracked };
            // In whatever order the facts come.
            let mut shuffled = local.to_vec();
            shuffled.rotate_left(rotate.checked_rem(local.len()).unwrap_or_default());
            let changes = diff_packed(&pack(&shuffled), &pack(&remote), &pack(&last), &pack(&tracked));
            prop_assert_eq!(changes, Ok(pack(&diff(sides))));
        }

        #[test]
        fn any_bytes_are_taken_or_refused(bytes: Vec<u8>) {
            let _ = unpack::<File>(&bytes);
            let _ = unpack::<SyncedFile>(&bytes);
            let _ = unpack::<PathChange>(&bytes);
            let _ = diff_packed(&bytes, &[], &bytes, &bytes);
        }
    }
}

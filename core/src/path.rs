//! Paths inside a bundle: relative, POSIX, validated once, never those of an operating system.
//!
//! A host turns one into a path on disk in a single place of its own; nothing here knows about disks.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// The longest path that a bundle may hold, in bytes of UTF-8.
pub const MAX_PATH_BYTES: usize = 4096;

/// The longest single part of a path, in bytes of UTF-8: what common file systems hold.
pub const MAX_PART_BYTES: usize = 255;

/// Folders at the top of a project that no bundle reaches into.
pub const RESERVED_FOLDERS: [&str; 2] = [".modelops-bundle", ".git"];

/// The one file in [`RESERVED_FOLDERS`] that a bundle may hold: the Python tool's list of registered models.
///
/// It travels with the bundle and is data to us: nothing in it is taken for a setting.
pub const MODEL_REGISTRY: &str = ".modelops-bundle/registry.yaml";

/// A path that a bundle may hold.
///
/// Relative, parts separated by `/`; no part is empty, `.` or `..`; no backslash, no drive letter, no control
/// character; at most [`MAX_PATH_BYTES`]; outside [`RESERVED_FOLDERS`], but for [`MODEL_REGISTRY`]. Ordered by its bytes, the order in which
/// an index, a diff and a tree digest go through files. A copy shares the text: a project of many files holds each path
/// in several lists.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct BundlePath(Arc<str>);

impl BundlePath {
    /// The path as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The parts between the slashes, first to last.
    pub fn parts(&self) -> impl DoubleEndedIterator<Item = &str> {
        self.0.split('/')
    }

    /// The folders that the path lies in, outermost first: `a/b/c` lies in `a` and `a/b`.
    pub fn folders(&self) -> impl Iterator<Item = &str> {
        self.0.match_indices('/').map(|(at, _)| &self.0[..at])
    }

    /// Whether this path lies somewhere below the folder `folder`.
    pub fn is_below(&self, folder: &str) -> bool {
        self.0.strip_prefix(folder).is_some_and(|rest| rest.starts_with('/'))
    }
}

impl FromStr for BundlePath {
    type Err = PathFault;

    fn from_str(text: &str) -> Result<Self, PathFault> {
        check(text)?;
        Ok(Self(text.into()))
    }
}

impl TryFrom<String> for BundlePath {
    type Error = PathFault;

    fn try_from(text: String) -> Result<Self, PathFault> {
        check(&text)?;
        Ok(Self(text.into()))
    }
}

impl From<BundlePath> for String {
    fn from(path: BundlePath) -> Self {
        path.0.as_ref().to_owned()
    }
}

impl fmt::Display for BundlePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl fmt::Debug for BundlePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl AsRef<str> for BundlePath {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl std::borrow::Borrow<str> for BundlePath {
    fn borrow(&self) -> &str {
        &self.0
    }
}

/// Which rule of [`BundlePath`] a text breaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum PathFault {
    /// It starts with a slash.
    #[error("it is absolute")]
    Absolute,
    /// It holds a backslash, which some systems take for a separator.
    #[error("it holds a backslash")]
    Backslash,
    /// It holds a control character, or one that reorders text on a screen.
    #[error("it holds a control character")]
    ControlCharacter,
    /// A part is `.`.
    #[error("a part of it is `.`")]
    DotPart,
    /// A part is `..`.
    #[error("a part of it is `..`")]
    DotDotPart,
    /// It starts with a drive letter.
    #[error("it starts with a drive letter")]
    Drive,
    /// It is empty.
    #[error("it is empty")]
    Empty,
    /// It holds `//` or ends with a slash.
    #[error("a part of it is empty")]
    EmptyPart,
    /// One part is longer than [`MAX_PART_BYTES`].
    #[error("a part of it is longer than {MAX_PART_BYTES} bytes")]
    PartTooLong,
    /// It lies in one of [`RESERVED_FOLDERS`], and is not [`MODEL_REGISTRY`].
    #[error("it lies in a folder that bundles keep out of (`.modelops-bundle`, `.git`)")]
    Reserved,
    /// It is longer than [`MAX_PATH_BYTES`].
    #[error("it is longer than {MAX_PATH_BYTES} bytes")]
    TooLong,
}

/// Refuses what no [`BundlePath`] may be.
pub(crate) fn check(text: &str) -> Result<(), PathFault> {
    if is_plain(text) { Ok(()) } else { check_closely(text) }
}

/// Whether a path is so plain that one look at each byte shows that it breaks no rule.
///
/// An index holds many thousands of paths, and nearly all of them are: short, of ASCII letters, digits and a few
/// signs, no part starting with a dot.
fn is_plain(text: &str) -> bool {
    let mut is_start = true;
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z'
            | b'A'..=b'Z'
            | b'0'..=b'9'
            | b'_'
            | b'-'
            | b'+'
            | b' '
            | b'='
            | b','
            | b'('
            | b')'
            | b'@' => {
                is_start = false;
            }
            b'.' if !is_start => {}
            b'/' if !is_start => is_start = true,
            _ => return false,
        }
    }
    !is_start && text.len() <= MAX_PART_BYTES
}

fn check_closely(text: &str) -> Result<(), PathFault> {
    if text.is_empty() {
        return Err(PathFault::Empty);
    }
    if text.len() > MAX_PATH_BYTES {
        return Err(PathFault::TooLong);
    }
    if text.starts_with('/') {
        return Err(PathFault::Absolute);
    }
    if text.contains('\\') {
        return Err(PathFault::Backslash);
    }
    if text.chars().any(is_control) {
        return Err(PathFault::ControlCharacter);
    }
    if let [letter, b':', ..] = text.as_bytes()
        && letter.is_ascii_alphabetic()
    {
        return Err(PathFault::Drive);
    }
    for part in text.split('/') {
        match part {
            "" => return Err(PathFault::EmptyPart),
            "." => return Err(PathFault::DotPart),
            ".." => return Err(PathFault::DotDotPart),
            _ if part.len() > MAX_PART_BYTES => return Err(PathFault::PartTooLong),
            _ => {}
        }
    }
    // Folded, because on some file systems `.GIT` is `.git` (the lesson of CVE-2014-9390).
    let top = text.split('/').next().unwrap_or_default();
    if RESERVED_FOLDERS.iter().any(|reserved| top.eq_ignore_ascii_case(reserved)) && text != MODEL_REGISTRY {
        return Err(PathFault::Reserved);
    }
    Ok(())
}

/// Control characters, and the directional ones that make a name look like another (Unicode UAX #9).
fn is_control(c: char) -> bool {
    c.is_control() || matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_ordinary_paths() {
        for text in [
            "a",
            "src/model.py",
            "données/été.csv",
            ".gitignore",
            "a b/c",
            "x/.git/config",
            "…",
            MODEL_REGISTRY,
        ] {
            assert_eq!(text.parse::<BundlePath>().unwrap().as_str(), text);
        }
    }

    #[test]
    fn refuses_hostile_paths() {
        let deep = vec!["a"; 10_000].join("/");
        let long = "n".repeat(300);
        for (text, fault) in [
            ("", PathFault::Empty),
            ("../x", PathFault::DotDotPart),
            ("a/../../x", PathFault::DotDotPart),
            ("/abs", PathFault::Absolute),
            ("//x", PathFault::Absolute),
            (".", PathFault::DotPart),
            ("a/./b", PathFault::DotPart),
            ("a/", PathFault::EmptyPart),
            ("a//b", PathFault::EmptyPart),
            ("\\..\\x", PathFault::Backslash),
            ("\\\\host\\share", PathFault::Backslash),
            ("C:x", PathFault::Drive),
            ("C:../x", PathFault::Drive),
            ("nul\0byte", PathFault::ControlCharacter),
            ("new\nline", PathFault::ControlCharacter),
            ("esc\u{1b}[31m", PathFault::ControlCharacter),
            ("moc\u{202e}exe.txt", PathFault::ControlCharacter),
            (".git/config", PathFault::Reserved),
            (".GIT/config", PathFault::Reserved),
            (".git", PathFault::Reserved),
            (".modelops-bundle/state.json", PathFault::Reserved),
            (".modelops-bundle/Registry.yaml", PathFault::Reserved),
            (".Modelops-Bundle/registry.yaml", PathFault::Reserved),
            (".modelops-bundle/registry.yaml/x", PathFault::Reserved),
            (".modelops-bundle/models/registry.yaml", PathFault::Reserved),
            (&deep, PathFault::TooLong),
            (&long, PathFault::PartTooLong),
        ] {
            assert_eq!(text.parse::<BundlePath>(), Err(fault), "{text:?}");
        }
    }

    #[test]
    fn a_plain_path_breaks_no_rule() {
        let texts = [
            "a",
            "a/b.c",
            "a/.b",
            ".a",
            "a.",
            "a//b",
            "/a",
            "a/",
            "",
            "C:x",
            "a b/c-d_e",
            "ü",
            &"x".repeat(256),
        ];
        assert!(is_plain("src/model-2.py") && is_plain("a b/c,d"));
        for text in texts.into_iter().filter(|text| is_plain(text)) {
            assert_eq!(check_closely(text), Ok(()), "{text}");
        }
    }

    proptest::proptest! {
        #[test]
        fn looking_closely_finds_nothing_against_a_plain_path(text in "[a-cA-C.:/ \\\\]{0,12}") {
            proptest::prop_assert!(!is_plain(&text) || check_closely(&text).is_ok());
        }
    }

    #[test]
    fn knows_its_folders() {
        let path: BundlePath = "a/b/c".parse().unwrap();
        assert_eq!(path.folders().collect::<Vec<_>>(), ["a", "a/b"]);
        assert!(path.is_below("a/b") && !path.is_below("a/b/c") && !path.is_below("a/"));
    }
}

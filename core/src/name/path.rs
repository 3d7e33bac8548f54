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
/// Relative, parts separated by `/`; no part is empty, `.`, `..` or invisible; no backslash, no drive letter, no control
/// character; at most [`MAX_PATH_BYTES`]; outside [`RESERVED_FOLDERS`] and of what some file system takes for them, but
/// for [`MODEL_REGISTRY`]. Ordered by its bytes, the order in which an index, a diff and a tree digest go through files.
/// A copy shares the text: a project of many files holds each path in several lists.
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
    /// It holds a control character, or one that ends a line or reorders text on a screen.
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
    /// A part has nothing that can be seen, and is more than blanks.
    #[error("a part of it has no visible character")]
    Invisible,
    /// One part is longer than [`MAX_PART_BYTES`].
    #[error("a part of it is longer than {MAX_PART_BYTES} bytes")]
    PartTooLong,
    /// It lies in one of [`RESERVED_FOLDERS`], and is not [`MODEL_REGISTRY`].
    #[error("it lies in a folder that bundles keep out of (`.modelops-bundle`, `.git`)")]
    Reserved,
    /// It lies in what some file system takes for one of [`RESERVED_FOLDERS`].
    #[error("some systems take it for a folder that bundles keep out of (`.modelops-bundle`, `.git`)")]
    TakenForReserved,
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
            _ if is_invisible(part) => return Err(PathFault::Invisible),
            _ => {}
        }
    }
    let top = text.split_once('/').map_or(text, |(top, _)| top);
    if text == MODEL_REGISTRY {
        return Ok(());
    }
    // Upper case or lower, because on some file systems `.GIT` is `.git`.
    if RESERVED_FOLDERS.iter().any(|reserved| top.eq_ignore_ascii_case(reserved)) {
        return Err(PathFault::Reserved);
    }
    if is_taken_for_reserved(top) { Err(PathFault::TakenForReserved) } else { Ok(()) }
}

/// Whether some file system takes the name `top` for one of [`RESERVED_FOLDERS`], as git asks with `core.protectHFS` and
/// `core.protectNTFS` (CVE-2014-9390, CVE-2019-1352, CVE-2019-1353).
///
/// Upper and lower case may be one, zero-width characters be passed over, dots and blanks at the end be dropped, what
/// follows a colon name a stream of the same entry, and a long name have a short one, such as `GIT~1`.
fn is_taken_for_reserved(top: &str) -> bool {
    let name = top.split(':').next().unwrap_or(top);
    let seen = name.chars().filter(|c| !is_zero_width(*c));
    let folded: String = seen.flat_map(char::to_uppercase).flat_map(char::to_lowercase).collect();
    let folded = folded.trim_end_matches(['.', ' ']);
    RESERVED_FOLDERS.iter().any(|reserved| folded == *reserved || is_short_for(folded, reserved))
}

/// Whether `name`, in lower case, may be the short name that NTFS and FAT give to `long`: six of its characters without
/// the dot in front, and a number.
fn is_short_for(name: &str, long: &str) -> bool {
    let start: String = long.trim_start_matches('.').chars().take(6).collect();
    let number = name.strip_prefix(&*start).and_then(|rest| rest.strip_prefix('~'));
    number.is_some_and(|number| !number.is_empty() && number.bytes().all(|digit| digit.is_ascii_digit()))
}

/// Whether `part` shows nothing but blanks, and holds something else all the same.
fn is_invisible(part: &str) -> bool {
    part.chars().any(is_zero_width) && part.chars().all(|c| is_zero_width(c) || c.is_whitespace())
}

/// Control characters, those that end a line or a paragraph, and the directional ones that make a name look like another
/// (Unicode UAX #9).
fn is_control(c: char) -> bool {
    c.is_control() || matches!(c, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Characters that take no room on a screen, which Unicode calls default-ignorable: file systems that fold names pass
/// over some of them (HFS+, Apple TN1150) or all of them (ext4 and F2FS with casefold).
pub fn is_zero_width(c: char) -> bool {
    matches!(
        c,
        '\u{ad}'
            | '\u{34f}'
            | '\u{61c}'
            | '\u{115f}'
            | '\u{1160}'
            | '\u{17b4}'
            | '\u{17b5}'
            | '\u{180b}'..='\u{180f}'
            | '\u{200b}'..='\u{200f}'
            | '\u{202a}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}'
            | '\u{3164}'
            | '\u{fe00}'..='\u{fe0f}'
            | '\u{feff}'
            | '\u{ffa0}'
            | '\u{fff0}'..='\u{fff8}'
            | '\u{1bca0}'..='\u{1bca3}'
            | '\u{1d173}'..='\u{1d17a}'
            | '\u{e0000}'..='\u{e0fff}'
    )
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
            ".github/x",
            ".git-blame",
            ".gitx.",
            "git~",
            "git~1x",
            "git/x",
            "a git~1",
            "modelo~x/y",
            ".modelops",
            "می\u{200c}خواهم",
            "👩\u{200d}🔬.png",
            "\u{feff}marked",
            "\u{200b}x/\u{feff}.git",
            "\u{feff}.gitignore",
            " ",
            "a/\u{a0}",
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
            (".git./config", PathFault::TakenForReserved),
            (".git /config", PathFault::TakenForReserved),
            (".git . ./config", PathFault::TakenForReserved),
            ("git~1/config", PathFault::TakenForReserved),
            ("GIT~12/config", PathFault::TakenForReserved),
            ("git~1. :x/config", PathFault::TakenForReserved),
            (".git::$INDEX_ALLOCATION/config", PathFault::TakenForReserved),
            (".Git:stream", PathFault::TakenForReserved),
            (".g\u{200c}it/config", PathFault::TakenForReserved),
            ("\u{200d}.git\u{2060}/config", PathFault::TakenForReserved),
            (".modelops-bundle./state.json", PathFault::TakenForReserved),
            (".Modelops-Bundle ::$DATA", PathFault::TakenForReserved),
            ("MODELO~1/config.yaml", PathFault::TakenForReserved),
            (".modelop\u{17f}-bundle/config.yaml", PathFault::TakenForReserved),
            ("\u{feff}.git/config", PathFault::TakenForReserved),
            (".git\u{ad}/config", PathFault::TakenForReserved),
            (".modelops\u{fe0f}-bundle/config.yaml", PathFault::TakenForReserved),
            ("\u{200b}", PathFault::Invisible),
            ("a/\u{200c}\u{200d}/b", PathFault::Invisible),
            ("a/\u{2060}", PathFault::Invisible),
            ("\u{feff}/b", PathFault::Invisible),
            ("a/ \u{200b}\u{a0}", PathFault::Invisible),
            ("a/\u{3164}", PathFault::Invisible),
            ("a\u{2028}b", PathFault::ControlCharacter),
            ("a\u{2029}b", PathFault::ControlCharacter),
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

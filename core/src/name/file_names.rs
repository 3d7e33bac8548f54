//! Names that not every system can hold: a push warns of them, and a pull refuses them where they cannot be written.
//!
//! A [`BundlePath`] can be written on any POSIX system. Windows gives some names a meaning of their own (Microsoft,
//! "Naming Files, Paths, and Namespaces"), and file systems may take two spellings for the same name.

use thiserror::Error;
use unicode_normalization::UnicodeNormalization;

use crate::name::path::BundlePath;

/// Whose rules for names apply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum System {
    /// Any name but `.` and `..`, of any bytes but NUL and `/`.
    Posix,
    /// Those of Windows, and of its file systems elsewhere.
    Windows,
}

/// How a file system compares names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Spelling {
    /// By their bytes.
    Exact,
    /// Without regard to case, or to how Unicode composes a character.
    Folded,
}

/// What is known of the place that files go to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileSystem {
    /// Which names it can hold.
    pub system: System,
    /// Which names are the same to it.
    pub spelling: Spelling,
}

impl FileSystem {
    /// Whichever place there is: what is fit for it is fit for all.
    pub const ANY: Self = Self { system: System::Windows, spelling: Spelling::Folded };
}

/// A path that a file_system cannot hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unfit {
    /// The path.
    pub path: BundlePath,
    /// Why not.
    pub reason: Unfitness,
}

/// Why a file_system cannot hold a path.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Unfitness {
    /// Windows reserves a character; `:` would name a stream of another file.
    #[error("Windows has no names with `{0}`")]
    Character(char),
    /// A part names a device.
    #[error("`{0}` is a device on Windows")]
    Device(String),
    /// It, or a folder that it lies in, is spelled almost like another.
    #[error("where case or composed characters do not count, it is the same as `{0}`")]
    SameAs(String),
    /// A part ends with a dot or a space, which Windows leaves out.
    #[error("Windows leaves out the dot or space at the end of `{0}`")]
    TrailingDotOrSpace(String),
}

/// Which of `paths`, in their order, `file_system` cannot hold.
pub fn unfit<'a>(
    paths: impl IntoIterator<Item = &'a BundlePath> + Clone,
    file_system: FileSystem,
) -> Vec<Unfit> {
    let mut unfit: Vec<Unfit> = match file_system.system {
        System::Posix => Vec::new(),
        System::Windows => paths
            .clone()
            .into_iter()
            .filter_map(|path| Some(Unfit { path: path.clone(), reason: unfit_on_windows(path)? }))
            .collect(),
    };
    if file_system.spelling == Spelling::Folded {
        unfit.append(&mut spelled_alike(paths));
    }
    unfit.sort_by(|a, b| a.path.cmp(&b.path));
    unfit
}

fn unfit_on_windows(path: &BundlePath) -> Option<Unfitness> {
    if let Some(c) =
        path.as_str().bytes().find(|c| matches!(c, b'<' | b'>' | b':' | b'"' | b'|' | b'?' | b'*'))
    {
        return Some(Unfitness::Character(c.into()));
    }
    path.parts().find_map(|part| {
        if part.ends_with(['.', ' ']) {
            Some(Unfitness::TrailingDotOrSpace(part.to_owned()))
        } else {
            is_device(part).then(|| Unfitness::Device(part.to_owned()))
        }
    })
}

/// Whether Windows takes a part for a device, whatever follows its first dot.
fn is_device(part: &str) -> bool {
    let name = part.split('.').next().unwrap_or_default().trim_end_matches(' ');
    let is_one_of =
        |name: &str, devices: &[&str]| devices.iter().any(|device| name.eq_ignore_ascii_case(device));
    let Some((port, number)) = name.split_at_checked(3) else { return false };
    match number.as_bytes() {
        [] => is_one_of(port, &["CON", "PRN", "AUX", "NUL"]),
        [b'0'..=b'9'] => is_one_of(port, &["COM", "LPT"]),
        _ if matches!(number, "¹" | "²" | "³") => is_one_of(port, &["COM", "LPT"]),
        _ => is_one_of(name, &["CONIN$", "CONOUT$"]),
    }
}

/// Paths that differ from another, themselves or by a folder that they lie in, only in case or composition.
fn spelled_alike<'a>(paths: impl IntoIterator<Item = &'a BundlePath> + Clone) -> Vec<Unfit> {
    // Where nothing changes when it is folded, no two paths become alike.
    let is_folded =
        |path: &BundlePath| path.as_str().bytes().all(|c| c.is_ascii() && !c.is_ascii_uppercase());
    if paths.clone().into_iter().all(is_folded) {
        return Vec::new();
    }
    let mut folded: Vec<(String, &BundlePath)> = paths.into_iter().map(|path| (fold(path), path)).collect();
    // Whatever lies below a folder comes right behind it: the separator sorts before any other character.
    folded.sort();
    let pairs = folded.iter().zip(folded.iter().skip(1));
    pairs
        .filter_map(|((key, path), (next_key, next))| {
            let same_parts =
                key.split(SEPARATOR).zip(next_key.split(SEPARATOR)).take_while(|(a, b)| a == b).count();
            let differing = path.parts().zip(next.parts()).take(same_parts).position(|(a, b)| a != b)?;
            let other: Vec<&str> = path.parts().take(differing + 1).collect();
            Some(Unfit { path: (*next).clone(), reason: Unfitness::SameAs(other.join("/")) })
        })
        .collect()
}

/// Stands for the slash where paths are compared; no path holds it.
const SEPARATOR: char = '\u{1}';

/// A path as a file system may see it that does not regard case and composition.
///
/// Full case folding by way of both cases, so that `ß` and `SS` come out the same.
fn fold(path: &BundlePath) -> String {
    let text = path.as_str();
    let separated = |c: char| if c == '/' { SEPARATOR } else { c };
    if text.is_ascii() {
        return text.chars().map(|c| separated(c.to_ascii_lowercase())).collect();
    }
    let decomposed: String = text.nfd().collect();
    decomposed.to_lowercase().to_uppercase().to_lowercase().nfd().map(separated).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const WINDOWS: FileSystem = FileSystem { system: System::Windows, spelling: Spelling::Exact };
    const FOLDED: FileSystem = FileSystem { system: System::Posix, spelling: Spelling::Folded };

    fn found(texts: &[&str], file_system: FileSystem) -> Vec<(String, Unfitness)> {
        let mut paths: Vec<BundlePath> = texts.iter().map(|text| text.parse().unwrap()).collect();
        paths.sort();
        unfit(&paths, file_system).into_iter().map(|unfit| (unfit.path.to_string(), unfit.reason)).collect()
    }

    #[test]
    fn windows_has_names_of_its_own() {
        for (text, reason) in [
            ("CON", Unfitness::Device("CON".into())),
            ("a/NUL.txt", Unfitness::Device("NUL.txt".into())),
            ("aux/x", Unfitness::Device("aux".into())),
            ("COM1", Unfitness::Device("COM1".into())),
            ("com0.log", Unfitness::Device("com0.log".into())),
            ("COM¹", Unfitness::Device("COM¹".into())),
            ("Lpt³.tar.gz", Unfitness::Device("Lpt³.tar.gz".into())),
            ("conin$", Unfitness::Device("conin$".into())),
            ("nul .txt", Unfitness::Device("nul .txt".into())),
            ("a.", Unfitness::TrailingDotOrSpace("a.".into())),
            ("a /b", Unfitness::TrailingDotOrSpace("a ".into())),
            ("...", Unfitness::TrailingDotOrSpace("...".into())),
            ("x/C:evil", Unfitness::Character(':')),
            ("file:stream", Unfitness::Character(':')),
            ("what?", Unfitness::Character('?')),
            ("a<b", Unfitness::Character('<')),
            ("git~1x./config", Unfitness::TrailingDotOrSpace("git~1x.".into())),
            ("x/.git /config", Unfitness::TrailingDotOrSpace(".git ".into())),
            ("x/.git:stream", Unfitness::Character(':')),
        ] {
            assert_eq!(found(&[text], WINDOWS), [(text.to_owned(), reason)]);
            assert_eq!(found(&[text], FOLDED), []);
        }
        for text in [
            "CONS",
            "COM",
            "COM10",
            "COM1x",
            "a.CON",
            ".x",
            "a b",
            "LPT",
            "conin",
            "x~1",
            "x/git~1",
            "progra~1/x",
            "naïve.txt",
            "COMé",
        ] {
            assert_eq!(found(&[text], FileSystem::ANY), [], "{text}");
        }
    }

    #[test]
    fn names_that_are_the_same_elsewhere_are_found() {
        for (first, second, named, same_as) in [
            ("A", "a", "a", "A"),
            ("Data/x", "data/y", "data/y", "Data"),
            ("a", "A/b", "A/b", "a"),
            ("a/B/c", "a/b", "a/B/c", "a/b"),
            ("caf\u{e9}", "cafe\u{301}", "caf\u{e9}", "cafe\u{301}"),
            ("STRASSE", "straße", "straße", "STRASSE"),
            ("ΌΣΟΣ", "όσος", "όσος", "ΌΣΟΣ"),
        ] {
            let expected = [(named.to_owned(), Unfitness::SameAs(same_as.to_owned()))];
            assert_eq!(found(&[first, second], FOLDED), expected);
        }
        assert_eq!(found(&["a", "a-b", "A.b", "x"], FOLDED), []);
        assert_eq!(found(&["a", "b/a", "B.a"], FOLDED), []);
        assert_eq!(found(&["A", "a", "data/x", "Data/x"], WINDOWS), []);
    }
}

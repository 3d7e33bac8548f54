//! The one door between the paths of a bundle and those of the system.
//!
//! [`to_disk`] and [`from_disk`] are each other's inverse. Neither looks at the disk: whether a link leads somewhere
//! else is the matter of [`crate::scan`] for reading and of [`super::journal`] for writing.

use std::borrow::Cow;
use std::path::{Component, Path, PathBuf};

use bundle_core::name::file_names::System;
use bundle_core::name::path::{BundlePath, PathFault};
use thiserror::Error;

/// The system that this program runs on.
pub const HERE: System = if cfg!(windows) { System::Windows } else { System::Posix };

/// Where `path` lies on the disk; the inverse of [`from_disk`].
///
/// The rules of [`BundlePath`] keep it below `root`: no part is `..` or a separator. What it is called below that is put
/// behind `root` as text, so that a part such as `C:x` cannot start anew from a drive.
pub fn to_disk(root: &Path, path: &BundlePath) -> PathBuf {
    let mut disk = PathBuf::with_capacity(root.as_os_str().len() + 1 + path.as_str().len());
    disk.push(root);
    // Only makes sure of the separator.
    disk.push("");
    disk.as_mut_os_string().push(&*below_root(path, HERE));
    disk
}

/// How `system` writes a bundle's path below the project's top folder.
pub fn below_root(path: &BundlePath, system: System) -> Cow<'_, str> {
    match system {
        System::Posix => Cow::Borrowed(path.as_str()),
        System::Windows => Cow::Owned(path.as_str().replace('/', "\\")),
    }
}

/// An argument of a user with `/` between its parts, whatever `system` has there.
pub fn with_slashes(argument: &str, system: System) -> Cow<'_, str> {
    match system {
        System::Posix => Cow::Borrowed(argument),
        System::Windows => Cow::Owned(argument.replace('\\', "/")),
    }
}

/// What the file at `disk`, somewhere below `root`, is called in a bundle; the inverse of [`to_disk`].
pub fn from_disk(root: &Path, disk: &Path) -> Result<BundlePath, DiskPathError> {
    let outside = || DiskPathError::Outside { path: disk.to_owned(), root: root.to_owned() };
    let below = disk.strip_prefix(root).map_err(|_| outside())?;
    let mut parts = Vec::new();
    for component in below.components() {
        let Component::Normal(part) = component else {
            return Err(outside());
        };
        parts.push(part.to_str().ok_or_else(|| DiskPathError::NotUnicode { path: disk.to_owned() })?);
    }
    // A part that holds the other system's separator is refused with the rest of what no path may hold.
    parts.join("/").parse().map_err(|fault| DiskPathError::Fault { path: disk.to_owned(), fault })
}

/// What a user's argument points at, inside a project.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// The project's top folder.
    Root,
    /// Something below it, which may or may not exist.
    Below(BundlePath),
}

impl Place {
    /// The folder's path as text, empty for the top.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Root => "",
            Self::Below(path) => path.as_str(),
        }
    }
}

/// Understands a path as a user in the folder `cwd` writes it; it may hold `.` and `..` and need not exist.
///
/// `root` and `cwd` are absolute and free of links. `..` is undone in the text, as most shells show it; where that
/// leads out of `root`, the parent folder's own true place is tried.
pub fn resolve_argument(root: &Path, cwd: &Path, argument: &Path) -> Result<Place, DiskPathError> {
    let absolute = normalize(&cwd.join(argument));
    let inside = match absolute.strip_prefix(root) {
        Ok(_) => absolute,
        // The argument may spell the way to the project by a link, as in /tmp on some systems.
        Err(_) => match (absolute.parent().map(Path::canonicalize), absolute.file_name()) {
            (Some(Ok(parent)), Some(name)) => parent.join(name),
            _ => absolute,
        },
    };
    if inside == root {
        return Ok(Place::Root);
    }
    from_disk(root, &inside).map(Place::Below)
}

/// Takes `.` and `..` out of an absolute path.
fn normalize(path: &Path) -> PathBuf {
    let mut normal = PathBuf::new();
    for component in path.components() {
        match component {
            Component::CurDir => {}
            Component::ParentDir => {
                normal.pop();
            }
            other => normal.push(other),
        }
    }
    normal
}

/// Why something on the disk has no name in a bundle.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum DiskPathError {
    /// Its name breaks a rule of bundles.
    #[error("{} cannot lie in a bundle: {fault}", path.display())]
    Fault {
        /// The path on the disk.
        path: PathBuf,
        /// The rule.
        fault: PathFault,
    },
    /// Its name is not Unicode.
    #[error("{} cannot lie in a bundle: its name is not UTF-8", path.display())]
    NotUnicode {
        /// The path on the disk.
        path: PathBuf,
    },
    /// It does not lie in the project.
    #[error("{} lies outside the project {}", path.display(), root.display())]
    Outside {
        /// The path on the disk.
        path: PathBuf,
        /// The project's top folder.
        root: PathBuf,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_and_back() {
        let root = Path::new("/p");
        for text in ["a", "a b/ü.csv", ".gitignore", "x/.git/y"] {
            let path: BundlePath = text.parse().unwrap();
            assert_eq!(from_disk(root, &to_disk(root, &path)), Ok(path));
        }
        for disk in ["/q/a", "/p/../a", "/p/.git/x", "/p/a\\b", "/p"] {
            assert!(from_disk(root, Path::new(disk)).is_err(), "{disk}");
        }
    }

    #[test]
    fn each_system_has_its_own_separator() {
        let path: BundlePath = "x/C:evil/b c".parse().unwrap();
        assert_eq!(below_root(&path, System::Posix), "x/C:evil/b c");
        assert_eq!(below_root(&path, System::Windows), r"x\C:evil\b c");
        assert_eq!(to_disk(Path::new("/p/"), &path), Path::new("/p/x/C:evil/b c"));
        assert_eq!(to_disk(Path::new("/"), &path), Path::new("/x/C:evil/b c"));
        assert_eq!(with_slashes(r"data\**\*.csv", System::Windows), "data/**/*.csv");
        assert_eq!(with_slashes(r"data\*.csv", System::Posix), r"data\*.csv");
    }

    #[test]
    fn arguments_end_up_inside() {
        let (root, cwd) = (Path::new("/p"), Path::new("/p/a"));
        let resolve =
            |text: &str| resolve_argument(root, cwd, Path::new(text)).map(|place| place.as_str().to_owned());
        assert_eq!(resolve("b").unwrap(), "a/b");
        assert_eq!(resolve("./b/../c/").unwrap(), "a/c");
        assert_eq!(resolve("..").unwrap(), "");
        assert_eq!(resolve("/p/x").unwrap(), "x");
        assert!(matches!(resolve("../../x"), Err(DiskPathError::Outside { .. })));
        assert!(matches!(resolve("/etc/passwd"), Err(DiskPathError::Outside { .. })));
        assert!(matches!(resolve("../.git/config"), Err(DiskPathError::Fault { .. })));
    }
}

//! Whole folders as values: to compare, to keep, to put back.

use crate::tools;
use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

/// The folder of the bundle's own state, which no tree contains.
const STATE_FOLDER: &str = ".modelops-bundle";

/// How many differing paths a failed comparison lists.
const DIFFERENCES_SHOWN: usize = 20;

/// What is at one path.
#[derive(Clone, PartialEq, Eq)]
pub enum Entry {
    /// A file, with its bytes and whether its owner may execute it.
    File {
        /// Its bytes.
        content: Vec<u8>,
        /// The executable bit; always false on systems that have none.
        executable: bool,
    },
    /// A symbolic link, with the path it names.
    Link(String),
}

/// The files and links below a folder by their `/`-separated paths; empty folders do not count.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Tree(BTreeMap<String, Entry>);

impl Tree {
    /// Reads a folder, leaving out `.modelops-bundle` at its top.
    #[track_caller]
    pub fn read(folder: &Path) -> Self {
        let mut entries = BTreeMap::new();
        let mut folders = vec![(folder.to_owned(), String::new())];
        while let Some((folder, prefix)) = folders.pop() {
            let listed = fs::read_dir(&folder)
                .unwrap_or_else(|error| panic!("cannot read {}: {error}", folder.display()));
            for entry in listed {
                let entry = entry.unwrap_or_else(|error| panic!("cannot read {}: {error}", folder.display()));
                let name = entry.file_name().into_string().expect("the names in a test's folder are UTF-8");
                let path = format!("{prefix}{name}");
                if path == STATE_FOLDER {
                    continue;
                }
                if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                    folders.push((entry.path(), format!("{path}/")));
                } else {
                    entries.insert(path, Entry::read(&entry.path()));
                }
            }
        }
        Self(entries)
    }

    /// Unpacks a wheel of the tools' wheels folder: real input, thousands of lines of somebody's code.
    /// Nothing when the wheels are not on this machine, and skipping is allowed.
    pub fn of_wheel(name_and_version: &str) -> Option<Self> {
        let wheels = tools::require(&tools::WHEELS)?;
        let prefix = format!("{name_and_version}-");
        let wheel = fs::read_dir(&wheels)
            .unwrap_or_else(|error| panic!("cannot read {}: {error}", wheels.display()))
            .filter_map(Result::ok)
            .find(|entry| entry.file_name().to_string_lossy().starts_with(&prefix))
            .unwrap_or_else(|| panic!("there is no wheel of {name_and_version} in {}", wheels.display()));
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let python = tools::require(&tools::PYTHON)?;
        let status = Command::new(python)
            .args(["-m", "zipfile", "-e"])
            .args([wheel.path().as_path(), folder.path()])
            .stdin(Stdio::null())
            .status()
            .expect("python can be run");
        assert!(status.success(), "cannot unpack {}: {status}", wheel.path().display());
        Some(Self::read(folder.path()))
    }

    /// The paths, in order.
    pub fn paths(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    /// What is at a path.
    pub fn entry(&self, path: &str) -> Option<&Entry> {
        self.0.get(path)
    }

    /// How many files and links there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The sum of the files' sizes in bytes.
    pub fn size(&self) -> u64 {
        self.0.values().map(|entry| entry.size() as u64).sum()
    }

    /// The tree without the paths that `keep` refuses.
    #[must_use]
    pub fn filtered(&self, keep: impl Fn(&str) -> bool) -> Self {
        let kept = self.0.iter().filter(|(path, _)| keep(path));
        Self(kept.map(|(path, entry)| (path.clone(), entry.clone())).collect())
    }

    /// The tree without the `.gitignore` that the program writes at its top.
    #[must_use]
    pub fn without_gitignore(&self) -> Self {
        self.filtered(|path| path != ".gitignore")
    }

    /// The paths that differ between the two, in order: changed, or in one of them only.
    pub fn differing_paths(&self, other: &Self) -> Vec<String> {
        self.differences(other).into_iter().map(|(path, _)| path).collect()
    }

    /// Writes every file and link below a folder, over what is there.
    #[track_caller]
    pub fn write(&self, folder: &Path) {
        for (path, entry) in &self.0 {
            entry.write(&folder.join(path));
        }
    }

    /// Fails the test unless the two are equal, naming what differs.
    #[track_caller]
    pub fn assert_same(&self, expected: &Self) {
        let differences = self.differences(expected);
        if differences.is_empty() {
            return;
        }
        let mut text = format!("the trees differ in {} paths:", differences.len());
        for (path, difference) in differences.iter().take(DIFFERENCES_SHOWN) {
            text.push_str(&format!("\n  {path}: {difference}"));
        }
        panic!("{text}");
    }

    fn differences(&self, expected: &Self) -> Vec<(String, String)> {
        let mut differences = Vec::new();
        for (path, entry) in &self.0 {
            match expected.0.get(path) {
                None => differences.push((path.clone(), format!("{entry:?}, expected nothing"))),
                Some(other) if other != entry => {
                    differences.push((path.clone(), format!("{entry:?}, expected {other:?}")));
                }
                Some(_) => {}
            }
        }
        let absent = expected.0.iter().filter(|(path, _)| !self.0.contains_key(*path));
        differences
            .extend(absent.map(|(path, entry)| (path.clone(), format!("nothing, expected {entry:?}"))));
        differences.sort();
        differences
    }
}

impl fmt::Debug for Tree {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

impl Entry {
    fn read(path: &Path) -> Self {
        let fail = |error| -> ! { panic!("cannot read {}: {error}", path.display()) };
        let metadata = path.symlink_metadata().unwrap_or_else(|error| fail(error));
        if metadata.is_symlink() {
            let target = fs::read_link(path).unwrap_or_else(|error| fail(error));
            return Self::Link(target.to_string_lossy().into_owned());
        }
        let content = fs::read(path).unwrap_or_else(|error| fail(error));
        Self::File { content, executable: is_executable(&metadata) }
    }

    #[track_caller]
    fn write(&self, path: &Path) {
        match self {
            Self::File { content, executable } => {
                write_file(path, content);
                if *executable {
                    make_executable(path);
                }
            }
            Self::Link(target) => make_link(target, path),
        }
    }

    fn size(&self) -> usize {
        match self {
            Self::File { content, .. } => content.len(),
            Self::Link(_) => 0,
        }
    }
}

impl fmt::Debug for Entry {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        /// Short texts are worth reading in a failure; the rest is told by its size.
        const SHOWN: usize = 60;
        match self {
            Self::File { content, executable } => {
                formatter.write_str(if *executable { "executable " } else { "" })?;
                match str::from_utf8(content) {
                    Ok(text) if text.len() <= SHOWN => write!(formatter, "{text:?}"),
                    _ => write!(formatter, "{} bytes", content.len()),
                }
            }
            Self::Link(target) => write!(formatter, "a link to {target:?}"),
        }
    }
}

/// Writes a file, making the folders above it.
#[track_caller]
pub(crate) fn write_file(path: &Path, content: &[u8]) {
    make_parent(path);
    fs::write(path, content).unwrap_or_else(|error| panic!("cannot write {}: {error}", path.display()));
}

#[track_caller]
fn make_parent(path: &Path) {
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent)
            .unwrap_or_else(|error| panic!("cannot make {}: {error}", parent.display()));
    }
}

#[cfg(unix)]
fn is_executable(metadata: &fs::Metadata) -> bool {
    use std::os::unix::fs::PermissionsExt;
    metadata.permissions().mode() & 0o100 != 0
}

#[cfg(not(unix))]
fn is_executable(_: &fs::Metadata) -> bool {
    false
}

/// Sets the executable bit, where there is one.
#[cfg(unix)]
#[track_caller]
pub(crate) fn make_executable(path: &Path) {
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(path, fs::Permissions::from_mode(0o755))
        .unwrap_or_else(|error| panic!("cannot make {} executable: {error}", path.display()));
}

#[cfg(not(unix))]
pub(crate) fn make_executable(_: &Path) {}

#[cfg(unix)]
#[track_caller]
fn make_link(target: &str, path: &Path) {
    make_parent(path);
    std::os::unix::fs::symlink(target, path)
        .unwrap_or_else(|error| panic!("cannot make the link {}: {error}", path.display()));
}

#[cfg(not(unix))]
fn make_link(_: &str, path: &Path) {
    panic!("{}: links are tested on Unix alone", path.display());
}

//! A project folder for one test.

use crate::command::{BundleCommand, CommandOutput};
use crate::tree::{self, Tree};
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// A temporary project folder and a home folder beside it, both gone when this is.
#[derive(Debug)]
pub struct TestProject {
    // Held for its drop.
    _folder: TempDir,
    path: PathBuf,
    home: PathBuf,
}

impl Default for TestProject {
    fn default() -> Self {
        Self::new()
    }
}

impl TestProject {
    /// An empty project folder.
    pub fn new() -> Self {
        Self::new_in(&std::env::temp_dir())
    }

    /// The same below another folder than the system's temporary one.
    pub fn new_in(folder: &Path) -> Self {
        let folder = tempfile::tempdir_in(folder).expect("a temporary folder can be made");
        // The real path: on some systems the temporary folder is behind a symbolic link.
        let base = folder.path().canonicalize().expect("a folder just made has a path");
        let (path, home) = (base.join("project"), base.join("home"));
        for folder in [&path, &home] {
            fs::create_dir(folder).expect("a folder can be made in a temporary one");
        }
        Self { _folder: folder, path, home }
    }

    /// The project folder.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The folder that the program takes for the user's own.
    pub fn home(&self) -> &Path {
        &self.home
    }

    /// Writes a file, making the folders above it.
    #[track_caller]
    pub fn write(&self, path: &str, content: impl AsRef<[u8]>) -> &Self {
        tree::write_file(&self.path.join(path), content.as_ref());
        self
    }

    /// Writes a file and sets its executable bit.
    #[track_caller]
    pub fn write_executable(&self, path: &str, content: impl AsRef<[u8]>) -> &Self {
        self.write(path, content);
        tree::make_executable(&self.path.join(path));
        self
    }

    /// A file's bytes.
    #[track_caller]
    pub fn read(&self, path: &str) -> Vec<u8> {
        fs::read(self.path.join(path)).unwrap_or_else(|error| panic!("cannot read {path}: {error}"))
    }

    /// A file's text.
    #[track_caller]
    pub fn read_text(&self, path: &str) -> String {
        String::from_utf8(self.read(path)).unwrap_or_else(|error| panic!("{path} is not UTF-8: {error}"))
    }

    /// Whether anything is at this path.
    pub fn exists(&self, path: &str) -> bool {
        self.path.join(path).symlink_metadata().is_ok()
    }

    /// Removes a file, or a folder with all it holds.
    #[track_caller]
    pub fn remove(&self, path: &str) -> &Self {
        let full = self.path.join(path);
        let is_folder = full.symlink_metadata().is_ok_and(|metadata| metadata.is_dir());
        let removed = if is_folder { fs::remove_dir_all(&full) } else { fs::remove_file(&full) };
        removed.unwrap_or_else(|error| panic!("cannot remove {path}: {error}"));
        self
    }

    /// Everything in the project but the bundle's own state.
    #[track_caller]
    pub fn tree(&self) -> Tree {
        Tree::read(&self.path)
    }

    /// Makes the project's files those of another tree; the bundle's own state stays.
    #[track_caller]
    pub fn replace_by(&self, tree: &Tree) -> &Self {
        for path in self.tree().paths() {
            self.remove(path);
        }
        tree.write(&self.path);
        self
    }

    /// Runs the program in the project folder.
    #[must_use = "check the exit code with .success() or .code(n)"]
    #[track_caller]
    pub fn run(&self, arguments: &[&str]) -> CommandOutput {
        self.command(arguments).run()
    }

    /// A run of the program in the project folder, to be changed before it starts.
    pub fn command(&self, arguments: impl IntoIterator<Item = impl AsRef<OsStr>>) -> BundleCommand {
        BundleCommand::new(&self.home).current_dir(&self.path).args(arguments)
    }
}

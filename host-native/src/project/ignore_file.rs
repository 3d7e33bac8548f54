//! Finds the files that hold ignore rules. What a rule means is the matter of `bundle_core::ignore`.

use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use bundle_core::ignore::IgnoreRules;
use thiserror::Error;

use crate::whole_file::{self, FileFault, Links};

/// The name of a file of ignore rules, in the top folder or any other.
pub const IGNORE_FILE: &str = ".modelopsignore";

/// The longest ignore file that is read, in bytes.
pub const MAX_IGNORE_FILE_BYTES: u64 = 1 << 20;

/// The rules of the top folder: the built-in ones and those of its ignore file.
pub fn root_rules(root: &Path) -> Result<IgnoreRules, IgnoreFileError> {
    let mut rules = IgnoreRules::defaults();
    if let Some(text) = read(root)? {
        rules.add_file("", &text);
    }
    Ok(rules)
}

/// The rules for what lies in `folder` (as in a bundle, empty for the top), those of all folders above included.
///
/// A walk has them at hand already; this is for one path alone.
pub fn rules_of(root: &Path, folder: &str) -> Result<IgnoreRules, IgnoreFileError> {
    let mut rules = root_rules(root)?;
    let ends = folder.match_indices('/').map(|(at, _)| at).chain([folder.len()]);
    for folder in ends.map(|at| &folder[..at]).filter(|folder| !folder.is_empty()) {
        add_rules_in(&mut rules, &root.join(folder), folder)?;
    }
    Ok(rules)
}

/// Adds the rules of the ignore file in the folder `disk`, if there is one, which a bundle calls `folder`.
pub(crate) fn add_rules_in(
    rules: &mut IgnoreRules,
    disk: &Path,
    folder: &str,
) -> Result<(), IgnoreFileError> {
    if let Some(text) = read(disk)? {
        rules.add_file(folder, &text);
    }
    Ok(())
}

fn read(folder: &Path) -> Result<Option<String>, IgnoreFileError> {
    let path = folder.join(IGNORE_FILE);
    let fault = |source| IgnoreFileError::Read { path: path.clone(), source };
    let bytes = match whole_file::read(&path, MAX_IGNORE_FILE_BYTES, Links::Follow) {
        Ok(bytes) => bytes,
        Err(error) if is_absence(&error) => return Ok(None),
        // A pipe or a device by that name is no ignore file.
        Err(error) if FileFault::of(&error) == Some(FileFault::NotRegular) => return Ok(None),
        Err(error) => return Err(fault(error)),
    };
    // A line in another encoding cannot match the UTF-8 paths of a bundle anyway.
    Ok(Some(String::from_utf8_lossy(&bytes).into_owned()))
}

fn is_absence(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory)
}

/// Why ignore rules could not be read.
#[derive(Debug, Error)]
pub enum IgnoreFileError {
    /// The system would not let it be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// The ignore file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

#[cfg(test)]
mod tests {
    use bundle_core::ignore::EntryKind;
    use tempfile::TempDir;

    use super::*;

    #[test]
    fn nested_files_come_after_those_above() {
        let root = TempDir::new().unwrap();
        std::fs::create_dir_all(root.path().join("a/b")).unwrap();
        std::fs::write(root.path().join(IGNORE_FILE), "*.log\n").unwrap();
        std::fs::write(root.path().join("a").join(IGNORE_FILE), "!keep.log\n").unwrap();
        let rules = rules_of(root.path(), "a/b").unwrap();
        assert!(rules.is_ignored("a/b/x.log", EntryKind::File));
        assert!(!rules.is_ignored("a/b/keep.log", EntryKind::File));
        assert!(rules.is_ignored("keep.log", EntryKind::File));
    }
}

//! Whether git leaves a project's own folder alone, by what the `.gitignore` files of its repository say.

use std::io::{self, ErrorKind};
use std::path::Path;

use bundle_core::ignore::{EntryKind, IgnoreRules};

use super::folder::PROJECT_FOLDER;
use crate::whole_file::{self, Links};
use crate::workspace::GITIGNORE;

/// What git is to leave alone. Settings may be shared through git by whoever wants that.
const PRIVATE: [&str; 4] = ["cache/digests", "staging/file", "state.json", "tracked"];

/// The longest file of rules that is read, in bytes.
pub const MAX_BYTES: u64 = super::ignore_file::MAX_IGNORE_FILE_BYTES;

/// Whether git ignores what is private in the project at `root`, which is free of links: by the rules of the project's
/// `.gitignore`, or of one above it in the same repository.
pub fn ignores_project_folder(root: &Path) -> io::Result<bool> {
    let repository = root.ancestors().find(|folder| folder.join(".git").symlink_metadata().is_ok());
    let top = repository.unwrap_or(root);
    let mut folders: Vec<&Path> = root.ancestors().take_while(|folder| folder.starts_with(top)).collect();
    folders.reverse();
    let mut rules = IgnoreRules::default();
    for folder in folders {
        let Some(base) = slashed(top, folder) else { continue };
        match whole_file::read(&folder.join(GITIGNORE), MAX_BYTES, Links::Refuse) {
            Ok(text) => rules.add_file(&base, &String::from_utf8_lossy(&text)),
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) if folder == root => return Err(error),
            // Above the project, what cannot be read covers nothing.
            Err(_) => {}
        }
    }
    let Some(base) = slashed(top, root) else { return Ok(false) };
    let project_folder =
        if base.is_empty() { PROJECT_FOLDER.into() } else { format!("{base}/{PROJECT_FOLDER}") };
    Ok(PRIVATE.iter().all(|name| rules.is_ignored(&format!("{project_folder}/{name}"), EntryKind::File)))
}

/// Where `folder` lies below `top`, as rules name it; nothing where that is not UTF-8.
fn slashed(top: &Path, folder: &Path) -> Option<String> {
    let parts: Option<Vec<&str>> = folder.strip_prefix(top).ok()?.iter().map(|part| part.to_str()).collect();
    parts.map(|parts| parts.join("/"))
}

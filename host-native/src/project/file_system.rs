//! What the file system of a project does with names, found out by making some.

use std::path::Path;

use bundle_core::name::file_names::{FileSystem, Spelling, System};

use super::disk_path::HERE;
use super::folder::Project;
use crate::leftovers::{Among, NewFolder};

/// What is known of the place where `project` lies. One that nothing can be written to counts as the system's own.
pub fn file_system(project: &Project) -> FileSystem {
    let Ok(folder) = NewFolder::make(&project.folder(), Among::OwnFiles) else {
        return FileSystem { system: HERE, spelling: Spelling::Exact };
    };
    FileSystem { system: system(folder.path()), spelling: spelling(folder.path()) }
}

/// A file system of Windows has its rules on other systems too.
fn system(folder: &Path) -> System {
    // There, a colon would make a stream of a file, and no error.
    if HERE == System::Posix && std::fs::write(folder.join("a:b"), "").is_ok() {
        System::Posix
    } else {
        System::Windows
    }
}

fn spelling(folder: &Path) -> Spelling {
    let is_there = |name: &str| folder.join(name).symlink_metadata().is_ok();
    // `\u{e9}` is `e` and the accent `\u{301}` as one character.
    let is_made =
        std::fs::write(folder.join("case"), "").and_then(|()| std::fs::write(folder.join("\u{e9}"), ""));
    if is_made.is_ok() && (is_there("CASE") || is_there("e\u{301}")) {
        Spelling::Folded
    } else {
        Spelling::Exact
    }
}

#[cfg(test)]
#[cfg(target_os = "linux")]
mod tests {
    use tempfile::TempDir;

    use super::*;

    #[test]
    fn leaves_nothing_behind() {
        let folder = TempDir::new().unwrap();
        let project = Project::create(folder.path()).unwrap();
        assert_eq!(file_system(&project), FileSystem { system: System::Posix, spelling: Spelling::Exact });
        assert_eq!(std::fs::read_dir(project.folder()).unwrap().count(), 0);
    }
}

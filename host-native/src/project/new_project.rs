//! A folder that becomes a project: it does once all that this takes is done, and else is as it was before.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use super::atomic::{make_folders, remove_folders};
use super::folder::{PROJECT_FOLDER, Project, is_project, refuse_link};
use super::git::MAX_BYTES;
use super::lock::{LockError, ProjectLock};
use super::staging::{CLEARING_TRIES, clear};
use crate::leftovers::Unfinished;
use crate::rights::{check_folder, nearest_folder};
use crate::whole_file::{self, FileFault, Links};

/// A folder that is about to be a project. Dropped before it is [kept](Self::keep), it is left as it was found; a process
/// that is killed leaves a folder that counts as no project.
#[derive(Debug)]
#[must_use = "dropped at once, it takes the project away again"]
pub struct NewProject {
    project: Project,
    /// None where it was a project before.
    unfinished: Option<Unfinished>,
}

/// A file outside the project's own folder as it was before.
#[derive(Debug)]
struct Earlier {
    path: PathBuf,
    found: Found,
}

/// What was there.
#[derive(Debug)]
enum Found {
    Nothing,
    Content(Vec<u8>),
    /// A link, a pipe and the like, to which nothing is appended.
    NoFile,
}

impl NewProject {
    /// Makes `folder` a project for now, and has `lock` lock it, for longer than this lasts. `appended` is a file in it that
    /// may get more lines meanwhile.
    pub fn begin(
        folder: &Path,
        appended: &str,
        lock: impl Fn(&Project) -> Result<ProjectLock, LockError>,
    ) -> Result<(Self, ProjectLock), BeginError> {
        let fault = |source| BeginError::Folder { folder: folder.to_owned(), source };
        loop {
            let existed = is_project(folder);
            let made = make_folders(&folder.join(PROJECT_FOLDER)).map_err(fault)?;
            let project = mark(folder, &made).map_err(|source| {
                remove_folders(&made);
                fault(source)
            })?;
            let lock = match lock(&project) {
                Ok(lock) => lock,
                Err(error) => {
                    // One that is held is another process's by now.
                    if matches!(error, LockError::File { .. }) && !made.is_empty() {
                        let _ = std::fs::remove_dir_all(project.folder());
                        remove_folders(&made);
                    }
                    return Err(error.into());
                }
            };
            if existed || project.folder().is_dir() && !project.newborn_file().exists() {
                return Ok((Self { project, unfinished: None }, lock));
            }
            // Another process had begun it, and has taken it away while this one waited for the lock.
            if !project.folder().is_dir() {
                continue;
            }
            let earlier = Earlier::read(project.root().join(appended)).map_err(fault)?;
            let found = project.clone();
            let unfinished = Unfinished::new(move || take_back(&found, &made, &earlier));
            return Ok((Self { project, unfinished: Some(unfinished) }, lock));
        }
    }

    /// Finds out whether `folder` could be made a project, as far as can be told without making it.
    pub fn foresee(folder: &Path) -> Result<(), BeginError> {
        check_folder(nearest_folder(folder))
            .map_err(|source| BeginError::Folder { folder: folder.to_owned(), source })
    }

    /// It is a project from now on; says whether it was none before.
    pub fn keep(self) -> io::Result<Birth> {
        let Some(unfinished) = self.unfinished else { return Ok(Birth::Earlier) };
        match std::fs::remove_file(self.project.newborn_file()) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => unfinished.keep(),
        }
        Ok(Birth::Now)
    }
}

/// Marks what `made` tells to be new in `folder` as what is no project yet.
fn mark(folder: &Path, made: &[PathBuf]) -> io::Result<Project> {
    refuse_link(folder)?;
    let project = Project::imagine(folder)?;
    if !made.is_empty() {
        File::create(project.newborn_file())?;
    }
    Ok(project)
}

/// When a folder became a project.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Birth {
    /// Before this command.
    Earlier,
    /// By this command.
    Now,
}

impl Earlier {
    fn read(path: PathBuf) -> io::Result<Self> {
        let found = match whole_file::read(&path, MAX_BYTES, Links::Refuse) {
            Ok(content) => Found::Content(content),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Found::Nothing,
            Err(error) if FileFault::of(&error).is_some() => Found::NoFile,
            Err(error) => return Err(error),
        };
        Ok(Self { path, found })
    }

    /// Takes off what was appended since.
    fn restore(&self) -> io::Result<()> {
        let Found::Content(content) = &self.found else {
            return if matches!(self.found, Found::Nothing) {
                std::fs::remove_file(&self.path)
            } else {
                Ok(())
            };
        };
        let file = whole_file::open_to_append(&self.path)?;
        match whole_file::read(&self.path, MAX_BYTES, Links::Refuse)?.starts_with(content) {
            true => file.set_len(content.len() as u64),
            false => Ok(()),
        }
    }
}

/// Ends the birth of a project whose files a killed command was still putting in place when it had promised them.
pub fn complete(lock: &ProjectLock) -> io::Result<()> {
    let project = lock.project();
    if !project.has_come_alive() {
        return Ok(());
    }
    match std::fs::remove_file(project.newborn_file()) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Leaves the folder of `project` as it was before, unless files of a bundle have come to it, or are about to.
fn take_back(project: &Project, made: &[PathBuf], earlier: &Earlier) {
    if project.has_come_alive() {
        return;
    }
    // Whatever cannot be removed is no project all the same.
    let _ = earlier.restore();
    // Threads that have not ended may write to it meanwhile.
    let _ = (0..CLEARING_TRIES).any(|_| clear(&project.folder()).is_ok());
    remove_folders(made);
}

/// Why a folder cannot become a project.
#[derive(Debug, thiserror::Error)]
pub enum BeginError {
    /// The folder cannot be made or written to.
    #[error("cannot create {}", folder.display())]
    Folder {
        /// The folder.
        folder: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// It cannot be locked.
    #[error(transparent)]
    Lock(#[from] LockError),
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tempfile::TempDir;

    use super::*;

    fn begin(folder: &Path) -> (NewProject, ProjectLock) {
        let lock = |project: &Project| ProjectLock::acquire(project, "test", Duration::ZERO);
        NewProject::begin(folder, ".gitignore", lock).unwrap()
    }

    #[test]
    fn what_is_not_kept_leaves_no_trace() {
        let above = TempDir::new().unwrap();
        let folder = above.path().join("a/b");
        let (new, lock) = begin(&folder);
        assert!(!is_project(&folder), "it is none before it is kept");
        std::fs::write(folder.join(".gitignore"), "x").unwrap();
        drop((new, lock));
        assert!(!above.path().join("a").exists());

        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join(".gitignore"), "mine\n").unwrap();
        let (new, lock) = begin(&folder);
        std::fs::write(folder.join(".gitignore"), "mine\nmore\n").unwrap();
        drop((new, lock));
        assert_eq!(std::fs::read(folder.join(".gitignore")).unwrap(), b"mine\n");
        assert_eq!(std::fs::read_dir(&folder).unwrap().count(), 1);
    }

    #[test]
    fn what_is_kept_stays_and_a_project_is_never_taken_away() {
        let folder = TempDir::new().unwrap();
        let (new, lock) = begin(folder.path());
        assert_eq!(new.keep().unwrap(), Birth::Now);
        drop(lock);
        assert!(is_project(folder.path()));
        drop(begin(folder.path()));
        assert!(is_project(folder.path()));
        let (new, _lock) = begin(folder.path());
        assert_eq!(new.keep().unwrap(), Birth::Earlier);
    }

    #[test]
    fn what_a_killed_process_began_is_begun_anew_unless_files_were_promised() {
        let folder = TempDir::new().unwrap();
        let (new, lock) = begin(folder.path());
        std::mem::forget(new);
        drop(lock);
        assert!(Project::find(folder.path()).is_err());
        let (new, lock) = begin(folder.path());
        std::fs::write(new.project.journal_file(), "").unwrap();
        drop((new, lock));
        assert!(Project::find(folder.path()).is_ok());
    }
}

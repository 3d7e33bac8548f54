//! Files that are being made ready: on the project's file system, but not part of the project yet.
//!
//! A crash leaves them behind without harm; [`super::recovery`] clears them away. How they become part of the
//! project: [`super::journal`].

use std::collections::BTreeSet;
use std::fs::{File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use bundle_core::file::ByPath;
use bundle_core::name::path::BundlePath;
use serde::{Deserialize, Serialize};

use super::folder::{Project, STAGING};
use super::interrupted::{PULL_MARK, set_aside};
use super::lock::ProjectLock;
use super::new_folders::NewFolders;
use super::own_folder::OwnFolder;
use super::parents::Missing;
use crate::leftovers::Unfinished;

/// From how many files on one sync of the whole file system is cheaper than one for each.
#[cfg(target_os = "linux")]
const SYNC_AT_ONCE_ABOVE: usize = 64;

/// How often a folder is cleared that others may write to.
pub(super) const CLEARING_TRIES: u32 = 8;

/// What a file's mode is to be, as far as a bundle knows modes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// Whoever may read it may run it.
    Executable,
    /// Nobody may run it.
    Plain,
}

impl Mode {
    /// The mode of a file that is `executable`.
    pub fn of(executable: Option<bool>) -> Self {
        if executable == Some(true) { Self::Executable } else { Self::Plain }
    }
}

/// A folder of staged files, empty at first.
#[derive(Debug)]
pub struct Staging {
    folder: PathBuf,
    next: AtomicU64,
    new_folders: NewFolders,
    /// Clears the folder, unless a commit needs it.
    _unfinished: Unfinished,
}

impl Staging {
    /// Clears what an earlier one left behind and starts anew; the lock shows that no other is at work.
    ///
    /// Refuses where a commit is unfinished, whose files these may be: see [`super::recovery`].
    pub fn create(lock: &ProjectLock) -> io::Result<Self> {
        if lock.project().journal_file().symlink_metadata().is_ok() {
            return Err(io::Error::new(io::ErrorKind::ResourceBusy, "an earlier change is unfinished"));
        }
        let folder = lock.project().staging_folder();
        set_aside(lock.project())?;
        OwnFolder::of(lock.project())?.below(STAGING, Missing::Create)?;
        let project = lock.project().clone();
        let unfinished = Unfinished::new(move || {
            // Where others still write to it this may have to be done again; what stays is cleared by the next command.
            let is_promised = project.journal_file().symlink_metadata().is_ok();
            let _ = is_promised || (0..CLEARING_TRIES).any(|_| set_aside(&project).is_ok());
        });
        let new_folders = NewFolders::default();
        Ok(Self { folder, next: AtomicU64::new(0), new_folders, _unfinished: unfinished })
    }

    /// Like [`create`](Self::create), for a pull that writes `files`: folders that the project does not have yet are
    /// made here, to be put in place as they are.
    pub fn create_for(lock: &ProjectLock, files: &ByPath<BundlePath>) -> io::Result<Self> {
        let mut staging = Self::create(lock)?;
        File::create_new(staging.folder.join(PULL_MARK))?;
        staging.new_folders = NewFolders::of(lock.project().root(), files)?;
        let mut last = PathBuf::new();
        for file in files {
            let Some(path) = staging.in_new_folder(file) else { continue };
            // Files come in the order of their paths, and most neighbours share their folder.
            if let Some(parent) = path.parent().filter(|parent| *parent != last) {
                std::fs::create_dir_all(parent)?;
                parent.clone_into(&mut last);
            }
        }
        Ok(staging)
    }

    /// The folder in which the staged files lie.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Creates an empty file, open for writing, with the permissions that the umask gives.
    ///
    /// It need not be synced: [`super::journal::Commit::prepare`] does that for all files at once.
    pub fn stage_file(&self, mode: Mode) -> io::Result<(PathBuf, File)> {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        new_file(self.folder.join(number.to_string()), mode)
    }

    /// Like [`stage_file`](Self::stage_file), for the file that goes to `path`, once: in its folder, if that is new.
    pub fn stage(&self, path: &BundlePath, mode: Mode) -> io::Result<(PathBuf, File)> {
        match self.in_new_folder(path) {
            Some(staged) => new_file(staged, mode),
            None => self.stage_file(mode),
        }
    }

    /// The folders that are put in place with all that is in them.
    pub(crate) fn new_folders(&self) -> &NewFolders {
        &self.new_folders
    }

    fn in_new_folder(&self, path: &BundlePath) -> Option<PathBuf> {
        let (folder, below) = self.new_folders.above(path)?;
        Some(below.split('/').fold(self.folder.join(&folder.staged), |folder, part| folder.join(part)))
    }

    /// Leaves what a pull has staged of `project` for the next one.
    pub(crate) fn leave(self, project: &Project) -> io::Result<()> {
        set_aside(project)
    }

    /// Removes the staged files.
    pub fn discard(self) -> io::Result<()> {
        clear(&self.folder)
    }
}

/// A staged file that nobody needs once this is dropped.
#[derive(Debug)]
pub struct StagedFile {
    path: PathBuf,
}

impl StagedFile {
    /// Takes care of the file at `path`.
    pub fn new(path: PathBuf) -> Self {
        Self { path }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for StagedFile {
    fn drop(&mut self) {
        // What stays is cleared away with the folder.
        let _ = std::fs::remove_file(&self.path);
    }
}

/// Removes a staging folder and all that is in it; that there is none is fine.
pub(crate) fn clear(folder: &Path) -> io::Result<()> {
    let is_folder = folder.symlink_metadata().is_ok_and(|found| found.is_dir());
    // A link goes itself, and not what it points to.
    match if is_folder { std::fs::remove_dir_all(folder) } else { std::fs::remove_file(folder) } {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Makes `files`, all of them somewhere in `folder`, survive a power cut.
pub(crate) fn sync_files<'a>(
    folder: &Path,
    files: impl ExactSizeIterator<Item = &'a Path>,
) -> io::Result<()> {
    #[cfg(target_os = "linux")]
    if files.len() > SYNC_AT_ONCE_ABOVE {
        return Ok(rustix::fs::syncfs(File::open(folder)?)?);
    }
    let mut folders = BTreeSet::from([folder]);
    for file in files {
        if file.symlink_metadata()?.is_symlink() {
            continue;
        }
        // Windows syncs only what is open for writing.
        OpenOptions::new().read(true).write(cfg!(windows)).open(file)?.sync_all()?;
        folders.extend(file.ancestors().skip(1).take_while(|above| *above != folder));
    }
    folders.into_iter().try_for_each(super::atomic::sync_folder)
}

/// Creates the file at `path`, with the permissions that the umask gives.
fn new_file(path: PathBuf, mode: Mode) -> io::Result<(PathBuf, File)> {
    let file = OpenOptions::new().read(true).write(true).create_new(true).open(&path)?;
    if mode == Mode::Executable {
        make_executable(&file)?;
    }
    Ok((path, file))
}

fn make_executable(file: &File) -> io::Result<()> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let mut permissions = file.metadata()?.permissions();
        let mode = permissions.mode();
        permissions.set_mode(mode | (mode & 0o444) >> 2);
        super::modes::set_permissions(file, permissions)?;
    }
    #[cfg(not(unix))]
    let _ = file;
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tempfile::TempDir;

    use super::*;

    #[test]
    #[cfg(unix)]
    fn whoever_may_read_an_executable_may_run_it() {
        use std::os::unix::fs::PermissionsExt;
        let folder = TempDir::new().unwrap();
        let project = Project::create(folder.path()).unwrap();
        let lock = ProjectLock::acquire(&project, "test", Duration::ZERO).unwrap();
        let staging = Staging::create(&lock).unwrap();
        let mode =
            |mode| staging.stage_file(mode).unwrap().0.metadata().unwrap().permissions().mode() & 0o777;
        let plain = mode(Mode::Plain);
        assert_eq!(plain & 0o111, 0);
        assert_eq!(mode(Mode::Executable), plain | (plain & 0o444) >> 2);
        staging.discard().unwrap();
        assert!(!project.staging_folder().exists());
    }
}

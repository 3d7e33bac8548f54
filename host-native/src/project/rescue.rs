//! Moves whatever is in the way of a commit to safety.

use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use cap_fs_ext::DirExt as _;
use cap_std::ambient_authority;
use cap_std::fs::Dir;

use super::folder::{Project, RESCUED};
use super::own_folder::OwnFolder;
use super::parents::{Missing, split};
use super::spot::{Spot, crosses};
use crate::whole_file::FileFault;

/// How many folders are tried, where things that were rescued earlier have the name.
const ATTEMPTS: u32 = 1000;

/// Something of the user's that stood where a commit had to go on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rescued {
    /// What it was called in the project.
    pub path: String,
    /// Where it is now.
    pub now_at: PathBuf,
}

/// Moves the entry `path`, which lies in `parent`, to the folder for such things.
pub(crate) fn rescue(project: &Project, parent: &Dir, path: &str) -> io::Result<Rescued> {
    rescue_as(project, Spot::new(parent, split(path).1), path)
}

/// Moves the entry at `spot` to the folder for such things, as the entry `path` of the project.
pub(crate) fn rescue_as(project: &Project, spot: Spot<'_>, path: &str) -> io::Result<Rescued> {
    let (folder, name) = split(path);
    let rescued = match OwnFolder::of(project)?.below(RESCUED, Missing::Create) {
        // A link, or no folder: what is rescued does not leave the project.
        Err(error) if FileFault::of(&error).is_some() || error.kind() == ErrorKind::NotADirectory => None,
        other => other?,
    };
    let Some(rescued) = rescued else { return rename_aside(project, spot, path) };
    for attempt in 0..ATTEMPTS {
        // Something rescued earlier may have the name, or be what a folder is needed for.
        let Ok(place) = place_for(&rescued, attempt, folder) else { continue };
        if place.dir().symlink_metadata(name).is_ok() {
            continue;
        }
        return match spot.rename(Spot::new(place.dir(), name)) {
            Err(error) if crosses(&error) => rename_aside(project, spot, path),
            Err(error) => Err(error),
            Ok(()) => Ok(Rescued { path: path.to_owned(), now_at: place.path().join(name) }),
        };
    }
    // On a full or read-only disk no other name will do either.
    Err(ErrorKind::AlreadyExists.into())
}

/// The folder for what lay in `folder`, at this attempt.
fn place_for(rescued: &OwnFolder, attempt: u32, folder: &str) -> io::Result<OwnFolder> {
    let again = (attempt > 0).then(|| format!("again-{attempt}"));
    let parts = again.as_deref().into_iter().chain(folder.split('/').filter(|part| !part.is_empty()));
    let mut place = rescued.try_clone()?;
    for part in parts {
        place = place.below(part, Missing::Create)?.ok_or(ErrorKind::NotFound)?;
    }
    Ok(place)
}

/// Where the project spans file systems, what is rescued stays on its own.
fn rename_aside(project: &Project, spot: Spot<'_>, path: &str) -> io::Result<Rescued> {
    let (folder, name) = split(path);
    let free = (1_u32..)
        .map(|n| format!("{name}.rescued-{n}"))
        .find(|free| spot.folder.symlink_metadata(free).is_err());
    let free = free.ok_or(ErrorKind::AlreadyExists)?;
    spot.rename(Spot::new(spot.folder, &free))?;
    Ok(Rescued { path: path.to_owned(), now_at: project.root().join(folder).join(free) })
}

/// Puts what was rescued back to where it was, if nothing is there.
pub(crate) fn put_back(project: &Project, rescued: &Rescued, parent: &Dir) -> io::Result<()> {
    let target = Spot::new(parent, split(&rescued.path).1);
    if target.look()?.is_some() {
        return Err(ErrorKind::AlreadyExists.into());
    }
    let (Some(folder), Some(name)) = (rescued.now_at.parent(), rescued.now_at.file_name()) else {
        return Err(ErrorKind::NotFound.into());
    };
    open_folder(project, folder)?.rename(name, parent, target.name)
}

/// Opens a folder of the project; no link is followed on the way there.
fn open_folder(project: &Project, folder: &Path) -> io::Result<Dir> {
    let below = folder.strip_prefix(project.root()).map_err(|_| ErrorKind::NotFound)?;
    let root = Dir::open_ambient_dir(project.root(), ambient_authority())?;
    below.iter().try_fold(root, |above, name| above.open_dir_nofollow(name))
}

/// Removes the folder `name` if no file lies anywhere in it; says whether it is gone.
pub(crate) fn remove_empty_tree(parent: &Dir, name: &str) -> io::Result<bool> {
    if !is_empty_tree(parent, name)? {
        return Ok(false);
    }
    parent.remove_dir_all(name)?;
    Ok(true)
}

/// Whether the folder `name` has no file anywhere in it.
pub(crate) fn is_empty_tree(parent: &Dir, name: &str) -> io::Result<bool> {
    Ok(!has_files(&parent.open_dir_nofollow(name)?)?)
}

fn has_files(folder: &Dir) -> io::Result<bool> {
    for entry in folder.entries()? {
        let entry = entry?;
        if !entry.file_type()?.is_dir() || has_files(&entry.open_dir()?)? {
            return Ok(true);
        }
    }
    Ok(false)
}

#[cfg(test)]
#[cfg(unix)]
mod tests {
    use tempfile::TempDir;

    use super::*;

    #[test]
    fn nothing_is_put_back_by_way_of_a_link() {
        let (folder, outside) = (TempDir::new().unwrap(), TempDir::new().unwrap());
        let project = Project::create(folder.path()).unwrap();
        let root = Dir::open_ambient_dir(project.root(), ambient_authority()).unwrap();
        std::fs::write(project.root().join("file"), "mine").unwrap();
        let rescued = rescue(&project, &root, "file").unwrap();
        put_back(&project, &rescued, &root).unwrap();
        assert_eq!(std::fs::read(project.root().join("file")).unwrap(), b"mine");

        let rescued = rescue(&project, &root, "file").unwrap();
        std::fs::rename(project.rescued_folder(), outside.path().join("moved")).unwrap();
        std::os::unix::fs::symlink(outside.path().join("moved"), project.rescued_folder()).unwrap();
        assert!(put_back(&project, &rescued, &root).is_err());
        assert_eq!(std::fs::read(outside.path().join("moved/file")).unwrap(), b"mine");
    }
}

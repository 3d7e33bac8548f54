//! Moves whatever is in the way of a commit to safety.

use std::io::{self, ErrorKind};
use std::path::PathBuf;

use cap_fs_ext::DirExt as _;
use cap_std::ambient_authority;
use cap_std::fs::Dir;

use super::folder::Project;
use super::parents::split;
use super::spot::{Spot, crosses};

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
    for attempt in 0_u32.. {
        let mut place = project.rescued_folder();
        if attempt > 0 {
            place.push(format!("again-{attempt}"));
        }
        place.push(folder);
        let is_free = std::fs::create_dir_all(&place).is_ok() && place.join(name).symlink_metadata().is_err();
        if !is_free {
            // Something rescued earlier has the name; on a full or read-only disk no other will do either.
            if attempt < 1000 {
                continue;
            }
            return Err(ErrorKind::AlreadyExists.into());
        }
        let target = Dir::open_ambient_dir(&place, ambient_authority())?;
        return match spot.rename(Spot::new(&target, name)) {
            Err(error) if crosses(&error) => rename_aside(project, spot, path),
            Err(error) => Err(error),
            Ok(()) => Ok(Rescued { path: path.to_owned(), now_at: place.join(name) }),
        };
    }
    Err(ErrorKind::AlreadyExists.into())
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
pub(crate) fn put_back(rescued: &Rescued, parent: &Dir) -> io::Result<()> {
    let target = Spot::new(parent, split(&rescued.path).1);
    if target.look()?.is_some() {
        return Err(ErrorKind::AlreadyExists.into());
    }
    let (Some(folder), Some(name)) = (rescued.now_at.parent(), rescued.now_at.file_name()) else {
        return Err(ErrorKind::NotFound.into());
    };
    Dir::open_ambient_dir(folder, ambient_authority())?.rename(name, parent, target.name)
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

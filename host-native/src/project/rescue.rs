//! The moves of a commit: a staged file to its place, and whatever is in its way to safety.

use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use cap_std::ambient_authority;
use cap_std::fs::{Dir, OpenOptions};

use super::folder::Project;
use super::parents::split;

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
        return match parent.rename(name, &target, name) {
            Err(error) if error.kind() == ErrorKind::CrossesDevices => rename_aside(project, parent, path),
            Err(error) => Err(error),
            Ok(()) => Ok(Rescued { path: path.to_owned(), now_at: place.join(name) }),
        };
    }
    Err(ErrorKind::AlreadyExists.into())
}

/// Where the project spans file systems, what is rescued stays on its own.
fn rename_aside(project: &Project, parent: &Dir, path: &str) -> io::Result<Rescued> {
    let (folder, name) = split(path);
    let free =
        (1_u32..).map(|n| format!("{name}.rescued-{n}")).find(|free| parent.symlink_metadata(free).is_err());
    let free = free.ok_or(ErrorKind::AlreadyExists)?;
    parent.rename(name, parent, &free)?;
    Ok(Rescued { path: path.to_owned(), now_at: project.root().join(folder).join(free) })
}

/// Puts the file `staged` at `name` in `parent`, replacing what is there: a link itself, not its target.
pub(crate) fn place(staging: &Dir, staged: &str, parent: &Dir, name: &str) -> io::Result<()> {
    match staging.rename(staged, parent, name) {
        Err(error) if error.kind() == ErrorKind::CrossesDevices => copy(staging, staged, parent, name),
        other => other,
    }
}

/// Like [`place`], where the target is on another file system: the copy is complete before it gets its name.
fn copy(staging: &Dir, staged: &str, parent: &Dir, name: &str) -> io::Result<()> {
    // One at a time is on its way.
    let on_the_way = Path::new(".modelops-bundle.new");
    match parent.remove_file(on_the_way) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut from = staging.open(staged)?.into_std();
    let mut to = parent.open_with(on_the_way, OpenOptions::new().write(true).create_new(true))?.into_std();
    io::copy(&mut from, &mut to)?;
    let metadata = from.metadata()?;
    to.set_permissions(metadata.permissions())?;
    // By its time the copy is known again after a crash.
    to.set_modified(metadata.modified()?)?;
    to.sync_all()?;
    parent.rename(on_the_way, parent, name)?;
    staging.remove_file(staged)
}

/// Removes the folder `name` if no file lies anywhere in it; says whether it is gone.
pub(crate) fn remove_empty_tree(parent: &Dir, name: &str) -> io::Result<bool> {
    let folder = parent.open_dir(name)?;
    if has_files(&folder)? {
        return Ok(false);
    }
    drop(folder);
    parent.remove_dir_all(name)?;
    Ok(true)
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

//! Looks, before a commit is promised, whether the system would let it be carried out.
//!
//! What it finds is what lasts: folders that may not be written in, file systems that are read-only, mounts, flags of
//! entries, room on another disk. Whatever it does not find is taken back where it shows itself; see
//! [`super::roll_back`].

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::io;
use std::path::Path;

use bundle_core::name::path::BundlePath;
use cap_fs_ext::DirExt as _;
use cap_std::fs::Dir;
use thiserror::Error;

use super::folder::Project;
use super::new_folders::NewFolders;
use super::parents::{Missing, Parents, split};
use crate::rights::room;

/// One change that a commit makes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Change<'a> {
    pub(crate) path: &'a BundlePath,
    /// Whether something at `path` goes, because it is deleted or replaced.
    pub(crate) takes_away: bool,
    /// The file that comes.
    pub(crate) staged: Option<&'a Path>,
}

/// What a look ahead found out.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Reach {
    /// The outermost folders that have to be made, by path.
    pub(crate) made: Vec<BundlePath>,
    /// Folders that staged files have to be copied to.
    pub(crate) across: Vec<String>,
}

/// Looks whether `changes` can be made in `project`, of files staged in the folder `home`, or in `new_folders` there.
pub(crate) fn look_ahead(
    project: &Project,
    home: &Path,
    new_folders: &NewFolders,
    changes: &[Change<'_>],
) -> Result<Reach, ReachError> {
    let fault = |source| ReachError::Look { folder: project.root().display().to_string(), source };
    let parents = Parents::new(project.root()).map_err(fault)?;
    let home = Folder::at(home).map_err(fault)?;
    let mut look =
        Look { parents, home, folders: BTreeMap::new(), refused: Vec::new(), made: BTreeSet::new() };
    let mut across: BTreeMap<String, u64> = BTreeMap::new();
    for change in changes {
        let Some(folder) = look.folder_of(change.path, new_folders)? else { continue };
        look.check(change, &folder)?;
        if let Some(staged) = change.staged.filter(|_| look.is_across(&folder)) {
            let size = staged.symlink_metadata().map_err(fault)?.len();
            *across.entry(folder).or_default() += size;
        }
    }
    if !look.refused.is_empty() {
        return Err(ReachError::Refused { refused: look.refused });
    }
    look.check_room(&across)?;
    Ok(Reach { made: look.made.into_iter().collect(), across: across.into_keys().collect() })
}

struct Look {
    parents: Parents,
    /// The staging folder.
    home: Folder,
    /// What is known of the folders that are written in, by path.
    folders: BTreeMap<String, Folder>,
    refused: Vec<(BundlePath, Refusal)>,
    made: BTreeSet<BundlePath>,
}

impl Look {
    /// The folder in which a change at `path` gives or takes a name: the one that it lies in, or the one in which the
    /// first folder on the way there is made. `None` where something else stands there that goes as well.
    fn folder_of(
        &mut self,
        path: &BundlePath,
        new_folders: &NewFolders,
    ) -> Result<Option<String>, ReachError> {
        if let Some((new, _)) = new_folders.above(path)
            && self.made.contains(&new.path)
        {
            return Ok(Some(split(new.path.as_str()).0.to_owned()));
        }
        let (parent, _) = split(path.as_str());
        if self.folders.contains_key(parent) {
            return Ok(Some(parent.to_owned()));
        }
        let mut above = "";
        for folder in path.folders() {
            if self.folders.contains_key(folder) {
                above = folder;
                continue;
            }
            match self.parents.open(folder, Missing::Leave) {
                Ok(Some(_)) => above = folder,
                Ok(None) => {
                    let made = folder.parse().map_err(|_| ReachError::Path { path: folder.to_owned() })?;
                    self.made.insert(made);
                    break;
                }
                // A file or a link that is deleted makes way for a folder; it is looked at by itself.
                Err(error) if error.obstacle().is_some() => {
                    let made = folder.parse().map_err(|_| ReachError::Path { path: folder.to_owned() })?;
                    self.made.insert(made);
                    return Ok(None);
                }
                Err(error) => {
                    return Err(ReachError::Look {
                        folder: folder.to_owned(),
                        source: io::Error::other(error),
                    });
                }
            }
        }
        Ok(Some(above.to_owned()))
    }

    fn check(&mut self, change: &Change<'_>, folder: &str) -> Result<(), ReachError> {
        let fault = |source| ReachError::Look { folder: shown(folder), source };
        let known = match self.folders.get(folder) {
            Some(known) => *known,
            None => {
                let handle = self.parents.open(folder, Missing::Leave);
                let handle = handle.map_err(|error| fault(io::Error::other(error)))?;
                let Some(handle) = handle else { return Ok(()) };
                let known = Folder::of(&handle).map_err(fault)?;
                self.folders.insert(folder.to_owned(), known);
                known
            }
        };
        // A folder may stand where a file comes; in a folder that is yet to be made nothing does.
        let may_take_away = change.takes_away || split(change.path.as_str()).0 == folder;
        let refusal = match known.refusal {
            None if may_take_away => self.check_entry(change.path, known).map_err(fault)?,
            refusal => refusal,
        };
        self.refused.extend(refusal.map(|refusal| (change.path.clone(), refusal)));
        Ok(())
    }

    fn check_entry(&mut self, path: &BundlePath, folder: Folder) -> io::Result<Option<Refusal>> {
        // That it cannot be opened is known already.
        let Ok(Some(parent)) = self.parents.of(path, Missing::Leave) else { return Ok(None) };
        let name = split(path.as_str()).1;
        match entry_refusal(&parent, name, folder, self.home)? {
            None if holds_mount(&parent, name, folder)? => Ok(Some(Refusal::Mount)),
            refusal => Ok(refusal),
        }
    }

    fn is_across(&self, folder: &str) -> bool {
        self.folders.get(folder).is_some_and(|folder| folder.mount() != self.home.mount())
    }

    /// Compares what has to be copied with the room where it goes.
    fn check_room(&mut self, across: &BTreeMap<String, u64>) -> Result<(), ReachError> {
        let mut by_device: BTreeMap<u64, (&str, u64)> = BTreeMap::new();
        // A folder that cannot be opened has been refused, and nothing goes there.
        for (folder, size) in across {
            if let Some(known) = self.folders.get(folder) {
                by_device.entry(known.device).or_insert((folder, 0)).1 += size;
            }
        }
        for (folder, needed) in by_device.into_values() {
            let fault = |source| ReachError::Look { folder: shown(folder), source };
            let Ok(Some(handle)) = self.parents.open(folder, Missing::Leave) else { continue };
            match room(&handle).map_err(fault)? {
                Some(free) if free < needed => {
                    return Err(ReachError::Room { folder: shown(folder), needed, free });
                }
                _ => {}
            }
        }
        Ok(())
    }
}

/// Whether something is mounted in the folder `name` of `parent`, if that is one; `above` is what is known of `parent`.
fn holds_mount(parent: &Dir, name: &str, above: Folder) -> io::Result<bool> {
    let Ok(folder) = parent.open_dir_nofollow(name) else { return Ok(false) };
    if Folder::of(&folder)?.mount() != above.mount() {
        return Ok(true);
    }
    for entry in folder.entries()? {
        let entry = entry?;
        // No bundle has a file of another name, so that such a folder does not go.
        let Some(name) = entry.file_name().to_str().map(str::to_owned) else { continue };
        if entry.file_type()?.is_dir() && holds_mount(&folder, &name, above)? {
            return Ok(true);
        }
    }
    Ok(false)
}

fn shown(folder: &str) -> String {
    if folder.is_empty() { ".".to_owned() } else { folder.to_owned() }
}

/// What is known of a folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Folder {
    device: u64,
    /// The number of its mount, where the system tells.
    mount: u64,
    owner: u32,
    /// Whether only their owners may take entries away.
    is_sticky: bool,
    refusal: Option<Refusal>,
}

impl Folder {
    /// Two folders of one mount, between which entries can be moved, have the same.
    fn mount(&self) -> (u64, u64) {
        (self.device, self.mount)
    }
}

#[cfg(target_os = "linux")]
mod system {
    use std::io;
    use std::os::fd::AsFd;
    use std::path::Path;

    use cap_std::fs::Dir;
    use rustix::fs::{Access, AtFlags, Statx, StatxAttributes, StatxFlags, accessat, makedev, statx};
    use rustix::io::Errno;

    use super::{Folder, Refusal};

    const STICKY: u16 = 0o1000;

    /// What is asked about an entry: the system leaves out what it does not know.
    const ASKED: StatxFlags = StatxFlags::BASIC_STATS.union(StatxFlags::MNT_ID);

    impl Folder {
        pub(super) fn at(path: &Path) -> io::Result<Self> {
            Self::of(std::fs::File::open(path)?)
        }

        pub(super) fn of(folder: impl AsFd) -> io::Result<Self> {
            let found = statx(&folder, "", AtFlags::EMPTY_PATH, ASKED)?;
            let may_write = Access::WRITE_OK | Access::EXEC_OK;
            let is_fixed =
                found.stx_attributes.intersects(StatxAttributes::IMMUTABLE | StatxAttributes::APPEND);
            let refusal = match accessat(&folder, ".", may_write, AtFlags::empty()) {
                Err(Errno::ROFS) => Some(Refusal::ReadOnly),
                _ if is_fixed => Some(Refusal::FixedFolder),
                Err(Errno::ACCESS | Errno::PERM) => Some(Refusal::Folder),
                // Some sandboxes answer no such question; the commit finds out.
                Ok(()) | Err(_) => None,
            };
            let (device, mount) = (device(&found), mount(&found));
            let is_sticky = found.stx_mode & STICKY != 0;
            Ok(Self { device, mount, owner: found.stx_uid, is_sticky, refusal })
        }
    }

    /// Why the entry `name` of `parent` may not be taken away; `home` is a folder that this process has made.
    pub(super) fn entry_refusal(
        parent: &Dir,
        name: &str,
        folder: Folder,
        home: Folder,
    ) -> io::Result<Option<Refusal>> {
        let found = match statx(parent, name, AtFlags::SYMLINK_NOFOLLOW | AtFlags::NO_AUTOMOUNT, ASKED) {
            Ok(found) => found,
            Err(Errno::NOENT | Errno::NOTDIR) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let is_other_user = home.owner != 0 && home.owner != folder.owner && home.owner != found.stx_uid;
        let flags = found.stx_attributes;
        Ok(
            if flags.contains(StatxAttributes::MOUNT_ROOT)
                || (device(&found), mount(&found)) != folder.mount()
            {
                Some(Refusal::Mount)
            } else if flags.intersects(StatxAttributes::IMMUTABLE | StatxAttributes::APPEND) {
                Some(Refusal::Fixed)
            } else if folder.is_sticky && is_other_user {
                Some(Refusal::Sticky)
            } else {
                None
            },
        )
    }

    fn device(found: &Statx) -> u64 {
        makedev(found.stx_dev_major, found.stx_dev_minor)
    }

    fn mount(found: &Statx) -> u64 {
        if found.stx_mask & StatxFlags::MNT_ID.bits() != 0 { found.stx_mnt_id } else { 0 }
    }
}

/// Elsewhere nothing is known ahead, and what is refused is taken back.
#[cfg(not(target_os = "linux"))]
mod system {
    use std::io;
    use std::path::Path;

    use cap_std::fs::Dir;

    use super::{Folder, Refusal};

    impl Folder {
        const UNKNOWN: Self = Self { device: 0, mount: 0, owner: 0, is_sticky: false, refusal: None };

        pub(super) fn at(_: &Path) -> io::Result<Self> {
            Ok(Self::UNKNOWN)
        }

        pub(super) fn of<T>(_: T) -> io::Result<Self> {
            Ok(Self::UNKNOWN)
        }
    }

    pub(super) fn entry_refusal(_: &Dir, _: &str, _: Folder, _: Folder) -> io::Result<Option<Refusal>> {
        Ok(None)
    }
}

use system::entry_refusal;

/// Why the system would not let a change be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The entry may only be added to, or not be changed at all.
    Fixed,
    /// The same of the folder that it lies in.
    FixedFolder,
    /// The user may not write in the folder.
    Folder,
    /// Something is mounted there.
    Mount,
    /// The file system is mounted for reading only.
    ReadOnly,
    /// It is another user's, in a folder in which each may take away only what is theirs.
    Sticky,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Fixed => "it is marked immutable or append-only",
            Self::FixedFolder => "its folder is marked immutable or append-only",
            Self::Folder => "you have no permission to write in its folder",
            Self::Mount => "something is mounted there",
            Self::ReadOnly => "its file system is read-only",
            Self::Sticky => "it belongs to another user, and its folder has the sticky bit",
        })
    }
}

/// Why the system would not let a commit be carried out; nothing was changed.
#[derive(Debug, Error)]
pub enum ReachError {
    /// A folder cannot be looked at.
    #[error("cannot look at the folder `{}`", folder.escape_debug())]
    Look {
        /// The folder.
        folder: String,
        /// What the system said.
        source: io::Error,
    },
    /// A folder has a name that no bundle knows.
    #[error("`{}` is not a path of a bundle", path.escape_debug())]
    Path {
        /// The folder.
        path: String,
    },
    /// Paths cannot be written or deleted.
    #[error("the system would not let {} paths be changed", refused.len())]
    Refused {
        /// Which, and why.
        refused: Vec<(BundlePath, Refusal)>,
    },
    /// What has to be copied to another disk is more than the room there.
    #[error("`{}` is on another disk, where {needed} bytes are needed and {free} are free", folder.escape_debug())]
    Room {
        /// A folder there.
        folder: String,
        /// How many bytes have to go there.
        needed: u64,
        /// How many bytes can.
        free: u64,
    },
}

//! Moves to the undo store what a commit took out of its place, once the commit has been carried out.
//!
//! First the staged entry moves there, under a name that shows that it is not whole; that it is there tells whoever comes
//! after a crash that all else of the commit has happened. Then the content follows, from wherever the commit left it, and
//! then the entry gets its number. Every step may be repeated.

use std::io::{self, ErrorKind};

use bundle_core::name::path::BundlePath;
use cap_std::fs::Dir;

use super::apply::BeforeStep;
use super::folder::{PROJECT_FOLDER, Project, UNDO};
use super::journal::Journal;
use super::keeping::{Promised, PromisedEntry, STAGED_ENTRY};
use super::kept::{Kept, find_old};
use super::own_folder::OwnFolder;
use super::parents::{Missing, Parents};
use super::rescue::{Rescued, rescue_as};
use super::roll_back::WriteSpots;
use super::spot::{Found, Spot, crosses};
use super::undo::{ENTRY, Store, part_name};
use crate::whole_file::FileFault;

/// Whether the entry that `journal` promises has left staging: then all else of the commit has happened.
pub(super) fn has_begun(project: &Project, journal: &Journal) -> io::Result<bool> {
    let Some(entry) = journal.keeping.as_ref().and_then(|keeping| keeping.entry.as_ref()) else {
        return Ok(false);
    };
    let Some(store) = Store::open(project)? else { return Ok(false) };
    Ok(is_there(&store, &entry.id.to_string(), entry)? || is_there(&store, &part_name(entry.id), entry)?)
}

/// Whether `entry` is in the folder `name` of the store.
fn is_there(store: &Store, name: &str, entry: &PromisedEntry) -> io::Result<bool> {
    let Some(folder) = store.folder().below(name, Missing::Leave)? else { return Ok(false) };
    let found = Spot::new(folder.dir(), ENTRY).look()?;
    Ok(matches!(found, Some(Found::File(stamp)) if stamp.has_same_time_and_size(&entry.stamp)))
}

/// Keeps what `journal` promises to keep, of a commit that has been carried out.
pub(super) fn keep(
    project: &Project,
    journal: &Journal,
    parents: &mut Parents,
    staging: &mut Parents,
    before_step: BeforeStep<'_>,
) -> io::Result<()> {
    let Some(Promised { entry, keeps, drops }) = &journal.keeping else { return Ok(()) };
    let store = match entry {
        Some(_) => Store::create(project)?,
        None => match Store::open(project)? {
            Some(store) => store,
            None => return Ok(()),
        },
    };
    if let Some(entry) = entry
        && !is_there(&store, &entry.id.to_string(), entry)?
    {
        let part = part_name(entry.id);
        if !is_there(&store, &part, entry)? {
            before_step("keep entry")?;
            move_entry(&staging.top(), store.folder(), &part)?;
            store.folder().sync()?;
        }
        let folder = store.folder().below(&part, Missing::Leave)?.ok_or(ErrorKind::NotFound)?;
        for kept in keeps {
            before_step("keep")?;
            keep_one(journal, *kept, parents, staging, folder.dir())?;
        }
        folder.sync()?;
        before_step("name entry")?;
        store.folder().dir().rename(&part, store.folder().dir(), entry.id.to_string())?;
        store.folder().sync()?;
    }
    for id in drops {
        before_step("drop entry")?;
        store.remove(*id)?;
    }
    Ok(())
}

/// Moves the staged entry, or copies it where the store is on another file system.
fn move_entry(staging: &Dir, store: &OwnFolder, part: &str) -> io::Result<()> {
    match staging.rename(STAGED_ENTRY, store.dir(), part) {
        Err(error) if crosses(&error) => {
            super::undo::create_private(store.dir(), part)?;
            let target = store.below(part, Missing::Leave)?.ok_or(ErrorKind::NotFound)?;
            let folder = staging.open_dir(STAGED_ENTRY)?;
            let copy = |name: &str| Spot::new(&folder, name).copy(Spot::new(target.dir(), name));
            for entry in folder.entries()? {
                let name = entry?.file_name();
                let name = name.to_str().ok_or(ErrorKind::InvalidData)?;
                // It says that all is there, and so comes last.
                if name != ENTRY {
                    copy(name)?;
                }
            }
            target.sync()?;
            copy(ENTRY)?;
            target.sync()
        }
        other => other,
    }
}

/// Moves what was taken out of one place, unless an earlier try has.
fn keep_one(
    journal: &Journal,
    kept: Kept,
    parents: &mut Parents,
    staging: &mut Parents,
    to: &Dir,
) -> io::Result<()> {
    let name = kept.in_staging();
    with_old(journal, kept, parents, staging, |_, old| move_to(old, Spot::new(to, &name)))
}

/// Does something with what was taken out of one place, and the path of that, unless an earlier try has moved it.
fn with_old(
    journal: &Journal,
    kept: Kept,
    parents: &mut Parents,
    staging: &mut Parents,
    act: impl FnOnce(&BundlePath, Spot<'_>) -> io::Result<()>,
) -> io::Result<()> {
    let (name, beside) = (kept.in_staging(), kept.beside());
    let top = staging.top();
    match kept {
        Kept::Deleted(at) => {
            let Some(delete) = journal.deletes.get(at) else { return Ok(()) };
            let parent = parents.of(&delete.path, Missing::Leave).ok().flatten();
            let beside = parent.as_ref().map(|parent| Spot::new(parent, &beside));
            let spots = [Spot::new(&top, &name)].into_iter().chain(beside);
            find_old(spots, |_| false)?.map_or(Ok(()), |old| act(&delete.path, old))
        }
        Kept::Replaced(at) => {
            let Some(write) = journal.writes.get(at) else { return Ok(()) };
            let spots = WriteSpots::open(staging, at, write)?;
            let parent = parents.of(&write.path, Missing::Leave).ok().flatten();
            let old = match &parent {
                Some(parent) => spots.old(parent, write)?,
                None => find_old(spots.in_staging(), |found| write.is_new(found))?,
            };
            old.map_or(Ok(()), |old| act(&write.path, old))
        }
        Kept::Own(_) => Ok(()),
    }
}

/// Whether an error of [`keep`] stays however often it is tried: something else lies where the store is, or in it.
pub(super) fn is_lasting(error: &io::Error) -> bool {
    let lasting = [ErrorKind::NotADirectory, ErrorKind::DirectoryNotEmpty, ErrorKind::AlreadyExists];
    FileFault::of(error).is_some() || lasting.contains(&error.kind())
}

/// Moves to where the user finds it what cannot be kept in the store, as far as that is possible.
pub(super) fn keep_aside(
    project: &Project,
    journal: &Journal,
    parents: &mut Parents,
    staging: &mut Parents,
) -> Vec<Rescued> {
    let Some(Promised { entry, keeps, .. }) = &journal.keeping else { return Vec::new() };
    let mut aside = Vec::new();
    for kept in keeps {
        let _ = with_old(journal, *kept, parents, staging, |path, old| {
            aside.push(rescue_as(project, old, path.as_str())?);
            Ok(())
        });
    }
    // What an earlier try has moved there.
    if let Some(entry) = entry
        && let Ok(Some(store)) = Store::open(project)
    {
        let part = part_name(entry.id);
        let spot = Spot::new(store.folder().dir(), &part);
        if matches!(spot.look(), Ok(Some(Found::Folder))) {
            let path = format!("{PROJECT_FOLDER}/{UNDO}/{part}");
            aside.extend(rescue_as(project, spot, &path));
        }
    }
    aside
}

/// Moves the file at `old` to `target`, or a copy of it where that is on another file system.
fn move_to(old: Spot<'_>, target: Spot<'_>) -> io::Result<()> {
    if old.look()? == Some(Found::Folder) {
        return Ok(());
    }
    match old.rename(target) {
        Err(error) if crosses(&error) => {
            old.copy_as_it_is(target)?;
            old.remove()
        }
        other => other,
    }
}

//! What an operation keeps, before it is done: how much that is, what makes room for it, and the entry that is staged with it.
//!
//! Moving the content is the matter of [`super::keep`].

use std::collections::BTreeMap;
use std::io::{self, ErrorKind, Write as _};
use std::path::PathBuf;

use bundle_core::digest::Digest;
use bundle_core::name::path::BundlePath;
use bundle_core::plan::keep::{Bound, TooMuch, make_room};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::folder::{Project, STAGING};
use super::journal::{Before, Delete, OwnAfter, Promise};
use super::kept::Kept;
use super::own_folder::{Access, OwnFolder};
use super::parents::Missing;
use super::spot::{Found, Spot};
use super::stamp::Stamp;
use super::tracked::{FORMER_FILE, TRACKED_FILE};
use super::undo::{
    BundleAt, CHANGES, Changes, ENTRY, Elsewhere, Entry, FileChange, Keeps, Kind, MAX_BYTES, OwnBefore,
    OwnChange, Row, Store, Was, create_private,
};

/// The folder of the entry, among what is staged.
pub(crate) const STAGED_ENTRY: &str = "undo";

/// How many operations are kept.
pub const MAX_OPERATIONS: usize = 20;

/// How much is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Policy {
    /// At most so many bytes, in all.
    Keep {
        /// Bytes.
        limit: u64,
    },
    /// Nothing of this operation, which can then not be taken back.
    Nothing,
    /// Nothing of any operation.
    Off,
}

/// Whether an operation keeps what it takes away.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Keep {
    /// As much as is set.
    #[default]
    AsSet,
    /// Nothing.
    No,
}

impl Policy {
    /// How much is kept where `limit` bytes are set, none of them where that is 0.
    pub fn of(limit: u64, keep: Keep) -> Self {
        match (limit, keep) {
            (0, _) => Self::Off,
            (_, Keep::No) => Self::Nothing,
            (limit, Keep::AsSet) => Self::Keep { limit },
        }
    }
}

/// What a plan is made for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// It is carried out.
    Apply,
    /// It is shown, and the store stays as it is.
    Foresee,
}

/// An operation that is about to be done.
#[derive(Clone, Debug)]
pub struct NewOperation {
    /// What it is.
    pub kind: Kind,
    /// The same in words.
    pub command: String,
    /// How much is kept.
    pub policy: Policy,
    /// The last push before it.
    pub last_push: Option<Digest>,
    /// The bundle that the project was synced with before it, as far as that is known.
    pub synced: Option<BundleAt>,
    /// The bundle that comes with it, if one does.
    pub brought: Option<BundleAt>,
    /// What it takes away and need not be kept.
    pub elsewhere: BTreeMap<BundlePath, Elsewhere>,
    /// The operations that it takes back.
    pub takes_back: Vec<u64>,
}

/// What is kept of an operation, decided and not yet done.
#[derive(Clone, Debug, Default)]
pub struct Keeping {
    entry: Option<Entry>,
    elsewhere: BTreeMap<BundlePath, Elsewhere>,
    /// The operations that go.
    drops: Vec<u64>,
    /// What is not kept any longer, to make room.
    expired: Vec<String>,
}

impl Keeping {
    /// Like [`plan`](Self::plan), and an operation that takes nothing away goes on where nothing can be kept: what comes with
    /// it is why not.
    ///
    /// # Errors
    ///
    /// As [`plan`](Self::plan), where something would be lost.
    pub fn plan_where_needed<'a>(
        project: &Project,
        operation: NewOperation,
        taken: impl Iterator<Item = (&'a BundlePath, Before)> + Clone,
        purpose: Purpose,
    ) -> Result<(Self, Option<KeepError>), KeepError> {
        let takes_nothing = taken.clone().all(|(_, before)| before == Before::Absent);
        match Self::plan(project, operation, taken, purpose) {
            Err(error @ KeepError::Store { .. }) if takes_nothing => Ok((Self::default(), Some(error))),
            planned => Ok((planned?, None)),
        }
    }

    /// Decides what is kept of `operation`, which takes away what is at the paths `taken`.
    ///
    /// # Errors
    ///
    /// It does not fit, or the store cannot be used; nothing was changed.
    pub fn plan<'a>(
        project: &Project,
        operation: NewOperation,
        taken: impl IntoIterator<Item = (&'a BundlePath, Before)>,
        purpose: Purpose,
    ) -> Result<Self, KeepError> {
        let fault = |source| KeepError::Store { folder: project.undo_folder(), source };
        let rows = Store::open(project)
            .and_then(|store| store.map_or(Ok((Vec::new(), None)), |store| Ok((store.rows()?, Some(store)))));
        let (rows, store) = match (rows, operation.policy) {
            (Ok(found), _) => found,
            // Who wants nothing kept goes on without the store.
            (Err(_), Policy::Nothing | Policy::Off) => return Ok(Self::default()),
            (Err(source), Policy::Keep { .. }) => return Err(fault(source)),
        };
        let keeps = match operation.policy {
            Policy::Keep { .. } => Keeps::Content,
            Policy::Nothing => Keeps::Nothing,
            Policy::Off => {
                let going: Vec<&Row> =
                    rows.iter().filter(|row| !operation.takes_back.contains(&row.id())).collect();
                let expired = store.as_ref().map_or_else(Vec::new, |store| expired(store, &going));
                let drops = rows.iter().map(Row::id).collect();
                return Ok(Self { drops, expired, ..Self::default() });
            }
        };
        let id = match Self::claim(project, purpose) {
            // What is taken back has to go from the store.
            Err(_) if keeps == Keeps::Nothing && operation.takes_back.is_empty() => {
                return Ok(Self::default());
            }
            claimed => claimed.map_err(fault)?,
        };
        let NewOperation { kind, command, policy, last_push, synced, brought, elsewhere, takes_back } =
            operation;
        let mut entry = Entry::new(id, crate::clock::now().to_string(), kind, command, keeps);
        (entry.last_push, entry.synced, entry.brought) = (last_push, synced, brought);
        if keeps == Keeps::Content {
            for (path, before) in taken {
                let Before::Present(stamp) = before else { continue };
                if !elsewhere.contains_key(path) {
                    entry.kept += 1;
                    entry.kept_bytes = entry.kept_bytes.saturating_add(stamp.size);
                }
            }
        }
        let staying: Vec<&Row> = rows.iter().filter(|row| !takes_back.contains(&row.id())).collect();
        let bytes: Vec<u64> = staying.iter().map(|row| bytes_of(row)).collect();
        let limit = if let Policy::Keep { limit } = policy { limit } else { u64::MAX };
        let bound = Bound { operations: MAX_OPERATIONS, bytes: limit };
        let stays =
            make_room(&bytes, entry.kept_bytes, bound).map_err(|source| KeepError::TooMuch { source })?;
        let going = staying.get(stays..).unwrap_or_default();
        let expired = store.as_ref().map_or_else(Vec::new, |store| expired(store, going));
        let drops = takes_back.into_iter().chain(going.iter().map(|row| row.id())).collect();
        Ok(Self { entry: Some(entry), elsewhere, drops, expired })
    }

    /// Makes sure that the store is there and can be written to, and finds a number.
    fn claim(project: &Project, purpose: Purpose) -> io::Result<u64> {
        if purpose == Purpose::Foresee {
            return Ok(0);
        }
        let store = Store::create(project)?;
        drop(store.folder().new_file(Access::Private)?);
        store.next_id()
    }

    /// The paths of which content was kept by older operations, and is not kept any longer.
    pub fn expired(&self) -> &[String] {
        &self.expired
    }

    /// The paths among `taken` of which the content is kept.
    pub fn kept<'a>(&self, taken: impl IntoIterator<Item = (&'a BundlePath, Before)>) -> Vec<&'a BundlePath> {
        let keeps = self.entry.as_ref().is_some_and(|entry| entry.keeps == Keeps::Content);
        let taken = taken.into_iter().filter(|(path, before)| {
            keeps && *before != Before::Absent && !self.elsewhere.contains_key(*path)
        });
        taken.map(|(path, _)| path).collect()
    }

    /// Whether the store stays as it is.
    pub(crate) fn is_nothing(&self) -> bool {
        self.entry.is_none() && self.drops.is_empty()
    }

    /// Stages the entry, and says what the journal is to promise.
    pub(super) fn stage(
        &self,
        project: &Project,
        writes: &[Promise],
        deletes: &[Delete],
        own: &[OwnAfter],
    ) -> io::Result<Option<Promised>> {
        if self.is_nothing() {
            return Ok(None);
        }
        let Some(entry) = &self.entry else {
            return Ok(Some(Promised { entry: None, keeps: Vec::new(), drops: self.drops.clone() }));
        };
        let mut entry = entry.clone();
        (entry.written, entry.deleted) = (writes.len(), deletes.len());
        let staging = OwnFolder::of(project)?.below(STAGING, Missing::Create)?.ok_or(ErrorKind::NotFound)?;
        create_private(staging.dir(), STAGED_ENTRY)?;
        let folder = staging.below(STAGED_ENTRY, Missing::Leave)?.ok_or(ErrorKind::NotFound)?;
        let mut keeps = Vec::new();
        let mut changes = Changes::default();
        if entry.keeps == Keeps::Content {
            let replaced = writes
                .iter()
                .enumerate()
                .map(|(at, write)| (Kept::Replaced(at), &write.path, write.before, Some(write.after)));
            let deleted = deletes.iter().enumerate();
            let deleted =
                deleted.map(|(at, delete)| (Kept::Deleted(at), &delete.path, delete.expected_before, None));
            for (kept, path, before, after) in replaced.chain(deleted) {
                let before = match (before, self.elsewhere.get(path)) {
                    (Before::Absent, _) => Was::Absent,
                    (Before::Present(_), Some(elsewhere)) => Was::Elsewhere(elsewhere.clone()),
                    (Before::Present(stamp), None) => {
                        keeps.push(kept);
                        Was::Kept { name: kept.in_staging(), stamp }
                    }
                };
                changes.files.push(FileChange { path: path.clone(), before, after });
            }
            changes.files.sort_by(|a, b| a.path.cmp(&b.path));
            for (at, file) in own.iter().map(|own| own.file).enumerate() {
                changes.own.push(keep_own(project, &folder, at, file)?);
            }
        }
        let json = serde_json::to_vec(&changes)?;
        entry.changes = Digest::of(&json);
        write_synced(&folder, CHANGES, &json)?;
        write_synced(&folder, ENTRY, &serde_json::to_vec(&entry)?)?;
        folder.sync()?;
        let Some(Found::File(stamp)) = Spot::new(folder.dir(), ENTRY).look()? else {
            return Err(ErrorKind::NotFound.into());
        };
        let entry = Some(PromisedEntry { id: entry.id, stamp });
        staging.sync()?;
        Ok(Some(Promised { entry, keeps, drops: self.drops.clone() }))
    }
}

/// Copies what one of the project's own files is now.
fn keep_own(project: &Project, folder: &OwnFolder, at: usize, file: &str) -> io::Result<OwnChange> {
    let own = OwnFolder::of(project)?;
    let read = |file: &str| match own.read(file, MAX_BYTES) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        read => read.map(Some),
    };
    let content = match read(file)? {
        // The list of an earlier release goes when there is one under the name of today.
        None if file == TRACKED_FILE => read(FORMER_FILE)?,
        content => content,
    };
    let before = match content {
        Some(content) => {
            let name = Kept::Own(at).in_staging();
            write_synced(folder, &name, &content)?;
            Some(OwnBefore { name, digest: Digest::of(&content) })
        }
        None => None,
    };
    Ok(OwnChange { file: file.to_owned(), before })
}

fn write_synced(folder: &OwnFolder, name: &str, content: &[u8]) -> io::Result<()> {
    let mut file = folder.new_file(Access::Private)?;
    file.write_all(content)?;
    file.as_file().sync_all()?;
    folder.put(file, name).map(drop)
}

fn bytes_of(row: &Row) -> u64 {
    match row {
        Row::Damaged { .. } => 0,
        Row::Whole(entry) => entry.kept_bytes,
    }
}

/// What operations that go keep; of one that cannot be read, its number.
fn expired(store: &Store, going: &[&Row]) -> Vec<String> {
    let mut expired = Vec::new();
    for row in going {
        match row {
            Row::Damaged { id, .. } => expired.push(format!(".modelops-bundle/undo/{id}")),
            Row::Whole(entry) => match store.changes(entry) {
                Ok(changes) => expired.extend(changes.kept_paths().map(ToString::to_string)),
                Err(_) => expired.push(format!(".modelops-bundle/undo/{}", entry.id)),
            },
        }
    }
    expired.sort_unstable();
    expired.dedup();
    expired
}

/// What a journal promises to keep.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Promised {
    /// None where nothing is to be taken back.
    pub(crate) entry: Option<PromisedEntry>,
    /// What is moved to it.
    pub(crate) keeps: Vec<Kept>,
    /// The operations that go.
    pub(crate) drops: Vec<u64>,
}

/// An entry that was staged.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct PromisedEntry {
    pub(crate) id: u64,
    /// What [`ENTRY`] is, by which it is known again.
    pub(crate) stamp: Stamp,
}

/// Why an operation cannot keep what it takes away; nothing was changed.
#[derive(Debug, Error)]
pub enum KeepError {
    /// The store cannot be used.
    #[error("cannot keep in {} what would be taken away", folder.display())]
    Store {
        /// Its folder.
        folder: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// It does not fit.
    #[error("what would be taken away does not fit where it is kept for `undo`")]
    TooMuch {
        /// How much it is.
        source: TooMuch,
    },
}

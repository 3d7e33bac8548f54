//! The store of what operations took away: one folder an operation, in `undo` in the project's own folder.
//!
//! An operation's folder has what was done ([`Entry`]), what that changed ([`Changes`]), and the content that it took away.
//! It gets its name once it is whole, so that a number alone names a whole one. How it gets there: [`super::keeping`] and
//! [`super::keep`]. A project may have come from anybody, so that whatever lies here is input.

use std::io::{self, ErrorKind};
use std::path::PathBuf;

use bundle_core::digest::Digest;
use bundle_core::name::path::BundlePath;
use bundle_core::plan::keep::HadIn;
use cap_std::fs::{Dir, DirBuilder};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::folder::{Project, STATE, SYNCED, UNDO};
use super::own_folder::OwnFolder;
use super::parents::Missing;
use super::spot::{Found, Spot};
use super::stamp::Stamp;
use super::tracked::TRACKED_FILE;

/// The project's own files that an operation changes and an undo puts back.
pub(crate) const OWN_FILES: [&str; 3] = [STATE, TRACKED_FILE, SYNCED];

/// What was done, in an operation's folder.
pub(crate) const ENTRY: &str = "operation.json";

/// What that changed.
pub(crate) const CHANGES: &str = "changes.json";

const VERSION: u32 = 1;

/// The longest [`ENTRY`] that is read, in bytes.
const MAX_ENTRY_BYTES: u64 = 64 << 10;

/// The longest other file of an operation that is read, in bytes.
pub(crate) const MAX_BYTES: u64 = 4 * bundle_core::bundle::index::MAX_INDEX_BYTES as u64;

/// More operations than these are none of ours.
const MAX_ROWS: usize = 1000;

/// What an operation is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Files were tracked.
    Add,
    /// A bundle came from an archive.
    Import,
    /// A bundle came.
    Pull,
    /// Files were no longer tracked.
    Remove,
    /// Single files came.
    Restore,
    /// Operations were taken back.
    Undo,
}

/// What an operation keeps of what it takes away.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Keeps {
    /// All that cannot be had elsewhere.
    Content,
    /// Nothing, as the user wants it: it cannot be taken back.
    Nothing,
}

/// A bundle, and where it came from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BundleAt {
    /// Its place, without a version.
    pub reference: String,
    /// Its digest.
    pub digest: Digest,
}

/// An operation that was done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    version: u32,
    /// Its number; later ones are higher.
    pub id: u64,
    /// When it was done, as in RFC 3339.
    pub time: String,
    /// What it was.
    pub kind: Kind,
    /// The same in words.
    pub command: String,
    /// What it kept.
    pub keeps: Keeps,
    /// How many bytes of content it kept.
    pub kept_bytes: u64,
    /// How many files it kept.
    pub kept: usize,
    /// How many files it wrote.
    pub written: usize,
    /// How many files it deleted.
    pub deleted: usize,
    /// The last push before it.
    pub last_push: Option<Digest>,
    /// The bundle that the project was synced with before it, as far as that is known.
    pub synced: Option<BundleAt>,
    /// The bundle that came with it, if one did.
    pub brought: Option<BundleAt>,
    /// The digest of [`CHANGES`].
    pub(crate) changes: Digest,
}

impl Entry {
    pub(crate) fn new(id: u64, time: String, kind: Kind, command: String, keeps: Keeps) -> Self {
        Self {
            version: VERSION,
            id,
            time,
            kind,
            command,
            keeps,
            kept_bytes: 0,
            kept: 0,
            written: 0,
            deleted: 0,
            last_push: None,
            synced: None,
            brought: None,
            changes: Digest::of(b""),
        }
    }
}

/// What an operation changed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Changes {
    /// By path.
    pub(crate) files: Vec<FileChange>,
    /// The project's own files that it changed.
    pub(crate) own: Vec<OwnChange>,
}

/// What became of one path.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct FileChange {
    pub(crate) path: BundlePath,
    pub(crate) before: Was,
    /// What it left there; nothing where it deleted.
    pub(crate) after: Option<Stamp>,
}

/// What was at a path.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Was {
    /// Nothing.
    Absent,
    /// What is kept.
    Kept {
        /// Its name in the operation's folder.
        name: String,
        /// What it is.
        stamp: Stamp,
    },
    /// What was not kept, since a bundle has it.
    Elsewhere(Elsewhere),
}

/// Content that a bundle has.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Elsewhere {
    /// Its digest.
    pub digest: Digest,
    /// Its size in bytes.
    pub size: u64,
    /// Whether the file was executable.
    pub executable: Option<bool>,
    /// Which bundle that is.
    pub had_in: HadIn,
}

/// What became of one of the project's own files.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct OwnChange {
    /// One of [`OWN_FILES`].
    pub(crate) file: String,
    /// What it was; `None` where it was not there.
    pub(crate) before: Option<OwnBefore>,
}

/// The earlier content of one of the project's own files.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct OwnBefore {
    /// Its name in the operation's folder.
    pub(crate) name: String,
    pub(crate) digest: Digest,
}

/// An operation in the store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Row {
    /// What is written of it cannot be believed.
    Damaged {
        /// Its number.
        id: u64,
        /// What is wrong.
        why: String,
    },
    /// One that is whole.
    Whole(Box<Entry>),
}

impl Row {
    /// Its number.
    pub fn id(&self) -> u64 {
        match self {
            Self::Damaged { id, .. } => *id,
            Self::Whole(entry) => entry.id,
        }
    }
}

/// The name of the folder of an operation that is not whole yet.
pub(crate) fn part_name(id: u64) -> String {
    format!("{id}.part")
}

/// The name of the folder of an operation that is being removed.
fn gone_name(id: u64) -> String {
    format!("{id}.gone")
}

/// The store of a project.
#[derive(Debug)]
pub(crate) struct Store {
    folder: OwnFolder,
}

impl Store {
    /// The store of `project`, if there is one.
    pub(crate) fn open(project: &Project) -> io::Result<Option<Self>> {
        let folder = OwnFolder::of(project)?.below(UNDO, Missing::Leave)?;
        Ok(folder.map(|folder| Self { folder }))
    }

    /// The same; it is made where there is none.
    pub(crate) fn create(project: &Project) -> io::Result<Self> {
        let own = OwnFolder::of(project)?;
        create_private(own.dir(), UNDO)?;
        let folder = own.below(UNDO, Missing::Leave)?.ok_or(ErrorKind::NotFound)?;
        own.sync()?;
        Ok(Self { folder })
    }

    /// Where it is.
    pub(crate) fn folder(&self) -> &OwnFolder {
        &self.folder
    }

    /// Its operations, newest first.
    pub(crate) fn rows(&self) -> io::Result<Vec<Row>> {
        let mut ids = self.ids()?;
        ids.retain(|(_, is_whole)| *is_whole);
        ids.sort_unstable_by(|a, b| b.cmp(a));
        Ok(ids.into_iter().take(MAX_ROWS).map(|(id, _)| self.row(id)).collect())
    }

    /// A number that no operation has had, as far as can be seen.
    pub(crate) fn next_id(&self) -> io::Result<u64> {
        let last = self.ids()?.into_iter().map(|(id, _)| id).max().unwrap_or_default();
        last.checked_add(1).ok_or_else(|| ErrorKind::AlreadyExists.into())
    }

    /// The numbers that names in it begin with, and whether each is the whole name.
    fn ids(&self) -> io::Result<Vec<(u64, bool)>> {
        let mut ids = Vec::new();
        for entry in self.folder.dir().entries()? {
            let Ok(name) = entry?.file_name().into_string() else { continue };
            let number = name.split('.').next().unwrap_or_default();
            if let Some(id) = number.parse::<u64>().ok().filter(|id| id.to_string() == number) {
                ids.push((id, number == name));
            }
        }
        Ok(ids)
    }

    fn row(&self, id: u64) -> Row {
        match self.read_entry(id) {
            Ok(entry) => Row::Whole(Box::new(entry)),
            Err(why) => Row::Damaged { id, why: why.to_string() },
        }
    }

    fn read_entry(&self, id: u64) -> io::Result<Entry> {
        let folder = self.folder_of(id)?;
        let entry: Entry = serde_json::from_slice(&folder.read(ENTRY, MAX_ENTRY_BYTES)?)?;
        if entry.version == 0 || entry.version > VERSION {
            let message = format!("it is of version {}, this program knows version {VERSION}", entry.version);
            return Err(io::Error::other(message));
        }
        if entry.id == id { Ok(entry) } else { Err(io::Error::other("it is that of another operation")) }
    }

    /// The folder of an operation.
    pub(crate) fn folder_of(&self, id: u64) -> io::Result<OwnFolder> {
        self.folder.below(&id.to_string(), Missing::Leave)?.ok_or_else(|| ErrorKind::NotFound.into())
    }

    /// What an operation changed.
    ///
    /// # Errors
    ///
    /// Whatever is not as it was written.
    pub(crate) fn changes(&self, entry: &Entry) -> Result<Changes, DamagedError> {
        let damaged = |why: &dyn ToString| DamagedError { id: entry.id, why: why.to_string() };
        let json = self.folder_of(entry.id).and_then(|folder| folder.read(CHANGES, MAX_BYTES));
        let json = json.map_err(|error| damaged(&error))?;
        if Digest::of(&json) != entry.changes {
            return Err(damaged(&"its list of changes is another one"));
        }
        let changes: Changes = serde_json::from_slice(&json).map_err(|error| damaged(&error))?;
        match changes.foreign_name() {
            Some(name) => Err(damaged(&format!("it names a file `{}`", crate::whole_file::excerpt(name)))),
            None => Ok(changes),
        }
    }

    /// What one of the project's own files was.
    pub(crate) fn own_before(&self, id: u64, before: &OwnBefore) -> Result<Vec<u8>, DamagedError> {
        let damaged = |why: &dyn ToString| DamagedError { id, why: why.to_string() };
        let content = self.folder_of(id).and_then(|folder| folder.read(&before.name, MAX_BYTES));
        let content = content.map_err(|error| damaged(&error))?;
        match Digest::of(&content) == before.digest {
            true => Ok(content),
            false => Err(damaged(&format!("`{}` in it is another one", before.name))),
        }
    }

    /// Removes an operation with all that it keeps; that there is none is fine. It is never seen torn.
    pub(crate) fn remove(&self, id: u64) -> io::Result<()> {
        let (whole, gone) = (id.to_string(), gone_name(id));
        let dir = self.folder.dir();
        match Spot::new(dir, &whole).look()? {
            None => {}
            Some(Found::Folder) => {
                clear(dir, &gone)?;
                dir.rename(&whole, dir, &gone)?;
                self.folder.sync()?;
            }
            // It is none of ours, and holds nothing of ours.
            Some(Found::File(_)) => dir.remove_file(&whole)?,
        }
        clear(dir, &gone)
    }
}

impl Changes {
    /// A name that no operation of ours has written.
    fn foreign_name(&self) -> Option<&str> {
        let is_plain = |name: &str| {
            !name.is_empty()
                && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
        };
        let files = self.files.iter().filter_map(|change| match &change.before {
            Was::Kept { name, .. } => Some(name.as_str()).filter(|name| !is_plain(name)),
            Was::Absent | Was::Elsewhere(_) => None,
        });
        let own = self.own.iter().flat_map(|change| {
            let file = Some(change.file.as_str()).filter(|file| !OWN_FILES.contains(file));
            let name = change.before.as_ref().map(|before| before.name.as_str());
            [file, name.filter(|name| !is_plain(name))].into_iter().flatten()
        });
        files.chain(own).next()
    }

    /// The paths of which content is kept.
    pub(crate) fn kept_paths(&self) -> impl Iterator<Item = &BundlePath> {
        let is_kept = |change: &&FileChange| matches!(change.before, Was::Kept { .. });
        self.files.iter().filter(is_kept).map(|change| &change.path)
    }
}

/// Makes the folder `name`, for its owner alone, unless something has that name.
pub(crate) fn create_private(parent: &Dir, name: &str) -> io::Result<()> {
    #[cfg_attr(not(unix), expect(unused_mut, reason = "only Unix has modes"))]
    let mut builder = DirBuilder::new();
    #[cfg(unix)]
    {
        use cap_std::fs::DirBuilderExt as _;
        builder.mode(0o700);
    }
    match parent.create_dir_with(name, &builder) {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => Err(error),
        _ => Ok(()),
    }
}

/// Removes whatever is called `name`, with all that is in it; that there is nothing is fine.
fn clear(parent: &Dir, name: &str) -> io::Result<()> {
    match Spot::new(parent, name).look()? {
        None => Ok(()),
        Some(Found::Folder) => parent.remove_dir_all(name),
        Some(Found::File(_)) => parent.remove_file(name),
    }
}

/// What is written of an operation cannot be believed.
#[derive(Debug, Error)]
#[error("what is kept of operation {id} is damaged: {why}")]
pub struct DamagedError {
    /// Its number.
    pub id: u64,
    /// What is wrong.
    pub why: String,
}

/// Why the store cannot be used.
#[derive(Debug, Error)]
#[error("cannot use {}", folder.display())]
pub struct StoreError {
    /// Its folder.
    pub folder: PathBuf,
    /// What the system said.
    pub source: io::Error,
}

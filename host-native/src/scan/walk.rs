//! Goes through a project's folders, each once, on all processors. Reads no file's content but that of ignore files.
//!
//! What a walk looks for is given sorted; each folder gets the part of it that lies below, and goes through it alongside
//! its entries, sorted as well. Links: [`super::links`].

use std::ffi::OsString;
use std::fs::{DirEntry, Metadata};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use bundle_core::file::SymlinkPolicy;
use bundle_core::ignore::{EntryKind, IgnoreRules, WrittenRule};
use bundle_core::name::path::{BundlePath, PathFault};
use thiserror::Error;

use super::entries::Batch;
use super::links::Chain;
use crate::project::ignore_file::{IGNORE_FILE, IgnoreFileError, add_rules_in, root_rules};
use crate::project::stamp::{Stamp, is_executable};
use crate::project::tick::device;

/// As many entries of one folder are handled by one processor at a time.
const BATCH: usize = 512;

/// What to do with files that are not looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Untracked {
    /// List those that no rule ignores, and count the others.
    List,
    /// List all, also the ignored ones.
    ListIgnored,
    /// List those that no rule ignores, and name the others with the rule that does; a folder stands for all in it.
    NameIgnored,
    /// Pass them by, with the folders in which nothing is looked for.
    Skip,
}

/// How to walk.
#[derive(Clone, Copy, Debug)]
pub(crate) struct WalkOptions {
    pub(crate) symlinks: SymlinkPolicy,
    pub(crate) untracked: Untracked,
}

/// A file that was looked for and can be read.
#[derive(Debug)]
pub(crate) struct FoundFile {
    /// Its place in the list of what was looked for.
    pub(crate) wanted: usize,
    /// Facts of the content: of what a link points to.
    pub(crate) content: Stamp,
    /// The link, if the entry is one. Few are, and there may be very many files.
    pub(crate) link: Option<Box<FoundLink>>,
    pub(crate) executable: bool,
    pub(crate) device: u64,
}

/// The link by which a file was found.
#[derive(Debug)]
pub(crate) struct FoundLink {
    /// Facts of the link itself.
    pub(crate) entry: Stamp,
    /// Where the content lies.
    pub(crate) target: PathBuf,
}

/// Something that is no file a bundle may hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// Its path in the project, as far as it can be written.
    pub path: String,
    /// Why not.
    pub reason: RefusalReason,
}

/// Why something on disk is no file that a bundle may hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum RefusalReason {
    /// A link that leads back to a folder that it lies in.
    #[error("it is a link that leads back to where it is")]
    CyclicLink,
    /// A link to nothing.
    #[error("it is a link to nothing")]
    DanglingLink,
    /// Its name breaks a rule of bundles.
    #[error("{0}")]
    Name(PathFault),
    /// Links are not to be followed.
    #[error("it is a link, and links are not followed here")]
    Link,
    /// Its name is not Unicode.
    #[error("its name is not UTF-8")]
    NotUnicode,
    /// A link to somewhere outside the project, or into a folder that bundles keep out of.
    #[error("it is a link that leads out of the project's own files")]
    OutsideLink,
    /// A link behind many others.
    #[error("it is a link behind too many others")]
    TooManyLinks,
    /// It changed whenever it was read.
    #[error("it changed while it was read")]
    Restless,
    /// A pipe, a socket or a device.
    #[error("it is neither a file nor a folder")]
    Special,
    /// The system would not let it, or the folder that it lies in, be read.
    #[error("it cannot be read: {0}")]
    System(ErrorKind),
}

/// Something that a rule ignores.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IgnoredEntry {
    /// Its path in the project, as far as it can be written.
    pub path: String,
    /// Whether it is a folder, which stands for all that lies in it.
    pub kind: EntryKind,
    /// The rule.
    pub rule: Arc<WrittenRule>,
}

/// What a walk found. Lists are in no order.
#[derive(Debug, Default)]
pub(crate) struct Walked {
    pub(crate) files: Vec<FoundFile>,
    /// Wanted ones, by their place in the list, that are folders.
    pub(crate) folders: Vec<usize>,
    /// Wanted ones that lie below something that is no folder, and what that is called.
    pub(crate) below_files: Vec<(usize, String)>,
    /// Wanted ones that cannot be read, by their place in the list.
    pub(crate) unreadable: Vec<(usize, Refused)>,
    pub(crate) untracked: Vec<BundlePath>,
    /// Filled only on [`Untracked::ListIgnored`].
    pub(crate) ignored: Vec<BundlePath>,
    /// How many entries were passed by because of a rule; an ignored folder counts once.
    pub(crate) ignored_count: u64,
    /// Filled only on [`Untracked::NameIgnored`].
    pub(crate) ignored_entries: Vec<IgnoredEntry>,
    /// Not wanted and not ignored.
    pub(crate) refused: Vec<Refused>,
    /// What is not wanted itself, but stands where a folder of wanted ones should be, and cannot be gone through.
    pub(crate) barriers: Vec<Refused>,
}

/// Walks the project at `root`, looking for `wanted`, which is sorted; tells `found` how many more files it has seen.
pub(crate) fn walk(
    root: &Path,
    wanted: &[&BundlePath],
    options: WalkOptions,
    found: &(dyn Fn(u64) + Sync),
) -> Result<Walked, WalkError> {
    walk_in(root, wanted, options, &|_| true, found)
}

/// The same, in no other folders than those that `enters` lets it enter, and those in which something is looked for.
pub(crate) fn walk_in(
    root: &Path,
    wanted: &[&BundlePath],
    options: WalkOptions,
    enters: &(dyn Fn(&str) -> bool + Sync),
    found: &(dyn Fn(u64) + Sync),
) -> Result<Walked, WalkError> {
    // One list that never moves: most of what is looked for is there.
    let walked = Walked { files: Vec::with_capacity(wanted.len()), ..Walked::default() };
    let (walked, fault) = (Mutex::new(walked), Mutex::default());
    let walk = Walk { root, wanted, options, enters, found, walked, fault };
    let top = Folder {
        path: String::new(),
        disk: root.to_owned(),
        rules: Arc::new(root_rules(root).map_err(|source| WalkError::IgnoreFile { source })?),
        ignored: Ignored::No,
        untracked: options.untracked,
        chain: Chain::start(root),
        below: (0, wanted.len()),
    };
    rayon::scope(|scope| walk.folder(scope, &top));
    match walk.fault.into_inner().unwrap_or_else(PoisonError::into_inner) {
        Some(fault) => Err(fault),
        None => Ok(walk.walked.into_inner().unwrap_or_else(PoisonError::into_inner)),
    }
}

pub(crate) struct Walk<'a> {
    pub(crate) root: &'a Path,
    pub(crate) wanted: &'a [&'a BundlePath],
    pub(crate) options: WalkOptions,
    pub(crate) enters: &'a (dyn Fn(&str) -> bool + Sync),
    found: &'a (dyn Fn(u64) + Sync),
    walked: Mutex<Walked>,
    fault: Mutex<Option<WalkError>>,
}

/// A folder to go through.
#[derive(Clone, Debug)]
pub(crate) struct Folder {
    /// What a bundle calls it; empty for the top.
    pub(crate) path: String,
    pub(crate) disk: PathBuf,
    pub(crate) rules: Arc<IgnoreRules>,
    pub(crate) ignored: Ignored,
    /// What to do with files in it that are not looked for.
    pub(crate) untracked: Untracked,
    pub(crate) chain: Chain,
    /// Where in the list of what is looked for those below it are.
    pub(crate) below: (usize, usize),
}

/// An entry of a folder, and its name, which the system would hand out anew each time.
#[derive(Debug)]
pub(crate) struct Listed {
    pub(crate) entry: DirEntry,
    pub(crate) name: OsString,
}

impl From<DirEntry> for Listed {
    fn from(entry: DirEntry) -> Self {
        Self { name: entry.file_name(), entry }
    }
}

/// Whether a folder that the walk is in is ignored; then it is there only for what is looked for in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ignored {
    No,
    Yes,
}

impl<'a> Walk<'a> {
    fn folder<'s>(&'s self, scope: &rayon::Scope<'s>, folder: &Folder)
    where
        'a: 's,
    {
        match self.read_folder(scope, folder) {
            Ok(()) => {}
            Err(WalkError::Folder { source, .. }) if !folder.path.is_empty() => {
                self.pass_closed(folder, RefusalReason::System(source.kind()));
            }
            Err(WalkError::IgnoreFile { source: IgnoreFileError::Read { source, .. } })
                if folder.below.0 == folder.below.1 =>
            {
                self.pass_closed(folder, RefusalReason::System(source.kind()));
            }
            Err(fault) => {
                self.fault.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(fault);
            }
        }
    }

    /// Notes a folder that cannot be gone through: what is looked for in it cannot be read, and the rest is passed by.
    fn pass_closed(&self, folder: &Folder, reason: RefusalReason) {
        let mut walked = Walked::default();
        let (start, end) = folder.below;
        for (at, path) in self.wanted.iter().enumerate().take(end).skip(start) {
            walked.unreadable.push((at, Refused { path: path.to_string(), reason }));
        }
        if folder.untracked != Untracked::Skip && folder.ignored == Ignored::No {
            walked.refused.push(Refused { path: folder.path.clone(), reason });
        }
        self.walked.lock().unwrap_or_else(PoisonError::into_inner).append(walked);
    }

    fn read_folder<'s>(&'s self, scope: &rayon::Scope<'s>, folder: &Folder) -> Result<(), WalkError>
    where
        'a: 's,
    {
        let mut folder = folder.clone();
        let disk = folder.disk.clone();
        let fault = |source| WalkError::Folder { folder: disk.clone(), source };
        let mut entries = Vec::new();
        for entry in folder.disk.read_dir().map_err(fault)? {
            entries.push(Listed::from(entry.map_err(fault)?));
        }
        // In the order of what is looked for; and neighbours by name are often neighbours where the system keeps them.
        entries.sort_unstable_by(|a, b| a.name.as_encoded_bytes().cmp(b.name.as_encoded_bytes()));
        if !folder.path.is_empty() && entries.iter().any(|entry| entry.name == IGNORE_FILE) {
            let rules = Arc::make_mut(&mut folder.rules);
            add_rules_in(rules, &folder.disk, &folder.path)
                .map_err(|source| WalkError::IgnoreFile { source })?;
        }
        let folder = Arc::new(folder);
        while entries.len() > BATCH {
            let batch = entries.split_off(entries.len() - BATCH);
            let folder = Arc::clone(&folder);
            scope.spawn(move |scope| self.batch(scope, &folder, batch));
        }
        self.batch(scope, &folder, entries);
        Ok(())
    }

    fn batch<'s>(&'s self, scope: &rayon::Scope<'s>, folder: &Folder, entries: Vec<Listed>)
    where
        'a: 's,
    {
        let mut batch = Batch::new(self, folder);
        for entry in entries {
            batch.entry(&entry);
        }
        let (walked, folders) = batch.finish();
        let seen = (walked.files.len() + walked.untracked.len()) as u64;
        (self.found)(seen);
        self.walked.lock().unwrap_or_else(PoisonError::into_inner).append(walked);
        for below in folders {
            scope.spawn(move |scope| self.folder(scope, &below));
        }
    }
}

impl Walked {
    fn append(&mut self, mut other: Self) {
        self.files.append(&mut other.files);
        self.folders.append(&mut other.folders);
        self.below_files.append(&mut other.below_files);
        self.unreadable.append(&mut other.unreadable);
        self.untracked.append(&mut other.untracked);
        self.ignored.append(&mut other.ignored);
        self.ignored_count += other.ignored_count;
        self.ignored_entries.append(&mut other.ignored_entries);
        self.refused.append(&mut other.refused);
        self.barriers.append(&mut other.barriers);
    }
}

impl FoundFile {
    pub(crate) fn new(wanted: usize, content: &Metadata, link: Option<FoundLink>) -> Self {
        Self {
            wanted,
            content: Stamp::of(content),
            link: link.map(Box::new),
            executable: is_executable(content),
            device: device(content),
        }
    }

    /// Facts of the entry itself.
    pub(crate) fn entry(&self) -> Stamp {
        self.link.as_ref().map_or(self.content, |link| link.entry)
    }

    /// Where the content lies, if the entry is a link.
    pub(crate) fn target(&self) -> Option<&Path> {
        self.link.as_ref().map(|link| link.target.as_path())
    }
}

/// Why a project could not be walked.
#[derive(Debug, Error)]
pub enum WalkError {
    /// A folder could not be read.
    #[error("cannot read the folder {}", folder.display())]
    Folder {
        /// The folder.
        folder: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Ignore rules could not be read.
    #[error("cannot tell which files are ignored")]
    IgnoreFile {
        /// Why not.
        source: IgnoreFileError,
    },
}

#[cfg(test)]
#[cfg(unix)]
mod tests;

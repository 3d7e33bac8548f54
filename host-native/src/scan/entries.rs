//! What one folder's entries are: looked for, in the way, ignored, or something else. Part of [`super::walk`].

use std::cmp::Ordering;
use std::fs::DirEntry;
use std::io::{self, ErrorKind};
use std::path::PathBuf;
use std::sync::Arc;

use bundle_core::ignore::{Decision, EntryKind, Verdict};
use bundle_core::name::path::{BundlePath, RESERVED_FOLDERS};

use super::links::{Chain, Target, follow};
use super::walk::{
    Folder, FoundFile, FoundLink, Ignored, IgnoredEntry, Listed, RefusalReason, Refused, Untracked, Walk,
    Walked,
};
use crate::project::stamp::Stamp;

/// Some entries of one folder.
pub(crate) struct Batch<'a> {
    walk: &'a Walk<'a>,
    folder: &'a Folder,
    walked: Walked,
    /// Folders to go through next.
    folders: Vec<Folder>,
    /// How many of those below the folder sort before the last entry.
    passed: usize,
}

/// One entry: what it is called, and what is looked for at its path and below.
#[derive(Clone, Copy)]
struct Entry<'a> {
    entry: &'a DirEntry,
    name: &'a str,
    wanted: Option<usize>,
    below: (usize, usize),
}

impl Entry<'_> {
    fn is_unwanted(&self) -> bool {
        self.wanted.is_none() && self.below.0 == self.below.1
    }
}

impl<'a> Batch<'a> {
    pub(crate) fn new(walk: &'a Walk<'a>, folder: &'a Folder) -> Self {
        Self { walk, folder, walked: Walked::default(), folders: Vec::new(), passed: 0 }
    }

    /// What was found, and the folders to go through next.
    pub(crate) fn finish(self) -> (Walked, Vec<Folder>) {
        (self.walked, self.folders)
    }

    /// Finds out what an entry is; each must sort after the one before.
    pub(crate) fn entry(&mut self, Listed { entry, name }: &Listed) {
        let Some(name) = name.to_str() else {
            return self.pass_unwanted(
                &name.to_string_lossy(),
                EntryKind::File,
                Err(RefusalReason::NotUnicode),
            );
        };
        let (wanted, below) = self.look_up(name);
        let entry = Entry { entry, name, wanted, below };
        let untracked = if self.is_reserved(name) { Untracked::Skip } else { self.folder.untracked };
        if entry.is_unwanted() && untracked == Untracked::Skip {
            return;
        }
        match self.look_at(entry) {
            // It was taken away meanwhile.
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => self.refuse(entry, RefusalReason::System(error.kind())),
            Ok(()) => {}
        }
    }

    fn look_at(&mut self, entry: Entry<'_>) -> io::Result<()> {
        let kind = entry.entry.file_type()?;
        if kind.is_symlink() {
            return self.link(entry);
        }
        if kind.is_dir() {
            self.enter(entry, entry.entry.path(), self.folder.chain.clone());
        } else if !kind.is_file() {
            self.refuse(entry, RefusalReason::Special);
        } else if let Some(wanted) = entry.wanted {
            let metadata = entry.entry.metadata()?;
            self.walked.files.push(FoundFile::new(wanted, &metadata, None));
            self.block_below(entry);
        } else {
            self.unwanted_file(entry);
        }
        Ok(())
    }

    /// Which of what is looked for is called `name` here, and which lie below that.
    fn look_up(&mut self, name: &str) -> (Option<usize>, (usize, usize)) {
        let (start, end) = self.folder.below;
        let folder_length = if self.folder.path.is_empty() { 0 } else { self.folder.path.len() + 1 };
        let name = name.as_bytes();
        let start = start + self.passed;
        let here = &self.walk.wanted[start..end];
        let first = first_not(here, |path| below(path, folder_length) < name);
        self.passed += first;
        let here = &here[first..];
        let start = start + first;
        let wanted = here.first().filter(|path| below(path, folder_length) == name).map(|_| start);
        // What lies below comes after that, and shares its name: most files have nothing there.
        let next = here.get(usize::from(wanted.is_some()));
        if !next.is_some_and(|path| below(path, folder_length).starts_with(name)) {
            return (wanted, (start, start));
        }
        let first = here.partition_point(|path| compare_folder(below(path, folder_length), name).is_lt());
        let count =
            here[first..].partition_point(|path| compare_folder(below(path, folder_length), name).is_eq());
        (wanted, (start + first, start + first + count))
    }

    fn link(&mut self, entry: Entry<'_>) -> io::Result<()> {
        if entry.is_unwanted() && self.is_ignored(entry.name, EntryKind::File) {
            self.unwanted_file(entry);
            return Ok(());
        }
        let followed =
            follow(self.walk.root, self.walk.options.symlinks, &entry.entry.path(), &self.folder.chain);
        match followed {
            Err(reason) => self.refuse(entry, reason),
            Ok(Target::Folder { path, chain }) => self.enter(entry, path, chain),
            Ok(Target::File { path, metadata }) => {
                if let Some(wanted) = entry.wanted {
                    let own = entry.entry.metadata()?;
                    let link = FoundLink { entry: Stamp::of(&own), target: path };
                    self.walked.files.push(FoundFile::new(wanted, &metadata, Some(link)));
                    self.block_below(entry);
                } else {
                    self.unwanted_file(entry);
                }
            }
        }
        Ok(())
    }

    fn enter(&mut self, entry: Entry<'_>, disk: PathBuf, chain: Chain) {
        self.walked.folders.extend(entry.wanted);
        // Of our own folder nothing is anybody's but what is looked for.
        let untracked = if self.is_reserved(entry.name) { Untracked::Skip } else { self.folder.untracked };
        if entry.below.0 == entry.below.1 {
            if untracked == Untracked::Skip {
                return;
            }
            let passes = matches!(untracked, Untracked::List | Untracked::NameIgnored);
            if passes && self.is_ignored(entry.name, EntryKind::Folder) {
                self.walked.ignored_count += 1;
                self.name_ignored(entry.name, EntryKind::Folder);
                return;
            }
        }
        let path = self.path_of(entry.name);
        if entry.below.0 == entry.below.1 && !(self.walk.enters)(&path) {
            return;
        }
        let ignored = if self.is_ignored(entry.name, EntryKind::Folder) { Ignored::Yes } else { Ignored::No };
        if ignored == Ignored::Yes && untracked != Untracked::Skip {
            self.name_ignored(entry.name, EntryKind::Folder);
        }
        let rules = Arc::clone(&self.folder.rules);
        self.folders.push(Folder { path, disk, rules, ignored, untracked, chain, below: entry.below });
    }

    fn refuse(&mut self, entry: Entry<'_>, reason: RefusalReason) {
        self.block_below(entry);
        if entry.wanted.is_none() && entry.below.0 < entry.below.1 {
            self.walked.barriers.push(Refused { path: self.path_of(entry.name), reason });
        }
        match entry.wanted {
            Some(wanted) => {
                self.walked.unreadable.push((wanted, Refused { path: self.path_of(entry.name), reason }));
            }
            None => self.pass_unwanted(entry.name, EntryKind::File, Err(reason)),
        }
    }

    fn unwanted_file(&mut self, entry: Entry<'_>) {
        self.block_below(entry);
        self.pass_unwanted(entry.name, EntryKind::File, Ok(()));
    }

    /// Notes what is looked for below something that is no folder.
    fn block_below(&mut self, entry: Entry<'_>) {
        let (start, end) = entry.below;
        for at in start..end {
            self.walked.below_files.push((at, self.path_of(entry.name)));
        }
    }

    fn pass_unwanted(&mut self, name: &str, kind: EntryKind, readable: Result<(), RefusalReason>) {
        let untracked = self.folder.untracked;
        if untracked == Untracked::Skip {
            return;
        }
        let is_ignored = self.is_ignored(name, kind);
        self.walked.ignored_count += u64::from(is_ignored);
        if is_ignored && untracked != Untracked::ListIgnored {
            self.name_ignored(name, kind);
            return;
        }
        let path = self.path_of(name);
        match readable.and_then(|()| path.parse().map_err(RefusalReason::Name)) {
            Ok(path) if is_ignored => self.walked.ignored.push(path),
            Ok(path) => self.walked.untracked.push(path),
            Err(_) if is_ignored => {}
            Err(reason) => self.walked.refused.push(Refused { path, reason }),
        }
    }

    /// Notes something ignored where that is to be named, unless a folder stands for it already.
    fn name_ignored(&mut self, name: &str, kind: EntryKind) {
        if self.folder.untracked != Untracked::NameIgnored || self.folder.ignored == Ignored::Yes {
            return;
        }
        let path = self.path_of(name);
        if let Some(Decision { verdict: Verdict::Ignore, rule }) =
            self.folder.rules.decision_here(&path, kind)
        {
            self.walked.ignored_entries.push(IgnoredEntry { path, kind, rule });
        }
    }

    fn is_ignored(&self, name: &str, kind: EntryKind) -> bool {
        self.folder.ignored == Ignored::Yes || self.folder.rules.ignores(&self.path_of(name), kind)
    }

    /// Whether `name` is that of a folder that bundles keep out of.
    fn is_reserved(&self, name: &str) -> bool {
        self.folder.path.is_empty()
            && RESERVED_FOLDERS.iter().any(|reserved| name.eq_ignore_ascii_case(reserved))
    }

    fn path_of(&self, name: &str) -> String {
        let folder = &self.folder.path;
        if folder.is_empty() { name.to_owned() } else { format!("{folder}/{name}") }
    }
}

/// How many of `items` are at the front for which `is_before` holds, as it does for none behind them; found in a few
/// steps where they are few.
fn first_not<T>(items: &[T], is_before: impl Fn(&T) -> bool) -> usize {
    let mut reach = 1;
    while items.get(reach - 1).is_some_and(&is_before) {
        reach *= 2;
    }
    // The last step but one was still before.
    let known = reach / 2;
    let rest = &items[known..items.len().min(reach)];
    known + rest.partition_point(is_before)
}

/// The part of `path` behind a folder's name and slash, which it is known to have.
fn below(path: &BundlePath, folder_length: usize) -> &[u8] {
    path.as_str().as_bytes().get(folder_length..).unwrap_or_default()
}

/// Compares `path` with the range of paths that lie in the folder `name`: equal means that it does.
fn compare_folder(path: &[u8], name: &[u8]) -> Ordering {
    match path.get(..name.len()) {
        Some(start) => start.cmp(name).then_with(|| path.get(name.len()).cmp(&Some(&b'/'))),
        None => path.cmp(name),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_that_is_not_before_is_found_wherever_it_is() {
        for length in 0..70 {
            let items: Vec<usize> = (0..length).collect();
            for first in 0..=length {
                assert_eq!(first_not(&items, |item| *item < first), first, "{first} of {length}");
            }
        }
    }
}

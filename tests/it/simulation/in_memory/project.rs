//! A project: what lies in its folder, what its own files say, and what it keeps for `undo`.

use std::collections::{BTreeMap, BTreeSet};

use bundle_core::bundle::history::{Ancestor, History};
use bundle_core::digest::Digest;
use bundle_core::file::{ByPath, SyncedFile};
use bundle_core::name::path::BundlePath;
use bundle_core::plan::keep::{Bound, HadIn, make_room};
use bundle_core::plan::standing::{Standing, StandingFacts, standing};

use super::disk::{Content, Disk};
use super::registry::Bundle;
use super::{Stopped, conflict};

/// As much is kept as the program keeps where nothing is set.
const BOUND: Bound = Bound { operations: 20, bytes: 2 << 30 };

#[derive(Debug, Default)]
pub(super) struct Project {
    pub(super) disk: Disk,
    pub(super) tracked: ByPath<BundlePath>,
    pub(super) state: Option<StateFile>,
    pub(super) synced: Option<SyncedDocument>,
    /// What can be taken back, newest first.
    pub(super) operations: Vec<Operation>,
}

/// What `state.json` holds, which the Python tool writes too.
#[derive(Clone, Debug, Default)]
pub(super) struct StateFile {
    /// No two have the same: it stands for the digest of the file.
    pub(super) number: u64,
    pub(super) pushed: Option<Digest>,
    pub(super) pulled: Option<Digest>,
    pub(super) last_synced: ByPath<SyncedFile>,
}

impl StateFile {
    /// As it is read again: modes are written only where all of them are known.
    pub(super) fn written(self) -> Self {
        if self.last_synced.iter().all(|file| file.executable.is_some()) {
            return self;
        }
        let files = self.last_synced.iter().map(|file| SyncedFile { executable: None, ..file.clone() });
        let last_synced = ByPath::keeping_first(files.collect());
        Self { last_synced, ..self }
    }
}

/// What `synced.json` holds, which belongs to one state alone.
#[derive(Clone, Debug)]
pub(super) struct SyncedDocument {
    pub(super) state: u64,
    pub(super) bundle: Option<SyncedBundle>,
    pub(super) seen: BTreeMap<String, Digest>,
}

/// The bundle that was last synced.
#[derive(Clone, Debug)]
pub(super) struct SyncedBundle {
    pub(super) described: Ancestor,
    pub(super) history: History,
}

impl SyncedBundle {
    pub(super) fn of(bundle: &Bundle) -> Self {
        Self { described: bundle.described.clone(), history: bundle.history.clone() }
    }
}

/// One of a project's own files, with what it holds; the first two may be absent.
#[derive(Clone, Debug)]
pub(super) enum OwnFile {
    State(Option<StateFile>),
    Synced(Option<SyncedDocument>),
    Tracked(ByPath<BundlePath>),
}

impl OwnFile {
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::State(_) => "state.json",
            Self::Synced(_) => "synced.json",
            Self::Tracked(_) => "tracked.txt",
        }
    }
}

/// An operation that can be taken back.
#[derive(Debug)]
pub(super) struct Operation {
    pub(super) number: u64,
    pub(super) is_undo: bool,
    /// The last push before it.
    pub(super) last_push: Option<Digest>,
    /// The bundle that was synced before it, and the one that came with it.
    pub(super) synced: Option<Digest>,
    pub(super) brought: Option<Digest>,
    pub(super) files: Vec<FileChange>,
    /// The project's own files that it changed, as they were before.
    pub(super) own: Vec<OwnFile>,
}

impl Operation {
    fn kept(&self) -> impl Iterator<Item = (&BundlePath, Content)> {
        self.files.iter().filter_map(|change| match change.before {
            Was::Kept(content) => Some((&change.path, content)),
            Was::Absent | Was::Elsewhere(..) => None,
        })
    }

    fn bytes(&self) -> u64 {
        self.kept().map(|(_, content)| content.size).sum()
    }
}

/// What became of one path.
#[derive(Clone, Debug)]
pub(super) struct FileChange {
    pub(super) path: BundlePath,
    pub(super) before: Was,
    pub(super) after: Option<Content>,
}

/// What was at a path.
#[derive(Clone, Copy, Debug)]
pub(super) enum Was {
    Absent,
    Kept(Content),
    /// It was not kept, since a bundle has it.
    Elsewhere(Content, HadIn),
}

/// An operation that is about to be done.
#[derive(Debug, Default)]
pub(super) struct NewOperation {
    pub(super) is_undo: bool,
    pub(super) brought: Option<Digest>,
    /// What it takes away and need not be kept.
    pub(super) elsewhere: BTreeMap<BundlePath, HadIn>,
    /// The operations that it takes back.
    pub(super) takes_back: Vec<u64>,
}

/// What a command changes in a project: all of it, or nothing.
#[derive(Debug, Default)]
pub(super) struct Commit {
    pub(super) writes: BTreeMap<BundlePath, Content>,
    pub(super) deletes: BTreeSet<BundlePath>,
    pub(super) own: Vec<OwnFile>,
}

impl Project {
    /// The bundle that was last synced, as far as it is known.
    pub(super) fn bundle(&self) -> Option<&SyncedBundle> {
        let document = self.synced.as_ref()?;
        let is_current = self.state.as_ref().is_some_and(|state| state.number == document.state);
        document.bundle.as_ref().filter(|_| is_current)
    }

    pub(super) fn base(&self) -> ByPath<SyncedFile> {
        self.state.as_ref().map(|state| state.last_synced.clone()).unwrap_or_default()
    }

    pub(super) fn last_push(&self) -> Option<Digest> {
        self.state.as_ref()?.pushed
    }

    pub(super) fn seen(&self) -> BTreeMap<String, Digest> {
        self.synced.as_ref().map(|document| document.seen.clone()).unwrap_or_default()
    }

    /// Where `tag` stands to the project; `bundle` is the one that it names, where that was opened.
    pub(super) fn standing(&self, tag: &str, named: Option<Digest>, bundle: Option<&Bundle>) -> Standing {
        let synced = self.bundle();
        standing(&StandingFacts {
            named,
            named_ancestors: &bundle.map(|bundle| bundle.history.digests()).unwrap_or_default(),
            synced: synced.map(|synced| synced.described.digest),
            synced_ancestors: &synced.map(|synced| synced.history.digests()).unwrap_or_default(),
            seen: self.seen().get(tag).copied(),
        })
    }

    /// The contents that are kept for `undo`.
    pub(super) fn kept(&self) -> impl Iterator<Item = Digest> {
        self.operations.iter().flat_map(|operation| operation.kept().map(|(_, content)| content.digest))
    }

    /// Refuses a commit where something stands in its way.
    fn check(&self, commit: &Commit) -> Result<(), Stopped> {
        let stays = |path: &BundlePath| !commit.deletes.contains(path);
        for path in commit.writes.keys() {
            let above = path.folders().find_map(|folder| self.disk.files().get_key_value(folder));
            if above.is_some_and(|(file, _)| stays(file)) || self.disk.below(path.as_str()).any(stays) {
                return Err(conflict("something stands where files are to be written"));
            }
        }
        Ok(())
    }

    /// Carries a commit out and keeps what it takes away; the result names what is not kept any longer. Without an operation
    /// there is nothing to be taken back.
    pub(super) fn commit(
        &mut self,
        commit: Commit,
        operation: Option<NewOperation>,
    ) -> Result<Vec<String>, Stopped> {
        self.check(&commit)?;
        let expired = match operation {
            Some(operation) => self.keep(&commit, operation),
            None => Vec::new(),
        };
        let Commit { writes, deletes, own } = commit;
        for path in &deletes {
            self.disk.take(path.as_str());
        }
        for (path, content) in &writes {
            self.disk.put(path, *content);
        }
        let emptied: BTreeSet<&str> = deletes.iter().flat_map(BundlePath::folders).collect();
        // A folder sorts before what lies in it, so backwards is inside out.
        for folder in
            emptied.into_iter().rev().filter(|folder| !writes.keys().any(|path| path.is_below(folder)))
        {
            self.disk.remove_emptied(folder);
        }
        for file in own {
            match file {
                OwnFile::State(state) => self.state = state,
                OwnFile::Synced(synced) => self.synced = synced,
                OwnFile::Tracked(tracked) => self.tracked = tracked,
            }
        }
        Ok(expired)
    }

    /// Keeps what `commit` takes away; the result names what makes room for it.
    fn keep(&mut self, commit: &Commit, operation: NewOperation) -> Vec<String> {
        let NewOperation { is_undo, brought, elsewhere, takes_back } = operation;
        let was = |path: &BundlePath| match (self.disk.at(path.as_str()), elsewhere.get(path)) {
            (None, _) => Was::Absent,
            (Some(content), Some(had_in)) => Was::Elsewhere(content, *had_in),
            (Some(content), None) => Was::Kept(content),
        };
        let written = commit.writes.iter().map(|(path, content)| (path, Some(*content)));
        let changed = written.chain(commit.deletes.iter().map(|path| (path, None)));
        let change = |(path, after): (&BundlePath, Option<Content>)| FileChange {
            path: path.clone(),
            before: was(path),
            after,
        };
        let new = Operation {
            number: self.operations.first().map_or(1, |newest| newest.number + 1),
            is_undo,
            last_push: self.last_push(),
            synced: self.bundle().map(|bundle| bundle.described.digest),
            brought,
            files: changed.map(change).collect(),
            own: commit.own.iter().map(|file| self.own(file)).collect(),
        };
        self.operations.retain(|operation| !takes_back.contains(&operation.number));
        let bytes: Vec<u64> = self.operations.iter().map(Operation::bytes).collect();
        let stays = make_room(&bytes, new.bytes(), BOUND).unwrap();
        let gone = self.operations.split_off(stays);
        self.operations.insert(0, new);
        let expired = gone.iter().flat_map(Operation::kept).map(|(path, _)| path.to_string());
        expired.collect::<BTreeSet<String>>().into_iter().collect()
    }

    /// What one of the project's own files holds now.
    fn own(&self, file: &OwnFile) -> OwnFile {
        match file {
            OwnFile::State(_) => OwnFile::State(self.state.clone()),
            OwnFile::Synced(_) => OwnFile::Synced(self.synced.clone()),
            OwnFile::Tracked(_) => OwnFile::Tracked(self.tracked.clone()),
        }
    }
}

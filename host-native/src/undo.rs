//! Undo: takes operations back, all or nothing, as a pull changes the project.
//!
//! What they took away comes back from where it is kept ([`crate::project::undo`]), what they wrote goes, and is itself
//! kept. An undo is an operation as any other, so that taking it back does again what it took back.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};

use bundle_core::digest::Digest;
use bundle_core::file::{ByPath, File};
use bundle_core::name::path::BundlePath;
use bundle_core::plan::keep::HadIn;
use bundle_core::plan::pull::PullPlan;
use bundle_core::plan::undo::{CannotUndo, Change, Fault, Operation, choose, together};
use thiserror::Error;

use crate::bundle::{Bundle, Context};
use crate::project::disk_path::to_disk;
use crate::project::folder::SYNCED;
use crate::project::journal::{
    Before, Commit, CommitError, Delete, OwnAfter, PrepareError, Write, foresee_reach,
};
use crate::project::keeping::{KeepError, Keeping, NewOperation, Policy, Purpose};
use crate::project::parents::{Missing, ParentError, Parents, split};
use crate::project::recovery::Applied;
use crate::project::spot::{Found, Spot};
use crate::project::staging::{Mode, Staging};
use crate::project::stamp::Stamp;
use crate::project::undo::{
    BundleAt, DamagedError, Elsewhere, Entry, FileChange, Keeps, Kind, OWN_FILES, OwnBefore, Row, Store, Was,
};
use crate::project::{Project, ProjectLock, Synced};
use crate::transfer::{DownloadError, copy_verified, download};
use crate::workspace::Workspace;

/// An undo that has been decided and not yet carried out.
#[derive(Debug)]
#[must_use = "nothing changes before the undo is applied"]
pub struct PreparedUndo {
    /// The operations that are taken back, newest first.
    pub undone: Vec<Entry>,
    /// What comes back.
    writes: Vec<(BundlePath, Source, Before)>,
    deletes: Vec<Delete>,
    own: Vec<OwnAfter>,
    keeping: Keeping,
    /// What was edited since the operations left it.
    pub edited: Vec<BundlePath>,
}

/// Where the earlier content of a file is.
#[derive(Debug)]
enum Source {
    /// Kept, by this name in the folder of this operation.
    Kept { id: u64, name: String },
    /// In the file of this path, which has not changed since.
    Local { path: BundlePath, file: File },
    /// In a bundle.
    Remote { bundle: BundleAt, file: File },
}

/// What was at a path before, and in which operation's folder that is.
type Former = (u64, Was);

/// The operations of `project` that can be listed, newest first.
///
/// # Errors
///
/// The store cannot be used.
pub fn operations(project: &Project) -> Result<Vec<Row>, UndoError> {
    let rows = Store::open(project).and_then(|store| store.map_or(Ok(Vec::new()), |store| store.rows()));
    rows.map_err(|source| UndoError::Store { folder: project.undo_folder(), source })
}

/// What is wrong with an operation, if anything is, for a project whose last push is that of `workspace`.
pub fn fault(workspace: &Workspace, row: &Row) -> Option<Fault> {
    match row {
        Row::Damaged { .. } => Some(Fault::Damaged),
        Row::Whole(entry) if entry.keeps == Keeps::Nothing => Some(Fault::NotKept),
        Row::Whole(entry) if entry.last_push != workspace.state.last_push_digest => Some(Fault::Pushed),
        Row::Whole(_) => None,
    }
}

/// Finds out what taking back the `count` newest operations would do. `scan` gives the files of the project by their
/// digests; it is called only where the content of a file has to be looked for.
pub fn prepare<E: From<UndoError>>(
    workspace: &Workspace,
    count: usize,
    policy: Policy,
    purpose: Purpose,
    scan: impl FnOnce(&[BundlePath]) -> Result<ByPath<File>, E>,
) -> Result<PreparedUndo, E> {
    let project = &workspace.project;
    let rows = operations(project)?;
    let facts: Vec<Operation> = rows.iter().map(|row| operation(workspace, row)).collect();
    let chosen = choose(&facts, count).map_err(|why| refused(&rows, why))?;
    let chosen: Vec<Entry> = chosen.into_iter().filter_map(|at| whole(rows.get(at)?)).cloned().collect();
    let store_fault = |source| UndoError::Store { folder: project.undo_folder(), source };
    let store = Store::open(project).map_err(store_fault)?.ok_or(UndoError::TooFew { there: 0 })?;
    let mut files = Vec::new();
    let mut own = Vec::new();
    for entry in &chosen {
        let changes = store.changes(entry).map_err(UndoError::from)?;
        files.extend(changes.files.into_iter().map(|change| {
            let FileChange { path, before, after } = change;
            (path, Change { before: (entry.id, before), after })
        }));
        own.extend(changes.own.into_iter().map(|change| {
            (change.file, Change { before: change.before.map(|before| (entry.id, before)), after: () })
        }));
    }
    let mut prepared = PreparedUndo {
        undone: chosen,
        writes: Vec::new(),
        deletes: Vec::new(),
        own: own_files(&store, &workspace.synced, together(own))?,
        keeping: Keeping::default(),
        edited: Vec::new(),
    };
    let files = together(files);
    let elsewhere = find_elsewhere(&prepared.undone, &files, scan)?;
    prepared.decide(project, &store, files, elsewhere)?;
    let takes_back: Vec<u64> = rows.iter().take(count).map(Row::id).collect();
    let command = command(&prepared.undone);
    let operation = NewOperation { takes_back, ..workspace.operation(Kind::Undo, command, policy) };
    let taken: Vec<(&BundlePath, Before)> = prepared.taken().collect();
    let keeping = Keeping::plan(project, operation, taken, purpose).map_err(UndoError::from)?;
    prepared.keeping = keeping;
    Ok(prepared)
}

fn operation(workspace: &Workspace, row: &Row) -> Operation {
    let is_undo = whole(row).is_some_and(|entry| entry.kind == Kind::Undo);
    Operation { is_undo, fault: fault(workspace, row) }
}

fn whole(row: &Row) -> Option<&Entry> {
    match row {
        Row::Damaged { .. } => None,
        Row::Whole(entry) => Some(entry),
    }
}

fn refused(rows: &[Row], why: CannotUndo) -> UndoError {
    let (at, fault) = match why {
        CannotUndo::TooFew { there } => return UndoError::TooFew { there },
        CannotUndo::Fault { at, fault } => (at, fault),
    };
    match (fault, rows.get(at)) {
        (Fault::Pushed, Some(Row::Whole(entry))) => UndoError::Pushed { entry: entry.clone() },
        (Fault::NotKept, Some(Row::Whole(entry))) => UndoError::NotKept { command: entry.command.clone() },
        (_, Some(Row::Damaged { id, why })) => DamagedError { id: *id, why: why.clone() }.into(),
        (_, _) => UndoError::TooFew { there: rows.len() },
    }
}

/// What an undo of these operations is called.
fn command(undone: &[Entry]) -> String {
    match undone {
        [one] => format!("undo of {}", one.command),
        [newest, others @ ..] => format!("undo of {} and {} more", newest.command, others.len()),
        [] => "undo".to_owned(),
    }
}

/// What the project's own files are to be.
fn own_files(
    store: &Store,
    now: &Synced,
    own: BTreeMap<String, Change<Option<(u64, OwnBefore)>, ()>>,
) -> Result<Vec<OwnAfter>, UndoError> {
    let file = |(file, change): (String, Change<Option<(u64, OwnBefore)>, ()>)| {
        let file = *OWN_FILES.iter().find(|own| **own == file)?;
        Some(match change.before {
            Some((id, before)) => {
                let content = store.own_before(id, &before);
                // What tags named when they were last seen is no matter of the project's files.
                let content =
                    content.map(|content| if file == SYNCED { now.keep_seen(&content) } else { content });
                content.map(|content| OwnAfter { file, content: Some(content) })
            }
            None => Ok(OwnAfter { file, content: None }),
        })
    };
    Ok(own.into_iter().filter_map(file).collect::<Result<_, _>>()?)
}

/// Finds the content that is not kept: in the files of the project, else in the bundles that had it.
fn find_elsewhere<E: From<UndoError>>(
    undone: &[Entry],
    files: &BTreeMap<BundlePath, Change<Former, Option<Stamp>>>,
    scan: impl FnOnce(&[BundlePath]) -> Result<ByPath<File>, E>,
) -> Result<BTreeMap<BundlePath, Source>, E> {
    let wanted = files.iter().filter_map(|(path, change)| match &change.before {
        (id, Was::Elsewhere(elsewhere)) => Some((path, *id, elsewhere)),
        (_, Was::Absent | Was::Kept { .. }) => None,
    });
    let wanted: Vec<(&BundlePath, u64, &Elsewhere)> = wanted.collect();
    if wanted.is_empty() {
        return Ok(BTreeMap::new());
    }
    let paths: Vec<BundlePath> = files.keys().cloned().collect();
    let local = scan(&paths)?;
    let by_digest: BTreeMap<Digest, &File> = local.iter().map(|file| (file.digest, file)).collect();
    let source = |(path, id, elsewhere): (&BundlePath, u64, &Elsewhere)| {
        let Elsewhere { digest, size, executable, had_in } = *elsewhere;
        let file = File { path: path.clone(), digest, size, executable };
        let bundle = || {
            let entry = undone.iter().find(|entry| entry.id == id)?;
            let bundle = if had_in == HadIn::New { &entry.brought } else { &entry.synced };
            bundle.clone()
        };
        match by_digest.get(&digest) {
            Some(local) => Some((path.clone(), Source::Local { path: local.path.clone(), file })),
            None => Some((path.clone(), Source::Remote { bundle: bundle()?, file })),
        }
    };
    Ok(wanted.into_iter().filter_map(source).collect())
}

impl PreparedUndo {
    /// Compares what is to be at each path with what is there.
    fn decide(
        &mut self,
        project: &Project,
        store: &Store,
        files: BTreeMap<BundlePath, Change<Former, Option<Stamp>>>,
        mut elsewhere: BTreeMap<BundlePath, Source>,
    ) -> Result<(), UndoError> {
        let root = project.root();
        let mut parents =
            Parents::new(root).map_err(|source| PrepareError::Root { root: root.to_owned(), source })?;
        let mut lost = Vec::new();
        for (path, Change { before: (id, before), after }) in files {
            let now = look(&mut parents, &path)?;
            let is_as_left = match (now, after) {
                (Before::Absent, None) => true,
                (Before::Present(now), Some(after)) => now.has_same_time_and_size(&after),
                _ => false,
            };
            if !is_as_left {
                self.edited.push(path.clone());
            }
            let source = match before {
                // What came there since is nobody's business.
                Was::Absent if after.is_none() => continue,
                Was::Absent => {
                    if now != Before::Absent {
                        self.deletes.push(Delete { path, expected_before: now });
                    }
                    continue;
                }
                Was::Kept { name, stamp } => {
                    is_kept(store, id, &name, &stamp)?.then_some(Source::Kept { id, name })
                }
                Was::Elsewhere(_) => elsewhere.remove(&path),
            };
            match source {
                Some(source) => self.writes.push((path, source, now)),
                None => lost.push(path),
            }
        }
        if lost.is_empty() { Ok(()) } else { Err(UndoError::Lost { paths: lost }) }
    }

    /// What goes from its place.
    fn taken(&self) -> impl Iterator<Item = (&BundlePath, Before)> {
        let writes = self.writes.iter().map(|(path, _, before)| (path, *before));
        writes.chain(self.deletes.iter().map(|delete| (&delete.path, delete.expected_before)))
    }

    /// The paths at which something comes back.
    pub fn written(&self) -> impl Iterator<Item = &BundlePath> {
        self.writes.iter().map(|(path, ..)| path)
    }

    /// The paths at which a file goes.
    pub fn deleted(&self) -> impl Iterator<Item = &BundlePath> {
        self.deletes.iter().map(|delete| &delete.path)
    }

    /// The paths of which the present content is kept.
    pub fn kept(&self) -> Vec<&BundlePath> {
        let mut kept = self.keeping.kept(self.taken());
        kept.sort_unstable();
        kept
    }

    /// The paths of which content was kept by older operations, and is not kept any longer.
    pub fn expired(&self) -> &[String] {
        self.keeping.expired()
    }
}

/// What lies at `path`.
fn look(parents: &mut Parents, path: &BundlePath) -> Result<Before, UndoError> {
    let folder = match parents.of(path, Missing::Leave) {
        Ok(Some(folder)) => folder,
        Ok(None) | Err(ParentError::NotAFolder { .. }) => return Ok(Before::Absent),
        Err(source) => return Err(PrepareError::Parent { path: path.clone(), source }.into()),
    };
    match Spot::new(&folder, split(path.as_str()).1).look() {
        Ok(Some(Found::File(stamp))) => Ok(Before::Present(stamp)),
        Ok(Some(Found::Folder) | None) => Ok(Before::Absent),
        Err(source) => Err(PrepareError::Look { path: path.clone(), source }.into()),
    }
}

/// Whether what is kept is there, as it was.
fn is_kept(store: &Store, id: u64, name: &str, stamp: &Stamp) -> Result<bool, UndoError> {
    let damaged = |source: io::Error| DamagedError { id, why: source.to_string() };
    let folder = store.folder_of(id).map_err(damaged)?;
    match Spot::new(folder.dir(), name).look().map_err(damaged)? {
        Some(Found::File(found)) if found.has_same_time_and_size(stamp) => Ok(true),
        Some(_) => Err(DamagedError { id, why: format!("`{name}` in it is another one") }.into()),
        None => Ok(false),
    }
}

/// Finds out whether the system would let `prepared` be carried out in `project`, as far as can be told ahead.
pub fn foresee(project: &Project, prepared: &PreparedUndo) -> Result<(), UndoError> {
    let writes: ByPath<BundlePath> = prepared.written().cloned().collect();
    let deletes: ByPath<BundlePath> = prepared.deleted().cloned().collect();
    let before: BTreeMap<&BundlePath, Before> = prepared.taken().collect();
    let before = |path: &BundlePath| before.get(path).copied().unwrap_or(Before::Absent);
    Ok(foresee_reach(project, &writes, &deletes, before)?)
}

/// An undo that is being carried out: content may still have to come from bundles.
#[derive(Debug)]
#[must_use = "nothing changes before it is finished"]
pub struct BegunUndo<'a> {
    lock: &'a ProjectLock,
    staging: Staging,
    prepared: PreparedUndo,
    /// Files with content that came, each to be used once.
    fetched: BTreeMap<Digest, Fetched>,
}

/// A file with content that came.
#[derive(Debug)]
struct Fetched {
    staged: PathBuf,
    mode: Mode,
}

impl<'a> BegunUndo<'a> {
    /// Begins to carry out `prepared` in the project that `lock` holds.
    pub fn begin(lock: &'a ProjectLock, prepared: PreparedUndo) -> Result<Self, UndoError> {
        let fault = |source| PrepareError::Staging { folder: lock.project().staging_folder(), source };
        let staging = Staging::create(lock).map_err(fault)?;
        Ok(Self { lock, staging, prepared, fetched: BTreeMap::new() })
    }

    /// The bundles of which content has to come.
    pub fn bundles(&self) -> Vec<BundleAt> {
        let mut bundles: Vec<BundleAt> = Vec::new();
        for (_, source, _) in &self.prepared.writes {
            if let Source::Remote { bundle, .. } = source
                && !bundles.contains(bundle)
            {
                bundles.push(bundle.clone());
            }
        }
        bundles
    }

    /// Brings what is wanted of `origin`, which was opened as `bundle`.
    pub async fn fetch(
        &mut self,
        context: Context<'_>,
        origin: &BundleAt,
        mut bundle: Bundle,
    ) -> Result<(), UndoError> {
        let mut modes: BTreeMap<Digest, Mode> = BTreeMap::new();
        for (_, source, _) in &self.prepared.writes {
            if let Source::Remote { bundle: of, file } = source
                && of == origin
            {
                modes.entry(file.digest).or_insert_with(|| Mode::of(file.executable));
            }
        }
        let mut plan = PullPlan::default();
        let mut digests = Vec::new();
        let mut left: BTreeSet<Digest> = modes.keys().copied().collect();
        let firsts: Vec<&File> = bundle.files().iter().filter(|file| left.remove(&file.digest)).collect();
        for file in &firsts {
            let mode = modes.get(&file.digest).copied().unwrap_or(Mode::Plain);
            digests.push((file.digest, mode));
        }
        plan.write = firsts.iter().map(|file| file.path.clone()).collect();
        let is_executable = |file: &&&File| modes.get(&file.digest) == Some(&Mode::Executable);
        plan.executable = firsts.iter().filter(is_executable).map(|file| file.path.clone()).collect();
        bundle.index_view.files = plan.with_modes(std::mem::take(&mut bundle.index_view.files));
        let (staged, _) = download(context, self.lock.project(), &self.staging, &bundle, &plan).await?;
        for ((digest, mode), staged) in digests.into_iter().zip(staged) {
            self.fetched.insert(digest, Fetched { staged, mode });
        }
        Ok(())
    }

    /// Changes the project.
    pub fn finish(self) -> Result<Applied, UndoError> {
        let Self { lock, staging, prepared, mut fetched } = self;
        let project = lock.project();
        let fault = |source| PrepareError::Staging { folder: project.staging_folder(), source };
        let PreparedUndo { writes, deletes, own, keeping, .. } = prepared;
        let store = Store::open(project).map_err(fault)?.ok_or(UndoError::TooFew { there: 0 })?;
        let mut staged = Vec::with_capacity(writes.len());
        let mut lost = Vec::new();
        // Content that comes back at several paths moves to the last of them, and is copied to those before.
        let mut waiting: BTreeMap<Digest, usize> = BTreeMap::new();
        for (_, source, _) in &writes {
            if let Source::Remote { file, .. } = source {
                *waiting.entry(file.digest).or_default() += 1;
            }
        }
        for (path, source, expected_before) in writes {
            let file = match source {
                Source::Kept { id, name } => Some(stage_kept(&staging, &store, id, &name).map_err(fault)?),
                Source::Local { path: local, file } => {
                    stage_copy(&staging, &to_disk(project.root(), &local), &file).map_err(fault)?
                }
                Source::Remote { file, .. } => {
                    let left = waiting.entry(file.digest).or_default();
                    *left = left.saturating_sub(1);
                    match fetched.get(&file.digest) {
                        Some(Fetched { mode, .. }) if *left == 0 && *mode == Mode::of(file.executable) => {
                            fetched.remove(&file.digest).map(|fetched| fetched.staged)
                        }
                        Some(Fetched { staged, .. }) => stage_copy(&staging, staged, &file).map_err(fault)?,
                        None => None,
                    }
                }
            };
            match file {
                Some(file) => staged.push(Write { path, staged: file, expected_before }),
                None => lost.push(path),
            }
        }
        if !lost.is_empty() {
            return Err(UndoError::Lost { paths: lost });
        }
        match Commit::prepare_keeping(lock, &staging, staged, deletes, &own, &keeping) {
            Ok(commit) => Ok(commit.apply()?),
            Err(PrepareError::Changed { paths }) => Err(UndoError::InTheWay { paths }),
            Err(error) => Err(error.into()),
        }
    }
}

/// Stages a copy of the file at `disk`; none where it is not the content of `file`.
fn stage_copy(staging: &Staging, disk: &Path, file: &File) -> io::Result<Option<PathBuf>> {
    let (staged, target) = staging.stage_file(Mode::of(file.executable))?;
    Ok(copy_verified(disk, &target, file)?.then_some(staged))
}

/// Stages what is kept under `name`: it keeps that name too, until the undo is over.
fn stage_kept(staging: &Staging, store: &Store, id: u64, name: &str) -> io::Result<PathBuf> {
    let (staged, file) = staging.stage_file(Mode::Plain)?;
    drop(file);
    std::fs::remove_file(&staged)?;
    let (Some(folder), Some(file_name)) =
        (staged.parent(), staged.file_name().and_then(|name| name.to_str()))
    else {
        return Err(io::ErrorKind::InvalidInput.into());
    };
    let folder = cap_std::fs::Dir::open_ambient_dir(folder, cap_std::ambient_authority())?;
    let kept = store.folder_of(id)?;
    Spot::new(kept.dir(), name).link_or_copy(Spot::new(&folder, file_name))?;
    Ok(staged)
}

/// Why operations were not taken back; but for [`UndoError::Commit`] nothing was changed.
#[derive(Debug, Error)]
pub enum UndoError {
    /// The system refused a part of the changes.
    #[error(transparent)]
    Commit(#[from] CommitError),
    /// Content that was not kept cannot be had.
    #[error(transparent)]
    Download(#[from] DownloadError),
    /// What is kept is not as it was.
    #[error(transparent)]
    Damaged(#[from] DamagedError),
    /// Something stands where a file comes back.
    #[error("something stands where files come back, or changed meanwhile; nothing was changed")]
    InTheWay {
        /// Where.
        paths: Vec<BundlePath>,
    },
    /// What the undo would take away cannot be kept.
    #[error(transparent)]
    Keep(#[from] KeepError),
    /// Content that was not kept is not to be found.
    #[error("the earlier content of some files is not here; nothing was changed")]
    Lost {
        /// Of these.
        paths: Vec<BundlePath>,
    },
    /// The operation was told to keep nothing.
    #[error("`{command}` kept nothing of what it took away, and cannot be taken back")]
    NotKept {
        /// What it was.
        command: String,
    },
    /// The commit was not begun.
    #[error(transparent)]
    Prepare(#[from] PrepareError),
    /// A push came after the operation.
    #[error("a push came after `{}`: what it sent is not taken back here", entry.command)]
    Pushed {
        /// The operation.
        entry: Box<Entry>,
    },
    /// The store cannot be used.
    #[error("cannot use {}", folder.display())]
    Store {
        /// Its folder.
        folder: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// There are not so many operations.
    #[error("{}", if *there == 0 { "there is nothing to take back".to_owned() } else { format!("only {there} can be taken back") })]
    TooFew {
        /// How many there are.
        there: usize,
    },
}

impl UndoError {
    /// The bundle to pull instead, where one is known.
    pub fn instead(&self) -> Option<&BundleAt> {
        match self {
            Self::Pushed { entry } => entry.synced.as_ref(),
            _ => None,
        }
    }
}

//! The content of a push in layout `packed`: what is new goes into packs, what earlier packs hold stays there.

use std::collections::{BTreeSet, HashMap};

use bundle_core::digest::Digest;
use bundle_core::layout::Layout;
use bundle_core::pack::{FinishedPack, Pack, Run, Table};
use bundle_core::placement::{KnownChunks, PackLimits, Placement};
use bundle_core::plan::repack::PackUse;
use bundle_core::snapshot::{ByPath, File};

use super::PushError;
use crate::bundle::{Bundle, Context};
use crate::project::staging::Staging;
use crate::project::{Project, ProjectLock};
use crate::scan::{Found, Hashed, Scan, ScanProgress, Silent};
use crate::transfer::packing::{PackBase, ToPack, pack_files};
use crate::transfer::tables::{keep_table, load_tables};
use crate::transfer::{Uploaded, blocking};

/// The packs of a bundle on its way.
pub(super) struct Packs<'a> {
    context: Context<'a>,
    project: &'a Project,
    staging: Staging,
    /// The packs that there are, those of the bundle before first.
    packs: Vec<Pack>,
    tables: Vec<Table>,
    /// How many of them are of the bundle before.
    kept: usize,
    /// The chunks of the files of the bundle before, and of what was packed since.
    runs: HashMap<Digest, Vec<Run>>,
    uploaded: Uploaded,
}

impl<'a> Packs<'a> {
    /// Starts on what the bundle before holds, if that has packs.
    pub(super) async fn open(
        context: Context<'a>,
        lock: &'a ProjectLock,
        before: Option<&Bundle>,
    ) -> Result<Self, PushError> {
        let project = lock.project();
        let staging = Staging::create(lock)
            .map_err(|source| PushError::Staging { folder: project.staging_folder(), source })?;
        let mut packs = Self {
            context,
            project,
            staging,
            packs: Vec::new(),
            tables: Vec::new(),
            kept: 0,
            runs: HashMap::new(),
            uploaded: Uploaded::default(),
        };
        if let Some(before) = before.filter(|before| before.index_view.layout == Layout::Packed) {
            let placement = &before.index_view.placement;
            let all = (0..placement.packs.len() as u32).collect();
            packs.tables = load_tables(context, &placement.packs, &all).await?.tables;
            packs.packs.clone_from(&placement.packs);
            packs.kept = packs.packs.len();
            let runs = before.files().iter().enumerate();
            packs.runs = runs.map(|(at, file)| (file.digest, placement.runs(at).to_vec())).collect();
        }
        Ok(packs)
    }

    /// Reads what has to be read of the files that were found: those that nobody has hashed yet, and those that no pack
    /// holds. What is new goes into packs on the way.
    pub(super) fn read(
        &mut self,
        found: &Found<'_>,
        progress: &dyn ScanProgress,
    ) -> Result<Vec<(usize, Hashed)>, PushError> {
        let mut seen = BTreeSet::new();
        let is_to_be_read = |at: &usize| match found.digest(*at) {
            None => true,
            Some(digest) => found.size(*at) > 0 && !self.runs.contains_key(&digest) && seen.insert(digest),
        };
        let to_read: Vec<usize> = (0..found.len()).filter(is_to_be_read).collect();
        let to_pack =
            |at: &usize| ToPack { disk: found.disk(*at), size: found.size(*at), expected: found.digest(*at) };
        let to_pack: Vec<ToPack> = to_read.iter().map(to_pack).collect();
        let limits = PackLimits::of(found.len() as u64, found.bytes());
        let known = KnownChunks::of((0..).zip(&self.tables));
        let hashed = self.pack(&to_pack, limits, &known, progress)?;
        Ok(to_read.into_iter().zip(hashed).collect())
    }

    /// Packs and sends what no pack holds yet of `files`, of which `scan` says where they are on disk.
    pub(super) fn add(&mut self, files: &ByPath<File>, scan: &Scan) -> Result<(), PushError> {
        let mut seen = BTreeSet::new();
        let is_new = |file: &File| file.size > 0 && !self.runs.contains_key(&file.digest);
        let new: Vec<usize> =
            (0..files.len()).filter(|at| is_new(&files[*at]) && seen.insert(files[*at].digest)).collect();
        let known = KnownChunks::of((0..).zip(&self.tables));
        self.pack_files(&new, files, scan, &known)
    }

    /// Writes packs anew that have become wasteful, or small and many.
    pub(super) fn tidy(&mut self, files: &ByPath<File>, scan: &Scan) -> Result<(), PushError> {
        let used = self.placement(files).used(&self.tables);
        let packs: Vec<PackUse> = self
            .packs
            .iter()
            .zip(used)
            .take(self.kept)
            // A push is of files that are all here.
            .map(|(pack, used)| PackUse { stored: pack.toc.offset, used, is_here: true })
            .collect();
        let dropped: BTreeSet<u32> = self.context.core.plan_repack(&packs)?.into_iter().collect();
        if dropped.is_empty() {
            return Ok(());
        }
        let is_affected = |file: &File| {
            self.runs.get(&file.digest).is_some_and(|runs| runs.iter().any(|run| dropped.contains(&run.pack)))
        };
        let mut seen = BTreeSet::new();
        let affected: Vec<usize> = (0..files.len())
            .filter(|at| is_affected(&files[*at]) && seen.insert(files[*at].digest))
            .collect();
        let known = KnownChunks::of((0..).zip(&self.tables).filter(|(number, _)| !dropped.contains(number)));
        self.pack_files(&affected, files, scan, &known)
    }

    fn pack_files(
        &mut self,
        which: &[usize],
        files: &ByPath<File>,
        scan: &Scan,
        known: &KnownChunks,
    ) -> Result<(), PushError> {
        let to_pack = |at: &usize| {
            let file = &files[*at];
            let disk = scan.disk(self.project, &file.path);
            ToPack { disk, size: file.size, expected: Some(file.digest) }
        };
        let to_pack: Vec<ToPack> = which.iter().map(to_pack).collect();
        let (count, bytes) = super::amount(files);
        // They are written anew: what is known of them counts no more.
        files_of(which, files).for_each(|file| drop(self.runs.remove(&file.digest)));
        self.pack(&to_pack, PackLimits::of(count, bytes), known, &Silent).map(drop)
    }

    fn pack(
        &mut self,
        to_pack: &[ToPack],
        limits: PackLimits,
        known: &KnownChunks,
        progress: &dyn ScanProgress,
    ) -> Result<Vec<Hashed>, PushError> {
        if to_pack.is_empty() {
            return Ok(Vec::new());
        }
        // A bundle has a few hundred packs.
        let base = PackBase { known, next_pack: self.packs.len() as u32, limits };
        let read = |count| progress.hashed(count);
        let packed = blocking(|| pack_files(self.context, &self.staging, &base, to_pack, &read))?;
        for (hashed, runs) in packed.hashed.iter().zip(packed.runs) {
            // A file that was only touched is where it was.
            self.runs.entry(hashed.digest).or_insert(runs);
        }
        for FinishedPack { pack, table, stored_table } in packed.packs {
            keep_table(self.project, &pack.toc.digest, &stored_table);
            self.packs.push(pack);
            self.tables.push(table);
        }
        self.uploaded.blobs += packed.uploaded.blobs;
        self.uploaded.bytes += packed.uploaded.bytes;
        Ok(packed.hashed)
    }

    fn placement(&self, files: &ByPath<File>) -> Placement {
        let mut placement = Placement::new(self.packs.clone());
        for file in files {
            placement.push(self.runs.get(&file.digest).map_or(&[], Vec::as_slice));
        }
        placement
    }

    /// Where the chunks of `files` are now, and what was sent.
    pub(super) fn finish(self, files: &ByPath<File>) -> (Placement, Uploaded) {
        let placement = self.placement(files).compact();
        // What stays in the folder is cleared away by the next command.
        let _ = self.staging.discard();
        (placement, self.uploaded)
    }
}

fn files_of<'a>(which: &'a [usize], files: &'a ByPath<File>) -> impl Iterator<Item = &'a File> {
    which.iter().filter_map(|at| files.get(*at))
}

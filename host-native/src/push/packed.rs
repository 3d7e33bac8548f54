//! The content of a push in layout `packed`: what is new goes into packs, what earlier packs hold stays there.

use std::collections::{BTreeSet, HashMap};
use std::fmt;

use bundle_core::digest::Digest;
use bundle_core::layers::Layers;
use bundle_core::layout::Layout;
use bundle_core::pack::{FinishedPack, Table};
use bundle_core::placement::{KnownChunks, PackLimits, Placement};
use bundle_core::plan::repack::PackUse;
use bundle_core::snapshot::{ByPath, File};
use tokio::runtime::Handle;

use super::PushError;
use crate::bundle::{Bundle, Context};
use crate::project::ProjectLock;
use crate::project::staging::Staging;
use crate::scan::{Found, Hashed, Scan, ScanProgress, Silent};
use crate::transfer::packing::{PackBase, ToPack, pack_files};
use crate::transfer::tables::{forget_tables, keep_table, load_tables};
use crate::transfer::{Uploaded, blocking};

/// The packs of a bundle on its way.
pub(super) struct Packs<'a> {
    context: Context<'a>,
    lock: &'a ProjectLock,
    layers: Layers,
    /// Every content that has a place, those of the bundle before first.
    placed: Placement,
    /// Which of those has which digest.
    numbers: HashMap<Digest, usize>,
    /// How many of the packs are of the bundle before.
    kept: usize,
    /// What is needed only to add something.
    open: Option<Open>,
    uploaded: Uploaded,
}

/// What it takes to add something.
struct Open {
    staging: Staging,
    /// The table of each pack.
    tables: Vec<Table>,
}

impl fmt::Debug for Packs<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Packs").field("kept", &self.kept).finish_non_exhaustive()
    }
}

impl<'a> Packs<'a> {
    /// Starts on what the bundle before holds, if that has packs.
    pub(super) fn after(context: Context<'a>, lock: &'a ProjectLock, before: Option<&Bundle>) -> Self {
        let packed = before.filter(|before| before.index_view.layout == Layout::Packed);
        let numbers = packed.map(|before| before.files().iter().map(|file| file.digest).zip(0..).collect());
        let placed = packed.map(|before| before.index_view.placement.clone()).unwrap_or_default();
        Self {
            context,
            lock,
            layers: before.map(|before| Layers::of(&before.index_view.layers)).unwrap_or_default(),
            kept: placed.packs.len(),
            placed,
            numbers: numbers.unwrap_or_default(),
            open: None,
            uploaded: Uploaded::default(),
        }
    }

    fn has(&self, digest: &Digest) -> bool {
        self.numbers.contains_key(digest)
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
            Some(digest) => found.size(*at) > 0 && !self.has(&digest) && seen.insert(digest),
        };
        let to_read = (0..found.len()).filter(is_to_be_read);
        let to_pack = |at: usize| {
            let (disk, size, expected) = (found.disk(at), found.size(at), found.digest(at));
            (at, ToPack { disk, size, expected, layer: self.layers.number(found.path(at)) })
        };
        let mut to_read: Vec<(usize, ToPack)> = to_read.map(to_pack).collect();
        to_read.sort_by_key(|(_, file)| file.layer);
        let (places, to_pack): (Vec<usize>, Vec<ToPack>) = to_read.into_iter().unzip();
        let limits = PackLimits::of(found.len() as u64, found.bytes());
        let hashed = self.pack(&to_pack, limits, &BTreeSet::new(), progress)?;
        Ok(places.into_iter().zip(hashed).collect())
    }

    /// Packs and sends what no pack holds yet of `files`, of which `scan` says where they are on disk.
    pub(super) fn add(&mut self, files: &ByPath<File>, scan: &Scan) -> Result<(), PushError> {
        let mut seen = BTreeSet::new();
        let is_new = |file: &&File| file.size > 0 && !self.has(&file.digest) && seen.insert(file.digest);
        let new: Vec<&File> = files.iter().filter(is_new).collect();
        self.pack_files(&new, files, scan, &BTreeSet::new())
    }

    /// Writes packs anew that have become wasteful, or small and many.
    pub(super) fn tidy(&mut self, files: &ByPath<File>, scan: &Scan) -> Result<(), PushError> {
        if self.kept == 0 {
            return Ok(());
        }
        let used = self.placement(files).used(&self.open()?.tables);
        let packs = self.placed.packs.iter().zip(used).take(self.kept);
        // A push is of files that are all here.
        let pack_use = |(pack, used): (&bundle_core::pack::Pack, u64)| PackUse {
            stored: pack.toc.offset,
            used,
            is_here: true,
        };
        let packs: Vec<PackUse> = packs.map(pack_use).collect();
        let dropped: BTreeSet<u32> = self.context.core.plan_repack(&packs)?.into_iter().collect();
        if dropped.is_empty() {
            return Ok(());
        }
        let mut seen = BTreeSet::new();
        let is_affected = |file: &&File| {
            let number = self.numbers.get(&file.digest);
            let runs = number.map_or(&[][..], |number| self.placed.runs(*number));
            runs.iter().any(|run| dropped.contains(&run.pack)) && seen.insert(file.digest)
        };
        let affected: Vec<&File> = files.iter().filter(is_affected).collect();
        // Where they are now counts no more.
        for file in &affected {
            self.numbers.remove(&file.digest);
        }
        self.pack_files(&affected, files, scan, &dropped)
    }

    fn pack_files(
        &mut self,
        which: &[&File],
        files: &ByPath<File>,
        scan: &Scan,
        dropped: &BTreeSet<u32>,
    ) -> Result<(), PushError> {
        let to_pack = |file: &&File| {
            let disk = scan.disk(self.lock.project(), &file.path);
            let layer = self.layers.number(&file.path);
            ToPack { disk, size: file.size, expected: Some(file.digest), layer }
        };
        let mut to_pack: Vec<ToPack> = which.iter().map(to_pack).collect();
        to_pack.sort_by_key(|file| file.layer);
        let (count, bytes) = super::amount(files);
        self.pack(&to_pack, PackLimits::of(count, bytes), dropped, &Silent).map(drop)
    }

    /// Packs files beside what is there, where the packs in `dropped` count for nothing.
    fn pack(
        &mut self,
        to_pack: &[ToPack],
        limits: PackLimits,
        dropped: &BTreeSet<u32>,
        progress: &dyn ScanProgress,
    ) -> Result<Vec<Hashed>, PushError> {
        if to_pack.is_empty() {
            return Ok(Vec::new());
        }
        let context = self.context;
        // A bundle has a few hundred packs.
        let next_pack = self.placed.packs.len() as u32;
        let open = self.open()?;
        let tables = (0..).zip(&open.tables).filter(|(number, _)| !dropped.contains(number));
        let known = KnownChunks::of(tables);
        let base = PackBase { known: &known, next_pack, limits };
        let read = |count| progress.hashed(count);
        let packed = blocking(|| pack_files(context, &open.staging, &base, to_pack, &read))?;
        for FinishedPack { pack, table, stored_table } in packed.packs {
            keep_table(self.lock.project(), &pack.toc.digest, &stored_table);
            self.placed.packs.push(pack);
            self.open()?.tables.push(table);
        }
        for (hashed, runs) in packed.hashed.iter().zip(packed.runs) {
            // A file that was only touched is where it was.
            if !self.has(&hashed.digest) {
                self.numbers.insert(hashed.digest, self.placed.len());
                self.placed.push(&runs);
            }
        }
        self.uploaded.blobs += packed.uploaded.blobs;
        self.uploaded.bytes += packed.uploaded.bytes;
        Ok(packed.hashed)
    }

    fn open(&mut self) -> Result<&mut Open, PushError> {
        let open = match self.open.take() {
            Some(open) => open,
            None => {
                let (context, packs) = (self.context, &self.placed.packs);
                let all = (0..packs.len() as u32).collect();
                let tables = blocking(|| Handle::current().block_on(load_tables(context, packs, &all)))?;
                let folder = self.lock.project().staging_folder();
                let fault = |source| PushError::Staging { folder, source };
                Open { staging: Staging::create(self.lock).map_err(fault)?, tables: tables.tables }
            }
        };
        Ok(self.open.insert(open))
    }

    fn placement(&self, files: &ByPath<File>) -> Placement {
        let mut placement = Placement::new(self.placed.packs.clone());
        for file in files {
            let number = self.numbers.get(&file.digest);
            placement.push(number.map_or(&[], |number| self.placed.runs(*number)));
        }
        placement
    }

    /// Where the chunks of `files` are now, and what was sent.
    pub(super) fn finish(self, files: &ByPath<File>) -> (Placement, Uploaded) {
        let placement = self.placement(files).compact();
        forget_tables(self.lock.project(), &placement.packs);
        // What stays in the folder is cleared away by the next command.
        let _ = self.open.map(|open| open.staging.discard());
        (placement, self.uploaded)
    }
}

//! The content of a push in layout `packed`: what is new goes into packs, what earlier packs hold stays there.

use std::collections::BTreeSet;
use std::fmt;

use bundle_core::file::{ByPath, File};
use bundle_core::pack::chunk_map::{ChunkMap, KnownChunks};
use bundle_core::pack::limits::PackLimits;
use bundle_core::pack::table::{Pack, Table};

use super::PushError;
use super::held::Held;
use crate::bundle::{Bundle, Context};
use crate::project::ProjectLock;
use crate::project::staging::Staging;
use crate::scan::{Found, Hashed, Scan};
use crate::threads::Bridge;
use crate::transfer::Carried;
use crate::transfer::packing::{PackBase, ToPack, Underway, pack_files};
use crate::transfer::tables::{forget_tables, keep_table, load_all_tables};

/// The packs of a bundle on its way.
pub(super) struct Packs<'a> {
    context: Context<'a>,
    /// It is the engine that packs.
    bridge: Bridge,
    lock: &'a ProjectLock,
    held: Held,
    /// What is needed only to add something.
    open: Option<Open>,
    /// The packs that are on their way.
    underway: Underway<'a>,
    /// What those before them were.
    uploaded: Carried,
}

/// What it takes to add something.
struct Open {
    staging: Staging,
    /// The table of each pack.
    tables: Vec<Table>,
}

impl fmt::Debug for Packs<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Packs").field("kept", &self.held.kept()).finish_non_exhaustive()
    }
}

impl<'a> Packs<'a> {
    /// Starts on what the bundle before holds, if that has packs.
    pub(super) fn after(
        context: Context<'a>,
        bridge: &Bridge,
        lock: &'a ProjectLock,
        before: Option<&Bundle>,
    ) -> Self {
        let (underway, uploaded) = (Underway::default(), Carried::default());
        let bridge = bridge.clone();
        Self { context, bridge, lock, held: Held::after(before), open: None, underway, uploaded }
    }

    /// Reads what has to be read of the files that were found: those that nobody has hashed yet, and those that no pack
    /// holds. What is new goes into packs on the way.
    pub(super) fn read(&mut self, found: &Found<'_>) -> Result<Vec<(usize, Hashed)>, PushError> {
        let mut seen = BTreeSet::new();
        let is_to_be_read = |at: &usize| match found.digest(*at) {
            None => true,
            Some(digest) => found.size(*at) > 0 && !self.held.has(&digest) && seen.insert(digest),
        };
        let to_read = (0..found.len()).filter(is_to_be_read);
        let to_pack = |at: usize| {
            let (disk, size, expected) = (found.disk(at), found.size(at), found.digest(at));
            (at, ToPack { disk, size, expected, layer: self.held.layers.number(found.path(at)) })
        };
        let mut to_read: Vec<(usize, ToPack)> = to_read.map(to_pack).collect();
        to_read.sort_by_key(|(_, file)| file.layer);
        let (places, to_pack): (Vec<usize>, Vec<ToPack>) = to_read.into_iter().unzip();
        let limits = PackLimits::of(found.len() as u64, found.bytes());
        let hashed = self.pack(&to_pack, limits, &BTreeSet::new())?;
        Ok(places.into_iter().zip(hashed).collect())
    }

    /// Whether anything was new.
    pub(super) fn has_new(&self) -> bool {
        self.open.is_some()
    }

    /// Packs and sends what no pack holds yet of `files`, of which `scan` says where they are on disk.
    pub(super) fn add(&mut self, files: &ByPath<File>, scan: &Scan) -> Result<(), PushError> {
        let lacking = self.held.lacking(files);
        self.pack_files(&lacking, files, scan, &BTreeSet::new())
    }

    /// Writes packs anew that have become wasteful, or small and many.
    pub(super) fn tidy(
        &mut self,
        files: &ByPath<File>,
        carried: &ByPath<File>,
        scan: &Scan,
    ) -> Result<(), PushError> {
        if self.held.kept() == 0 {
            return Ok(());
        }
        let open = open(&mut self.open, self.context, &self.bridge, self.lock, &self.held)?;
        let dropped = self.held.to_renew(self.context.core, files, carried, &open.tables)?;
        let displaced = self.held.displace(files, &dropped);
        self.pack_files(&displaced, files, scan, &dropped)
    }

    fn pack_files(
        &mut self,
        which: &[&File],
        files: &ByPath<File>,
        scan: &Scan,
        dropped: &BTreeSet<u32>,
    ) -> Result<(), PushError> {
        let to_pack = self.held.to_pack(which, self.lock.project(), scan);
        self.pack(&to_pack, super::limits(files), dropped).map(drop)
    }

    /// Packs files beside what is there, where the packs in `dropped` count for nothing.
    fn pack(
        &mut self,
        to_pack: &[ToPack],
        limits: PackLimits,
        dropped: &BTreeSet<u32>,
    ) -> Result<Vec<Hashed>, PushError> {
        if to_pack.is_empty() {
            return Ok(Vec::new());
        }
        self.settle(|| ())?;
        let context = self.context;
        let open = open(&mut self.open, context, &self.bridge, self.lock, &self.held)?;
        let known = KnownChunks::of((0..).zip(&open.tables).filter(|(number, _)| !dropped.contains(number)));
        // A bundle has a few hundred packs.
        let next_pack = self.held.packs().len() as u32;
        let project = self.lock.project();
        let keep_table = |pack: &Pack, stored: &[u8]| keep_table(project, &pack.toc.digest, stored);
        let base = PackBase { known: &known, next_pack, limits };
        let (packed, underway) =
            pack_files(context, &self.bridge, &open.staging, &base, to_pack, &keep_table)?;
        self.underway = underway;
        for (pack, table) in packed.packs {
            self.held.add_pack(pack);
            open.tables.push(table);
        }
        for (hashed, runs) in packed.hashed.iter().zip(packed.runs) {
            self.held.add(hashed.digest, &runs);
        }
        Ok(packed.hashed)
    }

    /// Sends the packs that are on their way to their end, and does `work` meanwhile.
    fn settle<T>(&mut self, work: impl FnOnce() -> T) -> Result<T, PushError> {
        let underway = std::mem::take(&mut self.underway);
        let (done, sent) = underway.finish_beside(&self.bridge, work)?;
        let sent = sent?;
        self.uploaded = self.uploaded.and(sent);
        Ok(done)
    }

    /// Where the chunks of `files` are now.
    pub(super) fn chunk_map(&self, files: &ByPath<File>) -> Result<ChunkMap, PushError> {
        Ok(self.held.chunk_map(files)?.compact())
    }

    /// Sends everything to its end and does `work` meanwhile; says what was sent. All packs but those in `needed` are
    /// forgotten.
    pub(super) fn finish<T>(
        mut self,
        needed: &[Pack],
        work: impl FnOnce() -> Result<T, PushError>,
    ) -> Result<(T, Carried), PushError> {
        let done = self.settle(work)??;
        forget_tables(self.lock.project(), needed);
        // What stays in the folder is cleared away by the next command.
        let _ = self.open.map(|open| open.staging.discard());
        Ok((done, self.uploaded))
    }
}

/// What it takes to add something, made when it is first needed.
fn open<'a>(
    slot: &'a mut Option<Open>,
    context: Context<'_>,
    bridge: &Bridge,
    lock: &ProjectLock,
    held: &Held,
) -> Result<&'a mut Open, PushError> {
    match slot {
        Some(open) => Ok(open),
        none => {
            let tables = bridge.wait(load_all_tables(context, held.packs()))?;
            let folder = lock.project().staging_folder();
            let fault = |source| PushError::Staging { folder, source };
            Ok(none.insert(Open { staging: Staging::create(lock).map_err(fault)?, tables }))
        }
    }
}

//! What a push would add to its remote, without sending anything.

use std::collections::{BTreeSet, HashMap};

use bundle_core::digest::Digest;
use bundle_core::layers::Layers;
use bundle_core::layout::Layout;
use bundle_core::pack::{Pack, Run, Table};
use bundle_core::placement::{KnownChunks, PackLimits, Placement};
use bundle_core::plan::repack::PackUse;
use bundle_core::snapshot::{ByPath, File};

use super::{PreparedPush, PushError, amount};
use crate::bundle::{Bundle, Context};
use crate::project::Project;
use crate::transfer::blocking;
use crate::transfer::packing::{NewChunks, PackBase, ToPack, measure_files};
use crate::transfer::tables::load_tables;

/// What a push would add to its remote.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Estimate {
    /// Files that the remote's bundle does not have.
    pub added: u64,
    /// Files that it has with another content or mode.
    pub changed: u64,
    /// Files that the new bundle would not have any more.
    pub deleted: u64,
    /// Blobs that would be sent; in layout `packed`, new packs.
    pub blobs: u64,
    /// In layout `packed`, chunks that no pack has yet.
    pub chunks: u64,
    /// The bytes of what is new.
    pub raw: u64,
    /// The same as they would be sent: compressed in layout `packed`, where the packs' tables come on top.
    pub stored: u64,
}

/// Finds out what carrying out `prepared` would send. In layout `packed`, reads the files that have changed.
pub async fn estimate(
    context: Context<'_>,
    project: &Project,
    prepared: &PreparedPush<'_>,
) -> Result<Estimate, PushError> {
    let (plan, local) = (&prepared.plan, &prepared.scan.files);
    let nothing = ByPath::default();
    let estimate = compare(local, prepared.destination.replaces.as_ref().map_or(&nothing, Bundle::files));
    if !plan.changed {
        return Ok(estimate);
    }
    if prepared.layout == Layout::Files {
        let bytes = plan.blobs.iter().map(|blob| blob.size).sum();
        return Ok(Estimate { blobs: plan.blobs.len() as u64, raw: bytes, stored: bytes, ..estimate });
    }
    let new = Measure::open(context, project, prepared).await?.new_chunks()?;
    Ok(Estimate { blobs: new.packs, chunks: new.count(), raw: new.raw, stored: new.stored, ..estimate })
}

fn compare(local: &ByPath<File>, remote: &ByPath<File>) -> Estimate {
    let mut estimate = Estimate::default();
    for file in local {
        match remote.at(&file.path) {
            None => estimate.added += 1,
            Some(other) if !file.is_same_as(other) => estimate.changed += 1,
            Some(_) => {}
        }
    }
    estimate.deleted = remote.iter().filter(|file| local.at(&file.path).is_none()).count() as u64;
    estimate
}

/// A push in layout `packed`, and what the bundle before it has.
struct Measure<'a> {
    context: Context<'a>,
    project: &'a Project,
    prepared: &'a PreparedPush<'a>,
    limits: PackLimits,
    layers: Layers,
    packs: Vec<Pack>,
    tables: Vec<Table>,
    /// The chunks of those packs that each content is.
    runs: HashMap<Digest, Vec<Run>>,
}

impl<'a> Measure<'a> {
    async fn open(
        context: Context<'a>,
        project: &'a Project,
        prepared: &'a PreparedPush<'a>,
    ) -> Result<Self, PushError> {
        let (count, bytes) = amount(&prepared.scan.files);
        let limits = PackLimits::of(count, bytes);
        let (packs, tables, runs) = (Vec::new(), Vec::new(), HashMap::new());
        let before = prepared.destination.with_packs().map(|bundle| &bundle.index_view);
        let layers = before.map(|before| Layers::of(&before.layers)).unwrap_or_default();
        let mut measure = Self { context, project, prepared, limits, layers, packs, tables, runs };
        if let Some(before) = before.filter(|before| before.layout == Layout::Packed) {
            measure.packs.clone_from(&before.placement.packs);
            let all = (0..measure.packs.len() as u32).collect();
            measure.tables = load_tables(context, &measure.packs, &all).await?.tables;
            let runs = before.files.iter().enumerate();
            measure.runs = runs.map(|(at, file)| (file.digest, before.placement.runs(at).to_vec())).collect();
        }
        Ok(measure)
    }

    /// The chunks of what has changed, and of what is written anew because it lies in wasteful packs.
    fn new_chunks(mut self) -> Result<NewChunks, PushError> {
        let mut new = NewChunks::default();
        let blobs = self.prepared.plan.blobs.iter().map(|blob| blob.digest);
        let lacking: BTreeSet<Digest> = blobs.filter(|digest| !self.runs.contains_key(digest)).collect();
        self.measure(&lacking, &BTreeSet::new(), &mut new)?;
        let dropped = self.dropped()?;
        let is_dropped = |runs: &[Run]| runs.iter().any(|run| dropped.contains(&run.pack));
        let files = self.prepared.scan.files.iter();
        let held = files.filter(|file| self.runs.get(&file.digest).is_some_and(|runs| is_dropped(runs)));
        let affected = held.map(|file| file.digest).collect();
        self.measure(&affected, &dropped, &mut new)?;
        Ok(new)
    }

    /// The packs that the push would write anew.
    fn dropped(&self) -> Result<BTreeSet<u32>, PushError> {
        let mut placement = Placement::new(self.packs.clone());
        for file in &self.prepared.scan.files {
            placement.push(self.runs.get(&file.digest).map_or(&[], Vec::as_slice));
        }
        let used = placement.used(&self.tables);
        let packs: Vec<PackUse> = self
            .packs
            .iter()
            .zip(used)
            .map(|(pack, used)| PackUse { stored: pack.toc.offset, used, is_here: true })
            .collect();
        Ok(self.context.core.plan_repack(&packs)?.into_iter().collect())
    }

    /// Reads the files with these contents, and adds to `new` what is in no pack but the `dropped` ones.
    fn measure(
        &mut self,
        contents: &BTreeSet<Digest>,
        dropped: &BTreeSet<u32>,
        new: &mut NewChunks,
    ) -> Result<(), PushError> {
        let mut seen = BTreeSet::new();
        let files = self.prepared.scan.files.iter();
        let mut files: Vec<&File> =
            files.filter(|file| contents.contains(&file.digest) && seen.insert(file.digest)).collect();
        if files.is_empty() {
            return Ok(());
        }
        files.sort_by_key(|file| self.layers.number(&file.path));
        let to_pack = |file: &&File| {
            let disk = self.prepared.scan.disk(self.project, &file.path);
            let layer = self.layers.number(&file.path);
            ToPack { disk, size: file.size, expected: Some(file.digest), layer }
        };
        let to_pack: Vec<ToPack> = files.iter().map(to_pack).collect();
        let kept = (0..).zip(&self.tables).filter(|(number, _)| !dropped.contains(number));
        let known = KnownChunks::of(kept);
        let base = PackBase { known: &known, next_pack: self.packs.len() as u32, limits: self.limits };
        let held = blocking(|| measure_files(&base, &to_pack, new))?;
        self.runs.extend(files.iter().map(|file| file.digest).zip(held));
        Ok(())
    }
}

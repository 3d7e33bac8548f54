//! What packs hold of the contents of a bundle on its way: those of the bundle before, and what was packed since.

use std::collections::{BTreeSet, HashMap};

use bundle_core::bundle::groups::Layers;
use bundle_core::bundle::layout::Layout;
use bundle_core::digest::Digest;
use bundle_core::file::{ByPath, File};
use bundle_core::pack::chunk_map::ChunkMap;
use bundle_core::pack::table::{Pack, Run, Table};
use bundle_core::plan::repack::PackUse;

use super::PushError;
use crate::bundle::Bundle;
use crate::component::Core;
use crate::project::Project;
use crate::scan::Scan;
use crate::transfer::packing::ToPack;

/// Contents by their digests, and where their chunks are.
#[derive(Debug)]
pub(super) struct Held {
    pub(super) layers: Layers,
    /// Every content that has a place, those of the bundle before first.
    placed: ChunkMap,
    /// Which of those has which digest.
    numbers: HashMap<Digest, usize>,
    /// How many of the packs are of the bundle before.
    kept: usize,
}

impl Held {
    /// Starts on what the bundle before holds, if that has packs.
    pub(super) fn after(before: Option<&Bundle>) -> Self {
        let packed = before.filter(|before| before.index_view.layout == Layout::Packed);
        let numbers = packed.map(|before| before.files().iter().map(|file| file.digest).zip(0..).collect());
        let placed = packed.map(|before| before.index_view.chunk_map.clone()).unwrap_or_default();
        Self {
            layers: before.map(|before| Layers::of(&before.index_view.layers)).unwrap_or_default(),
            kept: placed.packs.len(),
            placed,
            numbers: numbers.unwrap_or_default(),
        }
    }

    /// The packs, those of the bundle before first.
    pub(super) fn packs(&self) -> &[Pack] {
        &self.placed.packs
    }

    /// How many of the packs are of the bundle before.
    pub(super) fn kept(&self) -> usize {
        self.kept
    }

    pub(super) fn has(&self, digest: &Digest) -> bool {
        self.numbers.contains_key(digest)
    }

    /// The chunks of a content, where it has a place.
    fn runs(&self, digest: &Digest) -> Option<&[Run]> {
        self.placed.runs(*self.numbers.get(digest)?)
    }

    pub(super) fn add_pack(&mut self, pack: Pack) {
        self.placed.packs.push(pack);
    }

    /// Puts down where a content is, unless it has a place: a file that was only touched is where it was.
    pub(super) fn add(&mut self, digest: Digest, runs: &[Run]) {
        if !self.has(&digest) {
            self.numbers.insert(digest, self.placed.len());
            self.placed.push(runs);
        }
    }

    /// Where the chunks of `files` are.
    ///
    /// # Errors
    ///
    /// A file that has content and no place: nothing may be written of it.
    pub(super) fn chunk_map(&self, files: &ByPath<File>) -> Result<ChunkMap, PushError> {
        let mut chunk_map = ChunkMap::new(self.placed.packs.clone());
        for file in files {
            match self.runs(&file.digest) {
                Some(runs) => chunk_map.push(runs),
                None if file.size == 0 => chunk_map.push(&[]),
                None => return Err(PushError::NoPlace { path: file.path.to_string() }),
            }
        }
        Ok(chunk_map)
    }

    /// Those of `files` that have no place yet, each content once.
    pub(super) fn lacking<'a>(&self, files: &'a ByPath<File>) -> Vec<&'a File> {
        let mut seen = BTreeSet::new();
        let is_lacking = |file: &&File| file.size > 0 && !self.has(&file.digest) && seen.insert(file.digest);
        files.iter().filter(is_lacking).collect()
    }

    /// The packs of the bundle before that are to be written anew: wasteful ones, and those of which there are too many.
    pub(super) fn to_renew(
        &self,
        core: &Core,
        files: &ByPath<File>,
        carried: &ByPath<File>,
        tables: &[Table],
    ) -> Result<BTreeSet<u32>, PushError> {
        let used = self.chunk_map(files)?.used(tables);
        let elsewhere: BTreeSet<u32> = carried
            .iter()
            .flat_map(|file| self.runs(&file.digest).unwrap_or_default())
            .map(|run| run.pack)
            .collect();
        let pack_use = |(number, (pack, used)): (u32, (&Pack, u64))| {
            let is_here = !elsewhere.contains(&number);
            PackUse { stored: pack.toc.offset, used, is_here }
        };
        let packs = (0..).zip(self.packs().iter().zip(used).take(self.kept));
        let packs: Vec<PackUse> = packs.map(pack_use).collect();
        Ok(core.plan_repack(&packs)?.into_iter().collect())
    }

    /// Forgets the places of those of `files` that need one of the packs in `dropped`, and gives each content once.
    pub(super) fn displace<'a>(&mut self, files: &'a ByPath<File>, dropped: &BTreeSet<u32>) -> Vec<&'a File> {
        let mut displaced = Vec::new();
        if dropped.is_empty() {
            return displaced;
        }
        for file in files {
            let is_dropped = |runs: &[Run]| runs.iter().any(|run| dropped.contains(&run.pack));
            if self.runs(&file.digest).is_some_and(is_dropped) {
                self.numbers.remove(&file.digest);
                displaced.push(file);
            }
        }
        displaced
    }

    /// The `files` as they are packed: those of one layer follow each other.
    pub(super) fn to_pack(&self, files: &[&File], project: &Project, scan: &Scan) -> Vec<ToPack> {
        let to_pack = |file: &&File| ToPack {
            disk: scan.disk(project, &file.path),
            size: file.size,
            expected: Some(file.digest),
            layer: self.layers.number(&file.path),
        };
        let mut files: Vec<ToPack> = files.iter().map(to_pack).collect();
        files.sort_by_key(|file| file.layer);
        files
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_was_packed_nowhere_is_put_into_no_index() {
        let file = |path: &str, content: &str| File {
            path: path.parse().unwrap(),
            digest: Digest::of(content.as_bytes()),
            size: content.len() as u64,
            executable: Some(false),
        };
        let files = ByPath::new(vec![file("a", "1"), file("b", "2"), file("empty", "")]).unwrap();
        let mut held = Held::after(None);
        let runs = [Run { pack: 0, first: 0, count: 1 }];
        held.add(Digest::of(b"1"), &runs);
        let refused = held.chunk_map(&files);
        assert!(matches!(refused, Err(PushError::NoPlace { path }) if path == "b"));
        held.add(Digest::of(b"2"), &runs);
        let chunk_map = held.chunk_map(&files).unwrap();
        let placed: Vec<_> = (0..4).map(|at| chunk_map.runs(at)).collect();
        assert_eq!(placed, [Some(&runs[..]), Some(&runs[..]), Some(&[][..]), None]);
    }
}

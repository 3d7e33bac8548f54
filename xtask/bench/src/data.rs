//! The files that are worked on: the same bytes on every machine, made once.

use crate::arena::{Arena, make_folder, remove};
use std::fs::{self, File};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use xtask::failure::{Context, Result};

/// A folder of equally large files in equally full folders.
pub(crate) struct Data {
    /// What the folder is called.
    pub(crate) name: &'static str,
    /// How many folders there are in it.
    pub(crate) folders: usize,
    /// How many files there are in each.
    pub(crate) files: usize,
    /// How many bytes there are in each file.
    pub(crate) bytes: usize,
}

impl Data {
    /// Makes the files, unless they are there, and returns their folder.
    pub(crate) fn make(&self, arena: &Arena) -> Result<PathBuf> {
        let folder = arena.lasting(self.name);
        let stamp = self.stamp(arena);
        let recipe =
            format!("{} folders, {} files in each, {} bytes\n", self.folders, self.files, self.bytes);
        if fs::read_to_string(&stamp).is_ok_and(|made_from| made_from == recipe) && folder.is_dir() {
            return Ok(folder);
        }
        println!("    making {}", recipe.trim_end());
        remove(&stamp)?;
        remove(&folder)?;
        self.write_files(&folder)?;
        // Last: an interrupted run leaves nothing that looks finished.
        fs::write(&stamp, recipe).context(|| format!("cannot write {}", stamp.display()))?;
        Ok(folder)
    }

    /// Copies the files, and nothing that somebody else left beside them, into another folder.
    pub(crate) fn copy(&self, from: &Path, to: &Path) -> Result {
        for folder in 0..self.folders {
            make_folder(&to.join(folder_name(folder)))?;
        }
        for path in self.paths() {
            copy(&from.join(&path), &to.join(&path))?;
        }
        Ok(())
    }

    /// Removes the files, where they are too large to be kept for the next run.
    pub(crate) fn remove(&self, arena: &Arena) -> Result {
        remove(&self.stamp(arena))?;
        remove(&arena.lasting(self.name))
    }

    /// The file that says what the files were made from.
    fn stamp(&self, arena: &Arena) -> PathBuf {
        arena.lasting(&format!("{}.recipe", self.name))
    }

    /// The paths of all files, below the folder.
    pub(crate) fn paths(&self) -> Vec<String> {
        let folders = 0..self.folders;
        folders.flat_map(|folder| (0..self.files).map(move |file| path(folder, file))).collect()
    }

    fn write_files(&self, root: &Path) -> Result {
        let mut noise = Noise(0x9e37_79b9_7f4a_7c15);
        for folder in 0..self.folders {
            make_folder(&root.join(folder_name(folder)))?;
            for file in 0..self.files {
                let path = root.join(path(folder, file));
                write_noise(&path, self.bytes, &mut noise)
                    .context(|| format!("cannot write {}", path.display()))?;
            }
        }
        Ok(())
    }
}

fn folder_name(folder: usize) -> String {
    format!("series-{folder:03}")
}

fn path(folder: usize, file: usize) -> String {
    format!("{}/part-{file:04}.bin", folder_name(folder))
}

fn write_noise(path: &Path, bytes: usize, noise: &mut Noise) -> std::io::Result<()> {
    const PIECE: usize = 1 << 20;
    let mut file = File::create(path)?;
    let mut piece = vec![0; PIECE.min(bytes)];
    let mut left = bytes;
    while left > 0 {
        let length = left.min(PIECE);
        noise.fill(&mut piece[..length]);
        file.write_all(&piece[..length])?;
        left -= length;
    }
    Ok(())
}

/// Copies a file over another or to where there is none.
pub(crate) fn copy(from: &Path, to: &Path) -> Result {
    let cannot = || format!("cannot copy {} to {}", from.display(), to.display());
    fs::copy(from, to).map(drop).context(cannot)
}

/// Writes a file of noise that is the same for the same seed, and for no other.
pub(crate) fn write_seeded(path: &Path, bytes: usize, seed: u64) -> Result {
    write_noise(path, bytes, &mut Noise::new(seed)).context(|| format!("cannot write {}", path.display()))
}

/// How many bytes are put in at each of three places.
const INSERTED: usize = 100;

/// Copies a file and puts new bytes in after each quarter of it but the last; another seed means other bytes.
pub(crate) fn copy_with_insertions(from: &Path, to: &Path, seed: u64) -> Result {
    let cannot = || format!("cannot copy {} to {}", from.display(), to.display());
    insert(from, to, &mut Noise::new(seed)).context(cannot)
}

fn insert(from: &Path, to: &Path, noise: &mut Noise) -> std::io::Result<()> {
    let (mut source, mut target) = (&File::open(from)?, File::create(to)?);
    // Not at a multiple of any size in which somebody may cut files.
    let quarter = source.metadata()?.len() / 4 + 13;
    for _ in 0..3 {
        let mut inserted = [0; INSERTED];
        noise.fill(&mut inserted);
        std::io::copy(&mut source.take(quarter), &mut target)?;
        target.write_all(&inserted)?;
    }
    std::io::copy(&mut source, &mut target).map(drop)
}

/// Bytes that no compression makes fewer: xorshift64* by Vigna.
pub(crate) struct Noise(u64);

impl Noise {
    /// Noise that is the same for the same seed. Seeds that are close give noise that is not: the step
    /// between is splitmix64, which makes zero, from which xorshift never comes away, of one seed alone.
    pub(crate) fn new(seed: u64) -> Self {
        let mut mixed = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        Self((mixed ^ (mixed >> 31)).max(1))
    }

    /// The next 64 bits.
    pub(crate) fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    fn fill(&mut self, bytes: &mut [u8]) {
        for eight in bytes.chunks_mut(8) {
            let next = self.next().to_le_bytes();
            eight.copy_from_slice(&next[..eight.len()]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use xtask::scratch::Scratch;

    #[test]
    fn noise_is_the_same_each_time_and_does_not_repeat() {
        let (mut once, mut again) = ([0; 4100], [0; 4100]);
        Noise(1).fill(&mut once);
        Noise(1).fill(&mut again);
        assert_eq!(once, again);
        assert_ne!(once[..8], once[8..16]);
        assert_ne!(once[4096..], [0; 4]);
    }

    #[test]
    fn seeds_that_are_close_give_noise_that_is_not() {
        let (mut one, mut two) = (Noise::new(1), Noise::new(2));
        let (one, two) = (one.next(), two.next());
        assert_ne!(one, two);
        assert!((one ^ two).count_ones() > 8);
        assert_eq!(Noise::new(1).next(), one);
    }

    #[test]
    fn what_is_inserted_is_all_that_is_new() {
        let scratch = Scratch::new("modelops-bench-data").unwrap();
        let (old, new) = (scratch.path().join("old"), scratch.path().join("new"));
        write_seeded(&old, 4000, 1).unwrap();
        copy_with_insertions(&old, &new, 2).unwrap();
        let (before, after) = (fs::read(&old).unwrap(), fs::read(&new).unwrap());
        assert_eq!(after.len(), before.len() + 3 * INSERTED);
        let kept: Vec<_> = [0..1013, 1113..2126, 2226..3239, 3339..4300].map(|range| &after[range]).concat();
        assert_eq!(kept, before);
        assert_ne!(after[1013..1113], after[2126..2226]);

        copy_with_insertions(&old, &new, 3).unwrap();
        assert_ne!(fs::read(&new).unwrap(), after);
    }
}

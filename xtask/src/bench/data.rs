//! The files that are worked on: the same bytes on every machine, made once.

use super::arena::{Arena, make_folder, remove};
use crate::failure::{Context, Result};
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};

/// A folder of equally large files in equally full folders.
pub(super) struct Data {
    /// What the folder is called.
    pub(super) name: &'static str,
    /// How many folders there are in it.
    pub(super) folders: usize,
    /// How many files there are in each.
    pub(super) files: usize,
    /// How many bytes there are in each file.
    pub(super) bytes: usize,
}

impl Data {
    /// Makes the files, unless they are there, and returns their folder.
    pub(super) fn make(&self, arena: &Arena) -> Result<PathBuf> {
        let folder = arena.lasting(self.name);
        let stamp = arena.lasting(&format!("{}.recipe", self.name));
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

    /// The paths of all files, below the folder.
    pub(super) fn paths(&self) -> Vec<String> {
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

/// Bytes that no compression makes fewer: xorshift64* by Vigna.
struct Noise(u64);

impl Noise {
    fn next(&mut self) -> u64 {
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

    #[test]
    fn noise_is_the_same_each_time_and_does_not_repeat() {
        let (mut once, mut again) = ([0; 4100], [0; 4100]);
        Noise(1).fill(&mut once);
        Noise(1).fill(&mut again);
        assert_eq!(once, again);
        assert_ne!(once[..8], once[8..16]);
        assert_ne!(once[4096..], [0; 4]);
    }
}

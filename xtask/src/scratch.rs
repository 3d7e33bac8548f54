//! A temporary folder that is gone when its owner is.

use crate::failure::{Context, Result};
use std::fs;
use std::path::{Path, PathBuf};

/// A new folder in the system's temporary folder, removed with all it holds on drop.
pub struct Scratch(PathBuf);

impl Scratch {
    /// Makes a folder whose name begins with `name`.
    pub fn new(name: &str) -> Result<Self> {
        let base = std::env::temp_dir();
        let mut attempt = 0;
        loop {
            let path = base.join(format!("{name}-{}-{attempt}", std::process::id()));
            match fs::create_dir(&path) {
                Ok(()) => return Ok(Self(path)),
                Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => attempt += 1,
                Err(error) => return Err(error).context(|| format!("cannot make {}", path.display())),
            }
        }
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // Nobody is left to be told; the system empties its temporary folder some day.
        let _ = fs::remove_dir_all(&self.0);
    }
}

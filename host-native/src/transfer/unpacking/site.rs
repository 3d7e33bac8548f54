//! Where files are put together: each in a staged file of its own, or all of them in one archive.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use bundle_core::file::File;
use bundle_core::pack::chunk::MAX_CHUNK;

use crate::project::staging::{Mode, Staging};

/// Makes room for files.
pub(in crate::transfer) trait Site: Sync {
    /// Makes room for one of the files that are put together, by its number among them.
    fn begin(&self, at: usize, file: &File) -> io::Result<(Plot, fs::File)>;

    /// What is written to, for messages.
    fn name(&self) -> &Path;
}

/// The room of one file.
#[derive(Clone, Debug)]
pub(in crate::transfer) struct Plot {
    /// The file on disk that holds it.
    pub(in crate::transfer) path: PathBuf,
    /// The offset in that of its first byte.
    pub(in crate::transfer) start: u64,
}

impl Site for Staging {
    fn begin(&self, _at: usize, file: &File) -> io::Result<(Plot, fs::File)> {
        let (path, staged) = self.stage(&file.path, Mode::of(file.executable))?;
        if file.size > MAX_CHUNK as u64 {
            // It comes in parts, in any order.
            staged.set_len(file.size)?;
        }
        Ok((Plot { path, start: 0 }, staged))
    }

    fn name(&self) -> &Path {
        self.folder()
    }
}

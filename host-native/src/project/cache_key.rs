//! The key by which a cache in a project's folder is known to be ours.
//!
//! A checksum shows that a cache is whole, not who made it. A project may come from anybody, with a cache in it that says of
//! a bundle what is not so; and what is in the cache is not looked up again. So it is sealed with a key that each user has
//! in a folder of their own and that no project holds.

use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use super::atomic::sync_folder;
use crate::user_folders::UserFolders;
use crate::whole_file::{self, Links};

/// Where the key is, in the user's folder for caches: without it, what was cached is fetched again.
const FILE: &str = "modelops-bundle/cache-key";

const LENGTH: usize = 32;

/// The key of this user.
#[derive(Clone, Copy)]
pub(crate) struct CacheKey([u8; LENGTH]);

impl CacheKey {
    /// The length of a seal in bytes.
    pub(crate) const SEAL: usize = blake3::OUT_LEN;

    /// The key, if the user has one.
    pub(crate) fn read() -> Option<Self> {
        Self::read_at(&file()?)
    }

    /// The key, which is made where there is none; `None` where that cannot be.
    pub(crate) fn read_or_make() -> Option<Self> {
        let file = file()?;
        if let Some(key) = Self::read_at(&file) {
            return Some(key);
        }
        if let Err(error) = Self::make_at(&file) {
            tracing::debug!(%error, "there is no key for caches");
        }
        // Another process may have been quicker: what is there counts for both.
        Self::read_at(&file)
    }

    fn read_at(file: &Path) -> Option<Self> {
        let bytes = whole_file::read(file, LENGTH as u64, Links::Refuse).ok()?;
        bytes.try_into().ok().map(Self)
    }

    fn make_at(file: &Path) -> io::Result<()> {
        let folder = file.parent().ok_or(io::ErrorKind::NotFound)?;
        std::fs::create_dir_all(folder)?;
        let mut key = [0; LENGTH];
        getrandom::fill(&mut key).map_err(io::Error::other)?;
        // For its owner alone, as every temporary file.
        let mut made = tempfile::Builder::new().prefix(".new-").tempfile_in(folder)?;
        made.write_all(&key)?;
        made.as_file().sync_all()?;
        made.persist(file).map_err(|error| error.error)?;
        sync_folder(folder)
    }

    #[cfg(test)]
    pub(crate) fn of(key: [u8; LENGTH]) -> Self {
        Self(key)
    }

    /// The seal of what `pieces` are one after the other.
    pub(crate) fn seal(&self, pieces: &[&[u8]]) -> [u8; Self::SEAL] {
        let mut hasher = blake3::Hasher::new_keyed(&self.0);
        for piece in pieces {
            hasher.update(piece);
        }
        hasher.finalize().into()
    }
}

/// Makes the user a key where there is none, so that it is there before anything is cached.
pub fn make_cache_key() {
    // Without one nothing is cached that needs it.
    let _ = CacheKey::read_or_make();
}

fn file() -> Option<PathBuf> {
    UserFolders::of_process().map(|user| user.cache.join(FILE))
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::*;

    #[test]
    fn is_made_once_and_again_where_it_is_none() {
        let folder = TempDir::new().unwrap();
        let file = folder.path().join("new/key");
        assert!(CacheKey::read_at(&file).is_none());
        CacheKey::make_at(&file).unwrap();
        let key = CacheKey::read_at(&file).unwrap();
        assert_eq!(key.seal(&[b"ab", b"c"]), CacheKey::read_at(&file).unwrap().seal(&[b"abc"]));
        std::fs::write(&file, "short").unwrap();
        assert!(CacheKey::read_at(&file).is_none());
        CacheKey::make_at(&file).unwrap();
        assert_ne!(key.seal(&[b"abc"]), CacheKey::read_at(&file).unwrap().seal(&[b"abc"]));
    }
}

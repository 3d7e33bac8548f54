//! The files of a layout: opened only inside it, written whole or not at all.

use std::fs::{self, File};
use std::io::{self, Read, Write as _};
use std::path::{Path, PathBuf};

use bundle_core::descriptor::Descriptor;
use bundle_core::digest::{Digest, Hasher};
use serde_json::json;
use tempfile::NamedTempFile;

use super::{PIECE_BYTES, index};
use crate::remote::{RemoteError, Transferred, blob};

/// The list of manifests.
pub(super) const INDEX_FILE: &str = "index.json";

/// The file that marks a directory as a layout.
const MARKER_FILE: &str = "oci-layout";

/// The version of the layout that we read and write.
const LAYOUT_VERSION: &str = "1.0.0";

/// Files of ours that are no part of the layout start with this.
const OWN_PREFIX: &str = ".modelops-bundle-";

/// The largest index that is read.
const MAX_INDEX_BYTES: u64 = 64 << 20;

/// The directory that a layout lies in.
#[derive(Debug)]
pub(super) struct Directory {
    root: PathBuf,
}

/// A blob's file that was found inside the layout.
#[derive(Debug)]
pub(super) struct Opened {
    pub(super) file: File,
    pub(super) path: PathBuf,
    pub(super) size: u64,
}

/// Makes an I/O error into one that names the file.
pub(super) fn cannot(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> RemoteError {
    let path = path.to_owned();
    move |source| RemoteError::Io { action, path, source }
}

impl Directory {
    pub(super) fn new(root: PathBuf) -> Self {
        Self { root }
    }

    fn blobs(&self) -> PathBuf {
        self.root.join("blobs").join("sha256")
    }

    /// Opens a blob's file; `None` where there is none.
    pub(super) fn open_blob(&self, digest: &Digest) -> Result<Option<Opened>, RemoteError> {
        self.open(self.blobs().join(digest.hex()))
    }

    /// Whether a blob of that name and size is there.
    pub(super) fn holds(&self, descriptor: &Descriptor) -> Result<bool, RemoteError> {
        Ok(self.open_blob(&descriptor.digest)?.is_some_and(|blob| blob.size == descriptor.size))
    }

    /// Reads `index.json`; `None` where there is no layout yet.
    pub(super) fn read_index(&self) -> Result<Option<Vec<u8>>, RemoteError> {
        let content = self.read_small(INDEX_FILE, MAX_INDEX_BYTES)?;
        // Without an index there is nothing to misread, whatever the directory is.
        if content.is_some() {
            self.check_version()?;
        }
        Ok(content)
    }

    /// Waits until no other process writes to the index; the lock lasts as long as the file is held.
    pub(super) fn lock(&self) -> Result<File, RemoteError> {
        let path = self.root.join(format!("{OWN_PREFIX}lock"));
        let file = File::options().create(true).append(true).open(&path).map_err(cannot("lock", &path))?;
        file.lock().map_err(cannot("lock", &path))?;
        Ok(file)
    }

    /// Makes the directory a layout where it is not one yet.
    ///
    /// # Errors
    ///
    /// [`RemoteError::NotALayout`] where it holds files and is none: they are someone's.
    pub(super) fn prepare(&self) -> Result<(), RemoteError> {
        if !self.root.join(MARKER_FILE).exists() {
            fs::create_dir_all(&self.root).map_err(cannot("write", &self.root))?;
            self.refuse_foreign()?;
            let marker = json!({ "imageLayoutVersion": LAYOUT_VERSION }).to_string();
            self.write_file(&self.root.join(MARKER_FILE), marker.as_bytes())?;
        }
        self.check_version()?;
        let blobs = self.blobs();
        fs::create_dir_all(&blobs).map_err(cannot("write", &blobs))?;
        self.inside(&blobs).map(drop)
    }

    fn refuse_foreign(&self) -> Result<(), RemoteError> {
        for entry in fs::read_dir(&self.root).map_err(cannot("read", &self.root))? {
            let name = entry.map_err(cannot("read", &self.root))?.file_name();
            // The marker may come from another process in this very moment.
            if name != MARKER_FILE && !name.to_string_lossy().starts_with(OWN_PREFIX) {
                // Whoever made the marker in the meantime may have gone on to write.
                if self.root.join(MARKER_FILE).exists() {
                    return Ok(());
                }
                return Err(RemoteError::NotALayout { path: self.root.clone() });
            }
        }
        Ok(())
    }

    fn check_version(&self) -> Result<(), RemoteError> {
        let Some(marker) = self.read_small(MARKER_FILE, 4096)? else {
            return Err(RemoteError::NotALayout { path: self.root.clone() });
        };
        match index::text_field(&marker, "imageLayoutVersion") {
            Some(version) if version == LAYOUT_VERSION => Ok(()),
            Some(version) => {
                let version = crate::remote::error::harmless(&version);
                Err(RemoteError::Unsupported { what: format!("version `{version}` of the OCI image layout") })
            }
            None => Err(RemoteError::NotALayout { path: self.root.clone() }),
        }
    }

    fn read_small(&self, name: &str, limit: u64) -> Result<Option<Vec<u8>>, RemoteError> {
        let Some(opened) = self.open(self.root.join(name))? else {
            return Ok(None);
        };
        let mut content = Vec::new();
        opened.file.take(limit + 1).read_to_end(&mut content).map_err(cannot("read", &opened.path))?;
        if content.len() as u64 > limit {
            return Err(RemoteError::TooLarge { what: name.to_owned(), limit });
        }
        Ok(Some(content))
    }

    /// Opens a regular file that lies, links resolved, inside the layout.
    fn open(&self, path: PathBuf) -> Result<Option<Opened>, RemoteError> {
        let real = match self.inside(&path) {
            Ok(real) => real,
            Err(RemoteError::Io { source, .. }) if is_absent(&source) => return Ok(None),
            Err(fault) => return Err(fault),
        };
        // Asked before it is opened: opening a pipe would wait for its other end.
        let metadata = fs::metadata(&real).map_err(cannot("read", &path))?;
        if !metadata.is_file() {
            return Err(RemoteError::OutsideLayout { path });
        }
        let file = File::open(&real).map_err(cannot("read", &path))?;
        Ok(Some(Opened { file, path, size: metadata.len() }))
    }

    fn inside(&self, path: &Path) -> Result<PathBuf, RemoteError> {
        let root = self.root.canonicalize().map_err(cannot("read", &self.root))?;
        let real = path.canonicalize().map_err(cannot("read", path))?;
        if real.starts_with(&root) {
            Ok(real)
        } else {
            Err(RemoteError::OutsideLayout { path: path.to_owned() })
        }
    }

    /// Copies a blob into the layout, if it is what `descriptor` says. `origin` is the file it comes from.
    pub(super) fn write_blob(
        &self,
        descriptor: &Descriptor,
        content: &mut dyn Read,
        transferred: &dyn Transferred,
        origin: Option<&Path>,
    ) -> Result<(), RemoteError> {
        let target = self.blobs().join(descriptor.digest.hex());
        let mut file = self.new_file()?;
        let mut hasher = Hasher::new();
        let mut piece = vec![0; PIECE_BYTES];
        loop {
            let read = content.read(&mut piece).map_err(cannot("read", origin.unwrap_or(&target)))?;
            let piece = &piece[..read];
            hasher.update(piece);
            if read == 0 || hasher.length() > descriptor.size {
                break;
            }
            file.write_all(piece).map_err(cannot("write", &target))?;
            transferred.bytes(read as u64);
        }
        let (length, actual) = (hasher.length(), hasher.finish());
        if length != descriptor.size || actual != descriptor.digest {
            return Err(match origin {
                Some(path) => RemoteError::ChangedWhileRead { path: path.to_owned() },
                None => {
                    RemoteError::Digest { what: blob::name(descriptor), expected: descriptor.digest, actual }
                }
            });
        }
        put_in_place(file, &target)
    }

    /// Replaces `index.json`. The caller holds the lock.
    pub(super) fn write_index(&self, content: &[u8]) -> Result<(), RemoteError> {
        self.write_file(&self.root.join(INDEX_FILE), content)
    }

    fn write_file(&self, target: &Path, content: &[u8]) -> Result<(), RemoteError> {
        let mut file = self.new_file()?;
        file.write_all(content).map_err(cannot("write", target))?;
        put_in_place(file, target)
    }

    fn new_file(&self) -> Result<NamedTempFile, RemoteError> {
        let mut builder = tempfile::Builder::new();
        builder.prefix(OWN_PREFIX);
        // A layout is there to be shared: the umask decides, as for any other file.
        #[cfg(unix)]
        builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
        builder.tempfile_in(&self.root).map_err(cannot("write", &self.root))
    }
}

fn put_in_place(file: NamedTempFile, target: &Path) -> Result<(), RemoteError> {
    file.as_file().sync_all().map_err(cannot("write", target))?;
    file.persist(target).map_err(|fault| cannot("write", target)(fault.error))?;
    // The name itself is only safe once its directory is; elsewhere than on Unix a directory cannot be opened.
    #[cfg(unix)]
    if let Some(parent) = target.parent() {
        File::open(parent).and_then(|parent| parent.sync_all()).map_err(cannot("write", target))?;
    }
    Ok(())
}

fn is_absent(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

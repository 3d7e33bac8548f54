//! The files of a layout: opened only inside it, written whole or not at all.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, Read, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use bundle_core::bundle::descriptor::Descriptor;
use bundle_core::digest::{Digest, Hasher};
use bundle_core::name::reference::Place;

use super::PIECE_BYTES;
use crate::disk::{OWN_PREFIX, cannot, check_folder, is_absent, new_file, open_regular, put_in_place};
use crate::error::{BlobError, LayoutError};
use crate::files::durable::{make_folders, missing_folders, remove_folders, sync_folder};
use crate::files::file_lock::{self, Held};
use crate::files::leftovers::{NewFile, Unfinished};
use crate::files::rights::nearest_folder;
use crate::files::whole_file;
use crate::image_layout::{
    self, FileSlice, Files, INDEX_FILE, Index, MARKER_FILE, MAX_INDEX_BYTES, MAX_MARKER_BYTES, is_marker,
    marker,
};
use crate::{BlobState, Notice, Notices, RemoteError, Transferred, blob, sparse};

/// The file that whoever writes to the index locks.
const LOCK_FILE: &str = ".modelops-bundle-lock";

/// The directory that a layout lies in.
#[derive(Debug)]
pub(super) struct Directory {
    root: PathBuf,
    notices: Arc<dyn Notices>,
    /// The blobs that were found damaged and have not been stored anew since.
    damaged: Mutex<BTreeSet<Digest>>,
    /// Takes a layout that this made away again, unless something was put in it.
    made: OnceLock<Unfinished>,
}

impl Directory {
    pub(super) fn new(root: PathBuf, notices: Arc<dyn Notices>) -> Self {
        Self { root, notices, damaged: Mutex::default(), made: OnceLock::new() }
    }

    pub(super) fn root(&self) -> &Path {
        &self.root
    }

    fn blobs(&self) -> PathBuf {
        self.root.join("blobs").join("sha256")
    }

    fn blob_file(&self, digest: &Digest) -> PathBuf {
        self.blobs().join(digest.hex())
    }

    /// Makes a file for a blob that comes piece by piece.
    pub(super) fn new_blob(&self) -> Result<NewFile, RemoteError> {
        new_file(&self.root)
    }

    /// Puts a file in place that was verified to be the blob `digest`.
    pub(super) fn keep_blob(&self, file: NewFile, digest: &Digest) -> Result<(), RemoteError> {
        put_in_place(file, &self.blob_file(digest))?;
        self.damaged().remove(digest);
        Ok(())
    }

    /// Whether a blob is there with the size that it should have, and was not found damaged.
    pub(super) fn holds(&self, descriptor: &Descriptor) -> Result<bool, RemoteError> {
        Ok(!self.damaged().contains(&descriptor.digest) && image_layout::holds(self, descriptor)?)
    }

    /// Reads a blob and compares it with its descriptor.
    pub(super) fn examine(&self, descriptor: &Descriptor) -> Result<BlobState, RemoteError> {
        let state = image_layout::examine(self, descriptor)?;
        if state == BlobState::Damaged {
            self.damaged().insert(descriptor.digest);
        }
        Ok(state)
    }

    fn damaged(&self) -> MutexGuard<'_, BTreeSet<Digest>> {
        // Each change of it is whole in itself.
        self.damaged.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until no other process writes to the index; the lock lasts as long as the file is held.
    pub(super) fn lock(&self) -> Result<(Held, File), RemoteError> {
        let path = self.root.join(LOCK_FILE);
        let file = whole_file::open_to_append(&path).map_err(cannot("lock", &path))?;
        let waits = |process| self.notices.note(&Notice::Waiting { lock: path.clone(), process });
        let held = file_lock::lock(&file, &path, waits).map_err(cannot("lock", &path))?;
        Ok((held, file))
    }

    /// Makes the directory a layout where it is not one yet.
    ///
    /// # Errors
    ///
    /// [`LayoutError::NotALayout`] where it holds files and is none: they are someone's.
    pub(super) fn prepare(&self) -> Result<(), RemoteError> {
        if !self.root.join(MARKER_FILE).exists() {
            // Registered first: a signal may come while they are made.
            let missing = missing_folders(&self.root);
            if !missing.is_empty() {
                let root = self.root.clone();
                self.made.get_or_init(|| Unfinished::new(move || take_back(&root, &missing)));
            }
            make_folders(&self.root).map_err(cannot("write", &self.root))?;
            self.refuse_foreign()?;
            self.write_file(&self.root.join(MARKER_FILE), marker().as_bytes())?;
        }
        self.check_version()?;
        let blobs = self.blobs();
        let above = blobs.parent().unwrap_or(&self.root);
        self.make_folder(above)?;
        self.make_folder(&blobs)
    }

    /// Makes a folder in the layout. Where a link is in its place, that may lead to a folder inside alone.
    fn make_folder(&self, folder: &Path) -> Result<(), RemoteError> {
        match fs::create_dir(folder) {
            Ok(()) => return sync_folder(folder.parent().unwrap_or(folder)).map_err(cannot("write", folder)),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(cannot("write", folder)(error)),
        }
        match self.inside(folder) {
            Ok(real) if real.is_dir() => Ok(()),
            Err(RemoteError::Io { source, .. }) if !is_absent(&source) => Err(cannot("read", folder)(source)),
            // A file, or a link to somewhere else, or to nowhere.
            _ => Err(RemoteError::Layout(LayoutError::OutsideLayout { path: folder.to_owned() })),
        }
    }

    /// Whether there is a layout to be changed.
    pub(super) fn is_layout(&self) -> bool {
        self.root.join(INDEX_FILE).exists()
    }

    /// Finds out whether files can be written, and leaves none.
    pub(super) fn try_to_write(&self) -> Result<(), RemoteError> {
        new_file(self.first_written()?).map(drop)
    }

    /// The same, as far as can be told without writing.
    pub(super) fn foresee_writing(&self) -> Result<(), RemoteError> {
        check_folder(self.first_written()?)
    }

    /// The folder in which the first file would be made.
    fn first_written(&self) -> Result<&Path, RemoteError> {
        if self.root.exists() && !self.root.join(MARKER_FILE).exists() {
            self.refuse_foreign()?;
        }
        // What is not there yet will be made by the first push, in whatever there is.
        Ok(nearest_folder(&self.root))
    }

    fn refuse_foreign(&self) -> Result<(), RemoteError> {
        for entry in fs::read_dir(&self.root).map_err(cannot("read", &self.root))? {
            let name = entry.map_err(cannot("read", &self.root))?.file_name();
            // The marker may come from another process in this very moment.
            let is_ours = name == MARKER_FILE
                || name == LOCK_FILE
                || name.to_string_lossy().starts_with(OWN_PREFIX)
                || name == "blobs" && self.holds_no_blob();
            if !is_ours {
                // Whoever made the marker in the meantime may have gone on to write.
                if self.root.join(MARKER_FILE).exists() {
                    return Ok(());
                }
                return Err(RemoteError::Layout(LayoutError::NotALayout { path: self.root.clone() }));
            }
        }
        Ok(())
    }

    /// Whether the folder of blobs is one that was made and never used: a command that was interrupted may leave it.
    fn holds_no_blob(&self) -> bool {
        let is_empty = |folder: &Path, may_hold: &str| {
            fs::read_dir(folder).is_ok_and(|mut entries| {
                entries.all(|entry| entry.is_ok_and(|entry| entry.file_name() == may_hold))
            })
        };
        let blobs = self.blobs();
        let is_unused = is_empty(&blobs, "") || !blobs.exists();
        is_unused && blobs.parent().is_some_and(|above| is_empty(above, "sha256"))
    }

    fn check_version(&self) -> Result<(), RemoteError> {
        if let Some(marker) = self.open(self.root.join(MARKER_FILE))?
            && is_marker(&marker.read(MARKER_FILE, MAX_MARKER_BYTES)?)?
        {
            return Ok(());
        }
        Err(RemoteError::Layout(LayoutError::NotALayout { path: self.root.clone() }))
    }

    /// Opens a regular file that lies, links resolved, inside the layout.
    fn open(&self, path: PathBuf) -> Result<Option<FileSlice>, RemoteError> {
        let real = match self.inside(&path) {
            Ok(real) => real,
            Err(RemoteError::Io { source, .. }) if is_absent(&source) => return Ok(None),
            Err(fault) => return Err(fault),
        };
        let opened =
            open_regular(&real, |_| RemoteError::Layout(LayoutError::OutsideLayout { path: path.clone() }))?;
        Ok(opened.map(|(file, size)| FileSlice { file, path, size }))
    }

    fn inside(&self, path: &Path) -> Result<PathBuf, RemoteError> {
        let root = self.root.canonicalize().map_err(cannot("read", &self.root))?;
        let real = path.canonicalize().map_err(cannot("read", path))?;
        if real.starts_with(&root) {
            Ok(real)
        } else {
            Err(RemoteError::Layout(LayoutError::OutsideLayout { path: path.to_owned() }))
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
        let target = self.blob_file(&descriptor.digest);
        let file = new_file(&self.root)?;
        let mut hasher = Hasher::new();
        let mut piece = vec![0; PIECE_BYTES];
        loop {
            let read = content.read(&mut piece).map_err(cannot("read", origin.unwrap_or(&target)))?;
            let piece = &piece[..read];
            hasher.update(piece);
            if read == 0 || hasher.length() > descriptor.size {
                break;
            }
            sparse::append(file.as_file(), piece).map_err(cannot("write", &target))?;
            transferred.bytes(read as u64);
        }
        sparse::end(file.as_file()).map_err(cannot("write", &target))?;
        let (length, actual) = (hasher.length(), hasher.finish());
        if length != descriptor.size || actual != descriptor.digest {
            return Err(match origin {
                Some(path) => RemoteError::Blob(BlobError::ChangedWhileRead { path: path.to_owned() }),
                None => RemoteError::Blob(BlobError::Digest {
                    what: blob::name(descriptor),
                    expected: descriptor.digest,
                    actual,
                }),
            });
        }
        self.keep_blob(file, &descriptor.digest)
    }

    /// Replaces `index.json`. The caller holds the lock.
    pub(super) fn write_index(&self, index: &Index) -> Result<(), RemoteError> {
        self.write_file(&self.root.join(INDEX_FILE), index.to_json().as_bytes())
    }

    fn write_file(&self, target: &Path, content: &[u8]) -> Result<(), RemoteError> {
        let mut file = new_file(&self.root)?;
        file.write_all(content).map_err(cannot("write", target))?;
        put_in_place(file, target)
    }
}

/// Takes away the empty layout at `root`, and the folders that were made for it.
fn take_back(root: &Path, made: &[PathBuf]) {
    let blobs = root.join("blobs");
    // Whatever is in one of them is kept, and all that makes it a layout.
    let is_empty = |folder: &Path| match fs::remove_dir(folder) {
        Ok(()) => true,
        Err(error) => is_absent(&error),
    };
    if !root.join(INDEX_FILE).exists() && is_empty(&blobs.join("sha256")) && is_empty(&blobs) {
        let _ = fs::remove_file(root.join(MARKER_FILE));
        let _ = fs::remove_file(root.join(LOCK_FILE));
        remove_folders(made);
    }
}

impl Files for Directory {
    /// An empty one where there is no layout yet.
    fn index(&self) -> Result<Index, RemoteError> {
        let Some(found) = self.open(self.root.join(INDEX_FILE))? else { return Ok(Index::empty()) };
        // Without an index there is nothing to misread, whatever the directory is.
        self.check_version()?;
        let content = found.read(INDEX_FILE, MAX_INDEX_BYTES)?;
        Index::parse(&content).map_err(|fault| self.bad_index(fault))
    }

    fn open_blob(&self, digest: &Digest) -> Result<Option<FileSlice>, RemoteError> {
        self.open(self.blob_file(digest))
    }

    fn missing(&self, what: String) -> RemoteError {
        RemoteError::Missing { what }
    }

    fn place(&self) -> Place {
        Place::Layout { directory: self.root.display().to_string() }
    }
}

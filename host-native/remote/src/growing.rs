//! A file of this program's own that is sent while it is still being written.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bundle_core::bundle::descriptor::Descriptor;
use tokio::sync::watch;

use super::blob::{Silent, Transferred};
use super::{BlobSource, RemoteError};

/// How far a growing file has come.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Growth {
    /// So many bytes can be read; more follow.
    To(u64),
    /// It is complete.
    Whole(Descriptor),
}

/// Makes a growing file known: the writer's end, and the reader's.
pub fn growing(path: impl Into<PathBuf>) -> (Grower, GrowingFile) {
    let (send, growth) = watch::channel(Growth::To(0));
    (Grower(send), GrowingFile { path: path.into(), growth, transferred: Arc::new(Silent) })
}

/// The end of whoever writes a growing file; dropped before the file is whole, it ends what reads the file.
#[derive(Debug)]
pub struct Grower(watch::Sender<Growth>);

impl Grower {
    /// The first `length` bytes can be read from the file now.
    pub fn grown_to(&self, length: u64) {
        self.0.send_replace(Growth::To(length));
    }

    /// The file is complete and what `descriptor` says.
    pub fn finish(self, descriptor: Descriptor) {
        self.0.send_replace(Growth::Whole(descriptor));
    }
}

/// The end of whoever sends a growing file; each clone sees all of it.
#[derive(Clone)]
pub struct GrowingFile {
    path: PathBuf,
    growth: watch::Receiver<Growth>,
    pub(super) transferred: Arc<dyn Transferred>,
}

impl GrowingFile {
    /// Tells `transferred` as bytes go out.
    #[must_use]
    pub fn counted_by(self, transferred: Arc<dyn Transferred>) -> Self {
        Self { transferred, ..self }
    }

    /// Where it is.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Waits until the file is complete, and says what it is then.
    ///
    /// # Errors
    ///
    /// [`RemoteError::Io`] where its writer has given up.
    pub async fn whole(&self) -> Result<Descriptor, RemoteError> {
        let mut growth = self.growth.clone();
        let grown = growth.wait_for(|growth| matches!(growth, Growth::Whole(_))).await;
        match grown.as_deref() {
            Ok(Growth::Whole(descriptor)) => Ok(descriptor.clone()),
            Ok(Growth::To(_)) | Err(_) => Err(self.abandoned()),
        }
    }

    /// Whether it is complete.
    pub(super) fn is_whole(&self) -> bool {
        matches!(&*self.growth.borrow(), Growth::Whole(_))
    }

    /// How many bytes can be read now.
    pub(super) fn length(&self) -> u64 {
        match &*self.growth.borrow() {
            Growth::To(length) => *length,
            Growth::Whole(descriptor) => descriptor.size,
        }
    }

    /// Waits until there are more than `position` bytes; how many there are, `position` where there will never be more.
    pub(super) async fn beyond(&self, position: u64) -> Result<u64, RemoteError> {
        let mut growth = self.growth.clone();
        let has_news = |growth: &Growth| match growth {
            Growth::To(length) => *length > position,
            Growth::Whole(_) => true,
        };
        growth.wait_for(has_news).await.map_err(|_| self.abandoned())?;
        Ok(self.length().max(position))
    }

    /// Waits until it is known whether there will be more than `length` bytes.
    pub async fn outgrows(&self, length: u64) -> bool {
        self.beyond(length).await.is_ok_and(|there| there > length)
    }

    /// The file as a whole, once it is.
    pub(super) fn into_source(self) -> BlobSource {
        BlobSource::own_file(self.path).counted_by(self.transferred)
    }

    fn abandoned(&self) -> RemoteError {
        let source = io::Error::new(io::ErrorKind::UnexpectedEof, "whoever wrote it has stopped");
        RemoteError::Io { action: "read", path: self.path.clone(), source }
    }
}

impl std::fmt::Debug for GrowingFile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("GrowingFile").field("path", &self.path).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn both_ends_agree_on_what_is_there() {
        let (grower, file) = growing("file");
        grower.grown_to(3);
        assert_eq!(file.beyond(0).await.unwrap(), 3);
        let descriptor = Descriptor::of("x/y", b"whole");
        grower.finish(descriptor.clone());
        assert_eq!((file.beyond(3).await.unwrap(), file.beyond(5).await.unwrap()), (5, 5));
        assert_eq!(file.whole().await.unwrap(), descriptor);
    }

    #[tokio::test]
    async fn a_writer_that_gives_up_is_noticed() {
        let (grower, file) = growing("file");
        grower.grown_to(3);
        drop(grower);
        assert!(matches!(file.whole().await, Err(RemoteError::Io { .. })));
        assert!(matches!(file.beyond(3).await, Err(RemoteError::Io { .. })));
    }
}

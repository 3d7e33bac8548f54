//! Packs files and brings the packs to a remote while the reading goes on.
//!
//! Files are read once, in their order: cut and compressed on all processors (`read.rs`), put into packs one after the
//! other (`assembly.rs`), and each pack is sent while the next one grows. What lies between is bounded, whatever the
//! size of the files. When all is packed the end of the sending is still to come; whoever asked has something to do
//! meanwhile.

mod assembly;
mod measure;
mod read;

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bundle_core::bundle::descriptor::Descriptor;
use bundle_core::pack::chunk_map::KnownChunks;
use bundle_core::pack::limits::PackLimits;
use bundle_core::pack::table::{Pack, Run, Table};
use bundle_core::pack::zstd::CompressionError;
use bundle_core::plan::push::is_worth_asking;
use futures_util::future::{self, BoxFuture};
use futures_util::{FutureExt as _, StreamExt as _, TryStreamExt as _, stream};
use thiserror::Error;
use tokio::sync::{mpsc, oneshot};

use self::assembly::{Assembly, Spooled};
pub(crate) use self::measure::{NewChunks, measure_files};
pub(crate) use self::read::ToPack;
use super::{Carried, Sending};
use crate::bundle::Context;
use crate::progress::{Progress, Work};
use crate::project::staging::Staging;
use crate::remote::{BlobSource, RemoteError, Stored};
use crate::scan::{HashError, Hashed};
use crate::threads::{Bridge, ThreadError, begin_on_disk, start};

/// How many packs are sent at the same time: more would only hold more of the disk.
const UPLOADS: usize = 3;

/// A pack that has no more bytes than this is sent in fewer requests once it is complete.
const WORTH_STREAMING: u64 = 1 << 20;

/// What packs a push builds on.
#[derive(Debug)]
pub(crate) struct PackBase<'a> {
    /// The chunks of the packs that are kept.
    pub(crate) known: &'a KnownChunks,
    /// The number of the first new pack.
    pub(crate) next_pack: u32,
    /// How large packs become.
    pub(crate) limits: PackLimits,
}

/// What became of files that were packed.
#[derive(Debug, Default)]
pub(crate) struct PackedFiles {
    /// For each file, in their order, what it held when it was read.
    pub(crate) hashed: Vec<Hashed>,
    /// For each file, in their order, the chunks that it is.
    pub(crate) runs: Vec<Vec<Run>>,
    /// The new packs.
    pub(crate) packs: Vec<(Pack, Table)>,
}

/// Packs on their way to the remote; what they cost comes out in the end. Nothing may refer to them before.
#[must_use = "packs are not sent to their end by themselves"]
pub(crate) struct Underway<'a>(BoxFuture<'a, Result<Carried, PackingError>>);

impl Default for Underway<'_> {
    /// None.
    fn default() -> Self {
        Self(future::ok(Carried::default()).boxed())
    }
}

impl fmt::Debug for Underway<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Underway")
    }
}

impl Underway<'_> {
    /// Sends what is left, while the caller does something else.
    pub(crate) fn finish_beside<T>(
        self,
        bridge: &Bridge,
        work: impl FnOnce() -> T,
    ) -> Result<(T, Result<Carried, PackingError>), ThreadError> {
        bridge.beside(work, self.0)
    }
}

/// Packs `files` beside what `base` has, and begins to send the new packs. Gives `keep_table` the stored table of each pack
/// that is complete.
///
/// Files of one layer must follow each other.
///
/// # Errors
///
/// The first one ends it. What was sent by then stays on the remote, where nothing refers to it yet.
pub(crate) fn pack_files<'a>(
    context: Context<'a>,
    bridge: &Bridge,
    staging: &Staging,
    base: &PackBase<'_>,
    files: &[ToPack],
    keep_table: &(dyn Fn(&Pack, &[u8]) + Sync),
) -> Result<(PackedFiles, Underway<'a>), PackingError> {
    let (send, receive) = mpsc::channel::<Spooled>(1);
    let progress = context.progress.as_ref();
    progress.expect(Work::Hash, files.iter().map(|file| file.size).sum());
    let mut sending = upload_all(context, receive).boxed();
    let (tell, mut packing) = oneshot::channel();
    std::thread::scope(|scope| {
        start(scope, "pack", move || {
            // Gone once the work is done, which ends the uploads too.
            let hand_over = |spooled| send.blocking_send(spooled).map_err(|_| PackingError::Stopped);
            // Where nobody listens any more, sending has failed.
            let assembly = Assembly::new(progress, staging, base, keep_table, hand_over);
            let _ = tell.send(pack(progress, assembly, base, files));
        })?;
        bridge.wait(async {
            let (packed, sent) = tokio::select! {
                sent = &mut sending => (packing.await.unwrap_or(Err(PackingError::Stopped)), sent),
                packed = &mut packing => match packed.unwrap_or(Err(PackingError::Stopped)) {
                    Ok(packed) => return Ok((packed, Underway(sending))),
                    Err(PackingError::Stopped) => (Err(PackingError::Stopped), sending.await),
                    Err(fault) => return Err(fault),
                },
            };
            match (packed, sent) {
                (Ok(packed), Ok(sent)) => Ok((packed, Underway(future::ok(sent).boxed()))),
                // Each of the two ends the other, which then knows less of what happened.
                (Err(PackingError::Stopped) | Ok(_), Err(fault)) | (Err(fault), _) => Err(fault),
            }
        })
    })
}

fn pack(
    progress: &dyn Progress,
    mut assembly: Assembly<'_, impl Fn(Spooled) -> Result<(), PackingError>>,
    base: &PackBase<'_>,
    files: &[ToPack],
) -> Result<PackedFiles, PackingError> {
    let mut packed = PackedFiles {
        hashed: Vec::with_capacity(files.len()),
        runs: vec![Vec::new(); files.len()],
        ..PackedFiles::default()
    };
    let read = |bytes| progress.advance(Work::Hash, bytes);
    read::in_segments(files, base.known, &read, |segment| {
        if let Some((runs, file)) = packed.runs.get_mut(segment.file).zip(files.get(segment.file)) {
            assembly.add(file.layer, segment.chunks, runs)?;
        }
        packed.hashed.extend(segment.end);
        Ok(())
    })?;
    packed.packs = assembly.finish()?;
    Ok(packed)
}

async fn upload_all(context: Context<'_>, receive: mpsc::Receiver<Spooled>) -> Result<Carried, PackingError> {
    let under_way = AtomicUsize::new(0);
    let under_way = &under_way;
    stream::unfold(receive, async |mut receive| receive.recv().await.map(|spooled| (spooled, receive)))
        .map(async |spooled| {
            let is_alone = under_way.fetch_add(1, Ordering::Relaxed) == 0;
            let streams = is_alone
                && !context.remote.may_have_blobs()
                && spooled.growing.outgrows(WORTH_STREAMING).await;
            let sent =
                if streams { stream_pack(context, &spooled).await } else { upload(context, &spooled).await };
            // A large file takes a while to remove, for which nobody need wait.
            drop(begin_on_disk(move || drop(spooled)));
            under_way.fetch_sub(1, Ordering::Relaxed);
            sent
        })
        .buffer_unordered(context.concurrency.min(UPLOADS))
        .try_fold(Carried::default(), async |sum, one| Ok(sum.and(one)))
        .await
}

/// Sends a pack while it grows: nothing else makes use of the connection meanwhile.
async fn stream_pack(context: Context<'_>, spooled: &Spooled) -> Result<Carried, PackingError> {
    let sending = Arc::new(Sending::new(context.progress));
    let is_there = async {
        match spooled.growing.whole().await {
            // Where all of it is sent already, nothing is won any more; what went wrong is told by the other.
            Ok(descriptor) if is_there(context, &descriptor).await.is_ok_and(|is_there| is_there) => {}
            _ => std::future::pending().await,
        }
    };
    tokio::select! {
        sent = context.remote.push_growing_blob(spooled.growing.clone().counted_by(sending.clone())) => {
            let descriptor = whole(spooled).await?;
            sent.map_err(|source| upload_fault(&descriptor, source))?;
            Ok(sending.came_to(descriptor.size, Stored::Sent))
        }
        () = is_there => {
            Ok(sending.came_to(whole(spooled).await?.size, Stored::WasThere))
        }
    }
}

async fn upload(context: Context<'_>, spooled: &Spooled) -> Result<Carried, PackingError> {
    let descriptor = whole(spooled).await?;
    let fault = |source| upload_fault(&descriptor, source);
    let sending = Arc::new(Sending::new(context.progress));
    if is_there(context, &descriptor).await.map_err(fault)? {
        return Ok(sending.came_to(descriptor.size, Stored::WasThere));
    }
    let source = BlobSource::own_file(spooled.staged.path()).counted_by(sending.clone());
    let stored = context.remote.push_blob(&descriptor, source).await.map_err(fault)?;
    Ok(sending.came_to(descriptor.size, stored))
}

/// The pack once it is complete; where it never is, whoever packs says why.
async fn whole(spooled: &Spooled) -> Result<Descriptor, PackingError> {
    spooled.growing.whole().await.map_err(|_| PackingError::Stopped)
}

/// Whether the remote has the pack: an earlier push may have got this far.
async fn is_there(context: Context<'_>, pack: &Descriptor) -> Result<bool, RemoteError> {
    Ok(is_worth_asking(pack.size) && context.remote.has_blob(pack).await?)
}

fn upload_fault(pack: &Descriptor, source: RemoteError) -> PackingError {
    PackingError::Upload { digest: pack.digest.to_string(), source }
}

/// Why files could not be packed.
#[derive(Debug, Error)]
pub enum PackingError {
    /// A chunk could not be compressed.
    #[error("a chunk could not be compressed")]
    Compression(#[from] CompressionError),
    /// The chunks of a file are not all of its bytes.
    #[error("a file was not cut into chunks as a whole")]
    Cut,
    /// A file could not be read, or changed meanwhile.
    #[error("cannot pack the project's files")]
    Read(#[from] HashError),
    /// The staging folder cannot be written.
    #[error("cannot write to {}", folder.display())]
    Staging {
        /// The folder.
        folder: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// A thread that was packing has stopped.
    #[error("a packing thread stopped")]
    Stopped,
    /// There is no thread to pack on.
    #[error("cannot pack the project's files")]
    Threads(#[from] ThreadError),
    /// A pack was not sent.
    #[error("cannot send the pack {digest}")]
    Upload {
        /// Its digest.
        digest: String,
        /// What the remote says.
        source: RemoteError,
    },
}

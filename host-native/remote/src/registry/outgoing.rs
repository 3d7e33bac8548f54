//! A blob on its way out: read, measured and hashed as it goes, as a whole or part by part.

use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bundle_core::bundle::descriptor::Descriptor;
use bundle_core::digest::Hasher;
use bytes::{Buf as _, Bytes};
use futures_util::future::BoxFuture;
use futures_util::stream::BoxStream;
use futures_util::{FutureExt as _, StreamExt as _, stream};

use super::file_pieces::{FilePieces, PIECE_BYTES};
use super::request::{Body, Pieces};
use crate::error::BlobError;
use crate::{BlobContent, BlobSource, RemoteError, blob};

/// How many bytes a second a registry is trusted to check and store once it has them all.
const COMMIT_BYTES_PER_SECOND: u64 = 8 << 20;

/// A blob on its way out.
#[derive(Debug)]
pub(super) struct Outgoing(Arc<Shared>);

/// What the requests for one blob have in common.
#[derive(Debug)]
struct Shared {
    descriptor: Descriptor,
    source: BlobSource,
    /// How far this try has come.
    position: AtomicU64,
    counted: Mutex<Counted>,
    /// Why the body broke off.
    fault: Mutex<Option<RemoteError>>,
    /// The source, open where the last part ended.
    parked: Mutex<Option<Reading>>,
}

impl Outgoing {
    /// The first `counted` bytes of it went out before and are not counted again.
    pub(super) fn new(descriptor: Descriptor, source: BlobSource, counted: u64) -> Self {
        Self(Arc::new(Shared {
            descriptor,
            source,
            position: AtomicU64::new(0),
            counted: Mutex::new(Counted { to: counted, ..Counted::default() }),
            fault: Mutex::default(),
            parked: Mutex::default(),
        }))
    }

    pub(super) fn descriptor(&self) -> &Descriptor {
        &self.0.descriptor
    }

    /// The first `had` bytes are there of an earlier run; 0 where they have to be sent after all.
    pub(super) fn begin_at(&self, had: u64) {
        let mut counted = lock(&self.0.counted);
        if counted.had != had {
            counted.owe(had);
            self.0.source.transferred.had(had);
        }
    }

    /// The byte of the blob that this try has come to.
    pub(super) fn position(&self) -> u64 {
        self.0.position.load(Ordering::Relaxed)
    }

    /// The bytes `range` of it, for one request.
    pub(super) fn part(&self, range: Range<u64>) -> Part<'_> {
        Part { outgoing: self, range }
    }
}

/// What of a blob goes into one request.
#[derive(Clone, Debug)]
pub(super) struct Part<'a> {
    outgoing: &'a Outgoing,
    range: Range<u64>,
}

impl Body for Part<'_> {
    /// Moves also while what comes before the part is read.
    fn sent(&self) -> u64 {
        self.outgoing.position()
    }

    fn commit_time(&self) -> Duration {
        let Range { start, end } = self.range;
        if self.sent() < end {
            Duration::ZERO
        } else if end == self.outgoing.0.descriptor.size {
            commit_time(end)
        } else {
            commit_time(end - start)
        }
    }

    fn take_fault(&self) -> Option<RemoteError> {
        lock(&self.outgoing.0.fault).take()
    }

    /// Opens the source where the part begins. The stream breaks off before the blob's last piece where the bytes are
    /// not what the descriptor says, so that they never become a complete blob.
    fn open(&self) -> BoxFuture<'_, Result<Pieces, RemoteError>> {
        async {
            let shared = &self.outgoing.0;
            let parked = lock(&shared.parked).take().filter(|parked| parked.position == self.range.start);
            let reading = match parked {
                Some(parked) => parked,
                None => shared.read_from(self.range.start).await?,
            };
            shared.position.store(reading.position, Ordering::Relaxed);
            let body = PartBody { shared: Arc::clone(shared), range: self.range.clone() };
            let pieces = stream::try_unfold(Some((body, reading)), |state| async move {
                let Some((body, reading)) = state else { return Ok(None) };
                body.next(reading).await
            });
            Ok(pieces.boxed())
        }
        .boxed()
    }
}

impl Shared {
    /// Opens the source at `start`, or before it where what is there has to be hashed.
    async fn read_from(&self, start: u64) -> Result<Reading, RemoteError> {
        let (mut position, mut hasher) = (0, None);
        let pieces = match &self.source.content {
            BlobContent::Bytes(bytes) => {
                blob::check_bytes(bytes, &self.descriptor)?;
                in_pieces(bytes.clone())
            }
            BlobContent::File(path) | BlobContent::OwnFile(path) => {
                let cannot_read = |source| RemoteError::Io { action: "read", path: path.clone(), source };
                if matches!(self.source.content, BlobContent::OwnFile(_)) {
                    position = start;
                } else {
                    hasher = Some(Hasher::new());
                }
                let file = FilePieces::open(path, position).await.map_err(cannot_read)?;
                if file.length() != self.descriptor.size {
                    return Err(RemoteError::Blob(BlobError::ChangedWhileRead { path: path.clone() }));
                }
                file.into_stream()
            }
            // Nor is what another remote sends hashed twice.
            BlobContent::Remote(origin) => {
                let pieces = origin.read(&self.descriptor).await?;
                pieces.map(|piece| piece.map_err(std::io::Error::other)).boxed()
            }
        };
        Ok(Reading { pieces, ahead: Bytes::new(), position, hasher })
    }

    fn changed(&self) -> std::io::Error {
        if let BlobContent::File(path) | BlobContent::OwnFile(path) = &self.source.content {
            self.keep(RemoteError::Blob(BlobError::ChangedWhileRead { path: path.clone() }));
        }
        std::io::Error::other("the content changed")
    }

    fn broken(&self, source: std::io::Error) -> std::io::Error {
        match &self.source.content {
            BlobContent::Bytes(_) => {}
            BlobContent::File(path) | BlobContent::OwnFile(path) => {
                self.keep(RemoteError::Io { action: "read", path: path.clone(), source });
            }
            BlobContent::Remote(_) => {
                if let Ok(fault) = source.downcast::<RemoteError>() {
                    self.keep(fault);
                }
            }
        }
        std::io::Error::other("the content cannot be read")
    }

    fn keep(&self, fault: RemoteError) {
        *lock(&self.fault) = Some(fault);
    }

    /// Notes that this try sends `range`, and counts what no other try has sent.
    fn advance(&self, range: Range<u64>) {
        self.position.store(range.end, Ordering::Relaxed);
        let new = lock(&self.counted).add(range);
        if new > 0 {
            self.source.transferred.bytes(new);
        }
    }
}

/// Which bytes of a blob were counted as sent.
#[derive(Debug, Default)]
struct Counted {
    /// How many bytes at the start the registry has from an earlier run.
    had: u64,
    /// How many bytes at the start the registry was thought to have and has not.
    owed: u64,
    /// Up to which byte those were sent.
    paid: u64,
    /// Up to which byte the others were sent.
    to: u64,
}

impl Counted {
    fn owe(&mut self, had: u64) {
        if had < self.had {
            self.owed = self.had;
            self.to = self.to.max(self.had);
        }
        self.had = had;
    }

    /// Adds `range`; how many of its bytes no other try has sent.
    fn add(&mut self, range: Range<u64>) -> u64 {
        let late = range.end.saturating_sub(self.to.max(range.start));
        self.to = self.to.max(range.end);
        let early = range.end.min(self.owed).saturating_sub(self.paid.max(range.start));
        self.paid += early;
        late + early
    }
}

/// A source that is open.
struct Reading {
    pieces: BoxStream<'static, Result<Bytes, std::io::Error>>,
    /// What was read, checked and not sent yet.
    ahead: Bytes,
    /// The byte of the blob at which `ahead` begins.
    position: u64,
    /// None where the digest is known to be right.
    hasher: Option<Hasher>,
}

impl std::fmt::Debug for Reading {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Reading").field("position", &self.position).finish_non_exhaustive()
    }
}

impl Reading {
    /// Reads one more piece ahead; whether there was one.
    async fn advance(&mut self, shared: &Shared) -> Result<bool, std::io::Error> {
        let size = shared.descriptor.size;
        let piece = match self.pieces.next().await {
            Some(Ok(piece)) => piece,
            Some(Err(error)) => return Err(shared.broken(error)),
            None if self.position == size => return Ok(false),
            None => return Err(shared.changed()),
        };
        if let Some(hasher) = &mut self.hasher {
            hasher.update(&piece);
        }
        let read = self.position + piece.len() as u64;
        if read >= size {
            let after = self.pieces.next().await;
            if let Some(Err(error)) = after {
                return Err(shared.broken(error));
            }
            if after.is_some()
                || read > size
                || self.hasher.take().is_some_and(|hasher| hasher.finish() != shared.descriptor.digest)
            {
                return Err(shared.changed());
            }
        }
        self.ahead = piece;
        Ok(true)
    }

    /// Takes up to `most` bytes of what was read ahead.
    fn take(&mut self, most: u64) -> Bytes {
        let length = usize::try_from(most).unwrap_or(usize::MAX).min(self.ahead.len());
        self.position += length as u64;
        self.ahead.split_to(length)
    }
}

/// The body of one request.
struct PartBody {
    shared: Arc<Shared>,
    range: Range<u64>,
}

impl PartBody {
    /// The next piece, and what follows it.
    async fn next(
        self,
        mut reading: Reading,
    ) -> Result<Option<(Bytes, Option<(Self, Reading)>)>, std::io::Error> {
        loop {
            if !reading.ahead.has_remaining() && !reading.advance(&self.shared).await? {
                return Ok(None);
            }
            if reading.position < self.range.start {
                drop(reading.take(self.range.start - reading.position));
                self.shared.position.store(reading.position, Ordering::Relaxed);
                continue;
            }
            let start = reading.position;
            let piece = reading.take(self.range.end - reading.position);
            self.shared.advance(start..reading.position);
            if reading.position < self.range.end {
                return Ok(Some((piece, Some((self, reading)))));
            }
            // Nobody may ask for more of a body that has its length: what follows is ready for the next request.
            *lock(&self.shared.parked) = Some(reading);
            return Ok(Some((piece, None)));
        }
    }
}

/// How long a registry may take to check and store so many bytes.
pub(super) fn commit_time(bytes: u64) -> Duration {
    Duration::from_secs(bytes / COMMIT_BYTES_PER_SECOND)
}

fn in_pieces(mut bytes: Bytes) -> BoxStream<'static, Result<Bytes, std::io::Error>> {
    let pieces = std::iter::from_fn(move || {
        (!bytes.is_empty()).then(|| Ok(bytes.split_to(bytes.len().min(PIECE_BYTES))))
    });
    stream::iter(pieces).boxed()
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn sent(outgoing: &Outgoing, range: Range<u64>) -> Result<Vec<u8>, std::io::Error> {
        let mut pieces = outgoing.part(range).open().await.map_err(std::io::Error::other)?;
        let mut content = Vec::new();
        while let Some(piece) = pieces.next().await {
            content.extend_from_slice(&piece?);
        }
        Ok(content)
    }

    #[tokio::test]
    async fn parts_are_what_they_say_in_any_order() {
        let content: Vec<u8> = (0..1_300_000_u32).map(|at| (at % 251) as u8).collect();
        let descriptor = Descriptor::of("x/y", &content);
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        std::fs::write(&file, &content).unwrap();
        for source in
            [BlobSource::bytes(content.clone()), BlobSource::file(&file), BlobSource::own_file(&file)]
        {
            let outgoing = Outgoing::new(descriptor.clone(), source, 0);
            for (start, end) in [(0, 600_000), (600_000, 1_300_000), (700_000, 700_001), (0, 1_300_000)] {
                let part = sent(&outgoing, start as u64..end as u64).await.unwrap();
                assert!(part == content[start..end], "{start}..{end}");
                assert_eq!(outgoing.position(), end as u64);
            }
        }
    }

    #[test]
    fn a_byte_counts_once_and_one_that_was_there_not_at_all() {
        let add = |counted: &mut Counted, ranges: &[(u64, u64)]| -> u64 {
            ranges.iter().map(|(start, end)| counted.add(*start..*end)).sum()
        };
        let mut fresh = Counted { to: 2, ..Counted::default() };
        assert_eq!(add(&mut fresh, &[(0, 3), (3, 7), (0, 8), (4, 10)]), 8);
        let mut resumed = Counted::default();
        resumed.owe(4);
        assert_eq!(add(&mut resumed, &[(4, 6), (6, 8), (5, 9)]), 5);
        resumed.owe(0);
        // All of it goes out after all, in two tries.
        assert_eq!(add(&mut resumed, &[(0, 3), (0, 2), (2, 7), (7, 10)]), 5);
    }

    #[tokio::test]
    async fn a_rest_that_changed_is_never_sent_to_its_end() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        let descriptor = Descriptor::of("x/y", b"0123456789");
        let outgoing = Outgoing::new(descriptor, BlobSource::file(&file), 0);
        // What was sent before counts as much as the rest.
        std::fs::write(&file, b"X123456789").unwrap();
        assert!(sent(&outgoing, 4..10).await.is_err());
        let fault = outgoing.part(4..10).take_fault();
        assert!(matches!(fault, Some(RemoteError::Blob(BlobError::ChangedWhileRead { .. }))));
    }
}

use std::fs;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use tempfile::TempDir;

use super::*;
use crate::progress::Silent;
use crate::remote::archive::Archive;
use crate::remote::error::BlobError;
use crate::remote::layout::Layout;

const MANIFEST: &[u8] = br#"{"artifactType":"t"}"#;

fn silent() -> Arc<dyn Progress> {
    Arc::new(Silent)
}

fn parts(contents: &[Vec<u8>]) -> Parts {
    let blobs = contents.iter().map(|content| Descriptor::of("x/y", content));
    Parts {
        manifest: Descriptor::of(media_type::MANIFEST, MANIFEST),
        content: Bytes::from_static(MANIFEST),
        blobs: blobs.map(|blob| (blob.digest, blob)).collect(),
    }
}

/// Small and large contents, and two of them empty in their own ways.
fn contents() -> Vec<Vec<u8>> {
    vec![b"small".to_vec(), vec![7; READ_AHEAD_BYTES as usize + 1], b"{}".to_vec(), Vec::new()]
}

/// A layout that has the contents; it does not keep the empty one.
async fn layout_of(folder: &Path, contents: &[Vec<u8>]) -> Layout {
    let layout = Layout::new(folder);
    for content in contents.iter().filter(|content| !content.is_empty()) {
        let source = BlobSource::bytes(content.clone());
        layout.push_blob(&Descriptor::of("x/y", content), source).await.unwrap();
    }
    layout
}

/// Reads every blob to its end; the stream verifies it.
async fn verify(source: &dyn Remote, parts: &Parts) -> Result<(), RemoteError> {
    for blob in parts.blobs.values() {
        let mut pieces = read(source, blob).await?;
        while let Some(piece) = pieces.next().await {
            piece?;
        }
    }
    Ok(())
}

/// Keeps what it is told of downloads.
#[derive(Default)]
struct Recorder {
    expected: AtomicU64,
    pieces: Mutex<Vec<u64>>,
}

impl Progress for Recorder {
    fn expect(&self, work: Work, amount: u64) {
        assert_eq!(work, Work::Download);
        self.expected.fetch_add(amount, Ordering::Relaxed);
    }

    fn advance(&self, work: Work, amount: u64) {
        assert_eq!(work, Work::Download);
        self.pieces.lock().unwrap().push(amount);
    }

    fn skip(&self, _work: Work, _amount: u64) {
        unreachable!("all of it has to come");
    }
}

#[tokio::test]
async fn an_archive_gets_on_with_every_piece_that_comes() {
    let folder = TempDir::new().unwrap();
    let contents = contents();
    let parts = parts(&contents);
    let source = layout_of(&folder.path().join("source"), &contents).await;
    let recorder = Arc::new(Recorder::default());
    let progress = Arc::clone(&recorder) as Arc<dyn Progress>;
    let file = OutputFile::at(&folder.path().join("a.tar")).unwrap();
    copy_to_archive(&source, &file, &"v1".parse().unwrap(), &parts, 8, &progress).await.unwrap();
    let pieces = recorder.pieces.lock().unwrap();
    assert_eq!(recorder.expected.load(Ordering::Relaxed), parts.sum().bytes);
    assert_eq!(pieces.iter().sum::<u64>(), parts.sum().bytes);
    assert!(pieces.iter().all(|piece| *piece <= READ_AHEAD_BYTES), "{pieces:?}");
}

#[tokio::test]
async fn goes_into_an_archive_and_out_of_it() {
    let folder = TempDir::new().unwrap();
    let (contents, tag) = (contents(), "v1".parse().unwrap());
    let parts = parts(&contents);
    let source = layout_of(&folder.path().join("source"), &contents).await;
    verify(&source, &parts).await.unwrap();
    let files = [1, 8].map(|concurrency| (concurrency, folder.path().join(format!("{concurrency}.tar"))));
    for (concurrency, file) in &files {
        copy_to_archive(&source, &OutputFile::at(file).unwrap(), &tag, &parts, *concurrency, &silent())
            .await
            .unwrap();
    }
    let [one, eight] = files.map(|(_, file)| fs::read(file).unwrap());
    assert!(one == eight, "the order of events does not show");

    let archive: Arc<dyn Remote> = Arc::new(Archive::new(folder.path().join("1.tar")));
    verify(&*archive, &parts).await.unwrap();
    let target = Layout::new(folder.path().join("target"));
    assert_eq!(foresee(&target, &parts, 8).await.unwrap().sent, parts.sum());
    let copied = copy_to_remote(&archive, &target, &parts, 1, &silent()).await.unwrap();
    assert_eq!((copied.sent, copied.sent.blobs), (parts.sum(), 4));
    verify(&target, &parts).await.unwrap();
    let manifest = target.manifest(&Version::Digest(parts.manifest.digest)).await.unwrap().unwrap();
    assert_eq!(&manifest.bytes[..], MANIFEST);
    assert_eq!(target.tags().await.unwrap(), []);
    assert_eq!(copy_to_remote(&archive, &target, &parts, 8, &silent()).await.unwrap(), Carried::default());
}

#[tokio::test]
async fn wrong_bytes_do_not_arrive() {
    let folder = TempDir::new().unwrap();
    let contents = contents();
    let parts = parts(&contents);
    let source = layout_of(&folder.path().join("source"), &contents).await;
    let file = folder.path().join("a.tar");
    fs::write(&file, "what was there").unwrap();
    let source: Arc<dyn Remote> = Arc::new(source);
    for (number, content) in contents[..3].iter().enumerate() {
        let blob = folder.path().join("source/blobs/sha256").join(Digest::of(content).hex());
        let mut damaged = content.clone();
        damaged[0] ^= 1;
        fs::write(&blob, damaged).unwrap();
        let target = Layout::new(folder.path().join(format!("target-{number}")));
        let tag = "v1".parse().unwrap();
        for fault in [
            verify(&*source, &parts).await.unwrap_err(),
            copy_to_archive(&*source, &OutputFile::at(&file).unwrap(), &tag, &parts, 8, &silent())
                .await
                .unwrap_err(),
            copy_to_remote(&source, &target, &parts, 8, &silent()).await.unwrap_err(),
        ] {
            assert!(matches!(fault, RemoteError::Blob(BlobError::Digest { .. })), "{fault}");
        }
        assert!(!target.has_blob(&Descriptor::of("x/y", content)).await.unwrap());
        assert_eq!(target.manifest(&Version::Digest(parts.manifest.digest)).await.unwrap(), None);
        assert_eq!(fs::read_to_string(&file).unwrap(), "what was there");
        fs::write(&blob, content).unwrap();
    }
}

#[tokio::test]
async fn no_size_and_another_digest_is_no_empty_blob() {
    let folder = TempDir::new().unwrap();
    let mut parts = parts(&[]);
    let odd = Descriptor::new("x/y", Digest::of(b"x"), 0);
    parts.blobs.insert(odd.digest, odd);
    let source: Arc<dyn Remote> = Arc::new(layout_of(&folder.path().join("source"), &[b"x".to_vec()]).await);
    let target = Layout::new(folder.path().join("target"));
    assert!(verify(&*source, &parts).await.is_err());
    assert!(copy_to_remote(&source, &target, &parts, 8, &silent()).await.is_err());
}

use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use bundle_core::bundle::descriptor::media_type;
use tempfile::TempDir;

use super::*;
use crate::error::{BlobError, LayoutError};
use crate::{RemoteErrorKind, Transferred, read_blob, read_small_blob};

fn layout() -> (TempDir, Layout) {
    let folder = TempDir::new().unwrap();
    let layout = Layout::new(folder.path().join("new"));
    (folder, layout)
}

fn tag(name: &str) -> Version {
    Version::Tag(name.parse().unwrap())
}

async fn point(
    layout: &Layout,
    name: &str,
    manifest: &'static str,
    condition: Condition,
) -> Result<(), RemoteError> {
    layout
        .push_manifest(&tag(name), media_type::MANIFEST, Bytes::from_static(manifest.as_bytes()), condition)
        .await
}

fn blob_path(folder: &Path, descriptor: &Descriptor) -> PathBuf {
    folder.join("new/blobs/sha256").join(descriptor.digest.hex())
}

#[derive(Default)]
struct Counter(AtomicU64);

impl Transferred for Counter {
    fn bytes(&self, count: u64) {
        self.0.fetch_add(count, Ordering::Relaxed);
    }
}

#[tokio::test]
async fn nothing_is_there_before_the_first_write() {
    let (folder, layout) = layout();
    let descriptor = Descriptor::of("x/y", b"content");
    assert_eq!(layout.manifest(&tag("v1")).await.unwrap(), None);
    assert_eq!(layout.manifest(&Version::Digest(descriptor.digest)).await.unwrap(), None);
    assert_eq!(layout.tags().await.unwrap(), []);
    assert!(!layout.has_blob(&descriptor).await.unwrap());
    let missing = read_blob(&layout, &descriptor).await.err().unwrap();
    assert_eq!(missing.kind(), RemoteErrorKind::NotFound);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[tokio::test]
async fn gives_back_what_was_stored() {
    let (folder, layout) = layout();
    let counter = Arc::new(Counter::default());
    let content = vec![7; PIECE_BYTES * 2 + 1];
    let file = folder.path().join("file");
    fs::write(&file, &content).unwrap();
    let descriptor = Descriptor::of("x/y", &content);
    for _ in 0..2 {
        let source = BlobSource::file(&file).counted_by(Arc::clone(&counter) as Arc<dyn Transferred>);
        layout.push_blob(&descriptor, source).await.unwrap();
    }
    assert_eq!(counter.0.load(Ordering::Relaxed), content.len() as u64, "once: it was there the second time");
    assert_eq!(read_small_blob(&layout, &descriptor, 1 << 20).await.unwrap(), content);
    let refused = read_small_blob(&layout, &descriptor, 1000).await.unwrap_err();
    assert!(matches!(refused, RemoteError::Blob(BlobError::TooLarge { limit: 1000, .. })));

    point(&layout, "v1", r#"{"mediaType":"m","artifactType":"t"}"#, Condition::Any).await.unwrap();
    let fetched = layout.manifest(&tag("v1")).await.unwrap().unwrap();
    assert_eq!(&fetched.bytes[..], br#"{"mediaType":"m","artifactType":"t"}"#);
    assert_eq!(fetched.media_type.as_deref(), Some(media_type::MANIFEST));
    let by_digest = layout.manifest(&Version::Digest(fetched.digest)).await.unwrap().unwrap();
    assert_eq!(by_digest.bytes, fetched.bytes);
    let names: Vec<_> =
        fs::read_dir(folder.path().join("new")).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(names.len(), 4, "index, marker, blobs and lock, and no left-over: {names:?}");
}

#[tokio::test]
async fn stores_only_what_the_descriptor_says() {
    let (folder, layout) = layout();
    let file = folder.path().join("file");
    fs::write(&file, b"content").unwrap();
    for said in [&b"c0ntent"[..], b"conten", b"content!"] {
        let descriptor = Descriptor::of("x/y", said);
        let fault = layout.push_blob(&descriptor, BlobSource::file(&file)).await.unwrap_err();
        assert!(matches!(fault, RemoteError::Blob(BlobError::ChangedWhileRead { .. })), "{fault}");
        let fault = layout.push_blob(&descriptor, BlobSource::bytes(&b"content"[..])).await.unwrap_err();
        assert_eq!(fault.kind(), RemoteErrorKind::Integrity);
        assert!(!layout.has_blob(&descriptor).await.unwrap());
    }
    let wrong = Version::Digest(Digest::of(b"x"));
    assert!(layout.push_manifest(&wrong, "m", Bytes::from_static(b"{}"), Condition::Any).await.is_err());
}

#[tokio::test]
async fn conditions_hold_or_nothing_moves() {
    let (_folder, layout) = layout();
    let (one, two) = (Digest::of(b"1"), Digest::of(b"2"));
    let fault = point(&layout, "v1", "1", Condition::Is(two)).await.unwrap_err();
    assert!(matches!(fault, RemoteError::ConditionFailed { found: None, .. }));
    point(&layout, "v1", "1", Condition::Absent).await.unwrap();
    for condition in [Condition::Absent, Condition::Is(two)] {
        let fault = point(&layout, "v1", "2", condition).await.unwrap_err();
        assert_eq!(fault.kind(), RemoteErrorKind::Moved);
        assert!(matches!(fault, RemoteError::ConditionFailed { found: Some(found), .. } if found == one));
    }
    assert_eq!(layout.manifest(&tag("v1")).await.unwrap().unwrap().digest, one);
    point(&layout, "v1", "2", Condition::Is(one)).await.unwrap();
    assert_eq!(layout.manifest(&tag("v1")).await.unwrap().unwrap().digest, two);
}

#[tokio::test(flavor = "multi_thread")]
async fn no_tag_is_lost_among_many_writers() {
    let (folder, _) = layout();
    let path = folder.path().join("new");
    let writers = (0..16).map(|number| {
        let layout = Layout::new(&path);
        tokio::spawn(async move { point(&layout, &format!("v{number}"), "{}", Condition::Absent).await })
    });
    for writer in writers.collect::<Vec<_>>() {
        writer.await.unwrap().unwrap();
    }
    assert_eq!(Layout::new(&path).tags().await.unwrap().len(), 16);
}

#[tokio::test]
async fn only_one_of_many_takes_an_absent_tag() {
    let (folder, _) = layout();
    let path = folder.path().join("new");
    let manifests = ["0", "1", "2", "3", "4", "5", "6", "7"];
    let writers = manifests.map(|manifest| {
        let layout = Layout::new(&path);
        tokio::spawn(async move { point(&layout, "v1", manifest, Condition::Absent).await })
    });
    let mut won = 0;
    for writer in writers {
        won += u32::from(writer.await.unwrap().is_ok());
    }
    assert_eq!(won, 1);
}

#[tokio::test]
async fn damage_and_links_are_seen() {
    let (folder, layout) = layout();
    let descriptor = Descriptor::of("x/y", b"content");
    layout.push_blob(&descriptor, BlobSource::bytes(&b"content"[..])).await.unwrap();
    let path = blob_path(folder.path(), &descriptor);

    fs::write(&path, b"short").unwrap();
    assert!(!layout.has_blob(&descriptor).await.unwrap());
    assert!(matches!(
        read_blob(&layout, &descriptor).await.err(),
        Some(RemoteError::Blob(BlobError::Size { actual: 5, .. }))
    ));
    layout.push_blob(&descriptor, BlobSource::bytes(&b"content"[..])).await.unwrap();
    fs::write(&path, b"c0ntent").unwrap();
    let fault = read_small_blob(&layout, &descriptor, 100).await.unwrap_err();
    assert!(matches!(fault, RemoteError::Blob(BlobError::Digest { .. })));

    #[cfg(unix)]
    {
        let outside = folder.path().join("outside");
        fs::write(&outside, b"content").unwrap();
        fs::remove_file(&path).unwrap();
        std::os::unix::fs::symlink(&outside, &path).unwrap();
        let fault = read_small_blob(&layout, &descriptor, 100).await.unwrap_err();
        assert!(matches!(fault, RemoteError::Layout(LayoutError::OutsideLayout { .. })));
    }
}

#[tokio::test]
async fn a_folder_of_something_else_is_left_alone() {
    let folder = TempDir::new().unwrap();
    fs::write(folder.path().join("thesis.txt"), "x").unwrap();
    let layout = Layout::new(folder.path());
    assert!(matches!(
        point(&layout, "v1", "{}", Condition::Any).await,
        Err(RemoteError::Layout(LayoutError::NotALayout { .. }))
    ));
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);

    fs::remove_file(folder.path().join("thesis.txt")).unwrap();
    fs::write(folder.path().join("oci-layout"), r#"{"imageLayoutVersion":"2.0.0"}"#).unwrap();
    assert!(matches!(point(&layout, "v1", "{}", Condition::Any).await, Err(RemoteError::Unsupported { .. })));
}

use std::fs;
use std::path::Path;

use bundle_core::bundle::descriptor::media_type;
use futures_util::{StreamExt as _, stream};
use tempfile::TempDir;

use super::*;
use crate::error::{ArchiveError, BlobError};
use crate::{RemoteErrorKind, read_small_blob};

const MANIFEST: &[u8] = br#"{"mediaType":"m","artifactType":"t"}"#;

fn pieces(content: &'static [u8]) -> BlobStream {
    stream::iter(content.chunks(3).map(|piece| Ok(Bytes::from_static(piece)))).boxed()
}

/// Writes an archive of the manifest and the blobs `contents`.
async fn write(path: &Path, contents: &[&'static [u8]]) -> Result<(), RemoteError> {
    let manifest = Descriptor::of(media_type::MANIFEST, MANIFEST);
    let mut archive = ArchiveWriter::create(path, &"v1".parse().unwrap(), &manifest, MANIFEST).await?;
    let mut blobs: Vec<_> =
        contents.iter().chain([&MANIFEST]).map(|c| (Descriptor::of("x/y", c), *c)).collect();
    blobs.sort_by_key(|(descriptor, _)| descriptor.digest);
    for (descriptor, content) in &blobs {
        archive.blob(descriptor, pieces(content)).await?;
    }
    archive.finish().await
}

#[tokio::test]
async fn gives_back_what_was_written() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("a.tar");
    write(&path, &[b"content", b""]).await.unwrap();
    let archive = Archive::new(&path);
    let tag = Version::Tag("v1".parse().unwrap());
    let fetched = archive.manifest(&tag).await.unwrap().unwrap();
    assert_eq!((&fetched.bytes[..], fetched.media_type.as_deref()), (MANIFEST, Some(media_type::MANIFEST)));
    let by_digest = archive.manifest(&Version::Digest(fetched.digest)).await.unwrap().unwrap();
    assert_eq!(by_digest.bytes, fetched.bytes);
    assert_eq!(archive.manifest(&Version::Tag("v2".parse().unwrap())).await.unwrap(), None);
    assert_eq!(archive.manifest(&Version::Digest(Digest::of(b"?"))).await.unwrap(), None);
    assert_eq!(archive.tags().await.unwrap(), ["v1".parse().unwrap()]);
    assert_eq!(archive.listed().await.unwrap(), [(fetched.digest, Some("v1".parse().unwrap()))]);

    let descriptor = Descriptor::of("x/y", b"content");
    assert!(archive.has_blob(&descriptor).await.unwrap());
    assert_eq!(read_small_blob(&archive, &descriptor, 100).await.unwrap(), "content");
    for (range, expected) in [(0..7, "content"), (2..5, "nte"), (6..7, "t"), (3..3, ""), (5..99, "nt")] {
        let found: Vec<Bytes> = archive
            .blob_range_unverified(&descriptor, range)
            .await
            .unwrap()
            .map(|piece| piece.unwrap())
            .collect()
            .await;
        assert_eq!(found.concat(), expected.as_bytes());
    }
    assert_eq!(read_small_blob(&archive, &Descriptor::of("x/y", b""), 0).await.unwrap(), "");
    let longer = Descriptor::new("x/y", descriptor.digest, 8);
    assert!(!archive.has_blob(&longer).await.unwrap());
    assert!(matches!(
        read_small_blob(&archive, &longer, 100).await,
        Err(RemoteError::Blob(BlobError::Size { actual: 7, .. }))
    ));
    let missing = read_small_blob(&archive, &Descriptor::of("x/y", b"missing"), 100).await.unwrap_err();
    assert_eq!(missing.kind(), RemoteErrorKind::Integrity);
}

#[tokio::test]
async fn is_written_as_a_whole_or_not_at_all() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("a.tar");
    fs::write(&path, "what was there").unwrap();
    let manifest = Descriptor::of(media_type::MANIFEST, MANIFEST);
    let tag = "v1".parse().unwrap();
    let begin = || ArchiveWriter::create(&path, &tag, &manifest, MANIFEST);
    let content = Descriptor::of("x/y", b"content");

    drop(begin().await.unwrap());
    let failing = stream::iter([Ok(Bytes::from_static(b"con")), read_only()]).boxed();
    assert!(begin().await.unwrap().blob(&content, failing).await.is_err());
    for wrong in [&b"conten"[..], b"content!"] {
        let fault = begin().await.unwrap().blob(&content, pieces(wrong)).await.unwrap_err();
        assert!(matches!(fault, RemoteError::Blob(BlobError::Size { expected: 7, .. })));
    }
    let mut twice = begin().await.unwrap();
    twice.blob(&content, pieces(b"content")).await.unwrap();
    assert!(twice.blob(&content, pieces(b"content")).await.is_err());
    drop(twice);
    assert_eq!(fs::read_to_string(&path).unwrap(), "what was there");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);

    write(&path, &[b"content"]).await.unwrap();
    let first = fs::read(&path).unwrap();
    write(&path, &[b"content"]).await.unwrap();
    assert_eq!(fs::read(&path).unwrap(), first);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    let not_a_file = write(folder.path(), &[]).await.unwrap_err();
    assert!(matches!(not_a_file, RemoteError::Archive(ArchiveError::NotAFile { .. })));
}

#[tokio::test]
async fn cannot_be_changed() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("a.tar");
    write(&path, &[]).await.unwrap();
    let archive = Archive::new(&path);
    let blob = archive.push_blob(&Descriptor::of("x/y", b"x"), BlobSource::bytes(&b"x"[..])).await;
    let tag = Version::Tag("v2".parse().unwrap());
    let manifest = archive.push_manifest(&tag, "m", Bytes::from_static(MANIFEST), Condition::Any).await;
    for refused in [blob.map(drop), manifest] {
        let fault = refused.unwrap_err();
        assert!(matches!(&fault, RemoteError::Unsupported { what } if what.contains("export")), "{fault}");
    }
}

#[tokio::test]
async fn what_is_no_archive_says_so() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("a.tar");
    let kind = async |path: &Path| Archive::new(path).tags().await.unwrap_err().kind();
    assert_eq!(kind(&path).await, RemoteErrorKind::NotFound);
    assert_eq!(kind(folder.path()).await, RemoteErrorKind::Other);
    // What was never a tar is not a damaged one.
    for (content, expected) in [
        ("", RemoteErrorKind::Integrity),
        ("text", RemoteErrorKind::Other),
        (&"\0".repeat(1024), RemoteErrorKind::Integrity),
        (&"\u{1f}\u{8b}".repeat(1024), RemoteErrorKind::Other),
    ] {
        fs::write(&path, content).unwrap();
        assert_eq!(kind(&path).await, expected, "{content:?}");
    }
}

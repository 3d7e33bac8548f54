//! Tells what a document is, and reads what stands before a bundle is open.

use bundle_core::bundle::descriptor::{Descriptor, media_type};
use bundle_core::bundle::index::MAX_INDEX_BYTES;
use bundle_core::bundle::manifest::MAX_MANIFEST_BYTES;
use bundle_core::bundle::open::{OpenError, inspect};
use bundle_core::canonical::{self, JsonError};
use serde::Deserialize;
use serde::de::IgnoredAny;
use thiserror::Error;

use crate::view::{DocumentKind, LayoutEntry, Limits, ManifestHead};

/// The annotation by which an OCI image layout names its manifests.
const REF_NAME: &str = "org.opencontainers.image.ref.name";

/// The greatest documents that are read.
pub(crate) const LIMITS: Limits =
    Limits { manifest: MAX_MANIFEST_BYTES as u32, index: MAX_INDEX_BYTES as u32 };

/// Judges a document by its outermost fields. Whether it is a good one of its kind is for its reader to say.
pub(crate) fn recognize(document: &[u8]) -> DocumentKind {
    /// Values are skipped, so that telling an index of 100,000 files costs no memory.
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Shape {
        schema_version: Option<IgnoredAny>,
        manifests: Option<IgnoredAny>,
        config: Option<IgnoredAny>,
        version: Option<IgnoredAny>,
        files: Option<IgnoredAny>,
    }
    match serde_json::from_slice(document) {
        Ok(Shape { manifests: Some(_), .. }) => DocumentKind::Layout,
        Ok(Shape { schema_version: Some(_), config: Some(_), .. }) => DocumentKind::Manifest,
        Ok(Shape { version: Some(_), files: Some(_), .. }) => DocumentKind::Index,
        _ => DocumentKind::Other,
    }
}

/// Reads as much of a manifest as tells which index it wants.
pub(crate) fn read_manifest(manifest: &[u8]) -> Result<ManifestHead, OpenError> {
    let (opened, _) = inspect(manifest, None, None)?;
    Ok(ManifestHead {
        digest: opened.digest.to_string(),
        index_digest: opened.manifest.config.digest.to_string(),
        carries_index: opened.still_needed.is_empty(),
    })
}

/// Reads the manifests that the `index.json` of an OCI image layout names, in its order.
pub(crate) fn read_layout(document: &[u8]) -> Result<Vec<LayoutEntry>, LayoutError> {
    #[derive(Deserialize)]
    struct Layout {
        manifests: Vec<Descriptor>,
    }
    if document.len() > MAX_MANIFEST_BYTES {
        return Err(LayoutError::TooLarge { size: document.len() });
    }
    let layout = Layout::deserialize(canonical::parse(document)?)?;
    Ok(layout
        .manifests
        .into_iter()
        .filter(|manifest| manifest.media_type == media_type::MANIFEST)
        .map(|mut manifest| LayoutEntry {
            digest: manifest.digest.to_string(),
            tag: manifest.annotations.remove(REF_NAME),
        })
        .collect())
}

/// Why the list of an OCI image layout cannot be taken.
#[derive(Debug, Error)]
pub(crate) enum LayoutError {
    /// It is no list of descriptors.
    #[error("it is no list of manifests")]
    Field(#[from] serde_json::Error),
    /// It is no JSON, repeats a key or nests too deep.
    #[error("it is no JSON that bundles take")]
    Json(#[from] JsonError),
    /// It is larger than [`MAX_MANIFEST_BYTES`].
    #[error("it has {size} bytes, more than {MAX_MANIFEST_BYTES}")]
    TooLarge {
        /// Its size in bytes.
        size: usize,
    },
}

#[cfg(test)]
mod tests {
    use bundle_core::causes::with_causes;
    use bundle_core::digest::Digest;

    use super::*;

    #[test]
    fn documents_are_known_by_their_shape() {
        for (document, kind) in [
            (r#"{"schemaVersion":2,"config":{},"layers":[]}"#, DocumentKind::Manifest),
            (r#"{"schemaVersion":2,"manifests":[]}"#, DocumentKind::Layout),
            (r#"{"version":"1.0","files":{}}"#, DocumentKind::Index),
            (r#"{"imageLayoutVersion":"1.0.0"}"#, DocumentKind::Other),
            (r#"{"files":["a.json"]}"#, DocumentKind::Other),
            ("[1]", DocumentKind::Other),
            ("import os\n", DocumentKind::Other),
            ("", DocumentKind::Other),
        ] {
            assert_eq!(recognize(document.as_bytes()), kind, "{document}");
        }
    }

    #[test]
    fn a_layout_names_its_manifests() {
        let digest = Digest::of(b"x");
        let layout = format!(
            r#"{{"manifests":[
                {{"mediaType":"{}","digest":"{digest}","size":1,"annotations":{{"{REF_NAME}":"latest"}}}},
                {{"mediaType":"{}","digest":"{digest}","size":1}},
                {{"mediaType":"{}","digest":"{digest}","size":1}}]}}"#,
            media_type::MANIFEST,
            media_type::IMAGE_INDEX,
            media_type::MANIFEST,
        );
        let tags: Vec<_> =
            read_layout(layout.as_bytes()).unwrap().into_iter().map(|entry| entry.tag).collect();
        assert_eq!(tags, [Some("latest".to_owned()), None]);
    }

    #[test]
    fn a_bad_layout_says_why() {
        let why = |document: &str| with_causes(&read_layout(document.as_bytes()).unwrap_err());
        assert!(why("<html>").starts_with("it is no JSON that bundles take: "), "{}", why("<html>"));
        let sha512 = r#"{"manifests":[{"mediaType":"m","digest":"sha512:00","size":1}]}"#;
        assert!(why(sha512).contains("`sha512` is not supported"), "{}", why(sha512));
    }
}

//! An open bundle: a manifest and an index, the checks of one against the other, and what is known of its files'
//! bytes. What is right is decided by the core; this only asks it and keeps the answers.

use std::collections::BTreeMap;

use bundle_core::bundle::descriptor::Descriptor;
use bundle_core::bundle::foreign::{Foreign, ForeignKind};
use bundle_core::bundle::index::{BundleIndex, Entry, IndexError, check_layers};
use bundle_core::bundle::layout::Layout;
use bundle_core::bundle::manifest::{Manifest, ManifestError, annotation};
use bundle_core::bundle::tree::tree_digest;
use bundle_core::causes::with_causes;
use bundle_core::digest::{Digest, DigestError};
use bundle_core::name::path::BundlePath;
use serde_json::Value;
use thiserror::Error;

use crate::view::{
    Annotation, Check, Content, ContentCounts, FileCheck, Group, Row, Subject, Summary, Verdict,
};

/// A manifest and its index, with the outcome of every check.
#[derive(Debug)]
pub(crate) struct Bundle {
    digest: Digest,
    manifest: Manifest,
    index: BundleIndex,
    tree: Digest,
    checks: Vec<Check>,
    /// What is known of each file's bytes, in the order of the index's entries.
    contents: Vec<Content>,
    /// The place of each file among the entries, by its digest: 100,000 blobs may be looked up.
    by_digest: Vec<(Digest, usize)>,
}

impl Bundle {
    /// Opens a bundle from its exact bytes. The index may be left out where the manifest carries it.
    ///
    /// What can be read but does not match opens all the same: its checks say so.
    pub(crate) fn open(
        manifest_bytes: &[u8],
        index_bytes: Option<&[u8]>,
        pinned: Option<&str>,
    ) -> Result<Self, OpenError> {
        let pinned: Option<Digest> = pinned.map(str::parse).transpose().map_err(OpenError::Pinned)?;
        let manifest = Manifest::parse(manifest_bytes).map_err(OpenError::Manifest)?;
        let carried = manifest.embedded_index().map_err(OpenError::Manifest)?;
        let Some(index_bytes) = index_bytes.or(carried.as_deref()) else {
            return Err(OpenError::NoIndex { digest: manifest.config.digest });
        };
        let found = Descriptor::of(&manifest.config.media_type, index_bytes);
        let text = BundleIndex::text(index_bytes, &manifest.config.media_type);
        let index = text.and_then(|text| BundleIndex::parse(text.as_bytes())).map_err(|source| {
            if (found.digest, found.size) == (manifest.config.digest, manifest.config.size) {
                OpenError::Index(source)
            } else {
                OpenError::OtherIndex { expected: manifest.config.digest, source }
            }
        })?;
        let digest = Digest::of(manifest_bytes);
        let tree = tree_digest(&index.files());
        let checks = vec![
            check_manifest(digest, pinned),
            check_index(&manifest.config, &found),
            check_tree(&manifest, tree),
            check_blobs(&manifest, &index),
        ];
        let contents = vec![Content::Unseen; index.entries.len()];
        let digests = index.entries.iter().map(|entry| entry.file.digest);
        let mut by_digest: Vec<_> = digests.zip(0..).collect();
        by_digest.sort_unstable();
        Ok(Self { digest, manifest, index, tree, checks, contents, by_digest })
    }

    /// The checks of its documents against each other.
    pub(crate) fn checks(&self) -> &[Check] {
        &self.checks
    }

    /// Itself at a glance.
    pub(crate) fn summary(&self) -> Summary {
        let files = || self.index.entries.iter().map(|entry| &entry.file);
        let blobs: BTreeMap<Digest, u64> = match self.index.layout {
            Layout::Files => {
                files().filter(|file| file.size > 0).map(|file| (file.digest, file.size)).collect()
            }
            Layout::Packed => self.index.packs.iter().map(|pack| (pack.digest, pack.size)).collect(),
        };
        let annotations = &self.manifest.annotations;
        Summary {
            digest: self.digest.to_string(),
            verdict: self.verdict(),
            tree: self.tree.to_string(),
            created: annotations
                .get(annotation::CREATED)
                .cloned()
                .or_else(|| text(self.index.other.get("created"))),
            version: annotations.get(annotation::VERSION).cloned(),
            tool: annotations.get(annotation::TOOL).cloned().or_else(|| self.tool_in_index()),
            file_count: count(self.index.entries.len()),
            total_size: total(files().map(|file| file.size)),
            blob_count: count(blobs.len()),
            stored_size: total(blobs.into_values()),
            layer_count: count(self.manifest.layers.len()),
            layers: groups(&self.index, "layers"),
            roles: groups(&self.index, "roles"),
            annotations: annotations
                .iter()
                .map(|(key, value)| Annotation { key: key.clone(), value: value.clone() })
                .collect(),
        }
    }

    fn verdict(&self) -> Verdict {
        if self.checks.iter().any(|check| check.verdict == Verdict::Mismatch) {
            Verdict::Mismatch
        } else {
            Verdict::Verified
        }
    }

    /// The Python tool writes no annotation and puts this into the index.
    fn tool_in_index(&self) -> Option<String> {
        let tool = self.index.other.get("tool")?;
        let name = text(tool.get("name"))?;
        Some(match text(tool.get("version")) {
            Some(version) => format!("{name} {version}"),
            None => name,
        })
    }

    /// One of its files, by its place in the order of paths.
    pub(crate) fn row(&self, at: usize) -> Option<Row> {
        let (entry, content) = self.index.entries.get(at).zip(self.contents.get(at))?;
        Some(Row {
            path: entry.file.path.to_string(),
            size: entry.file.size,
            digest: entry.file.digest.to_string(),
            executable: entry.file.executable == Some(true),
            layer: layer(entry).map(str::to_owned),
            content: *content,
        })
    }

    /// Its files, each with what is known of its bytes.
    pub(crate) fn entries(&self) -> impl Iterator<Item = (&Entry, Content)> {
        self.index.entries.iter().zip(self.contents.iter().copied())
    }

    /// How many files' bytes are known.
    pub(crate) fn content_counts(&self) -> ContentCounts {
        let mut counts = ContentCounts::default();
        for content in &self.contents {
            match content {
                Content::Unseen => counts.unseen += 1,
                Content::Verified => counts.verified += 1,
                Content::Mismatch => counts.mismatch += 1,
            }
        }
        counts
    }

    /// Compares the digest and size of some bytes with the files that they may be, and keeps the outcome.
    ///
    /// `name` is what the bytes are called: a path, a path below one more folder (that of the project), or the place
    /// of a blob in an OCI image layout. Bytes of any other name are whatever files have their digest.
    pub(crate) fn check_content(&mut self, name: &str, digest: Digest, size: u64) -> FileCheck {
        let named = self.named(name);
        let same: Vec<usize> =
            self.with_digest(digest).filter(|at| self.index.entries[*at].file.size == size).collect();
        let same_and_named: Vec<usize> = named.iter().copied().filter(|at| same.contains(at)).collect();
        let (verdict, places) = if !same_and_named.is_empty() {
            (Verdict::Verified, same_and_named)
        } else if !named.is_empty() {
            (Verdict::Mismatch, named)
        } else if !same.is_empty() {
            (Verdict::Verified, same)
        } else {
            (Verdict::Undeclared, Vec::new())
        };
        let content = match verdict {
            Verdict::Verified => Content::Verified,
            Verdict::Mismatch | Verdict::Undeclared => Content::Mismatch,
        };
        let mut paths = Vec::new();
        for at in places {
            self.contents[at] = content;
            paths.push(self.index.entries[at].file.path.to_string());
        }
        FileCheck { name: name.to_owned(), verdict, paths, digest: digest.to_string(), size }
    }

    /// The places of the files that `name` may mean.
    fn named(&self, name: &str) -> Vec<usize> {
        if let Some(digest) = blob_name(name) {
            return self.with_digest(digest).collect();
        }
        let below_a_folder = name.split_once('/').map(|(_, below)| below);
        [Some(name), below_a_folder]
            .into_iter()
            .flatten()
            .filter_map(|path| path.parse::<BundlePath>().ok())
            .filter_map(|path| self.index.entries.binary_search_by(|entry| entry.file.path.cmp(&path)).ok())
            .collect()
    }

    /// The places of the files with this content.
    fn with_digest(&self, digest: Digest) -> impl Iterator<Item = usize> {
        let first = self.by_digest.partition_point(|(other, _)| *other < digest);
        self.by_digest[first..].iter().take_while(move |(other, _)| *other == digest).map(|(_, at)| *at)
    }
}

/// The group that a file belongs to, where the index says so.
pub(crate) fn layer(entry: &Entry) -> Option<&str> {
    entry.other.get("layer").and_then(Value::as_str)
}

/// The digest that `…/sha256/HEX` names: a blob's place in an OCI image layout.
fn blob_name(name: &str) -> Option<Digest> {
    let mut parts = name.rsplit('/');
    let (hex, algorithm) = (parts.next()?, parts.next()?);
    format!("{algorithm}:{hex}").parse().ok()
}

fn check_manifest(digest: Digest, pinned: Option<Digest>) -> Check {
    let expected = pinned.map(|pinned| pinned.to_string());
    compare(Subject::Manifest, expected, digest.to_string())
}

fn check_index(expected: &Descriptor, found: &Descriptor) -> Check {
    let check = compare(Subject::Index, Some(expected.digest.to_string()), found.digest.to_string());
    if check.verdict == Verdict::Verified && expected.size != found.size {
        return Check {
            verdict: Verdict::Mismatch,
            reason: Some(format!("it has {} bytes, and the manifest says {}", found.size, expected.size)),
            ..check
        };
    }
    check
}

fn check_tree(manifest: &Manifest, tree: Digest) -> Check {
    let expected = manifest.annotations.get(annotation::TREE).cloned();
    compare(Subject::Tree, expected, tree.to_string())
}

fn check_blobs(manifest: &Manifest, index: &BundleIndex) -> Check {
    let fault = check_layers(index, &manifest.layers).err();
    Check {
        subject: Subject::Layers,
        verdict: if fault.is_some() { Verdict::Mismatch } else { Verdict::Verified },
        expected: None,
        actual: None,
        reason: fault.map(|fault| with_causes(&fault)),
    }
}

fn compare(subject: Subject, expected: Option<String>, actual: String) -> Check {
    let verdict = match &expected {
        None => Verdict::Undeclared,
        Some(expected) if *expected == actual => Verdict::Verified,
        Some(_) => Verdict::Mismatch,
    };
    Check { subject, verdict, expected, actual: Some(actual), reason: None }
}

fn groups(index: &BundleIndex, field: &str) -> Vec<Group> {
    let groups = index.groups(field).into_iter();
    groups
        .map(|(name, members)| Group {
            name: name.to_owned(),
            members: members.into_iter().map(str::to_owned).collect(),
        })
        .collect()
}

fn text(value: Option<&Value>) -> Option<String> {
    value.and_then(Value::as_str).map(str::to_owned)
}

fn count(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

/// A sum for people; JavaScript's numbers are doubles.
fn total(sizes: impl Iterator<Item = u64>) -> f64 {
    sizes.fold(0, u64::saturating_add) as f64
}

/// Why a bundle cannot be opened.
#[derive(Debug, Error)]
pub(crate) enum OpenError {
    /// The index is the one that the manifest names, and cannot be taken.
    #[error("the index cannot be read")]
    Index(#[source] IndexError),
    /// The manifest cannot be taken.
    #[error("the manifest cannot be read")]
    Manifest(#[source] ManifestError),
    /// There is no index.
    #[error("the manifest does not carry its index, {digest}")]
    NoIndex {
        /// The index's digest.
        digest: Digest,
    },
    /// The index is not the one that the manifest names, and cannot be taken either.
    #[error("the index is not {expected}, which the manifest names, and cannot be read")]
    OtherIndex {
        /// What the manifest names.
        expected: Digest,
        /// What is wrong with it.
        source: IndexError,
    },
    /// The digest to compare with is none.
    #[error("the digest to compare with cannot be read")]
    Pinned(#[source] DigestError),
}

impl OpenError {
    /// What the user may do next.
    pub(crate) fn hint(&self) -> &'static str {
        match self {
            Self::Index(IndexError::Version { .. } | IndexError::Storage { .. })
            | Self::Manifest(ManifestError::Unsupported { .. }) => {
                "A newer version of this page may read it."
            }
            Self::Index(_) => "Ask whoever made this bundle to push it again.",
            Self::Manifest(ManifestError::NotABundle(Foreign { kind: ForeignKind::ImageIndex, .. })) => {
                "Open the manifest of one of its entries, or the whole folder of the layout."
            }
            Self::Manifest(ManifestError::NotABundle(_)) => "Open the manifest of a bundle.",
            Self::Manifest(_) => "Get the manifest again, as the exact bytes that the registry sends.",
            Self::NoIndex { .. } => "Open the index together with the manifest.",
            Self::OtherIndex { .. } => "Get the blob that the manifest names, as exact bytes.",
            Self::Pinned(_) => "Write `sha256:` and 64 lower-case hex digits.",
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use bundle_core::file::{ByPath, File};
    use bundle_core::plan::layout::Readers;
    use bundle_core::plan::seal::{EmptyBlob, Origin, SealRequest, Sealed, seal};

    use super::*;

    /// A sealed bundle of files, each with its content; those that begin with `#!` are executable.
    pub(crate) fn sealed(files: &[(&str, &str)]) -> Sealed {
        let file = |(path, content): &(&str, &str)| File {
            path: path.parse().unwrap(),
            digest: Digest::of(content.as_bytes()),
            size: content.len() as u64,
            executable: Some(content.starts_with("#!")),
        };
        seal(&SealRequest {
            files: &ByPath::new(files.iter().map(file).collect()).unwrap(),
            replaces: None,
            origin: Origin {
                parent: None,
                replaces: None,
                author: None,
                message: None,
                created: "2026-11-22T07:03:21Z",
                version: Some("1.2.0"),
                tool: "test/1",
                readers: Readers::Ours,
            },
            empty_blob: EmptyBlob::Taken,
        })
        .unwrap()
    }

    fn verdicts(bundle: &Bundle) -> Vec<(Subject, Verdict)> {
        bundle.checks().iter().map(|check| (check.subject, check.verdict)).collect()
    }

    #[test]
    fn a_good_bundle_is_verified() {
        let sealed = sealed(&[("a", "1"), ("b/c", "1"), ("nil", ""), ("run", "#!")]);
        let pinned = sealed.digest.to_string();
        let bundle = Bundle::open(sealed.manifest.as_bytes(), None, Some(&pinned)).unwrap();
        assert!(bundle.checks().iter().all(|check| check.verdict == Verdict::Verified));
        let summary = bundle.summary();
        assert_eq!((summary.digest, summary.tree), (pinned, sealed.tree.to_string()));
        assert_eq!((summary.file_count, summary.blob_count, summary.layer_count), (4, 2, 4));
        assert_eq!((summary.total_size, summary.stored_size), (4.0, 3.0));
        assert_eq!(summary.created.as_deref(), Some("2026-11-22T07:03:21Z"));
        assert_eq!((summary.version.as_deref(), summary.tool.as_deref()), (Some("1.2.0"), Some("test/1")));
    }

    #[test]
    fn each_document_is_checked_against_the_other() {
        use Verdict::*;
        let sealed = sealed(&[("a", "1")]);
        let manifest = |change: &dyn Fn(&mut Manifest)| {
            let mut manifest = Manifest::parse(sealed.manifest.as_bytes()).unwrap();
            manifest.config.data = None;
            change(&mut manifest);
            manifest.to_json()
        };
        let index = sealed.index.as_str();
        let edited = index.replace("false", "true");
        let other = Digest::of(b"other").to_string();
        for (manifest, index, pinned, expected) in [
            (manifest(&|_| {}), index, None, [Undeclared, Verified, Verified, Verified]),
            (manifest(&|_| {}), index, Some(other.as_str()), [Mismatch, Verified, Verified, Verified]),
            (manifest(&|_| {}), edited.as_str(), None, [Undeclared, Mismatch, Mismatch, Verified]),
            (
                manifest(&|manifest| manifest.config.size += 1),
                index,
                None,
                [Undeclared, Mismatch, Verified, Verified],
            ),
            (
                manifest(&|manifest| manifest.annotations.clear()),
                index,
                None,
                [Undeclared, Verified, Undeclared, Verified],
            ),
            (
                manifest(&|manifest| manifest.layers.clear()),
                index,
                None,
                [Undeclared, Verified, Verified, Mismatch],
            ),
        ] {
            let bundle = Bundle::open(manifest.as_bytes(), Some(index.as_bytes()), pinned).unwrap();
            let subjects = [Subject::Manifest, Subject::Index, Subject::Tree, Subject::Layers];
            assert_eq!(verdicts(&bundle), subjects.into_iter().zip(expected).collect::<Vec<_>>());
            let is_good = !expected.contains(&Mismatch);
            assert_eq!(bundle.summary().verdict, if is_good { Verified } else { Mismatch });
        }
    }

    #[test]
    fn an_error_says_what_why_and_what_next() {
        let sealed = sealed(&[("a", "1")]);
        let manifest = sealed.manifest.as_bytes();
        let mut without_data = Manifest::parse(manifest).unwrap();
        without_data.config.data = None;
        let without_data = without_data.to_json();
        let evil = sealed.index.replace("\"a\"", "\"../a\"");
        for (manifest, index, pinned, message) in [
            (
                b"<html>".as_slice(),
                None,
                None,
                "the manifest cannot be read: it is not a bundle but a document",
            ),
            (without_data.as_bytes(), None, None, "the manifest does not carry its index, sha256:"),
            (
                manifest,
                Some(evil.as_str()),
                None,
                "which the manifest names, and cannot be read: the path `../a`",
            ),
            (manifest, None, Some("latest"), "cannot be read: a digest starts with `sha256:`"),
        ] {
            let error = Bundle::open(manifest, index.map(str::as_bytes), pinned).unwrap_err();
            let text = with_causes(&error);
            assert!(text.contains(message), "{text}");
            assert!(error.hint().ends_with('.'), "{text}");
        }
    }

    #[test]
    fn bytes_are_compared_with_the_file_that_they_may_be() {
        use Verdict::*;
        let sealed = sealed(&[("a", "1"), ("copy", "1"), ("proj/a", "2"), ("nil", "")]);
        let blob = |content: &str| format!("blobs/sha256/{}", Digest::of(content.as_bytes()).hex());
        for (name, content, verdict, paths) in [
            ("a", "1", Verified, vec!["a"]),
            ("a", "other", Mismatch, vec!["a"]),
            ("a", "2", Mismatch, vec!["a"]),
            ("nil", "", Verified, vec!["nil"]),
            // A folder may be the project's own, or one in it.
            ("proj/a", "2", Verified, vec!["proj/a"]),
            ("proj/a", "1", Verified, vec!["a"]),
            ("proj/a", "3", Mismatch, vec!["proj/a", "a"]),
            ("work/copy", "1", Verified, vec!["copy"]),
            // A name that says nothing.
            ("download", "1", Verified, vec!["a", "copy"]),
            ("download", "3", Undeclared, vec![]),
            ("other/deeper/a", "3", Undeclared, vec![]),
            (&blob("1"), "1", Verified, vec!["a", "copy"]),
            (&blob("1"), "2", Mismatch, vec!["a", "copy"]),
            (&blob("9"), "9", Undeclared, vec![]),
        ] {
            let mut bundle = Bundle::open(sealed.manifest.as_bytes(), None, None).unwrap();
            let check = bundle.check_content(name, Digest::of(content.as_bytes()), content.len() as u64);
            assert_eq!(
                (check.verdict, check.paths),
                (verdict, paths.iter().map(ToString::to_string).collect()),
                "{name}"
            );
            let counts = bundle.content_counts();
            let marked = if verdict == Verified { counts.verified } else { counts.mismatch };
            assert_eq!((marked, counts.unseen), (paths.len() as u32, 4 - paths.len() as u32), "{name}");
        }
    }
}

//! An open bundle: its documents, the checks of one against the other, and what is known of the bytes of its files and
//! packs. What is right is decided by the core; this only asks it and keeps the answers.

use bundle_core::bundle::foreign::{Foreign, ForeignKind};
use bundle_core::bundle::index::{BundleIndex, Entry, IndexError};
use bundle_core::bundle::layout::Layout;
use bundle_core::bundle::manifest::{ManifestError, annotation};
use bundle_core::bundle::open::{self, OpenError, Opened, Outcome, Part, Parts};
use bundle_core::causes::with_causes;
use bundle_core::digest::{Digest, DigestError};
use bundle_core::name::path::BundlePath;
use bundle_core::pack::table::Table;
use serde_json::Value;
use thiserror::Error;

use crate::view::{
    Annotation, Check, Content, ContentBlob, ContentCounts, FileCheck, Group, LayoutName, Row, Subject,
    Summary, Verdict, Verification,
};

/// The most packs that are named as not seen.
const NAMED_PACKS: usize = 100;

/// A manifest and its index, with the outcome of every check.
#[derive(Debug)]
pub(crate) struct Bundle {
    opened: Opened,
    pub(crate) index: BundleIndex,
    parts: Parts,
    checks: Vec<Check>,
    /// What is known of each file's bytes, in the order of the index's entries.
    pub(crate) contents: Vec<Content>,
    /// What is known of each pack's bytes, in the order of the index's packs.
    packs: Vec<Content>,
    /// The tables of the packs that were seen and are right.
    pub(crate) tables: Vec<Option<Table>>,
}

impl Bundle {
    /// Opens a bundle from its exact bytes. The index may be left out where the manifest carries it.
    ///
    /// What can be read but does not match opens all the same: its checks say so.
    pub(crate) fn open(
        manifest_bytes: &[u8],
        index_bytes: Option<&[u8]>,
        pinned: Option<&str>,
    ) -> Result<Self, OpeningError> {
        let pinned: Option<Digest> = pinned.map(str::parse).transpose().map_err(OpeningError::Pinned)?;
        let (mut opened, checks) = open::inspect(manifest_bytes, index_bytes, pinned)?;
        let parts = Parts::of(&opened, manifest_bytes.len() as u64);
        let Some(index) = opened.index.take() else {
            return Err(OpeningError::NoIndex { digest: opened.manifest.config.digest });
        };
        Ok(Self {
            checks: checks.into_iter().map(shown).collect(),
            contents: vec![Content::Unseen; index.entries.len()],
            packs: vec![Content::Unseen; index.packs.len()],
            tables: vec![None; index.packs.len()],
            opened,
            index,
            parts,
        })
    }

    /// The checks of its documents against each other.
    pub(crate) fn checks(&self) -> &[Check] {
        &self.checks
    }

    /// Itself at a glance.
    pub(crate) fn summary(&self) -> Summary {
        let blobs = self.index.blobs();
        let annotations = &self.opened.manifest.annotations;
        Summary {
            digest: self.opened.digest.to_string(),
            tree: self.tree(),
            created: annotations
                .get(annotation::CREATED)
                .cloned()
                .or_else(|| text(self.index.other.get("created"))),
            version: annotations.get(annotation::VERSION).cloned(),
            tool: annotations.get(annotation::TOOL).cloned().or_else(|| self.tool_in_index()),
            layout: match self.index.layout {
                Layout::Files => LayoutName::Files,
                Layout::Packed => LayoutName::Packed,
            },
            file_count: count(self.index.entries.len()),
            total_size: total(self.index.entries.iter().map(|entry| entry.file.size)),
            blob_count: count(blobs.len()),
            stored_size: total(blobs.into_iter().map(|blob| blob.size)),
            layer_count: count(self.opened.manifest.layers.len()),
            layers: groups(&self.index, "layers"),
            roles: groups(&self.index, "roles"),
            annotations: annotations
                .iter()
                .map(|(key, value)| Annotation { key: key.clone(), value: value.clone() })
                .collect(),
        }
    }

    /// How far it is verified: the worst of all its checks counts.
    pub(crate) fn verification(&self) -> Verification {
        let (files, packs) = (counts(&self.contents), counts(&self.packs));
        let differs = self.checks.iter().any(|check| check.verdict == Verdict::Mismatch);
        let overall = if differs || files.mismatch + packs.mismatch > 0 {
            Content::Mismatch
        } else if files.unseen + packs.unseen > 0 {
            Content::Unseen
        } else {
            Content::Verified
        };
        let unseen = self.packs.iter().enumerate().filter(|(_, content)| **content == Content::Unseen);
        let unseen_packs = unseen.take(NAMED_PACKS).map(|(at, _)| self.pack_name(at)).collect();
        Verification { overall, files, packs, unseen_packs }
    }

    /// The tree digest of its files, which is computed to be checked.
    fn tree(&self) -> String {
        let check = self.checks.iter().find(|check| check.subject == Subject::Tree);
        check.and_then(|check| check.actual.clone()).unwrap_or_default()
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

    /// The blobs in which its files lie.
    pub(crate) fn blobs(&self) -> Vec<ContentBlob> {
        let blobs = self.index.blobs().into_iter();
        blobs.map(|blob| ContentBlob { digest: blob.digest.to_string(), size: blob.size }).collect()
    }

    /// Compares the digest and size of some bytes with the files and packs that they may be, and keeps the outcome.
    ///
    /// `name` is what the bytes are called: a path, a path below one more folder (that of the project), or the place
    /// of a blob in an OCI image layout. Bytes of any other name are whatever has their digest.
    pub(crate) fn check_content(&mut self, name: &str, digest: Digest, size: u64) -> FileCheck {
        let named = self.named(name);
        let same: Vec<Part> = self.parts.told(digest, size).collect();
        let same_and_named: Vec<Part> = named.iter().copied().filter(|part| same.contains(part)).collect();
        let (verdict, parts) = if !same_and_named.is_empty() {
            (Verdict::Verified, same_and_named)
        } else if !named.is_empty() {
            (Verdict::Mismatch, named)
        } else if !same.is_empty() {
            (Verdict::Verified, same)
        } else {
            (Verdict::Undeclared, Vec::new())
        };
        self.keep(name, verdict, &parts, digest, size)
    }

    /// Keeps what some bytes turned out to be of each of `parts`.
    fn keep(&mut self, name: &str, verdict: Verdict, parts: &[Part], digest: Digest, size: u64) -> FileCheck {
        let content = match verdict {
            Verdict::Verified => Content::Verified,
            Verdict::Mismatch | Verdict::Undeclared => Content::Mismatch,
        };
        let (mut paths, mut packs, mut others) = (Vec::new(), Vec::new(), Vec::new());
        for part in parts {
            match *part {
                Part::File(at) => {
                    self.contents[at] = content;
                    paths.push(self.index.entries[at].file.path.to_string());
                }
                Part::Pack(at) => {
                    self.packs[at] = content;
                    packs.push(count(at));
                    others.push(self.pack_name(at));
                }
                Part::Table(at) => others.push(format!("the table of {}", self.pack_name(at))),
                Part::Manifest => others.push("the manifest".to_owned()),
                Part::Index => others.push("the index".to_owned()),
            }
        }
        FileCheck { name: name.to_owned(), verdict, paths, packs, others, digest: digest.to_string(), size }
    }

    /// Keeps what the bytes of one file turned out to be that was put together from its packs.
    pub(crate) fn keep_file(&mut self, at: usize, found: Option<(Digest, u64)>) -> Option<FileCheck> {
        let file = &self.index.entries.get(at)?.file;
        let (name, expected) = (file.path.to_string(), (file.digest, file.size));
        let verdict = if found == Some(expected) { Verdict::Verified } else { Verdict::Mismatch };
        let (digest, size) = found.unwrap_or(expected);
        Some(self.keep(&name, verdict, &[Part::File(at)], digest, size))
    }

    /// Keeps that a pack is not what the index says, although its bytes have the right digest.
    pub(crate) fn refuse_pack(&mut self, at: usize) {
        if let Some(content) = self.packs.get_mut(at) {
            *content = Content::Mismatch;
        }
    }

    /// What a pack is called, by its position.
    pub(crate) fn pack_name(&self, at: usize) -> String {
        format!("pack {} of {}", at + 1, self.index.packs.len())
    }

    /// What `name` may mean.
    fn named(&self, name: &str) -> Vec<Part> {
        if let Some(digest) = blob_name(name) {
            return self.parts.with_digest(digest).map(|(_, part)| part).collect();
        }
        let below_a_folder = name.split_once('/').map(|(_, below)| below);
        [Some(name), below_a_folder]
            .into_iter()
            .flatten()
            .filter_map(|path| path.parse::<BundlePath>().ok())
            .filter_map(|path| self.index.entries.binary_search_by(|entry| entry.file.path.cmp(&path)).ok())
            .map(Part::File)
            .collect()
    }
}

fn counts(contents: &[Content]) -> ContentCounts {
    let mut counts = ContentCounts::default();
    for content in contents {
        match content {
            Content::Unseen => counts.unseen += 1,
            Content::Verified => counts.verified += 1,
            Content::Mismatch => counts.mismatch += 1,
        }
    }
    counts
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

/// A check of the core's, as a page shows it.
fn shown(check: open::Check) -> Check {
    let subject = match check.subject {
        open::Subject::Manifest => Subject::Manifest,
        open::Subject::Index => Subject::Index,
        open::Subject::Tree => Subject::Tree,
        open::Subject::Layers => Subject::Layers,
    };
    match check.outcome {
        Outcome::Undeclared(found) => Check {
            subject,
            verdict: Verdict::Undeclared,
            expected: None,
            actual: Some(found.to_string()),
            reason: None,
        },
        Outcome::Matches(found) => {
            let found = found.map(|found| found.to_string());
            Check {
                subject,
                verdict: Verdict::Verified,
                expected: found.clone(),
                actual: found,
                reason: None,
            }
        }
        Outcome::Differs(error) => {
            let (expected, actual, reason) = difference(&error);
            Check { subject, verdict: Verdict::Mismatch, expected, actual, reason }
        }
    }
}

/// The two texts that differ, and why, where these do not tell it.
fn difference(error: &OpenError) -> (Option<String>, Option<String>, Option<String>) {
    let both =
        |expected: &dyn ToString, found: &Digest| (Some(expected.to_string()), Some(found.to_string()), None);
    match error {
        OpenError::PinnedDiffers { expected, found } => both(expected, found),
        OpenError::TreeDiffers { expected, found } => both(expected, found),
        OpenError::IndexDiffers { expected, found } if expected.digest != found.digest => {
            both(&expected.digest, &found.digest)
        }
        OpenError::IndexDiffers { expected, found } => {
            let reason = format!("it has {} bytes, and the manifest says {}", found.size, expected.size);
            (Some(expected.digest.to_string()), Some(found.digest.to_string()), Some(reason))
        }
        OpenError::Layers(fault) => (None, None, Some(with_causes(fault))),
        other => (None, None, Some(with_causes(other))),
    }
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
pub(crate) enum OpeningError {
    /// There is no index.
    #[error("the manifest does not carry its index, {digest}")]
    NoIndex {
        /// The index's digest.
        digest: Digest,
    },
    /// The documents cannot be read.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The digest to compare with is none.
    #[error("the digest to compare with cannot be read")]
    Pinned(#[source] DigestError),
}

impl OpeningError {
    /// What the user may do next.
    pub(crate) fn hint(&self) -> &'static str {
        match self {
            Self::NoIndex { .. } => "Open the index together with the manifest.",
            Self::Open(error) => open_hint(error),
            Self::Pinned(_) => "Write `sha256:` and 64 lower-case hex digits.",
        }
    }
}

fn open_hint(error: &OpenError) -> &'static str {
    match error {
        OpenError::Index(IndexError::Version { .. } | IndexError::Storage { .. })
        | OpenError::Manifest(ManifestError::Unsupported { .. }) => {
            "A newer version of this page may read it."
        }
        OpenError::Manifest(ManifestError::NotABundle(Foreign { kind: ForeignKind::ImageIndex, .. })) => {
            "Open the manifest of one of its entries, or the whole folder of the layout."
        }
        OpenError::Manifest(ManifestError::NotABundle(_)) => "Open the manifest of a bundle.",
        OpenError::Manifest(_) | OpenError::PinnedDiffers { .. } => {
            "Get the manifest again, as the exact bytes that the registry sends."
        }
        OpenError::OtherIndex { .. } | OpenError::IndexDiffers { .. } => {
            "Get the blob that the manifest names, as exact bytes."
        }
        OpenError::Index(_) | OpenError::Layers(_) | OpenError::TreeDiffers { .. } => {
            "Ask whoever made this bundle to push it again."
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use bundle_core::bundle::manifest::Manifest;
    use bundle_core::file::{ByPath, File};
    use bundle_core::plan::layout::Readers;
    use bundle_core::plan::seal::{EmptyBlob, Origin, SealRequest, Sealed, seal};

    use super::*;

    pub(crate) const ORIGIN: Origin<'_> = Origin {
        parent: None,
        replaces: None,
        author: None,
        message: None,
        created: "2026-11-22T07:03:21Z",
        version: Some("1.2.0"),
        tool: "test/1",
        readers: Readers::Ours,
    };

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
            origin: ORIGIN,
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
            // Nothing is known of its file yet, so it is not verified as a whole.
            let is_good = !expected.contains(&Mismatch);
            let overall = bundle.verification().overall;
            assert_eq!(overall, if is_good { Content::Unseen } else { Content::Mismatch });
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
            let counts = bundle.verification().files;
            let marked = if verdict == Verified { counts.verified } else { counts.mismatch };
            assert_eq!((marked, counts.unseen), (paths.len() as u32, 4 - paths.len() as u32), "{name}");
        }
    }
}

use proptest::prelude::*;

use super::*;
use crate::bundle::descriptor::media_type;
use crate::bundle::layout::Layout;
use crate::bundle::tree::tests::any_tree;
use crate::causes::with_causes;
use crate::file::{ByPath, File};
use crate::pack::chunk::ChunkHash;
use crate::pack::chunk_map::ChunkMap;
use crate::pack::effort::Effort;
use crate::pack::table::{Pack, Run};
use crate::pack::write::{FrameWriter, PackWriter};
use crate::plan::layout::Readers;
use crate::plan::seal::{EmptyBlob, Origin, PackedSealRequest, SealRequest, packed_index, seal, seal_packed};

const PYTHON_MANIFEST: &[u8] = include_bytes!("../../../../tests/fixtures/python-bundle/manifest.json");
const PYTHON_INDEX: &[u8] = include_bytes!("../../../../tests/fixtures/python-bundle/config.json");

const ORIGIN: Origin<'_> = Origin {
    parent: None,
    replaces: None,
    author: None,
    message: None,
    created: "2026-11-22T07:03:21Z",
    version: None,
    tool: "modelops-bundle/0.0.0",
    readers: Readers::Ours,
};

/// The documents of a bundle as they lie in its repository.
struct Documents {
    manifest: String,
    index: Vec<u8>,
    packs: Vec<Pack>,
}

fn tree(files: &[(&str, &[u8])]) -> ByPath<File> {
    let file = |(path, content): &(&str, &[u8])| File {
        path: path.parse().unwrap(),
        digest: Digest::of(content),
        size: content.len() as u64,
        executable: Some(false),
    };
    ByPath::new(files.iter().map(file).collect()).unwrap()
}

fn in_files(files: &ByPath<File>) -> Documents {
    let request = SealRequest { files, replaces: None, origin: ORIGIN, empty_blob: EmptyBlob::Taken };
    let sealed = seal(&request).unwrap();
    Documents { manifest: sealed.manifest, index: sealed.index.into_bytes(), packs: Vec::new() }
}

/// Every file a chunk of a pack of its own.
fn in_packs(contents: &[(&str, &[u8])]) -> Documents {
    let files = tree(contents);
    let packs: Vec<Pack> = contents.iter().map(|(_, content)| pack(content)).collect();
    let mut chunk_map = ChunkMap::new(packs.clone());
    for file in &files {
        let number = contents.iter().position(|(path, _)| file.path.as_str() == *path).unwrap();
        chunk_map.push(&[Run { pack: number as u32, first: 0, count: 1 }]);
    }
    let text = packed_index(&files, &chunk_map, None).unwrap();
    let index = BundleIndex::compress(&text).unwrap();
    let sealed = seal_packed(&PackedSealRequest {
        index_digest: Digest::of(&index),
        index_size: index.len() as u64,
        index_data: Some(&index),
        packs: &packs,
        tree: tree_digest(&files),
        origin: ORIGIN,
    });
    Documents { manifest: sealed.unwrap().manifest, index, packs }
}

fn pack(content: &[u8]) -> Pack {
    let mut writer = PackWriter::default();
    let chunk = FrameWriter::new().unwrap().encode(ChunkHash::of(content), content, Effort::Try).unwrap();
    writer.add(&chunk);
    writer.finish().unwrap().pack
}

/// The same manifest without the index inside.
fn without_data(manifest: &str) -> String {
    edited(manifest, |manifest| manifest.config.data = None)
}

fn edited(manifest: &str, change: impl FnOnce(&mut Manifest)) -> String {
    let mut manifest = Manifest::parse(manifest.as_bytes()).unwrap();
    change(&mut manifest);
    manifest.to_json()
}

/// What differs when documents are inspected that [`open`] must refuse.
fn differing(manifest: &str, index: Option<&[u8]>, pinned: Option<Digest>) -> Vec<Subject> {
    let (_, checks) = inspect(manifest.as_bytes(), index, pinned).unwrap();
    let differs: Vec<_> =
        checks.iter().filter(|check| matches!(check.outcome, Outcome::Differs(_))).collect();
    let is_refused = open(manifest.as_bytes(), index, pinned).is_err();
    let differing: Vec<_> = differs.into_iter().map(|check| check.subject).collect();
    assert_eq!(is_refused, differing.iter().any(|subject| *subject != Subject::Tree), "{differing:?}");
    differing
}

#[test]
fn a_bundle_of_either_layout_opens_with_every_check_matching() {
    let contents = [("a", b"1".as_slice()), ("b/c", b"22"), ("d", b"333")];
    for documents in [in_files(&tree(&contents)), in_packs(&contents)] {
        let pinned = Digest::of(documents.manifest.as_bytes());
        for index in [None, Some(documents.index.as_slice())] {
            let (opened, checks) = inspect(documents.manifest.as_bytes(), index, Some(pinned)).unwrap();
            let subjects: Vec<_> = checks.iter().map(|check| check.subject).collect();
            assert_eq!(subjects, [Subject::Manifest, Subject::Index, Subject::Tree, Subject::Layers]);
            assert!(checks.iter().all(|check| matches!(check.outcome, Outcome::Matches(_))), "{checks:?}");
            assert_eq!(opened, open(documents.manifest.as_bytes(), index, Some(pinned)).unwrap());
            assert_eq!((opened.digest, opened.still_needed), (pinned, Vec::new()));
            assert_eq!(opened.index.unwrap().files(), tree(&contents));
        }
    }
}

#[test]
fn a_bundle_of_the_python_tool_opens() {
    let (opened, checks) = inspect(PYTHON_MANIFEST, Some(PYTHON_INDEX), None).unwrap();
    let outcomes: Vec<_> = checks.iter().map(|check| &check.outcome).collect();
    // It declares no tree digest.
    assert!(
        matches!(
            outcomes[..],
            [
                Outcome::Undeclared(_),
                Outcome::Matches(Some(_)),
                Outcome::Undeclared(_),
                Outcome::Matches(None)
            ]
        ),
        "{outcomes:?}"
    );
    let parts = Parts::of(&opened, PYTHON_MANIFEST.len() as u64);
    let index = opened.index.as_ref().unwrap();
    assert_eq!(index.entries.len(), 5);
    for (at, entry) in index.entries.iter().enumerate() {
        let told: Vec<_> = parts.told(entry.file.digest, entry.file.size).collect();
        assert_eq!(told, [Part::File(at)]);
    }
    assert_eq!(index.blobs().len(), 5);
}

#[test]
fn an_index_that_is_not_here_is_asked_for() {
    for documents in [in_files(&tree(&[("a", b"1")])), in_packs(&[("a", b"1")])] {
        let manifest = without_data(&documents.manifest);
        let opened = open(manifest.as_bytes(), None, None).unwrap();
        let [needed] = &opened.still_needed[..] else { panic!("{:?}", opened.still_needed) };
        assert_eq!(*needed, Descriptor::of(&opened.manifest.config.media_type, &documents.index));
        assert_eq!(opened.index, None);
        let opened = open(manifest.as_bytes(), Some(&documents.index), None).unwrap();
        assert_eq!((opened.index.is_some(), opened.still_needed), (true, Vec::new()));
    }
    let opened = open(PYTHON_MANIFEST, None, None).unwrap();
    assert_eq!(opened.still_needed, [Descriptor::of(media_type::INDEX_V1, PYTHON_INDEX)]);
}

#[test]
fn each_document_is_held_against_the_other() {
    use Subject::{Index, Layers, Manifest, Tree};
    let other = Digest::of(b"other");
    for documents in [in_files(&tree(&[("a", b"1")])), in_packs(&[("a", b"1")])] {
        let manifest = without_data(&documents.manifest);
        let index = documents.index.as_slice();
        assert_eq!(differing(&manifest, Some(index), None), []);
        assert_eq!(differing(&manifest, Some(index), Some(other)), [Manifest]);
        let larger = edited(&manifest, |manifest| manifest.config.size += 1);
        assert_eq!(differing(&larger, Some(index), None), [Index]);
        let renamed = edited(&manifest, |manifest| manifest.config.digest = other);
        assert_eq!(differing(&renamed, Some(index), None), [Index]);
        let bare = edited(&manifest, |manifest| manifest.layers.clear());
        assert_eq!(differing(&bare, Some(index), None), [Layers]);
        let resized = edited(&manifest, |manifest| manifest.layers[0].size += 1);
        assert_eq!(differing(&resized, Some(index), None), [Layers]);
        let planted = edited(&manifest, |manifest| {
            manifest.annotations.insert(annotation::TREE.to_owned(), other.to_string());
        });
        assert_eq!(differing(&planted, Some(index), None), [Tree]);
    }
    let (files, others) = (in_files(&tree(&[("a", b"1")])), in_files(&tree(&[("a", b"2")])));
    let all = differing(&files.manifest, Some(&others.index), Some(other));
    assert_eq!(all, [Manifest, Index, Tree, Layers]);
}

#[test]
fn an_error_says_what_differs_and_from_what() {
    let documents = in_files(&tree(&[("a", b"1")]));
    let text = |manifest: &str, index: &[u8], pinned| {
        with_causes(&open(manifest.as_bytes(), Some(index), pinned).unwrap_err())
    };
    let (other, index) = (Digest::of(b"other"), documents.index.as_slice());
    let own = Digest::of(documents.manifest.as_bytes());
    assert_eq!(
        text(&documents.manifest, index, Some(other)),
        format!("the reference names the manifest {other}, and it is {own}")
    );
    let spaced = [index, b" "].concat();
    assert_eq!(
        text(&documents.manifest, &spaced, None),
        format!(
            "the manifest names the index {} with {} bytes, and it is {} with {}",
            Digest::of(index),
            index.len(),
            Digest::of(&spaced),
            spaced.len()
        )
    );
    let bare = edited(&documents.manifest, |manifest| manifest.layers.clear());
    let why = text(&bare, index, None);
    assert!(
        why.starts_with("the manifest's layers are not what the index needs: the content of `a`"),
        "{why}"
    );
    // A pin that does not hold is said before whatever else is wrong.
    let why = text("<html>", index, Some(other));
    assert!(why.starts_with("the reference names the manifest"), "{why}");
}

#[test]
fn documents_that_cannot_be_read_are_refused() {
    let documents = in_files(&tree(&[("a", b"1")]));
    let manifest = without_data(&documents.manifest);
    let evil = String::from_utf8(documents.index.clone()).unwrap().replace("\"a\"", "\"../a\"");
    let refused = |manifest: &str, index: &[u8]| inspect(manifest.as_bytes(), Some(index), None).unwrap_err();
    assert!(matches!(refused("<html>", b"{}"), OpenError::Manifest(ManifestError::NotABundle(_))));
    assert!(matches!(refused(&manifest, evil.as_bytes()), OpenError::OtherIndex { .. }));
    let named = edited(&manifest, |manifest| {
        manifest.config = Descriptor::of(media_type::INDEX_V1, evil.as_bytes());
    });
    assert!(matches!(refused(&named, evil.as_bytes()), OpenError::Index(IndexError::Path { .. })));
    // The type says that it is compressed, and it is not; and the other way round.
    let compressed =
        edited(&manifest, |manifest| manifest.config.media_type = media_type::INDEX_V2.to_owned());
    assert!(matches!(refused(&compressed, &documents.index), OpenError::Index(IndexError::Compression(_))));
    let packed = in_packs(&[("a", b"1")]);
    let plain = edited(&without_data(&packed.manifest), |manifest| {
        manifest.config.media_type = media_type::INDEX_V1.to_owned();
    });
    assert!(matches!(refused(&plain, &packed.index), OpenError::Index(IndexError::NotText)));
    // What a manifest carries is checked also where the index comes beside it.
    let forged = edited(&documents.manifest, |manifest| manifest.config.data = Some("e30=".to_owned()));
    for index in [None, Some(documents.index.as_slice())] {
        let error = open(forged.as_bytes(), index, None).unwrap_err();
        assert!(matches!(error, OpenError::Manifest(ManifestError::IndexData { .. })), "{error}");
    }
}

#[test]
fn every_blob_is_told_and_no_other() {
    let contents = [("a", b"1".as_slice()), ("b", b"22"), ("copy", b"1")];
    let documents = in_packs(&contents[..2]);
    let opened = open(documents.manifest.as_bytes(), None, None).unwrap();
    let parts = Parts::of(&opened, documents.manifest.len() as u64);
    let told = |parts: &Parts, digest, size| parts.told(digest, size).collect::<Vec<_>>();
    let of = |content: &[u8]| told(&parts, Digest::of(content), content.len() as u64);
    assert_eq!(of(documents.manifest.as_bytes()), [Part::Manifest]);
    assert_eq!(of(&documents.index), [Part::Index]);
    assert_eq!(of(b"22"), [Part::File(1)]);
    assert_eq!(of(b"stranger"), []);
    for (at, pack) in documents.packs.iter().enumerate() {
        assert_eq!(told(&parts, pack.digest, pack.size), [Part::Pack(at)]);
        assert_eq!(told(&parts, pack.digest, pack.size + 1), [], "another size is another blob");
        assert_eq!(parts.with_digest(pack.digest).collect::<Vec<_>>(), [(pack.size, Part::Pack(at))]);
        assert_eq!(told(&parts, pack.toc.digest, pack.toc.size), [Part::Table(at)]);
    }

    // Copies are told as all the files that they are.
    let documents = in_files(&tree(&contents));
    let opened = open(documents.manifest.as_bytes(), None, None).unwrap();
    let parts = Parts::of(&opened, documents.manifest.len() as u64);
    assert_eq!(told(&parts, Digest::of(b"1"), 1), [Part::File(0), Part::File(2)]);
    assert_eq!(opened.index.as_ref().unwrap().blobs().len(), 2);
}

#[test]
fn a_file_that_is_a_copy_of_a_pack_is_told_as_both() {
    let first = pack(b"1");
    let copy =
        File { path: "copy".parse().unwrap(), digest: first.digest, size: first.size, executable: None };
    let mut index = BundleIndex::of(&ByPath::new(vec![copy]).unwrap());
    index.layout = Layout::Packed;
    index.packs = vec![first.clone()];
    let manifest = Manifest {
        artifact_type: None,
        config: Descriptor::of(media_type::INDEX_V1, b""),
        layers: Vec::new(),
        annotations: Default::default(),
    };
    let opened = Opened { digest: Digest::of(b"m"), manifest, index: Some(index), still_needed: Vec::new() };
    let parts = Parts::of(&opened, 1);
    let told: Vec<_> = parts.told(first.digest, first.size).collect();
    assert_eq!(told, [Part::File(0), Part::Pack(0)]);
}

proptest! {
    #[test]
    fn whatever_is_sealed_opens_and_tells_its_files(files in any_tree()) {
        let documents = in_files(&files);
        let manifest = documents.manifest.as_bytes();
        let opened = open(manifest, Some(&documents.index), Some(Digest::of(manifest))).unwrap();
        let parts = Parts::of(&opened, manifest.len() as u64);
        for (at, file) in files.iter().enumerate() {
            prop_assert!(parts.told(file.digest, file.size).any(|part| part == Part::File(at)));
        }
        prop_assert_eq!(opened.index.unwrap().files(), files);
    }

    #[test]
    fn a_changed_byte_never_opens(packed: bool, in_index: bool, at: prop::sample::Index, bit in 0..8u8) {
        let contents = [("a", b"1".as_slice()), ("b/c", b"22")];
        let documents = if packed { in_packs(&contents) } else { in_files(&tree(&contents)) };
        let pinned = Digest::of(documents.manifest.as_bytes());
        let (mut manifest, mut index) = (documents.manifest.into_bytes(), documents.index);
        let changed = if in_index { &mut index } else { &mut manifest };
        let at = at.index(changed.len());
        changed[at] ^= 1 << bit;
        prop_assert!(open(&manifest, Some(&index), Some(pinned)).is_err());
        // Inspected, it is not read, or the check of that very document says so.
        if let Ok((_, checks)) = inspect(&manifest, Some(&index), Some(pinned)) {
            let subject = if in_index { Subject::Index } else { Subject::Manifest };
            let differs = |check: &Check| check.subject == subject && matches!(check.outcome, Outcome::Differs(_));
            prop_assert!(checks.iter().any(differs), "{:?}", checks);
        }
    }

    #[test]
    fn any_bytes_are_refused_or_read(
        manifest in prop_oneof![any::<Vec<u8>>(), Just(PYTHON_MANIFEST.to_vec())],
        index: Vec<u8>,
    ) {
        if let Ok(opened) = open(&manifest, Some(&index), None) {
            prop_assert_eq!(opened.manifest.config.digest, Digest::of(&index));
        }
    }

    #[test]
    fn a_document_that_is_cut_off_is_not_opened(packed: bool, cut: prop::sample::Index) {
        let documents = if packed { in_packs(&[("a", b"1")]) } else { in_files(&tree(&[("a", b"1")])) };
        let (manifest, index) = (documents.manifest.as_bytes(), documents.index.as_slice());
        prop_assert!(inspect(&manifest[..cut.index(manifest.len())], Some(index), None).is_err());
        prop_assert!(open(manifest, Some(&index[..cut.index(index.len())]), None).is_err());
    }
}

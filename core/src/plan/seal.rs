//! Sealing: from the files whose blobs lie on the remote to the exact bytes of index and manifest.

use thiserror::Error;

use crate::bundle::descriptor::{Annotations, Descriptor, EMPTY_CONTENT, media_type};
use crate::bundle::history::{Ancestor, History};
use crate::bundle::index::{BundleIndex, IndexError};
use crate::bundle::manifest::{MAX_MANIFEST_BYTES, Manifest, PYTHON_READS, annotation};
use crate::bundle::tree::tree_digest;
use crate::digest::Digest;
use crate::file::{ByPath, File};
use crate::pack::chunk_map::ChunkMap;
use crate::pack::table::{Pack, Run};
use crate::plan::layout::Readers;

/// The most layers that are ever written; registries stop at 500.
pub const MAX_LAYERS: usize = 400;

/// Whether a remote takes a blob of no bytes; some refuse one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EmptyBlob {
    /// It does: empty files get their layer, for other tools' sake.
    Taken,
    /// It does not: empty files stand in the index alone.
    Refused,
}

/// What a host reports once every blob of a push lies on the remote.
#[derive(Clone, Debug)]
pub struct SealRequest<'a> {
    /// The files of the new bundle, as they were uploaded.
    pub files: &'a ByPath<File>,
    /// The index of the bundle that it replaces: what it says beyond files is carried over.
    pub replaces: Option<&'a [u8]>,
    /// When, as what and by whom the bundle is made.
    pub origin: Origin<'a>,
    /// Whether the remote takes an empty blob.
    pub empty_blob: EmptyBlob,
}

/// When, as what and by whom a bundle is made.
#[derive(Clone, Copy, Debug)]
pub struct Origin<'a> {
    /// The bundle that it is made from, and what that was made from itself.
    pub parent: Option<(&'a Ancestor, &'a History)>,
    /// What its tag names now.
    pub replaces: Option<Digest>,
    /// Who makes it, where that is said.
    pub author: Option<&'a str>,
    /// Why, where that is said.
    pub message: Option<&'a str>,
    /// The wall clock, as an RFC 3339 time in UTC such as `2026-11-22T07:03:21Z`.
    pub created: &'a str,
    /// The version that the bundle is published as, if it is one.
    pub version: Option<&'a str>,
    /// Name and version of the writing tool.
    pub tool: &'a str,
    /// Which tools read the bundles of the place.
    pub readers: Readers,
}

/// What a host reports once every pack of a push lies on the remote.
#[derive(Clone, Debug)]
pub struct PackedSealRequest<'a> {
    /// The digest of the index as it lies in the repository: what [`packed_index`] wrote, compressed.
    pub index_digest: Digest,
    /// How many bytes that has.
    pub index_size: u64,
    /// The bytes themselves, where they are few enough to travel in the manifest.
    pub index_data: Option<&'a [u8]>,
    /// The packs that the index names.
    pub packs: &'a [Pack],
    /// The tree digest of its files.
    pub tree: Digest,
    /// When, as what and by whom the bundle is made.
    pub origin: Origin<'a>,
}

/// The manifest of a bundle in layout `packed`, to be written after extras and index.
#[must_use]
#[derive(Clone, Debug, PartialEq)]
pub struct SealedManifest {
    /// Its exact bytes.
    pub manifest: String,
    /// Their hash: the bundle's digest.
    pub digest: Digest,
    /// Blobs of no file that must be there too.
    pub extras: Vec<Extra>,
}

/// The documents of a bundle, to be written in this order: extras, index, manifest; then the tag.
#[must_use]
#[derive(Clone, Debug, PartialEq)]
pub struct Sealed {
    /// Blobs of no file that must be there too.
    pub extras: Vec<Extra>,
    /// The exact bytes of the index.
    pub index: String,
    /// Their media type, digest and size.
    pub index_descriptor: Descriptor,
    /// The exact bytes of the manifest.
    pub manifest: String,
    /// Their hash: the bundle's digest.
    pub digest: Digest,
    /// The tree digest.
    pub tree: Digest,
}

/// A small blob that belongs to no file.
#[derive(Clone, Debug, PartialEq)]
pub struct Extra {
    /// Its media type, digest and size.
    pub descriptor: Descriptor,
    /// Its bytes, which are text.
    pub content: String,
}

/// Makes the documents of a bundle in layout `files`. The same files give the same index bytes, whoever pushes.
pub fn seal(request: &SealRequest<'_>) -> Result<Sealed, SealError> {
    request.origin.check()?;
    refuse_nested(request.files)?;
    let index = replaced(request.replaces)?.with_files(request.files).to_json();
    let index_descriptor = Descriptor::of(media_type::INDEX_V1, index.as_bytes());
    let (layers, extras) = file_layers(request.files, request.empty_blob)?;
    let tree = tree_digest(request.files);
    let config = index_descriptor.clone();
    let (manifest, digest) = manifest(config, Some(index.as_bytes()), layers, tree, request.origin)?;
    Ok(Sealed { extras, index, index_descriptor, manifest, digest, tree })
}

/// Writes the index of a bundle in layout `packed`; what `replaces` says beyond files is carried over.
///
/// The text is to be compressed ([`BundleIndex::compress`]), which a component cannot do.
pub fn packed_index(
    files: &ByPath<File>,
    chunk_map: &ChunkMap,
    replaces: Option<&[u8]>,
) -> Result<String, SealError> {
    refuse_nested(files)?;
    let unplaced = || SealError::ChunkMap { files: files.len(), placed: chunk_map.len() };
    let placed = chunk_map.of_files(files).ok_or_else(unplaced)?;
    let is_whole = |(file, runs): &&(&File, &[Run])| (file.size == 0) == runs.is_empty();
    let placed = placed.iter().filter(is_whole).count();
    if placed != files.len() {
        return Err(SealError::ChunkMap { files: files.len(), placed });
    }
    replaced(replaces)?.to_packed_json(files, chunk_map).ok_or_else(unplaced)
}

/// Makes the manifest of a bundle in layout `packed`.
pub fn seal_packed(request: &PackedSealRequest<'_>) -> Result<SealedManifest, SealError> {
    request.origin.check()?;
    let config = Descriptor::new(media_type::INDEX_V2, request.index_digest, request.index_size);
    if request.index_data.is_some_and(|data| {
        (Digest::of(data), data.len() as u64) != (request.index_digest, request.index_size)
    }) {
        return Err(SealError::IndexData { digest: request.index_digest });
    }
    let layer = |pack: &Pack| Descriptor::new(media_type::PACK, pack.digest, pack.size);
    let mut layers: Vec<Descriptor> = request.packs.iter().map(layer).collect();
    if layers.len() > MAX_LAYERS {
        return Err(SealError::TooManyLayers { layers: layers.len() });
    }
    let mut extras = Vec::new();
    if layers.is_empty() {
        layers.push(Descriptor::empty());
        extras.push(Extra::empty());
    }
    let (manifest, digest) = manifest(config, request.index_data, layers, request.tree, request.origin)?;
    Ok(SealedManifest { manifest, digest, extras })
}

fn refuse_nested(files: &ByPath<File>) -> Result<(), SealError> {
    match files.nested().next() {
        Some((folder, below)) => {
            Err(SealError::Nested { folder: folder.to_string(), below: below.to_string() })
        }
        None => Ok(()),
    }
}

fn replaced(index: Option<&[u8]>) -> Result<BundleIndex, SealError> {
    Ok(index.map(BundleIndex::parse).transpose()?.unwrap_or_default())
}

fn manifest(
    config: Descriptor,
    index: Option<&[u8]>,
    layers: Vec<Descriptor>,
    tree: Digest,
    origin: Origin<'_>,
) -> Result<(String, Digest), SealError> {
    let mut annotations = Annotations::from([
        (annotation::CREATED.to_owned(), origin.created.to_owned()),
        (annotation::TOOL.to_owned(), origin.tool.to_owned()),
        (annotation::TREE.to_owned(), tree.to_string()),
    ]);
    let said = [
        (annotation::VERSION, origin.version),
        (annotation::AUTHORS, origin.author),
        (annotation::DESCRIPTION, origin.message),
    ];
    for (key, text) in said.into_iter().filter_map(|(key, text)| Some((key, text?))) {
        annotations.insert(key.to_owned(), text.to_owned());
    }
    let parent = origin.parent.map(|(parent, before)| (parent.clone(), before));
    History::after(parent, origin.replaces).annotate(&mut annotations);
    if origin.readers == Readers::Python {
        annotations.insert(annotation::READERS.to_owned(), PYTHON_READS.to_owned());
    }
    let artifact_type = Some(media_type::BUNDLE.to_owned());
    let mut manifest = Manifest { artifact_type, config, layers, annotations };
    if let Some(index) = index {
        manifest.embed_index(index);
    }
    let manifest = manifest.to_json();
    if manifest.len() > MAX_MANIFEST_BYTES {
        return Err(SealError::ManifestTooLarge { size: manifest.len() });
    }
    let digest = Digest::of(manifest.as_bytes());
    Ok((manifest, digest))
}

impl Origin<'_> {
    fn check(self) -> Result<(), SealError> {
        if is_utc_time(self.created) {
            return Ok(());
        }
        Err(SealError::Created { text: self.created.to_owned() })
    }
}

impl Extra {
    /// The OCI empty descriptor's blob.
    fn empty() -> Self {
        let content = String::from_utf8_lossy(EMPTY_CONTENT).into_owned();
        Self { descriptor: Descriptor::empty(), content }
    }
}

fn file_layers(
    files: &ByPath<File>,
    empty_blob: EmptyBlob,
) -> Result<(Vec<Descriptor>, Vec<Extra>), SealError> {
    let mut layers: Vec<Descriptor> = files
        .iter()
        .filter(|file| file.size > 0 || empty_blob == EmptyBlob::Taken)
        .map(|file| {
            let mut layer = Descriptor::new(media_type::FILE_LAYER, file.digest, file.size);
            layer.annotations.insert(annotation::TITLE.to_owned(), file.path.to_string());
            layer
        })
        .collect();
    if layers.len() > MAX_LAYERS {
        return Err(SealError::TooManyLayers { layers: layers.len() });
    }
    let mut extras = Vec::new();
    if layers.iter().any(|layer| layer.size == 0) {
        extras.push(Extra {
            descriptor: Descriptor::new(media_type::FILE_LAYER, Digest::EMPTY, 0),
            content: String::new(),
        });
    }
    if layers.is_empty() {
        layers.push(Descriptor::empty());
        extras.push(Extra::empty());
    }
    Ok((layers, extras))
}

/// Whether `text` has the shape of an RFC 3339 time in UTC, `YYYY-MM-DDTHH:MM:SS[.fraction]Z`.
fn is_utc_time(text: &str) -> bool {
    let shape = |text: &str, shape: &str| {
        text.len() == shape.len()
            && text
                .bytes()
                .zip(shape.bytes())
                .all(|(b, s)| if s == b'0' { b.is_ascii_digit() } else { b == s })
    };
    let Some(text) = text.strip_suffix('Z') else {
        return false;
    };
    let (seconds, fraction) =
        text.split_once('.').map_or((text, None), |(seconds, rest)| (seconds, Some(rest)));
    let is_fraction = fraction
        .is_none_or(|digits| (1..=9).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_digit()));
    shape(seconds, "0000-00-00T00:00:00") && is_fraction
}

/// Why a bundle cannot be sealed.
#[derive(Debug, Error)]
pub enum SealError {
    /// The clock was not given as RFC 3339 in UTC.
    #[error("`{}` is not an RFC 3339 time in UTC", text.escape_default())]
    Created {
        /// What was given.
        text: String,
    },
    /// The bytes of the index are not those that its digest and size name.
    #[error("the bytes of the index are not {digest}")]
    IndexData {
        /// What was said of them.
        digest: Digest,
    },
    /// The manifest would be larger than registries take.
    #[error("the manifest would have {size} bytes, and registries stop at {MAX_MANIFEST_BYTES}")]
    ManifestTooLarge {
        /// Its size in bytes.
        size: usize,
    },
    /// One path is the folder of another.
    #[error("`{folder}` is a file, and `{below}` would need it to be a folder")]
    Nested {
        /// The file.
        folder: String,
        /// The path below it.
        below: String,
    },
    /// Not every file has a place, or there are more places than files.
    #[error("{placed} of {files} files have a place")]
    ChunkMap {
        /// How many files there are.
        files: usize,
        /// How many places.
        placed: usize,
    },
    /// The index that is replaced cannot be read.
    #[error("the index of the bundle that is replaced cannot be read")]
    Replaces(#[from] IndexError),
    /// Registries would refuse so many layers.
    #[error(
        "a layer would be needed for each of {layers} files or packs, and registries take {MAX_LAYERS} safely"
    )]
    TooManyLayers {
        /// How many it would need.
        layers: usize,
    },
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::bundle::index::check_layers;
    use crate::bundle::tree::tests::any_tree;
    use crate::pack::table::{Run, TableRef};

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

    #[test]
    fn that_the_python_tool_reads_is_said_to_the_next_push() {
        let files = ByPath::default();
        for readers in [Readers::Ours, Readers::Python] {
            let sealed =
                seal(&SealRequest { origin: Origin { readers, ..ORIGIN }, ..request(&files) }).unwrap();
            assert_eq!(Manifest::parse(sealed.manifest.as_bytes()).unwrap().readers(), readers);
        }
        let by_python = Manifest {
            artifact_type: None,
            config: Descriptor::of(media_type::INDEX_V1, b"{}"),
            layers: Vec::new(),
            annotations: Annotations::new(),
        };
        assert_eq!(by_python.readers(), Readers::Python);
    }

    fn request(files: &ByPath<File>) -> SealRequest<'_> {
        SealRequest { files, replaces: None, origin: ORIGIN, empty_blob: EmptyBlob::Taken }
    }

    /// A pack in which every distinct file of a tree is one chunk.
    fn placed(files: &ByPath<File>) -> ChunkMap {
        let mut distinct: Vec<&File> = files.iter().collect();
        distinct.sort_by_key(|file| file.digest);
        distinct.dedup_by_key(|file| file.digest);
        let (digest, offset) = (Digest::of(b"pack"), distinct.len() as u64);
        let toc = TableRef { offset, size: 16 * offset, digest };
        let pack = Pack { digest, size: 17 * offset, chunks: distinct.len() as u32, raw: offset, toc };
        let mut chunk_map = ChunkMap::new(if distinct.is_empty() { vec![] } else { vec![pack] });
        for file in files {
            let at = distinct.binary_search_by_key(&file.digest, |file| file.digest).unwrap();
            chunk_map.push(&[Run { pack: 0, first: at as u32, count: 1 }]);
        }
        chunk_map
    }

    fn packed_request<'a>(index: &'a [u8], packs: &'a [Pack], tree: Digest) -> PackedSealRequest<'a> {
        let (index_digest, index_size) = (Digest::of(index), index.len() as u64);
        PackedSealRequest { index_digest, index_size, index_data: Some(index), packs, tree, origin: ORIGIN }
    }

    #[test]
    fn an_empty_packed_bundle_has_the_empty_layer() {
        let index = packed_index(&ByPath::default(), &ChunkMap::default(), None).unwrap();
        let stored = BundleIndex::compress(&index).unwrap();
        let tree = tree_digest(&ByPath::default());
        let sealed = seal_packed(&packed_request(&stored, &[], tree));
        let sealed = sealed.unwrap();
        let manifest = Manifest::parse(sealed.manifest.as_bytes()).unwrap();
        assert_eq!(manifest.layers, [Descriptor::empty()]);
        assert_eq!(sealed.extras[0].descriptor, Descriptor::empty());
    }

    #[test]
    fn every_file_must_have_a_place() {
        let files = ByPath::new(vec![file("a", b"x")]).unwrap();
        let refused = packed_index(&files, &ChunkMap::default(), None);
        assert!(matches!(refused, Err(SealError::ChunkMap { files: 1, placed: 0 })));
        let mut without_chunks = ChunkMap::default();
        without_chunks.push(&[]);
        let refused = packed_index(&files, &without_chunks, None);
        assert!(matches!(refused, Err(SealError::ChunkMap { files: 1, placed: 0 })));
        let empty = ByPath::new(vec![file("a", b"")]).unwrap();
        assert!(packed_index(&empty, &without_chunks, None).is_ok());
        without_chunks.push(&[]);
        let refused = packed_index(&files, &without_chunks, None);
        assert!(matches!(refused, Err(SealError::ChunkMap { files: 1, placed: 2 })));
    }

    fn file(path: &str, content: &[u8]) -> File {
        let path = path.parse().unwrap();
        File { path, digest: Digest::of(content), size: content.len() as u64, executable: Some(false) }
    }

    #[test]
    fn a_bundle_tells_what_it_was_made_from_and_by_whom() {
        let files = ByPath::new(vec![file("a", b"x")]).unwrap();
        let first = seal(&request(&files)).unwrap();
        let view = Manifest::parse(first.manifest.as_bytes()).unwrap();
        let (parent, before) = (
            Ancestor::of_manifest(first.digest, &view.annotations),
            History::of_annotations(&view.annotations),
        );
        let replaced = Digest::of(b"other");
        let origin = Origin {
            parent: Some((&parent, &before)),
            replaces: Some(replaced),
            author: Some("Ada"),
            message: Some("why\nand more"),
            ..ORIGIN
        };
        let second = seal(&SealRequest { origin, ..request(&files) }).unwrap();
        assert_eq!(second.index, first.index, "no history in an index");
        let annotations = Manifest::parse(second.manifest.as_bytes()).unwrap().annotations;
        let history = History::of_annotations(&annotations);
        assert_eq!((history.digests(), history.replaces), (vec![first.digest], Some(replaced)));
        let described = Ancestor::of_manifest(second.digest, &annotations);
        assert_eq!((described.author.as_deref(), described.message.as_deref()), (Some("Ada"), Some("why")));
        assert_eq!(described.tree, Some(second.tree));
    }

    #[test]
    fn an_empty_bundle_has_the_empty_layer() {
        let sealed = seal(&request(&ByPath::default())).unwrap();
        let manifest = Manifest::parse(sealed.manifest.as_bytes()).unwrap();
        assert_eq!(manifest.layers, [Descriptor::empty()]);
        assert_eq!(sealed.extras[0].content, "{}");
    }

    #[test]
    fn an_empty_file_has_a_layer_where_the_remote_takes_one() {
        let files = ByPath::new(vec![file("nil", b""), file("x", b"x")]).unwrap();
        let taken = seal(&request(&files)).unwrap();
        assert_eq!(Manifest::parse(taken.manifest.as_bytes()).unwrap().layers.len(), 2);
        assert_eq!(taken.extras.len(), 1);
        let refused = seal(&SealRequest { empty_blob: EmptyBlob::Refused, ..request(&files) }).unwrap();
        assert_eq!(Manifest::parse(refused.manifest.as_bytes()).unwrap().layers.len(), 1);
        assert_eq!((refused.extras.len(), &refused.index), (0, &taken.index));
    }

    #[test]
    fn stops_before_registries_do() {
        let files = |count| ByPath::new((0..count).map(|n| file(&format!("f{n}"), b"x")).collect()).unwrap();
        assert!(seal(&request(&files(MAX_LAYERS))).is_ok());
        assert!(matches!(
            seal(&request(&files(MAX_LAYERS + 1))),
            Err(SealError::TooManyLayers { layers: 401 })
        ));
    }

    #[test]
    fn wants_a_clock_in_utc() {
        for (text, is_time) in [
            ("2026-11-22T07:03:21Z", true),
            ("2026-11-22T07:03:21.123456789Z", true),
            ("2026-11-22T07:03:21.Z", false),
            ("2026-11-22T07:03:21+01:00", false),
            ("2026-11-22 07:03:21Z", false),
            ("now", false),
        ] {
            assert_eq!(is_utc_time(text), is_time, "{text}");
        }
    }

    proptest! {
        #[test]
        fn a_sealed_bundle_opens(tree in any_tree()) {
            let sealed = seal(&request(&tree)).unwrap();
            let manifest = Manifest::parse(sealed.manifest.as_bytes()).unwrap();
            prop_assert_eq!(manifest.embedded_index().unwrap().unwrap(), sealed.index.as_bytes());
            let index = BundleIndex::parse(sealed.index.as_bytes()).unwrap();
            prop_assert!(check_layers(&index, &manifest.layers).is_ok());
            prop_assert_eq!(index.files(), tree.clone());
            prop_assert_eq!(manifest.annotations[annotation::TREE].clone(), tree_digest(&tree).to_string());

            let origin = Origin { created: "2027-01-01T00:00:00Z", ..ORIGIN };
            let again = SealRequest { replaces: Some(sealed.index.as_bytes()), origin, ..request(&tree) };
            prop_assert_eq!(seal(&again).unwrap().index, sealed.index, "no clock and no history in an index");
        }

        #[test]
        fn a_packed_bundle_opens(tree in any_tree()) {
            let chunk_map = placed(&tree);
            let index = packed_index(&tree, &chunk_map, None).unwrap();
            let stored = BundleIndex::compress(&index).unwrap();
            let tree_digest = tree_digest(&tree);
            let sealed = seal_packed(&packed_request(&stored, &chunk_map.packs, tree_digest));
            let manifest = Manifest::parse(sealed.unwrap().manifest.as_bytes()).unwrap();
            let embedded = manifest.embedded_index().unwrap().unwrap();
            prop_assert_eq!(&BundleIndex::decompress(&embedded).unwrap(), &index);
            let opened = BundleIndex::parse(index.as_bytes()).unwrap();
            prop_assert!(check_layers(&opened, &manifest.layers).is_ok());
            prop_assert_eq!(opened.files(), tree.clone());
            prop_assert_eq!(opened.chunk_map(), chunk_map);
            prop_assert_eq!(opened.to_json(), index.clone());

            // There and back again, the tree is the same.
            let files = seal(&SealRequest { replaces: Some(index.as_bytes()), ..request(&tree) }).unwrap();
            prop_assert_eq!(files.tree, tree_digest);
            let plain = seal(&request(&tree)).unwrap().index;
            prop_assert_eq!(&files.index, &plain, "nothing is left of the packs");
            prop_assert_eq!(packed_index(&tree, &opened.chunk_map(), Some(plain.as_bytes())).unwrap(), index);
        }
    }
}

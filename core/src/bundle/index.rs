//! The bundle index: which files a bundle holds, and where their bytes lie. It is the config blob of the manifest.
//!
//! Version 1 is layout `files`, a superset of what the Python tool writes; version 2 is layout `packed`, and lies in its
//! repository compressed. Bytes are the truth: an index is read from exact bytes and written to exact bytes, and what
//! this version does not know survives in between.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::{self, Write as _};

use serde::Deserialize;
use serde::de::{self, Deserializer, MapAccess, Visitor};
use serde_json::{Map, Value, json};
use thiserror::Error;

use crate::bundle::descriptor::{ContentId, Descriptor, media_type};
use crate::bundle::layout::Layout;
use crate::canonical::MAX_SAFE_INTEGER;
use crate::canonical::{self, JsonError, ObjectWriter, StrictValue, insert_once, key_order, repeated_key};
use crate::digest::{Digest, DigestError};
use crate::file::{ByPath, File, HasPath};
use crate::name::path::{BundlePath, PathFault};
use crate::pack::chunk::{AVG_CHUNK, CHUNKER, MAX_CHUNK, MIN_CHUNK};
use crate::pack::chunk_map::ChunkMap;
use crate::pack::table::{Pack, PackError, Run};
use crate::pack::zstd::{self, CompressionError};

/// The largest index that is read, in bytes.
pub const MAX_INDEX_BYTES: usize = 256 * 1024 * 1024;

/// How many times as large as its compressed bytes an index may be.
const MAX_RATIO: usize = 1000;

/// Version of the index format in layout `files`.
const VERSION_FILES: &str = "1.0";

/// Version of the index format in layout `packed`.
const VERSION_PACKED: &str = "2.0";

/// The clock that an index does not carry; the Python tool wants to see one.
const NO_CLOCK: &str = "1970-01-01T00:00:00Z";

/// What a bundle holds.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct BundleIndex {
    /// In which form the files lie in the repository.
    pub layout: Layout,
    /// The files, by path.
    pub entries: ByPath<Entry>,
    /// The packs that hold their chunks; none in layout `files`.
    pub packs: Vec<Pack>,
    /// What the index says beyond files: layers, roles, metadata and whatever else, kept as it came.
    pub other: Map<String, Value>,
}

/// One file of a bundle.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// Its path, content and mode.
    pub file: File,
    /// In layout `packed`, the chunks that it is.
    pub runs: Vec<Run>,
    /// What else the index says of it, kept as it came; among it `layer`.
    pub other: Map<String, Value>,
}

impl HasPath for Entry {
    fn path(&self) -> &BundlePath {
        &self.file.path
    }
}

impl BundleIndex {
    /// An index of `files`, saying nothing beyond them.
    pub fn of(files: &ByPath<File>) -> Self {
        Self::default().with_files(files)
    }

    /// The same index with other files, in layout `files`; what it says of a path is kept where the path stays.
    #[must_use]
    pub fn with_files(&self, files: &ByPath<File>) -> Self {
        let entries = files.iter().map(|file| {
            let other = self.known(file).map(|entry| entry.other.clone()).unwrap_or_default();
            Entry { file: file.clone(), runs: Vec::new(), other }
        });
        // `files` is sorted and free of repetitions, so its entries are.
        let entries = ByPath::keeping_first(entries.collect());
        Self { layout: Layout::Files, entries, packs: Vec::new(), other: self.other.clone() }
    }

    /// The text of the same index with other files, in layout `packed`; `chunk_map` says of each of them where its chunks
    /// are, and there is no text where it is about other files.
    pub fn to_packed_json(&self, files: &ByPath<File>, chunk_map: &ChunkMap) -> Option<String> {
        let nothing = Map::new();
        let lines = chunk_map.of_files(files)?.into_iter().map(|(file, runs)| Line {
            file,
            runs,
            other: self.known(file).map_or(&nothing, |entry| &entry.other),
        });
        Some(write_json(Layout::Packed, &chunk_map.packs, &self.other, lines.collect()))
    }

    /// The entry for `file`, if its digest still matches: extra fields of other content do not carry over.
    fn known(&self, file: &File) -> Option<&Entry> {
        self.entries.at(&file.path).filter(|entry| entry.file.digest == file.digest)
    }

    /// Where the chunks of its files are.
    pub fn chunk_map(&self) -> ChunkMap {
        let mut chunk_map = ChunkMap::new(self.packs.clone());
        self.entries.iter().for_each(|entry| chunk_map.push(&entry.runs));
        chunk_map
    }

    /// Whether it says nothing beyond files that the next index would have to carry over.
    pub fn is_plain(&self) -> bool {
        const WRITTEN: [&str; 3] = ["created", "tool", "version"];
        let is_empty = |value: &Value| value.as_object().is_some_and(Map::is_empty);
        self.entries.iter().all(|entry| entry.other.is_empty())
            && self.other.iter().all(|(key, value)| WRITTEN.contains(&key.as_str()) || is_empty(value))
    }

    /// Reads an index from its exact bytes.
    pub fn parse(json: &[u8]) -> Result<Self, IndexError> {
        if json.len() > MAX_INDEX_BYTES {
            return Err(IndexError::TooLarge { size: json.len() });
        }
        let mut deserializer = serde_json::Deserializer::from_slice(json);
        let raw = RawIndex::deserialize(&mut deserializer)
            .and_then(|raw| deserializer.end().map(|()| raw))
            .map_err(|error| IndexError::Json(error.into()))?;
        raw.check()
    }

    /// The text of an index from its bytes in the repository, whose descriptor says that they are of `media_type`.
    pub fn text(stored: &[u8], media_type: &str) -> Result<String, IndexError> {
        if media_type == media_type::INDEX_V2 {
            return Self::decompress(stored);
        }
        String::from_utf8(stored.to_vec()).map_err(|_| IndexError::NotText)
    }

    /// The text of an index of layout `packed` from its bytes in the repository.
    pub fn decompress(stored: &[u8]) -> Result<String, IndexError> {
        let limit = stored.len().saturating_mul(MAX_RATIO).min(MAX_INDEX_BYTES);
        let text = zstd::decompress_up_to(stored, limit)?;
        String::from_utf8(text).map_err(|_| IndexError::NotText)
    }

    /// The bytes in which the text of an index of layout `packed` lies in the repository.
    #[cfg(not(target_arch = "wasm32"))]
    pub fn compress(text: &str) -> Result<Vec<u8>, CompressionError> {
        let stored = zstd::Compressor::new()?.compress(text.as_bytes())?;
        // What is nearly all repetition, as the runs of a disk image full of zeros are, is not to look like a bomb.
        let is_bomb = text.len() > stored.len().saturating_mul(MAX_RATIO);
        Ok(if is_bomb { zstd::store(text.as_bytes()) } else { stored })
    }

    /// The distinct non-empty blobs that its files need, by digest: their own ones, or packs.
    pub fn blobs(&self) -> Vec<ContentId> {
        let mut blobs: Vec<ContentId> = match self.layout {
            Layout::Files => {
                let file = |entry: &Entry| ContentId { digest: entry.file.digest, size: entry.file.size };
                self.entries.iter().map(file).collect()
            }
            Layout::Packed => {
                self.packs.iter().map(|pack| ContentId { digest: pack.digest, size: pack.size }).collect()
            }
        };
        blobs.retain(|blob| blob.size > 0);
        blobs.sort_unstable();
        blobs.dedup();
        blobs
    }

    /// Its files.
    pub fn files(&self) -> ByPath<File> {
        ByPath::keeping_first(self.entries.iter().map(|entry| entry.file.clone()).collect())
    }

    /// Named lists of texts at `field`, such as `layers` and `roles`; whatever has another shape is left out.
    pub fn groups(&self, field: &str) -> BTreeMap<&str, Vec<&str>> {
        let groups = self.other.get(field).and_then(Value::as_object);
        groups
            .into_iter()
            .flatten()
            .filter_map(|(name, value)| {
                let members: Option<Vec<&str>> = value.as_array()?.iter().map(Value::as_str).collect();
                Some((name.as_str(), members?))
            })
            .collect()
    }

    /// Writes the index: canonical JSON, with neither clock nor version of a tool, so that the same files give the
    /// same bytes, whoever writes them.
    pub fn to_json(&self) -> String {
        let lines = self.entries.iter().map(|Entry { file, runs, other }| Line { file, runs, other });
        write_json(self.layout, &self.packs, &self.other, lines.collect())
    }

    /// The version of the format that its layout needs.
    pub fn version(&self) -> &'static str {
        version_of(self.layout)
    }
}

/// The version of the format in which an index of this layout is written.
pub fn version_of(layout: Layout) -> &'static str {
    match layout {
        Layout::Files => VERSION_FILES,
        Layout::Packed => VERSION_PACKED,
    }
}

/// One file, as it is written.
struct Line<'a> {
    file: &'a File,
    runs: &'a [Run],
    other: &'a Map<String, Value>,
}

fn write_json(
    layout: Layout,
    packs: &[Pack],
    other: &Map<String, Value>,
    mut lines: Vec<Line<'_>>,
) -> String {
    let mut fields = other.clone();
    fields.insert("created".to_owned(), NO_CLOCK.into());
    fields.insert(
        "tool".to_owned(),
        Value::Object(Map::from_iter([("name".to_owned(), "modelops-bundle".into())])),
    );
    fields.insert("version".to_owned(), version_of(layout).into());
    for field in ["layers", "metadata", "roles"] {
        fields.entry(field).or_insert_with(|| Value::Object(Map::new()));
    }
    fields.insert("files".to_owned(), Value::Null);
    if layout == Layout::Packed {
        fields.insert("chunker".to_owned(), chunker());
        fields.insert("packs".to_owned(), Value::Array(packs.iter().map(pack_json).collect()));
    }
    let mut fields: Vec<_> = fields.iter().collect();
    fields.sort_by(|a, b| key_order(a.0, b.0));
    lines.sort_by(|a, b| key_order(a.file.path.as_str(), b.file.path.as_str()));

    // What most lines take, so that the text moves seldom: its path stands in one twice.
    let room = lines.iter().map(|line| 2 * line.file.path.as_str().len() + LINE_BYTES).sum::<usize>();
    let mut json = String::with_capacity(4096 + room);
    let mut object = ObjectWriter::open(&mut json);
    for (key, value) in fields {
        let json = object.key(key);
        match key.as_str() {
            "files" => {
                let mut files = ObjectWriter::open(json);
                for line in &lines {
                    line.write(layout, files.key(line.file.path.as_str()));
                }
                files.close();
            }
            _ => canonical::write_value(json, value),
        }
    }
    object.close();
    json
}

/// What a line takes beside its path.
const LINE_BYTES: usize = 200;

fn chunker() -> Value {
    json!({ "name": CHUNKER, "min": MIN_CHUNK, "avg": AVG_CHUNK, "max": MAX_CHUNK })
}

fn pack_json(pack: &Pack) -> Value {
    let toc = json!({
        "digest": pack.toc.digest.to_string(),
        "offset": pack.toc.offset,
        "size": pack.toc.size,
    });
    json!({
        "chunks": pack.chunks,
        "digest": pack.digest.to_string(),
        "raw": pack.raw,
        "size": pack.size,
        "toc": toc,
    })
}

/// What is always written of a file: the nulls of layout `files` are for the Python tool.
const FIELDS_FILES: &[&str] = &["blobRef", "digest", "executable", "mediaType", "path", "size", "storage"];
const FIELDS_PACKED: &[&str] = &["digest", "executable", "path", "runs", "size", "storage"];

impl Line<'_> {
    fn write(&self, layout: Layout, json: &mut String) {
        let known = match layout {
            Layout::Files => FIELDS_FILES,
            Layout::Packed => FIELDS_PACKED,
        };
        let mut keys = Cow::Borrowed(known);
        if !self.other.is_empty() {
            let keys = keys.to_mut();
            keys.extend(self.other.keys().map(String::as_str).filter(|key| !known.contains(key)));
            keys.sort_by(|a, b| key_order(a, b));
        }
        // A mode that is unknown stays so.
        let is_known = |key: &&&str| self.file.executable.is_some() || **key != "executable";
        let mut object = ObjectWriter::open(json);
        for key in keys.iter().filter(is_known) {
            let json = object.key(key);
            match *key {
                // Writing to a text cannot fail, and there is nothing to escape.
                "digest" => _ = write!(json, "\"{}\"", self.file.digest),
                "executable" => {
                    json.push_str(if self.file.executable == Some(true) { "true" } else { "false" });
                }
                "path" => canonical::write_text(json, self.file.path.as_str()),
                "runs" => write_runs(json, self.runs),
                "size" => write_number(json, self.file.size),
                "storage" => json.push_str(match layout {
                    Layout::Files => "\"oci\"",
                    Layout::Packed => "\"pack\"",
                }),
                key => canonical::write_value(json, self.other.get(key).unwrap_or(&Value::Null)),
            }
        }
        object.close();
    }
}

fn write_runs(json: &mut String, runs: &[Run]) {
    json.push('[');
    for (at, run) in runs.iter().enumerate() {
        json.push_str(if at == 0 { "[" } else { ",[" });
        write_number(json, run.pack.into());
        json.push(',');
        write_number(json, run.first.into());
        json.push(',');
        write_number(json, run.count.into());
        json.push(']');
    }
    json.push(']');
}

fn write_number(json: &mut String, number: u64) {
    json.push_str(itoa::Buffer::new().format(number));
}

/// Checks that everything that holds the files' bytes is among `layers`, with its right size.
pub fn check_layers(index: &BundleIndex, layers: &[Descriptor]) -> Result<(), IndexError> {
    let mut sizes = BTreeMap::new();
    for layer in layers {
        if *sizes.entry(layer.digest).or_insert(layer.size) != layer.size {
            return Err(IndexError::TwoSizes { digest: layer.digest });
        }
    }
    let is_layer = |digest: &Digest, size: u64| sizes.get(digest) == Some(&size);
    if let Some(pack) = index.packs.iter().find(|pack| !is_layer(&pack.digest, pack.size)) {
        return Err(IndexError::PackNotInLayers { digest: pack.digest });
    }
    if index.layout == Layout::Packed {
        return Ok(());
    }
    // An empty file needs no blob.
    let files = index.entries.iter().map(|entry| &entry.file);
    let lost = files.filter(|file| file.size > 0).find(|file| !is_layer(&file.digest, file.size));
    match lost {
        Some(file) => Err(IndexError::NotInLayers { path: file.path.clone() }),
        None => Ok(()),
    }
}

/// Refuses an index whose bytes are not those that its descriptor names.
pub fn check_content(index: &[u8], descriptor: &Descriptor) -> Result<(), IndexError> {
    let (expected, found) = (descriptor.content(), ContentId::of(index));
    if expected == found { Ok(()) } else { Err(IndexError::Content { expected, found }) }
}

/// Why an index cannot be taken.
#[derive(Debug, Error)]
pub enum IndexError {
    /// Its bytes have another digest or size than its descriptor says.
    #[error("the index's bytes are {found}, its descriptor says {expected}")]
    Content {
        /// What was promised.
        expected: ContentId,
        /// What came.
        found: ContentId,
    },
    /// Its chunks were cut in another way.
    #[error("its chunks were cut in a way that this version does not know")]
    Chunker,
    /// It cannot be decompressed.
    #[error("the index cannot be decompressed")]
    Compression(#[from] CompressionError),
    /// A digest is not one.
    #[error("the digest of `{}` is not one", path.escape_default())]
    Digest {
        /// The file's path, as it came.
        path: String,
        /// What is wrong with it.
        #[source]
        source: DigestError,
    },
    /// An empty file with a digest of something else, or the other way round.
    #[error("`{path}` is said to be empty, and to have a digest of something else")]
    EmptyDigest {
        /// The file.
        path: BundlePath,
    },
    /// It is no JSON, repeats a key, nests too deep, or has a field of another type than the format's.
    #[error("the index is not the JSON of one")]
    Json(#[from] JsonError),
    /// A file's key is not its path.
    #[error("the file `{}` stands under the key `{}`", path.escape_default(), key.escape_default())]
    KeyDiffers {
        /// The key.
        key: String,
        /// The path inside.
        path: String,
    },
    /// A file lacks a field that the format wants.
    #[error("the file `{}` has no `{field}`", key.escape_default())]
    Missing {
        /// The file's key, as it came.
        key: String,
        /// The field.
        field: &'static str,
    },
    /// One path is the folder of another.
    #[error("`{folder}` is a file, and `{below}` would need it to be a folder")]
    Nested {
        /// The file.
        folder: BundlePath,
        /// The path below it.
        below: BundlePath,
    },
    /// A file's blob is not among the manifest's layers, or with another size.
    #[error("the content of `{path}` is not among the manifest's layers with the size that the index says")]
    NotInLayers {
        /// The file.
        path: BundlePath,
    },
    /// It is not UTF-8.
    #[error("the index is not UTF-8")]
    NotText,
    /// What it says of a pack cannot be true.
    #[error(transparent)]
    Pack(#[from] PackError),
    /// A pack is not among the manifest's layers, or with another size.
    #[error("the pack {digest} is not among the manifest's layers with the size that the index says")]
    PackNotInLayers {
        /// The pack.
        digest: Digest,
    },
    /// A path breaks a rule of [`BundlePath`].
    #[error("the path `{}` cannot be in a bundle", path.escape_default())]
    Path {
        /// The path, as it came.
        path: String,
        /// The rule.
        #[source]
        source: PathFault,
    },
    /// The chunks of a file are none that there are, or cannot be so many bytes.
    #[error("the chunks of `{path}` are none that its packs have, or have another size than the file")]
    Runs {
        /// The file.
        path: BundlePath,
    },
    /// A size is greater than JSON holds exactly.
    #[error("the size of `{path}` is greater than 2^53 - 1")]
    Size {
        /// The file.
        path: BundlePath,
    },
    /// A file's storage is of a kind that this version does not read.
    #[error("`{path}` is stored as `{}`, which this version does not read", storage.escape_default())]
    Storage {
        /// The file.
        path: BundlePath,
        /// The kind.
        storage: String,
    },
    /// It is larger than [`MAX_INDEX_BYTES`].
    #[error("the index has {size} bytes, more than {MAX_INDEX_BYTES}")]
    TooLarge {
        /// Its size in bytes.
        size: usize,
    },
    /// One digest comes with two sizes.
    #[error("the digest {digest} comes with two sizes")]
    TwoSizes {
        /// The digest.
        digest: Digest,
    },
    /// The major version is neither 1 nor 2.
    #[error("the index has version `{}`, this version reads 1.x and 2.x", version.escape_default())]
    Version {
        /// The version, as it came.
        version: String,
    },
}

/// An index as JSON has it, before anything in it is believed.
struct RawIndex<'a> {
    version: String,
    chunker: Option<Value>,
    packs: Vec<Pack>,
    files: Vec<(Cow<'a, str>, RawEntry<'a>)>,
    other: Map<String, Value>,
}

/// Texts are borrowed from the index where they hold no escapes: there may be a hundred thousand of each.
#[derive(Default)]
struct RawEntry<'a> {
    path: Option<Cow<'a, str>>,
    digest: Option<Cow<'a, str>>,
    size: Option<u64>,
    storage: Option<Cow<'a, str>>,
    executable: Option<bool>,
    runs: Option<Vec<Run>>,
    other: Map<String, Value>,
}

impl RawIndex<'_> {
    fn check(self) -> Result<BundleIndex, IndexError> {
        let layout = match self.version.split('.').next() {
            Some("1") => Layout::Files,
            Some("2") => Layout::Packed,
            _ => return Err(IndexError::Version { version: self.version }),
        };
        if layout == Layout::Packed && self.chunker != Some(chunker()) {
            return Err(IndexError::Chunker);
        }
        let mut other = self.other;
        let mut packs = self.packs;
        if layout == Layout::Files {
            // Nothing to this version, and perhaps something to another one.
            other.extend(self.chunker.map(|chunker| ("chunker".to_owned(), chunker)));
            packs = Vec::new();
        }
        packs.iter().try_for_each(Pack::check)?;
        let mut seen = BTreeSet::new();
        if let Some(repeated) = packs.iter().find(|pack| !seen.insert(pack.digest)) {
            return Err(PackError { digest: repeated.digest, fault: "it is listed twice" }.into());
        }
        let check = |(key, entry): (Cow<'_, str>, RawEntry<'_>)| entry.check(&key, layout, &packs);
        let entries = self.files.into_iter().map(check).collect::<Result<_, _>>()?;
        // The keys were read once each, and each is its path.
        let entries: ByPath<Entry> = ByPath::new(entries).map_err(|repeated| IndexError::KeyDiffers {
            key: repeated.path.to_string(),
            path: repeated.path.to_string(),
        })?;
        if let Some((folder, below)) = entries.nested().next() {
            return Err(IndexError::Nested { folder: folder.clone(), below: below.clone() });
        }
        let mut sizes = BTreeMap::new();
        for Entry { file, .. } in &entries {
            if *sizes.entry(file.digest).or_insert(file.size) != file.size {
                return Err(IndexError::TwoSizes { digest: file.digest });
            }
        }
        Ok(BundleIndex { layout, entries, packs, other })
    }
}

/// Whether a file of `size` bytes can be these runs.
fn fits(runs: &[Run], size: u64, packs: &[Pack]) -> bool {
    let mut chunks = 0_u64;
    for run in runs {
        let Some(pack) = packs.get(run.pack as usize) else { return false };
        if run.count == 0 || u64::from(run.first) + u64::from(run.count) > pack.chunks.into() {
            return false;
        }
        chunks += u64::from(run.count);
    }
    // Only the last chunk of a file is smaller than `MIN_CHUNK`: more chunks than that would only cost memory.
    let least = chunks.saturating_sub(1).saturating_mul(MIN_CHUNK as u64).saturating_add(chunks.min(1));
    (least..=chunks.saturating_mul(MAX_CHUNK as u64)).contains(&size)
}

impl RawEntry<'_> {
    fn check(self, key: &str, layout: Layout, packs: &[Pack]) -> Result<Entry, IndexError> {
        let missing = |field| IndexError::Missing { key: key.to_owned(), field };
        let digest = self.digest.ok_or_else(|| missing("digest"))?;
        let size = self.size.ok_or_else(|| missing("size"))?;
        let storage = self.storage.ok_or_else(|| missing("storage"))?;
        match self.path {
            Some(path) if path == key => {}
            Some(path) => {
                return Err(IndexError::KeyDiffers { key: key.to_owned(), path: path.into_owned() });
            }
            None => return Err(missing("path")),
        }
        let digest: Digest = match digest.parse() {
            Ok(digest) => digest,
            Err(source) => return Err(IndexError::Digest { path: key.to_owned(), source }),
        };
        let path = match key.parse::<BundlePath>() {
            Ok(path) => path,
            Err(source) => return Err(IndexError::Path { path: key.to_owned(), source }),
        };
        if size > MAX_SAFE_INTEGER {
            return Err(IndexError::Size { path });
        }
        if (size == 0) != (digest == Digest::EMPTY) {
            return Err(IndexError::EmptyDigest { path });
        }
        let is_known = match layout {
            Layout::Files => storage == "oci",
            Layout::Packed => storage == "pack",
        };
        if !is_known {
            return Err(IndexError::Storage { path, storage: storage.into_owned() });
        }
        let runs = self.runs.unwrap_or_default();
        if layout == Layout::Packed && !fits(&runs, size, packs) {
            return Err(IndexError::Runs { path });
        }
        let file = File { path, digest, size, executable: self.executable };
        Ok(Entry { file, runs, other: self.other })
    }
}

impl<'de> Deserialize<'de> for RawIndex<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(RawIndexVisitor)
    }
}

struct RawIndexVisitor;

impl<'de> Visitor<'de> for RawIndexVisitor {
    type Value = RawIndex<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the object of a bundle index")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<RawIndex<'de>, A::Error> {
        let (mut version, mut files, mut other) = (None, None, Map::new());
        let (mut chunker, mut packs) = (None, None);
        while let Some(key) = fields.next_key::<String>()? {
            match key.as_str() {
                "version" => set_once(&mut version, "version", fields.next_value()?)?,
                "files" => set_once(&mut files, "files", fields.next_value::<RawFiles>()?.0)?,
                "chunker" => set_once(&mut chunker, "chunker", fields.next_value::<StrictValue>()?.0)?,
                "packs" => set_once(&mut packs, "packs", fields.next_value()?)?,
                _ => insert_once(&mut other, key, &mut fields)?,
            }
        }
        Ok(RawIndex {
            version: version.ok_or_else(|| de::Error::missing_field("version"))?,
            chunker,
            packs: packs.unwrap_or_default(),
            files: files.ok_or_else(|| de::Error::missing_field("files"))?,
            other,
        })
    }
}

fn set_once<T, E: de::Error>(field: &mut Option<T>, name: &str, value: T) -> Result<(), E> {
    if field.replace(value).is_some() {
        return Err(repeated_key(name));
    }
    Ok(())
}

/// A text that borrows from the input where it holds no escapes.
#[derive(Deserialize)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

/// The object `files`, in the order in which it came.
struct RawFiles<'a>(Vec<(Cow<'a, str>, RawEntry<'a>)>);

impl<'de> Deserialize<'de> for RawFiles<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(RawFilesVisitor)
    }
}

struct RawFilesVisitor;

impl<'de> Visitor<'de> for RawFilesVisitor {
    type Value = RawFiles<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object of files by path")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<RawFiles<'de>, A::Error> {
        let mut files: Vec<(Cow<'de, str>, RawEntry<'de>)> = Vec::new();
        while let Some((Text(key), file)) = fields.next_entry::<Text<'de>, _>()? {
            files.push((key, file));
        }
        // Sorting shows a repeated key without a second copy of every path.
        if !files.is_sorted_by(|a, b| a.0 < b.0) {
            files.sort_by(|a, b| a.0.cmp(&b.0));
            let mut pairs = files.iter().zip(files.iter().skip(1));
            if let Some(((repeated, _), _)) = pairs.find(|((one, _), (next, _))| one == next) {
                return Err(repeated_key(repeated));
            }
        }
        Ok(RawFiles(files))
    }
}

/// The fields of a file that this version knows; reading one takes no allocation.
enum Field {
    Path,
    Digest,
    Size,
    Storage,
    Executable,
    Runs,
    Other(String),
}

impl<'de> Deserialize<'de> for Field {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_identifier(FieldVisitor)
    }
}

struct FieldVisitor;

impl Visitor<'_> for FieldVisitor {
    type Value = Field;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a field of a file")
    }

    fn visit_str<E>(self, name: &str) -> Result<Field, E> {
        Ok(match name {
            "path" => Field::Path,
            "digest" => Field::Digest,
            "size" => Field::Size,
            "storage" => Field::Storage,
            "executable" => Field::Executable,
            "runs" => Field::Runs,
            _ => Field::Other(name.to_owned()),
        })
    }
}

impl<'de> Deserialize<'de> for RawEntry<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(RawEntryVisitor)
    }
}

struct RawEntryVisitor;

impl<'de> Visitor<'de> for RawEntryVisitor {
    type Value = RawEntry<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the object of a file")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<RawEntry<'de>, A::Error> {
        let mut entry = RawEntry::default();
        while let Some(field) = fields.next_key()? {
            match field {
                Field::Path => set_once(&mut entry.path, "path", fields.next_value::<Text<'de>>()?.0)?,
                Field::Digest => set_once(&mut entry.digest, "digest", fields.next_value::<Text<'de>>()?.0)?,
                Field::Size => set_once(&mut entry.size, "size", fields.next_value()?)?,
                Field::Storage => {
                    set_once(&mut entry.storage, "storage", fields.next_value::<Text<'de>>()?.0)?;
                }
                Field::Executable => set_once(&mut entry.executable, "executable", fields.next_value()?)?,
                Field::Runs => set_once(&mut entry.runs, "runs", fields.next_value()?)?,
                // Two fields that the Python tool always writes, and that mean nothing where they are null.
                Field::Other(name) => {
                    let StrictValue(value) = fields.next_value()?;
                    if value.is_null() && matches!(name.as_str(), "mediaType" | "blobRef") {
                        continue;
                    }
                    if entry.other.contains_key(&name) {
                        return Err(repeated_key(&name));
                    }
                    entry.other.insert(name, value);
                }
            }
        }
        Ok(entry)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::bundle::tree::tests::any_tree;
    use crate::bundle::tree::tree_digest;
    use crate::canonical::tests::any_json;

    #[test]
    fn the_blobs_of_an_index_are_its_distinct_contents_without_the_empty_one() {
        let file = |path: &str, content: &str| File {
            path: path.parse().unwrap(),
            digest: Digest::of(content.as_bytes()),
            size: content.len() as u64,
            executable: None,
        };
        let files =
            ByPath::tree(vec![file("a", "1"), file("b", ""), file("c", "1"), file("d", "22")]).unwrap();
        let mut expected = vec![ContentId::of(b"1"), ContentId::of(b"22")];
        expected.sort_unstable();
        assert_eq!(BundleIndex::of(&files).blobs(), expected);
    }

    #[test]
    fn other_bytes_than_the_descriptor_names_are_refused() {
        let descriptor = Descriptor::of(media_type::INDEX_V1, b"{}");
        assert!(check_content(b"{}", &descriptor).is_ok());
        for other in [&b"{ }"[..], b"[]"] {
            let refused = check_content(other, &descriptor);
            assert!(
                matches!(refused, Err(IndexError::Content { found, .. }) if found == ContentId::of(other))
            );
        }
    }

    /// An index as the Python tool writes it.
    const PYTHON: &str = include_str!("../../../tests/fixtures/python-bundle/config.json");

    fn index_of(files: &str) -> Result<BundleIndex, IndexError> {
        BundleIndex::parse(format!(r#"{{"version":"1.0","files":{{{files}}}}}"#).as_bytes())
    }

    fn entry(path: &str) -> String {
        let digest = Digest::of(b"x");
        format!(r#""{path}":{{"path":"{path}","digest":"{digest}","size":1,"storage":"oci"}}"#)
    }

    #[test]
    fn reads_what_the_python_tool_writes() {
        let index = BundleIndex::parse(PYTHON.as_bytes()).unwrap();
        let files = index.files();
        assert_eq!(files.len(), 5);
        assert_eq!(files[0].path.as_str(), "README.md");
        assert_eq!((files[0].size, files[0].executable), (14, None));
    }

    #[test]
    fn writes_known_bytes() {
        let read = index_of(&entry("a/ü.txt")).unwrap();
        let digest = Digest::of(b"x");
        for (mode, executable) in
            [(None, ""), (Some(true), "\"executable\":true,"), (Some(false), "\"executable\":false,")]
        {
            let file = File { executable: mode, ..read.entries[0].file.clone() };
            let index = read.with_files(&ByPath::new(vec![file]).unwrap());
            let expected = format!(
                "{{\"created\":\"1970-01-01T00:00:00Z\",\"files\":{{\"a/ü.txt\":{{\"blobRef\":null,\"digest\":\"{digest}\",\
                 {executable}\"mediaType\":null,\"path\":\"a/ü.txt\",\"size\":1,\"storage\":\"oci\"}}}},\
                 \"layers\":{{}},\"metadata\":{{}},\"roles\":{{}},\"tool\":{{\"name\":\"modelops-bundle\"}},\
                 \"version\":\"1.0\"}}"
            );
            assert_eq!(index.to_json(), expected);
        }
    }

    #[test]
    fn unknown_fields_survive_a_rewrite() {
        let digest = Digest::of(b"x");
        let json = format!(
            r#"{{"version":"1.7","files":{{"a":{{"path":"a","digest":"{digest}","size":1,"storage":"oci","new":{{"x":[1]}}}}}},
                "roles":{{"all":["code"]}},"metadata":{{"who":"me"}},"later":true}}"#
        );
        let index = BundleIndex::parse(json.as_bytes()).unwrap();
        assert_eq!(index.groups("roles"), BTreeMap::from([("all", vec!["code"])]));
        let again = BundleIndex::parse(index.to_json().as_bytes()).unwrap();
        assert_eq!(again.entries, index.entries);
        assert_eq!(again.other["later"], true);
        assert_eq!(again.other["metadata"]["who"], "me");
        assert_eq!(again.entries[0].other["new"]["x"][0], 1);

        let changed = File { digest: Digest::of(b"y"), ..index.entries[0].file.clone() };
        let changed = index.with_files(&ByPath::new(vec![changed]).unwrap());
        assert!(changed.entries[0].other.is_empty(), "what was said of the old content");
        assert_eq!(changed.other["later"], true);
    }

    #[test]
    fn refuses_hostile_indexes() {
        let digest = Digest::of(b"x");
        let with = |fields: &str| format!(r#""a":{{{fields}}}"#);
        let full = |digest: &str, size: &str, storage: &str| {
            with(&format!(r#""path":"a","digest":"{digest}","size":{size},"storage":"{storage}""#))
        };
        let good = digest.to_string();
        for (files, expected) in [
            (entry("../evil"), "cannot be in a bundle"),
            (entry("/abs"), "cannot be in a bundle"),
            (entry("a\\\\b"), "cannot be in a bundle"),
            (entry(".git/config"), "cannot be in a bundle"),
            (format!("{},{}", entry("a"), entry("a")), "not the JSON of one"),
            (format!("{},{}", entry("a"), entry("a/b")), "would need it to be a folder"),
            (format!("{},{},{}", entry("a"), entry("a-b"), entry("a/b")), "would need it to be a folder"),
            (
                with(&format!(r#""path":"b","digest":"{digest}","size":1,"storage":"oci""#)),
                "stands under the key",
            ),
            (with(r#""path":"a","size":1,"storage":"oci""#), "has no `digest`"),
            (with(&format!(r#""path":"a","digest":"{digest}","size":1,"size":1,"storage":"oci""#)), "JSON"),
            (full("sha256:../../x", "1", "oci"), "digest of `a` is not one"),
            (full(&good.to_uppercase(), "1", "oci"), "digest of `a` is not one"),
            (full("md5:00", "1", "oci"), "digest of `a` is not one"),
            (full(&good, "-1", "oci"), "JSON"),
            (full(&good, "1.5", "oci"), "JSON"),
            (full(&good, "9223372036854775807", "oci"), "greater than"),
            (full(&good, "0", "oci"), "said to be empty"),
            (full(&good, "1", "pack"), "does not read"),
            (full(&good, "1", "../x"), "does not read"),
        ] {
            let error = index_of(&files).unwrap_err().to_string();
            assert!(error.contains(expected), "{files}: {error}");
        }
        let two_sizes = format!(
            r#""a":{{"path":"a","digest":"{digest}","size":1,"storage":"oci"}},"b":{{"path":"b","digest":"{digest}","size":2,"storage":"oci"}}"#
        );
        assert!(matches!(index_of(&two_sizes), Err(IndexError::TwoSizes { .. })));
        for json in [
            r#"{"version":"3.0","files":{}}"#,
            r#"{"version":"10.0","files":{}}"#,
            r#"{"version":"","files":{}}"#,
        ] {
            assert!(matches!(BundleIndex::parse(json.as_bytes()), Err(IndexError::Version { .. })));
        }
        let nested = format!(r#"{{"version":"1.0","files":{{}},"x":{}"#, "[".repeat(10_000_000));
        assert!(matches!(BundleIndex::parse(nested.as_bytes()), Err(IndexError::Json(_))));
    }

    #[test]
    fn blobs_must_be_among_the_layers() {
        let index = index_of(&entry("a")).unwrap();
        let layer = |size| Descriptor::new("x", Digest::of(b"x"), size);
        assert!(check_layers(&index, &[layer(1)]).is_ok());
        assert!(matches!(check_layers(&index, &[]), Err(IndexError::NotInLayers { .. })));
        assert!(matches!(check_layers(&index, &[layer(2)]), Err(IndexError::NotInLayers { .. })));
        assert!(matches!(check_layers(&index, &[layer(1), layer(2)]), Err(IndexError::TwoSizes { .. })));
    }

    #[test]
    fn a_packed_index_says_where_chunks_are() {
        let digest = Digest::of(b"x");
        let chunker = chunker();
        let index = |chunker: &Value, pack: &str, fields: &str| {
            let json = format!(
                r#"{{"version":"2.0","chunker":{chunker},"packs":[{{"digest":"{digest}","size":45,"chunks":2,{pack}
                    "toc":{{"offset":5,"size":40,"digest":"{digest}"}}}}],"files":{{"a":{{"path":"a","digest":"{digest}",
                    {fields}}}}}}}"#
            );
            BundleIndex::parse(json.as_bytes())
        };
        let pack = r#""raw":300000,"#;
        let good = r#""size":300000,"storage":"pack","runs":[[0,0,2]]"#;
        let read = index(&chunker, pack, good).unwrap();
        assert_eq!((read.layout, read.entries[0].runs.len()), (Layout::Packed, 1));
        assert!(
            BundleIndex::parse(read.to_json().as_bytes()).unwrap()
                == BundleIndex {
                    other: BundleIndex::parse(read.to_json().as_bytes()).unwrap().other,
                    ..read.clone()
                }
        );
        assert!(check_layers(&read, &[Descriptor::new("x", digest, 45)]).is_ok());
        assert!(matches!(check_layers(&read, &[]), Err(IndexError::PackNotInLayers { .. })));

        for runs in ["[[1,0,1]]", "[[0,1,2]]", "[[0,0,0]]", "[[0,0,1]]", "[]", "[[0,4294967295,2]]"] {
            let fields = format!(r#""size":300000,"storage":"pack","runs":{runs}"#);
            assert!(matches!(index(&chunker, pack, &fields), Err(IndexError::Runs { .. })), "{runs}");
        }
        for runs in ["[[0,0]]", "[[0,0,1,1]]", "[[0,0,-1]]", "[[0,0,4294967296]]", "{}", "[null]"] {
            let fields = format!(r#""size":300000,"storage":"pack","runs":{runs}"#);
            assert!(matches!(index(&chunker, pack, &fields), Err(IndexError::Json(_))), "{runs}");
        }
        // The first of two chunks has `MIN_CHUNK` bytes at least, the last one any number.
        let two_chunks = |size: usize| format!(r#""size":{size},"storage":"pack","runs":[[0,0,2]]"#);
        assert!(matches!(index(&chunker, pack, &two_chunks(MIN_CHUNK)), Err(IndexError::Runs { .. })));
        assert!(index(&chunker, pack, &two_chunks(MIN_CHUNK + 1)).is_ok());
        let blob = r#""size":300000,"storage":"oci","runs":[[0,0,2]]"#;
        assert!(matches!(index(&chunker, pack, blob), Err(IndexError::Storage { .. })));
        assert!(matches!(index(&chunker, r#""raw":1,"#, good), Err(IndexError::Pack(_))));
        for other in [json!(null), json!({}), json!({"name":"fastcdc-2020","min":1,"avg":65536,"max":262144})]
        {
            assert!(matches!(index(&other, pack, good), Err(IndexError::Chunker)), "{other}");
        }
    }

    #[test]
    fn a_bomb_is_not_decompressed() {
        let text = BundleIndex::default().to_json();
        let stored = BundleIndex::compress(&text).unwrap();
        assert_eq!(BundleIndex::decompress(&stored).unwrap(), text);
        let spaces = " ".repeat(10_000_000);
        let bomb = zstd::Compressor::new().unwrap().compress(spaces.as_bytes()).unwrap();
        assert!(matches!(BundleIndex::decompress(&bomb), Err(IndexError::Compression(_))));
        assert!(matches!(BundleIndex::decompress(b"{}"), Err(IndexError::Compression(_))));
        assert_eq!(BundleIndex::decompress(&BundleIndex::compress(&spaces).unwrap()).unwrap(), spaces);
    }

    proptest! {
        #[test]
        fn bytes_are_canonical_and_read_back(tree in any_tree(), extra in any_json()) {
            let mut index = BundleIndex::of(&tree);
            index.other.insert("extra".to_owned(), extra);
            let json = index.to_json();
            let value = canonical::parse(json.as_bytes()).unwrap();
            prop_assert_eq!(canonical::to_string(&value), json.clone());
            let again = BundleIndex::parse(json.as_bytes()).unwrap();
            prop_assert_eq!(again.files(), tree.clone());
            prop_assert_eq!(tree_digest(&again.files()), tree_digest(&tree));
            prop_assert_eq!(again.to_json(), json);
        }
    }
}

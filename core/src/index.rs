//! The bundle index: which files a bundle holds, and where their bytes lie. It is the config blob of the manifest.
//!
//! This is version 1 of it, layout `files`, a superset of what the Python tool writes. Bytes are the truth: an index
//! is read from exact bytes and written to exact bytes, and what this version does not know survives in between.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{self, Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::{Map, Value};
use thiserror::Error;

use crate::canonical::{self, JsonError, ObjectWriter, StrictValue, insert_once, key_order, repeated_key};
use crate::descriptor::{Descriptor, MAX_SAFE_INTEGER};
use crate::digest::{Digest, DigestError};
use crate::path::{BundlePath, PathFault};
use crate::snapshot::{ByPath, File, HasPath};

/// The largest index that is read, in bytes.
pub const MAX_INDEX_BYTES: usize = 256 * 1024 * 1024;

/// Version of the index format that this version writes in layout `files`.
pub const VERSION: &str = "1.0";

/// The clock that an index does not carry; the Python tool wants to see one.
const NO_CLOCK: &str = "1970-01-01T00:00:00Z";

/// What a bundle holds.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct BundleIndex {
    /// The files, by path.
    pub entries: ByPath<Entry>,
    /// What the index says beyond files: layers, roles, metadata and whatever else, kept as it came.
    pub other: Map<String, Value>,
}

/// One file of a bundle.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// Its path, content and mode.
    pub file: File,
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

    /// The same index with other files; what it says of a path is kept where the path stays.
    #[must_use]
    pub fn with_files(&self, files: &ByPath<File>) -> Self {
        let entries = files.iter().map(|file| {
            // What another tool said of a file's content does not hold for new content.
            let known = self.entries.at(&file.path).filter(|entry| entry.file.digest == file.digest);
            Entry { file: file.clone(), other: known.map(|entry| entry.other.clone()).unwrap_or_default() }
        });
        // `files` is sorted and free of repetitions, so its entries are.
        let entries = ByPath::new(entries.collect()).unwrap_or_default();
        Self { entries, other: self.other.clone() }
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

    /// Its files.
    pub fn files(&self) -> ByPath<File> {
        ByPath::new(self.entries.iter().map(|entry| entry.file.clone()).collect()).unwrap_or_default()
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
        let mut fields = self.other.clone();
        fields.insert("created".to_owned(), NO_CLOCK.into());
        fields.insert(
            "tool".to_owned(),
            Value::Object(Map::from_iter([("name".to_owned(), "modelops-bundle".into())])),
        );
        fields.insert("version".to_owned(), VERSION.into());
        for field in ["layers", "metadata", "roles"] {
            fields.entry(field).or_insert_with(|| Value::Object(Map::new()));
        }
        fields.insert("files".to_owned(), Value::Null);
        let mut fields: Vec<_> = fields.iter().collect();
        fields.sort_by(|a, b| key_order(a.0, b.0));

        let mut json = String::with_capacity(256 + 320 * self.entries.len());
        let mut object = ObjectWriter::open(&mut json);
        for (key, value) in fields {
            let json = object.key(key);
            match key.as_str() {
                "files" => self.write_files(json),
                _ => canonical::write_value(json, value),
            }
        }
        object.close();
        json
    }

    fn write_files(&self, json: &mut String) {
        let mut entries: Vec<&Entry> = self.entries.iter().collect();
        entries.sort_by(|a, b| key_order(a.file.path.as_str(), b.file.path.as_str()));
        let mut files = ObjectWriter::open(json);
        for entry in entries {
            entry.write(files.key(entry.file.path.as_str()));
        }
        files.close();
    }
}

impl Entry {
    fn write(&self, json: &mut String) {
        const KNOWN: [&str; 7] = ["blobRef", "digest", "executable", "mediaType", "path", "size", "storage"];
        let mut keys: Vec<&str> = KNOWN.to_vec();
        keys.extend(self.other.keys().map(String::as_str).filter(|key| !KNOWN.contains(key)));
        keys.sort_by(|a, b| key_order(a, b));
        let mut object = ObjectWriter::open(json);
        for key in keys {
            let json = object.key(key);
            match key {
                "digest" => canonical::write_text(json, &self.file.digest.to_string()),
                "executable" => json.push_str(if self.file.executable { "true" } else { "false" }),
                "path" => canonical::write_text(json, self.file.path.as_str()),
                "size" => json.push_str(&self.file.size.to_string()),
                "storage" => json.push_str("\"oci\""),
                _ => canonical::write_value(json, self.other.get(key).unwrap_or(&Value::Null)),
            }
        }
        object.close();
    }
}

/// Checks that every file's bytes are among `layers`, with their right size.
pub fn check_layers(entries: &ByPath<Entry>, layers: &[Descriptor]) -> Result<(), IndexError> {
    let mut sizes = BTreeMap::new();
    for layer in layers {
        if *sizes.entry(layer.digest).or_insert(layer.size) != layer.size {
            return Err(IndexError::TwoSizes { digest: layer.digest });
        }
    }
    // An empty file needs no blob.
    let lost = entries
        .iter()
        .map(|entry| &entry.file)
        .find(|file| file.size > 0 && sizes.get(&file.digest) != Some(&file.size));
    match lost {
        Some(file) => Err(IndexError::NotInLayers { path: file.path.clone() }),
        None => Ok(()),
    }
}

/// Why an index cannot be taken.
#[derive(Debug, Error)]
pub enum IndexError {
    /// Its bytes have another digest or size than its descriptor says.
    #[error("the index's bytes are {found}, its descriptor says {expected}")]
    Content {
        /// Digest and size that were promised.
        expected: String,
        /// Digest and size that came.
        found: String,
    },
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
    /// A path breaks a rule of [`BundlePath`].
    #[error("the path `{}` cannot be in a bundle", path.escape_default())]
    Path {
        /// The path, as it came.
        path: String,
        /// The rule.
        #[source]
        source: PathFault,
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
    /// The major version is not 1.
    #[error("the index has version `{}`, this version reads 1.x", version.escape_default())]
    Version {
        /// The version, as it came.
        version: String,
    },
}

/// An index as JSON has it, before anything in it is believed.
struct RawIndex {
    version: String,
    files: Vec<(String, RawEntry)>,
    other: Map<String, Value>,
}

#[derive(Default)]
struct RawEntry {
    path: Option<String>,
    digest: Option<String>,
    size: Option<u64>,
    storage: Option<String>,
    executable: Option<bool>,
    other: Map<String, Value>,
}

impl RawIndex {
    fn check(self) -> Result<BundleIndex, IndexError> {
        if self.version != "1" && !self.version.starts_with("1.") {
            return Err(IndexError::Version { version: self.version });
        }
        let entries =
            self.files.into_iter().map(|(key, entry)| entry.check(key)).collect::<Result<_, _>>()?;
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
        Ok(BundleIndex { entries, other: self.other })
    }
}

impl RawEntry {
    fn check(self, key: String) -> Result<Entry, IndexError> {
        let missing = |field| IndexError::Missing { key: key.clone(), field };
        let digest = self.digest.ok_or_else(|| missing("digest"))?;
        let size = self.size.ok_or_else(|| missing("size"))?;
        let storage = self.storage.ok_or_else(|| missing("storage"))?;
        match self.path {
            Some(path) if path == key => {}
            Some(path) => return Err(IndexError::KeyDiffers { key, path }),
            None => return Err(missing("path")),
        }
        let digest: Digest = match digest.parse() {
            Ok(digest) => digest,
            Err(source) => return Err(IndexError::Digest { path: key, source }),
        };
        let path = match key.parse::<BundlePath>() {
            Ok(path) => path,
            Err(source) => return Err(IndexError::Path { path: key, source }),
        };
        if size > MAX_SAFE_INTEGER {
            return Err(IndexError::Size { path });
        }
        if (size == 0) != (digest == Digest::EMPTY) {
            return Err(IndexError::EmptyDigest { path });
        }
        if storage != "oci" {
            return Err(IndexError::Storage { path, storage });
        }
        let executable = self.executable.unwrap_or(false);
        Ok(Entry { file: File { path, digest, size, executable }, other: self.other })
    }
}

impl<'de> Deserialize<'de> for RawIndex {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(RawIndexVisitor)
    }
}

struct RawIndexVisitor;

impl<'de> Visitor<'de> for RawIndexVisitor {
    type Value = RawIndex;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the object of a bundle index")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<RawIndex, A::Error> {
        let (mut version, mut files, mut other) = (None, None, Map::new());
        while let Some(key) = fields.next_key::<String>()? {
            match key.as_str() {
                "version" => set_once(&mut version, "version", fields.next_value()?)?,
                "files" => set_once(&mut files, "files", fields.next_value::<RawFiles>()?.0)?,
                _ => insert_once(&mut other, key, &mut fields)?,
            }
        }
        Ok(RawIndex {
            version: version.ok_or_else(|| de::Error::missing_field("version"))?,
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

/// The object `files`, in the order in which it came.
struct RawFiles(Vec<(String, RawEntry)>);

impl<'de> Deserialize<'de> for RawFiles {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(RawFilesVisitor)
    }
}

struct RawFilesVisitor;

impl<'de> Visitor<'de> for RawFilesVisitor {
    type Value = RawFiles;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object of files by path")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<RawFiles, A::Error> {
        let mut files: Vec<(String, RawEntry)> = Vec::new();
        while let Some(file) = fields.next_entry()? {
            files.push(file);
        }
        // Sorting shows a repeated key without a second copy of every path.
        if !files.is_sorted_by(|a, b| a.0 < b.0) {
            files.sort_by(|a, b| a.0.cmp(&b.0));
            if let Some(pair) = files.windows(2).find(|pair| pair[0].0 == pair[1].0) {
                return Err(repeated_key(&pair[0].0));
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
            _ => Field::Other(name.to_owned()),
        })
    }
}

impl<'de> Deserialize<'de> for RawEntry {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(RawEntryVisitor)
    }
}

struct RawEntryVisitor;

impl<'de> Visitor<'de> for RawEntryVisitor {
    type Value = RawEntry;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the object of a file")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<RawEntry, A::Error> {
        let mut entry = RawEntry::default();
        while let Some(field) = fields.next_key()? {
            match field {
                Field::Path => set_once(&mut entry.path, "path", fields.next_value()?)?,
                Field::Digest => set_once(&mut entry.digest, "digest", fields.next_value()?)?,
                Field::Size => set_once(&mut entry.size, "size", fields.next_value()?)?,
                Field::Storage => set_once(&mut entry.storage, "storage", fields.next_value()?)?,
                Field::Executable => set_once(&mut entry.executable, "executable", fields.next_value()?)?,
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
    use crate::canonical::tests::any_json;
    use crate::tree::tests::any_tree;
    use crate::tree::tree_digest;

    /// An index as the Python tool writes it.
    const PYTHON: &str = include_str!("../../tests/fixtures/python-bundle/config.json");

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
        assert_eq!((files[0].size, files[0].executable), (14, false));
    }

    #[test]
    fn writes_known_bytes() {
        let index = index_of(&entry("a/ü.txt")).unwrap();
        let digest = Digest::of(b"x");
        assert_eq!(
            index.to_json(),
            format!(
                "{{\"created\":\"1970-01-01T00:00:00Z\",\"files\":{{\"a/ü.txt\":{{\"blobRef\":null,\"digest\":\"{digest}\",\
                 \"executable\":false,\"mediaType\":null,\"path\":\"a/ü.txt\",\"size\":1,\"storage\":\"oci\"}}}},\
                 \"layers\":{{}},\"metadata\":{{}},\"roles\":{{}},\"tool\":{{\"name\":\"modelops-bundle\"}},\
                 \"version\":\"1.0\"}}"
            )
        );
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
            r#"{"version":"2.0","files":{}}"#,
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
        assert!(check_layers(&index.entries, &[layer(1)]).is_ok());
        assert!(matches!(check_layers(&index.entries, &[]), Err(IndexError::NotInLayers { .. })));
        assert!(matches!(check_layers(&index.entries, &[layer(2)]), Err(IndexError::NotInLayers { .. })));
        assert!(matches!(
            check_layers(&index.entries, &[layer(1), layer(2)]),
            Err(IndexError::TwoSizes { .. })
        ));
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

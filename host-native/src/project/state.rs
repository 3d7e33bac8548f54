//! What the project and its remote last agreed on: `state.json`, as the Python tool writes it and a little more.

use std::borrow::Cow;
use std::fmt;
use std::io::{self, ErrorKind};
use std::path::PathBuf;

use bundle_core::digest::Digest;
use bundle_core::file::{ByPath, SyncedFile};
use bundle_core::name::path::BundlePath;
use bundle_core::name::reference::{Reference, ReferenceError};
use bundle_core::plan::view::View;
use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, Visitor};
use serde::ser::SerializeMap;
use serde::{Deserialize, Serialize, Serializer};
use serde_json::{Map, Value};
use thiserror::Error;

use super::atomic;
use super::folder::{Project, STATE};
use super::own_folder::OwnFolder;
use super::stamp::Stamp;
use super::state_cache::{self, Packed};
use super::tick::{Tick, device};
use crate::whole_file::{self, Links};

/// From which size of the file on, in bytes, what it holds is kept in a form that is read faster.
const WORTH_KEEPING: u64 = 256 << 10;

/// The longest state that is read, in bytes. A file takes a third more in it than in an index.
const MAX_BYTES: u64 = 2 * bundle_core::bundle::index::MAX_INDEX_BYTES as u64;

/// What was last synced, and when.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct State {
    /// The manifest of the last push.
    pub last_push_digest: Option<Digest>,
    /// The manifest of the last pull.
    pub last_pull_digest: Option<Digest>,
    /// Every file as it was then.
    pub last_synced: ByPath<SyncedFile>,
    /// When that became so, in seconds since 1970.
    pub timestamp: f64,
    /// Where it was synced with; unknown where a tool that does not record it wrote the state.
    pub synced_ref: Option<Reference>,
    /// The part of bundles that the project takes part in. It stands beside the files that were last synced, since what of
    /// them is not here would count as deleted without it.
    pub view: View,
    /// Fields that other tools have put there, kept as they are.
    pub other: Map<String, Value>,
    /// The digest of the file that it was read from.
    pub digest: Option<Digest>,
}

impl State {
    /// Reads the state of `project`; one that was never synced has an empty one.
    pub fn read(project: &Project) -> Result<Self, StateError> {
        let file = project.state_file();
        let fault = |source| StateError::Read { file: file.clone(), source };
        let open = match whole_file::open(&file, Links::Refuse) {
            Ok(open) => open,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Self::default()),
            Err(error) => return Err(fault(error)),
        };
        let metadata = open.metadata().map_err(fault)?;
        let stamp = Stamp::of(&metadata);
        let is_large = stamp.size >= WORTH_KEEPING;
        if is_large && let Some(state) = state_cache::read(project, &stamp) {
            return Ok(state);
        }
        let tick = if is_large { Tick::now(project) } else { None };
        let bytes = whole_file::read_open(&open, MAX_BYTES).map_err(fault)?;
        let (state, digest) = rayon::join(|| Self::from_json(&bytes), || Digest::of(&bytes));
        let state = state.map_err(|source| StateError::Parse { file: file.clone(), source })?;
        let state = Self { digest: Some(digest), ..state };
        let is_same = || file.symlink_metadata().is_ok_and(|metadata| Stamp::of(&metadata) == stamp);
        if tick.is_some_and(|tick| tick.is_after(&stamp, device(&metadata)))
            && is_same()
            && let Some(packed) = Packed::of(&state, digest)
        {
            packed.keep(project, &stamp);
        }
        Ok(state)
    }

    /// Replaces the state of `project`.
    pub fn write(&self, project: &Project) -> Result<(), StateError> {
        self.settle(project)?.put(project)
    }

    /// Brings it to the disk, where it waits to replace the state of `project`.
    pub fn settle(&self, project: &Project) -> Result<SettledState, StateError> {
        let file = project.state_file();
        let json = self.to_json().map_err(|source| StateError::Format { source })?;
        let digest = Digest::of(&json);
        let packed = if json.len() as u64 >= WORTH_KEEPING { Packed::of(self, digest) } else { None };
        match OwnFolder::of(project).and_then(|folder| atomic::settle(folder, STATE, &json)) {
            Ok(settled) => Ok(SettledState { settled, file, packed, digest }),
            Err(source) => Err(StateError::Write { file, source }),
        }
    }

    /// The state in the text of its file.
    pub fn from_json(json: &[u8]) -> Result<Self, serde_json::Error> {
        let mut reader = serde_json::Deserializer::from_slice(json);
        let state = reader.deserialize_map(StateVisitor)?;
        reader.end()?;
        Ok(state)
    }

    /// The state as its file holds it.
    pub fn to_json(&self) -> Result<Vec<u8>, serde_json::Error> {
        let mut json = serde_json::to_vec_pretty(&Fields(self))?;
        json.push(b'\n');
        Ok(json)
    }
}

/// A state that waits to replace another.
#[derive(Debug)]
#[must_use = "the state before it still counts"]
pub struct SettledState {
    settled: atomic::Settled,
    file: PathBuf,
    packed: Option<Packed>,
    digest: Digest,
}

impl SettledState {
    /// The digest of its file.
    pub fn digest(&self) -> Digest {
        self.digest
    }

    /// From now on it is that of `project`.
    pub fn put(self, project: &Project) -> Result<(), StateError> {
        let file = self.settled.put().map_err(|source| StateError::Write { file: self.file, source })?;
        if let Some(packed) = self.packed
            && let Ok(metadata) = file.metadata()
            && let stamp = Stamp::of(&metadata)
            && Tick::now(project).is_some_and(|tick| tick.is_after_writing(&stamp, device(&metadata)))
        {
            packed.keep(project, &stamp);
        }
        Ok(())
    }
}

/// Releases up to 0.2 took `oci://x` for the folder `/x` and wrote it down so; no later one writes it.
fn kept_reference(text: &str) -> Result<Reference, ReferenceError> {
    match text.strip_prefix("oci://") {
        Some(folder) => format!("oci:/{}", folder.trim_start_matches('/')).parse(),
        None => text.parse(),
    }
}

struct StateVisitor;

impl<'de> Visitor<'de> for StateVisitor {
    type Value = State;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<State, A::Error> {
        let mut state = State::default();
        let mut files = Vec::new();
        let mut executable: Option<Vec<BundlePath>> = None;
        while let Some(key) = map.next_key::<Cow<'de, str>>()? {
            match key.as_ref() {
                "last_push_digest" => state.last_push_digest = map.next_value()?,
                "last_pull_digest" => state.last_pull_digest = map.next_value()?,
                "last_synced_files" => files = map.next_value_seed(Files)?,
                "last_synced_executable" => executable = map.next_value()?,
                "synced_ref" => {
                    let text: Option<String> = map.next_value()?;
                    state.synced_ref =
                        text.map(|text| kept_reference(&text)).transpose().map_err(A::Error::custom)?;
                }
                "view" => state.view = map.next_value::<Option<View>>()?.unwrap_or_default(),
                "timestamp" => state.timestamp = map.next_value::<Option<f64>>()?.unwrap_or_default(),
                _ => {
                    state.other.insert(key.into_owned(), map.next_value()?);
                }
            }
        }
        if let Some(mut executable) = executable {
            executable.sort_unstable();
            for file in &mut files {
                file.executable = Some(executable.binary_search(&file.path).is_ok());
            }
        }
        state.last_synced = ByPath::new(files).map_err(A::Error::custom)?;
        Ok(state)
    }
}

/// Reads `{path: digest}` straight into a list: a map of its own would cost more than all the rest.
struct Files;

impl<'de> DeserializeSeed<'de> for Files {
    type Value = Vec<SyncedFile>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Vec<SyncedFile>, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Files {
    type Value = Vec<SyncedFile>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object of paths and digests")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Vec<SyncedFile>, A::Error> {
        let mut files = Vec::new();
        while let Some((Text(path), Text(digest))) = map.next_entry::<Text<'de>, Text<'de>>()? {
            let fault = |fault: &dyn fmt::Display| A::Error::custom(format_args!("`{path}`: {fault}"));
            files.push(SyncedFile {
                path: path.parse().map_err(|error| fault(&error))?,
                digest: digest.parse().map_err(|error| fault(&error))?,
                executable: None,
            });
        }
        Ok(files)
    }
}

/// A string that borrows from the input where it holds no escapes.
#[derive(Deserialize)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

struct Fields<'a>(&'a State);

impl Serialize for Fields<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self(state) = self;
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("last_push_digest", &state.last_push_digest)?;
        map.serialize_entry("last_pull_digest", &state.last_pull_digest)?;
        map.serialize_entry("last_synced_files", &Digests(&state.last_synced))?;
        // Absent means unknown, so it is written only when every mode is known.
        if state.last_synced.iter().all(|file| file.executable.is_some()) {
            let executable = state.last_synced.iter().filter(|file| file.executable == Some(true));
            map.serialize_entry(
                "last_synced_executable",
                &executable.map(|file| &file.path).collect::<Vec<_>>(),
            )?;
        }
        if let Some(reference) = &state.synced_ref {
            map.serialize_entry("synced_ref", &reference.to_string())?;
        }
        if !state.view.is_whole() {
            map.serialize_entry("view", &state.view)?;
        }
        map.serialize_entry("timestamp", &state.timestamp)?;
        for (key, value) in &state.other {
            map.serialize_entry(key, value)?;
        }
        map.end()
    }
}

struct Digests<'a>(&'a ByPath<SyncedFile>);

impl Serialize for Digests<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|file| (file.path.as_str(), file.digest)))
    }
}

/// Why the state could not be read or written.
#[derive(Debug, Error)]
pub enum StateError {
    /// The state cannot be put into JSON.
    #[error("cannot write the project's state as JSON")]
    Format {
        /// What the serializer said.
        source: serde_json::Error,
    },
    /// The file does not hold what it should.
    #[error("{} does not hold a project's state", file.display())]
    Parse {
        /// The state's file.
        file: PathBuf,
        /// What is wrong, and where.
        source: serde_json::Error,
    },
    /// The file cannot be read.
    #[error("cannot read {}", file.display())]
    Read {
        /// The state's file.
        file: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The file cannot be written.
    #[error("cannot write {}", file.display())]
    Write {
        /// The state's file.
        file: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    const PYTHON: &str = r#"{
  "last_push_digest": "sha256:60315ee70cedb35cdf231e1affe5636cf21948561753dd3568a6f5d425e3c572",
  "last_pull_digest": null,
  "last_synced_files": {
    "src/model.py": "sha256:c7bf06e43fd6b1fa1a49982a18afa5c871885126d8623ab2cdfb12b2d134be98",
    "README.md": "sha256:60bbe1764c805f6e18cf09d3ba5ffeda4fe8da31a908298f08c68a1527afd7dc"
  },
  "later": {"x": [1]},
  "timestamp": 1795331001.8492029
}"#;

    #[test]
    fn reads_and_rewrites_what_the_python_tool_wrote() {
        let mut state = State::from_json(PYTHON.as_bytes()).unwrap();
        assert_eq!(
            state.last_synced.iter().map(|f| f.path.as_str()).collect::<Vec<_>>(),
            ["README.md", "src/model.py"]
        );
        assert!(state.last_synced.iter().all(|file| file.executable.is_none()));
        assert_eq!((state.last_pull_digest, state.timestamp), (None, 1_795_331_001.849_202_9));
        assert_eq!(State::from_json(&state.to_json().unwrap()).unwrap(), state);
        assert!(!String::from_utf8(state.to_json().unwrap()).unwrap().contains("executable"));

        let mut files = std::mem::take(&mut state.last_synced).into_vec();
        for file in &mut files {
            file.executable = Some(file.path.as_str() == "src/model.py");
        }
        state.last_synced = ByPath::new(files).unwrap();
        assert_eq!(kept_reference("oci://ghcr.io/x:v1").unwrap().to_string(), "oci:/ghcr.io/x:v1");
        assert_eq!(kept_reference("oci:///srv/x").unwrap().to_string(), "oci:/srv/x");
        state.synced_ref = Some("localhost:5000/pyproj:v1".parse().unwrap());
        let again = State::from_json(&state.to_json().unwrap()).unwrap();
        assert_eq!(again, state);
        assert_eq!(again.other["later"]["x"][0], 1);
    }

    #[test]
    fn a_large_state_is_kept_as_it_is_written() {
        let folder = tempfile::TempDir::new().unwrap();
        let project = Project::create(folder.path()).unwrap();
        let file = |at: usize| SyncedFile {
            path: format!("folder/{at:05}").parse().unwrap(),
            digest: Digest::of(&at.to_le_bytes()),
            executable: Some(at.is_multiple_of(2)),
        };
        let last_synced = ByPath::new((0..4000).map(file).collect()).unwrap();
        let state = State { last_synced, timestamp: 1.5, ..State::default() };
        let settled = state.settle(&project).unwrap();
        let state = State { digest: Some(settled.digest()), ..state };
        // By the next tick of the file system's clock at the latest.
        std::thread::sleep(std::time::Duration::from_millis(50));
        settled.put(&project).unwrap();
        let stamp = Stamp::of(&project.state_file().metadata().unwrap());
        assert_eq!(state_cache::read(&project, &stamp).as_ref(), Some(&state));
        assert_eq!(State::read(&project).unwrap(), state);
    }

    #[test]
    fn refuses_what_is_no_state() {
        for (json, fault) in [
            ("[]", "an object"),
            (r#"{"last_synced_files": {"../x": "sha256:0"}}"#, "`../x`: a part of it is `..`"),
            (r#"{"last_synced_files": {"x": "md5"}}"#, "`x`: a digest starts with"),
            (r#"{"last_push_digest": 7}"#, "a string"),
            ("{} x", "trailing"),
        ] {
            let error = State::from_json(json.as_bytes()).unwrap_err().to_string();
            assert!(error.contains(fault), "{json}: {error}");
        }
    }
}

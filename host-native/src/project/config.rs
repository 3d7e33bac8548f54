//! The project's settings: `config.yaml`, with the keys of the Python tool and a few of our own.
//!
//! Keys that are not known here are kept when the file is written. So is the rest of its text, comments and all, as long
//! as a change is one to lines of a plain form; else the file is written anew from its keys.

use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use bundle_core::file::SymlinkPolicy;
use bundle_core::name::reference::{Reference, ReferenceError, Tag};
use bundle_core::plan::layout::LayoutPolicy;
use bundle_core::plan::pull::PullMode;
use bundle_core::plan::storage::StoragePolicy;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use thiserror::Error;

use super::atomic::write_atomically;
use super::folder::{CONFIG, Project};
pub use super::settings::LinkMode;
use super::settings::{SizeFault, parse_size};
use super::yaml_text::with_setting;
use crate::whole_file::{self, Links};

/// The longest settings file that is read, in bytes.
pub const MAX_CONFIG_BYTES: u64 = 1 << 20;

/// How many bytes are kept for `undo` where nothing else is set.
pub const DEFAULT_UNDO_LIMIT: u64 = 2 << 30;

/// The settings of one project.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// The remote; it may lack a tag.
    pub registry_ref: Option<Reference>,
    /// The tag that counts where none is named.
    pub default_tag: Tag,
    /// Where the content store is, if not in the user's cache folder.
    pub cache_dir: Option<PathBuf>,
    /// How files get from the content store into a project.
    pub cache_link_mode: LinkMode,
    /// Which files go to which store.
    pub storage: StoragePolicy,
    /// What a scan does with symbolic links.
    pub symlinks: SymlinkPolicy,
    /// How a push lays out its blobs.
    pub layout: LayoutPolicy,
    /// Which way a pull decides where nothing is said.
    pub pull: PullMode,
    /// Who pushes, where the environment does not say.
    pub author: Option<String>,
    /// How many bytes are kept for `undo`.
    pub undo_limit: u64,
    /// Everything in the file, these settings included.
    keys: Map<String, Value>,
    /// The file that says that.
    text: String,
    /// Whether comments that the file had are not in it any more.
    lost_comments: bool,
}

impl Config {
    /// Reads the settings of `project`; one without a file has the default ones.
    pub fn read(project: &Project) -> Result<Self, ConfigError> {
        let file = project.config_file();
        let fault = |source| ConfigError::Read { file: file.clone(), source };
        match whole_file::read_text(&file, MAX_CONFIG_BYTES, Links::Refuse) {
            Ok(text) => Self::from_yaml(&text, &file),
            Err(error) if error.kind() == ErrorKind::NotFound => Self::from_yaml("", &file),
            Err(error) => Err(fault(error)),
        }
    }

    /// The settings in `text`; `file` is for messages.
    pub fn from_yaml(text: &str, file: &Path) -> Result<Self, ConfigError> {
        let keys: Option<Map<String, Value>> = parse_yaml(text)
            .map_err(|source| ConfigError::Yaml { file: file.to_owned(), source: Box::new(source) })?;
        Self::from_keys(keys.unwrap_or_default(), text.to_owned(), file)
    }

    /// Replaces the settings of `project`.
    pub fn write(&self, project: &Project) -> Result<(), ConfigError> {
        write_atomically(project, CONFIG, self.text.as_bytes())
            .map_err(|source| ConfigError::Write { file: project.config_file(), source })
    }

    /// The settings as their file holds them.
    pub fn to_yaml(&self) -> &str {
        &self.text
    }

    /// Whether a change could not keep the comments that the file had.
    pub fn lost_comments(&self) -> bool {
        self.lost_comments
    }

    /// Whether the file says what the setting at `key` is; `null` and an empty text do not.
    pub fn is_set(&self, key: &str) -> bool {
        self.value(key).is_some_and(|value| !value.is_null() && value.as_str() != Some(""))
    }

    /// The setting at `key`, in which dots lead into nested ones, if the file has it.
    pub fn value(&self, key: &str) -> Option<&Value> {
        let mut parts = key.split('.');
        let first = self.keys.get(parts.next()?)?;
        parts.try_fold(first, |value, part| value.get(part))
    }

    /// Every setting in the file with its dotted key, in the order of the keys.
    pub fn values(&self) -> Vec<(String, &Value)> {
        let mut values = Vec::new();
        list_values("", &self.keys, &mut values);
        values
    }

    /// Changes the setting at `key`, in which dots lead into nested ones, to what `yaml` says.
    ///
    /// Refuses what would leave the settings unreadable. Nothing is written yet.
    pub fn set(&mut self, key: &str, yaml: &str) -> Result<(), SetError> {
        let value = parse_yaml(yaml).map_err(|source| SetError::Value { source: Box::new(source) })?;
        self.set_value(key, value)
    }

    /// Like [`Self::set`], for a value that is none of YAML: a text stays one, whatever it looks like.
    pub fn set_value(&mut self, key: &str, value: Value) -> Result<(), SetError> {
        let mut keys = self.keys.clone();
        let (folders, last) =
            key.rsplit_once('.').map_or((None, key), |(folders, last)| (Some(folders), last));
        let mut map = &mut keys;
        for part in folders.into_iter().flat_map(|folders| folders.split('.')) {
            let below = map.entry(part).or_insert_with(|| Value::Object(Map::new()));
            if below.is_null() {
                *below = Value::Object(Map::new());
            }
            map = below.as_object_mut().ok_or_else(|| SetError::NotNested { key: part.to_owned() })?;
        }
        if key.split('.').any(str::is_empty) {
            return Err(SetError::EmptyKey);
        }
        let path: Vec<&str> = key.split('.').collect();
        let edited = in_one_line(&value).and_then(|line| with_setting(&self.text, &path, Some(&line)));
        map.insert(last.to_owned(), value);
        self.become_keys(keys, edited)
    }

    /// Takes the setting at `key` out of the file, so that its default counts again; a folder that is empty then goes too.
    pub fn unset(&mut self, key: &str) -> Result<(), SetError> {
        let mut keys = self.keys.clone();
        match key.split_once('.') {
            None => _ = keys.remove(key),
            Some((folder, inner)) => {
                if let Some(below) = keys.get_mut(folder).and_then(Value::as_object_mut) {
                    below.remove(inner);
                    if below.is_empty() {
                        keys.remove(folder);
                    }
                }
            }
        }
        let path: Vec<&str> = key.split('.').collect();
        let edited = with_setting(&self.text, &path, None);
        self.become_keys(keys, edited)
    }

    /// Takes other keys, with a text that is `edited` to say them, if it does.
    fn become_keys(&mut self, keys: Map<String, Value>, edited: Option<String>) -> Result<(), SetError> {
        let says_them = |text: &String| {
            parse_yaml::<Option<Map<String, Value>>>(text).is_ok_and(|said| said.unwrap_or_default() == keys)
        };
        let mut lost_comments = self.lost_comments;
        let text = match edited.filter(says_them) {
            Some(text) => text,
            None => {
                lost_comments |= self.text.contains('#');
                // The Python tool reads YAML 1.1, in which `on` is a boolean: the default keeps such words in quotes.
                serde_saphyr::to_string(&keys).map_err(|source| SetError::Format { source })?
            }
        };
        let file = Path::new(super::folder::PROJECT_FOLDER).join("config.yaml");
        let changed = Self::from_keys(keys, text, &file)
            .map_err(|source| SetError::Refused { source: Box::new(source) })?;
        *self = Self { lost_comments, ..changed };
        Ok(())
    }

    fn from_keys(keys: Map<String, Value>, text: String, file: &Path) -> Result<Self, ConfigError> {
        let reader = Reader { keys: &keys, file };
        Ok(Self {
            registry_ref: reader.parsed("registry_ref")?,
            default_tag: match reader.parsed("default_tag")? {
                Some(tag) => tag,
                None => "latest".parse().map_err(|source| reader.reference_fault("default_tag", source))?,
            },
            cache_dir: reader.typed("cache_dir")?,
            cache_link_mode: reader.typed("cache_link_mode")?.unwrap_or_default(),
            storage: reader.nested("storage")?.unwrap_or_default(),
            symlinks: reader.typed("symlinks")?.unwrap_or_default(),
            layout: reader.typed("layout")?.unwrap_or_default(),
            pull: reader.typed("pull")?.map_or_else(PullMode::default, PullSetting::mode),
            author: reader.typed("author")?,
            undo_limit: reader.size("undo_limit")?.unwrap_or(DEFAULT_UNDO_LIMIT),
            keys,
            text,
            lost_comments: false,
        })
    }
}

/// The kinds of pull that can be the usual one.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
enum PullSetting {
    Merge,
    Safe,
    Exact,
}

impl PullSetting {
    fn mode(self) -> PullMode {
        match self {
            Self::Merge => PullMode::Merge,
            Self::Safe => PullMode::Safe,
            Self::Exact => PullMode::Exact,
        }
    }
}

/// A value as one line of YAML, with words that mean something else in YAML 1.1 in quotes.
fn in_one_line(value: &Value) -> Option<String> {
    match value {
        // JSON is YAML.
        Value::Array(_) | Value::Object(_) => serde_json::to_string(value).ok(),
        _ => serde_saphyr::to_string(value).ok().map(|line| line.trim_end().to_owned()),
    }
    .filter(|line| !line.contains('\n'))
}

/// Reads YAML within limits on depth, size and repetition, so that no alias can blow a small file up.
fn parse_yaml<T: DeserializeOwned>(text: &str) -> Result<T, serde_saphyr::Error> {
    serde_saphyr::from_str(text)
}

fn list_values<'a>(prefix: &str, keys: &'a Map<String, Value>, values: &mut Vec<(String, &'a Value)>) {
    for (key, value) in keys {
        match value {
            Value::Object(below) => list_values(&format!("{prefix}{key}."), below, values),
            _ => values.push((format!("{prefix}{key}"), value)),
        }
    }
}

struct Reader<'a> {
    keys: &'a Map<String, Value>,
    file: &'a Path,
}

impl Reader<'_> {
    /// A setting that is one value; `null` and an empty text mean that it is not set.
    fn typed<T: DeserializeOwned>(&self, key: &str) -> Result<Option<T>, ConfigError> {
        let value = self.keys.get(key).unwrap_or(&Value::Null);
        if value.is_null() || value.as_str() == Some("") {
            return Ok(None);
        }
        T::deserialize(value).map(Some).map_err(|source| self.type_fault(key, source))
    }

    /// A setting that is a number of bytes, or one with a unit.
    fn size(&self, key: &str) -> Result<Option<u64>, ConfigError> {
        match self.keys.get(key) {
            Some(Value::String(text)) if !text.is_empty() => {
                let fault =
                    |fault| ConfigError::Size { file: self.file.to_owned(), key: key.to_owned(), fault };
                parse_size(text).map(Some).map_err(fault)
            }
            _ => self.typed(key),
        }
    }

    fn parsed<T: std::str::FromStr<Err = ReferenceError>>(
        &self,
        key: &str,
    ) -> Result<Option<T>, ConfigError> {
        let text: Option<String> = self.typed(key)?;
        text.map(|text| text.parse()).transpose().map_err(|source| self.reference_fault(key, source))
    }

    /// A setting that holds others. Each is tried alone first, so that the message names the one that is wrong.
    fn nested<T: DeserializeOwned>(&self, key: &str) -> Result<Option<T>, ConfigError> {
        let Some(Value::Object(below)) = self.keys.get(key) else {
            return self.typed(key);
        };
        let set: Map<_, _> =
            below.iter().filter(|(_, value)| !value.is_null()).map(|(k, v)| (k.clone(), v.clone())).collect();
        for (inner, value) in &set {
            let alone = Map::from_iter([(inner.clone(), value.clone())]);
            T::deserialize(&Value::Object(alone))
                .map_err(|source| self.type_fault(&format!("{key}.{inner}"), source))?;
        }
        T::deserialize(&Value::Object(set)).map(Some).map_err(|source| self.type_fault(key, source))
    }

    fn type_fault(&self, key: &str, source: serde_json::Error) -> ConfigError {
        ConfigError::Key { file: self.file.to_owned(), key: key.to_owned(), source }
    }

    fn reference_fault(&self, key: &str, source: ReferenceError) -> ConfigError {
        ConfigError::Reference { file: self.file.to_owned(), key: key.to_owned(), source }
    }
}

/// Why settings could not be read or written.
#[derive(Debug, Error)]
pub enum ConfigError {
    /// A setting has a value of another kind than it should.
    #[error("{}: `{key}` has a wrong value", file.display())]
    Key {
        /// The settings file.
        file: PathBuf,
        /// The setting, dotted.
        key: String,
        /// What is wrong.
        source: serde_json::Error,
    },
    /// The file cannot be read.
    #[error("cannot read {}", file.display())]
    Read {
        /// The settings file.
        file: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A setting that should name a bundle or a tag does not.
    #[error("{}: `{key}` has a wrong value", file.display())]
    Reference {
        /// The settings file.
        file: PathBuf,
        /// The setting.
        key: String,
        /// What is wrong.
        source: ReferenceError,
    },
    /// A setting that should be a number of bytes is none.
    #[error("{}: `{key}` has a wrong value: {fault}", file.display())]
    Size {
        /// The settings file.
        file: PathBuf,
        /// The setting.
        key: String,
        /// What is wrong.
        fault: SizeFault,
    },
    /// The file cannot be written.
    #[error("cannot write {}", file.display())]
    Write {
        /// The settings file.
        file: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The file is no YAML, or no mapping.
    #[error("{} does not hold settings in YAML", file.display())]
    Yaml {
        /// The settings file.
        file: PathBuf,
        /// What is wrong, and where.
        source: Box<serde_saphyr::Error>,
    },
}

/// Why a setting could not be changed.
#[derive(Debug, Error)]
pub enum SetError {
    /// The key is empty, or a part of it is.
    #[error("a setting's name, or a part of it, is empty")]
    EmptyKey,
    /// The settings cannot be put into YAML.
    #[error("cannot write the settings as YAML")]
    Format {
        /// What the serializer said.
        source: serde_saphyr::SerializeError,
    },
    /// A part of the key that should hold settings is one.
    #[error("`{key}` is a setting and holds no others")]
    NotNested {
        /// That part.
        key: String,
    },
    /// The settings would not be valid any more.
    #[error("the setting does not take this value")]
    Refused {
        /// Why not.
        source: Box<ConfigError>,
    },
    /// The value is no number of bytes.
    #[error(transparent)]
    Size {
        /// What is wrong.
        fault: SizeFault,
    },
    /// The value is no YAML, or not what the setting takes.
    #[error("the setting does not take this value")]
    Value {
        /// What is wrong.
        source: Box<serde_saphyr::Error>,
    },
}

#[cfg(test)]
mod tests {
    use bundle_core::plan::storage::StorageMode;

    use super::*;

    const PYTHON: &str = "cache_dir: null
cache_link_mode: auto
default_tag: latest
registry_ref: localhost:5000/pyproj
storage:
  container: ''
  force_blob_patterns: []
  force_oci_patterns: []
  mode: oci-only
  prefix: ''
  provider: ''
  threshold_bytes: 52428800
";

    fn parse(text: &str) -> Result<Config, ConfigError> {
        Config::from_yaml(text, Path::new("config.yaml"))
    }

    #[test]
    fn the_python_tools_settings_come_back_the_same() {
        let config = parse(PYTHON).unwrap();
        assert_eq!(config.registry_ref.as_ref().unwrap().to_string(), "localhost:5000/pyproj");
        assert_eq!((config.storage.mode, config.storage.threshold_bytes), (StorageMode::OciOnly, 50 << 20));
        assert_eq!((config.symlinks, config.layout), (SymlinkPolicy::Inside, LayoutPolicy::Auto));
        assert_eq!(config.to_yaml(), PYTHON);
        // Also where every line of it was put there by us.
        let mut written = parse("").unwrap();
        for (key, value) in config.values() {
            written.set_value(&key, value.clone()).unwrap();
        }
        assert_eq!(written.to_yaml(), PYTHON.replace('\'', "\""));
    }

    #[test]
    fn an_empty_file_means_defaults() {
        for text in ["", "# nothing\n", "{}"] {
            let config = parse(text).unwrap();
            assert_eq!((config.registry_ref, config.default_tag.as_str()), (None, "latest"));
            assert_eq!(config.storage, StoragePolicy::default());
        }
    }

    #[test]
    fn settings_change_one_at_a_time() {
        let mut config = parse("later: {a: [1, x]}\nlayers:\n- name: code\n").unwrap();
        config.set("storage.threshold_bytes", "7").unwrap();
        config.set("symlinks", "never").unwrap();
        config.set("registry_ref", "localhost:5000/a/b").unwrap();
        config.set_value("storage.prefix", Value::from("on")).unwrap();
        let again = parse(config.to_yaml()).unwrap();
        assert_eq!(again, config);
        assert_eq!((again.storage.threshold_bytes, again.symlinks), (7, SymlinkPolicy::Never));
        assert_eq!(again.storage.prefix, "on");
        assert_eq!(again.value("later.a").unwrap()[1], "x");
        assert_eq!(again.values().len(), 6);
        assert!(matches!(config.set("symlinks", "sometimes"), Err(SetError::Refused { .. })));
        assert!(matches!(config.set("symlinks.x", "1"), Err(SetError::NotNested { .. })));
        assert!(matches!(config.set("a..b", "1"), Err(SetError::EmptyKey)));
        assert_eq!(again, config);
    }

    #[test]
    fn comments_stay_where_that_is_possible() {
        let mut config = parse("# mine\nlater: x # kept\nstorage:\n  mode: auto # for now\n").unwrap();
        config.set_value("storage.mode", "oci-only".into()).unwrap();
        config.set_value("storage.prefix", "on".into()).unwrap();
        config.unset("later").unwrap();
        assert_eq!(
            (config.to_yaml(), config.lost_comments()),
            ("# mine\nstorage:\n  mode: oci-only # for now\n  prefix: \"on\"\n", false)
        );
        assert!(config.is_set("storage.mode") && !config.is_set("later"));
        config.unset("storage.mode").unwrap();
        config.unset("storage.prefix").unwrap();
        assert_eq!((config.to_yaml(), &config.storage), ("# mine\n", &StoragePolicy::default()));

        let mut config = parse("storage: {mode: auto} # mine\n").unwrap();
        config.set_value("storage.mode", "oci-only".into()).unwrap();
        assert_eq!((config.to_yaml(), config.lost_comments()), ("storage:\n  mode: oci-only\n", true));
        // What looks like another key is not taken for it.
        let mut config = parse("'layout': files\n").unwrap();
        config.set_value("layout", "packed".into()).unwrap();
        assert_eq!((config.layout, config.lost_comments()), (LayoutPolicy::Packed, false));
    }

    #[test]
    fn a_wrong_value_names_its_key() {
        for (text, key) in [
            ("storage: {threshold_bytes: many}", "storage.threshold_bytes"),
            ("storage: 7", "storage"),
            ("symlinks: sometimes", "symlinks"),
            ("registry_ref: https://x/y", "registry_ref"),
            ("default_tag: [a]", "default_tag"),
        ] {
            let error = parse(text).unwrap_err().to_string();
            assert_eq!(error, format!("config.yaml: `{key}` has a wrong value"));
        }
        assert!(matches!(parse("- a"), Err(ConfigError::Yaml { .. })));
        assert!(matches!(parse("a: [1"), Err(ConfigError::Yaml { .. })));
    }

    #[test]
    fn an_alias_bomb_is_refused_quickly() {
        let mut text = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
        for level in 1..12 {
            let below = format!("*a{}, ", level - 1).repeat(10);
            text += &format!("a{level}: &a{level} [{below}]\n");
        }
        assert!(matches!(parse(&text), Err(ConfigError::Yaml { .. })));
    }
}

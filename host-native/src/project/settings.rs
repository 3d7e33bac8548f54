//! The kinds of settings that a project has, and what they are where nothing is set. Their file: [`super::config`].

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::config::{Config, SetError};

/// How files get from the content store into a project.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LinkMode {
    /// The cheapest of the others that is safe and works.
    #[default]
    Auto,
    /// Plain copies.
    Copy,
    /// Further names of the stored file.
    Hardlink,
    /// Copies that share their blocks until one is written.
    Reflink,
    /// Links that point into the store.
    Symlink,
}

/// What a setting takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A number of bytes.
    Bytes,
    /// A text, which may be one of a few words.
    Text,
    /// A list of texts, in YAML.
    Texts,
    /// Lists of texts by name, in YAML; each is a setting too, `KEY.NAME`.
    TextsByName,
}

/// A setting that is known here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Setting {
    /// Its key, in which dots lead into nested ones.
    pub key: &'static str,
    /// What it takes.
    pub kind: Kind,
}

/// Every setting that is known here, by key.
pub const SETTINGS: [Setting; 18] = [
    Setting { key: "author", kind: Kind::Text },
    Setting { key: "cache_dir", kind: Kind::Text },
    Setting { key: "cache_link_mode", kind: Kind::Text },
    Setting { key: "default_tag", kind: Kind::Text },
    Setting { key: "layers", kind: Kind::TextsByName },
    Setting { key: "layout", kind: Kind::Text },
    Setting { key: "pull", kind: Kind::Text },
    Setting { key: "registry_ref", kind: Kind::Text },
    Setting { key: "roles", kind: Kind::TextsByName },
    Setting { key: "storage.container", kind: Kind::Text },
    Setting { key: "storage.force_blob_patterns", kind: Kind::Texts },
    Setting { key: "storage.force_oci_patterns", kind: Kind::Texts },
    Setting { key: "storage.mode", kind: Kind::Text },
    Setting { key: "storage.prefix", kind: Kind::Text },
    Setting { key: "storage.provider", kind: Kind::Text },
    Setting { key: "storage.threshold_bytes", kind: Kind::Bytes },
    Setting { key: "symlinks", kind: Kind::Text },
    Setting { key: "undo_limit", kind: Kind::Bytes },
];

impl Setting {
    /// What a key is of: one of [`SETTINGS`], or an entry of one that has some.
    pub fn find(key: &str) -> Option<Kind> {
        let holder = match key.split_once('.') {
            Some((holder, name)) if !name.is_empty() && !name.contains('.') => Some(holder),
            _ => None,
        };
        SETTINGS.iter().find_map(|setting| match setting.kind {
            kind if setting.key == key => Some(kind),
            Kind::TextsByName if holder == Some(setting.key) => Some(Kind::Texts),
            _ => None,
        })
    }

    /// What counts: the value in the file, or the default. `null` where there is none.
    pub fn value(&self, config: &Config) -> Value {
        let storage = &config.storage;
        match self.key {
            "cache_dir" => in_json(&config.cache_dir),
            "cache_link_mode" => in_json(&config.cache_link_mode),
            "default_tag" => config.default_tag.as_str().into(),
            "layout" => in_json(&config.layout),
            "author" => in_json(&config.author),
            "pull" => config.pull.name().into(),
            "registry_ref" => in_json(&config.registry_ref.as_ref().map(ToString::to_string)),
            "symlinks" => in_json(&config.symlinks),
            "undo_limit" => config.undo_limit.into(),
            key => match key.strip_prefix("storage.") {
                Some(key) => in_json(storage).get(key).cloned().unwrap_or_default(),
                None => config.value(key).cloned().unwrap_or_else(|| Value::Object(serde_json::Map::new())),
            },
        }
    }
}

/// None of the types here has a value that JSON lacks.
fn in_json(value: &impl Serialize) -> Value {
    serde_json::to_value(value).unwrap_or_default()
}

impl Kind {
    /// The value that a person means by `text`.
    ///
    /// # Errors
    ///
    /// Refuses a text that is none of this kind. Which words a setting takes is not known here.
    pub fn parse(self, text: &str) -> Result<Value, SetError> {
        let fault = |source| SetError::Value { source: Box::new(source) };
        match self {
            Self::Text => Ok(text.into()),
            Self::Bytes => parse_size(text).map(Value::from).map_err(|fault| SetError::Size { fault }),
            Self::Texts => serde_saphyr::from_str::<Vec<String>>(text).map(Value::from).map_err(fault),
            Self::TextsByName => serde_saphyr::from_str::<BTreeMap<String, Vec<String>>>(text)
                .map(|lists| in_json(&lists))
                .map_err(fault),
        }
    }
}

/// Reads a size such as `512`, `64K`, `50M`, `50MiB` or `2G`, in powers of 1024.
pub fn parse_size(text: &str) -> Result<u64, SizeFault> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit = text.strip_prefix(digits).unwrap_or_default().to_ascii_lowercase();
    let factor = match unit.trim_end_matches('b').trim_end_matches('i') {
        "" => 1,
        "k" => 1 << 10,
        "m" => 1 << 20,
        "g" => 1 << 30,
        "t" => 1 << 40,
        _ => return Err(SizeFault::Unit),
    };
    let number: u64 = digits.trim().parse().map_err(|_| SizeFault::Number)?;
    number.checked_mul(factor).ok_or(SizeFault::TooLarge)
}

/// Why a text is no size.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SizeFault {
    /// There is no number.
    #[error("expected a number of bytes")]
    Number,
    /// No file is so large.
    #[error("that is more than there can be")]
    TooLarge,
    /// What follows the number is no unit.
    #[error("expected a number of bytes, with K, M, G or T behind it if you like")]
    Unit,
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn sizes_have_units() {
        for (text, size) in [("0", 0), ("512", 512), ("64K", 65536), ("50MiB", 52_428_800), ("2gb", 2 << 30)]
        {
            assert_eq!(parse_size(text), Ok(size), "{text}");
        }
        for text in ["", "M", "-1", "1.5G", "5X", "99999999999T"] {
            assert!(parse_size(text).is_err(), "{text}");
        }
    }

    #[test]
    fn every_setting_has_a_value_that_it_takes() {
        let config = Config::from_yaml("", Path::new("config.yaml")).unwrap();
        assert!(SETTINGS.is_sorted_by_key(|setting| setting.key));
        for setting in SETTINGS {
            let value = setting.value(&config);
            let expected = ["author", "cache_dir", "registry_ref"].contains(&setting.key);
            assert_eq!(value.is_null(), expected, "{}", setting.key);
            let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            if !expected {
                assert_eq!(setting.kind.parse(&text).unwrap(), value, "{}", setting.key);
            }
            assert_eq!(Setting::find(setting.key), Some(setting.kind));
        }
        assert_eq!(Setting::find("layers.code"), Some(Kind::Texts));
        for key in ["", "storage", "storage.more", "layers.", "layers.a.b", "layout.x", "layersx", "Layout"] {
            assert_eq!(Setting::find(key), None, "{key}");
        }
        assert!(Kind::Texts.parse("a").is_err() && Kind::TextsByName.parse("[a]").is_err());
    }
}

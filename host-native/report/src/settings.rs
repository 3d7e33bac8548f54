//! The documents of `config`.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// The document of `config list`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SettingsReport {
    /// The project's settings file, whether or not it is there.
    pub file: PathBuf,
    /// Every known setting, by key; then what else the file holds.
    pub settings: Vec<SettingReport>,
}

/// One setting; the document of `config get`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SettingReport {
    /// Its key, in which dots lead into nested ones.
    pub key: String,
    /// What counts: a text, a number, a list or an object; `null` where nothing does.
    pub value: SettingValue,
    /// Where that comes from.
    pub source: SettingSource,
    /// Whether this program knows the setting; what it does not know it keeps.
    pub known: bool,
}

/// Where a value comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SettingSource {
    /// Nothing is set.
    Default,
    /// The settings file.
    File,
}

/// The document of `config set`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SetReport {
    /// The setting.
    pub key: String,
    /// What it is now, or on a dry run would be.
    pub value: SettingValue,
    /// What it was.
    pub former: SettingValue,
    /// Whether the file was, or would be, written.
    pub changed: bool,
    /// The project's settings file.
    pub file: PathBuf,
    /// Whether it was only looked at.
    pub dry_run: bool,
}

/// What a setting is, in the forms that JSON has.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum SettingValue {
    /// Nothing is set, and there is no default.
    #[default]
    Unset,
    /// A switch.
    Bool(bool),
    /// A whole number that is not negative.
    Count(u64),
    /// A negative whole number.
    Negative(i64),
    /// A number with a fraction.
    Fraction(f64),
    /// A text.
    Text(String),
    /// A list.
    List(Vec<SettingValue>),
    /// An object, by key.
    Object(BTreeMap<String, SettingValue>),
}

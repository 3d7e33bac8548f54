//! `config`: the project's settings, shown and changed.

use std::io::{self, Write};

use clap::{Args, Subcommand};
use serde_json::Value;

use super::init::parse_remote;
use crate::args::Execution;
use crate::error::{CliError, Exit};
use crate::kept_settings::{is_only_kept, tell_only_kept};
use crate::session::Session;
use crate::ui::{Report, shown};
use modelops_bundle::project::Config;
use modelops_bundle::project::settings::{SETTINGS, Setting};
use modelops_bundle_report::{SetReport, SettingReport, SettingSource, SettingValue, SettingsReport};

/// Show or change the project's settings
///
/// They are in `.modelops-bundle/config.yaml`. What is not set there has its default.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n\
\x20 modelops-bundle config list\n\
\x20 modelops-bundle config set default_tag main\n\
\x20 modelops-bundle config set registry_ref registry.example/team/seir")]
pub(crate) struct ConfigArgs {
    #[command(subcommand)]
    command: ConfigCommand,
}

#[derive(Debug, Subcommand)]
enum ConfigCommand {
    /// Show what a setting is
    Get {
        /// The setting, such as `layout` or `storage.mode`
        key: String,
    },
    /// Change a setting
    ///
    /// The value is checked first. Lists are written as in YAML: '["*.csv", "raw/**"]'. Sizes may end in K, M or G. An empty
    /// value takes the setting out of the file, so that its default counts.
    Set {
        /// The setting
        key: String,
        /// Its value
        #[arg(allow_hyphen_values = true)]
        value: String,
        /// Check the value, and change nothing
        #[arg(short = 'n', long)]
        dry_run: bool,
    },
    /// Show every setting, its value and where that comes from
    List,
}

impl Report for SettingsReport {
    fn write_text(&self, out: &mut dyn Write) -> io::Result<()> {
        for setting in &self.settings {
            let source = match (setting.source, setting.known) {
                (SettingSource::Default, _) => "default",
                (SettingSource::File, true) => "file",
                (SettingSource::File, false) => "file, not known here",
            };
            let value = match in_words(&setting.value) {
                value if value.is_empty() => "-".to_owned(),
                value => value,
            };
            writeln!(out, "{} = {}  ({source})", shown(&setting.key), shown(&value))?;
        }
        Ok(())
    }
}

impl Report for SettingReport {
    fn write_text(&self, out: &mut dyn Write) -> io::Result<()> {
        writeln!(out, "{}", shown(&in_words(&self.value)))
    }
}

impl Report for SetReport {
    fn is_account(&self) -> bool {
        !self.dry_run
    }

    fn write_text(&self, out: &mut dyn Write) -> io::Result<()> {
        let (key, value, former) = (&self.key, in_words(&self.value), in_words(&self.former));
        match (self.changed, self.dry_run) {
            (false, _) => writeln!(out, "{key} is {} already", or_nothing(&value)),
            (true, false) => writeln!(out, "{key} = {}, was {}", or_nothing(&value), or_nothing(&former)),
            (true, true) => {
                writeln!(out, "{key} would be {}, is {}", or_nothing(&value), or_nothing(&former))
            }
        }
    }
}

/// A value for a sentence.
fn or_nothing(value: &str) -> String {
    if value.is_empty() { "not set".to_owned() } else { shown(value).to_string() }
}

/// A value as one types it.
fn in_words(value: &SettingValue) -> String {
    match value {
        SettingValue::Unset => String::new(),
        SettingValue::Text(text) => text.clone(),
        value => serde_json::to_string(value).unwrap_or_default(),
    }
}

/// The value of a setting, in the form of the documents.
fn reported(value: Value) -> SettingValue {
    match value {
        Value::Null => SettingValue::Unset,
        Value::Bool(value) => SettingValue::Bool(value),
        Value::Number(number) => match (number.as_u64(), number.as_i64(), number.as_f64()) {
            (Some(number), ..) => SettingValue::Count(number),
            (_, Some(number), _) => SettingValue::Negative(number),
            (_, _, number) => number.map_or(SettingValue::Unset, SettingValue::Fraction),
        },
        Value::String(text) => SettingValue::Text(text),
        Value::Array(values) => SettingValue::List(values.into_iter().map(reported).collect()),
        Value::Object(fields) => {
            SettingValue::Object(fields.into_iter().map(|(key, value)| (key, reported(value))).collect())
        }
    }
}

pub(crate) fn run(session: &Session<'_>, args: &ConfigArgs) -> Result<(), CliError> {
    match &args.command {
        ConfigCommand::Get { key } => {
            let workspace = session.workspace()?;
            session.ui.report(&setting(&workspace.config, key)?)
        }
        ConfigCommand::Set { key, value, dry_run } => set(session, key, value, Execution::of(*dry_run)),
        ConfigCommand::List => {
            let workspace = session.workspace()?;
            session.ui.report(&SettingsReport {
                file: workspace.project.config_file(),
                settings: settings(&workspace.config),
            })
        }
    }
}

fn settings(config: &Config) -> Vec<SettingReport> {
    let known = SETTINGS.iter().map(|setting| known_setting(config, *setting));
    let others = config.values().into_iter().filter(|(key, _)| Setting::find(key).is_none());
    let others = others.map(|(key, value)| other_setting(key, value));
    known.chain(others).collect()
}

fn known_setting(config: &Config, setting: Setting) -> SettingReport {
    SettingReport {
        key: setting.key.to_owned(),
        value: reported(setting.value(config)),
        source: if config.is_set(setting.key) { SettingSource::File } else { SettingSource::Default },
        known: true,
    }
}

fn other_setting(key: String, value: &Value) -> SettingReport {
    let known = Setting::find(&key).is_some();
    SettingReport { key, value: reported(value.clone()), source: SettingSource::File, known }
}

/// What a setting is: one that is known, or one that is in the file.
fn setting(config: &Config, key: &str) -> Result<SettingReport, CliError> {
    if let Some(setting) = SETTINGS.iter().find(|setting| setting.key == key) {
        return Ok(known_setting(config, *setting));
    }
    match (config.value(key), Setting::find(key)) {
        (Some(value), _) => Ok(other_setting(key.to_owned(), value)),
        (None, Some(_)) => {
            Err(CliError::new(Exit::NotFound, format_args!("`{key}` is not set, and has no default")))
        }
        (None, None) => Err(CliError::unknown_setting(key)),
    }
}

fn set(session: &Session<'_>, key: &str, text: &str, execution: Execution) -> Result<(), CliError> {
    let kind = Setting::find(key).ok_or_else(|| CliError::unknown_setting(key))?;
    let (_lock, workspace) = session.locked_workspace("config set")?;
    let mut config = workspace.config.clone();
    let value_of = |config: &Config| setting(config, key).map(|found| found.value).unwrap_or_default();
    let former = value_of(&config);
    match (key, text) {
        (_, "") => config.unset(key)?,
        ("registry_ref", text) => {
            let remote = parse_remote(text, &session.cwd)?;
            config.set_value(key, remote.to_string().into())?;
        }
        (_, text) => config.set_value(key, kind.parse(text)?)?,
    }
    let changed = config.to_yaml() != workspace.config.to_yaml();
    if changed && !text.is_empty() && is_only_kept(key) {
        tell_only_kept(session, key);
    }
    if changed && execution == Execution::Apply {
        config.write(&workspace.project)?;
        session.tell_lost_comments(&config);
    }
    session.ui.report(&SetReport {
        key: key.to_owned(),
        value: value_of(&config),
        former,
        changed,
        file: workspace.project.config_file(),
        dry_run: execution == Execution::DryRun,
    })
}

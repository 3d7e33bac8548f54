//! `env`: named environments, and which of them the project is pinned to.

use std::io::{self, Write};

use bundle_core::name::reference::Reference;
use clap::{Args, Subcommand};
use serde::Serialize;

use crate::args::Execution;
use crate::error::{CliError, Exit, settle_places};
use crate::kept_settings::tell_only_kept;
use crate::program::as_typed;
use crate::session::Session;
use crate::ui::{Report, shown};
use modelops_bundle::environment::{
    Environment, EnvironmentError, EnvironmentName, Environments, ExternalStore, pin, pinned, switch, unpin,
};
use modelops_bundle::project::folder::FindError;
use modelops_bundle::project::{Config, Project};
use modelops_bundle_report::{EnvironmentReport, EnvironmentsReport, StoreReport, SwitchReport};

/// List environments, or switch the project to one
///
/// An environment names a registry and perhaps an external store. They are defined in `modelops-bundle/config.yaml` in your
/// folder for settings (`~/.config`), and in the Python tool's `~/.modelops/bundle-env/NAME.yaml`.
#[derive(Debug, Args)]
pub(crate) struct EnvArgs {
    #[command(subcommand)]
    command: EnvCommand,
}

#[derive(Debug, Subcommand)]
enum EnvCommand {
    /// List the environments
    List,
    /// Pin the project to an environment, and take its settings there
    ///
    /// Writes the project's new remote and store into its settings: what the last environment gave goes, what the new one
    /// gives comes. Nothing is sent.
    Switch {
        /// The environment
        name: Option<String>,
        /// Pin the project to none: its settings stay, and count for the Python tool too
        #[arg(long, conflicts_with = "name")]
        none: bool,
        /// Show what would change, and change nothing
        #[arg(short = 'n', long)]
        dry_run: bool,
    },
}

/// What the Python tool calls its commands for environments
#[derive(Debug, Args)]
pub(crate) struct DevArgs {
    #[command(subcommand)]
    command: DevCommand,
}

#[derive(Debug, Subcommand)]
enum DevCommand {
    /// List the environments, as `env list` does
    Env,
    /// Pin the project to an environment, as `env switch` does
    Switch {
        /// The environment
        name: String,
        /// Show what would change, and change nothing
        #[arg(short = 'n', long)]
        dry_run: bool,
    },
}

impl Report for EnvironmentsReport {
    fn write_text(&self, out: &mut dyn Write) -> io::Result<()> {
        if self.environments.is_empty() {
            writeln!(out, "No environments are defined")?;
        }
        for EnvironmentReport { name, pinned, registry, storage, .. } in &self.environments {
            let mark = if *pinned { '*' } else { ' ' };
            let registry = registry.as_deref().unwrap_or("-");
            write!(out, "{mark} {name}  {}", shown(registry))?;
            match storage {
                Some(store) => writeln!(out, "  {}", shown(&in_words(store)))?,
                None => writeln!(out)?,
            }
        }
        match &self.pinned {
            Some(name) if !self.environments.iter().any(|each| each.pinned) => {
                writeln!(out, "The project is pinned to {name}, which is not defined here")
            }
            _ => Ok(()),
        }
    }
}

/// The document, and what only people read.
#[derive(Serialize)]
#[serde(transparent)]
struct Switched {
    report: SwitchReport,
    /// What is left to be done before a push.
    #[serde(skip)]
    left_to_do: Option<String>,
}

impl Report for Switched {
    fn is_account(&self) -> bool {
        !self.report.dry_run
    }

    fn write_text(&self, out: &mut dyn Write) -> io::Result<()> {
        let SwitchReport { environment, reference, former_ref, storage, dry_run, .. } = &self.report;
        let verb = if *dry_run { "Would switch" } else { "Switched" };
        writeln!(out, "{verb} to {}", environment.as_deref().unwrap_or("no environment"))?;
        if let Some(reference) = reference {
            write!(out, "Remote {reference}")?;
            match former_ref {
                Some(former) if former != reference => writeln!(out, ", was {former}")?,
                _ => writeln!(out)?,
            }
        }
        if !storage.provider.is_empty() {
            writeln!(out, "Store {}", shown(&in_words(storage)))?;
        }
        self.left_to_do.iter().try_for_each(|words| writeln!(out, "Before the next push, {}", shown(words)))
    }
}

fn in_words(store: &StoreReport) -> String {
    let parts = [&store.container, &store.prefix].into_iter().filter(|part| !part.is_empty());
    parts.fold(store.provider.clone(), |words, part| format!("{words}/{part}"))
}

/// An external store, for a document.
fn store(ExternalStore { provider, container, prefix }: &ExternalStore) -> StoreReport {
    let (provider, container, prefix) = (provider.clone(), container.clone(), prefix.clone());
    StoreReport { provider, container, prefix }
}

pub(crate) fn run(session: &Session<'_>, args: &EnvArgs) -> Result<(), CliError> {
    let known = Environments::read()?;
    for fault in &known.faults {
        session.ui.warning(fault);
    }
    match &args.command {
        EnvCommand::List => list(session, &known),
        EnvCommand::Switch { name: None, none: false, .. } => {
            Err(CliError::new(Exit::Usage, "no environment is named").hint(
                "name one of those that `modelops-bundle env list` shows, or say --none to pin the project to none",
            ))
        }
        EnvCommand::Switch { name, dry_run, .. } => {
            let name = name.as_deref().map(str::parse).transpose()?;
            switch_to(session, &known, name.as_ref(), Execution::of(*dry_run))
        }
    }
}

pub(crate) fn run_dev(session: &Session<'_>, args: &DevArgs) -> Result<(), CliError> {
    let command = match &args.command {
        DevCommand::Env => EnvCommand::List,
        DevCommand::Switch { name, dry_run } => {
            EnvCommand::Switch { name: Some(name.clone()), none: false, dry_run: *dry_run }
        }
    };
    run(session, &EnvArgs { command })
}

fn list(session: &Session<'_>, known: &Environments) -> Result<(), CliError> {
    let pinned = match Project::find(&session.cwd) {
        Ok(project) => pinned(&project)?,
        Err(FindError::NoProject { .. }) => None,
        Err(error) => return Err(error.into()),
    };
    let report = |(name, environment): (&EnvironmentName, &Environment)| EnvironmentReport {
        name: name.as_str().to_owned(),
        pinned: pinned.as_ref() == Some(name),
        registry: environment.registry.as_ref().map(ToString::to_string),
        storage: environment.storage.as_ref().map(store),
        file: environment.file.clone(),
    };
    session.ui.report(&EnvironmentsReport {
        environments: known.environments.iter().map(report).collect(),
        default: known.default.as_ref().map(|name| name.as_str().to_owned()),
        namespace: known.namespace.as_ref().map(ToString::to_string),
        pinned: pinned.as_ref().map(|name| name.as_str().to_owned()),
    })
}

fn switch_to(
    session: &Session<'_>,
    known: &Environments,
    name: Option<&EnvironmentName>,
    execution: Execution,
) -> Result<(), CliError> {
    let to = name.map(|name| known.get(name)).transpose()?;
    let (_lock, workspace) = session.locked_workspace("env switch")?;
    let project = &workspace.project;
    let former = match pinned(project) {
        // A pin that names nothing is what this mends.
        Err(EnvironmentError::Name { .. }) => None,
        former => former?,
    };
    let from = former.as_ref().and_then(|former| known.environments.get(former));
    let mut config = workspace.config.clone();
    if let Some(to) = to {
        switch(&mut config, project, from, to, known.namespace.as_ref())?;
    }
    let mut elsewhere = None;
    if execution == Execution::Apply {
        // Where only the first of both is written, the same command finishes it.
        config.write(project)?;
        match name {
            Some(name) => pin(project, name)?,
            None => unpin(project)?,
        }
        session.tell_lost_comments(&config);
        elsewhere = session.pinned(project, &config).filter(|pinned| !pinned.agrees);
    }
    let store = to.and_then(|to| to.storage.as_ref());
    if store.is_some_and(|store| !store.provider.is_empty()) {
        tell_only_kept(session, "storage.provider");
    }
    let remote =
        |config: &Config| Some(Reference::without_version(config.registry_ref.as_ref()?).to_string());
    let report = SwitchReport {
        environment: name.map(|name| name.as_str().to_owned()),
        former_environment: former.map(|former| former.as_str().to_owned()),
        reference: remote(&config),
        former_ref: remote(&workspace.config),
        python_ref: elsewhere.as_ref().map(|pinned| pinned.place.to_string()),
        storage: StoreReport {
            provider: config.storage.provider,
            container: config.storage.container,
            prefix: config.storage.prefix,
        },
        dry_run: execution == Execution::DryRun,
    };
    let left_to_do = elsewhere.as_ref().map(|pinned| as_typed(&settle_places(pinned)).into_owned());
    session.ui.report(&Switched { report, left_to_do })
}

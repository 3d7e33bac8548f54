//! What the Python tool does and this program does not: each is known by its name, to say where it is.

use clap::Subcommand;
use clap::error::{ContextKind, ContextValue, ErrorKind};

use crate::error::{CliError, Exit};

/// Commands of the Python tool, with whatever stands behind them.
#[derive(Debug, Subcommand)]
pub(crate) enum PythonCommand {
    /// Bring a bundle into a folder
    #[command(hide = true, disable_help_flag = true)]
    Ensure(Rest),
    /// List registered models
    #[command(hide = true, disable_help_flag = true)]
    List(Rest),
    /// Register a model
    #[command(hide = true, disable_help_flag = true)]
    RegisterModel(Rest),
    /// Register a target
    #[command(hide = true, disable_help_flag = true)]
    RegisterTarget(Rest),
    /// Name sets of targets
    #[command(hide = true, disable_help_flag = true)]
    TargetSet(Rest),
}

/// What stands behind a command that is refused whatever that is.
#[derive(Debug, clap::Args)]
pub(crate) struct Rest {
    #[arg(hide = true, num_args = 0.., trailing_var_arg = true, allow_hyphen_values = true)]
    _rest: Vec<String>,
}

impl PythonCommand {
    /// Its name, as the user writes it.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Ensure(_) => "ensure",
            Self::List(_) => "list",
            Self::RegisterModel(_) => "register-model",
            Self::RegisterTarget(_) => "register-target",
            Self::TargetSet(_) => "target-set",
        }
    }

    /// Says where to find what is asked for.
    pub(crate) fn refuse(&self) -> CliError {
        let name = self.name();
        if let Self::Ensure(_) = self {
            return CliError::new(Exit::Usage, "this program has no command `ensure` yet").hint(
                "`modelops-bundle pull REF` in an empty folder brings a bundle there; `modelops-bundle export --files` \
                 writes its files as a tar",
            );
        }
        CliError::new(
            Exit::Usage,
            format_args!("`{name}` reads Python models, and is a command of the Python tool, not of this program"),
        )
        .hint(format!(
            "run `{name}` with the Python package `modelops-bundle`: it writes .modelops-bundle/registry.yaml, which \
             `modelops-bundle add .modelops-bundle/registry.yaml` tracks here"
        ))
    }
}

/// What to say of options for completion as the Python tool has them, if `error` is about one.
pub(crate) fn refuse_option(error: &clap::Error) -> Option<CliError> {
    if error.kind() != ErrorKind::UnknownArgument {
        return None;
    }
    let Some(ContextValue::String(option)) = error.get(ContextKind::InvalidArg) else { return None };
    let words = match option.as_str() {
        "--install-completion" => "this program installs no completions by itself",
        "--show-completion" => "this program has a command for completions, no option",
        _ => return None,
    };
    Some(CliError::new(Exit::Usage, format_args!("`{option}` is an option of the Python tool: {words}")).hint(
        "`modelops-bundle completions bash` (or zsh, fish) prints them; `modelops-bundle completions --help` says where they go",
    ))
}

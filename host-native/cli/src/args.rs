//! The command line: what may be said, and the help that goes with it.

use std::path::PathBuf;
use std::str::FromStr;

use bundle_core::plan::version::Bump;
use clap::{Args, Parser, Subcommand, ValueEnum};

use super::commands::{
    add, completions, config, copy, core, delete, diff, env, export, health, import, init, inspect, login,
    logout, man, manifest, pull, push, python, remove, repos, status, tag, undo, verify,
};
use super::progress::ProgressMode;
use modelops_bundle::transfer::Expected;

/// Packs a project's code and data into one OCI artifact and moves it between people, registries and workers.
#[derive(Debug, Parser)]
#[command(name = "modelops-bundle", version, max_term_width = 100, propagate_version = true)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: GlobalArgs,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// Options that every command takes.
#[derive(Debug, Args)]
#[command(next_help_heading = "Global options")]
pub(crate) struct GlobalArgs {
    /// Work as if started in DIR
    #[arg(short = 'C', long = "directory", value_name = "DIR", global = true)]
    pub(crate) directory: Option<PathBuf>,
    /// Print one JSON document on standard output
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// Say nothing but errors, and what was asked for
    #[arg(short, long, global = true)]
    pub(crate) quiet: bool,
    /// Say more about what is done; twice or three times for requests and their answers
    #[arg(short, long, action = clap::ArgAction::Count, global = true)]
    pub(crate) verbose: u8,
    /// How progress is shown, on standard error [default: what MODELOPS_BUNDLE_PROGRESS says, or auto]
    #[arg(long, value_name = "WHEN", value_enum, global = true)]
    pub(crate) progress: Option<ProgressMode>,
    /// How many transfers run at the same time
    #[arg(long, value_name = "N", default_value_t = 8, value_parser = clap::value_parser!(u16).range(1..=256), global = true)]
    pub(crate) concurrency: u16,
    /// Take bundles whose files are thousands of times what is stored of them, or more than fits on the disk, as files
    /// full of holes may be
    #[arg(long, global = true)]
    pub(crate) any_size: bool,
    /// How often a request is repeated that may succeed later
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u32).range(0..=100), global = true)]
    pub(crate) retries: u32,
    /// How many seconds to wait without a byte moving
    #[arg(long, value_name = "SECONDS", default_value_t = 30, value_parser = clap::value_parser!(u64).range(1..=86_400), global = true)]
    pub(crate) timeout: u64,
    /// Talk plain HTTP to the registry; this machine itself is spoken to in it unless --ca-file, --cert or --insecure is given
    #[arg(long, global = true)]
    pub(crate) plain_http: bool,
    /// Trust the certificates in FILE (PEM) too, beside the system's
    #[arg(long, value_name = "FILE", conflicts_with = "plain_http", global = true)]
    pub(crate) ca_file: Option<PathBuf>,
    /// Show the registry the certificate in FILE (PEM); its key is named with --key
    #[arg(long, value_name = "FILE", conflicts_with = "plain_http", global = true)]
    pub(crate) cert: Option<PathBuf>,
    /// The private key (PEM) of the certificate that --cert names
    #[arg(id = "certificate_key", long = "key", value_name = "FILE", global = true)]
    pub(crate) key: Option<PathBuf>,
    /// Take the registry for whoever it says it is, without checking its certificate: dangerous
    #[arg(long, conflicts_with = "plain_http", global = true)]
    pub(crate) insecure: bool,
    /// Understood for the Python tool's sake: nothing is asked
    #[arg(long, global = true, hide = true)]
    pub(crate) no_confirm: bool,
    /// Let the WASM component in FILE decide instead of the one inside this program
    #[arg(long = "core", value_name = "FILE", global = true)]
    pub(crate) core_file: Option<PathBuf>,
}

/// Whether a command does what it plans.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Execution {
    /// It does.
    Apply,
    /// It shows the plan and leaves everything as it is.
    DryRun,
}

impl Execution {
    pub(crate) fn of(dry_run: bool) -> Self {
        if dry_run { Self::DryRun } else { Self::Apply }
    }
}

/// The commands.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Init(init::InitArgs),
    Add(add::AddArgs),
    Remove(remove::RemoveArgs),
    Status(status::StatusArgs),
    Diff(diff::DiffArgs),
    Push(push::PushArgs),
    Pull(pull::PullArgs),
    Undo(undo::UndoArgs),
    Manifest(manifest::ManifestArgs),
    Inspect(inspect::InspectArgs),
    Verify(verify::VerifyArgs),
    Tag(tag::TagArgs),
    Copy(copy::CopyArgs),
    Delete(delete::DeleteArgs),
    Repos(repos::ReposArgs),
    Health(health::HealthArgs),
    Export(export::ExportArgs),
    Import(import::ImportArgs),
    Login(login::LoginArgs),
    Logout(logout::LogoutArgs),
    Config(config::ConfigArgs),
    Env(env::EnvArgs),
    Core(core::CoreArgs),
    Completions(completions::CompletionsArgs),
    Man(man::ManArgs),
    #[command(hide = true)]
    Dev(env::DevArgs),
    #[command(flatten)]
    Python(python::PythonCommand),
}

/// The layouts that `init` takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum LayoutArg {
    /// Whichever is better for the files at hand
    Auto,
    /// One blob a file, which other tools can read
    Files,
    /// Chunks gathered in packs
    Packed,
}

/// What `--bump` takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum BumpArg {
    /// What changed says it: deletions make a major version, additions a minor one, other changes a patch
    Auto,
    /// The next patch
    Patch,
    /// The next minor version
    Minor,
    /// The next major version
    Major,
}

impl From<BumpArg> for Bump {
    fn from(bump: BumpArg) -> Self {
        match bump {
            BumpArg::Auto => Self::Auto,
            BumpArg::Patch => Self::Patch,
            BumpArg::Minor => Self::Minor,
            BumpArg::Major => Self::Major,
        }
    }
}

/// What `--expect` takes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ExpectedArg(pub(crate) Expected);

impl FromStr for ExpectedArg {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "absent" => Ok(Self(Expected::Absent)),
            _ => match text.parse() {
                Ok(digest) => Ok(Self(Expected::Bundle(digest))),
                Err(fault) => Err(format!("{fault}; it is a digest or `absent`")),
            },
        }
    }
}

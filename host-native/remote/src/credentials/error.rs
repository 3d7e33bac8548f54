//! Why credentials could not be found or kept, as facts. No variant ever holds a secret.

use std::io;
use std::path::PathBuf;
use std::process::ExitStatus;

use thiserror::Error;

use super::config::ConfigPlace;

/// Why credentials could not be found or kept.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum CredentialsError {
    /// Azure's command line has no login for a registry.
    #[error("`az acr login --name {registry} --expose-token` {fault}")]
    Azure {
        /// The registry's name there.
        registry: String,
        /// What it did in place of answering.
        fault: String,
    },
    /// A file of credentials, or a variable in place of one, is not what it should be.
    #[error("{place} cannot be understood: {fault}")]
    Config {
        /// Which.
        place: ConfigPlace,
        /// What is wrong with it, and where.
        fault: String,
    },
    /// One of two environment variables that belong together is missing.
    #[error("the environment variable {present} is set and {missing} is not")]
    Environment {
        /// The one that is there.
        present: &'static str,
        /// The one that is not.
        missing: &'static str,
    },
    /// A helper ended with an error. What it says itself is not here: it may be about what it keeps.
    #[error("the credential helper `{program}` failed to {verb}: it ended with {status}")]
    Helper {
        /// The program.
        program: String,
        /// What it was to do: `get`, `store`, `erase` or `list`.
        verb: &'static str,
        /// How it ended.
        status: ExitStatus,
    },
    /// A helper's answer makes no sense.
    #[error("the credential helper `{program}` answered with something else than credentials")]
    HelperAnswer {
        /// The program.
        program: String,
    },
    /// A helper that the configuration names is not on this machine.
    #[error("the credential helper `{program}` that {named_by} names cannot be run")]
    HelperMissing {
        /// The program.
        program: String,
        /// What names it.
        named_by: ConfigPlace,
        /// What the system says.
        source: io::Error,
    },
    /// A helper did not come to an end.
    #[error("the credential helper `{program}` did not answer within {seconds} s")]
    HelperSilent {
        /// The program.
        program: String,
        /// How long was waited.
        seconds: u64,
    },
    /// A file could not be read or written.
    #[error("cannot {action} `{}`", path.display())]
    Io {
        /// A plain verb: `read`, `write`.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// There is no folder of the user's to keep them in.
    #[error("this system does not say where the user's own folder is")]
    NoHome,
}

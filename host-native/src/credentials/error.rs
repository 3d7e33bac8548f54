//! Why credentials could not be found or kept, as facts. No variant ever holds a secret.

use std::io;
use std::path::PathBuf;

use thiserror::Error;

/// Why credentials could not be found or kept.
#[derive(Debug, Error)]
pub enum CredentialsError {
    /// A file of credentials is not what it should be.
    #[error("`{}` cannot be understood: {fault}", path.display())]
    Config {
        /// The file.
        path: PathBuf,
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
    /// A helper ended with an error.
    #[error("the credential helper `{program}` failed to {verb}{}", said(message))]
    Helper {
        /// The program.
        program: String,
        /// What it was to do: `get`, `store`, `erase` or `list`.
        verb: &'static str,
        /// What it says itself, made harmless; may be empty.
        message: String,
    },
    /// A helper's answer makes no sense.
    #[error("the credential helper `{program}` answered with something else than credentials")]
    HelperAnswer {
        /// The program.
        program: String,
    },
    /// A helper that the configuration names is not on this machine.
    #[error("the credential helper `{program}` that `{}` names cannot be run", path.display())]
    HelperMissing {
        /// The program.
        program: String,
        /// The file that names it.
        path: PathBuf,
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

fn said(message: &str) -> String {
    if message.is_empty() { String::new() } else { format!(": {message}") }
}

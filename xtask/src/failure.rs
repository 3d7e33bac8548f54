//! Why a task stopped: one sentence for the developer who reads it.

use std::fmt;

/// The result of every step of a task.
pub type Result<T = ()> = std::result::Result<T, Failure>;

/// Why a task stopped.
#[derive(Debug)]
pub enum Failure {
    /// The command line makes no sense.
    Usage(String),
    /// Something was tried and did not work.
    Step(String),
}

impl Failure {
    /// A command line that makes no sense.
    pub fn usage(message: impl Into<String>) -> Self {
        Self::Usage(message.into())
    }

    /// Something that was tried and did not work.
    pub fn step(message: impl Into<String>) -> Self {
        Self::Step(message.into())
    }

    /// Whether the developer should be shown how to call the task.
    pub fn is_usage(&self) -> bool {
        matches!(self, Self::Usage(_))
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Usage(message) | Self::Step(message) => formatter.write_str(message),
        }
    }
}

/// Says what was being done when the system refused.
pub trait Context<T> {
    /// Turns the error into a [`Failure`] that begins with `what`.
    fn context(self, what: impl FnOnce() -> String) -> Result<T>;
}

impl<T, E: fmt::Display> Context<T> for std::result::Result<T, E> {
    fn context(self, what: impl FnOnce() -> String) -> Result<T> {
        self.map_err(|error| Failure::step(format!("{}: {error}", what())))
    }
}

//! Health: whether a place can be used, and how well.

use bundle_core::name::reference::{Place, Reference};
use thiserror::Error;

use crate::bundle::version_of;
use crate::client::{Cancelled, Client};
use crate::health::{Check, Depth, Trial, check_archive, check_layout, check_registry};
use crate::remote::archive::Archive;
use crate::remote::layout::Layout;
use crate::remote::registry::Registry;
use crate::remote::{Remote as _, RemoteError};

/// Which bundle has to be there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Wanted {
    /// Any; that of the reference's tag is read where it is there.
    #[default]
    Any,
    /// The one that the reference names.
    Named,
}

/// How a place is checked.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct HealthOptions {
    /// What is tried.
    pub depth: Depth,
    /// Which bundle has to be there.
    pub wanted: Wanted,
}

impl Default for HealthOptions {
    fn default() -> Self {
        Self { depth: Depth::Rights, wanted: Wanted::default() }
    }
}

impl HealthOptions {
    /// Tries so much.
    #[must_use]
    pub fn depth(mut self, depth: Depth) -> Self {
        self.depth = depth;
        self
    }

    /// Wants this bundle to be there.
    #[must_use]
    pub fn wanting(mut self, wanted: Wanted) -> Self {
        self.wanted = wanted;
        self
    }
}

/// A place that is about to be checked.
#[derive(Debug)]
#[must_use = "nothing is checked before it is applied"]
pub struct Planned {
    client: Client,
    reference: Reference,
    options: HealthOptions,
}

/// What was found out.
#[derive(Debug)]
#[non_exhaustive]
pub struct Done {
    /// The checks, in the order in which they were made.
    pub checks: Vec<Check>,
    /// HTTP requests made.
    pub requests: u64,
}

/// Plans to check the place of `reference`.
pub fn plan(client: &Client, reference: &Reference, options: HealthOptions) -> Planned {
    Planned { client: client.clone(), reference: reference.clone(), options }
}

impl Planned {
    /// Asks the place. That something does not work is no error: [`Check::verdict`] tells.
    ///
    /// # Errors
    ///
    /// The registry's name makes no URL, or the client was cancelled.
    pub async fn apply(self) -> Result<Done, HealthError> {
        let Self { client, reference, options } = self;
        let named = match options.wanted {
            Wanted::Named => Some(version_of(&reference)),
            Wanted::Any => None,
        };
        let trial = named.as_ref().map_or(Trial::Any(reference.tag.as_ref()), Trial::Named);
        let checking = async {
            let (checks, requests) = match &reference.place {
                Place::Repository { host, name } => {
                    let registry = Registry::new(host, name, client.remote_options())?;
                    (check_registry(&registry, trial, options.depth).await, registry.requests())
                }
                Place::Layout { directory } => {
                    (check_layout(&Layout::new(directory), trial, options.depth).await, 0)
                }
                Place::Archive { file } => (check_archive(&Archive::new(file), trial).await, 0),
            };
            Ok::<_, HealthError>(Done { checks, requests })
        };
        client.unless_cancelled(checking).await
    }
}

/// Why a place could not be checked.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum HealthError {
    /// The client was cancelled.
    #[error(transparent)]
    Cancelled(#[from] Cancelled),
    /// The place cannot be opened.
    #[error(transparent)]
    Remote(#[from] RemoteError),
}

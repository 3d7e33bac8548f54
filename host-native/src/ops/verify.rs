//! Verification: reads everything of a bundle and says what is not as it should be.

use bundle_core::name::reference::Reference;
use thiserror::Error;

use crate::bundle::{OpenError, version_of};
use crate::client::{Cancelled, Client};
use crate::component::{CoreError, LoadError};
use crate::remote::{Intent, Remote, RemoteError};
use crate::transfer::{self, Verification};

/// How a bundle is verified; there is nothing to choose yet.
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
pub struct VerifyOptions {}

/// A verification that is about to be made.
#[derive(Debug)]
#[must_use = "nothing is verified before it is applied"]
pub struct Planned {
    client: Client,
    reference: Reference,
    remote: Box<dyn Remote>,
}

/// What a verification came to.
#[derive(Debug)]
#[non_exhaustive]
pub struct Done {
    /// What was read, and what is wrong with it.
    pub verification: Verification,
    /// HTTP requests made.
    pub requests: u64,
}

/// Plans the verification of the bundle that `reference` names, by digest, by tag, or else by the tag `latest`.
///
/// # Errors
///
/// The place cannot be opened.
pub fn plan(client: &Client, reference: &Reference, _options: VerifyOptions) -> Result<Planned, VerifyError> {
    let remote = client.open(reference, Intent::Read)?;
    Ok(Planned { client: client.clone(), reference: reference.clone(), remote })
}

impl Planned {
    /// Reads everything of the bundle. A damaged one is no error: [`Verification::is_good`] tells.
    ///
    /// # Errors
    ///
    /// There is no such bundle, the remote fails, or the client was cancelled.
    pub async fn apply(self) -> Result<Done, VerifyError> {
        let Self { client, reference, remote } = self;
        let context = client.context(remote.as_ref())?;
        let version = version_of(&reference);
        let found = client
            .unless_cancelled(async { Ok::<_, VerifyError>(transfer::verify(context, &version).await?) })
            .await?;
        let verification = found.ok_or(VerifyError::NoBundle { reference })?;
        Ok(Done { verification, requests: remote.requests() })
    }
}

/// Why a bundle could not be verified.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum VerifyError {
    /// The client was cancelled.
    #[error(transparent)]
    Cancelled(#[from] Cancelled),
    /// The core could not be asked.
    #[error(transparent)]
    Core(#[from] CoreError),
    /// The core cannot be used.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// There is no such bundle.
    #[error("there is no bundle {reference}")]
    NoBundle {
        /// What was named.
        reference: Reference,
    },
    /// What was named is no bundle, or none that this version reads.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The place cannot be opened.
    #[error(transparent)]
    Remote(#[from] RemoteError),
    /// It could not be read.
    #[error(transparent)]
    Verify(#[from] transfer::VerifyError),
}

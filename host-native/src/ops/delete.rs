//! Deletion: takes a tag, or a bundle with all of its tags, from its place.

use bundle_core::digest::Digest;
use bundle_core::name::reference::{Reference, Tag};
use thiserror::Error;

use crate::bundle::version_of;
use crate::client::{Cancelled, Client};
use crate::component::LoadError;
use crate::push::Force;
use crate::remote::{Intent, Remote, RemoteError};
use crate::transfer::{self, Deleted, Doomed, NamedKind, find_doomed, plan_delete};

/// How something is deleted.
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
pub struct DeleteOptions {
    /// Whether tags that nobody named, and what is no bundle, may go too.
    pub force: Force,
}

impl DeleteOptions {
    /// Lets tags that nobody named, and what is no bundle, go too.
    pub fn forced() -> Self {
        Self { force: Force::Yes }
    }
}

/// What is about to be deleted.
#[derive(Debug)]
#[must_use = "nothing is deleted before it is applied"]
pub struct Planned {
    client: Client,
    remote: Box<dyn Remote>,
    doomed: Doomed,
    options: DeleteOptions,
}

/// What was deleted.
#[derive(Debug)]
#[non_exhaustive]
pub struct Done {
    /// The tags that went, and whether the manifest went with them.
    pub deleted: Deleted,
    /// HTTP requests made.
    pub requests: u64,
}

/// Plans to delete the tag or the digest that `reference` names.
///
/// # Errors
///
/// There is nothing of that name, it may not go, or the remote fails.
pub async fn plan(
    client: &Client,
    reference: &Reference,
    options: DeleteOptions,
) -> Result<Planned, DeletionError> {
    let remote = client.open(reference, Intent::Delete)?;
    let context = client.context(remote.as_ref())?;
    let finding = async { Ok::<_, DeletionError>(find_doomed(context, version_of(reference)).await?) };
    let doomed = client.unless_cancelled(finding).await?;
    let doomed = doomed.ok_or_else(|| DeletionError::Nothing { reference: reference.clone() })?;
    Ok(Planned { client: client.clone(), remote, doomed, options })
}

impl Planned {
    /// The manifest.
    ///
    /// Unknown where the registry has lost it.
    pub fn digest(&self) -> Option<Digest> {
        self.doomed.digest
    }

    /// All tags that name it.
    pub fn tags(&self) -> &[Tag] {
        &self.doomed.tags
    }

    /// What kind of thing it is.
    pub fn kind(&self) -> &NamedKind {
        &self.doomed.kind
    }

    /// HTTP requests made so far.
    pub fn requests(&self) -> u64 {
        self.remote.requests()
    }

    /// What would go, which depends on what the place can delete; deletes nothing.
    ///
    /// # Errors
    ///
    /// It may not go, or the place could not be written to.
    pub async fn foresee(&self) -> Result<Deleted, DeletionError> {
        let context = self.client.context(self.remote.as_ref())?;
        let looking = async {
            let deleted = plan_delete(context, &self.doomed, self.options.force).await?;
            self.remote.foresee_writing().await?;
            Ok::<_, DeletionError>(deleted)
        };
        self.client.unless_cancelled(looking).await
    }

    /// Deletes it.
    ///
    /// # Errors
    ///
    /// It was changed meanwhile, the place deletes nothing, or the remote fails.
    pub async fn apply(self) -> Result<Done, DeletionError> {
        let context = self.client.context(self.remote.as_ref())?;
        let deleting = async {
            Ok::<_, DeletionError>(transfer::delete(context, &self.doomed, self.options.force).await?)
        };
        let deleted = self.client.unless_cancelled(deleting).await?;
        Ok(Done { deleted, requests: self.remote.requests() })
    }
}

/// Why something could not be deleted.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum DeletionError {
    /// The client was cancelled.
    #[error(transparent)]
    Cancelled(#[from] Cancelled),
    /// It may not be deleted, or could not be.
    #[error(transparent)]
    Delete(#[from] transfer::DeleteError),
    /// The core cannot be used.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// There is nothing of that name.
    #[error("there is no bundle {reference}")]
    Nothing {
        /// What was named.
        reference: Reference,
    },
    /// The remote failed.
    #[error(transparent)]
    Remote(#[from] RemoteError),
}

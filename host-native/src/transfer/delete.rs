//! Deletes a tag or a bundle, and nothing that was not meant: looks, asks the core, deletes, and looks again.

use bundle_core::digest::Digest;
use bundle_core::plan::delete::{DeleteDecision, DeleteFacts, DeleteUnit};
use bundle_core::reference::Tag;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use thiserror::Error;

use super::tag::tag_digest;
use crate::bundle::{Context, OpenError, resolve};
use crate::component::CoreError;
use crate::push::Force;
use crate::remote::{Deletion, RemoteError, Version};

/// What is meant to be deleted, as it is before.
#[derive(Clone, Debug)]
pub struct Doomed {
    /// What the user named.
    pub version: Version,
    /// The manifest that this is, or names.
    pub digest: Digest,
    /// Every tag that names that manifest.
    pub tags: Vec<Tag>,
}

/// What is gone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Deleted {
    /// The tags, sorted.
    pub tags: Vec<Tag>,
    /// Whether the manifest went with them.
    pub manifest: bool,
}

/// Finds what `version` names, and the tags of that; none where there is nothing of that name.
///
/// Costs one request a tag of the place.
pub async fn find_doomed(context: Context<'_>, version: Version) -> Result<Option<Doomed>, DeleteError> {
    let Some(fetched) = context.remote.manifest(&version).await? else { return Ok(None) };
    let digest = resolve(context.core, &version, &fetched)?;
    let tags = context.remote.tags().await?;
    let tags = stream::iter(tags)
        .map(async |tag| {
            let named = tag_digest(context, &tag).await?;
            Ok::<_, OpenError>((named == Some(digest)).then_some(tag))
        })
        .buffered(context.concurrency)
        .try_filter_map(async |tag| Ok(tag))
        .try_collect()
        .await?;
    Ok(Some(Doomed { version, digest, tags }))
}

/// Deletes what was found.
///
/// A tag goes alone where the remote can do that, else with its bundle.
///
/// # Errors
///
/// [`DeleteError::OtherTags`] where others would go too and `force` is not [`Force::Yes`]; nothing was deleted then.
pub async fn delete(context: Context<'_>, doomed: &Doomed, force: Force) -> Result<Deleted, DeleteError> {
    let mut unit = DeleteUnit::Tag;
    loop {
        let tag = match &doomed.version {
            Version::Tag(tag) => Some(tag.clone()),
            Version::Digest(_) => None,
        };
        let force = force == Force::Yes;
        let facts = DeleteFacts { tag, tags: doomed.tags.clone(), unit, force };
        let (version, tags) = match context.core.decide_delete(&facts)? {
            DeleteDecision::NeedsForce(tags) => {
                return Err(DeleteError::OtherTags { digest: doomed.digest, tags });
            }
            DeleteDecision::Tag => (doomed.version.clone(), facts.tag.into_iter().collect()),
            DeleteDecision::Bundle(_) => (Version::Digest(doomed.digest), doomed.tags.clone()),
        };
        match (context.remote.delete(&version, doomed.digest).await?, &version) {
            (Deletion::OnlyManifests, Version::Tag(_)) => unit = DeleteUnit::Bundle,
            (Deletion::OnlyManifests | Deletion::Done, _) => {
                confirm(context, &version, doomed.digest).await?;
                return Ok(Deleted { tags, manifest: matches!(version, Version::Digest(_)) });
            }
        }
    }
}

/// Looks whether a name is gone, which an answer alone does not say.
async fn confirm(context: Context<'_>, version: &Version, digest: Digest) -> Result<(), DeleteError> {
    let Version::Tag(tag) = version else { return Ok(()) };
    // Another bundle is another push's, which came since.
    if tag_digest(context, tag).await? == Some(digest) {
        return Err(DeleteError::StillThere { tag: tag.clone() });
    }
    Ok(())
}

/// Why something was not deleted.
#[derive(Debug, Error)]
pub enum DeleteError {
    /// The core could not be asked.
    #[error(transparent)]
    Core(#[from] CoreError),
    /// The remote sent what must not be used.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The bundle has tags that nobody named, and they would go too.
    #[error("{digest} is deleted only with every tag that names it, among them {}", listed(.tags))]
    OtherTags {
        /// The bundle.
        digest: Digest,
        /// Those tags, sorted.
        tags: Vec<Tag>,
    },
    /// The remote failed.
    #[error(transparent)]
    Remote(#[from] RemoteError),
    /// The remote says that it has deleted a tag, and has it still.
    #[error("the remote took the wish to delete the tag `{tag}`, and has it still")]
    StillThere {
        /// The tag.
        tag: Tag,
    },
}

fn listed(tags: &[Tag]) -> String {
    let names: Vec<String> = tags.iter().map(|tag| format!("`{tag}`")).collect();
    names.join(", ")
}

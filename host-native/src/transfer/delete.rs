//! Deletes a tag or a bundle, and nothing that was not meant: looks, asks the core, deletes, and looks again.

use bundle_core::digest::Digest;
use bundle_core::foreign::Foreign;
use bundle_core::plan::delete::{DeleteDecision, DeleteFacts, DeleteUnit};
use bundle_core::plan::tag::Occupant;
use bundle_core::reference::Tag;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use thiserror::Error;

use super::tag::tag_digest;
use crate::bundle::{Context, OpenError, read_view, resolve};
use crate::component::CoreError;
use crate::component::answers::ManifestError;
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
    /// What it is where it is no bundle.
    pub foreign: Option<Foreign>,
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
    let foreign = match read_view(context.core, &fetched.bytes) {
        Err(ManifestError::NotABundle(foreign)) => Some(foreign),
        _ => None,
    };
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
    Ok(Some(Doomed { version, digest, tags, foreign }))
}

/// What [`delete`] would do with what was found.
///
/// # Errors
///
/// Those of [`delete`]; nothing is deleted in any case.
pub async fn plan_delete(
    context: Context<'_>,
    doomed: &Doomed,
    force: Force,
) -> Result<Deleted, DeleteError> {
    let unit = match &doomed.version {
        Version::Digest(_) => DeleteUnit::Bundle,
        Version::Tag(_) => match context.remote.deletion().await? {
            Deletion::Done => DeleteUnit::Tag,
            Deletion::OnlyManifests => DeleteUnit::Bundle,
        },
    };
    let (version, tags) = decide(context, doomed, unit, force)?;
    Ok(Deleted { tags, manifest: matches!(version, Version::Digest(_)) })
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
        let (version, tags) = match decide(context, doomed, unit, force) {
            // To insist helps nobody where nothing is deleted.
            Err(DeleteError::OtherTags { .. }) if !context.remote.takes_deletions().await? => {
                return Err(DeleteError::Off);
            }
            decided => decided?,
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

/// What may be deleted where the remote takes away `unit` at a time, and the tags that go with it.
fn decide(
    context: Context<'_>,
    doomed: &Doomed,
    unit: DeleteUnit,
    force: Force,
) -> Result<(Version, Vec<Tag>), DeleteError> {
    let tag = match &doomed.version {
        Version::Tag(tag) => Some(tag.clone()),
        Version::Digest(_) => None,
    };
    let force = force == Force::Yes;
    let occupant = if doomed.foreign.is_some() { Occupant::Foreign } else { Occupant::Bundle };
    let facts = DeleteFacts { tag, tags: doomed.tags.clone(), occupant, unit, force };
    match context.core.decide_delete(&facts)? {
        DeleteDecision::Foreign => {
            let foreign = doomed.foreign.clone();
            Err(DeleteError::Foreign { version: doomed.version.clone(), foreign })
        }
        DeleteDecision::NeedsForce(tags) => Err(DeleteError::OtherTags { digest: doomed.digest, tags }),
        DeleteDecision::Tag => Ok((doomed.version.clone(), facts.tag.into_iter().collect())),
        DeleteDecision::Bundle(_) => Ok((Version::Digest(doomed.digest), doomed.tags.clone())),
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
    /// It is something of another tool; nothing was deleted.
    #[error("{version} is not a bundle{}", .foreign.as_ref().map(|foreign| format!(" but {foreign}")).unwrap_or_default())]
    Foreign {
        /// What the user named.
        version: Version,
        /// What it is, where it could be told.
        foreign: Option<Foreign>,
    },
    /// The remote deletes nothing, whoever insists.
    #[error("the registry deletes no tags and no bundles; nothing was deleted")]
    Off,
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

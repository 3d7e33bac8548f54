//! Deletes a tag or a bundle, and nothing that was not meant: looks, asks the core, deletes, and looks again.

use bundle_core::bundle::foreign::Foreign;
use bundle_core::digest::Digest;
use bundle_core::name::reference::Tag;
use bundle_core::plan::delete::{DeleteDecision, DeleteFacts, DeleteUnit};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use thiserror::Error;

use super::tag::{NamedKind, tag_digest};
use crate::bundle::{Context, OpenError, is_listed, resolve};
use crate::component::CoreError;
use crate::push::Force;
use crate::remote::{Deletion, RemoteError, Version};

/// What is meant to be deleted, as it is before.
#[derive(Clone, Debug)]
pub struct Doomed {
    /// What the user named.
    pub version: Version,
    /// The manifest that this is, or names; unknown where a registry has lost it.
    pub digest: Option<Digest>,
    /// Every tag that names that manifest.
    pub tags: Vec<Tag>,
    /// Of what kind the manifest is.
    pub kind: NamedKind,
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
    let (digest, kind) = match context.remote.manifest(&version).await {
        Ok(Some(fetched)) => {
            let digest = resolve(context.core, &version, &fetched)?;
            (Some(digest), NamedKind::of(context, &version, &fetched.bytes)?)
        }
        // A name can go whose manifest is gone already, or damaged.
        Ok(None) if is_listed(context.remote, &version).await? => {
            (named_digest(context, &version).await?, NamedKind::Unreadable)
        }
        Ok(None) => return Ok(None),
        Err(error) if error.tells_unreadable() => {
            let digest = named_digest(context, &version).await?.ok_or(error)?;
            (Some(digest), NamedKind::Unreadable)
        }
        Err(error) => return Err(error.into()),
    };
    let Some(digest) = digest else {
        let tags = match &version {
            Version::Tag(tag) => vec![tag.clone()],
            Version::Digest(_) => Vec::new(),
        };
        return Ok(Some(Doomed { version, digest: None, tags, kind }));
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
    Ok(Some(Doomed { version, digest: Some(digest), tags, kind }))
}

/// The digest that `version` is or names, as far as that is known without the manifest.
async fn named_digest(context: Context<'_>, version: &Version) -> Result<Option<Digest>, RemoteError> {
    match version {
        Version::Digest(digest) => Ok(Some(*digest)),
        Version::Tag(tag) => context.remote.listed_digest(tag).await,
    }
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
                confirm(context, &version, doomed).await?;
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
    let occupant = doomed.kind.occupant();
    let facts = DeleteFacts { tag, tags: doomed.tags.clone(), occupant, unit, force };
    match (context.core.decide_delete(&facts)?, doomed.digest) {
        (DeleteDecision::Foreign, _) => {
            let foreign = match &doomed.kind {
                NamedKind::Foreign(foreign) => Some(foreign.clone()),
                NamedKind::Bundle | NamedKind::Unreadable => None,
            };
            Err(DeleteError::Foreign { version: doomed.version.clone(), foreign })
        }
        (DeleteDecision::Tag, _) => Ok((doomed.version.clone(), facts.tag.into_iter().collect())),
        (DeleteDecision::NeedsForce(tags), Some(digest)) => Err(DeleteError::OtherTags { digest, tags }),
        (DeleteDecision::Bundle(_), Some(digest)) => Ok((Version::Digest(digest), doomed.tags.clone())),
        (DeleteDecision::NeedsForce(_) | DeleteDecision::Bundle(_), None) => {
            Err(DeleteError::NoManifest { version: doomed.version.clone() })
        }
    }
}

/// Looks whether a name is gone, which an answer alone does not say.
async fn confirm(context: Context<'_>, version: &Version, doomed: &Doomed) -> Result<(), DeleteError> {
    let Version::Tag(tag) = version else { return Ok(()) };
    let is_there = match doomed.digest {
        // Another bundle is another push's, which came since.
        Some(digest) => tag_digest(context, tag).await? == Some(digest),
        None => is_listed(context.remote, version).await?,
    };
    if is_there {
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
    /// The remote deletes a tag only with its manifest, and has lost that.
    #[error(
        "the manifest that `{version}` names is gone, and the registry deletes a tag only with its manifest"
    )]
    NoManifest {
        /// What the user named.
        version: Version,
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

//! Tagging: gives a bundle further tags.

use bundle_core::digest::Digest;
use bundle_core::name::reference::{Reference, Tag};
use bundle_core::plan::tag::{Mover, Occupant, TagFacts};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use thiserror::Error;

use crate::bundle::{Context, OpenError, OpenedManifest, open_manifest, version_of};
use crate::client::{Cancelled, Client};
use crate::component::LoadError;
use crate::remote::{Intent, Remote, RemoteError};
use crate::transfer::{Expected, PartlyTagged, TagError, Unconfirmed, check_tag, move_tags, tag_digest};

/// Which tags move.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Moves {
    /// New ones, and those that name the bundle already.
    #[default]
    Free,
    /// Those that name what is expected, or nothing; no published version moves so.
    Expected(Expected),
    /// All of them: published versions too, and tags of what is no bundle.
    Forced,
}

/// How tags are written.
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
pub struct TagOptions {
    /// Which tags move.
    pub moves: Moves,
}

impl TagOptions {
    /// Lets these tags move.
    pub fn moving(moves: Moves) -> Self {
        Self { moves }
    }
}

/// Tags that may be written.
#[derive(Debug)]
#[must_use = "no tag is written before it is applied"]
pub struct Planned {
    client: Client,
    remote: Box<dyn Remote>,
    manifest: OpenedManifest,
    facts: Vec<TagFacts>,
}

/// A tag, and what it named when it was looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct PlannedTag {
    /// The tag.
    pub tag: Tag,
    /// What it named; nothing where it is new.
    pub before: Option<Digest>,
}

/// What was written.
#[derive(Debug)]
#[non_exhaustive]
pub struct Done {
    /// Tags that were written and were not seen to name the bundle.
    pub unconfirmed: Vec<Unconfirmed>,
    /// HTTP requests made.
    pub requests: u64,
}

/// Plans to have `tags` name the bundle of `reference`, at the same place. All of them are looked at before the first one is
/// written.
///
/// # Errors
///
/// There is no such bundle, a tag may not be written, or the remote fails.
pub async fn plan(
    client: &Client,
    reference: &Reference,
    tags: Vec<Tag>,
    options: TagOptions,
) -> Result<Planned, TaggingError> {
    let remote = client.open(reference, Intent::Tag)?;
    let (manifest, facts) = {
        let context = client.context(remote.as_ref())?;
        client.unless_cancelled(look(context, reference, tags, options)).await?
    };
    Ok(Planned { client: client.clone(), remote, manifest, facts })
}

async fn look(
    context: Context<'_>,
    reference: &Reference,
    tags: Vec<Tag>,
    options: TagOptions,
) -> Result<(OpenedManifest, Vec<TagFacts>), TaggingError> {
    let manifest = open_manifest(context, &version_of(reference)).await?;
    let manifest = manifest.ok_or_else(|| TaggingError::NoBundle { reference: reference.clone() })?;
    let target = manifest.digest;
    let facts = stream::iter(tags)
        .map(|tag| look_at(context, tag, target, options.moves))
        .buffered(context.concurrency)
        .try_collect()
        .await?;
    Ok((manifest, facts))
}

/// What a tag names now, once it is known that it may be written.
async fn look_at(context: Context<'_>, tag: Tag, target: Digest, moves: Moves) -> Result<TagFacts, TagError> {
    let planned = tag_digest(context, &tag).await?;
    let mover = match moves {
        Moves::Expected(expected) if expected.digest() != planned => {
            return Err(TagError::unexpected(tag, expected, planned));
        }
        Moves::Expected(_) => Mover::Push,
        Moves::Free | Moves::Forced => Mover::Naming,
    };
    let (force, occupant) = (moves == Moves::Forced, Occupant::default());
    let facts = TagFacts { tag, planned, current: None, occupant, target, force, mover };
    check_tag(context, facts.clone()).await?;
    Ok(facts)
}

impl Planned {
    /// The bundle.
    pub fn digest(&self) -> Digest {
        self.manifest.digest
    }

    /// The tags, in the order in which they were named.
    pub fn tags(&self) -> impl Iterator<Item = PlannedTag> {
        self.facts.iter().map(|facts| PlannedTag { tag: facts.tag.clone(), before: facts.planned })
    }

    /// HTTP requests made so far.
    pub fn requests(&self) -> u64 {
        self.remote.requests()
    }

    /// Finds out whether the place could be written to, and writes nothing.
    ///
    /// # Errors
    ///
    /// It could not.
    pub async fn foresee(&self) -> Result<(), TaggingError> {
        if self.tags().any(|tag| tag.before != Some(self.manifest.digest)) {
            self.remote.foresee_writing().await?;
        }
        Ok(())
    }

    /// Writes the tags.
    ///
    /// # Errors
    ///
    /// A tag was moved meanwhile, or the remote fails; [`PartlyTagged`] says which tags were written by then.
    pub async fn apply(self) -> Result<Done, TaggingError> {
        let context = self.client.context(self.remote.as_ref())?;
        let moving =
            async { Ok::<_, TaggingError>(move_tags(context, &self.facts, &self.manifest.bytes).await?) };
        let unconfirmed = self.client.unless_cancelled(moving).await?;
        Ok(Done { unconfirmed, requests: self.remote.requests() })
    }
}

/// Why tags could not be written.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum TaggingError {
    /// The client was cancelled. Tags that were written by then stay.
    #[error(transparent)]
    Cancelled(#[from] Cancelled),
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
    /// Some of the tags were written.
    #[error(transparent)]
    Partly(#[from] PartlyTagged),
    /// The remote failed.
    #[error(transparent)]
    Remote(#[from] RemoteError),
    /// A tag may not be written.
    #[error(transparent)]
    Tag(#[from] TagError),
}

//! Copying: brings bundles from one place to another under tags, the same bytes.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bundle_core::digest::Digest;
use bundle_core::name::reference::{Reference, Tag};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use thiserror::Error;

use crate::bundle::{Bundle, Context, OpenError, open, version_of};
use crate::client::{Cancelled, Client};
use crate::component::LoadError;
use crate::push::Force;
use crate::remote::{Intent, Remote, RemoteError, Version};
use crate::transfer::{
    Carried, Delivery, Expected, TagError, Unconfirmed, claim, deliver, find_lost, foresee_deliveries,
    tag_digest,
};

/// What is copied of a place.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Selection {
    /// The one bundle that the source names, under the tag of the target, or else that of the source.
    #[default]
    One,
    /// Every bundle that has a tag, under all of its tags.
    AllTags,
}

/// How bundles are copied.
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
pub struct CopyOptions {
    /// Whether tags that name another bundle move, and what the target has is looked at in full.
    pub force: Force,
    /// What the tags have to name at the target; anything that may move by default.
    pub expected: Option<Expected>,
}

impl CopyOptions {
    /// Lets tags that name another bundle move.
    #[must_use]
    pub fn force(mut self, force: Force) -> Self {
        self.force = force;
        self
    }

    /// Moves the tags only where they name this.
    #[must_use]
    pub fn expecting(mut self, expected: Option<Expected>) -> Self {
        self.expected = expected;
        self
    }
}

/// Bundles that may be copied.
#[derive(Debug)]
#[must_use = "nothing is copied before it is applied"]
pub struct Planned {
    client: Client,
    from: Arc<dyn Remote>,
    to: Box<dyn Remote>,
    bundles: Vec<Bundle>,
    deliveries: Vec<Delivery>,
    skipped: Vec<(Tag, Skipped)>,
}

/// Why a tag of the source is left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Skipped {
    /// It names a manifest that is not there.
    Lost,
    /// It names no bundle.
    NotABundle,
}

/// What was copied.
#[derive(Debug)]
#[non_exhaustive]
pub struct Done {
    /// What was sent and mounted.
    pub carried: Carried,
    /// Tags that were written and were not seen to name their bundle.
    pub unconfirmed: Vec<Unconfirmed>,
    /// HTTP requests made, to both places.
    pub requests: u64,
}

/// Plans to copy what `selection` means of `source` to the place of `target`. All tags are claimed before the first byte is
/// sent.
///
/// # Errors
///
/// There is no such bundle, a tag may not be written, or a remote fails.
pub async fn plan(
    client: &Client,
    source: &Reference,
    target: &Reference,
    selection: Selection,
    options: CopyOptions,
) -> Result<Planned, CopyError> {
    let from: Arc<dyn Remote> = Arc::from(client.open(source, Intent::Read)?);
    let beside = Some(source.place.clone());
    let remote_options = client.remote_options().clone().with_beside(beside).with_intent(Intent::Write);
    let to = client.open_with(target, &remote_options)?;
    let (reading, writing) = (client.context(&*from)?, client.context(to.as_ref())?);
    let (bundles, deliveries, skipped) = client
        .unless_cancelled(async {
            let (bundles, skipped) = match selection {
                Selection::AllTags => tagged(reading).await?,
                Selection::One => (vec![one(reading, source, target).await?], Vec::new()),
            };
            if bundles.is_empty() {
                return Err(CopyError::NoBundle { reference: source.clone() });
            }
            let mut deliveries = Vec::new();
            for (bundle, tags) in &bundles {
                deliveries.push(claim(writing, bundle, tags, options.force, options.expected).await?);
            }
            find_lost(&mut deliveries, writing, options.force).await?;
            let bundles = bundles.into_iter().map(|(bundle, _)| bundle).collect();
            Ok((bundles, deliveries, skipped))
        })
        .await?;
    Ok(Planned { client: client.clone(), from, to, bundles, deliveries, skipped })
}

/// The one bundle that is meant, and the tag that is to name it.
async fn one(
    reading: Context<'_>,
    source: &Reference,
    target: &Reference,
) -> Result<(Bundle, Vec<Tag>), CopyError> {
    let tag = target.tag.clone().or_else(|| source.tag.clone()).ok_or(CopyError::NoTag)?;
    let bundle = open(reading, &version_of(source)).await?;
    let bundle = bundle.ok_or_else(|| CopyError::NoBundle { reference: source.clone() })?;
    Ok((bundle, vec![tag]))
}

/// What there is to copy of a place: each bundle with its tags, and the tags that name none, with the reason.
type Tagged = (Vec<(Bundle, Vec<Tag>)>, Vec<(Tag, Skipped)>);

/// Every bundle of a place that has a tag, with its tags, and the tags that name something else.
async fn tagged(context: Context<'_>) -> Result<Tagged, CopyError> {
    let named: Vec<(Tag, Option<Digest>)> = stream::iter(context.remote.tags().await?)
        .map(async |tag| {
            let digest = tag_digest(context, &tag).await?;
            Ok::<_, CopyError>((tag, digest))
        })
        .buffered(context.concurrency)
        .try_collect()
        .await?;
    let (mut bundles, mut skipped) = (Vec::new(), Vec::new());
    let mut grouped: BTreeMap<Digest, Vec<Tag>> = BTreeMap::new();
    for (tag, digest) in named {
        match digest {
            Some(digest) => grouped.entry(digest).or_default().push(tag),
            None => skipped.push((tag, Skipped::Lost)),
        }
    }
    for (digest, tags) in grouped {
        match open(context, &Version::Digest(digest)).await {
            Ok(Some(bundle)) => bundles.push((bundle, tags)),
            Ok(None) => skipped.extend(tags.into_iter().map(|tag| (tag, Skipped::Lost))),
            Err(OpenError::NotABundle { .. }) => {
                skipped.extend(tags.into_iter().map(|tag| (tag, Skipped::NotABundle)));
            }
            Err(source) => {
                let tag = tags.into_iter().next();
                let reference = Reference { place: context.remote.place(), tag, digest: None };
                return Err(CopyError::OpenOne { reference, source });
            }
        }
    }
    Ok((bundles, skipped))
}

impl Planned {
    /// The bundles, each with the tags that may name it at its new place.
    pub fn bundles(&self) -> impl Iterator<Item = (&Bundle, &Delivery)> {
        self.bundles.iter().zip(&self.deliveries)
    }

    /// Tags of the source that are left out, and why.
    pub fn skipped(&self) -> &[(Tag, Skipped)] {
        &self.skipped
    }

    /// Blobs that the target has lost or damaged of what its tags name: they are sent again.
    pub fn lost(&self) -> BTreeSet<Digest> {
        self.deliveries.iter().flat_map(|delivery| &delivery.lost).copied().collect()
    }

    /// HTTP requests made so far, to both places.
    pub fn requests(&self) -> u64 {
        self.from.requests() + self.to.requests()
    }

    /// What would be sent and mounted; sends nothing.
    ///
    /// # Errors
    ///
    /// The target could not be written to.
    pub async fn foresee(&self) -> Result<Carried, CopyError> {
        let writing = self.client.context(self.to.as_ref())?;
        let looking = async {
            if self.deliveries.iter().any(Delivery::changes) {
                self.to.foresee_writing().await?;
            }
            Ok::<_, CopyError>(foresee_deliveries(&self.deliveries, writing).await?)
        };
        self.client.unless_cancelled(looking).await
    }

    /// Sends what the target lacks, and writes the tags.
    ///
    /// # Errors
    ///
    /// A tag was moved meanwhile, a remote fails, or the client was cancelled.
    pub async fn apply(self) -> Result<Done, CopyError> {
        let writing = self.client.context(self.to.as_ref())?;
        let delivering = async { Ok::<_, CopyError>(deliver(&self.deliveries, &self.from, writing).await?) };
        let delivered = self.client.unless_cancelled(delivering).await?;
        let (carried, unconfirmed) = (delivered.carried, delivered.unconfirmed);
        Ok(Done { carried, unconfirmed, requests: self.requests() })
    }
}

/// Why bundles could not be copied.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum CopyError {
    /// The client was cancelled.
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
    /// Neither source nor target has a tag that could name the copy.
    #[error("no tag is named for the copy")]
    NoTag,
    /// What was named is no bundle, or none that this version reads.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// One of the bundles of a place cannot be opened.
    #[error("cannot open {reference}")]
    OpenOne {
        /// One of the tags that name it.
        reference: Reference,
        /// Why not.
        source: OpenError,
    },
    /// Some of the tags were written.
    #[error(transparent)]
    Partly(#[from] crate::transfer::PartlyTagged),
    /// A remote failed.
    #[error(transparent)]
    Remote(#[from] RemoteError),
    /// A tag may not be written.
    #[error(transparent)]
    Tag(#[from] TagError),
}

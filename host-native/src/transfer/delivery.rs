//! Brings a bundle to a remote under tags: all of them are claimed before the first byte is sent.

use std::sync::Arc;

use bundle_core::digest::Digest;
use bundle_core::plan::tag::{Occupant, TagFacts};
use bundle_core::reference::Tag;
use bytes::Bytes;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};

use super::copy::{Carried, Parts, copy_to_remote, foresee};
use super::tag::{TagError, claim_tag, late, look_again, move_tag};
use crate::bundle::{Bundle, Context, OpenError};
use crate::push::Force;
use crate::remote::Remote;

/// A bundle on its way, and the tags that may name it at its new place.
#[derive(Clone, Debug)]
#[must_use = "nothing is sent before it is carried out"]
pub struct Delivery {
    /// The bundle.
    pub digest: Digest,
    /// The tags, and what they name there now.
    pub tags: Vec<(Tag, Option<Digest>)>,
    manifest: Bytes,
    parts: Parts,
    force: Force,
}

/// What came of a delivery.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Delivered {
    /// What was carried.
    pub carried: Carried,
    /// The tags that were written and are not shown so yet.
    pub late: Vec<Tag>,
}

/// Finds out whether `tags` may name `bundle` at the place of `to`.
///
/// # Errors
///
/// [`TagError::Taken`] where one names another bundle and `force` is not [`Force::Yes`].
pub async fn claim(
    to: Context<'_>,
    bundle: &Bundle,
    tags: &[Tag],
    force: Force,
) -> Result<Delivery, TagError> {
    let tags = stream::iter(tags)
        .map(async |tag| Ok::<_, TagError>((tag.clone(), claim_tag(to, tag, bundle.digest, force).await?)))
        .buffered(to.concurrency)
        .try_collect()
        .await?;
    let (digest, manifest, parts) = (bundle.digest, bundle.manifest.clone(), Parts::of(bundle));
    Ok(Delivery { digest, tags, manifest, parts, force })
}

/// What would be sent and mounted for `deliveries`; what several of them have counts one time.
pub async fn foresee_deliveries(deliveries: &[Delivery], to: Context<'_>) -> Result<Carried, TagError> {
    let mut parts = deliveries.iter().filter(|delivery| !delivery.is_there()).map(|one| one.parts.clone());
    let Some(mut all) = parts.next() else { return Ok(Carried::default()) };
    parts.for_each(|further| all.extend(further));
    Ok(foresee(to.remote, &all, to.concurrency).await.map_err(OpenError::from)?)
}

impl Delivery {
    /// Whether anything is to be written.
    pub fn changes(&self) -> bool {
        self.tags.iter().any(|(_, named)| *named != Some(self.digest))
    }

    /// Whether the place has all of the bundle for certain: a tag names it.
    fn is_there(&self) -> bool {
        self.tags.iter().any(|(_, named)| *named == Some(self.digest))
    }

    /// Copies what the place lacks, and moves the tags.
    pub async fn carry_out(&self, source: &Arc<dyn Remote>, to: Context<'_>) -> Result<Delivered, TagError> {
        let carried = if self.is_there() {
            Carried::default()
        } else {
            let carried = copy_to_remote(source, to.remote, &self.parts, to.concurrency, to.progress).await;
            carried.map_err(OpenError::from)?
        };
        let mut written = Vec::new();
        for (tag, planned) in &self.tags {
            let facts = TagFacts {
                tag: tag.clone(),
                planned: *planned,
                current: None,
                occupant: Occupant::default(),
                target: self.digest,
                force: self.force == Force::Yes,
            };
            written.extend(move_tag(to, facts, self.manifest.clone()).await?);
        }
        Ok(Delivered { carried, late: late(look_again(to, written).await)? })
    }
}

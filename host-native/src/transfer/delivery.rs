//! Brings a bundle to a remote under tags: all of them are claimed before the first byte is sent.
//!
//! That a tag names the bundle does not say that all of it is there: [`find_lost`] looks.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bundle_core::bundle::descriptor::Descriptor;
use bundle_core::digest::Digest;
use bundle_core::name::reference::{Place, Tag};
use bundle_core::plan::tag::{Mover, Occupant, TagFacts};
use bytes::Bytes;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};

use super::copy::{Carried, Parts, copy_to_remote, foresee};
use super::tag::{Expected, NamedKind, PartlyTagged, TagError, Tagging, Unconfirmed, claim_tag};
use crate::bundle::{Bundle, Context, OpenError};
use crate::push::Force;
use crate::remote::{BlobState, Remote, RemoteError};

/// A bundle on its way, and the tags that may name it at its new place.
#[derive(Clone, Debug)]
#[must_use = "nothing is sent before it is carried out"]
pub struct Delivery {
    /// The bundle.
    pub digest: Digest,
    /// The tags, and what they name there now.
    pub tags: Vec<(Tag, Option<Digest>)>,
    /// What the place has lost or damaged of the bundle although a tag names it there, as far as that was looked at: it is
    /// sent again.
    pub lost: BTreeSet<Digest>,
    manifest: Bytes,
    parts: Parts,
    force: Force,
    mover: Mover,
}

/// What came of deliveries.
#[derive(Clone, Debug, Default)]
pub struct Delivered {
    /// What was carried.
    pub carried: Carried,
    /// The tags that were written and were not seen to name what they were to name.
    pub unconfirmed: Vec<Unconfirmed>,
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
    expected: Option<Expected>,
) -> Result<Delivery, TagError> {
    let named: Vec<_> = stream::iter(tags.to_vec())
        .map(async |tag: Tag| {
            let named = claim_tag(to, &tag, bundle.digest, force, expected).await?;
            Ok::<_, TagError>((tag, named))
        })
        .buffered(to.concurrency)
        .try_collect()
        .await?;
    let is_lost = named
        .iter()
        .filter_map(|(_, named)| named.as_ref())
        .any(|named| named.digest == bundle.digest && named.kind == NamedKind::Unreadable);
    let lost = if is_lost { BTreeSet::from([bundle.digest]) } else { BTreeSet::new() };
    let tags = named.into_iter().map(|(tag, named)| (tag, named.map(|named| named.digest))).collect();
    let (digest, manifest, parts) = (bundle.digest, bundle.manifest.clone(), Parts::of(bundle));
    // What is expected was looked at.
    let mover = if expected.is_some() { Mover::Push } else { Mover::Naming };
    Ok(Delivery { digest, tags, lost, manifest, parts, force, mover })
}

/// As many blobs are asked for at a registry where a copy is not forced and finds its bundles there: so many a bundle in
/// layout `files` has at most by default. Beyond that a copy that changes nothing would cost more than one that does.
const ASKED_UNFORCED: usize = 100;

/// Looks what the place has lost of those bundles that tags name there already.
///
/// Where a copy is forced everything is looked at: in a folder read, on a registry asked for. Else it is looked whether it is there,
/// which in a folder costs nothing, and at a registry a request a blob: only up to a hundred in all.
pub async fn find_lost(deliveries: &mut [Delivery], to: Context<'_>, force: Force) -> Result<(), TagError> {
    let named = deliveries.iter().filter(|delivery| delivery.is_named());
    let blobs: BTreeMap<Digest, Descriptor> =
        named.flat_map(|one| one.parts.needed_blobs()).map(|blob| (blob.digest, blob.clone())).collect();
    let costs_requests = matches!(to.remote.place(), Place::Repository { .. });
    if force == Force::No && costs_requests && blobs.len() > ASKED_UNFORCED {
        return Ok(());
    }
    let lost = lost_of(to, blobs.values(), force).await.map_err(OpenError::from)?;
    for delivery in deliveries.iter_mut().filter(|delivery| delivery.is_named()) {
        let own: Vec<Digest> = delivery
            .parts
            .needed_blobs()
            .map(|blob| blob.digest)
            .filter(|blob| lost.contains(blob))
            .collect();
        delivery.lost.extend(own);
    }
    Ok(())
}

/// Which of `blobs` the place has lost; where `force` says so, also which it has damaged, as far as that can be found out.
pub(crate) async fn lost_of(
    context: Context<'_>,
    blobs: impl Iterator<Item = &Descriptor>,
    force: Force,
) -> Result<BTreeSet<Digest>, RemoteError> {
    let blobs: Vec<Descriptor> = blobs.cloned().collect();
    stream::iter(blobs)
        .map(async |blob: Descriptor| {
            let is_whole = match force {
                Force::Yes => context.remote.examine_blob(&blob).await? == BlobState::Whole,
                Force::No => context.remote.has_blob(&blob).await?,
            };
            Ok((!is_whole).then_some(blob.digest))
        })
        .buffer_unordered(context.concurrency)
        .try_filter_map(async |lost| Ok(lost))
        .try_collect()
        .await
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
        !self.lost.is_empty() || self.tags.iter().any(|(_, named)| *named != Some(self.digest))
    }

    /// Whether a tag names the bundle at its new place already.
    fn is_named(&self) -> bool {
        self.tags.iter().any(|(_, named)| *named == Some(self.digest))
    }

    /// Whether the place has all of the bundle, as far as was looked.
    fn is_there(&self) -> bool {
        self.is_named() && self.lost.is_empty()
    }

    /// Copies what the place lacks.
    async fn carry(&self, source: &Arc<dyn Remote>, to: Context<'_>) -> Result<Carried, TagError> {
        if self.is_there() {
            return Ok(Carried::default());
        }
        let carried = copy_to_remote(source, to.remote, &self.parts, to.concurrency, to.progress).await;
        Ok(carried.map_err(OpenError::from)?)
    }

    /// What is to become of each tag.
    fn facts(&self) -> impl Iterator<Item = TagFacts> {
        self.tags.iter().map(|(tag, planned)| TagFacts {
            tag: tag.clone(),
            planned: *planned,
            current: None,
            occupant: Occupant::default(),
            target: self.digest,
            force: self.force == Force::Yes,
            mover: self.mover,
        })
    }
}

/// Carries out those of `deliveries` that change something: copies what the place lacks, and moves the tags. What fails
/// ends it.
///
/// # Errors
///
/// Which tags name their bundle and which do not.
pub async fn deliver(
    deliveries: &[Delivery],
    source: &Arc<dyn Remote>,
    to: Context<'_>,
) -> Result<Delivered, PartlyTagged> {
    let (mut carried, mut tagging) = (Carried::default(), Tagging::default());
    let mut ahead = deliveries.iter().filter(|delivery| delivery.changes());
    for delivery in ahead.by_ref() {
        let mut facts = delivery.facts();
        match delivery.carry(source, to).await {
            Ok(brought) => carried = carried.and(brought),
            Err(fault) => {
                tagging.fail(fault);
                tagging.leave(facts.map(|facts| facts.tag));
                break;
            }
        }
        let mut is_good = true;
        while is_good && let Some(facts) = facts.next() {
            is_good = tagging.move_tag(to, facts, delivery.manifest.clone()).await;
        }
        if !is_good {
            tagging.leave(facts.map(|facts| facts.tag));
            break;
        }
    }
    tagging.leave(ahead.flat_map(|delivery| delivery.tags.iter().map(|(tag, _)| tag.clone())));
    Ok(Delivered { carried, unconfirmed: tagging.finish(to).await? })
}

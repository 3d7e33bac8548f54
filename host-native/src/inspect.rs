//! How a bundle lies in its place: how much of its packs it needs, and what it shares with the other bundles there.
//!
//! Nothing here reads content: manifests say what is shared, and the tables of packs what is needed.

use std::collections::BTreeMap;

use bundle_core::bundle::manifest::annotation;
use bundle_core::digest::Digest;
use bundle_core::name::reference::Tag;
use bundle_core::pack::table::Pack;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};

use crate::bundle::{Bundle, Context, OpenError, OpenedManifest, open_manifest};
use crate::remote::{RemoteError, RemoteErrorKind, Version};
use crate::transfer::{Copied, Parts, TablesError, load_all_tables};

/// A pack, and how much of it the files of a bundle need.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UsedPack {
    /// The pack.
    pub pack: Pack,
    /// How many bytes of its frames they need.
    pub used: u64,
}

impl UsedPack {
    /// How many bytes of its frames no file of the bundle needs.
    pub fn waste(&self) -> u64 {
        self.pack.toc.offset.saturating_sub(self.used)
    }
}

/// How much of each of its packs a bundle needs.
pub async fn used_packs(context: Context<'_>, bundle: &Bundle) -> Result<Vec<UsedPack>, TablesError> {
    let chunk_map = &bundle.index_view.chunk_map;
    let tables = load_all_tables(context, &chunk_map.packs).await?;
    let used = chunk_map.used(&tables);
    Ok(chunk_map.packs.iter().cloned().zip(used).map(|(pack, used)| UsedPack { pack, used }).collect())
}

/// What the bundles of a place share.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sharing {
    /// The other bundles that tags name, the newest first.
    pub others: Vec<Other>,
    /// The blobs that all of them have together, each counted once; manifests are not counted.
    pub held: Copied,
    /// What they would have one by one.
    pub sum: Copied,
    /// Tags that name no bundle that can be read.
    pub unreadable: Vec<Tag>,
}

/// Another bundle in the same place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Other {
    /// Its digest.
    pub digest: Digest,
    /// The tags that name it, sorted.
    pub tags: Vec<Tag>,
    /// When it was made, as it says itself.
    pub created: Option<String>,
    /// Its blobs.
    pub blobs: Copied,
    /// Those of them that the bundle in question has too.
    pub shared: Copied,
}

/// Finds out what a bundle shares with the others that the tags of its place name: one request a tag.
pub async fn sharing(context: Context<'_>, bundle: &Bundle) -> Result<Sharing, RemoteError> {
    let tags = context.remote.tags().await?;
    let read: Vec<(Tag, Option<OpenedManifest>)> = stream::iter(tags)
        .map(async |tag| {
            let manifest = read(context, &tag).await?;
            Ok::<_, RemoteError>((tag, manifest))
        })
        .buffered(context.concurrency)
        .try_collect()
        .await?;
    let this = Parts::of(bundle);
    let (mut all, mut found) = (this.clone(), Sharing { sum: this.sum(), ..Sharing::default() });
    let mut others: BTreeMap<Digest, Other> = BTreeMap::new();
    for (tag, manifest) in read {
        match manifest {
            None => found.unreadable.push(tag),
            Some(manifest) if manifest.digest == bundle.digest => {}
            Some(manifest) => {
                let other = others.entry(manifest.digest).or_insert_with(|| {
                    let parts = Parts::of_manifest(&manifest);
                    let other = Other::of(&manifest, &this, &parts);
                    found.sum = found.sum.and(other.blobs);
                    all.extend(parts);
                    other
                });
                other.tags.push(tag);
            }
        }
    }
    found.held = all.sum();
    found.others = others.into_values().collect();
    found.others.sort_by(|a, b| b.created.cmp(&a.created).then_with(|| a.tags.cmp(&b.tags)));
    Ok(found)
}

impl Other {
    fn of(manifest: &OpenedManifest, this: &Parts, parts: &Parts) -> Self {
        Self {
            digest: manifest.digest,
            tags: Vec::new(),
            created: manifest.view.annotations.get(annotation::CREATED).cloned(),
            blobs: parts.sum(),
            shared: parts.shared_with(this),
        }
    }
}

/// Reads one manifest; none where it is gone by now, or that of no bundle: one of them must not hide the others.
async fn read(context: Context<'_>, tag: &Tag) -> Result<Option<OpenedManifest>, RemoteError> {
    match open_manifest(context, &Version::Tag(tag.clone())).await {
        Ok(manifest) => Ok(manifest),
        Err(OpenError::Remote(error)) => match error.kind() {
            RemoteErrorKind::Integrity | RemoteErrorKind::NotFound => Ok(None),
            _ => Err(error),
        },
        Err(_) => Ok(None),
    }
}

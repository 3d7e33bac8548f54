//! Listing: which bundles a place has, and which tags name them.

use std::collections::BTreeMap;

use bundle_core::bundle::descriptor::media_type;
use bundle_core::bundle::foreign::attachments_of;
use bundle_core::bundle::manifest::annotation;
use bundle_core::digest::Digest;
use bundle_core::name::reference::{Reference, Tag};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use thiserror::Error;

use crate::bundle::{
    Context, OpenError, OpenedManifest, is_listed, open_index, read_view, resolve, version_of,
};
use crate::client::{Cancelled, Client};
use crate::component::LoadError;
use crate::component::answers::ManifestError;
use crate::remote::error::LayoutError;
use crate::remote::{Intent, Remote, RemoteError, RemoteErrorKind, Version};

/// How a place is listed; there is nothing to choose yet.
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
pub struct ListOptions {}

/// A place that is about to be listed.
#[derive(Debug)]
#[must_use = "nothing is listed before it is applied"]
pub struct Planned {
    client: Client,
    reference: Reference,
    remote: Box<dyn Remote>,
}

/// What a place has.
#[derive(Debug)]
#[non_exhaustive]
pub struct Done {
    /// Its manifests, the newest first.
    pub manifests: Vec<ListedManifest>,
    /// HTTP requests made.
    pub requests: u64,
}

/// The tags of a place.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Tags {
    /// The tags, as the place lists them.
    pub tags: Vec<Tag>,
    /// HTTP requests made.
    pub requests: u64,
}

/// One manifest of a place.
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct ListedManifest {
    /// Its digest; unknown where a registry lists a tag whose manifest it has lost.
    pub digest: Option<Digest>,
    /// The tags that name it.
    pub tags: Vec<Tag>,
    /// When the bundle was made, as it says itself.
    pub created: Option<String>,
    /// How many files it has; unknown where it is no bundle.
    pub files: Option<usize>,
    /// Their bytes in all.
    pub size: Option<u64>,
    /// Its tree digest, as it says itself.
    pub tree: Option<String>,
    /// Its annotations, by key.
    pub annotations: BTreeMap<String, String>,
    /// Why it cannot be read, or what it is instead of a bundle.
    pub fault: Option<ListedFault>,
}

/// Why a manifest that a place lists is none of a bundle that can be read.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ListedFault {
    /// It is of signatures or other attachments of a manifest, by the name of its tag.
    #[error("signatures or other attachments of {}", .0.short())]
    Attachments(Digest),
    /// It is not there.
    #[error("manifest missing")]
    Lost,
    /// It is none of a bundle, or of none that this version reads.
    #[error(transparent)]
    Manifest(ManifestError),
    /// The bundle's index cannot be read.
    #[error(transparent)]
    Open(OpenError),
    /// It is damaged.
    #[error(transparent)]
    Remote(RemoteError),
}

/// Plans to list the place of `reference`, or the one bundle of it that `reference` names.
///
/// # Errors
///
/// The place cannot be opened.
pub fn plan(client: &Client, reference: &Reference, _options: ListOptions) -> Result<Planned, ListError> {
    let remote = client.open(reference, Intent::Read)?;
    Ok(Planned { client: client.clone(), reference: reference.clone(), remote })
}

impl Planned {
    /// Reads the manifests, with one request each, several at the same time.
    ///
    /// # Errors
    ///
    /// There is no such place or bundle, the remote fails, or the client was cancelled.
    pub async fn apply(self) -> Result<Done, ListError> {
        let context = self.client.context(self.remote.as_ref())?;
        let manifests = self.client.unless_cancelled(self.read_all(context)).await?;
        Ok(Done { manifests, requests: self.remote.requests() })
    }

    /// Lists the tags of the place alone, with a single request.
    ///
    /// # Errors
    ///
    /// As [`Self::apply`].
    pub async fn tags(self) -> Result<Tags, ListError> {
        let listing = async {
            let tags = self.remote.tags().await?;
            self.check_place(tags.is_empty()).await?;
            Ok::<_, ListError>(tags)
        };
        let tags = self.client.unless_cancelled(listing).await?;
        Ok(Tags { tags, requests: self.remote.requests() })
    }

    /// The one version that is meant, if one is named.
    fn named(&self) -> Option<Version> {
        let is_named = self.reference.tag.is_some() || self.reference.digest.is_some();
        is_named.then(|| version_of(&self.reference))
    }

    async fn check_place(&self, is_empty: bool) -> Result<(), ListError> {
        if is_empty && !self.remote.is_there().await? {
            return Err(ListError::NoPlace { reference: self.reference.clone() });
        }
        Ok(())
    }

    async fn read_all(&self, context: Context<'_>) -> Result<Vec<ListedManifest>, ListError> {
        if let Some(version) = self.named() {
            let manifests = read_each(context, vec![version.clone()]).await?;
            let is_lost = |manifest: &ListedManifest| matches!(manifest.fault, Some(ListedFault::Lost));
            if manifests.iter().all(is_lost) && !is_listed(self.remote.as_ref(), &version).await? {
                return Err(ListError::NoBundle { reference: self.reference.clone() });
            }
            return Ok(manifests);
        }
        let untagged = self.remote.listed().await?.into_iter().filter(|(_, tag)| tag.is_none());
        let tagged = self.remote.tags().await?.into_iter().map(Version::Tag);
        let versions: Vec<_> = tagged.chain(untagged.map(|(digest, _)| Version::Digest(digest))).collect();
        self.check_place(versions.is_empty()).await?;
        read_each(context, versions).await
    }
}

/// Reads the manifests of `versions` and groups them; the newest first.
async fn read_each(context: Context<'_>, versions: Vec<Version>) -> Result<Vec<ListedManifest>, ListError> {
    let read: Vec<(Version, ListedManifest)> = stream::iter(versions)
        .map(async |version| {
            let manifest = read(context, &version).await?;
            Ok::<_, ListError>((version, manifest))
        })
        .buffered(context.concurrency)
        .try_collect()
        .await?;
    // Tags of unknown manifests may be of different ones.
    let mut grouped: BTreeMap<(Option<Digest>, Option<String>), ListedManifest> = BTreeMap::new();
    for (version, manifest) in read {
        let unknown = manifest.digest.is_none().then(|| version.to_string());
        let manifest = grouped.entry((manifest.digest, unknown)).or_insert(manifest);
        if let Version::Tag(tag) = version {
            manifest.tags.push(tag);
        }
    }
    let mut manifests: Vec<_> = grouped.into_values().collect();
    manifests.sort_by(|a, b| b.created.cmp(&a.created).then_with(|| a.tags.cmp(&b.tags)));
    Ok(manifests)
}

/// Reads one manifest that the place lists. One that is lost or damaged is listed as that: it must not hide the others.
async fn read(context: Context<'_>, version: &Version) -> Result<ListedManifest, ListError> {
    let faulty = async |fault| {
        let digest = listed_digest(context, version).await?;
        Ok(ListedManifest { digest, fault: Some(fault), ..ListedManifest::default() })
    };
    let fetched = match context.remote.manifest(version).await {
        Ok(Some(fetched)) => fetched,
        Ok(None) | Err(RemoteError::Layout(LayoutError::LostManifest { .. })) => {
            return faulty(ListedFault::Lost).await;
        }
        Err(error) if error.kind() == RemoteErrorKind::Integrity => {
            return faulty(ListedFault::Remote(error)).await;
        }
        Err(error) => return Err(error.into()),
    };
    let digest = resolve(context.core, version, &fetched)?;
    let mut listed = ListedManifest { digest: Some(digest), ..ListedManifest::default() };
    // What is no bundle is listed as such.
    if let Version::Tag(tag) = version
        && let Some(subject) = attachments_of(tag)
    {
        listed.fault = Some(ListedFault::Attachments(subject));
        return Ok(listed);
    }
    match read_view(context.core, &fetched.bytes) {
        Ok(view) => {
            let annotation = |key: &str| view.annotations.get(key).cloned();
            listed.created = annotation(annotation::CREATED);
            listed.tree = annotation(annotation::TREE);
            listed.annotations = view.annotations.clone().into_iter().collect();
            match amount(context, OpenedManifest { digest, bytes: fetched.bytes, view }).await {
                Ok((files, size)) => (listed.files, listed.size) = (Some(files), Some(size)),
                Err(error) => listed.fault = Some(ListedFault::Open(error)),
            }
        }
        Err(error) => listed.fault = Some(ListedFault::Manifest(error)),
    }
    Ok(listed)
}

/// The digest that `version` is or names, as far as that is known without the manifest.
async fn listed_digest(context: Context<'_>, version: &Version) -> Result<Option<Digest>, RemoteError> {
    match version {
        Version::Digest(digest) => Ok(Some(*digest)),
        Version::Tag(tag) => context.remote.listed_digest(tag).await,
    }
}

/// How many files a bundle has, and how many bytes in all.
async fn amount(context: Context<'_>, manifest: OpenedManifest) -> Result<(usize, u64), OpenError> {
    if manifest.view.index.media_type == media_type::INDEX_V1 {
        let layers = manifest.view.layers.iter();
        let titled = layers.filter(|layer| layer.annotations.contains_key(annotation::TITLE));
        return Ok(titled.fold((0, 0), |(files, size), layer| (files + 1, size + layer.size)));
    }
    // Only the index knows; a small one has come along.
    let bundle = open_index(context, manifest).await?;
    Ok((bundle.files().len(), bundle.index_view.total_size))
}

/// Why a place could not be listed.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ListError {
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
    /// There is no such place.
    #[error("there is nothing at {reference}")]
    NoPlace {
        /// What was named.
        reference: Reference,
    },
    /// What the remote answered is not what was asked for.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The remote failed.
    #[error(transparent)]
    Remote(#[from] RemoteError),
}

//! A bundle on a remote, opened: its documents as exact bytes, and the views that the core has of them.

use std::collections::BTreeMap;
use std::sync::Arc;

use bundle_core::bundle::foreign::{self, Foreign};
use bundle_core::bundle::index::BundleIndex;
use bundle_core::digest::Digest;
use bundle_core::file::{ByPath, File};
use bundle_core::name::reference::{Reference, Tag};
use bundle_core::plan::fetch::{Disproportion, check_proportion};
use bytes::Bytes;
use thiserror::Error;
use tracing::info;

use crate::component::Core;
use crate::component::answers::{IndexError, IndexView, ManifestError, ManifestView, ResolveError};
use crate::progress::Progress;
use crate::project::{Project, index_cache};
use crate::remote::{FetchedManifest, Remote, RemoteError, Version, read_small_blob};

/// The largest index that is fetched, in bytes; the core reads none that is larger.
const MAX_INDEX_BYTES: u64 = bundle_core::bundle::index::MAX_INDEX_BYTES as u64;

/// Who decides, and whom to ask.
#[derive(Clone, Copy)]
pub struct Context<'a> {
    /// What decides.
    pub core: &'a Core,
    /// Where bundles lie.
    pub remote: &'a dyn Remote,
    /// How many transfers run at the same time.
    pub concurrency: usize,
    /// What bundles may claim.
    pub claims: Claims,
    /// A project whose cache may keep what is learnt of bundles.
    pub cache: Option<&'a Project>,
    /// Who is told how it gets on.
    pub progress: &'a Arc<dyn Progress>,
}

/// What a bundle may claim of the sizes of its files before the first byte of them is here.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Claims {
    /// What is plausible for what is stored of it, and fits on the disk.
    #[default]
    Plausible,
    /// Anything: the user said so.
    Any,
}

impl<'a> Context<'a> {
    /// The same, with the cache of `project`.
    #[must_use]
    pub fn with_cache(self, project: &'a Project) -> Self {
        Self { cache: Some(project), ..self }
    }
}

/// A bundle whose documents are here; its files' content is not.
#[derive(Clone, Debug)]
pub struct Bundle {
    /// Its digest: the hash of its manifest.
    pub digest: Digest,
    /// The manifest's exact bytes.
    pub manifest: Bytes,
    /// The index's exact text, where it says something that the next one has to carry over.
    pub carried: Option<String>,
    /// What the manifest says.
    pub manifest_view: ManifestView,
    /// What the index says.
    pub index_view: IndexView,
}

impl Bundle {
    /// Refuses a bundle whose files are too large for what is stored of them, unless that was allowed.
    pub(crate) fn check_claims(&self, claims: Claims) -> Result<(), Disproportion> {
        let blobs: BTreeMap<Digest, u64> =
            self.manifest_view.layers.iter().map(|layer| (layer.digest, layer.size)).collect();
        match claims {
            Claims::Any => Ok(()),
            Claims::Plausible => {
                check_proportion(self.files().iter().map(|file| file.size), blobs.into_values())
            }
        }
    }

    /// Its files.
    pub fn files(&self) -> &ByPath<File> {
        &self.index_view.files
    }
}

/// The version that `reference` names: a digest, a tag, or else the tag `latest`.
pub fn version_of(reference: &Reference) -> Version {
    match (&reference.digest, &reference.tag) {
        (Some(digest), _) => Version::Digest(*digest),
        (None, Some(tag)) => Version::Tag(tag.clone()),
        (None, None) => Version::Tag(Tag::latest()),
    }
}

/// The manifest of a bundle, which says where the rest is.
#[derive(Clone, Debug)]
pub struct OpenedManifest {
    /// The bundle's digest: the hash of the bytes.
    pub digest: Digest,
    /// Its exact bytes.
    pub bytes: Bytes,
    /// What it says.
    pub view: ManifestView,
}

/// Opens the bundle that `version` names; `None` where there is none.
///
/// # Errors
///
/// Refuses whatever is not exactly what was asked for or said, and whatever is no bundle.
pub async fn open(context: Context<'_>, version: &Version) -> Result<Option<Bundle>, OpenError> {
    match open_manifest(context, version).await? {
        Some(manifest) => open_index(context, manifest).await.map(Some),
        None => Ok(None),
    }
}

/// The first half of [`open`]: the manifest alone.
pub async fn open_manifest(
    context: Context<'_>,
    version: &Version,
) -> Result<Option<OpenedManifest>, OpenError> {
    let Some(fetched) = context.remote.manifest(version).await? else { return Ok(None) };
    let digest = resolve(context.core, version, &fetched)?;
    match read_view(context.core, &fetched.bytes) {
        Ok(view) => Ok(Some(OpenedManifest { digest, bytes: fetched.bytes, view })),
        Err(ManifestError::NotABundle(foreign)) => {
            let foreign = under(version, foreign);
            Err(OpenError::NotABundle { reference: version.at(context.remote.place()), foreign })
        }
        Err(error) => Err(error.into()),
    }
}

/// The second half of [`open`]: the index that the manifest names.
pub async fn open_index(context: Context<'_>, manifest: OpenedManifest) -> Result<Bundle, OpenError> {
    let OpenedManifest { digest, bytes: manifest, view: manifest_view } = manifest;
    let (index_view, carried) = read_index(context, &digest, &manifest_view).await?;
    Ok(Bundle { digest, manifest, manifest_view, index_view, carried })
}

/// What the index of the bundle `digest` says, and its text where that is still needed.
async fn read_index(
    context: Context<'_>,
    digest: &Digest,
    manifest: &ManifestView,
) -> Result<(IndexView, Option<String>), OpenError> {
    let cache = context.cache.map(|project| (project, context.core.digest()));
    if let Some((project, core)) = &cache
        && let Some(view) = index_cache::read(project, core, digest)
    {
        return Ok((view, None));
    }
    let index = match &manifest.index_data {
        Some(index) => index.clone(),
        None => {
            let bytes = read_small_blob(context.remote, &manifest.index, MAX_INDEX_BYTES).await?;
            // The core's own code, called natively: in the component the same takes several times as long.
            BundleIndex::text(&bytes, &manifest.index.media_type)?
        }
    };
    // Both ways of getting it here have checked its digest and size.
    let view = context.core.read_verified_index(&index, &manifest.layers)?;
    if let Some((project, core)) = &cache {
        index_cache::keep(project, core, digest, &view);
    }
    let carried = (!view.is_plain).then_some(index);
    Ok((view, carried))
}

/// The digest of a manifest that came, when it may be believed.
pub fn resolve(core: &Core, version: &Version, fetched: &FetchedManifest) -> Result<Digest, OpenError> {
    let pinned = match version {
        Version::Digest(digest) => Some(*digest),
        Version::Tag(_) => None,
    };
    let resolved = core.resolve(fetched.digest, fetched.declared_digest.as_deref(), pinned)?;
    if let Some(warning) = resolved.warning {
        // Nobody has to do anything about it: what came is verified by its own hash.
        info!("{warning}");
    }
    Ok(resolved.digest)
}

/// What a manifest says. One that is no text is no bundle's.
pub fn read_view(core: &Core, manifest: &[u8]) -> Result<ManifestView, ManifestError> {
    match std::str::from_utf8(manifest) {
        Ok(text) => core.read_manifest(text),
        Err(_) => Err(ManifestError::NotABundle(foreign::describe(manifest))),
    }
}

/// What something is that is no bundle, by what it says itself and by the tag that it was found under.
pub(crate) fn under(version: &Version, foreign: Foreign) -> Foreign {
    match version {
        Version::Tag(tag) => foreign.under(tag),
        Version::Digest(_) => foreign,
    }
}

/// Whether the place lists what `version` names, whatever became of its manifest.
pub async fn is_listed(remote: &dyn Remote, version: &Version) -> Result<bool, RemoteError> {
    match version {
        Version::Tag(tag) => Ok(remote.tags().await?.contains(tag)),
        Version::Digest(digest) => Ok(remote.listed().await?.iter().any(|(listed, _)| listed == digest)),
    }
}

/// Why a bundle could not be opened.
#[derive(Debug, Error)]
pub enum OpenError {
    /// The bytes of the index are no text, compressed or not.
    #[error(transparent)]
    IndexText(#[from] bundle_core::bundle::index::IndexError),
    /// The index cannot be taken.
    #[error(transparent)]
    Index(#[from] IndexError),
    /// The manifest cannot be taken.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    /// It is the manifest of something else.
    #[error("{reference} is not a bundle but {foreign}")]
    NotABundle {
        /// What was to be opened.
        reference: Reference,
        /// What it is.
        foreign: Foreign,
    },
    /// The remote failed.
    #[error(transparent)]
    Remote(#[from] RemoteError),
    /// The remote's answer is not what was asked for.
    #[error(transparent)]
    Resolve(#[from] ResolveError),
}

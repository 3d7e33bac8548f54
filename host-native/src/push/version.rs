//! Which version a push publishes: the facts are gathered here, the core decides.

use bundle_core::diff::Sides;
use bundle_core::file::{ByPath, File};
use bundle_core::name::reference::Tag;
use bundle_core::plan::version::{Bump, Difference, Version, VersionDecision, VersionFacts};
use thiserror::Error;

use crate::bundle::{Bundle, Context, OpenError, open};
use crate::component::CoreError;
use crate::component::answers::{FactsError, VersionError};
use crate::remote::{self, RemoteError};

/// The highest version at a place.
#[derive(Clone, Debug)]
pub struct Highest {
    /// The version.
    pub version: Version,
    /// Its bundle; none where a registry lists the tag and has forgotten what it names.
    pub bundle: Option<Bundle>,
}

/// Finds the highest version at the place of `context`, if there is one.
pub async fn find_highest(context: Context<'_>) -> Result<Option<Highest>, PlanVersionError> {
    let tags = context.remote.tags().await?;
    let Some(version) = context.core.highest_version(&tags)? else { return Ok(None) };
    let tag = Tag::from(&version);
    match open(context, &remote::Version::Tag(tag.clone())).await {
        Ok(bundle) => Ok(Some(Highest { version, bundle })),
        Err(source) => Err(PlanVersionError::Open { tag, source }),
    }
}

/// The version that a push publishes, or why it publishes none.
#[derive(Clone, Debug)]
#[must_use]
pub enum PlannedVersion {
    /// This one, whose tag must not be there yet.
    Publish(Tag),
    /// The highest version has the very same files.
    Unchanged {
        /// The tag of that version.
        tag: Tag,
        /// Its bundle.
        bundle: Box<Bundle>,
    },
}

/// Decides which version a push of `files` publishes after `highest`.
pub fn plan_version(
    context: Context<'_>,
    highest: Option<Highest>,
    files: &ByPath<File>,
    bump: Bump,
) -> Result<PlannedVersion, PlanVersionError> {
    let (highest, bundle) = highest.map(|Highest { version, bundle }| (version, bundle)).unzip();
    let bundle = bundle.flatten();
    let difference = bundle.as_ref().map(|bundle| difference(context, bundle, files)).transpose()?;
    match (context.core.next_version(&VersionFacts { highest, bump, difference })?, bundle) {
        (VersionDecision::Publish(version), _) => Ok(PlannedVersion::Publish(Tag::from(&version))),
        (VersionDecision::Unchanged(version), Some(bundle)) => {
            Ok(PlannedVersion::Unchanged { tag: Tag::from(&version), bundle: Box::new(bundle) })
        }
        (VersionDecision::Unchanged(version), None) => {
            let reason = format!("it takes the files of `{version}` for known");
            Err(CoreError::Answer { reason }.into())
        }
    }
}

fn difference(
    context: Context<'_>,
    bundle: &Bundle,
    files: &ByPath<File>,
) -> Result<Difference, PlanVersionError> {
    // What the project has synced does not matter: only what is in both trees does.
    let (base, tracked) = (ByPath::default(), files.iter().map(|file| file.path.clone()).collect());
    let sides = Sides { local: files, remote: bundle.files(), base: &base, tracked: &tracked };
    Ok(Difference::of(&context.core.diff(sides)?))
}

/// Why it could not be decided which version a push publishes.
#[derive(Debug, Error)]
pub enum PlanVersionError {
    /// The core could not be asked.
    #[error(transparent)]
    Core(#[from] CoreError),
    /// The core refuses the files.
    #[error(transparent)]
    Facts(#[from] FactsError),
    /// The bundle of the highest version cannot be opened.
    #[error("the highest version, `{tag}`, cannot be opened")]
    Open {
        /// Its tag.
        tag: Tag,
        /// Why not.
        source: OpenError,
    },
    /// The remote failed.
    #[error(transparent)]
    Remote(#[from] RemoteError),
    /// There is no next version.
    #[error(transparent)]
    Version(#[from] VersionError),
}

//! Interface `version`.

use bundle_core::plan::version::{Bump, Difference, Version, VersionDecision};

use crate::component::answers::VersionError;
use crate::component::generated::exports::modelops::bundle::version;

use super::{Answer, fault};

pub(in crate::component) fn version(text: &str) -> Answer<Version> {
    let version = text.parse().ok().and_then(|tag| Version::of(&tag));
    version.ok_or_else(|| fault(format!("`{}` is no version", text.escape_debug())))
}

impl From<Bump> for version::Bump {
    fn from(bump: Bump) -> Self {
        match bump {
            Bump::Auto => Self::Auto,
            Bump::Patch => Self::Patch,
            Bump::Minor => Self::Minor,
            Bump::Major => Self::Major,
        }
    }
}

impl From<Difference> for version::Difference {
    fn from(Difference { added, deleted, changed }: Difference) -> Self {
        Self { added, deleted, changed }
    }
}

pub(in crate::component) fn version_decision(decision: &version::VersionDecision) -> Answer<VersionDecision> {
    Ok(match decision {
        version::VersionDecision::Publish(next) => VersionDecision::Publish(version(next)?),
        version::VersionDecision::Unchanged(highest) => VersionDecision::Unchanged(version(highest)?),
    })
}

impl From<version::VersionError> for VersionError {
    fn from(error: version::VersionError) -> Self {
        match error {
            version::VersionError::Exhausted(highest) => Self::Exhausted { highest },
            version::VersionError::Highest(fault) => Self::Highest(fault.into()),
            version::VersionError::Other(reason) => Self::Other(reason),
            version::VersionError::Unknown(highest) => Self::Unknown { highest },
        }
    }
}

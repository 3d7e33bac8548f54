//! Interface `version`.

use bundle_core::plan::version::{Bump, Difference, Version, VersionDecision, VersionError, VersionFacts};

use crate::generated::exports::modelops::bundle::version;

use super::types::fault;

impl TryFrom<version::VersionFacts> for VersionFacts {
    type Error = version::VersionError;

    fn try_from(facts: version::VersionFacts) -> Result<Self, version::VersionError> {
        Ok(Self {
            highest: facts.highest.map(released).transpose()?,
            bump: match facts.bump {
                version::Bump::Auto => Bump::Auto,
                version::Bump::Patch => Bump::Patch,
                version::Bump::Minor => Bump::Minor,
                version::Bump::Major => Bump::Major,
            },
            difference: facts.difference.map(|version::Difference { added, deleted, changed }| Difference {
                added,
                deleted,
                changed,
            }),
        })
    }
}

fn released(text: String) -> Result<Version, version::VersionError> {
    Version::released(&text).map_err(|error| version::VersionError::Highest(fault(text, &error)))
}

impl From<VersionDecision> for version::VersionDecision {
    fn from(decision: VersionDecision) -> Self {
        match decision {
            VersionDecision::Publish(version) => Self::Publish(version.to_string()),
            VersionDecision::Unchanged(version) => Self::Unchanged(version.to_string()),
        }
    }
}

impl From<VersionError> for version::VersionError {
    fn from(error: VersionError) -> Self {
        match error {
            VersionError::Exhausted { highest } => Self::Exhausted(highest.to_string()),
            VersionError::Unknown { highest } => Self::Unknown(highest.to_string()),
        }
    }
}

//! Interface `digest`.

use bundle_core::bundle::resolve::{ResolveError, Resolved};
use bundle_core::digest::Digest;

use crate::generated::exports::modelops::bundle::digest;

impl From<Resolved> for digest::Resolved {
    fn from(resolved: Resolved) -> Self {
        Self { digest: resolved.digest.into(), warning: resolved.warning }
    }
}

impl From<ResolveError> for digest::ResolveError {
    fn from(error: ResolveError) -> Self {
        let differing = |expected: Digest, actual: Digest| digest::Differing {
            expected: expected.into(),
            actual: actual.into(),
        };
        match error {
            ResolveError::Declared { text } => Self::Declared(text),
            ResolveError::DeclaredDiffers { expected, actual } => {
                Self::DeclaredDiffers(differing(expected, actual))
            }
            ResolveError::PinnedDiffers { expected, actual } => {
                Self::PinnedDiffers(differing(expected, actual))
            }
        }
    }
}

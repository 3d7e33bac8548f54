//! Interface `digest`.

use bundle_core::bundle::resolve::Resolved;

use crate::component::answers::ResolveError;
use crate::component::generated::exports::modelops::bundle::digest;

use super::Answer;
use super::types::digest;

pub(in crate::component) fn resolved(resolved: digest::Resolved) -> Answer<Resolved> {
    Ok(Resolved { digest: digest(&resolved.digest)?, warning: resolved.warning })
}

pub(in crate::component) fn resolve_error(error: digest::ResolveError) -> ResolveError {
    let differing =
        |differing: digest::Differing| Ok((digest(&differing.expected)?, digest(&differing.actual)?));
    match error {
        digest::ResolveError::Declared(text) => ResolveError::Declared { text },
        digest::ResolveError::DeclaredDiffers(digests) => match differing(digests) {
            Ok((expected, actual)) => ResolveError::DeclaredDiffers { expected, actual },
            Err(error) => ResolveError::Core(error),
        },
        digest::ResolveError::PinnedDiffers(digests) => match differing(digests) {
            Ok((expected, actual)) => ResolveError::PinnedDiffers { expected, actual },
            Err(error) => ResolveError::Core(error),
        },
        digest::ResolveError::Actual(reason)
        | digest::ResolveError::Pinned(reason)
        | digest::ResolveError::Other(reason) => ResolveError::Other(reason),
    }
}

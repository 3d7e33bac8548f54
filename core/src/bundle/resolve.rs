//! Whether a remote's answer to a request for a manifest can be used.

use thiserror::Error;

use crate::digest::{Digest, DigestError};

/// What a remote's answer to "give me this manifest" is worth.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resolved {
    /// The manifest's digest: the hash of the bytes that came.
    pub digest: Digest,
    /// What to log, where the remote sent no digest that could be checked.
    pub warning: Option<String>,
}

/// Decides the digest of a manifest that came from a remote.
///
/// `actual` is the hash of the raw bytes, `declared` the header `Docker-Content-Digest` as it came, `pinned` the
/// digest in the reference that was asked for.
pub fn resolve(
    actual: Digest,
    declared: Option<&str>,
    pinned: Option<Digest>,
) -> Result<Resolved, ResolveError> {
    if let Some(expected) = pinned.filter(|pinned| *pinned != actual) {
        return Err(ResolveError::PinnedDiffers { expected, actual });
    }
    let warning = match declared.map(str::parse::<Digest>) {
        Some(Ok(expected)) if expected == actual => None,
        Some(Ok(expected)) => return Err(ResolveError::DeclaredDiffers { expected, actual }),
        Some(Err(DigestError::UnknownAlgorithm { algorithm })) => Some(format!(
            "the remote named the manifest by {algorithm}, which is not checked; {actual} is the hash of its bytes"
        )),
        Some(Err(_)) if declared.is_some_and(|text| !text.is_empty()) => {
            return Err(ResolveError::Declared { text: declared.unwrap_or_default().to_owned() });
        }
        _ => Some(format!("the remote sent no digest with the manifest; {actual} is the hash of its bytes")),
    };
    Ok(Resolved { digest: actual, warning })
}

/// Why a remote's answer must not be used.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ResolveError {
    /// The header is no digest.
    #[error("the remote's digest `{}` is not one", text.escape_default())]
    Declared {
        /// The header as it came.
        text: String,
    },
    /// The header names other bytes than those that came.
    #[error("the remote says that the manifest is {expected}, but its bytes are {actual}")]
    DeclaredDiffers {
        /// What the header says.
        expected: Digest,
        /// The hash of the bytes.
        actual: Digest,
    },
    /// The bytes are not those that the reference pins.
    #[error("the reference names the manifest {expected}, but the remote sent {actual}")]
    PinnedDiffers {
        /// What the reference says.
        expected: Digest,
        /// The hash of the bytes.
        actual: Digest,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn believes_only_what_the_bytes_prove() {
        let (digest, other) = (Digest::of(b"a"), Digest::of(b"b"));
        let (text, other_text) = (digest.to_string(), other.to_string());
        assert_eq!(resolve(digest, Some(&text), Some(digest)), Ok(Resolved { digest, warning: None }));
        for unchecked in [None, Some(""), Some("sha512:00")] {
            assert!(resolve(digest, unchecked, None).unwrap().warning.is_some(), "{unchecked:?}");
        }
        assert!(matches!(
            resolve(digest, Some(&other_text), None),
            Err(ResolveError::DeclaredDiffers { .. })
        ));
        assert!(matches!(resolve(digest, Some("junk"), None), Err(ResolveError::Declared { .. })));
        assert!(matches!(resolve(digest, Some(&text), Some(other)), Err(ResolveError::PinnedDiffers { .. })));
    }
}

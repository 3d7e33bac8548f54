//! What can go wrong with bytes that have a digest, a size or a limit.

use std::path::PathBuf;

use bundle_core::digest::Digest;
use thiserror::Error;

/// Why bytes, of a blob or of a document, are not what they should be.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum BlobError {
    /// The file is not, or no longer, what its descriptor says.
    #[error("`{}` changed while it was read", path.display())]
    ChangedWhileRead {
        /// The file.
        path: PathBuf,
    },
    /// Bytes do not have the digest by which they were asked for.
    #[error("{}", other_digest(what, expected, actual))]
    Digest {
        /// What the bytes are of.
        what: String,
        /// The digest that was asked for or declared.
        expected: Digest,
        /// The digest of the bytes.
        actual: Digest,
    },
    /// Bytes are fewer or more than announced.
    #[error("{what} should have {expected} bytes and has {actual}{}", if *actual > *expected { " or more" } else { "" })]
    Size {
        /// What the bytes are of.
        what: String,
        /// How many were announced.
        expected: u64,
        /// How many came; reading stops soon after the announced size.
        actual: u64,
    },
    /// More bytes than this program takes for such a thing.
    #[error("{what} is larger than {limit} bytes")]
    TooLarge {
        /// What was asked for.
        what: String,
        /// The most that is taken.
        limit: u64,
    },
}

/// Names a digest once where `what` holds it already.
fn other_digest(what: &str, expected: &Digest, actual: &Digest) -> String {
    if what.ends_with(&expected.to_string()) {
        format!("{what} has the bytes of {actual}")
    } else {
        format!("{what} should be {expected} and is {actual}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_digest_is_named_once() {
        let (expected, actual) = (Digest::of(b"x"), Digest::of(b"y"));
        let error = |what: String| BlobError::Digest { what, expected, actual }.to_string();
        assert_eq!(error(format!("blob {expected}")), format!("blob {expected} has the bytes of {actual}"));
        assert_eq!(
            error("manifest v1".to_owned()),
            format!("manifest v1 should be {expected} and is {actual}")
        );
    }
}

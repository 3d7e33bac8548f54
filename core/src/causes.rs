//! Errors as one line of text.

use std::error::Error;

/// An error and its causes in one line: what failed, then why.
pub fn with_causes(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::digest::{Digest, DigestError};

    #[test]
    fn every_cause_follows_what_it_caused() {
        #[derive(Debug, thiserror::Error)]
        #[error("the pin cannot be read")]
        struct Outer(#[source] DigestError);

        let cause = "latest".parse::<Digest>().unwrap_err();
        assert_eq!(with_causes(&cause), cause.to_string());
        assert_eq!(with_causes(&Outer(cause.clone())), format!("the pin cannot be read: {cause}"));
    }
}

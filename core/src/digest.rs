//! Content digests: the SHA-256 of some bytes, and the hasher that makes one piece by piece.
//!
//! The text form is that of the OCI image-spec, `sha256:` and 64 lower-case hex digits
//! (<https://github.com/opencontainers/image-spec/blob/v1.1.0/descriptor.md#digests>).

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use thiserror::Error;

/// The SHA-256 of some content.
///
/// Compares by its bytes, which is also the order of its text form.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Digest([u8; 32]);

impl Digest {
    /// The digest of no bytes at all.
    pub const EMPTY: Self = Self([
        0xe3, 0xb0, 0xc4, 0x42, 0x98, 0xfc, 0x1c, 0x14, 0x9a, 0xfb, 0xf4, 0xc8, 0x99, 0x6f, 0xb9, 0x24, 0x27,
        0xae, 0x41, 0xe4, 0x64, 0x9b, 0x93, 0x4c, 0xa4, 0x95, 0x99, 0x1b, 0x78, 0x52, 0xb8, 0x55,
    ]);

    /// Hashes `content` in one go.
    pub fn of(content: &[u8]) -> Self {
        Self(Sha256::digest(content).into())
    }

    /// Takes the 32 bytes of a SHA-256 that was computed elsewhere.
    pub const fn from_sha256(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The 32 bytes of the hash.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// The 64 lower-case hex digits, without the algorithm: the name of a blob file in an OCI image layout.
    pub fn hex(&self) -> String {
        self.to_string().split_off(PREFIX.len())
    }

    /// The first twelve hex digits, for people.
    pub fn short(&self) -> String {
        let mut hex = self.hex();
        hex.truncate(12);
        hex
    }
}

const PREFIX: &str = "sha256:";
const HEX: &[u8; 16] = b"0123456789abcdef";

impl fmt::Display for Digest {
    #[expect(clippy::indexing_slicing, reason = "pairs have two bytes, and half a byte is below 16")]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = [0; PREFIX.len() + 64];
        let (prefix, hex) = text.split_at_mut(PREFIX.len());
        prefix.copy_from_slice(PREFIX.as_bytes());
        for (pair, byte) in hex.chunks_exact_mut(2).zip(self.0) {
            pair[0] = HEX[usize::from(byte >> 4)];
            pair[1] = HEX[usize::from(byte & 15)];
        }
        f.pad(std::str::from_utf8(&text).map_err(|_| fmt::Error)?)
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Digest({self})")
    }
}

impl FromStr for Digest {
    type Err = DigestError;

    #[expect(clippy::indexing_slicing, reason = "pairs have two bytes, and there are 256 nibbles")]
    fn from_str(text: &str) -> Result<Self, DigestError> {
        let Some(hex) = text.strip_prefix(PREFIX) else {
            return Err(match text.split_once(':') {
                Some((algorithm, _)) if is_algorithm(algorithm) => {
                    DigestError::UnknownAlgorithm { algorithm: algorithm.to_owned() }
                }
                _ => DigestError::NoAlgorithm,
            });
        };
        if hex.len() != 64 {
            return Err(DigestError::Length { found: hex.len() });
        }
        let mut bytes = [0; 32];
        for (byte, pair) in bytes.iter_mut().zip(hex.as_bytes().chunks_exact(2)) {
            let (high, low) = (NIBBLES[usize::from(pair[0])], NIBBLES[usize::from(pair[1])]);
            // Checked once a byte, because an index holds many thousands of these.
            if high | low > 15 {
                return Err(DigestError::NotLowerHex);
            }
            *byte = high << 4 | low;
        }
        Ok(Self(bytes))
    }
}

fn is_algorithm(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= 32
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"+._-".contains(&b))
}

/// What each byte stands for as a hex digit; more than 15 where it is none.
#[expect(clippy::indexing_slicing, reason = "worked out when this is compiled: it would not be")]
const NIBBLES: [u8; 256] = {
    let mut nibbles = [u8::MAX; 256];
    let mut value: u8 = 0;
    while value < 16 {
        nibbles[HEX[value as usize] as usize] = value;
        value += 1;
    }
    nibbles
};

impl TryFrom<String> for Digest {
    type Error = DigestError;

    fn try_from(text: String) -> Result<Self, DigestError> {
        text.parse()
    }
}

impl From<Digest> for String {
    fn from(digest: Digest) -> Self {
        digest.to_string()
    }
}

/// Why a text is no digest that a bundle may hold.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum DigestError {
    /// The text does not start with an algorithm and a colon.
    #[error("a digest starts with `sha256:`")]
    NoAlgorithm,
    /// The hex part has a wrong length.
    #[error("a sha256 digest has 64 hex digits, this one has {found}")]
    Length {
        /// How many bytes follow the colon.
        found: usize,
    },
    /// A character is not one of `0-9a-f`.
    #[error("a digest is written in lower-case hex digits")]
    NotLowerHex,
    /// The algorithm is well formed, but not one that bundles use.
    #[error("the digest algorithm `{algorithm}` is not supported, bundles use sha256")]
    UnknownAlgorithm {
        /// The algorithm's name.
        algorithm: String,
    },
}

/// Hashes content that comes piece by piece, and counts it.
#[derive(Clone, Debug, Default)]
pub struct Hasher {
    state: Sha256,
    length: u64,
}

impl Hasher {
    /// Starts on empty content.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes the next piece.
    pub fn update(&mut self, piece: &[u8]) {
        self.state.update(piece);
        self.length += piece.len() as u64;
    }

    /// How many bytes it has taken.
    pub fn length(&self) -> u64 {
        self.length
    }

    /// The digest of all that it has taken.
    pub fn finish(self) -> Digest {
        Digest(self.state.finalize().into())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn known_answers() {
        // FIPS 180-4 examples: the empty message and "abc".
        let empty = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        let abc = "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(Digest::of(b"").to_string(), empty);
        assert_eq!(Digest::of(b""), Digest::EMPTY);
        assert_eq!(Digest::of(b"abc").to_string(), abc);
        assert_eq!(abc.parse(), Ok(Digest::of(b"abc")));
        assert_eq!(Digest::of(b"abc").short(), "ba7816bf8f01");
    }

    #[test]
    fn refuses_what_is_no_digest() {
        let upper = Digest::of(b"").to_string().to_uppercase().replace("SHA256", "sha256");
        for (text, fault) in [
            ("", DigestError::NoAlgorithm),
            ("e3b0c442", DigestError::NoAlgorithm),
            ("../x:abc", DigestError::NoAlgorithm),
            ("sha512:00", DigestError::UnknownAlgorithm { algorithm: "sha512".to_owned() }),
            ("sha256:../../x", DigestError::Length { found: 7 }),
            (&format!("sha256:{}", "0".repeat(63)), DigestError::Length { found: 63 }),
            (&format!("sha256:{}", "g".repeat(64)), DigestError::NotLowerHex),
            (&upper, DigestError::NotLowerHex),
        ] {
            assert_eq!(text.parse::<Digest>(), Err(fault), "{text}");
        }
    }

    proptest! {
        #[test]
        fn pieces_hash_like_the_whole(content: Vec<u8>, cut: prop::sample::Index) {
            let cut = cut.index(content.len() + 1);
            let mut hasher = Hasher::new();
            hasher.update(&content[..cut]);
            hasher.update(&content[cut..]);
            prop_assert_eq!(hasher.length(), content.len() as u64);
            prop_assert_eq!(hasher.finish(), Digest::of(&content));
        }

        #[test]
        fn text_order_is_byte_order(a: [u8; 32], b: [u8; 32]) {
            let (a, b) = (Digest::from_sha256(a), Digest::from_sha256(b));
            prop_assert_eq!(a.cmp(&b), a.to_string().cmp(&b.to_string()));
            prop_assert_eq!(a.to_string().parse(), Ok(a));
        }
    }
}

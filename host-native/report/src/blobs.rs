//! How much goes over the network.

use serde::{Deserialize, Serialize};

/// A number of blobs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BlobsReport {
    /// How many.
    pub blobs: u64,
    /// Their bytes.
    pub bytes: u64,
}

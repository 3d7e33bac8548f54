//! The names of the two files that every image layout has.

/// The list of manifests.
pub(crate) const INDEX_FILE: &str = "index.json";

/// The file that marks an image layout as one.
pub(crate) const MARKER_FILE: &str = "oci-layout";

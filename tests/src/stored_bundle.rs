//! A bundle as it lies in an OCI layout, read past the program.

use crate::project::TestProject;
use bundle_core::bundle::index::BundleIndex;
use bundle_core::bundle::manifest::Manifest;
use serde_json::Value;
use std::fs;

/// A bundle as it lies in the OCI layout beside a project.
pub struct StoredBundle {
    /// Its index.
    pub index: BundleIndex,
    manifest: Manifest,
}

impl StoredBundle {
    /// Reads the bundle that a push from `project` has reported.
    #[track_caller]
    pub fn of(project: &TestProject, report: &Value) -> Self {
        let blob = |digest: &str| {
            let hex = digest.strip_prefix("sha256:").expect("digests are SHA-256");
            let path = project.home().join("layout/blobs/sha256").join(hex);
            fs::read(&path).unwrap_or_else(|error| panic!("cannot read {}: {error}", path.display()))
        };
        let digest = report["digest"].as_str().expect("a push reports a digest");
        let manifest = Manifest::parse(&blob(digest)).expect("a manifest is stored");
        let index = blob(&manifest.config.digest.to_string());
        let text = BundleIndex::text(&index, &manifest.config.media_type).expect("an index is stored");
        Self { index: BundleIndex::parse(text.as_bytes()).expect("an index is stored"), manifest }
    }

    /// The layers, which are exactly the packs.
    #[track_caller]
    pub fn packs(&self) -> Vec<String> {
        let layers: Vec<String> = self.manifest.layers.iter().map(|layer| layer.digest.to_string()).collect();
        let packs: Vec<String> = self.index.packs.iter().map(|pack| pack.digest.to_string()).collect();
        assert_eq!(layers, packs);
        packs
    }
}

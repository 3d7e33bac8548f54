//! What lies beside bundles in a repository: manifests of other tools, told apart by what they say of themselves.
//!
//! A manifest is a bundle's if it says so: by its `artifactType`, or by the type of its config. Only then can it be a
//! damaged bundle; everything else is simply none.

use std::fmt;

use serde_json::Value;

use crate::bundle::descriptor::media_type;
use crate::canonical;
use crate::digest::Digest;
use crate::name::reference::Tag;

/// What the media type and artifact type of everything of ours start with.
const OURS: &str = "application/vnd.modelops.bundle.";

/// Docker's list of manifests, its counterpart of the OCI image index.
const DOCKER_LIST: &str = "application/vnd.docker.distribution.manifest.list.v2+json";

/// The configs of container images, OCI's and Docker's.
const IMAGE_CONFIGS: [&str; 2] =
    ["application/vnd.oci.image.config.v1+json", "application/vnd.docker.container.image.v1+json"];

/// The config of a Helm chart.
const HELM_CONFIG: &str = "application/vnd.cncf.helm.config.v1+json";

/// The longest type that is repeated to a person, in characters: none in use comes near it.
const LONGEST_TYPE: usize = 200;

/// The kinds of manifest that are not a bundle's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ForeignKind {
    /// An artifact of another type, of a single manifest.
    Artifact,
    /// An artifact that is attached to another manifest: a signature, an attestation, an SBOM.
    Attachment,
    /// JSON that is no manifest of any version.
    Document,
    /// A Helm chart.
    HelmChart,
    /// A container image.
    Image,
    /// A list of several manifests: an OCI image index or Docker's manifest list.
    ImageIndex,
    /// A container image in Docker's manifest of version 1.
    ImageSchema1,
    /// Not JSON at all.
    NotJson,
}

/// A manifest that does not say it is a bundle's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Foreign {
    /// What it is.
    pub kind: ForeignKind,
    /// Its `artifactType`, else the type of its config, else its own media type, as it says; at most 200 characters.
    pub says: Option<String>,
    /// The manifest that it is attached to.
    pub subject: Option<Digest>,
}

impl Foreign {
    /// Judges a document by the outermost fields of its JSON.
    pub(crate) fn of(document: &Value) -> Self {
        let text = |value: Option<&Value>| value.and_then(Value::as_str).map(str::to_owned);
        let media_type = text(document.get("mediaType"));
        let config_type = text(document.pointer("/config/mediaType"));
        let artifact_type = text(document.get("artifactType"));
        let is_index = document.get("manifests").is_some_and(|value| !value.is_null())
            || matches!(media_type.as_deref(), Some(media_type::IMAGE_INDEX | DOCKER_LIST));
        let subject = text(document.pointer("/subject/digest")).and_then(|digest| digest.parse().ok());
        let kind = if is_index {
            ForeignKind::ImageIndex
        } else if document.get("schemaVersion").and_then(Value::as_u64) == Some(1) {
            ForeignKind::ImageSchema1
        } else if document.get("subject").is_some_and(Value::is_object) {
            ForeignKind::Attachment
        } else if config_type.as_deref() == Some(HELM_CONFIG) {
            ForeignKind::HelmChart
        } else if artifact_type.is_none() && config_type.as_deref().is_some_and(is_image_config) {
            ForeignKind::Image
        } else if artifact_type.is_some() || config_type.is_some() {
            ForeignKind::Artifact
        } else {
            ForeignKind::Document
        };
        // An empty config says nothing, so it is not what the artifact is.
        let telling_config = config_type.filter(|config| config != media_type::EMPTY);
        let says = artifact_type.or(telling_config).or(media_type);
        Self { kind, says: says.map(|says| says.chars().take(LONGEST_TYPE).collect()), subject }
    }

    /// The same, judged by the tag that names it as well: signatures of cosign say that they are images, and lists of what
    /// refers to a manifest say that they are image indexes.
    #[must_use]
    pub fn under(self, tag: &Tag) -> Self {
        let Some(subject) = attachments_of(tag) else { return self };
        let is_image = matches!(self.kind, ForeignKind::Image | ForeignKind::ImageIndex);
        Self {
            kind: ForeignKind::Attachment,
            says: self.says.filter(|_| !is_image),
            subject: self.subject.or(Some(subject)),
        }
    }

    /// What cannot be read as JSON.
    pub(crate) fn not_json() -> Self {
        Self { kind: ForeignKind::NotJson, says: None, subject: None }
    }
}

fn is_image_config(config_type: &str) -> bool {
    IMAGE_CONFIGS.contains(&config_type)
}

/// Whether the outermost fields of a manifest say that it is a bundle's. A list of manifests never is one.
pub(crate) fn is_ours(document: &Value) -> bool {
    let says = |value: Option<&Value>| value.and_then(Value::as_str).is_some_and(|of| of.starts_with(OURS));
    says(document.get("artifactType")) || says(document.pointer("/config/mediaType"))
}

/// Whether a text that cannot be read speaks of bundles, so that it is rather a damaged one than anything else.
pub(crate) fn mentions_bundles(text: &[u8]) -> bool {
    text.windows(OURS.len()).any(|window| window == OURS.as_bytes())
}

/// Judges what a manifest is that cannot be taken as a bundle's, from its bytes alone: for a host that has no text.
pub fn describe(manifest: &[u8]) -> Foreign {
    canonical::parse(manifest).map_or_else(|_| Foreign::not_json(), |document| Foreign::of(&document))
}

/// The manifest that a tag like `sha256-<64 hex>` or `sha256-<64 hex>.sig` lists or holds attachments of.
///
/// The first is the tag schema by which registries without the referrers API keep referrers
/// (<https://github.com/opencontainers/distribution-spec/blob/v1.1.0/spec.md#referrers-tag-schema>), the others are cosign's.
pub fn attachments_of(tag: &Tag) -> Option<Digest> {
    let (hex, rest) = tag.as_str().strip_prefix("sha256-")?.split_at_checked(64)?;
    if !rest.is_empty() && !rest.starts_with('.') {
        return None;
    }
    format!("sha256:{hex}").parse().ok()
}

impl fmt::Display for Foreign {
    /// A noun with its article, and the type that it says it is of.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kind {
            ForeignKind::Artifact => f.write_str("an artifact of another kind")?,
            ForeignKind::Attachment => f.write_str("a signature or another attachment")?,
            ForeignKind::Document => f.write_str("JSON of another kind")?,
            ForeignKind::HelmChart => return f.write_str("a Helm chart"),
            ForeignKind::Image => return f.write_str("a container image"),
            ForeignKind::ImageIndex => {
                return f.write_str("an image index, which names several manifests");
            }
            ForeignKind::ImageSchema1 => {
                return f.write_str("a container image in Docker's old manifest of version 1");
            }
            ForeignKind::NotJson => return f.write_str("a document that is not JSON"),
        }
        if let Some(subject) = &self.subject {
            write!(f, " of {}", subject.short())?;
        }
        match &self.says {
            Some(says) => write!(f, " (`{}`)", says.escape_debug()),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn each_kind_is_told_by_what_it_says() {
        let digest = Digest::of(b"x").to_string();
        for (document, kind, says) in [
            (json!({"schemaVersion": 2, "manifests": []}), ForeignKind::ImageIndex, None),
            (json!({"mediaType": DOCKER_LIST}), ForeignKind::ImageIndex, Some(DOCKER_LIST)),
            (json!({"schemaVersion": 1, "fsLayers": [], "history": []}), ForeignKind::ImageSchema1, None),
            (
                json!({"schemaVersion": 2, "mediaType": "application/vnd.docker.distribution.manifest.v2+json",
                       "config": {"mediaType": IMAGE_CONFIGS[1]}}),
                ForeignKind::Image,
                Some(IMAGE_CONFIGS[1]),
            ),
            (
                json!({"artifactType": "application/x", "config": {"mediaType": media_type::EMPTY}}),
                ForeignKind::Artifact,
                Some("application/x"),
            ),
            (
                json!({"mediaType": "application/vnd.oci.artifact.manifest.v1+json",
                       "artifactType": "application/spdx", "blobs": [], "subject": {"digest": digest}}),
                ForeignKind::Attachment,
                Some("application/spdx"),
            ),
            (json!({"config": {"mediaType": HELM_CONFIG}}), ForeignKind::HelmChart, Some(HELM_CONFIG)),
            (json!({"config": {"mediaType": media_type::EMPTY}}), ForeignKind::Artifact, None),
            (json!({}), ForeignKind::Document, None),
            (json!([]), ForeignKind::Document, None),
            (json!({"mediaType": 1, "config": 2, "artifactType": {}}), ForeignKind::Document, None),
        ] {
            let foreign = Foreign::of(&document);
            assert_eq!((foreign.kind, foreign.says.as_deref()), (kind, says), "{document}");
            assert!(!is_ours(&document), "{document}");
        }
        assert_eq!(describe(b"<html>").kind, ForeignKind::NotJson);
        assert_eq!(describe(b"\xff").kind, ForeignKind::NotJson);
    }

    #[test]
    fn an_attachment_names_what_it_is_attached_to() {
        let subject = Digest::of(b"x");
        let foreign = Foreign::of(&json!({"subject": {"digest": subject}, "artifactType": "a/\u{1b}b"}));
        assert_eq!(foreign.subject, Some(subject));
        let text = foreign.to_string();
        assert!(text.contains(&subject.short()) && !text.contains('\u{1b}'), "{text}");
    }

    #[test]
    fn tags_of_attachments_are_told_from_others() {
        let digest = Digest::of(b"x");
        let name = digest.to_string().replace(':', "-");
        for suffix in ["", ".sig", ".att"] {
            let tag = format!("{name}{suffix}").parse().unwrap();
            assert_eq!(attachments_of(&tag), Some(digest));
            let image = Foreign::of(&json!({"config": {"mediaType": IMAGE_CONFIGS[0]}}));
            let words = format!("a signature or another attachment of {}", digest.short());
            assert_eq!(image.under(&tag).to_string(), words);
        }
        for other in ["latest", "sha256-abc", &format!("{name}0"), &name.to_uppercase()] {
            assert_eq!(attachments_of(&other.parse().unwrap()), None, "{other}");
        }
    }
}

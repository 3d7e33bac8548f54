//! Interface `seal`.

use bundle_core::bundle::history::Ancestor;
use bundle_core::digest::Digest;
use bundle_core::plan::seal::{Extra, Origin, Sealed, SealedManifest};

use crate::component::answers::SealError;
use crate::component::generated::exports::modelops::bundle::{bundle, seal, types};

use super::types::{descriptor, digest};
use super::{Answer, each, text};

/// The texts of the digests behind which an origin hides: what a bundle is made from.
pub(in crate::component) struct OriginTexts {
    parent: Vec<String>,
    parents: Vec<String>,
    replaces: Option<String>,
    ancestors: Vec<[Option<String>; 2]>,
    tag_names: Option<String>,
}

impl OriginTexts {
    pub(in crate::component) fn of(origin: Origin<'_>) -> Self {
        let text = |digest: Digest| digest.to_string();
        let texts = |ancestor: &Ancestor| [Some(text(ancestor.digest)), ancestor.tree.map(text)];
        let before = origin.parent.map(|(_, before)| before);
        Self {
            parent: origin.parent.into_iter().flat_map(|(parent, _)| texts(parent)).flatten().collect(),
            parents: before.into_iter().flat_map(|before| &before.parents).map(Digest::to_string).collect(),
            replaces: before.and_then(|before| before.replaces).map(text),
            ancestors: before.into_iter().flat_map(|before| &before.ancestors).map(texts).collect(),
            tag_names: origin.replaces.map(text),
        }
    }

    /// The parents of the parent.
    pub(in crate::component) fn parents(&self) -> Vec<&str> {
        self.parents.iter().map(String::as_str).collect()
    }

    /// The ancestors of the parent, as far as they are recorded.
    pub(in crate::component) fn ancestors<'a>(
        &'a self,
        origin: Origin<'a>,
    ) -> Vec<bundle::AncestorParam<'a>> {
        let ancestors = origin.parent.map_or(&[][..], |(_, before)| &before.ancestors);
        let texts = self.ancestors.iter();
        ancestors
            .iter()
            .zip(texts)
            .map(|(one, [digest, tree])| {
                ancestor_param(one, digest.as_deref().unwrap_or_default(), tree.as_deref())
            })
            .collect()
    }

    /// The origin that this was made of, with the lists of this.
    pub(in crate::component) fn origin<'a>(
        &'a self,
        origin: Origin<'a>,
        parents: &'a [&'a str],
        ancestors: &'a [bundle::AncestorParam<'a>],
    ) -> seal::Origin<'a> {
        let history = bundle::HistoryParam { parents, replaces: self.replaces.as_deref(), ancestors };
        let parent = origin.parent.zip(self.parent.first()).map(|((parent, _), digest)| seal::Parent {
            bundle: ancestor_param(parent, digest, self.parent.get(1).map(String::as_str)),
            history,
        });
        seal::Origin {
            created: origin.created,
            parent,
            tag_names: self.tag_names.as_deref(),
            author: origin.author,
            message: origin.message,
            version: origin.version,
            tool: origin.tool,
            readers: origin.readers.into(),
        }
    }
}

fn ancestor_param<'a>(
    ancestor: &'a Ancestor,
    digest: &'a str,
    tree: Option<&'a str>,
) -> bundle::AncestorParam<'a> {
    bundle::AncestorParam {
        digest,
        tree,
        version: ancestor.version.as_deref(),
        created: ancestor.created.as_deref(),
        author: ancestor.author.as_deref(),
        message: ancestor.message.as_deref(),
    }
}

pub(in crate::component) fn sealed(sealed: seal::Sealed) -> Answer<Sealed> {
    let seal::Document { descriptor: manifest, content } = sealed.manifest;
    Ok(Sealed {
        extras: each(sealed.extras, extra)?,
        index_descriptor: descriptor(sealed.index.descriptor)?,
        index: text(sealed.index.content)?,
        manifest: text(content)?,
        digest: digest(&manifest.digest)?,
        tree: digest(&sealed.tree)?,
    })
}

pub(in crate::component) fn sealed_manifest(sealed: seal::SealedManifest) -> Answer<SealedManifest> {
    let seal::Document { descriptor: manifest, content } = sealed.manifest;
    Ok(SealedManifest {
        manifest: text(content)?,
        digest: digest(&manifest.digest)?,
        extras: each(sealed.extras, extra)?,
    })
}

fn extra(extra: seal::Document) -> Answer<Extra> {
    Ok(Extra { descriptor: descriptor(extra.descriptor)?, content: text(extra.content)? })
}

// Refusals.

impl From<seal::SealError> for SealError {
    fn from(error: seal::SealError) -> Self {
        match error {
            seal::SealError::Facts(error) => Self::Facts(error.into()),
            seal::SealError::Replaces(reason) => Self::Replaces(reason),
            seal::SealError::TooManyLayers(types::Excess { found, limit }) => {
                Self::TooManyLayers { layers: found, limit }
            }
            seal::SealError::ManifestTooLarge(types::Excess { found, limit }) => {
                Self::ManifestTooLarge { size: found, limit }
            }
            seal::SealError::Created(fault) => Self::Created(fault.into()),
            seal::SealError::Pack(fault) => Self::Pack(fault.into()),
            seal::SealError::NoPack(path) => Self::Other(format!("the chunks of `{path}` are in no pack")),
            seal::SealError::IndexData(digest) => {
                Self::Other(format!("the bytes of the index are not {digest}"))
            }
            seal::SealError::Unplaced(reason) | seal::SealError::Other(reason) => Self::Other(reason),
        }
    }
}

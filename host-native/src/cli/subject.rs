//! Which bundle a person means who may also name a file or a folder.

use std::path::Path;

use bundle_core::reference::{Place, Reference, Tag};

use super::error::{CliError, Exit};
use super::session::{DEFAULT_TAG, Session, absolute, wanted_bundle};
use crate::remote::Remote as _;
use crate::remote::archive::Archive;
use crate::remote::layout::Layout;
use crate::workspace::Workspace;

/// The file that marks a folder as an OCI image layout.
const LAYOUT_MARKER: &str = "oci-layout";

/// The bundle that is meant by `text`, which may be that of [`wanted_bundle`], or a `FILE.tar`, or a folder that is an
/// OCI image layout.
pub(crate) fn subject(
    session: &Session<'_>,
    text: Option<&str>,
    workspace: Option<&Workspace>,
) -> Result<Reference, CliError> {
    let Some(place) = text.and_then(|text| place_on_disk(text, &session.cwd)) else {
        return wanted_bundle(session, text, workspace);
    };
    let reference = absolute(Reference { place, tag: None, digest: None }, &session.cwd)?;
    session.runtime()?.block_on(async {
        match &reference.place {
            Place::Archive { file } => one_bundle(&Archive::new(file), &reference).await,
            Place::Layout { directory } => {
                let tags = Layout::new(directory).tags().await?;
                let default: Tag = DEFAULT_TAG.parse()?;
                let tag = match tags.as_slice() {
                    [tag] => tag.clone(),
                    _ => default,
                };
                Ok(reference.with_tag(tag))
            }
            Place::Repository { .. } => Ok(reference),
        }
    })
}

fn place_on_disk(text: &str, cwd: &Path) -> Option<Place> {
    let path = cwd.join(text);
    if path.join(LAYOUT_MARKER).is_file() {
        return Some(Place::Layout { directory: text.to_owned() });
    }
    let is_archive = path.extension().is_some_and(|extension| extension == "tar") && path.is_file();
    is_archive.then(|| Place::Archive { file: text.to_owned() })
}

/// Names the one bundle that is meant: by digest, and with its tag where it has one.
pub(crate) async fn one_bundle(archive: &Archive, place: &Reference) -> Result<Reference, CliError> {
    if place.tag.is_some() || place.digest.is_some() {
        return Ok(place.clone());
    }
    let manifests = archive.manifests().await?;
    let mut tags: Vec<&Tag> = manifests.iter().filter_map(|(_, tag)| tag.as_ref()).collect();
    tags.sort();
    tags.dedup();
    let Some((digest, _)) = manifests.first() else {
        return Err(CliError::new(Exit::NotFound, format_args!("{} holds no bundle", place.place))
            .hint("write one with `modelops-bundle export`"));
    };
    if tags.len() > 1 || manifests.iter().any(|(other, _)| other != digest) {
        let names: Vec<&str> = tags.into_iter().map(Tag::as_str).collect();
        return Err(CliError::new(
            Exit::Usage,
            format_args!("{} holds several bundles or tags: {}", place.place, names.join(", ")),
        )
        .hint("name one as `oci-archive:FILE:TAG`"));
    }
    let tag = tags.first().copied().cloned();
    Ok(Reference { tag, digest: Some(*digest), ..place.clone() })
}

//! Which bundle a person means who may also name a file or a folder, or a place that holds a single one.

use std::collections::BTreeMap;
use std::path::Path;

use bundle_core::bundle::foreign::Foreign;
use bundle_core::digest::Digest;
use bundle_core::name::reference::{Place, Reference, Tag};

use super::error::{CliError, Exit};
use super::session::{Session, absolute, wanted_bundle};
use modelops_bundle::bundle::{Context, OpenError, open_manifest};
use modelops_bundle::remote::{Listed, Version};
use modelops_bundle::workspace::Workspace;

/// The file that marks a folder as an OCI image layout.
const LAYOUT_MARKER: &str = "oci-layout";

/// As many manifests of a place are looked at to find the one bundle among them; a place with more holds several.
const LOOKED_AT: usize = 100;

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
    match &reference.place {
        Place::Archive { .. } => {
            let (core, remote) = (session.core()?, session.remote(&reference)?);
            let context = session.context(&core, remote.as_ref());
            session.runtime()?.block_on(one_bundle(context, &reference))
        }
        Place::Layout { .. } | Place::Repository { .. } => only_bundle(session, &reference, &Tag::latest()),
    }
}

/// The place that a path names, which is a folder with an image layout or a file `….tar`.
pub(crate) fn place_on_disk(text: &str, cwd: &Path) -> Option<Place> {
    if text.starts_with("oci:") {
        return None;
    }
    let path = cwd.join(text);
    if path.join(LAYOUT_MARKER).is_file() {
        return Some(Place::Layout { directory: text.to_owned() });
    }
    let is_archive = path.extension().is_some_and(|extension| extension == "tar") && path.is_file();
    is_archive.then(|| Place::Archive { file: text.to_owned() })
}

/// The bundle of a place of which no version was named: that of the tag `default`, or, in a layout or an archive without
/// that tag, the only one there is.
pub(crate) fn only_bundle(
    session: &Session<'_>,
    place: &Reference,
    default: &Tag,
) -> Result<Reference, CliError> {
    if let Place::Repository { .. } = place.place {
        return Ok(place.with_tag(default.clone()));
    }
    let (core, remote) = (session.core()?, session.remote(place)?);
    let context = session.context(&core, remote.as_ref());
    session.runtime()?.block_on(async {
        let listed = remote.listed().await?;
        if listed.is_empty() || listed.iter().any(|(_, tag)| tag.as_ref() == Some(default)) {
            return Ok(place.with_tag(default.clone()));
        }
        match bundles(context, &listed).await? {
            Found::One { digest, tags } => Ok(named(place, digest, tags.first())),
            Found::None(_) => Err(CliError::no_bundle(&place.with_tag(default.clone()))),
            Found::Several(_) => Ok(place.with_tag(default.clone())),
        }
    })
}

/// Names the one bundle of a layout or an archive that is meant: by digest, and with its tag where it has one.
pub(crate) async fn one_bundle(context: Context<'_>, place: &Reference) -> Result<Reference, CliError> {
    if place.tag.is_some() || place.digest.is_some() {
        return Ok(place.clone());
    }
    match bundles(context, &context.remote.listed().await?).await? {
        Found::One { digest, tags } if tags.len() < 2 => Ok(named(place, digest, tags.first())),
        Found::None(foreign) => {
            let instead = foreign.map(|foreign| format!(", only {foreign}")).unwrap_or_default();
            Err(CliError::new(Exit::NotFound, format_args!("{} holds no bundle{instead}", place.place))
                .hint("write one with `modelops-bundle export`"))
        }
        Found::One { tags, .. } | Found::Several(tags) => {
            let names: Vec<&str> = tags.iter().map(Tag::as_str).collect();
            Err(CliError::new(
                Exit::Usage,
                format_args!("{} holds several bundles or tags: {}", place.place, names.join(", ")),
            )
            .hint("name one as `oci-archive:FILE:TAG`"))
        }
    }
}

fn named(place: &Reference, digest: Digest, tag: Option<&Tag>) -> Reference {
    Reference { tag: tag.cloned(), digest: Some(digest), ..place.clone() }
}

/// The bundles of a place.
enum Found {
    /// None; something else that is there.
    None(Option<Foreign>),
    /// One, and its tags, sorted.
    One { digest: Digest, tags: Vec<Tag> },
    /// Several; all of their tags, sorted.
    Several(Vec<Tag>),
}

/// Looks through the manifests that a place lists. Signatures and other artifacts beside a bundle are none.
async fn bundles(context: Context<'_>, listed: &[Listed]) -> Result<Found, CliError> {
    let mut manifests: BTreeMap<Digest, Vec<Tag>> = BTreeMap::new();
    for (digest, tag) in listed {
        manifests.entry(*digest).or_default().extend(tag.clone());
    }
    let mut found = Vec::new();
    let mut foreign = None;
    let looks = manifests.len() <= LOOKED_AT;
    for (digest, tags) in manifests {
        if looks {
            match open_manifest(context, &Version::Digest(digest)).await {
                Err(OpenError::NotABundle { foreign: other, .. }) => {
                    foreign = Some(other);
                    continue;
                }
                Ok(None) => continue,
                // A damaged one is a bundle as well, whose faults are told when it is opened.
                Ok(Some(_)) | Err(_) => {}
            }
        }
        found.push((digest, tags));
    }
    if found.len() > 1 {
        let mut tags: Vec<Tag> = found.into_iter().flat_map(|(_, tags)| tags).collect();
        tags.sort();
        tags.dedup();
        return Ok(Found::Several(tags));
    }
    Ok(match found.pop() {
        Some((digest, mut tags)) => {
            tags.sort();
            tags.dedup();
            Found::One { digest, tags }
        }
        None => Found::None(foreign),
    })
}

//! What is ours alone of what was last synced: which bundle that was and what it was made from, and what tags named when they
//! were last seen. It lies in `synced.json` beside `state.json`, which the Python tool writes too.
//!
//! The file names the `state.json` that it belongs to. Where that has another digest, the Python tool has synced since, and
//! which bundle that was is unknown. Losing the file loses no work: a push then looks at every path.

use std::io;

use bundle_core::bundle::history::{Ancestor, History};
use bundle_core::digest::Digest;
use bundle_core::name::reference::{Reference, Tag};
use serde::{Deserialize, Serialize};

use super::folder::{Project, SYNCED};
use super::own_folder::{Access, OwnFolder};

/// The version of the format.
const FORMAT: u32 = 1;

/// A larger file is none of ours.
const MAX_BYTES: u64 = 1 << 20;

/// As many tags are remembered, the ones seen last.
const MAX_TAGS: usize = 200;

/// What a project remembers of bundles beside their files.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Synced {
    /// The bundle that was last synced, if it is known.
    pub bundle: Option<SyncedBundle>,
    seen: Vec<SeenTag>,
}

/// The bundle that was last synced.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SyncedBundle {
    /// Its digest, and what else those that are made from it record of it.
    pub described: Ancestor,
    /// What it was made from itself.
    pub history: History,
}

/// What a tag named when the project last saw it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct SeenTag {
    place: String,
    tag: String,
    digest: Digest,
}

#[derive(Serialize, Deserialize)]
struct Document {
    format: u32,
    /// The digest of the state that `bundle` belongs to.
    state: Option<Digest>,
    bundle: Option<SyncedBundle>,
    seen: Vec<SeenTag>,
}

impl Synced {
    /// Reads what `project` remembers beside its state, whose file has the digest `state`.
    pub fn read(project: &Project, state: Option<Digest>) -> Self {
        let read = OwnFolder::of(project).and_then(|folder| folder.read(SYNCED, MAX_BYTES));
        let json = match read {
            Ok(json) => json,
            Err(error) => {
                if error.kind() != io::ErrorKind::NotFound {
                    tracing::debug!(%error, "which bundle was last synced cannot be read");
                }
                return Self::default();
            }
        };
        match serde_json::from_slice::<Document>(&json) {
            Ok(document) if document.format == FORMAT => {
                let is_current = document.state.is_some() && document.state == state;
                Self { bundle: document.bundle.filter(|_| is_current), seen: document.seen }
            }
            _ => Self::default(),
        }
    }

    /// It, as its file holds it beside the state whose file has the digest `state`.
    pub fn to_json(&self, state: Digest) -> Result<Vec<u8>, serde_json::Error> {
        let Self { bundle, seen } = self.clone();
        serde_json::to_vec(&Document { format: FORMAT, state: Some(state), bundle, seen })
    }

    /// Writes it beside the state whose file has the digest `state`. A power cut may lose it.
    pub fn write(&self, project: &Project, state: Digest) -> io::Result<()> {
        let json = self.to_json(state)?;
        OwnFolder::of(project)?.write_unsynced(SYNCED, &[&json], Access::Shared)
    }

    /// The file `earlier` of this kind, with what tags are known to name by now.
    pub(crate) fn keep_seen(&self, earlier: &[u8]) -> Vec<u8> {
        let document = serde_json::from_slice::<Document>(earlier).ok();
        let document = document.map(|document| Document { seen: self.seen.clone(), ..document });
        let json = document.and_then(|document| serde_json::to_vec(&document).ok());
        json.unwrap_or_else(|| earlier.to_vec())
    }

    /// The digest of the bundle that was last synced, and those of its ancestors, the nearest first.
    pub fn lineage(&self) -> (Option<Digest>, Vec<Digest>) {
        let bundle = self.bundle.as_ref();
        let ancestors = bundle.map(|bundle| bundle.history.digests()).unwrap_or_default();
        (bundle.map(|bundle| bundle.described.digest), ancestors)
    }

    /// What `tag` named at the place of `reference` when it was last seen there.
    pub fn seen(&self, reference: &Reference, tag: &Tag) -> Option<Digest> {
        let place = identity(reference);
        let found = self.seen.iter().find(|seen| seen.place == place && seen.tag == tag.as_str());
        found.map(|seen| seen.digest)
    }

    /// Remembers that `tag` names `digest` at the place of `reference`.
    pub fn saw(&mut self, reference: &Reference, tag: &Tag, digest: Digest) {
        let (place, tag) = (identity(reference), tag.to_string());
        self.seen.retain(|seen| seen.place != place || seen.tag != tag);
        self.seen.insert(0, SeenTag { place, tag, digest });
        self.seen.truncate(MAX_TAGS);
    }
}

/// One text for each place, however it is spelled: folders without links, hosts as the core writes them.
fn identity(reference: &Reference) -> String {
    use bundle_core::name::reference::Place;
    match &reference.place {
        Place::Layout { directory } => format!("oci:{}", canonical(directory)),
        Place::Archive { file } => format!("oci-archive:{}", canonical(file)),
        Place::Repository { host, name } => {
            format!("{}/{name}", bundle_core::name::reference::canonical_host(host))
        }
    }
}

/// A path without links and relative parts, as far as it is there.
fn canonical(path: &str) -> String {
    let canonical = std::fs::canonicalize(path).or_else(|_| std::path::absolute(path));
    canonical.map_or_else(|_| path.to_owned(), |path| path.display().to_string())
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::*;

    fn digest(name: &str) -> Digest {
        Digest::of(name.as_bytes())
    }

    fn bundle() -> SyncedBundle {
        let described = Ancestor {
            digest: digest("bundle"),
            tree: Some(digest("tree")),
            version: None,
            created: None,
            author: None,
            message: None,
        };
        let parents = vec![digest("before")];
        SyncedBundle { described, history: History { parents, ..History::default() } }
    }

    #[test]
    fn what_is_written_is_read_beside_the_state_that_it_belongs_to() {
        let folder = TempDir::new().unwrap();
        let project = Project::create(folder.path()).unwrap();
        assert_eq!(Synced::read(&project, None), Synced::default());
        let mut synced = Synced { bundle: Some(bundle()), ..Synced::default() };
        let (reference, tag) = ("r.example/a".parse().unwrap(), "latest".parse().unwrap());
        synced.saw(&reference, &tag, digest("old"));
        synced.saw(&reference, &tag, digest("bundle"));
        synced.write(&project, digest("state")).unwrap();
        assert_eq!(Synced::read(&project, Some(digest("state"))), synced);
        for other in [None, Some(digest("another state"))] {
            let read = Synced::read(&project, other);
            assert_eq!((&read.bundle, read.seen(&reference, &tag)), (&None, Some(digest("bundle"))));
        }
        std::fs::write(project.in_folder(SYNCED), "{").unwrap();
        assert_eq!(Synced::read(&project, Some(digest("state"))), Synced::default());
    }

    #[test]
    fn a_place_is_the_same_in_any_spelling() {
        let folder = TempDir::new().unwrap();
        let path = folder.path().canonicalize().unwrap();
        std::fs::create_dir(path.join("remote")).unwrap();
        let mut same =
            vec![format!("oci:{0}/remote/", path.display()), format!("oci:{0}/./remote", path.display())];
        #[cfg(unix)]
        {
            std::os::unix::fs::symlink(path.join("remote"), path.join("link")).unwrap();
            same.push(format!("oci:{}/link", path.display()));
        }
        let first: Reference = format!("oci:{}/remote", path.display()).parse().unwrap();
        for text in same {
            assert_eq!(identity(&text.parse().unwrap()), identity(&first), "{text}");
        }
        let spelled = |text: &str| identity(&text.parse().unwrap());
        assert_eq!(spelled("R.example:443/a"), spelled("r.example/a"));
        assert_eq!(spelled("127.0.0.1:5000/a"), spelled("localhost:5000/a"));
        assert_ne!(spelled("r.example:5000/a"), spelled("r.example/a"));
    }
}

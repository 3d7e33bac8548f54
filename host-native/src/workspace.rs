//! A project with everything that its own folder says: the facts that each command starts from.

use std::path::Path;

use bundle_core::digest::Digest;
use bundle_core::layout::Readers;
use bundle_core::path::{BundlePath, MODEL_REGISTRY};
use bundle_core::reference::{Reference, Tag};
use bundle_core::snapshot::{ByPath, SyncedFile, synced};
use thiserror::Error;

use crate::bundle::Bundle;
use crate::project::config::ConfigError;
use crate::project::state::StateError;
use crate::project::tracked::{TrackedError, read_tracked};
use crate::project::undo::SyncedBundle;
use crate::project::{Config, Project, State};

/// The file in which git looks for what it is to ignore.
pub const GITIGNORE: &str = ".gitignore";

/// What that file holds where `init` has made it.
pub const GENERATED_GITIGNORE: &str = ".modelops-bundle/\n";

/// A project, its settings, what it tracks and what it last agreed on.
#[derive(Clone, Debug)]
pub struct Workspace {
    /// Where it is.
    pub project: Project,
    /// Its settings.
    pub config: Config,
    /// The paths that it tracks, on disk or not.
    pub tracked: ByPath<BundlePath>,
    /// What it last agreed on with its remote.
    pub state: State,
}

impl Workspace {
    /// Reads what the folder of `project` says.
    pub fn load(project: Project) -> Result<Self, LoadError> {
        let config = Config::read(&project)?;
        // Both may hold a hundred thousand paths.
        let (tracked, state) = rayon::join(|| read_tracked(&project), || State::read(&project));
        Ok(Self { tracked: tracked?, state: state?, config, project })
    }

    /// The top folder.
    pub fn root(&self) -> &Path {
        self.project.root()
    }

    /// Which tools read what this project pushes: one that the Python tool made, or that holds its list of registered
    /// models, is used by both.
    pub fn readers(&self) -> Readers {
        // It writes all of these; this program writes only what was set.
        const WRITTEN: [&str; 4] = ["cache_dir", "cache_link_mode", "default_tag", "storage"];
        let is_python = self.root().join(MODEL_REGISTRY).is_file()
            || WRITTEN.iter().all(|key| self.config.value(key).is_some());
        if is_python { Readers::Python } else { Readers::Ours }
    }

    /// The bundle that is meant where none is named: the configured place with its default tag.
    pub fn default_reference(&self) -> Option<Reference> {
        let configured = self.config.registry_ref.as_ref()?;
        let tag = configured.tag.clone().unwrap_or_else(|| self.config.default_tag.clone());
        Some(configured.with_tag(tag))
    }

    /// What a pull may replace: what the project last agreed on, and the `.gitignore` that `init` wrote into a folder
    /// that had none, as long as nobody has made it their own.
    pub fn base_for_pull(&self) -> ByPath<SyncedFile> {
        let mut base = self.state.last_synced.to_vec();
        if let Ok(path) = GITIGNORE.parse::<BundlePath>()
            && self.tracked.at(&path).is_none()
            && self.state.last_synced.at(&path).is_none()
        {
            base.push(SyncedFile {
                path,
                digest: Digest::of(GENERATED_GITIGNORE.as_bytes()),
                executable: None,
            });
        }
        // One path more, which was not among them.
        ByPath::keeping_first(base)
    }

    /// The bundle that the project was synced with, as far as that is known.
    pub fn synced_with(&self) -> Option<SyncedBundle> {
        let digest = self.state.last_push_digest.or(self.state.last_pull_digest)?;
        let reference = self.state.synced_ref.clone().or_else(|| self.default_reference())?;
        Some(SyncedBundle { reference: reference.without_version().to_string(), digest })
    }

    /// Whether the project has pushed or pulled this very bundle itself: then there is nothing in it that it has not seen.
    pub fn knows(&self, bundle: &Bundle) -> bool {
        [self.state.last_push_digest, self.state.last_pull_digest].contains(&Some(bundle.digest))
    }

    /// What the project has agreed on with the bundle that `tag` names at the place of `reference` now.
    ///
    /// A bundle that it pushed or pulled itself it knows in full. Of another one under the tag that it last synced
    /// with, it knows what it agreed on then; of any other, nothing. A state that does not say which tag that was
    /// counts for the configured one.
    pub fn base_for_push(&self, reference: &Reference, tag: &Tag, bundle: &Bundle) -> ByPath<SyncedFile> {
        if self.knows(bundle) {
            return synced(bundle.files());
        }
        let wanted = reference.with_tag(tag.clone());
        let last = self.state.synced_ref.clone().or_else(|| self.default_reference());
        let is_same = last.is_some_and(|last| Reference { digest: None, ..last } == wanted);
        if is_same { self.state.last_synced.clone() } else { ByPath::default() }
    }
}

/// Why what a project says of itself cannot be read.
#[derive(Debug, Error)]
pub enum LoadError {
    /// Its settings.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// What it last agreed on.
    #[error(transparent)]
    State(#[from] StateError),
    /// What it tracks.
    #[error(transparent)]
    Tracked(#[from] TrackedError),
}

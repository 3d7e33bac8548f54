//! A project with everything that its own folder says: the facts that each command starts from.

use std::collections::BTreeMap;
use std::path::Path;

pub use bundle_core::diff::{GENERATED_GITIGNORE, GITIGNORE};
use bundle_core::digest::Digest;
use bundle_core::file::ByPath;
use bundle_core::name::path::{BundlePath, MODEL_REGISTRY};
use bundle_core::name::reference::{Reference, Tag};
use bundle_core::plan::layout::Readers;
use bundle_core::plan::standing::{Standing, StandingFacts};
use thiserror::Error;

use crate::bundle::Bundle;
use crate::component::{Core, CoreError};
use crate::progress::Progress;
use crate::project::config::ConfigError;
use crate::project::keeping::{NewOperation, Policy};
use crate::project::state::StateError;
use crate::project::tracked::{TrackedError, read_tracked};
use crate::project::undo::{BundleAt, Kind};
use crate::project::{Config, Project, State, Synced};
use crate::scan::{Scan, ScanError, ScanOptions, Untracked, scan, scan_readable};

/// A project, its settings, what it tracks and what it last agreed on.
#[derive(Clone, Debug)]
pub struct Workspace {
    /// Where it is.
    pub project: Project,
    /// Its settings.
    pub config: Config,
    /// The paths that it tracks, on disk or not.
    pub tracked: ByPath<BundlePath>,
    /// The files that were last synced.
    pub state: State,
    /// Which bundle that was, and what tags named.
    pub synced: Synced,
}

impl Workspace {
    /// Reads what the folder of `project` says.
    pub fn load(project: Project) -> Result<Self, LoadError> {
        let config = Config::read(&project)?;
        // Both may hold a hundred thousand paths.
        let (tracked, state) = rayon::join(|| read_tracked(&project), || State::read(&project));
        let state = state?;
        let synced = Synced::read(&project, state.digest);
        Ok(Self { tracked: tracked?, state, synced, config, project })
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

    /// How the project is scanned.
    pub fn scan_options(&self, untracked: Untracked) -> ScanOptions {
        ScanOptions { symlinks: self.config.symlinks, untracked }
    }

    /// Looks at the tracked files and at whatever lies at the paths `extra`.
    ///
    /// # Errors
    ///
    /// As [`scan`].
    pub fn look(
        &self,
        extra: &[BundlePath],
        untracked: Untracked,
        progress: &dyn Progress,
    ) -> Result<Scan, ScanError> {
        scan(&self.project, &self.tracked, extra, self.scan_options(untracked), progress)
    }

    /// Looks at the tracked files, and at what else there is, for somebody who changes nothing.
    ///
    /// # Errors
    ///
    /// As [`scan_readable`].
    pub fn look_readable(&self, untracked: Untracked, progress: &dyn Progress) -> Result<Scan, ScanError> {
        scan_readable(&self.project, &self.tracked, self.scan_options(untracked), progress)
    }

    /// An operation on the project as it is now, which brings nothing and takes nothing away that lies elsewhere.
    pub fn operation(&self, kind: Kind, command: String, policy: Policy) -> NewOperation {
        NewOperation {
            kind,
            command,
            policy,
            last_push: self.state.last_push_digest,
            synced: self.synced_with(),
            brought: None,
            elsewhere: BTreeMap::new(),
            takes_back: Vec::new(),
        }
    }

    /// Where a tag of the place of `reference` stands to the project, which names `bundle` now.
    pub fn standing(
        &self,
        core: &Core,
        reference: &Reference,
        tag: &Tag,
        named: Option<Digest>,
        bundle: Option<&Bundle>,
    ) -> Result<Standing, CoreError> {
        let named_ancestors = bundle.map(|bundle| bundle.manifest_view.history.digests()).unwrap_or_default();
        let (synced, synced_ancestors) = self.synced.lineage();
        let seen = self.synced.seen(reference, tag);
        let facts = StandingFacts {
            named,
            named_ancestors: &named_ancestors,
            synced,
            synced_ancestors: &synced_ancestors,
            seen,
        };
        core.tag_standing(&facts)
    }

    /// The bundle that the project was last synced with, as far as that is known.
    pub fn synced_with(&self) -> Option<BundleAt> {
        let digest = self.synced.bundle.as_ref()?.described.digest;
        let reference = self.state.synced_ref.clone().or_else(|| self.default_reference())?;
        Some(BundleAt { reference: reference.without_version().to_string(), digest })
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

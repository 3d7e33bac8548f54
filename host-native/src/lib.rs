//! modelops-bundle as a library: the native host of a core that decides.
//!
//! A project's files and a remote's bundle come in as facts ([`scan`], [`bundle`]), the core ([`component`]) says what
//! is to be done, and this crate does it: [`push`], [`pull`]. The program of the same name is a crate of its own, a thin layer over
//! this one.
//!
//! What is in a bundle, without a project:
//!
//! ```no_run
//! use std::sync::Arc;
//!
//! use modelops_bundle::bundle::{Claims, Context, open};
//! use modelops_bundle::component::Core;
//! use modelops_bundle::progress::{Progress, Silent};
//! use modelops_bundle::remote::{self, RemoteOptions, Version};
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let reference: bundle_core::name::reference::Reference = "registry.example/team/model:v1.0.0".parse()?;
//! let remote = remote::open(&reference.place, &RemoteOptions::default())?;
//! let core = Core::embedded()?;
//! let progress: Arc<dyn Progress> = Arc::new(Silent);
//! let context = Context { core: &core, remote: remote.as_ref(), concurrency: 8, claims: Claims::Plausible, cache: None, progress: &progress };
//! if let Some(bundle) = open(context, &Version::Tag("v1.0.0".parse()?)).await? {
//!     println!("{} with {} files", bundle.digest, bundle.files().len());
//! }
//! # Ok(())
//! # }
//! ```
//!
//! What a pull would do to a project, and doing it:
//!
//! ```no_run
//! use std::path::Path;
//! use std::time::Duration;
//!
//! use modelops_bundle::bundle::{Bundle, Context};
//! use modelops_bundle::progress::Silent;
//! use modelops_bundle::project::keeping::Keeping;
//! use modelops_bundle::project::{Project, ProjectLock};
//! use modelops_bundle::pull::{self, PullChoices};
//! use modelops_bundle::scan::{ScanOptions, Untracked, scan};
//! use modelops_bundle::workspace::Workspace;
//!
//! # async fn example(
//! #     context: Context<'_>,
//! #     reference: bundle_core::name::reference::Reference,
//! #     bundle: Bundle,
//! # ) -> Result<(), Box<dyn std::error::Error>> {
//! let project = Project::find(Path::new("."))?;
//! let lock = ProjectLock::acquire(&project, "example", Duration::from_secs(10))?;
//! let workspace = Workspace::load(project)?;
//! let paths: Vec<_> = bundle.files().iter().map(|file| file.path.clone()).collect();
//! let options = ScanOptions { symlinks: workspace.config.symlinks, untracked: Untracked::Skip };
//! let found = scan(&workspace.project, &workspace.tracked, &paths, options, &Silent)?;
//!
//! let prepared = pull::prepare(context, &workspace, bundle, found, &PullChoices::default())?;
//! if prepared.plan.blocked.is_empty() {
//!     // Nothing is kept for an undo here.
//!     let keeping = Keeping::default();
//!     pull::apply(context, &workspace, &lock, &reference, &prepared, &keeping).await?;
//! }
//! # Ok(())
//! # }
//! ```

pub mod address_space;
pub mod author;
pub mod bundle;
pub mod client;
pub mod clock;
pub mod component;
pub mod entry;
pub mod environment;
pub mod health;
pub mod inspect;
pub mod ops;
pub mod output_file;
pub mod patch;
pub mod progress;
pub mod project;
pub mod pull;
pub mod push;
pub mod remove;
pub mod scan;
pub mod threads;
pub mod track;
pub mod transfer;
pub mod undo;
pub mod workspace;

pub use modelops_bundle_remote as remote;
pub use modelops_bundle_remote::credentials;
pub(crate) use modelops_bundle_remote::files::rights;
pub use modelops_bundle_remote::files::{file_lock, leftovers, user_folders, whole_file};

//! A project on disk: its folder, its settings, what it tracks, what it last agreed on, and how it changes safely.
//!
//! What lies in the project besides its own folder is the matter of [`crate::scan`]; what is to be done with it is
//! decided in `bundle_core`. Nothing here talks to a registry.

mod apply;
pub mod atomic;
pub mod cache_key;
pub mod config;

pub mod disk_path;
pub mod file_system;
pub mod folder;
pub mod git;
pub mod ignore_file;
pub mod index_cache;
pub(crate) mod interrupted;
pub mod journal;
mod keep;
pub mod keeping;
mod kept;
pub mod lock;
pub(crate) mod modes;
mod new_folders;
pub mod new_project;
pub(crate) mod own_folder;
pub(crate) mod parents;
pub mod reach;
pub mod recovery;
mod rescue;
pub mod roll_back;
pub mod settings;
pub(crate) mod spot;
pub mod staging;
pub mod stamp;
pub mod state;
mod state_cache;
pub mod synced;
pub(crate) mod tick;
pub mod tracked;
pub mod undo;
mod yaml_text;

pub use config::Config;
pub use folder::Project;
pub use lock::ProjectLock;
pub use new_project::NewProject;
pub use parents::ParentError;
pub use rescue::Rescued;
pub use state::State;
pub use synced::Synced;

//! modelops-bundle as a library: the native host of a core that decides.
//!
//! A [`Client`](client::Client) holds what every operation needs: the core that decides, how registries are reached, how many
//! transfers run at the same time, who is told how work gets on, and what stops it. The operations are in [`ops`], one a file:
//! `plan` looks, has it decided and changes nothing; what it answers can be shown, dropped, or applied. A project's files
//! and a remote's bundle come in as facts ([`scan`], [`bundle`]), the core ([`component`]) says what is to be done, and the
//! rest of this crate does it. The program of the same name is a crate of its own, a thin layer over this one.
//!
//! What a place has:
//!
//! ```no_run
//! use modelops_bundle::client::Client;
//! use modelops_bundle::ops::list::{self, ListOptions};
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let client = Client::default();
//! let place = "registry.example/team/model".parse()?;
//! for manifest in list::plan(&client, &place, ListOptions::default())?.apply().await?.manifests {
//!     println!("{:?}: {:?} files", manifest.tags, manifest.files);
//! }
//! # Ok(())
//! # }
//! ```
//!
//! What a pull would do to a folder, and doing it:
//!
//! ```no_run
//! use modelops_bundle::client::Client;
//! use modelops_bundle::ops::pull::{self, PullOptions, Target};
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let client = Client::default();
//! let reference = "registry.example/team/model:v1.0.0".parse()?;
//! let target = Target::at(&client, "model".as_ref())?;
//! let planned = pull::plan(&client, &reference, target, PullOptions::default()).await?;
//! println!("{} bytes would come", planned.foresee().await?.downloaded.bytes);
//! planned.apply().await?;
//! # Ok(())
//! # }
//! ```
//!
//! Engines work on threads of their own, so a runtime of tokio with several threads is needed: see [`threads`].

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

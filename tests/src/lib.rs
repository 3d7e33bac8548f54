//! The harness of the tests that cross crates; the tests themselves are in `tests/it/`.
//!
//! | what a test wants | where it is |
//! |---|---|
//! | a project folder and the program run in it | [`TestProject`] |
//! | a project on a remote, in a layout, or pulled from another | [`TestProject::on_layout`] and its neighbours |
//! | what a document of `--json` says | [`changes_in`], [`paths_in`], [`paths_lost_in`] |
//! | a bundle as it lies in a layout | [`StoredBundle`] |
//! | a pull that must be refused, an upload that may break off | [`assert_pull_is_refused`], [`project_with_large_file`] |
//! | the program alone, with a time limit or killed on the way | [`BundleCommand`], [`RunningCommand`] |
//! | its exit code and output, checked | [`CommandOutput`] |
//! | a real registry | [`Registry`], or [`RegistrySetup`] for a particular one |
//! | a registry that answers as a test tells it to | [`ScriptedRegistry`] |
//! | a registry of every kind, with its certificate and its tokens | [`ProtectedRegistry`] |
//! | who signs certificates | [`Authority`] |
//! | who gives tokens for a registry | [`TokenServer`] |
//! | to count, delay or break what goes over the wire | [`Proxy`] |
//! | the program where the system refuses things | [`run_as_owner`], [`script_with_mounts`], [`make_immutable`] |
//! | content that compresses or does not | [`noise`], [`text`] |
//! | to compare folders, or unpack real input | [`Tree`] |
//! | what the Python tool does to a project and a registry | [`PythonTool`] |
//! | a folder on a web server | [`WebServer`] |
//! | what reads bytes of strangers, as functions of bytes | [`fuzz`] |
//! | another program: Python, node, a browser | [`tools`] |
//!
//! What a test cannot set up is a panic with a sentence that says why; nothing here returns an error.
//! Servers listen on loopback alone and end with the value that stands for them.

#![forbid(unsafe_code)]
#![expect(
    clippy::print_stderr,
    reason = "what a test prints is shown when it fails, or says that it skipped"
)]

mod bin;
mod command;
mod content;
mod document;
pub mod fuzz;
mod http;
mod large_upload;
#[cfg(unix)]
mod obstacle;
mod project;
mod project_setup;
mod protection;
mod proxy;
mod python_tool;
mod refusal;
mod registry;
mod scripted;
mod stored_bundle;
mod tls;
mod token_server;
pub mod tools;
mod tree;
mod web_server;

pub use bin::bundle_binary;
pub use command::{BundleCommand, CommandOutput, RunningCommand};
pub use content::{noise, text};
pub use document::{changes_in, paths_in, paths_lost_in};
pub use http::{Request, Response};
pub use large_upload::{MIB, UPLOADS, assert_large_file_arrived, project_with_large_file, upload_requests};
#[cfg(unix)]
pub use obstacle::{Immutable, give_to_plain_user, make_immutable, run_as_owner, script_with_mounts};
pub use project::TestProject;
pub use protection::{ProtectedRegistry, Protection};
pub use proxy::{Fault, Matching, Proxy, Seen};
pub use python_tool::PythonTool;
pub use refusal::assert_pull_is_refused;
pub use registry::{Generation, PASSWORD, Registry, RegistryClient, RegistrySetup, USER};
pub use scripted::{Answer, Asked, Held, ScriptedRegistry};
pub use stored_bundle::StoredBundle;
pub use tls::{Authority, Certified, Lasts};
pub use token_server::{IDENTITY_TOKEN, READER, READER_PASSWORD, TokenRequest, TokenServer};
pub use tree::{Entry, Tree};
pub use web_server::WebServer;

//! The tests that cross crates, as one binary: one module a subject.
//!
//! `cargo xtask test` fails when a file beside this one is not declared here.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod archive;
mod auth;
mod auth_failures;
mod boundary;
mod browser;
mod cmd_config;
mod cmd_diff;
mod cmd_inspect;
mod cmd_project;
mod cmd_push_pull;
mod cmd_verify;
mod completion;
mod copy;
mod crash;
mod dry_runs;
mod embed;
mod export_files;
mod faults;
mod foreign;
mod fuzz;
mod globs;
mod harness;
mod health;
mod hostile;
mod http_proxies;
mod ignore;
mod interop;
mod interrupted_pulls;
mod json_documents;
mod library;
mod limits;
mod lost_manifests;
mod odd_file_systems;
#[cfg(target_os = "linux")]
mod own_files;
mod packed;
mod packed_hostile;
mod peculiar_registries;
mod peculiar_tags;
mod progress;
mod python_flags;
mod python_project;
mod references;
#[cfg(unix)]
mod refused_changes;
mod registry;
mod repair;
mod repos;
mod resuming;
mod resuming_later;
mod shell;
#[cfg(target_os = "linux")]
mod signals;
#[cfg(unix)]
mod simulation;
mod symlinks;
mod tag_delete;
mod threads;
mod three_way_cells;
mod three_way_model;
#[cfg(unix)]
mod two_people;
mod undo;
#[cfg(unix)]
mod unreadable;
mod vectors;
mod versions;
mod views;
#[cfg(unix)]
mod what_protects;
mod windows_paths;

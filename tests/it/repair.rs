//! A bundle of which the remote has lost something is made whole again by whoever has its files.

use std::fs;
use std::path::{Path, PathBuf};

use modelops_bundle_tests::{Registry, TestProject, can_connect_to_registry, noise};

use crate::cmd_project::project;
use crate::registry::project_on;

/// Pushes files that fill more than one blob in either layout.
fn publish(project: &TestProject, layout: &str) {
    let _ = project.run(&["config", "set", "layout", layout]).success();
    for at in 0..8 {
        project.write(&format!("data/{at}"), noise(at, 90_000));
    }
    project.write("small", "a few bytes").write("empty", "");
    let _ = project.run(&["add", "data", "small", "empty"]).success();
    let _ = project.run(&["push"]).success();
}

/// The files below `folder` that hold more than `least` bytes, the largest last.
fn larger_than(folder: &Path, least: u64) -> Vec<PathBuf> {
    let mut found: Vec<(u64, PathBuf)> = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
            match entry.metadata().unwrap() {
                metadata if metadata.is_dir() => folders.push(entry.path()),
                metadata if metadata.len() > least => found.push((metadata.len(), entry.path())),
                _ => {}
            }
        }
    }
    found.sort();
    found.into_iter().map(|(_, path)| path).collect()
}

/// Finds the bundle damaged, follows the hint, and finds it whole, with the same tree.
fn is_mended_by_force(project: &TestProject) {
    let before = project.run(&["status", "--json"]).success().json();
    let damaged = project.run(&["verify"]).code(8);
    assert!(damaged.stderr().contains("push --force"), "{damaged}");
    let planned = project.run(&["push", "--force", "--dry-run", "--json"]).success().json();
    let pushed = project.run(&["push", "--force"]).success();
    assert!(pushed.stderr().contains("has lost"), "{pushed}");
    assert_eq!(planned["changed"], true);
    let _ = project.run(&["verify"]).success();
    let after = project.run(&["status", "--json"]).success().json();
    assert_eq!(after["summary"], before["summary"]);
    let elsewhere = TestProject::new();
    let reference = project.run(&["config", "get", "registry_ref"]).success().stdout().trim().to_owned();
    let _ = elsewhere.run(&["pull", &reference]).success();
    assert_eq!(elsewhere.read("data/3"), noise(3, 90_000));
    let again = project.run(&["push", "--force", "--json"]).success().json();
    assert_eq!(again["changed"], false, "{again}");
}

#[test]
fn a_layout_that_lost_a_blob_gets_it_again_by_a_forced_push() {
    for layout in ["files", "packed"] {
        let project = project();
        publish(&project, layout);
        let blobs = project.home().join("layout/blobs/sha256");
        fs::remove_file(larger_than(&blobs, 80_000).last().unwrap()).unwrap();
        is_mended_by_force(&project);
    }
}

#[test]
fn a_registry_that_lost_a_blob_gets_it_again_by_a_forced_push() {
    for layout in ["files", "packed"] {
        let registry = Registry::start();
        if !can_connect_to_registry(&registry) {
            return;
        }
        let project = project_on(registry.host(), "lossy");
        publish(&project, layout);
        fs::remove_file(larger_than(&registry.storage(), 80_000).last().unwrap()).unwrap();
        is_mended_by_force(&project);
    }
}

#[test]
fn a_push_that_changes_nothing_asks_for_no_blob() {
    let registry = Registry::start();
    if !can_connect_to_registry(&registry) {
        return;
    }
    let project = project_on(registry.host(), "whole");
    publish(&project, "files");
    let pushed = project.run(&["push", "--json"]).success().json();
    assert!(pushed["requests"].as_u64().unwrap() <= 3, "{pushed}");
}

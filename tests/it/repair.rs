//! A bundle of which the remote has lost something is made whole again by whoever has its files.

use std::fs;
use std::path::{Path, PathBuf};

use modelops_bundle_tests::{Registry, TestProject, noise};

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
        let project = TestProject::on_layout();
        publish(&project, layout);
        let blobs = project.home().join("layout/blobs/sha256");
        fs::remove_file(larger_than(&blobs, 80_000).last().unwrap()).unwrap();
        is_mended_by_force(&project);
    }
}

#[test]
fn a_registry_that_lost_a_blob_gets_it_again_by_a_forced_push() {
    for layout in ["files", "packed"] {
        let Some(registry) = Registry::get() else { return };
        let project = TestProject::on_registry(registry.host(), "lossy");
        publish(&project, layout);
        fs::remove_file(larger_than(&registry.storage(), 80_000).last().unwrap()).unwrap();
        is_mended_by_force(&project);
    }
}

#[test]
fn a_push_that_changes_nothing_asks_for_no_blob() {
    let Some(registry) = Registry::get() else { return };
    let project = TestProject::on_registry(registry.host(), "whole");
    publish(&project, "files");
    let pushed = project.run(&["push", "--json"]).success().json();
    assert!(pushed["requests"].as_u64().unwrap() <= 3, "{pushed}");
}

/// Changes a byte of the largest blob below `folder`, and says which file that is.
fn damage_largest(folder: &Path) -> PathBuf {
    let file = larger_than(folder, 80_000).pop().unwrap();
    let mut content = fs::read(&file).unwrap();
    content[1000] ^= 1;
    fs::write(&file, content).unwrap();
    file
}

#[test]
fn a_layout_with_a_damaged_blob_is_mended_by_a_forced_push() {
    for layout in ["files", "packed"] {
        let project = TestProject::on_layout();
        publish(&project, layout);
        damage_largest(&project.home().join("layout/blobs/sha256"));
        is_mended_by_force(&project);
    }
}

#[test]
fn a_layout_with_a_damaged_manifest_is_mended_by_a_forced_push() {
    let project = TestProject::on_layout();
    publish(&project, "files");
    let status = project.run(&["status", "--json"]).success().json();
    let blobs = project.home().join("layout/blobs/sha256");
    let manifest = status["remote"]["digest"].as_str().unwrap().trim_start_matches("sha256:").to_owned();
    fs::write(blobs.join(manifest), "no manifest").unwrap();
    let damaged = project.run(&["verify"]).code(8);
    assert!(damaged.stderr().contains("push --force"), "{damaged}");
    let _ = project.run(&["push"]).code(8);
    let _ = project.run(&["push", "--force"]).success();
    let _ = project.run(&["verify"]).success();
}

/// Copies `good` onto `place` as the hint of `verify` says, and finds it whole.
#[track_caller]
fn is_mended_by_copy(project: &TestProject, good: &str, place: &str) {
    let damaged = project.run(&["verify", place]).code(8);
    let hint = format!("modelops-bundle copy SRC {place} --force");
    assert!(damaged.stderr().contains(&hint), "{damaged}");
    let planned = project.run(&["copy", good, place, "--force", "--dry-run", "--json"]).success().json();
    let copied = project.run(&["copy", good, place, "--force", "--json"]).success();
    assert!(copied.stderr().contains("sent again"), "{copied}");
    let copied = copied.json();
    assert_eq!(copied["mended"].as_array().unwrap().len(), 1, "{copied}");
    assert_eq!((&copied["uploaded"], &copied["mended"]), (&planned["uploaded"], &planned["mended"]));
    assert_eq!(copied["uploaded"]["blobs"], 1, "{copied}");
    let _ = project.run(&["verify", place]).success();
    let again = project.run(&["copy", good, place, "--force", "--json"]).success().json();
    assert_eq!(again["changed"], false, "{again}");
}

#[test]
fn a_forced_copy_sends_again_what_a_layout_has_lost_or_damaged() {
    for layout in ["files", "packed"] {
        let project = TestProject::on_layout();
        publish(&project, layout);
        let folder = project.home().join("copied");
        let (good, place) = (
            format!("oci:{}:latest", project.home().join("layout").display()),
            format!("oci:{}:latest", folder.display()),
        );
        let _ = project.run(&["copy", &good, &place]).success();
        let blobs = folder.join("blobs/sha256");
        damage_largest(&blobs);
        is_mended_by_copy(&project, &good, &place);
        fs::remove_file(larger_than(&blobs, 80_000).pop().unwrap()).unwrap();
        is_mended_by_copy(&project, &good, &place);
    }
}

#[test]
fn a_copy_to_where_a_blob_is_lost_sends_it_unforced() {
    let project = TestProject::on_layout();
    publish(&project, "files");
    let folder = project.home().join("copied");
    let place = format!("oci:{}:latest", folder.display());
    let _ = project.run(&["copy", "latest", &place]).success();
    fs::remove_file(larger_than(&folder.join("blobs/sha256"), 80_000).pop().unwrap()).unwrap();
    let copied = project.run(&["copy", "latest", &place]).success();
    assert!(copied.stdout().contains("1 blob") && copied.stderr().contains("has lost"), "{copied}");
    let _ = project.run(&["verify", &place]).success();

    let _ = project.run(&["export", "latest", "x.tar"]).success();
    fs::remove_file(larger_than(&folder.join("blobs/sha256"), 80_000).pop().unwrap()).unwrap();
    let imported = project.run(&["import", "x.tar", "--to", &place]).success();
    assert!(imported.stdout().contains("1 blob"), "{imported}");
    let _ = project.run(&["verify", &place]).success();
}

#[test]
fn a_copy_to_a_registry_that_lost_a_blob_sends_it() {
    let Some(registry) = Registry::get() else { return };
    let project = TestProject::on_layout();
    publish(&project, "files");
    let place = format!("{}/copied:latest", registry.host());
    let _ = project.run(&["copy", "latest", &place]).success();
    fs::remove_file(larger_than(&registry.storage(), 80_000).last().unwrap()).unwrap();
    is_mended_by_copy(&project, "latest", &place);
    fs::remove_file(larger_than(&registry.storage(), 80_000).last().unwrap()).unwrap();
    let _ = project.run(&["copy", "latest", &place]).success();
    let _ = project.run(&["verify", &place]).success();
}

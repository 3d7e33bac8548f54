//! `inspect`: what is in a bundle, what bundles share, what is waste, and what a push would add.

use std::fs;

use modelops_bundle_tests::{Registry, TestProject, noise};
use serde_json::{Value, json};

fn packed() -> TestProject {
    let project = TestProject::on_layout();
    let _ = project.run(&["init", "--layout", "packed"]).success();
    project
}

fn push(project: &TestProject, tag: &str) -> Value {
    project.run(&["push", "--tag", tag, "--json"]).success().json()
}

fn inspect(project: &TestProject, arguments: &[&str]) -> Value {
    project.run(&[&["inspect", "--json"], arguments].concat()).success().json()
}

/// The bytes of every blob of a layout that is no manifest.
fn held_on_disk(project: &TestProject) -> u64 {
    let blobs = fs::read_dir(project.home().join("layout/blobs/sha256")).unwrap();
    let contents = blobs.map(|blob| fs::read(blob.unwrap().path()).unwrap());
    let is_manifest = |content: &[u8]| {
        serde_json::from_slice::<Value>(content).is_ok_and(|value| value["schemaVersion"] == 2)
    };
    contents.filter(|content| !is_manifest(content)).map(|content| content.len() as u64).sum()
}

fn sum(one: &Value, other: &Value) -> u64 {
    one["bytes"].as_u64().unwrap() + other["bytes"].as_u64().unwrap()
}

#[test]
fn tells_what_is_in_a_bundle() {
    let project = TestProject::on_layout();
    project.write("src/model.py", "def step(): ...\n").write_executable("run.sh", "#!/bin/sh\n");
    project.write("copy", "#!/bin/sh\n");
    let _ = project.run(&["add", "src", "run.sh", "copy"]).success();
    let pushed = push(&project, "v1.0.0");
    let document = inspect(&project, &["v1.0.0", "--files"]);
    for field in ["digest", "tree"] {
        assert_eq!(document[field], pushed[field]);
    }
    let told = [&document["layout"], &document["file_count"], &document["size"], &document["version"]];
    assert_eq!(json!(told), json!(["files", 3, 36, "v1.0.0"]));
    assert!(document["tool"].as_str().unwrap().starts_with("modelops-bundle/"), "{document}");
    assert_eq!((&document["stored"]["blobs"], &document["packs"]), (&json!(3), &json!(null)), "{document}");
    assert_eq!(
        document["files"],
        json!([
            {"path": "copy", "size": 10, "executable": false, "layer": null},
            {"path": "run.sh", "size": 10, "executable": true, "layer": null},
            {"path": "src/model.py", "size": 16, "executable": false, "layer": null},
        ])
    );
    let text = project.run(&["inspect", "v1.0.0", "--files", "-n", "2"]).success();
    assert!(text.stdout().contains("  run.sh  10 B, executable\n  and 1 more"), "{text}");
    assert!(inspect(&project, &["v1.0.0"]).get("files").is_none());

    // Everywhere else too.
    let _ = project.run(&["export", "v1.0.0", "../bundle.tar"]).success();
    let outside = TestProject::new();
    let file = project.path().parent().unwrap().join("bundle.tar");
    for place in [file.to_str().unwrap(), project.home().join("layout").to_str().unwrap()] {
        assert_eq!(inspect(&outside, &[place])["digest"], pushed["digest"]);
    }
    let _ = outside.run(&["inspect"]).code(6);
    let _ = project.run(&["inspect", "nothing"]).code(6);
    let digest = pushed["digest"].as_str().unwrap();
    let _ = project.run(&["inspect", digest, "--push"]).code(2);
}

#[test]
fn what_tags_share_is_counted_once() {
    for (layout, shared) in [("files", 2), ("packed", 1)] {
        let project = TestProject::on_layout();
        let _ = project.run(&["init", "--layout", layout]).success();
        project.write("a", noise(1, 300_000)).write("b", noise(2, 300_000)).write("c", noise(3, 10_000));
        let _ = project.run(&["add", "a", "b", "c"]).success();
        // What the first tag names is what the new bundle builds on.
        let _ = project.run(&["push", "--tag", "latest", "--tag", "one"]).success();
        project.write("c", noise(4, 20_000));
        let _ = project.run(&["push", "--tag", "latest", "--tag", "two"]).success();
        let (one, two) = (inspect(&project, &["one"]), inspect(&project, &["two", "--tags"]));
        let tags = &two["tags"];
        assert_eq!((&tags["bundles"], &tags["unreadable"]), (&json!(2), &json!([])), "{tags}");
        let other = &tags["others"][0];
        assert_eq!((&other["tags"], &other["digest"]), (&json!(["one"]), &one["digest"]), "{tags}");
        assert_eq!((&other["stored"], &other["shared"]["blobs"]), (&one["stored"], &json!(shared)), "{tags}");
        assert_eq!(tags["sum"]["bytes"], sum(&one["stored"], &two["stored"]));
        assert_eq!(sum(&tags["held"], &other["shared"]), tags["sum"]["bytes"].as_u64().unwrap());
        assert_eq!(tags["held"]["bytes"], held_on_disk(&project), "{layout}");
        let bytes = other["shared"]["bytes"].as_u64().unwrap();
        assert!((600_000..620_000).contains(&bytes), "{tags}");
        let text = project.run(&["inspect", "two", "--tags"]).success();
        assert!(text.stdout().contains("Tags: 2 bundles with "), "{text}");
    }
}

#[test]
fn what_deleted_files_leave_behind_is_waste() {
    let project = packed();
    project.write("kept", noise(1, 300_000)).write("gone", noise(2, 200_000));
    let _ = project.run(&["add", "kept", "gone"]).success();
    let _ = push(&project, "latest");
    let packs = inspect(&project, &["latest", "--packs"])["packs"].clone();
    assert_eq!(json!([packs["count"], packs["used"], packs["waste"]]), json!([1, 500_000, 0]), "{packs}");
    project.remove("gone");
    let _ = push(&project, "latest");
    let packs = inspect(&project, &["latest", "--packs"])["packs"].clone();
    assert_eq!(json!([packs["count"], packs["used"], packs["waste"]]), json!([1, 300_000, 200_000]));
    let each = packs["each"].as_array().unwrap();
    assert_eq!((each.len(), &each[0]["waste"], &each[0]["raw"]), (1, &json!(200_000), &json!(500_000)));
    let text = project.run(&["inspect", "latest", "--packs"]).success();
    assert!(text.stdout().contains("293.0 KiB needed, 195.3 KiB waste"), "{text}");
}

/// Asks what a push would add, pushes, and compares.
fn expect_what_was_estimated(project: &TestProject, layout: &str) -> Value {
    let estimate = inspect(project, &[])["push"].clone();
    let pushed = project.run(&["push", "--json"]).success().json();
    assert_eq!(estimate["layout"], layout, "{estimate}");
    assert_eq!(estimate["blobs"], pushed["uploaded"]["blobs"], "{estimate} {pushed}");
    assert_eq!(estimate["deleted"], pushed["deleted"].as_array().unwrap().len(), "{estimate} {pushed}");
    if layout == "files" {
        assert_eq!(estimate["stored"], pushed["uploaded"]["bytes"], "{estimate} {pushed}");
        return estimate;
    }
    let packs = inspect(project, &["latest", "--packs"])["packs"]["each"].clone();
    let new = packs.as_array().unwrap().iter().rev().take(estimate["blobs"].as_u64().unwrap() as usize);
    let new: Vec<&Value> = new.collect();
    let all = |field: &str| new.iter().map(|pack| pack[field].as_u64().unwrap()).sum::<u64>();
    // Packs are their frames and their tables.
    assert!(all("used") + all("waste") < all("size"), "{packs}");
    assert_eq!(estimate["stored"], all("size"), "{estimate} {packs}");
    assert_eq!((&estimate["raw"], &estimate["chunks"]), (&json!(all("raw")), &json!(all("chunks"))));
    assert_eq!(pushed["uploaded"]["bytes"], all("size"));
    estimate
}

fn expect_estimates(project: &TestProject, layout: &str) {
    let large = noise(1, 1_500_000);
    project.write("large", &large).write("text", "a line of text\n".repeat(9000)).write("small", "small");
    project.write("twin", "small").write("gone", noise(2, 100_000)).write("empty", "");
    let _ = project.run(&["add", "large", "text", "small", "twin", "gone", "empty"]).success();
    let first = expect_what_was_estimated(project, layout);
    assert_eq!(json!([first["added"], first["changed"], first["deleted"]]), json!([6, 0, 0]));

    let mut edited = large;
    edited.splice(700_000..700_000, *b"some bytes more");
    project.write("large", edited).write("new", "a line of text\n".repeat(9000)).remove("gone");
    project.write_executable("small", "small");
    let _ = project.run(&["add", "new"]).success();
    let second = expect_what_was_estimated(project, layout);
    assert_eq!(json!([second["added"], second["changed"], second["deleted"]]), json!([1, 2, 1]));
    let text = project.run(&["inspect"]).success();
    assert!(text.stdout().contains("  files    0 added, 0 changed, 0 deleted\n  sends    0 B"), "{text}");

    // Most of the first pack is waste then, and what is left of it is written anew.
    project.remove("large").write("large", noise(5, 400_000));
    let third = expect_what_was_estimated(project, layout);
    if layout == "packed" {
        assert!(third["raw"].as_u64().unwrap() > 400_000, "{third}");
    }
}

#[test]
fn a_push_adds_what_was_estimated() {
    for layout in ["files", "packed"] {
        let project = TestProject::on_layout();
        let _ = project.run(&["init", "--layout", layout]).success();
        expect_estimates(&project, layout);
    }
}

#[test]
fn a_push_to_a_registry_adds_what_was_estimated() {
    let Some(registry) = Registry::get() else { return };
    for layout in ["files", "packed"] {
        let project = TestProject::new();
        let reference = format!("{}/team/{layout}", registry.host());
        let _ = project.run(&["init", "--ref", &reference, "--layout", layout]).success();
        expect_estimates(&project, layout);
        let _ = push(&project, "v1.0.0");
        project.write("small", "other");
        let _ = push(&project, "latest");
        let tags = inspect(&project, &["latest", "--tags"])["tags"].clone();
        assert_eq!((&tags["bundles"], &tags["others"][0]["tags"]), (&json!(2), &json!(["v1.0.0"])), "{tags}");
        // A tag that is not there yet would need it all again, but for what it would be asked about.
        let text = project.run(&["inspect", "other", "--push"]).success();
        assert!(
            text.stdout().contains("no bundle yet") && text.stdout().contains("A push to other"),
            "{text}"
        );
    }
}

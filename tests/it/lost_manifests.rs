//! A tag whose manifest is gone, or damaged, hinders nothing but what is about it, and can be taken away.

use std::fs;
use std::path::{Path, PathBuf};

use modelops_bundle_tests::{Proxy, Registry, TestProject};
use serde_json::{Value, json};

/// Pushes three bundles, each with a tag of its own.
fn publish(project: &TestProject) {
    for (tag, content) in [("one", "1"), ("two", "2"), ("three", "3")] {
        project.write("a", content);
        let _ = project.run(&["add", "a"]).success();
        let _ = project.run(&["push", "--tag", tag, "--force"]).success();
    }
}

fn digest_of(project: &TestProject, tag: &str) -> String {
    project.run(&["manifest", tag, "--json"]).success().json()["manifests"][0]["digest"]
        .as_str()
        .unwrap()
        .to_owned()
}

/// The file of a blob in the layout of a project.
fn blob(project: &TestProject, digest: &str) -> PathBuf {
    project.home().join("layout/blobs/sha256").join(digest.trim_start_matches("sha256:"))
}

fn listed(project: &TestProject, place: &str) -> Vec<Value> {
    project.run(&["manifest", place, "--json"]).success().json()["manifests"].as_array().unwrap().clone()
}

#[test]
fn one_lost_manifest_hinders_nothing_else_in_a_layout() {
    for harm in [|file: &Path| fs::remove_file(file).unwrap(), |file: &Path| fs::write(file, "{}").unwrap()] {
        let project = TestProject::on_layout();
        publish(&project);
        let place = format!("oci:{}", project.home().join("layout").display());
        let two = digest_of(&project, "two");
        harm(&blob(&project, &two));
        let lines = listed(&project, &place);
        assert_eq!(lines.len(), 3, "{lines:?}");
        let line = lines.iter().find(|line| line["tags"] == json!(["two"])).unwrap();
        assert!(line["fault"].is_string() && line["digest"] == two, "{line}");

        // What is about it names the tag and the place.
        for arguments in [&["pull", "two"][..], &["inspect", "two"], &["export", "two", "x.tar"]] {
            let output = project.run(arguments).code_among(&[6, 8]);
            assert!(output.stderr().contains("hint: "), "{output}");
        }
        let verified = project.run(&["verify", "two", "--json"]).code(8).json();
        assert_eq!(verified["faults"][0]["what"], "manifest two", "{verified}");

        let copies = format!("oci:{}", project.home().join("copies").display());
        let _ = project.run(&["delete", "one"]).success();
        let _ = project.run(&["delete", "two", "--dry-run"]).success();
        let deleted = project.run(&["delete", "two"]).success();
        assert!(deleted.stdout().contains(&two), "{deleted}");
        let tags = project.run(&["manifest", "--tags-only"]).success();
        assert_eq!(tags.stdout(), "three\n");
        let _ = project.run(&["copy", &place, &copies, "--all-tags"]).success();
    }
}

#[test]
fn a_copy_of_all_tags_leaves_out_what_is_lost_and_says_so() {
    let project = TestProject::on_layout();
    publish(&project);
    let place = format!("oci:{}", project.home().join("layout").display());
    let two = digest_of(&project, "two");
    fs::remove_file(blob(&project, &two)).unwrap();
    assert!(project.run(&["manifest", &place]).success().stdout().contains("two  manifest missing"));
    let output = project.run(&["pull", "two"]).code(6);
    assert!(output.stderr().contains(&format!("the tag `two` of {place}")), "{output}");
    let copies = format!("oci:{}", project.home().join("copies").display());
    let output = project.run(&["copy", &place, &copies, "--all-tags"]).success();
    assert!(output.stderr().contains("the tag `two` names a manifest that is not there"), "{output}");
    assert_eq!(listed(&project, &copies).len(), 2);
    // By its digest it can go as well.
    let _ = project.run(&["delete", &format!("{place}@{two}"), "--force"]).success();
    assert_eq!(listed(&project, &place).len(), 2);
}

#[test]
fn a_lost_manifest_is_written_again_where_that_is_meant() {
    let project = TestProject::on_layout();
    publish(&project);
    let place = format!("oci:{}", project.home().join("layout").display());
    let good = format!("oci:{}", project.home().join("good").display());
    let _ = project.run(&["copy", &place, &good, "--all-tags"]).success();
    let three = digest_of(&project, "three");
    for harm in [|file: &Path| fs::remove_file(file).unwrap(), |file: &Path| fs::write(file, "{}").unwrap()] {
        harm(&blob(&project, &three));
        let _ = project.run(&["copy", &format!("{good}:three"), &format!("{place}:three")]).success();
        let _ = project.run(&["verify", "three"]).success();
        harm(&blob(&project, &three));
        let output = project.run(&["push", "--tag", "three"]).code_among(&[6, 8]);
        assert!(output.stderr().contains("push --force"), "{output}");
        let _ = project.run(&["push", "--tag", "three", "--force"]).success();
        let _ = project.run(&["verify", "three"]).success();
        let _ =
            project.run(&["copy", &format!("{good}:three"), &format!("{place}:three"), "--force"]).success();
    }
}

#[test]
fn one_lost_manifest_hinders_nothing_else_on_a_registry() {
    let Some(registry) = Registry::get() else { return };
    let project = TestProject::on_registry(registry.host(), "p");
    publish(&project);
    let two = digest_of(&project, "two");
    let revisions = registry.storage().join("docker/registry/v2/repositories/p/_manifests/revisions/sha256");
    fs::remove_dir_all(revisions.join(two.trim_start_matches("sha256:"))).unwrap();
    let place = format!("{}/p", registry.host());
    let text = project.run(&["manifest", &place]).success();
    assert!(text.stdout().contains("two  manifest missing"), "{text}");
    let verified = project.run(&["verify", "two", "--json"]).code(8).json();
    assert_eq!(verified["faults"][0]["kind"], "missing", "{verified}");
    let copies = format!("{}/copies", registry.host());
    let output = project.run(&["copy", &place, &copies, "--all-tags"]).success();
    assert!(output.stderr().contains("`two`"), "{output}");
    assert_eq!(listed(&project, &copies).len(), 2);
    // It goes alone where the registry can do that; else it is said why it cannot.
    let output = project.run(&["delete", "two"]).code_among(&[0, 1]);
    let said = format!("{}{}", output.stdout(), output.stderr());
    assert!(said.contains("Deleted") || said.contains("only with its manifest"), "{output}");
    let _ = project.run(&["delete", "nothing"]).code(6);
}

#[test]
fn a_place_that_is_not_there_is_not_one_without_bundles() {
    let Some(registry) = Registry::get() else { return };
    let proxy = Proxy::start(registry.host());
    let project = TestProject::on_registry(proxy.host(), "p");
    publish(&project);
    let none = format!("{}/none", proxy.host());
    let folder = project.home().join("none");
    for place in [none, format!("oci:{}", folder.display())] {
        for arguments in [&["manifest", &place][..], &["manifest", &place, "--tags-only"]] {
            let output = project.run(arguments).code(6);
            assert!(output.stderr().contains("hint: check the "), "{output}");
        }
    }
    fs::create_dir(&folder).unwrap();
    let _ = project.run(&["manifest", &format!("oci:{}", folder.display())]).success();
    let _ = project.run(&["manifest", "bogus"]).code(6);
    for tag in ["one", "two", "three"] {
        let _ = project.run(&["delete", tag, "--force"]).success();
    }
    let empty = project.run(&["manifest"]).success();
    assert!(empty.stdout().contains("has no bundles"), "{empty}");
}

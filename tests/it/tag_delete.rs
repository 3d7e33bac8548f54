//! Tags given and taken, on a real registry and in layouts.

use modelops_bundle_tests::{Proxy, Registry, TestProject};
use serde_json::json;

/// A project with two bundles: `v1.0.0`, and `latest` with `next`.
fn publish(project: &TestProject) {
    project.write("a", "1");
    let _ = project.run(&["add", "a"]).success();
    let _ = project.run(&["push", "--tag", "v1.0.0"]).success();
    project.write("a", "2");
    let _ = project.run(&["push", "--tag", "latest", "--tag", "next"]).success();
}

fn tags(project: &TestProject) -> Vec<String> {
    let list = project.run(&["manifest", "--tags-only", "--json"]).success().json();
    serde_json::from_value(list["tags"].clone()).unwrap()
}

#[test]
fn a_bundle_gets_further_tags() {
    let Some(registry) = Registry::get() else { return };
    let project = TestProject::on_registry(registry.host(), "a/b/c/d/e");
    publish(&project);
    let digest = registry.client().tag_digest("a/b/c/d/e", "v1.0.0").unwrap();
    let dry = project.run(&["tag", "v1.0.0", "stable", "--dry-run", "--json"]).success().json();
    assert_eq!((&dry["changed"], &dry["dry_run"]), (&json!(true), &json!(true)));
    assert!(!tags(&project).contains(&"stable".to_owned()));

    let done =
        project.run(&["tag", "v1.0.0", "stable", "latest", "v1.0.1", "--force", "--json"]).success().json();
    assert_eq!(done["digest"], json!(digest));
    assert_eq!(done["tags"][0], json!({"tag": "stable", "before": null, "changed": true}));
    for tag in ["stable", "latest", "v1.0.1"] {
        assert_eq!(registry.client().tag_digest("a/b/c/d/e", tag).unwrap(), digest, "{tag}");
    }
    let again = project.run(&["tag", "v1.0.0", "stable", "--json"]).success().json();
    assert_eq!(again["changed"], json!(false));
    // A published version stays, and then nothing else is written either.
    let output = project.run(&["tag", "next", "fresh", "v1.0.0"]).code(4);
    assert!(output.stderr().contains("published") && output.stderr().contains("--force"), "{output}");
    assert_eq!(tags(&project), ["latest", "next", "stable", "v1.0.0", "v1.0.1"]);
    let _ = project.run(&["tag", "next", "v1.0.0", "--force"]).success();
    assert_ne!(registry.client().tag_digest("a/b/c/d/e", "v1.0.0").unwrap(), digest);
    let _ = project.run(&["tag", "nothing", "x"]).code(6);
    let _ = project.run(&["tag", "next", "../x"]).code(2);
}

#[test]
fn hundreds_of_tags_cost_a_request_each() {
    let Some(registry) = Registry::get() else { return };
    let proxy = Proxy::start(registry.host());
    let project = TestProject::on_registry(proxy.host(), "p");
    publish(&project);
    let client = registry.client();
    let manifest = client.manifest("p", "latest").unwrap().body;
    for number in 0..297 {
        let tag = format!("t{number}");
        client.put_manifest("p", &tag, "application/vnd.oci.image.manifest.v1+json", &manifest);
    }
    proxy.take_seen();
    let list = project.run(&["manifest", "--all", "--json"]).success().json();
    assert_eq!(list["manifests"].as_array().unwrap().len(), 2);
    assert_eq!(list["manifests"][0]["tags"].as_array().unwrap().len(), 299);
    assert_eq!(proxy.take_seen().len(), 301, "the list, and one request a tag");
}

#[test]
fn a_tag_is_deleted_and_nothing_else() {
    let Some(registry) = Registry::get() else { return };
    let project = TestProject::on_registry(registry.host(), "p");
    publish(&project);
    let before = registry.client().tag_digest("p", "latest").unwrap();
    let dry = project.run(&["delete", "next", "--dry-run", "--json"]).code_among(&[0, 3]).json();
    assert_eq!(tags(&project), ["latest", "next", "v1.0.0"]);

    // A registry either deletes the tag alone, or has to be told that the other one may go too.
    let output = project.run(&["delete", "next", "--json"]).code_among(&[0, 3]);
    let document = output.json();
    // The dry run has found out which.
    assert_eq!((&dry["error"], &dry["tags"]), (&document["error"], &document["tags"]));
    if document["error"].is_null() {
        assert_eq!((&document["tags"], &document["manifest"]), (&json!(["next"]), &json!(false)));
        assert_eq!(tags(&project), ["latest", "v1.0.0"]);
    } else {
        assert!(document["error"]["message"].as_str().unwrap().contains("`latest`"), "{document}");
        assert_eq!(tags(&project), ["latest", "next", "v1.0.0"]);
        let _ = project.run(&["delete", "next", "--force"]).success();
        assert_eq!(tags(&project), ["v1.0.0"]);
    }
    let _ = project.run(&["delete", "next"]).code(6);
    let _ = project.run(&["delete", "v1.0.0"]).success();
    assert!(!tags(&project).contains(&"v1.0.0".to_owned()));
    let _ = project.run(&["delete", &format!("{}/p", registry.host())]).code(2);
    let _ = project.run(&["delete", &format!("{}/p:x@{before}", registry.host())]).code(2);
}

#[test]
fn a_bundle_with_tags_is_deleted_only_on_demand() {
    let Some(registry) = Registry::get() else { return };
    let project = TestProject::on_registry(registry.host(), "p");
    publish(&project);
    let digest = registry.client().tag_digest("p", "latest").unwrap();
    let output = project.run(&["delete", &digest]).code(3);
    assert!(output.stderr().contains("`latest`, `next`"), "{output}");
    let done = project.run(&["delete", &digest, "--force", "--json"]).success().json();
    assert_eq!((&done["tags"], &done["manifest"]), (&json!(["latest", "next"]), &json!(true)));
    assert_eq!(tags(&project), ["v1.0.0"]);
    assert!(registry.client().manifest("p", &digest).is_none());
}

#[test]
fn a_registry_that_deletes_nothing_says_so() {
    let Some(registry) = Registry::get_without_deletes() else { return };
    let project = TestProject::on_registry(registry.host(), "p");
    publish(&project);
    let output = project.run(&["delete", "v1.0.0"]).code(1);
    assert!(output.stderr().contains("does not delete") && output.stderr().contains("hint:"), "{output}");
    assert_eq!(tags(&project), ["latest", "next", "v1.0.0"]);
}

#[test]
fn a_layout_forgets_a_tag_and_keeps_blobs() {
    let project = TestProject::new();
    let layout = project.home().join("layout");
    let place = format!("oci:{}", layout.display());
    let _ = project.run(&["init", "--ref", &place]).success();
    publish(&project);
    let blobs = || layout.join("blobs/sha256").read_dir().unwrap().count();
    let before = blobs();
    let list = project.run(&["manifest", "--json"]).success().json();
    let digest =
        list["manifests"].as_array().unwrap().iter().find(|one| one["tags"] == json!(["latest", "next"]));
    let digest = digest.unwrap()["digest"].as_str().unwrap().to_owned();
    let output = project.run(&["delete", "next"]).success();
    assert!(output.stdout().contains("latest names it still"), "{output}");
    assert_eq!((tags(&project), blobs()), (vec!["latest".to_owned(), "v1.0.0".to_owned()], before));
    let _ = project.run(&["delete", &digest]).code(3);
    let _ = project.run(&["delete", "latest"]).success();
    let output = project.run(&["delete", "v1.0.0"]).success();
    assert!(output.stdout().contains("blobs stay"), "{output}");
    assert_eq!((tags(&project), blobs()), (Vec::new(), before));
    let _ = project.run(&["tag", &digest, "back"]).success();
    let _ = project.run(&["delete", &digest, "--force"]).success();
    let _ = project.run(&["delete", &format!("{place}:back")]).code(6);
    let elsewhere = project.home().join("elsewhere");
    let _ = project.run(&["delete", &format!("oci:{}:x", elsewhere.display())]).code(6);
    assert!(!elsewhere.exists());
    let _ = project.run(&["delete", "oci-archive:a.tar:x"]).code(2);
}

//! Bundles carried between registries, layouts and archives; blobs named instead of sent.

use modelops_bundle_tests::{Fault, Matching, Proxy, Registry, TestProject, noise};
use serde_json::json;

/// Pushes two versions, `v1.0.0` and, with one more file, `latest`.
fn publish(project: &TestProject) {
    project.write("a", "first").write("b", "second").write("empty", "");
    let _ = project.run(&["add", "a", "b", "empty"]).success();
    let _ = project.run(&["push", "--tag", "v1.0.0"]).success();
    project.write("c", "third");
    let _ = project.run(&["add", "c"]).success();
    let _ = project.run(&["push"]).success();
}

#[test]
fn a_copy_within_a_registry_sends_no_blob() {
    let Some(registry) = Registry::get() else { return };
    let proxy = Proxy::start(registry.host());
    let project = TestProject::on_registry(proxy.host(), "org/a");
    publish(&project);
    let target = format!("{}/org/sub/b", proxy.host());
    proxy.take_seen();
    let dry = project.run(&["copy", "latest", &target, "--dry-run", "--json"]).success().json();
    assert_eq!((&dry["changed"], &dry["dry_run"]), (&json!(true), &json!(true)));
    assert!(proxy.take_seen().iter().all(|seen| ["GET", "HEAD"].contains(&seen.method.as_str())));

    let done = project.run(&["copy", "latest", &target, "--json"]).success().json();
    assert_eq!(done["uploaded"], json!({"blobs": 0, "bytes": 0}), "{done}");
    assert_eq!(done["mounted"], dry["mounted"]);
    assert_eq!(proxy.count("PUT", "/blobs/"), 0);
    assert_eq!(
        registry.client().tag_digest("org/sub/b", "latest"),
        registry.client().tag_digest("org/a", "latest")
    );
    let elsewhere = TestProject::new();
    let _ = elsewhere.run(&["pull", &format!("{target}:latest")]).success();
    assert_eq!(elsewhere.read_text("c"), "third");
    proxy.take_seen();
    let again = project.run(&["copy", "latest", &target, "--json"]).success().json();
    assert_eq!(again["changed"], json!(false));
    assert!(proxy.take_seen().iter().all(|seen| ["GET", "HEAD"].contains(&seen.method.as_str())));
}

#[test]
fn an_upload_opened_instead_of_a_mount_is_used() {
    let Some(registry) = Registry::get() else { return };
    let proxy = Proxy::start(registry.host());
    let project = TestProject::on_registry(proxy.host(), "a");
    publish(&project);
    // The registry knows the blob, and the sibling that is named does not have it.
    let manifest = registry.client().manifest("a", "v1.0.0").unwrap();
    let digest = manifest.json()["layers"][0]["digest"].as_str().unwrap().to_owned();
    let links = registry.storage().join("docker/registry/v2/repositories/a/_layers/sha256");
    let hidden = links.join(digest.strip_prefix("sha256:").unwrap());
    std::fs::rename(&hidden, registry.storage().join("kept")).unwrap();
    let layout = format!("oci:{}", project.home().join("l").display());
    project.write("only-here", "new");
    let _ = project.run(&["add", "only-here"]).success();
    let _ = project.run(&["config", "set", "registry_ref", &format!("{}/b", proxy.host())]).success();
    proxy.take_seen();
    let pushed = project.run(&["push", "--json"]).success().json();
    // Five files and the index: each is mounted, or uploaded to where the same request leads.
    assert_eq!(proxy.count("POST", "/blobs/uploads/"), 6);
    assert_eq!(proxy.count("PUT", "/blobs/uploads/"), 3);
    assert_eq!(pushed["uploaded"]["blobs"], 2, "the new file, and the one that the sibling lost: {pushed}");
    let _ = project.run(&["copy", "latest", &layout]).success();
    let _ = project.run(&["verify", &format!("{layout}:latest")]).success();
}

#[test]
fn packs_that_another_repository_has_are_not_sent() {
    let Some(registry) = Registry::get() else { return };
    let proxy = Proxy::start(registry.host());
    let project = TestProject::on_registry(proxy.host(), "org/a");
    let _ = project.run(&["init", "--layout", "packed"]).success();
    project.write("large", noise(1, 3_000_000)).write("small", "1");
    let _ = project.run(&["add", "large", "small"]).success();
    let _ = project.run(&["push"]).success();
    let _ = project.run(&["config", "set", "registry_ref", &format!("{}/org/b", proxy.host())]).success();
    proxy.take_seen();
    let pushed = project.run(&["push", "--json"]).success().json();
    assert_eq!(pushed["uploaded"]["bytes"], 0, "{pushed}");
    let sent: u64 = proxy.take_seen().iter().map(|seen| seen.sent).sum();
    assert!(sent < 10_000, "{sent} bytes were sent");
    let elsewhere = TestProject::new();
    let _ = elsewhere.run(&["pull", &format!("{}/org/b:latest", registry.host())]).success();
    elsewhere.tree().assert_same(&project.tree());
}

#[test]
fn a_mount_that_is_refused_is_an_upload() {
    let Some(registry) = Registry::get() else { return };
    let proxy = Proxy::start(registry.host());
    let project = TestProject::on_registry(proxy.host(), "a");
    publish(&project);
    for status in [401, 403, 404, 405] {
        proxy.inject(Matching::new("POST", "/blobs/uploads/"), Fault::Answer(status, vec![]));
        let target = format!("{}/refused-{status}:x", proxy.host());
        let done = project.run(&["copy", "latest", &target, "--concurrency", "1", "--json"]).success().json();
        assert_eq!(done["mounted"]["blobs"], 0, "{done}");
        assert_ne!(done["uploaded"]["blobs"], 0, "{done}");
    }
}

#[test]
fn every_tag_goes_through_layouts_to_another_registry() {
    let (Some(registry), Some(other)) = (Registry::get(), Registry::get()) else { return };
    let project = TestProject::on_registry(registry.host(), "a");
    publish(&project);
    let _ = project.run(&["tag", "v1.0.0", "stable"]).success();
    let layout = format!("oci:{}", project.home().join("l").display());
    let source = format!("{}/a", registry.host());
    let everything = ["copy", &*source, &*layout, "--all-tags", "--json"];
    let planned = project.run(&[&everything[..], &["--dry-run"]].concat()).success().json();
    let all = project.run(&everything).success().json();
    assert_eq!(all["bundles"].as_array().unwrap().len(), 2, "{all}");
    // What the bundles share is announced one time, as it is sent.
    assert_eq!(planned["uploaded"], all["uploaded"]);
    let target = format!("{}/x/y", other.host());
    let _ = project.run(&["copy", &layout, &target, "--all-tags"]).success();
    for tag in ["v1.0.0", "stable", "latest"] {
        assert_eq!(other.client().tag_digest("x/y", tag), registry.client().tag_digest("a", tag), "{tag}");
    }
    let _ = project.run(&["verify", &format!("{target}:latest")]).success();

    // From an archive, under another name; a tag of another bundle stays.
    let _ = project.run(&["export", "v1.0.0", "old.tar"]).success();
    let _ = project.run(&["copy", "old.tar", &format!("{target}:old")]).success();
    let output = project.run(&["copy", "old.tar", &format!("{target}:latest")]).code(4);
    assert!(output.stderr().contains("another bundle"), "{output}");
    let _ = project.run(&["copy", "old.tar", &format!("{target}:latest"), "--force"]).success();
    assert_eq!(other.client().tag_digest("x/y", "latest"), other.client().tag_digest("x/y", "old"));

    for (arguments, code) in [
        (["copy", "latest", "oci-archive:x.tar:a"], 2),
        (["copy", "nothing", &*target], 6),
        (["copy", &*source, "--all-tags"], 2),
    ] {
        let output = project.run(&arguments).code(code);
        assert!(!output.stderr().is_empty(), "{output}");
    }
}

#[test]
fn a_damaged_blob_gets_nowhere() {
    let project = TestProject::new();
    let layout = project.home().join("l");
    let _ = project.run(&["init", "--ref", &format!("oci:{}", layout.display())]).success();
    publish(&project);
    let name = bundle_core::digest::Digest::of(b"third").hex();
    std::fs::write(layout.join("blobs/sha256").join(name), "THIRD").unwrap();
    let target = format!("oci:{}", project.home().join("t").display());
    let _ = project.run(&["copy", "latest", &target]).code(8);
    let list = project.run(&["manifest", &target, "--json"]).success().json();
    assert_eq!(list["manifests"], json!([]));
}

//! Bundles that mean harm, served by a real registry: a clear error, and nothing written outside staging.

use std::fs;
use std::path::Path;

use modelops_bundle_tests::{Registry, RegistryClient, TestProject, assert_pull_is_refused};
use serde_json::{Value, json};

const INDEX: &str = "application/vnd.modelops.bundle.index.v1+json";
const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const LAYER: &str = "application/vnd.oci.image.layer.v1.tar";

fn digest(content: &[u8]) -> String {
    bundle_core::digest::Digest::of(content).to_string()
}

fn entry(path: &str, content: &[u8]) -> Value {
    json!({"path": path, "digest": digest(content), "size": content.len(), "storage": "oci"})
}

fn index(files: &Value) -> Vec<u8> {
    json!({"version": "1.0", "files": files}).to_string().into_bytes()
}

fn layer(content: &[u8]) -> Value {
    json!({"mediaType": LAYER, "digest": digest(content), "size": content.len()})
}

fn manifest(index: &[u8], layers: &Value) -> Value {
    json!({
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": {"mediaType": INDEX, "digest": digest(index), "size": index.len()},
        "layers": layers,
    })
}

/// Puts a bundle on the registry, whatever it says.
fn serve(client: &RegistryClient, index: &[u8], manifest: &Value, blobs: &[&[u8]]) {
    for blob in blobs.iter().chain([&index]) {
        client.put_blob("evil", &digest(blob), blob);
    }
    client.put_manifest("evil", "latest", MANIFEST, manifest.to_string().as_bytes());
}

/// Pulls what the registry serves, expects a failure with one of `codes`, and nothing changed anywhere.
#[track_caller]
fn expect_refusal(registry: &Registry, codes: &[i32], words: &str) {
    let _ = assert_pull_is_refused(&format!("{}/evil", registry.host()), codes, words);
}

// README: "A bundle cannot reach out of its folder. Paths are checked when they are read, also for what some file system takes for
// `.git` (`git~1`, `.git.`)."
#[test]
fn paths_that_lead_out() {
    let Some(registry) = Registry::get() else { return };
    let content: &[u8] = b"evil";
    for path in [
        "../evil",
        "a/../../evil",
        "/tmp/evil",
        "//evil",
        "a\\b",
        "C:\\evil",
        "C:evil",
        ".",
        "a/",
        "a//b",
        "nul\u{0}",
        "line\nfeed",
        "esc\u{1b}[31m",
        ".git/hooks/post-checkout",
        ".modelops-bundle/state.json",
        ".modelops-bundle/REGISTRY.yaml",
        ".Modelops-bundle/registry.yaml",
        ".modelops-bundle/registry.yaml/deep",
        ".GIT/config",
        ".git./config",
        ".git  /hooks/post-checkout",
        "Git~1/hooks/post-checkout",
        ".git::$INDEX_ALLOCATION/config",
        ".g\u{200c}it/config",
        "\u{feff}.git/config",
        ".modelops-bundle../state.json",
        "MODELO~2/config.yaml",
        ".modelops\u{2060}-bundle/config.yaml",
        "data/\u{200b}",
        "\u{feff} ",
        "line\u{2028}separator",
        "paragraph\u{2029}separator",
    ] {
        let index = index(&json!({path: entry(path, content)}));
        serve(&registry.client(), &index, &manifest(&index, &json!([layer(content)])), &[content]);
        expect_refusal(&registry, &[8, 1], "cannot be in a bundle");
    }
}

#[test]
fn indexes_that_contradict_themselves() {
    let Some(registry) = Registry::get() else { return };
    let content: &[u8] = b"evil";
    let good = entry("a", content);
    let raw = |files: &str| format!(r#"{{"version":"1.0","files":{{{files}}}}}"#).into_bytes();
    for (index, words) in [
        (raw(&format!(r#""a":{good},"a":{good}"#)), "comes twice"),
        (index(&json!({"b": good})), "stands under the key"),
        (index(&json!({"a": good, "a/b": entry("a/b", content)})), "folder"),
        (
            index(&json!({"a": {"path": "a", "digest": "sha256:../../x", "size": 4, "storage": "oci"}})),
            "digest",
        ),
        (
            index(
                &json!({"a": {"path": "a", "digest": digest(content), "size": 1u64 << 62, "storage": "oci"}}),
            ),
            "size",
        ),
        (
            index(&json!({"a": {"path": "a", "digest": digest(content), "size": 5, "storage": "oci"}})),
            "layers",
        ),
        (index(&json!({"a": entry("a", b"not there")})), "layers"),
        (
            index(
                &json!({"a": {"path": "a", "digest": digest(content), "size": 4, "storage": "fs:///etc/passwd"}}),
            ),
            "stored as",
        ),
        (json!({"version": "3.0", "files": {}}).to_string().into_bytes(), "version"),
        (b"<html>not an index</html>".to_vec(), "index"),
        (b"\xff\xfe".to_vec(), "UTF-8"),
    ] {
        serve(&registry.client(), &index, &manifest(&index, &json!([layer(content)])), &[content]);
        expect_refusal(&registry, &[8, 1], words);
    }
}

#[test]
fn a_gigabyte_of_nesting() {
    let Some(registry) = Registry::get() else { return };
    // A blob of a gigabyte is refused by its size alone, without a byte of it being asked for.
    let small = b"[";
    let mut named = manifest(small, &json!([]));
    named["config"]["size"] = json!(1u64 << 30);
    serve(&registry.client(), small, &named, &[]);
    expect_refusal(&registry, &[8, 1], "larger than");
    // What is just small enough to be read ends at its depth, not at the end of the stack.
    let mut deep = br#"{"version":"1.0","files":{},"x":"#.to_vec();
    deep.resize(64 * 1024 * 1024, b'[');
    serve(&registry.client(), &deep, &manifest(&deep, &json!([])), &[]);
    expect_refusal(&registry, &[8, 1], "index");
}

// README: "Digests and sizes are checked on every byte."
#[test]
fn bytes_that_are_not_what_they_are_called() {
    let Some(registry) = Registry::get() else { return };
    let content: &[u8] = b"the right content";
    let index = index(&json!({"a": entry("a", content)}));
    serve(&registry.client(), &index, &manifest(&index, &json!([layer(content)])), &[content]);
    let stored = find(&registry.storage(), &digest(content)["sha256:".len()..]);
    for damaged in [&b"the wrong content"[..], b"short", b"the right content and then some"] {
        fs::write(&stored, damaged).unwrap();
        expect_refusal(&registry, &[8], "`a`");
    }
}

#[test]
fn manifests_that_are_none() {
    let Some(registry) = Registry::get() else { return };
    let content: &[u8] = b"x";
    let good = index(&json!({"a": entry("a", content)}));
    let edit = |change: &dyn Fn(&mut Value)| {
        let mut manifest = manifest(&good, &json!([layer(content)]));
        change(&mut manifest);
        manifest
    };
    for (manifest, words) in [
        (
            edit(&|m| m["config"]["mediaType"] = json!("application/vnd.oci.image.config.v1+json")),
            "is not a bundle but a container image",
        ),
        (
            edit(&|m| m["config"]["mediaType"] = json!(format!("{}", INDEX.replace("v1", "v3")))),
            "does not read",
        ),
        (edit(&|m| m["config"]["data"] = json!("bm90IHRoZSBpbmRleA==")), "not"),
    ] {
        serve(&registry.client(), &good, &manifest, &[content]);
        expect_refusal(&registry, &[8, 1], words);
    }
}

// README: "Links are never written through."
#[test]
#[cfg(unix)]
fn a_pull_does_not_write_through_links() {
    let Some(registry) = Registry::get() else { return };
    let content: &[u8] = b"evil";
    let index = index(&json!({"way/out": entry("way/out", content)}));
    serve(&registry.client(), &index, &manifest(&index, &json!([layer(content)])), &[content]);
    let reference = format!("{}/evil", registry.host());
    for target in ["outside", "project/.modelops-bundle", "project/.git"] {
        let project = TestProject::new();
        let _ = project.run(&["init", "--ref", &reference]).success();
        let around = project.path().parent().unwrap().to_owned();
        fs::create_dir_all(around.join(target)).unwrap();
        std::os::unix::fs::symlink(around.join(target), project.path().join("way")).unwrap();
        for arguments in [&["pull"][..], &["pull", "--overwrite"]] {
            let output = project.run(arguments).code(3);
            assert!(output.stderr().contains("way/out"), "{output}");
        }
        assert!(!around.join(target).join("out").exists());
    }
    // A link in the place of the file itself is replaced at the most, and never written through.
    let project = TestProject::new();
    let _ = project.run(&["init", "--ref", &reference]).success();
    let outside = project.path().parent().unwrap().join("outside");
    fs::write(&outside, "precious").unwrap();
    fs::create_dir(project.path().join("way")).unwrap();
    std::os::unix::fs::symlink(&outside, project.path().join("way/out")).unwrap();
    let _ = project.run(&["pull"]).code(3);
    let _ = project.run(&["pull", "--overwrite"]);
    assert_eq!(fs::read_to_string(&outside).unwrap(), "precious");
}

/// The file of a blob in the registry's own storage.
fn find(storage: &Path, hex: &str) -> std::path::PathBuf {
    let blob = storage.join("docker/registry/v2/blobs/sha256").join(&hex[..2]).join(hex).join("data");
    assert!(blob.is_file(), "{} is not where a registry keeps its blobs", blob.display());
    blob
}

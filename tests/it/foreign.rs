//! What other tools keep beside bundles: it is told what it is, left out of what moves bundles, and keeps its tags.

use std::fs;
use std::path::{Path, PathBuf};

use modelops_bundle_tests::{Registry, TestProject};
use serde_json::{Value, json};

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";
const IMAGE_CONFIG: &str = "application/vnd.oci.image.config.v1+json";

fn digest(content: &[u8]) -> String {
    bundle_core::digest::Digest::of(content).to_string()
}

fn descriptor(media_type: &str, content: &[u8]) -> Value {
    json!({"mediaType": media_type, "digest": digest(content), "size": content.len()})
}

/// Manifests of other tools: how each is called, its media type, itself, and words that it is told by.
fn foreign_manifests() -> Vec<(&'static str, &'static str, Value, &'static str)> {
    let layers = json!([descriptor("application/vnd.oci.image.layer.v1.tar", b"{}")]);
    let with_config = |media_type: &str, config: &str| json!({"schemaVersion": 2, "mediaType": media_type, "config": descriptor(config, b"{}"), "layers": layers});
    let mut signature = with_config(MANIFEST, "application/vnd.oci.empty.v1+json");
    signature["artifactType"] = json!("application/vnd.example.signature");
    signature["subject"] = descriptor(MANIFEST, b"subject");
    let mut sbom = with_config(MANIFEST, "application/vnd.oci.empty.v1+json");
    sbom["artifactType"] = json!("application/spdx+json");
    vec![
        (
            "docker",
            DOCKER_MANIFEST,
            with_config(DOCKER_MANIFEST, "application/vnd.docker.container.image.v1+json"),
            "container image",
        ),
        ("image", MANIFEST, with_config(MANIFEST, IMAGE_CONFIG), "container image"),
        ("chart", MANIFEST, with_config(MANIFEST, "application/vnd.cncf.helm.config.v1+json"), "Helm chart"),
        ("signature", MANIFEST, signature, "application/vnd.example.signature"),
        ("sbom", MANIFEST, sbom, "application/spdx+json"),
        (
            "index",
            "application/vnd.oci.image.index.v1+json",
            json!({"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": []}),
            "image index",
        ),
    ]
}

/// A project on a repository that holds its bundle and something of every other kind.
fn among_others(registry: &Registry) -> TestProject {
    let project = TestProject::on_registry(registry.host(), "shared");
    project.write("a", "1");
    let _ = project.run(&["add", "a"]).success();
    let _ = project.run(&["push"]).success();
    let client = registry.client();
    client.put_blob("shared", &digest(b"{}"), b"{}");
    for (tag, media_type, manifest, _) in foreign_manifests() {
        client.put_manifest("shared", tag, media_type, manifest.to_string().as_bytes());
    }
    project
}

#[test]
fn what_is_no_bundle_is_called_so_by_every_command() {
    let Some(registry) = Registry::get() else { return };
    let project = among_others(&registry);
    for (tag, _, _, words) in foreign_manifests() {
        let named = format!("{}/shared:{tag}", registry.host());
        let target = format!("{}/other", registry.host());
        for arguments in [
            &["pull", &named][..],
            &["verify", &named],
            &["inspect", &named],
            &["diff", &named],
            &["diff", "latest", &named],
            &["copy", &named, &target],
            &["export", &named, "x.tar"],
            &["tag", &named, "further"],
            &["push", "--tag", tag],
            &["push", "--tag", tag, "--force"],
        ] {
            let output = project.run(arguments).code(1);
            let said = output.stderr();
            assert!(
                said.contains(&format!("{named} is not a bundle but ")) && said.contains(words),
                "{output}"
            );
            assert!(said.contains("hint: ") && !said.contains("damaged"), "{output}");
        }
    }
    assert_eq!(project.tree().paths().filter(|path| *path == "x.tar").count(), 0);
    let listed = project.run(&["manifest", "--json"]).success().json();
    let faults = listed["manifests"].as_array().unwrap().iter().filter(|one| one["fault"].is_string());
    assert_eq!(faults.count(), foreign_manifests().len(), "{listed}");
}

#[test]
fn status_says_that_the_tag_names_no_bundle() {
    let Some(registry) = Registry::get() else { return };
    let project = among_others(&registry);
    let _ = project.run(&["config", "set", "default_tag", "docker"]).success();
    let status = project.run(&["status", "--json"]).success().json();
    assert_eq!(status["remote"]["state"], "not_a_bundle", "{status}");
    assert!(project.run(&["status"]).success().stdout().contains("container image"));
}

#[test]
fn a_copy_of_all_tags_leaves_out_what_is_no_bundle() {
    let Some(registry) = Registry::get() else { return };
    let project = among_others(&registry);
    let (from, to) = (format!("{}/shared", registry.host()), format!("{}/copies", registry.host()));
    let copied = project.run(&["copy", "--all-tags", &from, &to, "--json"]).success().json();
    let mut skipped: Vec<&str> = foreign_manifests().iter().map(|(tag, ..)| *tag).collect();
    skipped.sort_unstable();
    let mut left_out: Vec<&str> =
        copied["skipped"].as_array().unwrap().iter().map(|tag| tag.as_str().unwrap()).collect();
    left_out.sort_unstable();
    assert_eq!(left_out, skipped);
    assert_eq!(registry.client().tags("copies"), ["latest"]);
}

/// The digest that a tag names; the registry shows manifests of Docker only to those who ask for them.
fn named(project: &TestProject, tag: &str) -> String {
    let listed = project.run(&["manifest", tag, "--json"]).success().json();
    listed["manifests"][0]["digest"].as_str().unwrap().to_owned()
}

#[test]
fn tags_of_other_tools_are_moved_and_deleted_by_force_alone() {
    let Some(registry) = Registry::get() else { return };
    let project = among_others(&registry);
    let client = registry.client();
    let elsewhere = format!("{}/elsewhere", registry.host());
    let _ = project.run(&["copy", "latest", &format!("{elsewhere}:bundle")]).success();
    for (tag, _, _, words) in foreign_manifests() {
        let before = named(&project, tag);
        let onto = format!("{}/shared:{tag}", registry.host());
        for arguments in [
            &["tag", "latest", tag][..],
            &["tag", "latest", tag, "--dry-run"],
            &["delete", tag],
            &["delete", tag, "--dry-run"],
            &["copy", &format!("{elsewhere}:bundle"), &onto],
        ] {
            let output = project.run(arguments).code(3);
            assert!(output.stderr().contains(words) && output.stderr().contains("--force"), "{output}");
        }
        assert_eq!(named(&project, tag), before);
    }
    let _ = project.run(&["tag", "latest", "docker", "--force"]).success();
    assert_eq!(named(&project, "docker"), named(&project, "latest"));
    let _ = project.run(&["delete", "image", "--force"]).success();
    assert!(!client.tags("shared").contains(&"image".to_owned()));
}

/// A layout with one bundle and, where it is said, a signature of it, under the names that are given to them.
fn layout_with(names: &[(Option<&str>, &str)]) -> (TestProject, PathBuf) {
    let project = TestProject::on_layout();
    project.write("a", "content");
    let _ = project.run(&["add", "a"]).success();
    let layout = project.home().join("by-others");
    let _ = project.run(&["push"]).success();
    let _ = project.run(&["copy", "latest", &format!("oci:{}:latest", layout.display())]).success();
    let index = layout.join("index.json");
    let mut list: Value = serde_json::from_slice(&fs::read(&index).unwrap()).unwrap();
    let bundle = list["manifests"][0].clone();
    let entries = names.iter().map(|(name, annotation)| {
        let mut entry = bundle.clone();
        entry["annotations"] = match name {
            Some(name) => json!({*annotation: name}),
            None => json!({}),
        };
        entry
    });
    list["manifests"] = entries.collect();
    fs::write(&index, list.to_string()).unwrap();
    (project, layout)
}

const REF_NAME: &str = "org.opencontainers.image.ref.name";

/// Adds a signature of the only bundle to a layout, as copies with referrers hold it.
fn sign(layout: &Path) {
    let index = layout.join("index.json");
    let mut list: Value = serde_json::from_slice(&fs::read(&index).unwrap()).unwrap();
    let subject = list["manifests"][0].clone();
    let signature = json!({
        "schemaVersion": 2, "mediaType": MANIFEST, "artifactType": "application/vnd.example.signature",
        "config": descriptor("application/vnd.oci.empty.v1+json", b"{}"), "layers": [],
        "subject": {"mediaType": MANIFEST, "digest": subject["digest"], "size": subject["size"]},
    })
    .to_string();
    for blob in [signature.as_bytes(), b"{}"] {
        fs::write(layout.join("blobs/sha256").join(&digest(blob)[7..]), blob).unwrap();
    }
    list["manifests"].as_array_mut().unwrap().push(descriptor(MANIFEST, signature.as_bytes()));
    fs::write(&index, list.to_string()).unwrap();
}

/// Makes an archive of a layout with the system's tar, as other tools would.
fn archive_of(layout: &Path) -> PathBuf {
    let file = layout.with_extension("tar");
    let made = std::process::Command::new("tar")
        .args(["--format=ustar", "-C", layout.to_str().unwrap(), "-cf", file.to_str().unwrap()])
        .args(["oci-layout", "index.json", "blobs"])
        .status()
        .unwrap();
    assert!(made.success());
    file
}

#[test]
fn the_only_bundle_of_a_layout_is_meant_whatever_its_name() {
    for names in [
        &[(None, REF_NAME)][..],
        &[(Some("v7"), REF_NAME)],
        &[(Some("registry.example:5000/team/x:v7"), REF_NAME)],
        &[(Some("registry.example/team/x"), REF_NAME)],
        &[(Some("registry.example/team/x:v7"), "io.containerd.image.name")],
    ] {
        for is_signed in [false, true] {
            let (project, layout) = layout_with(names);
            if is_signed {
                sign(&layout);
            }
            let (layout, archive) = (layout.display().to_string(), archive_of(&layout).display().to_string());
            let listed = project.run(&["manifest", &format!("oci:{layout}"), "--json"]).success().json();
            let bundles = listed["manifests"].as_array().unwrap();
            assert_eq!(
                bundles.iter().filter(|one| one["files"] == json!(1)).count(),
                1,
                "{names:?} {listed}"
            );
            for place in [&format!("oci:{layout}"), &layout, &format!("oci-archive:{archive}"), &archive] {
                let _ = project.run(&["verify", place]).success();
                let _ = project.run(&["inspect", place]).success();
                let target = TestProject::new();
                let _ =
                    project.run(&["copy", place, &format!("oci:{}:c", target.path().display())]).success();
            }
            for place in [format!("oci:{layout}"), format!("oci-archive:{archive}")] {
                let other = TestProject::new();
                let _ = other.run(&["pull", &place]).success();
                assert_eq!(other.read_text("a"), "content");
                let same = project.run(&["diff", "latest", &place]).success();
                assert!(same.stdout().contains("No differences"), "{same}");
            }
            let other = TestProject::new();
            let _ = other.run(&["import", &archive, "--dest", "."]).success();
            assert_eq!(other.read_text("a"), "content");
            let to = format!("oci:{}/imported:kept", project.home().display());
            let _ = project.run(&["import", &archive, "--to", &to]).success();
        }
    }
}

#[test]
fn a_place_with_several_bundles_wants_one_to_be_named() {
    let (project, layout) = layout_with(&[(Some("one"), REF_NAME)]);
    project.write("a", "other content");
    let place = format!("oci:{}", layout.display());
    let _ = project.run(&["push"]).success();
    let _ = project.run(&["copy", "latest", &format!("{place}:two")]).success();
    let output = project.run(&["verify", &place]).code(6);
    assert!(output.stderr().contains("latest"), "{output}");
    let output = project.run(&["import", archive_of(&layout).to_str().unwrap()]).code(2);
    assert!(output.stderr().contains("one, two"), "{output}");
}

#[test]
fn an_archive_that_was_compressed_is_called_that() {
    let (project, layout) = layout_with(&[(Some("latest"), REF_NAME)]);
    let archive = archive_of(&layout);
    for (start, word) in [
        (&b"\x1f\x8b\x08"[..], "gzip"),
        (b"\x28\xb5\x2f\xfd", "zstd"),
        (b"\xfd7zXZ\0", "xz"),
        (b"BZh9", "bzip2"),
    ] {
        let file = archive.with_extension(word);
        fs::write(&file, [start, &fs::read(&archive).unwrap()].concat()).unwrap();
        let output = project.run(&["import", file.to_str().unwrap(), "--dest", "q"]).code(1);
        assert!(output.stderr().contains(&format!("compressed with {word}")), "{output}");
        assert!(output.stderr().contains("hint: undo that first"), "{output}");
    }
}

#[test]
fn a_hint_for_what_lies_on_disk_can_be_typed() {
    let (project, layout) = layout_with(&[(Some("bundle"), REF_NAME)]);
    let index = layout.join("index.json");
    let mut list: Value = serde_json::from_slice(&fs::read(&index).unwrap()).unwrap();
    for (tag, _, manifest, _) in foreign_manifests() {
        let content = manifest.to_string();
        fs::write(layout.join("blobs/sha256").join(&digest(content.as_bytes())[7..]), &content).unwrap();
        let mut entry = descriptor(MANIFEST, content.as_bytes());
        entry["annotations"] = json!({REF_NAME: tag});
        list["manifests"].as_array_mut().unwrap().push(entry);
    }
    fs::write(&index, list.to_string()).unwrap();
    let (folder, archive) = (layout.display().to_string(), archive_of(&layout).display().to_string());
    for (place, path) in [(format!("oci:{folder}"), folder), (format!("oci-archive:{archive}"), archive)] {
        for (tag, expected) in [
            ("image", format!("skopeo copy {place}:image docker://")),
            ("chart", format!("oras cp --from-oci-layout {path}:chart ")),
            ("sbom", format!("oras pull --oci-layout {path}:sbom`")),
        ] {
            let output = project.run(&["inspect", &format!("{place}:{tag}")]).code(1);
            assert!(output.stderr().contains(&expected), "{output}");
        }
    }
}

#[test]
fn a_push_onto_what_is_no_bundle_is_told_what_to_do() {
    let Some(registry) = Registry::get() else { return };
    let project = among_others(&registry);
    let (host, client) = (registry.host(), registry.client());
    for arguments in [&["push", "--tag", "image"][..], &["push", "--tag", "image", "--force"]] {
        let output = project.run(arguments).code(1);
        for part in ["--tag TAG", &format!("delete {host}/shared:image --force")] {
            assert!(output.stderr().contains(part), "{output}");
        }
    }
    let (_, media_type, image, _) = foreign_manifests().swap_remove(1);
    client.put_manifest("shared", "9.9.9", media_type, image.to_string().as_bytes());
    project.write("a", "2");
    let output = project.run(&["push", "--bump", "auto"]).code(1);
    for part in ["`9.9.9`", "--tag VERSION", &format!("delete {host}/shared:9.9.9 --force")] {
        assert!(output.stderr().contains(part), "{output}");
    }
    // Signatures of cosign say that they are images; their tag says more.
    let signature = format!("sha256-{}.sig", "0".repeat(64));
    client.put_manifest("shared", &signature, media_type, image.to_string().as_bytes());
    let output = project.run(&["inspect", &signature]).code(1);
    assert!(output.stderr().contains("signature") && !output.stderr().contains("image"), "{output}");
    let output = project.run(&["delete", "image", "--force"]).success();
    assert!(!output.stdout().contains("bundle sha256:"), "{output}");
    let chart = project.run(&["inspect", "chart"]).code(1);
    assert!(chart.stderr().contains(&format!("helm pull oci://{host}/shared --version chart")), "{chart}");
}

#[test]
fn a_further_tag_of_another_tool_stops_a_push_before_anything_is_sent() {
    let Some(registry) = Registry::get() else { return };
    let project = among_others(&registry);
    let before = registry.client().tag_digest("shared", "latest");
    project.write("new", "content that nobody has");
    let _ = project.run(&["add", "new"]).success();
    for more in [&["--dry-run"][..], &[]] {
        let output =
            project.run(&[&["push", "--tag", "latest", "--tag", "image"][..], more].concat()).code(3);
        assert!(output.stderr().contains("image"), "{output}");
    }
    assert_eq!(registry.client().tag_digest("shared", "latest"), before);
    let content = bundle_core::digest::Digest::of(b"content that nobody has").to_string();
    assert_eq!(registry.client().blob("shared", &content), None, "nothing was sent");
    let _ = project.run(&["push", "--tag", "latest", "--tag", "image", "--force"]).success();
    let named = |tag| registry.client().tag_digest("shared", tag);
    assert_eq!(named("image"), named("latest"));
}

#[test]
fn a_text_is_no_archive() {
    let project = TestProject::on_layout();
    project.write("plain.txt", "just a line\n");
    let output = project.run(&["import", "plain.txt", "--dest", "q"]).code(1);
    assert!(output.stderr().contains("it is not a tar"), "{output}");
}

//! Symbolic links: read as what they point to inside the project, refused by name elsewhere, never written through.
#![cfg(unix)]

use std::fs;
use std::os::unix::fs::symlink;

use modelops_bundle_tests::{Entry, TestProject, changes_in};
use serde_json::{Value, json};

/// Files, and links of every kind beside them.
fn with_links() -> TestProject {
    let project = TestProject::on_layout();
    project.write("real/file", "content").write("real/deep/x", "deep");
    let outside = project.home().join("outside");
    fs::create_dir(&outside).unwrap();
    fs::write(outside.join("secret"), "secret").unwrap();
    for (link, target) in [
        ("absolute", project.path().join("real/file").to_str().unwrap()),
        ("alias", "real"),
        ("chain", "relative"),
        ("dangling", "nowhere"),
        ("out", outside.to_str().unwrap()),
        ("out-file", outside.join("secret").to_str().unwrap()),
        ("own", ".modelops-bundle"),
        ("own-file", ".modelops-bundle/config.yaml"),
        ("real/deep/up", ".."),
        ("relative", "real/file"),
        ("self", "self"),
        ("top", "."),
    ] {
        symlink(target, project.path().join(link)).unwrap();
    }
    project
}

fn set_policy(project: &TestProject, policy: &str) {
    let config = project.read_text(".modelops-bundle/config.yaml");
    let others: Vec<&str> = config.lines().filter(|line| !line.starts_with("symlinks:")).collect();
    project.write(".modelops-bundle/config.yaml", format!("{}\nsymlinks: {policy}\n", others.join("\n")));
}

fn added(project: &TestProject, arguments: &[&str]) -> (Value, String) {
    let mut all = vec!["add", "--json"];
    all.extend(arguments);
    let output = project.run(&all).success();
    (output.json()["added"].clone(), output.stderr().to_owned())
}

#[test]
fn links_inside_are_read_and_all_others_are_named() {
    let project = with_links();
    let (paths, warnings) = added(&project, &["."]);
    let expected = [
        ".gitignore",
        "absolute",
        "alias/deep/x",
        "alias/file",
        "chain",
        "real/deep/x",
        "real/file",
        "relative",
    ];
    assert_eq!(paths, json!(expected));
    for (link, words) in [
        ("alias/deep/up", "leads back"),
        ("dangling", "link to nothing"),
        ("out", "leads out"),
        ("out-file", "leads out"),
        ("own", "leads out"),
        ("own-file", "leads out"),
        ("real/deep/up", "leads back"),
        ("self", "leads back"),
        ("top", "leads back"),
    ] {
        let line =
            warnings.lines().find(|line| line.contains(&format!("warning: {link} cannot be tracked: ")));
        assert!(line.is_some_and(|line| line.contains(words)), "{link}: {warnings}");
    }
    let _ = project.run(&["push"]).success();
    let clone = project.pulled_again();
    let tree = clone.tree();
    assert!(tree.paths().all(|path| matches!(tree.entry(path), Some(Entry::File { .. }))), "{tree:?}");
    assert_eq!(
        (clone.read_text("chain"), clone.read_text("alias/deep/x")),
        ("content".into(), "deep".into())
    );
    // What a link points to is what is compared.
    project.write("real/file", "new");
    let status = project.run(&["status", "--json"]).success().json();
    let changed = ["absolute", "alias/file", "chain", "real/file", "relative"];
    assert_eq!(changes_in(&status), changed.map(|path| format!("modified_local {path}")));
}

#[test]
fn a_link_that_is_named_and_refused_is_an_error() {
    let project = with_links();
    for (link, words) in [
        ("dangling", "link to nothing"),
        ("out", "leads out"),
        ("out-file", "leads out"),
        ("own", "leads out"),
        ("own-file", "leads out"),
        ("self", "leads back"),
    ] {
        let output = project.run(&["add", "real", link]).code(1);
        assert!(output.stderr().contains(words) && output.stderr().contains("symlinks"), "{output}");
    }
    // Nothing is found below a link that is not followed.
    let _ = project.run(&["add", "out/secret"]).code(6);
    assert!(!project.exists(".modelops-bundle/tracked.txt"));
}

#[test]
fn links_can_be_refused_or_all_followed() {
    let project = with_links();
    set_policy(&project, "never");
    let (paths, warnings) = added(&project, &["--dry-run", "."]);
    assert_eq!(paths, json!([".gitignore", "real/deep/x", "real/file"]));
    assert_eq!(warnings.matches("links are not followed here").count(), 12, "{warnings}");
    let output = project.run(&["add", "relative"]).code(1);
    assert!(output.stderr().contains("relative: it is a link"), "{output}");

    set_policy(&project, "always");
    let (paths, warnings) = added(&project, &["out", "out-file", "relative"]);
    assert_eq!((paths, warnings.as_str()), (json!(["out-file", "out/secret", "relative"]), ""));
    for link in ["own", "own-file", "dangling", "self"] {
        let _ = project.run(&["add", link]).code(1);
    }
    let _ = project.run(&["push"]).success();
    assert_eq!(project.pulled_again().read_text("out/secret"), "secret");
    // Tracked once, and refused since: said by name, before anything is sent.
    set_policy(&project, "inside");
    let output = project.run(&["push"]).code(1);
    assert!(output.stderr().contains("out-file") && output.stderr().contains("hint: "), "{output}");

    set_policy(&project, "sometimes");
    let output = project.run(&["status"]).code(1);
    assert!(output.stderr().contains("symlinks"), "{output}");
}

#[test]
fn folders_that_link_to_each_other_come_to_an_end() {
    let project = TestProject::on_layout();
    for name in ["a", "b", "c"] {
        project.write(&format!("{name}/x"), name);
        for other in ["a", "b", "c"].into_iter().filter(|other| *other != name) {
            symlink(format!("../{other}"), project.path().join(format!("{name}/{other}"))).unwrap();
        }
    }
    let (paths, _) = added(&project, &["."]);
    let paths = paths.as_array().unwrap().clone();
    // Every way to a folder that does not go through it twice.
    assert_eq!(paths.len(), 1 + 15);
    for path in ["a/x", "a/b/x", "a/b/c/x", "c/b/a/x"] {
        assert!(paths.contains(&json!(path)), "{path} is missing in {paths:?}");
    }
}

#[test]
fn remove_deletes_links_and_nothing_outside() {
    let project = with_links();
    set_policy(&project, "always");
    let _ = project.run(&["add", "out", "out-file", "relative", "alias/file"]).success();
    let secret = project.home().join("outside/secret");
    let output = project.run(&["remove", "--rm", "out", "relative"]).code(1);
    assert!(output.stderr().contains("leads out of the project"), "{output}");
    assert!(secret.exists() && project.exists("relative"));
    assert_eq!(project.read_text(".modelops-bundle/tracked.txt").lines().count(), 4, "nothing was changed");

    let _ = project.run(&["remove", "--rm", "--force", "out-file", "relative", "alias/file"]).success();
    assert!(!project.exists("out-file") && !project.exists("relative") && secret.exists());
    assert!(
        !project.exists("real/file") && project.exists("alias"),
        "a link to a folder inside is a way to it"
    );
    let _ = project.run(&["remove", "out"]).success();
}

#[test]
fn a_pull_goes_through_links_inside_and_replaces_links_to_files() {
    let project = with_links();
    let _ = project.run(&["add", "alias", "relative"]).success();
    let _ = project.run(&["push"]).success();
    let clone = project.pulled_again();
    clone.write("alias/file", "from elsewhere").write("relative", "too");
    let _ = clone.run(&["push"]).success();
    let _ = project.run(&["pull"]).success();
    assert_eq!(project.read_text("real/file"), "from elsewhere");
    let entry = |path: &str| fs::symlink_metadata(project.path().join(path)).unwrap();
    assert!(entry("alias").is_symlink());
    assert!(
        entry("relative").is_file(),
        "the link is replaced, and what it pointed to is another file's business"
    );
    assert_eq!(project.read_text("relative"), "too");
}

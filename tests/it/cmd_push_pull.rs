//! `push` and `pull` on an OCI layout: what moves, what is refused, what stays.

use std::path::Path;

use modelops_bundle_tests::{TestProject, Tree, changes_in};
use serde_json::json;

/// A project that has pushed three files.
fn pushed() -> TestProject {
    let project = TestProject::on_layout();
    project.write("a", "1").write("b", "2").write("dir/c", "3");
    let _ = project.run(&["add", "a", "b", "dir"]).success();
    let _ = project.run(&["push"]).success();
    project
}

#[test]
fn a_tree_goes_there_and_comes_back() {
    let project = TestProject::on_layout();
    project
        .write("src/model.py", "def step(): ...\n")
        .write("data/empty", "")
        .write("ünïcode/naïve name.txt", "x");
    project.write_executable("run.sh", "#!/bin/sh\n").write("copy-1", "same").write("copy-2", "same");
    let _ = project.run(&["add", "."]).success();
    let report = project.run(&["push", "--json"]).success().json();
    // Six files and .gitignore; the copies share a blob, the empty file needs none.
    assert_eq!(report["uploaded"]["files"], 7, "{report}");
    assert_eq!(report["uploaded"]["blobs"], 5, "{report}");
    let second = project.pulled_again();
    second.tree().assert_same(&project.tree());
    let status = second.run(&["status", "--json"]).success().json();
    assert_eq!(changes_in(&status), Vec::<String>::new());
}

#[test]
fn pushing_again_writes_nothing() {
    let project = pushed();
    let layout = project.home().join("layout");
    let before = Tree::read(&layout);
    let report = project.run(&["push", "--json"]).success().json();
    assert_eq!(report["changed"], false);
    assert_eq!(report["uploaded"], json!({"files": 0, "blobs": 0, "bytes": 0}));
    Tree::read(&layout).assert_same(&before);
}

/// What a project remembers: the time of its last change is among it.
fn remembered(project: &TestProject) -> Tree {
    let own = Tree::read(&project.path().join(".modelops-bundle"));
    own.filtered(|path| ["state.json", "synced.json", "tracked.txt"].contains(&path))
}

#[test]
fn what_changes_nothing_leaves_what_is_remembered_as_it_is() {
    let project = pushed();
    let second = project.pulled_again();
    let before = (remembered(&project), remembered(&second));
    for _ in 0..2 {
        let _ = project.run(&["push"]).success();
        let _ = second.run(&["pull"]).success();
    }
    remembered(&project).assert_same(&before.0);
    remembered(&second).assert_same(&before.1);

    // A file that comes back is put in place, although what was last synced stays the same.
    second.write("a", "mine");
    let _ = second.run(&["pull", "--overwrite"]).success();
    assert_eq!(second.read_text("a"), "1");
    remembered(&second).assert_same(&before.1);

    // The same bundle by another name is news, and so is another tag.
    let _ = project.run(&["tag", "latest", "stable"]).success();
    let _ = second.run(&["pull", ":stable"]).success();
    assert!(second.read_text(".modelops-bundle/state.json").contains(":stable"));
    let _ = project.run(&["push", "--tag", "trial"]).success();
    assert!(project.read_text(".modelops-bundle/synced.json").contains("trial"));
    let status = second.run(&["status", "--json"]).success().json();
    assert_eq!(changes_in(&status), Vec::<String>::new());
}

#[test]
fn the_same_tree_has_the_same_index_from_anywhere() {
    let push = |order: [&str; 3]| {
        let project = TestProject::on_layout();
        for path in order {
            project.write(path, path);
            let _ = project.run(&["add", path]).success();
        }
        project.run(&["push", "--json"]).success().json()
    };
    let (one, other) = (push(["a", "b/c", "d"]), push(["d", "b/c", "a"]));
    assert_eq!((&one["index"], &one["tree"]), (&other["index"], &other["tree"]));
}

#[test]
fn a_fixed_clock_gives_the_same_bundle() {
    let push = || {
        let project = TestProject::on_layout();
        project.write("a", "a");
        let _ = project.run(&["add", "a"]).success();
        project.command(["push", "--json"]).env("SOURCE_DATE_EPOCH", "0").run().success().json()["digest"]
            .clone()
    };
    assert_eq!(push(), push());
}

#[test]
fn an_edit_sends_only_itself_and_arrives() {
    let project = pushed();
    let second = project.pulled_again();
    project.write("b", "edited").write("new", "new").remove("a");
    let _ = project.run(&["add", "new"]).success();
    let report = project.run(&["push", "--json"]).success().json();
    assert_eq!((&report["uploaded"]["files"], &report["deleted"]), (&json!(2), &json!(["a"])));
    // What the remote dropped, and nobody has changed here, goes here too; not so for the Python tool's rule.
    let document = second.run(&["pull", "--safe", "--json"]).code(3).json();
    assert_eq!(document["error"]["paths"], json!(["a"]));
    assert_eq!(
        document["error"]["blocked"],
        json!([{ "path": "a", "change": "deleted_remote", "kind": null }])
    );
    let report = second.run(&["pull", "--json"]).success().json();
    assert_eq!(report["downloaded"], json!({"files": 2, "blobs": 2, "bytes": 9}));
    assert_eq!(report["deleted"], json!(["a"]));
    second.tree().without_gitignore().assert_same(&project.tree().without_gitignore());
}

#[test]
fn a_pull_over_a_local_edit_changes_nothing() {
    let project = pushed();
    let second = project.pulled_again();
    project.write("a", "theirs").write("b", "theirs");
    let _ = project.run(&["push"]).success();
    second.write("a", "mine");
    let before = second.tree();
    let output = second.run(&["pull"]).code(3);
    let said = output.stderr();
    assert!(said.contains("  a: changed on both sides\n") && said.contains("--theirs PATH"), "{output}");
    second.tree().assert_same(&before);
    let _ = second.run(&["pull", "--theirs", "a"]).success();
    assert_eq!((second.read_text("a"), second.read_text("b")), ("theirs".to_owned(), "theirs".to_owned()));
}

#[test]
fn a_setting_says_how_pulls_decide_and_an_option_overrules_it() {
    let project = pushed();
    let second = project.pulled_again();
    project.write("a", "theirs");
    let _ = project.run(&["push"]).success();
    second.write("b", "mine");
    for setting in ["safe", "exact"] {
        let _ = second.run(&["config", "set", "pull", setting]).success();
        let output = second.run(&["pull"]).code(3);
        assert!(output.stderr().contains("b"), "{output}");
    }
    let _ = second.run(&["pull", "--merge", "--exact"]).code(2);
    let merged = second.run(&["pull", "--merge"]).success();
    assert!(merged.stdout().contains("kept yours: 1 file\n"), "{merged}");
    assert_eq!((second.read_text("a"), second.read_text("b")), ("theirs".to_owned(), "mine".to_owned()));
}

#[test]
fn an_untracked_file_in_the_way_stops_a_pull() {
    let project = pushed();
    let second = TestProject::new();
    let layout = format!("oci:{}", project.home().join("layout").display());
    let _ = second.run(&["init", "--ref", &layout]).success();
    second.write("a", "precious");
    let output = second.run(&["pull"]).code(3);
    assert!(output.stderr().contains("  a: in the way\n"), "{output}");
    assert!(!second.exists("b"));
    assert_eq!(second.read_text("a"), "precious");
}

#[test]
fn a_folder_in_the_way_stops_a_pull() {
    let project = pushed();
    let second = project.pulled_again();
    project.write("thing", "a file");
    let _ = project.run(&["add", "thing"]).success();
    let _ = project.run(&["push"]).success();
    second.write("thing/inside", "precious");
    for arguments in [&["pull"][..], &["pull", "--overwrite"]] {
        let output = second.run(arguments).code(3);
        assert!(output.stderr().contains("thing"), "{output}");
    }
    assert_eq!(second.read_text("thing/inside"), "precious");
}

#[test]
fn a_file_becomes_a_folder_and_back() {
    let project = pushed();
    let second = project.pulled_again();
    project.remove("a").write("a/b/c", "deep");
    let _ = project.run(&["add", "a"]).success();
    let _ = project.run(&["push"]).success();
    let _ = second.run(&["pull", "--overwrite"]).success();
    second.tree().without_gitignore().assert_same(&project.tree().without_gitignore());
    project.remove("a").write("a", "flat");
    let _ = project.run(&["add", "a"]).success();
    let _ = project.run(&["push"]).success();
    let _ = second.run(&["pull", "--overwrite"]).success();
    second.tree().without_gitignore().assert_same(&project.tree().without_gitignore());
}

#[test]
fn deleted_files_come_back_only_when_asked() {
    let project = pushed();
    project.remove("a");
    let output = project.run(&["pull"]).success();
    assert!(!project.exists("a") && output.stdout().contains("--restore-deleted"), "{output}");
    let _ = project.run(&["pull", "--restore-deleted"]).success();
    assert_eq!(project.read_text("a"), "1");
}

#[test]
fn a_mode_travels() {
    let project = pushed();
    let second = project.pulled_again();
    project.write_executable("a", "1");
    let report = project.run(&["push", "--json"]).success().json();
    assert_eq!((&report["changed"], &report["uploaded"]["blobs"]), (&json!(true), &json!(0)));
    let report = second.run(&["pull", "--json"]).success().json();
    assert_eq!(report["downloaded"]["blobs"], 0, "the content is here already");
    second.tree().without_gitignore().assert_same(&project.tree().without_gitignore());
}

#[test]
fn a_push_does_not_undo_what_it_has_not_seen() {
    let project = pushed();
    let second = project.pulled_again();
    project.write("a", "theirs").write("new", "theirs");
    let _ = project.run(&["add", "new"]).success();
    let digest = project.run(&["push", "--json"]).success().json()["digest"].clone();
    second.write("b", "mine");
    let document = second.run(&["push", "--json"]).code(3).json();
    assert_eq!(document["error"]["paths"], json!(["a", "new"]));
    let status = second.run(&["status", "--json"]).success().json();
    assert_eq!(status["remote"]["digest"], digest);
    let pulled = second.run(&["pull", "--json"]).success().json();
    assert_eq!(pulled["kept"], json!([{ "path": "b", "change": "modified_local" }]));
    let _ = second.run(&["push"]).success();
    let status = second.run(&["status", "--json"]).success().json();
    assert_eq!(changes_in(&status), Vec::<String>::new());
    assert_eq!((second.read_text("new"), second.read_text("b")), ("theirs".to_owned(), "mine".to_owned()));
}

#[test]
fn what_was_pushed_under_another_tag_is_known() {
    let project = pushed();
    let _ = project.run(&["push", "--tag", "v1.0.0", "--tag", "latest"]).success();
    project.write("a", "next");
    let output = project.run(&["push"]).success();
    assert!(!output.stderr().contains("warning"), "{output}");
    // A project that has seen nothing of the remote replaces it only where it is told to.
    let fresh = TestProject::new();
    let layout = format!("oci:{}", project.home().join("layout").display());
    let _ = fresh.run(&["init", "--ref", &layout]).success();
    fresh.write("a", "mine");
    let _ = fresh.run(&["add", "a"]).success();
    let output = fresh.run(&["push"]).code(3);
    assert!(output.stderr().contains("latest has 3 changes that yours is not built on"), "{output}");
    let output = fresh.run(&["push", "--replace"]).success();
    assert!(output.stderr().contains("warning: this undoes 3 changes"), "{output}");
}

#[test]
fn a_published_version_stays() {
    let project = pushed();
    let _ = project.run(&["push", "--tag", "v1.0.0"]).success();
    project.write("a", "other");
    let output = project.run(&["push", "--tag", "v1.0.0"]).code(4);
    assert!(output.stderr().contains("v1.0.0"), "{output}");
    let _ = project.run(&["push", "--tag", "v1.0.1", "--tag", "latest"]).success();
    let list = project.run(&["manifest", "--json"]).success().json();
    let tags: Vec<_> = list["manifests"].as_array().unwrap().iter().map(|one| one["tags"].clone()).collect();
    assert!(tags.contains(&json!(["latest", "v1.0.1"])) && tags.contains(&json!(["v1.0.0"])), "{list}");
    let _ = project.run(&["push", "--tag", "v1.0.0", "--force"]).code(4);
    let _ = project.run(&["tag", "latest", "v1.0.0", "--force"]).success();
}

#[test]
fn diff_compares_any_two() {
    let project = pushed();
    let _ = project.run(&["push", "--tag", "one"]).success();
    project.write("a", "edited").remove("b").write("new", "n");
    let _ = project.run(&["add", "new"]).success();
    let expected = ["modified_local a", "deleted_local b", "added_local new"];
    assert_eq!(changes_in(&project.run(&["diff", "--json"]).success().json()), expected);
    assert_eq!(changes_in(&project.run(&["diff", "one", "--json"]).success().json()), expected);
    let _ = project.run(&["push", "--tag", "two"]).success();
    assert_eq!(changes_in(&project.run(&["diff", "one", "two", "--json"]).success().json()), expected);
    let text = project.run(&["diff", "one", "two", "--stat"]).success();
    assert_eq!(
        text.stdout(),
        "M a  1 B -> 6 B\nD b  1 B -> -\nA new  - -> 1 B\n\
         3 files differ: 1 added, 1 deleted, 1 changed, 2 B -> 7 B\n"
    );
    let _ = project.run(&["diff", "nothing"]).code(6);
}

#[test]
fn a_bundle_is_pulled_by_its_digest() {
    let project = pushed();
    let digest = project.run(&["push", "--json"]).success().json()["digest"].as_str().unwrap().to_owned();
    project.write("a", "later");
    let _ = project.run(&["push"]).success();
    let second = TestProject::new();
    let layout = project.home().join("layout");
    let _ = second.run(&["pull", &format!("oci:{}@{digest}", layout.display())]).success();
    assert_eq!(second.read_text("a"), "1");
    let missing = format!("oci:{}@sha256:{}", layout.display(), "0".repeat(64));
    let _ = TestProject::new().run(&["pull", &missing]).code(6);
}

#[test]
fn a_pull_that_finds_nothing_makes_no_project() {
    let project = TestProject::new();
    let _ = project.run(&["pull", &format!("oci:{}/nowhere", project.home().display())]).code(6);
    assert!(!project.exists(".modelops-bundle"));
}

#[test]
fn a_damaged_layout_is_noticed() {
    let project = pushed();
    let blobs = project.home().join("layout/blobs/sha256");
    let flip = |path: &Path| {
        let mut bytes = std::fs::read(path).unwrap();
        bytes[0] ^= 1;
        std::fs::write(path, bytes).unwrap();
    };
    for entry in std::fs::read_dir(blobs).unwrap() {
        let path = entry.unwrap().path();
        flip(&path);
        let second = TestProject::new();
        let layout = format!("oci:{}:latest", project.home().join("layout").display());
        let output = second.run(&["pull", &layout]);
        // The index travels inside the manifest, so its own blob is not needed to pull.
        let outcome = if second.exists("a") { output.success() } else { output.code(8) };
        assert!(second.exists("a") == second.exists("b"), "{outcome}");
        flip(&path);
    }
}

#[test]
fn more_files_than_registries_take_as_blobs_are_refused_with_the_reason() {
    let project = TestProject::on_layout();
    let _ = project.run(&["init", "--layout", "files"]).success();
    for number in 0..401 {
        project.write(&format!("f{number}"), number.to_string());
    }
    let _ = project.run(&["add", "f*"]).success();
    let output = project.run(&["push"]).code(1);
    assert!(output.stderr().contains("401 files") && output.stderr().contains("--layout"), "{output}");
    let layout = project.home().join("layout");
    assert!(!layout.exists(), "nothing was sent");
    let _ = project.run(&["init", "--layout", "auto"]).success();
    let _ = project.run(&["push"]).success();
}

#[cfg(target_os = "linux")]
#[test]
fn files_with_holes_are_stored_with_holes() {
    use std::os::unix::fs::{FileExt as _, MetadataExt as _};

    let project = TestProject::on_layout();
    let _ = project.run(&["init", "--layout", "files"]).success();
    let file = std::fs::File::create(project.path().join("sparse")).unwrap();
    file.set_len(64 << 20).unwrap();
    file.write_all_at(b"here", 33 << 20).unwrap();
    drop(file);
    let _ = project.run(&["add", "sparse"]).success();
    let _ = project.run(&["push"]).success();
    let _ = project.run(&["copy", "latest", "oci:other:v1"]).success();
    let _ = project.run(&["verify", "oci:other:v1"]).success();
    for layout in [project.home().join("layout"), project.path().join("other")] {
        let blobs = std::fs::read_dir(layout.join("blobs/sha256")).unwrap();
        let blobs: Vec<_> = blobs.map(|blob| blob.unwrap().metadata().unwrap()).collect();
        assert!(blobs.iter().any(|blob| blob.len() == 64 << 20));
        assert!(blobs.iter().map(|blob| blob.blocks() * 512).sum::<u64>() < 4 << 20);
    }
    let _ = project.run(&["verify"]).success();
}

//! What cannot be read is named and passed over, unless it is what a command is about.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};

use modelops_bundle_tests::{TestProject, changes_in, give_to_plain_user, run_as_owner};
use serde_json::{Value, json};

fn set_mode(project: &TestProject, path: &str, mode: u32) {
    fs::set_permissions(project.path().join(path), fs::Permissions::from_mode(mode)).unwrap();
}

/// A pushed project, given to a user without rights.
fn pushed(paths: &[&str]) -> TestProject {
    let project = TestProject::on_layout();
    for path in paths {
        project.write(path, path);
    }
    let _ = project.run(&["add", "."]).success();
    let _ = project.run(&["push"]).success();
    project
}

#[test]
fn an_untracked_folder_that_cannot_be_read_is_named_and_passed_over() {
    let project = TestProject::on_layout();
    project.write("src/a", "a").write("closed/deep/x", "x").write("other/y", "y");
    give_to_plain_user(&project);
    for closed in ["closed/deep", "closed"] {
        set_mode(&project, closed, 0o000);
        let status = run_as_owner(&project, &["status"]).run().success();
        assert!(status.stderr().contains(closed), "{}", status.stderr());
        let output = run_as_owner(&project, &["add", "--dry-run", ".", "--json"]).run().success();
        assert!(output.stderr().contains(closed), "{}", output.stderr());
        let report = output.json();
        assert_eq!(
            (&report["added"], &report["left_out"]),
            (&json!([".gitignore", "other/y", "src/a"]), &json!(1))
        );
        // Left out by name: nothing to warn of.
        let leave = format!("!{closed}");
        let output = run_as_owner(&project, &["add", "--dry-run", ".", &leave]).run().success();
        assert!(!output.stderr().contains("closed"), "{}", output.stderr());
        // What is named is looked at alone, also by a glob.
        for argument in ["src", "src/a", "src/*"] {
            let output = run_as_owner(&project, &["add", "--dry-run", argument]).run().success();
            assert!(!output.stderr().contains("closed"), "{}", output.stderr());
        }
    }
    let output = run_as_owner(&project, &["add", "closed"]).run().code(1);
    assert!(output.stderr().contains("cannot be read: permission denied"), "{}", output.stderr());
    let _ = run_as_owner(&project, &["add", "src"]).run().success();
    let _ = run_as_owner(&project, &["push"]).run().success();
    set_mode(&project, "closed", 0o700);
    set_mode(&project, "closed/deep", 0o700);
}

#[test]
fn status_lists_tracked_paths_that_cannot_be_read_and_a_push_refuses_them_by_name() {
    let project = pushed(&["closed/x", "dangling", "out", "pipe", "rest", "shut", "changed"]);
    for path in ["dangling", "out", "pipe"] {
        project.remove(path);
    }
    symlink("nowhere", project.path().join("dangling")).unwrap();
    symlink("/etc/hostname", project.path().join("out")).unwrap();
    let made = std::process::Command::new("mkfifo").arg(project.path().join("pipe")).status();
    assert!(made.unwrap().success());
    project.write("changed", "now").write("shut", "rewritten, so that it has to be read");
    give_to_plain_user(&project);
    set_mode(&project, "closed", 0o000);
    set_mode(&project, "shut", 0o000);
    let report = run_as_owner(&project, &["status", "--json"]).run().success().json();
    let unreadable: Vec<&Value> =
        report["unreadable"].as_array().unwrap().iter().map(|one| &one["path"]).collect();
    assert_eq!(unreadable, ["closed/x", "dangling", "out", "pipe", "shut"]);
    assert_eq!(changes_in(&report), ["modified_local changed"]);
    let text = run_as_owner(&project, &["status"]).run().success();
    assert!(text.stdout().contains("dangling: it is a link to nothing"), "{}", text.stdout());
    let push = run_as_owner(&project, &["push"]).run().code(1);
    for path in ["closed/x", "dangling", "out", "pipe"] {
        assert!(push.stderr().contains(path), "{path}: {}", push.stderr());
    }
    for path in ["dangling", "out", "pipe"] {
        project.remove(path).write(path, path);
    }
    set_mode(&project, "closed", 0o700);
    give_to_plain_user(&project);
    let push = run_as_owner(&project, &["push"]).run().code(1);
    assert!(push.stderr().contains("shut"), "{}", push.stderr());
    set_mode(&project, "shut", 0o600);
    let _ = run_as_owner(&project, &["push"]).run().success();
}

#[test]
fn a_diff_names_what_cannot_be_read_and_compares_the_rest() {
    let project = pushed(&["changed", "closed/x", "dangling", "known", "shut", "rest"]);
    project.write("changed", "now").write("known", "seen once").write("shut", "to be read");
    project.remove("dangling");
    symlink("nowhere", project.path().join("dangling")).unwrap();
    give_to_plain_user(&project);
    let diff = |more: &[&str]| run_as_owner(&project, &[&["diff"], more].concat()).run();
    set_mode(&project, "closed", 0o000);
    set_mode(&project, "shut", 0o000);
    let output = diff(&[]).code(1);
    assert_eq!(output.stdout(), "M changed\nM known\n2 files differ\n");
    for part in [
        "3 tracked files could not be compared",
        "closed/x: it cannot be read: permission denied",
        "dangling: it is a link to nothing",
        "shut: it cannot be read: permission denied",
        "hint: all else was compared",
    ] {
        assert!(output.stderr().contains(part), "{part}: {output}");
    }
    let _ = run_as_owner(&project, &["status"]).run().success();
    set_mode(&project, "known", 0o000);
    let output = diff(&["--patch"]).code(1);
    assert!(output.stdout().contains("+now") && !output.stdout().contains("known"), "{output}");
    assert!(output.stderr().contains("known: it cannot be read: permission denied"), "{output}");
    let report = diff(&["--patch", "--json"]).code(1).json();
    let paths = |list: &Value| -> Vec<String> {
        list.as_array().unwrap().iter().map(|one| one["path"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(paths(&report["unreadable"]), ["closed/x", "dangling", "known", "shut"]);
    assert_eq!(paths(&report["changes"]), ["changed"]);
    for (path, mode) in [("closed", 0o700), ("known", 0o600), ("shut", 0o600)] {
        set_mode(&project, path, mode);
    }
    project.remove("dangling").write("dangling", "dangling");
    let _ = diff(&["--patch"]).success();
}

#[test]
fn names_that_no_bundle_holds_are_counted() {
    let project = TestProject::on_layout();
    project.write("fine", "").write("arabic \u{200f}", "").write("hebrew \u{200e}", "");
    let output = project.run(&["add", "."]).success();
    assert!(output.stdout().contains("2 left out, since they cannot be tracked"), "{}", output.stdout());
    assert_eq!(project.run(&["add", ".", "--json"]).success().json()["left_out"], 2);
}

#[test]
fn a_pull_that_a_link_out_of_the_project_stops_says_so() {
    let source = pushed(&["data/x", "y"]);
    let layout = format!("oci:{}", source.home().join("layout").display());
    let reader = TestProject::new();
    let _ = reader.run(&["init", "--ref", &layout]).success();
    symlink(reader.home(), reader.path().join("data")).unwrap();
    let output = reader.run(&["pull"]).code(3);
    for word in ["data: it is a link that leads out", "symlinks"] {
        assert!(output.stderr().contains(word), "{}", output.stderr());
    }
    assert!(!reader.exists("y") && !reader.home().join("x").exists());
    reader.remove("data");
    let _ = reader.run(&["pull"]).success();
}

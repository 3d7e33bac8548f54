//! The flags and commands of the Python tool are understood, or it is said what stands in their place.

use modelops_bundle_tests::TestProject;
use serde_json::{Value, json};

/// A project with two tags: `old` has `a` as "old", `latest` as "new".
fn project_with_tags() -> TestProject {
    let project = TestProject::new();
    let _ = project.run(&["init", "--ref", "oci:remote"]).success();
    project.write("a", "old").write("sub/b", "b").write(".modelopsignore", "remote/\n");
    let _ = project.run(&["add", "a", "sub/b"]).success();
    let _ = project.run(&["push", "--tag", "old", "--no-confirm"]).success();
    project.write("a", "new");
    let _ = project.run(&["push", "--force"]).success();
    project
}

fn with_environments() -> TestProject {
    let project = TestProject::new();
    for (name, host) in [("dev", "dev.example"), ("prod", "prod.example")] {
        let text = format!("registry:\n  provider: oci\n  login_server: {host}\n");
        let folder = project.home().join(".modelops/bundle-env");
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join(format!("{name}.yaml")), text).unwrap();
    }
    project
}

fn kind(document: &Value) -> &Value {
    &document["error"]["kind"]
}

#[test]
fn a_threshold_without_a_unit_is_in_megabytes_and_said_to_be() {
    for (given, bytes) in [("100", 100 << 20), ("100B", 100), ("3K", 3 << 10), ("2M", 2 << 20)] {
        let project = TestProject::new();
        let output = project.run(&["init", "--ref", "oci:remote", "--threshold", given]).success();
        assert_eq!(output.stderr().contains("in megabytes"), given == "100", "{given}: {}", output.stderr());
        let value = project.run(&["config", "get", "storage.threshold_bytes", "--json"]).success().json();
        assert_eq!(value["value"], json!(bytes), "{given}");
    }
    let _ = TestProject::new().run(&["init", "--threshold", "99999999999999"]).code(2);
    // The setting itself stays in bytes.
    let project = project_with_tags();
    let _ = project.run(&["config", "set", "storage.threshold_bytes", "100"]).success();
    let value = project.run(&["config", "get", "storage.threshold_bytes", "--json"]).success().json();
    assert_eq!(value["value"], json!(100));
}

#[test]
fn pull_and_diff_take_a_tag_of_the_projects_own_place() {
    let project = project_with_tags();
    let differences = project.run(&["diff", "--tag", "old", "--json"]).success().json();
    assert_eq!(differences["changes"][0]["path"], json!("a"));
    let pulled = project.run(&["pull", "--tag", "old", "--overwrite", "--json"]).success().json();
    assert!(pulled["ref"].as_str().unwrap().ends_with(":old"), "{pulled}");
    assert_eq!(project.read_text("a"), "old");
    let _ = project.run(&["pull", "-t", "old", "latest"]).code(2);
    let _ = project.run(&["diff", "--tag", "old", "latest"]).code(2);
    let _ = project.run(&["pull", "--tag", "no tag"]).code(2);
    let _ = project.run(&["pull", "--tag", "none"]).code(6);
}

#[test]
fn status_takes_the_short_flags_and_the_name_of_one_file() {
    let project = project_with_tags();
    project.write("c", "c").write("a", "edited");
    let text = project.run(&["status", "-u", "-f"]).success().stdout().to_owned();
    assert!(text.contains("Untracked:") && text.contains("Unchanged:"), "{text}");
    let text = project.run(&["status", "-d"]).success().stdout().to_owned();
    assert!(text.contains("6 bytes"), "{text}");
    // An unchanged file too, in a folder.
    let text = project.run(&["status", "-d", "sub/b"]).success().stdout().to_owned();
    assert!(text.contains("unchanged") && text.contains("sub/b") && text.contains("1 bytes"), "{text}");
    assert!(!text.contains("Remote "), "{text}");
    let document = project.run(&["status", "--details", "a", "--json"]).success().json();
    assert_eq!(document["details"]["change"], json!("modified_local"));
    let document = project.run(&["status", "--details", "b", "--json"]).code(6).json();
    assert_eq!(kind(&document), &json!("not_found"));
    let text = project.run(&["status", "--untracked-only"]).success().stdout().to_owned();
    assert_eq!(text.lines().filter(|line| *line == "c").count(), 1, "{text}");
    assert!(!text.contains("Remote "), "{text}");
    let _ = project.run(&["status", "--untracked-only", "--files"]).code(2);
}

#[test]
fn init_and_dev_take_the_environments_of_the_python_tool() {
    let project = with_environments();
    let made = project.run(&["init", "--env", "prod", "--json"]).success().json();
    assert!(made["ref"].as_str().unwrap().starts_with("prod.example/"), "{made}");
    assert_eq!(project.read_text(".modelops-bundle/env").trim(), "prod");
    // Again is no change, and another one is no matter of `init`.
    let _ = project.run(&["init", "-e", "prod"]).success();
    let output = project.run(&["init", "-e", "dev"]).code(2);
    assert!(output.stderr().contains("env switch dev"), "{}", output.stderr());
    let planned = project.run(&["dev", "switch", "dev", "-n", "--json"]).success().json();
    assert_eq!((&planned["environment"], &planned["dry_run"]), (&json!("dev"), &json!(true)));
    assert_eq!(project.read_text(".modelops-bundle/env").trim(), "prod");
    let switched = project.run(&["dev", "switch", "dev", "--json"]).success().json();
    assert!(switched["ref"].as_str().unwrap().starts_with("dev.example/"), "{switched}");
    let listed = project.run(&["dev", "env", "--json"]).success().json();
    assert_eq!(listed, project.run(&["env", "list", "--json"]).success().json());
    assert_eq!(listed["pinned"], json!("dev"));
    let fresh = with_environments();
    let _ = fresh.run(&["init", "--env", "nowhere"]).code_among(&[2, 6]);
    let _ = fresh.run(&["init", "--env", "dev", "--ref", "oci:x"]).code(2);
    assert!(!fresh.exists(".modelops-bundle"));
}

#[test]
fn what_is_not_here_says_what_stands_in_its_place() {
    let project = TestProject::new();
    for (arguments, hint) in [
        (&["ensure", "--ref", "x", "--dest", "y", "--mirror"][..], "modelops-bundle pull"),
        (&["register-model", "model.py:Model", "--no-confirm"], "register-model"),
        (&["register-target", "--help"], "Python package"),
        (&["target-set", "set", "a", "b"], "registry.yaml"),
        (&["list"], "Python package"),
        (&["--install-completion"], "completions bash"),
        (&["--show-completion", "zsh"], "completions bash"),
    ] {
        let output = project.run(arguments).code(2);
        assert!(output.stderr().contains(hint), "{arguments:?}: {}", output.stderr());
    }
    let help = project.run(&["--help"]).success().stdout().to_owned();
    for hidden in ["ensure", "register-model", "target-set", "--no-confirm"] {
        assert!(!help.contains(hidden), "{hidden}");
    }
}

#[test]
fn a_conflict_and_a_moved_tag_have_names_of_their_own() {
    let project = project_with_tags();
    let other = TestProject::new();
    let remote = format!("oci:{}:latest", project.path().join("remote").display());
    let _ = other.run(&["pull", &remote]).success();
    project.write("a", "theirs");
    let _ = project.run(&["push"]).success();
    other.write("a", "mine");
    let document = other.run(&["push", "--json"]).code(3).json();
    assert_eq!(kind(&document), &json!("conflict"));
    // What is published stays.
    let _ = project.run(&["push", "--tag", "v1.0.0"]).success();
    project.write("a", "newer");
    let document = project.run(&["push", "--tag", "v1.0.0", "--json"]).code(4).json();
    assert_eq!(kind(&document), &json!("tag_moved"));
}

#[cfg(unix)]
#[test]
fn under_its_second_name_usage_lines_and_hints_say_that() {
    let project = TestProject::new();
    let link = project.home().join("mops-bundle");
    std::os::unix::fs::symlink(modelops_bundle_tests::bundle_binary(), &link).unwrap();
    let run = |argument: &str| {
        modelops_bundle_tests::BundleCommand::of_program(&link, project.home())
            .current_dir(project.path())
            .args(["pull", argument])
            .run()
    };
    let help = run("--help").success();
    assert!(
        help.stdout().contains("Usage: mops-bundle pull") && help.stdout().contains("\n  mops-bundle pull"),
        "{help}"
    );
    assert!(run("--no-such-flag").code(2).stderr().contains("Usage: mops-bundle pull"));
    // So do hints, and words in documents; a name of a link that is no plain word is left alone.
    let status = |program: &std::path::Path| {
        let command = modelops_bundle_tests::BundleCommand::of_program(program, project.home());
        command.current_dir(project.path()).args(["status", "--json"]).run().code(6).json()
    };
    let hint = |document: Value| document["error"]["hint"].as_str().unwrap().to_owned();
    assert!(hint(status(&link)).contains("`mops-bundle init`"), "{}", status(&link));
    let odd = project.home().join("two words");
    std::os::unix::fs::symlink(modelops_bundle_tests::bundle_binary(), &odd).unwrap();
    assert!(hint(status(&odd)).contains("`modelops-bundle init`"), "{}", status(&odd));
}

#[test]
fn the_variable_for_insecure_registries_means_plain_http() {
    let project = TestProject::new();
    // Nobody answers there; what is said of it tells how it was asked.
    let _ = project.run(&["init", "--ref", "registry.invalid/a"]).success();
    let ask = |value: &str| {
        let command = project.command(["-v", "-v", "--retries", "0", "pull"]);
        command.env("MODELOPS_BUNDLE_INSECURE", value).run().code(7).stderr().contains("http://")
    };
    assert!(ask("true") && ask("1") && ask("yes") && ask("TRUE"));
    assert!(!ask("false") && !ask("0") && !ask(""));
}

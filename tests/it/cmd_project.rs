//! `init`, `add`, `remove`, `status`: what concerns the project folder alone.

use modelops_bundle_tests::TestProject;
use serde_json::{Value, json};

/// A project on an OCI layout beside it, with nothing tracked yet.
pub(crate) fn project() -> TestProject {
    let project = TestProject::new();
    let layout = format!("oci:{}", project.home().join("layout").display());
    let _ = project.run(&["init", "--ref", &layout]).success();
    project
}

/// The changes that `status` or `diff` lists, as `change path`.
pub(crate) fn changes(document: &Value) -> Vec<String> {
    let text = |change: &Value, field: &str| change[field].as_str().unwrap().to_owned();
    let changes = document["changes"].as_array().unwrap().iter();
    changes.map(|change| format!("{} {}", text(change, "change"), text(change, "path"))).collect()
}

#[test]
fn init_needs_no_server_and_can_be_repeated() {
    let project = TestProject::new();
    let first = project.run(&["init", "--json"]).success().json();
    assert!(first["ref"].as_str().unwrap().starts_with("oci:"), "{first}");
    assert_eq!((&first["existed"], &first["gitignore_changed"]), (&json!(false), &json!(true)));
    assert_eq!(project.read_text(".gitignore"), ".modelops-bundle/\n");
    let second = project.run(&["init", "--json"]).success().json();
    assert_eq!((&second["ref"], &second["existed"]), (&first["ref"], &json!(true)));
    assert_eq!(second["gitignore_changed"], false);
    assert_eq!(project.read_text(".gitignore"), ".modelops-bundle/\n");

    project.write("a.txt", "a");
    let _ = project.run(&["add", "a.txt"]).success();
    let _ = project.run(&["push"]).success();
    assert_eq!(project.run(&["status", "--json"]).success().json()["remote"]["state"], "available");
}

#[test]
fn init_leaves_a_gitignore_that_covers_the_folder_alone() {
    for (before, after) in [
        ("/.modelops-bundle\n", "/.modelops-bundle\n"),
        ("x", "x\n.modelops-bundle/\n"),
        ("# .modelops-bundle/\n", "# .modelops-bundle/\n.modelops-bundle/\n"),
    ] {
        let project = TestProject::new();
        project.write(".gitignore", before);
        let _ = project.run(&["init"]).success();
        assert_eq!(project.read_text(".gitignore"), after);
    }
}

#[test]
fn init_refuses_what_is_no_remote_and_creates_nothing() {
    let project = TestProject::new();
    for reference in ["https://host/name", "Host/UPPER", "nohost", "oci:"] {
        let output = project.run(&["init", "--ref", reference]).code(2);
        assert!(output.stderr().starts_with("error: "), "{output}");
        assert!(!project.exists(".modelops-bundle"));
    }
}

#[test]
fn add_takes_files_folders_and_globs() {
    let project = project();
    for path in ["a.txt", "src/x.py", "src/deep/y.py", "data/z.csv", "src/__pycache__/x.pyc"] {
        project.write(path, path);
    }
    let added = |arguments: &[&str]| {
        let mut all = vec!["add", "--json"];
        all.extend(arguments);
        project.run(&all).success().json()
    };
    assert_eq!(added(&["a.txt"])["added"], json!(["a.txt"]));
    assert_eq!(added(&["**/*.csv"])["added"], json!(["data/z.csv"]));
    let folder = added(&["src"]);
    assert_eq!(folder["added"], json!(["src/deep/y.py", "src/x.py"]));
    assert_eq!(folder["ignored"], 1);
    assert_eq!(added(&["src", "a.txt"])["already_tracked"], 3);
    assert_eq!(added(&["--force", "src"])["added"], json!(["src/__pycache__/x.pyc"]));

    let text = project.run(&["add", "src/__pycache__"]).success();
    assert!(text.stdout().contains("ignored by ignore rules (.modelopsignore + defaults)"), "{text}");
    let output = project.run(&["add", "a.txt", "nowhere", "*.nothing"]).code(6);
    assert!(output.stderr().contains("nowhere") && output.stderr().contains("*.nothing"), "{output}");
}

#[test]
fn a_dry_run_changes_nothing() {
    let project = project();
    project.write("a.txt", "a");
    let _ = project.run(&["add", "--dry-run", "a.txt"]).success();
    assert_eq!(
        project.run(&["status", "--json"]).success().json()["untracked"],
        json!([".gitignore", "a.txt"])
    );
    let _ = project.run(&["add", "a.txt"]).success();
    let _ = project.run(&["remove", "--dry-run", "--rm", "a.txt"]).success();
    let planned = project.run(&["push", "--dry-run", "--json"]).success().json();
    assert_eq!(planned["upload"], json!(["a.txt"]));
    assert_eq!(project.run(&["status", "--json"]).success().json()["remote"]["state"], "empty");
    assert!(project.exists("a.txt"));
}

#[test]
fn remove_untracks_and_the_next_push_drops() {
    let project = project();
    project.write("a.txt", "a").write("b.txt", "b").write("c.txt", "c");
    let _ = project.run(&["add", "."]).success();
    let _ = project.run(&["push"]).success();
    let _ = project.run(&["remove", "a.txt"]).success();
    let _ = project.run(&["remove", "--rm", "b.*"]).success();
    assert!(project.exists("a.txt") && !project.exists("b.txt"));
    let _ = project.run(&["push"]).success();
    let status = project.run(&["status", "--json"]).success().json();
    assert_eq!((changes(&status), &status["unchanged"]), (vec![], &json!([".gitignore", "c.txt"])));
    let _ = project.run(&["remove", "nowhere"]).code(6);
}

#[test]
fn status_names_every_change() {
    let project = project();
    for path in ["same", "edited", "deleted"] {
        project.write(path, path);
    }
    let _ = project.run(&["add", "."]).success();
    let _ = project.run(&["push"]).success();
    project.write("edited", "new").remove("deleted").write("new", "new").write("extra", "x");
    let _ = project.run(&["add", "new"]).success();
    let status = project.run(&["status", "--json"]).success().json();
    assert_eq!(changes(&status), ["deleted_local deleted", "modified_local edited", "added_local new"]);
    assert_eq!(
        status["summary"],
        json!({"added_local": 1, "deleted_local": 1, "modified_local": 1, "unchanged": 2})
    );
    assert_eq!(
        (&status["unchanged"], &status["untracked"]),
        (&json!([".gitignore", "same"]), &json!(["extra"]))
    );
    let offline = project.run(&["status", "--offline", "--json"]).success().json();
    assert_eq!((changes(&offline), &offline["remote"]["state"]), (changes(&status), &json!("offline")));
}

#[test]
fn status_of_a_remote_that_is_not_there_says_so() {
    let project = TestProject::new();
    project.write("a", "a");
    let _ = project.run(&["init", "--ref", "127.0.0.1:1/none"]).success();
    let _ = project.run(&["add", "a"]).success();
    let status = project.run(&["status", "--json", "--retries", "0"]).success().json();
    assert_eq!(status["remote"]["state"], "unreachable");
    assert_eq!(changes(&status), ["added_local a"]);
    let output = project.run(&["push", "--retries", "0"]).code(7);
    assert!(output.stderr().contains("127.0.0.1:1") && output.stderr().contains("hint:"), "{output}");
}

#[test]
fn outside_a_project_the_way_in_is_named() {
    let project = TestProject::new();
    for arguments in [&["status"][..], &["push"], &["pull"], &["add", "x"]] {
        let output = project.run(arguments).code(6);
        assert!(output.stderr().contains("modelops-bundle init"), "{output}");
    }
}

#[test]
fn a_command_line_that_cannot_be_understood_is_told_in_json_too() {
    let project = TestProject::new();
    let document = project.run(&["--json", "pussh"]).code(2).json();
    assert_eq!((&document["error"]["code"], &document["error"]["kind"]), (&json!(2), &json!("usage")));
    let _ = project.run(&["pussh"]).code(2);
    let version = project.run(&["--version"]).success();
    assert_eq!(version.stdout(), concat!("modelops-bundle ", env!("CARGO_PKG_VERSION"), "\n"));
    for shell in ["bash", "zsh", "fish", "powershell"] {
        assert!(project.run(&["completions", shell]).success().stdout().contains("modelops-bundle"));
    }
}

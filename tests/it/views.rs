//! A project that takes part in a part of its bundle: the rest is on no side, and stays as others have it.

use modelops_bundle_tests::TestProject;
use serde_json::{Value, json};

/// A project with code and data, pushed to a folder in its home, and the reference of that.
fn pushed(layout: &str) -> (TestProject, String) {
    let project = TestProject::new();
    let reference = format!("oci:{}", project.home().join("remote").display());
    let _ = project.run(&["init", "--ref", &reference, "--layout", layout]).success();
    project
        .write("src/model.py", "1")
        .write("src/run.py", "2")
        .write("data/a.csv", "3")
        .write("data/b.csv", "4");
    let _ = project.run(&["add", "src", "data"]).success();
    let _ = project.run(&["push"]).success();
    (project, format!("{reference}:latest"))
}

fn paths(project: &TestProject) -> Vec<String> {
    project.tree().paths().filter(|path| *path != ".gitignore").map(str::to_owned).collect()
}

fn json_of(project: &TestProject, arguments: &[&str]) -> Value {
    project.run(&[arguments, &["--json"]].concat()).success().json()
}

/// What a colleague gets who takes all of it.
fn everything(reference: &str) -> TestProject {
    let colleague = TestProject::new();
    let _ = colleague.run(&["pull", reference]).success();
    colleague
}

#[test]
fn what_is_outside_is_neither_pulled_nor_dropped_by_a_push() {
    for layout in ["files", "packed"] {
        let (project, reference) = pushed(layout);
        let part = TestProject::new();
        let pulled = json_of(&part, &["pull", &reference, "--include", "src"]);
        assert_eq!(pulled["downloaded"]["files"], 2, "{layout}: {pulled}");
        assert_eq!(paths(&part), ["src/model.py", "src/run.py"]);
        let status = json_of(&part, &["status"]);
        assert_eq!((&status["changes"], &status["view"]["include"]), (&json!([]), &json!(["src"])));
        assert_eq!(json_of(&part, &["push"])["changed"], false);

        // Somebody else changes what is outside, and both push.
        project.write("data/a.csv", "theirs");
        let _ = project.run(&["push"]).success();
        part.write("src/run.py", "mine").remove("src/model.py");
        let done = json_of(&part, &["push", "--dry-run"]);
        assert_eq!(done["deleted"], json!(["src/model.py"]), "{layout}: {done}");
        let done = json_of(&part, &["push"]);
        assert_eq!((&done["deleted"], &done["overwritten"]), (&json!(["src/model.py"]), &json!([])));
        let whole = everything(&reference);
        assert_eq!(paths(&whole), ["data/a.csv", "data/b.csv", "src/run.py"], "{layout}");
        assert_eq!(
            (whole.read_text("data/a.csv"), whole.read_text("src/run.py")),
            ("theirs".into(), "mine".into())
        );
        let _ = whole.run(&["verify", &reference]).success();

        // A tag that names nothing takes the rest from what was last synced.
        let _ = part.run(&["push", "--tag", "v1.0.0"]).success();
        let versioned = everything(&reference.replace(":latest", ":v1.0.0"));
        assert_eq!(paths(&versioned), paths(&whole));
        let elsewhere = format!("oci:{}", part.home().join("elsewhere").display());
        let _ = part.run(&["init", "--ref", &elsewhere]).success();
        let refused = part.run(&["push"]).code(6);
        assert!(refused.stderr().contains("only a part of its bundle"), "{refused}");
    }
}

#[test]
fn what_is_outside_is_not_replaced_unseen() {
    let (project, reference) = pushed("files");
    let part = TestProject::new();
    let _ = part.run(&["pull", &reference, "--include", "src"]).success();
    // A file of one's own where the bundle has another one.
    part.write("data/a.csv", "own");
    let _ = part.run(&["add", "data/a.csv"]).success();
    let refused = part.run(&["push", "--json"]).code(3).json();
    assert_eq!(refused["error"]["unseen"], json!([{ "path": "data/a.csv", "change": "conflict" }]));
    let _ = part.run(&["pull", "--mine", "data/a.csv"]).success();
    let _ = part.run(&["push"]).success();
    part.write("data/a.csv", "own again");
    let _ = part.run(&["push"]).success();
    assert_eq!(everything(&reference).read_text("data/a.csv"), "own again");

    // A second tag whose bundle others have changed outside.
    let _ = part.run(&["push", "--tag", "rel"]).success();
    let _ = project.run(&["pull"]).success();
    project.write("data/b.csv", "theirs");
    let _ = project.run(&["push"]).success();
    part.write("src/run.py", "mine");
    let refused = part.run(&["push", "--tag", "rel", "--tag", "latest", "--json"]).code(3).json();
    assert_eq!(refused["error"]["paths"], json!(["data/b.csv"]));
    // What is remembered of the view goes with what was synced, and cannot be lost without it.
    let _ = part.run(&["pull"]).success();
    for damage in ["", "{", r#"{"format":2}"#] {
        part.write(".modelops-bundle/synced.json", damage);
        let done = json_of(&part, &["push", "--dry-run"]);
        assert_eq!((&done["deleted"], &done["overwritten"]), (&json!([]), &json!([])), "{damage}");
    }
}

#[test]
fn a_narrower_view_takes_away_what_nobody_edited_and_a_wider_one_brings_it_back() {
    let (_project, reference) = pushed("files");
    let part = everything(&reference);
    part.write("data/b.csv", "edited");
    let refused = part.run(&["pull", "--exclude", "data", "--json"]).code(3).json();
    assert_eq!(refused["error"]["paths"], json!(["data/b.csv"]));
    assert_eq!(paths(&part).len(), 4);
    part.write("data/b.csv", "4").write("data/own.csv", "own");
    let _ = part.run(&["add", "data/own.csv"]).success();
    let narrowed = json_of(&part, &["pull", "--exclude", "data"]);
    assert_eq!(narrowed["deleted"], json!(["data/a.csv", "data/b.csv"]));
    assert_eq!(paths(&part), ["data/own.csv", "src/model.py", "src/run.py"]);
    // What the project tracks itself counts all the same.
    let _ = part.run(&["push"]).success();
    assert_eq!(paths(&everything(&reference)).len(), 5);
    let status = part.run(&["status"]).success();
    assert!(status.stdout().contains("takes part in all without data\n"), "{status}");

    let widened = json_of(&part, &["pull", "--include", "**"]);
    assert_eq!(widened["written"], json!(["data/a.csv", "data/b.csv"]));
    assert!(json_of(&part, &["status"]).get("view").is_none());
}

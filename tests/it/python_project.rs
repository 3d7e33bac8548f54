//! A project folder that the Python tool made works as it is, and so does a bundle that it pushed.

use std::path::Path;

use modelops_bundle_tests::{Registry, TestProject, Tree, can_connect_to_registry};
use serde_json::json;

use crate::cmd_project::changes;

fn fixture(name: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures").join(name)
}

/// The folder as the Python tool left it.
fn python_project() -> TestProject {
    let project = TestProject::new();
    Tree::read(&fixture("python-project")).write(project.path());
    let own = Tree::read(&fixture("python-project/.modelops-bundle"));
    own.write(&project.path().join(".modelops-bundle"));
    project
}

#[test]
fn status_push_and_pull_work_as_it_is() {
    let registry = Registry::start();
    if !can_connect_to_registry(&registry) {
        return;
    }
    let project = python_project();
    let config = project.read_text(".modelops-bundle/config.yaml");
    project.write(".modelops-bundle/config.yaml", config.replace("localhost:5000", registry.host()));
    let status = project.run(&["status", "--json"]).success().json();
    assert_eq!((&status["tag"], &status["remote"]["state"]), (&json!("latest"), &json!("empty")));
    let offline = project.run(&["status", "--json", "--offline"]).success().json();
    assert_eq!((changes(&offline), &offline["summary"]), (vec![], &json!({"unchanged": 5})));

    let _ = project.run(&["push"]).success();
    let state: serde_json::Value =
        serde_json::from_slice(&project.read(".modelops-bundle/state.json")).unwrap();
    assert_eq!(state["last_synced_files"].as_object().unwrap().len(), 5);
    assert!(
        !project.exists(".modelops-bundle/tracked"),
        "tracked.txt stays the list, so that the old tool finds it"
    );

    let second = TestProject::new();
    let _ = second.run(&["pull", &format!("{}/pyproj:latest", registry.host())]).success();
    let own = |path: &str| path != ".gitignore";
    second.tree().filtered(own).assert_same(&project.tree().filtered(own));
}

#[test]
fn a_bundle_that_it_pushed_is_pulled_and_pushed_again() {
    let registry = Registry::start();
    if !can_connect_to_registry(&registry) {
        return;
    }
    let files = Tree::read(&fixture("python-project"));
    let client = registry.client();
    let index = std::fs::read(fixture("python-bundle/config.json")).unwrap();
    let manifest = std::fs::read(fixture("python-bundle/manifest.json")).unwrap();
    let described: serde_json::Value = serde_json::from_slice(&manifest).unwrap();
    client.put_blob("pyproj", described["config"]["digest"].as_str().unwrap(), &index);
    let listed: serde_json::Value = serde_json::from_slice(&index).unwrap();
    for (path, entry) in listed["files"].as_object().unwrap() {
        let content = std::fs::read(fixture("python-project").join(path)).unwrap();
        client.put_blob("pyproj", entry["digest"].as_str().unwrap(), &content);
    }
    client.put_manifest("pyproj", "latest", described["mediaType"].as_str().unwrap(), &manifest);

    let project = TestProject::new();
    let reference = format!("{}/pyproj:latest", registry.host());
    let _ = project.run(&["pull", &reference]).success();
    project
        .tree()
        .filtered(|path| path != ".gitignore")
        .assert_same(&files.filtered(|path| path != ".gitignore"));
    let report = project.run(&["push", "--json"]).success().json();
    assert_eq!(report["changed"], false, "the same tree, whoever wrote the index");
}

#[test]
fn add_and_remove_keep_the_list_where_the_old_tool_looks() {
    for list in ["tracked", "tracked.txt"] {
        let project = python_project();
        let before = ["tracked", "tracked.txt"]
            .into_iter()
            .find(|name| project.exists(&format!(".modelops-bundle/{name}")));
        let text = project.read_text(&format!(".modelops-bundle/{}", before.unwrap()));
        project.remove(&format!(".modelops-bundle/{}", before.unwrap()));
        project.write(&format!(".modelops-bundle/{list}"), &text);
        let first = text.lines().next().unwrap();
        project.write("new/file.csv", "1");
        let _ = project.run(&["add", "new"]).success();
        let _ = project.run(&["remove", first]).success();
        let mut expected: Vec<&str> = text.lines().skip(1).chain(["new/file.csv"]).collect();
        expected.sort_unstable();
        assert_eq!(project.read_text(&format!(".modelops-bundle/{list}")), expected.join("\n") + "\n");
        let other = if list == "tracked" { "tracked.txt" } else { "tracked" };
        assert!(!project.exists(&format!(".modelops-bundle/{other}")), "there is one list");
        let status = project.run(&["status", "--json", "--offline"]).success().json();
        let found = changes(&status);
        assert!(found.contains(&"added_local new/file.csv".to_owned()), "{status}");
        assert!(project.exists(first), "it is only no longer tracked");
    }
}

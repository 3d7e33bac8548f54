//! A project folder that the Python tool made works as it is, and so does a bundle that it pushed.

use std::path::Path;

use modelops_bundle_tests::{PythonTool, Registry, TestProject, Tree, changes_in};
use serde_json::json;

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
    let Some(registry) = Registry::get() else { return };
    let project = python_project();
    let config = project.read_text(".modelops-bundle/config.yaml");
    project.write(".modelops-bundle/config.yaml", config.replace("localhost:5000", registry.host()));
    let status = project.run(&["status", "--json"]).success().json();
    assert_eq!((&status["tag"], &status["remote"]["state"]), (&json!("latest"), &json!("empty")));
    let offline = project.run(&["status", "--json", "--offline"]).success().json();
    assert_eq!((changes_in(&offline), &offline["summary"]), (vec![], &json!({"unchanged": 5})));

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
    let Some(registry) = Registry::get() else { return };
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
fn add_and_remove_put_the_list_where_the_python_tool_looks() {
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
        assert_eq!(project.read_text(".modelops-bundle/tracked.txt"), expected.join("\n") + "\n");
        assert!(!project.exists(".modelops-bundle/tracked"), "there is one list");
        let status = project.run(&["status", "--json", "--offline"]).success().json();
        let found = changes_in(&status);
        assert!(found.contains(&"added_local new/file.csv".to_owned()), "{status}");
        assert!(project.exists(first), "it is only no longer tracked");
    }
}

/// The Python tool's list of registered models.
const REGISTRY_FILE: &str = ".modelops-bundle/registry.yaml";

#[test]
fn the_list_of_registered_models_travels_as_a_file() {
    let place = tempfile::tempdir().unwrap();
    let reference = format!("oci:{}", place.path().join("remote").display());
    let project = python_project();
    let config = project.read_text(".modelops-bundle/config.yaml");
    project.write(".modelops-bundle/config.yaml", config.replace("localhost:5000/pyproj", &reference));
    let _ = project.run(&["add", "."]).success();
    let listed = project.read_text(".modelops-bundle/tracked.txt");
    assert!(!listed.contains("registry.yaml"), "only who names it has it tracked: {listed}");
    let _ = project.run(&["add", REGISTRY_FILE]).success();
    let _ = project.run(&["push"]).success();

    let second = TestProject::new();
    let _ = second.run(&["init", "--ref", &reference]).success();
    let _ = second.run(&["pull"]).success();
    assert_eq!(second.read(REGISTRY_FILE), project.read(REGISTRY_FILE));
    let settings = second.read(".modelops-bundle/config.yaml");
    // It is data: what it says is nobody's setting.
    second.write(REGISTRY_FILE, "registry_ref: elsewhere.example/x\nlayout: packed\n");
    let status = second.run(&["status", "--json"]).success().json();
    assert!(changes_in(&status).contains(&format!("modified_local {REGISTRY_FILE}")), "{status}");
    let _ = second.run(&["push"]).success();
    assert_eq!(second.read(".modelops-bundle/config.yaml"), settings);

    let _ = project.run(&["pull"]).success();
    assert_eq!(second.read(REGISTRY_FILE), project.read(REGISTRY_FILE));
    let _ = project.run(&["remove", "--rm", REGISTRY_FILE]).success();
    assert!(!project.exists(REGISTRY_FILE) && project.exists(".modelops-bundle/state.json"));
}

#[test]
#[cfg(unix)]
fn the_list_of_registered_models_is_written_through_no_link() {
    let place = tempfile::tempdir().unwrap();
    let reference = format!("oci:{}", place.path().join("remote").display());
    let project = python_project();
    let _ = project.run(&["add", REGISTRY_FILE]).success();
    let config = project.read_text(".modelops-bundle/config.yaml");
    project.write(".modelops-bundle/config.yaml", config.replace("localhost:5000/pyproj", &reference));
    let _ = project.run(&["push"]).success();

    let second = TestProject::new();
    let _ = second.run(&["init", "--ref", &reference]).success();
    let outside = place.path().join("outside");
    std::fs::write(&outside, "theirs").unwrap();
    std::os::unix::fs::symlink(&outside, second.path().join(REGISTRY_FILE)).unwrap();
    let output = second.run(&["pull"]).code(3);
    assert!(output.stderr().contains("registry.yaml"), "{output}");
    let settings = second.path().join(".modelops-bundle/config.yaml");
    std::fs::remove_file(second.path().join(REGISTRY_FILE)).unwrap();
    std::os::unix::fs::symlink(&settings, second.path().join(REGISTRY_FILE)).unwrap();
    let _ = second.run(&["pull"]).code(3);
    // Tracked, the settings would travel under its name.
    let _ = second.run(&["add", REGISTRY_FILE]).code(1);
    assert_eq!(std::fs::read_to_string(&outside).unwrap(), "theirs");
    assert!(std::fs::read_to_string(&settings).unwrap().contains("registry_ref"));
}

#[test]
fn every_name_that_is_tracked_is_pushed_and_comes_back() {
    let place = tempfile::tempdir().unwrap();
    let reference = format!("oci:{}", place.path().join("remote").display());
    let project = TestProject::new();
    let _ = project.run(&["init", "--ref", &reference]).success();
    let names = ["#1 results.csv", " ", "trailing ", "\u{feff}marked", "'quoted\"", "#d/e", "d/ x", "plain"];
    for name in names {
        project.write(name, name);
    }
    let _ = project.run(&["add", "."]).success();
    let _ = project.run(&["push"]).success();

    let second = TestProject::new();
    let _ = second.run(&["init", "--ref", &reference]).success();
    let _ = second.run(&["pull"]).success();
    second.tree().assert_same(&project.tree());
    let _ = second.run(&["remove", "plain"]).success();
    let pushed = second.run(&["push", "--json"]).success().json();
    assert_eq!(pushed["changed"], true, "{pushed}");
    let listed = project.run(&["diff", "--json"]).success().json();
    assert_eq!(listed["changes"].as_array().unwrap().len(), 1, "nothing but that is dropped: {listed}");
}

#[test]
fn what_the_python_tool_reads_stays_in_a_layout_that_it_reads() {
    let Some(registry) = Registry::get() else { return };
    let files = (0..120).map(|at| (format!("f{at}.txt"), format!("{at}").into_bytes())).collect();
    let _ = PythonTool::new(&registry, "lots", "latest").put(&files);
    let reference = format!("{}/lots", registry.host());
    let project = TestProject::new();
    let _ = project.run(&["pull", &reference]).success();
    // The second push follows a bundle that this tool wrote, and the third comes from a project that pulled that one.
    let second = TestProject::new();
    for (project, content) in [(&project, "a"), (&project, "b"), (&second, "c")] {
        let _ = project.run(&["pull", &reference]).success();
        project.write("f1.txt", content);
        let output = project.run(&["push", "--json"]).success();
        let document = output.json();
        assert_eq!(
            (&document["layout"], &document["layout_before"]),
            (&json!("files"), &json!("files")),
            "{output}"
        );
        assert!(!output.stderr().contains("layout"), "{output}");
    }
    let _ = second.run(&["config", "set", "layout", "packed"]).success();
    let planned = second.run(&["push", "--dry-run"]).success();
    assert!(planned.stderr().contains("the Python tool and other OCI tools cannot read it"), "{planned}");
    let document = second.run(&["push", "--json"]).success().json();
    assert_eq!((&document["layout"], &document["layout_before"]), (&json!("packed"), &json!("files")));
}

#[test]
fn a_project_of_the_python_tool_pushes_what_that_can_read() {
    let place = tempfile::tempdir().unwrap();
    let reference = format!("oci:{}", place.path().join("remote").display());
    for (made_by_python, layout) in [(true, "files"), (false, "packed")] {
        let project = if made_by_python { python_project() } else { TestProject::new() };
        let own = format!("{reference}-{layout}");
        let _ = project.run(&["init", "--ref", &own]).success();
        for at in 0..120 {
            project.write(&format!("many/{at}"), format!("{at}"));
        }
        let _ = project.run(&["add", "many"]).success();
        let document = project.run(&["push", "--json"]).success().json();
        assert_eq!((&document["layout"], &document["layout_before"]), (&json!(layout), &json!(null)));
    }
}

#[test]
fn a_pin_to_another_place_stops_a_push_until_it_is_settled() {
    let place = tempfile::tempdir().unwrap();
    let reference = format!("oci:{}", place.path().join("remote").display());
    let project = python_project();
    let folder = project.home().join(".modelops/bundle-env");
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("local.yaml"), "registry: {login_server: 'localhost:5555', password: hush}\n")
        .unwrap();
    let init = project.run(&["init", "--ref", &reference]).success();
    assert!(init.stderr().contains("localhost:5555/project"), "{init}");

    let status = project.run(&["status", "--json"]).success();
    let expected = json!({"name": "local", "ref": "localhost:5555/project", "agrees": false});
    assert_eq!(status.json()["environment"], expected);
    assert!(status.stderr().contains("init --ref localhost:5555/project"), "{status}");
    for arguments in [&["push"][..], &["push", "--dry-run"], &["push", "--force"]] {
        let output = project.run(arguments).code(3);
        for words in ["init --ref localhost:5555/project", "env switch --none", "environment local"] {
            assert!(output.stderr().contains(words), "{output}");
        }
        assert!(!output.stderr().contains("hush"), "{output}");
    }
    assert!(!place.path().join("remote").exists());

    // One way: where the environment says.
    let _ = project.run(&["init", "--ref", "localhost:5555/project"]).success();
    let status = project.run(&["status", "--offline", "--json"]).success();
    assert_eq!((&status.json()["environment"]["agrees"], status.stderr()), (&json!(true), ""));
    // A switch says what it leaves to be settled, and warns of nothing that it has just made.
    let _ = project.run(&["init", "--ref", "localhost:5555/team/other"]).success();
    let switched = project.run(&["env", "switch", "local"]).success();
    let left = "Before the next push, go where the environment takes the Python tool with `modelops-bundle init --ref \
                localhost:5555/project`";
    assert!(switched.stdout().contains(left) && switched.stderr().is_empty(), "{switched}");
    let document = project.run(&["dev", "switch", "local", "--json"]).success().json();
    assert_eq!(document["python_ref"], json!("localhost:5555/project"));
    // The other way: where the settings say.
    let _ = project.run(&["init", "--ref", &reference]).success();
    let document = project.run(&["env", "switch", "--none", "--json"]).success().json();
    let settled = (&document["environment"], &document["former_environment"], &document["ref"]);
    assert_eq!(settled, (&json!(null), &json!("local"), &json!(reference)));
    assert!(!project.exists(".modelops-bundle/env"));
    let _ = project.run(&["push"]).success();
    assert_eq!(project.run(&["status", "--json"]).success().json()["environment"], json!(null));
}

#[test]
fn both_tools_take_turns() {
    let Some(registry) = Registry::get() else { return };
    let python = PythonTool::new(&registry, "pyproj", "latest");
    // A project that the Python tool made, with a registered model, more files than go into a bundle of files by
    // default, and an executable.
    let bob = python_project();
    let config = bob.read_text(".modelops-bundle/config.yaml");
    let config = config.replace("localhost:5000", registry.host());
    bob.write(".modelops-bundle/config.yaml", &config).remove(".modelops-bundle/env");
    let many: Vec<String> = (0..114).map(|at| format!("data/runs/{at}.csv")).collect();
    for path in &many {
        bob.write(path, path);
    }
    bob.write_executable("run.sh", "#!/bin/sh\n");
    let paths: Vec<&str> = many.iter().map(String::as_str).chain([REGISTRY_FILE, "run.sh"]).collect();
    python.add(&bob, &paths);
    python.push(&bob);
    assert_eq!(python.get().1.len(), 121);

    // In that very folder this tool sees no change, and in a fresh one it has the same files.
    let status = bob.run(&["status", "--json"]).success().json();
    assert_eq!((changes_in(&status), &status["summary"]), (vec![], &json!({"unchanged": 121})));
    let reference = format!("{}/pyproj", registry.host());
    let alice = TestProject::new();
    let _ = alice.run(&["init", "--ref", &reference]).success();
    let _ = alice.run(&["pull"]).success();
    let own = |path: &str| path != ".gitignore";
    assert_eq!(alice.read(REGISTRY_FILE), bob.read(REGISTRY_FILE));
    let is_program = |project: &TestProject, is_program: bool| {
        let tree = project.tree();
        let shown = format!("{:?}", tree.entry("run.sh").unwrap()).starts_with("executable");
        assert_eq!(shown, is_program);
    };
    // Nobody wrote down that it is a program: the person says so, and this tool then does.
    is_program(&alice, false);
    alice
        .write_executable("run.sh", "#!/bin/sh\nexec python src/model.py\n")
        .write("data/runs/0.csv", "alice");
    let pushed = alice.run(&["push", "--json"]).success().json();
    assert_eq!(pushed["layout"], "files");

    // The Python tool reads it, changes another file, and knows no modes.
    python.pull(&bob);
    assert_eq!(bob.read_text("data/runs/0.csv"), "alice");
    bob.write("data/runs/1.csv", "bob").write(REGISTRY_FILE, "version: '1.0'\nmodels: {seir: {}}\n");
    bob.remove("data/runs/2.csv");
    python.push(&bob);

    // Nobody took the executable bit away, so nobody loses it.
    let status = alice.run(&["status", "--json"]).success().json();
    let expected = [format!("modified_remote {REGISTRY_FILE}"), "modified_remote data/runs/1.csv".to_owned()];
    let mut found = changes_in(&status);
    found.retain(|change| !change.ends_with("data/runs/2.csv"));
    assert_eq!(found, expected);
    let pulled = alice.run(&["pull", "--overwrite", "--json"]).success().json();
    assert_eq!(pulled["written"], json!([REGISTRY_FILE, "data/runs/1.csv"]));
    assert!(!alice.exists("data/runs/2.csv"));
    is_program(&alice, true);
    let status = alice.run(&["status", "--json"]).success().json();
    assert_eq!((changes_in(&status), &status["summary"]), (vec![], &json!({"unchanged": 120})));
    // A new content of the program comes with the mode that it has here.
    python.pull(&bob);
    bob.write("run.sh", "#!/bin/sh\nexec python3 src/model.py\n");
    python.push(&bob);
    let _ = alice.run(&["pull"]).success();
    is_program(&alice, true);
    assert_eq!(alice.read("run.sh"), bob.read("run.sh"));
    let nothing = alice.run(&["push", "--json"]).success().json();
    assert_eq!(nothing["changed"], false, "an unknown mode equals any");

    // Her next push writes the mode down again, and whoever is new has it.
    alice.write("data/runs/3.csv", "alice");
    let _ = alice.run(&["push"]).success();
    let carol = TestProject::new();
    let _ = carol.run(&["init", "--ref", &reference]).success();
    let _ = carol.run(&["pull"]).success();
    is_program(&carol, true);
    python.pull(&bob);
    for project in [&alice, &carol] {
        let same = |path: &str| own(path) && path != "run.sh";
        project.tree().filtered(same).assert_same(&bob.tree().filtered(same));
        assert_eq!(project.read("run.sh"), bob.read("run.sh"));
        assert_eq!(project.read(REGISTRY_FILE), bob.read(REGISTRY_FILE));
    }
    // The folder of the Python tool goes on with this one.
    let status = bob.run(&["status", "--json"]).success().json();
    let found = changes_in(&status);
    assert!(found.iter().all(|change| change.ends_with("run.sh")), "{status}");
}

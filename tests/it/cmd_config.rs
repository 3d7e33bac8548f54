//! `config` and `env`: the project's settings, and the environments that it is switched between.

use std::fs;

use modelops_bundle_tests::{Registry, TestProject};
use serde_json::{Value, json};

const CONFIG: &str = ".modelops-bundle/config.yaml";

/// The settings that `config list` shows, as key, value and source.
fn settings(project: &TestProject) -> Vec<(String, Value, String)> {
    let document = project.run(&["config", "list", "--json"]).success().json();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let settings = document["settings"].as_array().unwrap().iter();
    settings.map(|each| (text(&each["key"]), each["value"].clone(), text(&each["source"]))).collect()
}

fn get(project: &TestProject, key: &str) -> String {
    project.run(&["config", "get", key]).success().stdout().to_owned()
}

/// Defines environments for the user of a project.
fn define(project: &TestProject, text: &str) {
    let folder = project.home().join(".config/modelops-bundle");
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join("config.yaml"), text).unwrap();
}

#[test]
fn settings_are_shown_with_where_they_come_from() {
    let project = TestProject::on_layout();
    let _ = project.run(&["config", "set", "layout", "packed"]).success();
    let found = settings(&project);
    let of = |key: &str| found.iter().find(|each| each.0 == key).unwrap().clone();
    assert_eq!(of("layout"), ("layout".to_owned(), json!("packed"), "file".to_owned()));
    assert_eq!(of("storage.threshold_bytes").1, json!(50 << 20));
    assert_eq!((of("symlinks").1, of("symlinks").2), (json!("inside"), "default".to_owned()));
    assert_eq!((of("cache_dir").1, of("roles").1), (json!(null), json!({})));
    let text = project.run(&["config", "list"]).success();
    assert!(text.stdout().contains("layout = packed  (file)\n"), "{text}");
    assert!(text.stdout().contains("symlinks = inside  (default)\n"), "{text}");
    assert_eq!(
        (get(&project, "layout"), get(&project, "cache_dir")),
        ("packed\n".to_owned(), "\n".to_owned())
    );
    let one = project.run(&["config", "get", "layout", "--json"]).success().json();
    assert_eq!(one, json!({"key": "layout", "value": "packed", "source": "file", "known": true}));
}

#[test]
fn a_value_is_checked_and_the_rest_of_the_file_stays() {
    let project = TestProject::on_layout();
    let remote = get(&project, "registry_ref");
    let before = format!(
        "# the lab's\nregistry_ref: {remote}later:\n  answer: [42] # not ours\nstorage:\n  mode: auto # large ones go out\n"
    );
    project.write(CONFIG, &before);
    let set = |key: &str, value: &str| project.run(&["config", "set", key, value]);
    let _ = set("storage.mode", "oci-only").success();
    let _ = set("storage.threshold_bytes", "2M").success();
    let _ = set("default_tag", "1.0").success();
    let _ = set("storage.force_oci_patterns", "['*.csv', raw/**]").success();
    let after = before.replace("auto #", "oci-only #");
    assert_eq!(
        project.read_text(CONFIG),
        format!(
            "{after}  threshold_bytes: 2097152\n  force_oci_patterns: [\"*.csv\",\"raw/**\"]\ndefault_tag: \"1.0\"\n"
        )
    );
    assert_eq!(
        (get(&project, "later.answer"), get(&project, "default_tag")),
        ("[42]\n".into(), "1.0\n".into())
    );

    // Nothing that is refused is written.
    let before = project.read_text(CONFIG);
    for (key, value, word) in [
        ("layout", "zip", "packed"),
        ("symlinks", "sometimes", "inside"),
        ("storage.mode", "cloud", "oci-only"),
        ("storage.threshold_bytes", "many", "number of bytes"),
        ("storage.force_oci_patterns", "a: b", "does not take"),
        ("default_tag", ".x", "not a tag"),
        ("registry_ref", "https://host/name", "https"),
        ("layers", "[a]", "does not take"),
        ("layers.code", "a", "does not take"),
    ] {
        let output = set(key, value).code(2);
        assert!(output.stderr().contains(word), "{key}: {output}");
    }
    for key in ["colour", "storage", "storage.colour", "layers.a.b", ""] {
        let output = set(key, "x").code(2);
        assert!(output.stderr().contains("the settings are author, cache_dir, "), "{output}");
    }
    let _ = project.run(&["config", "get", "colour"]).code(2);
    let _ = project.run(&["config", "get", "layers.code"]).code(6);
    assert_eq!(project.read_text(CONFIG), before);

    let planned =
        project.run(&["config", "set", "symlinks", "never", "--dry-run", "--json"]).success().json();
    assert_eq!((&planned["former"], &planned["value"]), (&json!("inside"), &json!("never")));
    assert_eq!(project.read_text(CONFIG), before);

    // An empty value takes it out.
    let _ = set("layers.code", "[src/**]").success();
    assert_eq!(get(&project, "layers"), "{\"code\":[\"src/**\"]}\n");
    for key in ["layers.code", "default_tag", "storage.force_oci_patterns", "storage.threshold_bytes"] {
        let _ = set(key, "").success();
    }
    assert_eq!(project.read_text(CONFIG), after);
    assert_eq!(set("layout", "").success().stdout(), "layout is auto already\n");
}

#[test]
fn comments_that_cannot_stay_are_named() {
    let project = TestProject::on_layout();
    project.write(CONFIG, "storage: {mode: auto} # mine\n");
    let output = project.run(&["config", "set", "storage.mode", "oci-only"]).success();
    assert!(output.stderr().contains("comments in it are lost"), "{output}");
    assert_eq!(project.read_text(CONFIG), "storage:\n  mode: oci-only\n");
}

#[test]
fn the_python_tools_settings_stay_readable_for_it() {
    let project = TestProject::new();
    let python = "cache_dir: null\ndefault_tag: latest\nregistry_ref: localhost:5000/pyproj\nstorage:\n  prefix: ''\n  \
                  provider: ''\n";
    project.write(CONFIG, python).write(".modelops-bundle/env", "local");
    let _ = project.run(&["config", "set", "storage.prefix", "on"]).success();
    assert_eq!(project.read_text(CONFIG), python.replacen("''", "\"on\"", 1));
    let list = settings(&project);
    assert!(list.contains(&("storage.provider".to_owned(), json!(""), "default".to_owned())), "{list:?}");
    // Its pin names nothing here, which matters to nobody until it is asked for.
    let document = project.run(&["env", "list", "--json"]).success().json();
    assert_eq!((&document["pinned"], &document["environments"]), (&json!("local"), &json!([])));
    let text = project.run(&["env", "list"]).success();
    assert!(text.stdout().contains("pinned to local, which is not defined here"), "{text}");
}

#[test]
fn a_switch_takes_the_project_to_another_registry() {
    let Some(registry) = Registry::get() else { return };
    let project = TestProject::new();
    let folder = project.home().join("bundles");
    define(
        &project,
        &format!(
            "environments:\n  lab:\n    registry: {}/lab\n    storage: {{provider: s3, container: large}}\n  \
             here:\n    registry: oci:{}\n",
            registry.host(),
            folder.display()
        ),
    );
    project.write("a.txt", "a");
    let _ = project.run(&["init"]).success();
    let _ = project.run(&["add", "a.txt"]).success();
    let own = get(&project, "registry_ref");

    let lab = format!("{}/lab/project", registry.host());
    let planned = project.run(&["env", "switch", "lab", "--dry-run", "--json"]).success().json();
    assert_eq!((&planned["ref"], get(&project, "registry_ref")), (&json!(lab), own));
    assert!(!project.exists(".modelops-bundle/env"));
    let switched = project.run(&["env", "switch", "lab"]).success();
    assert!(switched.stdout().contains(&format!("Remote {lab}, was oci:")), "{switched}");
    assert_eq!(project.read_text(".modelops-bundle/env"), "lab");
    assert_eq!(get(&project, "storage.provider"), "s3\n");
    let _ = project.run(&["push", "--tag", "latest"]).success();
    assert_eq!(registry.client().tags("lab/project"), ["latest"]);

    // And on, with what the last one gave taken out again.
    let document = project.run(&["env", "switch", "here", "--json"]).success().json();
    assert_eq!(document["former_environment"], "lab");
    assert_eq!(document["ref"], format!("oci:{}/project", folder.display()));
    assert_eq!((&document["former_ref"], &document["storage"]["provider"]), (&json!(lab), &json!("")));
    let _ = project.run(&["push"]).success();
    assert!(folder.join("project/index.json").is_file());
    let listed = project.run(&["env", "list"]).success();
    assert!(listed.stdout().starts_with("* here  oci:"), "{listed}");
    assert!(listed.stdout().contains("\n  lab  ") && listed.stdout().contains("  s3/large\n"), "{listed}");

    let output = project.run(&["env", "switch", "cloud"]).code(6);
    assert!(output.stderr().contains("there are here, lab"), "{output}");
    let _ = project.run(&["env", "switch", "../here"]).code(2);
    let output = project.run(&["env", "switch"]).code(2);
    assert!(output.stderr().contains("--none"), "{output}");
}

#[test]
fn init_takes_the_environment_and_the_namespace() {
    let remote = |project: &TestProject, arguments: &[&str]| {
        let document = project.run(&[&["init", "--json"], arguments].concat()).success().json();
        document["ref"].as_str().unwrap().to_owned()
    };
    let own = "environment: lab\nnamespace: org\nenvironments:\n  lab:\n    registry: registry.example\n  \
               cloud:\n    registry: cloud.example/bundles\n";
    let project = TestProject::new();
    define(&project, own);
    assert_eq!(remote(&project, &["My Model"]), "registry.example/org/my-model");
    assert_eq!(project.read_text("My Model/.modelops-bundle/env"), "lab");
    assert_eq!(remote(&project, &["b", "--namespace", "org/team"]), "registry.example/org/team/b");
    assert_eq!(remote(&project, &["b"]), "registry.example/org/team/b");
    assert_eq!(remote(&project, &["b", "--namespace", "other"]), "registry.example/other/b");
    assert_eq!(remote(&project, &["c", "--ref", "host.example/c"]), "host.example/c");
    assert!(!project.exists("c/.modelops-bundle/env"));
    let _ = project.run(&["-C", "b", "env", "switch", "cloud"]).success();
    assert_eq!(remote(&project, &["b"]), "cloud.example/bundles/other/b");

    let project = TestProject::new();
    let output = project.run(&["init", "--namespace", "org"]).code(2);
    assert!(output.stderr().contains("--ref") && !project.exists(".modelops-bundle"), "{output}");
    let _ = project.run(&["init", "--namespace", "Org"]).code(2);
    let _ = project.run(&["init", "--namespace", "org", "--ref", "host.example/a"]).code(2);
    let _ = project.run(&["init", "--ref", "host.example/a"]).success();
    assert_eq!(remote(&project, &["--namespace", "org"]), "host.example/org/project");
    define(&project, "environment: nowhere\n");
    let _ = project.run(&["init", "d"]).code(6);
    assert!(!project.exists("d"));
}

#[test]
fn the_python_tools_environments_count() {
    let project = TestProject::new();
    let folder = project.home().join(".modelops/bundle-env");
    fs::create_dir_all(&folder).unwrap();
    let python = "environment: dev\nregistry:\n  provider: docker\n  login_server: localhost:5555\n  password: secret\n\
                  storage:\n  provider: azure\n  container: modelops\n  connection_string: secret\n";
    fs::write(folder.join("dev.yaml"), python).unwrap();
    fs::write(folder.join("broken.yaml"), "registry: {password: secret").unwrap();
    let output = project.run(&["env", "list", "--json"]).success();
    let environment = &output.json()["environments"][0];
    assert_eq!((&environment["name"], &environment["registry"]), (&json!("dev"), &json!("localhost:5555")));
    assert!(output.stderr().contains("broken.yaml"), "{output}");
    assert!(!output.stdout().contains("secret") && !output.stderr().contains("secret"), "{output}");
    let _ = project.run(&["init", "--ref", "localhost:5000/team/pyproj"]).success();
    let _ = project.run(&["env", "switch", "dev"]).success();
    assert_eq!(get(&project, "registry_ref"), "localhost:5555/team/pyproj\n");
    assert_eq!(get(&project, "storage.container"), "modelops\n");
}

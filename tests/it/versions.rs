//! `push --bump`: which version is published, and what keeps two pushes from publishing the same one.

use std::collections::BTreeSet;

use modelops_bundle_tests::{BundleCommand, Fault, Matching, Proxy, Registry, TestProject, Tree};
use serde_json::{Value, json};

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

fn bump(project: &TestProject, arguments: &[&str]) -> Value {
    project.command(["push", "--json", "--bump"]).args(arguments).run().success().json()
}

/// A project that tracks two files and has pushed nothing.
fn two_files() -> TestProject {
    let project = TestProject::on_layout();
    project.write("a", "1").write("b", "1");
    let _ = project.run(&["add", "a", "b"]).success();
    project
}

#[test]
fn what_changed_chooses_the_version() {
    let project = two_files();
    let first = bump(&project, &["auto"]);
    assert_eq!((&first["version"], &first["tags"]), (&json!("0.1.0"), &json!(["0.1.0", "latest"])));

    project.write("a", "2");
    assert_eq!(bump(&project, &["auto"])["version"], "0.1.1");
    project.write("c", "1").write("a", "3");
    let _ = project.run(&["add", "c"]).success();
    assert_eq!(bump(&project, &["auto"])["version"], "0.2.0");
    project.remove("b").write("d", "1");
    let _ = project.run(&["add", "d"]).success();
    let last = bump(&project, &["auto"]);
    assert_eq!(last["version"], "1.0.0");

    // Every one of them is still there, and `latest` follows.
    let list = project.run(&["manifest", "--json"]).success().json();
    let mut tags: Vec<&Value> =
        list["manifests"].as_array().unwrap().iter().map(|one| &one["tags"]).collect();
    tags.sort_by_key(ToString::to_string);
    assert_eq!(tags, [&json!(["0.1.0"]), &json!(["0.1.1"]), &json!(["0.2.0"]), &json!(["1.0.0", "latest"])]);
    let inspected = project.run(&["inspect", "1.0.0", "--json"]).success().json();
    assert_eq!(inspected["version"], "1.0.0", "the bundle records its version: {inspected}");
}

#[test]
fn nothing_to_publish_writes_nothing() {
    let project = two_files();
    let first = bump(&project, &["auto"]);
    let layout = project.home().join("layout");
    let before = Tree::read(&layout);
    for kind in ["auto", "patch", "minor", "major"] {
        let again = bump(&project, &[kind]);
        assert_eq!((&again["changed"], &again["version"]), (&json!(false), &json!("0.1.0")));
        assert_eq!((&again["digest"], &again["tags"]), (&first["digest"], &json!(["0.1.0"])));
    }
    let text = project.run(&["push", "--bump", "auto"]).success();
    assert!(text.stdout().starts_with("Nothing to push") && text.stdout().contains("0.1.0"), "{text}");
    Tree::read(&layout).assert_same(&before);

    // The version is what counts, not what the tag names: a push without one is published later.
    project.write("a", "2");
    let pushed = project.run(&["push", "--json"]).success().json();
    let published = bump(&project, &["auto"]);
    assert_eq!(
        (&published["version"], &published["digest"]),
        (&json!("0.1.1"), &pushed["digest"]),
        "it is the very bundle that was pushed before"
    );
    assert_eq!(published["uploaded"]["blobs"], 0);
}

#[test]
fn a_dry_run_names_the_version() {
    let project = two_files();
    let layout = project.home().join("layout");
    let planned = bump(&project, &["auto", "--dry-run"]);
    assert_eq!((&planned["version"], &planned["dry_run"]), (&json!("0.1.0"), &json!(true)));
    assert!(!layout.exists());
    let _ = bump(&project, &["auto"]);
    project.write("a", "2");
    let text = project.run(&["push", "--bump", "minor", "-n"]).success();
    assert!(text.stdout().contains("tag 0.2.0, latest"), "{text}");
    let _ = project.run(&["pull", ":0.2.0", "--dry-run"]).code(6);
}

#[test]
fn the_highest_release_counts_in_its_spelling() {
    let project = two_files();
    let mut push = vec!["push"];
    for tag in ["v1.2.3", "v1.10.0", "1.9.9", "2.0.0-rc.1", "03.0.0", "4.0", "latest"] {
        push.extend(["--tag", tag]);
    }
    let _ = project.run(&push).success();
    project.write("a", "2");
    let report = bump(&project, &["auto"]);
    assert_eq!(report["tags"], json!(["v1.10.1", "latest"]));
    project.write("a", "3");
    // Named tags take the place of the default one.
    let report = bump(&project, &["major", "--tag", "main", "--tag", "stable"]);
    assert_eq!(report["tags"], json!(["v2.0.0", "main", "stable"]));
    let list = project.run(&["manifest", "--json"]).success().json();
    let of = |digest: &Value| {
        let manifests = list["manifests"].as_array().unwrap();
        manifests.iter().find(|one| &one["digest"] == digest).unwrap()["tags"].clone()
    };
    assert_eq!(of(&report["digest"]), json!(["main", "stable", "v2.0.0"]));
}

#[test]
fn a_version_beside_the_chosen_one_is_refused() {
    let project = two_files();
    let output = project.run(&["push", "--bump", "auto", "--tag", "v3.0.0"]).code(2);
    assert!(output.stderr().contains("v3.0.0") && output.stderr().contains("hint:"), "{output}");
    assert!(!project.home().join("layout").exists());
    let _ = project.run(&["push", "--bump", "sometimes"]).code(2);
}

#[test]
fn a_packed_bundle_gets_a_version_too() {
    let project = two_files();
    let _ = project.run(&["init", "--layout", "packed"]).success();
    assert_eq!(bump(&project, &["auto"])["version"], "0.1.0");
    project.write("c", "1");
    let _ = project.run(&["add", "c"]).success();
    assert_eq!(bump(&project, &["auto"])["version"], "0.2.0");
    project.pulled_again().tree().assert_same(&project.tree());
}

#[test]
fn what_others_did_is_not_undone_by_a_version() {
    let project = two_files();
    let _ = bump(&project, &["auto"]);
    let other = project.pulled_again();
    other.write("a", "theirs");
    assert_eq!(bump(&other, &["auto"])["version"], "0.1.1");
    project.write("a", "mine");
    let layout = project.home().join("layout");
    let before = Tree::read(&layout);
    let _ = project.run(&["push", "--bump", "auto"]).code(3);
    Tree::read(&layout).assert_same(&before);
    // To insist is to undo what they did, in a version of its own.
    assert_eq!(bump(&project, &["auto", "--force"])["version"], "0.1.2");
}

/// Two projects at `repository`, the first one through `proxy`; both have changed a file of 0.1.0.
fn rivals(registry: &Registry, proxy: &Proxy, repository: &str) -> (TestProject, TestProject) {
    let project = TestProject::on_registry(proxy.host(), repository);
    project.write("a", "1");
    let _ = project.run(&["add", "a"]).success();
    let _ = bump(&project, &["auto"]);
    let other = TestProject::new();
    let _ = other.run(&["pull", &format!("{}/{repository}:latest", registry.host())]).success();
    project.write("a", "mine");
    other.write("a", "theirs");
    (project, other)
}

/// A run of `push --bump auto` in `project`, to be started later.
fn later(project: &TestProject) -> impl FnMut() + Send + 'static {
    let (home, folder) = (project.home().to_owned(), project.path().to_owned());
    move || {
        let push = BundleCommand::new(&home).current_dir(&folder).args(["push", "--bump", "auto"]);
        let _ = push.run().success();
    }
}

#[test]
fn a_version_that_another_push_took_is_left_alone() {
    let Some(registry) = Registry::get() else { return };
    for (repository, force) in [("p", &[][..]), ("forced", &["--force"])] {
        let proxy = Proxy::start(registry.host());
        let (project, other) = rivals(&registry, &proxy, repository);
        // The other push comes when ours has chosen its version, and is about to write its manifest.
        proxy.before(Matching::new("PUT", "/manifests/"), later(&other));
        let mine = project.command(["push", "--bump", "auto"]).args(force).run().code(4);
        assert!(mine.stderr().contains("hint:"), "{mine}");
        let theirs = other.run(&["diff", "0.1.1", "--json"]).success().json();
        assert_eq!(theirs["changes"], json!([]), "0.1.1 is what the other push published");
        assert_eq!(other.run(&["diff", "--json"]).success().json()["changes"], json!([]));
        // Run again, it takes the next one, having been told of theirs.
        let _ = project.run(&["push", "--bump", "auto"]).code(3);
        assert_eq!(bump(&project, &["auto", "--force"])["version"], "0.1.2");
    }
}

#[test]
fn a_registry_that_honours_conditions_is_told_that_the_version_is_new() {
    let Some(registry) = Registry::get() else { return };
    let proxy = Proxy::start(registry.host());
    let (project, other) = rivals(&registry, &proxy, "p");
    // The other push comes at the last instant: between the last look at the tag and its writing.
    proxy.before(Matching::new("PUT", "/manifests/0.1.1"), later(&other));
    proxy.inject(Matching::new("PUT", "/manifests/0.1.1"), Fault::Answer(412, vec![]));
    let mine = project.run(&["push", "--bump", "auto"]).code(4);
    assert!(mine.stderr().contains("another push has published the version `0.1.1`"), "{mine}");
    assert!(mine.stderr().contains("run the command again"), "{mine}");
    let seen = proxy.seen();
    let put = seen.iter().find(|one| one.path.ends_with("/manifests/0.1.1") && one.method == "PUT").unwrap();
    assert_eq!(put.header("if-none-match"), Some("*"));
    assert_eq!(proxy.count("PUT", "/manifests/latest"), 1, "the tag `latest` was left alone too");
    assert_eq!(other.run(&["diff", "0.1.1", "--json"]).success().json()["changes"], json!([]));
}

#[test]
fn a_tag_that_moved_publishes_no_version() {
    let Some(registry) = Registry::get() else { return };
    let proxy = Proxy::start(registry.host());
    let (project, other) = rivals(&registry, &proxy, "p");
    let (home, folder) = (other.home().to_owned(), other.path().to_owned());
    proxy.before(Matching::new("PUT", "/manifests/"), move || {
        let _ = BundleCommand::new(&home).current_dir(&folder).args(["push"]).run().success();
    });
    let mine = project.run(&["push", "--bump", "auto"]).code(4);
    assert!(mine.stderr().contains("`latest` moved"), "{mine}");
    assert_eq!(registry.client().tag_digest("p", "0.1.1"), None);
}

/// Starts `push --bump auto` in both at once, and checks that each version names the bundle of whoever published it.
fn race(one: &TestProject, other: &TestProject) -> usize {
    let pushes = [one, other].map(|project| project.command(["push", "--bump", "auto", "--json"]).spawn());
    let outcomes = pushes.map(|push| push.wait().code_among(&[0, 3, 4]).json());
    let published: Vec<&Value> = outcomes.iter().filter(|outcome| outcome["error"].is_null()).collect();
    let versions: BTreeSet<String> = published.iter().map(|one| one["version"].to_string()).collect();
    assert_eq!(versions.len(), published.len(), "both published the same version: {outcomes:?}");
    let list = one.run(&["manifest", "--json"]).success().json();
    for report in &published {
        let manifests = list["manifests"].as_array().unwrap();
        let named = manifests.iter().find(|one| one["digest"] == report["digest"]).unwrap();
        assert!(named["tags"].as_array().unwrap().contains(&report["version"]), "{report} {list}");
    }
    published.len()
}

#[test]
fn two_pushes_at_once_to_a_layout_publish_no_version_twice() {
    let one = two_files();
    let _ = bump(&one, &["auto"]);
    let other = one.pulled_again();
    for round in 0..6 {
        one.write("a", format!("one {round}"));
        other.write("a", format!("other {round}"));
        assert!(race(&one, &other) >= 1, "somebody wins");
        for project in [&one, &other] {
            let _ = project.run(&["pull", "--overwrite"]).success();
        }
    }
}

#[test]
fn two_pushes_at_once_to_a_registry_publish_no_version_twice() {
    let Some(registry) = Registry::get() else { return };
    let proxy = Proxy::start(registry.host());
    let (one, other) = rivals(&registry, &proxy, "p");
    for round in 0..4 {
        one.write("a", format!("one {round}"));
        other.write("a", format!("other {round}"));
        // Without conditions, both may be told that the other one came between.
        let _ = race(&one, &other);
        for project in [&one, &other] {
            let _ = project.run(&["pull", "--overwrite"]).success();
        }
    }
}

#[test]
fn the_highest_of_many_tags_is_found() {
    let Some(registry) = Registry::get() else { return };
    let project = TestProject::on_registry(registry.host(), "p");
    project.write("a", "1");
    let _ = project.run(&["add", "a"]).success();
    let _ = project.run(&["push"]).success();
    let client = registry.client();
    let pushed = client.manifest("p", "latest").unwrap();
    // More than fit on one page.
    for number in 0..1200 {
        let tag = if number % 2 == 0 { format!("0.{number}.7") } else { format!("build-{number}") };
        client.put_manifest("p", &tag, MANIFEST, &pushed.body);
    }
    let proxy = Proxy::start(registry.host());
    let _ = project.run(&["init", "--ref", &format!("{}/p", proxy.host())]).success();
    let same = bump(&project, &["auto"]);
    assert_eq!((&same["version"], &same["changed"]), (&json!("0.1198.7"), &json!(false)));
    let seen = proxy.take_seen();
    assert!(seen.len() <= 4 && seen.iter().all(|request| request.method == "GET"), "{seen:?}");
    project.write("a", "2");
    assert_eq!(bump(&project, &["auto"])["version"], "0.1198.8");
}

#[test]
fn a_highest_version_that_is_no_bundle_is_named() {
    let Some(registry) = Registry::get() else { return };
    let project = TestProject::on_registry(registry.host(), "p");
    project.write("a", "1");
    let _ = project.run(&["add", "a"]).success();
    let report = project.run(&["push", "--json"]).success().json();
    let image = json!({
        "schemaVersion": 2, "mediaType": MANIFEST, "layers": [],
        "config": {"mediaType": "application/vnd.oci.image.config.v1+json", "digest": report["index"], "size": 1},
    });
    registry.client().put_manifest("p", "9.9.9", MANIFEST, image.to_string().as_bytes());
    let output = project.run(&["push", "--bump", "auto"]).code_among(&[1, 2, 6, 8]);
    assert!(output.stderr().contains("`9.9.9`") && output.stderr().contains("hint:"), "{output}");
}

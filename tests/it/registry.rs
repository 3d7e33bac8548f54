//! On a real registry: what is sent, how often is asked, and what protects a tag.

use modelops_bundle_tests::{
    Entry, Fault, Generation, Matching, Proxy, Registry, RegistrySetup, TestProject, Tree, changes_in,
};
use serde_json::json;

/// The files of a wheel, put into `project`, all of them tracked, nothing else.
fn put_release(project: &TestProject, tree: &Tree) {
    let gitignore = project.read(".gitignore");
    project.replace_by(tree);
    project.write(".gitignore", gitignore);
    let _ = project.run(&["add", "--force", "--quiet", "covasim", "covasim-*"]).success();
}

#[test]
fn two_releases_of_a_real_project() {
    let Some(registry) = Registry::get() else { return };
    let (Some(old), Some(new)) = (Tree::of_wheel("covasim-3.1.5"), Tree::of_wheel("covasim-3.1.6")) else {
        return;
    };
    let proxy = Proxy::start(registry.host());
    let project = TestProject::on_registry(proxy.host(), "idm/models/covasim");
    put_release(&project, &old);
    let first = project.run(&["push", "--tag", "3.1.5", "--tag", "latest", "--json"]).success().json();
    assert_eq!(first["uploaded"]["files"], old.len(), "{first}");

    put_release(&project, &new);
    let differing = old.differing_paths(&new);
    let status = project.run(&["status", "--json"]).success().json();
    let changed: Vec<String> =
        changes_in(&status).iter().map(|line| line.split_once(' ').unwrap().1.to_owned()).collect();
    assert_eq!(changed, differing);
    let diff = project.run(&["diff", "3.1.5", "--json"]).success().json();
    assert_eq!(diff["changes"].as_array().unwrap().len(), differing.len());

    proxy.take_seen();
    let second = project.run(&["push", "--tag", "latest", "--tag", "3.1.6", "--json"]).success().json();
    // What only moved, as the folder that names its version does, is on the registry already.
    let held: Vec<&Entry> = old.paths().filter_map(|path| old.entry(path)).collect();
    let news: Vec<&str> = differing
        .iter()
        .filter(|path| new.entry(path).is_some_and(|entry| !held.contains(&entry)))
        .map(String::as_str)
        .collect();
    assert!(!news.is_empty() && news.len() < differing.len());
    assert_eq!(second["upload"], json!(news));
    assert_eq!(second["uploaded"]["files"], news.len());
    let blobs = second["uploaded"]["blobs"].as_u64().unwrap();
    assert_eq!(proxy.count("PUT", "/blobs/") as u64, blobs + 1, "the files that differ, and the index");

    for (tag, tree) in [("3.1.5", &old), ("3.1.6", &new)] {
        let elsewhere = TestProject::new();
        let _ = elsewhere.run(&["pull", &format!("{}/idm/models/covasim:{tag}", registry.host())]).success();
        elsewhere.tree().filtered(|path| path != ".gitignore").assert_same(tree);
    }
    let diff = project.run(&["diff", "3.1.5", "3.1.6", "--json"]).success().json();
    assert_eq!(diff["changes"].as_array().unwrap().len(), differing.len());
}

#[test]
fn a_push_with_nothing_to_do_asks_little_and_writes_nothing() {
    let Some(registry) = Registry::get() else { return };
    let proxy = Proxy::start(registry.host());
    let project = TestProject::on_registry(proxy.host(), "p");
    project.write("a", "1").write("b", "2");
    let _ = project.run(&["add", "a", "b"]).success();
    let _ = project.run(&["push"]).success();
    proxy.take_seen();
    let report = project.run(&["push", "--json"]).success().json();
    let seen = proxy.take_seen();
    assert!(seen.len() <= 3, "{seen:?}");
    assert!(seen.iter().all(|request| matches!(request.method.as_str(), "GET" | "HEAD")), "{seen:?}");
    assert_eq!(report["requests"], seen.len());
    assert_eq!(report["changed"], false);
}

#[test]
fn the_same_tree_from_two_folders_has_the_same_digests() {
    let Some(registry) = Registry::get() else { return };
    let push = |repository: &str| {
        let project = TestProject::on_registry(registry.host(), repository);
        project.write("a", "1").write("d/b", "2").write_executable("run", "3");
        let _ = project.run(&["add", "a", "d", "run"]).success();
        project.run(&["push", "--json"]).success().json()
    };
    let (one, other) = (push("one"), push("other"));
    assert_eq!((&one["index"], &one["tree"]), (&other["index"], &other["tree"]));
}

// README: "A tag moves only from where the push saw it. If it names another bundle when it is about to be written, the push stops
// (exit code 4) and the tag is untouched."
#[test]
fn a_tag_that_moved_meanwhile_is_left_alone() {
    let Some(registry) = Registry::get() else { return };
    let proxy = Proxy::start(registry.host());
    let project = TestProject::on_registry(proxy.host(), "p");
    project.write("a", "1");
    let _ = project.run(&["add", "a"]).success();
    let _ = project.run(&["push"]).success();

    let other = TestProject::new();
    let _ = other.run(&["pull", &format!("{}/p:latest", registry.host())]).success();
    other.write("a", "theirs");
    project.write("a", "mine");
    // The other push comes when ours has sent its blobs and is about to write its manifest.
    let home = other.home().to_owned();
    let folder = other.path().to_owned();
    proxy.before(Matching::new("PUT", "/manifests/"), move || {
        let push = modelops_bundle_tests::BundleCommand::new(&home).current_dir(&folder).args(["push"]);
        let _ = push.run().success();
    });
    let output = project.run(&["push"]).code(4);
    assert!(output.stderr().contains("moved") && output.stderr().contains("hint:"), "{output}");
    let status = other.run(&["status", "--json"]).success().json();
    assert_eq!(changes_in(&status), Vec::<String>::new(), "the tag names what the other push wrote");
    assert_eq!(
        registry.client().tag_digest("p", "latest").unwrap(),
        status["remote"]["digest"].as_str().unwrap()
    );
    assert_eq!(project.read_text("a"), "mine");
    let _ = project.run(&["push"]).code(3);
    let _ = project.run(&["push", "--force"]).success();
}

#[test]
fn a_push_that_is_overtaken_says_so() {
    let Some(registry) = Registry::get() else { return };
    let proxy = Proxy::start(registry.host());
    let project = TestProject::on_registry(proxy.host(), "p");
    project.write("a", "1");
    let _ = project.run(&["add", "a"]).success();
    let _ = project.run(&["push"]).success();
    // The same bundle in other bytes: one that nobody has seen.
    let mut other = registry.client().manifest("p", "latest").unwrap().body;
    other.push(b'\n');
    project.write("a", "2");
    let client = registry.client();
    // Gets: what the tag names at first, right before it is written, and after.
    proxy.before(Matching::new("GET", "/manifests/latest").nth(3), move || {
        client.put_manifest("p", "latest", "application/vnd.oci.image.manifest.v1+json", &other);
    });
    let output = project.run(&["push"]).code(4);
    assert!(output.stderr().contains("overtook"), "{output}");
}

#[test]
fn a_write_that_met_itself_is_no_conflict() {
    let Some(registry) = Registry::get() else { return };
    let proxy = Proxy::start(registry.host());
    let project = TestProject::on_registry(proxy.host(), "p");
    project.write("a", "1");
    let _ = project.run(&["add", "a"]).success();
    // The registry moves the tag, its answer is lost, and it refuses the second try as it should.
    proxy.inject(Matching::new("PUT", "/manifests/latest"), Fault::LoseAnswer);
    proxy.inject(Matching::new("PUT", "/manifests/latest").nth(2), Fault::Answer(412, vec![]));
    let _ = project.run(&["push"]).success();
    assert_eq!(proxy.count("PUT", "/manifests/latest"), 2);

    // Where nothing has moved, it is the condition that something on the way does not know.
    project.write("a", "2");
    let before = registry.client().tag_digest("p", "latest");
    proxy.inject(Matching::new("PUT", "/manifests/latest"), Fault::Answer(412, vec![]));
    let _ = project.run(&["push"]).success();
    assert_ne!(registry.client().tag_digest("p", "latest"), before);
}

#[test]
fn tags_are_listed_with_one_request_each() {
    let Some(registry) = Registry::get() else { return };
    let proxy = Proxy::start(registry.host());
    let project = TestProject::on_registry(proxy.host(), "p");
    project.write("a", "1");
    let _ = project.run(&["add", "a"]).success();
    let mut arguments = vec!["push".to_owned()];
    for number in 0..20 {
        arguments.extend(["--tag".to_owned(), format!("t{number}")]);
    }
    let _ = project.command(&arguments).run().success();
    proxy.take_seen();
    let list = project.run(&["manifest", "--json"]).success().json();
    assert_eq!(list["manifests"][0]["tags"].as_array().unwrap().len(), 20);
    assert_eq!((&list["manifests"][0]["files"], &list["manifests"][0]["size"]), (&json!(1), &json!(1)));
    assert_eq!(proxy.take_seen().len(), 21);
    let _ = project.run(&["manifest", "--tags-only"]).success();
    assert_eq!(proxy.take_seen().len(), 1);
}

#[test]
fn a_push_of_one_file_asks_little() {
    let Some(registry) = Registry::get() else { return };
    let proxy = Proxy::start(registry.host());
    let project = TestProject::on_registry(proxy.host(), "p");
    project.write("a", "1").write("b", "2").write("c", "3");
    let _ = project.run(&["add", "a", "b", "c"]).success();
    let _ = project.run(&["push"]).success();
    proxy.take_seen();
    project.write("b", "news");
    let report = project.run(&["push", "--json"]).success().json();
    let seen = proxy.take_seen();
    let count = |method: &str, part: &str| {
        seen.iter().filter(|one| one.method == method && one.path.contains(part)).count()
    };
    assert_eq!(
        (count("POST", "/blobs/"), count("PUT", "/blobs/")),
        (2, 2),
        "the file and the index: {seen:?}"
    );
    assert_eq!(count("PUT", "/manifests/"), 2, "by digest, then by tag");
    assert_eq!(count("HEAD", "/blobs/"), 0, "what is new and small is sent unasked");
    assert!(seen.len() <= 10, "{seen:?}");
    assert_eq!(report["requests"], seen.len());
}

#[test]
fn a_thousand_tags_are_listed_page_by_page_and_one_request_each() {
    // Only the later one lists by pages.
    for (generation, pages) in [(Generation::Second, 1), (Generation::Third, 2)] {
        let Some(registry) = RegistrySetup::new(generation).start() else { continue };
        let proxy = Proxy::start(registry.host());
        let project = TestProject::on_registry(proxy.host(), "p");
        project.write("a", "1");
        let _ = project.run(&["add", "a"]).success();
        let _ = project.run(&["push"]).success();
        let client = registry.client();
        let manifest = client.manifest("p", "latest").unwrap().body;
        for number in 0..1001 {
            let media_type = "application/vnd.oci.image.manifest.v1+json";
            client.put_manifest("p", &format!("t{number}"), media_type, &manifest);
        }
        proxy.take_seen();
        let list = project.run(&["manifest", "--tags-only"]).success();
        assert_eq!(list.stdout().lines().count(), 1002);
        assert_eq!(proxy.take_seen().len(), pages);
        let list = project.run(&["manifest", "-n", "5", "--json"]).success().json();
        assert_eq!(list["manifests"][0]["tags"].as_array().unwrap().len(), 1002);
        assert_eq!(proxy.take_seen().len(), pages + 1002);
        assert!(proxy.connections() <= 20, "{}", proxy.connections());
    }
}

#[test]
fn a_push_of_many_files_makes_few_connections() {
    let Some(registry) = Registry::get() else { return };
    let proxy = Proxy::start(registry.host());
    let project = TestProject::on_registry(proxy.host(), "p");
    for number in 0..200 {
        project.write(&format!("files/{number}"), number.to_string());
    }
    let _ = project.run(&["init", "--layout", "files"]).success();
    let _ = project.run(&["add", "--quiet", "files"]).success();
    let _ = project.run(&["push", "--concurrency", "4"]).success();
    assert_eq!(proxy.count("PUT", "/blobs/"), 201);
    // Four and one, as a rule. A transfer that finds none free opens one, and may get another's before it is open: on a
    // busy machine each of them may happen to have done so.
    assert!(proxy.connections() <= 8, "{}", proxy.connections());
    proxy.take_seen();
    project.write("files/7", "news");
    let _ = project.run(&["push"]).success();
    assert_eq!(proxy.count("HEAD", "/blobs/"), 0, "nobody asks for what the bundle lists");
    assert_eq!(proxy.count("PUT", "/blobs/"), 2);
}

#[test]
fn a_private_registry_wants_to_know_who_asks() {
    let Some(registry) = Registry::get_with_password() else { return };
    let project = TestProject::on_registry(registry.host(), "p");
    project.write("a", "1");
    let _ = project.run(&["add", "a"]).success();
    let output = project.run(&["push"]).code(5);
    assert!(output.stderr().contains("login") && output.stderr().contains("hint:"), "{output}");
    let status = project.run(&["status", "--json"]).success().json();
    assert_eq!(status["remote"]["state"], "auth_failed");
}

#[test]
fn a_broken_transfer_is_tried_again() {
    let Some(registry) = Registry::get() else { return };
    let proxy = Proxy::start(registry.host());
    let project = TestProject::on_registry(proxy.host(), "p");
    let content: Vec<u8> = (0..3_000_000u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    project.write("big", &content);
    let _ = project.run(&["add", "big"]).success();
    proxy.inject(Matching::new("PUT", "/blobs/"), Fault::CutRequest(1_000_000));
    proxy.inject(Matching::new("POST", "/blobs/"), Fault::Answer(503, vec![("Retry-After", "0")]));
    proxy.inject(Matching::new("PUT", "/manifests/"), Fault::Answer(429, vec![("Retry-After", "0")]));
    let _ = project.run(&["push"]).success();
    let second = TestProject::new();
    proxy.inject(Matching::new("GET", "/blobs/"), Fault::CutResponse(1_500_000));
    let _ = second.run(&["pull", &format!("{}/p:latest", proxy.host())]).success();
    assert!(second.read("big") == content);
}

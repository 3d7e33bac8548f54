//! The harness itself: what the other tests take for granted.

use modelops_bundle_tests::{
    BundleCommand, Fault, Matching, PASSWORD, Proxy, Registry, Request, TestProject, Tree, USER, tools,
};
use std::io::ErrorKind;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::{Duration, Instant};

/// The SHA-256 of `hello\n`.
const HELLO: &str = "sha256:5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03";

#[test]
fn a_registry_starts_answers_and_stops() {
    let Some(registry) = Registry::get() else { return };
    let client = registry.client();
    assert_eq!(client.send(Request::new("GET", "/v2/")).status, 200);
    assert_eq!(client.tags("models/seir"), Vec::<String>::new());

    client.put_blob("models/seir", HELLO, b"hello\n");
    assert_eq!(client.blob("models/seir", HELLO), Some(b"hello\n".to_vec()));

    let host = registry.host().to_owned();
    drop(registry);
    let refused = Request::new("GET", "/v2/").send(&host).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
}

#[test]
fn a_manifest_comes_back_byte_for_byte() {
    let Some(registry) = Registry::get() else { return };
    let client = registry.client();
    client.put_blob("models/seir", HELLO, b"hello\n");
    let media_type = "application/vnd.oci.image.manifest.v1+json";
    let manifest = format!(
        r#"{{ "schemaVersion": 2, "mediaType": "{media_type}", "layers": [],
             "config": {{"mediaType": "text/plain", "size": 6, "digest": "{HELLO}"}} }}"#
    );
    client.put_manifest("models/seir", "latest", media_type, manifest.as_bytes());

    assert_eq!(client.manifest("models/seir", "latest").unwrap().body, manifest.as_bytes());
    assert_eq!(client.tags("models/seir"), ["latest"]);
    assert!(client.tag_digest("models/seir", "latest").unwrap().starts_with("sha256:"));
    assert_eq!(client.tag_digest("models/seir", "other"), None);
}

#[test]
fn a_registry_with_a_password_asks_for_it() {
    let Some(registry) = Registry::get_with_password() else { return };
    let stranger = Request::new("GET", "/v2/").send(registry.host()).unwrap();
    assert_eq!(stranger.status, 401);
    assert!(stranger.header("WWW-Authenticate").unwrap().starts_with("Basic"));
    assert_eq!(registry.client().send(Request::new("GET", "/v2/")).status, 200, "{USER}:{PASSWORD}");
}

#[test]
fn two_registries_know_nothing_of_each_other() {
    let (Some(one), Some(other)) = (Registry::get(), Registry::get()) else { return };
    one.client().put_blob("models/seir", HELLO, b"hello\n");
    assert_eq!(other.client().blob("models/seir", HELLO), None);
}

#[test]
fn the_proxy_counts_and_an_upload_through_it_stays_with_it() {
    let Some(registry) = Registry::get() else { return };
    let proxy = Proxy::start(registry.host());
    let opened = Request::new("POST", "/v2/models/seir/blobs/uploads/").send(proxy.host()).unwrap();
    let location = opened.header("Location").unwrap();
    let path = location.strip_prefix(&format!("http://{}", proxy.host())).expect("a path at the proxy");
    let put = Request::new("PUT", &format!("{path}&digest={HELLO}")).body("hello\n");
    assert_eq!(put.send(proxy.host()).unwrap().status, 201);

    let shown: Vec<String> = proxy.seen().iter().map(ToString::to_string).collect();
    assert_eq!(shown[0], "POST /v2/models/seir/blobs/uploads/ 202");
    assert!(shown[1].starts_with("PUT /v2/models/seir/blobs/uploads/") && shown[1].ends_with(" 201"));
    assert_eq!(proxy.seen()[1].sent, 6);
    assert_eq!(proxy.seen()[1].header("host"), Some(proxy.host()));
    assert_eq!((proxy.count("PUT", "/uploads/"), proxy.count("", "/v2/"), proxy.count("GET", "")), (1, 2, 0));
    assert_eq!(proxy.take_seen().len(), 2);
    assert!(proxy.seen().is_empty());
}

#[test]
fn the_proxy_passes_many_requests_at_once() {
    let Some(registry) = Registry::get() else { return };
    registry.client().put_blob("models/seir", HELLO, b"hello\n");
    let proxy = Proxy::start(registry.host());
    let path = format!("/v2/models/seir/blobs/{HELLO}");
    thread::scope(|scope| {
        for _ in 0..16 {
            scope.spawn(|| {
                assert_eq!(Request::new("GET", &path).send(proxy.host()).unwrap().body, b"hello\n");
            });
        }
    });
    assert_eq!(proxy.count("GET", "/blobs/"), 16);
    assert!(proxy.seen().iter().all(|seen| seen.received == 6));
}

#[test]
fn a_hook_runs_before_its_request_is_passed_on() {
    let Some(registry) = Registry::get() else { return };
    let proxy = Proxy::start(registry.host());
    let behind_its_back = registry.client();
    proxy.before(Matching::new("GET", "/blobs/").nth(2), move || {
        behind_its_back.put_blob("models/seir", HELLO, b"hello\n");
    });
    let get = Request::new("GET", &format!("/v2/models/seir/blobs/{HELLO}"));
    assert_eq!(get.send(proxy.host()).unwrap().status, 404);
    assert_eq!(get.send(proxy.host()).unwrap().status, 200);
}

#[test]
fn the_proxy_answers_in_the_registrys_place() {
    let Some(registry) = Registry::get() else { return };
    let proxy = Proxy::start(registry.host());
    proxy.inject(Matching::new("GET", "/v2/").times(2), Fault::Answer(503, vec![("Retry-After", "0")]));
    let get = Request::new("GET", "/v2/");
    let answers: Vec<_> = (0..3).map(|_| get.send(proxy.host()).unwrap()).collect();
    assert_eq!(answers.iter().map(|answer| answer.status).collect::<Vec<_>>(), [503, 503, 200]);
    assert_eq!(answers[0].header("retry-after"), Some("0"));
    assert_eq!(proxy.seen()[0].status, Some(503));
}

#[test]
fn the_proxy_cuts_an_answer_short() {
    let Some(registry) = Registry::get() else { return };
    registry.client().put_blob("models/seir", HELLO, b"hello\n");
    let proxy = Proxy::start(registry.host());
    proxy.inject(Matching::new("GET", "/blobs/"), Fault::CutResponse(4));
    let get = Request::new("GET", &format!("/v2/models/seir/blobs/{HELLO}"));
    assert_eq!(get.send(proxy.host()).unwrap_err().kind(), ErrorKind::UnexpectedEof);
    assert_eq!(proxy.seen()[0].received, 4);
    assert_eq!(get.send(proxy.host()).unwrap().body, b"hello\n");
}

#[test]
fn the_proxy_cuts_an_upload_short_and_loses_an_answer() {
    let Some(registry) = Registry::get() else { return };
    let proxy = Proxy::start(registry.host());
    let open = || {
        let opened = Request::new("POST", "/v2/models/seir/blobs/uploads/").send(proxy.host()).unwrap();
        let path =
            opened.header("Location").unwrap().strip_prefix(&format!("http://{}", proxy.host())).unwrap();
        Request::new("PUT", &format!("{path}&digest={HELLO}")).body("hello\n")
    };
    let exists = || registry.client().blob("models/seir", HELLO).is_some();

    proxy.inject(Matching::new("PUT", "/uploads/"), Fault::CutRequest(3));
    assert!(open().send(proxy.host()).is_err());
    assert!(!exists());

    proxy.inject(Matching::new("PUT", "/uploads/"), Fault::LoseAnswer);
    assert!(open().send(proxy.host()).is_err());
    assert!(exists());
}

#[test]
fn the_proxy_delays_a_request() {
    let Some(registry) = Registry::get() else { return };
    let proxy = Proxy::start(registry.host());
    let delay = Duration::from_millis(150);
    proxy.inject(Matching::new("", "/v2/"), Fault::Delay(delay));
    let started = Instant::now();
    assert_eq!(Request::new("GET", "/v2/").send(proxy.host()).unwrap().status, 200);
    assert!(started.elapsed() >= delay);
}

#[test]
fn a_proxy_that_is_dropped_hangs_up() {
    let Some(registry) = Registry::get() else { return };
    let proxy = Proxy::start(registry.host());
    let host = proxy.host().to_owned();
    let (arrived, wait) = mpsc::channel();
    proxy.before(Matching::new("GET", "/v2/"), move || {
        arrived.send(()).unwrap();
        thread::sleep(Duration::from_millis(50));
    });
    let client = thread::spawn(move || Request::new("GET", "/v2/").send(&host));
    wait.recv().unwrap();
    drop(proxy);
    assert!(client.join().unwrap().is_err());
}

#[cfg(unix)]
#[test]
fn a_command_sees_nothing_of_the_developers_environment() {
    let home = tempfile::tempdir().unwrap();
    let output = shell(&home, "env; cat; echo talk >&2").env("ADDED", "yes").input("typed").run().success();
    let names: Vec<&str> = output.stdout().lines().filter_map(|line| Some(line.split_once('=')?.0)).collect();
    for name in &names {
        // The shell itself adds some.
        let expected =
            ["ADDED", "HOME", "MODELOPS_BUNDLE_PROGRESS", "OLDPWD", "PATH", "PWD", "SHLVL", "TMPDIR", "_"];
        assert!(expected.contains(name), "{name} reached the command");
    }
    assert!(names.contains(&"ADDED") && output.stdout().ends_with("typed"));
    assert_eq!(output.stderr(), "talk\n");
}

#[cfg(unix)]
#[test]
fn a_command_can_be_killed_on_the_way() {
    let home = tempfile::tempdir().unwrap();
    let output = shell(&home, "echo begun; exec sleep 60").run_killed_after(Duration::from_millis(300));
    assert!(output.was_killed());
    assert_eq!(output.stdout(), "begun\n");

    let output = shell(&home, "exit 3").run_killed_after(Duration::from_secs(60)).code(3);
    assert!(!output.was_killed());
}

#[cfg(unix)]
#[test]
#[should_panic(expected = "took longer than")]
fn a_command_that_hangs_fails_its_test() {
    let home = tempfile::tempdir().unwrap();
    let _ = shell(&home, "exec sleep 60").time_limit(Duration::from_millis(100)).run();
}

#[cfg(unix)]
#[test]
#[should_panic(expected = "--- stderr\nno such tag")]
fn a_surprising_exit_code_shows_the_output() {
    let home = tempfile::tempdir().unwrap();
    let _ = shell(&home, "echo no such tag >&2; exit 6").run().success();
}

#[cfg(unix)]
fn shell(home: &tempfile::TempDir, script: &str) -> BundleCommand {
    BundleCommand::of_program("sh", home.path()).args(["-c", script])
}

#[test]
fn a_project_is_a_tree_without_the_bundles_own_state() {
    let project = TestProject::new();
    project
        .write("data/cases.csv", "week,reported\n")
        .write_executable("run.sh", "#!/bin/sh\n")
        .write(".modelops-bundle/state.json", "{}");
    let before = project.tree();
    assert_eq!(before.paths().collect::<Vec<_>>(), ["data/cases.csv", "run.sh"]);

    let copy = TestProject::new();
    copy.write("stale.txt", "").replace_by(&before);
    copy.tree().assert_same(&before);

    project.remove("data").write("run.sh", "#!/bin/bash\n").write("new.txt", "");
    assert_eq!(project.tree().differing_paths(&before), ["data/cases.csv", "new.txt", "run.sh"]);
    assert!(project.exists(".modelops-bundle/state.json") && !project.exists("data"));
}

#[test]
#[should_panic(expected = "a.txt: \"old\", expected \"new\"\n  b.txt: nothing, expected 5000 bytes")]
fn trees_that_differ_are_told_path_by_path() {
    let (one, other) = (TestProject::new(), TestProject::new());
    one.write("a.txt", "old");
    other.write("a.txt", "new").write("b.txt", [b'x'; 5000]);
    one.tree().assert_same(&other.tree());
}

#[test]
fn a_wheel_is_real_input() {
    let Some(older) = Tree::of_wheel("covasim-3.1.5") else {
        return;
    };
    let Some(newer) = Tree::of_wheel("covasim-3.1.6") else {
        return;
    };
    assert!(older.len() > 40 && older.size() > 1_000_000, "{} files, {} bytes", older.len(), older.size());
    assert!(older.differing_paths(&newer).contains(&"covasim/version.py".to_owned()));
}

#[test]
fn python_has_the_packages() {
    let Some(python) = tools::require(&tools::PYTHON) else {
        return;
    };
    let home = tempfile::tempdir().unwrap();
    let script = "import wasmtime.component, oras.client; from importlib.metadata import version; print(version('wasmtime'))";
    let output = BundleCommand::of_program(python, home.path()).args(["-c", script]).run().success();
    assert!(output.stdout().starts_with("50."), "{}", output.stdout());
}

#[test]
fn node_starts_the_browser() {
    let (Some(node), Some(modules), Some(chromium)) = (
        tools::require(&tools::NODE),
        tools::require(&tools::NODE_MODULES),
        tools::require(&tools::CHROMIUM),
    ) else {
        return;
    };
    let home = tempfile::tempdir().unwrap();
    let script = r#"
        const { chromium } = require(process.env.MODULES + "/playwright-core");
        (async () => {
            const browser = await chromium.launch({
                executablePath: process.env.CHROMIUM,
                args: ["--no-sandbox", "--disable-gpu", "--disable-quic", "--disable-background-networking",
                       "--disable-component-update", "--disable-sync", "--no-first-run"],
            });
            const page = await browser.newPage();
            await page.setContent("<h1>bundle</h1>");
            console.log(await page.textContent("h1"));
            await browser.close();
        })();
    "#;
    let output = BundleCommand::of_program(node, home.path())
        .env("MODULES", modules)
        .env("CHROMIUM", chromium)
        .args(["-e", script])
        .run()
        .success();
    assert_eq!(output.stdout(), "bundle\n");
}

#[test]
fn a_rule_is_for_the_requests_it_names() {
    let Some(registry) = Registry::get() else { return };
    let proxy = Proxy::start(registry.host());
    let calls = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&calls);
    proxy.before(Matching::new("GET", "/tags/").nth(2).always(), move || {
        counted.fetch_add(1, Ordering::SeqCst);
    });
    for path in ["/v2/", "/v2/a/tags/list", "/v2/a/tags/list", "/v2/b/tags/list"] {
        assert!(Request::new("GET", path).send(proxy.host()).is_ok());
    }
    assert_eq!(calls.load(Ordering::SeqCst), 2);
}

//! Health checks of registries and places on disk.

use std::net::TcpListener;

use modelops_bundle_tests::{
    Authority, Fault, Generation, Matching, ProtectedRegistry, Protection, Proxy, Registry, TestProject,
};
use serde_json::{Value, json};

#[track_caller]
fn verdict(document: &Value, check: &str) -> String {
    let found = document["checks"].as_array().unwrap().iter().find(|one| one["check"] == check);
    found.unwrap()["verdict"].as_str().unwrap().to_owned()
}

#[test]
fn a_registry_is_well() {
    let Some(registry) = Registry::get() else { return };
    let proxy = Proxy::start(registry.host());
    let project = TestProject::on_registry(proxy.host(), "p");
    let empty = project.run(&["health", "--json"]).success().json();
    assert_eq!((&empty["ok"], verdict(&empty, "ranges")), (&json!(true), "skipped".to_owned()), "{empty}");
    project.write("a", "content");
    let _ = project.run(&["add", "a"]).success();
    let _ = project.run(&["push"]).success();
    let uploads = registry.storage().join("docker/registry/v2/repositories/p/_uploads");
    proxy.take_seen();
    let report = project.run(&["health", "--json"]).success().json();
    for check in ["reachable", "tls", "auth", "pull", "push", "ranges", "delete", "latency", "clock"] {
        assert_eq!(verdict(&report, check), "ok", "{check}: {report}");
    }
    assert!(["ok", "warn"].contains(&&*verdict(&report, "referrers")));
    let seen = proxy.take_seen();
    assert_eq!(report["requests"], seen.len());
    assert!(seen.iter().all(|seen| seen.method != "PUT"));
    assert_eq!(registry.client().tags("p"), ["latest"]);
    // Nothing is left of the upload that was opened.
    // The registry leaves an empty folder of an upload that was cancelled, and no file in it.
    for upload in uploads.read_dir().into_iter().flatten() {
        assert!(!upload.unwrap().path().join("data").exists());
    }

    let report = project.run(&["health", "--write", "--json"]).success().json();
    assert!(["ok", "warn"].contains(&&*verdict(&report, "delete")), "{report}");
    assert_eq!(registry.client().tags("p"), ["latest"]);
    proxy.take_seen();
    let report = project.run(&["health", "--read-only", "--json"]).success().json();
    assert_eq!((verdict(&report, "push"), verdict(&report, "delete")), ("skipped".into(), "skipped".into()));
    assert!(proxy.take_seen().iter().all(|seen| ["GET", "HEAD"].contains(&seen.method.as_str())));
    let text = project.run(&["health"]).success();
    assert!(text.stdout().contains("ok       push"), "{text}");
    let report = project.run(&["health", "bogus", "--json"]).code(6).json();
    assert_eq!(verdict(&report, "pull"), "fail", "{report}");
}

#[test]
fn what_is_missing_is_named() {
    let Some(registry) = Registry::get_without_deletes() else { return };
    let proxy = Proxy::start(registry.host());
    let project = TestProject::on_registry(proxy.host(), "p");
    project.write("a", "content");
    let _ = project.run(&["add", "a"]).success();
    let _ = project.run(&["push"]).success();
    proxy.inject(Matching::new("POST", "/blobs/uploads/").always(), Fault::Answer(403, vec![]));
    let output = project.run(&["health", "--write", "--json"]).code(5);
    let report = output.json();
    assert_eq!(report["ok"], json!(false));
    for (check, expected) in [("delete", "warn"), ("push", "fail"), ("pull", "ok")] {
        assert_eq!(verdict(&report, check), expected, "{check}: {report}");
    }
    for check in report["checks"].as_array().unwrap() {
        let is_bad = ["warn", "fail"].contains(&check["verdict"].as_str().unwrap());
        assert!(!is_bad || check["hint"].is_string(), "{check}");
    }
    let _ = project.run(&["health", "--read-only"]).success();
}

#[test]
fn a_login_that_is_wanted_and_a_host_that_is_not_there() {
    let Some(registry) = Registry::get_with_password() else { return };
    let project = TestProject::on_registry(registry.host(), "p");
    let report = project.run(&["health", "--json"]).code(5).json();
    assert_eq!((verdict(&report, "reachable"), verdict(&report, "auth")), ("ok".into(), "fail".into()));
    // Nobody listens on a port that was free a moment ago.
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let report = project.run(&["health", &format!("{port}/p"), "--retries", "0", "--json"]).code(7).json();
    assert_eq!((verdict(&report, "reachable"), verdict(&report, "pull")), ("fail".into(), "skipped".into()));
    assert_eq!(report["checks"][0]["code"], 7);
}

#[test]
fn a_registry_that_is_not_trusted_is_there_and_tls_is_the_trouble() {
    for generation in Generation::ALL {
        let Some(place) = ProtectedRegistry::start(generation, Protection::Tls) else { return };
        let project = TestProject::on_registry(place.host(), "p");
        let stranger = Authority::new();
        let untrusted = project.command(["health", "--json"]).arg("--ca-file").arg(stranger.certificate());
        let in_plain_http = project.command(["health", "--json"]);
        for command in [untrusted, in_plain_http] {
            let report = command.run().code(7).json();
            for (check, expected) in [("reachable", "ok"), ("tls", "fail"), ("auth", "skipped")] {
                assert_eq!(verdict(&report, check), expected, "{check}: {report}");
            }
            let hint = report["checks"][1]["hint"].as_str().unwrap();
            assert!(hint.contains("--ca-file"), "{report}");
        }
        let report = place.run_as_user(&project, &["health", "--json"]).success().json();
        assert_eq!(verdict(&report, "tls"), "ok", "{report}");
    }
}

#[test]
fn places_on_disk_are_checked_too() {
    let project = TestProject::new();
    let layout = format!("oci:{}", project.home().join("l").display());
    let _ = project.run(&["init", "--ref", &layout]).success();
    let report = project.run(&["health", "--json"]).success().json();
    assert_eq!(verdict(&report, "push"), "ok");
    assert!(!project.home().join("l").exists(), "looking makes nothing");
    project.write("a", "1");
    let _ = project.run(&["add", "a"]).success();
    let _ = project.run(&["push"]).success();
    let _ = project.run(&["export", "latest", "a.tar"]).success();
    let report = project.run(&["health", "oci-archive:a.tar", "--json"]).success().json();
    assert_eq!((verdict(&report, "pull"), verdict(&report, "push")), ("ok".into(), "skipped".into()));
    let _ = project.run(&["health", "oci-archive:none.tar"]).code(6);
    for place in [&*layout, "oci-archive:a.tar"] {
        let output = project.run(&["health", &format!("{place}:bogus")]).code(6);
        assert!(output.stdout().contains("it has no bundle bogus"), "{output}");
        assert_eq!(format!("{}{}", output.stdout(), output.stderr()).matches("cannot be used").count(), 1);
        let report = project.run(&["health", &format!("{place}:bogus"), "--json"]).code(6).json();
        assert_eq!((&report["ok"], &report["error"]["code"]), (&json!(false), &json!(6)), "{report}");
        let _ = project.run(&["health", &format!("{place}:latest")]).success();
    }
    project.write("folder/file", "x");
    let report = project.run(&["health", "oci:folder", "--json"]).code(1).json();
    assert_eq!(verdict(&report, "push"), "fail");
}

//! Uploads that a push leaves unfinished, and that the next one goes on with, as far as each registry lets it.

use std::fs;
use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

use modelops_bundle_tests::{
    Fault, Generation, MIB, Matching, PASSWORD, Proxy, RegistrySetup, TestProject, UPLOADS, USER,
    assert_large_file_arrived, noise, project_with_large_file, upload_requests,
};
use serde_json::Value;

/// How long a push may take to come to where it is killed.
const PATIENCE: Duration = Duration::from_secs(60);

fn record_of(project: &TestProject) -> PathBuf {
    project.path().join(".modelops-bundle/cache/uploads.json")
}

/// Pushes and kills that, as `kill -9` does, once `bytes` bytes of the upload that stalls have gone through.
fn push_killed_at(project: &TestProject, proxy: &Proxy, bytes: u64, arguments: &[&str]) {
    let mut running = project.command([&["push"], arguments].concat()).spawn();
    let deadline = Instant::now() + PATIENCE;
    let has_stalled = || {
        let seen = proxy.seen();
        seen.iter().any(|one| one.path.contains(UPLOADS) && one.sent == bytes && one.status.is_none())
    };
    while !has_stalled() {
        assert!(!running.has_ended() && Instant::now() < deadline, "{:#?}", proxy.seen());
        thread::sleep(Duration::from_millis(5));
    }
    running.kill();
    assert!(running.wait().was_killed());
}

fn push(project: &TestProject) -> Value {
    project.run(&["push", "--json", "--retries", "1"]).success().json()
}

fn sent_to(proxy: &Proxy) -> u64 {
    proxy.seen().iter().map(|one| one.sent).sum()
}

/// A project with one large file, of whose push 6 MiB have arrived when it was killed.
fn broken_off(proxy: &Proxy) -> TestProject {
    let project = project_with_large_file(proxy, 9);
    proxy.inject(Matching::new("PUT", UPLOADS), Fault::StallRequest(6 * MIB));
    push_killed_at(&project, proxy, 6 * MIB, &[]);
    proxy.take_seen();
    project
}

#[test]
fn the_next_push_sends_only_the_rest() {
    for generation in Generation::ALL {
        let Some(registry) = RegistrySetup::new(generation).start() else { continue };
        let proxy = Proxy::start(registry.host());
        let project = broken_off(&proxy);
        assert!(record_of(&project).exists());
        let output = project.run(&["push", "--json", "-vv"]).success();
        assert!(!output.stderr().contains("_state"), "a URL's secrets are shown");
        let report = output.json();
        let (seen, sent) = (proxy.seen(), sent_to(&proxy));
        let asked: Vec<_> = upload_requests(&seen, "GET").iter().map(|one| one.status).collect();
        match generation {
            // It has the bytes, and no way to say so.
            Generation::Second => assert!(asked == [Some(404)] && sent > 9 * MIB, "{asked:?} {sent}"),
            Generation::Third => assert!(asked == [Some(204)] && sent < 5 * MIB, "{asked:?} {sent}"),
        }
        let large = seen.iter().filter(|one| one.path.contains(UPLOADS) && one.sent > MIB);
        assert_eq!(report["uploaded"]["bytes"], large.map(|one| one.sent).sum::<u64>());
        assert_eq!(report["uploaded"]["blobs"], 1);
        assert!(!record_of(&project).exists());
        assert_large_file_arrived(&project, &registry);
    }
}

#[test]
fn a_push_that_gave_up_is_gone_on_with() {
    let Some(registry) = RegistrySetup::new(Generation::Third).start() else { return };
    let proxy = Proxy::start(registry.host());
    let project = project_with_large_file(&proxy, 9);
    proxy.inject(Matching::new("PUT", UPLOADS), Fault::ResetRequest(6 * MIB));
    proxy.inject(Matching::new("GET", UPLOADS).times(2), Fault::Answer(503, vec![]));
    proxy.inject(Matching::new("POST", UPLOADS).nth(2), Fault::Answer(503, vec![]));
    let failed = project.run(&["push", "--retries", "1"]).code(7);
    assert!(!failed.stderr().contains("_state"));
    // The next one gets nowhere either, which costs nothing of what is there.
    let _ = project.run(&["push", "--retries", "0"]).code(7);
    proxy.take_seen();
    push(&project);
    assert!(sent_to(&proxy) < 5 * MIB, "{:#?}", proxy.seen());
    assert_large_file_arrived(&project, &registry);
}

#[test]
fn whole_chunks_are_kept_by_every_registry() {
    for generation in Generation::ALL {
        let Some(registry) = RegistrySetup::new(generation).start() else { continue };
        let proxy = Proxy::start(registry.host());
        let project = project_with_large_file(&proxy, 6);
        proxy.inject(Matching::new("PUT", UPLOADS), Fault::Answer(413, vec![]));
        proxy.inject(Matching::new("PATCH", UPLOADS).nth(2).times(3), Fault::Answer(503, vec![]));
        let _ = project.run(&["push", "--retries", "1"]).code(7);
        proxy.take_seen();
        push(&project);
        let rest: Vec<u64> = upload_requests(&proxy.seen(), "PATCH").iter().map(|patch| patch.sent).collect();
        assert_eq!(rest, [2 * MIB]);
        assert_large_file_arrived(&project, &registry);
    }
}

#[test]
fn packs_that_arrived_are_not_sent_again_and_the_broken_one_goes_on() {
    for (generation, mib) in [(Generation::Third, 132), (Generation::Second, 70)] {
        let Some(registry) = RegistrySetup::new(generation).start() else { continue };
        let proxy = Proxy::start(registry.host());
        let project = project_with_large_file(&proxy, mib);
        let _ = project.run(&["init", "--layout", "packed"]).success();
        // One at a time, so that the second is sent while it grows as the first was; and to a byte at which no piece of
        // the first ends.
        let arrived = 4 * MIB + 4321;
        proxy.inject(Matching::new("PATCH", UPLOADS).nth(2), Fault::StallRequest(arrived));
        push_killed_at(&project, &proxy, arrived, &["--concurrency", "1"]);
        let first: u64 = upload_requests(&proxy.take_seen(), "PATCH")[0].sent;
        assert!(first > 60 * MIB, "{first}");
        let report = push(&project);
        let (seen, sent) = (proxy.seen(), sent_to(&proxy));
        let left = match generation {
            Generation::Second => mib * MIB - first,
            Generation::Third => mib * MIB - first - arrived,
        };
        assert!(sent >= left && sent < left + MIB, "{sent} {left} {seen:#?}");
        let bytes = report["uploaded"]["bytes"].as_u64().unwrap();
        assert!(bytes >= left && bytes <= sent, "{report}");
        assert!(!record_of(&project).exists());
        assert_large_file_arrived(&project, &registry);
    }
}

#[test]
fn a_file_that_changed_is_sent_as_it_is_now() {
    let Some(registry) = RegistrySetup::new(Generation::Third).start() else { return };
    let proxy = Proxy::start(registry.host());
    let project = broken_off(&proxy);
    project.write("large", noise(5, (9 * MIB) as usize));
    push(&project);
    assert!(upload_requests(&proxy.seen(), "GET").is_empty(), "what is left is of another blob");
    assert!(!record_of(&project).exists());
    assert_large_file_arrived(&project, &registry);
}

#[test]
fn a_pack_that_begins_as_before_and_ends_otherwise_is_sent_anew() {
    let Some(registry) = RegistrySetup::new(Generation::Third).start() else { return };
    let proxy = Proxy::start(registry.host());
    let project = project_with_large_file(&proxy, 9);
    project.write("second", noise(3, 4 << 20));
    let _ = project.run(&["add", "second"]).success();
    let _ = project.run(&["init", "--layout", "packed"]).success();
    proxy.inject(Matching::new("PATCH", UPLOADS), Fault::StallRequest(10 * MIB));
    push_killed_at(&project, &proxy, 10 * MIB, &[]);
    proxy.take_seen();
    project.write("second", noise(5, 4 << 20));
    let report = project.run(&["push", "--json", "--retries", "0"]).success().json();
    let seen = proxy.seen();
    assert_eq!(upload_requests(&seen, "GET").len(), 1);
    assert!(upload_requests(&seen, "PUT").iter().any(|put| put.status == Some(400)), "{seen:#?}");
    // Each byte counts once, however often it went.
    let bytes = report["uploaded"]["bytes"].as_u64().unwrap();
    assert!((13 * MIB..14 * MIB).contains(&bytes), "{report}");
    assert_large_file_arrived(&project, &registry);
}

#[test]
fn a_registry_that_forgot_gets_all_of_it() {
    let Some(registry) = RegistrySetup::new(Generation::Third).start() else { return };
    let proxy = Proxy::start(registry.host());
    let project = broken_off(&proxy);
    // At once: file by file, the registry may still be writing down how far the broken upload came.
    let uploads = registry.storage().join("docker/registry/v2/repositories/p/_uploads");
    fs::rename(uploads, registry.storage().join("forgotten")).unwrap();
    push(&project);
    let seen = proxy.seen();
    assert_eq!(upload_requests(&seen, "GET").iter().map(|one| one.status).collect::<Vec<_>>(), [Some(404)]);
    assert_large_file_arrived(&project, &registry);
    // Whatever else it answers is no reason to fail.
    for status in [400, 401, 403, 410, 500] {
        project.write("large", noise(u64::from(status), (9 * MIB) as usize));
        proxy.inject(Matching::new("PUT", UPLOADS), Fault::StallRequest(6 * MIB));
        push_killed_at(&project, &proxy, 6 * MIB, &[]);
        proxy.take_seen();
        proxy.inject(Matching::new("GET", UPLOADS).times(2), Fault::Answer(status, vec![]));
        push(&project);
        assert_large_file_arrived(&project, &registry);
    }
}

#[test]
fn a_record_that_is_none_is_ignored_and_replaced() {
    let Some(registry) = RegistrySetup::new(Generation::Third).start() else { return };
    let proxy = Proxy::start(registry.host());
    let project = broken_off(&proxy);
    let good = fs::read_to_string(record_of(&project)).unwrap();
    for bad in [&good[..good.len() / 2], "", "[]", &good.replace("\"format\":1", "\"format\":2")] {
        fs::write(record_of(&project), bad).unwrap();
        proxy.inject(Matching::new("PUT", UPLOADS), Fault::StallRequest(6 * MIB));
        push_killed_at(&project, &proxy, 6 * MIB, &[]);
        assert!(upload_requests(&proxy.take_seen(), "GET").is_empty());
        let written = fs::read_to_string(record_of(&project)).unwrap();
        assert!(written.starts_with("{\"format\":1,"), "{bad}");
    }
    // What cannot be written is done without.
    fs::remove_file(record_of(&project)).unwrap();
    fs::create_dir(record_of(&project)).unwrap();
    push(&project);
    assert_large_file_arrived(&project, &registry);
}

#[test]
fn what_is_left_at_one_repository_is_nothing_to_another() {
    let Some(registry) = RegistrySetup::new(Generation::Third).start() else { return };
    let proxy = Proxy::start(registry.host());
    let project = broken_off(&proxy);
    let place = |name: &str| format!("{}/{name}", proxy.host());
    let _ = project.run(&["init", "--ref", &place("other")]).success();
    push(&project);
    assert!(upload_requests(&proxy.take_seen(), "GET").is_empty());
    assert!(record_of(&project).exists(), "the other push has not come to its end");
    let _ = project.run(&["init", "--ref", &place("p")]).success();
    push(&project);
    assert!(sent_to(&proxy) < 5 * MIB, "{:#?}", proxy.seen());
    assert!(!record_of(&project).exists());
    assert_large_file_arrived(&project, &registry);
}

#[test]
fn a_record_is_its_owners_and_holds_no_credentials() {
    let Some(registry) = RegistrySetup::new(Generation::Third).with_password().start() else { return };
    let proxy = Proxy::start(registry.host());
    let project = TestProject::on_registry(proxy.host(), "p");
    let login = ["login", proxy.host(), "--username", USER, "--password-stdin"];
    let _ = project.command(login).input(PASSWORD).run().success();
    let _ = project.run(&["init", "--layout", "files"]).success();
    project.write("large", noise(1, (9 * MIB) as usize));
    let _ = project.run(&["add", "large"]).success();
    proxy.inject(Matching::new("PUT", UPLOADS), Fault::StallRequest(6 * MIB));
    push_killed_at(&project, &proxy, 6 * MIB, &[]);
    let record = fs::read_to_string(record_of(&project)).unwrap();
    assert!(!record.contains(PASSWORD) && !record.contains("Basic") && !record.contains(USER), "{record}");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        assert_eq!(fs::metadata(record_of(&project)).unwrap().permissions().mode() & 0o777, 0o600);
    }
    proxy.take_seen();
    push(&project);
    assert!(sent_to(&proxy) < 5 * MIB, "{:#?}", proxy.seen());
    let _ = project.run(&["verify"]).success();
}

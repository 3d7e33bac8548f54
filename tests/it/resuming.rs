//! Uploads that go on where they stopped, as far as each registry lets them.

use std::collections::BTreeSet;

use modelops_bundle_tests::{
    Fault, Generation, MIB, Matching, Proxy, RegistrySetup, Seen, TestProject, UPLOADS,
    assert_large_file_arrived, noise, project_with_large_file, upload_requests,
};

fn push(project: &TestProject) {
    let _ = project.run(&["push", "--timeout", "1", "--retries", "5"]).success();
}

#[test]
fn an_upload_goes_on_where_it_stopped() {
    for fault in [Fault::ResetRequest(6 * MIB), Fault::StallRequest(6 * MIB)] {
        let Some(registry) = RegistrySetup::new(Generation::Third).start() else { return };
        let proxy = Proxy::start(registry.host());
        let project = project_with_large_file(&proxy, 9);
        proxy.inject(Matching::new("PUT", UPLOADS), fault);
        // The rest breaks as well.
        proxy.inject(Matching::new("PATCH", UPLOADS), Fault::ResetRequest(MIB));
        push(&project);
        let seen = proxy.seen();
        let shown: Vec<String> = seen.iter().map(ToString::to_string).collect();
        let (first, rest) = (upload_requests(&seen, "PUT")[0], upload_requests(&seen, "PATCH"));
        assert_eq!(first.sent, 6 * MIB);
        assert_eq!(rest.len(), 2, "{shown:#?}");
        let starts: Vec<u64> = rest.iter().map(|patch| content_range(patch).0).collect();
        assert!(starts[0] >= 4 * MIB && starts[0] <= 6 * MIB, "{starts:?}");
        assert!(starts[1] > starts[0], "{starts:?}");
        assert!(rest.iter().all(|patch| content_range(patch).1 == 9 * MIB - 1));
        let sent: u64 = seen.iter().map(|one| one.sent).sum();
        assert!(sent < 13 * MIB, "{sent}");
        assert_large_file_arrived(&project, &registry);
    }
}

/// First and last byte of a chunk.
fn content_range(seen: &Seen) -> (u64, u64) {
    let (first, last) = seen.header("content-range").unwrap().split_once('-').unwrap();
    (first.parse().unwrap(), last.parse().unwrap())
}

#[test]
fn a_registry_that_forgets_uploads_is_asked_once() {
    let Some(registry) = RegistrySetup::new(Generation::Second).start() else { return };
    let proxy = Proxy::start(registry.host());
    // More than the connection's buffers hold: whoever has sent everything cannot tell what the registry forgot.
    let project = project_with_large_file(&proxy, 24);
    proxy.inject(Matching::new("PUT", UPLOADS).times(2), Fault::ResetRequest(4 * MIB));
    push(&project);
    let seen = proxy.seen();
    let asked = upload_requests(&seen, "GET");
    assert_eq!(asked.iter().map(|one| one.status).collect::<Vec<_>>(), [Some(404)]);
    assert!(upload_requests(&seen, "PATCH").is_empty());
    let large = upload_requests(&seen, "PUT").into_iter().filter(|put| put.sent >= 4 * MIB).count();
    assert_eq!(large, 3);
    assert_large_file_arrived(&project, &registry);
}

#[test]
fn a_pack_that_is_sent_while_it_grows_goes_on_where_it_stopped() {
    for generation in Generation::ALL {
        let Some(registry) = RegistrySetup::new(generation).start() else { continue };
        let proxy = Proxy::start(registry.host());
        let project = project_with_large_file(&proxy, 24);
        let _ = project.run(&["init", "--layout", "packed"]).success();
        proxy.inject(Matching::new("PATCH", UPLOADS), Fault::ResetRequest(8 * MIB));
        push(&project);
        let seen = proxy.seen();
        let sent: u64 = seen.iter().map(|one| one.sent).sum();
        let opened: BTreeSet<&str> = upload_requests(&seen, "PATCH")
            .iter()
            .chain(&upload_requests(&seen, "PUT"))
            .filter(|one| one.sent > MIB)
            .map(|one| one.path.as_str())
            .collect();
        match generation {
            Generation::Second => assert!(opened.len() == 2 && sent >= 32 * MIB, "{opened:?} {sent}"),
            Generation::Third => assert!(opened.len() == 1 && sent < 32 * MIB, "{opened:?} {sent}"),
        }
        assert_large_file_arrived(&project, &registry);
    }
}

#[test]
fn what_is_too_large_for_one_request_goes_in_chunks_from_then_on() {
    for generation in Generation::ALL {
        let Some(registry) = RegistrySetup::new(generation).start() else { continue };
        let proxy = Proxy::start(registry.host());
        let project = project_with_large_file(&proxy, 6);
        project.write("other", noise(3, 5 << 20));
        let _ = project.run(&["add", "other"]).success();
        proxy.inject(Matching::new("PUT", UPLOADS), Fault::Answer(413, vec![]));
        let _ = project.run(&["push", "--concurrency", "1"]).success();
        let seen = proxy.seen();
        let refused = seen.iter().filter(|one| one.status == Some(413)).count();
        let chunks: Vec<u64> = upload_requests(&seen, "PATCH").iter().map(|patch| patch.sent).collect();
        let mut sorted = chunks.clone();
        sorted.sort_unstable();
        assert_eq!((refused, sorted), (1, vec![MIB, 2 * MIB, 4 * MIB, 4 * MIB]));
        assert_large_file_arrived(&project, &registry);
    }
}

#[test]
fn whoever_gets_further_may_try_again() {
    let Some(registry) = RegistrySetup::new(Generation::Third).start() else { return };
    let proxy = Proxy::start(registry.host());
    let project = project_with_large_file(&proxy, 8);
    proxy.inject(Matching::new("PUT", UPLOADS), Fault::ResetRequest(3 * MIB));
    proxy.inject(Matching::new("PATCH", UPLOADS).times(3), Fault::ResetRequest(3 * MIB / 2));
    let _ = project.run(&["push", "--retries", "1"]).success();
    assert_eq!(proxy.count("PATCH", UPLOADS), 4);
    let second = TestProject::new();
    proxy.inject(Matching::new("GET", "/blobs/sha256").times(6), Fault::CutResponse(5 * MIB / 4));
    let _ = second.run(&["pull", &format!("{}/p:latest", proxy.host()), "--retries", "1"]).success();
    assert_eq!(proxy.count("GET", "/blobs/sha256"), 7);
    second.tree().assert_same(&project.tree());
}

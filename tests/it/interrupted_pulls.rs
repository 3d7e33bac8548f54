//! A pull that was interrupted goes on where it stopped.

#![expect(clippy::print_stdout, reason = "the bytes are what these tests are read for")]

use std::thread;
use std::time::{Duration, Instant};

use modelops_bundle_tests::{Fault, Matching, Proxy, Registry, TestProject, noise};

const MIB: u64 = 1 << 20;

/// How long a pull may take to come to where it is killed.
const PATIENCE: Duration = Duration::from_secs(60);

fn received(proxy: &Proxy) -> u64 {
    proxy.seen().iter().map(|seen| seen.received).sum()
}

/// Pulls through a proxy that lets one answer stall, kills that, and pulls again: the second pull gets no more than the rest.
fn check(layout: &str, files: &[(&str, usize)], stalling: Matching, stalls_after: u64, most: u64) {
    let Some(registry) = Registry::get() else { return };
    let project = TestProject::on_registry(registry.host(), "p");
    let _ = project.run(&["init", "--layout", layout]).success();
    for (at, (path, length)) in files.iter().enumerate() {
        project.write(path, noise(at as u64, *length));
    }
    let _ = project.run(&["add", "."]).success();
    let _ = project.run(&["push"]).success();

    let proxy = Proxy::start(registry.host());
    let second = TestProject::new();
    let reference = format!("{}/p:latest", proxy.host());
    let _ = second.run(&["init", "--ref", &reference]).success();
    proxy.inject(stalling, Fault::StallResponse(stalls_after));
    let mut running = second.command(["pull", "--concurrency", "1"]).spawn();
    let deadline = Instant::now() + PATIENCE;
    let first = loop {
        let before = received(&proxy);
        thread::sleep(Duration::from_millis(300));
        if before > MIB && received(&proxy) == before {
            break before;
        }
        assert!(!running.has_ended() && Instant::now() < deadline, "{:#?}", proxy.seen());
    };
    running.kill();
    assert!(running.wait().was_killed());
    // Any command in between leaves what is there.
    let _ = second.run(&["status", "--offline"]).success();
    assert!(!second.exists(files[0].0) && !second.exists(".modelops-bundle/staging"));

    proxy.take_seen();
    let _ = second.run(&["pull"]).success();
    let again = received(&proxy);
    println!("{layout}: {first} bytes came before it was killed, and {again} afterwards");
    assert!(again <= most, "{again} bytes came again, and {first} had");
    for (path, _) in files {
        assert_eq!(second.read(path), project.read(path), "{path}");
    }
    assert!(!second.exists(".modelops-bundle/cache/interrupted"));
}

#[test]
fn what_had_come_whole_does_not_come_again() {
    let files = [("a", 3 << 20), ("b", 3 << 20), ("c", 3 << 20), ("d", 3 << 20)];
    check("files", &files, Matching::new("GET", "/blobs/").nth(4), MIB, 7 * MIB);
}

#[test]
fn of_a_large_file_only_the_rest_comes() {
    // What stands of the file gives its chunks.
    check("packed", &[("large", 24 << 20)], Matching::new("GET", "/blobs/").always(), 16 * MIB, 16 * MIB);
}

//! What peculiar registries do about tags, manifests and deletions, and what a push says of what it did.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::json;

use modelops_bundle_tests::{Answer, Asked, Held, ScriptedRegistry, TestProject, noise};

/// A project with one file, whose remote is `t/x` on `host`.
fn project(host: &str) -> TestProject {
    let project = TestProject::on_registry(host, "t/x");
    let _ = project.run(&["init", "--layout", "files"]).success();
    project.write("a", "1");
    let _ = project.run(&["add", "a"]).success();
    project
}

/// A registry that shows a tag as it was before, `times` times after each write of it.
fn late(times: usize) -> ScriptedRegistry {
    // What each tag named before its last write, and how often that is still shown.
    let before: Mutex<Vec<(String, Option<String>, usize)>> = Mutex::default();
    ScriptedRegistry::start(move |asked, held| {
        if !asked.path.contains("/manifests/") || asked.name().starts_with("sha256:") {
            return None;
        }
        let mut before = before.lock().unwrap();
        before.retain(|(_, _, left)| *left > 0);
        if asked.method == "PUT" {
            before.retain(|(tag, _, _)| tag != asked.name());
            before.push((asked.name().to_owned(), held.tag(asked.name()), times));
            return None;
        }
        let (_, digest, left) = before.iter_mut().find(|(tag, _, _)| tag == asked.name())?;
        *left -= 1;
        Some(match digest {
            None => Answer::new(404),
            Some(digest) => {
                let path = asked.path.replace(asked.name(), digest);
                held.answer(&asked.at(&path))
            }
        })
    })
}

#[test]
fn a_tag_that_is_shown_late_is_waited_for() {
    let registry = late(2);
    let project = project(registry.host());
    let output = project.run(&["push"]).success();
    assert!(!output.stderr().contains("warning"), "{output}");
    project.write("a", "2");
    let _ = project.run(&["push"]).success();
    let _ = project.run(&["tag", "latest", "v1", "v2"]).success();
    let _ = project.run(&["copy", "latest", &format!("{}/t/y:v1", registry.host())]).success();
    // The state was written: nothing is left to do.
    assert!(project.run(&["push"]).success().stdout().contains("Nothing to push"));
}

#[test]
fn a_tag_that_is_not_shown_for_long_is_warned_of() {
    let registry = late(1000);
    let project = project(registry.host());
    let output = project.run(&["push"]).success();
    assert!(output.stderr().contains("the tag `latest` was written"), "{output}");
    assert!(project.exists(".modelops-bundle/state.json"));
}

#[test]
fn a_tag_that_shows_another_bundle_was_overtaken() {
    let moved = AtomicBool::new(false);
    let registry = ScriptedRegistry::start(move |asked, held| {
        if asked.is("PUT", "/manifests/latest") && !moved.swap(true, Ordering::SeqCst) {
            let answer = held.answer(asked);
            drop(held.answer(&asked.with_body("{}")));
            return Some(answer);
        }
        None
    });
    let output = project(registry.host()).run(&["push"]).code(4);
    assert!(output.stderr().contains("overtook"), "{output}");
}

/// How long a registry takes to write a tag that is [`raced`] for.
const WRITE: Duration = Duration::from_millis(200);

/// When the other push of such a race writes, after the first one has: it is too late to be seen at once, and has looked
/// before.
const RIVAL: Duration = Duration::from_millis(100);

/// A registry without conditions, where another push, which looked before `tag` was written, writes a little later.
fn raced(tag: &'static str) -> ScriptedRegistry {
    // The write and when it was made, as long as the other one has not come.
    let written: Mutex<(bool, Option<(Asked, Instant)>)> = Mutex::default();
    ScriptedRegistry::start(move |asked, held| {
        let mut written = written.lock().unwrap();
        let (was_written, ahead) = &mut *written;
        if asked.is("PUT", &format!("/manifests/{tag}")) && !*was_written {
            thread::sleep(WRITE);
            let answer = held.answer(asked);
            (*was_written, *ahead) = (true, Some((asked.clone(), Instant::now())));
            return Some(answer);
        }
        if asked.is("GET", &format!("/manifests/{tag}"))
            && let Some((ours, _)) = ahead.take_if(|(_, at)| at.elapsed() >= RIVAL)
        {
            // The same bundle in other bytes: one that nobody has seen.
            drop(held.answer(&ours.with_body([&ours.body[..], b"\n"].concat())));
        }
        None
    })
}

#[test]
fn a_push_that_was_not_seen_by_another_one_is_told_so() {
    let pushed = |tag, arguments: &[&str]| {
        let registry = raced(tag);
        let output = project(registry.host()).run(arguments).code(4);
        assert!(output.stderr().contains("overtook"), "{output}");
        let digests = output.stderr().matches("sha256:").count();
        assert!(digests >= 2, "both bundles are named: {output}");
        output.stderr().to_owned()
    };
    let alone = pushed("latest", &["push"]);
    assert!(!alone.contains("published as"), "{alone}");
    let bumped = pushed("0.1.0", &["push", "--bump", "minor"]);
    assert!(bumped.contains("published as latest"), "{bumped}");
    let both = pushed("one", &["push", "--tag", "one", "--tag", "two"]);
    assert!(both.contains("published as two"), "{both}");
}

#[test]
fn a_tag_or_a_copy_that_was_not_seen_by_a_push_is_told_so() {
    let registry = raced("v1");
    let tagged = project(registry.host());
    let _ = tagged.run(&["push"]).success();
    let output = tagged.run(&["tag", "latest", "v0", "v1"]).code(4);
    assert!(output.stderr().contains("overtook"), "{output}");

    let (source, target) = (ScriptedRegistry::start(|_, _| None), raced("v1"));
    let copied = project(source.host());
    let _ = copied.run(&["push"]).success();
    let there = format!("{}/t/y:v1", target.host());
    let output = copied.run(&["copy", "latest", &there]).code(4);
    assert!(output.stderr().contains("overtook"), "{output}");
    let _ = copied.run(&["export", "b.tar"]).success();
    let target = raced("v1");
    let there = format!("{}/t/y:v1", target.host());
    let output = copied.run(&["import", "b.tar", "--to", &there]).code(4);
    assert!(output.stderr().contains("overtook"), "{output}");
}

/// A registry that takes writes of `latest` and, from the second one on, answers each look at it with `status`.
fn blind_from_the_second_write(status: u16) -> ScriptedRegistry {
    let writes = AtomicUsize::new(0);
    ScriptedRegistry::start(move |asked, _| {
        if asked.is("PUT", "/manifests/latest") {
            writes.fetch_add(1, Ordering::SeqCst);
        }
        let is_blind = asked.is("GET", "/manifests/latest") && writes.load(Ordering::SeqCst) == 2;
        is_blind.then(|| Answer::new(status))
    })
}

#[test]
fn a_tag_that_cannot_be_looked_at_after_its_write_is_written() {
    for status in [503, 401, 403] {
        let registry = blind_from_the_second_write(status);
        let project = project(registry.host());
        let _ = project.run(&["push"]).success();
        project.write("a", "2");
        let output = project.run(&["push", "--retries", "0"]).success();
        let warning =
            "warning: the tag `latest` was written and names your bundle; it could not be looked at again: ";
        assert!(output.stderr().contains(warning), "{status}: {output}");
        let _ = project.run(&["tag", "latest", "v1", "--retries", "0"]).code(match status {
            503 => 7,
            _ => 5,
        });
        // The project knows that bundle for its own.
        registry.held().set_tag("third", &registry.held().tag("latest").unwrap());
        project.write("a", "3");
        let _ = project.run(&["push", "--tag", "third", "--retries", "0"]).success();
    }
}

#[test]
fn further_tags_and_copies_that_cannot_be_looked_at_are_written_too() {
    let registry = ScriptedRegistry::start(|_, _| None);
    let project = project(registry.host());
    let _ = project.run(&["push", "--tag", "v1"]).success();
    let _ = project.run(&["export", "v1", "b.tar"]).success();
    for arguments in [&["tag", "v1", "latest"][..], &["copy", "v1"], &["import", "b.tar", "--to"]] {
        let written = AtomicBool::new(false);
        let target = ScriptedRegistry::start(move |asked, _| {
            if asked.is("PUT", "/manifests/latest") {
                written.store(true, Ordering::SeqCst);
            }
            let is_blind = asked.is("GET", "/manifests/latest") && written.load(Ordering::SeqCst);
            is_blind.then(|| Answer::new(503))
        });
        let there = format!("{}/t/x:latest", target.host());
        let mut words = arguments.to_vec();
        if arguments[0] == "tag" {
            let first = format!("{}/t/x:v1", target.host());
            let _ = project.run(&["copy", "v1", &first]).success();
            let output = project.run(&["tag", &first, "latest", "--retries", "0"]).success();
            assert!(output.stderr().contains("could not be looked at again"), "{output}");
        } else {
            words.extend([&*there, "--retries", "0"]);
            let output = project.run(&words).success();
            assert!(output.stderr().contains("could not be looked at again"), "{words:?}: {output}");
        }
        assert_eq!(target.held().tag("latest"), registry.held().tag("v1"));
    }
}

#[test]
fn a_write_of_a_tag_whose_answer_is_lost_counts() {
    let registry = ScriptedRegistry::start(|asked, held| {
        if asked.is("PUT", "/manifests/latest") {
            drop(held.answer(asked));
            return Some(Answer::new(503));
        }
        None
    });
    let project = project(registry.host());
    let _ = project.run(&["push", "--retries", "0"]).success();
    project.write("a", "2");
    let _ = project.run(&["push", "--retries", "0"]).success();
    assert_eq!(registry.held().tags(), ["latest"]);
}

/// A registry that refuses writes of `latest`.
fn without_latest(status: u16) -> ScriptedRegistry {
    ScriptedRegistry::start(move |asked, _| asked.is("PUT", "/manifests/latest").then(|| Answer::new(status)))
}

#[test]
fn what_was_written_is_named_where_another_tag_is_refused() {
    let source = ScriptedRegistry::start(|_, _| None);
    let project = project(source.host());
    let _ = project.run(&["push", "--tag", "a", "--tag", "latest", "--tag", "z"]).success();
    let target = without_latest(403);
    let there = format!("{}/t/x", target.host());
    let _ = project.run(&["copy", "a", &there]).success();
    let output = project.run(&["tag", &format!("{there}:a"), "a1", "latest", "z1"]).code(5);
    assert!(output.stderr().contains("published as a1, z1, and not as latest: "), "{output}");
    assert_eq!(target.held().tags(), ["a", "a1", "z1"]);
    let output = project.run(&["--json", "tag", &format!("{there}:a"), "a2", "latest"]).code(5);
    let error = &output.json()["error"];
    assert_eq!((&error["tags_written"], &error["tags_not_written"]), (&json!(["a2"]), &json!(["latest"])));

    let target = without_latest(403);
    let from = format!("{}/t/x", source.host());
    let output = project.run(&["copy", &from, &format!("{}/t/x", target.host()), "--all-tags"]).code(5);
    assert!(output.stderr().contains("published as a, and not as latest, z: "), "{output}");
    assert_eq!(target.held().tags(), ["a"]);
}

#[test]
fn a_push_that_stops_half_way_says_how_to_go_on() {
    for (status, code) in [(500, 7), (403, 5)] {
        let registry = without_latest(status);
        let project = project(registry.host());
        let output = project.run(&["push", "--bump", "minor", "--retries", "0"]).code(code);
        let said = output.stderr();
        assert!(said.contains("published as 0.1.0, and not as latest: "), "{output}");
        assert!(said.contains("then `modelops-bundle tag 0.1.0 latest` makes up for the rest"), "{output}");
        assert!(!said.contains("look at what changed"), "{output}");
        // The bundle is known for the project's own once the tag has it.
        registry.held().set_tag("follows", &registry.held().tag("0.1.0").unwrap());
        project.write("a", "2");
        let _ = project.run(&["push", "--tag", "follows"]).success();
    }
}

#[test]
fn a_condition_that_is_refused_although_it_holds_is_left_out() {
    for status in [400, 412, 501] {
        let registry = ScriptedRegistry::start(move |asked, _| {
            let has_condition = asked.header("if-match").or(asked.header("if-none-match")).is_some();
            (asked.is("PUT", "/manifests/") && has_condition).then(|| Answer::new(status))
        });
        let project = project(registry.host());
        let _ = project.run(&["push"]).success();
        project.write("a", "2");
        let _ = project.run(&["push"]).success();
        let _ = project.run(&["tag", "latest", "v1"]).success();
    }
}

#[test]
fn a_condition_that_does_not_hold_is_heeded() {
    // Another push comes between the last look and the write, on a registry that honours conditions.
    let registry = ScriptedRegistry::start(|asked, held| {
        if asked.is("PUT", "/manifests/latest") && asked.header("if-none-match").is_some() {
            drop(held.answer(&asked.with_body("{}")));
            return Some(Answer::new(412));
        }
        None
    });
    let output = project(registry.host()).run(&["push"]).code(4);
    assert!(output.stderr().contains("moved meanwhile"), "{output}");
    assert_eq!(registry.held().manifest("latest").as_deref(), Some(&b"{}"[..]));
}

#[test]
fn what_was_published_before_a_tag_moved_is_named() {
    for arguments in [&["push", "--bump", "minor"][..], &["push", "--tag", "first", "--tag", "latest"]] {
        let published = if arguments.contains(&"--bump") { "0.1.0" } else { "first" };
        let registry = ScriptedRegistry::start(move |asked, held| {
            if asked.method == "PUT" && asked.name() == published {
                let path = asked.path.replace(published, "latest");
                // The same bundle in other bytes: one that nobody has seen.
                let other = [&asked.body[..], b"\n"].concat();
                drop(held.answer(&asked.at(&path).with_body(other)));
            }
            None
        });
        let project = project(registry.host());
        let output = project.run(arguments).code(4);
        assert!(output.stderr().contains(&format!("published as {published}")), "{output}");
        assert!(registry.held().tag(published).is_some());
        let digest = registry.held().tag(published).unwrap();
        assert!(output.stderr().contains(&digest), "{output}");
    }
}

#[test]
fn a_list_of_tags_has_an_end() {
    let page = AtomicUsize::new(0);
    let registry = ScriptedRegistry::start(move |asked, _| {
        let page = page.fetch_add(1, Ordering::SeqCst);
        let tags: Vec<String> = (0..250_000).map(|at| format!("\"{page:x}.{at:x}\"")).collect();
        let link = format!("<{}?last={page}>; rel=\"next\"", asked.path);
        Some(Answer::new(200).header("Link", link).body(format!("{{\"tags\":[{}]}}", tags.join(","))))
    });
    let reference = format!("{}/t/x", registry.host());
    let output = TestProject::new().run(&["manifest", "--tags-only", &reference]).code(1);
    assert!(output.stderr().contains(&format!("the list of tags of {reference}")), "{output}");
    assert!(registry.seen().len() <= 5, "{}", registry.seen().len());
}

#[test]
fn a_list_ends_where_pages_in_a_row_bring_nothing_new() {
    for (command, body) in [
        ("manifest", "{\"tags\":[]}"),
        ("manifest", "{\"tags\":[\"same\"]}"),
        ("repos", "{\"repositories\":[]}"),
    ] {
        let page = AtomicUsize::new(0);
        let registry = ScriptedRegistry::start(move |asked, _| {
            let page = page.fetch_add(1, Ordering::SeqCst);
            let link = format!("<{}?last={page}>; rel=\"next\"", asked.path);
            let is_list = asked.path.ends_with("/tags/list") || asked.path.ends_with("/_catalog");
            is_list.then(|| Answer::new(200).header("Link", link).body(body))
        });
        let place =
            if command == "repos" { registry.host().to_owned() } else { format!("{}/t/x", registry.host()) };
        let output = TestProject::new().run(&[command, &place, "--retries", "0"]).code(1);
        assert!(output.stderr().contains("10 pages in a row bring nothing new"), "{output}");
        assert!(registry.seen().len() <= 25, "{}", registry.seen().len());
    }
}

#[test]
fn a_list_is_read_on_behind_pages_that_bring_nothing() {
    let page = AtomicUsize::new(0);
    let registry = ScriptedRegistry::start(move |asked, _| {
        let page = page.fetch_add(1, Ordering::SeqCst);
        let name = if page % 10 == 9 { format!("\"v{page}\"") } else { String::new() };
        let answer = Answer::new(200).body(format!("{{\"tags\":[{name}]}}"));
        let link = format!("<{}?last={page}>; rel=\"next\"", asked.path);
        Some(if page < 39 { answer.header("Link", link) } else { answer })
    });
    let reference = format!("{}/t/x", registry.host());
    let output = TestProject::new().run(&["manifest", "--tags-only", &reference]).success();
    assert_eq!(output.stdout().lines().count(), 4, "{output}");
}

#[test]
fn a_blob_that_a_registry_does_not_see_yet_is_waited_for() {
    for status in [400, 404] {
        let missed = AtomicUsize::new(0);
        let registry = ScriptedRegistry::start(move |asked, _| {
            let is_early = asked.is("PUT", "/manifests/") && missed.fetch_add(1, Ordering::SeqCst) < 2;
            is_early.then(|| Answer::new(status).error("MANIFEST_BLOB_UNKNOWN", "blob unknown to registry"))
        });
        let _ = project(registry.host()).run(&["push"]).success();
    }
}

#[test]
fn a_blob_that_a_registry_never_sees_ends_the_push() {
    let registry = ScriptedRegistry::start(|asked, _| {
        asked
            .is("PUT", "/manifests/")
            .then(|| Answer::new(400).error("MANIFEST_BLOB_UNKNOWN", "blob unknown"))
    });
    let output = project(registry.host()).run(&["push"]).code(1);
    assert!(output.stderr().contains("blob unknown"), "{output}");
    assert_eq!(registry.count("PUT", "/manifests/"), 4);
}

#[test]
fn a_stream_that_is_not_found_goes_as_a_whole() {
    for status in [404, 405] {
        let registry =
            ScriptedRegistry::start(move |asked, _| (asked.method == "PATCH").then(|| Answer::new(status)));
        let project = project(registry.host());
        let _ = project.run(&["init", "--layout", "packed"]).success();
        project.write("large", noise(3, 400_000));
        let _ = project.run(&["add", "large"]).success();
        let _ = project.run(&["push"]).success();
    }
}

#[test]
fn a_check_of_health_tries_again_as_all_others_do() {
    let failed = AtomicBool::new(false);
    let registry = ScriptedRegistry::start(move |asked, _| {
        (asked.method == "POST" && !failed.swap(true, Ordering::SeqCst)).then(|| Answer::new(502))
    });
    let output = TestProject::new().run(&["health", &format!("{}/t/x", registry.host())]).success();
    assert!(output.stdout().contains("can be used"), "{output}");
}

/// A registry that is only read.
fn read_only(asked: &Asked, _: &Held) -> Option<Answer> {
    let is_read = matches!(&*asked.method, "GET" | "HEAD");
    (!is_read).then(|| Answer::new(405).error("UNSUPPORTED", "the operation is unsupported"))
}

#[test]
fn nobody_is_told_to_insist_where_nothing_is_deleted() {
    let is_open = std::sync::Arc::new(AtomicBool::new(true));
    let open = std::sync::Arc::clone(&is_open);
    let registry =
        ScriptedRegistry::start(
            move |asked, held| {
                if open.load(Ordering::SeqCst) { None } else { read_only(asked, held) }
            },
        );
    let project = project(registry.host());
    let _ = project.run(&["push", "--tag", "latest", "--tag", "other"]).success();
    is_open.store(false, Ordering::SeqCst);
    let output = project.run(&["delete", "latest"]).code(1);
    assert!(output.stderr().contains("deletes no tags"), "{output}");
    assert!(!output.stderr().contains("--force"), "{output}");
    // Where bundles are deleted and tags are not, it helps.
    is_open.store(true, Ordering::SeqCst);
    let output = project.run(&["delete", "latest"]).code(3);
    assert!(output.stderr().contains("--force"), "{output}");
}

#[test]
fn a_new_tag_sends_nothing_that_its_repository_has() {
    for layout in ["files", "packed"] {
        let registry = ScriptedRegistry::start(|_, _| None);
        let project = project(registry.host());
        let _ = project.run(&["init", "--layout", layout]).success();
        for at in 0..20_u64 {
            project.write(&format!("f{at}"), noise(at, 500));
        }
        project.write("large", noise(77, 200_000));
        let _ = project.run(&["add", "."]).success();
        let _ = project.run(&["push"]).success();

        let first = project.run(&["push", "--tag", "v1", "--json"]).success().json();
        assert_eq!(first["uploaded"]["files"], 0, "{first}");
        assert_eq!(first["uploaded"]["blobs"], 0, "{first}");
        assert_eq!(first["upload"].as_array().unwrap().len(), 0, "{first}");

        project.write("f0", "another");
        let dry = project.run(&["push", "--tag", "v2", "--json", "--dry-run"]).success().json();
        assert_eq!(dry["uploaded"]["files"], 1, "{dry}");
        let second = project.run(&["push", "--tag", "v2", "--json"]).success().json();
        assert_eq!(second["uploaded"]["files"], 1, "{second}");
        assert_eq!(second["uploaded"]["blobs"], 1, "{second}");
        let fresh = TestProject::new();
        let _ = fresh.run(&["pull", &format!("{}/t/x:v2", registry.host())]).success();
        assert_eq!(fresh.read("f0"), b"another");
        assert_eq!(fresh.read("large"), project.read("large"));
    }
}

#[test]
fn files_that_turn_out_to_be_there_are_not_counted() {
    let registry = ScriptedRegistry::start(|_, _| None);
    let one = project(registry.host());
    one.write("large", noise(5, 200_000));
    let _ = one.run(&["add", "large"]).success();
    let _ = one.run(&["push", "--tag", "one"]).success();
    // One that knows nothing of it: the large file is found there, the small one is sent.
    let other = project(registry.host());
    other.write("large", noise(5, 200_000));
    let _ = other.run(&["add", "large"]).success();
    let pushed = other.run(&["push", "--tag", "other", "--json"]).success().json();
    assert_eq!(pushed["uploaded"]["files"], 1, "{pushed}");
    assert_eq!(pushed["uploaded"]["blobs"], 1, "{pushed}");
    assert_eq!(pushed["uploaded"]["bytes"], 1, "{pushed}");
}

#[test]
fn nothing_is_promised_of_a_bundle_that_loses_its_tag() {
    let registry = ScriptedRegistry::start(|_, _| None);
    let _ = project(registry.host()).run(&["push"]).success();
    let other = project(registry.host());
    other.write("a", "other");
    let output = other.run(&["push", "--replace"]).success();
    let words = "the bundle before may be dropped by this registry: `modelops-bundle tag @sha256:";
    assert!(output.stderr().contains(words), "{output}");
    assert!(!output.stderr().contains("stays"), "{output}");
}

#[test]
fn that_there_is_no_repository_is_said_where_the_registry_says_so() {
    let silent = |asked: &Asked, _: &Held| asked.is("GET", "/tags/").then(|| Answer::new(404));
    let known = |asked: &Asked, _: &Held| {
        asked.is("GET", "/tags/").then(|| Answer::new(404).error("NAME_UNKNOWN", "repository name not known"))
    };
    for (registry, code) in [(ScriptedRegistry::start(silent), 0), (ScriptedRegistry::start(known), 6)] {
        let output = TestProject::new().run(&["manifest", &format!("{}/t/x", registry.host())]).code(code);
        let words = if code == 0 { "has no bundles" } else { "there is no repository" };
        assert!(output.to_string().contains(words), "{output}");
    }
}

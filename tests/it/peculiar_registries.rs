//! Registries, caches and proxies that do what others do not, each within what is to be expected of one: what should arrive
//! arrives, or an error names who is at fault.

use std::io::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use flate2::Compression;
use flate2::write::{GzEncoder, ZlibEncoder};
use modelops_bundle_tests::{
    Answer, Asked, Authority, CommandOutput, Held, ScriptedRegistry, TestProject, noise,
};

/// A project with some files, whose remote is `t/x` on `host`.
fn project(host: &str, layout: &str) -> TestProject {
    let project = TestProject::on_registry(host, "t/x");
    let _ = project.run(&["init", "--layout", layout]).success();
    project.write("large", noise(7, 300_000)).write("small", "1");
    let _ = project.run(&["add", "large", "small"]).success();
    project
}

/// Pulls `t/x:latest` from `registry` into an empty folder.
fn pull(registry: &ScriptedRegistry) -> (TestProject, CommandOutput) {
    let fresh = TestProject::new();
    let output = fresh.run(&["pull", &format!("{}/t/x:latest", registry.host())]);
    (fresh, output)
}

fn assert_same_files(one: &TestProject, other: &TestProject) {
    for path in ["large", "small"] {
        assert!(one.read(path) == other.read(path), "{path} differs");
    }
}

/// How a registry answers who comes without a token of its own `/token`; `gives` makes the token from what is asked for.
fn wants_token(asked: &Asked, is_good: impl Fn(&str) -> bool) -> Option<Answer> {
    if asked.path == "/token" {
        let token = if asked.query.contains("push") { "both" } else { "pull" };
        return Some(Answer::new(200).body(format!(r#"{{"token":"{token}"}}"#)));
    }
    let authorization = asked.header("authorization").unwrap_or_default();
    if is_good(authorization) {
        return None;
    }
    let realm = format!("http://{}/token", asked.header("host").unwrap_or_default());
    let challenge = format!("Bearer realm=\"{realm}\",service=\"r\",scope=\"repository:t/x:pull\"");
    Some(Answer::new(401).header("WWW-Authenticate", challenge))
}

#[test]
fn a_push_asks_for_the_right_to_push_from_its_first_request_on() {
    let registry = ScriptedRegistry::start(|asked, _| wants_token(asked, |token| token == "Bearer both"));
    let project = project(registry.host(), "files");
    let _ = project.run(&["push"]).success();
    let _ = project.run(&["tag", "latest", "v1"]).success();
    let target = format!("{}/t/y:v9", registry.host());
    let source = TestProject::new();
    let _ = source.run(&["init"]).success();
    source.write("a", "1");
    let _ = source.run(&["add", "a"]).success();
    let _ = source.run(&["push"]).success();
    let _ = source.run(&["copy", "latest", &target]).success();
    // One token a command, since each asks for all that it needs at once.
    assert_eq!(registry.count("GET", "/token"), 3);
    assert!(
        registry
            .seen()
            .iter()
            .filter(|asked| asked.path == "/token")
            .all(|asked| asked.query.contains("push"))
    );
}

#[test]
fn a_repository_that_is_not_shown_before_it_is_there_counts_as_absent() {
    // Whoever asks about what is not there is refused, whatever the token is good for.
    for arguments in [&["push"][..], &["push", "--bump", "auto"]] {
        let is_there = AtomicBool::new(false);
        let registry = ScriptedRegistry::start(move |asked, _| {
            wants_token(asked, |token| token == "Bearer both").or_else(|| {
                is_there.fetch_or(asked.method == "POST", Ordering::SeqCst);
                let refusal =
                    || Answer::new(403).error("DENIED", "requested access to the resource is denied");
                (!is_there.load(Ordering::SeqCst)).then(refusal)
            })
        });
        let project = project(registry.host(), "files");
        let dry = project.run(&[arguments, &["--dry-run"]].concat()).success();
        assert!(dry.stdout().contains("Would push"), "{dry}");
        let _ = project.run(arguments).success();
        assert!(registry.held().tag("latest").is_some());
    }
}

#[test]
fn the_refusal_of_the_first_upload_is_told_as_what_it_is() {
    for (status, code, words) in [
        (403, 5, "denies the right to push to `t/x`"),
        (404, 6, "has no such repository for this user"),
        (405, 1, "takes no pushes to `t/x`"),
    ] {
        for layout in ["files", "packed"] {
            let registry =
                ScriptedRegistry::start(move |asked, _| match asked.path.contains("/manifests/") {
                    true => Some(Answer::new(404)),
                    false => Some(Answer::new(status).error("X", "no")),
                });
            let output = project(registry.host(), layout).run(&["push"]).code(code);
            assert!(output.stderr().contains(words) && output.stderr().contains("hint:"), "{output}");
            // A pack and the index may be on their way at the same time; neither is tried again.
            assert!(registry.count("POST", "/blobs/uploads/") <= 2, "{output}");
        }
    }
}

#[test]
fn a_tag_that_is_refused_to_be_read_is_not_written() {
    // The repository is there: what is in it may be read by others alone.
    let registry = ScriptedRegistry::start(|asked, _| {
        wants_token(asked, |token| token == "Bearer both").or_else(|| {
            (asked.is("GET", "/manifests/latest") || asked.is("HEAD", "")).then(|| Answer::new(403))
        })
    });
    registry.held().set_tag("latest", "sha256:of-others");
    let output = project(registry.host(), "files").run(&["push"]).code(5);
    assert!(output.stderr().contains("wants a login"), "{output}");
    assert_eq!(registry.held().tag("latest").as_deref(), Some("sha256:of-others"));
    assert_eq!(sent(&registry), 0, "its tags are listed, so that it is there for certain");
}

/// How many requests brought something.
fn sent(registry: &ScriptedRegistry) -> usize {
    registry.count("PUT", "") + registry.count("PATCH", "")
}

#[test]
fn an_account_that_may_not_pull_is_refused_before_anything_is_sent() {
    // At first it may do everything, later nothing is shown to it.
    let is_closed = Arc::new(AtomicBool::new(false));
    let closed = Arc::clone(&is_closed);
    let registry = ScriptedRegistry::start(move |asked, _| {
        wants_token(asked, |token| token == "Bearer both").or_else(|| {
            let is_hidden = asked.method == "GET" && closed.load(Ordering::SeqCst);
            is_hidden.then(|| Answer::new(403).error("DENIED", "push only"))
        })
    });
    let project = project(registry.host(), "packed");
    let _ = project.run(&["push"]).success();
    is_closed.store(true, Ordering::SeqCst);
    project.write("small", "2");
    let before = sent(&registry);
    for more in [&[][..], &["--dry-run"], &["--bump", "auto"]] {
        let output = project.run(&[&["push"], more].concat()).code(5);
        assert!(output.stderr().contains("pushing needs the right to pull too"), "{output}");
    }
    assert_eq!(sent(&registry), before);
}

#[test]
fn a_registry_that_declares_no_digests_is_no_matter_for_users() {
    let registry = ScriptedRegistry::start(|asked, held| {
        let manifest = (asked.method == "GET").then(|| held.manifest(asked.name()))??;
        Some(Answer::new(200).body(manifest))
    });
    let project = project(registry.host(), "files");
    for arguments in [&["push"][..], &["manifest"], &["verify"], &["status"]] {
        let output = project.run(arguments).success();
        assert_eq!(output.stderr(), "", "{arguments:?}");
    }
    assert!(project.run(&["manifest", "-v"]).success().stderr().contains("INFO"));
}

#[test]
fn a_whole_blob_in_place_of_a_part_is_taken_for_what_it_says_to_be() {
    let registry = ScriptedRegistry::start(|asked, held| {
        let blob = held.blob(asked.name()).filter(|_| asked.is("GET", "/blobs/"))?;
        let range = format!("bytes 0-{}/{}", blob.len() - 1, blob.len());
        Some(Answer::new(206).header("Content-Range", range).body(blob))
    });
    for layout in ["files", "packed"] {
        let source = project(registry.host(), layout);
        let _ = source.run(&["push"]).success();
        let (fresh, output) = pull(&registry);
        let _ = output.success();
        assert_same_files(&source, &fresh);
        let _ = source.run(&["verify"]).success();
    }
}

#[test]
fn what_refuses_parts_of_blobs_gives_them_whole() {
    for status in [400, 403, 405, 416, 501] {
        let registry = ScriptedRegistry::start(move |asked, _| {
            (asked.is("GET", "/blobs/") && asked.header("range").is_some())
                .then(|| Answer::new(status).error("UNSUPPORTED", "no ranges"))
        });
        let project = project(registry.host(), "packed");
        for at in 0..40 {
            project.write(&format!("f{at}"), noise(at, 2_000));
        }
        let _ = project.run(&["add", "."]).success();
        let _ = project.run(&["push"]).success();
        let (fresh, output) = pull(&registry);
        let _ = output.success();
        assert_same_files(&project, &fresh);
        let refused = registry.seen().iter().filter(|asked| asked.header("range").is_some()).count();
        assert!(refused <= 4, "{refused} requests for parts, although they are refused with {status}");
    }
}

#[test]
fn a_login_that_is_refused_is_not_taken_for_a_range_that_is() {
    let registry = ScriptedRegistry::start(|asked, _| {
        asked.is("GET", "/blobs/").then(|| Answer::new(403).error("DENIED", "not you"))
    });
    let project = project(registry.host(), "packed");
    let _ = project.run(&["push"]).success();
    let (_, output) = pull(&registry);
    let output = output.code(5);
    assert!(output.stderr().contains("denies the right to pull from `t/x`"), "{output}");
}

/// A registry whose blobs lie elsewhere, under addresses that are good for `GET` alone.
fn signs_for_get(asked: &Asked, held: &Held) -> Option<Answer> {
    if asked.path.starts_with("/signed/") {
        return Some(match &*asked.method {
            "HEAD" => Answer::new(403),
            _ => held.answer(&asked.at(&asked.path.replace("/signed/", "/v2/t/x/blobs/"))),
        });
    }
    let is_there = held.blob(asked.name()).is_some();
    let asks = asked.is("GET", "/blobs/") || asked.is("HEAD", "/blobs/");
    (asks && is_there).then(|| Answer::new(307).header("Location", format!("/signed/{}", asked.name())))
}

/// Pushes twice, the second time as one who does not know what is there.
fn push_again(registry: &ScriptedRegistry) -> TestProject {
    let project = project(registry.host(), "files");
    let _ = project.run(&["push"]).success();
    let again = self::project(registry.host(), "files");
    again.write("new", "news");
    let _ = again.run(&["add", "new"]).success();
    let _ = again.run(&["push", "--tag", "next"]).success();
    again
}

#[test]
fn a_head_that_is_refused_where_blobs_lie_tells_nothing() {
    let registry = ScriptedRegistry::start(signs_for_get);
    let _ = push_again(&registry);
    assert!(registry.seen().iter().any(|asked| asked.header("range") == Some("bytes=0-0")));
    assert_eq!(registry.count("PUT", "/blobs/uploads/"), 2 + 1 + 2 + 1, "the large file is sent once");
}

#[test]
fn a_head_that_cannot_be_right_tells_nothing() {
    type Say = fn() -> Answer;
    let says: [Say; 5] = [
        || Answer::new(400),
        || Answer::new(405),
        || Answer::new(501),
        || Answer::new(200).header("Content-Length", "0"),
        || Answer::new(200).header("Content-Length", "7"),
    ];
    for say in says {
        let registry = ScriptedRegistry::start(move |asked, _| asked.is("HEAD", "/blobs/").then(say));
        let project = push_again(&registry);
        let from = format!("{}/t/x:next", registry.host());
        let to = format!("{}/t/z:next", registry.host());
        let _ = project.run(&["copy", &from, &to]).success();
    }
}

#[test]
fn what_refuses_a_blob_elsewhere_is_named() {
    let storage = ScriptedRegistry::start(|_, _| Some(Answer::new(403)));
    let leads = storage.host().to_owned();
    let registry = ScriptedRegistry::start(move |asked, _| {
        let location = format!("http://{leads}/bucket?signature=secret");
        (asked.is("GET", "/blobs/")).then(|| Answer::new(307).header("Location", location))
    });
    let _ = project(registry.host(), "files").run(&["push"]).success();
    let (_, output) = pull(&registry);
    let output = output.code(7);
    let (registry, storage) = (registry.host(), storage.host());
    let words = format!("{registry} leads to {storage}, which answered 403");
    assert!(output.stderr().contains(&words) && !output.stderr().contains("secret"), "{output}");
}

fn gzip(content: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(content).unwrap();
    encoder.finish().unwrap()
}

fn deflate(content: &[u8]) -> Vec<u8> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(content).unwrap();
    encoder.finish().unwrap()
}

#[test]
fn what_a_proxy_compresses_is_read_all_the_same() {
    type Pack = fn(&[u8]) -> Vec<u8>;
    for (encoding, pack) in [("gzip", gzip as Pack), ("deflate", deflate as Pack)] {
        for layout in ["files", "packed"] {
            let registry = ScriptedRegistry::start(move |asked, held| {
                let content = match &*asked.method {
                    "GET" if asked.path.ends_with("/tags/list") => {
                        format!(r#"{{"tags":["{}"]}}"#, held.tags().join("\",\"")).into_bytes()
                    }
                    "GET" => held.manifest(asked.name()).or_else(|| held.blob(asked.name()))?,
                    _ => return None,
                };
                Some(Answer::new(200).header("Content-Encoding", encoding).body(pack(&content)))
            });
            let project = project(registry.host(), layout);
            let _ = project.run(&["push"]).success();
            let _ = project.run(&["verify"]).success();
            assert!(project.run(&["manifest", "--tags-only"]).success().stdout().contains("latest"));
            let (fresh, output) = pull(&registry);
            let _ = output.success();
            assert_same_files(&project, &fresh);
        }
    }
}

#[test]
fn an_encoding_that_cannot_be_undone_names_the_proxy() {
    let registry = ScriptedRegistry::start(|asked, held| {
        let manifest = (asked.method == "GET").then(|| held.manifest(asked.name()))??;
        Some(Answer::new(200).header("Content-Encoding", "br").body(manifest))
    });
    let project = project(registry.host(), "files");
    let output = project.run(&["push"]).code(8);
    assert!(output.stderr().contains("`br`") && output.stderr().contains("proxy"), "{output}");
    assert!(!output.stderr().contains("tampered"), "{output}");
}

#[test]
fn what_grows_without_end_when_unpacked_is_given_up() {
    let bomb = Arc::new(gzip(&vec![b' '; 64 << 20]));
    let registry = ScriptedRegistry::start(move |asked, _| {
        let answer = Answer::new(200).header("Content-Encoding", "gzip").body(bomb.as_slice());
        asked.is("GET", "/manifests/").then_some(answer)
    });
    let (_, output) = pull(&registry);
    let output = output.code(8);
    assert!(output.stderr().contains("larger than"), "{output}");
}

#[test]
fn what_is_sent_follows_a_redirect_within_its_own_host() {
    for status in [307, 308] {
        for layout in ["files", "packed"] {
            let registry = ScriptedRegistry::start(move |asked, _| {
                let is_moved = asked.query.contains("moved=1");
                let sends = matches!(&*asked.method, "POST" | "PUT" | "PATCH" | "DELETE");
                let query = if asked.query.is_empty() { String::new() } else { format!("{}&", asked.query) };
                (sends && !is_moved)
                    .then(|| Answer::new(status).header("Location", format!("{}?{query}moved=1", asked.path)))
            });
            let project = project(registry.host(), layout);
            let _ = project.run(&["push"]).success();
            let (fresh, output) = pull(&registry);
            let _ = output.success();
            assert_same_files(&project, &fresh);
            let digest = registry.held().tag("latest").unwrap();
            let _ =
                project.run(&["delete", "--force", &format!("{}/t/x@{digest}", registry.host())]).success();
            assert!(registry.held().tags().is_empty());
        }
    }
}

#[test]
fn an_upload_is_relative_to_where_it_was_opened() {
    let registry =
        ScriptedRegistry::start(|asked, held| match (&*asked.method, asked.path.starts_with("/v2/")) {
            ("POST", true) => Some(Answer::new(307).header("Location", "/moved/blobs/uploads/")),
            ("POST", false) => {
                let opened = held.answer(asked);
                let name = format!("{opened:?}").split("uploads/").nth(1)?.split('"').next()?.to_owned();
                Some(Answer::new(202).header("Location", name))
            }
            _ => None,
        });
    let _ = project(registry.host(), "files").run(&["push"]).success();
    assert!(registry.count("PUT", "/moved/blobs/uploads/") > 0);
}

#[test]
fn what_is_sent_follows_nobody_elsewhere() {
    let elsewhere = ScriptedRegistry::start(|_, _| Some(Answer::new(202).header("Location", "/u")));
    for (status, target) in [
        (307, format!("http://{}/u?signature=secret", elsewhere.host())),
        (302, "/v2/t/x/blobs/uploads/elsewhere?signature=secret".to_owned()),
    ] {
        let location = target.clone();
        let registry = ScriptedRegistry::start(move |asked, _| {
            let location = location.clone();
            (asked.method == "POST").then(|| Answer::new(status).header("Location", location))
        });
        let output = project(registry.host(), "files").run(&["push"]).code(1);
        let shown = target.split('?').next().unwrap();
        assert!(output.stderr().contains(&format!("answered {status} and points to")), "{output}");
        assert!(output.stderr().contains(shown) && !output.stderr().contains("secret"), "{output}");
    }
    assert!(elsewhere.seen().is_empty());
}

#[test]
fn a_registry_that_does_not_know_of_its_own_tls_is_spoken_to_in_tls() {
    let authority = Authority::new();
    let certified = authority.certify(&["127.0.0.1"]);
    let registry = ScriptedRegistry::start_with_tls(&certified, |asked, held| {
        let own = format!("http://{}", asked.header("host").unwrap_or_default());
        if asked.path.ends_with("/tags/list") && !asked.query.contains("last=") {
            let link = format!("<{own}{}?last=latest>; rel=\"next\"", asked.path);
            return Some(Answer::new(200).header("Link", link).body(r#"{"tags":["latest"]}"#));
        }
        (asked.method == "POST").then(|| {
            let opened = format!("{:?}", held.answer(asked));
            let name = opened.split("uploads/").nth(1).and_then(|rest| rest.split('"').next());
            let path = format!("{own}{}{}", asked.path, name.unwrap_or_default());
            Answer::new(202).header("Location", path)
        })
    });
    let ca_file = authority.certificate().display().to_string();
    let project = TestProject::new();
    let run = |arguments: &[&str]| project.run(&[&["--ca-file", &ca_file][..], arguments].concat());
    let _ = run(&["init", "--ref", &format!("{}/t/x", registry.host())]).success();
    project.write("a", "1");
    let _ = run(&["add", "a"]).success();
    let _ = run(&["push"]).success();
    assert!(run(&["manifest", "--tags-only"]).success().stdout().contains("latest"));
}

#[test]
fn tls_is_left_for_nobody_else_and_the_cause_is_named() {
    let authority = Authority::new();
    let certified = authority.certify(&["127.0.0.1"]);
    let registry = ScriptedRegistry::start_with_tls(&certified, |asked, _| {
        let location = "http://inner.example:5000/v2/t/x/blobs/uploads/1?state=secret";
        (asked.method == "POST").then(|| Answer::new(202).header("Location", location))
    });
    let ca_file = authority.certificate().display().to_string();
    let project = TestProject::new();
    let run = |arguments: &[&str]| project.run(&[&["--ca-file", &ca_file][..], arguments].concat());
    let _ = run(&["init", "--ref", &format!("{}/t/x", registry.host())]).success();
    project.write("a", "1");
    let _ = run(&["add", "a"]).success();
    let output = run(&["push"]).code(1);
    assert!(output.stderr().contains("leads from https to http://inner.example:5000/"), "{output}");
    assert!(output.stderr().contains("X-Forwarded-Proto") && !output.stderr().contains("secret"), "{output}");
}

#[test]
fn a_drip_is_as_good_as_silence() {
    // Each piece comes in time, and all of them never.
    let pause = Duration::from_millis(300);
    for part in ["/manifests/", "/blobs/"] {
        let registry = ScriptedRegistry::start(move |asked, held| {
            let content = held.manifest(asked.name()).or_else(|| held.blob(asked.name()))?;
            (asked.is("GET", part)).then(|| Answer::new(200).body(content).dripping(1, pause))
        });
        let project = project(registry.host(), "files");
        registry.held().set_tag("other", "sha256:none");
        let push = ["push", "--timeout", "1", "--retries", "0"];
        let pushed = project.run(&push).success();
        let output = match part {
            "/manifests/" => {
                assert!(pushed.stderr().contains("could not be looked at again"), "{pushed}");
                project.run(&push)
            }
            _ => {
                let fresh = TestProject::new();
                let reference = format!("{}/t/x:latest", registry.host());
                fresh
                    .command(["pull", &reference, "--timeout", "1", "--retries", "0"])
                    .time_limit(Duration::from_secs(60))
                    .run()
            }
        };
        let output = output.code(7);
        assert!(output.stderr().contains("for 1 s"), "{output}");
    }
}

#[test]
fn what_comes_slowly_and_steadily_arrives() {
    let registry = ScriptedRegistry::start(|asked, held| {
        let blob = held.blob(asked.name()).filter(|_| asked.method == "GET")?;
        Some(Answer::new(200).body(blob).dripping(30_000, Duration::from_millis(300)))
    });
    let project = project(registry.host(), "files");
    let _ = project.run(&["push"]).success();
    let fresh = TestProject::new();
    let reference = format!("{}/t/x:latest", registry.host());
    let _ = fresh.run(&["pull", &reference, "--timeout", "1", "--retries", "0"]).success();
    assert_same_files(&project, &fresh);
}

#[test]
fn a_long_wait_is_told_and_not_waited_for() {
    for (asked_wait, words) in [("3600", "60 minutes"), ("1000000000", "11574 days")] {
        let registry = ScriptedRegistry::start(move |_, _| {
            Some(Answer::new(429).header("Retry-After", asked_wait).error("TOOMANYREQUESTS", "slow down"))
        });
        let (_, output) = pull(&registry);
        let output = output.code(7);
        assert!(output.stderr().contains(&format!("answered 429 and asks to wait {words}")), "{output}");
        assert_eq!(registry.seen().len(), 1);
    }
}

#[test]
fn a_short_wait_is_told_and_waited_for() {
    let asked_before = AtomicUsize::new(0);
    let registry = ScriptedRegistry::start(move |_, _| {
        let is_first = asked_before.fetch_add(1, Ordering::SeqCst) == 0;
        is_first.then(|| Answer::new(503).header("Retry-After", "2"))
    });
    let output = project(registry.host(), "files").run(&["push"]).success();
    assert!(output.stderr().contains("asks to wait 2 s"), "{output}");
}

#[test]
fn who_is_not_there_is_named_at_once() {
    let project = TestProject::new();
    // Nobody listens at a port that was free a moment ago.
    let host = ScriptedRegistry::start(|_, _| None).host().to_owned();
    let output = project.run(&["inspect", &format!("{host}/t/x:v1")]).code(7);
    assert!(output.stderr().contains(&format!("connection refused by {host}")), "{output}");
    let output = project.run(&["inspect", "registry.invalid/t/x:v1"]).code(7);
    assert!(output.stderr().contains("cannot find the host registry.invalid"), "{output}");
}

#[test]
fn an_answer_of_two_lengths_is_refused() {
    let registry = ScriptedRegistry::start(|asked, _| {
        let answer = Answer::new(200).header("Content-Length", "2").header("Transfer-Encoding", "chunked");
        asked.is("GET", "/manifests/").then(|| answer.body("2\r\n{}\r\n0\r\n\r\n"))
    });
    let (_, output) = pull(&registry);
    let output = output.code(1);
    assert!(output.stderr().contains("has a length and is chunked as well"), "{output}");
}

//! Everything that goes wrong between the program and a registry, against each registry and each login: what should arrive
//! arrives, or a clear error says that it did not, and nothing is lost either way.

#![expect(clippy::print_stdout, reason = "the table of cases is what these tests are read for")]

use std::sync::LazyLock;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use modelops_bundle_tests::{
    CommandOutput, Fault, Generation, Matching, ProtectedRegistry, Protection, Proxy, TestProject, noise,
};

const BLOB: &str = "/blobs/sha256";
const UPLOADS: &str = "/blobs/uploads/";
const MANIFESTS: &str = "/manifests/";

/// How large the file is that is on its way when something goes wrong.
const SIZE: usize = 3_000_000;

/// What it holds at first, and what it is changed to.
static CONTENTS: LazyLock<[Vec<u8>; 2]> = LazyLock::new(|| [1, 3].map(|seed| noise(seed, SIZE)));

/// How many cases run at the same time: much of what they do is waiting.
const LANES: usize = 6;

/// What goes wrong, and how it is to end.
struct Case {
    name: &'static str,
    faults: Vec<(Matching, Fault)>,
    end: End,
}

enum End {
    /// The right bytes arrive.
    Right,
    /// It fails with this exit code and says this.
    Fails(i32, &'static str),
}

fn right(name: &'static str, faults: Vec<(Matching, Fault)>) -> Case {
    Case { name, faults, end: End::Right }
}

fn fails(name: &'static str, code: i32, words: &'static str, faults: Vec<(Matching, Fault)>) -> Case {
    Case { name, faults, end: End::Fails(code, words) }
}

impl Case {
    /// Puts the faults between the program and a registry.
    fn proxy(&self, place: &ProtectedRegistry) -> Proxy {
        let proxy = place.proxy();
        for (matching, fault) in &self.faults {
            proxy.inject(matching.clone(), fault.clone());
        }
        proxy
    }

    /// Runs the program with little patience; what is to arrive may find this machine busy as well.
    fn run(&self, place: &ProtectedRegistry, project: &TestProject, command: [&str; 2]) -> CommandOutput {
        let retries = if matches!(self.end, End::Right) { "5" } else { "2" };
        let timeout = if self.waits() { "1" } else { "5" };
        place.run_as_user(project, &[&command[..], &["--timeout", timeout, "--retries", retries]].concat())
    }

    /// Whether it is about how long the program waits.
    fn waits(&self) -> bool {
        self.faults.iter().any(|(_, fault)| {
            matches!(
                fault,
                Fault::CloseLate(..)
                    | Fault::Delay(_)
                    | Fault::Slow(_)
                    | Fault::StallRequest(_)
                    | Fault::StallResponse(_)
            )
        })
    }

    /// Checks how the program ended; says it in one line.
    fn check(&self, direction: &str, place: &ProtectedRegistry, output: CommandOutput) {
        let (name, outcome) = match self.end {
            End::Right => (self.name, "arrived".to_owned()),
            End::Fails(code, _) => (self.name, format!("refused with exit code {code}")),
        };
        // As text, since what is derived takes no width.
        let (generation, login) = (format!("{:?}", place.generation), format!("{:?}", place.protection));
        println!("{direction:<4} | {name:<37} | {generation:<6} | {login:<8} | {outcome}");
        match self.end {
            End::Right => drop(output.success()),
            End::Fails(code, words) => {
                let output = output.code(code);
                assert!(output.stderr().contains(words), "{name}: {output}");
                assert!(output.stderr().contains("hint:"), "{name}: {output}");
            }
        }
    }
}

/// Carries out `check` for each registry and each of its cases, some at the same time.
fn on_each_registry(
    cases: impl Fn(Protection) -> Vec<Case>,
    check: impl Fn(&Case, &ProtectedRegistry, &str) + Sync,
) {
    let kinds =
        Generation::ALL.into_iter().flat_map(|generation| Protection::ALL.map(|kind| (generation, kind)));
    let places: Vec<_> = kinds
        .filter_map(|(generation, protection)| ProtectedRegistry::start(generation, protection))
        .collect();
    let mut jobs = Vec::new();
    for place in &places {
        jobs.extend(cases(place.protection).into_iter().enumerate().map(|(at, case)| (place, at, case)));
    }
    let (jobs, check, next) = (&jobs, &check, &AtomicUsize::new(0));
    thread::scope(|scope| {
        for _ in 0..LANES {
            scope.spawn(move || {
                while let Some((place, at, case)) = jobs.get(next.fetch_add(1, Ordering::Relaxed)) {
                    check(case, place, &format!("case{at}"));
                }
            });
        }
    });
}

/// A project with a large file that was pushed to `repository`.
fn pushed_project(place: &ProtectedRegistry, repository: &str) -> TestProject {
    let project = TestProject::on_registry(place.host(), repository);
    let _ = project.run(&["init", "--layout", "files"]).success();
    project.write("large", &CONTENTS[0]).write("small", "1");
    let _ = project.run(&["add", "large", "small"]).success();
    let _ = place.run_as_user(&project, &["push"]).success();
    project
}

/// What goes wrong while a file is sent.
fn upload_cases() -> Vec<Case> {
    let put = || Matching::new("PUT", UPLOADS);
    let post = || Matching::new("POST", UPLOADS);
    let patch = || Matching::new("PATCH", UPLOADS);
    let manifest = || Matching::new("PUT", MANIFESTS);
    let tag = || Matching::new("PUT", "/manifests/latest");
    let busy = |status| Fault::Answer(status, vec![]);
    vec![
        right("reset in mid-blob", vec![(put(), Fault::ResetRequest(2_500_000))]),
        right("hung up on in mid-blob", vec![(put(), Fault::CutRequest(2_500_000))]),
        right(
            "reset twice",
            vec![
                (put(), Fault::ResetRequest(2_300_000)),
                (put().nth(2), Fault::ResetRequest(2_300_000)),
                (patch(), Fault::ResetRequest(200_000)),
            ],
        ),
        right("stalled in mid-blob", vec![(put(), Fault::StallRequest(2_500_000))]),
        fails(
            "stalled each time",
            7,
            "nothing came",
            vec![
                (put().always(), Fault::StallRequest(2_500_000)),
                (patch().always(), Fault::StallRequest(0)),
            ],
        ),
        right("a slow line", vec![(put(), Fault::Slow(2_000_000))]),
        right("answered late", vec![(put(), Fault::Delay(Duration::from_millis(400)))]),
        right("429 with Retry-After", vec![(post(), Fault::Answer(429, vec![("Retry-After", "1")]))]),
        right("500 to the blob", vec![(put(), busy(500))]),
        right("502 to the blob", vec![(put(), busy(502))]),
        right("503 to everything, for a while", vec![(Matching::new("", "").times(3), busy(503))]),
        fails("503 for ever", 7, "503", vec![(put().always(), busy(503))]),
        fails("a page for an upload", 7, "registry", vec![(post(), Fault::Page)]),
        fails("a page for a blob", 7, "registry", vec![(put(), Fault::Page)]),
        fails("a page for a manifest", 7, "registry", vec![(manifest(), Fault::Page)]),
        fails(
            "another digest for the blob",
            8,
            "has the bytes of",
            vec![(put(), Fault::AnswerHeader("Docker-Content-Digest", OTHER_DIGEST))],
        ),
        fails(
            "another digest for the manifest",
            8,
            "has the bytes of",
            vec![(manifest(), Fault::AnswerHeader("Docker-Content-Digest", OTHER_DIGEST))],
        ),
        right("no answer to the opened upload", vec![(post(), Fault::LoseAnswer)]),
        right("no answer to the stored blob", vec![(put(), Fault::LoseAnswer)]),
        right("no answer to the stored manifest", vec![(manifest(), Fault::LoseAnswer)]),
        right("no answer to the moved tag", vec![(tag(), Fault::LoseAnswer)]),
        right("too large for one request", vec![(put(), busy(413))]),
        fails(
            "too large in any size",
            1,
            "413",
            vec![(put().always(), busy(413)), (patch().always(), busy(413))],
        ),
        right("forgets the upload", vec![(put(), busy(404))]),
        fails("forgets every upload", 6, "not there", vec![(put().always(), busy(404))]),
        right("416 to what is left", vec![(put(), Fault::ResetRequest(2_500_000)), (patch(), busy(416))]),
        right(
            "claims to have more than there is",
            vec![
                (put(), Fault::ResetRequest(2_500_000)),
                (Matching::new("GET", UPLOADS), Fault::Answer(204, vec![("Range", "0-999999999999")])),
            ],
        ),
        right(
            "claims to have what it has not",
            vec![
                (put(), Fault::ResetRequest(2_500_000)),
                (Matching::new("GET", UPLOADS), Fault::Answer(204, vec![("Range", "0-2799999")])),
            ],
        ),
        right(
            "cannot say how far it came",
            vec![(put(), Fault::ResetRequest(2_500_000)), (Matching::new("GET", UPLOADS), Fault::Page)],
        ),
    ]
}

const OTHER_DIGEST: &str = "sha256:0000000000000000000000000000000000000000000000000000000000000000";

#[test]
fn whatever_goes_wrong_a_push_arrives_or_changes_nothing() {
    on_each_registry(
        |_| upload_cases(),
        |case, place, repository| {
            let project = pushed_project(place, repository);
            let client = place.client(repository);
            let before = client.tag_digest(repository, "latest").unwrap();
            project.write("large", &CONTENTS[1]);
            let tree = project.tree();
            let proxy = case.proxy(place);
            let _ = project.run(&["init", "--ref", &format!("{}/{repository}", proxy.host())]).success();
            let output = case.run(place, &project, ["push", "--force"]);
            case.check("up", place, output);
            project.tree().assert_same(&tree);
            let address = format!("{}/{repository}", place.host());
            if let End::Fails(..) = case.end {
                assert_eq!(client.tag_digest(repository, "latest").unwrap(), before, "{}", case.name);
                // Nor is anything left that is in the way of the next push.
                let _ = project.run(&["init", "--ref", &address]).success();
                let _ = place.run_as_user(&project, &["push", "--force"]).success();
            }
            let second = TestProject::new();
            let _ = place.run_as_user(&second, &["pull", &format!("{address}:latest")]).success();
            second.tree().assert_same(&tree);
        },
    );
}

/// What goes wrong while a file is fetched.
fn download_cases(protection: Protection) -> Vec<Case> {
    let blob = || Matching::new("GET", BLOB);
    let manifest = || Matching::new("GET", MANIFESTS);
    // A private registry answers the first request of all with a challenge.
    let answered_manifest = || manifest().nth(if protection.is_private() { 2 } else { 1 });
    let busy = |status| Fault::Answer(status, vec![]);
    vec![
        right("reset in mid-blob", vec![(blob(), Fault::ResetResponse(1_200_000))]),
        right("hung up on in mid-blob", vec![(blob(), Fault::CutResponse(1_200_000))]),
        right("hung up on again and again", vec![(blob().times(4), Fault::CutResponse(600_000))]),
        fails("hung up on without a byte", 7, "cannot talk", vec![(blob().always(), Fault::CutResponse(0))]),
        right("closed late", vec![(blob(), Fault::CloseLate(1_200_000, Duration::from_millis(500)))]),
        right("stalled in mid-blob", vec![(blob(), Fault::StallResponse(1_200_000))]),
        fails("stalled each time", 7, "nothing came", vec![(blob().always(), Fault::StallResponse(10))]),
        right("a slow line", vec![(blob(), Fault::Slow(2_000_000))]),
        right("429 with Retry-After", vec![(blob(), Fault::Answer(429, vec![("Retry-After", "1")]))]),
        right("500, 502, then the blob", vec![(blob(), busy(500)), (blob().nth(2), busy(502))]),
        right("503 to the manifest", vec![(manifest(), busy(503))]),
        fails("503 for ever", 7, "503", vec![(blob().always(), busy(503))]),
        right("too short, and content with it", vec![(blob(), Fault::Truncate(1_200_000))]),
        fails(
            "always too short",
            8,
            "should have",
            vec![(blob(), Fault::Truncate(1_200_000)), (blob().nth(2).always(), Fault::Truncate(0))],
        ),
        fails("a page for a manifest", 7, "registry", vec![(manifest(), Fault::Page)]),
        fails("a page for a blob", 7, "registry", vec![(blob(), Fault::Page)]),
        fails(
            "another digest for the manifest",
            8,
            "should be",
            vec![(answered_manifest(), Fault::AnswerHeader("Docker-Content-Digest", OTHER_DIGEST))],
        ),
        right(
            "416 to what is left",
            vec![(blob(), Fault::CutResponse(1_200_000)), (blob().nth(2), busy(416))],
        ),
        fails(
            "416 for ever",
            8,
            "answered with",
            vec![(blob(), Fault::CutResponse(1_200_000)), (blob().nth(2).always(), busy(416))],
        ),
        right(
            "ranges ignored",
            vec![(blob(), Fault::CutResponse(1_200_000)), (blob().always(), Fault::Header("range", None))],
        ),
        right(
            "another range than asked for",
            vec![
                (blob(), Fault::CutResponse(1_200_000)),
                (blob().always(), Fault::Header("range", Some("bytes=0-9"))),
            ],
        ),
        right(
            "a range that is called another",
            vec![
                (blob(), Fault::CutResponse(1_200_000)),
                (blob(), Fault::AnswerHeader("Content-Range", "bytes 0-9/10")),
                (blob().nth(2), Fault::AnswerHeader("Content-Range", "bytes 0-9/10")),
            ],
        ),
        fails("a blob that is gone", 6, "not there", vec![(blob(), busy(404))]),
        fails(
            "nothing but redirects",
            1,
            "redirected",
            vec![(blob().always(), Fault::Answer(307, vec![("Location", "/v2/elsewhere/blobs/sha256:x")]))],
        ),
    ]
}

#[test]
fn whatever_goes_wrong_a_pull_is_whole_or_changes_nothing() {
    on_each_registry(download_cases, |case, place, repository| {
        let project = pushed_project(place, repository);
        let address = format!("{}/{repository}", place.host());
        let second = TestProject::new();
        let _ = place.run_as_user(&second, &["pull", &format!("{address}:latest")]).success();
        project.write("large", &CONTENTS[1]);
        let _ = place.run_as_user(&project, &["push"]).success();
        let proxy = case.proxy(place);
        let _ = second.run(&["init", "--ref", &format!("{}/{repository}", proxy.host())]).success();
        let before = second.tree();
        let output = case.run(place, &second, ["pull", "--overwrite"]);
        case.check("down", place, output);
        if let End::Fails(..) = case.end {
            second.tree().assert_same(&before);
            assert!(!second.exists(".modelops-bundle/staging"), "{}", case.name);
            let _ = second.run(&["init", "--ref", &address]).success();
            let _ = place.run_as_user(&second, &["pull", "--overwrite"]).success();
        }
        second.tree().assert_same(&project.tree());
    });
}

#[test]
fn a_blob_may_be_on_another_host_which_gets_no_login() {
    for generation in Generation::ALL {
        let Some(place) = ProtectedRegistry::start(generation, Protection::Open) else { continue };
        let project = pushed_project(&place, "p");
        let (proxy, store) = (place.proxy(), place.proxy());
        let manifest = place.registry.client().manifest("p", "latest").unwrap().json();
        let layers = manifest["layers"].as_array().unwrap();
        for layer in layers {
            let path = format!("/v2/p/blobs/{}", layer["digest"].as_str().unwrap());
            let location: &'static str = format!("http://{}{path}?sig=secret", store.host()).leak();
            let elsewhere = Fault::Answer(307, vec![("Location", location)]);
            proxy.inject(Matching::new("GET", &path).always(), elsewhere);
        }
        // What breaks there goes on there.
        let large = layers.iter().find(|layer| layer["size"] == SIZE).unwrap()["digest"].as_str().unwrap();
        store.inject(Matching::new("GET", large), Fault::CutResponse(1_200_000));
        let second = TestProject::new();
        let _ = second.run(&["pull", &format!("{}/p:latest", proxy.host())]).success();
        second.tree().assert_same(&project.tree());
        assert_eq!(store.seen().len(), layers.len() + 1);
        assert!(store.seen().iter().all(|seen| seen.header("authorization").is_none()));
    }
}

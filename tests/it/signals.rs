//! Ctrl-C, SIGTERM, SIGHUP and kill -9 at any instant: nothing is left beside what a command writes, words say how to go on,
//! and the same command, run again, does what it should have done.

use std::fs;
use std::io::Read as _;
use std::net::TcpListener;
use std::os::unix::fs::FileTypeExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use modelops_bundle_tests::{
    Answer, BundleCommand, CommandOutput, Registry, ScriptedRegistry, TestProject, bundle_binary, noise,
    tools,
};
use serde_json::json;

/// How often each kind of command is interrupted.
const RUNS: u32 = 8;

/// The same on a registry.
const RUNS_ON_REGISTRY: u32 = 3;

/// Signals, by the name that `kill` knows, and the exit code that each ends with.
const SIGNALS: [(&str, i32); 3] = [("INT", 130), ("TERM", 143), ("HUP", 129)];

/// A command as a user starts it: no signal is ignored, whatever runs the test.
fn command(home: &Path, folder: &Path, arguments: &[&str]) -> BundleCommand {
    let command = BundleCommand::of_program("env", home).arg("--default-signal=INT,TERM,HUP");
    command.arg(bundle_binary()).args(arguments).current_dir(folder)
}

fn signal(process: u32, name: &str) {
    // The process may have ended by itself.
    let _ = Command::new("kill").args([&format!("-{name}"), &process.to_string()]).output().unwrap();
}

/// Numbers that look random. A test prints where they begin, so that it can be run the same way again.
struct Dice(u64);

impl Dice {
    fn of_this_run() -> Self {
        let seed = std::env::var("MODELOPS_TEST_SEED").ok().and_then(|seed| seed.parse().ok());
        let now = || SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos() as u64;
        let seed = seed.unwrap_or_else(now);
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(1);
        u64::from_le_bytes(noise(self.0, 8).try_into().unwrap())
    }

    /// A moment in a run that takes `length`, or a little after it.
    fn moment(&mut self, length: Duration) -> Duration {
        length * (self.next() % 1100) as u32 / 1000
    }
}

/// Files and folders below `folder` that no finished command leaves.
fn left_below(folder: &Path) -> Vec<PathBuf> {
    let mut left = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        let Ok(entries) = fs::read_dir(&folder) else { continue };
        for entry in entries.map(Result::unwrap) {
            let name = entry.file_name().into_string().unwrap();
            let is_temporary = name.starts_with(".new-")
                || name.starts_with(".modelops-bundle-") && !name.ends_with("-lock")
                || ["staging", "newborn", "journal.json", "lock.json"].contains(&name.as_str());
            if is_temporary {
                left.push(entry.path());
            } else if entry.file_type().unwrap().is_dir() {
                folders.push(entry.path());
            }
        }
    }
    left
}

/// One kind of command that writes somewhere.
struct Kind<'a> {
    name: &'a str,
    arguments: Vec<String>,
    folder: PathBuf,
    /// Makes a run have something to do.
    prepare: Box<dyn Fn(u64) + 'a>,
    /// Whether the command did what it should.
    check: Box<dyn Fn() + 'a>,
    /// Whether all is as it was before, where the command did not succeed.
    is_undone: Box<dyn Fn() -> bool + 'a>,
}

/// A bundle of some MiB, and everything that is done with it.
struct Places {
    source: TestProject,
    base: PathBuf,
    /// Where the bundle is, without a tag.
    remote: String,
}

impl Places {
    fn in_layout(source: TestProject) -> Self {
        let remote = format!("oci:{}", source.home().join("layout").display());
        Self::new(source, remote)
    }

    fn new(source: TestProject, remote: String) -> Self {
        for file in 0..40 {
            source.write(&format!("d{}/f{file}", file % 5), noise(file, 200_000));
        }
        source.write("text", "text ".repeat(100_000));
        let _ = source.run(&["add", "--quiet", "."]).success();
        let _ = source.run(&["push", "--tag", "v1"]).success();
        let base = source.home().join("work");
        fs::create_dir(&base).unwrap();
        let places = Self { source, base, remote };
        let _ = places.run(&["export", &places.bundle(), "source.tar"]).success();
        places
    }

    fn bundle(&self) -> String {
        format!("{}:v1", self.remote)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.base.join(name)
    }

    fn run(&self, arguments: &[&str]) -> CommandOutput {
        command(self.source.home(), &self.base, arguments).run()
    }

    fn clear(&self, name: &str) {
        let path = self.path(name);
        let _ = fs::remove_dir_all(&path).or_else(|_| fs::remove_file(&path));
    }

    fn assert_same_files(&self, folder: &str) {
        for file in 0..40 {
            let path = format!("d{}/f{file}", file % 5);
            assert!(fs::read(self.path(folder).join(&path)).unwrap() == noise(file, 200_000), "{path}");
        }
    }

    /// A command that brings the bundle to something new in the folder of work.
    fn to_new<'a>(
        &'a self,
        name: &'a str,
        arguments: &[&str],
        made: &'a str,
        check: impl Fn(&Self) + 'a,
        absent: bool,
    ) -> Kind<'a> {
        Kind {
            name,
            arguments: arguments.iter().map(|argument| (*argument).to_owned()).collect(),
            folder: self.base.clone(),
            prepare: Box::new(move |_| self.clear(made)),
            check: Box::new(move || check(self)),
            is_undone: Box::new(move || !absent || !self.path(made).exists()),
        }
    }

    fn kinds(&self) -> Vec<Kind<'_>> {
        let bundle = self.bundle();
        let verify = |reference: &'static str| {
            move |places: &Self| {
                let _ = places.run(&["verify", reference]).success();
            }
        };
        let mut kinds = vec![
            self.to_new(
                "export",
                &["export", &bundle, "a.tar"],
                "a.tar",
                |places| {
                    let whole = fs::read(places.path("source.tar")).unwrap();
                    assert!(
                        fs::read(places.path("a.tar")).unwrap() == whole,
                        "an archive has the same bytes"
                    );
                },
                true,
            ),
            self.to_new(
                "export --files",
                &["export", "--files", &bundle, "b.tar"],
                "b.tar",
                |places| {
                    let listed = Command::new("tar").arg("-tf").arg(places.path("b.tar")).output().unwrap();
                    assert!(
                        listed.status.success() && String::from_utf8_lossy(&listed.stdout).contains("d0/f0")
                    );
                },
                true,
            ),
            self.to_new("copy", &["copy", &bundle, "oci:copy:v1"], "copy", verify("oci:copy:v1"), false),
            self.to_new(
                "import",
                &["import", "source.tar", "--to", "oci:in:v1"],
                "in",
                verify("oci:in:v1"),
                false,
            ),
            self.to_new(
                "import --dest",
                &["import", "source.tar", "--dest", "new"],
                "new",
                |places| {
                    places.assert_same_files("new");
                },
                true,
            ),
        ];
        kinds.push(self.first_pull());
        kinds.push(self.push());
        kinds
    }

    fn first_pull(&self) -> Kind<'_> {
        Kind {
            name: "first pull",
            arguments: vec!["-C".to_owned(), "p".to_owned(), "pull".to_owned(), self.bundle()],
            folder: self.base.clone(),
            prepare: Box::new(|_| {
                self.clear("p");
                fs::create_dir(self.path("p")).unwrap();
            }),
            check: Box::new(|| self.assert_same_files("p")),
            is_undone: Box::new(|| !self.path("p/.modelops-bundle").exists()),
        }
    }

    fn push(&self) -> Kind<'_> {
        Kind {
            name: "push",
            arguments: vec!["push".to_owned()],
            folder: self.source.path().to_owned(),
            prepare: Box::new(|seed| {
                self.source.write("news", noise(seed, 3_000_000));
                let _ = self.source.run(&["add", "--quiet", "news"]).success();
            }),
            check: Box::new(|| {
                let _ = self.source.run(&["verify"]).success();
                let status = self.source.run(&["status", "--json"]).success().json();
                assert_eq!(status["changes"].as_array().unwrap().len(), 0, "{status}");
            }),
            is_undone: Box::new(|| true),
        }
    }

    /// A pull of the bundle over an older one, in which every file of it is another and the last one is not there.
    fn pull_over(&self) -> Kind<'_> {
        let older = TestProject::new();
        let _ = older.run(&["init", "--ref", &self.remote]).success();
        for file in 0..40 {
            older.write(&format!("d{}/f{file}", file % 5), noise(file + 1000, 20_000));
        }
        let _ = older.run(&["add", "--quiet", "d*/*"]).success();
        let _ = older.run(&["push", "--tag", "v0"]).success();
        let is_older = move |folder: &Path| {
            let same = |file: u64| {
                let path = format!("d{}/f{file}", file % 5);
                fs::read(folder.join(&path)).unwrap() == fs::read(older.path().join(&path)).unwrap()
            };
            (0..40).all(same) && !folder.join("text").exists()
        };
        Kind {
            name: "pull over a project",
            arguments: vec!["-C".to_owned(), "q".to_owned(), "pull".to_owned(), self.bundle()],
            folder: self.base.clone(),
            prepare: Box::new(|_| {
                self.clear("q");
                fs::create_dir(self.path("q")).unwrap();
                let _ = self.run(&["-C", "q", "pull", &format!("{}:v0", self.remote)]).success();
            }),
            check: Box::new(|| self.assert_same_files("q")),
            is_undone: Box::new(move || is_older(&self.path("q"))),
        }
    }

    /// Two commands that bring a bundle that is not there yet from this machine to the registry of `host`.
    fn to_registry(&self, host: &str) -> [Kind<'_>; 2] {
        let [copied, imported] = [TestProject::on_layout(), TestProject::on_layout()];
        let layout = format!("oci:{}:latest", copied.home().join("layout").display());
        let archive = imported.home().join("news.tar").display().to_string();
        let kind = |name, arguments: [&str; 3], news: TestProject, archive: Option<String>| Kind {
            name,
            arguments: arguments.into_iter().chain(["--force"]).map(str::to_owned).collect(),
            folder: self.base.clone(),
            check: {
                let (reference, layout) =
                    (arguments[2].trim_start_matches("--to=").to_owned(), news.home().join("layout"));
                Box::new(move || {
                    let _ = self.run(&["verify", &reference]).success();
                    let digest = |reference: &str| {
                        self.run(&["inspect", reference, "--json"]).success().json()["digest"].clone()
                    };
                    assert_eq!(digest(&reference), digest(&format!("oci:{}:latest", layout.display())));
                })
            },
            prepare: Box::new(move |seed| {
                for file in 0..10 {
                    news.write(&format!("f{file}"), noise(seed + file, 300_000));
                }
                let _ = news.run(&["add", "--quiet", "."]).success();
                let _ = news.run(&["push"]).success();
                if let Some(archive) = &archive {
                    let _ = news.run(&["export", archive, "--force"]).success();
                }
            }),
            is_undone: Box::new(|| true),
        };
        let (copy, import) = (format!("{host}/copy:v1"), format!("{host}/import:v1"));
        [
            kind("copy", ["copy", &layout, &copy], copied, None),
            kind("import", ["import", &archive, &format!("--to={import}")], imported, Some(archive.clone())),
        ]
    }

    /// Everything that asks a registry, with the one of `host`.
    fn kinds_on(&self, host: &str) -> Vec<Kind<'_>> {
        let bundle = self.bundle();
        let same_archive = |places: &Self| {
            let whole = fs::read(places.path("source.tar")).unwrap();
            assert!(fs::read(places.path("a.tar")).unwrap() == whole);
        };
        let export = self.to_new("export", &["export", &bundle, "a.tar"], "a.tar", same_archive, true);
        let from_here = [self.push(), self.first_pull(), self.pull_over(), export];
        from_here.into_iter().chain(self.to_registry(host)).collect()
    }
}

/// Runs each kind of command again and again, ends it with `end` at some instant, and gives what is left and how it ended to
/// `look`; says how many were hit.
fn interrupt(
    places: &Places,
    (kinds, runs_of_each): (Vec<Kind<'_>>, u32),
    dice: &mut Dice,
    end: impl Fn(u32, u32),
    look: impl Fn(&Kind<'_>, u32, &CommandOutput),
) -> (u32, u32) {
    let (mut hit, mut runs) = (0, 0);
    for kind in kinds {
        let arguments: Vec<&str> = kind.arguments.iter().map(String::as_str).collect();
        let start = || command(places.source.home(), &kind.folder, &arguments);
        // The first run has more to do than the others.
        let mut undisturbed = Duration::ZERO;
        for _ in 0..2 {
            (kind.prepare)(dice.next());
            let mut running = start().spawn();
            wait_until(|| is_listening(running.id()) || running.has_ended());
            let began = Instant::now();
            let _ = running.wait().success();
            undisturbed = began.elapsed();
        }
        for run in 0..runs_of_each {
            (kind.prepare)(dice.next());
            let mut running = start().spawn();
            // Before that, the program has not begun with anything.
            wait_until(|| is_listening(running.id()) || running.has_ended());
            let at = Instant::now() + dice.moment(undisturbed);
            while !running.has_ended() && Instant::now() < at {
                thread::sleep(Duration::from_millis(1));
            }
            end(running.id(), run);
            let output = running.wait();
            runs += 1;
            look(&kind, run, &output);
            if output.exit_code() != Some(0) {
                hit += 1;
                let _ = start().run().success();
            }
            (kind.check)();
            let left = left_below(places.source.home().parent().unwrap());
            assert!(left.is_empty(), "{} was run again, and left {left:?}\n{output}", kind.name);
        }
    }
    (hit, runs)
}

/// What a signal that can be caught leaves.
fn assert_ended_well(places: &Places, kind: &Kind<'_>, run: u32, output: &CommandOutput) {
    let expected = SIGNALS[run as usize % SIGNALS.len()].1;
    let left = left_below(places.source.home().parent().unwrap());
    assert!(left.is_empty(), "{} left {left:?}\n{output}", kind.name);
    if output.exit_code() == Some(0) {
        return;
    }
    assert_eq!(output.exit_code(), Some(expected), "{}\n{output}", kind.name);
    let words = output.stderr();
    assert!(words.contains("was stopped") && words.contains("hint: "), "{}\n{output}", kind.name);
    // A signal that comes after the last step finds all of it done; there is nothing between that and nothing.
    if !(kind.is_undone)() {
        (kind.check)();
    }
}

#[test]
fn an_interrupted_command_leaves_nothing_and_can_be_repeated() {
    for source in [TestProject::on_layout(), TestProject::packed_on_layout()] {
        let places = Places::in_layout(source);
        let mut dice = Dice::of_this_run();
        println!("interrupted: MODELOPS_TEST_SEED={}", dice.0);
        let end = |process, run: u32| signal(process, SIGNALS[run as usize % SIGNALS.len()].0);
        let look =
            |kind: &Kind<'_>, run, output: &CommandOutput| assert_ended_well(&places, kind, run, output);
        let (hit, runs) = interrupt(&places, (places.kinds(), RUNS), &mut dice, end, look);
        println!("interrupted {hit} of {runs} runs");
        assert!(hit > runs / 4, "most signals must hit a running command");
    }
}

#[test]
fn what_a_killed_command_leaves_is_cleared_by_the_next_one() {
    for source in [TestProject::on_layout(), TestProject::packed_on_layout()] {
        let places = Places::in_layout(source);
        let mut dice = Dice::of_this_run();
        println!("killed: MODELOPS_TEST_SEED={}", dice.0);
        let (hit, runs) = interrupt(
            &places,
            (places.kinds(), RUNS),
            &mut dice,
            |process, _| signal(process, "KILL"),
            |_, _, _| (),
        );
        println!("killed {hit} of {runs} runs");
        assert!(hit > runs / 4, "most signals must hit a running command");
    }
}

#[test]
fn a_command_that_is_interrupted_at_a_registry_leaves_nothing_and_can_be_repeated() {
    let Some(registry) = Registry::get() else { return };
    for (layout, signals) in [("files", &SIGNALS[..]), ("packed", &[("KILL", 137)])] {
        let remote = format!("{}/{layout}", registry.host());
        let source = TestProject::on_registry(registry.host(), layout);
        let _ = source.run(&["init", "--layout", layout]).success();
        let places = Places::new(source, remote);
        let mut dice = Dice::of_this_run();
        println!("interrupted at a registry: MODELOPS_TEST_SEED={}", dice.0);
        let kinds = (places.kinds_on(registry.host()), RUNS_ON_REGISTRY);
        let end = |process, run: u32| signal(process, signals[run as usize % signals.len()].0);
        let look = |kind: &Kind<'_>, run, output: &CommandOutput| {
            if signals == SIGNALS {
                assert_ended_well(&places, kind, run, output);
            }
        };
        let (hit, runs) = interrupt(&places, kinds, &mut dice, end, look);
        println!("interrupted {hit} of {runs} runs by {signals:?}");
        assert!(hit > runs / 4, "most signals must hit a running command");
    }
}

/// A server that takes connections and never answers.
fn silent_server() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let host = listener.local_addr().unwrap().to_string();
    thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            thread::spawn(move || _ = stream.read_to_end(&mut Vec::new()));
        }
    });
    host
}

/// Waits until `is_so`, for as long as anything may take.
fn wait_until(mut is_so: impl FnMut() -> bool) {
    let until = Instant::now() + Duration::from_secs(60);
    while !is_so() {
        assert!(Instant::now() < until, "it never came to this");
        thread::sleep(Duration::from_millis(5));
    }
}

/// Whether a process catches SIGTERM by now.
fn is_listening(process: u32) -> bool {
    let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigCgt:")).unwrap_or("0");
    u64::from_str_radix(mask.trim(), 16).unwrap() >> 14 & 1 == 1
}

#[test]
fn a_wait_for_the_network_ends_with_a_signal() {
    let project = TestProject::new();
    let reference = format!("{}/a/b:v1", silent_server());
    for ((name, code), json) in SIGNALS.into_iter().zip([false, true, false]) {
        let mut arguments = vec!["status", "--timeout", "600"];
        if json {
            arguments.push("--json");
        }
        let _ = project.run(&["init", "--ref", &reference]).success();
        let running = command(project.home(), project.path(), &arguments).spawn();
        wait_until(|| is_listening(running.id()));
        thread::sleep(Duration::from_millis(100));
        signal(running.id(), name);
        let output = running.wait().code(code);
        if json {
            let error = &output.json()["error"];
            assert_eq!((&error["code"], &error["kind"]), (&143.into(), &"terminated".into()), "{error}");
            assert!(error["hint"].as_str().is_some_and(|hint| hint.contains("again")));
        } else {
            assert!(output.stderr().contains("status was stopped"), "{output}");
        }
    }
}

#[test]
fn a_second_command_says_whom_it_waits_for_and_can_be_stopped() {
    let project = TestProject::new();
    let _ = project.run(&["init", "--ref", &format!("{}/a/b:v1", silent_server())]).success();
    project.write("a", "a");
    let _ = project.run(&["add", "a"]).success();
    let mut first = command(project.home(), project.path(), &["push", "--timeout", "600"]).spawn();
    wait_until(|| project.exists(".modelops-bundle/lock.json"));
    let waits_for = format!("waiting for `push` (process {}) to finish", first.id());

    let late = command(project.home(), project.path(), &["add", "a"]).run().code(1);
    assert!(late.stderr().starts_with(&waits_for), "{late}");
    assert!(late.stderr().contains("error: the project is in use by `push`"), "{late}");

    let second = command(project.home(), project.path(), &["remove", "a"]).spawn();
    wait_until(|| is_listening(second.id()));
    thread::sleep(Duration::from_millis(100));
    signal(second.id(), "INT");
    let second = second.wait().code(130);
    assert!(second.stderr().contains("remove was stopped"), "{second}");
    assert!(!first.has_ended());
    signal(first.id(), "TERM");
    let _ = first.wait().code(143);
}

#[test]
fn who_waits_for_a_layout_says_for_whom() {
    let project = TestProject::on_layout();
    project.write("a", "a");
    let _ = project.run(&["add", "a"]).success();
    let _ = project.run(&["push"]).success();
    let lock = project.home().join("layout/.modelops-bundle-lock");
    let held = fs::OpenOptions::new().append(true).open(&lock).unwrap();
    held.lock().unwrap();
    let words =
        format!("waiting for process {} to finish, which holds {}", std::process::id(), lock.display());
    for arguments in [&["tag", "latest", "v1"][..], &["delete", "latest"], &["copy", "latest", ":v2"]] {
        let waiting = command(project.home(), project.path(), arguments).spawn();
        thread::sleep(Duration::from_secs(2));
        signal(waiting.id(), "INT");
        let output = waiting.wait().code(130);
        assert!(output.stderr().starts_with(&words), "{output}");
    }
    let waiting = command(project.home(), project.path(), &["tag", "latest", "v1"]).spawn();
    thread::sleep(Duration::from_secs(1));
    held.unlock().unwrap();
    let output = waiting.wait().success();
    assert!(output.stderr().starts_with(&words), "{output}");
}

#[test]
fn a_signal_is_answered_in_words_where_nobody_reads_the_document() {
    let project = TestProject::on_layout();
    for at in 0..3000 {
        project.write(&format!("data/a-file-with-a-long-name-{at}"), "");
    }
    let _ = project.run(&["add", "data"]).success();
    let _ = project.run(&["push"]).success();
    let (reader, writer) = std::io::pipe().unwrap();
    let child = Command::new("env")
        .arg("--default-signal=INT,TERM,HUP")
        .arg(bundle_binary())
        .args(["inspect", "--files", "--json"])
        .current_dir(project.path())
        .env("HOME", project.home())
        .stdout(writer)
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    thread::sleep(Duration::from_secs(4));
    signal(child.id(), "INT");
    let output = child.wait_with_output().unwrap();
    let words = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(130), "{words}");
    assert!(words.starts_with("error: inspect was stopped: it was interrupted\nhint: "), "{words}");
    drop(reader);
}

#[test]
fn a_first_copy_that_is_interrupted_or_fails_leaves_no_layout() {
    let project = TestProject::on_layout();
    let target = project.home().join("new/layout");
    let to = format!("oci:{}:v1", target.display());
    project.write("big", noise(1, 400_000));
    let _ = project.run(&["add", "big"]).success();
    let _ = project.run(&["push"]).success();
    let limited = BundleCommand::of_program("prlimit", project.home())
        .arg("--fsize=64")
        .arg(bundle_binary())
        .args(["copy", "latest", &to])
        .current_dir(project.path());
    let _ = limited.run().code(1);
    assert!(!project.home().join("new").exists());
    let _ = project.run(&["copy", "latest", &to]).success();
    let _ = project.run(&["verify", &to]).success();
}

#[test]
fn an_ignored_signal_stays_ignored() {
    let project = TestProject::new();
    let reference = format!("{}/a/b:v1", silent_server());
    let _ = project.run(&["init", "--ref", &reference]).success();
    let ignoring = BundleCommand::of_program("env", project.home())
        .args(["--default-signal=TERM", "--ignore-signal=HUP,INT"])
        .arg(bundle_binary())
        .args(["status", "--timeout", "600"])
        .current_dir(project.path());
    let mut running = ignoring.spawn();
    wait_until(|| is_listening(running.id()));
    for name in ["HUP", "INT"] {
        signal(running.id(), name);
    }
    thread::sleep(Duration::from_secs(2));
    assert!(!running.has_ended(), "as under nohup, and in the background of a script");
    signal(running.id(), "TERM");
    let _ = running.wait().code(143);
}

#[test]
fn a_push_that_is_stopped_names_the_tags_that_it_has_written() {
    for bump in [true, false] {
        // What comes after the first tag is never answered: the write of the next one, or the look back.
        let written = AtomicBool::new(false);
        let registry = ScriptedRegistry::start(move |asked, held| {
            let is_latest = asked.path.ends_with("/manifests/latest");
            let is_write = is_latest && asked.method == "PUT";
            if bump && is_write || is_latest && written.load(Ordering::SeqCst) {
                thread::sleep(Duration::from_secs(60));
            }
            if is_write {
                drop(held.answer(asked));
                written.store(true, Ordering::SeqCst);
                return Some(Answer::new(201));
            }
            None
        });
        let project = TestProject::on_registry(registry.host(), "t/x");
        project.write("a", "1");
        let _ = project.run(&["add", "a"]).success();
        let first = if bump { "0.1.0" } else { "latest" };
        for json in [false, true] {
            registry.held().drop_tag(first);
            let arguments: &[&str] = if bump { &["push", "--bump", "minor"] } else { &["push"] };
            let running =
                command(project.home(), project.path(), arguments).args(json.then_some("--json")).spawn();
            wait_until(|| registry.held().tag(first).is_some());
            thread::sleep(Duration::from_millis(700));
            signal(running.id(), "INT");
            let output = running.wait().code(130);
            if json {
                assert_eq!(output.json()["error"]["tags_written"], json!([first]), "{output}");
            } else {
                assert!(output.stderr().contains(&format!("{first} names the bundle already")), "{output}");
            }
            if !bump {
                break;
            }
        }
    }
}

#[test]
fn a_second_signal_ends_a_command_on_the_spot() {
    let project = TestProject::new();
    let reference = format!("{}/a/b:v1", silent_server());
    let _ = project.run(&["init", "--ref", &reference]).success();
    let mut running = command(project.home(), project.path(), &["status", "--timeout", "600"]).spawn();
    wait_until(|| is_listening(running.id()));
    while !running.has_ended() {
        signal(running.id(), "INT");
    }
    let output = running.wait().code(130);
    assert_eq!(output.stderr().matches("was stopped").count(), 1, "{output}");
}

#[test]
#[cfg(target_os = "linux")]
fn a_terminal_shows_again_what_is_typed_when_a_login_is_ended() {
    let Some(python) = tools::require(&tools::PYTHON) else { return };
    let project = TestProject::new();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("terminal/password.py");
    for (how, code) in [("key", 130), ("key", 130), ("SIGINT", 130), ("SIGTERM", 143), ("SIGHUP", 129)] {
        let ended = BundleCommand::of_program(&python, project.home())
            .arg(&script)
            .args([how, "env", "--default-signal=INT,TERM,HUP"])
            .arg(bundle_binary())
            .args(["login", "registry.invalid", "-u", "me"])
            .run()
            .success()
            .json();
        assert_eq!(
            (&ended["exit"], &ended["shows_typing"]),
            (&json!(code), &json!([true, false, true])),
            "{ended}"
        );
        let shown = ended["shown"].as_str().unwrap();
        assert!(shown.contains("login was stopped") && !shown.contains("sec"), "{how}: {shown}");
    }
}

#[test]
fn devices_and_links_are_never_replaced_by_what_a_command_writes() {
    let project = TestProject::on_layout();
    project.write("a", "a");
    let _ = project.run(&["add", "a"]).success();
    let _ = project.run(&["push"]).success();
    let at = |name: &str| project.path().join(name);
    fs::create_dir(at("disk")).unwrap();
    let link = |target: &str, name: &str| std::os::unix::fs::symlink(target, at(name)).unwrap();
    link("disk/out.tar", "out");
    link("/dev/null", "null");
    link("/dev/stdout", "stdout");
    link("/proc/self/fd/1", "fd");
    let pipe = Command::new("mkfifo").arg(at("pipe")).status().unwrap();
    assert!(pipe.success());
    for write in [&["export"][..], &["export", "--files"], &["core", "extract"]] {
        for refused in ["null", "stdout", "fd", "pipe", "disk", "/dev/stdout", "/dev/null"] {
            let output = project.run(&[write, &[refused]].concat()).code(1);
            assert!(output.stderr().contains("only a file can be written"), "{output}");
        }
        let _ = project.run(&[write, &["out"]].concat()).success();
        assert!(at("out").is_symlink() && at("disk/out.tar").metadata().unwrap().is_file());
        fs::remove_file(at("disk/out.tar")).unwrap();
    }
    assert!(at("pipe").metadata().unwrap().file_type().is_fifo());
    assert!(["null", "stdout", "fd"].iter().all(|name| at(name).is_symlink()));
    assert!(!Path::new("/dev/null").metadata().unwrap().is_file());
}

#[test]
fn a_file_that_is_there_is_replaced_only_with_force() {
    let project = TestProject::on_layout();
    project.write("a", "mine").write("b.tar", "mine");
    let _ = project.run(&["add", "a"]).success();
    let _ = project.run(&["push"]).success();
    for write in [&["export"][..], &["export", "--files"], &["core", "extract"]] {
        for file in ["a", "b.tar"] {
            let output = project.run(&[write, &[file]].concat()).code(3);
            assert!(output.stderr().contains("--force"), "{output}");
            assert_eq!(project.read_text(file), "mine");
        }
        let _ = project.run(&[write, &["b.tar", "--force"]].concat()).success();
        assert_ne!(project.read("b.tar"), b"mine");
        project.write("b.tar", "mine");
    }
    // The same bytes again are no loss.
    for _ in 0..2 {
        let _ = project.run(&["export", "new.tar"]).success();
        let _ = project.run(&["export", "--files", "files.tar"]).success();
        let _ = project.run(&["core", "extract", "core.wasm"]).success();
    }
    let same_size = vec![b'x'; project.read("files.tar").len()];
    project.write("files.tar", &same_size);
    let _ = project.run(&["export", "--files", "files.tar"]).code(3);
    assert_eq!(project.read("files.tar"), same_size);
    project.write("a", "changed");
    let _ = project.run(&["push"]).success();
    let _ = project.run(&["export", "new.tar"]).code(3);
}

#[test]
fn a_first_pull_that_fails_or_is_only_planned_leaves_nothing() {
    let source = TestProject::on_layout();
    source.write("a", "a").write("x", "x");
    let _ = source.run(&["add", "."]).success();
    let _ = source.run(&["push"]).success();
    let reference = format!("oci:{}:latest", source.home().join("layout").display());
    let _ = source.run(&["export", "../bundle.tar"]).success();
    let archive = source.path().with_file_name("bundle.tar");
    let archive = archive.to_str().unwrap();

    let there = TestProject::new();
    let import = |dest: &'static str| ["import", archive, "--dest", dest];
    let dry = there.run(&["pull", "-n", &reference, "--json"]).success().json();
    assert_eq!(dry["written"].as_array().unwrap().len(), 3, "{dry}");
    let _ = there.run(&[&import("new")[..], &["-n"]].concat()).success();
    assert_eq!(fs::read_dir(there.path()).unwrap().count(), 0);

    there.write("x", "mine").write(".gitignore", "*.o\n");
    let before = there.tree();
    let blocked = there.run(&["pull", &reference]).code(3);
    assert!(blocked.stderr().contains("nothing was changed"), "{blocked}");
    let _ = there.run(&["pull", "-n", &reference]).code(3);
    let _ = there.run(&import(".")).code(3);
    assert!(!there.exists(".modelops-bundle"));
    there.tree().assert_same(&before);

    // A blob that is gone is found when files are fetched.
    let blobs = source.home().join("layout/blobs/sha256");
    for blob in fs::read_dir(&blobs).unwrap().map(|blob| blob.unwrap().path()) {
        if fs::read(&blob).unwrap() == b"a" {
            fs::remove_file(blob).unwrap();
        }
    }
    there.remove("x").remove(".gitignore");
    let _ = there.run(&["pull", &reference]).code_among(&[6, 8]);
    assert_eq!(fs::read_dir(there.path()).unwrap().count(), 0);
    fs::create_dir(there.path().join("sub")).unwrap();
    let _ = there.run(&["-C", "sub", "status"]).code(6);
}

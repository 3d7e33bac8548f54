//! Progress: bars on a terminal, lines elsewhere, and nothing where nobody wants it.

use std::fs;
use std::path::Path;
use std::time::Duration;

use modelops_bundle_tests::{
    BundleCommand, Fault, Matching, Proxy, Registry, TestProject, bundle_binary, noise, tools,
};
use serde_json::Value;

const MIB: usize = 1 << 20;

/// Runs the program in a terminal that becomes narrower on the way.
fn in_a_terminal(python: &Path, project: &TestProject, arguments: &[&str]) -> Value {
    typing(python, project, &["run.py"], arguments)
}

/// Runs the program in a terminal where Ctrl-C is pressed once it shows `text`.
fn interrupted(python: &Path, project: &TestProject, text: &str, arguments: &[&str]) -> Value {
    typing(python, project, &["interrupt.py", text], arguments)
}

/// Has the project track the file `large` of so many bytes: mostly a hole, for what counts is that to read it takes longer than
/// it takes bars to appear.
#[cfg(target_os = "linux")]
fn track_hole(project: &TestProject, bytes: u64) {
    project.write("large", noise(1, MIB));
    let large = fs::File::options().write(true).open(project.path().join("large")).unwrap();
    large.set_len(bytes).unwrap();
    let _ = project.run(&["add", "large"]).success();
}

fn typing(python: &Path, project: &TestProject, script: &[&str], arguments: &[&str]) -> Value {
    let (name, options) = script.split_first().unwrap();
    BundleCommand::of_program(python, project.home())
        .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("terminal").join(name))
        .args(options)
        .arg(bundle_binary())
        .args(arguments)
        .env("TERM", "xterm")
        .env("MODELOPS_BUNDLE_PROGRESS", "auto")
        .current_dir(project.path())
        .run()
        .success()
        .json()
}

#[test]
#[cfg(target_os = "linux")]
fn a_terminal_shows_bars_and_then_the_result() {
    let Some(python) = tools::require(&tools::PYTHON) else { return };
    let project = TestProject::packed_on_layout();
    track_hole(&project, 512 << 20);
    let pushed = in_a_terminal(&python, &project, &["push"]);
    let shown = pushed["shown"].as_str().unwrap();
    assert_eq!(pushed["exit"], 0, "{shown}");
    assert!(shown.contains("reading") && shown.contains("of 512.0 MiB"), "{shown}");
    // The bars are gone when the result comes.
    let result = shown.rsplit("\u{1b}[J\r").next().unwrap();
    assert!(result.contains("Pushed to") && !result.contains("reading"), "{result:?}");

    for quiet in [&["--quiet"][..], &["--progress", "none"], &["--progress", "plain"]] {
        fs::remove_dir_all(project.path().join(".modelops-bundle/cache")).unwrap();
        let status = in_a_terminal(&python, &project, &[&["status", "--offline"], quiet].concat());
        assert_eq!(status["exit"], 0);
        assert!(!status["shown"].as_str().unwrap().contains("reading"), "{status}");
    }
}

#[test]
fn elsewhere_a_line_comes_now_and_then() {
    let Some(registry) = Registry::get() else { return };
    let proxy = Proxy::start(registry.host());
    let project = TestProject::on_registry(proxy.host(), "p");
    project.write("a", noise(1, MIB)).write("b", noise(2, MIB));
    let _ = project.run(&["add", "a", "b"]).success();
    // Long enough for a line; what comes after it makes one.
    proxy.inject(Matching::new("PUT", "/blobs/uploads/"), Fault::Delay(Duration::from_millis(5500)));
    let run = project.command(["push", "--concurrency", "1"]).env("MODELOPS_BUNDLE_PROGRESS", "auto").run();
    let run = run.success();
    let said = run.stderr();
    assert!(said.contains("sending: ") && said.contains(" of 2.0 MiB"), "{said}");
    assert!(!said.contains('\u{1b}') && !said.contains('\r'), "{said:?}");
}

#[test]
#[cfg(target_os = "linux")]
fn after_ctrl_c_the_error_begins_on_a_line_of_its_own() {
    let Some(python) = tools::require(&tools::PYTHON) else { return };
    let project = TestProject::on_layout();
    let stopped = interrupted(&python, &project, "User for", &["login", "127.0.0.1:1"]);
    let shown = stopped["shown"].as_str().unwrap();
    assert_eq!(stopped["exit"], 130, "{shown}");
    assert!(shown.contains("\nerror: login was stopped"), "{shown:?}");
}

#[test]
#[cfg(target_os = "linux")]
fn after_ctrl_c_no_bar_is_left() {
    let Some(python) = tools::require(&tools::PYTHON) else { return };
    let project = TestProject::packed_on_layout();
    track_hole(&project, 4096 << 20);
    let stopped = interrupted(&python, &project, "reading", &["push"]);
    let shown = stopped["shown"].as_str().unwrap();
    assert_eq!(stopped["exit"], 130, "{shown}");
    let words = shown.rsplit("\u{1b}[J\r").next().unwrap();
    assert!(words.starts_with("error: push was stopped"), "{words:?}");
}

#[test]
fn a_verification_knows_its_total_from_the_start() {
    let Some(registry) = Registry::get() else { return };
    let proxy = Proxy::start(registry.host());
    let project = TestProject::packed_on_registry(proxy.host(), "p");
    for at in 1..4 {
        project.write(&format!("f{at}"), noise(at, MIB));
        let _ = project.push_everything();
    }
    // The tables come by ranges too; each pack then as a whole, one after the other.
    let slow = Matching::new("GET", "/blobs/sha256").times(100);
    proxy.inject(slow, Fault::Slow(400 << 10));
    let run = project.run(&["verify", "--concurrency", "1", "--progress", "plain"]).success();
    let said = run.stderr();
    let line = said.lines().find(|line| line.starts_with("receiving: ")).unwrap();
    assert!(line.contains(" of 3.0 MiB, ") && line.ends_with(" s left"), "{said}");
}

#[test]
fn what_is_tried_again_is_told_once() {
    let Some(registry) = Registry::get() else { return };
    let proxy = Proxy::start(registry.host());
    let project = TestProject::on_registry(proxy.host(), "p");
    project.write("a", noise(1, MIB)).write("b", noise(2, MIB));
    let _ = project.push_everything();
    let told = |options: &[&str]| {
        proxy.inject(Matching::new("GET", "/blobs/sha256").times(4), Fault::CutResponse(100));
        let run = project.run(&[&["verify"], options].concat()).success();
        run.stderr().matches("; it is tried again in 0.").count()
    };
    assert_eq!(told(&["--progress", "plain"]), 1);
    assert_eq!(told(&["--quiet"]), 0);
}

#[test]
fn a_push_that_the_network_ends_says_how_to_go_on() {
    let Some(registry) = Registry::get() else { return };
    let proxy = Proxy::start(registry.host());
    for project in
        [TestProject::on_registry(proxy.host(), "p"), TestProject::packed_on_registry(proxy.host(), "q")]
    {
        project.write("a", noise(1, MIB));
        let _ = project.run(&["add", "a"]).success();
        proxy.inject(Matching::new("", "/blobs/uploads/").times(100), Fault::ResetRequest(0));
        let run = project.run(&["push", "--retries", "0"]).code(7);
        assert!(run.stderr().contains("then push again to go on: what the remote has by now"), "{run}");
    }
}

#[test]
#[cfg(unix)]
fn a_pipe_that_nobody_reads_breaks_nothing() {
    let project = TestProject::on_layout();
    project.write("a", noise(1, 3 * MIB));
    let _ = project.run(&["add", "a"]).success();
    let script =
        format!("('{}' push --progress plain; echo $? > ../exit) 2>&1 | true", bundle_binary().display());
    let _ = BundleCommand::of_program("/bin/sh", project.home())
        .args(["-c", &script])
        .current_dir(project.path())
        .run()
        .success();
    assert_eq!(fs::read_to_string(project.path().join("../exit")).unwrap(), "0\n");
    let _ = project.run(&["push", "--json"]).success();
}

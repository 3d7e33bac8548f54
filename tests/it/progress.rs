//! Progress: bars on a terminal, lines elsewhere, and nothing where nobody wants it.

use std::fs;
use std::path::Path;
use std::time::Duration;

use modelops_bundle_tests::{
    BundleCommand, Fault, Matching, Proxy, Registry, TestProject, bundle_binary, can_connect_to_registry,
    noise, tools,
};
use serde_json::Value;

use crate::cmd_project::project;
use crate::packed::packed;
use crate::registry::project_on;

const MIB: usize = 1 << 20;

/// Runs the program in a terminal that becomes narrower on the way.
fn in_a_terminal(python: &Path, project: &TestProject, arguments: &[&str]) -> Value {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("terminal/run.py");
    BundleCommand::of_program(python, project.home())
        .arg(script)
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
    let project = packed();
    // Mostly a hole: what counts is that to read it takes longer than it takes bars to appear.
    project.write("large", noise(1, MIB));
    let large = fs::File::options().write(true).open(project.path().join("large")).unwrap();
    large.set_len(512 << 20).unwrap();
    let _ = project.run(&["add", "large"]).success();
    let pushed = in_a_terminal(&python, &project, &["push"]);
    let shown = pushed["shown"].as_str().unwrap();
    assert_eq!(pushed["exit"], 0, "{shown}");
    assert!(shown.contains("reading") && shown.contains("of 512.0 MiB"), "{shown}");
    // The bars are gone when the result comes.
    let result = shown.rsplit("\u{1b}[2K").next().unwrap();
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
    let registry = Registry::start();
    if !can_connect_to_registry(&registry) {
        return;
    }
    let proxy = Proxy::start(registry.host());
    let project = project_on(proxy.host(), "p");
    project.write("a", noise(1, MIB)).write("b", noise(2, MIB));
    let _ = project.run(&["add", "a", "b"]).success();
    // Long enough for a line; what comes after it makes one.
    proxy.inject(Matching::new("PUT", "/blobs/uploads/"), Fault::Delay(Duration::from_millis(5500)));
    let run = project.command(["push", "--concurrency", "1"]).env("MODELOPS_BUNDLE_PROGRESS", "auto").run();
    let run = run.success();
    let said = run.stderr();
    assert!(
        said.contains("sending: ") && said.contains(" of 2.0 MiB, ") && said.contains(" s left\n"),
        "{said}"
    );
    assert!(!said.contains('\u{1b}') && !said.contains('\r'), "{said:?}");
}

#[test]
#[cfg(unix)]
fn a_pipe_that_nobody_reads_breaks_nothing() {
    let project = project();
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

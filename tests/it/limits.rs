//! Limits of the process and of its output: what is done is done, and the words name the limit.

use std::fs::File;
use std::process::{Command, Stdio};

use modelops_bundle_tests::{BundleCommand, TestProject, bundle_binary};

use crate::cmd_project::project;

/// Runs the program with so many KiB of address space.
fn within(project: &TestProject, kib: u64, arguments: &[&str]) -> BundleCommand {
    BundleCommand::of_program("prlimit", project.home())
        .arg(format!("--as={}", kib * 1024))
        .arg(bundle_binary())
        .args(arguments)
        .current_dir(project.path())
}

#[test]
fn every_command_works_with_little_address_space() {
    for (gib, layout) in [(4, "packed"), (4, "files"), (2, "packed"), (16, "files")] {
        let project = project();
        let _ = project.run(&["config", "set", "layout", layout]).success();
        for at in 0..120 {
            project.write(&format!("data/{at}"), format!("content {at}"));
        }
        for arguments in [
            &["add", "data"][..],
            &["status"],
            &["push"],
            &["diff"],
            &["push", "--bump", "auto"],
            &["verify"],
            &["pull", "--overwrite"],
            &["manifest"],
        ] {
            let _ = within(&project, gib << 20, arguments).run().success();
        }
    }
}

#[test]
fn too_little_address_space_is_named_as_the_cause_or_is_enough() {
    let project = project();
    project.write("a", "a");
    let _ = project.run(&["add", "a"]).success();
    for mib in [64_u64, 96, 128, 192, 256, 384] {
        let output = within(&project, mib << 10, &["status"]).run();
        // Below some size the system cannot even load the program, which is not for the program to tell.
        if output.stderr().contains("the core stopped") {
            assert!(output.stderr().contains("`ulimit -v`"), "{output}");
        }
    }
}

#[test]
fn what_is_done_and_cannot_be_printed_is_said_to_be_done() {
    let project = project();
    project.write("a", "a");
    for arguments in [&["add", "a"][..], &["push"], &["status"], &["push", "--json"], &["verify", "--json"]] {
        let mut command = Command::new(bundle_binary());
        command.args(arguments).current_dir(project.path()).env("HOME", project.home());
        command.stdin(Stdio::null()).stdout(File::create("/dev/full").unwrap());
        let output = command.output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{arguments:?}: {said}");
        assert!(
            said.contains("the command is done") && said.contains("No space left"),
            "{arguments:?}: {said}"
        );
    }
    assert!(project.run(&["push"]).success().stdout().contains("Nothing to push"));
    let mut command = Command::new(bundle_binary());
    command.args(["pull", "nowhere", "--json"]).current_dir(project.path()).env("HOME", project.home());
    let output = command.stdin(Stdio::null()).stdout(File::create("/dev/full").unwrap()).output().unwrap();
    assert!(String::from_utf8_lossy(&output.stderr).starts_with("error: "), "{output:?}");
}

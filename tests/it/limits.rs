//! Limits of the process, of disks, of inputs and of its output: what is done is done, and the words name the limit.

use std::fs::{self, File};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use modelops_bundle_tests::{
    BundleCommand, CommandOutput, TestProject, bundle_binary, noise, script_with_mounts,
};

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
        let project = TestProject::on_layout();
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
fn too_little_address_space_is_named_and_any_more_is_enough() {
    let project = TestProject::on_layout();
    project.write("a", "a");
    let _ = project.run(&["add", "a"]).success();
    let _ = project.run(&["push"]).success();
    let said = within(&project, 100 << 10, &["status"]).run().code(1);
    let words = said.stderr().strip_prefix("error: the limit of address space, `ulimit -v`, is 100 MiB; ");
    let needed =
        words.and_then(|words| words.split_once(" MiB are needed")).unwrap_or_else(|| panic!("{said}")).0;
    let needed: u64 = needed.parse().unwrap();
    let told = within(&project, 100 << 10, &["status", "--json"]).run().code(1).json();
    assert_eq!(told["error"]["kind"], "failure", "{told}");
    // Nothing reserves for itself alone what there is.
    for mib in
        [needed, 300, 400, 500, 600, 700, 900, 1100, 1200, 1500].into_iter().filter(|mib| *mib >= needed)
    {
        for arguments in [&["status"][..], &["push", "--force"], &["verify"], &["pull", "--overwrite"]] {
            let _ = within(&project, mib << 10, arguments).run().success();
        }
    }
}

/// Runs the program where a file may have so many bytes, or so many files may be open.
fn limited(project: &TestProject, limit: &str, arguments: &[&str]) -> BundleCommand {
    BundleCommand::of_program("prlimit", project.home())
        .arg(limit)
        .arg(bundle_binary())
        .args(arguments)
        .current_dir(project.path())
}

#[test]
fn a_file_that_may_not_grow_fails_in_words_and_leaves_nothing() {
    let project = TestProject::on_layout();
    project.write("big", noise(1, 400_000));
    let _ = project.run(&["add", "big"]).success();
    let _ = project.run(&["push"]).success();
    let reference = project.run(&["config", "get", "registry_ref"]).success().stdout().trim().to_owned();
    let elsewhere = format!("oci:{}", project.home().join("elsewhere").display());
    let out = project.home().join("out");
    fs::create_dir(&out).unwrap();
    let at = |name: &str| out.join(name).to_str().unwrap().to_owned();
    let (tar, core, copy) =
        (at("x.tar"), at("core.wasm"), format!("oci:{}", project.home().join("copy").display()));
    let _ = project.run(&["config", "set", "registry_ref", &elsewhere]).success();
    let bundle = format!("{reference}:latest");
    for arguments in [
        &["push"][..],
        &["export", &bundle, &tar],
        &["export", "--files", &bundle, &tar],
        &["core", "extract", &core],
        &["copy", &bundle, &copy],
        &["pull", &bundle, "--overwrite"],
    ] {
        project.remove("big").write("big", noise(1, if arguments[0] == "pull" { 10 } else { 400_000 }));
        let output = limited(&project, "--fsize=100000", arguments).run().code(1);
        let words = output.stderr();
        assert!(
            words.contains("File too large") && words.contains("at most 97.7 KiB (`ulimit -f`)"),
            "{output}"
        );
    }
    let left: Vec<_> = fs::read_dir(&out).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert!(left.is_empty(), "{left:?}");
    assert!(!project.exists(".modelops-bundle/staging"));
}

#[test]
fn few_open_files_are_named_as_the_cause() {
    let project = TestProject::on_layout();
    project.write("a", "a");
    let _ = project.run(&["add", "a"]).success();
    let _ = project.run(&["push"]).success();
    for files in [6, 8, 10, 12, 14, 16, 20] {
        for arguments in [&["status"][..], &["verify"], &["push", "--force"], &["pull", "--overwrite"]] {
            let output = limited(&project, &format!("--nofile={files}"), arguments).run().code_among(&[0, 1]);
            let words = output.stderr();
            assert!(output.exit_code() == Some(0) || words.contains("`ulimit -n`"), "{files}: {output}");
            assert!(!words.contains("interrupted") && !words.contains("ulimit -u"), "{files}: {output}");
        }
    }
}

fn script_output(project: &TestProject, script: &str) -> CommandOutput {
    let command = BundleCommand::of_program("sh", project.home()).args(["-euc", script]);
    command.env("MB", bundle_binary()).current_dir(project.path()).run()
}

#[test]
fn inputs_without_an_end_are_refused() {
    let project = TestProject::on_layout();
    let started = Instant::now();
    let output = script_output(&project, "exec \"$MB\" core call diff </dev/zero").code(2);
    assert!(output.stderr().contains("standard input has more than 256.0 MiB"), "{output}");
    assert!(output.peak_memory().is_none_or(|peak| peak < 600 << 20), "{output}");
    let huge = project.home().join("huge");
    File::create(&huge).unwrap().set_len(20 << 30).unwrap();
    let output = project.run(&["core", "extract", huge.to_str().unwrap()]).code(3);
    assert!(output.peak_memory().is_none_or(|peak| peak < 200 << 20), "{output}");
    for (list, fault) in
        [("pipe", "not a regular file"), ("/dev/zero", "not a regular file"), ("../home/huge", "more than")]
    {
        let script = format!(
            "[ -e pipe ] || mkfifo pipe; SSL_CERT_FILE={list} exec \"$MB\" manifest example.invalid/x/y --retries 0 --timeout 2"
        );
        let output = script_output(&project, &script).code(7);
        assert!(output.stderr().contains(fault) && output.stderr().contains("SSL_CERT_FILE"), "{output}");
    }
    assert!(started.elapsed() < Duration::from_secs(60));
}

#[test]
fn a_full_disk_is_named_with_what_was_to_be_written() {
    let project = TestProject::on_layout();
    project.write("a", "a");
    let _ = project.run(&["add", "a"]).success();
    let _ = project.run(&["push"]).success();
    let reference = project.run(&["config", "get", "registry_ref"]).success().stdout().trim().to_owned();
    let disk = project.home().join("disk");
    fs::create_dir(&disk).unwrap();
    let disk = disk.display();
    for (command, named) in [
        (format!("init {disk}/p"), format!("{disk}/p")),
        (format!("man {disk}/man"), format!("{disk}/man")),
        (format!("core extract {disk}/core.wasm"), format!("{disk}/core.wasm")),
        (format!("copy {reference}:latest oci:{disk}/copy"), format!("{disk}/copy")),
        (format!("-C {disk} pull {reference}:latest"), format!("{disk}")),
        (format!("export {reference}:latest {disk}/x.tar"), format!("{disk}")),
    ] {
        let script = format!(
            "mount -t tmpfs -o size=24k tmpfs {disk}; dd if=/dev/zero of={disk}/fill bs=512 2>/dev/null || :
             code=0; \"$MB\" {command} || code=$?; ls -A {disk}; exit $code"
        );
        let Some(command) = script_with_mounts(&project, &script) else { return };
        let output = command.run().code(1);
        let words = output.stderr();
        for wrong in ["at path", ".new-", ".modelops-bundle-", "permissions"] {
            assert!(!words.contains(wrong), "{wrong}: {output}");
        }
        assert!(
            words.contains(&named) && words.contains("hint: the disk is full: make room there"),
            "{output}"
        );
        assert_eq!(output.stdout(), "fill\n", "{output}");
    }
}

#[test]
fn what_is_done_and_cannot_be_printed_is_said_to_be_done() {
    let project = TestProject::on_layout();
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

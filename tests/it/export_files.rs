//! `export --files`: a plain tar of a bundle's files, the same bytes from everywhere.

use std::fs;
use std::path::{Path, PathBuf};

use modelops_bundle_tests::{BundleCommand, Registry, TestProject, Tree, noise, text};

/// A name that no field of a header holds.
fn long_path() -> String {
    format!("{}/end.txt", ["a-folder-with-a-long-name"; 12].join("/"))
}

fn fill(project: &TestProject, layout: &str) {
    let _ = project.run(&["init", "--layout", layout]).success();
    project
        .write("src/model.py", "def step(): ...\n")
        .write("src.txt", "sorts before the folder, or behind it")
        .write("empty", "")
        .write("copies/one", "twice")
        .write("copies/two", "twice")
        .write("large/noise", noise(7, 3_000_000))
        .write("large/text", text(2_000_000))
        .write("grün/数据.csv", "1,2\n")
        .write(&format!("{}x", "n".repeat(99)), "a hundred bytes")
        .write(&format!("{}x", "n".repeat(100)), "one more");
    project.write(&long_path(), "far down").write_executable("run.sh", "#!/bin/sh\n");
    let _ = project.run(&["add", "."]).success();
    let _ = project.run(&["push"]).success();
}

fn exported(project: &TestProject, arguments: &[&str]) -> (PathBuf, Vec<u8>) {
    let file = project.home().join("files.tar");
    let all = [&["export"], arguments, &[file.to_str().unwrap(), "--files"]].concat();
    let _ = project.run(&all).success();
    let bytes = fs::read(&file).unwrap();
    (file, bytes)
}

/// What GNU tar lists of an archive, line by line.
fn listed(file: &Path, home: &Path) -> Vec<String> {
    let output = BundleCommand::of_program("tar", home)
        .args(["--numeric-owner", "--full-time", "--utc", "--quoting-style=literal", "-tvf"])
        .arg(file)
        .env("LC_ALL", "C")
        .run()
        .success();
    assert_eq!(output.stderr(), "");
    output.stdout().lines().map(str::to_owned).collect()
}

#[test]
fn the_same_bytes_from_every_layout_and_place() {
    let Some(registry) = Registry::get() else { return };
    let plain = TestProject::on_layout();
    fill(&plain, "files");
    let (file, expected) = exported(&plain, &[]);
    let packed = TestProject::on_layout();
    fill(&packed, "packed");
    assert!(exported(&packed, &[]).1 == expected, "the layouts differ");
    assert!(exported(&packed, &["--concurrency", "1"]).1 == expected, "the concurrency shows");
    // After pushes that scattered the chunks over several packs.
    packed.write("large/noise", [noise(7, 1_500_000), noise(8, 100)].concat());
    let _ = packed.run(&["push"]).success();
    packed.write("large/noise", noise(7, 3_000_000)).write("new", "x");
    let _ = packed.run(&["push"]).success();
    packed.remove("new");
    let _ = packed.run(&["push"]).success();
    assert!(exported(&packed, &[]).1 == expected, "the packs show");
    for layout in ["files", "packed"] {
        let there = TestProject::new();
        let _ = there.run(&["init", "--ref", &format!("{}/team/{layout}", registry.host())]).success();
        fill(&there, layout);
        assert!(exported(&there, &[]).1 == expected, "a registry differs");
        let _ = there.run(&["export", "../bundle.tar"]).success();
        let archive = format!("oci-archive:{}:latest", there.path().with_file_name("bundle.tar").display());
        assert!(exported(&there, &[&archive]).1 == expected, "an archive differs");
    }

    let lines = listed(&file, plain.home());
    let names: Vec<&str> =
        lines.iter().map(|line| line.splitn(6, ' ').last().unwrap().trim_start()).collect();
    assert_eq!(names.len(), plain.tree().len());
    for line in &lines {
        let mode = if line.ends_with(" run.sh") { "-rwxr-xr-x 0/0 " } else { "-rw-r--r-- 0/0 " };
        assert!(line.starts_with(mode) && line.contains(" 1970-01-01 00:00:00 "), "{line}");
    }
    let paths: Vec<String> =
        lines.iter().map(|line| line.split(" 00:00:00 ").nth(1).unwrap().to_owned()).collect();
    assert!(paths.is_sorted(), "{paths:?}");

    let target = tempfile::tempdir().unwrap();
    let tar =
        BundleCommand::of_program("tar", plain.home()).arg("-C").arg(target.path()).arg("-xpf").arg(&file);
    let _ = tar.run().success();
    Tree::read(target.path()).assert_same(&plain.tree());
}

#[test]
fn a_file_that_is_damaged_leaves_nothing() {
    for layout in ["files", "packed"] {
        let project = TestProject::on_layout();
        fill(&project, layout);
        let blobs = project.home().join("layout/blobs/sha256");
        let largest = fs::read_dir(&blobs).unwrap().map(|entry| entry.unwrap().path());
        let largest = largest.max_by_key(|path| path.metadata().unwrap().len()).unwrap();
        let whole = fs::read(&largest).unwrap();
        let target = project.home().join("out/files.tar");
        fs::create_dir(target.parent().unwrap()).unwrap();
        fs::write(&target, "before").unwrap();
        let mut flipped = whole.clone();
        flipped[whole.len() / 3] ^= 1;
        for (content, why) in
            [(&flipped[..], "flipped"), (&whole[..whole.len() / 2], "cut off"), (&[], "empty")]
        {
            fs::write(&largest, content).unwrap();
            let output = project.run(&["export", "--files", "--force", target.to_str().unwrap()]).code(8);
            assert!(output.stderr().starts_with("error: "), "{why}: {output}");
            assert_eq!(fs::read(&target).unwrap(), b"before", "{why}");
            assert_eq!(fs::read_dir(target.parent().unwrap()).unwrap().count(), 1, "{why}");
        }
        fs::remove_file(&largest).unwrap();
        let _ = project.run(&["export", "--files", "--force", target.to_str().unwrap()]).code_among(&[6, 8]);
        assert_eq!(fs::read(&target).unwrap(), b"before");
        fs::write(&largest, whole).unwrap();
        let document =
            project.run(&["export", "--files", "-f", target.to_str().unwrap(), "--json"]).success().json();
        assert_eq!((&document["format"], &document["blobs"]), (&"tar".into(), &serde_json::Value::Null));
        assert_eq!(document["files"], project.tree().len());
    }
}

#[test]
fn a_dry_run_and_a_bad_target_write_nothing() {
    let project = TestProject::on_layout();
    project.write("a", "a");
    let _ = project.run(&["add", "a"]).success();
    let _ = project.run(&["push"]).success();
    let dry = project.run(&["export", "--files", "out.tar", "--dry-run"]).success();
    assert!(dry.stdout().starts_with("Would export ") && dry.stdout().contains(": 1 file, 1 B\n"), "{dry}");
    assert!(!project.exists("out.tar"));
    // What is there is looked at, and not only that something is.
    let _ = project.run(&["export", "--files", "out.tar"]).success();
    let whole = fs::read(project.path().join("out.tar")).unwrap();
    let mut changed = whole.clone();
    changed[512] = b'b';
    for (content, code) in [
        (whole.clone(), 0),
        (changed, 3),
        ([&whole[..], b"\0"].concat(), 3),
        (whole[..600].to_vec(), 3),
        (Vec::new(), 3),
    ] {
        project.write("out.tar", &content);
        let run = |more: &[&str]| project.run(&[&["export", "--files", "out.tar"], more].concat());
        let (dry, real) = (run(&["--dry-run"]).code(code), run(&[]).code(code));
        assert_eq!(dry.stderr(), real.stderr());
        assert_eq!(fs::read(project.path().join("out.tar")).unwrap(), content);
        let _ = run(&["--dry-run", "--force"]).success();
    }
    project.write("folder/x", "");
    let _ = project.run(&["export", "--files", "folder"]).code_among(&[1, 2]);
    let _ = project.run(&["export", "--files", "nowhere/out.tar"]).code_among(&[1, 6]);
}

#[test]
fn it_cannot_be_imported_and_says_what_it_is() {
    let project = TestProject::on_layout();
    project.write("a", "a");
    let _ = project.run(&["add", "a"]).success();
    let _ = project.run(&["push"]).success();
    let _ = project.run(&["export", "--files", "files.tar"]).success();
    let reference = "oci-archive:files.tar:latest";
    for arguments in [&["import", "files.tar"][..], &["inspect", "files.tar"], &["pull", reference]] {
        let output = project.run(arguments).code(1);
        assert!(output.stderr().contains("it is a tar, but not one of an OCI image layout"), "{output}");
        assert!(output.stderr().contains("tar -xf"), "{output}");
    }
}

#[test]
fn memory_does_not_grow_with_the_files() {
    for layout in ["files", "packed"] {
        let project = TestProject::on_layout();
        let _ = project.run(&["init", "--layout", layout]).success();
        project.write("large", noise(3, 96 << 20));
        let _ = project.run(&["add", "large"]).success();
        let _ = project.run(&["push"]).success();
        let output = project.run(&["export", "--files", "../files.tar"]).success();
        if let Some(peak) = output.peak_memory() {
            assert!(peak < 80 << 20, "{layout}: {} MiB", peak >> 20);
        }
    }
}

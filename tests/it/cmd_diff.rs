//! `diff --patch` and `--stat`: what is printed, that real tools can apply it, and that only verified bytes get there.

use std::path::Path;
use std::process::Command;

use modelops_bundle_tests::{Fault, Matching, Proxy, Registry, TestProject, Tree, noise};
use serde_json::{Value, json};

/// Tracks all there is and pushes it to `tag`.
fn push(project: &TestProject, tag: &str) {
    let _ = project.run(&["add", "--force", "."]).success();
    let _ = project.run(&["push", "--tag", tag]).success();
}

/// Two versions of a project, `old` and `new`, with all that can happen to a text file.
fn two_versions(project: &TestProject) -> (Tree, Tree) {
    let numbered = |lines: &[(usize, &str)]| -> String {
        let line = |number| lines.iter().find(|(at, _)| *at == number).map_or("", |(_, text)| text);
        (1..60).map(|number| format!("line {number}{}\n", line(number))).collect()
    };
    project
        .write("params.yaml", "alpha: 1\nbeta: 2\ngamma: 3\n")
        .write("far apart.txt", numbered(&[]))
        .write("src/gone.py", "def gone():\n    pass\n")
        .write("no-newline-before", "a\nb")
        .write("no-newline-after", "a\nb\n")
        .write("no-newline-at-all", "a\nb")
        .write("windows.csv", "a,b\r\n1,2\r\n")
        .write("emptied", "x\n")
        .write("filled", "")
        .write("empty-gone", "")
        .write("run.sh", "#!/bin/sh\n")
        .write("we\"ird", "1\n")
        .write("naïve ünï.txt", "eins\n")
        .write("escape", "plain\n")
        .write("same", "same\n");
    push(project, "old");
    let old = project.tree().without_gitignore();
    project
        .write("params.yaml", "alpha: 1\nbeta: 9\ngamma: 3\n")
        .write("far apart.txt", numbered(&[(1, "!"), (7, "?"), (30, "."), (59, " end")]))
        .remove("src/gone.py")
        .write("src/new dir/new.py", "def new():\n\tpass\n")
        .write("no-newline-before", "a\nb\n")
        .write("no-newline-after", "a\nb")
        .write("no-newline-at-all", "a\nc")
        .write("windows.csv", "a,b\r\n1,3\r\n")
        .write("emptied", "")
        .write("filled", "y")
        .remove("empty-gone")
        .write("empty-new", "")
        .write_executable("run.sh", "#!/bin/sh\n")
        .write_executable("run-new.sh", "#!/bin/sh\necho\n")
        .write("we\"ird", "2\n")
        .write("naïve ünï.txt", "zwei\n")
        .write("escape", "\u{1b}[31mred\u{1b}[0m \u{7}\n");
    push(project, "new");
    (old, project.tree().without_gitignore())
}

/// Runs another program in a folder that holds `before`, with `input`, and returns what is there then.
fn apply(program: &str, arguments: &[&str], before: &Tree, input: &[u8]) -> Tree {
    let folder = TestProject::new();
    before.write(folder.path());
    std::fs::write(folder.home().join("the.patch"), input).unwrap();
    let mut command = Command::new(program);
    command.current_dir(folder.path()).env("GIT_CEILING_DIRECTORIES", folder.home().parent().unwrap());
    let output = command.args(arguments).arg(folder.home().join("the.patch")).output().unwrap();
    let text = String::from_utf8_lossy(input);
    assert!(output.status.success(), "{program}: {}\n{text}", String::from_utf8_lossy(&output.stderr));
    folder.tree()
}

fn is_there(program: &str) -> bool {
    Command::new(program).arg("--version").output().is_ok()
}

fn patch_of(project: &TestProject, arguments: &[&str]) -> Vec<u8> {
    project.command(["diff", "--patch"]).args(arguments).run().success().stdout_bytes().to_vec()
}

#[test]
fn git_and_patch_make_one_version_from_the_other() {
    for layout in ["files", "packed"] {
        let project = TestProject::on_layout();
        let _ = project.run(&["init", "--layout", layout]).success();
        let (old, new) = two_versions(&project);
        let forth = patch_of(&project, &["old", "new"]);
        let back = patch_of(&project, &["new", "old"]);
        assert!(is_there("git"), "git is what most people apply patches with");
        apply("git", &["apply", "--verbose"], &old, &forth).assert_same(&new);
        apply("git", &["apply", "--verbose"], &new, &back).assert_same(&old);
        apply("git", &["apply", "--verbose", "--reverse"], &new, &forth).assert_same(&old);
        // The list before it is no part of the patch.
        let with_stat = patch_of(&project, &["old", "new", "--stat"]);
        assert!(with_stat.len() > forth.len() && with_stat.ends_with(&forth));
        apply("git", &["apply"], &old, &with_stat).assert_same(&new);
        if is_there("patch") {
            apply("patch", &["-p1", "--binary", "-i"], &old, &forth).assert_same(&new);
        }
        // Against the project it is the same, whatever the remote's own tag names.
        let gitignore = project.read(".gitignore");
        project.replace_by(&old);
        project.write(".gitignore", gitignore);
        let _ = project.run(&["add", "--force", "."]).success();
        let to_project = patch_of(&project, &["new"]);
        apply("git", &["apply"], &new, &to_project).assert_same(&old);
    }
}

#[test]
fn hunks_look_as_git_prints_them() {
    let project = TestProject::on_layout();
    let (old, new) = two_versions(&project);
    let printed = String::from_utf8(patch_of(&project, &["old", "new"])).unwrap();
    // Git compares two folders too; what it says of blobs' own names is no part of ours.
    let folder = TestProject::new();
    old.write(&folder.path().join("a"));
    new.write(&folder.path().join("b"));
    for path in
        ["params.yaml", "far apart.txt", "no-newline-before", "no-newline-at-all", "windows.csv", "filled"]
    {
        let output = Command::new("git")
            .args(["-c", "core.quotepath=false", "diff", "--no-index", "--no-color", "--"])
            .args([format!("a/{path}"), format!("b/{path}")])
            .current_dir(folder.path())
            .output()
            .unwrap();
        let gits = String::from_utf8(output.stdout).unwrap();
        let hunks: String = gits.split_inclusive('\n').skip_while(|line| !line.starts_with("@@ ")).collect();
        // Git repeats a line behind a hunk's numbers, to say where in the file it is.
        let hunks: Vec<&str> = hunks
            .split_inclusive('\n')
            .map(|line| match line.strip_prefix("@@ ").and_then(|rest| rest.find(" @@")) {
                Some(end) => &line[..end + 6],
                None => line.strip_suffix('\n').unwrap(),
            })
            .collect();
        assert!(printed.contains(&hunks.join("\n")), "{path}:\n{}\nis not in\n{printed}", hunks.join("\n"));
    }
}

#[test]
fn what_is_no_text_is_only_said_to_differ() {
    let project = TestProject::on_layout();
    let large = |seed: &str| format!("{seed}\n").repeat(5 << 20);
    project
        .write("a.bin", b"a\0b")
        .write("latin-1.txt", b"caf\xe9\n")
        .write("late-zero", format!("{}\0\n", "x".repeat(9000)))
        .write("large.csv", large("1"))
        .write("gone.bin", b"\0")
        .write("text", "1\n");
    push(&project, "old");
    let old = project.tree().without_gitignore();
    project
        .write("a.bin", b"a\0c")
        .write("latin-1.txt", b"th\xe9\n")
        .write("late-zero", format!("{}\0!\n", "x".repeat(9000)))
        .write("large.csv", large("2"))
        .remove("gone.bin")
        .write("new.bin", b"\0\0")
        .write("text", "2\n");
    push(&project, "new");
    let printed = patch_of(&project, &["old", "new"]);
    let text = String::from_utf8(printed.clone()).unwrap();
    for line in [
        "Binary files a/a.bin and b/a.bin differ\n",
        "Binary files a/latin-1.txt and b/latin-1.txt differ\n",
        "Binary files a/gone.bin and /dev/null differ\n",
        "Binary files /dev/null and b/new.bin differ\n",
        "Files a/large.csv and b/large.csv, too large to show, differ\n",
    ] {
        assert!(text.contains(line), "{line} is not in {text}");
    }
    // As git does, a zero byte is looked for near the start alone.
    assert!(text.contains("--- a/late-zero\n"));
    // Whoever applies it is told that it is not all, and may take the rest.
    let folder = TestProject::new();
    old.write(folder.path());
    let whole = Command::new("git")
        .args(["apply", "--check", "-"])
        .current_dir(folder.path())
        .stdin(as_input(&folder, &printed))
        .output()
        .unwrap();
    assert!(!whole.status.success());
    let excluded =
        ["a.bin", "latin-1.txt", "gone.bin", "new.bin", "large.csv"].map(|path| format!("--exclude={path}"));
    let mut arguments = vec!["apply"];
    arguments.extend(excluded.iter().map(String::as_str));
    let applied = apply("git", &arguments, &old, &printed);
    assert_eq!(applied.entry("text"), project.tree().without_gitignore().entry("text"));
}

fn as_input(folder: &TestProject, bytes: &[u8]) -> std::fs::File {
    let file = folder.home().join("input");
    std::fs::write(&file, bytes).unwrap();
    std::fs::File::open(file).unwrap()
}

#[test]
fn a_document_has_the_patch_of_each_change() {
    let project = TestProject::on_layout();
    project.write("a", "1\n").write("b", "1\n").write("c", "same\n");
    push(&project, "old");
    project.write("a", "2\n").write_executable("b", "1\n");
    push(&project, "new");
    let document = project.run(&["diff", "old", "new", "--patch", "--json"]).success().json();
    let patches: Vec<&Value> =
        document["changes"].as_array().unwrap().iter().map(|one| &one["patch"]).collect();
    assert_eq!(
        patches,
        [
            &json!("diff --git a/a b/a\n--- a/a\n+++ b/a\n@@ -1 +1 @@\n-1\n+2\n"),
            &json!("diff --git a/b b/b\nold mode 100644\nnew mode 100755\n"),
        ]
    );
    assert_eq!(document["changes"][0]["path"], "a");
    let without = project.run(&["diff", "old", "new", "--json"]).success().json();
    assert_eq!(without["changes"][0].get("patch"), None);
    assert_eq!(patch_of(&project, &["old", "old"]), b"");
}

#[test]
fn a_summary_counts_files_and_bytes() {
    let project = TestProject::on_layout();
    project.write("a", "1").write("b", "22").write("c", "333");
    push(&project, "old");
    project.write("a", "4444").remove("b").write("d", "55555").write_executable("c", "333");
    push(&project, "new");
    let output = project.run(&["diff", "old", "new", "--stat"]).success();
    assert_eq!(
        output.stdout(),
        "M a  1 B -> 4 B\nD b  2 B -> -\nX c  3 B -> 3 B\nA d  - -> 5 B\n\
         4 files differ: 1 added, 1 deleted, 2 changed, 6 B -> 12 B\n"
    );
    let output = project.run(&["diff", "old", "new"]).success();
    assert!(output.stdout().ends_with("\n4 files differ\n"), "{output}");
}

#[test]
fn only_what_differs_is_fetched_and_only_what_is_right_is_shown() {
    let Some(registry) = Registry::get() else { return };
    for layout in ["files", "packed"] {
        let proxy = Proxy::start(registry.host());
        let project = TestProject::on_registry(proxy.host(), &format!("p/{layout}"));
        let _ = project.run(&["init", "--layout", layout]).success();
        project.write("big", noise(1, 3 << 20)).write("a", "1\n").write("b", "1\n");
        push(&project, "old");
        project.write("a", "2\n");
        push(&project, "new");
        // Somewhere else, with no memory of what was pushed.
        let elsewhere = TestProject::new();
        let [old, new] = ["old", "new"].map(|tag| format!("{}/p/{layout}:{tag}", proxy.host()));
        proxy.take_seen();
        let patch = patch_of(&elsewhere, &[&old, &new]);
        assert!(patch.ends_with(b"@@ -1 +1 @@\n-1\n+2\n"));
        let fetched: u64 = proxy.take_seen().iter().map(|seen| seen.received).sum();
        assert!(fetched < 100_000, "{layout}: {fetched} bytes for two small files");
        proxy.inject(Matching::new("GET", "/blobs/").always(), Fault::CutResponse(1));
        let output =
            elsewhere.command(["diff", "-p", &old, &new, "--retries", "0"]).run().code_among(&[7, 8]);
        assert_eq!(output.stdout(), "");
    }
}

/// Changes a letter in whichever of the files in `folder` says `text`.
fn damage(folder: &Path, text: &[u8]) {
    for file in std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
        let mut content = std::fs::read(&file).unwrap();
        if let Some(at) = content.windows(text.len()).position(|window| window == text) {
            content[at] ^= 1;
            std::fs::write(file, content).unwrap();
        }
    }
}

#[test]
fn damaged_content_is_not_shown() {
    for layout in ["files", "packed"] {
        let project = TestProject::on_layout();
        let _ = project.run(&["init", "--layout", layout]).success();
        project.write("a", "what the old bundle says\n");
        push(&project, "old");
        project.write("a", "what the project says\n");
        damage(&project.home().join("layout/blobs/sha256"), b"what the old bundle says");
        let output = project.run(&["diff", "old", "--patch"]).code(8);
        assert!(output.stdout().is_empty() && !output.stderr().contains("panicked"), "{output}");
    }
}

#[cfg(unix)]
#[test]
fn a_link_shows_the_file_that_it_points_to() {
    let project = TestProject::on_layout();
    project.write("data/real", "1\n");
    std::os::unix::fs::symlink("data/real", project.path().join("link")).unwrap();
    push(&project, "latest");
    project.write("data/real", "2\n");
    let patch = String::from_utf8(patch_of(&project, &[])).unwrap();
    assert!(patch.contains("+++ b/link\n@@ -1 +1 @@\n-1\n+2\n"), "{patch}");
}

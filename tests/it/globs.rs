//! What arguments of `add` and `remove` mean: paths, folders, globs, and what is left out.

use modelops_bundle_tests::{CommandOutput, TestProject};
use serde_json::{Value, json};

const FILES: [&str; 10] = [
    "!note",
    "README.md",
    "[1].csv",
    "a*b",
    "data/a.csv",
    "data/b.txt",
    "data/deep/c.csv",
    "data/deep/d.txt",
    "data/{x}.csv",
    "src/m.py",
];

fn with_files() -> TestProject {
    let project = TestProject::on_layout();
    for path in FILES {
        project.write(path, path);
    }
    project
}

fn added(project: &TestProject, arguments: &[&str]) -> Value {
    let mut all = vec!["add", "--dry-run", "--json"];
    all.extend(arguments);
    project.run(&all).success().json()["added"].clone()
}

fn tracked(project: &TestProject) -> String {
    let is_there = project.exists(".modelops-bundle/tracked.txt");
    if is_there { project.read_text(".modelops-bundle/tracked.txt") } else { String::new() }
}

#[test]
fn globs_match_here_and_anywhere() {
    let project = with_files();
    for (arguments, expected) in [
        (&["*.csv"][..], json!(["[1].csv"])),
        (&["**/*.csv"], json!(["[1].csv", "data/a.csv", "data/deep/c.csv", "data/{x}.csv"])),
        (&["data/*.{csv,txt}"], json!(["data/a.csv", "data/b.txt", "data/{x}.csv"])),
        (&["{src,data/deep}"], json!(["data/deep/c.csv", "data/deep/d.txt", "src/m.py"])),
        (&["data/**", "!**/*.txt"], json!(["data/a.csv", "data/deep/c.csv", "data/{x}.csv"])),
        (&["!data/deep", "data"], json!(["data/a.csv", "data/b.txt", "data/{x}.csv"])),
        (&["data", "!data/{a.csv,deep}", "!data/{x}.csv"], json!(["data/b.txt"])),
        (&["[!R]*.csv"], json!(["[1].csv"])),
        // Names that look like globs, and like something to leave out.
        (&["[1].csv"], json!(["[1].csv"])),
        (&["a*b", "!note"], json!(["!note", "a*b"])),
        (&["a\\*b"], json!(["a*b"])),
        (&["./data/{x}.csv"], json!(["data/{x}.csv"])),
    ] {
        assert_eq!(added(&project, arguments), expected, "{arguments:?}");
    }
    assert_eq!(tracked(&project), "");
}

#[test]
fn arguments_are_relative_to_where_one_is() {
    let project = with_files();
    let below = project.path().join("data");
    let expected = json!(["data/a.csv", "data/deep/c.csv", "data/{x}.csv"]);
    for arguments in [&["**/*.csv"][..], &["."], &["../data/**"], &["../data", "!deep/*.txt"]] {
        let mut all = vec!["add", "--dry-run", "--json"];
        all.extend(arguments);
        if !arguments.contains(&"**/*.csv") {
            all.extend(["!b.txt", "!deep/d.txt"]);
        }
        let here = project.command(&all).current_dir(&below).run().success().json();
        assert_eq!(here["added"], expected, "{arguments:?}");
        all.extend(["-C", "data"]);
        assert_eq!(project.run(&all).success().json()["added"], expected, "{arguments:?} by -C");
    }
}

#[test]
fn remove_takes_the_same_patterns_as_add() {
    let project = with_files();
    let _ = project.run(&["add", "."]).success();
    let removed = |arguments: &[&str]| {
        let mut all = vec!["remove", "--dry-run", "--json"];
        all.extend(arguments);
        project.run(&all).success().json()["removed"].clone()
    };
    assert_eq!(removed(&["**/*.csv", "!data/**"]), json!(["[1].csv"]));
    assert_eq!(removed(&["[1].csv", "!note", "a*b"]), json!(["!note", "[1].csv", "a*b"]));
    assert_eq!(removed(&["data/*.{csv,txt}"]), json!(["data/a.csv", "data/b.txt", "data/{x}.csv"]));
    let text = project.run(&["remove", "-n", "--rm", "-f", "src"]).success();
    assert_eq!(text.stdout(), "would delete src/m.py\n1 file would be removed\n");
    assert_eq!(tracked(&project).lines().count(), FILES.len() + 1);
    // What is gone from the disk is still known by its name, also where that has special characters.
    project.remove("data/{x}.csv").remove("[1].csv");
    let by_name = project.run(&["remove", "--json", "data/{x}.csv", "[1].csv"]).success().json();
    assert_eq!(by_name["removed"], json!(["[1].csv", "data/{x}.csv"]));
}

#[test]
fn what_matches_nothing_is_an_error_and_changes_nothing() {
    let project = with_files();
    let _ = project.run(&["add", "README.md"]).success();
    let before = tracked(&project);
    let check = |output: &CommandOutput, words: &str| {
        assert!(output.stderr().contains(words) && output.stderr().contains("hint: "), "{output}");
        assert_eq!(tracked(&project), before, "{output}");
    };
    for command in ["add", "remove"] {
        for (arguments, words) in [
            (&["README.md", "nowhere"][..], "nowhere"),
            (&["README.md", "**/*.parquet"], "**/*.parquet"),
            (&["README.md", "missing/deep/x"], "missing/deep/x"),
            (&[".", "!*.parquet"], "!*.parquet"),
        ] {
            let mut all = vec![command];
            all.extend(arguments);
            check(&project.run(&all).code(6), words);
        }
        for (arguments, words) in [
            (&["README.md", ""][..], "an argument is empty"),
            (&["!*.csv"], "only leaves out"),
            (&["README.md", "data/{a"], "is not a glob"),
            (&["README.md", "../other"], "outside the project"),
            (&["../*.csv"], "outside the project"),
            (&["/etc/passwd"], "outside the project"),
            (&[".modelops-bundle/config.yaml"], ".modelops-bundle"),
            (&["new\nline"], "control character"),
        ] {
            let mut all = vec![command];
            all.extend(arguments);
            check(&project.run(&all).code(2), words);
        }
    }
    std::fs::create_dir(project.path().join("empty")).unwrap();
    check(&project.run(&["add", "empty"]).code(6), "a folder without files");
    check(&project.run(&["-C", "README.md", "add", "src"]).code(6), "is not a folder");
    check(&project.run(&["init", "README.md"]).code(1), "name a folder");
    let missing = project.run(&["add", "--json", "nowhere", "!*.parquet", "."]).code(6).json();
    assert_eq!(missing["error"]["paths"], json!(["nowhere", "!*.parquet"]));
}

#[test]
#[cfg(unix)]
fn names_that_no_bundle_can_hold_are_told() {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;
    let project = TestProject::on_layout();
    let not_unicode = OsStr::from_bytes(b"b\xffd");
    std::fs::write(project.path().join(not_unicode), "").unwrap();
    project.write("new\nline", "").write("fine", "");
    let output = project.command([OsStr::new("add"), not_unicode]).run().code(2);
    assert!(output.stderr().contains("not UTF-8") && output.stderr().contains("hint: "), "{output}");
    let output = project.run(&["add", "."]).success();
    for words in ["b\u{fffd}d cannot be tracked: its name is not UTF-8", "new\\u{a}line cannot be tracked"] {
        assert!(output.stderr().contains(words), "{output}");
    }
    assert_eq!(tracked(&project), ".gitignore\nfine\n");
}

#[test]
#[cfg(unix)]
fn names_that_some_system_takes_for_others_are_told() {
    let project = TestProject::on_layout();
    let names = [
        (".git./config", "keep out of"),
        (".git /config", "keep out of"),
        ("git~1/config", "keep out of"),
        (".git:stream", "keep out of"),
        (".g\u{200d}it", "keep out of"),
        ("modelo~1", "keep out of"),
        (".Modelops-Bundle./x", "keep out of"),
        ("data/\u{200b}\u{feff}", "no visible character"),
        ("data/ \u{2060}", "no visible character"),
        ("data/a\u{2028}b", "control character"),
        ("data/a\u{2029}", "control character"),
    ];
    let legal = [" ", ".gitx", "data/\u{200b}x", "data/git~1", "git~x", "\u{feff}marked", "x/.git./config"];
    names.iter().map(|(name, _)| name).chain(&legal).for_each(|name| _ = project.write(name, *name));
    for (name, words) in names {
        let output = project.run(&["add", name]).code(2);
        let line = output.stderr().lines().next().unwrap_or_default();
        assert!(line.starts_with("error: ") && line.contains(words), "{name:?}: {output}");
        assert!(output.stderr().contains("hint: "), "{name:?}: {output}");
    }
    assert!(!project.exists(".modelops-bundle/tracked.txt"));
    let output = project.run(&["add", "."]).success();
    assert!(output.stdout().contains(&format!("{} left out", names.len())), "{output}");
    assert_eq!(
        output.stderr().lines().filter(|line| line.starts_with("warning: ")).count(),
        names.len(),
        "{output}"
    );
    let _ = project.run(&["push"]).success();
    let status = project.run(&["status", "--json"]).success().json();
    assert_eq!(status["summary"], json!({"unchanged": legal.len() + 1}), "{status}");
    let clone = project.pulled_again();
    legal.iter().for_each(|name| assert_eq!(clone.read_text(name), *name));
    names.iter().for_each(|(name, _)| assert!(!clone.exists(name), "{name:?}"));
}

#[test]
fn a_shell_may_have_expanded_the_glob() {
    let project = TestProject::on_layout();
    let names: Vec<String> = (0..20_000).map(|at| format!("f{at:05}")).collect();
    for name in &names {
        project.write(name, "");
    }
    let mut command = vec!["add".to_owned()];
    command.extend(names.iter().cloned());
    let output = project.command(&command).run().success();
    assert!(output.stdout().contains("20000 files added"), "{output}");
    "remove".clone_into(&mut command[0]);
    let _ = project.command(&command).run().success();
    assert_eq!(tracked(&project), "");
}

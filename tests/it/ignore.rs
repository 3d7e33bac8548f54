//! Ignore rules: `.modelopsignore` in the syntax of gitignore, held against git itself.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use modelops_bundle_tests::TestProject;
use serde_json::json;

/// What is not ignored, as `add` finds it.
fn kept(project: &TestProject) -> BTreeSet<String> {
    let document = project.run(&["add", "--dry-run", "--json", "."]).success().json();
    document["added"].as_array().unwrap().iter().map(|path| path.as_str().unwrap().to_owned()).collect()
}

#[test]
fn rules_come_from_every_folder_and_the_defaults() {
    let project = TestProject::on_layout();
    for path in [
        "build/out.bin",
        "build.txt",
        "data/keep.csv",
        "data/raw.csv",
        "deep/er/notes.log",
        "deep/top.log",
        "src/#x",
        "src/a.tmp",
        "src/anchored",
        "src/sub/anchored",
        "trailing ",
        "x.log",
    ] {
        project.write(path, path);
    }
    project.write(
        ".modelopsignore",
        "\u{feff}*.log\r\nbuild/   \r\n\r\n# a comment\r\n/data/*\r\n!/data/keep.csv\r\ntrailing\\ \r\n",
    );
    project.write("src/.modelopsignore", "/anchored\n\\#x\n!a.tmp\n");
    project.write("deep/er/.modelopsignore", "!notes.log");
    let expected = [
        ".gitignore",
        ".modelopsignore",
        "build.txt",
        "data/keep.csv",
        "deep/er/.modelopsignore",
        "deep/er/notes.log",
        "src/.modelopsignore",
        "src/a.tmp",
        "src/sub/anchored",
    ];
    assert_eq!(kept(&project), expected.map(str::to_owned).into());
    let untracked = project.run(&["status", "--json"]).success().json();
    assert_eq!(untracked["untracked"], json!(expected));
}

#[test]
fn what_is_ignored_is_told_and_can_be_forced() {
    let project = TestProject::on_layout();
    project.write(".modelopsignore", "*.log\n").write("a.log", "").write("b.pyc", "").write("c.txt", "");
    let words = "2 ignored by ignore rules (.modelopsignore + defaults)";
    let output = project.run(&["add", "."]).success();
    // `init` wrote a `.gitignore`.
    assert!(output.stdout().contains("3 files added") && output.stdout().contains(words), "{output}");
    // A folder is passed over in part; who names a file means it.
    for named in [&["a.log", "b.pyc", "c.txt"][..], &["*.log"], &["c.txt", "*.pyc"]] {
        let refused = project.run(&[&["add"], named].concat()).code(1);
        let names_it = [".log", ".pyc"].iter().any(|name| refused.stderr().contains(name));
        assert!(names_it && refused.stderr().contains("with --force"), "{refused}");
    }
    let forced = project.run(&["add", "--force", "--json", "a.log", "b.pyc"]).success().json();
    assert_eq!((&forced["added"], &forced["ignored"]), (&json!(["a.log", "b.pyc"]), &json!(0)));
    // A file that is tracked stays tracked, whatever the rules say.
    let status = project.run(&["status", "--json"]).success().json();
    assert_eq!(status["summary"], json!({"added_local": 5}));
}

#[test]
fn status_names_what_is_ignored_and_by_which_rule() {
    let project = TestProject::on_layout();
    for path in [
        "a.log",
        "build/deep/x",
        "build/y",
        "node_modules/a/b",
        "node_modules/c",
        "sub/keep.log",
        "sub/x.log",
    ] {
        project.write(path, "");
    }
    project
        .write(".modelopsignore", "# of the project\n*.log\nbuild/\n")
        .write("sub/.modelopsignore", "!keep.log\n");
    let _ = project.run(&["add", "--force", "node_modules/a/b"]).success();
    // Not said unless asked for.
    assert_eq!(project.run(&["status", "--json"]).success().json().get("ignored"), None);
    let expected = json!([
        {"path": "a.log", "rule": "*.log", "source": ".modelopsignore", "line": 2},
        {"path": "build/", "rule": "build/", "source": ".modelopsignore", "line": 3},
        {"path": "node_modules/", "rule": "node_modules/", "source": "default", "line": null},
        {"path": "sub/x.log", "rule": "*.log", "source": ".modelopsignore", "line": 2},
    ]);
    for flags in [&["--include-ignored"][..], &["--explain"], &["-u", "--include-ignored", "--explain"]] {
        let document = project.run(&[&["status", "--json"], flags].concat()).success().json();
        assert_eq!(document["ignored"], expected, "{flags:?}");
    }
    let listed = project.run(&["status", "--untracked-only", "--include-ignored"]).success();
    let lines =
        [".gitignore", ".modelopsignore", "sub/.modelopsignore", "sub/keep.log", "", "Ignored:", "  a.log"];
    assert!(listed.stdout().lines().take(lines.len()).eq(lines), "{listed}");
    let text = project.run(&["status", "--explain"]).success().stdout().to_owned();
    assert!(text.contains("  build/: `build/`, line 3 of .modelopsignore\n"), "{text}");
    assert!(text.contains("    local  sha256:"), "why a file differs is said too: {text}");
}

#[test]
fn status_explains_single_paths() {
    let project = TestProject::on_layout();
    project
        .write(".modelopsignore", "*.log\nbuild/\n")
        .write("sub/.modelopsignore", "!keep.log\n")
        .write("a.log", "");
    project.write("sub/keep.log", "").write("run.py", "");
    let _ = project.run(&["add", "--force", "a.log", "run.py"]).success();
    let explained = |paths: &[&str]| {
        let arguments = [&["status", "--explain", "-C", "sub"], paths].concat();
        project.run(&arguments).success().stdout().to_owned()
    };
    for (path, words) in [
        ("../a.log", "a.log: tracked, although this would ignore it: `*.log`, line 1 of .modelopsignore\n"),
        ("../run.py", "run.py: tracked; no rule is about it\n"),
        ("keep.log", "sub/keep.log: not ignored, because of `!keep.log`, line 1 of sub/.modelopsignore\n"),
        ("new.log", "sub/new.log: ignored by `*.log`, line 1 of .modelopsignore\n"),
        ("../build", "build: not ignored: no rule is about it\n"),
        ("../build/", "build: ignored by `build/`, line 2 of .modelopsignore\n"),
        ("../build/x", "build/x: ignored by `build/`, line 2 of .modelopsignore\n"),
        ("x.pyc", "sub/x.pyc: ignored by `*.pyc`, which applies in every project\n"),
        ("..", ".: not ignored: no rule is about it\n"),
    ] {
        assert_eq!(explained(&[path]), words, "{path}");
    }
    let both = project.run(&["status", "--explain", "run.py", "a.log", "--json"]).success().json();
    assert_eq!(
        both["explained"],
        json!([
            {"path": "run.py", "tracked": true, "ignored": false},
            {"path": "a.log", "tracked": true, "ignored": true, "rule": "*.log", "source": ".modelopsignore", "line": 1},
        ])
    );
    let _ = project.run(&["status", "--explain", "../outside"]).code(2);
    let _ = project.run(&["status", "a.log"]).code(2);
}

#[test]
fn rules_that_cannot_be_read_stop_the_command() {
    let project = TestProject::on_layout();
    project.write("a.txt", "a").write(".modelopsignore", vec![b'x'; (1 << 20) + 1]);
    let output = project.run(&["add", "."]).code(1);
    assert!(output.stderr().contains(".modelopsignore"), "{output}");
}

/// The files of the comparison with git: names that patterns are likely to be about.
const PATHS: [&str; 24] = [
    "!a",
    "#a",
    "a",
    "a b",
    "ab",
    "abc",
    "b/a",
    "b/ab",
    "b/b/a",
    "b/c/a",
    "b/c/b/ab",
    "b-a",
    "c/a",
    "c/ab/a",
    "c/b/c/a",
    "c/[a]",
    "d/{a,b}",
    "d/a*b",
    "d/a?b",
    "d/a\u{e9}",
    "d/b]",
    "d/A",
    "d/1",
    "e ",
];

/// Repeats: the same patterns on every run.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        // Knuth's multiplier for 64 bits; the high bits are the good ones.
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % sides
    }

    /// A pattern of any pieces, or one of the paths with pieces in the place of some of its characters.
    fn pattern(&mut self) -> String {
        const PIECES: [&str; 32] = [
            "a",
            "b",
            "d",
            "/",
            "/",
            "*",
            "*",
            "**",
            "**/",
            "/**",
            "/**/",
            "***",
            "?",
            "[ab]",
            "[!a]",
            "[^b]",
            "[a-c]",
            "[]]",
            "[]-a]",
            "[a",
            "[[:alpha:]]",
            "[[:digit:]b]",
            "[[:bad:]]",
            "[\\]]",
            "\\",
            "\\*",
            "\\a",
            "{a,b}",
            " ",
            "\\ ",
            "\u{e9}",
            "!",
        ];
        let mut pattern = ["", "", "", "!", "/", "\\", "#"][self.roll(7)].to_owned();
        if self.roll(3) == 0 {
            for _ in 0..=self.roll(4) {
                pattern.push_str(PIECES[self.roll(PIECES.len())]);
            }
        } else {
            for c in PATHS[self.roll(PATHS.len())].chars() {
                match self.roll(5) {
                    0 => pattern.push_str(PIECES[self.roll(PIECES.len())]),
                    1 => pattern.push_str(["*", "**", "?", "[!x]"][self.roll(4)]),
                    _ => pattern.push(c),
                }
            }
        }
        pattern.push_str(["", "", "", "", "/", " ", "\r", "\t"][self.roll(8)]);
        pattern
    }
}

/// Git takes `x**/` for `x` and then a `**/` of its own, since it cuts off the part before the first special
/// character; its manual says that such asterisks are ordinary ones, as they are here.
fn is_read_in_two_ways(pattern: &str) -> bool {
    let special = pattern.find(['*', '?', '[', '\\']).unwrap_or(pattern.len());
    pattern[special..].starts_with("**")
        && !matches!(pattern[..special].chars().last(), None | Some('/' | '!'))
}

/// Which of `PATHS` git ignores in the repository at `folder`.
fn ignored_by_git(folder: &Path) -> BTreeSet<String> {
    use std::io::Write as _;
    let mut command = git(folder, &["check-ignore", "--no-index", "-z", "--stdin"]);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(PATHS.join("\0").as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(matches!(output.status.code(), Some(0 | 1)), "{}", output.status);
    let text = String::from_utf8(output.stdout).unwrap();
    text.split('\0').filter(|path| !path.is_empty()).map(str::to_owned).collect()
}

fn git(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new("git");
    command.args(["-c", "core.excludesFile=", "-c", "core.ignoreCase=false"]).args(arguments);
    command.current_dir(folder).env("GIT_CONFIG_NOSYSTEM", "1").env("HOME", folder);
    command
}

/// The rules of one folder's file, in both worlds; the core is asked by way of the crate, thousands of times.
fn ignored_by_us(files: &[(&str, &str)]) -> BTreeSet<String> {
    let mut rules = bundle_core::ignore::IgnoreRules::default();
    for (folder, text) in files {
        rules.add_file(folder, text);
    }
    let is_ignored = |path: &&str| rules.is_ignored(path, bundle_core::ignore::EntryKind::File);
    PATHS.into_iter().filter(is_ignored).map(str::to_owned).collect()
}

#[test]
#[cfg(unix)]
fn git_says_the_same() {
    let project = TestProject::new();
    for path in PATHS {
        project.write(path, "");
    }
    assert!(git(project.path(), &["init", "--quiet"]).status().unwrap().success());
    let mut dice = Dice(2);
    let mut differences = String::new();
    let mut decided = 0;
    for round in 0..1000 {
        let mut text = |most: usize| {
            let lines: Vec<String> = (0..=dice.roll(most)).map(|_| dice.pattern()).collect();
            let lines = lines.into_iter().filter(|line| !is_read_in_two_ways(line));
            lines.collect::<Vec<_>>().join("\n")
        };
        let (top, below) = (text(6), text(4));
        let start = if round % 5 == 0 { "\u{feff}" } else { "" };
        let top = format!("{start}{top}");
        project.write(".gitignore", &top).write("b/.gitignore", &below);
        let (ours, theirs) = (ignored_by_us(&[("", &top), ("b", &below)]), ignored_by_git(project.path()));
        decided += usize::from(!theirs.is_empty() && theirs.len() < PATHS.len());
        if ours != theirs {
            let _ = writeln!(differences, "{top:?} and in b {below:?}: ours {ours:?}, git's {theirs:?}");
        }
    }
    assert_eq!(differences, "");
    assert!(decided > 500, "only {decided} rounds say anything");
}

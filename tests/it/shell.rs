//! What shells and packagers get: completions, manual pages, and `-C`.

use std::fs;

use modelops_bundle_tests::{BundleCommand, TestProject, Tree};

/// Whether a program can be run here.
fn is_here(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join(program).is_file())
}

#[test]
fn every_shell_gets_its_completions() {
    let project = TestProject::new();
    for (shell, words) in [
        ("bash", ["COMP_WORDS", "complete -F"]),
        ("zsh", ["#compdef modelops-bundle", "MODELOPS_BUNDLE_COMPLETE"]),
        ("fish", ["for name in modelops-bundle mops-bundle", "MODELOPS_BUNDLE_COMPLETE"]),
        ("powershell", ["Register-ArgumentCompleter", "'--json'"]),
    ] {
        let script = project.run(&["completions", shell]).success();
        let text = script.stdout();
        for word in words {
            assert!(text.contains(word), "{shell} lacks {word}");
        }
        project.write(shell, text);
        // Of the others it cannot be asked everywhere.
        if ["bash", "zsh", "fish"].contains(&shell) && is_here(shell) {
            let _ = BundleCommand::of_program(shell, project.home())
                .args(["-n"])
                .arg(project.path().join(shell))
                .run()
                .success();
        }
    }
    let _ = project.run(&["completions", "tcsh"]).code(2);
}

#[test]
fn every_command_has_a_page() {
    let project = TestProject::new();
    let document = project.run(&["man", "out/man1", "--json"]).success().json();
    let pages = Tree::read(&project.path().join("out/man1"));
    assert_eq!(document["pages"], pages.len());
    for page in ["", "-init", "-config-set", "-env-switch", "-export", "-core-call"] {
        assert!(project.exists(&format!("out/man1/modelops-bundle{page}.1")), "{page}");
    }
    // What the help lists has a page, and the other way round.
    let help = project.run(&["--help"]).success();
    for (asked, same) in
        [(&["help", "--help"][..], &["help"][..]), (&["help", "push", "-h"], &["help", "push"])]
    {
        assert_eq!(project.run(asked).success().stdout(), project.run(same).success().stdout());
    }
    let commands = help.stdout().split("Commands:\n").nth(1).unwrap().split("\n\n").next().unwrap();
    let names: Vec<&str> = commands.lines().filter_map(|line| line.split_whitespace().next()).collect();
    let listed = names.iter().filter(|name| **name != "help").count();
    let top = pages.paths().filter(|path| path.matches('-').count() == 2).count();
    assert_eq!(top, listed, "{names:?}");
    for path in pages.paths() {
        let text = project.read_text(&format!("out/man1/{path}"));
        for section in [".SH NAME", ".SH SYNOPSIS", ".SH DESCRIPTION", ".SH OPTIONS"] {
            assert!(text.contains(section), "{path} lacks {section}");
        }
        assert!(!text.contains(project.home().to_str().unwrap()), "{path}");
        let file = project.path().join("out/man1").join(path);
        for (program, arguments) in [("mandoc", &["-T", "lint", "-W", "error"][..]), ("man", &["-l"])] {
            if is_here(program) {
                let shown = BundleCommand::of_program(program, project.home());
                let _ = shown.args(arguments).arg(&file).env("MANPAGER", "cat").run().success();
            }
        }
    }
    // The same again, over what is there.
    let _ = project.run(&["man", "out/man1"]).success();
    Tree::read(&project.path().join("out/man1")).assert_same(&pages);
    project.write("file", "");
    let _ = project.run(&["man", "file"]).code(1);
}

#[test]
fn what_is_relative_is_so_to_the_named_folder() {
    let home = TestProject::new();
    home.write("work/p/a.txt", "a").write("work/p/sub/b.txt", "b").write("work/q/keep", "");
    let core = home.run(&["-C", "work/p", "core", "extract", "../core.wasm"]).success();
    assert!(home.exists("work/core.wasm"), "{core}");
    let run = |folder: &str, arguments: &[&str]| {
        let all = [&["-C", folder], arguments].concat();
        home.run(&all).success()
    };
    let _ = run("work", &["init", "p", "--ref", "oci:store"]);
    let _ = run("work/p/sub", &["add", "b.txt"]);
    let _ = run("work/p", &["add", "a.txt", "sub/*.txt"]);
    // Also with what decides, and behind the command.
    let pushed =
        home.run(&["push", "-C", "work/p/sub", "--core", "../../core.wasm", "--json"]).success().json();
    assert!(home.exists("work/store/index.json"), "{pushed}");
    let _ = run("work", &["--core", "core.wasm", "core", "info"]);
    for arguments in [
        &["manifest", "oci:store"][..],
        &["diff", "oci:store:latest", "oci:store:latest"],
        &["inspect", "store"],
        &["verify", "oci:store"],
        &["export", "oci:store:latest", "out.tar"],
        &["export", "oci:store:latest", "files.tar", "--files"],
        &["inspect", "out.tar"],
        &["import", "out.tar", "--to", "oci:other"],
        &["import", "out.tar", "--dest", "copy"],
        &["man", "man"],
    ] {
        let _ = run("work", arguments);
    }
    let _ = run("work/q", &["pull", "oci:../store"]);
    let _ = run("work/p", &["diff", "oci:../other"]);
    let _ = run("work/p", &["config", "set", "registry_ref", "oci:../other"]);
    assert_eq!(run("work/p", &["push", "--json"]).json()["changed"], false);
    for path in
        ["out.tar", "files.tar", "other/index.json", "copy/a.txt", "man/modelops-bundle.1", "q/sub/b.txt"]
    {
        assert!(home.exists(&format!("work/{path}")), "{path}");
    }
    let elsewhere: Vec<_> =
        fs::read_dir(home.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(elsewhere, ["work"]);
    let _ = home.run(&["-C", "nowhere", "status"]).code(6);
    let _ = TestProject::on_layout().run(&["-C", "..", "status"]).code(6);
}

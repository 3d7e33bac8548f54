//! kill -9 at any instant of a pull: the next command leaves the old tree or the new one, whole.

use std::time::Duration;

use modelops_bundle_tests::{TestProject, Tree};

use crate::cmd_project::project;

/// How many kills; spread over the length of an undisturbed pull, most of them where it works.
const KILLS: u32 = 60;

/// Paths and contents.
type Files = Vec<(String, Vec<u8>)>;

/// Two trees that share paths, differ in others, and swap a file for a folder.
fn trees() -> (Files, Files) {
    let content = |seed: usize, length: usize| -> Vec<u8> {
        (0..length).map(|at| (at.wrapping_mul(seed * 2 + 1) >> 3) as u8).collect()
    };
    let mut old = Vec::new();
    let mut new = Vec::new();
    for number in 0..60 {
        old.push((format!("d{}/f{number}", number % 7), content(number, 20_000)));
        new.push((format!("d{}/f{number}", number % 7), content(number + 1000, 30_000)));
    }
    old.push(("swap".to_owned(), b"a file".to_vec()));
    new.push(("swap/inner".to_owned(), b"a folder".to_vec()));
    old.push(("only-old/x".to_owned(), b"goes".to_vec()));
    new.push(("only-new/y".to_owned(), b"comes".to_vec()));
    (old, new)
}

fn push(project: &TestProject, files: &Files, tag: &str) -> Tree {
    for path in project.tree().paths().filter(|path| *path != ".gitignore") {
        project.remove(path);
        let _ = project.run(&["remove", path, "--quiet"]);
    }
    for (path, content) in files {
        project.write(path, content);
    }
    let _ = project.run(&["add", ".", "--quiet"]).success();
    let _ = project.run(&["push", "--tag", tag, "--force"]).success();
    project.tree()
}

#[test]
fn the_tree_is_the_old_one_or_the_new_one() {
    let source = project();
    let (old_files, new_files) = trees();
    let old = push(&source, &old_files, "old");
    let new = push(&source, &new_files, "new");
    let layout = format!("oci:{}", source.home().join("layout").display());

    let victim = TestProject::new();
    let _ = victim.run(&["init", "--ref", &layout, "--tag", "old"]).success();
    let pull = |tag: &str| victim.command(["pull", tag, "--overwrite", "--json"]);
    let _ = pull("old").run().success();
    // The shortest of a few, so that a busy moment of the machine does not make most kills come too late.
    let tries = ["new", "old", "new", "old"].map(|tag| pull(tag).run().success().took());
    let undisturbed = tries.into_iter().min().unwrap();

    let (mut olds, mut news, mut killed) = (0, 0, 0);
    let mut expected = old.clone();
    for kill in 0..KILLS {
        let (tag, target) = if kill % 2 == 0 { ("new", &new) } else { ("old", &old) };
        // From before it starts to a little after it should have ended.
        let delay: Duration = undisturbed * (kill * 7 % KILLS) * 11 / (KILLS * 10);
        let output = pull(tag).run_killed_after(delay);
        killed += u32::from(output.was_killed());
        let _ = victim.run(&["status", "--offline", "--json"]).success();
        let tree = victim.tree();
        if tree == *target {
            news += 1;
        } else {
            olds += 1;
            tree.assert_same(&expected);
        }
        // What the project remembers fits what it holds: a further pull has nothing in its way.
        let _ = victim.run(&["pull", tag]).code(if tree == *target { 0 } else { 3 });
        let _ = pull(tag).run().success();
        victim.tree().assert_same(target);
        expected = target.clone();
        assert!(
            !victim.exists(".modelops-bundle/staging") && !victim.exists(".modelops-bundle/journal.json")
        );
    }
    println!("killed {killed} of {KILLS} pulls: {olds} times the old tree, {news} times the new one");
    assert!(killed > KILLS / 3, "most kills must hit a running pull");
}

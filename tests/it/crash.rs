//! kill -9 at any instant of a pull: the next command leaves the old tree or the new one, whole. The same of a push: the
//! tag names the old bundle or the new one, and the next push finishes.

use std::time::Duration;

use modelops_bundle_tests::{TestProject, Tree, noise};

/// How many kills; spread over the length of an undisturbed run, most of them where it works.
const KILLS: u32 = 60;

/// How many where most of what happens was tried with those.
const FEWER_KILLS: u32 = 20;

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

/// The same with large files, which change in their middle.
fn large_trees() -> (Files, Files) {
    let (mut old, mut new) = trees();
    let mut content = noise(1, 3_000_000);
    old.push(("large".to_owned(), content.clone()));
    content.splice(1_500_000..1_500_100, noise(3, 300_000));
    new.push(("large".to_owned(), content));
    (old, new)
}

/// The moment of the `kill`-th of `kills`: from before a run starts to a little after it should have ended.
fn moment(undisturbed: Duration, kill: u32, kills: u32) -> Duration {
    undisturbed * (kill * 7 % kills) * 11 / (kills * 10)
}

// README: "A pull is all or nothing. Everything is downloaded and verified before the first file is touched, then put in place
// under a journal: killed at any instant, the next command leaves the old tree or the new one, whole."
#[test]
fn the_tree_is_the_old_one_or_the_new_one() {
    println!("{}", kill_pulls(&TestProject::on_layout(), &trees(), KILLS));
}

#[test]
fn a_packed_tree_is_the_old_one_or_the_new_one() {
    println!("{}", kill_pulls(&TestProject::packed_on_layout(), &large_trees(), FEWER_KILLS));
}

/// Pulls one tree over the other, again and again, and kills each pull; tells what came of it.
fn kill_pulls(source: &TestProject, (old_files, new_files): &(Files, Files), kills: u32) -> String {
    let old = push(source, old_files, "old");
    let new = push(source, new_files, "new");
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
    for kill in 0..kills {
        let (tag, target) = if kill % 2 == 0 { ("new", &new) } else { ("old", &old) };
        let output = pull(tag).run_killed_after(moment(undisturbed, kill, kills));
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
        let _ = victim.run(&["pull", tag]).success();
        victim.tree().assert_same(target);
        expected = target.clone();
        assert!(
            !victim.exists(".modelops-bundle/staging") && !victim.exists(".modelops-bundle/journal.json")
        );
    }
    assert!(killed > kills / 3, "most kills must hit a running pull");
    format!("killed {killed} of {kills} pulls: {olds} times the old tree, {news} times the new one")
}

#[test]
fn the_tag_of_a_packed_push_names_the_old_bundle_or_the_new_one() {
    let source = TestProject::packed_on_layout();
    let (old_files, new_files) = large_trees();
    let mut current = push(&source, &old_files, "latest");
    let mut next = push(&source, &new_files, "other");
    let reader = TestProject::new();
    let layout = format!("oci:{}", source.home().join("layout").display());
    let _ = reader.run(&["init", "--ref", &layout]).success();
    let prepare = |tree: &Tree| {
        let gitignore = source.read(".gitignore");
        // A file in one tree, a folder in the other.
        source.remove("swap");
        source.replace_by(tree).write(".gitignore", gitignore);
        let _ = source.run(&["add", "--quiet", "."]).success();
    };
    prepare(&next);
    let undisturbed = source.run(&["push", "--force"]).success().took();
    std::mem::swap(&mut current, &mut next);
    let mut killed = 0;
    for kill in 0..FEWER_KILLS {
        prepare(&next);
        // New content each time, so that there is always something to send.
        source.write("news", noise(u64::from(kill) * 2 + 11, 1_000_000));
        let _ = source.run(&["add", "--quiet", "news"]).success();
        let expected = source.tree();
        let output = source.command(["push"]).run_killed_after(moment(undisturbed, kill, FEWER_KILLS));
        killed += u32::from(output.was_killed());
        let _ = reader.run(&["pull", "--overwrite"]).success();
        let found = reader.tree();
        if found != expected {
            found.assert_same(&current);
        }
        let _ = source.run(&["push"]).success();
        let _ = reader.run(&["pull", "--overwrite"]).success();
        reader.tree().assert_same(&expected);
        assert!(!source.exists(".modelops-bundle/staging"));
        next = std::mem::replace(&mut current, expected).filtered(|path| path != "news");
    }
    assert!(killed > FEWER_KILLS / 3, "most kills must hit a running push");
}

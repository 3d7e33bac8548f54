//! "What protects you" in README.md: each sentence of it, with the test that holds it, here or beside what it is about.

use std::fs;
use std::path::Path;

use modelops_bundle_tests::{Registry, TestProject, Tree, changes_in, paths_in};
use serde_json::{Value, json};

/// The section's sentences, as they read without their marks.
fn sentences() -> Vec<String> {
    let readme = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../README.md")).unwrap();
    let (_, section) = readme.split_once("## What protects you").unwrap();
    let (section, _) = section.split_once("\n## ").unwrap();
    let text = words(&section.replace("\n- ", " "));
    let mut sentences: Vec<String> = text.split_inclusive(". ").map(|part| part.trim().to_owned()).collect();
    sentences.retain(|sentence| !sentence.is_empty());
    sentences
}

/// A text without line breaks and bold marks.
fn words(text: &str) -> String {
    text.replace("**", "").split_whitespace().collect::<Vec<_>>().join(" ")
}

#[test]
fn each_sentence_stands_at_a_test() {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR"));
    let folder = tests.join("it");
    let mut files: Vec<_> = Tree::read(&folder).paths().map(|path| folder.join(path)).collect();
    files.push(tests.join("../host-native/src/pull.rs"));
    let mut comments = String::new();
    for file in files {
        for line in fs::read_to_string(file).unwrap().lines() {
            let line = line.trim_start();
            if let Some(comment) = line.strip_prefix("//") {
                comments.push_str(comment.trim_start_matches(['/', '!']));
                comments.push(' ');
            } else {
                comments.push('\n');
            }
        }
    }
    let comments: Vec<String> = comments.lines().map(words).collect();
    let sentences = sentences();
    assert!(sentences.len() > 20, "{sentences:#?}");
    let bare: Vec<_> = sentences
        .iter()
        .filter(|sentence| !comments.iter().any(|comment| comment.contains(sentence.as_str())))
        .collect();
    assert!(bare.is_empty(), "no comment of a test has these sentences of README: {bare:#?}");
}

/// Two projects on one remote, both with `a`, `b` and `c`.
fn two() -> (TestProject, TestProject) {
    let first = TestProject::on_layout();
    first.write("a", "1").write("b", "1").write("c", "1");
    let _ = first.run(&["add", "a", "b", "c"]).success();
    let _ = first.run(&["push"]).success();
    let second = first.pulled_again();
    (first, second)
}

/// The files of a bundle with their contents, as somebody who comes anew gets them.
fn remote(reference: &str) -> Vec<String> {
    let place = TestProject::new();
    let _ = place.run(&["pull", reference]).success();
    let tree = place.tree();
    let own = tree.paths().filter(|path| *path != ".gitignore");
    own.map(|path| format!("{path}={}", place.read_text(path))).collect()
}

fn layout(project: &TestProject) -> String {
    format!("oci:{}:latest", project.home().join("layout").display())
}

// README: "A push does not undo what you have not seen. Where others changed the remote since your project was last in step with
// it, a push stops and lists the paths (exit code 3)."
#[test]
fn a_push_stops_at_what_others_changed() {
    let (first, second) = two();
    first.write("a", "theirs").write("new", "theirs").remove("c");
    let _ = first.run(&["add", "new"]).success();
    let _ = first.run(&["push"]).success();
    let before = remote(&layout(&first));
    second.write("b", "mine");
    for arguments in [&["push", "--json"][..], &["push", "--json", "--dry-run"]] {
        let output = second.run(arguments).code(3);
        let document = output.json();
        assert_eq!(document["error"]["paths"], json!(["a", "c", "new"]), "{output}");
    }
    assert_eq!(remote(&layout(&first)), before);
    // What is the same on both sides by now is nothing to stop at.
    second.write("a", "theirs").write("new", "theirs").remove("c");
    let _ = second.run(&["add", "new"]).success();
    let _ = second.run(&["push"]).success();
    assert_eq!(remote(&layout(&first)), ["a=theirs", "b=mine", "new=theirs"]);
}

// README: "So does the push of a project that never pulled, of one that was sent to another remote, and of one that has looked
// back at an older version."
#[test]
fn a_push_stops_however_it_came_not_to_have_seen() {
    let (first, second) = two();
    let place = layout(&first);
    let whole = remote(&place);
    let stops = |project: &TestProject, paths: Value| {
        let output = project.run(&["push", "--json"]).code(3);
        assert_eq!(output.json()["error"]["paths"], paths, "{output}");
    };
    // Never pulled.
    let fresh = TestProject::new();
    let _ = fresh.run(&["init", "--ref", &place]).success();
    fresh.write("mine", "mine");
    let _ = fresh.run(&["add", "mine"]).success();
    stops(&fresh, json!(["a", "b", "c"]));
    // Sent elsewhere.
    let elsewhere = TestProject::on_layout();
    elsewhere.write("other", "1");
    let _ = elsewhere.run(&["add", "other"]).success();
    let _ = elsewhere.run(&["push"]).success();
    let _ = elsewhere.run(&["init", "--ref", &place]).success();
    stops(&elsewhere, json!(["a", "b", "c", "other"]));
    assert_eq!(remote(&place), whole);
    // Looked back, by the one who pushed both versions: with an edit and without.
    let _ = first.run(&["push", "--tag", "old"]).success();
    first.write("a", "2");
    let _ = first.run(&["push"]).success();
    let _ = first.run(&["pull", "old"]).success();
    assert_eq!(first.read_text("a"), "1");
    stops(&first, json!(["a"]));
    first.write("b", "mine");
    stops(&first, json!(["a"]));
    assert_eq!(remote(&place), ["a=2", "b=1", "c=1"]);
    // Forward again, and nothing is left to stop at.
    let _ = first.run(&["pull"]).success();
    let _ = first.run(&["push"]).success();
    assert_eq!(remote(&place), ["a=2", "b=mine", "c=1"]);
    drop(second);
}

// README: "Pull first, or say `--replace`; what that replaces is named."
#[test]
fn a_replacing_push_names_what_it_replaces() {
    let (first, second) = two();
    first.write("a", "theirs").write("new", "theirs");
    let _ = first.run(&["add", "new"]).success();
    let _ = first.run(&["push"]).success();
    second.write("b", "mine");
    let output = second.run(&["push", "--replace", "--json"]).success();
    assert_eq!(output.json()["overwritten"], json!(["a", "new"]), "{output}");
    assert_eq!(remote(&layout(&first)), ["a=1", "b=mine", "c=1"]);

    // By pulling first, both stay.
    let (first, second) = two();
    first.write("a", "theirs");
    let _ = first.run(&["push"]).success();
    second.write("b", "mine");
    let _ = second.run(&["pull"]).success();
    let output = second.run(&["push", "--json"]).success();
    assert_eq!(output.json()["overwritten"], json!([]), "{output}");
    assert_eq!(remote(&layout(&first)), ["a=theirs", "b=mine", "c=1"]);
}

// README: "A published version (`v1.2.3`) is never moved by a push, not even with `--replace`; only `tag --force` moves it."
#[test]
fn a_published_version_is_moved_by_a_forced_tag_alone() {
    let project = TestProject::on_layout();
    project.write("a", "1");
    let _ = project.run(&["add", "a"]).success();
    let _ = project.run(&["push", "--tag", "v1.2.3", "--tag", "latest"]).success();
    project.write("a", "2");
    for flag in ["--replace", "--force", "--json"] {
        let _ = project.run(&["push", "--tag", "v1.2.3", flag]).code(4);
    }
    let place = format!("oci:{}:v1.2.3", project.home().join("layout").display());
    assert_eq!(remote(&place), ["a=1"]);
    let _ = project.run(&["push"]).success();
    let _ = project.run(&["tag", "latest", "v1.2.3"]).code(4);
    assert_eq!(remote(&place), ["a=1"]);
    let _ = project.run(&["tag", "latest", "v1.2.3", "--force"]).success();
    assert_eq!(remote(&place), ["a=2"]);
}

// README: "A pull merges by file. What only others changed comes; what only you changed stays and is named."
#[test]
fn a_pull_brings_theirs_and_keeps_mine() {
    let (first, second) = two();
    first.write("a", "theirs").write("new", "theirs");
    let _ = first.run(&["add", "new"]).success();
    let _ = first.run(&["push"]).success();
    second.write("b", "mine").remove("c").write("own", "mine");
    let _ = second.run(&["add", "own"]).success();
    let output = second.run(&["pull", "--json"]).success();
    let document = output.json();
    assert_eq!(document["written"], json!(["a", "new"]), "{output}");
    let kept = json!([
        {"path": "b", "change": "modified_local"},
        {"path": "c", "change": "deleted_local"},
        {"path": "own", "change": "added_local"},
    ]);
    assert_eq!(document["kept"], kept, "{output}");
    assert_eq!(second.read_text("a") + &second.read_text("b"), "theirsmine");
    assert!(!second.exists("c"));
    assert_ne!(document["local_tree"], document["tree"], "{output}");
    let status = second.run(&["status", "--json"]).success().json();
    assert_eq!(changes_in(&status), ["modified_local b", "deleted_local c", "added_local own"]);
    // In words too: it never says that the project has what the remote has.
    let text = second.run(&["pull"]).success();
    assert!(text.stdout().contains("kept yours: ") && !text.stdout().contains("has what"), "{text}");
}

// README: "Where both changed the same file, or a file that nobody tracks is in the way, it stops (exit code 3), says of each file
// why, and changes nothing. With `--mine` and `--theirs` you say whose counts."
#[test]
fn a_pull_stops_at_a_conflict_until_it_is_settled() {
    let (first, second) = two();
    first
        .write("a", "theirs")
        .write("b", "theirs")
        .write("new", "theirs")
        .write("calm", "theirs")
        .remove("c");
    let _ = first.run(&["add", "new", "calm"]).success();
    let _ = first.run(&["push"]).success();
    second.write("a", "mine").write("b", "mine").write("c", "mine").write("new", "mine");
    let before = second.tree();
    let tracked = second.read_text(".modelops-bundle/tracked.txt");
    let blocked = json!([
        {"path": "a", "change": "conflict", "kind": "edited_both"},
        {"path": "b", "change": "conflict", "kind": "edited_both"},
        {"path": "c", "change": "conflict", "kind": "edited_here_deleted_there"},
        {"path": "new", "change": "added_remote", "kind": "in_the_way"},
    ]);
    let unsettled = [&["pull", "--json"][..], &["pull", "--json", "--dry-run"]];
    for arguments in unsettled {
        let output = second.run(arguments).code(3);
        assert_eq!(output.json()["error"]["blocked"], blocked, "{output}");
    }
    let output = second.run(&["pull", "--json", "--mine", "a", "--theirs", "b"]).code(3);
    assert_eq!(output.json()["error"]["paths"], json!(["c", "new"]), "{output}");
    let output = second.run(&["pull", "--json", "--mine", "a", "--theirs", "nowhere"]).code(2);
    assert_eq!(output.json()["error"]["paths"], json!(["nowhere"]), "{output}");
    second.tree().assert_same(&before);
    assert_eq!(second.read_text(".modelops-bundle/tracked.txt"), tracked);

    let settled = ["pull", "--json", "--mine", "a", "--theirs", "b", "--theirs", "c", "--mine", "new"];
    let document = second.run(&settled).success().json();
    assert_eq!(
        (&document["written"], &document["deleted"], &document["adopted"]),
        (&json!(["b", "calm"]), &json!(["c"]), &json!(["new"])),
        "{document}"
    );
    for (path, content) in [("a", "mine"), ("b", "theirs"), ("new", "mine"), ("calm", "theirs")] {
        assert_eq!(second.read_text(path), content, "{path}");
    }
    assert!(!second.exists("c"));
    let status = second.run(&["status", "--json"]).success().json();
    assert_eq!(changes_in(&status), ["modified_local a", "modified_local new"]);
}

// README: "What a command takes from your disk can be brought back. What a pull or `remove --rm` replaces or deletes is kept in the
// project, unless the remote has it, and `undo` brings it back."
#[test]
fn what_is_taken_from_the_disk_comes_back() {
    let (first, second) = two();
    first.write("a", "theirs").remove("c");
    let _ = first.run(&["push"]).success();
    second.write("a", "mine").write("b", "mine").write("c", "mine");
    let before = second.tree();
    let document = second.run(&["pull", "--overwrite", "--json"]).success().json();
    assert_eq!(paths_in(&document, "replaced").into_iter().collect::<Vec<_>>(), ["a", "b"], "{document}");
    assert_eq!(document["deleted"], json!(["c"]), "{document}");
    assert_eq!(second.read_text("a") + &second.read_text("b"), "theirs1");
    let mine = bundle_core::digest::Digest::of(b"mine").to_string();
    assert!(second.undo_store().contains(&mine));
    let _ = second.run(&["undo"]).success();
    second.tree().assert_same(&before);

    let _ = second.run(&["remove", "--rm", "--force", "b"]).success();
    assert!(!second.exists("b") && second.undo_store().contains(&mine));
    let _ = second.run(&["undo"]).success();
    second.tree().assert_same(&before);
    let status = second.run(&["status", "--json"]).success().json();
    assert!(changes_in(&status).contains(&"modified_local b".to_owned()), "{status}");
}

// README: "`remove --rm` stops at files that you edited or never pushed, unless `--force` is given."
#[test]
fn a_removal_from_disk_stops_at_what_is_nowhere_else() {
    let (_first, second) = two();
    second.write("a", "edited").write("new", "never pushed");
    let _ = second.run(&["add", "new"]).success();
    let before = second.tree();
    let output = second.run(&["remove", "--rm", "a", "b", "new", "--json"]).code(3);
    assert_eq!(output.json()["error"]["paths"], json!(["a", "new"]), "{output}");
    second.tree().assert_same(&before);
    assert!(second.read_text(".modelops-bundle/tracked.txt").contains("b\n"));
    // Without --rm nothing is lost, and what is as it was pushed may go.
    let _ = second.run(&["remove", "--rm", "b"]).success();
    let _ = second.run(&["remove", "a"]).success();
    let _ = second.run(&["remove", "--rm", "new", "--force"]).success();
    assert_eq!(second.tree().paths().collect::<Vec<_>>(), [".gitignore", "a", "c"]);
}

/// A project with so many files, pushed, and a second one that has them.
fn many(files: usize) -> (TestProject, TestProject) {
    let first = TestProject::on_layout();
    for at in 0..files {
        first.write(&format!("d/{at:02}"), format!("content {at}"));
    }
    let _ = first.run(&["add", "d"]).success();
    let _ = first.run(&["push"]).success();
    let second = first.pulled_again();
    (first, second)
}

// README: "Nothing goes by the dozen without a word. A push or a pull that drops all files, or more than half of them and more than
// ten, stops with their number (exit code 3); `push --replace` and `pull --accept-deletions` go on."
#[test]
fn a_mass_of_deletions_stops_with_their_number() {
    for (files, gone, stops) in [(1, 1, true), (3, 3, true), (21, 11, true), (21, 10, false), (24, 12, false)]
    {
        let (first, second) = many(files);
        for at in 0..gone {
            first.remove(&format!("d/{at:02}"));
        }
        let push = ["push", "--json"];
        if stops {
            let output = first.run(&push).code(3);
            let message = output.json()["error"]["message"].as_str().unwrap().to_owned();
            assert!(message.contains(&gone.to_string()), "{gone} of {files}: {output}");
            assert_eq!(remote(&layout(&first)).len(), files);
        }
        let push = if stops { &["push", "--json", "--replace"][..] } else { &push };
        let document = first.run(push).success().json();
        assert_eq!(paths_in(&document, "deleted").len(), gone, "{document}");

        let pull = ["pull", "--json"];
        if stops {
            let output = second.run(&pull).code(3);
            let message = output.json()["error"]["message"].as_str().unwrap().to_owned();
            assert!(message.contains(&gone.to_string()), "{gone} of {files}: {output}");
            assert!(second.exists("d/00"));
        }
        let pull = if stops { &["pull", "--json", "--accept-deletions"][..] } else { &pull };
        let document = second.run(pull).success().json();
        assert_eq!(paths_in(&document, "deleted").len(), gone, "{document}");
    }
}

// README: "A push that drops files which lie in the project under a name that is not tracked stops too, and says how to track
// them."
#[test]
fn a_push_that_drops_what_lies_there_untracked_says_how_to_track_it() {
    let (first, _second) = two();
    // A rename by hand: the old name is gone, and nobody has added the new one.
    fs::create_dir(first.path().join("moved")).unwrap();
    fs::rename(first.path().join("a"), first.path().join("moved/a")).unwrap();
    let output = first.run(&["push"]).code(3);
    assert!(output.stderr().contains("add moved") && output.stderr().contains("  a\n"), "{output}");
    assert_eq!(remote(&layout(&first)), ["a=1", "b=1", "c=1"]);
    let _ = first.run(&["add", "moved"]).success();
    let document = first.run(&["push", "--json"]).success().json();
    assert_eq!(document["deleted"], json!(["a"]), "{document}");
    assert_eq!(remote(&layout(&first)), ["b=1", "c=1", "moved/a=1"]);
    // What was removed on purpose is dropped, and stays where it is.
    let _ = first.run(&["remove", "b"]).success();
    let document = first.run(&["push", "--json"]).success().json();
    assert_eq!(document["deleted"], json!(["b"]), "{document}");
    assert_eq!(first.read_text("b"), "1");
    assert_eq!(remote(&layout(&first)), ["c=1", "moved/a=1"]);
}

/// The same on a registry: what is dropped by a script that says what it expects.
#[test]
fn a_script_says_what_it_expects_a_tag_to_name() {
    let Some(registry) = Registry::get() else { return };
    let project = TestProject::new();
    let _ = project.run(&["init", "--ref", &format!("{}/p", registry.host())]).success();
    project.write("a", "1");
    let _ = project.run(&["add", "a"]).success();
    let nothing = bundle_core::digest::Digest::of(b"nothing").to_string();
    let _ = project.run(&["push", "--expect", &nothing]).code_among(&[3, 4]);
    assert_eq!(registry.client().tag_digest("p", "latest"), None);
    let first = project.run(&["push", "--expect", "absent", "--json"]).success().json();
    project.write("a", "2");
    let _ = project.run(&["push", "--expect", "absent"]).code_among(&[3, 4]);
    let _ = project.run(&["push", "--expect", &nothing]).code_among(&[3, 4]);
    let now = registry.client().tag_digest("p", "latest");
    assert_eq!(now.as_deref(), first["digest"].as_str());
    let _ = project.run(&["push", "--expect", now.as_deref().unwrap()]).success();
    assert_ne!(registry.client().tag_digest("p", "latest"), now);
}

// What the rules say beyond that section.

#[test]
fn a_push_that_stops_says_which_case_it_is() {
    let (first, second) = two();
    let _ = first.run(&["push", "--tag", "1.0.0"]).success();
    first.write("a", "2").write("b", "2").write("new", "2");
    let _ = first.run(&["add", "new"]).success();
    let _ = first.run(&["push"]).success();
    let fresh = TestProject::new();
    let _ = fresh.run(&["init", "--ref", &layout(&first)]).success();
    fresh.write("a", "2").write("mine", "mine");
    let _ = fresh.run(&["add", "a", "mine"]).success();
    let output = fresh.run(&["push"]).code(3);
    assert!(output.stderr().contains("latest has 3 changes that yours is not built on"), "{output}");
    second.write("c", "mine");
    let output = second.run(&["push"]).code(3);
    assert!(output.stderr().contains("2 bundles behind latest"), "{output}");

    // Looked back.
    let _ = first.run(&["pull", "1.0.0"]).success();
    let output = first.run(&["push"]).code(3);
    let words = output.stderr();
    assert!(words.contains("you are at 1.0.0, 1 bundle behind latest"), "{output}");
    assert!(words.contains("pull to go forward"), "{output}");

    // Moved back by somebody else.
    let _ = first.run(&["pull"]).success();
    let _ = second.run(&["tag", "1.0.0", "latest", "--force"]).success();
    first.write("c", "3");
    let output = first.run(&["push"]).code(3);
    assert!(output.stderr().contains("latest was moved back to 1.0.0 since you saw it"), "{output}");
    assert_eq!(remote(&layout(&first)), ["a=1", "b=1", "c=1"]);
}

#[test]
fn a_push_forward_from_an_ancestor_is_free() {
    let (first, _second) = two();
    // On a tag of its own, further and further; `latest` stays where it is.
    for content in ["2", "3"] {
        first.write("a", content).write("only-once", content);
        let _ = first.run(&["add", "only-once"]).success();
        let _ = first.run(&["push", "--tag", "dev"]).success();
    }
    first.remove("only-once").write("b", "4");
    let output = first.run(&["push", "--json"]).success();
    assert_eq!(output.json()["overwritten"], json!([]), "{output}");
    assert_eq!(remote(&layout(&first)), ["a=3", "b=4", "c=1"]);
}

#[test]
fn a_tag_that_names_nothing_is_no_empty_bundle() {
    let project = TestProject::on_layout();
    project.write("a", "1").write("b", "1");
    let _ = project.run(&["add", "a", "b"]).success();
    let pushed = project.run(&["push", "--tag", "v1.0.0", "--json"]).success().json();
    let status = project.run(&["status", "--json"]).success();
    let document = status.json();
    assert_eq!((changes_in(&document), &document["base"]["digest"]), (vec![], &pushed["digest"]), "{status}");
    assert_eq!(document["base"]["version"], "v1.0.0", "{status}");
    let text = project.run(&["status"]).success();
    assert!(text.stdout().contains("latest") && !text.stdout().contains("deleted_remote"), "{text}");
    project.write("a", "2");
    let status = project.run(&["status", "--json"]).success().json();
    assert_eq!(changes_in(&status), ["modified_local a"]);
    // A push there has nothing to undo.
    project.remove("b");
    let _ = project.run(&["push"]).success();
    assert_eq!(remote(&layout(&project)), ["a=2"]);
}

#[test]
fn a_pull_records_the_whole_bundle_also_where_it_left_a_path_alone() {
    let (first, second) = two();
    first.write("a", "theirs").write("b", "theirs");
    let _ = first.run(&["push"]).success();
    second.write("a", "mine").remove("c");
    let _ = second.run(&["remove", "--rm", "b"]).success();
    let _ = second.run(&["pull", "--mine", "a", "--mine", "b"]).success();
    // Nothing of it is unseen: what it leaves out and changes is its own doing.
    let status = second.run(&["status", "--json"]).success().json();
    assert_eq!(changes_in(&status), ["modified_local a", "deleted_local b", "deleted_local c"]);
    let state: Value = serde_json::from_slice(&second.read(".modelops-bundle/state.json")).unwrap();
    let synced = state["last_synced_files"].as_object().unwrap();
    let theirs = bundle_core::digest::Digest::of(b"theirs").to_string();
    for path in ["a", "b"] {
        assert_eq!(synced[path], theirs, "{path}");
    }
    assert_eq!(synced.len(), 3);
}

#[test]
fn an_exact_pull_ends_with_the_very_tree_or_changes_nothing() {
    let (first, second) = two();
    first.write("a", "theirs");
    let tree = first.run(&["push", "--json"]).success().json()["tree"].clone();
    second.write("own", "mine");
    let _ = second.run(&["add", "own"]).success();
    let output = second.run(&["pull", "--exact", "--json"]).code(3);
    let blocked = json!([{"path": "own", "change": "added_local", "kind": null}]);
    assert_eq!(output.json()["error"]["blocked"], blocked, "{output}");
    assert_eq!(second.read_text("a"), "1");
    let _ = second.run(&["remove", "own"]).success();
    let document = second.run(&["pull", "--exact", "--json"]).success().json();
    assert_eq!((&document["local_tree"], &document["tree"]), (&tree, &tree), "{document}");
    // As a setting, too; and what is said with the command counts more.
    let _ = second.run(&["add", "own"]).success();
    let _ = second.run(&["config", "set", "pull", "exact"]).success();
    let _ = second.run(&["pull"]).code(3);
    let _ = second.run(&["config", "set", "pull", "safe"]).success();
    second.write("b", "mine");
    let output = second.run(&["pull", "--json"]).code(3);
    assert_eq!(output.json()["error"]["paths"], json!(["b"]), "{output}");
    let _ = second.run(&["config", "set", "pull", "merge"]).success();
    let _ = second.run(&["pull"]).success();
}

#[test]
fn a_gitignore_as_init_wrote_it_is_in_nobodys_way() {
    let first = TestProject::on_layout();
    first.write("a", "1").write(".gitignore", ".modelops-bundle/\nout/\n");
    let _ = first.run(&["add", "a", ".gitignore"]).success();
    let _ = first.run(&["push"]).success();
    let place = layout(&first);
    let second = TestProject::new();
    let _ = second.run(&["init", "--ref", &place]).success();
    assert_eq!(second.read_text(".gitignore"), ".modelops-bundle/\n");
    let _ = second.run(&["pull"]).success();
    assert_eq!(second.read_text(".gitignore"), ".modelops-bundle/\nout/\n");
    // One that somebody wrote himself is.
    let third = TestProject::new();
    let _ = third.run(&["init", "--ref", &place]).success();
    third.write(".gitignore", ".modelops-bundle/\nmine/\n");
    let output = third.run(&["pull", "--json"]).code(3);
    assert_eq!(output.json()["error"]["paths"], json!([".gitignore"]), "{output}");
}

#[test]
fn what_is_brought_back_replaces_no_file_that_nobody_tracks() {
    let (_first, second) = two();
    let _ = second.run(&["remove", "a", "b", "c"]).success();
    // One was edited since, one is as it was, one is gone.
    second.write("a", "mine").remove("c");
    let output = second.run(&["pull", "--restore-deleted", "--json"]).code(3);
    let blocked = json!([{"path": "a", "change": "deleted_local", "kind": "in_the_way"}]);
    assert_eq!(output.json()["error"]["blocked"], blocked, "{output}");
    assert_eq!((second.read_text("a").as_str(), second.exists("c")), ("mine", false));

    let document = second.run(&["pull", "--restore-deleted", "--mine", "a", "--json"]).success().json();
    assert_eq!(
        (&document["adopted"], &document["written"]),
        (&json!(["a", "b"]), &json!(["c"])),
        "{document}"
    );
    assert_eq!(second.read_text("a"), "mine");
}

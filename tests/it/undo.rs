//! `undo`: what operations took away comes back, and what they wrote goes.

#[cfg(target_os = "linux")]
use modelops_bundle_tests::script_with_mounts;
use modelops_bundle_tests::{BundleCommand, TestProject, Tree, noise};
use serde_json::{Value, json};

/// The project's own files that an undo puts back.
const OWN: [&str; 2] = [".modelops-bundle/state.json", ".modelops-bundle/tracked.txt"];

/// A project with three files, of which one can be run, and a clone of it that is one bundle behind: there one was edited,
/// one deleted, one added, and a file became a folder.
fn behind() -> (TestProject, TestProject) {
    let first = TestProject::on_layout();
    first
        .write("a", "1")
        .write("dir/gone", "2")
        .write("swap", "a file")
        .write_executable("run.sh", "#!/bin/sh\n");
    let _ = first.run(&["add", "."]).success();
    let _ = first.run(&["push"]).success();
    let second = first.pulled_again();
    first.write("a", "one").remove("dir").remove("swap").write("swap/inner", "a folder").write("new/b", "3");
    first.write("run.sh", "#!/bin/sh\necho\n");
    let _ = first.run(&["add", "."]).success();
    let _ = first.run(&["push"]).success();
    (first, second)
}

fn own(project: &TestProject) -> Vec<Option<Vec<u8>>> {
    OWN.map(|file| project.exists(file).then(|| project.read(file))).to_vec()
}

fn operations(project: &TestProject) -> Vec<Value> {
    let list = project.run(&["undo", "--list", "--json"]).success().json();
    list["operations"].as_array().unwrap().clone()
}

#[test]
fn a_pull_is_taken_back_and_done_again() {
    let (first, second) = behind();
    let (old, old_own) = (second.tree(), own(&second));
    let pulled = second.run(&["pull", "--overwrite", "--json"]).success().json();
    assert_eq!(pulled["replaced"], json!(["a", "run.sh"]), "{pulled}");
    let (new, new_own) = (second.tree(), own(&second));
    assert_eq!(new, first.tree());

    let undone = second.run(&["undo", "--json"]).success().json();
    assert_eq!(undone["written"], json!(["a", "dir/gone", "run.sh", "swap"]), "{undone}");
    assert_eq!(undone["deleted"], json!(["new/b", "swap/inner"]), "{undone}");
    assert_eq!(undone["edited"], json!([]), "{undone}");
    second.tree().assert_same(&old);
    assert_eq!(own(&second), old_own);
    assert!(!second.exists("new") && !second.exists(".modelops-bundle/staging"));

    let redone = second.run(&["undo", "--json"]).success().json();
    assert!(redone["undone"][0]["command"].as_str().unwrap().starts_with("undo of pull oci:"), "{redone}");
    second.tree().assert_same(&new);
    assert_eq!(own(&second), new_own);
    // And back again, as often as one likes.
    let _ = second.run(&["undo"]).success();
    second.tree().assert_same(&old);
    assert_eq!(operations(&second).len(), 1);
}

#[test]
fn the_first_pull_of_a_project_is_taken_back() {
    let first = TestProject::on_layout();
    first.write("a", "1").write("dir/b", "2");
    let _ = first.run(&["add", "a", "dir"]).success();
    let _ = first.run(&["push"]).success();
    let second = TestProject::new();
    let layout = format!("oci:{}", first.home().join("layout").display());
    let _ = second.run(&["init", "--ref", &layout]).success();
    let (tree, files) = (second.tree(), own(&second));
    assert_eq!(files, [None, None]);
    let _ = second.run(&["pull"]).success();
    let (new, new_files) = (second.tree(), own(&second));
    let _ = second.run(&["undo"]).success();
    second.tree().assert_same(&tree);
    assert_eq!(own(&second), files);
    let _ = second.run(&["undo"]).success();
    second.tree().assert_same(&new);
    assert_eq!(own(&second), new_files);
    // A bundle that is made a project of is none that can be taken back.
    assert_eq!(operations(&first.pulled_again()), Vec::<Value>::new());
}

#[test]
fn a_dry_run_says_what_would_be_done() {
    let (_first, second) = behind();
    let _ = second.run(&["pull", "--overwrite"]).success();
    let before = Tree::read(&second.path().join(".modelops-bundle"));
    let tree = second.tree();
    let dry = second.run(&["undo", "--dry-run", "--json"]).success().json();
    second.tree().assert_same(&tree);
    Tree::read(&second.path().join(".modelops-bundle")).assert_same(&before);
    let mut done = second.run(&["undo", "--json"]).success().json();
    assert_eq!((&dry["dry_run"], &done["dry_run"]), (&json!(true), &json!(false)));
    done["dry_run"] = json!(true);
    assert_eq!(dry, done);
}

#[test]
fn a_file_that_was_edited_since_is_kept_too() {
    let (_first, second) = behind();
    let _ = second.run(&["pull", "--overwrite"]).success();
    second.write("a", "a day of work").write("new/b", "another one").remove("run.sh");
    let before = second.tree();
    let undone = second.run(&["undo", "--json"]).success().json();
    assert_eq!(undone["edited"], json!(["a", "new/b", "run.sh"]), "{undone}");
    assert_eq!(undone["kept"], json!(["a", "new/b", "swap/inner"]), "{undone}");
    assert_eq!(second.read_text("a"), "1");
    let _ = second.run(&["undo"]).success();
    second.tree().assert_same(&before);
}

#[test]
fn what_stands_in_the_way_of_an_undo_stops_it() {
    let (_first, second) = behind();
    let _ = second.run(&["pull", "--overwrite"]).success();
    second.write("swap/mine", "mine");
    let (tree, files) = (second.tree(), own(&second));
    let error = second.run(&["undo", "--json"]).code(3).json();
    assert_eq!(error["error"]["paths"], json!(["swap"]), "{error}");
    second.tree().assert_same(&tree);
    assert_eq!(own(&second), files);
    second.remove("swap/mine");
    let _ = second.run(&["undo"]).success();
    assert_eq!(second.read_text("swap"), "a file");
}

#[test]
fn add_and_remove_are_taken_back() {
    let project = TestProject::on_layout();
    project.write("a", "1").write("b", "2");
    let tracked = || match project.exists(OWN[1]) {
        true => project.read_text(OWN[1]),
        false => String::new(),
    };
    let _ = project.run(&["add", "a"]).success();
    let _ = project.run(&["add", "b"]).success();
    let _ = project.run(&["undo"]).success();
    assert_eq!(tracked(), "a\n");
    let _ = project.run(&["undo"]).success();
    assert_eq!(tracked(), "a\nb\n");
    let _ = project.run(&["remove", "a"]).success();
    assert_eq!(tracked(), "b\n");
    let _ = project.run(&["undo"]).success();
    assert_eq!(tracked(), "a\nb\n");
    let removed = project.run(&["remove", "--rm", "--force", "a", "b", "--json"]).success().json();
    assert_eq!(removed["deleted"], json!(["a", "b"]));
    assert!(!project.exists("a") && tracked().is_empty());
    let _ = project.run(&["undo"]).success();
    assert_eq!(
        (project.read_text("a"), project.read_text("b"), tracked()),
        ("1".into(), "2".into(), "a\nb\n".into())
    );
}

#[test]
fn files_that_are_nowhere_else_are_deleted_only_by_force() {
    let project = TestProject::on_layout();
    project.write("same", "1").write("edited", "1").write("never", "1");
    let _ = project.run(&["add", "same", "edited"]).success();
    let _ = project.run(&["push"]).success();
    let _ = project.run(&["add", "never"]).success();
    project.write("edited", "a day of work");
    let before = project.tree();
    let error = project.run(&["remove", "--rm", "same", "edited", "never", "--json"]).code(3).json();
    assert_eq!(error["error"]["paths"], json!(["edited", "never"]), "{error}");
    project.tree().assert_same(&before);
    let _ = project.run(&["remove", "--rm", "same"]).success();
    let _ = project.run(&["remove", "--rm", "-f", "edited", "never"]).success();
    assert!(!project.exists("same") && !project.exists("edited") && !project.exists("never"));
}

#[test]
fn several_operations_are_taken_back_as_one() {
    let project = TestProject::on_layout();
    for name in ["a", "b", "c"] {
        project.write(name, name);
        let _ = project.run(&["add", name]).success();
    }
    let _ = project.run(&["remove", "--rm", "--force", "a"]).success();
    let _ = project.run(&["remove", "--rm", "--force", "b"]).success();
    let list = operations(&project);
    let commands: Vec<&str> = list.iter().map(|one| one["command"].as_str().unwrap()).collect();
    assert_eq!(commands, ["remove --rm b", "remove --rm a", "add c", "add b", "add a"]);
    assert_eq!(
        (&list[0]["number"], &list[0]["deleted"], &list[0]["kept"]),
        (&json!(1), &json!(1), &json!(1))
    );
    let undone = project.run(&["undo", "3", "--json"]).success().json();
    assert_eq!(undone["undone"].as_array().unwrap().len(), 3);
    assert_eq!((project.read_text("a"), project.read_text("b")), ("a".into(), "b".into()));
    assert_eq!(project.read_text(OWN[1]), "a\nb\n");
    let list = operations(&project);
    assert_eq!((list.len(), &list[0]["command"]), (3, &json!("undo of remove --rm b and 2 more")));
    // One step further back than where the undo led.
    let _ = project.run(&["undo", "2"]).success();
    assert_eq!(project.read_text(OWN[1]), "a\n");
    let error = project.run(&["undo", "9", "--json"]).code(6).json();
    assert_eq!(error["error"]["message"], "only 2 can be taken back");
}

#[test]
fn no_undo_goes_back_to_before_a_push() {
    let (_first, second) = behind();
    let _ = second.run(&["pull", "--overwrite"]).success();
    second.write("a", "mine");
    let _ = second.run(&["push"]).success();
    let error = second.run(&["undo", "--json"]).code(3).json();
    assert!(error["error"]["hint"].as_str().unwrap().contains("@sha256:"), "{error}");
    assert_eq!(operations(&second)[0]["fault"], "before a push");
    second.write("c", "c");
    let _ = second.run(&["add", "c"]).success();
    let _ = second.run(&["undo"]).success();
    let _ = second.run(&["undo", "2"]).code(3);
}

#[test]
fn what_does_not_fit_stops_a_command() {
    let (_first, second) = behind();
    second.write("a", "edited by hand");
    let before = second.tree();
    let limited = |arguments: &[&str]| -> BundleCommand {
        second.command(arguments).env("MODELOPS_BUNDLE_UNDO_LIMIT", "20")
    };
    let error = limited(&["pull", "--overwrite", "--json"]).run().code(3).json();
    let message = error["error"]["message"].as_str().unwrap();
    assert!(message.contains("20 B"), "{error}");
    assert!(error["error"]["hint"].as_str().unwrap().contains("--no-keep"), "{error}");
    second.tree().assert_same(&before);
    let _ = limited(&["pull", "--overwrite", "--dry-run"]).run().code(3);
    let _ = limited(&["pull", "--overwrite", "--no-keep"]).run().success();
    assert_eq!(second.read_text("a"), "one");
    let error = second.run(&["undo", "--json"]).code(3).json();
    assert!(error["error"]["message"].as_str().unwrap().contains("kept nothing"), "{error}");
}

#[test]
fn older_operations_make_room_and_are_named() {
    let project = TestProject::on_layout();
    project.write("a", "0123456789").write("b", "0123456789").write("c", "0123456789");
    let limit = |arguments: &[&str]| {
        project.command(arguments).env("MODELOPS_BUNDLE_UNDO_LIMIT", "25").run().success().json()
    };
    let _ = limit(&["add", "a", "b", "c", "--json"]);
    let _ = limit(&["remove", "--rm", "-f", "a", "--json"]);
    let _ = limit(&["remove", "--rm", "-f", "b", "--json"]);
    let report = limit(&["remove", "--rm", "-f", "c", "--json"]);
    assert_eq!(report["expired"], json!(["a"]));
    assert_eq!(operations(&project).len(), 2);
    for number in 0..25 {
        let name = format!("n{number}");
        project.write(&name, &name);
        let _ = project.run(&["add", &name]).success();
    }
    assert_eq!(operations(&project).len(), 20);
    project.write("more", "more");
    let off = project.command(["add", "more"]).env("MODELOPS_BUNDLE_UNDO_LIMIT", "0").run();
    let _ = off.success();
    assert_eq!(operations(&project), Vec::<Value>::new());
}

#[test]
fn content_that_the_new_bundle_has_is_not_kept_and_comes_back_all_the_same() {
    for layout in ["files", "packed"] {
        let first = TestProject::on_layout();
        let _ = first.run(&["config", "set", "layout", layout]).success();
        let content = noise(7, 300_000);
        first.write("data/a", &content).write_executable("data/run", &content).write("b", "b");
        let _ = first.run(&["add", "."]).success();
        let _ = first.run(&["push"]).success();
        let second = first.pulled_again();
        let old = second.tree();
        first.remove("data").write("moved/a", &content);
        let _ = first.run(&["add", "."]).success();
        let _ = first.run(&["push"]).success();
        let _ = second.run(&["pull", "--overwrite"]).success();
        let new = second.tree();
        assert_eq!(operations(&second)[0]["kept"], 0);
        let _ = second.run(&["undo"]).success();
        second.tree().assert_same(&old);
        let _ = second.run(&["undo"]).success();
        second.tree().assert_same(&new);
        // It is nowhere in the project now, and comes from the bundle that was pulled.
        let _ = second.run(&["undo"]).success();
        let _ = second.run(&["pull", "--overwrite"]).success();
        second.write("moved/a", "edited");
        let undone = second.run(&["undo", "--json"]).success().json();
        assert_eq!(undone["edited"], json!(["moved/a"]));
        second.tree().assert_same(&old);
        let _ = second.run(&["undo"]).success();
        assert_eq!(second.read_text("moved/a"), "edited");
    }
}

#[cfg(unix)]
#[test]
fn a_link_that_a_pull_replaced_is_a_link_again() {
    let first = TestProject::on_layout();
    first.write("real", "content");
    std::os::unix::fs::symlink("real", first.path().join("link")).unwrap();
    let _ = first.run(&["add", "."]).success();
    let _ = first.run(&["push"]).success();
    let other = first.pulled_again();
    other.write("link", "from elsewhere");
    let _ = other.run(&["push"]).success();
    let _ = first.run(&["pull"]).success();
    assert!(!first.path().join("link").is_symlink());
    let _ = first.run(&["undo"]).success();
    assert_eq!(std::fs::read_link(first.path().join("link")).unwrap(), std::path::Path::new("real"));
    let _ = first.run(&["undo"]).success();
    assert_eq!(
        (first.read_text("link"), first.read_text("real")),
        ("from elsewhere".into(), "content".into())
    );
}

#[cfg(target_os = "linux")]
#[test]
fn where_the_store_or_a_folder_is_on_another_file_system_content_is_copied() {
    let first = TestProject::on_layout();
    first.write("a", "1").write("m/b", "2").write_executable("m/run", "3").write("m/gone", "4");
    std::os::unix::fs::symlink("a", first.path().join("link")).unwrap();
    let _ = first.run(&["add", "."]).success();
    let _ = first.run(&["push"]).success();
    let second = first.pulled_again();
    second.remove("link");
    std::os::unix::fs::symlink("a", second.path().join("link")).unwrap();
    first.write("a", "one").write("m/b", "two").write("m/run", "three").remove("m/gone").remove("link");
    first.write("link", "a file");
    let _ = first.run(&["push"]).success();
    std::fs::create_dir(second.path().join(".modelops-bundle/undo")).unwrap();
    let script = r#"
        mount -t tmpfs none .modelops-bundle/undo
        cp -a m ../other; mount -t tmpfs none m; cp -a ../other/. m
        show() { cat a m/b m/run; if [ -h link ]; then readlink link; else cat link; fi; ls -A m; test -x m/run; }
        "$MB" pull --overwrite --quiet >&2; show
        "$MB" undo --quiet >&2; show
        "$MB" undo --quiet >&2; show
        ls .modelops-bundle/undo"#;
    let Some(command) = script_with_mounts(&second, script) else { return };
    let output = command.run().success();
    let old = "123a\nb\ngone\nrun\n";
    let new = "onetwothreea file\nb\nrun\n";
    assert_eq!(output.stdout(), format!("{new}{old}{new}3\n").replace("a file\n", "a file"), "{output}");
}

#[test]
fn an_import_into_a_project_is_taken_back() {
    let (first, second) = behind();
    let archive = first.home().join("archive.tar");
    let archive = archive.to_str().unwrap();
    let _ = first.run(&["export", archive]).success();
    let old = second.tree();
    let _ = second.run(&["import", archive, "--dest", ".", "--overwrite"]).success();
    assert_eq!(second.read_text("a"), "one");
    assert_eq!(operations(&second)[0]["kind"], "import");
    let _ = second.run(&["undo"]).success();
    second.tree().assert_same(&old);
}

#[test]
fn a_damaged_operation_is_named_and_never_acted_on() {
    let (_first, second) = behind();
    let _ = second.run(&["pull", "--overwrite"]).success();
    let tree = second.tree();
    let entry = |file: &str| format!(".modelops-bundle/undo/1/{file}");
    for file in ["operation.json", "changes.json", "replaced-0", "own-0"] {
        let content = second.read(&entry(file));
        second.write(&entry(file), &content[..content.len() / 2]);
        let error = second.run(&["undo", "--json"]).code(8).json();
        assert!(error["error"]["message"].as_str().unwrap().contains("operation 1 is damaged"), "{error}");
        second.tree().assert_same(&tree);
        second.write(&entry(file), &content);
    }
    second.write(&entry("operation.json"), "{}").write("c", "c");
    assert!(operations(&second)[0]["command"].is_null());
    // What comes after it can be taken back.
    let _ = second.run(&["add", "c"]).success();
    let _ = second.run(&["undo"]).success();
    let _ = second.run(&["undo", "2"]).code(8);
}

#[cfg(unix)]
#[test]
fn a_store_that_is_none_of_ours_stops_only_what_would_use_it() {
    let (_first, second) = behind();
    let outside = second.home().join("outside");
    std::fs::create_dir(&outside).unwrap();
    std::os::unix::fs::symlink(&outside, second.path().join(".modelops-bundle/undo")).unwrap();
    second.write("c", "c");
    let tree = second.tree();
    let output = second.run(&["pull", "--overwrite"]).code(1);
    assert!(output.stderr().contains("symbolic link") && output.stderr().contains("--no-keep"), "{output}");
    second.tree().assert_same(&tree);
    let output = second.run(&["add", "c"]).success();
    assert!(output.stderr().contains("cannot be taken back"), "{output}");
    let _ = second.run(&["status"]).success();
    let _ = second.run(&["undo"]).code(1);
    let _ = second.run(&["undo", "--list"]).code(1);
    let _ = second.run(&["pull", "--overwrite", "--no-keep"]).success();
    assert_eq!(second.read_text("a"), "one");
    assert_eq!(std::fs::read_dir(&outside).unwrap().count(), 0);
}

#[test]
fn the_limit_is_a_setting() {
    let (_first, second) = behind();
    let _ = second.run(&["config", "set", "undo_limit", "2GiB"]).success();
    assert_eq!(second.run(&["config", "get", "undo_limit"]).success().stdout(), "2147483648\n");
    let _ = second.run(&["config", "set", "undo_limit", "10"]).success();
    let _ = second.run(&["pull", "--overwrite"]).code(3);
    let config = second.read_text(".modelops-bundle/config.yaml");
    second.write(".modelops-bundle/config.yaml", config.replace("undo_limit: 10", "undo_limit: 2GiB"));
    let _ = second.run(&["pull", "--overwrite"]).success();
    second.write(".modelops-bundle/config.yaml", config.replace("undo_limit: 10", "undo_limit: much"));
    let _ = second.run(&["undo"]).code(1);
}

/// How many undos are killed.
const KILLS: u32 = 30;

#[test]
fn killed_at_any_instant_an_undo_is_whole_or_has_not_happened() {
    let first = TestProject::on_layout();
    for number in 0..60 {
        first.write(&format!("d{}/f{number}", number % 7), noise(number, 20_000));
    }
    first.write("swap", "a file");
    let _ = first.run(&["add", "."]).success();
    let _ = first.run(&["push"]).success();
    let second = first.pulled_again();
    for number in 0..60 {
        first.write(&format!("d{}/f{number}", number % 7), noise(number + 100, 30_000));
    }
    first.remove("swap").write("swap/inner", "a folder");
    let _ = first.run(&["add", "."]).success();
    let _ = first.run(&["push"]).success();
    let old = (second.tree(), own(&second));
    let _ = second.run(&["pull", "--overwrite"]).success();
    let new = (second.tree(), own(&second));
    let undisturbed = [(); 2].map(|()| second.run(&["undo"]).success().took()).into_iter().min().unwrap();

    let mut killed = 0;
    for kill in 0..KILLS {
        let moment = undisturbed * (kill * 7 % KILLS) * 11 / (KILLS * 10);
        let output = second.command(["undo"]).run_killed_after(moment);
        killed += u32::from(output.was_killed());
        let _ = second.run(&["status", "--offline"]).success();
        let found = (second.tree(), own(&second));
        assert!(found == old || found == new, "neither the one nor the other");
        let listed = operations(&second);
        assert!(listed.len() == 1 && listed[0]["fault"].is_null(), "{listed:?}");
        let _ = second.run(&["undo"]).success();
        // Whoever writes there next clears away what a killed one has left.
        let store = second.path().join(".modelops-bundle/undo");
        let names: Vec<_> =
            std::fs::read_dir(store).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(names.len(), 1, "{names:?}");
        let (tree, files) = if found == old { &new } else { &old };
        second.tree().assert_same(tree);
        assert_eq!(&own(&second), files);
    }
    assert!(killed > KILLS / 3, "most kills must hit a running undo");
}

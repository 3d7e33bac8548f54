//! `init`, `add`, `remove`, `status`: what concerns the project folder alone.

use modelops_bundle_tests::{Fault, Matching, Proxy, Registry, TestProject, changes_in};
use serde_json::json;

#[test]
fn init_needs_no_server_and_can_be_repeated() {
    let project = TestProject::new();
    let first = project.run(&["init", "--json"]).success().json();
    assert!(first["ref"].as_str().unwrap().starts_with("oci:"), "{first}");
    assert_eq!((&first["existed"], &first["gitignore_changed"]), (&json!(false), &json!(true)));
    assert_eq!(project.read_text(".gitignore"), ".modelops-bundle/\n");
    let second = project.run(&["init", "--json"]).success().json();
    assert_eq!((&second["ref"], &second["existed"]), (&first["ref"], &json!(true)));
    assert_eq!(second["gitignore_changed"], false);
    assert_eq!(project.read_text(".gitignore"), ".modelops-bundle/\n");

    project.write("a.txt", "a");
    let _ = project.run(&["add", "a.txt"]).success();
    let _ = project.run(&["push"]).success();
    assert_eq!(project.run(&["status", "--json"]).success().json()["remote"]["state"], "available");
}

#[test]
fn a_home_that_is_not_absolute_counts_as_none() {
    let project = TestProject::new();
    let init = |name: &str, value: &str| {
        let output = project.command(["init", "--json", name]).env("HOME", project.home());
        output.env(value.split_once('=').unwrap().0, value.split_once('=').unwrap().1).run().success().json()
    };
    let own = project.home().display().to_string();
    let named = init("data", "XDG_DATA_HOME=rel");
    assert!(named["ref"].as_str().unwrap().starts_with(&format!("oci:{own}/.local/share/")), "{named}");
    let named = init("home", "HOME=rel");
    assert!(named["ref"].as_str().unwrap().starts_with("oci:/"), "{named}");
    assert!(!project.exists("rel"));
}

#[test]
fn init_leaves_a_gitignore_that_covers_the_folder_alone() {
    for before in [
        "/.modelops-bundle\n",
        ".modelops-bundle",
        ".modelops-bundle/\r\n",
        ".modelops-bundle/   \n",
        "\u{feff}/.modelops-bundle/\n",
        "**/.modelops-bundle",
        ".modelops-bundle/*",
        ".modelops-bundle/**",
        ".modelops-bundle/*\n!.modelops-bundle/config.yaml\n",
        ".modelops-*\n",
        ".*\n!.gitignore\n",
        "!.modelops-bundle\n.modelops-bundle\n",
    ] {
        let project = TestProject::new();
        project.write(".gitignore", before);
        let report = project.run(&["init", "--json"]).success().json();
        assert_eq!(
            (project.read_text(".gitignore").as_str(), &report["gitignore_changed"]),
            (before, &json!(false))
        );
        assert!(is_ignored_by_git(&project), "{before:?}");
    }
    for (before, after) in [
        ("x", "x\n.modelops-bundle/\n"),
        ("x\r\n", "x\r\n.modelops-bundle/\n"),
        ("# .modelops-bundle/\n", "# .modelops-bundle/\n.modelops-bundle/\n"),
        (".modelops-bundle\n!.modelops-bundle\n", ".modelops-bundle\n!.modelops-bundle\n.modelops-bundle/\n"),
        (".modelops-bundle/cache\n", ".modelops-bundle/cache\n.modelops-bundle/\n"),
        ("x/.modelops-bundle\n", "x/.modelops-bundle\n.modelops-bundle/\n"),
    ] {
        let project = TestProject::new();
        project.write(".gitignore", before);
        let _ = project.run(&["init"]).success();
        assert_eq!(project.read_text(".gitignore"), after);
        assert!(is_ignored_by_git(&project), "{before:?}");
    }
}

/// Whether git would leave what the program writes alone, in a repository at the project's folder.
fn is_ignored_by_git(project: &TestProject) -> bool {
    let git = |arguments: &[&str]| {
        let mut command = std::process::Command::new("git");
        command.args(arguments).current_dir(project.path());
        command.env("GIT_CONFIG_NOSYSTEM", "1").env("HOME", project.home());
        command.status().unwrap().success()
    };
    git(&["init", "--quiet"])
        && git(&["check-ignore", "--quiet", "--no-index", ".modelops-bundle/state.json"])
}

#[test]
fn init_regards_what_the_repository_around_says() {
    let project = TestProject::new();
    project.write(".gitignore", "**/.modelops-bundle/\n").write("models/seir/x", "");
    let inner = ["init", "--json", "models/seir"];
    // Without a repository the file above means nothing to git.
    let report = project.run(&inner).success().json();
    assert_eq!(report["gitignore_changed"], true);
    project.remove("models/seir/.gitignore").write(".git/HEAD", "ref: refs/heads/main\n");
    let report = project.run(&inner).success().json();
    assert_eq!(
        (&report["gitignore_changed"], project.exists("models/seir/.gitignore")),
        (&json!(false), false)
    );
    // An anchored entry is about the top folder alone.
    project.write(".gitignore", "/.modelops-bundle/\n");
    assert_eq!(project.run(&inner).success().json()["gitignore_changed"], true);
    // A repository of its own begins anew.
    project.write(".gitignore", "**/.modelops-bundle/\n").remove("models/seir/.gitignore");
    project.write("models/seir/.git/HEAD", "ref: refs/heads/main\n");
    assert_eq!(project.run(&inner).success().json()["gitignore_changed"], true);
}

#[test]
fn init_refuses_what_is_no_remote_and_creates_nothing() {
    let project = TestProject::new();
    for reference in ["https://host/name", "Host/UPPER", "nohost", "oci:"] {
        let output = project.run(&["init", "--ref", reference]).code(2);
        assert!(output.stderr().starts_with("error: "), "{output}");
        assert!(!project.exists(".modelops-bundle"));
    }
}

#[test]
fn add_takes_files_folders_and_globs() {
    let project = TestProject::on_layout();
    for path in ["a.txt", "src/x.py", "src/deep/y.py", "data/z.csv", "src/__pycache__/x.pyc"] {
        project.write(path, path);
    }
    let added = |arguments: &[&str]| {
        let mut all = vec!["add", "--json"];
        all.extend(arguments);
        project.run(&all).success().json()
    };
    assert_eq!(added(&["a.txt"])["added"], json!(["a.txt"]));
    assert_eq!(added(&["**/*.csv"])["added"], json!(["data/z.csv"]));
    let folder = added(&["src"]);
    assert_eq!(folder["added"], json!(["src/deep/y.py", "src/x.py"]));
    assert_eq!(folder["ignored"], 1);
    assert_eq!(added(&["src", "a.txt"])["already_tracked"], 3);
    assert_eq!(added(&["--force", "src"])["added"], json!(["src/__pycache__/x.pyc"]));

    let text = project.run(&["add", "src/__pycache__"]).success();
    assert!(text.stdout().contains("ignored by ignore rules (.modelopsignore + defaults)"), "{text}");
    let output = project.run(&["add", "a.txt", "nowhere", "*.nothing"]).code(6);
    assert!(output.stderr().contains("nowhere") && output.stderr().contains("*.nothing"), "{output}");
}

#[test]
fn a_dry_run_changes_nothing() {
    let project = TestProject::on_layout();
    project.write("a.txt", "a");
    let _ = project.run(&["add", "--dry-run", "a.txt"]).success();
    assert_eq!(
        project.run(&["status", "--json"]).success().json()["untracked"],
        json!([".gitignore", "a.txt"])
    );
    let _ = project.run(&["add", "a.txt"]).success();
    let _ = project.run(&["remove", "--dry-run", "--rm", "--force", "a.txt"]).success();
    let planned = project.run(&["push", "--dry-run", "--json"]).success().json();
    assert_eq!(planned["upload"], json!(["a.txt"]));
    assert_eq!(project.run(&["status", "--json"]).success().json()["remote"]["state"], "empty");
    assert!(project.exists("a.txt"));
}

#[test]
fn remove_untracks_and_the_next_push_drops() {
    let project = TestProject::on_layout();
    project.write("a.txt", "a").write("b.txt", "b").write("c.txt", "c");
    let _ = project.run(&["add", "."]).success();
    let _ = project.run(&["push"]).success();
    let _ = project.run(&["remove", "a.txt"]).success();
    let _ = project.run(&["remove", "--rm", "b.*"]).success();
    assert!(project.exists("a.txt") && !project.exists("b.txt"));
    let _ = project.run(&["push"]).success();
    let status = project.run(&["status", "--json"]).success().json();
    assert_eq!((changes_in(&status), &status["unchanged"]), (vec![], &json!([".gitignore", "c.txt"])));
    let _ = project.run(&["remove", "nowhere"]).code(6);
}

#[test]
fn status_names_every_change() {
    let project = TestProject::on_layout();
    for path in ["same", "edited", "deleted"] {
        project.write(path, path);
    }
    let _ = project.run(&["add", "."]).success();
    let _ = project.run(&["push"]).success();
    project.write("edited", "new").remove("deleted").write("new", "new").write("extra", "x");
    let _ = project.run(&["add", "new"]).success();
    let status = project.run(&["status", "--json"]).success().json();
    assert_eq!(changes_in(&status), ["deleted_local deleted", "modified_local edited", "added_local new"]);
    assert_eq!(
        status["summary"],
        json!({"added_local": 1, "deleted_local": 1, "modified_local": 1, "unchanged": 2})
    );
    assert_eq!(
        (&status["unchanged"], &status["untracked"]),
        (&json!([".gitignore", "same"]), &json!(["extra"]))
    );
    let offline = project.run(&["status", "--offline", "--json"]).success().json();
    assert_eq!((changes_in(&offline), &offline["remote"]["state"]), (changes_in(&status), &json!("offline")));
}

#[test]
fn status_of_a_remote_that_is_not_there_says_so() {
    let project = TestProject::new();
    project.write("a", "a");
    let _ = project.run(&["init", "--ref", "127.0.0.1:1/none"]).success();
    let _ = project.run(&["add", "a"]).success();
    let status = project.run(&["status", "--json", "--retries", "0"]).success().json();
    assert_eq!(status["remote"]["state"], "unreachable");
    assert_eq!(changes_in(&status), ["added_local a"]);
    let output = project.run(&["push", "--retries", "0"]).code(7);
    assert!(output.stderr().contains("127.0.0.1:1") && output.stderr().contains("hint:"), "{output}");
}

#[test]
fn status_compares_once_and_names_ten() {
    let project = TestProject::on_layout();
    for at in 0..12 {
        project.write(&format!("f{at:02}"), "same");
    }
    let _ = project.run(&["add", "."]).success();
    let _ = project.run(&["push"]).success();
    project.write("f11", "edited");
    let output = project.run(&["status", "--json", "-vv"]).success();
    let status = output.json();
    let named: Vec<String> =
        [".gitignore".to_owned()].into_iter().chain((0..9).map(|at| format!("f{at:02}"))).collect();
    assert_eq!((&status["unchanged"], &status["summary"]["unchanged"]), (&json!(named), &json!(12)));
    let count = |words: &str| output.stderr().matches(words).count();
    assert_eq!(count("asking the core function=\"classify\""), 1, "{output}");
    assert_eq!(count("looking at the project"), 1, "{output}");
    let text = project.run(&["status"]).success();
    assert!(
        text.stdout().contains("12 unchanged: .gitignore, f00,") && text.stdout().contains("f08, …"),
        "{text}"
    );
    let files = project.run(&["status", "--files"]).success();
    assert!(files.stdout().contains("  f10\n"), "{files}");
}

#[test]
fn status_lists_untracked_files_when_asked() {
    let project = TestProject::on_layout();
    project.write("a", "").write("b/c", "").write("b/d.pyc", "");
    let _ = project.run(&["add", "a"]).success();
    let output = project.run(&["status"]).success();
    assert!(output.stdout().contains("2 untracked files: see --untracked"), "{output}");
    let output = project.run(&["status", "--untracked"]).success();
    assert!(output.stdout().ends_with("\nUntracked:\n  .gitignore\n  b/c\n"), "{output}");
}

#[test]
fn status_says_how_the_remote_is() {
    let (Some(registry), Some(closed)) = (Registry::get(), Registry::get_with_password()) else { return };
    let proxy = Proxy::start(registry.host());
    let states = [
        (registry.host(), "empty", "empty"),
        (closed.host(), "auth_failed", "auth failed"),
        ("127.0.0.1:1", "unreachable", "unreachable"),
        (proxy.host(), "unknown_error", "cannot be used"),
    ];
    proxy.inject(Matching::new("GET", "/manifests/").always(), Fault::Answer(500, Vec::new()));
    proxy.inject(Matching::new("HEAD", "/manifests/").always(), Fault::Answer(500, Vec::new()));
    let project = TestProject::new();
    project.write("a", "a");
    for (host, state, words) in states {
        let _ = project.run(&["init", "--ref", &format!("{host}/p")]).success();
        let _ = project.run(&["add", "a"]).success();
        let status = project.run(&["status", "--json", "--retries", "0"]).success().json();
        assert_eq!(
            (&status["remote"]["state"], changes_in(&status)),
            (&json!(state), vec!["added_local a".to_owned()])
        );
        let text = project.run(&["status", "--retries", "0"]).success();
        assert!(text.stdout().lines().next().unwrap().contains(words), "{text}");
        let offline = project.run(&["status", "--offline"]).success();
        assert!(offline.stdout().contains("not asked"), "{offline}");
    }
    let _ = project.run(&["init", "--ref", &format!("{}/p", registry.host())]).success();
    let _ = project.run(&["push"]).success();
    assert_eq!(project.run(&["status", "--json"]).success().json()["remote"]["state"], "available");
}

#[test]
fn outside_a_project_the_way_in_is_named() {
    let project = TestProject::new();
    for arguments in [&["status"][..], &["push"], &["pull"], &["add", "x"]] {
        let output = project.run(arguments).code(6);
        assert!(output.stderr().contains("modelops-bundle init"), "{output}");
    }
}

#[test]
fn a_command_line_that_cannot_be_understood_is_told_in_json_too() {
    let project = TestProject::new();
    let document = project.run(&["--json", "pussh"]).code(2).json();
    assert_eq!((&document["error"]["code"], &document["error"]["kind"]), (&json!(2), &json!("usage")));
    let _ = project.run(&["pussh"]).code(2);
    let version = project.run(&["--version"]).success();
    assert_eq!(version.stdout(), concat!("modelops-bundle ", env!("CARGO_PKG_VERSION"), "\n"));
    for shell in ["bash", "zsh", "fish", "powershell"] {
        assert!(project.run(&["completions", shell]).success().stdout().contains("modelops-bundle"));
    }
}

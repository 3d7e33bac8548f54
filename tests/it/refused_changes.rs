//! Where the system refuses a part of a pull, nothing of it happens: the project is as it was, all commands work, and once
//! the obstacle is gone the pull succeeds.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use modelops_bundle_tests::{
    TestProject, Tree, give_to_plain_user, make_immutable, noise, run_as_owner, script_with_mounts, tools,
};

/// What the tree has before the pull, and what the bundle `two` has.
struct Case {
    source: TestProject,
    victim: TestProject,
    old: Tree,
    new: Tree,
}

impl Case {
    fn new() -> Self {
        let source = TestProject::on_layout();
        for folder in ["a", "m", "z"] {
            source.write(&format!("{folder}/f"), "1");
        }
        source.write("m/goes", "goes").write("swap", "a file").write("away/deep/x", "x");
        let _ = source.run(&["add", "a", "m", "z", "swap", "away"]).success();
        let _ = source.run(&["push", "--tag", "one"]).success();
        let victim = TestProject::new();
        let layout = format!("oci:{}", source.home().join("layout").display());
        let _ = victim.run(&["pull", &format!("{layout}:one")]).success();
        let old = victim.tree();
        for folder in ["a", "m", "z"] {
            source.write(&format!("{folder}/f"), noise(7, 300_000));
        }
        for path in ["m/goes", "swap", "away"] {
            source.remove(path);
        }
        source.write("m/new/deep/y", "y").write("swap/inner", "a folder").write("z/comes", "comes");
        let _ = source.run(&["remove", "m/goes", "swap", "away/deep/x"]).success();
        let _ = source.run(&["add", "a", "m", "z", "swap"]).success();
        let _ = source.run(&["push", "--tag", "two"]).success();
        let reader = TestProject::new();
        let _ = reader.run(&["pull", &format!("{layout}:two")]).success();
        let new = reader.tree();
        for folder in [source.path(), source.home()] {
            let base = folder.parent().unwrap();
            fs::set_permissions(base, fs::Permissions::from_mode(0o755)).unwrap();
        }
        Self { source, victim, old, new }
    }

    fn disk(&self, path: &str) -> std::path::PathBuf {
        self.victim.path().join(path)
    }

    /// The project is as it was, and works.
    fn assert_old(&self) {
        self.victim.tree().assert_same(&self.old);
        assert!(!self.victim.exists(".modelops-bundle/journal.json"));
        let status = self.victim.run(&["status", "--json"]).success().json();
        assert_eq!(status["summary"]["unchanged"], 6, "{status}");
    }

    fn assert_pulls(&self) {
        let _ = self.victim.run(&["pull", "two", "--overwrite"]).success();
        self.victim.tree().assert_same(&self.new);
    }
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

#[test]
fn a_folder_that_may_not_be_written_in_stops_a_pull_before_it_begins() {
    for folder in ["m", "z", "away/deep", "."] {
        let case = Case::new();
        give_to_plain_user(&case.victim);
        set_mode(&case.disk(folder), 0o555);
        let pull = |more: &[&str]| {
            run_as_owner(&case.victim, &[&["pull", "two", "--overwrite"], more].concat()).run().code(3)
        };
        let (dry, output) = (pull(&["--dry-run"]), pull(&[]));
        assert_eq!(dry.stderr(), output.stderr());
        assert!(output.stderr().contains("no permission to write in its folder"), "{}", output.stderr());
        let _ = run_as_owner(&case.victim, &["status"]).run().success();
        set_mode(&case.disk(folder), 0o755);
        case.victim.tree().assert_same(&case.old);
        let _ = run_as_owner(&case.victim, &["pull", "two", "--overwrite"]).run().success();
        case.victim.tree().assert_same(&case.new);
    }
}

#[test]
fn an_import_into_a_folder_is_all_or_nothing_too() {
    let case = Case::new();
    let archive = case.source.home().join("two.tar");
    let _ = case.source.run(&["export", "two", archive.to_str().unwrap()]).success();
    give_to_plain_user(&case.victim);
    set_mode(&case.disk("m"), 0o555);
    let arguments = ["import", archive.to_str().unwrap(), "--dest", ".", "--overwrite"];
    for dry in [&["--dry-run"][..], &[]] {
        let _ = run_as_owner(&case.victim, &[&arguments, dry].concat()).run().code(3);
    }
    set_mode(&case.disk("m"), 0o755);
    case.victim.tree().assert_same(&case.old);
    let _ = run_as_owner(&case.victim, &arguments).run().success();
    case.victim.tree().assert_same(&case.new);
}

#[test]
fn a_dry_run_is_refused_where_the_run_may_not_write() {
    let project = TestProject::on_layout();
    project.write("a", "a").write("archives/x", "");
    let _ = project.run(&["add", "a"]).success();
    let _ = project.run(&["push"]).success();
    let _ = project.run(&["export", "archives/a.tar"]).success();
    fs::create_dir(project.home().join("closed")).unwrap();
    project.write("a", "b");
    give_to_plain_user(&project);
    let (layout, closed) = (project.home().join("layout"), project.home().join("closed"));
    let archives = project.path().join("archives");
    for folder in [&layout, &closed, &archives] {
        set_mode(folder, 0o555);
    }
    let in_closed = |name: &str| closed.join(name).display().to_string();
    let copied = format!("oci:{}:latest", in_closed("copied"));
    let new_project = in_closed("project");
    let from_layout = format!("oci:{}", layout.display());
    for arguments in [
        &["push"][..],
        &["push", "--tag", "other"],
        &["tag", "latest", "other"],
        &["delete", "latest"],
        &["copy", "latest", &copied],
        &["import", "archives/a.tar", "--to", &copied],
        &["import", "archives/a.tar", "--to", &format!("{from_layout}:imported")],
        &["import", "archives/a.tar", "--dest", &new_project],
        &["-C", closed.to_str().unwrap(), "pull", &from_layout],
        &["export", "archives/b.tar"],
        &["export", "archives/b.tar", "--files"],
    ] {
        let run = |more: &[&str]| run_as_owner(&project, &[arguments, more].concat()).run();
        let (dry, real) = (run(&["--dry-run"]).code(1), run(&[]).code(1));
        for output in [&dry, &real] {
            assert!(output.stderr().contains("Permission denied"), "{arguments:?}: {output}");
        }
    }
    // Who has nothing to write there is not stopped.
    for arguments in [&["tag", "latest", "latest"][..], &["copy", "latest", &format!("{from_layout}:latest")]]
    {
        let run = |more: &[&str]| run_as_owner(&project, &[arguments, more].concat()).run();
        let _ = (run(&["--dry-run"]).success(), run(&[]).success());
    }
    for folder in [&layout, &closed, &archives] {
        set_mode(folder, 0o755);
    }
}

#[test]
fn another_users_file_under_the_sticky_bit_stops_a_pull_before_it_begins() {
    let case = Case::new();
    give_to_plain_user(&case.victim);
    let is_root = fs::metadata(case.source.path()).unwrap();
    if std::os::unix::fs::MetadataExt::uid(&is_root) != 0 {
        tools::tell_skipped("only root can give a file to another user");
        return;
    }
    for path in ["m", "m/f"] {
        std::os::unix::fs::chown(case.disk(path), Some(1), Some(1)).unwrap();
    }
    set_mode(&case.disk("m"), 0o1777);
    set_mode(&case.disk("m/f"), 0o666);
    let output = run_as_owner(&case.victim, &["pull", "two", "--overwrite"]).run().code(3);
    assert!(output.stderr().contains("sticky"), "{}", output.stderr());
    case.victim.tree().assert_same(&case.old);
    let _ = run_as_owner(&case.victim, &["status"]).run().success();
    set_mode(&case.disk("m"), 0o777);
    let _ = run_as_owner(&case.victim, &["pull", "two", "--overwrite"]).run().success();
    case.victim.tree().assert_same(&case.new);
}

#[test]
fn mounts_and_file_systems_for_reading_stop_a_pull_before_it_begins() {
    for (mount, word) in [
        ("mount --bind m m && mount -o remount,ro,bind m", "read-only"),
        ("mount --bind swap m/f", "something is mounted there"),
        ("mount --bind away/deep/x away/deep/x", "something is mounted there"),
        ("mount -t tmpfs -o ro none z && true", "read-only"),
    ] {
        let case = Case::new();
        let script = format!(
            r#"{mount}; code=0; "$MB" pull two --overwrite || code=$?; echo "code $code"; "$MB" status >/dev/null; echo "status $?""#
        );
        let Some(command) = script_with_mounts(&case.victim, &script) else { return };
        let output = command.run().success();
        assert!(
            output.stdout().contains("code 3") && output.stdout().contains("status 0"),
            "{mount}: {output:?}"
        );
        assert!(output.stderr().contains(word), "{mount}: {}", output.stderr());
        case.assert_old();
        case.assert_pulls();
    }
}

#[test]
fn what_has_to_be_copied_to_a_full_disk_stops_a_pull_before_it_begins() {
    let case = Case::new();
    // `m` lies on a disk of its own.
    let script = r#"
        cp -a m kept; mount -t tmpfs -o size=128k none m; cp -a kept/. m/; rm -r kept
        code=0; "$MB" pull two --overwrite || code=$?; echo "code $code"
        cat a/f m/f z/f; echo; "$MB" status > /dev/null; echo "status $?"; ls -A m
    "#;
    let Some(command) = script_with_mounts(&case.victim, script) else { return };
    let output = command.run().success();
    assert!(output.stderr().contains("is on another disk"), "{}", output.stderr());
    assert!(output.stdout().ends_with("code 1\n111\nstatus 0\nf\ngoes\n"), "{output:?}");
    case.assert_old();
}

#[test]
fn a_pull_into_a_folder_on_another_disk_leaves_nothing_beside_its_files() {
    let case = Case::new();
    let script = r#"
        cp -a m kept; mount -t tmpfs none m; cp -a kept/. m/; rm -r kept
        "$MB" pull two --overwrite; "$MB" status | grep -q "Nothing has changed" || "$MB" status
        find m a z swap | sort; cmp a/f m/f; cat m/new/deep/y
    "#;
    let Some(command) = script_with_mounts(&case.victim, script) else { return };
    let output = command.run().success();
    let expected = "a\na/f\nm\nm/f\nm/new\nm/new/deep\nm/new/deep/y\nswap\nswap/inner\nz\nz/comes\nz/f\ny";
    assert!(output.stdout().ends_with(expected), "{output:?}");
}

#[test]
fn a_disk_that_fills_while_files_are_put_in_place_takes_all_of_them_back() {
    let case = Case::new();
    // There is room for the bytes, and none for the names.
    let script = r#"
        cp -a m kept; mount -t tmpfs -o nr_inodes=4 none m; cp -a kept/. m/; rm -r kept
        code=0; "$MB" pull two --overwrite || code=$?; echo "code $code"
        cat a/f m/f z/f; echo; "$MB" status > /dev/null; echo "status $?"; ls -A m
    "#;
    let Some(command) = script_with_mounts(&case.victim, script) else { return };
    let output = command.run().success();
    assert!(output.stderr().contains("taken back"), "{}", output.stderr());
    assert!(output.stdout().ends_with("code 1\n111\nstatus 0\nf\ngoes\n"), "{output:?}");
    case.assert_old();
}

#[test]
fn immutable_files_and_folders_stop_a_pull_before_it_begins() {
    for path in ["m/f", "m", "away/deep/x"] {
        let case = Case::new();
        let Some(immutable) = make_immutable(&case.disk(path)) else { return };
        let output = case.victim.run(&["pull", "two", "--overwrite"]).code(3);
        assert!(output.stderr().contains("immutable"), "{}", output.stderr());
        case.assert_old();
        drop(immutable);
        case.assert_pulls();
    }
}

#[test]
fn a_removal_from_disk_is_all_or_nothing() {
    let case = Case::new();
    give_to_plain_user(&case.victim);
    set_mode(&case.disk("m"), 0o555);
    let remove = |more: &[&str]| {
        run_as_owner(&case.victim, &[&["remove", "--rm", "a", "m", "z"], more].concat()).run()
    };
    for more in [&["--dry-run"][..], &[]] {
        let output = remove(more).code(3);
        assert!(output.stderr().contains("no permission to write in its folder"), "{}", output.stderr());
    }
    set_mode(&case.disk("m"), 0o755);
    case.assert_old();
    let _ = remove(&[]).success();
    assert!(!case.victim.exists("a") && !case.victim.exists("m/goes") && case.victim.exists("swap"));
    assert!(!case.victim.exists(".modelops-bundle/journal.json"));
    assert_eq!(case.victim.read_text(".modelops-bundle/tracked.txt"), "away/deep/x\nswap\n");
}

#[test]
fn a_removal_stops_before_what_is_mounted_or_immutable() {
    let case = Case::new();
    let script = r#"mount --bind swap m/f; code=0; "$MB" remove --rm a m || code=$?; echo "code $code""#;
    if let Some(command) = script_with_mounts(&case.victim, script) {
        let output = command.run();
        assert!(output.stdout().contains("code 3"), "{output}");
        assert!(output.stderr().contains("something is mounted there"), "{output}");
    }
    case.assert_old();
}

#[test]
fn a_mounted_folder_in_which_a_file_is_to_come_stops_a_pull_before_it_begins() {
    for mounted in ["d/e", "d/e/inner"] {
        let source = TestProject::on_layout();
        source.write("d/e/f", "x").write("d/e/inner/g", "y");
        let _ = source.run(&["add", "d"]).success();
        let _ = source.run(&["push", "--tag", "one"]).success();
        let victim = TestProject::new();
        let _ =
            victim.run(&["pull", &format!("oci:{}:one", source.home().join("layout").display())]).success();
        let old = victim.tree();
        source.remove("d/e");
        let _ = source.run(&["remove", "d/e"]).success();
        source.write("d/e", "file");
        let _ = source.run(&["add", "d"]).success();
        let _ = source.run(&["push", "--tag", "two"]).success();
        let script = format!(
            r#"mount --bind {mounted} {mounted}; code=0; "$MB" pull two --overwrite || code=$?; echo "code $code""#
        );
        let Some(command) = script_with_mounts(&victim, &script) else { return };
        let output = command.run();
        assert!(output.stdout().contains("code 3"), "{mounted}: {output}");
        assert!(output.stderr().contains("something is mounted there"), "{mounted}: {output}");
        victim.tree().assert_same(&old);
        assert!(!victim.exists(".modelops-bundle/rescued"));
    }
}

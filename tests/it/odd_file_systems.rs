//! File systems that lack something: locks, the syncing of folders, modes. They come from a library that is loaded before the
//! system's own and refuses the call, as the kernel does for such a file system.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use modelops_bundle_tests::{BundleCommand, CommandOutput, Registry, TestProject, changes_in};
use serde_json::json;

/// The calls as they are on such file systems. Whatever is not defined stays as it is.
const LIBRARY: &str = r#"
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Says that the call came, so that no test holds for want of it. 0: as if it had been done. */
__attribute__((unused)) static int refuse(int error) {
    const char *seen = getenv("REFUSED");
    if (seen) close(open(seen, O_CREAT | O_WRONLY, 0600));
    errno = error;
    return error ? -1 : 0;
}
#ifdef FLOCK
int flock(int fd, int how) { return refuse(FLOCK); }
#endif
#ifdef FOLDER_SYNC
static int sync_one(int fd, long call) {
    struct stat found;
    if (!fstat(fd, &found) && S_ISDIR(found.st_mode)) return refuse(FOLDER_SYNC);
    return syscall(call, fd);
}
int fsync(int fd) { return sync_one(fd, SYS_fsync); }
int fdatasync(int fd) { return sync_one(fd, SYS_fdatasync); }
#endif
#ifdef CHMOD
int chmod(const char *path, mode_t mode) { return refuse(CHMOD); }
int fchmod(int fd, mode_t mode) { return refuse(CHMOD); }
int fchmodat(int fd, const char *path, mode_t mode, int flags) { return refuse(CHMOD); }
#endif
"#;

/// A file system on which `call` comes to `answer`.
struct FileSystem {
    folder: tempfile::TempDir,
}

impl FileSystem {
    #[track_caller]
    fn on_which(call: &str, answer: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let source = folder.path().join("calls.c");
        std::fs::write(&source, LIBRARY).unwrap();
        let made = Command::new("cc")
            .args(["-shared", "-fPIC", &format!("-D{call}={answer}"), "-o"])
            .arg(folder.path().join("calls.so"))
            .arg(source)
            .output()
            .expect("cc, which has linked this test, is here");
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        Self { folder }
    }

    fn refused(&self) -> PathBuf {
        self.folder.path().join("refused")
    }

    /// The program in `folder` of the user `user`, there.
    fn command(&self, user: &TestProject, folder: &Path, arguments: &[&str]) -> BundleCommand {
        let command = BundleCommand::new(user.home()).current_dir(folder).args(arguments);
        command.env("LD_PRELOAD", self.folder.path().join("calls.so")).env("REFUSED", self.refused())
    }

    #[track_caller]
    fn run(&self, project: &TestProject, arguments: &[&str]) -> CommandOutput {
        self.command(project, project.path(), arguments).run().success()
    }

    /// What it warns of.
    #[track_caller]
    fn warnings(&self, project: &TestProject, arguments: &[&str]) -> Vec<String> {
        let output = self.run(project, arguments);
        output.stderr().lines().filter(|line| line.starts_with("warning: ")).map(str::to_owned).collect()
    }

    fn was_asked(&self) -> bool {
        self.refused().exists()
    }
}

const FILES: [(&str, &str); 4] = [
    ("run.sh", "#!/bin/sh\necho 1\n"),
    ("deep/er/tool", "#!/bin/sh\n"),
    ("deep/data", "1,2\n"),
    ("plain", "p"),
];

fn is_program(path: &str) -> bool {
    matches!(path, "run.sh" | "deep/er/tool")
}

/// A project with two programs in it.
fn filled() -> TestProject {
    let project = TestProject::new();
    for (path, content) in FILES {
        if is_program(path) {
            project.write_executable(path, content);
        } else {
            project.write(path, content);
        }
    }
    project
}

#[track_caller]
fn assert_contents(folder: &Path) {
    for (path, content) in FILES {
        assert_eq!(std::fs::read_to_string(folder.join(path)).unwrap(), content, "{path}");
    }
}

#[track_caller]
fn assert_unchanged(there: &FileSystem, project: &TestProject) {
    let status = there.run(project, &["status", "--json"]).json();
    assert_eq!(
        (changes_in(&status), status["remote"]["state"].as_str()),
        (vec![], Some("available")),
        "{status}"
    );
}

/// Whether the bundle `reference` has its programs still, as seen from where nothing is odd.
#[track_caller]
fn assert_programs(reference: &str, programs: &[&str]) {
    let reader = TestProject::new();
    let _ = reader.run(&["pull", reference]).success();
    for path in ["run.sh", "deep/er/tool", "deep/data", "plain"] {
        let mode = reader.path().join(path).metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o100 != 0, programs.contains(&path), "{path}");
    }
}

/// Everything that people do, on a file system that lacks something.
fn everything(there: &FileSystem) {
    let project = filled();
    let layout = format!("oci:{}", project.home().join("layout").display());
    let _ = there.run(&project, &["init", "--ref", &layout]);
    let _ = there.run(&project, &["add", "."]);
    let _ = there.run(&project, &["push", "--tag", "one"]);
    let _ = there.run(&project, &["config", "set", "default_tag", "one"]);
    assert_eq!(there.run(&project, &["config", "get", "default_tag"]).stdout().trim(), "one");
    assert_unchanged(there, &project);
    let _ = there.run(&project, &["export", "one", "../one.tar"]);
    let archive = project.home().parent().unwrap().join("one.tar");
    let _ = there.run(&project, &["verify", &format!("oci-archive:{}:one", archive.display())]);
    let _ = there.run(&project, &["import", archive.to_str().unwrap(), "--dest", "../elsewhere"]);
    let elsewhere = project.home().parent().unwrap().join("elsewhere");
    assert_contents(&elsewhere);
    let status = there.command(&project, &elsewhere, &["status", "--json"]).run().success().json();
    assert_eq!(changes_in(&status), Vec::<String>::new());
    use_remote(there, &project, &layout);

    if let Some(registry) = Registry::get() {
        use_remote(there, &filled(), &format!("{}/p", registry.host()));
    }
    assert!(there.was_asked());
}

/// Pushes `project` to `place`, pulls from there, pushes from what was pulled, and pulls that.
fn use_remote(there: &FileSystem, project: &TestProject, place: &str) {
    let _ = there.run(project, &["init", "--ref", place]);
    let _ = there.run(project, &["add", "."]);
    let _ = there.run(project, &["push", "--tag", "latest"]);
    assert_programs(&format!("{place}:latest"), &["run.sh", "deep/er/tool"]);

    let pulled = TestProject::new();
    let _ = there.run(&pulled, &["pull", &format!("{place}:latest")]);
    assert_contents(pulled.path());
    assert_unchanged(there, &pulled);
    pulled.write("plain", "edited").write("run.sh", "#!/bin/sh\necho 2\n");
    let _ = there.run(&pulled, &["push", "--tag", "latest"]);
    assert_unchanged(there, &pulled);
    assert_programs(&format!("{place}:latest"), &["run.sh", "deep/er/tool"]);
    let _ = there.run(project, &["pull", ":latest"]);
    assert_eq!((project.read_text("plain"), project.read_text("run.sh").len()), ("edited".to_owned(), 17));
}

#[test]
fn all_works_where_there_are_no_locks() {
    for answer in ["ENOSYS", "ENOLCK", "EOPNOTSUPP"] {
        everything(&FileSystem::on_which("FLOCK", answer));
    }
}

#[test]
fn all_works_where_folders_cannot_be_synced() {
    for answer in ["EINVAL", "ENOTSUP", "ENOSYS"] {
        everything(&FileSystem::on_which("FOLDER_SYNC", answer));
    }
}

#[test]
fn all_works_where_no_mode_is_kept_and_no_mode_is_lost() {
    // 0: some say that they did it, and did not.
    for answer in ["EPERM", "EOPNOTSUPP", "ENOSYS", "0"] {
        everything(&FileSystem::on_which("CHMOD", answer));
    }
}

#[test]
fn what_cannot_be_made_executable_is_said_once_and_is_no_change() {
    let project = filled();
    let layout = format!("oci:{}", project.home().join("layout").display());
    let _ = project.run(&["init", "--ref", &layout]).success();
    let _ = project.run(&["add", "."]).success();
    let _ = project.run(&["push"]).success();
    let there = FileSystem::on_which("CHMOD", "EPERM");
    let pulled = TestProject::new();
    let warnings = there.warnings(&pulled, &["pull", &format!("{layout}:latest")]);
    assert!(
        matches!(&warnings[..], [one] if one.starts_with("warning: deep/er/tool and 1 more could not be made executable")),
        "{warnings:?}"
    );
    for again in [&["pull"][..], &["status"], &["status", "--offline"], &["diff"], &["push", "--dry-run"]] {
        assert_eq!(there.warnings(&pulled, again), Vec::<String>::new(), "{again:?}");
    }
    assert_eq!(there.run(&pulled, &["push", "--json"]).json()["changed"], false);
    assert_eq!(there.run(&pulled, &["diff", "--json"]).json()["changes"], json!([]));
    // A pull finds nothing in its way, and what others do to a mode comes as any other change.
    project.write_executable("plain", "p");
    let _ = project.run(&["push"]).success();
    let warnings = there.warnings(&pulled, &["pull"]);
    assert!(warnings.len() == 1 && warnings[0].starts_with("warning: plain could not be"), "{warnings:?}");
    assert_unchanged(&there, &pulled);
    // A version is made of what the bundle says, too.
    pulled.write("deep/data", "3");
    let _ = there.run(&pulled, &["push", "--bump", "auto"]);
    assert_programs(&format!("{layout}:latest"), &["run.sh", "deep/er/tool", "plain"]);
    // Where modes are kept, the same folder shows what it lacks.
    let status = pulled.run(&["status", "--json"]).success().json();
    assert_eq!(changes_in(&status).len(), 3, "{status}");
}

#[test]
fn a_state_without_modes_takes_them_from_the_remote_where_the_disk_has_none() {
    let project = filled();
    let layout = format!("oci:{}", project.home().join("layout").display());
    let _ = project.run(&["init", "--ref", &layout]).success();
    let _ = project.run(&["add", "."]).success();
    let _ = project.run(&["push"]).success();
    let there = FileSystem::on_which("CHMOD", "EPERM");
    let pulled = TestProject::new();
    let _ = there.run(&pulled, &["pull", &format!("{layout}:latest")]);
    // As the Python tool writes it.
    let state = pulled.path().join(".modelops-bundle/state.json");
    let mut document: serde_json::Value = serde_json::from_slice(&std::fs::read(&state).unwrap()).unwrap();
    assert!(document.as_object_mut().unwrap().remove("last_synced_executable").is_some());
    std::fs::write(&state, document.to_string()).unwrap();
    assert_unchanged(&there, &pulled);
    // Files that were there before the project, and are adopted.
    let copied = TestProject::new();
    for (path, content) in FILES {
        copied.write(path, content);
    }
    let _ = there.run(&copied, &["pull", &format!("{layout}:latest")]);
    assert_unchanged(&there, &copied);
    for project in [&pulled, &copied] {
        project.write("plain", "new");
        let _ = there.run(project, &["push", "--force"]);
        assert_programs(&format!("{layout}:latest"), &["run.sh", "deep/er/tool"]);
    }
}

#[test]
fn commands_at_once_wait_for_each_other_where_there_are_no_locks() {
    for answer in ["ENOSYS", "ENOLCK"] {
        let there = FileSystem::on_which("FLOCK", answer);
        let projects = [filled(), filled()];
        let layout = format!("oci:{}", projects[0].home().join("layout").display());
        for project in &projects {
            let _ = there.run(project, &["init", "--ref", &layout]);
            let _ = there.run(project, &["add", "."]);
        }
        // Two in each project, and all four in one layout.
        let pushes: Vec<_> = (0..4)
            .map(|at| {
                let project = &projects[at % 2];
                there.command(project, project.path(), &["push", "--tag", &format!("t{at}")]).spawn()
            })
            .collect();
        for push in pushes {
            let _ = push.wait().success();
        }
        for at in 0..4 {
            let _ = there.run(&projects[0], &["verify", &format!("{layout}:t{at}")]);
        }
        let left = |folder: &Path| {
            let names =
                folder.read_dir().unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
            names.filter(|name| name.contains("-held")).collect::<Vec<_>>()
        };
        assert_eq!(left(&projects[0].home().join("layout")), Vec::<String>::new());
        assert_eq!(left(&projects[0].path().join(".modelops-bundle")), Vec::<String>::new());
    }
}

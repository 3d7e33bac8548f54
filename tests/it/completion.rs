//! What shells complete, asked of the shells themselves.

use std::path::{Path, PathBuf};

use modelops_bundle_tests::{BundleCommand, Registry, TestProject, bundle_binary, tools};

/// A project with two tags, two tracked files and an environment, and the script of a shell beside it.
fn completed(shell: &str) -> (TestProject, PathBuf) {
    let project = TestProject::on_layout();
    project.write("data/cases.csv", "1").write("src/model.py", "2").write("notes.txt", "3");
    let _ = project.run(&["add", "data", "src"]).success();
    let _ = project.run(&["push", "--tag", "latest", "--tag", "stable"]).success();
    let settings = project.home().join(".config/modelops-bundle");
    std::fs::create_dir_all(&settings).unwrap();
    std::fs::write(settings.join("config.yaml"), "environments:\n  lab:\n    registry: registry.example\n")
        .unwrap();
    let script = project.home().join(format!("completions.{shell}"));
    std::fs::write(&script, project.run(&["completions", shell]).success().stdout()).unwrap();
    (project, script)
}

/// What is typed, and what has to be among its completions, or must not where it begins with `!`.
const LINES: [(&str, &[&str]); 14] = [
    ("modelops-bundle sta", &["status"]),
    ("modelops-bundle push --bu", &["--bump"]),
    ("modelops-bundle push --bump m", &["minor", "major", "!patch"]),
    ("modelops-bundle push --tag ", &["latest", "stable", "!data"]),
    ("modelops-bundle -C . pull st", &["stable"]),
    ("modelops-bundle tag latest st", &["stable"]),
    ("modelops-bundle config get sto", &["storage.mode", "!symlinks"]),
    ("modelops-bundle config set layout ", &["auto", "files", "packed"]),
    ("modelops-bundle env switch ", &["lab"]),
    ("modelops-bundle core call plan-pu", &["plan-pull", "plan-push"]),
    ("modelops-bundle remove data/", &["data/cases.csv", "!notes.txt"]),
    ("modelops-bundle add no", &["notes.txt"]),
    ("modelops-bundle --ca-file da", &["data"]),
    ("modelops-bundle inspect not", &["notes.txt"]),
];

fn check(line: &str, expected: &[&str], found: &[&str]) {
    // A folder may come with its slash.
    let has = |word: &str| found.iter().any(|one| one.trim().trim_end_matches('/') == word);
    for word in expected {
        match word.strip_prefix('!') {
            Some(word) => assert!(!has(word), "{line}: {found:?}"),
            None => assert!(has(word), "{line}: {word} is not in {found:?}"),
        }
    }
}

fn path_with_the_program() -> std::ffi::OsString {
    let folder = bundle_binary().parent().unwrap().to_owned();
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::join_paths([folder].into_iter().chain(std::env::split_paths(&path))).unwrap()
}

fn shell(program: impl AsRef<Path>, project: &TestProject) -> BundleCommand {
    BundleCommand::of_program(program.as_ref(), project.home())
        .env("PATH", path_with_the_program())
        .current_dir(project.path())
}

/// Asks bash as readline does, with words that end at each `:` and `=`.
fn ask_bash(project: &TestProject, script: &Path, line: &str) -> Vec<String> {
    let words: Vec<String> = line
        .split(' ')
        .flat_map(|word| {
            let mut parts = Vec::new();
            for part in word.split_inclusive([':', '=']) {
                let end = part.find([':', '=']).unwrap_or(part.len());
                parts.extend([&part[..end], &part[end..]].into_iter().filter(|part| !part.is_empty()));
            }
            if parts.is_empty() {
                vec![String::new()]
            } else {
                parts.into_iter().map(str::to_owned).collect()
            }
        })
        .collect();
    let last = words.last().unwrap();
    let own = if [":", "="].contains(&last.as_str()) { "" } else { last };
    let quoted: Vec<String> = words.iter().map(|word| format!("'{word}'")).collect();
    let program = format!(
        "source '{}'; COMP_WORDS=({}); COMP_CWORD={}; COMP_LINE='{line}'; COMP_POINT={}; \
         complete -p modelops-bundle >/dev/null || exit 3; _modelops_bundle modelops-bundle '{own}' x; \
         printf '%s\\n' \"${{COMPREPLY[@]}}\"",
        script.display(),
        quoted.join(" "),
        words.len() - 1,
        line.len(),
    );
    let said = shell("bash", project).args(["--norc", "-c", &program]).run().success();
    said.stdout().lines().map(str::to_owned).collect()
}

#[test]
#[cfg(unix)]
fn bash_completes_commands_options_and_values() {
    let (project, script) = completed("bash");
    for (line, expected) in LINES {
        let found = ask_bash(&project, &script, line);
        check(line, expected, &found.iter().map(String::as_str).collect::<Vec<_>>());
    }
    // A reference is one word to us and several to bash, which wants what follows its last colon.
    let layout = format!("modelops-bundle inspect oci:{}:st", project.home().join("layout").display());
    assert_eq!(ask_bash(&project, &script, &layout), ["stable"]);
    let folder = format!("modelops-bundle inspect oci:{}/lay", project.home().display());
    let found = ask_bash(&project, &script, &folder);
    assert_eq!(found, [format!("{}/layout/", project.home().display())]);
    // A tag of the project's own remote may have its colon in front, which bash takes for a word.
    assert_eq!(ask_bash(&project, &script, "modelops-bundle pull :"), ["latest", "stable"]);
    assert_eq!(ask_bash(&project, &script, "modelops-bundle pull :l"), ["latest"]);
    // Bash puts a slash behind a folder itself.
    assert_eq!(ask_bash(&project, &script, "modelops-bundle remove "), ["data", "src"]);
    let names = format!("source '{}'; complete -p mops-bundle modelops-bundle", script.display());
    let _ = shell("bash", &project).args(["--norc", "-c", &names]).run().success();
    // Where only the words are known, as in a test of somebody's.
    let bare =
        "COMP_WORDS=(modelops-bundle push --bu); COMP_CWORD=2; _modelops_bundle; echo \"${COMPREPLY[@]}\"";
    let bare = format!("source '{}'; {bare}", script.display());
    assert_eq!(shell("bash", &project).args(["--norc", "-c", &bare]).run().success().stdout(), "--bump\n");
}

#[test]
#[cfg(unix)]
fn fish_completes_commands_options_and_values() {
    let Some(fish) = tools::require(&tools::FISH) else { return };
    let (project, script) = completed("fish");
    let more = [
        ("modelops-bundle pull :", &[":latest", ":stable"][..]),
        ("modelops-bundle pull :l", &[":latest", "!:stable"]),
        ("mops-bundle sta", &["status"]),
    ];
    for (line, expected) in LINES.into_iter().chain(more) {
        let program = format!("source '{}'; complete -C '{line}'", script.display());
        let said = shell(&fish, &project).args(["--no-config", "-c", &program]).run().success();
        let found: Vec<&str> = said.stdout().lines().map(|line| line.split('\t').next().unwrap()).collect();
        check(line, expected, &found);
    }
}

#[test]
#[cfg(unix)]
fn zsh_completes_commands_options_and_values() {
    let (Some(zsh), Some(python)) = (tools::require(&tools::ZSH), tools::require(&tools::PYTHON)) else {
        return;
    };
    let (project, script) = completed("zsh");
    let setup = format!("autoload -Uz compinit; compinit -u -D; source '{}'", script.display());
    for (text, expected) in [
        (r"modelops-bundle push --bu\t", "--bump"),
        (r"modelops-bundle push --bump mi\t", "minor"),
        (r"modelops-bundle push --tag st\t", "stable"),
        (r"modelops-bundle push --tag \t\t", "stable"),
        (r"modelops-bundle config get storage.mo\t", "storage.mode"),
        (r"modelops-bundle env switch \t", "lab"),
        (r"modelops-bundle core call plan-pull\t\t", "plan-pull"),
        (r"modelops-bundle remove data/\t", "data/cases.csv"),
        (r"modelops-bundle add no\t", "notes.txt"),
        (r"modelops-bundle pull :l\t", ":latest"),
        (r"mops-bundle push --bu\t", "--bump"),
    ] {
        let typing = Path::new(env!("CARGO_MANIFEST_DIR")).join("terminal/type.py");
        let run = shell(&python, &project).arg(typing).args([&setup, text, expected]);
        let _ = run.arg(&zsh).args(["-f", "-i"]).env("TERM", "xterm").run().success();
    }
}

#[test]
fn a_completion_is_quiet_quick_and_changes_nothing() {
    let Some(registry) = Registry::get() else { return };
    let ask = |project: &TestProject, words: &[&str]| {
        let words = [&["--", "modelops-bundle"], words].concat();
        let said = project.command(words).env("MODELOPS_BUNDLE_COMPLETE", "zsh").run().success();
        assert_eq!(said.stderr(), "");
        said.stdout().to_owned()
    };
    let project = TestProject::new();
    project.write("a", "1");
    let place = format!("{}/p", registry.host());
    let _ = project.run(&["init", "--ref", &place]).success();
    let _ = project.run(&["add", "a"]).success();
    let _ = project.run(&["push", "--tag", "v1"]).success();
    assert_eq!(ask(&project, &["pull", "v"]), "values\nv1\t\n");
    assert_eq!(ask(&project, &["pull", &format!("{place}:")]), format!("values\n{place}:v1\t\n"));
    // What cannot be reached, understood or read leaves candidates out, and nothing else.
    let before = std::fs::read_dir(project.path().join(".modelops-bundle")).unwrap().count();
    project.write(".modelops-bundle/config.yaml", "registry_ref: 127.0.0.1:9/p\n");
    assert_eq!(ask(&project, &["pull", ""]), "values\nlatest\t\nv1\t\n");
    project.write(".modelops-bundle/config.yaml", "registry_ref: [\n");
    assert_eq!(ask(&project, &["pull", "x"]), "values\n");
    assert_eq!(std::fs::read_dir(project.path().join(".modelops-bundle")).unwrap().count(), before);
    assert_eq!(ask(&TestProject::new(), &["push", "--tag", ""]), "values\n");
    // A helper is never run: it might ask.
    std::fs::create_dir_all(project.home().join(".docker")).unwrap();
    std::fs::write(project.home().join(".docker/config.json"), r#"{"credsStore":"absent"}"#).unwrap();
    project.write(".modelops-bundle/config.yaml", format!("registry_ref: {place}\n"));
    assert_eq!(ask(&project, &["pull", "v"]), "values\nv1\t\n");
}

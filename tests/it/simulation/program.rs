//! The stories as the program itself plays them: projects in folders, a registry behind HTTP, the Python tool as recorded.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bundle_core::digest::Digest;
use modelops_bundle_tests::{Entry, PythonTool, RegistryClient, ScriptedRegistry, TestProject, Tree};
use serde_json::Value;

use super::{Files, Kill, Known, PEOPLE, Ran, Stage, State, play};

/// The ten share them: a run takes 20 to 30 ms.
pub(super) const STEPS: usize = 200;

const REPOSITORY: &str = "team/model";

#[test]
fn nothing_is_lost_that_was_not_named() {
    let stories = play::<Program>(STEPS, |steps| format!("{steps} steps shared by them, by the program"));
    println!("{stories}");
    stories.check();
}

/// The real thing.
pub(super) struct Program {
    registry: ScriptedRegistry,
    projects: Vec<TestProject>,
}

impl Program {
    fn python(&self) -> PythonTool {
        PythonTool::with_client(RegistryClient::of_host(self.registry.host()), REPOSITORY, "latest")
    }
}

impl Stage for Program {
    fn set_up(drops_untagged: bool) -> Self {
        let registry = ScriptedRegistry::start(move |asked, held| {
            let moves_a_tag = asked.is("PUT", "/manifests/") && !asked.name().starts_with("sha256:");
            if !drops_untagged || !moves_a_tag {
                return None;
            }
            let answer = held.answer(asked);
            held.drop_untagged();
            Some(answer)
        });
        let folder = folder();
        let projects: Vec<TestProject> = (0..PEOPLE).map(|_| TestProject::new_in(&folder)).collect();
        let reference = format!("{}/{REPOSITORY}", registry.host());
        let ran = projects[0].run(&["init", "--ref", &reference]);
        assert_eq!(ran.exit_code(), Some(0), "{ran}");
        // The others' folders are made alike, without a run each.
        for project in &projects[1..] {
            for folder in ["", ".modelops-bundle"] {
                Tree::read(&projects[0].path().join(folder)).write(&project.path().join(folder));
            }
        }
        Self { registry, projects }
    }

    fn write(&mut self, who: usize, path: &str, content: &str) {
        self.projects[who].write(path, content);
    }

    fn set_executable(&mut self, who: usize, path: &str, is_executable: bool) {
        let mode = if is_executable { 0o755 } else { 0o644 };
        let file = self.projects[who].path().join(path);
        fs::set_permissions(file, fs::Permissions::from_mode(mode)).unwrap();
    }

    fn remove(&mut self, who: usize, path: &str) {
        self.projects[who].remove(path);
    }

    fn rename(&mut self, who: usize, from: &str, to: &str) {
        let root = self.projects[who].path();
        let target = root.join(to);
        fs::create_dir_all(target.parent().unwrap()).unwrap();
        fs::rename(root.join(from), target).unwrap();
    }

    fn disk(&self, who: usize) -> Files {
        let tree = self.projects[who].tree();
        let file = |path: &str| match tree.entry(path) {
            Some(Entry::File { content, executable }) => Some((
                path.to_owned(),
                Known { content: Digest::of(content).to_string(), executable: Some(*executable) },
            )),
            Some(Entry::Link(_)) | None => None,
        };
        tree.paths().filter(|path| *path != ".gitignore").filter_map(file).collect()
    }

    fn exists(&self, who: usize, path: &str) -> bool {
        self.projects[who].exists(path)
    }

    fn is_folder(&self, who: usize, path: &str) -> bool {
        self.projects[who].path().join(path).is_dir()
    }

    fn tracked(&self, who: usize) -> BTreeSet<String> {
        let list = self.projects[who].path().join(".modelops-bundle/tracked.txt");
        let text = fs::read_to_string(list).unwrap_or_default();
        text.lines().filter(|line| !line.is_empty()).map(str::to_owned).collect()
    }

    fn state(&self, who: usize) -> State {
        let bytes = fs::read(self.projects[who].path().join(".modelops-bundle/state.json")).ok();
        let state = bytes.as_ref().map_or(Value::Null, |bytes| serde_json::from_slice(bytes).unwrap());
        let digest = |field: &str| state[field].as_str().map(str::to_owned);
        let listed = state["last_synced_files"].as_object().into_iter().flatten();
        State {
            file: bytes.map(|bytes| Digest::of(&bytes).to_string()),
            pushed: digest("last_push_digest"),
            pulled: digest("last_pull_digest"),
            contents: listed
                .map(|(path, content)| (path.clone(), content.as_str().unwrap().to_owned()))
                .collect(),
        }
    }

    fn undo_store(&self, who: usize) -> BTreeSet<String> {
        self.projects[who].undo_store()
    }

    fn tags(&self) -> BTreeMap<String, String> {
        let held = self.registry.held();
        held.tags().into_iter().filter_map(|tag| Some((tag.clone(), held.tag(&tag)?))).collect()
    }

    fn has_bundle(&self, digest: &str) -> bool {
        self.registry.held().manifest(digest).is_some()
    }

    fn bundle(&self, digest: &str) -> Option<Files> {
        let held = self.registry.held();
        let manifest: Value = serde_json::from_slice(&held.manifest(digest)?).unwrap();
        let index = held.blob(manifest["config"]["digest"].as_str().unwrap()).unwrap();
        let index: Value = serde_json::from_slice(&index).unwrap();
        let known = |entry: &Value| Known {
            content: entry["digest"].as_str().unwrap().to_owned(),
            executable: entry["executable"].as_bool(),
        };
        let listed = index["files"].as_object().unwrap();
        Some(listed.iter().map(|(path, entry)| (path.clone(), known(entry))).collect())
    }

    fn run(&mut self, who: usize, arguments: &[String], kill: Option<Kill>) -> Ran {
        let command = self.projects[who].command(arguments);
        let command = command.env("MODELOPS_BUNDLE_AUTHOR", format!("person {who}"));
        let output = match kill {
            Some(Kill(chance)) => command.run_killed_after(Duration::from_micros(3_000 + chance % 45_000)),
            None => command.run(),
        };
        let json = serde_json::from_slice(output.stdout_bytes()).unwrap_or(Value::Null);
        Ran { code: output.exit_code(), json, shown: output.to_string() }
    }

    fn python_push(&mut self, who: usize) {
        self.python().push(&self.projects[who]);
    }

    fn python_pull(&mut self, who: usize) {
        self.python().pull(&self.projects[who]);
    }

    fn python_would_stop(&self, who: usize) -> bool {
        self.python().would_stop(&self.projects[who])
    }
}

/// A folder in memory where there is one: the disk is most of what a step costs.
fn folder() -> PathBuf {
    let memory = Path::new("/dev/shm");
    if memory.is_dir() && tempfile::tempdir_in(memory).is_ok() {
        return memory.to_owned();
    }
    std::env::temp_dir()
}

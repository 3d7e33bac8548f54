//! The stories as a host in memory plays them: its folders and its registry are plain maps, and there is neither a process, a
//! file nor a request. What is to be done is decided by the same core as in the program, called natively; what the program's
//! host decides by itself is written down here once more.
//!
//! A run is killed at one of its points of no return: see [`Life`].

mod disk;
mod project;
mod pull;
mod push;
mod registry;
mod status;
mod tag;
mod track;
mod undo;

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use bundle_core::digest::Digest;
use bundle_core::file::{ByPath, File, SyncedFile};
use bundle_core::name::path::BundlePath;
use serde_json::{Value, json};

use self::disk::Content;
use self::project::{Project, StateFile};
use self::registry::{Bundle, Registry};
use super::{Files, Kill, Known, PEOPLE, Ran, Stage, State, play};

/// For each of the ten.
const OPERATIONS: usize = 200;

/// As many runs are begun in a second of the clock: two of them may then make the very same bundle.
const RUNS_IN_A_SECOND: u64 = 20;

#[test]
fn nothing_is_lost_that_was_not_named() {
    let stories = play::<InMemory>(PEOPLE * OPERATIONS, |steps| {
        format!("{} operations each, in memory", steps.div_ceil(PEOPLE))
    });
    println!("{stories}");
    stories.check();
}

/// Ten projects and their registry.
pub(super) struct InMemory {
    projects: Vec<Project>,
    registry: Registry,
    /// How many runs were begun.
    runs: u64,
    /// How many state files were written.
    states: u64,
}

/// Why a run did not come to its end.
#[derive(Debug)]
enum Stopped {
    Killed,
    Failed { code: i32, error: Value },
}

const USAGE: i32 = 2;
const CONFLICT: i32 = 3;
const MOVED: i32 = 4;
const NOT_FOUND: i32 = 6;
const INTEGRITY: i32 = 8;

fn failed(code: i32, message: &str) -> Stopped {
    Stopped::Failed { code, error: json!({"message": message}) }
}

fn conflict(message: &str) -> Stopped {
    failed(CONFLICT, message)
}

type Outcome = Result<Value, Stopped>;

/// How long a run lives: it is killed at the point of no return that comes after so many others.
#[derive(Debug)]
struct Life(Option<u64>);

impl Life {
    /// How many points of no return a run has, its beginning and its end among them.
    fn points(command: &str) -> u64 {
        match command {
            // Beginning, manifest, two tags, state, what belongs to it, tracked list.
            "push" => 7,
            _ => 2,
        }
    }

    fn of(kill: Option<Kill>, command: &str) -> Self {
        Self(kill.map(|Kill(chance)| chance % Self::points(command)))
    }

    /// A point of no return.
    fn go_on(&mut self) -> Result<(), Stopped> {
        match &mut self.0 {
            Some(0) => Err(Stopped::Killed),
            Some(left) => {
                *left -= 1;
                Ok(())
            }
            None => Ok(()),
        }
    }
}

/// A command line, understood.
#[derive(Debug, Default)]
struct Arguments<'a> {
    /// What belongs to no option.
    plain: Vec<&'a str>,
    flags: BTreeSet<&'a str>,
    /// Options and their values.
    values: Vec<(&'a str, &'a str)>,
}

impl<'a> Arguments<'a> {
    fn parse(arguments: &'a [String]) -> Self {
        let mut parsed = Self::default();
        let mut left = arguments.iter().map(String::as_str);
        while let Some(argument) = left.next() {
            match argument {
                "--tag" | "--expect" | "--mine" | "--theirs" => {
                    parsed.values.push((argument, left.next().unwrap()));
                }
                flag if flag.starts_with("--") => _ = parsed.flags.insert(flag),
                plain => parsed.plain.push(plain),
            }
        }
        parsed
    }

    fn has(&self, flag: &str) -> bool {
        self.flags.contains(flag)
    }

    fn values(&self, option: &str) -> impl Iterator<Item = &'a str> {
        self.values.iter().filter(move |(name, _)| *name == option).map(|(_, value)| *value)
    }
}

impl InMemory {
    /// The number of a state file that is about to be written.
    fn next_state(&mut self) -> u64 {
        self.states += 1;
        self.states
    }

    /// The wall clock.
    fn created(&self) -> String {
        let seconds = self.runs / RUNS_IN_A_SECOND;
        format!("2026-11-22T{:02}:{:02}:{:02}Z", seconds / 3600, seconds / 60 % 60, seconds % 60)
    }

    fn command(&mut self, who: usize, command: &str, arguments: &Arguments<'_>, life: &mut Life) -> Outcome {
        life.go_on()?;
        let document = match command {
            "add" => self.add(who, arguments),
            "pull" => self.pull(who, arguments),
            "push" => self.push(who, arguments, life),
            "remove" => self.remove_tracked(who, arguments),
            "status" => self.status(who, arguments),
            "tag" => self.tag(arguments),
            "undo" => self.undo(who),
            other => panic!("no story runs {other}"),
        }?;
        life.go_on()?;
        Ok(document)
    }

    /// Writes the state anew, as the Python tool does: what it does not know is gone.
    fn write_python_state(&mut self, who: usize, bundle: &Bundle, of: impl FnOnce(&mut StateFile)) {
        let number = self.next_state();
        let project = &mut self.projects[who];
        let file =
            |file: &File| SyncedFile { path: file.path.clone(), digest: file.digest, executable: None };
        let last_synced = ByPath::keeping_first(bundle.files.iter().map(file).collect());
        let former = project.state.take().unwrap_or_default();
        let mut state = StateFile { number, last_synced, ..former };
        of(&mut state);
        project.state = Some(state);
    }
}

impl Stage for InMemory {
    fn set_up(drops_untagged: bool) -> Self {
        let projects = (0..PEOPLE).map(|_| Project::default()).collect();
        Self { projects, registry: Registry::new(drops_untagged), runs: 0, states: 0 }
    }

    fn write(&mut self, who: usize, path: &str, content: &str) {
        let disk = &mut self.projects[who].disk;
        let executable = disk.at(path).is_some_and(|content| content.executable);
        let (digest, size) = (Digest::of(content.as_bytes()), content.len() as u64);
        disk.put(&path.parse().unwrap(), Content { digest, size, executable });
    }

    fn set_executable(&mut self, who: usize, path: &str, is_executable: bool) {
        let disk = &mut self.projects[who].disk;
        let content = disk.at(path).unwrap();
        disk.put(&path.parse().unwrap(), Content { executable: is_executable, ..content });
    }

    fn remove(&mut self, who: usize, path: &str) {
        self.projects[who].disk.remove(path);
    }

    fn rename(&mut self, who: usize, from: &str, to: &str) {
        let disk = &mut self.projects[who].disk;
        let content = disk.take(from).unwrap();
        disk.put(&to.parse().unwrap(), content);
    }

    fn disk(&self, who: usize) -> Files {
        let known = |content: &Content| Known {
            content: content.digest.to_string(),
            executable: Some(content.executable),
        };
        let files = self.projects[who].disk.files().iter();
        files.map(|(path, content)| (path.to_string(), known(content))).collect()
    }

    fn exists(&self, who: usize, path: &str) -> bool {
        let disk = &self.projects[who].disk;
        disk.at(path).is_some() || disk.is_folder(path)
    }

    fn is_folder(&self, who: usize, path: &str) -> bool {
        self.projects[who].disk.is_folder(path)
    }

    fn tracked(&self, who: usize) -> BTreeSet<String> {
        self.projects[who].tracked.iter().map(ToString::to_string).collect()
    }

    fn state(&self, who: usize) -> State {
        let file = self.projects[who].state.as_ref().map(|state| state.number.to_string());
        let state = self.projects[who].state.clone().unwrap_or_default();
        let text = |digest: Option<Digest>| digest.map(|digest| digest.to_string());
        let contents = state.last_synced.iter().map(|file| (file.path.to_string(), file.digest.to_string()));
        State { file, pushed: text(state.pushed), pulled: text(state.pulled), contents: contents.collect() }
    }

    fn undo_store(&self, who: usize) -> BTreeSet<String> {
        self.projects[who].kept().map(|digest| digest.to_string()).collect()
    }

    fn tags(&self) -> BTreeMap<String, String> {
        self.registry.tags().iter().map(|(tag, digest)| (tag.clone(), digest.to_string())).collect()
    }

    fn has_bundle(&self, digest: &str) -> bool {
        self.registry.bundle(digest.parse().unwrap()).is_some()
    }

    fn bundle(&self, digest: &str) -> Option<Files> {
        let bundle = self.registry.bundle(digest.parse().unwrap())?;
        let known = |file: &File| Known { content: file.digest.to_string(), executable: file.executable };
        Some(bundle.files.iter().map(|file| (file.path.to_string(), known(file))).collect())
    }

    fn run(&mut self, who: usize, arguments: &[String], kill: Option<Kill>) -> Ran {
        self.runs += 1;
        let (command, rest) = arguments.split_first().unwrap();
        let mut life = Life::of(kill, command);
        let (code, json) = match self.command(who, command, &Arguments::parse(rest), &mut life) {
            Ok(document) => (Some(0), document),
            Err(Stopped::Failed { code, error }) => (Some(code), json!({"error": error})),
            Err(Stopped::Killed) => (None, Value::Null),
        };
        let shown = format!("$ {} -> {code:?}\n{json}", arguments.join(" "));
        Ran { code, json, shown }
    }

    fn python_push(&mut self, who: usize) {
        let Project { disk, tracked, .. } = &self.projects[who];
        let bundle = Rc::new(Bundle::of_python(&disk.scan(tracked, &[]).files));
        for file in &bundle.files {
            self.registry.send_blob(file.digest);
        }
        self.registry.move_tag("latest", &bundle);
        self.write_python_state(who, &bundle, |state| state.pushed = Some(bundle.digest));
    }

    fn python_pull(&mut self, who: usize) {
        let bundle = self.registry.open("latest").unwrap();
        let Project { disk, tracked, state, .. } = &mut self.projects[who];
        for file in &bundle.files {
            // It replaces what differs, and a new file is a plain one.
            if disk.at(file.path.as_str()).is_none_or(|there| there.digest != file.digest) {
                disk.put(&file.path, Content { digest: file.digest, size: file.size, executable: false });
            }
        }
        let last = state.as_ref().map(|state| &state.last_synced).into_iter().flatten();
        let gone = last.filter(|synced| bundle.files.at(&synced.path).is_none());
        let gone: ByPath<BundlePath> = gone.map(|synced| synced.path.clone()).collect();
        for path in &gone {
            disk.remove(path.as_str());
        }
        let kept = tracked.iter().filter(|path| gone.at(path).is_none()).cloned();
        *tracked = kept.chain(disk::paths(&bundle.files)).collect();
        self.write_python_state(who, &bundle, |state| state.pulled = Some(bundle.digest));
    }

    fn python_would_stop(&self, who: usize) -> bool {
        let bundle = self.registry.open("latest").unwrap();
        let Project { disk, .. } = &self.projects[who];
        let base = self.projects[who].base();
        let is_known = |path: &BundlePath, digest: Digest| {
            let there = disk.at(path.as_str());
            there.is_none_or(|there| {
                there.digest == digest || base.at(path).is_some_and(|synced| synced.digest == there.digest)
            })
        };
        !bundle.files.iter().all(|file| is_known(&file.path, file.digest))
    }
}

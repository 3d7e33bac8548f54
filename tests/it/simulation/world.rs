//! A story: what people do, what the program is asked for, and what has to hold after each of its runs.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use bundle_core::digest::Digest;
use modelops_bundle_tests::{paths_in, paths_lost_in};

use super::{Files, Kill, Known, PEOPLE, Ran, Stage, State, Story};
use crate::three_way_model::{
    Disk, Facts, LISTS, Outcome, Pull, PullMode, Pushed, Row, Settled, Side, pulled, pushed,
};

/// How many of a hundred runs of the program are killed.
const KILLED: u64 = 7;

const TAGS: [&str; 3] = ["stable", "paper", "trial"];

/// Few paths, so that people meet: some are a file for one and a folder for another.
const PATHS: [&str; 13] = [
    "a",
    "b",
    "c",
    "data/1",
    "data/2",
    "data/3",
    "deep/in/x",
    "notes",
    "run",
    "src/m",
    "src/n",
    "swap",
    "swap/in",
];

/// Chance, the same for the same seed: `SplitMix64`.
struct Chance(u64);

impl Chance {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound.max(1) as u64) as usize
    }

    /// True in so many of a hundred cases.
    fn percent(&mut self, percent: u64) -> bool {
        self.next() % 100 < percent
    }

    fn one<T: Clone>(&mut self, items: &[T]) -> Option<T> {
        let at = self.below(items.len());
        items.get(at).cloned()
    }

    /// One of the items, each as likely as its weight says.
    fn weighted<T: Copy>(&mut self, items: &[(u64, T)]) -> T {
        let total: u64 = items.iter().map(|(weight, _)| weight).sum();
        let mut at = self.next() % total;
        for (weight, item) in items {
            match at.checked_sub(*weight) {
                None => return *item,
                Some(rest) => at = rest,
            }
        }
        items[0].1
    }
}

impl Known {
    fn side(&self) -> Side<'_> {
        Side { content: &self.content, executable: self.executable }
    }
}

fn contents(files: &Files) -> BTreeMap<&str, &str> {
    files.iter().map(|(path, known)| (path.as_str(), known.content.as_str())).collect()
}

/// The bundle that somebody's files were made from.
#[derive(Clone, Debug, Default)]
struct Synced {
    digest: Option<String>,
    files: Files,
}

#[derive(Default)]
struct Person {
    synced: Synced,
    /// Every one that he has had, by the state file that belongs to it: an undo brings such a file back.
    by_state: BTreeMap<String, Synced>,
    /// Contents that he changed, deleted or kept out himself, by path: a push of his may replace them without naming them.
    given_up: BTreeSet<(String, String)>,
    /// The digest that he last pulled or pushed under a tag.
    seen: BTreeMap<String, String>,
    disk: Files,
}

impl Person {
    fn give_up(&mut self, path: &str) {
        if let Some(known) = self.disk.get(path) {
            self.given_up.insert((path.to_owned(), known.content.clone()));
        }
    }
}

/// What counts of the world before a run, to be compared with afterwards.
#[derive(Clone)]
struct Before {
    disk: Files,
    tracked: BTreeSet<String>,
    tags: BTreeMap<String, String>,
    state: State,
}

/// What the table says a pull comes to.
#[derive(Debug)]
struct Predicted {
    /// Each path, with what becomes of it.
    outcomes: BTreeMap<String, (Row, Outcome)>,
}

impl Predicted {
    fn with(&self, wanted: Outcome) -> BTreeSet<&str> {
        let found = self.outcomes.iter().filter(|(_, (_, outcome))| *outcome == wanted);
        found.map(|(path, _)| path.as_str()).collect()
    }

    fn stops(&self) -> BTreeMap<&str, Option<&'static str>> {
        let stop = |outcome: &Outcome| match outcome {
            Outcome::Stop(kind) => Some(*kind),
            _ => None,
        };
        self.outcomes
            .iter()
            .filter_map(|(path, (_, outcome))| Some((path.as_str(), stop(outcome)?)))
            .collect()
    }
}

/// A story that is under way.
pub(super) struct World<S> {
    seed: u64,
    chance: Chance,
    stage: S,
    /// How many of a hundred runs are killed.
    killed: u64,
    has_python: bool,
    people: Vec<Person>,
    bundles: BTreeMap<String, Rc<Files>>,
    /// Their digests, as they came.
    known: Vec<String>,
    /// Of each bundle that the program pushed, the one that its project had synced before.
    parents: BTreeMap<String, String>,
    /// How many contents were made; each is another one.
    made: usize,
    trace: Vec<String>,
    counts: BTreeMap<String, usize>,
}

type Step = Result<(), String>;

fn check(is_so: bool, what: impl FnOnce() -> String) -> Step {
    if is_so { Ok(()) } else { Err(what()) }
}

impl<S: Stage> World<S> {
    pub(super) fn new(seed: u64) -> Self {
        Self {
            seed,
            chance: Chance(seed),
            stage: S::set_up(seed.is_multiple_of(2)),
            killed: KILLED,
            has_python: seed.is_multiple_of(3),
            people: (0..PEOPLE).map(|_| Person::default()).collect(),
            bundles: BTreeMap::new(),
            known: Vec::new(),
            parents: BTreeMap::new(),
            made: 0,
            trace: Vec::new(),
            counts: BTreeMap::new(),
        }
    }

    /// The same story, without kills.
    pub(super) fn undisturbed(seed: u64) -> Self {
        Self { killed: 0, ..Self::new(seed) }
    }

    pub(super) fn live(mut self, steps: usize) -> Story {
        let mut violation = self.begin().err();
        for step in 0..steps {
            if violation.is_some() {
                break;
            }
            violation = self.step(step).err();
        }
        Story { seed: self.seed, trace: self.trace, counts: self.counts, violation }
    }

    /// The first of them has a few files and pushes them.
    fn begin(&mut self) -> Step {
        for path in ["a", "data/1", "data/2", "run", "src/m", "swap"] {
            let content = self.content(0);
            self.stage.write(0, path, &content);
        }
        self.read_disk(0);
        self.add(0, &["a", "data", "run", "src", "swap"])?;
        self.push(0, "plain")
    }

    fn step(&mut self, step: usize) -> Step {
        let who = self.chance.below(PEOPLE);
        self.trace.push(format!("step {step}:"));
        let python = if self.has_python { 1 } else { 0 };
        let action = self.chance.weighted(&[
            (17, "edit"),
            (10, "new"),
            (5, "delete"),
            (4, "rename"),
            (4, "mode"),
            (4, "add"),
            (2, "remove"),
            (2, "remove --rm"),
            (24, "pull"),
            (18, "push"),
            (2, "tag"),
            (3, "undo"),
            (3, "status"),
            (2 * python, "python push"),
            (2 * python, "python pull"),
        ]);
        self.count(action);
        match action {
            "edit" => self.edit(who),
            "new" => self.make(who),
            "delete" => self.delete(who),
            "rename" => self.rename(who),
            "mode" => self.change_mode(who),
            "add" => self.add_something(who),
            "remove" => self.remove(who, false),
            "remove --rm" => self.remove(who, true),
            "pull" => self.pull(who),
            "push" => {
                let how = self.chance.weighted(&[
                    (60, "plain"),
                    (10, "--replace"),
                    (5, "--force"),
                    (5, "--expect"),
                    (4, "--expect another"),
                    (13, "--tag"),
                    (5, "two tags"),
                ]);
                self.push(who, how)
            }
            "tag" => self.tag(who),
            "undo" => self.undo(who),
            "status" => self.status(who),
            "python push" => self.python_push(who),
            _ => self.python_pull(who),
        }
    }

    fn count(&mut self, what: impl Into<String>) {
        *self.counts.entry(what.into()).or_default() += 1;
    }

    fn tell(&mut self, line: String) {
        self.trace.push(line);
    }

    // What is done by hand.

    /// A content that nobody else has.
    fn content(&mut self, who: usize) -> String {
        self.made += 1;
        format!("content {} of person {who}\n", self.made)
    }

    fn edit(&mut self, who: usize) -> Step {
        let paths: Vec<String> = self.people[who].disk.keys().cloned().collect();
        let Some(path) = self.chance.one(&paths) else { return self.make(who) };
        let content = self.content(who);
        self.tell(format!("person {who} edits {path}"));
        self.people[who].give_up(&path);
        self.stage.write(who, &path, &content);
        self.read_disk(who);
        Ok(())
    }

    /// A new file, for which a folder or a file may have to go.
    fn make(&mut self, who: usize) -> Step {
        let path = self.chance.one(&PATHS).unwrap_or(PATHS[0]);
        let content = self.content(who);
        let is_executable = self.chance.percent(15);
        self.clear(who, path);
        self.tell(format!("person {who} makes {path}{}", if is_executable { ", executable" } else { "" }));
        self.stage.write(who, path, &content);
        if is_executable {
            self.stage.set_executable(who, path, true);
        }
        self.read_disk(who);
        if self.chance.percent(80) { self.add(who, &[path]) } else { Ok(()) }
    }

    /// Takes away by hand whatever lies at a path, below it, or as a file where a folder of it should be.
    fn clear(&mut self, who: usize, path: &str) {
        let paths = self.people[who].disk.keys();
        let in_the_way: Vec<String> =
            paths.filter(|other| *other == path || is_nested(other, path)).cloned().collect();
        for other in in_the_way {
            self.people[who].give_up(&other);
            self.stage.remove(who, &other);
        }
        if self.stage.is_folder(who, path) {
            self.stage.remove(who, path);
        }
        self.read_disk(who);
    }

    fn delete(&mut self, who: usize) -> Step {
        let paths: Vec<String> = self.people[who].disk.keys().cloned().collect();
        let Some(path) = self.chance.one(&paths) else { return Ok(()) };
        self.tell(format!("person {who} deletes {path}"));
        self.clear(who, &path);
        Ok(())
    }

    fn rename(&mut self, who: usize) -> Step {
        let paths: Vec<String> = self.people[who].disk.keys().cloned().collect();
        let Some(from) = self.chance.one(&paths) else { return Ok(()) };
        let to = self.chance.one(&PATHS).unwrap_or(PATHS[0]);
        if from == to || is_nested(&from, to) {
            return Ok(());
        }
        self.clear(who, to);
        self.tell(format!("person {who} renames {from} to {to}"));
        self.people[who].give_up(&from);
        self.stage.rename(who, &from, to);
        self.read_disk(who);
        if self.chance.percent(70) { self.add(who, &[to]) } else { Ok(()) }
    }

    fn change_mode(&mut self, who: usize) -> Step {
        let paths: Vec<String> = self.people[who].disk.keys().cloned().collect();
        let Some(path) = self.chance.one(&paths) else { return Ok(()) };
        self.tell(format!("person {who} changes the mode of {path}"));
        let is_executable = self.people[who].disk[&path].executable == Some(true);
        self.stage.set_executable(who, &path, !is_executable);
        self.read_disk(who);
        Ok(())
    }

    // What is known of the projects and the registry.

    fn read_disk(&mut self, who: usize) {
        self.people[who].disk = self.stage.disk(who);
    }

    /// The files of a bundle that is, or was, in the registry.
    fn bundle(&mut self, digest: &str) -> Option<Rc<Files>> {
        if let Some(files) = self.bundles.get(digest) {
            return Some(Rc::clone(files));
        }
        let files = Rc::new(self.stage.bundle(digest)?);
        self.bundles.insert(digest.to_owned(), Rc::clone(&files));
        self.known.push(digest.to_owned());
        Some(files)
    }

    /// Whether `old` comes before `new` in what was pushed one on the other.
    fn is_ancestor(&self, old: &str, new: &str) -> bool {
        let mut at = new;
        while let Some(parent) = self.parents.get(at) {
            if parent == old {
                return true;
            }
            at = parent;
        }
        false
    }

    /// Remembers what somebody has synced by now.
    fn sync(&mut self, who: usize, digest: Option<String>, files: Files) {
        let state = self.stage.state(who);
        let person = &mut self.people[who];
        person.synced = Synced { digest, files };
        person.by_state.extend(state.file.map(|file| (file, person.synced.clone())));
    }

    /// Finds out what somebody has synced where the state file is one that was there before.
    fn sync_again(&mut self, who: usize) -> Step {
        let state = self.stage.state(who);
        let person = &mut self.people[who];
        person.synced = match state.file {
            None => Synced::default(),
            Some(file) => person.by_state.get(&file).cloned().ok_or("a state came that nobody has had")?,
        };
        Ok(())
    }

    // A run of the program.

    fn before(&self, who: usize) -> Before {
        Before {
            disk: self.people[who].disk.clone(),
            tracked: self.stage.tracked(who),
            tags: self.stage.tags(),
            state: self.stage.state(who),
        }
    }

    /// Runs the program; killed by chance if it may be, and then brought back to order by the next run.
    fn run(&mut self, who: usize, arguments: &[String], may_be_killed: bool) -> Result<Ran, String> {
        let is_killed = may_be_killed && self.chance.percent(self.killed);
        let kill = Kill(self.chance.next());
        let ran = self.stage.run(who, arguments, is_killed.then_some(kill));
        let end = match ran.code {
            Some(code) => format!("exit code {code}"),
            None => "killed".to_owned(),
        };
        self.tell(format!("person {who} $ {} -> {end}", arguments.join(" ")));
        let kind = arguments[0].clone();
        self.count(format!("runs of {kind}: {end}"));
        if ran.was_killed() {
            let next = ["status", "--offline", "--json"].map(str::to_owned);
            let next = self.stage.run(who, &next, None);
            check(next.code == Some(0), || format!("after a kill:\n{}", next.shown))?;
        }
        self.read_disk(who);
        Ok(ran)
    }

    /// What every run has to leave in order.
    fn check_run(&mut self, who: usize, before: &Before, ran: &Ran, source: Option<&Files>) -> Step {
        let after = self.before(who);
        if let Some(code) = ran.code
            && code != 0
        {
            check(code < 10, || format!("it ended strangely\n{}", ran.shown))?;
            check(after.disk == before.disk, || format!("it failed and changed files\n{}", ran.shown))?;
            check(after.tracked == before.tracked, || {
                format!("it failed and changed the tracked list\n{}", ran.shown)
            })?;
            return check(after.tags == before.tags, || format!("it failed and moved a tag\n{}", ran.shown));
        }
        // Where contents are now.
        let mut kept: BTreeSet<String> = self
            .people
            .iter()
            .flat_map(|person| person.disk.values())
            .map(|known| known.content.clone())
            .collect();
        for digest in after.tags.values() {
            if let Some(files) = self.bundle(digest) {
                kept.extend(files.values().map(|known| known.content.clone()));
            }
        }
        // Path and content, and the bundle where it was under a tag.
        let mut lost: Vec<(Option<String>, String, String)> = Vec::new();
        for (path, known) in &before.disk {
            if !kept.contains(&known.content) {
                lost.push((None, path.clone(), known.content.clone()));
            }
        }
        for digest in before.tags.values() {
            for (path, known) in self.bundle(digest).iter().flat_map(|files| files.iter()) {
                if !kept.contains(&known.content) {
                    lost.push((Some(digest.clone()), path.clone(), known.content.clone()));
                }
            }
        }
        if lost.is_empty() {
            return Ok(());
        }
        let own = self.stage.undo_store(who);
        let others: BTreeSet<String> = (0..PEOPLE).flat_map(|person| self.stage.undo_store(person)).collect();
        let in_registry = self.contents_of_registry();
        let named = paths_lost_in(&ran.json);
        for (bundle, path, content) in lost {
            let was_on_disk = bundle.is_none();
            if was_on_disk {
                let is_in_source =
                    source.is_some_and(|files| files.values().any(|known| known.content == content));
                check(own.contains(&content) || in_registry.contains(&content) || is_in_source, || {
                    format!(
                        "{path} lay on the disk of person {who} as {content}, and is neither kept by undo nor in the \
                         registry\n{}",
                        ran.shown
                    )
                })?;
            }
            if others.contains(&content) || named.contains(&path) {
                continue;
            }
            let person = &self.people[who];
            let is_his_own = !was_on_disk && person.given_up.contains(&(path.clone(), content.clone()));
            // A tag that goes forward leaves behind what the bundles in between replaced.
            let is_superseded = bundle.is_some_and(|bundle| {
                let synced = person.synced.digest.as_deref();
                synced.is_some_and(|synced| self.is_ancestor(&bundle, synced))
                    && person.synced.files.get(&path).is_none_or(|known| known.content != content)
            });
            // There is no document of what was killed: then it is enough that the registry has it.
            let is_unheard = ran.was_killed() && (was_on_disk || !person.disk.contains_key(&path));
            let is_excused = is_his_own || is_superseded || is_unheard;
            check(is_excused, || {
                format!("{path} was held as {content}; it is nowhere now, and not named\n{}", ran.shown)
            })?;
        }
        Ok(())
    }

    /// Every content that the registry gives to whoever knows a digest.
    fn contents_of_registry(&self) -> BTreeSet<String> {
        let there = self.bundles.iter().filter(|(digest, _)| self.stage.has_bundle(digest));
        there.flat_map(|(_, files)| files.values()).map(|known| known.content.clone()).collect()
    }

    fn add_something(&mut self, who: usize) -> Step {
        let tracked = self.stage.tracked(who);
        let paths: Vec<String> =
            self.people[who].disk.keys().filter(|path| !tracked.contains(*path)).cloned().collect();
        match self.chance.one(&paths) {
            Some(path) => self.add(who, &[&path]),
            None => Ok(()),
        }
    }

    fn add(&mut self, who: usize, paths: &[&str]) -> Step {
        let before = self.before(who);
        let arguments: Vec<String> = ["add", "--json"].iter().chain(paths).map(ToString::to_string).collect();
        let ran = self.run(who, &arguments, true)?;
        self.check_run(who, &before, &ran, None)?;
        check(self.people[who].disk == before.disk, || format!("it changed files\n{}", ran.shown))
    }

    fn remove(&mut self, who: usize, from_disk: bool) -> Step {
        let tracked: Vec<String> = self.stage.tracked(who).into_iter().collect();
        let Some(path) = self.chance.one(&tracked) else { return Ok(()) };
        let forced = from_disk && self.chance.percent(40);
        let before = self.before(who);
        let mut arguments = vec!["remove".to_owned(), "--json".to_owned(), path.clone()];
        if from_disk {
            arguments.push("--rm".to_owned());
        }
        if forced {
            arguments.push("--force".to_owned());
        }
        let ran = self.run(who, &arguments, true)?;
        self.check_run(who, &before, &ran, None)?;
        if ran.code != Some(0) {
            let person = &self.people[who];
            let disk = person.disk.get(&path);
            let is_edited = disk != person.synced.files.get(&path);
            let may_stop = from_disk && !forced && is_edited;
            return check(may_stop || ran.was_killed() || disk.is_none(), || {
                format!("{path} is as it was last synced, and cannot be removed\n{}", ran.shown)
            });
        }
        check(!self.stage.tracked(who).contains(&path), || {
            format!("{path} is tracked still\n{}", ran.shown)
        })?;
        let person = &mut self.people[who];
        if from_disk {
            check(!person.disk.contains_key(&path), || format!("{path} lies there still\n{}", ran.shown))?;
            let edited = before.disk.get(&path).filter(|known| {
                !forced && person.synced.files.get(&path).map(|base| &base.content) != Some(&known.content)
            });
            check(edited.is_none(), || {
                format!("{path} was edited or never pushed, and is deleted without --force\n{}", ran.shown)
            })?;
        }
        if let Some(known) = before.disk.get(&path) {
            person.given_up.insert((path, known.content.clone()));
        }
        Ok(())
    }

    // Pull.

    /// What the table says of a pull of `remote`; nothing where it does not say all.
    fn predict(
        &self,
        who: usize,
        remote: &Files,
        pull: Pull,
        settled: impl Fn(&str) -> Settled,
    ) -> Option<Predicted> {
        let person = &self.people[who];
        let tracked = self.stage.tracked(who);
        let base = &person.synced.files;
        let paths: BTreeSet<&String> =
            person.disk.keys().chain(remote.keys()).chain(base.keys()).chain(&tracked).collect();
        // What stands in the way of what is not the matter of a table of single paths.
        if paths.iter().any(|path| paths.iter().any(|other| is_nested(path, other))) {
            return None;
        }
        let mut outcomes = BTreeMap::new();
        for path in paths {
            let facts = Facts {
                tracked: tracked.contains(path),
                disk: match person.disk.get(path) {
                    Some(known) => Disk::File(known.side()),
                    // A folder that has been left empty.
                    None if self.stage.exists(who, path) => return None,
                    None => Disk::Nothing,
                },
                remote: remote.get(path).map(Known::side),
                base: base.get(path).map(Known::side),
            };
            // A mode that is not known may be remembered as the one that the disk shows.
            if facts.base.is_some_and(|base| base.executable.is_none()) {
                return None;
            }
            match *pulled(&facts, pull, settled(path)) {
                [outcome] => outcomes.insert(path.clone(), (Row::of(&facts), outcome)),
                _ => return None,
            };
        }
        Some(Predicted { outcomes })
    }

    fn pull(&mut self, who: usize) -> Step {
        let before = self.before(who);
        let tag = match self.chance.weighted(&[(70, "latest"), (20, "tag"), (10, "digest")]) {
            "tag" => self.chance.one(&before.tags.keys().cloned().collect::<Vec<_>>()),
            "digest" => None,
            latest => Some(latest.to_owned()),
        };
        let (reference, digest) = match &tag {
            Some(tag) => (tag.clone(), before.tags.get(tag).cloned()),
            None => {
                let digest = self.chance.one(&self.known);
                let there = digest.filter(|digest| self.stage.has_bundle(digest));
                (there.clone().unwrap_or_else(|| "latest".to_owned()), there)
            }
        };
        let Some(digest) = digest else { return Ok(()) };
        let Some(remote) = self.bundle(&digest) else { return Ok(()) };

        let merge = Pull { mode: PullMode::Merge, restore_deleted: false };
        let (name, pull) = self.chance.weighted(&[
            (42, ("merge", merge)),
            (7, ("--safe", Pull { mode: PullMode::Safe, ..merge })),
            (7, ("--exact", Pull { mode: PullMode::Exact, ..merge })),
            (7, ("--restore-deleted", Pull { restore_deleted: true, ..merge })),
            (9, ("--overwrite", Pull { mode: PullMode::Overwrite, ..merge })),
            (28, ("settled", merge)),
        ]);
        let mut arguments = vec!["pull".to_owned(), reference, "--json".to_owned()];
        if name.starts_with("--") {
            arguments.push(name.to_owned());
        }
        let mut settled: BTreeMap<String, Settled> = BTreeMap::new();
        if name == "settled" {
            let stops = self.predict(who, &remote, merge, |_| Settled::No);
            let stops: Vec<String> =
                stops.iter().flat_map(Predicted::stops).map(|(path, _)| path.to_owned()).collect();
            for path in stops {
                let (flag, side) = self.chance.weighted(&[
                    (5, ("--mine", Settled::Mine)),
                    (5, ("--theirs", Settled::Theirs)),
                    (1, ("", Settled::No)),
                ]);
                if !flag.is_empty() {
                    arguments.extend([flag.to_owned(), path.clone()]);
                    settled.insert(path, side);
                }
            }
        }
        let accepts = self.chance.percent(30);
        if accepts {
            arguments.push("--accept-deletions".to_owned());
        }
        let predicted =
            self.predict(who, &remote, pull, |path| settled.get(path).copied().unwrap_or(Settled::No));
        self.count(if predicted.is_some() { "pulls that the table decides" } else { "pulls that are open" });
        let ran = self.run(who, &arguments, true)?;
        self.check_run(who, &before, &ran, Some(&remote))?;
        if ran.was_killed() {
            return self.after_killed_pull(who, &before, &ran, &digest, &remote, predicted.as_ref());
        }
        if let Some(predicted) = &predicted {
            self.check_pull(who, &before, &ran, &remote, predicted, accepts)?;
        }
        if ran.code != Some(0) {
            return check(matches!(ran.code, Some(2 | 3)), || {
                format!("a pull of what is there ended otherwise\n{}", ran.shown)
            });
        }
        check(ran.json["digest"] == digest.as_str(), || format!("it is not {digest}\n{}", ran.shown))?;
        self.sync(who, Some(digest.clone()), remote.as_ref().clone());
        let person = &mut self.people[who];
        if let Some(tag) = tag {
            person.seen.insert(tag, digest);
        }
        let mut kept = paths_in(&ran.json, "kept");
        kept.append(&mut paths_in(&ran.json, "adopted"));
        for (path, known) in remote.iter() {
            let differs = person.disk.get(path).is_none_or(|here| here.content != known.content);
            if differs {
                check(kept.contains(path), || {
                    format!("{path} is not as in the bundle, and not named in `kept`\n{}", ran.shown)
                })?;
                person.given_up.insert((path.clone(), known.content.clone()));
            }
        }
        // The whole bundle is what is last synced, also where a path was left alone.
        let recorded = self.stage.state(who).contents;
        let is_whole =
            recorded.iter().map(|(path, content)| (path.as_str(), content.as_str())).eq(contents(&remote));
        check(is_whole, || {
            format!("the state says {recorded:?}, and the bundle has {:?}\n{}", contents(&remote), ran.shown)
        })?;
        // A pull that left everything as it was is nothing to take back.
        let after = self.before(who);
        let came_to_nothing = after.disk == before.disk && after.tracked == before.tracked;
        if !came_to_nothing && self.chance.percent(15) { self.undo_pull(who, &before) } else { Ok(()) }
    }

    /// Compares a pull with the table.
    fn check_pull(
        &mut self,
        who: usize,
        before: &Before,
        ran: &Ran,
        remote: &Files,
        predicted: &Predicted,
        accepts: bool,
    ) -> Step {
        let stops = predicted.stops();
        if !stops.is_empty() {
            check(ran.code == Some(3), || format!("it should stop at {stops:?}\n{}", ran.shown))?;
            let blocked = ran.json["error"]["blocked"].as_array().cloned().unwrap_or_default();
            let blocked: BTreeMap<&str, Option<&str>> = blocked
                .iter()
                .map(|item| (item["path"].as_str().unwrap_or_default(), item["kind"].as_str()))
                .collect();
            return check(blocked == stops, || format!("it should stop at {stops:?}\n{}", ran.shown));
        }
        let deletes = predicted.with(Outcome::Delete);
        if ran.code == Some(3) && !accepts {
            // It may be that too much goes at once.
            let there = before.tracked.iter().filter(|path| before.disk.contains_key(*path)).count();
            let many = deletes.len() > 10 || !deletes.is_empty() && deletes.len() >= there;
            return check(many, || format!("it should not stop\n{}", ran.shown));
        }
        check(ran.code == Some(0), || format!("it should not stop\n{}", ran.shown))?;
        for (list, outcome) in LISTS {
            let (named, expected) = (paths_in(&ran.json, list), predicted.with(outcome));
            check(named.iter().map(String::as_str).eq(expected.iter().copied()), || {
                format!("`{list}` should be {expected:?}\n{}", ran.shown)
            })?;
        }
        let person = &self.people[who];
        let disk = disk_after(&before.disk, remote, predicted);
        check(is_same(&person.disk, &disk), || {
            format!("on disk is {:?}, and should be {disk:?}\n{}", person.disk, ran.shown)
        })?;
        let mut tracked = before.tracked.clone();
        for (path, (_, outcome)) in &predicted.outcomes {
            match outcome {
                Outcome::Write | Outcome::Adopt => tracked.insert(path.clone()),
                Outcome::Delete | Outcome::Untrack => tracked.remove(path),
                Outcome::Keep | Outcome::Leave | Outcome::Stop(_) => false,
            };
        }
        let found = self.stage.tracked(who);
        check(found == tracked, || format!("tracked is {found:?}, and should be {tracked:?}\n{}", ran.shown))
    }

    /// A killed pull has done all or nothing.
    fn after_killed_pull(
        &mut self,
        who: usize,
        before: &Before,
        ran: &Ran,
        digest: &str,
        remote: &Files,
        predicted: Option<&Predicted>,
    ) -> Step {
        let person = &mut self.people[who];
        let is_done = match predicted {
            Some(predicted) if predicted.stops().is_empty() => {
                is_same(&person.disk, &disk_after(&before.disk, remote, predicted))
            }
            Some(_) => false,
            None => person.disk != before.disk,
        };
        check(is_done || person.disk == before.disk, || {
            format!(
                "a killed pull left half of it: {:?} before, {:?} now\n{}",
                before.disk, person.disk, ran.shown
            )
        })?;
        if self.stage.state(who) != before.state {
            self.sync(who, Some(digest.to_owned()), remote.clone());
            let person = &mut self.people[who];
            for (path, known) in remote {
                person.given_up.insert((path.clone(), known.content.clone()));
            }
        }
        Ok(())
    }

    /// A pull that is taken back has changed nothing.
    fn undo_pull(&mut self, who: usize, before: &Before) -> Step {
        let pulled = self.before(who);
        let ran = self.run(who, &["undo".to_owned(), "--json".to_owned()], false)?;
        self.check_run(who, &pulled, &ran, None)?;
        check(ran.code == Some(0), || format!("the pull is not taken back\n{}", ran.shown))?;
        let person = &mut self.people[who];
        check(person.disk == before.disk, || {
            format!("undone, the disk is {:?}, and was {:?}\n{}", person.disk, before.disk, ran.shown)
        })?;
        check(self.stage.tracked(who) == before.tracked, || {
            format!("undone, other files are tracked\n{}", ran.shown)
        })?;
        check(self.stage.state(who) == before.state, || {
            format!("undone, another bundle is synced\n{}", ran.shown)
        })?;
        self.sync_again(who)
    }

    // Push.

    fn push(&mut self, who: usize, how: &str) -> Step {
        let before = self.before(who);
        let mut arguments = vec!["push".to_owned(), "--json".to_owned()];
        let other = self.chance.one(&TAGS).unwrap_or(TAGS[0]);
        let tags: Vec<&str> = match how {
            "--tag" => vec![other],
            "two tags" => vec!["latest", other],
            _ => vec!["latest"],
        };
        if how == "--tag" || how == "two tags" {
            arguments.extend(tags.iter().flat_map(|tag| ["--tag".to_owned(), (*tag).to_owned()]));
        }
        let latest = before.tags.get("latest").cloned();
        match how {
            "--replace" | "--force" => arguments.push(how.to_owned()),
            "--expect" => {
                let expected = latest.unwrap_or_else(|| "absent".to_owned());
                arguments.extend([how.to_owned(), expected]);
            }
            "--expect another" => {
                let wrong =
                    if latest.is_some() { "absent".to_owned() } else { Digest::of(b"none").to_string() };
                arguments.extend(["--expect".to_owned(), wrong]);
            }
            _ => {}
        }
        let expectation = self.expect_push(who, &before, &tags, how);
        // What a push that overrules would have named is not known once it is killed.
        let may_be_killed = matches!(how, "plain" | "--tag" | "two tags");
        let ran = self.run(who, &arguments, may_be_killed)?;
        let moved: Vec<(String, String)> = self
            .stage
            .tags()
            .into_iter()
            .filter(|(tag, digest)| before.tags.get(tag) != Some(digest))
            .collect();
        // Whoever pushes builds on what he had synced.
        let parent = self.people[who].synced.digest.clone();
        for (_, digest) in &moved {
            if let Some(parent) = parent.clone().filter(|parent| parent != digest)
                && !self.is_ancestor(digest, &parent)
            {
                self.parents.entry(digest.clone()).or_insert(parent);
            }
        }
        self.check_run(who, &before, &ran, None)?;
        if ran.was_killed() {
            return self.after_killed_push(who, &before, &ran, tags[0], &moved);
        }
        match (&expectation, ran.code) {
            (Expectation::Stops(why), Some(0)) => {
                return Err(format!("it should have stopped: {why}\n{}", ran.shown));
            }
            (Expectation::Goes(why), Some(code)) if code != 0 => {
                return Err(format!("it should not have stopped: {why}\n{}", ran.shown));
            }
            _ => {}
        }
        self.count(match expectation {
            Expectation::Stops(_) => "pushes that had to stop",
            Expectation::Goes(_) => "pushes that had to go on",
            Expectation::Open => "pushes that are open",
        });
        if ran.code != Some(0) {
            return Ok(());
        }
        let Some(digest) = ran.json["digest"].as_str().map(str::to_owned) else {
            return Err(format!("a push names the bundle's digest\n{}", ran.shown));
        };
        let tree = project_of(&before);
        for tag in &tags {
            let named = self.stage.tags().get(*tag).cloned();
            check(named.as_deref() == Some(digest.as_str()), || {
                format!("{tag} names {named:?}, not the bundle that was pushed\n{}", ran.shown)
            })?;
        }
        let files = self.bundle(&digest).ok_or_else(|| format!("the bundle is not there\n{}", ran.shown))?;
        check(is_same(&files, &tree), || {
            format!("the bundle has {files:?}, and the project {tree:?}\n{}", ran.shown)
        })?;
        self.sync(who, Some(digest.clone()), files.as_ref().clone());
        let person = &mut self.people[who];
        for tag in tags {
            person.seen.insert(tag.to_owned(), digest.clone());
        }
        let recorded = self.stage.state(who).contents;
        let is_whole =
            recorded.iter().map(|(path, content)| (path.as_str(), content.as_str())).eq(contents(&files));
        check(is_whole, || {
            format!("the state says {recorded:?}, and the bundle has {:?}\n{}", contents(&files), ran.shown)
        })
    }

    /// What the rules say of a push, as far as can be told from here.
    fn expect_push(&mut self, who: usize, before: &Before, tags: &[&str], how: &str) -> Expectation {
        if how == "--expect another" {
            return Expectation::Stops("the tag names something else than was expected".to_owned());
        }
        let tree = project_of(before);
        let synced = self.people[who].synced.clone();
        if how != "plain" && how != "--tag" && how != "two tags" {
            return Expectation::Open;
        }
        // A folder or an untracked file lies where a tracked one, or its folder, was.
        let is_in_the_way = |path: &String| {
            !tree.contains_key(path)
                && (self.stage.exists(who, path) || before.disk.keys().any(|file| is_nested(file, path)))
        };
        if tree.is_empty() || before.tracked.iter().any(is_in_the_way) {
            return Expectation::Open;
        }
        let mut all_go = true;
        for tag in tags {
            let Some(there) = before.tags.get(*tag) else { continue };
            let Some(remote) = self.bundle(there) else { return Expectation::Open };
            let is_synced = synced.digest.as_deref() == Some(there);
            let is_ancestor = synced.digest.as_deref().is_some_and(|synced| self.is_ancestor(there, synced));
            let has_seen_later =
                self.people[who].seen.get(*tag).is_some_and(|seen| self.is_ancestor(there, seen));
            let is_free = is_synced || is_ancestor && !has_seen_later;
            all_go &= is_synced;
            if is_free {
                continue;
            }
            let content = |files: &Files, path: &String| files.get(path).map(|known| known.content.clone());
            let paths: BTreeSet<&String> = remote.keys().chain(synced.files.keys()).collect();
            let unseen: Vec<&&String> = paths
                .iter()
                .filter(|path| {
                    let (here, there, base) =
                        (content(&tree, path), content(&remote, path), content(&synced.files, path));
                    there != base && here != there
                })
                .collect();
            if !unseen.is_empty() {
                let synced = synced.digest.as_deref();
                return Expectation::Stops(format!(
                    "{tag} names {there}, of which {unseen:?} are unseen by a project at {synced:?}"
                ));
            }
        }
        // What goes at once, and what still lies there, may stop it.
        let mut dropped = BTreeMap::new();
        for digest in tags.iter().filter_map(|tag| before.tags.get(*tag)) {
            for (path, known) in self.bundle(digest).iter().flat_map(|files| files.iter()) {
                if !tree.contains_key(path) {
                    dropped.insert(path.clone(), known.content.clone());
                }
            }
        }
        for (path, known) in &synced.files {
            if !tree.contains_key(path) {
                dropped.insert(path.clone(), known.content.clone());
            }
        }
        let lies_there = before.disk.iter().any(|(path, known)| {
            !before.tracked.contains(path) && dropped.values().any(|gone| *gone == known.content)
        });
        let is_mass = dropped.len() > 10 || !dropped.is_empty() && dropped.len() >= synced.files.len();
        if lies_there || is_mass || !all_go {
            return Expectation::Open;
        }
        Expectation::Goes("the tags name what was last synced, or nothing".to_owned())
    }

    /// After a killed push a tag names what it named, or the whole new bundle.
    fn after_killed_push(
        &mut self,
        who: usize,
        before: &Before,
        ran: &Ran,
        first: &str,
        moved: &[(String, String)],
    ) -> Step {
        let tree = project_of(before);
        for (tag, digest) in moved {
            let files = self.bundle(digest).ok_or_else(|| format!("{tag} names nothing\n{}", ran.shown))?;
            check(is_same(&files, &tree), || {
                format!("a killed push left {tag} with {files:?}, and the project is {tree:?}\n{}", ran.shown)
            })?;
        }
        let state = self.stage.state(who);
        // One that found its tree there has made no bundle.
        let made_one = state.pushed != before.state.pushed;
        let synced = if made_one { state.pushed.clone() } else { before.tags.get(first).cloned() };
        if state != before.state
            && let Some(digest) = synced
            && let Some(files) = self.bundle(&digest)
        {
            self.sync(who, Some(digest.clone()), files.as_ref().clone());
            for (tag, _) in moved {
                self.people[who].seen.insert(tag.clone(), digest.clone());
            }
        }
        Ok(())
    }

    fn tag(&mut self, who: usize) -> Step {
        let before = self.before(who);
        if !before.tags.contains_key("latest") {
            return Ok(());
        }
        let name = self.chance.one(&TAGS).unwrap_or(TAGS[0]).to_owned();
        let is_free = before.tags.get(&name).is_none_or(|digest| *digest == before.tags["latest"]);
        let ran = self.run(who, &["tag", "latest", &name, "--json"].map(str::to_owned), true)?;
        self.check_run(who, &before, &ran, None)?;
        check(ran.was_killed() || (ran.code == Some(0)) == is_free, || {
            format!("a tag that names something else moves only when that is said\n{}", ran.shown)
        })
    }

    fn undo(&mut self, who: usize) -> Step {
        let before = self.before(who);
        let ran = self.run(who, &["undo".to_owned(), "--json".to_owned()], true)?;
        self.check_run(who, &before, &ran, None)?;
        check(self.stage.tags() == before.tags, || format!("an undo moved a tag\n{}", ran.shown))?;
        self.sync_again(who)
    }

    fn status(&mut self, who: usize) -> Step {
        let before = self.before(who);
        let ran = self.run(who, &["status".to_owned(), "--json".to_owned()], false)?;
        self.check_run(who, &before, &ran, None)?;
        check(ran.code == Some(0), || format!("status fails\n{}", ran.shown))?;
        check(self.before(who).disk == before.disk, || "status changes files".to_owned())?;
        let Some(remote) = before.tags.get("latest").cloned().and_then(|digest| self.bundle(&digest)) else {
            return Ok(());
        };
        let merge = Pull { mode: PullMode::Merge, restore_deleted: false };
        let Some(predicted) = self.predict(who, &remote, merge, |_| Settled::No) else { return Ok(()) };
        let changes = ran.json["changes"].as_array().cloned().unwrap_or_default();
        let found: BTreeMap<&str, &str> = changes
            .iter()
            .map(|change| (change["path"].as_str().unwrap(), change["change"].as_str().unwrap()))
            .filter(|(path, _)| *path != ".gitignore")
            .collect();
        let expected: BTreeMap<&str, &str> = predicted
            .outcomes
            .iter()
            .filter_map(|(path, (row, _))| Some((path.as_str(), row.change()?)))
            .filter(|(_, change)| *change != "unchanged")
            .collect();
        check(found == expected, || format!("status should list {expected:?}\n{}", ran.shown))?;
        // The two agree: what status calls unseen is what a push stops at.
        let unseen: BTreeSet<&str> = predicted
            .outcomes
            .iter()
            .filter(|(_, (row, _))| pushed(*row, false) == Pushed::Unseen)
            .map(|(path, _)| path.as_str())
            .collect();
        let named = paths_in(&ran.json, "unseen");
        check(named.iter().all(|path| unseen.contains(path.as_str())), || {
            format!("status may call unseen only {unseen:?}\n{}", ran.shown)
        })
    }

    // The Python tool.

    /// The Python tool knows files alone, and no more of a project than its list and its state.
    fn python_push(&mut self, who: usize) -> Step {
        let before = self.before(who);
        let tree = project_of(&before);
        let knows_all =
            before.tracked.iter().all(|path| tree.contains_key(path) || !self.stage.exists(who, path));
        if tree.is_empty() || !knows_all {
            return Ok(());
        }
        self.tell(format!("person {who} pushes with the Python tool"));
        self.stage.python_push(who);
        self.sync_as_python(who)
    }

    fn python_pull(&mut self, who: usize) -> Step {
        let Some(digest) = self.stage.tags().get("latest").cloned() else { return Ok(()) };
        let Some(remote) = self.bundle(&digest) else { return Ok(()) };
        let person = &self.people[who];
        let paths: Vec<&String> = person.disk.keys().chain(remote.keys()).collect();
        let is_flat = !paths.iter().any(|path| paths.iter().any(|other| is_nested(path, other)));
        let is_folder = |path: &String| self.stage.is_folder(who, path);
        let all = remote.keys().chain(person.synced.files.keys());
        if !is_flat || all.into_iter().any(is_folder) || self.stage.python_would_stop(who) {
            return Ok(());
        }
        self.tell(format!("person {who} pulls with the Python tool"));
        self.stage.python_pull(who);
        self.sync_as_python(who)
    }

    /// The digests in the state are all that is known then.
    fn sync_as_python(&mut self, who: usize) -> Step {
        self.read_disk(who);
        let listed = self.stage.state(who).contents.into_iter();
        let files = listed.map(|(path, content)| (path, Known { content, executable: None })).collect();
        self.sync(who, None, files);
        // It names nothing: what it replaced is its own affair, and what this program does next is ours.
        for digest in self.stage.tags().values() {
            let _ = self.bundle(digest);
        }
        Ok(())
    }
}

/// What is expected of a push, and why.
enum Expectation {
    Stops(String),
    Goes(String),
    Open,
}

/// Whether one of two paths would have to be a folder of the other.
fn is_nested(one: &str, other: &str) -> bool {
    let is_above =
        |above: &str, below: &str| below.strip_prefix(above).is_some_and(|rest| rest.starts_with('/'));
    is_above(one, other) || is_above(other, one)
}

/// The same files; a mode that is not known equals any.
fn is_same(one: &Files, other: &Files) -> bool {
    one.len() == other.len()
        && one.iter().zip(other).all(|((path, one), (other_path, other))| {
            let modes = one.executable.zip(other.executable);
            path == other_path && one.content == other.content && modes.is_none_or(|(a, b)| a == b)
        })
}

/// What a pull that does all of `predicted` makes of a disk.
fn disk_after(before: &Files, remote: &Files, predicted: &Predicted) -> Files {
    let mut disk = before.clone();
    for path in predicted.with(Outcome::Write) {
        disk.insert(path.to_owned(), remote[path].clone());
    }
    for path in predicted.with(Outcome::Delete) {
        disk.remove(path);
    }
    disk
}

/// The tracked files that are there.
fn project_of(before: &Before) -> Files {
    let is_tracked = |path: &String| before.tracked.contains(path);
    before
        .disk
        .iter()
        .filter(|(path, _)| is_tracked(path))
        .map(|(path, known)| (path.clone(), known.clone()))
        .collect()
}

//! Ten people share one registry, by chance: whatever they do, nothing is lost that was not named.
//!
//! Each seed is one story. A step of it is something that somebody does by hand (edit, delete, rename, …) or a run of the
//! program; some runs are killed on the way. In half of the seeds the registry drops manifests that no tag names, and in a
//! third of them some people use the Python tool.
//!
//! After each run of the program ([`world`]):
//!
//! - *Held* is every content that was on a disk or under a tag before. Each is still on a disk, under a tag or in an undo
//!   store, or its path is named in the document of the run. A push need not name what the one who pushes changed by hand, nor
//!   what the bundles between the tag's and its own replaced.
//! - What was on the disk of the one who ran it is there still, or in his undo store, or in the registry.
//! - A run that failed has changed nothing.
//! - A push stopped if it would have undone what its project had not seen, and did not if its project had seen all.
//! - Files, tracked list and named paths of a pull are those of the table (`three_way_model`), where that says it.
//!
//! The stories are played in two places: by the program itself with folders and a registry ([`program`]), where a run takes so
//! long that the ten share [`program::STEPS`] steps, and by a host in memory that asks the same core ([`in_memory`]), where
//! there are as many for each of them.
//!
//! That the host in memory does what the program does is shown by a few stories that both of them play, without kills.
//!
//! `SIMULATION_SEED=N` replays one seed (kills of the program come when they come), `SIMULATION_SEEDS=N` runs as many,
//! `SIMULATION_STEPS=N` makes the stories longer.

mod in_memory;
mod program;
mod world;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

use self::in_memory::InMemory;
use self::program::Program;
use self::world::World;

const SEEDS: u64 = 50;
const PEOPLE: usize = 10;

/// How many violations are shown in full; all are counted.
const SHOWN: usize = 3;

/// Few, since the program plays them too: without anything special, with manifests dropped, with the Python tool, with both.
const COMPARED_SEEDS: [u64; 4] = [1, 2, 3, 6];

/// What the host in memory shows of the program is worth as much as it is like it.
#[test]
fn the_host_in_memory_does_what_the_program_does() {
    thread::scope(|scope| {
        for seed in COMPARED_SEEDS {
            scope.spawn(move || {
                let by_program = World::<Program>::undisturbed(seed).live(program::STEPS);
                let in_memory = World::<InMemory>::undisturbed(seed).live(program::STEPS);
                assert_eq!(by_program.told(), in_memory.told(), "seed {seed}");
            });
        }
    });
}

/// Where a story is played: the folders of ten people, the registry that they share, and the program.
trait Stage {
    /// Ten projects of one registry, which drops manifests that no tag names where `drops_untagged` says so.
    fn set_up(drops_untagged: bool) -> Self;

    /// Writes a file in place, so that its mode stays.
    fn write(&mut self, who: usize, path: &str, content: &str);

    fn set_executable(&mut self, who: usize, path: &str, is_executable: bool);

    /// Removes a file, or a folder with all it holds.
    fn remove(&mut self, who: usize, path: &str);

    fn rename(&mut self, who: usize, from: &str, to: &str);

    /// The files that lie there, apart from the program's own.
    fn disk(&self, who: usize) -> Files;

    /// Whether anything is at this path.
    fn exists(&self, who: usize, path: &str) -> bool;

    fn is_folder(&self, who: usize, path: &str) -> bool;

    fn tracked(&self, who: usize) -> BTreeSet<String>;

    fn state(&self, who: usize) -> State;

    /// The contents that a project keeps for `undo`.
    fn undo_store(&self, who: usize) -> BTreeSet<String>;

    /// The digest that each tag of the registry names.
    fn tags(&self) -> BTreeMap<String, String>;

    fn has_bundle(&self, digest: &str) -> bool;

    /// The files of a bundle that the registry has.
    fn bundle(&self, digest: &str) -> Option<Files>;

    /// Runs the program, and kills it on the way where `kill` says when.
    fn run(&mut self, who: usize, arguments: &[String], kill: Option<Kill>) -> Ran;

    fn python_push(&mut self, who: usize);

    fn python_pull(&mut self, who: usize);

    /// Whether a pull with the Python tool would stop.
    fn python_would_stop(&self, who: usize) -> bool;
}

/// When a run is killed: any number, of which a stage makes a moment.
#[derive(Clone, Copy, Debug)]
struct Kill(u64);

/// A file of a disk or a bundle.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Known {
    content: String,
    executable: Option<bool>,
}

type Files = BTreeMap<String, Known>;

/// What the state file says: the digests last pushed and pulled, and the contents last synced.
#[derive(Clone, Debug, PartialEq, Eq)]
struct State {
    /// What tells the file from every other one; none where there is no file.
    file: Option<String>,
    pushed: Option<String>,
    pulled: Option<String>,
    contents: BTreeMap<String, String>,
}

/// How a run ended.
struct Ran {
    /// None where it was killed.
    code: Option<i32>,
    json: Value,
    shown: String,
}

impl Ran {
    fn was_killed(&self) -> bool {
        self.code.is_none()
    }
}

/// What came of a seed.
struct Story {
    seed: u64,
    trace: Vec<String>,
    counts: BTreeMap<String, usize>,
    violation: Option<String>,
}

impl Story {
    /// Its trace without digests, which are others in each place.
    fn told(&self) -> Vec<String> {
        let is_digest = |word: &&str| word.starts_with("sha256:");
        let told =
            |line: &String| line.split(' ').filter(|word| !is_digest(word)).collect::<Vec<_>>().join(" ");
        self.trace.iter().map(told).chain(self.violation.clone()).collect()
    }
}

/// What came of all of them.
struct Stories {
    all: Vec<Story>,
    /// How long they are, and where they were played.
    what: String,
    took: Duration,
}

/// Plays every story of `steps` steps, on all processors; `what` says how many those are, and where they are played.
fn play<S: Stage>(steps: usize, what: impl Fn(usize) -> String) -> Stories {
    let number = |name: &str| std::env::var(name).ok().map(|value| value.parse::<u64>().unwrap());
    let seeds: Vec<u64> = match number("SIMULATION_SEED") {
        Some(seed) => vec![seed],
        None => (1..=number("SIMULATION_SEEDS").unwrap_or(SEEDS)).collect(),
    };
    let steps = number("SIMULATION_STEPS").map_or(steps, |steps| steps as usize);
    let started = Instant::now();
    let next = AtomicU64::new(0);
    let stories = Mutex::new(Vec::new());
    let workers = thread::available_parallelism().map_or(2, Into::into).min(seeds.len());
    thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(|| {
                while let Some(seed) = seeds.get(next.fetch_add(1, Ordering::Relaxed) as usize) {
                    let story = World::<S>::new(*seed).live(steps);
                    stories.lock().unwrap_or_else(PoisonError::into_inner).push(story);
                }
            });
        }
    });
    let mut all = stories.into_inner().unwrap();
    all.sort_by_key(|story| story.seed);
    Stories { all, what: what(steps), took: started.elapsed() }
}

impl Stories {
    fn failed(&self) -> Vec<&Story> {
        self.all.iter().filter(|story| story.violation.is_some()).collect()
    }

    /// Fails where something was lost.
    fn check(&self) {
        let seeds: Vec<u64> = self.failed().iter().map(|story| story.seed).collect();
        assert!(seeds.is_empty(), "{} of {} seeds went wrong: {seeds:?}", seeds.len(), self.all.len());
    }
}

impl fmt::Display for Stories {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { all, what, took } = self;
        writeln!(f, "{} seeds, {PEOPLE} people, {what}, {took:.0?}:", all.len())?;
        let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
        for (name, count) in all.iter().flat_map(|story| &story.counts) {
            *counts.entry(name).or_default() += count;
        }
        for (name, count) in &counts {
            writeln!(f, "  {count:6}  {name}")?;
        }
        for (at, story) in self.failed().into_iter().enumerate() {
            let Story { seed, trace, violation, .. } = story;
            writeln!(f, "\nseed {seed} (SIMULATION_SEED={seed} replays it):")?;
            for line in trace.iter().filter(|_| at < SHOWN) {
                writeln!(f, "  {line}")?;
            }
            writeln!(f, "  VIOLATION: {}", violation.as_deref().unwrap_or_default())?;
        }
        Ok(())
    }
}

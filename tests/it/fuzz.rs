//! What reads bytes of strangers: the corpus of each fuzz target, and some thousand inputs made of it at random.
//!
//! libFuzzer finds more (`cargo xtask fuzz`); what it finds belongs into the corpus, and is held here for ever.

#![expect(clippy::print_stdout, reason = "an input that makes a reader panic is to be known")]

use std::fs;
use std::path::{Path, PathBuf};

use modelops_bundle_tests::fuzz::{FUZZ_TARGETS, FuzzTarget};

/// From which all changed inputs follow.
const SEED: u64 = 0x6d6f_6465_6c6f_7073;

/// The most bytes of an input.
const MOST_BYTES: usize = 64 << 10;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz")
}

/// The inputs in the corpus of a target, in the order of their names.
fn corpus(target: &FuzzTarget) -> Vec<Vec<u8>> {
    let mut paths: Vec<PathBuf> = fs::read_dir(folder().join("corpus").join(target.name))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    paths.sort();
    paths.iter().map(|path| fs::read(path).unwrap()).collect()
}

/// Shows an input when it is dropped in a panic.
struct Shown<'a>(&'a str, &'a [u8]);

impl Drop for Shown<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            println!("the input of {}: b\"{}\"", self.0, self.1.escape_ascii());
        }
    }
}

fn read(target: &FuzzTarget, input: &[u8]) -> bool {
    let _shown = Shown(target.name, input);
    (target.read)(input)
}

/// SplitMix64 by Steele, Lea and Flood.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, end: usize) -> usize {
        (self.next() % end.max(1) as u64) as usize
    }

    /// A range of at most `most` of so many bytes.
    fn range(&mut self, length: usize, most: usize) -> std::ops::Range<usize> {
        let start = self.below(length + 1);
        start..(start + self.below(most + 1)).min(length)
    }

    /// Changes an input in one place: bits, bytes, numbers at their ends, pieces of itself or of another.
    fn change(&mut self, input: &mut Vec<u8>, other: &[u8]) {
        const TELLING: &[u8] = b"\0\x01\x7f\x80\xff\n\r\"\\/:.,@*?[]{}!#-_ 09aZ";
        let at = self.below(input.len());
        match self.below(8) {
            0 if !input.is_empty() => input[at] ^= 1 << self.below(8),
            1 if !input.is_empty() => input[at] = TELLING[self.below(TELLING.len())],
            2 => input.insert(at, TELLING[self.below(TELLING.len())]),
            3 => {
                let gone = self.range(input.len(), 40);
                input.drain(gone);
            }
            4 => {
                let again = input[self.range(input.len(), 40)].to_vec();
                input.splice(at..at, again);
            }
            5 => {
                let piece = other[self.range(other.len(), 200)].to_vec();
                input.splice(at..at, piece);
            }
            6 => {
                let (end, piece) = (self.range(input.len(), 8), [0_u8, 0xff, 0x7f][self.below(3)]);
                input[end].fill(piece);
            }
            _ => input.truncate(at),
        }
        input.truncate(MOST_BYTES);
    }
}

/// Plays the corpus of a target, and inputs that are made of it by one to eight changes.
fn play(name: &str) {
    let target = FUZZ_TARGETS.iter().find(|target| target.name == name).unwrap();
    let corpus = corpus(target);
    let readable = corpus.iter().filter(|input| read(target, input)).count();
    assert!(readable > 0, "nothing is found out with a corpus of which nothing can be read");
    let mut random = Random(SEED);
    for _ in 0..target.rounds {
        let mut input = corpus[random.below(corpus.len())].clone();
        let other = &corpus[random.below(corpus.len())];
        for _ in 0..=random.below(8) {
            random.change(&mut input, other);
        }
        let _ = read(target, &input);
    }
}

#[test]
fn archives_of_strangers_are_read_or_refused() {
    play("archive");
}

#[test]
fn credentials_files_of_strangers_are_read_or_refused() {
    play("docker_config");
}

#[test]
fn indexes_of_strangers_are_read_or_refused() {
    play("index");
}

#[test]
fn manifests_of_strangers_are_read_or_refused() {
    play("manifest");
}

#[test]
fn pack_tables_of_strangers_are_read_or_refused() {
    play("pack_table");
}

#[test]
fn ignore_files_of_strangers_are_read() {
    play("pattern");
}

#[test]
fn references_of_strangers_are_read_or_refused() {
    play("reference");
}

#[test]
fn wire_forms_of_strangers_are_read_or_refused() {
    play("wire");
}

#[test]
fn every_target_has_a_test_a_corpus_and_a_program() {
    let names: Vec<&str> = FUZZ_TARGETS.iter().map(|target| target.name).collect();
    assert!(names.is_sorted());
    let entries = |folder: PathBuf, ending: &str| -> Vec<String> {
        let names =
            fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<String> =
            names.map(|name| name.strip_suffix(ending).unwrap().to_owned()).collect();
        names.sort();
        names
    };
    assert_eq!(entries(folder().join("corpus"), ""), names);
    assert_eq!(entries(folder().join("fuzz_targets"), ".rs"), names);
    let (manifest, tests) =
        (fs::read_to_string(folder().join("Cargo.toml")).unwrap(), include_str!("fuzz.rs"));
    for name in names {
        assert!(manifest.contains(&format!("name = \"{name}\"")), "{name}");
        assert!(tests.contains(&format!("play(\"{name}\")")), "{name}");
    }
}

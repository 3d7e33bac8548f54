//! The vectors of `tests/vectors/`, answered by the native core and by the component behind `core call`.
//!
//! `tests/vectors/README.md` says what a vector is. Other hosts of the component answer the same ones: see `embed.rs`.

#![expect(clippy::print_stdout, reason = "the table of hosts is what these tests are read for")]

mod native;

use std::collections::BTreeMap;
use std::fmt::{self, Write as _};
use std::fs;
use std::path::PathBuf;
use std::sync::Mutex;

use modelops_bundle::component::Core;
use modelops_bundle_tests::TestProject;
use serde::Deserialize;
use serde_json::Value;

#[test]
fn the_native_core_answers_the_vectors() {
    check_all("native", native::answer);
}

#[test]
fn the_component_answers_the_vectors() {
    let project = TestProject::new();
    check_all("component", |call, input| through_core_call(&project, call, input));
}

#[test]
fn every_function_of_the_contract_has_vectors() {
    let counts = counts(&load());
    let functions = Core::embedded().unwrap().functions();
    let without: Vec<_> = functions.iter().filter(|function| !counts.contains_key(&function.name)).collect();
    assert!(without.is_empty(), "functions without a vector: {without:?}");
}

/// The folder of the vectors.
pub(crate) fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("vectors")
}

/// A call and the answer that is expected.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Vector {
    name: String,
    call: String,
    #[serde(rename = "in")]
    input: Value,
    #[serde(rename = "out")]
    output: Option<Value>,
    error: Option<String>,
}

/// Every vector, with the file that it stands in.
fn load() -> Vec<(String, Vector)> {
    let mut files: Vec<_> = fs::read_dir(folder()).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|file| file.extension().is_some_and(|ending| ending == "json"));
    files.sort();
    let mut vectors = Vec::new();
    for file in files {
        let name = file.file_stem().unwrap().to_str().unwrap().to_owned();
        let read: Vec<Vector> = serde_json::from_slice(&fs::read(&file).unwrap())
            .unwrap_or_else(|error| panic!("{} holds no vectors: {error}", file.display()));
        vectors.extend(read.into_iter().map(|vector| (name.clone(), vector)));
    }
    assert!(vectors.len() > 200, "only {} vectors were found", vectors.len());
    vectors
}

/// What a host says: an object, or the name of an error as vectors have it.
pub(crate) type Answer = Result<Value, String>;

/// How many vectors each function has.
fn counts(vectors: &[(String, Vector)]) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for (_, vector) in vectors {
        *counts.entry(vector.call.clone()).or_default() += 1;
    }
    counts
}

/// How many vectors of each function a host has answered rightly, by the host.
static ANSWERED: Mutex<BTreeMap<&str, BTreeMap<String, usize>>> = Mutex::new(BTreeMap::new());

/// Compares the answers of a host to all vectors, and lists all that are wrong at once.
pub(crate) fn check_all(host: &'static str, mut answer: impl FnMut(&str, &Value) -> Answer) {
    let (vectors, mut wrong, mut right) = (load(), String::new(), BTreeMap::new());
    for (file, vector) in &vectors {
        let answer = answer(&vector.call, &vector.input);
        if vector.is_answered_by(&answer) {
            *right.entry(vector.call.clone()).or_default() += 1;
        } else {
            wrong.push_str(&format!("\n{file}: {vector}\n  but the answer is {answer:?}\n"));
        }
    }
    let mut answered = ANSWERED.lock().unwrap();
    answered.insert(host, right);
    println!("{}", table(&counts(&vectors), &answered));
    drop(answered);
    assert!(wrong.is_empty(), "{wrong}");
}

/// The vectors of each function, and how many of them each host has answered so far.
fn table(counts: &BTreeMap<String, usize>, answered: &BTreeMap<&str, BTreeMap<String, usize>>) -> String {
    let mut table = format!("{:<22} {:>9}", "function", "vectors");
    for host in answered.keys() {
        write!(table, " {host:>10}").unwrap();
    }
    for (function, count) in counts {
        write!(table, "\n{function:<22} {count:>9}").unwrap();
        for right in answered.values() {
            write!(table, " {:>10}", right.get(function).copied().unwrap_or_default()).unwrap();
        }
    }
    table
}

impl Vector {
    fn is_answered_by(&self, answer: &Answer) -> bool {
        match (&self.output, &self.error, answer) {
            (Some(expected), None, Ok(answer)) => expected == answer,
            (None, Some(expected), Err(error)) => expected == error,
            _ => false,
        }
    }
}

impl fmt::Display for Vector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} of {}", self.name, self.call, self.input)?;
        match (&self.output, &self.error) {
            (Some(output), _) => write!(f, "\n  should be {output}"),
            (None, error) => write!(f, "\n  should fail: {error:?}"),
        }
    }
}

/// Asks the program, which asks the component.
fn through_core_call(project: &TestProject, call: &str, input: &Value) -> Answer {
    let output = project.command(["core", "call", call]).input(input.to_string()).run();
    if !output.stdout().is_empty() {
        return Ok(output.success().json());
    }
    let output = output.code(2);
    let message = output.stderr();
    assert!(!message.is_empty(), "`{call}` fails without a word");
    Err(refusal(message).unwrap_or_else(|| "malformed".to_owned()))
}

/// The case that a message of `core call` names: the error as the component gives it stands in it as JSON.
fn refusal(message: &str) -> Option<String> {
    let (_, error) = message.split_once("the core refuses it: ")?;
    let error = serde_json::Deserializer::from_str(error).into_iter::<Value>().next()?.ok()?;
    Some(case_of(&error))
}

/// The name of an error case. A record, or a text that is a sentence, has none.
fn case_of(error: &Value) -> String {
    let name = match error {
        Value::Object(object) if object.len() == 1 => object.keys().next().cloned(),
        Value::String(text) if !text.contains(' ') => Some(text.clone()),
        _ => None,
    };
    name.unwrap_or_else(|| "refused".to_owned())
}

//! The component in another language's runtime: Python loads what `core extract` writes, and answers the vectors.

use std::process::Command;

use modelops_bundle_tests::{TestProject, tools};
use serde_json::Value;

use crate::vectors;

#[test]
fn the_component_answers_the_vectors_in_python() {
    let Some(python) = tools::require(&tools::PYTHON) else { return };
    let project = TestProject::new();
    let _ = project.run(&["core", "extract", "core.wasm"]).success();

    let output = Command::new(python)
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/embed/vectors.py"))
        .arg(project.path().join("core.wasm"))
        .arg(vectors::folder())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let answers: Vec<Value> = serde_json::from_slice(&output.stdout).unwrap();

    // It answers in the order in which the vectors are read here.
    let mut answers = answers.into_iter();
    vectors::check_all(|_, _| {
        let mut answer = answers.next().expect("Python answers every vector");
        match answer["error"].as_str() {
            Some(error) => Err(error.to_owned()),
            None => Ok(answer["answer"].take()),
        }
    });
    assert_eq!(answers.next(), None, "Python answers no more than there are vectors");
}

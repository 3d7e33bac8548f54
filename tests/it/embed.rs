//! The library in a program of somebody else; the component in another language's runtime: Python loads what `core extract` writes, and answers the vectors. And
//! packs, read by an independent reading of the papers that they come from.

use std::process::Command;

use bundle_core::pack::zstd::decompress;
use modelops_bundle_tests::{StoredBundle, TestProject, bundle_binary, noise, tools};
use serde_json::Value;

use crate::vectors;

#[test]
fn a_program_with_the_library_alone_pulls_a_bundle() {
    let project = TestProject::on_layout();
    project.write("a.txt", "one");
    let _ = project.run(&["add", "a.txt"]).success();
    let _ = project.run(&["push"]).success();
    let program = bundle_binary().with_file_name(format!("pull-bundle{}", std::env::consts::EXE_SUFFIX));
    let folder = project.home().join("elsewhere");
    let output = Command::new(program)
        .arg(format!("oci:{}:latest", project.home().join("layout").display()))
        .arg(&folder)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(output.stdout, b"1 files came\n");
    assert_eq!(std::fs::read(folder.join("a.txt")).unwrap(), b"one");
}

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
    vectors::check_all("python", |_, _| {
        let mut answer = answers.next().expect("Python answers every vector");
        match answer["error"].as_str() {
            Some(error) => Err(error.to_owned()),
            None => Ok(answer["answer"].take()),
        }
    });
    assert_eq!(answers.next(), None, "Python answers no more than there are vectors");
}

#[test]
fn a_pack_is_what_the_papers_say_in_python() {
    let Some(python) = tools::require(&tools::PYTHON) else { return };
    let project = TestProject::packed_on_layout();
    // Sizes at which something begins, and noise: nothing of it is compressed.
    for (seed, size) in [(1, 400_000), (3, 16_384), (5, 16_385), (7, 70_001), (9, 1), (11, 1025)] {
        project.write(&format!("{seed:02}"), noise(seed, size));
    }
    project.write("zeros", "");
    let _ = project.run(&["add", "0*", "1*", "zeros"]).success();
    let report = project.run(&["push", "--json"]).success().json();
    let stored = StoredBundle::of(&project, &report);
    let [pack] = &stored.index.packs[..] else { panic!("{} packs", stored.index.packs.len()) };
    let file = project.home().join("layout/blobs/sha256").join(pack.digest.hex());
    let bytes = std::fs::read(&file).unwrap();
    let table = decompress(&bytes[pack.toc.offset as usize..], 12 + 49 * pack.chunks as usize).unwrap();
    project.write("table", table);

    let output = Command::new(python)
        .current_dir(project.path())
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/embed/packs.py"))
        .arg(&file)
        .args(["table", "01", "03", "05", "07", "09", "11"])
        .output()
        .unwrap();
    let said = [output.stdout, output.stderr].concat();
    assert!(output.status.success() && said.is_empty(), "{}", String::from_utf8_lossy(&said));
}

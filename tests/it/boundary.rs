//! The walls of the house: what the core may depend on, and what the component may import.

use std::collections::BTreeSet;
use std::process::Command;

use modelops_bundle_tests::TestProject;

/// Every crate that the core is allowed to bring along, itself left out. A new one is a decision: none of them may do
/// I/O, and each makes the component larger.
const CORE_BRINGS: &[&str] = &[
    "arrayvec",
    "base64",
    "blake3",
    "block-buffer",
    "cfg-if",
    "const-oid",
    "constant_time_eq",
    "cpufeatures",
    "crypto-common",
    "digest",
    "fast-glob",
    "fastcdc",
    "hybrid-array",
    "itoa",
    "memchr",
    "proc-macro2",
    "quote",
    "ruzstd",
    "ryu-js",
    "semver",
    "serde",
    "serde_core",
    "serde_derive",
    "serde_json",
    "sha2",
    "syn",
    "thiserror",
    "thiserror-impl",
    "tinyvec",
    "tinyvec_macros",
    "typenum",
    "unicode-ident",
    "unicode-normalization",
    "zmij",
];

#[test]
fn the_core_brings_only_what_was_decided() {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .args([
            "tree",
            "--package",
            "modelops-bundle-core",
            "--edges",
            "normal",
            "--prefix",
            "none",
            "--locked",
        ])
        .args(["--target", "wasm32-unknown-unknown", "--format", "{p}"])
        .current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let listed = String::from_utf8(output.stdout).unwrap();
    let found: BTreeSet<&str> = listed
        .lines()
        .filter_map(|line| line.split(' ').next())
        .filter(|name| *name != "modelops-bundle-core")
        .collect();
    let intruders: Vec<_> = found.iter().filter(|name| !CORE_BRINGS.contains(name)).collect();
    assert!(intruders.is_empty(), "the core brings {intruders:?}");
}

#[test]
fn the_component_imports_nothing() {
    let project = TestProject::new();
    let _ = project.run(&["core", "extract", "core.wasm"]).success();
    let component = project.read("core.wasm");
    let mut depth = 0_usize;
    for payload in wasmparser::Parser::new(0).parse_all(&component) {
        match payload.unwrap() {
            wasmparser::Payload::ComponentImportSection(imports) if depth == 0 => {
                assert_eq!(imports.count(), 0);
            }
            wasmparser::Payload::ModuleSection { .. } | wasmparser::Payload::ComponentSection { .. } => {
                depth += 1;
            }
            wasmparser::Payload::ImportSection(imports) if depth == 1 => {
                let names: Vec<_> =
                    imports.into_imports().map(|import| import.unwrap().module.to_owned()).collect();
                assert_eq!(names, Vec::<String>::new(), "the core module imports something");
            }
            wasmparser::Payload::End(_) => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
}

#[test]
fn another_component_can_take_the_place_of_the_own_one() {
    let project = TestProject::new();
    let _ = project.run(&["core", "extract", "core.wasm"]).success();
    let own = project.run(&["core", "info", "--json"]).success().json();
    let other = project.run(&["core", "info", "--json", "--core", "core.wasm"]).success().json();
    assert_eq!(own, other);
    let call = |arguments: &[&str]| {
        let input = r#"{"local": [], "remote": [], "base": [], "tracked": []}"#;
        project.command(arguments).input(input).run().success().json()
    };
    assert_eq!(call(&["core", "call", "diff"]), call(&["core", "call", "diff", "--core", "core.wasm"]));
    project.write("junk.wasm", "junk");
    let output = project.run(&["core", "info", "--core", "junk.wasm"]);
    assert!(!output.stderr().contains("panicked") && output.stderr().starts_with("error: "), "{output}");
}

#[test]
fn a_call_that_cannot_be_understood_is_a_usage_error() {
    let project = TestProject::new();
    for (name, input) in [
        ("nonsense", "{}"),
        ("diff", "[]"),
        ("diff", "{"),
        ("diff", "{}"),
        ("diff", r#"{"local": [{"path": 1}], "remote": [], "base": [], "tracked": []}"#),
        ("diff", r#"{"local": [], "remote": [], "base": [], "tracked": [], "more": 1}"#),
        ("plan-pull", r#"{"sides": {}, "options": {"mode": "sometimes"}}"#),
    ] {
        let output = project.command(["core", "call", name]).input(input).run().code(2);
        assert!(output.stderr().starts_with("error: "), "{name} {input}: {output}");
    }
}

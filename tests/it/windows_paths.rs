//! Paths for every system: POSIX in what travels, and names that some system cannot hold are told before they travel.
//!
//! That the other system's rules hold is tested where they are: `bundle_core::name::file_names`, `project::disk_path`.

use modelops_bundle_tests::TestProject;
use serde_json::Value;

// README: "Names travel. Paths in a bundle are POSIX paths on every system."
#[test]
fn what_travels_has_slashes() {
    let project = TestProject::on_layout();
    project.write("data/deep/a b.csv", "1").write("src/x.py", "2");
    let _ = project.run(&["add", "data", "src"]).success();
    let pushed = project.run(&["push", "--json"]).success().json();
    let blob = |digest: &Value| -> Value {
        let hex = digest.as_str().unwrap().strip_prefix("sha256:").unwrap();
        let bytes = std::fs::read(project.home().join("layout/blobs/sha256").join(hex)).unwrap();
        serde_json::from_slice(&bytes).unwrap()
    };
    let index = blob(&pushed["index"]);
    let paths: Vec<&String> = index["files"].as_object().unwrap().keys().collect();
    assert_eq!(paths, ["data/deep/a b.csv", "src/x.py"]);
    let manifest = blob(&pushed["digest"]);
    let titles = manifest["layers"].as_array().unwrap().iter();
    let titles: Vec<_> =
        titles.map(|layer| &layer["annotations"]["org.opencontainers.image.title"]).collect();
    assert_eq!(titles, ["data/deep/a b.csv", "src/x.py"]);
    assert_eq!(project.read_text(".modelops-bundle/tracked.txt"), "data/deep/a b.csv\nsrc/x.py\n");
}

// README: "A push warns of names that another system cannot hold (`NUL.txt`, `ab:c`, a dot or space at the end, `Data` beside
// `data`)."
#[test]
#[cfg(target_os = "linux")]
fn a_push_warns_of_names_that_other_systems_cannot_hold() {
    let project = TestProject::on_layout();
    let names = ["NUL.txt", "a/COM\u{b9}", "conin$", "dot.", "file:stream", "git~1 x./x", "space ", "what?"];
    let alike = ["Data/x", "data/y", "caf\u{e9}", "cafe\u{301}", "STRASSE", "stra\u{df}e"];
    for name in names.into_iter().chain(alike) {
        project.write(name, name);
    }
    project.write("plain.txt", "1");
    let _ = project.run(&["add", "."]).success();
    for arguments in [&["push", "--dry-run"][..], &["push"]] {
        let output = project.run(arguments).success();
        let warned = |path: &str, words: &str| {
            let start = format!("warning: {path} cannot be pulled everywhere: ");
            output.stderr().lines().any(|line| line.starts_with(&start) && line.contains(words))
        };
        assert!(warned("NUL.txt", "is a device on Windows") && warned("a/COM\u{b9}", "device"), "{output}");
        assert!(warned("data/y", "the same as `Data`") && warned("dot.", "leaves out the dot"), "{output}");
        assert!(warned("file:stream", "no names with `:`"), "{output}");
        assert!(output.stderr().contains("warning: 1 file more cannot be pulled everywhere"), "{output}");
        assert!(!output.stderr().contains("plain.txt"), "{output}");
    }
    // Nothing new, nothing to warn of; and this system can hold them all.
    let again = project.run(&["push"]).success();
    assert_eq!(again.stderr(), "", "{again}");
    project.pulled_again().tree().assert_same(&project.tree());
}

#[test]
fn names_that_are_no_paths_of_a_bundle_are_refused_with_the_reason() {
    let project = TestProject::on_layout();
    project.write("x", "");
    for (argument, words) in [("C:x", "drive letter"), ("C:/x", "drive letter"), (r"..\x", "backslash")] {
        if cfg!(windows) {
            continue;
        }
        let output = project.run(&["add", "x", argument]).code(2);
        assert!(output.stderr().contains(words), "{output}");
    }
    assert!(!project.exists(".modelops-bundle/tracked.txt"));
}

//! A day of Ada and Ben on one registry, step by step: what each of them has, and that nothing is lost that was not named.

use std::collections::{BTreeMap, BTreeSet};

use bundle_core::digest::Digest;
use modelops_bundle_tests::{CommandOutput, Registry, RegistryClient, TestProject, paths_in, paths_lost_in};
use serde_json::{Value, json};

const REPOSITORY: &str = "team/seir";

/// The day: who takes part, and what is in the registry.
struct Day {
    registry: Registry,
    client: RegistryClient,
    people: BTreeMap<&'static str, TestProject>,
    /// The bundles that were ever seen under a tag.
    bundles: BTreeSet<String>,
    /// What happened, a line a step.
    steps: Vec<String>,
}

/// Paths and contents, as `path=content` with blanks between.
fn files(text: &str) -> BTreeMap<String, String> {
    let pairs = text.split_whitespace().map(|pair| pair.split_once('=').unwrap());
    pairs.map(|(path, content)| (path.to_owned(), content.to_owned())).collect()
}

impl Day {
    fn new(registry: Registry) -> Self {
        let client = registry.client();
        Self { registry, client, people: BTreeMap::new(), bundles: BTreeSet::new(), steps: Vec::new() }
    }

    /// Somebody comes, with an empty folder.
    fn comes(&mut self, name: &'static str) {
        let project = TestProject::new();
        let reference = format!("{}/{REPOSITORY}", self.registry.host());
        let _ = project.run(&["init", "--ref", &reference]).success();
        self.people.insert(name, project);
    }

    fn of(&self, name: &str) -> &TestProject {
        &self.people[name]
    }

    /// Runs the program for somebody, and looks that nothing is lost by it that it does not name.
    fn runs(&mut self, name: &str, arguments: &[&str]) -> CommandOutput {
        let before = self.held();
        let arguments: Vec<&str> = arguments.iter().copied().chain(["--json"]).collect();
        let output = self.of(name).run(&arguments);
        let mut after: BTreeSet<String> = self.held().into_values().flatten().collect();
        after.extend(self.people.values().flat_map(TestProject::undo_store));
        let document: Value = serde_json::from_slice(output.stdout_bytes()).unwrap_or(Value::Null);
        let is_named = paths_lost_in(&document);
        for (path, contents) in before {
            for content in contents {
                let is_kept = after.contains(&content) || is_named.contains(&path);
                assert!(is_kept, "{path} was {content}, and is lost without a word\n{output}");
            }
        }
        output
    }

    /// Every content on a disk or in a bundle of the registry, by path.
    fn held(&mut self) -> BTreeMap<String, BTreeSet<String>> {
        let mut held: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for project in self.people.values() {
            for path in project.tree().paths() {
                let content = Digest::of(&project.read(path)).to_string();
                held.entry(path.to_owned()).or_default().insert(content);
            }
        }
        let tags = self.client.tags(REPOSITORY);
        self.bundles.extend(tags.iter().filter_map(|tag| self.client.tag_digest(REPOSITORY, tag)));
        for digest in &self.bundles {
            for (path, content) in self.listed(digest) {
                held.entry(path).or_default().insert(content);
            }
        }
        held
    }

    /// The files of a bundle: their digests by path.
    fn listed(&self, version: &str) -> BTreeMap<String, String> {
        let manifest = self.client.manifest(REPOSITORY, version).unwrap().json();
        let index = self.client.blob(REPOSITORY, manifest["config"]["digest"].as_str().unwrap()).unwrap();
        let index: Value = serde_json::from_slice(&index).unwrap();
        let entries = index["files"].as_object().unwrap().iter();
        entries.map(|(path, entry)| (path.clone(), entry["digest"].as_str().unwrap().to_owned())).collect()
    }

    /// A step is over: what each one has on disk, and the files that a tag names.
    #[track_caller]
    fn then(&mut self, what: &str, table: &[(&str, &str)]) {
        self.steps.push(format!("{:2}. {what}", self.steps.len() + 1));
        for (name, expected) in table {
            let expected = files(expected);
            if let Some(project) = self.people.get(name) {
                let tree = project.tree();
                let own = tree.paths().filter(|path| *path != ".gitignore");
                let found: BTreeMap<String, String> =
                    own.map(|path| (path.to_owned(), project.read_text(path))).collect();
                assert_eq!(found, expected, "{name}, after step {}: {what}", self.steps.len());
                continue;
            }
            let digests: BTreeMap<String, String> = expected
                .iter()
                .map(|(path, content)| (path.clone(), Digest::of(content.as_bytes()).to_string()))
                .collect();
            assert_eq!(self.listed(name), digests, "the tag {name}, after step {}: {what}", self.steps.len());
        }
    }
}

/// Paths that a stop is about, with their kinds.
fn stops(output: &CommandOutput) -> BTreeMap<String, String> {
    let document = output.json();
    let blocked = document["error"]["blocked"].as_array().cloned().unwrap_or_default();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    blocked.iter().map(|item| (text(&item["path"]), text(&item["kind"]))).collect()
}

fn one_stop(path: &str, kind: &str) -> BTreeMap<String, String> {
    BTreeMap::from([(path.to_owned(), kind.to_owned())])
}

fn list(document: &Value, name: &str) -> Vec<String> {
    paths_in(document, name).into_iter().collect()
}

#[test]
fn a_day_of_two_people() {
    let Some(registry) = Registry::get() else { return };
    let mut day = Day::new(registry);
    day.comes("ada");
    day.of("ada").write("model", "1").write("data/cases", "1").write("params", "1").write("notes", "1");
    let _ = day.runs("ada", &["add", "model", "data", "params", "notes"]).success();
    let pushed = day.runs("ada", &["push", "--bump", "auto"]).success().json();
    assert_eq!(pushed["version"], "0.1.0");
    day.then(
        "Ada publishes the first version",
        &[
            ("ada", "model=1 data/cases=1 params=1 notes=1"),
            ("latest", "model=1 data/cases=1 params=1 notes=1"),
        ],
    );

    day.comes("ben");
    let _ = day.runs("ben", &["pull"]).success();
    day.then("Ben gets it", &[("ben", "model=1 data/cases=1 params=1 notes=1")]);

    different_files(&mut day);
    the_same_file(&mut day);
    renames(&mut day);
    deletions(&mut day);
    files_and_folders(&mut day);
    an_old_version(&mut day);
    a_third_person(&mut day);
    a_job(&mut day);
    println!("{}", day.steps.join("\n"));
    assert!(day.steps.len() >= 30, "a day has thirty steps, not {}", day.steps.len());
}

/// README, "What protects you": "Two people who edit different files both keep their work: a pull merges by file."
fn different_files(day: &mut Day) {
    day.of("ada").write("model", "2");
    let _ = day.runs("ada", &["push"]).success();
    day.then("Ada edits the model and pushes", &[("latest", "model=2 data/cases=1 params=1 notes=1")]);

    // README: "A push does not undo what you have not seen".
    day.of("ben").write("data/cases", "2");
    let output = day.runs("ben", &["push"]).code(3);
    assert_eq!(output.json()["error"]["paths"], json!(["model"]), "{output}");
    day.then(
        "Ben edits the data, and his push stops at what he has not seen",
        &[
            ("ben", "model=1 data/cases=2 params=1 notes=1"),
            ("latest", "model=2 data/cases=1 params=1 notes=1"),
        ],
    );

    let pulled = day.runs("ben", &["pull"]).success().json();
    assert_eq!(
        (list(&pulled, "written"), list(&pulled, "kept")),
        (vec!["model".into()], vec!["data/cases".into()])
    );
    day.then(
        "Ben pulls: her model comes, his data stay",
        &[("ben", "model=2 data/cases=2 params=1 notes=1")],
    );

    let pushed = day.runs("ben", &["push"]).success().json();
    assert_eq!(list(&pushed, "overwritten"), Vec::<String>::new());
    day.then("Now his push goes through", &[("latest", "model=2 data/cases=2 params=1 notes=1")]);

    let pulled = day.runs("ada", &["pull"]).success().json();
    assert_eq!(list(&pulled, "written"), ["data/cases"]);
    day.then("Ada pulls: both have the same", &[("ada", "model=2 data/cases=2 params=1 notes=1")]);
}

/// README: "Where both changed the same file, a pull stops and names it; nothing is changed until you say whose counts."
fn the_same_file(day: &mut Day) {
    day.of("ada").write("params", "ada");
    let _ = day.runs("ada", &["push"]).success();
    day.of("ben").write("params", "ben").write("model", "3");
    let output = day.runs("ben", &["pull"]).code(3);
    assert_eq!(stops(&output), one_stop("params", "edited_both"), "{output}");
    day.then(
        "Both edit the parameters: Ben's pull stops, and his folder is as it was",
        &[
            ("ben", "model=3 data/cases=2 params=ben notes=1"),
            ("latest", "model=2 data/cases=2 params=ada notes=1"),
        ],
    );

    let pulled = day.runs("ben", &["pull", "--mine", "params"]).success().json();
    assert_eq!(list(&pulled, "kept"), ["model", "params"]);
    let status = day.runs("ben", &["status"]).success().json();
    assert_eq!(status["summary"]["modified_local"], 2, "{status}");
    day.then("Ben says that his count", &[("ben", "model=3 data/cases=2 params=ben notes=1")]);

    let _ = day.runs("ben", &["push"]).success();
    day.then("Ben pushes", &[("latest", "model=3 data/cases=2 params=ben notes=1")]);

    day.of("ada").write("params", "ada-again");
    let output = day.runs("ada", &["pull"]).code(3);
    assert_eq!(stops(&output), one_stop("params", "edited_both"), "{output}");
    let pulled = day.runs("ada", &["pull", "--theirs", "params"]).success().json();
    assert_eq!(
        (list(&pulled, "written"), list(&pulled, "replaced")),
        (vec!["model".into(), "params".into()], vec!["model".into(), "params".into()],)
    );
    day.then(
        "Ada has edited them again, and lets his count",
        &[("ada", "model=3 data/cases=2 params=ben notes=1")],
    );

    // README: "What a pull replaces or deletes is kept, and `undo` brings it back."
    let _ = day.runs("ada", &["undo"]).success();
    day.then(
        "She thinks better of it: all is as before",
        &[("ada", "model=2 data/cases=2 params=ada-again notes=1")],
    );
    let output = day.runs("ada", &["push"]).code(3);
    assert!(output.json()["error"]["paths"].as_array().unwrap().contains(&json!("params")), "{output}");
    day.then(
        "And what Ben pushed is unseen again, so that her push stops",
        &[("latest", "model=3 data/cases=2 params=ben notes=1")],
    );

    let _ = day.runs("ada", &["undo"]).success();
    day.then("She takes that back, too", &[("ada", "model=3 data/cases=2 params=ben notes=1")]);
}

fn renames(day: &mut Day) {
    day.of("ada").remove("notes").write("docs/notes", "1");
    let _ = day.runs("ada", &["add", "docs"]).success();
    let pushed = day.runs("ada", &["push"]).success().json();
    assert_eq!((list(&pushed, "deleted"), &pushed["uploaded"]["blobs"]), (vec!["notes".into()], &json!(0)));
    let pulled = day.runs("ben", &["pull"]).success().json();
    assert_eq!(
        (list(&pulled, "deleted"), list(&pulled, "written")),
        (vec!["notes".into()], vec!["docs/notes".into()],)
    );
    assert_eq!(pulled["downloaded"]["blobs"], 0, "{pulled}");
    day.then(
        "Ada renames her notes, and Ben has them under the new name",
        &[("ben", "model=3 data/cases=2 params=ben docs/notes=1")],
    );

    day.of("ada").write("data/cases", "3");
    let _ = day.runs("ada", &["push"]).success();
    day.of("ben").remove("data/cases").write("data/all", "2");
    let _ = day.runs("ben", &["add", "data/all"]).success();
    let output = day.runs("ben", &["push"]).code(3);
    assert_eq!(output.json()["error"]["paths"], json!(["data/cases"]), "{output}");
    let output = day.runs("ben", &["pull"]).code(3);
    assert_eq!(stops(&output), one_stop("data/cases", "deleted_here_edited_there"), "{output}");
    day.then(
        "Ben renames the data while Ada edits them: that is a conflict",
        &[("ben", "model=3 data/all=2 params=ben docs/notes=1")],
    );

    let _ = day.runs("ben", &["pull", "--theirs", "data/cases"]).success();
    day.then(
        "He takes hers and has both",
        &[("ben", "model=3 data/all=2 data/cases=3 params=ben docs/notes=1")],
    );

    // README: "`remove --rm` stops at a file that was never pushed."
    let output = day.runs("ben", &["remove", "--rm", "data/all"]).code(3);
    assert_eq!(output.json()["error"]["paths"], json!(["data/all"]), "{output}");
    let _ = day.runs("ben", &["remove", "--rm", "--force", "data/all"]).success();
    let status = day.runs("ben", &["status"]).success().json();
    assert_eq!(status["changes"], json!([]), "{status}");
    day.then("He does not want his any more", &[("ben", "model=3 data/cases=3 params=ben docs/notes=1")]);
}

fn deletions(day: &mut Day) {
    day.of("ben").write_executable("run", "1");
    let _ = day.runs("ben", &["add", "run"]).success();
    let _ = day.runs("ben", &["push"]).success();
    let _ = day.runs("ada", &["pull"]).success();
    day.then("Ben adds a script", &[("ada", "model=3 data/cases=3 params=ben docs/notes=1 run=1")]);

    day.of("ada").remove("run");
    let pushed = day.runs("ada", &["push"]).success().json();
    assert_eq!(list(&pushed, "deleted"), ["run"]);
    day.of("ben").remove("run");
    let pulled = day.runs("ben", &["pull"]).success().json();
    assert_eq!(list(&pulled, "untracked"), ["run"]);
    day.then(
        "Both delete it: there is nothing to say of it any more",
        &[
            ("ada", "model=3 data/cases=3 params=ben docs/notes=1"),
            ("ben", "model=3 data/cases=3 params=ben docs/notes=1"),
        ],
    );

    day.of("ada").remove("docs/notes");
    let _ = day.runs("ada", &["push"]).success();
    day.of("ben").write("docs/notes", "ben");
    let output = day.runs("ben", &["pull"]).code(3);
    assert_eq!(stops(&output), one_stop("docs/notes", "edited_here_deleted_there"), "{output}");
    day.then(
        "Ada deletes the notes that Ben has edited: his pull stops",
        &[
            ("ben", "model=3 data/cases=3 params=ben docs/notes=ben"),
            ("latest", "model=3 data/cases=3 params=ben"),
        ],
    );

    let _ = day.runs("ben", &["pull", "--mine", "docs/*"]).success();
    let _ = day.runs("ben", &["push"]).success();
    let _ = day.runs("ada", &["pull"]).success();
    day.then(
        "He keeps them, so that both have them",
        &[("ada", "model=3 data/cases=3 params=ben docs/notes=ben")],
    );

    day.of("ben").remove("docs/notes");
    let pulled = day.runs("ben", &["pull"]).success();
    assert_eq!(list(&pulled.json(), "kept"), ["docs/notes"], "{pulled}");
    day.then("What Ben deletes stays deleted", &[("ben", "model=3 data/cases=3 params=ben")]);
    let _ = day.runs("ben", &["pull", "--restore-deleted"]).success();
    day.then("Until he asks for it", &[("ben", "model=3 data/cases=3 params=ben docs/notes=ben")]);
}

/// README: "A file that became a folder, or the reverse, is a change like any other."
fn files_and_folders(day: &mut Day) {
    day.of("ada").remove("params").write("params/low", "1").write("params/high", "2");
    let _ = day.runs("ada", &["add", "params"]).success();
    let _ = day.runs("ada", &["push"]).success();
    let _ = day.runs("ben", &["pull"]).success();
    day.then(
        "Ada makes a folder of the parameters, and Ben has it",
        &[("ben", "model=3 data/cases=3 params/low=1 params/high=2 docs/notes=ben")],
    );

    // Ben goes back to one file; Ada has edited one in the folder.
    day.of("ben").remove("params").write("params", "one");
    let _ = day.runs("ben", &["add", "params"]).success();
    let _ = day.runs("ben", &["push"]).success();
    day.of("ada").write("params/low", "ada");
    let output = day.runs("ada", &["pull"]).code(3);
    assert_eq!(
        stops(&output).get("params/low").map(String::as_str),
        Some("edited_here_deleted_there"),
        "{output}"
    );
    day.then(
        "Ben makes one file of it again, and Ada has edited a file of the folder: her pull stops",
        &[
            ("ada", "model=3 data/cases=3 params/low=ada params/high=2 docs/notes=ben"),
            ("latest", "model=3 data/cases=3 params=one docs/notes=ben"),
        ],
    );

    let _ = day.runs("ada", &["pull", "--theirs", "params/low"]).success();
    day.then("She lets his count", &[("ada", "model=3 data/cases=3 params=one docs/notes=ben")]);
}

/// README: "Nor does it undo what you have seen and gone back behind."
fn an_old_version(day: &mut Day) {
    let latest = "model=3 data/cases=3 params=one docs/notes=ben";
    let first = "model=1 data/cases=1 params=1 notes=1";
    let _ = day.runs("ada", &["pull", "0.1.0"]).success();
    let output = day.runs("ada", &["push"]).code(3);
    assert!(!output.json()["error"]["paths"].as_array().unwrap().is_empty(), "{output}");
    day.then("Ada looks back at 0.1.0, and a push of that stops", &[("ada", first), ("latest", latest)]);

    day.of("ada").write("model", "fixed");
    let _ = day.runs("ada", &["push"]).code(3);
    let fixed = "model=fixed data/cases=1 params=1 notes=1";
    day.then("So does one with an edit", &[("ada", fixed), ("latest", latest)]);

    let _ = day.runs("ada", &["push", "--tag", "fixes"]).success();
    day.then("Under a tag of its own it goes through", &[("fixes", fixed), ("latest", latest)]);

    let pulled = day.runs("ada", &["pull"]).success().json();
    assert_eq!(list(&pulled, "kept"), Vec::<String>::new(), "{pulled}");
    day.then("And forward again: nothing of it stays behind", &[("ada", latest), ("fixes", fixed)]);
}

fn a_third_person(day: &mut Day) {
    let latest = "model=3 data/cases=3 params=one docs/notes=ben";
    // README: "... nor what you have never seen".
    day.comes("cleo");
    day.of("cleo").write("model", "cleo").write("thesis", "cleo");
    let _ = day.runs("cleo", &["add", "thesis"]).success();
    let output = day.runs("cleo", &["push"]).code(3);
    assert_eq!(
        output.json()["error"]["paths"],
        json!(["data/cases", "docs/notes", "model", "params"]),
        "{output}"
    );
    day.then("Cleo comes with a folder of her own, and her push stops", &[("latest", latest)]);

    let output = day.runs("cleo", &["pull"]).code(3);
    assert_eq!(stops(&output), one_stop("model", "in_the_way"), "{output}");
    day.then("Her pull too: a file of hers is in the way", &[("cleo", "model=cleo thesis=cleo")]);

    let pulled = day.runs("cleo", &["pull", "--theirs", "model"]).success().json();
    assert_eq!(list(&pulled, "replaced"), ["model"], "{pulled}");
    assert!(day.of("cleo").undo_store().contains(&Digest::of(b"cleo").to_string()), "her model is kept");
    day.then(
        "She lets theirs count, and hers is kept",
        &[("cleo", "model=3 data/cases=3 params=one docs/notes=ben thesis=cleo")],
    );

    let _ = day.runs("cleo", &["push"]).success();
    day.then("Now she can push", &[("latest", "model=3 data/cases=3 params=one docs/notes=ben thesis=cleo")]);
}

/// README: "A job that owns its tag says `--replace`, and is told what it replaced."
fn a_job(day: &mut Day) {
    day.comes("job");
    day.of("job").write("model", "built").write("report", "built");
    let _ = day.runs("job", &["add", "model", "report"]).success();
    let _ = day.runs("job", &["push"]).code(3);
    day.then(
        "A job builds a tree of its own, and may not push it",
        &[("latest", "model=3 data/cases=3 params=one docs/notes=ben thesis=cleo")],
    );

    let pushed = day.runs("job", &["push", "--replace"]).success().json();
    assert_eq!(
        list(&pushed, "overwritten"),
        ["data/cases", "docs/notes", "model", "params", "thesis"],
        "{pushed}"
    );
    day.then("Unless it says so", &[("latest", "model=built report=built")]);

    day.of("ben").write("data/cases", "4");
    let output = day.runs("ben", &["pull"]).code(3);
    assert_eq!(stops(&output), one_stop("data/cases", "edited_here_deleted_there"), "{output}");
    let pulled = day.runs("ben", &["pull", "--mine", "data/cases"]).success().json();
    assert_eq!(list(&pulled, "deleted"), ["docs/notes", "params"], "{pulled}");
    day.then(
        "Ben pulls that: what it dropped goes, what he edited stays",
        &[("ben", "model=built report=built data/cases=4")],
    );

    let _ = day.runs("ben", &["undo"]).success();
    day.then(
        "And comes back, since that was too much",
        &[("ben", "model=3 data/cases=4 params=one docs/notes=ben")],
    );

    let _ = day.runs("ben", &["pull", "--mine", "data/cases"]).success();
    let _ = day.runs("ben", &["push"]).success();
    let _ = day.runs("ada", &["pull"]).success();
    let _ = day.runs("cleo", &["pull"]).success();
    let end = "model=built report=built data/cases=4";
    day.then(
        "In the evening all have the same",
        &[("ada", end), ("ben", end), ("cleo", end), ("latest", end)],
    );
}

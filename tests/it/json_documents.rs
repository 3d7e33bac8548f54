//! Every document of `--json`, against a file of it in `fixtures/json`: their fields are part of the interface.
//!
//! What is meant to change is written anew with `BLESS=1`; the difference then is for whoever reads the change. Paths of
//! this machine, digests of manifests (which name the version) and measured times are replaced by words.
//!
//! The types of `modelops-bundle-report` read each of them back, and write the same bytes again.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use modelops_bundle_report::{
    AddReport, CompletionsReport, ComponentReport, CopyReport, DeleteReport, DiffReport, EnvironmentsReport,
    ErrorDocument, ExplainReport, ExportReport, ExtractReport, FailedReport, HealthReport, ImportReport,
    InitReport, InspectReport, LoginReport, LogoutReport, ManReport, ManifestsReport, MeasureReport,
    OperationsReport, PullReport, PushReport, RemoveReport, ReposReport, SetReport, SettingReport,
    SettingsReport, StatusReport, SwitchReport, TagReport, TagsReport, UndoReport, VerifyReport,
};
use modelops_bundle_tests::{TestProject, WebServer};
use serde::Serialize;
use serde_json::{Value, json};

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/json");

/// Reads a document into its type, and writes it again.
type Reader = fn(&str) -> serde_json::Result<String>;

macro_rules! reader {
    ($type:ty) => {
        |text| serde_json::from_str::<$type>(text).and_then(|document| written(&document))
    };
}

/// The type of each document, by how the name of its file begins; the first that fits is the one.
const READERS: &[(&str, Reader)] = &[
    ("add", reader!(AddReport)),
    ("completions", reader!(CompletionsReport)),
    ("config-get", reader!(SettingReport)),
    ("config-list", reader!(SettingsReport)),
    ("config-set", reader!(SetReport)),
    ("copy", reader!(CopyReport)),
    ("core-extract", reader!(ExtractReport)),
    ("core-info", reader!(ComponentReport)),
    ("core-measure", reader!(MeasureReport)),
    ("delete", reader!(DeleteReport)),
    ("diff", reader!(DiffReport<'_>)),
    ("env-list", reader!(EnvironmentsReport)),
    ("env-switch", reader!(SwitchReport)),
    ("error-", reader!(ErrorDocument<'_>)),
    ("export", reader!(ExportReport)),
    ("health-failed", reader!(FailedReport<'_, HealthReport>)),
    ("health", reader!(HealthReport)),
    ("import-folder", reader!(PullReport)),
    ("import", reader!(ImportReport)),
    ("init", reader!(InitReport)),
    ("inspect-failed", reader!(FailedReport<'_, InspectReport>)),
    ("inspect", reader!(InspectReport)),
    ("login", reader!(LoginReport)),
    ("logout", reader!(LogoutReport)),
    ("manifest-tags", reader!(TagsReport)),
    ("manifest", reader!(ManifestsReport)),
    ("man", reader!(ManReport)),
    ("pull", reader!(PullReport)),
    ("push", reader!(PushReport)),
    ("remove", reader!(RemoveReport)),
    ("repos", reader!(ReposReport)),
    ("status-explain", reader!(ExplainReport)),
    ("status", reader!(StatusReport<'_>)),
    ("tag", reader!(TagReport)),
    ("undo-list", reader!(OperationsReport)),
    ("undo", reader!(UndoReport)),
    ("verify-damaged", reader!(FailedReport<'_, VerifyReport>)),
    ("verify", reader!(VerifyReport)),
];

/// The text of a document, as the program prints it.
fn written(document: &impl Serialize) -> serde_json::Result<String> {
    Ok(format!("{}\n", serde_json::to_string_pretty(document)?))
}

/// What its type makes of the document `text` of the file `name`.
#[track_caller]
fn read_back(name: &str, text: &str) -> String {
    let (_, reader) = READERS
        .iter()
        .find(|(begin, _)| name.starts_with(begin))
        .unwrap_or_else(|| panic!("no type is known of {name}"));
    reader(text).unwrap_or_else(|error| panic!("{name} cannot be read: {error}\n{text}"))
}

/// A project, and what is not the same everywhere.
struct Documents {
    project: TestProject,
    /// Digests of manifests, in the order in which they came.
    bundles: RefCell<Vec<String>>,
    seen: RefCell<BTreeSet<String>>,
}

impl Documents {
    fn new() -> Self {
        Self { project: TestProject::new(), bundles: RefCell::default(), seen: RefCell::default() }
    }

    /// Runs a command and compares its document with the file `name`.
    #[track_caller]
    fn expect(&self, name: &str, code: i32, arguments: &[&str]) {
        self.expect_changed(name, code, arguments, |_| {});
    }

    /// The same of a document of which something cannot stay as it is.
    #[track_caller]
    fn expect_changed(&self, name: &str, code: i32, arguments: &[&str], change: impl FnOnce(&mut Value)) {
        let command = self.project.command(arguments).arg("--json").env("SOURCE_DATE_EPOCH", "0");
        let run = command.run().code(code);
        let mut document = run.json();
        assert_eq!(read_back(name, run.stdout()), run.stdout(), "{name} is not what its type makes of it");
        if let (Some("push"), Some(digest)) = (arguments.first().copied(), document["digest"].as_str()) {
            let mut bundles = self.bundles.borrow_mut();
            if !bundles.iter().any(|known| known == digest) {
                bundles.push(digest.to_owned());
            }
        }
        change(&mut document);
        let text = self.redacted(&format!("{}\n", serde_json::to_string_pretty(&document).unwrap()));
        assert!(self.seen.borrow_mut().insert(name.to_owned()), "{name} comes twice");
        let file = Path::new(FOLDER).join(format!("{name}.json"));
        if std::env::var_os("BLESS").is_some() {
            fs::write(&file, &text).unwrap();
        }
        let expected = fs::read_to_string(&file).unwrap_or_default();
        assert!(text == expected, "{} is to be\n{expected}\nand is\n{text}", file.display());
    }

    fn redacted(&self, text: &str) -> String {
        let places = [(self.project.path(), "<project>"), (self.project.home(), "<home>")];
        let mut text = text.replace(env!("CARGO_PKG_VERSION"), "<version>");
        for (place, word) in places {
            text = text.replace(place.to_str().unwrap(), word);
        }
        for (at, digest) in self.bundles.borrow().iter().enumerate() {
            text = text.replace(digest, &format!("<bundle {}>", at + 1));
        }
        text
    }

    fn quietly(&self, arguments: &[&str]) {
        let _ = self.project.command(arguments).env("SOURCE_DATE_EPOCH", "0").run().success();
    }

    fn publish(&self) {
        let project = &self.project;
        project.write("src/model.py", "def step(): ...\n").write("data/cases.csv", "day,cases\n1,2\n");
        project.write("notes.txt", "mine").write("src/__pycache__/x.pyc", "");
        project.write_executable("run.sh", "#!/bin/sh\n");
        let layout = format!("oci:{}", project.home().join("layout").display());
        self.expect("init", 0, &["init", "--ref", &layout, "--layout", "files"]);
        self.expect("init-again", 0, &["init", "--tag", "main"]);
        self.quietly(&["init", "--tag", "latest"]);
        self.expect("add-dry-run", 0, &["add", "--dry-run", "src"]);
        self.expect("add", 0, &["add", "src", "data", "run.sh"]);
        self.expect("status-empty", 0, &["status"]);
        self.expect("status-ignored", 0, &["status", "--include-ignored"]);
        self.expect("status-explain", 0, &["status", "--explain", "src/__pycache__/x.pyc", "run.sh"]);
        self.expect("push-dry-run", 0, &["push", "--dry-run"]);
        self.expect("push", 0, &["push", "--tag", "v1.0.0", "--tag", "latest"]);
        self.expect("push-unchanged", 0, &["push"]);
    }

    fn change(&self) {
        self.project
            .write("src/model.py", "def step(t): ...\n")
            .write("data/more.csv", "1\n")
            .remove("run.sh");
        self.quietly(&["add", "data"]);
        self.expect("status", 0, &["status"]);
        self.expect("status-offline", 0, &["status", "--offline"]);
        self.expect("diff", 0, &["diff"]);
        self.expect("inspect-push", 0, &["inspect"]);
        self.expect("push-changed", 0, &["push"]);
        self.expect("diff-two", 0, &["diff", "v1.0.0", "latest", "--stat"]);
        self.expect("remove", 0, &["remove", "data/more.csv"]);
        self.quietly(&["add", "data/more.csv"]);
    }

    fn look(&self) {
        self.expect("manifest", 0, &["manifest"]);
        self.expect("manifest-limited", 0, &["manifest", "-n", "1"]);
        self.expect("manifest-tags", 0, &["manifest", "--tags-only"]);
        self.expect("inspect", 0, &["inspect", "latest", "--files", "--tags", "--verify"]);
        self.expect("verify", 0, &["verify", "v1.0.0"]);
        self.expect("health", 0, &["health"]);
        let nowhere = format!("oci-archive:{}", self.project.home().join("none.tar").display());
        self.expect("health-failed", 6, &["health", &nowhere]);
    }

    fn name(&self) {
        let target = format!("oci:{}", self.project.home().join("copied").display());
        self.expect("tag", 0, &["tag", "v1.0.0", "stable"]);
        self.expect("tag-dry-run", 0, &["tag", "latest", "v1.1.0", "stable", "--force", "--dry-run"]);
        self.expect("copy-dry-run", 0, &["copy", "v1.0.0", &target, "--dry-run"]);
        self.expect("copy", 0, &["copy", "v1.0.0", &target]);
        self.expect("delete-dry-run", 0, &["delete", "stable", "--dry-run"]);
        self.expect("delete", 0, &["delete", "stable"]);
        // All that a list of repositories asks for is a file.
        let folder = self.project.home().join("web");
        fs::create_dir_all(folder.join("v2")).unwrap();
        fs::write(folder.join("v2/_catalog"), r#"{"repositories":["team/a","team/b","z"]}"#).unwrap();
        let server = WebServer::start(&[("/", &folder)]);
        let team = server.address("/team").replace("http://", "");
        self.expect_changed("repos", 0, &["repos", &team, "-n", "1"], |document| {
            document["host"] = json!("<host>");
        });
    }

    fn pull(&self) {
        self.project.write("src/model.py", "edited\n");
        self.expect("error-conflict", 3, &["pull", "v1.0.0"]);
        self.expect("pull-dry-run", 0, &["pull", "v1.0.0", "--overwrite", "--dry-run"]);
        self.expect("pull", 0, &["pull", "v1.0.0", "--overwrite"]);
        self.expect("pull-unchanged", 0, &["pull", "v1.0.0"]);
        self.expect_changed("undo-list", 0, &["undo", "--list"], |document| untimed(document, "operations"));
        self.expect_changed("undo", 0, &["undo"], |document| untimed(document, "undone"));
        self.expect("error-undo", 6, &["undo", "100"]);
        self.quietly(&["undo"]);
    }

    fn travel(&self) {
        self.expect("export", 0, &["export", "v1.0.0", "../home/a.tar"]);
        self.expect("export-files", 0, &["export", "v1.0.0", "../home/b.tar", "--files"]);
        let target = format!("oci:{}:v1.0.0", self.project.home().join("other").display());
        self.expect("import-dry-run", 0, &["import", "../home/a.tar", "--to", &target, "--dry-run"]);
        self.expect("import", 0, &["import", "../home/a.tar", "--to", &target]);
        self.expect("import-unchanged", 0, &["import", "../home/a.tar", "--to", &target]);
        self.expect("import-folder", 0, &["import", "../home/a.tar", "--dest", "../home/copy"]);
        self.expect("error-not-an-archive", 1, &["import", "../home/b.tar", "--to", &target]);
        fs::write(self.project.home().join("c.tar"), "").unwrap();
        self.expect("error-integrity", 8, &["import", "../home/c.tar", "--to", &target]);
    }

    fn settings(&self) {
        let folder = self.project.home().join(".config/modelops-bundle");
        fs::create_dir_all(&folder).unwrap();
        let own = "environment: lab\nnamespace: org/team\nenvironments:\n  lab:\n    registry: registry.example\n    \
                   storage: {provider: s3, container: large}\n  here:\n    registry: oci:/srv/bundles\n";
        fs::write(folder.join("config.yaml"), own).unwrap();
        self.expect("env-list", 0, &["env", "list"]);
        self.expect("env-switch-dry-run", 0, &["env", "switch", "here", "--dry-run"]);
        self.expect("env-switch", 0, &["env", "switch", "lab"]);
        self.expect("env-list-pinned", 0, &["env", "list"]);
        self.expect("config-list", 0, &["config", "list"]);
        self.expect("config-get", 0, &["config", "get", "storage.threshold_bytes"]);
        self.expect("config-set", 0, &["config", "set", "symlinks", "never"]);
        self.expect("config-set-dry-run", 0, &["config", "set", "symlinks", "", "--dry-run"]);
        self.expect("error-setting", 2, &["config", "set", "colour", "red"]);
        self.expect("error-not-found", 6, &["env", "switch", "nowhere"]);
    }

    fn plumbing(&self) {
        self.expect_changed("core-info", 0, &["core", "info"], |document| {
            (document["digest"], document["size"]) = (json!("<component>"), json!(0));
            // The vectors hold them all.
            document["functions"].as_array_mut().unwrap().truncate(1);
        });
        self.expect_changed("core-extract", 0, &["core", "extract", "core.wasm"], |document| {
            (document["digest"], document["size"]) = (json!("<component>"), json!(0));
        });
        self.expect_changed("core-measure", 0, &["core", "measure", "--files", "10"], |document| {
            for cost in document["costs"].as_array_mut().unwrap() {
                (cost["component_us"], cost["native_us"]) = (json!(0), json!(0));
            }
        });
        self.expect_changed("man", 0, &["man", "../home/man"], |document| {
            assert!(document["pages"].as_u64().is_some_and(|pages| pages > 20), "{document}");
            document["pages"] = json!(0);
        });
        self.expect("error-usage", 2, &["core", "call"]);
    }

    /// Refuses a file that no command is compared with.
    fn finish(&self) {
        let files = fs::read_dir(FOLDER).unwrap().map(|entry| entry.unwrap().file_name());
        let names = files.map(|name| name.to_str().unwrap().trim_end_matches(".json").to_owned());
        assert_eq!(names.collect::<BTreeSet<_>>(), *self.seen.borrow());
    }
}

/// Replaces the times of the entries in the list `list`.
fn untimed(document: &mut Value, list: &str) {
    for entry in document[list].as_array_mut().unwrap() {
        entry["time"] = "<time>".into();
    }
}

#[test]
fn every_document_is_what_it_was() {
    let documents = Documents::new();
    documents.publish();
    documents.change();
    documents.look();
    documents.name();
    documents.pull();
    documents.travel();
    let blobs = documents.project.home().join("layout/blobs/sha256");
    let content = bundle_core::digest::Digest::of(b"day,cases\n1,2\n");
    fs::write(blobs.join(content.hex()), "day,cases\n1,3\n").unwrap();
    documents.expect("verify-damaged", 8, &["verify", "v1.0.0"]);
    packed(&documents);
    documents.settings();
    documents.plumbing();
    documents.finish();
}

#[test]
fn every_document_reads_back_what_it_wrote() {
    for entry in fs::read_dir(FOLDER).unwrap() {
        let file = entry.unwrap().path();
        let name = file.file_stem().unwrap().to_str().unwrap();
        let text = fs::read_to_string(&file).unwrap();
        // The files have their keys in order.
        let again: Value = serde_json::from_str(&read_back(name, &text)).unwrap();
        assert_eq!(again, serde_json::from_str::<Value>(&text).unwrap(), "{name}");
    }
}

/// What the commands of this file do not come by: other documents, and other values in the same ones.
#[test]
fn rare_values_are_read_back_too() {
    let kept = json!({"kind": "helper", "program": "docker-credential-pass"});
    let file = json!({"kind": "file", "path": "/home/u/.docker/config.json"});
    let change = json!({"path": "a", "change": "modified_local"});
    let blocked = json!({"path": "b", "change": "added_both", "kind": null});
    let error = json!({"code": 3, "kind": "conflict", "message": "\u{1b}", "hint": null, "paths": ["a", "b"],
        "blocked": [blocked], "unseen": [change], "tags_written": ["v1"], "tags_not_written": ["latest"]});
    let values = json!({"none": null, "switch": true, "count": u64::MAX, "negative": -1, "fraction": 0.5,
        "list": ["*.csv", ["b"]], "object": {"a": {}}});
    let setting = json!({"key": "a", "value": values, "source": "file", "known": false});
    let inspected = json!({"ref": "r.example/a:v1", "requests": 1, "error": error});
    let login = json!({"host": "r.example", "user": "u", "checked": true, "token_server": "t.example",
        "stored": kept, "dry_run": false});
    let logout = json!({"host": "r.example", "removed": [kept, file], "left": ["the environment"],
        "dry_run": true});
    for (name, document) in [
        ("completions", json!({"shell": "elvish", "script": "use builtin;\n"})),
        ("config-get", setting),
        ("error-", json!({"error": error})),
        ("inspect-failed", inspected),
        ("login", login),
        ("logout", logout),
    ] {
        let again: Value = serde_json::from_str(&read_back(name, &document.to_string())).unwrap();
        assert_eq!(again, document, "{name}");
    }
}

/// What only layout `packed` has.
fn packed(documents: &Documents) {
    let layout = format!("oci:{}", documents.project.home().join("packed").display());
    documents.quietly(&["init", "--ref", &layout, "--layout", "packed"]);
    documents.expect("push-packed", 0, &["push"]);
    documents.expect("inspect-packed", 0, &["inspect", "latest", "--packs"]);
}

//! `verify`: a good bundle is good, and of a damaged one every fault is named, with the files that suffer from it.

use std::fs;
use std::path::{Path, PathBuf};

use bundle_core::bundle::index::BundleIndex;
use bundle_core::digest::Digest;
use bundle_core::pack::zstd::{Compressor, decompress_up_to};
use modelops_bundle_tests::{CommandOutput, Proxy, Registry, TestProject, noise};
use serde_json::{Value, json};

fn fill(project: &TestProject) {
    project.write("data/large", noise(1, 2_000_000)).write("data/empty", "");
    project.write("a", "some text\n").write("copy", "some text\n").write_executable("run.sh", "#!/bin/sh\n");
    let _ = project.run(&["add", "a", "copy", "data", "run.sh"]).success();
    let _ = project.run(&["push"]).success();
}

/// A project that has pushed five files in this layout.
fn pushed(layout: &str) -> TestProject {
    let project = TestProject::on_layout();
    let _ = project.run(&["init", "--layout", layout]).success();
    fill(&project);
    project
}

fn blob(project: &TestProject, digest: &str) -> PathBuf {
    project.home().join("layout/blobs/sha256").join(digest.strip_prefix("sha256:").unwrap())
}

fn flip(file: &Path, at: impl FnOnce(usize) -> usize) {
    let mut bytes = fs::read(file).unwrap();
    let at = at(bytes.len());
    bytes[at] ^= 1;
    fs::write(file, bytes).unwrap();
}

/// The first pack of the bundle.
fn pack_of(project: &TestProject) -> String {
    let document = project.run(&["inspect", "latest", "--packs", "--json"]).success().json();
    document["packs"]["each"][0]["digest"].as_str().unwrap().to_owned()
}

fn good(output: CommandOutput) -> Value {
    let document = output.success().json();
    assert_eq!((&document["ok"], &document["faults"]), (&json!(true), &json!([])), "{document}");
    document
}

/// The faults of a damaged bundle: kind and what it is about, and the paths.
#[track_caller]
fn faults(project: &TestProject) -> Vec<(String, Value)> {
    let output = project.run(&["verify"]).code(8);
    assert!(output.stderr().contains("is damaged") && output.stderr().contains("hint: "), "{output}");
    let document = project.run(&["verify", "--json"]).code(8).json();
    assert_eq!(document["ok"], false);
    let text = |fault: &Value, field: &str| fault[field].as_str().unwrap().to_owned();
    let faults = document["faults"].as_array().unwrap().iter();
    faults
        .map(|fault| {
            assert!(output.stdout().contains(&text(fault, "message")), "{output}");
            (format!("{}: {}", text(fault, "kind"), text(fault, "what")), fault["paths"].clone())
        })
        .collect()
}

/// Writes a manifest and an index that were changed, and whatever blobs `change` returns, as the bundle `latest`.
fn forge(project: &TestProject, change: impl FnOnce(&mut Value, &mut Value) -> Vec<Vec<u8>>) {
    let layout = project.home().join("layout");
    let mut list: Value = serde_json::from_slice(&fs::read(layout.join("index.json")).unwrap()).unwrap();
    let read = |descriptor: &Value| fs::read(blob(project, descriptor["digest"].as_str().unwrap())).unwrap();
    let write = |descriptor: &mut Value, content: &[u8]| {
        let digest = Digest::of(content).to_string();
        fs::write(blob(project, &digest), content).unwrap();
        (descriptor["digest"], descriptor["size"]) = (json!(digest), json!(content.len()));
    };
    let mut manifest: Value = serde_json::from_slice(&read(&list["manifests"][0])).unwrap();
    let media_type = manifest["config"]["mediaType"].as_str().unwrap().to_owned();
    let text = BundleIndex::text(&read(&manifest["config"]), &media_type).unwrap();
    let mut index: Value = serde_json::from_str(&text).unwrap();
    for content in change(&mut manifest, &mut index) {
        write(&mut json!({}), &content);
    }
    let index = BundleIndex::compress(&index.to_string()).unwrap();
    write(&mut manifest["config"], &index);
    manifest["config"].as_object_mut().unwrap().remove("data");
    write(&mut list["manifests"][0], manifest.to_string().as_bytes());
    fs::write(layout.join("index.json"), list.to_string()).unwrap();
}

#[test]
fn a_good_bundle_is_good_in_a_folder() {
    for (layout, packs) in [("files", 0), ("packed", 1)] {
        let project = pushed(layout);
        let document = good(project.run(&["verify", "--json"]));
        let checked = &document["checked"];
        assert_eq!((&checked["files"], &checked["packs"]), (&json!(5), &json!(packs)), "{document}");
        let stored = project.run(&["inspect", "latest", "--json"]).success().json()["stored"].clone();
        assert_eq!((&checked["blobs"], &checked["bytes"]), (&stored["blobs"], &stored["bytes"]), "{layout}");
        let status = project.run(&["status", "--json"]).success().json();
        assert_eq!(document["digest"], status["remote"]["digest"]);

        // So it is in a file, from outside, and beside other things that are told.
        let _ = project.run(&["export", "../bundle.tar"]).success();
        let outside = TestProject::new();
        let file = project.path().parent().unwrap().join("bundle.tar");
        for place in [file.to_str().unwrap(), project.home().join("layout").to_str().unwrap()] {
            assert_eq!(good(outside.run(&["verify", place, "--json"]))["tree"], document["tree"]);
        }
        let document = project.run(&["inspect", "latest", "--verify", "--json"]).success().json();
        assert_eq!((&document["verify"]["ok"], &document["layout"]), (&json!(true), &json!(layout)));
        let text = project.run(&["verify"]).success();
        assert!(text.stdout().contains("is whole: checked 5 files"), "{text}");
    }
    let _ = TestProject::on_layout().run(&["verify"]).code(6);
}

#[test]
fn a_registry_is_asked_for_each_blob_once() {
    let Some(registry) = Registry::get() else { return };
    for (layout, requests) in [("files", 5), ("packed", 4)] {
        let proxy = Proxy::start(registry.host());
        let project = TestProject::new();
        let reference = format!("{}/team/{layout}", proxy.host());
        let _ = project.run(&["init", "--ref", &reference, "--layout", layout]).success();
        fill(&project);
        let _ = proxy.take_seen();
        let document = good(project.run(&["verify", "--json"]));
        // Manifest, index, and each content that is not empty; or manifest, index, table and pack.
        assert_eq!(document["requests"], requests, "{document}");
        let received: u64 = proxy.seen().iter().map(|seen| seen.received).sum();
        assert!(received < 2_100_000, "{received} bytes came");
    }
}

#[test]
fn a_registry_that_lost_or_changed_a_pack_is_found_out() {
    let Some(registry) = Registry::get() else { return };
    let project = TestProject::new();
    let reference = format!("{}/team/p", registry.host());
    let _ = project.run(&["init", "--ref", &reference, "--layout", "packed"]).success();
    fill(&project);
    let pack = pack_of(&project);
    let hex = pack.strip_prefix("sha256:").unwrap();
    let mut folders = vec![registry.storage()];
    let mut stored = None;
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let is_blob = path.ends_with(format!("{hex}/data")) || path.ends_with(format!("sha256/{hex}"));
            match path.is_dir() {
                true => folders.push(path),
                false if is_blob => stored = Some(path),
                false => {}
            }
        }
    }
    let stored = stored.unwrap();
    flip(&stored, |length| length / 2);
    let names: Vec<String> = faults(&project).into_iter().map(|(name, _)| name).collect();
    assert_eq!(names[0], format!("damaged: pack {pack}"));
    assert!(names.len() == 2 && names[1].starts_with("chunk: chunk "), "{names:?}");
    fs::remove_file(&stored).unwrap();
    let all = json!(["a", "copy", "data/large", "run.sh"]);
    assert_eq!(faults(&project), [(format!("missing: pack {pack}"), all)]);
    let closed = registry.host().to_owned();
    drop(registry);
    let document = project.run(&["verify", "--retries", "0", "--json"]).code(7).json();
    assert_eq!(document["error"]["kind"], "network", "{closed}: {document}");
}

#[test]
fn a_damaged_pack_names_its_files() {
    let project = pushed("packed");
    let pack = pack_of(&project);
    let file = blob(&project, &pack);
    let whole = fs::read(&file).unwrap();
    let all = json!(["a", "copy", "data/large", "run.sh"]);
    let is_damaged = format!("damaged: pack {pack}");

    flip(&file, |_| 0);
    let small = json!(["a", "copy"]);
    assert_eq!(
        faults(&project),
        [(is_damaged.clone(), small.clone()), (format!("chunk: chunk 0 of the pack {pack}"), small)]
    );

    fs::write(&file, &whole).unwrap();
    flip(&file, |length| length / 2);
    let found = faults(&project);
    assert_eq!(found.len(), 2, "{found:?}");
    assert!(found.iter().all(|(_, paths)| *paths == json!(["data/large"])), "{found:?}");
    assert!(found[1].0.starts_with("chunk: chunk "), "{found:?}");

    fs::write(&file, &whole).unwrap();
    flip(&file, |length| length - 1);
    let is_table = format!("table: table of the pack {pack}");
    assert_eq!(faults(&project), [(is_damaged.clone(), all.clone()), (is_table, all.clone())]);

    fs::write(&file, &whole[..whole.len() - 1]).unwrap();
    assert_eq!(faults(&project), [(is_damaged, all.clone())]);
    fs::remove_file(&file).unwrap();
    assert_eq!(faults(&project), [(format!("missing: pack {pack}"), all)]);
    // Something else can be told of it all the same.
    let document = project.run(&["inspect", "latest", "--verify", "--json"]).code(8).json();
    assert_eq!((&document["file_count"], &document["verify"]["ok"]), (&json!(5), &json!(false)));
    fs::write(&file, &whole).unwrap();
    let _ = good(project.run(&["verify", "--json"]));
}

#[test]
fn a_damaged_blob_names_its_files() {
    let project = pushed("files");
    let file = blob(&project, &Digest::of(b"some text\n").to_string());
    let paths = json!(["a", "copy"]);
    let name = |kind: &str| format!("{kind}: blob {}", Digest::of(b"some text\n"));
    flip(&file, |_| 3);
    assert_eq!(faults(&project), [(name("damaged"), paths.clone())]);
    fs::write(&file, "some text").unwrap();
    assert_eq!(faults(&project), [(name("damaged"), paths.clone())]);
    fs::remove_file(&file).unwrap();
    assert_eq!(faults(&project), [(name("missing"), paths)]);
}

#[test]
fn damaged_documents_are_named() {
    for layout in ["files", "packed"] {
        let project = pushed(layout);
        let pushed = project.run(&["push", "--json"]).success().json();
        let text = |field: &str| pushed[field].as_str().unwrap().to_owned();
        // The index travels in the manifest too, so that the files can be checked all the same.
        let index = blob(&project, &text("index"));
        flip(&index, |length| length / 2);
        assert_eq!(faults(&project), [(format!("damaged: index {}", text("index")), json!([]))]);
        fs::remove_file(&index).unwrap();
        assert_eq!(faults(&project), [(format!("missing: index {}", text("index")), json!([]))]);
        let manifest = blob(&project, &text("digest"));
        flip(&manifest, |length| length / 2);
        assert_eq!(faults(&project), [("damaged: manifest latest".to_owned(), json!([]))]);
        fs::remove_file(&manifest).unwrap();
        assert_eq!(faults(&project), [("missing: manifest latest".to_owned(), json!([]))]);
    }
}

#[test]
fn an_index_that_is_gone_leaves_the_blobs_to_be_checked() {
    let project = pushed("packed");
    let pack = pack_of(&project);
    forge(&project, |_, _| Vec::new());
    let document = good(project.run(&["verify", "--json"]));
    let list: Value =
        serde_json::from_slice(&fs::read(project.home().join("layout/index.json")).unwrap()).unwrap();
    let manifest = fs::read(blob(&project, list["manifests"][0]["digest"].as_str().unwrap())).unwrap();
    let manifest: Value = serde_json::from_slice(&manifest).unwrap();
    let index = manifest["config"]["digest"].as_str().unwrap();
    fs::remove_file(blob(&project, index)).unwrap();
    flip(&blob(&project, &pack), |length| length / 2);
    let expected =
        [(format!("missing: index {index}"), json!([])), (format!("damaged: blob {pack}"), json!([]))];
    assert_eq!(faults(&project), expected);
    let again = project.run(&["verify", "--json"]).code(8).json();
    assert_eq!((&again["tree"], &again["digest"]), (&json!(null), &document["digest"]));
}

#[test]
fn documents_that_lie_are_found_out() {
    let project = pushed("packed");
    let pack = pack_of(&project);
    let other = Digest::of(b"something else").to_string();
    forge(&project, |_, index| {
        index["files"]["run.sh"]["digest"] = json!(other);
        Vec::new()
    });
    let expected =
        [("tree: tree digest".to_owned(), json!([])), ("file: file run.sh".to_owned(), json!(["run.sh"]))];
    assert_eq!(faults(&project), expected);

    let project = pushed("packed");
    forge(&project, |_, index| {
        index["packs"][0]["toc"]["digest"] = json!(other);
        Vec::new()
    });
    let all = json!(["a", "copy", "data/large", "run.sh"]);
    assert_eq!(faults(&project), [(format!("table: table of the pack {pack}"), all)]);
}

/// The table of a pack, open to every change.
struct OpenTable {
    text: Vec<u8>,
    chunks: usize,
}

impl OpenTable {
    /// What it has before its columns, and of each chunk: hash, offset, stored size, raw size, encoding.
    const HEAD: usize = 12;
    const WIDTHS: [usize; 5] = [32, 8, 4, 4, 1];

    fn cell(&mut self, column: usize, chunk: usize) -> &mut [u8] {
        let before: usize = Self::WIDTHS[..column].iter().sum();
        let start = Self::HEAD + before * self.chunks + Self::WIDTHS[column] * chunk;
        &mut self.text[start..start + Self::WIDTHS[column]]
    }

    fn add(&mut self, column: usize, chunk: usize, difference: i32) {
        let cell = self.cell(column, chunk);
        let number = i32::from_le_bytes(cell.try_into().unwrap()) + difference;
        cell.copy_from_slice(&number.to_le_bytes());
    }

    /// Which of its chunks are stored as they are, or compressed.
    fn encoded(&mut self, encoding: u8) -> Vec<usize> {
        (0..self.chunks).filter(|at| *self.cell(4, *at) == [encoding]).collect()
    }
}

/// Publishes the bundle with another table in its pack, and all that names that is right; says the new pack's digest.
fn forge_table(project: &TestProject, change: impl FnOnce(&mut OpenTable, &mut Value)) -> String {
    let content = fs::read(blob(project, &pack_of(project))).unwrap();
    let mut name = String::new();
    forge(project, |manifest, index| {
        let frames = index["packs"][0]["toc"]["offset"].as_u64().unwrap() as usize;
        let chunks = index["packs"][0]["chunks"].as_u64().unwrap() as usize;
        let mut table = OpenTable { text: decompress_up_to(&content[frames..], 1 << 20).unwrap(), chunks };
        change(&mut table, index);
        let table = Compressor::new().unwrap().compress(&table.text).unwrap();
        let content = [&content[..frames], &table].concat();
        name = Digest::of(&content).to_string();
        let pack = &mut index["packs"][0];
        (pack["digest"], pack["size"]) = (json!(name), json!(content.len()));
        pack["toc"]["digest"] = json!(Digest::of(&table).to_string());
        pack["toc"]["size"] = json!(table.len());
        (manifest["layers"][0]["digest"], manifest["layers"][0]["size"]) =
            (json!(name), json!(content.len()));
        vec![content]
    });
    name
}

/// A project that has pushed what [`fill`] writes and a file that is compressed, in layout `packed`.
fn pushed_with_text() -> TestProject {
    let project = TestProject::on_layout();
    let _ = project.run(&["init", "--layout", "packed"]).success();
    project.write("text", "the same line again\n".repeat(500));
    let _ = project.run(&["add", "text"]).success();
    fill(&project);
    project
}

#[test]
fn a_chunk_hash_that_is_wrong_behind_right_files_is_found() {
    let first = |_: &mut OpenTable| 0;
    let middle = |table: &mut OpenTable| table.chunks / 2;
    let compressed = |table: &mut OpenTable| table.encoded(1)[0];
    type Lie = fn(&mut OpenTable) -> usize;
    let places: [(Lie, Value); 3] =
        [(first, json!(["a", "copy"])), (middle, json!(["data/large"])), (compressed, json!(["text"]))];
    for (place, paths) in places {
        let project = pushed_with_text();
        let mut chunk = 0;
        let pack = forge_table(&project, |table, _| {
            chunk = place(table);
            table.cell(0, chunk)[31] ^= 1;
        });
        assert_eq!(faults(&project), [(format!("chunk: chunk {chunk} of the pack {pack}"), paths)]);
        // The files are right all the same.
        let clone = TestProject::new();
        let layout = format!("oci:{}", project.home().join("layout").display());
        let _ = clone.run(&["pull", &layout]).success();
        assert!(clone.read("data/large") == noise(1, 2_000_000) && clone.read_text("a") == "some text\n");
    }
}

#[test]
fn a_wrong_hash_is_found_also_where_no_file_needs_the_chunk() {
    let project = pushed_with_text();
    let mut chunk = 0;
    let pack = forge_table(&project, |table, index| {
        chunk = table.encoded(1)[0];
        table.cell(0, chunk).fill(7);
        index["files"].as_object_mut().unwrap().remove("text");
    });
    let expected = [
        ("tree: tree digest".to_owned(), json!([])),
        (format!("chunk: chunk {chunk} of the pack {pack}"), json!([])),
    ];
    assert_eq!(faults(&project), expected);
}

#[test]
fn a_frame_whose_sizes_are_not_those_of_its_encoding_is_found() {
    let all = json!(["a", "copy", "data/large", "run.sh", "text"]);
    let more = |index: &mut Value, difference: i64| {
        let raw = &mut index["packs"][0]["raw"];
        *raw = json!(raw.as_i64().unwrap() + difference);
    };
    type Lie<'a> = &'a dyn Fn(&mut OpenTable, &mut Value);
    let lies: [(&str, Lie<'_>); 5] = [
        ("raw, and longer than stored", &|table, index| {
            table.add(3, 0, 1);
            more(index, 1);
        }),
        ("raw, and shorter than stored", &|table, index| {
            let last = *table.encoded(0).last().unwrap();
            table.add(3, last, -1);
            more(index, -1);
        }),
        ("raw, by the length of another", &|table, _| {
            table.add(3, 1, 1);
            table.add(3, 2, -1);
        }),
        ("compressed, and called raw", &|table, _| {
            let chunk = table.encoded(1)[0];
            table.cell(4, chunk).fill(0);
        }),
        ("raw, and called compressed", &|table, _| table.cell(4, 0).fill(1)),
    ];
    for (what, lie) in lies {
        let project = pushed_with_text();
        let pack = forge_table(&project, lie);
        assert_eq!(faults(&project), [(format!("table: table of the pack {pack}"), all.clone())], "{what}");
    }
}

#[test]
fn a_file_that_goes_back_and_forth_between_packs_is_hashed() {
    let project = pushed("packed");
    for step in 0..3 {
        let mut content = project.read("data/large");
        content.splice(400_000 + 500_000 * step..400_010 + 500_000 * step, *b"edited at this very place");
        project.write("data/large", content).write(&format!("new-{step}"), noise(9, 300_000 * (step + 1)));
        let _ = project.run(&["add", &format!("new-{step}")]).success();
        let _ = project.run(&["push"]).success();
    }
    let document = good(project.run(&["verify", "--json"]));
    assert_eq!((&document["checked"]["packs"], &document["checked"]["files"]), (&json!(4), &json!(8)));
    // What is not in its first pack is missed as much.
    let document = project.run(&["inspect", "latest", "--packs", "--json"]).success().json();
    let last = document["packs"]["each"][3]["digest"].as_str().unwrap();
    fs::remove_file(blob(&project, last)).unwrap();
    assert_eq!(faults(&project), [(format!("missing: pack {last}"), json!(["data/large", "new-2"]))]);
}

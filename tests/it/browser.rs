//! The page, in a real browser: opens bundles that are dropped, chosen or fetched, and shows what does not match.
//!
//! `tests/browser/inspect.mjs` drives the browser and reports what is on the page; all that is expected stands here.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use bundle_core::bundle::descriptor::{Descriptor, media_type};
use bundle_core::bundle::index::BundleIndex;
use bundle_core::bundle::manifest::{Manifest, annotation};
use bundle_core::bundle::open::open;
use bundle_core::bundle::tree::tree_digest;
use bundle_core::digest::Digest;
use bundle_core::file::{ByPath, File};
use bundle_core::plan::layout::Readers;
use bundle_core::plan::seal::{EmptyBlob, Origin, SealRequest, Sealed, seal};
use modelops_bundle_tests::{TestProject, WebServer, noise, text, tools};
use serde_json::{Value, json};
use tempfile::TempDir;

const HOSTILE_PATH: &str = "<img src=x onerror=owned=true>";
const HOSTILE_TEXT: &str = "<script>owned=true</script>\u{1b}[31m\u{202e}";

#[test]
fn files_that_are_dropped_are_shown_and_verified() {
    let Some(browser) = Browser::find() else { return };
    let server = WebServer::start(&[("/", page())]);
    let folder = TempDir::new().unwrap();
    let project = Project::write(folder.path());
    let python = python_bundle();

    let drop_all =
        json!({"drop": [python.join("manifest.json"), python.join("config.json")], "on": "#open-drop"});
    let results = browser.run(&json!([
        {"name": "dropped", "address": server.address("/"), "steps": [drop_all]},
        {"name": "chosen", "address": server.address("/"), "steps": [
            {"choose": [python.join("config.json"), python.join("manifest.json")], "input": "#open-files"}]},
        {"name": "one after the other", "address": server.address("/"), "steps": [
            {"drop": [python.join("manifest.json")], "on": "#open-drop"},
            {"drop": [python.join("config.json")], "on": "#open-drop"}]},
        {"name": "made by a script", "address": server.address("/"), "steps": [{"on": "#open-drop", "drop_made": {
            "m.json": fs::read_to_string(python.join("manifest.json")).unwrap(),
            "i.json": fs::read_to_string(python.join("config.json")).unwrap()}}]},
        {"name": "alone", "address": server.address("/"), "steps": [
            {"drop": [project.manifest], "on": "#open-drop"}]},
        {"name": "with its files", "address": server.address("/"), "steps": [
            {"drop": [project.manifest], "on": "#open-drop"},
            {"drop": [project.folder], "on": "#check-drop"},
            {"click": "#files th.size button"}, {"click": "#files th.size button"}]},
        {"name": "layout", "address": server.address("/"), "steps": [
            {"choose": [project.layout], "input": "#open-folder"}]},
        {"name": "layout, the other bundle", "address": server.address("/"), "steps": [
            {"drop": [project.layout], "on": "#open-drop"}, {"select": "other", "in": "#choose-bundle"}]},
    ]));

    for result in &results[..4] {
        // Its documents match, and none of its files was seen.
        assert_eq!(result["verdict_class"], "unseen", "{result:#}");
        assert_eq!(
            result["verdict"],
            "Not checked: the bytes of 5 files. Verified: index and layers. \
             No digest was asked for: compare the one below with the one that you expect."
        );
        assert_eq!(result["focused"], "summary-title");
        assert_eq!(result["facts"]["Layout"], "files: each file is a blob of its own");
        assert_eq!(
            result["facts"]["Digest"],
            Digest::of(&fs::read(python.join("manifest.json")).unwrap()).to_string()
        );
        assert_eq!(result["facts"]["Files"], "5 files, 361 B");
        assert_eq!(result["facts"]["Created"], "2026-11-22T07:03:21.212798Z");
        assert_eq!(
            column(result, 0),
            ["README.md", "config/params.yaml", "data/contacts.bin", "data/demographics.csv", "src/model.py"]
        );
        assert_eq!(result["checks"]["Index"][0], "verified");
        assert_eq!(result["checks"]["Layers"][0], "verified");
        // The Python tool declares no tree digest.
        assert_eq!(result["checks"]["Tree digest"][0], "nothing to compare with");
        is_clean(result);
    }

    let alone = &results[4];
    assert_eq!(alone["verdict_class"], "unseen", "{alone:#}");
    assert_eq!(alone["facts"]["Tree"], project.tree.to_string());
    assert_eq!(alone["checks"]["Tree digest"], json!(["verified", project.tree.to_string()]));
    assert_eq!(alone["facts"]["Version"], "1.2.0");
    is_clean(alone);

    let checked = &results[5];
    assert_eq!(checked["sorted"], json!(["Size descending"]));
    assert_eq!(checked["verdict_class"], "mismatch", "one wrong file counts for the whole");
    assert_eq!(
        checked["files"]
            .as_array()
            .unwrap()
            .iter()
            .map(|row| (&row[0], &row[2], &row[5]))
            .collect::<Vec<_>>(),
        [
            (&json!("data/table.csv"), &json!(""), &json!("does not match")),
            (&json!("run.sh"), &json!("executable"), &json!("verified")),
            (&json!("nil"), &json!(""), &json!("verified")),
        ],
        "{checked:#}"
    );
    assert_eq!(checked["faults"], json!(["data/table.csv does not match the index"]));
    assert_eq!(
        checked["checked"],
        "4 files checked, 2 verified, 1 not matching, 1 not part of this bundle. \
         Of the bundle's files 2 verified, 1 not matching, 0 not checked."
    );

    let layout = &results[6];
    assert_eq!(layout["verdict_class"], "verified", "{layout:#}");
    assert_eq!(layout["checks"]["Manifest"][0], "verified", "the layout names it by its digest");
    assert_eq!(layout["choices"], json!(["latest", "other"]));
    assert_eq!(column(layout, 5), ["verified"; 3], "the layout holds the blobs of all files");
    let other = &results[7];
    assert_eq!(column(other, 0), ["only.txt"], "{other:#}");
    assert_eq!(other["verdict_class"], "verified");
}

#[test]
fn bundles_on_the_same_server_are_fetched_and_verified() {
    let Some(browser) = Browser::find() else { return };
    let folder = TempDir::new().unwrap();
    let project = Project::write(folder.path());
    let server =
        WebServer::start(&[("/", page()), ("/python/", &python_bundle()), ("/oci/", &project.layout)]);
    let elsewhere = WebServer::start(&[("/python/", &python_bundle())]);
    server.redirect("/moved", &elsewhere.address("/python/manifest.json"));

    let blob = |digest: &str| format!("/oci/blobs/{}", digest.replace(':', "/"));
    let (manifest, pinned) = (blob(&project.digest), &project.digest);
    let at = |query: &str| server.address(&format!("/?{query}"));
    let foreign = elsewhere.address("/python/manifest.json");
    let results = browser.run(&json!([
        {"name": "fetched", "address": at("manifest=/python/manifest.json&index=/python/config.json")},
        {"name": "pinned", "address": at(&format!("manifest={manifest}&blobs=/oci/blobs&digest={pinned}")),
            "steps": [{"click": "#check-server"}]},
        {"name": "another one", "address": at(&format!("manifest=/python/manifest.json&index=/python/config.json&digest={pinned}"))},
        {"name": "typed", "address": server.address("/"), "steps": [
            {"click": "#by-address summary"},
            {"fill": "python/manifest.json", "into": "#address-manifest"},
            {"fill": "python/config.json", "into": "#address-index"},
            {"press": "Enter"}]},
        {"name": "foreign manifest", "address": at(&format!("manifest={foreign}&index=/python/config.json"))},
        {"name": "foreign index", "address": at(&format!("manifest=/python/manifest.json&index={foreign}"))},
        {"name": "no address", "address": at("manifest=javascript:owned=true")},
        {"name": "sent on", "address": at("manifest=/moved&index=/python/config.json")},
        {"name": "lacking", "address": at("manifest=/python/nothing.json")},
    ]));

    for fetched in [&results[0], &results[3]] {
        assert_eq!(fetched["verdict_class"], "unseen", "{fetched:#}");
        assert_eq!(column(fetched, 0).len(), 5);
        is_clean(fetched);
    }
    let pinned = &results[1];
    assert_eq!(pinned["checks"]["Manifest"], json!(["verified", project.digest]));
    assert_eq!(pinned["verdict"], "Verified: manifest, index, tree digest, layers, and 3 files.");
    assert_eq!(pinned["verdict_class"], "verified");
    assert_eq!(column(pinned, 5), ["verified"; 3], "{pinned:#}");
    is_clean(pinned);

    let another = &results[2];
    assert_eq!(another["verdict_class"], "mismatch");
    assert_eq!(another["checks"]["Manifest"][0], "does not match");
    assert_eq!(another["checks"]["Index"][0], "verified");

    for (result, why) in
        results[4..].iter().zip(["is refused", "is refused", "is refused", "Cannot fetch", "404"])
    {
        let error = result["error"].as_str().unwrap();
        assert!(error.contains(why), "{result:#}");
        assert_eq!((&result["verdict"], &result["owned"]), (&json!(""), &json!(false)), "{result:#}");
    }
    assert_eq!(elsewhere.seen(), Vec::<String>::new(), "nothing goes to another server");
}

#[test]
fn what_was_tampered_with_is_never_called_verified() {
    let Some(browser) = Browser::find() else { return };
    let server = WebServer::start(&[("/", page())]);
    let folder = TempDir::new().unwrap();
    let (manifest, index) = ("manifest.json", "config.json");
    let read = |name: &str| fs::read_to_string(python_bundle().join(name)).unwrap();
    let case = |name: &str, manifest_text: String, index_text: String| {
        let case = folder.path().join(name);
        fs::create_dir(&case).unwrap();
        fs::write(case.join(manifest), manifest_text).unwrap();
        fs::write(case.join(index), index_text).unwrap();
        json!({"name": name, "address": server.address("/"), "steps": [
            {"drop": [case.join(manifest), case.join(index)], "on": "#open-drop"}]})
    };
    let good =
        json!({"drop": [python_bundle().join(manifest), python_bundle().join(index)], "on": "#open-drop"});
    let mut after_a_good_one = case("after a good one", "<html>not found</html>".to_owned(), read(index));
    after_a_good_one["steps"].as_array_mut().unwrap().insert(0, good);
    let layer = Digest::of(b"another file");
    let old_layer = "sha256:c7bf06e43fd6b1fa1a49982a18afa5c871885126d8623ab2cdfb12b2d134be98";
    let results = browser.run(&json!([
        case("another size", read(manifest), read(index).replace("\"size\": 254", "\"size\": 255")),
        case("white space", read(manifest), format!("{} ", read(index))),
        case("a layer less", read(manifest).replace(old_layer, &layer.to_string()), read(index)),
        case(
            "another tree",
            read(manifest).replace(
                "\"annotations\": {}}",
                &format!("\"annotations\": {{\"{}\": \"{layer}\"}}}}", annotation::TREE)
            ),
            read(index)
        ),
        case("escaping", read(manifest), read(index).replace("src/model.py", "../model.py")),
        case("cut off", read(manifest)[..300].to_owned(), read(index)),
        case("a list", "{\"schemaVersion\":2,\"config\":[]}".to_owned(), read(index)),
        after_a_good_one,
    ]));

    let failed = |result: &Value| {
        assert_eq!(result["verdict_class"], "mismatch", "{result:#}");
        assert!(result["verdict"].as_str().unwrap().starts_with("Does not match: "), "{result:#}");
        let checks = result["checks"].as_object().unwrap().clone().into_iter();
        checks.filter(|(_, check)| check[0] == "does not match").map(|(name, _)| name).collect::<Vec<_>>()
    };
    assert_eq!(failed(&results[0]), ["Index", "Layers"]);
    assert_eq!(failed(&results[1]), ["Index"]);
    assert_eq!(failed(&results[2]), ["Layers"]);
    assert_eq!(failed(&results[3]), ["Tree digest"]);
    for (result, why) in results[4..].iter().zip([
        "the path `../model.py` cannot be in a bundle: a part of it is `..`",
        "the manifest cannot be read",
        "it is not a bundle but JSON of another kind",
        "the manifest cannot be read",
    ]) {
        let error = result["error"].as_str().unwrap();
        assert!(error.contains(why), "{result:#}");
        assert_eq!((&result["verdict"], &result["files"]), (&json!(""), &json!([])), "{result:#}");
    }
}

#[test]
fn text_of_a_bundle_stays_text() {
    let Some(browser) = Browser::find() else { return };
    let server = WebServer::start(&[("/", page())]);
    let folder = TempDir::new().unwrap();
    let files = tree(&[
        (HOSTILE_PATH, b"1".as_slice(), false),
        ("javascript:owned=true", b"2", false),
        ("data:text/html,<script>owned=true<", b"3", false),
        ("two  spaces\u{a0}and more", b"4", false),
    ]);
    let mut index = BundleIndex::of(&files);
    index.other.insert("layers".to_owned(), json!({HOSTILE_TEXT: [HOSTILE_TEXT]}));
    index.other.insert("roles".to_owned(), json!({HOSTILE_PATH: ["<a href='javascript:owned=true'>x</a>"]}));
    let mut entries = index.entries.clone().into_vec();
    entries[0].other.insert("layer".to_owned(), json!(HOSTILE_TEXT));
    index.entries = ByPath::new(entries).unwrap();
    let (mut manifest, index) = documents(&files, &index);
    for key in [annotation::CREATED, annotation::VERSION, annotation::TOOL, HOSTILE_TEXT] {
        manifest.annotations.insert(key.to_owned(), HOSTILE_TEXT.to_owned());
    }
    fs::write(folder.path().join("m.json"), manifest.to_json()).unwrap();
    fs::write(folder.path().join("i.json"), index).unwrap();
    fs::write(folder.path().join("bad.json"), format!("{{\"{HOSTILE_PATH}\":")).unwrap();
    fs::write(folder.path().join("manifest <img src=x onerror=owned=true>.json"), HOSTILE_TEXT).unwrap();

    let open =
        json!({"drop": [folder.path().join("m.json"), folder.path().join("i.json")], "on": "#open-drop"});
    let results = browser.run(&json!([
        {"name": "documents", "address": server.address("/"), "steps": [open]},
        {"name": "address", "address": server.address(&format!("/?manifest={HOSTILE_PATH}&index={HOSTILE_TEXT}"))},
        {"name": "broken", "address": server.address("/"), "steps": [
            {"drop": [folder.path().join("manifest <img src=x onerror=owned=true>.json")], "on": "#open-drop"}]},
        {"name": "file name", "address": server.address("/"), "steps": [
            open, {"drop_made": {HOSTILE_PATH: "other bytes"}, "on": "#check-drop"}]},
    ]));

    let seen = "<script>owned=true</script>U+001B[31mU+202E";
    let shown = &results[0];
    assert_eq!(
        column(shown, 0),
        [
            HOSTILE_PATH,
            "data:text/html,<script>owned=true<",
            "javascript:owned=true",
            "two  spacesU+00A0and more"
        ],
        "{shown:#}"
    );
    assert_eq!(shown["verdict_class"], "unseen");
    assert_eq!(shown["files"][0][3], seen);
    for fact in ["Created", "Version", "Tool", seen] {
        assert_eq!(shown["facts"][fact], seen, "{fact}");
    }
    let groups = shown["groups"].as_str().unwrap();
    assert!(groups.contains(seen) && groups.contains("<a href='javascript:owned=true'>x</a>"), "{groups}");
    assert_eq!(results[3]["faults"], json!([format!("{HOSTILE_PATH} does not match the index")]));
    for result in &results {
        assert_eq!(result["strangers"], json!([]), "{result:#}");
        assert_eq!((&result["owned"], &result["dialogs"]), (&json!(false), &json!([])), "{result:#}");
        assert_eq!(result["refuses_markup"], true, "the page's policy stands behind that");
    }
}

#[test]
fn a_hundred_thousand_files_leave_the_page_responsive() {
    const FILES: usize = 100_000;
    let Some(browser) = Browser::find() else { return };
    let server = WebServer::start(&[("/", page())]);
    let folder = TempDir::new().unwrap();
    let contents: Vec<_> = (0..50).map(|n| format!("content {n:02}").into_bytes()).collect();
    let paths: Vec<_> = (0..FILES).map(|n| format!("data/{:03}/file-{n:06}.csv", n % 1000)).collect();
    let files: Vec<_> = paths
        .iter()
        .enumerate()
        .map(|(n, path)| (path.as_str(), contents[n % 50].as_slice(), false))
        .collect();
    let files = tree(&files);
    let (manifest, index) = documents(&files, &BundleIndex::of(&files));
    fs::write(folder.path().join("manifest.json"), manifest.to_json()).unwrap();
    fs::write(folder.path().join("index.json"), index).unwrap();

    let results = browser.run(&json!([{"name": "many", "address": server.address("/"), "steps": [
        {"drop": [folder.path()], "on": "#open-drop"},
        {"click": "#files th.digest button"}, {"click": "#files th.path button"}, {"click": "#page-last"}, {"click": "#page-previous"},
    ]}, {"name": "filtered", "address": server.address("/"), "steps": [
        {"drop": [folder.path()], "on": "#open-drop"},
        {"fill": "FILE-0123", "into": "#filter"},
    ]}]));

    let many = &results[0];
    assert_eq!(many["verdict_class"], "unseen", "{}", many["error"]);
    assert_eq!(many["place"], "99,601 to 99,800 of 100,000");
    assert_eq!(column(many, 0).len(), 200);
    let longest = many["longest_task"].as_f64().unwrap();
    assert!(longest < 1000.0, "the page stood still for {longest} ms");
    assert_eq!(results[1]["place"], "1 to 100 of 100");
    assert_eq!(column(&results[1], 0)[0], "data/300/file-012300.csv");
}

#[test]
fn a_packed_bundle_is_verified_through_its_packs() {
    let Some(browser) = Browser::find() else { return };
    let packed = PackedLayout::push();
    let server = WebServer::start(&[("/", page()), ("/oci/", &packed.layout)]);
    let at = |query: &str| server.address(&format!("/?{query}"));
    let query = format!("manifest=/oci/{}&digest={}", packed.blob(packed.digest), packed.digest);
    let packs = packed.packs.map(|pack| packed.path(pack));
    let archive = packed.project.home().join("bundle.tar");
    let _ = packed.project.run(&["export", archive.to_str().unwrap()]).success();
    let results = browser.run(&json!([
        {"name": "dropped", "address": server.address("/"), "steps": [
            {"drop": [packed.layout], "on": "#open-drop"}]},
        {"name": "fetched", "address": at(&format!("{query}&blobs=/oci/blobs")), "steps": [
            {"click": "#check-server"}]},
        {"name": "pack by pack", "address": at(&query), "steps": [
            {"choose": [packs[0]], "input": "#check-files"}, {"choose": [packs[1]], "input": "#check-files"}]},
        {"name": "archive", "address": server.address("/"), "steps": [
            {"drop": [archive], "on": "#open-drop"}]},
        {"name": "one pack", "address": at(&query), "steps": [{"drop": [packs[0]], "on": "#check-drop"}]},
        {"name": "from the project", "address": at(&query), "steps": [
            {"drop": [packed.project.path()], "on": "#check-drop"}]},
        {"name": "on a telephone", "address": server.address("/"), "width": 400, "scheme": "dark", "steps": [
            {"drop": [packed.layout], "on": "#open-drop"}]},
    ]));

    for whole in &results[..4] {
        assert_eq!(whole["verdict_class"], "verified", "{whole:#}");
        assert_eq!(
            whole["verdict"], "Verified: manifest, index, tree digest, layers, 2 packs, and 5 files.",
            "{whole:#}"
        );
        assert_eq!(column(whole, 5), ["verified"; 5]);
        assert_eq!(
            whole["facts"]["Layout"],
            "packed: files are cut into chunks, and chunks gathered in packs"
        );
        assert!(whole["facts"]["Stored"].as_str().unwrap().starts_with("2 packs, "), "{whole:#}");
        let checked = whole["checked"].as_str().unwrap();
        assert!(checked.ends_with("Of its packs 2 verified, 0 not matching, 0 not checked."), "{checked}");
        assert_eq!(whole["faults"], json!([]));
        is_clean(whole);
    }
    assert!(
        results[1]["checked"].as_str().unwrap().starts_with("2 blobs checked, 2 verified, 0 not matching, "),
        "{:#}",
        results[1]
    );

    let one = &results[4];
    assert_eq!(one["verdict_class"], "unseen", "{one:#}");
    assert!(one["verdict"].as_str().unwrap().starts_with("Not checked: the bytes of 1 pack and 1 file. "));
    assert_eq!(status_of(one, "added.txt"), "not checked");

    // All files are right, and the packs that others will pull were not seen.
    let files = &results[5];
    assert_eq!(column(files, 5), ["verified"; 5], "{files:#}");
    assert_eq!(files["verdict_class"], "unseen", "{files:#}");

    let narrow = &results[6];
    assert_eq!(narrow["verdict_class"], "verified", "{narrow:#}");
    assert_eq!(narrow["is_too_wide"], false, "{narrow:#}");
}

#[test]
fn a_packed_bundle_with_a_fault_is_never_shown_as_verified() {
    let Some(browser) = Browser::find() else { return };
    let server = WebServer::start(&[("/", page())]);
    let case = |name: &str, harm: &dyn Fn(&PackedLayout)| {
        let packed = PackedLayout::push();
        harm(&packed);
        let steps = json!([{"drop": [packed.layout], "on": "#open-drop"}]);
        (packed, json!({"name": name, "address": server.address("/"), "steps": steps}))
    };
    let change = |packed: &PackedLayout, blob: Digest, change: &dyn Fn(&mut Vec<u8>)| {
        let mut bytes = fs::read(packed.path(blob)).unwrap();
        change(&mut bytes);
        fs::write(packed.path(blob), bytes).unwrap();
    };
    let flip = |bytes: &mut Vec<u8>| bytes[100] ^= 1;
    let space = |bytes: &mut Vec<u8>| {
        let text = BundleIndex::decompress(bytes).unwrap();
        *bytes = BundleIndex::compress(&format!("{text} ")).unwrap();
    };
    let damaged_archive = |name: &str, harm: &dyn Fn(&mut Vec<u8>)| {
        let packed = PackedLayout::push();
        let archive = packed.project.home().join("bundle.tar");
        let _ = packed.project.run(&["export", archive.to_str().unwrap()]).success();
        let mut bytes = fs::read(&archive).unwrap();
        harm(&mut bytes);
        fs::write(&archive, bytes).unwrap();
        let steps = json!([{"drop": [archive], "on": "#open-drop"}]);
        (packed, json!({"name": name, "address": server.address("/"), "steps": steps}))
    };
    let tamper = |bytes: &mut Vec<u8>| {
        let noise = noise(1, 300_000);
        let at = bytes.windows(64).position(|window| *window == noise[1000..1064]).unwrap();
        bytes[at] ^= 1;
    };
    let (_folders, scenarios): (Vec<_>, Vec<_>) = [
        case("tampered pack", &|packed| change(packed, packed.packs[0], &flip)),
        case("longer pack", &|packed| change(packed, packed.packs[0], &|bytes| bytes.push(0))),
        case("tampered index", &|packed| change(packed, packed.index, &space)),
        case("damaged index", &|packed| change(packed, packed.index, &flip)),
        case("tampered manifest", &|packed| change(packed, packed.digest, &|bytes| bytes.push(b' '))),
        case("missing pack", &|packed| fs::remove_file(packed.path(packed.packs[1])).unwrap()),
        damaged_archive("tampered archive", &tamper),
        damaged_archive("archive that ends early", &|bytes| bytes.truncate(bytes.len() / 2)),
        damaged_archive("archive with a damaged header", &|bytes| bytes[0] ^= 1),
    ]
    .into_iter()
    .unzip();
    let results = browser.run(&json!(scenarios));

    for tampered in &results[..2] {
        assert_eq!(tampered["verdict_class"], "mismatch", "{tampered:#}");
        let verdict = tampered["verdict"].as_str().unwrap();
        assert!(
            verdict.starts_with("Does not match: 1 pack. Not checked: the bytes of 3 files."),
            "{verdict}"
        );
        assert_eq!(tampered["faults"], json!(["pack 1 of 2 does not match the index"]));
        assert_eq!(status_of(tampered, "added.txt"), "verified");
        assert_eq!(status_of(tampered, "data/noise.bin"), "not checked");
    }
    let index = &results[2];
    assert_eq!(index["verdict_class"], "mismatch", "{index:#}");
    assert_eq!(index["checks"]["Index"][0], "does not match");
    let damaged = results[3]["error"].as_str().unwrap();
    assert!(damaged.contains("which the manifest names, and cannot be read"), "{:#}", results[3]);
    assert_eq!(results[3]["verdict"], "");
    assert_eq!(results[4]["verdict_class"], "mismatch", "{:#}", results[4]);
    assert_eq!(results[4]["checks"]["Manifest"][0], "does not match");
    let missing = &results[5];
    assert_eq!(missing["verdict_class"], "unseen", "{missing:#}");
    assert_eq!(missing["faults"], json!(["pack 2 of 2 is not here, so files in it are not checked"]));
    assert_eq!(status_of(missing, "added.txt"), "not checked");
    assert_eq!(status_of(missing, "data/noise.bin"), "verified");
    let archive = &results[6];
    assert_eq!(archive["verdict_class"], "mismatch", "{archive:#}");
    assert_eq!(archive["faults"], json!(["pack 1 of 2 does not match the index"]));
    for (result, why) in results[7..].iter().zip(["ends in the middle of", "is damaged at byte 0"]) {
        assert!(result["error"].as_str().unwrap().contains(why), "{result:#}");
        assert_eq!(result["verdict"], "");
    }
}

/// A project that was pushed twice in layout `packed`, so that its bundle has two packs.
struct PackedLayout {
    project: TestProject,
    layout: PathBuf,
    digest: Digest,
    index: Digest,
    packs: [Digest; 2],
}

impl PackedLayout {
    fn push() -> Self {
        let project = TestProject::packed_on_layout();
        project.write("data/noise.bin", noise(1, 300_000));
        project.write("data/text.txt", text(50_000));
        project.write("nil", "");
        let _ = project.push_everything();
        project.write("added.txt", text(3000));
        let report = project.push_everything();
        let layout = project.home().join("layout");
        let digest: Digest = report["digest"].as_str().unwrap().parse().unwrap();
        let manifest = fs::read(layout.join("blobs/sha256").join(digest.hex())).unwrap();
        let opened = open(&manifest, None, Some(digest)).unwrap();
        let index = opened.index.unwrap();
        let packs = index.packs.iter().map(|pack| pack.digest).collect::<Vec<_>>().try_into().unwrap();
        Self { project, layout, digest, index: opened.manifest.config.digest, packs }
    }

    fn blob(&self, digest: Digest) -> String {
        format!("blobs/sha256/{}", digest.hex())
    }

    fn path(&self, digest: Digest) -> PathBuf {
        self.layout.join(self.blob(digest))
    }
}

/// What the page says of the bytes of one file.
fn status_of<'a>(result: &'a Value, path: &str) -> &'a str {
    let at = column(result, 0).iter().position(|shown| *shown == path);
    column(result, 5)[at.unwrap_or_else(|| panic!("no {path} in {result:#}"))]
}

/// What `tsc` is told: to believe no type of the page's comments, and to write nothing.
const TYPE_CHECK: [&str; 13] = [
    "--noEmit",
    "--allowJs",
    "--checkJs",
    "--strict",
    "--skipLibCheck",
    "--target",
    "es2022",
    "--module",
    "esnext",
    "--moduleResolution",
    "bundler",
    "--lib",
    "es2022,dom,dom.iterable,dom.asynciterable",
];

#[test]
fn the_types_in_the_comments_of_the_page_hold() {
    let (Some(node), Some(modules)) = (tools::require(&tools::NODE), tools::require(&tools::NODE_MODULES))
    else {
        return;
    };
    let mut tsc = Command::new(node);
    tsc.arg(modules.join("typescript/bin/tsc")).args(TYPE_CHECK).args(["page.js", "worker.js"]);
    let output = tsc.current_dir(page()).stdin(Stdio::null()).output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&said));
}

/// The page, built once for all tests.
fn page() -> &'static Path {
    static PAGE: OnceLock<PathBuf> = OnceLock::new();
    PAGE.get_or_init(|| {
        // A test runs as <target>/<profile>/deps/it-….
        let test = std::env::current_exe().unwrap();
        let target = test.ancestors().nth(3).unwrap();
        modelops_bundle_web_build::build_page(target)
            .unwrap_or_else(|error| panic!("cannot build the page: {error}"))
    })
}

/// What is needed to drive a browser.
struct Browser {
    node: PathBuf,
    modules: PathBuf,
    chromium: PathBuf,
}

impl Browser {
    fn find() -> Option<Self> {
        Some(Self {
            node: tools::require(&tools::NODE)?,
            modules: tools::require(&tools::NODE_MODULES)?,
            chromium: tools::require(&tools::CHROMIUM)?,
        })
    }

    /// Carries out scenarios, and returns what the page shows at the end of each.
    fn run(&self, scenarios: &Value) -> Vec<Value> {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("browser/inspect.mjs");
        let mut node = Command::new(&self.node)
            .arg(script)
            .args([&self.modules, &self.chromium])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        node.stdin.take().unwrap().write_all(scenarios.to_string().as_bytes()).unwrap();
        let output = node.wait_with_output().unwrap();
        assert!(output.status.success(), "the browser cannot be driven: {}", output.status);
        let results: Vec<Value> = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(results.len(), scenarios.as_array().unwrap().len());
        results
    }
}

/// Nothing but the page's own server was asked, and nothing was complained of.
#[track_caller]
fn is_clean(result: &Value) {
    let server = result["requests"][0].as_str().unwrap().split("/?").next().unwrap().trim_end_matches('/');
    for request in result["requests"].as_array().unwrap() {
        assert!(request.as_str().unwrap().starts_with(server), "{request}");
    }
    assert_eq!(result["complaints"], json!([]), "{result:#}");
    assert_eq!(result["error"], "");
    assert_eq!(result["strangers"], json!([]));
}

/// One column of the files that the page shows.
fn column(result: &Value, at: usize) -> Vec<&str> {
    result["files"].as_array().unwrap().iter().map(|row| row[at].as_str().unwrap()).collect()
}

/// What the Python tool really wrote.
fn python_bundle() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/python-bundle")
}

/// A project's folder, one file of which was edited and one added since it was pushed, and the layout that it was pushed to.
struct Project {
    folder: PathBuf,
    layout: PathBuf,
    manifest: PathBuf,
    digest: String,
    tree: Digest,
}

impl Project {
    fn write(root: &Path) -> Self {
        let contents = [
            ("data/table.csv", b"a,b\n1,2\n".as_slice(), false),
            ("nil", b"", false),
            ("run.sh", b"#!", true),
        ];
        let layout = root.join("layout");
        let sealed = write_bundle(&layout, &contents);
        let other = write_bundle(
            &layout,
            &[("only.txt", b"only")].map(|(path, content)| (path, content.as_slice(), false)),
        );
        let entry = |sealed: &Sealed, tag: &str| {
            json!({"mediaType": media_type::MANIFEST, "digest": sealed.digest.to_string(), "size": sealed.manifest.len(),
                   "annotations": {"org.opencontainers.image.ref.name": tag}})
        };
        let index =
            json!({"schemaVersion": 2, "manifests": [entry(&sealed, "latest"), entry(&other, "other")]});
        fs::write(layout.join("index.json"), index.to_string()).unwrap();
        fs::write(layout.join("oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#).unwrap();

        let folder = root.join("project");
        for (path, content, _) in contents {
            let path = folder.join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, content).unwrap();
        }
        fs::write(folder.join("data/table.csv"), "a,b\n1,3\n").unwrap();
        fs::write(folder.join("new.txt"), "new").unwrap();
        let manifest = root.join("manifest.json");
        fs::write(&manifest, &sealed.manifest).unwrap();
        Self { folder, layout, manifest, digest: sealed.digest.to_string(), tree: sealed.tree }
    }
}

/// Writes the blobs of a bundle into an OCI image layout.
fn write_bundle(layout: &Path, contents: &[(&str, &[u8], bool)]) -> Sealed {
    let files = tree(contents);
    let sealed = seal(&SealRequest {
        files: &files,
        replaces: None,
        origin: Origin {
            parent: None,
            replaces: None,
            author: None,
            message: None,
            created: "2026-11-22T07:03:21Z",
            version: Some("1.2.0"),
            tool: "browser-test/1",
            readers: Readers::Ours,
        },
        empty_blob: EmptyBlob::Taken,
    })
    .unwrap();
    let blobs = layout.join("blobs/sha256");
    fs::create_dir_all(&blobs).unwrap();
    let documents = [sealed.manifest.as_bytes(), sealed.index.as_bytes()];
    for blob in contents.iter().map(|(_, content, _)| *content).chain(documents) {
        fs::write(blobs.join(Digest::of(blob).hex()), blob).unwrap();
    }
    sealed
}

fn tree(files: &[(&str, &[u8], bool)]) -> ByPath<File> {
    let file = |(path, content, executable): &(&str, &[u8], bool)| File {
        path: path.parse().unwrap(),
        digest: Digest::of(content),
        size: content.len() as u64,
        executable: Some(*executable),
    };
    ByPath::new(files.iter().map(file).collect()).unwrap()
}

/// A manifest and the bytes of its index, where `seal` would refuse so many files or such texts.
fn documents(files: &ByPath<File>, index: &BundleIndex) -> (Manifest, String) {
    let index = index.to_json();
    let mut layers: Vec<_> = files.iter().map(|file| (file.digest, file.size)).collect();
    layers.sort_unstable();
    layers.dedup();
    let manifest = Manifest {
        artifact_type: Some(media_type::BUNDLE.to_owned()),
        config: Descriptor::of(media_type::INDEX_V1, index.as_bytes()),
        layers: layers
            .into_iter()
            .map(|(digest, size)| Descriptor::new(media_type::FILE_LAYER, digest, size))
            .collect(),
        annotations: [(annotation::TREE.to_owned(), tree_digest(files).to_string())].into(),
    };
    (manifest, index)
}

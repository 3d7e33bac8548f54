//! Layout `packed`, through the program: what arrives, what is sent again and what is not, and how much is asked.

use std::fs;
use std::io::Write as _;
use std::sync::atomic::{AtomicBool, Ordering};

use bundle_core::bundle::layout::Layout;
use bundle_core::pack::chunk::{Chunker, Rest};
use modelops_bundle_tests::{Fault, Matching, Proxy, Registry, StoredBundle, TestProject, noise, text};
use serde_json::{Value, json};

const MIB: usize = 1 << 20;

fn sent(report: &Value) -> (u64, u64) {
    let uploaded = |field: &str| report["uploaded"][field].as_u64().unwrap();
    (uploaded("blobs"), uploaded("bytes"))
}

/// Files of every size at which something begins or ends.
fn write_awkward_files(project: &TestProject) {
    project.write("empty", "").write("also/empty", "").write("one", "1");
    for (seed, size) in [16 << 10, 64 << 10, 256 << 10, 4 * MIB].into_iter().enumerate() {
        for (at, size) in [size - 1, size, size + 1].into_iter().enumerate() {
            project.write(&format!("sizes/{size}"), noise((10 * seed + 2 * at) as u64, size));
        }
    }
    let large = noise(101, 9 * MIB);
    project.write("prefix", &large[..300_000]).write("noise", large).write("report.txt", text(5 * MIB));
    project.write_executable("run.sh", "#!/bin/sh\n").write("copies/1", "same").write("copies/2", "same");
    project.write("copies/large", noise(10, 64 << 10)).write_executable("copies/runs", noise(10, 64 << 10));
    project.write("ünï/naïve 文件.txt", "x").write("ünï/🧬", "y");
}

#[test]
fn every_kind_of_file_goes_there_and_comes_back() {
    let Some(registry) = Registry::get() else { return };
    let on_registry = TestProject::packed_on_registry(registry.host(), "team/p");
    let on_layout = TestProject::packed_on_layout();
    let layout = format!("oci:{}:latest", on_layout.home().join("layout").display());
    for (project, remote) in
        [(on_registry, format!("{}/team/p:latest", registry.host())), (on_layout, layout)]
    {
        let second = TestProject::new();
        project.write("noise", noise(103, 70_000)).write("one", "0").write("gone", "g");
        let _ = project.push_everything();
        let _ = second.run(&["pull", &remote]).success();
        second.tree().assert_same(&project.tree());
        // Over an older version, then over edits, then into an empty folder.
        write_awkward_files(&project);
        project.remove("gone");
        let _ = project.push_everything();
        let _ = second.run(&["pull"]).success();
        second.tree().assert_same(&project.tree());
        second.write("noise", "mine").write("one", "mine").remove("report.txt");
        let before = second.tree();
        let _ = second.run(&["pull", "--safe"]).code(3);
        second.tree().assert_same(&before);
        let _ = second.run(&["pull"]).success();
        second.tree().assert_same(&before);
        let _ = second.run(&["pull", "--overwrite"]).success();
        second.tree().assert_same(&project.tree());
        let third = TestProject::new();
        let _ = third.run(&["pull", &remote]).success();
        third.tree().assert_same(&project.tree());
        assert!(!third.exists(".modelops-bundle/staging"));
    }
}

#[test]
fn a_bundle_may_have_no_content_at_all() {
    let project = TestProject::packed_on_layout();
    project.write("a", "1").write("empty", "");
    let _ = project.run(&["add", "a", "empty"]).success();
    let _ = project.run(&["push"]).success();
    project.remove("a");
    let report = project.run(&["push", "--json"]).success().json();
    assert_eq!(StoredBundle::of(&project, &report).index.packs, []);
    let second = project.pulled_again();
    assert_eq!((second.read_text("empty"), second.exists("a")), (String::new(), false));
    project.remove("empty");
    let _ = project.run(&["push"]).code(3);
    let _ = project.run(&["push", "--replace"]).success();
    assert!(!project.pulled_again().exists("empty"));
    project.write("a", "1");
    let _ = project.push_everything();
    project.pulled_again().tree().assert_same(&project.tree());
}

#[test]
fn the_same_tree_has_the_same_packs_from_anywhere() {
    let prepare = || {
        let project = TestProject::packed_on_layout();
        project.write("text", text(5 * MIB)).write("noise", noise(7, 5 * MIB));
        for number in 0..40 {
            project.write(&format!("small/{number}"), noise(number * 2, number as usize * 1000));
        }
        project
    };
    let push = |project: &TestProject| {
        let report = project.push_everything();
        let tree = report["tree"].clone();
        (report["index"].clone(), tree, StoredBundle::of(project, &report).packs())
    };
    let expected = push(&prepare());
    let warm = prepare();
    let _ = warm.run(&["add", "--quiet", "."]).success();
    let _ = warm.run(&["status"]).success();
    assert_eq!(push(&warm), expected);
    let half_warm = prepare();
    let _ = half_warm.run(&["add", "--quiet", "text", "small"]).success();
    let _ = half_warm.run(&["status"]).success();
    assert_eq!(push(&half_warm), expected);
}

#[test]
fn a_project_changes_its_layout_and_back() {
    let project = TestProject::packed_on_layout();
    project.write("a", noise(1, 100_000)).write("copy", noise(1, 100_000)).write("empty", "");
    let mut trees = Vec::new();
    for layout in ["files", "packed", "files", "packed"] {
        let _ = project.run(&["init", "--layout", layout]).success();
        let report = project.push_everything();
        assert_eq!(report["changed"], true, "{layout}");
        assert_eq!(StoredBundle::of(&project, &report).index.layout == Layout::Packed, layout == "packed");
        project.pulled_again().tree().assert_same(&project.tree());
        let again = project.run(&["push", "--json"]).success().json();
        assert_eq!((&again["changed"], sent(&again)), (&json!(false), (0, 0)));
        assert_eq!(again["digest"], report["digest"]);
        trees.push(report["tree"].clone());
    }
    trees.dedup();
    assert_eq!(trees.len(), 1, "{trees:?}");
}

#[test]
fn a_list_of_bundles_counts_the_files_of_packed_ones_too() {
    let project = TestProject::packed_on_layout();
    // The index of so many files does not travel inside the manifest.
    for number in 0..3000 {
        project.write(&format!("many/{number}"), number.to_string());
    }
    project.write("a", "some text");
    let _ = project.run(&["add", "a"]).success();
    let _ = project.run(&["push", "--tag", "few"]).success();
    let _ = project.run(&["add", "many"]).success();
    let _ = project.run(&["push", "--tag", "many"]).success();
    let listed = project.run(&["manifest", "--json"]).success().json();
    let counted = |tag: &str| {
        let manifests = listed["manifests"].as_array().unwrap();
        let manifest = manifests.iter().find(|manifest| manifest["tags"][0] == tag).unwrap();
        (manifest["files"].as_u64(), manifest["size"].as_u64())
    };
    assert_eq!(counted("few"), (Some(1), Some(9)));
    assert_eq!(counted("many"), (Some(3001), Some(9 + 10 + 180 + 2700 + 8000)));
}

#[test]
fn auto_goes_by_the_number_of_files() {
    let project = TestProject::on_layout();
    for number in 0..100 {
        project.write(&format!("f/{number}"), number.to_string());
    }
    let push = |expected| {
        let _ = project.run(&["add", "--quiet", "f"]).success();
        let report = project.run(&["push", "--json"]).success().json();
        assert_eq!(StoredBundle::of(&project, &report).index.layout, expected);
        project.pulled_again().tree().filtered(|path| path != ".gitignore")
    };
    let hundred = push(Layout::Files);
    project.write("f/more", "m");
    assert_eq!(push(Layout::Packed).len(), 101);
    project.remove("f/more");
    push(Layout::Files).assert_same(&hundred);
}

#[test]
fn an_insertion_moves_little_in_either_direction() {
    let project = TestProject::packed_on_layout();
    let mut content = noise(1, 9 * MIB);
    project.write("large", &content).write("other", "x");
    let _ = project.push_everything();
    let second = project.pulled_again();
    content.splice(4_000_000..4_000_000, [7; 100]);
    project.write("large", &content);
    let report = project.push_everything();
    let (blobs, bytes) = sent(&report);
    assert!(blobs == 1 && bytes < MIB as u64, "{report}");
    let pulled = second.run(&["pull", "--json"]).success().json();
    let downloaded = pulled["downloaded"]["bytes"].as_u64().unwrap();
    assert!(downloaded < MIB as u64, "{pulled}");
    second.tree().assert_same(&project.tree());
}

#[test]
fn a_large_file_comes_whole_from_several_packs_and_from_what_is_here() {
    let Some(registry) = Registry::get() else { return };
    for layout in ["files", "packed"] {
        let project = TestProject::on_registry(registry.host(), layout);
        let _ = project.run(&["init", "--layout", layout]).success();
        // Two packs, and a second file that shares chunks of both.
        let mut content = noise(1, 80 * MIB + 4321);
        project.write("large", &content).write("part of it", &content[50 * MIB + 1..70 * MIB]);
        let _ = project.push_everything();
        let colleague = TestProject::new();
        let _ = colleague.run(&["pull", &format!("{}/{layout}:latest", registry.host())]).success();
        colleague.tree().assert_same(&project.tree());
        for at in [72 * MIB, 60 * MIB, 1] {
            content.splice(at..at, [7; 100]);
        }
        project.write("large", &content);
        let _ = project.push_everything();
        let _ = colleague.run(&["pull"]).success();
        colleague.tree().assert_same(&project.tree());
    }
}

#[test]
fn content_that_is_there_is_not_sent_again() {
    let project = TestProject::packed_on_layout();
    project.write("a", noise(1, 100_000)).write("b", noise(3, 300_000)).write("c", "small");
    let _ = project.push_everything();
    let expect_nothing_sent = |what: &str| {
        let report = project.push_everything();
        assert_eq!((&report["changed"], sent(&report)), (&json!(true), (0, 0)), "{what}");
        project.pulled_again().tree().assert_same(&project.tree());
    };
    let a = project.read("a");
    project.remove("a").write("moved/a", &a);
    expect_nothing_sent("moved");
    project.write("copy", &a);
    expect_nothing_sent("copied");
    project.write_executable("copy", &a);
    expect_nothing_sent("made executable");
    project.remove("copy").remove("moved");
    expect_nothing_sent("deleted");
    project.write("back", &a);
    expect_nothing_sent("came back while its pack was there");
    project.write("a part", &project.read("b")[..0]);
    expect_nothing_sent("empty");
}

#[test]
fn what_is_put_together_from_chunks_that_are_here_is_not_counted_as_fetched() {
    let project = TestProject::packed_on_layout();
    let content = noise(1, 2 * MIB);
    project.write("large", &content);
    let _ = project.push_everything();
    let colleague = project.pulled_again();
    // The first chunks of it, whole: the new version holds nothing that the old one does not.
    let end = Chunker::new().lengths(&content, Rest::Whole).take(5).sum();
    project.write("large", &content[..end]);
    let _ = project.push_everything();
    let pulled = colleague.run(&["pull", "--json"]).success().json();
    assert_eq!((&pulled["downloaded"]["files"], &pulled["downloaded"]["blobs"]), (&json!(0), &json!(0)));
    colleague.tree().assert_same(&project.tree());
}

#[test]
fn a_project_without_a_memory_finds_what_is_there() {
    let project = TestProject::packed_on_layout();
    let content = noise(1, 2 * MIB);
    project.write("large", &content).write("kept", noise(3, 50_000));
    let _ = project.push_everything();
    project.remove(".modelops-bundle/cache").write("large", [&content[..], b"more"].concat());
    let (blobs, bytes) = sent(&project.push_everything());
    assert!(blobs == 1 && bytes < 600_000, "{bytes} bytes were sent");
    // The same folder elsewhere, that never saw this remote.
    let fresh = TestProject::packed_on_layout();
    let layout = format!("oci:{}", project.home().join("layout").display());
    let _ = fresh.run(&["init", "--ref", &layout]).success();
    fresh.write("large", &content).write("kept", noise(3, 50_000));
    let _ = fresh.run(&["add", "."]).success();
    let (blobs, bytes) = sent(&fresh.run(&["push", "--replace", "--json"]).success().json());
    assert!(blobs <= 1 && bytes < 600_000, "{bytes} bytes were sent");
    project.pulled_again().tree().assert_same(&fresh.tree());
}

#[test]
fn a_pack_that_is_mostly_waste_is_written_anew() {
    let project = TestProject::packed_on_layout();
    project.write("a", noise(1, 600_000)).write("b", noise(3, 400_000)).write("c", noise(5, 100_000));
    let before = StoredBundle::of(&project, &project.push_everything()).packs();
    project.remove("a");
    let report = project.push_everything();
    let (blobs, bytes) = sent(&report);
    assert!(blobs == 1 && bytes < 520_000, "{report}");
    let after = StoredBundle::of(&project, &report).packs();
    assert!(after.len() == 1 && after != before);
    project.pulled_again().tree().assert_same(&project.tree());
}

#[test]
fn many_small_pushes_end_in_few_packs() {
    let project = TestProject::packed_on_layout();
    let mut counts = Vec::new();
    for number in 0..70 {
        project.write(&format!("f{number}"), noise(number * 2, 1500));
        counts.push(StoredBundle::of(&project, &project.push_everything()).packs().len());
    }
    assert!(counts.iter().all(|count| *count <= 65), "{counts:?}");
    assert!(counts.iter().any(|count| *count > 60) && counts[69] < 10, "{counts:?}");
    project.pulled_again().tree().assert_same(&project.tree());
}

#[test]
fn a_push_costs_what_changed() {
    let Some(registry) = Registry::get() else { return };
    let proxy = Proxy::start(registry.host());
    let project = TestProject::packed_on_registry(proxy.host(), "p");
    for number in 0..200 {
        project.write(&format!("d/{number}"), noise(number * 2, 3000));
    }
    let _ = project.push_everything();
    proxy.take_seen();
    let report = project.run(&["push", "--json"]).success().json();
    let seen = proxy.take_seen();
    assert_eq!(
        (report["changed"].as_bool(), report["requests"].as_u64()),
        (Some(false), Some(seen.len() as u64))
    );
    assert!(seen.len() <= 3 && seen.iter().all(|one| one.method != "PUT"), "{seen:?}");

    project.write("d/7", "edited");
    let report = project.run(&["push", "--json"]).success().json();
    let seen = proxy.take_seen();
    assert!(seen.len() <= 12, "{seen:?}");
    let manifest = registry.client().manifest("p", "latest").unwrap();
    let index = manifest.json()["config"]["size"].as_u64().unwrap();
    let bytes: u64 = seen.iter().map(|one| one.sent).sum();
    // The index itself, and twice inside the manifest, in base64: by digest and by tag.
    assert!(bytes < 64 * 1024 + index + 2 * index * 4 / 3, "{bytes} bytes with an index of {index}");
    assert_eq!(report["uploaded"]["blobs"], 1);
}

#[test]
fn a_pack_that_cannot_be_sent_while_it_grows_is_sent_once_it_is_whole() {
    let Some(registry) = Registry::get() else { return };
    let faults = [
        None,
        Some(("PATCH", Fault::Answer(405, Vec::new()))),
        Some(("PATCH", Fault::CutRequest(1_000_000))),
        Some(("PATCH", Fault::LoseAnswer)),
        // The one that ends the stream.
        Some(("PUT", Fault::LoseAnswer)),
    ];
    for (number, fault) in faults.into_iter().enumerate() {
        let proxy = Proxy::start(registry.host());
        let repository = format!("p{number}");
        let project = TestProject::packed_on_registry(proxy.host(), &repository);
        // Read in many steps, so that it is sent in more than one, too.
        for file in 0..40 {
            project.write(&format!("{file}"), noise(file, 500_000));
        }
        let puts = if let Some((method, fault)) = fault {
            proxy.inject(Matching::new(method, "/blobs/uploads/"), fault);
            2 + u64::from(method == "PATCH")
        } else {
            2
        };
        let report = project.push_everything();
        assert_eq!(proxy.count("PATCH", "/blobs/uploads/"), 1);
        // The stream's end or the pack as a whole, and the index.
        assert!(proxy.count("PUT", "/blobs/uploads/") as u64 <= puts, "{number}");
        let (blobs, bytes) = sent(&report);
        assert!(blobs == 1 && (20_000_000..21_000_000).contains(&bytes), "{report}");
        let second = TestProject::new();
        let _ = second.run(&["pull", &format!("{}/{repository}:latest", registry.host())]).success();
        second.tree().assert_same(&project.tree());
    }
}

#[test]
fn a_registry_that_knows_no_ranges_is_pulled_from_all_the_same() {
    let Some(registry) = Registry::get() else { return };
    let proxy = Proxy::start(registry.host());
    let project = TestProject::packed_on_registry(registry.host(), "p");
    project.write("a", noise(1, 700_000)).write("b", noise(3, 700_000)).write("c", "c");
    let _ = project.push_everything();
    let older = project.tree();
    project.write("b", [&noise(3, 700_000)[..], b"more"].concat()).write("d", noise(5, 500_000));
    let _ = project.push_everything();
    proxy.inject(Matching::new("GET", "/blobs/").always(), Fault::Header("range", None));
    let second = TestProject::new();
    older.write(second.path());
    let _ = second.run(&["init", "--ref", &format!("{}/p", proxy.host())]).success();
    let _ = second.run(&["pull", "--overwrite"]).success();
    second.tree().assert_same(&project.tree());
    let seen = proxy.take_seen();
    assert!(seen.iter().all(|one| one.status != Some(206)), "{seen:?}");
    let third = TestProject::new();
    let _ = third.run(&["pull", &format!("{}/p:latest", proxy.host())]).success();
    third.tree().assert_same(&project.tree());
    // Also where that answer breaks off.
    proxy.inject(Matching::new("GET", "/blobs/").nth(2), Fault::CutResponse(300_000));
    let fourth = TestProject::new();
    let _ = fourth.run(&["pull", &format!("{}/p:latest", proxy.host())]).success();
    fourth.tree().assert_same(&project.tree());
}

#[test]
fn wrong_answers_about_ranges_change_nothing() {
    let Some(registry) = Registry::get() else { return };
    let project = TestProject::packed_on_registry(registry.host(), "p");
    project.write("a", noise(1, 700_000)).write("b", text(300_000));
    let _ = project.push_everything();
    for (fault, codes, words) in [
        // Whoever asks for another part than was wanted leaves a request for the whole pack alone.
        (Fault::Header("range", Some("bytes=0-9")), &[0][..], ""),
        (Fault::Header("range", Some("bytes=999999999-")), &[0], ""),
        (Fault::Answer(416, vec![]), &[8], "answered with"),
        (Fault::Answer(416, vec![("Content-Range", "bytes */1")]), &[8], "answered with"),
        (Fault::Answer(206, vec![]), &[8], "answered with"),
        (Fault::Answer(206, vec![("Content-Range", "bytes 5-1/x")]), &[8], "answered with"),
        (Fault::Answer(200, vec![]), &[8, 7], "bytes"),
        (Fault::Answer(404, vec![]), &[6], "pack"),
        (Fault::Answer(503, vec![]), &[7], "pack"),
        (Fault::Answer(401, vec![]), &[5], "pack"),
        (Fault::Answer(200, vec![("Content-Type", "text/html")]), &[7, 8], "pack"),
        (Fault::CutResponse(10), &[7], "pack"),
    ] {
        // The first request is for the table of the pack, the second one for its chunks.
        for nth in [1, 2] {
            let proxy = Proxy::start(registry.host());
            proxy.inject(Matching::new("GET", "/blobs/").nth(nth).always(), fault.clone());
            let second = TestProject::new();
            second.write("mine", "precious");
            let _ = second.run(&["init", "--ref", &format!("{}/p", proxy.host())]).success();
            let before = second.tree();
            let output = second.run(&["pull", "--overwrite", "--retries", "0"]).code_among(codes);
            assert!(output.stderr().contains(words), "{fault:?}: {output}");
            if codes == [0] {
                assert!(
                    second.read("a") == noise(1, 700_000) && second.read("b") == text(300_000),
                    "{fault:?}"
                );
                continue;
            }
            second.tree().assert_same(&before);
            assert!(!second.exists(".modelops-bundle/staging"), "{fault:?}");
        }
    }
}

#[test]
fn a_file_that_changes_after_it_was_seen_is_named() {
    let Some(registry) = Registry::get() else { return };
    for (size, change) in
        [(1000, "grown"), (1000, "other"), (5 * MIB, "grown"), (5 * MIB, "other"), (5 * MIB, "gone")]
    {
        let proxy = Proxy::start(registry.host());
        let name = format!("p{size}{change}");
        let project = TestProject::packed_on_registry(proxy.host(), &name);
        project.write("steady", "s");
        let _ = project.run(&["add", "steady"]).success();
        let _ = project.run(&["push"]).success();
        let other = TestProject::packed_on_registry(registry.host(), &name);
        let _ = other.run(&["pull"]).success();
        other.write("theirs", "of another project");
        let _ = other.run(&["add", "theirs"]).success();
        let _ = other.run(&["push"]).success();
        let theirs = registry.client().tag_digest(&name, "latest");
        project.write("theirs", "of another project").write("restless", noise(1, size));
        let _ = project.run(&["add", "theirs", "restless"]).success();
        let file = project.path().join("restless");
        // What packs hold is asked for once the files have been seen, and before they are packed: a project that is not built
        // on what it replaces is hashed first.
        proxy.before(Matching::new("GET", "/blobs/"), move || match change {
            "grown" => fs::File::options().append(true).open(&file).unwrap().write_all(b"!").unwrap(),
            "other" => fs::write(&file, noise(3, size)).unwrap(),
            _ => fs::remove_file(&file).unwrap(),
        });
        let output = project.run(&["push"]).code(1);
        assert!(output.stderr().contains("restless"), "{change}: {output}");
        assert_eq!(registry.client().tag_digest(&name, "latest"), theirs);
        let _ = project.run(&["push"]).success();
    }
}

#[test]
fn what_is_pushed_of_a_file_that_never_rests_can_be_pulled() {
    let project = TestProject::packed_on_layout();
    project.write("steady", noise(1, 3 * MIB)).write("restless", noise(3, 5 * MIB));
    let _ = project.run(&["add", "steady", "restless"]).success();
    let file = project.path().join("restless");
    let has_ended = AtomicBool::new(false);
    let mut outcomes = Vec::new();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut file = fs::File::options().append(true).open(&file).unwrap();
            for byte in (0..20_000_000_u32).map(|at| at as u8) {
                if has_ended.load(Ordering::Relaxed) {
                    return;
                }
                file.write_all(&[byte]).unwrap();
            }
        });
        for _ in 0..3 {
            outcomes.push(project.run(&["push"]).code_among(&[0, 1]));
        }
        has_ended.store(true, Ordering::Relaxed);
    });
    for output in &outcomes {
        let refused = output.stderr().contains("restless");
        assert!(refused || output.stdout().contains("Pushed"), "{output}");
    }
    if project.home().join("layout/index.json").exists() {
        let _ = project.pulled_again();
    }
    let _ = project.push_everything();
    project.pulled_again().tree().assert_same(&project.tree());
}

#[test]
fn a_packed_bundle_travels_in_an_archive() {
    let project = TestProject::packed_on_layout();
    project.write("a", noise(1, 300_000)).write("b", text(100_000)).write("empty", "");
    let digest = project.push_everything()["digest"].clone();
    let _ = project.run(&["export", "a.tar"]).success();
    let second = TestProject::new();
    let archive = project.path().join("a.tar");
    let done = second.run(&["import", archive.to_str().unwrap(), "--dest", ".", "--json"]).success().json();
    assert_eq!(done["digest"], digest);
    second.tree().assert_same(&project.tree().filtered(|path| path != "a.tar"));
    let third = TestProject::new();
    let _ = third.run(&["pull", &format!("oci-archive:{}", archive.display())]).success();
    third.tree().assert_same(&second.tree());
}

//! `export` and `import`: a bundle in one file, the same bytes from everywhere, and nothing done with a damaged one.

use std::fs;
use std::path::{Path, PathBuf};

use modelops_bundle_tests::{CommandOutput, Registry, TestProject, Tree};
use serde_json::json;

/// A tar consists of blocks of so many bytes.
const BLOCK: usize = 512;

/// A project that has pushed some files, always as the same bundle.
fn pushed() -> TestProject {
    let project = TestProject::on_layout();
    fill(&project);
    project
}

fn fill(project: &TestProject) {
    project
        .write("src/model.py", "def step(): ...\n")
        .write("data/empty", "")
        .write("copy", "def step(): ...\n");
    project.write("data/large", vec![b'x'; 1_500_000]).write_executable("run.sh", "#!/bin/sh\n");
    let _ = project.run(&["add", "."]).success();
    let _ = push(project);
}

fn push(project: &TestProject) -> CommandOutput {
    project.command(["push", "--json"]).env("SOURCE_DATE_EPOCH", "0").run().success()
}

/// The same with a file of it: `home/a.tar`.
fn exported() -> (TestProject, PathBuf) {
    let project = pushed();
    let file = project.home().join("a.tar");
    let _ = project.run(&["export", file.to_str().unwrap()]).success();
    (project, file)
}

/// The headers of a tar and where each entry begins: its name, its first byte, the end of its content.
fn entries(tar: &[u8]) -> Vec<(String, usize, usize)> {
    let mut entries = Vec::new();
    let mut at = 0;
    while tar[at] != 0 {
        let text = |field: std::ops::Range<usize>| {
            let field = &tar[at + field.start..at + field.end];
            String::from_utf8_lossy(field).trim_end_matches('\0').to_owned()
        };
        let size = usize::from_str_radix(&text(124..136), 8).unwrap();
        entries.push((text(0..100), at, at + BLOCK + size));
        at += BLOCK + size.next_multiple_of(BLOCK);
    }
    entries
}

/// One entry of a tar as it is, padding included.
fn entry_bytes(tar: &[u8], name: &str) -> Vec<u8> {
    let (_, start, end) = entries(tar).into_iter().find(|entry| entry.0 == name).unwrap();
    tar[start..end.next_multiple_of(BLOCK)].to_vec()
}

/// Another entry in the place of one, with a checksum that is right.
fn forged(header: &[u8], change: impl FnOnce(&mut [u8])) -> Vec<u8> {
    let mut header = header.to_vec();
    change(&mut header);
    header[148..156].fill(b' ');
    let sum: u32 = header[..BLOCK].iter().map(|byte| u32::from(*byte)).sum();
    header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    header
}

fn closed(entries: &[Vec<u8>]) -> Vec<u8> {
    let mut tar = entries.concat();
    tar.resize(tar.len() + 2 * BLOCK, 0);
    tar
}

/// Offers a file that must not be taken to everything that takes archives: a failure, and nothing changed anywhere.
#[track_caller]
fn expect_refusal(content: &[u8], codes: &[i32], why: &str) {
    let elsewhere = TestProject::new();
    let around = elsewhere.path().parent().unwrap();
    let file = around.join("bad.tar");
    fs::write(&file, content).unwrap();
    let before = Tree::read(around);
    let (target, archive) =
        (format!("oci:{}/new", around.display()), format!("oci-archive:{}", file.display()));
    let file = file.to_str().unwrap();
    for arguments in [
        &["import", file, "--to", &target][..],
        &["import", file, "--to", &target, "--force", "--dry-run"],
        &["import", file, "--dest", "../new"],
    ] {
        let output = elsewhere.run(arguments).code_among(codes);
        assert!(
            output.stderr().starts_with("error: ") && output.stderr().contains("hint: "),
            "{why}: {output}"
        );
        assert!(!elsewhere.exists(".modelops-bundle"), "{why}: {output}");
        Tree::read(around).assert_same(&before);
    }
    // A pull reads only what it needs: the index travels in the manifest too.
    let output = elsewhere.run(&["pull", &archive]).code_among(&[codes, &[0]].concat());
    let files = elsewhere.tree().filtered(|path| path != ".gitignore").len();
    assert_eq!(files, if output.stderr().contains("error: ") { 0 } else { 5 }, "{why}: {output}");
}

#[test]
fn the_same_bytes_from_everywhere() {
    let Some(registry) = Registry::get() else { return };
    let (here, first) = exported();
    let there = TestProject::new();
    let _ = there.run(&["init", "--ref", &format!("{}/team/p", registry.host())]).success();
    fill(&there);
    let _ = there.run(&["export", "../other.tar", "--concurrency", "1"]).success();
    let other = there.path().parent().unwrap().join("other.tar");
    assert!(fs::read(&other).unwrap() == fs::read(&first).unwrap(), "a registry and a layout differ");
    // Out of an archive comes the same archive.
    let reference = format!("oci-archive:{}:latest", first.display());
    let _ = here.run(&["export", &reference, "../again.tar"]).success();
    let again = here.path().parent().unwrap().join("again.tar");
    assert!(fs::read(&again).unwrap() == fs::read(&first).unwrap(), "a copy differs");

    let tar = fs::read(&first).unwrap();
    let names: Vec<String> = entries(&tar).into_iter().map(|(name, ..)| name).collect();
    assert_eq!(&names[..2], ["oci-layout", "index.json"]);
    assert!(names[2..].is_sorted() && names[2..].iter().all(|name| name.starts_with("blobs/sha256/")));
    // The manifest, the index, the empty one, and three contents and .gitignore.
    assert_eq!(names.len(), 2 + 7);
}

#[test]
fn goes_through_a_file_to_a_registry_and_into_a_folder() {
    let Some(registry) = Registry::get() else { return };
    let (project, file) = exported();
    let digest = push(&project).json()["digest"].clone();
    let file = file.to_str().unwrap();
    let target = format!("{}/other/place", registry.host());
    let elsewhere = TestProject::new();
    let planned = elsewhere.run(&["import", file, "--to", &target, "--dry-run", "--json"]).success().json();
    assert_eq!(registry.client().tags("other/place"), Vec::<String>::new());
    let done = elsewhere.run(&["import", file, "--to", &target, "--json"]).success().json();
    assert_eq!(planned["uploaded"], done["uploaded"]);
    assert_eq!((&done["digest"], &done["changed"]), (&digest, &json!(true)), "{done}");
    assert_eq!(registry.client().tag_digest("other/place", "latest"), digest.as_str().map(str::to_owned));
    let again = elsewhere.run(&["import", file, "--to", &target, "--json"]).success().json();
    // One request for the tag, and one for each blob that it has to name still.
    assert_eq!((&again["changed"], &again["requests"]), (&json!(false), &json!(6)), "{again}");

    let pulled = TestProject::new();
    let _ = pulled.run(&["pull", &target]).success();
    pulled.tree().assert_same(&project.tree());
    let pulled = TestProject::new();
    let _ = pulled.run(&["pull", &format!("oci-archive:{file}:latest")]).success();
    pulled.tree().assert_same(&project.tree());
    let _ = pulled.run(&["status", "--json"]).success();
    // An archive is a remote that is only read.
    pulled.write("new", "new");
    let _ = pulled.run(&["add", "new"]).success();
    for refused in
        [&["push"][..], &["push", "--bump", "auto"], &["tag", "latest", "x"], &["delete", "latest"]]
    {
        let output = pulled.run(refused).code(2);
        let words = "is an archive, which is written as a whole and then only read";
        assert!(output.stderr().contains(words) && output.stderr().contains("export"), "{output}");
    }
}

#[test]
fn a_folder_becomes_a_project_or_is_brought_up_to_date() {
    let (project, file) = exported();
    let file = file.to_str().unwrap();
    let elsewhere = TestProject::new();
    let planned =
        elsewhere.run(&["import", file, "--dest", "sub/copy", "--dry-run", "--json"]).success().json();
    assert!(!elsewhere.exists("sub"), "{planned}");
    let done = elsewhere.run(&["import", file, "--dest", "sub/copy", "--json"]).success().json();
    assert_eq!((&planned["digest"], &planned["dry_run"]), (&done["digest"], &json!(true)), "{done}");
    let copy = elsewhere.path().join("sub/copy");
    Tree::read(&copy).assert_same(&project.tree());

    project.write("data/large", "small now");
    let _ = push(&project);
    let _ = project.run(&["export", file, "--force"]).success();
    fs::write(copy.join("copy"), "mine").unwrap();
    let planned = elsewhere.run(&["import", file, "--dest", "sub/copy", "--dry-run"]).success();
    assert!(planned.stdout().contains("would keep yours: 1 file\n"), "{planned}");
    let kept = elsewhere.run(&["import", file, "--dest", "sub/copy", "--json"]).success().json();
    assert_eq!(kept["kept"], json!([{ "path": "copy", "change": "modified_local" }]));
    assert_eq!(fs::read_to_string(copy.join("copy")).unwrap(), "mine");
    let _ = elsewhere.run(&["import", file, "--dest", "sub/copy", "--overwrite"]).success();
    Tree::read(&copy).assert_same(&project.tree());
}

#[test]
fn conflicts_with_an_archive_are_settled_as_those_of_a_pull_are() {
    let (project, file) = exported();
    let file = file.to_str().unwrap();
    let elsewhere = TestProject::new();
    let _ = elsewhere.run(&["import", file, "--dest", "sub"]).success();
    let copy = |path: &str| elsewhere.path().join("sub").join(path);
    project.write("copy", "theirs").write("data/large", "theirs");
    let _ = push(&project);
    let _ = project.run(&["export", file, "--force"]).success();
    fs::write(copy("copy"), "mine").unwrap();
    fs::write(copy("data/large"), "mine").unwrap();
    let import = |options: &[&str]| elsewhere.run(&[&["import", file, "--dest", "sub"], options].concat());
    let stopped = import(&[]).code(3);
    assert!(stopped.stderr().contains("--mine PATH"), "{stopped}");
    // Paths are those of where one is, as everywhere.
    let _ = import(&["--mine", "copy"]).code(2);
    let settled = ["--mine", "sub/copy", "--theirs", "sub/data/large"];
    let planned = import(&[&settled[..], &["--dry-run", "--json"]].concat()).success().json();
    let done = import(&[&settled[..], &["--json"]].concat()).success().json();
    for field in ["written", "kept", "replaced"] {
        assert_eq!(planned[field], done[field], "{field}");
    }
    let read = |path| fs::read_to_string(copy(path)).unwrap();
    assert_eq!((read("copy"), read("data/large")), ("mine".to_owned(), "theirs".to_owned()));

    // The setting of the project holds here too.
    let set = elsewhere.command(["config", "set", "pull", "safe"]).current_dir(copy("")).run();
    let _ = set.success();
    let _ = import(&[]).code(3);
    let _ = import(&["--merge"]).success();
    for option in [&["--merge"][..], &["--mine", "copy"], &["--no-keep"]] {
        let output = elsewhere.run(&[&["import", file, "--to", "oci:new"], option].concat()).code(2);
        assert!(output.stderr().contains("--dest DIR") && output.stderr().contains(option[0]), "{output}");
    }
}

#[test]
fn the_projects_own_remote_is_where_it_goes() {
    let (project, file) = exported();
    let file = file.to_str().unwrap();
    let _ = project.run(&["export", "latest", "../v.tar"]).success();
    let other = TestProject::new();
    let layout = format!("oci:{}", other.home().join("layout").display());
    let _ = other.run(&["init", "--ref", &layout]).success();
    let done = other.run(&["import", file, "--json"]).success().json();
    assert_eq!(done["ref"], format!("{layout}:latest"), "{done}");
    let done = other.run(&["import", file, "--to", "v1.0.0", "--json"]).success().json();
    assert_eq!((&done["ref"], &done["uploaded"]["blobs"]), (&json!(format!("{layout}:v1.0.0")), &json!(0)));
    // The project's files are not touched.
    assert_eq!(other.tree().paths().collect::<Vec<_>>(), [".gitignore"]);

    // Under a tag that names something else nothing is done without being told to.
    project.write("copy", "other");
    let digest = push(&project).json()["digest"].clone();
    let _ = project.run(&["export", file, "--force"]).success();
    let before = Tree::read(&other.home().join("layout"));
    for tag in [&[][..], &["--to", "v1.0.0"], &["--to", "v1.0.0", "--dry-run"]] {
        let output = other.run(&[&["import", file][..], tag].concat()).code(4);
        assert!(output.stderr().contains("--force"), "{output}");
    }
    Tree::read(&other.home().join("layout")).assert_same(&before);
    let done = other.run(&["import", file, "--force", "--json"]).success().json();
    assert_eq!((&done["digest"], &done["uploaded"]["blobs"]), (&digest, &json!(2)), "{done}");
    let list = other.run(&["manifest", "latest", "--json"]).success().json();
    assert_eq!(list["manifests"][0]["digest"], digest);
}

#[test]
fn a_cut_changes_nothing() {
    let (_project, file) = exported();
    let tar = fs::read(file).unwrap();
    let mut cuts = vec![0, 1, tar.len() - 1, tar.len() - BLOCK, tar.len() - 2 * BLOCK];
    for (_, start, end) in entries(&tar) {
        cuts.extend([start + 100, start + BLOCK, end.saturating_sub(1), end]);
    }
    cuts.sort_unstable();
    cuts.dedup();
    for cut in cuts {
        // A single letter is a text, and no part of a tar.
        let code = if cut == 1 { 1 } else { 8 };
        expect_refusal(&tar[..cut], &[code], &format!("cut at {cut}"));
    }
}

#[test]
fn a_flipped_byte_changes_nothing_or_does_not_matter() {
    let (project, file) = exported();
    let digest = push(&project).json()["digest"].clone();
    let mut tar = fs::read(file).unwrap();
    for (name, start, end) in entries(&tar) {
        let middle = (start + BLOCK + end) / 2;
        // Header fields: name, size, checksum, kind; then the content.
        for at in [start, start + 130, start + 150, start + 156, start + BLOCK, middle, end - 1] {
            tar[at] ^= 0x01;
            if name == "index.json" && at >= start + BLOCK {
                // It has no digest, but whatever it says: what is taken is a bundle that is whole.
                let elsewhere = TestProject::new();
                elsewhere.write("a.tar", &tar);
                let output = elsewhere.run(&["import", "a.tar", "--to", "oci:new", "--json"]);
                if output.json()["error"].is_null() {
                    assert_eq!(output.success().json()["digest"], digest);
                } else {
                    assert!(!elsewhere.exists("new"), "{output}");
                }
            } else if at < end {
                expect_refusal(&tar, &[8], &format!("{name}: byte {at}"));
            }
            tar[at] ^= 0x01;
        }
    }
}

#[test]
fn archives_that_mean_harm() {
    let (_project, file) = exported();
    let tar = fs::read(file).unwrap();
    let all: Vec<Vec<u8>> = entries(&tar).iter().map(|(name, ..)| entry_bytes(&tar, name)).collect();
    let without = |at: usize| [&all[..at], &all[at + 1..]].concat();
    let kind = |at: usize, kind: u8| {
        let header = forged(&all[at][..BLOCK], |header| {
            header[156] = kind;
            header[124..135].fill(b'0');
            header[157..160].copy_from_slice(b"../");
        });
        [without(at), vec![header]].concat()
    };
    let second = [all.clone(), vec![all[3].clone()]].concat();
    let renamed = |name: &[u8]| {
        let header = forged(&all[3], |header| {
            header[..100].fill(0);
            header[..name.len()].copy_from_slice(name);
        });
        [without(3), vec![header]].concat()
    };
    for (entries, why) in [
        (without(0), "no marker"),
        (without(1), "no index"),
        (without(2), "a blob is missing"),
        (without(5), "another blob is missing"),
        (kind(2, b'2'), "a link for a blob"),
        (kind(2, b'1'), "a hard link for a blob"),
        (kind(1, b'2'), "a link for the index"),
        (kind(0, b'3'), "a device for the marker"),
        (kind(2, b'S'), "a sparse blob"),
        (second, "a blob twice"),
        (renamed(b"../blobs/sha256/x"), "a name that leads out"),
        (renamed(b"/etc/passwd"), "an absolute name"),
    ] {
        expect_refusal(&closed(&entries), &[8], why);
    }
    expect_refusal(&[tar.clone(), tar.clone()].concat(), &[8], "a second archive behind");
    expect_refusal(b"", &[8], "an empty file");
    expect_refusal(&vec![0; 2 * BLOCK], &[8], "an empty archive");
    expect_refusal(&[&b"\x1f\x8b\x08"[..], &tar].concat(), &[1], "something compressed");
}

#[test]
fn several_bundles_in_an_archive_are_told_apart() {
    let (project, file) = exported();
    let tar = fs::read(&file).unwrap();
    let index = entry_bytes(&tar, "index.json");
    let text = String::from_utf8(index[BLOCK..].to_vec()).unwrap();
    let mut document: serde_json::Value = serde_json::from_str(text.trim_end_matches('\0')).unwrap();
    let mut other = document["manifests"][0].clone();
    other["annotations"]["org.opencontainers.image.ref.name"] = json!("v2");
    document["manifests"].as_array_mut().unwrap().push(other);
    let with_index = |document: &serde_json::Value| {
        let content = document.to_string();
        let mut entry = forged(&index[..BLOCK], |header| {
            header[124..136].copy_from_slice(format!("{:011o}\0", content.len()).as_bytes());
        });
        entry.extend(content.as_bytes());
        entry.resize(entry.len().next_multiple_of(BLOCK), 0);
        let others = entries(&tar).into_iter().filter(|(name, ..)| name != "index.json");
        let others = others.map(|(name, ..)| entry_bytes(&tar, &name));
        closed(&others.chain([entry]).collect::<Vec<_>>())
    };
    project.write("two.tar", with_index(&document));
    let output = project.run(&["import", "two.tar", "--to", "oci:new"]).code(2);
    assert!(output.stderr().contains("latest, v2"), "{output}");
    let done =
        project.run(&["import", "oci-archive:two.tar:v2", "--to", "oci:new", "--json"]).success().json();
    assert!(done["ref"].as_str().unwrap().ends_with("/new:v2"), "{done}");
    // A bundle without a tag, as other tools may leave it.
    document["manifests"].as_array_mut().unwrap().truncate(1);
    document["manifests"][0].as_object_mut().unwrap().remove("annotations");
    project.write("none.tar", with_index(&document));
    let done = project.run(&["import", "none.tar", "--to", "oci:new", "--json"]).success().json();
    assert!(done["ref"].as_str().unwrap().ends_with("/new:latest"), "{done}");
    document["manifests"] = json!([]);
    expect_refusal(&with_index(&document), &[6], "no bundle");
}

#[test]
fn a_failed_export_leaves_what_was_there() {
    let project = pushed();
    let folder = project.path().parent().unwrap().join("out");
    fs::create_dir(&folder).unwrap();
    let file = folder.join("a.tar");
    fs::write(&file, "what was there").unwrap();
    let file = file.to_str().unwrap();
    for entry in fs::read_dir(project.home().join("layout/blobs/sha256")).unwrap() {
        let path = entry.unwrap().path();
        let content = fs::read(&path).unwrap();
        if content.is_empty() {
            continue;
        }
        fs::write(&path, [&content[..content.len() - 1], b"?"].concat()).unwrap();
        let _ = project.run(&["export", file, "--force"]).code(8);
        fs::remove_file(&path).unwrap();
        let _ = project.run(&["export", file, "--force"]).code(6);
        assert_eq!(names_in(&folder), ["a.tar"]);
        assert_eq!(fs::read_to_string(file).unwrap(), "what was there");
        fs::write(&path, content).unwrap();
    }
    let _ = project.run(&["export", file, "--dry-run"]).code(3);
    let _ = project.run(&["export", file, "--force", "--dry-run"]).success();
    let _ = project.run(&["export", file]).code(3);
    assert_eq!(fs::read_to_string(file).unwrap(), "what was there");
    let _ = project.run(&["export", file, "--force"]).success();
    assert_eq!(names_in(&folder), ["a.tar"]);
    assert_eq!(entries(&fs::read(file).unwrap()).len(), 9);
}

fn names_in(folder: &Path) -> Vec<String> {
    fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

#[test]
fn says_what_it_did_and_what_was_wrong() {
    let project = pushed();
    let pushed = push(&project).json();
    let report = project.run(&["export", "a.tar", "--json"]).success().json();
    let layout = format!("oci:{}", project.home().join("layout").display());
    assert_eq!(
        report,
        json!({
            "ref": format!("{layout}:latest"),
            "digest": pushed["digest"],
            "tree": pushed["tree"],
            "file": project.path().join("a.tar"),
            "format": "oci-archive",
            "files": 6,
            "blobs": 6,
            "bytes": report["bytes"],
            "requests": 0,
            "dry_run": false,
        })
    );
    let report = project.run(&["import", "a.tar", "--to", "oci:new:v1", "--json"]).success().json();
    assert_eq!(
        report,
        json!({
            "ref": format!("oci:{}:v1", project.path().join("new").display()),
            "digest": pushed["digest"],
            "tree": pushed["tree"],
            "file": project.path().join("a.tar"),
            "changed": true,
            "uploaded": {"blobs": 6, "bytes": report["uploaded"]["bytes"]},
            "mounted": {"blobs": 0, "bytes": 0},
            "requests": 0,
            "dry_run": false,
        })
    );
    let list = project.run(&["manifest", "oci-archive:a.tar", "--json"]).success().json();
    assert_eq!(list["manifests"][0]["digest"], pushed["digest"]);
    let diff = project.run(&["diff", "oci-archive:a.tar:latest", "--json"]).success().json();
    assert_eq!(diff["changes"], json!([]));
    // By its digest it gets the tag that counts where none is named.
    let by_digest = format!("@{}", pushed["digest"].as_str().unwrap());
    let _ = project.run(&["export", &by_digest, "b.tar"]).success();
    assert_eq!(project.read("a.tar"), project.read("b.tar"));

    let outside = TestProject::new();
    for (arguments, code) in [
        (&["export"][..], 2),
        (&["export", "a.tar"], 6),
        (&["export", "oci:nothing:v1", "a.tar"], 6),
        (&["import"], 2),
        (&["import", "missing.tar", "--to", "oci:new"], 6),
        (&["import", "missing.tar"], 6),
        (&["import", ".", "--to", "oci:new"], 1),
        (&["import", "a.tar", "--to", "oci:new", "--dest", "new"], 2),
        (&["import", "a.tar", "--to", "oci:new", "--overwrite"], 2),
        (&["import", "oci-archive:a.tar:.x", "--to", "oci:new"], 2),
        (&["pull", "oci-archive:missing.tar"], 6),
    ] {
        let document = outside.run(&[arguments, &["--json"]].concat()).code(code).json();
        assert_eq!(document["error"]["code"], code, "{document}");
    }
    for (arguments, code) in [
        (&["export", "nothing", "c.tar"][..], 6),
        (&["export", "no/such/folder/c.tar"], 1),
        (&["export", "."], 1),
        (&["import", "oci-archive:a.tar:v9"], 6),
        (&["import", "a.tar", "--to", &format!("oci:new{by_digest}")], 2),
        (&["import", "a.tar", "--to", "oci-archive:a.tar"], 2),
    ] {
        let _ = project.run(arguments).code(code);
    }
    assert!(!project.exists("c.tar") && !outside.exists("new"));
}

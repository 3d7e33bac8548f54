use bundle_core::bundle::descriptor::{Annotations, media_type};
use bundle_core::bundle::foreign::ForeignKind;
use bundle_core::bundle::history::{Ancestor, History};
use bundle_core::bundle::index::BundleIndex;
use bundle_core::bundle::resolve::resolve;
use bundle_core::bundle::tree::tree_digest;
use bundle_core::diff::diff;
use bundle_core::file::SyncedFile;
use bundle_core::name::path::BundlePath;
use bundle_core::plan::drops::DropGuard;
use bundle_core::plan::layout::{Readers, Rewrite};
use bundle_core::plan::pull::{DeletedHere, PullMode, plan_pull};
use bundle_core::plan::push::plan_push;
use bundle_core::plan::seal::{EmptyBlob, Origin, seal};
use bundle_core::plan::tag::{Mover, Occupant, decide_tag};
use bundle_core::plan::version::{Bump, Difference, highest_version, next_version};
use proptest::prelude::*;
use serde_json::json;

use super::*;

fn core() -> Core {
    Core::embedded().unwrap()
}

fn file(path: &str, content: &str) -> File {
    File {
        path: path.parse().unwrap(),
        digest: Digest::of(content.as_bytes()),
        size: content.len() as u64,
        executable: Some(content.ends_with('!')),
    }
}

fn tree(files: &[(&str, &str)]) -> ByPath<File> {
    ByPath::new(files.iter().map(|(path, content)| file(path, content)).collect()).unwrap()
}

/// Trees of few paths and few contents, so that their sides meet often.
fn any_tree() -> impl Strategy<Value = ByPath<File>> {
    let path = prop::sample::select(vec!["a", "b/1", "b/2", "c d", "ä", "b.x", "z/z/z"]);
    let content = prop::sample::select(vec!["", "1", "2", "3!", "4444"]);
    prop::collection::btree_map(path, content, 0..7)
        .prop_map(|files| tree(&files.into_iter().collect::<Vec<_>>()))
}

fn any_base() -> impl Strategy<Value = ByPath<SyncedFile>> {
    (any_tree(), any::<Option<bool>>()).prop_map(|(files, mode)| {
        let synced = |file: &File| SyncedFile {
            path: file.path.clone(),
            digest: file.digest,
            executable: mode.and(file.executable),
        };
        ByPath::new(files.iter().map(synced).collect()).unwrap()
    })
}

fn paths(files: &ByPath<File>) -> ByPath<BundlePath> {
    ByPath::new(files.iter().map(|file| file.path.clone()).collect()).unwrap()
}

proptest! {
    #[test]
    fn answers_as_the_native_core(
        local in any_tree(),
        remote in any_tree(),
        base in any_base(),
        tracked in any_tree(),
        obstacles in any_tree(),
        untracked in any_tree(),
        mine in any_tree(),
    ) {
        let (core, tracked, obstacles) = (core(), paths(&tracked), paths(&obstacles));
        let sides = Sides { local: &local, remote: &remote, base: &base, tracked: &tracked };
        prop_assert_eq!(core.diff(sides).unwrap(), diff(sides));
        for (rewrite, builds) in
            [(Rewrite::No, Builds::On), (Rewrite::IfChanged, Builds::ByPaths), (Rewrite::Always, Builds::ByPaths)]
        {
            let facts = PushFacts { builds, rewrite, untracked: &untracked, settled: 0 };
            // What a project has for a push is tracked.
            let tracked = local.iter().map(|file| &file.path).chain(&tracked).cloned().collect();
            let sides = Sides { tracked: &tracked, ..sides };
            prop_assert_eq!(core.plan_push(sides, facts, &ByPath::default()).unwrap(), plan_push(sides, facts));
        }
        prop_assert_eq!(core.tree(&local).unwrap(), tree_digest(&local));
        for mode in PullMode::ALL {
            for (deleted, drops) in [(DeletedHere::Leave, DropGuard::Stop), (DeletedHere::Restore, DropGuard::Accept)] {
                let (mine, theirs) = (&paths(&mine), &paths(&untracked));
                let options =
                    PullOptions { mode, deleted, mine, theirs, obstacles: &obstacles, drops, settled: 0 };
                prop_assert_eq!(core.plan_pull(sides, options).unwrap(), plan_pull(sides, options));
            }
        }
    }

    #[test]
    fn seals_and_reads_back(files in any_tree(), other in any_tree(), version: Option<bool>, empty: bool) {
        let core = core();
        let replaces = BundleIndex::of(&other).to_json();
        let parent = Ancestor::of_manifest(Digest::of(b"parent"), &Annotations::new());
        let older = Ancestor { version: Some("1.0.0".to_owned()), digest: Digest::of(b"older"), ..parent.clone() };
        let before = History { parents: vec![older.digest], replaces: None, ancestors: vec![older] };
        let request = SealRequest {
            files: &files,
            replaces: Some(replaces.as_bytes()),
            origin: Origin {
                parent: version.map(|_| (&parent, &before)),
                replaces: version.map(|_| Digest::of(b"replaced")),
                author: version.map(|_| "Ada"),
                message: version.map(|_| "why"),
                created: "2026-11-22T07:03:21Z",
                version: version.map(|_| "1.2.3"),
                tool: "modelops-bundle/test",
                readers: if empty { Readers::Python } else { Readers::Ours },
            },
            empty_blob: if empty { EmptyBlob::Taken } else { EmptyBlob::Refused },
        };
        let (sealed, native) = (core.seal(&request).unwrap(), seal(&request).unwrap());
        prop_assert_eq!(&sealed.index, &native.index);
        prop_assert_eq!(&sealed.index_descriptor, &native.index_descriptor);
        prop_assert_eq!(&sealed.manifest, &native.manifest);
        prop_assert_eq!((sealed.digest, sealed.tree), (native.digest, native.tree));
        for (extra, native) in sealed.extras.iter().zip(&native.extras) {
            prop_assert_eq!(&extra.content, &native.content);
            prop_assert_eq!(&extra.descriptor, &native.descriptor);
        }
        prop_assert_eq!(sealed.extras.len(), native.extras.len());

        let manifest = core.read_manifest(&sealed.manifest).unwrap();
        prop_assert_eq!(manifest.digest, sealed.digest);
        prop_assert_eq!(manifest.index_data.as_deref(), Some(&*sealed.index));
        prop_assert_eq!(manifest.index.digest, sealed.index_descriptor.digest);
        prop_assert_eq!(&manifest.as_ancestor, &Ancestor::of_manifest(sealed.digest, &manifest.annotations));
        prop_assert_eq!(&manifest.history, &History::of_annotations(&manifest.annotations));
        prop_assert_eq!(manifest.history.digests().len(), version.map_or(0, |_| 2));
        let index = core.read_verified_index(&sealed.index, &manifest.layers).unwrap();
        prop_assert_eq!(&index.files, &files);
        prop_assert_eq!(index.tree, sealed.tree);
    }
}

#[test]
fn hashes_known_answers() {
    // FIPS 180-4 examples.
    let abc = "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
    assert_eq!(core().sha256(b"abc").unwrap().to_string(), abc);
    assert_eq!(core().sha256(b"").unwrap(), Digest::EMPTY);
}

#[test]
fn decides_versions_as_the_native_core() {
    let core = core();
    let tags: Vec<Tag> = ["v1.2.3", "1.2.3", "2.0.0-rc.1", "1.10.0", "latest"]
        .iter()
        .map(|text| text.parse().unwrap())
        .collect();
    for count in 0..=tags.len() {
        let highest = core.highest_version(&tags[..count]).unwrap();
        assert_eq!(highest, highest_version(&tags[..count]));
        for bump in [Bump::Auto, Bump::Patch, Bump::Minor, Bump::Major] {
            for counts in [None, Some((0, 0, 0)), Some((1, 0, 0)), Some((0, 1, 0)), Some((0, 0, 1))] {
                let difference =
                    counts.map(|(added, deleted, changed)| Difference { added, deleted, changed });
                let facts = VersionFacts { highest: highest.clone(), bump, difference };
                assert_eq!(core.next_version(&facts).ok(), next_version(&facts).ok(), "{facts:?}");
            }
        }
    }
}

#[test]
fn decides_tags_and_digests_as_the_native_core() {
    let core = core();
    let digests = [None, Some(Digest::of(b"1")), Some(Digest::of(b"2"))];
    for planned in digests {
        for current in digests {
            for (tag, force) in [("latest", false), ("v1.0.0", false), ("v1.0.0", true)] {
                let tag = tag.parse().unwrap();
                let occupant = if force { Occupant::Bundle } else { Occupant::Foreign };
                let mover = if force { Mover::Push } else { Mover::Naming };
                let facts =
                    TagFacts { tag, planned, current, occupant, target: Digest::of(b"1"), force, mover };
                assert_eq!(core.decide_tag(&facts).unwrap(), decide_tag(&facts), "{facts:?}");
            }
        }
        for declared in
            [None, Some(""), Some("nonsense"), Some("sha512:00"), Some(&*Digest::of(b"1").to_string())]
        {
            let actual = Digest::of(b"1");
            match (core.resolve(actual, declared, planned), resolve(actual, declared, planned)) {
                (Ok(ours), Ok(native)) => assert_eq!(ours, native),
                (Err(ours), Err(native)) => assert_eq!(ours.to_string(), native.to_string()),
                (ours, native) => panic!("{ours:?}, {native:?}"),
            }
        }
    }
}

#[test]
fn refuses_facts_and_documents_that_are_none() {
    let core = core();
    let nested = tree(&[("a", "1"), ("a/b", "2")]);
    assert!(
        matches!(core.tree(&nested), Err(FactsError::Nested { folder, below }) if folder == "a" && below == "a/b")
    );
    let kind = |manifest: &str| match core.read_manifest(manifest) {
        Err(ManifestError::NotABundle(foreign)) => foreign.kind,
        other => panic!("{other:?}"),
    };
    assert_eq!(kind("{"), ForeignKind::NotJson);
    assert_eq!(kind(r#"{"manifests":[]}"#), ForeignKind::ImageIndex);
    assert!(matches!(
        core.read_manifest(r#"{"artifactType":"application/vnd.modelops.bundle.v1""#),
        Err(ManifestError::Json(_))
    ));
    let no_index = core.read_verified_index("{}", &[]);
    assert!(matches!(no_index, Err(IndexError::Json(_) | IndexError::Version { .. })));
    let descriptor = json!({
        "media_type": media_type::INDEX_V1, "digest": Digest::of(b"{}"), "size": 2, "annotations": [],
    });
    let other = json!({"index": "{ }", "descriptor": descriptor, "layers": []});
    let refused = core.call_json("read-index", other);
    assert!(matches!(refused, Err(CallError::Refused(error)) if error.get("content").is_some()));
    let index = BundleIndex::of(&tree(&[("a", "1")])).to_json();
    let lost = core.read_verified_index(&index, &[]);
    assert!(matches!(lost, Err(IndexError::NotInLayers { path }) if path == "a"));
    assert_eq!(core.canonicalize(r#"{"b":1,"a":2}"#).unwrap().unwrap(), r#"{"a":2,"b":1}"#);
    assert!(core.canonicalize("{").unwrap().is_err());
}

#[test]
fn takes_no_component_that_is_no_core() {
    let bytes = |text| wat::parse_str(text).unwrap();
    assert!(matches!(Core::from_bytes(b"nonsense"), Err(LoadError::NoComponent { .. })));
    assert!(matches!(Core::from_bytes(&bytes("(module)")), Err(LoadError::NoComponent { .. })));
    assert!(matches!(Core::from_bytes(&bytes("(component)")), Err(LoadError::Contract { .. })));
    let importing = r#"(component (import "wasi:clocks/wall-clock@0.2.0" (instance)))"#;
    let Err(LoadError::Imports { imports }) = Core::from_bytes(&bytes(importing)) else {
        panic!("it was taken")
    };
    assert_eq!(imports, ["wasi:clocks/wall-clock@0.2.0"]);
    assert!(matches!(Core::from_file(Path::new("/nonexistent")), Err(LoadError::Read { .. })));
}

#[test]
fn what_is_embedded_is_a_core_from_a_file_too() {
    let core = Core::from_bytes(Core::embedded_bytes()).unwrap();
    assert_eq!(core.sha256(b"abc").unwrap(), Digest::of(b"abc"));
    assert_eq!(core.digest(), Digest::of(Core::embedded_bytes()));
    assert_eq!(core.contract(), modelops_bundle_component::CONTRACT);
    assert_eq!(core.functions(), self::core().functions());
}

#[test]
fn a_trap_is_an_error_and_the_next_call_works() {
    let core = Core::embedded().unwrap();
    // More memory than a 32-bit guest has.
    let too_large = vec![0; (1 << 32) - 1];
    let stopped = core.sha256(&too_large);
    assert!(
        matches!(stopped, Err(CoreError::Stopped { ref function, .. }) if function == "sha256"),
        "{stopped:?}"
    );
    assert_eq!(core.sha256(b"abc").unwrap(), Digest::of(b"abc"));
}

#[test]
fn lists_its_functions() {
    let functions = core().functions();
    let diff = functions.iter().find(|function| function.name == "diff").unwrap();
    assert_eq!(diff.interface, "modelops:bundle/compare@0.3.0");
    assert_eq!(diff.signature, "func(sides: sides) -> result<comparison, facts-error>");
    assert!(functions.iter().any(|function| function.name == "read-verified-index"));
}

#[test]
fn calls_by_name() {
    let core = core();
    let (one, two) = (Digest::of(b"1").to_string(), Digest::of(b"2").to_string());
    let sides = json!({
        "local": [{ "path": "b", "digest": one, "size": 1, "executable": true }],
        "remote": [{ "path": "a", "digest": two, "size": 1 }, { "path": "b", "digest": one, "size": 1 }],
        "base": [{ "path": "b", "digest": one, "executable": false }],
        "tracked": ["b"],
    });
    let changes = json!({ "changes": [
        { "path": "a", "change": "added_remote" },
        { "path": "b", "change": "modified_local" },
    ] });
    assert_eq!(core.call_json("diff", sides.clone()).unwrap(), changes);
    let pull = |sides: &Value, mode: &str| {
        json!({
            "sides": sides, "options": { "mode": mode }, "mine": [], "theirs": [], "untracked": [], "obstacles": [],
        })
    };
    let fresh = json!({
        "local": [], "remote": [{ "path": "a", "digest": two, "size": 1 }], "base": [], "tracked": [],
    });
    let plan = json!({ "result": { "plan": {
        "write": ["a"], "executable": [], "delete": [], "adopt": [], "untrack": [], "kept": [],
        "sources": [{ "digest": two, "size": 1, "local": null }],
    } } });
    for name in ["plan-pull", "plan_pull"] {
        for mode in ["merge", "safe", "overwrite"] {
            assert_eq!(core.call_json(name, pull(&fresh, mode)).unwrap(), plan, "{name} {mode}");
        }
    }
    let unknown = json!({
        "local": [{ "path": "a", "digest": one, "size": 1, "executable": true }],
        "remote": [{ "path": "a", "digest": two, "size": 1, "executable": null }],
        "base": [{ "path": "a", "digest": one }],
        "tracked": ["a"],
    });
    let answer = core.call_json("plan-pull", pull(&unknown, "safe")).unwrap();
    assert_eq!(answer["result"]["plan"]["executable"], json!(["a"]));
    let blocked = core.call_json("plan-pull", pull(&sides, "safe")).unwrap();
    assert_eq!(
        blocked["result"]["refused"]["blocked"],
        json!([{ "path": "b", "change": "modified_local", "kind": null }])
    );
    let push = json!({ "sides": sides, "rewrite": "no", "free": false, "untracked": [] });
    let push = core.call_json("plan-push", push).unwrap();
    let refused = &push["result"]["refused"];
    assert_eq!(refused["plan"]["files"], json!(["b"]));
    assert_eq!(refused["reasons"]["unseen"], json!([{ "path": "a", "change": "added_remote" }]));

    let abc = json!({ "result": Digest::of(b"abc").to_string() });
    assert_eq!(core.call_json("sha256", json!({ "content": "abc" })).unwrap(), abc);
    assert_eq!(core.call_json("sha256", json!({ "content": [97, 98, 99] })).unwrap(), abc);

    let tag = json!({
        "tag": "latest", "planned": one, "current": two, "occupant": "bundle", "target": one, "mover": "push",
    });
    let moved = json!({ "result": { "moved": { "now": two } } });
    assert_eq!(core.call_json("decide-tag", tag.clone()).unwrap(), moved);
    assert_eq!(core.call_json("decide-tag", json!({ "facts": tag })).unwrap(), moved);
    let fresh = json!({ "tag": "latest", "occupant": "bundle", "target": one, "mover": "push" });
    assert_eq!(core.call_json("decide-tag", fresh).unwrap(), json!({ "result": "write" }));

    let error = core
        .call_json("tree-digest", json!({ "files": [{ "path": "../x", "digest": one, "size": 1 }] }))
        .unwrap_err();
    let CallError::Refused(error) = error else { panic!("{error}") };
    assert_eq!(error["path"]["text"], "../x");
}

#[test]
fn says_where_an_input_is_wrong() {
    let file = json!({ "path": "a", "digest": "d", "size": 1 });
    let with = |key: &str, value: Value| {
        let mut file = file.clone();
        file[key] = value;
        json!({ "files": [{ "path": "a", "digest": "d", "size": 1 }, file] })
    };
    for (name, input, message) in [
        ("tree-digest", json!([]), "expected a JSON object, found an array"),
        ("tree-digest", json!({}), "files: it is missing"),
        ("tree-digest", json!({ "files": [], "file": 1 }), "file: no such field, expected one of files"),
        ("tree-digest", json!({ "files": {} }), "files: expected an array, found an object"),
        ("tree-digest", json!({ "files": [1] }), "files[0]: expected an object, found another number"),
        (
            "tree-digest",
            with("size", json!("1")),
            "files[1].size: expected an unsigned integer, found another text",
        ),
        (
            "tree-digest",
            with("size", json!(-1)),
            "files[1].size: expected an unsigned integer, found another number",
        ),
        (
            "tree-digest",
            with("size", json!(1.5)),
            "files[1].size: expected an unsigned integer, found another number",
        ),
        ("tree-digest", with("path", Value::Null), "files[1].path: expected a string, found null"),
        (
            "tree-digest",
            with("executable", json!(1)),
            "files[1].executable: expected true or false, found another number",
        ),
        (
            "tree-digest",
            with("mode\u{1b}", json!(1)),
            "files[1].mode\\u{1b}: no such field, expected one of path, digest, size, executable",
        ),
        (
            "sha256",
            json!({ "content": [256] }),
            "content[0]: expected an unsigned integer of 8 bits, found another number",
        ),
        ("sha256", json!({ "content": null }), "content: expected a string or an array of bytes, found null"),
        (
            "plan_pull",
            json!({
                "sides": { "local": [], "remote": [], "base": [], "tracked": [] }, "options": { "mode": "force" },
            }),
            "options.mode: expected one of merge, safe, exact, overwrite, found another text",
        ),
    ] {
        match core().call_json(name, input) {
            Err(CallError::Input(error)) => assert_eq!(error.to_string(), message),
            other => panic!("{message}: {other:?}"),
        }
    }
    let unknown = core().call_json("no-such", json!({})).unwrap_err();
    assert!(
        matches!(unknown, CallError::UnknownFunction { ref known, .. } if known.contains(&"diff".to_owned()))
    );
}

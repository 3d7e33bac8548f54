//! The Python `modelops-bundle` 0.1.1, as far as others see it: what it reads and writes in a project's folder and in a
//! registry, as recorded from it (`fixtures/python-project`, `fixtures/python-bundle`).

use std::collections::{BTreeMap, BTreeSet};

use bundle_core::digest::Digest;
use serde_json::{Map, Value, json};

use crate::project::TestProject;
use crate::registry::{Registry, RegistryClient};

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const INDEX: &str = "application/vnd.modelops.bundle.index.v1+json";
const STATE: &str = ".modelops-bundle/state.json";
const TRACKED: &str = ".modelops-bundle/tracked.txt";

/// The Python tool, with one repository of a registry.
#[derive(Debug)]
pub struct PythonTool {
    client: RegistryClient,
    repository: String,
    tag: String,
}

impl PythonTool {
    /// The tool as it works with `repository:tag`.
    pub fn new(registry: &Registry, repository: &str, tag: &str) -> Self {
        Self { client: registry.client(), repository: repository.to_owned(), tag: tag.to_owned() }
    }

    /// The same with a registry that `client` talks to.
    pub fn with_client(client: RegistryClient, repository: &str, tag: &str) -> Self {
        Self { client, repository: repository.to_owned(), tag: tag.to_owned() }
    }

    /// Adds `paths` to the list of what `project` tracks.
    #[track_caller]
    pub fn add(&self, project: &TestProject, paths: &[&str]) {
        let mut tracked = tracked(project);
        tracked.extend(paths.iter().map(|path| (*path).to_owned()));
        write_tracked(project, &tracked);
    }

    /// Pushes what `project` tracks, and has the digests in its state.
    #[track_caller]
    pub fn push(&self, project: &TestProject) {
        let tracked = tracked(project);
        let files =
            tracked.iter().filter(|path| project.exists(path)).map(|path| (path.clone(), project.read(path)));
        let files: BTreeMap<String, Vec<u8>> = files.collect();
        let digest = self.put(&files);
        write_state(project, "last_push_digest", &digest, &files);
    }

    /// Puts a bundle of `files` there: no artifact type, no annotations, no modes. The result is its digest.
    #[track_caller]
    pub fn put(&self, files: &BTreeMap<String, Vec<u8>>) -> String {
        let put = |content: &[u8]| {
            let digest = Digest::of(content).to_string();
            self.client.put_blob(&self.repository, &digest, content);
            digest
        };
        let (mut listed, mut layers) = (Map::new(), Vec::new());
        for (path, content) in files {
            let digest = put(content);
            layers.push(json!({
                "mediaType": "application/vnd.oci.image.layer.v1.tar", "size": content.len(), "digest": digest,
                "annotations": {"org.opencontainers.image.title": path},
            }));
            let entry = json!({
                "blobRef": null, "digest": digest, "mediaType": null, "path": path, "size": content.len(),
                "storage": "oci",
            });
            listed.insert(path.clone(), entry);
        }
        let index = json!({
            "created": "2026-11-22T07:03:21.212798Z", "files": listed, "metadata": {},
            "tool": {"name": "modelops-bundle", "version": "0.1.1"}, "version": "1.0",
        });
        let index = index.to_string();
        let manifest = json!({
            "schemaVersion": 2, "mediaType": MANIFEST,
            "config": {"mediaType": INDEX, "size": index.len(), "digest": put(index.as_bytes())},
            "layers": layers, "annotations": {},
        });
        let manifest = manifest.to_string();
        self.client.put_manifest(&self.repository, &self.tag, MANIFEST, manifest.as_bytes());
        Digest::of(manifest.as_bytes()).to_string()
    }

    /// Pulls into `project`: what differs there from the last synced digests stops it, all else becomes the remote's.
    ///
    /// A bundle that the tool cannot read is a panic, as is a pull that it would stop.
    #[track_caller]
    pub fn pull(&self, project: &TestProject) {
        let (digest, files) = self.get();
        let last = synced(project);
        let tracked = tracked(project);
        if let Some(path) = stops_at(project, &files) {
            panic!("the Python tool stops: {path} has changes, or is not tracked");
        }
        for (path, content) in &files {
            let there = project.exists(path).then(|| project.read(path));
            if there.as_ref() != Some(content) {
                // It replaces what lies there, and a new file is a plain one.
                if there.is_some() {
                    project.remove(path);
                }
                project.write(path, content);
            }
        }
        for gone in last.keys().filter(|path| !files.contains_key(*path) && project.exists(path)) {
            project.remove(gone);
        }
        let is_gone = |path: &String| last.contains_key(path) && !files.contains_key(path);
        let kept = tracked.into_iter().filter(|path| !is_gone(path));
        write_tracked(project, &kept.chain(files.keys().cloned()).collect());
        write_state(project, "last_pull_digest", &digest, &files);
    }

    /// Whether a pull into `project` would stop.
    #[track_caller]
    pub fn would_stop(&self, project: &TestProject) -> bool {
        stops_at(project, &self.get().1).is_some()
    }

    /// The digest of the bundle that is there, and its files.
    #[track_caller]
    pub fn get(&self) -> (String, BTreeMap<String, Vec<u8>>) {
        let manifest = self.client.manifest(&self.repository, &self.tag).expect("the tag names a manifest");
        let digest = Digest::of(&manifest.body).to_string();
        let manifest = manifest.json();
        let config = &manifest["config"];
        assert_eq!(config["mediaType"], INDEX, "the Python tool knows one kind of index");
        let blob = |digest: &Value| {
            let digest = digest.as_str().expect("a digest is a string");
            self.client.blob(&self.repository, digest).unwrap_or_else(|| panic!("there is no blob {digest}"))
        };
        let index: Value = serde_json::from_slice(&blob(&config["digest"])).expect("an index is JSON");
        assert_eq!(index["version"], "1.0");
        for field in ["created", "files", "metadata", "tool"] {
            assert!(!index[field].is_null(), "its reader wants the field {field}: {index}");
        }
        let layers = manifest["layers"].as_array().expect("layers are a list");
        let files = index["files"].as_object().expect("files are an object").iter().map(|(path, entry)| {
            assert_eq!((entry["path"].as_str(), &entry["storage"]), (Some(path.as_str()), &json!("oci")));
            let is_layer = layers.iter().any(|layer| layer["digest"] == entry["digest"]);
            assert!(is_layer, "{path} is a blob that the manifest names");
            let content = blob(&entry["digest"]);
            assert_eq!(entry["size"], json!(content.len()));
            (path.clone(), content)
        });
        (digest, files.collect())
    }
}

/// The first path of `files` where a pull would lose what `project` has.
fn stops_at<'a>(project: &TestProject, files: &'a BTreeMap<String, Vec<u8>>) -> Option<&'a str> {
    let last = synced(project);
    let is_known = |path: &str, content: &[u8]| {
        let there = project.exists(path).then(|| project.read(path));
        there.is_none_or(|there| {
            there == content || last.get(path).is_some_and(|last| *last == Digest::of(&there).to_string())
        })
    };
    files.iter().find(|(path, content)| !is_known(path, content)).map(|(path, _)| path.as_str())
}

fn tracked(project: &TestProject) -> BTreeSet<String> {
    if !project.exists(TRACKED) {
        return BTreeSet::new();
    }
    project.read_text(TRACKED).lines().filter(|line| !line.is_empty()).map(str::to_owned).collect()
}

fn write_tracked(project: &TestProject, tracked: &BTreeSet<String>) {
    let lines: String = tracked.iter().flat_map(|path| [path.as_str(), "\n"]).collect();
    project.write(TRACKED, lines);
}

/// The digests by path that the state has; none where there is no state.
fn synced(project: &TestProject) -> BTreeMap<String, String> {
    if !project.exists(STATE) {
        return BTreeMap::new();
    }
    let state: Value = serde_json::from_slice(&project.read(STATE)).expect("the state is JSON");
    let listed = state["last_synced_files"].as_object().expect("the state lists files");
    let digest = |digest: &Value| digest.as_str().expect("a digest is a string").to_owned();
    listed.iter().map(|(path, listed)| (path.clone(), digest(listed))).collect()
}

/// Writes the state anew, as the tool does: what it does not know is gone.
fn write_state(project: &TestProject, field: &str, digest: &str, files: &BTreeMap<String, Vec<u8>>) {
    let former = if project.exists(STATE) {
        serde_json::from_slice(&project.read(STATE)).expect("the state is JSON")
    } else {
        Value::Null
    };
    let contents: Map<String, Value> =
        files.iter().map(|(path, content)| (path.clone(), Digest::of(content).to_string().into())).collect();
    let mut state = json!({
        "last_push_digest": former["last_push_digest"], "last_pull_digest": former["last_pull_digest"],
        "last_synced_files": contents, "timestamp": 1_795_331_001.849_202_9,
    });
    state[field] = digest.into();
    project.write(STATE, serde_json::to_string_pretty(&state).expect("JSON is written"));
}

//! The vectors of `tests/vectors/`, answered by the native core and by the component behind `core call`.
//!
//! `tests/vectors/README.md` says what a vector is. Other hosts of the component answer the same ones: see `embed.rs`.

use std::fmt;
use std::fs;
use std::path::PathBuf;

use bundle_core::bundle::index::BundleIndex;
use bundle_core::bundle::layout::Layout;
use bundle_core::bundle::manifest::{Manifest, ManifestError, annotation};
use bundle_core::bundle::resolve::{ResolveError, resolve};
use bundle_core::bundle::tree::tree_digest;
use bundle_core::canonical;
use bundle_core::canonical::MAX_SAFE_INTEGER;
use bundle_core::diff::{ConflictKind, PathChange, Row, Sides, diff};
use bundle_core::digest::Digest;
use bundle_core::file::{ByPath, File, HasPath, SyncedFile};
use bundle_core::name::path::BundlePath;
use bundle_core::name::reference::{Place, Reference, Tag};
use bundle_core::pack::chunk_map::ChunkMap;
use bundle_core::pack::table::{Pack, Run, TableRef};
use bundle_core::plan::delete::{DeleteDecision, DeleteFacts, DeleteUnit, decide_delete};
use bundle_core::plan::drops::{DropGuard, MassDrop};
use bundle_core::plan::fetch::{ByteRange, RangeSupport, plan_ranges};
use bundle_core::plan::layout::{LayoutPolicy, Readers, Rewrite};
use bundle_core::plan::pull::{Blocked, DeletedHere, PullMode, PullOptions, plan_pull};
use bundle_core::plan::push::{Builds, LeftBehind, PushFacts, plan_push};
use bundle_core::plan::repack::{PackUse, plan_repack};
use bundle_core::plan::seal::{Origin, PackedSealRequest, SealError, packed_index, seal_packed};
use bundle_core::plan::standing::{Standing, StandingFacts, standing};
use bundle_core::plan::tag::{Mover, Occupant, TagDecision, TagFacts, decide_tag};
use bundle_core::plan::version::{
    Bump, Difference, Version, VersionDecision, VersionError, VersionFacts, highest_version, next_version,
};
use modelops_bundle_tests::TestProject;
use serde::Deserialize;
use serde_json::{Value, json};

#[test]
fn the_native_core_answers_the_vectors() {
    check_all(native);
}

#[test]
fn the_component_answers_the_vectors() {
    let project = TestProject::new();
    check_all(|call, input| through_core_call(&project, call, input));
}

/// The folder of the vectors.
pub(crate) fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("vectors")
}

/// A call and the answer that is expected.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Vector {
    name: String,
    call: String,
    #[serde(rename = "in")]
    input: Value,
    #[serde(rename = "out")]
    output: Option<Value>,
    error: Option<String>,
}

/// Every vector, with the file that it stands in.
fn load() -> Vec<(String, Vector)> {
    let mut files: Vec<_> = fs::read_dir(folder()).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|file| file.extension().is_some_and(|ending| ending == "json"));
    files.sort();
    let mut vectors = Vec::new();
    for file in files {
        let name = file.file_stem().unwrap().to_str().unwrap().to_owned();
        let read: Vec<Vector> = serde_json::from_slice(&fs::read(&file).unwrap())
            .unwrap_or_else(|error| panic!("{} holds no vectors: {error}", file.display()));
        vectors.extend(read.into_iter().map(|vector| (name.clone(), vector)));
    }
    assert!(vectors.len() > 200, "only {} vectors were found", vectors.len());
    vectors
}

/// What a host says: an object, or the name of an error as vectors have it.
pub(crate) type Answer = Result<Value, String>;

/// Compares the answers to all vectors, and lists all that are wrong at once.
pub(crate) fn check_all(mut answer: impl FnMut(&str, &Value) -> Answer) {
    let mut wrong = String::new();
    for (file, vector) in load() {
        let answer = answer(&vector.call, &vector.input);
        if !vector.is_answered_by(&answer) {
            wrong.push_str(&format!("\n{file}: {vector}\n  but the answer is {answer:?}\n"));
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

impl Vector {
    fn is_answered_by(&self, answer: &Answer) -> bool {
        match (&self.output, &self.error, answer) {
            (Some(Value::Object(expected)), None, Ok(answer)) => {
                !expected.is_empty() && expected.iter().all(|(field, value)| answer.get(field) == Some(value))
            }
            (None, Some(expected), Err(error)) => expected == error,
            _ => false,
        }
    }
}

impl fmt::Display for Vector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} of {}", self.name, self.call, self.input)?;
        match (&self.output, &self.error) {
            (Some(output), _) => write!(f, "\n  should be {output}"),
            (None, error) => write!(f, "\n  should fail: {error:?}"),
        }
    }
}

/// Asks the program, which asks the component.
fn through_core_call(project: &TestProject, call: &str, input: &Value) -> Answer {
    let output = project.command(["core", "call", call]).input(input.to_string()).run();
    if !output.stdout().is_empty() {
        return Ok(output.success().json());
    }
    let output = output.code(2);
    let message = output.stderr();
    assert!(!message.is_empty(), "`{call}` fails without a word");
    Err(refusal(message).unwrap_or_else(|| "malformed".to_owned()))
}

/// The case that a message of `core call` names: the error as the component gives it stands in it as JSON.
fn refusal(message: &str) -> Option<String> {
    let (_, error) = message.split_once("the core refuses it: ")?;
    let error = serde_json::Deserializer::from_str(error).into_iter::<Value>().next()?.ok()?;
    Some(case_of(&error))
}

/// The name of an error case. A record, or a text that is a sentence, has none.
fn case_of(error: &Value) -> String {
    let name = match error {
        Value::Object(object) if object.len() == 1 => object.keys().next().cloned(),
        Value::String(text) if !text.contains(' ') => Some(text.clone()),
        _ => None,
    };
    name.unwrap_or_else(|| "refused".to_owned())
}

/// Asks the crate `bundle_core`.
fn native(call: &str, input: &Value) -> Answer {
    match call {
        "canonicalize" => {
            let Json { json } = read(input)?;
            let value = canonical::parse(json.as_bytes()).map_err(|_| "refused")?;
            Ok(json!({ "result": canonical::to_string(&value) }))
        }
        "choose-layout" => {
            let Choose { policy, current, files, total_size, readers } = read(input)?;
            let readers = readers.map(Into::into).unwrap_or_default();
            let choice = policy.choose_after(current.map(Into::into), readers, files, total_size);
            Ok(json!({ "layout": layout_name(choice.layout), "rewrite": rewrite_name(choice.rewrite) }))
        }
        "classify" => {
            let Rows { rows } = read(input)?;
            let rows = rows.into_iter().map(|row| Row::from_byte(row).ok_or_else(|| "other".to_owned()));
            let changes = rows.map(|row| Ok(row?.classify().map_or(u8::MAX, |change| change as u8)));
            Ok(json!({ "result": changes.collect::<Result<Vec<u8>, String>>()? }))
        }
        "decide-delete" => {
            let facts: RawDeleteFacts = read(input)?;
            Ok(json!({ "result": deletion(&decide_delete(&facts.check()?)) }))
        }
        "decide-tag" => {
            let facts: RawTagFacts = read(input)?;
            Ok(json!({ "result": decision(&decide_tag(&facts.check()?)) }))
        }
        "decompress-index" => {
            let Index { index } = read(input)?;
            let text = BundleIndex::decompress(&index.into_bytes()).map_err(|_| "compression")?;
            Ok(json!({ "result": text }))
        }
        "diff" => {
            let facts = Facts::read(input)?;
            Ok(json!({ "changes": changes(&diff(facts.sides())) }))
        }
        "highest-version" => {
            let Tags { tags } = read(input)?;
            let tags: Vec<Tag> = tags.iter().filter_map(|tag| tag.parse().ok()).collect();
            Ok(json!({ "result": highest_version(&tags).map(|version| version.to_string()) }))
        }
        "next-version" => {
            let facts: RawVersionFacts = read(input)?;
            let decision = next_version(&facts.check()?).map_err(|error| match error {
                VersionError::Exhausted { .. } => "exhausted",
                VersionError::Unknown { .. } => "unknown",
            })?;
            Ok(json!({ "result": match decision {
                VersionDecision::Publish(version) => json!({ "publish": version.to_string() }),
                VersionDecision::Unchanged(version) => json!({ "unchanged": version.to_string() }),
            } }))
        }
        "parse-reference" => {
            let Text { text } = read(input)?;
            let reference: Reference = text.parse().map_err(|_| "refused")?;
            Ok(reference_json(reference))
        }
        "plan-pull" => native_pull(input),
        "plan-push" => native_push(input),
        "plan-ranges" => {
            let Ranges { frames, support } = read(input)?;
            let frames: Vec<ByteRange> = frames.into_iter().map(Into::into).collect();
            let ranges = plan_ranges(&frames, support.into());
            let range = |range: ByteRange| json!({ "start": range.start, "end": range.end });
            Ok(json!({ "result": ranges.into_iter().map(range).collect::<Vec<_>>() }))
        }
        "plan-repack" => {
            let Packs { packs } = read::<Packs<RawPackUse>>(input)?;
            let packs: Vec<PackUse> = packs.into_iter().map(Into::into).collect();
            Ok(json!({ "result": plan_repack(&packs) }))
        }
        "read-manifest" => native_read_manifest(input),
        "resolve" => native_resolve(input),
        "seal-packed" => native_seal_packed(input),
        "sha256" => {
            let Content { content } = read(input)?;
            Ok(json!({ "result": Digest::of(&content.into_bytes()) }))
        }
        "tag-standing" => native_standing(input),
        "tree" => {
            let Files { files } = read(input)?;
            Ok(json!({ "result": tree_digest(&checked_files(files)?) }))
        }
        "write-index" => native_write_index(input),
        _ => Err("malformed".to_owned()),
    }
}

fn native_read_manifest(input: &Value) -> Answer {
    let ManifestText { manifest } = read(input)?;
    let parsed = Manifest::parse(manifest.as_bytes());
    let checked = parsed.and_then(|manifest| manifest.embedded_index().map(|_| manifest));
    let manifest = checked.map_err(|error| match error {
        ManifestError::Field { .. } => "field",
        ManifestError::IndexData { .. } => "index_data",
        ManifestError::Json(_) => "json",
        ManifestError::NotABundle(_) => "not_a_bundle",
        ManifestError::TooLarge { .. } => "too_large",
        ManifestError::TwoSizes { .. } => "other",
        ManifestError::Unsupported { .. } => "unsupported",
    })?;
    Ok(json!({ "artifact_type": manifest.artifact_type, "layers": manifest.layers.iter().map(|layer| json!({
        "media_type": layer.media_type, "digest": layer.digest, "size": layer.size,
        "title": layer.annotations.get(annotation::TITLE),
    })).collect::<Vec<_>>() }))
}

#[derive(Deserialize)]
struct ManifestText {
    manifest: String,
}

fn native_pull(input: &Value) -> Answer {
    let facts = Facts::read(input)?;
    let raw: Pull = read(input)?;
    let (mode, restores) = match raw.mode.as_str() {
        "merge" => (PullMode::Merge, false),
        "safe" => (PullMode::Safe, false),
        "exact" => (PullMode::Exact, false),
        "overwrite" => (PullMode::Overwrite, false),
        "restore-deleted" => (PullMode::Safe, true),
        _ => return Err("malformed".to_owned()),
    };
    let paths = |list: Option<Vec<String>>| checked_paths(&list.unwrap_or_default());
    let (mine, theirs, obstacles) = (paths(raw.mine)?, paths(raw.theirs)?, paths(raw.obstacles)?);
    let untracked = paths(raw.untracked)?;
    let sides = facts.sides();
    let unknown = untracked.iter().filter(|path| sides.local.at(path).is_none());
    let obstacles = unknown.chain(&obstacles).cloned().collect();
    let restores = restores || raw.restore_deleted.unwrap_or_default();
    let plan = plan_pull(
        sides,
        PullOptions {
            mode,
            deleted: if restores { DeletedHere::Restore } else { DeletedHere::Leave },
            mine: &mine,
            theirs: &theirs,
            obstacles: &obstacles,
            drops: if raw.accept_deletions.unwrap_or_default() { DropGuard::Accept } else { DropGuard::Stop },
            settled: 0,
        },
    );
    let sources = plan.sources.iter();
    let blocked = |one: &Blocked| json!({"path": one.path, "change": one.change.name(), "kind": one.kind.map(ConflictKind::name)});
    Ok(json!({
        "write": *plan.write, "executable": *plan.executable, "delete": *plan.delete, "adopt": *plan.adopt,
        "untrack": *plan.untrack, "kept": changes(&plan.kept),
        "blocked": plan.blocked.iter().map(blocked).collect::<Vec<_>>(), "mass_drop": plan.mass_drop.map(mass_drop),
        "sources": sources.map(|s| json!({"digest": s.digest, "size": s.size, "local": s.local})).collect::<Vec<_>>(),
    }))
}

fn mass_drop(MassDrop { dropped, of }: MassDrop) -> Value {
    json!({ "dropped": dropped, "of": of })
}

fn native_push(input: &Value) -> Answer {
    let facts = Facts::read(input)?;
    let Push { free, untracked } = read(input)?;
    let untracked = checked_files(untracked.unwrap_or_default())?;
    let builds = if free.unwrap_or_default() { Builds::On } else { Builds::ByPaths };
    let facts_beside = PushFacts { builds, rewrite: Rewrite::No, untracked: &untracked, settled: 0 };
    let plan = plan_push(facts.sides(), facts_beside);
    let blob = |blob: &bundle_core::plan::push::Upload| json!({"digest": blob.digest, "size": blob.size, "path": blob.path, "ask_first": blob.ask_first});
    let decision = &plan.decision;
    let left = |left: &LeftBehind| json!({"path": left.path, "now_at": left.now_at});
    Ok(json!({
        "manifest": plan.manifest, "upload": plan.upload, "delete": decision.delete, "untrack": decision.untrack,
        "unseen": changes(&decision.unseen), "mass_drop": decision.mass_drop.map(mass_drop),
        "left_behind": decision.left_behind.iter().map(left).collect::<Vec<_>>(),
        "blobs": plan.blobs.iter().map(blob).collect::<Vec<_>>(), "changed": decision.changed, "tree": plan.tree,
    }))
}

fn native_standing(input: &Value) -> Answer {
    let RawStanding { named, named_ancestors, synced, synced_ancestors, seen } = read(input)?;
    let digest = |text: &String| text.parse::<Digest>().map_err(|_| "refused");
    let all = |list: &[String]| list.iter().map(digest).collect::<Result<Vec<_>, _>>();
    let (named_ancestors, synced_ancestors) = (all(&named_ancestors)?, all(&synced_ancestors)?);
    let standing = standing(&StandingFacts {
        named: named.as_ref().map(digest).transpose()?,
        named_ancestors: &named_ancestors,
        synced: synced.as_ref().map(digest).transpose()?,
        synced_ancestors: &synced_ancestors,
        seen: seen.as_ref().map(digest).transpose()?,
    });
    Ok(json!({ "result": match standing {
        Standing::Absent => json!("absent"),
        Standing::Same => json!("same"),
        Standing::Ancestor { ahead } => json!({ "ancestor": ahead }),
        Standing::Descendant { behind } => json!({ "descendant": behind }),
        Standing::MovedBack { seen } => json!({ "moved_back": seen }),
        Standing::Unrelated => json!("unrelated"),
    } }))
}

fn native_seal_packed(input: &Value) -> Answer {
    let request: RawPackedSeal = read(input)?;
    let fact = |text: &str| text.parse::<Digest>().map_err(|_| "facts");
    let data = request.index_data.map(Bytes::into_bytes);
    let sealed = seal_packed(&PackedSealRequest {
        packs: &checked_packs(request.packs)?,
        index_digest: fact(&request.index_digest)?,
        index_size: request.index_size,
        index_data: data.as_deref(),
        tree: fact(&request.tree)?,
        origin: Origin {
            parent: None,
            replaces: None,
            author: request.author.as_deref(),
            message: request.message.as_deref(),
            created: &request.created,
            version: request.version.as_deref(),
            tool: &request.tool,
            readers: request.readers.map(Into::into).unwrap_or_default(),
        },
    });
    let sealed = sealed.map_err(|error| seal_error(&error))?;
    let extras = sealed.extras.iter();
    Ok(json!({
        "manifest": sealed.manifest, "manifest_digest": sealed.digest,
        "extras": extras.map(|e| json!({"digest": e.descriptor.digest, "content": e.content})).collect::<Vec<_>>(),
    }))
}

fn native_write_index(input: &Value) -> Answer {
    let RawPlaced { files, runs, packs, replaces } = read(input)?;
    let given: Vec<String> = files.iter().map(|file| file.path.clone()).collect();
    let files = checked_files(files).map_err(|_| "facts")?;
    let packs = checked_packs(packs)?;
    let is_sorted = given.iter().zip(&files).all(|(path, file)| path == file.path.as_str());
    if !is_sorted || runs.iter().flatten().any(|run| run.pack as usize >= packs.len()) {
        return Err("other".to_owned());
    }
    let mut chunk_map = ChunkMap::new(packs);
    for runs in runs {
        chunk_map.push(&runs.into_iter().map(Into::into).collect::<Vec<_>>());
    }
    let index = packed_index(&files, &chunk_map, replaces.as_deref().map(str::as_bytes));
    Ok(json!({ "result": index.map_err(|error| seal_error(&error))? }))
}

fn seal_error(error: &SealError) -> String {
    let name = match error {
        SealError::Created { .. } => "created",
        SealError::ManifestTooLarge { .. } => "manifest_too_large",
        SealError::Nested { .. } => "facts",
        SealError::IndexData { .. } | SealError::ChunkMap { .. } => "other",
        SealError::Replaces(_) => "replaces",
        SealError::TooManyLayers { .. } => "too_many_layers",
    };
    name.to_owned()
}

fn layout_name(layout: Layout) -> &'static str {
    match layout {
        Layout::Files => "files",
        Layout::Packed => "packed",
    }
}

fn rewrite_name(rewrite: Rewrite) -> &'static str {
    match rewrite {
        Rewrite::No => "no",
        Rewrite::IfChanged => "if_changed",
        Rewrite::Always => "always",
    }
}

fn native_resolve(input: &Value) -> Answer {
    let Resolve { actual, declared, pinned } = read(input)?;
    let actual = actual.parse().map_err(|_| "actual")?;
    let pinned = pinned.map(|pinned| pinned.parse()).transpose().map_err(|_| "pinned")?;
    match resolve(actual, declared.as_deref(), pinned) {
        Ok(resolved) => Ok(json!({ "digest": resolved.digest, "warning": resolved.warning })),
        Err(ResolveError::Declared { .. }) => Err("declared".to_owned()),
        Err(ResolveError::DeclaredDiffers { .. }) => Err("declared_differs".to_owned()),
        Err(ResolveError::PinnedDiffers { .. }) => Err("pinned_differs".to_owned()),
    }
}

fn changes(changes: &[PathChange]) -> Vec<Value> {
    changes.iter().map(|change| json!({"path": change.path, "change": change.change.name()})).collect()
}

fn deletion(decision: &DeleteDecision) -> Value {
    let texts = |tags: &[Tag]| tags.iter().map(ToString::to_string).collect::<Vec<_>>();
    match decision {
        DeleteDecision::Bundle(with) => json!({ "bundle": texts(with) }),
        DeleteDecision::Foreign => json!("foreign"),
        DeleteDecision::NeedsForce(others) => json!({ "needs_force": texts(others) }),
        DeleteDecision::Tag => json!("tag"),
    }
}

fn decision(decision: &TagDecision) -> Value {
    match decision {
        TagDecision::Write => json!("write"),
        TagDecision::AlreadyThere => json!("already_there"),
        TagDecision::Foreign(digest) => json!({ "foreign": digest }),
        TagDecision::Moved(now) => json!({ "moved": now }),
        TagDecision::Named(digest) => json!({ "named": digest }),
        TagDecision::Published(digest) => json!({ "published": digest }),
    }
}

fn reference_json(reference: Reference) -> Value {
    let place = match reference.place {
        Place::Repository { host, name } => json!({ "repository": {"host": host, "name": name} }),
        Place::Layout { directory } => json!({ "layout": directory }),
        Place::Archive { file } => json!({ "archive": file }),
    };
    json!({ "place": place, "tag": reference.tag.map(|tag| tag.to_string()), "digest": reference.digest })
}

fn read<'a, T: Deserialize<'a>>(input: &'a Value) -> Result<T, String> {
    T::deserialize(input).map_err(|_| "malformed".to_owned())
}

#[derive(Deserialize)]
struct Json {
    json: String,
}

#[derive(Deserialize)]
struct Text {
    text: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Rows {
    rows: Vec<u8>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Tags {
    tags: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawVersionFacts {
    highest: Option<String>,
    bump: String,
    difference: Option<RawDifference>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawDifference {
    added: u64,
    deleted: u64,
    changed: u64,
}

impl RawVersionFacts {
    fn check(self) -> Result<VersionFacts, String> {
        let released = |text: String| -> Option<Version> {
            Version::of(&text.parse().ok()?).filter(Version::is_release)
        };
        Ok(VersionFacts {
            highest: self.highest.map(|text| released(text).ok_or("highest")).transpose()?,
            bump: match self.bump.as_str() {
                "auto" => Bump::Auto,
                "patch" => Bump::Patch,
                "minor" => Bump::Minor,
                "major" => Bump::Major,
                _ => return Err("malformed".to_owned()),
            },
            difference: self.difference.map(|RawDifference { added, deleted, changed }| Difference {
                added,
                deleted,
                changed,
            }),
        })
    }
}

#[derive(Deserialize)]
struct Content {
    content: Bytes,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Bytes {
    Text(String),
    List(Vec<u8>),
}

impl Bytes {
    fn into_bytes(self) -> Vec<u8> {
        match self {
            Self::Text(text) => text.into_bytes(),
            Self::List(bytes) => bytes,
        }
    }
}

#[derive(Deserialize)]
struct Files {
    files: Vec<RawFile>,
}

#[derive(Deserialize)]
struct Pull {
    mode: String,
    restore_deleted: Option<bool>,
    mine: Option<Vec<String>>,
    theirs: Option<Vec<String>>,
    untracked: Option<Vec<String>>,
    obstacles: Option<Vec<String>>,
    accept_deletions: Option<bool>,
}

#[derive(Deserialize)]
struct Push {
    free: Option<bool>,
    untracked: Option<Vec<RawFile>>,
}

#[derive(Deserialize)]
struct Resolve {
    actual: String,
    declared: Option<String>,
    pinned: Option<String>,
}

#[derive(Deserialize)]
struct Choose {
    policy: LayoutPolicy,
    current: Option<RawLayout>,
    files: u64,
    total_size: u64,
    readers: Option<RawReaders>,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum RawReaders {
    Ours,
    Python,
}

impl From<RawReaders> for Readers {
    fn from(readers: RawReaders) -> Self {
        match readers {
            RawReaders::Ours => Self::Ours,
            RawReaders::Python => Self::Python,
        }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum RawLayout {
    Files,
    Packed,
}

impl From<RawLayout> for Layout {
    fn from(layout: RawLayout) -> Self {
        match layout {
            RawLayout::Files => Self::Files,
            RawLayout::Packed => Self::Packed,
        }
    }
}

#[derive(Deserialize)]
struct Index {
    index: Bytes,
}

#[derive(Deserialize)]
struct Ranges {
    frames: Vec<RawRange>,
    support: RawSupport,
}

#[derive(Deserialize)]
struct RawRange {
    start: u64,
    end: u64,
}

impl From<RawRange> for ByteRange {
    fn from(RawRange { start, end }: RawRange) -> Self {
        Self { start, end }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum RawSupport {
    Honoured,
    Ignored,
}

impl From<RawSupport> for RangeSupport {
    fn from(support: RawSupport) -> Self {
        match support {
            RawSupport::Honoured => Self::Honoured,
            RawSupport::Ignored => Self::Ignored,
        }
    }
}

#[derive(Deserialize)]
struct Packs<T> {
    packs: Vec<T>,
}

#[derive(Deserialize)]
struct RawPackUse {
    stored: u64,
    used: u64,
    #[serde(default)]
    is_here: bool,
}

impl From<RawPackUse> for PackUse {
    fn from(RawPackUse { stored, used, is_here }: RawPackUse) -> Self {
        Self { stored, used, is_here }
    }
}

#[derive(Deserialize)]
struct RawPack {
    digest: String,
    size: u64,
    chunks: u32,
    raw: u64,
    toc_offset: u64,
    toc_size: u64,
    toc_digest: String,
}

fn checked_packs(packs: Vec<RawPack>) -> Result<Vec<Pack>, String> {
    let pack = |raw: RawPack| {
        let digest = |text: &str| text.parse::<Digest>().map_err(|_| "pack");
        let toc = TableRef { offset: raw.toc_offset, size: raw.toc_size, digest: digest(&raw.toc_digest)? };
        let pack =
            Pack { digest: digest(&raw.digest)?, size: raw.size, chunks: raw.chunks, raw: raw.raw, toc };
        pack.check().map_err(|_| "pack")?;
        Ok(pack)
    };
    packs.into_iter().map(pack).collect()
}

#[derive(Deserialize)]
struct RawRun {
    pack: u32,
    first: u32,
    count: u32,
}

impl From<RawRun> for Run {
    fn from(RawRun { pack, first, count }: RawRun) -> Self {
        Self { pack, first, count }
    }
}

#[derive(Deserialize)]
struct RawPlaced {
    files: Vec<RawFile>,
    runs: Vec<Vec<RawRun>>,
    packs: Vec<RawPack>,
    replaces: Option<String>,
}

#[derive(Deserialize)]
struct RawPackedSeal {
    index_digest: String,
    index_size: u64,
    index_data: Option<Bytes>,
    readers: Option<RawReaders>,
    packs: Vec<RawPack>,
    tree: String,
    created: String,
    author: Option<String>,
    message: Option<String>,
    version: Option<String>,
    tool: String,
}

#[derive(Deserialize)]
struct RawDeleteFacts {
    tag: Option<String>,
    tags: Vec<String>,
    occupant: Option<String>,
    unit: String,
    force: bool,
}

impl RawDeleteFacts {
    fn check(self) -> Result<DeleteFacts, String> {
        let tag = |text: &String| text.parse::<Tag>().map_err(|_| "refused".to_owned());
        Ok(DeleteFacts {
            tag: self.tag.as_ref().map(tag).transpose()?,
            tags: self.tags.iter().map(tag).collect::<Result<_, _>>()?,
            occupant: occupant(self.occupant.as_deref())?,
            unit: match self.unit.as_str() {
                "bundle" => DeleteUnit::Bundle,
                "tag" => DeleteUnit::Tag,
                _ => return Err("malformed".to_owned()),
            },
            force: self.force,
        })
    }
}

fn occupant(text: Option<&str>) -> Result<Occupant, String> {
    match text {
        None | Some("bundle") => Ok(Occupant::Bundle),
        Some("foreign") => Ok(Occupant::Foreign),
        Some(_) => Err("malformed".to_owned()),
    }
}

#[derive(Deserialize)]
struct RawTagFacts {
    tag: String,
    planned: Option<String>,
    current: Option<String>,
    occupant: Option<String>,
    target: String,
    #[serde(default)]
    force: bool,
    mover: Option<String>,
}

impl RawTagFacts {
    fn check(self) -> Result<TagFacts, String> {
        let digest = |text: &str| text.parse::<Digest>().map_err(|_| "refused");
        Ok(TagFacts {
            tag: self.tag.parse().map_err(|_| "refused")?,
            planned: self.planned.as_deref().map(digest).transpose()?,
            current: self.current.as_deref().map(digest).transpose()?,
            occupant: occupant(self.occupant.as_deref())?,
            target: digest(&self.target)?,
            force: self.force,
            mover: match self.mover.as_deref() {
                Some("naming") => Mover::Naming,
                None | Some("push") => Mover::Push,
                Some(_) => return Err("malformed".to_owned()),
            },
        })
    }
}

#[derive(Deserialize)]
struct RawStanding {
    named: Option<String>,
    named_ancestors: Vec<String>,
    synced: Option<String>,
    synced_ancestors: Vec<String>,
    seen: Option<String>,
}

#[derive(Deserialize)]
struct RawFacts {
    local: Vec<RawFile>,
    remote: Vec<RawFile>,
    base: Vec<RawSyncedFile>,
    tracked: Vec<String>,
}

#[derive(Deserialize)]
struct RawFile {
    path: String,
    digest: String,
    size: u64,
    /// Left out it is false, `null` is an unknown one.
    #[serde(default = "plain")]
    executable: Option<bool>,
}

fn plain() -> Option<bool> {
    Some(false)
}

#[derive(Deserialize)]
struct RawSyncedFile {
    path: String,
    digest: String,
    executable: Option<bool>,
}

/// The facts of a comparison, checked.
struct Facts {
    local: ByPath<File>,
    remote: ByPath<File>,
    base: ByPath<SyncedFile>,
    tracked: ByPath<BundlePath>,
}

impl Facts {
    fn read(input: &Value) -> Result<Self, String> {
        let raw: RawFacts = read(input)?;
        Ok(Self {
            local: checked_files(raw.local)?,
            remote: checked_files(raw.remote)?,
            base: by_path(raw.base.into_iter().map(|file| {
                let (path, digest) = (path(&file.path)?, digest(&file.digest)?);
                Ok(SyncedFile { path, digest, executable: file.executable })
            }))?,
            tracked: checked_paths(&raw.tracked)?,
        })
    }

    fn sides(&self) -> Sides<'_> {
        Sides { local: &self.local, remote: &self.remote, base: &self.base, tracked: &self.tracked }
    }
}

fn checked_files(files: Vec<RawFile>) -> Result<ByPath<File>, String> {
    let files = by_path(files.into_iter().map(|file| {
        if file.size > MAX_SAFE_INTEGER {
            return Err("size".to_owned());
        }
        let (path, digest) = (path(&file.path)?, digest(&file.digest)?);
        Ok(File { path, digest, size: file.size, executable: file.executable })
    }))?;
    if files.nested().next().is_some() { Err("nested".to_owned()) } else { Ok(files) }
}

fn checked_paths(paths: &[String]) -> Result<ByPath<BundlePath>, String> {
    by_path(paths.iter().map(|text| path(text)))
}

fn by_path<T: HasPath>(facts: impl Iterator<Item = Result<T, String>>) -> Result<ByPath<T>, String> {
    ByPath::new(facts.collect::<Result<_, _>>()?).map_err(|_| "repeated".to_owned())
}

fn path(text: &str) -> Result<BundlePath, String> {
    text.parse().map_err(|_| "path".to_owned())
}

fn digest(text: &str) -> Result<Digest, String> {
    text.parse().map_err(|_| "digest".to_owned())
}

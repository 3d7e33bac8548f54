//! The vectors, answered by the crate `bundle_core`: documents in, documents out, and the core in between.

use bundle_core::bundle::descriptor::{Annotations, ContentId, Descriptor, media_type};
use bundle_core::bundle::groups::Layers;
use bundle_core::bundle::history::{Ancestor, History};
use bundle_core::bundle::index::{BundleIndex, Entry, IndexError, check_content, check_layers};
use bundle_core::bundle::layout::Layout;
use bundle_core::bundle::manifest::{Manifest, ManifestError};
use bundle_core::bundle::resolve::{ResolveError, resolve};
use bundle_core::bundle::tree::tree_digest;
use bundle_core::canonical;
use bundle_core::diff::{Change, ConflictKind, PathChange, Row, Sides, diff};
use bundle_core::digest::Digest;
use bundle_core::file::{ByPath, File, HasPath, SyncedFile, TreeError, total_size};
use bundle_core::name::path::BundlePath;
use bundle_core::name::reference::{Place, Reference, Tag};
use bundle_core::pack::chunk_map::{ChunkMap, PlacedError};
use bundle_core::pack::table::{Pack, Run, TableRef};
use bundle_core::plan::delete::{DeleteDecision, DeleteFacts, DeleteUnit, decide_delete};
use bundle_core::plan::drops::{DropGuard, MassDrop};
use bundle_core::plan::early_send::{EarlyFacts, EarlySend, Wait, early_send};
use bundle_core::plan::fetch::{ByteRange, RangeSupport, plan_ranges};
use bundle_core::plan::keep::{Bound, HadIn, LastSynced, had_elsewhere, make_room};
use bundle_core::plan::layout::{LayoutChoice, LayoutPolicy, Readers, Rewrite};
use bundle_core::plan::pull::{
    Blocked, DeletedHere, PullMode, PullOptions, PullPlan, Source, hidden, plan_pull,
};
use bundle_core::plan::push::{
    Builds, LeftBehind, PushDecision, PushFacts, PushPlan, Upload, decide_push, plan_push,
};
use bundle_core::plan::remove::{OnlyHere, lost_by_removal};
use bundle_core::plan::repack::{PackUse, plan_repack};
use bundle_core::plan::seal::{
    EmptyBlob, Extra, Origin, PackedSealRequest, SealError, SealRequest, packed_index, seal, seal_packed,
};
use bundle_core::plan::standing::{Standing, StandingFacts, standing};
use bundle_core::plan::tag::{Mover, Occupant, TagDecision, TagFacts, decide_tag};
use bundle_core::plan::undo::{self, CannotUndo, Operation, choose};
use bundle_core::plan::version::{
    Bump, Difference, Version, VersionDecision, VersionError, VersionFacts, highest_version_among,
    next_version,
};
use bundle_core::wire::{Wire, WireError, decode_by_path, decode_chunked, decode_files, encode_chunked};
use serde::Deserialize;
use serde_json::{Value, json};

use super::Answer;

/// Asks the crate.
pub(super) fn answer(call: &str, input: &Value) -> Answer {
    match call {
        "canonicalize" => canonicalize(input),
        "choose-layout" => choose_layout(input),
        "classify" => classify(input),
        "decide-delete" => deletion(&read(input)?),
        "decide-tag" => tag_decision(&read(input)?),
        "decompress-index" => decompress_index(input),
        "early-send" => early(&read(input)?),
        "diff" => {
            let sides = Facts::of(read(input)?)?;
            Ok(json!({ "changes": changes(&diff(sides.sides())) }))
        }
        "choose-undo" => undone(read(input)?),
        "had-elsewhere" => elsewhere(read(input)?),
        "highest-version" => {
            let Tags { tags } = read(input)?;
            Ok(json!({ "result": highest_version_among(&tags).map(|version| version.to_string()) }))
        }
        "lost-by-removal" => lost(read(input)?),
        "make-room" => room(read(input)?),
        "next-version" => version_decision(read(input)?),
        "parse-reference" => parse_reference(input),
        "plan-pull" => pull(read(input)?),
        "plan-pull-wire" => wire_pull(read(input)?),
        "plan-push" => push(read(input)?),
        "plan-push-wire" => wire_push(read(input)?),
        "plan-ranges" => ranges(input),
        "plan-repack" => {
            let Packs { packs } = read::<Packs<RawPackUse>>(input)?;
            let packs: Vec<PackUse> = packs.into_iter().map(Into::into).collect();
            Ok(json!({ "result": plan_repack(&packs) }))
        }
        "read-index" => {
            let RawIndex { index, descriptor, layers } = read(input)?;
            let index = index.into_bytes();
            check_content(&index, &descriptor.check()?).map_err(|error| index_error(&error))?;
            read_index(&index, layers)
        }
        "read-index-wire" => wire_index(read(input)?),
        "read-manifest" => read_manifest(input),
        "read-verified-index" => {
            let RawVerifiedIndex { index, layers } = read(input)?;
            read_index(&index.into_bytes(), layers)
        }
        "resolve" => resolved(input),
        "seal" => sealed(read(input)?),
        "seal-packed" => sealed_packed(read(input)?),
        "sha256" => {
            let Content { content } = read(input)?;
            Ok(json!({ "result": Digest::of(&content.into_bytes()) }))
        }
        "tag-standing" => tag_standing(&read(input)?),
        "tree-digest" => {
            let Files { files } = read(input)?;
            Ok(json!({ "result": tree_digest(&checked_files(files)?) }))
        }
        "write-index" => write_index(read(input)?),
        "write-index-wire" => write_wire_index(read(input)?),
        _ => Err("malformed".to_owned()),
    }
}

fn read<'a, T: Deserialize<'a>>(input: &'a Value) -> Result<T, String> {
    T::deserialize(input).map_err(|_| "malformed".to_owned())
}

// Interface `digest`.

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Json {
    json: Bytes,
}

fn canonicalize(input: &Value) -> Answer {
    let Json { json } = read(input)?;
    let value = canonical::parse(&json.into_bytes()).map_err(|_| "refused")?;
    Ok(json!({ "result": canonical::to_string(&value) }))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Content {
    content: Bytes,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Files {
    files: Vec<RawFile>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawResolve {
    actual: String,
    declared: Option<String>,
    pinned: Option<String>,
}

fn resolved(input: &Value) -> Answer {
    let RawResolve { actual, declared, pinned } = read(input)?;
    let actual = actual.parse().map_err(|_| "actual")?;
    let pinned = pinned.map(|pinned| pinned.parse()).transpose().map_err(|_| "pinned")?;
    match resolve(actual, declared.as_deref(), pinned) {
        Ok(resolved) => Ok(json!({ "digest": resolved.digest, "warning": resolved.warning })),
        Err(ResolveError::Declared { .. }) => Err("declared".to_owned()),
        Err(ResolveError::DeclaredDiffers { .. }) => Err("declared_differs".to_owned()),
        Err(ResolveError::PinnedDiffers { .. }) => Err("pinned_differs".to_owned()),
    }
}

// Interface `compare`.

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawRow {
    row: Vec<RawFlag>,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
enum RawFlag {
    Local,
    Remote,
    Base,
    Tracked,
    LocalIsRemote,
    LocalIsBase,
    RemoteIsBase,
}

fn classify(input: &Value) -> Answer {
    let RawRow { row } = read(input)?;
    let bit = |flag: RawFlag| match flag {
        RawFlag::Local => Row::LOCAL,
        RawFlag::Remote => Row::REMOTE,
        RawFlag::Base => Row::BASE,
        RawFlag::Tracked => Row::TRACKED,
        RawFlag::LocalIsRemote => Row::LOCAL_IS_REMOTE,
        RawFlag::LocalIsBase => Row::LOCAL_IS_BASE,
        RawFlag::RemoteIsBase => Row::REMOTE_IS_BASE,
    };
    let row = Row::from_byte(row.into_iter().fold(0, |byte, flag| byte | bit(flag))).ok_or("row")?;
    Ok(json!({ "result": row.classify().map(Change::name) }))
}

// Interface `bundle`.

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Text {
    text: String,
}

fn parse_reference(input: &Value) -> Answer {
    let Text { text } = read(input)?;
    let reference: Reference = text.parse().map_err(|_| "refused")?;
    let location = match reference.place {
        Place::Repository { host, name } => json!({ "registry": {"host": host, "name": name} }),
        Place::Layout { directory } => json!({ "layout": directory }),
        Place::Archive { file } => json!({ "archive": file }),
    };
    let tag = reference.tag.map(|tag| tag.to_string());
    Ok(json!({ "location": location, "tag": tag, "digest": reference.digest }))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawManifest {
    manifest: Bytes,
}

fn read_manifest(input: &Value) -> Answer {
    let manifest = read::<RawManifest>(input)?.manifest.into_bytes();
    let digest = Digest::of(&manifest);
    let manifest = Manifest::parse(&manifest).map_err(|error| manifest_error(&error))?;
    let data = manifest.embedded_index().map_err(|error| manifest_error(&error))?;
    let text = |stored: Vec<u8>| BundleIndex::text(&stored, &manifest.config.media_type);
    let data = data.map(text).transpose().map_err(|_| "compression")?;
    let history = History::of_annotations(&manifest.annotations);
    Ok(json!({
        "digest": digest,
        "artifact_type": manifest.artifact_type,
        "index": descriptor_json(&manifest.config),
        "index_data": data,
        "layers": manifest.layers.iter().map(descriptor_json).collect::<Vec<_>>(),
        "annotations": annotations_json(&manifest.annotations),
        "readers": readers_name(manifest.readers()),
        "history": {
            "parents": history.parents,
            "replaces": history.replaces,
            "ancestors": history.ancestors.iter().map(ancestor_json).collect::<Vec<_>>(),
        },
        "as_ancestor": ancestor_json(&Ancestor::of_manifest(digest, &manifest.annotations)),
    }))
}

fn manifest_error(error: &ManifestError) -> String {
    let name = match error {
        ManifestError::Field { .. } => "field",
        ManifestError::IndexData { .. } => "index_data",
        ManifestError::Json(_) => "json",
        ManifestError::NotABundle(_) => "not_a_bundle",
        ManifestError::TooLarge { .. } => "too_large",
        ManifestError::TwoSizes { .. } => "two_sizes",
        ManifestError::Unsupported { .. } => "unsupported",
    };
    name.to_owned()
}

fn descriptor_json(descriptor: &Descriptor) -> Value {
    json!({
        "media_type": descriptor.media_type, "digest": descriptor.digest, "size": descriptor.size,
        "annotations": annotations_json(&descriptor.annotations),
    })
}

fn annotations_json(annotations: &Annotations) -> Vec<Value> {
    annotations.iter().map(|(key, value)| json!({ "key": key, "value": value })).collect()
}

fn ancestor_json(one: &Ancestor) -> Value {
    json!({
        "digest": one.digest, "tree": one.tree, "version": one.version, "created": one.created,
        "author": one.author, "message": one.message,
    })
}

fn readers_name(readers: Readers) -> &'static str {
    match readers {
        Readers::Ours => "ours",
        Readers::Python => "python",
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct StoredIndex {
    index: Bytes,
}

fn decompress_index(input: &Value) -> Answer {
    let StoredIndex { index } = read(input)?;
    let text = BundleIndex::decompress(&index.into_bytes()).map_err(|error| index_error(&error))?;
    Ok(json!({ "result": bytes_json(text.into_bytes()) }))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawIndex {
    index: Bytes,
    descriptor: RawDescriptor,
    layers: Vec<RawDescriptor>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawVerifiedIndex {
    index: Bytes,
    layers: Vec<RawDescriptor>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawDescriptor {
    media_type: String,
    digest: String,
    size: u64,
    annotations: Vec<RawAnnotation>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawAnnotation {
    key: String,
    value: String,
}

impl RawDescriptor {
    fn check(self) -> Result<Descriptor, String> {
        let digest = self.digest.parse().map_err(|_| "descriptor")?;
        let mut descriptor = Descriptor::new(&self.media_type, digest, self.size);
        descriptor.annotations.extend(self.annotations.into_iter().map(|one| (one.key, one.value)));
        Ok(descriptor)
    }
}

fn checked_index(index: &[u8], layers: Vec<RawDescriptor>) -> Result<BundleIndex, String> {
    let index = BundleIndex::parse(index).map_err(|error| index_error(&error))?;
    let layers = layers.into_iter().map(RawDescriptor::check).collect::<Result<Vec<_>, _>>()?;
    check_layers(&index, &layers).map_err(|error| index_error(&error))?;
    Ok(index)
}

fn read_index(index: &[u8], layers: Vec<RawDescriptor>) -> Answer {
    let index = checked_index(index, layers)?;
    let layers = index.groups("layers").into_iter();
    let owned = |members: Vec<&str>| members.into_iter().map(str::to_owned).collect();
    let layers = layers.map(|(name, members)| (name.to_owned(), owned(members))).collect();
    let layers = Layers::of(&layers);
    let blob = |blob: &ContentId| json!({ "digest": blob.digest, "size": blob.size });
    let file = |entry: &Entry| {
        let location = match index.layout {
            Layout::Files => json!("registry"),
            Layout::Packed => json!({ "pack": entry.runs.iter().map(run_json).collect::<Vec<_>>() }),
        };
        let layer = layers.number(&entry.file.path);
        json!({ "file": file_json(&entry.file), "location": location, "layer": layer })
    };
    let mut view = index_json(&index);
    view["files"] = index.entries.iter().map(file).collect();
    view["blobs"] = index.blobs().iter().map(blob).collect();
    Ok(view)
}

fn wire_index(input: RawVerifiedIndex) -> Answer {
    let index = checked_index(&input.index.into_bytes(), input.layers)?;
    let mut view = index_json(&index);
    let files = encode_chunked(index.entries.iter().map(|entry| (&entry.file, &*entry.runs)));
    view["files"] = bytes_json(files);
    Ok(view)
}

/// What both views of an index have.
fn index_json(index: &BundleIndex) -> Value {
    let files = index.files();
    let groups = |field: &str| -> Vec<Value> {
        let group = |(name, members)| json!({ "name": name, "members": members });
        index.groups(field).into_iter().map(group).collect()
    };
    json!({
        "version": index.version(), "layout": index.layout.name(), "tree": tree_digest(&files),
        "total_size": total_size(&files), "packs": index.packs.iter().map(pack_json).collect::<Vec<_>>(),
        "layers": groups("layers"), "roles": groups("roles"), "is_plain": index.is_plain(),
    })
}

fn file_json(file: &File) -> Value {
    json!({ "path": file.path, "digest": file.digest, "size": file.size, "executable": file.executable })
}

fn run_json(run: &Run) -> Value {
    json!({ "pack": run.pack, "first": run.first, "count": run.count })
}

fn pack_json(pack: &Pack) -> Value {
    let TableRef { offset, size, digest } = pack.toc;
    json!({
        "digest": pack.digest, "size": pack.size, "chunks": pack.chunks, "uncompressed_size": pack.raw,
        "table": { "offset": offset, "size": size, "digest": digest }, "store": null,
    })
}

fn index_error(error: &IndexError) -> String {
    let name = match error {
        IndexError::Chunker => "chunker",
        IndexError::Compression(_) | IndexError::NotText => "compression",
        IndexError::Content { .. } => "content",
        IndexError::Digest { .. }
        | IndexError::EmptyDigest { .. }
        | IndexError::KeyDiffers { .. }
        | IndexError::Missing { .. }
        | IndexError::Size { .. } => "field",
        IndexError::Json(_) => "json",
        IndexError::Nested { .. } => "nested",
        IndexError::NotInLayers { .. } => "not_in_layers",
        IndexError::Pack(_) | IndexError::Runs { .. } => "pack",
        IndexError::PackNotInLayers { .. } => "pack_not_in_layers",
        IndexError::Path { .. } => "path",
        IndexError::Storage { .. } => "storage",
        IndexError::TooLarge { .. } => "too_large",
        IndexError::TwoSizes { .. } => "two_sizes",
        IndexError::Version { .. } => "version",
    };
    name.to_owned()
}

// Interface `push`.

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawPush {
    sides: RawSides,
    rewrite: RawRewrite,
    free: bool,
    untracked: Vec<RawFile>,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
enum RawRewrite {
    No,
    IfChanged,
    Always,
}

impl From<RawRewrite> for Rewrite {
    fn from(rewrite: RawRewrite) -> Self {
        match rewrite {
            RawRewrite::No => Self::No,
            RawRewrite::IfChanged => Self::IfChanged,
            RawRewrite::Always => Self::Always,
        }
    }
}

fn builds(free: bool) -> Builds {
    if free { Builds::On } else { Builds::ByPaths }
}

fn push(raw: RawPush) -> Answer {
    let (facts, untracked) = (Facts::of(raw.sides)?, checked_files(raw.untracked)?);
    let push = PushFacts {
        builds: builds(raw.free),
        rewrite: raw.rewrite.into(),
        untracked: &untracked,
        settled: 0,
    };
    let plan = plan_push(facts.sides(), push);
    let PushPlan { manifest, upload, blobs, tree, decision } = &plan;
    let blob = |blob: &Upload| {
        let Upload { digest, size, path, ask_first } = blob;
        json!({ "digest": digest, "size": size, "path": path, "ask_first": ask_first })
    };
    let json = json!({
        "files": manifest, "missing": upload, "uploads": blobs.iter().map(blob).collect::<Vec<_>>(),
        "delete": decision.delete, "untrack": decision.untrack, "changed": decision.changed, "tree": tree,
    });
    Ok(push_json(decision, &json))
}

fn push_json(decision: &PushDecision, plan: &Value) -> Value {
    if !decision.is_refused() {
        return json!({ "result": { "plan": plan } });
    }
    let left = |left: &LeftBehind| json!({"path": left.path, "now_at": left.now_at});
    let reasons = json!({
        "unseen": changes(&decision.unseen), "mass_drop": decision.mass_drop.map(mass_drop),
        "left_behind": decision.left_behind.iter().map(left).collect::<Vec<_>>(),
    });
    json!({ "result": { "refused": { "plan": plan, "reasons": reasons } } })
}

fn mass_drop(MassDrop { dropped, of }: MassDrop) -> Value {
    json!({ "dropped": dropped, "of": of })
}

fn changes(changes: &[PathChange]) -> Vec<Value> {
    changes.iter().map(|change| json!({"path": change.path, "change": change.change.name()})).collect()
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawLayoutFacts {
    policy: LayoutPolicy,
    current: Option<RawLayout>,
    files: u64,
    total_size: u64,
    readers: RawReaders,
}

#[derive(Clone, Copy, Deserialize)]
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

#[derive(Clone, Copy, Deserialize)]
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

fn choose_layout(input: &Value) -> Answer {
    let RawLayoutFacts { policy, current, files, total_size, readers } = read(input)?;
    let choice = policy.choose_after(current.map(Into::into), readers.into(), files, total_size);
    let rewrite = match choice.rewrite {
        Rewrite::No => "no",
        Rewrite::IfChanged => "if_changed",
        Rewrite::Always => "always",
    };
    Ok(json!({ "layout": choice.layout.name(), "rewrite": rewrite }))
}

#[derive(Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawEarlyFacts {
    free: bool,
    insists: bool,
    tags_free: bool,
    choice: RawLayoutChoice,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawLayoutChoice {
    layout: RawLayout,
    rewrite: RawRewrite,
}

fn early(raw: &RawEarlyFacts) -> Answer {
    let RawEarlyFacts { free, insists, tags_free, choice } = *raw;
    let choice = LayoutChoice { layout: choice.layout.into(), rewrite: choice.rewrite.into() };
    Ok(match early_send(EarlyFacts { free, insists, tags_free, choice }) {
        EarlySend::Yes => json!({ "result": "yes" }),
        EarlySend::No(Wait::Unseen) => json!({ "result": { "no": "unseen" } }),
        EarlySend::No(Wait::Tags) => json!({ "result": { "no": "tags" } }),
        EarlySend::No(Wait::Files) => json!({ "result": { "no": "files" } }),
        EarlySend::No(Wait::Unchanged) => json!({ "result": { "no": "unchanged" } }),
    })
}

// Interface `pull`.

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawPull {
    sides: RawSides,
    options: RawPullOptions,
    mine: Vec<String>,
    theirs: Vec<String>,
    untracked: Vec<String>,
    obstacles: Vec<String>,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawPullOptions {
    mode: RawPullMode,
    #[serde(default)]
    restore_deleted: bool,
    #[serde(default)]
    accept_deletions: bool,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
enum RawPullMode {
    Merge,
    Safe,
    Exact,
    Overwrite,
}

/// The paths that a pull names.
struct PullPaths {
    mine: ByPath<BundlePath>,
    theirs: ByPath<BundlePath>,
    obstacles: ByPath<BundlePath>,
}

impl PullPaths {
    fn options(&self, raw: RawPullOptions, settled: u64) -> PullOptions<'_> {
        PullOptions {
            mode: match raw.mode {
                RawPullMode::Merge => PullMode::Merge,
                RawPullMode::Safe => PullMode::Safe,
                RawPullMode::Exact => PullMode::Exact,
                RawPullMode::Overwrite => PullMode::Overwrite,
            },
            deleted: if raw.restore_deleted { DeletedHere::Restore } else { DeletedHere::Leave },
            mine: &self.mine,
            theirs: &self.theirs,
            obstacles: &self.obstacles,
            drops: if raw.accept_deletions { DropGuard::Accept } else { DropGuard::Stop },
            settled,
        }
    }
}

fn pull(raw: RawPull) -> Answer {
    let facts = Facts::of(raw.sides)?;
    let (untracked, obstacles) = (checked_paths(&raw.untracked)?, checked_paths(&raw.obstacles)?);
    let paths = PullPaths {
        mine: checked_paths(&raw.mine)?,
        theirs: checked_paths(&raw.theirs)?,
        obstacles: hidden(&facts.local, &untracked, &obstacles),
    };
    Ok(pull_json(&plan_pull(facts.sides(), paths.options(raw.options, 0))))
}

fn pull_json(plan: &PullPlan) -> Value {
    let blocked = |one: &Blocked| {
        let kind = one.kind.map(ConflictKind::name);
        json!({ "path": one.path, "change": one.change.name(), "kind": kind })
    };
    if plan.is_refused() {
        return json!({ "result": { "refused": {
            "blocked": plan.blocked.iter().map(blocked).collect::<Vec<_>>(),
            "mass_drop": plan.mass_drop.map(mass_drop),
        } } });
    }
    let source = |one: &Source| json!({ "digest": one.digest, "size": one.size, "local": one.local });
    json!({ "result": { "plan": {
        "write": *plan.write, "executable": *plan.executable, "delete": *plan.delete, "adopt": *plan.adopt,
        "untrack": *plan.untrack, "kept": changes(&plan.kept),
        "sources": plan.sources.iter().map(source).collect::<Vec<_>>(),
    } } })
}

// Interface `seal`.

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawOrigin {
    created: String,
    parent: Option<RawParent>,
    tag_names: Option<String>,
    author: Option<String>,
    message: Option<String>,
    version: Option<String>,
    tool: String,
    readers: RawReaders,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawParent {
    bundle: RawAncestor,
    history: RawHistory,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawAncestor {
    digest: String,
    tree: Option<String>,
    version: Option<String>,
    created: Option<String>,
    author: Option<String>,
    message: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawHistory {
    parents: Vec<String>,
    replaces: Option<String>,
    ancestors: Vec<RawAncestor>,
}

impl RawAncestor {
    fn check(self) -> Result<Ancestor, String> {
        let Self { digest, tree, version, created, author, message } = self;
        let (digest, tree) = (fact(&digest)?, tree.as_deref().map(fact).transpose()?);
        Ok(Ancestor { digest, tree, version, created, author, message })
    }
}

impl RawHistory {
    fn check(self) -> Result<History, String> {
        Ok(History {
            parents: self.parents.iter().map(|text| fact(text)).collect::<Result<_, _>>()?,
            replaces: self.replaces.as_deref().map(fact).transpose()?,
            ancestors: self.ancestors.into_iter().map(RawAncestor::check).collect::<Result<_, _>>()?,
        })
    }
}

/// A digest among the facts of a seal.
fn fact(text: &str) -> Result<Digest, String> {
    text.parse().map_err(|_| "facts".to_owned())
}

impl RawOrigin {
    fn take_parent(&mut self) -> Result<Option<(Ancestor, History)>, String> {
        let parent = self.parent.take();
        parent.map(|parent| Ok((parent.bundle.check()?, parent.history.check()?))).transpose()
    }

    fn check<'a>(&'a self, parent: Option<&'a (Ancestor, History)>) -> Result<Origin<'a>, String> {
        Ok(Origin {
            parent: parent.map(|(parent, before)| (parent, before)),
            replaces: self.tag_names.as_deref().map(fact).transpose()?,
            author: self.author.as_deref(),
            message: self.message.as_deref(),
            created: &self.created,
            version: self.version.as_deref(),
            tool: &self.tool,
            readers: self.readers.into(),
        })
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawSeal {
    files: Vec<RawFile>,
    replaces: Option<Bytes>,
    origin: RawOrigin,
    #[serde(default)]
    empty_blob: bool,
}

fn sealed(mut raw: RawSeal) -> Answer {
    let files = checked_files(raw.files).map_err(|_| "facts")?;
    let parent = raw.origin.take_parent()?;
    let replaces = raw.replaces.map(Bytes::into_bytes);
    let sealed = seal(&SealRequest {
        files: &files,
        replaces: replaces.as_deref(),
        origin: raw.origin.check(parent.as_ref())?,
        empty_blob: if raw.empty_blob { EmptyBlob::Taken } else { EmptyBlob::Refused },
    });
    let sealed = sealed.map_err(|error| seal_error(&error))?;
    Ok(json!({
        "index": { "descriptor": descriptor_json(&sealed.index_descriptor), "content": sealed.index },
        "manifest": manifest_json(&sealed.manifest, sealed.digest), "tree": sealed.tree,
        "extras": extras_json(&sealed.extras),
    }))
}

fn manifest_json(manifest: &str, digest: Digest) -> Value {
    let descriptor = Descriptor::new(media_type::MANIFEST, digest, manifest.len() as u64);
    json!({ "descriptor": descriptor_json(&descriptor), "content": manifest })
}

fn extras_json(extras: &[Extra]) -> Vec<Value> {
    let extra = |extra: &Extra| {
        let content = bytes_json(extra.content.clone().into_bytes());
        json!({ "descriptor": descriptor_json(&extra.descriptor), "content": content })
    };
    extras.iter().map(extra).collect()
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawPackedSeal {
    index: RawBlobWithData,
    packs: Vec<RawPack>,
    tree: String,
    origin: RawOrigin,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawBlobWithData {
    digest: String,
    size: u64,
    data: Option<Bytes>,
}

fn sealed_packed(mut raw: RawPackedSeal) -> Answer {
    let parent = raw.origin.take_parent()?;
    let data = raw.index.data.map(Bytes::into_bytes);
    let sealed = seal_packed(&PackedSealRequest {
        packs: &checked_packs(raw.packs)?,
        index_digest: fact(&raw.index.digest)?,
        index_size: raw.index.size,
        index_data: data.as_deref(),
        tree: fact(&raw.tree)?,
        origin: raw.origin.check(parent.as_ref())?,
    });
    let sealed = sealed.map_err(|error| seal_error(&error))?;
    Ok(json!({
        "manifest": manifest_json(&sealed.manifest, sealed.digest), "extras": extras_json(&sealed.extras),
    }))
}

fn seal_error(error: &SealError) -> String {
    let name = match error {
        SealError::ChunkMap { .. } => "unplaced",
        SealError::Created { .. } => "created",
        SealError::IndexData { .. } => "index_data",
        SealError::ManifestTooLarge { .. } => "manifest_too_large",
        SealError::Nested { .. } => "facts",
        SealError::Replaces(_) => "replaces",
        SealError::TooManyLayers { .. } => "too_many_layers",
    };
    name.to_owned()
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawWriteIndex {
    files: Vec<RawPlacedFile>,
    packs: Vec<RawPack>,
    replaces: Option<Bytes>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawPlacedFile {
    file: RawFile,
    location: RawLocation,
    #[serde(rename = "layer")]
    _layer: u16,
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum RawLocation {
    Registry,
    Pack(Vec<RawRun>),
    External(RawObject),
    Other(RawElsewhere),
}

#[derive(Deserialize)]
#[serde(transparent)]
struct RawElsewhere {
    _name: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawObject {
    #[serde(rename = "store")]
    _store: String,
    #[serde(rename = "key")]
    _key: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawRun {
    pack: u32,
    first: u32,
    count: u32,
}

fn write_index(raw: RawWriteIndex) -> Answer {
    let run = |RawRun { pack, first, count }: RawRun| Run { pack, first, count };
    let one = |placed: RawPlacedFile| {
        let runs = match placed.location {
            RawLocation::Pack(runs) => runs.into_iter().map(run).collect(),
            RawLocation::Registry => Vec::new(),
            RawLocation::External(RawObject { .. }) | RawLocation::Other(RawElsewhere { .. }) => {
                return Err("no_pack".to_owned());
            }
        };
        Ok((checked_file(&placed.file).map_err(|_| "facts")?, runs))
    };
    let placed = raw.files.into_iter().map(one).collect::<Result<_, String>>()?;
    let placed = ChunkMap::of_placed(placed, checked_packs(raw.packs)?);
    let (files, chunk_map) = placed.map_err(|error| match error {
        PlacedError::NoPack { .. } => "no_pack",
        PlacedError::Tree(_) => "facts",
    })?;
    written(&files, &chunk_map, raw.replaces)
}

fn written(files: &ByPath<File>, chunk_map: &ChunkMap, replaces: Option<Bytes>) -> Answer {
    let index = packed_index(files, chunk_map, replaces.map(Bytes::into_bytes).as_deref());
    Ok(json!({ "result": index.map_err(|error| seal_error(&error))? }))
}

// Interface `tag`.

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawStanding {
    named: Option<String>,
    named_ancestors: Vec<String>,
    synced: Option<String>,
    synced_ancestors: Vec<String>,
    seen: Option<String>,
}

fn tag_standing(raw: &RawStanding) -> Answer {
    let all = |list: &[String]| list.iter().map(|text| refused(text)).collect::<Result<Vec<Digest>, _>>();
    let (named_ancestors, synced_ancestors) = (all(&raw.named_ancestors)?, all(&raw.synced_ancestors)?);
    let standing = standing(&StandingFacts {
        named: raw.named.as_deref().map(refused).transpose()?,
        named_ancestors: &named_ancestors,
        synced: raw.synced.as_deref().map(refused).transpose()?,
        synced_ancestors: &synced_ancestors,
        seen: raw.seen.as_deref().map(refused).transpose()?,
    });
    Ok(json!({ "result": match standing {
        Standing::Absent => json!("absent"),
        Standing::Same => json!("same"),
        Standing::Ancestor { ahead } => json!({ "ancestor": { "bundles": ahead } }),
        Standing::Descendant { behind } => json!({ "descendant": { "bundles": behind } }),
        Standing::MovedBack { seen } => json!({ "moved_back": { "seen": seen } }),
        Standing::Unrelated => json!("unrelated"),
    } }))
}

/// What a text spells, where the error has no cases.
fn refused<T: std::str::FromStr>(text: &str) -> Result<T, String> {
    text.parse().map_err(|_| "refused".to_owned())
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum RawOccupant {
    Bundle,
    Foreign,
}

impl From<RawOccupant> for Occupant {
    fn from(occupant: RawOccupant) -> Self {
        match occupant {
            RawOccupant::Bundle => Self::Bundle,
            RawOccupant::Foreign => Self::Foreign,
        }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum RawMover {
    Naming,
    Push,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawTagFacts {
    tag: String,
    planned: Option<String>,
    current: Option<String>,
    occupant: RawOccupant,
    target: String,
    #[serde(default)]
    force: bool,
    mover: RawMover,
}

fn tag_decision(raw: &RawTagFacts) -> Answer {
    let decision = decide_tag(&TagFacts {
        tag: refused(&raw.tag)?,
        planned: raw.planned.as_deref().map(refused).transpose()?,
        current: raw.current.as_deref().map(refused).transpose()?,
        occupant: raw.occupant.into(),
        target: refused(&raw.target)?,
        force: raw.force,
        mover: match raw.mover {
            RawMover::Naming => Mover::Naming,
            RawMover::Push => Mover::Push,
        },
    });
    Ok(json!({ "result": match decision {
        TagDecision::Write => json!("write"),
        TagDecision::AlreadyThere => json!("already_there"),
        TagDecision::Foreign(digest) => json!({ "foreign": { "digest": digest } }),
        TagDecision::Moved(now) => json!({ "moved": { "now": now } }),
        TagDecision::Named(digest) => json!({ "named": { "digest": digest } }),
        TagDecision::Published(digest) => json!({ "published": { "digest": digest } }),
    } }))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawDeleteFacts {
    tag: Option<String>,
    tags: Vec<String>,
    occupant: RawOccupant,
    unit: RawUnit,
    #[serde(default)]
    force: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum RawUnit {
    Bundle,
    Tag,
}

fn deletion(raw: &RawDeleteFacts) -> Answer {
    let decision = decide_delete(&DeleteFacts {
        tag: raw.tag.as_deref().map(refused).transpose()?,
        tags: raw.tags.iter().map(|text| refused(text)).collect::<Result<_, _>>()?,
        occupant: raw.occupant.into(),
        unit: match raw.unit {
            RawUnit::Bundle => DeleteUnit::Bundle,
            RawUnit::Tag => DeleteUnit::Tag,
        },
        force: raw.force,
    });
    let others = |tags: &[Tag]| json!({ "tags": tags.iter().map(ToString::to_string).collect::<Vec<_>>() });
    Ok(json!({ "result": match &decision {
        DeleteDecision::Bundle(with) => json!({ "bundle": others(with) }),
        DeleteDecision::Foreign => json!("foreign"),
        DeleteDecision::NeedsForce(with) => json!({ "needs_force": others(with) }),
        DeleteDecision::Tag => json!("tag"),
    } }))
}

// Interface `version`.

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Tags {
    tags: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawVersionFacts {
    highest: Option<String>,
    bump: RawBump,
    difference: Option<RawDifference>,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum RawBump {
    Auto,
    Patch,
    Minor,
    Major,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawDifference {
    added: u64,
    deleted: u64,
    changed: u64,
}

fn version_decision(raw: RawVersionFacts) -> Answer {
    let highest = raw.highest.as_deref().map(Version::released).transpose().map_err(|_| "highest")?;
    let difference = raw.difference.map(|RawDifference { added, deleted, changed }| Difference {
        added,
        deleted,
        changed,
    });
    let bump = match raw.bump {
        RawBump::Auto => Bump::Auto,
        RawBump::Patch => Bump::Patch,
        RawBump::Minor => Bump::Minor,
        RawBump::Major => Bump::Major,
    };
    let decision = next_version(&VersionFacts { highest, bump, difference });
    Ok(json!({ "result": match decision {
        Ok(VersionDecision::Publish(version)) => json!({ "publish": version.to_string() }),
        Ok(VersionDecision::Unchanged(version)) => json!({ "unchanged": version.to_string() }),
        Err(VersionError::Exhausted { .. }) => return Err("exhausted".to_owned()),
        Err(VersionError::Unknown { .. }) => return Err("unknown".to_owned()),
    } }))
}

// Interface `pack`.

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Ranges {
    frames: Vec<RawRange>,
    support: RawSupport,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawRange {
    start: u64,
    end: u64,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum RawSupport {
    Honoured,
    Ignored,
}

fn ranges(input: &Value) -> Answer {
    let Ranges { frames, support } = read(input)?;
    let frames: Vec<_> = frames.into_iter().map(|RawRange { start, end }| ByteRange { start, end }).collect();
    let support = match support {
        RawSupport::Honoured => RangeSupport::Honoured,
        RawSupport::Ignored => RangeSupport::Ignored,
    };
    let range = |range: ByteRange| json!({ "start": range.start, "end": range.end });
    Ok(json!({ "result": plan_ranges(&frames, support).into_iter().map(range).collect::<Vec<_>>() }))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Packs<T> {
    packs: Vec<T>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawPackUse {
    compressed_size: u64,
    used: u64,
    #[serde(default)]
    is_here: bool,
}

impl From<RawPackUse> for PackUse {
    fn from(RawPackUse { compressed_size: stored, used, is_here }: RawPackUse) -> Self {
        Self { stored, used, is_here }
    }
}

// Interface `undo`.

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawUndo {
    operations: Vec<RawOperation>,
    count: u32,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawOperation {
    #[serde(default)]
    is_undo: bool,
    fault: Option<RawUndoFault>,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
enum RawUndoFault {
    Damaged,
    NotKept,
    Pushed,
}

fn undone(raw: RawUndo) -> Answer {
    let fault = |fault: RawUndoFault| match fault {
        RawUndoFault::Damaged => undo::Fault::Damaged,
        RawUndoFault::NotKept => undo::Fault::NotKept,
        RawUndoFault::Pushed => undo::Fault::Pushed,
    };
    let operation = |raw: RawOperation| Operation { is_undo: raw.is_undo, fault: raw.fault.map(fault) };
    let operations: Vec<_> = raw.operations.into_iter().map(operation).collect();
    match choose(&operations, raw.count as usize) {
        Ok(chosen) => Ok(json!({ "result": chosen })),
        Err(CannotUndo::TooFew { .. }) => Err("too_few".to_owned()),
        Err(CannotUndo::Fault { .. }) => Err("fault".to_owned()),
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawRoom {
    kept: Vec<u64>,
    needed: u64,
    limit: RawLimit,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawLimit {
    operations: u32,
    bytes: u64,
}

fn room(RawRoom { kept, needed, limit }: RawRoom) -> Answer {
    let bound = Bound { operations: limit.operations as usize, bytes: limit.bytes };
    Ok(json!({ "result": make_room(&kept, needed, bound).map_err(|_| "refused")? }))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawTaken {
    taken: Vec<String>,
    local: Vec<RawFile>,
    new: Vec<RawFile>,
    base: Vec<RawSyncedFile>,
    #[serde(default)]
    has_last_synced: bool,
}

fn elsewhere(raw: RawTaken) -> Answer {
    let (taken, local, new) =
        (checked_paths(&raw.taken)?, checked_files(raw.local)?, checked_files(raw.new)?);
    let last_synced = if raw.has_last_synced { LastSynced::Found } else { LastSynced::Unseen };
    let base = checked_synced_files(raw.base)?;
    let found = had_elsewhere(&taken, &local, &new, &base, last_synced);
    let one = |(file, had_in): &(&File, HadIn)| {
        let had_in = match had_in {
            HadIn::LastSynced => "last_synced",
            HadIn::New => "new",
        };
        json!({ "path": file.path, "had_in": had_in })
    };
    Ok(json!({ "result": found.iter().map(one).collect::<Vec<_>>() }))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawRemoval {
    removed: Vec<String>,
    local: Vec<RawFile>,
    unreadable: Vec<String>,
    base: Vec<RawSyncedFile>,
}

fn lost(raw: RawRemoval) -> Answer {
    let (removed, unreadable) = (checked_paths(&raw.removed)?, checked_paths(&raw.unreadable)?);
    let (local, base) = (checked_files(raw.local)?, checked_synced_files(raw.base)?);
    let one = |(path, why): (&BundlePath, OnlyHere)| {
        let why = match why {
            OnlyHere::Edited => "edited",
            OnlyHere::NeverSynced => "never_synced",
        };
        json!({ "path": path, "why": why })
    };
    let lost = lost_by_removal(&removed, &local, &unreadable, &base);
    Ok(json!({ "result": lost.into_iter().map(one).collect::<Vec<_>>() }))
}

// Interface `wire`.

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawWireSides {
    local: Bytes,
    remote: Bytes,
    base: Bytes,
    tracked: Bytes,
    settled: u64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawWirePush {
    sides: RawWireSides,
    rewrite: RawRewrite,
    free: bool,
    untracked: Bytes,
}

fn wire_push(raw: RawWirePush) -> Answer {
    let settled = raw.sides.settled;
    let (facts, untracked) = (Facts::of_wire(raw.sides)?, decoded(raw.untracked)?);
    let (builds, rewrite) = (builds(raw.free), raw.rewrite.into());
    let decision = decide_push(facts.sides(), PushFacts { builds, rewrite, untracked: &untracked, settled });
    let plan = json!({
        "delete": decision.delete, "untrack": decision.untrack, "changed": decision.changed,
    });
    Ok(push_json(&decision, &plan))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawWirePull {
    sides: RawWireSides,
    options: RawPullOptions,
    mine: Bytes,
    theirs: Bytes,
    obstacles: Bytes,
}

fn wire_pull(raw: RawWirePull) -> Answer {
    let settled = raw.sides.settled;
    let facts = Facts::of_wire(raw.sides)?;
    let paths = PullPaths {
        mine: decoded(raw.mine)?,
        theirs: decoded(raw.theirs)?,
        obstacles: decoded(raw.obstacles)?,
    };
    Ok(pull_json(&plan_pull(facts.sides(), paths.options(raw.options, settled))))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawWriteWireIndex {
    files: Bytes,
    packs: Vec<RawPack>,
    replaces: Option<Bytes>,
}

fn write_wire_index(raw: RawWriteWireIndex) -> Answer {
    let placed = decode_chunked(&raw.files.into_bytes(), checked_packs(raw.packs)?);
    let (files, chunk_map) = placed.map_err(|error| match error {
        WireError::Run { .. } => "no_pack",
        _ => "facts",
    })?;
    written(&files, &chunk_map, raw.replaces)
}

fn decoded<T: Wire + HasPath>(bytes: Bytes) -> Result<ByPath<T>, String> {
    decode_by_path(&bytes.into_bytes()).map_err(|error| wire_error(&error))
}

fn wire_error(error: &WireError) -> String {
    let name = match error {
        WireError::Nested { .. } => "nested",
        WireError::Path { .. } => "path",
        WireError::Repeated { .. } => "repeated",
        WireError::Size { .. } => "size",
        WireError::Code
        | WireError::NotUtf8
        | WireError::Run { .. }
        | WireError::Truncated
        | WireError::Unsorted { .. } => "wire",
    };
    name.to_owned()
}

// Interface `types`.

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

/// Bytes as answers have them: a text where they are one, and not empty.
fn bytes_json(bytes: Vec<u8>) -> Value {
    match String::from_utf8(bytes) {
        Ok(text) if !text.is_empty() => text.into(),
        Ok(_) => json!([]),
        Err(error) => error.into_bytes().into(),
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawPack {
    digest: String,
    size: u64,
    chunks: u32,
    uncompressed_size: u64,
    table: RawTable,
    store: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawTable {
    offset: u64,
    size: u64,
    digest: String,
}

fn checked_packs(packs: Vec<RawPack>) -> Result<Vec<Pack>, String> {
    let pack = |raw: RawPack| {
        if raw.store.is_some() {
            return Err("pack".to_owned());
        }
        let digest = |text: &str| text.parse::<Digest>().map_err(|_| "pack");
        let toc =
            TableRef { offset: raw.table.offset, size: raw.table.size, digest: digest(&raw.table.digest)? };
        let pack = Pack {
            digest: digest(&raw.digest)?,
            size: raw.size,
            chunks: raw.chunks,
            raw: raw.uncompressed_size,
            toc,
        };
        pack.check().map_err(|_| "pack")?;
        Ok(pack)
    };
    packs.into_iter().map(pack).collect()
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawSides {
    local: Vec<RawFile>,
    remote: Vec<RawFile>,
    base: Vec<RawSyncedFile>,
    tracked: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
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
#[serde(deny_unknown_fields)]
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
    fn of(raw: RawSides) -> Result<Self, String> {
        Ok(Self {
            local: checked_files(raw.local)?,
            remote: checked_files(raw.remote)?,
            base: checked_synced_files(raw.base)?,
            tracked: checked_paths(&raw.tracked)?,
        })
    }

    fn of_wire(raw: RawWireSides) -> Result<Self, String> {
        let files = |bytes: Bytes| decode_files(&bytes.into_bytes()).map_err(|error| wire_error(&error));
        Ok(Self {
            local: files(raw.local)?,
            remote: files(raw.remote)?,
            base: decoded(raw.base)?,
            tracked: decoded(raw.tracked)?,
        })
    }

    fn sides(&self) -> Sides<'_> {
        Sides { local: &self.local, remote: &self.remote, base: &self.base, tracked: &self.tracked }
    }
}

fn checked_files(files: Vec<RawFile>) -> Result<ByPath<File>, String> {
    let files = files.into_iter().map(|file| checked_file(&file)).collect::<Result<_, _>>()?;
    ByPath::tree(files).map_err(|error| {
        let name = match error {
            TreeError::Nested { .. } => "nested",
            TreeError::Repeated(_) => "repeated",
            TreeError::Size { .. } => "size",
        };
        name.to_owned()
    })
}

fn checked_synced_files(files: Vec<RawSyncedFile>) -> Result<ByPath<SyncedFile>, String> {
    by_path(files.into_iter().map(|file| {
        let (path, digest) = (path(&file.path)?, digest(&file.digest)?);
        Ok(SyncedFile { path, digest, executable: file.executable })
    }))
}

fn checked_file(file: &RawFile) -> Result<File, String> {
    let (path, digest) = (path(&file.path)?, digest(&file.digest)?);
    Ok(File { path, digest, size: file.size, executable: file.executable })
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

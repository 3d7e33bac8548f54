//! The core as a component, and the only place that knows what runs one.
//!
//! [`Core`] offers each function of the contract over the core crate's own types; generated types stay in here.
//! Nothing is shared between two calls: each runs in an instance of its own, so a call that ends in a trap leaves
//! nothing behind that the next one could enter. To instantiate costs some 10 µs.

pub mod answers;
mod convert;
mod json;
pub mod measure;
mod signature;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use bundle_core::bundle::descriptor::Descriptor;
use bundle_core::bundle::layout::Layout;
use bundle_core::bundle::resolve::Resolved;
use bundle_core::diff::{Change, PathChange, Row, Sides, Unsettled};
use bundle_core::digest::Digest;
use bundle_core::file::{ByPath, File};
use bundle_core::name::reference::Tag;
use bundle_core::pack::chunk_map::ChunkMap;
use bundle_core::plan::delete::{DeleteDecision, DeleteFacts};
use bundle_core::plan::early_send::{EarlyFacts, EarlySend};
use bundle_core::plan::fetch::{ByteRange, RangeSupport};
use bundle_core::plan::layout::{LayoutChoice, LayoutPolicy, Readers};
use bundle_core::plan::pull::{PullOptions, PullPlan};
use bundle_core::plan::push::{Builds, PushFacts, PushPlan, complete};
use bundle_core::plan::repack::PackUse;
use bundle_core::plan::seal::{EmptyBlob, PackedSealRequest, SealRequest, Sealed, SealedManifest};
use bundle_core::plan::standing::{Standing, StandingFacts};
use bundle_core::plan::tag::{TagDecision, TagFacts};
use bundle_core::plan::version::{Version, VersionDecision, VersionFacts};
use modelops_bundle_component::{AddressSpace, config, precompiled};
use serde_json::Value;
use thiserror::Error;
use wasmtime::component::types::{ComponentFunc, ComponentInstance, ComponentItem};
use wasmtime::component::{Component, Linker, Val};
use wasmtime::{Engine, Store, Trap};

use crate::address_space;
use crate::whole_file::{self, Links};

use answers::{
    FactsError, IndexError, IndexView, ManifestError, ManifestView, ResolveError, SealError, VersionError,
};
use convert::seal::OriginTexts;
use convert::types::Texts;
use convert::wire::WireSides;
use generated::CorePre;
use generated::exports::modelops::bundle as contract;
pub use json::InputError;
use signature::NamedTypes;

/// The longest file of a component that is read, in bytes: the embedded one has less than a MiB.
pub const MAX_FILE_BYTES: u64 = 64 << 20;

mod generated {
    wasmtime::component::bindgen!({
        path: "../wit",
        world: "core",
        ownership: Borrowing { duplicate_if_necessary: true },
    });
}

/// A core, ready to be called. A clone is cheap and the same core.
#[derive(Clone)]
pub struct Core {
    bindings: CorePre<()>,
    component: Component,
    /// Of its bytes, unless they are those that this program carries.
    digest: Option<Digest>,
    /// What it answers to each row, by the row's byte; nothing where the row contradicts itself.
    changes: Arc<OnceLock<Vec<Option<Option<Change>>>>>,
}

/// One function of a core, as a person wants to read of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FunctionInfo {
    /// The interface that exports it, as `modelops:bundle/compare@0.3.0`.
    pub interface: String,
    /// Its name, as `plan-push`.
    pub name: String,
    /// Its parameters and result as WIT writes them.
    pub signature: String,
}

// A core from its bytes.

impl Core {
    /// The core that this program carries. It is made ready by the first caller.
    pub fn embedded() -> Result<Self, LoadError> {
        static CORE: OnceLock<Core> = OnceLock::new();
        if let Some(core) = CORE.get() {
            return Ok(core.clone());
        }
        let space = space();
        let engine = Engine::new(&config(space)).map_err(LoadError::engine)?;
        // SAFETY: the bytes come from the build script, which compiled them with this very version of the runtime;
        // nobody else can have written them.
        #[expect(unsafe_code, reason = "compiled code has to be believed")]
        let component = unsafe { Component::deserialize(&engine, precompiled(space)) };
        let component = component.map_err(LoadError::engine)?;
        let core = Self::from_component(component, None)?;
        Ok(CORE.get_or_init(|| core).clone())
    }

    /// The embedded core as any other host can load it.
    pub fn embedded_bytes() -> &'static [u8] {
        modelops_bundle_component::WASM
    }

    /// The core in a file, which holds a component; it is compiled here and now.
    pub fn from_file(path: &Path) -> Result<Self, LoadError> {
        let bytes = whole_file::read(path, MAX_FILE_BYTES, Links::Follow)
            .map_err(|source| LoadError::Read { path: path.to_owned(), source })?;
        Self::from_bytes(&bytes)
    }

    /// The core in `bytes`, which hold a component; it is compiled here and now.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, LoadError> {
        let engine = Engine::new(&config(space())).map_err(LoadError::engine)?;
        let component = Component::from_binary(&engine, bytes)
            .map_err(|source| LoadError::NoComponent { source: source.into() })?;
        Self::from_component(component, Some(Digest::of(bytes)))
    }

    fn from_component(component: Component, digest: Option<Digest>) -> Result<Self, LoadError> {
        let engine = component.engine();
        let imports: Vec<_> =
            component.component_type().imports(engine).map(|(name, _)| name.to_owned()).collect();
        if !imports.is_empty() {
            return Err(LoadError::Imports { imports });
        }
        let instance = Linker::new(engine).instantiate_pre(&component).map_err(LoadError::engine)?;
        let bindings =
            CorePre::new(instance).map_err(|source| LoadError::Contract { source: source.into() })?;
        Ok(Self { bindings, component, digest, changes: Arc::default() })
    }

    /// The digest of its bytes.
    pub fn digest(&self) -> Digest {
        self.digest.unwrap_or_else(|| Digest::of(Self::embedded_bytes()))
    }

    /// Name and version of the contract that it fulfils, as `modelops:bundle@0.3.0`.
    pub fn contract(&self) -> String {
        let names = self.component.component_type();
        let name = names.exports(self.engine()).map(|(name, _)| name).next().unwrap_or_default();
        let (package, version) = (name.split('/').next().unwrap_or_default(), name.split_once('@'));
        version.map_or(package.to_owned(), |(_, version)| format!("{package}@{version}"))
    }

    fn engine(&self) -> &Engine {
        self.component.engine()
    }
}

fn space() -> AddressSpace {
    match address_space::scarce() {
        Some(_) => AddressSpace::Scarce,
        None => AddressSpace::Ample,
    }
}

/// Why there is no core to call.
#[derive(Debug, Error)]
pub enum LoadError {
    /// It does not export what the contract asks for.
    #[error("the component does not fulfil the contract {}", modelops_bundle_component::CONTRACT)]
    Contract {
        /// What is missing.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The system does not let components run.
    #[error("components cannot be run here")]
    Engine {
        /// Why not.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// It would reach for the world outside.
    #[error("a core imports nothing, but this component imports {}", imports.join(", "))]
    Imports {
        /// What it imports.
        imports: Vec<String>,
    },
    /// The bytes are no component.
    #[error("it is not a WASM component")]
    NoComponent {
        /// What is wrong with them.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The file cannot be read.
    #[error("{} cannot be read", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
}

impl LoadError {
    fn engine(source: wasmtime::Error) -> Self {
        Self::Engine { source: source.into() }
    }
}

// Typed calls.

/// A core gave no answer that can be used.
#[derive(Debug, Error)]
pub enum CoreError {
    /// It answered something that the contract excludes.
    #[error("the core's answer breaks its contract: {reason}")]
    Answer {
        /// What is wrong with the answer.
        reason: String,
    },
    /// It stopped before it answered.
    #[error("the core stopped in `{function}`: {reason}")]
    Stopped {
        /// The function that was called.
        function: String,
        /// Why it stopped.
        reason: String,
    },
}

impl Core {
    /// Compares the sides: one change for every path that any of them still has, by path.
    pub fn diff(&self, sides: Sides<'_>) -> Result<Vec<PathChange>, FactsError> {
        let answers = self.classified()?;
        let mut changes = Vec::with_capacity(sides.local.len().max(sides.remote.len()));
        for (path, row) in bundle_core::diff::rows(sides) {
            let unanswered = || CoreError::Answer { reason: format!("the row {:#09b} has none", row.byte()) };
            let answer = answers.get(usize::from(row.byte())).copied().flatten().ok_or_else(unanswered)?;
            changes.extend(answer.map(|change| PathChange { path: path.clone(), change }));
        }
        Ok(changes)
    }

    /// What becomes of a path, for every row that there can be: they are few, so that all are asked for at once.
    fn classified(&self) -> Result<&[Option<Option<Change>>], FactsError> {
        if let Some(answers) = self.changes.get() {
            return Ok(answers);
        }
        let rows: Vec<Option<Row>> = (0..=u8::MAX).map(Row::from_byte).collect();
        let answers: Vec<_> = self.call("classify", |core, store| {
            let compare = core.modelops_bundle_compare();
            let mut classify = |row: Row| compare.call_classify(&mut *store, row.into());
            rows.into_iter().map(|row| row.map(&mut classify).transpose()).collect()
        })?;
        let change = |answer: Result<Option<contract::types::Change>, contract::types::FactsError>| {
            answer.map(|change| change.map(Change::from))
        };
        let answers: Result<Vec<_>, _> =
            answers.into_iter().map(|answer| answer.map(change).transpose()).collect();
        let answers = answers?;
        Ok(self.changes.get_or_init(|| answers))
    }

    /// Plans a push of `sides.local`, the files on disk that the project tracks. What `facts` say of settled paths is not
    /// looked at: they are found here.
    ///
    /// The new bundle also has the files `carried`, which are on no side and taken over as they are.
    pub fn plan_push(
        &self,
        sides: Sides<'_>,
        facts: PushFacts<'_>,
        carried: &ByPath<File>,
    ) -> Result<PushPlan, FactsError> {
        let unsettled = Unsettled::of(sides, &ByPath::default());
        let wire = WireSides::of(&unsettled);
        let untracked = bundle_core::wire::encode(facts.untracked);
        let asked = contract::wire::WirePushFacts {
            sides: wire.as_param(),
            rewrite: facts.rewrite.into(),
            free: facts.builds == Builds::On,
            untracked: &untracked,
        };
        let answer = self.call("plan-push-wire", |core, store| {
            core.modelops_bundle_wire().call_plan_push_wire(store, asked)
        })?;
        let decision = convert::push::push_decision(answer?)?;
        if carried.is_empty() {
            return Ok(complete(decision, sides, facts.rewrite));
        }
        let both = |files: &ByPath<File>| {
            ByPath::keeping_first(files.iter().chain(carried).cloned().collect::<Vec<_>>())
        };
        let (local, remote) = (both(sides.local), both(sides.remote));
        Ok(complete(decision, Sides { local: &local, remote: &remote, ..sides }, facts.rewrite))
    }

    /// Tells where a tag stands to a project.
    pub fn tag_standing(&self, facts: &StandingFacts<'_>) -> Result<Standing, CoreError> {
        let text = |digest: Option<Digest>| digest.map(|digest| digest.to_string());
        let (named, synced, seen) = (text(facts.named), text(facts.synced), text(facts.seen));
        let (named_ancestors, synced_ancestors) =
            (Texts::of(facts.named_ancestors.iter()), Texts::of(facts.synced_ancestors.iter()));
        let (named_ancestors, synced_ancestors): (Vec<&str>, Vec<&str>) =
            (named_ancestors.iter().collect(), synced_ancestors.iter().collect());
        let facts = contract::tag::StandingFacts {
            named: named.as_deref(),
            named_ancestors: &named_ancestors,
            synced: synced.as_deref(),
            synced_ancestors: &synced_ancestors,
            seen: seen.as_deref(),
        };
        let answer = self
            .call("tag-standing", |core, store| core.modelops_bundle_tag().call_tag_standing(store, facts))?;
        // Typed facts cannot be refused.
        let standing = answer.map_err(|fault| CoreError::Answer { reason: fault.reason })?;
        convert::tag::standing(&standing)
    }

    /// Chooses the layout of the next bundle, of so many files with so many bytes in all, after one in layout
    /// `current`, for these readers.
    pub fn choose_layout(
        &self,
        policy: LayoutPolicy,
        current: Option<Layout>,
        files: u64,
        total_size: u64,
        readers: Readers,
    ) -> Result<LayoutChoice, CoreError> {
        let facts = contract::push::LayoutFacts {
            policy: policy.into(),
            current: current.map(Into::into),
            files,
            total_size,
            readers: readers.into(),
        };
        let choice = self.call("choose-layout", |core, store| {
            core.modelops_bundle_push().call_choose_layout(store, facts)
        })?;
        Ok(choice.into())
    }

    /// Decides whether content may go ahead of the decision of a push.
    pub fn early_send(&self, facts: EarlyFacts) -> Result<EarlySend, CoreError> {
        let decision = self.call("early-send", |core, store| {
            core.modelops_bundle_push().call_early_send(store, facts.into())
        })?;
        Ok(decision.into())
    }

    /// Decides which packs a push writes anew, by their places in `packs`.
    pub fn plan_repack(&self, packs: &[PackUse]) -> Result<Vec<u32>, CoreError> {
        let packs: Vec<_> = packs.iter().map(|pack| (*pack).into()).collect();
        self.call("plan-repack", |core, store| core.modelops_bundle_pack().call_plan_repack(store, &packs))
    }

    /// Decides which ranges of a pack to ask for, given the frames that are needed, in the order of the pack.
    pub fn plan_ranges(
        &self,
        frames: &[ByteRange],
        support: RangeSupport,
    ) -> Result<Vec<ByteRange>, CoreError> {
        let frames: Vec<_> = frames.iter().map(|frame| (*frame).into()).collect();
        let ranges = self.call("plan-ranges", |core, store| {
            core.modelops_bundle_pack().call_plan_ranges(store, &frames, support.into())
        })?;
        Ok(ranges.into_iter().map(Into::into).collect())
    }

    /// Writes the text of the index of a bundle in layout `packed`, to be compressed; what `replaces` says beyond files
    /// is carried over.
    pub fn write_index(
        &self,
        files: &ByPath<File>,
        chunk_map: &ChunkMap,
        replaces: Option<&str>,
    ) -> Result<String, SealError> {
        let unplaced = || SealError::Other("not every file has a place".to_owned());
        let placed = chunk_map.of_files(files).ok_or_else(unplaced)?;
        let placed = bundle_core::wire::encode_chunked(placed.into_iter());
        let digests = Texts::of(pack_digests(&chunk_map.packs));
        let packs = convert::types::packs(&chunk_map.packs, &digests);
        let replaces = replaces.map(str::as_bytes);
        let answer = self.call("write-index-wire", |core, store| {
            core.modelops_bundle_wire().call_write_index_wire(store, &placed, &packs, replaces)
        })?;
        Ok(convert::text(answer?)?)
    }

    /// Makes the manifest of a bundle in layout `packed`, whose packs are in place.
    pub fn seal_packed(&self, request: &PackedSealRequest<'_>) -> Result<SealedManifest, SealError> {
        let digests = Texts::of(pack_digests(request.packs));
        let packs = convert::types::packs(request.packs, &digests);
        let (index_digest, tree) = (request.index_digest.to_string(), request.tree.to_string());
        let texts = OriginTexts::of(request.origin);
        let (parents, ancestors) = (texts.parents(), texts.ancestors(request.origin));
        let request = contract::seal::PackedSealRequest {
            index: contract::seal::BlobWithData {
                digest: &index_digest,
                size: request.index_size,
                data: request.index_data,
            },
            packs: &packs,
            tree: &tree,
            origin: texts.origin(request.origin, &parents, &ancestors),
        };
        let answer = self.call("seal-packed", |core, store| {
            core.modelops_bundle_seal().call_seal_packed(store, request)
        })?;
        Ok(convert::seal::sealed_manifest(answer?)?)
    }

    /// Plans a pull. What `options` say of settled paths is not looked at: they are found here.
    pub fn plan_pull(&self, sides: Sides<'_>, options: PullOptions<'_>) -> Result<PullPlan, FactsError> {
        let unsettled = Unsettled::of(sides, options.obstacles);
        let wire = WireSides::of(&unsettled);
        let paths = [options.mine, options.theirs, options.obstacles];
        let [mine, theirs, obstacles] = paths.map(bundle_core::wire::encode);
        let facts = contract::wire::WirePullFacts {
            sides: wire.as_param(),
            options: convert::pull::pull_options(options),
            mine: &mine,
            theirs: &theirs,
            obstacles: &obstacles,
        };
        let answer = self.call("plan-pull-wire", |core, store| {
            core.modelops_bundle_wire().call_plan_pull_wire(store, facts)
        })?;
        let mut plan = convert::pull::pull_plan(answer?)?;
        plan.find_local(sides.local);
        Ok(plan)
    }

    /// Makes the documents of a bundle in layout `files`, whose blobs are in place.
    pub fn seal(&self, request: &SealRequest<'_>) -> Result<Sealed, SealError> {
        let digests = Texts::of(request.files.iter().map(|file| &file.digest));
        let files = convert::types::files(request.files, &digests);
        let texts = OriginTexts::of(request.origin);
        let (parents, ancestors) = (texts.parents(), texts.ancestors(request.origin));
        let request = contract::seal::SealRequest {
            files: &files,
            replaces: request.replaces,
            origin: texts.origin(request.origin, &parents, &ancestors),
            empty_blob: request.empty_blob == EmptyBlob::Taken,
        };
        let answer =
            self.call("seal", |core, store| core.modelops_bundle_seal().call_seal(store, request))?;
        Ok(convert::seal::sealed(answer?)?)
    }

    /// Decides, just before a tag is written, whether it may be.
    pub fn decide_tag(&self, facts: &TagFacts) -> Result<TagDecision, CoreError> {
        let [planned, current] =
            [facts.planned, facts.current].map(|digest| digest.map(|digest| digest.to_string()));
        let target = facts.target.to_string();
        let facts = contract::tag::TagFacts {
            tag: facts.tag.as_str(),
            planned: planned.as_deref(),
            current: current.as_deref(),
            occupant: facts.occupant.into(),
            target: &target,
            force: facts.force,
            mover: facts.mover.into(),
        };
        let answer =
            self.call("decide-tag", |core, store| core.modelops_bundle_tag().call_decide_tag(store, facts))?;
        // Typed facts cannot be refused.
        let decision = answer.map_err(|fault| CoreError::Answer { reason: fault.reason })?;
        convert::tag::tag_decision(decision)
    }

    /// Decides what may be deleted.
    pub fn decide_delete(&self, facts: &DeleteFacts) -> Result<DeleteDecision, CoreError> {
        let tags: Vec<&str> = facts.tags.iter().map(Tag::as_str).collect();
        let facts = contract::tag::DeleteFacts {
            tag: facts.tag.as_ref().map(Tag::as_str),
            tags: &tags,
            occupant: facts.occupant.into(),
            unit: facts.unit.into(),
            force: facts.force,
        };
        let answer = self.call("decide-delete", |core, store| {
            core.modelops_bundle_tag().call_decide_delete(store, facts)
        })?;
        // Typed facts cannot be refused.
        let decision = answer.map_err(|fault| CoreError::Answer { reason: fault.reason })?;
        convert::tag::delete_decision(decision)
    }

    /// The highest version among `tags` that is released.
    pub fn highest_version(&self, tags: &[Tag]) -> Result<Option<Version>, CoreError> {
        let tags: Vec<&str> = tags.iter().map(Tag::as_str).collect();
        let answer = self.call("highest-version", |core, store| {
            core.modelops_bundle_version().call_highest_version(store, &tags)
        })?;
        answer.as_deref().map(convert::version::version).transpose()
    }

    /// Decides which version a push publishes.
    pub fn next_version(&self, facts: &VersionFacts) -> Result<VersionDecision, VersionError> {
        let highest = facts.highest.as_ref().map(Version::to_string);
        let facts = contract::version::VersionFacts {
            highest: highest.as_deref(),
            bump: facts.bump.into(),
            difference: facts.difference.map(Into::into),
        };
        let answer = self.call("next-version", |core, store| {
            core.modelops_bundle_version().call_next_version(store, facts)
        })?;
        Ok(convert::version::version_decision(&answer?)?)
    }

    /// Reads a manifest from its exact bytes.
    pub fn read_manifest(&self, manifest: &str) -> Result<ManifestView, ManifestError> {
        let answer = self.call("read-manifest", |core, store| {
            core.modelops_bundle_bundle().call_read_manifest(store, manifest.as_bytes())
        })?;
        Ok(convert::bundle::manifest_view(answer?)?)
    }

    /// Reads an index from its text, of which the caller has checked digest and size, and checks it against the
    /// manifest's `layers`. Hashing in here is several times slower than outside.
    pub fn read_verified_index(&self, index: &str, layers: &[Descriptor]) -> Result<IndexView, IndexError> {
        let digests = Texts::of(layers.iter().map(|layer| &layer.digest));
        let annotations = convert::types::annotations(layers);
        let layers = convert::types::descriptors(layers, &digests, &annotations);
        let answer = self.call("read-index-wire", |core, store| {
            core.modelops_bundle_wire().call_read_index_wire(store, index.as_bytes(), &layers)
        })?;
        Ok(convert::wire::index_view(answer?)?)
    }

    /// Decides the digest of a manifest that came from a remote: `actual` is the hash of the raw bytes, `declared`
    /// the header `Docker-Content-Digest` as it came, `pinned` the digest that was asked for.
    pub fn resolve(
        &self,
        actual: Digest,
        declared: Option<&str>,
        pinned: Option<Digest>,
    ) -> Result<Resolved, ResolveError> {
        let (actual, pinned) = (actual.to_string(), pinned.map(|digest| digest.to_string()));
        let answer = self.call("resolve", |core, store| {
            core.modelops_bundle_digest().call_resolve(store, &actual, declared, pinned.as_deref())
        })?;
        Ok(convert::digest::resolved(answer.map_err(convert::digest::resolve_error)?)?)
    }

    /// The tree digest of `files`.
    pub fn tree(&self, files: &ByPath<File>) -> Result<Digest, FactsError> {
        let texts = Texts::of(files.iter().map(|file| &file.digest));
        let files = convert::types::files(files, &texts);
        let answer = self.call("tree-digest", |core, store| {
            core.modelops_bundle_digest().call_tree_digest(store, &files)
        })?;
        Ok(convert::types::digest(&answer?)?)
    }

    /// The SHA-256 of `content`, which should be small: natively it is several times as fast.
    pub fn sha256(&self, content: &[u8]) -> Result<Digest, CoreError> {
        let answer =
            self.call("sha256", |core, store| core.modelops_bundle_digest().call_sha256(store, content))?;
        convert::types::digest(&answer)
    }

    /// A JSON document in canonical form (RFC 8785), or why it is no JSON that bundles take.
    pub fn canonicalize(&self, json: &str) -> Result<Result<String, String>, CoreError> {
        let answer = self.call("canonicalize", |core, store| {
            core.modelops_bundle_digest().call_canonicalize(store, json.as_bytes())
        })?;
        match answer {
            Ok(document) => convert::text(document).map(Ok),
            Err(reason) => Ok(Err(reason)),
        }
    }

    fn call<T>(
        &self,
        function: &str,
        call: impl FnOnce(&generated::Core, &mut Store<()>) -> wasmtime::Result<T>,
    ) -> Result<T, CoreError> {
        tracing::debug!(function, "asking the core");
        let mut store = self.store();
        let outcome = self.bindings.instantiate(&mut store).and_then(|core| call(&core, &mut store));
        outcome.map_err(|error| stopped(function, &error))
    }

    fn store(&self) -> Store<()> {
        let mut store = Store::new(self.engine(), ());
        // The limit is for guests that are not trusted with the host's memory.
        store.set_hostcall_fuel(usize::MAX);
        store
    }
}

/// The digest of each pack, and behind it that of its table.
fn pack_digests(packs: &[bundle_core::pack::table::Pack]) -> impl ExactSizeIterator<Item = &Digest> {
    let digests: Vec<_> = packs.iter().flat_map(|pack| [&pack.digest, &pack.toc.digest]).collect();
    digests.into_iter()
}

fn stopped(function: &str, error: &wasmtime::Error) -> CoreError {
    let reason = match error.downcast_ref::<Trap>() {
        Some(trap) => trap.to_string(),
        None => error.root_cause().to_string(),
    };
    CoreError::Stopped { function: function.to_owned(), reason }
}

// Calls by name.

/// A call by name gave no answer.
#[derive(Debug, Error)]
pub enum CallError {
    /// The core failed.
    #[error(transparent)]
    Core(#[from] CoreError),
    /// The input is not what the function takes.
    #[error(transparent)]
    Input(#[from] InputError),
    /// The function refuses what it was given: its error, as JSON.
    #[error("the core refuses it: {}", in_plain_json(.0))]
    Refused(Value),
    /// No interface exports such a function.
    #[error("the core has no function `{}`, only {}", name.escape_debug(), known.join(", "))]
    UnknownFunction {
        /// The name that was asked for.
        name: String,
        /// The names that there are.
        known: Vec<String>,
    },
}

/// JSON that stays so on a terminal: what that would obey, or not show, is escaped as JSON has it.
fn in_plain_json(value: &Value) -> String {
    let mut plain = String::new();
    for c in value.to_string().chars() {
        match c {
            ' '..='~' => plain.push(c),
            _ => {
                for unit in c.encode_utf16(&mut [0; 2]) {
                    plain.push_str(&format!("\\u{unit:04x}"));
                }
            }
        }
    }
    plain
}

impl Core {
    /// Every function of every interface that the core exports, in the order of the contract.
    pub fn functions(&self) -> Vec<FunctionInfo> {
        let mut functions = Vec::new();
        for (interface, instance) in self.interfaces() {
            let items: Vec<_> = instance.exports(self.engine()).collect();
            let named = items.iter().filter_map(|(name, item)| match &item.ty {
                ComponentItem::Type(ty) => Some((*name, ty.clone())),
                _ => None,
            });
            let types = NamedTypes(named.collect());
            for (name, item) in &items {
                if let ComponentItem::ComponentFunc(function) = &item.ty {
                    functions.push(FunctionInfo {
                        interface: interface.clone(),
                        name: (*name).to_owned(),
                        signature: types.signature(function),
                    });
                }
            }
        }
        functions
    }

    /// Calls the function `name`, in the WIT's spelling or in snake_case, of whichever interface exports it.
    ///
    /// `input` is an object of the function's parameters; see `json` for how values are spelled. A record that
    /// comes back is that object, anything else stands under `result`.
    pub fn call_json(&self, name: &str, input: Value) -> Result<Value, CallError> {
        let Some((interface, name, function)) = self.function(name) else {
            let known = self.functions().into_iter().map(|function| function.name).collect();
            return Err(CallError::UnknownFunction { name: name.to_owned(), known });
        };
        let parameters: Vec<_> = function.params().collect();
        let arguments = json::arguments(&parameters, input)?;
        let mut results = vec![Val::Bool(false); function.results().len()];
        self.call_values(&interface, &name, &arguments, &mut results)
            .map_err(|error| stopped(&name, &error))?;
        json::write_outcome(results.pop()).map_err(CallError::Refused)
    }

    fn call_values(
        &self,
        interface: &str,
        name: &str,
        arguments: &[Val],
        results: &mut [Val],
    ) -> wasmtime::Result<()> {
        let mut store = self.store();
        let instance = self.bindings.instance_pre().instantiate(&mut store)?;
        let interface = instance.get_export_index(&mut store, None, interface);
        let index = instance.get_export_index(&mut store, interface.as_ref(), name);
        let function = index.and_then(|index| instance.get_func(&mut store, index));
        function
            .ok_or_else(|| wasmtime::Error::msg("it is not exported"))?
            .call(&mut store, arguments, results)
    }

    /// Interface, name and type of a function.
    fn function(&self, name: &str) -> Option<(String, String, ComponentFunc)> {
        let wanted = name.replace('_', "-");
        self.interfaces().into_iter().find_map(|(interface, instance)| {
            match instance.get_export(self.engine(), &wanted)?.ty {
                ComponentItem::ComponentFunc(function) => Some((interface, wanted.clone(), function)),
                _ => None,
            }
        })
    }

    fn interfaces(&self) -> Vec<(String, ComponentInstance)> {
        let component = self.component.component_type();
        let exports = component.exports(self.engine());
        exports
            .filter_map(|(name, item)| match item.ty {
                ComponentItem::ComponentInstance(instance) => Some((name.to_owned(), instance)),
                _ => None,
            })
            .collect()
    }
}

#[cfg(test)]
mod tests;

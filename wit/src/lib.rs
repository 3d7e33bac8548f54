//! The component: the contract `modelops:bundle`, fulfilled by [`bundle_core`].
//!
//! Nothing is decided here: each method converts (`convert/`), calls the core and converts back. It exists for
//! `wasm32-unknown-unknown` alone, because that is the target whose components import nothing. A panic would end the
//! component as a trap without a message, so every failure is an error of the contract.

#![cfg(target_arch = "wasm32")]
#![deny(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod convert;

#[expect(unsafe_code, reason = "generated code: it alone touches the memory that a host hands over")]
mod generated {
    wit_bindgen::generate!({ path: ".", world: "core" });

    use super::Component;
    export!(Component);
}

use bundle_core::bundle::index::{BundleIndex, check_content, check_layers};
use bundle_core::bundle::manifest::Manifest;
use bundle_core::digest::Digest;
use bundle_core::plan::push::PushFacts;
use convert::pull::PullPaths;
use convert::types::Facts;
use generated::exports::modelops::bundle::{
    bundle, compare, digest, pack, pull, push, seal, tag, types, undo, version, wire,
};

/// Fulfils the whole contract.
struct Component;

impl digest::Guest for Component {
    fn sha256(content: Vec<u8>) -> String {
        Digest::of(&content).to_string()
    }

    fn tree_digest(files: Vec<types::File>) -> Result<String, types::FactsError> {
        Ok(bundle_core::bundle::tree::tree_digest(&convert::types::files(files)?).to_string())
    }

    fn resolve(
        actual: String,
        declared: Option<String>,
        pinned: Option<String>,
    ) -> Result<digest::Resolved, digest::ResolveError> {
        let actual = actual.parse().map_err(|_| digest::ResolveError::Actual(actual))?;
        let pinned = convert::types::optional_digest(pinned)
            .map_err(|fault| digest::ResolveError::Pinned(fault.text))?;
        Ok(bundle_core::bundle::resolve::resolve(actual, declared.as_deref(), pinned)?.into())
    }

    fn canonicalize(json: Vec<u8>) -> Result<Vec<u8>, String> {
        match bundle_core::canonical::parse(&json) {
            Ok(value) => Ok(bundle_core::canonical::to_string(&value).into_bytes()),
            Err(error) => Err(convert::with_causes(&error)),
        }
    }
}

impl bundle::Guest for Component {
    fn parse_reference(text: String) -> Result<bundle::ParsedReference, types::Fault> {
        text.parse::<bundle_core::name::reference::Reference>()
            .map(Into::into)
            .map_err(|error| convert::types::fault(text, &error))
    }

    fn read_manifest(manifest: Vec<u8>) -> Result<bundle::ManifestView, bundle::ManifestError> {
        let digest = Digest::of(&manifest);
        let manifest = Manifest::parse(&manifest)?;
        let index = manifest.embedded_index()?;
        convert::bundle::manifest_view(manifest, digest, index)
    }

    fn decompress_index(index: Vec<u8>) -> Result<Vec<u8>, bundle::IndexError> {
        Ok(BundleIndex::decompress(&index)?.into_bytes())
    }

    fn read_index(
        index: Vec<u8>,
        descriptor: types::Descriptor,
        layers: Vec<types::Descriptor>,
    ) -> Result<bundle::IndexView, bundle::IndexError> {
        check_content(&index, &convert::bundle::descriptor(descriptor)?)?;
        Self::read_verified_index(index, layers)
    }

    fn read_verified_index(
        index: Vec<u8>,
        layers: Vec<types::Descriptor>,
    ) -> Result<bundle::IndexView, bundle::IndexError> {
        Ok((&read(&index, layers)?).into())
    }
}

fn read(index: &[u8], layers: Vec<types::Descriptor>) -> Result<BundleIndex, bundle::IndexError> {
    let index = BundleIndex::parse(index)?;
    check_layers(&index, &convert::bundle::descriptors(layers)?)?;
    Ok(index)
}

impl compare::Guest for Component {
    fn diff(sides: types::Sides) -> Result<compare::Comparison, types::FactsError> {
        Ok(bundle_core::diff::diff(Facts::try_from(sides)?.sides()).into())
    }

    fn classify(row: compare::Row) -> Result<Option<types::Change>, types::FactsError> {
        Ok(bundle_core::diff::Row::try_from(row)?.classify().map(Into::into))
    }
}

impl push::Guest for Component {
    fn plan_push(facts: push::PushFacts) -> Result<push::PushDecision, types::FactsError> {
        let sides = Facts::try_from(facts.sides)?;
        let push = PushFacts {
            builds: convert::push::builds(facts.free),
            rewrite: facts.rewrite.into(),
            untracked: &convert::types::files(facts.untracked)?,
            settled: 0,
        };
        Ok(bundle_core::plan::push::plan_push(sides.sides(), push).into())
    }

    fn choose_layout(facts: push::LayoutFacts) -> push::LayoutChoice {
        let policy: bundle_core::plan::layout::LayoutPolicy = facts.policy.into();
        let current = facts.current.map(Into::into);
        policy.choose_after(current, facts.readers.into(), facts.files, facts.total_size).into()
    }

    fn early_send(facts: push::EarlyFacts) -> push::EarlyDecision {
        bundle_core::plan::early_send::early_send(facts.into()).into()
    }
}

impl pull::Guest for Component {
    fn plan_pull(facts: pull::PullFacts) -> Result<pull::PullDecision, types::FactsError> {
        let sides = Facts::try_from(facts.sides)?;
        let (untracked, obstacles) =
            (convert::types::paths(facts.untracked)?, convert::types::paths(facts.obstacles)?);
        let paths = PullPaths {
            mine: convert::types::paths(facts.mine)?,
            theirs: convert::types::paths(facts.theirs)?,
            obstacles: bundle_core::plan::pull::hidden(&sides.local, &untracked, &obstacles),
        };
        Ok(bundle_core::plan::pull::plan_pull(sides.sides(), paths.options(facts.options, 0)).into())
    }
}

impl seal::Guest for Component {
    fn seal(request: seal::SealRequest) -> Result<seal::Sealed, seal::SealError> {
        convert::seal::seal(request)
    }

    fn seal_packed(request: seal::PackedSealRequest) -> Result<seal::SealedManifest, seal::SealError> {
        convert::seal::seal_packed(request)
    }

    fn write_index(
        files: Vec<types::PlacedFile>,
        packs: Vec<types::Pack>,
        replaces: Option<Vec<u8>>,
    ) -> Result<Vec<u8>, seal::SealError> {
        let (files, chunk_map) = convert::seal::placed_files(files, &packs)?;
        Ok(bundle_core::plan::seal::packed_index(&files, &chunk_map, replaces.as_deref())?.into_bytes())
    }
}

impl tag::Guest for Component {
    fn tag_standing(facts: tag::StandingFacts) -> Result<tag::Standing, types::Fault> {
        convert::tag::standing(facts)
    }

    fn decide_tag(facts: tag::TagFacts) -> Result<tag::TagDecision, types::Fault> {
        Ok(bundle_core::plan::tag::decide_tag(&facts.try_into()?).into())
    }

    fn decide_delete(facts: tag::DeleteFacts) -> Result<tag::DeleteDecision, types::Fault> {
        Ok(bundle_core::plan::delete::decide_delete(&facts.try_into()?).into())
    }
}

impl version::Guest for Component {
    fn highest_version(tags: Vec<String>) -> Option<String> {
        bundle_core::plan::version::highest_version_among(&tags).map(|version| version.to_string())
    }

    fn next_version(facts: version::VersionFacts) -> Result<version::VersionDecision, version::VersionError> {
        Ok(bundle_core::plan::version::next_version(&facts.try_into()?)?.into())
    }
}

impl pack::Guest for Component {
    fn plan_repack(packs: Vec<pack::PackUse>) -> Vec<u32> {
        let packs: Vec<_> = packs.into_iter().map(Into::into).collect();
        // A list that fits into a component has no more.
        bundle_core::plan::repack::plan_repack(&packs).into_iter().map(|at| at as u32).collect()
    }

    fn plan_ranges(frames: Vec<pack::ByteRange>, support: pack::RangeSupport) -> Vec<pack::ByteRange> {
        let frames: Vec<_> = frames.into_iter().map(Into::into).collect();
        let ranges = bundle_core::plan::fetch::plan_ranges(&frames, support.into());
        ranges.into_iter().map(Into::into).collect()
    }
}

impl wire::Guest for Component {
    fn plan_push_wire(facts: wire::WirePushFacts) -> Result<wire::WirePushDecision, types::FactsError> {
        let sides = Facts::try_from(&facts.sides)?;
        let push = PushFacts {
            builds: convert::push::builds(facts.free),
            rewrite: facts.rewrite.into(),
            untracked: &convert::wire::decode(&facts.untracked)?,
            settled: facts.sides.settled,
        };
        Ok(bundle_core::plan::push::decide_push(sides.sides(), push).into())
    }

    fn plan_pull_wire(facts: wire::WirePullFacts) -> Result<pull::PullDecision, types::FactsError> {
        let sides = Facts::try_from(&facts.sides)?;
        let paths = PullPaths {
            mine: convert::wire::decode(&facts.mine)?,
            theirs: convert::wire::decode(&facts.theirs)?,
            obstacles: convert::wire::decode(&facts.obstacles)?,
        };
        let options = paths.options(facts.options, facts.sides.settled);
        Ok(bundle_core::plan::pull::plan_pull(sides.sides(), options).into())
    }

    fn read_index_wire(
        index: Vec<u8>,
        layers: Vec<types::Descriptor>,
    ) -> Result<wire::WireIndex, bundle::IndexError> {
        Ok((&read(&index, layers)?).into())
    }

    fn write_index_wire(
        files: Vec<u8>,
        packs: Vec<types::Pack>,
        replaces: Option<Vec<u8>>,
    ) -> Result<Vec<u8>, seal::SealError> {
        let (files, chunk_map) = convert::wire::placed_files(&files, &packs)?;
        Ok(bundle_core::plan::seal::packed_index(&files, &chunk_map, replaces.as_deref())?.into_bytes())
    }
}

impl undo::Guest for Component {
    fn choose_undo(operations: Vec<undo::Operation>, count: u32) -> Result<Vec<u32>, undo::UndoError> {
        let operations: Vec<_> = operations.into_iter().map(Into::into).collect();
        let chosen = bundle_core::plan::undo::choose(&operations, count as usize)?;
        // A list that fits into a component has no more.
        Ok(chosen.into_iter().map(|at| at as u32).collect())
    }

    fn make_room(kept: Vec<u64>, needed: u64, limit: undo::KeptLimit) -> Result<u32, types::Excess> {
        // A list that fits into a component has no more.
        Ok(bundle_core::plan::keep::make_room(&kept, needed, limit.into())? as u32)
    }

    fn had_elsewhere(facts: undo::TakenFacts) -> Result<Vec<undo::FileElsewhere>, types::FactsError> {
        convert::undo::files_elsewhere(facts)
    }

    fn lost_by_removal(facts: undo::RemovalFacts) -> Result<Vec<undo::LostFile>, types::FactsError> {
        convert::undo::lost_files(facts)
    }
}

//! The component: the contract `modelops:bundle`, fulfilled by [`bundle_core`].
//!
//! Nothing is decided here: each method converts (`convert.rs`), calls the core and converts back. It exists for
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
use convert::Facts;
use generated::exports::modelops::bundle::{bulk, bundle, diff, digest, plan, types};

/// Fulfils the whole contract.
struct Component;

impl digest::Guest for Component {
    fn sha256(content: Vec<u8>) -> String {
        bundle_core::digest::Digest::of(&content).to_string()
    }

    fn tree(files: Vec<types::File>) -> Result<String, types::FactsError> {
        Ok(bundle_core::bundle::tree::tree_digest(&convert::files(files)?).to_string())
    }

    fn resolve(
        actual: String,
        declared: Option<String>,
        pinned: Option<String>,
    ) -> Result<digest::Resolved, digest::ResolveError> {
        let actual = actual.parse().map_err(|_| digest::ResolveError::Actual(actual))?;
        let pinned =
            convert::optional_digest(pinned).map_err(|fault| digest::ResolveError::Pinned(fault.text))?;
        Ok(bundle_core::bundle::resolve::resolve(actual, declared.as_deref(), pinned)?.into())
    }
}

impl bundle::Guest for Component {
    fn parse_reference(text: String) -> Result<bundle::Reference, types::Fault> {
        text.parse::<bundle_core::name::reference::Reference>()
            .map(Into::into)
            .map_err(|error| convert::fault(text, &error))
    }

    fn read_manifest(manifest: String) -> Result<bundle::ManifestView, bundle::ManifestError> {
        let digest = bundle_core::digest::Digest::of(manifest.as_bytes());
        let manifest = Manifest::parse(manifest.as_bytes())?;
        let index = manifest.embedded_index()?;
        convert::manifest_view(manifest, digest, index)
    }

    fn decompress_index(index: Vec<u8>) -> Result<String, bundle::IndexError> {
        Ok(BundleIndex::decompress(&index)?)
    }

    fn read_index(
        index: String,
        descriptor: bundle::Descriptor,
        layers: Vec<bundle::Descriptor>,
    ) -> Result<bundle::IndexView, bundle::IndexError> {
        check_content(index.as_bytes(), &convert::descriptor(descriptor)?)?;
        Self::read_verified_index(index, layers)
    }

    fn read_verified_index(
        index: String,
        layers: Vec<bundle::Descriptor>,
    ) -> Result<bundle::IndexView, bundle::IndexError> {
        Ok(convert::index_view(&read(&index, layers)?))
    }

    fn canonicalize(json: String) -> Result<String, String> {
        match bundle_core::canonical::parse(json.as_bytes()) {
            Ok(value) => Ok(bundle_core::canonical::to_string(&value)),
            Err(error) => Err(convert::text(&error)),
        }
    }
}

fn read(index: &str, layers: Vec<bundle::Descriptor>) -> Result<BundleIndex, bundle::IndexError> {
    let index = BundleIndex::parse(index.as_bytes())?;
    check_layers(&index, &convert::descriptors(layers)?)?;
    Ok(index)
}

impl diff::Guest for Component {
    fn diff(
        local: Vec<types::File>,
        remote: Vec<types::File>,
        base: Vec<types::SyncedFile>,
        tracked: Vec<String>,
    ) -> Result<diff::Comparison, types::FactsError> {
        let facts = Facts::new(local, remote, base, tracked)?;
        Ok(convert::comparison(bundle_core::diff::diff(facts.sides())))
    }
}

impl plan::Guest for Component {
    fn plan_push(
        local: Vec<types::File>,
        remote: Vec<types::File>,
        base: Vec<types::SyncedFile>,
        tracked: Vec<String>,
        rewrite: Option<plan::Rewrite>,
        free: Option<bool>,
        untracked: Option<Vec<types::File>>,
    ) -> Result<plan::PushPlan, types::FactsError> {
        let facts = Facts::new(local, remote, base, tracked)?;
        let rewrite = rewrite.map(Into::into).unwrap_or_default();
        let untracked = convert::files(untracked.unwrap_or_default())?;
        let push = convert::push_facts(free.unwrap_or_default(), rewrite, &untracked, 0);
        Ok(bundle_core::plan::push::plan_push(facts.sides(), push).into())
    }

    fn choose_layout(
        policy: plan::LayoutPolicy,
        current: Option<types::Layout>,
        files: u64,
        total_size: u64,
        readers: Option<types::Readers>,
    ) -> plan::LayoutChoice {
        let policy: bundle_core::plan::layout::LayoutPolicy = policy.into();
        let readers = readers.map(Into::into).unwrap_or_default();
        policy.choose_after(current.map(Into::into), readers, files, total_size).into()
    }

    fn plan_repack(packs: Vec<plan::PackUse>) -> Vec<u32> {
        let packs: Vec<_> = packs.into_iter().map(Into::into).collect();
        // A list that fits into a component has no more.
        bundle_core::plan::repack::plan_repack(&packs).into_iter().map(|at| at as u32).collect()
    }

    fn plan_ranges(frames: Vec<plan::ByteRange>, support: plan::RangeSupport) -> Vec<plan::ByteRange> {
        let frames: Vec<_> = frames.into_iter().map(Into::into).collect();
        let ranges = bundle_core::plan::fetch::plan_ranges(&frames, support.into());
        ranges.into_iter().map(Into::into).collect()
    }

    fn write_index(
        files: Vec<types::File>,
        runs: Vec<Vec<types::Run>>,
        packs: Vec<types::Pack>,
        replaces: Option<String>,
    ) -> Result<String, plan::SealError> {
        let (files, placement) = convert::placed_files(files, &runs, &packs)?;
        let replaces = replaces.as_deref().map(str::as_bytes);
        Ok(bundle_core::plan::seal::packed_index(&files, &placement, replaces)?)
    }

    fn seal_packed(request: plan::PackedSealRequest) -> Result<plan::SealedManifest, plan::SealError> {
        convert::seal_packed(request)
    }

    fn seal(request: plan::SealRequest) -> Result<plan::Sealed, plan::SealError> {
        convert::seal(request)
    }

    fn tag_standing(facts: plan::StandingFacts) -> Result<plan::Standing, types::Fault> {
        convert::standing_facts(facts, |facts| bundle_core::plan::standing::standing(facts).into())
    }

    fn decide_tag(facts: plan::TagFacts) -> Result<plan::TagDecision, types::Fault> {
        Ok(bundle_core::plan::tag::decide_tag(&convert::tag_facts(facts)?).into())
    }

    fn decide_delete(facts: plan::DeleteFacts) -> Result<plan::DeleteDecision, types::Fault> {
        Ok(bundle_core::plan::delete::decide_delete(&convert::delete_facts(facts)?).into())
    }

    fn highest_version(tags: Vec<String>) -> Option<String> {
        // A text that is no tag is no version either.
        let tags: Vec<_> = tags.iter().filter_map(|tag| tag.parse().ok()).collect();
        bundle_core::plan::version::highest_version(&tags).map(|version| version.to_string())
    }

    fn next_version(facts: plan::VersionFacts) -> Result<plan::VersionDecision, plan::VersionError> {
        Ok(bundle_core::plan::version::next_version(&convert::version_facts(facts)?)?.into())
    }

    fn plan_pull(
        local: Vec<types::File>,
        remote: Vec<types::File>,
        base: Vec<types::SyncedFile>,
        tracked: Vec<String>,
        mode: plan::PullMode,
        restore_deleted: Option<bool>,
        mine: Option<Vec<String>>,
        theirs: Option<Vec<String>>,
        untracked: Option<Vec<String>>,
        obstacles: Option<Vec<String>>,
        accept_deletions: Option<bool>,
    ) -> Result<plan::PullPlan, types::FactsError> {
        let facts = Facts::new(local, remote, base, tracked)?;
        let paths = |list: Option<Vec<String>>| convert::paths(list.unwrap_or_default());
        let paths = convert::PullPaths {
            mine: paths(mine)?,
            theirs: paths(theirs)?,
            obstacles: facts.hidden(&paths(untracked)?, &paths(obstacles)?),
        };
        let options = plan::PullOptions {
            mode,
            restore_deleted: restore_deleted.unwrap_or_default(),
            accept_deletions: accept_deletions.unwrap_or_default(),
        };
        Ok(bundle_core::plan::pull::plan_pull(facts.sides(), paths.options(options, 0)).into())
    }
}

impl bulk::Guest for Component {
    fn classify(rows: Vec<u8>) -> Result<Vec<u8>, types::FactsError> {
        rows.into_iter().map(|row| Ok(convert::change_code(convert::row(row)?.classify()))).collect()
    }

    fn decide_push_packed(
        sides: bulk::Sides,
        settled: u64,
        free: bool,
        rewrite: plan::Rewrite,
        untracked: Vec<u8>,
    ) -> Result<bulk::PushDecision, types::FactsError> {
        let facts = Facts::decode(&sides)?;
        let untracked = convert::decode(&untracked)?;
        let push = convert::push_facts(free, rewrite.into(), &untracked, settled);
        Ok(bundle_core::plan::push::decide_push(facts.sides(), push).into())
    }

    fn read_index_packed(
        index: String,
        layers: Vec<bundle::Descriptor>,
    ) -> Result<bulk::PackedIndex, bundle::IndexError> {
        Ok(convert::packed_index(&read(&index, layers)?))
    }

    fn write_index_packed(
        files: Vec<u8>,
        packs: Vec<types::Pack>,
        replaces: Option<String>,
    ) -> Result<String, plan::SealError> {
        let (files, placement) = convert::decode_chunked_files(&files, &packs)?;
        let replaces = replaces.as_deref().map(str::as_bytes);
        Ok(bundle_core::plan::seal::packed_index(&files, &placement, replaces)?)
    }

    fn plan_pull_packed(
        sides: bulk::Sides,
        settled: u64,
        options: plan::PullOptions,
        mine: Vec<u8>,
        theirs: Vec<u8>,
        obstacles: Vec<u8>,
    ) -> Result<plan::PullPlan, types::FactsError> {
        let facts = Facts::decode(&sides)?;
        let paths = convert::PullPaths {
            mine: convert::decode(&mine)?,
            theirs: convert::decode(&theirs)?,
            obstacles: convert::decode(&obstacles)?,
        };
        Ok(bundle_core::plan::pull::plan_pull(facts.sides(), paths.options(options, settled)).into())
    }
}

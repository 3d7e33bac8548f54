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

use bundle_core::index::{BundleIndex, check_layers};
use bundle_core::manifest::Manifest;
use convert::Facts;
use generated::exports::modelops::bundle::{bulk, bundle, diff, digest, plan, types};

/// Fulfils the whole contract.
struct Component;

impl digest::Guest for Component {
    fn sha256(content: Vec<u8>) -> String {
        bundle_core::digest::Digest::of(&content).to_string()
    }

    fn tree(files: Vec<types::File>) -> Result<String, types::FactsError> {
        Ok(bundle_core::tree::tree_digest(&convert::files(files)?).to_string())
    }

    fn resolve(
        actual: String,
        declared: Option<String>,
        pinned: Option<String>,
    ) -> Result<digest::Resolved, digest::ResolveError> {
        let actual = actual.parse().map_err(|_| digest::ResolveError::Actual(actual))?;
        let pinned =
            convert::optional_digest(pinned).map_err(|fault| digest::ResolveError::Pinned(fault.text))?;
        Ok(bundle_core::digest::resolve(actual, declared.as_deref(), pinned)?.into())
    }
}

impl bundle::Guest for Component {
    fn parse_reference(text: String) -> Result<bundle::Reference, types::Fault> {
        text.parse::<bundle_core::reference::Reference>()
            .map(Into::into)
            .map_err(|error| convert::fault(text, &error))
    }

    fn read_manifest(manifest: String) -> Result<bundle::ManifestView, bundle::ManifestError> {
        let manifest = Manifest::parse(manifest.as_bytes())?;
        let index = manifest.embedded_index()?;
        convert::manifest_view(manifest, index)
    }

    fn read_index(
        index: String,
        descriptor: bundle::Descriptor,
        layers: Vec<bundle::Descriptor>,
    ) -> Result<bundle::IndexView, bundle::IndexError> {
        convert::check_content(index.as_bytes(), &convert::descriptor(descriptor)?)?;
        Self::read_verified_index(index, layers)
    }

    fn read_verified_index(
        index: String,
        layers: Vec<bundle::Descriptor>,
    ) -> Result<bundle::IndexView, bundle::IndexError> {
        let index = BundleIndex::parse(index.as_bytes())?;
        check_layers(&index.entries, &convert::descriptors(layers)?)?;
        Ok(convert::index_view(&index))
    }

    fn canonicalize(json: String) -> Result<String, String> {
        match bundle_core::canonical::parse(json.as_bytes()) {
            Ok(value) => Ok(bundle_core::canonical::to_string(&value)),
            Err(error) => Err(convert::text(&error)),
        }
    }
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
    ) -> Result<plan::PushPlan, types::FactsError> {
        let facts = Facts::new(local, remote, base, tracked)?;
        Ok(bundle_core::plan::push::plan_push(facts.sides()).into())
    }

    fn seal(mut request: plan::SealRequest) -> Result<plan::Sealed, plan::SealError> {
        let files = convert::files(std::mem::take(&mut request.files)).map_err(plan::SealError::Facts)?;
        Ok(bundle_core::plan::seal::seal(&convert::seal_request(&request, &files))?.into())
    }

    fn decide_tag(facts: plan::TagFacts) -> Result<plan::TagDecision, types::Fault> {
        Ok(bundle_core::plan::tag::decide_tag(&convert::tag_facts(facts)?).into())
    }

    fn plan_pull(
        local: Vec<types::File>,
        remote: Vec<types::File>,
        base: Vec<types::SyncedFile>,
        tracked: Vec<String>,
        mode: plan::PullMode,
        obstacles: Option<Vec<String>>,
    ) -> Result<plan::PullPlan, types::FactsError> {
        let facts = Facts::new(local, remote, base, tracked)?;
        let obstacles = convert::paths(obstacles.unwrap_or_default())?;
        Ok(bundle_core::plan::pull::plan_pull(facts.sides(), mode.into(), &obstacles).into())
    }
}

impl bulk::Guest for Component {
    fn classify(rows: Vec<u8>) -> Result<Vec<u8>, types::FactsError> {
        rows.into_iter().map(|row| Ok(convert::change_code(convert::row(row)?.classify()))).collect()
    }

    fn plan_push_packed(sides: bulk::Sides) -> Result<plan::PushPlan, types::FactsError> {
        let facts = Facts::unpack(&sides)?;
        Ok(bundle_core::plan::push::plan_push(facts.sides()).into())
    }

    fn plan_pull_packed(
        sides: bulk::Sides,
        mode: plan::PullMode,
        obstacles: Vec<u8>,
    ) -> Result<plan::PullPlan, types::FactsError> {
        let facts = Facts::unpack(&sides)?;
        let obstacles = convert::unpack(&obstacles)?;
        Ok(bundle_core::plan::pull::plan_pull(facts.sides(), mode.into(), &obstacles).into())
    }
}

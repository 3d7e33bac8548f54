//! Interface `wire`.

use bundle_core::bundle::index::BundleIndex;
use bundle_core::bundle::tree::tree_digest;
use bundle_core::file::{ByPath, File, HasPath, total_size};
use bundle_core::pack::chunk_map::ChunkMap;
use bundle_core::plan::push::PushDecision;
use bundle_core::wire::{Wire, WireError, decode_by_path, decode_chunked, decode_files, encode_chunked};

use crate::generated::exports::modelops::bundle::{seal, types, wire};

use super::bundle::groups;
use super::push::changes_and_reasons;
use super::types::{Facts, fault};
use super::with_causes;

impl TryFrom<&wire::WireSides> for Facts {
    type Error = types::FactsError;

    fn try_from(sides: &wire::WireSides) -> Result<Self, types::FactsError> {
        Ok(Self {
            local: decode_files(&sides.local)?,
            remote: decode_files(&sides.remote)?,
            base: decode(&sides.base)?,
            tracked: decode(&sides.tracked)?,
        })
    }
}

pub(crate) fn decode<T: Wire + HasPath>(bytes: &[u8]) -> Result<ByPath<T>, types::FactsError> {
    Ok(decode_by_path(bytes)?)
}

impl From<WireError> for types::FactsError {
    fn from(error: WireError) -> Self {
        match error {
            WireError::Nested { folder, below } => Self::Nested(types::Nesting { folder, below }),
            WireError::Path { text, fault } => Self::Path(self::fault(text, &fault)),
            WireError::Repeated { path } => Self::Repeated(path),
            WireError::Size { path } => Self::Size(path),
            WireError::Code
            | WireError::NotUtf8
            | WireError::Run { .. }
            | WireError::Truncated
            | WireError::Unsorted { .. } => Self::Wire(with_causes(&error)),
        }
    }
}

impl From<PushDecision> for wire::WirePushDecision {
    fn from(decision: PushDecision) -> Self {
        let is_refused = decision.is_refused();
        let (plan, reasons) = changes_and_reasons(decision);
        if is_refused { Self::Refused(wire::RefusedChanges { plan, reasons }) } else { Self::Plan(plan) }
    }
}

impl From<&BundleIndex> for wire::WireIndex {
    fn from(index: &BundleIndex) -> Self {
        let files = index.files();
        Self {
            version: index.version().to_owned(),
            layout: index.layout.into(),
            tree: tree_digest(&files).into(),
            total_size: total_size(&files),
            packs: index.packs.iter().cloned().map(Into::into).collect(),
            layers: groups(index, "layers"),
            roles: groups(index, "roles"),
            is_plain: index.is_plain(),
            files: encode_chunked(index.entries.iter().map(|entry| (&entry.file, &*entry.runs))),
        }
    }
}

pub(crate) fn placed_files(
    files: &[u8],
    packs: &[types::Pack],
) -> Result<(ByPath<File>, ChunkMap), seal::SealError> {
    let error = |error| match error {
        WireError::Run { path } => seal::SealError::NoPack(path),
        error => seal::SealError::Facts(types::FactsError::from(error)),
    };
    decode_chunked(files, super::seal::packs(packs)?).map_err(error)
}

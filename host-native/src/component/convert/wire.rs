//! Interface `wire`.

use std::collections::BTreeMap;

use bundle_core::diff::Unsettled;
use bundle_core::wire::{decode_chunked, encode};

use crate::component::answers::IndexView;
use crate::component::generated::exports::modelops::bundle::{bundle, wire};

use super::types::{digest, pack};
use super::{Answer, fault};

/// The facts of a comparison as flat bytes: a hundred thousand records one by one would take several times as long
/// to cross as the comparison itself.
pub(in crate::component) struct WireSides {
    local: Vec<u8>,
    remote: Vec<u8>,
    base: Vec<u8>,
    tracked: Vec<u8>,
    settled: u64,
}

impl WireSides {
    pub(in crate::component) fn of(unsettled: &Unsettled) -> Self {
        let sides = unsettled.sides();
        Self {
            local: encode(sides.local),
            remote: encode(sides.remote),
            base: encode(sides.base),
            tracked: encode(sides.tracked),
            settled: unsettled.settled(),
        }
    }

    pub(in crate::component) fn as_param(&self) -> wire::WireSides<'_> {
        let Self { local, remote, base, tracked, settled } = self;
        wire::WireSides { local, remote, base, tracked, settled: *settled }
    }
}

pub(in crate::component) fn index_view(view: wire::WireIndex) -> Answer<IndexView> {
    let groups = |list: Vec<bundle::Group>| -> BTreeMap<_, _> {
        list.into_iter().map(|group| (group.name, group.members)).collect()
    };
    let packs = view.packs.iter().map(pack).collect::<Answer<_>>()?;
    let (files, chunk_map) = decode_chunked(&view.files, packs).map_err(|error| fault(error.to_string()))?;
    Ok(IndexView {
        version: view.version,
        layout: view.layout.into(),
        files,
        chunk_map,
        tree: digest(&view.tree)?,
        total_size: view.total_size,
        layers: groups(view.layers),
        roles: groups(view.roles),
        is_plain: view.is_plain,
    })
}

//! The core as a component: its bytes, and the same compiled ahead of time for the system that this is built for.
//!
//! The build script makes both, and proves that the component imports nothing. Nothing here runs it.

include!("config.rs");

/// The component: what `core export` writes and any other host can load.
pub static WASM: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/core.wasm"));

/// [`WASM`], compiled ahead of time under [`config`].
pub fn precompiled(space: AddressSpace) -> &'static [u8] {
    match space {
        AddressSpace::Ample => include_bytes!(concat!(env!("OUT_DIR"), "/ample.cwasm")),
        AddressSpace::Scarce => include_bytes!(concat!(env!("OUT_DIR"), "/scarce.cwasm")),
    }
}

/// Name and version of the contract that the component fulfils, as `modelops:bundle@0.3.0`.
pub const CONTRACT: &str = env!("CONTRACT");

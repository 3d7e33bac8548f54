//! Packs: content cut into chunks, and chunks gathered in blobs.

pub mod chunk;
pub mod chunk_map;
#[cfg(not(target_arch = "wasm32"))]
pub mod effort;
pub mod limits;
pub mod table;
#[cfg(not(target_arch = "wasm32"))]
pub mod write;
pub mod zstd;

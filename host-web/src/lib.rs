//! The core in a browser: bytes in, views out, read-only.
//!
//! This file is the face that JavaScript sees, and only converts. `bundle.rs` opens and checks a bundle by asking the
//! core, `unpack.rs` takes files out of packs, `table.rs` turns over the files, `view.rs` holds the values that a page
//! is shown. The page itself is in
//! `www/`, and `build/` puts both together. Nothing here fetches or renders anything.

#![forbid(unsafe_code)]

mod bundle;
mod document;
mod table;
mod unpack;
mod view;

use bundle_core::causes::with_causes;
use bundle_core::digest::Hasher;
use tsify::{Ts, Tsify};
use wasm_bindgen::JsError;
use wasm_bindgen::prelude::wasm_bindgen;

use crate::bundle::{Bundle, OpeningError};
use crate::table::Table;
use crate::unpack::Unpacking;
use crate::view::{
    Check, ContentBlob, DocumentKind, FileCheck, LayoutEntry, Limits, ManifestHead, PackSlice, Query, Rows,
    Summary, Verification,
};

/// What every function here returns: a view, or an `Error` that says what failed, why, and what to do next.
type Answer<T> = Result<Ts<T>, JsError>;

/// The version of this program.
#[wasm_bindgen]
pub fn version() -> String {
    env!("CARGO_PKG_VERSION").to_owned()
}

/// The greatest documents that are read; a page need not fetch more than that.
#[wasm_bindgen]
pub fn limits() -> Answer<Limits> {
    Ok(document::LIMITS.into_ts()?)
}

/// Tells what kind of document some bytes are, by their shape.
#[wasm_bindgen]
pub fn recognize(document: &[u8]) -> Answer<DocumentKind> {
    Ok(document::recognize(document).into_ts()?)
}

/// Reads as much of a manifest as tells which index it wants.
#[wasm_bindgen(js_name = readManifest)]
pub fn read_manifest(manifest: &[u8]) -> Answer<ManifestHead> {
    let head = document::read_manifest(manifest).map_err(OpeningError::Open);
    Ok(head.map_err(|error| open_error(&error))?.into_ts()?)
}

/// Reads the manifests that the `index.json` of an OCI image layout names.
#[wasm_bindgen(js_name = readLayout)]
pub fn read_layout(layout: &[u8]) -> Result<Vec<Ts<LayoutEntry>>, JsError> {
    let entries = document::read_layout(layout).map_err(|error| {
        let why = with_causes(&error);
        JsError::new(&format!(
            "`index.json` of the layout cannot be read: {why}. Open the whole folder of an OCI image layout."
        ))
    })?;
    entries.iter().map(|entry| Ok(entry.into_ts()?)).collect()
}

/// An open bundle.
#[wasm_bindgen]
#[derive(Debug)]
pub struct Inspector {
    bundle: Bundle,
    table: Table,
    unpacking: Unpacking,
}

#[wasm_bindgen]
impl Inspector {
    /// Opens a bundle from the exact bytes of its manifest and, unless the manifest carries it, its index. `pinned`
    /// is the digest that the bundle is to have.
    ///
    /// Documents that can be read but do not match open all the same: the checks say so.
    #[wasm_bindgen(constructor)]
    #[expect(clippy::needless_pass_by_value, reason = "optional arguments come from JavaScript owned")]
    pub fn new(manifest: &[u8], index: Option<Box<[u8]>>, pinned: Option<String>) -> Result<Self, JsError> {
        let bundle = Bundle::open(manifest, index.as_deref(), pinned.as_deref());
        let bundle = bundle.map_err(|error| open_error(&error))?;
        Ok(Self { bundle, table: Table::default(), unpacking: Unpacking::default() })
    }

    /// The bundle at a glance.
    pub fn summary(&self) -> Answer<Summary> {
        Ok(self.bundle.summary().into_ts()?)
    }

    /// The checks of its documents against each other.
    pub fn checks(&self) -> Result<Vec<Ts<Check>>, JsError> {
        self.bundle.checks().iter().map(|check| Ok(check.into_ts()?)).collect()
    }

    /// A part of the list of its files.
    #[expect(clippy::needless_pass_by_value, reason = "objects come from JavaScript owned")]
    pub fn rows(&mut self, query: Ts<Query>) -> Answer<Rows> {
        let query = query.to_rust()?;
        Ok(self.table.rows(&self.bundle, &query).into_ts()?)
    }

    /// How far the bundle is verified by now.
    pub fn verification(&self) -> Answer<Verification> {
        Ok(self.bundle.verification().into_ts()?)
    }

    /// The blobs in which its files lie; an empty file needs none.
    pub fn blobs(&self) -> Result<Vec<Ts<ContentBlob>>, JsError> {
        self.bundle.blobs().iter().map(|blob| Ok(blob.into_ts()?)).collect()
    }

    /// Compares some bytes, which `content` has taken, with the files and packs that they may be; `name` is a path in
    /// the bundle, a path below one more folder, or the place of a blob in an OCI image layout.
    #[wasm_bindgen(js_name = checkContent)]
    pub fn check_content(&mut self, name: &str, content: ContentHasher) -> Answer<FileCheck> {
        let (size, digest) = (content.0.length(), content.0.finish());
        self.table.forget();
        Ok(self.bundle.check_content(name, digest, size).into_ts()?)
    }

    /// Where the table of a pack lies in it.
    #[wasm_bindgen(js_name = tableSlice)]
    pub fn table_slice(&self, pack: u32) -> Result<Option<Ts<PackSlice>>, JsError> {
        Ok(unpack::table_slice(&self.bundle, pack).map(|slice| slice.into_ts()).transpose()?)
    }

    /// Takes the table of a pack that is verified, so that files can be taken out of it.
    #[wasm_bindgen(js_name = takeTable)]
    pub fn take_table(&mut self, pack: u32, table: &[u8]) -> Result<(), JsError> {
        let name = self.bundle.pack_name(pack as usize);
        unpack::take_table(&mut self.bundle, pack, table).map_err(|error| {
            JsError::new(&format!("{name} is not as the index says: {}", with_causes(&error)))
        })
    }

    /// Begins to put together the files whose packs are here.
    #[wasm_bindgen(js_name = beginUnpacking)]
    pub fn begin_unpacking(&mut self) {
        self.unpacking = Unpacking::of(&self.bundle);
    }

    /// Turns to the next of these files; false where none is left.
    #[wasm_bindgen(js_name = nextFile)]
    pub fn next_file(&mut self) -> bool {
        self.unpacking.turn_to_next()
    }

    /// The bytes that this file needs next; nothing once it has all.
    #[wasm_bindgen(js_name = nextSlice)]
    pub fn next_slice(&self) -> Result<Option<Ts<PackSlice>>, JsError> {
        Ok(self.unpacking.next_slice(&self.bundle).map(|slice| slice.into_ts()).transpose()?)
    }

    /// Takes the bytes of that slice.
    #[wasm_bindgen(js_name = takeSlice)]
    pub fn take_slice(&mut self, slice: &[u8]) {
        self.unpacking.take(&self.bundle, slice);
    }

    /// Compares this file with what the index says of it.
    #[wasm_bindgen(js_name = checkFile)]
    pub fn check_file(&mut self) -> Result<Option<Ts<FileCheck>>, JsError> {
        self.table.forget();
        let unpacked = self.unpacking.finish();
        let check = unpacked.and_then(|(file, found)| self.bundle.keep_file(file, found));
        Ok(check.map(|check| check.into_ts()).transpose()?)
    }
}

/// Takes the bytes of one file piece by piece, so that a file of any size can be checked.
#[wasm_bindgen]
#[derive(Debug, Default)]
pub struct ContentHasher(Hasher);

#[wasm_bindgen]
impl ContentHasher {
    /// Starts on empty content.
    #[wasm_bindgen(constructor)]
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes the next piece.
    pub fn update(&mut self, piece: &[u8]) {
        self.0.update(piece);
    }
}

fn open_error(error: &OpeningError) -> JsError {
    JsError::new(&format!("{}. {}", with_causes(error), error.hint()))
}

//! What reads bytes of strangers, each as one function of bytes that must neither panic nor contradict itself.
//!
//! Two things call these: libFuzzer, through the programs in `tests/fuzz`, where `cargo xtask fuzz` runs it; and the test
//! `fuzz` of every run, which plays the corpus in `tests/fuzz/corpus` and changes it at random, from a fixed seed.

use bundle_core::bundle::descriptor::media_type;
use bundle_core::bundle::index::{BundleIndex, check_layers};
use bundle_core::bundle::manifest::Manifest;
use bundle_core::digest::Digest;
use bundle_core::file::SyncedFile;
use bundle_core::ignore::{EntryKind, IgnoreRules};
use bundle_core::name::path::BundlePath;
use bundle_core::name::reference::Reference;
use bundle_core::pack::table::{Frame, Pack, Table, TableRef};
use bundle_core::wire;
use modelops_bundle::credentials::Credentials;
use modelops_bundle::credentials::config::{Config, ConfigPlace};
use modelops_bundle::credentials::server::Server;
use modelops_bundle::remote::Remote as _;
use modelops_bundle::remote::archive::Archive;
use std::fs;

/// Something that reads bytes of strangers.
#[derive(Clone, Copy, Debug)]
pub struct FuzzTarget {
    /// The name of its program and of the folder of its corpus.
    pub name: &'static str,
    /// How many changed inputs a run of the tests tries: fewer where one takes long.
    pub rounds: u32,
    /// Reads the bytes, and says whether they could be read; panics where that goes wrong.
    pub read: fn(&[u8]) -> bool,
}

/// Everything that is fuzzed.
pub const FUZZ_TARGETS: [FuzzTarget; 8] = [
    FuzzTarget { name: "archive", rounds: 400, read: archive },
    FuzzTarget { name: "docker_config", rounds: 4000, read: docker_config },
    FuzzTarget { name: "index", rounds: 4000, read: index },
    FuzzTarget { name: "manifest", rounds: 4000, read: manifest },
    FuzzTarget { name: "pack_table", rounds: 4000, read: pack_table },
    FuzzTarget { name: "pattern", rounds: 4000, read: pattern },
    FuzzTarget { name: "reference", rounds: 8000, read: reference },
    FuzzTarget { name: "wire", rounds: 8000, read: wire_form },
];

/// A manifest, as a registry answers it: what is read is written and read again.
pub fn manifest(bytes: &[u8]) -> bool {
    let Ok(manifest) = Manifest::parse(bytes) else { return false };
    let _ = (manifest.readers(), manifest.embedded_index());
    let written = manifest.to_json();
    assert_eq!(Manifest::parse(written.as_bytes()).ok(), Some(manifest), "{written}");
    true
}

/// An index, as text and compressed: what is read is written and read again.
pub fn index(bytes: &[u8]) -> bool {
    let _ = BundleIndex::text(bytes, media_type::INDEX_V2);
    let Ok(index) = BundleIndex::parse(bytes) else { return false };
    let (files, chunk_map) = (index.files(), index.chunk_map());
    assert_eq!(files.len(), chunk_map.len(), "every file has its runs, if none");
    let _ = (index.groups("layers"), index.is_plain(), check_layers(&index, &[]));
    let written = index.to_json();
    let again = BundleIndex::parse(written.as_bytes()).expect("what was written can be read");
    assert_eq!(again.to_json(), written);
    true
}

/// The table of a pack: three numbers that an index would say of it, then the table as it is stored.
pub fn pack_table(bytes: &[u8]) -> bool {
    let Some((numbers, stored)) = bytes.split_first_chunk::<20>() else { return false };
    let number = |at: usize| numbers[at..].first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes));
    // The number of chunks has four bytes, the others have eight.
    let (raw, offset) = (number(4), number(12));
    let toc = TableRef { offset, size: stored.len() as u64, digest: Digest::of(stored) };
    let pack = Pack {
        digest: Digest::of(b""),
        size: offset.saturating_add(toc.size),
        chunks: number(0) as u32,
        raw,
        toc,
    };
    let Ok(table) = Table::parse(stored, &pack) else { return false };
    assert_eq!(table.frames.len(), pack.chunks as usize);
    assert_eq!(table.frames.iter().map(|frame| u64::from(frame.raw)).sum::<u64>(), raw);
    assert_eq!(table.frames.last().map(Frame::end), Some(offset));
    true
}

/// The flat bytes of facts: what is read is written with the same meaning.
pub fn wire_form(bytes: &[u8]) -> bool {
    let Some((form, bytes)) = bytes.split_first() else { return false };
    match form % 4 {
        0 => {
            let Ok(files) = wire::decode_files(bytes) else { return false };
            let written = wire::encode(files.iter());
            assert_eq!(wire::decode_files(&written), Ok(files));
        }
        1 => {
            let Ok(synced) = wire::decode::<SyncedFile>(bytes) else { return false };
            assert_eq!(wire::encode(&synced), bytes);
        }
        2 => {
            let Ok(paths) = wire::decode::<BundlePath>(bytes) else { return false };
            assert_eq!(wire::encode(&paths), bytes);
        }
        _ => {
            let toc = TableRef { offset: 10, size: 20, digest: Digest::of(b"") };
            let pack = Pack { digest: Digest::of(b""), size: 30, chunks: 1, raw: 10, toc };
            let Ok((files, chunk_map)) = wire::decode_chunked(bytes, vec![pack; 3]) else { return false };
            let chunked = chunk_map.of_files(&files).expect("every file has its runs, if none");
            assert_eq!(wire::encode_chunked(chunked.into_iter()), bytes);
        }
    }
    true
}

/// A path, a line feed, and the text of an ignore file.
pub fn pattern(bytes: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(bytes) else { return false };
    let (path, text) = text.split_once('\n').unwrap_or((text, ""));
    let mut rules = IgnoreRules::defaults();
    rules.add_file("", text);
    rules.add_file("a", text);
    for kind in [EntryKind::File, EntryKind::Folder] {
        let decision = rules.decision(path, kind);
        let ignores =
            decision.is_some_and(|decision| decision.verdict == bundle_core::ignore::Verdict::Ignore);
        assert_eq!(rules.is_ignored(path, kind), ignores);
    }
    true
}

/// A reference: what is read is shown, read again, and shown as the same.
pub fn reference(bytes: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(bytes) else { return false };
    let Ok(reference) = text.parse::<Reference>() else { return false };
    let shown = reference.to_string();
    let again =
        shown.parse::<Reference>().unwrap_or_else(|error| panic!("`{shown}` is not read again: {error}"));
    assert_eq!(again.to_string(), shown);
    assert_eq!((again.tag, again.digest), (reference.tag, reference.digest));
    true
}

/// A tar archive of an image layout, from its headers to its list of tags.
pub fn archive(bytes: &[u8]) -> bool {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let path = folder.path().join("archive.tar");
    fs::write(&path, bytes).expect("a temporary file can be written");
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime can be made");
    let archive = Archive::new(path);
    runtime.block_on(archive.tags()).is_ok()
}

/// A file of credentials in Docker's format, asked for a server and changed.
pub fn docker_config(bytes: &[u8]) -> bool {
    let place = ConfigPlace::Variable("DOCKER_AUTH_CONFIG");
    let Ok(mut config) = Config::parse(place, bytes) else { return false };
    let of_repository = Server::new("registry.example.org:5000", "team/model");
    let _ = (config.helper(&of_repository), config.credentials(&of_repository));
    let server = Server::new("registry.example.org:5000", "");
    let credentials = Credentials::Password { user: "researcher".to_owned(), password: "secret".to_owned() };
    if config.insert(&server, &credentials).is_ok() {
        let found = config.credentials(&server).expect("what was written can be read");
        assert_eq!(found.map(|found| found.credentials), Some(credentials));
    }
    let _ = config.remove(&server);
    true
}

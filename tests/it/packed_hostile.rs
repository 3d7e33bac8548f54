//! Packed bundles that mean harm: a clear error, nothing changed, little memory.

use std::fs;
use std::path::Path;

use bundle_core::bundle::descriptor::media_type::{INDEX_V1, INDEX_V2, MANIFEST, PACK};
use bundle_core::digest::Digest;
use bundle_core::file::{ByPath, File};
use bundle_core::pack::chunk::{ChunkHash, Chunker, MAX_CHUNK, Rest};
use bundle_core::pack::chunk_map::ChunkMap;
use bundle_core::pack::effort::Effort;
use bundle_core::pack::table::Run;
use bundle_core::pack::write::{FrameWriter, PackWriter};
use bundle_core::pack::zstd::{Compressor, decompress};
use bundle_core::plan::fetch::{MAX_PROPORTION, PLAUSIBLE_BYTES};
use bundle_core::plan::seal::packed_index;
use modelops_bundle_tests::{TestProject, assert_pull_is_refused, noise, text};
use serde_json::{Value, json};
use tempfile::TempDir;

/// What a pull of a bundle of 150 kB may hold, the compiled component and the program included.
const MEMORY: u64 = 256 << 20;

/// What a table has before its columns, and of each chunk: hash, offset, stored size, raw size, encoding.
const TABLE_HEAD: usize = 12;
const WIDTHS: [usize; 5] = [32, 8, 4, 4, 1];

/// A bundle of one pack, open to every change: `a` is several chunks as they are, `b` the last one, compressed.
#[derive(Clone)]
struct Forgery {
    /// The frames of the pack, one after the other.
    frames: Vec<u8>,
    /// The text of its table.
    table: Vec<u8>,
    /// What follows the table's frame.
    trailer: Vec<u8>,
    index: Value,
}

impl Forgery {
    fn honest() -> Self {
        let contents = [("a", noise(1, 150_000)), ("b", text(5000))];
        let (mut encoder, mut writer) = (FrameWriter::new().unwrap(), PackWriter::default());
        let (mut frames, mut files, mut runs) = (Vec::new(), Vec::new(), Vec::new());
        for (path, content) in &contents {
            let first = writer.chunks();
            let mut rest = &content[..];
            for length in Chunker::new().lengths(content, Rest::Whole) {
                let (chunk, after) = rest.split_at(length);
                rest = after;
                let stored = encoder.encode(ChunkHash::of(chunk), chunk, Effort::Try).unwrap();
                writer.add(&stored);
                frames.extend_from_slice(&stored.bytes);
            }
            runs.push(Run { pack: 0, first, count: writer.chunks() - first });
            let (path, digest) = (path.parse().unwrap(), Digest::of(content));
            files.push(File { path, digest, size: content.len() as u64, executable: Some(false) });
        }
        let finished = writer.finish().unwrap();
        let size = TABLE_HEAD + WIDTHS.iter().sum::<usize>() * finished.table.frames.len();
        let table = decompress(&finished.stored_table, size).unwrap();
        let mut chunk_map = ChunkMap::new(vec![finished.pack]);
        runs.iter().for_each(|run| chunk_map.push(&[*run]));
        let index = packed_index(&ByPath::new(files).unwrap(), &chunk_map, None).unwrap();
        Self { frames, table, trailer: Vec::new(), index: serde_json::from_str(&index).unwrap() }
    }

    fn chunks(&self) -> usize {
        (self.table.len() - TABLE_HEAD) / WIDTHS.iter().sum::<usize>()
    }

    /// A number of the table: that of a chunk in a column.
    fn cell(&mut self, column: usize, chunk: usize) -> &mut [u8] {
        let before: usize = WIDTHS[..column].iter().sum();
        let start = TABLE_HEAD + before * self.chunks() + WIDTHS[column] * chunk;
        &mut self.table[start..start + WIDTHS[column]]
    }

    fn add(&mut self, column: usize, chunk: usize, difference: i64) {
        let cell = self.cell(column, chunk);
        let mut number = [0; 8];
        number[..cell.len()].copy_from_slice(cell);
        let number = i64::from_le_bytes(number) + difference;
        cell.copy_from_slice(&number.to_le_bytes()[..cell.len()]);
    }

    fn edit(mut self, change: impl FnOnce(&mut Self)) -> Self {
        change(&mut self);
        self
    }

    /// The pack as it is now; the index says what is true of it as a blob.
    fn pack(&mut self) -> Vec<u8> {
        let table = Compressor::new().unwrap().compress(&self.table).unwrap();
        self.pack_with_table(&table)
    }

    fn pack_with_table(&mut self, table: &[u8]) -> Vec<u8> {
        let table = [table, &self.trailer].concat();
        let pack = [&self.frames[..], &table].concat();
        let named = &mut self.index["packs"][0];
        named["digest"] = json!(Digest::of(&pack));
        named["size"] = json!(pack.len());
        named["toc"] =
            json!({"offset": self.frames.len(), "size": table.len(), "digest": Digest::of(&table)});
        pack
    }

    /// Serves it, with an index that is changed last.
    fn serve(mut self, change: impl FnOnce(&mut Value)) -> Served {
        let pack = self.pack();
        self.serve_pack(&pack, change)
    }

    fn serve_pack(mut self, pack: &[u8], change: impl FnOnce(&mut Value)) -> Served {
        change(&mut self.index);
        let text = self.index.to_string();
        let served = Served::new();
        served.blob(pack);
        served.bundle(&compressed(text.as_bytes()), INDEX_V2, &layers(&self.index), |_| ());
        served
    }
}

fn compressed(text: &[u8]) -> Vec<u8> {
    Compressor::new().unwrap().compress(text).unwrap()
}

/// The layers that an index asks for.
fn layers(index: &Value) -> Value {
    let packs = index["packs"].as_array().unwrap().iter();
    packs.map(|pack| json!({"mediaType": PACK, "digest": pack["digest"], "size": pack["size"]})).collect()
}

/// An OCI layout of its own, with whatever is put into it.
struct Served {
    folder: TempDir,
}

impl Served {
    fn new() -> Self {
        let served = Self { folder: tempfile::tempdir().unwrap() };
        fs::create_dir_all(served.path().join("blobs/sha256")).unwrap();
        fs::write(served.path().join("oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#).unwrap();
        served
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    fn reference(&self) -> String {
        format!("oci:{}", self.path().display())
    }

    fn blob(&self, content: &[u8]) -> Value {
        let digest = Digest::of(content);
        fs::write(self.path().join("blobs/sha256").join(digest.hex()), content).unwrap();
        json!({"digest": digest, "size": content.len()})
    }

    /// Puts an index and its manifest there, whose JSON `change` may spoil.
    fn bundle(&self, index: &[u8], index_type: &str, layers: &Value, change: impl FnOnce(&mut Value)) {
        let mut config = self.blob(index);
        config["mediaType"] = json!(index_type);
        let mut manifest =
            json!({"schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": layers});
        change(&mut manifest);
        let mut named = self.blob(manifest.to_string().as_bytes());
        named["mediaType"] = json!(MANIFEST);
        named["annotations"] = json!({"org.opencontainers.image.ref.name": "latest"});
        let list = json!({"schemaVersion": 2, "manifests": [named]});
        fs::write(self.path().join("index.json"), list.to_string()).unwrap();
    }

    #[track_caller]
    fn expect_refusal(&self, codes: &[i32], words: &str) {
        let peak = assert_pull_is_refused(&self.reference(), codes, words);
        assert!(peak.is_none_or(|peak| peak < MEMORY), "{words}: it held {peak:?} bytes");
    }

    /// Pulls it, whole and right.
    #[track_caller]
    fn expect_honest(&self) -> TestProject {
        let project = TestProject::new();
        let output = project.run(&["pull", &self.reference()]).success();
        assert!(project.read("a") == noise(1, 150_000) && project.read("b") == text(5000));
        assert!(output.peak_memory().is_none_or(|peak| peak < MEMORY), "{:?}", output.peak_memory());
        project
    }
}

fn nothing(_: &mut Value) {}

/// What is done to a table, of which the last chunk is given.
type Lie = fn(&mut Forgery, usize);

#[test]
fn a_table_that_contradicts_its_pack_is_refused() {
    let _ = Forgery::honest().serve(nothing).expect_honest();
    let last = Forgery::honest().chunks() - 1;
    let lies: [(&str, Lie); 12] = [
        ("overlap", |it, _| it.add(1, 1, -1)),
        ("gap", |it, _| it.add(1, 1, 1)),
        ("far away", |it, last| it.cell(1, last).fill(0xff)),
        ("stored size", |it, _| it.add(2, 0, 1)),
        ("stored size of what is compressed", |it, last| it.add(2, last, 1)),
        ("huge stored size", |it, last| it.cell(2, last).fill(0xff)),
        ("raw size", |it, last| it.add(3, last, 1)),
        ("huge raw size", |it, last| it.cell(3, last).fill(0xff)),
        ("no raw size", |it, last| it.cell(3, last).fill(0)),
        ("unknown encoding", |it, _| it.cell(4, 0).fill(2)),
        ("count", |it, _| it.table[8] += 1),
        ("four billion chunks", |it, _| it.table[8..12].fill(0xff)),
    ];
    for (what, lie) in lies {
        let served = Forgery::honest().edit(|it| lie(it, last)).serve(nothing);
        println!("{what}");
        served.expect_refusal(&[8], "the table of the pack");
    }
    for (what, cut) in [("a chunk less", 1), ("not even a head", 200)] {
        let served = Forgery::honest().edit(|it| it.table.truncate(it.table.len().saturating_sub(cut)));
        println!("{what}");
        served.serve(nothing).expect_refusal(&[8], "table");
    }
    Forgery::honest()
        .edit(|it| it.trailer = b"garbage".to_vec())
        .serve(nothing)
        .expect_refusal(&[8], "the table of the pack");
    Forgery::honest()
        .serve(|index| index["packs"][0]["toc"]["digest"] = json!(Digest::of(b"other")))
        .expect_refusal(&[8], "the table of the pack");
    let mut wide = Forgery::honest();
    let pack = wide.pack_with_table(&wide_frame(&wide.table.clone()));
    wide.serve_pack(&pack, nothing).expect_refusal(&[8], "the table of the pack");
}

/// A Zstandard frame with a window of 2 GiB, of one raw block.
fn wide_frame(content: &[u8]) -> Vec<u8> {
    let mut frame = vec![0x28, 0xb5, 0x2f, 0xfd, 0x80, 21 << 3];
    frame.extend_from_slice(&(content.len() as u32).to_le_bytes());
    frame.extend_from_slice(&((content.len() as u32) << 3 | 1).to_le_bytes()[..3]);
    frame.extend_from_slice(content);
    frame
}

#[test]
fn numbers_that_cannot_be_true() {
    let edits: &[(&str, &str, Value, &str)] = &[
        ("packs", "/packs/0/chunks", json!(4_294_967_295_u32), "pack"),
        ("packs", "/packs/0/chunks", json!(0), "pack"),
        ("packs", "/packs/0/chunks", json!(1_u64 << 32), "index"),
        ("packs", "/packs/0/raw", json!(1), "pack"),
        ("packs", "/packs/0/raw", json!(1_u64 << 52), "pack"),
        ("packs", "/packs/0/toc/offset", json!(0), "pack"),
        ("packs", "/packs/0/toc/size", json!(u64::MAX), "pack"),
        ("packs", "/packs/0/size", json!(1_u64 << 53), "size"),
        ("packs", "/packs/0/digest", json!("sha256:../../x"), "digest"),
        ("runs", "/files/a/runs", json!([[0, 0, 999]]), "chunks of `a`"),
        ("runs", "/files/a/runs", json!([[1, 0, 1]]), "chunks of `a`"),
        ("runs", "/files/a/runs", json!([[0, 0, 0]]), "chunks of `a`"),
        ("runs", "/files/a/runs", json!([[0, 4_294_967_295_u32, 4_294_967_295_u32]]), "chunks of `a`"),
        ("runs", "/files/a/runs", json!([[0, 0, 1], [0, 0, 1]]), "`a`"),
        ("runs", "/files/a/runs", json!([]), "chunks of `a`"),
        ("runs", "/files/a/runs", json!([[0, 0, 1, 1]]), "index"),
        ("runs", "/files/a/runs", json!([[0, 0, -1]]), "index"),
        ("runs", "/files/a/runs", json!(null), "index"),
        ("size", "/files/a/size", json!(150_001), "`a`"),
        ("size", "/files/a/size", json!(149_999), "`a`"),
        ("size", "/files/a/size", json!(0), "`a`"),
        ("size", "/files/a/size", json!(1_u64 << 53), "`a`"),
        ("size", "/files/a/size", json!(1_u64 << 40), "chunks of `a`"),
        ("digest", "/files/a/digest", json!(Digest::of(b"other")), "`a`"),
        ("digest", "/files/a/digest", json!(Digest::EMPTY), "`a`"),
        ("chunker", "/chunker/avg", json!(1), "cut in a way"),
        ("chunker", "/chunker", json!(null), "cut in a way"),
        ("packs", "/packs", json!([]), "chunks of `a`"),
    ];
    for (what, place, value, words) in edits {
        println!("{what} {place} {value}");
        let served = Forgery::honest().serve(|index| *index.pointer_mut(place).unwrap() = value.clone());
        served.expect_refusal(&[8], words);
    }
    Forgery::honest()
        .serve(|index| index["files"]["a"]["storage"] = json!("oci"))
        .expect_refusal(&[1], "stored as");
}

#[test]
fn frames_that_are_not_their_chunks() {
    let last = Forgery::honest().chunks() - 1;
    let honest = Forgery::honest();
    let end = honest.frames.len();
    let stored = |it: &mut Forgery| u32::from_le_bytes(it.cell(2, last).try_into().unwrap()) as usize;
    let frame = |it: &mut Forgery| end - stored(it)..end;

    let wrong_bytes = honest.clone().edit(|it| it.frames[70_000] ^= 1).serve(nothing);
    wrong_bytes.expect_refusal(&[8], "`a`");
    let garbage = honest.clone().edit(|it| {
        let frame = frame(it);
        it.frames[frame].fill(0xff);
    });
    garbage.serve(nothing).expect_refusal(&[8], "damaged");
    let trailed = honest.clone().edit(|it| {
        it.frames.extend_from_slice(b"garbage");
        it.add(2, last, 7);
    });
    trailed.serve(nothing).expect_refusal(&[8], "damaged");
    let another_size = honest.clone().edit(|it| it.add(3, last, 1));
    another_size
        .serve(|index| {
            index["packs"][0]["raw"] = json!(155_001);
            index["files"]["b"]["size"] = json!(5001);
        })
        .expect_refusal(&[8], "damaged");
    let another_content = honest.clone().edit(|it| {
        let other = compressed(&vec![b'x'; 5000]);
        let frame = frame(it);
        it.add(2, last, other.len() as i64 - frame.len() as i64);
        it.frames.splice(frame, other);
    });
    another_content.serve(nothing).expect_refusal(&[8], "`b`");
    let wide = honest.clone().edit(|it| {
        let content = text(5000);
        let other = wide_frame(&content[..4000]);
        let frame = frame(it);
        it.add(2, last, other.len() as i64 - frame.len() as i64);
        it.frames.splice(frame, other);
    });
    wide.serve(nothing).expect_refusal(&[8], "damaged");
    // The pack is another one than the manifest names, of the same size.
    let mut damaged = honest.clone();
    let pack = damaged.pack();
    let served = damaged.serve_pack(&pack, nothing);
    let file = served.path().join("blobs/sha256").join(Digest::of(&pack).hex());
    fs::write(&file, noise(9, pack.len())).unwrap();
    served.expect_refusal(&[8], "the table of the pack");
    fs::write(&file, &pack[1..]).unwrap();
    served.expect_refusal(&[8], "pack");
    fs::remove_file(&file).unwrap();
    served.expect_refusal(&[6], "pack");
}

#[test]
fn indexes_that_swell() {
    let mut honest = Forgery::honest();
    let pack = honest.pack();
    let (text, layers) = (honest.index.to_string(), layers(&honest.index));
    let serve = |index: &[u8], index_type: &str, change: fn(&mut Value)| {
        let served = Served::new();
        served.blob(&pack);
        served.bundle(index, index_type, &layers, change);
        served
    };
    let spaces = [text.as_bytes(), &vec![b' '; 40 << 20]].concat();
    serve(&compressed(&spaces), INDEX_V2, |_| ()).expect_refusal(&[8], "index cannot be decompressed");
    let mut tebibyte = vec![0x28, 0xb5, 0x2f, 0xfd, 0xe0];
    tebibyte.extend_from_slice(&(1_u64 << 40).to_le_bytes());
    tebibyte.extend_from_slice(&[0x03, 0, 0, b' ']);
    tebibyte.resize(200_000, 0);
    serve(&tebibyte, INDEX_V2, |_| ()).expect_refusal(&[8], "index cannot be decompressed");
    serve(&wide_frame(text.as_bytes()), INDEX_V2, |_| ())
        .expect_refusal(&[8], "index cannot be decompressed");
    serve(text.as_bytes(), INDEX_V2, |_| ()).expect_refusal(&[8], "index cannot be decompressed");
    serve(b"", INDEX_V2, |_| ()).expect_refusal(&[8], "index cannot be decompressed");
    let twice = [compressed(text.as_bytes()), compressed(b" ")].concat();
    serve(&twice, INDEX_V2, |_| ()).expect_refusal(&[8], "index cannot be decompressed");
    serve(&compressed(b"\xff"), INDEX_V2, |_| ()).expect_refusal(&[8], "UTF-8");
    serve(&compressed(b"<html>"), INDEX_V2, |_| ()).expect_refusal(&[8], "index");
    let too_large = |manifest: &mut Value| manifest["config"]["size"] = json!(1_u64 << 40);
    serve(&compressed(text.as_bytes()), INDEX_V2, too_large).expect_refusal(&[8], "larger than");
    let other_data = |manifest: &mut Value| manifest["config"]["data"] = json!("bm90IHRoZSBpbmRleA==");
    serve(&compressed(text.as_bytes()), INDEX_V2, other_data).expect_refusal(&[8], "not");
    let _ = serve(&compressed(text.as_bytes()), INDEX_V2, |_| ()).expect_honest();
}

#[test]
fn an_index_of_one_version_under_the_type_of_another_is_read_rightly_or_refused() {
    let mut honest = Forgery::honest();
    let pack = honest.pack();
    let packed = Served::new();
    packed.blob(&pack);
    packed.bundle(honest.index.to_string().as_bytes(), INDEX_V1, &layers(&honest.index), |_| ());
    let files = Served::new();
    let blobs = [noise(1, 150_000), text(5000)].map(|content| files.blob(&content));
    let entry = |path: &str, blob: &Value| json!({"path": path, "digest": blob["digest"], "size": blob["size"], "storage": "oci"});
    let entries = json!({"a": entry("a", &blobs[0]), "b": entry("b", &blobs[1])});
    let index = json!({"version": "1.0", "files": entries}).to_string();
    let layers: Vec<Value> = blobs
        .iter()
        .map(|blob| json!({"mediaType": PACK, "digest": blob["digest"], "size": blob["size"]}))
        .collect();
    files.bundle(&compressed(index.as_bytes()), INDEX_V2, &json!(layers), |_| ());
    for served in [packed, files] {
        let project = TestProject::new();
        let output = project.run(&["pull", &served.reference()]).code_among(&[0, 8]);
        let is_whole =
            project.exists("a") && project.read("a") == noise(1, 150_000) && project.read("b") == text(5000);
        assert!(
            is_whole || (output.stderr().starts_with("error: ") && project.tree().is_empty()),
            "{output}"
        );
    }
}

#[test]
fn packs_that_come_twice_or_by_the_hundred_give_the_right_files_or_none() {
    let twice = Forgery::honest().serve(|index| {
        let pack = index["packs"][0].clone();
        index["packs"].as_array_mut().unwrap().push(pack);
        index["files"]["b"]["runs"][0][0] = json!(1);
    });
    twice.expect_refusal(&[8], "listed twice");
    let differing = Forgery::honest().serve(|index| {
        let mut pack = index["packs"][0].clone();
        pack["size"] = json!(pack["size"].as_u64().unwrap() + 1);
        pack["toc"]["size"] = json!(pack["toc"]["size"].as_u64().unwrap() + 1);
        index["packs"].as_array_mut().unwrap().push(pack);
    });
    differing.expect_refusal(&[8], "two sizes");

    // As many as another writer may have made: they are read, and a push on top of them goes on.
    let mut many = Forgery::honest();
    let served = Served::new();
    served.blob(&many.pack());
    for number in 0..499_u32 {
        let content = number.to_le_bytes();
        let mut writer = PackWriter::default();
        let chunk =
            FrameWriter::new().unwrap().encode(ChunkHash::of(&content), &content, Effort::None).unwrap();
        writer.add(&chunk);
        let finished = writer.finish().unwrap();
        served.blob(&[&content[..], &finished.stored_table].concat());
        many.index["packs"].as_array_mut().unwrap().push(serde_json::to_value(finished.pack).unwrap());
        let path = format!("f{number}");
        many.index["files"][&path] = json!({
            "path": path, "digest": Digest::of(&content), "size": 4, "storage": "pack", "runs": [[number + 1, 0, 1]],
        });
    }
    served.bundle(&compressed(many.index.to_string().as_bytes()), INDEX_V2, &layers(&many.index), |_| ());
    let project = served.expect_honest();
    assert_eq!(project.read("f498"), 498_u32.to_le_bytes());
    let _ = project.run(&["init", "--layout", "packed"]).success();
    project.write("f7", "edited");
    let _ = project.push_everything();
    let second = TestProject::new();
    let _ = second.run(&["pull", &served.reference()]).success();
    second.tree().assert_same(&project.tree());
}

/// A bundle of `times` chunks of zeros, of which one is stored, and of so many chunks of noise; gives also how many bytes its
/// files have and how many are stored of them. The digest of the zeros is a lie, which shows only once they are hashed.
fn claiming(times: u64, noise_chunks: u32) -> (Served, u64, u64) {
    let (mut encoder, mut writer) = (FrameWriter::new().unwrap(), PackWriter::default());
    let mut frames = Vec::new();
    let mut add = |content: &[u8], effort| {
        let stored = encoder.encode(ChunkHash::of(content), content, effort).unwrap();
        writer.add(&stored);
        frames.extend_from_slice(&stored.bytes);
    };
    add(&[0; MAX_CHUNK], Effort::Try);
    (0..noise_chunks).for_each(|seed| add(&noise(seed.into(), MAX_CHUNK), Effort::None));
    let finished = writer.finish().unwrap();
    let served = Served::new();
    served.blob(&[&frames[..], &finished.stored_table].concat());
    let sizes = [times, noise_chunks.into()].map(|chunks| chunks * MAX_CHUNK as u64);
    let file = |path: &str, size, runs: &[Run]| {
        let file = File {
            path: path.parse().unwrap(),
            digest: Digest::of(path.as_bytes()),
            size,
            executable: Some(false),
        };
        (file, runs.to_vec())
    };
    let mut files = vec![file("zeros", sizes[0], &vec![Run { pack: 0, first: 0, count: 1 }; times as usize])];
    if noise_chunks > 0 {
        files.insert(0, file("noise", sizes[1], &[Run { pack: 0, first: 1, count: noise_chunks }]));
    }
    let mut chunk_map = ChunkMap::new(vec![finished.pack]);
    files.iter().for_each(|(_, runs)| chunk_map.push(runs));
    let files = ByPath::new(files.into_iter().map(|(file, _)| file).collect()).unwrap();
    let mut index: Value = serde_json::from_str(&packed_index(&files, &chunk_map, None).unwrap()).unwrap();
    // An index that is nearly all the same would itself be out of proportion.
    index["note"] = json!(noise(1, 5000).iter().map(|byte| format!("{byte:02x}")).collect::<String>());
    let stored = index["packs"][0]["size"].as_u64().unwrap();
    served.bundle(&compressed(index.to_string().as_bytes()), INDEX_V2, &layers(&index), |_| ());
    (served, sizes.iter().sum(), stored)
}

#[test]
fn files_out_of_proportion_are_refused_before_anything_comes() {
    let ended = |served: &Served, arguments: &[&str]| {
        let project = TestProject::new();
        let archive = served.path().join("b.tar").display().to_string();
        if !Path::new(&archive).exists() {
            let _ = project.run(&["export", &served.reference(), &archive]).success();
        }
        let arguments: Vec<String> = arguments
            .iter()
            .map(|argument| argument.replace("REF", &served.reference()).replace("ARCHIVE", &archive))
            .collect();
        let output = project.command(&arguments).run();
        assert!(output.peak_memory().is_none_or(|peak| peak < MEMORY), "{:?}", output.peak_memory());
        assert_eq!(fs::read_dir(project.path()).unwrap().count(), 0, "{output}");
        output
    };
    let dry: [&[&str]; 2] =
        [&["pull", "REF", "--dry-run"], &["export", "REF", "x.tar", "--files", "--dry-run"]];
    // An archive is read as a whole before it is imported.
    let real: [&[&str]; 5] = [
        &["pull", "REF"],
        &["export", "REF", "x.tar", "--files"],
        &["import", "ARCHIVE", "--dest", "new"],
        &["import", "ARCHIVE", "--dest", "new", "--dry-run"],
        &["verify", "REF"],
    ];
    let is_taken = |served: &Served| {
        for arguments in dry {
            let output = ended(served, arguments);
            // A disk may be too small for it; that is another matter.
            let is_small = output.stderr().contains("--any-size") && !output.stderr().contains("claims");
            assert!(output.exit_code() == Some(0) || is_small, "{arguments:?} {output}");
            let _ = ended(served, &[arguments, &["--any-size"]].concat()).success();
        }
    };
    let is_refused = |served: &Served| {
        for arguments in dry.iter().chain(&real) {
            let output = ended(served, arguments).code(1);
            for part in ["the bundle claims files of", "are stored of them", "--any-size"] {
                assert!(output.stderr().contains(part), "{arguments:?} {output}");
            }
        }
        for arguments in dry {
            let _ = ended(served, &[arguments, &["--any-size"]].concat()).success();
        }
    };
    let (at_the_limit, files, _) = claiming(1 << 16, 0);
    assert_eq!(files, PLAUSIBLE_BYTES);
    is_taken(&at_the_limit);
    is_refused(&claiming((1 << 16) + 1, 0).0);

    // With 5 MiB of noise beside them there may be 20 GiB of zeros, and a little for the table.
    let (_, with_one, stored) = claiming(1, 20);
    let most = (stored * MAX_PROPORTION + MAX_PROPORTION - 1 - with_one) / MAX_CHUNK as u64 + 1;
    let (in_proportion, files, stored) = claiming(most, 20);
    assert!(files > PLAUSIBLE_BYTES && files / MAX_PROPORTION <= stored);
    is_taken(&in_proportion);
    is_refused(&claiming(most + 1, 20).0);
}

#[test]
fn a_file_of_more_chunks_than_it_can_have_takes_no_memory() {
    // A pack of a million chunks of one byte each takes a few bytes when it is compressed, and each run some more.
    const CHUNKS: u32 = 1 << 20;
    let mut forgery = Forgery::honest();
    forgery.frames = vec![b'x'; CHUNKS as usize];
    forgery.table = b"MOBTOC\0\x01".to_vec();
    forgery.table.extend_from_slice(&CHUNKS.to_le_bytes());
    (0..CHUNKS).for_each(|_| forgery.table.extend_from_slice(ChunkHash::of(b"x").as_bytes()));
    (0..CHUNKS).for_each(|at| forgery.table.extend_from_slice(&u64::from(at).to_le_bytes()));
    (0..2 * CHUNKS).for_each(|_| forgery.table.extend_from_slice(&1_u32.to_le_bytes()));
    forgery.table.resize(forgery.table.len() + CHUNKS as usize, 0);
    let runs: Vec<_> = (0..30).map(|_| json!([0, 0, CHUNKS])).collect();
    let served = forgery.serve(|index| {
        index["packs"][0]["chunks"] = json!(CHUNKS);
        index["packs"][0]["raw"] = json!(CHUNKS);
        let size = 30 * u64::from(CHUNKS);
        let file =
            json!({"path": "a", "digest": Digest::of(b"x"), "size": size, "storage": "pack", "runs": runs});
        index["files"] = json!({"a": file});
    });
    served.expect_refusal(&[8], "so many chunks");
}

#[test]
fn a_chunk_that_lies_about_its_size_is_not_taken_from_an_older_file_either() {
    let served = Forgery::honest().serve(nothing);
    let project = served.expect_honest();
    // The table says that the first chunk of `a` is shorter by a byte, and `a` too: its bytes are here, a byte longer.
    let mut lie = Forgery::honest();
    lie.add(2, 0, -1);
    lie.add(3, 0, -1);
    for chunk in 1..lie.chunks() {
        lie.add(1, chunk, -1);
    }
    lie.frames.remove(0);
    let pack = lie.pack();
    lie.index["packs"][0]["raw"] = json!(154_999);
    lie.index["files"]["a"]["size"] = json!(149_999);
    lie.index["files"]["a"]["digest"] = json!(Digest::of(&noise(1, 150_000)[1..]));
    served.blob(&pack);
    served.bundle(&compressed(lie.index.to_string().as_bytes()), INDEX_V2, &layers(&lie.index), |_| ());
    let before = project.tree();
    let output = project.run(&["pull"]).code(8);
    assert!(output.stderr().contains("`a`"), "{output}");
    project.tree().assert_same(&before);
}

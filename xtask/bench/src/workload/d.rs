//! D: one large file that another version of it replaces, with a few bytes put in at three places.

use crate::arena::{Arena, Layout};
use crate::clients::{self, Artifact, Found, ORAS};
use crate::data::{self, Data};
use crate::race::{Side, Work, race};
use crate::report::{Limit, Row};
use crate::server::{self, Server};
use crate::versions::{Version, Versions};
use crate::wire::Wire;
use std::path::Path;
use xtask::command::quietly;
use xtask::failure::Result;

const TIME: Limit = Limit::Ratio(1.0 / 3.0);
const BYTES: Limit = Limit::Ratio(1.0 / 500.0);

/// What the file is called in both versions.
const FILE: &str = "series.bin";

/// Measures how long the second push takes, and counts what it and the second pull move.
pub(crate) fn run(arena: &Arena) -> Result<Vec<Row>> {
    // Of the small sizes one that is large enough to be cut in chunks when nobody asks for it.
    let data = Data {
        name: arena.scale.pick("b", "d-quick"),
        folders: 1,
        files: 1,
        bytes: arena.scale.pick(1024, 96) << 20,
    };
    let original = data.make(arena)?.join(data.paths().concat());
    let Some(server) = Server::start(arena)? else {
        return Ok(vec![Row::unmeasured("D push and pull", server::NAME)]);
    };
    let oras = clients::find(&[ORAS]).pop();
    let mut rows = time(arena, &server, &original, oras.as_ref())?;
    rows.extend(count(arena, &server, &original, oras.as_ref())?);
    Ok(rows)
}

/// Pushes version after version, each the original with other bytes put in, so that each has something new.
/// The first run, which does not count, is that of the original.
fn time(arena: &Arena, server: &Server, original: &Path, oras: Option<&Found>) -> Result<Vec<Row>> {
    let (ours, theirs) = (arena.fresh("d-ours")?, arena.fresh("d-timed-theirs")?);
    arena.init(&ours, &format!("{}/d-timed-ours", server.host()))?;
    let files = [FILE.to_owned()];
    let mut sides = vec![Side::new("ours", |run| {
        put(original, &ours, run as u64)?;
        if run == 0 {
            // Once: it would see the file of later versions before the push that is to be timed.
            quietly(&mut arena.ours(&ours, &["add", "."]))?;
        }
        arena.settle()?;
        Ok(Work::One(arena.ours(&ours, &["push"])))
    })];
    if let Some(oras) = oras {
        sides.push(Side::new(ORAS, |run| {
            put(original, &theirs, run as u64)?;
            arena.settle()?;
            let artifact = Artifact {
                host: server.host(),
                repository: "d-timed-theirs",
                files: &files,
                folder: &theirs,
            };
            Ok(Work::InTurn(oras.push(arena, &artifact)?))
        }));
    }
    let times = race(&arena.order, 3, sides)?;
    let Some(ours) = times.first() else { return Ok(Vec::new()) };
    let row = match times.get(1) {
        Some(theirs) => Row::race("D push", ours, theirs, TIME),
        None => Row::without("D push", ours, ORAS, TIME),
    };
    Ok(vec![row, Row::memory("D push", ours)])
}

fn count(arena: &Arena, server: &Server, original: &Path, oras: Option<&Found>) -> Result<Vec<Row>> {
    let wire = Wire::to(server.host())?;
    let put = |folder: &Path, version| put(original, folder, u64::from(version == Version::Second));
    let versions = Versions { arena, wire: &wire, name: "d", put: &put };
    let ours = versions.ours(Layout::Auto)?;
    let (name, theirs) = versions.of_one_file(oras, FILE, original)?;
    Ok(vec![
        Row::bytes("D push: bytes sent", ours.sent, (name, theirs.sent), BYTES),
        Row::bytes("D pull over B: bytes received", ours.received, (name, theirs.received), BYTES),
    ])
}

/// Puts a version into the folder; that of number zero is the original.
fn put(original: &Path, folder: &Path, number: u64) -> Result {
    let file = folder.join(FILE);
    match number {
        0 => data::copy(original, &file),
        _ => data::copy_with_insertions(original, &file, number),
    }
}

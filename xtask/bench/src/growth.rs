//! What a push and a pull cost as the work grows: ten times the files, or several times the bytes, run beside
//! the smaller work. A target of as many times the time is one of linear growth.

use crate::arena::{Arena, Scale};
use crate::data::Data;
use crate::race::{Times, race};
use crate::report::{Limit, Row};
use crate::server::{self, Server};
use crate::transfer::Place;
use xtask::failure::Result;

/// The longest that a push of 100,000 files may take.
const LONGEST: Limit = Limit::Milliseconds(15_000.0);

/// The most memory that it may take: it knows more files than others.
const MEMORY: Limit = Limit::Mebibytes(200.0);

/// Measures a push of A100, and holds it against one of A.
pub(crate) fn of_files(arena: &Arena) -> Result<Vec<Row>> {
    let many = Data {
        name: arena.scale.pick("a100", "a-quick"),
        folders: arena.scale.pick(100, 3),
        files: arena.scale.pick(1000, 100),
        bytes: 4096,
    };
    let few = Data {
        name: arena.scale.pick("a", "a-tenth-quick"),
        folders: many.folders,
        files: many.files / 10,
        bytes: many.bytes,
    };
    let Some(server) = Server::start(arena)? else {
        return Ok(vec![Row::unmeasured("A100 push", server::NAME)]);
    };
    let (many, few) = (many.make(arena)?, few.make(arena)?);
    let many = Place { arena, host: server.host(), folder: &many, files: &[] };
    let few = Place { arena, host: server.host(), folder: &few, files: &[] };
    let times = race(&arena.order, 3, vec![many.our_push("a100"), few.our_push("a")])?;
    let [many, few] = &times[..] else { return Ok(Vec::new()) };
    Ok(vec![
        Row::alone("A100 push", many, LONGEST),
        Row::memory_within("A100 push", many, MEMORY),
        Row::race("A100 push, as A grows", many, &called("ours, A", few), Limit::Ratio(10.0)),
    ])
}

/// Measures pushes and pulls of files several times as large as B, and holds them against those of B.
pub(crate) fn of_bytes(arena: &Arena) -> Result<Vec<Row>> {
    let mut rows = times_b(arena, "b-4", 4)?;
    // Only when asked for: with the file itself, the copy that the registry keeps, and the upload on its way there or
    // the pulled file it takes 48 GiB of the disk.
    if arena.scale == Scale::Large {
        rows.extend(times_b(arena, "b-16", 16)?);
    }
    Ok(rows)
}

fn times_b(arena: &Arena, name: &'static str, factor: usize) -> Result<Vec<Row>> {
    let bytes = arena.scale.pick(1024, 64) << 20;
    let small = Data { name: arena.scale.pick("b", "b-quick"), folders: 1, files: 1, bytes };
    let large = Data { name, folders: 1, files: 1, bytes: bytes * factor };
    let Some(server) = Server::start(arena)? else {
        return Ok(vec![Row::unmeasured(format!("B x {factor} push and pull"), server::NAME)]);
    };
    let small = small.make(arena)?;
    let folder = large.make(arena)?;
    let outcome = push_and_pull(
        &Place { arena, host: server.host(), folder: &folder, files: &[] },
        &Place { arena, host: server.host(), folder: &small, files: &[] },
        factor,
    );
    // Made again sooner than anyone wants to miss that much of a disk.
    large.remove(arena)?;
    outcome
}

fn push_and_pull(large: &Place<'_>, small: &Place<'_>, factor: usize) -> Result<Vec<Row>> {
    let pushed = race(&large.arena.order, 3, vec![large.our_push("b-large"), small.our_push("b-small")])?;
    let pulled = race(&large.arena.order, 3, vec![large.our_pull("b-large"), small.our_pull("b-small")])?;
    let mut rows = Vec::new();
    for (verb, times) in [("push", pushed), ("pull", pulled)] {
        let [large, small] = &times[..] else { continue };
        let what = format!("B x {factor} {verb}");
        rows.push(Row::race(&what, large, &called("ours, B", small), Limit::Ratio(factor as f64)));
        rows.push(Row::memory(what, large));
    }
    Ok(rows)
}

/// Our own times, when they are what others are held against.
fn called(name: &str, times: &Times) -> Times {
    Times { name: name.to_owned(), ..times.clone() }
}

//! A: very many small files pushed to a registry and pulled from it: for the first time, again, and with one
//! file changed, against other clients.

use crate::arena::Arena;
use crate::clients::{self, Artifact, Found, ORAS};
use crate::data::{self, Data};
use crate::race::{Side, Work, race};
use crate::report::{Limit, Row};
use crate::server::{self, Server};
use crate::transfer::{self, Place};
use crate::wire::Wire;
use serde_json::Value;
use xtask::command::{quietly, read};
use xtask::failure::{Context, Failure, Result};

/// How many bytes a file has.
const FILE: usize = 4096;

/// The clients that are compared with.
const CLIENTS: [&str; 4] = [ORAS, "oras, folder", "kit", "tar, curl"];

/// The most that the first push may take of the time of a client.
const COLD_PUSH: [(&str, f64); 3] = [(ORAS, 1.0 / 60.0), ("oras, folder", 1.0 / 4.0), ("kit", 1.0 / 2.0)];

/// The most that the first pull may.
const COLD_PULL: [(&str, f64); 2] = [(ORAS, 1.0 / 25.0), ("kit", 1.0 / 1.5)];

/// A push that has nothing to send, or next to nothing.
const WARM: Limit = Limit::Ratio(1.0 / 100.0);

/// How many requests find out that there is nothing to send.
const REQUESTS: Limit = Limit::Requests(3);

/// The most that one changed file may cost, the index apart, in bytes.
const ONE_FILE: u64 = 64 << 10;

/// Measures all of it.
pub(crate) fn run(arena: &Arena) -> Result<Vec<Row>> {
    let data = Data {
        name: arena.scale.pick("a", "a-quick"),
        folders: arena.scale.pick(100, 3),
        files: 100,
        bytes: FILE,
    };
    let made = data.make(arena)?;
    let Some(server) = Server::start(arena)? else {
        return Ok(vec![Row::unmeasured("A push and pull", server::NAME)]);
    };
    // Copies, because files in them are changed; two, because ours holds our project as well.
    let (ours, theirs) = (arena.fresh("a-ours")?, arena.fresh("a-theirs")?.join("files"));
    data.copy(&made, &ours)?;
    data.copy(&made, &theirs)?;
    let files = data.paths();
    let sides = Sides {
        ours: Place { arena, host: server.host(), folder: &ours, files: &files },
        theirs: Place { arena, host: server.host(), folder: &theirs, files: &files },
    };
    let mut rows = sides.cold()?;
    rows.extend(sides.warm()?);
    rows.push(sides.count_requests()?);
    rows.push(sides.count_bytes(&server)?);
    Ok(rows)
}

/// The same files in our project and in a folder for others.
struct Sides<'a> {
    ours: Place<'a>,
    theirs: Place<'a>,
}

impl Sides<'_> {
    /// Pushes and pulls for the first time.
    fn cold(&self) -> Result<Vec<Row>> {
        let clients = clients::find(&CLIENTS);
        let mut pushes = vec![self.ours.our_push("a")];
        pushes.extend(clients.iter().map(|client| self.theirs.their_push("a", client)));
        let mut rows =
            transfer::rows("A push", &race(&self.ours.arena.order, 3, pushes)?, &CLIENTS, &COLD_PUSH);
        let mut pulls = vec![self.ours.our_pull("a")];
        pulls.extend(clients.iter().map(|client| self.theirs.their_pull("a", client)));
        rows.extend(transfer::rows("A pull", &race(&self.ours.arena.order, 3, pulls)?, &CLIENTS, &COLD_PULL));
        Ok(rows)
    }

    /// Pushes again, and again with another file changed each time. The first run, which does not count,
    /// pushes everything.
    fn warm(&self) -> Result<Vec<Row>> {
        let oras = clients::find(&[ORAS]).pop();
        let (arena, host) = (self.ours.arena, self.ours.host);
        self.begin(&format!("{host}/a-warm"))?;
        let our_push = || {
            arena.settle()?;
            Ok(Work::One(arena.ours(self.ours.folder, &["push"])))
        };
        let their_push = |oras: &Found| {
            let Place { files, folder, .. } = self.theirs;
            arena.settle()?;
            oras.push(arena, &Artifact { host, repository: "a-warm-oras", files, folder }).map(Work::InTurn)
        };
        let mut sides = vec![
            Side::new("ours", |_| our_push()),
            Side::new("ours", |run| {
                change_file(&self.ours, run)?;
                our_push()
            }),
        ];
        if let Some(oras) = &oras {
            sides.push(Side::new(ORAS, |_| their_push(oras)));
            sides.push(Side::new(ORAS, |run| {
                change_file(&self.theirs, run)?;
                their_push(oras)
            }));
        }
        let times = race(&arena.order, arena.scale.pick(5, 3), sides)?;
        let (ours, theirs) = times.split_at(times.len().min(2));
        let whats = ["A push, nothing changed", "A push, one file changed"];
        let rows =
            whats.into_iter().zip(ours).enumerate().map(|(index, (what, ours))| match theirs.get(index) {
                Some(theirs) => Row::race(what, ours, theirs, WARM),
                None => Row::without(what, ours, ORAS, WARM),
            });
        Ok(rows.collect())
    }

    /// The requests of a push when nothing has changed since the last one.
    fn count_requests(&self) -> Result<Row> {
        let said = read(&mut self.ours.arena.ours(self.ours.folder, &["push", "--json"]))?;
        Ok(Row::requests("A push, nothing changed", number(&said, "/requests")?, REQUESTS))
    }

    /// The bytes that a push of one changed file sends, against a limit that leaves room for the new index.
    fn count_bytes(&self, server: &Server) -> Result<Row> {
        let wire = Wire::to(server.host())?;
        self.begin(&format!("{}/a-wire", wire.host()))?;
        let push = || quietly(&mut self.ours.arena.ours(self.ours.folder, &["push"]));
        push()?;
        // One that no run before has changed.
        change_file(&self.ours, self.ours.files.len().saturating_sub(1))?;
        let sent = wire.during(push)?.sent;
        let limit = ONE_FILE + size_of_index(&server.manifest("a-wire")?)?;
        Ok(Row::bytes_alone("A push, one file changed: bytes sent", sent, Limit::Bytes(limit)))
    }

    /// Makes our folder a project that has pushed nothing.
    fn begin(&self, reference: &str) -> Result {
        self.ours.arena.init(self.ours.folder, reference)?;
        quietly(&mut self.ours.arena.ours(self.ours.folder, &["add", "."]))
    }
}

/// Gives the file of this number a content that it has not had.
fn change_file(place: &Place<'_>, number: usize) -> Result {
    let file = place.files.get(number).ok_or_else(|| Failure::step("there are fewer files than runs"))?;
    data::write_seeded(&place.folder.join(file), FILE, number as u64)
}

/// The size of the index that a manifest names, in bytes.
fn size_of_index(manifest: &str) -> Result<u64> {
    number(manifest, "/config/size")
}

/// The number at a place of a JSON document, which is given as a JSON pointer.
fn number(json: &str, pointer: &str) -> Result<u64> {
    let document: Value = serde_json::from_str(json).context(|| "a document is no JSON".to_owned())?;
    document
        .pointer(pointer)
        .and_then(Value::as_u64)
        .ok_or_else(|| Failure::step(format!("there is no number at `{pointer}` where one was expected")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_found_by_their_place() {
        let manifest =
            r#"{"artifactType":"a","config":{"digest":"sha256:1","size":812},"layers":[{"size":5}]}"#;
        assert_eq!(size_of_index(manifest).unwrap(), 812);
        assert_eq!(number("{\n  \"requests\": 3,\n  \"dry_run\": false\n}", "/requests").unwrap(), 3);
        assert!(number("{}", "/requests").is_err());
    }
}

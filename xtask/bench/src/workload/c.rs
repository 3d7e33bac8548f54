//! C: files of middle size pushed to a registry and pulled from it, each time for the first time, against other
//! clients of registries.

use crate::arena::Arena;
use crate::clients;
use crate::data::Data;
use crate::race::race;
use crate::report::Row;
use crate::server::{self, Server};
use crate::transfer::{CLIENTS, Place, rows};
use xtask::failure::Result;

/// The most that a push or a pull may take of their time.
const LIMITS: [(&str, f64); 2] = [("oras", 1.0), ("regctl", 1.0)];

/// Measures push and pull.
pub(crate) fn run(arena: &Arena) -> Result<Vec<Row>> {
    let data = Data {
        name: arena.scale.pick("c", "c-quick"),
        folders: 1,
        files: arena.scale.pick(200, 20),
        bytes: 3 << 19,
    };
    let folder = data.make(arena)?;
    let Some(server) = Server::start(arena)? else {
        return Ok(vec![Row::unmeasured("C push and pull", server::NAME)]);
    };
    let place = Place { arena, host: server.host(), folder: &folder, files: &data.paths() };
    let clients = clients::find(&CLIENTS);
    let runs = arena.scale.pick(5, 3);

    let mut sides = vec![place.our_push("c")];
    sides.extend(clients.iter().map(|found| place.their_push("c", found)));
    let pushed = race(&arena.order, runs, sides)?;
    let mut sides = vec![place.our_pull("c")];
    sides.extend(clients.iter().map(|found| place.their_pull("c", found)));
    let pulled = race(&arena.order, runs, sides)?;

    let mut all = rows("C push", &pushed, &CLIENTS, &LIMITS);
    all.extend(rows("C pull", &pulled, &CLIENTS, &LIMITS));
    Ok(all)
}

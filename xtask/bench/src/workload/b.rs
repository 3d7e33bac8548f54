//! B: one large file pushed to a registry and pulled from it, each time for the first time, against `curl`
//! sending the same requests, and against other clients.

use crate::arena::Arena;
use crate::clients;
use crate::data::Data;
use crate::growth;
use crate::peers;
use crate::race::{Side, Work, race};
use crate::report::{Limit, Row};
use crate::server::{self, Server};
use crate::transfer::{CLIENTS, Place, rows};
use std::path::{Path, PathBuf};
use std::process::Command;
use xtask::failure::Result;

const AGAINST_CURL: Limit = Limit::Ratio(1.1);

/// The most that a push or a pull may take of the time of other clients.
const AGAINST_CLIENTS: [(&str, f64); 2] = [("oras", 1.0), ("regctl", 1.0)];

/// Measures push and pull, and how they grow with the file.
pub(crate) fn run(arena: &Arena) -> Result<Vec<Row>> {
    let mut rows = against_others(arena)?;
    rows.extend(growth::of_bytes(arena)?);
    Ok(rows)
}

fn against_others(arena: &Arena) -> Result<Vec<Row>> {
    let data = Data {
        name: arena.scale.pick("b", "b-quick"),
        folders: 1,
        files: 1,
        bytes: arena.scale.pick(1024, 64) << 20,
    };
    let folder = data.make(arena)?;
    let Some(server) = Server::start(arena)? else {
        return Ok(vec![Row::unmeasured("B push and pull", server::NAME)]);
    };
    let files = data.paths();
    let place = Place { arena, host: server.host(), folder: &folder, files: &files };
    let clients = clients::find(&CLIENTS);
    let curl = match (peers::find("curl"), peers::find("openssl")) {
        (Some(curl), Some(openssl)) => {
            let file = folder.join(files.concat());
            let digest = peers::digest(arena, &openssl, &file)?;
            Some(Curl { arena, curl, openssl, host: server.host(), file, digest })
        }
        _ => None,
    };

    let mut pushes = vec![place.our_push("b")];
    pushes.extend(clients.iter().map(|found| place.their_push("b", found)));
    pushes.extend(curl.iter().map(Curl::push));
    let pushed = race(&arena.order, 3, pushes)?;
    let mut pulls = vec![place.our_pull("b")];
    pulls.extend(clients.iter().map(|found| place.their_pull("b", found)));
    pulls.extend(curl.iter().flat_map(|curl| [curl.pull(Durability::None), curl.pull(Durability::Synced)]));
    let pulled = race(&arena.order, 3, pulls)?;

    let mut all = Vec::new();
    for (what, times, peer) in [("B push", &pushed, "curl"), ("B pull", &pulled, "curl, openssl")] {
        let Some(ours) = times.first() else { continue };
        all.push(match times.iter().find(|times| times.name == peer) {
            Some(theirs) => Row::race(what, ours, theirs, AGAINST_CURL),
            None => Row::without(what, ours, peer, AGAINST_CURL),
        });
        // Told but not judged: it shows how much of the difference is that our pull is durable.
        let synced = times.iter().find(|times| times.name == Durability::Synced.name());
        all.extend(synced.map(|theirs| Row::race(what, ours, theirs, None)));
        all.extend(rows(what, times, &CLIENTS, &AGAINST_CLIENTS));
    }
    Ok(all)
}

/// Whether a pull waits for the disk.
#[derive(Clone, Copy)]
enum Durability {
    None,
    Synced,
}

impl Durability {
    fn name(self) -> &'static str {
        match self {
            Self::None => "curl, openssl",
            Self::Synced => "curl, openssl, sync",
        }
    }
}

/// The least that any client must do, by hand.
struct Curl<'a> {
    arena: &'a Arena,
    curl: PathBuf,
    openssl: PathBuf,
    host: &'a str,
    file: PathBuf,
    digest: String,
}

impl Curl<'_> {
    /// Opens an upload, untimed, and sends the file, whose digest is known.
    fn push(&self) -> Side<'_> {
        Side::new("curl", |run| {
            self.arena.settle()?;
            let url = self.url(run);
            let upload = peers::open_upload(self.arena, &self.curl, &url, &self.digest)?;
            Ok(Work::One(peers::upload(self.arena, &self.curl, &self.file, &upload)))
        })
    }

    /// Fetches the file that the first run pushed, and takes its digest.
    fn pull(&self, durability: Durability) -> Side<'_> {
        Side::new(durability.name(), move |_| {
            let file = self.arena.fresh("pull-curl")?.join("file");
            self.arena.settle()?;
            let mut get = self.curl();
            get.arg("--output").arg(&file).arg(format!("{}/blobs/{}", self.url(0), self.digest));
            let mut commands = vec![get, peers::openssl(self.arena, &self.openssl, [&file])];
            if let Durability::Synced = durability {
                let mut sync = self.arena.apart(Path::new("sync"));
                sync.arg(&file);
                commands.push(sync);
            }
            Ok(Work::InTurn(commands))
        })
    }

    fn url(&self, run: usize) -> String {
        format!("http://{}/v2/b-curl-{run}", self.host)
    }

    fn curl(&self) -> Command {
        peers::curl(self.arena, &self.curl)
    }
}

//! Hashing: the first look at files of which no digest is known, against `openssl`.

use crate::arena::Arena;
use crate::data::Data;
use crate::peers;
use crate::race::{Side, Work, race};
use crate::report::{Limit, Row, cores};
use xtask::failure::Result;

/// 0.9 times the speed.
const TARGET: Limit = Limit::Ratio(1.0 / 0.9);

/// Measures one large file against one `openssl`, and several files against as many as there are cores.
pub(crate) fn run(arena: &Arena) -> Result<Vec<Row>> {
    let mebibytes = arena.scale.pick(1024, 64) << 20;
    let one = Data { name: arena.scale.pick("b", "b-quick"), folders: 1, files: 1, bytes: mebibytes };
    let many = Data { name: arena.scale.pick("h", "h-quick"), folders: 1, files: 16, bytes: mebibytes / 16 };
    let mut rows = measure(arena, &one, "hashing, one file", 1)?;
    rows.extend(measure(arena, &many, "hashing, 16 files", cores())?);
    Ok(rows)
}

fn measure(arena: &Arena, data: &Data, what: &str, at_once: usize) -> Result<Vec<Row>> {
    let folder = data.make(arena)?;
    let remote = format!("oci:{}", arena.fresh("hashing-remote")?.display());
    let paths = data.paths();
    let openssl = peers::find("openssl");
    let mut sides = vec![Side::new("add, status", |_| {
        arena.init(&folder, &remote)?;
        let ours = |arguments: &[&str]| arena.ours(&folder, arguments);
        Ok(Work::InTurn(vec![ours(&["add", "."]), ours(&["status", "--offline"])]))
    })];
    let name = if at_once == 1 { "openssl".to_owned() } else { format!("openssl x {at_once}") };
    if let Some(openssl) = &openssl {
        sides.push(Side::new(&name, |_| {
            let shares = paths.chunks(paths.len().div_ceil(at_once));
            let share =
                |paths: &[String]| peers::openssl(arena, openssl, paths.iter().map(|path| folder.join(path)));
            Ok(Work::AtOnce(shares.map(share).collect()))
        }));
    }
    let times = race(&arena.order, arena.scale.pick(5, 3), sides)?;
    Ok(match &times[..] {
        [ours, theirs] => vec![Row::race(what, ours, theirs, TARGET), Row::memory(what, ours)],
        [ours] => vec![Row::without(what, ours, &name, TARGET), Row::memory(what, ours)],
        _ => Vec::new(),
    })
}

//! Start: what the program costs before it does anything.

use crate::arena::Arena;
use crate::data::Data;
use crate::race::{Side, Work, race};
use crate::report::{Limit, Row};
use std::fs;
use std::path::PathBuf;
use xtask::command::{program, quietly};
use xtask::failure::{Context, Result};

const HELLO: &str = "fn main() {\n    println!(\"hello\");\n}\n";

/// Measures `--version`, and `status --offline` of ten files, against a program that only says hello.
pub(crate) fn run(arena: &Arena) -> Result<Vec<Row>> {
    let hello = compile_hello(arena)?;
    let project = Data { name: "ten", folders: 2, files: 5, bytes: 4096 }.make(arena)?;
    let remote = format!("oci:{}", arena.fresh("ten-remote")?.display());
    arena.init(&project, &remote)?;
    quietly(&mut arena.ours(&project, &["add", "."]))?;

    let ours = |arguments: &'static [&str]| {
        let project = &project;
        Side::new(arguments.join(" "), move |_| Ok(Work::One(arena.ours(project, arguments))))
    };
    let sides = vec![
        Side::new("hello world", |_| Ok(Work::One(arena.apart(&hello)))),
        ours(&["--version"]),
        ours(&["status", "--offline"]),
    ];
    let times = race(&arena.order, arena.scale.pick(60, 10), sides)?;
    let [hello, version, status] = &times[..] else { return Ok(Vec::new()) };
    Ok(vec![
        Row::alone("--version", version, Limit::Milliseconds(5.0)),
        Row::race("--version", version, hello, Limit::MoreMilliseconds(2.0)),
        Row::race("status --offline, 10 files", status, hello, Limit::MoreMilliseconds(6.0)),
    ])
}

fn compile_hello(arena: &Arena) -> Result<PathBuf> {
    let source = arena.lasting("hello.rs");
    fs::write(&source, HELLO).context(|| format!("cannot write {}", source.display()))?;
    let hello = source.with_extension(std::env::consts::EXE_EXTENSION);
    quietly(program("rustc").args(["--edition", "2024", "-O", "-o"]).arg(&hello).arg(&source))?;
    Ok(hello)
}

//! The other programs that tests use: found here, installed by `cargo xtask test`.
//!
//! A tool is looked for in its environment variable, then in `target/tools/`, then on `PATH`; the table of
//! variables is in `xtask/src/places.rs`.

use std::path::PathBuf;
use xtask::places;

pub use xtask::places::{
    CHROMIUM, DOCKER_REGISTRY, FISH, NODE, NODE_MODULES, PYTHON, Place, REGISTRY3, SKOPEO, WHEELS, ZSH,
};

/// Where a tool is. When it is not on this machine, the test is to return early: this says so in its
/// output. In continuous integration nothing is skipped, and this panics instead.
#[track_caller]
pub fn require(tool: &Place) -> Option<PathBuf> {
    let found = tool.find();
    if found.is_none() {
        skip(&format!("{} is not here (`cargo xtask test` gets it, or set {})", tool.name, tool.variable));
    }
    found
}

/// Says that a test is skipped and why; panics where every test must be carried out.
#[track_caller]
pub(crate) fn skip(why: &str) {
    assert!(!places::must_not_skip(), "{why}, and with CI set no test may be skipped");
    tell_skipped(why);
}

/// Says that a test is not carried out, or not in full, because this system does not allow what it needs. `cargo xtask
/// test` counts those and lists them in the end.
pub fn tell_skipped(why: &str) {
    eprintln!("SKIPPED: {why}");
}

//! Finds the program under test.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// The `modelops-bundle` binary of the same build as the running test.
///
/// Brought up to date once a run, because `cargo test` does not build the programs of other packages: without that a
/// test could pass or fail on yesterday's. In the form that `cargo xtask test` uses nothing is left to do.
pub fn bundle_binary() -> &'static Path {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    BINARY.get_or_init(|| {
        // The binary belongs to another package, so cargo sets no CARGO_BIN_EXE_… for it. A test runs as
        // <target>/<profile>/deps/it-…, and the binary is in <target>/<profile>.
        let test = std::env::current_exe().expect("the running test has a path");
        let profile = test.ancestors().nth(2).expect("a test lies in <target>/<profile>/deps");
        let binary = profile.join(format!("modelops-bundle{}", std::env::consts::EXE_SUFFIX));
        build(profile);
        assert!(binary.is_file(), "there is no program at {}", binary.display());
        binary
    })
}

fn build(profile: &Path) {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.args(["build", "--quiet", "--locked", "--workspace"]);
    command.current_dir(env!("CARGO_MANIFEST_DIR"));
    if let Some(target) = profile.parent() {
        command.arg("--target-dir").arg(target);
    }
    // The folder of the dev profile is called debug; the others are called as they are.
    match profile.file_name().and_then(|name| name.to_str()) {
        Some("debug") | None => {}
        Some(name) => {
            command.args(["--profile", name]);
        }
    }
    let status = command.status().expect("cargo can be run");
    assert!(status.success(), "cannot build modelops-bundle: {status}");
}

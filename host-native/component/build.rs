//! Builds the component, proves that it imports nothing, and compiles it ahead of time.
//!
//! The component is built by a second cargo, into a target folder of its own: with the outer one it would wait for
//! the outer cargo's lock, which waits for this script. That folder lies at the top of the outer target folder, so
//! that check, clippy, test and both profiles share one build of it.

use std::env;
use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use wit_component::{ComponentEncoder, DecodedWasm};

include!("src/config.rs");

type Result<T> = std::result::Result<T, Box<dyn Error>>;

const GUEST_TARGET: &str = "wasm32-unknown-unknown";

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            println!("cargo::error=the component cannot be built: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<()> {
    let manifest_dir = PathBuf::from(variable("CARGO_MANIFEST_DIR")?);
    let workspace = manifest_dir.ancestors().nth(2).ok_or("it lies outside its workspace")?;
    for input in ["core/src", "core/Cargo.toml", "wit", "Cargo.toml", "Cargo.lock", "rust-toolchain.toml"] {
        println!("cargo::rerun-if-changed={}", workspace.join(input).display());
    }
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=src/config.rs");

    let out_dir = PathBuf::from(variable("OUT_DIR")?);
    let module = fs::read(build_module(workspace, &out_dir)?)?;
    let component = ComponentEncoder::default().validate(true).module(&module)?.encode()?;
    println!("cargo::rustc-env=CONTRACT={}", prove_pure(&component)?);

    for (space, name) in [(AddressSpace::Ample, "ample.cwasm"), (AddressSpace::Scarce, "scarce.cwasm")] {
        let mut config = config(space);
        // Naming the target, even when it is the host, asks for code that any processor of its kind runs.
        config.target(&variable("TARGET")?)?;
        let precompiled = wasmtime::Engine::new(&config)?.precompile_component(&component)?;
        fs::write(out_dir.join(name), precompiled)?;
    }
    fs::write(out_dir.join("core.wasm"), component)?;
    Ok(())
}

/// Builds the crate in `wit/` as a core module, and says where it is.
fn build_module(workspace: &Path, out_dir: &Path) -> Result<PathBuf> {
    require_guest_target()?;
    let target_dir = outer_target_dir(out_dir)?.join("component-nested");
    let mut cargo = Command::new(variable("CARGO")?);
    cargo
        .current_dir(workspace)
        .args(["build", "--locked", "--profile", "component", "--target", GUEST_TARGET])
        .args(["--package", "modelops-bundle-wit"])
        .arg("--target-dir")
        .arg(&target_dir);
    for (name, _) in env::vars_os() {
        if name.to_str().is_some_and(is_about_the_outer_build) {
            cargo.env_remove(name);
        }
    }
    cargo.env("CARGO_ENCODED_RUSTFLAGS", neutral_paths(workspace)?);
    let status = cargo.status().map_err(|error| format!("cargo cannot be run: {error}"))?;
    if !status.success() {
        return Err(
            "the crate modelops-bundle-wit does not compile, see the messages of the inner cargo".into()
        );
    }
    Ok(target_dir.join(GUEST_TARGET).join("component").join("modelops_bundle_wit.wasm"))
}

/// Whether a variable tells cargo or rustc something that is meant for the outer build alone.
fn is_about_the_outer_build(name: &str) -> bool {
    const EXACT: [&str; 8] =
        ["DEBUG", "HOST", "NUM_JOBS", "OPT_LEVEL", "OUT_DIR", "PROFILE", "TARGET", "LD_LIBRARY_PATH"];
    const PREFIXES: [&str; 4] = ["CARGO", "CLIPPY", "DEP_", "RUST"];
    // Where crates and toolchains come from holds for both.
    const SHARED: [&str; 6] =
        ["CARGO_HOME", "CARGO_HTTP_", "CARGO_MAKEFLAGS", "CARGO_NET_", "CARGO_REGISTR", "RUSTUP_"];
    let starts_with_one_of = |prefixes: &[&str]| prefixes.iter().any(|prefix| name.starts_with(prefix));
    (EXACT.contains(&name) || starts_with_one_of(&PREFIXES)) && !starts_with_one_of(&SHARED)
}

fn require_guest_target() -> Result<()> {
    let output = Command::new(variable("RUSTC")?)
        .args(["--print", "target-libdir", "--target", GUEST_TARGET])
        .output()
        .map_err(|error| format!("rustc cannot be run: {error}"))?;
    let libraries = PathBuf::from(String::from_utf8(output.stdout)?.trim());
    if output.status.success() && libraries.is_dir() {
        return Ok(());
    }
    Err(format!("the target {GUEST_TARGET} is not installed: run `rustup target add {GUEST_TARGET}`").into())
}

/// The target folder of the build that this script is part of: cargo marks it.
fn outer_target_dir(out_dir: &Path) -> Result<&Path> {
    let marked = out_dir.ancestors().find(|folder| folder.join("CACHEDIR.TAG").is_file());
    // `target/PROFILE/build/PACKAGE/out`
    marked.or_else(|| out_dir.ancestors().nth(4)).ok_or_else(|| "OUT_DIR lies in no target folder".into())
}

/// Flags that keep the names of this machine's folders out of the component's texts, so that its bytes are the same
/// wherever it is built.
fn neutral_paths(workspace: &Path) -> Result<String> {
    let cargo_home = match env::var_os("CARGO_HOME") {
        Some(folder) => PathBuf::from(folder),
        None => env::home_dir().ok_or("there is neither CARGO_HOME nor a home folder")?.join(".cargo"),
    };
    // The last flag that fits a path counts. Where a crate came from shall not show either, so the folders below
    // `src`, one for each source of crates, are all called the same.
    let mut folders = vec![(cargo_home.clone(), "/cargo"), (workspace.to_owned(), "/bundle")];
    if let Ok(sources) = fs::read_dir(cargo_home.join("registry").join("src")) {
        for source in sources {
            folders.push((source?.path(), "/crates"));
        }
    }
    let flags: Vec<_> =
        folders.iter().map(|(from, to)| format!("--remap-path-prefix={}={to}", from.display())).collect();
    Ok(flags.join("\u{1f}"))
}

/// Refuses a component that imports anything, and gives name and version of the contract that it fulfils.
fn prove_pure(component: &[u8]) -> Result<String> {
    let DecodedWasm::Component(resolve, world) = wit_component::decode(component)? else {
        return Err("what was built is no component".into());
    };
    let world = resolve.worlds.get(world).ok_or("the component has no world")?;
    let imports: Vec<String> = world.imports.keys().map(|key| resolve.name_world_key(key)).collect();
    if !imports.is_empty() {
        return Err(format!("it must import nothing, but it imports {}", imports.join(", ")).into());
    }
    let interface = world.exports.keys().next().map(|key| resolve.name_world_key(key)).unwrap_or_default();
    match interface.split_once('/').zip(interface.split_once('@')) {
        Some(((package, _), (_, version))) => Ok(format!("{package}@{version}")),
        None => Err("it exports no interface of a package with a version".into()),
    }
}

fn variable(name: &str) -> Result<String> {
    env::var(name).map_err(|_| format!("cargo did not set {name}").into())
}

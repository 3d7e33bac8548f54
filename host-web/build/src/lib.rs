//! Puts the page of `host-web` together: compiles the core for the browser, generates its JavaScript and TypeScript
//! face, and lays both beside the files of `www/`, ready for any static server.
//!
//! wasm-bindgen's generator is called as a library, so nothing but cargo and the wasm target has to be installed.

#![forbid(unsafe_code)]

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};

use thiserror::Error;
use wasm_bindgen_cli_support::Bindgen;

const PACKAGE: &str = "modelops-bundle-web";
const MODULE: &str = "modelops_bundle_web";
const TARGET: &str = "wasm32-unknown-unknown";
const PROFILE: &str = "page";
/// Small, because it travels to every visitor; but for hashing, which is what a visitor waits for. Names stay in until
/// the generator has read the module.
const PROFILE_SETTINGS: [&str; 7] = [
    "profile.page.inherits='release'",
    "profile.page.opt-level='s'",
    "profile.page.package.sha2.opt-level=3",
    "profile.page.lto='fat'",
    "profile.page.codegen-units=1",
    "profile.page.panic='abort'",
    "profile.page.strip='none'",
];

/// Builds the page into `<target_folder>/web/` and returns that folder.
///
/// A build that fails leaves what an earlier one put there.
pub fn build_page(target_folder: &Path) -> Result<PathBuf, BuildError> {
    let module = compile(target_folder)?;
    let unfinished = target_folder.join(format!("web-unfinished-{}", std::process::id()));
    remove(&unfinished)?;
    copy_files(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../www"), &unfinished)?;
    generate(&module, &unfinished.join("pkg"))?;
    let page = target_folder.join("web");
    remove(&page)?;
    fs::rename(&unfinished, &page).map_err(at(&page))?;
    Ok(page)
}

/// Compiles the module. Its target folder is its own: in the one of a cargo that is still at work, or with that
/// one's profile, the two would wait for each other.
fn compile(target_folder: &Path) -> Result<PathBuf, BuildError> {
    let target_folder = target_folder.join("web-nested");
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo
        .args(["build", "--quiet", "--locked", "--package", PACKAGE])
        .args(["--profile", PROFILE, "--target", TARGET, "--target-dir"])
        .arg(&target_folder)
        .args(PROFILE_SETTINGS.iter().flat_map(|setting| ["--config", setting]))
        .current_dir(env!("CARGO_MANIFEST_DIR"));
    for (name, _) in std::env::vars_os() {
        if !is_for_nested_cargo(&name) {
            cargo.env_remove(name);
        }
    }
    // The text of a panic names source files: below these folders, not below the builder's home.
    if let Some(flags) = remapped_paths() {
        cargo.env("CARGO_ENCODED_RUSTFLAGS", flags);
    }
    let status = cargo.status().map_err(BuildError::Cargo)?;
    if !status.success() {
        return Err(BuildError::Compile(status));
    }
    Ok(target_folder.join(TARGET).join(PROFILE).join(format!("{MODULE}.wasm")))
}

/// What the cargo that runs us says of itself is not true of the nested one.
fn is_for_nested_cargo(name: &OsStr) -> bool {
    const KEPT: [&str; 3] = ["CARGO_HOME", "CARGO_MAKEFLAGS", "CARGO_NET_OFFLINE"];
    const OF_CARGO: [&str; 7] = ["CARGO", "CLIPPY", "DEBUG", "OPT_LEVEL", "OUT_DIR", "PROFILE", "TARGET"];
    let Some(name) = name.to_str() else { return true };
    KEPT.contains(&name)
        || name.starts_with("RUSTUP_")
        || !(name.starts_with("RUST") || OF_CARGO.iter().any(|prefix| name.starts_with(prefix)))
}

fn remapped_paths() -> Option<String> {
    let cargo_home = std::env::var_os("CARGO_HOME")
        .map(PathBuf::from)
        .or_else(|| Some(std::env::home_dir()?.join(".cargo")))?;
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2)?;
    let remap = |from: &Path, to: &str| Some(format!("--remap-path-prefix={}={to}", from.to_str()?));
    Some([remap(&cargo_home, "/cargo")?, remap(workspace, "/modelops-bundle")?].join("\x1f"))
}

/// Generates the module's JavaScript face, its TypeScript types and the module without what only a generator reads.
fn generate(module: &Path, folder: &Path) -> Result<(), BuildError> {
    let mut bindgen = Bindgen::new();
    bindgen
        .input_path(module)
        .web(true)
        .and_then(|bindgen| {
            bindgen
                // Without it the page would have to know where the module lies.
                .omit_default_module_path(false)
                .typescript(true)
                .remove_name_section(true)
                .remove_producers_section(true)
                .generate(folder)
        })
        .map_err(|error| BuildError::Generate(error.into()))
}

fn copy_files(from: &Path, to: &Path) -> Result<(), BuildError> {
    fs::create_dir_all(to).map_err(at(to))?;
    for entry in fs::read_dir(from).map_err(at(from))? {
        let file = entry.map_err(at(from))?.path();
        let Some(name) = file.file_name() else { continue };
        fs::copy(&file, to.join(name)).map_err(at(&file))?;
    }
    Ok(())
}

fn remove(folder: &Path) -> Result<(), BuildError> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(at(folder)(error)),
        _ => Ok(()),
    }
}

fn at(path: &Path) -> impl FnOnce(io::Error) -> BuildError {
    let path = path.to_owned();
    move |source| BuildError::Files { path, source }
}

/// Why the page could not be built.
#[derive(Debug, Error)]
pub enum BuildError {
    /// Cargo cannot be started.
    #[error("cannot run cargo")]
    Cargo(#[source] io::Error),
    /// Cargo has said why.
    #[error("the core cannot be compiled for the browser ({0}); `rustup target add {TARGET}` may be missing")]
    Compile(ExitStatus),
    /// A file cannot be read or written.
    #[error("cannot use {}", path.display())]
    Files {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The module is not one that the generator takes.
    #[error("cannot generate the module's JavaScript")]
    Generate(#[source] Box<dyn std::error::Error + Send + Sync>),
}

//! Finds what the tests need, and installs what is missing into `target/tools/`, once.
//!
//! [`TOOLS`] is the whole list: adding a tool is one entry there, a function that fills an empty folder,
//! and its [`Place`]. A tool is installed into a folder beside its own and renamed when it is whole, so an
//! interrupted install leaves nothing that looks finished; it is installed again when its recipe changes.

mod debian;

use crate::command::{cargo, program, quietly, read, root};
use crate::failure::{Context, Failure, Result};
use crate::places::{self, Place};
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::Instant;

/// Written into a tool's folder: what it was made from.
const RECIPE_FILE: &str = ".recipe";

/// A tool and how it comes to this machine.
struct Tool {
    place: &'static Place,
    /// What is installed, with versions: when this changes, the tool is installed anew.
    recipe: &'static [&'static str],
    /// Fills the empty folder given.
    install: fn(&Tool, &Path) -> Result,
}

/// skopeo, and those of its libraries that not every system has.
const SKOPEO_PACKAGES: &[&str] = &["skopeo", "libassuan0", "libdevmapper1.02.1", "libgpgme11"];

/// fish, and the one of its libraries that not every system has.
const FISH_PACKAGES: &[&str] = &["fish", "fish-common", "libpcre2-32-0"];

/// What drives the browser, and what checks the types of the page.
const NPM_PACKAGES: &[&str] = &["playwright-core@1.65.1", "typescript@5.9.3"];

/// Every tool, in the order in which they are looked for.
const TOOLS: &[Tool] = &[
    Tool { place: &places::DOCKER_REGISTRY, recipe: &["docker-registry"], install: debian::unpack },
    Tool {
        place: &places::REGISTRY3,
        recipe: &["github.com/distribution/distribution/v3/cmd/registry@v3.1.2"],
        install: install_go,
    },
    Tool { place: &places::SKOPEO, recipe: SKOPEO_PACKAGES, install: debian::unpack_skopeo },
    Tool {
        place: &places::CHROMIUM,
        recipe: &["chromium", "chromium-common"],
        install: debian::unpack_chromium,
    },
    Tool { place: &places::ZSH, recipe: &["zsh-static", "zsh-common"], install: debian::unpack_zsh },
    Tool { place: &places::FISH, recipe: FISH_PACKAGES, install: debian::unpack_fish },
    Tool { place: &places::NODE, recipe: &[], install: ask_for_node },
    Tool { place: &places::NODE_MODULES, recipe: NPM_PACKAGES, install: install_npm },
    Tool { place: &places::PYTHON, recipe: &["wasmtime==50.0.1", "oras==0.2.43"], install: install_python },
    Tool { place: &places::WHEELS, recipe: &["covasim==3.1.5", "covasim==3.1.6"], install: download_wheels },
];

/// What the tests can use on this machine.
#[derive(Default)]
pub(crate) struct Toolbox {
    /// The environment variables that tell a test where each tool is.
    pub(crate) variables: Vec<(&'static str, PathBuf)>,
    /// The tools that could not be had. Tests that need one skip, or fail where skipping is not allowed.
    pub(crate) missing: Vec<&'static str>,
}

/// Finds or installs every tool, telling of each that had to be installed.
pub(crate) fn prepare() -> Result<Toolbox> {
    add_wasm_target()?;
    let _lock = lock()?;
    let mut toolbox = Toolbox::default();
    for tool in TOOLS {
        match find_or_install(tool) {
            Ok(path) => toolbox.variables.push((tool.place.variable, path)),
            Err(failure) if places::must_not_skip() => return Err(failure),
            Err(failure) => {
                println!("    {failure}");
                toolbox.missing.push(tool.place.name);
            }
        }
    }
    Ok(toolbox)
}

/// Adds the target that the component and the page are built for, unless this toolchain has it.
pub fn add_wasm_target() -> Result {
    const TARGET: &str = "wasm32-unknown-unknown";
    let libraries = read(program("rustc").args(["--print", "target-libdir", "--target", TARGET]))?;
    if Path::new(libraries.trim()).is_dir() {
        return Ok(());
    }
    println!("    adding the target {TARGET}");
    quietly(program("rustup").args(["target", "add", TARGET]))
}

/// Builds cargo-deny, which takes minutes, unless it is there; returns where it is.
pub(crate) fn install_cargo_deny() -> Result<PathBuf> {
    if let Some(path) = find_cargo_deny() {
        return Ok(path);
    }
    println!("    building cargo-deny, once; this takes minutes");
    let folder = places::tools_folder().join("cargo-deny");
    // Cargo moves the binary into place when it is whole, so this needs no folder beside it.
    quietly(
        cargo()
            .args(["install", "--locked", "--quiet", "cargo-deny@0.20.2", "--root"])
            .arg(&folder)
            .env("CARGO_TARGET_DIR", folder.join("build")),
    )?;
    let _ = fs::remove_dir_all(folder.join("build"));
    find_cargo_deny().ok_or_else(|| Failure::step("cargo-deny was installed but is not where it should be"))
}

/// Where cargo-deny is, if anywhere.
pub(crate) fn find_cargo_deny() -> Option<PathBuf> {
    let ours = places::tools_folder().join("cargo-deny/bin/cargo-deny");
    ours.is_file().then_some(ours).or_else(|| places::on_path(&["cargo-deny"]))
}

/// Keeps two runs in one checkout from installing the same tool at once; released on drop.
fn lock() -> Result<File> {
    let folder = places::tools_folder();
    fs::create_dir_all(&folder).context(|| format!("cannot make {}", folder.display()))?;
    let path = folder.join(".lock");
    let file = File::create(&path).context(|| format!("cannot make {}", path.display()))?;
    file.lock().context(|| format!("cannot lock {}", path.display()))?;
    Ok(file)
}

fn find_or_install(tool: &Tool) -> Result<PathBuf> {
    if let Some(path) = tool.place.find()
        && (Some(&path) != tool.place.find_installed().as_ref() || is_current(tool))
    {
        return Ok(path);
    }
    let name = tool.place.name;
    let started = Instant::now();
    install(tool).map_err(|failure| Failure::step(format!("cannot get {name}: {failure}")))?;
    println!("    installed {name} in {:.1} s", started.elapsed().as_secs_f64());
    tool.place
        .find()
        .ok_or_else(|| Failure::step(format!("{name} was installed but is not where it should be")))
}

/// Whether what is in the tool's folder was made from today's recipe.
fn is_current(tool: &Tool) -> bool {
    let stamp = places::tools_folder().join(tool.place.folder_name()).join(RECIPE_FILE);
    fs::read_to_string(stamp).is_ok_and(|made_from| made_from == tool.recipe.join("\n"))
}

fn install(tool: &Tool) -> Result {
    if tool.place.installed.is_empty() {
        return (tool.install)(tool, root());
    }
    let finished = places::tools_folder().join(tool.place.folder_name());
    let unfinished = places::tools_folder().join(format!(".unfinished-{}", tool.place.folder_name()));
    remove(&finished)?;
    remove(&unfinished)?;
    fs::create_dir(&unfinished).context(|| format!("cannot make {}", unfinished.display()))?;
    (tool.install)(tool, &unfinished)?;
    fs::write(unfinished.join(RECIPE_FILE), tool.recipe.join("\n"))
        .context(|| format!("cannot write into {}", unfinished.display()))?;
    fs::rename(&unfinished, &finished).context(|| format!("cannot make {}", finished.display()))
}

fn remove(folder: &Path) -> Result {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).context(|| format!("cannot remove {}", folder.display()))
        }
        _ => Ok(()),
    }
}

/// Node.js comes as part of a machine or not at all: a system's package of it is the size of a browser.
fn ask_for_node(_: &Tool, _: &Path) -> Result {
    Err(Failure::step("there is no `node` on PATH; install Node.js 20 or later"))
}

fn install_npm(tool: &Tool, folder: &Path) -> Result {
    quietly(
        program("npm")
            // No install scripts: they are where packages fetch browsers and other things of their own.
            .args(["install", "--ignore-scripts", "--no-audit", "--no-fund", "--no-package-lock", "--prefix"])
            .arg(folder)
            .args(tool.recipe),
    )
}

/// Builds programs in Go, each from a module at a version.
fn install_go(tool: &Tool, folder: &Path) -> Result {
    quietly(program("go").arg("install").args(tool.recipe).env("GOBIN", folder).env("GOFLAGS", ""))
}

/// Makes a virtual environment. It is moved once afterwards, so only its `bin/python` is to be used:
/// other scripts in it name the folder that it was made in.
fn install_python(tool: &Tool, folder: &Path) -> Result {
    quietly(program("python3").args(["-m", "venv"]).arg(folder))?;
    quietly(pip(folder.join("bin/python")).arg("install").args(tool.recipe))
}

fn download_wheels(tool: &Tool, folder: &Path) -> Result {
    // One call each: pip refuses two versions of one package in the same call.
    for wheel in tool.recipe {
        quietly(
            pip("python3")
                .args(["download", "--no-deps", "--only-binary=:all:", wheel, "--dest"])
                .arg(folder),
        )?;
    }
    Ok(())
}

fn pip(python: impl AsRef<std::ffi::OsStr>) -> std::process::Command {
    let mut command = program(python);
    command.args(["-m", "pip", "--quiet", "--disable-pip-version-check"]);
    command
}

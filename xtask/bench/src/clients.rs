//! Other clients of registries, and how each is told to push and to pull the same files.
//!
//! `oras`, `regctl` and `modctl` send each file as a blob of its own; `oras` of a folder, and `kit`, make one
//! archive of it. `crane` is not among them: what it appends is a layer of an image.

use crate::arena::Arena;
use crate::peers;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use xtask::command::quietly;
use xtask::failure::{Context, Failure, Result};

/// What one client does.
struct Client {
    /// What it is called in the figures.
    name: &'static str,
    /// What it needs on `PATH`, itself first.
    programs: &'static [&'static str],
    /// Says what pushes, one command after the other; what it does itself is not timed.
    push: fn(&Task<'_>) -> Result<Vec<Command>>,
    /// Says what pulls, likewise.
    pull: fn(&Task<'_>) -> Result<Vec<Command>>,
}

/// What a client pushes or pulls.
pub(crate) struct Artifact<'a> {
    /// The registry, `HOST:PORT`.
    pub(crate) host: &'a str,
    /// The repository in it.
    pub(crate) repository: &'a str,
    /// The paths of the files.
    pub(crate) files: &'a [String],
    /// Where they lie, or are to lie.
    pub(crate) folder: &'a Path,
}

/// Every client. `tar` with `curl` is the least that moves a folder by hand: no manifest, nothing verified.
const CLIENTS: [Client; 6] = [
    Client { name: ORAS, programs: &["oras"], push: oras_push, pull: oras_pull },
    Client { name: "regctl", programs: &["regctl"], push: regctl_push, pull: regctl_pull },
    Client { name: "modctl", programs: &["modctl"], push: modctl_push, pull: modctl_pull },
    Client { name: "oras, folder", programs: &["oras"], push: oras_push_folder, pull: oras_pull },
    Client { name: "kit", programs: &["kit"], push: kit_push, pull: kit_pull },
    Client { name: "tar, curl", programs: &["curl", "tar", "openssl"], push: tar_push, pull: tar_pull },
];

/// The client that most targets name.
pub(crate) const ORAS: &str = "oras";

/// A client that is on this machine.
pub(crate) struct Found {
    client: &'static Client,
    programs: Vec<PathBuf>,
}

/// Those of the clients with these names that are on this machine.
pub(crate) fn find(names: &[&str]) -> Vec<Found> {
    let found = |client: &'static Client| {
        let programs = client.programs.iter().map(|name| peers::find(name)).collect::<Option<_>>()?;
        Some(Found { client, programs })
    };
    CLIENTS.iter().filter(|client| names.contains(&client.name)).filter_map(found).collect()
}

impl Found {
    /// What it is called in the figures.
    pub(crate) fn name(&self) -> &'static str {
        self.client.name
    }

    /// The commands that push.
    pub(crate) fn push(&self, arena: &Arena, artifact: &Artifact<'_>) -> Result<Vec<Command>> {
        (self.client.push)(&Task { arena, programs: &self.programs, artifact })
    }

    /// The commands that pull.
    pub(crate) fn pull(&self, arena: &Arena, artifact: &Artifact<'_>) -> Result<Vec<Command>> {
        (self.client.pull)(&Task { arena, programs: &self.programs, artifact })
    }
}

/// What a client is to be told, and with what.
struct Task<'a> {
    arena: &'a Arena,
    programs: &'a [PathBuf],
    artifact: &'a Artifact<'a>,
}

impl Task<'_> {
    fn program(&self, index: usize) -> Result<&Path> {
        self.programs
            .get(index)
            .map(PathBuf::as_path)
            .ok_or_else(|| Failure::step("a client lacks a program"))
    }

    /// The client, started in the folder of the files.
    fn command(&self) -> Result<Command> {
        let mut command = self.arena.apart(self.program(0)?);
        command.current_dir(self.artifact.folder);
        Ok(command)
    }

    fn reference(&self) -> String {
        format!("{}/{}:latest", self.artifact.host, self.artifact.repository)
    }

    fn repository_url(&self) -> String {
        format!("http://{}/v2/{}", self.artifact.host, self.artifact.repository)
    }

    /// The folder above that of the files, and the name of the latter in it.
    fn parent_and_name(&self) -> Result<(&Path, &str)> {
        let folder = self.artifact.folder;
        let name = folder.file_name().and_then(|name| name.to_str());
        folder.parent().zip(name).ok_or_else(|| Failure::step(format!("{} has no name", folder.display())))
    }
}

fn oras_push(task: &Task<'_>) -> Result<Vec<Command>> {
    let mut push = task.command()?;
    push.args(["push", "--plain-http", &task.reference()]).args(task.artifact.files);
    Ok(vec![push])
}

fn oras_push_folder(task: &Task<'_>) -> Result<Vec<Command>> {
    let (parent, name) = task.parent_and_name()?;
    let mut push = task.command()?;
    push.current_dir(parent).args(["push", "--plain-http", &task.reference(), name]);
    Ok(vec![push])
}

fn oras_pull(task: &Task<'_>) -> Result<Vec<Command>> {
    let mut pull = task.command()?;
    pull.args(["pull", "--plain-http", &task.reference()]);
    Ok(vec![pull])
}

fn regctl(task: &Task<'_>) -> Result<Command> {
    let mut command = task.command()?;
    command.args(["--host", &format!("reg={},tls=disabled", task.artifact.host), "artifact"]);
    Ok(command)
}

fn regctl_push(task: &Task<'_>) -> Result<Vec<Command>> {
    let mut put = regctl(task)?;
    // Without the first all files would get their last path segment as a name, and a pull would lose the
    // folders.
    put.args(["put", "--file-title", "--artifact-type", "application/vnd.example.files"]);
    for file in task.artifact.files {
        put.args(["--file", file, "--file-media-type", "application/octet-stream"]);
    }
    put.arg(task.reference());
    Ok(vec![put])
}

fn regctl_pull(task: &Task<'_>) -> Result<Vec<Command>> {
    let mut get = regctl(task)?;
    get.args(["get", "--output", ".", &task.reference()]);
    Ok(vec![get])
}

fn modctl(task: &Task<'_>, verb: &str) -> Result<Command> {
    let store = task.arena.fresh("modctl-store")?;
    let mut command = task.command()?;
    command.args([verb, "--plain-http", "--no-progress"]);
    command.arg("--storage-dir").arg(&store).arg("--log-dir").arg(&store);
    Ok(command)
}

/// `build` with the registry as its output is build and push in one, without a copy in between.
fn modctl_push(task: &Task<'_>) -> Result<Vec<Command>> {
    let recipe = task.arena.fresh("modctl")?.join("Modelfile");
    let files: String = task.artifact.files.iter().map(|file| format!("MODEL {file}\n")).collect();
    write(&recipe, &format!("NAME files\n{files}"))?;
    let mut build = modctl(task, "build")?;
    build.arg("--modelfile").arg(recipe).args(["--output-remote", "--target", &task.reference(), "."]);
    Ok(vec![build])
}

fn modctl_pull(task: &Task<'_>) -> Result<Vec<Command>> {
    let mut pull = modctl(task, "pull")?;
    pull.args(["--extract-from-remote", "--extract-dir", ".", &task.reference()]);
    Ok(vec![pull])
}

/// `kit` with a store of its own, so that it finds nothing of an earlier run there.
fn kit_store(task: &Task<'_>) -> Result<PathBuf> {
    let store = task.arena.fresh("kit-store")?;
    // Otherwise it asks a server far away for a newer version of itself each time.
    write(&store.join("disable-update-notifications"), "")?;
    Ok(store)
}

fn kit(task: &Task<'_>, store: &Path, arguments: &[&str]) -> Result<Command> {
    let mut command = task.command()?;
    command.args(arguments).args(["--progress", "none", "--config"]).arg(store);
    Ok(command)
}

fn kit_push(task: &Task<'_>) -> Result<Vec<Command>> {
    let (parent, name) = task.parent_and_name()?;
    let store = kit_store(task)?;
    let recipe = task.arena.fresh("kit")?.join("Kitfile");
    write(
        &recipe,
        &format!(
            "manifestVersion: \"1.0\"\npackage:\n  name: files\n  version: 1.0.0\ncode:\n  - path: {name}\n"
        ),
    )?;
    let reference = task.reference();
    let mut pack = kit(task, &store, &["pack", ".", "--tag", &reference])?;
    pack.current_dir(parent).arg("--file").arg(recipe);
    Ok(vec![pack, kit(task, &store, &["push", "--plain-http", &reference])?])
}

fn kit_pull(task: &Task<'_>) -> Result<Vec<Command>> {
    let store = kit_store(task)?;
    Ok(vec![kit(task, &store, &["unpack", "--plain-http", "--dir", ".", &task.reference()])?])
}

/// Makes the archive once untimed: its digest has to be known where it is sent.
fn tar_push(task: &Task<'_>) -> Result<Vec<Command>> {
    let (arena, curl) = (task.arena, task.program(0)?);
    let (parent, name) = task.parent_and_name()?;
    let archive = arena.fresh("tar")?.join("files.tar");
    let tar = || -> Result<Command> {
        let mut command = peers::tar(arena, task.program(1)?, parent);
        command.arg("-cf").arg(&archive).arg(name);
        Ok(command)
    };
    quietly(&mut tar()?)?;
    let digest = peers::digest(arena, task.program(2)?, &archive)?;
    write(&digest_of_archive(task), &digest)?;
    let upload = peers::open_upload(arena, curl, &task.repository_url(), &digest)?;
    Ok(vec![tar()?, peers::upload(arena, curl, &archive, &upload)])
}

fn tar_pull(task: &Task<'_>) -> Result<Vec<Command>> {
    let file = digest_of_archive(task);
    let digest = fs::read_to_string(&file).context(|| format!("cannot read {}", file.display()))?;
    let archive = task.arena.fresh("tar")?.join("files.tar");
    let mut get = peers::curl(task.arena, task.program(0)?);
    get.arg("--output").arg(&archive).arg(format!("{}/blobs/{digest}", task.repository_url()));
    let mut tar = peers::tar(task.arena, task.program(1)?, task.artifact.folder);
    tar.arg("-xf").arg(&archive);
    Ok(vec![get, tar])
}

/// Where a push leaves the digest of its archive for the pull: with no manifest nothing else names it.
fn digest_of_archive(task: &Task<'_>) -> PathBuf {
    task.arena.passing_file(&format!("{}.digest", task.artifact.repository))
}

fn write(file: &Path, text: &str) -> Result {
    fs::write(file, text).context(|| format!("cannot write {}", file.display()))
}

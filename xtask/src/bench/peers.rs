//! Other programs that do the same work, and how they are told to.

use super::arena::Arena;
use crate::command::read;
use crate::failure::{Failure, Result};
use crate::places;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Where a program is on `PATH`.
pub(super) fn find(name: &str) -> Option<PathBuf> {
    places::on_path(&[name])
}

/// `git` in `folder`, with no helper that would spare it the walk: our program has none either.
pub(super) fn git(arena: &Arena, git: &Path, folder: &Path) -> Command {
    let mut command = arena.apart(git);
    command.args(["-c", "core.fsmonitor=false", "-c", "core.untrackedCache=false"]);
    command.current_dir(folder).env("GIT_CONFIG_NOSYSTEM", "1");
    command
}

/// `openssl` taking the SHA-256 of files.
pub(super) fn openssl(arena: &Arena, openssl: &Path, files: impl IntoIterator<Item: AsRef<Path>>) -> Command {
    let mut command = arena.apart(openssl);
    command.args(["dgst", "-sha256", "-r"]);
    command.args(files.into_iter().map(|file| file.as_ref().to_owned()));
    command
}

/// The digest of a file as a registry writes it.
pub(super) fn digest(arena: &Arena, program: &Path, file: &Path) -> Result<String> {
    let line = read(&mut openssl(arena, program, [file]))?;
    Ok(format!("sha256:{}", line.split(' ').next().unwrap_or_default()))
}

/// `curl`, quiet unless it fails.
pub(super) fn curl(arena: &Arena, curl: &Path) -> Command {
    let mut command = arena.apart(curl);
    command.args(["--silent", "--show-error", "--fail"]);
    command
}

/// Opens an upload in the repository at `url` and returns where the blob of this digest goes.
pub(super) fn open_upload(arena: &Arena, program: &Path, url: &str, digest: &str) -> Result<String> {
    let mut post = curl(arena, program);
    post.args(["--request", "POST", "--include", &format!("{url}/blobs/uploads/")]);
    let answer = read(&mut post)?;
    let location = answer.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("location").then_some(value.trim())
    });
    let location = location.ok_or_else(|| Failure::step("the registry opened no upload"))?;
    let joined = if location.contains('?') { '&' } else { '?' };
    Ok(format!("{location}{joined}digest={digest}"))
}

/// A client of registries that takes files as they are, one blob each.
pub(super) struct Client {
    /// What it is called on `PATH`.
    pub(super) name: &'static str,
    arguments_to_push: fn(&mut Command, &Artifact<'_>),
    arguments_to_pull: fn(&mut Command, &Artifact<'_>),
}

/// What a client pushes or pulls.
pub(super) struct Artifact<'a> {
    /// The registry, `HOST:PORT`.
    pub(super) host: &'a str,
    /// The repository in it.
    pub(super) repository: &'a str,
    /// The paths of the files.
    pub(super) files: &'a [String],
    /// Where they lie, or are to lie.
    pub(super) folder: &'a Path,
}

/// The clients that [`super::large`] and [`super::many`] compare with.
pub(super) const CLIENTS: [Client; 2] = [
    Client { name: "oras", arguments_to_push: oras_push, arguments_to_pull: oras_pull },
    Client { name: "regctl", arguments_to_push: regctl_push, arguments_to_pull: regctl_pull },
];

impl Client {
    /// The command that pushes.
    pub(super) fn push(&self, arena: &Arena, program: &Path, artifact: &Artifact<'_>) -> Command {
        let mut command = arena.apart(program);
        command.current_dir(artifact.folder);
        (self.arguments_to_push)(&mut command, artifact);
        command
    }

    /// The command that pulls.
    pub(super) fn pull(&self, arena: &Arena, program: &Path, artifact: &Artifact<'_>) -> Command {
        let mut command = arena.apart(program);
        command.current_dir(artifact.folder);
        (self.arguments_to_pull)(&mut command, artifact);
        command
    }
}

impl Artifact<'_> {
    fn reference(&self) -> String {
        format!("{}/{}:latest", self.host, self.repository)
    }
}

fn oras_push(command: &mut Command, artifact: &Artifact<'_>) {
    command.args(["push", "--plain-http", &artifact.reference()]).args(artifact.files);
}

fn oras_pull(command: &mut Command, artifact: &Artifact<'_>) {
    command.args(["pull", "--plain-http", &artifact.reference()]);
}

fn regctl_push(command: &mut Command, artifact: &Artifact<'_>) {
    command.args(["--host", &format!("reg={},tls=disabled", artifact.host), "artifact", "put"]);
    // Without it all files would get their last path segment as a name, and a pull would lose the folders.
    command.args(["--file-title", "--artifact-type", "application/vnd.example.files"]);
    for file in artifact.files {
        command.args(["--file", file, "--file-media-type", "application/octet-stream"]);
    }
    command.arg(artifact.reference());
}

fn regctl_pull(command: &mut Command, artifact: &Artifact<'_>) {
    command.args(["--host", &format!("reg={},tls=disabled", artifact.host), "artifact", "get"]);
    command.args(["--output", ".", &artifact.reference()]);
}

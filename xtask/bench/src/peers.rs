//! Other programs that do a part of the work, and how they are told to; clients of registries are in
//! [`crate::clients`].

use crate::arena::Arena;
use std::path::{Path, PathBuf};
use std::process::Command;
use xtask::command::read;
use xtask::failure::{Failure, Result};
use xtask::places;

/// Where a program is on `PATH`.
pub(crate) fn find(name: &str) -> Option<PathBuf> {
    places::on_path(&[name])
}

/// `git` in `folder`, with no helper that would spare it the walk: our program has none either.
pub(crate) fn git(arena: &Arena, git: &Path, folder: &Path) -> Command {
    let mut command = arena.apart(git);
    command.args(["-c", "core.fsmonitor=false", "-c", "core.untrackedCache=false"]);
    command.current_dir(folder).env("GIT_CONFIG_NOSYSTEM", "1");
    command
}

/// `openssl` taking the SHA-256 of files.
pub(crate) fn openssl(arena: &Arena, openssl: &Path, files: impl IntoIterator<Item: AsRef<Path>>) -> Command {
    let mut command = arena.apart(openssl);
    command.args(["dgst", "-sha256", "-r"]);
    command.args(files.into_iter().map(|file| file.as_ref().to_owned()));
    command
}

/// The digest of a file as a registry writes it.
pub(crate) fn digest(arena: &Arena, program: &Path, file: &Path) -> Result<String> {
    let line = read(&mut openssl(arena, program, [file]))?;
    Ok(format!("sha256:{}", line.split(' ').next().unwrap_or_default()))
}

/// `tar` in `folder`.
pub(crate) fn tar(arena: &Arena, tar: &Path, folder: &Path) -> Command {
    let mut command = arena.apart(tar);
    command.current_dir(folder);
    command
}

/// `curl`, quiet unless it fails.
pub(crate) fn curl(arena: &Arena, curl: &Path) -> Command {
    let mut command = arena.apart(curl);
    command.args(["--silent", "--show-error", "--fail"]);
    command
}

/// `curl` sending a file to where an upload was opened.
pub(crate) fn upload(arena: &Arena, program: &Path, file: &Path, to: &str) -> Command {
    let mut put = curl(arena, program);
    // It would wait for leave to send otherwise.
    put.args(["--header", "Expect:", "--header", "Content-Type: application/octet-stream"]);
    put.arg("--upload-file").arg(file).arg(to);
    put
}

/// Opens an upload in the repository at `url` and returns where the blob of this digest goes.
pub(crate) fn open_upload(arena: &Arena, program: &Path, url: &str, digest: &str) -> Result<String> {
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

//! R: two releases of a real project, as wheels are: a second push and a second pull against the files that
//! differ, each compressed by itself.

use crate::arena::{Arena, Layout};
use crate::data;
use crate::peers;
use crate::report::{Limit, Row};
use crate::server::{self, Server};
use crate::versions::{Version, Versions};
use crate::wire::Wire;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use xtask::command::{program, quietly};
use xtask::failure::{Context, Failure, Result};
use xtask::places;

const BYTES: Limit = Limit::Ratio(1.2);

/// The releases, as the names of their wheels begin.
const RELEASES: [&str; 2] = ["covasim-3.1.5-", "covasim-3.1.6-"];

/// Counts what the second push and the second pull move.
pub(crate) fn run(arena: &Arena) -> Result<Vec<Row>> {
    let Some(server) = Server::start(arena)? else {
        return Ok(vec![Row::unmeasured("R push and pull", server::NAME)]);
    };
    let Some(wheels) = places::WHEELS.find() else {
        println!("    the wheels are not here; `cargo xtask test --tools-only` gets them");
        return Ok(vec![Row::unmeasured("R push and pull", places::WHEELS.name)]);
    };
    let mut unpacked = Vec::new();
    for release in RELEASES {
        unpacked.push(unpack(&wheels, release, arena.fresh(release)?)?);
    }
    let [first, second] = &unpacked[..] else { return Ok(Vec::new()) };
    let put = |folder: &Path, version| match version {
        Version::First => first.replace(None, folder),
        Version::Second => second.replace(Some(first), folder),
    };

    let Some(compressor) = Compressor::find() else {
        return Ok(vec![Row::unmeasured("R push and pull", "zstd or gzip")]);
    };
    let theirs = (compressor.name, compressor.sum(arena, &second.new_files(first))?);
    let wire = Wire::to(server.host())?;
    let versions = Versions { arena, wire: &wire, name: "r", put: &put };
    let mut rows = Vec::new();
    for (layout, limit) in [(Layout::Packed, Some(BYTES)), (Layout::Auto, None)] {
        let (ours, name) = (versions.ours(layout)?, layout.name());
        rows.push(Row::bytes(format!("R push, second, {name}: bytes sent"), ours.sent, theirs, limit));
        rows.push(Row::bytes(
            format!("R pull, second, {name}: bytes received"),
            ours.received,
            theirs,
            limit,
        ));
    }
    Ok(rows)
}

/// A release: its folder and what is in it.
struct Release {
    folder: PathBuf,
    /// By path below the folder.
    files: BTreeMap<PathBuf, Vec<u8>>,
}

impl Release {
    /// Makes `folder` hold this release instead of the other one.
    fn replace(&self, other: Option<&Self>, folder: &Path) -> Result {
        for path in other.iter().flat_map(|other| other.files.keys()) {
            if !self.files.contains_key(path) {
                let gone = folder.join(path);
                fs::remove_file(&gone).context(|| format!("cannot remove {}", gone.display()))?;
            }
        }
        for path in self.files.keys() {
            let to = folder.join(path);
            if let Some(above) = to.parent() {
                crate::arena::make_folder(above)?;
            }
            data::copy(&self.folder.join(path), &to)?;
        }
        Ok(())
    }

    /// The files whose content the other one has nowhere: a file that was only moved brings nothing new.
    fn new_files(&self, other: &Self) -> Vec<PathBuf> {
        let is_new = |content: &Vec<u8>| other.files.values().all(|old| old != content);
        let files = self.files.iter().filter(|(_, content)| is_new(content));
        files.map(|(path, _)| self.folder.join(path)).collect()
    }
}

/// Unpacks the wheel whose name begins with `release` into a new folder.
fn unpack(wheels: &Path, release: &str, folder: PathBuf) -> Result<Release> {
    let wheel = entries(wheels)?
        .into_iter()
        .find(|path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(release)))
        .ok_or_else(|| Failure::step(format!("there is no wheel {release}* in {}", wheels.display())))?;
    // As the tests do it: a wheel is a zip, and a machine that got the wheels has a Python.
    let python = places::PYTHON.find().unwrap_or_else(|| "python3".into());
    quietly(program(python).args(["-m", "zipfile", "-e"]).arg(wheel).arg(&folder))?;
    let mut files = BTreeMap::new();
    read_files(&folder, Path::new(""), &mut files)?;
    Ok(Release { folder, files })
}

fn read_files(root: &Path, below: &Path, files: &mut BTreeMap<PathBuf, Vec<u8>>) -> Result {
    for entry in entries(&root.join(below))? {
        let path = below.join(entry.file_name().unwrap_or_default());
        if entry.is_dir() {
            read_files(root, &path, files)?;
        } else {
            let content = fs::read(&entry).context(|| format!("cannot read {}", entry.display()))?;
            files.insert(path, content);
        }
    }
    Ok(())
}

fn entries(folder: &Path) -> Result<Vec<PathBuf>> {
    let cannot = || format!("cannot read {}", folder.display());
    let entries = fs::read_dir(folder).context(cannot)?;
    entries.map(|entry| entry.map(|entry| entry.path()).context(cannot)).collect()
}

/// What makes a file smaller.
struct Compressor {
    /// As it is called in the figures.
    name: &'static str,
    program: PathBuf,
    arguments: &'static [&'static str],
}

impl Compressor {
    /// The better one of those on this machine.
    fn find() -> Option<Self> {
        const ALL: [(&str, &str, &[&str]); 2] = [
            ("zstd", "new files, zstd -3", &["-3", "--quiet", "--stdout"]),
            // Without the name and the time of the file, which are no content.
            ("gzip", "new files, gzip -6", &["-6", "--no-name", "--stdout"]),
        ];
        ALL.into_iter().find_map(|(program, name, arguments)| {
            Some(Self { name, program: peers::find(program)?, arguments })
        })
    }

    /// How many bytes the files have when each is compressed by itself.
    fn sum(&self, arena: &Arena, files: &[PathBuf]) -> Result<u64> {
        let size = |file: &PathBuf| -> Result<u64> {
            let mut command: Command = arena.apart(&self.program);
            let output = command
                .args(self.arguments)
                .arg(file)
                .output()
                .context(|| format!("cannot run {}", self.program.display()))?;
            if output.status.success() {
                Ok(output.stdout.len() as u64)
            } else {
                Err(Failure::step(format!("cannot compress {}", file.display())))
            }
        };
        files.iter().map(size).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_content_that_was_nowhere_is_new() {
        let release = |folder: &str, files: &[(&str, &str)]| Release {
            folder: folder.into(),
            files: files.iter().map(|(path, content)| (path.into(), content.as_bytes().to_vec())).collect(),
        };
        let first = release("1", &[("kept", "k"), ("changed", "c"), ("1.info/LICENSE", "l")]);
        let second = release("2", &[("kept", "k"), ("changed", "C"), ("2.info/LICENSE", "l"), ("new", "n")]);
        assert_eq!(second.new_files(&first), [Path::new("2/changed"), Path::new("2/new")]);
    }
}

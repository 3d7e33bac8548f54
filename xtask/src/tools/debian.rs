//! Tools that Debian packages: unpacked into a folder, as any user. Nothing is installed into the system.

use super::Tool;
use crate::command::{program, quietly, read};
use crate::failure::{Context, Failure, Result};
use crate::places;
use std::fs;
use std::path::Path;
use std::process::Command;

/// Downloads the packages of the recipe and unpacks them into the folder.
pub(super) fn unpack(tool: &Tool, folder: &Path) -> Result {
    let apt = Apt::find()?;
    download_and_unpack(&apt, tool.recipe, folder)
}

/// Unpacks skopeo and its libraries, and writes a script that starts it from there.
pub(super) fn unpack_skopeo(tool: &Tool, folder: &Path) -> Result {
    unpack(tool, folder)?;
    write_script(&folder.join("skopeo"), "usr/bin/skopeo")
}

/// Unpacks Chromium with those of its dependencies that the system lacks, and writes a script that starts it from there.
pub(super) fn unpack_chromium(tool: &Tool, folder: &Path) -> Result {
    let mut apt = Apt::find()?;
    let simulate = ["install", "--simulate", "--no-install-recommends"];
    let simulated = match read(apt.get().args(simulate).args(tool.recipe)) {
        Ok(simulated) => simulated,
        Err(_) => {
            apt.use_private_lists()?;
            read(apt.get().args(simulate).args(tool.recipe))?
        }
    };
    let mut packages = packages_to_install(&simulated);
    // Of one whole, though the system may have a part of it.
    packages.retain(|package| !tool.recipe.contains(package));
    packages.extend(tool.recipe);
    download_and_unpack(&apt, &packages, folder)?;
    // The package's own start script names folders of the system.
    write_script(&folder.join("chromium"), "usr/lib/chromium/chromium")
}

/// Unpacks fish, and writes a script that starts it from there.
pub(super) fn unpack_fish(tool: &Tool, folder: &Path) -> Result {
    unpack(tool, folder)?;
    // It looks for its own functions beside itself where `etc` is there too.
    let etc = folder.join("usr/etc");
    quietly(program("ln").args(["-s", "../etc"]).arg(etc))?;
    write_script(&folder.join("fish"), "usr/bin/fish")
}

/// Unpacks the zsh that has its modules inside, for a loaded one ignores where they are said to be; and writes a script
/// that starts it with the functions from there.
pub(super) fn unpack_zsh(tool: &Tool, folder: &Path) -> Result {
    unpack(tool, folder)?;
    let script = r#"#!/bin/sh
here=$(dirname "$(readlink -f "$0")")
export FPATH=$(find "$here/usr/share/zsh/functions" -type d | sort | tr '\n' ':')
exec "$here/bin/zsh-static" "$@"
"#;
    write_executable(&folder.join("zsh"), script)
}

/// `apt-get`, and whose package lists it reads.
struct Apt {
    private_lists: bool,
}

impl Apt {
    fn find() -> Result<Self> {
        for name in ["apt-get", "dpkg"] {
            places::on_path(&[name]).ok_or_else(|| {
                Failure::step(format!("there is no `{name}` here; install the tool and put it on PATH"))
            })?;
        }
        Ok(Self { private_lists: false })
    }

    fn get(&self) -> Command {
        let mut command = program("apt-get");
        command.env("DEBIAN_FRONTEND", "noninteractive");
        if self.private_lists {
            let state = places::tools_folder().join("apt");
            for (option, folder) in [("Dir::State::lists", "lists"), ("Dir::Cache", "cache")] {
                command.arg("-o").arg(format!("{option}={}", state.join(folder).display()));
            }
        }
        command
    }

    /// Fetches package lists into a folder of ours and reads those from now on: a fresh machine may have
    /// none, and only root can write the system's.
    fn use_private_lists(&mut self) -> Result {
        self.private_lists = true;
        for folder in ["lists/partial", "cache/archives/partial"] {
            let folder = places::tools_folder().join("apt").join(folder);
            fs::create_dir_all(&folder).context(|| format!("cannot make {}", folder.display()))?;
        }
        quietly(self.get().arg("update"))
    }
}

fn download_and_unpack(apt: &Apt, packages: &[&str], folder: &Path) -> Result {
    let downloads = folder.join("packages");
    fs::create_dir(&downloads).context(|| format!("cannot make {}", downloads.display()))?;
    let download = |apt: &Apt| {
        // apt-get writes into its current folder, as itself when it cannot become another user there.
        quietly(
            apt.get()
                .args(["-o", "APT::Sandbox::User=root", "download"])
                .args(packages)
                .current_dir(&downloads),
        )
    };
    if download(apt).is_err() {
        let mut apt = Apt { private_lists: apt.private_lists };
        apt.use_private_lists()?;
        download(&apt)?;
    }
    for entry in fs::read_dir(&downloads).context(|| format!("cannot read {}", downloads.display()))? {
        let entry = entry.context(|| format!("cannot read {}", downloads.display()))?;
        quietly(program("dpkg").arg("-x").arg(entry.path()).arg(folder))?;
    }
    fs::remove_dir_all(&downloads).context(|| format!("cannot remove {}", downloads.display()))
}

/// The names in the lines `Inst name (version …)` of a simulated install.
fn packages_to_install(simulated: &str) -> Vec<&str> {
    simulated
        .lines()
        .filter_map(|line| line.strip_prefix("Inst "))
        .filter_map(|rest| rest.split_whitespace().next())
        .collect()
}

/// Writes a script at `path` that starts a program which was unpacked beside it, with its own libraries.
fn write_script(path: &Path, program_path: &str) -> Result {
    let script = format!(
        r#"#!/bin/sh
here=$(dirname "$(readlink -f "$0")")
libraries=$(find "$here/usr/lib" "$here/lib" -name '*.so*' -exec dirname {{}} + 2>/dev/null | sort -u | tr '\n' ':')
export LD_LIBRARY_PATH="$libraries$LD_LIBRARY_PATH"
if [ ! -d /etc/fonts ]; then export FONTCONFIG_PATH="$here/etc/fonts"; fi
exec "$here/{program_path}" "$@"
"#
    );
    write_executable(path, &script)
}

fn write_executable(path: &Path, script: &str) -> Result {
    fs::write(path, script).context(|| format!("cannot write {}", path.display()))?;
    quietly(program("chmod").arg("755").arg(path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_simulated_install_names_what_is_missing() {
        let simulated = "Reading package lists...\n\
                         Inst libminizip1 (1.1-8+deb12u1 Debian:12.12/oldstable [amd64])\n\
                         Inst chromium (156.0 Debian-Security:12/oldstable-security [amd64])\n\
                         Conf libminizip1 (1.1-8+deb12u1 Debian:12.12/oldstable [amd64])\n";
        assert_eq!(packages_to_install(simulated), ["libminizip1", "chromium"]);
    }
}

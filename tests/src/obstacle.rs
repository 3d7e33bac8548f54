//! Runs the program where the system refuses things: as a user without rights, and with mounts of its own.

use std::path::Path;
use std::process::{Command, Stdio};

use crate::bin::bundle_binary;
use crate::command::BundleCommand;
use crate::project::TestProject;
use crate::tools;

/// A user and group that own nothing.
const NOBODY: u32 = 65534;

/// Gives all of a project, and what lies beside it, to a user who may do no more than its modes say: to that of the
/// tests where they run as one, else to nobody. See [`run_as_owner`].
pub fn give_to_plain_user(project: &TestProject) {
    if is_root() {
        let base = project.path().parent().expect("a project lies in a temporary folder");
        let owner = format!("{NOBODY}:{NOBODY}");
        let status = Command::new("chown").args(["-hR", &owner]).arg(base).status();
        assert!(status.is_ok_and(|status| status.success()), "cannot give {} away", base.display());
    }
}

/// A run of the program by the user to whom [`give_to_plain_user`] gave the project.
pub fn run_as_owner(project: &TestProject, arguments: &[&str]) -> BundleCommand {
    if !is_root() {
        return project.command(arguments);
    }
    let (user, group) = (format!("--reuid={NOBODY}"), format!("--regid={NOBODY}"));
    BundleCommand::of_program("setpriv", project.home())
        .args([&user, &group, "--clear-groups", "--"])
        .arg(bundle_binary())
        .args(arguments)
        .current_dir(project.path())
}

/// A run of a shell script in the project folder, which may mount what it likes: nobody else sees that, and it is gone
/// when the script ends. `None`, with a word of why, where this system lets nobody do so.
///
/// The script finds the program as `"$MB"`.
pub fn script_with_mounts(project: &TestProject, script: &str) -> Option<BundleCommand> {
    let mut arguments = vec!["--mount"];
    if !is_root() {
        arguments.extend(["--user", "--map-root-user"]);
    }
    let mut probe = Command::new("unshare");
    probe.args(&arguments).args(["sh", "-c", "mount -t tmpfs none /mnt"]);
    let can_mount = probe.stdout(Stdio::null()).stderr(Stdio::null()).status();
    if !can_mount.is_ok_and(|status| status.success()) {
        tools::tell_skipped("mounts of one's own are not allowed here");
        return None;
    }
    let command = BundleCommand::of_program("unshare", project.home()).args(arguments);
    let command = command.args(["sh", "-euc", script]).env("MB", bundle_binary());
    Some(command.current_dir(project.path()))
}

/// Marks an entry immutable until this is dropped; `None`, with a word of why, where that is not possible.
pub fn make_immutable(path: &Path) -> Option<Immutable> {
    if !change_flag("+i", path) {
        tools::tell_skipped("nothing can be made immutable here");
        return None;
    }
    Some(Immutable { path: path.to_owned() })
}

/// An entry that not even root may change.
#[derive(Debug)]
pub struct Immutable {
    path: std::path::PathBuf,
}

impl Drop for Immutable {
    fn drop(&mut self) {
        change_flag("-i", &self.path);
    }
}

fn change_flag(flag: &str, path: &Path) -> bool {
    let mut chattr = Command::new("chattr");
    chattr.arg(flag).arg(path).stdout(Stdio::null()).stderr(Stdio::null());
    chattr.status().is_ok_and(|status| status.success())
}

fn is_root() -> bool {
    let id = Command::new("id").arg("-u").output();
    id.is_ok_and(|output| output.stdout.trim_ascii() == b"0")
}

//! Modes of files, and file systems that keep none: shares, some cards and sticks, some network file systems.

use std::fs::{File, Permissions};
use std::io;
use std::path::Path;

use super::atomic::is_unable;
#[cfg(unix)]
use super::stamp::is_executable;
#[cfg(unix)]
use crate::leftovers::{self, Among, Readers};

/// What the modes are worth that a file system shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Modes {
    /// They are what files were given.
    Kept,
    /// They are the file system's own: whatever a new file is given, it shows this.
    Fixed {
        /// Whether its owner may run it.
        executable: bool,
    },
}

impl Modes {
    /// Finds out, by way of a new file in `folder`. Where none can be made, nothing speaks against what is shown.
    #[cfg(unix)]
    pub(crate) fn of(folder: &Path, among: Among) -> Self {
        try_out(folder, among).unwrap_or(Self::Kept)
    }

    /// Nothing here is marked as a program.
    #[cfg(not(unix))]
    pub(crate) fn of(_: &Path, _: crate::leftovers::Among) -> Self {
        Self::Fixed { executable: false }
    }

    /// Whether a file is executable that is `shown` to be so or not, and that is `known` to be so or not.
    pub(crate) fn judge(self, shown: bool, known: Option<bool>) -> bool {
        match self {
            Self::Kept => shown,
            // Of a file that nobody knows, only what it has beyond others says something.
            Self::Fixed { executable } => known.unwrap_or(shown && !executable),
        }
    }
}

#[cfg(unix)]
fn try_out(folder: &Path, among: Among) -> io::Result<Modes> {
    use std::os::unix::fs::PermissionsExt as _;
    let file = leftovers::new_file(folder, among, Readers::Owner)?;
    let file = file.as_file();
    let before = file.metadata()?;
    let other = Permissions::from_mode(before.permissions().mode() ^ 0o100);
    set_permissions(file, other)?;
    let (executable, now) = (is_executable(&before), is_executable(&file.metadata()?));
    Ok(if now == executable { Modes::Fixed { executable } } else { Modes::Kept })
}

/// Gives `file` these permissions, where its file system keeps any.
pub(crate) fn set_permissions(file: &File, permissions: Permissions) -> io::Result<()> {
    match file.set_permissions(permissions) {
        // The file is this process's own, so that nobody else could be asked for the right to do it.
        Err(error) if is_unable(&error) || error.kind() == io::ErrorKind::PermissionDenied => Ok(()),
        result => result,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mode_that_the_disk_cannot_hold_is_the_one_that_is_known() {
        for (shown, known) in [(true, Some(false)), (false, Some(true)), (true, None), (false, None)] {
            assert_eq!(Modes::Kept.judge(shown, known), shown);
        }
        for executable in [false, true] {
            let fixed = Modes::Fixed { executable };
            assert!(fixed.judge(executable, Some(true)) && !fixed.judge(executable, Some(false)));
            assert!(!fixed.judge(executable, None));
        }
        assert!(Modes::Fixed { executable: false }.judge(true, None));
    }

    #[test]
    #[cfg(unix)]
    fn a_file_system_with_modes_is_told_by_a_file_that_goes_again() {
        let folder = tempfile::TempDir::new().unwrap();
        assert_eq!(Modes::of(folder.path(), Among::OwnFiles), Modes::Kept);
        assert_eq!(folder.path().read_dir().unwrap().count(), 0);
    }
}

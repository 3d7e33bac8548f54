//! Whether a disk has room for what is to come, asked before the first byte of it does.

use std::fs::File;
use std::path::Path;

use super::DownloadError;
use crate::bundle::Claims;
use crate::rights::room;

/// Refuses to write `needed` bytes to `folder`, which is there, where its disk has no room for them.
pub(super) fn check_room(folder: &Path, needed: u64, claims: Claims) -> Result<(), DownloadError> {
    let free = File::open(folder).and_then(room).ok().flatten();
    match free {
        Some(free) if free < needed && claims == Claims::Plausible => {
            Err(DownloadError::NoRoom { folder: folder.to_owned(), needed, free })
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(unix)]
    fn more_than_a_disk_has_is_refused_unless_it_is_meant() {
        let folder = tempfile::TempDir::new().unwrap();
        assert!(check_room(folder.path(), 1, Claims::Plausible).is_ok());
        let refused = check_room(folder.path(), u64::MAX, Claims::Plausible);
        assert!(matches!(refused, Err(DownloadError::NoRoom { needed: u64::MAX, .. })));
        assert!(check_room(folder.path(), u64::MAX, Claims::Any).is_ok());
    }
}

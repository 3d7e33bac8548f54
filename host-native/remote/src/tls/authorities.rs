//! The lists of trusted authorities that the user's environment names: looked at before those are read who read them to
//! their end, whatever they are.

use std::env;
use std::ffi::OsStr;
use std::path::Path;

use super::TlsFault;
use crate::files::whole_file::{self, FileFault, Links};

/// The variable that names one file with all of them.
const FILE: &str = "SSL_CERT_FILE";

/// The variable that names folders with a file for each.
const FOLDERS: &str = "SSL_CERT_DIR";

/// Refuses what is named and no regular file of at most `limit` bytes; files that are not there are for their reader to
/// tell of.
pub(super) fn check_lists(limit: u64) -> Result<(), TlsFault> {
    check(env::var_os(FILE).as_deref(), env::var_os(FOLDERS).as_deref(), limit)
}

fn check(file: Option<&OsStr>, folders: Option<&OsStr>, limit: u64) -> Result<(), TlsFault> {
    if let Some(file) = file.filter(|file| !file.is_empty()) {
        check_file(Path::new(file), limit)?;
    }
    for folder in folders.into_iter().flat_map(env::split_paths) {
        let Ok(entries) = folder.read_dir() else { continue };
        for path in entries.flatten().map(|entry| entry.path()) {
            // What else lies there is passed over.
            if path.metadata().is_ok_and(|found| found.is_file()) {
                check_file(&path, limit)?;
            }
        }
    }
    Ok(())
}

fn check_file(path: &Path, limit: u64) -> Result<(), TlsFault> {
    let fault = |fault| TlsFault::AuthoritiesFile { path: path.to_owned(), fault };
    match whole_file::open(path, Links::Follow).and_then(|file| file.metadata()) {
        Ok(found) if found.len() > limit => Err(fault(FileFault::TooLong { limit })),
        Ok(_) => Ok(()),
        Err(_) if is_empty_device(path) => Ok(()),
        Err(error) => FileFault::of(&error).map_or(Ok(()), |found| Err(fault(found))),
    }
}

/// Whether this is the device in which nothing is: named by whoever wants nobody to be trusted.
#[cfg(unix)]
fn is_empty_device(path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt as _;
    let device = |path: &Path| path.metadata().map(|found| (found.dev(), found.ino())).ok();
    device(path).is_some_and(|found| device(Path::new("/dev/null")) == Some(found))
}

#[cfg(not(unix))]
fn is_empty_device(_: &Path) -> bool {
    false
}

#[cfg(test)]
#[cfg(unix)]
mod tests {
    use super::*;

    #[test]
    fn only_regular_files_of_bounded_length_are_left_to_be_read() {
        let folder = tempfile::TempDir::new().unwrap();
        let at = |name: &str| folder.path().join(name).into_os_string();
        std::fs::write(at("few"), "1234").unwrap();
        std::os::unix::fs::symlink("/dev/zero", at("endless")).unwrap();
        let check_file = |name: &str, limit| check(Some(&at(name)), None, limit);
        assert_eq!(check_file("few", 4), Ok(()));
        assert_eq!(check_file("nowhere", 4), Ok(()));
        assert_eq!(check(Some(OsStr::new("/dev/null")), None, 4), Ok(()));
        assert!(matches!(
            check_file("few", 3),
            Err(TlsFault::AuthoritiesFile { fault: FileFault::TooLong { limit: 3 }, .. })
        ));
        assert!(matches!(
            check_file("endless", 4),
            Err(TlsFault::AuthoritiesFile { fault: FileFault::NotRegular, .. })
        ));
        let check_folder = |limit| check(None, Some(folder.path().as_os_str()), limit);
        assert_eq!(check_folder(4), Ok(()));
        assert!(check_folder(3).is_err());
    }
}

//! Opens the folders that a commit writes in. No link leads out of the project here, however quickly it is swapped in.
//!
//! Folders are opened one after the other, each from the handle of the one before and none through a link. A link to
//! a folder inside the project is first resolved, then its true place is opened in the same way.

use std::ffi::OsString;
use std::io::{self, ErrorKind};
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use bundle_core::name::path::{BundlePath, RESERVED_FOLDERS};
use cap_fs_ext::DirExt;
use cap_std::ambient_authority;
use cap_std::fs::Dir;
use thiserror::Error;

use super::folder::PROJECT_FOLDER;

/// As many links as Linux follows in one path.
const MAX_LINKS: u32 = 40;

/// What to do about a folder that is not there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Missing {
    Create,
    Leave,
}

/// The folders of one project, and a handle of the one that was opened last: paths come sorted.
#[derive(Debug)]
pub(crate) struct Parents {
    root: Arc<Dir>,
    root_path: PathBuf,
    last: Option<(String, Arc<Dir>)>,
}

/// Splits a path into the folder that it lies in (empty for the top) and its name there.
pub(crate) fn split(path: &str) -> (&str, &str) {
    path.rsplit_once('/').unwrap_or(("", path))
}

impl Parents {
    pub(crate) fn new(root: &Path) -> io::Result<Self> {
        let handle = Dir::open_ambient_dir(root, ambient_authority())?;
        Ok(Self::at(handle, root))
    }

    /// The folders below `handle`, which is open and whose path is `root`.
    pub(crate) fn at(handle: Dir, root: &Path) -> Self {
        Self { root: Arc::new(handle), root_path: root.to_owned(), last: None }
    }

    /// The folder that `path` lies in; `None` when it is not there and `missing` says to leave it so.
    pub(crate) fn of(
        &mut self,
        path: &BundlePath,
        missing: Missing,
    ) -> Result<Option<Arc<Dir>>, ParentError> {
        self.open(split(path.as_str()).0, missing)
    }

    /// The folder called `folder`, empty for the top.
    pub(crate) fn open(&mut self, folder: &str, missing: Missing) -> Result<Option<Arc<Dir>>, ParentError> {
        if folder.is_empty() {
            return Ok(Some(Arc::clone(&self.root)));
        }
        if let Some((_, handle)) = self.last.as_ref().filter(|(last, _)| last == folder) {
            return Ok(Some(Arc::clone(handle)));
        }
        let Some(handle) = Walk::new(self, folder)?.finish(missing)? else { return Ok(None) };
        let handle = Arc::new(handle);
        self.last = Some((folder.to_owned(), Arc::clone(&handle)));
        Ok(Some(handle))
    }

    /// Whether nothing lies at `path`. Where that cannot be seen it is not known, and so is not said.
    pub(crate) fn is_absent(&mut self, path: &BundlePath) -> bool {
        match self.of(path, Missing::Leave) {
            Ok(None) => true,
            Ok(Some(parent)) => {
                let found = parent.symlink_metadata(split(path.as_str()).1);
                found.is_err_and(|error| error.kind() == ErrorKind::NotFound)
            }
            Err(_) => false,
        }
    }

    /// The top folder.
    pub(crate) fn top(&self) -> Arc<Dir> {
        Arc::clone(&self.root)
    }

    /// The project's own folder, where these are the folders of a project.
    pub(crate) fn own_folder(&self) -> io::Result<Dir> {
        self.root.open_dir_nofollow(PROJECT_FOLDER)
    }

    /// Forgets the handle at hand: something else may lie there now.
    pub(crate) fn forget(&mut self) {
        self.last = None;
    }
}

struct Walk<'a> {
    parents: &'a Parents,
    folder: &'a str,
    handle: Dir,
    /// Where `handle` is, below the root and free of links.
    place: PathBuf,
    /// The parts still to enter, last one first.
    ahead: Vec<OsString>,
    /// How many of `ahead` are parts of `folder`; those before come from a link.
    own_ahead: usize,
    links: u32,
}

impl<'a> Walk<'a> {
    fn new(parents: &'a Parents, folder: &'a str) -> Result<Self, ParentError> {
        let ahead: Vec<OsString> = folder.rsplit('/').map(OsString::from).collect();
        let fault = |source| ParentError::Open { folder: folder.to_owned(), source };
        Ok(Self {
            parents,
            folder,
            handle: parents.root.try_clone().map_err(fault)?,
            place: PathBuf::new(),
            own_ahead: ahead.len(),
            ahead,
            links: 0,
        })
    }

    fn finish(mut self, missing: Missing) -> Result<Option<Dir>, ParentError> {
        while let Some(part) = self.ahead.pop() {
            self.own_ahead = self.own_ahead.min(self.ahead.len());
            match self.handle.open_dir_nofollow(&part) {
                Ok(next) => self.enter(next, part),
                Err(error) if error.kind() == ErrorKind::NotFound => {
                    if missing == Missing::Leave {
                        return Ok(None);
                    }
                    self.handle.create_dir(&part).map_err(|source| self.fault(source))?;
                    let next = self.handle.open_dir_nofollow(&part).map_err(|source| self.fault(source))?;
                    self.enter(next, part);
                }
                Err(error) => {
                    let found = self.handle.symlink_metadata(&part).map_err(|source| self.fault(source))?;
                    if found.is_symlink() {
                        self.follow(&part)?;
                    } else if found.is_dir() {
                        return Err(self.fault(error));
                    } else {
                        return Err(ParentError::NotAFolder { folder: self.so_far() });
                    }
                }
            }
        }
        Ok(Some(self.handle))
    }

    fn enter(&mut self, handle: Dir, part: OsString) {
        self.place.push(part);
        self.handle = handle;
    }

    /// Starts again from the root towards what the link `part` points to, if that is inside.
    fn follow(&mut self, part: &OsString) -> Result<(), ParentError> {
        let link = self.so_far();
        let outside = || ParentError::LeavesProject { folder: link.clone() };
        let target =
            self.parents.root_path.join(&self.place).join(part).canonicalize().map_err(|_| outside())?;
        let inside = target.strip_prefix(&self.parents.root_path).map_err(|_| outside())?;
        let parts: Vec<_> = inside.components().filter_map(normal).collect();
        self.links += 1;
        if is_reserved(parts.first()) || self.links > MAX_LINKS {
            return Err(outside());
        }
        let root = self.parents.root.try_clone().map_err(|source| self.fault(source))?;
        self.ahead.extend(parts.into_iter().rev());
        self.handle = root;
        self.place = PathBuf::new();
        Ok(())
    }

    /// The part of `folder` that is being entered.
    fn so_far(&self) -> String {
        let parts: Vec<_> = self.folder.split('/').collect();
        parts[..parts.len() - self.own_ahead].join("/")
    }

    fn fault(&self, source: io::Error) -> ParentError {
        ParentError::Open { folder: self.so_far(), source }
    }
}

fn normal(component: Component<'_>) -> Option<OsString> {
    matches!(component, Component::Normal(_)).then(|| component.as_os_str().to_owned())
}

fn is_reserved(first: Option<&OsString>) -> bool {
    first.is_some_and(|part| RESERVED_FOLDERS.iter().any(|reserved| part.eq_ignore_ascii_case(reserved)))
}

/// Why a folder is not one to write in. Its name is that of a bundle: parts joined by slashes.
#[derive(Debug, Error)]
pub enum ParentError {
    /// A link leads out of the project, into a folder that bundles keep out of, or nowhere.
    #[error("`{folder}` is a link that leads out of the project's own files")]
    LeavesProject {
        /// The link.
        folder: String,
    },
    /// Something else lies where a folder is needed.
    #[error("`{folder}` is not a folder")]
    NotAFolder {
        /// What should be a folder.
        folder: String,
    },
    /// The system would not let it be opened or made.
    #[error("cannot open the folder `{folder}`")]
    Open {
        /// The folder.
        folder: String,
        /// What the system said.
        source: io::Error,
    },
}

impl ParentError {
    /// What lies in the way, if that is what is wrong.
    pub(crate) fn obstacle(&self) -> Option<&str> {
        match self {
            Self::LeavesProject { folder } | Self::NotAFolder { folder } => Some(folder),
            Self::Open { .. } => None,
        }
    }
}

#[cfg(test)]
#[cfg(unix)]
mod tests {
    use std::os::unix::fs::symlink;

    use tempfile::TempDir;

    use super::*;

    #[test]
    fn links_are_followed_inside_and_never_out() {
        let top = TempDir::new().unwrap();
        let root = top.path().canonicalize().unwrap().join("p");
        std::fs::create_dir_all(root.join("real/deep")).unwrap();
        std::fs::create_dir_all(root.join(".git")).unwrap();
        symlink("real", root.join("relative")).unwrap();
        symlink(root.join("relative"), root.join("absolute")).unwrap();
        symlink("../real/deep", root.join("real/back")).unwrap();
        for (link, target) in [("out", ".."), ("git", ".git"), ("gone", "nowhere"), ("self", "self")] {
            symlink(target, root.join(link)).unwrap();
        }
        std::fs::write(root.join("file"), "").unwrap();
        let mut parents = Parents::new(&root).unwrap();

        for (at, folder) in
            ["", "real/deep", "relative/deep", "absolute/deep/new", "absolute/back"].into_iter().enumerate()
        {
            let handle = parents.open(folder, Missing::Create).unwrap().unwrap();
            handle.write(format!("f{at}"), folder).unwrap();
            assert_eq!(std::fs::read_to_string(root.join(folder).join(format!("f{at}"))).unwrap(), folder);
        }
        assert!(parents.open("real/none/x", Missing::Leave).unwrap().is_none());
        for folder in ["out", "out/x", "git/hooks", "gone", "self"] {
            let error = parents.open(folder, Missing::Create).unwrap_err();
            let link = folder.split('/').next();
            assert!(
                matches!(&error, ParentError::LeavesProject { folder } if Some(folder.as_str()) == link),
                "{error}"
            );
        }
        let error = parents.open("real/../file", Missing::Create);
        assert!(error.is_err());
        let error = parents.open("file/x", Missing::Create).unwrap_err();
        assert!(matches!(&error, ParentError::NotAFolder { folder } if folder == "file"), "{error}");
        assert_eq!(std::fs::read_dir(top.path()).unwrap().count(), 1);
    }
}

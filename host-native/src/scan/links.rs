//! What a symbolic link leads to, and whether a walk may go there. Nothing is read or written through a link here.

use std::fs::Metadata;
use std::io::{self, ErrorKind};
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use bundle_core::file::SymlinkPolicy;
use bundle_core::name::path::RESERVED_FOLDERS;

use super::walk::RefusalReason;

/// As many links to folders may lie on the way to a file; folders that link to each other would else have ever more.
const MAX_FOLDER_LINKS: usize = 8;

/// What a link leads to; paths are absolute and free of links.
#[derive(Debug)]
pub(crate) enum Target {
    File { path: PathBuf, metadata: Metadata },
    Folder { path: PathBuf, chain: Chain },
}

/// The folders that a walk is in, as one path that jumps wherever a link was followed.
#[derive(Clone, Debug)]
pub(crate) struct Chain {
    /// Where it has been going down from since the last link.
    start: Arc<Path>,
    /// How it came to that link, and the folder that the link lies in.
    before: Option<Arc<(Chain, PathBuf)>>,
}

impl Chain {
    pub(crate) fn start(root: &Path) -> Self {
        Self { start: root.into(), before: None }
    }

    /// Whether a walk that is in the folder `here` is in `folder` too.
    fn holds(&self, here: &Path, folder: &Path) -> bool {
        (here.starts_with(folder) && folder.starts_with(&self.start))
            || self.before.as_ref().is_some_and(|before| before.0.holds(&before.1, folder))
    }

    fn length(&self) -> usize {
        self.before.as_ref().map_or(0, |before| 1 + before.0.length())
    }
}

/// Finds out what the link at `link` leads to, and refuses what `policy` does.
pub(crate) fn follow(
    root: &Path,
    policy: SymlinkPolicy,
    link: &Path,
    chain: &Chain,
) -> Result<Target, RefusalReason> {
    if policy == SymlinkPolicy::Never {
        return Err(RefusalReason::Link);
    }
    let path = link.canonicalize().map_err(|error| fault(&error))?;
    match path.strip_prefix(root) {
        Ok(inside) if is_reserved(inside) => return Err(RefusalReason::OutsideLink),
        Err(_) if policy != SymlinkPolicy::Always => return Err(RefusalReason::OutsideLink),
        _ => {}
    }
    let metadata = path.metadata().map_err(|error| fault(&error))?;
    if metadata.is_file() {
        return Ok(Target::File { path, metadata });
    }
    if !metadata.is_dir() {
        return Err(RefusalReason::Special);
    }
    let here = link.parent().unwrap_or(root);
    if chain.holds(here, &path) {
        return Err(RefusalReason::CyclicLink);
    }
    if chain.length() >= MAX_FOLDER_LINKS {
        return Err(RefusalReason::TooManyLinks);
    }
    let chain =
        Chain { start: path.as_path().into(), before: Some(Arc::new((chain.clone(), here.to_owned()))) };
    Ok(Target::Folder { path, chain })
}

fn is_reserved(inside: &Path) -> bool {
    let first = inside.components().next();
    matches!(first, Some(Component::Normal(part)) if RESERVED_FOLDERS.iter().any(|name| part.eq_ignore_ascii_case(name)))
}

fn fault(error: &io::Error) -> RefusalReason {
    #[cfg(unix)]
    if rustix::io::Errno::from_io_error(error) == Some(rustix::io::Errno::LOOP) {
        return RefusalReason::CyclicLink;
    }
    match error.kind() {
        // A part of the way is closed to this user, and so is what lies behind it.
        ErrorKind::PermissionDenied => RefusalReason::OutsideLink,
        _ => RefusalReason::DanglingLink,
    }
}

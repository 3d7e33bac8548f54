//! The names under which a commit keeps what it takes out of its place, until it is over.

use std::io;

use serde::{Deserialize, Serialize};

use super::spot::{Found, Spot};

/// What is kept, by its place in the journal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Kept {
    /// A file that is deleted.
    Deleted(usize),
    /// One of the project's own files.
    Own(usize),
    /// What a new file replaces.
    Replaced(usize),
}

impl Kept {
    /// Its name in the staging folder, where it does not lie under that of the file that replaced it.
    pub(crate) fn in_staging(self) -> String {
        match self {
            Self::Deleted(at) => format!("deleted-{at}"),
            Self::Own(at) => format!("own-{at}"),
            Self::Replaced(at) => format!("replaced-{at}"),
        }
    }

    /// Its name in the folder that it comes from, where it cannot be moved to the staging folder.
    pub(crate) fn beside(self) -> String {
        format!(".modelops-bundle.{}", self.in_staging())
    }

    /// What the copy of a staged file is called, there, until it has its name; once it has, so is what it replaced.
    pub(crate) fn copy_beside(self) -> String {
        match self {
            Self::Deleted(at) | Self::Own(at) | Self::Replaced(at) => format!(".modelops-bundle.new-{at}"),
        }
    }
}

/// The first of `spots` at which something lies that is not what comes, which `is_new` tells.
pub(crate) fn find_old<'a>(
    spots: impl IntoIterator<Item = Spot<'a>>,
    is_new: impl Fn(&Found) -> bool,
) -> io::Result<Option<Spot<'a>>> {
    for spot in spots {
        if spot.look()?.is_some_and(|found| !is_new(&found)) {
            return Ok(Some(spot));
        }
    }
    Ok(None)
}

//! What is kept of uploads under way, so that a later run can go on with them.

use std::sync::Arc;

use bundle_core::name::reference::Place;
use reqwest::Url;

use super::address::{self, Repository};
use crate::RemoteOptions;
use crate::unfinished::{Content, Unfinished};

/// What is kept of the uploads to one repository.
#[derive(Debug)]
pub(super) struct KeptUploads {
    unfinished: Arc<dyn Unfinished>,
    place: Place,
}

impl KeptUploads {
    pub(super) fn new(repository: &Repository, options: &RemoteOptions) -> Self {
        let place = Place::Repository { host: repository.host.clone(), name: repository.name.clone() };
        Self { unfinished: Arc::clone(&options.unfinished), place }
    }

    /// Whether an earlier run broke off that had begun to send something large.
    pub(super) fn broke_off(&self) -> bool {
        self.unfinished.broke_off(&self.place)
    }

    /// Keeps an upload that goes on at `url`, and of which the registry has `offset` bytes.
    pub(super) fn keep(&self, content: &Content, url: &Url, offset: u64) {
        self.unfinished.keep(&self.place, content, url.as_str(), offset);
    }

    /// The upload of a blob has become known by its digest.
    pub(super) fn rename(&self, from: &Content, to: &Content) {
        self.unfinished.rename(&self.place, from, to);
    }

    /// An upload is at its end.
    pub(super) fn forget(&self, content: &Content) {
        self.unfinished.forget(&self.place, content);
    }

    /// Nothing that is left is of use any more.
    pub(super) fn finish(&self) {
        self.unfinished.finish(&self.place);
    }

    /// Where an upload of `content` goes on that was kept, whatever has become of it.
    pub(super) fn take(&self, repository: &Repository, content: &Content) -> Option<Url> {
        let url = self.unfinished.take(&self.place, content)?;
        // A `Location` that has just come was vouched for by the registry; for this one a file alone speaks, which may come
        // from anybody. So it leads to the registry itself or is dropped.
        let uploads = repository.uploads();
        let url = address::resolve(&uploads, &url).ok()?;
        (url.origin() == uploads.origin()).then_some(url)
    }
}

//! The registry that all of them share.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use bundle_core::bundle::descriptor::Annotations;
use bundle_core::bundle::history::{Ancestor, History};
use bundle_core::bundle::index::BundleIndex;
use bundle_core::bundle::manifest::Manifest;
use bundle_core::digest::Digest;
use bundle_core::file::{ByPath, File};
use bundle_core::plan::layout::Readers;
use bundle_core::plan::seal::Sealed;

/// A bundle, read from its documents.
#[derive(Debug)]
pub(super) struct Bundle {
    pub(super) digest: Digest,
    pub(super) files: ByPath<File>,
    pub(super) described: Ancestor,
    pub(super) history: History,
    pub(super) readers: Readers,
}

impl Bundle {
    pub(super) fn of(sealed: &Sealed) -> Self {
        let manifest = Manifest::parse(sealed.manifest.as_bytes()).unwrap();
        let index = BundleIndex::parse(sealed.index.as_bytes()).unwrap();
        Self {
            digest: sealed.digest,
            files: index.files(),
            described: Ancestor::of_manifest(sealed.digest, &manifest.annotations),
            history: History::of_annotations(&manifest.annotations),
            readers: manifest.readers(),
        }
    }

    /// One of the Python tool's: it says neither what it was made from nor which files are executable, and the same files
    /// make the same bundle.
    pub(super) fn of_python(files: &ByPath<File>) -> Self {
        let files = files.iter().map(|file| File { executable: None, ..file.clone() });
        let files = ByPath::keeping_first(files.collect());
        let listed: String = files.iter().map(|file| format!("{} {}\n", file.path, file.digest)).collect();
        let digest = Digest::of(format!("a bundle of the Python tool\n{listed}").as_bytes());
        Self {
            digest,
            files,
            described: Ancestor::of_manifest(digest, &Annotations::new()),
            history: History::default(),
            readers: Readers::Python,
        }
    }
}

#[derive(Debug)]
pub(super) struct Registry {
    bundles: BTreeMap<Digest, Rc<Bundle>>,
    /// The contents that were sent; none of them is ever dropped.
    blobs: BTreeSet<Digest>,
    tags: BTreeMap<String, Digest>,
    drops_untagged: bool,
}

impl Registry {
    pub(super) fn new(drops_untagged: bool) -> Self {
        Self { bundles: BTreeMap::new(), blobs: BTreeSet::new(), tags: BTreeMap::new(), drops_untagged }
    }

    pub(super) fn tags(&self) -> &BTreeMap<String, Digest> {
        &self.tags
    }

    pub(super) fn tag(&self, tag: &str) -> Option<Digest> {
        self.tags.get(tag).copied()
    }

    pub(super) fn bundle(&self, digest: Digest) -> Option<Rc<Bundle>> {
        self.bundles.get(&digest).cloned()
    }

    /// The bundle that a tag or a digest names.
    pub(super) fn open(&self, reference: &str) -> Option<Rc<Bundle>> {
        let digest = self.tag(reference).or_else(|| reference.parse().ok())?;
        self.bundle(digest)
    }

    pub(super) fn send_blob(&mut self, digest: Digest) {
        self.blobs.insert(digest);
    }

    pub(super) fn has_blob(&self, digest: Digest) -> bool {
        self.blobs.contains(&digest)
    }

    pub(super) fn send_bundle(&mut self, bundle: &Rc<Bundle>) {
        self.bundles.insert(bundle.digest, Rc::clone(bundle));
    }

    /// Has a tag name `bundle`, which is sent with it.
    pub(super) fn move_tag(&mut self, tag: &str, bundle: &Rc<Bundle>) {
        self.send_bundle(bundle);
        self.tags.insert(tag.to_owned(), bundle.digest);
        if self.drops_untagged {
            self.bundles.retain(|digest, _| self.tags.values().any(|named| named == digest));
        }
    }
}

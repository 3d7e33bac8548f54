//! Which layout suits which tree, and what a new layout means for the content of the bundle before.

use serde::{Deserialize, Serialize};

use super::seal::MAX_LAYERS;
use crate::bundle::layout::Layout;

/// The most files that layout `auto` keeps one blob each for.
pub const MAX_FILES_AS_BLOBS: u64 = 100;

/// The most bytes, in all files, that layout `auto` keeps one blob each for.
pub const MAX_BYTES_AS_BLOBS: u64 = 64 << 20;

/// The most files that layout `auto` keeps one blob each for where the Python tool reads the bundle too: one layer a file,
/// at most [`MAX_LAYERS`].
pub const MAX_FILES_FOR_PYTHON: u64 = MAX_LAYERS as u64;

/// Which tools read the bundles of a place.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Readers {
    /// This one, which knows every layout.
    #[default]
    Ours,
    /// The Python tool too, which knows layout `files` alone.
    Python,
}

impl Readers {
    /// The readers of a place that both kinds use.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        if self == Self::Python { self } else { other }
    }
}

/// What a project says about the layout.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LayoutPolicy {
    /// By number and size of the files.
    #[default]
    Auto,
    /// Always [`Layout::Files`].
    Files,
    /// Always [`Layout::Packed`].
    Packed,
}

impl LayoutPolicy {
    /// Chooses the layout of a tree of so many files, with so many bytes in all, for these readers.
    #[must_use]
    pub fn choose(self, readers: Readers, files: u64, bytes: u64) -> Layout {
        match self {
            Self::Auto if readers == Readers::Python && files <= MAX_FILES_FOR_PYTHON => Layout::Files,
            Self::Auto if files <= MAX_FILES_AS_BLOBS && bytes <= MAX_BYTES_AS_BLOBS => Layout::Files,
            Self::Files => Layout::Files,
            Self::Auto | Self::Packed => Layout::Packed,
        }
    }

    /// Chooses the layout of the next bundle after one in layout `current`, if there is one.
    #[must_use]
    pub fn choose_after(
        self,
        current: Option<Layout>,
        readers: Readers,
        files: u64,
        bytes: u64,
    ) -> LayoutChoice {
        let layout = self.choose(readers, files, bytes);
        let rewrite = match current {
            None => Rewrite::No,
            Some(current) if current == layout => Rewrite::No,
            // Nobody asked for it: a tree that is as it was is not pushed again.
            Some(_) if self == Self::Auto => Rewrite::IfChanged,
            Some(_) => Rewrite::Always,
        };
        LayoutChoice { layout, rewrite }
    }
}

/// The layout of the next bundle, and what it means for the blobs of the one before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LayoutChoice {
    /// The layout.
    pub layout: Layout,
    /// Whether the blobs of the bundle before can serve again.
    pub rewrite: Rewrite,
}

/// Whether a push writes content anew that the remote has in another layout.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Rewrite {
    /// The layout stays: what the remote has need not be sent.
    #[default]
    No,
    /// The layout becomes another one as soon as a file changes.
    IfChanged,
    /// The user wants another layout, whether or not a file has changed.
    Always,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn auto_goes_by_number_and_size() {
        for (files, bytes, layout) in [
            (0, 0, Layout::Files),
            (100, 64 << 20, Layout::Files),
            (101, 101, Layout::Packed),
            (1, (64 << 20) + 1, Layout::Packed),
        ] {
            assert_eq!(LayoutPolicy::Auto.choose(Readers::Ours, files, bytes), layout, "{files} {bytes}");
            for readers in [Readers::Ours, Readers::Python] {
                assert_eq!(LayoutPolicy::Files.choose(readers, files, bytes), Layout::Files);
                assert_eq!(LayoutPolicy::Packed.choose(readers, files, bytes), Layout::Packed);
            }
        }
    }

    #[test]
    fn what_the_python_tool_reads_stays_readable_to_it() {
        for (files, layout) in [(101, Layout::Files), (400, Layout::Files), (401, Layout::Packed)] {
            assert_eq!(LayoutPolicy::Auto.choose(Readers::Python, files, 1 << 40), layout, "{files}");
        }
        assert_eq!(Readers::Ours.and(Readers::Python), Readers::Python.and(Readers::Ours));
    }

    #[test]
    fn only_a_wish_rewrites_what_has_not_changed() {
        for (policy, current, files, rewrite) in [
            (LayoutPolicy::Auto, None, 1, Rewrite::No),
            (LayoutPolicy::Auto, Some(Layout::Files), 1, Rewrite::No),
            (LayoutPolicy::Auto, Some(Layout::Packed), 1, Rewrite::IfChanged),
            (LayoutPolicy::Auto, Some(Layout::Files), 1000, Rewrite::IfChanged),
            (LayoutPolicy::Files, Some(Layout::Packed), 1, Rewrite::Always),
            (LayoutPolicy::Packed, Some(Layout::Files), 1, Rewrite::Always),
            (LayoutPolicy::Packed, Some(Layout::Packed), 1, Rewrite::No),
        ] {
            assert_eq!(
                policy.choose_after(current, Readers::Ours, files, 0).rewrite,
                rewrite,
                "{policy:?} {current:?}"
            );
        }
    }
}

//! The tree digest: one name for the content of a tree, whatever the layout, the history or the clock.

use std::io::Write as _;

use crate::digest::{Digest, Hasher};
use crate::file::{ByPath, File};

/// Hashes the records `path NUL mode NUL size NUL digest LF` of `files` in the order of their paths' bytes.
///
/// The mode is `x` for an executable file and `-` otherwise; an unknown mode counts as `-`. Paths hold no NUL and no line
/// feed, so otherwise no two trees share their records.
pub fn tree_digest(files: &ByPath<File>) -> Digest {
    let (mut hasher, mut record) = (Hasher::new(), Vec::new());
    for File { path, digest, size, executable } in files {
        let mode = if *executable == Some(true) { 'x' } else { '-' };
        record.clear();
        // A list of bytes takes whatever it is given.
        let _ = writeln!(record, "{path}\0{mode}\0{size}\0{digest}");
        hasher.update(&record);
    }
    hasher.finish()
}

#[cfg(test)]
pub(crate) mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::name::path::BundlePath;

    /// A tree of a few files under a few names, so that two of them often meet.
    pub(crate) fn any_tree() -> impl Strategy<Value = ByPath<File>> {
        prop::collection::btree_map("[abc](/[abc]){0,2}", (0..4u8, any::<bool>()), 0..12).prop_map(|files| {
            let mut tree: Vec<File> = Vec::new();
            for (path, (content, executable)) in files {
                let path: BundlePath = path.parse().unwrap();
                // A file that is a folder too lies on no disk.
                if tree.iter().all(|file| !path.is_below(file.path.as_str())) {
                    let executable = Some(executable);
                    tree.push(File { path, digest: Digest::of(&[content]), size: 1, executable });
                }
            }
            ByPath::new(tree).unwrap()
        })
    }

    #[test]
    fn known_answer() {
        let file = |path: &str, content: &[u8], executable| File {
            path: path.parse().unwrap(),
            digest: Digest::of(content),
            size: content.len() as u64,
            executable: Some(executable),
        };
        let files = ByPath::new(vec![file("run.sh", b"abc", true), file("README.md", b"", false)]).unwrap();
        let records = format!("README.md\0-\00\0{}\nrun.sh\0x\03\0{}\n", Digest::of(b""), Digest::of(b"abc"));
        assert_eq!(tree_digest(&files), Digest::of(records.as_bytes()));
        assert_eq!(tree_digest(&ByPath::default()), Digest::of(b""));
    }

    proptest! {
        #[test]
        fn order_does_not_count(tree in any_tree(), seed: u64) {
            let mut shuffled = tree.to_vec();
            shuffled.sort_by_key(|file| Digest::of(format!("{seed}{}", file.path).as_bytes()));
            prop_assert_eq!(tree_digest(&ByPath::new(shuffled).unwrap()), tree_digest(&tree));
        }

        #[test]
        fn content_and_mode_count(tree in any_tree(), other in any_tree()) {
            prop_assert_eq!(tree_digest(&tree) == tree_digest(&other), tree == other);
        }
    }
}

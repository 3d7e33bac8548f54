//! Layers: named groups of files that are stored and fetched together.

use std::collections::BTreeMap;

use crate::name::path::BundlePath;

/// The layers of a bundle: each with the globs of its files, in the order of their names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Layers {
    layers: Vec<(String, Vec<String>)>,
}

impl Layers {
    /// The layers of an index or a configuration.
    pub fn of(layers: &BTreeMap<String, Vec<String>>) -> Self {
        Self { layers: layers.iter().map(|(name, globs)| (name.clone(), globs.clone())).collect() }
    }

    /// The number of the layer that a file belongs to: the first one of which a glob matches, else one more, which stands
    /// for `default`.
    pub fn number(&self, path: &BundlePath) -> usize {
        let matches = |globs: &[String]| globs.iter().any(|glob| fast_glob::glob_match(glob, path.as_str()));
        self.layers.iter().position(|(_, globs)| matches(globs)).unwrap_or(self.layers.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_match_counts() {
        let globs = |globs: &[&str]| globs.iter().map(|glob| (*glob).to_owned()).collect();
        let layers = Layers::of(&BTreeMap::from([
            ("data".to_owned(), globs(&["data/**", "*.csv"])),
            ("code".to_owned(), globs(&["src/**", "data/code/**"])),
        ]));
        for (path, number) in
            [("src/a/b.py", 0), ("data/code/x", 0), ("data/x", 1), ("a.csv", 1), ("README", 2)]
        {
            assert_eq!(layers.number(&path.parse().unwrap()), number, "{path}");
        }
        assert_eq!(Layers::default().number(&"a".parse().unwrap()), 0);
    }
}

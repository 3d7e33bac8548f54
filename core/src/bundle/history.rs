//! The history of a bundle: what it was made from, as the annotations of its manifest tell.
//!
//! A history can be incomplete, since bundles are dropped and other tools write none, and it can be made up. So nothing is
//! concluded from a bundle that is missing in it: an ancestor can only ever make a push free.

use serde::{Deserialize, Serialize};

use crate::bundle::descriptor::Annotations;
use crate::bundle::manifest::annotation;
use crate::digest::Digest;
use crate::name::reference::Tag;
use crate::plan::version::Version;

/// As many ancestors are recorded.
pub const MAX_ANCESTORS: usize = 20;

/// As many parents are read; one is written.
const MAX_PARENTS: usize = 4;

/// The ancestors take no more bytes than this in a manifest.
pub const MAX_HISTORY_BYTES: usize = 8 * 1024;

/// An author or the first line of a message is cut after as many characters.
const MAX_TEXT_CHARACTERS: usize = 200;

/// A bundle that another one was made from, in as much as is recorded of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ancestor {
    /// The digest of its manifest.
    pub digest: Digest,
    /// The tree digest of its files.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tree: Option<Digest>,
    /// The version that it was published as.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// When it was made, an RFC 3339 time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created: Option<String>,
    /// Who made it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub author: Option<String>,
    /// The first line of the message that it was made with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

impl Ancestor {
    /// The bundle `digest`, as its manifest's `annotations` describe it to those that come after it.
    pub fn of_manifest(digest: Digest, annotations: &Annotations) -> Self {
        let text = |key: &str| annotations.get(key).map(|text| excerpt(text));
        Self {
            digest,
            tree: annotations.get(annotation::TREE).and_then(|tree| tree.parse().ok()),
            // It becomes a part of commands that are told: nothing but a version does.
            version: text(annotation::VERSION)
                .filter(|text| text.parse::<Tag>().is_ok_and(|tag| Version::of(&tag).is_some())),
            created: text(annotation::CREATED),
            author: text(annotation::AUTHORS),
            message: text(annotation::DESCRIPTION),
        }
    }
}

impl Ancestor {
    /// What people call it: its version, else its short digest.
    pub fn name(&self) -> String {
        self.version.clone().unwrap_or_else(|| self.digest.short())
    }
}

/// The first line of a text, cut where it is long.
fn excerpt(text: &str) -> String {
    text.lines().next().unwrap_or_default().chars().take(MAX_TEXT_CHARACTERS).collect()
}

/// What a bundle was made from.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct History {
    /// The bundles that it was made from: at most one is written, the one that its project last synced.
    pub parents: Vec<Digest>,
    /// What its tag named before, where that is none of the parents.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replaces: Option<Digest>,
    /// Its ancestors, the nearest first.
    pub ancestors: Vec<Ancestor>,
}

impl History {
    /// The history of a bundle that is made from `parent`, which has a history itself, and that replaces what its tag
    /// named before.
    pub fn after(parent: Option<(Ancestor, &Self)>, replaces: Option<Digest>) -> Self {
        let Some((parent, before)) = parent else {
            return Self { parents: Vec::new(), replaces, ancestors: Vec::new() };
        };
        let parents = vec![parent.digest];
        let replaces = replaces.filter(|replaced| *replaced != parent.digest);
        let older = before.ancestors.iter().cloned();
        let mut ancestors: Vec<Ancestor> = std::iter::once(parent).chain(older).take(MAX_ANCESTORS).collect();
        while to_text(&ancestors).len() > MAX_HISTORY_BYTES {
            ancestors.pop();
        }
        Self { parents, replaces, ancestors }
    }

    /// Reads a manifest's annotations. What is malformed is left out.
    pub fn of_annotations(annotations: &Annotations) -> Self {
        let digests = |key: &str| -> Vec<Digest> {
            let text = annotations.get(key).map_or("", String::as_str);
            text.split(',').filter_map(|digest| digest.trim().parse().ok()).take(MAX_PARENTS).collect()
        };
        let parents = digests(annotation::PARENT);
        let text = annotations.get(annotation::HISTORY).filter(|text| text.len() <= MAX_HISTORY_BYTES);
        let mut ancestors: Vec<Ancestor> =
            text.and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default();
        ancestors.truncate(MAX_ANCESTORS);
        Self { parents, replaces: digests(annotation::REPLACES).first().copied(), ancestors }
    }

    /// Adds it to the annotations of a manifest.
    pub fn annotate(&self, annotations: &mut Annotations) {
        let parents: Vec<String> = self.parents.iter().map(Digest::to_string).collect();
        let ancestors = if self.ancestors.is_empty() { String::new() } else { to_text(&self.ancestors) };
        for (key, value) in [
            (annotation::PARENT, parents.join(",")),
            (annotation::REPLACES, self.replaces.map(|digest| digest.to_string()).unwrap_or_default()),
            (annotation::HISTORY, ancestors),
        ] {
            if !value.is_empty() {
                annotations.insert(key.to_owned(), value);
            }
        }
    }

    /// Every bundle that is known to come before, the nearest first.
    pub fn digests(&self) -> Vec<Digest> {
        let mut digests = self.parents.clone();
        for ancestor in &self.ancestors {
            if !digests.contains(&ancestor.digest) {
                digests.push(ancestor.digest);
            }
        }
        digests
    }
}

fn to_text(ancestors: &[Ancestor]) -> String {
    // Digests and texts can always be put into JSON.
    serde_json::to_string(ancestors).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digest(name: &str) -> Digest {
        Digest::of(name.as_bytes())
    }

    fn ancestor(name: &str, message: &str) -> Ancestor {
        Ancestor {
            digest: digest(name),
            tree: Some(digest("tree")),
            version: Some("1.0.0".to_owned()),
            created: Some("2026-11-22T07:03:21Z".to_owned()),
            author: None,
            message: Some(message.to_owned()),
        }
    }

    #[test]
    fn what_is_written_is_read() {
        let first = History::after(None, Some(digest("other")));
        let second = History::after(Some((ancestor("a", "first"), &first)), Some(digest("a")));
        let third = History::after(Some((ancestor("b", "second"), &second)), Some(digest("other")));
        for history in [&History::default(), &first, &second, &third] {
            let mut annotations = Annotations::new();
            history.annotate(&mut annotations);
            assert_eq!(&History::of_annotations(&annotations), history);
        }
        assert_eq!(second.replaces, None, "it is the parent");
        assert_eq!(third.digests(), [digest("b"), digest("a")]);
    }

    #[test]
    fn a_history_is_bounded_in_number_and_bytes() {
        let mut history = History::default();
        for at in 0..30 {
            history = History::after(Some((ancestor(&at.to_string(), "short"), &history)), None);
        }
        assert_eq!(history.ancestors.len(), MAX_ANCESTORS);
        let long = "\u{1}".repeat(MAX_TEXT_CHARACTERS);
        for at in 0..30 {
            history = History::after(Some((ancestor(&at.to_string(), &long), &history)), None);
        }
        let mut annotations = Annotations::new();
        history.annotate(&mut annotations);
        assert!(annotations[annotation::HISTORY].len() <= MAX_HISTORY_BYTES);
        assert!(history.ancestors.len() > 3);
        assert_eq!(History::of_annotations(&annotations), history);
    }

    #[test]
    fn what_others_wrote_and_cannot_be_read_is_left_out() {
        for (key, text) in [
            (annotation::PARENT, "none"),
            (annotation::PARENT, ", ,"),
            (annotation::REPLACES, "sha256:0"),
            (annotation::HISTORY, "{}"),
            (annotation::HISTORY, "[{\"digest\": 7}]"),
            (annotation::HISTORY, "[["),
        ] {
            let annotations = Annotations::from([(key.to_owned(), text.to_owned())]);
            assert_eq!(History::of_annotations(&annotations), History::default(), "{key} {text}");
        }
        let two = format!("{}, {}", digest("a"), digest("b"));
        let annotations = Annotations::from([(annotation::PARENT.to_owned(), two)]);
        assert_eq!(History::of_annotations(&annotations).parents, [digest("a"), digest("b")]);
    }

    #[test]
    fn an_ancestor_is_described_by_the_first_line() {
        let annotations = Annotations::from([
            (annotation::DESCRIPTION.to_owned(), "fix the rates\n\nlong story".to_owned()),
            (annotation::AUTHORS.to_owned(), "a".repeat(1000)),
            (annotation::TREE.to_owned(), "damaged".to_owned()),
        ]);
        let ancestor = Ancestor::of_manifest(digest("x"), &annotations);
        assert_eq!(ancestor.message.as_deref(), Some("fix the rates"));
        assert_eq!(ancestor.author.map(|author| author.len()), Some(MAX_TEXT_CHARACTERS));
        assert_eq!(ancestor.tree, None);
    }
}

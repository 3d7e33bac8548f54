//! Where a tag stands to a project: whether the project is built on the bundle that it names.

use crate::digest::Digest;

/// What is known of a tag and of a project that is about to push to it.
#[derive(Clone, Copy, Debug)]
pub struct StandingFacts<'a> {
    /// The bundle that the tag names; none where it names nothing.
    pub named: Option<Digest>,
    /// Its ancestors, the nearest first, as far as they are known.
    pub named_ancestors: &'a [Digest],
    /// The bundle that the project last synced; none where it never did or where its digest is unknown.
    pub synced: Option<Digest>,
    /// Its ancestors, likewise.
    pub synced_ancestors: &'a [Digest],
    /// What the tag named when the project last saw it there.
    pub seen: Option<Digest>,
}

/// Where a tag stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It names nothing.
    Absent,
    /// It names the bundle that the project last synced.
    Same,
    /// It names an ancestor of that bundle.
    Ancestor {
        /// How many bundles the project is ahead.
        ahead: u64,
    },
    /// It names a bundle that comes after that one.
    Descendant {
        /// How many bundles the project is behind.
        behind: u64,
    },
    /// It names an ancestor, and the project has seen it name a later bundle: somebody moved it back.
    MovedBack {
        /// What it named then.
        seen: Digest,
    },
    /// It is not known to be any of these.
    Unrelated,
}

impl Standing {
    /// Whether a push can undo nothing that the project is not built on.
    pub fn is_free(self) -> bool {
        matches!(self, Self::Absent | Self::Same | Self::Ancestor { .. })
    }
}

/// Tells where a tag stands. Ancestors that are missing can only make a push less free.
pub fn standing(facts: &StandingFacts<'_>) -> Standing {
    let Some(named) = facts.named else { return Standing::Absent };
    let Some(synced) = facts.synced else { return Standing::Unrelated };
    if named == synced {
        return Standing::Same;
    }
    let place = |digest: Digest, of: &[Digest]| of.iter().position(|ancestor| *ancestor == digest);
    if let Some(at) = place(named, facts.synced_ancestors) {
        let is_earlier = |seen| place(seen, facts.synced_ancestors).is_some_and(|seen_at| seen_at >= at);
        return match facts.seen {
            Some(seen) if !is_earlier(seen) => Standing::MovedBack { seen },
            _ => Standing::Ancestor { ahead: at as u64 + 1 },
        };
    }
    match place(synced, facts.named_ancestors) {
        Some(at) => Standing::Descendant { behind: at as u64 + 1 },
        None => Standing::Unrelated,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_push_is_free_where_the_project_is_built_on_what_the_tag_names() {
        use Standing::*;
        let digest = |name: char| Digest::of(name.to_string().as_bytes());
        // Each letter is a bundle; behind it stand its ancestors, the nearest first.
        for (named, synced, seen, expected) in [
            ("", "", "", Absent),
            ("", "ba", "c", Absent),
            ("a", "", "", Unrelated),
            ("a", "", "a", Unrelated),
            ("ba", "ba", "x", Same),
            ("ba", "cba", "", Ancestor { ahead: 1 }),
            ("a", "cba", "", Ancestor { ahead: 2 }),
            ("ba", "dcba", "ba", Ancestor { ahead: 2 }),
            ("ba", "dcba", "a", Ancestor { ahead: 2 }),
            ("a", "dcba", "c", MovedBack { seen: digest('c') }),
            ("a", "cba", "c", MovedBack { seen: digest('c') }),
            ("a", "cba", "x", MovedBack { seen: digest('x') }),
            ("cba", "ba", "", Descendant { behind: 1 }),
            ("dcba", "a", "dcba", Descendant { behind: 3 }),
            ("xa", "ba", "a", Unrelated),
            ("x", "ba", "", Unrelated),
        ] {
            let all = |text: &str| text.chars().map(digest).collect::<Vec<_>>();
            let (named, synced, seen) = (all(named), all(synced), all(seen));
            let facts = StandingFacts {
                named: named.first().copied(),
                named_ancestors: named.get(1..).unwrap_or_default(),
                synced: synced.first().copied(),
                synced_ancestors: synced.get(1..).unwrap_or_default(),
                seen: seen.first().copied(),
            };
            assert_eq!(standing(&facts), expected, "{facts:?}");
        }
    }
}

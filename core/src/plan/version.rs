//! Versions: which tags are some, and which one a push publishes next.

use std::fmt;

use thiserror::Error;

use crate::diff::{Change, PathChange};
use crate::name::reference::{ReferenceError, Tag};

/// A tag that is a version in full (<https://semver.org>), with or without a `v` in front.
///
/// No number has a leading zero or more than 64 bits: `1.02.3` is a tag like any other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Version {
    number: semver::Version,
    has_v: bool,
}

impl Version {
    /// The first one of all.
    pub const FIRST: Self = Self { number: semver::Version::new(0, 1, 0), has_v: false };

    /// The version that `tag` is, if it is one.
    pub fn of(tag: &Tag) -> Option<Self> {
        let (text, has_v) = match tag.as_str().strip_prefix('v') {
            Some(text) => (text, true),
            None => (tag.as_str(), false),
        };
        Some(Self { number: semver::Version::parse(text).ok()?, has_v })
    }

    /// The released version that `text` spells.
    pub fn released(text: &str) -> Result<Self, NotReleased> {
        let version = Self::of(&text.parse()?).filter(Self::is_release);
        version.ok_or(NotReleased::Version)
    }

    /// Whether it is more than a step towards a version, as `1.0.0-rc.1` is one.
    pub fn is_release(&self) -> bool {
        self.number.pre.is_empty()
    }

    /// The next one, spelled as this one is; none where a number would need more than 64 bits.
    fn raised(&self, part: Part) -> Option<Self> {
        let semver::Version { major, minor, patch, .. } = self.number;
        let number = match part {
            Part::Major => semver::Version::new(major.checked_add(1)?, 0, 0),
            Part::Minor => semver::Version::new(major, minor.checked_add(1)?, 0),
            Part::Patch => semver::Version::new(major, minor, patch.checked_add(1)?),
        };
        Some(Self { number, has_v: self.has_v })
    }
}

/// Why a text is not a released version.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum NotReleased {
    /// It is not even a tag.
    #[error(transparent)]
    Tag(#[from] ReferenceError),
    /// It is not a version, or a pre-release.
    #[error("it is not a released version")]
    Version,
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", if self.has_v { "v" } else { "" }, self.number)
    }
}

impl From<&Version> for Tag {
    fn from(version: &Version) -> Self {
        Self::of_version(&version.to_string())
    }
}

/// The highest release among `tags`; what is no version, or only a step towards one, does not count.
///
/// Where it is there with and without a `v`, it is the one without.
#[must_use]
pub fn highest_version<'a>(tags: impl IntoIterator<Item = &'a Tag>) -> Option<Version> {
    let releases = tags.into_iter().filter_map(Version::of).filter(Version::is_release);
    releases.max_by(|a, b| a.number.cmp(&b.number).then(b.has_v.cmp(&a.has_v)))
}

/// The highest release among `texts`: one that is no tag is no version either.
#[must_use]
pub fn highest_version_among(texts: &[String]) -> Option<Version> {
    let tags: Vec<Tag> = texts.iter().filter_map(|text| text.parse().ok()).collect();
    highest_version(&tags)
}

/// What a user says about the next version.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Bump {
    /// The changes say it: deletions make a major version, additions a minor one, other changes a patch.
    #[default]
    Auto,
    /// A patch.
    Patch,
    /// A minor version.
    Minor,
    /// A major version.
    Major,
}

#[derive(Clone, Copy)]
enum Part {
    Major,
    Minor,
    Patch,
}

/// How the files of a push differ from those of the highest version.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Difference {
    /// How many paths are new.
    pub added: u64,
    /// How many are gone.
    pub deleted: u64,
    /// How many have another content or mode.
    pub changed: u64,
}

impl Difference {
    /// Counts the changes of a comparison in which the version is the remote, the push is the project, and both have never
    /// agreed on anything.
    #[must_use]
    pub fn of(changes: &[PathChange]) -> Self {
        let mut counts = Self::default();
        for change in changes {
            match change.change {
                Change::Unchanged => {}
                Change::AddedLocal => counts.added += 1,
                Change::AddedRemote | Change::DeletedLocal | Change::DeletedRemote => counts.deleted += 1,
                Change::ModifiedLocal | Change::ModifiedRemote | Change::Conflict => counts.changed += 1,
            }
        }
        counts
    }

    fn part(&self) -> Part {
        match self {
            Self { deleted: 1.., .. } => Part::Major,
            Self { added: 1.., .. } => Part::Minor,
            Self { .. } => Part::Patch,
        }
    }
}

/// What a push with a new version starts from.
#[derive(Clone, Debug)]
pub struct VersionFacts {
    /// The highest version that exists, as [`highest_version`] finds it.
    pub highest: Option<Version>,
    /// What the user says.
    pub bump: Bump,
    /// How what is pushed differs from that version; nothing where its files are not known.
    pub difference: Option<Difference>,
}

/// Which version a push publishes.
#[must_use]
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum VersionDecision {
    /// This one, whose tag must not be there yet.
    Publish(Version),
    /// None: the highest version, which this is, has the very same files.
    Unchanged(Version),
}

/// Decides which version a push publishes. The first one is 0.1.0, whatever the user says.
pub fn next_version(facts: &VersionFacts) -> Result<VersionDecision, VersionError> {
    let Some(highest) = &facts.highest else { return Ok(VersionDecision::Publish(Version::FIRST)) };
    if facts.difference == Some(Difference::default()) {
        return Ok(VersionDecision::Unchanged(highest.clone()));
    }
    let part = match (facts.bump, facts.difference) {
        (Bump::Major, _) => Part::Major,
        (Bump::Minor, _) => Part::Minor,
        (Bump::Patch, _) => Part::Patch,
        (Bump::Auto, Some(difference)) => difference.part(),
        (Bump::Auto, None) => return Err(VersionError::Unknown { highest: highest.clone() }),
    };
    let next = highest.raised(part).ok_or_else(|| VersionError::Exhausted { highest: highest.clone() })?;
    Ok(VersionDecision::Publish(next))
}

/// Why there is no next version.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum VersionError {
    /// The number to be raised is the largest that there is.
    #[error("no version follows `{highest}`: a number of it is the largest that there is")]
    Exhausted {
        /// The highest version.
        highest: Version,
    },
    /// The changes are to say which one it is, and are not known.
    #[error("the files of the version `{highest}` are not known, so they cannot say what the next one is")]
    Unknown {
        /// The highest version.
        highest: Version,
    },
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn tags(texts: &[&str]) -> Vec<Tag> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    fn version(text: &str) -> Version {
        Version::of(&text.parse().unwrap()).unwrap()
    }

    #[test]
    fn what_is_no_tag_is_passed_over() {
        let texts = ["a b", "1.0.0", "9.9.9!", ""].map(str::to_owned);
        assert_eq!(highest_version_among(&texts), Some(version("1.0.0")));
    }

    #[test]
    fn a_pre_release_is_not_released() {
        assert_eq!(Version::released("v1.2.3"), Ok(version("v1.2.3")));
        for text in ["latest", "1.2", "1.2.3-rc.1"] {
            assert_eq!(Version::released(text), Err(NotReleased::Version), "{text}");
        }
        assert!(matches!(Version::released("a b"), Err(NotReleased::Tag(_))));
    }

    #[test]
    fn the_highest_version_is_a_release_by_its_numbers() {
        for (texts, highest) in [
            (&[][..], None),
            (&["latest", "main", "1.2", "1", "v", "1.2.3.4", "01.2.3", "1.02.3", "V1.2.3", "vv1.2.3"], None),
            (&["1.0.0-rc.1", "v2.0.0-alpha"], None),
            (&["0.9.0", "0.10.0", "0.2.0", "latest"], Some("0.10.0")),
            (&["1.2.3", "1.3.0-rc.1", "2.0.0-0"], Some("1.2.3")),
            (&["v1.2.3", "1.2.2"], Some("v1.2.3")),
            (&["v1.2.3", "1.2.3"], Some("1.2.3")),
            (&["1.2.3", "v1.2.3"], Some("1.2.3")),
            (&["18446744073709551616.0.0", "0.0.1"], Some("0.0.1")),
        ] {
            assert_eq!(highest_version(&tags(texts)), highest.map(version), "{texts:?}");
        }
    }

    #[test]
    fn the_next_version_follows_from_what_changed() {
        let next = |highest: &str, bump, counts: Option<(u64, u64, u64)>| {
            let difference = counts.map(|(added, deleted, changed)| Difference { added, deleted, changed });
            let highest = (!highest.is_empty()).then(|| version(highest));
            match next_version(&VersionFacts { highest, bump, difference }) {
                Ok(VersionDecision::Publish(version)) => version.to_string(),
                Ok(VersionDecision::Unchanged(version)) => format!("unchanged {version}"),
                Err(VersionError::Exhausted { .. }) => "exhausted".to_owned(),
                Err(VersionError::Unknown { .. }) => "unknown".to_owned(),
            }
        };
        for (highest, bump, counts, expected) in [
            ("", Bump::Auto, None, "0.1.0"),
            ("", Bump::Major, Some((1, 1, 1)), "0.1.0"),
            ("1.2.3", Bump::Auto, Some((1, 1, 1)), "2.0.0"),
            ("1.2.3", Bump::Auto, Some((0, 1, 0)), "2.0.0"),
            ("1.2.3", Bump::Auto, Some((1, 0, 1)), "1.3.0"),
            ("1.2.3", Bump::Auto, Some((0, 0, 1)), "1.2.4"),
            ("0.1.0", Bump::Auto, Some((0, 1, 0)), "1.0.0"),
            ("v1.2.3", Bump::Auto, Some((1, 0, 0)), "v1.3.0"),
            ("1.2.3", Bump::Auto, Some((0, 0, 0)), "unchanged 1.2.3"),
            ("v1.2.3", Bump::Major, Some((0, 0, 0)), "unchanged v1.2.3"),
            ("1.2.3", Bump::Patch, Some((0, 1, 0)), "1.2.4"),
            ("1.2.3", Bump::Minor, Some((0, 1, 0)), "1.3.0"),
            ("1.2.3", Bump::Major, Some((0, 0, 1)), "2.0.0"),
            ("1.2.3", Bump::Minor, None, "1.3.0"),
            ("1.2.3", Bump::Auto, None, "unknown"),
            ("1.2.18446744073709551615", Bump::Patch, Some((0, 0, 1)), "exhausted"),
            ("1.18446744073709551615.0", Bump::Auto, Some((1, 0, 0)), "exhausted"),
            ("18446744073709551615.0.0", Bump::Major, None, "exhausted"),
            ("18446744073709551615.0.0", Bump::Minor, None, "18446744073709551615.1.0"),
        ] {
            assert_eq!(next(highest, bump, counts), expected, "{highest} {bump:?} {counts:?}");
        }
    }

    #[test]
    fn a_difference_counts_what_a_version_has_and_a_push_has_not() {
        let change = |path: &str, change| PathChange { path: path.parse().unwrap(), change };
        let changes = [
            change("a", Change::AddedLocal),
            change("b", Change::AddedRemote),
            change("c", Change::Conflict),
            change("d", Change::Conflict),
            change("e", Change::Unchanged),
        ];
        assert_eq!(Difference::of(&changes), Difference { added: 1, deleted: 1, changed: 2 });
        assert_eq!(Difference::of(&changes[4..]), Difference::default());
    }

    fn arb_tag() -> impl Strategy<Value = Tag> {
        let number = prop_oneof![0u64..4, (u64::MAX - 2)..=u64::MAX];
        let release = ("v?", [number.clone(), number.clone(), number])
            .prop_map(|(v, [major, minor, patch])| format!("{v}{major}.{minor}.{patch}"));
        let text = prop_oneof![4 => release, 1 => "v?[0-9]{1,2}(\\.[0-9]{1,2}){1,3}(-[a-z0-9.]{1,5})?", 1 => "[a-zA-Z0-9_][a-zA-Z0-9_.-]{0,10}"];
        text.prop_map(|text| text.parse().unwrap())
    }

    fn arb_bump() -> impl Strategy<Value = Bump> {
        prop_oneof![Just(Bump::Auto), Just(Bump::Patch), Just(Bump::Minor), Just(Bump::Major)]
    }

    proptest! {
        #[test]
        fn a_version_is_spelled_as_its_tag(tag in arb_tag()) {
            if let Some(version) = Version::of(&tag) {
                prop_assert_eq!(version.to_string(), tag.as_str());
                prop_assert_eq!(Tag::from(&version), tag);
            }
        }

        #[test]
        fn what_is_published_is_higher_than_all_that_is_there(
            tags in prop::collection::vec(arb_tag(), 0..8),
            bump in arb_bump(),
            counts in prop::option::of([0u64..3, 0..3, 0..3]),
        ) {
            let difference = counts.map(|[added, deleted, changed]| Difference { added, deleted, changed });
            let highest = highest_version(&tags);
            let facts = VersionFacts { highest: highest.clone(), bump, difference };
            match next_version(&facts) {
                Ok(VersionDecision::Publish(next)) => {
                    prop_assert!(next.is_release() && !tags.contains(&Tag::from(&next)));
                    // Having been published, it is the one that the next push starts from.
                    let then: Vec<Tag> = tags.into_iter().chain([Tag::from(&next)]).collect();
                    prop_assert_eq!(highest_version(&then), Some(next));
                }
                Ok(VersionDecision::Unchanged(version)) => {
                    prop_assert_eq!((Some(version), difference), (highest, Some(Difference::default())));
                }
                Err(VersionError::Unknown { .. }) => prop_assert_eq!((bump, difference), (Bump::Auto, None)),
                Err(VersionError::Exhausted { highest }) => {
                    prop_assert!(highest.to_string().contains("18446744073709551615"));
                }
            }
        }
    }
}

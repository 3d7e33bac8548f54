//! Moves a tag: looks, asks the core, writes, and reads back.

use std::time::{Duration, Instant};

use bundle_core::descriptor::media_type;
use bundle_core::digest::Digest;
use bundle_core::foreign::Foreign;
use bundle_core::plan::tag::{Occupant, TagDecision, TagFacts};
use bundle_core::reference::Tag;
use bytes::Bytes;
use futures_util::future::join_all;
use thiserror::Error;

use crate::bundle::{Context, OpenError, read_view, resolve, under};
use crate::component::CoreError;
use crate::component::answers::ManifestError;
use crate::push::Force;
use crate::remote::{Condition, RemoteError, Version};

/// The digest of the manifest that `tag` names now.
pub async fn tag_digest(context: Context<'_>, tag: &Tag) -> Result<Option<Digest>, OpenError> {
    // A tag has its digest also where the manifest is lost or damaged.
    if let Some(listed) = context.remote.listed_digest(tag).await? {
        return Ok(Some(listed));
    }
    let version = Version::Tag(tag.clone());
    let Some(fetched) = context.remote.manifest(&version).await? else { return Ok(None) };
    resolve(context.core, &version, &fetched).map(Some)
}

/// What a tag names now.
#[derive(Clone, Debug)]
pub struct Named {
    /// The digest of the manifest.
    pub digest: Digest,
    /// Of what kind that is.
    pub kind: NamedKind,
}

/// What kind of manifest a name has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NamedKind {
    /// A bundle's, or one that says so.
    Bundle,
    /// That of something else.
    Foreign(Foreign),
    /// One that is lost or damaged.
    Unreadable,
}

impl NamedKind {
    /// The kind of the manifest whose bytes are here, and which `version` names.
    pub(super) fn of(context: Context<'_>, version: &Version, manifest: &[u8]) -> Self {
        match read_view(context.core, manifest) {
            Err(ManifestError::NotABundle(foreign)) => Self::Foreign(under(version, foreign)),
            // A damaged bundle is one that may be replaced like any other.
            _ => Self::Bundle,
        }
    }

    pub(super) fn occupant(&self) -> Occupant {
        match self {
            Self::Foreign(_) => Occupant::Foreign,
            Self::Bundle | Self::Unreadable => Occupant::Bundle,
        }
    }
}

/// Looks up what `tag` names, and what kind of manifest that is; with one request.
pub async fn look_up(context: Context<'_>, tag: &Tag) -> Result<Option<Named>, OpenError> {
    let version = Version::Tag(tag.clone());
    let fetched = match context.remote.manifest(&version).await {
        // Whoever takes a name away need not be able to read what has it.
        Err(error) if error.tells_unreadable() => {
            let listed = context.remote.listed_digest(tag).await?.ok_or(error)?;
            return Ok(Some(Named { digest: listed, kind: NamedKind::Unreadable }));
        }
        fetched => fetched?,
    };
    let Some(fetched) = fetched else { return Ok(None) };
    let digest = resolve(context.core, &version, &fetched)?;
    Ok(Some(Named { digest, kind: NamedKind::of(context, &version, &fetched.bytes) }))
}

/// What `tag` names, where it may be made to name `target` by one who has not seen what it names: for a copy.
///
/// # Errors
///
/// [`TagError::Taken`] where it names another bundle, [`TagError::Foreign`] where it names something else, and `force` is
/// not [`Force::Yes`].
pub async fn claim_tag(
    context: Context<'_>,
    tag: &Tag,
    target: Digest,
    force: Force,
) -> Result<Option<Named>, TagError> {
    let named = look_up(context, tag).await?;
    let current = named.as_ref().map(|named| named.digest);
    let occupant = named.as_ref().map(|named| named.kind.occupant()).unwrap_or_default();
    let force = force == Force::Yes;
    let facts = TagFacts { tag: tag.clone(), planned: None, current, occupant, target, force };
    match (context.core.decide_tag(&facts)?, current) {
        (TagDecision::Foreign(found), _) => Err(TagError::foreign(facts.tag, found, named)),
        (TagDecision::Moved(_) | TagDecision::Published(_), Some(found)) => {
            Err(TagError::Taken { tag: facts.tag, found })
        }
        _ => Ok(named),
    }
}

/// Whether a tag that was written is shown as it was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "whoever waits for the tag has to be told where it is not shown yet"]
pub enum Shown {
    /// It is.
    Now,
    /// It still shows what it did before: a replica or a cache is late.
    NotYet,
}

/// A tag that was written and read back, and is to be looked at once more.
#[derive(Clone, Debug)]
#[must_use = "another push that did not see this one is noticed by `look_again` alone"]
pub struct Written {
    /// The tag.
    pub tag: Tag,
    target: Digest,
    before: Option<Digest>,
    shown: Shown,
    again_at: Instant,
}

/// Makes the tag of `facts` name `facts.target`, whose bytes are `manifest`; `facts.current` is looked up here. `None`
/// where it does already.
///
/// Remotes that honour conditions are told what the tag must still name; because others do not, the tag is read back.
pub async fn move_tag(
    context: Context<'_>,
    facts: TagFacts,
    manifest: Bytes,
) -> Result<Option<Written>, TagError> {
    let began = Instant::now();
    let Some(facts) = look(context, facts).await? else { return Ok(None) };
    let condition = match (facts.force, facts.current) {
        (true, _) => Condition::Any,
        (false, Some(current)) => Condition::Is(current),
        (false, None) => Condition::Absent,
    };
    let version = Version::Tag(facts.tag.clone());
    let write =
        |condition| context.remote.push_manifest(&version, media_type::MANIFEST, manifest.clone(), condition);
    match write(condition).await {
        Err(error) if condition != Condition::Any && may_be_for_the_condition(&error) => {
            // Not the condition's alone to say: it may have met our own write, sent again because its answer was lost, or
            // something on the way that knows entity tags of its own.
            let found = tag_digest(context, &facts.tag).await?;
            if found == Some(facts.target) {
                return Ok(None);
            }
            if found != facts.current {
                return Err(TagError::Moved { tag: facts.tag, planned: facts.planned, found });
            }
            write(Condition::Any).await.map_err(OpenError::from)?;
        }
        result => result.map_err(OpenError::from)?,
    }
    // Another push that looked before this write was seen needs about as long as this one did to make its own.
    let again_at = Instant::now() + 2 * began.elapsed();
    let shown = confirm(context, &facts.tag, facts.target, facts.current).await?;
    Ok(Some(Written { tag: facts.tag, target: facts.target, before: facts.current, shown, again_at }))
}

/// Looks once more at tags that were written, when any push that had not seen them has written its own: a remote that
/// honours no conditions let it. What each tag was found to be, in the order of `written`.
///
/// # Errors
///
/// Of each tag: [`TagError::Overtaken`] where it names something else by now.
pub async fn look_again(context: Context<'_>, written: Vec<Written>) -> Vec<(Tag, Result<Shown, TagError>)> {
    let looks = written.into_iter().map(async |written| {
        let Written { tag, target, before, shown, again_at } = written;
        // A layout is locked while a tag of it moves, and a late replica has been waited for.
        if shown == Shown::NotYet || context.remote.honours_conditions() {
            return (tag, Ok(shown));
        }
        tokio::time::sleep_until(again_at.into()).await;
        let found = confirm(context, &tag, target, before).await;
        (tag, found)
    });
    join_all(looks).await
}

/// The tags that are not shown yet.
///
/// # Errors
///
/// The first of the errors.
pub fn late(looked: Vec<(Tag, Result<Shown, TagError>)>) -> Result<Vec<Tag>, TagError> {
    let mut late = Vec::new();
    for (tag, found) in looked {
        if found? == Shown::NotYet {
            late.push(tag);
        }
    }
    Ok(late)
}

/// Whether a write may have been refused because of the condition that it had.
fn may_be_for_the_condition(error: &RemoteError) -> bool {
    matches!(
        error,
        RemoteError::ConditionFailed { .. } | RemoteError::Status { status: 400 | 405 | 412 | 501, .. }
    )
}

/// Finds out whether the tag of `facts` could be moved now, and moves nothing.
pub async fn check_tag(context: Context<'_>, facts: TagFacts) -> Result<(), TagError> {
    look(context, facts).await.map(drop)
}

/// `facts` with what the tag names now, where it is to be written; nothing where it names its target already.
async fn look(context: Context<'_>, facts: TagFacts) -> Result<Option<TagFacts>, TagError> {
    let named = look_up(context, &facts.tag).await?;
    let current = named.as_ref().map(|named| named.digest);
    let occupant = named.as_ref().map(|named| named.kind.occupant()).unwrap_or_default();
    let facts = TagFacts { current, occupant, ..facts };
    match context.core.decide_tag(&facts)? {
        TagDecision::Foreign(found) => Err(TagError::foreign(facts.tag, found, named)),
        TagDecision::AlreadyThere => Ok(None),
        TagDecision::Moved(found) => Err(TagError::Moved { tag: facts.tag, planned: facts.planned, found }),
        TagDecision::Published(found) => Err(TagError::Published { tag: facts.tag, found }),
        TagDecision::Write => Ok(Some(facts)),
    }
}

/// Makes `tag`, a version that was not there when it was chosen, name `target`, whose bytes are `manifest`.
///
/// # Errors
///
/// [`TagError::Chosen`] where it is there by now: nobody can insist on a number that somebody else has published.
pub async fn publish(
    context: Context<'_>,
    tag: &Tag,
    target: Digest,
    manifest: Bytes,
) -> Result<Option<Written>, TagError> {
    let occupant = Occupant::default();
    let facts = TagFacts { tag: tag.clone(), planned: None, current: None, occupant, target, force: false };
    match move_tag(context, facts, manifest).await {
        Err(TagError::Moved { tag, found: Some(found), .. }) => Err(TagError::Chosen { tag, found }),
        moved => moved,
    }
}

/// The wait before a tag is looked at again; each next one is twice as long.
const FIRST_LOOK_AGAIN: Duration = Duration::from_millis(200);

/// Reads a tag back that named `before` and was made to name `target`.
///
/// Where it still shows what it did before, it is looked at again, as long as the remote may be late.
///
/// # Errors
///
/// [`TagError::Overtaken`] where it names something else by now.
async fn confirm(
    context: Context<'_>,
    tag: &Tag,
    target: Digest,
    before: Option<Digest>,
) -> Result<Shown, TagError> {
    let late_by = context.remote.shows_late_by();
    let (mut waited, mut wait) = (Duration::ZERO, FIRST_LOOK_AGAIN);
    loop {
        let found = tag_digest(context, tag).await?;
        if found == Some(target) {
            return Ok(Shown::Now);
        }
        if found != before || late_by.is_zero() {
            return Err(TagError::Overtaken { tag: tag.clone(), pushed: target, found });
        }
        if waited >= late_by {
            return Ok(Shown::NotYet);
        }
        tokio::time::sleep(wait).await;
        waited += wait;
        wait = (wait * 2).min(late_by.saturating_sub(waited)).max(FIRST_LOOK_AGAIN);
    }
}

/// Why a tag does not name what it was to name.
#[derive(Debug, Error)]
pub enum TagError {
    /// It is the version that was to be published, and another push has published it first; it was left alone.
    #[error("another push has published the version `{tag}` meanwhile, as {found}")]
    Chosen {
        /// The tag.
        tag: Tag,
        /// What it names.
        found: Digest,
    },
    /// The core could not be asked.
    #[error(transparent)]
    Core(#[from] CoreError),
    /// It names something of another tool; it was left alone.
    #[error("the tag `{tag}` names no bundle but {}, {found}", .foreign.as_ref().map_or_else(|| "something else".to_owned(), ToString::to_string))]
    Foreign {
        /// The tag.
        tag: Tag,
        /// What it names.
        found: Digest,
        /// What that is, where it could be told.
        foreign: Option<Foreign>,
    },
    /// It names something else than when the plan was made; it was left alone.
    #[error("the tag `{tag}` moved meanwhile: it named {}, now {}", named(.planned), named(.found))]
    Moved {
        /// The tag.
        tag: Tag,
        /// What it named when the plan was made.
        planned: Option<Digest>,
        /// What it names now.
        found: Option<Digest>,
    },
    /// The remote failed, or sent what must not be used.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// Another push came right after ours.
    #[error("another push overtook this one: the tag `{tag}` was moved to {pushed} and names {} now", named(.found))]
    Overtaken {
        /// The tag.
        tag: Tag,
        /// What it was made to name.
        pushed: Digest,
        /// What it names now.
        found: Option<Digest>,
    },
    /// It is a version that exists; it was left alone.
    #[error("the version `{tag}` is published already, as {found}")]
    Published {
        /// The tag.
        tag: Tag,
        /// What it names.
        found: Digest,
    },
    /// It names another bundle; it was left alone.
    #[error("the tag `{tag}` names another bundle there, {found}")]
    Taken {
        /// The tag.
        tag: Tag,
        /// What it names.
        found: Digest,
    },
}

impl TagError {
    fn foreign(tag: Tag, found: Digest, named: Option<Named>) -> Self {
        let foreign = match named.map(|named| named.kind) {
            Some(NamedKind::Foreign(foreign)) => Some(foreign),
            _ => None,
        };
        Self::Foreign { tag, found, foreign }
    }
}

fn named(digest: &Option<Digest>) -> String {
    digest.map_or_else(|| "nothing".to_owned(), |digest| digest.to_string())
}

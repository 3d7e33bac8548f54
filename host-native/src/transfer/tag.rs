//! Moves tags: looks, asks the core, writes, and reads back.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bundle_core::bundle::descriptor::media_type;
use bundle_core::bundle::foreign::Foreign;
use bundle_core::digest::Digest;
use bundle_core::name::reference::Tag;
use bundle_core::plan::tag::{Mover, Occupant, TagDecision, TagFacts};
use bytes::Bytes;
use futures_util::{StreamExt as _, stream};
use thiserror::Error;

use crate::bundle::{Context, OpenError, read_view, resolve, under};
use crate::component::CoreError;
use crate::component::answers::ManifestError;
use crate::push::Force;
use crate::remote::error::{ConnectionError, RegistryError};
use crate::remote::{Condition, RemoteError, RemoteErrorKind, Version};

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
    pub(super) fn of(context: Context<'_>, version: &Version, manifest: &[u8]) -> Result<Self, OpenError> {
        match read_view(context.core, manifest) {
            Err(ManifestError::NotABundle(foreign)) => Ok(Self::Foreign(under(version, foreign))),
            Err(error @ ManifestError::Core(_)) => Err(error.into()),
            // A damaged bundle is one that may be replaced like any other.
            Ok(_) | Err(_) => Ok(Self::Bundle),
        }
    }

    pub(crate) fn occupant(&self) -> Occupant {
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
    Ok(Some(Named { digest, kind: NamedKind::of(context, &version, &fetched.bytes)? }))
}

/// What a tag has to name before it is moved; whoever knows that has seen it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expected {
    /// Nothing.
    Absent,
    /// This bundle.
    Bundle(Digest),
}

impl Expected {
    /// What the tag has to name.
    pub fn digest(self) -> Option<Digest> {
        match self {
            Self::Absent => None,
            Self::Bundle(digest) => Some(digest),
        }
    }
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
    expected: Option<Expected>,
) -> Result<Option<Named>, TagError> {
    let named = look_up(context, tag).await?;
    let current = named.as_ref().map(|named| named.digest);
    if let Some(expected) = expected.filter(|expected| expected.digest() != current) {
        return Err(TagError::unexpected(tag.clone(), expected, current));
    }
    let occupant = named.as_ref().map(|named| named.kind.occupant()).unwrap_or_default();
    let force = force == Force::Yes;
    let (planned, mover) = match expected {
        Some(expected) => (expected.digest(), Mover::Push),
        None => (None, Mover::Naming),
    };
    let facts = TagFacts { tag: tag.clone(), planned, current, occupant, target, force, mover };
    match (context.core.decide_tag(&facts)?, current) {
        (TagDecision::Foreign(found), _) => Err(TagError::foreign(facts.tag, found, named)),
        (TagDecision::Moved(_) | TagDecision::Named(_) | TagDecision::Published(_), Some(found)) => {
            Err(TagError::Taken { tag: facts.tag, found })
        }
        (TagDecision::Write | TagDecision::AlreadyThere, _) | (TagDecision::Moved(_), None) => Ok(named),
        (TagDecision::Named(found) | TagDecision::Published(found), None) => {
            Err(TagError::Published { tag: facts.tag, found })
        }
    }
}

/// Whether a tag that was written is shown as it was written.
#[derive(Debug)]
#[must_use = "whoever waits for the tag has to be told where it is not shown"]
enum Shown {
    /// It is.
    Now,
    /// It still shows what it did before: a replica or a cache is late.
    NotYet,
    /// The remote, which took the write, did not let it be looked at.
    Unread(OpenError),
}

/// A tag that was written, and of which nobody has seen that it names what it was made to name.
#[derive(Clone, Debug)]
#[must_use = "whoever waits for the tag has to be told"]
pub struct Unconfirmed {
    /// The tag.
    pub tag: Tag,
    /// Why nobody has.
    pub why: Doubt,
}

/// Why it is not known that a tag names what it was made to name.
#[derive(Clone, Debug)]
pub enum Doubt {
    /// It still shows what it did before: a replica or a cache is late.
    Late,
    /// The remote took the write, and could not be asked since.
    Unread(Arc<OpenError>),
}

/// A tag that was written and is to be read back.
#[derive(Debug)]
#[must_use = "another push that did not see this one is noticed by a look alone"]
pub(crate) struct Written {
    tag: Tag,
    target: Digest,
    before: Option<Digest>,
    /// When any push that had not seen this one has written its own.
    settled_at: Instant,
    /// What it was seen to name, once it was looked at.
    shown: Option<Shown>,
}

impl Written {
    /// Looks at the tag now.
    ///
    /// # Errors
    ///
    /// As [`confirm`].
    async fn look(&mut self, context: Context<'_>) -> Result<(), TagError> {
        self.shown = Some(confirm(context, &self.tag, self.target, self.before).await?);
        Ok(())
    }

    /// Looks at the tag for the last time: where the remote honours no conditions, once no other push is under way that
    /// had not seen this one.
    async fn look_at_last(self, context: Context<'_>) -> (Tag, Result<Shown, TagError>) {
        let found = match self.shown {
            // A late replica has been waited for.
            Some(Shown::NotYet) => Ok(Shown::NotYet),
            // A layout is locked while a tag of it moves.
            Some(shown) if context.remote.honours_conditions() => Ok(shown),
            _ => {
                if !context.remote.honours_conditions() {
                    tokio::time::sleep_until(self.settled_at.into()).await;
                }
                confirm(context, &self.tag, self.target, self.before).await
            }
        };
        (self.tag, found)
    }
}

/// Makes the tag of `facts` name `facts.target`, whose bytes are `manifest`; `facts.current` is looked up here. `None`
/// where it does already.
///
/// Remotes that honour conditions are told what the tag must still name; because others do not, the tag is to be read back.
async fn move_tag(
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
        // What came in place of an answer does not say whether the tag was written.
        Err(error) if may_be_taken(&error) => match tag_digest(context, &facts.tag).await {
            Ok(Some(found)) if found == facts.target => {}
            _ => return Err(OpenError::from(error).into()),
        },
        result => result.map_err(OpenError::from)?,
    }
    context.progress.wrote_tag(&facts.tag);
    // Another push that looked before this write was seen needs about as long as this one did, from its look on.
    let settled_at = Instant::now() + began.elapsed();
    Ok(Some(Written { tag: facts.tag, target: facts.target, before: facts.current, settled_at, shown: None }))
}

/// The tags of one command, as they come to name their bundles or do not.
#[derive(Debug, Default)]
pub(crate) struct Tagging {
    /// Those that name their bundle now, and its digest.
    named: Vec<(Tag, Digest)>,
    /// Those among them that were written, and are to be looked at for the last time.
    written: Vec<Written>,
    /// Those that do not.
    left: Vec<Tag>,
    /// Why the first of these does not.
    fault: Option<TagError>,
}

impl Tagging {
    /// Moves the tag of `facts`, as [`move_tag`] does, where those before it name what they were made to; says whether it
    /// was moved or names its target already.
    pub(crate) async fn move_tag(&mut self, context: Context<'_>, facts: TagFacts, manifest: Bytes) -> bool {
        let (tag, target) = (facts.tag.clone(), facts.target);
        if !self.look(context).await {
            self.left.push(tag);
            return false;
        }
        let moved = move_tag(context, facts, manifest).await;
        self.add(tag, target, moved)
    }

    /// Looks at those that nobody has looked at since they were written; says whether they name what they were made to.
    async fn look(&mut self, context: Context<'_>) -> bool {
        let Self { named, written, left, fault } = self;
        for one in written.iter_mut().filter(|one| one.shown.is_none()) {
            if let Err(source) = one.look(context).await {
                named.retain(|(tag, _)| *tag != one.tag);
                left.push(one.tag.clone());
                fault.get_or_insert(source);
            }
        }
        written.retain(|one| one.shown.is_some());
        fault.is_none()
    }

    /// Publishes a version, as [`publish`] does; says whether it was written or names `target` already.
    pub(crate) async fn publish(
        &mut self,
        context: Context<'_>,
        version: &Tag,
        target: Digest,
        manifest: Bytes,
    ) -> bool {
        let published = publish(context, version, target, manifest).await;
        self.add(version.clone(), target, published)
    }

    /// What came of moving `tag`; says whether it names its target.
    fn add(&mut self, tag: Tag, target: Digest, moved: Result<Option<Written>, TagError>) -> bool {
        match moved {
            Ok(written) => {
                self.named.push((tag, target));
                self.written.extend(written);
                true
            }
            Err(fault) => {
                self.left.push(tag);
                self.fail(fault);
                false
            }
        }
    }

    /// Something ended it all.
    pub(crate) fn fail(&mut self, fault: TagError) {
        self.fault.get_or_insert(fault);
    }

    /// These are not tried any more.
    pub(crate) fn leave(&mut self, tags: impl IntoIterator<Item = Tag>) {
        self.left.extend(tags);
    }

    /// Looks for the last time at all that was written.
    ///
    /// # Errors
    ///
    /// Which tags name their bundle and which do not, where there are such.
    pub(crate) async fn finish(self, context: Context<'_>) -> Result<Vec<Unconfirmed>, PartlyTagged> {
        let Self { mut named, written, mut left, mut fault } = self;
        let mut unconfirmed = Vec::new();
        let looks = stream::iter(written).map(|written| written.look_at_last(context));
        let found: Vec<_> = looks.buffered(context.concurrency).collect().await;
        for (tag, found) in found {
            let why = match found {
                Ok(Shown::Now) => continue,
                Ok(Shown::NotYet) => Doubt::Late,
                Ok(Shown::Unread(why)) => Doubt::Unread(Arc::new(why)),
                Err(source) => {
                    named.retain(|(named, _)| *named != tag);
                    left.push(tag);
                    fault.get_or_insert(source);
                    continue;
                }
            };
            unconfirmed.push(Unconfirmed { tag, why });
        }
        match fault {
            Some(source) => Err(PartlyTagged { written: named, left, source }),
            None => Ok(unconfirmed),
        }
    }
}

/// Makes each tag of `facts` name its target, whose bytes are `manifest`; each is tried, whatever comes of the others.
///
/// # Errors
///
/// Which tags name it and which do not, where there are such.
pub async fn move_tags(
    context: Context<'_>,
    facts: &[TagFacts],
    manifest: &Bytes,
) -> Result<Vec<Unconfirmed>, PartlyTagged> {
    let moved: Vec<_> = stream::iter(facts.to_vec())
        .map(async |facts: TagFacts| move_tag(context, facts, manifest.clone()).await)
        .buffered(context.concurrency)
        .collect()
        .await;
    let mut tagging = Tagging::default();
    for (facts, moved) in facts.iter().zip(moved) {
        tagging.add(facts.tag.clone(), facts.target, moved);
    }
    tagging.finish(context).await
}

/// Whether a write may have been refused because of the condition that it had.
fn may_be_for_the_condition(error: &RemoteError) -> bool {
    matches!(
        error,
        RemoteError::ConditionFailed { .. }
            | RemoteError::Registry(RegistryError::Status { status: 400 | 405 | 412 | 501, .. })
    )
}

/// Whether a write that ended so may have been carried out all the same.
fn may_be_taken(error: &RemoteError) -> bool {
    match error {
        RemoteError::Registry(RegistryError::Status { status, .. }) => *status >= 500,
        RemoteError::Connection(ConnectionError::Stalled { .. } | ConnectionError::Unreachable { .. }) => {
            true
        }
        _ => false,
    }
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
        TagDecision::Named(found) => Err(TagError::Taken { tag: facts.tag, found }),
        TagDecision::Published(found) => Err(TagError::Published { tag: facts.tag, found }),
        TagDecision::Write => Ok(Some(facts)),
    }
}

/// Makes `tag`, a version that was not there when it was chosen, name `target`, whose bytes are `manifest`.
///
/// # Errors
///
/// [`TagError::Chosen`] where it is there by now: nobody can insist on a number that somebody else has published.
async fn publish(
    context: Context<'_>,
    tag: &Tag,
    target: Digest,
    manifest: Bytes,
) -> Result<Option<Written>, TagError> {
    let (occupant, mover) = (Occupant::default(), Mover::Push);
    let facts =
        TagFacts { tag: tag.clone(), planned: None, current: None, occupant, target, force: false, mover };
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
        let found = match tag_digest(context, tag).await {
            // The write was taken, and that counts; what is wrong with an answer that came counts too.
            Err(OpenError::Remote(why)) if why.kind() != RemoteErrorKind::Integrity => {
                return Ok(Shown::Unread(why.into()));
            }
            found => found?,
        };
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
    /// It does not name what the user said that it does; it was left alone.
    #[error("the tag `{tag}` does not name what was expected: it names {}, not {}", named(.found), named(.expected))]
    Unexpected {
        /// The tag.
        tag: Tag,
        /// What it was to name.
        expected: Option<Digest>,
        /// What it names.
        found: Option<Digest>,
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

/// Some tags of a command may name their bundle by now, and others do not.
#[derive(Debug, Error)]
#[error("published as {}, and not as {}", listed(.written.iter().map(|(tag, _)| tag)), listed(.left.iter()))]
pub struct PartlyTagged {
    /// The tags that name their bundle, and its digest.
    pub written: Vec<(Tag, Digest)>,
    /// Those that do not.
    pub left: Vec<Tag>,
    /// Why the first of these does not.
    pub source: TagError,
}

fn listed<'a>(tags: impl Iterator<Item = &'a Tag>) -> String {
    let names: Vec<&str> = tags.map(Tag::as_str).collect();
    if names.is_empty() { "nothing".to_owned() } else { names.join(", ") }
}

impl TagError {
    /// Another bundle than the one that was expected is tagged.
    pub fn unexpected(tag: Tag, expected: Expected, found: Option<Digest>) -> Self {
        Self::Unexpected { tag, expected: expected.digest(), found }
    }

    pub(crate) fn foreign(tag: Tag, found: Digest, named: Option<Named>) -> Self {
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

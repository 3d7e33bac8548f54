//! Whether a place can be used, and how well: one question after another, each with a verdict.
//!
//! What a registry is asked leaves nothing behind, unless the caller allows writing.

use std::time::{Duration, SystemTime};

use bundle_core::bundle::descriptor::{Descriptor, media_type};
use bundle_core::bundle::manifest::Manifest;
use bundle_core::digest::Digest;
use bundle_core::name::reference::Tag;
use bundle_core::plan::fetch::RangeSupport;
use bytes::Bytes;
use futures_util::TryStreamExt as _;

use crate::remote::archive::Archive;
use crate::remote::error::{ArchiveError, LoginError};
use crate::remote::layout::Layout;
use crate::remote::registry::Registry;
use crate::remote::registry::probe::{Ping, ProbedUpload, is_about_tls};
use crate::remote::{BlobSource, Condition, Deletion, Remote, RemoteError, Version};

/// How often the registry is asked for the latency.
const PINGS: usize = 5;

/// Answers that take longer make every command feel slow.
const SLOW: Duration = Duration::from_millis(750);

/// Clocks that differ by more seconds make tokens and signed URLs be refused.
const SKEWED_SECONDS: u64 = 60;

/// What is asked about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Aspect {
    /// Whether somebody is there.
    Reachable,
    /// Whether what is sent is encrypted, to one who can show who he is.
    Tls,
    /// Whether the registry knows enough of who asks.
    Auth,
    /// Whether bundles may be read.
    Pull,
    /// Whether something may be written.
    Push,
    /// Whether parts of blobs can be had.
    Ranges,
    /// Whether what refers to a bundle is listed.
    Referrers,
    /// Whether something may be deleted.
    Delete,
    /// How long an answer takes.
    Latency,
    /// How far the clocks are apart.
    Clock,
}

/// How an aspect is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// As it should be.
    Ok,
    /// Something works less well, or not at all that can be done without.
    Warn,
    /// Something does not work that is needed.
    Fail,
    /// It is not known.
    Skipped,
}

/// What was found out.
#[derive(Debug)]
pub enum Finding {
    /// Nothing needs a login, or the login was taken.
    Admitted,
    /// What was asked about does not apply to such a place.
    DoesNotApply,
    /// The registry does not cancel uploads; it took one.
    UploadLeftOpen,
    /// An upload was opened and cancelled.
    UploadTaken,
    /// There is no bundle of the name that was asked about.
    NoBundle(Version),
    /// A bundle of the place was read.
    Read,
    /// A tag that was written was deleted again.
    DeletedTag,
    /// What was written was deleted again, which the registry can do only with all tags of a bundle.
    DeletedManifest,
    /// The registry is not set up to delete.
    DeletesOff,
    /// A wish to delete what is not there was answered as it should be.
    DeletesOn,
    /// Something is encrypted, by a certificate that is trusted.
    Encrypted,
    /// It failed.
    Failed(RemoteError),
    /// An answer took so long, in the middle of several.
    Latency(Duration),
    /// No blob is known of which a part could be asked for.
    NoBlob,
    /// The answers carry no time.
    NoDate,
    /// The registry does not list what refers to a manifest.
    NoReferrers,
    /// There is nothing there yet, and the first push will make it.
    NothingYet,
    /// Nothing is encrypted, and nothing leaves this machine.
    PlainLoopback,
    /// Nothing is encrypted.
    PlainNetwork,
    /// A part of a blob was asked for and came.
    Ranges,
    /// A part of a blob was asked for and the whole of it came.
    RangesIgnored,
    /// The registry lists what refers to a manifest.
    Referrers,
    /// It answers.
    Reached,
    /// So many seconds are between the clocks.
    Skew(u64),
    /// What has to work before does not.
    Unasked,
    /// The caller did not want to know.
    Unwanted,
    /// A file could be written.
    Writable,
    /// An archive is written as a whole.
    WrittenAsWhole,
}

/// An aspect and what was found out about it.
#[derive(Debug)]
pub struct Check {
    /// What was asked about.
    pub aspect: Aspect,
    /// What was found out.
    pub finding: Finding,
}

impl Check {
    fn new(aspect: Aspect, found: Result<Finding, RemoteError>) -> Self {
        Self { aspect, finding: found.unwrap_or_else(Finding::Failed) }
    }

    /// How the aspect is.
    pub fn verdict(&self) -> Verdict {
        match &self.finding {
            Finding::Failed(_) => match self.aspect {
                Aspect::Reachable | Aspect::Tls | Aspect::Auth | Aspect::Pull | Aspect::Push => Verdict::Fail,
                Aspect::Ranges | Aspect::Referrers | Aspect::Delete | Aspect::Latency | Aspect::Clock => {
                    Verdict::Warn
                }
            },
            Finding::NoBundle(_) => Verdict::Fail,
            Finding::Latency(took) if *took > SLOW => Verdict::Warn,
            Finding::Skew(seconds) if *seconds > SKEWED_SECONDS => Verdict::Warn,
            Finding::DeletesOff
            | Finding::DeletedManifest
            | Finding::NoReferrers
            | Finding::PlainNetwork
            | Finding::RangesIgnored
            | Finding::UploadLeftOpen => Verdict::Warn,
            Finding::DoesNotApply
            | Finding::NoBlob
            | Finding::NoDate
            | Finding::Unasked
            | Finding::Unwanted
            | Finding::WrittenAsWhole => Verdict::Skipped,
            Finding::Admitted
            | Finding::DeletedTag
            | Finding::DeletesOn
            | Finding::Encrypted
            | Finding::Latency(_)
            | Finding::NothingYet
            | Finding::PlainLoopback
            | Finding::Ranges
            | Finding::Reached
            | Finding::Read
            | Finding::Referrers
            | Finding::Skew(_)
            | Finding::UploadTaken
            | Finding::Writable => Verdict::Ok,
        }
    }
}

/// How much may be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Depth {
    /// What a reader needs.
    ReadOnly,
    /// That, and whether something could be written, without writing it.
    Rights,
    /// That, and what is only known once something was written and deleted again.
    Write,
}

/// The bundle that is read to see whether bundles can be.
#[derive(Clone, Copy, Debug)]
pub enum Trial<'a> {
    /// Any, that of this tag where it is there.
    Any(Option<&'a Tag>),
    /// This one: it has to be there.
    Named(&'a Version),
}

impl Trial<'_> {
    /// Reads it in a place on disk, of which `otherwise` is to be said where any will do.
    async fn read(self, place: &dyn Remote, otherwise: Finding) -> Result<Finding, RemoteError> {
        match self {
            Self::Any(_) => place.tags().await.map(|_| otherwise),
            Self::Named(version) => Ok(match place.manifest(version).await? {
                Some(_) => Finding::Read,
                None => Finding::NoBundle(version.clone()),
            }),
        }
    }
}

/// Asks a registry about itself and one of its repositories, by the bundle `trial`.
pub async fn check_registry(registry: &Registry, trial: Trial<'_>, depth: Depth) -> Vec<Check> {
    let ping = match registry.ping().await {
        Ok(ping) => ping,
        Err(error) => {
            let (reached, tls) = if is_about_tls(&error) {
                (Finding::Reached, Finding::Failed(error))
            } else {
                (Finding::Failed(error), Finding::Unasked)
            };
            let mut checks = vec![
                Check { aspect: Aspect::Reachable, finding: reached },
                Check { aspect: Aspect::Tls, finding: tls },
            ];
            let others = [
                Aspect::Auth,
                Aspect::Pull,
                Aspect::Push,
                Aspect::Ranges,
                Aspect::Referrers,
                Aspect::Delete,
                Aspect::Latency,
                Aspect::Clock,
            ];
            checks.extend(others.map(|aspect| Check { aspect, finding: Finding::Unasked }));
            return checks;
        }
    };
    let tls = encryption(registry.is_encrypted(), registry.is_loopback());
    let mut checks = vec![
        Check { aspect: Aspect::Reachable, finding: Finding::Reached },
        Check { aspect: Aspect::Tls, finding: tls },
        Check::new(Aspect::Auth, admitted(registry, &ping)),
    ];
    let (pull, mut blob) = match find_blob(registry, trial).await {
        Ok((finding, blob)) => (Ok(finding), blob),
        Err(error) => (Err(error), None),
    };
    checks.push(Check::new(Aspect::Pull, pull));
    let push = match depth {
        Depth::ReadOnly => Ok(Finding::Unwanted),
        Depth::Rights | Depth::Write => registry.probe_upload().await.map(|upload| match upload {
            ProbedUpload::Cancelled => Finding::UploadTaken,
            ProbedUpload::LeftOpen => Finding::UploadLeftOpen,
        }),
    };
    let may_write = depth == Depth::Write && push.is_ok();
    checks.push(Check::new(Aspect::Push, push));
    if may_write && blob.is_none() {
        blob = write_blob(registry).await.ok();
    }
    checks.push(Check::new(Aspect::Ranges, ranges(registry, blob.as_ref()).await));
    let referrers = registry.lists_referrers(&Digest::EMPTY).await;
    let referrers = referrers.map(|lists| if lists { Finding::Referrers } else { Finding::NoReferrers });
    checks.push(Check::new(Aspect::Referrers, referrers));
    checks.push(Check::new(Aspect::Delete, deletes(registry, depth, may_write).await));
    checks.push(Check::new(Aspect::Latency, latency(registry).await));
    let skew = ping.date.map_or(Finding::NoDate, |date| Finding::Skew(apart(date, SystemTime::now())));
    checks.push(Check { aspect: Aspect::Clock, finding: skew });
    checks
}

fn encryption(is_encrypted: bool, is_local: bool) -> Finding {
    match (is_encrypted, is_local) {
        (true, _) => Finding::Encrypted,
        (false, true) => Finding::PlainLoopback,
        (false, false) => Finding::PlainNetwork,
    }
}

fn admitted(registry: &Registry, ping: &Ping) -> Result<Finding, RemoteError> {
    if ping.is_open {
        return Ok(Finding::Admitted);
    }
    Err(RemoteError::Login(LoginError::Unauthorized {
        host: registry.host().to_owned(),
        message: String::new(),
    }))
}

/// What comes of reading the bundle `trial`, and a small blob of it, where it has one.
async fn find_blob(
    registry: &Registry,
    trial: Trial<'_>,
) -> Result<(Finding, Option<Descriptor>), RemoteError> {
    let (version, otherwise) = match trial {
        Trial::Named(version) => (version.clone(), Finding::NoBundle(version.clone())),
        Trial::Any(tag) => {
            let tags = registry.tags().await?;
            match tag.filter(|tag| tags.contains(tag)).or(tags.first()) {
                Some(tag) => (Version::Tag(tag.clone()), Finding::NothingYet),
                None => return Ok((Finding::NothingYet, None)),
            }
        }
    };
    let Some(fetched) = registry.manifest(&version).await? else { return Ok((otherwise, None)) };
    // What is no bundle can be read all the same.
    let blobs = Manifest::parse(&fetched.bytes).map(|manifest| manifest.layers).unwrap_or_default();
    Ok((Finding::Read, blobs.into_iter().filter(|blob| blob.size > 1).min_by_key(|blob| blob.size)))
}

/// Asks for the first byte of a blob: where the whole of it comes, the rest is not waited for.
async fn ranges(registry: &Registry, blob: Option<&Descriptor>) -> Result<Finding, RemoteError> {
    let Some(blob) = blob else { return Ok(Finding::NoBlob) };
    let pieces = registry.blob_range_unverified(blob, 0..1).await?;
    let _: Vec<Bytes> = pieces.try_collect().await?;
    Ok(match registry.range_support() {
        RangeSupport::Honoured => Finding::Ranges,
        RangeSupport::Ignored => Finding::RangesIgnored,
    })
}

/// What is written where writing is allowed: the same bytes each time, so that it stays one blob.
const PROBE: &[u8] = b"a health check of modelops-bundle\n";

async fn write_blob(registry: &Registry) -> Result<Descriptor, RemoteError> {
    let blob = Descriptor::of(media_type::FILE_LAYER, PROBE);
    registry.push_blob(&blob, BlobSource::bytes(PROBE)).await?;
    Ok(blob)
}

async fn deletes(registry: &Registry, depth: Depth, may_write: bool) -> Result<Finding, RemoteError> {
    if depth == Depth::ReadOnly {
        return Ok(Finding::Unwanted);
    }
    // Nothing has the digest of a text that is made up here and now.
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let unique = format!("{}-{}", now.as_nanos(), std::process::id());
    if !registry.deletes(Digest::of(unique.as_bytes())).await? {
        return Ok(Finding::DeletesOff);
    }
    if may_write { write_and_delete(registry, &unique).await } else { Ok(Finding::DeletesOn) }
}

/// Writes a manifest under a tag of its own, and deletes it again.
async fn write_and_delete(registry: &Registry, unique: &str) -> Result<Finding, RemoteError> {
    let blob = write_blob(registry).await?;
    let config = Descriptor::empty();
    registry.push_blob(&config, BlobSource::bytes(EMPTY_CONFIG)).await?;
    let manifest = Manifest {
        artifact_type: Some("application/vnd.modelops.bundle.health.v1".to_owned()),
        config,
        layers: vec![blob],
        annotations: [("org.modelops.bundle.health".to_owned(), unique.to_owned())].into(),
    };
    let manifest = Bytes::from(manifest.to_json());
    let digest = Digest::of(&manifest);
    let fault = |error: bundle_core::name::reference::ReferenceError| RemoteError::Protocol {
        what: "a tag for the health check".to_owned(),
        fault: error.to_string(),
    };
    let tag = Version::Tag(format!("health-check-{unique}").parse().map_err(fault)?);
    registry.push_manifest(&tag, media_type::MANIFEST, manifest, Condition::Absent).await?;
    let alone = registry.delete(&tag, Some(digest)).await?;
    // The manifest goes as well, whether or not the tag could go without it.
    let whole = registry.delete(&Version::Digest(digest), Some(digest)).await;
    match (alone, whole) {
        (Deletion::Done, Ok(_) | Err(RemoteError::Missing { .. })) => Ok(Finding::DeletedTag),
        (Deletion::OnlyManifests, Ok(_)) => Ok(Finding::DeletedManifest),
        (_, Err(error)) => Err(error),
    }
}

/// The bytes of [`Descriptor::empty`].
const EMPTY_CONFIG: &[u8] = b"{}";

async fn latency(registry: &Registry) -> Result<Finding, RemoteError> {
    let mut took = Vec::new();
    for _ in 0..PINGS {
        took.push(registry.ping().await?.took);
    }
    took.sort();
    Ok(took.get(PINGS / 2).map_or(Finding::Unasked, |median| Finding::Latency(*median)))
}

fn apart(one: SystemTime, other: SystemTime) -> u64 {
    one.duration_since(other).or_else(|_| other.duration_since(one)).unwrap_or_default().as_secs()
}

/// Asks about a layout in a folder.
pub async fn check_layout(layout: &Layout, trial: Trial<'_>, depth: Depth) -> Vec<Check> {
    let read = trial.read(layout, if layout.exists() { Finding::Read } else { Finding::NothingYet }).await;
    let push = match depth {
        Depth::ReadOnly => Ok(Finding::Unwanted),
        Depth::Rights | Depth::Write => layout.try_to_write().await.map(|()| Finding::Writable),
    };
    let reached = if layout.exists() { Finding::Reached } else { Finding::NothingYet };
    let mut checks = with_the_rest(reached, read, push);
    // A tag is deleted by writing the list without it.
    let may_write = checks.iter().any(|check| matches!(check.finding, Finding::Writable));
    for check in checks.iter_mut().filter(|check| may_write && check.aspect == Aspect::Delete) {
        check.finding = Finding::Writable;
    }
    checks
}

/// Asks about an archive.
pub async fn check_archive(archive: &Archive, trial: Trial<'_>) -> Vec<Check> {
    match trial.read(archive, Finding::Read).await {
        Ok(read) => with_the_rest(Finding::Reached, Ok(read), Ok(Finding::WrittenAsWhole)),
        Err(error @ RemoteError::Archive(ArchiveError::NoFile { .. })) => {
            with_the_rest(Finding::Failed(error), Ok(Finding::Unasked), Ok(Finding::Unasked))
        }
        Err(error) => with_the_rest(Finding::Reached, Err(error), Ok(Finding::WrittenAsWhole)),
    }
}

/// What a place on disk has, and what it has no need of.
fn with_the_rest(
    reached: Finding,
    pull: Result<Finding, RemoteError>,
    push: Result<Finding, RemoteError>,
) -> Vec<Check> {
    let none = |aspect| Check { aspect, finding: Finding::DoesNotApply };
    vec![
        Check { aspect: Aspect::Reachable, finding: reached },
        none(Aspect::Tls),
        none(Aspect::Auth),
        Check::new(Aspect::Pull, pull),
        Check::new(Aspect::Push, push),
        Check { aspect: Aspect::Ranges, finding: Finding::DoesNotApply },
        none(Aspect::Referrers),
        none(Aspect::Delete),
        none(Aspect::Latency),
        none(Aspect::Clock),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::remote::error::RegistryError;

    #[test]
    fn only_what_is_needed_fails() {
        let error = || RemoteError::Registry(RegistryError::DeletesOff { host: "h".to_owned() });
        for (aspect, finding, verdict) in [
            (Aspect::Pull, Finding::Failed(error()), Verdict::Fail),
            (Aspect::Push, Finding::Unwanted, Verdict::Skipped),
            (Aspect::Ranges, Finding::Failed(error()), Verdict::Warn),
            (Aspect::Latency, Finding::Latency(SLOW), Verdict::Ok),
            (Aspect::Latency, Finding::Latency(SLOW * 2), Verdict::Warn),
            (Aspect::Clock, Finding::Skew(SKEWED_SECONDS), Verdict::Ok),
            (Aspect::Clock, Finding::Skew(SKEWED_SECONDS + 1), Verdict::Warn),
        ] {
            assert_eq!(Check { aspect, finding }.verdict(), verdict, "{aspect:?}");
        }
    }

    #[test]
    fn clocks_are_apart_either_way() {
        let now = SystemTime::now();
        let later = now + Duration::from_secs(90);
        assert_eq!((apart(now, later), apart(later, now), apart(now, now)), (90, 90, 0));
    }
}

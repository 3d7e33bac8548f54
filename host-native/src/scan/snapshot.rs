//! Puts together what a walk, the digest cache and the hashing found.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};

use bundle_core::digest::Digest;
use bundle_core::file::{ByPath, File, OddMode, RepeatedPath, SymlinkPolicy, SyncedFile, odd_modes};
use bundle_core::name::path::BundlePath;
use rayon::prelude::*;
use thiserror::Error;

use super::digest_cache::{DigestCache, NewCache};
use super::hash::{self, HashError, Job, hash_all, hash_readable, open_found};
use super::walk::{
    FoundFile, IgnoredEntry, RefusalReason, Refused, Untracked, WalkError, WalkOptions, Walked, walk,
};
use crate::leftovers::Among;
use crate::progress::{Progress, Work};
use crate::project::Project;
use crate::project::disk_path::to_disk;
use crate::project::journal::Before;
use crate::project::modes::Modes;
use crate::project::stamp::Stamp;
use crate::project::tick::{self, Tick};

/// How to scan.
#[derive(Clone, Copy, Debug)]
pub struct ScanOptions {
    /// What to do with symbolic links.
    pub symlinks: SymlinkPolicy,
    /// What to do with files that are not looked for.
    pub untracked: Untracked,
}

/// What a project looks like on disk.
#[derive(Debug)]
pub struct Scan {
    /// The files that were looked for and are there.
    pub files: ByPath<File>,
    /// Tracked paths at which no file is, sorted.
    pub missing: Vec<BundlePath>,
    /// Files that are not tracked, asked about or ignored, sorted.
    pub untracked: Vec<BundlePath>,
    /// How many entries were passed by because of an ignore rule; a folder counts once.
    pub ignored_count: u64,
    /// What was passed by, and because of which rule, sorted; only on [`Untracked::NameIgnored`].
    pub ignored: Vec<IgnoredEntry>,
    /// Paths, tracked or asked about, that cannot be written without losing something that is no file of theirs,
    /// sorted: a folder that holds files which are not tracked, a refused link, a pipe; or a part of the path above
    /// is such a thing, or a file that is not tracked.
    pub obstacles: Vec<BundlePath>,
    /// What is neither tracked nor a file that a bundle may hold, sorted.
    pub refused: Vec<Refused>,
    /// Tracked paths that cannot be read, sorted; only where they were to be listed: see [`scan_readable`].
    pub unreadable: Vec<Refused>,
    /// What stands where a folder should be, and cannot be gone through: refused links and the like, sorted.
    pub barriers: Vec<Refused>,
    /// How much had to be read.
    pub hashed: Hashed,
    /// For each of `files`, what was found.
    found: Vec<FoundFile>,
    /// The facts of the entries of refused links and the like at paths that were asked about, by path.
    refused_entries: Vec<(BundlePath, Stamp)>,
}

impl Scan {
    /// What there is in a folder that is not there.
    pub(crate) fn nothing() -> Self {
        Self {
            files: ByPath::default(),
            missing: Vec::new(),
            untracked: Vec::new(),
            ignored_count: 0,
            ignored: Vec::new(),
            obstacles: Vec::new(),
            refused: Vec::new(),
            unreadable: Vec::new(),
            barriers: Vec::new(),
            hashed: Hashed::default(),
            found: Vec::new(),
            refused_entries: Vec::new(),
        }
    }
}

/// What modes are worth on the `device` that holds the file `disk`.
fn modes_beside(project: &Project, disk: &Path, device: u64) -> Modes {
    let own = project.folder();
    let is_there = own.metadata().is_ok_and(|metadata| tick::device(&metadata) == device);
    match disk.parent() {
        Some(folder) if !is_there => Modes::of(folder, Among::OtherFiles),
        _ => Modes::of(&own, Among::OwnFiles),
    }
}

/// How much had to be read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Hashed {
    /// Files.
    pub files: u64,
    /// Bytes.
    pub bytes: u64,
}

impl Scan {
    /// Where the content of the file at `path` is on disk.
    pub fn disk(&self, project: &Project, path: &BundlePath) -> PathBuf {
        let target = self.found(path).and_then(FoundFile::target);
        target.map_or_else(|| to_disk(project.root(), path), Path::to_owned)
    }

    /// What a commit is to find at `path`, which was tracked or asked about.
    pub fn before(&self, path: &BundlePath) -> Before {
        let refused = || {
            let at = self.refused_entries.binary_search_by(|(refused, _)| refused.cmp(path)).ok()?;
            Some(self.refused_entries[at].1)
        };
        let stamp = self.found(path).map(FoundFile::entry).or_else(refused);
        stamp.map_or(Before::Absent, Before::Present)
    }

    /// Where the disk keeps no modes, gives each file the one that is known of it, from what both sides last agreed on and
    /// what the remote has: what such a disk shows is nobody's change.
    pub fn recall_modes(&mut self, project: &Project, base: &ByPath<SyncedFile>, remote: &ByPath<File>) {
        let odd = odd_modes(&self.files, base, remote);
        if odd.is_empty() {
            return;
        }
        let mut disks = BTreeMap::new();
        let mut files = std::mem::take(&mut self.files).into_vec();
        for OddMode { at, known } in odd {
            let (Some(file), Some(found)) = (files.get_mut(at), self.found.get(at)) else { continue };
            let modes = disks.entry(found.device).or_insert_with(|| {
                let disk = found.target().map_or_else(|| to_disk(project.root(), &file.path), Path::to_owned);
                modes_beside(project, &disk, found.device)
            });
            file.executable = file.executable.map(|shown| modes.judge(shown, known));
        }
        // The paths are as before.
        self.files = ByPath::keeping_first(files);
    }

    fn found(&self, path: &BundlePath) -> Option<&FoundFile> {
        let at = self.files.binary_search_by(|file| file.path.cmp(path)).ok()?;
        self.found.get(at)
    }
}

/// Looks at every path in `tracked` and `extra` (those that a pull would write), and at what else there is.
pub fn scan(
    project: &Project,
    tracked: &ByPath<BundlePath>,
    extra: &[BundlePath],
    options: ScanOptions,
    progress: &dyn Progress,
) -> Result<Scan, ScanError> {
    scan_with(project, tracked, extra, options, progress, |found| found.hash_unknown(progress))
}

/// Looks at every path in `tracked`, for somebody who only looks: what cannot be read is listed, and all else is done.
pub fn scan_readable(
    project: &Project,
    tracked: &ByPath<BundlePath>,
    options: ScanOptions,
    progress: &dyn Progress,
) -> Result<Scan, ScanError> {
    let read = |found: &Found<'_>| found.hash_readable(progress);
    scan_by(project, tracked, &[], options, Unreadable::List, progress, read)
}

/// The files that are neither `tracked` nor ignored and that have one of these `sizes`, with their digests. What cannot be
/// read is left out.
pub fn find_untracked(
    project: &Project,
    tracked: &ByPath<BundlePath>,
    symlinks: SymlinkPolicy,
    sizes: &BTreeSet<u64>,
) -> Result<ByPath<File>, ScanError> {
    let wanted: Vec<&BundlePath> = tracked.iter().collect();
    let how = WalkOptions { symlinks, untracked: Untracked::List };
    let walked = walk(project.root(), &wanted, how, &|_| ()).map_err(|source| ScanError::Walk { source })?;
    let (mut paths, mut jobs) = (Vec::new(), Vec::new());
    for path in walked.untracked {
        let disk = to_disk(project.root(), &path);
        let Ok(metadata) = disk.symlink_metadata() else { continue };
        if metadata.is_file() && sizes.contains(&metadata.len()) {
            jobs.push(Job { disk, stamp: Stamp::of(&metadata) });
            paths.push(path);
        }
    }
    let hashed = hash_readable(&jobs, &|_| ()).map_err(|source| ScanError::Hash { source })?;
    let file = |(at, hashed): (usize, hash::Hashed)| {
        let path = paths.get(at)?.clone();
        let executable = Some(hashed.executable);
        Some(File { path, digest: hashed.digest, size: hashed.stamp.size, executable })
    };
    ByPath::new(hashed.into_iter().filter_map(file).collect())
        .map_err(|source| ScanError::Repeated { source })
}

/// What to do about tracked paths that cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Unreadable {
    List,
    Refuse,
}

/// The same, for a caller who has more to do with the files' content than to hash it: `read` gives the digest of every
/// file that has none yet, with its place.
pub fn scan_with<E: From<ScanError>>(
    project: &Project,
    tracked: &ByPath<BundlePath>,
    extra: &[BundlePath],
    options: ScanOptions,
    progress: &dyn Progress,
    read: impl FnOnce(&Found<'_>) -> Result<Vec<(usize, hash::Hashed)>, E>,
) -> Result<Scan, E> {
    scan_by(project, tracked, extra, options, Unreadable::Refuse, progress, read)
}

fn scan_by<E: From<ScanError>>(
    project: &Project,
    tracked: &ByPath<BundlePath>,
    extra: &[BundlePath],
    options: ScanOptions,
    on_unreadable: Unreadable,
    progress: &dyn Progress,
    read: impl FnOnce(&Found<'_>) -> Result<Vec<(usize, hash::Hashed)>, E>,
) -> Result<Scan, E> {
    let mut wanted: Vec<&BundlePath> = tracked.iter().chain(extra).collect();
    if !extra.is_empty() {
        wanted.sort_unstable();
        wanted.dedup();
    }
    tracing::debug!(paths = wanted.len(), "looking at the project");
    // Before anything is looked at: whatever changes from here on gets a later stamp.
    let tick = Tick::now(project);
    let how = WalkOptions { symlinks: options.symlinks, untracked: options.untracked };
    let found = |files| progress.advance(Work::Scan, files);
    let (walked, cache) =
        rayon::join(|| walk(project.root(), &wanted, how, &found), || DigestCache::read(project));
    let mut walked = walked.map_err(|source| ScanError::Walk { source })?;

    let is_tracked = |path: &BundlePath| tracked.at(path).is_some();
    let unreadable = std::mem::take(&mut walked.unreadable);
    let (faults, in_the_way): (Vec<_>, Vec<_>) =
        unreadable.into_iter().partition(|(at, _)| is_tracked(wanted[*at]));
    let mut unreadable: Vec<_> = faults.into_iter().map(|(_, refused)| refused).collect();
    unreadable.sort_by(|a, b| a.path.cmp(&b.path));
    if !unreadable.is_empty() && on_unreadable == Unreadable::Refuse {
        return Err(ScanError::Refused { refused: unreadable }.into());
    }
    let blocked = obstacles(project.root(), &wanted, tracked, &walked, in_the_way.iter().map(|(at, _)| *at))
        .map_err(|source| ScanError::Obstacle { source })?;
    let refused_entries = refused_entries(project.root(), &wanted, &in_the_way)
        .map_err(|source| ScanError::Obstacle { source })?;
    walked.refused.extend(in_the_way.into_iter().map(|(_, refused)| refused));
    walked.refused.sort_by(|a, b| a.path.cmp(&b.path));
    walked.barriers.sort_by(|a, b| a.path.cmp(&b.path));
    walked.untracked.sort_unstable();
    walked.ignored_entries.sort_unstable_by(|a, b| a.path.cmp(&b.path));

    walked.files.par_sort_unstable_by_key(|file| file.wanted);
    let (digests, hashed) = digests(project, &wanted, &mut walked.files, &cache, read)?;
    let digests = match on_unreadable {
        Unreadable::Refuse => digests.into_iter().collect::<Option<Vec<_>>>().ok_or(ScanError::Unread)?,
        Unreadable::List => {
            unreadable.extend(unread(project, &wanted, &walked.files, &digests));
            unreadable.sort_by(|a, b| a.path.cmp(&b.path));
            let mut is_read = digests.iter().map(Option::is_some);
            walked.files.retain(|_| is_read.next().unwrap_or(false));
            digests.into_iter().flatten().collect()
        }
    };
    let is_unreadable = |path: &BundlePath| {
        unreadable.binary_search_by(|refused| refused.path.as_str().cmp(path.as_str())).is_ok()
    };
    let (files, missing) = rayon::join(
        || {
            let file = |(file, digest): (&FoundFile, &Digest)| File {
                path: wanted[file.wanted].clone(),
                digest: *digest,
                size: file.content.size,
                executable: Some(file.executable),
            };
            ByPath::new(walked.files.par_iter().zip(&digests).map(file).collect())
        },
        || {
            if let Some(tick) = tick.filter(|_| hashed.files > 0) {
                write_cache(project, &wanted, &walked.files, &digests, &tick);
            }
            let mut missing = Vec::new();
            let mut present = walked.files.iter().map(|file| file.wanted).peekable();
            for (at, path) in wanted.iter().enumerate() {
                if present.next_if_eq(&at).is_none() && is_tracked(path) && !is_unreadable(path) {
                    missing.push((*path).clone());
                }
            }
            missing
        },
    );
    Ok(Scan {
        files: files.map_err(|source| ScanError::Repeated { source })?,
        missing,
        untracked: walked.untracked,
        ignored_count: walked.ignored_count,
        ignored: walked.ignored_entries,
        obstacles: blocked,
        refused: walked.refused,
        unreadable,
        barriers: walked.barriers,
        hashed,
        found: walked.files,
        refused_entries,
    })
}

/// The files that a walk found, in the order of their paths, and the digests that the cache had for them.
pub struct Found<'a> {
    project: &'a Project,
    wanted: &'a [&'a BundlePath],
    files: &'a [FoundFile],
    digests: &'a [Option<Digest>],
}

impl Found<'_> {
    /// How many there are.
    pub fn len(&self) -> usize {
        self.files.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.files.is_empty()
    }

    /// How many bytes they have in all.
    pub fn bytes(&self) -> u64 {
        self.files.iter().fold(0, |sum, file| sum.saturating_add(file.content.size))
    }

    /// How many bytes one of them has.
    pub fn size(&self, at: usize) -> u64 {
        self.files[at].content.size
    }

    /// Where one of them lies in the project.
    pub fn path(&self, at: usize) -> &BundlePath {
        self.wanted[self.files[at].wanted]
    }

    /// The digest of one of them, where it is known.
    pub fn digest(&self, at: usize) -> Option<Digest> {
        self.digests[at]
    }

    /// Where the content of one of them is on disk.
    pub fn disk(&self, at: usize) -> PathBuf {
        let file = &self.files[at];
        let own = || to_disk(self.project.root(), self.wanted[file.wanted]);
        file.target().map_or_else(own, Path::to_owned)
    }

    /// Like [`hash_unknown`](Self::hash_unknown), passing over what cannot be read.
    fn hash_readable(&self, progress: &dyn Progress) -> Result<Vec<(usize, hash::Hashed)>, ScanError> {
        let (unknown, jobs) = self.unknown(progress);
        let hashed = hash_readable(&jobs, &|count| progress.advance(Work::Hash, count));
        let hashed = hashed.map_err(|source| ScanError::Hash { source })?;
        Ok(hashed.into_iter().filter_map(|(at, hashed)| Some((*unknown.get(at)?, hashed))).collect())
    }

    /// Reads those whose digest is not known, and only hashes them.
    pub fn hash_unknown(&self, progress: &dyn Progress) -> Result<Vec<(usize, hash::Hashed)>, ScanError> {
        let (unknown, jobs) = self.unknown(progress);
        let hashed = hash_all(&jobs, &|count| progress.advance(Work::Hash, count));
        let hashed = hashed.map_err(|source| ScanError::Hash { source })?;
        Ok(unknown.into_iter().zip(hashed).collect())
    }

    /// Those whose digest is not known, and how to read them.
    fn unknown(&self, progress: &dyn Progress) -> (Vec<usize>, Vec<Job>) {
        let unknown: Vec<usize> = (0..self.len()).filter(|at| self.digests[*at].is_none()).collect();
        let job = |at: &usize| Job { disk: self.disk(*at), stamp: self.files[*at].content };
        let jobs: Vec<Job> = unknown.iter().map(job).collect();
        progress.expect(Work::Hash, jobs.iter().map(|job| job.stamp.size).sum());
        (unknown, jobs)
    }
}

/// The digest of each of `found`: from the cache, or from reading it. Facts that were out of date are renewed.
fn digests<E: From<ScanError>>(
    project: &Project,
    wanted: &[&BundlePath],
    found: &mut [FoundFile],
    cache: &DigestCache,
    read: impl FnOnce(&Found<'_>) -> Result<Vec<(usize, hash::Hashed)>, E>,
) -> Result<(Vec<Option<Digest>>, Hashed), E> {
    let mut known = cache.in_order();
    let mut digests: Vec<_> =
        found.iter().map(|file| known.digest(wanted[file.wanted].as_str(), &file.content)).collect();
    let read = read(&Found { project, wanted, files: found, digests: &digests })?;
    let mut hashed = Hashed::default();
    for (at, read) in read {
        let file = &mut found[at];
        digests[at] = Some(read.digest);
        file.content = read.stamp;
        file.executable = read.executable;
        hashed.files += 1;
        hashed.bytes += read.stamp.size;
    }
    Ok((digests, hashed))
}

/// Why files could not be read.
fn unread(
    project: &Project,
    wanted: &[&BundlePath],
    files: &[FoundFile],
    digests: &[Option<Digest>],
) -> Vec<Refused> {
    let unread = files.iter().zip(digests).filter(|(_, digest)| digest.is_none());
    let refused = unread.map(|(file, _)| {
        let path = wanted[file.wanted];
        let own = || to_disk(project.root(), path);
        let reason = match open_found(&file.target().map_or_else(own, Path::to_owned)) {
            Err(error) => RefusalReason::System(error.kind()),
            Ok(_) => RefusalReason::Restless,
        };
        Refused { path: path.to_string(), reason }
    });
    refused.collect()
}

fn write_cache(
    project: &Project,
    wanted: &[&BundlePath],
    found: &[FoundFile],
    digests: &[Digest],
    tick: &Tick,
) {
    let mut cache = NewCache::with_room_for(found.len());
    for (file, digest) in
        found.iter().zip(digests).filter(|(file, _)| tick.is_after(&file.content, file.device))
    {
        cache.add(wanted[file.wanted].as_str(), &file.content, digest);
    }
    cache.write(project);
}

fn refused_entries(
    root: &Path,
    wanted: &[&BundlePath],
    refused: &[(usize, Refused)],
) -> io::Result<Vec<(BundlePath, Stamp)>> {
    // What cannot even be looked at is in the way of a pull, and so never comes to be written.
    let closed = |refused: &Refused| matches!(refused.reason, RefusalReason::System(_));
    let look =
        |at: usize| Ok((wanted[at].clone(), Stamp::of(&to_disk(root, wanted[at]).symlink_metadata()?)));
    let open = refused.iter().filter(|(_, refused)| !closed(refused));
    let mut entries = open.map(|(at, _)| look(*at)).collect::<io::Result<Vec<_>>>()?;
    entries.sort_unstable_by(|a, b| a.0.cmp(&b.0));
    Ok(entries)
}

fn obstacles(
    root: &Path,
    wanted: &[&BundlePath],
    tracked: &ByPath<BundlePath>,
    walked: &Walked,
    unreadable: impl Iterator<Item = usize>,
) -> io::Result<Vec<BundlePath>> {
    let is_tracked = |path: &str| tracked.binary_search_by(|one| one.as_str().cmp(path)).is_ok();
    let mut places: Vec<usize> = unreadable.collect();
    places.extend(walked.below_files.iter().filter(|(_, file)| !is_tracked(file)).map(|(at, _)| *at));
    for at in &walked.folders {
        let folder = wanted[*at];
        if holds_untracked(&to_disk(root, folder), folder.as_str(), &is_tracked)? {
            places.push(*at);
        }
    }
    places.sort_unstable();
    places.dedup();
    Ok(places.into_iter().map(|at| wanted[at].clone()).collect())
}

/// Whether anything but folders and tracked files lies in the folder `folder`, which is `disk`.
fn holds_untracked(disk: &Path, folder: &str, is_tracked: &dyn Fn(&str) -> bool) -> io::Result<bool> {
    // A link to a folder is itself what stands in the way.
    if disk.symlink_metadata()?.is_symlink() {
        return Ok(true);
    }
    for entry in disk.read_dir()? {
        let entry = entry?;
        let Ok(name) = entry.file_name().into_string() else {
            return Ok(true);
        };
        let path = format!("{folder}/{name}");
        let is_in_the_way = if entry.file_type()?.is_dir() {
            holds_untracked(&entry.path(), &path, is_tracked)?
        } else {
            !is_tracked(&path)
        };
        if is_in_the_way {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Why a project could not be scanned.
#[derive(Debug, Error)]
pub enum ScanError {
    /// A file could not be read.
    #[error("cannot read the project's files")]
    Hash {
        /// Which, and why.
        source: HashError,
    },
    /// What stands where a file belongs could not be looked at.
    #[error("cannot look at what stands where a file belongs")]
    Obstacle {
        /// What the system said.
        source: io::Error,
    },
    /// Tracked paths are no files that a bundle may hold.
    #[error("cannot read {}", .refused.iter().map(|one| format!("`{}` ({})", one.path.escape_debug(), one.reason)).collect::<Vec<_>>().join(", "))]
    Refused {
        /// Which, and why.
        refused: Vec<Refused>,
    },
    /// One path was found twice.
    #[error("cannot tell the project's files apart")]
    Repeated {
        /// Which.
        source: RepeatedPath,
    },
    /// The digest of a file was not found out.
    #[error("not every file was read")]
    Unread,
    /// A folder could not be walked.
    #[error("cannot look through the project")]
    Walk {
        /// Which, and why.
        source: WalkError,
    },
}

#[cfg(test)]
#[cfg(unix)]
mod tests;

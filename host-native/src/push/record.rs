//! Which uploads are under way, in the project's cache: what a push that breaks off leaves for the next one.
//!
//! Only a cache: a missing, damaged or foreign one is empty, and that one cannot be written is no fault. Only its owner
//! may read it, and nothing of it is ever shown, since the URL of an upload may hold a signature.

use std::fmt;
use std::io;
use std::sync::{Mutex, MutexGuard, PoisonError};

use bundle_core::digest::Digest;
use bundle_core::name::reference::Place;
use serde::{Deserialize, Serialize};

use crate::project::folder::UPLOAD_RECORD;
use crate::project::own_folder::{Access, OwnFolder};
use crate::project::parents::Missing;
use crate::project::{Project, ProjectLock};
use crate::remote::{Content, Unfinished};

/// The version of the format.
const FORMAT: u32 = 1;

/// A larger file is no record of ours.
const MAX_BYTES: u64 = 1 << 20;

/// How long a registry may keep an upload that nobody goes on with: the distribution registry's own default.
const MAX_AGE_SECONDS: i64 = 7 * 24 * 60 * 60;

/// How many runs in a row may get no further with an upload: what stands in its way may be the upload itself.
const MAX_TRIES: u32 = 3;

/// The uploads of a project that are under way, or were left by an earlier push.
pub struct UploadRecord {
    project: Project,
    pushes: Mutex<Vec<Push>>,
}

/// The document.
#[derive(Serialize, Deserialize)]
struct Document {
    format: u32,
    pushes: Vec<Push>,
}

/// A push that has not come to its end.
#[derive(Clone, Serialize, Deserialize)]
struct Push {
    host: String,
    repository: String,
    /// When it last opened an upload, in seconds since 1970.
    at: i64,
    /// Those that are not at their end.
    uploads: Vec<Upload>,
    /// Whether this run has found it here.
    #[serde(skip)]
    is_left: bool,
}

#[derive(Clone, Serialize, Deserialize)]
struct Upload {
    content: Of,
    url: String,
    /// How many bytes the registry was known to have.
    reached: u64,
    /// How many runs have resumed it without getting further.
    tries: u32,
    /// When it was opened or last went on, in seconds since 1970.
    at: i64,
    /// Whether an earlier run has left it, and nobody has asked for it yet.
    #[serde(skip)]
    is_left: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Of {
    Blob(Digest),
    Head(Digest),
}

impl From<&Content> for Of {
    fn from(content: &Content) -> Self {
        match content {
            Content::Blob(digest) => Self::Blob(*digest),
            Content::Head(digest) => Self::Head(*digest),
        }
    }
}

impl UploadRecord {
    /// Reads what earlier pushes have left; the lock shows that no other is at work.
    pub fn read(lock: &ProjectLock) -> Self {
        let project = lock.project().clone();
        let mut pushes = read(&project).unwrap_or_default();
        let now = now();
        pushes.retain(|push| is_recent(push.at, now));
        for push in &mut pushes {
            push.is_left = true;
            push.uploads.retain(|upload| is_recent(upload.at, now));
            push.uploads.iter_mut().for_each(|upload| upload.is_left = true);
        }
        Self { project, pushes: Mutex::new(pushes) }
    }

    fn pushes(&self) -> MutexGuard<'_, Vec<Push>> {
        self.pushes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self, pushes: &[Push]) {
        let written = if pushes.is_empty() { self.remove() } else { self.write_document(pushes) };
        if let Err(error) = written {
            tracing::debug!(%error, "which uploads are under way cannot be written down");
        }
    }

    fn remove(&self) -> io::Result<()> {
        let cache = OwnFolder::cache(&self.project, Missing::Leave)?;
        cache.map_or(Ok(()), |cache| cache.remove_file(UPLOAD_RECORD))
    }

    fn write_document(&self, pushes: &[Push]) -> io::Result<()> {
        let document = serde_json::to_vec(&Document { format: FORMAT, pushes: pushes.to_vec() })?;
        let cache = OwnFolder::cache(&self.project, Missing::Create)?.ok_or(io::ErrorKind::NotFound)?;
        cache.write_unsynced(UPLOAD_RECORD, &[&document], Access::Private)
    }
}

impl fmt::Debug for UploadRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UploadRecord").field("project", &self.project).finish_non_exhaustive()
    }
}

fn read(project: &Project) -> Option<Vec<Push>> {
    let json = OwnFolder::cache(project, Missing::Leave).ok()??.read(UPLOAD_RECORD, MAX_BYTES).ok()?;
    let document = serde_json::from_slice::<Document>(&json).ok()?;
    (document.format == FORMAT).then_some(document.pushes)
}

/// The clock may have been set since.
fn is_recent(at: i64, now: i64) -> bool {
    now.saturating_sub(at).saturating_abs() <= MAX_AGE_SECONDS
}

fn now() -> i64 {
    crate::clock::now().as_second()
}

impl Push {
    fn is_to(&self, place: &Place) -> bool {
        matches!(place, Place::Repository { host, name } if *host == self.host && *name == self.repository)
    }

    fn upload(&mut self, content: &Content) -> Option<&mut Upload> {
        let content = content.into();
        self.uploads.iter_mut().find(|upload| upload.content == content)
    }

    fn remove(&mut self, content: &Content) {
        let content = content.into();
        self.uploads.retain(|upload| upload.content != content);
    }
}

impl Unfinished for UploadRecord {
    fn broke_off(&self, place: &Place) -> bool {
        self.pushes().iter().any(|push| push.is_left && push.is_to(place))
    }

    fn take(&self, place: &Place, content: &Content) -> Option<String> {
        let mut pushes = self.pushes();
        let upload = pushes.iter_mut().find(|push| push.is_to(place))?.upload(content)?;
        if !std::mem::take(&mut upload.is_left) || upload.tries >= MAX_TRIES {
            return None;
        }
        upload.tries += 1;
        Some(upload.url.clone())
    }

    fn keep(&self, place: &Place, content: &Content, url: &str, reached: u64) {
        let Place::Repository { host, name } = place else { return };
        let (mut pushes, at) = (self.pushes(), now());
        if !pushes.iter().any(|push| push.is_to(place)) {
            let (host, repository) = (host.clone(), name.clone());
            pushes.push(Push { host, repository, at, uploads: Vec::new(), is_left: false });
        }
        let Some(push) = pushes.iter_mut().find(|push| push.is_to(place)) else { return };
        push.at = at;
        // One that was begun anew has nothing to do with what was kept.
        let before = push.upload(content).filter(|upload| reached > 0 && reached <= upload.reached);
        let tries = before.map_or(0, |upload| upload.tries);
        push.remove(content);
        let (content, url) = (content.into(), url.to_owned());
        push.uploads.push(Upload { content, url, reached, tries, at, is_left: false });
        self.write(&pushes);
    }

    fn rename(&self, place: &Place, from: &Content, to: &Content) {
        let mut pushes = self.pushes();
        let Some(push) = pushes.iter_mut().find(|push| push.is_to(place)) else { return };
        let Some(upload) = push.upload(from) else { return };
        let renamed = Upload { content: to.into(), ..upload.clone() };
        push.remove(from);
        push.remove(to);
        push.uploads.push(renamed);
        self.write(&pushes);
    }

    fn forget(&self, place: &Place, content: &Content) {
        // The file learns of it with the next upload, or with the last one: meanwhile the blob is there, which is asked
        // before anything of this is.
        for push in self.pushes().iter_mut().filter(|push| push.is_to(place)) {
            push.remove(content);
        }
    }

    fn finish(&self, place: &Place) {
        let mut pushes = self.pushes();
        let before = pushes.len();
        pushes.retain(|push| !push.is_to(place));
        if pushes.len() < before || pushes.is_empty() {
            self.write(&pushes);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tempfile::TempDir;

    use super::*;

    const URL: &str = "https://r.example/v2/a/blobs/uploads/1?_state=secret";

    fn place(name: &str) -> Place {
        Place::Repository { host: "r.example".to_owned(), name: name.to_owned() }
    }

    fn blob() -> Content {
        Content::Blob(Digest::of(b"blob"))
    }

    fn head() -> Content {
        Content::Head(Digest::of(b"head"))
    }

    /// A record as the next run finds it.
    fn record(folder: &std::path::Path) -> UploadRecord {
        let project = Project::create(folder).unwrap();
        UploadRecord::read(&ProjectLock::acquire(&project, "push", Duration::ZERO).unwrap())
    }

    #[test]
    fn what_a_run_leaves_the_next_one_finds_once() {
        let folder = TempDir::new().unwrap();
        let first = record(folder.path());
        first.keep(&place("a"), &head(), URL, 0);
        first.keep(&place("b"), &blob(), URL, 0);
        // A run goes on with nothing of its own.
        assert!(!first.broke_off(&place("a")) && first.take(&place("a"), &head()).is_none());
        let second = record(folder.path());
        assert!(second.broke_off(&place("a")) && !second.broke_off(&place("c")));
        assert_eq!(second.take(&place("b"), &head()), None);
        assert_eq!(second.take(&place("a"), &head()).as_deref(), Some(URL));
        assert_eq!(second.take(&place("a"), &head()), None);
        second.rename(&place("a"), &head(), &blob());
        assert!(!format!("{second:?}").contains("secret"));
        let third = record(folder.path());
        assert_eq!(third.take(&place("a"), &head()), None);
        assert_eq!(third.take(&place("a"), &blob()).as_deref(), Some(URL));
        third.finish(&place("a"));
        let fourth = record(folder.path());
        assert!(!fourth.broke_off(&place("a")) && fourth.broke_off(&place("b")));
        fourth.finish(&place("b"));
        assert!(!fourth.project.upload_record_file().exists());
    }

    #[test]
    fn a_push_whose_uploads_all_came_to_their_end_is_unfinished_still() {
        let folder = TempDir::new().unwrap();
        let first = record(folder.path());
        first.keep(&place("a"), &blob(), URL, 0);
        first.forget(&place("a"), &blob());
        first.keep(&place("a"), &head(), URL, 0);
        let second = record(folder.path());
        assert!(second.broke_off(&place("a")));
        assert_eq!(second.take(&place("a"), &blob()), None);
    }

    #[test]
    fn what_nobody_gets_further_with_is_given_up() {
        let folder = TempDir::new().unwrap();
        record(folder.path()).keep(&place("a"), &blob(), URL, 0);
        let mut taken = Vec::new();
        // What the registry has when each run goes on.
        for reached in [5, 5, 9, 9, 9, 9, 9] {
            let run = record(folder.path());
            taken.push(run.take(&place("a"), &blob()).is_some());
            let reached = if taken.last() == Some(&true) { reached } else { 0 };
            run.keep(&place("a"), &blob(), URL, reached);
        }
        assert_eq!(taken, [true, true, true, true, true, true, false]);
        // One that was begun anew has its own tries.
        assert!(record(folder.path()).take(&place("a"), &blob()).is_some());
    }

    #[test]
    fn what_is_old_or_damaged_is_none() {
        let folder = TempDir::new().unwrap();
        let first = record(folder.path());
        first.keep(&place("a"), &blob(), URL, 0);
        let file = first.project.upload_record_file();
        let good = std::fs::read_to_string(&file).unwrap();
        let document: serde_json::Value = serde_json::from_str(&good).unwrap();
        let at = document["pushes"][0]["at"].as_i64().unwrap();
        for (age, is_kept) in [(0, true), (MAX_AGE_SECONDS - 600, true), (MAX_AGE_SECONDS + 600, false)] {
            for then in [at - age, at + age] {
                let text = good.replace(&format!("\"at\":{at}"), &format!("\"at\":{then}"));
                std::fs::write(&file, text).unwrap();
                assert_eq!(record(folder.path()).broke_off(&place("a")), is_kept, "{age}");
            }
        }
        for length in 0..good.len() {
            std::fs::write(&file, &good[..length]).unwrap();
            assert!(!record(folder.path()).broke_off(&place("a")), "{length}");
        }
    }

    #[test]
    #[cfg(unix)]
    fn nobody_else_may_read_it() {
        use std::os::unix::fs::PermissionsExt;
        let folder = TempDir::new().unwrap();
        let record = record(folder.path());
        let file = record.project.upload_record_file();
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(&file, "{}").unwrap();
        record.keep(&place("a"), &blob(), URL, 0);
        assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    }
}

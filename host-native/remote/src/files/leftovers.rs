//! What a process makes on its way to a result and must not leave behind: temporary files and folders.
//!
//! Each is named for the machine and the process that made it, and locked while that process lives. So whoever writes to
//! the same folder later can tell what a killed process left there from what another one is still at work on. A process
//! that ends early takes away its own.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, SystemTime};

use bundle_core::digest::Digest;
use tempfile::{NamedTempFile, TempDir, TempPath};

/// What nobody has touched for so long is left over, also where no lock can say so.
const SURELY_LEFT_AFTER: Duration = Duration::from_secs(24 * 60 * 60);

/// How many random characters end a name.
const RANDOM_CHARACTERS: usize = 6;

/// How often a name is tried again that another process took for left over before it was locked.
const TRIES: usize = 16;

/// Where a temporary file lies, which decides what its name begins with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Among {
    /// Files of the program's own folders.
    OwnFiles,
    /// Files of the user, or of other programs.
    OtherFiles,
}

impl Among {
    fn prefix(self) -> &'static str {
        match self {
            Self::OwnFiles => ".new-",
            Self::OtherFiles => ".modelops-bundle-",
        }
    }
}

/// Who may read a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Readers {
    /// Whoever the umask lets.
    ByUmask,
    /// Its owner alone.
    Owner,
}

/// Makes a file in `folder` that goes when it is dropped before it gets its own name. The first one in a folder also clears
/// away what killed processes left there.
///
/// # Errors
///
/// Whatever the system says.
pub fn new_file(folder: &Path, among: Among, readers: Readers) -> io::Result<NewFile> {
    new_file_by(folder, among, |path| {
        let mut options = OpenOptions::new();
        options.read(true).write(true).create_new(true);
        #[cfg(unix)]
        {
            use std::os::unix::fs::OpenOptionsExt as _;
            options.mode(if readers == Readers::ByUmask { 0o666 } else { 0o600 });
        }
        #[cfg(not(unix))]
        let _ = readers;
        options.open(path)
    })
}

/// The same, of a file that `open` makes at the path that it is given, in `folder`, unless something is there.
///
/// # Errors
///
/// Whatever `open` and the system say.
pub fn new_file_by(
    folder: &Path,
    among: Among,
    mut open: impl FnMut(&Path) -> io::Result<File>,
) -> io::Result<NewFile> {
    begin_in(folder, among);
    let prefix = own_prefix(among);
    let mut builder = tempfile::Builder::new();
    builder.prefix(&prefix).rand_bytes(RANDOM_CHARACTERS);
    // Held while it is made: once they are taken away, there is nothing new.
    let _folders = folders();
    let mut make = || {
        let mut refused = None;
        let made = builder.make_in(folder, |path| {
            open(path).map_err(|error| {
                let kind = error.kind();
                refused = Some(error);
                kind.into()
            })
        });
        made.map(NewFile).map_err(|error| refused.take().unwrap_or(error))
    };
    for _ in 1..TRIES {
        let file = make()?;
        if hold(file.as_file()) {
            return Ok(file);
        }
    }
    make()
}

/// A file that has no name of its own yet, and goes when it is dropped before it gets one.
///
/// What the system says of it is passed on as it is: which name it has meanwhile tells nobody anything.
#[derive(Debug)]
pub struct NewFile(NamedTempFile);

impl NewFile {
    /// The file.
    pub fn as_file(&self) -> &File {
        self.0.as_file()
    }

    /// Where it lies meanwhile.
    pub fn path(&self) -> &Path {
        self.0.path()
    }

    /// Gives it its name, in place of whatever has that.
    ///
    /// # Errors
    ///
    /// Whatever the system says; the file is gone then.
    pub fn persist(self, path: &Path) -> io::Result<File> {
        self.0.persist(path).map_err(|error| error.error)
    }

    /// The file, and what removes it from where it lies.
    pub fn into_parts(self) -> (File, TempPath) {
        self.0.into_parts()
    }
}

impl Write for NewFile {
    fn write(&mut self, content: &[u8]) -> io::Result<usize> {
        self.0.as_file_mut().write(content)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.as_file_mut().flush()
    }
}

/// A folder that goes when it is dropped.
#[derive(Debug)]
pub struct NewFolder {
    folder: TempDir,
    /// Holds its lock.
    _handle: Option<File>,
}

impl NewFolder {
    /// Makes one in `parent`, as [`new_file`] makes a file.
    ///
    /// # Errors
    ///
    /// Whatever the system says.
    pub fn make(parent: &Path, among: Among) -> io::Result<Self> {
        begin_in(parent, among);
        let prefix = own_prefix(among);
        let _folders = folders();
        let made = tempfile::Builder::new().prefix(&prefix).tempdir_in(parent);
        // Its name tells nobody anything.
        let folder = made.map_err(|error| io::Error::from(error.kind()))?;
        // Only Unix lets a folder be opened and locked.
        let handle = if cfg!(unix) { File::open(folder.path()).ok() } else { None };
        handle.as_ref().map(hold);
        Ok(Self { folder, _handle: handle })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        self.folder.path()
    }
}

/// Locks a temporary file for as long as it is open. No where another process came first, and took it for left over.
fn hold(file: &File) -> bool {
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt as _;
        // That a file system knows no locks is no fault: there, only time tells what is left over.
        !matches!(file.try_lock(), Err(std::fs::TryLockError::WouldBlock))
            && file.metadata().is_ok_and(|found| found.nlink() > 0)
    }
    // Elsewhere, locks would keep this process itself from the file.
    #[cfg(not(unix))]
    {
        let _ = file;
        true
    }
}

/// What the names of this process's files begin with.
fn own_prefix(among: Among) -> String {
    format!("{}{}-{}-", among.prefix(), machine(), std::process::id())
}

/// Tells this machine since its last start, and the set of processes that this one can see, from all others.
pub(crate) fn machine() -> &'static str {
    static MACHINE: OnceLock<String> = OnceLock::new();
    MACHINE.get_or_init(|| {
        let boot = std::fs::read("/proc/sys/kernel/random/boot_id").unwrap_or_else(|_| Vec::new());
        let processes = std::fs::read_link("/proc/self/ns/pid").unwrap_or_else(|_| PathBuf::new());
        Digest::of(&[&boot, processes.as_os_str().as_encoded_bytes()].concat()).hex()[..8].to_owned()
    })
}

/// The folders that this process has written to, and how its names begin there.
type Folders = BTreeMap<PathBuf, BTreeSet<&'static str>>;

static FOLDERS: Mutex<Folders> = Mutex::new(BTreeMap::new());

fn folders() -> MutexGuard<'static, Folders> {
    FOLDERS.lock().unwrap_or_else(PoisonError::into_inner)
}

fn begin_in(folder: &Path, among: Among) {
    let is_first = {
        let mut folders = folders();
        match folders.get_mut(folder) {
            Some(prefixes) => prefixes.insert(among.prefix()),
            None => folders.insert(folder.to_owned(), BTreeSet::from([among.prefix()])).is_none(),
        }
    };
    if is_first {
        sweep(folder, among);
    }
}

/// Removes from `folder` what killed processes left. What cannot be removed is no fault of what is being done.
fn sweep(folder: &Path, among: Among) {
    let Ok(entries) = std::fs::read_dir(folder) else { return };
    for entry in entries.flatten() {
        let name = entry.file_name();
        if let Some(rest) = name.to_str().and_then(|name| name.strip_prefix(among.prefix()))
            && let Some(maker) = Maker::of(rest)
        {
            remove_if_left(&entry.path(), maker);
        }
    }
}

/// Who made a temporary file, by its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Maker {
    /// A process that this machine can tell of.
    Here,
    /// Another machine, or a release that locked none of its files.
    Elsewhere,
}

impl Maker {
    /// `None` where no release makes such a name.
    fn of(rest: &str) -> Option<Self> {
        let is_random = |text: &str| {
            text.len() == RANDOM_CHARACTERS && text.bytes().all(|byte| byte.is_ascii_alphanumeric())
        };
        let parts: Vec<&str> = rest.split('-').collect();
        match parts[..] {
            [random] if is_random(random) => Some(Self::Elsewhere),
            [machine, process, random]
                if is_random(random)
                    && machine.len() == 8
                    && machine.bytes().all(|byte| byte.is_ascii_hexdigit())
                    && process.parse::<u32>().is_ok() =>
            {
                Some(if machine == self::machine() { Self::Here } else { Self::Elsewhere })
            }
            _ => None,
        }
    }
}

fn remove_if_left(path: &Path, maker: Maker) {
    let Ok(found) = path.symlink_metadata() else { return };
    let is_folder = found.is_dir();
    if !is_folder && !found.is_file() {
        return;
    }
    let lock = match maker {
        Maker::Here => lock(path, is_folder),
        Maker::Elsewhere => Lock::Unknown,
    };
    let is_left = match &lock {
        Lock::Taken(_) => true,
        Lock::Held => false,
        Lock::Unknown => found
            .modified()
            .is_ok_and(|at| SystemTime::now().duration_since(at).is_ok_and(|age| age > SURELY_LEFT_AFTER)),
    };
    if is_left {
        let _ = if is_folder { std::fs::remove_dir_all(path) } else { std::fs::remove_file(path) };
    }
}

/// What a lock says of a file.
enum Lock {
    /// Nobody has it open: it is ours now.
    Taken(#[expect(dead_code, reason = "holds the lock")] File),
    /// Somebody is at work on it.
    Held,
    /// Nothing.
    Unknown,
}

#[cfg(unix)]
fn lock(path: &Path, is_folder: bool) -> Lock {
    use std::os::unix::fs::OpenOptionsExt as _;
    // It is not what it was a moment ago where it is a link or a pipe by now.
    let flags = rustix::fs::OFlags::NOFOLLOW | rustix::fs::OFlags::NONBLOCK;
    let mut options = OpenOptions::new();
    options.read(true).write(!is_folder).custom_flags(flags.bits() as i32);
    let Ok(file) = options.open(path) else { return Lock::Unknown };
    match file.try_lock() {
        Ok(()) => Lock::Taken(file),
        Err(std::fs::TryLockError::WouldBlock) => Lock::Held,
        Err(std::fs::TryLockError::Error(_)) => Lock::Unknown,
    }
}

#[cfg(not(unix))]
fn lock(_: &Path, _: bool) -> Lock {
    Lock::Unknown
}

/// Takes away what this process has begun and not finished. Nothing new can be begun from here on: the caller ends the
/// process.
pub fn take_away() {
    let folders = folders();
    for (folder, prefixes) in folders.iter() {
        let Ok(entries) = std::fs::read_dir(folder) else { continue };
        let own: Vec<String> =
            prefixes.iter().map(|prefix| format!("{prefix}{}-{}-", machine(), std::process::id())).collect();
        for entry in entries.flatten() {
            let name = entry.file_name();
            if own.iter().any(|own| name.as_encoded_bytes().starts_with(own.as_bytes())) {
                let path = entry.path();
                let _ = std::fs::remove_file(&path).or_else(|_| std::fs::remove_dir_all(&path));
            }
        }
    }
    // Whoever wants to make another file waits for the end.
    std::mem::forget(folders);
    // Some of it is to remove the folders in which those files lay.
    let works = std::mem::take(&mut *works());
    take_back(works);
}

type Work = Box<dyn FnOnce() + Send>;

/// Work by its number; what began later has the higher one.
type Works = BTreeMap<u64, Work>;

static WORKS: Mutex<Works> = Mutex::new(BTreeMap::new());

/// Does the work that began last first, since it may lie in what began before it.
fn take_back(works: Works) {
    works.into_values().rev().for_each(|work| work());
}

fn works() -> MutexGuard<'static, Works> {
    WORKS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Work that takes something away again, done when this is dropped or the process ends early, unless it is
/// [kept](Self::keep).
#[derive(Debug)]
#[must_use = "dropped at once, it takes away at once"]
pub struct Unfinished {
    number: u64,
}

impl Unfinished {
    /// Registers `take_away`.
    pub fn new(take_away: impl FnOnce() + Send + 'static) -> Self {
        let mut works = works();
        let number = works.last_key_value().map_or(0, |(last, _)| last + 1);
        works.insert(number, Box::new(take_away));
        Self { number }
    }

    /// It is finished: nothing is taken away.
    pub fn keep(self) {
        works().remove(&self.number);
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        let work = works().remove(&self.number);
        if let Some(work) = work {
            work();
        }
    }
}

#[cfg(test)]
#[cfg(unix)]
mod tests {
    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let mut names: Vec<_> = std::fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn what_a_killed_process_left_goes_and_what_is_in_use_or_of_others_stays() {
        let folder = TempDir::new().unwrap();
        let path = |name: &str| folder.path().join(name);
        let here = machine();
        let (dead, alive) = (format!(".new-{here}-7-abcdef"), format!(".new-{here}-8-abcdef"));
        let dead_folder = format!(".new-{here}-9-abcdef");
        for name in [&dead, &alive] {
            std::fs::write(path(name), "half").unwrap();
        }
        std::fs::create_dir(path(&dead_folder)).unwrap();
        std::fs::write(path(&dead_folder).join("inner"), "").unwrap();
        let held = OpenOptions::new().write(true).open(path(&alive)).unwrap();
        held.lock().unwrap();
        let others =
            [".new-00000000-7-abcdef", ".new-abcdef", ".new-lock", ".news", ".modelops-bundle-abcdef"];
        for name in others {
            std::fs::write(path(name), "").unwrap();
        }
        let old = SystemTime::now() - 2 * SURELY_LEFT_AFTER;
        let touched_long_ago = |name: &str| {
            OpenOptions::new().write(true).open(path(name)).unwrap().set_modified(old).unwrap();
        };
        touched_long_ago(".new-lock");
        touched_long_ago(".news");

        drop(new_file(folder.path(), Among::OwnFiles, Readers::Owner).unwrap());
        let mut expected = others.map(str::to_owned).to_vec();
        expected.push(alive);
        expected.sort();
        assert_eq!(names(folder.path()), expected);

        // Where no lock can tell, time does.
        touched_long_ago(".new-00000000-7-abcdef");
        touched_long_ago(".new-abcdef");
        sweep(folder.path(), Among::OwnFiles);
        expected.retain(|name| !name.starts_with(".new-0") && name != ".new-abcdef");
        assert_eq!(names(folder.path()), expected);
    }

    #[test]
    fn a_file_of_this_process_is_not_taken_for_left_over() {
        let folder = TempDir::new().unwrap();
        let file = new_file(folder.path(), Among::OtherFiles, Readers::ByUmask).unwrap();
        let made = NewFolder::make(folder.path(), Among::OtherFiles).unwrap();
        sweep(folder.path(), Among::OtherFiles);
        assert!(file.path().exists() && made.path().exists());
        drop((file, made));
        assert!(names(folder.path()).is_empty());
    }

    #[test]
    fn unfinished_work_is_taken_away_unless_it_is_kept() {
        let folder = TempDir::new().unwrap();
        let (gone, kept) = (folder.path().join("gone"), folder.path().join("kept"));
        let unfinished = |path: &Path| {
            std::fs::write(path, "").unwrap();
            let path = path.to_owned();
            Unfinished::new(move || std::fs::remove_file(path).unwrap())
        };
        drop(unfinished(&gone));
        unfinished(&kept).keep();
        assert!(!gone.exists() && kept.exists());
    }

    #[test]
    fn a_folder_goes_after_what_was_begun_in_it() {
        let above = TempDir::new().unwrap();
        let folder = above.path().join("folder");
        std::fs::create_dir(&folder).unwrap();
        let (inner, outer) = (folder.join("kept-for-later"), folder.clone());
        let works: Works = BTreeMap::from([
            (0, Box::new(move || std::fs::remove_dir_all(outer).unwrap()) as Work),
            (1, Box::new(move || std::fs::write(inner, "").unwrap()) as Work),
        ]);
        take_back(works);
        assert!(!folder.exists());
    }
}

//! Where the sides meet: the program that was built, the folders they use, and how large everything is.

use crate::race::Order;
use std::fs::{self, File};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use xtask::command::{program, quietly, root};
use xtask::failure::{Context, Result};

/// The file of the program.
const PROGRAM: &str = if cfg!(windows) { "modelops-bundle.exe" } else { "modelops-bundle" };

/// The folder in which the program keeps what it knows of a project.
const PROJECT_FOLDER: &str = ".modelops-bundle";

/// How large the workloads are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scale {
    /// As they are described, and 16 GiB beside.
    Large,
    /// As they are described.
    Full,
    /// Small enough to be done in a minute.
    Quick,
}

impl Scale {
    /// One of two numbers.
    pub(crate) fn pick<T>(self, full: T, quick: T) -> T {
        match self {
            Self::Large | Self::Full => full,
            Self::Quick => quick,
        }
    }
}

/// How the program lays out files in a repository.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Layout {
    /// As it thinks best.
    Auto,
    /// In packs of chunks, also where that is not its first choice.
    Packed,
}

impl Layout {
    /// What the program calls it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Packed => "packed",
        }
    }
}

/// The place of one run. Only one run at a time can have it; what it leaves is the data to be used again.
pub(crate) struct Arena {
    /// How large the workloads are.
    pub(crate) scale: Scale,
    /// In which order sides run.
    pub(crate) order: Order,
    /// Keeps what outlives the run.
    folder: PathBuf,
    /// Two runs would spoil each other's times; held until this is dropped.
    _lock: File,
}

impl Arena {
    /// Waits for its turn and makes the folders.
    ///
    /// They are in the target folder and not in the system's temporary one: that may be in memory, and then
    /// nothing would be said about writing to a disk.
    pub(crate) fn new(scale: Scale, seed: u64) -> Result<Self> {
        let target = std::env::var_os("CARGO_TARGET_DIR")
            .map_or_else(|| root().join("target"), |folder| root().join(folder));
        let folder = target.join("bench");
        make_folder(&folder)?;
        let lock = folder.join(".lock");
        let cannot = || format!("cannot lock {}", lock.display());
        let lock = File::create(&lock).context(cannot)?;
        lock.lock().context(cannot)?;
        let arena = Self { scale, order: Order::from_seed(seed), folder, _lock: lock };
        // A run that was killed may have left something.
        remove(&arena.passing())?;
        make_folder(&arena.home())?;
        let built = target.join("release").join(PROGRAM);
        fs::copy(&built, arena.program()).context(|| format!("cannot copy {}", built.display()))?;
        Ok(arena)
    }

    /// A folder or file that stays for the next run.
    pub(crate) fn lasting(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// Where the figures are written.
    pub(crate) fn results_file(&self) -> PathBuf {
        self.lasting("results.json")
    }

    /// A new, empty folder that goes with this run.
    pub(crate) fn fresh(&self, name: &str) -> Result<PathBuf> {
        let folder = self.passing().join(name);
        remove(&folder)?;
        make_folder(&folder)?;
        Ok(folder)
    }

    /// The same, where what was there stays until the run ends, out of the way.
    ///
    /// Removed, thousands of files would make whoever comes next slow: ext4 looks at every inode that was freed in
    /// the last seconds and takes none of them.
    pub(crate) fn fresh_beside(&self, name: &str) -> Result<PathBuf> {
        let folder = self.passing().join(name);
        let aside =
            (0..).map(|number| self.passing().join(format!("{name}-{number}"))).find(|to| !to.exists());
        if let Some(aside) = aside.filter(|_| folder.exists()) {
            fs::rename(&folder, &aside).context(|| format!("cannot move {}", folder.display()))?;
        }
        self.fresh(name)
    }

    /// A file, not made yet, that goes with this run.
    pub(crate) fn passing_file(&self, name: &str) -> PathBuf {
        self.passing().join(name)
    }

    /// Our program, started in `folder`.
    pub(crate) fn ours(&self, folder: &Path, arguments: &[&str]) -> Command {
        let mut command = self.apart(&self.program());
        command.args(arguments).current_dir(folder);
        command
    }

    /// Another program that sees nothing of the developer's own settings.
    pub(crate) fn apart(&self, name: &Path) -> Command {
        let mut command = Command::new(name);
        command
            .env_clear()
            .env("HOME", self.home())
            .env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command.stdin(Stdio::null());
        command
    }

    /// Makes `folder` a project that knows nothing: not what it tracks, and no digest.
    pub(crate) fn init(&self, folder: &Path, reference: &str) -> Result {
        self.init_with(folder, reference, Layout::Auto)
    }

    /// The same, with a layout for what is pushed.
    pub(crate) fn init_with(&self, folder: &Path, reference: &str, layout: Layout) -> Result {
        remove(&folder.join(PROJECT_FOLDER))?;
        quietly(&mut self.ours(folder, &["init", "--ref", reference, "--layout", layout.name()]))
    }

    /// A file of the project in `folder` in which the program remembers something.
    pub(crate) fn remembered(&self, folder: &Path, name: &str) -> PathBuf {
        folder.join(PROJECT_FOLDER).join(name)
    }

    /// Waits until the disk has everything, so that no side waits for what the other one wrote.
    pub(crate) fn settle(&self) -> Result {
        quietly(&mut program("sync"))
    }

    /// The program that was built, copied: another build during the run would change what is measured.
    fn program(&self) -> PathBuf {
        self.passing().join(PROGRAM)
    }

    fn home(&self) -> PathBuf {
        self.passing().join("home")
    }

    /// The folder of what goes with this run.
    fn passing(&self) -> PathBuf {
        self.folder.join("run")
    }
}

impl Drop for Arena {
    fn drop(&mut self) {
        // The next run removes what is left.
        let _ = fs::remove_dir_all(self.passing());
    }
}

/// Makes a folder and those above it.
pub(crate) fn make_folder(folder: &Path) -> Result {
    fs::create_dir_all(folder).context(|| format!("cannot make {}", folder.display()))
}

/// Removes a folder and all in it, or a file, if there is one.
pub(crate) fn remove(path: &Path) -> Result {
    let outcome = if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) };
    match outcome {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            Err(error).context(|| format!("cannot remove {}", path.display()))
        }
        _ => Ok(()),
    }
}

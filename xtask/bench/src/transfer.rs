//! Files pushed to a registry and pulled from it, each time for the first time: ours, and by other clients.

use crate::arena::Arena;
use crate::clients::{Artifact, Found};
use crate::race::{Side, Times, Work};
use crate::report::{Limit, Row};
use std::fs;
use std::path::{Path, PathBuf};
use xtask::command::quietly;
use xtask::failure::{Context, Result};

/// The clients that send each file as a blob of its own.
pub(crate) const CLIENTS: [&str; 3] = ["oras", "regctl", "modctl"];

/// From how many files on a folder is not removed before others are timed.
const MANY: usize = 1000;

/// Our time, the first, against that of each client that ran, and the names of those that are not here. The
/// limits are ratios; a client without one is only shown.
pub(crate) fn rows(what: &str, times: &[Times], clients: &[&str], limits: &[(&str, f64)]) -> Vec<Row> {
    let Some(ours) = times.first() else { return Vec::new() };
    let row = |client: &&str| {
        let limit = limits.iter().find(|(name, _)| name == client).map(|(_, limit)| Limit::Ratio(*limit));
        match times.iter().find(|times| times.name == *client) {
            Some(theirs) => Row::race(what, ours, theirs, limit),
            None => Row::without(what, ours, client, limit),
        }
    };
    clients.iter().map(row).chain([Row::memory(what, ours)]).collect()
}

/// Where files come from and go to.
pub(crate) struct Place<'a> {
    pub(crate) arena: &'a Arena,
    /// The registry.
    pub(crate) host: &'a str,
    /// The folder of what is pushed.
    pub(crate) folder: &'a Path,
    /// The files in it.
    pub(crate) files: &'a [String],
}

impl<'a> Place<'a> {
    /// Our push: to a repository that is not there yet, from a project that knows no digest.
    ///
    /// Repositories are called `NAME-ours-RUN`; that of the first run is what [`Self::our_pull`] pulls.
    pub(crate) fn our_push(&'a self, name: &'a str) -> Side<'a> {
        Side::new("ours", move |run| {
            self.arena.init(self.folder, &self.our_reference(name, run))?;
            quietly(&mut self.arena.ours(self.folder, &["add", "."]))?;
            self.call_to_mind()?;
            self.arena.settle()?;
            Ok(Work::One(self.arena.ours(self.folder, &["push"])))
        })
    }

    /// Our pull: into a project that has nothing.
    pub(crate) fn our_pull(&'a self, name: &'a str) -> Side<'a> {
        let pull = move || {
            let folder = self.room("pull-ours")?;
            self.arena.init(&folder, &self.our_reference(name, 0))?;
            self.arena.settle()?;
            Ok(self.arena.ours(&folder, &["pull"]))
        };
        Side::new("ours", move |_| {
            quietly(&mut pull()?)?;
            pull().map(Work::One)
        })
    }

    /// The push of another client.
    pub(crate) fn their_push(&'a self, name: &'a str, client: &'a Found) -> Side<'a> {
        Side::new(client.name(), move |run| {
            let repository = their_repository(name, client, run);
            let commands = client.push(self.arena, &self.artifact(&repository, self.folder))?;
            self.call_to_mind()?;
            self.arena.settle()?;
            Ok(Work::InTurn(commands))
        })
    }

    /// The pull of another client, of what it pushed itself.
    pub(crate) fn their_pull(&'a self, name: &'a str, client: &'a Found) -> Side<'a> {
        let pull = move || {
            let folder = self.room("pull-theirs")?;
            let repository = their_repository(name, client, 0);
            let commands = client.pull(self.arena, &self.artifact(&repository, &folder))?;
            self.arena.settle()?;
            Ok(commands)
        };
        Side::new(client.name(), move |_| {
            pull()?.iter_mut().try_for_each(quietly)?;
            pull().map(Work::InTurn)
        })
    }

    /// Reads every file: a system that takes from memory what nobody has read for a while, as virtual machines may,
    /// would else hold the time that the slowest side takes against those whose files only they read.
    ///
    /// A pull is run once more, unmeasured, for the same reason: then it is the registry's files.
    fn call_to_mind(&self) -> Result {
        for file in self.files {
            let file = self.folder.join(file);
            fs::read(&file).context(|| format!("cannot read {}", file.display()))?;
        }
        Ok(())
    }

    /// An empty folder to pull into.
    fn room(&self, name: &str) -> Result<PathBuf> {
        if self.files.len() < MANY { self.arena.fresh(name) } else { self.arena.fresh_beside(name) }
    }

    fn our_reference(&self, name: &str, run: usize) -> String {
        format!("{}/{name}-ours-{run}", self.host)
    }

    fn artifact<'b>(&'b self, repository: &'b str, folder: &'b Path) -> Artifact<'b> {
        Artifact { host: self.host, repository, files: self.files, folder }
    }
}

/// Where another client pushes: a name may hold no comma, and no space.
fn their_repository(name: &str, client: &Found, run: usize) -> String {
    format!("{name}-{}-{run}", client.name().replace(", ", "-"))
}

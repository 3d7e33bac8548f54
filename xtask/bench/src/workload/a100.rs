//! A100: `status` of very many small files whose digests are known, against `git status` of the same, and `add` and
//! `remove` of all of them against git's; what a push of them costs is in [`growth`].

use crate::arena::{Arena, remove};
use crate::data::Data;
use crate::growth;
use crate::peers;
use crate::race::{Side, Work, race};
use crate::report::{Limit, Row};
use crate::transfer;
use std::fs;
use std::path::Path;
use xtask::command::quietly;
use xtask::failure::{Context, Result};

/// The most that it may take of the time of `git status` when nothing has changed.
const UNCHANGED: Limit = Limit::Ratio(1.0);

/// The most when there is something to tell of every file.
const ALL_NEW: Limit = Limit::Ratio(1.5);

/// The most that `add` and `remove` may take of the time of git's; neither of ours has to read a file's content.
const LISTS: f64 = 1.0;

/// The folder of the remote.
const REMOTE: &str = "a100-remote";

/// Measures `status` in three situations, `add`, `remove`, and a push.
pub(crate) fn run(arena: &Arena) -> Result<Vec<Row>> {
    let (name, folders) = arena.scale.pick(("A100", 100), ("A", 10));
    let data = Data { name: arena.scale.pick("a100", "a100-quick"), folders, files: 1000, bytes: 4096 };
    let tree = data.make(arena)?;
    let mut rows = status(arena, name, &tree)?;
    rows.extend(lists(arena, name, &tree)?);
    rows.extend(growth::of_files(arena)?);
    Ok(rows)
}

/// `add` to a list that is empty, and `remove` from one that is full.
fn lists(arena: &Arena, name: &str, tree: &Path) -> Result<Vec<Row>> {
    arena.init(tree, &format!("oci:{}", arena.fresh(REMOTE)?.display()))?;
    let list = arena.remembered(tree, "tracked.txt");
    quietly(&mut arena.ours(tree, &["add", "."]))?;
    let full = fs::read(&list).context(|| format!("cannot read {}", list.display()))?;
    let repository = arena.passing_file("a100-git");
    let index = repository.join("index");
    let git = peers::find("git");
    let run = |git: &Path, arguments: &[&str]| {
        let mut command = peers::git(arena, git, tree);
        command.arg("--git-dir").arg(&repository).arg("--work-tree=.").args(arguments);
        command
    };

    let mut sides = vec![Side::new("add", |_| {
        remove(&list)?;
        Ok(Work::One(arena.ours(tree, &["add", "."])))
    })];
    sides.extend(git.as_deref().map(|git| {
        Side::new("git add", |_| {
            remove(&repository)?;
            quietly(&mut run(git, &["init", "--quiet"]))?;
            Ok(Work::One(run(git, &["add", "."])))
        })
    }));
    let added = race(&arena.order, arena.scale.pick(3, 2), sides)?;

    let their_full = fs::read(&index).unwrap_or_default();
    let mut sides = vec![Side::new("remove", |_| {
        fs::write(&list, &full).context(|| format!("cannot write {}", list.display()))?;
        Ok(Work::One(arena.ours(tree, &["remove", "."])))
    })];
    sides.extend(git.as_deref().map(|git| {
        Side::new("git rm --cached", |_| {
            fs::write(&index, &their_full).context(|| format!("cannot write {}", index.display()))?;
            Ok(Work::One(run(git, &["rm", "--cached", "-r", "-q", "."])))
        })
    }));
    let removed = race(&arena.order, arena.scale.pick(5, 2), sides)?;

    let mut rows = Vec::new();
    for (what, times, peer) in
        [("add, all new", added, "git add"), ("remove, all", removed, "git rm --cached")]
    {
        rows.extend(transfer::rows(&format!("{name} {what}"), &times, &[peer], &[(peer, LISTS)]));
    }
    Ok(rows)
}

fn status(arena: &Arena, name: &str, tree: &Path) -> Result<Vec<Row>> {
    arena.init(tree, &format!("oci:{}", arena.fresh(REMOTE)?.display()))?;
    let git = peers::find("git");
    if let Some(git) = &git {
        commit(arena, git, tree)?;
    }
    quietly(&mut arena.ours(tree, &["add", "."]))?;

    let state = arena.remembered(tree, "state.json");
    let synced = state_after_push(arena, tree, &state)?;
    let unsynced = |arguments: &'static [&str]| {
        let state = &state;
        Side::new(arguments.join(" "), move |_| {
            remove(state)?;
            Ok(Work::One(arena.ours(tree, arguments)))
        })
    };
    let their_status = || {
        git.iter().map(|git| {
            Side::new("git status", |_| {
                let mut command = peers::git(arena, git, tree);
                command.arg("status");
                Ok(Work::One(command))
            })
        })
    };
    let runs = arena.scale.pick(9, 3);
    // The state stays as the push left it, as that of any project does.
    fs::write(&state, &synced).context(|| format!("cannot write {}", state.display()))?;
    let ours = Side::new("status --offline", |_| Ok(Work::One(arena.ours(tree, &["status", "--offline"]))));
    let unchanged = race(&arena.order, runs, [ours].into_iter().chain(their_status()).collect())?;
    let sides = [unsynced(&["status", "--offline"]), unsynced(&["status"])];
    let new = race(&arena.order, runs, sides.into_iter().chain(their_status()).collect())?;

    let mut rows = Vec::new();
    for (times, whats, limit) in [
        (unchanged, &["status --offline, unchanged"][..], UNCHANGED),
        (new, &["status --offline, all new", "status, remote empty, all new"], ALL_NEW),
    ] {
        let theirs = times.get(whats.len());
        for (what, ours) in whats.iter().zip(&times) {
            let what = format!("{name} {what}");
            rows.push(match theirs {
                Some(theirs) => Row::race(&what, ours, theirs, limit),
                None => Row::without(&what, ours, "git status", limit),
            });
            rows.push(Row::memory(what, ours));
        }
    }
    Ok(rows)
}

/// Commits the tree to a repository of its own, unless that was done.
fn commit(arena: &Arena, git: &Path, tree: &Path) -> Result {
    let run = |arguments: &[&str]| quietly(peers::git(arena, git, tree).args(arguments));
    if !tree.join(".git/COMMIT_EDITMSG").is_file() {
        remove(&tree.join(".git"))?;
        run(&["init", "--quiet"])?;
        run(&["config", "gc.auto", "0"])?;
        // One pack instead of as many loose objects as files: a hundred times faster to make and to remove,
        // and `git status` of an unchanged tree reads neither.
        run(&["-c", "core.bigFileThreshold=1", "-c", "core.compression=0", "add", "."])?;
        run(&[
            "-c",
            "user.name=bench",
            "-c",
            "user.email=bench@localhost",
            "commit",
            "--quiet",
            "-m",
            "all",
        ])?;
    }
    // Brings the index up to date, whatever has been done to the tree.
    run(&["status"])
}

/// The state that a push of everything leaves behind; the remote is empty again afterwards.
fn state_after_push(arena: &Arena, tree: &Path, state: &Path) -> Result<Vec<u8>> {
    quietly(&mut arena.ours(tree, &["push"]))?;
    arena.fresh(REMOTE)?;
    fs::read(state).context(|| format!("cannot read {}", state.display()))
}
